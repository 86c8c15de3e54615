/* preload.c: the tiers of aios.h under a program that knows nothing of them. A shared object for LD_PRELOAD, Linux on 64-bit machines:
 *     make build/libaios_preload.so
 *     AIOS_PRELOAD_RAM=4G AIOS_PRELOAD_STATS=1 LD_PRELOAD=$PWD/build/libaios_preload.so llama-cli -m model.gguf ...
 *
 * When the program maps a file that begins with "GGUF" for reading, it gets a range of the length that it asked for, with the file's bytes. Blocks
 * that the controller calls HOT are anonymous memory there, on huge pages where the system has some and pinned if
 * wished: they are no longer the page cache's to drop. All else is the file's own mapping. However the program opens
 * the file (open, fopen, a descriptor that it was handed), it has to map it, so mapping is what is looked at.
 *
 *     AIOS_PRELOAD_RAM=N     most bytes to make resident in all mappings, with K, M or G behind; default: three quarters of what the machine, or the
 *                            control group, has left
 *     AIOS_PRELOAD_PIN=1     mlock them (as far as ulimit -l goes)
 *     AIOS_PRELOAD_HUGE=0    no huge pages
 *     AIOS_PRELOAD_THREAD=1  return at once; a thread makes blocks resident while the program works
 *     AIOS_PRELOAD_DROP=1    tell the page cache that it need not keep what was copied (other programs may think differently)
 *     AIOS_PRELOAD_STATS=1   what was done, on stderr; AIOS_PRELOAD_OFF=1  nothing is done
 *
 * Every page that changes hands is filled first and then moved over the file's with one mremap: whoever reads meanwhile sees the
 * same bytes. Anything unusual (a mapping to write to or at a fixed place, a part of a split model, a damaged file, too little memory) is left to the
 * system. A file that is written to while it is mapped shows that in the pages that are still its own only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#ifndef AIOSK_NO_SIMD           /* no weight is computed with here */
#define AIOSK_NO_SIMD
#endif
#define AIOS_NO_THREADS
#define AIOS_NO_FILES
#define AIOS_IMPLEMENTATION
#include "aios.h"

#if defined(__linux__) && UINTPTR_MAX > UINT32_MAX

enum { PAGE = 4096, HUGE = 2 << 20, PIECE = 16 << 20, MAX_REGIONS = 32, LEAST = 1 << 20 };
#define PUBLIC __attribute__((visibility("default")))

/* The system's own calls: the C library's names are ours here. */
static void *sys_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off) { return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, off); }
static int sys_munmap(void *p, size_t n) { return (int)syscall(SYS_munmap, p, n); }
static int sys_madvise(void *p, size_t n, int advice) { return (int)syscall(SYS_madvise, p, n, advice); }

/* A run of HOT pages. FILE: still the file's; OURS: moved in; GONE: the program has unmapped or changed it, so it stays as it is. */
enum { FILE_S = 0, OURS = 1, GONE = 2 };
typedef struct piece { char *at; size_t n; uint64_t file_off; int state; } piece;
typedef struct region {
    char *base;                 /* NULL: a free place                                                   */
    size_t n, unmapped;
    int fd, filling;
    piece *p;
    size_t n_p, p_bytes;
    uint64_t planned, hot, pinned, huge, tensors, fill_ns, file_bytes;
    uint32_t degraded;
    char name[128];
} region;

static void touched(char *p, size_t n, size_t gone);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static region regions[MAX_REGIONS];
static int n_regions;           /* places ever used; read without the lock as a first look              */

static struct { uint64_t ram; int pin, huge, thread, drop, stats, off; } config;
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static int flag(const char *name, int dflt) { const char *s = getenv(name); return s && s[0] ? s[0] != '0' : dflt; }
static void fork_before(void) { pthread_mutex_lock(&lock); }
static void fork_after(void) { pthread_mutex_unlock(&lock); }
__attribute__((constructor)) static void start(void) {
    const char *s = getenv("AIOS_PRELOAD_RAM");
    char *end = NULL;
    config.off = flag("AIOS_PRELOAD_OFF", 0);       config.pin = flag("AIOS_PRELOAD_PIN", 0);   config.huge = flag("AIOS_PRELOAD_HUGE", 1);
    config.thread = flag("AIOS_PRELOAD_THREAD", 0); config.drop = flag("AIOS_PRELOAD_DROP", 0); config.stats = flag("AIOS_PRELOAD_STATS", 0);
    if (s && s[0]) {
        config.ram = strtoull(s, &end, 10);
        if (*end == 'K' || *end == 'k') config.ram <<= 10;
        if (*end == 'M' || *end == 'm') config.ram <<= 20;
        if (*end == 'G' || *end == 'g') config.ram <<= 30;
        if (config.ram == 0) config.off = 1;        /* nothing may be resident, or no number */
    }
    if (sysconf(_SC_PAGESIZE) != PAGE) config.off = 1;
    pthread_atfork(fork_before, fork_after, fork_after);
}

/* ---- what the controller needs -------------------------------------------------------------------------------------- */
static void *take(void *user, const aios_mem_req *r) {      /* its tables only: a page's alignment will do */
    void *p = r->align > PAGE ? MAP_FAILED : sys_mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)user;
    return p == MAP_FAILED ? NULL : p;
}
static void give(void *user, void *p, const aios_mem_req *r) { (void)user; sys_munmap(p, r->bytes); }
static int64_t file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    ssize_t got;
    do got = pread((int)(intptr_t)user, dst, n < 1u << 30 ? n : 1u << 30, (off_t)off);
    while (got < 0 && errno == EINTR);
    return got;
}
/* Addresses that nothing is read through: blocks are only looked up. */
static const void *file_map(void *user, uint64_t off, uint64_t n) { (void)user; (void)n; return (const void *)(uintptr_t)(PAGE + off); }

/* Lists the runs of HOT pages in [off, off + n) of the file. With out NULL it counts. A page goes with the
 * run if all of it does; blocks less than a page apart (the padding between tensors) are one run. */
static size_t runs(const aios_blocks *b, uint64_t off, uint64_t n, char *base, piece *out) {
    uint64_t lo = 0, hi = 0;
    uint32_t id, n_blocks = aios_blocks_count(b);
    size_t count = 0;
    for (id = 0; id <= n_blocks; id++) {
        aios_block_info i;
        aios_block_info_init(&i);
        i.tier = AIOS_TIER_STREAM;
        if (id < n_blocks) aios_block_get_info(b, id, &i);
        if (id < n_blocks && i.tier != AIOS_TIER_HOT) continue;
        if (id < n_blocks && hi && i.file_offset - hi < PAGE) { hi = i.file_offset + i.n_bytes; continue; }
        lo = (lo > off ? lo + PAGE - 1 : off) / PAGE * PAGE;
        hi = (hi < off + n ? hi : off + n) / PAGE * PAGE;
        for (; lo < hi; count++) {                          /* cut where huge pages begin */
            uint64_t at = (uint64_t)(uintptr_t)base + (lo - off), to = (at + PIECE) / HUGE * HUGE - at;
            if (to > hi - lo) to = hi - lo;
            if (out) { out[count].at = base + (lo - off); out[count].n = to; out[count].file_off = lo; out[count].state = FILE_S; }
            lo += to;
        }
        lo = i.file_offset;
        hi = i.file_offset + i.n_bytes;
    }
    return count;
}

/* ---- pages change hands --------------------------------------------------------------------------------------------- */
static int read_all(int fd, char *dst, size_t n, uint64_t off) {
    while (n) {
        int64_t got = file_read((void *)(intptr_t)fd, off, dst, n);
        if (got <= 0) return 0;
        dst += got; off += (uint64_t)got; n -= (size_t)got;
    }
    return 1;
}
/* Fills memory of ours and moves it over the file's pages. On any failure those stay. */
static void fill_piece(region *r, piece *p) {
    size_t room = p->n + HUGE, head;
    char *m = (char *)sys_mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int pinned = 0, ok;
    if (m == (char *)MAP_FAILED) return;
    head = ((size_t)(uintptr_t)p->at - (size_t)(uintptr_t)m) & (HUGE - 1);     /* as far into a huge page as where it goes, so that moving keeps them whole */
    if (head) sys_munmap(m, head);
    if (room - head > p->n) sys_munmap(m + head + p->n, room - head - p->n);
    m += head;
    if (config.huge) sys_madvise(m, p->n, MADV_HUGEPAGE);
    ok = read_all(r->fd, m, p->n, p->file_off) && mprotect(m, p->n, PROT_READ) == 0;
    if (ok && config.pin) pinned = mlock(m, p->n) == 0;
    pthread_mutex_lock(&lock);
    if (ok && p->state == FILE_S && syscall(SYS_mremap, m, p->n, p->n, MREMAP_MAYMOVE | MREMAP_FIXED, p->at) == (long)(intptr_t)p->at) {
        p->state = OURS;
        r->hot += p->n;
        r->pinned += pinned ? p->n : 0;
        m = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (m) sys_munmap(m, p->n);
    else if (config.drop) posix_fadvise(r->fd, (off_t)p->file_off, (off_t)p->n, POSIX_FADV_DONTNEED);
}
static uint64_t huge_bytes(const region *r) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long lo = 0, from, to, kb;
    uint64_t sum = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) lo = from;          /* "Anonymous" begins with a hexadecimal digit too */
        if (lo >= (uintptr_t)r->base && lo < (uintptr_t)r->base + r->n && sscanf(line, "AnonHugePages: %lu kB", &kb) == 1) sum += (uint64_t)kb << 10;
    }
    if (f) fclose(f);
    return sum;
}
/* A range that is gone makes its place free. With the lock held. */
static void release(region *r) {
    if (r->filling || r->unmapped < r->n) return;
    sys_munmap(r->p, r->p_bytes);
    r->base = NULL; r->p = NULL; r->n_p = 0;
}
static void fill(region *r) {
    uint64_t t0 = now_ns();
    size_t i;
    for (i = 0; i < r->n_p; i++) if (r->p[i].state == FILE_S) fill_piece(r, &r->p[i]);
    r->fill_ns = now_ns() - t0;
    if (config.stats) r->huge = huge_bytes(r);
    close(r->fd);
    pthread_mutex_lock(&lock);
    r->filling = 0;
    release(r);
    pthread_mutex_unlock(&lock);
}
static void *fill_thread(void *arg) { fill((region *)arg); return NULL; }
static int fill_on_thread(region *r) {
    pthread_attr_t a;
    pthread_t t;
    sigset_t all, before;
    int ok;
    if (pthread_attr_init(&a)) return 0;
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);                                   /* signals are the program's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&t, &a, fill_thread, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&a);
    return ok;
}

/* Three quarters of what is left to this process. */
static uint64_t available(void) {
    static const char *const files[] = { "/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current" };
    uint64_t v[3] = { 0, 0, 0 }, left;
    int i;
    for (i = 0; i < 3; i++) {
        char text[4096];
        const char *at = text;
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        text[n > 0 ? n : 0] = 0;
        if (i == 0) { at = strstr(text, "MemAvailable:"); at = at ? at + 13 : ""; }
        v[i] = strtoull(at, NULL, 10);                      /* "max": 0 */
    }
    left = v[0] << 10;
    if (v[1] && v[1] > v[2] && (v[1] - v[2] < left || !left)) left = v[1] - v[2];
    return left / 4 * 3;
}

/* ---- mapping ---------------------------------------------------------------------------------------------------------- */
/* Opens a controller on the file that is mapped at base and lists what is HOT. 0: the file stays as it is. */
static int plan_region(region *r, uint64_t off, uint64_t file_bytes, uint64_t ram) {
    aios_allocator mem;
    aios_io io;
    aios_blocks_desc d;
    aios_blocks_plan plan;
    aios_blocks *b;
    aios_error err;
    void *p;
    size_t i;
    if (!ram) return 0;
    aios_allocator_init(&mem);
    mem.alloc = take; mem.free = give;
    aios_io_init(&io);
    io.n_bytes = file_bytes; io.read = file_read; io.map = file_map; io.user = (void *)(intptr_t)r->fd;
    aios_blocks_desc_init(&d);
    d.mem = &mem; d.io = &io; d.flags = AIOS_BLOCKS_IN_PLACE;
    d.block_bytes = 1 << 20; d.ram_bytes = ram; d.max_rws_percent = 100; d.hot_floor_percent = 1;
    aios_blocks_plan_init(&plan);
    if (aios_blocks_measure(&d, &plan, &err) || aios_blocks_open(&d, &b, &err)) {
        if (config.stats) dprintf(2, "aios_preload: left alone: %s\n", err.text);
        return 0;
    }
    r->tensors = plan.hot_bytes + plan.warm_bytes + plan.stream_bytes;
    r->degraded = plan.degraded;
    r->n_p = runs(b, off, r->n, r->base, NULL);
    r->p_bytes = (r->n_p * sizeof *r->p + PAGE) / PAGE * PAGE;
    p = sys_mmap(NULL, r->p_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) { aios_blocks_free(b); return 0; }
    r->p = (piece *)p;
    runs(b, off, r->n, r->base, r->p);
    for (i = 0; i < r->n_p; i++) r->planned += r->p[i].n;
    aios_blocks_free(b);
    return 1;
}
/* The file's mapping, begun at an address where huge pages can fall on the same bounds in it and in what is moved in. */
static char *map_aligned(size_t n, int flags, int fd, off_t off) {
    size_t room = (n + PAGE - 1) / PAGE * PAGE + HUGE, head;
    char *m = (char *)sys_mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == (char *)MAP_FAILED) return NULL;
    head = (HUGE - ((uintptr_t)m & (HUGE - 1))) & (HUGE - 1);
    if (head) sys_munmap(m, head);
    sys_munmap(m + head + room - HUGE, HUGE - head);
    if (sys_mmap(m + head, n, PROT_READ, flags | MAP_FIXED, fd, off) != (void *)(m + head)) {
        sys_munmap(m + head, room - HUGE);
        return NULL;
    }
    return m + head;
}
static int begins_with_gguf(int fd) {
    uint8_t magic[4];
    return pread(fd, magic, 4, 0) == 4 && !memcmp(magic, "GGUF", 4);
}
/* NULL: not one of ours, or nothing to be done for it. */
static void *serve(size_t n, int flags, int fd, off_t off) {
    struct stat st;
    char name[64];
    region *r = NULL, x;
    ssize_t len;
    size_t i, at;
    uint64_t ram;
    int own, sync;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || off < 0 || off % PAGE || st.st_size < LEAST || (uint64_t)off + n > ((uint64_t)st.st_size + PAGE - 1) / PAGE * PAGE) return NULL;
    own = fcntl(fd, F_GETFL);
    if (own < 0 || (own & O_PATH) || (own & O_ACCMODE) != O_RDONLY) return NULL;     /* who can write to the file might, and look at it here */
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    own = open(name, O_RDONLY | O_CLOEXEC);                  /* the program's may be closed before we are done, or be O_DIRECT */
    if (own < 0) return NULL;
    if (!begins_with_gguf(own)) { close(own); return NULL; }
    sync = !config.thread;
    ram = config.ram ? config.ram : available();
    memset(&x, 0, sizeof x);
    x.fd = own; x.n = n; x.file_bytes = (uint64_t)st.st_size; x.filling = 1;
    len = readlink(name, x.name, sizeof x.name - 1);
    if (len < 0) x.name[0] = 0;
    x.base = map_aligned(n, sync ? flags & ~MAP_POPULATE : flags, fd, off);
    pthread_mutex_lock(&lock);
    for (i = 0; x.base && i < MAX_REGIONS && !r; i++) if (!regions[i].base && !regions[i].filling) { r = &regions[i]; r->filling = 1; }
    for (i = 0; config.ram && i < MAX_REGIONS; i++)         /* what other mappings have of it */
        if (regions[i].base) ram -= ram < regions[i].planned ? ram : regions[i].planned;
    pthread_mutex_unlock(&lock);
    if (!r || !plan_region(&x, (uint64_t)off, (uint64_t)st.st_size, ram)) {
        if (x.base) sys_munmap(x.base, n);
        close(own);
        pthread_mutex_lock(&lock);
        if (r) r->filling = 0;
        pthread_mutex_unlock(&lock);
        return NULL;
    }
    pthread_mutex_lock(&lock);
    *r = x;
    if (n_regions < (int)(r - regions) + 1) __atomic_store_n(&n_regions, (int)(r - regions) + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    if (!sync && fill_on_thread(r)) return r->base;
    fill(r);
#ifdef MADV_POPULATE_READ
    for (at = 0, i = 0; sync && (flags & MAP_POPULATE) && at < n; i++) {           /* what the program asked for, where it is still the file's */
        size_t to = i < r->n_p ? (size_t)(r->p[i].at - r->base) : n;
        if (i < r->n_p && r->p[i].state != OURS) continue;
        if (to > at) sys_madvise(r->base + at, to - at, MADV_POPULATE_READ);
        at = i < r->n_p ? to + r->p[i].n : n;
    }
#else
    (void)at;
#endif
    return r->base;
}

PUBLIC void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off) {
    if (!config.off && !addr && fd >= 0 && prot == PROT_READ && n >= LEAST && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS | MAP_LOCKED | MAP_HUGETLB | MAP_GROWSDOWN | MAP_32BIT))) {
        int before = errno;
        void *p = serve(n, flags, fd, off);
        errno = before;
        if (p) return p;
    }
    if ((flags & MAP_FIXED) && addr && __atomic_load_n(&n_regions, __ATOMIC_ACQUIRE)) {
        void *p;
        pthread_mutex_lock(&lock);
        touched((char *)addr, n, n);
        p = sys_mmap(addr, n, prot, flags, fd, off);
        pthread_mutex_unlock(&lock);
        return p;
    }
    return sys_mmap(addr, n, prot, flags, fd, off);
}
PUBLIC void *mmap64(void *addr, size_t n, int prot, int flags, int fd, off64_t off) __attribute__((alias("mmap")));

/* ---- what the program does to its range ------------------------------------------------------------------------------- */
/* Pages in [p, p + n) are no longer what they were: no piece goes there any more. gone: so many bytes are unmapped. With the lock held. */
static void touched(char *p, size_t n, size_t gone) {
    int i;
    size_t j;
    for (i = 0; i < n_regions; i++) {
        region *r = &regions[i];
        char *lo = p > r->base ? p : r->base, *hi = p + n < r->base + r->n ? p + n : r->base + r->n;
        if (!r->base || lo >= hi) continue;
        for (j = 0; j < r->n_p; j++)
            if (r->p[j].at < hi && r->p[j].at + r->p[j].n > lo && r->p[j].state == FILE_S) r->p[j].state = GONE;
        if (gone) r->unmapped += (size_t)(hi - lo) / PAGE * PAGE + ((size_t)(hi - lo) % PAGE ? PAGE : 0);
        release(r);
    }
}
static int in_a_region(const char *p, size_t n) {
    int i, m = __atomic_load_n(&n_regions, __ATOMIC_ACQUIRE);
    for (i = 0; i < m; i++) {
        char *base = __atomic_load_n(&regions[i].base, __ATOMIC_RELAXED);
        if (base && p < base + regions[i].n && p + n > base) return 1;
    }
    return 0;
}
PUBLIC int munmap(void *p, size_t n) {
    int rc;
    if (!in_a_region((char *)p, n)) return sys_munmap(p, n);
    pthread_mutex_lock(&lock);          /* no piece arrives between our looking and the system's doing */
    touched((char *)p, n, n);
    rc = sys_munmap(p, n);
    pthread_mutex_unlock(&lock);
    return rc;
}
PUBLIC int mprotect(void *p, size_t n, int prot) {
    int rc;
    if (prot == PROT_READ || !in_a_region((char *)p, n)) return (int)syscall(SYS_mprotect, p, n, prot);
    pthread_mutex_lock(&lock);
    touched((char *)p, n, 0);
    rc = (int)syscall(SYS_mprotect, p, n, prot);
    pthread_mutex_unlock(&lock);
    return rc;
}
PUBLIC void *mremap(void *p, size_t old_n, size_t n, int flags, ...) {
    va_list ap;
    void *to, *rc;
    va_start(ap, flags);
    to = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
    va_end(ap);
    if (!in_a_region((char *)p, old_n ? old_n : n) && !(to && in_a_region((char *)to, n))) return (void *)syscall(SYS_mremap, p, old_n, n, flags, to);
    pthread_mutex_lock(&lock);
    touched((char *)p, old_n ? old_n : n, 0);
    if (to) touched((char *)to, n, 0);
    rc = (void *)syscall(SYS_mremap, p, old_n, n, flags, to);
    pthread_mutex_unlock(&lock);
    return rc;
}
/* Advice that would empty pages means another thing for a file, whose bytes come back, than for memory of ours, whose bytes would
 * not; and asking for pages that are there already is an error on some systems. Both are for the file's pages only. */
static int advise(void *p, size_t n, int advice) {
    int rc = 0, i;
    char *at = (char *)p, *end = (char *)p + (n + PAGE - 1) / PAGE * PAGE;
    if ((advice != MADV_DONTNEED && advice != MADV_WILLNEED && advice != 8 /* FREE */ && advice != MADV_REMOVE && advice != 24 /* DONTNEED_LOCKED */) || !in_a_region(at, n)) return sys_madvise(p, n, advice);
    pthread_mutex_lock(&lock);
    while (at < end && !rc) {                               /* up to the next page of ours, then over it */
        char *to = end, *over = end;
        for (i = 0; i < n_regions; i++) {
            size_t j;
            for (j = 0; regions[i].base && j < regions[i].n_p; j++) {
                piece *q = &regions[i].p[j];
                if (q->state != OURS || q->at + q->n <= at || q->at >= to) continue;
                to = q->at > at ? q->at : at;
                over = q->at + q->n;
            }
        }
        if (to > at) rc = sys_madvise(at, (size_t)(to - at), advice);
        at = to == end ? end : over;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}
PUBLIC int madvise(void *p, size_t n, int advice) { return advise(p, n, advice); }
PUBLIC int posix_madvise(void *p, size_t n, int advice) {
    int before = errno, rc;
    if (advice == POSIX_MADV_DONTNEED) return 0;            /* as the C library has it */
    rc = advise(p, n, advice) ? errno : 0;
    errno = before;
    return rc;
}

__attribute__((destructor)) static void end(void) {
    struct rusage u;
    int i;
    if (!config.stats) return;
    for (i = 0; i < n_regions; i++) {
        const region *r = &regions[i];
        dprintf(2, "aios_preload: %s: %.1f MiB, tensors %.1f, resident %.1f (huge pages %.1f, pinned %.1f) in %.0f ms, degraded %u\n", r->name, (double)r->file_bytes / 1048576,
                (double)r->tensors / 1048576, (double)r->hot / 1048576, (double)r->huge / 1048576, (double)r->pinned / 1048576, (double)r->fill_ns / 1e6, r->degraded);
    }
    if (!getrusage(RUSAGE_SELF, &u)) dprintf(2, "aios_preload: %ld minor and %ld major faults, %.1f MiB at most\n", u.ru_minflt, u.ru_majflt, (double)u.ru_maxrss / 1024);
}
#else
typedef int aios_preload_is_for_linux;
#endif
