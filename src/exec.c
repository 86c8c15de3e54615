/* exec.c: runs the program over one pass: phase by phase, task by task, until done or until the deadline. The position
 * (phase, round, next task of every share) is all the state there is: a run that was stopped goes on where it was. Each worker
 * has its share of a phase, tasks that follow each other in memory, and helps with the others' when it is through: which worker
 * runs what is left to chance, and no result depends on it. */

typedef struct aios__sequence {
    int32_t *token;                     /* [n_ctx]                                                          */
    uint8_t *want;                      /* [n_ctx] 1 = keep the logits after this token                     */
    int32_t n_fed, n_done;              /* tokens given, and those in the cache                             */
} aios__sequence;

typedef struct aios__share { int32_t next, end; char apart[56]; } aios__share;      /* tasks next..end-1 are to be taken */

struct aios_context {
    aios_allocator mem;
    aios_mem_req req[AIOS_N_MEM];       /* by kind; WEIGHTS: the ring of what is streamed                   */
    void *block[AIOS_N_MEM];
    aios_model *model;
    aios_plan plan;
    aios_context_desc desc;
    const aiosk_isa *k;
    aios__kv kv;
    aios__pass pass;
    aios__build prog;
    aios__run run;
    aios__sequence *seq;                /* [n_seq]                                                          */
    void *sample_work;
    aios__pool pool;
    aios__stream stream;
    aios__cache cache;                  /* of experts that are not resident                                 */
    aios_counters count;
    /* where the run stands */
    int32_t running;                    /* a pass is under way                                              */
    int32_t n_out_ready;                /* rows of the last finished pass                                   */
    int32_t unready;                    /* the current round waits for its unit; 2: and had to              */
    aios_status failed;                 /* why it will not come                                             */
    uint32_t op0, op1;                  /* ops of the current phase                                         */
    int32_t n_tasks;
    uint64_t deadline;                  /* 0 = none                                                         */
    uint64_t since;                     /* AIOS_CONTEXT_PROFILE: when the current phase began, or the step  */
    int32_t n_workers;                  /* that take part: 1..n_threads                                     */
    aios__share *share;                 /* [n_threads]                                                      */
    char apart0[64]; int32_t stop;      /* time is up, cancelled or interrupted                             */
    int32_t cancel, interrupt;          /* set from any thread                                              */
    int32_t halt;                       /* decided by the last worker at a barrier: all leave               */
    char apart1[64];
};

static uint64_t aios__now(const aios_context *c) { return c->desc.now_ns(c->desc.now_user); }
/* Does somebody want the step to return, whatever the time? */
static int32_t aios__stop_wanted(const aios_context *c) { return aios__load(&c->cancel) | aios__load(&c->interrupt); }
static int32_t aios__time_up(const aios_context *c, uint64_t deadline) { return deadline && aios__now(c) >= deadline; }

/* Deals the tasks of a phase, or of its next round, out to the workers. How many they are may change before the phase is done:
 * whoever is there takes what is left of any share. */
static void aios__deal(aios_context *c) {
    int32_t w, n = c->n_workers;
    for (w = 0; w < c->plan.n_threads; w++) {
        c->share[w].next = w < n ? (int32_t)((int64_t)c->n_tasks * w / n) : 0;          /* nobody works now */
        c->share[w].end = w < n ? (int32_t)((int64_t)c->n_tasks * (w + 1) / n) : 0;
    }
}
static int32_t aios__all_taken(const aios_context *c) {
    int32_t w;
    for (w = 0; w < c->plan.n_threads; w++) if (aios__load(&c->share[w].next) < c->share[w].end) return 0;
    return 1;
}
/* Counts the tasks of a round and deals them out. */
static void aios__round_deal(aios_context *c) {
    uint32_t op;
    c->n_tasks = 0;
    for (op = c->op0; op < c->op1; op++) c->n_tasks += aios__op_tasks(&c->prog.op[op], &c->run);
    aios__deal(c);
}
/* Begins a round of the current phase. One that awaits experts is dealt out when it is known which are there. */
static void aios__round_enter(aios_context *c, int32_t round) {
    uint32_t flags = c->prog.op[c->op0].flags;
    c->run.round = round;
    c->unready = (flags & (AIOS__STREAMED | AIOS__AWAIT)) != 0;
    if (flags & AIOS__AWAIT) c->n_tasks = 1;
    else aios__round_deal(c);
}
/* Makes the phase that starts at op the current one, passing over phases without tasks. */
static void aios__phase_enter(aios_context *c, uint32_t op) {
    const aios__build *p = &c->prog;
    for (;; op = c->op1) {
        c->op0 = op;
        if (op >= p->n_ops) return;
        c->op1 = op + 1;
        while (c->op1 < p->n_ops && p->op[c->op1].flags & AIOS__JOIN) c->op1++;
        aios__round_enter(c, 0);
        if (c->n_tasks) return;
        if (c->unready) { int32_t i; for (i = 0; i < p->op[op].n_units; i++) aios__stream_pass(&c->stream); }     /* nobody wants these rows now */
    }
}
/* Waits for the unit of the current round, or for experts, until it is there (1), or time is up, or it cannot be read. */
static int32_t aios__phase_ready(aios_context *c) {
    uint64_t t0 = 0, now, slice;
    int32_t r, experts = (c->prog.op[c->op0].flags & AIOS__AWAIT) != 0;
    if (!c->unready) return 1;
    if (c->stream.how == AIOS__READ_INLINE && c->unready == 1 && !experts) {        /* what the worker reads itself, it waits for */
        t0 = aios__now(c) | 1;
        c->count.n_stalls++;
        c->unready = 2;
    }
    for (;;) {
        now = aios__now(c);
        slice = c->deadline && c->deadline > now && c->deadline - now < 2000000 ? c->deadline - now : 2000000;     /* cancelling is heard within 2 ms */
        r = experts ? aios__cache_try(&c->cache, t0 ? slice : 0) : aios__stream_try(&c->stream, t0 ? slice : 0);
        if (r) break;
        if (!t0) {
            t0 = now ? now : 1;
            c->count.n_stalls += c->unready == 1;
            c->unready = 2;
        }
        if (aios__stop_wanted(c) || aios__time_up(c, c->deadline)) { aios__store(&c->stop, 1); break; }
    }
    if (t0) c->count.stall_ns += aios__now(c) - t0;
    if (r < 0) c->failed = r;
    if (r != 1) return 0;
    c->unready = 0;
    if (experts) { aios__round_deal(c); return 1; }
    c->run.streamed = aios__stream_data(&c->stream);
    c->count.n_units++;
    return 1;
}
static int32_t aios__exec_done(const aios_context *c) { return c->op0 >= c->prog.n_ops; }

/* Takes tasks of the current phase until there are none or time is up. */
static void aios__phase_work(aios_context *c, int32_t worker) {
    int32_t i, w = worker;
    for (i = 0; i < c->plan.n_threads; i++, w = w + 1 < c->plan.n_threads ? w + 1 : 0) {
        aios__share *s = &c->share[w];
        while (aios__load(&s->next) < s->end && !aios__load(&c->stop)) {
            const aios__op *op = &c->prog.op[c->op0];
            int32_t t = aios__fetch_add(&s->next, 1), n;
            if (t >= s->end) break;
            while (t >= (n = aios__op_tasks(op, &c->run))) { t -= n; op++; }
            op->run(op, &c->run, t, worker);
            if (aios__stop_wanted(c) || aios__time_up(c, c->deadline)) aios__store(&c->stop, 1);
        }
    }
}
/* The time since the phase, or this step of it, began. */
static void aios__book(aios_context *c) {
    uint64_t now;
    if (!(c->desc.flags & AIOS_CONTEXT_PROFILE)) return;
    now = aios__now(c);
    if (now > c->since) c->prog.op[c->op0].busy_ns += now - c->since;
    c->since = now;
}
/* After all workers have left the phase: goes to the next round or phase if it is finished. A phase of one task is done
 * here and now: the others would wait for it all the same, and a barrier is saved. */
static void aios__phase_leave(aios_context *c, int32_t worker) {
    int32_t ready = 1;
    while (aios__all_taken(c)) {
        c->count.n_tasks += (uint64_t)c->n_tasks;
        aios__book(c);
        if (c->prog.op[c->op0].flags & AIOS__STREAMED) aios__stream_pass(&c->stream);
        if (c->run.round + 1 < aios__op_rounds(&c->prog.op[c->op0], &c->run)) aios__round_enter(c, c->run.round + 1);
        else if (c->prog.op[c->op0].flags & AIOS__AGAIN && aios__cache_next(&c->cache)) aios__phase_enter(c, c->op0 - (uint32_t)c->prog.op[c->op0].back);
        else aios__phase_enter(c, c->op1);
        if (aios__exec_done(c)) break;
        ready = aios__phase_ready(c);
        if (c->desc.flags & AIOS_CONTEXT_PROFILE) c->since = aios__now(c);      /* waiting is nobody's work */
        if (!ready || c->n_tasks > 1) break;
        aios__phase_work(c, worker);
    }
    if (!aios__exec_done(c)) aios__book(c);
    c->halt = aios__load(&c->stop) || aios__exec_done(c) || !ready;
}

/* One worker of our own pool: all that have joined walk through the phases together. */
static void aios__exec_walk(void *arg, int32_t worker) {
    aios_context *c = (aios_context *)arg;
    uint64_t fp = aiosk_fp_begin();
    int32_t gen, over = 0;
    while (!over) {
        aios__phase_work(c, worker);
        if (aios__barrier_arrive(&c->pool, &gen)) {
            aios__phase_leave(c, worker);
            over = c->halt;
            aios__barrier_release(&c->pool, over);      /* the step may be over for its caller from here on: c is not ours */
        } else over = aios__barrier_wait(&c->pool, gen);
    }
    aiosk_fp_end(fp);
}
/* The host's job system: one call per phase; its tasks are workers that take ours. */
static void aios__exec_lent(void *arg, int32_t i, int32_t worker) {
    uint64_t fp = aiosk_fp_begin();
    (void)i;
    aios__phase_work((aios_context *)arg, worker);
    aiosk_fp_end(fp);
}

/* Runs until the pass is done (1) or stopped (0). */
static int32_t aios__exec(aios_context *c, uint64_t deadline) {
    uint64_t fp;
    c->deadline = deadline;
    c->halt = 0;
    c->failed = AIOS_OK;
    aios__store(&c->stop, aios__stop_wanted(c));
    if (aios__load(&c->stop) || !aios__phase_ready(c)) return 0;
    if (c->desc.flags & AIOS_CONTEXT_PROFILE) c->since = aios__now(c);
    if (c->pool.n > 1 && c->n_workers > 1) {
        aios__pool_run(&c->pool, aios__exec_walk, c);
        return aios__exec_done(c);
    }
    fp = aiosk_fp_begin();
    do {
        int32_t n = c->n_workers < c->n_tasks ? c->n_workers : c->n_tasks;
        if (c->desc.parallel_for && n > 1) c->desc.parallel_for(c->desc.parallel_user, n, aios__exec_lent, c);
        else aios__phase_work(c, 0);
        aios__phase_leave(c, 0);
    } while (!c->halt);
    aiosk_fp_end(fp);
    return aios__exec_done(c);
}

/* ---- passes ---------------------------------------------------------------------------------------------------- */
/* Gathers waiting tokens: sequences in ascending order, until the batch or the output rows are full, but so that each that
 * waits gets at least one token in if there is room: a long prompt does not hold up its neighbours. One whose tokens find no room in the
 * cache gets as many in as do. */
static void aios__pass_gather(aios_context *c) {
    aios__pass *p = &c->pass;
    int32_t i, s, later = 0, per_block = aios__attend_tokens(&c->model->hp);
    p->n = p->n_out = p->n_blocks = 0;
    for (s = 0; s < c->plan.n_seq; s++) later += c->seq[s].n_done < c->seq[s].n_fed;
    for (s = 0; s < c->plan.n_seq; s++) {
        aios__sequence *q = &c->seq[s];
        int32_t most, room, slot, in_block = 0;
        if (q->n_done == q->n_fed) continue;
        later--;
        most = c->plan.n_batch - later > p->n ? c->plan.n_batch - later : p->n + 1;      /* one place for each that comes later */
        if (most > c->plan.n_batch) most = c->plan.n_batch;
        slot = aios__kv_slot(&c->kv.seq[s], q->n_done);
        room = most - p->n < q->n_fed - q->n_done ? most - p->n : q->n_fed - q->n_done;
        while (room > 0 && !aios__kv_fits(&c->kv, s, slot, slot + room)) {      /* down to the end of the tile before */
            int32_t over = (slot + room) % AIOSK_TILE;
            room -= over ? over : AIOSK_TILE;
        }
        for (i = q->n_done; room > 0; room--, i++, slot++) {
            if (q->want[i] && p->n_out == c->plan.n_outputs) break;
            if (in_block == 0 || slot % AIOSK_TILE == 0) { p->block[p->n_blocks++] = p->n; in_block = 0; }
            in_block = (in_block + 1) % per_block;
            if (q->want[i]) p->out[p->n_out++] = p->n;
            p->id[p->n] = q->token[i]; p->seq[p->n] = s; p->pos[p->n] = i;
            p->slot[p->n] = slot; p->turn[p->n] = i + aios__kv_off(&c->kv.seq[s]);
            p->n++;
        }
        if (i > q->n_done) aios__kv_grow(&c->kv, s, slot - (i - q->n_done), slot);
    }
    p->block[p->n_blocks] = p->n;
    for (i = 0; i < 2; i++) p->n_runs[i] = 1;
    for (i = 0; i < p->n_blocks; i++) {
        int32_t t0 = p->block[i], w, n, sinks, from;
        for (w = 0; w < 2; w++) {
            n = aios__attend_seen(&c->kv, w ? c->model->hp.window : 0, p->seq[t0], p->pos[t0], p->slot[t0], &sinks, &from);
            if (n > p->n_runs[w]) p->n_runs[w] = n;
        }
    }
}
static void aios__pass_finish(aios_context *c) {
    const aios__pass *p = &c->pass;
    uint32_t i;
    int32_t w;
    for (i = 0; i < (uint32_t)p->n; i++) {
        c->seq[p->seq[i]].n_done = p->pos[i] + 1;
        if (i + 1 == (uint32_t)p->n || p->seq[i + 1] != p->seq[i]) aios__kv_done(&c->kv, p->seq[i], p->slot[i] + 1);
    }
    aios__kv_settle(&c->kv);
    for (i = 0; i < c->prog.n_ops; i++) {
        const aios__op *op = &c->prog.op[i];
        uint64_t n = (uint64_t)(op->flags & AIOS__ON_OUTPUTS ? p->n_out : p->n);
        uint64_t cols = (uint64_t)op->cols_per_task, read = op->w_bytes * (op->per == AIOS__PER_ROWS ? (n + cols - 1) / cols : n > 0) + op->row_bytes * n;
        if (op->per == AIOS__PER_EXPERT) read = op->expert_bytes * (uint64_t)c->prog.moe.n_read[op->layer];
        c->count.weight_bytes += read;
        c->count.tier_bytes[op->tier] += read;
        c->count.act_bytes += op->act_bytes * n;
    }
    for (w = 0; w < c->plan.n_threads; w++) { c->count.kv_bytes += c->run.kv_read[w * 8]; c->run.kv_read[w * 8] = 0; }
    c->count.n_tokens += (uint64_t)p->n;
    c->count.n_passes++;
    c->n_out_ready = p->n_out;
    c->running = 0;
}
static int32_t aios__waiting(const aios_context *c) {
    int32_t s;
    for (s = 0; s < c->plan.n_seq; s++) if (c->seq[s].n_done < c->seq[s].n_fed) return 1;
    return 0;
}
/* The first n positions of a sequence stay in the cache, or as many as one can go on from. */
static void aios__seq_cut(aios_context *c, int32_t s, int32_t n) {
    aios__kv_seq *q = &c->kv.seq[s];
    c->seq[s].n_done = n;
    n = aios__kv_cut(&c->kv, s, aios__kv_end(q, n));
    if (aios__kv_pos(q, n) < c->seq[s].n_done) c->seq[s].n_done = aios__kv_pos(q, n);
}
/* Drops a pass that is under way; the sequences stand as before it. */
static void aios__pass_drop(aios_context *c) {
    int32_t w, s;
    c->running = 0;
    for (w = 0; w < c->plan.n_threads; w++) c->run.kv_read[w * 8] = 0;
    aios__kv_undo(&c->kv);
    for (s = 0; s < c->plan.n_seq; s++) aios__seq_cut(c, s, c->seq[s].n_done);
}

static aios_status aios__cancelled(aios_context *c, aios_error *err) {
    if (c->running) aios__pass_drop(c);
    aios__store(&c->cancel, 0);
    return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF, "the step was cancelled");
}
/* What the current phase waits for cannot be read. Nothing more is asked for until the next step, which begins anew. */
static aios_status aios__unread(aios_context *c, aios_error *err) {
    aios__stream *s = &c->stream;
    aios__slot slot;
    aios__crew_lock(&s->crew);
    slot = *s->bad;
    s->hold = 1;
    aios__crew_unlock(&s->crew);
    aios__pass_drop(c);
    aios__fail2(err, AIOS_ERR_IO, slot.off + slot.done, slot.want - slot.done, (uint64_t)slot.got,
                slot.got < 0 ? "reading % bytes of weights failed: the reader returned %" : "% bytes of weights to read, but the reader returned %",
                aios__u(slot.want - slot.done), aios__i(slot.got));
    return AIOS_ERR_IO;
}
static aios_status aios__step(aios_context *c, uint64_t deadline, aios_error *err) {
    if (aios__load(&c->cancel)) return aios__cancelled(c, err);
    if (!c->running) c->n_out_ready = 0;
    while (c->running || aios__waiting(c)) {
        if (!c->running) {
            aios__pass_gather(c);
            if (!c->pass.n) return aios__fail1(err, AIOS_ERR_FULL, AIOS__NO_OFF, "the cache has no room for any waiting token: its % pages are taken", aios__i(aios__kv_pages(&c->kv)));
            aios__stream_start(&c->stream);
            aios__phase_enter(c, 0);
            c->running = 1;
        }
        if (!aios__exec(c, deadline)) {
            if (aios__load(&c->cancel)) return aios__cancelled(c, err);
            return c->failed ? aios__unread(c, err) : AIOS_MORE;
        }
        aios__pass_finish(c);
        if (c->n_out_ready || aios__time_up(c, deadline)) return aios__waiting(c) ? AIOS_MORE : AIOS_OK;
    }
    return AIOS_OK;
}
