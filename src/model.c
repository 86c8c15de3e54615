/* model.c: directory + arch row -> hyper-parameters and tensors by role. Everything that could not be computed with is
 * refused here, with the key or tensor at fault; what comes after may rely on every number in aios__hp. */

typedef struct aios__hp {
    int32_t n_layer, n_embd, n_head, n_head_kv, hd_k, hd_v, n_ff, n_vocab, n_ctx_train;
    int32_t n_rot;                      /* channels of a head that turn; even; 0 = no rope              */
    int32_t window;                     /* a query sees itself and window - 1 before it; 0 = all        */
    float norm_eps, score_scale, score_cap, logit_cap, embd_scale;
    int32_t rope_scaling;               /* AIOS__SCALE_*                                                */
    int32_t rope_orig_ctx;
    double rope_base, rope_factor, rope_attn_factor, yarn_beta_fast, yarn_beta_slow, yarn_ext;
} aios__hp;
enum { AIOS__SCALE_NONE = 0, AIOS__SCALE_LINEAR = 1, AIOS__SCALE_YARN = 2, AIOS__SCALE_LONGROPE = 3 };

/* Tensor index of a role, and of its bias; -1 = the file has none. */
typedef struct aios__ref { int32_t w, b; } aios__ref;

/* Where a tensor's bytes are. Decided by aios__place_of (memory.c) before any are taken: the rows below `rows` are resident, in
 * the block of their tier or where the io maps them; those from there on are streamed. */
typedef struct aios__place {
    uint8_t use, group, can_map;            /* AIOS__IS_*, 0 = no role; AIOS__GROUP_*                   */
    uint8_t layout, mapped, tier;           /* of the resident rows                                     */
    int16_t layer;                          /* 0 for the model's own                                    */
    uint32_t rows;
    uint64_t off, n_bytes;                  /* in the block of the tier; vectors are kept as f32        */
    const void *p;                          /* NULL until loaded                                        */
} aios__place;
/* Matrices in the order in which they leave memory when it is short; FIXED stays. */
enum { AIOS__GROUP_FFN = 0, AIOS__GROUP_ATTN = 1, AIOS__GROUP_OUT = 2, AIOS__GROUP_FIXED = 3 };

/* How the weights are divided between the tiers. With it, aios__place_of gives the same answer each time. */
typedef struct aios__cut {
    int32_t rows;                           /* 1 = all matrices as in the file (AIOS_REFERENCE)         */
    int32_t level;                          /* how much is streamed, 0 .. AIOS__LEVELS                  */
    int32_t warm, mapped;                   /* how many steps are warm; 1 = those are used where the io maps them */
    uint64_t unit_bytes;                    /* most bytes of rows that are streamed at once             */
} aios__cut;

struct aios_model {
    aios_allocator mem;
    aios_mem_req req, weights_req[2];       /* weights: of HOT and of WARM                              */
    aios_io *io;                            /* [n_parts]                                                */
    uint32_t n_parts, own_files, flags;
    int32_t loaded;                         /* the weights are there, divided as cut says               */
    aios__cut cut;
    uint32_t n_contexts, dying;             /* dying: freed when its last context is                    */
    aios__gguf gguf;
    aios__vocab vocab;
    const aios__arch *arch;                 /* NULL when opened for the vocabulary alone                */
    aios__str arch_name;                    /* zero terminated in arch_z                                */
    char arch_z[32];
    aios__hp hp;
    aios__ref role[AIOS__N_MODEL_ROLES];
    aios__ref (*layer)[AIOS__N_LAYER_ROLES];    /* [n_layer]                                            */
    aios__place *place;                     /* [n_tensors]                                              */
    void *weights[2];
};

/* ---- hyper-parameters -------------------------------------------------------------------------------------- */
typedef struct aios__hparse { const aios_model *m; aios_error *err; aios_status st; } aios__hparse;

static const aios__key *aios__hp_key(const aios__hparse *h, const char *suffix) {
    char name[128];
    aios__text t;
    t.p = name; t.cap = sizeof name; t.n = 0;
    aios__put(&t, h->m->arch_name.p, h->m->arch_name.n);
    aios__put_z(&t, ".");
    aios__put_z(&t, suffix);
    return aios__key_find(&h->m->gguf, name);
}
/* An integer in [lo, hi]; missing: dflt, or an error when dflt < 0. An array (a value per layer) must hold one value. */
static int32_t aios__hp_int(aios__hparse *h, const char *suffix, int32_t lo, int32_t hi, int32_t dflt) {
    const aios__key *k = aios__hp_key(h, suffix);
    uint64_t v = 0, w, i;
    if (h->st) return 0;
    if (!k) {
        if (dflt < 0) h->st = aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "key %.% is missing", aios__s(h->m->arch_name), aios__z(suffix));
        return dflt;
    }
    if (k->is_array) {
        if (k->n == 0 || !aios__key_item_u64(k, 0, &v)) { h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must hold whole numbers", aios__s(k->name)); return 0; }
        for (i = 1; i < k->n; i++)
            if (!aios__key_item_u64(k, i, &w) || w != v) {
                h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off, "key % differs between layers, which this version cannot run", aios__s(k->name));
                return 0;
            }
    } else if (!aios__key_u64(k, &v)) {
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must be a whole number, not negative", aios__s(k->name));
        return 0;
    }
    if (v < (uint64_t)lo || v > (uint64_t)hi) {
        h->st = aios__fail2(h->err, AIOS_ERR_MODEL, k->off, v < (uint64_t)lo ? (uint64_t)lo : (uint64_t)hi, v, "key % is %, out of range", aios__s(k->name), aios__u(v));
        return 0;
    }
    return (int32_t)v;
}
static double aios__hp_num(aios__hparse *h, const char *suffix, double lo, double hi, double dflt) {
    const aios__key *k = aios__hp_key(h, suffix);
    double v = 0;
    if (h->st || !k) return dflt;
    if (k->is_array || !aios__key_f64(k, &v) || !(v >= lo && v <= hi)) {
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % is no number in the range that makes sense for it", aios__s(k->name));
        return dflt;
    }
    return v;
}
/* A switch this version cannot honour: refused when set to anything but its neutral value. */
static void aios__hp_refuse(aios__hparse *h, const char *suffix, double neutral) {
    const aios__key *k = aios__hp_key(h, suffix);
    double v;
    if (h->st || !k) return;
    if (k->is_array || !aios__key_f64(k, &v) || v != neutral)
        h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off, "key % asks for something that this version cannot run", aios__s(k->name));
}

AIOSK__STRICT static aios_status aios__hp_load(aios_model *m, aios_error *err) {
    aios__hparse h;
    aios__hp *p = &m->hp;
    const aios__key *k;
    aios__str s;
    int32_t scale;
    h.m = m; h.err = err; h.st = AIOS_OK;
    p->n_layer     = aios__hp_int(&h, "block_count", 1, 4096, -1);
    p->n_embd      = aios__hp_int(&h, "embedding_length", 1, 1 << 20, -1);
    p->n_ff        = aios__hp_int(&h, "feed_forward_length", 1, 1 << 24, -1);
    p->n_head      = aios__hp_int(&h, "attention.head_count", 1, 65536, -1);
    p->n_head_kv   = aios__hp_int(&h, "attention.head_count_kv", 1, 65536, p->n_head);
    p->n_ctx_train = aios__hp_int(&h, "context_length", 1, 1 << 30, -1);
    if (h.st) return h.st;
    if (p->n_head % p->n_head_kv) {
        k = aios__hp_key(&h, "attention.head_count_kv");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_head, (uint64_t)p->n_head_kv,
                           "% heads cannot share % key/value heads evenly", aios__i(p->n_head), aios__i(p->n_head_kv));
    }
    if (!aios__hp_key(&h, "attention.key_length") && p->n_embd % p->n_head) {
        k = aios__hp_key(&h, "attention.head_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_embd, (uint64_t)p->n_head,
                           "an embedding of % is no multiple of % heads, and there is no attention.key_length", aios__i(p->n_embd), aios__i(p->n_head));
    }
    p->hd_k = aios__hp_int(&h, "attention.key_length", 1, 1024, p->n_embd / p->n_head);
    p->hd_v = aios__hp_int(&h, "attention.value_length", 1, 1024, p->n_embd / p->n_head);
    scale = p->hd_k > p->hd_v ? p->hd_k : p->hd_v;
    if (!h.st && (scale > 1024 || p->hd_k < 1 || p->hd_v < 1))
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1024, (uint64_t)scale, "a head of % channels is not in the range that this version handles (1 to %)", aios__i(scale), aios__u(1024));
    if (!h.st && (int64_t)p->n_head * scale > 1 << 22)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1 << 22, (uint64_t)p->n_head * (uint64_t)scale, "% heads of % channels are more than this version handles", aios__i(p->n_head), aios__i(scale));
    p->n_rot = m->arch->rope == AIOS__ROPE_NONE ? 0 : aios__hp_int(&h, "rope.dimension_count", 0, p->hd_k, p->hd_k);
    if (!h.st && p->n_rot % 2) {
        k = aios__hp_key(&h, "rope.dimension_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, 0, (uint64_t)p->n_rot, "key rope.dimension_count is %, which is odd", aios__i(p->n_rot), aios__u(0));
    }
    k = aios__hp_key(&h, m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon");
    if (!h.st && !k) return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "the key with the norm's epsilon (%) is missing",
                                        aios__z(m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"));
    p->norm_eps = (float)aios__hp_num(&h, m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-30, 1, 1e-5);
    p->window   = m->arch->window_every ? aios__hp_int(&h, "attention.sliding_window", 0, 1 << 30, m->arch->window) : 0;
    p->score_cap = (float)aios__hp_num(&h, "attn_logit_softcapping", 0, 1e6, m->arch->score_cap);
    p->logit_cap = (float)aios__hp_num(&h, "final_logit_softcapping", 0, 1e6, m->arch->logit_cap);
    p->embd_scale = m->arch->flags & AIOS__EMBD_SQRT ? aiosk__sqrt((float)p->n_embd) : 1.0f;
    /* gemma2 27B (46 layers) scales scores by its embedding per head, not by its head size */
    scale = m->arch->flags & AIOS__POST_NORM && p->n_layer == 46 ? p->n_embd / p->n_head : p->hd_k;
    p->score_scale = (float)aios__hp_num(&h, "attention.scale", 1e-9, 1e9, (double)(1.0f / aiosk__sqrt((float)scale)));
    aios__hp_refuse(&h, "expert_count", 0);
    aios__hp_refuse(&h, "attention.max_alibi_bias", 0);
    aios__hp_refuse(&h, "attention.clamp_kqv", 0);
    aios__hp_refuse(&h, "attention.causal", 1);
    aios__hp_refuse(&h, "logit_scale", 1);
    aios__hp_refuse(&h, "residual_scale", 1);
    aios__hp_refuse(&h, "embedding_scale", 1);

    p->rope_base     = aios__hp_num(&h, "rope.freq_base", 1.0001, 1e15, 10000.0);
    p->rope_factor   = aios__hp_num(&h, "rope.scaling.factor", 1e-3, 1e6, aios__hp_num(&h, "rope.scale_linear", 1e-3, 1e6, 1.0));
    p->rope_attn_factor = aios__hp_num(&h, "rope.scaling.attn_factor", 1e-3, 1e3, 1.0);
    p->rope_orig_ctx = aios__hp_int(&h, "rope.scaling.original_context_length", 1, 1 << 30, p->n_ctx_train);
    p->yarn_ext      = aios__hp_num(&h, "rope.scaling.yarn_ext_factor", 0, 1e3, 1.0);
    p->yarn_beta_fast = aios__hp_num(&h, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0);
    p->yarn_beta_slow = aios__hp_num(&h, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0);
    k = aios__hp_key(&h, "rope.scaling.type");
    p->rope_scaling = p->rope_factor != 1.0 ? AIOS__SCALE_LINEAR : AIOS__SCALE_NONE;
    if (!h.st && k) {
        if (!aios__key_str(k, &s)) return aios__fail1(err, AIOS_ERR_MODEL, k->off, "key % must be a string", aios__s(k->name));
        if (aios__str_eq(s, "none")) p->rope_scaling = AIOS__SCALE_NONE;
        else if (aios__str_eq(s, "linear")) p->rope_scaling = AIOS__SCALE_LINEAR;
        else if (aios__str_eq(s, "yarn")) p->rope_scaling = AIOS__SCALE_YARN;
        else if (aios__str_eq(s, "longrope")) p->rope_scaling = AIOS__SCALE_LONGROPE;
        else return aios__fail1(err, AIOS_ERR_UNSUPPORTED, k->off, "rope scaling '%' is not known to this version", aios__s(s));
    }
    return h.st;
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */
static uint64_t aios__role_dim(const aios_model *m, char c, const aios__ref *layer) {
    const aios__hp *p = &m->hp;
    uint64_t q = (uint64_t)p->n_head * (uint64_t)p->hd_k, k = (uint64_t)p->n_head_kv * (uint64_t)p->hd_k, v = (uint64_t)p->n_head_kv * (uint64_t)p->hd_v;
    switch (c) {
    case 'E': return (uint64_t)p->n_embd;
    case 'W': return (uint64_t)p->n_vocab;
    case 'C': return (uint64_t)p->n_ctx_train;
    case 'R': return (uint64_t)p->n_rot / 2;
    case 'Q': return q;
    case 'K': return k;
    case 'V': return v;
    case 'T': return q + k + v;
    case 'O': return (uint64_t)p->n_head * (uint64_t)p->hd_v;
    case 'F': return (uint64_t)p->n_ff;
    case 'U': return (uint64_t)p->n_ff * (m->arch->flags & AIOS__GATED && layer[AIOS__T_FFN_GATE].w < 0 ? 2 : 1);     /* gate and up in one */
    case 'H': return (uint64_t)p->hd_k;
    default:  return 1;
    }
}
static aios_status aios__shape_check(const aios_model *m, int32_t i, uint64_t in, uint64_t out, aios_error *err) {
    const aios__tensor *t = &m->gguf.tensor[i];
    uint64_t rest = t->n[2] * t->n[3];
    if (t->n[0] != in)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, in, t->n[0], "tensor % has rows of %, which does not fit the model", aios__s(t->name), aios__u(t->n[0]));
    if (t->n[1] != out || rest != 1)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, out, t->n[1], "tensor % has % rows, which does not fit the model", aios__s(t->name), aios__u(t->n[1]));
    return AIOS_OK;
}
/* Finds one role's tensors and counts them. prefix is "" or "blk.N.". */
static void aios__role_find(aios_model *m, const aios__role *r, const char *prefix, aios__ref *ref, uint32_t *n_found) {
    int32_t part;
    for (part = 0; part < 2; part++) {
        char name[96];
        aios__text t;
        aios__str s;
        const aios__tensor *x;
        t.p = name; t.cap = sizeof name; t.n = 0;
        aios__put_z(&t, prefix); aios__put_z(&t, r->name); aios__put_z(&t, part ? ".bias" : ".weight");
        s.p = name; s.n = t.n;
        x = aios__tensor_find(&m->gguf, s);
        *(part ? &ref->b : &ref->w) = x ? (int32_t)(x - m->gguf.tensor) : -1;
        if (x) { (*n_found)++; m->place[x - m->gguf.tensor].use = (uint8_t)(part ? AIOS__IS_VECTOR : r->kind); }
    }
}
static aios_status aios__missing(const aios__role *r, int32_t layer, aios_error *err) {
    if (layer < 0) return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor %.weight is missing", aios__z(r->name));
    return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "tensor blk.%.%.weight is missing", aios__i(layer), aios__z(r->name));
}
/* A tensor that the family's row has no place for would be left out of the sum: better refused. */
static aios_status aios__no_place(const aios_model *m, const aios__tensor *t, aios_error *err) {
    return aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, 0, "tensor % has no place in the family %", aios__s(t->name), aios__s(m->arch_name));
}
/* Is everything there that must be, of the right shape, and nothing that has no place? layer -1 = the model's own roles. */
static aios_status aios__role_check(const aios_model *m, const aios__role *r, const aios__ref *ref, int32_t l, aios_error *err) {
    const aios__ref *layer = l < 0 ? NULL : m->layer[l];
    uint64_t in = aios__role_dim(m, r->in, layer), out = aios__role_dim(m, r->out, layer);
    uint32_t has = m->arch->flags | (layer && layer[AIOS__T_ATTN_QKV].w >= 0 ? (uint32_t)AIOS__FUSED_QKV : 0);
    int32_t place = (has & r->need) == r->need && !(has & r->not_with);
    aios_status st = AIOS_OK;
    if (ref->w < 0 && place && r->must) return aios__missing(r, l, err);
    if (ref->w >= 0) {
        const aios__tensor *t = &m->gguf.tensor[ref->w];
        if (!place) return aios__no_place(m, t, err);
        st = aios__shape_check(m, ref->w, in, out, err);
        if (!st && r->kind == AIOS__IS_VECTOR && aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type, "tensor % is a vector of type %; f32, f16 or bf16 is due", aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        if (!st && aiosk_type_info((int32_t)t->type)->family == AIOSK_RAW)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type, "tensor % is of type %, which no matrix can have", aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
    }
    if (!st && ref->b >= 0) {
        const aios__tensor *t = &m->gguf.tensor[ref->b];
        int32_t may = r->kind == AIOS__IS_MATRIX || (r->kind == AIOS__IS_VECTOR && r->in == 'E' && m->arch->norm == AIOS__NORM_LAYER);
        if (ref->w < 0) return aios__fail1(err, AIOS_ERR_MODEL, t->dir_off, "tensor % has no weight to go with", aios__s(t->name));
        if (!may) return aios__no_place(m, t, err);
        st = aios__shape_check(m, ref->b, r->kind == AIOS__IS_VECTOR ? in : out, 1, err);
        if (!st && aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type, "tensor % is a bias of type %; f32, f16 or bf16 is due", aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
    }
    return st;
}
static aios_status aios__roles_load(aios_model *m, aios_error *err) {
    uint32_t n_found = 0, i;
    int32_t l, r;
    const aios__tensor *t;
    aios_status st = AIOS_OK;
    for (r = 0; r < AIOS__N_MODEL_ROLES; r++) aios__role_find(m, &aios__model_role[r], "", &m->role[r], &n_found);
    if (m->role[AIOS__T_TOKEN_EMBD].w < 0) return aios__missing(&aios__model_role[AIOS__T_TOKEN_EMBD], -1, err);
    t = &m->gguf.tensor[m->role[AIOS__T_TOKEN_EMBD].w];
    if (t->n[1] > 1 << 28) return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, 1 << 28, t->n[1], "tensor % has % rows, more than a vocabulary can have", aios__s(t->name), aios__u(t->n[1]));
    m->hp.n_vocab = (int32_t)t->n[1];
    if (aios__vocab_size(&m->vocab) && aios__vocab_size(&m->vocab) != (uint64_t)m->hp.n_vocab)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, aios__vocab_size(&m->vocab), t->n[1], "tensor % has % rows, another number than the tokenizer has tokens", aios__s(t->name), aios__u(t->n[1]));
    for (r = 0; r < AIOS__N_MODEL_ROLES; r++)
        if ((st = aios__role_check(m, &aios__model_role[r], &m->role[r], -1, err)) != 0) return st;
    if ((m->role[AIOS__T_ROPE_LONG].w < 0) != (m->role[AIOS__T_ROPE_SHORT].w < 0))
        return aios__missing(&aios__model_role[m->role[AIOS__T_ROPE_LONG].w < 0 ? AIOS__T_ROPE_LONG : AIOS__T_ROPE_SHORT], -1, err);
    if (m->role[AIOS__T_OUTPUT].w < 0) m->place[m->role[AIOS__T_TOKEN_EMBD].w].use = AIOS__IS_MATRIX;    /* tied: multiplied with too */
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].group = AIOS__GROUP_FIXED;
    if (m->role[AIOS__T_OUTPUT].w >= 0) m->place[m->role[AIOS__T_OUTPUT].w].group = AIOS__GROUP_OUT;

    for (l = 0; l < m->hp.n_layer; l++) {
        char prefix[24];
        aios__text x;
        x.p = prefix; x.cap = sizeof prefix; x.n = 0;
        aios__put_z(&x, "blk."); aios__put_i(&x, l); aios__put_z(&x, ".");
        for (r = 0; r < AIOS__N_LAYER_ROLES; r++) aios__role_find(m, &aios__layer_role[r], prefix, &m->layer[l][r], &n_found);
        for (r = 0; r < AIOS__N_LAYER_ROLES; r++) {
            if ((st = aios__role_check(m, &aios__layer_role[r], &m->layer[l][r], l, err)) != 0) return st;
            if (m->layer[l][r].w < 0 || aios__layer_role[r].kind != AIOS__IS_MATRIX) continue;
            m->place[m->layer[l][r].w].group = r < AIOS__T_FFN_NORM ? AIOS__GROUP_ATTN : AIOS__GROUP_FFN;
            m->place[m->layer[l][r].w].layer = (int16_t)l;
        }
    }
    for (i = 0; n_found != m->gguf.n_tensors && i < m->gguf.n_tensors; i++)
        if (!m->place[i].use) return aios__no_place(m, &m->gguf.tensor[i], err);
    return AIOS_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */
/* Takes the model's memory from a bump; counts when its base is NULL. n_layer is what the file says, unchecked yet,
 * but never more than there are tensors. */
static aios_model *aios__model_layout(aios__bump *b, const aios__gguf_size *size, uint32_t n_parts, aios_model *into) {
    aios_model *m = (aios_model *)aios__take(b, sizeof(aios_model), 64);
    aios_model *x = m ? m : into;
    x->io    = (aios_io *)aios__take(b, n_parts * sizeof(aios_io), 8);
    x->place = (aios__place *)aios__take(b, (uint64_t)size->n_tensors * sizeof(aios__place), 8);
    /* a layer has two tensors at the least, so this is enough for any file that will not be refused */
    x->layer = (aios__ref (*)[AIOS__N_LAYER_ROLES])aios__take(b, ((uint64_t)size->n_tensors / 2 + 1) * sizeof *x->layer, 8);
    return m;
}

enum { AIOS__MAX_PARTS = 256 };

/* A model being opened: the caller's desc made whole, and its parts, ours or the caller's. */
typedef struct aios__opening {
    aios_io io[AIOS__MAX_PARTS];
    uint32_t n_parts, own_files;
    aios_limits lim;
    aios_model_desc d;
} aios__opening;

static void aios__parts_close(aios_io *io, uint32_t n) {
    uint32_t i;
    for (i = 0; i < n; i++) aios__file_close(&io[i]);
}
/* Opens path and, when that is the first part of a split file, all the others. On failure none stays open. */
static aios_status aios__parts_open(aios__opening *o, aios_error *err) {
    char name[1024];
    uint32_t i;
    aios_status st = aios__file_open(o->d.path, &o->io[0], err);
    if (st) return st;
    st = aios__gguf_split_count(&o->io[0], &o->lim, &o->n_parts, err);
    if (!st && o->n_parts > o->lim.max_parts)
        st = aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts, "% parts are more than the limit of %", aios__u(o->n_parts), aios__u(o->lim.max_parts));
    for (i = 1; !st && i < o->n_parts; i++) {
        if (!aios__split_name(o->d.path, i, o->n_parts, name, sizeof name))
            st = aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, o->n_parts, 1, "the file is one of % parts, but its name does not end in -00001-of-N.gguf", aios__u(o->n_parts), aios__u(0));
        else st = aios__file_open(name, &o->io[i], err);
        if (st) { aios__parts_close(o->io, i); return st; }
    }
    if (st) aios__parts_close(o->io, 1);
    else o->own_files = 1;
    return st;
}

/* Checks the desc, fills in defaults, opens or copies the parts. What is open must be closed by the caller. */
static aios_status aios__opening_start(aios__opening *o, const aios_model_desc *d, aios_error *err) {
    aios_status st;
    uint32_t i;
    const char *p;
    memset(o, 0, sizeof *o);
    aios__clear(err);
    if ((st = aios__desc_copy(&o->d, sizeof o->d, d, "aios_model_desc", err)) != 0) return st;
    if ((st = aios__flags(o->d.flags, AIOS_MODEL_VOCAB_ONLY, "aios_model_desc", err)) != 0) return st;
    if (o->d.limits && (st = aios__desc_copy(&o->lim, sizeof o->lim, o->d.limits, "aios_limits", err)) != 0) return st;
    o->lim = aios__limits_of(&o->lim);
    if (o->lim.max_parts > AIOS__MAX_PARTS) o->lim.max_parts = AIOS__MAX_PARTS;
    o->n_parts = 1;
    if (!o->d.io) {
        if (!o->d.path) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_model_desc needs io or path");
        return aios__parts_open(o, err);
    }
    if (o->d.n_parts) o->n_parts = o->d.n_parts;
    if (o->n_parts > o->lim.max_parts) return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts, "% parts are more than the limit of %", aios__u(o->n_parts), aios__u(o->lim.max_parts));
    for (i = 0, p = (const char *)o->d.io; i < o->n_parts; i++, p += o->d.io->struct_size) {     /* the caller's sizeof */
        if ((st = aios__desc_copy(&o->io[i], sizeof *o->io, p, "aios_io", err)) != 0) return st;
        if ((st = aios__flags(o->io[i].flags, 0, "aios_io", err)) != 0) return st;
        if (!o->io[i].read) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_io.read is NULL");
    }
    return AIOS_OK;
}
static void aios__opening_end(aios__opening *o) { if (o->own_files) aios__parts_close(o->io, o->n_parts); }

/* Reads the headers once with no memory but the stack, and lays everything out. */
static aios_status aios__model_size(aios__opening *o, aios__gguf_size *size, uint64_t *bytes, aios_error *err) {
    aios__bump b = { NULL, 0 };
    aios_model tmp;
    aios_status st = aios__gguf_measure(o->io, o->n_parts, &o->lim, size, err);
    if (st) return st;
    memset(&tmp, 0, sizeof tmp);
    aios__model_layout(&b, size, o->n_parts, &tmp);
    if ((st = aios__gguf_load(&tmp.gguf, &b, o->io, o->n_parts, &o->lim, size, err)) != 0) return st;
    if ((st = aios__vocab_load(&tmp.vocab, &b, NULL, size, err)) != 0) return st;
    *bytes = aios__round_up(b.used, 64);
    return AIOS_OK;
}

static aios_status aios__allocator_check(const aios_allocator *mem, aios_error *err) {
    if (!mem->alloc || !mem->free) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_allocator needs alloc and free");
    return aios__flags(mem->flags, 0, "aios_allocator", err);
}
static void aios__req_fill(aios_mem_req *r, uint32_t kind, uint32_t tier, uint64_t bytes) {
    memset(r, 0, sizeof *r);
    r->struct_size = (uint32_t)sizeof *r;
    r->kind = kind; r->bytes = bytes; r->align = tier == AIOS_TIER_STREAM ? 4096 : 64; r->tier = tier;
    r->flags = bytes >= ((uint64_t)32 << 20) ? (uint32_t)AIOS_MEM_HUGE : 0;
    r->numa_node = -1; r->layer = -1;
}

/* The arch row, hyper-parameters and roles of a loaded directory. */
static aios_status aios__model_understand(aios_model *m, aios_error *err) {
    const aios__key *k = aios__key_find(&m->gguf, "general.architecture");
    aios_status st;
    if (!k) {
        if (m->flags & AIOS_MODEL_VOCAB_ONLY) return AIOS_OK;
        return aios__fail(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "key general.architecture is missing");
    }
    if (!aios__key_str(k, &m->arch_name)) return aios__fail(err, AIOS_ERR_MODEL, k->off, "key general.architecture must be a string");
    memcpy(m->arch_z, m->arch_name.p, (size_t)aios__min_u64(m->arch_name.n, sizeof m->arch_z - 1));
    if (m->flags & AIOS_MODEL_VOCAB_ONLY) return AIOS_OK;
    m->arch = aios__arch_find(m->arch_name);
    if (!m->arch) return aios__fail1(err, AIOS_ERR_UNSUPPORTED, k->off, "the model family '%' is not known to this version", aios__s(m->arch_name));
    if ((st = aios__hp_load(m, err)) != 0) return st;
    if ((uint64_t)m->hp.n_layer > (uint64_t)m->gguf.n_tensors / 2) {
        aios__hparse h;
        h.m = m; h.err = err; h.st = 0;
        k = aios__hp_key(&h, "block_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, m->gguf.n_tensors, (uint64_t)m->hp.n_layer, "% layers cannot be made of % tensors", aios__i(m->hp.n_layer), aios__u(m->gguf.n_tensors));
    }
    return aios__roles_load(m, err);
}

AIOS_API aios_status aios_model_measure(const aios_model_desc *d, aios_mem_req *req, aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_mem_req r;
    uint64_t bytes = 0;
    aios_status st = aios__opening_start(&o, d, err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    aios__opening_end(&o);
    if (st) return st;
    aios__req_fill(&r, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
    return aios__desc_fill(req, &r, sizeof r) ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF, "req is NULL or was not initialised: call aios_mem_req_init first") : AIOS_OK;
}

AIOS_API aios_status aios_model_open(const aios_model_desc *d, aios_model **out, aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_allocator mem;
    aios_mem_req req;
    aios__bump b = { NULL, 0 };
    aios_model *m;
    void *block = NULL;
    uint64_t bytes = 0, fp;
    uint32_t i;
    aios_status st;
    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    st = aios__opening_start(&o, d, err);
    if (!st && !o.d.mem) st = aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_model_desc.mem is NULL: the library takes memory from the caller alone");
    if (!st) st = aios__desc_copy(&mem, sizeof mem, o.d.mem, "aios_allocator", err);
    if (!st) st = aios__allocator_check(&mem, err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    if (!st) {
        aios__req_fill(&req, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
        st = aios__alloc(&mem, &req, "model's header", &block, err);
        b.base = (char *)block;
    }
    if (st) { aios__opening_end(&o); return st; }
    memset(b.base, 0, sizeof(aios_model));
    m = aios__model_layout(&b, &size, o.n_parts, NULL);
    m->mem = mem; m->req = req; m->n_parts = o.n_parts; m->own_files = o.own_files; m->flags = o.d.flags;
    memcpy(m->io, o.io, o.n_parts * sizeof *o.io);
    memset(m->place, 0, size.n_tensors * sizeof *m->place);
    st = aios__gguf_load(&m->gguf, &b, m->io, m->n_parts, &o.lim, &size, err);
    if (!st) st = aios__vocab_load(&m->vocab, &b, &m->gguf, &size, err);
    fp = aiosk_fp_begin();              /* the host's rounding mode is not ours */
    if (!st) st = aios__model_understand(m, err);
    aiosk_fp_end(fp);
    if (st) { aios_model_free(m); return st; }
    for (i = 0; i < m->gguf.n_tensors; i++)
        m->place[i].can_map = aios__io_map(&m->io[m->gguf.tensor[i].part], m->gguf.tensor[i].off, m->gguf.tensor[i].n_bytes) != NULL;
    if (o.d.log) {
        aios_error e;
        if (aios__vocab_encodes(&m->vocab, &e)) o.d.log(o.d.log_user, 1, e.text);     /* runs all the same, on token ids */
    }
    *out = m;
    return AIOS_OK;
}

AIOS_API void aios_model_free(aios_model *m) {
    aios_allocator mem;
    aios_mem_req req;
    int32_t i;
    if (!m) return;
    if (m->n_contexts) { m->dying = 1; return; }
    mem = m->mem; req = m->req;
    for (i = 1; i >= 0; i--) if (m->weights[i]) mem.free(mem.user, m->weights[i], &m->weights_req[i]);
    if (m->own_files) aios__parts_close(m->io, m->n_parts);
    mem.free(mem.user, m, &req);
}

/* ---- what the model is -------------------------------------------------------------------------------------- */
AIOS_API aios_status aios_model_get_info(const aios_model *m, aios_model_info *out) {
    aios_model_info i;
    if (!m) return AIOS_ERR_ARG;
    memset(&i, 0, sizeof i);
    i.arch = m->arch_z;
    i.n_params = m->gguf.n_params; i.tensor_bytes = m->gguf.tensor_bytes; i.header_bytes = m->gguf.header_bytes;
    i.n_tensors = m->gguf.n_tensors; i.n_keys = m->gguf.n_keys; i.gguf_version = (int32_t)m->gguf.version;
    i.n_layer = m->hp.n_layer; i.n_embd = m->hp.n_embd; i.n_head = m->hp.n_head; i.n_head_kv = m->hp.n_head_kv;
    i.head_dim_k = m->hp.hd_k; i.head_dim_v = m->hp.hd_v; i.n_ff = m->hp.n_ff; i.n_vocab = m->hp.n_vocab; i.n_ctx_train = m->hp.n_ctx_train;
    aios__vocab_info(&m->vocab, &i);
    return aios__desc_fill(out, &i, sizeof i);
}
AIOS_API aios_status aios_model_get_tensor(const aios_model *m, uint32_t i, aios_tensor_info *out) {
    aios_tensor_info x;
    const aios__tensor *t;
    if (!m || i >= m->gguf.n_tensors) return AIOS_ERR_ARG;
    t = &m->gguf.tensor[i];
    memset(&x, 0, sizeof x);
    x.type = t->type;
    memcpy(x.name, t->name.p, (size_t)aios__min_u64(t->name.n, sizeof x.name - 1));
    memcpy(x.n, t->n, sizeof x.n);
    x.file_offset = t->off; x.n_bytes = t->n_bytes; x.n_dims = t->n_dims; x.part = t->part;
    return aios__desc_fill(out, &x, sizeof x);
}

static void aios__put_item(aios__text *t, const aios__key *k, uint64_t i, const uint8_t **next) {
    uint64_t u;
    double f;
    if (k->type == AIOS__STR) { aios__str s = aios__key_next_str(next); aios__put(t, s.p, s.n); }
    else if (k->type == AIOS__F32 || k->type == AIOS__F64) { if (aios__key_item_f64(k, i, &f)) aios__put_f(t, f); }
    else if (k->type == AIOS__BOOL) aios__put_z(t, k->p[i] ? "true" : "false");
    else if (aios__key_item_u64(k, i, &u)) aios__put_u(t, u);
    else if (aios__key_item_f64(k, i, &f)) aios__put_f(t, f);       /* negative whole numbers */
}
AIOS_API aios_status aios_model_get_key(const aios_model *m, uint32_t i, char *name, uint64_t name_bytes,
                                        char *type, uint64_t type_bytes, char *value, uint64_t value_bytes) {
    static const char *const types[] = { "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "arr", "u64", "i64", "f64" };
    const aios__key *k;
    const uint8_t *next;
    aios__text t;
    uint64_t j;
    if (!m || i >= m->gguf.n_keys || !name || !type || !value || !name_bytes || !type_bytes || !value_bytes) return AIOS_ERR_ARG;
    k = &m->gguf.key[i];
    next = k->p;
    t.p = name; t.cap = name_bytes; t.n = 0; name[0] = 0;
    aios__put(&t, k->name.p, k->name.n);
    t.p = type; t.cap = type_bytes; t.n = 0;
    if (k->is_array) aios__put_z(&t, "arr[");
    aios__put_z(&t, types[k->type]);
    if (k->is_array) aios__put_z(&t, "]");
    t.p = value; t.cap = value_bytes; t.n = 0; value[0] = 0;
    if (k->is_array) { aios__put_u(&t, k->n); aios__put_z(&t, " items: "); }
    for (j = 0; j < k->n && j < 8; j++) {
        if (j) aios__put_z(&t, ", ");
        aios__put_item(&t, k, j, &next);
    }
    if (k->n > 8) aios__put_z(&t, ", ...");
    return AIOS_OK;
}

/* ---- the vocabulary's public face ---------------------------------------------------------------------------- */
AIOS_API int64_t aios_tokenize(const aios_model *m, const char *text, uint64_t n_text, uint32_t flags, int32_t *ids, uint64_t max_ids, aios_error *err) {
    if (!m || (!text && n_text) || (!ids && max_ids)) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_tokenize: an argument is NULL");
    aios__clear(err);
    return aios__tokenize(&m->vocab, text, n_text, flags, ids, max_ids, err);
}
AIOS_API int64_t aios_detokenize(const aios_model *m, aios_detok *st, int32_t id, char *out, uint64_t cap) {
    if (!m || (!out && cap)) return AIOS_ERR_ARG;
    return aios__detokenize(&m->vocab, st, id, out, cap);
}
AIOS_API const char *aios_token_text(const aios_model *m, int32_t id, uint64_t *n_bytes) {
    return m && n_bytes ? aios__token_text(&m->vocab, id, n_bytes) : NULL;
}
AIOS_API int32_t aios_token_is_end(const aios_model *m, int32_t id) { return m ? aios__token_is_end(&m->vocab, id) : 0; }
