/* pass.c: which tokens go through the program together, and what becomes of them: gathers
 * waiting tokens, finishes a pass or drops it, and steps from pass to pass until the deadline. */

/* Which sequences have a part in the next pass: all that wait, or as many as it has places,
 * those that were left out first. Gives how many. */
static int32_t aios__pass_choose(aios_context *c) {
    int32_t i, s, n = 0,
                  most = c->plan.n_batch < c->plan.n_outputs ? c->plan.n_batch : c->plan.n_outputs;
    for (s = 0; s < c->plan.n_seq; s++)
        n += c->seq[s].its_turn = c->seq[s].n_done < c->seq[s].n_fed && !c->kv.seq[s].n_spilled;
    if (n <= most) return n;
    for (i = n = 0, s = c->next_turn; i < c->plan.n_seq;
         i++, s = s + 1 < c->plan.n_seq ? s + 1 : 0) {
        if (!c->seq[s].its_turn) continue;
        if (n == most)
            c->seq[s].its_turn = 0;
        else if (++n == most)
            c->next_turn = s + 1 < c->plan.n_seq ? s + 1 : 0;
    }
    return n;
}
/* How many waiting tokens of sequence s go into the pass, of which `later` more sequences are to
 * have a part: each has a place. */
static int32_t aios__pass_room(aios_context *c, int32_t s, int32_t later) {
    const aios__sequence *q = &c->seq[s];
    int32_t n = c->pass.n, cell = aios__kv_cell(&c->kv.seq[s], q->n_done);
    int32_t most = c->plan.n_batch - later > n ? c->plan.n_batch - later : n + 1;
    if (most > c->plan.n_batch) most = c->plan.n_batch;
    int32_t room = most - n < q->n_fed - q->n_done ? most - n : q->n_fed - q->n_done;
    if (room > aios__kv_stride(&c->kv, cell)) room = aios__kv_stride(&c->kv, cell);
    /* down to the end of the tile before, or but one */
    while (room > 0 && !aios__kv_fits(&c->kv, s, cell, cell + room)) {
        int32_t over = (cell + room) % AIOSK_TILE;
        /* a tile's last token may be the one for whose sealing there is no room */
        room -= over ? over : 1;
    }
    return room;
}
/* Puts n waiting tokens of sequence s into the pass, or fewer when the output rows are full. */
static void aios__pass_add(aios_context *c, int32_t s, int32_t n) {
    aios__pass *p = &c->pass;
    const aios__sequence *q = &c->seq[s];
    int32_t per_block = aios__attend_tokens(&c->model->hp), in_block = 0;
    int32_t first = aios__kv_cell(&c->kv.seq[s], q->n_done), cell = first;
    for (int32_t i = q->n_done; n > 0; n--, i++, cell++) {
        if (q->want[i] && p->n_out == c->plan.n_outputs) break;
        if (in_block == 0 || cell % AIOSK_TILE == 0) {
            p->block[p->n_blocks++] = p->n;
            in_block = 0;
        }
        in_block = (in_block + 1) % per_block;
        if (q->want[i]) p->out[p->n_out++] = p->n;
        p->id[p->n] = q->token[i];
        p->seq[p->n] = s;
        p->pos[p->n] = i;
        p->cell[p->n] = cell;
        p->turn[p->n] = i + aios__kv_off(&c->kv.seq[s]);
        p->n++;
    }
    if (cell > first) aios__kv_grow(&c->kv, s, first, cell);
}
/* The most runs of the cache that a block of the pass sees: without a window, and with it. */
static void aios__pass_count_runs(aios_context *c) {
    aios__pass *p = &c->pass;
    for (int32_t w = 0; w < 2; w++) {
        p->n_runs[w] = 1;
        for (int32_t i = 0; i < p->n_blocks; i++) {
            int32_t t0 = p->block[i], sinks, from;
            int32_t n = aios__attend_seen(&c->kv, w ? c->model->hp.window : 0, p->seq[t0],
                                          p->pos[t0], p->cell[t0], &sinks, &from);
            if (n > p->n_runs[w]) p->n_runs[w] = n;
        }
    }
}
/* Gathers waiting tokens: sequences in ascending order, until the batch or the output rows are
 * full, but so that each that waits gets at least one token in if there is room: a long prompt
 * does not hold up its neighbours. One whose tokens find no room in the cache gets as many in as
 * do. */
static void aios__pass_gather(aios_context *c) {
    aios__pass *p = &c->pass;
    int32_t later = aios__pass_choose(c);
    p->n = p->n_out = p->n_blocks = 0;
    for (int32_t s = 0; s < c->plan.n_seq; s++)
        if (c->seq[s].its_turn) aios__pass_add(c, s, aios__pass_room(c, s, --later));
    p->block[p->n_blocks] = p->n;
    aios__pass_count_runs(c);
}
/* Tokens that are not in the pass: the next one will want their rows. */
static void aios__soon(aios_context *c) {
    aios__rows *r = &c->exec.rows;
    int32_t i, k = 0;
    r->n_soon = 0;
    for (int32_t s = 0; r->n_slots && s < c->plan.n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        for (i = q->n_done; c->running && k < c->pass.n && c->pass.seq[k] == s; k++)
            i = c->pass.pos[k] + 1;
        for (; i < q->n_fed && r->n_soon < r->n_slots; i++) r->soon[r->n_soon++] = q->token[i];
    }
}
static void aios__pass_finish(aios_context *c) {
    const aios__pass *p = &c->pass;

    for (uint32_t i = 0; i < (uint32_t)p->n; i++) {
        c->seq[p->seq[i]].used = c->n_passed;
        c->seq[p->seq[i]].n_done = p->pos[i] + 1;
        if (i + 1 == (uint32_t)p->n || p->seq[i + 1] != p->seq[i])
            aios__kv_done(&c->kv, p->seq[i], p->cell[i] + 1);
    }
    aios__kv_settle(&c->kv);
    for (uint32_t i = 0; i < c->prog.n_ops; i++) {
        const aios__op *o = &c->prog.op[i];
        int32_t n = aios__op_rows(o, &c->exec.run);
        if (o->kind->read)
            o->kind->read(o, &c->exec.run, &c->count);
        else if (n)
            aios__count_read(&c->count, AIOS_TIER_HOT, o->w_bytes);
        c->count.act_bytes += o->act_bytes * (uint64_t)n;
    }
    for (int32_t w = 0; w < c->plan.n_threads; w++) {
        c->count.kv_bytes += c->exec.run.kv_read[w * 8];
        c->exec.run.kv_read[w * 8] = 0;
    }
    c->count.n_tokens += (uint64_t)p->n;
    c->count.n_passes++;
    c->n_passed++;
    c->n_out_ready = p->n_out;
    c->running = 0;
}
static int32_t aios__waiting(const aios_context *c) {
    for (int32_t s = 0; s < c->plan.n_seq; s++)
        if (c->seq[s].n_done < c->seq[s].n_fed) return 1;
    return 0;
}
/* A sequence of which the cells before `cell` are left, n positions at the most, goes on from
 * there. */
static void aios__seq_resume(aios_context *c, int32_t s, int32_t cell, int32_t n) {
    int32_t at = aios__kv_pos(&c->kv.seq[s], cell);
    if (at > n) at = n;
    c->seq[s].n_done = at;
    /* goes through the model again, for the cache alone */
    for (; at < n; at++) c->seq[s].want[at] = 0;
}
/* The first n positions of a sequence stay in the cache, or as many as one can go on from. */
static void aios__seq_cut(aios_context *c, int32_t s, int32_t n) {
    aios__seq_resume(c, s, aios__kv_cut(&c->kv, s, aios__kv_end(&c->kv.seq[s], n)), n);
}
/* Drops a pass that is under way; the sequences stand as before it. */
static void aios__pass_drop(aios_context *c) {
    const aios__pass *p = &c->pass;
    c->running = 0;
    for (int32_t w = 0; w < c->plan.n_threads; w++) c->exec.run.kv_read[w * 8] = 0;
    aios__kv_undo(&c->kv);
    for (int32_t i = 0; i < p->n; i++)
        if (i == 0 || p->seq[i] != p->seq[i - 1]) {
            aios__kv_unread(&c->kv, p->seq[i]);
            aios__seq_cut(c, p->seq[i], c->seq[p->seq[i]].n_done);
        }
}

static aios_status aios__cancelled(aios_context *c, aios_error *err) {
    if (c->running) aios__pass_drop(c);
    aios__store(&c->exec.cancel, 0);
    return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF, "the step was cancelled");
}
/* What the current phase waits for cannot be read. Nothing more is asked for until the next
 * step, which begins anew. */
static aios_status aios__unread(aios_context *c, aios_error *err) {
    aios__stream *s = &c->exec.stream;
    aios__crew_lock(&s->crew);
    aios__slot slot = *s->bad;
    s->hold = 1;
    aios__crew_unlock(&s->crew);
    aios__pass_drop(c);
    aios__fail2(err, AIOS_ERR_IO, slot.off + slot.done, slot.want - slot.done, (uint64_t)slot.got,
                slot.got < 0 ? "reading % bytes of weights failed: the reader returned %"
                             : "% bytes of weights to read, but the reader returned %",
                aios__u(slot.want - slot.done), aios__i(slot.got));
    return AIOS_ERR_IO;
}
static aios_status aios__step(aios_context *c, uint64_t deadline, aios_error *err) {
    if (aios__load(&c->exec.cancel)) return aios__cancelled(c, err);
    if (!c->running) c->n_out_ready = 0;
    while (c->running || aios__waiting(c)) {
        if (!c->running) {
            aios_status st = aios__spill_prepare(c, deadline, err);
            if (st) return st;
            aios__pass_gather(c);
            if (!c->pass.n)
                return aios__fail1(
                    err, AIOS_ERR_FULL, AIOS__NO_OFF,
                    "the cache has no room for any waiting token: pages of the kind they need "
                    "are taken, of % in all",
                    aios__i(aios__kv_pages(&c->kv)));
            aios__stream_start(&c->exec.stream);
            c->running = 1;
            aios__soon(c);
            aios__phase_enter(&c->exec, 0);
        }
        if (!aios__exec_run(&c->exec, deadline)) {
            if (aios__load(&c->exec.cancel)) return aios__cancelled(c, err);
            return c->exec.failed ? aios__unread(c, err) : AIOS_MORE;
        }
        aios__pass_finish(c);
        if (c->n_out_ready || aios__time_up(&c->exec, deadline))
            return aios__waiting(c) ? AIOS_MORE : AIOS_OK;
    }
    return AIOS_OK;
}
