/* test_moe.c: mixtures of experts. The lists of moe.c against plain loops; made models of
 * several families and types: one hash for every instruction set, number of threads, chunk,
 * slice of time, layout and company; what was counted; damaged ones. Experts from storage:
 * caches of every size, filled in every way, have the same hash, and the hits that the policy in
 * its plainest form has; storage that fails costs a step, never a sequence. */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include "host.h"
#include <math.h>

enum { N_VOCAB = 96, N_IDS = 40 };

/* ---- made models ---- */
/* n_dense: layers without experts; ff: of an expert */
typedef struct shape {
    const char *name, *arch;
    int32_t n_layer, n_dense, e, n_expert, n_used, ff, shared, gate, up_type, down_type;
} shape;
/* The first has panels that are not full. */
/* clang-format off */
static const shape shapes[] = {
    { "mixtral",  "llama",      2, 0,  64,  5,  2,  40,  0, 0, AIOSK_Q8_0, AIOSK_F32  },
    { "mixed",    "llama",      3, 1,  64,  8,  2,  64,  0, 0, AIOSK_Q4_0, AIOSK_Q5_0 },
    { "qwen2moe", "qwen2moe",   2, 0,  64,  7,  3,  32, 96, 1, AIOSK_Q4_0, AIOSK_Q8_0 },
    { "qwen3moe", "qwen3moe",   2, 0, 256, 16,  4, 256,  0, 0, AIOSK_Q4_K, AIOSK_Q6_K },
    { "olmoe",    "olmoe",      2, 0,  64, 33, 10,  32,  0, 0, AIOSK_F16,  AIOSK_BF16 },
    { "all",      "granitemoe", 2, 0,  64,  6,  6,  32, 64, 0, AIOSK_MXFP4, AIOSK_IQ4_NL },
    { "one",      "llama",      1, 0,  64,  1,  1,  32,  0, 0, AIOSK_Q4_0, AIOSK_Q4_0 },
    { "many",     "qwen3moe",   4, 0,  64, 48,  4,  64,  0, 0, AIOSK_Q4_0, AIOSK_Q4_1 } };
/* clang-format on */
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void put_n(mem_file *f, uint64_t v, int n) { mem_file_append(f, &v, (uint64_t)n); }
static void put_s(mem_file *f, const char *s) {
    put_n(f, strlen(s), 8);
    mem_file_append(f, s, strlen(s));
}
static uint64_t n_keys;
static void key_u32(mem_file *f, const char *arch, const char *name, uint32_t v) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", arch, name);
    put_s(f, full);
    put_n(f, 4, 4);
    put_n(f, v, 4);
    n_keys++;
}
static void key_f32(mem_file *f, const char *arch, const char *name, float v) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", arch, name);
    put_s(f, full);
    put_n(f, 6, 4);
    mem_file_append(f, &v, 4);
    n_keys++;
}
/* Directory and data of one tensor; n[1] 0: a vector near 1. */
typedef struct maker {
    mem_file dir, data;
    uint64_t seed, n_tensors, n_all;
    const char *leave_out;
} maker;
/* How files are made. experts: all of a role in one tensor, or each in one of its own with the
 * same weights, or the gates alone so; in odd layers the last comes first in the directory. Of
 * two parts, every second tensor is in the second. odd: a tensor of another type or number of
 * rows. extra: one more. */
enum { MERGED = 0, SPLIT = 1, SPLIT_GATE = 2 };
static struct {
    int experts;
    uint32_t n_parts, part;
    const char *odd;
    int32_t odd_type;
    uint64_t odd_rows;
    const char *extra;
    uint64_t n_extra;
} made;
static void one(maker *k, const char *full, int32_t type, uint64_t n0, uint64_t n1, uint64_t n2) {
    uint64_t i, r, bytes;
    int odd = made.odd && !strcmp(full, made.odd),
        here = made.n_parts < 2 || k->n_all++ % 2 == made.part;
    float *x = (float *)malloc((size_t)n0 * sizeof *x);
    uint8_t *row;
    if (odd && made.odd_rows)
        n1 = made.odd_rows;
    else if (odd)
        type = made.odd_type;
    bytes = aiosk_row_bytes(type, n0);
    row = (uint8_t *)malloc((size_t)bytes);
    if (!k->leave_out || strcmp(full, k->leave_out) != 0) {
        if (here) {
            put_s(&k->dir, full);
            put_n(&k->dir, n1 == 0 ? 1 : n2 == 0 ? 2 : 3, 4);
            put_n(&k->dir, n0, 8);
            if (n1) put_n(&k->dir, n1, 8);
            if (n2) put_n(&k->dir, n2, 8);
            put_n(&k->dir, (uint64_t)type, 4);
            put_n(&k->dir, k->data.n, 8);
            k->n_tensors++;
        }
        for (r = 0; r < (n1 ? n1 : 1) * (n2 ? n2 : 1); r++) {
            for (i = 0; i < n0; i++)
                x[i] = n1 ? test_randf(&k->seed) * 1.7f / sqrtf((float)n0)
                          : 1 + test_randf(&k->seed) * 0.1f;
            aiosk_quantize(type, x, 1, n0, NULL, row);
            if (here) mem_file_append(&k->data, row, bytes);
        }
        while (k->data.n % 32) put_n(&k->data, 0, 1);
    }
    free(x);
    free(row);
}
static void tensor(maker *k, int32_t layer, const char *name, int32_t type, uint64_t n0,
                   uint64_t n1, uint64_t n2) {
    char full[96];
    mem_file dir = k->dir;
    uint64_t at[64];
    int e;
    if (layer < 0)
        snprintf(full, sizeof full, "%s.weight", name);
    else
        snprintf(full, sizeof full, "blk.%d.%s.weight", layer, name);
    if (!n2 || made.experts == MERGED ||
        (made.experts == SPLIT_GATE && strcmp(name, "ffn_gate_exps") != 0)) {
        one(k, full, type, n0, n1, n2);
        return;
    }
    memset(&k->dir, 0, sizeof k->dir);
    for (e = 0, at[0] = 0; e < (int)n2; at[++e] = k->dir.n) {
        snprintf(full, sizeof full, "blk.%d.%.*s.%d.weight", layer, (int)strlen(name) - 5, name, e);
        one(k, full, type, n0, n1, 0);
    }
    if (layer % 2 == 0)
        mem_file_append(&dir, k->dir.p, k->dir.n);
    else
        while (e-- > 0) mem_file_append(&dir, k->dir.p + at[e], at[e + 1] - at[e]);
    free(k->dir.p);
    k->dir = dir;
}
static mem_file make(const shape *s, const char *leave_out, const char *key, uint32_t value) {
    mem_file f = { 0 }, keys = { 0 };
    maker k;
    int32_t l, q = strcmp(s->arch, "olmoe") ? 16 : s->e;
    uint64_t e = (uint64_t)s->e, x = (uint64_t)s->n_expert, ff = (uint64_t)s->ff,
             sh = (uint64_t)s->shared;
    memset(&k, 0, sizeof k);
    k.seed = (uint64_t)s->n_expert * 77 + e;
    k.leave_out = leave_out;
    n_keys = 1;
    put_s(&keys, "general.architecture");
    put_n(&keys, 8, 4);
    put_s(&keys, s->arch);
    key_u32(&keys, s->arch, "context_length", 256);
    key_u32(&keys, s->arch, "embedding_length", (uint32_t)s->e);
    key_u32(&keys, s->arch, "block_count", (uint32_t)s->n_layer);
    key_u32(&keys, s->arch, "feed_forward_length", 96);
    key_u32(&keys, s->arch, "attention.head_count", (uint32_t)s->e / 16);
    key_u32(&keys, s->arch, "attention.head_count_kv", (uint32_t)s->e / 16);
    key_f32(&keys, s->arch, "attention.layer_norm_rms_epsilon", 1e-5f);
    if (!key || strcmp(key, "expert_count") != 0)
        key_u32(&keys, s->arch, "expert_count", (uint32_t)s->n_expert);
    if (!key || strcmp(key, "expert_used_count") != 0)
        key_u32(&keys, s->arch, "expert_used_count", (uint32_t)s->n_used);
    key_u32(&keys, s->arch, "expert_feed_forward_length", (uint32_t)s->ff);
    if (s->shared)
        key_u32(&keys, s->arch, "expert_shared_feed_forward_length", (uint32_t)s->shared);
    if (!strcmp(s->arch, "granitemoe")) {
        key_f32(&keys, s->arch, "residual_scale", 0.6f);
        key_f32(&keys, s->arch, "logit_scale", 0.5f);
        key_f32(&keys, s->arch, "embedding_scale", 3);
    }
    if (key) key_u32(&keys, s->arch, key, value);
    if (made.n_parts > 1) {
        put_s(&keys, "split.no");
        put_n(&keys, 2, 4);
        put_n(&keys, made.part, 2);
        put_s(&keys, "split.count");
        put_n(&keys, 2, 4);
        put_n(&keys, made.n_parts, 2);
        n_keys += 2;
    }
    tensor(&k, -1, "token_embd", AIOSK_Q8_0, e, N_VOCAB, 0);
    for (l = 0; l < s->n_layer; l++) {
        tensor(&k, l, "attn_norm", AIOSK_F32, e, 0, 0);
        tensor(&k, l, "attn_q", AIOSK_Q8_0, e, e, 0);
        tensor(&k, l, "attn_k", AIOSK_Q8_0, e, e, 0);
        tensor(&k, l, "attn_v", AIOSK_Q8_0, e, e, 0);
        if (!strcmp(s->arch, "qwen3moe") || !strcmp(s->arch, "olmoe")) {
            tensor(&k, l, "attn_q_norm", AIOSK_F32, (uint64_t)q, 0, 0);
            tensor(&k, l, "attn_k_norm", AIOSK_F32, (uint64_t)q, 0, 0);
        }
        tensor(&k, l, "attn_output", AIOSK_Q8_0, e, e, 0);
        tensor(&k, l, "ffn_norm", AIOSK_F32, e, 0, 0);
        if (l < s->n_dense) {
            tensor(&k, l, "ffn_gate", AIOSK_Q8_0, e, 96, 0);
            tensor(&k, l, "ffn_up", AIOSK_Q8_0, e, 96, 0);
            tensor(&k, l, "ffn_down", AIOSK_Q8_0, 96, e, 0);
            continue;
        }
        tensor(&k, l, "ffn_gate_inp", AIOSK_F32, e, x, 0);
        tensor(&k, l, "ffn_gate_exps", s->up_type, e, ff, x);
        tensor(&k, l, "ffn_up_exps", s->up_type, e, ff, x);
        tensor(&k, l, "ffn_down_exps", s->down_type, ff, e, x);
        if (!s->shared) continue;
        if (s->gate) tensor(&k, l, "ffn_gate_inp_shexp", AIOSK_F32, e, 0, 0);
        tensor(&k, l, "ffn_gate_shexp", AIOSK_Q8_0, e, sh, 0);
        tensor(&k, l, "ffn_up_shexp", AIOSK_Q8_0, e, sh, 0);
        tensor(&k, l, "ffn_down_shexp", AIOSK_Q8_0, sh, e, 0);
    }
    tensor(&k, -1, "output_norm", AIOSK_F32, e, 0, 0);
    if (made.extra) one(&k, made.extra, s->up_type, e, ff, made.n_extra);
    mem_file_append(&f, "GGUF", 4);
    put_n(&f, 3, 4);
    put_n(&f, k.n_tensors, 8);
    put_n(&f, n_keys, 8);
    mem_file_append(&f, keys.p, keys.n);
    mem_file_append(&f, k.dir.p, k.dir.n);
    while (f.n % 32) put_n(&f, 0, 1);
    mem_file_append(&f, k.data.p, k.data.n);
    free(keys.p);
    free(k.dir.p);
    free(k.data.p);
    return f;
}

/* ---- runs ---- */
static books mem;

typedef struct run {
    aios_model *m;
    aios_context *c;
    aios_plan plan;
    aios_error err;
} run;
static late_clock *clock_late; /* the clock of the next context */
/* Opens with a cache of exactly so many slots; 0: as the budget has it. */
static int cache_open(run *r, const aios_io *io, const aios_io *artifact, aios_plan_desc *pd,
                      uint32_t n_slots) {
    aios_model_desc md;
    aios_context_desc cd;
    const aios_allocator a = books_allocator(&mem);
    memset(r, 0, sizeof *r);
    aios_model_desc_init(&md);
    aios_plan_init(&r->plan);
    aios_context_desc_init(&cd);
    md.mem = &a;
    md.io = io;
    md.n_parts = made.n_parts;
    md.artifact = artifact;
    if (clock_late) {
        cd.now_ns = late_now;
        cd.now_user = clock_late;
    }
    if (aios_model_open(&md, &r->m, &r->err)) return 0;
    if (n_slots) {
        pd->budget_bytes = 1;
        if (!CHECK_EQ(aios_plan_make(r->m, pd, &r->plan, &r->err), AIOS_ERR_MEMORY)) return 0;
        pd->budget_bytes = r->err.expected;
    }
    if (aios_plan_make(r->m, pd, &r->plan, &r->err)) return 0;
    if (n_slots) {
        r->plan.n_expert_slots = n_slots;
        r->plan.stream_level = 0;
        r->plan.n_slots = 0;
        r->plan.n_readers = pd->n_readers > 0 ? pd->n_readers : 0;
        CHECK(aios__plan_sizes(r->m, &r->plan, aiosk_select(pd->isa)));
    }
    return aios_context_open(r->m, &r->plan, &cd, &r->c, &r->err) == 0;
}
static int run_open(run *r, const aios_io *io, const aios_io *artifact, const aios_plan_desc *pd) {
    aios_plan_desc as_it_is = *pd;
    return cache_open(r, io, artifact, &as_it_is, 0);
}
static void run_close(run *r) {
    aios_context_free(r->c);
    aios_model_free(r->m);
    CHECK_EQ(mem.n_held, 0);
}
static void ids_of(int32_t *ids, uint64_t seed) {
    int i;
    for (i = 0; i < N_IDS; i++) ids[i] = (int32_t)(test_rand(&seed) % N_VOCAB);
}
static int step_all(run *r, uint64_t slice) {
    aios_status st;
    do st = aios_step(r->c, slice ? aios_now_ns(r->c) + slice : 0, &r->err);
    while (st == AIOS_MORE);
    return st == 0;
}
/* A prompt, then some tokens one by one; hash of the logits after each. */
static uint64_t run_hash(run *r, uint64_t slice) {
    uint64_t h = TEST_HASH;
    int32_t ids[N_IDS], n = N_IDS - 5;
    ids_of(ids, 5);
    aios_seq_truncate(r->c, 0, 0, NULL);
    if (aios_feed(r->c, 0, ids, (uint64_t)n, 0, &r->err)) return 0;
    for (;; n++) {
        if (!step_all(r, slice) || !aios_logits(r->c, 0)) return 0;
        h = test_hash(h, aios_logits(r->c, 0), N_VOCAB * 4);
        if (n == N_IDS || aios_feed(r->c, 0, ids + n, 1, 0, &r->err)) return h;
    }
}
/* posix_memalign'ed, so that what is mapped is aligned as files are. */
static mem_file pack(const aios_io *io) {
    mem_file b = { 0 }, at = { 0 };
    aios_model_desc md;
    const aios_allocator a = books_allocator(&mem);
    aios_model *m;
    aios_error err;
    uint64_t n;
    void *work;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.io = io;
    if (!CHECK_EQ(aios_model_open(&md, &m, &err), 0)) return at;
    n = aios_artifact_work_bytes(m, 65536);
    work = malloc((size_t)n + 64);
    CHECK_AT(aios_artifact_write(m, 65536, mem_file_write, &b,
                                 (void *)(((uintptr_t)work + 63) / 64 * 64), n, NULL, NULL,
                                 &err) == 0,
             "%s", err.text);
    aios_model_free(m);
    at.n = b.n;
    if (posix_memalign((void **)&at.p, 4096, (size_t)b.n)) at.p = NULL;
    if (at.p) memcpy(at.p, b.p, (size_t)b.n);
    free(work);
    free(b.p);
    return at;
}

/* ---- lists ---- */
static void lists_are_those_of_plain_loops(void) {
    aios__moe m;
    aios__bump b = { NULL, 0 };
    uint64_t seed = 9;
    int round, i, j;
    for (round = 0; round < 200; round++) {
        int32_t n = 1 + (int32_t)(test_rand(&seed) % 70), read[3], at = 0, e, k;
        memset(&m, 0, sizeof m);
        m.n_expert = 1 + (int32_t)(test_rand(&seed) % 40);
        m.n_used = 1 + (int32_t)(test_rand(&seed) % (uint64_t)m.n_expert);
        m.block_cols = 1 + (int32_t)(test_rand(&seed) % 20);
        b.base = NULL;
        b.used = 0;
        aios__moe_layout(&m, &b, (uint64_t)n, 3);
        if (posix_memalign((void **)&b.base, 64, (size_t)b.used)) return;
        memset(b.base, 0xEE, (size_t)b.used);
        b.used = 0;
        aios__moe_layout(&m, &b, (uint64_t)n, 3);
        m.n_read = read;
        for (i = 0; i < n; i++) {
            float x[40], logit[40], w[40], sum = 0, all = 0;
            int32_t norm = (int32_t)(test_rand(&seed) & 1), *c = m.chosen + i * m.n_used;
            for (j = 0; j < m.n_expert; j++)
                logit[j] = x[j] = floorf(test_randf(&seed) * 8); /* many are equal */
            aios__moe_choose(aiosk_select(AIOSK_ISA_SCALAR), logit, m.n_expert, m.n_used, norm,
                             2.0f, c, w);
            for (j = 0; j < m.n_used;
                 j++) { /* each is the best of what is left, the first of equals */
                int best = -1;
                for (k = 0; k < m.n_expert; k++) {
                    int before = 0, a;
                    for (a = 0; a < j; a++) before |= c[a] == k;
                    if (!before && (best < 0 || x[k] > x[best])) best = k;
                }
                CHECK_EQ(c[j], best);
                sum += w[j];
            }
            for (j = 0; j < m.n_expert; j++) all += expf(x[j] - x[c[0]]);
            CHECK(fabsf(w[0] * (norm ? 1 : all) - 2.0f * (norm ? w[0] / 2 : 1)) < 1e-5f &&
                  (!norm || fabsf(sum - 2.0f) < 1e-5f));
        }
        aios__moe_count(&m, n);
        aios__moe_place(&m, n, 1);
        CHECK_EQ(read[1], m.n_blocks);
        CHECK((uint64_t)m.n_blocks <= aios__moe_blocks(&m, (uint64_t)n));
        for (i = j = 0; i < m.n_blocks;
             i++) { /* blocks go through all columns, experts ascending */
            const aios__cols *k2 = &m.block[i];
            CHECK(k2->col == at && k2->n > 0 && k2->n <= m.block_cols &&
                  (i == 0 || m.block[i - 1].expert < k2->expert ||
                   (m.block[i - 1].expert == k2->expert && m.block[i - 1].n == m.block_cols)));
            at += k2->n;
            j += i == 0 || m.block[i - 1].expert != k2->expert;
        }
        CHECK_EQ(at, n * m.n_used);
        CHECK_EQ(j, m.n_active);
        for (i = 0; i < m.n_blocks; i++)
            for (j = 0; j < m.block[i].n; j++) {
                int32_t col = m.block[i].col + j, t = m.token[col], found = 0;
                for (e = 0; e < m.n_used; e++)
                    found += m.chosen[t * m.n_used + e] == m.block[i].expert &&
                             m.col[t * m.n_used + e] == col;
                CHECK_EQ(found, 1);
                CHECK(j == 0 || m.token[col - 1] < t);
            }
        free(b.base);
    }
}

/* ---- the same bits ---- */
/* Of the shape's model whose experts are one tensor a matrix. */
static uint64_t hash_of_merged(const shape *s) {
    static uint64_t known[N_SHAPES];
    uint64_t *h = &known[s - shapes];
    const int32_t experts = made.experts;
    mem_file f;
    aios_io io;
    aios_plan_desc pd;
    run r;
    if (*h) return *h;
    made.experts = MERGED;
    f = make(s, NULL, NULL, 0);
    made.experts = experts;
    aios_io_memory(&io, f.p, f.n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    if (CHECK_AT(run_open(&r, &io, NULL, &pd), "%s: %s", s->name, r.err.text)) *h = run_hash(&r, 0);
    run_close(&r);
    free(f.p);
    return *h;
}

static void experts_in_memory_have_one_hash(const shape *s, int quick) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    mem_file f = make(s, NULL, NULL, 0);
    mem_file art;
    aios_io io, mapped, packed, packed_map;
    aios_plan_desc pd;
    aios_counters c;
    const uint64_t merged = hash_of_merged(s);
    uint64_t want, got;
    int32_t isa, t, chunk, way;
    run r;
    aios_io_memory(&mapped, f.p, f.n);
    io = mapped;
    io.map = NULL;
    art = pack(&io);
    aios_io_memory(&packed_map, art.p, art.n);
    packed = packed_map;
    packed.map = NULL;
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.isa = AIOSK_ISA_SCALAR;
    pd.n_batch = 64;
    if (!CHECK_AT(run_open(&r, &io, NULL, &pd), "%s: %s", s->name, r.err.text)) {
        aios_model_free(r.m);
        free(f.p);
        free(art.p);
        return;
    }
    want = run_hash(&r, 0);
    CHECK(want != 0);
    CHECK_AT(want == merged, "%s: other bits where each expert is a tensor", s->name);
    run_close(&r);
    for (isa = 1; isa < AIOSK_N_ISA; isa++)
        for (t = 1; t <= 3; t += 2)
            for (chunk = 1; chunk <= 64; chunk = chunk * 6 + 1) {
                if (!aiosk_select(isa) || (quick && (t == 1 || chunk == 7))) continue;
                pd.isa = isa;
                pd.n_threads = t;
                pd.n_batch = chunk;
                if (!CHECK(run_open(&r, &io, NULL, &pd))) {
                    aios_model_free(r.m);
                    continue;
                }
                CHECK_AT((got = run_hash(&r, 0)) == want, "%s, isa %d, %d threads, chunk %d",
                         s->name, isa, t, chunk);
                run_close(&r);
            }
    pd.isa = 0;
    pd.n_threads = 2;
    pd.n_batch = 16;
    for (way = 0; way < 4; way++) { /* in place; artifact read, mapped; time in slices */
        pd.flags = way == 0 ? AIOS_PLAN_IN_PLACE : 0;
        if (!CHECK_AT(run_open(&r, way == 0 ? &mapped : &io,
                               way == 1   ? &packed
                               : way == 2 ? &packed_map
                                          : NULL,
                               &pd),
                      "%s, way %d: %s", s->name, way, r.err.text)) {
            aios_model_free(r.m);
            continue;
        }
        CHECK_AT(run_hash(&r, way == 3 ? 3000 : 0) == want, "%s, way %d", s->name, way);
        CHECK((r.plan.weight_bytes_mapped > 0) == (way == 0 || way == 2));
        run_close(&r);
    }
    pd.flags = 0;
    pd.n_seq = 3;
    pd.n_batch = 64;
    if (CHECK(
            run_open(&r, &io, NULL,
                     &pd))) { /* company changes nothing, and bytes are counted as they are read */
        int32_t ids[N_IDS], k;
        uint64_t h = TEST_HASH, alone = TEST_HASH, w = 0;
        uint32_t i;
        for (k = 0; k < 2; k++) {
            int32_t q;
            for (q = k ? 1 : 0; q < (k ? 2 : 3); q++) {
                ids_of(ids, (uint64_t)q + 10);
                aios_seq_truncate(r.c, q, 0, NULL);
                CHECK_EQ(aios_feed(r.c, q, ids, 20, 0, &r.err), 0);
            }
            CHECK(step_all(&r, 0));
            if (aios_logits(r.c, 1))
                *(k ? &alone : &h) = test_hash(TEST_HASH, aios_logits(r.c, 1), N_VOCAB * 4);
        }
        CHECK_EQ(h, alone);
        CHECK(h != TEST_HASH);
        aios_counters_reset(r.c);
        CHECK_EQ(aios_feed(r.c, 1, ids, 1, 0, &r.err), 0);
        CHECK(step_all(&r, 0));
        aios_counters_init(&c);
        CHECK_EQ(aios_counters_get(r.c, &c), 0);
        CHECK_EQ(c.n_passes, 1);
        CHECK_EQ(c.weight_bytes, r.plan.token_weight_bytes);
        CHECK_EQ(c.act_bytes, r.plan.token_act_bytes);
        for (i = 0; i < aios_op_count(r.c); i++) {
            aios_op_info o;
            aios_op_info_init(&o);
            CHECK_EQ(aios_op_get(r.c, i, &o), 0);
            w += o.weight_bytes;
        }
        CHECK_EQ(w, r.plan.token_weight_bytes);
        for (i = 0, w = 0;; i++) {
            aios_tensor_place at;
            aios_tensor_place_init(&at);
            if (aios_plan_get_tensor(r.m, &r.plan, i, &at)) break;
            w += at.token_bytes;
        }
        CHECK_EQ(w, r.plan.token_weight_bytes);
        run_close(&r);
    }
    pd.n_seq = 1;
    pd.n_batch = 32;
    pd.numerics = AIOS_REFERENCE;
    if (CHECK(run_open(
            &r, &io, NULL,
            /* the yardstick, at the position in the middle of the list: an expert may change at
             * a near tie */
            &pd))) {
        static float a[N_IDS][N_VOCAB];
        double rel[N_IDS];
        int32_t ids[N_IDS], k, i, j;
        ids_of(ids, 5);
        for (k = 0; k < 2; k++) {
            aios_seq_truncate(r.c, 0, 0, NULL);
            for (i = 0; i < N_IDS; i++) {
                double d2 = 0, g2 = 0;
                CHECK_EQ(aios_feed(r.c, 0, ids + i, 1, 0, &r.err), 0);
                CHECK(step_all(&r, 0));
                for (j = 0; j < N_VOCAB; j++) {
                    double x = (double)aios_logits(r.c, 0)[j], d = x - (double)a[i][j];
                    if (!k) a[i][j] = (float)x;
                    d2 += d * d;
                    g2 += x * x;
                }
                rel[i] = sqrt(d2 / g2);
            }
            if (k == 0) {
                run_close(&r);
                pd.numerics = AIOS_CANONICAL;
                CHECK(run_open(&r, &io, NULL, &pd));
            }
        }
        for (i = 0; i < N_IDS; i++)
            for (j = i; j > 0 && rel[j] < rel[j - 1]; j--) {
                double x = rel[j];
                rel[j] = rel[j - 1];
                rel[j - 1] = x;
            }
        printf("%-9s %016llx  off reference by %.4f\n", s->name, (unsigned long long)want,
               rel[N_IDS / 2]);
        CHECK(rel[N_IDS / 2] < 0.06);
        run_close(&r);
    }
    free(f.p);
    free(art.p);
}

/* ---- what is refused ---- */
static void models_that_make_no_sense_are_refused(void) {
    static const struct {
        const char *leave_out, *key;
        uint32_t value;
        int shape;
        const char *word;
        aios_status code;
        int experts;
        const char *odd;
        int32_t odd_type;
        uint64_t odd_rows;
        const char *extra;
        uint64_t n_extra;
    } rows[] = {
        { "blk.1.ffn_up_exps.weight", NULL, 0, 0, "blk.1.ffn_up_exps.weight is missing",
          AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL, 0 },
        { "blk.0.ffn_gate_inp.weight", NULL, 0, 0, "ffn_up.weight is missing", AIOS_ERR_MODEL, 0,
          NULL, 0, 0, NULL, 0 },
        { "blk.1.ffn_down_shexp.weight", NULL, 0, 2, "blk.1.ffn_down_shexp.weight is missing",
          AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL, 0 },
        { "blk.1.ffn_up_shexp.weight", NULL, 0, 2, "blk.1.ffn_up_shexp.weight is missing",
          AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL, 0 },
        { NULL, "expert_count", 4, 0, "ffn_gate_inp", AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL, 0 },
        { NULL, "expert_count", 0, 0, "ffn_up.weight is missing", AIOS_ERR_MODEL, 0, NULL, 0, 0,
          NULL, 0 },
        { NULL, "expert_count", 1u << 30, 0, "expert_count", AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL,
          0 },
        { NULL, "expert_used_count", 6, 0, "expert_used_count", AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL,
          0 },
        { NULL, "expert_used_count", 0, 0, "expert_used_count", AIOS_ERR_MODEL, 0, NULL, 0, 0, NULL,
          0 },
        { NULL, "expert_gating_func", 2, 0, "expert_gating_func", AIOS_ERR_UNSUPPORTED, 0, NULL, 0,
          0, NULL, 0 },
        { NULL, "expert_group_count", 8, 0, "expert_group_count", AIOS_ERR_UNSUPPORTED, 0, NULL, 0,
          0, NULL, 0 },
        { NULL, "expert_weights_norm", 1, 0, "expert_weights_norm", AIOS_ERR_MODEL, 0, NULL, 0, 0,
          NULL, 0 },
        /* experts that are tensors of their own */
        { "blk.1.ffn_up.0.weight", NULL, 0, 0, "tensor blk.1.ffn_up.0.weight is missing",
          AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 },
        { "blk.0.ffn_gate.3.weight", NULL, 0, 0, "tensor blk.0.ffn_gate.3.weight is missing",
          AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 },
        { "blk.1.ffn_down.4.weight", NULL, 0, 0, "tensor blk.1.ffn_down.4.weight is missing",
          AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 },
        { "blk.1.ffn_down.20.weight", NULL, 0, 4, "tensor blk.1.ffn_down.20.weight is missing",
          AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 },
        { "blk.1.ffn_gate_inp.weight", NULL, 0, 0, "blk.1.ffn_up.weight is missing", AIOS_ERR_MODEL,
          SPLIT, NULL, 0, 0, NULL, 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.5.weight has no place", AIOS_ERR_UNSUPPORTED,
          SPLIT, NULL, 0, 0, "blk.0.ffn_up.5.weight", 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.01.weight has no place", AIOS_ERR_UNSUPPORTED,
          SPLIT, NULL, 0, 0, "blk.0.ffn_up.01.weight", 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.1.bias has no place", AIOS_ERR_UNSUPPORTED, SPLIT,
          NULL, 0, 0, "blk.0.ffn_up.1.bias", 0 },
        { NULL, NULL, 0, 0, "tensor blk.1.ffn_up.2.weight has no place", AIOS_ERR_UNSUPPORTED,
          MERGED, NULL, 0, 0, "blk.1.ffn_up.2.weight", 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.0.weight has no place", AIOS_ERR_UNSUPPORTED,
          SPLIT, NULL, 0, 0, "blk.0.ffn_up_exps.weight", 5 },
        { NULL, NULL, 0, 1, "tensor blk.0.ffn_up.0.weight has no place", AIOS_ERR_UNSUPPORTED,
          SPLIT, NULL, 0, 0, "blk.0.ffn_up.0.weight", 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.2.weight is not of type q8_0",
          AIOS_ERR_UNSUPPORTED, SPLIT, "blk.0.ffn_up.2.weight", AIOSK_Q4_0, 0, NULL, 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_up.1.weight is not of type q4_0",
          AIOS_ERR_UNSUPPORTED, SPLIT, "blk.0.ffn_up.0.weight", AIOSK_Q4_0, 0, NULL, 0 },
        { NULL, NULL, 0, 0, "tensor blk.0.ffn_gate.4.weight has 39 rows", AIOS_ERR_MODEL, SPLIT,
          "blk.0.ffn_gate.4.weight", 0, 39, NULL, 0 },
        { NULL, "expert_count", 4, 0, "ffn_gate_inp", AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 },
        { NULL, "expert_count", 6, 0, "tensor blk.0.ffn_gate.5.weight is missing", AIOS_ERR_MODEL,
          SPLIT, NULL, 0, 0, NULL, 0 },
        { NULL, "expert_count", 4096, 0, "tensor blk.0.ffn_gate.5.weight is missing",
          AIOS_ERR_MODEL, SPLIT, NULL, 0, 0, NULL, 0 }
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        mem_file f;
        aios_io io;
        aios_plan_desc pd;
        run r;
        made.experts = rows[i].experts;
        made.odd = rows[i].odd;
        made.odd_type = rows[i].odd_type;
        made.odd_rows = rows[i].odd_rows;
        made.extra = rows[i].extra;
        made.n_extra = rows[i].n_extra;
        f = make(&shapes[rows[i].shape], rows[i].leave_out, rows[i].key, rows[i].value);
        memset(&made, 0, sizeof made);
        aios_io_memory(&io, f.p, f.n);
        aios_plan_desc_init(&pd);
        CHECK_AT(!run_open(&r, &io, NULL, &pd) && !r.m && r.err.code == rows[i].code &&
                     strstr(r.err.text, rows[i].word),
                 "row %d: %d %s", (int)i, r.err.code, r.err.text);
        if (r.m) run_close(&r);
        CHECK_EQ(mem.n_held, 0);
        free(f.p);
    }
}

/* ---- experts from storage ---- */
/* Which experts each layer wanted, in order. */
typedef struct trace {
    int32_t layer, n, expert[64];
} trace;
enum { MAX_TRACE = 4096 };
static trace traced[MAX_TRACE];
static int n_traced;
static void spy(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    trace *x = &traced[n_traced < MAX_TRACE ? n_traced++ : MAX_TRACE - 1];
    int32_t i, e, n = r->pass->n * r->moe->n_used;
    x->layer = op->layer;
    for (e = x->n = 0; e < r->moe->n_expert; e++) {
        for (i = 0; i < n && r->moe->chosen[i] != e; i++) {}
        if (i < n) x->expert[x->n++] = e;
    }
    aios__op_group_run(op, r, t, worker);
}
static aios__op_kind spied; /* a group that tells */
/* The policy in its plainest form: what a cache of n_slots does with a trace. */
typedef struct held {
    int32_t layer, expert;
    uint32_t uses, last;
} held;
static void simulate(int32_t n_used, int32_t n_slots, uint64_t *hits, uint64_t *misses) {
    static held known[64 * 64]; /* all experts; slot -1: not held */
    static int32_t slot_of[64 * 64], in[64 * 64];
    uint32_t clock = 0, half = 0;
    int i, j, k;
    while ((uint32_t)n_slots / (uint32_t)n_used >= 2u << half) half++;
    memset(known, 0, sizeof known);
    for (i = 0; i < 64 * 64; i++) slot_of[i] = in[i] = -1;
    *hits = *misses = 0;
    for (i = 0; i < n_traced; i++) {
        const trace *t = &traced[i];
        int32_t seq[64], n = 0, given = 0;
        clock++;
        for (k = 0; k < 2; k++)
            for (j = 0; j < t->n; j++) /* those that are held, then the others */
                if ((slot_of[t->layer * 64 + t->expert[j]] >= 0) == !k)
                    seq[n++] = t->layer * 64 + t->expert[j];
        for (j = 0; j < n; j++) {
            held *h = &known[seq[j]];
            uint32_t age = (clock - h->last) >> half;
            if (slot_of[seq[j]] >= 0)
                ++*hits;
            else
                ++*misses;
            h->uses = (age > 31 ? 0 : h->uses >> age) + 256;
            h->last = clock;
        }
        for (j = 0; j < n; j++) {
            int32_t best = -1, s;
            if (slot_of[seq[j]] >= 0) continue;
            for (s = 0; s < n_slots; s++) {
                int32_t b = in[s], c = best < 0 ? -1 : in[best], wanted = 0;
                uint32_t ub = b < 0 ? 0 : known[b].uses >> ((clock - known[b].last) >> half),
                         uc = c < 0 ? 0 : known[c].uses >> ((clock - known[c].last) >> half);
                for (k = 0; k < n; k++) wanted |= b == seq[k];
                if (wanted) continue;
                if (best < 0 || ub < uc ||
                    (ub == uc && (b < 0 ? 0 : known[b].last) < (c < 0 ? 0 : known[c].last)))
                    best = s;
            }
            if (best < 0) best = slot_of[seq[given++]];
            if (in[best] >= 0) slot_of[in[best]] = -1;
            in[best] = seq[j];
            slot_of[seq[j]] = best;
        }
    }
}

static void cache_io(aios_io *io, aios_plan_desc *pd,
                     int how) { /* inline, own threads, lent threads, asynchronous */
    io->submit = how == 3 ? disk_submit : NULL;
    io->wait = how == 3 ? disk_wait : NULL;
    pd->n_readers = how == 1 ? 2 : -1;
    pd->flags = how == 2 ? AIOS_PLAN_LENT_READERS : 0;
}
/* What all ops wrote, with its place: a sum that does not know in how many goes it was written. */
static void trace_sum(void *user, const aios_trace *t) {
    uint64_t *sum = (uint64_t *)user;
    int32_t i, k, n = t->form == AIOSK_FLT ? t->n : 0;
    if (!strcmp(t->name, "experts_gate")) return; /* written over, where experts come and go */
    CHECK(t->struct_size == sizeof *t && t->n_rows == t->n_tokens * t->n_per_token && t->n > 0);
    for (i = 0; i < t->n_rows; i++) {
        const char *row = (const char *)t->data + (uint64_t)(t->row ? t->row[i] : i) * t->stride;
        int32_t token = i / t->n_per_token;
        uint64_t h = (uint64_t)(uint8_t)t->name[0] + ((uint64_t)strlen(t->name) << 8) +
                     ((uint64_t)(t->layer + 1) << 16) + ((uint64_t)(i % t->n_per_token) << 32);
        h += (uint64_t)t->pos[t->token ? t->token[token] : token] << 40;
        for (k = 0; k < n; k++) {
            uint32_t v;
            memcpy(&v, row + (size_t)k * 4, 4);
            h = (h ^ v) * 0x9E3779B97F4A7C15u;
        }
        *sum += h;
    }
}
static void experts_from_storage_have_one_hash_and_the_hits_of_the_policy(const shape *s,
                                                                          int quick) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    mem_file f = make(s, NULL, NULL, 0);
    aios_io io, artifact;
    disk d, d2;
    mem_file art;
    run r;
    aios_plan_desc pd;
    uint64_t want, least, full, wrote_all = 0;
    int how, i, n_moe = s->n_layer - s->n_dense, n_cached = 0;
    uint32_t slots[8], k;
    slots[0] = 1;
    slots[1] = 2;
    slots[2] = (uint32_t)s->n_used;
    slots[3] = (uint32_t)s->n_expert + 1;
    slots[4] = (uint32_t)(n_moe * s->n_expert) / 2 + 1;
    slots[5] = (uint32_t)(n_moe * s->n_expert);
    disk_init(&d, &io, f.p, f.n);
    art = pack(&io);
    disk_init(&d2, &artifact, art.p, art.n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_batch = 16;
    pd.n_threads = 2;
    if (!CHECK_AT(run_open(&r, &io, NULL, &pd), "%s", r.err.text)) return;
    r.c->exec.trace = trace_sum;
    r.c->exec.trace_user = &wrote_all;
    want = run_hash(&r, 0);
    full = r.plan.total_bytes + r.plan.held_bytes;
    CHECK(want != 0 && wrote_all != 0);
    CHECK_EQ(r.plan.n_expert_slots, 0);
    CHECK_EQ(r.plan.rungs, 0);
    run_close(&r);
    for (how = 0; how < 4; how++)
        for (k = 0; k < 6; k++)
            for (i = 0; i < 2; i++) { /* i: the file, the artifact */
                pthread_t t;
                aios_counters c;
                uint64_t hits, misses, wrote = 0;
                uint32_t op;
                int32_t prompt;
                if (slots[k] > slots[5] || (quick && (k + (uint32_t)how * 3 + (uint32_t)i) % 7))
                    continue;
                cache_io(&io, &pd, how);
                cache_io(&artifact, &pd, how);
                d.n_queued = d2.n_queued = 0;
                if (!CHECK_AT(cache_open(&r, &io, i ? &artifact : NULL, &pd, slots[k]),
                              "%s, %u slots, how %d: %s", s->name, slots[k], how, r.err.text)) {
                    if (r.m) run_close(&r);
                    continue;
                }
                CHECK_EQ(r.plan.n_expert_slots, slots[k]);
                CHECK_EQ(r.plan.tier_bytes[AIOS_TIER_STREAM], r.plan.expert_slot_bytes * slots[k]);
                if (how == 2) pthread_create(&t, NULL, serve_reads, r.c);
                spied = aios__kind_group;
                spied.run = spy;
                for (op = 0; op < r.c->prog.n_ops; op++)
                    if (r.c->prog.op[op].kind == &aios__kind_group) r.c->prog.op[op].kind = &spied;
                n_traced = 0;
                r.c->exec.trace = trace_sum;
                r.c->exec.trace_user = &wrote;
                for (prompt = 0; prompt < 3; prompt++) {
                    CHECK_AT(run_hash(&r, prompt == 1 ? 3000 : 0) == want,
                             "%s, %u slots, how %d, artifact %d: %s", s->name, slots[k], how, i,
                             r.err.text);
                    CHECK_AT(wrote == wrote_all, "the trace of %s, %u slots, how %d, artifact %d",
                             s->name, slots[k], how, i);
                    wrote = 0;
                }
                aios_counters_init(&c);
                CHECK_EQ(aios_counters_get(r.c, &c), 0);
                simulate(s->n_used, (int32_t)slots[k], &hits, &misses);
                CHECK_AT(c.n_expert_hits == hits && c.n_expert_misses == misses &&
                             n_traced < MAX_TRACE,
                         "%s, %u slots, how %d: %llu hits and %llu misses, not %llu and %llu",
                         s->name, slots[k], how, (unsigned long long)c.n_expert_hits,
                         (unsigned long long)c.n_expert_misses, (unsigned long long)hits,
                         (unsigned long long)misses);
                CHECK_EQ(c.expert_bytes, c.stream_bytes);
                CHECK(c.expert_bytes <= misses * r.plan.expert_slot_bytes);
                CHECK_EQ(c.n_read_errors, 0);
                CHECK_EQ(c.n_units, 0);
                CHECK(c.tier_bytes[2] > 0);
                CHECK_EQ(c.tier_bytes[0] + c.tier_bytes[1] + c.tier_bytes[2], c.weight_bytes);
                if (slots[k] == slots[5])
                    CHECK(misses <= slots[5] && hits > 0); /* each is read once, then stays */
                if (how == 2) {
                    aios_end_reads(r.c, 1);
                    pthread_join(t, NULL);
                }
                run_close(&r);
            }
    /* any budget from the least up: the plan fits, takes what it says, and the bits are the
     * same; experts go before other matrices */
    for (i = 0; i < (quick ? 3 : 30); i++) {
        static uint64_t seed = 4;
        uint64_t all;
        how = i % 2 ? 1 : 0;
        cache_io(&io, &pd, how);
        pd.n_batch = i % 3 ? 16 : 0;
        pd.budget_bytes = 1;
        if (!CHECK(!cache_open(&r, &io, NULL, &pd, 0) && r.err.code == AIOS_ERR_MEMORY)) break;
        least = r.err.expected;
        run_close(&r);
        pd.budget_bytes = least - 1;
        CHECK(!cache_open(&r, &io, NULL, &pd, 0));
        CHECK_EQ(r.err.code, AIOS_ERR_MEMORY);
        CHECK_EQ(r.err.expected, least);
        CHECK_EQ(r.err.got, least - 1);
        run_close(&r);
        pd.budget_bytes =
            i < 2 ? least : least + test_rand(&seed) % (full > least ? full - least : 1);
        if (!CHECK_AT(cache_open(&r, &io, NULL, &pd, 0), "%s, budget %llu: %s", s->name,
                      (unsigned long long)pd.budget_bytes, r.err.text)) {
            run_close(&r);
            continue;
        }
        all = r.plan.held_bytes + r.plan.total_bytes;
        CHECK(all <= pd.budget_bytes);
        CHECK_EQ(all, mem.held);
        CHECK(r.plan.held_bytes + r.plan.min_bytes <= least);
        CHECK((r.plan.n_expert_slots > 0) == ((r.plan.rungs & AIOS_RUNG_EXPERTS) != 0) &&
              (r.plan.n_units > 0) == ((r.plan.rungs & AIOS_RUNG_STREAM) != 0));
        CHECK(r.plan.n_units == 0 || r.plan.n_expert_slots <= (uint32_t)s->n_used);
        n_cached += r.plan.n_expert_slots > 0;
        CHECK_AT(run_hash(&r, 0) == want, "%s, budget %llu, %u slots, %u units: %s", s->name,
                 (unsigned long long)pd.budget_bytes, r.plan.n_expert_slots, r.plan.n_units,
                 r.err.text);
        if (how == 0 && r.plan.n_expert_slots &&
            i < 8) { /* another context of the same weights has a cache of its own */
            aios_plan_desc pd2 = pd;
            aios_context_desc cd;
            aios_context *first = r.c, *second;
            aios_plan plan;
            aios_plan_init(&plan);
            aios_context_desc_init(&cd);
            pd2.budget_bytes = 0;
            CHECK_EQ(aios_plan_make(r.m, &pd2, &plan, &r.err), 0);
            CHECK_EQ(plan.n_expert_slots, r.plan.n_experts);
            CHECK_EQ(plan.tier_bytes[0], 0);
            if (CHECK_EQ(aios_context_open(r.m, &plan, &cd, &second, &r.err), 0)) {
                r.c = second;
                CHECK_EQ(run_hash(&r, 0), want);
                r.c = first;
                CHECK_EQ(run_hash(&r, 0), want);
                aios_context_free(second);
            } else
                printf("  %s\n", r.err.text);
        }
        run_close(&r);
    }
    CHECK(n_cached > 0 || s->n_expert * n_moe < 12);
    free(f.p);
    free(art.p);
}

/* Experts that are tensors of their own: in place, where the io maps some of them alone; in two
 * files, every second in the other; the gates alone. */
static uint64_t map_end;
static const void *map_some(void *user, uint64_t off, uint64_t n) {
    return off + n > map_end ? NULL : aios_io_memory_map(user, off, n);
}
static void experts_that_are_tensors_of_their_own_have_that_hash_too(const shape *s) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    mem_file f, part[2];
    aios_io io[2];
    aios_plan_desc pd;
    run r;
    uint64_t want = hash_of_merged(s), step;
    uint32_t i, mapped, not_mapped, n_some = 0;
    made.experts = SPLIT;
    f = make(s, NULL, NULL, 0);
    aios_io_memory(&io[0], f.p, f.n);
    io[0].map = map_some;
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_batch = 16;
    pd.flags = AIOS_PLAN_IN_PLACE;
    for (step = 0; step < 24; step++) {
        map_end = f.n - f.n * step / 24;
        if (!CHECK_AT(run_open(&r, io, NULL, &pd), "%s: %s", s->name, r.err.text)) {
            aios_model_free(r.m);
            continue;
        }
        CHECK_EQ(mem.held, r.plan.held_bytes + r.plan.total_bytes);
        CHECK_AT(run_hash(&r, 0) == want, "%s, not mapped from %llu on", s->name,
                 (unsigned long long)map_end);
        for (i = mapped = not_mapped = 0; i < r.m->gguf.n_tensors; i++) {
            aios_tensor_info t;
            aios_tensor_place at;
            aios_tensor_info_init(&t);
            aios_tensor_place_init(&at);
            CHECK_EQ(aios_model_get_tensor(r.m, i, &t), 0);
            CHECK_EQ(aios_plan_get_tensor(r.m, &r.plan, i, &at), 0);
            CHECK(at.n_bytes > 0);
            if (strstr(t.name, ".ffn_up.") && (t.file_offset + t.n_bytes <= map_end || !at.mapped))
                *(at.mapped ? &mapped : &not_mapped) += 1;
        }
        n_some +=
            mapped &&
            not_mapped; /* roles of which all, and roles of which some, are there to be mapped */
        run_close(&r);
    }
    CHECK(n_some > 0 || s->n_layer == 1);
    free(f.p);
    for (made.experts = SPLIT; made.experts <= SPLIT_GATE; made.experts++) {
        made.n_parts = 2;
        for (i = 0; i < 2; i++) {
            made.part = i;
            part[i] = make(s, NULL, NULL, 0);
            aios_io_memory(&io[i], part[i].p, part[i].n);
        }
        for (i = 0; i < 5; i++) { /* in place, resident, caches of some sizes */
            static const uint32_t slots[] = { 1, 3, 7 };
            if (i > 1 && slots[i - 2] > (uint32_t)(s->n_expert * (s->n_layer - s->n_dense)))
                continue;
            pd.flags = i == 0 ? AIOS_PLAN_IN_PLACE : 0;
            pd.budget_bytes = 0;
            pd.n_readers = i == 3 ? 2 : -1;
            pd.n_threads = 2;
            if (i) io[0].map = io[1].map = NULL;
            if (!CHECK_AT(i < 2 ? run_open(&r, io, NULL, &pd)
                                : cache_open(&r, io, NULL, &pd, slots[i - 2]),
                          "%s, two parts: %s", s->name, r.err.text)) {
                aios_model_free(r.m);
                continue;
            }
            CHECK_EQ(mem.held, r.plan.held_bytes + r.plan.total_bytes);
            CHECK((r.plan.n_expert_slots > 0) == (i > 1));
            CHECK_AT(run_hash(&r, 0) == want, "%s, two parts, way %u", s->name, i);
            run_close(&r);
        }
        free(part[0].p);
        free(part[1].p);
    }
    memset(&made, 0, sizeof made);
}

/* Storage that fails, ends, comes in pieces or is slow, at any read; cancelling and cutting
 * while experts are on their way. */
static void storage_that_fails_costs_a_step_never_a_sequence(const shape *s, int quick) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    static const int32_t faults[] = { FAILS, ENDS, TOO_MUCH };
    mem_file f = make(s, NULL, NULL, 0);
    int32_t ids[N_IDS];
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    uint64_t want = 0;
    size_t fault;
    int how, after;
    ids_of(ids, 5);
    disk_init(&d, &io, f.p, f.n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_batch = 16;
    pd.n_threads = 2;
    for (how = 0; how < 4; how += how == 1 ? 2 : 1) {
        cache_io(&io, &pd, how);
        disk_sound(&d);
        d.n_queued = d.broken = 0;
        if (!CHECK_AT(cache_open(&r, &io, NULL, &pd, (uint32_t)(s->n_used + 1 + how)), "%s",
                      r.err.text))
            break;
        d.from = 4096;
        if (!want) want = run_hash(&r, 0);
        CHECK(want != 0);
        CHECK_EQ(run_hash(&r, 0), want);
        for (fault = 0; fault < 3; fault++)
            for (after = 0; after < 12; after += quick ? 5 : 1) {
                aios_status st;
                aios_counters c;
                int n = 0;
                aios_seq_truncate(r.c, 0, 0, NULL);
                CHECK_EQ(aios_feed(r.c, 0, ids, 20, 0, &r.err), 0);
                CHECK(step_all(&r, 0));
                disk_break(&d, faults[fault], after);
                do { /* until something has to be read */
                    CHECK_EQ(aios_feed(r.c, 0, ids + 20 + n, 1, 0, &r.err), 0);
                    do st = aios_step(r.c, after % 4 ? aios_now_ns(r.c) + 30000 : 0, &r.err);
                    while (st == AIOS_MORE);
                } while (st == 0 && ++n < 15);
                if (n == 15) continue;
                CHECK(st == AIOS_ERR_IO && r.err.offset >= d.from && r.err.offset < f.n &&
                      r.err.text[0]);
                CHECK_EQ(aios_seq_processed(r.c, 0), aios_seq_length(r.c, 0) - 1);
                aios_counters_init(&c);
                CHECK_EQ(aios_counters_get(r.c, &c), 0);
                CHECK(c.n_read_errors > 0);
                disk_sound(&d);
                CHECK_EQ(aios_step(r.c, 0, &r.err), 0);
                CHECK_EQ(aios_seq_processed(r.c, 0), aios_seq_length(r.c, 0));
                CHECK_EQ(run_hash(&r, 0), want);
            }
        disk_break(&d, SHORT, 0);
        CHECK_EQ(run_hash(&r, 0), want);
        d.depth = 1 + how;
        disk_break(&d, SLOW, 0);
        CHECK_EQ(run_hash(&r, 100000), want);
        for (after = 0; after < 40; after++) { /* dropped while reads are under way */
            aios_seq_truncate(r.c, 0, 0, NULL);
            CHECK_EQ(aios_feed(r.c, 0, ids, 20, 0, &r.err), 0);
            aios_step(r.c, aios_now_ns(r.c) + 1 + 50000u * (uint64_t)after, &r.err);
            if (after & 1) {
                aios_cancel(r.c);
                CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
            }
        }
        disk_sound(&d);
        CHECK_EQ(run_hash(&r, 0), want);
        if (how == 3) {
            d.broken = 1;
            CHECK_EQ(run_hash(&r, 0), 0);
            CHECK_EQ(r.err.code, AIOS_ERR_IO);
            d.broken = 0;
            CHECK_EQ(run_hash(&r, 0), want);
        }
        d.depth = DISK_QUEUE;
        run_close(&r);
    }
    free(f.p);
}

/* A pass is dropped after each of its steps, with few slots: other tokens then find the room
 * that it had asked for. */
static void a_dropped_pass_leaves_no_slot_waiting(const shape *s, int quick) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    mem_file f = make(s, NULL, NULL, 0);
    int32_t ids[N_IDS];
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    uint32_t slots;
    ids_of(ids, 9);
    disk_init(&d, &io, f.p, f.n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_batch = 16;
    for (slots = 1; slots <= 4; slots += quick ? 2 : 1) {
        uint64_t want = 0;
        int after, n = 0, done = 0;
        cache_io(&io, &pd, 0);
        if (!CHECK_AT(cache_open(&r, &io, NULL, &pd, slots), "%s", r.err.text)) break;
        CHECK((want = run_hash(&r, 0)) != 0);
        for (after = 1; !done && n < 20000; after += quick ? 40 : 1) {
            aios_status st = AIOS_MORE;
            aios_seq_truncate(r.c, 0, 0, NULL);
            CHECK_EQ(aios_feed(r.c, 0, ids + after % 20, 16, 0, &r.err), 0);
            for (n = 0; st == AIOS_MORE && n < after; n++) st = aios_step(r.c, 1, &r.err);
            done = st == AIOS_OK;
            aios_cancel(r.c);
            CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED);
            aios_seq_truncate(r.c, 0, 0, NULL);
            CHECK_EQ(aios_feed(r.c, 0, ids + (after + 7) % 20, 16, 0, &r.err), 0);
            for (n = 0; n < 20000 && (st = aios_step(r.c, 1, &r.err)) == AIOS_MORE; n++) {}
            CHECK_EQ(st, AIOS_OK);
        }
        if (n < 20000) CHECK_EQ(run_hash(&r, 0), want);
        run_close(&r);
    }
    free(f.p);
}

/* Experts that the caller reads: no deadline is passed by more than one read. */
static void no_deadline_is_passed_by_more_than_one_read(const shape *s) {
    CASE("%s%s", s->name, made.experts == SPLIT ? ", experts split" : "");
    mem_file f = make(s, NULL, NULL, 0);
    int32_t ids[N_IDS], slots, kept = 1;
    late_clock clock = { 1000, 0, 1000000, 0, 0, 0, 0 };
    uint64_t want, seed = 5;
    aios_io io;
    disk d;
    run r;
    aios_plan_desc pd;
    ids_of(ids, 5);
    disk_init(&d, &io, f.p, f.n);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_batch = 16;
    if (!CHECK_AT(run_open(&r, &io, NULL, &pd), "%s", r.err.text)) return;
    CHECK_EQ(aios_feed(r.c, 0, ids, 20, 0, &r.err), 0);
    CHECK(step_all(&r, 0));
    want = test_hash(TEST_HASH, aios_logits(r.c, 0), N_VOCAB * 4);
    run_close(&r);
    d.clock = &clock;
    for (slots = 1; slots <= 3; slots++)
        for (pd.n_threads = 1; pd.n_threads <= 2; pd.n_threads++) {
            int32_t steps = 0;
            aios_status st;
            cache_io(&io, &pd, 0);
            clock_late = &clock;
            if (!CHECK_AT(cache_open(&r, &io, NULL, &pd, (uint32_t)slots), "%s", r.err.text)) break;
            clock_late = NULL;
            CHECK_EQ(aios_feed(r.c, 0, ids, 20, 0, &r.err), 0);
            do {
                st = aios_step(r.c, late_next(&clock, &seed), &r.err);
                kept &= late_held(&clock);
                steps++;
            } while (st == AIOS_MORE);
            CHECK(st == AIOS_OK && kept && steps > 20 &&
                  test_hash(TEST_HASH, aios_logits(r.c, 0), N_VOCAB * 4) == want);
            run_close(&r);
        }
    clock_late = NULL;
    free(f.p);
}

int main(int argc, char **argv) {
    int quick = test_begin(argc, argv), i;
    TEST(lists_are_those_of_plain_loops)();
    TEST(models_that_make_no_sense_are_refused)();
    for (i = 0; i < N_SHAPES; i++) TEST(experts_in_memory_have_one_hash)(&shapes[i], quick);
    for (i = 0; i < N_SHAPES; i++)
        TEST(experts_from_storage_have_one_hash_and_the_hits_of_the_policy)(&shapes[i], quick);
    made.experts = SPLIT;
    for (i = 0; i < N_SHAPES; i++) {
        TEST(experts_in_memory_have_one_hash)(&shapes[i], 1);
        TEST(experts_from_storage_have_one_hash_and_the_hits_of_the_policy)(&shapes[i], 1);
    }
    TEST(storage_that_fails_costs_a_step_never_a_sequence)(&shapes[2], 1);
    for (i = 0; i < N_SHAPES; i++)
        TEST(experts_that_are_tensors_of_their_own_have_that_hash_too)(&shapes[i]);
    TEST(storage_that_fails_costs_a_step_never_a_sequence)(&shapes[2], quick);
    TEST(storage_that_fails_costs_a_step_never_a_sequence)(&shapes[7], quick);
    TEST(no_deadline_is_passed_by_more_than_one_read)(&shapes[1]);
    TEST(no_deadline_is_passed_by_more_than_one_read)(&shapes[3]);
    TEST(a_dropped_pass_leaves_no_slot_waiting)(&shapes[1], quick || TEST_SANITIZED);
    TEST(a_dropped_pass_leaves_no_slot_waiting)(&shapes[4], quick || TEST_SANITIZED);
    return test_end();
}
