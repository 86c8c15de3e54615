/* bench_disk.c: how fast a file can be read from the disk: through the page cache, past it, and with io_uring, with so many reads
 * of such a size under way at a time; and the tools that bench/stream.sh needs for runs under a limit of memory.
 *
 *     build/bench_disk -f FILE [-s SECONDS] [-b SIZE,...] [-q DEPTH,...] [-w WAY,...] [-r] [-t]
 *         a table of GB/s, CPU seconds per GB, and milliseconds per read. Way: pread, drop, direct, uring, mmap; depth: reads under way,
 *         which for all but uring are threads. -r: places at random, not one after the other. -t: GB/s of the first case alone.
 *     build/bench_disk -d FILE             takes the file out of the page cache, and says how much of it is still there
 *     build/bench_disk -x FILE COMMAND...  runs it; writes to FILE, as NAME=NUMBER: wall_s cpu_s read_bytes (from the disk) max_rss_bytes faults
 *                                          (those that waited for the disk) status
 *     build/bench_disk -k BYTES COMMAND... runs it while all memory but BYTES is taken and locked: a limit where there are no control
 *                                          groups. Needs the right to lock memory; others on the machine feel it too.
 *
 * Before each case the file is taken out of the page cache. What the host of a virtual machine holds of it is not to be seen from here:
 * a file larger than its memory is the only sure way. */
#define _GNU_SOURCE
#include "aios.h"
#include "../examples/readers.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#if !defined(__linux__)
int main(void) {
    fprintf(stderr, "bench_disk: only Linux tells what it needs to know\n");
    return 1;
}
#else

enum { MAX_LIST = 16, MAX_DEPTH = 64 };

static void die(const char *what, const char *which) {
    fprintf(stderr, "bench_disk: %s %s\n", what, which);
    exit(1);
}
static double wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static double seconds(const struct timeval *t) { return (double)t->tv_sec + 1e-6 * (double)t->tv_usec; }
static double cpu(int who) {
    struct rusage u;
    getrusage(who, &u);
    return seconds(&u.ru_utime) + seconds(&u.ru_stime);
}

/* ---- the page cache ----------------------------------------------------------------------------------------- */
static double resident(const char *path) {      /* bytes of the file that are in memory */
    unsigned char vec[4096];
    struct stat st;
    double n = 0;
    uint64_t at, page = (uint64_t)sysconf(_SC_PAGESIZE), piece = sizeof vec * page;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) die("cannot open", path);
    for (at = 0; at < (uint64_t)st.st_size; at += piece) {
        const uint64_t k = (uint64_t)st.st_size - at < piece ? (uint64_t)st.st_size - at : piece;
        void *p = mmap(NULL, (size_t)k, PROT_READ, MAP_SHARED, fd, (off_t)at);
        uint64_t i;
        if (p == MAP_FAILED || mincore(p, (size_t)k, vec) != 0) die("cannot look into", path);
        for (i = 0; i < (k + page - 1) / page; i++) n += (vec[i] & 1) * (double)page;
        munmap(p, (size_t)k);
    }
    close(fd);
    return n;
}
static void drop(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) die("cannot open", path);
    (void)fsync(fd);                            /* what is not written yet cannot go */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */
typedef struct way { const char *name; int (*open)(reader *r, const char *path, aios_io *io); } way;
static const way ways[] = { { "pread", reader_open_pread }, { "drop", reader_open_pread_drop }, { "direct", reader_open_direct },
                            { "uring", reader_open_uring }, { "mmap", reader_open_mmap } };
enum { N_WAYS = sizeof ways / sizeof *ways };

typedef struct run {
    const aios_io *io;
    uint64_t size, n_places, next, n_done, seed;
    char *room;                                 /* size bytes for each read under way */
    int random, failed, n_threads;
    double end;
} run;
static uint64_t place(run *r) {
    uint64_t i = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
    if (!r->random) return i % r->n_places * r->size;
    i = (i + r->seed) * 0x9E3779B97F4A7C15u;
    i = (i ^ (i >> 29)) * 0xBF58476D1CE4E5B9u;
    return (i ^ (i >> 32)) % r->n_places * r->size;
}
static void *buffer(uint64_t n) {
    void *p = NULL;
    if (posix_memalign(&p, 1 << 21, (size_t)n) != 0) die("out of", "memory");
    memset(p, 1, (size_t)n);
    return p;
}
static void *reads(void *arg) {                 /* one thread, one read after the other */
    run *r = (run *)arg;
    char *p = r->room + (uint64_t)__atomic_fetch_add(&r->n_threads, 1, __ATOMIC_RELAXED) * r->size;
    while (wall() < r->end && !__atomic_load_n(&r->failed, __ATOMIC_RELAXED)) {
        const uint64_t off = place(r);
        uint64_t done = 0;
        while (done < r->size) {
            int64_t got = r->io->read(r->io->user, off + done, p + done, r->size - done);
            if (got <= 0) { __atomic_store_n(&r->failed, 1, __ATOMIC_RELAXED); break; }
            done += (uint64_t)got;
        }
        __atomic_fetch_add(&r->n_done, done, __ATOMIC_RELAXED);
    }
    return NULL;
}
static void ring_reads(run *r, int depth) {
    char *p = r->room;
    uint64_t ticket;
    int64_t got;
    int i, n = 0;
    for (i = 0; i < depth; i++, n++)
        if (r->io->submit(r->io->user, (uint64_t)i, place(r), p + (uint64_t)i * r->size, r->size) != 0) { r->failed = 1; break; }
    while (n > 0 && r->io->wait(r->io->user, &ticket, &got, UINT64_MAX) == 1) {
        n--;
        if (got != (int64_t)r->size) r->failed = 1;
        else r->n_done += r->size;
        if (r->failed || wall() >= r->end) continue;
        if (r->io->submit(r->io->user, ticket, place(r), p + ticket * r->size, r->size) == 0) n++;
        else r->failed = 1;
    }
}
/* GB/s; 0 = not to be had here */
static double measure(const char *path, const way *w, uint64_t size, int depth, double limit_s, int random, int quiet) {
    static reader file;
    pthread_t t[MAX_DEPTH];
    aios_io io;
    run r;
    double t0, c0, s, gb;
    int i, n_started = 1;
    drop(path);
    if (w->open(&file, path, &io)) die("cannot open", path);
    memset(&r, 0, sizeof r);
    r.io = &io; r.size = size; r.n_places = io.n_bytes / size; r.random = random; r.seed = (uint64_t)(wall() * 1e6);
    if (r.n_places < (uint64_t)depth) die("too small a file:", path);
    if (w->open == reader_open_uring && !io.submit) { reader_close(&file); return 0; }
    r.room = (char *)buffer(size * (uint64_t)depth);           /* before the clock: its pages are made, too */
    t0 = wall(); c0 = cpu(RUSAGE_SELF);
    r.end = t0 + limit_s;
    if (io.submit) {
        ring_reads(&r, depth);
    } else {
        for (i = 1; i < depth; i++, n_started++) if (pthread_create(&t[i], NULL, reads, &r) != 0) break;
        reads(&r);
        for (i = 1; i < n_started; i++) pthread_join(t[i], NULL);
    }
    s = wall() - t0;
    gb = (double)r.n_done * 1e-9;
    if (r.failed) die("a read failed, of", path);
    if (!quiet) printf("%-7s %6llu KiB %4d %9.3f GB/s %8.3f CPU s/GB %8.2f ms/read %7.0f MB%s   %s\n", w->name, (unsigned long long)size >> 10, depth, gb / s,
                       (cpu(RUSAGE_SELF) - c0) / gb, s * depth / ((double)r.n_done / (double)size) * 1e3, gb * 1e3,
                       !random && (w->open == reader_open_pread || w->open == reader_open_mmap) && r.next > r.n_places ? " (came round: partly from the cache)" : "", reader_how(&file));
    fflush(stdout);
    reader_close(&file);
    free(r.room);
    return gb / s;
}

/* ---- runs --------------------------------------------------------------------------------------------------- */
static int command(char **argv, const char *report) {
    struct rusage u;
    const double t0 = wall();
    int status = 0;
    FILE *f;
    pid_t child = fork();
    if (child == 0) { execvp(argv[0], argv); die("cannot run", argv[0]); }
    if (child < 0) die("cannot start", argv[0]);
    while (wait4(child, &status, 0, &u) < 0) if (errno != EINTR) die("lost", argv[0]);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (report) {
        if (!(f = fopen(report, "w"))) die("cannot write", report);
        fprintf(f, "wall_s=%.3f\ncpu_s=%.3f\nread_bytes=%.0f\nmax_rss_bytes=%.0f\nfaults=%ld\nstatus=%d\n", wall() - t0, seconds(&u.ru_utime) + seconds(&u.ru_stime),
                (double)u.ru_inblock * 512, (double)u.ru_maxrss * 1024, u.ru_majflt, status);
        if (fclose(f) != 0) die("cannot write", report);
    }
    return status;
}
static double available(void) {
    double kb = 0;
    char line[200];
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f) die("cannot read", "/proc/meminfo");
    while (fgets(line, sizeof line, f)) if (sscanf(line, "MemAvailable: %lf", &kb) == 1) break;
    fclose(f);
    return kb * 1024;
}
static int with_ballast(double keep, char **argv) {
    double n = available() - keep;
    void *p = MAP_FAILED;
    int status;
    if (n > 0) {
        p = mmap(NULL, (size_t)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mlock(p, (size_t)n) != 0) die("cannot lock memory:", strerror(errno));
    }
    status = command(argv, NULL);               /* locks are not inherited; the memory stays ours */
    if (p != MAP_FAILED) munmap(p, (size_t)n);
    return status;
}

static uint64_t bytes_of(const char *s, char **end) {
    double v = strtod(s, end);
    const char *unit = **end ? strchr("KMG", **end) : NULL;
    if (unit) { v *= *unit == 'K' ? 1024.0 : *unit == 'M' ? 1048576.0 : 1073741824.0; (*end)++; }
    if (!(v >= 1 && v < 1e18)) die("no size:", s);
    return (uint64_t)v;
}
static int list_of(const char *s, uint64_t *out) {
    int n = 0;
    char *end;
    for (;;) {
        if (n == MAX_LIST) die("too many in", s);
        out[n++] = bytes_of(s, &end);
        if (!*end) return n;
        if (*end != ',') die("no list of numbers:", s);
        s = end + 1;
    }
}

int main(int argc, char **argv) {
    const char *path = NULL, *names = "pread,drop,direct,uring,mmap";
    uint64_t size[MAX_LIST] = { 256 << 10, 1 << 20, 4 << 20 }, depth[MAX_LIST] = { 1, 4, 32 };
    int n_sizes = 3, n_depths = 3, random = 0, terse = 0, i, k, w;
    double limit_s = 1;
    char *end;
    if (argc > 3 && !strcmp(argv[1], "-x")) return command(argv + 3, argv[2]);
    if (argc > 3 && !strcmp(argv[1], "-k")) return with_ballast((double)bytes_of(argv[2], &end), argv + 3);
    if (argc == 3 && !strcmp(argv[1], "-d")) { drop(argv[2]); printf("%.0f\n", resident(argv[2])); return 0; }
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-r")) random = 1;
        else if (!strcmp(argv[i], "-t")) terse = 1;
        else if (i + 1 == argc || argv[i][0] != '-' || !argv[i][1] || argv[i][2]) die("what is", argv[i]);
        else switch (argv[i++][1]) {
            case 'f': path = argv[i]; break;
            case 's': limit_s = atof(argv[i]); break;
            case 'b': n_sizes = list_of(argv[i], size); break;
            case 'q': n_depths = list_of(argv[i], depth); break;
            case 'w': names = argv[i]; break;
            default: die("there is no", argv[i - 1]);
        }
    }
    if (!path) die("give", "-f FILE");
    for (w = 0; w < N_WAYS; w++) {
        const char *at = strstr(names, ways[w].name);
        if (!at) continue;
        for (i = 0; i < n_sizes; i++)
            for (k = 0; k < n_depths; k++) {
                double gb_s;
                if (depth[k] < 1 || depth[k] > (ways[w].open == reader_open_uring ? (uint64_t)READER_DEPTH : (uint64_t)MAX_DEPTH)) die("no such depth for", ways[w].name);
                gb_s = measure(path, &ways[w], size[i], (int)depth[k], limit_s, random, terse);
                if (terse) { printf("%.4f\n", gb_s); return 0; }
            }
    }
    drop(path);
    return 0;
}
#endif
