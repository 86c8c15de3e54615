/* exec.c: runs the program over one pass: phase by phase, task by task, until done or until the
 * deadline. The position (phase, round, next task of every share) is all the state there is: a
 * run that was stopped goes on where it was. Each worker has its share of a phase, tasks that
 * follow each other in memory, and helps with the others' when it is through: which worker runs
 * what is left to chance, and no result depends on it. */

typedef struct aios__sequence {
    int32_t *token;        /* [n_ctx] */
    uint8_t *want;         /* [n_ctx] 1 = keep the logits after this token */
    uint64_t used;         /* number of the last pass that it was in */
    int32_t pinned, held;  /* its pages are not spilled: at all, during this call */
    int32_t its_turn;      /* to have a part in the next pass */
    int32_t n_fed, n_done; /* tokens given, and those in the cache */
} aios__sequence;

/* tasks next..end-1 are to be taken */
typedef struct aios__share {
    int32_t next, end;
    char apart[56];
} aios__share;

struct aios_context {
    aios_allocator mem;
    aios_mem_req req[AIOS_N_MEM]; /* by kind; WEIGHTS: room for what is streamed */
    void *block[AIOS_N_MEM];
    aios_model *model;
    aios_plan plan;
    aios_context_desc desc;
    aios_spill spill; /* zeros: none */
    int32_t rescued;  /* by spill.c, when all wait for room: sequence + 1 */
    /* no idle sequence has a page of this pool to give: stays so until the next verb or pass */
    uint8_t no_idle[AIOS__N_GROUPS][AIOS__N_FORMS];
    const aiosk_isa *k;
    aios__kv kv;
    aios__pass pass;
    aios__build prog;
    aios__run run;
    aios__sequence *seq; /* [n_seq] */
    void *sample_work;
    aios__pool pool;
    aios__stream stream;
    aios__cache cache; /* of experts that are not resident */
    aios__rows rows;   /* of tables that are not */
    aios_counters count;
    /* where the run stands */
    int32_t running;     /* a pass is under way */
    uint64_t n_passed;   /* passes finished since opening */
    int32_t next_turn;   /* sequence that is first to have a part, when not all can */
    int32_t n_out_ready; /* rows of the last finished pass */
    int32_t unready;     /* the current round waits for its unit; 2: and had to */
    aios_status failed;  /* why it will not come */
    uint32_t op0, op1;   /* ops of the current phase */
    int32_t n_tasks;
    uint64_t deadline;  /* 0 = none */
    uint64_t since;     /* AIOS_CONTEXT_PROFILE: when the current phase began, or the step */
    int32_t n_workers;  /* that take part: 1..n_threads */
    aios__share *share; /* [n_threads] */
    char apart0[64];
    int32_t stop;              /* time is up, cancelled or interrupted */
    int32_t cancel, interrupt; /* set from any thread */
    int32_t halt;              /* decided by the last worker at a barrier: all leave */
    char apart1[64];
};

static uint64_t aios__now(const aios_context *c) { return c->desc.now_ns(c->desc.now_user); }
/* Does somebody want the step to return, whatever the time? */
static int32_t aios__stop_wanted(const aios_context *c) {
    return aios__load(&c->cancel) | aios__load(&c->interrupt);
}
static int32_t aios__time_up(const aios_context *c, uint64_t deadline) {
    return deadline && aios__now(c) >= deadline;
}

/* Deals the tasks of a phase, or of its next round, out to the workers. How many they are may
 * change before the phase is done: whoever is there takes what is left of any share. */
static void aios__deal(aios_context *c) {
    int32_t w, n = c->n_workers;
    for (w = 0; w < c->plan.n_threads; w++) {
        /* nobody works now */
        c->share[w].next = w < n ? (int32_t)((int64_t)c->n_tasks * w / n) : 0;
        c->share[w].end = w < n ? (int32_t)((int64_t)c->n_tasks * (w + 1) / n) : 0;
    }
}
static int32_t aios__all_taken(const aios_context *c) {
    int32_t w;
    for (w = 0; w < c->plan.n_threads; w++)
        if (aios__load(&c->share[w].next) < c->share[w].end) return 0;
    return 1;
}
/* Counts the tasks of a round and deals them out. */
static void aios__round_deal(aios_context *c) {
    uint32_t op;
    c->n_tasks = 0;
    for (op = c->op0; op < c->op1; op++) c->n_tasks += aios__op_tasks(&c->prog.op[op], &c->run);
    aios__deal(c);
}
/* Begins a round of the current phase. One that awaits experts is dealt out when it is known
 * which are there. */
static void aios__round_enter(aios_context *c, int32_t round) {
    uint32_t flags = c->prog.op[c->op0].flags;
    c->run.round = round;
    if (flags & AIOS__ROWS) {
        const aios__op *op = &c->prog.op[c->op0];
        int32_t t = aios__round_token(op, &c->run);
        aios__rows_ask(&c->rows, op->part, aios__table_rows(&c->pass, op->part), t, c->pass.n - t);
    }
    c->unready = (flags & (AIOS__STREAMED | AIOS__AWAIT | AIOS__ROWS)) != 0;
    if (flags & AIOS__AWAIT)
        c->n_tasks = 1;
    else
        aios__round_deal(c);
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
        /* nobody wants these rows now */
        if (c->unready) {
            int32_t i;
            for (i = 0; i < p->op[op].n_units; i++) aios__stream_pass(&c->stream);
        }
    }
}
/* Is what the current round reads there? 1 = yes; 0 = not yet; AIOS_ERR_*: it cannot be read. */
static int32_t aios__round_try(aios_context *c, uint64_t timeout_ns) {
    uint32_t flags = c->prog.op[c->op0].flags;
    if (flags & AIOS__AWAIT) return aios__cache_try(&c->cache, timeout_ns);
    if (flags & AIOS__ROWS) return aios__rows_try(&c->rows, timeout_ns);
    return aios__stream_try(&c->stream, timeout_ns);
}
/* Waits for it until it is there (1), or time is up, or it cannot be read. */
static int32_t aios__phase_ready(aios_context *c) {
    uint64_t t0 = 0, now, slice;
    uint32_t flags = c->prog.op[c->op0].flags;
    int32_t r;
    if (!c->unready) return 1;
    /* what the worker reads itself, it waits for */
    if (c->stream.how == AIOS__READ_INLINE && c->unready == 1 && flags & AIOS__STREAMED) {
        t0 = aios__now(c) | 1;
        c->count.n_stalls++;
        c->unready = 2;
    }
    for (;;) {
        now = aios__now(c);
        /* cancelling is heard within 2 ms */
        slice = c->deadline && c->deadline > now && c->deadline - now < 2000000 ? c->deadline - now
                                                                                : 2000000;
        r = aios__round_try(c, t0 ? slice : 0);
        if (r) break;
        if (!t0) {
            t0 = now ? now : 1;
            c->count.n_stalls += c->unready == 1;
            c->unready = 2;
        }
        if (aios__stop_wanted(c) || aios__time_up(c, c->deadline)) {
            aios__store(&c->stop, 1);
            break;
        }
    }
    if (t0) c->count.stall_ns += aios__now(c) - t0;
    /* the read was the worker's own */
    if (r == 1 && c->stream.how == AIOS__READ_INLINE &&
        (aios__stop_wanted(c) || aios__time_up(c, c->deadline)))
        aios__store(&c->stop, 1);
    if (r < 0) c->failed = r;
    if (r != 1) return 0;
    c->unready = 0;
    if (flags & AIOS__AWAIT) aios__round_deal(c);
    if (!(flags & AIOS__STREAMED)) return 1;
    c->run.streamed = aios__stream_data(&c->stream);
    c->count.n_units++;
    return 1;
}
/* Asks for the rows of tokens that are not in the pass: the next pass will want them. */
static void aios__read_ahead(aios_context *c) {
    int32_t s, i, k = 0, n = 0;
    if (!c->rows.n_slots) return;
    for (s = 0; s < c->plan.n_seq; s++) {
        const aios__sequence *q = &c->seq[s];
        for (i = q->n_done; c->running && k < c->pass.n && c->pass.seq[k] == s; k++)
            i = c->pass.pos[k] + 1;
        for (; i < q->n_fed && n < c->rows.n_slots; i++) c->rows.soon[n++] = q->token[i];
    }
    aios__rows_ahead(&c->rows, n);
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
            while (t >= (n = aios__op_tasks(op, &c->run))) {
                t -= n;
                op++;
            }
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
/* After all workers have left the phase: goes to the next round or phase if it is finished. A
 * phase of one task is done here and now: the others would wait for it all the same, and a
 * barrier is saved. */
static void aios__phase_leave(aios_context *c, int32_t worker) {
    int32_t ready = 1;
    while (aios__all_taken(c)) {
        c->count.n_tasks += (uint64_t)c->n_tasks;
        aios__book(c);
        if (c->prog.op[c->op0].flags & AIOS__STREAMED) aios__stream_pass(&c->stream);
        if (c->run.round + 1 < aios__op_rounds(&c->prog.op[c->op0], &c->run))
            aios__round_enter(c, c->run.round + 1);
        else if (c->prog.op[c->op0].flags & AIOS__AGAIN && aios__cache_next(&c->cache))
            aios__phase_enter(c, c->op0 - (uint32_t)c->prog.op[c->op0].back);
        else {
            if (c->prog.op[c->op0].flags & AIOS__ROWS &&
                c->prog.op[c->op0].part == c->prog.last_table)
                aios__read_ahead(c);
            aios__phase_enter(c, c->op1);
        }
        if (aios__exec_done(c) || aios__load(&c->stop)) break; /* nothing is read past the end */
        ready = aios__phase_ready(c);
        /* waiting is nobody's work */
        if (c->desc.flags & AIOS_CONTEXT_PROFILE) c->since = aios__now(c);
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
            /* the step may be over for its caller from here on: c is not ours */
            aios__barrier_release(&c->pool, over);
        } else
            over = aios__barrier_wait(&c->pool, gen);
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
    if (aios__load(&c->stop) || !aios__phase_ready(c) || aios__load(&c->stop)) return 0;
    if (c->desc.flags & AIOS_CONTEXT_PROFILE) c->since = aios__now(c);
    if (c->pool.n > 1 && c->n_workers > 1) {
        aios__pool_run(&c->pool, aios__exec_walk, c);
        return aios__exec_done(c);
    }
    fp = aiosk_fp_begin();
    do {
        int32_t n = c->n_workers < c->n_tasks ? c->n_workers : c->n_tasks;
        if (c->desc.parallel_for && n > 1)
            c->desc.parallel_for(c->desc.parallel_user, n, aios__exec_lent, c);
        else
            aios__phase_work(c, 0);
        aios__phase_leave(c, 0);
    } while (!c->halt);
    aiosk_fp_end(fp);
    return aios__exec_done(c);
}

/* Is the running pass at work on tokens of the sequence from n on? */
static int32_t aios__in_pass(const aios_context *c, int32_t seq, int32_t n) {
    int32_t i;
    for (i = 0; c->running && i < c->pass.n; i++)
        if (c->pass.seq[i] == seq && c->pass.pos[i] >= n) return 1;
    return 0;
}
