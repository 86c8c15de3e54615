/* game_loop.c: a storyteller in a game. 60 frames a second; the game's own job system lends its threads, and each
 * frame lends 2 ms. Text appears as it comes, a long prompt is read over several frames, and no frame is late for it.
 *     cc -O2 -I. examples/game_loop.c -o game_loop -lpthread && ./game_loop       from the root of the repository */
#define _DEFAULT_SOURCE                 /* clock_gettime, nanosleep with -std=c99 */
#define AIOS_IMPLEMENTATION
#define AIOS_DEFAULT_ALLOC
#define AIOS_NO_THREADS                 /* the library starts none: it borrows ours */
#include "aios.h"
#include "tale.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { N_WORKERS = 2, N_FRAMES = 180, FRAME_NS = 16666667, SLICE_NS = 2000000 };

/* ---- the game's job system: the frame's thread and one more share out the jobs ------------------------------ */
typedef struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t posted, finished;
    aios_task_fn fn;
    void *arg;
    int32_t next, n, n_running, quit;
} jobs;

/* Takes jobs until none is left. Called with the lock held. */
static void work(jobs *j, int32_t worker) {
    while (j->next < j->n) {
        aios_task_fn fn = j->fn;
        void *arg = j->arg;
        int32_t i = j->next++;
        j->n_running++;
        pthread_mutex_unlock(&j->lock);
        fn(arg, i, worker);
        pthread_mutex_lock(&j->lock);
        if (--j->n_running == 0 && j->next == j->n) pthread_cond_signal(&j->finished);
    }
}
static void *worker_thread(void *user) {
    jobs *j = (jobs *)user;
    pthread_mutex_lock(&j->lock);
    while (!j->quit) {
        if (j->next == j->n) pthread_cond_wait(&j->posted, &j->lock);
        work(j, 1);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}
/* What the library calls: the shape of every job system there is. */
static void parallel_for(void *user, int32_t n, aios_task_fn fn, void *arg) {
    jobs *j = (jobs *)user;
    pthread_mutex_lock(&j->lock);
    j->fn = fn;
    j->arg = arg;
    j->next = 0;
    j->n = n;
    if (n > 1) pthread_cond_signal(&j->posted);
    work(j, 0);
    while (j->n_running > 0) pthread_cond_wait(&j->finished, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

/* ---- clock -------------------------------------------------------------------------------------------------- */
static uint64_t now_ns(void *user) {
    struct timespec t;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static void sleep_until(uint64_t t) {
    uint64_t now = now_ns(NULL);
    struct timespec d;
    if (now >= t) return;
    d.tv_sec = (time_t)((t - now) / 1000000000u);
    d.tv_nsec = (long)((t - now) % 1000000000u);
    nanosleep(&d, NULL);
}

/* ---- the storyteller ---------------------------------------------------------------------------------------- */
typedef struct teller {
    aios_model *model;
    aios_context *ctx;
    aios_sampler sampler;
    aios_detok detok;
    int32_t n_tokens, full;
} teller;

static int teller_open(teller *t, jobs *j, const char *prompt, aios_error *err) {
    static int32_t ids[512];
    aios_io pak;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    int64_t n;
    aios_io_memory(&pak, tale_gguf, tale_gguf_bytes);
    aios_model_desc_init(&md);
    md.io = &pak;
    if (aios_model_open(&md, &t->model, err)) return 0;
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    pd.n_threads = N_WORKERS;
    if (aios_plan_make(t->model, &pd, &plan, err)) return 0;
    aios_context_desc_init(&cd);
    cd.parallel_for = parallel_for;
    cd.parallel_user = j;
    cd.now_ns = now_ns;
    if (aios_context_open(t->model, &plan, &cd, &t->ctx, err)) return 0;
    n = aios_tokenize(t->model, prompt, strlen(prompt), AIOS_TOK_BOS, ids, 512, err);
    return n > 0 && n <= 512 && aios_feed(t->ctx, 0, ids, (uint64_t)n, 0, err) == AIOS_OK;
}
/* One frame's share: goes on where the last frame stopped, and stops soon after the deadline. */
static void teller_update(teller *t, uint64_t deadline) {
    aios_error err;
    while (!t->full && now_ns(NULL) < deadline && aios_step(t->ctx, deadline, &err) == AIOS_OK) {
        char text[1024];
        int32_t id;
        if (aios_sample(t->ctx, 0, &t->sampler, &id, &err) != AIOS_OK) return;
        t->n_tokens++;
        printf("%.*s", (int)aios_detokenize(t->model, &t->detok, id, text, sizeof text), text);
        fflush(stdout);
        t->full = aios_token_is_end(t->model, id) || aios_feed(t->ctx, 0, &id, 1, 0, &err) != AIOS_OK;
    }
}

int main(void) {
    static const char prompt[] = "Once upon a time there lived in the deep forest an old woodcutter and his three daughters. One day the "
                                 "youngest of them said to her father, \"Let me go into the wood alone, and I will bring home what I find.\"";
    jobs j = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, NULL, 0, 0, 0, 0 };
    teller t = { 0 };
    aios_error err = { 0 };
    pthread_t thread;
    uint64_t start, worst = 0, spent = 0;
    int32_t frame, first = -1, n_late = 0;

    if (pthread_create(&thread, NULL, worker_thread, &j) != 0) return 1;
    aios_sampler_init(&t.sampler);
    t.sampler.temperature = 0.7f;
    t.sampler.top_p = 0.9f;
    if (!teller_open(&t, &j, prompt, &err)) return fprintf(stderr, "%s\n", err.text), 1;

    printf("%s", prompt);
    start = now_ns(NULL);
    for (frame = 0; frame < N_FRAMES; frame++) {
        uint64_t begin = now_ns(NULL), took;
        /* ... the game would move and draw things here ... */
        teller_update(&t, begin + SLICE_NS);
        took = now_ns(NULL) - begin;
        spent += took;
        if (took > SLICE_NS && took - SLICE_NS > worst) worst = took - SLICE_NS;
        if (took > SLICE_NS + SLICE_NS / 4) n_late++;
        if (first < 0 && t.n_tokens) first = frame;
        sleep_until(start + (uint64_t)(frame + 1) * FRAME_NS);
    }
    printf("\n\n%d frames, %d tokens, the first in frame %d; %.2f ms a frame on average, worst overrun %.3f ms, over by more than 0.5 ms: %d\n",
           N_FRAMES, t.n_tokens, first, (double)spent * 1e-6 / N_FRAMES, (double)worst * 1e-6, n_late);

    aios_context_free(t.ctx);
    aios_model_free(t.model);
    pthread_mutex_lock(&j.lock);
    j.quit = 1;
    pthread_cond_signal(&j.posted);
    pthread_mutex_unlock(&j.lock);
    pthread_join(thread, NULL);
    return 0;
}
