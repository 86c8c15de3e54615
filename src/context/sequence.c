/* sequence.c: what can be done with whole sequences: cut back, fork, find, take out of the
 * middle, save and restore. Above exec, which runs their tokens; the pages are kv.c's. */

static int32_t aios__seq_ok(const aios_context *c, int32_t seq) {
    return c && seq >= 0 && seq < c->plan.n_seq;
}
static aios_status aios__seq_fail(const aios_context *c, int32_t seq, aios_error *err) {
    if (!c) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the context is NULL");
    return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)c->plan.n_seq, (uint64_t)seq,
                       "there is no sequence %: the plan has %", aios__i(seq),
                       aios__i(c->plan.n_seq));
}
AIOS_API int32_t aios_seq_length(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].n_fed : 0;
}
AIOS_API int32_t aios_seq_processed(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].n_done : 0;
}
AIOS_API const int32_t *aios_seq_tokens(const aios_context *c, int32_t seq) {
    return aios__seq_ok(c, seq) ? c->seq[seq].token : NULL;
}
AIOS_API aios_status aios_seq_truncate(aios_context *c, int32_t seq, int32_t n, aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios__sequence *q = &c->seq[seq];
    if (n < 0 || n > q->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)q->n_fed, (uint64_t)n,
                           "cannot cut a sequence of % to %", aios__i(q->n_fed), aios__i(n));
    if (n == 0)
        aios__spill_forget(c, seq);
    else if (q->n_done > n && (st = aios__spill_whole(c, seq, 0, err)) != 0)
        return st;
    /* only a pass that works on what goes is dropped */
    if (aios__in_pass(c, seq, n)) aios__pass_drop(c);
    q->n_fed = n;
    if (q->n_done >= n && !c->kv.seq[seq].n_spilled && !aios__in_pass(c, seq, 0))
        aios__seq_cut(c, seq, n);
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_fork(aios_context *c, int32_t dst, int32_t src, int32_t n,
                                   aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, src)) return aios__seq_fail(c, src, err);
    if (!aios__seq_ok(c, dst)) return aios__seq_fail(c, dst, err);
    aios__sequence *s = &c->seq[src];
    aios__sequence *d = &c->seq[dst];
    if (n < 0 || n > s->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)s->n_fed, (uint64_t)n,
                           "cannot fork % tokens of a sequence of %", aios__i(n),
                           aios__i(s->n_fed));
    if (d->n_fed)
        return aios__fail2(
            err, AIOS_ERR_STATE, AIOS__NO_OFF, 0, (uint64_t)d->n_fed,
            "sequence % has % tokens: cut it to none before something is forked into it",
            aios__i(dst), aios__i(d->n_fed));
    if ((st = aios__spill_whole(c, src, 0, err)) != 0) return st;
    memcpy(d->token, s->token, (size_t)n * 4);
    memcpy(d->want, s->want, (size_t)n);
    d->n_fed = n;
    d->used = s->used;
    int32_t done = s->n_done < n ? s->n_done : n;
    aios__seq_resume(c, dst, aios__kv_fork(&c->kv, dst, src, aios__kv_end(&c->kv.seq[src], done)),
                     done);
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_pin(aios_context *c, int32_t seq, int32_t on, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    c->seq[seq].pinned = on != 0;
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_fetch(aios_context *c, int32_t seq, uint64_t deadline_ns,
                                    aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios_status st = aios__spill_whole(c, seq, deadline_ns, err);
    /* what came back is not the first to go again */
    if (st == AIOS_OK || st == AIOS_MORE) c->seq[seq].used = c->n_passed;
    return st;
}
AIOS_API int32_t aios_seq_find(const aios_context *c, const int32_t *ids, uint64_t n,
                               int32_t *n_same) {
    int32_t i, best = -1, most = 0;
    for (int32_t s = 0; c && ids && s < c->plan.n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        for (i = 0; i < q->n_done && (uint64_t)i < n && q->token[i] == ids[i]; i++) {}
        /* one that tokens were taken out of knows more than it shows */
        if (aios__kv_whole(&c->kv.seq[s]) && i > most) {
            most = i;
            best = s;
        }
    }
    if (n_same) *n_same = most;
    return best;
}
AIOS_API aios_status aios_seq_remove(aios_context *c, int32_t seq, int32_t from, int32_t to,
                                     aios_error *err) {
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    aios__sequence *q = &c->seq[seq];
    if (from < 0 || from > to || to > q->n_fed)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)q->n_fed, (uint64_t)to,
                           "cannot take tokens % to % out of a sequence", aios__i(from),
                           aios__i(to));
    if (from == to) return AIOS_OK;
    if ((st = aios__spill_whole(c, seq, 0, err)) != 0) return st;
    if (aios__in_pass(c, seq, 0)) aios__pass_drop(c);
    if (to < q->n_done) {
        if (c->model->role[AIOS__ROLE_POS_EMBD].w >= 0)
            return aios__fail(
                err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                "this family has learned positions: what follows tokens that are taken out "
                "cannot move down");
        if (!aios__kv_remove(&c->kv, seq, from, to))
            return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                               "a sequence can be in % pieces at the most",
                               aios__i(AIOS__MAX_SPANS));
        q->n_done -= to - from;
    } else if (from < q->n_done)
        aios__seq_cut(c, seq, from);
    int32_t n = q->n_fed - to;
    memmove(q->token + from, q->token + to, (size_t)n * 4);
    memmove(q->want + from, q->want + to, (size_t)n);
    q->n_fed -= to - from;
    return AIOS_OK;
}
AIOS_API aios_status aios_cache_get_info(const aios_context *c, aios_cache_info *out) {
    aios_cache_info x;
    if (!c) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            const aios__pages *p = &c->kv.pool[g][f];
            x.n_pages += (uint32_t)p->n;
            x.n_free += (uint32_t)p->n_free;
            x.bytes += (uint64_t)p->n * p->bytes;
            x.free_bytes += (uint64_t)p->n_free * p->bytes;
            for (int32_t i = 0; i < p->n; i++)
                if (p->refs[i] > 1) {
                    x.n_shared++;
                    x.saved_bytes += (uint64_t)(p->refs[i] - 1) * p->bytes;
                }
        }
    for (int32_t i = 0; i < c->plan.n_seq; i++) x.n_spilled += (uint32_t)c->kv.seq[i].n_spilled;
    for (int32_t i = 0; i < c->plan.n_seq; i++)
        for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
            x.n_spare += (uint32_t)c->kv.seq[i].n_spares[g];
    return aios__desc_fill(AIOS__ID_aios_cache_info, out, &x);
}
