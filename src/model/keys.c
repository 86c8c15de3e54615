/* keys.c: keys of a file -> hyper-parameters. Everything that could not be computed with is refused
 * here, with the key at fault; what comes after may rely on every number in aios__hp. */

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
