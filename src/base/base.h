/* base.h: integers that cannot overflow unseen, sets of bits, strings with a length, aligned bumps.
 * Uses <string.h>; no state. */
#ifndef AIOS__BASE_H
#define AIOS__BASE_H

#if defined(__clang__)
#pragma clang fp contract(off) /* kernels/base.h says why */
#endif
#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#endif
#ifdef AIOS_DEFAULT_ALLOC
#include <stdlib.h>
#endif

/* Between BEGIN and END stands code that runs once per file, model, plan, context, pass or drawn
 * token, not in tasks nor for each character or logit: where the compiler optimises, it is to be
 * small and soon compiled. GCC: -Os, without the passes that take time there and change the size
 * by little or make it larger (GCC 12 on an EPYC, all of the engine so: 2.1 s and 170 KB; plain
 * -Os: 3.6 s and 172 KB). They stand in one pragma, since of several in a macro GCC takes the
 * first alone. No system header with code of its own stands in between, and nothing reaches the
 * host's code: GCC 12 gives back the options, but not the macro. */
#if defined(__clang__)
#define AIOS__SMALL_BEGIN \
    _Pragma("clang attribute push(__attribute__((minsize)), apply_to = function)")
#define AIOS__SMALL_END _Pragma("clang attribute pop")
#elif defined(__GNUC__) && defined(__OPTIMIZE__)
/* clang-format off */
#define AIOS__SMALL_BEGIN _Pragma("push_macro(\"__OPTIMIZE_SIZE__\")") \
    _Pragma("GCC push_options") \
    _Pragma("GCC optimize (\"Os\", \
        \"no-gcse,no-expensive-optimizations,no-tree-vrp,no-thread-jumps\", \
        \"no-code-hoisting,no-rerun-cse-after-loop,no-tree-pre,no-tree-dominator-opts\", \
        \"no-tree-slsr,no-tree-tail-merge,no-tree-switch-conversion,no-tree-phiprop\", \
        \"no-tree-builtin-call-dce,no-optimize-strlen,no-hoist-adjacent-loads\", \
        \"no-isolate-erroneous-paths-dereference,no-tree-loop-distribute-patterns\", \
        \"no-tree-scev-cprop,no-partial-inlining,no-schedule-insns2,no-lra-remat\", \
        \"no-tree-pta,no-tree-loop-im,no-tree-loop-optimize,no-move-loop-invariants\", \
        \"no-tree-ccp,no-tree-bit-ccp,no-tree-dse,no-tree-copy-prop,no-tree-forwprop\", \
        \"no-tree-reassoc,no-tree-sink,no-caller-saves,no-ipa-icf,no-ipa-pure-const\", \
        \"no-ipa-reference,no-ipa-cp,no-ipa-sra\")")
/* clang-format on */
#define AIOS__SMALL_END _Pragma("GCC pop_options") _Pragma("pop_macro(\"__OPTIMIZE_SIZE__\")")
#else
#define AIOS__SMALL_BEGIN
#define AIOS__SMALL_END
#endif

/* A function that is called when something went wrong: never inlined, and the way to it is not
 * the one that is laid out straight. */
#if defined(__GNUC__) || defined(__clang__)
#define AIOS__COLD __attribute__((cold, noinline))
#else
#define AIOS__COLD AIOSK__NOINLINE
#endif

#define AIOS__NO_OFF UINT64_MAX

typedef struct aios__str {
    const char *p;
    uint64_t n;
} aios__str; /* not terminated; not owned */

static inline int32_t aios__add(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a + b;
    return *out >= a;
}
static inline int32_t aios__mul(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}
static inline uint64_t aios__round_up(uint64_t x, uint64_t align) {
    return (x + align - 1) / align * align;
}
static inline uint64_t aios__min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
/* Bit i of a set. */
static inline int32_t aios__bit(const uint32_t *set, uint32_t i) {
    return (set[i >> 5] >> (i & 31) & 1) != 0;
}
static inline void aios__bit_set(uint32_t *set, uint32_t i) {
    set[i >> 5] |= (uint32_t)1 << (i & 31);
}
static inline int32_t aios__str_eq(aios__str s, const char *z) {
    uint64_t i;
    for (i = 0; i < s.n; i++)
        if (z[i] == 0 || s.p[i] != z[i]) return 0;
    return z[s.n] == 0;
}

/* A bump over one block of memory. With base NULL it only counts: the same code measures and
 * places, so that what is asked for and what is used cannot differ. Never fails: the block has
 * the size that counting gave. */
typedef struct aios__bump {
    char *base;
    uint64_t used;
} aios__bump;
static inline void *aios__take(aios__bump *b, uint64_t bytes, uint64_t align) {
    b->used = aios__round_up(b->used, align);
    b->used += bytes;
    return b->base ? b->base + (b->used - bytes) : NULL;
}

#endif
