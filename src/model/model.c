/* model.c: directory + arch row -> hyper-parameters and tensors by role. Everything that could
 * not be computed with is refused here, with the key or tensor at fault; what comes after may
 * rely on every number in aios__hp. */

typedef struct aios__hp {
    int32_t n_layer, n_embd, n_head, n_head_kv, hd_k, hd_v, n_ff, n_vocab, n_ctx_train;
    int32_t n_rot;  /* channels of a head that turn; even; 0 = no rope */
    int32_t window; /* a query sees itself and window - 1 before it; 0 = all */
    float norm_eps, score_scale, score_cap, logit_cap, embd_scale;
    int32_t rope_scaling; /* AIOS__SCALE_* */
    int32_t rope_orig_ctx;
    double rope_base, rope_factor, rope_attn_factor, yarn_beta_fast, yarn_beta_slow, yarn_ext;
    float residual_scale, logit_scale; /* what sub-layers and logits are multiplied with */
    /* n_expert 0: none; n_used of them for a token */
    int32_t n_expert, n_used, n_ff_exp, n_ff_shared;
    int32_t exp_norm; /* the weights of those add up to exp_scale */
    float exp_scale;
} aios__hp;
enum {
    AIOS__SCALE_NONE = 0,
    AIOS__SCALE_LINEAR = 1,
    AIOS__SCALE_YARN = 2,
    AIOS__SCALE_LONGROPE = 3
};

/* Tensor index of a role, and of its bias; -1 = the file has none. */
typedef struct aios__ref {
    int32_t w, b;
} aios__ref;

/* Where a tensor's bytes are. Decided by aios__place_of (memory.c) before any are taken: the
 * rows below `rows` are resident, in the block of their tier or where the io maps them; those
 * from there on are streamed. */
typedef struct aios__place {
    uint8_t use, group, can_map;  /* AIOS__IS_*, 0 = no role; AIOS__GROUP_* */
    uint8_t layout, mapped, tier; /* of the resident rows */
    /* experts: 1 = of experts, of which a token reads some. split: 0 = the matrices of all of them,
     * 1 = of one alone */
    uint8_t experts, split;
    int16_t layer; /* 0 for the model's own */
    /* split: whose matrix it is, and the tensor with that of the next expert, -1 = no more. A
     * role's ref is the tensor of expert 0 */
    uint16_t expert;
    int32_t next;
    uint32_t rows;         /* of each matrix */
    uint64_t art_off;      /* in the artifact; 0 = not there */
    uint64_t off, n_bytes; /* in the block of the tier; vectors are kept as f32 */
    const void *p;         /* NULL until loaded */
} aios__place;
enum { AIOS__MAP_MODEL = 1, AIOS__MAP_ARTIFACT = 2 }; /* can_map: whose io maps the tensor */
/* Matrices in the order in which they leave memory when it is short; FIXED stays. */
enum { AIOS__GROUP_FFN = 0, AIOS__GROUP_ATTN = 1, AIOS__GROUP_OUT = 2, AIOS__GROUP_FIXED = 3 };

/* How the weights are divided between the tiers. With it, aios__place_of gives the same answer
 * each time. */
typedef struct aios__cut {
    int32_t rows;    /* 1 = all matrices as in the file (AIOS_REFERENCE) */
    int32_t level;   /* how much is streamed, 0 .. AIOS__LEVELS */
    int32_t experts; /* 1 = those are read when a token wants them */
    int32_t tables;  /* 1 = tables that do not lie where the io maps them are read by the row */
    int32_t warm, mapped; /* how many steps are warm; 1 = those are used where the io maps them */
    uint64_t unit_bytes;  /* most bytes of rows that are streamed at once */
} aios__cut;

struct aios_model {
    aios_allocator mem;
    aios__notes log;
    aios_mem_req req, weights_req[2]; /* weights: of HOT and of WARM */
    aios_io *io;                      /* [n_parts], then that of the artifact */
    uint32_t n_parts, own_files, flags, own_artifact;
    uint32_t async, n_async; /* every io has submit and wait; contexts that use them */
    int32_t loaded;          /* the weights are there, divided as cut says */
    aios__cut cut;
    uint32_t n_contexts, dying; /* dying: freed when its last context is */
    aios__gguf gguf;
    aios__vocab vocab;
    const aios__arch *arch; /* NULL when opened for the vocabulary alone */
    aios__str arch_name;    /* zero terminated in arch_z */
    char arch_z[32];
    aios__hp hp;
    aios__ref role[AIOS__N_MODEL_ROLES];
    aios__ref (*layer)[AIOS__N_LAYER_ROLES]; /* [n_layer] */
    aios__place *place;                      /* [n_tensors] */
    uint32_t n_split;                        /* of those that are the matrix of one expert */
    void *weights[2];
};

AIOS__SMALL_BEGIN
/* ---- hyper-parameters ---- */
typedef struct aios__hparse {
    const aios_model *m;
    aios_error *err;
    aios_status st;
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
/* An integer in [low, high]; missing: dflt, or an error when dflt < 0. An array (a value per
 * layer) must hold one value. */
static int32_t aios__hp_int(aios__hparse *h, const char *suffix, int32_t low, int32_t high,
                            int32_t dflt) {
    const aios__key *k = aios__hp_key(h, suffix);
    uint64_t v = 0, w, i;
    if (h->st) return 0;
    if (!k) {
        if (dflt < 0)
            h->st = aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "key %.% is missing",
                                aios__s(h->m->arch_name), aios__z(suffix));
        return dflt;
    }
    if (k->is_array) {
        if (k->n == 0 || !aios__key_item_u64(k, 0, &v)) {
            h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off, "key % must hold whole numbers",
                                aios__s(k->name));
            return 0;
        }
        for (i = 1; i < k->n; i++)
            if (!aios__key_item_u64(k, i, &w) || w != v) {
                h->st = aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                                    "key % differs between layers, which this version cannot run",
                                    aios__s(k->name));
                return 0;
            }
    } else if (!aios__key_u64(k, &v)) {
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                            "key % must be a whole number, not negative", aios__s(k->name));
        return 0;
    }
    if (v < (uint64_t)low || v > (uint64_t)high) {
        h->st = aios__fail2(h->err, AIOS_ERR_MODEL, k->off,
                            v < (uint64_t)low ? (uint64_t)low : (uint64_t)high, v,
                            "key % is %, out of range", aios__s(k->name), aios__u(v));
        return 0;
    }
    return (int32_t)v;
}
static double aios__hp_num(aios__hparse *h, const char *suffix, double low, double high,
                           double dflt) {
    const aios__key *k = aios__hp_key(h, suffix);
    double v = 0;
    if (h->st || !k) return dflt;
    if (k->is_array || !aios__key_f64(k, &v) || !(v >= low && v <= high)) {
        h->st = aios__fail1(h->err, AIOS_ERR_MODEL, k->off,
                            "key % is no number in the range that makes sense for it",
                            aios__s(k->name));
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
        h->st =
            aios__fail1(h->err, AIOS_ERR_UNSUPPORTED, k->off,
                        "key % asks for something that this version cannot run", aios__s(k->name));
}

AIOSK__STRICT static aios_status aios__hp_load(aios_model *m, aios_error *err) {
    aios__hparse h;
    aios__hp *p = &m->hp;
    const aios__key *k;
    aios__str s;
    int32_t scale;
    h.m = m;
    h.err = err;
    h.st = AIOS_OK;
    p->n_layer = aios__hp_int(&h, "block_count", 1, 4096, -1);
    p->n_embd = aios__hp_int(&h, "embedding_length", 1, 1 << 20, -1);
    p->n_ff = aios__hp_int(&h, "feed_forward_length", 1, 1 << 24, -1);
    p->n_head = aios__hp_int(&h, "attention.head_count", 1, 65536, -1);
    p->n_head_kv = aios__hp_int(&h, "attention.head_count_kv", 1, 65536, p->n_head);
    p->n_ctx_train = aios__hp_int(&h, "context_length", 1, 1 << 30, -1);
    if (h.st) return h.st;
    if (p->n_head % p->n_head_kv) {
        k = aios__hp_key(&h, "attention.head_count_kv");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_head,
                           (uint64_t)p->n_head_kv, "% heads cannot share % key/value heads evenly",
                           aios__i(p->n_head), aios__i(p->n_head_kv));
    }
    if (!aios__hp_key(&h, "attention.key_length") && p->n_embd % p->n_head) {
        k = aios__hp_key(&h, "attention.head_count");
        return aios__fail2(
            err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_embd,
            (uint64_t)p->n_head,
            "an embedding of % is no multiple of % heads, and there is no attention.key_length",
            aios__i(p->n_embd), aios__i(p->n_head));
    }
    p->hd_k = aios__hp_int(&h, "attention.key_length", 1, 1024, p->n_embd / p->n_head);
    p->hd_v = aios__hp_int(&h, "attention.value_length", 1, 1024, p->n_embd / p->n_head);
    scale = p->hd_k > p->hd_v ? p->hd_k : p->hd_v;
    if (!h.st && (scale > 1024 || p->hd_k < 1 || p->hd_v < 1))
        return aios__fail2(
            err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1024, (uint64_t)scale,
            "a head of % channels is not in the range that this version handles (1 to %)",
            aios__i(scale), aios__u(1024));
    if (!h.st && (int64_t)p->n_head * scale > 1 << 22)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1 << 22,
                           (uint64_t)p->n_head * (uint64_t)scale,
                           "% heads of % channels are more than this version handles",
                           aios__i(p->n_head), aios__i(scale));
    p->n_rot = m->arch->rope == AIOS__ROPE_NONE
                   ? 0
                   : aios__hp_int(&h, "rope.dimension_count", 0, p->hd_k, p->hd_k);
    if (!h.st && p->n_rot % 2) {
        k = aios__hp_key(&h, "rope.dimension_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, 0, (uint64_t)p->n_rot,
                           "key rope.dimension_count is %, which is odd", aios__i(p->n_rot),
                           aios__u(0));
    }
    k = aios__hp_key(&h, m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                                         : "attention.layer_norm_epsilon");
    if (!h.st && !k)
        return aios__fail1(
            err, AIOS_ERR_MODEL, AIOS__NO_OFF, "the key with the norm's epsilon (%) is missing",
            aios__z(m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                                    : "attention.layer_norm_epsilon"));
    p->norm_eps =
        (float)aios__hp_num(&h,
                            m->arch->norm == AIOS__NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                                            : "attention.layer_norm_epsilon",
                            1e-30, 1, 1e-5);
    p->window = m->arch->window_every
                    ? aios__hp_int(&h, "attention.sliding_window", 0, 1 << 30, m->arch->window)
                    : 0;
    p->score_cap = (float)aios__hp_num(&h, "attn_logit_softcapping", 0, 1e6, m->arch->score_cap);
    p->logit_cap = (float)aios__hp_num(&h, "final_logit_softcapping", 0, 1e6, m->arch->logit_cap);
    p->embd_scale = m->arch->flags & AIOS__EMBD_SQRT ? aiosk__sqrt((float)p->n_embd) : 1.0f;
    /* gemma2 27B (46 layers) scales scores by its embedding per head, not by its head size */
    scale = m->arch->flags & AIOS__POST_NORM && p->n_layer == 46 ? p->n_embd / p->n_head : p->hd_k;
    p->score_scale = (float)aios__hp_num(&h, "attention.scale", 1e-9, 1e9,
                                         (double)(1.0f / aiosk__sqrt((float)scale)));
    aios__hp_refuse(&h, "attention.max_alibi_bias", 0);
    aios__hp_refuse(&h, "attention.clamp_kqv", 0);
    aios__hp_refuse(&h, "attention.causal", 1);
    p->residual_scale = p->logit_scale = p->exp_scale = 1.0f;
    if (m->arch->flags & AIOS__SCALES) {
        p->residual_scale = (float)aios__hp_num(&h, "residual_scale", 1e-9, 1e9, 1);
        p->embd_scale = (float)aios__hp_num(&h, "embedding_scale", 1e-9, 1e9, 1);
        p->logit_scale = 1.0f / (float)aios__hp_num(&h, "logit_scale", 1e-9, 1e9, 1);
    } else {
        aios__hp_refuse(&h, "logit_scale", 1);
        aios__hp_refuse(&h, "residual_scale", 1);
        aios__hp_refuse(&h, "embedding_scale", 1);
    }
    if (!(m->arch->flags & AIOS__EXPERTS))
        aios__hp_refuse(&h, "expert_count", 0);
    else if ((p->n_expert = aios__hp_int(&h, "expert_count", 0, 4096, 0)) > 0) {
        p->n_used =
            aios__hp_int(&h, "expert_used_count", 1, p->n_expert < 256 ? p->n_expert : 256, -1);
        p->n_ff_exp = aios__hp_int(&h, "expert_feed_forward_length", 1, 1 << 24, p->n_ff);
        p->n_ff_shared = aios__hp_int(&h, "expert_shared_feed_forward_length", 0, 1 << 24, 0);
        p->exp_norm = (m->arch->flags & AIOS__EXP_NORM) != 0;
        k = aios__hp_key(&h, "expert_weights_norm");
        if (!h.st && k && !aios__key_bool(k, &p->exp_norm))
            h.st = aios__fail1(err, AIOS_ERR_MODEL, k->off, "key % must be true or false",
                               aios__s(k->name));
        p->exp_scale = (float)aios__hp_num(&h, "expert_weights_scale", 0, 1e6, 1);
        if (p->exp_scale == 0) p->exp_scale = 1.0f;   /* as files say "none"                      */
        aios__hp_refuse(&h, "expert_gating_func", 1); /* softmax */
        aios__hp_refuse(&h, "expert_group_count", 1);
    }

    p->rope_base = aios__hp_num(&h, "rope.freq_base", 1.0001, 1e15, 10000.0);
    p->rope_factor = aios__hp_num(&h, "rope.scaling.factor", 1e-3, 1e6,
                                  aios__hp_num(&h, "rope.scale_linear", 1e-3, 1e6, 1.0));
    p->rope_attn_factor = aios__hp_num(&h, "rope.scaling.attn_factor", 1e-3, 1e3, 1.0);
    p->rope_orig_ctx =
        aios__hp_int(&h, "rope.scaling.original_context_length", 1, 1 << 30, p->n_ctx_train);
    p->yarn_ext = aios__hp_num(&h, "rope.scaling.yarn_ext_factor", 0, 1e3, 1.0);
    p->yarn_beta_fast = aios__hp_num(&h, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0);
    p->yarn_beta_slow = aios__hp_num(&h, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0);
    k = aios__hp_key(&h, "rope.scaling.type");
    p->rope_scaling = p->rope_factor != 1.0 ? AIOS__SCALE_LINEAR : AIOS__SCALE_NONE;
    if (!h.st && k) {
        if (!aios__key_str(k, &s))
            return aios__fail1(err, AIOS_ERR_MODEL, k->off, "key % must be a string",
                               aios__s(k->name));
        if (aios__str_eq(s, "none"))
            p->rope_scaling = AIOS__SCALE_NONE;
        else if (aios__str_eq(s, "linear"))
            p->rope_scaling = AIOS__SCALE_LINEAR;
        else if (aios__str_eq(s, "yarn"))
            p->rope_scaling = AIOS__SCALE_YARN;
        else if (aios__str_eq(s, "longrope"))
            p->rope_scaling = AIOS__SCALE_LONGROPE;
        else
            return aios__fail1(err, AIOS_ERR_UNSUPPORTED, k->off,
                               "rope scaling '%' is not known to this version", aios__s(s));
    }
    return h.st;
}

/* ---- tensors ---- */
static uint64_t aios__role_dim(const aios_model *m, char c, const aios__ref *layer) {
    const aios__hp *p = &m->hp;
    uint64_t q = (uint64_t)p->n_head * (uint64_t)p->hd_k,
             k = (uint64_t)p->n_head_kv * (uint64_t)p->hd_k,
             v = (uint64_t)p->n_head_kv * (uint64_t)p->hd_v;
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
    /* gate and up in one */
    case 'U':
        return (uint64_t)p->n_ff *
               (m->arch->flags & AIOS__GATED && layer[AIOS__T_FFN_GATE].w < 0 ? 2 : 1);
    case 'M': return m->arch->flags & AIOS__QK_NORM_ALL ? q : (uint64_t)p->hd_k;
    case 'N': return m->arch->flags & AIOS__QK_NORM_ALL ? k : (uint64_t)p->hd_k;
    case 'X': return (uint64_t)p->n_expert;
    case 'D': return (uint64_t)p->n_ff_exp;
    case 'S': return (uint64_t)(p->n_ff_shared ? p->n_ff_shared : p->n_ff);
    default: return 1;
    }
}
static aios_status aios__shape_check(const aios_model *m, int32_t i, uint64_t in, uint64_t out,
                                     uint64_t n, aios_error *err) {
    const aios__tensor *t = &m->gguf.tensor[i];
    if (t->n[0] != in)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, in, t->n[0],
                           "tensor % has rows of %, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[0]));
    if (n != 1 && (t->n[2] != n || t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, n, t->n[2],
                           "tensor % has % matrices, which does not fit the model",
                           aios__s(t->name), aios__u(t->n[2]));
    if (t->n[1] != out || (n == 1 && t->n[2] * t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, out, t->n[1],
                           "tensor % has % rows, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[1]));
    return AIOS_OK;
}
/* The name of a role's tensor; expert -1: of all experts, "ffn_up_exps"; else of that one alone,
 * "ffn_up.3". */
static aios__str aios__role_name(char (*buf)[96], const char *prefix, const aios__role *r,
                                 int32_t expert, const char *suffix) {
    aios__str s;
    aios__text t;
    t.p = *buf;
    t.cap = sizeof *buf;
    t.n = 0;
    aios__put_z(&t, prefix);
    aios__put(&t, r->name, strlen(r->name) - (expert < 0 ? 0 : sizeof "_exps" - 1));
    if (expert >= 0) {
        aios__put_z(&t, ".");
        aios__put_i(&t, expert);
    }
    aios__put_z(&t, suffix);
    s.p = *buf;
    s.n = t.n;
    return s;
}
/* Finds one role's tensors and counts them. prefix is "" or "blk.N.". */
static void aios__role_find(aios_model *m, const aios__role *r, const char *prefix, aios__ref *ref,
                            uint32_t *n_found) {
    int32_t part;
    for (part = 0; part < 2; part++) {
        char name[96];
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, r, -1, part ? ".bias" : ".weight"));
        *(part ? &ref->b : &ref->w) = x ? (int32_t)(x - m->gguf.tensor) : -1;
        if (x) {
            aios__place *p = &m->place[x - m->gguf.tensor];
            (*n_found)++;
            p->experts = !part && r->kind == AIOS__IS_EXPERTS;
            p->use = (uint8_t)(part ? AIOS__IS_VECTOR : p->experts ? AIOS__IS_MATRIX : r->kind);
        }
    }
}
/* The same for a role of experts of which each has a tensor, as files of 2023 and early 2024
 * have them: all must be there, or none. Looks for the others even when the first is missing, so
 * that it is the one that is named. */
static aios_status aios__experts_find(aios_model *m, int32_t l, int32_t role, const char *prefix,
                                      uint32_t *n_found, aios_error *err) {
    char name[96];
    int32_t e, i, before = -1, none = -1; /* none: the first that is missing */
    for (e = 0; e < m->hp.n_expert; e++) {
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, &aios__layer_role[role], e, ".weight"));
        aios__place *p;
        if (!x && none < 0) none = e;
        if (!x) continue;
        i = (int32_t)(x - m->gguf.tensor);
        p = &m->place[i];
        p->use = AIOS__IS_MATRIX;
        p->experts = p->split = 1;
        p->expert = (uint16_t)e;
        p->group = AIOS__GROUP_FFN;
        p->layer = (int16_t)l;
        if (before < 0)
            m->layer[l][role].w = i;
        else
            m->place[before].next = i;
        before = i;
        m->n_split++;
        (*n_found)++;
    }
    if (before < 0 || none < 0) return AIOS_OK;
    return aios__fail1(
        err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor % is missing, while there are other experts",
        aios__s(aios__role_name(&name, prefix, &aios__layer_role[role], none, ".weight")));
}
/* Of a tensor's bytes, those that a token reads: all, or what n_used experts have of them.
 * Rounded so that the tensors of all experts together have it exactly. */
static uint64_t aios__token_share(const aios_model *m, uint32_t i, uint64_t n_bytes) {
    const aios__place *p = &m->place[i];
    uint64_t n = (uint64_t)m->hp.n_expert, used = (uint64_t)m->hp.n_used, rest;
    if (!p->experts) return n_bytes;
    rest = p->split ? n_bytes % n * used : 0;
    return n_bytes / n * used + rest * (p->expert + 1u) / n - rest * p->expert / n;
}
static aios_status aios__missing(const aios__role *r, int32_t layer, aios_error *err) {
    if (layer < 0)
        return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor %.weight is missing",
                           aios__z(r->name));
    return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "tensor blk.%.%.weight is missing",
                       aios__i(layer), aios__z(r->name));
}
/* Is this a tensor of a layer that runs? All that is not belongs to another part (of a picture
 * or of speech in the same file, of layers that guess tokens ahead) or to a table that early
 * files carry along. */
static int32_t aios__in_layer(const aios_model *m, aios__str name) {
    static const char rot[] = ".attn_rot_embd";
    uint64_t i = 4, l = 0, n = sizeof rot - 1;
    if (name.n < 6 || memcmp(name.p, "blk.", 4) != 0) return 0;
    for (; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && l < 1 << 20; i++)
        l = 10 * l + (uint64_t)(name.p[i] - '0');
    return l < (uint64_t)m->hp.n_layer &&
           !(name.n - i >= n && memcmp(name.p + i, rot, (size_t)n) == 0);
}
/* A tensor of a layer that the family's row has no place for would be left out of the sum:
 * better refused. */
static aios_status aios__no_place(const aios_model *m, const aios__tensor *t, aios_error *err) {
    return aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, 0,
                       "tensor % has no place in the family %", aios__s(t->name),
                       aios__s(m->arch_name));
}
/* Is everything there that must be, of the right shape, and nothing that has no place? layer -1
 * = the model's own roles. */
static aios_status aios__role_check(const aios_model *m, const aios__role *r, const aios__ref *ref,
                                    int32_t l, aios_error *err) {
    const aios__ref *layer = l < 0 ? NULL : m->layer[l];
    uint64_t in = aios__role_dim(m, r->in, layer), out = aios__role_dim(m, r->out, layer);
    uint32_t has =
        m->arch->flags | (layer && layer[AIOS__T_ATTN_QKV].w >= 0 ? (uint32_t)AIOS__FUSED_QKV : 0);
    if (layer && m->hp.n_expert && layer[AIOS__T_FFN_ROUTER].w >= 0)
        has |=
            (uint32_t)AIOS__ROUTED |
            (m->hp.n_ff_shared || layer[AIOS__T_FFN_UP_SHEXP].w >= 0 ? (uint32_t)AIOS__SHARED : 0);
    int32_t place, i;
    aios_status st = AIOS_OK;
    place = (has & r->need) == r->need && !(has & r->not_with);
    if (ref->w < 0 && place && r->must) return aios__missing(r, l, err);
    for (i = ref->w; i >= 0 && !st; i = m->place[i].next) {
        const aios__tensor *t = &m->gguf.tensor[i];
        if (!place) return aios__no_place(m, t, err);
        st = aios__shape_check(
            m, i, in, out, m->place[i].experts && !m->place[i].split ? (uint64_t)m->hp.n_expert : 1,
            err);
        if (!st && r->kind == AIOS__IS_VECTOR &&
            aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a vector of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        if (!st && aiosk_type_info((int32_t)t->type)->family == AIOSK_RAW)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which no matrix can have", aios__s(t->name),
                             aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && !aiosk_multiplies((int32_t)t->type))
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which this build leaves out (AIOSK_TYPES)",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && t->type != m->gguf.tensor[ref->w].type)
            st = aios__fail2(
                err, AIOS_ERR_UNSUPPORTED, t->dir_off, m->gguf.tensor[ref->w].type, t->type,
                "tensor % is not of type %, as the experts before it are, which this version "
                "cannot run",
                aios__s(t->name),
                aios__z(aiosk_type_info((int32_t)m->gguf.tensor[ref->w].type)->name));
    }
    if (!st && ref->b >= 0) {
        const aios__tensor *t = &m->gguf.tensor[ref->b];
        int32_t may = r->kind == AIOS__IS_MATRIX || (r->kind == AIOS__IS_VECTOR && r->in == 'E' &&
                                                     m->arch->norm == AIOS__NORM_LAYER);
        if (ref->w < 0)
            return aios__fail1(err, AIOS_ERR_MODEL, t->dir_off, "tensor % has no weight to go with",
                               aios__s(t->name));
        if (!may) return aios__no_place(m, t, err);
        st = aios__shape_check(m, ref->b, r->kind == AIOS__IS_VECTOR ? in : out, 1, 1, err);
        if (!st && aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a bias of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
    }
    return st;
}
static aios_status aios__roles_load(aios_model *m, aios_error *err) {
    uint32_t n_found = 0, n_left = 0, i;
    int32_t l, r;
    const aios__tensor *t;
    aios_status st = AIOS_OK;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].next = -1;
    for (r = 0; r < AIOS__N_MODEL_ROLES; r++)
        aios__role_find(m, &aios__model_role[r], "", &m->role[r], &n_found);
    if (m->role[AIOS__T_TOKEN_EMBD].w < 0)
        return aios__missing(&aios__model_role[AIOS__T_TOKEN_EMBD], -1, err);
    t = &m->gguf.tensor[m->role[AIOS__T_TOKEN_EMBD].w];
    if (t->n[1] > 1 << 28)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, 1 << 28, t->n[1],
                           "tensor % has % rows, more than a vocabulary can have", aios__s(t->name),
                           aios__u(t->n[1]));
    m->hp.n_vocab = (int32_t)t->n[1];
    if (aios__vocab_size(&m->vocab) && aios__vocab_size(&m->vocab) != (uint64_t)m->hp.n_vocab)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, aios__vocab_size(&m->vocab), t->n[1],
                           "tensor % has % rows, another number than the tokenizer has tokens",
                           aios__s(t->name), aios__u(t->n[1]));
    for (r = 0; r < AIOS__N_MODEL_ROLES; r++)
        if ((st = aios__role_check(m, &aios__model_role[r], &m->role[r], -1, err)) != 0) return st;
    if ((m->role[AIOS__T_ROPE_LONG].w < 0) != (m->role[AIOS__T_ROPE_SHORT].w < 0))
        return aios__missing(
            &aios__model_role[m->role[AIOS__T_ROPE_LONG].w < 0 ? AIOS__T_ROPE_LONG
                                                               : AIOS__T_ROPE_SHORT],
            -1, err);
    /* tied: multiplied with too */
    if (m->role[AIOS__T_OUTPUT].w < 0)
        m->place[m->role[AIOS__T_TOKEN_EMBD].w].use = AIOS__IS_MATRIX;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].group = AIOS__GROUP_FIXED;
    m->place[m->role[m->role[AIOS__T_OUTPUT].w >= 0 ? AIOS__T_OUTPUT : AIOS__T_TOKEN_EMBD].w]
        .group = AIOS__GROUP_OUT;

    for (l = 0; l < m->hp.n_layer; l++) {
        char prefix[24];
        aios__text x;
        x.p = prefix;
        x.cap = sizeof prefix;
        x.n = 0;
        aios__put_z(&x, "blk.");
        aios__put_i(&x, l);
        aios__put_z(&x, ".");
        for (r = 0; r < AIOS__N_LAYER_ROLES; r++)
            aios__role_find(m, &aios__layer_role[r], prefix, &m->layer[l][r], &n_found);
        for (r = AIOS__T_FFN_GATE_EXPS;
             r <= AIOS__T_FFN_DOWN_EXPS && m->hp.n_expert && m->layer[l][AIOS__T_FFN_ROUTER].w >= 0;
             r++)
            if (m->layer[l][r].w < 0 &&
                (st = aios__experts_find(m, l, r, prefix, &n_found, err)) != 0)
                return st;
        for (r = 0; r < AIOS__N_LAYER_ROLES; r++) {
            if ((st = aios__role_check(m, &aios__layer_role[r], &m->layer[l][r], l, err)) != 0)
                return st;
            if (m->layer[l][r].w < 0 || aios__layer_role[r].kind == AIOS__IS_VECTOR) continue;
            /* a router is small, and everything waits for it */
            m->place[m->layer[l][r].w].group = r == AIOS__T_FFN_ROUTER || r == AIOS__T_FFN_SHARED
                                                   ? AIOS__GROUP_FIXED
                                               : r < AIOS__T_FFN_NORM ? AIOS__GROUP_ATTN
                                                                      : AIOS__GROUP_FFN;
            m->place[m->layer[l][r].w].layer = (int16_t)l;
        }
    }
    for (i = 0, t = NULL; n_found != m->gguf.n_tensors && i < m->gguf.n_tensors; i++) {
        if (m->place[i].use) continue;
        if (aios__in_layer(m, m->gguf.tensor[i].name))
            return aios__no_place(m, &m->gguf.tensor[i], err);
        t = &m->gguf.tensor[i];
        n_left++;
    }
    if (t)
        aios__note2(&m->log, "% tensors are no part of the model and are left alone, % among them",
                    aios__u(n_left), aios__s(t->name));
    return AIOS_OK;
}

/* The sliding window of a layer; 0 = sees all. */
static int32_t aios__layer_window(const aios_model *m, int32_t l) {
    return m->arch->window_every && l % m->arch->window_every == 0 ? m->hp.window : 0;
}

/* ---- what the model is ---- */
AIOS_API aios_status aios_model_get_info(const aios_model *m, aios_model_info *out) {
    aios_model_info i;
    if (!m) return AIOS_ERR_ARG;
    memset(&i, 0, sizeof i);
    i.arch = m->arch_z;
    i.n_params = m->gguf.n_params;
    i.tensor_bytes = m->gguf.tensor_bytes;
    i.header_bytes = m->gguf.header_bytes;
    i.n_tensors = m->gguf.n_tensors;
    i.n_keys = m->gguf.n_keys;
    i.gguf_version = (int32_t)m->gguf.version;
    i.n_layer = m->hp.n_layer;
    i.n_embd = m->hp.n_embd;
    i.n_head = m->hp.n_head;
    i.n_head_kv = m->hp.n_head_kv;
    i.head_dim_k = m->hp.hd_k;
    i.head_dim_v = m->hp.hd_v;
    i.n_ff = m->hp.n_ff;
    i.n_vocab = m->hp.n_vocab;
    i.n_ctx_train = m->hp.n_ctx_train;
    i.n_expert = m->hp.n_expert;
    i.n_expert_used = m->hp.n_used;
    aios__vocab_info(&m->vocab, &i);
    return aios__desc_fill(AIOS__ID_aios_model_info, out, &i);
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
    x.file_offset = t->off;
    x.n_bytes = t->n_bytes;
    x.n_dims = t->n_dims;
    x.part = t->part;
    return aios__desc_fill(AIOS__ID_aios_tensor_info, out, &x);
}

static void aios__put_item(aios__text *t, const aios__key *k, uint64_t i, const uint8_t **next) {
    uint64_t u;
    double f;
    if (k->type == AIOS__STR) {
        aios__str s = aios__key_next_str(next);
        aios__put(t, s.p, s.n);
    } else if (k->type == AIOS__F32 || k->type == AIOS__F64) {
        if (aios__key_item_f64(k, i, &f)) aios__put_f(t, f);
    } else if (k->type == AIOS__BOOL)
        aios__put_z(t, k->p[i] ? "true" : "false");
    else if (aios__key_item_u64(k, i, &u))
        aios__put_u(t, u);
    else if (aios__key_item_f64(k, i, &f))
        aios__put_f(t, f); /* negative whole numbers */
}
AIOS_API aios_status aios_model_get_key(const aios_model *m, uint32_t i, char *name,
                                        uint64_t name_bytes, char *type, uint64_t type_bytes,
                                        char *value, uint64_t value_bytes) {
    static const char *const types[] = { "u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                         "bool", "str", "arr", "u64", "i64", "f64" };
    const aios__key *k;
    const uint8_t *next;
    aios__text t;
    uint64_t j;
    if (!m || i >= m->gguf.n_keys || !name || !type || !value || !name_bytes || !type_bytes ||
        !value_bytes)
        return AIOS_ERR_ARG;
    k = &m->gguf.key[i];
    next = k->p;
    t.p = name;
    t.cap = name_bytes;
    t.n = 0;
    name[0] = 0;
    aios__put(&t, k->name.p, k->name.n);
    t.p = type;
    t.cap = type_bytes;
    t.n = 0;
    if (k->is_array) aios__put_z(&t, "arr[");
    aios__put_z(&t, types[k->type]);
    if (k->is_array) aios__put_z(&t, "]");
    t.p = value;
    t.cap = value_bytes;
    t.n = 0;
    value[0] = 0;
    if (k->is_array) {
        aios__put_u(&t, k->n);
        aios__put_z(&t, " items: ");
    }
    if (k->type == AIOS__ARR) return aios__put_z(&t, "arrays"), AIOS_OK;
    for (j = 0; j < k->n && j < 8; j++) {
        if (j) aios__put_z(&t, ", ");
        aios__put_item(&t, k, j, &next);
    }
    if (k->n > 8) aios__put_z(&t, ", ...");
    return AIOS_OK;
}

/* ---- keys for programs ---- */
static const aios__key *aios__key_at(const aios_model *m, int64_t key) {
    return m && key >= 0 && key < (int64_t)m->gguf.n_keys ? &m->gguf.key[key] : NULL;
}
AIOS_API int64_t aios_key_find(const aios_model *m, const char *name) {
    const aios__key *k = m && name ? aios__key_find(&m->gguf, name) : NULL;
    return k ? k - m->gguf.key : -1;
}
AIOS_API aios_status aios_key_get(const aios_model *m, int64_t key, aios_key_info *out) {
    const aios__key *k = aios__key_at(m, key);
    aios_key_info x;
    if (!k) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    x.type = k->is_array ? (uint32_t)AIOS_KEY_ARR : k->type;
    x.item_type = k->type;
    x.n_items = k->n;
    x.name = k->name.p;
    x.name_bytes = (uint32_t)k->name.n;
    x.data = k->p;
    x.n_bytes = k->n_bytes;
    return aios__desc_fill(AIOS__ID_aios_key_info, out, &x);
}
/* One getter: what it reads, or why it does not. */
#define AIOS__KEY_GET(what, T)                                                            \
    AIOS_API aios_status aios_key_##what(const aios_model *m, int64_t key, uint64_t item, \
                                         T *out) {                                        \
        const aios__key *k = aios__key_at(m, key);                                        \
        if (!k || !out || item >= k->n) return AIOS_ERR_ARG;                              \
        return aios__key_item_##what(k, item, out) ? AIOS_OK : AIOS_ERR_MODEL;            \
    }
AIOS__KEY_GET(u64, uint64_t)
AIOS__KEY_GET(i64, int64_t)
AIOS__KEY_GET(f64, double)
AIOS__KEY_GET(bool, int32_t)
#undef AIOS__KEY_GET
AIOS_API int32_t aios_key_next_str(const aios_model *m, int64_t key, uint64_t *at,
                                   const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);
    const uint8_t *p;
    aios__str s;
    uint64_t n;
    if (!k || !at || !text || !n_bytes) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    if (*at == k->n_bytes) return 0;
    /* not a place that we gave */
    if (*at > k->n_bytes || k->n_bytes - *at < 8) return AIOS_ERR_ARG;
    p = k->p + *at;
    memcpy(&n, p, 8);
    if (n > k->n_bytes - *at - 8) return AIOS_ERR_ARG;
    s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    *at += 8 + n;
    return 1;
}
AIOS_API aios_status aios_key_str(const aios_model *m, int64_t key, uint64_t item,
                                  const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);
    const uint8_t *p;
    aios__str s;
    if (!k || !text || !n_bytes || item >= k->n) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    for (p = k->p, s = aios__key_next_str(&p); item > 0; item--) s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    return AIOS_OK;
}
AIOS_API int32_t aios_token_find(const aios_model *m, const char *text, uint64_t n_bytes) {
    return m && text ? aios__token_find_any(&m->vocab, text, n_bytes) : -1;
}

AIOS__SMALL_END
/* ---- the vocabulary's public face ---- */
AIOS_API int64_t aios_tokenize(const aios_model *m, const char *text, uint64_t n_text,
                               uint32_t flags, int32_t *ids, uint64_t max_ids, aios_error *err) {
    if (!m || (!text && n_text) || (!ids && max_ids))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_tokenize: an argument is NULL");
    aios__clear(err);
    return aios__tokenize(&m->vocab, text, n_text, flags, ids, max_ids, err);
}
AIOS_API int64_t aios_detokenize(const aios_model *m, aios_detok *st, int32_t id, char *out,
                                 uint64_t cap) {
    if (!m || (!out && cap)) return AIOS_ERR_ARG;
    return aios__detokenize(&m->vocab, st, id, out, cap);
}
AIOS_API const char *aios_token_text(const aios_model *m, int32_t id, uint64_t *n_bytes) {
    return m && n_bytes ? aios__token_text(&m->vocab, id, n_bytes) : NULL;
}
AIOS_API int32_t aios_token_is_end(const aios_model *m, int32_t id) {
    return m ? aios__token_is_end(&m->vocab, id) : 0;
}
