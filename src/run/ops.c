/* ops.c: what the ops of a program are, and what one task of each does: embedding, norms,
 * matrices, heads, attention, activations, experts. A task sees what aios__run holds, writes
 * what is its own, and takes no memory.
 *
 * A value that a matrix reads can exist in up to three forms (aios__acts): f32, A32, A256. The
 * op that makes it writes just those that its readers need. */

typedef struct aios__acts {
    char *p[AIOSK_N_ACTS];         /* column 0 of each form; NULL = nobody needs it */
    uint64_t stride[AIOSK_N_ACTS]; /* bytes from one token to the next */
    int32_t n;                     /* values of one token */
} aios__acts;

/* The tokens that go through the program together. */
typedef struct aios__pass {
    int32_t n, n_out, n_blocks;
    int32_t n_runs[2]; /* most runs of keys that a block sees: in all positions, in the window */
    int32_t *id, *seq, *pos; /* [n_batch] */
    int32_t *slot, *turn;    /* [n_batch] place in the cache; position that rope turns for */
    int32_t *out;            /* [n_outputs] which of the tokens get logits */
    int32_t *block; /* [n_batch + 1] first token of each attention block (one sequence, one tile) */
} aios__pass;

struct aios__op;
typedef struct aios__run { /* what an op's tasks can see */
    const aiosk_isa *k;
    const aios__hp *hp;
    const aios__kv *kv;
    const aios__pass *pass;
    char *work; /* [n_threads][work_bytes] */
    uint64_t work_bytes;
    uint64_t *kv_read; /* [n_threads][8] bytes of cache read, a line each */
    int32_t round;     /* how often the phase has run before: ATTEND, STREAMED */
    int32_t n_threads;
    int32_t n_slots;      /* tokens that `part` holds a result for */
    const void *streamed; /* the unit of this round, of the op that is STREAMED */
    float *state;         /* [2][n_batch][n_head] maximum and sum of what att holds */
    /* [n_batch][n_head][seq_tiles][2] with heavy tiles: sum of each tile, and the maximum it is
     * relative to */
    float *mass;
    /* results of single runs: [n_slots][n_head][hp_v], then the same [2][n_slots][n_head] */
    float *part;
    aios__moe *moe;         /* of the layer that is at work */
    aios__cache *cache;     /* of experts that are not resident */
    const aios__rows *rows; /* of tables that are not */
} aios__run;
typedef void (*aios__op_fn)(const struct aios__op *op, const aios__run *r, int32_t task,
                            int32_t worker);

enum {
    AIOS__PER_TOKEN = 1,
    AIOS__PER_ROWS = 2,
    AIOS__PER_HEAD = 3, /* what a task is */
    AIOS__PER_PASS = 4,
    AIOS__PER_PAIR = 5,
    AIOS__PER_EXPERT = 6, /* PAIR, EXPERT: experts.c */
    AIOS__PER_COPY = 7,
    AIOS__PER_SEAL = 8, /* of the cache's tiles */
    AIOS__PER_MOVED_PAIR = 9
}; /* none when the pass is one token: its pairs have one input */
enum {
    AIOS__JOIN = 1,
    AIOS__ON_OUTPUTS = 2,
    AIOS__ADD = 4,
    AIOS__GATE = 8,
    AIOS__STREAMED = 16,
    AIOS__OF_PAIRS = 32 /* input by pair, always */,
    AIOS__CACHED = 64 /* w is in the cache */,
    AIOS__AWAIT = 128 /* begins when some experts are there */,
    AIOS__AGAIN = 256 /* and back to there while there are more */,
    AIOS__ROWS = 512 /* begins when the rows of its table are there: rows.c */
};

typedef struct aios__op {
    aios__op_fn run;
    const char *name;
    int32_t layer, per; /* layer -1 = none; per: AIOS__PER_* */
    uint32_t flags;
    int32_t type;        /* AIOSK_* of w; activation; norm */
    const void *w;       /* matrix, table, or norm weight; STREAMED: comes with the round */
    const float *b, *b2; /* bias; second norm weight */
    aiosk_matmul_fn mm;
    float *x;          /* f32 input, or in and out */
    uint64_t x_stride; /* floats */
    aios__acts in, out;
    float *y;
    uint64_t y_stride;
    int32_t n_in, n_out, rows_per_task, cols_per_task;
    int32_t unit_rows, n_units; /* STREAMED: rows of a round, rounds */
    int32_t window;             /* ATTEND: of the layer; 0 = sees all */
    float scale;
    int32_t layout;
    const double *freq;
    uint64_t expert_bytes;    /* PER_EXPERT: of one matrix, and from one to the next */
    const aios__expert *each; /* or not NULL: where each is, instead of w */
    int32_t part, back; /* CACHED: which of a bundle; ROWS: which table; AGAIN: how many ops back */
    /* weights read by one run of the op, whatever the tokens; PER_EXPERT: by one token */
    uint64_t w_bytes;
    uint64_t row_bytes;  /* EMBED: weights read per token */
    uint64_t act_bytes;  /* activations read and written per token */
    int32_t tier, phase; /* of w: AIOS_TIER_* */
    uint64_t busy_ns;    /* of the phase that begins here, when that is asked for */
} aios__op;

/* ---- the ops: what one task does ---- */
static inline char *aios__form(const aios__acts *a, int32_t kind, int32_t token) {
    return a->p[kind] + (uint64_t)token * a->stride[kind];
}
/* Writes x [n] in the forms that are asked for; the f32 form may be x itself. */
static void aios__forms(const aios__run *r, const aios__acts *a, int32_t token, const float *x) {
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (a->p[k] && (const char *)x != aios__form(a, k, token))
            r->k->quantize[k](x, a->n, aios__form(a, k, token));
}
static inline char *aios__work(const aios__run *r, int32_t worker) {
    return r->work + (uint64_t)worker * r->work_bytes;
}

/* Which row of a table each token of a pass takes. */
static inline const int32_t *aios__table_rows(const aios__pass *p, int32_t table) {
    return table == AIOS__EMBD_TABLE ? p->id : p->pos;
}
/* The first token of a round of an op that takes rows; others have one round. */
static inline int32_t aios__round_token(const aios__op *op, const aios__run *r) {
    return op->flags & AIOS__ROWS ? r->round * r->rows->per_round : 0;
}
/* Row i of a table, that of token t, dequantised. */
static void aios__row(const aios__op *op, const aios__run *r, int32_t t, int32_t i, char *tmp,
                      float *y) {
    uint64_t n = (uint64_t)op->n_in, bytes = aiosk_row_bytes(op->type, n);
    const char *row = op->flags & AIOS__ROWS ? aios__rows_data(r->rows, t) : NULL;
    if (!row && op->layout == AIOSK_ROWS) row = (const char *)op->w + (uint64_t)i * bytes;
    if (!row) {
        aiosk_unpack_panel_row(op->type,
                               (const char *)op->w +
                                   (uint64_t)(i / 16) *
                                       aiosk_layout_bytes(op->type, AIOSK_PANELS, 16, n),
                               i % 16, n, tmp);
        row = tmp;
    }
    aiosk_unpack(op->type, row, n, y);
}
static void aios__op_embed(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *y;
    t += aios__round_token(op, r);
    y = op->y + (uint64_t)t * op->y_stride;
    aios__row(op, r, t, r->pass->id[t], aios__work(r, worker), y);
    if (op->scale != 1.0f) r->k->scale(y, op->scale, op->n_in, y);
}
static void aios__op_positions(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *y, *row = (float *)(void *)aios__work(r, worker);
    t += aios__round_token(op, r);
    y = op->y + (uint64_t)t * op->y_stride;
    aios__row(op, r, t, r->pass->pos[t], (char *)(row + op->n_in), row);
    r->k->add(y, row, op->n_in, y);
}
static void aios__op_angles(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *y = op->y + (uint64_t)t * op->y_stride;
    int32_t i;
    (void)worker;
    for (i = 0; i < op->n_in; i++) {
        double s, c;
        aios__sincos((double)r->pass->turn[t] * op->freq[i], &s, &c);
        y[2 * i] = (float)(c * (double)op->scale);
        y[2 * i + 1] = (float)(s * (double)op->scale);
    }
}
static void aios__op_norm(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const float *x =
        op->x + (uint64_t)(op->flags & AIOS__ON_OUTPUTS ? r->pass->out[t] : t) * op->x_stride;
    float *y = op->out.p[AIOSK_FLT] ? (float *)(void *)aios__form(&op->out, AIOSK_FLT, t)
                                    : (float *)(void *)aios__work(r, worker);
    if (op->type == AIOS__NORM_RMS)
        r->k->rms_norm(x, (const float *)op->w, op->scale, op->n_in, y);
    else
        r->k->layer_norm(x, (const float *)op->w, op->b, op->scale, op->n_in, y);
    if (op->y) { /* a norm after a sub-layer: the result goes into the residual */
        float *z = op->y + (uint64_t)t * op->y_stride;
        r->k->add(z, y, op->n_in, z);
    } else
        aios__forms(r, &op->out, t, y);
}
/* A matrix is cut into tasks of some rows and some columns (tokens), up to as many as kernels
 * keep sums of: short ones, whatever the batch. Tasks that follow each other go down the rows,
 * so the same activations (0.4 MiB at 2048 inputs) meet all weights of a worker before it turns
 * to the next columns. */
static int32_t aios__rows_now(const aios__op *op, const aios__run *r) {
    int32_t left;
    if (!(op->flags & AIOS__STREAMED)) return op->n_out;
    left = op->n_out - r->round * op->unit_rows;
    return left < op->unit_rows ? left : op->unit_rows;
}
static int32_t aios__row_blocks(const aios__op *op, const aios__run *r) {
    return (aios__rows_now(op, r) + op->rows_per_task - 1) / op->rows_per_task;
}
static void aios__op_matmul(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    aiosk_matmul m;
    int32_t kind = (int32_t)aiosk_type_info(op->type)->family,
            n = op->flags & AIOS__ON_OUTPUTS ? r->pass->n_out : r->pass->n;
    int32_t n_rows = aios__rows_now(op, r), blocks = aios__row_blocks(op, r),
            col = task / blocks * op->cols_per_task;
    uint64_t at = (uint64_t)col;
    task %= blocks;
    memset(&m, 0, sizeof m);
    if (!op->mm) kind = AIOSK_FLT;
    m.w = op->w;
    m.bias = op->b;
    m.n_in = op->n_in;
    m.x = op->in.p[kind] + at * op->in.stride[kind];
    m.x_stride = op->in.stride[kind];
    m.y = op->y + at * op->y_stride;
    m.y_stride = op->y_stride;
    m.row0 = task * op->rows_per_task;
    m.row1 = n_rows - m.row0 < op->rows_per_task ? n_rows : m.row0 + op->rows_per_task;
    if (op->flags & AIOS__STREAMED) { /* this round's rows are the matrix */
        m.w = r->streamed;
        m.y += r->round * op->unit_rows;
        if (m.bias) m.bias += r->round * op->unit_rows;
    }
    m.n_cols = n - col < op->cols_per_task ? n - col : op->cols_per_task;
    m.flags = op->flags & AIOS__ADD ? (uint32_t)AIOSK_MM_ADD : 0;
    if (op->mm)
        op->mm(&m);
    else
        aiosk_matmul_reference(op->type, &m, (float *)(void *)aios__work(r, worker));
}
/* Open pages that were shared are copied before they are written: a task is a piece of one. */
enum { AIOS__COPY_BYTES = 1 << 17 };
static int32_t aios__copy_pieces(const aios__kv *kv, const aios__kv_copy *c) {
    return (int32_t)((kv->pool[c->g][AIOS__KV_OPEN].bytes + AIOS__COPY_BYTES - 1) /
                     AIOS__COPY_BYTES);
}
static void aios__op_copy(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv_copy *c = r->kv->copy;
    const aios__pages *p;
    uint64_t at, n;
    int32_t pieces;
    (void)op;
    (void)worker;
    for (; task >= (pieces = aios__copy_pieces(r->kv, c)); c++) task -= pieces;
    p = &r->kv->pool[c->g][AIOS__KV_OPEN];
    at = (uint64_t)task * AIOS__COPY_BYTES;
    n = aios__min_u64(p->bytes - at, AIOS__COPY_BYTES);
    memcpy(p->base + (uint64_t)aios__page_at(r->kv, c->g, AIOS__KV_OPEN, c->seq, c->t) * p->bytes +
               at,
           p->base + (uint64_t)c->from * p->bytes + at, (size_t)n);
}
/* One head of a tile that is full: open to sealed, sealed to old. */
static void aios__op_seal(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv *kv = r->kv;
    const aios__kv_seal *j = &kv->seal[task / kv->layer[op->layer].n_head_kv];
    int32_t head = task % kv->layer[op->layer].n_head_kv, g = kv->group[op->layer], f,
            page[AIOS__N_FORMS];
    for (f = 0; f < AIOS__N_FORMS; f++) page[f] = aios__page_at(kv, g, f, j->seq, j->t);
    for (f = AIOS__KV_SEALED; f < AIOS__N_FORMS; f++) {
        if (!(f == AIOS__KV_SEALED ? j->seal : j->age) || page[f] == AIOS__NO_PAGE ||
            page[f - 1] == AIOS__NO_PAGE)
            continue;
        r->k->kv_convert(kv->type[f - 1][op->layer],
                         aios__tile_of(kv, g, f - 1, page[f - 1], op->layer, head),
                         kv->type[f][op->layer], aios__tile_of(kv, g, f, page[f], op->layer, head),
                         r->hp->hd_k, r->hp->hd_v, aios__work(r, worker));
    }
}
/* Norms and turns the heads of one token, then writes its keys and values into the cache. */
static void aios__op_heads(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const aios__hp *hp = r->hp;
    float *q = op->x + (uint64_t)t * op->x_stride, *k = q + (int64_t)hp->n_head * hp->hd_k,
          *v = k + (int64_t)hp->n_head_kv * hp->hd_k;
    int32_t h, slot = r->pass->slot[t], rot = r->kv->rotated[op->layer];
    (void)worker;
    if (op->b)
        for (h = 0; h < hp->n_head * hp->hd_k; h += op->n_in)
            r->k->rms_norm(q + h, op->b, op->scale, op->n_in, q + h);
    if (op->b2)
        for (h = 0; h < hp->n_head_kv * hp->hd_k; h += op->n_out)
            r->k->rms_norm(k + h, op->b2, op->scale, op->n_out, k + h);
    if (op->type != AIOS__ROPE_NONE) {
        const float *cs = op->y + (uint64_t)t * op->y_stride;
        /* keys follow the queries */
        r->k->rope(op->type, q, hp->n_head + hp->n_head_kv, hp->hd_k, hp->n_rot, cs);
    }
    /* queries are rotated where they are used */
    if (rot & AIOS__ROTATED_K) r->k->rotate(k, hp->n_head_kv, hp->hd_k, 0);
    if (rot & AIOS__ROTATED_V) r->k->rotate(v, hp->n_head_kv, hp->hd_v, 0);
    for (h = 0; h < hp->n_head_kv; h++)
        r->k->store[r->kv->type[AIOS__KV_OPEN][op->layer]](
            aios__kv_open_tile(r->kv, r->pass->seq[t], op->layer, h, slot), slot % AIOSK_TILE,
            k + (int64_t)h * hp->hd_k, v + (int64_t)h * hp->hd_v, hp->hd_k, hp->hd_v);
}

/* Attention is cut into tasks of (block of tokens of one sequence and one tile, key/value head,
 * part of its query heads, run of keys), so that a tile is read once for up to AIOS__MAX_Q
 * queries. A run is 512 slots; what is alive and seen of it may be in several stretches, which
 * are put together in ascending order, and so are a token's runs, always. There are two ways,
 * which give the same bits:
 *   spread  few tokens: all runs at once, each leaves its result in a slot; ATTEND_END merges the
 *           slots of a token
 *   rounds  many tokens: the phase runs once for each run, and its tasks merge into what the
 *           rounds before them left, so that the room needed does not grow with the context. A
 *           round has a task for each block and head */
enum { AIOS__MAX_Q = 32, AIOS__RUN_POS = AIOSK_RUN * AIOSK_TILE };
static int32_t aios__attend_parts(const aios__hp *hp) {
    return (hp->n_head / hp->n_head_kv + AIOS__MAX_Q - 1) / AIOS__MAX_Q;
}
static int32_t aios__attend_heads(const aios__hp *hp) {
    int32_t g = hp->n_head / hp->n_head_kv, n = aios__attend_parts(hp);
    return (g + n - 1) / n;
}
static int32_t aios__attend_tokens(const aios__hp *hp) {
    return AIOS__MAX_Q / aios__attend_heads(hp);
}
/* Slots for a context: four tokens may be spread over 16 Ki positions, one over any number. */
static int32_t aios__attend_slots(int32_t n_ctx) {
    int32_t runs = (int32_t)(((int64_t)n_ctx + AIOS__RUN_POS - 1) / AIOS__RUN_POS);
    return runs < 2 ? 0 : runs > 128 ? runs : 4 * runs > 128 ? 128 : 4 * runs;
}
/* The first slot that a token sees, but for sinks and tiles that a policy hides. */
static inline int32_t aios__attend_first(const aios__kv *kv, int32_t seq, int32_t window,
                                         int32_t pos) {
    return window && pos >= window ? aios__kv_slot(&kv->seq[seq], pos - window + 1) : 0;
}
/* The runs that a token sees are the first *sinks ones, and those from *from on up to its own.
 * Gives how many. */
static int32_t aios__attend_seen(const aios__kv *kv, int32_t window, int32_t seq, int32_t pos,
                                 int32_t slot, int32_t *sinks, int32_t *from) {
    int32_t first = kv->heavy ? 0 : slot / AIOSK_TILE - kv->behind[0];
    *sinks = window ? 0 : (kv->sinks[0] + AIOSK_RUN - 1) / AIOSK_RUN;
    *from = window      ? aios__attend_first(kv, seq, window, pos) / AIOS__RUN_POS
            : first > 0 ? first / AIOSK_RUN
                        : 0;
    if (*sinks > slot / AIOS__RUN_POS) *sinks = slot / AIOS__RUN_POS;
    if (*from < *sinks) *from = *sinks;
    return *sinks + slot / AIOS__RUN_POS - *from + 1;
}
static inline int32_t aios__attend_n_runs(const aios__op *op, const aios__run *r) {
    return r->pass->n_runs[op->window != 0];
}
static inline int32_t aios__attend_spread(const aios__op *op, const aios__run *r) {
    int32_t n = aios__attend_n_runs(op, r);
    return n > 1 && n <= r->n_slots / r->pass->n;
}
/* Runs that one task takes when they are spread: enough that memory is read in long stretches,
 * few enough that each worker gets several tasks. */
static inline int32_t aios__attend_chunk(const aios__op *op, const aios__run *r) {
    int64_t n = (int64_t)aios__attend_n_runs(op, r) * r->pass->n_blocks * r->hp->n_head_kv *
                aios__attend_parts(r->hp) / ((int64_t)8 * r->n_threads);
    return n < 1 ? 1 : n > 8 ? 8 : (int32_t)n;
}
/* How often the phase that begins with this op runs. */
static int32_t aios__op_rounds(const aios__op *op, const aios__run *r) {
    if (op->flags & AIOS__STREAMED) return op->n_units;
    if (op->flags & AIOS__ROWS) return (r->pass->n + r->rows->per_round - 1) / r->rows->per_round;
    return op->per != AIOS__PER_HEAD || aios__attend_spread(op, r) ? 1 : aios__attend_n_runs(op, r);
}

typedef struct aios__attend_work {
    float *q, *o[2], *m[2], *l[2], *d8, *cs, *sum;
    void *scratch;
    int8_t *q8;
    int32_t *low, *high;
} aios__attend_work;
static void aios__attend_layout(aios__attend_work *w, aios__bump *b, const aios__hp *hp) {
    uint64_t n = (uint64_t)(aios__attend_heads(hp) * aios__attend_tokens(hp));
    int32_t i;
    w->q = (float *)aios__take(b, n * (uint64_t)hp->hd_k * 4, 64);
    for (i = 0; i < 2; i++) { /* a run, and a stretch of it that is not the first */
        w->o[i] = (float *)aios__take(b, n * aios__round_up((uint64_t)hp->hd_v, 16) * 4, 64);
        w->m[i] = (float *)aios__take(b, n * 4, 64);
        w->l[i] = (float *)aios__take(b, n * 4, 64);
    }
    w->q8 = (int8_t *)aios__take(b, n * aios__round_up((uint64_t)hp->hd_k, 16), 64);
    w->scratch =
        aios__take(b, AIOSK_ATTEND_SCRATCH(n, hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v), 64);
    w->d8 = (float *)aios__take(b, n * 4, 64);
    w->cs = (float *)aios__take(b, (uint64_t)hp->n_rot * 4, 64);
    w->sum = (float *)aios__take(b, n * AIOSK_RUN * 4, 64);
    w->low = (int32_t *)aios__take(b, n * 4, 64);
    w->high = (int32_t *)aios__take(b, n * 4, 64);
}
static inline int32_t aios__clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* A piece of a run that one call takes: alive, of one turn, and coded in one way. */
typedef struct aios__stretch {
    const void *tile[AIOSK_RUN];
    int32_t from, to, off, type;
    uint32_t open;
    uint64_t bytes;
} aios__stretch;
/* The next piece between slots at and end, which are of the run that starts at base. 0 = there
 * is none. */
static int32_t aios__attend_stretch(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                                    int32_t own, int32_t base, int32_t at, int32_t end,
                                    aios__stretch *x) {
    const aios__kv_seq *s = &kv->seq[seq];
    int32_t i, t, form = 0, upto;
    const void *p = NULL;
    memset(x, 0, sizeof *x);
    x->from = end;
    x->type = -1;
    for (i = 0; i < s->n_spans && s->span[i].from < end; i++) {
        if (s->span[i].to <= at) continue;
        if (at < s->span[i].from) at = s->span[i].from;
        if (x->from < end && (x->to != at || x->off != s->span[i].off)) break;
        for (; at < end && at < s->span[i].to; at = x->to = upto) {
            t = at / AIOSK_TILE;
            upto = (t + 1) * AIOSK_TILE;
            if (upto > end) upto = end;
            if (upto > s->span[i].to) upto = s->span[i].to;
            p = aios__kv_look(kv, seq, layer, head, own, t, &form);
            if (p && x->from < end && form != AIOS__KV_OPEN && x->type >= 0 &&
                kv->type[form][layer] != x->type)
                return 1;
            if (!p && x->from < end) return 1;
            if (!p) {
                x->to = upto;
                continue;
            }
            if (x->from == end) {
                x->from = at;
                x->off = s->span[i].off;
            }
            if (form == AIOS__KV_OPEN)
                x->open |= 1u << (t - base / AIOSK_TILE);
            else
                x->type = kv->type[form][layer];
            x->tile[t - base / AIOSK_TILE] = p;
            x->bytes += kv->tile_bytes[form][layer] * (uint64_t)(upto - at) / AIOSK_TILE;
        }
    }
    return x->from < end;
}
/* The queries of a block's heads as its keys want them: turned by `turn` positions more than
 * they are, rotated, quantised. */
static void aios__attend_queries(const aios__op *op, const aios__run *r, const aios__attend_work *w,
                                 int32_t t0, int32_t n_t, int32_t h0, int32_t n_h, int32_t turn) {
    const aios__hp *hp = r->hp;
    int32_t t, h, i, rot = r->kv->rotated[op->layer], hp_k = (hp->hd_k + 15) / 16 * 16;
    for (t = 0; t < n_t; t++)
        memcpy(w->q + (int64_t)t * n_h * hp->hd_k,
               op->x + (uint64_t)(t0 + t) * op->x_stride + (int64_t)h0 * hp->hd_k,
               (size_t)n_h * (size_t)hp->hd_k * 4);
    if (turn && op->type != AIOS__ROPE_NONE) {
        for (i = 0; i < hp->n_rot / 2; i++) {
            double s, c;
            aios__sincos((double)turn * op->freq[i], &s, &c);
            w->cs[2 * i] = (float)c;
            w->cs[2 * i + 1] = (float)s;
        }
        r->k->rope(op->type, w->q, n_t * n_h, hp->hd_k, hp->n_rot, w->cs);
    }
    if (!(rot & AIOS__ROTATED_K)) return;
    r->k->rotate(w->q, n_t * n_h, hp->hd_k, 0);
    for (h = 0; h < n_t * n_h; h++)
        r->k->quantize_head(w->q + (int64_t)h * hp->hd_k, hp->hd_k, w->q8 + (int64_t)h * hp_k,
                            &w->d8[h], w->q + (int64_t)h * hp->hd_k);
}
static void aios__op_attend(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__hp *hp = r->hp;
    const aios__pass *ps = r->pass;
    int32_t parts = aios__attend_parts(hp), heads = aios__attend_heads(hp),
            group = hp->n_head / hp->n_head_kv, spread = aios__attend_spread(op, r);
    int32_t n_runs = spread ? aios__attend_n_runs(op, r) : 1,
            chunk = spread ? aios__attend_chunk(op, r) : 1, chunks = (n_runs + chunk - 1) / chunk;
    int32_t run = spread ? task % chunks * chunk : r->round, part = task / chunks % parts,
            kvh = task / chunks / parts % hp->n_head_kv,
            block = task / chunks / parts / hp->n_head_kv;
    int32_t run1 = !spread ? run + 1 : run + chunk < n_runs ? run + chunk : n_runs;
    int32_t h0 = kvh * group + part * heads,
            n_h = group - part * heads < heads ? group - part * heads : heads;
    int32_t t0 = ps->block[block], n_t = ps->block[block + 1] - t0, seq = ps->seq[t0],
            hp_v = (hp->hd_v + 15) / 16 * 16, own = ps->slot[t0] / AIOSK_TILE;
    int32_t sinks, from,
        n = aios__attend_seen(r->kv, op->window, seq, ps->pos[t0], ps->slot[t0], &sinks, &from);
    /* what the block sees */
    int32_t first = aios__attend_first(r->kv, seq, op->window, ps->pos[t0]),
            end = ps->slot[t0 + n_t - 1] + 1;
    int32_t off = aios__kv_off(&r->kv->seq[seq]), turned = 0, ready = 0, t, h, i;
    float *state_m = r->state, *state_l = state_m + (uint64_t)op->n_in * (uint64_t)hp->n_head;
    float *part_o = r->part, *part_m = part_o + (int64_t)r->n_slots * hp->n_head * hp_v,
          *part_l = part_m + (int64_t)r->n_slots * hp->n_head;
    aios__attend_work w;
    aios__bump b;
    aiosk_attend a;
    /* empty results, for the first round and for runs that others see but not this block */
    for (t = t0; t < t0 + n_t; t++) {
        if (spread)
            for (i = run; i < run1; i++)
                memset(part_l + ((int64_t)t * n_runs + i) * hp->n_head + h0, 0, (size_t)n_h * 4);
        else if (run == 0)
            memset(state_l + (int64_t)t * hp->n_head + h0, 0, (size_t)n_h * 4);
    }
    if (run >= n) return;
    b.base = aios__work(r, worker);
    b.used = 0;
    aios__attend_layout(&w, &b, hp);
    memset(&a, 0, sizeof a);
    a.q = w.q;
    a.q8 = w.q8;
    a.q8_d = w.d8;
    a.scratch = w.scratch;
    a.low = w.low;
    a.high = w.high;
    a.scale = hp->score_scale;
    a.softcap = hp->score_cap;
    a.n_q = n_h * n_t;
    a.hd_k = hp->hd_k;
    a.hd_v = hp->hd_v;
    a.q_stride = hp->hd_k;
    for (; run < run1 && run < n; run++) {
        int32_t base = (run < sinks ? run : from + run - sinks) * AIOS__RUN_POS,
                to = end < base + AIOS__RUN_POS ? end : base + AIOS__RUN_POS;
        int32_t at = first > base ? first : base, some = 0;
        aios__stretch x, next;
        for (; aios__attend_stretch(r->kv, seq, op->layer, kvh, own, base, at, to, &x);
             at = x.to, some = 1) {
            if (!ready || x.off != off + turned) {
                turned = x.off - off;
                ready = 1;
                aios__attend_queries(op, r, &w, t0, n_t, h0, n_h, turned);
            }
            a.m = w.m[some];
            a.l = w.l[some];
            a.o = w.o[some];
            a.tile = x.tile;
            a.n_tiles = (x.to - base + AIOSK_TILE - 1) / AIOSK_TILE;
            a.open = x.open;
            a.next = NULL;
            a.type = x.type >= 0 ? x.type : r->kv->type[AIOS__KV_OPEN][op->layer];
            for (i = 0; i < AIOSK_RUN; i++)
                if (!x.tile[i]) x.tile[i] = x.tile[(x.from - base) / AIOSK_TILE];
            if (x.to == base + AIOS__RUN_POS && run + 1 < run1 && run + 1 > sinks &&
                aios__attend_stretch(r->kv, seq, op->layer, kvh, own, x.to, x.to,
                                     x.to + AIOS__RUN_POS < end ? x.to + AIOS__RUN_POS : end,
                                     &next)) {
                for (i = 0; i < AIOSK_RUN; i++)
                    if (!next.tile[i]) next.tile[i] = next.tile[(next.from - x.to) / AIOSK_TILE];
                a.next = next.tile;
            }
            for (t = i = 0; t < n_t; t++) {
                int32_t s = ps->slot[t0 + t],
                        low = aios__attend_first(r->kv, seq, op->window, ps->pos[t0 + t]),
                        high = s + 1 < x.to ? s + 1 : x.to;
                if (low < x.from) low = x.from;
                for (h = 0; h < n_h; h++, i++) {
                    w.low[i] = low < high ? low - base : 0;
                    w.high[i] = low < high ? high - base : 0;
                }
            }
            if (r->mass && !op->window) a.tile_sum = w.sum;
            r->k->attend(&a);
            for (i = 0; a.tile_sum && i < a.n_q; i++) {
                float *got = r->mass + (((int64_t)(t0 + i / n_h) * hp->n_head + h0 + i % n_h) *
                                            r->kv->seq_tiles +
                                        base / AIOSK_TILE) *
                                           2;
                /* of a tile in two pieces, the last */
                for (t = (x.from - base) / AIOSK_TILE; t < a.n_tiles; t++) {
                    got[2 * t] = w.sum[i * a.n_tiles + t];
                    got[2 * t + 1] = a.m[i];
                }
            }
            r->kv_read[(int64_t)worker * 8] += x.bytes;
            if (some)
                r->k->attend_merge(a.n_q, hp->hd_v, w.m[0], w.l[0], w.o[0], hp_v, w.m[1], w.l[1],
                                   w.o[1], hp_v);
        }
        for (t = i = 0; some && t < n_t; t++, i += n_h) {
            int64_t at_slot = spread ? ((int64_t)(t0 + t) * n_runs + run) * hp->n_head + h0
                                     : (int64_t)(t0 + t) * hp->n_head + h0;
            if (spread) {
                memcpy(part_o + at_slot * hp_v, w.o[0] + (int64_t)i * hp_v,
                       (size_t)n_h * (size_t)hp_v * 4);
                memcpy(part_m + at_slot, w.m[0] + i, (size_t)n_h * 4);
                memcpy(part_l + at_slot, w.l[0] + i, (size_t)n_h * 4);
            } else
                r->k->attend_merge(
                    n_h, hp->hd_v, state_m + at_slot, state_l + at_slot,
                    op->y + (uint64_t)(t0 + t) * op->y_stride + (int64_t)h0 * hp->hd_v, hp->hd_v,
                    w.m[0] + i, w.l[0] + i, w.o[0] + (int64_t)i * hp_v, hp_v);
        }
    }
}
/* How much of a token's attention went to each tile it sees, as a part of 65536 for all its
 * heads and layers together: whole numbers, so that adding them up in any order gives the same.
 * m, l: of the token's heads. */
AIOSK__STRICT static void aios__attend_mass(const aios__op *op, const aios__run *r, int32_t token,
                                            const float *m, const float *l) {
    const aios__kv *kv = r->kv;
    int32_t seq = r->pass->seq[token], own = r->pass->slot[token] / AIOSK_TILE, t, h,
            *now = kv->mass_now + (int64_t)seq * kv->seq_tiles, form;
    float part = 65536.0f / (float)(r->hp->n_head * r->hp->n_layer);
    for (t = 0; t <= own; t++) {
        float sum = 0;
        if (!aios__kv_look(kv, seq, op->layer, 0, own, t, &form)) continue;
        for (h = 0; h < r->hp->n_head; h++) {
            const float *x =
                r->mass + (((int64_t)token * r->hp->n_head + h) * kv->seq_tiles + t) * 2;
            float e = x[1] - m[h];
            r->k->exp(&e, 1, &e);
            e = e * x[0];
            sum = sum + e / l[h];
        }
        sum = sum * part;
        if (sum > 0 && sum <= 65536.0f) aios__fetch_add(&now[t], (int32_t)(sum + 0.5f));
    }
}
/* The end of attention for one token: merges its runs if they were spread, divides by the sum,
 * and makes the forms. */
static void aios__op_attend_end(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const aios__hp *hp = r->hp;
    int32_t hp_v = (hp->hd_v + 15) / 16 * 16, h, i,
            n = aios__attend_spread(op, r) ? aios__attend_n_runs(op, r) : 0;
    float *y = op->x + (uint64_t)t * op->x_stride, *m = r->state + (int64_t)t * hp->n_head,
          *l = m + (uint64_t)op->n_in * (uint64_t)hp->n_head;
    const float *part_o = r->part, *part_m = part_o + (int64_t)r->n_slots * hp->n_head * hp_v,
                *part_l = part_m + (int64_t)r->n_slots * hp->n_head;
    (void)worker;
    if (n) memset(l, 0, (size_t)hp->n_head * 4);
    for (i = 0; i < n; i++) {
        int64_t slot = ((int64_t)t * n + i) * hp->n_head;
        r->k->attend_merge(hp->n_head, hp->hd_v, m, l, y, hp->hd_v, part_m + slot, part_l + slot,
                           part_o + slot * hp_v, hp_v);
    }
    if (r->mass && !op->window) aios__attend_mass(op, r, t, m, l);
    for (h = 0; h < hp->n_head; h++)
        r->k->scale(y + (int64_t)h * hp->hd_v, 1.0f / l[h], hp->hd_v, y + (int64_t)h * hp->hd_v);
    if (r->kv->rotated[op->layer] & AIOS__ROTATED_V) r->k->rotate(y, hp->n_head, hp->hd_v, 1);
    aios__forms(r, &op->out, t, y);
}
static void aios__op_act(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *x;
    (void)worker;
    if (op->per == AIOS__PER_PAIR) t += aios__moe_col0(r->moe);
    x = op->x + (uint64_t)t * op->x_stride;
    if (op->flags & AIOS__GATE)
        r->k->act_gated(op->type, x, x + op->n_in, op->n_in, x);
    else
        r->k->act(op->type, x, op->n_in, x);
    aios__forms(r, &op->out, t, x);
}
static void aios__op_cap(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *x = op->x + (uint64_t)t * op->x_stride;
    (void)worker;
    r->k->softcap(x, op->scale, op->n_in, x);
}
static void aios__op_scale(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *x = op->x + (uint64_t)t * op->x_stride;
    (void)worker;
    r->k->scale(x, op->scale, op->n_in, x);
}
/* A sub-layer's result, scaled, goes into the residual. */
static void aios__op_residual(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *x = op->x + (uint64_t)t * op->x_stride, *y = op->y + (uint64_t)t * op->y_stride;
    (void)worker;
    r->k->scale(x, op->scale, op->n_in, x);
    r->k->add(y, x, op->n_in, y);
}

/* ---- mixtures of experts: experts.c has the lists, these are their ops ---- */
static void aios__op_route(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    aios__moe *m = r->moe;
    (void)op;
    (void)worker;
    aios__moe_choose(r->k, m->logit + (uint64_t)t * m->logit_stride, m->n_expert, m->n_used,
                     r->hp->exp_norm, r->hp->exp_scale, m->chosen + (int64_t)t * m->n_used,
                     m->weight + (int64_t)t * m->n_used);
}
static void aios__op_group(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    (void)t;
    (void)worker;
    aios__moe_count(r->moe, r->pass->n);
    if (r->cache) aios__cache_begin(r->cache, op->layer);
    aios__moe_place(r->moe, r->pass->n, op->layer);
}
/* The input of one pair, beside those of the same expert. With one token there is nothing to
 * gather: all pairs read its column. */
static void aios__op_gather(const aios__op *op, const aios__run *r, int32_t c, int32_t worker) {
    int32_t k;
    (void)worker;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (op->out.p[k])
            memcpy(aios__form(&op->out, k, c), aios__form(&op->in, k, r->moe->token[c]),
                   (size_t)op->in.stride[k]);
}
static void aios__op_experts(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    aiosk_matmul m;
    int32_t rows = (op->n_out + op->rows_per_task - 1) / op->rows_per_task,
            kind = op->mm ? (int32_t)aiosk_type_info(op->type)->family : (int32_t)AIOSK_FLT;
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / rows];
    const aios__acts *in = r->pass->n == 1 ? &op->out : &op->in;
    memset(&m, 0, sizeof m);
    m.w = op->flags & AIOS__CACHED ? aios__cache_data(r->cache, b->expert, op->part)
          : op->each               ? op->each[b->expert].p
                                   : (const char *)op->w + (uint64_t)b->expert * op->expert_bytes;
    m.n_in = op->n_in;
    m.x = in->p[kind] +
          (in == &op->in || op->flags & AIOS__OF_PAIRS ? (uint64_t)b->col * in->stride[kind] : 0);
    m.x_stride = in->stride[kind];
    m.y = op->y + (uint64_t)b->col * op->y_stride;
    m.y_stride = op->y_stride;
    m.row0 = task % rows * op->rows_per_task;
    m.row1 = op->n_out - m.row0 < op->rows_per_task ? op->n_out : m.row0 + op->rows_per_task;
    m.n_cols = b->n;
    if (op->mm)
        op->mm(&m);
    else
        aiosk_matmul_reference(op->type, &m, (float *)(void *)aios__work(r, worker));
}
/* The sum of what a token's experts gave, and the shared one's, into the residual. */
AIOSK__STRICT static void aios__op_combine(const aios__op *op, const aios__run *r, int32_t t,
                                           int32_t worker) {
    const aios__moe *m = r->moe;
    const int32_t *col = m->col + (int64_t)t * m->n_used;
    const float *weight = m->weight + (int64_t)t * m->n_used;
    float *sum = (float *)(void *)aios__work(r, worker), *one = sum + op->n_in,
          *y = op->y + (uint64_t)t * op->y_stride;
    int32_t j;
    r->k->scale(op->x + (uint64_t)col[0] * op->x_stride, weight[0], op->n_in, sum);
    for (j = 1; j < m->n_used; j++) {
        r->k->scale(op->x + (uint64_t)col[j] * op->x_stride, weight[j], op->n_in, one);
        r->k->add(sum, one, op->n_in, sum);
    }
    if (op->in.p[AIOSK_FLT]) {
        const float *shared = (const float *)(const void *)aios__form(&op->in, AIOSK_FLT, t);
        if (op->flags & AIOS__GATE) { /* its gate: 1 / (1 + exp(-x)) */
            float g = -m->logit[(uint64_t)t * m->logit_stride + (uint64_t)m->n_expert];
            r->k->exp(&g, 1, &g);
            r->k->scale(shared, 1.0f / (1.0f + g), op->n_in, one);
            shared = one;
        }
        r->k->add(sum, shared, op->n_in, sum);
    }
    if (op->scale != 1.0f) r->k->scale(sum, op->scale, op->n_in, sum);
    r->k->add(y, sum, op->n_in, y);
}

static int32_t aios__op_tasks(const aios__op *op, const aios__run *r) {
    int32_t i, n = op->flags & AIOS__ON_OUTPUTS ? r->pass->n_out : r->pass->n;
    switch (op->per) {
    case AIOS__PER_TOKEN:
        n -= aios__round_token(op, r);
        return op->flags & AIOS__ROWS && n > r->rows->per_round ? r->rows->per_round : n;
    case AIOS__PER_ROWS:
        return (n + op->cols_per_task - 1) / op->cols_per_task * aios__row_blocks(op, r);
    case AIOS__PER_COPY:
        for (n = 0, i = 0; i < r->kv->n_copies; i++) n += aios__copy_pieces(r->kv, &r->kv->copy[i]);
        return n;
    case AIOS__PER_SEAL: return r->kv->n_seals * r->kv->layer[op->layer].n_head_kv;
    case AIOS__PER_PASS: return 1;
    case AIOS__PER_PAIR: return aios__moe_cols(r->moe);
    case AIOS__PER_MOVED_PAIR: return n == 1 ? 0 : aios__moe_cols(r->moe);
    case AIOS__PER_EXPERT:
        return (r->moe->block1 - r->moe->block0) *
               ((op->n_out + op->rows_per_task - 1) / op->rows_per_task);
    }
    n = r->pass->n_blocks * r->hp->n_head_kv * aios__attend_parts(r->hp);
    if (aios__attend_spread(op, r)) {
        int32_t c = aios__attend_chunk(op, r);
        n *= (aios__attend_n_runs(op, r) + c - 1) / c;
    }
    return n;
}
