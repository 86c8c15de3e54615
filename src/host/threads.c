/* threads.c: threads of our own, for hosts that lend none. A pool, which works on one job at a
 * time with its caller, and a crew, which waits for things to do. A waiting thread spins for a
 * bounded time (some tens of microseconds), then sleeps in the kernel. Behind atomic.c and
 * clock.c. */

/* ---- pool ---- */
/* A job is one call of aios__pool_run: its caller is worker 0, and the pool's threads join when
 * they are there. Nobody waits for one that is not: a thread that the system wakes late, or
 * never during a short job, finds the work done, or helps with what is left. Who has joined is a
 * member and must come to every barrier until the job is over. */
typedef void (*aios__worker_fn)(void *arg, int32_t worker);
typedef void (*aios__start_fn)(void *user, int32_t worker);

#ifndef AIOS_STACK_BYTES
/* the deepest task needs under 48 KiB; the C library puts a program's thread-local data here too */
#define AIOS_STACK_BYTES (256 * 1024)
#endif
#if defined(_WIN32)
#define AIOS__STACK 0 /* the system gives each thread its own                         */
#define AIOS__PAGE  16
#else
#define AIOS__STACK (((uint64_t)AIOS_STACK_BYTES + 16383) / 16384 * 16384)
#define AIOS__PAGE  16384 /* the largest page that a stack must be aligned to (Apple arm64) */
#endif
enum { AIOS__SPINS = 1000 };     /* some tens of microseconds */
#define AIOS__FOREVER UINT64_MAX /* nanoseconds                                                  */

#if defined(__wasm__) && !defined(_REENTRANT) && !defined(AIOS_NO_THREADS)
#define AIOS_NO_THREADS /* a module has them where it was compiled with -pthread */
#endif
#ifdef AIOS_NO_THREADS
typedef struct aios__pool {
    int32_t n;
} aios__pool;
static uint64_t aios__stacks(int32_t n) {
    (void)n;
    return 0;
}
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios__start_fn start,
                                    void *start_user, aios_error *err) {
    p->n = 1;
    (void)start;
    (void)start_user;
    return n < 2 ? AIOS_OK
                 : aios__fail(
                       err, AIOS_ERR_ARG, AIOS__NO_OFF,
                       "this build has no threads (AIOS_NO_THREADS): give parallel_for or plan for "
                       "one thread");
}
static void aios__pool_stop(aios__pool *p) { (void)p; }
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) {
    (void)p;
    fn(arg, 0);
}
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) {
    (void)p;
    (void)gen;
    return 1;
}
static void aios__barrier_release(aios__pool *p, int32_t over) {
    (void)p;
    (void)over;
}
static int32_t aios__barrier_wait(aios__pool *p, int32_t gen) {
    (void)p;
    (void)gen;
    return 1;
}
static void aios__pool_bound(aios__pool *p, int32_t n) {
    (void)p;
    (void)n;
}

typedef struct aios__crew {
    int32_t n, quit;
} aios__crew;
static void aios__threads_layout(aios__pool *p, aios__crew *c, aios__bump *b, int32_t n_workers,
                                 int32_t n_crew) {
    (void)p;
    (void)c;
    (void)b;
    (void)n_workers;
    (void)n_crew;
}
static aios_status aios__crew_start(aios__crew *c, int32_t n, void (*fn)(void *), void *arg,
                                    aios_error *err) {
    (void)c;
    (void)fn;
    (void)arg;
    return n < 1 ? AIOS_OK
                 : aios__fail(
                       err, AIOS_ERR_ARG, AIOS__NO_OFF,
                       "this build has no threads (AIOS_NO_THREADS): plan without reading threads");
}
static int32_t aios__crew_stop(aios__crew *c) {
    (void)c;
    return 1;
}
static void aios__crew_lock(aios__crew *c) { (void)c; }
static void aios__crew_unlock(aios__crew *c) { (void)c; }
static void aios__crew_wake(aios__crew *c) { (void)c; }
static void aios__crew_call(aios__crew *c) { (void)c; }
static void aios__crew_idle(aios__crew *c) { (void)c; }
static void aios__crew_wait(aios__crew *c, uint64_t ns) {
    (void)c;
    (void)ns;
}
#else

#if defined(_WIN32)
typedef HANDLE aios__thread;
typedef SRWLOCK aios__lock;
typedef CONDITION_VARIABLE aios__cond;
#define AIOS__LOCK(p)     AcquireSRWLockExclusive(&(p)->lock)
#define AIOS__UNLOCK(p)   ReleaseSRWLockExclusive(&(p)->lock)
#define AIOS__SLEEP(p, c) SleepConditionVariableSRW(&(p)->c, &(p)->lock, INFINITE, 0)
#define AIOS__WAKE(p, c)  WakeAllConditionVariable(&(p)->c)
static int64_t aios__process(void) { return 0; }
#else
#include <pthread.h>
#if defined(__STRICT_ANSI__) && !defined(__cplusplus) /* a strict -std=c99 hides it */
extern int pthread_attr_setstack(pthread_attr_t *a, void *stack, size_t n_bytes);
#endif
typedef pthread_t aios__thread;
typedef pthread_mutex_t aios__lock;
typedef pthread_cond_t aios__cond;
#define AIOS__LOCK(p)     pthread_mutex_lock(&(p)->lock)
#define AIOS__UNLOCK(p)   pthread_mutex_unlock(&(p)->lock)
#define AIOS__SLEEP(p, c) pthread_cond_wait(&(p)->c, &(p)->lock)
#define AIOS__WAKE(p, c)  pthread_cond_broadcast(&(p)->c)
#include <unistd.h>
/* a forked child has the memory of the threads, not the threads */
static int64_t aios__process(void) { return (int64_t)getpid(); }
#endif

AIOS__SMALL_BEGIN
/* What a thread of our own runs. It is there as long as the thread is. */
typedef struct aios__begin {
    void (*fn)(void *arg);
    void *arg;
} aios__begin;
#if defined(_WIN32)
static DWORD WINAPI aios__thread_main(void *arg) {
#else
static void *aios__thread_main(void *arg) {
#endif
    const aios__begin *b = (const aios__begin *)arg;
    b->fn(b->arg);
    return 0;
}
/* Starts a thread on a stack of AIOS__STACK bytes; 0 when the system gives none. */
static int32_t aios__thread_start(aios__thread *t, aios__begin *b, char *stack) {
#if defined(_WIN32)
    (void)stack;
    *t = CreateThread(NULL, 0, aios__thread_main, b, 0, NULL);
    return *t != NULL;
#else
    pthread_attr_t a;
    int32_t ok = pthread_attr_init(&a) == 0;
    if (!ok) return 0;
    ok = pthread_attr_setstack(&a, stack, AIOS__STACK) == 0 &&
         pthread_create(t, &a, aios__thread_main, b) == 0;
    pthread_attr_destroy(&a);
    return ok;
#endif
}
static void aios__thread_join(aios__thread t) {
#if defined(_WIN32)
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
#else
    pthread_join(t, NULL);
#endif
}
static uint64_t aios__stacks(int32_t n) {
    return n > 0 ? (uint64_t)n * AIOS__STACK + AIOS__PAGE : 0;
}
/* A lock and two conditions. */
static aios_status aios__locks_start(aios__lock *lock, aios__cond *a, aios__cond *b,
                                     aios_error *err) {
#if defined(_WIN32)
    (void)err;
    InitializeSRWLock(lock);
    InitializeConditionVariable(a);
    InitializeConditionVariable(b);
#else
    if (pthread_mutex_init(lock, NULL))
        return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, "the system gave no mutex");
    if (pthread_cond_init(a, NULL)) a = NULL;
    if (!a || pthread_cond_init(b, NULL)) {
        if (a) pthread_cond_destroy(a);
        pthread_mutex_destroy(lock);
        return aios__fail(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF,
                          "the system gave no condition variable");
    }
#endif
    return AIOS_OK;
}
static void aios__locks_stop(aios__lock *lock, aios__cond *a, aios__cond *b) {
#if defined(_WIN32)
    (void)lock;
    (void)a;
    (void)b;
#else
    pthread_mutex_destroy(lock);
    pthread_cond_destroy(a);
    pthread_cond_destroy(b);
#endif
}

AIOS__SMALL_END

struct aios__pool;
typedef struct aios__seat {
    struct aios__pool *pool;
    int32_t worker;
    aios__begin begin;
} aios__seat;

typedef struct aios__pool {
    int32_t n;      /* workers, the caller included; 0 = not started */
    int32_t active; /* those that are wanted, 1..n; changed under the lock */
    int32_t quit;
    int64_t process; /* in which the threads run */
    aios__worker_fn fn;
    void *arg;
    aios__start_fn start; /* NULL, or called once on each thread */
    void *start_user;
    aios__thread *thread; /* [n]; 0 unused */
    aios__seat *seat;     /* [n] */
    char *stack;          /* [n - 1] stacks, in the caller's memory */
    aios__lock lock;
    aios__cond cond, parked; /* parked: threads beyond active; only aios__pool_bound wakes them */
    /* counts jobs; each waits on its own cache line */
    char apart0[64];
    int32_t job;
    char apart1[64];
    int32_t bar_gen; /* counts barriers passed */
    int32_t over;    /* the barrier at which the last job ended */
    char apart2[64];
    int32_t members; /* as below */
    char apart3[64];
    int32_t sleepers;
    char apart4[64];
} aios__pool;

/* members: how many have joined (bits 0-10) and how many of these are in the barrier (11-21);
 * the low bits of the barrier's number (23-30), which who joins between the two writes of
 * aios__barrier_release must know; 0 when there is no job. While all are in the barrier the last
 * of them works alone on what they share, and nobody joins. */
enum { AIOS__ARRIVED = 1 << 11, AIOS__OPEN = 1 << 22, AIOS__NUMBER = 1 << 23, AIOS__COUNT = 2047 };

/* How far a counter is past old: it may have gone round. */
static int32_t aios__past(const int32_t *word, int32_t old) {
    return (int32_t)((uint32_t)aios__load(word) - (uint32_t)old);
}
/* Returns when it is past old. */
static void aios__wait_past(aios__pool *p, const int32_t *word, int32_t old) {
    for (int32_t i = 0; i < AIOS__SPINS; i++) {
        if (aios__past(word, old) > 0) return;
        aios__pause();
    }
    AIOS__LOCK(p);
    aios__fetch_add(&p->sleepers, 1);
    while (aios__past(word, old) <= 0) AIOS__SLEEP(p, cond);
    aios__fetch_add(&p->sleepers, -1);
    AIOS__UNLOCK(p);
}
static void aios__change(aios__pool *p, int32_t *word) {
    aios__fetch_add(word, 1);
    if (aios__load(&p->sleepers)) {
        AIOS__LOCK(p);
        AIOS__WAKE(p, cond);
        AIOS__UNLOCK(p);
    }
}

/* A barrier in two halves, so that the last to arrive can prepare what comes next: it gets 1,
 * does that, and releases. */
static int32_t aios__barrier_arrive(aios__pool *p, int32_t *gen) {
    uint32_t g = (uint32_t)aios__load(&p->bar_gen);
    int32_t m = aios__fetch_add(&p->members, AIOS__ARRIVED) + AIOS__ARRIVED;
    /* one on for who was faster than the release that let it in */
    *gen = (int32_t)(g + (((uint32_t)m / AIOS__NUMBER - g) & 255));
    return (m / AIOS__ARRIVED & AIOS__COUNT) == (m & AIOS__COUNT);
}
/* over: the job ends here. Then all of it may be gone when this returns. */
static void aios__barrier_release(aios__pool *p, int32_t over) {
    int32_t gen = aios__load(&p->bar_gen);
    if (over) aios__store(&p->over, gen);
    aios__store(&p->members, over ? 0
                                  : (aios__load(&p->members) & AIOS__COUNT) | AIOS__OPEN |
                                        (int32_t)((((uint32_t)gen + 1) & 255) * AIOS__NUMBER));
    aios__change(p, &p->bar_gen);
}
/* 1 = the job is over. A later one may have begun and ended meanwhile: its barriers have higher
 * numbers. */
static int32_t aios__barrier_wait(aios__pool *p, int32_t gen) {
    aios__wait_past(p, &p->bar_gen, gen);
    return aios__past(&p->over, gen) >= 0;
}

/* Becomes a member of the job that is under way. 0 = there is none, or it has no place for this
 * worker. */
static int32_t aios__pool_join(aios__pool *p, int32_t worker) {
    for (;;) {
        int32_t gen = aios__load(&p->bar_gen), m = aios__load(&p->members);
        if (!m || worker >= aios__load(&p->active)) return 0;
        if ((m / AIOS__ARRIVED & AIOS__COUNT) == (m & AIOS__COUNT))
            aios__wait_past(p, &p->bar_gen, gen);
        else if (aios__cas(&p->members, m, m + 1))
            return 1;
    }
}
/* Waits until there is a job that is not number *seen, and this worker is wanted. 0 = the pool
 * stops. */
static int32_t aios__pool_wait(aios__pool *p, int32_t worker, int32_t *seen) {
    int32_t i;
    for (i = 0; i < AIOS__SPINS && worker < aios__load(&p->active) && aios__load(&p->job) == *seen;
         i++)
        aios__pause();
    if (worker >= aios__load(&p->active) || aios__load(&p->job) == *seen) {
        AIOS__LOCK(p);
        while (!aios__load(&p->quit)) {
            if (worker >= aios__load(&p->active)) {
                AIOS__SLEEP(p, parked);
                continue;
            }
            aios__fetch_add(&p->sleepers, 1);
            i = aios__load(&p->job) == *seen;
            if (i) AIOS__SLEEP(p, cond);
            aios__fetch_add(&p->sleepers, -1);
            if (!i) break;
        }
        AIOS__UNLOCK(p);
    }
    *seen = aios__load(&p->job);
    return !aios__load(&p->quit);
}

static void aios__pool_main(void *arg) {
    aios__seat *s = (aios__seat *)arg;
    aios__pool *p = s->pool;
    int32_t seen = 0;
    if (p->start) p->start(p->start_user, s->worker);
    while (aios__pool_wait(p, s->worker, &seen))
        if (aios__pool_join(p, s->worker)) p->fn(p->arg, s->worker);
}

/* Runs fn on this thread and on those that come; returns when the job is over, which fn finds
 * out at a barrier. */
static void aios__pool_run(aios__pool *p, aios__worker_fn fn, void *arg) {
    p->fn = fn;
    p->arg = arg;
    aios__store(&p->members, (aios__load(&p->bar_gen) & 255) * AIOS__NUMBER | AIOS__OPEN | 1);
    aios__change(p, &p->job);
    fn(arg, 0);
}
AIOS__SMALL_BEGIN
/* From now on workers n and up sleep. Not during a job. */
static void aios__pool_bound(aios__pool *p, int32_t n) {
    AIOS__LOCK(p);
    aios__store(&p->active, n);
    AIOS__WAKE(p, cond);
    AIOS__WAKE(p, parked);
    AIOS__UNLOCK(p);
}

static void aios__pool_stop(aios__pool *p) {
    if (!p->n) return;
    if (p->process != aios__process()) {
        p->n = 0;
        return;
    }
    AIOS__LOCK(p);
    aios__store(&p->quit, 1);
    aios__fetch_add(&p->job, 1); /* for those that spin */
    AIOS__WAKE(p, cond);
    AIOS__WAKE(p, parked);
    AIOS__UNLOCK(p);
    for (int32_t i = 1; i < p->n; i++) aios__thread_join(p->thread[i]);
    aios__locks_stop(&p->lock, &p->cond, &p->parked);
    p->n = 0;
}
static aios_status aios__pool_start(aios__pool *p, int32_t n, aios__start_fn start,
                                    void *start_user, aios_error *err) {
    int32_t i;
    aios_status st;
    p->n = 0;
    p->active = n;
    p->quit = 0;
    p->job = 0;
    p->members = 0;
    p->sleepers = 0;
    /* it goes round soon, so that every test sees it */
    p->bar_gen = 0x7FFFFF00;
    p->over = p->bar_gen - 1;
    p->start = start;
    p->start_user = start_user;
    p->process = aios__process();
    if ((st = aios__locks_start(&p->lock, &p->cond, &p->parked, err)) != 0) return st;
    for (i = p->n = 1; i < n; i++) {
        aios__seat *s = &p->seat[i];
        s->pool = p;
        s->worker = i;
        s->begin.fn = aios__pool_main;
        s->begin.arg = s;
        if (!aios__thread_start(&p->thread[i], &s->begin,
                                p->stack + (uint64_t)(i - 1) * AIOS__STACK))
            break;
        p->n++;
    }
    if (i >= n) return AIOS_OK;
    aios__pool_stop(p);
    return aios__fail2(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, (uint64_t)n, (uint64_t)i,
                       "the system started % of % threads", aios__i(i), aios__i(n));
}

/* ---- crew ---- */
/* Threads that wait for something to do, with the lock and the condition that they share with
 * those who give it. */
typedef struct aios__crew {
    int32_t n, quit, started; /* n: threads that run */
    int64_t process;          /* in which they do */
    aios__lock lock;
    aios__cond cond, idle; /* something was done; there is something to do */
    aios__begin begin;
    aios__thread *thread;
    char *stack;
} aios__crew;
static void aios__crew_lock(aios__crew *c) { AIOS__LOCK(c); }
static void aios__crew_unlock(aios__crew *c) { AIOS__UNLOCK(c); }
/* who waits for what the crew does */
static void aios__crew_wake(aios__crew *c) { AIOS__WAKE(c, cond); }
static void aios__crew_call(aios__crew *c) { AIOS__WAKE(c, idle); } /* the crew */
static void aios__crew_idle(aios__crew *c) { AIOS__SLEEP(c, idle); }
/* Sleeps until woken, or for about ns nanoseconds, an hour at the most; now and then for
 * nothing. Called with the lock. */
static void aios__crew_wait(aios__crew *c, uint64_t ns) {
#if defined(_WIN32)
    SleepConditionVariableSRW(
        &c->cond, &c->lock, (DWORD)(aios__min_u64(ns, (uint64_t)3600 * 1000000000u) / 1000000 + 1),
        0);
#elif defined(AIOS_NO_CLOCK)
    /* no way to sleep for a time: a short while awake, so that deadlines are heard */
    int32_t i;
    (void)ns;
    AIOS__UNLOCK(c);
    for (i = 0; i < AIOS__SPINS; i++) aios__pause();
    AIOS__LOCK(c);
#else
    struct timespec t;
    clock_gettime(AIOS__CLOCK_REALTIME, &t);
    ns = aios__min_u64(ns, (uint64_t)3600 * 1000000000u) + (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    pthread_cond_timedwait(&c->cond, &c->lock, &t);
#endif
}
static void aios__crew_quit(aios__crew *c, int32_t quit) {
    AIOS__LOCK(c);
    c->quit = quit;
    AIOS__WAKE(c, idle);
    AIOS__UNLOCK(c);
}
/* 0: in a forked child, which has neither threads to wait for nor reads under way. */
static int32_t aios__crew_stop(aios__crew *c) {
    if (!c->started) return 1;
    if (c->process != aios__process()) return 0;
    aios__crew_quit(c, 1);
    while (c->n > 0) aios__thread_join(c->thread[--c->n]);
    aios__locks_stop(&c->lock, &c->cond, &c->idle);
    c->started = 0;
    return 1;
}
/* Starts n threads that run fn(arg) until quit is set; none is fine: then the lock is all there
 * is. */
static aios_status aios__crew_start(aios__crew *c, int32_t n, void (*fn)(void *), void *arg,
                                    aios_error *err) {
    aios_status st = aios__locks_start(&c->lock, &c->cond, &c->idle, err);
    if (st) return st;
    c->begin.fn = fn;
    c->begin.arg = arg;
    c->process = aios__process();
    for (c->started = 1, c->n = c->quit = 0; c->n < n; c->n++)
        if (!aios__thread_start(&c->thread[c->n], &c->begin,
                                c->stack + (uint64_t)c->n * AIOS__STACK)) {
            int32_t i = c->n;
            aios__crew_stop(c);
            return aios__fail2(err, AIOS_ERR_SYSTEM, AIOS__NO_OFF, (uint64_t)n, (uint64_t)i,
                               "the system started % of % reading threads", aios__i(i), aios__i(n));
        }
    return AIOS_OK;
}

/* Tables of the threads, then their stacks, the last thing that is laid out: nothing has to be
 * zeroed behind them. The thread that calls is one of the workers and has a stack. */
static void aios__threads_layout(aios__pool *p, aios__crew *c, aios__bump *b, int32_t n_workers,
                                 int32_t n_crew) {
    p->thread = (aios__thread *)aios__take(b, (uint64_t)n_workers * sizeof *p->thread, 16);
    p->seat = (aios__seat *)aios__take(b, (uint64_t)n_workers * sizeof *p->seat, 16);
    c->thread = (aios__thread *)aios__take(b, (uint64_t)n_crew * sizeof *c->thread, 16);
    p->stack = (char *)aios__take(b, aios__stacks(n_workers - 1 + n_crew), 16);
    if (!p->stack) return;
    p->stack += (AIOS__PAGE - (uintptr_t)p->stack % AIOS__PAGE) % AIOS__PAGE;
    c->stack = p->stack + (uint64_t)(n_workers - 1) * AIOS__STACK;
}
AIOS__SMALL_END
#endif
