/* bench_stream.c: does streaming use the storage to the full? The disks of many machines differ from one second to the next by more
 * than what is asked here, so this one is made: a reader over the mapped file that takes exactly bytes / rate for each read, one after
 * the other, as a disk at that rate would. A token then cannot take less than streamed bytes / rate; the share of that is printed.
 *
 *     bench_stream -m MODEL.gguf [-a ARTIFACT] [-r RAM_MB,..] [-s GB/s,..] [-t THREADS] [-n TOKENS] [-w TOKENS] [-k READERS]
 *
 * Prints for each budget and rate: what is streamed per token, the token's time, the bound, its share, and how much of the time was
 * spent waiting for data; of experts in a cache, how many of those that were wanted were there. -w tokens come before the clock starts;
 * no token comes twice. RAM 0: no budget; a rate of 0: as fast as memory copies. READERS 0 reads inside the step: then computing and
 * reading take turns, for comparison. */
#define _DEFAULT_SOURCE
#include "aios.h"
#include "bench.h"
#include <pthread.h>
#include <sys/mman.h>

typedef struct disk { const char *p; uint64_t n, free_at; double rate; pthread_mutex_t lock; } disk;
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static int64_t disk_read(void *user, uint64_t off, void *dst, uint64_t n) {
    disk *d = (disk *)user;
    uint64_t now = now_ns(), until;
    if (d->rate > 0) {
        pthread_mutex_lock(&d->lock);
        if (d->free_at < now) d->free_at = now;
        until = d->free_at += (uint64_t)((double)n / d->rate);
        pthread_mutex_unlock(&d->lock);
        memcpy(dst, d->p + off, (size_t)n);
        now = now_ns();
        if (until > now) {
            struct timespec t;
            t.tv_sec = (time_t)((until - now) / 1000000000u);
            t.tv_nsec = (long)((until - now) % 1000000000u);
            nanosleep(&t, NULL);
        }
    } else memcpy(dst, d->p + off, (size_t)n);
    return (int64_t)n;
}
static void *take(void *user, const aios_mem_req *r) {
    void *p = NULL;
    (void)user;
    return posix_memalign(&p, (size_t)r->align, (size_t)r->bytes) ? NULL : p;
}
static void give(void *user, void *p, const aios_mem_req *r) { (void)user; (void)r; free(p); }

static void run(const char *path, disk *d, disk *art, uint64_t ram, double rate, int32_t threads, int32_t readers, int32_t n_warm, int32_t n_tokens) {
    aios_allocator mem;
    aios_io io, packed;
    aios_model_info info;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_model *m = NULL;
    aios_context *c = NULL;
    aios_counters count;
    aios_error err;
    uint64_t t0 = 0, t;
    double bound, mb;
    int32_t i;
    aios_allocator_init(&mem);
    mem.alloc = take; mem.free = give;
    aios_io_init(&io);
    io.n_bytes = d->n; io.read = disk_read; io.user = d;
    aios_model_desc_init(&md);
    md.mem = &mem; md.io = &io;
    if (art->p) {
        packed = io;
        packed.n_bytes = art->n; packed.user = art;
        md.artifact = &packed;
    }
    aios_plan_desc_init(&pd);
    pd.n_ctx = n_warm + n_tokens; pd.n_threads = threads; pd.budget_bytes = ram; pd.n_readers = readers; pd.n_batch = 16;
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    d->rate = art->rate = 0;                /* loading is not measured */
    aios_model_info_init(&info);
    if (aios_model_open(&md, &m, &err) || aios_plan_make(m, &pd, &plan, &err) || aios_context_open(m, &plan, &cd, &c, &err)) {
        printf("%s: %s\n", path, err.text);
        aios_model_free(m);
        return;
    }
    aios_model_get_info(m, &info);
    d->rate = art->rate = rate;
    for (i = 0; i < n_warm + n_tokens; i++) {
        int32_t id = (int32_t)((uint32_t)(i + 1) * 2654435761u % (uint32_t)info.n_vocab);
        if (i == n_warm) { aios_counters_reset(c); t0 = now_ns(); }
        if (aios_feed(c, 0, &id, 1, 0, &err) || aios_step(c, 0, &err)) { printf("%s\n", err.text); break; }
    }
    t = now_ns() - t0;
    aios_counters_init(&count);
    aios_counters_get(c, &count);
    mb = plan.n_expert_slots ? (double)count.stream_bytes * 1e-6 / n_tokens : (double)plan.token_stream_bytes * 1e-6;
    bound = rate > 0 ? mb / rate * 1e-3 : 0;
    printf("%8.0f %8.2f %8d %12.1f %10.1f %10.1f %7.1f%% %9.1f%% %8llu %8u", (double)ram * 1e-6, rate, plan.n_readers, mb,
           (double)t * 1e-6 / n_tokens, bound * 1e3, bound * 1e9 * n_tokens / (double)t * 100, (double)count.stall_ns * 100 / (double)t,
           (unsigned long long)(count.n_stalls / (uint64_t)n_tokens), plan.n_units);
    if (plan.n_expert_slots) printf("   %.1f%% of experts hit, cache of %u of %u", (double)count.n_expert_hits * 100 / (double)(count.n_expert_hits + count.n_expert_misses + !count.n_expert_hits),
                                    plan.n_expert_slots, plan.n_experts);
    printf("\n");
    aios_context_free(c);
    aios_model_free(m);
}
static int numbers(const char *s, double *x, int most) {
    int n = 0;
    char *end;
    while (n < most) { x[n++] = strtod(s, &end); if (*end != ',') break; s = end + 1; }
    return n;
}

static int map(const char *path, disk *d) {
    FILE *f = fopen(path, "rb");
    if (!f || fseeko(f, 0, SEEK_END)) return 0;
    d->n = (uint64_t)ftello(f);
    d->p = (const char *)mmap(NULL, (size_t)d->n, PROT_READ, MAP_SHARED | MAP_POPULATE, fileno(f), 0);
    fclose(f);
    if (d->p == (const char *)MAP_FAILED) return 0;
    return pthread_mutex_init(&d->lock, NULL) == 0;
}
int main(int argc, char **argv) {
    const char *path = NULL, *packed = NULL;
    double ram[16] = { 1000 }, rate[16] = { 0.5, 1, 2 };
    int n_ram = 1, n_rate = 3, i, k;
    int32_t threads = 2, readers = 0, tokens = 8, warm = 1;
    disk d, art;
    memset(&d, 0, sizeof d);
    memset(&art, 0, sizeof art);
    for (i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "-m")) path = argv[i + 1];
        else if (!strcmp(argv[i], "-r")) n_ram = numbers(argv[i + 1], ram, 16);
        else if (!strcmp(argv[i], "-s")) n_rate = numbers(argv[i + 1], rate, 16);
        else if (!strcmp(argv[i], "-t")) threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "-n")) tokens = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "-w")) warm = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "-a")) packed = argv[i + 1];
        else if (!strcmp(argv[i], "-k")) readers = atoi(argv[i + 1]) > 0 ? atoi(argv[i + 1]) : -1;
    }
    if (!path) { printf("bench_stream -m MODEL.gguf ... (see the source)\n"); return 2; }
    if (!map(path, &d) || (packed && !map(packed, &art))) { printf("'%s' cannot be mapped\n", path); return 1; }
    printf("%s, %d threads, %d tokens\n%8s %8s %8s %12s %10s %10s %8s %10s %8s %8s\n", path, threads, tokens, "RAM MB", "GB/s", "readers", "MB/token", "ms/token", "bound ms",
           "share", "waiting", "late", "reads");
    for (i = 0; i < n_ram; i++) for (k = 0; k < n_rate; k++) run(path, &d, &art, (uint64_t)(ram[i] * 1e6), rate[k], threads, readers, warm, tokens);
    munmap((void *)(uintptr_t)d.p, (size_t)d.n);
    pthread_mutex_destroy(&d.lock);
    return 0;
}
