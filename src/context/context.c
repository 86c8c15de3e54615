/* context.c: the public verbs of a running model: they check arguments and call what stands
 * above. */

/* Gives back what the context took, in reverse order; the weights stay with the model. */
static void aios__context_release(aios_context *c) {
    aios_allocator mem = c->mem;
    aios_mem_req meta = c->req[AIOS_MEM_META];
    aios__pool_stop(&c->exec.pool);
    aios__stream_stop(&c->exec.stream);
    if (c->block[AIOS_MEM_WEIGHTS])
        mem.free(mem.user, c->block[AIOS_MEM_WEIGHTS], &c->req[AIOS_MEM_WEIGHTS]);
    if (c->block[AIOS_MEM_KV]) mem.free(mem.user, c->block[AIOS_MEM_KV], &c->req[AIOS_MEM_KV]);
    if (c->block[AIOS_MEM_SCRATCH])
        mem.free(mem.user, c->block[AIOS_MEM_SCRATCH], &c->req[AIOS_MEM_SCRATCH]);
    mem.free(mem.user, c, &meta);
}

/* Wishes of a request that did not come true, where the allocator tells. */
static uint64_t aios__denied(const aios_allocator *mem, void *p, const aios_mem_req *req) {
    return p && req->flags && mem->granted && (req->flags & ~mem->granted(mem->user, p, req)) != 0;
}

/* The arguments of aios_context_open, copied and checked. */
typedef struct aios__open_args {
    aios_plan plan;
    aios_context_desc desc;
    aios_allocator mem;
    aios_spill spill;
} aios__open_args;

/* META: the context itself and all its tables, laid out and filled in. */
static aios_status aios__context_new(aios_model *m, const aios__open_args *a, aios_context **out,
                                     aios_error *err) {
    const aios_plan *p = &a->plan;
    aios_mem_req req;
    aios__plan_req(p, AIOS_MEM_META, AIOS_TIER_HOT, &req);
    void *block = NULL;
    aios_status st = aios__alloc(&a->mem, &req, "context", &block, err);
    if (st) return st;
    aios__bump meta = { NULL, 0 };
    meta.base = (char *)block;
    memset(block, 0, (size_t)(req.bytes - aios__plan_stacks(p))); /* stacks need no zeros */
    aios_context *c = (aios_context *)block;
    aios__kv_size(&c->kv, m, p);
    aios__context_layout(m, p, &meta, NULL);
    c->mem = a->mem;
    c->model = m;
    c->plan = *p;
    c->desc = a->desc;
    c->spill = a->spill;
    c->k = aiosk_select(p->isa);
    c->exec.n_workers = p->n_threads;
    if (!c->desc.now_ns) c->desc.now_ns = aios__system_ns;
    for (uint32_t i = 0; i < AIOS_N_MEM; i++)
        aios__plan_req(p, i, i == AIOS_MEM_WEIGHTS ? AIOS_TIER_STREAM : AIOS_TIER_HOT, &c->req[i]);
    c->block[AIOS_MEM_META] = c;
    *out = c;
    return AIOS_OK;
}
/* The frequencies of all ropes. */
static aios_status aios__context_ropes(aios_context *c, aios_error *err) {
    const aios__hp *hp = &c->model->hp;
    double *freq = c->prog.freq;
    aios_status st = AIOS_OK;
    for (int32_t i = 0; i < hp->n_ropes && !st; freq += hp->rope[i++].n_rot / 2)
        st = aios__rope_freqs(c->model, &hp->rope[i], c->plan.n_ctx, freq, &c->prog.rope_mult[i],
                              err);
    return st;
}
/* Can the heads of all layers be rotated, as coded caches want it? */
static aios_status aios__context_rotates(const aios_context *c, aios_error *err) {
    const aios__hp *hp = &c->model->hp;
    float *work = (float *)(void *)c->prog.work;
    for (int32_t l = 0; c->kv.coded && l < hp->n_layer; l++)
        if (!aiosk_rotate_ok(c->k, hp->layer[l].hd_k, work) ||
            !aiosk_rotate_ok(c->k, hp->layer[l].hd_v, work))
            return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                               "heads of % channels cannot be rotated", aios__i(hp->layer[l].hd_k));
    return AIOS_OK;
}
/* What reads from storage while the model runs, over the block of what is streamed: the ring, then
 * slots of experts, then those of rows. */
static void aios__context_stream(aios_context *c) {
    aios__exec *e = &c->exec;
    const aios_plan *p = &c->plan;
    char *base = (char *)c->block[AIOS_MEM_WEIGHTS]; /* NULL: nothing is read */
    uint64_t experts = p->slot_bytes * p->n_slots,
             rows = experts + p->expert_slot_bytes * p->n_expert_slots;
    e->stream.io = c->model->io;
    e->stream.unit = c->prog.unit;
    e->stream.n_units = c->prog.n_units;
    e->stream.n_slots = p->n_slots;
    e->stream.slot_bytes = p->slot_bytes;
    e->stream.base = base;
    e->stream.row0 = p->n_slots + p->n_expert_slots * AIOS__N_EXPERT_MATRICES;
    e->stream.n_all = e->stream.row0 + p->n_row_slots;
    e->run.stream = &e->stream;
    if ((e->rows.n_slots = (int32_t)p->n_row_slots) > 0) {
        aios__rows_start(&e->rows, &e->stream, c->prog.table, p->n_batch, base + rows,
                         p->row_slot_bytes);
        e->run.rows = &e->rows;
    }
    if ((e->expert_cache.n_slots = p->n_expert_slots) > 0) {
        e->expert_cache.slot_bytes = p->expert_slot_bytes;
        e->expert_cache.matrix_off[AIOS__EXPERT_UP] = c->prog.matrix_bytes[AIOS__EXPERT_GATE];
        e->expert_cache.matrix_off[AIOS__EXPERT_DOWN] =
            c->prog.matrix_bytes[AIOS__EXPERT_GATE] + c->prog.matrix_bytes[AIOS__EXPERT_UP];
        e->expert_cache.base = base + experts;
        aios__expert_cache_start(&e->expert_cache, &e->stream, &e->moe, c->model->hp.n_layer);
        e->run.expert_cache = &e->expert_cache;
    }
}
static void aios__context_exec(aios_context *c) {
    aios__exec *e = &c->exec;
    e->p = &c->prog;
    e->now_ns = c->desc.now_ns;
    e->now_user = c->desc.now_user;
    e->parallel_for = c->desc.parallel_for;
    e->parallel_user = c->desc.parallel_user;
    e->trace = c->desc.trace;
    e->trace_user = c->desc.trace_user;
    e->profile = (c->desc.flags & AIOS_CONTEXT_PROFILE) != 0;
    e->n_threads = e->run.n_threads = c->plan.n_threads;
    e->run.k = c->k;
    e->run.hp = &c->model->hp;
    e->run.kv = &c->kv;
    e->run.pass = &c->pass;
    e->run.count = &c->count;
    e->run.moe = &e->moe;
    e->run.work = c->prog.work;
    e->run.work_bytes = c->prog.work_bytes;
}
/* The program, over blocks and weights that are there. */
static aios_status aios__context_build(aios_context *c, aios_error *err) {
    aios__emitter e;
    aios_status st;
    aios__kv_start(&c->kv, c->model, &c->plan, c->block[AIOS_MEM_KV]);
    if ((st = aios__context_ropes(c, err)) != 0) return st;
    aios__emitter_start(&e, c->model, &c->plan, c->k, &c->prog, &c->exec.moe);
    e.bundle = c->exec.expert_cache.layer;
    aios__program_build(&e, (char *)c->block[AIOS_MEM_SCRATCH]);
    aios__context_stream(c);
    aios__context_exec(c);
    return aios__context_rotates(c, err);
}

/* ---- opening ---- */
static aios_status aios__open_check_model(const aios_model *m, aios_error *err) {
    if (m && m->dying)
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                          "the model was freed: it lives on for its other contexts alone");
    if (!m)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_context_open: the model is NULL");
    if (!m->arch)
        return aios__fail(
            err, AIOS_ERR_ARG, AIOS__NO_OFF,
            "the model was opened to be looked at, or for its vocabulary: it does not run");
    return AIOS_OK;
}
static aios_status aios__spill_copy(aios_spill *s, const aios_spill *from, aios_error *err) {
    memset(s, 0, sizeof *s);
    if (!from) return AIOS_OK;
    aios_status st = aios__desc_copy(AIOS__ID_aios_spill, s, from, err);
    if (!st) st = aios__flags(s->flags, 0, "aios_spill", err);
    if (!st && (!s->put || !s->get))
        st = aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_spill needs put and get");
    return st;
}
static aios_status aios__open_copy(const aios_model *m, const aios_plan *plan,
                                   const aios_context_desc *desc, aios__open_args *a,
                                   aios_error *err) {
    aios_status st = aios__plan_copy(&a->plan, plan, err);
    if (!st) st = aios__desc_copy(AIOS__ID_aios_context_desc, &a->desc, desc, err);
    if (!st) st = aios__flags(a->desc.flags, AIOS_CONTEXT_PROFILE, "aios_context_desc", err);
    if (st) return st;
    a->mem = m->mem;
    if (a->desc.mem) st = aios__allocator_copy(&a->mem, a->desc.mem, "aios_context_desc", err);
    return st ? st : aios__spill_copy(&a->spill, a->desc.spill, err);
}
/* Was the plan made for this model, and does it go with the desc? */
static aios_status aios__open_check_plan(const aios_model *m, const aios__open_args *a,
                                         aios_error *err) {
    const aios_plan *p = &a->plan;
    if (p->model_hash != m->gguf.hash)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          p->model_hash ? "the plan was made for another model"
                                        : "the plan was not made: call aios_plan_make first");
    aios_status st = aios__plan_check(m, p, err);
    if (st) return st;
    if (p->flags & AIOS_PLAN_LENT_THREADS && !a->desc.parallel_for && p->n_threads > 1)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 1, (uint64_t)p->n_threads,
                           "the plan counts on % lent threads, but parallel_for is NULL",
                           aios__i(p->n_threads), aios__u(0));
    return AIOS_OK;
}
static int32_t aios__plan_same_sizes(const aios_plan *a, const aios_plan *b) {
    return !memcmp(a->request_bytes, b->request_bytes, sizeof a->request_bytes) &&
           !memcmp(a->tier_bytes, b->tier_bytes, sizeof a->tier_bytes) && a->n_ops == b->n_ops &&
           a->n_units == b->n_units && a->slot_bytes == b->slot_bytes &&
           a->expert_slot_bytes == b->expert_slot_bytes;
}
/* Compares the plan with what would be taken now, and completes it. */
static aios_status aios__open_compare(const aios_model *m, aios_plan *p, aios_error *err) {
    /* another context may have taken them since */
    for (int32_t t = 0; m->loaded && t < 2; t++) {
        p->request_bytes[AIOS_MEM_WEIGHTS] -= p->tier_bytes[t];
        p->tier_bytes[t] = 0;
    }
    aios_plan now = *p;
    int32_t counted = aios__plan_sizes(m, &now, aiosk_select(p->isa));
    /* it was to load too */
    if (m->loaded && now.request_bytes[AIOS_MEM_SCRATCH] < p->request_bytes[AIOS_MEM_SCRATCH])
        now.request_bytes[AIOS_MEM_SCRATCH] = p->request_bytes[AIOS_MEM_SCRATCH];
    if (!counted || !aios__plan_same_sizes(&now, p))
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, now.total_bytes, p->total_bytes,
            "the plan (% bytes) is not what would be taken now (% bytes): plan again",
            aios__u(p->total_bytes), aios__u(now.total_bytes));

    /* a plan of an older header does not have them */
    p->n_row_slots = now.n_row_slots;
    p->row_slot_bytes = now.row_slot_bytes;
    if (aios__plan_streams(p) && aios__plan_async(m, p) && m->n_async)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "another context of this model streams through the io's submit and wait, which serve "
            "one: open the model a second time, or plan reading threads");
    return AIOS_OK;
}
/* All memory but META, and the threads. */
static aios_status aios__context_take(aios_context *c, aios_error *err) {
    const aios_context_desc *d = &c->desc;
    aios_status st = aios__alloc(&c->mem, &c->req[AIOS_MEM_SCRATCH], "scratch",
                                 &c->block[AIOS_MEM_SCRATCH], err);
    if (!st) st = aios__alloc(&c->mem, &c->req[AIOS_MEM_KV], "cache", &c->block[AIOS_MEM_KV], err);
    if (!st && c->plan.tier_bytes[AIOS_TIER_STREAM])
        st = aios__alloc(&c->mem, &c->req[AIOS_MEM_WEIGHTS], "ring", &c->block[AIOS_MEM_WEIGHTS],
                         err);
    if (!st && !d->parallel_for)
        st = aios__pool_start(&c->exec.pool, c->plan.n_threads, d->thread_start, d->thread_user,
                              err);
    return st;
}
/* The model's weights, with the scratch block as room to work in. */
static aios_status aios__context_load(aios_context *c, aios_error *err) {
    aios__cut cut = aios__plan_cut(&c->plan);
    return aios__weights_load(c->model, &cut, (char *)c->block[AIOS_MEM_SCRATCH],
                              c->plan.request_bytes[AIOS_MEM_SCRATCH], c->desc.progress,
                              c->desc.progress_user, err);
}
static aios_status aios__context_stream_open(aios_context *c, aios_error *err) {
    const aios_plan *p = &c->plan;
    if (!aios__plan_streams(p)) return AIOS_OK;
    return aios__stream_open(&c->exec.stream,
                             aios__plan_wants_readers(p) ? p->flags & AIOS_PLAN_LENT_READERS : 0,
                             p->n_readers, aios__plan_async(c->model, p), err);
}
static void aios__context_count_denied(aios_context *c, int32_t loaded) {
    const aios_model *m = c->model;
    uint64_t *n = &c->count.n_wishes_denied;
    for (int32_t t = 0; loaded && t < 2; t++)
        *n += aios__denied(&m->mem, m->weights[t], &m->weights_req[t]);
    for (int32_t i = 0; i < AIOS_N_MEM; i++) *n += aios__denied(&c->mem, c->block[i], &c->req[i]);
}

AIOS_API aios_status aios_context_open(aios_model *m, const aios_plan *plan,
                                       const aios_context_desc *desc, aios_context **out,
                                       aios_error *err) {
    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios__clear(err);
    aios__open_args a;
    aios_status st = aios__open_check_model(m, err);
    if (!st) st = aios__open_copy(m, plan, desc, &a, err);
    if (!st) st = aios__open_check_plan(m, &a, err);
    if (!st) st = aios__open_compare(m, &a.plan, err);
    if (st) return st;

    int32_t load = !m->loaded;
    if (load && (st = aios__weights_take(m, &a.plan, err)) != 0) return st;
    aios_context *c = NULL;
    uint64_t fp = aiosk_fp_begin(); /* the host's rounding mode is not ours */
    st = aios__context_new(m, &a, &c, err);
    if (!st) st = aios__context_take(c, err);
    if (!st && load) st = aios__context_load(c, err);
    if (!st) st = aios__context_build(c, err);
    if (!st) st = aios__context_stream_open(c, err);
    aiosk_fp_end(fp);
    if (st) {
        if (c) aios__context_release(c);
        if (load) aios__weights_give(m);
        return st;
    }
    m->n_async += c->exec.stream.n_all && c->exec.stream.how == AIOS__READ_ASYNC;
    aios__context_count_denied(c, load);
    m->n_contexts++;
    *out = c;
    return AIOS_OK;
}
AIOS_API void aios_context_free(aios_context *c) {
    if (!c) return;
    for (int32_t s = 0; s < c->plan.n_seq; s++) aios__spill_forget(c, s);
    aios_model *m = c->model;
    m->n_async -= c->exec.stream.n_all && c->exec.stream.how == AIOS__READ_ASYNC;
    aios__context_release(c);
    if (--m->n_contexts == 0 && m->dying) aios_model_free(m);
}

/* ---- running ---- */
AIOS_API aios_status aios_feed(aios_context *c, int32_t seq, const int32_t *ids, uint64_t n,
                               uint32_t flags, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (!ids && n) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "ids is NULL");
    if (flags > AIOS_FEED_NO_LOGITS)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS_FEED_NO_LOGITS, flags,
                           "aios_feed: flags % are none, or contradict each other", aios__u(flags),
                           aios__u(0));
    aios__sequence *q = &c->seq[seq];
    int32_t room = c->plan.n_ctx - q->n_fed;
    /* fewer after tokens were taken out of the middle of tiles */
    int32_t cells = c->kv.seq_tiles * AIOSK_TILE - aios__kv_cell(&c->kv.seq[seq], q->n_fed);
    if (cells < room) room = cells;
    if (n > (uint64_t)room)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)room, n,
                           "% tokens do not fit: the sequence has room for %", aios__u(n),
                           aios__i(room));
    for (uint64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= c->model->hp.n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->model->hp.n_vocab,
                               (uint64_t)ids[i], "token id % is not in the vocabulary of %",
                               aios__i(ids[i]), aios__i(c->model->hp.n_vocab));
    for (uint64_t i = 0; i < n; i++, q->n_fed++) {
        q->token[q->n_fed] = ids[i];
        q->want[q->n_fed] = (uint8_t)(flags & AIOS_FEED_ALL_LOGITS  ? 1
                                      : flags & AIOS_FEED_NO_LOGITS ? 0
                                                                    : i + 1 == n);
    }
    if (!c->running && c->exec.rows.n_slots) {
        aios__soon(c);
        aios__rows_ahead(&c->exec.rows);
    }
    return AIOS_OK;
}
AIOS_API aios_status aios_step(aios_context *c, uint64_t deadline_ns, aios_error *err) {
    aios__clear(err);
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    uint64_t t0 = aios__now(&c->exec);
    aios_status st = aios__step(c, deadline_ns, err);
    aios__store(&c->exec.interrupt, 0); /* it has had what it wanted, however the step ended */
    uint64_t t1 = aios__now(&c->exec);
    if (t1 > t0) c->count.busy_ns += t1 - t0; /* a host's clock may be set back */
    return st;
}
AIOS_API void aios_cancel(aios_context *c) {
    if (c) aios__store(&c->exec.cancel, 1);
}
AIOS_API void aios_interrupt(aios_context *c) {
    if (c) aios__store(&c->exec.interrupt, 1);
}
AIOS_API aios_status aios_set_workers(aios_context *c, int32_t n, aios_error *err) {
    aios__clear(err);
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    if (n < 1 || n > c->plan.n_threads)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->plan.n_threads,
                           (uint64_t)(n < 0 ? 0 : n), "% workers: the plan has 1 to %", aios__i(n),
                           aios__i(c->plan.n_threads));
    if (n != c->exec.n_workers && c->exec.pool.n > 1) aios__pool_bound(&c->exec.pool, n);
    c->exec.n_workers = n;
    return AIOS_OK;
}
AIOS_API uint64_t aios_now_ns(const aios_context *c) { return c ? aios__now(&c->exec) : 0; }

AIOS_API int32_t aios_output_count(const aios_context *c) { return c ? c->n_out_ready : 0; }
AIOS_API aios_status aios_output_get(const aios_context *c, int32_t i, aios_output *out) {
    aios_output o;
    if (!c || i < 0 || i >= c->n_out_ready) return AIOS_ERR_ARG;
    memset(&o, 0, sizeof o);
    int32_t t = c->pass.out[i];
    o.seq = c->pass.seq[t];
    o.pos = c->pass.pos[t];
    o.token = c->pass.id[t];
    o.logits = c->prog.logits + (uint64_t)i * (uint64_t)c->model->hp.n_vocab;
    o.embedding = c->prog.embedding + (uint64_t)i * (uint64_t)c->model->hp.n_embd;
    return aios__desc_fill(AIOS__ID_aios_output, out, &o);
}
/* The newest output row of a sequence, -1 = none. */
static int32_t aios__output_row(const aios_context *c, int32_t seq) {
    int32_t i;
    for (i = c->n_out_ready - 1; i >= 0; i--)
        if (c->pass.seq[c->pass.out[i]] == seq) break;
    return i;
}
AIOS_API const float *aios_logits(const aios_context *c, int32_t seq) {
    int32_t i = aios__seq_ok(c, seq) ? aios__output_row(c, seq) : -1;
    return i < 0 ? NULL : c->prog.logits + (uint64_t)i * (uint64_t)c->model->hp.n_vocab;
}

AIOS_API aios_status aios_counters_get(const aios_context *c, aios_counters *out) {
    if (!c) return AIOS_ERR_ARG;
    aios_counters x = c->count;
    if (c->exec.stream.n_all) aios__stream_count((aios__stream *)(uintptr_t)&c->exec.stream, &x, 0);
    x.n_expert_hits = c->exec.expert_cache.n_hits;
    x.n_expert_misses = c->exec.expert_cache.n_misses;
    return aios__desc_fill(AIOS__ID_aios_counters, out, &x);
}
AIOS_API void aios_counters_reset(aios_context *c) {
    if (!c) return;
    uint64_t denied = c->count.n_wishes_denied;
    if (c->exec.stream.n_all) aios__stream_count(&c->exec.stream, &c->count, 1);
    c->exec.expert_cache.n_hits = c->exec.expert_cache.n_misses = 0;
    memset(&c->count, 0, sizeof c->count);
    c->count.n_wishes_denied = denied;
}
AIOS_API uint32_t aios_op_count(const aios_context *c) { return c ? c->prog.n_ops : 0; }
AIOS_API aios_status aios_op_get(const aios_context *c, uint32_t i, aios_op_info *out) {
    aios_op_info x;
    if (!c || i >= c->prog.n_ops) return AIOS_ERR_ARG;
    const aios__op *o = &c->prog.op[i];
    memset(&x, 0, sizeof x);
    x.layer = o->layer;
    x.name = o->name;
    x.type = o->type;
    x.tier = o->tier;
    x.phase = o->phase;
    x.n_units = o->n_units;
    x.weight_bytes = o->w_bytes;
    x.act_bytes = o->act_bytes;
    x.busy_ns = c->exec.busy_ns[i];
    return aios__desc_fill(AIOS__ID_aios_op_info, out, &x);
}
AIOS_API void aios_serve_reads(aios_context *c) {
    if (c && c->plan.flags & AIOS_PLAN_LENT_READERS && c->exec.stream.how == AIOS__READ_THREADS)
        aios__stream_serve(&c->exec.stream);
}
AIOS_API void aios_end_reads(aios_context *c, int32_t end) {
    if (c && c->plan.flags & AIOS_PLAN_LENT_READERS && c->exec.stream.how == AIOS__READ_THREADS)
        aios__stream_lent(&c->exec.stream, end != 0);
}

AIOS_API aios_status aios_sample(aios_context *c, int32_t seq, const aios_sampler *s, int32_t *id,
                                 aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    int32_t i = aios__output_row(c, seq);
    if (i < 0)
        return aios__fail1(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                           "the last step left no logits for sequence %", aios__i(seq));
    int32_t pos = c->pass.pos[c->pass.out[i]] + 1;
    if (pos > c->seq[seq].n_done)
        return aios__fail2(
            err, AIOS_ERR_STATE, AIOS__NO_OFF, (uint64_t)c->seq[seq].n_done, (uint64_t)pos,
            "the token at position % that the logits followed is no longer in sequence %",
            aios__i(pos - 1), aios__i(seq));
    return aios__sample(c->k, s, aios_logits(c, seq), c->model->hp.n_vocab, c->seq[seq].token,
                        (uint64_t)pos, (uint64_t)pos, c->sample_work, id, err);
}
