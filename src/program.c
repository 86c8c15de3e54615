/* program.c: model + plan -> a flat array of ops. Each op holds its pointers, kernels, shapes and byte counts; running is a
 * loop over it (exec.c) that looks up no name, chooses no path and takes no memory. The same function counts and
 * builds, so that the plan knows the program's size to the byte.
 *
 * Ops run in phases: an op with AIOS__JOIN runs side by side with the one before it, any other starts a new phase and
 * sees everything that the phases before it wrote. An op is cut into tasks that may run in any order.
 *
 * A value that a matrix reads can exist in up to three forms (aios__acts): f32, A32, A256. The op that makes it writes
 * just those that its readers need. */

typedef struct aios__acts {
    char *p[AIOSK_N_ACTS];              /* column 0 of each form; NULL = nobody needs it                    */
    uint64_t stride[AIOSK_N_ACTS];      /* bytes from one token to the next                                 */
    int32_t n;                          /* values of one token                                              */
} aios__acts;

/* The tokens that go through the program together. */
typedef struct aios__pass {
    int32_t n, n_out, n_blocks;
    int32_t n_runs[2];                  /* most runs of keys that a block sees: in all positions, in the window */
    int32_t *id, *seq, *pos;            /* [n_batch]                                                        */
    int32_t *slot, *turn;               /* [n_batch] place in the cache; position that rope turns for       */
    int32_t *out;                       /* [n_outputs] which of the tokens get logits                       */
    int32_t *block;                     /* [n_batch + 1] first token of each attention block (one sequence, one tile) */
} aios__pass;

struct aios__op;
typedef struct aios__run {              /* what an op's tasks can see                                       */
    const aiosk_isa *k;
    const aios__hp *hp;
    const aios__kv *kv;
    const aios__pass *pass;
    char *work;                         /* [n_threads][work_bytes]                                          */
    uint64_t work_bytes;
    uint64_t *kv_read;                  /* [n_threads][8] bytes of cache read, a line each                  */
    int32_t round;                      /* how often the phase has run before: ATTEND, STREAMED             */
    int32_t n_threads;
    int32_t n_slots;                    /* tokens that `part` holds a result for                            */
    const void *streamed;               /* the unit of this round, of the op that is STREAMED               */
    float *state;                       /* [2][n_batch][n_head] maximum and sum of what att holds           */
    float *mass;                        /* [n_batch][n_head][seq_tiles][2] with heavy tiles: sum of each tile, and the maximum it is relative to */
    float *part;                        /* results of single runs: [n_slots][n_head][hp_v], then the same [2][n_slots][n_head] */
    aios__moe *moe;                     /* of the layer that is at work                                     */
    aios__cache *cache;                 /* of experts that are not resident                                 */
} aios__run;
typedef void (*aios__op_fn)(const struct aios__op *op, const aios__run *r, int32_t task, int32_t worker);

enum { AIOS__PER_TOKEN = 1, AIOS__PER_ROWS = 2, AIOS__PER_HEAD = 3,     /* what a task is                  */
       AIOS__PER_PASS = 4, AIOS__PER_PAIR = 5, AIOS__PER_EXPERT = 6,    /* PAIR, EXPERT: experts.c         */
       AIOS__PER_COPY = 7, AIOS__PER_SEAL = 8 };                        /* of the cache's tiles            */
enum { AIOS__JOIN = 1, AIOS__ON_OUTPUTS = 2, AIOS__ADD = 4, AIOS__GATE = 8, AIOS__STREAMED = 16, AIOS__OF_PAIRS = 32 /* input by pair, always */,
       AIOS__CACHED = 64 /* w is in the cache */, AIOS__AWAIT = 128 /* begins when some experts are there */, AIOS__AGAIN = 256 /* and back to there while there are more */ };

typedef struct aios__op {
    aios__op_fn run;
    const char *name;
    int32_t layer, per;                 /* layer -1 = none; per: AIOS__PER_*                                */
    uint32_t flags;
    int32_t type;                       /* AIOSK_* of w; activation; norm                                   */
    const void *w;                      /* matrix, table, or norm weight; STREAMED: comes with the round    */
    const float *b, *b2;                /* bias; second norm weight                                         */
    aiosk_matmul_fn mm;
    float *x;                           /* f32 input, or in and out                                         */
    uint64_t x_stride;                  /* floats                                                           */
    aios__acts in, out;
    float *y;
    uint64_t y_stride;
    int32_t n_in, n_out, rows_per_task, cols_per_task;
    int32_t unit_rows, n_units;         /* STREAMED: rows of a round, rounds                                */
    int32_t window;                     /* ATTEND: of the layer; 0 = sees all                               */
    float scale;
    int32_t layout;
    const double *freq;
    uint64_t expert_bytes;              /* PER_EXPERT: from one matrix to the next                          */
    int32_t part, back;                 /* CACHED: which of a bundle; AGAIN: how many ops back              */
    uint64_t w_bytes;                   /* weights read by one run of the op, whatever the tokens; PER_EXPERT: by one token */
    uint64_t row_bytes;                 /* EMBED: weights read per token                                    */
    uint64_t act_bytes;                 /* activations read and written per token                           */
    int32_t tier, phase;                /* of w: AIOS_TIER_*                                                */
    uint64_t busy_ns;                   /* of the phase that begins here, when that is asked for            */
} aios__op;

/* ---- the ops: what one task does ----------------------------------------------------------------------------- */
static inline char *aios__form(const aios__acts *a, int32_t kind, int32_t token) { return a->p[kind] + (uint64_t)token * a->stride[kind]; }
/* Writes x [n] in the forms that are asked for; the f32 form may be x itself. */
static void aios__forms(const aios__run *r, const aios__acts *a, int32_t token, const float *x) {
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (a->p[k] && (const char *)x != aios__form(a, k, token)) r->k->quantize[k](x, a->n, aios__form(a, k, token));
}
static inline char *aios__work(const aios__run *r, int32_t worker) { return r->work + (uint64_t)worker * r->work_bytes; }

/* One row of a table, dequantised. */
static void aios__row(const aios__op *op, int32_t i, char *tmp, float *y) {
    uint64_t n = (uint64_t)op->n_in, bytes = aiosk_row_bytes(op->type, n);
    const char *row = (const char *)op->w + (uint64_t)i * bytes;
    if (op->layout == AIOSK_PANELS) {
        aiosk_unpack_panel_row(op->type, (const char *)op->w + (uint64_t)(i / 16) * aiosk_layout_bytes(op->type, AIOSK_PANELS, 16, n), i % 16, n, tmp);
        row = tmp;
    }
    aiosk_unpack(op->type, row, n, y);
}
static void aios__op_embed(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *y = op->y + (uint64_t)t * op->y_stride;
    aios__row(op, r->pass->id[t], aios__work(r, worker), y);
    if (op->scale != 1.0f) r->k->scale(y, op->scale, op->n_in, y);
}
static void aios__op_positions(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *y = op->y + (uint64_t)t * op->y_stride, *row = (float *)(void *)aios__work(r, worker);
    aios__row(op, r->pass->pos[t], (char *)(row + op->n_in), row);
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
    const float *x = op->x + (uint64_t)(op->flags & AIOS__ON_OUTPUTS ? r->pass->out[t] : t) * op->x_stride;
    float *y = op->out.p[AIOSK_FLT] ? (float *)(void *)aios__form(&op->out, AIOSK_FLT, t) : (float *)(void *)aios__work(r, worker);
    if (op->type == AIOS__NORM_RMS) r->k->rms_norm(x, (const float *)op->w, op->scale, op->n_in, y);
    else r->k->layer_norm(x, (const float *)op->w, op->b, op->scale, op->n_in, y);
    if (op->y) {                        /* a norm after a sub-layer: the result goes into the residual      */
        float *z = op->y + (uint64_t)t * op->y_stride;
        r->k->add(z, y, op->n_in, z);
    } else aios__forms(r, &op->out, t, y);
}
/* A matrix is cut into tasks of some rows and some columns (tokens), up to as many as kernels keep sums of: short ones, whatever the
 * batch. Tasks that follow each other go down the rows, so the same activations (0.4 MiB at 2048 inputs) meet all weights of a
 * worker before it turns to the next columns. */
static int32_t aios__rows_now(const aios__op *op, const aios__run *r) {
    int32_t left;
    if (!(op->flags & AIOS__STREAMED)) return op->n_out;
    left = op->n_out - r->round * op->unit_rows;
    return left < op->unit_rows ? left : op->unit_rows;
}
static int32_t aios__row_blocks(const aios__op *op, const aios__run *r) { return (aios__rows_now(op, r) + op->rows_per_task - 1) / op->rows_per_task; }
static void aios__op_matmul(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    aiosk_matmul m;
    int32_t kind = (int32_t)aiosk_type_info(op->type)->family, n = op->flags & AIOS__ON_OUTPUTS ? r->pass->n_out : r->pass->n;
    int32_t n_rows = aios__rows_now(op, r), blocks = aios__row_blocks(op, r), col = task / blocks * op->cols_per_task;
    uint64_t at = (uint64_t)col;
    task %= blocks;
    memset(&m, 0, sizeof m);
    if (!op->mm) kind = AIOSK_FLT;
    m.w = op->w; m.bias = op->b; m.n_in = op->n_in;
    m.x = op->in.p[kind] + at * op->in.stride[kind]; m.x_stride = op->in.stride[kind];
    m.y = op->y + at * op->y_stride; m.y_stride = op->y_stride;
    m.row0 = task * op->rows_per_task;
    m.row1 = n_rows - m.row0 < op->rows_per_task ? n_rows : m.row0 + op->rows_per_task;
    if (op->flags & AIOS__STREAMED) {           /* this round's rows are the matrix */
        m.w = r->streamed;
        m.y += r->round * op->unit_rows;
        if (m.bias) m.bias += r->round * op->unit_rows;
    }
    m.n_cols = n - col < op->cols_per_task ? n - col : op->cols_per_task;
    m.flags = op->flags & AIOS__ADD ? (uint32_t)AIOSK_MM_ADD : 0;
    if (op->mm) op->mm(&m);
    else aiosk_matmul_reference(op->type, &m, (float *)(void *)aios__work(r, worker));
}
/* Open pages that were shared are copied before they are written: a task is a piece of one. */
enum { AIOS__COPY_BYTES = 1 << 17 };
static int32_t aios__copy_pieces(const aios__kv *kv, const aios__kv_copy *c) { return (int32_t)((kv->pool[c->g][AIOS__KV_OPEN].bytes + AIOS__COPY_BYTES - 1) / AIOS__COPY_BYTES); }
static void aios__op_copy(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv_copy *c = r->kv->copy;
    const aios__pages *p;
    uint64_t at, n;
    int32_t pieces;
    (void)op; (void)worker;
    for (; task >= (pieces = aios__copy_pieces(r->kv, c)); c++) task -= pieces;
    p = &r->kv->pool[c->g][AIOS__KV_OPEN];
    at = (uint64_t)task * AIOS__COPY_BYTES;
    n = aios__min_u64(p->bytes - at, AIOS__COPY_BYTES);
    memcpy(p->base + (uint64_t)aios__page_at(r->kv, c->g, AIOS__KV_OPEN, c->seq, c->t) * p->bytes + at, p->base + (uint64_t)c->from * p->bytes + at, (size_t)n);
}
/* One head of a tile that is full: open to sealed, sealed to old. */
static void aios__op_seal(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__kv *kv = r->kv;
    const aios__kv_seal *j = &kv->seal[task / kv->n_head_kv];
    int32_t head = task % kv->n_head_kv, g = kv->group[op->layer], f, page[AIOS__N_FORMS];
    for (f = 0; f < AIOS__N_FORMS; f++) page[f] = aios__page_at(kv, g, f, j->seq, j->t);
    for (f = AIOS__KV_SEALED; f < AIOS__N_FORMS; f++) {
        if (!(f == AIOS__KV_SEALED ? j->seal : j->age) || page[f] == AIOS__NO_PAGE || page[f - 1] == AIOS__NO_PAGE) continue;
        r->k->kv_convert(kv->type[f - 1][op->layer], aios__tile_of(kv, g, f - 1, page[f - 1], op->layer, head),
                         kv->type[f][op->layer], aios__tile_of(kv, g, f, page[f], op->layer, head), r->hp->hd_k, r->hp->hd_v, aios__work(r, worker));
    }
}
/* Norms and turns the heads of one token, then writes its keys and values into the cache. */
static void aios__op_heads(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const aios__hp *hp = r->hp;
    float *q = op->x + (uint64_t)t * op->x_stride, *k = q + (int64_t)hp->n_head * hp->hd_k, *v = k + (int64_t)hp->n_head_kv * hp->hd_k;
    int32_t h, slot = r->pass->slot[t], rot = r->kv->rotated[op->layer];
    (void)worker;
    if (op->b)  for (h = 0; h < hp->n_head * hp->hd_k; h += op->n_in)     r->k->rms_norm(q + h, op->b, op->scale, op->n_in, q + h);
    if (op->b2) for (h = 0; h < hp->n_head_kv * hp->hd_k; h += op->n_out) r->k->rms_norm(k + h, op->b2, op->scale, op->n_out, k + h);
    if (op->type != AIOS__ROPE_NONE) {
        const float *cs = op->y + (uint64_t)t * op->y_stride;
        r->k->rope(op->type, q, hp->n_head + hp->n_head_kv, hp->hd_k, hp->n_rot, cs);      /* keys follow the queries */
    }
    if (rot & AIOS__ROTATED_K) r->k->rotate(k, hp->n_head_kv, hp->hd_k, 0);        /* queries are rotated where they are used */
    if (rot & AIOS__ROTATED_V) r->k->rotate(v, hp->n_head_kv, hp->hd_v, 0);
    for (h = 0; h < hp->n_head_kv; h++)
        r->k->store[r->kv->type[AIOS__KV_OPEN][op->layer]](aios__kv_open_tile(r->kv, r->pass->seq[t], op->layer, h, slot), slot % AIOSK_TILE,
                                                        k + (int64_t)h * hp->hd_k, v + (int64_t)h * hp->hd_v, hp->hd_k, hp->hd_v);
}

/* Attention is cut into tasks of (block of tokens of one sequence and one tile, key/value head, part of its query heads, run of keys), so
 * that a tile is read once for up to AIOS__MAX_Q queries. A run is 512 slots; what is alive and seen of it may be in several stretches,
 * which are put together in ascending order, and so are a token's runs, always. There are two ways, which give the same bits:
 *   spread  few tokens: all runs at once, each leaves its result in a slot; ATTEND_END merges the slots of a token
 *   rounds  many tokens: the phase runs once for each run, and its tasks merge into what the rounds before them left, so
 *           that the room needed does not grow with the context. A round has a task for each block and head           */
enum { AIOS__MAX_Q = 32, AIOS__RUN_POS = AIOSK_RUN * AIOSK_TILE };
static int32_t aios__attend_parts(const aios__hp *hp) { return (hp->n_head / hp->n_head_kv + AIOS__MAX_Q - 1) / AIOS__MAX_Q; }
static int32_t aios__attend_heads(const aios__hp *hp) { int32_t g = hp->n_head / hp->n_head_kv, n = aios__attend_parts(hp); return (g + n - 1) / n; }
static int32_t aios__attend_tokens(const aios__hp *hp) { return AIOS__MAX_Q / aios__attend_heads(hp); }
/* Slots for a context: four tokens may be spread over 16 Ki positions, one over any number. */
static int32_t aios__attend_slots(int32_t n_ctx) {
    int32_t runs = (int32_t)(((int64_t)n_ctx + AIOS__RUN_POS - 1) / AIOS__RUN_POS);
    return runs < 2 ? 0 : runs > 128 ? runs : 4 * runs > 128 ? 128 : 4 * runs;
}
/* The first slot that a token sees, but for sinks and tiles that a policy hides. */
static inline int32_t aios__attend_first(const aios__kv *kv, int32_t seq, int32_t window, int32_t pos) {
    return window && pos >= window ? aios__kv_slot(&kv->seq[seq], pos - window + 1) : 0;
}
/* The runs that a token sees are the first *sinks ones, and those from *from on up to its own. Gives how many. */
static int32_t aios__attend_seen(const aios__kv *kv, int32_t window, int32_t seq, int32_t pos, int32_t slot, int32_t *sinks, int32_t *from) {
    int32_t first = kv->heavy ? 0 : slot / AIOSK_TILE - kv->behind[0];
    *sinks = window ? 0 : (kv->sinks[0] + AIOSK_RUN - 1) / AIOSK_RUN;
    *from = window ? aios__attend_first(kv, seq, window, pos) / AIOS__RUN_POS : first > 0 ? first / AIOSK_RUN : 0;
    if (*sinks > slot / AIOS__RUN_POS) *sinks = slot / AIOS__RUN_POS;
    if (*from < *sinks) *from = *sinks;
    return *sinks + slot / AIOS__RUN_POS - *from + 1;
}
static inline int32_t aios__attend_n_runs(const aios__op *op, const aios__run *r) { return r->pass->n_runs[op->window != 0]; }
static inline int32_t aios__attend_spread(const aios__op *op, const aios__run *r) {
    int32_t n = aios__attend_n_runs(op, r);
    return n > 1 && n <= r->n_slots / r->pass->n;
}
/* Runs that one task takes when they are spread: enough that memory is read in long stretches, few enough that each
 * worker gets several tasks. */
static inline int32_t aios__attend_chunk(const aios__op *op, const aios__run *r) {
    int64_t n = (int64_t)aios__attend_n_runs(op, r) * r->pass->n_blocks * r->hp->n_head_kv * aios__attend_parts(r->hp) / ((int64_t)8 * r->n_threads);
    return n < 1 ? 1 : n > 8 ? 8 : (int32_t)n;
}
/* How often the phase that begins with this op runs. */
static int32_t aios__op_rounds(const aios__op *op, const aios__run *r) {
    if (op->flags & AIOS__STREAMED) return op->n_units;
    return op->per != AIOS__PER_HEAD || aios__attend_spread(op, r) ? 1 : aios__attend_n_runs(op, r);
}

typedef struct aios__attend_work { float *q, *o[2], *m[2], *l[2], *d8, *cs, *sum; void *scratch; int8_t *q8; int32_t *lo, *hi; } aios__attend_work;
static void aios__attend_layout(aios__attend_work *w, aios__bump *b, const aios__hp *hp) {
    uint64_t n = (uint64_t)(aios__attend_heads(hp) * aios__attend_tokens(hp));
    int32_t i;
    w->q       = (float *)aios__take(b, n * (uint64_t)hp->hd_k * 4, 64);
    for (i = 0; i < 2; i++) {           /* a run, and a stretch of it that is not the first                 */
        w->o[i] = (float *)aios__take(b, n * aios__round_up((uint64_t)hp->hd_v, 16) * 4, 64);
        w->m[i] = (float *)aios__take(b, n * 4, 64);
        w->l[i] = (float *)aios__take(b, n * 4, 64);
    }
    w->q8      = (int8_t *)aios__take(b, n * aios__round_up((uint64_t)hp->hd_k, 16), 64);
    w->scratch = aios__take(b, AIOSK_ATTEND_SCRATCH(n, hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v), 64);
    w->d8      = (float *)aios__take(b, n * 4, 64);
    w->cs      = (float *)aios__take(b, (uint64_t)hp->n_rot * 4, 64);
    w->sum     = (float *)aios__take(b, n * AIOSK_RUN * 4, 64);
    w->lo      = (int32_t *)aios__take(b, n * 4, 64);
    w->hi      = (int32_t *)aios__take(b, n * 4, 64);
}
static inline int32_t aios__clamp(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* A piece of a run that one call takes: alive, of one turn, and coded in one way. */
typedef struct aios__stretch { const void *tile[AIOSK_RUN]; int32_t from, to, off, type; uint32_t open; uint64_t bytes; } aios__stretch;
/* The next piece between slots at and end, which are of the run that starts at base. 0 = there is none. */
static int32_t aios__attend_stretch(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head, int32_t own, int32_t base, int32_t at, int32_t end, aios__stretch *x) {
    const aios__kv_seq *s = &kv->seq[seq];
    int32_t i, t, form = 0, upto;
    const void *p = NULL;
    memset(x, 0, sizeof *x);
    x->from = end; x->type = -1;
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
            if (p && x->from < end && form != AIOS__KV_OPEN && x->type >= 0 && kv->type[form][layer] != x->type) return 1;
            if (!p && x->from < end) return 1;
            if (!p) { x->to = upto; continue; }
            if (x->from == end) { x->from = at; x->off = s->span[i].off; }
            if (form == AIOS__KV_OPEN) x->open |= 1u << (t - base / AIOSK_TILE);
            else x->type = kv->type[form][layer];
            x->tile[t - base / AIOSK_TILE] = p;
            x->bytes += kv->tile_bytes[form][layer] * (uint64_t)(upto - at) / AIOSK_TILE;
        }
    }
    return x->from < end;
}
/* The queries of a block's heads as its keys want them: turned by `turn` positions more than they are, rotated, quantised. */
static void aios__attend_queries(const aios__op *op, const aios__run *r, const aios__attend_work *w, int32_t t0, int32_t n_t, int32_t h0, int32_t n_h, int32_t turn) {
    const aios__hp *hp = r->hp;
    int32_t t, h, i, rot = r->kv->rotated[op->layer], hp_k = (hp->hd_k + 15) / 16 * 16;
    for (t = 0; t < n_t; t++)
        memcpy(w->q + (int64_t)t * n_h * hp->hd_k, op->x + (uint64_t)(t0 + t) * op->x_stride + (int64_t)h0 * hp->hd_k, (size_t)n_h * (size_t)hp->hd_k * 4);
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
    for (h = 0; h < n_t * n_h; h++) r->k->quantize_head(w->q + (int64_t)h * hp->hd_k, hp->hd_k, w->q8 + (int64_t)h * hp_k, &w->d8[h], w->q + (int64_t)h * hp->hd_k);
}
static void aios__op_attend(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const aios__hp *hp = r->hp;
    const aios__pass *ps = r->pass;
    int32_t parts = aios__attend_parts(hp), heads = aios__attend_heads(hp), group = hp->n_head / hp->n_head_kv, spread = aios__attend_spread(op, r);
    int32_t n_runs = spread ? aios__attend_n_runs(op, r) : 1, chunk = spread ? aios__attend_chunk(op, r) : 1, chunks = (n_runs + chunk - 1) / chunk;
    int32_t run = spread ? task % chunks * chunk : r->round, part = task / chunks % parts, kvh = task / chunks / parts % hp->n_head_kv, block = task / chunks / parts / hp->n_head_kv;
    int32_t run1 = !spread ? run + 1 : run + chunk < n_runs ? run + chunk : n_runs;
    int32_t h0 = kvh * group + part * heads, n_h = group - part * heads < heads ? group - part * heads : heads;
    int32_t t0 = ps->block[block], n_t = ps->block[block + 1] - t0, seq = ps->seq[t0], hp_v = (hp->hd_v + 15) / 16 * 16, own = ps->slot[t0] / AIOSK_TILE;
    int32_t sinks, from, n = aios__attend_seen(r->kv, op->window, seq, ps->pos[t0], ps->slot[t0], &sinks, &from);
    int32_t first = aios__attend_first(r->kv, seq, op->window, ps->pos[t0]), end = ps->slot[t0 + n_t - 1] + 1;      /* what the block sees */
    int32_t off = aios__kv_off(&r->kv->seq[seq]), turned = 0, ready = 0, t, h, i;
    float *state_m = r->state, *state_l = state_m + (uint64_t)op->n_in * (uint64_t)hp->n_head;
    float *part_o = r->part, *part_m = part_o + (int64_t)r->n_slots * hp->n_head * hp_v, *part_l = part_m + (int64_t)r->n_slots * hp->n_head;
    aios__attend_work w;
    aios__bump b;
    aiosk_attend a;
    for (t = t0; t < t0 + n_t; t++) {   /* empty results, for the first round and for runs that others see but not this block */
        if (spread) for (i = run; i < run1; i++) memset(part_l + ((int64_t)t * n_runs + i) * hp->n_head + h0, 0, (size_t)n_h * 4);
        else if (run == 0) memset(state_l + (int64_t)t * hp->n_head + h0, 0, (size_t)n_h * 4);
    }
    if (run >= n) return;
    b.base = aios__work(r, worker); b.used = 0;
    aios__attend_layout(&w, &b, hp);
    memset(&a, 0, sizeof a);
    a.q = w.q; a.q8 = w.q8; a.q8_d = w.d8; a.scratch = w.scratch; a.lo = w.lo; a.hi = w.hi;
    a.scale = hp->score_scale; a.softcap = hp->score_cap;
    a.n_q = n_h * n_t; a.hd_k = hp->hd_k; a.hd_v = hp->hd_v; a.q_stride = hp->hd_k;
    for (; run < run1 && run < n; run++) {
        int32_t base = (run < sinks ? run : from + run - sinks) * AIOS__RUN_POS, to = end < base + AIOS__RUN_POS ? end : base + AIOS__RUN_POS;
        int32_t at = first > base ? first : base, some = 0;
        aios__stretch x, next;
        for (; aios__attend_stretch(r->kv, seq, op->layer, kvh, own, base, at, to, &x); at = x.to, some = 1) {
            if (!ready || x.off != off + turned) {
                turned = x.off - off; ready = 1;
                aios__attend_queries(op, r, &w, t0, n_t, h0, n_h, turned);
            }
            a.m = w.m[some]; a.l = w.l[some]; a.o = w.o[some];
            a.tile = x.tile; a.n_tiles = (x.to - base + AIOSK_TILE - 1) / AIOSK_TILE; a.open = x.open; a.next = NULL;
            a.type = x.type >= 0 ? x.type : r->kv->type[AIOS__KV_OPEN][op->layer];
            for (i = 0; i < AIOSK_RUN; i++) if (!x.tile[i]) x.tile[i] = x.tile[(x.from - base) / AIOSK_TILE];
            if (x.to == base + AIOS__RUN_POS && run + 1 < run1 && run + 1 > sinks && aios__attend_stretch(r->kv, seq, op->layer, kvh, own, x.to, x.to, x.to + AIOS__RUN_POS < end ? x.to + AIOS__RUN_POS : end, &next)) {
                for (i = 0; i < AIOSK_RUN; i++) if (!next.tile[i]) next.tile[i] = next.tile[(next.from - x.to) / AIOSK_TILE];
                a.next = next.tile;
            }
            for (t = i = 0; t < n_t; t++) {
                int32_t s = ps->slot[t0 + t], lo = aios__attend_first(r->kv, seq, op->window, ps->pos[t0 + t]), hi = s + 1 < x.to ? s + 1 : x.to;
                if (lo < x.from) lo = x.from;
                for (h = 0; h < n_h; h++, i++) { w.lo[i] = lo < hi ? lo - base : 0; w.hi[i] = lo < hi ? hi - base : 0; }
            }
            if (r->mass && !op->window) a.tile_sum = w.sum;
            r->k->attend(&a);
            for (i = 0; a.tile_sum && i < a.n_q; i++) {
                float *got = r->mass + (((int64_t)(t0 + i / n_h) * hp->n_head + h0 + i % n_h) * r->kv->seq_tiles + base / AIOSK_TILE) * 2;
                for (t = (x.from - base) / AIOSK_TILE; t < a.n_tiles; t++) { got[2 * t] = w.sum[i * a.n_tiles + t]; got[2 * t + 1] = a.m[i]; }     /* of a tile in two pieces, the last */
            }
            r->kv_read[(int64_t)worker * 8] += x.bytes;
            if (some) r->k->attend_merge(a.n_q, hp->hd_v, w.m[0], w.l[0], w.o[0], hp_v, w.m[1], w.l[1], w.o[1], hp_v);
        }
        for (t = i = 0; some && t < n_t; t++, i += n_h) {
            int64_t at_slot = spread ? ((int64_t)(t0 + t) * n_runs + run) * hp->n_head + h0 : (int64_t)(t0 + t) * hp->n_head + h0;
            if (spread) {
                memcpy(part_o + at_slot * hp_v, w.o[0] + (int64_t)i * hp_v, (size_t)n_h * (size_t)hp_v * 4);
                memcpy(part_m + at_slot, w.m[0] + i, (size_t)n_h * 4);
                memcpy(part_l + at_slot, w.l[0] + i, (size_t)n_h * 4);
            } else r->k->attend_merge(n_h, hp->hd_v, state_m + at_slot, state_l + at_slot, op->y + (uint64_t)(t0 + t) * op->y_stride + (int64_t)h0 * hp->hd_v, hp->hd_v,
                                      w.m[0] + i, w.l[0] + i, w.o[0] + (int64_t)i * hp_v, hp_v);
        }
    }
}
/* How much of a token's attention went to each tile it sees, as a part of 65536 for all its heads and layers together: whole numbers, so that
 * adding them up in any order gives the same. m, l: of the token's heads. */
AIOSK__STRICT static void aios__attend_mass(const aios__op *op, const aios__run *r, int32_t token, const float *m, const float *l) {
    const aios__kv *kv = r->kv;
    int32_t seq = r->pass->seq[token], own = r->pass->slot[token] / AIOSK_TILE, t, h, *now = kv->mass_now + (int64_t)seq * kv->seq_tiles, form;
    float part = 65536.0f / (float)(r->hp->n_head * r->hp->n_layer);
    for (t = 0; t <= own; t++) {
        float sum = 0;
        if (!aios__kv_look(kv, seq, op->layer, 0, own, t, &form)) continue;
        for (h = 0; h < r->hp->n_head; h++) {
            const float *x = r->mass + (((int64_t)token * r->hp->n_head + h) * kv->seq_tiles + t) * 2;
            float e = x[1] - m[h];
            r->k->exp(&e, 1, &e);
            e = e * x[0];
            sum = sum + e / l[h];
        }
        sum = sum * part;
        if (sum > 0 && sum <= 65536.0f) aios__fetch_add(&now[t], (int32_t)(sum + 0.5f));
    }
}
/* The end of attention for one token: merges its runs if they were spread, divides by the sum, and makes the forms. */
static void aios__op_attend_end(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const aios__hp *hp = r->hp;
    int32_t hp_v = (hp->hd_v + 15) / 16 * 16, h, i, n = aios__attend_spread(op, r) ? aios__attend_n_runs(op, r) : 0;
    float *y = op->x + (uint64_t)t * op->x_stride, *m = r->state + (int64_t)t * hp->n_head, *l = m + (uint64_t)op->n_in * (uint64_t)hp->n_head;
    const float *part_o = r->part, *part_m = part_o + (int64_t)r->n_slots * hp->n_head * hp_v, *part_l = part_m + (int64_t)r->n_slots * hp->n_head;
    (void)worker;
    if (n) memset(l, 0, (size_t)hp->n_head * 4);
    for (i = 0; i < n; i++) {
        int64_t slot = ((int64_t)t * n + i) * hp->n_head;
        r->k->attend_merge(hp->n_head, hp->hd_v, m, l, y, hp->hd_v, part_m + slot, part_l + slot, part_o + slot * hp_v, hp_v);
    }
    if (r->mass && !op->window) aios__attend_mass(op, r, t, m, l);
    for (h = 0; h < hp->n_head; h++) r->k->scale(y + (int64_t)h * hp->hd_v, 1.0f / l[h], hp->hd_v, y + (int64_t)h * hp->hd_v);
    if (r->kv->rotated[op->layer] & AIOS__ROTATED_V) r->k->rotate(y, hp->n_head, hp->hd_v, 1);
    aios__forms(r, &op->out, t, y);
}
static void aios__op_act(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    float *x;
    (void)worker;
    if (op->per == AIOS__PER_PAIR) t += aios__moe_col0(r->moe);
    x = op->x + (uint64_t)t * op->x_stride;
    if (op->flags & AIOS__GATE) r->k->act_gated(op->type, x, x + op->n_in, op->n_in, x);
    else r->k->act(op->type, x, op->n_in, x);
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

/* ---- mixtures of experts: experts.c has the lists, these are their ops ------------------------------------------- */
static void aios__op_route(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    aios__moe *m = r->moe;
    (void)op; (void)worker;
    aios__moe_choose(r->k, m->logit + (uint64_t)t * m->logit_stride, m->n_expert, m->n_used, r->hp->exp_norm, r->hp->exp_scale,
                     m->chosen + (int64_t)t * m->n_used, m->weight + (int64_t)t * m->n_used);
}
static void aios__op_group(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    (void)t; (void)worker;
    aios__moe_count(r->moe, r->pass->n);
    if (r->cache) aios__cache_begin(r->cache, op->layer);
    aios__moe_place(r->moe, r->pass->n, op->layer);
}
/* The input of one pair, beside those of the same expert. With one token there is nothing to gather: all pairs read its column. */
static void aios__op_gather(const aios__op *op, const aios__run *r, int32_t c, int32_t worker) {
    int32_t k;
    (void)worker;
    for (k = 0; k < AIOSK_N_ACTS; k++)
        if (op->out.p[k]) memcpy(aios__form(&op->out, k, c), aios__form(&op->in, k, r->moe->token[c]), (size_t)op->in.stride[k]);
}
static void aios__op_experts(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    aiosk_matmul m;
    int32_t rows = (op->n_out + op->rows_per_task - 1) / op->rows_per_task, kind = op->mm ? (int32_t)aiosk_type_info(op->type)->family : (int32_t)AIOSK_FLT;
    const aios__cols *b = &r->moe->block[r->moe->block0 + task / rows];
    const aios__acts *in = r->pass->n == 1 ? &op->out : &op->in;
    memset(&m, 0, sizeof m);
    m.w = op->flags & AIOS__CACHED ? aios__cache_data(r->cache, b->expert, op->part) : (const char *)op->w + (uint64_t)b->expert * op->expert_bytes;
    m.n_in = op->n_in;
    m.x = in->p[kind] + (in == &op->in || op->flags & AIOS__OF_PAIRS ? (uint64_t)b->col * in->stride[kind] : 0); m.x_stride = in->stride[kind];
    m.y = op->y + (uint64_t)b->col * op->y_stride; m.y_stride = op->y_stride;
    m.row0 = task % rows * op->rows_per_task;
    m.row1 = op->n_out - m.row0 < op->rows_per_task ? op->n_out : m.row0 + op->rows_per_task;
    m.n_cols = b->n;
    if (op->mm) op->mm(&m);
    else aiosk_matmul_reference(op->type, &m, (float *)(void *)aios__work(r, worker));
}
/* The sum of what a token's experts gave, and the shared one's, into the residual. */
AIOSK__STRICT static void aios__op_combine(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const aios__moe *m = r->moe;
    const int32_t *col = m->col + (int64_t)t * m->n_used;
    const float *weight = m->weight + (int64_t)t * m->n_used;
    float *sum = (float *)(void *)aios__work(r, worker), *one = sum + op->n_in, *y = op->y + (uint64_t)t * op->y_stride;
    int32_t j;
    r->k->scale(op->x + (uint64_t)col[0] * op->x_stride, weight[0], op->n_in, sum);
    for (j = 1; j < m->n_used; j++) {
        r->k->scale(op->x + (uint64_t)col[j] * op->x_stride, weight[j], op->n_in, one);
        r->k->add(sum, one, op->n_in, sum);
    }
    if (op->in.p[AIOSK_FLT]) {
        const float *shared = (const float *)(const void *)aios__form(&op->in, AIOSK_FLT, t);
        if (op->flags & AIOS__GATE) {           /* its gate: 1 / (1 + exp(-x))                               */
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
    case AIOS__PER_TOKEN: return n;
    case AIOS__PER_ROWS:  return (n + op->cols_per_task - 1) / op->cols_per_task * aios__row_blocks(op, r);
    case AIOS__PER_COPY:
        for (n = 0, i = 0; i < r->kv->n_copies; i++) n += aios__copy_pieces(r->kv, &r->kv->copy[i]);
        return n;
    case AIOS__PER_SEAL:  return r->kv->n_seals * r->kv->n_head_kv;
    case AIOS__PER_PASS:  return 1;
    case AIOS__PER_PAIR:  return n == 1 && op->run == aios__op_gather ? 0 : aios__moe_cols(r->moe);
    case AIOS__PER_EXPERT: return (r->moe->block1 - r->moe->block0) * ((op->n_out + op->rows_per_task - 1) / op->rows_per_task);
    }
    n = r->pass->n_blocks * r->hp->n_head_kv * aios__attend_parts(r->hp);
    if (aios__attend_spread(op, r)) { int32_t c = aios__attend_chunk(op, r); n *= (aios__attend_n_runs(op, r) + c - 1) / c; }
    return n;
}

/* ---- rope frequencies ----------------------------------------------------------------------------------------- */
/* Each pair i turns by pos * freq[i]: every scaling method comes down to another table. Returns what cos and sin are
 * multiplied with in *mult_out. From: linear (Chen 2023), YaRN (Peng 2023), LongRoPE (Ding 2024), as GGUF writes their parameters. */
AIOSK__STRICT static aios_status aios__rope_freqs(const aios_model *m, int32_t n_ctx, double *freq, float *mult_out, aios_error *err) {
    const aios__hp *p = &m->hp;
    int32_t i, n = p->n_rot / 2, r = AIOS__T_ROPE_FREQS;
    double log_base = aios__log(p->rope_base), mult = p->rope_attn_factor, low = 0, high = 0;
    const float *div;
    if (p->rope_scaling == AIOS__SCALE_YARN) {
        double d = (double)p->n_rot / (2 * log_base), two_pi = 6.283185307179586;
        low  = aios__floor(d * aios__log((double)p->rope_orig_ctx / (p->yarn_beta_fast * two_pi)));
        high = -aios__floor(-d * aios__log((double)p->rope_orig_ctx / (p->yarn_beta_slow * two_pi)));
        if (low < 0) low = 0;
        if (high > p->n_rot - 1) high = p->n_rot - 1;
        if (high - low < 0.001) high = low + 0.001;
        if (p->yarn_ext != 0) mult *= 1 + 0.1 * aios__log(p->rope_factor);
    }
    if (m->role[AIOS__T_ROPE_LONG].w >= 0 && m->role[AIOS__T_ROPE_SHORT].w >= 0)
        r = n_ctx > p->rope_orig_ctx ? AIOS__T_ROPE_LONG : AIOS__T_ROPE_SHORT;
    div = m->role[r].w >= 0 ? (const float *)m->place[m->role[r].w].p : NULL;
    for (i = 0; i < n; i++) {
        double f = aios__exp(-(double)(2 * i) / (double)p->n_rot * log_base);
        if (div) {
            if (!(div[i] >= 1e-6f && div[i] <= 1e6f))
                return aios__fail2(err, AIOS_ERR_MODEL, m->gguf.tensor[m->role[r].w].off + (uint64_t)i * 4, 0, (uint64_t)i, "factor % of tensor % makes no sense", aios__i(i), aios__s(m->gguf.tensor[m->role[r].w].name));
            f /= (double)div[i];
        }
        if (p->rope_scaling == AIOS__SCALE_LINEAR) f /= p->rope_factor;
        if (p->rope_scaling == AIOS__SCALE_YARN) {
            double ramp = ((double)i - low) / (high - low), keep;
            ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
            keep = (1 - ramp) * p->yarn_ext;        /* 1 = the fast pairs turn as trained, 0 = slowed down */
            f = f / p->rope_factor * (1 - keep) + f * keep;
        }
        if ((double)n_ctx * f > 1e6)
            return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 1000000, (uint64_t)n_ctx, "rope turns pair % too far to be computed within % positions", aios__i(i), aios__i(n_ctx));
        freq[i] = f;
    }
    *mult_out = (float)mult;
    return AIOS_OK;
}

/* ---- building ------------------------------------------------------------------------------------------------- */
typedef struct aios__build {
    const aios_model *m;
    const aiosk_isa *k;
    int32_t n_ctx, n_seq, n_batch, n_outputs, n_threads, numerics;
    int32_t coded, heavy;               /* tiles of the cache are sealed; some of them stay for the attention they get */
    aios__cut cut;
    aios__op *op;                       /* NULL = count                                                     */
    aios__unit *unit;                   /* what is streamed, in the order of use; filled when op is there   */
    uint32_t n_ops, n_phases, n_units;
    uint64_t slot_bytes;                /* of the largest unit                                              */
    int32_t after_units;                /* the last op is one that goes from unit to unit: nothing runs beside it */
    uint64_t w_bytes, row_bytes, act_bytes, stream_bytes, expert_bytes;     /* per decoded token; expert: of stream */
    aios__bump scratch;                 /* base NULL = count                                                */
    uint64_t work_bytes;
    char *work;
    double *freq;                       /* [n_rot / 2] in the context's META                                */
    float rope_mult;
    float *x, *qkv, *att, *ffn, *tmp, *cs, *logits;     /* of all tokens of a pass                          */
    float *state, *part, *mass;         /* as in aios__run                                                  */
    aios__acts a_norm, a_norm2, a_att, a_ffn, a_out;
    int32_t n_qkv, n_att;
    uint64_t ffn_stride;
    aios__moe moe;                      /* experts: of all pairs of a pass                                  */
    aios__acts a_pair, a_exp;           /* what gate and up read, and down                                  */
    float *exp, *exp_out, *shared;
    aios__bundle *bundle;               /* [n_layer] filled when op is there                                */
    uint64_t part_bytes[AIOS__N_PARTS]; /* of a slot of the cache: the widest                               */
} aios__build;

/* The forms a matrix reads its input in, as a mask of 1 << kind. */
static uint32_t aios__mask(const aios__build *b, aios__ref r) {
    if (r.w < 0) return 0;
    if (b->numerics == AIOS_REFERENCE) return 1u << AIOSK_FLT;
    return 1u << aiosk_type_info((int32_t)b->m->gguf.tensor[r.w].type)->family;
}
static void aios__acts_layout(aios__build *b, aios__acts *a, int32_t n, int32_t n_tokens, uint32_t mask) {
    int32_t k;
    memset(a, 0, sizeof *a);
    a->n = n;
    for (k = 0; k < AIOSK_N_ACTS; k++) {
        if (!(mask & 1u << k)) continue;
        a->stride[k] = aios__round_up(aiosk_act_bytes(k, (uint64_t)n), 64);
        a->p[k] = (char *)aios__take(&b->scratch, a->stride[k] * (uint64_t)n_tokens, 64);
    }
}
/* Only the forms of a that mask names. */
static aios__acts aios__acts_of(const aios__acts *a, uint32_t mask) {
    aios__acts x = *a;
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++) if (!(mask & 1u << k)) x.p[k] = NULL;
    return x;
}
static uint64_t aios__acts_bytes(const aios__acts *a, uint32_t mask) {
    uint64_t n = 0;
    int32_t k;
    for (k = 0; k < AIOSK_N_ACTS; k++) if (mask & 1u << k) n += a->stride[k];
    return n;
}

static aios__op *aios__emit(aios__build *b, aios__op *local, aios__op_fn run, const char *name, int32_t layer, int32_t per, uint32_t flags) {
    aios__op *o = b->op ? &b->op[b->n_ops] : local;
    memset(o, 0, sizeof *o);
    o->run = run; o->name = name; o->layer = layer; o->per = per; o->flags = flags;
    b->n_ops++;
    if (!(flags & AIOS__JOIN)) { b->n_phases++; b->after_units = 0; }
    o->phase = (int32_t)b->n_phases - 1;
    return o;
}
static const float *aios__vec(const aios__build *b, int32_t tensor) { return tensor < 0 ? NULL : (const float *)b->m->place[tensor].p; }
static uint64_t aios__vec_bytes(const aios__build *b, int32_t tensor) { return tensor < 0 ? 0 : b->m->gguf.tensor[tensor].n[0] * 4; }

static void aios__emit_table(aios__build *b, aios__op_fn run, const char *name, aios__ref r, float scale, uint32_t flags) {
    aios__op local, *o = aios__emit(b, &local, run, name, -1, AIOS__PER_TOKEN, flags);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    o->w = p.p; o->layout = p.layout; o->tier = p.tier; o->type = (int32_t)t->type;
    o->n_in = b->m->hp.n_embd; o->y = b->x; o->y_stride = (uint64_t)b->m->hp.n_embd; o->scale = scale;
    o->row_bytes = t->row_bytes; o->act_bytes = (uint64_t)o->n_in * 4;
    b->row_bytes += o->row_bytes; b->act_bytes += o->act_bytes;
}
/* x -> norm -> the forms of out that mask names; or, with out NULL, x -> norm, added to the residual add. */
static void aios__emit_norm(aios__build *b, const char *name, int32_t layer, aios__ref r, const float *x, const aios__acts *out, uint32_t mask, float *add, uint32_t flags) {
    aios__op local, *o = aios__emit(b, &local, aios__op_norm, name, layer, AIOS__PER_TOKEN, flags);
    o->type = b->m->arch->norm; o->scale = b->m->hp.norm_eps; o->n_in = b->m->hp.n_embd;
    o->w = aios__vec(b, r.w); o->b = aios__vec(b, r.b);
    o->x = (float *)(uintptr_t)x; o->x_stride = (uint64_t)b->m->hp.n_embd;
    o->y = add; o->y_stride = (uint64_t)b->m->hp.n_embd;
    if (out) o->out = aios__acts_of(out, mask);
    o->w_bytes = aios__vec_bytes(b, r.w) + aios__vec_bytes(b, r.b);
    o->act_bytes = (uint64_t)o->n_in * (out ? 4 : 12) + (out ? aios__acts_bytes(out, mask) : 0);
    b->w_bytes += o->w_bytes; b->act_bytes += o->act_bytes;
}
enum { AIOS__TASK_PRODUCTS = 1 << 24, AIOS__TASK_COLS = 32 };
/* Rows row0 .. row1-1 of a matrix: those that are resident, or (STREAMED) those that are not, unit after unit. */
static aios__op *aios__emit_rows(aios__build *b, const char *name, int32_t layer, aios__ref r, const aios__place *p, int32_t layout, uint32_t row0, uint32_t row1, const aios__acts *in, float *y, uint64_t y_stride, uint32_t flags, aios__op *local) {
    aios__op *o = aios__emit(b, local, aios__op_matmul, name, layer, AIOS__PER_ROWS, flags);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    int64_t rows, most, cols = flags & AIOS__ON_OUTPUTS ? b->n_outputs : b->n_batch;
    o->type = (int32_t)t->type; o->layout = layout;
    o->w = p->p;
    o->tier = flags & AIOS__STREAMED ? (int32_t)AIOS_TIER_STREAM : (int32_t)p->tier;
    o->b = aios__vec(b, r.b);
    if (o->b) o->b += row0;
    o->mm = b->numerics == AIOS_REFERENCE ? NULL : b->k->matmul[o->type][o->layout];
    if (b->op && b->numerics == AIOS_FAST && o->layout == AIOSK_ROWS) o->mm = aiosk_matmul_fast(b->k, o->type);   /* asks the CPU: not while counting */
    o->in = *in; o->y = y ? y + row0 : NULL; o->y_stride = y_stride;
    o->n_in = (int32_t)t->n[0]; o->n_out = (int32_t)(row1 - row0);
    /* a task: about 64 KiB of weights (some microseconds), and of the order of 16 M products (some tenths of a millisecond), but
     * whole pairs of panels, which kernels for many columns take together */
    rows = (int64_t)(65536 / t->row_bytes);
    if (cols > AIOSK__MAX_COLS) cols = AIOSK__MAX_COLS;
    most = AIOS__TASK_PRODUCTS / ((int64_t)o->n_in * cols);
    if (rows > most) rows = most;
    o->rows_per_task = (int32_t)(rows > o->n_out ? o->n_out : rows) / 32 * 32;
    if (o->rows_per_task < 32) o->rows_per_task = 32;
    /* long rows: fewer columns, while unpacking a weight for so few costs next to nothing: at 64 nothing that can be measured, at 32 some
     * percent of the product, at 16 twenty */
    for (o->cols_per_task = AIOSK__MAX_COLS; o->cols_per_task > AIOS__TASK_COLS; o->cols_per_task /= 2)
        if ((int64_t)o->rows_per_task * o->n_in * (o->cols_per_task < cols ? o->cols_per_task : cols) <= AIOS__TASK_PRODUCTS) break;
    o->w_bytes = aios__rows_bytes(t, layout, row1 - row0) + (r.b < 0 ? 0 : (uint64_t)(row1 - row0) * 4);
    o->act_bytes = aios__acts_bytes(in, aios__mask(b, r)) + (uint64_t)o->n_out * (flags & AIOS__ADD ? 8 : 4);
    b->w_bytes += o->w_bytes; b->act_bytes += o->act_bytes;
    return o;
}
/* A matrix: what is resident of it, then what is streamed, in a phase of its own with a round for each unit. */
static void aios__emit_matmul(aios__build *b, const char *name, int32_t layer, aios__ref r, const aios__acts *in, float *y, uint64_t y_stride, uint32_t flags) {
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)r.w);
    uint32_t row = p.rows, n_rows = (uint32_t)t->n[1];
    aios__op local, *o;
    if (b->after_units) flags &= ~(uint32_t)AIOS__JOIN;
    if (row) { aios__emit_rows(b, name, layer, r, &p, p.layout, 0, row, in, y, y_stride, flags, &local); b->after_units = 0; }
    if (row == n_rows) return;
    o = aios__emit_rows(b, name, layer, r, &p, from.layout, row, n_rows, in, y, y_stride, (flags & ~(uint32_t)AIOS__JOIN) | AIOS__STREAMED, &local);
    o->unit_rows = (int32_t)aios__unit_rows(t, b->cut.unit_bytes);
    for (; row < n_rows; row += (uint32_t)o->unit_rows, b->n_units++, o->n_units++) {
        aios__unit u;
        uint64_t window;
        u.off = from.off + aios__rows_bytes(t, from.layout, row); u.part = from.io;
        u.n_bytes = (uint32_t)aios__rows_bytes(t, from.layout, aios__min_u64((uint64_t)o->unit_rows, n_rows - row));
        window = aios__unit_window(&u, &b->m->io[u.part]);
        if (window > b->slot_bytes) b->slot_bytes = window;
        b->stream_bytes += window;
        if (b->op) b->unit[b->n_units] = u;
    }
    b->after_units = 1;
}

/* tmp, scaled, into the residual. */
static void aios__emit_residual(aios__build *b, const char *name, int32_t layer) {
    aios__op local, *o = aios__emit(b, &local, aios__op_residual, name, layer, AIOS__PER_TOKEN, 0);
    o->n_in = b->m->hp.n_embd; o->x = b->tmp; o->y = b->x; o->x_stride = o->y_stride = (uint64_t)o->n_in; o->scale = b->m->hp.residual_scale;
    o->act_bytes = (uint64_t)o->n_in * 16;
    b->act_bytes += o->act_bytes;
}
/* The forms that a layer's feed-forward reads its input in. */
static uint32_t aios__ffn_mask(const aios__build *b, const aios__ref *r) {
    static const uint8_t roles[] = { AIOS__T_FFN_GATE, AIOS__T_FFN_UP, AIOS__T_FFN_ROUTER, AIOS__T_FFN_GATE_EXPS, AIOS__T_FFN_UP_EXPS, AIOS__T_FFN_SHARED, AIOS__T_FFN_GATE_SHEXP, AIOS__T_FFN_UP_SHEXP };
    uint32_t mask = 0, i;
    for (i = 0; i < sizeof roles; i++) mask |= aios__mask(b, r[roles[i]]);
    return mask;
}

static void aios__build_attention(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    uint64_t nq = (uint64_t)hp->n_head * (uint64_t)hp->hd_k, nk = (uint64_t)hp->n_head_kv * (uint64_t)hp->hd_k, stride = (uint64_t)b->n_qkv;
    int32_t post = ref[AIOS__T_POST_ATTN_NORM].w >= 0, direct = !post && hp->residual_scale == 1.0f;
    uint32_t mask = aios__mask(b, ref[AIOS__T_ATTN_OUT]) & ~(1u << AIOSK_FLT);
    aios__op local, *o;
    if (ref[AIOS__T_ATTN_QKV].w >= 0) aios__emit_matmul(b, "qkv", l, ref[AIOS__T_ATTN_QKV], in, b->qkv, stride, 0);
    else {
        aios__emit_matmul(b, "q", l, ref[AIOS__T_ATTN_Q], in, b->qkv, stride, 0);
        aios__emit_matmul(b, "k", l, ref[AIOS__T_ATTN_K], in, b->qkv ? b->qkv + nq : NULL, stride, AIOS__JOIN);
        aios__emit_matmul(b, "v", l, ref[AIOS__T_ATTN_V], in, b->qkv ? b->qkv + nq + nk : NULL, stride, AIOS__JOIN);
    }
    o = aios__emit(b, &local, aios__op_heads, "heads", l, AIOS__PER_TOKEN, 0);
    o->type = hp->n_rot ? m->arch->rope : (int32_t)AIOS__ROPE_NONE;
    o->x = b->qkv; o->x_stride = stride; o->y = b->cs; o->y_stride = (uint64_t)hp->n_rot; o->scale = hp->norm_eps;
    o->b = aios__vec(b, ref[AIOS__T_ATTN_Q_NORM].w); o->b2 = aios__vec(b, ref[AIOS__T_ATTN_K_NORM].w);
    o->n_in = (int32_t)aios__role_dim(m, 'M', ref); o->n_out = (int32_t)aios__role_dim(m, 'N', ref);
    o->w_bytes = aios__vec_bytes(b, ref[AIOS__T_ATTN_Q_NORM].w) + aios__vec_bytes(b, ref[AIOS__T_ATTN_K_NORM].w);
    o->act_bytes = stride * 8;
    b->w_bytes += o->w_bytes; b->act_bytes += o->act_bytes;

    if (b->coded) aios__emit(b, &local, aios__op_seal, "seal", l, AIOS__PER_SEAL, 0);
    o = aios__emit(b, &local, aios__op_attend, "attend", l, AIOS__PER_HEAD, 0);
    o->type = hp->n_rot ? m->arch->rope : (int32_t)AIOS__ROPE_NONE; o->freq = b->freq;
    o->x = b->qkv; o->x_stride = stride; o->y = b->att; o->y_stride = (uint64_t)b->n_att;
    o->window = aios__layer_window(m, l); o->n_in = b->n_batch;
    o->act_bytes = nq * 4 + (uint64_t)b->n_att * 4;
    b->act_bytes += o->act_bytes;
    o = aios__emit(b, &local, aios__op_attend_end, "attend_end", l, AIOS__PER_TOKEN, 0);
    o->x = b->att; o->x_stride = (uint64_t)b->n_att; o->out = aios__acts_of(&b->a_att, mask);
    o->window = aios__layer_window(m, l); o->n_in = b->n_batch;
    o->act_bytes = (uint64_t)b->n_att * 8 + aios__acts_bytes(&b->a_att, mask);
    b->act_bytes += o->act_bytes;
    aios__emit_matmul(b, "attn_out", l, ref[AIOS__T_ATTN_OUT], &b->a_att, direct ? b->x : b->tmp, (uint64_t)hp->n_embd, direct ? AIOS__ADD : 0);
    if (post) aios__emit_norm(b, "post_attn", l, ref[AIOS__T_POST_ATTN_NORM], b->tmp, NULL, 0, b->x, 0);
    else if (!direct) aios__emit_residual(b, "attn_add", l);
}
static void aios__build_ffn(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    int32_t gated = (m->arch->flags & AIOS__GATED) != 0, post = ref[AIOS__T_POST_FFN_NORM].w >= 0, direct = !post && hp->residual_scale == 1.0f;
    uint64_t stride = b->ffn_stride;
    uint32_t mask = aios__mask(b, ref[AIOS__T_FFN_DOWN]);
    aios__op local, *o;
    if (ref[AIOS__T_FFN_GATE].w >= 0) {
        aios__emit_matmul(b, "gate", l, ref[AIOS__T_FFN_GATE], in, b->ffn, stride, 0);
        aios__emit_matmul(b, "up", l, ref[AIOS__T_FFN_UP], in, b->ffn ? b->ffn + hp->n_ff : NULL, stride, AIOS__JOIN);
    } else aios__emit_matmul(b, "up", l, ref[AIOS__T_FFN_UP], in, b->ffn, stride, 0);
    o = aios__emit(b, &local, aios__op_act, "act", l, AIOS__PER_TOKEN, gated ? AIOS__GATE : 0);
    o->type = m->arch->act; o->n_in = hp->n_ff; o->x = b->ffn; o->x_stride = stride;
    o->out = aios__acts_of(&b->a_ffn, mask & ~(1u << AIOSK_FLT));
    o->out.n = hp->n_ff;
    o->act_bytes = (uint64_t)hp->n_ff * (gated ? 12 : 8) + aios__acts_bytes(&b->a_ffn, mask);
    b->act_bytes += o->act_bytes;
    aios__emit_matmul(b, "down", l, ref[AIOS__T_FFN_DOWN], &b->a_ffn, direct ? b->x : b->tmp, (uint64_t)hp->n_embd, direct ? AIOS__ADD : 0);
    if (post) aios__emit_norm(b, "post_ffn", l, ref[AIOS__T_POST_FFN_NORM], b->tmp, NULL, 0, b->x, 0);
    else if (!direct) aios__emit_residual(b, "ffn_add", l);
}

/* One matrix of every expert. in: columns of pairs; one: with one token alone, its own. */
static void aios__emit_experts(aios__build *b, const char *name, int32_t layer, aios__ref r, const aios__acts *in, const aios__acts *one, float *y, uint64_t y_stride, int32_t part, uint32_t flags) {
    aios__op local, *o = aios__emit(b, &local, aios__op_experts, name, layer, AIOS__PER_EXPERT, flags);
    const aios__tensor *t = &b->m->gguf.tensor[r.w];
    uint64_t off[2] = { 0, 0 };
    aios__place p = aios__place_of(b->m, &b->cut, (uint32_t)r.w, off);
    o->type = (int32_t)t->type; o->layout = p.layout; o->tier = p.tier; o->w = p.p;
    o->mm = b->numerics == AIOS_REFERENCE ? NULL : b->k->matmul[o->type][o->layout];
    if (b->op && b->numerics == AIOS_FAST && o->layout == AIOSK_ROWS) o->mm = aiosk_matmul_fast(b->k, o->type);
    o->in = *in; o->out = *one; o->y = y; o->y_stride = y_stride;
    o->n_in = (int32_t)t->n[0]; o->n_out = (int32_t)t->n[1];
    o->expert_bytes = aios__rows_bytes(t, p.layout, t->n[1]);
    o->rows_per_task = (int32_t)aios__min_u64(65536 / t->row_bytes, t->n[1]) / 32 * 32;     /* as of any matrix */
    if (o->rows_per_task < 32) o->rows_per_task = 32;
    if (b->cut.experts) {
        aios__source from = aios__source_of(b->m, &b->cut, (uint32_t)r.w);
        uint64_t window = aios__round_up(o->expert_bytes + (from.off % AIOS__STREAM_ALIGN || o->expert_bytes % AIOS__STREAM_ALIGN ? AIOS__STREAM_ALIGN - 1 : 0), AIOS__STREAM_ALIGN);
        o->flags |= AIOS__CACHED;
        o->part = part; o->tier = AIOS_TIER_STREAM;
        if (window > b->part_bytes[part]) b->part_bytes[part] = window;
        b->stream_bytes += window * (uint64_t)b->moe.n_used; b->expert_bytes += window * (uint64_t)b->moe.n_used;
        if (b->op) { b->bundle[layer].off[part] = from.off; b->bundle[layer].part[part] = from.io; b->bundle[layer].n_bytes[part] = (uint32_t)o->expert_bytes; }
    }
    o->w_bytes = o->expert_bytes * (uint64_t)b->moe.n_used;
    o->act_bytes = (aios__acts_bytes(in, aios__mask(b, r)) + (uint64_t)o->n_out * 4) * (uint64_t)b->moe.n_used;
    b->w_bytes += o->w_bytes; b->act_bytes += o->act_bytes;
}
/* The feed-forward of a layer with experts: routes, orders the pairs, works on them, sums up. The shared expert runs beside. */
static void aios__build_experts(aios__build *b, int32_t l, const aios__acts *in) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    const aios__ref *ref = m->layer[l];
    int32_t shared = ref[AIOS__T_FFN_UP_SHEXP].w >= 0, n_shared = hp->n_ff_shared ? hp->n_ff_shared : hp->n_ff;
    uint64_t e = (uint64_t)hp->n_embd, used = (uint64_t)hp->n_used, pair = (uint64_t)hp->n_ff_exp * 2, stride = b->ffn_stride;
    uint32_t in_exp = aios__mask(b, ref[AIOS__T_FFN_GATE_EXPS]) | aios__mask(b, ref[AIOS__T_FFN_UP_EXPS]), down = aios__mask(b, ref[AIOS__T_FFN_DOWN_EXPS]), mask = aios__mask(b, ref[AIOS__T_FFN_DOWN_SHEXP]);
    uint32_t cached = b->cut.experts != 0, first;
    aios__op local, *o;
    aios__emit_matmul(b, "router", l, ref[AIOS__T_FFN_ROUTER], in, b->moe.logit, b->moe.logit_stride, 0);
    if (shared) {
        if (ref[AIOS__T_FFN_SHARED].w >= 0) aios__emit_matmul(b, "shared_weight", l, ref[AIOS__T_FFN_SHARED], in, b->moe.logit ? b->moe.logit + hp->n_expert : NULL, b->moe.logit_stride, AIOS__JOIN);
        aios__emit_matmul(b, "shared_gate", l, ref[AIOS__T_FFN_GATE_SHEXP], in, b->ffn, stride, AIOS__JOIN);
        aios__emit_matmul(b, "shared_up", l, ref[AIOS__T_FFN_UP_SHEXP], in, b->ffn ? b->ffn + n_shared : NULL, stride, AIOS__JOIN);
    }
    o = aios__emit(b, &local, aios__op_route, "route", l, AIOS__PER_TOKEN, 0);
    o->act_bytes = (uint64_t)hp->n_expert * 12 + used * 8;
    b->act_bytes += o->act_bytes;
    if (shared) {
        o = aios__emit(b, &local, aios__op_act, "shared_act", l, AIOS__PER_TOKEN, AIOS__JOIN | AIOS__GATE);
        o->type = m->arch->act; o->n_in = n_shared; o->x = b->ffn; o->x_stride = stride;
        o->out = aios__acts_of(&b->a_ffn, mask & ~(1u << AIOSK_FLT));
        o->out.n = n_shared;
        o->act_bytes = (uint64_t)n_shared * 12 + aios__acts_bytes(&b->a_ffn, mask);
        b->act_bytes += o->act_bytes;
    }
    aios__emit(b, &local, aios__op_group, "group", l, AIOS__PER_PASS, 0);
    if (shared) aios__emit_matmul(b, "shared_down", l, ref[AIOS__T_FFN_DOWN_SHEXP], &b->a_ffn, b->shared, e, AIOS__JOIN);
    o = aios__emit(b, &local, aios__op_gather, "gather", l, AIOS__PER_PAIR, 0);
    o->in = *in; o->out = aios__acts_of(&b->a_pair, in_exp);
    first = b->n_ops;
    aios__emit_experts(b, "experts_gate", l, ref[AIOS__T_FFN_GATE_EXPS], &b->a_pair, in, b->exp, pair, AIOS__GATE_PART, cached ? AIOS__AWAIT : 0);
    aios__emit_experts(b, "experts_up", l, ref[AIOS__T_FFN_UP_EXPS], &b->a_pair, in, b->exp ? b->exp + hp->n_ff_exp : NULL, pair, AIOS__UP_PART, AIOS__JOIN);
    o = aios__emit(b, &local, aios__op_act, "experts_act", l, AIOS__PER_PAIR, AIOS__GATE);
    o->type = m->arch->act; o->n_in = hp->n_ff_exp; o->x = b->exp; o->x_stride = pair;
    o->out = aios__acts_of(&b->a_exp, down & ~(1u << AIOSK_FLT));
    o->act_bytes = ((uint64_t)hp->n_ff_exp * 12 + aios__acts_bytes(&b->a_exp, down)) * used;
    b->act_bytes += o->act_bytes;
    aios__emit_experts(b, "experts_down", l, ref[AIOS__T_FFN_DOWN_EXPS], &b->a_exp, &b->a_exp, b->exp_out, e, AIOS__DOWN_PART, cached ? AIOS__OF_PAIRS | AIOS__AGAIN : AIOS__OF_PAIRS);
    if (b->op) b->op[b->n_ops - 1].back = (int32_t)(b->n_ops - 1 - first);
    o = aios__emit(b, &local, aios__op_combine, "combine", l, AIOS__PER_TOKEN, ref[AIOS__T_FFN_SHARED].w >= 0 ? AIOS__GATE : 0);
    o->n_in = hp->n_embd; o->x = b->exp_out; o->x_stride = e; o->y = b->x; o->y_stride = e; o->scale = hp->residual_scale;
    if (shared) { o->in.p[AIOSK_FLT] = (char *)b->shared; o->in.stride[AIOSK_FLT] = e * 4; }
    o->act_bytes = e * 4 * (used + 2 + (uint64_t)shared);
    b->act_bytes += o->act_bytes;
}

/* Buffers of a pass. f32 forms of attention and feed-forward are the buffers that their ops write anyway. */
static void aios__build_buffers(aios__build *b) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    uint64_t n = (uint64_t)b->n_batch, e = (uint64_t)hp->n_embd, pairs = n * (uint64_t)hp->n_used, longest;
    uint32_t in_attn = 0, in_ffn = 0, in_out = 0, in_down = 0, in_exp = 0, in_exp_down = 0, in_head;
    int32_t l, norm2 = 0, tmp = (m->arch->flags & AIOS__POST_NORM) != 0 || hp->residual_scale != 1.0f, n_ff = 0, shared = 0;
    for (l = 0; l < hp->n_layer; l++) {
        const aios__ref *r = m->layer[l];
        in_attn |= aios__mask(b, r[AIOS__T_ATTN_QKV]) | aios__mask(b, r[AIOS__T_ATTN_Q]) | aios__mask(b, r[AIOS__T_ATTN_K]) | aios__mask(b, r[AIOS__T_ATTN_V]);
        in_ffn  |= aios__ffn_mask(b, r);
        in_exp  |= aios__mask(b, r[AIOS__T_FFN_GATE_EXPS]) | aios__mask(b, r[AIOS__T_FFN_UP_EXPS]);
        in_exp_down |= aios__mask(b, r[AIOS__T_FFN_DOWN_EXPS]);
        if (r[AIOS__T_FFN_UP].w >= 0 && hp->n_ff > n_ff) n_ff = hp->n_ff;
        if (r[AIOS__T_FFN_UP_SHEXP].w >= 0) {
            shared = hp->n_ff_shared ? hp->n_ff_shared : hp->n_ff;
            if (shared > n_ff) n_ff = shared;
        }
        in_out  |= aios__mask(b, r[AIOS__T_ATTN_OUT]);
        in_down |= aios__mask(b, r[AIOS__T_FFN_DOWN]) | aios__mask(b, r[AIOS__T_FFN_DOWN_SHEXP]);
        norm2   |= r[AIOS__T_ATTN_NORM_2].w >= 0;
    }
    in_head = aios__mask(b, m->role[AIOS__T_OUTPUT].w >= 0 ? m->role[AIOS__T_OUTPUT] : m->role[AIOS__T_TOKEN_EMBD]);
    b->n_qkv = (hp->n_head + hp->n_head_kv) * hp->hd_k + hp->n_head_kv * hp->hd_v;
    b->n_att = hp->n_head * hp->hd_v;
    b->ffn_stride = (uint64_t)n_ff * (m->arch->flags & AIOS__GATED ? 2 : 1);
    b->x   = (float *)aios__take(&b->scratch, n * e * 4, 64);
    b->qkv = (float *)aios__take(&b->scratch, n * (uint64_t)b->n_qkv * 4, 64);
    b->att = (float *)aios__take(&b->scratch, n * (uint64_t)b->n_att * 4, 64);
    b->state = (float *)aios__take(&b->scratch, n * (uint64_t)hp->n_head * 8, 64);
    b->part  = (float *)aios__take(&b->scratch, (uint64_t)aios__attend_slots(b->n_ctx) * (uint64_t)hp->n_head * (aios__round_up((uint64_t)hp->hd_v, 16) + 2) * 4, 64);
    b->mass = b->heavy ? (float *)aios__take(&b->scratch, n * (uint64_t)hp->n_head * (uint64_t)aios__tiles(b->n_ctx) * 8, 64) : NULL;
    b->ffn = (float *)aios__take(&b->scratch, n * b->ffn_stride * 4, 64);
    b->tmp = tmp ? (float *)aios__take(&b->scratch, n * e * 4, 64) : NULL;
    b->cs  = (float *)aios__take(&b->scratch, n * (uint64_t)hp->n_rot * 4, 64);
    aios__acts_layout(b, &b->a_norm, hp->n_embd, b->n_batch, in_attn | in_ffn);
    aios__acts_layout(b, &b->a_norm2, hp->n_embd, b->n_batch, norm2 ? in_attn : 0);
    aios__acts_layout(b, &b->a_att, b->n_att, b->n_batch, in_out & ~(1u << AIOSK_FLT));
    aios__acts_layout(b, &b->a_ffn, n_ff, b->n_batch, in_down & ~(1u << AIOSK_FLT));
    aios__acts_layout(b, &b->a_out, hp->n_embd, b->n_outputs, in_head | 1u << AIOSK_FLT);    /* f32: the embedding that the host may read */
    b->a_att.p[AIOSK_FLT] = (char *)b->att; b->a_att.stride[AIOSK_FLT] = (uint64_t)b->n_att * 4;
    b->a_ffn.p[AIOSK_FLT] = (char *)b->ffn; b->a_ffn.stride[AIOSK_FLT] = b->ffn_stride * 4;
    if (hp->n_expert) {
        b->moe.n_expert = hp->n_expert; b->moe.n_used = hp->n_used;
        longest = (uint64_t)(hp->n_ff_exp > hp->n_embd ? hp->n_ff_exp : hp->n_embd);
        for (b->moe.block_cols = AIOSK__MAX_COLS; b->moe.block_cols > AIOS__TASK_COLS; b->moe.block_cols /= 2)     /* as for any matrix */
            if (32 * longest * (uint64_t)b->moe.block_cols <= AIOS__TASK_PRODUCTS) break;
        aios__moe_layout(&b->moe, &b->scratch, n, (uint64_t)hp->n_layer);
        b->exp     = (float *)aios__take(&b->scratch, pairs * (uint64_t)hp->n_ff_exp * 8, 64);
        b->exp_out = (float *)aios__take(&b->scratch, pairs * e * 4, 64);
        b->shared  = shared ? (float *)aios__take(&b->scratch, n * e * 4, 64) : NULL;
        aios__acts_layout(b, &b->a_pair, hp->n_embd, (int32_t)pairs, in_exp);
        aios__acts_layout(b, &b->a_exp, hp->n_ff_exp, (int32_t)pairs, in_exp_down & ~(1u << AIOSK_FLT));
        b->a_exp.p[AIOSK_FLT] = (char *)b->exp; b->a_exp.stride[AIOSK_FLT] = (uint64_t)hp->n_ff_exp * 8;
    }
    b->logits = (float *)aios__take(&b->scratch, (uint64_t)b->n_outputs * (uint64_t)hp->n_vocab * 4, 64);
}
/* What one worker needs for itself: the largest of what its ops do. */
static uint64_t aios__build_work(const aios__build *b) {
    const aios__hp *hp = &b->m->hp;
    uint64_t n = (uint64_t)hp->n_embd * 4, row = 0, w;
    int32_t i, tables[2];
    aios__attend_work aw;
    aios__bump c = { NULL, 0 };
    tables[0] = b->m->role[AIOS__T_TOKEN_EMBD].w; tables[1] = b->m->role[AIOS__T_POS_EMBD].w;
    for (i = 0; i < 2; i++) if (tables[i] >= 0 && b->m->gguf.tensor[tables[i]].row_bytes > row) row = b->m->gguf.tensor[tables[i]].row_bytes;
    w = n + row;                                                    /* a table's row, then the same dequantised */
    if (hp->n_expert && w < 2 * n) w = 2 * n;                       /* combine */
    if (b->numerics == AIOS_REFERENCE) {                            /* a dequantised row of any matrix */
        uint64_t longest = (uint64_t)(hp->n_ff > hp->n_embd ? hp->n_ff : hp->n_embd);
        if (longest < (uint64_t)hp->n_ff_exp) longest = (uint64_t)hp->n_ff_exp;
        if (longest < (uint64_t)hp->n_ff_shared) longest = (uint64_t)hp->n_ff_shared;
        if (longest < (uint64_t)b->n_att) longest = (uint64_t)b->n_att;
        if (w < longest * 4) w = longest * 4;
    }
    aios__attend_layout(&aw, &c, hp);
    if (b->coded && w < AIOSK_CONVERT_SCRATCH(hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v)) w = AIOSK_CONVERT_SCRATCH(hp->hd_k > hp->hd_v ? hp->hd_k : hp->hd_v);
    return aios__round_up(w > c.used ? w : c.used, 64);
}

/* Counts (op NULL, scratch.base NULL) or builds. m's tensors must have their places when it builds. */
static void aios__program_build(aios__build *b) {
    const aios_model *m = b->m;
    const aios__hp *hp = &m->hp;
    aios__ref head = m->role[AIOS__T_OUTPUT].w >= 0 ? m->role[AIOS__T_OUTPUT] : m->role[AIOS__T_TOKEN_EMBD];
    aios__op local, *o;
    int32_t l;
    b->n_ops = b->n_phases = b->n_units = 0;
    b->w_bytes = b->row_bytes = b->act_bytes = b->stream_bytes = b->expert_bytes = b->slot_bytes = 0;
    memset(b->part_bytes, 0, sizeof b->part_bytes);
    aios__build_buffers(b);
    b->work_bytes = aios__build_work(b);
    b->work = (char *)aios__take(&b->scratch, b->work_bytes * (uint64_t)b->n_threads, 64);

    if (b->n_seq > 1) aios__emit(b, &local, aios__op_copy, "copy", -1, AIOS__PER_COPY, 0);
    aios__emit_table(b, aios__op_embed, "embed", m->role[AIOS__T_TOKEN_EMBD], hp->embd_scale, 0);
    if (hp->n_rot) {
        o = aios__emit(b, &local, aios__op_angles, "angles", -1, AIOS__PER_TOKEN, AIOS__JOIN);
        o->n_in = hp->n_rot / 2; o->freq = b->freq; o->scale = b->rope_mult; o->y = b->cs; o->y_stride = (uint64_t)hp->n_rot;
        o->act_bytes = (uint64_t)hp->n_rot * 4;
        b->act_bytes += o->act_bytes;
    }
    if (m->role[AIOS__T_POS_EMBD].w >= 0 && m->arch->flags & AIOS__POS_EMBD)
        aios__emit_table(b, aios__op_positions, "positions", m->role[AIOS__T_POS_EMBD], 1.0f, 0);
    for (l = 0; l < hp->n_layer; l++) {
        const aios__ref *r = m->layer[l];
        uint32_t in_attn = aios__mask(b, r[AIOS__T_ATTN_QKV]) | aios__mask(b, r[AIOS__T_ATTN_Q]) | aios__mask(b, r[AIOS__T_ATTN_K]) | aios__mask(b, r[AIOS__T_ATTN_V]);
        uint32_t in_ffn = aios__ffn_mask(b, r);
        if (m->arch->flags & AIOS__PARALLEL) {      /* both read the block's input, so both norms come first */
            int32_t two = r[AIOS__T_ATTN_NORM_2].w >= 0;
            aios__emit_norm(b, "norm", l, r[AIOS__T_ATTN_NORM], b->x, &b->a_norm, two ? in_ffn : in_attn | in_ffn, NULL, 0);
            if (two) aios__emit_norm(b, "norm_2", l, r[AIOS__T_ATTN_NORM_2], b->x, &b->a_norm2, in_attn, NULL, AIOS__JOIN);
            aios__build_attention(b, l, two ? &b->a_norm2 : &b->a_norm);
            aios__build_ffn(b, l, &b->a_norm);
        } else {
            aios__emit_norm(b, "attn_norm", l, r[AIOS__T_ATTN_NORM], b->x, &b->a_norm, in_attn, NULL, 0);
            aios__build_attention(b, l, &b->a_norm);
            aios__emit_norm(b, "ffn_norm", l, r[AIOS__T_FFN_NORM], b->x, &b->a_norm, in_ffn, NULL, 0);
            if (r[AIOS__T_FFN_ROUTER].w >= 0) aios__build_experts(b, l, &b->a_norm);
            else aios__build_ffn(b, l, &b->a_norm);
        }
    }
    aios__emit_norm(b, "output_norm", -1, m->role[AIOS__T_OUTPUT_NORM], b->x, &b->a_out, aios__mask(b, head) | 1u << AIOSK_FLT, NULL, AIOS__ON_OUTPUTS);
    aios__emit_matmul(b, "output", -1, head, &b->a_out, b->logits, (uint64_t)hp->n_vocab, AIOS__ON_OUTPUTS);
    if (hp->logit_scale != 1.0f) {
        o = aios__emit(b, &local, aios__op_scale, "logit_scale", -1, AIOS__PER_TOKEN, AIOS__ON_OUTPUTS);
        o->x = b->logits; o->x_stride = (uint64_t)hp->n_vocab; o->n_in = hp->n_vocab; o->scale = hp->logit_scale;
        o->act_bytes = (uint64_t)hp->n_vocab * 8;
        b->act_bytes += o->act_bytes;
    }
    if (hp->logit_cap != 0) {
        o = aios__emit(b, &local, aios__op_cap, "cap", -1, AIOS__PER_TOKEN, AIOS__ON_OUTPUTS);
        o->x = b->logits; o->x_stride = (uint64_t)hp->n_vocab; o->n_in = hp->n_vocab; o->scale = hp->logit_cap;
        o->act_bytes = (uint64_t)hp->n_vocab * 8;
        b->act_bytes += o->act_bytes;
    }
}
