/* base.h: integers that cannot overflow unseen, strings with a length, aligned bumps. Uses <string.h>; no state. */
#ifndef AIOS__BASE_H
#define AIOS__BASE_H

#if defined(__clang__)
#pragma clang fp contract(off)          /* kernels/base.h says why */
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

#define AIOS__NO_OFF UINT64_MAX

typedef struct aios__str { const char *p; uint64_t n; } aios__str;      /* not terminated; not owned */

static inline int32_t aios__add(uint64_t a, uint64_t b, uint64_t *out) { *out = a + b; return *out >= a; }
static inline int32_t aios__mul(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}
static inline uint64_t aios__round_up(uint64_t x, uint64_t align) { return (x + align - 1) / align * align; }
static inline uint64_t aios__min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline int32_t aios__str_eq(aios__str s, const char *z) {
    uint64_t i;
    for (i = 0; i < s.n; i++) if (z[i] == 0 || s.p[i] != z[i]) return 0;
    return z[s.n] == 0;
}

/* A bump over one block of memory. With base NULL it only counts: the same code measures and places, so that what
 * is asked for and what is used cannot differ. Never fails: the block has the size that counting gave. */
typedef struct aios__bump { char *base; uint64_t used; } aios__bump;
static inline void *aios__take(aios__bump *b, uint64_t bytes, uint64_t align) {
    b->used = aios__round_up(b->used, align);
    b->used += bytes;
    return b->base ? b->base + (b->used - bytes) : NULL;
}

#endif
