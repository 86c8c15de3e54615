/* test_sequences.c: what sequences do on real models, seen from outside. One rule judges nearly all of it: a row of logits is a function of the
 * tokens up to it, and of the kind of cache. Every row that any context gives is looked up by the tokens before it in one table (struct book);
 * rows of a context that has one sequence, fed from its start in one go, are the truth there. So forks, cuts, saved, spilled and interrupted
 * sequences, in any company, on any instruction set, have to agree with it to the bit. test_cache.c looks at the bookkeeping below. */
#include "aios.h"
#include "test.h"

enum { MAX_SEQ = 1001, MAX_CTX = 2112 };
static int quick;
static uint64_t rng = 1;
static int32_t rnd(int32_t n) { return (int32_t)(test_rand(&rng) % (uint64_t)n); }

/* ---- models: files held in memory, opened once; contexts of one share its weights ------------------------------------------- */
typedef struct model { const char *path; uint8_t *bytes; size_t n; aios_io io; aios_model *m; int32_t n_vocab, n_embd, n_layer; } model;
enum { TALE, STORIES, GEMMA2, GPT2, N_MODELS };
static model models[N_MODELS];

static void *mem_alloc(void *user, const aios_mem_req *r) {
    char *p = (char *)malloc((size_t)(r->bytes + r->align + sizeof(void *))), *q;
    (void)user;
    if (!p) return NULL;
    q = p + sizeof(void *);
    q += (r->align - (uintptr_t)q % r->align) % r->align;
    memcpy(q - sizeof(void *), &p, sizeof(void *));
    memset(q, 0xCD, (size_t)r->bytes);
    return q;
}
static void mem_free(void *user, void *p, const aios_mem_req *r) {
    void *q;
    (void)user; (void)r;
    memcpy(&q, (char *)p - sizeof(void *), sizeof(void *));
    free(q);
}
static int model_open(model *m, const char *path) {
    aios_model_desc d;
    aios_allocator a;
    aios_model_info x;
    aios_error e;
    m->path = path;
    m->bytes = test_read_file(path, &m->n);
    if (!m->bytes) return 0;
    aios_io_memory(&m->io, m->bytes, m->n);
    aios_allocator_init(&a);
    a.alloc = mem_alloc; a.free = mem_free;
    aios_model_desc_init(&d);
    d.mem = &a; d.io = &m->io;
    if (!CHECK(aios_model_open(&d, &m->m, &e) == 0)) { printf("  %s: %s\n", path, e.text); return 0; }
    aios_model_info_init(&x);
    aios_model_get_info(m->m, &x);
    m->n_vocab = x.n_vocab; m->n_embd = x.n_embd; m->n_layer = x.n_layer;
    return 1;
}

/* ---- a host that keeps pages, and fails on request ---------------------------------------------------------------------------- */
enum { MAX_KEPT = 2048 };
typedef struct attic { uint64_t key[MAX_KEPT], n[MAX_KEPT]; void *data[MAX_KEPT]; int32_t n_kept, wrong, fail_puts, fail_gets, n_puts, n_gets; } attic;
static int32_t attic_find(const attic *a, uint64_t key) {
    int32_t i;
    for (i = 0; i < a->n_kept && a->key[i] != key; i++) {}
    return i < a->n_kept ? i : -1;
}
static void attic_forget(attic *a, int32_t i) {
    free(a->data[i]);
    a->n_kept--;
    a->key[i] = a->key[a->n_kept]; a->n[i] = a->n[a->n_kept]; a->data[i] = a->data[a->n_kept];
}
static int32_t attic_put(void *user, uint64_t key, const void *data, uint64_t n) {
    attic *a = (attic *)user;
    a->n_puts++;
    if (a->fail_puts && --a->fail_puts == 0) return -1;
    if (attic_find(a, key) >= 0 || a->n_kept == MAX_KEPT) { a->wrong++; return -1; }
    a->key[a->n_kept] = key; a->n[a->n_kept] = n;
    a->data[a->n_kept] = malloc((size_t)n);
    memcpy(a->data[a->n_kept++], data, (size_t)n);
    return 0;
}
static int32_t attic_get(void *user, uint64_t key, void *data, uint64_t n) {
    attic *a = (attic *)user;
    int32_t i = attic_find(a, key);
    a->n_gets++;
    if (a->fail_gets && --a->fail_gets == 0) { memset(data, 0xEE, (size_t)n); return -1; }
    if (i < 0 || a->n[i] != n) { a->wrong++; return -1; }
    memcpy(data, a->data[i], (size_t)n);
    attic_forget(a, i);
    return 0;
}
static void attic_drop(void *user, uint64_t key) {
    attic *a = (attic *)user;
    int32_t i = attic_find(a, key);
    if (i < 0) a->wrong++; else attic_forget(a, i);
}

/* ---- kinds of cache, and contexts of a kind ------------------------------------------------------------------------------------- */
typedef struct kind { const char *name; int32_t model, n_ctx, type, old_type, recent, window, sinks; } kind;
typedef struct way { int32_t n_seq, n_batch, n_threads, isa, positions, spill, timed; } way;      /* how a context is run: no bit depends on it */
typedef struct rig { const kind *k; const model *m; aios_context *c; aios_plan plan; aios_error err; uint64_t now; attic *a; int32_t n_seq; uint64_t last[16]; int32_t n_rows; } rig;

static uint64_t rig_now(void *user) { return __atomic_add_fetch((uint64_t *)user, 1, __ATOMIC_RELAXED); }      /* a clock of looks at it */
static int rig_plan(rig *r, const kind *k, const way *w) {
    aios_plan_desc pd;
    memset(r, 0, sizeof *r);
    r->k = k; r->m = &models[k->model]; r->n_seq = w->n_seq ? w->n_seq : 1; r->now = 1000;
    aios_plan_desc_init(&pd);
    pd.n_ctx = k->n_ctx; pd.n_seq = w->n_seq; pd.n_batch = w->n_batch ? w->n_batch : 64; pd.n_outputs = pd.n_batch; pd.n_threads = w->n_threads; pd.isa = w->isa;
    pd.kv_type = k->type; pd.kv_old_type = k->old_type; pd.kv_recent = k->recent; pd.kv_window = k->window; pd.kv_sinks = k->sinks; pd.kv_positions = w->positions;
    aios_plan_init(&r->plan);
    return aios_plan_make(r->m->m, &pd, &r->plan, &r->err) == 0;
}
static int rig_open(rig *r, const kind *k, const way *w) {
    aios_context_desc cd;
    aios_spill sp;
    if (!CHECK(rig_plan(r, k, w))) { printf("  %s: %s\n", k->name, r->err.text); return 0; }
    aios_context_desc_init(&cd);
    if (w->timed) { cd.now_ns = rig_now; cd.now_user = &r->now; }
    if (w->spill) {
        aios_spill_init(&sp);
        r->a = (attic *)calloc(1, sizeof *r->a);
        sp.put = attic_put; sp.get = attic_get; sp.drop = attic_drop; sp.user = r->a;
        cd.spill = &sp;
    }
    if (!CHECK(aios_context_open(r->m->m, &r->plan, &cd, &r->c, &r->err) == 0)) { printf("  %s: %s\n", k->name, r->err.text); return 0; }
    return 1;
}
static aios_cache_info info_of(const rig *r) {
    aios_cache_info x;
    aios_cache_info_init(&x);
    CHECK(aios_cache_get_info(r->c, &x) == 0);
    return x;
}
/* At the end every page is free again, and the host holds none. */
static void rig_close(rig *r) {
    int32_t s;
    if (r->c) {
        for (s = 0; s < r->n_seq; s++) CHECK(aios_seq_truncate(r->c, s, 0, &r->err) == 0);
        CHECK(info_of(r).n_free == info_of(r).n_pages && info_of(r).n_shared == 0 && info_of(r).n_spilled == 0);
    }
    aios_context_free(r->c);
    if (r->a) CHECK(r->a->n_kept == 0 && r->a->wrong == 0);
    free(r->a);
    memset(r, 0, sizeof *r);
}

/* ---- the book: rows by the tokens before them ------------------------------------------------------------------------------------- */
enum { BOOK = 1 << 17 };
typedef struct entry { uint64_t key, row; int32_t truth; } entry;
static entry book[BOOK];
static int32_t book_n;
static rig truth_rig;           /* one sequence, fed from the start */

static uint64_t key_of(uint64_t h, int32_t id) { h = (h ^ (uint64_t)(id + 1)) * 0x9E3779B97F4A7C15u; return h ^ h >> 29; }
static uint64_t key_all(const int32_t *ids, int32_t n) { uint64_t h = 7; int32_t i; for (i = 0; i < n; i++) h = key_of(h, ids[i]); return h; }
static uint64_t words(uint64_t h, const void *p, size_t n) {
    const char *b = (const char *)p;
    uint32_t x;
    for (; n >= 4; n -= 4, b += 4) { memcpy(&x, b, 4); h = (h ^ x) * 0x9E3779B97F4A7C15u; h ^= h >> 32; }
    return h;
}
static entry *book_at(uint64_t key) {
    uint64_t i = key % BOOK;
    while (book[i].key && book[i].key != key) i = (i + 1) % BOOK;
    if (!book[i].key && CHECK(++book_n < BOOK - 1)) { book[i].key = key; book[i].row = 0; book[i].truth = 0; }
    return &book[i];
}
static void book_clear(void) { memset(book, 0, sizeof book); book_n = 0; }

/* The rows that the last step left: as the book has them, or new to it. 1 when all agree. */
static int rows(rig *r, int32_t truth) {
    int32_t i, ok = 1, seq = -1, pos = -1;
    for (i = 0; i < aios_output_count(r->c); i++) {
        aios_output o;
        entry *e;
        uint64_t h;
        aios_output_init(&o);
        if (!CHECK(aios_output_get(r->c, i, &o) == 0)) return 0;
        ok &= CHECK(o.seq > seq || (o.seq == seq && o.pos > pos));
        seq = o.seq; pos = o.pos;
        ok &= CHECK(aios_seq_tokens(r->c, seq)[pos] == o.token);
        h = words(words(1, o.logits, (size_t)r->m->n_vocab * 4), o.embedding, (size_t)r->m->n_embd * 4) | 1;
        if (seq < 16) r->last[seq] = h;
        r->n_rows++;
        e = book_at(key_all(aios_seq_tokens(r->c, seq), pos + 1));
        if (e->row && e->row != h) {
            if (ok) printf("  %s: seq %d pos %d: other logits than before (%s)\n", r->k->name, (int)seq, (int)pos, e->truth ? "fed from the start" : truth ? "this is the truth" : "in another way");
            ok = 0;
        }
        if (!e->row) e->row = h;
        e->truth |= truth;
    }
    return ok;
}
/* Steps until nothing waits. */
static int drain(rig *r, int32_t truth) {
    aios_status st;
    int ok = 1;
    do {
        st = aios_step(r->c, 0, &r->err);
        if (!CHECK(st >= 0)) { printf("  %s: %s\n", r->k->name, r->err.text); return 0; }
        ok &= rows(r, truth);
    } while (st == AIOS_MORE && ok);
    return ok;
}
/* The true rows of some tokens, against all that was seen so far. */
static int truth(const int32_t *ids, int32_t n) {
    rig *r = &truth_rig;
    if (n == 0 || book_at(key_all(ids, n))->truth) return 1;
    if (aios_seq_truncate(r->c, 0, 0, NULL) || aios_feed(r->c, 0, ids, (uint64_t)n, AIOS_FEED_ALL_LOGITS, NULL)) return 0;
    return drain(r, 1);
}
static int truth_open(const kind *k) {
    static const way alone = { 1, 64, 1, 0, 0, 0, 0 };
    book_clear();
    return rig_open(&truth_rig, k, &alone);
}
static void truth_close(void) { rig_close(&truth_rig); }

static void text(int32_t *ids, int32_t n, int32_t n_vocab, uint64_t seed) { int32_t i; for (i = 0; i < n; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)n_vocab); }
/* Feeds all and steps; every row is kept. */
static int go(rig *r, int32_t seq, const int32_t *ids, int32_t n) { return aios_feed(r->c, seq, ids, (uint64_t)n, AIOS_FEED_ALL_LOGITS, &r->err) == 0 && drain(r, 0); }

#define KV44 AIOSK_KV_C4
#define KV8  AIOSK_KV_I8
#define KV33 AIOSK_KV_C3

/* ---- 1: a thousand forks --------------------------------------------------------------------------------------------------------- */
static void test_forks(int32_t type, int32_t n_seq, int32_t n_prefix) {
    kind k = { "forks", TALE, 0, 0, 0, 0, 0, 0 };
    way w = { 0, 64, 2, 0, 0, 0, 0 }, one = { 1, 64, 2, 0, 0, 0, 0 };
    rig r, alone;
    static int32_t ids[MAX_CTX], own[MAX_SEQ][3], n_own[MAX_SEQ], order[MAX_SEQ];
    static float *got[MAX_SEQ];
    aios_cache_info before, after;
    int32_t tiles = (n_prefix + 63) / 64, tail = n_prefix % 64 != 0, coded = type == KV44, i, j, n, ok = 1;
    aios_status st;
    uint32_t used0, used1;
    size_t row;
    k.type = type; k.n_ctx = n_prefix + 100;
    w.n_seq = n_seq; w.positions = (tiles + n_seq - 1) * 64;
    if (!rig_open(&r, &k, &w)) return;
    row = (size_t)r.m->n_vocab * 4;
    printf("%d sequences of %d positions over a prefix of %d: META %llu bytes (%llu per sequence), cache %llu, scratch %llu\n", (int)n_seq, (int)k.n_ctx, (int)n_prefix, (unsigned long long)r.plan.request_bytes[AIOS_MEM_META],
           (unsigned long long)(r.plan.request_bytes[AIOS_MEM_META] / (uint64_t)n_seq), (unsigned long long)r.plan.request_bytes[AIOS_MEM_KV], (unsigned long long)r.plan.request_bytes[AIOS_MEM_SCRATCH]);
    text(ids, n_prefix, r.m->n_vocab, 3);
    CHECK(aios_feed(r.c, 0, ids, (uint64_t)n_prefix, AIOS_FEED_NO_LOGITS, &r.err) == 0 && aios_step(r.c, 0, &r.err) == AIOS_OK);
    before = info_of(&r);
    /* of the prefix: f16 has its tiles open; kv44 the first and the newest open, those between sealed (their open pages stay as spares) */
    used0 = (uint32_t)tiles;
    CHECK(before.n_pages - before.n_free - before.n_spare == used0 && before.n_shared == 0 && (coded || before.n_spare == 0));
    for (i = 1; i < n_seq; i++) ok &= aios_seq_fork(r.c, i, 0, n_prefix, &r.err) == 0 && aios_seq_processed(r.c, i) == n_prefix;
    CHECK(ok);
    after = info_of(&r);
    CHECK(after.n_free == before.n_free && after.n_shared == used0 && after.saved_bytes > 0);         /* forking takes no page */
    for (i = 1; i < n_seq; i++) {
        n_own[i] = 1 + i % 3;
        text(own[i], 3, r.m->n_vocab, (uint64_t)i * 77);
        ok &= aios_feed(r.c, i, own[i], (uint64_t)n_own[i], 0, &r.err) == 0;
    }
    CHECK(ok);
    do {
        st = aios_step(r.c, 0, &r.err);
        for (i = 0; i < aios_output_count(r.c); i++) {
            aios_output o;
            aios_output_init(&o);
            aios_output_get(r.c, i, &o);
            ok &= !got[o.seq] && o.pos == n_prefix + n_own[o.seq] - 1;
            if (!got[o.seq]) got[o.seq] = (float *)malloc(row);
            memcpy(got[o.seq], o.logits, row);
        }
    } while (st == AIOS_MORE);
    if (!CHECK(st == AIOS_OK)) printf("  %s\n", r.err.text);
    for (i = 1; i < n_seq; i++) ok &= got[i] != NULL;
    CHECK(ok);
    /* each fork has its tail alone: one open page, be it a copy of the prefix's or (at a tile's edge) a new one */
    after = info_of(&r);
    used1 = used0 + (uint32_t)n_seq - 1;
    if (!CHECK(after.n_pages - after.n_free - after.n_spare == used1 && after.n_shared == used0 - (uint32_t)tail))
        printf("  %u pages, %u free, %u spare, %u shared; wanted %u in use\n", after.n_pages, after.n_free, after.n_spare, after.n_shared, used1);
    printf("  kv %d: %u pages of the prefix, %u with %d forks, %u spare; sharing saves %llu bytes\n", (int)type, used0, after.n_pages - after.n_free - after.n_spare, (int)n_seq - 1, after.n_spare, (unsigned long long)after.saved_bytes);
    /* some of them, alone */
    if (rig_open(&alone, &k, &one)) {
        for (j = 0; j < (quick ? 1 : 2); j++) {
            i = j == 0 ? n_seq - 1 : 1 + rnd(n_seq - 1);
            CHECK(aios_seq_truncate(alone.c, 0, 0, NULL) == 0 && aios_feed(alone.c, 0, ids, (uint64_t)n_prefix, AIOS_FEED_NO_LOGITS, NULL) == 0);
            CHECK(aios_feed(alone.c, 0, own[i], (uint64_t)n_own[i], 0, NULL) == 0 && aios_step(alone.c, 0, NULL) == AIOS_OK);
            CHECK(aios_logits(alone.c, 0) && memcmp(aios_logits(alone.c, 0), got[i], row) == 0);
        }
        for (j = 0; j < (quick ? 20 : 60); j++) {              /* and more, from the prefix of that context */
            i = 1 + rnd(n_seq - 1);
            CHECK(aios_seq_truncate(alone.c, 0, n_prefix, NULL) == 0 && aios_feed(alone.c, 0, own[i], (uint64_t)n_own[i], 0, NULL) == 0 && aios_step(alone.c, 0, NULL) == AIOS_OK);
            CHECK(aios_logits(alone.c, 0) && memcmp(aios_logits(alone.c, 0), got[i], row) == 0);
        }
        rig_close(&alone);
    }
    for (i = 1; i < n_seq; i++) order[i] = i;
    for (i = n_seq - 1; i > 1; i--) { j = 1 + rnd(i); n = order[i]; order[i] = order[j]; order[j] = n; }
    for (i = 1; i < n_seq; i++) {
        ok &= aios_seq_truncate(r.c, order[i], 0, &r.err) == 0;
        if (i % 100) continue;
        after = info_of(&r);
        CHECK(after.n_pages - after.n_free - after.n_spare == used1 - (uint32_t)i);
    }
    CHECK(ok);
    after = info_of(&r);
    CHECK(after.n_pages - after.n_free - after.n_spare == used0 && after.n_shared == 0);
    for (i = 1; i < n_seq; i++) { free(got[i]); got[i] = NULL; }
    rig_close(&r);
}

/* ---- kinds, and ways to run them ---------------------------------------------------------------------------------------------------- */
#define KINDS(M) \
    { "f16",              M,      600, AIOSK_KV_F16, 0,    0,   0,   0 }, \
    { "kv8",              M,      600, KV8,          0,    0,   0,   0 }, \
    { "kv44",             M,      600, KV44,         0,    0,   0,   0 }, \
    { "kv8, old kv33",    M,      600, KV8,          KV33, 128, 0,   0 }, \
    { "f16, window",      M,      600, AIOSK_KV_F16, 0,    0,   150, 4 }, \
    { "kv44, window",     M,      600, KV44,         0,    0,   150, 4 }, \
    { "gemma2 f16",       GEMMA2, 600, AIOSK_KV_F16, 0,    0,   0,   0 }, \
    { "gemma2 kv84, old", GEMMA2, 600, AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4), KV33, 128, 0, 0 }
static kind kinds[8], small_kinds[8];
enum { N_KINDS = 8 };
static int small_model;         /* STORIES, or TALE where that is missing */
static void kinds_fill(void) {
    const kind a[] = { KINDS(TALE) };
    size_t i;
    memcpy(kinds, a, sizeof a);
    memcpy(small_kinds, a, sizeof a);
    small_model = models[STORIES].m ? STORIES : TALE;
    for (i = 0; i < N_KINDS; i++) if (small_kinds[i].model == TALE) small_kinds[i].model = small_model;
}
static int have(const kind *k) { return models[k->model].m != NULL; }

/* ---- 2: saved and restored ------------------------------------------------------------------------------------------------------------ */
typedef struct blob { uint8_t *p; uint64_t n; } blob;
static int save(rig *r, int32_t seq, int32_t base, blob *b) {
    uint64_t n = 0;
    b->n = 0; b->p = NULL;
    if (!CHECK(aios_seq_save(r->c, seq, base, NULL, 0, &b->n, &r->err) == 0)) { printf("  %s: %s\n", r->k->name, r->err.text); return 0; }
    b->p = (uint8_t *)malloc((size_t)b->n);
    CHECK(aios_seq_save(r->c, seq, base, b->p, b->n - 1, &n, &r->err) == AIOS_ERR_FULL && n == b->n && r->err.text[0]);
    memset(b->p, 0xA5, (size_t)b->n);
    return CHECK(aios_seq_save(r->c, seq, base, b->p, b->n, &n, &r->err) == 0 && n == b->n);
}
/* Restored in r, it goes on: rows of what follows are checked by the book. */
static int goes_on(rig *r, int32_t seq, int32_t base, const blob *b, const int32_t *ids, int32_t fed, int32_t n) {
    int ok = 1;
    if (!CHECK(aios_seq_restore(r->c, seq, base, b->p, b->n, &r->err) == 0)) { printf("  %s: %s\n", r->k->name, r->err.text); return 0; }
    ok &= CHECK(aios_seq_length(r->c, seq) == fed && memcmp(aios_seq_tokens(r->c, seq), ids, (size_t)fed * 4) == 0);
    ok &= CHECK(go(r, seq, ids + fed, n - fed));
    return ok & CHECK(aios_seq_truncate(r->c, seq, 0, &r->err) == 0);
}
enum { MAX_HEIRS = AIOSK_N_ISA + 3 };
static rig heirs[MAX_HEIRS];
static int32_t n_heirs;
static void heirs_open(const kind *k) {
    static const int32_t batches[] = { 64, 1, 7, 33, 50, 64, 17 };
    int32_t isa;
    n_heirs = 0;
    for (isa = 0; isa < AIOSK_N_ISA; isa++) {       /* 0 = the best, with three threads */
        way w = { 0, 0, 0, 0, 0, 0, 0 };
        if (!aiosk_select(isa) || (quick && isa > AIOSK_ISA_SCALAR)) continue;
        w.n_seq = 1 + n_heirs % 4; w.n_batch = batches[n_heirs % 7]; w.n_threads = isa == 0 ? 3 : 1 + n_heirs % 2; w.isa = isa;
        if (n_heirs % 2) w.positions = 640;
        if (w.n_seq < 2) w.n_seq = 2;
        n_heirs += rig_open(&heirs[n_heirs], k, &w);
    }
}
static void heirs_close(void) { while (n_heirs) rig_close(&heirs[--n_heirs]); }
static void test_save(const kind *k) {
    way w = { 4, 64, 2, 0, 0, 0, 1 }, sw = { 3, 64, 1, 0, 640, 1, 0 };
    static const int32_t lengths[] = { 330, 64, 70, 1 };
    int32_t ids[600], other[600], third[250], i, j, l, n, m;
    rig a, s;
    blob b, b2;
    if (!have(k) || !truth_open(k)) return;
    if (!rig_open(&a, k, &w) || !rig_open(&s, k, &sw)) return;
    heirs_open(k);
    for (l = 0; l < (quick ? 1 : 4); l++) {
        n = lengths[l]; m = n + 40;
        text(ids, m, a.m->n_vocab, 100 + (uint64_t)l);
        text(other, 600, a.m->n_vocab, 200 + (uint64_t)l);
        CHECK(truth(ids, m));
        /* whole */
        CHECK(go(&a, 0, ids, n) && save(&a, 0, -1, &b));
        for (i = 0; i < n_heirs; i++) CHECK(goes_on(&heirs[i], i % heirs[i].n_seq, -1, &b, ids, n, m));
        CHECK(goes_on(&a, 3, -1, &b, ids, n, m));
        CHECK(go(&a, 0, ids + n, m - n));           /* and where it was saved */
        CHECK(aios_seq_truncate(a.c, 0, 0, NULL) == 0);
        free(b.p);
        /* a fork that went on, without and with its base; the base stands elsewhere as well */
        memcpy(other, ids, (size_t)(n - n / 4) * 4);
        CHECK(truth(other, m));
        CHECK(go(&a, 1, ids, n) && aios_seq_fork(a.c, 2, 1, n - n / 4, &a.err) == 0 && go(&a, 2, other + n - n / 4, n / 4));
        CHECK(save(&a, 2, -1, &b) && save(&a, 2, 1, &b2));
        CHECK(b2.n <= b.n && (n < 130 || b2.n < b.n * 2 / 3));
        for (i = 0; i < n_heirs; i++) {
            rig *h = &heirs[i];
            CHECK(goes_on(h, 0, -1, &b, other, n, m));
            if (n >= 130) CHECK(aios_seq_restore(h->c, 1, 0, b2.p, b2.n, &h->err) == AIOS_ERR_STATE && h->err.text[0] && aios_seq_length(h->c, 1) == 0);
            CHECK(go(h, 0, ids, n));
            CHECK(goes_on(h, 1, 0, &b2, other, n, m));
            CHECK(go(h, 0, ids + n, m - n) && aios_seq_truncate(h->c, 0, 0, NULL) == 0);
        }
        CHECK(goes_on(&a, 3, 1, &b2, other, n, m) && go(&a, 2, other + n, m - n) && go(&a, 1, ids + n, m - n));
        for (i = 1; i < 3; i++) CHECK(aios_seq_truncate(a.c, i, 0, NULL) == 0);
        free(b.p); free(b2.p);
        /* with tokens that wait, rows of them wanted; in the middle of a pass */
        for (j = 0; j < 6; j++) {
            int32_t q = j < 1 ? 0 : n / 2, steps = j < 2 ? 0 : 1 << 2 * (j - 2);
            a.n_rows = 0;
            CHECK(q == 0 || go(&a, 0, ids, q));
            CHECK(aios_feed(a.c, 0, ids + q, (uint64_t)(n - q), AIOS_FEED_ALL_LOGITS, &a.err) == 0);
            for (i = 0; i < steps; i++) { if (aios_step(a.c, 1, &a.err) != AIOS_MORE) break; CHECK(rows(&a, 0)); }
            if (!save(&a, 0, -1, &b)) continue;
            for (i = 0; i < n_heirs; i++) {
                heirs[i].n_rows = aios_seq_processed(a.c, 0);
                CHECK(goes_on(&heirs[i], 0, -1, &b, ids, n, m) && heirs[i].n_rows == m);
                if (quick) break;
            }
            CHECK(drain(&a, 0) && a.n_rows == n && go(&a, 0, ids + n, m - n) && aios_seq_truncate(a.c, 0, 0, NULL) == 0);
            free(b.p);
        }
        /* with pages at the host: its own, and those of the base */
        if (n < 128) continue;
        CHECK(go(&s, 0, ids, n) && aios_seq_fork(s.c, 1, 0, n - n / 4, &s.err) == 0 && go(&s, 1, other + n - n / 4, n / 4));
        text(third, 250, s.m->n_vocab, 5);
        CHECK(truth(third, 250) && go(&s, 2, third, 250));
        if (k->window == 0) CHECK(info_of(&s).n_spilled > 0);
        CHECK(save(&s, 1, 0, &b) && save(&s, 0, -1, &b2));
        for (i = 0; i < n_heirs; i++) {
            CHECK(aios_seq_restore(heirs[i].c, 0, -1, b2.p, b2.n, &heirs[i].err) == 0);
            CHECK(goes_on(&heirs[i], 1, 0, &b, other, n, m));
            CHECK(go(&heirs[i], 0, ids + n, m - n) && aios_seq_truncate(heirs[i].c, 0, 0, NULL) == 0);
        }
        CHECK(go(&s, 0, ids + n, m - n) && go(&s, 1, other + n, m - n));
        for (i = 0; i < 3; i++) CHECK(aios_seq_truncate(s.c, i, 0, NULL) == 0);
        free(b.p); free(b2.p);
    }
    heirs_close();
    rig_close(&s);
    rig_close(&a);
    truth_close();
}

int main(int argc, char **argv) {
    size_t i;
    setvbuf(stdout, NULL, _IOLBF, 1000);
    quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    if (!CHECK(model_open(&models[TALE], "models/tale.gguf"))) return test_end();
    if (!model_open(&models[STORIES], shared_path("fixtures/stories/stories260K-q8_0.gguf"))) printf("skip: no fixtures/stories/stories260K-q8_0.gguf in the shared folder\n");
    if (!model_open(&models[GEMMA2], shared_path("fixtures/zoo/gemma2.gguf"))) printf("skip: no fixtures/zoo/gemma2.gguf in the shared folder\n");
    if (!model_open(&models[GPT2], shared_path("fixtures/zoo/gpt2.gguf"))) printf("skip: no fixtures/zoo/gpt2.gguf in the shared folder\n");
    kinds_fill();
    test_forks(AIOSK_KV_F16, quick ? 101 : 1001, quick ? 300 : 2000);
    test_forks(KV44, quick ? 101 : 1001, quick ? 300 : 2000);
    test_forks(KV44, 20, 320);
    for (i = 0; i < N_KINDS; i++) { int p = test__n_failed; test_save(&small_kinds[i]); printf("%s: saved, %d\n", small_kinds[i].name, test__n_failed - p); }
    for (i = 0; i < N_MODELS; i++) { aios_model_free(models[i].m); free(models[i].bytes); }
    return test_end();
}
