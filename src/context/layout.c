/* layout.c: the memory of a context but for its program's scratch and its cache: all its arrays, out
 * of one block. */

/* Channels that turn, of all ropes. */
static uint64_t aios__rope_channels(const aios__hp *hp) {
    uint64_t n = 0;
    for (int32_t i = 0; i < hp->n_ropes; i++) n += (uint64_t)hp->rope[i].n_rot;
    return n;
}
/* Lays a context out. With meta->base NULL it counts. */
static aios_context *aios__context_layout(const aios_model *m, const aios_plan *p, aios__bump *meta,
                                          aios_context *into) {
    aios_context *c = (aios_context *)aios__take(meta, sizeof(aios_context), 64), *x = c ? c : into;
    uint64_t n_batch = (uint64_t)p->n_batch, n_ctx = (uint64_t)p->n_ctx;
    x->seq = (aios__sequence *)aios__take(meta, (uint64_t)p->n_seq * sizeof *x->seq, 8);
    x->pass.id = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.seq = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.pos = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.cell = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.turn = (int32_t *)aios__take(meta, n_batch * 4, 8);
    x->pass.block = (int32_t *)aios__take(meta, (n_batch + 1) * 4, 8);
    x->pass.out = (int32_t *)aios__take(meta, (uint64_t)p->n_outputs * 4, 8);
    x->exec.run.kv_read = (uint64_t *)aios__take(meta, (uint64_t)p->n_threads * 64, 64);
    x->exec.share =
        (aios__share *)aios__take(meta, (uint64_t)p->n_threads * sizeof(aios__share), 64);
    x->prog.freq = (double *)aios__take(meta, aios__rope_channels(&m->hp) / 2 * 8, 8);
    x->prog.op = (aios__op *)aios__take(meta, (uint64_t)p->n_ops * sizeof(aios__op), 64);
    x->exec.busy_ns = (uint64_t *)aios__take(meta, (uint64_t)p->n_ops * 8, 8);
    x->prog.unit = (aios__unit *)aios__take(meta, (uint64_t)p->n_units * sizeof(aios__unit), 8);
    x->prog.each = (aios__expert *)aios__take(meta, (uint64_t)m->n_split * sizeof(aios__expert), 8);
    x->exec.stream.slot = (aios__slot *)aios__take(
        meta,
        ((uint64_t)p->n_slots + (uint64_t)p->n_expert_slots * AIOS__N_EXPERT_MATRICES +
         p->n_row_slots) *
            sizeof(aios__slot),
        64);
    x->exec.stream.queue = (uint32_t *)aios__take(
        meta, ((uint64_t)p->n_expert_slots * AIOS__N_EXPERT_MATRICES + p->n_row_slots) * 4, 8);
    aios__rows_layout(&x->exec.rows, meta, p->n_row_slots);
    aios__expert_cache_layout(&x->exec.expert_cache, meta, (uint64_t)m->hp.n_layer,
                              (uint64_t)m->hp.n_expert, p->n_expert_slots);
    x->sample_work = aios__take(meta, aios_sample_work_bytes(m->hp.n_vocab), 64);
    for (int32_t s = 0; s < p->n_seq; s++) {
        int32_t *tok = (int32_t *)aios__take(meta, n_ctx * 4, 8);
        uint8_t *want = (uint8_t *)aios__take(meta, n_ctx, 8);
        if (c) {
            c->seq[s].token = tok;
            c->seq[s].want = want;
        }
    }
    aios__kv_arrays(&x->kv, meta);
    aios__threads_layout(&x->exec.pool, &x->exec.stream.crew, meta,
                         p->flags & AIOS_PLAN_LENT_THREADS ? 1 : p->n_threads, p->n_readers);
    return c;
}
