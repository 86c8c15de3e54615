/* test_layers.c: what the layers of a model are: which of them have a window, which rope they
 * have, and how many heads; from keys and from rows of families that need not be in the table. */
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
/* Lists of layers that do not go together, of which each item is in range: heads that are shorter than what turns, and layers
 * with other counts of experts than those before. Where they may differ, scores are scaled by each layer's own heads. */
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

int main(int argc, char **argv) {
    test_begin(argc, argv);
    TEST(layers_have_the_windows_that_rows_or_keys_say)();
    TEST(layers_with_a_window_may_have_a_second_rope)();
    TEST(keys_may_be_lists_by_layer)();
    TEST(lists_that_do_not_go_together_are_refused)();
    TEST(each_key_is_kept_to_its_range)();
    return test_end();
}
