/* base.h: what every kernel file stands on: compiler facts, unaligned loads, exact fma and sqrt.
 * Uses nothing but <string.h>; keeps no state. */
#ifndef AIOSK__BASE_H
#define AIOSK__BASE_H

#include <string.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "aios_kernels.h: the same bits everywhere need IEEE arithmetic: no -ffast-math or part of it"
#endif
/* 16: GCC with AVX512-FP16; only _Float16 is evaluated as itself, float as ever */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error \
    "aios_kernels.h: float expressions must be evaluated in float (x87 is not supported; use SSE2)"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "aios_kernels.h: big-endian machines are not supported"
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__INLINE   static inline __attribute__((always_inline, unused))
#define AIOSK__NOINLINE __attribute__((noinline))
#define AIOSK__UNUSED   __attribute__((unused))
#define AIOSK__ALIGN(n) __attribute__((aligned(n)))
#define AIOSK__RESTRICT __restrict__
#elif defined(_MSC_VER)
#define AIOSK__INLINE   static __forceinline
#define AIOSK__NOINLINE __declspec(noinline)
#define AIOSK__UNUSED
#define AIOSK__ALIGN(n) __declspec(align(n))
#define AIOSK__RESTRICT __restrict
#else
#define AIOSK__INLINE static inline
#define AIOSK__NOINLINE
#define AIOSK__UNUSED
#define AIOSK__ALIGN(n)
#define AIOSK__RESTRICT
#endif

/* Columns that all rows of a call pass before the next ones are looked at: so many sums of a
 * pair of panels are on the stack. */
enum { AIOSK__MAX_COLS = 128 };

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__PREFETCH(p)    __builtin_prefetch(p)       /* to the first-level cache */
#define AIOSK__PREFETCH_L2(p) __builtin_prefetch(p, 0, 2) /* to the second */
#elif defined(_M_X64)
#define AIOSK__PREFETCH(p)    _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define AIOSK__PREFETCH_L2(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)
#else
#define AIOSK__PREFETCH(p)    ((void)(p))
#define AIOSK__PREFETCH_L2(p) ((void)(p))
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__RARE(x) __builtin_expect(!!(x), 0)
#else
#define AIOSK__RARE(x) (x)
#endif

/* In front of a loop with a constant count that must become straight code, at -O2 too. */
#if defined(__clang__)
#define AIOSK__UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define AIOSK__UNROLL _Pragma("GCC unroll 64")
#else
#define AIOSK__UNROLL
#endif

/* GCC at -O2 spends most of its time where the program spends none. So functions that do the
 * work of a token or a prompt (V_HOT) get O2, and the rest a light O1, through effort.inc, whose
 * tree passes O2 has to name to have them back: a third less time to compile, all sets of x86,
 * and the same speed. Without tree-ch, the copy of a loop's test to its end, vector loops are a
 * tenth slower: LOOPS gives it to O1. */
/* clang-format off */
#define AIOSK__PASSES(no)                                                      \
    no "tree-dominator-opts," no "tree-bit-ccp," no "tree-fre,"                \
    no "tree-copy-prop," no "tree-dse," no "tree-ch," no "tree-sink,"          \
    no "guess-branch-probability"
/* clang-format on */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && \
    !defined(__OPTIMIZE_SIZE__) && !defined(__SANITIZE_ADDRESS__)
#define AIOSK__LIGHT
#define AIOSK__FAST  __attribute__((optimize("O2," AIOSK__PASSES(""))))
#define AIOSK__LOOPS __attribute__((optimize("tree-ch")))
#else
#define AIOSK__FAST
#define AIOSK__LOOPS
#endif

/* A function whose scalar floating point must not be contracted into fma by the compiler. Vector
 * code does not need it: there every product that feeds a sum is written as a v_fma, and no
 * product feeds a v_add. */
#if defined(__clang__)
#define AIOSK__STRICT
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#define AIOSK__STRICT __attribute__((optimize("fp-contract=off")))
#else
#define AIOSK__STRICT
#endif

/* GCC -O0 (it alone can): the kernels are optimised all the same, see effort.inc; and since a
 * debug build runs where it is made, with one fast set, AVX2, unless macros name others. One
 * file of all: 4.7 s and 0.39 GB with -g instead of 10.8 and 0.51. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__) && \
    !defined(AIOSK_NO_OPTIMIZE)
#define AIOSK__UNOPTIMISED
#if !defined(AIOSK_ONLY_SSE41) && !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_ONLY_AVX512) && \
    !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX2) && !defined(AIOSK_ALL) &&           \
    !defined(AIOSK_UNIT) && !defined(AIOSK_ONLY_AVX2)
#define AIOSK_ONLY_AVX2
#endif
#endif

/* Which instruction sets are compiled: the macros of api.h leave some out. AIOSK_ONLY_x is
 * AIOSK_NO_y for every y that is not named, unless a named set takes functions from it. AVX-VNNI
 * shares the float loops of AVX2; it came to compilers in 2020 and 2021. */
#if defined(AIOSK_ONLY_SSE41) || defined(AIOSK_ONLY_AVX2) || defined(AIOSK_ONLY_AVXVNNI) || \
    defined(AIOSK_ONLY_AVX512) || defined(AIOSK_ONLY_AVX512BW)
#if !defined(AIOSK_ONLY_SSE41) && !defined(AIOSK_NO_SSE41)
#define AIOSK_NO_SSE41
#endif
#if !defined(AIOSK_ONLY_AVX2) && !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_ONLY_AVX512BW) && \
    !defined(AIOSK_NO_AVX2)
#define AIOSK_NO_AVX2
#endif
#if !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_NO_AVXVNNI)
#define AIOSK_NO_AVXVNNI
#endif
#if !defined(AIOSK_ONLY_AVX512) && !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX512)
#define AIOSK_NO_AVX512
#endif
#if !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX512BW)
#define AIOSK_NO_AVX512BW
#endif
#endif
#if !defined(AIOSK_NO_SIMD) && (defined(__x86_64__) || defined(_M_X64))
#ifndef AIOSK_NO_SSE41
#define AIOSK__SSE41 1
#endif
#ifndef AIOSK_NO_AVX2
#define AIOSK__AVX2 1
#ifdef AIOSK_NO_AVXVNNI
#elif defined(__clang__) ? __clang_major__ >= 12 : defined(__GNUC__) && __GNUC__ >= 11
#define AIOSK__AVXVNNI __attribute__((target("avx2,fma,f16c,avxvnni")))
#elif defined(_MSC_VER) && _MSC_VER >= 1930
#define AIOSK__AVXVNNI
#endif
#endif
#ifndef AIOSK_NO_AVX512
#define AIOSK__AVX512 1
#if defined(__clang__) ? __clang_major__ >= 14 : defined(__GNUC__) && __GNUC__ >= 12
#define AIOSK__AVX512_BF16 1
#endif
#if defined(AIOSK__AVX2) && !defined(AIOSK_NO_AVX512BW)
#define AIOSK__AVX512BW 1 /* unpacks with the functions of AVX2 */
#endif
#endif
#endif

/* The kernels in several objects (api.h): what is compiled in this one, and the linkage of what
 * units take from each other. AIOSK__AVX2 and its kin say what is compiled somewhere. */
#ifndef AIOSK_UNIT
#define AIOSK__IN_UNIT(n) 1
#define AIOSK__SHARED     static AIOSK__UNUSED
#define AIOSK__CONST      static AIOSK__UNUSED const
#else
#define AIOSK__IN_UNIT(n) (AIOSK_UNIT == n)
#if AIOSK_UNIT < 0 || AIOSK_UNIT > 3
#error "aios_kernels.h: AIOSK_UNIT is 0, 1, 2 or 3"
#endif
#define AIOSK__CONST const /* of a constant declared before as extern AIOSK__SHARED */
#ifdef AIOSK_STATIC
#error "aios_kernels.h: AIOSK_STATIC is for one object, AIOSK_UNIT for several"
#endif
#if (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define AIOSK__SHARED __attribute__((visibility("hidden")))
#else
#define AIOSK__SHARED
#endif
#endif

#if defined(AIOSK__SSE41) || defined(AIOSK__AVX2) || defined(AIOSK__AVX512)
#define AIOSK__X86 1
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wuninitialized" /* GCC warns of its own _mm512_undefined_* (bug 105593) */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif !defined(AIOSK_NO_SIMD) && (defined(__aarch64__) || defined(_M_ARM64))
#define AIOSK__ARM64 1
#include <arm_neon.h>
#elif !defined(AIOSK_NO_SIMD) && \
    defined(                     \
        __wasm_simd128__) /* a module that uses it runs nowhere else: nothing to ask at run time */
#define AIOSK__WASM 1
#include <wasm_simd128.h>
#endif
#if !defined(AIOSK__X86) && (defined(__x86_64__) || defined(_M_X64))
#include <emmintrin.h> /* MXCSR and sqrtss belong to the x86-64 baseline */
#endif

#ifdef AIOSK__UNOPTIMISED
#include "effort.inc"
#endif

AIOSK__INLINE uint16_t aiosk__u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
AIOSK__INLINE uint32_t aiosk__u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
AIOSK__INLINE float aiosk__f32(const void *p) {
    float v;
    memcpy(&v, p, 4);
    return v;
}
AIOSK__INLINE float aiosk__bits_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
AIOSK__INLINE uint32_t aiosk__f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* fma(a, b, c), correctly rounded. Without the instruction: the product of two floats is exact
 * in double; the double sum is rounded to odd (its error is known exactly by TwoSum), so that
 * the last rounding to float is the only one that counts (Boldo and Melquiond 2008). Results
 * that overflow or are subnormal round correctly too: double has room for both. */
#if !defined(__FP_FAST_FMAF) && !defined(__FMA__) && !defined(__aarch64__)
/* p + z where the double sum lies halfway between two floats, or is subnormal as one: round to
 * odd first. */
AIOSK__STRICT AIOSK__NOINLINE static AIOSK__UNUSED float aiosk__fma_rare(double p, double z) {
    double s = p + z, t = s - p, e = (p - (s - t)) + (z - t);
    uint64_t u;
    memcpy(&u, &s, 8);
    if (e != 0 && !(u & 1) && (u & 0x7FF0000000000000u) != 0x7FF0000000000000u) {
        /* step towards the error's side when the last bit is even */
        if ((e > 0) == (s > 0))
            u += 1;
        else
            u -= 1;
        memcpy(&s, &u, 8);
    }
    return (float)s;
}
#endif
AIOSK__STRICT static inline AIOSK__UNUSED float aiosk__fma(float a, float b, float c) {
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    double p = (double)a * (double)b, s = p + (double)c;
    uint64_t u;
    memcpy(&u, &s, 8);
    /* Nearly always s is not halfway between two normal floats, and rounds to the same one as
     * the exact sum. */
    if ((u & 0x1FFFFFFFu) != 0x10000000u && (u << 1 >> 53) >= 1023 - 126) return (float)s;
    return aiosk__fma_rare(p, (double)c);
#endif
}

/* sqrt(x), correctly rounded, without libm (sqrtf may set errno). x >= 0. */
AIOSK__STRICT static inline AIOSK__UNUSED float aiosk__sqrt(float x) {
#if defined(__x86_64__) || defined(_M_X64)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(AIOSK__ARM64)
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0);
#elif defined(AIOSK__WASM)
    return wasm_f32x4_extract_lane(wasm_f32x4_sqrt(wasm_f32x4_splat(x)), 0);
#else
    /* Newton in double from a bit-level guess; 5 steps give 50 bits, and no float square root
     * lies within 2^-49 of a rounding boundary, so one rounding to float is the correct one. */
    if (!(x > 0) || x > 3.402823466e+38f) return x;
    {
        double v = (double)x, y;
        uint64_t u;
        int i;
        memcpy(&u, &v, 8);
        u = (u >> 1) + 0x1FF8000000000000u;
        memcpy(&y, &u, 8);
        for (i = 0; i < 5; i++) y = 0.5 * (y + v / y);
        return (float)y;
    }
#endif
}

#ifdef AIOSK__UNOPTIMISED
#pragma GCC pop_options
#endif

/* One block as the integers that the canonical arithmetic is defined over.
 *   A32 families   weight = d[u] * q - dmin[u], unit u = column / unit; unit = 32 (16 for NVFP4)
 *   A256 families  weight = d[0] * sc[j] * q - dmin[0] * mn[j], j = column / 16 */
typedef struct aiosk__ints {
    int8_t q[256];
    int16_t sc[16], mn[16];
    float d[8], dmin[8];
    int32_t unit;    /* columns per unit: 16, 32 or 256 */
    int32_t has_min; /* 0: dmin and mn are all zero and the M step is left out */
} aiosk__ints;

#endif
