/* plan.c: what will be asked for, to the byte, before anything is taken. Pure arithmetic on the header: it runs the same
 * layout code as opening does, over bumps that only count, so a plan cannot differ from what opening takes. */

/* Lays a context out. With meta->base NULL it counts. Scratch comes out of aios__program_build through c->prog. */
static aios_context *aios__context_layout(const aios_model *m, const aios_plan *p, aios__bump *meta, aios_context *into) {
    aios_context *c = (aios_context *)aios__take(meta, sizeof(aios_context), 64), *x = c ? c : into;
    uint64_t n_batch = (uint64_t)p->n_batch, n_ctx = (uint64_t)p->n_ctx;
    int32_t s;
    x->seq           = (aios__sequence *)aios__take(meta, (uint64_t)p->n_seq * sizeof *x->seq, 8);
    x->pass.id       = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.seq      = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.pos      = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.block    = (int32_t *)aios__take(meta, (n_batch + 1) * 4, 8);
    x->pass.out      = (int32_t *)aios__take(meta, (uint64_t)p->n_outputs * 4, 8);
    x->run.kv_read   = (uint64_t *)aios__take(meta, (uint64_t)p->n_threads * 64, 64);
    x->share         = (aios__share *)aios__take(meta, (uint64_t)p->n_threads * sizeof(aios__share), 64);
    x->prog.freq     = (double *)aios__take(meta, (uint64_t)m->hp.n_rot / 2 * 8, 8);
    x->prog.op       = (aios__op *)aios__take(meta, (uint64_t)p->n_ops * sizeof(aios__op), 64);
    x->sample_work   = aios__take(meta, aios_sample_work_bytes(m->hp.n_vocab), 64);
    for (s = 0; s < p->n_seq; s++) {
        int32_t *tok = (int32_t *)aios__take(meta, n_ctx * 4, 8);
        uint8_t *want = (uint8_t *)aios__take(meta, n_ctx, 8);
        if (c) { c->seq[s].token = tok; c->seq[s].want = want; }
    }
    aios__kv_layout(&x->kv, meta);
    aios__pool_layout(&x->pool, meta, p->flags & AIOS_PLAN_LENT_THREADS ? 1 : p->n_threads);
    return c;
}
static void aios__build_start(aios__build *b, const aios_model *m, const aios_plan *p, const aiosk_isa *k) {
    b->m = m; b->k = k;
    b->n_ctx = p->n_ctx; b->n_batch = p->n_batch; b->n_outputs = p->n_outputs; b->n_threads = p->n_threads; b->numerics = p->numerics;
}

/* The choices of a plan, whether made here or handed in. */
static aios_status aios__plan_check(const aios_model *m, const aios_plan *p, aios_error *err) {
    static const char *const names[] = { "n_ctx", "n_seq", "n_batch", "n_outputs", "n_threads", "kv_type", "numerics", "isa" };
    static const int32_t most[] = { 1 << 28, 1 << 20, 4096, 4096, 1024, AIOSK_N_KV - 1, AIOS_REFERENCE, AIOSK_N_ISA - 1 };
    int32_t i, v[8];
    aios_status st = aios__flags(p->flags, AIOS_PLAN_LENT_THREADS, "aios_plan", err);
    if (st) return st;
    v[0] = p->n_ctx; v[1] = p->n_seq; v[2] = p->n_batch; v[3] = p->n_outputs; v[4] = p->n_threads; v[5] = p->kv_type; v[6] = p->numerics; v[7] = p->isa;
    for (i = 0; i < 8; i++)
        if (v[i] < (i < 5) || v[i] > most[i])
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)most[i], (uint64_t)(v[i] < 0 ? 0 : v[i]), "the plan's % is %, out of range", aios__z(names[i]), aios__i(v[i]));
    /* AIOS_FAST differs from AIOS_CANONICAL in the kernels of float matrices alone (aiosk_matmul_fast): no layout, no size */
    if (p->numerics == AIOS_REFERENCE && p->kv_type != AIOSK_KV_F32)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "AIOS_REFERENCE numerics go with an f32 cache");
    if ((uint64_t)p->n_batch * (uint64_t)m->hp.n_head > (uint64_t)1 << 28)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, (uint64_t)1 << 28, (uint64_t)p->n_batch * (uint64_t)m->hp.n_head, "a batch of % tokens of % heads is too large: plan a smaller n_batch", aios__i(p->n_batch), aios__i(m->hp.n_head));
    if (m->role[AIOS__T_POS_EMBD].w >= 0 && p->n_ctx > m->hp.n_ctx_train)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)m->hp.n_ctx_train, (uint64_t)p->n_ctx, "n_ctx % is past the % positions that the model has learned", aios__i(p->n_ctx), aios__i(m->hp.n_ctx_train));
    if (!aiosk_select(p->isa)) return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF, "instruction set % is not in this machine or this build", aios__i(p->isa));
    if (m->loaded && m->loaded != aios__loaded_for(p->numerics))
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF, "the model's weights are laid out for other numerics: open the model a second time");
    return AIOS_OK;
}

/* The sizes of a plan whose choices are made. 0 when something overflows. */
static int32_t aios__plan_sizes(const aios_model *m, aios_plan *p, const aiosk_isa *k) {
    aios__build b;
    aios__kv kv;
    aios_context tmp;
    aios__bump meta = { NULL, 0 };
    aios__weights_size w;
    uint64_t load_tmp, i;
    memset(&b, 0, sizeof b);
    aios__build_start(&b, m, p, k);
    aios__program_build(&b);
    if (!aios__kv_size(&kv, &m->hp, p->kv_type, p->n_ctx, p->n_seq)) return 0;
    p->n_ops = b.n_ops; p->n_phases = b.n_phases;
    memset(&tmp, 0, sizeof tmp);
    tmp.kv = kv;
    aios__context_layout(m, p, &meta, &tmp);
    aios__weights_measure(m, p->numerics, &w);
    load_tmp = m->loaded ? 0 : aios__weights_tmp(m, p->numerics);
    p->request_bytes[AIOS_MEM_META]    = aios__round_up(meta.used, 64);
    p->request_bytes[AIOS_MEM_SCRATCH] = aios__round_up(b.scratch.used > load_tmp ? b.scratch.used : load_tmp, 64);
    p->request_bytes[AIOS_MEM_KV]      = kv.bytes;
    p->request_bytes[AIOS_MEM_WEIGHTS] = m->loaded ? 0 : w.bytes;
    p->total_bytes = 0;
    for (i = 0; i < AIOS_N_MEM; i++) if (!aios__add(p->total_bytes, p->request_bytes[i], &p->total_bytes)) return 0;
    p->n_requests = p->request_bytes[AIOS_MEM_WEIGHTS] ? 4 : 3;
    p->weight_bytes_packed = w.packed; p->weight_bytes_rows = w.rows; p->weight_bytes_mapped = w.mapped;
    p->token_weight_bytes = b.w_bytes + b.row_bytes;
    p->token_act_bytes = b.act_bytes;
    p->token_kv_pos_bytes = kv.page_bytes / AIOSK_TILE;
    p->token_kv_bytes = 0;
    for (i = 0; i < (uint64_t)m->hp.n_layer; i++) {
        int32_t window = aios__layer_window(m, (int32_t)i);
        p->token_kv_bytes += p->token_kv_pos_bytes / (uint64_t)m->hp.n_layer * (uint64_t)(window && window < p->n_ctx ? window : p->n_ctx);
    }
    return 1;
}

AIOS_API aios_status aios_plan_make(const aios_model *m, const aios_plan_desc *desc, aios_plan *out, aios_error *err) {
    aios_plan_desc d;
    aios_plan p, least;
    const aiosk_isa *k;
    aios_status st;
    aios__clear(err);
    if (!m || !out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_plan_make: an argument is NULL");
    if (!m->arch) return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF, "the model was opened for its vocabulary alone");
    if ((st = aios__desc_copy(&d, sizeof d, desc, "aios_plan_desc", err)) != 0) return st;
    memset(&p, 0, sizeof p);
    p.struct_size = (uint32_t)sizeof p;
    if ((st = aios__flags(d.flags, AIOS_PLAN_LENT_THREADS, "aios_plan_desc", err)) != 0) return st;
    p.flags     = d.flags;
    p.n_ctx     = d.n_ctx ? d.n_ctx : m->hp.n_ctx_train;
    p.n_seq     = d.n_seq ? d.n_seq : 1;
    p.n_batch   = d.n_batch ? d.n_batch : 64;
    p.n_outputs = d.n_outputs ? d.n_outputs : p.n_seq;
    p.n_threads = d.n_threads ? d.n_threads : 1;
    p.kv_type = d.kv_type; p.numerics = d.numerics; p.isa = d.isa;
    if (p.n_outputs > p.n_batch) p.n_outputs = p.n_batch;
    if ((st = aios__plan_check(m, &p, err)) != 0) return st;
    k = aiosk_select(p.isa);
    p.held_bytes = m->req.bytes + (m->weights ? m->weights_req.bytes : 0);
    p.model_hash = m->gguf.hash;
    if (!aios__plan_sizes(m, &p, k)) return aios__fail(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, "the cache for this context and these sequences is too large to be counted");
    least = p;
    least.n_ctx = 1; least.n_seq = 1; least.n_batch = 1; least.n_outputs = 1; least.n_threads = 1; least.kv_type = AIOSK_KV_I8;
    if (aios__plan_sizes(m, &least, k)) p.min_bytes = least.total_bytes;
    if (d.budget_bytes && p.held_bytes + p.total_bytes > d.budget_bytes)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p.held_bytes + p.total_bytes, d.budget_bytes, "this plan needs % bytes in all; the least for this model is %", aios__u(p.held_bytes + p.total_bytes), aios__u(p.held_bytes + p.min_bytes));
    if (d.read_bandwidth && d.read_bandwidth < UINT64_MAX / 1000) p.tok_s_bound_milli = d.read_bandwidth * 1000 / (p.token_weight_bytes + p.token_kv_bytes ? p.token_weight_bytes + p.token_kv_bytes : 1);
    return aios__desc_fill(out, &p, sizeof p) ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF, "aios_plan was not initialised: call aios_plan_init first") : AIOS_OK;
}

/* The order in which a context takes its memory: what stays with the model comes first, so that the rest is given back in
 * reverse order, as an allocator that is a stack wants it. */
static const uint8_t aios__request_order[AIOS_N_MEM] = { AIOS_MEM_WEIGHTS, AIOS_MEM_META, AIOS_MEM_SCRATCH, AIOS_MEM_KV };

AIOS_API aios_status aios_plan_request(const aios_plan *plan, uint32_t i, aios_mem_req *out) {
    aios_mem_req r;
    aios_plan p;
    uint32_t k;
    if (aios__desc_copy(&p, sizeof p, plan, "aios_plan", NULL) || i >= p.n_requests) return AIOS_ERR_ARG;
    k = aios__request_order[i + AIOS_N_MEM - p.n_requests];        /* three: the model holds its weights already */
    aios__req_fill(&r, k, p.request_bytes[k]);
    return aios__desc_fill(out, &r, sizeof r);
}

AIOS_API aios_status aios_plan_get_tensor(const aios_model *m, const aios_plan *plan, uint32_t i, aios_tensor_place *out) {
    aios_tensor_place x;
    aios_plan p;
    aios__place at;
    uint64_t off = 0;
    int32_t id = (int32_t)i;
    if (!m || !m->arch || aios__desc_copy(&p, sizeof p, plan, "aios_plan", NULL) || i >= m->gguf.n_tensors) return AIOS_ERR_ARG;
    at = aios__place_of(m, p.numerics, i, &off);
    memset(&x, 0, sizeof x);
    x.tier = at.mapped ? (uint32_t)AIOS_TIER_WARM : (uint32_t)AIOS_TIER_HOT;
    x.layout = at.layout; x.mapped = at.mapped; x.n_bytes = at.n_bytes;
    x.token_bytes = at.use == AIOS__IS_TABLE ? 0 : at.n_bytes;
    if (id == m->role[AIOS__T_TOKEN_EMBD].w || id == m->role[AIOS__T_POS_EMBD].w) x.token_bytes += m->gguf.tensor[i].row_bytes;
    if (id == m->role[AIOS__T_ROPE_FREQS].w || id == m->role[AIOS__T_ROPE_LONG].w || id == m->role[AIOS__T_ROPE_SHORT].w) x.token_bytes = 0;   /* read once, at opening */
    return aios__desc_fill(out, &x, sizeof x);
}
