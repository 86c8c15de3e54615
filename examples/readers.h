/* readers.h: ways to read a model file on Linux (the first and the last on any POSIX system), as an aios_io. Copy it into your program.
 *
 *     static reader r;  aios_io io;                       r must stay where it is while io is in use
 *     int rc = reader_open_uring(&r, "model.gguf", &io);  0, or a negative errno: -ENOENT, -EISDIR, -ENOSYS (not on this system)
 *     md.io = &io;                                        aios_model_desc
 *     ... aios_model_free(model); reader_close(&r);       in this order; closing twice, or zeros, is fine
 *
 *   reader_open_pread       pread through the page cache. For a file that fits into memory: the second start is fast.
 *   reader_open_pread_drop  the same, and what was read leaves the page cache at once: a stream of weights pushes nothing of
 *                           the host's out. (It leaves for everybody: do not use it for a file that others read too.)
 *   reader_open_direct      O_DIRECT for requests aligned to 4096 bytes in file, memory and length: no copy by the CPU, nothing in the
 *                           cache. All others, and the end of the file, by pread.
 *   reader_open_uring       io_uring: the same reads, up to 32 under way at a time (submit, wait) and no thread for it. Where the
 *                           kernel has no io_uring, or forbids it, this is reader_open_direct.
 *   reader_open_mmap        the file mapped into memory; weights can be used where they are (map). Fast to open and shared
 *                           between processes; slow when the file is larger than memory, since each page fault waits alone.
 *
 * reader_how(&r) says what was got: O_DIRECT is not on every file system. reader_soon and reader_done are hints to the page cache, for
 * a host that knows what comes next. Reads of all are positional: any number of threads may call io.read at a time; submit and
 * wait are for one thread at a time, beside the others' reads; after fork, for the parent alone. No thread is started, errno is as it was.
 * The size of the file is taken at opening; a file that shrinks gives short reads, and then an error of the library. Not so under
 * a mapping: there, using a page that is no longer in the file raises SIGBUS. read and map ask for the size first, but weights
 * that are in use may go at any time. A host that cannot rule that out (others may write to the file) should not map, or should keep a
 * private copy, or install a SIGBUS handler that maps zeros over the page (mmap, MAP_FIXED | MAP_ANONYMOUS) and tells the
 * host to drop the model. Replacing a file by rename is harmless: the old one stays until it is closed.
 *
 * aios.h comes first. With -std=c99, say _GNU_SOURCE before the first #include (pread, madvise, syscall); on 32-bit systems
 * _FILE_OFFSET_BITS=64 as well: without it, files of 2 GiB and more are refused (-EOVERFLOW), not misread. */
#ifndef READERS_H
#define READERS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
#define READER_POSIX 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__) && !defined(__USE_MISC)
#error "readers.h: put #define _GNU_SOURCE before the first #include (pread, madvise and syscall are hidden)"
#endif
#endif

/* io_uring: needs the kernel's header of 5.11 or later (a wait with a time limit). Apps on Android are killed for asking. */
#if defined(__linux__) && !defined(__ANDROID__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <sys/syscall.h>
#if defined(IORING_FEAT_EXT_ARG)
#define READER_URING 1
#endif
#endif
#endif

enum { READER_ALIGN = 4096,                     /* what O_DIRECT asks for on disks with the largest common sectors */
       READER_DEPTH = 32,                       /* reads under way in the ring                                      */
       READER_MOST = 1 << 30,                   /* bytes of one system call; a multiple of READER_ALIGN             */
       READER_OPEN = 1, READER_DROP = 2, READER_MAPPED = 4, READER_RING = 8 };

/* A read under way in the ring. */
typedef struct reader_slot {
    uint64_t ticket, offset;
    unsigned char *dst;
    uint64_t left;                              /* bytes still to come                                              */
    int64_t done;
    int32_t busy, direct;
} reader_slot;

typedef struct reader {
    int32_t fd, direct_fd, ring_fd;             /* -1 = none                                                        */
    uint32_t flags;                             /* READER_OPEN ...; 0 = closed                                      */
    uint64_t n_bytes;
    unsigned char *base;                        /* the mapping                                                      */
    int32_t refused;                            /* the file system took the flag O_DIRECT, but not the read         */
    int32_t n_busy;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;      /* shared with the kernel            */
    void *sqes, *cqes, *rings;
    size_t sqes_bytes, rings_bytes;
    reader_slot slot[READER_DEPTH];
} reader;

static inline void reader__clear(reader *r) {
    memset(r, 0, sizeof *r);
    r->fd = r->direct_fd = r->ring_fd = -1;
}

#if !defined(READER_POSIX)
static inline int reader__none(reader *r, const char *path, aios_io *io) {
    (void)path;
    reader__clear(r);
    aios_io_init(io);
    return -ENOSYS;
}
static inline int reader_open_pread(reader *r, const char *path, aios_io *io)      { return reader__none(r, path, io); }
static inline int reader_open_pread_drop(reader *r, const char *path, aios_io *io) { return reader__none(r, path, io); }
static inline int reader_open_direct(reader *r, const char *path, aios_io *io)     { return reader__none(r, path, io); }
static inline int reader_open_uring(reader *r, const char *path, aios_io *io)      { return reader__none(r, path, io); }
static inline int reader_open_mmap(reader *r, const char *path, aios_io *io)       { return reader__none(r, path, io); }
static inline void reader_close(reader *r) { (void)r; }
static inline void reader_soon(const reader *r, uint64_t offset, uint64_t n) { (void)r; (void)offset; (void)n; }
static inline void reader_done(const reader *r, uint64_t offset, uint64_t n) { (void)r; (void)offset; (void)n; }
static inline const char *reader_how(const reader *r) { (void)r; return "not on this system"; }
#else

#if defined(O_DIRECT)
#define READER__O_DIRECT O_DIRECT
#elif defined(__O_DIRECT)                       /* glibc without _GNU_SOURCE                                        */
#define READER__O_DIRECT __O_DIRECT
#endif

/* ---- pread -------------------------------------------------------------------------------------------------- */
static inline uint64_t reader__most(uint64_t n) { return n < (uint64_t)READER_MOST ? n : (uint64_t)READER_MOST; }
/* One call: bytes, 0 at the end, or -errno. errno as it was. */
static inline int64_t reader__pread(int fd, uint64_t offset, void *dst, uint64_t n) {
    const int before = errno;
    const off_t at = (off_t)offset;
    int64_t got;
    if (at < 0 || (uint64_t)at != offset) return -EOVERFLOW;
    do got = (int64_t)pread(fd, dst, (size_t)reader__most(n), at);
    while (got < 0 && errno == EINTR);
    if (got < 0) got = -(int64_t)errno;
    errno = before;
    return got;
}
static inline int64_t reader__read(void *user, uint64_t offset, void *dst, uint64_t n) {
    const reader *r = (const reader *)user;
    const int64_t got = reader__pread(r->fd, offset, dst, n);
#if defined(POSIX_FADV_DONTNEED)
    /* Pages that are only partly in the range stay: begin a little before it, where the last request ended. */
    if (got > 0 && r->flags & READER_DROP) {
        const uint64_t slack = offset < 1 << 21 ? offset : 1 << 21;
        (void)posix_fadvise(r->fd, (off_t)(offset - slack), (off_t)(slack + (uint64_t)got), POSIX_FADV_DONTNEED);
    }
#endif
    return got;
}

/* ---- O_DIRECT ----------------------------------------------------------------------------------------------- */
static inline int reader__is_direct(const reader *r, uint64_t offset, const void *dst, uint64_t n) {
    return r->direct_fd >= 0 && ((offset | (uint64_t)(uintptr_t)dst) & (READER_ALIGN - 1)) == 0 && n >= READER_ALIGN &&
           !__atomic_load_n(&r->refused, __ATOMIC_RELAXED);
}
/* What one call may ask for: whole blocks. The rest of a request is the next call's. */
static inline uint64_t reader__blocks(uint64_t n) { return reader__most(n) / READER_ALIGN * READER_ALIGN; }

static inline int64_t reader__read_direct(void *user, uint64_t offset, void *dst, uint64_t n) {
    reader *r = (reader *)user;
    if (reader__is_direct(r, offset, dst, n)) {
        const int64_t got = reader__pread(r->direct_fd, offset, dst, reader__blocks(n));
        if (got != -EINVAL) return got;
        __atomic_store_n(&r->refused, 1, __ATOMIC_RELAXED);     /* wants another alignment, or cannot at all        */
    }
    return reader__pread(r->fd, offset, dst, n);
}

/* ---- mmap --------------------------------------------------------------------------------------------------- */
/* Bytes from offset on that are still in the file. */
static inline uint64_t reader__left(const reader *r, uint64_t offset) {
    const int before = errno;
    struct stat st;
    uint64_t n = r->n_bytes;
    if (fstat(r->fd, &st) == 0 && (uint64_t)st.st_size < n) n = (uint64_t)st.st_size;
    errno = before;
    return offset < n ? n - offset : 0;
}
static inline int64_t reader__read_mapped(void *user, uint64_t offset, void *dst, uint64_t n) {
    const reader *r = (const reader *)user;
    const uint64_t left = reader__left(r, offset);
    if (n > left) n = left;
    if (n) memcpy(dst, r->base + offset, (size_t)n);
    return (int64_t)n;
}
static inline const void *reader__map(void *user, uint64_t offset, uint64_t n) {
    const reader *r = (const reader *)user;
    return r->base && n <= reader__left(r, offset) ? r->base + offset : NULL;
}

/* ---- io_uring ----------------------------------------------------------------------------------------------- */
#if defined(READER_URING)
static inline int reader__enter(const reader *r, unsigned n_submit, unsigned n_wait, unsigned flags, const void *arg, size_t arg_bytes) {
    const long rc = syscall(__NR_io_uring_enter, r->ring_fd, n_submit, n_wait, flags, arg, arg_bytes);
    return rc < 0 ? -errno : (int)rc;
}
static inline uint64_t reader__now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
/* Hands the kernel the next part of a slot's read: 0, or -errno and nothing is under way. */
static inline int reader__issue(reader *r, uint32_t i) {
    reader_slot *s = &r->slot[i];
    const unsigned tail = *r->sq_tail, at = tail & *r->sq_mask;
    struct io_uring_sqe *e = (struct io_uring_sqe *)r->sqes + at;
    int rc;
    s->direct = reader__is_direct(r, s->offset, s->dst, s->left);
    memset(e, 0, sizeof *e);
    e->opcode = IORING_OP_READ;
    e->flags = IOSQE_FIXED_FILE;
    e->fd = s->direct;                                          /* the registered files: 0 buffered, 1 direct       */
    e->off = s->offset;
    e->addr = (uint64_t)(uintptr_t)s->dst;
    e->len = (uint32_t)(s->direct ? reader__blocks(s->left) : reader__most(s->left));
    e->user_data = i;
    r->sq_array[at] = at;
    __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
    do rc = reader__enter(r, 1, 0, 0, NULL, 0);
    while (rc == -EINTR);
    if (rc == 1) return 0;
    __atomic_store_n(r->sq_tail, tail, __ATOMIC_RELEASE);       /* the kernel looks at it in the call alone         */
    return rc < 0 ? rc : -EAGAIN;
}
/* So much more of a slot's read has come. 1: that was all. */
static inline int reader__came(reader_slot *s, uint64_t n) {
    s->done += (int64_t)n; s->offset += n; s->dst += n; s->left -= n;
    return s->left == 0;
}
/* What the kernel said of a slot. 1: the read is over; 0: its next part is under way. */
static inline int reader__progress(reader *r, uint32_t i, int32_t res) {
    reader_slot *s = &r->slot[i];
    int64_t got;
    if (res == 0) return 1;                                     /* the end of the file                              */
    if (res > 0 && reader__came(s, (uint64_t)res)) return 1;
    if (res > 0 && reader__issue(r, i) == 0) return 0;
    if (res == -EINVAL && s->direct) __atomic_store_n(&r->refused, 1, __ATOMIC_RELAXED);
    /* The ring could not, for whatever reason (no memory, the thread that submitted has ended, ...): pread says what is true. */
    do got = reader__read_direct(r, s->offset, s->dst, s->left);
    while (got > 0 && !reader__came(s, (uint64_t)got));
    if (got < 0) s->done = got;
    return 1;
}
static inline int32_t reader__submit(void *user, uint64_t ticket, uint64_t offset, void *dst, uint64_t n) {
    reader *r = (reader *)user;
    const int before = errno;
    uint32_t i;
    int rc;
    if (n > INT64_MAX || (int64_t)offset < 0) return -EOVERFLOW;
    for (i = 0; i < READER_DEPTH && r->slot[i].busy; i++) {}
    if (i == READER_DEPTH) return -EAGAIN;
    r->slot[i].ticket = ticket; r->slot[i].offset = offset; r->slot[i].dst = (unsigned char *)dst; r->slot[i].left = n; r->slot[i].done = 0;
    rc = reader__issue(r, i);
    errno = before;
    if (rc) return rc;
    r->slot[i].busy = 1;
    r->n_busy++;
    return 0;
}
/* Takes what has come off the ring. 1: a read is over. */
static inline int reader__take(reader *r, uint64_t *ticket, int64_t *got) {
    for (;;) {
        const unsigned head = *r->cq_head;
        const struct io_uring_cqe *c = (const struct io_uring_cqe *)r->cqes + (head & *r->cq_mask);
        uint32_t i;
        int32_t res;
        if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE)) return 0;
        i = (uint32_t)c->user_data;
        res = c->res;
        __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
        if (!reader__progress(r, i, res)) continue;
        r->slot[i].busy = 0;
        r->n_busy--;
        *ticket = r->slot[i].ticket;
        *got = r->slot[i].done;
        return 1;
    }
}
/* The ring is broken: the kernel still writes to the host's memory, and tells of it in memory that we share, until all is over. */
static inline void reader__drain(reader *r) {
    while (r->n_busy > 0) {
        struct timespec pause;
        const unsigned tail = __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE);
        r->n_busy -= (int32_t)(tail - *r->cq_head);
        __atomic_store_n(r->cq_head, tail, __ATOMIC_RELEASE);
        pause.tv_sec = 0;
        pause.tv_nsec = 100000;
        if (r->n_busy > 0) (void)nanosleep(&pause, NULL);
    }
    memset(r->slot, 0, sizeof r->slot);
}
/* With nothing under way nothing can come: 0 at once. A timeout of 2^63 ns and more is none. */
static inline int32_t reader__wait(void *user, uint64_t *ticket, int64_t *got, uint64_t timeout_ns) {
    reader *r = (reader *)user;
    const int before = errno;
    const uint64_t begin = timeout_ns ? reader__now_ns() : 0;
    uint64_t spent = 0;
    int32_t rc = 0;
    while (!(rc = reader__take(r, ticket, got)) && r->n_busy > 0) {
        struct io_uring_getevents_arg arg;
        struct __kernel_timespec ts;
        memset(&arg, 0, sizeof arg);
        if (timeout_ns <= INT64_MAX) {
            ts.tv_sec = (int64_t)((timeout_ns - spent) / 1000000000u);
            ts.tv_nsec = (long long)((timeout_ns - spent) % 1000000000u);
            arg.ts = (uint64_t)(uintptr_t)&ts;
        }
        /* A limit of 0 is a call that waits for nothing, but lets the kernel finish what is nearly there. */
        rc = timeout_ns == spent ? reader__enter(r, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0)
                                 : reader__enter(r, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
        if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY) { reader__drain(r); break; }
        rc = reader__take(r, ticket, got);
        if (rc || timeout_ns == spent) break;
        spent = reader__now_ns() - begin;
        if (spent > timeout_ns) spent = timeout_ns;
    }
    errno = before;
    return rc;
}
static inline void reader__ring_close(reader *r) {
    uint64_t ticket;
    int64_t got;
    while (r->n_busy > 0 && reader__wait(r, &ticket, &got, UINT64_MAX) > 0) {}  /* the kernel still writes to the host's memory */
    if (r->sqes) (void)munmap(r->sqes, r->sqes_bytes);
    if (r->rings) (void)munmap(r->rings, r->rings_bytes);
    if (r->ring_fd >= 0) (void)close(r->ring_fd);
    r->sqes = r->rings = NULL;
    r->ring_fd = -1;
}
/* Sets up the ring and registers the files; 0 = the kernel would not. */
static inline int reader__ring_open(reader *r) {
    struct io_uring_params p;
    size_t cq_bytes;
    int32_t files[2];
    void *at;
    memset(&p, 0, sizeof p);
    r->ring_fd = (int32_t)syscall(__NR_io_uring_setup, READER_DEPTH, &p);
    if (r->ring_fd < 0) { r->ring_fd = -1; return 0; }
    if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !(p.features & IORING_FEAT_EXT_ARG)) return reader__ring_close(r), 0;
    r->rings_bytes = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    cq_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    if (r->rings_bytes < cq_bytes) r->rings_bytes = cq_bytes;
    r->sqes_bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    at = mmap(NULL, r->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->ring_fd, (off_t)IORING_OFF_SQ_RING);
    if (at != MAP_FAILED) r->rings = at;
    at = mmap(NULL, r->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->ring_fd, (off_t)IORING_OFF_SQES);
    if (at != MAP_FAILED) r->sqes = at;
    files[0] = r->fd;
    files[1] = r->direct_fd;                                    /* -1 is an empty place (5.5)                       */
    if (!r->rings || !r->sqes || syscall(__NR_io_uring_register, r->ring_fd, IORING_REGISTER_FILES, files, 2) < 0)
        return reader__ring_close(r), 0;
    r->sq_tail  = (unsigned *)(void *)((char *)r->rings + p.sq_off.tail);
    r->sq_mask  = (unsigned *)(void *)((char *)r->rings + p.sq_off.ring_mask);
    r->sq_array = (unsigned *)(void *)((char *)r->rings + p.sq_off.array);
    r->cq_head  = (unsigned *)(void *)((char *)r->rings + p.cq_off.head);
    r->cq_tail  = (unsigned *)(void *)((char *)r->rings + p.cq_off.tail);
    r->cq_mask  = (unsigned *)(void *)((char *)r->rings + p.cq_off.ring_mask);
    r->cqes     = (char *)r->rings + p.cq_off.cqes;
    return 1;
}
#else
static inline void reader__ring_close(reader *r) { (void)r; }
#endif

/* ---- opening ------------------------------------------------------------------------------------------------ */
static inline void reader_close(reader *r) {
    const int before = errno;
    if (!(r->flags & READER_OPEN)) return;
    reader__ring_close(r);
    if (r->base) (void)munmap(r->base, (size_t)r->n_bytes);
    if (r->direct_fd >= 0) (void)close(r->direct_fd);           /* not again after EINTR: it is closed              */
    if (r->fd >= 0) (void)close(r->fd);
    reader__clear(r);
    errno = before;
}
static inline int reader__fail(reader *r, aios_io *io, int e, int before) {
    reader_close(r);
    aios_io_init(io);
    errno = before;
    return e > 0 ? -e : -EIO;
}
static inline int reader__open_fd(const char *path, int flags) {
    int fd;
#if defined(O_CLOEXEC)
    flags |= O_CLOEXEC;
#endif
    do fd = open(path, flags | O_RDONLY | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}
/* Hints, for a host that knows better than the system. soon: these bytes will be wanted; the page cache begins to read them.
 * done: they will not be for long; they leave the page cache. Neither waits, fails, or changes what is read. */
static inline void reader_soon(const reader *r, uint64_t offset, uint64_t n) {
#if defined(POSIX_FADV_WILLNEED)
    const uint64_t most = 128 << 10;        /* Linux cuts a request to what it reads ahead, 128 KiB by default, and does not tell */
    uint64_t end;
    if (!(r->flags & READER_OPEN) || offset >= r->n_bytes) return;
    for (end = n < r->n_bytes - offset ? offset + n : r->n_bytes; offset < end; offset += most)
        (void)posix_fadvise(r->fd, (off_t)offset, (off_t)(end - offset < most ? end - offset : most), POSIX_FADV_WILLNEED);
#else
    (void)r; (void)offset; (void)n;
#endif
}
static inline void reader__soon(void *user, uint64_t offset, uint64_t n) { reader_soon((const reader *)user, offset, n); }
/* The file, its size, and pread. O_NONBLOCK while we look: a pipe would hold us up; off again: io_uring would take it at its word. */
static inline int reader__open(reader *r, const char *path, aios_io *io) {
    const int before = errno;
    struct stat st;
    int flags;
    reader__clear(r);
    aios_io_init(io);
    if (!path) return -EINVAL;
    r->flags = READER_OPEN;
    r->fd = reader__open_fd(path, O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) return reader__fail(r, io, errno, before);
    if (!S_ISREG(st.st_mode)) return reader__fail(r, io, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, before);
    flags = fcntl(r->fd, F_GETFL);
    if (st.st_size < 0 || flags < 0 || fcntl(r->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) return reader__fail(r, io, errno, before);
    r->n_bytes = (uint64_t)st.st_size;
    io->flags = AIOS_IO_ANY_OFFSET;
    io->n_bytes = r->n_bytes;
    io->read = reader__read;
    io->soon = reader__soon;
    io->user = r;
    errno = before;
    return 0;
}
static inline int reader_open_pread(reader *r, const char *path, aios_io *io) { return reader__open(r, path, io); }

static inline int reader_open_pread_drop(reader *r, const char *path, aios_io *io) {
    const int rc = reader__open(r, path, io);
    if (rc) return rc;
#if defined(POSIX_FADV_DONTNEED)
    (void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);    /* reads ahead twice as far                         */
#endif
    r->flags |= READER_DROP;
    return 0;
}
static inline int reader_open_direct(reader *r, const char *path, aios_io *io) {
#if defined(READER__O_DIRECT)
    const int before = errno;
    const int rc = reader__open(r, path, io);
    struct stat a, b;
    if (rc) return rc;
    io->flags = 0;                                              /* whole pages                                      */
    io->read = reader__read_direct;
    io->soon = NULL;
    r->direct_fd = reader__open_fd(path, READER__O_DIRECT);     /* its flag is the descriptor's: a second one       */
    if (r->direct_fd >= 0 && (fstat(r->fd, &a) != 0 || fstat(r->direct_fd, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino)) {
        (void)close(r->direct_fd);                              /* somebody has put another file there              */
        r->direct_fd = -1;
    }
    errno = before;
    return 0;
#else
    reader__clear(r);
    aios_io_init(io);
    (void)path;
    return -ENOSYS;
#endif
}
static inline int reader_open_uring(reader *r, const char *path, aios_io *io) {
    const int before = errno;
    const int rc = reader_open_direct(r, path, io);
#if defined(READER_URING)
    if (rc == 0 && reader__ring_open(r)) {
        r->flags |= READER_RING;
        io->submit = reader__submit;
        io->wait = reader__wait;
    }
#endif
    errno = before;
    return rc;
}
static inline int reader_open_mmap(reader *r, const char *path, aios_io *io) {
    const int before = errno;
    const int rc = reader__open(r, path, io);
    void *at;
    if (rc) return rc;
    if (r->n_bytes > SIZE_MAX) return reader__fail(r, io, EOVERFLOW, before);
    if (r->n_bytes) {                                           /* nothing cannot be mapped                         */
        at = mmap(NULL, (size_t)r->n_bytes, PROT_READ, MAP_SHARED, r->fd, 0);
        if (at == MAP_FAILED) return reader__fail(r, io, errno, before);
        r->base = (unsigned char *)at;      /* no advice: MADV_HUGEPAGE made faults dearer where we measured, MADV_SEQUENTIAL nothing */
    }
    r->flags |= READER_MAPPED;
    io->read = reader__read_mapped;
    io->map = reader__map;
    errno = before;
    return 0;
}
static inline void reader_done(const reader *r, uint64_t offset, uint64_t n) {
#if defined(POSIX_FADV_DONTNEED) && defined(MADV_DONTNEED)
    const int before = errno;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t end, at = (offset + page - 1) / page * page;       /* whole pages: their neighbours' bytes may be wanted */
    if (!(r->flags & READER_OPEN) || offset >= r->n_bytes) return;
    end = n < r->n_bytes - offset ? (offset + n) / page * page : r->n_bytes;
    if (at < end) {
        if (r->base) (void)madvise(r->base + at, (size_t)(end - at), MADV_DONTNEED);    /* first: mapped pages stay */
        (void)posix_fadvise(r->fd, (off_t)at, (off_t)(end - at), POSIX_FADV_DONTNEED);
    }
    errno = before;
#else
    (void)r; (void)offset; (void)n;
#endif
}
/* What was got, in a few words. */
static inline const char *reader_how(const reader *r) {
    const int direct = r->direct_fd >= 0 && !__atomic_load_n(&r->refused, __ATOMIC_RELAXED);
    if (!(r->flags & READER_OPEN)) return "closed";
    if (r->flags & READER_MAPPED) return "mmap";
    if (r->flags & READER_RING) return direct ? "io_uring, O_DIRECT" : "io_uring, page cache";
    if (r->flags & READER_DROP) return "pread, leaving no page cache";
    return direct ? "pread, O_DIRECT" : "pread, page cache";
}
#endif
#endif
