/* exec.c: runs the program over one pass: phase by phase, task by task, until done or until the
 * deadline. The position (phase, round, next task of every share) is all the state there is: a
 * run that was stopped goes on where it was. Each worker has its share of a phase, tasks that
 * follow each other in memory, and helps with the others' when it is through: which worker runs
 * what is left to chance, and no result depends on it. What kinds of ops there are, this file
 * does not know. */

/* tasks next..end-1 are to be taken */
typedef struct aios__share {
    int32_t next, end;
    char apart[56];
} aios__share;

typedef struct aios__exec {
    const aios__program *p;
    aios__run run;
    aios__pool pool;
    aios__stream stream;
    aios__rows rows; /* of tables that are not resident */
    aios__moe moe;
    aios__expert_cache expert_cache; /* of experts that are not resident */
    uint64_t (*now_ns)(void *user);
    void *now_user;
    aios_parallel_for parallel_for; /* NULL: the pool's threads */
    void *parallel_user;
    aios_trace_fn trace; /* NULL = nobody looks */
    void *trace_user;
    int32_t profile;
    uint64_t *busy_ns; /* [n_ops] of the phase that begins with an op, with profile */
    /* where the run stands */
    int32_t unready;    /* the current round waits for what it reads; 2: and had to */
    aios_status failed; /* why it will not come */
    uint32_t op0, op1;  /* ops of the current phase */
    int32_t n_tasks;
    uint64_t deadline; /* 0 = none */
    uint64_t since;    /* when the current phase began, or the step */
    int32_t n_threads;
    int32_t n_workers;  /* that take part: 1..n_threads */
    aios__share *share; /* [n_threads] */
    char apart0[64];
    int32_t stop;              /* time is up, cancelled or interrupted */
    int32_t cancel, interrupt; /* set from any thread */
    int32_t halt;              /* decided by the last worker at a barrier: all leave */
    char apart1[64];
} aios__exec;

static uint64_t aios__now(const aios__exec *e) { return e->now_ns(e->now_user); }
/* Does somebody want the step to return, whatever the time? */
static int32_t aios__stop_wanted(const aios__exec *e) {
    return aios__load(&e->cancel) | aios__load(&e->interrupt);
}
static int32_t aios__time_up(const aios__exec *e, uint64_t deadline) {
    return deadline && aios__now(e) >= deadline;
}

/* Deals the tasks of a phase, or of its next round, out to the workers. How many they are may
 * change before the phase is done: whoever is there takes what is left of any share. */
static void aios__deal(aios__exec *e) {
    int32_t n = e->n_workers;
    for (int32_t w = 0; w < e->n_threads; w++) {
        /* nobody works now */
        e->share[w].next = w < n ? (int32_t)((int64_t)e->n_tasks * w / n) : 0;
        e->share[w].end = w < n ? (int32_t)((int64_t)e->n_tasks * (w + 1) / n) : 0;
    }
}
static int32_t aios__all_taken(const aios__exec *e) {
    for (int32_t w = 0; w < e->n_threads; w++)
        if (aios__load(&e->share[w].next) < e->share[w].end) return 0;
    return 1;
}
/* Counts the tasks of a round and deals them out. */
static void aios__round_deal(aios__exec *e) {
    const aios__op *o = e->p->op;
    e->n_tasks = 0;
    for (uint32_t i = e->op0; i < e->op1; i++) e->n_tasks += o[i].kind->tasks(&o[i], &e->run);
    aios__deal(e);
}
/* Begins a round of the current phase. */
static void aios__round_enter(aios__exec *e, int32_t round) {
    const aios__op *o = &e->p->op[e->op0];
    e->run.round = round;
    if (o->kind->enter) o->kind->enter(o, &e->run);
    e->unready = o->kind->ready != NULL;
    aios__round_deal(e);
}
/* Makes the phase that starts at op the current one, passing over phases without tasks. */
static void aios__phase_enter(aios__exec *e, uint32_t op) {
    const aios__program *p = e->p;
    for (;; op = e->op1) {
        e->op0 = op;
        if (op >= p->n_ops) return;
        e->op1 = op + 1;
        while (e->op1 < p->n_ops && p->op[e->op1].phase == p->op[op].phase) e->op1++;
        aios__round_enter(e, 0);
        if (e->n_tasks) return;
        if (p->op[op].kind->skip) p->op[op].kind->skip(&p->op[op], &e->run);
    }
}
/* Waits until what the current round reads is there (1), or time is up, or it cannot be read. */
static int32_t aios__phase_ready(aios__exec *e) {
    const aios__op *o = &e->p->op[e->op0];
    int32_t r, own = e->stream.how == AIOS__READ_INLINE, waited = 0;
    uint64_t t0, reads = own ? e->stream.n_reads : 0, now;
    if (!e->unready) return 1;
    for (now = t0 = aios__now(e);; now = aios__now(e)) {
        /* cancelling is heard within 2 ms */
        uint64_t slice = e->deadline && e->deadline > now && e->deadline - now < 2000000
                             ? e->deadline - now
                             : 2000000;
        r = o->kind->ready(o, &e->run, waited ? slice : 0);
        /* what the worker read itself, it waited for */
        waited |= !r || (own && e->stream.n_reads != reads);
        if (waited && e->unready == 1) {
            e->run.count->n_stalls++;
            e->unready = 2;
        }
        if (r) break;
        if (aios__stop_wanted(e) || aios__time_up(e, e->deadline)) {
            aios__store(&e->stop, 1);
            break;
        }
    }
    if (waited) e->run.count->stall_ns += aios__now(e) - t0;
    /* the read was the worker's own */
    if (r == 1 && own && (aios__stop_wanted(e) || aios__time_up(e, e->deadline)))
        aios__store(&e->stop, 1);
    if (r < 0) e->failed = r;
    if (r != 1) return 0;
    e->unready = 0;
    aios__round_deal(e); /* how many there are may have been unknown */
    return 1;
}
static int32_t aios__exec_done(const aios__exec *e) { return e->op0 >= e->p->n_ops; }

/* Takes tasks of the current phase until there are none or time is up. */
static void aios__phase_work(aios__exec *e, int32_t worker) {
    int32_t w = worker;
    for (int32_t i = 0; i < e->n_threads; i++, w = w + 1 < e->n_threads ? w + 1 : 0) {
        aios__share *s = &e->share[w];
        while (aios__load(&s->next) < s->end && !aios__load(&e->stop)) {
            const aios__op *o = &e->p->op[e->op0];
            int32_t t = aios__fetch_add(&s->next, 1), n;
            if (t >= s->end) break;
            while (t >= (n = o->kind->tasks(o, &e->run))) {
                t -= n;
                o++;
            }
            o->kind->run(o, &e->run, t, worker);
            if (aios__stop_wanted(e) || aios__time_up(e, e->deadline)) aios__store(&e->stop, 1);
        }
    }
}
/* The time since the phase, or this step of it, began. */
static void aios__book(aios__exec *e) {
    if (!e->profile) return;
    uint64_t now = aios__now(e);
    if (now > e->since) e->busy_ns[e->op0] += now - e->since;
    e->since = now;
}
/* Shows what an op wrote, in all its forms. */
static void aios__trace_op(const aios__exec *e, uint32_t op) {
    const aios__op *o = &e->p->op[op];
    const aios__pass *ps = e->run.pass;
    aios__acts a;
    aios_trace t;
    if (!o->kind->wrote || o->gone) return;
    memset(&a, 0, sizeof a);
    memset(&t, 0, sizeof t);
    o->kind->wrote(o, &a);
    t.struct_size = (uint32_t)sizeof t;
    t.op = op;
    t.name = o->name;
    t.layer = o->layer;
    t.n = a.n;
    t.n_tokens = aios__op_rows(o, &e->run);
    t.n_per_token = o->rows == AIOS__OF_PAIRS ? e->run.moe->n_used : 1;
    t.n_rows = t.n_tokens * t.n_per_token;
    t.token = o->rows == AIOS__OF_OUTPUTS ? ps->out : NULL;
    t.seq = ps->seq;
    t.pos = ps->pos;
    if (o->rows == AIOS__OF_PAIRS) t.row = e->run.moe->col;
    for (int32_t k = 0; k < AIOSK_N_ACTS && t.n_rows; k++) {
        if (!a.p[k]) continue;
        t.form = k;
        t.data = a.p[k];
        t.stride = a.stride[k];
        e->trace(e->trace_user, &t);
    }
}
/* Those of the current phase, or, when ops that run again and again are through, of all of them. */
static void aios__trace(const aios__exec *e, int32_t more) {
    uint32_t op = e->op0;
    if (!e->trace) return;
    if (e->p->op[op].later) {
        if (more || !e->p->op[op].kind->again) return;
        while (op > 0 && e->p->op[op - 1].later) op--;
    }
    for (; op < e->op1; op++) aios__trace_op(e, op);
}
/* After all workers have left the phase: goes to the next round or phase if it is finished. A
 * phase of one task is done here and now: the others would wait for it all the same, and a
 * barrier is saved. */
static void aios__phase_leave(aios__exec *e, int32_t worker) {
    int32_t ready = 1;
    while (aios__all_taken(e)) {
        const aios__op *o = &e->p->op[e->op0];
        int32_t back = 0;
        e->run.count->n_tasks += (uint64_t)e->n_tasks;
        aios__book(e);
        if (o->kind->leave) o->kind->leave(o, &e->run);
        if (o->kind->rounds && e->run.round + 1 < o->kind->rounds(o, &e->run))
            aios__round_enter(e, e->run.round + 1);
        else {
            if (o->kind->again) back = o->kind->again(o, &e->run);
            aios__trace(e, back);
            aios__phase_enter(e, back ? e->op0 - (uint32_t)back : e->op1);
        }
        if (aios__exec_done(e) || aios__load(&e->stop)) break; /* nothing is read past the end */
        ready = aios__phase_ready(e);
        /* waiting is nobody's work */
        if (e->profile) e->since = aios__now(e);
        if (!ready || e->n_tasks > 1) break;
        aios__phase_work(e, worker);
    }
    if (!aios__exec_done(e)) aios__book(e);
    e->halt = aios__load(&e->stop) || aios__exec_done(e) || !ready;
}

/* One worker of our own pool: all that have joined walk through the phases together. */
static void aios__exec_walk(void *arg, int32_t worker) {
    aios__exec *e = (aios__exec *)arg;
    uint64_t fp = aiosk_fp_begin();
    int32_t gen, over = 0;
    while (!over) {
        aios__phase_work(e, worker);
        if (aios__barrier_arrive(&e->pool, &gen)) {
            aios__phase_leave(e, worker);
            over = e->halt;
            /* the step may be over for its caller from here on: e is not ours */
            aios__barrier_release(&e->pool, over);
        } else
            over = aios__barrier_wait(&e->pool, gen);
    }
    aiosk_fp_end(fp);
}
/* The host's job system: one call per phase; its tasks are workers that take ours. */
static void aios__exec_lent(void *arg, int32_t i, int32_t worker) {
    uint64_t fp = aiosk_fp_begin();
    (void)i;
    aios__phase_work((aios__exec *)arg, worker);
    aiosk_fp_end(fp);
}

/* Runs until the pass is done (1) or stopped (0). */
static int32_t aios__exec_run(aios__exec *e, uint64_t deadline) {
    e->deadline = deadline;
    e->halt = 0;
    e->failed = AIOS_OK;
    aios__store(&e->stop, aios__stop_wanted(e));
    if (aios__load(&e->stop) || !aios__phase_ready(e) || aios__load(&e->stop)) return 0;
    if (e->profile) e->since = aios__now(e);
    if (e->pool.n > 1 && e->n_workers > 1) {
        aios__pool_run(&e->pool, aios__exec_walk, e);
        return aios__exec_done(e);
    }
    uint64_t fp = aiosk_fp_begin();
    do {
        int32_t n = e->n_workers < e->n_tasks ? e->n_workers : e->n_tasks;
        if (e->parallel_for && n > 1)
            e->parallel_for(e->parallel_user, n, aios__exec_lent, e);
        else
            aios__phase_work(e, 0);
        aios__phase_leave(e, 0);
    } while (!e->halt);
    aiosk_fp_end(fp);
    return aios__exec_done(e);
}
