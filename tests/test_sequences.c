/* test_sequences.c: what sequences do on real models, seen from outside. One rule judges nearly
 * all of it: a row of logits is a function of the tokens up to it, and of the kind of cache.
 * Every row that any context gives is looked up by the tokens before it in one table (struct
 * book); rows of a context that has one sequence, fed from its start in one go, are the truth
 * there. So forks, cuts, saved, spilled and interrupted sequences, in any company, on any
 * instruction set, have to agree with it to the bit. test_cache.c looks at the bookkeeping
 * below. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"

enum { MAX_SEQ = 1001, MAX_CTX = 2112 };
static int quick,
    brief; /* brief: every kind, but fewer of all: under sanitizers, which take ten times as long */
static uint64_t rng = 1;
static int32_t rnd(int32_t n) { return (int32_t)(test_rand(&rng) % (uint64_t)n); }

/* ---- models: files held in memory, opened once; contexts of one share its weights ---- */
typedef struct model {
    const char *path;
    uint8_t *bytes;
    size_t n;
    aios_io io;
    aios_model *m;
    int32_t n_vocab, n_embd, n_layer;
} model;
enum { TALE, STORIES, GEMMA2, GPT2, N_MODELS };
static model models[N_MODELS];

static books mem;
static int model_open(model *m, const char *path) {
    aios_model_desc d;
    const aios_allocator a = books_allocator(&mem);
    aios_model_info x;
    aios_error e;
    m->path = path;
    m->bytes = test_read_file(path, &m->n);
    if (!m->bytes) return 0;
    aios_io_memory(&m->io, m->bytes, m->n);
    aios_model_desc_init(&d);
    d.mem = &a;
    d.io = &m->io;
    if (!CHECK_AT(aios_model_open(&d, &m->m, &e) == 0, "%s: %s", path, e.text)) return 0;
    aios_model_info_init(&x);
    aios_model_get_info(m->m, &x);
    m->n_vocab = x.n_vocab;
    m->n_embd = x.n_embd;
    m->n_layer = x.n_layer;
    return 1;
}

/* ---- kinds of cache, and contexts of a kind ---- */
typedef struct kind {
    const char *name;
    int32_t model, n_ctx, type, old_type, recent, window, sinks;
} kind;
typedef struct way {
    int32_t n_seq, n_batch, n_threads, isa, positions, spill, timed;
} way; /* how a context is run: no bit depends on it */
typedef struct rig {
    const kind *k;
    const model *m;
    aios_context *c;
    aios_plan plan;
    aios_error err;
    late_clock clock;
    attic *a;
    int32_t n_seq;
    uint64_t last[16];
    int32_t n_rows;
} rig;

static int rig_plan(rig *r, const kind *k, const way *w) {
    aios_plan_desc pd;
    memset(r, 0, sizeof *r);
    r->k = k;
    r->m = &models[k->model];
    r->n_seq = w->n_seq ? w->n_seq : 1;
    r->clock.now = 1000;
    aios_plan_desc_init(&pd);
    pd.n_ctx = k->n_ctx;
    pd.n_seq = w->n_seq;
    pd.n_batch = w->n_batch ? w->n_batch : 64;
    pd.n_outputs = pd.n_batch;
    pd.n_threads = w->n_threads;
    pd.isa = w->isa;
    pd.kv_type = k->type;
    pd.kv_old_type = k->old_type;
    pd.kv_recent = k->recent;
    pd.kv_window = k->window;
    pd.kv_sinks = k->sinks;
    pd.kv_positions = w->positions;
    aios_plan_init(&r->plan);
    return aios_plan_make(r->m->m, &pd, &r->plan, &r->err) == 0;
}
static int rig_open(rig *r, const kind *k, const way *w) {
    aios_context_desc cd;
    aios_spill sp;
    if (!CHECK_AT(rig_plan(r, k, w), "%s: %s", k->name, r->err.text)) return 0;
    aios_context_desc_init(&cd);
    if (w->timed) {
        cd.now_ns = late_now;
        cd.now_user = &r->clock;
    }
    if (w->spill) {
        r->a = (attic *)calloc(1, sizeof *r->a);
        r->a->clock = &r->clock;
        sp = attic_spill(r->a);
        cd.spill = &sp;
    }
    if (!CHECK_AT(aios_context_open(r->m->m, &r->plan, &cd, &r->c, &r->err) == 0, "%s: %s", k->name,
                  r->err.text))
        return 0;
    return 1;
}
static aios_cache_info info_of(const rig *r) {
    aios_cache_info x;
    aios_cache_info_init(&x);
    CHECK_EQ(aios_cache_get_info(r->c, &x), 0);
    return x;
}
/* At the end every page is free again, and the host holds none. */
static void rig_close(rig *r) {
    int32_t s;
    if (r->c) {
        for (s = 0; s < r->n_seq; s++) CHECK_EQ(aios_seq_truncate(r->c, s, 0, &r->err), 0);
        CHECK_EQ(info_of(r).n_free, info_of(r).n_pages);
        CHECK_EQ(info_of(r).n_shared, 0);
        CHECK_EQ(info_of(r).n_spilled, 0);
    }
    aios_context_free(r->c);
    if (r->a) CHECK(r->a->n_kept == 0 && r->a->wrong == 0);
    free(r->a);
    memset(r, 0, sizeof *r);
}

/* ---- the book: rows by the tokens before them ---- */
enum { BOOK = 1 << 17 };
typedef struct entry {
    uint64_t key, row;
    int32_t truth;
} entry;
static entry book[BOOK];
static int32_t book_n;
static rig truth_rig; /* one sequence, fed from the start */

static uint64_t key_of(uint64_t h, int32_t id) {
    h = (h ^ (uint64_t)(id + 1)) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}
static uint64_t key_all(const int32_t *ids, int32_t n) {
    uint64_t h = 7;
    int32_t i;
    for (i = 0; i < n; i++) h = key_of(h, ids[i]);
    return h;
}
static uint64_t words(uint64_t h, const void *p, size_t n) {
    const char *b = (const char *)p;
    uint32_t x;
    for (; n >= 4; n -= 4, b += 4) {
        memcpy(&x, b, 4);
        h = (h ^ x) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return h;
}
static entry *book_at(uint64_t key) {
    uint64_t i = key % BOOK;
    while (book[i].key && book[i].key != key) i = (i + 1) % BOOK;
    if (!book[i].key && CHECK(++book_n < BOOK - 1)) {
        book[i].key = key;
        book[i].row = 0;
        book[i].truth = 0;
    }
    return &book[i];
}
static void book_clear(void) {
    memset(book, 0, sizeof book);
    book_n = 0;
}

/* The rows that the last step left: as the book has them, or new to it. 1 when all agree. */
static int rows(rig *r, int32_t truth) {
    int32_t i, ok = 1, seq = -1, pos = -1;
    for (i = 0; i < aios_output_count(r->c); i++) {
        aios_output o;
        entry *e;
        uint64_t h;
        aios_output_init(&o);
        if (!CHECK_EQ(aios_output_get(r->c, i, &o), 0)) return 0;
        ok &= CHECK(o.seq > seq || (o.seq == seq && o.pos > pos));
        seq = o.seq;
        pos = o.pos;
        ok &= CHECK_EQ(aios_seq_tokens(r->c, seq)[pos], o.token);
        h = words(words(1, o.logits, (size_t)r->m->n_vocab * 4), o.embedding,
                  (size_t)r->m->n_embd * 4) |
            1;
        if (seq < 16) r->last[seq] = h;
        r->n_rows++;
        e = book_at(key_all(aios_seq_tokens(r->c, seq), pos + 1));
        if (e->row && e->row != h) {
            if (ok)
                printf("  %s: seq %d pos %d: other logits than before (%s)\n", r->k->name, (int)seq,
                       (int)pos,
                       e->truth ? "fed from the start"
                       : truth  ? "this is the truth"
                                : "in another way");
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
        if (!CHECK_AT(st >= 0, "%s: %s", r->k->name, r->err.text)) return 0;
        ok &= rows(r, truth);
    } while (st == AIOS_MORE && ok);
    return ok;
}
/* The true rows of some tokens, against all that was seen so far. */
static int truth(const int32_t *ids, int32_t n) {
    rig *r = &truth_rig;
    if (n == 0 || book_at(key_all(ids, n))->truth) return 1;
    if (aios_seq_truncate(r->c, 0, 0, NULL) ||
        aios_feed(r->c, 0, ids, (uint64_t)n, AIOS_FEED_ALL_LOGITS, NULL))
        return 0;
    return drain(r, 1);
}
static int truth_open(const kind *k) {
    static const way alone = { 1, 64, 1, 0, 0, 0, 0 };
    book_clear();
    return rig_open(&truth_rig, k, &alone);
}
static void truth_close(void) { rig_close(&truth_rig); }

static void text(int32_t *ids, int32_t n, int32_t n_vocab, uint64_t seed) {
    int32_t i;
    for (i = 0; i < n; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)n_vocab);
}
/* Feeds all and steps; every row is kept. */
static int go(rig *r, int32_t seq, const int32_t *ids, int32_t n) {
    return aios_feed(r->c, seq, ids, (uint64_t)n, AIOS_FEED_ALL_LOGITS, &r->err) == 0 &&
           drain(r, 0);
}

#define KV44 AIOSK_KV_C4
#define KV8  AIOSK_KV_I8
#define KV33 AIOSK_KV_C3

/* ---- 1: a thousand forks ---- */
static void forks_share_the_prefix_and_change_no_bit(int32_t type, int32_t n_seq,
                                                     int32_t n_prefix) {
    kind k = { "forks", TALE, 0, 0, 0, 0, 0, 0 };
    way w = { 0, 64, 2, 0, 0, 0, 0 }, one = { 1, 64, 2, 0, 0, 0, 0 };
    rig r, alone;
    static int32_t ids[MAX_CTX], own[MAX_SEQ][3], n_own[MAX_SEQ], order[MAX_SEQ];
    static float *got[MAX_SEQ];
    aios_cache_info before, after;
    int32_t tiles = (n_prefix + 63) / 64, tail = n_prefix % 64 != 0, coded = type == KV44, i, j, n,
            ok = 1;
    aios_status st;
    uint32_t used0, used1;
    size_t row;
    k.type = type;
    k.n_ctx = n_prefix + 100;
    w.n_seq = n_seq;
    w.positions = (tiles + n_seq - 1) * 64;
    if (!rig_open(&r, &k, &w)) return;
    row = (size_t)r.m->n_vocab * 4;
    printf(
        "%d sequences of %d positions over a prefix of %d: META %llu bytes (%llu per sequence), cache %llu, scratch %llu\n",
        (int)n_seq, (int)k.n_ctx, (int)n_prefix,
        (unsigned long long)r.plan.request_bytes[AIOS_MEM_META],
        (unsigned long long)(r.plan.request_bytes[AIOS_MEM_META] / (uint64_t)n_seq),
        (unsigned long long)r.plan.request_bytes[AIOS_MEM_KV],
        (unsigned long long)r.plan.request_bytes[AIOS_MEM_SCRATCH]);
    text(ids, n_prefix, r.m->n_vocab, 3);
    CHECK_EQ(aios_feed(r.c, 0, ids, (uint64_t)n_prefix, AIOS_FEED_NO_LOGITS, &r.err), 0);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_OK);
    before = info_of(&r);
    /* of the prefix: f16 has its tiles open; kv44 the first and the newest open, those between
     * sealed (their open pages stay as spares) */
    used0 = (uint32_t)tiles;
    CHECK_EQ(before.n_pages - before.n_free - before.n_spare, used0);
    CHECK_EQ(before.n_shared, 0);
    CHECK(coded || before.n_spare == 0);
    for (i = 1; i < n_seq; i++)
        ok &= aios_seq_fork(r.c, i, 0, n_prefix, &r.err) == 0 &&
              aios_seq_processed(r.c, i) == n_prefix;
    CHECK(ok);
    after = info_of(&r);
    CHECK_EQ(after.n_free, before.n_free);
    CHECK_EQ(after.n_shared, used0);
    CHECK(after.saved_bytes > 0); /* forking takes no page */
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
    CHECK_AT(st == AIOS_OK, "%s", r.err.text);
    for (i = 1; i < n_seq; i++) ok &= got[i] != NULL;
    CHECK(ok);
    /* each fork has its tail alone: one open page, be it a copy of the prefix's or (at a tile's
     * edge) a new one */
    after = info_of(&r);
    used1 = used0 + (uint32_t)n_seq - 1;
    CHECK_AT(after.n_pages - after.n_free - after.n_spare == used1 &&
                 after.n_shared == used0 - (uint32_t)tail,
             "%u pages, %u free, %u spare, %u shared; wanted %u in use", after.n_pages,
             after.n_free, after.n_spare, after.n_shared, used1);
    printf(
        "  kv %d: %u pages of the prefix, %u with %d forks, %u spare; sharing saves %llu bytes\n",
        (int)type, used0, after.n_pages - after.n_free - after.n_spare, (int)n_seq - 1,
        after.n_spare, (unsigned long long)after.saved_bytes);
    /* some of them, alone */
    if (rig_open(&alone, &k, &one)) {
        for (j = 0; j < (brief ? 1 : 2); j++) {
            i = j == 0 ? n_seq - 1 : 1 + rnd(n_seq - 1);
            CHECK_EQ(aios_seq_truncate(alone.c, 0, 0, NULL), 0);
            CHECK_EQ(aios_feed(alone.c, 0, ids, (uint64_t)n_prefix, AIOS_FEED_NO_LOGITS, NULL), 0);
            CHECK_EQ(aios_feed(alone.c, 0, own[i], (uint64_t)n_own[i], 0, NULL), 0);
            CHECK_EQ(aios_step(alone.c, 0, NULL), AIOS_OK);
            CHECK(aios_logits(alone.c, 0));
            CHECK_MEM(aios_logits(alone.c, 0), got[i], row);
        }
        for (j = 0; j < (brief ? 20 : 60); j++) { /* and more, from the prefix of that context */
            i = 1 + rnd(n_seq - 1);
            CHECK_EQ(aios_seq_truncate(alone.c, 0, n_prefix, NULL), 0);
            CHECK_EQ(aios_feed(alone.c, 0, own[i], (uint64_t)n_own[i], 0, NULL), 0);
            CHECK_EQ(aios_step(alone.c, 0, NULL), AIOS_OK);
            CHECK(aios_logits(alone.c, 0));
            CHECK_MEM(aios_logits(alone.c, 0), got[i], row);
        }
        rig_close(&alone);
    }
    for (i = 1; i < n_seq; i++) order[i] = i;
    for (i = n_seq - 1; i > 1; i--) {
        j = 1 + rnd(i);
        n = order[i];
        order[i] = order[j];
        order[j] = n;
    }
    for (i = 1; i < n_seq; i++) {
        ok &= aios_seq_truncate(r.c, order[i], 0, &r.err) == 0;
        if (i % 100) continue;
        after = info_of(&r);
        CHECK_EQ(after.n_pages - after.n_free - after.n_spare, used1 - (uint32_t)i);
    }
    CHECK(ok);
    after = info_of(&r);
    CHECK_EQ(after.n_pages - after.n_free - after.n_spare, used0);
    CHECK_EQ(after.n_shared, 0);
    for (i = 1; i < n_seq; i++) {
        free(got[i]);
        got[i] = NULL;
    }
    rig_close(&r);
}

/* ---- kinds, and ways to run them ---- */
#define KINDS(M)                                                                                 \
    { "f16", M, 600, AIOSK_KV_F16, 0, 0, 0, 0 }, { "kv8", M, 600, KV8, 0, 0, 0, 0 },             \
        { "kv44", M, 600, KV44, 0, 0, 0, 0 }, { "kv8, old kv33", M, 600, KV8, KV33, 128, 0, 0 }, \
        { "f16, window", M, 600, AIOSK_KV_F16, 0, 0, 150, 4 },                                   \
        { "kv44, window", M, 600, KV44, 0, 0, 150, 4 },                                          \
        { "gemma2 f16", GEMMA2, 600, AIOSK_KV_F16, 0, 0, 0, 0 }, {                               \
        "gemma2 kv84, old", GEMMA2, 600, AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4), KV33, 128, 0, 0     \
    }
static kind kinds[8], small_kinds[8];
enum { N_KINDS = 8 };
static int small_model; /* STORIES, or TALE where that is missing */
static void kinds_fill(void) {
    const kind a[] = { KINDS(TALE) };
    size_t i;
    memcpy(kinds, a, sizeof a);
    memcpy(small_kinds, a, sizeof a);
    small_model = models[STORIES].m ? STORIES : TALE;
    for (i = 0; i < N_KINDS; i++)
        if (small_kinds[i].model == TALE) small_kinds[i].model = small_model;
}
static int have(const kind *k) { return models[k->model].m != NULL; }

/* ---- 2: saved and restored ---- */
typedef struct blob {
    uint8_t *p;
    uint64_t n;
} blob;
static int save(rig *r, int32_t seq, int32_t base, blob *b) {
    uint64_t n = 0;
    b->n = 0;
    b->p = NULL;
    if (!CHECK_AT(aios_seq_save(r->c, seq, base, NULL, 0, &b->n, &r->err) == 0, "%s: %s",
                  r->k->name, r->err.text))
        return 0;
    b->p = (uint8_t *)malloc((size_t)b->n);
    CHECK(aios_seq_save(r->c, seq, base, b->p, b->n - 1, &n, &r->err) == AIOS_ERR_FULL &&
          n == b->n && r->err.text[0]);
    memset(b->p, 0xA5, (size_t)b->n);
    return CHECK(aios_seq_save(r->c, seq, base, b->p, b->n, &n, &r->err) == 0 && n == b->n);
}
/* Restored in r, it goes on: rows of what follows are checked by the book. */
static int goes_on(rig *r, int32_t seq, int32_t base, const blob *b, const int32_t *ids,
                   int32_t fed, int32_t n) {
    int ok = 1;
    if (!CHECK_AT(aios_seq_restore(r->c, seq, base, b->p, b->n, &r->err) == 0, "%s: %s", r->k->name,
                  r->err.text))
        return 0;
    ok &= CHECK(aios_seq_length(r->c, seq) == fed &&
                memcmp(aios_seq_tokens(r->c, seq), ids, (size_t)fed * 4) == 0);
    ok &= CHECK(go(r, seq, ids + fed, n - fed));
    return ok & CHECK_EQ(aios_seq_truncate(r->c, seq, 0, &r->err), 0);
}
/* Does a base that goes on keep what its forks share? */
static int b_full(const kind *k) { return !k->old_type && !k->window && k->model != GEMMA2; }
enum { MAX_HEIRS = AIOSK_N_ISA + 3 };
static rig heirs[MAX_HEIRS];
static int32_t n_heirs;
static void heirs_open(const kind *k, int32_t most) {
    static const int32_t batches[] = { 64, 7, 1, 33, 50, 64, 17 };
    int32_t isa, i;
    n_heirs = 0;
    for (i = 0; i < AIOSK_N_ISA; i++) { /* 0 = the best; plain C, which is slow, last */
        way w = { 0, 0, 0, 0, 0, 0, 0 };
        isa = i ? AIOSK_N_ISA - i : 0;
        if (!aiosk_select(isa) || n_heirs == most) continue;
        w.n_seq = 1 + n_heirs % 4;
        w.n_batch = batches[n_heirs % 7];
        w.n_threads = isa == 0 && k->type == KV44 && !k->window
                          ? 2
                          : 1; /* threads that wait for each other are slow where others compute */
        w.isa = isa;
        if (n_heirs % 2) w.positions = 640;
        if (w.n_seq < 2) w.n_seq = 2;
        n_heirs += rig_open(&heirs[n_heirs], k, &w);
    }
}
static void heirs_close(void) {
    while (n_heirs) rig_close(&heirs[--n_heirs]);
}
static void saved_sequences_go_on_with_the_same_bits(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 0, 0, 1 }, sw = { 3, 64, 1, 0, 512, 1, 0 };
    static const int32_t lengths[] = { 330, 70, 64, 1 };
    int32_t ids[600], other[600], third[250], i, j, l, n, m, q;
    rig a, s;
    blob b, b2;
    if (!have(k) || !truth_open(k)) return;
    if (k->type >= KV8) sw.positions = 320; /* its newest and first tiles are not counted */
    if (!rig_open(&a, k, &w) || !rig_open(&s, k, &sw)) return;
    heirs_open(k, brief ? 2 : k->type == KV44 ? MAX_HEIRS : 3);
    for (l = 0; l < (brief ? 1 : k->type == KV44 ? 4 : 2); l++) {
        n = lengths[l];
        m = n + 40;
        text(ids, m, a.m->n_vocab, 100 + (uint64_t)l);
        text(other, 600, a.m->n_vocab, 200 + (uint64_t)l);
        CHECK(truth(ids, m));
        /* whole */
        CHECK(go(&a, 0, ids, n) && save(&a, 0, -1, &b));
        for (i = 0; i < n_heirs; i++)
            CHECK(goes_on(&heirs[i], i % heirs[i].n_seq, -1, &b, ids, n, m));
        CHECK(goes_on(&a, 3, -1, &b, ids, n, m));
        CHECK(go(&a, 0, ids + n, m - n)); /* and where it was saved */
        CHECK_EQ(aios_seq_truncate(a.c, 0, 0, NULL), 0);
        free(b.p);
        /* a fork that went on, without and with its base, which stands elsewhere as well, and
         * has gone on itself */
        q = n - n / 4;
        memcpy(other, ids, (size_t)q * 4);
        CHECK(truth(other, m));
        for (j = 0; j < 2; j++) {
            int32_t apart = j == 0 && b_full(k) ? n : q; /* tokens of the base when it is forked */
            CHECK(go(&a, 1, ids, apart));
            CHECK_EQ(aios_seq_fork(a.c, 2, 1, q, &a.err), 0);
            CHECK(go(&a, 2, other + q, n - q));
            CHECK(save(&a, 2, -1, &b) && save(&a, 2, 1, &b2));
            CHECK(b2.n <= b.n && (n < 130 || !b_full(k) || b2.n < b.n * 2 / 3));
            for (i = 0; i < n_heirs; i++) {
                rig *h = &heirs[i];
                CHECK(goes_on(h, 0, -1, &b, other, n, m));
                if (n >= 130 && b2.n < b.n)
                    CHECK(aios_seq_restore(h->c, 1, 0, b2.p, b2.n, &h->err) == AIOS_ERR_STATE &&
                          h->err.text[0] && aios_seq_length(h->c, 1) == 0);
                CHECK(go(h, 0, ids, apart));
                CHECK(goes_on(h, 1, 0, &b2, other, n, m));
                CHECK(go(h, 0, ids + apart, m - apart));
                CHECK_EQ(aios_seq_truncate(h->c, 0, 0, NULL), 0);
            }
            CHECK(goes_on(&a, 3, 1, &b2, other, n, m) && go(&a, 2, other + n, m - n) &&
                  go(&a, 1, ids + apart, m - apart));
            for (i = 1; i < 3; i++) CHECK_EQ(aios_seq_truncate(a.c, i, 0, NULL), 0);
            free(b.p);
            free(b2.p);
        }
        /* with tokens that wait, rows of them wanted; in the middle of a pass */
        for (j = 0; j < 6; j++) {
            int32_t steps = j < 2 ? 0 : 1 << 2 * (j - 2);
            q = j < 1 ? 0 : n / 2;
            a.n_rows = 0;
            CHECK(q == 0 || go(&a, 0, ids, q));
            CHECK_EQ(aios_feed(a.c, 0, ids + q, (uint64_t)(n - q), AIOS_FEED_ALL_LOGITS, &a.err),
                     0);
            for (i = 0; i < steps; i++) {
                aios_status st = aios_step(a.c, 1, &a.err);
                CHECK(st >= 0 && rows(&a, 0));
                if (st == AIOS_OK) break;
            }
            if (!save(&a, 0, -1, &b)) continue;
            for (i = 0; i < n_heirs; i++) {
                heirs[i].n_rows = aios_seq_processed(a.c, 0);
                CHECK(goes_on(&heirs[i], 0, -1, &b, ids, n, m));
                CHECK_EQ(heirs[i].n_rows, m);
                if (brief) break;
            }
            CHECK(drain(&a, 0));
            CHECK_EQ(a.n_rows, n);
            CHECK(go(&a, 0, ids + n, m - n));
            CHECK_EQ(aios_seq_truncate(a.c, 0, 0, NULL), 0);
            free(b.p);
        }
        /* with pages at the host: its own, and those of the base */
        if (n < 128) continue;
        q = n - n / 4;
        CHECK(go(&s, 0, ids, q));
        CHECK_EQ(aios_seq_fork(s.c, 1, 0, q, &s.err), 0);
        CHECK(go(&s, 1, other + q, n - q));
        text(third, 250, s.m->n_vocab, 5);
        CHECK(truth(third, 250) && go(&s, 2, third, 250));
        CHECK(info_of(&s).n_spilled > 0 || k->window || k->model == GEMMA2);
        CHECK(save(&s, 1, 0, &b) && save(&s, 0, -1, &b2));
        for (i = 0; i < n_heirs; i++) {
            CHECK_EQ(aios_seq_restore(heirs[i].c, 0, -1, b2.p, b2.n, &heirs[i].err), 0);
            CHECK(goes_on(&heirs[i], 1, 0, &b, other, n, m));
            CHECK(go(&heirs[i], 0, ids + q, m - q));
            CHECK_EQ(aios_seq_truncate(heirs[i].c, 0, 0, NULL), 0);
        }
        CHECK(go(&s, 0, ids + q, m - q) && go(&s, 1, other + n, m - n));
        for (i = 0; i < 3; i++) CHECK_EQ(aios_seq_truncate(s.c, i, 0, NULL), 0);
        free(b.p);
        free(b2.p);
    }
    heirs_close();
    rig_close(&s);
    rig_close(&a);
    truth_close();
}

/* Sentences: every refusal has one, and the code that the record says. */
static int refused(rig *r, aios_status st, aios_status want) {
    int ok = st == want && r->err.code == want && r->err.text[0];
    if (!ok)
        printf("  %s: status %d (%d wanted): \"%s\"\n", r->k->name, (int)st, (int)want,
               r->err.text);
    memset(&r->err, 0, sizeof r->err);
    return ok;
}
/* Blobs that do not belong here, and damaged ones: refused, and nothing is touched. */
static void states_that_do_not_belong_here_are_refused(void) {
    kind k = small_kinds[2], other_type = k, shorter = k, longer = k, moved = k;
    way w = { 3, 64, 1, 0, 0, 0, 0 }, few = { 2, 64, 1, 0, 0, 0, 0 };
    int32_t ids[600], i, n = 200, m = 240;
    rig a, h;
    blob b, b2, b3;
    uint8_t keep;
    if (!truth_open(&k) || !rig_open(&a, &k, &w)) return;
    text(ids, 600, a.m->n_vocab, 9);
    CHECK(truth(ids, m) && go(&a, 0, ids, n) && go(&a, 1, ids, 150) && save(&a, 0, -1, &b));
    for (i = 0; i < 96 + 200; i++) {
        uint64_t at = i < 96 ? (uint64_t)i : (uint64_t)rnd((int32_t)b.n);
        keep = b.p[at];
        b.p[at] ^= (uint8_t)(1 + rnd(255));
        CHECK(refused(&a, aios_seq_restore(a.c, 2, -1, b.p, b.n, &a.err),
                      at >= 8 && at < 12 ? AIOS_ERR_UNSUPPORTED : AIOS_ERR_FORMAT));
        b.p[at] = keep;
    }
    for (i = 0; i < 200; i++) { /* cut off, in memory of just that size */
        uint64_t cut = i < 100 ? (uint64_t)i : (uint64_t)rnd((int32_t)b.n);
        uint8_t *p = (uint8_t *)malloc(cut ? (size_t)cut : 1);
        memcpy(p, b.p, (size_t)cut);
        CHECK(refused(&a, aios_seq_restore(a.c, 2, -1, p, cut, &a.err), AIOS_ERR_FORMAT));
        free(p);
    }
    { /* too long */
        uint8_t *p = (uint8_t *)calloc(1, (size_t)b.n + 8);
        memcpy(p, b.p, (size_t)b.n);
        CHECK(refused(&a, aios_seq_restore(a.c, 2, -1, p, b.n + 8, &a.err), AIOS_ERR_FORMAT));
        free(p);
    }
    CHECK_EQ(aios_seq_length(a.c, 2), 0);
    CHECK_EQ(info_of(&a).n_shared, 0);
    CHECK(go(&a, 1, ids + 150, 50));
    CHECK(go(&a, 2, ids, m));
    CHECK_EQ(aios_seq_truncate(a.c, 2, 0, NULL), 0); /* all is as it was */
    CHECK(refused(&a, aios_seq_restore(a.c, 1, -1, b.p, b.n, &a.err),
                  AIOS_ERR_STATE)); /* not an empty one */
    CHECK(goes_on(&a, 2, -1, &b, ids, n, m));
    /* other models, other caches */
    other_type.type = KV8;
    if (rig_open(&h, &other_type, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b.p, b.n, &h.err), AIOS_ERR_MODEL));
        CHECK_EQ(aios_seq_length(h.c, 0), 0);
        rig_close(&h);
    }
    other_type = k;
    other_type.old_type = KV33;
    other_type.recent = 100;
    if (rig_open(&h, &other_type, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b.p, b.n, &h.err), AIOS_ERR_MODEL));
        rig_close(&h);
    }
    other_type = k;
    other_type.window = 100;
    if (rig_open(&h, &other_type, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b.p, b.n, &h.err), AIOS_ERR_MODEL));
        rig_close(&h);
    }
    other_type = k;
    other_type.model = k.model == TALE ? GEMMA2 : TALE;
    if (have(&other_type) && rig_open(&h, &other_type, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b.p, b.n, &h.err), AIOS_ERR_MODEL));
        rig_close(&h);
    }
    shorter.n_ctx = 199;
    if (rig_open(&h, &shorter, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b.p, b.n, &h.err), AIOS_ERR_FULL) &&
              go(&h, 0, ids, 100));
        rig_close(&h);
    }
    shorter.n_ctx = 200;
    if (rig_open(&h, &shorter, &few)) {
        CHECK(goes_on(&h, 0, -1, &b, ids, n, n));
        rig_close(&h);
    }
    longer.n_ctx = 1000;
    if (rig_open(&h, &longer, &few)) {
        CHECK(goes_on(&h, 0, -1, &b, ids, n, m));
        rig_close(&h);
    }
    { /* no pages left */
        way tight = { 3, 64, 1, 0, 64, 0, 0 };
        if (rig_open(&h, &k, &tight)) {
            CHECK(go(&h, 0, ids, 64) &&
                  refused(&h, aios_seq_restore(h.c, 1, -1, b.p, b.n, &h.err), AIOS_ERR_FULL) &&
                  go(&h, 0, ids + 64, 10));
            rig_close(&h);
        }
    }
    /* fewer tokens than places: what was taken out of a tile leaves holes, and waiting tokens
     * come behind them */
    CHECK_EQ(aios_seq_remove(a.c, 0, 1, 60, &a.err), 0);
    CHECK_EQ(aios_seq_length(a.c, 0), 141);
    CHECK(save(&a, 0, -1, &b2));
    CHECK_EQ(aios_feed(a.c, 0, ids, 51, AIOS_FEED_ALL_LOGITS, &a.err), 0);
    CHECK(save(&a, 0, -1, &b3));
    shorter.n_ctx = 192;
    if (rig_open(&h, &shorter, &few)) {
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b2.p, b2.n, &h.err),
                      AIOS_ERR_FULL)); /* 141 tokens in 200 places */
        CHECK(refused(&h, aios_seq_restore(h.c, 0, -1, b3.p, b3.n, &h.err), AIOS_ERR_FULL));
        CHECK(go(&h, 0, ids, 190) && go(&h, 1, ids, 190));
        rig_close(&h);
    }
    shorter.n_ctx = 250;
    if (rig_open(&h, &shorter, &few)) { /* 251 places in 256 */
        CHECK_EQ(aios_seq_restore(h.c, 0, -1, b3.p, b3.n, &h.err), 0);
        CHECK_EQ(aios_step(h.c, 0, &h.err), AIOS_OK);
        CHECK_EQ(aios_seq_processed(h.c, 0), 192);
        CHECK_EQ(aios_feed(h.c, 0, ids, 6, 0, &h.err), AIOS_ERR_FULL);
        CHECK_EQ(aios_feed(h.c, 0, ids, 5, 0, &h.err), 0);
        CHECK_EQ(aios_step(h.c, 0, &h.err), AIOS_OK);
        CHECK(go(&h, 1, ids, m));
        rig_close(&h);
    }
    free(b2.p);
    free(b3.p);
    rig_close(&a);
    free(b.p);
    truth_close();
    /* an old type: short contexts have no old tiles at all, and still know those of long ones */
    moved = small_kinds[3];
    if (truth_open(&moved)) {
        shorter = moved;
        shorter.n_ctx = 128;
        CHECK(rig_open(&a, &moved, &w) && rig_open(&h, &shorter, &few));
        CHECK(truth(ids, 100) && go(&a, 0, ids, 80) && save(&a, 0, -1, &b) &&
              goes_on(&h, 0, -1, &b, ids, 80, 100));
        CHECK(go(&h, 1, ids, 80) && save(&h, 1, -1, &b2) && goes_on(&a, 1, -1, &b2, ids, 80, 100));
        free(b.p);
        free(b2.p);
        rig_close(&h);
        rig_close(&a);
        truth_close();
    }
}

/* ---- 3 and 4: everything in random order ---- */
enum { WANDER_SEQ = 8 };
static void anything_in_any_order_gives_the_same_bits(const kind *k, const way *w, uint64_t seed) {
    const int32_t n_ops = brief ? 100 : 300;
    CASE("%s", k->name);
    static int32_t ids[WANDER_SEQ][600];
    int32_t len[WANDER_SEQ] = { 0 }, i, s, n, full = 0, counts[7] = { 0 }, blob_len = 0;
    static int32_t blob_ids[600];
    blob b = { NULL, 0 };
    aios_counters x;
    rig r;
    int ok = 1;
    if (!have(k) || !truth_open(k)) return;
    if (!rig_open(&r, k, w)) return;
    rng = seed;
    for (i = 0; i < n_ops && ok; i++) {
        int32_t what = rnd(100);
        aios_status st;
        s = rnd(r.n_seq);
        if (what < 30) {
            n = 1 + rnd(rnd(3) ? 12 : 150);
            if (n > k->n_ctx - len[s]) continue;
            text(ids[s] + len[s], n, r.m->n_vocab, test_rand(&rng));
            ok &= CHECK_EQ(aios_feed(r.c, s, ids[s] + len[s], (uint64_t)n,
                                     rnd(3)   ? AIOS_FEED_ALL_LOGITS
                                     : rnd(2) ? 0
                                              : AIOS_FEED_NO_LOGITS,
                                     &r.err),
                           0);
            len[s] += n;
            counts[0]++;
        } else if (what < 75) {
            int32_t how = rnd(5);
            if (how == 0 && w->timed) aios_interrupt(r.c);
            st = aios_step(r.c,
                           !w->timed || how < 2 ? 0
                           : how == 2           ? 1
                                                : r.clock.now + (uint64_t)rnd(400),
                           &r.err);
            full += st == AIOS_ERR_FULL;
            ok &= CHECK(st >= 0 || (st == AIOS_ERR_FULL && w->positions && r.err.text[0])) &
                  CHECK(rows(&r, 0));
            if (rnd(12) == 0) {
                aios_cancel(r.c);
                ok &= CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED));
            }
            counts[1]++;
        } else if (what < 85) {
            n = rnd(3) ? len[s] - rnd((len[s] < 80 ? len[s] : 80) + 1) : rnd(len[s] + 1);
            ok &= CHECK(truth(ids[s], aios_seq_processed(r.c, s)));
            st = aios_seq_truncate(r.c, s, n, &r.err);
            ok &= CHECK(st == 0 || (st == AIOS_ERR_FULL && w->spill));
            if (!st) len[s] = n;
            counts[2]++;
        } else if (what < 92) {
            int32_t d = rnd(r.n_seq);
            if (d == s) continue;
            ok &= CHECK(truth(ids[d], aios_seq_processed(r.c, d)) &&
                        aios_seq_truncate(r.c, d, 0, &r.err) == 0);
            len[d] = 0;
            n = rnd(2) ? len[s] : rnd(len[s] + 1);
            st = aios_seq_fork(r.c, d, s, n, &r.err);
            ok &= CHECK(st == 0 || (st == AIOS_ERR_FULL && w->spill));
            if (!st) {
                memcpy(ids[d], ids[s], (size_t)n * 4);
                len[d] = n;
            }
            counts[3]++;
        } else if (what < 95) {
            uint64_t got;
            st = aios_seq_save(r.c, s, -1, NULL, 0, &got, &r.err);
            ok &= CHECK(st == 0 || (st == AIOS_ERR_FULL && w->spill));
            if (st) continue;
            b.n = got;
            b.p = (uint8_t *)realloc(b.p, (size_t)b.n);
            ok &= CHECK_EQ(aios_seq_save(r.c, s, -1, b.p, b.n, &got, &r.err), 0);
            memcpy(blob_ids, ids[s], (size_t)len[s] * 4);
            blob_len = len[s];
            counts[4]++;
        } else if (what < 98) {
            if (!b.p) continue;
            ok &= CHECK(truth(ids[s], aios_seq_processed(r.c, s)) &&
                        aios_seq_truncate(r.c, s, 0, &r.err) == 0);
            len[s] = 0;
            st = aios_seq_restore(r.c, s, -1, b.p, b.n, &r.err);
            ok &= CHECK(st == 0 || (st == AIOS_ERR_FULL && w->positions));
            if (!st) {
                memcpy(ids[s], blob_ids, (size_t)blob_len * 4);
                len[s] = blob_len;
            }
            counts[5]++;
        } else { /* who begins like this one? */
            int32_t same = -1, j, best = 0, f = aios_seq_find(r.c, ids[s], (uint64_t)len[s], &same);
            for (j = 0; j < r.n_seq; j++) {
                for (n = 0; n < aios_seq_processed(r.c, j) && n < len[s] && ids[j][n] == ids[s][n];
                     n++) {}
                if (n > best) best = n;
            }
            ok &= CHECK(same == best && (best == 0) == (f < 0) &&
                        (f < 0 || memcmp(ids[f], ids[s], (size_t)best * 4) == 0));
            counts[6]++;
        }
        for (s = 0; s < r.n_seq; s++)
            ok &= aios_seq_length(r.c, s) == len[s] && aios_seq_processed(r.c, s) <= len[s] &&
                  memcmp(aios_seq_tokens(r.c, s), ids[s], (size_t)len[s] * 4) == 0;
        CHECK(ok);
    }
    if (!w->positions) ok &= drain(&r, 0);
    for (s = 0; s < r.n_seq; s++) ok &= CHECK(truth(ids[s], aios_seq_processed(r.c, s)));
    aios_counters_init(&x);
    aios_counters_get(r.c, &x);
    if (w->spill && !brief && !k->window && k->type == AIOSK_KV_F16 && k->model != GEMMA2)
        CHECK(x.n_spilled > 0 && x.n_fetched > 0);
    printf(
        "%s, %d sequences, batch %d: %d fed, %d stepped, %d cut, %d forked, %d saved, %d restored, %d found; %d rows, %d in the book; %d times no room, %d pages spilled%s\n",
        k->name, (int)r.n_seq, (int)w->n_batch, (int)counts[0], (int)counts[1], (int)counts[2],
        (int)counts[3], (int)counts[4], (int)counts[5], (int)counts[6], (int)r.n_rows, (int)book_n,
        (int)full, (int)x.n_spilled, ok ? "" : ": FAILED");
    free(b.p);
    rig_close(&r);
    truth_close();
}

/* ---- 5: when the cache is full ---- */
static void a_full_cache_says_so_and_goes_on(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 384, 0, 0 };
    int32_t ids[3][300], i;
    rig r;
    if (!truth_open(k) || !rig_open(&r, k, &w)) return;
    for (i = 0; i < 3; i++) {
        text(ids[i], 300, r.m->n_vocab, 40 + (uint64_t)i);
        CHECK(truth(ids[i], 300));
    }
    CHECK(go(&r, 0, ids[0], 200) && go(&r, 1, ids[1], 100)); /* 4 tiles, 2 tiles: all six */
    CHECK_EQ(aios_feed(r.c, 2, ids[2], 70, AIOS_FEED_ALL_LOGITS, &r.err), 0);
    CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_FULL));
    CHECK_EQ(aios_seq_processed(r.c, 2), 0);
    CHECK_EQ(aios_output_count(r.c), 0);
    /* the others go on, as far as their tiles reach */
    CHECK_EQ(aios_feed(r.c, 1, ids[1] + 100, 40, AIOS_FEED_ALL_LOGITS, &r.err), 0);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_MORE);
    CHECK(rows(&r, 0));
    CHECK_EQ(aios_output_count(r.c), 28);
    CHECK_EQ(aios_seq_processed(r.c, 1), 128);
    CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_FULL));
    CHECK_EQ(aios_seq_processed(r.c, 1), 128);
    CHECK_EQ(aios_feed(r.c, 0, ids[0] + 200, 10, AIOS_FEED_NO_LOGITS, &r.err), 0);
    CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_FULL));
    CHECK_EQ(aios_seq_processed(r.c, 0), 210);
    /* room: a tile goes to the first that waits, then two more to the other */
    CHECK_EQ(aios_seq_truncate(r.c, 0, 192, &r.err), 0);
    CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_MORE);
    CHECK(rows(&r, 0));
    CHECK_EQ(aios_seq_processed(r.c, 1), 140);
    CHECK_EQ(aios_seq_processed(r.c, 2), 0);
    CHECK_EQ(aios_seq_truncate(r.c, 0, 64, &r.err), 0);
    CHECK(drain(&r, 0));
    CHECK_EQ(aios_seq_processed(r.c, 2), 70);
    CHECK(refused(&r, (go(&r, 2, ids[2] + 70, 1), aios_feed(r.c, 0, ids[0], 1000, 0, &r.err)),
                  AIOS_ERR_FULL));
    rig_close(&r);
    truth_close();
}
static void spilled_pages_come_back_as_they_were(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 640, 1, 1 };
    int32_t ids[4][400], done[4] = { 0 }, i, j, n;
    aios_counters x;
    aios_status st;
    rig r;
    int ok = 1;
    if (k->type >= KV8) w.positions = 512;
    if (!truth_open(k) || !rig_open(&r, k, &w)) return;
    for (i = 0; i < 4; i++) {
        text(ids[i], 400, r.m->n_vocab, 60 + (uint64_t)i);
        CHECK(truth(ids[i], 300));
    }
    for (j = 0; j < 24 && ok; j++) { /* by turns */
        i = j % 4;
        n = 40 + rnd(10);
        if (done[i] + n > 290) continue;
        ok &= CHECK(go(&r, i, ids[i] + done[i], n));
        done[i] += n;
    }
    aios_counters_init(&x);
    CHECK_EQ(aios_counters_get(r.c, &x), 0);
    CHECK(x.n_spilled > 0);
    CHECK(x.n_fetched > 0);
    CHECK(x.spill_bytes > x.n_spilled);
    CHECK(x.fetch_bytes > x.n_fetched);
    CHECK_EQ((int32_t)(x.n_spilled - x.n_fetched), r.a->n_kept);
    CHECK_EQ((uint32_t)r.a->n_kept, info_of(&r).n_spilled);
    CHECK(info_of(&r).n_spilled > 0);
    /* the host does not take a page, or does not give one back: an error, and the next step goes
     * on */
    for (j = 0; j < 8 && ok; j++) {
        i = j % 4;
        r.a->n_gets = r.a->n_puts = 0;
        if (j < 4)
            r.a->fail_gets = 1 + j / 2;
        else
            r.a->fail_puts = 1 + j % 2;
        CHECK_EQ(aios_feed(r.c, i, ids[i] + done[i], 2, AIOS_FEED_ALL_LOGITS, &r.err), 0);
        st = aios_step(r.c, 0, &r.err);
        if (r.a->fail_gets == 0 && r.a->fail_puts == 0)
            ok &= CHECK(refused(&r, st, AIOS_ERR_IO) && aios_seq_processed(r.c, i) == done[i]);
        else {
            ok &= CHECK(st >= 0 && rows(&r, 0));
            printf("  nothing failed: %d gets, %d puts\n", r.a->n_gets, r.a->n_puts);
        }
        r.a->fail_gets = r.a->fail_puts = 0;
        ok &= CHECK(drain(&r, 0));
        done[i] += 2;
    }
    /* verbs that need the pages */
    for (i = 0; i < 4 && ok; i++) {
        uint64_t bytes;
        for (j = 0; j < 4 && !(j != i && aios_seq_length(r.c, j)); j++) {}
        ok &= CHECK(go(&r, j, ids[j] + done[j], 1));
        done[j]++;
        r.a->fail_gets = 1;
        st = aios_seq_save(r.c, i, -1, NULL, 0, &bytes, &r.err);
        if (r.a->fail_gets == 0) ok &= CHECK(refused(&r, st, AIOS_ERR_IO));
        r.a->fail_gets = 1;
        st = aios_seq_truncate(r.c, i, done[i] - 3, &r.err);
        if (r.a->fail_gets == 0) {
            ok &= CHECK(refused(&r, st, AIOS_ERR_IO) && aios_seq_length(r.c, i) == done[i]);
            st = aios_seq_truncate(r.c, i, done[i] - 3, &r.err);
        }
        r.a->fail_gets = 0;
        ok &= CHECK_EQ(st, 0);
        done[i] -= 3;
        ok &= CHECK(go(&r, i, ids[i] + done[i], 2));
        done[i] += 2;
    }
    /* pinned: it stays */
    CHECK_EQ(aios_seq_pin(r.c, 0, 1, &r.err), 0);
    CHECK(go(&r, 0, ids[0] + done[0], 1));
    done[0]++;
    for (i = 1; i < 4; i++) {
        int32_t gets;
        CHECK(go(&r, i, ids[i] + done[i], 1));
        done[i]++;
        gets = r.a->n_gets;
        CHECK(go(&r, 0, ids[0] + done[0], 1));
        CHECK_EQ(r.a->n_gets, gets);
        done[0]++;
    }
    CHECK_EQ(aios_seq_pin(r.c, 0, 0, &r.err), 0);
    /* all at once: none waits for nothing, and still each has its turn */
    for (j = 0; j < 3; j++) {
        for (i = 0; i < 4; i++) {
            CHECK_EQ(aios_feed(r.c, i, ids[i] + done[i], 9, AIOS_FEED_ALL_LOGITS, &r.err), 0);
            done[i] += 9;
        }
        CHECK(drain(&r, 0));
        for (i = 0; i < 4; i++) CHECK_EQ(aios_seq_processed(r.c, i), done[i]);
    }
    rig_close(&r);
    truth_close();
}

/* Room for one, and four that wait all at once: each has its turn, in steps that keep to their
 * deadlines too, though the host takes its time. */
static void all_that_wait_have_their_turn_and_keep_deadlines(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 384, 1, 1 };
    int32_t ids[4][400], i, j, n[4], tiny, held = 1;
    rig r;
    if (k->type >= KV8) w.positions = 320;
    if (!truth_open(k) || !rig_open(&r, k, &w)) return;
    for (i = 0; i < 4; i++) {
        text(ids[i], 400, r.m->n_vocab, 160 + (uint64_t)i);
        CHECK(truth(ids[i], 380));
    }
    for (i = 0; i < 4; i++) {
        n[i] = 200 + 10 * i;
        CHECK(go(&r, i, ids[i], n[i]));
    }
    for (j = 0; j < 5; j++) {
        aios_status st;
        int32_t steps = 0;
        for (i = 0; i < 4; i++) {
            CHECK_EQ(aios_feed(r.c, i, ids[i] + n[i], (uint64_t)(j < 4 ? 1 + 10 * j : 70),
                               AIOS_FEED_ALL_LOGITS, &r.err),
                     0);
            n[i] += j < 4 ? 1 + 10 * j : 70;
        }
        tiny = j % 2;
        r.clock.cost = tiny ? 300 : 0;
        r.clock.deadline = 0;
        do {
            st = aios_step(r.c, tiny ? late_next(&r.clock, &rng) : 0, &r.err);
            if (tiny) held &= late_held(&r.clock);
            CHECK_AT(st >= 0, "%s: %s", k->name, r.err.text);
            CHECK(rows(&r, 0));
        } while (st == AIOS_MORE && ++steps < 20000);
        CHECK_EQ(st, AIOS_OK);
        CHECK(!tiny || steps > 4);
        for (i = 0; i < 4; i++) CHECK_EQ(aios_seq_processed(r.c, i), n[i]);
        for (i = 0; i < 4 && tiny; i++) {
            const uint32_t gone = info_of(&r).n_spilled;
            const int32_t gets = r.a->n_gets;
            do {
                st = aios_seq_fetch(r.c, i, late_next(&r.clock, &rng), &r.err);
                held &= late_held(&r.clock);
            } while (st == AIOS_MORE);
            CHECK_EQ(st, AIOS_OK);
            CHECK(r.a->n_gets > gets || gone == 0 || i == 0 || j > 1);
        }
        CHECK(held);
    }
    rig_close(&r);
    truth_close();
}

/* A fork in the middle of a pass: that pass, and what becomes of it, is nothing to it. */
static void a_fork_within_a_pass_knows_nothing_of_it(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 0, 0, 1 };
    int32_t ids[3][300], i, j, how;
    rig r;
    if (!have(k) || !truth_open(k) || !rig_open(&r, k, &w)) return;
    text(ids[0], 300, r.m->n_vocab, 70);
    for (i = 1; i < 3; i++) {
        memcpy(ids[i], ids[0], 400);
        text(ids[i] + 100, 200, r.m->n_vocab, 70 + (uint64_t)i);
    }
    for (i = 0; i < 3; i++) CHECK(truth(ids[i], 160));
    for (how = 0; how < 9; how++) {
        CHECK(go(&r, 0, ids[0], 100));
        CHECK_EQ(aios_seq_fork(r.c, 1, 0, 100, &r.err), 0);
        CHECK_EQ(aios_feed(r.c, 1, ids[1] + 100, 40, AIOS_FEED_ALL_LOGITS, &r.err), 0);
        if (how < 3) {
            aios_interrupt(r.c);
            CHECK_EQ(aios_step(r.c, 0, &r.err), AIOS_MORE);
        } /* before its first task, which copies */
        else
            for (j = 0; j < (how < 6 ? 1 : 30); j++)
                CHECK(aios_step(r.c, 1, &r.err) == AIOS_MORE && aios_output_count(r.c) == 0);
        CHECK_EQ(aios_seq_fork(r.c, 2, 1, 100, &r.err), 0);
        CHECK_EQ(aios_seq_processed(r.c, 2), 100);
        if (how % 3 == 1) {
            aios_cancel(r.c);
            CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED));
        }
        if (how % 3 == 2) CHECK_EQ(aios_seq_truncate(r.c, 1, 0, &r.err), 0);
        CHECK(go(&r, 2, ids[2] + 100, 60) && go(&r, 0, ids[0] + 100, 60));
        if (how % 3 != 2) CHECK(go(&r, 1, ids[1] + 140, 20));
        for (i = 0; i < 3; i++) CHECK_EQ(aios_seq_truncate(r.c, i, 0, &r.err), 0);
    }
    rig_close(&r);
    truth_close();
}

/* ---- 6: found, and taken out of the middle ---- */
static void the_longest_common_beginning_is_found(void) {
    const kind *k = &small_kinds[0];
    way w = { 5, 64, 1, 0, 0, 0, 0 };
    int32_t ids[300], x[300], same = 77, i;
    rig r;
    if (!truth_open(k) || !rig_open(&r, k, &w)) return;
    text(ids, 300, r.m->n_vocab, 80);
    CHECK_EQ(aios_seq_find(r.c, ids, 300, &same), -1);
    CHECK_EQ(same, 0);
    memcpy(x, ids, sizeof x);
    for (i = 0; i < 3; i++) { /* they part from the text at 50, 120 and 90 */
        static const int32_t at[] = { 50, 120, 90 };
        memcpy(x, ids, sizeof x);
        x[at[i]] = (ids[at[i]] + 1) % r.m->n_vocab;
        CHECK(go(&r, i, x, 150));
    }
    CHECK_EQ(aios_feed(r.c, 3, ids, 200, 0, &r.err), 0); /* not processed: not counted */
    CHECK_EQ(aios_seq_find(r.c, ids, 300, &same), 1);
    CHECK_EQ(same, 120);
    CHECK_EQ(aios_seq_find(r.c, ids, 50, &same), 0);
    CHECK_EQ(same, 50);
    CHECK_EQ(aios_seq_find(r.c, ids, 70, &same), 1);
    CHECK_EQ(same, 70);
    CHECK_EQ(aios_seq_find(r.c, ids, 0, &same), -1);
    CHECK_EQ(same, 0);
    CHECK_EQ(aios_seq_find(r.c, ids, 300, NULL), 1);
    CHECK_EQ(aios_seq_find(NULL, ids, 300, &same), -1);
    CHECK_EQ(aios_seq_find(r.c, NULL, 300, &same), -1);
    CHECK_EQ(same, 0);
    CHECK(drain(&r, 0));
    CHECK_EQ(aios_seq_find(r.c, ids, 300, &same), 3);
    CHECK_EQ(same, 200);
    CHECK_EQ(aios_seq_fork(r.c, 4, 3, 130, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 3, 150, 160, &r.err), 0);
    CHECK_EQ(aios_seq_find(r.c, ids, 300, &same), 4);
    CHECK_EQ(same, 130);
    CHECK_EQ(aios_seq_truncate(r.c, 3, 150, &r.err), 0);
    CHECK_EQ(aios_seq_find(r.c, ids, 300, &same), 3);
    CHECK_EQ(same, 150); /* whole again */
    CHECK(go(&r, 3, ids + 150, 50));
    /* of one that its beginning was taken out of, what is left is not what it seems: neither to
     * be found nor a base */
    CHECK_EQ(aios_seq_remove(r.c, 3, 0, 64, &r.err), 0);
    CHECK_EQ(aios_seq_find(r.c, ids + 64, 136, &same), -1);
    CHECK_EQ(aios_seq_remove(r.c, 4, 0, 10, &r.err), 0);
    CHECK_EQ(aios_seq_find(r.c, ids + 10, 100, &same), -1);
    CHECK_EQ(aios_seq_truncate(r.c, 4, 0, &r.err), 0);
    {
        blob b, b2;
        CHECK(truth(ids + 64, 200));
        CHECK(go(&r, 4, ids + 64, 136));
        CHECK_EQ(aios_seq_truncate(r.c, 0, 0, &r.err), 0);
        CHECK_EQ(aios_seq_fork(r.c, 0, 4, 136, &r.err), 0);
        CHECK(save(&r, 0, 4, &b));
        CHECK(save(&r, 0, -1, &b2));
        CHECK(b.n < b2.n);
        CHECK_EQ(aios_seq_truncate(r.c, 0, 0, &r.err), 0);
        CHECK(refused(&r, aios_seq_restore(r.c, 0, 3, b.p, b.n, &r.err), AIOS_ERR_STATE));
        CHECK(goes_on(&r, 0, 4, &b, ids + 64, 136, 200) &&
              goes_on(&r, 0, 3, &b2, ids + 64, 136, 200));
        free(b.p);
        free(b2.p);
        CHECK(save(&r, 4, 3, &b) &&
              goes_on(&r, 0, -1, &b, ids + 64, 136, 200)); /* nothing in common */
        free(b.p);
    }
    rig_close(&r);
    truth_close();
}
/* Rows of 40 tokens that follow, by hash. */
static int tail_rows(rig *r, int32_t seq, const int32_t *ids, uint64_t *out) {
    int32_t i, n = 0;
    aios_status st;
    if (!CHECK_EQ(aios_feed(r->c, seq, ids, 40, AIOS_FEED_ALL_LOGITS, &r->err), 0)) return 0;
    do {
        if (!CHECK_AT((st = aios_step(r->c, 0, &r->err)) >= 0, "%s: %s", r->k->name, r->err.text))
            return 0;
        for (i = 0; i < aios_output_count(r->c); i++) {
            aios_output o;
            aios_output_init(&o);
            aios_output_get(r->c, i, &o);
            if (o.seq == seq && n < 40)
                out[n++] = words(words(1, o.logits, (size_t)r->m->n_vocab * 4), o.embedding,
                                 (size_t)r->m->n_embd * 4);
        }
    } while (st == AIOS_MORE);
    return n == 40;
}
static void tokens_can_be_taken_out_of_the_middle(const kind *k) {
    CASE("%s", k->name);
    way w = { 4, 64, 1, 0, 0, 0, 1 }, sw = { 3, 64, 1, 0, 512, 1, 0 };
    static const int32_t gaps[][2] = { { 70, 75 },   { 3, 200 },  { 0, 64 },   { 0, 20 },
                                       { 100, 260 }, { 64, 128 }, { 128, 299 } };
    int32_t ids[600], other[400], left[400], i, j, n = 300;
    size_t g;
    uint64_t want[40], got[40], plain[40];
    rig r, s;
    blob b;
    if (!have(k) || !truth_open(k) || !rig_open(&r, k, &w)) return;
    text(ids, 600, r.m->n_vocab, 90);
    text(other, 400, r.m->n_vocab, 91);
    CHECK(truth(ids, 360));
    /* arguments; nothing to take out */
    CHECK(go(&r, 0, ids, n));
    CHECK(refused(&r, aios_seq_remove(r.c, 0, -1, 5, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_remove(r.c, 0, 6, 5, &r.err), AIOS_ERR_ARG));
    CHECK(refused(&r, aios_seq_remove(r.c, 0, 5, n + 1, &r.err), AIOS_ERR_ARG));
    CHECK_EQ(aios_seq_remove(r.c, 0, 5, 5, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 0, n, n, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 0), n);
    CHECK_EQ(aios_seq_processed(r.c, 0), n);
    /* the end: as truncate does; all of it; waiting tokens */
    CHECK_EQ(aios_seq_remove(r.c, 0, 250, n, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 0), 250);
    CHECK(go(&r, 0, ids + 250, 50));
    CHECK_EQ(aios_seq_remove(r.c, 0, 130, n, &r.err), 0);
    CHECK(go(&r, 0, ids + 130, 170));
    CHECK_EQ(aios_seq_remove(r.c, 0, 0, n, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 0), 0);
    CHECK(go(&r, 0, ids, 290));
    CHECK_EQ(aios_feed(r.c, 0, other, 20, 0, &r.err), 0);
    CHECK_EQ(aios_feed(r.c, 0, ids + 290, 10, AIOS_FEED_ALL_LOGITS, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 0, 290, 310, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 0), 300);
    CHECK(drain(&r, 0));
    CHECK(go(&r, 0, ids + 300, 20));
    CHECK_EQ(aios_feed(r.c, 0, other, 20, AIOS_FEED_ALL_LOGITS, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 0, 315, 340, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 0), 315);
    CHECK(go(&r, 0, ids + 315, 20)); /* done and waiting ones */
    /* out of the middle, then cut to before the gap: nothing of it is left */
    for (g = 0; g < sizeof gaps / sizeof *gaps; g += brief ? 3 : 1) {
        int32_t from = gaps[g][0], to = gaps[g][1],
                cut = from ? from - rnd(from < 5 ? from : 5) : 0;
        CHECK_EQ(aios_seq_truncate(r.c, 0, 0, NULL), 0);
        CHECK(go(&r, 0, ids, n));
        CHECK_EQ(aios_seq_remove(r.c, 0, from, to, &r.err), 0);
        CHECK_EQ(aios_seq_length(r.c, 0), n - to + from);
        CHECK_EQ(aios_seq_processed(r.c, 0), n - to + from);
        CHECK_EQ(aios_seq_truncate(r.c, 0, cut, &r.err), 0);
        CHECK(go(&r, 0, ids + cut, n - cut));
        CHECK(go(&r, 0, ids + n, 20));
    }
    CHECK_EQ(aios_seq_truncate(r.c, 0, 0, NULL), 0);
    /* it goes on, and to the same bits: in company, forked, saved, spilled, in steps, after a
     * pass that was dropped */
    if (!rig_open(&s, k, &sw)) return;
    heirs_open(k, 2);
    for (g = 0; g < (brief ? 2 : sizeof gaps / sizeof *gaps); g++) {
        int32_t from = gaps[g][0], to = gaps[g][1], m = n - to + from;
        memcpy(left, ids, (size_t)from * 4);
        memcpy(left + from, ids + to, (size_t)(n - to) * 4);
        CHECK(go(&r, 0, ids, n));
        CHECK_EQ(aios_seq_remove(r.c, 0, from, to, &r.err), 0);
        CHECK_MEM(aios_seq_tokens(r.c, 0), left, (size_t)m * 4);
        CHECK(save(&r, 0, -1, &b));
        CHECK_EQ(aios_seq_fork(r.c, 1, 0, m, &r.err), 0);
        CHECK_EQ(aios_seq_fork(r.c, 2, 0, m, &r.err), 0);
        CHECK(tail_rows(&r, 0, other, want));
        CHECK(go(&truth_rig, 0, left, 0));
        CHECK_EQ(aios_seq_truncate(truth_rig.c, 0, 0, NULL), 0);
        CHECK_EQ(aios_feed(truth_rig.c, 0, left, (uint64_t)m, AIOS_FEED_NO_LOGITS, NULL), 0);
        CHECK_EQ(aios_step(truth_rig.c, 0, NULL), AIOS_OK);
        CHECK(tail_rows(&truth_rig, 0, other, plain));
        CHECK(memcmp(plain, want, sizeof want) != 0 ||
              k->model == GEMMA2); /* it remembers what was taken out */
        CHECK_EQ(aios_feed(r.c, 3, other + 50, 30, AIOS_FEED_NO_LOGITS, &r.err), 0);
        CHECK(tail_rows(&r, 1, other, got));
        CHECK_MEM(got, want, sizeof want);
        for (i = 0; i < 4; i++) { /* dropped: at the beginning, further on */
            CHECK_EQ(aios_feed(r.c, 2, other, 3, 0, &r.err), 0);
            if (i)
                for (j = 0; j < 1 << 2 * i; j++) aios_step(r.c, 1, &r.err);
            if (i % 2) aios_cancel(r.c);
            if (i % 2) CHECK(refused(&r, aios_step(r.c, 0, &r.err), AIOS_ERR_CANCELLED));
            CHECK_EQ(aios_seq_truncate(r.c, 2, m, &r.err), 0);
        }
        CHECK_AT(tail_rows(&r, 2, other, got) && memcmp(got, want, sizeof want) == 0,
                 "%s: gap %d to %d: not the same after a pass that was dropped", k->name, (int)from,
                 (int)to);
        for (i = 0; i < n_heirs; i++) {
            CHECK_EQ(aios_seq_restore(heirs[i].c, 0, -1, b.p, b.n, &heirs[i].err), 0);
            CHECK_MEM(aios_seq_tokens(heirs[i].c, 0), left, (size_t)m * 4);
            CHECK(tail_rows(&heirs[i], 0, other, got));
            CHECK_MEM(got, want, sizeof want);
            CHECK_EQ(aios_seq_truncate(heirs[i].c, 0, 0, NULL), 0);
        }
        CHECK_EQ(aios_seq_restore(s.c, 0, -1, b.p, b.n, &s.err), 0);
        CHECK(go(&s, 1, ids, 200));
        CHECK(go(&s, 2, ids, 200));
        CHECK(tail_rows(&s, 0, other, got));
        CHECK_MEM(got, want, sizeof want);
        for (i = 0; i < 3; i++) CHECK_EQ(aios_seq_truncate(s.c, i, 0, NULL), 0);
        for (i = 0; i < 4; i++) CHECK_EQ(aios_seq_truncate(r.c, i, 0, NULL), 0);
        free(b.p);
    }
    /* in two pieces it is taken out as in one */
    CHECK(go(&r, 0, ids, n));
    CHECK_EQ(aios_seq_remove(r.c, 0, 50, 180, &r.err), 0);
    CHECK(tail_rows(&r, 0, other, want));
    CHECK(go(&r, 1, ids, n));
    CHECK_EQ(aios_seq_remove(r.c, 1, 60, 120, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 1, 50, 120, &r.err), 0);
    CHECK(tail_rows(&r, 1, other, got));
    if (k->model != GEMMA2 && !k->window) CHECK_MEM(got, want, sizeof want);
    for (i = 0; i < 2; i++) CHECK_EQ(aios_seq_truncate(r.c, i, 0, NULL), 0);
    /* sixteen pieces, and no more */
    CHECK(go(&r, 0, ids, n));
    for (i = 0; i < 15; i++) CHECK_EQ(aios_seq_remove(r.c, 0, 5 + 10 * i, 8 + 10 * i, &r.err), 0);
    CHECK_EQ(aios_seq_fork(r.c, 1, 0, n - 45, &r.err), 0);
    CHECK(refused(&r, aios_seq_remove(r.c, 0, 200, 210, &r.err), AIOS_ERR_LIMIT));
    CHECK_EQ(aios_seq_length(r.c, 0), n - 45);
    CHECK(tail_rows(&r, 0, other, want));
    CHECK(tail_rows(&r, 1, other, got));
    CHECK_MEM(got, want, sizeof want);
    CHECK_EQ(aios_seq_remove(r.c, 0, 4, 6, &r.err), 0);
    CHECK_EQ(aios_seq_remove(r.c, 0, 0, 3, &r.err), 0);
    CHECK(tail_rows(&r, 0, other, got));
    heirs_close();
    rig_close(&s);
    rig_close(&r);
    truth_close();
}
static void learned_positions_allow_the_end_alone_to_go(void) {
    const kind k = { "gpt2", GPT2, 64, AIOSK_KV_F16, 0, 0, 0, 0 };
    way w = { 2, 32, 1, 0, 0, 0, 0 };
    int32_t ids[64];
    rig r;
    if (!have(&k) || !truth_open(&k) || !rig_open(&r, &k, &w)) return;
    text(ids, 64, r.m->n_vocab, 95);
    CHECK(truth(ids, 60) && go(&r, 0, ids, 40));
    CHECK(refused(&r, aios_seq_remove(r.c, 0, 5, 10, &r.err), AIOS_ERR_UNSUPPORTED));
    CHECK_EQ(aios_seq_length(r.c, 0), 40);
    CHECK_EQ(aios_seq_processed(r.c, 0), 40);
    CHECK(go(&r, 0, ids + 40, 10));
    CHECK_EQ(aios_seq_remove(r.c, 0, 30, 50, &r.err), 0);
    CHECK(go(&r, 0, ids + 30, 30)); /* the end can go */
    rig_close(&r);
    truth_close();
}

/* ---- 7: wrong arguments ---- */
static void wrong_arguments_are_refused_and_not_felt(void) {
    const kind *k = &small_kinds[0];
    way w = { 2, 64, 1, 0, 0, 0, 0 };
    int32_t ids[100], seq, i;
    uint64_t n = 0;
    aios_cache_info ci;
    aios_error *none = NULL;
    rig r;
    blob b;
    if (!truth_open(k) || !rig_open(&r, k, &w)) return;
    text(ids, 100, r.m->n_vocab, 96);
    CHECK(truth(ids, 100) && go(&r, 0, ids, 80) && save(&r, 0, -1, &b));
    for (i = 0; i < 3; i++) {
        seq = i == 0 ? -1 : i == 1 ? 2 : INT32_MAX;
        CHECK(refused(&r, aios_feed(r.c, seq, ids, 1, 0, &r.err), AIOS_ERR_ARG) &&
              refused(&r, aios_seq_truncate(r.c, seq, 0, &r.err), AIOS_ERR_ARG));
        CHECK(refused(&r, aios_seq_fork(r.c, seq, 0, 10, &r.err), AIOS_ERR_ARG) &&
              refused(&r, aios_seq_fork(r.c, 1, seq, 0, &r.err), AIOS_ERR_ARG));
        CHECK(refused(&r, aios_seq_pin(r.c, seq, 1, &r.err), AIOS_ERR_ARG) &&
              refused(&r, aios_seq_remove(r.c, seq, 0, 0, &r.err), AIOS_ERR_ARG));
        CHECK(refused(&r, aios_seq_save(r.c, seq, -1, NULL, 0, &n, &r.err), AIOS_ERR_ARG) &&
              refused(&r, aios_seq_restore(r.c, seq, -1, b.p, b.n, &r.err), AIOS_ERR_ARG));
        CHECK(aios_seq_length(r.c, seq) == 0 && aios_seq_processed(r.c, seq) == 0 &&
              aios_seq_tokens(r.c, seq) == NULL && aios_logits(r.c, seq) == NULL);
        if (seq >= 0)
            CHECK(refused(&r, aios_seq_save(r.c, 0, seq, NULL, 0, &n, &r.err), AIOS_ERR_ARG) &&
                  refused(&r, aios_seq_restore(r.c, 1, seq, b.p, b.n, &r.err), AIOS_ERR_ARG));
    }
    CHECK(refused(&r, aios_seq_truncate(NULL, 0, 0, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_fork(NULL, 1, 0, 0, &r.err), AIOS_ERR_ARG));
    CHECK(refused(&r, aios_seq_pin(NULL, 0, 1, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_remove(NULL, 0, 0, 0, &r.err), AIOS_ERR_ARG));
    CHECK(refused(&r, aios_seq_save(NULL, 0, -1, NULL, 0, &n, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_restore(NULL, 0, -1, b.p, b.n, &r.err), AIOS_ERR_ARG));
    CHECK(aios_seq_length(NULL, 0) == 0 && aios_seq_processed(NULL, 0) == 0 &&
          aios_seq_tokens(NULL, 0) == NULL && aios_seq_find(NULL, ids, 5, NULL) == -1);
    CHECK_EQ(aios_seq_truncate(NULL, 0, 0, none), AIOS_ERR_ARG);
    CHECK_EQ(aios_seq_fork(r.c, 1, 0, 81, none), AIOS_ERR_ARG);
    CHECK_EQ(aios_seq_save(r.c, 7, -1, NULL, 0, NULL, none), AIOS_ERR_ARG);
    CHECK(refused(&r, aios_seq_truncate(r.c, 0, -1, &r.err), AIOS_ERR_ARG));
    CHECK(refused(&r, aios_seq_truncate(r.c, 0, 81, &r.err), AIOS_ERR_ARG));
    CHECK_EQ(aios_seq_truncate(r.c, 0, 80, &r.err), 0);
    CHECK(refused(&r, aios_seq_fork(r.c, 1, 0, -1, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_fork(r.c, 1, 0, 81, &r.err), AIOS_ERR_ARG));
    CHECK(refused(&r, aios_seq_fork(r.c, 0, 0, 10, &r.err), AIOS_ERR_STATE));
    CHECK_EQ(aios_seq_fork(r.c, 1, 0, 0, &r.err), 0);
    CHECK_EQ(aios_seq_length(r.c, 1), 0);
    CHECK_EQ(aios_seq_fork(r.c, 1, 1, 0, &r.err), 0);
    CHECK(refused(&r, aios_seq_restore(r.c, 1, -1, NULL, b.n, &r.err), AIOS_ERR_ARG) &&
          refused(&r, aios_seq_restore(r.c, 1, -1, b.p, 0, &r.err), AIOS_ERR_FORMAT));
    CHECK_EQ(aios_seq_save(r.c, 0, -1, NULL, 0, NULL, &r.err), 0);
    CHECK(refused(&r, aios_seq_save(r.c, 0, -1, b.p, 0, &n, &r.err), AIOS_ERR_FULL));
    CHECK_EQ(n, b.n);
    CHECK_EQ(aios_seq_save(r.c, 1, -1, NULL, 0, &n, &r.err), 0);
    CHECK(n > 0);
    CHECK(n < 200);
    { /* nothing at all, saved */
        uint8_t nothing[200];
        CHECK_EQ(aios_seq_save(r.c, 1, -1, nothing, sizeof nothing, &n, &r.err), 0);
        CHECK_EQ(aios_seq_restore(r.c, 1, -1, nothing, n, &r.err), 0);
        CHECK_EQ(aios_seq_length(r.c, 1), 0);
        CHECK_EQ(aios_seq_save(r.c, 1, 0, nothing, sizeof nothing, &n, &r.err), 0);
        CHECK_EQ(aios_seq_save(r.c, 0, 1, NULL, 0, &n, &r.err), 0);
        CHECK_EQ(n, b.n);
    }
    memset(&ci, 0, sizeof ci);
    CHECK_EQ(aios_cache_get_info(r.c, &ci), AIOS_ERR_DESC);
    CHECK(aios_cache_get_info(r.c, NULL) < 0);
    aios_cache_info_init(&ci);
    CHECK(aios_cache_get_info(NULL, &ci) == AIOS_ERR_ARG && aios_cache_get_info(r.c, &ci) == 0 &&
          ci.n_pages > 0 && ci.bytes == r.plan.request_bytes[AIOS_MEM_KV]);
    { /* aios_spill */
        aios_context_desc cd;
        aios_context *c = NULL;
        aios_spill sp;
        aios_context_desc_init(&cd);
        cd.spill = &sp;
        memset(&sp, 0, sizeof sp);
        CHECK(refused(&r, aios_context_open(r.m->m, &r.plan, &cd, &c, &r.err), AIOS_ERR_DESC) &&
              !c);
        aios_spill_init(&sp);
        CHECK(refused(&r, aios_context_open(r.m->m, &r.plan, &cd, &c, &r.err), AIOS_ERR_ARG) && !c);
        sp.put = attic_put;
        CHECK(refused(&r, aios_context_open(r.m->m, &r.plan, &cd, &c, &r.err), AIOS_ERR_ARG) && !c);
        sp.get = attic_get;
        sp.flags = 1;
        CHECK(refused(&r, aios_context_open(r.m->m, &r.plan, &cd, &c, &r.err), AIOS_ERR_DESC) &&
              !c);
    }
    CHECK(go(&r, 0, ids + 80, 20) && go(&r, 1, ids, 100)); /* nothing of all this was felt */
    free(b.p);
    rig_close(&r);
    truth_close();
}

static void model_or_skip(model *m, const char *rel) {
    if (!model_open(m, shared_path(rel)) && !test_listing())
        printf("skip: no %s in the shared folder\n", rel);
}
int main(int argc, char **argv) {
    int32_t n_forks, n_prefix;
    size_t i;
    setvbuf(stdout, NULL, _IOLBF, 1000);
    quick = test_begin(argc, argv);
    brief = quick || TEST_SANITIZED;
    if (!CHECK(model_open(&models[TALE], "models/tale.gguf"))) return test_end();
    model_or_skip(&models[STORIES], "fixtures/stories/stories260K-q8_0.gguf");
    model_or_skip(&models[GEMMA2], "fixtures/zoo/gemma2.gguf");
    model_or_skip(&models[GPT2], "fixtures/zoo/gpt2.gguf");
    kinds_fill();
    n_forks = brief ? 101 : 1001;
    n_prefix = brief ? 300 : 2000;
    TEST(forks_share_the_prefix_and_change_no_bit)(AIOSK_KV_F16, n_forks, n_prefix);
    TEST(forks_share_the_prefix_and_change_no_bit)(KV44, n_forks, n_prefix);
    TEST(forks_share_the_prefix_and_change_no_bit)(KV44, 20, 320);
    for (i = 0; i < N_KINDS; i++)
        if (!quick || i == 2) TEST(saved_sequences_go_on_with_the_same_bits)(&small_kinds[i]);
    TEST(states_that_do_not_belong_here_are_refused)();
    for (i = 0; i < N_KINDS; i++)
        if (!quick || i % 3 == 1) {
            static const way ways[] = { { 1, 64, 1, 0, 0, 0, 0 },
                                        { 3, 13, 1, 0, 0, 0, 1 },
                                        { 8, 50, 1, 0, 0, 0, 1 },
                                        { 4, 33, 1, 0, 512, 1, 1 } };
            size_t j;
            for (j = 0; j < 4; j++) {
                way v = ways[j];
                if (i == 2 && j == 1) v.n_threads = 2;
                const uint64_t seed = 1000 + i * 10 + j;
                TEST(anything_in_any_order_gives_the_same_bits)(&small_kinds[i], &v, seed);
            }
        }
    TEST(a_full_cache_says_so_and_goes_on)(&small_kinds[0]);
    TEST(spilled_pages_come_back_as_they_were)(&small_kinds[0]);
    TEST(spilled_pages_come_back_as_they_were)(&small_kinds[2]);
    for (i = brief ? 3 : 0; i < 4; i++)
        TEST(all_that_wait_have_their_turn_and_keep_deadlines)(&small_kinds[i]);
    for (i = 0; i < N_KINDS; i += quick ? 4 : 1)
        TEST(a_fork_within_a_pass_knows_nothing_of_it)(&small_kinds[i]);
    TEST(the_longest_common_beginning_is_found)();
    for (i = 0; i < N_KINDS; i++)
        if (!quick || i == 2) TEST(tokens_can_be_taken_out_of_the_middle)(&small_kinds[i]);
    TEST(learned_positions_allow_the_end_alone_to_go)();
    TEST(wrong_arguments_are_refused_and_not_felt)();
    for (i = 0; i < N_MODELS; i++) {
        aios_model_free(models[i].m);
        free(models[i].bytes);
    }
    CHECK_EQ(mem.n_held, 0);
    return test_end();
}
