/* atomic.c: atomic words, sequentially consistent, and the pause of a loop that spins. Nothing
 * above it is used; threads.c, the ring and the reads under way stand on it. */

#if defined(__GNUC__) || defined(__clang__)
static inline int32_t aios__load(const int32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void aios__store(int32_t *p, int32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline int32_t aios__fetch_add(int32_t *p, int32_t v) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
static inline int32_t aios__cas(int32_t *p, int32_t old, int32_t v) {
    return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
#elif defined(_MSC_VER)
#include <intrin.h>
static inline int32_t aios__load(const int32_t *p) {
    return (int32_t)_InterlockedOr((volatile long *)(int32_t *)p, 0);
}
static inline void aios__store(int32_t *p, int32_t v) {
    _InterlockedExchange((volatile long *)p, v);
}
static inline int32_t aios__fetch_add(int32_t *p, int32_t v) {
    return (int32_t)_InterlockedExchangeAdd((volatile long *)p, v);
}
static inline int32_t aios__cas(int32_t *p, int32_t old, int32_t v) {
    return (int32_t)_InterlockedCompareExchange((volatile long *)p, v, old) == old;
}
#else
#error "aios.h: no atomics are known for this compiler"
#endif

static inline void aios__pause(void) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    /* waits some tens of cycles; yield is nothing on most cores and the spin would be short */
    __asm__ __volatile__("isb");
#endif
}
