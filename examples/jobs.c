/* jobs.c: a game's own job system runs the model's tasks among its own. Every worker has a deque of jobs, takes its newest, and
 * steals the oldest of another when it has none. The game decides from frame to frame how many workers there are and
 * on which CPUs they run; the library does not care. At the end the same tokens are run without jobs: the logits must be the same bits.
 *     cc -O2 -I. examples/jobs.c -o jobs -lpthread && ./jobs           from the root of the repository */
#define _GNU_SOURCE                     /* pthread_setaffinity_np */
#define AIOS_IMPLEMENTATION
#define AIOS_DEFAULT_ALLOC
#define AIOS_NO_THREADS                 /* the library starts none: it borrows ours */
#include "aios.h"
#include "tale.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { N_WORKERS = 4, N_FRAMES = 30, N_CTX = 512, MAX_JOBS = 1024 /* a power of two */, SLICE_NS = 2000000 };

/* ---- the job system ----------------------------------------------------------------------------------------- */
typedef struct job {
    aios_task_fn fn;                    /* game jobs have the same shape */
    void *arg;
    int32_t i;
    int32_t *left;                      /* jobs of this batch that are not done */
} job;
typedef struct deque {                  /* of one worker; from head (oldest, stolen) to tail (newest, own) */
    pthread_mutex_t lock;
    job job[MAX_JOBS];
    uint32_t head, tail;
    int32_t n_done, n_stolen;           /* for the table; its worker's alone */
    char apart[64];
} deque;
typedef struct jobs {
    deque deque[N_WORKERS];
    pthread_t thread[N_WORKERS];
    pthread_mutex_t lock;               /* for sleeping alone */
    pthread_cond_t wake;
    int32_t n_active;                   /* workers 0 .. n_active - 1 take jobs in this frame */
    int32_t n_waiting;                  /* jobs in deques */
    int32_t n_asleep, quit;
} jobs;
typedef struct seat { jobs *j; int32_t worker; } seat;

#define LOAD(p)   __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define ADD(p, n) __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST)

static int push(jobs *j, int32_t worker, const job *what) {
    deque *d = &j->deque[worker];
    int room;
    pthread_mutex_lock(&d->lock);
    room = d->tail - d->head < MAX_JOBS;
    if (room) d->job[d->tail++ % MAX_JOBS] = *what;
    pthread_mutex_unlock(&d->lock);
    if (room) ADD(&j->n_waiting, 1);
    return room;
}
static int take_job(jobs *j, int32_t from, int oldest, job *what) {
    deque *d = &j->deque[from];
    int found;
    pthread_mutex_lock(&d->lock);
    found = d->tail != d->head;
    if (found) *what = d->job[(oldest ? d->head++ : --d->tail) % MAX_JOBS];
    pthread_mutex_unlock(&d->lock);
    if (found) ADD(&j->n_waiting, -1);
    return found;
}
/* Runs one job: of its own, or one that it steals. A sleeping worker's deque is emptied too. 0 = there was none. */
static int work(jobs *j, int32_t worker) {
    deque *own = &j->deque[worker];
    job what;
    int32_t k, found = take_job(j, worker, 0, &what);
    for (k = 1; !found && k < N_WORKERS; k++)
        if ((found = take_job(j, (worker + k) % N_WORKERS, 1, &what)) != 0) own->n_stolen++;
    if (!found) return 0;
    what.fn(what.arg, what.i, worker);
    own->n_done++;
    ADD(what.left, -1);
    return 1;
}
static void *worker_main(void *arg) {
    const seat *s = (const seat *)arg;
    jobs *j = s->j;
    while (!LOAD(&j->quit)) {
        int32_t spins = 200;            /* the next jobs of a model come within microseconds */
        if (s->worker < LOAD(&j->n_active) && work(j, s->worker)) continue;
        while (--spins && !(s->worker < LOAD(&j->n_active) && LOAD(&j->n_waiting))) {}
        if (spins) continue;
        pthread_mutex_lock(&j->lock);
        ADD(&j->n_asleep, 1);           /* counted before the last look: who posts later sees it and wakes us */
        while (!LOAD(&j->quit) && !(s->worker < LOAD(&j->n_active) && LOAD(&j->n_waiting))) pthread_cond_wait(&j->wake, &j->lock);
        ADD(&j->n_asleep, -1);
        pthread_mutex_unlock(&j->lock);
    }
    return NULL;
}
static void wake(jobs *j) {
    if (!LOAD(&j->n_asleep)) return;
    pthread_mutex_lock(&j->lock);
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->lock);
}
/* Jobs 0 .. n - 1 of fn, spread over the deques of the workers there are; left counts them down. What finds no room runs here. */
static void post(jobs *j, int32_t n, aios_task_fn fn, void *arg, int32_t *left) {
    const int32_t n_active = LOAD(&j->n_active);
    job what;
    ADD(left, n);
    what.fn = fn; what.arg = arg; what.left = left;
    for (what.i = 0; what.i < n; what.i++)
        if (!push(j, what.i % n_active, &what)) { fn(arg, what.i, 0); ADD(left, -1); }
    wake(j);
}
/* The frame's thread is worker 0: it helps until the batch is done, and may come upon the game's jobs meanwhile. */
static void finish(jobs *j, const int32_t *left) {
    int32_t spins = 0;
    while (LOAD(left)) if (!work(j, 0) && ++spins % 64 == 0) sched_yield();     /* others are at the last ones */
}
/* What the library calls. The worker numbers of tasks are those of our threads, below the plan's n_threads, however many there are now. */
static void parallel_for(void *user, int32_t n, aios_task_fn fn, void *arg) {
    int32_t left = 0;
    post((jobs *)user, n, fn, arg, &left);
    finish((jobs *)user, &left);
}
static void set_workers(jobs *j, int32_t n) {
    __atomic_store_n(&j->n_active, n, __ATOMIC_SEQ_CST);
    wake(j);
}
/* Worker k to the k-th of the CPUs that this process may use, round and round; elsewhere than on Linux the system decides. */
static int32_t pin(pthread_t thread, int32_t k) {
#if defined(__linux__) && defined(CPU_SETSIZE) && !defined(__ANDROID__)
    cpu_set_t may, one;
    int32_t cpu, i = 0;
    if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) == 0) return -1;
    for (cpu = 0, k %= CPU_COUNT(&may); cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &may) && i++ == k) break;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return pthread_setaffinity_np(thread, sizeof one, &one) == 0 ? cpu : -1;
#else
    (void)thread;
    (void)k;
    return -1;
#endif
}

/* ---- clock, the game's own jobs ------------------------------------------------------------------------------ */
static uint64_t now_ns(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
typedef struct flight { float x[64][256], v[64][256]; } flight;
static void move_birds(void *arg, int32_t i, int32_t worker) {      /* a game job: 256 birds, some microseconds */
    flight *f = (flight *)arg;
    int32_t k, step;
    (void)worker;
    for (step = 0; step < 32; step++)
        for (k = 0; k < 256; k++) { f->v[i][k] -= 0.01f * f->x[i][k]; f->x[i][k] += 0.01f * f->v[i][k]; }
}

/* ---- the model ---------------------------------------------------------------------------------------------- */
typedef struct teller { aios_model *model; aios_context *ctx; int32_t n_vocab; } teller;

static int teller_open(teller *t, jobs *j, aios_error *err) {       /* j NULL: without jobs, on the thread that calls */
    aios_io pak;
    aios_model_desc md;
    aios_model_info info;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_io_memory(&pak, tale_gguf, tale_gguf_bytes);
    aios_model_desc_init(&md);
    md.io = &pak;
    if (aios_model_open(&md, &t->model, err)) return 0;
    aios_model_info_init(&info);
    aios_model_get_info(t->model, &info);
    t->n_vocab = info.n_vocab;
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    pd.n_ctx = N_CTX;
    pd.n_threads = j ? N_WORKERS : 1;   /* the most there will ever be */
    pd.flags = j ? AIOS_PLAN_LENT_THREADS : 0;
    if (aios_plan_make(t->model, &pd, &plan, err)) return 0;
    aios_context_desc_init(&cd);
    if (j) { cd.parallel_for = parallel_for; cd.parallel_user = j; }
    cd.now_ns = now_ns;
    return aios_context_open(t->model, &plan, &cd, &t->ctx, err) == AIOS_OK;
}
static uint64_t hash_logits(uint64_t h, const teller *t) {          /* FNV-1a over the newest row */
    const unsigned char *b = (const unsigned char *)aios_logits(t->ctx, 0);
    size_t i, n = (size_t)t->n_vocab * sizeof(float);
    for (i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001B3u;
    return h;
}

int main(void) {
    static const char prompt[] = "Once upon a time there lived in the deep forest an old woodcutter and his three daughters. One day the "
                                 "youngest of them said to her father, \"Let me go into the wood alone, and I will bring home what I find.\"";
    static jobs j;
    static flight birds;
    static seat seats[N_WORKERS];
    static int32_t ids[N_CTX];
    teller a = { 0 }, b = { 0 };
    aios_sampler greedy;
    aios_error err = { 0 };
    uint64_t with = 0xCBF29CE484222325u, without = with;
    int64_t n_prompt;
    int32_t i, n, n_tokens = 0, frame, n_started = 1;

    pthread_mutex_init(&j.lock, NULL);
    pthread_cond_init(&j.wake, NULL);
    for (i = 0; i < N_WORKERS; i++) pthread_mutex_init(&j.deque[i].lock, NULL);
    j.n_active = 1;
    for (i = 0; i < 64; i++) for (n = 0; n < 256; n++) birds.x[i][n] = (float)(n - i);
    printf("worker 0 is the frame's thread\n");
    for (i = 1; i < N_WORKERS; i++, n_started++) {
        seats[i].j = &j;
        seats[i].worker = i;
        if (pthread_create(&j.thread[i], NULL, worker_main, &seats[i]) != 0) break;
        printf("worker %d on CPU %d\n", i, pin(j.thread[i], i));
    }
    aios_sampler_init(&greedy);
    if (!teller_open(&a, &j, &err) || (n_prompt = aios_tokenize(a.model, prompt, strlen(prompt), AIOS_TOK_BOS, ids, N_CTX, &err)) < 1 || n_prompt > N_CTX ||
        aios_feed(a.ctx, 0, ids, (uint64_t)n_prompt, 0, &err)) return fprintf(stderr, "%s\n", err.text), 1;

    printf("\nframe workers  game ms  model ms  tokens  jobs of worker 0..%d, stolen\n", N_WORKERS - 1);
    for (frame = 0; frame < N_FRAMES || n_tokens < 8; frame++) {    /* more where the machine is slow */
        static const int32_t want[] = { 4, 2, 1, 3, 4, 1, 2 };     /* a busy game has fewer to spare, in any order */
        const int32_t n_active = want[frame % 7] < n_started ? want[frame % 7] : n_started;
        const uint64_t t0 = now_ns(NULL);
        uint64_t t1, t2;
        int32_t left = 0, n_new = 0, stolen = 0;
        for (i = 0; i < N_WORKERS; i++) j.deque[i].n_done = j.deque[i].n_stolen = 0;
        set_workers(&j, n_active);
        post(&j, 64, move_birds, &birds, &left);                    /* the game's jobs, and the model among them */
        t1 = now_ns(NULL);
        while (now_ns(NULL) < t1 + SLICE_NS && aios_seq_length(a.ctx, 0) < N_CTX && aios_step(a.ctx, t1 + SLICE_NS, &err) == AIOS_OK) {
            int32_t id;
            with = hash_logits(with, &a);
            if (aios_sample(a.ctx, 0, &greedy, &id, &err) || aios_feed(a.ctx, 0, &id, 1, 0, &err)) break;
            n_new++;
        }
        if (err.code < 0) return fprintf(stderr, "%s\n", err.text), 1;
        t2 = now_ns(NULL);
        finish(&j, &left);                                          /* what of the game's jobs is not done yet */
        n_tokens += n_new;
        printf("%5d %7d %8.2f %9.2f %7d  ", frame, n_active, (double)(t1 - t0 + now_ns(NULL) - t2) * 1e-6, (double)(t2 - t1) * 1e-6, n_new);
        for (i = 0; i < N_WORKERS; i++) { printf(" %5d", j.deque[i].n_done); stolen += j.deque[i].n_stolen; }
        printf(", %d\n", stolen);
    }
    set_workers(&j, 1);

    /* The same without jobs: what was generated is fed token by token. */
    if (!teller_open(&b, NULL, &err)) return fprintf(stderr, "%s\n", err.text), 1;
    for (i = 0; i < n_tokens && err.code == AIOS_OK; i++) {
        const int32_t *seen = aios_seq_tokens(a.ctx, 0);
        const int32_t first = i ? (int32_t)n_prompt + i - 1 : 0;
        if (aios_feed(b.ctx, 0, seen + first, i ? 1 : (uint64_t)n_prompt, 0, &err)) break;
        while (aios_step(b.ctx, 0, &err) == AIOS_MORE) {}
        without = hash_logits(without, &b);
    }
    printf("\n%d tokens; logits with jobs %016llx, without %016llx: %s\n", n_tokens, (unsigned long long)with, (unsigned long long)without,
           with == without && n_tokens > 0 ? "the same bits" : "THEY DIFFER");

    ADD(&j.quit, 1);
    wake(&j);
    for (i = 1; i < n_started; i++) pthread_join(j.thread[i], NULL);
    aios_context_free(a.ctx);
    aios_model_free(a.model);
    aios_context_free(b.ctx);
    aios_model_free(b.model);
    return with != without || n_tokens == 0;
}
