/* bench_kernels.c: one thread, one matrix kernel at a time: GB/s of weights and GMAC/s, next to the read bandwidth and the
 * int8 dot-product peak that the same run measures. One line per case, best of several runs; shares are of those bests.
 *
 *     bench_kernels [isa 1..5] [type] [k] [n_cols] [from: 0 cache, 1 memory]      0 or nothing = all */
#define _POSIX_C_SOURCE 199309L
#define AIOSK_IMPLEMENTATION
#include "aios_kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N_ROWS = 2048 };
static const size_t big = (size_t)768 << 20; /* three times the last-level cache of the largest machine at hand */

/* CPU time of this thread: other processes disturb it less. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile int32_t sink;

#ifdef AIOSK__X86
__attribute__((target("avx2"))) static void read_all(const uint8_t *p, size_t n) {
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    size_t i;
    for (i = 0; i + 128 <= n; i += 128) {
        AIOSK__PREFETCH((const void *)((uintptr_t)p + i + 4096)); /* without these the hardware alone reaches less */
        AIOSK__PREFETCH((const void *)((uintptr_t)p + i + 4160));
        a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(const void *)(p + i)));
        b = _mm256_xor_si256(b, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 32)));
        c = _mm256_xor_si256(c, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 64)));
        d = _mm256_xor_si256(d, _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 96)));
    }
    sink = _mm256_extract_epi32(_mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)), 0);
}
#define LOOPS 100000
__attribute__((target("avx512f,avx512vnni"))) static double peak_avx512(void) {
    __m512i s[12], x = _mm512_set1_epi32(sink), t;
    double t0 = now();
    int i, j;
    for (j = 0; j < 12; j++) s[j] = x;
    for (i = 0; i < LOOPS; i++) {
        AIOSK__UNROLL
        for (j = 0; j < 12; j++) s[j] = _mm512_dpbusd_epi32(s[j], x, x);
        __asm__ volatile("" : "+v"(x));
    }
    t0 = now() - t0;
    t = s[0];
    for (j = 1; j < 12; j++) t = _mm512_xor_si512(t, s[j]);
    sink = _mm_cvtsi128_si32(_mm512_castsi512_si128(t));
    return LOOPS * 12.0 * 64 / t0;
}
__attribute__((target("avx2"))) static double peak_avx2(void) { /* vpmaddubsw and vpaddw, what 4-bit codes need */
    __m256i s[6], x = _mm256_set1_epi32(sink), t;
    double t0 = now();
    int i, j;
    for (j = 0; j < 6; j++) s[j] = x;
    for (i = 0; i < LOOPS; i++) {
        AIOSK__UNROLL
        for (j = 0; j < 6; j++) {
            __m256i y = x;
            __asm__ volatile("" : "+x"(y));
            s[j] = _mm256_add_epi16(s[j], _mm256_maddubs_epi16(x, y));
        }
    }
    t0 = now() - t0;
    t = s[0];
    for (j = 1; j < 6; j++) t = _mm256_xor_si256(t, s[j]);
    sink = _mm256_extract_epi32(t, 0);
    return LOOPS * 6.0 * 32 / t0;
}
static double peak(int isa) { return isa == AIOSK_ISA_AVX512 ? peak_avx512() : isa == AIOSK_ISA_AVX2 ? peak_avx2() : 0; }
#else
static void read_all(const uint8_t *p, size_t n) {
    uint64_t a = 0, b = 0, v[2];
    size_t i;
    for (i = 0; i + 16 <= n; i += 16) {
        memcpy(v, p + i, 16);
        a ^= v[0];
        b ^= v[1];
    }
    sink = (int32_t)(a ^ b);
}
static double peak(int isa) { return isa * 0.0; }
#endif

/* Of 16 MiB, so that a neighbour's time slice spoils few of the samples. */
static double bandwidth(const uint8_t *p) {
    const size_t part = (size_t)16 << 20;
    double best = 1e9;
    size_t i;
    for (i = 0; i + part <= big; i += part) {
        double t = now();
        read_all(p + i, part);
        t = now() - t;
        if (t < best) best = t;
    }
    return (double)part / best;
}

/* Peaks of this machine in this moment; the best of all moments counts, and neighbours may be busy. */
static void measure(const uint8_t *w, int isa, double *bw, double *top) {
    double b = bandwidth(w), t;
    int i;
    if (b > *bw) *bw = b;
    for (i = 0; i < 20; i++) {
        t = peak(isa);
        if (t > *top) *top = t;
    }
}

int main(int argc, char **argv) {
    static const int types[] = {AIOSK_Q4_0, AIOSK_Q8_0, AIOSK_Q4_K, AIOSK_Q6_K}, ks[] = {2048, 4096}, cols[] = {1, 4, 16, 64};
    int pick[6] = {0, 0, 0, 0, 0, -1}, i, isa, f, k, c, from;
    uint8_t *w = (uint8_t *)aligned_alloc(4096, big);
    for (i = 1; i < argc && i < 6; i++) pick[i] = atoi(argv[i]);
    if (!w) return 1;
    for (i = 0; i < (int)(big / 4); i++) { /* f16 scales of every lane stay finite */
        uint32_t v = (uint32_t)i * 2654435761u & 0xBBFFBBFFu;
        memcpy(w + (size_t)i * 4, &v, 4);
    }
    for (isa = AIOSK_N_ISA - 1; isa >= 2; isa--) {
        const aiosk_isa *t = aiosk_select(isa);
        double bw = 0, top = 0;
        if (!t || (pick[1] && pick[1] != isa)) continue;
        for (i = 0; i < 3; i++) measure(w, isa, &bw, &top);
        printf("%s: read %.1f GB/s, int8 peak %.0f GMAC/s\n", t->name, bw * 1e-9, top * 1e-9);
        for (f = 0; f < 4; f++) for (k = 0; k < 2; k++) for (from = 0; from < 2; from++) for (c = 0; c < 4; c++) {
            const aiosk_type *ty = aiosk_type_info(types[f]);
            const size_t bytes = (size_t)aiosk_layout_bytes(types[f], AIOSK_PANELS, N_ROWS, (uint64_t)ks[k]);
            const uint64_t xs = aiosk_act_bytes((int32_t)ty->family, (uint64_t)ks[k]);
            const double macs = (double)N_ROWS * ks[k] * cols[c];
            uint8_t *x;
            float *y, *xf;
            double best = 1e9, start;
            size_t at = 0;
            int runs;
            aiosk_matmul m;
            if ((pick[2] && pick[2] != types[f]) || (pick[3] && pick[3] != ks[k]) || (pick[4] && pick[4] != cols[c])) continue;
            if (argc > 5 && pick[5] != from) continue;
            if (from && cols[c] == 16) continue;
            x = (uint8_t *)aligned_alloc(64, (size_t)xs * 64);
            y = (float *)aligned_alloc(64, sizeof(float) * N_ROWS * 64);
            xf = (float *)aligned_alloc(64, sizeof(float) * (size_t)ks[k]);
            for (i = 0; i < ks[k]; i++) xf[i] = (float)(i * 7919 % 255 - 127);
            for (i = 0; i < 64; i++) t->quantize[ty->family](xf, ks[k], x + (size_t)i * xs);
            memset(&m, 0, sizeof m);
            m.x = x;
            m.y = y;
            m.x_stride = xs;
            m.y_stride = N_ROWS;
            m.n_in = ks[k];
            m.row1 = N_ROWS;
            m.n_cols = cols[c];
            if (c == 0) measure(w, isa, &bw, &top);
            start = now();
            for (runs = 0; runs < 5 || (now() - start < 0.4); runs++) {
                double s;
                m.w = w + at;
                if (from) at = at + 2 * bytes <= big ? at + bytes : 0;
                s = now();
                t->matmul[types[f]][AIOSK_PANELS](&m);
                s = now() - s;
                if (s < best && runs > 0) best = s;
            }
            printf("%-8s %-5s K %4d cols %2d %-6s %6.1f GB/s %5.0f%%  %6.1f GMAC/s %5.0f%%\n", t->name, ty->name, ks[k], cols[c],
                   from ? "memory" : "cache", (double)bytes / best * 1e-9, (double)bytes / best / bw * 100, macs / best * 1e-9,
                   top > 0 ? macs / best / top * 100 : 0);
            fflush(stdout);
            free(x);
            free(y);
            free(xf);
        }
    }
    free(w);
    return 0;
}
