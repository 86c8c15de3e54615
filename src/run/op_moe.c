/* op_moe.c: ops of feed-forwards of experts. The lists that they work by are made in moe.c. */

static void aios__op_route_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    aios__moe *m = r->moe;
    (void)worker;
    aios__moe_choose(r->k, o->u.moe.logit + (uint64_t)t * o->u.moe.logit_stride, m->n_expert,
                     m->n_used, r->hp->exp_norm, r->hp->exp_scale,
                     m->chosen + (int64_t)t * m->n_used, m->weight + (int64_t)t * m->n_used);
}
static void aios__op_group_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    (void)t;
    (void)worker;
    aios__moe_count(r->moe, r->pass->n);
    if (r->expert_cache) aios__expert_cache_begin(r->expert_cache, o->layer);
    aios__moe_place(r->moe, r->pass->n, o->layer);
}
static int32_t aios__group_tasks(const aios__op *o, const aios__run *r) {
    (void)o;
    (void)r;
    return 1;
}
/* The input of one pair, beside those of the same expert. With one token there is nothing to
 * gather: all pairs read its column. */
static void aios__op_gather_run(const aios__op *o, const aios__run *r, int32_t c, int32_t worker) {
    const aios__op_gather *x = &o->u.gather;
    (void)worker;
    for (int32_t k = 0; k < AIOSK_N_ACTS; k++)
        if (x->out.p[k])
            memcpy(aios__form(&x->out, k, c), aios__form(&x->in, k, r->moe->token[c]),
                   (size_t)x->in.stride[k]);
}
static int32_t aios__gather_tasks(const aios__op *o, const aios__run *r) {
    (void)o;
    return r->pass->n == 1 ? 0 : aios__moe_cols(r->moe);
}
/* The sum of what a token's experts gave, and the shared one's, into the residual. */
AIOSK__STRICT static void aios__op_combine_run(const aios__op *o, const aios__run *r, int32_t t,
                                               int32_t worker) {
    const aios__op_moe *x = &o->u.moe;
    const aios__moe *m = r->moe;
    const int32_t *col = m->col + (int64_t)t * m->n_used;
    const float *weight = m->weight + (int64_t)t * m->n_used;
    float *sum = aios__work_f32(r, worker), *one = sum + x->n, *y = x->y + (int64_t)t * x->n;
    r->k->scale(x->x + (int64_t)col[0] * x->n, weight[0], x->n, sum);
    for (int32_t j = 1; j < m->n_used; j++) {
        r->k->scale(x->x + (int64_t)col[j] * x->n, weight[j], x->n, one);
        r->k->add(sum, one, x->n, sum);
    }
    if (x->shared) {
        const float *shared = x->shared + (int64_t)t * x->n;
        if (x->gate) { /* 1 / (1 + exp(-x)) */
            float g = -x->logit[(uint64_t)t * x->logit_stride + (uint64_t)m->n_expert];
            r->k->exp(&g, 1, &g);
            r->k->scale(shared, 1.0f / (1.0f + g), x->n, one);
            shared = one;
        }
        r->k->add(sum, shared, x->n, sum);
    }
    if (x->scale != 1.0f) r->k->scale(sum, x->scale, x->n, sum);
    r->k->add(y, sum, x->n, y);
}
static void aios__route_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.moe.logit, o->u.moe.logit_stride, o->u.moe.n);
}
static void aios__combine_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.moe.y, (uint64_t)o->u.moe.n, o->u.moe.n);
}
/* clang-format off */
AIOS__ROW_KIND(route, aios__route_wrote);
AIOS__ROW_KIND(combine, aios__combine_wrote);
static const aios__op_kind aios__kind_group = { "group", aios__op_group_run, aios__group_tasks, NULL,
    NULL, 0, AIOS__PLAIN };
static const aios__op_kind aios__kind_gather = { "gather", aios__op_gather_run, aios__gather_tasks, NULL,
    NULL, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- matrices of experts: a task is rows of one, times the columns of a block ---- */
static void aios__experts_task(const aios__op *o, const aios__run *r, const void *w,
                               const aios__cols *b, int32_t rows, int32_t worker) {
    const aios__op_experts *x = &o->u.experts;
    aiosk_matmul m;
    memset(&m, 0, sizeof m);
    m.w = w;
    m.n_in = x->n_in;
    m.x = x->alone && r->pass->n == 1 ? x->alone : x->x + (uint64_t)b->col * x->x_stride;
    m.x_stride = x->x_stride;
    m.y = x->y + (uint64_t)b->col * x->y_stride;
    m.y_stride = x->y_stride;
    m.row0 = rows * x->rows_per_task;
    m.row1 = x->n_out - m.row0 < x->rows_per_task ? x->n_out : m.row0 + x->rows_per_task;
    m.n_cols = b->n;
    if (x->mm)
        x->mm(&m);
    else
        aiosk_matmul_reference(o->type, &m, aios__work_f32(r, worker));
}
/* Tasks of one block. */
static inline int32_t aios__expert_tasks(const aios__op *o) {
    return (o->u.experts.n_out + o->u.experts.rows_per_task - 1) / o->u.experts.rows_per_task;
}
static void aios__op_experts_run(const aios__op *o, const aios__run *r, int32_t task,
                                 int32_t worker) {
    const aios__op_experts *x = &o->u.experts;
    int32_t n = aios__expert_tasks(o);
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / n];
    const void *w =
        x->each ? x->each[b->expert].p : (const char *)x->w + (uint64_t)b->expert * x->expert_bytes;
    aios__experts_task(o, r, w, b, task % n, worker);
}
static int32_t aios__experts_tasks(const aios__op *o, const aios__run *r) {
    return (r->moe->block1 - r->moe->block0) * aios__expert_tasks(o);
}
static void aios__experts_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    aios__count_read(c, o->tier, o->u.experts.expert_bytes * (uint64_t)r->moe->n_read[o->layer]);
}
static void aios__experts_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.experts.y, o->u.experts.y_stride, o->u.experts.n_out);
}
/* clang-format off */
static const aios__op_kind aios__kind_experts = { "experts", aios__op_experts_run, aios__experts_tasks,
    aios__experts_read, aios__experts_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* Experts that come and go: the first of their ops waits for some, those up to the last work on
 * them, and from there it goes back to the first while there are more. */
static void aios__op_cached_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    int32_t n = aios__expert_tasks(o);
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / n];
    aios__experts_task(o, r,
                       aios__expert_cache_data(r->expert_cache, b->expert, o->u.experts.which), b,
                       task % n, worker);
}
static int32_t aios__cached_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    (void)o;
    return aios__expert_cache_try(r->expert_cache, timeout_ns);
}
static int32_t aios__cached_again(const aios__op *o, aios__run *r) {
    return aios__expert_cache_next(r->expert_cache) ? o->u.experts.back : 0;
}
/* clang-format off */
static const aios__op_kind aios__kind_cached_experts[] = {
    { "first_cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, NULL, NULL, aios__cached_ready, NULL, NULL, NULL },
    { "cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, AIOS__PLAIN },
    { "last_cached_experts", aios__op_cached_run, aios__experts_tasks, aios__experts_read,
      aios__experts_wrote, 0, NULL, NULL, NULL, NULL, NULL, aios__cached_again }
};
/* clang-format on */
