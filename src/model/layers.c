/* layers.c: hyper-parameters + arch row -> what each layer is (hp.layer) and the ropes that layers
 * name (hp.rope). Resolved once: what comes after asks the layer, and knows no pattern. */

/* Has layer l the sliding window? */
static int32_t aios__windowed(const aios__arch *a, int32_t l) {
    return a->window_every && a->window_at >> l % a->window_every & 1;
}
/* The rope of all layers, and one for those with a window where they turn otherwise. */
static void aios__ropes_make(aios__hp *p, const aios__arch *a) {
    aios__rope *r = &p->rope[0];
    p->n_ropes = p->n_rot > 0;
    if (!p->n_ropes) return;
    r->kind = a->rope;
    r->n_rot = p->n_rot;
    r->scaling = p->rope_scaling;
    r->orig_ctx = p->rope_orig_ctx;
    r->base = p->rope_base;
    r->factor = p->rope_factor;
    r->attn_factor = p->rope_attn_factor;
    r->beta_fast = p->yarn_beta_fast;
    r->beta_slow = p->yarn_beta_slow;
    r->ext = p->yarn_ext;
    r->divide = 1;
    if (a->window_base == 0) return;
    r[1] = r[0];
    r[1].scaling = AIOS__SCALE_NONE;
    r[1].base = a->window_base;
    r[1].factor = r[1].attn_factor = 1.0;
    r[1].divide = 0;
    p->n_ropes = 2;
}
static void aios__layers_make(aios__hp *p, const aios__arch *a) {
    int32_t l;
    aios__ropes_make(p, a);
    for (l = 0; l < p->n_layer; l++) {
        aios__hp_layer *x = &p->layer[l];
        int32_t windowed = aios__windowed(a, l);
        x->n_head = p->n_head;
        x->n_head_kv = p->n_head_kv;
        x->hd_k = p->hd_k;
        x->hd_v = p->hd_v;
        x->n_ff = p->n_ff;
        x->n_expert = p->n_expert;
        x->n_used = p->n_used;
        x->n_ff_exp = p->n_ff_exp;
        x->n_ff_shared = p->n_ff_shared;
        x->window = windowed ? p->window : 0;
        x->rope = windowed ? p->n_ropes - 1 : p->n_ropes ? 0 : -1;
        x->recurrent = 0;
    }
}
