/* graph.c: draws the graph of a model (graph.h) from its roles and hyper-parameters. The layers
 * of a family are written here as its paper writes them, in the verbs of the first half: a verb
 * adds a node and gives the value that it makes. Nothing here knows buffers, bytes, tasks or
 * plans.
 *
 * A family with another wiring is another function beside aios__layer_draw, or a case in it. */

typedef struct aios__drawing {
    const aios_model *m;
    aios__graph *g;
    int32_t x; /* the residual: what goes from layer to layer */
    int32_t cache, angles[AIOS__MAX_ROPES];
    int32_t full; /* the room for values or nodes was not enough */
} aios__drawing;

/* ---- values ---- */
static int32_t aios__rows_of(aios__drawing *d, int32_t rows, int32_t width) {
    if (d->g->n_values == d->g->max_values) {
        d->full = 1;
        return 0;
    }
    aios__value *v = &d->g->value[d->g->n_values];
    memset(v, 0, sizeof *v);
    v->rows = (uint8_t)rows;
    v->width = width;
    v->base = -1;
    return (int32_t)d->g->n_values++;
}
/* Channels at .. at + width - 1 of a value. */
static int32_t aios__view(aios__drawing *d, int32_t base, int32_t at, int32_t width) {
    int32_t v = aios__rows_of(d, d->g->value[base].rows, width);
    if (d->g->value[base].base >= 0) {
        at += d->g->value[base].at;
        base = d->g->value[base].base;
    }
    d->g->value[v].base = (int16_t)base;
    d->g->value[v].at = at;
    return v;
}

/* ---- nodes ---- */
static aios__node *aios__node_add(aios__drawing *d, int32_t kind, const char *name, int32_t layer) {
    /* the last of all is written again and again when there is no room for more */
    if (d->g->n_nodes == d->g->max_nodes) {
        d->full = 1;
        d->g->n_nodes--;
    }
    aios__node *n = &d->g->node[d->g->n_nodes++];
    memset(n, 0, sizeof *n);
    n->kind = (uint8_t)kind;
    n->name = name;
    n->layer = (int16_t)layer;
    n->scale = 1.0f;
    for (int32_t i = 0; i < AIOS__MAX_IN; i++) n->in[i] = -1;
    for (int32_t i = 0; i < AIOS__MAX_OUT; i++) n->out[i] = -1;
    n->w.w = n->w.b = -1;
    return n;
}
static void aios__reads(aios__node *n, int32_t i, int32_t v) { n->in[i] = (int16_t)v; }
static int32_t aios__writes(aios__node *n, int32_t i, int32_t v) { return n->out[i] = (int16_t)v; }
/* y = w x + bias, into a value that is there (y) or a new one (-1). */
static int32_t aios__project(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                             int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_MATRIX, name, layer);
    if (y < 0) y = aios__rows_of(d, d->g->value[x].rows, (int32_t)d->m->gguf.tensor[w.w].n[1]);
    aios__reads(n, 0, x);
    aios__writes(n, 0, y);
    n->w = w;
    return y;
}
/* The same, added to what y holds. */
static void aios__project_add(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                              int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_MATRIX, name, layer);
    aios__reads(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 0, y);
    n->w = w;
}
/* rows: AIOS__OF_TOKENS, or AIOS__OF_OUTPUTS: of those tokens alone. */
static int32_t aios__norm(aios__drawing *d, const char *name, int32_t layer, aios__ref w, int32_t x,
                          int32_t rows) {
    aios__node *n = aios__node_add(d, AIOS__NODE_NORM, name, layer);
    aios__reads(n, 0, x);
    aios__writes(n, 0, aios__rows_of(d, rows, d->g->value[x].width));
    n->w = w;
    return n->out[0];
}
static void aios__norm_add(aios__drawing *d, const char *name, int32_t layer, aios__ref w,
                           int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_NORM, name, layer);
    aios__reads(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 0, y);
    n->w = w;
}
/* x, scaled in place, added to y. */
static void aios__add_scaled(aios__drawing *d, const char *name, int32_t layer, float scale,
                             int32_t x, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ADD, name, layer);
    aios__reads(n, 0, x);
    aios__writes(n, 0, x);
    aios__reads(n, 1, y);
    aios__writes(n, 1, y);
    n->scale = scale;
}
static void aios__in_place(aios__drawing *d, int32_t kind, const char *name, float scale,
                           int32_t x) {
    aios__node *n = aios__node_add(d, kind, name, -1);
    aios__reads(n, 0, x);
    aios__writes(n, 0, x);
    n->scale = scale;
}
/* A row of a table for each token; with add, added to what y holds. */
static void aios__lookup(aios__drawing *d, const char *name, int32_t role, float scale, int32_t add,
                         int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_TABLE, name, -1);
    if (add) aios__reads(n, 0, y);
    aios__writes(n, 0, y);
    n->w = d->m->role[role];
    n->scale = scale;
    n->which = (uint8_t)(role == AIOS__ROLE_POS_EMBD ? AIOS__POS_TABLE : AIOS__EMBD_TABLE);
}
static int32_t aios__angles(aios__drawing *d, int32_t rope) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ANGLES, "angles", -1);
    n->which = (uint8_t)rope;
    return aios__writes(n, 0, aios__rows_of(d, AIOS__OF_TOKENS, d->m->hp.rope[rope].n_rot));
}
/* act(gate) * up, where there is an up, in the place of gate. */
static int32_t aios__activate(aios__drawing *d, const char *name, int32_t layer, int32_t gate,
                              int32_t up) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ACT, name, layer);
    aios__reads(n, 0, gate);
    aios__reads(n, 1, up);
    return aios__writes(n, 0, aios__view(d, gate, 0, d->g->value[gate].width));
}
/* Norms and turns queries and keys, and puts keys and values into the cache; what fills a tile
 * there is coded. */
static void aios__heads(aios__drawing *d, int32_t l, int32_t qkv) {
    int32_t rope = d->m->hp.layer[l].rope;
    aios__node *n = aios__node_add(d, AIOS__NODE_HEADS, "heads", l);
    aios__reads(n, 0, qkv);
    aios__writes(n, 0, qkv);
    aios__reads(n, 1, rope >= 0 ? d->angles[rope] : -1);
    aios__writes(n, 1, d->cache);
    n = aios__node_add(d, AIOS__NODE_SEAL, "seal", l);
    aios__reads(n, 0, d->cache);
    aios__writes(n, 0, d->cache);
}
static int32_t aios__attend(aios__drawing *d, int32_t l, int32_t qkv) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    int32_t made[4];
    aios__node *n = aios__node_add(d, AIOS__NODE_ATTEND, "attend", l);
    made[0] = aios__rows_of(d, AIOS__OF_TOKENS, h->n_head * h->hd_v);
    /* maximum and sum; results, with a maximum and a sum; sums of tiles, and their maxima */
    made[1] = aios__rows_of(d, AIOS__OF_TOKENS, 2 * h->n_head);
    made[2] = aios__rows_of(d, AIOS__OF_PARTIALS, h->n_head * ((h->hd_v + 15) / 16 * 16 + 2));
    made[3] = h->window ? -1 : aios__rows_of(d, AIOS__OF_MASSES, 2 * h->n_head);
    aios__reads(n, 0, qkv);
    aios__reads(n, 1, d->cache);
    for (int32_t i = 0; i < 4; i++) aios__writes(n, i, made[i]);
    n = aios__node_add(d, AIOS__NODE_ATTEND_END, "attend_end", l);
    for (int32_t i = 0; i < 4; i++) aios__reads(n, i, made[i]);
    aios__writes(n, 0, made[0]);
    return made[0];
}
/* The lists of a layer with experts: which experts each token goes to, in the order in which
 * they are worked on. */
static int32_t aios__route(aios__drawing *d, int32_t l, int32_t logits) {
    aios__node *n = aios__node_add(d, AIOS__NODE_ROUTE, "route", l);
    aios__reads(n, 0, logits);
    aios__writes(n, 0, logits);
    return aios__writes(n, 1, aios__rows_of(d, AIOS__OF_NOTHING, 0));
}
static void aios__group(aios__drawing *d, int32_t l, int32_t lists) {
    aios__node *n = aios__node_add(d, AIOS__NODE_GROUP, "group", l);
    aios__reads(n, 0, lists);
    aios__writes(n, 0, lists);
}
/* Each pair's input beside those of the same expert. */
static int32_t aios__gather(aios__drawing *d, int32_t l, int32_t lists, int32_t x) {
    aios__node *n = aios__node_add(d, AIOS__NODE_GATHER, "gather", l);
    aios__reads(n, 0, x);
    aios__reads(n, 1, lists);
    return aios__writes(n, 0, aios__rows_of(d, AIOS__OF_PAIRS, d->g->value[x].width));
}
/* One matrix of every expert, times the columns of its pairs. alone: what the pairs of a pass of
 * one token read, -1 = their own columns all the same. */
static int32_t aios__experts(aios__drawing *d, const char *name, int32_t l, int32_t role,
                             int32_t lists, int32_t pairs, int32_t alone, int32_t y) {
    aios__node *n = aios__node_add(d, AIOS__NODE_EXPERTS, name, l);
    n->w = d->m->layer[l][role];
    n->which = (uint8_t)(role == AIOS__ROLE_FFN_GATE_EXPS ? AIOS__EXPERT_GATE
                         : role == AIOS__ROLE_FFN_UP_EXPS ? AIOS__EXPERT_UP
                                                          : AIOS__EXPERT_DOWN);
    if (y < 0) y = aios__rows_of(d, AIOS__OF_PAIRS, (int32_t)d->m->gguf.tensor[n->w.w].n[1]);
    aios__reads(n, 0, pairs);
    aios__reads(n, 1, lists);
    aios__reads(n, 2, alone);
    aios__writes(n, 0, y);
    return y;
}
/* What a token's experts gave, by their weights, and the shared one's, into the residual. */
static void aios__combine(aios__drawing *d, int32_t l, int32_t lists, int32_t logits, int32_t y,
                          int32_t shared) {
    aios__node *n = aios__node_add(d, AIOS__NODE_COMBINE, "combine", l);
    aios__reads(n, 0, y);
    aios__reads(n, 1, logits);
    aios__reads(n, 2, lists);
    aios__reads(n, 3, d->x);
    aios__writes(n, 0, d->x);
    aios__reads(n, 4, shared);
    n->which = d->m->layer[l][AIOS__ROLE_FFN_SHARED].w >= 0; /* the shared one has a gate */
    n->scale = d->m->hp.residual_scale;
}

/* ---- layers ---- */
/* What attention gives before its output matrix. */
static int32_t aios__attention_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    const aios__ref *r = d->m->layer[l];
    int32_t q = h->n_head * h->hd_k, k = h->n_head_kv * h->hd_k, v = h->n_head_kv * h->hd_v;
    int32_t qkv = aios__rows_of(d, AIOS__OF_TOKENS, q + k + v);
    if (r[AIOS__ROLE_ATTN_QKV].w >= 0)
        aios__project(d, "qkv", l, r[AIOS__ROLE_ATTN_QKV], x, qkv);
    else {
        aios__project(d, "q", l, r[AIOS__ROLE_ATTN_Q], x, aios__view(d, qkv, 0, q));
        aios__project(d, "k", l, r[AIOS__ROLE_ATTN_K], x, aios__view(d, qkv, q, k));
        aios__project(d, "v", l, r[AIOS__ROLE_ATTN_V], x, aios__view(d, qkv, q + k, v));
    }
    aios__heads(d, l, qkv);
    return aios__attend(d, l, qkv);
}
/* What a feed-forward gives before its last matrix. gate: w -1 = up has both, or there is none. */
static int32_t aios__ffn_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__ref *r = d->m->layer[l];
    int32_t gated = (d->m->arch->flags & AIOS__GATED) != 0, n = d->m->hp.layer[l].n_ff;
    int32_t y = aios__rows_of(d, AIOS__OF_TOKENS, gated ? 2 * n : n);
    int32_t gate = gated ? aios__view(d, y, 0, n) : y, up = gated ? aios__view(d, y, n, n) : -1;
    if (r[AIOS__ROLE_FFN_GATE].w >= 0) {
        aios__project(d, "gate", l, r[AIOS__ROLE_FFN_GATE], x, gate);
        aios__project(d, "up", l, r[AIOS__ROLE_FFN_UP], x, up);
    } else
        aios__project(d, "up", l, r[AIOS__ROLE_FFN_UP], x, y);
    return aios__activate(d, "act", l, gate, up);
}
/* The end of a sub-layer: its last matrix, then a norm or a scale where the family has one, into
 * the residual. */
static void aios__sublayer_end(aios__drawing *d, int32_t l, const char *name, int32_t w,
                               const char *norm_name, int32_t norm, const char *add_name,
                               int32_t x) {
    const aios__ref *r = d->m->layer[l];
    float scale = d->m->hp.residual_scale;
    if (r[norm].w >= 0)
        aios__norm_add(d, norm_name, l, r[norm], aios__project(d, name, l, r[w], x, -1), d->x);
    else if (scale != 1.0f)
        aios__add_scaled(d, add_name, l, scale, aios__project(d, name, l, r[w], x, -1), d->x);
    else
        aios__project_add(d, name, l, r[w], x, d->x);
}
/* A feed-forward of experts. The shared one, where there is one, runs beside the others. */
static void aios__moe_draw(aios__drawing *d, int32_t l, int32_t x) {
    const aios__hp_layer *h = &d->m->hp.layer[l];
    const aios__ref *r = d->m->layer[l];
    int32_t shared = -1, n = h->n_ff_shared ? h->n_ff_shared : h->n_ff, y, gate = -1, up = -1;
    int32_t logits =
        aios__rows_of(d, AIOS__OF_TOKENS, (int32_t)aios__round_up((uint64_t)h->n_expert + 1, 16));
    aios__project(d, "router", l, r[AIOS__ROLE_FFN_ROUTER], x,
                  aios__view(d, logits, 0, h->n_expert));
    if (r[AIOS__ROLE_FFN_SHARED].w >= 0)
        aios__project(d, "shared_weight", l, r[AIOS__ROLE_FFN_SHARED], x,
                      aios__view(d, logits, h->n_expert, 1));
    if (r[AIOS__ROLE_FFN_UP_SHEXP].w >= 0) {
        y = aios__rows_of(d, AIOS__OF_TOKENS, 2 * n);
        gate = aios__project(d, "shared_gate", l, r[AIOS__ROLE_FFN_GATE_SHEXP], x,
                             aios__view(d, y, 0, n));
        up =
            aios__project(d, "shared_up", l, r[AIOS__ROLE_FFN_UP_SHEXP], x, aios__view(d, y, n, n));
    }
    int32_t lists = aios__route(d, l, logits);
    if (r[AIOS__ROLE_FFN_UP_SHEXP].w >= 0) shared = aios__activate(d, "shared_act", l, gate, up);
    aios__group(d, l, lists);
    if (shared >= 0)
        shared = aios__project(d, "shared_down", l, r[AIOS__ROLE_FFN_DOWN_SHEXP], shared, -1);
    int32_t pairs = aios__gather(d, l, lists, x);
    n = h->n_ff_exp;
    y = aios__rows_of(d, AIOS__OF_PAIRS, 2 * n);
    gate = aios__experts(d, "experts_gate", l, AIOS__ROLE_FFN_GATE_EXPS, lists, pairs, x,
                         aios__view(d, y, 0, n));
    up = aios__experts(d, "experts_up", l, AIOS__ROLE_FFN_UP_EXPS, lists, pairs, x,
                       aios__view(d, y, n, n));
    y = aios__activate(d, "experts_act", l, gate, up);
    y = aios__experts(d, "experts_down", l, AIOS__ROLE_FFN_DOWN_EXPS, lists, y, -1, -1);
    aios__combine(d, l, lists, logits, y, shared);
}
static void aios__layer_draw(aios__drawing *d, int32_t l) {
    const aios__ref *r = d->m->layer[l];
    int32_t n, two, y;
    if (d->m->arch->flags & AIOS__PARALLEL) { /* both read what goes into the layer */
        n = two = aios__norm(d, "norm", l, r[AIOS__ROLE_ATTN_NORM], d->x, AIOS__OF_TOKENS);
        if (r[AIOS__ROLE_ATTN_NORM_2].w >= 0)
            two = aios__norm(d, "norm_2", l, r[AIOS__ROLE_ATTN_NORM_2], d->x, AIOS__OF_TOKENS);
        y = aios__attention_draw(d, l, two);
    } else {
        n = aios__norm(d, "attn_norm", l, r[AIOS__ROLE_ATTN_NORM], d->x, AIOS__OF_TOKENS);
        y = aios__attention_draw(d, l, n);
    }
    aios__sublayer_end(d, l, "attn_out", AIOS__ROLE_ATTN_OUT, "post_attn",
                       AIOS__ROLE_POST_ATTN_NORM, "attn_add", y);
    if (!(d->m->arch->flags & AIOS__PARALLEL))
        n = aios__norm(d, "ffn_norm", l, r[AIOS__ROLE_FFN_NORM], d->x, AIOS__OF_TOKENS);
    if (r[AIOS__ROLE_FFN_ROUTER].w >= 0)
        aios__moe_draw(d, l, n);
    else
        aios__sublayer_end(d, l, "down", AIOS__ROLE_FFN_DOWN, "post_ffn", AIOS__ROLE_POST_FFN_NORM,
                           "ffn_add", aios__ffn_draw(d, l, n));
}
static void aios__model_draw(aios__drawing *d) {
    const aios_model *m = d->m;
    const aios__hp *hp = &m->hp;
    aios__ref head = m->role[AIOS__ROLE_OUTPUT].w >= 0 ? m->role[AIOS__ROLE_OUTPUT]
                                                       : m->role[AIOS__ROLE_TOKEN_EMBD];
    d->cache = aios__rows_of(d, AIOS__OF_NOTHING, 0);
    aios__writes(aios__node_add(d, AIOS__NODE_COPY, "copy", -1), 0, d->cache);
    d->x = aios__rows_of(d, AIOS__OF_TOKENS, hp->n_embd);
    aios__lookup(d, "embed", AIOS__ROLE_TOKEN_EMBD, hp->embd_scale, 0, d->x);
    for (int32_t i = 0; i < hp->n_ropes; i++) d->angles[i] = aios__angles(d, i);
    if (m->arch->flags & AIOS__POS_EMBD)
        aios__lookup(d, "positions", AIOS__ROLE_POS_EMBD, 1.0f, 1, d->x);
    for (int32_t i = 0; i < hp->n_layer; i++) aios__layer_draw(d, i);
    d->g->embedding =
        aios__norm(d, "output_norm", -1, m->role[AIOS__ROLE_OUTPUT_NORM], d->x, AIOS__OF_OUTPUTS);
    d->g->logits = aios__project(d, "output", -1, head, d->g->embedding, -1);
    if (hp->logit_scale != 1.0f)
        aios__in_place(d, AIOS__NODE_SCALE, "logit_scale", hp->logit_scale, d->g->logits);
    if (hp->logit_cap != 0) aios__in_place(d, AIOS__NODE_CAP, "cap", hp->logit_cap, d->g->logits);
}

/* ---- who reads what, and how long it lives ---- */
static void aios__graph_touch(aios__graph *g, int32_t v, uint32_t node) {
    if (v < 0) return;
    g->value[v].last = (int16_t)node;
    if (g->value[v].base >= 0) g->value[g->value[v].base].last = (int16_t)node;
}
static void aios__graph_reads(const aios_model *m, aios__graph *g, const aios__node *n) {
    const uint8_t flt = 1u << AIOSK_FLT;
    uint8_t form = flt;
    if (n->kind == AIOS__NODE_MATRIX || n->kind == AIOS__NODE_EXPERTS)
        form = (uint8_t)(1u << aiosk_type_info((int32_t)m->gguf.tensor[n->w.w].type)->family);
    if (n->kind == AIOS__NODE_GATHER) form = g->value[n->out[0]].forms;
    for (int32_t i = 0; i < AIOS__MAX_IN; i++)
        if (n->in[i] >= 0)
            g->value[n->in[i]].forms |=
                i == 0 || (i == 2 && n->kind == AIOS__NODE_EXPERTS) ? form : flt;
}
/* What the ops of experts touch lives until the last of them: they may run again for others. */
static void aios__graph_hold(aios__graph *g, uint32_t last) {
    for (uint32_t i = last; g->node[i].layer == g->node[last].layer; i--) {
        const aios__node *n = &g->node[i];
        if (n->kind == AIOS__NODE_GATHER) return;
        for (uint32_t k = 0; k < AIOS__MAX_IN; k++) aios__graph_touch(g, n->in[k], last);
        for (uint32_t k = 0; k < AIOS__MAX_OUT; k++) aios__graph_touch(g, n->out[k], last);
    }
}
/* m's roles and hyper-parameters are known; the arrays of its graph have their room. */
static aios_status aios__graph_draw(aios_model *m, aios_error *err) {
    aios__graph *g = &m->graph;
    aios__drawing d;
    memset(&d, 0, sizeof d);
    d.m = m;
    d.g = g;
    g->n_values = g->n_nodes = 0;
    aios__model_draw(&d);
    if (d.full)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, g->max_nodes, m->gguf.n_tensors,
                           "the model needs more than the % ops that there is room for with % "
                           "tensors",
                           aios__u(g->max_nodes), aios__u(m->gguf.n_tensors));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const aios__node *n = &g->node[i];
        for (uint32_t k = 0; k < AIOS__MAX_IN; k++) aios__graph_touch(g, n->in[k], i);
        for (uint32_t k = 0; k < AIOS__MAX_OUT; k++) aios__graph_touch(g, n->out[k], i);
        if (n->kind == AIOS__NODE_EXPERTS && n->which == AIOS__EXPERT_DOWN) aios__graph_hold(g, i);
    }
    for (uint32_t i = g->n_nodes; i-- > 0;) aios__graph_reads(m, g, &g->node[i]);
    aios__graph_touch(g, g->logits, g->n_nodes);
    aios__graph_touch(g, g->embedding, g->n_nodes);
    g->value[g->embedding].forms |= 1u << AIOSK_FLT;
    return AIOS_OK;
}
