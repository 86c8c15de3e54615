/* test_readers.c: the readers of examples/readers.h against one file: random requests, many at a
 * time, in any order of completion, with time limits, interrupted by signals; files that shrink,
 * are empty, are larger than 4 GiB or are none; a kernel that forbids io_uring; and the same
 * logits through each. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "aios.h"
#include "../examples/readers.h"
#include "test.h"

#if !defined(READER_POSIX)
int main(void) {
    static reader r;
    aios_io io;
    CHECK_EQ(reader_open_pread(&r, "x", &io), -ENOSYS);
    CHECK_EQ(reader_open_uring(&r, "x", &io), -ENOSYS);
    CHECK_EQ(reader_open_mmap(&r, "x", &io), -ENOSYS);
    printf("skip: readers.h knows no way to read files on this system\n");
    return test_end();
}
#else
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

typedef int (*open_fn)(reader *r, const char *path, aios_io *io);
static const struct {
    const char *name;
    open_fn open;
} ways[] = { { "pread", reader_open_pread },
             { "pread-drop", reader_open_pread_drop },
             { "direct", reader_open_direct },
             { "uring", reader_open_uring },
             { "mmap", reader_open_mmap } };
/* Without O_DIRECT there is neither the third nor the fourth. */
static int has(int w) {
#if defined(READER__O_DIRECT)
    return w >= 0;
#else
    return w != 2 && w != 3;
#endif
}
enum { N_WAYS = 5, FILE_BYTES = 6 * 1048576 + 1234, ROOM = 2 * 1048576 };
static int quick;
static char path[96], dir[64];
static unsigned char *whole; /* what is in the file */

static unsigned char *room(void) {
    void *p = NULL;
    if (posix_memalign(&p, 4096, ROOM + 8192)) exit(1);
    return (unsigned char *)p;
}
static int write_file(const char *name, const unsigned char *p, size_t n) {
    FILE *f = fopen(name, "wb");
    if (!f) return 0;
    if (n && fwrite(p, 1, n, f) != n) {
        fclose(f);
        return 0;
    }
    return fclose(f) == 0;
}
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A request: half of them as a stream makes them. */
typedef struct request {
    uint64_t off, n;
    size_t at;
} request;
static request draw(uint64_t *rng) {
    request q;
    q.n = test_rand(rng) % (test_rand(rng) % 4 ? 20000 : ROOM);
    q.off = test_rand(rng) % (FILE_BYTES + 10000);
    q.at = test_rand(rng) % 4096;
    if (test_rand(rng) % 2) {
        q.off &= ~(uint64_t)4095;
        q.at = 0;
        q.n = (q.n + 4095) & ~(uint64_t)4095;
    }
    if (test_rand(rng) % 8 == 0) q.off = FILE_BYTES - test_rand(rng) % 9000;
    if (test_rand(rng) % 8 == 0) q.off = FILE_BYTES / 4096 * 4096, q.at = 0;
    if (q.n > ROOM) q.n = ROOM;
    return q;
}
static uint64_t there(uint64_t off, uint64_t n) {
    return off >= FILE_BYTES ? 0 : n < FILE_BYTES - off ? n : FILE_BYTES - off;
}

/* As the library reads: until all of it is there, or the end. */
static int64_t read_all(const aios_io *io, uint64_t off, unsigned char *dst, uint64_t n) {
    uint64_t done = 0;
    while (done < n) {
        int64_t got = io->read(io->user, off + done, dst + done, n - done);
        if (got < 0) return got;
        if (!got) break;
        if ((uint64_t)got > n - done) return -1000;
        done += (uint64_t)got;
    }
    return (int64_t)done;
}
static int right(const unsigned char *p, const request *q) {
    const uint64_t n = there(q->off, q->n);
    return (n == 0 || memcmp(p + q->at, whole + q->off, (size_t)n) == 0) && p[q->at + q->n] == 0xA5;
}
static int one_read(const aios_io *io, unsigned char *p, const request *q) {
    p[q->at + q->n] = 0xA5; /* the byte behind stays */
    return read_all(io, q->off, p + q->at, q->n) == (int64_t)there(q->off, q->n) && right(p, q);
}

/* ---- read ---- */
typedef struct job {
    const aios_io *io;
    uint64_t seed;
    int n, n_bad;
} job;
static void *random_reads(void *user) {
    job *j = (job *)user;
    unsigned char *p = room();
    int i;
    for (i = 0; i < j->n; i++) {
        request q = draw(&j->seed);
        j->n_bad += !one_read(j->io, p, &q);
    }
    free(p);
    return NULL;
}
static void random_reads_are_the_files_bytes(int w) {
    CASE("%s", ways[w].name);
    reader r;
    aios_io io;
    job j[4];
    pthread_t t[4];
    int i, n_started = 0;
    char c;
    errno = 77;
    if (!CHECK_EQ(ways[w].open(&r, path, &io), 0)) return;
    printf("%-10s %s\n", ways[w].name, reader_how(&r));
    CHECK_EQ(errno, 77);
    CHECK_EQ(io.n_bytes, FILE_BYTES);
    CHECK(io.user == &r);
    memset(j, 0, sizeof j);
    for (i = 0; i < 4; i++) {
        j[i].io = &io;
        j[i].seed = (uint64_t)(i + 1);
        j[i].n = quick ? 40 : 200;
    }
    random_reads(&j[0]);
    CHECK_EQ(errno, 77);
    CHECK_EQ(j[0].n_bad, 0);
    for (i = 0; i < 4; i++) n_started += pthread_create(&t[i], NULL, random_reads, &j[i]) == 0;
    if (!CHECK_EQ(n_started, 4)) exit(1);
    for (i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        CHECK_EQ(j[i].n_bad, 0);
    }
    errno = 77;
    CHECK_EQ(io.read(io.user, FILE_BYTES, &c, 1), 0);
    CHECK_EQ(io.read(io.user, FILE_BYTES + 5000, &c, 1), 0);
    CHECK_EQ(io.read(io.user, 0, &c, 0), 0);
    CHECK(io.read(io.user, UINT64_MAX - 10, &c, 1) <= 0);
    CHECK((io.map != NULL) == (w == 4) &&
          (!io.map || (!io.map(io.user, 5, FILE_BYTES) && !io.map(io.user, UINT64_MAX, 2))));
    if (io.map) CHECK_MEM(io.map(io.user, 777, FILE_BYTES - 777), whole + 777, FILE_BYTES - 777);
    reader_close(&r);
    reader_close(&r);
    CHECK_EQ(errno, 77);
    CHECK_STR(reader_how(&r), "closed");
}

/* ---- submit, wait ---- */
static void on_alarm(int sig) { (void)sig; }
static void
alarms(long us) { /* a signal every so often that breaks off system calls; 0 = no more */
    struct sigaction a;
    struct itimerval v;
    memset(&a, 0, sizeof a);
    memset(&v, 0, sizeof v);
    a.sa_handler = on_alarm;
    sigaction(SIGALRM, &a, NULL);
    v.it_interval.tv_usec = v.it_value.tv_usec = us;
    setitimer(ITIMER_REAL, &v, NULL);
}
typedef struct flight {
    request q;
    uint64_t ticket;
    unsigned char *p;
    int busy;
} flight;
typedef struct other_thread {
    const aios_io *io;
    flight *f;
    int n, rc;
} other_thread;
static void *submit_all(void *user) {
    other_thread *o = (other_thread *)user;
    int i;
    for (i = 0; i < o->n; i++)
        o->rc |= o->io->submit(o->io->user, o->f[i].ticket, o->f[i].q.off, o->f[i].p + o->f[i].q.at,
                               o->f[i].q.n);
    return NULL;
}
static int submit_one(const aios_io *io, flight *f, uint64_t *rng) {
    f->q = draw(rng);
    f->ticket = test_rand(rng);
    f->p[f->q.at + f->q.n] = 0xA5;
    return f->busy = io->submit(io->user, f->ticket, f->q.off, f->p + f->q.at, f->q.n) == 0;
}
/* Waits for one and looks it over: its number, -1 = none came, -2 = wrong. */
static int wait_one(const aios_io *io, flight *f, uint64_t timeout_ns) {
    uint64_t ticket = 0;
    int64_t got = -1;
    int i, rc = io->wait(io->user, &ticket, &got, timeout_ns);
    if (rc != 1) return rc ? -2 : -1;
    for (i = 0; i < READER_DEPTH; i++)
        if (f[i].busy && f[i].ticket == ticket) {
            f[i].busy = 0;
            return got == (int64_t)there(f[i].q.off, f[i].q.n) && right(f[i].p, &f[i].q) ? i : -2;
        }
    return -2;
}
static void submitted_reads_come_back_in_any_order(void) {
    reader r;
    aios_io io;
    flight f[READER_DEPTH];
    other_thread o;
    pthread_t thread;
    uint64_t rng = 9, ticket = 5;
    int64_t got = 5;
    int i, k, n_bad = 0, n_over = 0, n_in_order = 0, last = -1;
    double t;
    if (!CHECK_EQ(reader_open_uring(&r, path, &io), 0)) return;
    if (!io.submit) {
        CHECK(!io.wait);
        printf("skip: no io_uring here: %s\n", reader_how(&r));
        reader_close(&r);
        return;
    }
    memset(f, 0, sizeof f);
    for (i = 0; i < READER_DEPTH; i++) f[i].p = room();
    errno = 77;
    CHECK_EQ(io.wait(io.user, &ticket, &got, 0), 0);
    CHECK_EQ(io.wait(io.user, &ticket, &got, UINT64_MAX), 0); /* nothing will come */
    alarms(700);
    for (i = 0; i < READER_DEPTH; i++) CHECK(submit_one(&io, &f[i], &rng));
    CHECK(io.submit(io.user, 1, 0, f[0].p, 4096) < 0); /* too many */
    for (k = 0; k < (quick ? 300 : 3000); k++) {
        job j = { &io, rng, 1, 0 };
        i = wait_one(&io, f, k % 3 ? UINT64_MAX : 1000000000);
        if (i < 0) {
            n_bad++;
            break;
        }
        n_in_order += i == last + 1;
        last = i;
        n_over++;
        if (!submit_one(&io, &f[i], &rng)) {
            n_bad++;
            break;
        }
        if (k % 50 == 0) {
            random_reads(&j);
            n_bad += j.n_bad;
        } /* read beside them */
    }
    for (k = 0; k < READER_DEPTH && n_bad == 0; k++) n_bad += wait_one(&io, f, UINT64_MAX) < 0;
    alarms(0);
    CHECK_EQ(n_bad, 0);
    CHECK_EQ(errno, 77);
    printf("           %d reads through the ring, %d of them in the order of their places\n",
           n_over, n_in_order);
    CHECK_EQ(wait_one(&io, f, 0), -1);
    /* a limit of 0 asks; asking often enough gets it all */
    for (i = 0; i < 8; i++) CHECK(submit_one(&io, &f[i], &rng));
    for (k = 0, t = now(); k < 8 && now() < t + 20;) {
        i = wait_one(&io, f, 0);
        if (i < -1) break;
        k += i >= 0;
    }
    CHECK_EQ(k, 8);
    /* the thread that submitted has ended when the reads are over, or before */
    o.io = &io;
    o.f = f;
    o.n = 16;
    o.rc = 0;
    for (i = 0; i < 16; i++) {
        f[i].q = draw(&rng);
        f[i].ticket = (uint64_t)i;
        f[i].busy = 1;
        f[i].p[f[i].q.at + f[i].q.n] = 0xA5;
    }
    if (CHECK_EQ(pthread_create(&thread, NULL, submit_all, &o), 0)) {
        pthread_join(thread, NULL);
        for (i = 0; i < 16; i++) CHECK(wait_one(&io, f, 10000000000u) >= 0);
        CHECK_EQ(o.rc, 0);
    }
    /* closing with reads under way waits for them: the memory can be given back */
    for (i = 0; i < 16; i++) CHECK(submit_one(&io, &f[i], &rng));
    reader_close(&r);
    for (i = 0; i < 16; i++) CHECK(right(f[i].p, &f[i].q));
    for (i = 0; i < READER_DEPTH; i++) free(f[i].p);
    CHECK_EQ(errno, 77);
}
#if defined(READER_URING)
/* A pipe in place of the file: reads that last as long as we like, come in pieces, and end in
 * any order we like. */
static void *late_byte(void *fd) {
    usleep(50000);
    return write(*(int *)fd, "x", 1) == 1 ? NULL : fd;
}
static void a_ring_waits_as_long_as_it_is_told(void) {
    pthread_t late;
    reader r;
    unsigned char a[64], b[64];
    uint64_t ticket = 0;
    int64_t got = 0;
    int fd[2], k;
    double t;
    CHECK_EQ(dup2(2, 0), 0);
    memset(&r, 0, sizeof r);
    reader_close(&r); /* zeros are closed already, though 0 is a descriptor */
    CHECK(fcntl(0, F_GETFD) >= 0);
    reader__clear(&r);
    if (!CHECK_EQ(pipe(fd), 0)) return;
    r.fd = fd[0];
    r.flags = READER_OPEN;
    if (!reader__ring_open(&r)) {
        close(fd[1]);
        reader_close(&r);
        return;
    }
    r.n_bytes = 1 << 20;
    CHECK_EQ(reader__submit(&r, 11, 0, a, 8), 0);
    t = now();
    CHECK_EQ(reader__wait(&r, &ticket, &got, 0), 0);
    CHECK_EQ(reader__wait(&r, &ticket, &got, 30000000), 0);
    t = now() - t;
    CHECK(t >= 0.03 && t < 5);
    alarms(2000); /* signals do not make the limit longer, or shorter */
    t = now();
    CHECK_EQ(reader__wait(&r, &ticket, &got, 50000000), 0);
    t = now() - t;
    alarms(0);
    CHECK(t >= 0.05 && t < 5);
    CHECK_EQ(write(fd[1], "abc", 3), 3);
    CHECK_EQ(reader__wait(&r, &ticket, &got, 20000000), 0); /* a short read is not over */
    CHECK_EQ(write(fd[1], "defghijk", 8), 8);
    CHECK_EQ(reader__wait(&r, &ticket, &got, UINT64_MAX), 1);
    CHECK_EQ(ticket, 11);
    CHECK_EQ(got, 8);
    CHECK_MEM(a, "abcdefgh", 8);
    CHECK_EQ(reader__submit(&r, 12, 0, b, 64), 0);
    CHECK_EQ(reader__wait(&r, &ticket, &got, 0), 0); /* the end comes too early */
    close(fd[1]);
    CHECK_EQ(reader__wait(&r, &ticket, &got, UINT64_MAX), 1);
    CHECK_EQ(ticket, 12);
    CHECK_EQ(got, 3);
    CHECK_MEM(b, "ijk", 3);
    reader_close(&r);
    /* the ring is gone: an error, and no waiting for ever */
    if (!CHECK_EQ(pipe(fd), 0)) return;
    reader__clear(&r);
    r.fd = fd[0];
    r.flags = READER_OPEN;
    if (reader__ring_open(&r)) {
        CHECK_EQ(reader__submit(&r, 13, 0, a, 8), 0);
        close(r.ring_fd);
        /* the read that is under way ends later, and only then is there an answer */
        CHECK_EQ(pthread_create(&late, NULL, late_byte, &fd[1]), 0);
        k = reader__wait(&r, &ticket, &got,
                         1000000); /* 1: it had ended already, and the rest of it failed */
        CHECK(k < 0 || (k == 1 && got < 0));
        CHECK(reader__submit(&r, 14, 0, a, 8) < 0);
        CHECK_EQ(r.n_busy, 0);
        CHECK_EQ(a[0], 'x');
        pthread_join(late, NULL);
        r.ring_fd = -1;
    }
    reader_close(&r);
    close(fd[1]);
    /* a file that cannot be read at all: the failure of pread is the answer */
    reader__clear(&r);
    r.fd = open(path, O_WRONLY);
    r.flags = READER_OPEN;
    if (CHECK(r.fd >= 0) && reader__ring_open(&r)) {
        CHECK_EQ(reader__submit(&r, 15, 0, a, 8), 0);
        CHECK_EQ(reader__wait(&r, &ticket, &got, UINT64_MAX), 1);
        CHECK_EQ(ticket, 15);
        CHECK_EQ(got, -EBADF);
    }
    reader_close(&r);
}
#else
static void a_ring_waits_as_long_as_it_is_told(void) {}
#endif

/* ---- files that are odd ---- */
static void odd_files_are_read_or_named(int w) {
    CASE("%s", ways[w].name);
    reader r;
    aios_io io;
    unsigned char *p = room();
    char name[80];
    uint64_t ticket = 0;
    int64_t got = 0;
    int half = FILE_BYTES / 2 + 100;
    errno = 77;
    CHECK(ways[w].open(&r, dir, &io) == -EISDIR && !io.read && r.fd == -1);
    snprintf(name, sizeof name, "%s/none", dir);
    CHECK_EQ(ways[w].open(&r, name, &io), -ENOENT);
    CHECK_EQ(ways[w].open(&r, NULL, &io), -EINVAL);
    snprintf(name, sizeof name, "%s/fifo", dir);
    if (mkfifo(name, 0600) == 0) CHECK_EQ(ways[w].open(&r, name, &io), -EINVAL);
    (void)unlink(name);
    snprintf(name, sizeof name, "%s/empty", dir);
    errno = 77;
    if (CHECK(write_file(name, p, 0) && ways[w].open(&r, name, &io) == 0)) {
        CHECK_EQ(io.n_bytes, 0);
        CHECK_EQ(io.read(io.user, 0, p, 10), 0);
        CHECK_EQ(io.read(io.user, 4096, p, 4096), 0);
        CHECK(!io.map || !io.map(io.user, 0, 1));
        if (io.submit)
            CHECK(io.submit(io.user, 3, 0, p, 4096) == 0 &&
                  io.wait(io.user, &ticket, &got, UINT64_MAX) == 1 && ticket == 3 && got == 0);
        reader_close(&r);
    }
    (void)unlink(name);
    CHECK_EQ(errno, 77);
    /* a file that shrinks under us */
    snprintf(name, sizeof name, "%s/shrinks", dir);
    if (CHECK(write_file(name, whole, FILE_BYTES) && ways[w].open(&r, name, &io) == 0)) {
        CHECK_EQ(truncate(name, half), 0);
        CHECK_EQ(read_all(&io, (uint64_t)half - 50, p, 1000), 50);
        CHECK_MEM(p, whole + half - 50, 50);
        CHECK_EQ(read_all(&io, (uint64_t)half + 5000, p, 1000), 0);
        CHECK_EQ(read_all(&io, ((uint64_t)half + 5000) & ~(uint64_t)4095, p, 8192), 0);
        CHECK_EQ(read_all(&io, ((uint64_t)half - 8192) & ~(uint64_t)4095, p, 65536),
                 8192 + half % 4096);
        if (io.map)
            CHECK(!io.map(io.user, (uint64_t)half, 1) && io.map(io.user, (uint64_t)half - 1, 1));
        if (io.submit) {
            CHECK_EQ(io.submit(io.user, 3, ((uint64_t)half - 8192) & ~(uint64_t)4095, p, 65536), 0);
            CHECK_EQ(io.wait(io.user, &ticket, &got, UINT64_MAX), 1);
            CHECK_EQ(got, 8192 + half % 4096);
        }
        /* a descriptor that somebody has closed */
        if (w != 4) {
            close(r.fd);
            if (r.direct_fd >= 0) close(r.direct_fd);
            CHECK_EQ(io.read(io.user, 0, p, 100), -EBADF);
            CHECK_EQ(io.read(io.user, 0, p, 8192), -EBADF);
            r.fd = r.direct_fd = -1;
        }
        reader_close(&r);
    }
    (void)unlink(name);
    free(p);
}
static void offsets_beyond_4_gib_work(void) {
    const uint64_t far = (uint64_t)1 << 32, n_bytes = far + 12345;
    unsigned char *p = room();
    char name[80];
    int fd, w;
    snprintf(name, sizeof name, "%s/large", dir);
    fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || sizeof(off_t) < 8 || sizeof(void *) < 8 || ftruncate(fd, (off_t)n_bytes) != 0 ||
        pwrite(fd, whole, 20480, (off_t)(far - 8192)) != 20480) {
        printf("skip: no file of 4 GiB can be made here\n");
    } else {
        for (w = 0; w < N_WAYS; w++) {
            reader r;
            aios_io io;
            uint64_t ticket = 0;
            int64_t got = 0;
            if (!has(w)) continue;
            if (!CHECK_EQ(ways[w].open(&r, name, &io), 0)) continue;
            CHECK_EQ(io.n_bytes, far + 12345);
            CHECK_EQ(read_all(&io, far - 8192, p, 16384), 16384);
            CHECK_MEM(p, whole, 16384);
            CHECK_EQ(read_all(&io, far + 1, p + 1, 3000), 3000);
            CHECK_MEM(p + 1, whole + 8193, 3000);
            CHECK_EQ(read_all(&io, far + 4096, p, ROOM), 8249);
            CHECK_MEM(p, whole + 12288, 8192);
            if (io.map) CHECK_MEM(io.map(io.user, far, 4096), whole + 8192, 4096);
            if (io.submit) {
                CHECK_EQ(io.submit(io.user, 8, far, p, 8192), 0);
                CHECK_EQ(io.wait(io.user, &ticket, &got, UINT64_MAX), 1);
                CHECK_EQ(got, 8192);
                CHECK_MEM(p, whole + 8192, 8192);
            }
            reader_close(&r);
        }
    }
    if (fd >= 0) close(fd);
    (void)unlink(name);
    free(p);
}

/* ---- what stays in the page cache ---- */
static double resident(void) { /* share of the file's pages that are in memory; -1 = unknown */
    double n = 0;
#if defined(__linux__)
    const size_t n_pages = (FILE_BYTES + 4095) / 4096;
    unsigned char *vec = (unsigned char *)calloc(n_pages + 1, 1);
    int fd = open(path, O_RDONLY);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    size_t i;
    if (!vec || at == MAP_FAILED || sysconf(_SC_PAGESIZE) != 4096 ||
        mincore(at, FILE_BYTES, vec) != 0)
        n = -(double)n_pages;
    else
        for (i = 0; i < n_pages; i++) n += vec[i] & 1;
    if (at != MAP_FAILED) munmap(at, FILE_BYTES);
    if (fd >= 0) close(fd);
    free(vec);
    return n / (double)n_pages;
#else
    return n - 1;
#endif
}
static void what_is_read_leaves_the_page_cache(void) {
    static const double most[] = { 1, 0.1, 1, 1 };
    unsigned char *p = room();
    double share[4], after;
    int w;
#if defined(POSIX_FADV_DONTNEED)
    int fd = open(path, O_RDONLY);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
#endif
    after = resident();
    if (after != 0) {
        printf("skip: what is in the page cache is not to be seen here\n");
        free(p);
        return;
    }
    for (w = 3; w >= 0; w--) {
        reader r;
        aios_io io;
        uint64_t off;
        if (!has(w)) {
            share[w] = 0;
            continue;
        }
        if (!CHECK_EQ(ways[w].open(&r, path, &io), 0)) continue;
        for (off = 0; off < FILE_BYTES; off += 256 * 1024)
            CHECK(read_all(&io, off, p, 256 * 1024) > 0);
        share[w] = resident();
        if (w > 1 && !strstr(reader_how(&r), "O_DIRECT")) share[w] = 0;
        reader_close(&r);
        CHECK(share[w] <= most[w] && (w < 2 || share[w] < 0.1));
    }
    for (w = 0; w < N_WAYS; w++) { /* the host's hints */
        reader r;
        aios_io io;
        double t;
        if (!has(w)) continue;
        if (!CHECK_EQ(ways[w].open(&r, path, &io), 0)) continue;
        errno = 77;
        reader_soon(&r, 0, UINT64_MAX);
        reader_soon(&r, FILE_BYTES + 1, 5);
        for (t = now(); resident() < 0.9 && now() < t + 20;) usleep(1000);
        CHECK(resident() >= 0.9);
        if (io.map) CHECK_MEM(io.map(io.user, 0, FILE_BYTES), whole, FILE_BYTES);
        reader_done(&r, 4097, 4096); /* no whole page */
        CHECK(resident() >= 0.9);
        reader_done(&r, 1, UINT64_MAX - 1);
        CHECK_EQ(errno, 77);
        CHECK(resident() < 0.2);
        if (io.map) CHECK_MEM(io.map(io.user, 0, FILE_BYTES), whole, FILE_BYTES);
        CHECK_EQ(read_all(&io, 4096, p, 8192), 8192);
        CHECK_MEM(p, whole + 4096, 8192);
        reader_done(&r, 0, UINT64_MAX);
        reader_close(&r);
        reader_done(&r, 0, 1);
        reader_soon(&r, 0, 1);
    }
    printf(
        "           in the page cache after reading all: pread %.0f %%, pread-drop %.0f %%, direct %.0f %%\n",
        share[0] * 100, share[1] * 100, share[2] * 100);
    free(p);
}

/* ---- a kernel that says no ---- */
static void a_kernel_without_io_uring_gets_plain_reads(void) {
#if defined(READER_URING) && defined(SECCOMP_MODE_FILTER)
    int status = 0;
    pid_t child;
    if (!has(3)) return;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        /* clang-format off */
        static struct sock_filter code[] = {
            { BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 /* the number of the call */ },
            { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_io_uring_setup },
            { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM },
            { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW }
        };
        /* clang-format on */
        struct sock_fprog prog = { 4, code };
        reader r;
        aios_io io;
        job j = { NULL, 1, 50, 0 };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
            _exit(2);
        errno = 77;
        j.io = &io;
        if (reader_open_uring(&r, path, &io) || io.submit || io.wait || errno != 77) _exit(1);
        random_reads(&j);
        reader_close(&r);
        _exit(j.n_bad != 0);
    }
    if (!CHECK(child > 0 && waitpid(child, &status, 0) == child)) return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        printf("skip: no seccomp here, to forbid io_uring with\n");
    else
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

/* ---- models ---- */
static uint64_t logits_hash(const char *model, const aios_io *io) {
    static const int32_t ids[] = { 1, 5, 9, 40, 77, 300, 12, 13, 14, 200 };
    uint64_t h = 14695981039346656037u;
    books mem = { 0 };
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_model_info info;
    aios_model *m = NULL;
    aios_context *c = NULL;
    aios_error err;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.io = io;
    md.path = io ? NULL : model;
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_outputs = 16;
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    aios_model_info_init(&info);
    if (aios_model_open(&md, &m, &err) == 0 && aios_plan_make(m, &pd, &plan, &err) == 0 &&
        aios_context_open(m, &plan, &cd, &c, &err) == 0 &&
        aios_feed(c, 0, ids, sizeof ids / sizeof *ids, AIOS_FEED_ALL_LOGITS, &err) == 0 &&
        aios_step(c, 0, &err) == AIOS_OK) {
        int32_t i;
        aios_model_get_info(m, &info);
        for (i = 0; i < aios_output_count(c); i++) {
            aios_output o;
            aios_output_init(&o);
            aios_output_get(c, i, &o);
            h = test_hash(h, o.logits, (size_t)info.n_vocab * 4);
        }
    } else {
        printf("  %s\n", err.text);
        h = 0;
    }
    aios_context_free(c);
    aios_model_free(m);
    return h;
}
static void every_reader_gives_the_same_logits(const char *model) {
    uint64_t want;
    int w;
    FILE *f = fopen(model, "rb");
    if (!f) {
        printf("skip: no %s\n", model);
        return;
    }
    fclose(f);
    want = logits_hash(model, NULL);
    CHECK(want != 0);
    printf("%s, logits %016llx\n", model, (unsigned long long)want);
    for (w = 0; w < N_WAYS; w++) {
        reader r;
        aios_io io;
        if (!has(w)) continue;
        if (!CHECK_EQ(ways[w].open(&r, model, &io), 0)) continue;
        CHECK_EQ(logits_hash(model, &io), want);
        reader_close(&r);
    }
}

int main(int argc, char **argv) {
    uint64_t rng = 3;
    size_t i;
    int w;
    quick = test_begin(argc, argv);
    snprintf(dir, sizeof dir, "build/readers-XXXXXX");
    if (!mkdtemp(dir)) {
        snprintf(dir, sizeof dir, "readers-XXXXXX");
        if (!mkdtemp(dir)) {
            perror(dir);
            return 1;
        }
    }
    snprintf(path, sizeof path, "%s/file", dir);
    whole = (unsigned char *)malloc(FILE_BYTES + 8);
    if (!whole) return 1;
    for (i = 0; i < FILE_BYTES; i += 8) {
        uint64_t v = test_rand(&rng);
        memcpy(whole + i, &v, 8);
    }
    if (CHECK(write_file(path, whole, FILE_BYTES))) {
        for (w = 0; w < N_WAYS; w++)
            if (has(w)) TEST(random_reads_are_the_files_bytes)(w);
        if (has(3)) TEST(submitted_reads_come_back_in_any_order)();
        TEST(a_ring_waits_as_long_as_it_is_told)();
        for (w = 0; w < N_WAYS; w++)
            if (has(w)) TEST(odd_files_are_read_or_named)(w);
        TEST(offsets_beyond_4_gib_work)();
        TEST(what_is_read_leaves_the_page_cache)();
        TEST(a_kernel_without_io_uring_gets_plain_reads)();
        TEST(every_reader_gives_the_same_logits)("models/tale.gguf");
    }
    (void)unlink(path);
    (void)rmdir(dir);
    free(whole);
    return test_end();
}
#endif
