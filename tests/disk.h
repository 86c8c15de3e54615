/* disk.h: storage for tests of what is read while a model runs: it fails, ends early, comes in pieces, is slow; read from several
 * threads, or submitted and waited for. Included after aios.h and test.h. */
#ifndef AIOS_TEST_DISK_H
#define AIOS_TEST_DISK_H

#include <pthread.h>
#include <time.h>

/* read is called from several threads. Faults hold for reads of the weights alone: from offset `from` on. */
enum { SOUND = 0, FAILS = 1, ENDS = 2, SHORT = 3, TOO_MUCH = 4, SLOW = 5 };
enum { QUEUE = 8 };
typedef struct disk {
    const uint8_t *p;
    uint64_t n, from;
    int32_t fault, after, n_reads;      /* the fault begins after so many reads                              */
    pthread_mutex_t lock;
    int n_queued, depth, broken, any;   /* depth: reads that may be under way; any: of any offset            */
    struct { uint64_t ticket, offset, n; void *dst; } queue[QUEUE];
    uint64_t seed, hinted;              /* hinted: bytes that soon was told of                               */
} disk;
static int64_t disk_read(void *user, uint64_t off, void *dst, uint64_t n) {
    disk *d = (disk *)user;
    int32_t fault;
    pthread_mutex_lock(&d->lock);
    fault = off >= d->from && d->n_reads++ >= d->after ? d->fault : (int32_t)SOUND;
    pthread_mutex_unlock(&d->lock);
    if (fault == FAILS) return -5;
    if (fault == ENDS) return 0;
    if (fault == TOO_MUCH) return (int64_t)n + 1;
    if (fault == SHORT && n > 5000) n = 5000;
    if (fault == SLOW) { struct timespec t; t.tv_sec = 0; t.tv_nsec = 300000; nanosleep(&t, NULL); }
    if (n > d->n - off) n = d->n - off;
    memcpy(dst, d->p + off, (size_t)n);
    return (int64_t)n;
}
/* Asynchronous: reads are done when waited for, in any order, now and then none. */
static int32_t disk_submit(void *user, uint64_t ticket, uint64_t off, void *dst, uint64_t n) {
    disk *d = (disk *)user;
    if (d->n_queued == d->depth) return -11;
    CHECK(d->any || (off % 4096 == 0 && (uintptr_t)dst % 4096 == 0 && (n % 4096 == 0 || off + n == d->n)));
    d->queue[d->n_queued].ticket = ticket; d->queue[d->n_queued].offset = off; d->queue[d->n_queued].n = n; d->queue[d->n_queued].dst = dst;
    d->n_queued++;
    return 0;
}
static int32_t disk_wait(void *user, uint64_t *ticket, int64_t *got, uint64_t timeout_ns) {
    disk *d = (disk *)user;
    int i;
    if (d->broken) { d->n_queued = 0; return -1; }
    if (!d->n_queued || (timeout_ns < 1000000 && test_rand(&d->seed) % 3 == 0)) return 0;
    i = (int)(test_rand(&d->seed) % (uint64_t)d->n_queued);
    *ticket = d->queue[i].ticket;
    *got = disk_read(d, d->queue[i].offset, d->queue[i].dst, d->queue[i].n);
    d->queue[i] = d->queue[--d->n_queued];
    return 1;
}
static inline void disk_soon(void *user, uint64_t off, uint64_t n) {
    disk *d = (disk *)user;
    CHECK(n > 0 && off >= d->from && off < d->n && n <= d->n - off);
    d->hinted += n;
}
static void disk_init(disk *d, aios_io *io, const uint8_t *p, uint64_t n) {
    memset(d, 0, sizeof *d);
    d->p = p; d->n = n; d->depth = QUEUE;
    pthread_mutex_init(&d->lock, NULL);
    aios_io_init(io);
    io->n_bytes = n; io->read = disk_read; io->user = d;
}
static void disk_sound(disk *d) {
    pthread_mutex_lock(&d->lock);
    d->fault = SOUND; d->n_reads = 0; d->after = 0;
    pthread_mutex_unlock(&d->lock);
}

#endif
