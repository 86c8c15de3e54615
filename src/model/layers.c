/* layers.c: the keys of a file and the row of its family -> the numbers of a model, what each layer
 * is (hp.layer), and the ropes that layers name (hp.rope). Resolved once: what comes after asks the
 * layer, knows no pattern, and may rely on every number. */

/* Has layer l the sliding window? */
static int32_t aios__windowed(const aios__arch *a, int32_t l) {
    return a->window_every && a->window_at >> l % a->window_every & 1;
}
/* Which window a layer has, where keys have said how wide one is; which of the ropes. */
static void aios__layers_make(aios__hp *p, const aios__arch *a) {
    aios__rope *r = p->rope;
    if (a->rope == AIOS__ROPE_NONE) r->n_rot = 0;
    p->n_ropes = r->n_rot > 0;
    r->kind = a->rope;
    r->divide = 1;
    if (r->scaling < 0) r->scaling = r->factor != 1.0 ? AIOS__SCALE_LINEAR : AIOS__SCALE_NONE;
    if (p->n_ropes && a->window_base != 0) {
        double base = r[1].base;
        r[1] = r[0];
        r[1].base = base;
        r[1].scaling = AIOS__SCALE_NONE;
        r[1].factor = r[1].attn_factor = 1.0;
        r[1].divide = 0;
        p->n_ropes = 2;
    }
    for (int32_t l = 0; l < p->n_layer; l++) {
        int32_t windowed = aios__windowed(a, l);
        if (!windowed) p->layer[l].window = 0;
        p->layer[l].rope = windowed ? p->n_ropes - 1 : p->n_ropes ? 0 : -1;
    }
}

/* A layer's heads and experts: what keys leave open follows from others, and what they say must go
 * together. */
static aios_status aios__layer_check(aios__hparse *h, aios__hp_layer *x) {
    const aios__hp *p = &h->m->hp;
    const aios__key *k;
    int32_t n_head = p->layer[0].n_head;
    if (!x->n_head_kv) x->n_head_kv = x->n_head;
    if (x->n_head % x->n_head_kv) {
        k = aios__hp_key(h, "attention.head_count_kv");
        return aios__fail2(h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)x->n_head,
                           (uint64_t)x->n_head_kv, "% heads cannot share % key/value heads evenly",
                           aios__i(x->n_head), aios__i(x->n_head_kv));
    }
    /* where no key says how long a head is, all are as the first layer's */
    if (!x->hd_k && p->n_embd % n_head) {
        k = aios__hp_key(h, "attention.head_count");
        return aios__fail2(
            h->err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, (uint64_t)p->n_embd,
            (uint64_t)n_head,
            "an embedding of % is no multiple of % heads, and there is no attention.key_length",
            aios__i(p->n_embd), aios__i(n_head));
    }
    if (!x->hd_k) x->hd_k = p->n_embd / n_head;
    if (!x->hd_v) x->hd_v = p->n_embd / n_head;
    int32_t longest = x->hd_k > x->hd_v ? x->hd_k : x->hd_v;
    if (longest > 1024 || x->hd_k < 1 || x->hd_v < 1)
        return aios__fail2(
            h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1024, (uint64_t)longest,
            "a head of % channels is not in the range that this version handles (1 to %)",
            aios__i(longest), aios__u(1024));
    if ((int64_t)x->n_head * longest > 1 << 22)
        return aios__fail2(h->err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1 << 22,
                           (uint64_t)x->n_head * (uint64_t)longest,
                           "% heads of % channels are more than this version handles",
                           aios__i(x->n_head), aios__i(longest));
    /* where no key says how much of a head turns, all of the first layer's does */
    int32_t n_rot = p->rope[0].n_rot < 0 ? p->layer[0].hd_k : p->rope[0].n_rot;
    if (h->m->arch->rope != AIOS__ROPE_NONE && n_rot > x->hd_k)
        aios__key_range(h, "rope.dimension_count", (uint64_t)x->hd_k, (uint64_t)n_rot);
    if (!x->n_expert)
        x->n_used = x->n_ff_exp = x->n_ff_shared = 0;
    else if (!h->st && (x->n_used < 1 || x->n_used > x->n_expert))
        aios__key_range(h, "expert_used_count", (uint64_t)x->n_expert, (uint64_t)x->n_used);
    else if (!x->n_ff_exp)
        x->n_ff_exp = x->n_ff;
    return h->st;
}
/* Lists and columns of pairs are made for one count of experts: all layers that have some must
 * agree. */
static aios_status aios__experts_check(aios__hparse *h) {
    const aios__hp *p = &h->m->hp;
    const aios__hp_layer *first = NULL;
    for (int32_t l = 0; l < p->n_layer && !h->st; l++) {
        const aios__hp_layer *x = &p->layer[l];
        if (!x->n_expert) continue;
        if (!first) first = x;
        if (x->n_expert != first->n_expert)
            aios__key_differs(h, aios__hp_key(h, "expert_count"));
        else if (x->n_used != first->n_used)
            aios__key_differs(h, aios__hp_key(h, "expert_used_count"));
    }
    return h->st;
}
/* What holds for all layers together. */
static void aios__layers_sum(aios__hp *p) {
    for (int32_t l = 0; l < p->n_layer; l++) {
        const aios__hp_layer *x = &p->layer[l];
        if (x->window > p->window) p->window = x->window;
        if (x->n_head > p->n_head) p->n_head = x->n_head;
        if (!x->n_expert) continue;
        p->n_expert = x->n_expert;
        p->n_used = x->n_used;
        p->n_ff_exp = x->n_ff_exp;
    }
}
/* What a family says where its files do not. */
static void aios__hp_start(aios__hparse *h, aios_model *m, aios_error *err) {
    aios__hp *p = &m->hp;
    memset(h, 0, sizeof *h);
    h->m = m;
    h->err = err;
    h->every.window = m->arch->window;
    p->score_cap = m->arch->score_cap;
    p->logit_cap = m->arch->logit_cap;
    p->residual_scale = p->logit_scale = p->exp_scale = 1.0f;
    p->exp_norm = (m->arch->flags & AIOS__EXP_NORM) != 0;
    p->rope[0].n_rot = p->rope[0].scaling = -1; /* all channels; by the factor */
    p->rope[1].base = m->arch->window_base;
}
AIOSK__STRICT static aios_status aios__hp_load(aios_model *m, aios_error *err) {
    aios__hparse h;
    aios__hp *p = &m->hp;
    aios__rope *r = &p->rope[0];
    const aios__key *k;
    aios_status st;
    aios__hp_start(&h, m, err);
    if ((st = aios__keys_read(&h)) != 0) return st;
    if ((uint64_t)p->n_layer > (uint64_t)m->gguf.n_tensors / 2) {
        k = aios__hp_key(&h, "block_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, m->gguf.n_tensors,
                           (uint64_t)p->n_layer, "% layers cannot be made of % tensors",
                           aios__i(p->n_layer), aios__u(m->gguf.n_tensors));
    }
    if ((st = aios__keys_by_layer(&h)) != 0) return st;
    for (int32_t l = 0; l < p->n_layer; l++)
        if ((st = aios__layer_check(&h, &p->layer[l])) != 0) return st;
    if ((st = aios__experts_check(&h)) != 0) return st;
    if (r->n_rot < 0) r->n_rot = p->layer[0].hd_k;
    if (m->arch->rope != AIOS__ROPE_NONE && r->n_rot % 2) {
        k = aios__hp_key(&h, "rope.dimension_count");
        return aios__fail2(err, AIOS_ERR_MODEL, k ? k->off : AIOS__NO_OFF, 0, (uint64_t)r->n_rot,
                           "key rope.dimension_count is %, which is odd", aios__i(r->n_rot),
                           aios__u(0));
    }
    if (!r->orig_ctx) r->orig_ctx = p->n_ctx_train;
    aios__layers_make(p, m->arch);

    if (p->embd_scale == 0)
        p->embd_scale = m->arch->flags & AIOS__EMBD_SQRT ? aiosk__sqrt((float)p->n_embd) : 1.0f;
    p->logit_scale = 1.0f / p->logit_scale;
    if (p->exp_scale == 0) p->exp_scale = 1.0f; /* as files say "none" */
    /* gemma2 27B (46 layers) scales scores by its embedding per head, not by its head size */
    for (int32_t l = 0; l < p->n_layer; l++) {
        aios__hp_layer *x = &p->layer[l];
        int32_t scale =
            m->arch->flags & AIOS__POST_NORM && p->n_layer == 46 ? p->n_embd / x->n_head : x->hd_k;
        if (x->score_scale == 0) x->score_scale = 1.0f / aiosk__sqrt((float)scale);
    }
    aios__layers_sum(p);
    return AIOS_OK;
}
