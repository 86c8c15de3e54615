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
    x->prog.freq     = (double *)aios__take(meta, (uint64_t)m->hp.n_rot / 2 * 8, 8);
    x->prog.op       = (aios__op *)aios__take(meta, (uint64_t)p->n_ops * sizeof(aios__op), 64);
    x->sample_work   = aios__take(meta, aios_sample_work_bytes(m->hp.n_vocab), 64);
    for (s = 0; s < p->n_seq; s++) {
        int32_t *tok = (int32_t *)aios__take(meta, n_ctx * 4, 8);
        uint8_t *want = (uint8_t *)aios__take(meta, n_ctx, 8);
        if (c) { c->seq[s].token = tok; c->seq[s].want = want; }
    }
    aios__kv_layout(&x->kv, meta);
    aios__pool_layout(&x->pool, meta, p->n_threads);
    return c;
}
static void aios__build_start(aios__build *b, const aios_model *m, const aios_plan *p, const aiosk_isa *k) {
    b->m = m; b->k = k;
    b->n_batch = p->n_batch; b->n_outputs = p->n_outputs; b->n_threads = p->n_threads; b->numerics = p->numerics; b->n_ctx = p->n_ctx;
}

static aios_status aios__plan_int(int32_t *out, int32_t v, int32_t dflt, int32_t hi, const char *name, aios_error *err) {
    if (v < 0 || v > hi) return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)hi, (uint64_t)v, "aios_plan_desc.% is %, out of range", aios__z(name), aios__i(v));
    *out = v ? v : dflt;
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
    p->token_kv_bytes = p->token_kv_pos_bytes * (uint64_t)p->n_ctx;
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
    if ((st = aios__plan_int(&p.n_ctx, d.n_ctx, m->hp.n_ctx_train, 1 << 28, "n_ctx", err)) != 0) return st;
    if ((st = aios__plan_int(&p.n_seq, d.n_seq, 1, 1 << 20, "n_seq", err)) != 0) return st;
    if ((st = aios__plan_int(&p.n_batch, d.n_batch, 64, 1 << 16, "n_batch", err)) != 0) return st;
    if ((st = aios__plan_int(&p.n_outputs, d.n_outputs, p.n_seq < p.n_batch ? p.n_seq : p.n_batch, 1 << 16, "n_outputs", err)) != 0) return st;
    if ((st = aios__plan_int(&p.n_threads, d.n_threads, 1, 1024, "n_threads", err)) != 0) return st;
    if ((st = aios__plan_int(&p.kv_type, d.kv_type, 0, AIOSK_N_KV - 1, "kv_type", err)) != 0) return st;
    if ((st = aios__plan_int(&p.numerics, d.numerics, 0, AIOS_REFERENCE, "numerics", err)) != 0) return st;
    if ((st = aios__plan_int(&p.isa, d.isa, 0, AIOSK_N_ISA - 1, "isa", err)) != 0) return st;
    if (p.numerics == AIOS_FAST) return aios__fail(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF, "AIOS_FAST numerics are not in this version");
    if (p.n_outputs > p.n_batch) p.n_outputs = p.n_batch;
    if (m->role[AIOS__T_POS_EMBD].w >= 0 && p.n_ctx > m->hp.n_ctx_train)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)m->hp.n_ctx_train, (uint64_t)p.n_ctx, "n_ctx % is past the % positions that the model has learned", aios__i(p.n_ctx), aios__i(m->hp.n_ctx_train));
    k = aiosk_select(p.isa);
    if (!k) return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF, "instruction set % is not in this machine or this build", aios__i(p.isa));
    if (m->loaded && m->loaded != 1 + (p.numerics == AIOS_REFERENCE))
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF, "the model's weights are laid out for other numerics: open the model a second time");
    p.held_bytes = m->req.bytes + (m->weights ? m->weights_req.bytes : 0);
    p.model_hash = m->gguf.hash;
    if (!aios__plan_sizes(m, &p, k)) return aios__fail(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, "the cache for this context and these sequences has no size that fits 64 bits");
    least = p;
    least.n_ctx = 1; least.n_seq = 1; least.n_batch = 1; least.n_outputs = 1; least.n_threads = 1; least.kv_type = AIOSK_KV_I8;
    if (aios__plan_sizes(m, &least, k)) p.min_bytes = least.total_bytes;
    if (d.budget_bytes && p.total_bytes > d.budget_bytes)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p.total_bytes, d.budget_bytes, "this plan needs % bytes; the least for this model is %", aios__u(p.total_bytes), aios__u(p.min_bytes));
    if (d.read_bandwidth) p.tok_s_bound_milli = d.read_bandwidth * 1000 / (p.token_weight_bytes + p.token_kv_bytes ? p.token_weight_bytes + p.token_kv_bytes : 1);
    return aios__desc_fill(out, &p, sizeof p) ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF, "aios_plan was not initialised: call aios_plan_init first") : AIOS_OK;
}

/* The order in which a context takes its memory. */
static const uint8_t aios__request_order[AIOS_N_MEM] = { AIOS_MEM_META, AIOS_MEM_SCRATCH, AIOS_MEM_KV, AIOS_MEM_WEIGHTS };

AIOS_API aios_status aios_plan_request(const aios_plan *p, uint32_t i, aios_mem_req *out) {
    if (!p || !out || i >= p->n_requests || i >= AIOS_N_MEM) return AIOS_ERR_ARG;
    aios__req_fill(out, aios__request_order[i], p->request_bytes[aios__request_order[i]]);
    return AIOS_OK;
}

AIOS_API aios_status aios_plan_get_tensor(const aios_model *m, const aios_plan *p, uint32_t i, aios_tensor_place *out) {
    aios_tensor_place x;
    aios__place at;
    uint64_t off = 0;
    if (!m || !p || i >= m->gguf.n_tensors) return AIOS_ERR_ARG;
    at = aios__place_of(m, p->numerics, i, &off);
    memset(&x, 0, sizeof x);
    x.tier = at.mapped ? (uint32_t)AIOS_TIER_WARM : (uint32_t)AIOS_TIER_HOT;
    x.layout = at.layout; x.mapped = at.mapped; x.n_bytes = at.n_bytes;
    x.token_bytes = at.use == AIOS__IS_TABLE ? m->gguf.tensor[i].row_bytes : at.n_bytes;
    return aios__desc_fill(out, &x, sizeof x);
}
