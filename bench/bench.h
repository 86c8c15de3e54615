/* bench.h: what the programs of this folder share: memory, a clock, threads that work on the parts of one call, and the
 * roofs of this machine, measured on the spot: bytes per second read from memory and caches, int8 and f32 products.
 *
 *     pool p = pool_make(n_threads);                    memory larger than the caches
 *     roofs r = {0};  roofs_measure(&r, &p, isa, n_threads, 0.2);     again and again: the best of all moments counts
 *     double s = best_call(fn, arg, n_parts, n_threads, 0.1);         seconds of the fastest call within 0.1 s
 *
 * A neighbour on the machine only ever makes a short run slower: so everything is cut into calls of a fraction of a
 * millisecond, and the fastest counts, for roofs and kernels alike. One thread is timed by its own CPU time.
 * Needs POSIX, GCC or Clang. The program defines _DEFAULT_SOURCE and includes aios_kernels.h or aios.h first. */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized" /* GCC warns of its own _mm512_undefined_* */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define B_UNUSED __attribute__((unused))
enum { B_MAX_THREADS = 256, B_MAX_LIST = 64 };

static B_UNUSED void b_die(const char *what, const char *which) {
    fprintf(stderr, "bench: %s %s\n", what, which);
    exit(1);
}

/* ---- memory ------------------------------------------------------------------------------------------------ */
/* In huge pages where the system has them: with small ones the table walks would be measured too. */
static B_UNUSED void *b_alloc(size_t n) {
    const size_t huge = (size_t)2 << 20, align = n >= huge ? huge : 4096;
    void *p = NULL;
    n = (n + align - 1) / align * align;
    if (posix_memalign(&p, align, n)) b_die("out of", "memory");
#ifdef MADV_HUGEPAGE
    if (align == huge) madvise(p, n, MADV_HUGEPAGE);
#endif
    return p;
}

/* Memory to walk through, round and round: `at` is where the next call begins, so that what it reads was touched longest ago;
 * and a part that is never walked through, for what should stay in the caches. */
typedef struct pool { uint8_t *p, *hot; size_t n, n_hot, at; } pool;

/* Bytes of the caches of one level, as the system says; 0 = it does not. */
static B_UNUSED size_t b_cache_bytes(int level) {
    long n = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    n = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
#endif
    (void)level;
    return n > 0 ? (size_t)n : 0;
}
/* Three times the last cache, so that a walk through it finds nothing there; BENCH_POOL_MB overrides. */
static B_UNUSED pool pool_make(int n_threads) {
    const char *e = getenv("BENCH_POOL_MB");
    size_t mb = e ? (size_t)atol(e) : 3 * (b_cache_bytes(3) >> 20), i;
    pool p;
    if (!e && mb < 256) mb = 256;
    if (!e && mb > 1024) mb = 1024;
    p.n = (mb < 16 ? 16 : mb) << 20;
    p.n_hot = ((size_t)8 << 20) * (size_t)n_threads;
    p.p = (uint8_t *)b_alloc(p.n + p.n_hot);
    p.hot = p.p + p.n;
    p.at = 0;
    for (i = 0; i < (p.n + p.n_hot) / 8; i++) { /* pages that were never written are all the same one */
        uint64_t v = (uint64_t)i * 0x9E3779B97F4A7C15u;
        memcpy(p.p + i * 8, &v, 8);
    }
    return p;
}
/* Where call number `call` reads `step` bytes; after a best_call, pool_go moves on. */
static B_UNUSED uint8_t *pool_step(const pool *p, int call, size_t step) {
    return p->p + (p->at / step + (size_t)call) % (p->n / step) * step;
}
static int b_calls B_UNUSED;
static B_UNUSED void pool_go(pool *p, size_t step) { p->at = (p->at / step + (size_t)b_calls) % (p->n / step) * step; }

/* ---- clock and threads ------------------------------------------------------------------------------------- */
static B_UNUSED double b_now(int n_threads) {
    struct timespec t;
    clock_gettime(n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Part `part` of call number `call`, counted from 0 by best_call. Parts of one call run on any thread. */
typedef void (*bench_fn)(void *arg, int call, int part);
typedef struct team {
    bench_fn fn;
    void *arg;
    int n_parts, reps, call;    /* a timed run is `reps` calls of n_parts parts */
    int next, go, busy, quit;   /* shared, atomic                               */
} team;

static B_UNUSED void team_work(team *t) {
    for (;;) {
        int i = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED);
        if (i >= t->n_parts * t->reps) return;
        t->fn(t->arg, t->call + i / t->n_parts, i % t->n_parts);
    }
}
/* Waits spin: going to sleep takes longer than a run. */
#define B_SPIN_WHILE(cond) do { int n_ = 0; while (cond) if (++n_ > 20000) { n_ = 0; sched_yield(); } } while (0)
static B_UNUSED void *team_main(void *arg) {
    team *t = (team *)arg;
    int seen = 0;
    for (;;) {
        B_SPIN_WHILE(__atomic_load_n(&t->go, __ATOMIC_ACQUIRE) == seen);
        seen++;
        if (t->quit) return NULL;
        team_work(t);
        __atomic_fetch_sub(&t->busy, 1, __ATOMIC_RELEASE);
    }
}
static B_UNUSED double team_run(team *t, int n_threads) {
    double s = b_now(n_threads);
    t->next = 0;
    t->busy = n_threads - 1;
    __atomic_fetch_add(&t->go, 1, __ATOMIC_RELEASE);
    team_work(t);
    B_SPIN_WHILE(__atomic_load_n(&t->busy, __ATOMIC_ACQUIRE) != 0);
    return b_now(n_threads) - s;
}
/* Seconds of one call at its fastest, of all that fit in `seconds`, at least one. b_calls: how many there were. */
static B_UNUSED double best_call(bench_fn fn, void *arg, int n_parts, int n_threads, double seconds) {
    team t;
    pthread_t id[B_MAX_THREADS];
    double best = 1e30, start, s;
    int i;
    memset(&t, 0, sizeof t);
    t.fn = fn;
    t.arg = arg;
    t.n_parts = n_parts;
    t.reps = 1;
    for (i = 1; i < n_threads; i++)
        if (pthread_create(&id[i], NULL, team_main, &t)) b_die("cannot start", "threads");
    s = team_run(&t, n_threads);
    if (s < 2e-4) t.reps = s < 2e-6 ? 100 : (int)(2e-4 / s) + 1;    /* so that starting and the clock cost nothing */
    t.call = 1;
    if (s > seconds) best = s;                                      /* a slow one, then warming up counts too */
    start = b_now(2);
    while (best > 1e29 || b_now(2) - start + s * t.reps < seconds) {
        s = team_run(&t, n_threads) / t.reps;
        t.call = (t.call + t.reps) & 0xFFFFFF;
        if (s < best) best = s;
    }
    b_calls = t.call;
    t.quit = 1;
    __atomic_fetch_add(&t.go, 1, __ATOMIC_RELEASE);
    for (i = 1; i < n_threads; i++) pthread_join(id[i], NULL);
    return best;
}

/* ---- reading ----------------------------------------------------------------------------------------------- */
static volatile uint64_t b_sink B_UNUSED;
enum { READ_PLAIN = 0, READ_AHEAD = 1, READ_STREAMS = 2, N_READS = 3 };
/* Three ways to read n bytes (a multiple of 4096): in one go, so with prefetch, and as eight streams with prefetch. Which is
 * fastest from memory depends on the machine: all are tried. */
#define B_READER(NAME, ATTR, W)                                                                                       \
    typedef uint64_t NAME##_v __attribute__((vector_size(W), may_alias));                                             \
    ATTR static void NAME(const uint8_t *p, size_t n, int how) {                                                      \
        NAME##_v a = {0}, b = a, c = a, d = a;                                                                        \
        const size_t part = n / 8;                                                                                    \
        size_t i, j, k;                                                                                               \
        if (how == READ_STREAMS) {                                                                                    \
            for (i = 0; i < part; i += 64) for (k = 0; k < 8; k++) {                                                  \
                const uint8_t *q = p + k * part + i;                                                                  \
                __builtin_prefetch((const void *)((uintptr_t)q + 4096));                                              \
                for (j = 0; j < 64; j += W) a ^= *(const NAME##_v *)(const void *)(q + j);                            \
            }                                                                                                         \
        } else if (how == READ_AHEAD) {                                                                               \
            for (i = 0; i < n; i += 4 * W) {                                                                          \
                for (j = 0; j < 4 * W; j += 64) __builtin_prefetch((const void *)((uintptr_t)p + i + j + 4096));      \
                a ^= *(const NAME##_v *)(const void *)(p + i);                                                        \
                b ^= *(const NAME##_v *)(const void *)(p + i + W);                                                    \
                c ^= *(const NAME##_v *)(const void *)(p + i + 2 * W);                                                \
                d ^= *(const NAME##_v *)(const void *)(p + i + 3 * W);                                                \
            }                                                                                                         \
        } else {                                                                                                      \
            for (i = 0; i < n; i += 8 * W) {                                                                          \
                a ^= *(const NAME##_v *)(const void *)(p + i);                                                        \
                b ^= *(const NAME##_v *)(const void *)(p + i + W);                                                    \
                c ^= *(const NAME##_v *)(const void *)(p + i + 2 * W);                                                \
                d ^= *(const NAME##_v *)(const void *)(p + i + 3 * W);                                                \
                a ^= *(const NAME##_v *)(const void *)(p + i + 4 * W);                                                \
                b ^= *(const NAME##_v *)(const void *)(p + i + 5 * W);                                                \
                c ^= *(const NAME##_v *)(const void *)(p + i + 6 * W);                                                \
                d ^= *(const NAME##_v *)(const void *)(p + i + 7 * W);                                                \
            }                                                                                                         \
        }                                                                                                             \
        a ^= b ^ c ^ d;                                                                                               \
        b_sink = a[0];                                                                                                \
    }
B_READER(b_read_16, B_UNUSED, 16)
#if defined(__x86_64__)
B_READER(b_read_32, __attribute__((target("avx2"), unused)), 32)
B_READER(b_read_64, __attribute__((target("avx512f"), unused)), 64)
#endif
static B_UNUSED void b_read(int isa, const uint8_t *p, size_t n, int how) {
#if defined(__x86_64__)
    if (isa == AIOSK_ISA_AVX512 || isa == AIOSK_ISA_AVX512_VBMI || isa == AIOSK_ISA_AVX512BW) b_read_64(p, n, how);
    else if (isa == AIOSK_ISA_AVX2 || isa == AIOSK_ISA_AVXVNNI) b_read_32(p, n, how);
    else
#endif
    b_read_16(p, n, how);
    (void)isa;
}

/* ---- products ---------------------------------------------------------------------------------------------- */
/* Twelve sums (fewer where registers are) hide the latency of the instruction. The empty asm keeps the compiler from seeing
 * that they are all alike; B_OTHER(y) makes y a value it knows nothing of. Each returns the number of products. */
#define B_LOOPS 4000
#define B_PEAK(NAME, ATTR, V, N, PER, INIT, STEP, STORE)                                                             \
    ATTR static double NAME(void) {                                                                                  \
        V s[N], x = INIT;                                                                                            \
        uint64_t out[8];                                                                                             \
        int i, j;                                                                                                    \
        for (j = 0; j < N; j++) { s[j] = x; B_OTHER(s[j]); }                                                         \
        for (i = 0; i < B_LOOPS; i++) {                                                                              \
            B_OTHER(x);                                                                                              \
            B_UNROLL                                                                                                 \
            for (j = 0; j < N; j++) { STEP; }                                                                        \
        }                                                                                                            \
        for (j = 0; j < N; j++) { STORE; b_sink = out[0]; }                                                          \
        return (double)B_LOOPS * N * PER;                                                                            \
    }
#if defined(__clang__)
#define B_UNROLL _Pragma("clang loop unroll(full)")
#else
#define B_UNROLL _Pragma("GCC unroll 16")
#endif
#if defined(__x86_64__)
#define B_512 __attribute__((target("avx512f,avx512bw,avx512vnni"), unused))
#define B_256 __attribute__((target("avx2,fma"), unused))
#define B_OTHER(y) __asm__ volatile("" : "+v"(y))
B_PEAK(b_int8_avx512, B_512, __m512i, 12, 64, _mm512_set1_epi32((int)b_sink),
       s[j] = _mm512_dpbusd_epi32(s[j], x, x), _mm512_storeu_si512(out, s[j]))
B_PEAK(b_int8_avx512bw, B_512, __m512i, 12, 64, _mm512_set1_epi32((int)b_sink),
       __m512i y = x; B_OTHER(y); s[j] = _mm512_add_epi16(s[j], _mm512_maddubs_epi16(x, y)), _mm512_storeu_si512(out, s[j]))
B_PEAK(b_f32_avx512, B_512, __m512, 12, 16, _mm512_set1_ps((float)(b_sink & 1)),
       s[j] = _mm512_fmadd_ps(x, x, s[j]), _mm512_storeu_ps(out, s[j]))
#undef B_OTHER
#define B_OTHER(y) __asm__ volatile("" : "+x"(y))
/* vpmaddubsw and vpaddw, the least that a product of small codes needs there */
B_PEAK(b_int8_avx2, B_256, __m256i, 6, 32, _mm256_set1_epi32((int)b_sink),
       __m256i y = x; B_OTHER(y); s[j] = _mm256_add_epi16(s[j], _mm256_maddubs_epi16(x, y)),
       _mm256_storeu_si256((__m256i *)(void *)out, s[j]))
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define B_VNNI __attribute__((target("avx2,avxvnni"), unused))
B_PEAK(b_int8_avxvnni, B_VNNI, __m256i, 10, 32, _mm256_set1_epi32((int)b_sink),
       s[j] = _mm256_dpbusd_avx_epi32(s[j], x, x), _mm256_storeu_si256((__m256i *)(void *)out, s[j]))
#endif
B_PEAK(b_f32_avx2, B_256, __m256, 10, 8, _mm256_set1_ps((float)(b_sink & 1)),
       s[j] = _mm256_fmadd_ps(x, x, s[j]), _mm256_storeu_ps((float *)(void *)out, s[j]))
#elif defined(__aarch64__)
#if defined(__clang__)
#define B_DOT __attribute__((target("dotprod"), unused))
#else
#define B_DOT __attribute__((target("arch=armv8.2-a+dotprod"), unused))
#endif
#define B_OTHER(y) __asm__ volatile("" : "+w"(y))
/* smull, smlal2 and sadalp: 16 products of bytes without the dot product */
B_PEAK(b_int8_neon, B_UNUSED, int32x4_t, 12, 16, vdupq_n_s32((int)b_sink),
       int8x16_t y = vreinterpretq_s8_s32(x); B_OTHER(y);
       s[j] = vpadalq_s16(s[j], vmlal_s8(vmull_s8(vget_low_s8(y), vget_low_s8(y)), vget_high_s8(y), vget_high_s8(y))),
       vst1q_s32((int32_t *)(void *)out, s[j]))
B_PEAK(b_f32_neon, B_UNUSED, float32x4_t, 12, 4, vdupq_n_f32((float)(b_sink & 1)),
       s[j] = vfmaq_f32(s[j], x, x), vst1q_f32((float *)(void *)out, s[j]))
B_PEAK(b_int8_neon_dot, B_DOT, int32x4_t, 12, 16, vdupq_n_s32((int)b_sink),
       __asm__("sdot %0.4s, %1.16b, %1.16b" : "+w"(s[j]) : "w"(x)), vst1q_s32((int32_t *)(void *)out, s[j]))
#endif
/* One batch of products; 0 for scalar code, whose peak the compiler decides. */
static B_UNUSED double b_peak(int isa, int is_float) {
#if defined(__x86_64__)
    if (isa == AIOSK_ISA_AVX512 || isa == AIOSK_ISA_AVX512_VBMI) return is_float ? b_f32_avx512() : b_int8_avx512();
    if (isa == AIOSK_ISA_AVX512BW) return is_float ? b_f32_avx512() : b_int8_avx512bw();
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
    if (isa == AIOSK_ISA_AVXVNNI) return is_float ? b_f32_avx2() : b_int8_avxvnni();
#endif
    if (isa == AIOSK_ISA_AVX2) return is_float ? b_f32_avx2() : b_int8_avx2();
#elif defined(__aarch64__)
    if (is_float && isa >= AIOSK_ISA_NEON) return b_f32_neon();
    if (isa == AIOSK_ISA_NEON_DOT) return b_int8_neon_dot();
    if (isa == AIOSK_ISA_NEON) return b_int8_neon();
#endif
    (void)isa;
    (void)is_float;
    return 0;
}

/* ---- roofs ------------------------------------------------------------------------------------------------- */
/* Bytes/s and products/s; [0] one thread, [1] all of n_threads. */
typedef struct roofs { double read[2], l1[2], l2[2], int8[2], f32[2]; } roofs;

typedef struct roof_arg { pool *p; int isa, how; size_t part, window; } roof_arg;
static B_UNUSED void roof_read(void *arg, int call, int part) {
    const roof_arg *a = (const roof_arg *)arg;
    b_read(a->isa, pool_step(a->p, call, a->window) + (size_t)part * a->part, a->part, a->how);
}
static B_UNUSED void roof_cache(void *arg, int call, int part) {
    const roof_arg *a = (const roof_arg *)arg;
    int i;
    for (i = 0; i < 64; i++) b_read(a->isa, a->p->hot + (size_t)part * a->window, a->part, READ_PLAIN);
    (void)call;
}
static B_UNUSED void roof_int8(void *arg, int call, int part) { b_peak(((roof_arg *)arg)->isa, 0); (void)call; (void)part; }
static B_UNUSED void roof_f32(void *arg, int call, int part) { b_peak(((roof_arg *)arg)->isa, 1); (void)call; (void)part; }

static B_UNUSED void b_max(double *a, double b) { if (b > *a) *a = b; }

/* Read bandwidth of n threads. Windows of at least 8 MiB in parts, so that a late thread costs little. */
static B_UNUSED double read_bandwidth(pool *p, int isa, int n_threads, double seconds) {
    roof_arg a;
    double best = 0;
    int n = n_threads * 4;
    a.p = p;
    a.isa = isa;
    a.part = (size_t)1 << 20;
    while ((a.window = a.part * (size_t)n) > p->n) a.part /= 2;
    for (a.how = 0; a.how < N_READS; a.how++) {
        b_max(&best, (double)a.window / best_call(roof_read, &a, n, n_threads, seconds / N_READS));
        pool_go(p, a.window);
    }
    return best;
}
/* Raises what is measured higher now than before, in about `seconds`. */
static B_UNUSED void roofs_measure(roofs *r, pool *p, int isa, int n_threads, double seconds) {
    const size_t l1 = b_cache_bytes(1) ? b_cache_bytes(1) / 2 : 16384, l2 = b_cache_bytes(2) ? b_cache_bytes(2) / 2 : 131072;
    double int8 = b_peak(isa, 0), f32 = b_peak(isa, 1);
    roof_arg a;
    int i;
    a.p = p;
    a.isa = isa;
    for (i = 0; i < 2; i++) {
        const int n = i ? n_threads : 1;
        const double s = seconds / 10;
        if (i && n == 1) break;
        b_max(&r->read[i], read_bandwidth(p, isa, n, s * 2));
        a.window = (size_t)8 << 20;
        a.part = l1 / 4096 * 4096;
        b_max(&r->l1[i], (double)a.part * 64 * n / best_call(roof_cache, &a, n, n, s / 2));
        a.part = (l2 < a.window ? l2 : a.window) / 4096 * 4096;
        b_max(&r->l2[i], (double)a.part * 64 * n / best_call(roof_cache, &a, n, n, s / 2));
        if (int8 > 0) b_max(&r->int8[i], int8 * n / best_call(roof_int8, &a, n, n, s));
        if (f32 > 0) b_max(&r->f32[i], f32 * n / best_call(roof_f32, &a, n, n, s));
    }
    b_max(&r->read[1], r->read[0]);     /* all threads can do what one can */
    b_max(&r->l1[1], r->l1[0]);
    b_max(&r->l2[1], r->l2[0]);
    b_max(&r->int8[1], r->int8[0]);
    b_max(&r->f32[1], r->f32[0]);
}

/* ---- results ----------------------------------------------------------------------------------------------- */
/* One CSV for all programs, so that one script draws it; what is not known stays empty. */
static B_UNUSED FILE *csv_open(const char *path) {
    FILE *f = path ? fopen(path, "a") : NULL;
    if (path && !f) b_die("cannot write", path);
    if (f && fseek(f, 0, SEEK_END) == 0 && ftell(f) == 0)
        fprintf(f, "what,isa,name,case,threads,cols,from,mac_per_byte,gb_s,gmac_s,tok_s,share\n");
    return f;
}
static B_UNUSED void csv_number(FILE *f, double v) { if (v > 0) fprintf(f, ",%.5g", v); else fprintf(f, ","); }
static B_UNUSED void csv_row(FILE *f, const char *what, const char *isa, const char *name, const char *which, int threads, int cols,
                             const char *from, double mac_per_byte, double bytes_s, double macs_s, double tok_s, double share) {
    if (!f) return;
    fprintf(f, "%s,%s,%s,%s,%d,%d,%s", what, isa, name, which, threads, cols, from);
    csv_number(f, mac_per_byte);
    csv_number(f, bytes_s * 1e-9);
    csv_number(f, macs_s * 1e-9);
    csv_number(f, tok_s);
    csv_number(f, share);
    fprintf(f, "\n");
    fflush(f);
}
static B_UNUSED void csv_roofs(FILE *f, const char *isa, const roofs *r, int n_threads) {
    int i;
    for (i = 0; i < (n_threads > 1 ? 2 : 1); i++) {
        const int n = i ? n_threads : 1;
        csv_row(f, "roof", isa, "read", "", n, 0, "memory", 0, r->read[i], 0, 0, 0);
        csv_row(f, "roof", isa, "l1", "", n, 0, "cache", 0, r->l1[i], 0, 0, 0);
        csv_row(f, "roof", isa, "l2", "", n, 0, "cache", 0, r->l2[i], 0, 0, 0);
        csv_row(f, "roof", isa, "int8", "", n, 0, "", 0, 0, r->int8[i], 0, 0);
        csv_row(f, "roof", isa, "f32", "", n, 0, "", 0, 0, r->f32[i], 0, 0);
    }
}

/* ---- options ----------------------------------------------------------------------------------------------- */
static B_UNUSED int b_threads(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > B_MAX_THREADS ? B_MAX_THREADS : (int)n;
}
/* "1,2,8" -> numbers; returns how many. */
static B_UNUSED int b_list(const char *text, int *out) {
    int n = 0;
    while (*text && n < B_MAX_LIST) {
        char *end;
        long v = strtol(text, &end, 10);
        if (end == text || v < 0 || v > 1 << 24) b_die("not a list of numbers:", text);
        out[n++] = (int)v;
        text = *end ? end + 1 : end;
    }
    return n;
}
/* Is `name` in the list "a,b,c"? An empty list has everything. */
static B_UNUSED int b_in(const char *list, const char *name) {
    size_t n = strlen(name);
    const char *p = list;
    if (!list || !*list) return 1;
    while ((p = strstr(p, name))) {
        if ((p == list || p[-1] == ',') && (p[n] == ',' || !p[n])) return 1;
        p++;
    }
    return 0;
}
/* An instruction set by name; "best" and nothing: the best here. NULL: not here. */
static B_UNUSED const aiosk_isa *b_isa(const char *name) {
    int i;
    if (!name || !*name || !strcmp(name, "best")) return aiosk_select(AIOSK_ISA_BEST);
    for (i = 1; i < AIOSK_N_ISA; i++) {
        const aiosk_isa *t = aiosk_select(i);
        if (t && !strcmp(t->name, name)) return t;
    }
    return NULL;
}
#endif
