/* test_stream.c: plans within a budget, and weights that are read while the model runs. A plan's
 * sum is what is requested, for random budgets; one byte below the stated minimum is refused;
 * resident, warm, mapped and streamed runs give one hash, whoever does the reading; storage that
 * fails, stutters, ends early or is slow costs a step, never a sequence. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "damage.h"
#include "host.h"

enum { N_IDS = 40 };

static late_clock
    *clock_late; /* the clock of the next context, and its parallel_for; NULL: the system's */

/* ---- one run ---- */
typedef struct run {
    aios_model *m;
    aios_context *c;
    aios_plan plan;
    aios_error err;
    books mem;
    disk *d;
    int32_t n_vocab;
} run;

static int run_model_from(run *r, const aios_io *io, const aios_io *artifact, disk *d) {
    aios_model_desc md;
    aios_allocator a;
    aios_model_info info;
    memset(r, 0, sizeof *r);
    r->d = d;
    a = books_allocator(&r->mem);
    a.granted = books_granted;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.io = io;
    md.artifact = artifact;
    if (aios_model_open(&md, &r->m, &r->err)) return 0;
    aios_model_info_init(&info);
    aios_model_get_info(r->m, &info);
    r->n_vocab = info.n_vocab;
    d->from = info.header_bytes;
    return 1;
}
static int run_model(run *r, const aios_io *io, disk *d) { return run_model_from(r, io, NULL, d); }
static aios_status run_plan(run *r, const aios_plan_desc *pd) {
    int32_t before = r->d->n_reads;
    int n = r->mem.n;
    aios_status st;
    aios_plan_init(&r->plan);
    st = aios_plan_make(r->m, pd, &r->plan, &r->err);
    CHECK_EQ(r->d->n_reads, before);
    CHECK_EQ(r->mem.n, n); /* planning reads nothing and takes nothing */
    return st;
}
static aios_status run_context(run *r) {
    aios_context_desc cd;
    aios_mem_req q;
    uint64_t sum = 0;
    int n = r->mem.n;
    uint32_t i;
    aios_status st;
    aios_context_desc_init(&cd);
    if (clock_late) {
        cd.now_ns = late_now;
        cd.now_user = clock_late;
        if (r->plan.flags & AIOS_PLAN_LENT_THREADS) {
            cd.parallel_for = late_for;
            cd.parallel_user = clock_late;
        }
    }
    st = aios_context_open(r->m, &r->plan, &cd, &r->c, &r->err);
    if (st) return st;
    CHECK_EQ(r->mem.n, n + (int)r->plan.n_requests);
    for (i = 0; i < r->plan.n_requests; i++) {
        aios_mem_req_init(&q);
        CHECK_EQ(aios_plan_request(&r->plan, i, &q), 0);
        CHECK_MEM(&q, &r->mem.req[n + (int)i], sizeof q);
        sum += q.bytes;
    }
    CHECK_EQ(sum, r->plan.total_bytes);
    CHECK_EQ(r->mem.held, r->plan.held_bytes + sum);
    CHECK_EQ(aios_plan_request(&r->plan, i, &q), AIOS_ERR_ARG);
    return 0;
}
static void run_close(run *r) {
    aios_context_free(r->c);
    aios_model_free(r->m);
    CHECK_EQ(r->mem.n_held, 0);
    CHECK_EQ(r->mem.held, 0);
}
static void feed(run *r, int32_t n, uint32_t flags) {
    uint64_t seed = 3;
    int32_t ids[N_IDS], i;
    for (i = 0; i < N_IDS; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)r->n_vocab);
    CHECK_EQ(aios_feed(r->c, 0, ids + aios_seq_length(r->c, 0), (uint64_t)n, flags, &r->err), 0);
}
/* A prompt, then tokens one by one; slice: every step has so many nanoseconds. 0 when a step
 * fails. */
static uint64_t run_hash(run *r, uint64_t slice) {
    uint64_t h = TEST_HASH;
    aios_status st;
    aios_seq_truncate(r->c, 0, 0, NULL);
    feed(r, N_IDS - 8, 0);
    for (;;) {
        do st = aios_step(r->c, slice ? aios_now_ns(r->c) + slice : 0, &r->err);
        while (st == AIOS_MORE);
        if (st || !aios_logits(r->c, 0)) return 0;
        h = test_hash(h, aios_logits(r->c, 0), (size_t)r->n_vocab * 4);
        if (aios_seq_length(r->c, 0) == N_IDS) return h;
        feed(r, 1, 0);
    }
}
static void plan_init(aios_plan_desc *pd, uint64_t *seed) {
    aios_plan_desc_init(pd);
    pd->n_ctx = 64;
    pd->n_threads = 1 + (int32_t)(test_rand(seed) % 3);
    pd->n_batch = (int32_t)(test_rand(seed) % 40);
}

/* The ops' bytes add up to the plan's. */
static void check_ops(const run *r) {
    uint64_t w = 0, act = 0;
    int32_t units = 0, phase = 0;
    uint32_t i;
    CHECK_EQ(aios_op_count(r->c), r->plan.n_ops);
    for (i = 0; i < r->plan.n_ops; i++) {
        aios_op_info o;
        aios_op_info_init(&o);
        if (!CHECK(aios_op_get(r->c, i, &o) == 0 && o.name && o.phase >= phase &&
                   o.phase <= phase + 1))
            return;
        phase = o.phase;
        w += o.weight_bytes;
        act += o.act_bytes;
        units += o.n_units;
    }
    CHECK_AT(w == r->plan.token_weight_bytes && act == r->plan.token_act_bytes &&
                 (uint32_t)units == r->plan.n_units && (uint32_t)phase + 1 == r->plan.n_phases,
             "weights %llu of %llu, activations %llu of %llu, units %d of %u, phases %d of %u",
             (unsigned long long)w, (unsigned long long)r->plan.token_weight_bytes,
             (unsigned long long)act, (unsigned long long)r->plan.token_act_bytes, units,
             r->plan.n_units, phase + 1, r->plan.n_phases);
}

/* ---- budgets ---- */

/* Any budget from the minimum up gives a plan within it that runs with the same bits; one byte
 * less is refused by name. */
static void any_budget_from_the_least_up_gives_the_same_bits(const char *name, const uint8_t *p,
                                                             uint64_t n, int n_runs) {
    CASE("%s", name);
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    uint64_t want, seed = n, full;
    char number[32];
    int i, n_streamed = 0;
    disk_init(&d, &io, p, n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    if (!CHECK_AT(run_model(&r, &io, &d), "%s: %s", name, r.err.text)) return;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(run_context(&r), 0);
    CHECK_EQ(r.plan.rungs, 0);
    CHECK_EQ(r.plan.n_slots, 0);
    want = run_hash(&r, 0);
    full = r.plan.held_bytes + r.plan.total_bytes;
    CHECK(want != 0);
    run_close(&r);
    for (i = 0; i < n_runs; i++) {
        int how = i % 4; /* inline, own threads, lent threads, asynchronous */
        pthread_t t[2];
        uint64_t least, got;
        aios_counters c;
        plan_init(&pd, &seed);
        d.n_queued = 0;
        io.submit = how == 3 ? disk_submit : NULL;
        io.wait = how == 3 ? disk_wait : NULL;
        pd.n_readers = how == 1 ? 1 + i % 3 : -1;
        pd.flags = how == 2 ? AIOS_PLAN_LENT_READERS : 0;
        if (!CHECK(run_model(&r, &io, &d))) return;
        pd.budget_bytes = 1;
        CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
        CHECK_EQ(r.err.got, 1);
        least = r.err.expected;
        snprintf(number, sizeof number, "%llu", (unsigned long long)least);
        pd.budget_bytes = least - 1;
        CHECK_AT(run_plan(&r, &pd) == AIOS_ERR_MEMORY && r.err.expected == least &&
                     r.err.got == least - 1 && strstr(r.err.text, number),
                 "%s, least %s, how %d: %s", name, number, how, r.err.text);
        pd.budget_bytes =
            i < 4 ? least : least + test_rand(&seed) % (full > least ? full - least : 1);
        if (!CHECK_AT(run_plan(&r, &pd) == 0, "%s, budget %llu: %s", name,
                      (unsigned long long)pd.budget_bytes, r.err.text)) {
            run_close(&r);
            continue;
        }
        CHECK(r.plan.held_bytes + r.plan.total_bytes <= pd.budget_bytes &&
              r.plan.held_bytes + r.plan.min_bytes <= least);
        if (!CHECK_AT(run_context(&r) == 0, "%s", r.err.text)) {
            run_close(&r);
            continue;
        }
        CHECK(r.mem.held <= pd.budget_bytes);
        if (how == 2 && r.plan.n_units) { /* they may go and come again */
            pthread_create(&t[0], NULL, serve_reads, r.c);
            CHECK_EQ(run_hash(&r, 0), want);
            aios_end_reads(r.c, 1);
            pthread_join(t[0], NULL);
            aios_serve_reads(r.c);
            aios_end_reads(r.c, 0);
            aios_counters_reset(r.c);
            pthread_create(&t[0], NULL, serve_reads, r.c);
            pthread_create(&t[1], NULL, serve_reads, r.c);
        }
        got = run_hash(&r, i % 3 ? 0 : 20000);
        CHECK_AT(got == want, "%s, budget %llu of %llu, how %d, level %d, %u units, %u slots: %s",
                 name, (unsigned long long)pd.budget_bytes, (unsigned long long)full, how,
                 r.plan.stream_level, r.plan.n_units, r.plan.n_slots, r.err.text);
        aios_counters_init(&c);
        CHECK_EQ(aios_counters_get(r.c, &c), 0);
        CHECK(c.n_units == (uint64_t)r.plan.n_units * c.n_passes ||
              r.plan.stream_level > 2 * 65536); /* the output is not wanted in every pass */
        CHECK((c.stream_bytes > 0) == (r.plan.n_units + r.plan.n_row_slots > 0));
        CHECK(c.n_stalls <=
              c.n_units + (r.plan.n_row_slots
                               ? c.n_tokens * (strstr(name, "gpt2") ? 2 /* tables */ : 1)
                               : 0));
        CHECK_EQ(c.n_read_errors, 0);
        if (r.plan.stream_level <=
            /* what was used, and no more than the ring ahead of it; a row for each token at the
             * most, of one table */
            2 * 65536) {
            uint64_t row = r.plan.n_row_slots ? r.plan.row_slot_bytes : 0,
                     units = (r.plan.token_stream_bytes - row) * c.n_passes;
            CHECK(c.stream_bytes + (how == 2 ? r.plan.tier_bytes[AIOS_TIER_STREAM] : 0) >= units &&
                  c.stream_bytes <= units + row * c.n_tokens + r.plan.tier_bytes[AIOS_TIER_STREAM]);
        }
        CHECK_EQ(c.tier_bytes[0] + c.tier_bytes[1] + c.tier_bytes[2], c.weight_bytes);
        CHECK((c.tier_bytes[2] > 0) == (r.plan.n_units + r.plan.n_row_slots > 0));
        check_ops(&r);
        n_streamed += r.plan.n_units > 0;
        if (how == 2 && r.plan.n_units) {
            aios_end_reads(r.c, 1);
            pthread_join(t[0], NULL);
            pthread_join(t[1], NULL);
        }
        run_close(&r);
    }
    CHECK(n_streamed > 0);
}

/* Tables that are read by the row leave memory before anything else, and cost a row for each
 * token that is not there already. Where the io reads from any offset, what is read is the
 * weights and nothing more. */
static void tables_read_by_the_row_go_first_and_cost_a_row_a_token(const char *name,
                                                                   const uint8_t *p, uint64_t n,
                                                                   int tied) {
    CASE("%s", name);
    enum { N = 36 };
    static const int32_t same[N];
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_tensor_place at;
    aios_counters c;
    uint64_t want = 0, all = 0, embd, pos, least = 0, weights;
    uint32_t i;
    int how;
    disk_init(&d, &io, p, n);
    io.flags = AIOS_IO_ANY_OFFSET;
    io.soon = disk_soon;
    aios_counters_init(&c);
    for (how = 0; how < 4;
         how++) { /* resident; tables on storage; all of it, inline; with threads */
        aios_plan_desc_init(&pd);
        pd.n_ctx = 64;
        pd.n_batch = 40;
        pd.n_threads = how == 3 ? 2 : 1;
        pd.flags = AIOS_PLAN_KEEP_BATCH;
        if (!CHECK_AT(run_model(&r, &io, &d), "%s: %s", name, r.err.text)) return;
        d.hinted = 0;
        pd.budget_bytes = how > 1;
        if (how > 1) {
            CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
            least = r.err.expected;
        }
        pd.budget_bytes = how == 0 ? 0 : how == 1 ? all - 1 : least;
        if (!CHECK_AT(run_plan(&r, &pd) == 0 && run_context(&r) == 0, "%s, %d: %s", name, how,
                      r.err.text)) {
            run_close(&r);
            continue;
        }
        all = how ? all : r.plan.held_bytes + r.plan.total_bytes;
        if (how == 1)
            CHECK(tied || (r.plan.rungs == AIOS_RUNG_ROWS && r.plan.n_units == 0 &&
                           r.plan.n_row_slots == 32 && r.plan.n_readers == 0));
        if (how > 1 && !CHECK((how == 3 ? r.plan.rungs & AIOS_RUNG_ROWS
                                        : r.plan.rungs == (AIOS_RUNG_ROWS | AIOS_RUNG_STREAM)) &&
                              r.plan.n_batch == 40))
            printf("  %s, %d: rungs %u, batch %d\n", name, how, r.plan.rungs, r.plan.n_batch);
        for (i = 0, embd = pos = weights = 0; r.plan.n_row_slots; i++) {
            aios_tensor_info t;
            aios_tensor_info_init(&t);
            aios_tensor_place_init(&at);
            if (aios_plan_get_tensor(r.m, &r.plan, i, &at) || aios_model_get_tensor(r.m, i, &t))
                break;
            if (!strcmp(t.name, "token_embd.weight"))
                embd = t.n_bytes / t.n[1];
            else if (!strcmp(t.name, "position_embd.weight"))
                pos = t.n_bytes / t.n[1];
            else {
                weights += at.stream_bytes;
                continue;
            }
            CHECK_EQ(at.tier, AIOS_TIER_STREAM);
            CHECK_EQ(at.n_bytes, 0);
            CHECK_EQ(at.stream_bytes, t.n_bytes);
            if (tied && t.name[0] == 't') weights += at.stream_bytes;
        }
        if (r.plan.n_row_slots) CHECK_EQ(r.plan.token_stream_bytes, weights + embd + pos);
        aios_counters_reset(r.c);
        CHECK_EQ(aios_feed(r.c, 0, same, N, 0, &r.err), 0);
        CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
        CHECK_EQ(aios_counters_get(r.c, &c), 0); /* one pass of one token, N times */
        if (r.plan.n_row_slots && how < 3)
            CHECK(c.n_passes == 1 && c.stream_bytes == weights + embd + N * pos);
        if (how == 2) CHECK(d.hinted >= c.stream_bytes / 2);
        if (how == 0) want = run_hash(&r, 0);
        CHECK_EQ(run_hash(&r, 0), want);
        CHECK(want != 0);
        run_close(&r);
    }
}

/* Model and artifact each have a queue of their own that takes few reads and answers in pieces:
 * nobody waits for a read that was refused, the rest of a piece is asked for until it comes, and
 * what an io can read from anywhere need not end on a page. */
static void queues_that_refuse_are_not_waited_for(const char *name, const uint8_t *p, uint64_t n) {
    CASE("%s", name);
    aios_io io, artifact;
    disk d, d2;
    run r;
    aios_plan_desc pd;
    mem_file f = { 0 };
    uint64_t want, bytes;
    void *work = NULL;
    int k;
    disk_init(&d, &io, p, n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_threads = 1;
    if (!CHECK_AT(run_model(&r, &io, &d) && run_plan(&r, &pd) == 0 && run_context(&r) == 0,
                  "%s: %s", name, r.err.text))
        return;
    want = run_hash(&r, 0);
    bytes = aios_artifact_work_bytes(r.m, 0);
    CHECK_EQ(posix_memalign(&work, 64, (size_t)bytes), 0);
    CHECK_EQ(aios_artifact_write(r.m, 0, mem_file_write, &f, work, bytes, NULL, NULL, &r.err), 0);
    free(work);
    run_close(&r);
    disk_init(&d2, &artifact, f.p, f.n);
    io.submit = artifact.submit = disk_submit;
    io.wait = artifact.wait = disk_wait;
    for (k = 0; k < 32; k++) {
        d.n_queued = d2.n_queued = 0;
        d.depth = d2.depth = k & 1 ? 1 : 3;
        io.flags = k & 2 ? (uint32_t)AIOS_IO_ANY_OFFSET : 0;
        artifact.flags = k & 4 ? (uint32_t)AIOS_IO_ANY_OFFSET : 0;
        d.any = (k & 2) != 0;
        d2.any = (k & 4) != 0;
        d.fault = d2.fault = k & 8 ? SHORT : SOUND;
        pd.n_batch = k & 16 ? 40 : 7;
        pd.flags = AIOS_PLAN_KEEP_BATCH;
        pd.budget_bytes = 1;
        if (!CHECK_AT(run_model_from(&r, &io, &artifact, &d), "%s: %s", name, r.err.text)) break;
        d2.from = 0;
        run_plan(&r, &pd);
        pd.budget_bytes = r.err.expected;
        if (CHECK(run_plan(&r, &pd) == 0 && run_context(&r) == 0 &&
                  (r.plan.n_row_slots || !(k & 2)) && r.plan.n_units)) {
            CHECK_AT(run_hash(&r, k & 1 ? 30000 : 0) == want, "%s, queues %d: %s", name, k,
                     r.err.text);
        }
        run_close(&r);
    }
    free(f.p);
}

/* ---- tiers ---- */
static void tiers_are_where_the_plan_says(const uint8_t *p, uint64_t n) {
    aios_io io, map;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_tensor_place at;
    uint64_t want, all, tier[3];
    aios_counters c;
    uint32_t i;
    int k;
    disk_init(&d, &io, p, n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.flags = AIOS_PLAN_PIN;
    pd.numa_node_1 = 2;
    CHECK(run_model(&r, &io, &d));
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(run_context(&r), 0);
    want = run_hash(&r, 0);
    all = r.plan.tier_bytes[AIOS_TIER_HOT];
    aios_counters_init(&c);
    CHECK_EQ(aios_counters_get(r.c, &c), 0);
    CHECK_EQ(c.n_wishes_denied, 4); /* pinned: weights, meta, scratch, cache */
    CHECK(r.mem.req[1].flags & AIOS_MEM_PIN);
    for (k = 1; k < r.mem.n; k++) CHECK_EQ(r.mem.req[k].numa_node, 1);
    pd.numa_node_1 = 0;
    run_close(&r);
    for (k = 1; k < 4; k++) { /* less and less is hot, the rest is warm; then some streams */
        CHECK(run_model(&r, &io, &d));
        pd.flags = 0;
        pd.hot_bytes = all * (uint64_t)(8 - k) / 8;
        pd.warm_bytes = k == 3 ? all / 8 : 0;
        if (!CHECK_AT(run_plan(&r, &pd) == 0 && run_context(&r) == 0, "%s", r.err.text)) {
            run_close(&r);
            continue;
        }
        CHECK(r.plan.tier_bytes[AIOS_TIER_HOT] <= pd.hot_bytes &&
              r.plan.tier_bytes[AIOS_TIER_WARM] > 0 && (r.plan.n_units > 0) == (k == 3));
        memset(tier, 0, sizeof tier);
        for (i = 0;; i++) {
            aios_tensor_place_init(&at);
            if (aios_plan_get_tensor(r.m, &r.plan, i, &at)) break;
            if (!at.mapped) tier[at.tier] += at.n_bytes;
            CHECK(at.stream_bytes == 0 || at.tier == AIOS_TIER_STREAM);
        }
        if (k < 3)
            CHECK(tier[AIOS_TIER_HOT] <= r.plan.tier_bytes[AIOS_TIER_HOT] &&
                  tier[AIOS_TIER_WARM] <= r.plan.tier_bytes[AIOS_TIER_WARM] &&
                  tier[AIOS_TIER_STREAM] == 0);
        CHECK_EQ(run_hash(&r, 0), want);
        run_close(&r);
    }
    pd.hot_bytes = 1000;
    pd.warm_bytes = 1000;
    pd.flags = AIOS_PLAN_NO_STREAM;
    CHECK(run_model(&r, &io, &d));
    CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
    run_close(&r);
    /* where the io maps, what does not fit is used in place; and all of it when asked */
    aios_io_memory(&map, p, n);
    pd.hot_bytes = pd.warm_bytes = 0;
    for (k = 0; k < 2; k++) {
        CHECK(run_model(&r, &map, &d));
        pd.flags = k ? AIOS_PLAN_IN_PLACE : 0;
        pd.budget_bytes = 0;
        CHECK_EQ(run_plan(&r, &pd), 0);
        pd.budget_bytes = k ? 0 : r.plan.held_bytes + r.plan.total_bytes - r.plan.tier_bytes[0] / 2;
        CHECK_EQ(run_plan(&r, &pd), 0);
        CHECK_EQ(run_context(&r), 0);
        CHECK_EQ(r.plan.n_units, 0);
        CHECK(r.plan.weight_bytes_mapped > 0);
        CHECK(k || r.plan.rungs & AIOS_RUNG_IN_PLACE);
        CHECK(!k || r.plan.weight_bytes_packed == 0);
        CHECK_EQ(run_hash(&r, 0), want);
        run_close(&r);
    }
}

/* Rungs: in their order, only those that may be taken. */
static void rungs_are_taken_in_order_and_only_those_allowed(const uint8_t *p, uint64_t n) {
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_plan full;
    uint64_t all;
    disk_init(&d, &io, p, n);
    CHECK(run_model(&r, &io, &d));
    aios_plan_desc_init(&pd);
    pd.n_ctx = 4096;
    pd.n_batch = 256;
    pd.kv_type = AIOSK_KV_F32;
    CHECK_EQ(run_plan(&r, &pd), 0);
    full = r.plan;
    all = full.held_bytes + full.total_bytes;
    pd.budget_bytes = all - 1;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, AIOS_RUNG_BATCH);
    CHECK_EQ(r.plan.n_batch, 128);
    CHECK_EQ(r.plan.kv_type, AIOSK_KV_F32);
    CHECK_EQ(r.plan.n_ctx, 4096);
    pd.flags = AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_MAY_KV_TYPE | AIOS_PLAN_MAY_CTX;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, AIOS_RUNG_KV_TYPE);
    CHECK_EQ(r.plan.kv_type, AIOSK_KV_F16);
    pd.budget_bytes = all - full.request_bytes[AIOS_MEM_KV] * 11 / 16;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, AIOS_RUNG_KV_TYPE | AIOS_RUNG_CTX);
    CHECK_EQ(r.plan.kv_type, AIOSK_KV_I8);
    CHECK_EQ(r.plan.n_ctx, 2048);
    CHECK_EQ(r.plan.n_batch, 256);
    pd.flags = AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_MAY_KV_CODES |
               AIOS_PLAN_MAY_CTX; /* a code before a shorter context */
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, AIOS_RUNG_KV_TYPE);
    CHECK_EQ(r.plan.kv_type, AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C4));
    CHECK_EQ(r.plan.n_ctx, 4096);
    pd.budget_bytes = r.plan.held_bytes + r.plan.total_bytes - 1;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, AIOS_RUNG_KV_TYPE);
    CHECK_EQ(r.plan.kv_type, AIOSK_KV_C4);
    pd.kv_type = AIOSK_KV_C4; /* none is smaller */
    pd.budget_bytes = r.plan.held_bytes + r.plan.total_bytes;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.rungs, 0);
    CHECK_EQ(r.plan.kv_type, pd.kv_type);
    pd.kv_type = AIOSK_KV_F32;
    pd.budget_bytes = all - full.request_bytes[AIOS_MEM_KV] * 11 / 16;
    pd.flags = AIOS_PLAN_KEEP_BATCH;
    CHECK_EQ(run_plan(&r, &pd),
             AIOS_ERR_MEMORY); /* the weights are less than what the cache has too much */
    pd.flags = AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_NO_STREAM;
    CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
    CHECK_EQ(r.err.expected, all);
    /* predictions: the slower of memory and storage */
    memset(&pd, 0, sizeof pd);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_threads = 1;
    pd.read_bandwidth = 1000000000;
    pd.stream_bandwidth = 1000000;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.bound, AIOS_BOUND_MEMORY);
    CHECK_EQ(r.plan.tok_s_bound_milli,
             1000000000000u / (r.plan.token_weight_bytes + r.plan.token_kv_bytes));
    pd.budget_bytes = r.plan.held_bytes + r.plan.total_bytes - r.plan.tier_bytes[0] / 2;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.bound, AIOS_BOUND_STORAGE);
    CHECK_EQ(r.plan.tok_s_bound_milli, 1000000000u / r.plan.token_stream_bytes);
    /* what makes no sense */
    pd.n_readers = 1000;
    CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_ARG);
    run_close(&r);
}

/* ---- storage pulled away ---- */
static void storage_that_fails_costs_a_step_never_a_sequence(const uint8_t *p, uint64_t n,
                                                             int quick) {
    static const int32_t faults[] = { FAILS, ENDS, TOO_MUCH };
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    uint64_t want = 0, least;
    size_t f;
    int how, after;
    disk_init(&d, &io, p, n);
    for (how = 0; how < 3; how++) { /* inline, threads, asynchronous */
        io.submit = how == 2 ? disk_submit : NULL;
        io.wait = how == 2 ? disk_wait : NULL;
        disk_sound(&d);
        d.n_queued = d.broken = 0;
        CHECK(run_model(&r, &io, &d));
        aios_plan_desc_init(&pd);
        pd.n_ctx = 64;
        pd.n_threads = 2;
        pd.n_readers = how == 1 ? 2 : -1;
        pd.budget_bytes = 1;
        CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
        least = r.err.expected;
        pd.budget_bytes = least + 200000;
        if (!CHECK(run_plan(&r, &pd) == 0 && run_context(&r) == 0 && r.plan.n_units > 0)) {
            run_close(&r);
            continue;
        }
        if (!want) want = run_hash(&r, 0);
        CHECK(want != 0);
        for (f = 0; f < sizeof faults / sizeof *faults; f++)
            for (after = 0; after < 9; after += quick ? 6 : 2) {
                aios_status st;
                aios_counters c;
                aios_seq_truncate(r.c, 0, 0, NULL);
                feed(&r, 20, 0);
                CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
                CHECK_EQ(aios_seq_processed(r.c, 0), 20);
                disk_break(&d, faults[f], after);
                feed(&r, 1, 0);
                do st = aios_step(r.c, after % 4 ? aios_now_ns(r.c) + 30000 : 0, &r.err);
                while (st == AIOS_MORE);
                if (st == 0) {
                    feed(&r, 1, 0);
                    st = aios_step(r.c, 0, &r.err);
                } /* the ring had enough for one token */
                CHECK(st == AIOS_ERR_IO && r.err.offset >= d.from && r.err.offset < n &&
                      r.err.text[0]);
                CHECK_EQ(aios_seq_processed(r.c, 0),
                         aios_seq_length(r.c, 0) - 1); /* as before the step */
                CHECK_EQ(aios_step(r.c, 0, &r.err),
                         AIOS_ERR_IO); /* and again, as long as it lasts */
                aios_counters_init(&c);
                CHECK_EQ(aios_counters_get(r.c, &c), 0);
                CHECK(c.n_read_errors > 0);
                disk_sound(&d);
                CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
                CHECK_EQ(aios_seq_processed(r.c, 0), aios_seq_length(r.c, 0));
                CHECK_EQ(run_hash(&r, 0), want);
            }
        /* a few bytes at a time is no fault, nor is a slow disk, cancelling or cutting in the
         * middle */
        disk_break(&d, SHORT, 0);
        CHECK_EQ(run_hash(&r, 0), want);
        d.depth = 1 + how;
        disk_break(&d, SLOW, 0);
        CHECK_EQ(run_hash(&r, 100000), want);
        for (after = 0; after < 6; after++) {
            aios_seq_truncate(r.c, 0, 0, NULL);
            feed(&r, 20, 0);
            while (aios_step(r.c, aios_now_ns(r.c) + 1 + 100000u * (uint64_t)after, &r.err) ==
                       AIOS_MORE &&
                   after-- > 0) {}
            if (after & 1) {
                aios_cancel(r.c);
                CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
            }
            if (after < 0) after = 5;
        }
        disk_sound(&d);
        CHECK_EQ(run_hash(&r, 0), want);
        if (how == 2) { /* an io that breaks for good */
            d.broken = 1;
            CHECK_EQ(run_hash(&r, 0), 0);
            CHECK_EQ(r.err.code, AIOS_ERR_IO);
            d.broken = 0;
            CHECK_EQ(run_hash(&r, 0), want);
        }
        d.depth = DISK_QUEUE;
        run_close(&r);
    }
}

/* Two contexts of one model, each with a ring of its own; a third that divides the weights
 * otherwise is refused. */
static void two_contexts_have_a_ring_each(const uint8_t *p, uint64_t n) {
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_plan plan;
    aios_context *first, *second = NULL;
    uint64_t want;
    disk_init(&d, &io, p, n);
    CHECK(run_model(&r, &io, &d));
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_threads = 2;
    pd.budget_bytes = 1;
    run_plan(&r, &pd);
    pd.budget_bytes = r.err.expected + 300000;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(run_context(&r), 0);
    CHECK(r.plan.n_units > 0);
    want = run_hash(&r, 0);
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    pd.budget_bytes = 0;
    pd.n_batch = 5;
    CHECK_EQ(aios_plan_make(r.m, &pd, &plan, &r.err), 0);
    CHECK_EQ(plan.n_units, r.plan.n_units);
    CHECK_EQ(plan.tier_bytes[0], 0);
    CHECK(plan.tier_bytes[2] > 0);
    if (CHECK_EQ(aios_context_open(r.m, &plan, &cd, &second, &r.err), 0)) {
        first = r.c;
        r.c = second;
        CHECK_EQ(run_hash(&r, 0), want);
        r.c = first;
        CHECK_EQ(run_hash(&r, 50000), want);
        aios_context_free(second);
    } else
        printf("  %s\n", r.err.text);
    plan.stream_level /= 2;
    CHECK(aios_context_open(r.m, &plan, &cd, &second, &r.err) == AIOS_ERR_STATE && !second);
    pd.flags = AIOS_PLAN_IN_PLACE;
    CHECK_EQ(aios_plan_make(r.m, &pd, &plan, &r.err), AIOS_ERR_STATE);
    run_close(&r);
    /* submit and wait serve one context; a second one may have threads */
    io.submit = disk_submit;
    io.wait = disk_wait;
    CHECK(run_model(&r, &io, &d));
    pd.flags = 0;
    pd.n_readers = 0;
    pd.budget_bytes = 1;
    run_plan(&r, &pd);
    pd.budget_bytes = r.err.expected + 300000;
    CHECK_EQ(run_plan(&r, &pd), 0);
    CHECK_EQ(r.plan.n_readers, 0);
    CHECK_EQ(run_context(&r), 0);
    CHECK(r.plan.n_units > 0);
    CHECK_EQ(run_hash(&r, 0), want);
    pd.budget_bytes = 0;
    aios_plan_init(&plan);
    CHECK(aios_plan_make(r.m, &pd, &plan, &r.err) == 0 &&
          aios_context_open(r.m, &plan, &cd, &second, &r.err) == AIOS_ERR_STATE && !second);
    pd.n_readers = 1;
    CHECK_EQ(aios_plan_make(r.m, &pd, &plan, &r.err), 0);
    CHECK_EQ(aios_context_open(r.m, &plan, &cd, &second, &r.err), 0);
    first = r.c;
    r.c = second;
    CHECK_EQ(run_hash(&r, 0), want);
    r.c = first;
    aios_context_free(second);
    run_close(&r);
}

/* A caller whose aios_plan knows no tiers yet: planned, listed and opened as before, and nothing
 * is streamed that it could not say. */
static void a_caller_without_tiers_is_served_as_before(const uint8_t *p, uint64_t n) {
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_mem_req q;
    uint64_t sum = 0, all;
    uint32_t i;
    disk_init(&d, &io, p, n);
    CHECK(run_model(&r, &io, &d));
    aios_plan_desc_init(&pd);
    aios_context_desc_init(&cd);
    pd.n_ctx = 64;
    aios_plan_init(&r.plan);
    r.plan.struct_size = (uint32_t)offsetof(aios_plan, tier_bytes);
    CHECK_EQ(aios_plan_make(r.m, &pd, &r.plan, &r.err), 0);
    CHECK_EQ(r.plan.tier_bytes[0], 0);
    for (i = 0; i < r.plan.n_requests; i++) {
        aios_mem_req_init(&q);
        CHECK_EQ(aios_plan_request(&r.plan, i, &q), 0);
        sum += q.bytes;
    }
    CHECK_EQ(i, 4);
    CHECK_EQ(sum, r.plan.total_bytes);
    all = r.plan.held_bytes + sum;
    CHECK_AT(aios_context_open(r.m, &r.plan, &cd, &r.c, &r.err) == 0 && run_hash(&r, 0) != 0, "%s",
             r.err.text);
    aios_context_free(r.c);
    aios_model_free(r.m);
    CHECK(run_model(&r, &io, &d));
    aios_plan_init(&r.plan);
    r.plan.struct_size = (uint32_t)offsetof(aios_plan, tier_bytes);
    pd.budget_bytes = all / 2;
    CHECK_EQ(aios_plan_make(r.m, &pd, &r.plan, &r.err), AIOS_ERR_MEMORY);
    run_close(&r);
}

/* Times of phases add up to the time in steps, however it is sliced. */
static void times_of_phases_add_up(const uint8_t *p, uint64_t n) {
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_counters c;
    int k;
    disk_init(&d, &io, p, n);
    for (k = 0; k < 2; k++) {
        uint64_t sum = 0;
        uint32_t i;
        CHECK(run_model(&r, &io, &d));
        aios_plan_desc_init(&pd);
        pd.n_ctx = 64;
        pd.n_threads = 1;
        aios_plan_init(&r.plan);
        aios_context_desc_init(&cd);
        cd.flags = AIOS_CONTEXT_PROFILE;
        CHECK_EQ(aios_plan_make(r.m, &pd, &r.plan, &r.err), 0);
        CHECK_EQ(aios_context_open(r.m, &r.plan, &cd, &r.c, &r.err), 0);
        CHECK(run_hash(&r, k ? 30000 : 0) != 0);
        for (i = 0; i < aios_op_count(r.c); i++) {
            aios_op_info o;
            aios_op_info_init(&o);
            CHECK_EQ(aios_op_get(r.c, i, &o), 0);
            sum += o.busy_ns;
        }
        aios_counters_init(&c);
        aios_counters_get(r.c, &c);
        CHECK(sum <= c.busy_ns && sum > c.busy_ns / 2);
        run_close(&r);
    }
}

/* ---- deadlines ---- */
/* A model in two files: keys in both, every other tensor in the second. */
static void put_n(mem_file *f, uint64_t v, uint64_t n) { mem_file_append(f, &v, n); }
static void put_z(mem_file *f, const char *z) {
    put_n(f, strlen(z), 8);
    mem_file_append(f, z, strlen(z));
}
static void split_model(mem_file two[2], const aios_model *m, const uint8_t *p) {
    aios_model_info x;
    aios_tensor_info t;
    uint64_t keys, off, i, d;
    int k;
    aios_model_info_init(&x);
    aios_tensor_info_init(&t);
    aios_model_get_info(m, &x);
    for (i = 0, keys = x.header_bytes; i < x.n_tensors; i++) {
        aios_model_get_tensor(m, (uint32_t)i, &t);
        keys -= 8 + strlen(t.name) + 4 + 8 * t.n_dims + 4 + 8;
    }
    for (k = 0; k < 2; k++) {
        mem_file *f = &two[k];
        mem_file_append(f, p, 8);
        put_n(f, (x.n_tensors + 1u - (unsigned)k) / 2, 8);
        put_n(f, x.n_keys + 2, 8);
        mem_file_append(f, p + 24, keys - 24);
        put_z(f, "split.no");
        put_n(f, 2, 4);
        put_n(f, (uint64_t)k, 2);
        put_z(f, "split.count");
        put_n(f, 2, 4);
        put_n(f, 2, 2);
        for (i = (uint64_t)k, off = 0; i < x.n_tensors; i += 2, off += (t.n_bytes + 31) / 32 * 32) {
            aios_model_get_tensor(m, (uint32_t)i, &t);
            put_z(f, t.name);
            put_n(f, t.n_dims, 4);
            for (d = 0; d < t.n_dims; d++) put_n(f, t.n[d], 8);
            put_n(f, t.type, 4);
            put_n(f, off, 8);
        }
        while (f->n % 32) put_n(f, 0, 1);
        for (i = (uint64_t)k; i < x.n_tensors; i += 2) {
            aios_model_get_tensor(m, (uint32_t)i, &t);
            mem_file_append(f, p + t.file_offset, t.n_bytes);
            while (f->n % 32) put_n(f, 0, 1);
        }
    }
}
/* Nobody but the caller reads. */
static void no_deadline_is_passed_by_more_than_one_read(const uint8_t *p, uint64_t n) {
    uint64_t seed = 11, want = 0;
    int n_parts, threads;
    aios_io plain;
    disk d;
    mem_file two[2] = { { 0 } };
    run r;
    disk_init(&d, &plain, p, n);
    if (!CHECK_AT(run_model(&r, &plain, &d), "%s", r.err.text)) return;
    split_model(two, r.m, p);
    run_close(&r);
    for (n_parts = 1; n_parts <= 2; n_parts++)
        for (threads = 1; threads <= 3; threads++) { /* 3: two, lent */
            late_clock clock = { 1000, 0, 1000000, 0, 0, 0, 0 };
            disk part[2];
            aios_io io[2];
            aios_plan_desc pd;
            aios_model_desc md;
            aios_allocator a;
            uint64_t h = TEST_HASH;
            int i, steps = 0, held = 1, late_reads = 0;
            for (i = 0; i < 2; i++) {
                disk_init(&part[i], &io[i], n_parts == 1 ? p : two[i].p,
                          n_parts == 1 ? n : two[i].n);
                part[i].clock = &clock;
            }
            memset(&r, 0, sizeof r);
            r.d = &d;
            a = books_allocator(&r.mem);
            a.granted = books_granted;
            aios_model_desc_init(&md);
            md.mem = &a;
            md.io = io;
            md.n_parts = (uint32_t)n_parts;
            if (!CHECK_AT(aios_model_open(&md, &r.m, &r.err) == 0, "%s", r.err.text)) break;
            aios_plan_desc_init(&pd);
            pd.n_ctx = 64;
            pd.n_threads = threads == 1 ? 1 : 2;
            pd.n_readers = -1;
            pd.budget_bytes = 1;
            pd.n_batch = 16;
            if (threads == 3) pd.flags = AIOS_PLAN_LENT_THREADS;
            CHECK_EQ(run_plan(&r, &pd), AIOS_ERR_MEMORY);
            pd.budget_bytes = r.err.expected;
            clock_late = &clock;
            if (!CHECK_AT(run_plan(&r, &pd) == 0 && run_context(&r) == 0 && r.plan.n_units > 5 &&
                              r.plan.n_row_slots > 0,
                          "%s", r.err.text))
                break;
            clock_late = NULL;
            {
                aios_model_info x;
                aios_model_info_init(&x);
                aios_model_get_info(r.m, &x);
                r.n_vocab = x.n_vocab;
            }
            feed(&r, 20, AIOS_FEED_ALL_LOGITS);
            while (aios_seq_processed(r.c, 0) < 24 && steps < 100000) {
                uint64_t deadline = late_next(&clock, &seed);
                aios_status st = aios_step(r.c, deadline, &r.err);
                if (!CHECK_AT(st >= 0, "%s", r.err.text)) break;
                held &= late_held(&clock);
                late_reads += clock.n_io > 0 && clock.now > deadline;
                steps++;
                for (i = 0; i < aios_output_count(r.c); i++) {
                    aios_output o;
                    aios_output_init(&o);
                    CHECK_EQ(aios_output_get(r.c, i, &o), 0);
                    h = test_hash(h, o.logits, (size_t)r.n_vocab * 4);
                }
                if (st == AIOS_OK && aios_seq_length(r.c, 0) < 24) feed(&r, 1, 0);
            }
            if (!want) want = h;
            CHECK(held && h == want && steps > 50 && late_reads > 20);
            run_close(&r);
        }
    free(two[0].p);
    free(two[1].p);
}

int main(int argc, char **argv) {
    static uint8_t made[DAMAGE_MAX_BYTES];
    /* clang-format off */
    static const char *const files[] = {
        "fixtures/types/llama-q4_k.gguf",   "fixtures/types/llama-q8_0.gguf",
        "fixtures/types/llama-iq2_xs.gguf", "fixtures/types/llama-bf16.gguf",
        "fixtures/zoo/gpt2.gguf",           "fixtures/zoo/gemma2.gguf",
        "fixtures/zoo/falcon7b.gguf",       "fixtures/zoo/phi3.gguf"
    };
    /* clang-format on */
    uint64_t n_made = damage_valid(made, sizeof made);
    int quick = test_begin(argc, argv);
    size_t i, n;
    uint8_t *p = test_read_file("models/tale.gguf", &n);
    CHECK(n_made > 0);
    TEST(any_budget_from_the_least_up_gives_the_same_bits)("made", made, n_made, quick ? 4 : 40);
    TEST(rungs_are_taken_in_order_and_only_those_allowed)(made, n_made);
    TEST(a_caller_without_tiers_is_served_as_before)(made, n_made);
    TEST(tables_read_by_the_row_go_first_and_cost_a_row_a_token)("made", made, n_made, 0);
    TEST(no_deadline_is_passed_by_more_than_one_read)(made, n_made);
    if (CHECK(p != NULL)) {
        TEST(any_budget_from_the_least_up_gives_the_same_bits)("tale", p, n, quick ? 4 : 24);
        TEST(tables_read_by_the_row_go_first_and_cost_a_row_a_token)("tale", p, n, 1);
        TEST(tiers_are_where_the_plan_says)(p, n);
        TEST(storage_that_fails_costs_a_step_never_a_sequence)(p, n, quick);
        TEST(two_contexts_have_a_ring_each)(p, n);
        TEST(no_deadline_is_passed_by_more_than_one_read)(p, n);
        TEST(times_of_phases_add_up)(p, n);
    }
    free(p);
    for (i = 0; i < sizeof files / sizeof *files; i += quick ? 3 : 1) {
        p = test_read_file(shared_path(files[i]), &n);
        if (!p) {
            printf("skip: no %s in the shared folder\n", files[i]);
            continue;
        }
        TEST(any_budget_from_the_least_up_gives_the_same_bits)(files[i], p, n, quick ? 4 : 12);
        if (strstr(files[i], "gpt2") || strstr(files[i], "q8_0") || strstr(files[i], "falcon")) {
            TEST(tables_read_by_the_row_go_first_and_cost_a_row_a_token)(files[i], p, n, 0);
            TEST(queues_that_refuse_are_not_waited_for)(files[i], p, n);
        }
        free(p);
    }
    return test_end();
}
