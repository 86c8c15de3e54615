/* program.c: the graph of a model and a plan -> a flat array of ops (op.h). Each op holds its
 * pointers, kernels, shapes and byte counts; running is a loop over it (exec.c) that looks up no
 * name, chooses no path and takes no memory. The same walk counts and builds, so that the plan
 * knows the program's size to the byte.
 *
 * An op joins the phase before it when it reads nothing that this writes, writes nothing that it
 * touches, and neither goes in rounds. A value has its place in scratch memory from the phase
 * that makes it to the last one that reads it: what is free then goes to the next value, the
 * smallest that is large enough, or else the largest, which grows. */

/* ---- rope frequencies ---- */
/* Each pair i turns by pos * freq[i]: every scaling method comes down to another table. Returns
 * what cos and sin are multiplied with in *mult_out. From: linear (Chen 2023), YaRN (Peng 2023),
 * LongRoPE (Ding 2024), as GGUF writes their parameters. */
AIOSK__STRICT static aios_status aios__rope_freqs(const aios_model *m, const aios__rope *p,
                                                  int32_t n_ctx, double *freq, float *mult_out,
                                                  aios_error *err) {
    int32_t n = p->n_rot / 2, r = AIOS__ROLE_ROPE_FREQS;
    double log_base = aios__log(p->base), mult = p->attn_factor, low = 0, high = 0;
    if (p->scaling == AIOS__SCALE_YARN) {
        double d = (double)p->n_rot / (2 * log_base), two_pi = 6.283185307179586;
        low = aios__floor(d * aios__log((double)p->orig_ctx / (p->beta_fast * two_pi)));
        high = -aios__floor(-d * aios__log((double)p->orig_ctx / (p->beta_slow * two_pi)));
        if (low < 0) low = 0;
        if (high > p->n_rot - 1) high = p->n_rot - 1;
        if (high - low < 0.001) high = low + 0.001;
        if (p->ext != 0) mult *= 1 + 0.1 * aios__log(p->factor);
    }
    if (m->role[AIOS__ROLE_ROPE_LONG].w >= 0 && m->role[AIOS__ROLE_ROPE_SHORT].w >= 0)
        r = n_ctx > p->orig_ctx ? AIOS__ROLE_ROPE_LONG : AIOS__ROLE_ROPE_SHORT;
    const float *div =
        p->divide && m->role[r].w >= 0 ? (const float *)m->place[m->role[r].w].p : NULL;
    for (int32_t i = 0; i < n; i++) {
        double f = aios__exp(-(double)(2 * i) / (double)p->n_rot * log_base);
        if (div) {
            if (!(div[i] >= 1e-6f && div[i] <= 1e6f))
                return aios__fail2(err, AIOS_ERR_MODEL,
                                   m->gguf.tensor[m->role[r].w].off + (uint64_t)i * 4, 0,
                                   (uint64_t)i, "factor % of tensor % makes no sense", aios__i(i),
                                   aios__s(m->gguf.tensor[m->role[r].w].name));
            f /= (double)div[i];
        }
        if (p->scaling == AIOS__SCALE_LINEAR) f /= p->factor;
        if (p->scaling == AIOS__SCALE_YARN) {
            double ramp = ((double)i - low) / (high - low), keep;
            ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
            /* 1 = the fast pairs turn as trained, 0 = slowed down */
            keep = (1 - ramp) * p->ext;
            f = f / p->factor * (1 - keep) + f * keep;
        }
        if ((double)n_ctx * f > 1e6)
            return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1000000, (uint64_t)n_ctx,
                               "rope turns pair % too far to be computed within % positions",
                               aios__i(i), aios__i(n_ctx));
        freq[i] = f;
    }
    *mult_out = (float)mult;
    return AIOS_OK;
}

/* ---- the program ---- */
typedef struct aios__program {
    aios__op *op;       /* [n_ops] */
    aios__unit *unit;   /* [n_units] what is streamed, in the order of use */
    aios__expert *each; /* [n_split of the model] */
    double *freq;       /* of all ropes, one after the other: [n_rot / 2] */
    float rope_mult[AIOS__MAX_ROPES];
    uint32_t n_ops, n_phases, n_units, n_each;
    uint64_t slot_bytes;                            /* of the largest unit */
    uint64_t matrix_bytes[AIOS__N_EXPERT_MATRICES]; /* of a slot for experts: the widest */
    aios__table table[AIOS__N_TABLES];              /* tables of which rows are read from storage */
    int32_t n_tables;
    uint64_t row_slot_bytes, row_align; /* of the longest row */
    /* per decoded token: weights, activations; from storage; of these, of experts */
    uint64_t w_bytes, act_bytes, stream_bytes, expert_bytes;
    uint64_t scratch_bytes, work_bytes; /* of all; of one worker */
    char *work;
    const float *logits, *embedding; /* [n_outputs][n_vocab], [n_outputs][n_embd] */
} aios__program;

/* A place in scratch memory. */
typedef struct aios__buffer {
    uint64_t bytes;
    int32_t value, form; /* of which it has the rows; -1 = it is free */
} aios__buffer;
enum { AIOS__MAX_BUFFERS = 64 };

/* A walk over the graph. */
typedef struct aios__emitter {
    const aios_model *m;
    const aios__graph *g;
    const aiosk_isa *k;
    aios__program *p;
    int32_t n_ctx, n_seq, n_batch, n_outputs, n_threads, numerics;
    int32_t coded, heavy; /* tiles of the cache are sealed; some stay for the attention they get */
    aios__cut cut;
    int32_t n_block; /* tokens that attention takes together */
    char *base;      /* of scratch memory; NULL = count */
    aios__moe *moe;
    aios__bundle *bundle; /* [n_layer] where experts are cached */
    int32_t first_node;   /* of the current phase; -1 = it takes no more */
    int32_t first_expert; /* op of a layer that waits for experts */
    int32_t last_table;   /* op that takes rows from storage, -1 = none */
    int32_t full;
    aios__buffer buffer[AIOS__MAX_BUFFERS];
    uint64_t off[AIOS__MAX_BUFFERS];
    int32_t n_buffers;
    aios__op local;
} aios__emitter;

/* ---- values in scratch memory ---- */
/* The forms in which a value is read. */
static uint32_t aios__mask(const aios__emitter *e, int32_t v) {
    return e->numerics == AIOS_REFERENCE ? 1u << AIOSK_FLT : e->g->value[v].forms;
}
/* The form in which a matrix reads its input. */
static int32_t aios__form_read(const aios__emitter *e, const aios__tensor *t) {
    return e->numerics == AIOS_REFERENCE ? (int32_t)AIOSK_FLT
                                         : (int32_t)aiosk_type_info((int32_t)t->type)->family;
}
static uint64_t aios__value_rows(const aios__emitter *e, const aios__value *v) {
    uint64_t n = (uint64_t)e->n_batch;
    switch (v->rows) {
    case AIOS__OF_TOKENS: return n;
    case AIOS__OF_OUTPUTS: return (uint64_t)e->n_outputs;
    case AIOS__OF_PAIRS: return n * (uint64_t)e->m->hp.n_used;
    case AIOS__OF_PARTIALS: return (uint64_t)aios__attend_most_partials(e->n_ctx);
    case AIOS__OF_MASSES: return e->heavy ? n * (uint64_t)aios__tiles(e->n_ctx) : 0;
    default: return 0;
    }
}
static uint64_t aios__row_stride(int32_t width, int32_t form) {
    return form == AIOSK_FLT ? (uint64_t)width * 4
                             : aios__round_up(aiosk_act_bytes(form, (uint64_t)width), 64);
}
/* A free buffer for so many bytes: -1 = a new one. */
static int32_t aios__buffer_find(const aios__emitter *e, uint64_t bytes) {
    int32_t best = -1;
    for (int32_t i = 0; i < e->n_buffers; i++) {
        const aios__buffer *b = &e->buffer[i], *than = best < 0 ? NULL : &e->buffer[best];
        if (b->value >= 0) continue;
        if (!than || (than->bytes < bytes ? b->bytes > than->bytes
                                          : b->bytes >= bytes && b->bytes < than->bytes))
            best = i;
    }
    return best;
}
/* Where the rows of a value are, in one of its forms; they get a place when they have none yet.
 * NULL while counting, and where the plan has no rows of it. */
static char *aios__rows_at(aios__emitter *e, int32_t v, int32_t form, uint64_t *stride) {
    const aios__value *x = &e->g->value[v];
    uint64_t at = 0;
    int32_t i;
    if (form == AIOSK_FLT && x->base >= 0) { /* views have their f32 in place */
        at = (uint64_t)x->at * 4;
        v = x->base;
        x = &e->g->value[v];
    }
    *stride = aios__row_stride(x->width, form);
    uint64_t bytes = aios__round_up(*stride * aios__value_rows(e, x), 64);
    if (!bytes) return NULL;
    for (i = 0; i < e->n_buffers; i++)
        if (e->buffer[i].value == v && e->buffer[i].form == form)
            return e->base ? e->base + e->off[i] + at : NULL;
    i = aios__buffer_find(e, bytes);
    if (i < 0 && e->n_buffers == AIOS__MAX_BUFFERS) {
        e->full = 1;
        return NULL;
    }
    if (i < 0) {
        i = e->n_buffers++;
        e->buffer[i].bytes = 0;
    }
    if (e->buffer[i].bytes < bytes) e->buffer[i].bytes = bytes;
    e->buffer[i].value = v;
    e->buffer[i].form = form;
    return e->base ? e->base + e->off[i] + at : NULL;
}
static float *aios__f32_at(aios__emitter *e, int32_t v, uint64_t *floats) {
    uint64_t stride = 0;
    if (v < 0) return NULL;
    float *p = (float *)(void *)aios__rows_at(e, v, AIOSK_FLT, &stride);
    if (floats) *floats = stride / 4;
    return p;
}
/* All forms of mask; gives the bytes of a row of them. */
static uint64_t aios__acts_at(aios__emitter *e, int32_t v, uint32_t mask, aios__acts *a) {
    uint64_t bytes = 0;
    a->n = e->g->value[v].width;
    for (int32_t k = 0; k < AIOSK_N_ACTS; k++) {
        if (!(mask & 1u << k)) continue;
        a->p[k] = aios__rows_at(e, v, k, &a->stride[k]);
        bytes += a->stride[k];
    }
    return bytes;
}
/* The next phase begins with a node: what nobody reads any more is free. */
static void aios__buffers_free(aios__emitter *e, int32_t node) {
    for (int32_t i = 0; i < e->n_buffers; i++)
        if (e->buffer[i].value >= 0 && e->g->value[e->buffer[i].value].last < node)
            e->buffer[i].value = -1;
}

/* ---- phases ---- */
static int32_t aios__overlap_values(const aios__graph *g, int32_t a, int32_t b) {
    if (a < 0 || b < 0) return 0;
    if (a == b) return 1;
    const aios__value *x = &g->value[a];
    const aios__value *y = &g->value[b];
    if ((x->base < 0 ? a : x->base) != (y->base < 0 ? b : y->base)) return 0;
    return x->base < 0 || y->base < 0 || (x->at < y->at + y->width && y->at < x->at + x->width);
}
/* Does one write what the other touches? */
static int32_t aios__nodes_meet(const aios__graph *g, const aios__node *a, const aios__node *b) {
    for (int32_t i = 0; i < AIOS__MAX_OUT; i++) {
        for (int32_t k = 0; k < AIOS__MAX_IN; k++)
            if (aios__overlap_values(g, a->out[i], b->in[k]) ||
                aios__overlap_values(g, b->out[i], a->in[k]))
                return 1;
        for (int32_t k = 0; k < AIOS__MAX_OUT; k++)
            if (aios__overlap_values(g, a->out[i], b->out[k])) return 1;
    }
    return 0;
}
static int32_t aios__joins(const aios__emitter *e, int32_t node, const aios__op_kind *kind) {
    if (e->first_node < 0 || kind->alone) return 0;
    for (int32_t i = e->first_node; i < node; i++)
        if (aios__nodes_meet(e->g, &e->g->node[i], &e->g->node[node])) return 0;
    return 1;
}
/* An op of a node, in the current phase or the next one. */
static aios__op *aios__op_new(aios__emitter *e, const aios__node *n, const aios__op_kind *kind) {
    aios__program *p = e->p;
    aios__op *o = e->base ? &p->op[p->n_ops] : &e->local;
    int32_t node = (int32_t)(n - e->g->node);
    memset(o, 0, sizeof *o);
    if (!aios__joins(e, node, kind)) {
        aios__buffers_free(e, node);
        e->first_node = kind->alone ? -1 : node;
        p->n_phases++;
    }
    p->n_ops++;
    o->kind = kind;
    o->name = n->name;
    o->layer = n->layer;
    o->phase = (int32_t)p->n_phases - 1;
    o->type = o->tier = -1;
    if (n->out[0] >= 0) o->rows = e->g->value[n->out[0]].rows;
    return o;
}
/* Its byte counts are known. work: what a worker needs for a task of it. */
static void aios__op_done(aios__emitter *e, const aios__op *o, uint64_t work) {
    e->p->w_bytes += o->w_bytes;
    e->p->act_bytes += o->act_bytes;
    if (work > e->p->work_bytes) e->p->work_bytes = work;
}
static const float *aios__vec(const aios__emitter *e, int32_t tensor) {
    return tensor < 0 ? NULL : (const float *)e->m->place[tensor].p;
}
static uint64_t aios__vec_bytes(const aios__emitter *e, int32_t tensor) {
    return tensor < 0 ? 0 : e->m->gguf.tensor[tensor].n[0] * 4;
}

/* ---- a node's ops ---- */
static void aios__emit_copy(aios__emitter *e, const aios__node *n) {
    if (e->n_seq > 1) aios__op_done(e, aios__op_new(e, n, &aios__kind_copy), 0);
}
/* A table of which not all rows are resident: what reading one takes. */
static void aios__emit_stored(aios__emitter *e, aios__op *o, const aios__tensor *t,
                              const aios__place *at) {
    aios__program *p = e->p;
    aios__table *x = &p->table[o->u.table.which];
    uint64_t most = aios__most_read_bytes(t->row_bytes, &e->m->io[t->part]);
    x->off = t->off;
    x->row_bytes = t->row_bytes;
    x->part = t->part;
    x->n_resident = at->rows;
    if (!at->rows) o->tier = AIOS_TIER_STREAM;
    e->last_table = (int32_t)p->n_ops - 1;
    p->n_tables++;
    if (aios__stream_align(&e->m->io[t->part]) > 1) p->row_align = AIOS__STREAM_ALIGN;
    p->row_slot_bytes =
        aios__round_up(most > p->row_slot_bytes ? most : p->row_slot_bytes, p->row_align);
    p->stream_bytes += most;
}
static void aios__emit_table(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 };
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    int32_t stored = at.rows < t->n[1];
    aios__op *o = aios__op_new(e, n, stored ? &aios__kind_stored_table : &aios__kind_table);
    aios__op_table *x = &o->u.table;
    o->type = (int32_t)t->type;
    o->tier = at.tier;
    x->w = at.p;
    x->layout = at.layout;
    x->row_bytes = t->row_bytes;
    x->n = (int32_t)t->n[0];
    x->which = n->which;
    x->scale = n->scale;
    x->add = n->in[0] >= 0;
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    if (stored) aios__emit_stored(e, o, t, &at);
    o->w_bytes = t->row_bytes;
    o->act_bytes = (uint64_t)x->n * 4;
    /* the row, then the same dequantised */
    aios__op_done(e, o, t->row_bytes + (uint64_t)x->n * 4);
}
static const double *aios__rope_freq(const aios__emitter *e, int32_t rope) {
    const double *freq = e->p->freq;
    if (rope < 0 || !freq) return NULL;
    for (int32_t i = 0; i < rope; i++) freq += e->m->hp.rope[i].n_rot / 2;
    return freq;
}
static void aios__emit_angles(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_angles);
    aios__op_angles *x = &o->u.angles;
    x->n = e->m->hp.rope[n->which].n_rot / 2;
    x->freq = aios__rope_freq(e, n->which);
    x->mult = e->p->rope_mult[n->which];
    x->y = aios__f32_at(e, n->out[0], NULL);
    o->act_bytes = (uint64_t)x->n * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_norm(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_norm);
    aios__op_norm *x = &o->u.norm;
    uint64_t bytes = 0;
    x->kind = e->m->arch->norm;
    x->eps = e->m->hp.norm_eps;
    x->n = e->g->value[n->in[0]].width;
    x->w = aios__vec(e, n->w.w);
    x->b = aios__vec(e, n->w.b);
    x->x = aios__f32_at(e, n->in[0], NULL);
    if (n->in[1] >= 0)
        x->add = aios__f32_at(e, n->in[1], NULL);
    else
        bytes = aios__acts_at(e, n->out[0], aios__mask(e, n->out[0]), &x->out);
    o->w_bytes = aios__vec_bytes(e, n->w.w) + aios__vec_bytes(e, n->w.b);
    o->act_bytes = (uint64_t)x->n * (n->in[1] < 0 ? 4 : 12) + bytes;
    aios__op_done(e, o, (uint64_t)x->n * 4);
}

/* Rows row0 .. row1-1 of a matrix: those that are resident, or those that are not. */
static aios__op *aios__emit_rows(aios__emitter *e, const aios__node *n, const aios__op_kind *kind,
                                 const aios__place *at, int32_t layout, uint32_t row0,
                                 uint32_t row1) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    aios__op *o = aios__op_new(e, n, kind);
    aios__op_matrix *x = &o->u.matrix;
    int32_t form = aios__form_read(e, t),
            most = o->rows == AIOS__OF_OUTPUTS ? e->n_outputs : e->n_batch,
            cols = most < AIOSK__MAX_COLS ? most : (int32_t)AIOSK__MAX_COLS;
    o->type = (int32_t)t->type;
    o->tier = kind == &aios__kind_matrix ? (int32_t)at->tier : (int32_t)AIOS_TIER_STREAM;
    x->w = at->p;
    x->bias = aios__vec(e, n->w.b);
    if (x->bias) x->bias += row0;
    if (e->numerics != AIOS_REFERENCE) x->mm = e->k->matmul[o->type][layout];
    /* asks the CPU: not while counting */
    if (e->base && e->numerics == AIOS_FAST && layout == AIOSK_ROWS)
        x->mm = aiosk_matmul_fast(e->k, o->type);
    x->x = aios__rows_at(e, n->in[0], form, &x->x_stride);
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    if (x->y) x->y += row0;
    x->n_in = (int32_t)t->n[0];
    x->n_out = (int32_t)(row1 - row0);
    x->add = n->in[1] >= 0;
    x->rows_per_task = aios__task_rows(t->row_bytes, x->n_in, x->n_out, cols);
    x->cols_per_task = aios__task_cols(x->rows_per_task, x->n_in, cols);
    o->w_bytes =
        aios__rows_bytes(t, layout, row1 - row0) + (n->w.b < 0 ? 0 : (uint64_t)(row1 - row0) * 4);
    o->act_bytes = x->x_stride + (uint64_t)x->n_out * (x->add ? 8 : 4);
    /* the reference dequantises a row */
    aios__op_done(e, o, e->numerics == AIOS_REFERENCE ? (uint64_t)x->n_in * 4 : 0);
    return o;
}
/* What is resident of a matrix, then what is streamed, in a phase of its own with a round for
 * each unit. */
static void aios__emit_matrix(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 };
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)n->w.w);
    aios__program *p = e->p;
    uint32_t row = at.rows, n_rows = (uint32_t)t->n[1];
    if (row) aios__emit_rows(e, n, &aios__kind_matrix, &at, at.layout, 0, row);
    if (row == n_rows) return;
    aios__op *o = aios__emit_rows(e, n, &aios__kind_streamed_matrix, &at, from.layout, row, n_rows);
    uint32_t unit_rows = aios__unit_rows(t, e->cut.unit_bytes);
    o->u.matrix.unit_rows = (int32_t)unit_rows;
    for (; row < n_rows; row += unit_rows, p->n_units++, o->n_units++) {
        aios__unit u;
        u.off = from.off + aios__rows_bytes(t, from.layout, row);
        u.part = from.io;
        u.n_bytes =
            (uint32_t)aios__rows_bytes(t, from.layout, aios__min_u64(unit_rows, n_rows - row));
        uint64_t n_read = aios__unit_read_bytes(&u, &e->m->io[u.part]);
        if (n_read > p->slot_bytes) p->slot_bytes = n_read;
        p->stream_bytes += n_read;
        if (e->base) p->unit[p->n_units] = u;
    }
}

static void aios__emit_heads(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_heads);
    aios__op_heads *x = &o->u.heads;
    int32_t q = e->m->layer[n->layer][AIOS__ROLE_ATTN_Q_NORM].w,
            k = e->m->layer[n->layer][AIOS__ROLE_ATTN_K_NORM].w;
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->cs = aios__f32_at(e, n->in[1], NULL);
    x->q_norm = aios__vec(e, q);
    x->k_norm = aios__vec(e, k);
    x->q_norm_n = (int32_t)(aios__vec_bytes(e, q) / 4);
    x->k_norm_n = (int32_t)(aios__vec_bytes(e, k) / 4);
    x->eps = e->m->hp.norm_eps;
    o->w_bytes = aios__vec_bytes(e, q) + aios__vec_bytes(e, k);
    o->act_bytes = x->x_stride * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_seal(aios__emitter *e, const aios__node *n) {
    const aios__hp_layer *h = &e->m->hp.layer[n->layer];
    if (e->coded)
        aios__op_done(e, aios__op_new(e, n, &aios__kind_seal),
                      AIOSK_CONVERT_SCRATCH(h->hd_k > h->hd_v ? h->hd_k : h->hd_v));
}
/* The buffers that both ops of attention know. v: y, state, partials, masses. */
static void aios__attend_buffers(aios__emitter *e, const aios__node *n, const int16_t *v,
                                 aios__op_attend *x) {
    x->window = e->m->hp.layer[n->layer].window;
    x->n_batch = e->n_batch;
    x->n_partials = aios__attend_most_partials(e->n_ctx);
    x->y = aios__f32_at(e, v[0], NULL);
    x->state = aios__f32_at(e, v[1], NULL);
    x->partial = aios__f32_at(e, v[2], NULL);
    x->mass = aios__f32_at(e, v[3], NULL);
}
static void aios__emit_attend(aios__emitter *e, const aios__node *n) {
    const aios__hp_layer *h = &e->m->hp.layer[n->layer];
    aios__op *o = aios__op_new(e, n, &aios__kind_attend);
    aios__op_attend *x = &o->u.attend;
    aios__attend_work w;
    aios__bump work = { NULL, 0 };
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->freq = aios__rope_freq(e, h->rope);
    aios__attend_buffers(e, n, n->out, x);
    aios__attend_layout(&w, &work, h, e->n_block, h->rope >= 0 ? e->m->hp.rope[h->rope].n_rot : 0);
    o->act_bytes = (uint64_t)(h->n_head * (h->hd_k + h->hd_v)) * 4;
    aios__op_done(e, o, work.used);
}
static void aios__emit_attend_end(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_attend_end);
    uint32_t mask = aios__mask(e, n->out[0]) & ~(1u << AIOSK_FLT);
    aios__attend_buffers(e, n, n->in, &o->u.attend);
    o->act_bytes = (uint64_t)e->g->value[n->out[0]].width * 8 +
                   aios__acts_at(e, n->out[0], mask, &o->u.attend.out);
    aios__op_done(e, o, 0);
}
static void aios__emit_act(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_act);
    aios__op_act *x = &o->u.act;
    uint32_t mask = aios__mask(e, n->out[0]) & ~(1u << AIOSK_FLT);
    x->x = aios__f32_at(e, n->in[0], &x->x_stride);
    x->up = aios__f32_at(e, n->in[1], NULL);
    x->n = e->g->value[n->out[0]].width;
    x->act = e->m->arch->act;
    x->pairs = o->rows == AIOS__OF_PAIRS;
    o->later = x->pairs && e->cut.experts;
    o->act_bytes =
        (uint64_t)x->n * (n->in[1] >= 0 ? 12 : 8) + aios__acts_at(e, n->out[0], mask, &x->out);
    if (x->pairs) o->act_bytes *= (uint64_t)e->m->hp.n_used;
    aios__op_done(e, o, 0);
}
static void aios__emit_rescale(aios__emitter *e, const aios__node *n, const aios__op_kind *kind) {
    aios__op *o = aios__op_new(e, n, kind);
    aios__op_scale *x = &o->u.scale;
    x->x = aios__f32_at(e, n->in[0], NULL);
    x->y = aios__f32_at(e, n->in[1], NULL);
    x->n = e->g->value[n->in[0]].width;
    x->scale = n->scale;
    o->act_bytes = (uint64_t)x->n * (n->in[1] < 0 ? 8 : 16);
    aios__op_done(e, o, 0);
}
static void aios__emit_scale(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_scale);
}
static void aios__emit_cap(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_cap);
}
static void aios__emit_add(aios__emitter *e, const aios__node *n) {
    aios__emit_rescale(e, n, &aios__kind_add);
}

/* ---- experts ---- */
static void aios__emit_route(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_route);
    o->u.moe.logit = aios__f32_at(e, n->in[0], &o->u.moe.logit_stride);
    o->u.moe.n = e->m->hp.n_expert;
    o->act_bytes = (uint64_t)e->m->hp.n_expert * 12 + (uint64_t)e->m->hp.n_used * 8;
    aios__op_done(e, o, 0);
}
static void aios__emit_group(aios__emitter *e, const aios__node *n) {
    aios__op_done(e, aios__op_new(e, n, &aios__kind_group), 0);
}
static void aios__emit_gather(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_gather);
    uint32_t mask = aios__mask(e, n->out[0]);
    aios__acts_at(e, n->in[0], mask, &o->u.gather.in);
    aios__acts_at(e, n->out[0], mask, &o->u.gather.out);
    aios__op_done(e, o, 0);
}
/* Where the experts' matrices are that are tensors of their own; first: that of expert 0. */
static const aios__expert *aios__emit_each(aios__emitter *e, int32_t first) {
    aios__expert *each = e->p->each + e->p->n_each;
    for (int32_t i = first; i >= 0; i = e->m->place[i].next) {
        aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)i);
        aios__expert *x = &e->p->each[e->p->n_each++];
        x->p = e->m->place[i].p;
        x->off = from.off;
        x->part = from.io;
    }
    return each;
}
/* The most that is read for a matrix of one expert. */
static uint64_t aios__expert_read_bytes(const aios__emitter *e, int32_t first, uint64_t n_bytes) {
    uint64_t most = 0;
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)first);
    if (!e->m->place[first].split) {
        uint64_t align = aios__stream_align(&e->m->io[from.io]);
        return aios__round_up(n_bytes + (from.off % align || n_bytes % align ? align - 1 : 0),
                              align);
    }
    for (int32_t i = first; i >= 0; i = e->m->place[i].next) {
        aios__unit u;
        from = aios__source_of(e->m, &e->cut, (uint32_t)i);
        u.off = from.off;
        u.part = from.io;
        u.n_bytes = (uint32_t)n_bytes;
        uint64_t n = aios__unit_read_bytes(&u, &e->m->io[u.part]);
        if (n > most) most = n;
    }
    return most;
}
static void aios__emit_cached(aios__emitter *e, aios__op *o, const aios__node *n) {
    aios__program *p = e->p;
    const aios__op_experts *x = &o->u.experts;
    aios__source from = aios__source_of(e->m, &e->cut, (uint32_t)n->w.w);
    uint64_t n_read = aios__expert_read_bytes(e, n->w.w, x->expert_bytes),
             read = n_read * (uint64_t)e->m->hp.n_used;
    o->tier = AIOS_TIER_STREAM;
    o->later = 1;
    o->gone = n->which == AIOS__EXPERT_GATE;
    if (n_read > p->matrix_bytes[x->which])
        p->matrix_bytes[x->which] = aios__round_up(n_read, AIOS__STREAM_ALIGN);
    p->stream_bytes += read;
    p->expert_bytes += read;
    if (e->base) {
        aios__bundle *b = &e->bundle[n->layer];
        b->each[x->which] = x->each;
        b->off[x->which] = from.off;
        b->part[x->which] = from.io;
        b->n_bytes[x->which] = (uint32_t)x->expert_bytes;
    }
}
static void aios__emit_experts(aios__emitter *e, const aios__node *n) {
    const aios__tensor *t = &e->m->gguf.tensor[n->w.w];
    uint64_t off[2] = { 0, 0 }, used = (uint64_t)e->m->hp.n_used;
    aios__place at = aios__place_of(e->m, &e->cut, (uint32_t)n->w.w, off);
    aios__op *o = aios__op_new(
        e, n, e->cut.experts ? &aios__kind_cached_experts[n->which] : &aios__kind_experts);
    aios__op_experts *x = &o->u.experts;
    int32_t form = aios__form_read(e, t);
    o->type = (int32_t)t->type;
    o->tier = at.tier;
    x->w = at.p;
    x->mm = e->numerics == AIOS_REFERENCE ? NULL : e->k->matmul[o->type][at.layout];
    if (e->base && e->numerics == AIOS_FAST && at.layout == AIOSK_ROWS)
        x->mm = aiosk_matmul_fast(e->k, o->type);
    x->x = aios__rows_at(e, n->in[0], form, &x->x_stride);
    if (n->in[2] >= 0) x->alone = aios__rows_at(e, n->in[2], form, &x->x_stride);
    x->y = aios__f32_at(e, n->out[0], &x->y_stride);
    x->n_in = (int32_t)t->n[0];
    x->n_out = (int32_t)t->n[1];
    x->rows_per_task = aios__task_rows(t->row_bytes, x->n_in, x->n_out, 0);
    x->which = n->which;
    if (n->which == AIOS__EXPERT_GATE) e->first_expert = (int32_t)e->p->n_ops - 1;
    x->back = (int32_t)e->p->n_ops - 1 - e->first_expert;
    x->expert_bytes = aios__rows_bytes(t, at.layout, t->n[1]);
    if (e->base && at.split) x->each = aios__emit_each(e, n->w.w);
    if (e->cut.experts) aios__emit_cached(e, o, n);
    o->w_bytes = x->expert_bytes * used;
    o->act_bytes = (x->x_stride + (uint64_t)x->n_out * 4) * used;
    aios__op_done(e, o, e->numerics == AIOS_REFERENCE ? (uint64_t)x->n_in * 4 : 0);
}
static void aios__emit_combine(aios__emitter *e, const aios__node *n) {
    aios__op *o = aios__op_new(e, n, &aios__kind_combine);
    aios__op_moe *x = &o->u.moe;
    uint64_t width = (uint64_t)e->g->value[n->in[0]].width;
    x->x = aios__f32_at(e, n->in[0], NULL);
    x->logit = aios__f32_at(e, n->in[1], &x->logit_stride);
    x->y = aios__f32_at(e, n->in[3], NULL);
    x->shared = aios__f32_at(e, n->in[4], NULL);
    x->n = (int32_t)width;
    x->gate = n->which;
    x->scale = n->scale;
    o->act_bytes = width * 4 * ((uint64_t)e->m->hp.n_used + 2 + (uint64_t)(n->in[4] >= 0));
    aios__op_done(e, o, width * 8);
}

/* ---- the walk ---- */
static void aios__walk(aios__emitter *e) {
    static void (*const emit[])(aios__emitter * e, const aios__node *n) = {
#define AIOS__X(N, n) aios__emit_##n,
        AIOS__NODES(AIOS__X)
#undef AIOS__X
    };
    aios__program *p = e->p;
    aios__bump lists;
    uint64_t at;
    uint32_t i;
    p->n_ops = p->n_phases = p->n_units = p->n_each = 0;
    p->n_tables = 0;
    p->w_bytes = p->act_bytes = p->stream_bytes = p->expert_bytes = 0;
    p->slot_bytes = p->work_bytes = p->row_slot_bytes = 0;
    p->row_align = 64;
    memset(p->matrix_bytes, 0, sizeof p->matrix_bytes);
    memset(p->table, 0, sizeof p->table);
    e->n_buffers = 0;
    e->first_node = e->last_table = -1;
    for (i = 0; i < e->g->n_nodes; i++) emit[e->g->node[i].kind](e, &e->g->node[i]);
    lists.base = e->base;
    lists.used = 0;
    if (e->m->hp.n_expert)
        aios__moe_layout(e->moe, &lists, (uint64_t)e->n_batch, (uint64_t)e->m->hp.n_layer);
    at = aios__round_up(lists.used, 64);
    for (i = 0; i < (uint32_t)e->n_buffers; i++) {
        e->off[i] = at;
        at += e->buffer[i].bytes;
    }
    p->work_bytes = aios__round_up(p->work_bytes, 64);
    p->work = e->base ? e->base + at : NULL;
    p->scratch_bytes = at + p->work_bytes * (uint64_t)e->n_threads;
}
/* Counts what a program takes. 0: the model has more values at a time than there are buffers. */
static int32_t aios__program_count(aios__emitter *e) {
    e->base = NULL;
    aios__walk(e);
    return !e->full;
}
/* Builds it over scratch memory, with p's arrays in their places and the model's tensors in
 * theirs. */
static void aios__program_build(aios__emitter *e, char *scratch) {
    aios__program *p = e->p;
    aios__program_count(e); /* where the buffers are */
    e->base = scratch;
    aios__walk(e);
    if (e->last_table >= 0) p->op[e->last_table].u.table.last = 1;
    p->logits = aios__f32_at(e, e->g->logits, NULL);
    p->embedding = aios__f32_at(e, e->g->embedding, NULL);
}
