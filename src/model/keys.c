/* keys.c: keys of a file -> hyper-parameters. A key is a row of a table: which field it fills, and
 * what may stand there; layers.c works out what depends on several. What could not be computed with
 * is refused, with the key at fault. */

enum {
    /* a list must hold one value or, for the field of a layer, a value for each */
    AIOS__KEY_INT = 0,
    AIOS__KEY_F32 = 1,
    AIOS__KEY_F64 = 2,
    AIOS__KEY_FLAG = 3,
    AIOS__KEY_CHOICE = 4, /* a text: its index in names */
    /* fills no field: with any value but its default it asks for what this version cannot do */
    AIOS__KEY_NEUTRAL = 5
};
/* Defaults: a file without the key is refused; the field stays as the family's row or a key before
 * has it. */
#define AIOS__MUST (-1)
#define AIOS__KEEP (-2)

static const char *const aios__scalings[] = { "none", "linear", "yarn", "longrope", NULL };

/* The names stand behind that of the family. IN: the model's field or, LAYER, one of each layer.
 * need, not_with: wirings with which the key means something, and without which.
 *   KIND     IN     field             name  low  high  default  need  not_with  names */
/* clang-format off */
#define AIOS__KEYS(X) \
  X(INT,     HP,    n_layer,    "block_count",             1, 4096,    AIOS__MUST, 0, 0, 0)      \
  X(INT,     HP,    n_embd,     "embedding_length",        1, 1 << 20, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_ff,       "feed_forward_length",     1, 1 << 24, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_head,     "attention.head_count",    1, 65536,   AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, n_head_kv,  "attention.head_count_kv", 1, 65536,   0, 0, 0, 0)               \
  X(INT,     HP,    n_ctx_train, "context_length",         1, 1 << 30, AIOS__MUST, 0, 0, 0)      \
  X(INT,     LAYER, hd_k,       "attention.key_length",    1, 1024,    0, 0, 0, 0)               \
  X(INT,     LAYER, hd_v,       "attention.value_length",  1, 1024,    0, 0, 0, 0)               \
  X(INT,     LAYER, window,     "attention.sliding_window",                                      \
                                                0, 1 << 30, AIOS__KEEP, AIOS__WINDOWS, 0, 0)     \
  X(F32,     HP,    norm_eps,   "attention.layer_norm_rms_epsilon",                              \
                                                1e-30, 1, AIOS__MUST, AIOS__RMS, 0, 0)           \
  X(F32,     HP,    norm_eps,   "attention.layer_norm_epsilon",                                  \
                                                1e-30, 1, AIOS__MUST, 0, AIOS__RMS, 0)           \
  X(F32,     LAYER, score_scale, "attention.scale",        1e-9, 1e9,  0, 0, 0, 0)               \
  X(F32,     HP,    score_cap,  "attn_logit_softcapping",  0, 1e6,     AIOS__KEEP, 0, 0, 0)      \
  X(F32,     HP,    logit_cap,  "final_logit_softcapping", 0, 1e6,     AIOS__KEEP, 0, 0, 0)      \
  X(NEUTRAL, NONE,  none,       "attention.max_alibi_bias", 0, 0,      0, 0, 0, 0)               \
  X(NEUTRAL, NONE,  none,       "attention.clamp_kqv",     0, 0,       0, 0, 0, 0)               \
  X(NEUTRAL, NONE,  none,       "attention.causal",        0, 0,       1, 0, 0, 0)               \
  X(F32,     HP,    residual_scale, "residual_scale",      1e-9, 1e9,  1, AIOS__SCALES, 0, 0)    \
  X(F32,     HP,    embd_scale, "embedding_scale",         1e-9, 1e9,  0, AIOS__SCALES, 0, 0)    \
  X(F32,     HP,    logit_scale, "logit_scale",            1e-9, 1e9,  1, AIOS__SCALES, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "residual_scale",          0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "embedding_scale",         0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "logit_scale",             0, 0,       1, 0, AIOS__SCALES, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_count",            0, 0,       0, 0, AIOS__EXPERTS, 0)   \
  X(INT,     LAYER, n_expert,   "expert_count",            0, 4096,    0, AIOS__EXPERTS, 0, 0)   \
  X(INT,     LAYER, n_used,     "expert_used_count",                                             \
                                                1, 256, AIOS__MUST, AIOS__ROUTED, 0, 0)          \
  X(INT,     LAYER, n_ff_exp,   "expert_feed_forward_length",                                    \
                                                1, 1 << 24, 0, AIOS__ROUTED, 0, 0)               \
  X(INT,     LAYER, n_ff_shared, "expert_shared_feed_forward_length",                            \
                                                0, 1 << 24, 0, AIOS__ROUTED, 0, 0)               \
  X(FLAG,    HP,    exp_norm,   "expert_weights_norm",     0, 1, AIOS__KEEP, AIOS__ROUTED, 0, 0) \
  X(F32,     HP,    exp_scale,  "expert_weights_scale",    0, 1e6,     1, AIOS__ROUTED, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_gating_func",      0, 0,       1, AIOS__ROUTED, 0, 0)    \
  X(NEUTRAL, NONE,  none,       "expert_group_count",      0, 0,       1, AIOS__ROUTED, 0, 0)    \
  X(INT,     HP,    rope[0].n_rot, "rope.dimension_count",                                       \
                                                0, 1024, AIOS__KEEP, AIOS__TURNS, 0, 0)          \
  X(F64,     HP,    rope[0].base, "rope.freq_base",        1.0001, 1e15, 10000, 0, 0, 0)         \
  X(F64,     HP,    rope[1].base, "rope.freq_base_swa",                                          \
                                                1.0001, 1e15, AIOS__KEEP, AIOS__TWO_ROPES, 0, 0) \
  X(F64,     HP,    rope[0].factor, "rope.scale_linear",   1e-3, 1e6,  1, 0, 0, 0)               \
  X(F64,     HP,    rope[0].factor, "rope.scaling.factor", 1e-3, 1e6,  AIOS__KEEP, 0, 0, 0)      \
  X(F64,     HP,    rope[0].attn_factor, "rope.scaling.attn_factor", 1e-3, 1e3, 1, 0, 0, 0)      \
  X(INT,     HP,    rope[0].orig_ctx, "rope.scaling.original_context_length",                    \
                                                1, 1 << 30, 0, 0, 0, 0)                          \
  X(F64,     HP,    rope[0].ext, "rope.scaling.yarn_ext_factor", 0, 1e3, 1, 0, 0, 0)             \
  X(F64,     HP,    rope[0].beta_fast, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32, 0, 0, 0)    \
  X(F64,     HP,    rope[0].beta_slow, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1, 0, 0, 0)     \
  X(CHOICE,  HP,    rope[0].scaling, "rope.scaling.type",  0, 0,  AIOS__KEEP, 0, 0, aios__scalings)
/* clang-format on */

typedef struct aios__key_row {
    const char *name;
    const char *const *names;
    float low, high, dflt;
    uint32_t need, not_with;
    uint16_t at; /* of the field, in aios__hp or, by_layer, in aios__hp_layer */
    uint8_t kind, by_layer;
} aios__key_row;
#define AIOS__AT_HP(f)    ((uint16_t)offsetof(aios__hp, f))
#define AIOS__AT_LAYER(f) ((uint16_t)offsetof(aios__hp_layer, f))
#define AIOS__AT_NONE(f)  0
enum { AIOS__IN_HP = 0, AIOS__IN_LAYER = 1, AIOS__IN_NONE = 0 };
/* clang-format off */
#define AIOS__X(kind, in, f, name, low, high, dflt, need, not_with, names) \
    { name, names, (float)(low), (float)(high), (float)(dflt), need, not_with, \
      AIOS__AT_##in(f), AIOS__KEY_##kind, AIOS__IN_##in },
/* clang-format on */
static const aios__key_row aios__key_rows[] = { AIOS__KEYS(AIOS__X) };
#undef AIOS__X
enum { AIOS__N_KEYS = sizeof aios__key_rows / sizeof *aios__key_rows };

/* A model whose keys are being read. */
typedef struct aios__hparse {
    aios_model *m;
    aios__hp_layer every; /* what a key says of all layers, or of the first */
    aios_error *err;
    aios_status st; /* of the first key at fault */
} aios__hparse;

static const aios__key *aios__hp_key(const aios__hparse *h, const char *suffix) {
    char name[128];
    aios__text t;
    t.p = name;
    t.cap = sizeof name;
    t.n = 0;
    aios__put(&t, h->m->arch_name.p, h->m->arch_name.n);
    aios__put_z(&t, ".");
    aios__put_z(&t, suffix);
    return aios__key_find(&h->m->gguf, name);
}
/* Does the row mean something here? The count of experts stands before what it brings along. */
static int32_t aios__key_applies(const aios__hparse *h, const aios__key_row *r) {
    const aios__arch *a = h->m->arch;
    uint32_t has = a->flags;
    if (a->norm == AIOS__NORM_RMS) has |= AIOS__RMS;
    if (a->rope != AIOS__ROPE_NONE) has |= AIOS__TURNS;
    if (a->window_every) has |= AIOS__WINDOWS;
    if (a->window_base != 0) has |= AIOS__TWO_ROPES;
    if (h->every.n_expert) has |= AIOS__ROUTED;
    return (has & r->need) == r->need && !(has & r->not_with);
}
static void aios__key_range(aios__hparse *h, const char *suffix, uint64_t limit, uint64_t v) {
    const aios__key *k = aios__hp_key(h, suffix);
    h->st =
        aios__fail2(h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, limit, v,
                    "key % is %, out of range", k ? aios__s(k->name) : aios__z(suffix), aios__u(v));
}
/* Item i as a whole number in the row's range. */
static int32_t aios__key_int(aios__hparse *h, const aios__key_row *r, const aios__key *k,
                             uint64_t i) {
    uint64_t v = 0, low = (uint64_t)r->low, high = (uint64_t)r->high;
    if (!aios__key_item_u64(k, i, &v))
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                            k->is_array ? "key % must hold whole numbers"
                                        : "key % must be a whole number, not negative",
                            aios__s(k->name));
    else if (v < low || v > high)
        aios__key_range(h, r->name, v < low ? low : high, v);
    return h->st ? 0 : (int32_t)v;
}
/* Do all items of a list say the same? */
static int32_t aios__key_alike(const aios__key *k) {
    uint64_t v = 0, w = 0;
    if (!aios__key_item_u64(k, 0, &v)) return 1; /* aios__key_int says so */
    for (uint64_t i = 1; i < k->n; i++)
        if (!aios__key_item_u64(k, i, &w) || w != v) return 0;
    return 1;
}
static void aios__key_differs(aios__hparse *h, const aios__key *k) {
    h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                        "key % differs between layers, which this version cannot run",
                        aios__s(k->name));
}
static int32_t aios__key_choice(aios__hparse *h, const aios__key_row *r, const aios__key *k) {
    aios__str s;
    if (!aios__key_str(k, &s)) {
        h->st =
            aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must be a string", aios__s(k->name));
        return 0;
    }
    for (int32_t i = 0; r->names[i]; i++)
        if (aios__str_eq(s, r->names[i])) return i;
    h->st = aios__fail2(h->err, AIOS_ERR_UNSUPPORTED, k->off, 0, 0,
                        "key % is '%', which is not known to this version", aios__s(k->name),
                        aios__s(s));
    return 0;
}
/* The value of a key that is there, as a number; of a list, the first. */
static double aios__key_value(aios__hparse *h, const aios__key_row *r, const aios__key *k) {
    double v = 0;
    int32_t flag = 0;
    switch (r->kind) {
    case AIOS__KEY_INT:
        if (!r->by_layer && !aios__key_alike(k)) aios__key_differs(h, k);
        return h->st ? 0 : aios__key_int(h, r, k, 0);
    case AIOS__KEY_FLAG:
        if (!aios__key_bool(k, &flag))
            h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must be true or false",
                                aios__s(k->name));
        return flag;
    case AIOS__KEY_CHOICE: return aios__key_choice(h, r, k);
    case AIOS__KEY_NEUTRAL:
        if (!aios__key_f64(k, &v) || v != r->dflt)
            h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                                "key % asks for something that this version cannot run",
                                aios__s(k->name));
        return v;
    default:
        if (!aios__key_f64(k, &v) || !(v >= r->low && v <= r->high))
            h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                                "key % is no number in the range that makes sense for it",
                                aios__s(k->name));
        return v;
    }
}
static void aios__key_put(const aios__key_row *r, void *base, double v) {
    void *field = (char *)base + r->at;
    if (r->kind == AIOS__KEY_F32)
        *(float *)field = (float)v;
    else if (r->kind == AIOS__KEY_F64)
        *(double *)field = v;
    else
        *(int32_t *)field = (int32_t)v;
}
static void aios__key_read(aios__hparse *h, const aios__key_row *r) {
    const aios__key *k = aios__hp_key(h, r->name);
    double v = k ? aios__key_value(h, r, k) : r->dflt;
    if (!k && v == AIOS__MUST)
        h->st = aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "key %.% is missing",
                            aios__s(h->m->arch_name), aios__z(r->name));
    if (h->st || r->kind == AIOS__KEY_NEUTRAL || (!k && v == AIOS__KEEP)) return;
    aios__key_put(r, r->by_layer ? (void *)&h->every : (void *)&h->m->hp, v);
}
/* All keys: the model's fields, and what the first layer says in h->every. */
static aios_status aios__keys_read(aios__hparse *h) {
    for (int32_t i = 0; i < AIOS__N_KEYS && !h->st; i++)
        if (aios__key_applies(h, &aios__key_rows[i])) aios__key_read(h, &aios__key_rows[i]);
    return h->st;
}
/* Gives each layer what the keys say of it: h->every, but for lists whose items differ. */
static aios_status aios__keys_by_layer(aios__hparse *h) {
    const aios__hp *p = &h->m->hp;
    for (int32_t l = 0; l < p->n_layer; l++) p->layer[l] = h->every;
    for (int32_t i = 0; i < AIOS__N_KEYS && !h->st; i++) {
        const aios__key_row *r = &aios__key_rows[i];
        const aios__key *k =
            r->by_layer && aios__key_applies(h, r) ? aios__hp_key(h, r->name) : NULL;
        if (!k || aios__key_alike(k)) continue;
        if (k->n < (uint64_t)p->n_layer)
            return aios__fail2(h->err, AIOS_ERR_MODEL, k->off, (uint64_t)p->n_layer, k->n,
                               "key % holds % values, too few for the layers", aios__s(k->name),
                               aios__u(k->n));
        for (int32_t l = 0; l < p->n_layer && !h->st; l++)
            aios__key_put(r, &p->layer[l], aios__key_int(h, r, k, (uint64_t)l));
    }
    return h->st;
}
