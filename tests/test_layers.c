/* test_layers.c: what the layers of a model are: which of them have a window, which rope they
 * have, and how many heads; from keys and from rows of families that need not be in the table;
 * and models whose layers differ, by their logits. */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include <math.h>
#include <string.h>

enum { N_LAYER = 14, MAX_KEYS = 24 };

/* A model that is keys and nothing else; a key stands at 100 times its place, as far as errors
 * know. */
typedef struct maker {
    aios_model m;
    aios__arch arch;
    aios__hp_layer layer[N_LAYER];
    aios__key key[MAX_KEYS];
    uint32_t by_name[MAX_KEYS];
    char name[MAX_KEYS][64];
    uint8_t value[MAX_KEYS][4 * N_LAYER + 16];
} maker;

static aios__key *put(maker *k, const char *suffix, uint32_t type, const void *p, uint32_t n_items,
                      uint32_t is_array) {
    uint32_t i, at = k->m.gguf.n_keys++;
    aios__key *x = &k->key[at];
    snprintf(k->name[at], sizeof k->name[at], "x.%s", suffix);
    memcpy(k->value[at], p, n_items * 4);
    memset(x, 0, sizeof *x);
    x->name.p = k->name[at];
    x->name.n = strlen(k->name[at]);
    x->type = type;
    x->is_array = is_array;
    x->n = n_items;
    x->p = k->value[at];
    x->n_bytes = n_items * 4;
    x->off = 100 * at;
    for (i = at; i > 0 && strcmp(k->name[k->by_name[i - 1]], k->name[at]) > 0; i--)
        k->by_name[i] = k->by_name[i - 1];
    k->by_name[i] = at;
    return x;
}
static aios__key *put_int(maker *k, const char *suffix, uint32_t v) {
    return put(k, suffix, AIOS__U32, &v, 1, 0);
}
static aios__key *put_num(maker *k, const char *suffix, float v) {
    return put(k, suffix, AIOS__F32, &v, 1, 0);
}
static aios__key *put_str(maker *k, const char *suffix, const char *s) {
    aios__key *x = put(k, suffix, AIOS__STR, s, 0, 0);
    uint64_t n = strlen(s);
    uint8_t *p = k->value[x - k->key];
    memcpy(p, &n, 8);
    memcpy(p + 8, s, (size_t)n);
    x->n = 1;
    x->n_bytes = 8 + n;
    return x;
}
/* RMS norms, a rope; n_layer layers of 8 heads, 4 of them for keys and values, and what more the
 * test puts in. */
static void start(maker *k, int32_t n_layer) {
    memset(k, 0, sizeof *k);
    k->arch.name = "x";
    k->arch.rope = AIOSK_ROPE_HALVES;
    k->m.arch = &k->arch;
    k->m.arch_name.p = "x";
    k->m.arch_name.n = 1;
    k->m.hp.layer = k->layer;
    k->m.gguf.key = k->key;
    k->m.gguf.key_by_name = k->by_name;
    k->m.gguf.n_tensors = 2 * N_LAYER;
    put_int(k, "block_count", (uint32_t)n_layer);
    put_int(k, "embedding_length", 64);
    put_int(k, "context_length", 2048);
    put_num(k, "attention.layer_norm_rms_epsilon", 1e-5f);
}
static void start_alike(maker *k) {
    start(k, N_LAYER);
    put_int(k, "feed_forward_length", 128);
    put_int(k, "attention.head_count", 8);
    put_int(k, "attention.head_count_kv", 4);
}

/* "w" at a layer: it has the window */
static void layers_have_the_windows_that_rows_or_keys_say(void) {
    static const struct {
        const char *name;
        int32_t every;
        uint32_t at;
        const char *want;
    } rows[] = { { "none", 0, 0, ".............." },
                 { "all", 1, 1, "wwwwwwwwwwwwww" },
                 { "gemma2", 2, 1, "w.w.w.w.w.w.w." },
                 { "gemma3", 6, 31, "wwwww.wwwww.ww" },
                 { "all but each 4th", 4, 7, "www.www.www.ww" },
                 { "all but 0, 3, 6", 3, 6, ".ww.ww.ww.ww.w" } };
    size_t i;
    int32_t l, said;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (said = 0; said < 2; said++) {
            static maker k;
            aios_error err;
            start_alike(&k);
            k.arch.window_every = rows[i].every;
            k.arch.window_at = rows[i].at;
            k.arch.window = 4096;
            if (said) put_int(&k, "attention.sliding_window", 512);
            if (!CHECK_AT(aios__hp_load(&k.m, &err) == 0, "%s", err.text)) return;
            for (l = 0; l < N_LAYER; l++)
                CHECK_AT(k.layer[l].window == (rows[i].want[l] == '.' ? 0
                                               : said                 ? 512
                                                                      : 4096),
                         "%s: layer %d: %d", rows[i].name, (int)l, (int)k.layer[l].window);
        }
}
/* A second rope for layers with a window, which nothing scales; without one all have the same;
 * without any, none. */
static void layers_with_a_window_may_have_a_second_rope(void) {
    static maker k;
    aios_error err;
    int32_t l, two, said;
    for (two = 0; two < 2; two++)
        for (said = 0; said < 2; said++) {
            const aios__rope *r = k.m.hp.rope;
            start_alike(&k);
            k.arch.window_every = 6;
            k.arch.window_at = 31;
            k.arch.window_base = two ? 10000 : 0;
            put_int(&k, "attention.sliding_window", 512);
            put_num(&k, "rope.freq_base", 1e6f);
            put_num(&k, "rope.scaling.factor", 8);
            put_num(&k, "rope.scaling.attn_factor", 1.5f);
            put_int(&k, "rope.dimension_count", 4);
            if (said) {
                put_num(&k, "rope.freq_base_swa", 20000);
                put_str(&k, "rope.scaling.type", "yarn");
            }
            if (!CHECK_AT(aios__hp_load(&k.m, &err) == 0, "%s", err.text)) return;
            CHECK_EQ(k.m.hp.n_ropes, 1 + two);
            CHECK_EQ(r[0].kind, AIOSK_ROPE_HALVES);
            CHECK_EQ(r[0].n_rot, 4);
            CHECK_EQ(r[0].orig_ctx, 2048);
            CHECK(r[0].base == 1e6 && r[0].factor == 8 && r[0].attn_factor == 1.5 &&
                  r[0].scaling == (said ? AIOS__SCALE_YARN : AIOS__SCALE_LINEAR) && r[0].divide);
            if (two)
                CHECK(r[1].base == (said ? 20000 : 10000) && r[1].factor == 1 &&
                      r[1].attn_factor == 1 && r[1].scaling == AIOS__SCALE_NONE && !r[1].divide &&
                      r[1].n_rot == 4 && r[1].kind == AIOSK_ROPE_HALVES);
            for (l = 0; l < N_LAYER; l++) CHECK(k.layer[l].rope == (two && l % 6 != 5));
        }
    start_alike(&k);
    k.arch.rope = AIOS__ROPE_NONE;
    CHECK_EQ(aios__hp_load(&k.m, &err), 0);
    CHECK_EQ(k.m.hp.n_ropes, 0);
    CHECK_EQ(k.m.hp.rope[0].n_rot, 0);
    for (l = 0; l < N_LAYER; l++) CHECK_EQ(k.layer[l].rope, -1);
}

/* Lists: a value for each layer. */
static aios_status by_layer(maker *k, aios_error *err) {
    aios__hparse h;
    aios_status st;
    int32_t l;
    aios__hp_start(&h, &k->m, err);
    if ((st = aios__keys_read(&h)) != 0 || (st = aios__keys_by_layer(&h)) != 0) return st;
    for (l = 0; l < k->m.hp.n_layer && !st; l++) st = aios__layer_check(&h, &k->layer[l]);
    return st;
}
static void keys_may_be_lists_by_layer(void) {
    static const uint32_t heads[N_LAYER] = { 2, 4, 8 }, kv[N_LAYER] = { 2, 1, 4 },
                          ff[N_LAYER] = { 64, 96, 128 };
    static const struct {
        const char *key;
        uint32_t item[3], n;
        aios_status code;
        const char *word;
    } rows[] = {
        { "attention.head_count_kv", { 4, 4, 4 }, 3, AIOS_OK, "" },
        { "attention.head_count_kv", { 4, 0, 0 }, 1, AIOS_OK, "" }, /* one for all */
        { "attention.head_count_kv", { 4, 4, 0 }, 2, AIOS_OK, "" },
        { "attention.head_count_kv", { 4, 2, 0 }, 2, AIOS_ERR_MODEL, "holds 2 values" },
        { "attention.head_count_kv", { 4, 2, 0 }, 3, AIOS_ERR_MODEL, "is 0, out of range" },
        { "attention.head_count_kv", { 4, 2, 3 }, 3, AIOS_ERR_MODEL, "3 key/value heads" },
        { "attention.head_count_kv", { 4, 2, 70000 }, 3, AIOS_ERR_MODEL, "is 70000, out of range" },
        { "feed_forward_length", { 32, 64, 0xFFFFFFFFu }, 3, AIOS_ERR_MODEL, "out of range" },
        { "context_length", { 32, 64, 32 }, 3, AIOS_ERR_UNSUPPORTED, "differs between layers" }
    };
    static maker k;
    aios_error err;
    size_t i;
    int32_t l;
    start(&k, 3);
    put(&k, "attention.head_count", AIOS__U32, heads, 3, 1);
    put(&k, "attention.head_count_kv", AIOS__U32, kv, 3, 1);
    put(&k, "feed_forward_length", AIOS__U32, ff, 3, 1);
    CHECK_AT(by_layer(&k, &err) == 0, "%s", err.text);
    for (l = 0; l < 3; l++)
        CHECK(k.layer[l].n_head == (int32_t)heads[l] && k.layer[l].n_head_kv == (int32_t)kv[l] &&
              k.layer[l].n_ff == (int32_t)ff[l] && k.layer[l].hd_k == 64 / (int32_t)heads[0] &&
              k.layer[l].hd_v == k.layer[l].hd_k);
    CHECK_EQ(aios__hp_load(&k.m, &err), 0);
    CHECK_EQ(k.m.hp.n_head, 8);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const names[] = { "feed_forward_length", "attention.head_count",
                                      "attention.head_count_kv", "context_length" };
        const uint32_t one[] = { 128, 8, 4, 2048 };
        const aios__key *at = NULL;
        aios_status st;
        size_t j;
        start(&k, 3);
        for (j = 0; j < 4; j++)
            if (!strcmp(names[j], rows[i].key)) {
                if (j == 3) {
                    at = &k.key[2];
                    k.key[2].is_array = 1;
                    k.key[2].n = rows[i].n;
                    memcpy(k.value[2], rows[i].item, 12);
                } else
                    at = put(&k, names[j], AIOS__U32, rows[i].item, rows[i].n, 1);
            } else if (j < 3)
                put_int(&k, names[j], one[j]);
        st = by_layer(&k, &err);
        CHECK_AT(st == rows[i].code &&
                     (!st || (strstr(err.text, rows[i].word) && err.offset == at->off)),
                 "row %d: %d %s at %d", (int)i, (int)st, st ? err.text : "", (int)err.offset);
        for (l = 0; !st && l < 3; l++) CHECK_EQ(k.layer[l].n_head_kv, 4);
    }
}
/* Lists of layers that do not go together, of which each item is in range: heads that are shorter
 * than what turns, and layers with other counts of experts than those before. Where they may
 * differ, scores are scaled by each layer's own heads. */
static void lists_that_do_not_go_together_are_refused(void) {
    static const struct {
        const char *key;
        uint32_t item[3];
        aios_status code;
    } rows[] = { { "attention.key_length", { 8, 16, 8 }, AIOS_OK },
                 { "attention.key_length", { 8, 16, 4 }, AIOS_ERR_MODEL },
                 { "attention.value_length", { 8, 16, 4 }, AIOS_OK },
                 { "expert_count", { 4, 0, 4 }, AIOS_OK },
                 { "expert_count", { 4, 8, 4 }, AIOS_ERR_UNSUPPORTED },
                 { "expert_count", { 8, 0, 4 }, AIOS_ERR_UNSUPPORTED },
                 { "expert_used_count", { 2, 2, 1 }, AIOS_ERR_UNSUPPORTED },
                 { "expert_used_count", { 2, 2, 5 }, AIOS_ERR_MODEL },
                 { "expert_feed_forward_length", { 64, 32, 96 }, AIOS_OK } };
    static maker k;
    aios_error err;
    size_t i;
    int32_t l;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int experts = rows[i].key[0] == 'e',
                  rope = !strcmp(rows[i].key, "attention.key_length");
        const aios__key *at;
        aios_status st;
        start(&k, 3);
        k.arch.flags = AIOS__EXPERTS;
        put_int(&k, "feed_forward_length", 128);
        put_int(&k, "attention.head_count", 8);
        if (experts && strcmp(rows[i].key, "expert_count")) put_int(&k, "expert_count", 4);
        if (experts && strcmp(rows[i].key, "expert_used_count"))
            put_int(&k, "expert_used_count", 2);
        at = put(&k, rows[i].key, AIOS__U32, rows[i].item, 3, 1);
        st = aios__hp_load(&k.m, &err);
        CHECK_AT(st == rows[i].code && (!st || rope || err.offset == at->off), "row %d: %d %s",
                 (int)i, (int)st, st ? err.text : "");
        for (l = 0; !st && l < 3; l++)
            CHECK(fabs((double)k.layer[l].score_scale - 1 / sqrt(rope ? rows[i].item[l] : 8.0)) <
                  1e-6);
        if (st || !rope) continue;
        CHECK(k.m.hp.rope[0].n_rot == 8);
        k.arch.rope = AIOS__ROPE_NONE; /* where nothing turns, none is too short */
        memcpy(k.value[at - k.key], rows[1].item, 12);
        CHECK(aios__hp_load(&k.m, &err) == 0);
    }
}
/* Each row of the table by itself: a value below, one above, one of another kind, and none at
 * all. */
static void each_key_is_kept_to_its_range(void) {
    int32_t i, n = 0;
    for (i = 0; i < AIOS__N_KEYS; i++) {
        const aios__key_row *r = &aios__key_rows[i];
        static maker k;
        int32_t what;
        if (r->kind == AIOS__KEY_NEUTRAL || r->not_with) continue;
        for (what = 0; what < 4; what++) {
            aios__hparse h;
            aios_error err;
            uint32_t v = r->kind == AIOS__KEY_INT
                             ? what == 0 ? (uint32_t)((int64_t)r->low - 1) : (uint32_t)r->high + 1
                             : 2;
            float f = (float)(what == 0 ? r->low - 1 : r->high > 1e14f ? 3e38f : r->high * 2);
            start_alike(&k);
            k.m.gguf.n_keys = 0;
            k.arch.flags = r->need & (AIOS__SCALES | AIOS__EXPERTS);
            k.arch.window_every = 1;
            k.arch.window_base = 1;
            if (what == 2)
                put_str(&k, r->name, "spiral");
            else if (what < 2 && (r->kind == AIOS__KEY_INT || r->kind == AIOS__KEY_FLAG))
                put_int(&k, r->name, v);
            else if (what < 2)
                put_num(&k, r->name, f);
            aios__hp_start(&h, &k.m, &err);
            h.every.n_expert = (r->need & AIOS__ROUTED) != 0;
            CHECK(aios__key_applies(&h, r));
            aios__key_read(&h, r);
            if (what == 3)
                CHECK((h.st != 0) == (r->dflt == AIOS__MUST));
            else
                CHECK_AT(h.st == (r->kind == AIOS__KEY_CHOICE && what == 2 ? AIOS_ERR_UNSUPPORTED
                                                                           : AIOS_ERR_MODEL) &&
                             err.offset == 0 && strstr(err.text, r->name),
                         "%s, %d: %d", r->name, (int)what, (int)h.st);
            n++;
        }
    }
    CHECK(n > 100);
}

/* ---- models whose layers differ ----
 * A model of which some layers have more heads or a wider feed-forward, so that what they compute
 * stays: each head of queries twice, with half the weight in the output matrix; heads of keys and
 * values twice; a group of heads, or channels of a feed-forward, that the next matrix multiplies
 * with zeros. Its logits are those of the model it is made of, but for the order of sums. */
enum { Q_TWICE = 1, KV_TWICE = 2, ONE_MORE = 4, WIDER = 8, WIDE = 16 };
typedef struct bytes {
    uint8_t *p;
    uint64_t n, cap;
} bytes;
static void add(bytes *b, const void *p, uint64_t n) {
    if (b->n + n > b->cap)
        b->p = (uint8_t *)realloc(b->p, (size_t)(b->cap = 2 * (b->n + n) + 4096));
    memcpy(b->p + b->n, p, (size_t)n);
    b->n += n;
}
static void add_n(bytes *b, uint64_t v, uint64_t n) { add(b, &v, n); }
static void add_str(bytes *b, const char *p, uint64_t n) {
    add_n(b, n, 8);
    add(b, p, n);
}
static void align32(bytes *b) {
    while (b->n % 32) add_n(b, 0, 1);
}
/* What became of a layer: its counts, and of n heads (or channels) that there are now, which one
 * before it is; -1 = a new one. */
static int32_t head_of(int32_t i, int32_t n, int32_t twice) {
    return i >= (twice ? 2 * n : n) ? -1 : twice ? i / 2 : i;
}
typedef struct made {
    int32_t what, n_head, n_head_kv, n_ff;
} made;
static made make_layer(const aios__hp_layer *h, int32_t what) {
    made x;
    int32_t group = h->n_head / h->n_head_kv;
    if (what & KV_TWICE && !(what & Q_TWICE) && group % 2)
        what &= ~KV_TWICE; /* they could not be shared */
    x.what = what;
    x.n_head = h->n_head * (what & Q_TWICE ? 2 : 1);
    x.n_head_kv = h->n_head_kv * (what & KV_TWICE ? 2 : 1);
    if (what & ONE_MORE) {
        x.n_head += x.n_head / x.n_head_kv;
        x.n_head_kv++;
    }
    x.n_ff = h->n_ff + (what & WIDER ? WIDE : 0);
    return x;
}
/* A tensor of a layer: rows, then columns, come from those before; hd: how many belong together. */
typedef struct side {
    int32_t n, hd, twice, n_old;
    float scale, other;
} side;
static side side_of(int32_t n, int32_t hd, int32_t twice, int32_t n_old, float scale, float other) {
    side s;
    s.n = n;
    s.hd = hd;
    s.twice = twice;
    s.n_old = n_old;
    s.scale = scale;
    s.other = other;
    return s;
}
static int64_t from(const side *s, int64_t i) {
    int32_t h = head_of((int32_t)(i / s->hd), s->n_old, s->twice);
    return h < 0 ? -1 : (int64_t)h * s->hd + i % s->hd;
}
static bytes make_model(const aios_model *m, int32_t shift, const uint8_t *file) {
    static const char *const lists[] = { "attention.head_count", "attention.head_count_kv",
                                         "feed_forward_length", "attention.key_length",
                                         "attention.value_length" };
    bytes keys = { NULL, 0, 0 }, dir = { NULL, 0, 0 }, data = { NULL, 0, 0 }, f = { NULL, 0, 0 };
    const aios__hp *hp = &m->hp;
    uint64_t n_keys = 0, seed = 7, k, x, y;
    int32_t l, i;
    made of[64];
    for (l = 0; l < hp->n_layer; l++) {
        static const int32_t what[] = { 0,        Q_TWICE,  WIDER,
                                        KV_TWICE, ONE_MORE, Q_TWICE | KV_TWICE | ONE_MORE | WIDER };
        of[l] = make_layer(&hp->layer[l], what[(l + shift) % 6]);
    }
    for (k = 0; k < m->gguf.n_keys; k++) {
        const aios__key *a = &m->gguf.key[k];
        int skip = a->name.n > 10 && !memcmp(a->name.p, "tokenizer.", 10);
        for (i = 0; i < 5 && !skip; i++)
            skip = a->name.n == strlen(m->arch_z) + 1 + strlen(lists[i]) &&
                   !memcmp(a->name.p + strlen(m->arch_z) + 1, lists[i], strlen(lists[i]));
        if (skip) continue;
        add_str(&keys, a->name.p, a->name.n);
        if (a->is_array) {
            add_n(&keys, 9, 4);
            add_n(&keys, a->type, 4);
            add_n(&keys, a->n, 8);
        } else
            add_n(&keys, a->type, 4);
        add(&keys, a->p, a->n_bytes);
        n_keys++;
    }
    for (i = 0; i < 5; i++, n_keys++) {
        char name[96];
        snprintf(name, sizeof name, "%s.%s", m->arch_z, lists[i]);
        add_str(&keys, name, strlen(name));
        add_n(&keys, 9, 4);
        add_n(&keys, AIOS__U32, 4);
        add_n(&keys, (uint64_t)hp->n_layer, 8);
        for (l = 0; l < hp->n_layer; l++)
            add_n(&keys,
                  (uint64_t)(i == 0   ? of[l].n_head
                             : i == 1 ? of[l].n_head_kv
                             : i == 2 ? of[l].n_ff
                             : i == 3 ? hp->layer[l].hd_k
                                      : hp->layer[l].hd_v),
                  4);
    }
    for (k = 0; k < m->gguf.n_tensors; k++) {
        const aios__tensor *t = &m->gguf.tensor[k];
        const float *src = (const float *)(const void *)(file + t->off);
        side rows = side_of((int32_t)t->n[1], 1, 0, (int32_t)t->n[1], 1, 0),
             cols = side_of((int32_t)t->n[0], 1, 0, (int32_t)t->n[0], 1, 0);
        char name[96];
        int at = 0;
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        if (sscanf(name, "blk.%d.%n", &l, &at) == 1 && at) {
            const aios__hp_layer *h = &hp->layer[l];
            const made *o = &of[l];
            int32_t q2 = (o->what & Q_TWICE) != 0, k2 = (o->what & KV_TWICE) != 0;
            const char *role = name + at;
            side *s = strstr(role, ".bias") ? &cols : &rows;
            if (!strncmp(role, "attn_q.", 7))
                *s = side_of(o->n_head * h->hd_k, h->hd_k, q2, h->n_head, 1, 0.1f);
            if (!strncmp(role, "attn_k.", 7))
                *s = side_of(o->n_head_kv * h->hd_k, h->hd_k, k2, h->n_head_kv, 1, 0.1f);
            if (!strncmp(role, "attn_v.", 7))
                *s = side_of(o->n_head_kv * h->hd_v, h->hd_v, k2, h->n_head_kv, 1, 0.1f);
            if (!strncmp(role, "ffn_up.", 7) || !strncmp(role, "ffn_gate.", 9))
                *s = side_of(o->n_ff, 1, 0, h->n_ff, 1, 0.1f);
            if (!strcmp(role, "attn_output.weight"))
                cols = side_of(o->n_head * h->hd_v, h->hd_v, q2, h->n_head, q2 ? 0.5f : 1, 0);
            if (!strcmp(role, "ffn_down.weight")) cols = side_of(o->n_ff, 1, 0, h->n_ff, 1, 0);
        }
        add_str(&dir, t->name.p, t->name.n);
        add_n(&dir, t->n[1] > 1 ? 2 : 1, 4);
        add_n(&dir, (uint64_t)cols.n, 8);
        if (t->n[1] > 1) add_n(&dir, (uint64_t)rows.n, 8);
        add_n(&dir, AIOSK_F32, 4);
        add_n(&dir, data.n, 8);
        for (y = 0; y < (uint64_t)rows.n; y++)
            for (x = 0; x < (uint64_t)cols.n; x++) {
                int64_t r = from(&rows, (int64_t)y), c = from(&cols, (int64_t)x);
                float v = r < 0   ? rows.other * test_randf(&seed)
                          : c < 0 ? cols.other * test_randf(&seed)
                                  : cols.scale * src[(uint64_t)r * t->n[0] + (uint64_t)c];
                add(&data, &v, 4);
            }
        align32(&data);
    }
    add(&f, "GGUF", 4);
    add_n(&f, 3, 4);
    add_n(&f, m->gguf.n_tensors, 8);
    add_n(&f, n_keys, 8);
    add(&f, keys.p, keys.n);
    add(&f, dir.p, dir.n);
    align32(&f);
    add(&f, data.p, data.n);
    free(keys.p);
    free(dir.p);
    free(data.p);
    return f;
}

static void *mem_alloc(void *user, const aios_mem_req *r) {
    void *p = NULL;
    (void)user;
    if (posix_memalign(&p, (size_t)r->align, (size_t)r->bytes)) return NULL;
    memset(p, 0xCD, (size_t)r->bytes);
    return p;
}
static void mem_free(void *user, void *p, const aios_mem_req *r) {
    (void)user;
    (void)r;
    free(p);
}
static aios_model *open_bytes(const bytes *b, aios_error *err) {
    aios_model_desc md;
    aios_allocator a;
    aios_io io;
    aios_model *m = NULL;
    aios_io_memory(&io, b->p, b->n);
    io.map = NULL; /* all is taken, or streamed */
    aios_allocator_init(&a);
    a.alloc = mem_alloc;
    a.free = mem_free;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.io = &io;
    aios_model_open(&md, &m, err);
    return m;
}
/* A prompt; a fork of it, and both go on; the fork is saved and restored over the first, which
 * goes on again. Logits of all that. */
enum { N_PROMPT = 45, N_RUNS = 5 };
static int note_logits(aios_context *c, int32_t n_seq, int32_t n, float **out) {
    aios_error err;
    aios_status st;
    int32_t s, n_got = 0;
    do
        for (st = aios_step(c, 0, &err), s = 0; s < n_seq; s++)
            if (aios_logits(c, s)) {
                memcpy(*out + s * n, aios_logits(c, s), (size_t)n * 4);
                n_got++;
            }
    while (st == AIOS_MORE);
    *out += n_seq * n;
    return st == 0 && n_got == n_seq;
}
/* 0 = the plan does not go. */
static int run_forks(aios_model *m, aios_plan_desc *pd, aios_plan *plan, float *out) {
    aios_context_desc cd;
    aios_context *c;
    aios_error err;
    int32_t ids[N_PROMPT], i, n = m->hp.n_vocab;
    uint64_t seed = 5, n_bytes = 0;
    void *saved = NULL;
    aios_plan_init(plan);
    aios_context_desc_init(&cd);
    for (i = 0; i < N_PROMPT; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)n);
    if (aios_plan_make(m, pd, plan, &err)) {
        if (!pd->budget_bytes) printf("  %s\n", err.text);
        return 0;
    }
    if (!CHECK_AT(aios_context_open(m, plan, &cd, &c, &err) == 0, "%s", err.text)) {
        return 0;
    }
    CHECK(aios_feed(c, 0, ids, N_PROMPT, 0, &err) == 0 && note_logits(c, 1, n, &out));
    CHECK(aios_seq_fork(c, 1, 0, 40, &err) == 0 && aios_feed(c, 1, ids, 9, 0, &err) == 0 &&
          aios_feed(c, 0, ids + 20, 2, 0, &err) == 0);
    CHECK(note_logits(c, 2, n, &out));
    CHECK(aios_seq_save(c, 1, -1, NULL, 0, &n_bytes, &err) == 0 &&
          (saved = malloc((size_t)n_bytes)) != NULL);
    CHECK(aios_seq_save(c, 1, -1, saved, n_bytes, &n_bytes, &err) == 0 &&
          aios_seq_truncate(c, 0, 0, &err) == 0 &&
          aios_seq_restore(c, 0, -1, saved, n_bytes, &err) == 0);
    CHECK(aios_feed(c, 0, ids + 3, 1, 0, &err) == 0 && note_logits(c, 1, n, &out));
    CHECK(aios_seq_truncate(c, 0, 21, &err) == 0 && aios_feed(c, 0, ids + 1, 2, 0, &err) == 0 &&
          note_logits(c, 1, n, &out));
    free(saved);
    aios_context_free(c);
    return 1;
}
static void layers_that_differ_compute_the_same(const char *rel, int quick) {
    static const struct {
        int32_t type;
        double tol;
    } kv[] = { { AIOS_KV_F32, 1e-5 }, { AIOS_KV_F16, 1e-4 }, { AIOS_KV_84, 2e-3 } };
    aios_error err;
    bytes base;
    aios_model *m;
    int32_t shift;
    size_t k, n_base = 0;
    base.p = test_read_file(shared_path(rel), &n_base);
    base.n = n_base;
    if (!base.p) {
        printf("skipping %s: not there\n", rel);
        return;
    }
    if (!CHECK_AT((m = open_bytes(&base, &err)) != NULL, "%s", err.text)) {
        free(base.p);
        return;
    }
    for (shift = 0; shift < 6; shift += quick ? 5 : 1) {
        bytes b = make_model(m, shift, base.p);
        aios_model *m2 = open_bytes(&b, &err);
        if (!CHECK_AT(m2 != NULL, "%s, %d: %s", rel, (int)shift, err.text)) {
            free(b.p);
            continue;
        }
        for (k = 0; k < sizeof kv / sizeof *kv; k++) {
            int32_t n = N_RUNS * m->hp.n_vocab, i, how;
            float *want = (float *)calloc((size_t)n, 4), *got = (float *)calloc((size_t)n, 4),
                  *same = (float *)calloc((size_t)n, 4);
            double top = 0, off = 0;
            int n_streamed = 0;
            aios_plan_desc pd;
            aios_plan plan;
            aios_plan_desc_init(&pd);
            pd.n_ctx = 64;
            pd.n_seq = 2;
            pd.n_threads = 1;
            pd.n_batch = 32;
            pd.kv_type = kv[k].type;
            CHECK(run_forks(m, &pd, &plan, want) && run_forks(m2, &pd, &plan, got));
            for (i = 0; i < n; i++) {
                if (fabs((double)want[i]) > top) top = fabs((double)want[i]);
                if (!(fabs((double)want[i] - (double)got[i]) <= off))
                    off = fabs((double)want[i] - (double)got[i]);
            }
            CHECK_AT(top > 0.1 && off <= top * kv[k].tol, "%s, %d, kv %d: off by %g of %g", rel,
                     (int)shift, (int)k, off, top);
            /* other ways to run it give the same bits */
            for (how = 0; how < 8; how++) {
                aios_plan other;
                aios_model *m3;
                pd.n_threads = how < 2 ? 2 : 1;
                pd.n_batch = how == 1 ? 7 : 32;
                pd.budget_bytes = how < 2 ? 0
                                          : plan.held_bytes + plan.total_bytes -
                                                plan.total_bytes * (uint64_t)(how - 1) / 16;
                m3 = open_bytes(&b, &err);
                if (m3 && run_forks(m3, &pd, &other, same)) {
                    CHECK_AT(memcmp(same, got, (size_t)n * 4) == 0, "%s, %d, kv %d: way %d", rel,
                             (int)shift, (int)k, (int)how);
                    n_streamed += other.n_units > 0;
                } else
                    CHECK(how >= 2);
                aios_model_free(m3);
            }
            CHECK(n_streamed > 0 ||
                  base.n < 1 << 19); /* a ring is not smaller than the least models */
            free(want);
            free(got);
            free(same);
        }
        aios_model_free(m2);
        free(b.p);
    }
    aios_model_free(m);
    free(base.p);
}

/* Matrices whose tensors are quantised read an 8-bit form of their input, which ops of these kinds
 * make and no others: so in each family, whatever types its file here has. */
static int makes_forms(const aios__node *n) {
    return (n->kind == AIOS__NODE_NORM && n->in[1] < 0) || n->kind == AIOS__NODE_ATTEND_END ||
           n->kind == AIOS__NODE_ACT || n->kind == AIOS__NODE_GATHER;
}
static void what_matrices_read_has_forms(void) {
    char *list = (char *)test_read_file(shared_path("fixtures/zoo/index.tsv"), NULL), *at = list;
    int n_models = 0;
    if (!list) {
        printf("skipping forms: fixtures/zoo is not there\n");
        return;
    }
    for (; (at = strchr(at, '\n')) != NULL && at[1]; at++) {
        char rel[160];
        bytes b;
        size_t n_bytes = 0;
        aios_error err;
        aios_model *m;
        uint32_t i, k;
        snprintf(rel, sizeof rel, "fixtures/zoo/%.*s", (int)strcspn(at + 1, "\t\n"), at + 1);
        b.p = test_read_file(shared_path(rel), &n_bytes);
        b.n = n_bytes;
        m = b.p ? open_bytes(&b, &err) : NULL; /* NULL: a family that is not known */
        for (i = 0; m && i < m->graph.n_nodes; i++) {
            const aios__node *n = &m->graph.node[i];
            int ok = n->kind != AIOS__NODE_MATRIX && n->kind != AIOS__NODE_EXPERTS &&
                     n->kind != AIOS__NODE_GATHER;
            for (k = 0; k < i && !ok; k++)
                ok = m->graph.node[k].out[0] == n->in[0] && makes_forms(&m->graph.node[k]);
            CHECK_AT(ok, "%s: %s of layer %d", rel, n->name, (int)n->layer);
        }
        n_models += m != NULL;
        aios_model_free(m);
        free(b.p);
    }
    CHECK(n_models > 20);
    free(list);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    TEST(layers_have_the_windows_that_rows_or_keys_say)();
    TEST(layers_with_a_window_may_have_a_second_rope)();
    TEST(keys_may_be_lists_by_layer)();
    TEST(lists_that_do_not_go_together_are_refused)();
    TEST(each_key_is_kept_to_its_range)();
    TEST(what_matrices_read_has_forms)();
    TEST(layers_that_differ_compute_the_same)
    ("fixtures/stories/stories260K-f32.gguf", TEST_SANITIZED);
    TEST(layers_that_differ_compute_the_same)("fixtures/zoo/llama.gguf", 1);
    TEST(layers_that_differ_compute_the_same)("fixtures/zoo/qwen3.gguf", 1);
    TEST(layers_that_differ_compute_the_same)("fixtures/zoo/gemma2.gguf", 1);
    TEST(layers_that_differ_compute_the_same)("fixtures/zoo/nemotron.gguf", 1);
    return test_end();
}
