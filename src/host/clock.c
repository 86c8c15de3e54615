/* clock.c: nanoseconds of the system's clock that never goes back; with AIOS_NO_CLOCK there is
 * none and the host's answers. */

#if defined(AIOS_NO_CLOCK)
static uint64_t aios__system_ns(void *user) {
    (void)user;
    return 0;
}
#elif defined(_WIN32)
static uint64_t aios__system_ns(void *user) {
    LARGE_INTEGER f, t;
    (void)user;
    QueryPerformanceFrequency(&f);
    QueryPerformanceCounter(&t);
    return (uint64_t)(t.QuadPart / f.QuadPart) * 1000000000u +
           (uint64_t)(t.QuadPart % f.QuadPart) * 1000000000u / (uint64_t)f.QuadPart;
}
#else
#include <time.h>
#if defined(__wasi__) /* a strict -std=c99 hides what POSIX has */
extern int clock_gettime(clockid_t id, struct timespec *t);
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#define AIOS__CLOCK_REALTIME  CLOCK_REALTIME
#elif !defined(CLOCK_MONOTONIC)
#include <pthread.h> /* struct timespec */
#define AIOS__CLOCK_MONOTONIC 1
#define AIOS__CLOCK_REALTIME  0
extern int clock_gettime(int id, struct timespec *t);
#else
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#define AIOS__CLOCK_REALTIME  CLOCK_REALTIME
#endif
static uint64_t aios__system_ns(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(AIOS__CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif
