/* host.h: what the tests play as host of the library: memory, files, storage, clocks, threads,
 * an attic for pages. Each keeps books of what was asked of it and fails on request: fail_in
 * counts down at each call, and the one that brings it to 0 fails. All structs are good as
 * zeros. After aios.h, in programs that begin with #define _POSIX_C_SOURCE 200809L. */
#ifndef AIOS_TEST_HOST_H
#define AIOS_TEST_HOST_H

#include "test.h"
#include <pthread.h>
#include <time.h>

/* A call of the library that has to succeed; else with its words. */
#define CHECK_OK(call, err) CHECK_AT((call) == AIOS_OK, "%s", (err).text)

TEST_FN int host__fails(int32_t *fail_in) { return *fail_in && --*fail_in == 0; }

/* ---- memory: an allocator that keeps books and hands out dirty memory ---- */
enum { BOOKS_LOG = 64, BOOKS_FENCE = 64 };
typedef struct books {
    aios_mem_req req[BOOKS_LOG]; /* the first ones */
    int32_t n, n_held;           /* requests, failed ones too; what is not given back */
    uint64_t held, asked;        /* bytes: now; of all requests that were granted */
    uint64_t n_calls;            /* of alloc and of free */
    int32_t fail_in;
    int32_t fence;  /* each has a fence before it and behind it */
    uint32_t grant; /* the answer of granted */
} books;

TEST_FN uint64_t books__fence(const books *b, const aios_mem_req *r) {
    return !b->fence ? 0 : r->align > BOOKS_FENCE ? r->align : (uint64_t)BOOKS_FENCE;
}
TEST_FN void *books_alloc(void *user, const aios_mem_req *r) {
    books *b = (books *)user;
    const uint64_t fence = books__fence(b, r), all = r->bytes + 2 * fence;
    uint64_t align = r->align > fence ? r->align : fence;
    void *p = NULL;
    b->n_calls++;
    if (b->n < BOOKS_LOG) b->req[b->n] = *r;
    b->n++;
    if (host__fails(&b->fail_in)) return NULL;
    if (align < sizeof p) align = sizeof p;
    if (posix_memalign(&p, (size_t)align, (size_t)(all ? all : 1))) return NULL;
    memset(p, 0xCD, (size_t)all);
    b->n_held++;
    b->held += r->bytes;
    b->asked += r->bytes;
    return (char *)p + fence;
}
TEST_FN void books_free(void *user, void *q, const aios_mem_req *r) {
    books *b = (books *)user;
    const uint64_t fence = books__fence(b, r);
    uint8_t *p = (uint8_t *)q - fence;
    int ok = 1;
    for (uint64_t i = 0; i < fence; i++) ok &= p[i] == 0xCD && p[fence + r->bytes + i] == 0xCD;
    if (!ok) FAIL("written outside of its memory");
    b->n_calls++;
    b->n_held--;
    b->held -= r->bytes;
    free(p);
}
TEST_FN uint32_t books_granted(void *user, void *p, const aios_mem_req *r) {
    (void)p;
    (void)r;
    return ((books *)user)->grant;
}
TEST_FN aios_allocator books_allocator(books *b) {
    aios_allocator a;
    aios_allocator_init(&a);
    a.alloc = books_alloc;
    a.free = books_free;
    a.user = b;
    return a;
}

/* ---- a file in memory that is written ---- */
typedef struct mem_file {
    uint8_t *p;
    uint64_t n, cap;
    int32_t n_writes, fail_in;
} mem_file;
TEST_FN int32_t mem_file_write(void *user, uint64_t off, const void *data, uint64_t n) {
    mem_file *f = (mem_file *)user;
    f->n_writes++;
    if (host__fails(&f->fail_in)) return 1;
    if (off + n > f->cap) {
        const uint64_t cap = (off + n) * 2;
        f->p = (uint8_t *)realloc(f->p, (size_t)cap);
        if (!f->p) exit(2);
        memset(f->p + f->cap, 0xEE, (size_t)(cap - f->cap)); /* what nobody writes */
        f->cap = cap;
    }
    if (n) memcpy(f->p + off, data, (size_t)n);
    if (off + n > f->n) f->n = off + n;
    return 0;
}
TEST_FN void mem_file_append(mem_file *f, const void *data, uint64_t n) {
    mem_file_write(f, f->n, data, n);
}

/* ---- clocks ---- */
/* Set by hand; moves by `tick` when it is asked, be it by a worker. */
typedef struct hand_clock {
    uint64_t now, tick;
    aios_context
        *cancel; /* is cancelled when the clock is asked at cancel_at or later: one thread alone */
    uint64_t cancel_at;
} hand_clock;
TEST_FN uint64_t hand_now(void *user) {
    hand_clock *c = (hand_clock *)user;
    if (c->cancel && c->now >= c->cancel_at) {
        aios_cancel(c->cancel);
        c->cancel = NULL;
    }
    return __atomic_add_fetch(&c->now, c->tick, __ATOMIC_SEQ_CST);
}

/* What a deadline promises, counted: once it has passed, one task or one read is begun at the
 * most, and that only by a call that came too late already. The clock moves when it is asked and
 * by `cost` when something is read. n_io: reads, or pages from and to the host; n_share: calls
 * of the host's parallel_for; n_late: those of both that were begun after the deadline. All in
 * the caller's thread. */
typedef struct late_clock {
    uint64_t now, deadline, cost;
    int32_t n_io, n_share, n_late, passed;
} late_clock;
TEST_FN uint64_t late_now(void *user) { /* by any worker */
    return __atomic_add_fetch(&((late_clock *)user)->now, 1, __ATOMIC_SEQ_CST);
}
/* The clock is asked twice between the last look at a deadline and what is begun. */
TEST_FN void late_begin(late_clock *l, int32_t *n) {
    ++*n;
    l->n_late += l->deadline && l->now >= l->deadline + 2;
}
TEST_FN void late_io(late_clock *l) {
    late_begin(l, &l->n_io);
    __atomic_add_fetch(&l->now, l->cost, __ATOMIC_SEQ_CST);
}
TEST_FN void late_for(void *user, int32_t n, aios_task_fn fn, void *arg) {
    late_begin((late_clock *)user, &((late_clock *)user)->n_share);
    for (int32_t i = 0; i < n; i++) fn(arg, i, i % 2);
}
/* The deadline of the next call: passed already, or some time ahead. */
TEST_FN uint64_t late_next(late_clock *l, uint64_t *seed) {
    const uint64_t r = test_rand(seed);
    l->passed = r % 4 == 0;
    l->n_io = l->n_share = l->n_late = 0;
    return l->deadline = l->passed ? 1 : l->now + 10 + (r >> 8) % (r % 4 == 1 ? 60 : 3 * l->cost);
}
TEST_FN int late_held(const late_clock *l) {
    return l->passed ? l->n_io + l->n_share <= 1 : l->n_late == 0;
}

/* ---- storage: bytes that are read, now and then not ---- */
/* Read from several threads, or submitted and waited for. A fault begins after `after` reads and
 * lasts; it holds for reads from offset `from` on: of the weights alone. fail_in is one read, of
 * any place. */
enum { SOUND = 0, FAILS = 1, ENDS = 2, SHORT = 3, TOO_MUCH = 4, SLOW = 5 };
enum { DISK_QUEUE = 8, DISK_OUTSIDE = -99 };
typedef struct disk {
    const uint8_t *p;
    uint64_t n, from;
    int32_t fault, after, n_reads;
    int32_t fail_in;
    int64_t fail_with;    /* what that read gives */
    uint64_t most;        /* bytes at once; 0: any number */
    int32_t pieces;       /* any number at once, by chance */
    int32_t exact;        /* nobody asks for a byte outside: DISK_OUTSIDE */
    const uint8_t *later; /* the bytes after change_at reads; NULL: always the same */
    int32_t change_at;
    int32_t n_maps, map_until; /* map_until: so many are mapped; 0: all */
    int32_t n_unaligned;       /* reads that are not of whole pages */
    int32_t n_queued, depth, broken,
        any; /* depth: reads that may be under way; any: of any offset */
    struct {
        uint64_t ticket, offset, n;
        void *dst;
    } queue[DISK_QUEUE];
    uint64_t seed, hinted; /* hinted: bytes that soon was told of */
    late_clock *clock;     /* moves on with each read; NULL: none */
} disk;
static pthread_mutex_t disk__lock = PTHREAD_MUTEX_INITIALIZER; /* of the faults of all disks */

TEST_FN const uint8_t *disk__bytes(const disk *d) {
    return d->later && d->n_reads > d->change_at ? d->later : d->p;
}
TEST_FN int64_t disk_read(void *user, uint64_t off, void *dst, uint64_t n) {
    disk *d = (disk *)user;
    int32_t fault = SOUND, fails = 0;
    const uint8_t *p;
    if (d->clock) late_io(d->clock);
    if (off > d->n || (d->exact && n > d->n - off)) return DISK_OUTSIDE;
    pthread_mutex_lock(&disk__lock);
    if (off >= d->from) {
        if (d->n_reads++ >= d->after) fault = d->fault;
        fails = host__fails(&d->fail_in);
    }
    if (n > d->n - off && fault != TOO_MUCH) n = d->n - off;
    d->n_unaligned += off % 4096 || (uintptr_t)dst % 4096 || (n % 4096 && off + n != d->n);
    if (d->pieces && n > 1) n = 1 + test_rand(&d->seed) % n;
    p = disk__bytes(d);
    pthread_mutex_unlock(&disk__lock);
    if (fails) return d->fail_with;
    if (fault == FAILS) return -5;
    if (fault == ENDS) return 0;
    if (fault == TOO_MUCH) return (int64_t)n + 1;
    if (fault == SHORT && n > 5000) n = 5000;
    if (fault == SLOW) {
        struct timespec t;
        t.tv_sec = 0;
        t.tv_nsec = 300000;
        nanosleep(&t, NULL);
    }
    if (d->most && n > d->most) n = d->most;
    memcpy(dst, p + off, (size_t)n);
    return (int64_t)n;
}
TEST_FN const void *disk_map(void *user, uint64_t off, uint64_t n) {
    disk *d = (disk *)user;
    if (off > d->n || n > d->n - off) return NULL;
    if (d->map_until && d->n_maps++ >= d->map_until) return NULL;
    return disk__bytes(d) + off;
}
/* Asynchronous: reads are done when waited for, in any order, now and then none. */
TEST_FN int32_t disk_submit(void *user, uint64_t ticket, uint64_t off, void *dst, uint64_t n) {
    disk *d = (disk *)user;
    if (d->n_queued == d->depth) return -11;
    CHECK(d->any ||
          (off % 4096 == 0 && (uintptr_t)dst % 4096 == 0 && (n % 4096 == 0 || off + n == d->n)));
    d->queue[d->n_queued].ticket = ticket;
    d->queue[d->n_queued].offset = off;
    d->queue[d->n_queued].n = n;
    d->queue[d->n_queued].dst = dst;
    d->n_queued++;
    return 0;
}
TEST_FN int32_t disk_wait(void *user, uint64_t *ticket, int64_t *got, uint64_t timeout_ns) {
    disk *d = (disk *)user;
    int i;
    if (d->broken) {
        d->n_queued = 0;
        return -1;
    }
    if (!d->n_queued || (timeout_ns < 1000000 && test_rand(&d->seed) % 3 == 0)) return 0;
    i = (int)(test_rand(&d->seed) % (uint64_t)d->n_queued);
    *ticket = d->queue[i].ticket;
    *got = disk_read(d, d->queue[i].offset, d->queue[i].dst, d->queue[i].n);
    d->queue[i] = d->queue[--d->n_queued];
    return 1;
}
TEST_FN void disk_soon(void *user, uint64_t off, uint64_t n) {
    disk *d = (disk *)user;
    CHECK(n > 0 && off >= d->from && off < d->n && n <= d->n - off);
    d->hinted += n;
}
TEST_FN void disk_init(disk *d, aios_io *io, const uint8_t *p, uint64_t n) {
    memset(d, 0, sizeof *d);
    d->p = p;
    d->n = n;
    d->depth = DISK_QUEUE;
    aios_io_init(io);
    io->n_bytes = n;
    io->read = disk_read;
    io->user = d;
}
/* From the read after so many on; readers may be at work. */
TEST_FN void disk_break(disk *d, int32_t fault, int32_t after) {
    pthread_mutex_lock(&disk__lock);
    d->fault = fault;
    d->n_reads = 0;
    d->after = after;
    pthread_mutex_unlock(&disk__lock);
}
TEST_FN void disk_sound(disk *d) { disk_break(d, SOUND, 0); }

/* ---- threads ---- */
/* A thread lent to read: pthread_create(&t, NULL, serve_reads, context). */
TEST_FN void *serve_reads(void *c) {
    aios_serve_reads((aios_context *)c);
    return NULL;
}

/* A parallel_for of two threads each time, tasks in descending order. */
typedef struct lent {
    aios_task_fn fn;
    void *arg;
    int32_t i;
} lent;
static int32_t lent_calls, lent_most; /* calls; the most tasks of one */
TEST_FN void *lent__main(void *p) {
    lent *l = (lent *)p;
    l->fn(l->arg, l->i, 1);
    return NULL;
}
TEST_FN void lent_for(void *user, int32_t n, aios_task_fn fn, void *arg) {
    (void)user;
    lent_calls++;
    if (n > lent_most) lent_most = n;
    for (int32_t i = n - 1; i >= 0; i -= 2) {
        pthread_t t;
        lent a;
        a.fn = fn;
        a.arg = arg;
        a.i = i;
        if (i > 0 && pthread_create(&t, NULL, lent__main, &a) == 0) {
            fn(arg, i - 1, 0);
            pthread_join(t, NULL);
        } else {
            fn(arg, i, 0);
            i++;
        }
    }
}

/* ---- an attic: a host that keeps pages of the cache ---- */
enum { ATTIC_MAX = 4096 };
typedef struct attic {
    uint64_t key[ATTIC_MAX], n[ATTIC_MAX];
    void *data[ATTIC_MAX];
    int32_t n_kept, most; /* pages: now, and when they were most */
    int32_t n_puts, n_gets;
    int32_t wrong;                         /* calls that no host would understand */
    int32_t fail_in, fail_puts, fail_gets; /* any call; a put; a get */
    late_clock *clock;                     /* moves on with each page; NULL: none */
} attic;
TEST_FN int32_t attic__find(const attic *a, uint64_t key) {
    for (int32_t i = 0; i < a->n_kept; i++)
        if (a->key[i] == key) return i;
    return -1;
}
TEST_FN void attic__forget(attic *a, int32_t i) {
    free(a->data[i]);
    a->n_kept--;
    a->key[i] = a->key[a->n_kept];
    a->n[i] = a->n[a->n_kept];
    a->data[i] = a->data[a->n_kept];
}
TEST_FN int32_t attic_put(void *user, uint64_t key, const void *data, uint64_t n) {
    attic *a = (attic *)user;
    a->n_puts++;
    if (a->clock) late_io(a->clock);
    if (host__fails(&a->fail_in) || host__fails(&a->fail_puts)) return -1;
    if (attic__find(a, key) >= 0 || a->n_kept == ATTIC_MAX) {
        a->wrong++;
        return -1;
    }
    a->key[a->n_kept] = key;
    a->n[a->n_kept] = n;
    a->data[a->n_kept] = malloc((size_t)n);
    if (!a->data[a->n_kept]) exit(2);
    memcpy(a->data[a->n_kept++], data, (size_t)n);
    if (a->n_kept > a->most) a->most = a->n_kept;
    return 0;
}
TEST_FN int32_t attic_get(void *user, uint64_t key, void *data, uint64_t n) {
    attic *a = (attic *)user;
    const int32_t i = attic__find(a, key);
    a->n_gets++;
    if (a->clock) late_io(a->clock);
    if (host__fails(&a->fail_in) || host__fails(&a->fail_gets)) {
        memset(data, 0xEE, (size_t)n);
        return -1;
    }
    if (i < 0 || a->n[i] != n) {
        a->wrong++;
        return -1;
    }
    memcpy(data, a->data[i], (size_t)n);
    attic__forget(a, i);
    return 0;
}
TEST_FN void attic_drop(void *user, uint64_t key) {
    attic *a = (attic *)user;
    const int32_t i = attic__find(a, key);
    if (i < 0)
        a->wrong++;
    else
        attic__forget(a, i);
}
TEST_FN aios_spill attic_spill(attic *a) {
    aios_spill s;
    aios_spill_init(&s);
    s.put = attic_put;
    s.get = attic_get;
    s.drop = attic_drop;
    s.user = a;
    return s;
}

#endif
