/* spill.c: pages of sequences that wait for nothing go to the host when others need the room,
 * and come back before their sequence goes on. Which ones go follows from the order of steps
 * alone; bits do not depend on it. A page that several tables name stays. */

enum { AIOS__SPILLED = -2 }; /* entry of a table whose page is with the host */

static uint64_t aios__spill_key(int32_t g, int32_t f, int32_t seq, int32_t t) {
    return (uint64_t)(g * AIOS__N_FORMS + f) << 56 | (uint64_t)(uint32_t)seq << 28 |
           (uint64_t)(uint32_t)t;
}

/* The sequence that has been idle longest, or, with waits, that waits since the longest time, of
 * those that have a page of pool (g, f) to give: tile *at. -1: none has. */
static int32_t aios__spill_victim(const aios_context *c, int32_t g, int32_t f, int32_t waits,
                                  int32_t *at) {
    const aios__kv *kv = &c->kv;
    const aios__pages *p = &kv->pool[g][f];
    int32_t victim = -1;
    for (int32_t s = 0; s < kv->n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        if ((q->n_done < q->n_fed) != waits || q->pinned || q->held || aios__in_pass(c, s, 0) ||
            (victim >= 0 && q->used >= c->seq[victim].used))
            continue;
        const int32_t *row = aios__kv_row(kv, g, f, s);
        int32_t t = 0;
        while (t < kv->seq[s].top && !(row[t] >= 0 && p->refs[row[t]] == 1)) t++;
        if (t == kv->seq[s].top) continue;
        victim = s;
        *at = t;
    }
    return victim;
}
/* Takes a page of pool (g, f) from the sequence that has been idle longest; any: or, when none
 * is idle, from one that waits. *took: there was one to take. */
static aios_status aios__spill_one(aios_context *c, int32_t g, int32_t f, int32_t any,
                                   int32_t *took, aios_error *err) {
    *took = 0;
    if (!c->spill.put || (!any && c->no_idle[g][f])) return AIOS_OK;
    int32_t at = -1, victim = aios__spill_victim(c, g, f, 0, &at);
    c->no_idle[g][f] = victim < 0;
    if (victim < 0 && any) victim = aios__spill_victim(c, g, f, 1, &at);
    if (victim < 0) return AIOS_OK;
    aios__kv *kv = &c->kv;
    aios__pages *p = &kv->pool[g][f];
    int32_t *row = aios__kv_row(kv, g, f, victim) + at;
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
    *took = 1;
    return AIOS_OK;
}
/* Is a page free in the pool, or a spare one? */
static int32_t aios__spill_room(const aios_context *c, int32_t g, int32_t f) {
    if (c->kv.pool[g][f].n_free) return 1;
    for (int32_t s = 0; f == AIOS__KV_OPEN && s < c->kv.n_seq; s++)
        if (c->kv.seq[s].n_spares[g]) return 1;
    return 0;
}
/* Takes a page, which must be free, for tile t and fills it with what the host has. */
static aios_status aios__spill_get(aios_context *c, int32_t g, int32_t f, int32_t seq, int32_t t,
                                   aios_error *err) {
    aios__kv *kv = &c->kv;
    aios__pages *p = &kv->pool[g][f];
    int32_t *row = aios__kv_row(kv, g, f, seq) + t;
    aios__page_take(kv, g, f, row);
    if (c->spill.get(c->spill.user, aios__spill_key(g, f, seq, t),
                     p->base + (uint64_t)*row * p->bytes, p->bytes)) {
        aios__page_drop(kv, g, f, row);
        *row = AIOS__SPILLED;
        return aios__fail2(err, AIOS_ERR_IO, AIOS__NO_OFF, p->bytes, 0,
                           "the host did not give back a page of % bytes of sequence %",
                           aios__u(p->bytes), aios__i(seq));
    }
    kv->seq[seq].n_spilled--;
    c->count.n_fetched++;
    c->count.fetch_bytes += p->bytes;
    return AIOS_OK;
}
static aios_status aios__spill_fetch(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    const aios__kv *kv = &c->kv;
    *room = 1;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            const int32_t *row = aios__kv_row(kv, g, f, seq);
            for (int32_t t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                aios_status st;
                for (;;) {
                    if (*done && aios__time_up(&c->exec, deadline)) return AIOS_MORE;
                    if (aios__spill_room(c, g, f)) break;
                    st = aios__spill_one(c, g, f, any, room, err);
                    if (st || !*room) return st;
                    *done = 1;
                }
                st = aios__spill_get(c, g, f, seq, t, err);
                if (st) return st;
                *done = 1;
            }
        }
    return AIOS_OK;
}
/* Brings back what was spilled of a sequence, page by page. *room: there was room for all of it.
 * AIOS_MORE when time is up first, but not before something is done (*done). */
static aios_status aios__spill_bring(aios_context *c, int32_t seq, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    c->seq[seq].held++; /* room is made at the cost of others */
    aios_status st = aios__spill_fetch(c, seq, any, deadline, done, room, err);
    c->seq[seq].held--;
    return st;
}
/* For verbs that work on a whole sequence. */
static aios_status aios__spill_whole(aios_context *c, int32_t seq, uint64_t deadline,
                                     aios_error *err) {
    memset(c->no_idle, 0, sizeof c->no_idle);
    if (!c->kv.seq[seq].n_spilled) return AIOS_OK;
    int32_t done = 0, room;
    aios_status st = aios__spill_bring(c, seq, 0, deadline, &done, &room, err);
    return st || room ? st
                      : aios__fail1(err, AIOS_ERR_FULL, AIOS__NO_OFF,
                                    "the cache has no room to bring sequence % back", aios__i(seq));
}
/* A sequence that is given up: the host need not keep its pages. */
static void aios__spill_forget(aios_context *c, int32_t seq) {
    aios__kv *kv = &c->kv;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *row = aios__kv_row(kv, g, f, seq);
            for (int32_t t = 0; row && kv->seq[seq].n_spilled && t < kv->seq[seq].top; t++) {
                if (row[t] != AIOS__SPILLED) continue;
                row[t] = AIOS__NO_PAGE;
                kv->seq[seq].n_spilled--;
                if (c->spill.drop) c->spill.drop(c->spill.user, aios__spill_key(g, f, seq, t));
            }
        }
}
/* Brings a waiting sequence back and makes room for its tokens. *room: some of them have it.
 * AIOS_MORE when time is up (something has been done). */
static aios_status aios__spill_ready(aios_context *c, int32_t s, int32_t any, uint64_t deadline,
                                     int32_t *done, int32_t *room, aios_error *err) {
    aios_status st = aios__spill_bring(c, s, any, deadline, done, room, err);
    if (st || !*room) return st;
    aios__sequence *q = &c->seq[s];
    int32_t cell = aios__kv_cell(&c->kv.seq[s], q->n_done), n = q->n_fed - q->n_done, g = 0, f = 0;
    if (n > c->plan.n_batch) n = c->plan.n_batch;
    q->held++;
    while (!st && !aios__kv_room(&c->kv, s, cell, cell + n, &g, &f)) {
        int32_t took = 0;
        if (*done && aios__time_up(&c->exec, deadline))
            st = AIOS_MORE;
        else
            st = aios__spill_one(c, g, f, any, &took, err);
        *done |= took;
        if (!st && !took) f++; /* this pool stays short: the next one */
    }
    q->held--;
    *room = aios__kv_fits(&c->kv, s, cell, cell + 1);
    return st;
}
/* Can a waiting sequence go on as things are? */
static int32_t aios__spill_can_go_on(aios_context *c) {
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        int32_t cell = aios__kv_cell(&c->kv.seq[s], c->seq[s].n_done);
        if (c->seq[s].n_done < c->seq[s].n_fed && !c->kv.seq[s].n_spilled &&
            aios__kv_fits(&c->kv, s, cell, cell + 1))
            return 1;
    }
    return 0;
}
/* The waiting sequence that comes after `last` in the order of (used, s); the first one after -1.
 * -1: there is none. */
static int32_t aios__spill_next(const aios_context *c, int32_t last) {
    const aios__sequence *q = c->seq;
    int32_t next = -1;
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        if (q[s].n_done == q[s].n_fed ||
            (last >= 0 && (q[s].used < q[last].used || (q[s].used == q[last].used && s <= last))))
            continue;
        if (next < 0 || q[s].used < q[next].used) next = s;
    }
    return next;
}
/* Before a pass: what the waiting sequences have spilled comes back, and room is made for their
 * tokens. AIOS_OK, AIOS_MORE when time is up (something has been done), or an error; a sequence
 * for which there is no room stays as it is. When all of them wait for each other's room, the
 * one that has been idle longest gets it; when time is up before it has all, it is the first in
 * the next step, before that room goes to others again. */
static aios_status aios__spill_prepare(aios_context *c, uint64_t deadline, aios_error *err) {
    if (!c->spill.put) return AIOS_OK;
    memset(c->no_idle, 0, sizeof c->no_idle);
    aios_status st;
    int32_t next = c->rescued - 1, last = -1, done = 0, room = 0;
    c->rescued = 0;
    if (next >= 0 && c->seq[next].n_done < c->seq[next].n_fed) {
        st = aios__spill_ready(c, next, 1, deadline, &done, &room, err);
        if (st < 0) return st;
        if (!st && room && !(done && aios__time_up(&c->exec, deadline))) return AIOS_OK;
        if (st || room) {
            c->rescued = next + 1;
            return AIOS_MORE;
        }
        last = next;
    }
    for (int32_t s = 0; s < c->plan.n_seq; s++) {
        if (c->seq[s].n_done == c->seq[s].n_fed) continue;
        st = aios__spill_ready(c, s, 0, deadline, &done, &room, err);
        if (st) return st;
    }
    /* looked at now: what comes back takes room as well */
    int32_t ready = aios__spill_can_go_on(c);
    while (!ready && (next = aios__spill_next(c, last)) >= 0) {
        st = aios__spill_ready(c, next, 1, deadline, &done, &room, err);
        if (st < 0) return st;
        if (st || room) c->rescued = next + 1;
        if (st) return st;
        ready = room;
        last = next;
    }
    if (ready && done && aios__time_up(&c->exec, deadline)) return AIOS_MORE;
    c->rescued = 0;
    return AIOS_OK;
}
