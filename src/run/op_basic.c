/* op_basic.c: ops that work on a token's row: tables, angles, norms, heads, activations, sums.
 * Also the cache's own: copies of pages, and sealing. */

static int32_t aios__tasks_rows(const aios__op *o, const aios__run *r) {
    return aios__op_rows(o, r);
}

/* ---- tables ---- */
/* Which row of a table each token of a pass takes. */
static inline const int32_t *aios__table_ids(const aios__op_table *x, const aios__pass *p) {
    return x->which == AIOS__EMBD_TABLE ? p->id : p->pos;
}
/* The row of token t, dequantised: stored (where it comes from storage), or resident. */
static void aios__table_row(const aios__op *o, const aios__run *r, int32_t t, const char *stored,
                            int32_t worker) {
    const aios__op_table *x = &o->u.table;
    uint64_t n = (uint64_t)x->n;
    int32_t i = aios__table_ids(x, r->pass)[t];
    float *y = x->y + (uint64_t)t * x->y_stride, *to = x->add ? aios__work_f32(r, worker) : y;
    char *tmp = x->add ? (char *)(to + n) : aios__work(r, worker);
    const char *w = (const char *)x->w, *row = stored;
    if (!row && x->layout == AIOSK_ROWS) row = w + (uint64_t)i * x->row_bytes;
    if (!row) {
        w += (uint64_t)(i / 16) * aiosk_layout_bytes(o->type, AIOSK_PANELS, 16, n);
        aiosk_unpack_panel_row(o->type, w, i % 16, n, tmp);
        row = tmp;
    }
    aiosk_unpack(o->type, row, n, to);
    if (x->scale != 1.0f) r->k->scale(to, x->scale, x->n, to);
    if (x->add) r->k->add(y, to, x->n, y);
}
static void aios__op_table_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    aios__table_row(o, r, t, NULL, worker);
}
static void aios__table_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    aios__count_read(c, o->tier, o->w_bytes * (uint64_t)r->pass->n);
}
static void aios__table_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.table.y, o->u.table.y_stride, o->u.table.n);
}
/* clang-format off */
static const aios__op_kind aios__kind_table = { "table", aios__op_table_run, aios__tasks_rows, aios__table_read,
    aios__table_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* The same of a table that is not resident, or not all of it: the rows of as many tokens at a
 * time as rows.c has places for. */
static int32_t aios__stored_first(const aios__run *r) { return r->round * r->rows->per_round; }
static void aios__op_stored_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    t += aios__stored_first(r);
    aios__table_row(o, r, t, aios__rows_data(r->rows, t), worker);
}
static int32_t aios__stored_tasks(const aios__op *o, const aios__run *r) {
    int32_t n = r->pass->n - aios__stored_first(r);
    (void)o;
    return n < r->rows->per_round ? n : r->rows->per_round;
}
static int32_t aios__stored_rounds(const aios__op *o, const aios__run *r) {
    (void)o;
    return (r->pass->n + r->rows->per_round - 1) / r->rows->per_round;
}
static void aios__stored_enter(const aios__op *o, aios__run *r) {
    int32_t t = aios__stored_first(r);
    aios__rows_ask(r->rows, o->u.table.which, aios__table_ids(&o->u.table, r->pass), t,
                   r->pass->n - t);
}
static int32_t aios__stored_ready(const aios__op *o, aios__run *r, uint64_t timeout_ns) {
    (void)o;
    return aios__rows_try(r->rows, timeout_ns);
}
static void aios__stored_leave(const aios__op *o, aios__run *r) {
    if (o->u.table.last && r->round + 1 == aios__stored_rounds(o, r)) aios__rows_ahead(r->rows);
}
static void aios__stored_read(const aios__op *o, const aios__run *r, aios_counters *c) {
    const aios__op_table *x = &o->u.table;
    uint64_t n = (uint64_t)r->pass->n,
             stored = aios__rows_streamed(&r->rows->table[x->which], aios__table_ids(x, r->pass),
                                          r->pass->n);
    aios__count_read(c, AIOS_TIER_STREAM, o->w_bytes * stored);
    aios__count_read(c, o->tier, o->w_bytes * (n - stored));
}
/* clang-format off */
static const aios__op_kind aios__kind_stored_table = { "stored_table", aios__op_stored_run,
    aios__stored_tasks, aios__stored_read, aios__table_wrote, 1, aios__stored_rounds,
    aios__stored_enter, aios__stored_ready, aios__stored_leave, NULL, NULL };
/* clang-format on */

/* ---- rows of numbers ---- */
static void aios__op_angles_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_angles *x = &o->u.angles;
    float *y = x->y + (int64_t)t * 2 * x->n;
    (void)worker;
    for (int32_t i = 0; i < x->n; i++) {
        double s, c;
        aios__sincos((double)r->pass->turn[t] * x->freq[i], &s, &c);
        y[2 * i] = (float)(c * (double)x->mult);
        y[2 * i + 1] = (float)(s * (double)x->mult);
    }
}
static void aios__op_norm_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_norm *n = &o->u.norm;
    const float *x = n->x + (int64_t)(o->rows == AIOS__OF_OUTPUTS ? r->pass->out[t] : t) * n->n;
    float *y = n->out.p[AIOSK_FLT] ? (float *)(void *)aios__form(&n->out, AIOSK_FLT, t)
                                   : aios__work_f32(r, worker);
    if (n->kind == AIOS__NORM_RMS)
        r->k->rms_norm(x, n->w, n->eps, n->n, y);
    else
        r->k->layer_norm(x, n->w, n->b, n->eps, n->n, y);
    if (n->add) {
        float *z = n->add + (int64_t)t * n->n;
        r->k->add(z, y, n->n, z);
    } else
        aios__forms(r, &n->out, t, y);
}
/* The first values of a row, in place. */
static void aios__op_act_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_act *a = &o->u.act;
    (void)worker;
    if (a->pairs) t += aios__moe_col0(r->moe);
    float *x = a->x + (uint64_t)t * a->x_stride;
    if (a->up)
        r->k->act_gated(a->act, x, a->up + (uint64_t)t * a->x_stride, a->n, x);
    else
        r->k->act(a->act, x, a->n, x);
    aios__forms(r, &a->out, t, x);
}
static int32_t aios__act_tasks(const aios__op *o, const aios__run *r) {
    return o->u.act.pairs ? aios__moe_cols(r->moe) : aios__op_rows(o, r);
}
static void aios__op_scale_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n;
    (void)worker;
    r->k->scale(x, s->scale, s->n, x);
}
static void aios__op_cap_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n;
    (void)worker;
    r->k->softcap(x, s->scale, s->n, x);
}
static void aios__op_add_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_scale *s = &o->u.scale;
    float *x = s->x + (int64_t)t * s->n, *y = s->y + (int64_t)t * s->n;
    (void)worker;
    r->k->scale(x, s->scale, s->n, x);
    r->k->add(y, x, s->n, y);
}
static void aios__angles_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.angles.y, (uint64_t)o->u.angles.n * 2, o->u.angles.n * 2);
}
static void aios__norm_wrote(const aios__op *o, aios__acts *a) {
    *a = o->u.norm.out;
    if (o->u.norm.add) aios__wrote_f32(a, o->u.norm.add, (uint64_t)o->u.norm.n, o->u.norm.n);
}
static void aios__act_wrote(const aios__op *o, aios__acts *a) {
    *a = o->u.act.out;
    aios__wrote_f32(a, o->u.act.x, o->u.act.x_stride, o->u.act.n);
}
/* SCALE, CAP: x; ADD: y. */
static void aios__scale_wrote(const aios__op *o, aios__acts *a) {
    const aios__op_scale *s = &o->u.scale;
    aios__wrote_f32(a, s->y ? s->y : s->x, (uint64_t)s->n, s->n);
}
/* clang-format off */
#define AIOS__ROW_KIND(name, wrote) \
    static const aios__op_kind aios__kind_##name = { #name, aios__op_##name##_run, \
        aios__tasks_rows, NULL, wrote, 0, AIOS__PLAIN }
AIOS__ROW_KIND(angles, aios__angles_wrote);
AIOS__ROW_KIND(norm, aios__norm_wrote);
AIOS__ROW_KIND(scale, aios__scale_wrote);
AIOS__ROW_KIND(cap, aios__scale_wrote);
AIOS__ROW_KIND(add, aios__scale_wrote);
static const aios__op_kind aios__kind_act = { "act", aios__op_act_run, aios__act_tasks, NULL,
    aios__act_wrote, 0, AIOS__PLAIN };
/* clang-format on */

/* ---- the cache ---- */
/* Open pages that were shared are copied before they are written: a task is a piece of one. */
enum { AIOS__COPY_BYTES = 1 << 17 };
static int32_t aios__copy_pieces(const aios__kv *kv, const aios__kv_copy *c) {
    return (int32_t)((kv->pool[c->g][AIOS__KV_OPEN].bytes + AIOS__COPY_BYTES - 1) /
                     AIOS__COPY_BYTES);
}
static int32_t aios__copy_tasks(const aios__op *o, const aios__run *r) {
    int32_t n = 0;
    (void)o;
    for (int32_t i = 0; i < r->kv->n_copies; i++) n += aios__copy_pieces(r->kv, &r->kv->copy[i]);
    return n;
}
static void aios__op_copy_run(const aios__op *o, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv_copy *c = r->kv->copy;

    int32_t pieces;
    (void)o;
    (void)worker;
    for (; task >= (pieces = aios__copy_pieces(r->kv, c)); c++) task -= pieces;
    const aios__pages *p = &r->kv->pool[c->g][AIOS__KV_OPEN];
    uint64_t at = (uint64_t)task * AIOS__COPY_BYTES;
    uint64_t n = aios__min_u64(p->bytes - at, AIOS__COPY_BYTES);
    memcpy(p->base + (uint64_t)aios__page_at(r->kv, c->g, AIOS__KV_OPEN, c->seq, c->t) * p->bytes +
               at,
           p->base + (uint64_t)c->from * p->bytes + at, (size_t)n);
}
/* clang-format off */
static const aios__op_kind aios__kind_copy = { "copy", aios__op_copy_run, aios__copy_tasks, NULL, NULL, 0,
    AIOS__PLAIN };
/* clang-format on */

/* One head of a tile that is full: open to sealed, sealed to old. */
static void aios__op_seal_run(const aios__op *o, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv *kv = r->kv;
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    const aios__kv_seal *j = &kv->seal[task / h->n_head_kv];
    int32_t head = task % h->n_head_kv, g = kv->group[o->layer], page[AIOS__N_FORMS];
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) page[f] = aios__page_at(kv, g, f, j->seq, j->t);
    for (int32_t f = AIOS__KV_SEALED; f < AIOS__N_FORMS; f++) {
        if (!(f == AIOS__KV_SEALED ? j->seal : j->age) || page[f] == AIOS__NO_PAGE ||
            page[f - 1] == AIOS__NO_PAGE)
            continue;
        r->k->kv_convert(kv->type[f - 1][o->layer],
                         aios__tile_of(kv, g, f - 1, page[f - 1], o->layer, head),
                         kv->type[f][o->layer], aios__tile_of(kv, g, f, page[f], o->layer, head),
                         h->hd_k, h->hd_v, aios__work(r, worker));
    }
}
static int32_t aios__seal_tasks(const aios__op *o, const aios__run *r) {
    return r->kv->n_seals * r->hp->layer[o->layer].n_head_kv;
}
/* clang-format off */
static const aios__op_kind aios__kind_seal = { "seal", aios__op_seal_run, aios__seal_tasks, NULL, NULL, 0,
    AIOS__PLAIN };
/* clang-format on */

/* Norms and turns the heads of one token, then writes its keys and values into the cache. */
static void aios__op_heads_run(const aios__op *o, const aios__run *r, int32_t t, int32_t worker) {
    const aios__op_heads *x = &o->u.heads;
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    float *q = x->x + (uint64_t)t * x->x_stride, *k = q + (int64_t)l->n_head * l->hd_k,
          *v = k + (int64_t)l->n_head_kv * l->hd_k;
    int32_t cell = r->pass->cell[t], rotated = r->kv->rotated[o->layer],
            type = r->kv->type[AIOS__KV_OPEN][o->layer];
    (void)worker;
    if (x->q_norm)
        for (int32_t h = 0; h < l->n_head * l->hd_k; h += x->q_norm_n)
            r->k->rms_norm(q + h, x->q_norm, x->eps, x->q_norm_n, q + h);
    if (x->k_norm)
        for (int32_t h = 0; h < l->n_head_kv * l->hd_k; h += x->k_norm_n)
            r->k->rms_norm(k + h, x->k_norm, x->eps, x->k_norm_n, k + h);
    if (l->rope >= 0) { /* keys follow the queries */
        const aios__rope *rope = &r->hp->rope[l->rope];
        r->k->rope(rope->kind, q, l->n_head + l->n_head_kv, l->hd_k, rope->n_rot,
                   x->cs + (int64_t)t * rope->n_rot);
    }
    /* queries are rotated where they are used */
    if (rotated & AIOS__ROTATED_K) r->k->rotate(k, l->n_head_kv, l->hd_k, 0);
    if (rotated & AIOS__ROTATED_V) r->k->rotate(v, l->n_head_kv, l->hd_v, 0);
    for (int32_t h = 0; h < l->n_head_kv; h++)
        r->k->store[type](aios__kv_open_tile(r->kv, r->pass->seq[t], o->layer, h, cell),
                          cell % AIOSK_TILE, k + (int64_t)h * l->hd_k, v + (int64_t)h * l->hd_v,
                          l->hd_k, l->hd_v);
}
static void aios__heads_wrote(const aios__op *o, aios__acts *a) {
    aios__wrote_f32(a, o->u.heads.x, o->u.heads.x_stride, (int32_t)o->u.heads.x_stride);
}
/* clang-format off */
AIOS__ROW_KIND(heads, aios__heads_wrote);
/* clang-format on */
