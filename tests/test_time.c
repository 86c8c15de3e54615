/* test_time.c: the promise of time: many short steps give the bits of one long run; clocks that
 * jump, stand still or run backwards; cancelling and interrupting at every task; numbers of
 * workers that change between steps; threads that start late or never. No test here depends on
 * how fast anything is: what is counted are tasks, by way of a clock that is asked after each. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"
#include <pthread.h>
#include <time.h>

enum { N_IDS = 330, MAX_IDS = 400, MAX_CALLERS = 16 };
static int quick;

static int32_t add(int32_t *p, int32_t v) { return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST); }
static int32_t get(const int32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static void set(int32_t *p, int32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static void doze(long ns) {
    struct timespec t;
    t.tv_sec = 0;
    t.tv_nsec = ns;
    nanosleep(&t, NULL);
}

/* ---- clocks: asked at the start and the end of a step, and after every task while there is a deadline ---- */
enum { CLOCK_TICKS, CLOCK_STILL, CLOCK_BACK, CLOCK_JUMPS, N_CLOCKS };
typedef struct clock_state {
    int32_t kind, n_asked, act_at; /* act_at: cancels or interrupts when it is asked so often */
    int32_t acted_at;              /* n_asked when it had done so */
    int32_t keep_callers;
    aios_context *cancel, *interrupt;
    pthread_mutex_t lock;
    pthread_t caller[MAX_CALLERS]; /* threads that have asked since n_callers was 0 */
    int n_callers;
} clock_state;
static uint64_t fake_now(void *user) {
    clock_state *c = (clock_state *)user;
    int32_t n = add(&c->n_asked, 1);
    uint64_t seed = (uint64_t)n;
    if (n == get(&c->act_at)) {
        if (c->cancel) aios_cancel(c->cancel);
        if (c->interrupt) aios_interrupt(c->interrupt);
        set(&c->acted_at, get(&c->n_asked));
    }
    if (get(&c->keep_callers)) {
        int i;
        pthread_mutex_lock(&c->lock);
        for (i = 0; i < c->n_callers && !pthread_equal(c->caller[i], pthread_self()); i++) {}
        if (i == c->n_callers && i < MAX_CALLERS) c->caller[c->n_callers++] = pthread_self();
        pthread_mutex_unlock(&c->lock);
    }
    switch (get(&c->kind)) {
    case CLOCK_STILL: return 1000000;
    case CLOCK_BACK: return 1000000 - (uint64_t)(n % 1000000);
    case CLOCK_JUMPS: return test_rand(&seed) >> (test_rand(&seed) % 64);
    }
    return 1000000 + (uint64_t)n;
}

/* ---- a model with a context, and the hash of all its logits ---- */
typedef struct setup {
    int32_t threads, batch, use_lent;
    void (*start)(void *, int32_t);
    void *start_user;
} setup;
typedef struct run {
    aios_model *m;
    aios_context *c;
    aios_error err;
    clock_state clock;
    uint64_t hash;
    int32_t n_vocab, n_read, bad;
} run; /* bad: CHECK is for one thread */

static void context_open(run *r, aios_model *m, const setup *s) {
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_model_info info;
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->clock.lock, NULL);
    r->hash = TEST_HASH;
    r->m = m;
    aios_model_info_init(&info);
    aios_model_get_info(m, &info);
    r->n_vocab = info.n_vocab;
    aios_plan_desc_init(&pd);
    pd.n_ctx = MAX_IDS;
    pd.n_threads = s->threads;
    pd.n_batch = pd.n_outputs = s->batch;
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    if (s->use_lent) cd.parallel_for = lent_for;
    cd.now_ns = fake_now;
    cd.now_user = &r->clock;
    cd.thread_start = s->start;
    cd.thread_user = s->start_user;
    if (!CHECK_AT(aios_plan_make(m, &pd, &plan, &r->err) == 0 &&
                      aios_context_open(m, &plan, &cd, &r->c, &r->err) == 0,
                  "%s", r->err.text))
        exit(1);
}
static books mem;
static aios_model *model_open(const aios_io *io) {
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc md;
    aios_error err;
    aios_model *m;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.io = io;
    if (!CHECK_AT(aios_model_open(&md, &m, &err) == 0, "%s", err.text)) exit(1);
    return m;
}
static void context_close(run *r) {
    CHECK_EQ(r->bad, 0);
    aios_context_free(r->c);
    pthread_mutex_destroy(&r->clock.lock);
}

/* The tokens of a text that a seed names, from..to-1. */
static void feed(run *r, uint64_t text, int32_t from, int32_t to, uint32_t flags) {
    for (; from < to; from++) {
        uint64_t s = text * 1000 + (uint64_t)from;
        int32_t id = (int32_t)(test_rand(&s) % (uint64_t)r->n_vocab);
        r->bad += aios_feed(r->c, 0, &id, 1, flags, &r->err) != 0;
    }
}
/* The rows of the last pass go into the hash, each once. */
static void read_rows(run *r) {
    int32_t i;
    for (i = 0; i < aios_output_count(r->c); i++) {
        aios_output o;
        aios_output_init(&o);
        r->bad += aios_output_get(r->c, i, &o) != 0 || o.pos != r->n_read;
        r->n_read++;
        r->hash = test_hash(r->hash, o.logits, (size_t)r->n_vocab * 4);
    }
}
static aios_status step(run *r, uint64_t deadline) {
    aios_status st = aios_step(r->c, deadline, &r->err);
    if (st >= 0) read_rows(r);
    return st;
}
static uint64_t now(run *r) { return aios_now_ns(r->c); }
/* n tokens in one go. */
static uint64_t hash_plain(aios_model *m, uint64_t text, int32_t n) {
    setup s;
    run r;
    uint64_t h;
    memset(&s, 0, sizeof s);
    s.threads = 1;
    s.batch = 64;
    context_open(&r, m, &s);
    feed(&r, text, 0, n, AIOS_FEED_ALL_LOGITS);
    while (step(&r, 0) == AIOS_MORE) {}
    CHECK_EQ(r.n_read, n);
    h = r.hash;
    context_close(&r);
    return h;
}

/* ---- tests ---- */
/* Budgets of one task, and of a few, for batches of all sizes; the last tokens one by one. */
static void tiny_steps_give_the_bits_of_one_run(aios_model *m, int32_t n) {
    static const int32_t batches[] = { 1, 7, 64, 300 };
    static const struct {
        int32_t threads, use_lent;
    } how[] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 2, 1 } };
    uint64_t want = hash_plain(m, 1, n), seed = 7;
    size_t b, h;
    int tasks;
    for (b = 0; b < 4; b++)
        for (h = 0; h < 4; h++)
            for (tasks = 0; tasks < 2; tasks++) {
                setup s;
                run r;
                int32_t steps = 0, i, at = n - 5;
                if (how[h].use_lent && (b == 0 || tasks)) continue; /* thousands of threads */
                if (quick && (b == 0 || h == 0)) continue;
                memset(&s, 0, sizeof s);
                s.threads = how[h].threads;
                s.batch = batches[b];
                s.use_lent = how[h].use_lent;
                context_open(&r, m, &s);
                feed(&r, 1, 0, at, AIOS_FEED_ALL_LOGITS);
                for (i = at; i <= n; i++) {
                    while (step(&r, tasks ? now(&r) + test_rand(&seed) % 40 : 1) == AIOS_MORE)
                        steps++;
                    if (i < n) feed(&r, 1, i, i + 1, 0);
                }
                CHECK_EQ(r.hash, want);
                CHECK_EQ(r.n_read, n);
                if (s.threads == 1) CHECK(steps > (tasks ? 30 : 200)); /* it did stop */
                context_close(&r);
            }
}

/* Whatever a clock says, steps end, and nothing but their number changes. */
static void no_clock_changes_more_than_the_number_of_steps(aios_model *m, int32_t n) {
    uint64_t want = hash_plain(m, 2, n);
    int32_t kind, threads;
    for (kind = 0; kind < N_CLOCKS; kind++)
        for (threads = 1; threads <= 3; threads++) {
            static const uint64_t deadlines[] = {
                1, 999000, 1000000, 1000050, 1u << 31, UINT64_MAX
            };
            setup s;
            run r;
            aios_counters count;
            int32_t steps = 0;
            memset(&s, 0, sizeof s);
            s.threads = threads;
            s.batch = 16;
            context_open(&r, m, &s);
            set(&r.clock.kind, kind);
            feed(&r, 2, 0, n, AIOS_FEED_ALL_LOGITS);
            while (step(&r, deadlines[steps % 6]) == AIOS_MORE && steps < 1000000) steps++;
            CHECK_EQ(r.hash, want);
            CHECK_EQ(r.n_read, n);
            CHECK(steps < 1000000);
            aios_counters_init(&count);
            CHECK_EQ(aios_counters_get(r.c, &count), 0);
            CHECK_EQ(count.n_tokens, (uint64_t)n);
            if (kind != CLOCK_JUMPS) CHECK(count.busy_ns < 100000000);
            context_close(&r);
        }
}

/* Cancelling at the first task, the second, and so on to the end: what is in the cache stays,
 * and the same tokens can be fed again. */
static void cancelling_keeps_what_is_in_the_cache(aios_model *m, int32_t threads, int32_t n) {
    CASE("%d threads", (int)threads);
    const uint64_t want = hash_plain(m, 3, n);
    setup s;
    run r;
    int32_t k, done = 0, n_cancelled = 0, late = 0;
    memset(&s, 0, sizeof s);
    s.threads = threads;
    s.batch = 16;
    context_open(&r, m, &s);
    r.clock.cancel = r.c;
    feed(&r, 3, 0, n, AIOS_FEED_ALL_LOGITS);
    for (k = 2; k < 100000 && !done; k += quick ? 7 : 1) {
        aios_status st;
        int32_t at;
        r.hash = TEST_HASH;
        r.n_read = 0;
        CHECK_EQ(aios_seq_truncate(r.c, 0, 0, NULL), 0);
        feed(&r, 3, 0, n, AIOS_FEED_ALL_LOGITS);
        set(&r.clock.n_asked, 0);
        set(&r.clock.act_at, k);
        while ((st = step(&r, UINT64_MAX)) == AIOS_MORE) {}
        if (st == AIOS_OK) { /* at the very end: the next step has it */
            done = get(&r.clock.n_asked) < k;
            if (!done) {
                CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
                CHECK_EQ(r.hash, want);
                late++;
            }
            continue;
        }
        n_cancelled++;
        at = aios_seq_processed(r.c, 0);
        CHECK_EQ(st, AIOS_ERR_CANCELLED);
        CHECK_EQ(at, r.n_read);
        CHECK_EQ(at % 16, 0);
        set(&r.clock.act_at, 0);
        if (k % 3 == 0) { /* other tokens in their place, and the right ones again */
            CHECK_EQ(aios_seq_truncate(r.c, 0, at, NULL), 0);
            feed(&r, 4, at, n, AIOS_FEED_NO_LOGITS);
            CHECK_EQ(aios_step(r.c, 0, NULL), AIOS_OK);
            CHECK_EQ(aios_seq_truncate(r.c, 0, at, NULL), 0);
            feed(&r, 3, at, n, AIOS_FEED_ALL_LOGITS);
        }
        while ((st = step(&r, 0)) == AIOS_MORE) {}
        CHECK_EQ(st, AIOS_OK);
        CHECK_EQ(r.hash, want);
        CHECK_EQ(r.n_read, n);
    }
    CHECK(done && n_cancelled > (quick ? 10 : 100) && late <= 6);
    context_close(&r);
}

/* An interrupt that comes with task k: the step returns AIOS_MORE after at most one task more
 * for each worker. Before a step: it does none at all. With nothing to do: AIOS_OK. One that
 * came twice counts once. */
static void an_interrupt_ends_a_step_within_a_task(aios_model *m, int32_t threads, int32_t n) {
    CASE("%d threads", (int)threads);
    const uint64_t want = hash_plain(m, 5, n);
    setup s;
    run r;
    int32_t k, n_stopped = 0, steps = 0;
    aios_status st;
    memset(&s, 0, sizeof s);
    s.threads = threads;
    s.batch = 16;
    context_open(&r, m, &s);
    r.clock.interrupt = r.c;
    aios_interrupt(NULL);
    aios_interrupt(r.c);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_OK);
    feed(&r, 5, 0, n, AIOS_FEED_ALL_LOGITS);
    for (k = 1;; k = 1 + (k + 1) % 13) {
        int32_t asked;
        set(&r.clock.n_asked, 0);
        set(&r.clock.act_at, k);
        st = step(&r, UINT64_MAX);
        asked = get(&r.clock.n_asked);
        if (st != AIOS_MORE || aios_output_count(r.c)) { /* a pass was over first */
            if (st != AIOS_MORE) break;
            continue;
        }
        n_stopped++;
        /* workers about to ask, and the end of the step; 2: it came when the step before was at
         * its end */
        CHECK_AT((asked >= k && asked <= get(&r.clock.acted_at) + threads) || asked == 2,
                 "%d of %d, at %d", (int)asked, (int)k, (int)get(&r.clock.acted_at));
        set(&r.clock.act_at, 0);
        if (++steps % 5) continue;
        aios_interrupt(r.c);
        aios_interrupt(r.c);
        set(&r.clock.n_asked, 0);
        CHECK_EQ(step(&r, UINT64_MAX), AIOS_MORE);
        CHECK_EQ(get(&r.clock.n_asked), 2);
    }
    CHECK_EQ(st, AIOS_OK);
    CHECK_EQ(r.hash, want);
    CHECK_EQ(r.n_read, n);
    CHECK(n_stopped > 20);
    set(&r.clock.act_at, 0);
    aios_interrupt(r.c); /* cancelling is stronger */
    aios_cancel(r.c);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_OK);
    context_close(&r);
}

/* Two contexts of one model, each in a thread of its own, as the comment of aios_interrupt has
 * it. */
typedef struct two {
    run back;
    pthread_mutex_t cores;
    int32_t wanted, n_more, n_texts, quit, bad;
    uint64_t want;
} two;
static void *background(void *arg) {
    two *t = (two *)arg;
    run *r = &t->back;
    int32_t n = 0;
    while (!get(&t->quit)) {
        aios_status st;
        while (get(&t->wanted)) doze(20000);
        pthread_mutex_lock(&t->cores);
        if (n == 0) {
            r->hash = TEST_HASH;
            r->n_read = 0;
            feed(r, 6, 0, n = 100, AIOS_FEED_ALL_LOGITS);
        }
        st = step(r, UINT64_MAX);
        pthread_mutex_unlock(&t->cores);
        if (st == AIOS_MORE) {
            add(&t->n_more, 1);
            continue;
        }
        if (st != AIOS_OK || r->hash != t->want || aios_seq_truncate(r->c, 0, 0, NULL))
            add(&t->bad, 1);
        add(&t->n_texts, 1);
        n = 0;
    }
    return NULL;
}
static void interrupts_from_another_thread_change_no_bit(aios_model *m, int32_t threads) {
    CASE("%d threads", (int)threads);
    const uint64_t want = hash_plain(m, 8, 60);
    const int32_t rounds = quick ? 10 : 60;
    two *t = (two *)calloc(1, sizeof *t);
    setup s;
    run front;
    pthread_t id;
    int32_t i, texts, most = 0;
    t->want = hash_plain(m, 6, 100);
    memset(&s, 0, sizeof s);
    s.threads = threads;
    s.batch = 32;
    context_open(&t->back, m, &s);
    context_open(&front, m, &s);
    pthread_mutex_init(&t->cores, NULL);
    CHECK_EQ(pthread_create(&id, NULL, background, t), 0);
    for (i = 0; i < rounds; i++) {
        int32_t asked;
        doze((i % 7) * 100000);
        set(&t->wanted, 1);
        aios_interrupt(t->back.c);
        asked = get(&t->back.clock.n_asked);
        pthread_mutex_lock(&t->cores);
        asked = get(&t->back.clock.n_asked) - asked;
        if (asked > most) most = asked;
        feed(&front, 8, i, i + 1, 0);
        CHECK_EQ(step(&front, 0), AIOS_OK);
        pthread_mutex_unlock(&t->cores);
        set(&t->wanted, 0);
    }
    /* tasks of the background that ended while the foreground waited, with the clock's being
     * asked at the ends of a step */
    CHECK(most <= threads + 3);
    texts = get(&t->n_texts);
    for (i = 0; i < 10000 && get(&t->n_texts) < texts + 3; i++)
        doze(1000000); /* left alone it gets through */
    set(&t->quit, 1);
    pthread_join(id, NULL);
    feed(&front, 8, rounds, 60, AIOS_FEED_ALL_LOGITS);
    while (step(&front, 0) == AIOS_MORE) {}
    CHECK_EQ(front.hash, want);
    CHECK_EQ(front.n_read, 60);
    CHECK_EQ(t->bad, 0);
    CHECK(get(&t->n_texts) >= texts + 3);
    CHECK(get(&t->n_more) > 0);
    pthread_mutex_destroy(&t->cores);
    context_close(&t->back);
    context_close(&front);
    free(t);
}

/* Numbers of workers that change from step to step, anywhere in a pass; with threads of our own
 * and with lent ones. */
static void numbers_of_workers_may_change_between_steps(aios_model *m, int32_t n) {
    const uint64_t want = hash_plain(m, 9, n);
    int32_t use_lent, b;
    for (use_lent = 0; use_lent < 2; use_lent++)
        for (b = 0; b < 3; b++) {
            static const int32_t batches[] = { 1, 30, 300 };
            setup s;
            run r;
            uint64_t seed = 3;
            int32_t at = n - 10, w = 4, steps = 0, i;
            if (use_lent && b == 0) continue;
            memset(&s, 0, sizeof s);
            s.threads = 4;
            s.batch = batches[b];
            s.use_lent = use_lent;
            lent_calls = lent_most = 0;
            context_open(&r, m, &s);
            set(&r.clock.keep_callers, 1);
            CHECK_EQ(aios_set_workers(NULL, 1, &r.err), AIOS_ERR_ARG);
            CHECK_EQ(aios_set_workers(r.c, 0, &r.err), AIOS_ERR_ARG);
            CHECK_EQ(aios_set_workers(r.c, -1, NULL), AIOS_ERR_ARG);
            CHECK_EQ(aios_set_workers(r.c, 5, &r.err), AIOS_ERR_ARG);
            CHECK_EQ(r.err.expected, 4);
            CHECK_EQ(r.err.got, 5);
            feed(&r, 9, 0, at, AIOS_FEED_ALL_LOGITS);
            for (i = at; i <= n; i++) {
                aios_status st;
                do {
                    r.clock.n_callers = 0;
                    lent_most = 0;
                    st = step(&r, now(&r) + test_rand(&seed) % 30);
                    if (use_lent) CHECK(lent_most <= w);
                    CHECK(r.clock.n_callers <= (use_lent ? MAX_CALLERS : w));
                    w = 1 + (int32_t)(test_rand(&seed) % 4);
                    CHECK_EQ(aios_set_workers(r.c, w, &r.err), 0);
                    if (++steps % 64 == 0) doze(200000); /* some fall asleep */
                } while (st == AIOS_MORE);
                CHECK_EQ(st, AIOS_OK);
                if (i < n) feed(&r, 9, i, i + 1, 0);
            }
            CHECK_EQ(r.hash, want);
            CHECK_EQ(r.n_read, n);
            CHECK(steps > 50);
            if (use_lent) CHECK(lent_calls > 10);
            CHECK_EQ(aios_set_workers(r.c, 1, &r.err), 0); /* freed while threads are not wanted */
            context_close(&r);
        }
}

/* thread_start: once on each thread, never on the caller's. Steps do not wait for threads that
 * are still busy with it. */
typedef struct starts {
    int32_t n[8], hold, bad;
    pthread_t caller;
} starts;
static void on_start(void *user, int32_t worker) {
    starts *s = (starts *)user;
    if (worker < 0 || worker >= 8 || pthread_equal(pthread_self(), s->caller)) {
        add(&s->bad, 1);
        return;
    }
    while (get(&s->hold)) doze(100000);
    add(&s->n[worker], 1);
}
static void threads_that_start_late_or_never_are_not_waited_for(aios_model *m) {
    const uint64_t want = hash_plain(m, 1, 40);
    int32_t how, w;
    for (how = 0; how < 4; how++) { /* 0: three threads; 1: held; 2: one; 3: lent */
        starts st;
        setup s;
        run r;
        memset(&st, 0, sizeof st);
        memset(&s, 0, sizeof s);
        st.caller = pthread_self();
        st.hold = how == 1;
        s.threads = how == 2 ? 1 : 3;
        s.batch = 16;
        s.use_lent = how == 3;
        s.start = on_start;
        s.start_user = &st;
        context_open(&r, m, &s);
        feed(&r, 1, 0, 20, AIOS_FEED_ALL_LOGITS);
        while (step(&r, 0) == AIOS_MORE) {}
        set(&st.hold, 0);
        feed(&r, 1, 20, 40, AIOS_FEED_ALL_LOGITS);
        while (step(&r, now(&r) + 5) == AIOS_MORE) {}
        CHECK_EQ(r.hash, want);
        CHECK_EQ(r.n_read, 40);
        context_close(&r);
        CHECK_EQ(st.bad, 0);
        for (w = 0; w < 8; w++) CHECK(st.n[w] == (how < 2 && (w == 1 || w == 2)));
    }
}

int main(int argc, char **argv) {
    static uint8_t made[DAMAGE_MAX_BYTES];
    const uint64_t n_made = damage_valid(made, sizeof made);
    size_t n_tale = 0;
    uint8_t *tale = test_read_file("models/tale.gguf", &n_tale);
    aios_io io;
    aios_model *m;
    int32_t threads;
    quick = test_begin(argc, argv);
    CHECK(n_made > 0);
    aios_io_memory(&io, made, n_made);
    m = model_open(&io);
    TEST(tiny_steps_give_the_bits_of_one_run)(m, N_IDS);
    TEST(no_clock_changes_more_than_the_number_of_steps)(m, 100);
    for (threads = 1; threads <= 3; threads++) {
        TEST(cancelling_keeps_what_is_in_the_cache)(m, threads, 20);
        TEST(an_interrupt_ends_a_step_within_a_task)(m, threads, 100);
        TEST(interrupts_from_another_thread_change_no_bit)(m, threads);
    }
    TEST(numbers_of_workers_may_change_between_steps)(m, N_IDS);
    TEST(threads_that_start_late_or_never_are_not_waited_for)(m);
    aios_model_free(m);
    if (CHECK(tale != NULL) && !quick) {
        aios_io_memory(&io, tale, n_tale);
        m = model_open(&io);
        TEST(an_interrupt_ends_a_step_within_a_task)(m, 2, 30);
        TEST(interrupts_from_another_thread_change_no_bit)(m, 2);
        TEST(numbers_of_workers_may_change_between_steps)(m, 40);
        aios_model_free(m);
    }
    free(tale);
    CHECK_EQ(mem.n_held, 0);
    return test_end();
}
