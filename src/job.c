/* job.c: atomics, the clock, and a small pool of threads for hosts that lend none. A waiting thread spins for a bounded
 * time (some tens of microseconds), then sleeps in the kernel. */

#if defined(__GNUC__) || defined(__clang__)
static inline int32_t aios__load(const int32_t *p)            { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline void    aios__store(int32_t *p, int32_t v)      { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline int32_t aios__fetch_add(int32_t *p, int32_t v)  { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
#elif defined(_MSC_VER)
#include <intrin.h>
static inline int32_t aios__load(const int32_t *p)            { return (int32_t)_InterlockedOr((volatile long *)(int32_t *)p, 0); }
static inline void    aios__store(int32_t *p, int32_t v)      { _InterlockedExchange((volatile long *)p, v); }
static inline int32_t aios__fetch_add(int32_t *p, int32_t v)  { return (int32_t)_InterlockedExchangeAdd((volatile long *)p, v); }
#else
#error "aios.h: no atomics are known for this compiler"
#endif

static inline void aios__pause(void) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ __volatile__("isb");        /* waits some tens of cycles; yield is nothing on most cores and the spin would be short */
#endif
}

/* ---- clock -------------------------------------------------------------------------------------------------- */
#if defined(AIOS_NO_CLOCK)
static uint64_t aios__system_ns(void *user) { (void)user; return 0; }
#elif defined(_WIN32)
static uint64_t aios__system_ns(void *user) {
    LARGE_INTEGER f, t;
    (void)user;
    QueryPerformanceFrequency(&f);
    QueryPerformanceCounter(&t);
    return (uint64_t)(t.QuadPart / f.QuadPart) * 1000000000u + (uint64_t)(t.QuadPart % f.QuadPart) * 1000000000u / (uint64_t)f.QuadPart;
}
#else
#include <time.h>
#if defined(__wasi__)               /* a strict -std=c99 hides what POSIX has */
extern int clock_gettime(clockid_t id, struct timespec *t);
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#elif !defined(CLOCK_MONOTONIC)
#include <pthread.h>                /* struct timespec */
#define AIOS__CLOCK_MONOTONIC 1
extern int clock_gettime(int id, struct timespec *t);
#else
#define AIOS__CLOCK_MONOTONIC CLOCK_MONOTONIC
#endif
static uint64_t aios__system_ns(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(AIOS__CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif

/* ---- pool --------------------------------------------------------------------------------------------------- */
/* Worker w runs fn(arg, w); worker 0 is the thread that calls aios__pool_run. */
typedef void (*aios__worker_fn)(void *arg, int32_t worker);

#ifndef AIOS_STACK_BYTES
#define AIOS_STACK_BYTES (256 * 1024)   /* the deepest task needs under 48 KiB; the C library puts a program's thread-local data here too */
#endif
#if defined(_WIN32)
#define AIOS__STACK 0                   /* the system gives each thread its own                         */
#define AIOS__PAGE 16
#else
#define AIOS__STACK (((uint64_t)AIOS_STACK_BYTES + 16383) / 16384 * 16384)
#define AIOS__PAGE 16384                /* the largest page that a stack must be aligned to (Apple arm64) */
#endif
enum { AIOS__SPINS = 1000 };            /* some tens of microseconds                                    */

#if defined(__wasm__) && !defined(_REENTRANT) && !defined(AIOS_NO_THREADS)
#define AIOS_NO_THREADS     /* a module has them where it was compiled with -pthread */
#endif
#ifdef AIOS_NO_THREADS
typedef struct aios__pool { int32_t n; } aios__pool;
static uint64_t aios__pool_stacks(int32_t n) { (void)n; return 0; }
static void aios__pool_layout(aios__pool *p, aios__bump *b, int32_t n) { (void)p; (void)b; (void)n; }
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios_error *err) {
    p->n = 1;
    return n < 2 ? AIOS_OK : aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "this build has no threads (AIOS_NO_THREADS): give parallel_for or plan for one thread");
}
static void aios__pool_stop(aios__pool *p) { (void)p; }
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) { (void)p; fn(arg, 0); }
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) { (void)p; (void)gen; return 1; }
static void aios__barrier_release(aios__pool *p) { (void)p; }
static void aios__barrier_wait(aios__pool *p, int32_t gen) { (void)p; (void)gen; }
#else

#if defined(_WIN32)
typedef HANDLE aios__thread;
typedef SRWLOCK aios__lock;
typedef CONDITION_VARIABLE aios__cond;
#define AIOS__LOCK(p)      AcquireSRWLockExclusive(&(p)->lock)
#define AIOS__UNLOCK(p)    ReleaseSRWLockExclusive(&(p)->lock)
#define AIOS__SLEEP(p)     SleepConditionVariableSRW(&(p)->cond, &(p)->lock, INFINITE, 0)
#define AIOS__WAKE_ALL(p)  WakeAllConditionVariable(&(p)->cond)
#else
#include <pthread.h>
#if defined(__STRICT_ANSI__) && !defined(__cplusplus)   /* a strict -std=c99 hides it */
extern int pthread_attr_setstack(pthread_attr_t *a, void *stack, size_t n_bytes);
#endif
typedef pthread_t aios__thread;
typedef pthread_mutex_t aios__lock;
typedef pthread_cond_t aios__cond;
#define AIOS__LOCK(p)      pthread_mutex_lock(&(p)->lock)
#define AIOS__UNLOCK(p)    pthread_mutex_unlock(&(p)->lock)
#define AIOS__SLEEP(p)     pthread_cond_wait(&(p)->cond, &(p)->lock)
#define AIOS__WAKE_ALL(p)  pthread_cond_broadcast(&(p)->cond)
#endif

struct aios__pool;
typedef struct aios__seat { struct aios__pool *pool; int32_t worker; } aios__seat;

typedef struct aios__pool {
    int32_t n;                          /* workers, the caller included; 0 = not started                */
    int32_t quit;
    aios__worker_fn fn;
    void *arg;
    aios__thread *thread;               /* [n]; 0 unused                                                */
    aios__seat *seat;                   /* [n]                                                          */
    char *stack;                        /* [n - 1] stacks, in the caller's memory                       */
    aios__lock lock;
    aios__cond cond;
    char apart0[64]; int32_t job;       /* counts jobs; each waits on its own cache line                */
    char apart1[64]; int32_t bar_gen;   /* counts barriers passed                                       */
    char apart2[64]; int32_t bar_in;    /* workers in the barrier                                       */
    char apart3[64]; int32_t sleepers;
    char apart4[64];
} aios__pool;

/* Returns when *word is no longer old. */
static void aios__wait_change(aios__pool *p, const int32_t *word, int32_t old) {
    int32_t i;
    for (i = 0; i < AIOS__SPINS; i++) {
        if (aios__load(word) != old) return;
        aios__pause();
    }
    AIOS__LOCK(p);
    aios__fetch_add(&p->sleepers, 1);
    while (aios__load(word) == old) AIOS__SLEEP(p);
    aios__fetch_add(&p->sleepers, -1);
    AIOS__UNLOCK(p);
}
static void aios__change(aios__pool *p, int32_t *word) {
    aios__fetch_add(word, 1);
    if (aios__load(&p->sleepers)) { AIOS__LOCK(p); AIOS__WAKE_ALL(p); AIOS__UNLOCK(p); }
}

/* A barrier in two halves, so that the last to arrive can prepare what comes next: it gets 1, does that, and releases. */
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) {
    *gen = aios__load(&p->bar_gen);
    return aios__fetch_add(&p->bar_in, 1) == p->n - 1;
}
static void aios__barrier_release(aios__pool *p) {
    aios__store(&p->bar_in, 0);
    aios__change(p, &p->bar_gen);
}
static void aios__barrier_wait(aios__pool *p, int32_t gen) { aios__wait_change(p, &p->bar_gen, gen); }

static void aios__pool_sync(aios__pool *p) {
    int32_t gen;
    if (aios__barrier_arrive(p, &gen)) aios__barrier_release(p);
    else aios__barrier_wait(p, gen);
}

#if defined(_WIN32)
static DWORD WINAPI aios__thread_main(void *arg) {
#else
static void *aios__thread_main(void *arg) {
#endif
    aios__seat *s = (aios__seat *)arg;
    aios__pool *p = s->pool;
    int32_t seen = 0;
    for (;;) {
        aios__wait_change(p, &p->job, seen);
        seen++;
        if (aios__load(&p->quit)) break;
        p->fn(p->arg, s->worker);
        aios__pool_sync(p);
    }
    return 0;
}

/* Runs fn on every worker and returns when all have returned. */
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) {
    if (p->n < 2) { fn(arg, 0); return; }
    p->fn = fn; p->arg = arg;
    aios__change(p, &p->job);
    fn(arg, 0);
    aios__pool_sync(p);
}

/* Bytes of the stacks, the last thing that is laid out. */
static uint64_t aios__pool_stacks(int32_t n) { return n > 1 ? (uint64_t)(n - 1) * AIOS__STACK + AIOS__PAGE : 0; }
static void aios__pool_layout(aios__pool *p, aios__bump *b, int32_t n) {
    p->thread = (aios__thread *)aios__take(b, (uint64_t)n * sizeof *p->thread, 16);
    p->seat   = (aios__seat *)aios__take(b, (uint64_t)n * sizeof *p->seat, 16);
    p->stack  = (char *)aios__take(b, aios__pool_stacks(n), 16);
    if (p->stack) p->stack += (AIOS__PAGE - (uintptr_t)p->stack % AIOS__PAGE) % AIOS__PAGE;
}
static void aios__pool_stop(aios__pool *p) {
    int32_t i;
    if (!p->n) return;
    aios__store(&p->quit, 1);
    aios__change(p, &p->job);
    for (i = 1; i < p->n; i++) {
#if defined(_WIN32)
        WaitForSingleObject(p->thread[i], INFINITE);
        CloseHandle(p->thread[i]);
#else
        pthread_join(p->thread[i], NULL);
#endif
    }
#if !defined(_WIN32)
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->cond);
#endif
    p->n = 0;
}
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios_error *err) {
    int32_t i, ok = 1;
    p->n = 1; p->quit = 0; p->job = 0; p->bar_gen = 0; p->bar_in = 0; p->sleepers = 0;
#if defined(_WIN32)
    InitializeSRWLock(&p->lock);
    InitializeConditionVariable(&p->cond);
#else
    if (pthread_mutex_init(&p->lock, NULL)) { p->n = 0; return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, "the system gave no mutex"); }
    if (pthread_cond_init(&p->cond, NULL)) {
        pthread_mutex_destroy(&p->lock); p->n = 0;
        return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, "the system gave no condition variable");
    }
#endif
    for (i = 1; i < n && ok; i++) {
        p->seat[i].pool = p; p->seat[i].worker = i;
#if defined(_WIN32)
        p->thread[i] = CreateThread(NULL, 0, aios__thread_main, &p->seat[i], 0, NULL);
        ok = p->thread[i] != NULL;
#else
        {
            pthread_attr_t a;
            ok = pthread_attr_init(&a) == 0;
            if (ok) {
                ok = pthread_attr_setstack(&a, p->stack + (uint64_t)(i - 1) * AIOS__STACK, AIOS__STACK) == 0
                  && pthread_create(&p->thread[i], &a, aios__thread_main, &p->seat[i]) == 0;
                pthread_attr_destroy(&a);
            }
        }
#endif
        if (ok) p->n++;
    }
    if (ok) return AIOS_OK;
    i = p->n;
    aios__pool_stop(p);
    return aios__fail2(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, (uint64_t)n, (uint64_t)i, "the system started % of % threads", aios__i(i), aios__i(n));
}
#endif
