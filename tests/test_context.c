/* test_context.c: the promises of memory, failure, time and sameness, on the built-in model and
 * on a made one: every request is planned and none comes later; the n-th allocation and the n-th
 * read failing; one hash over threads, chunks, batches, lent jobs and steps of one task each;
 * cancelling; wrong arguments. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>

enum {
    N_IDS = 70,
    N_LONG = 1100,
    N_LONG_QUICK = 540
}; /* 70: two tiles; 1100: three runs of keys; 540: two */
static int quick,
    /* brief: all types and rules, but shorter and in fewer ways: under sanitizers, which take
     * ten times as long */
    brief;

/* ---- an allocator with books of its own, that fails at request fail_in ---- */
static books mem_books;
static const aios_allocator *fresh_books(int fail_in) {
    static aios_allocator a;
    memset(&mem_books, 0, sizeof mem_books);
    mem_books.fail_in = fail_in;
    a = books_allocator(&mem_books);
    return &a;
}

/* ---- an allocator that is a stack: what comes last must go first ---- */
typedef struct stack_mem {
    char *base;
    uint64_t used, cap;
    int bad;
} stack_mem;
static void *stack_alloc(void *user, const aios_mem_req *r) {
    stack_mem *s = (stack_mem *)user;
    uint64_t at = (s->used + r->align - 1) / r->align * r->align;
    if (at + r->bytes > s->cap) return NULL;
    s->used = at + r->bytes;
    return s->base + at;
}
static void stack_free(void *user, void *p, const aios_mem_req *r) {
    stack_mem *s = (stack_mem *)user;
    uint64_t at = (uint64_t)((char *)p - s->base);
    s->bad += at + r->bytes != s->used;
    s->used = at;
}

/* Types of cache for layers 0, 1, 2 ... */
/* clang-format off */
static const int32_t by_layer[] = { AIOSK_KV_F16,
                                    -1,
                                    AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4),
                                    AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C3),
                                    -1,
                                    AIOSK_KV_I8,
                                    AIOSK_KV_C5,
                                    -1 };
/* clang-format on */

/* ---- one run: its settings, and the hash of all its logits ---- */
typedef struct setup {
    int32_t threads, batch, n_seq, kv, numerics, isa, outputs, use_lent, tiny_steps, n_ctx, n_ids,
        old, recent, window, sinks, heavy, by_layer;
} setup;
typedef struct run {
    aios_model *m;
    aios_context *c;
    aios_plan plan;
    aios_error err;
    hand_clock clock;
    aios_status st;
} run;

static aios_status run_open_io(run *r, const aios_io *io, const aios_allocator *mem,
                               const setup *s) {
    aios_model_desc md;
    aios_plan_desc pd;
    aios_context_desc cd;
    memset(r, 0, sizeof *r);
    aios_model_desc_init(&md);
    md.mem = mem;
    md.io = io;
    if ((r->st = aios_model_open(&md, &r->m, &r->err)) != 0) return r->st;
    aios_plan_desc_init(&pd);
    pd.n_ctx = s->n_ctx ? s->n_ctx : 128;
    pd.n_threads = s->threads;
    pd.n_batch = s->batch;
    pd.n_seq = s->n_seq;
    pd.kv_type = s->kv;
    if (s->by_layer) pd.kv_layer_type = by_layer;
    pd.kv_old_type = s->old;
    pd.kv_recent = s->recent;
    pd.kv_window = s->window;
    pd.kv_sinks = s->sinks;
    pd.kv_heavy = s->heavy;
    pd.numerics = s->numerics;
    pd.isa = s->isa;
    pd.n_outputs = s->outputs;
    aios_plan_init(&r->plan);
    if ((r->st = aios_plan_make(r->m, &pd, &r->plan, &r->err)) != 0) return r->st;
    aios_context_desc_init(&cd);
    if (s->use_lent) cd.parallel_for = lent_for;
    if (s->tiny_steps) {
        cd.now_ns = hand_now;
        cd.now_user = &r->clock;
        r->clock.tick = 1;
    }
    return r->st = aios_context_open(r->m, &r->plan, &cd, &r->c, &r->err);
}
static void run_close(run *r) {
    aios_context_free(r->c);
    aios_model_free(r->m);
}

/* Steps until nothing waits; hashes the rows of seq. With tiny steps each call may do one task. */
static uint64_t run_hash(run *r, int32_t seq, int tiny, int *n_steps) {
    uint64_t h = TEST_HASH;
    aios_model_info info;
    aios_status st;
    int next = aios_seq_processed(r->c, seq), n = 0, i;
    aios_model_info_init(&info);
    aios_model_get_info(r->m, &info);
    do {
        st = aios_step(r->c, tiny ? 1 : 0, &r->err);
        if (st < 0) {
            r->st = st;
            return 0;
        }
        for (i = 0; i < aios_output_count(r->c); i++) {
            aios_output o;
            aios_output_init(&o);
            aios_output_get(r->c, i, &o);
            if (o.seq != seq) continue;
            if (o.pos != next++) {
                r->st = AIOS_ERR_STATE;
                return 0;
            }
            h = test_hash(h, o.logits, (size_t)info.n_vocab * 4);
            h = test_hash(h, o.embedding, (size_t)info.n_embd * 4);
        }
        n++;
    } while (st == AIOS_MORE && n < 10000000);
    if (n_steps) *n_steps = n;
    return h;
}
static void make_ids(int32_t *ids, int n, int32_t n_vocab, uint64_t seed) {
    int i;
    for (i = 0; i < n; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)n_vocab);
}
static int32_t vocab_of(const run *r) {
    aios_model_info info;
    aios_model_info_init(&info);
    aios_model_get_info(r->m, &info);
    return info.n_vocab;
}
static const char *of_model = ""; /* which model hash_of is asked for, in cases */
static uint64_t hash_of(const aios_io *io, const setup *s, int *n_steps) {
    CASE("%s: isa %d, %d threads%s, batch %d, outputs %d, kv %d, %d tokens%s", of_model,
         (int)s->isa, (int)s->threads, s->use_lent ? " lent" : "", (int)s->batch, (int)s->outputs,
         (int)s->kv, (int)(s->n_ids ? s->n_ids : N_IDS), s->tiny_steps ? ", tiny steps" : "");
    run r;
    int32_t ids[N_LONG], n_ids = s->n_ids ? s->n_ids : N_IDS;
    uint64_t h = 0;
    if (!CHECK_EQ(run_open_io(&r, io, fresh_books(0), s), 0))
        printf("  %s\n", r.err.text);
    else {
        make_ids(ids, n_ids, vocab_of(&r), 1);
        CHECK_EQ(aios_feed(r.c, 0, ids, (uint64_t)n_ids, AIOS_FEED_ALL_LOGITS, &r.err), 0);
        r.clock.now = 1000;
        h = run_hash(&r, 0, s->tiny_steps, n_steps);
        CHECK_EQ(r.st, 0);
    }
    run_close(&r);
    CHECK_EQ(mem_books.n_held, 0);
    return h;
}

/* Types of cache: open tiles alone, and sealed ones in codes. */
/* clang-format off */
static const int32_t kvs[] = { AIOSK_KV_F32,
                               AIOSK_KV_F16,
                               AIOSK_KV_I8,
                               AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C4),
                               AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4),
                               AIOSK_KV_C4,
                               AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C3),
                               AIOSK_KV_C3,
                               AIOSK_KV(AIOSK_KV_F16, AIOSK_KV_C2) };
/* clang-format on */
enum { N_KVS = sizeof kvs / sizeof *kvs };

/* ---- tests ---- */
static void every_way_of_running_gives_the_same_bits(const aios_io *io, const char *name) {
    of_model = name;
    size_t k;
    int32_t isa, n;
    for (k = 0; k < N_KVS; k++) {
        setup s;
        uint64_t want, got;
        if (quick && kvs[k] != AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4)) continue;

        memset(&s, 0, sizeof s);
        s.threads = 1;
        s.batch = 64;
        s.outputs = 64;
        s.kv = kvs[k];
        s.isa = AIOSK_ISA_SCALAR;
        want = hash_of(io, &s, NULL);
        printf("%s kv %d hash %016llx\n", name, (int)s.kv, (unsigned long long)want);
        for (isa = AIOSK_ISA_SCALAR; isa < AIOSK_N_ISA; isa++) {
            if (!aiosk_select(isa)) continue;
            s.isa = isa;
            s.threads = 1;
            s.batch = 64;
            s.outputs = 64;
            CHECK_EQ(hash_of(io, &s, NULL), want);
            if (isa == AIOSK_ISA_SCALAR) continue;
            for (n = 1; n <= 3; n++) {
                static const int32_t batches[] = { 1, 7, 64 };
                s.threads = n;
                s.batch = batches[n - 1];
                s.outputs = s.batch;
                CHECK_EQ(hash_of(io, &s, NULL), want);
                s.batch = batches[3 - n];
                s.outputs = (s.batch + 1) / 2;
                CHECK_EQ(hash_of(io, &s, NULL), want);
            }
        }
        s.isa = 0;
        s.batch = 16;
        s.outputs = 16;
        for (n = 1; n <= 3; n++) {
            int steps = 0;
            s.threads = n;
            s.use_lent = n == 2;
            s.tiny_steps = 1;
            got = hash_of(io, &s, &steps);
            CHECK_EQ(got, want);
            if (n == 1) CHECK(steps > 100); /* it did stop at nearly every task */
            s.use_lent = s.tiny_steps = 0;
        }
        s.threads = 2;
        s.use_lent = 1;
        lent_calls = 0;
        CHECK_EQ(hash_of(io, &s, NULL), want);
        CHECK(lent_calls > 10);
        s.threads = 3; /* a worker that never comes: the others do its share */
        CHECK_EQ(hash_of(io, &s, NULL), want);
        s.tiny_steps = 1;
        CHECK_EQ(hash_of(io, &s, NULL), want);
    }
}

/* A context of three runs of keys: they are spread over the workers, or done in rounds, as
 * threads and batch will have it. */
static void long_contexts_give_the_same_bits_in_every_way(const aios_io *io, const char *name,
                                                          int32_t n_ids, size_t n_how) {
    of_model = name;
    static const struct {
        int32_t threads, batch, use_lent, tiny_steps;
    } how[] = { { 1, 1, 0, 0 },   { 2, 1, 0, 0 },   { 3, 4, 0, 0 },   { 3, 5, 0, 0 },
                { 2, 300, 0, 0 }, { 2, 200, 1, 0 }, { 2, 400, 1, 1 }, { 1, 3, 0, 1 },
                { 1, 40, 0, 1 },  { 3, 300, 0, 1 } };
    int32_t isa;
    size_t i, k;
    if (brief) {
        n_ids = N_LONG_QUICK;
        n_how = n_how < 3 ? n_how : 3;
    }
    for (k = 0; k < N_KVS; k++) {
        setup s;
        uint64_t want;
        int32_t kv = kvs[k];
        if (quick && kv != AIOSK_KV_C4) continue;
        memset(&s, 0, sizeof s);
        s.threads = 1;
        s.batch = s.outputs = 64;
        s.kv = kv;
        s.isa = AIOSK_ISA_SCALAR;
        s.n_ctx = N_LONG;
        s.n_ids = n_ids;
        want = hash_of(io, &s, NULL);
        printf("%s, %d tokens, kv %d hash %016llx\n", name, (int)n_ids, (int)kv,
               (unsigned long long)want);
        for (isa = AIOSK_ISA_SCALAR + 1; isa < AIOSK_N_ISA; isa++) {
            if (!aiosk_select(isa)) continue;
            s.isa = isa;
            CHECK_EQ(hash_of(io, &s, NULL), want);
        }
        s.isa = 0;
        for (i = 0; i < sizeof how / sizeof *how && i < n_how; i++) {
            int steps = 0;
            s.threads = how[i].threads;
            s.batch = s.outputs = how[i].batch;
            s.use_lent = how[i].use_lent;
            s.tiny_steps = how[i].tiny_steps;
            CHECK_EQ(hash_of(io, &s, &steps), want);
            if (s.tiny_steps && s.threads == 1) CHECK(steps > 1000);
        }
    }
}
/* The plan's bytes of cache at the end of a full context are what the last token reads; heavy
 * tiles are taken to be the newest, which are the largest. */
static void check_rule_bytes(const aios_io *io, const setup *rule) {
    setup s = *rule;
    run r;
    int32_t ids[N_LONG];
    aios_counters x;
    s.threads = 1;
    s.batch = 64;
    s.outputs = 1;
    s.n_seq = 1;
    s.n_ctx = brief ? N_LONG_QUICK : N_LONG;
    s.isa = 0;
    if (CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0)) {
        make_ids(ids, s.n_ctx, vocab_of(&r), 1);
        CHECK_EQ(aios_feed(r.c, 0, ids, (uint64_t)s.n_ctx - 1, 0, &r.err), 0);
        CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
        aios_counters_reset(r.c);
        CHECK_EQ(aios_feed(r.c, 0, ids + s.n_ctx - 1, 1, 0, &r.err), 0);
        CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
        aios_counters_init(&x);
        CHECK_EQ(aios_counters_get(r.c, &x), 0);
        CHECK_AT(s.heavy
                     ? x.kv_bytes <= r.plan.token_kv_bytes && x.kv_bytes * 2 > r.plan.token_kv_bytes
                     : x.kv_bytes == r.plan.token_kv_bytes,
                 "read %llu, planned %llu", (unsigned long long)x.kv_bytes,
                 (unsigned long long)r.plan.token_kv_bytes);
    }
    run_close(&r);
}
/* Rules of what is seen, and in what form, are rules of positions: chunks, threads and
 * instruction sets change no bit. */
static void rules_of_positions_give_the_same_bits_in_every_way(const aios_io *io,
                                                               const char *name) {
    of_model = name;
    /* clang-format off */
    static const setup rules[] = {
        { 0, 0, 0, AIOSK_KV_I8,  0, 0, 0, 0, 0, 0, 0, AIOSK_KV_C3, 128,   0,   0,   0, 0 },
        { 0, 0, 0, AIOSK_KV_F16, 0, 0, 0, 0, 0, 0, 0, AIOSK_KV_C4, 200,   0,   0,   0, 0 },
        { 0, 0, 0, AIOSK_KV_F16, 0, 0, 0, 0, 0, 0, 0, 0,             0, 256,   4,   0, 0 },
        { 0, 0, 0, AIOSK_KV_F16, 0, 0, 0, 0, 0, 0, 0, 0,             0, 256,  -1,   0, 0 },
        { 0, 0, 0, AIOSK_KV_C4,  0, 0, 0, 0, 0, 0, 0, AIOSK_KV_C3,  64, 192, 100,   0, 0 },
        { 0, 0, 0, AIOSK_KV_F32, 0, 0, 0, 0, 0, 0, 0, 0,             0, 192,   1, 192, 0 },
        { 0, 0, 0, AIOSK_KV_C4,  0, 0, 0, 0, 0, 0, 0, 0,             0,   0,   0,   0, 1 },
        { 0, 0, 0, AIOSK_KV_C4,  0, 0, 0, 0, 0, 0, 0, AIOSK_KV_C3,  64, 128,   1, 128, 1 } };
    /* clang-format on */
    static const struct {
        int32_t threads, batch, use_lent, tiny_steps;
    } how[] = {
        { 2, 1, 0, 0 }, { 3, 5, 0, 0 }, { 2, 300, 0, 0 }, { 2, 200, 1, 0 }, { 1, 40, 0, 1 }
    };
    uint64_t plain = 0;
    size_t k, i;
    for (k = 0; k < sizeof rules / sizeof *rules; k++) {
        setup s = rules[k];
        uint64_t want;
        int32_t isa;
        if (quick && (k != 6 || name[0] != 'm')) continue;
        s.threads = 1;
        s.batch = s.outputs = 64;
        s.isa = AIOSK_ISA_SCALAR;
        s.n_ctx = N_LONG;
        s.n_ids = brief ? N_LONG_QUICK : N_LONG;
        want = hash_of(io, &s, NULL);
        printf("%s, rule %d hash %016llx\n", name, (int)k, (unsigned long long)want);
        CHECK(want != plain);
        plain = want;
        check_rule_bytes(io, &rules[k]);
        for (isa = AIOSK_ISA_SCALAR + 1; isa < AIOSK_N_ISA; isa++)
            if (aiosk_select(isa)) {
                s.isa = isa;
                CHECK_EQ(hash_of(io, &s, NULL), want);
            }
        s.isa = 0;
        for (i = 0; i < sizeof how / sizeof *how && (!brief || i < 2); i++) {
            s.threads = how[i].threads;
            s.batch = s.outputs = how[i].batch;
            s.use_lent = how[i].use_lent;
            s.tiny_steps = how[i].tiny_steps;
            CHECK_EQ(hash_of(io, &s, NULL), want);
        }
    }
}
/* Sequences of unequal length in one batch, which see unequal numbers of runs: each gives what
 * it gives alone. */
static void unequal_sequences_give_what_they_give_alone(const aios_io *io) {
    static const int32_t length[] = { 1060, 20, 600 };
    static const int32_t batches[] = { 3, 30 };
    int32_t ids[N_LONG], seq, b, i;
    for (b = 0; b < 2; b++) {
        uint64_t alone[3];
        setup s;
        run r;
        memset(&s, 0, sizeof s);
        s.threads = 2;
        s.batch = batches[b];
        s.n_seq = 3;
        s.outputs = s.batch;
        s.kv = AIOSK_KV_F16;
        s.n_ctx = N_LONG;
        if (!CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0)) {
            run_close(&r);
            continue;
        }
        make_ids(ids, N_LONG, vocab_of(&r), 5);
        for (seq = 0; seq < 3; seq++) {
            aios_feed(r.c, seq, ids + seq, (uint64_t)length[seq], AIOS_FEED_NO_LOGITS, NULL);
            CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
            aios_feed(r.c, seq, ids, 4, AIOS_FEED_ALL_LOGITS, NULL);
            alone[seq] = run_hash(&r, seq, 0, NULL);
            CHECK_EQ(aios_seq_truncate(r.c, seq, length[seq], NULL), 0);
        }
        for (i = 0; i < 3; i++) {
            for (seq = 0; seq < 3; seq++) aios_feed(r.c, seq, ids, 4, AIOS_FEED_ALL_LOGITS, NULL);
            CHECK_EQ(run_hash(&r, i, 0, NULL), alone[i]);
            for (seq = 0; seq < 3; seq++)
                CHECK_EQ(aios_seq_truncate(r.c, seq, length[seq], NULL), 0);
        }
        run_close(&r);
    }
    CHECK_EQ(mem_books.n_held, 0);
}
/* A window across runs, and the soft caps: gemma2 of the shared fixtures, its window made wider. */
static void a_window_across_runs_gives_the_same_bits(void) {
    static const char key[] = "gemma2.attention.sliding_window";
    size_t n = 0, i;
    uint8_t *p;
    aios_io io;
    p = test_read_file(shared_path("fixtures/zoo/gemma2.gguf"), &n);
    if (!p) {
        printf("skip: no fixtures/zoo/gemma2.gguf in the shared folder\n");
        return;
    }
    for (i = 0; i + sizeof key + 8 < n; i++)
        if (memcmp(p + i, key, sizeof key - 1) == 0) {
            p[i + sizeof key - 1 + 4] = 0x90;
            p[i + sizeof key - 1 + 5] = 2;
            break;
        } /* 656 */
    CHECK(i + sizeof key + 8 < n);
    aios_io_memory(&io, p, n);
    long_contexts_give_the_same_bits_in_every_way(&io, "gemma2, window 656", N_LONG, 5);
    rules_of_positions_give_the_same_bits_in_every_way(&io, "gemma2, window 656");
    free(p);
}

/* Three sequences side by side, fed bit by bit, cut and fed again: each gives what it gives
 * alone. */
static void sequences_side_by_side_give_what_they_give_alone(const aios_io *io) {
    setup s;
    run r;
    int32_t ids[3][N_IDS], seq, fed = 0;
    uint64_t alone[3];
    int i;
    memset(&s, 0, sizeof s);
    s.threads = 2;
    s.batch = 13;
    s.n_seq = 3;
    s.outputs = 13;
    s.kv = AIOSK_KV_F16;
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    for (seq = 0; seq < 3; seq++) {
        make_ids(ids[seq], N_IDS, vocab_of(&r), 10 + (uint64_t)seq);
        aios_feed(r.c, seq, ids[seq], N_IDS, AIOS_FEED_NO_LOGITS, NULL);
        CHECK(aios_step(r.c, 0, &r.err) == 0 && aios_output_count(r.c) == 0 &&
              aios_logits(r.c, seq) == NULL);
        CHECK_EQ(aios_seq_truncate(r.c, seq, N_IDS - 5, &r.err), 0);
        CHECK_EQ(aios_seq_processed(r.c, seq), N_IDS - 5);
        aios_feed(r.c, seq, ids[seq] + N_IDS - 5, 5, AIOS_FEED_ALL_LOGITS, NULL);
        alone[seq] = run_hash(&r, seq, 0, NULL);
        CHECK_EQ(aios_seq_truncate(r.c, seq, 0, &r.err), 0);
    }
    while (fed < N_IDS - 5) { /* all three together, in unequal pieces */
        int32_t n = fed + 11 < N_IDS - 5 ? 11 : N_IDS - 5 - fed;
        for (seq = 0; seq < 3; seq++)
            aios_feed(r.c, seq, ids[seq] + fed, (uint64_t)n, AIOS_FEED_NO_LOGITS, NULL);
        if (fed % 2) CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
        fed += n;
    }
    CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
    for (seq = 0; seq < 3; seq++) {
        uint64_t h;
        int32_t other = (seq + 1) % 3;
        aios_feed(r.c, seq, ids[seq] + N_IDS - 5, 5, AIOS_FEED_ALL_LOGITS, NULL);
        aios_feed(r.c, other, ids[seq], 3, AIOS_FEED_NO_LOGITS, NULL); /* company */
        h = run_hash(&r, seq, 0, NULL);
        CHECK_EQ(h, alone[seq]);
        aios_seq_truncate(r.c, other, N_IDS - 5, NULL);
    }
    for (i = 0; i < 3; i++) CHECK_EQ(aios_seq_tokens(r.c, 0)[i], ids[0][i]);
    run_close(&r);
    CHECK_EQ(mem_books.n_held, 0);
}

/* The plan names every request; they come in that order; nothing is asked for while it runs. */
static void every_request_is_planned_and_none_comes_later(const aios_io *io) {
    setup s;
    run r, second;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_mem_req q;
    aios_counters count;
    int32_t ids[N_IDS];
    uint32_t i;
    int n;
    memset(&s, 0, sizeof s);
    s.threads = 2;
    s.batch = 16;
    s.n_seq = 2;
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    n = mem_books.n;
    aios_model_desc_init(&md);
    md.io = io;
    memset(&q, 0, sizeof q);
    CHECK_EQ(aios_model_measure(&md, &q, &r.err), AIOS_ERR_DESC);
    CHECK_EQ(aios_plan_request(&r.plan, 0, &q), AIOS_ERR_DESC);
    aios_mem_req_init(&q);
    CHECK_EQ(aios_model_measure(&md, &q, &r.err), 0);
    CHECK_EQ(q.bytes, mem_books.req[0].bytes);
    CHECK_EQ(q.kind, AIOS_MEM_META);
    CHECK_EQ(mem_books.req[0].align, q.align);
    CHECK_EQ(n, 1 + (int)r.plan.n_requests);
    for (i = 0; i < r.plan.n_requests; i++) {
        CHECK_EQ(aios_plan_request(&r.plan, i, &q), 0);
        CHECK_MEM(&q, &mem_books.req[1 + i], sizeof q);
    }
    CHECK_EQ(aios_plan_request(&r.plan, r.plan.n_requests, &q), AIOS_ERR_ARG);
    CHECK_EQ(mem_books.held, r.plan.held_bytes + r.plan.total_bytes);
    make_ids(ids, N_IDS, vocab_of(&r), 3);
    CHECK_EQ(aios_feed(r.c, 0, ids, 50, 0, &r.err), 0);
    CHECK_EQ(aios_feed(r.c, 1, ids, N_IDS, 0, &r.err), 0);
    while (aios_step(r.c, 0, &r.err) == AIOS_MORE) {}
    aios_counters_reset(r.c);
    CHECK_EQ(aios_feed(r.c, 1, ids, 1, 0, &r.err), 0);
    CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
    aios_counters_init(&count);
    CHECK_EQ(aios_counters_get(r.c, &count), 0);
    CHECK_EQ(count.n_tokens, 1);
    CHECK_EQ(count.n_passes, 1);
    CHECK_EQ(count.weight_bytes, r.plan.token_weight_bytes);
    CHECK_EQ(count.kv_bytes, r.plan.token_kv_pos_bytes * (N_IDS + 1));
    CHECK_EQ(mem_books.n, n);
    /* a second context of the same model takes no weights */
    memset(&second, 0, sizeof second);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    aios_plan_init(&second.plan);
    CHECK_EQ(aios_plan_make(r.m, &pd, &second.plan, &r.err), 0);
    CHECK_EQ(second.plan.request_bytes[AIOS_MEM_WEIGHTS], 0);
    aios_context_desc_init(&cd);
    CHECK_EQ(aios_context_open(r.m, &second.plan, &cd, &second.c, &r.err), 0);
    CHECK_EQ(mem_books.n, n + 3);
    aios_context_free(second.c);
    /* a budget one byte below what is needed is refused, with the numbers, where nothing may be
     * given up */
    pd.flags = AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_NO_STREAM;
    pd.budget_bytes = second.plan.held_bytes + second.plan.total_bytes;
    CHECK_EQ(aios_plan_make(r.m, &pd, &second.plan, &r.err), 0);
    pd.budget_bytes--;
    CHECK_EQ(aios_plan_make(r.m, &pd, &second.plan, &r.err), AIOS_ERR_MEMORY);
    CHECK_EQ(r.err.expected, pd.budget_bytes + 1);
    CHECK_EQ(r.err.got, pd.budget_bytes);
    run_close(&r);
    CHECK_EQ(mem_books.n_held, 0);
    CHECK_EQ(mem_books.held, 0);
}
/* Weights are counted as often as they pass: vectors once per pass, rows of the embedding per
 * token, matrices once per 128 tokens. */
static uint64_t weights_of(run *r, const int32_t *ids, uint64_t n) {
    aios_counters count;
    aios_counters_reset(r->c);
    CHECK_EQ(aios_seq_truncate(r->c, 0, 0, NULL), 0);
    CHECK_EQ(aios_feed(r->c, 0, ids, n, AIOS_FEED_NO_LOGITS, NULL), 0);
    CHECK_EQ(aios_step(r->c, 0, &r->err), 0);
    aios_counters_init(&count);
    CHECK_EQ(aios_counters_get(r->c, &count), 0);
    CHECK_EQ(count.n_passes, 1);
    CHECK_EQ(count.n_tokens, n);
    return count.weight_bytes;
}
static void counters_count_what_is_read(const aios_io *io) {
    setup s;
    run r;
    int32_t ids[300];
    uint64_t one, row, matrices;
    memset(&s, 0, sizeof s);
    s.threads = 2;
    s.batch = 300;
    s.n_ctx = 300;
    if (CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0)) {
        make_ids(ids, 300, vocab_of(&r), 4);
        one = weights_of(&r, ids, 1);
        row = weights_of(&r, ids, 2) - one;
        CHECK_EQ(weights_of(&r, ids, 128), one + 127 * row);
        matrices = weights_of(&r, ids, 129) - one - 128 * row;
        CHECK(row > 0 && matrices > one / 2 && matrices < one);
        CHECK_EQ(weights_of(&r, ids, 300), one + 299 * row + 2 * matrices);
    }
    run_close(&r);
}
static void every_failing_request_and_read_is_an_error_that_leaves_nothing(const aios_io *io,
                                                                           const uint8_t *p,
                                                                           uint64_t n_bytes) {
    setup s;
    run r;
    disk slow;
    aios_io bad;
    int i, n;
    memset(&s, 0, sizeof s);
    s.threads = 2;
    for (i = 0; i < 100; i++) {
        aios_status st = run_open_io(&r, io, fresh_books(i + 1), &s);
        run_close(&r);
        CHECK_EQ(mem_books.n_held, 0);
        if (st == 0) break;
        CHECK(st == AIOS_ERR_MEMORY && r.err.code == st && r.err.text[0] && r.err.expected > 0);
    }
    CHECK_EQ(i, 5);
    disk_init(&slow, &bad, p, n_bytes);
    CHECK_EQ(run_open_io(&r, &bad, fresh_books(0), &s), 0);
    run_close(&r);
    n = slow.n_reads;
    for (i = 0; i < n; i++) {
        disk_init(&slow, &bad, p, n_bytes);
        slow.fail_in = i + 1;
        slow.fail_with = i % 2 ? 0 : -1;
        CHECK_EQ(run_open_io(&r, &bad, fresh_books(0), &s), AIOS_ERR_IO);
        CHECK(r.c == NULL && r.err.code == AIOS_ERR_IO && r.err.offset != UINT64_MAX);
        run_close(&r);
        CHECK_EQ(mem_books.n_held, 0);
    }
    disk_init(&slow, &bad, p, n_bytes);
    slow.most = 5;
    CHECK_EQ(run_open_io(&r, &bad, fresh_books(0), &s), 0); /* short reads are no failure */
    run_close(&r);
}
static int32_t stop_loading(void *user, uint64_t done, uint64_t total) {
    (void)total;
    return done > *(uint64_t *)user;
}

static void cancelling_at_any_task_is_felt_at_once(const aios_io *io) {
    setup s;
    run r;
    int32_t ids[N_IDS];
    uint64_t want, at;
    memset(&s, 0, sizeof s);
    s.threads = 1;
    s.batch = 64;
    s.outputs = 64;
    s.tiny_steps = 1;
    want = hash_of(io, &s, NULL);
    for (at = 1005; at < 1400; at += 37) {
        aios_status st;
        CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
        make_ids(ids, N_IDS, vocab_of(&r), 1);
        aios_feed(r.c, 0, ids, N_IDS, AIOS_FEED_ALL_LOGITS, NULL);
        r.clock.now = 1000;
        r.clock.cancel = r.c;
        r.clock.cancel_at = at;
        do st = aios_step(r.c, 1, &r.err);
        while (st == AIOS_MORE && r.clock.cancel);
        if (st == AIOS_MORE) st = aios_step(r.c, 1, &r.err);
        CHECK_EQ(st, AIOS_ERR_CANCELLED);
        CHECK_EQ(r.err.code, st);
        CHECK_EQ(aios_seq_processed(r.c, 0) % 64, 0);
        CHECK_EQ(aios_seq_length(r.c, 0), N_IDS);
        if (aios_seq_processed(r.c, 0) == 0)
            CHECK_EQ(run_hash(&r, 0, 1, NULL), want); /* as if nothing had happened */
        run_close(&r);
        CHECK_EQ(mem_books.n_held, 0);
    }
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    aios_cancel(r.c);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_OK);
    run_close(&r);
}
static void loading_stops_when_it_is_told_to(const aios_io *io) {
    aios_model_desc md;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_model *m;
    aios_context *c;
    aios_plan p;
    aios_error err;
    uint64_t limit = 1000;
    aios_model_desc_init(&md);
    md.io = io;
    md.mem = fresh_books(0);
    CHECK_EQ(aios_model_open(&md, &m, &err), 0);
    aios_plan_desc_init(&pd);
    aios_plan_init(&p);
    CHECK_EQ(aios_plan_make(m, &pd, &p, &err), 0);
    aios_context_desc_init(&cd);
    cd.progress = stop_loading;
    cd.progress_user = &limit;
    CHECK(aios_context_open(m, &p, &cd, &c, &err) == AIOS_ERR_CANCELLED && !c &&
          mem_books.n_held == 1);
    limit = UINT64_MAX;
    CHECK_EQ(aios_context_open(m, &p, &cd, &c, &err), 0);
    aios_context_free(c);
    aios_model_free(m);
    CHECK_EQ(mem_books.n_held, 0);
}
static void note_down(void *user, int32_t level, const char *text) {
    (void)level;
    snprintf((char *)user, 256, "%s", text);
}
/* What zeros in a plan's desc stand for. */
static void zeros_of_a_plan_stand_for_something(const aios_io *io) {
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan p, same;
    aios_model_info info;
    aios_hardware h;
    aios_model *m;
    aios_error e;
    char note[256] = "";
    int32_t fast, trained;
    aios_model_desc_init(&md);
    aios_plan_desc_init(&pd);
    aios_plan_init(&p);
    aios_plan_init(&same);
    aios_model_info_init(&info);
    aios_hardware_init(&h);
    md.io = io;
    md.mem = fresh_books(0);
    md.log = note_down;
    md.log_user = note;
    CHECK_EQ(aios_model_open(&md, &m, &e), 0);
    CHECK_EQ(aios_model_get_info(m, &info), 0);
    CHECK_EQ(aios_hardware_detect(&h), 0);
    trained = info.n_ctx_train;
    fast = h.quota_milli && h.quota_milli / 1000 < h.n_performance ? h.quota_milli / 1000
                                                                   : h.n_performance;
#ifdef AIOS_NO_THREADS
    fast = 1;
#endif
    CHECK(aios_plan_make(m, &pd, &p, &e) == 0 && p.n_ctx == (trained < 4096 ? trained : 4096) &&
          p.kv_type == AIOSK_KV_F16 && p.n_threads == (fast < 1 ? 1 : fast) && !note[0]);
    pd.n_ctx = trained;
    CHECK(aios_plan_make(m, &pd, &p, &e) == 0 && !note[0]);
    pd.n_ctx = trained + 1;
    pd.flags = AIOS_PLAN_LENT_THREADS;
    CHECK_EQ(aios_plan_make(m, &pd, &p, &e), 0);
    CHECK_EQ(p.n_threads, 1);
    CHECK(strstr(note, "longer than"));
    pd.n_ctx = 1024;
    pd.kv_window = 512;
    pd.kv_sinks = 0; /* the first tile stays, unless nothing is to */
    CHECK_EQ(aios_plan_make(m, &pd, &p, &e), 0);
    pd.kv_sinks = 64;
    CHECK_EQ(aios_plan_make(m, &pd, &same, &e), 0);
    CHECK_EQ(same.token_kv_bytes, p.token_kv_bytes);
    pd.kv_sinks = -1;
    CHECK_EQ(aios_plan_make(m, &pd, &same, &e), 0);
    CHECK_EQ(same.token_kv_bytes, p.token_kv_bytes - 64 * p.token_kv_pos_bytes);
    pd.kv_sinks = -2;
    CHECK_EQ(aios_plan_make(m, &pd, &same, &e), AIOS_ERR_ARG);
    CHECK(strstr(e.text, "kv_sinks"));
    aios_model_free(m);
}
/* Every wrong argument is one clear answer. */
static void every_wrong_argument_is_one_clear_answer(const aios_io *io) {
    setup s;
    run r;
    aios_model_desc md;
    aios_plan_desc pd, rules;
    aios_context_desc cd;
    aios_plan p, old = { 0 };
    uint64_t less, same;
    aios_model *m = NULL;
    aios_context *c = NULL;
    aios_output o;
    aios_sampler sa;
    aios_error e;
    int32_t id = 0, ids[200];
    struct {
        aios_plan_desc d;
        uint64_t future;
    } newer;
    memset(&s, 0, sizeof s);
    memset(ids, 0, sizeof ids);
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    aios_model_desc_init(&md);
    CHECK(aios_model_open(&md, &m, &e) == AIOS_ERR_ARG && !m);
    md.io = io;
    if (CHECK_EQ(aios_model_open(&md, &m, &e), AIOS_OK))
        aios_model_free(m); /* the library that is linked has an allocator (AIOS_DEFAULT_ALLOC) */
    CHECK_EQ(aios_model_open(&md, NULL, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_model_open(NULL, &m, &e), AIOS_ERR_ARG);
    memset(&md, 0, sizeof md);
    CHECK_EQ(aios_model_open(&md, &m, &e), AIOS_ERR_DESC);
    CHECK(strstr(e.text, "_init"));
    CHECK_EQ(aios_model_open(&md, &m, NULL), AIOS_ERR_DESC);
    aios_model_desc_init(&md);
    md.mem = fresh_books(0);
    md.path = "/no/such/file.gguf";
    CHECK_EQ(aios_model_open(&md, &m, &e), AIOS_ERR_IO);
    CHECK(strstr(e.text, "file.gguf"));
    run_close(&r);
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    aios_plan_desc_init(&pd);
    memset(&p, 0, sizeof p);
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_DESC);
    aios_plan_init(&p);
    CHECK_EQ(aios_plan_make(NULL, &pd, &p, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_plan_make(r.m, NULL, &p, &e), AIOS_ERR_ARG);
    pd.n_ctx = -1;
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_ARG);
    CHECK(strstr(e.text, "n_ctx"));
    pd.n_ctx = 64;
    pd.kv_type = 17;
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_ARG);
    CHECK(strstr(e.text, "kv_type"));
    pd.kv_type = 0;
    pd.isa = 99;
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_ARG);
    pd.isa = 0;
    pd.n_ctx = 1 << 28;
    pd.n_seq = 1 << 20;
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_LIMIT);
    memset(&newer, 0, sizeof newer);
    aios_plan_desc_init(&newer.d);
    newer.d.n_ctx = 64;
    newer.d.struct_size = (uint32_t)sizeof newer;
    CHECK_EQ(aios_plan_make(r.m, &newer.d, &p, &e), 0); /* a newer caller that sets nothing new */
    newer.future = 1;
    CHECK_EQ(aios_plan_make(r.m, &newer.d, &p, &e), AIOS_ERR_DESC);
    newer.d.struct_size = (uint32_t)offsetof(aios_plan_desc, hot_bytes);
    newer.d.n_ctx = 99; /* an older caller: the fields it knows count */
    CHECK_EQ(aios_plan_make(r.m, &newer.d, &p, &e), 0);
    CHECK_EQ(p.n_ctx, 99);
    old.struct_size = (uint32_t)offsetof(
        aios_plan,
        /* an older plan has no place for rules of the cache: they are not lost in silence */
        kv_layer_type);
    aios_plan_desc_init(&rules);
    rules.n_ctx = 64;
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e), 0);
    CHECK_EQ(old.n_ctx, 64);
    rules.kv_window = 64;
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e), AIOS_ERR_DESC);
    rules.kv_window = 0;
    rules.kv_old_type = AIOSK_KV_I8;
    rules.kv_type = AIOSK_KV_F16;
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e), AIOS_ERR_DESC);
    rules.n_ctx = 640;
    rules.kv_type = AIOSK_KV_C4;
    rules.kv_old_type = AIOSK_KV_C3;
    rules.kv_recent = 64;
    aios_plan_init(&old);
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e),
             0); /* an old type that is larger changes nothing, a smaller one does */
    less = old.token_kv_bytes;
    rules.kv_old_type = AIOSK_KV_I8;
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e), 0);
    same = old.token_kv_bytes;
    rules.kv_old_type = rules.kv_recent = 0;
    CHECK_EQ(aios_plan_make(r.m, &rules, &old, &e), 0);
    CHECK_EQ(old.token_kv_bytes, same);
    CHECK(less < same);
    aios_context_desc_init(&cd);
    p.request_bytes[AIOS_MEM_KV] /= 2;
    CHECK(aios_context_open(r.m, &p, &cd, &c, &e) == AIOS_ERR_ARG && !c);
    p.request_bytes[AIOS_MEM_KV] *= 2;
    p.model_hash++;
    CHECK_EQ(aios_context_open(r.m, &p, &cd, &c, &e), AIOS_ERR_ARG);
    CHECK(strstr(e.text, "another model"));
    p.model_hash--;
    { /* each number of a plan, just past both ends of what it may be */
#define AIOS__X(field, least, most) \
    { #field, offsetof(aios_plan, field), sizeof p.field, (int64_t)(least)-1, (int64_t)(most) + 1 }
        static const struct {
            const char *name;
            size_t at, size;
            int64_t low, high;
        } rule[] = {
            AIOS__X(n_ctx, 1, 1 << 28),       AIOS__X(n_seq, 1, 1 << 20),
            AIOS__X(n_batch, 1, 4096),        AIOS__X(n_outputs, 1, 4096),
            AIOS__X(n_threads, 1, 1024),      AIOS__X(numerics, 0, AIOS_REFERENCE),
            AIOS__X(isa, 0, AIOSK_N_ISA - 1), AIOS__X(stream_level, 0, 3 * 65536),
            AIOS__X(warm_steps, 0, 4 * 4096), AIOS__X(n_readers, 0, 64),
            AIOS__X(n_slots, 0, 4096),        AIOS__X(kv_positions, 0, 1 << 30),
            AIOS__X(kv_recent, 0, 1 << 28),   AIOS__X(kv_window, 0, 1 << 28),
            AIOS__X(kv_sinks, -1, 1 << 28),   AIOS__X(kv_heavy, 0, 1 << 28),
        };
#undef AIOS__X
        int k;
        for (k = 0; k < 2 * (int)(sizeof rule / sizeof *rule); k++) {
            aios_plan q = p;
            int32_t v = (int32_t)(k & 1 ? rule[k / 2].high : rule[k / 2].low);
            CHECK_EQ(rule[k / 2].size, sizeof v);
            memcpy((char *)&q + rule[k / 2].at, &v, sizeof v);
            CHECK_AT(aios_context_open(r.m, &q, &cd, &c, &e) == AIOS_ERR_ARG && !c &&
                         strstr(e.text, rule[k / 2].name) && strstr(e.text, "out of range"),
                     "%s %d: %s", rule[k / 2].name, v, e.text);
        }
    }
    pd.n_ctx = 16;
    pd.n_seq = 0;
    pd.numerics = AIOS_REFERENCE;
    CHECK_EQ(aios_plan_make(r.m, &pd, &p, &e), AIOS_ERR_STATE);
    CHECK_EQ(aios_feed(r.c, 1, ids, 1, 0, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_feed(r.c, -1, ids, 1, 0, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_feed(NULL, 0, ids, 1, 0, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_feed(r.c, 0, ids, 129, 0, &e), AIOS_ERR_FULL);
    CHECK_EQ(e.expected, 128);
    CHECK_EQ(e.got, 129);
    CHECK_EQ(aios_feed(r.c, 0, ids, 128, 0, &e), 0);
    CHECK_EQ(aios_feed(r.c, 0, ids, 1, 0, &e), AIOS_ERR_FULL);
    CHECK_EQ(aios_seq_truncate(r.c, 0, 0, &e), 0);
    CHECK_EQ(aios_seq_truncate(r.c, 0, 1, &e), AIOS_ERR_ARG);
    ids[0] = 1 << 30;
    CHECK_EQ(aios_feed(r.c, 0, ids, 1, 0, &e), AIOS_ERR_ARG);
    ids[0] = -1;
    CHECK_EQ(aios_feed(r.c, 0, ids, 1, 0, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_seq_length(r.c, 0), 0);
    CHECK_EQ(aios_feed(r.c, 0, ids, 0, 0, &e), 0);
    CHECK_EQ(aios_step(r.c, 0, &e), AIOS_OK);
    CHECK_EQ(aios_output_count(r.c), 0);
    aios_sampler_init(&sa);
    CHECK_EQ(aios_sample(r.c, 0, &sa, &id, &e), AIOS_ERR_STATE);
    CHECK_EQ(aios_sample(r.c, 9, &sa, &id, &e), AIOS_ERR_ARG);
    aios_output_init(&o);
    CHECK_EQ(aios_output_get(r.c, 0, &o), AIOS_ERR_ARG);
    CHECK_EQ(aios_step(NULL, 0, &e), AIOS_ERR_ARG);
    aios_model_free(NULL);
    aios_context_free(NULL);
    aios_cancel(NULL);
    CHECK_EQ(aios_tokenize(NULL, "x", 1, 0, ids, 1, &e), AIOS_ERR_ARG);
    CHECK_EQ(aios_detokenize(NULL, NULL, 0, NULL, 0), AIOS_ERR_ARG);
    CHECK_STR(aios_status_name(AIOS_ERR_FULL), "AIOS_ERR_FULL");
    CHECK_STR(aios_status_name(-999), "unknown status");
    run_close(&r);
}

/* Contexts on a stack of memory: two in turn over the same weights, the model freed before its
 * last context. */
static void memory_may_be_a_stack(const aios_io *io) {
    stack_mem s;
    aios_allocator a;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_model *m;
    aios_context *c;
    aios_plan p;
    aios_error err;
    int32_t ids[N_IDS], k;
    uint64_t first = 0;
    memset(&s, 0, sizeof s);
    s.cap = 1 << 23;
    CHECK_EQ(posix_memalign((void **)&s.base, 4096, (size_t)s.cap), 0);
    aios_allocator_init(&a);
    a.alloc = stack_alloc;
    a.free = stack_free;
    a.user = &s;
    aios_model_desc_init(&md);
    md.io = io;
    md.mem = &a;
    CHECK_EQ(aios_model_open(&md, &m, &err), 0);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 128;
    pd.n_outputs = 64;
    aios_plan_init(&p);
    CHECK_EQ(aios_plan_make(m, &pd, &p, &err),
             0); /* one plan for both: the second finds the weights there */
    aios_context_desc_init(&cd);
    make_ids(ids, N_IDS, 288, 5);
    for (k = 0; k < 2; k++) {
        run r;
        uint64_t h;
        memset(&r, 0, sizeof r);
        CHECK_EQ(aios_context_open(m, &p, &cd, &c, &err), 0);
        r.m = m;
        r.c = c;
        aios_feed(c, 0, ids, 64, AIOS_FEED_ALL_LOGITS, NULL);
        h = run_hash(&r, 0, 0, NULL);
        if (k == 0) first = h;
        CHECK_EQ(h, first);
        CHECK_EQ(r.st, 0);
        if (k == 1) {
            aios_context *late = NULL;
            aios_model_free(m); /* waits for its context, and takes no other one */
            CHECK(aios_context_open(m, &p, &cd, &late, &err) == AIOS_ERR_STATE && !late);
        }
        aios_context_free(c);
        CHECK_EQ(s.bad, 0);
    }
    CHECK_EQ(s.used, 0);
    free(s.base);
}

/* The clock stops each step after one task: what may happen between two steps of one pass. */
static void what_happens_between_two_steps_of_a_pass_is_in_order(const aios_io *io) {
    setup s;
    run r;
    aios_sampler sa;
    int32_t ids[N_IDS], id, n;
    memset(&s, 0, sizeof s);
    s.threads = 1;
    s.batch = 16;
    s.n_seq = 2;
    s.tiny_steps = 1;
    CHECK_EQ(run_open_io(&r, io, fresh_books(0), &s), 0);
    make_ids(ids, N_IDS, vocab_of(&r), 6);
    r.clock.now = 1000;
    /* cutting a sequence that the pass does not work on leaves the pass alone */
    aios_feed(r.c, 0, ids, 10, 0, NULL);
    for (n = 0; n < 5000 && aios_step(r.c, 1, NULL) == AIOS_MORE; n++)
        CHECK_EQ(aios_seq_truncate(r.c, 1, 0, NULL), 0);
    CHECK(n < 5000 && aios_seq_processed(r.c, 0) == 10 && aios_logits(r.c, 0) != NULL);
    /* a draw is tied to the row's place, and to tokens that are still there */
    aios_sampler_init(&sa);
    sa.temperature = 1;
    sa.seed = 9;
    CHECK_EQ(aios_sample(r.c, 0, &sa, &id, NULL), 0);
    aios_seq_truncate(r.c, 0, 9, NULL);
    CHECK_EQ(aios_sample(r.c, 0, &sa, &id, &r.err), AIOS_ERR_STATE);
    /* a long prompt does not hold up a neighbour's one token */
    aios_seq_truncate(r.c, 0, 0, NULL);
    aios_feed(r.c, 0, ids, N_IDS, 0, NULL);
    aios_feed(r.c, 1, ids, 1, 0, NULL);
    CHECK_EQ(aios_step(r.c, 0, NULL), AIOS_MORE);
    CHECK_EQ(aios_seq_processed(r.c, 1), 1);
    CHECK_EQ(aios_seq_processed(r.c, 0), 15);
    /* rows are there until the next step, even one with nothing to do */
    while (aios_step(r.c, 0, NULL) == AIOS_MORE) {}
    CHECK_EQ(aios_output_count(r.c), 1);
    CHECK_EQ(aios_step(r.c, 0, NULL), AIOS_OK);
    CHECK_EQ(aios_output_count(r.c), 0);
    run_close(&r);
    CHECK_EQ(mem_books.n_held, 0);
}

static const void *no_map(void *user, uint64_t off, uint64_t n) {
    (void)user;
    (void)off;
    (void)n;
    return NULL;
}
static void *crooked_alloc(void *user, const aios_mem_req *r) {
    char *p = (char *)books_alloc(user, r);
    return p ? p + 8 : NULL;
}
static void crooked_free(void *user, void *p, const aios_mem_req *r) {
    books_free(user, (char *)p - 8, r);
}

/* Maps that decline or point at odd addresses, memory that is not aligned, flags from the
 * future. */
static void maps_that_decline_or_are_odd_change_no_bit(const uint8_t *p, uint64_t n) {
    setup s;
    run r;
    disk slow;
    aios_io io;
    aios_allocator a;
    uint8_t *odd = (uint8_t *)malloc((size_t)n + 1);
    uint64_t want;
    memset(&s, 0, sizeof s);
    s.outputs = 64;
    disk_init(&slow, &io, p, n);
    want = hash_of(&io, &s, NULL);
    io.map = no_map;
    CHECK_EQ(hash_of(&io, &s, NULL), want);
    memcpy(odd + 1, p, (size_t)n);
    disk_init(&slow, &io, odd + 1, n);
    io.map = disk_map;
    for (s.isa = 1; s.isa < AIOSK_N_ISA; s.isa++)
        if (aiosk_select(s.isa)) CHECK_EQ(hash_of(&io, &s, NULL), want);
    s.isa = 0;
    free(odd);
    disk_init(&slow, &io, p, n);
    a = *fresh_books(0);
    a.alloc = crooked_alloc;
    a.free = crooked_free;
    CHECK_EQ(run_open_io(&r, &io, &a, &s), AIOS_ERR_MEMORY);
    CHECK(strstr(r.err.text, "aligned"));
    CHECK_EQ(mem_books.n_held, 0);
}

/* What a later version may mean by a flag is refused by this one. */
static void flags_of_the_future_are_refused(const uint8_t *p, uint64_t n) {
    disk slow;
    aios_io io;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_context *c;
    aios_model *m;
    aios_error e;
    uint64_t want;
    disk_init(&slow, &io, p, n);
    aios_model_desc_init(&md);
    md.mem = fresh_books(0);
    md.io = &io;
    md.flags = 0x80;
    CHECK_EQ(aios_model_open(&md, &m, &e), AIOS_ERR_DESC);
    CHECK_EQ(e.got, 0x80);
    md.flags = 0;
    CHECK_EQ(aios_model_open(&md, &m, &e), 0);
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    pd.flags = 0x10000;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), AIOS_ERR_DESC);
    pd.flags = 0;
    pd.numerics = AIOS_REFERENCE;
    pd.kv_type = AIOSK_KV_I8;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), AIOS_ERR_ARG);
    pd.kv_type = 0;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), 0);
    CHECK_EQ(plan.kv_type, AIOSK_KV_F32);
    pd.numerics = 0;
    pd.n_threads = 8;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), 0);
    want = plan.request_bytes[AIOS_MEM_META];
    pd.flags = AIOS_PLAN_LENT_THREADS;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), 0);
    CHECK(plan.request_bytes[AIOS_MEM_META] < want);
    aios_context_desc_init(&cd);
    CHECK_EQ(aios_context_open(m, &plan, &cd, &c, &e), AIOS_ERR_ARG);
    CHECK(strstr(e.text, "parallel_for"));
    cd.parallel_for = lent_for;
    cd.flags = 2;
    CHECK_EQ(aios_context_open(m, &plan, &cd, &c, &e), AIOS_ERR_DESC);
    plan.numerics = 3;
    cd.flags = 0;
    CHECK_EQ(aios_context_open(m, &plan, &cd, &c, &e), AIOS_ERR_ARG);
    CHECK_EQ(mem_books.n_held, 1);
    aios_model_free(m);
    CHECK_EQ(mem_books.n_held, 0);
}

/* AIOS_FAST: one hash per instruction set, over threads and batches; that of AIOS_CANONICAL
 * where no float matrix has a kernel of its own; its logits near the canonical ones everywhere. */
static void last_logits(const aios_io *io, const setup *s, float *out, int32_t *n) {
    run r;
    int32_t ids[N_IDS];
    *n = 0;
    if (CHECK_EQ(run_open_io(&r, io, fresh_books(0), s), 0)) {
        make_ids(ids, N_IDS, vocab_of(&r), 1);
        aios_feed(r.c, 0, ids, N_IDS, 0, NULL);
        if (CHECK_EQ(aios_step(r.c, 0, &r.err), 0) && CHECK(vocab_of(&r) <= 4096)) {
            *n = vocab_of(&r);
            memcpy(out, aios_logits(r.c, 0), (size_t)*n * 4);
        }
    }
    run_close(&r);
}
static void fast_numerics_are_close_and_the_same_from_run_to_run(const aios_io *io,
                                                                 const char *name) {
    static float canonical[4096], fast[4096];
    setup s;
    int32_t n, i, k;
    memset(&s, 0, sizeof s);
    for (s.isa = 1; s.isa < AIOSK_N_ISA; s.isa++) {
        const aiosk_isa *isa = aiosk_select(s.isa);
        double off = 0, size = 0;
        uint64_t want, plain;
        if (!isa || (quick && s.isa == AIOSK_ISA_SCALAR)) continue;
        s.threads = 1;
        s.batch = s.outputs = 64;
        s.numerics = AIOS_CANONICAL;
        plain = hash_of(io, &s, NULL);
        last_logits(io, &s, canonical, &n);
        s.numerics = AIOS_FAST;
        last_logits(io, &s, fast, &k);
        want = hash_of(io, &s, NULL);
        if (aiosk_matmul_fast(isa, AIOSK_BF16) == isa->matmul[AIOSK_BF16][AIOSK_ROWS])
            CHECK_EQ(want, plain);
        else if (strstr(name, "bf16"))
            CHECK(want != plain);
        for (i = 0; i < 3; i++) {
            static const int32_t batches[] = { 1, 7, 33 };
            s.threads = 1 + i;
            s.batch = s.outputs = batches[i];
            CHECK_EQ(hash_of(io, &s, NULL), want);
        }
        for (i = 0; i < n; i++) {
            off += (double)(fast[i] - canonical[i]) * (fast[i] - canonical[i]);
            size += (double)canonical[i] * canonical[i];
        }
        CHECK_EQ(k, n);
        CHECK(off <= 0.02 * 0.02 * size);
        if (want != plain)
            printf("%s %s fast: logits off by %.1e\n", name, isa->name, sqrt(off / size));
    }
}

int main(int argc, char **argv) {
    static uint8_t made[DAMAGE_MAX_BYTES];
    uint64_t n_made = damage_valid(made, sizeof made);
    size_t n_tale = 0;
    uint8_t *tale = test_read_file("models/tale.gguf", &n_tale);
    aios_io io;
    disk plain;
    quick = test_begin(argc, argv);
    brief = quick || TEST_SANITIZED;
    CHECK(n_made > 0);
    aios_io_memory(&io, made, n_made);
    errno = 77; /* quiet: nothing may touch it, failing calls included */
    TEST(zeros_of_a_plan_stand_for_something)(&io);
    TEST(every_wrong_argument_is_one_clear_answer)(&io);
    if (!test_listing()) CHECK_EQ(errno, 77);
    TEST(every_way_of_running_gives_the_same_bits)(&io, "made, mapped");
    TEST(sequences_side_by_side_give_what_they_give_alone)(&io);
    TEST(long_contexts_give_the_same_bits_in_every_way)(&io, "made", N_LONG, 99);
    TEST(rules_of_positions_give_the_same_bits_in_every_way)(&io, "made");
    TEST(unequal_sequences_give_what_they_give_alone)(&io);
    TEST(a_window_across_runs_gives_the_same_bits)();
    disk_init(&plain, &io, made, n_made);
    TEST(every_way_of_running_gives_the_same_bits)(&io, "made, read");
    TEST(every_request_is_planned_and_none_comes_later)(&io);
    TEST(counters_count_what_is_read)(&io);
    TEST(every_failing_request_and_read_is_an_error_that_leaves_nothing)(&io, made, n_made);
    TEST(cancelling_at_any_task_is_felt_at_once)(&io);
    TEST(memory_may_be_a_stack)(&io);
    TEST(what_happens_between_two_steps_of_a_pass_is_in_order)(&io);
    TEST(maps_that_decline_or_are_odd_change_no_bit)(made, n_made);
    TEST(flags_of_the_future_are_refused)(made, n_made);
    TEST(loading_stops_when_it_is_told_to)(&io);
    if (CHECK(tale != NULL)) {
        aios_io_memory(&io, tale, n_tale);
        TEST(every_way_of_running_gives_the_same_bits)(&io, "tale");
        TEST(sequences_side_by_side_give_what_they_give_alone)(&io);
        if (!brief) TEST(every_request_is_planned_and_none_comes_later)(&io);
        TEST(fast_numerics_are_close_and_the_same_from_run_to_run)(&io, "tale");
    }
    free(tale);
    tale = test_read_file(shared_path("fixtures/types/llama-bf16.gguf"), &n_tale);
    if (tale) {
        aios_io_memory(&io, tale, n_tale);
        TEST(fast_numerics_are_close_and_the_same_from_run_to_run)(&io, "llama-bf16");
    } else
        printf("skip: no fixtures/types/llama-bf16.gguf in the shared folder\n");
    free(tale);
    return test_end();
}
