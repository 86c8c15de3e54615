/* spill.c: pages of sequences that wait for nothing go to the host when others need the room,
 * and come back before their sequence goes on. Which ones go follows from the order of steps
 * alone; bits do not depend on it. A page that several tables name stays. */

enum { AIOS__SPILLED = -2 }; /* entry of a table whose page is with the host */

static uint64_t aios__spill_key(int32_t g, int32_t f, int32_t seq, int32_t t) {
    return (uint64_t)(g * AIOS__N_FORMS + f) << 56 | (uint64_t)(uint32_t)seq << 28 |
           (uint64_t)(uint32_t)t;
}

/* Takes a page of pool (g, f) from the sequence that has been idle longest; any: or, when none
 * is idle, from one that waits. 1, 0 when there is none to take, or an error. */
static int32_t aios__spill_one(aios_context *c, int32_t g, int32_t f, int32_t any,
                               aios_error *err) {
    aios__kv *kv = &c->kv;
    aios__pages *p = &kv->pool[g][f];
    int32_t s, t, victim = -1, at = -1, waits, *row;
    if (!c->spill.put || (!any && c->no_idle[g][f])) return 0;
    for (waits = 0; victim < 0 && waits <= any; waits++)
        for (s = 0; s < kv->n_seq; s++) {
            if ((c->seq[s].n_done < c->seq[s].n_fed) != waits || c->seq[s].pinned ||
                c->seq[s].held || aios__in_pass(c, s, 0) ||
                (victim >= 0 && c->seq[s].used >= c->seq[victim].used))
                continue;
            row = aios__kv_row(kv, g, f, s);
            for (t = 0; t < kv->seq[s].top && !(row[t] >= 0 && p->refs[row[t]] == 1); t++) {}
            if (t < kv->seq[s].top) {
                victim = s;
                at = t;
            }
        }
    c->no_idle[g][f] = victim < 0 || waits > 1;
    if (victim < 0) return 0;
    row = aios__kv_row(kv, g, f, victim) + at;
    if (c->spill.put(c->spill.user, aios__spill_key(g, f, victim, at),
                     p->base + (uint64_t)*row * p->bytes, p->bytes))
        return aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, p->bytes, 0,
                           "the host did not take a page of % bytes of sequence %",
                           aios__u(p->bytes), aios__i(victim));
    kv->seq[victim].n_spares[g] -= f == AIOS__KV_OPEN && aios__kv_spare(kv, g, victim, at);
    aios__page_drop(kv, g, f, row);
    *row = AIOS__SPILLED;
    kv->seq[victim].n_spilled++;
    c->count.n_spilled++;
    c->count.spill_bytes += p->bytes;
    return 1;
}
/* Is a page free in the pool, or a spare one? */
static int32_t aios__spill_room(const aios_context *c, int32_t g, int32_t f) {
    int32_t s;
    if (c->kv.pool[g][f].n_free) return 1;
    for (s = 0; f == AIOS__KV_OPEN && s < c->kv.n_seq; s++)
        if (c->kv.seq[s].n_spares[g]) return 1;
    return 0;
}
static int32_t aios__spill_fetch(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                 int32_t *done, aios_error *err) {
    aios__kv *kv = &c->kv;
    int32_t g, f, t, r;
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++) {
            aios__pages *p = &kv->pool[g][f];
            int32_t *row = aios__kv_row(kv, g, f, seq);
            for (t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                for (;;) {
                    if (*done && aios__time_up(&c->exec, deadline)) return AIOS_MORE + 1;
                    if (aios__spill_room(c, g, f)) break;
                    if ((r = aios__spill_one(c, g, f, any, err)) != 1) return r;
                    *done = 1;
                }
                aios__page_take(kv, g, f, &row[t]);
                if (c->spill.get(c->spill.user, aios__spill_key(g, f, seq, t),
                                 p->base + (uint64_t)row[t] * p->bytes, p->bytes)) {
                    aios__page_drop(kv, g, f, &row[t]);
                    row[t] = AIOS__SPILLED;
                    return aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, p->bytes, 0,
                                       "the host did not give back a page of % bytes of sequence %",
                                       aios__u(p->bytes), aios__i(seq));
                }
                *done = 1;
                kv->seq[seq].n_spilled--;
                c->count.n_fetched++;
                c->count.fetch_bytes += p->bytes;
            }
        }
    return 1;
}
/* Brings back what was spilled of a sequence, page by page. 1 when all is there; 0 when there is
 * no room, AIOS_MORE + 1 when time is up first, but not before something is done. */
static int32_t aios__spill_bring(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                 int32_t *done, aios_error *err) {
    int32_t r;
    c->seq[seq].held++; /* room is made at the cost of others */
    r = aios__spill_fetch(c, seq, any, deadline, done, err);
    c->seq[seq].held--;
    return r;
}
/* For verbs that work on a whole sequence. */
static aios_status aios__spill_whole(aios_context *c, int32_t seq, uint64_t deadline,
                                     aios_error *err) {
    int32_t done = 0, r;
    memset(c->no_idle, 0, sizeof c->no_idle);
    r = c->kv.seq[seq].n_spilled ? aios__spill_bring(c, seq, 0, deadline, &done, err) : 1;
    return r > 1    ? AIOS_MORE
           : r == 1 ? AIOS_OK
           : r == 0 ? aios__fail1(err, AIOS_ERR_FULL, AIOS__NO_OFF,
                                  "the cache has no room to bring sequence % back", aios__i(seq))
                    : r;
}
/* A sequence that is given up: the host need not keep its pages. */
static void aios__spill_forget(aios_context *c, int32_t seq) {
    aios__kv *kv = &c->kv;
    int32_t g, f, t;
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *row = aios__kv_row(kv, g, f, seq);
            for (t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                row[t] = AIOS__NO_PAGE;
                kv->seq[seq].n_spilled--;
                if (c->spill.drop) c->spill.drop(c->spill.user, aios__spill_key(g, f, seq, t));
            }
        }
}
/* Brings a waiting sequence back and makes room for its tokens. 1 when some of them have room, 0
 * when none has, AIOS_MORE + 1 when time is up (something has been done), or an error. */
static int32_t aios__spill_ready(aios_context *c, int32_t s, int32_t any, uint64_t deadline,
                                 int32_t *done, aios_error *err) {
    aios__sequence *q = &c->seq[s];
    int32_t cell, g, f, r, n = q->n_fed - q->n_done;
    if ((r = aios__spill_bring(c, s, any, deadline, done, err)) != 1) return r;
    if (n > c->plan.n_batch) n = c->plan.n_batch;
    cell = aios__kv_cell(&c->kv.seq[s], q->n_done);
    q->held++;
    for (r = 1, g = f = 0; r == 1 && !aios__kv_room(&c->kv, s, cell, cell + n, &g, &f);) {
        if (*done && aios__time_up(&c->exec, deadline))
            r = AIOS_MORE + 1;
        else if ((r = aios__spill_one(c, g, f, any, err)) == 1)
            *done = 1;
        /* this pool stays short: the next one */
        else if (r == 0) {
            r = 1;
            f++;
        }
    }
    q->held--;
    return r == 1 ? aios__kv_fits(&c->kv, s, cell, cell + 1) : r;
}
/* Before a pass: what the waiting sequences have spilled comes back, and room is made for their
 * tokens. AIOS_OK, AIOS_MORE when time is up (something has been done), or an error; a sequence
 * for which there is no room stays as it is. When all of them wait for each other's room, the
 * one that has been idle longest gets it; when time is up before it has all, it is the first in
 * the next step, before that room goes to others again. */
static aios_status aios__spill_prepare(aios_context *c, uint64_t deadline, aios_error *err) {
    int32_t s, r, next = c->rescued - 1, last = -1, done = 0, ready = 0;
    if (!c->spill.put) return AIOS_OK;
    memset(c->no_idle, 0, sizeof c->no_idle);
    c->rescued = 0;
    if (next >= 0 && c->seq[next].n_done < c->seq[next].n_fed) {
        if ((r = aios__spill_ready(c, next, 1, deadline, &done, err)) < 0) return r;
        if (r == 1 && !(done && aios__time_up(&c->exec, deadline))) return AIOS_OK;
        if (r) {
            c->rescued = next + 1;
            return AIOS_MORE;
        }
        last = next;
    }
    for (s = 0; s < c->plan.n_seq; s++) {
        if (c->seq[s].n_done == c->seq[s].n_fed) continue;
        if ((r = aios__spill_ready(c, s, 0, deadline, &done, err)) < 0) return r;
        if (r > 1) return AIOS_MORE;
    }
    /* looked at now: what comes back takes room as well */
    for (s = 0; s < c->plan.n_seq && !ready; s++) {
        int32_t cell = aios__kv_cell(&c->kv.seq[s], c->seq[s].n_done);
        ready = c->seq[s].n_done < c->seq[s].n_fed && !c->kv.seq[s].n_spilled &&
                aios__kv_fits(&c->kv, s, cell, cell + 1);
    }
    while (!ready) {
        for (next = -1, s = 0; s < c->plan.n_seq; s++) { /* by (used, s) */
            const aios__sequence *q = c->seq;
            if (q[s].n_done == q[s].n_fed ||
                (last >= 0 &&
                 (q[s].used < q[last].used || (q[s].used == q[last].used && s <= last))))
                continue;
            if (next < 0 || q[s].used < q[next].used) next = s;
        }
        if (next < 0) break;
        if ((r = aios__spill_ready(c, next, 1, deadline, &done, err)) < 0) return r;
        if (r) c->rescued = next + 1;
        if (r > 1) return AIOS_MORE;
        ready = r;
        last = next;
    }
    if (ready && done && aios__time_up(&c->exec, deadline)) return AIOS_MORE;
    c->rescued = 0;
    return AIOS_OK;
}
