/* op_attend.c: attention over the cache.
 *
 * It is cut into tasks of (block of tokens of one sequence and one tile, key/value head, slice of
 * its query heads, run of keys), so that a tile is read once for up to AIOS__MAX_Q queries. A
 * run is 512 cells; what is alive and seen of it may be in several stretches, which are put
 * together in ascending order, and so are a token's runs, always. There are two ways, which give
 * the same bits:
 *   spread  few tokens: all runs at once, each leaves a result of its own; ATTEND_END merges
 *           those of a token
 *   rounds  many tokens: the phase runs once for each run, and its tasks merge into what the
 *           rounds before them left, so that the room needed does not grow with the context. A
 *           round has a task for each block and head */
enum { AIOS__MAX_Q = 32, AIOS__RUN_POS = AIOSK_RUN * AIOSK_TILE };

/* How the query heads of one key/value head are divided. */
static int32_t aios__attend_slices(const aios__hp_layer *h) {
    return (h->n_head / h->n_head_kv + AIOS__MAX_Q - 1) / AIOS__MAX_Q;
}
static int32_t aios__attend_heads(const aios__hp_layer *h) {
    int32_t g = h->n_head / h->n_head_kv, n = aios__attend_slices(h);
    return (g + n - 1) / n;
}
/* Tokens of a block: as many as the layer with the most heads of a slice can take. */
static int32_t aios__attend_tokens(const aios__hp *hp) {
    int32_t most = 1;
    for (int32_t l = 0; l < hp->n_layer; l++) {
        int32_t n = hp->layer[l].recurrent ? 1 : aios__attend_heads(&hp->layer[l]);
        if (n > most) most = n;
    }
    return AIOS__MAX_Q / most;
}
/* Results of single runs that a context has room for: four tokens may be spread over 16 Ki
 * positions, one over any number. */
static int32_t aios__attend_most_partials(int32_t n_ctx) {
    int32_t runs = (int32_t)(((int64_t)n_ctx + AIOS__RUN_POS - 1) / AIOS__RUN_POS);
    return runs < 2 ? 0 : runs > 128 ? runs : 4 * runs > 128 ? 128 : 4 * runs;
}
/* The first cell that a token sees, but for sinks and tiles that a policy hides. */
static inline int32_t aios__attend_first(const aios__kv *kv, int32_t seq, int32_t window,
                                         int32_t pos) {
    return window && pos >= window ? aios__kv_cell(&kv->seq[seq], pos - window + 1) : 0;
}
/* The runs that a token sees are the first *sinks ones, and those from *from on up to its own.
 * Gives how many. */
static int32_t aios__attend_seen(const aios__kv *kv, int32_t window, int32_t seq, int32_t pos,
                                 int32_t cell, int32_t *sinks, int32_t *from) {
    int32_t first = kv->heavy ? 0 : cell / AIOSK_TILE - kv->behind[0];
    *sinks = window ? 0 : (kv->sinks[0] + AIOSK_RUN - 1) / AIOSK_RUN;
    *from = window      ? aios__attend_first(kv, seq, window, pos) / AIOS__RUN_POS
            : first > 0 ? first / AIOSK_RUN
                        : 0;
    if (*sinks > cell / AIOS__RUN_POS) *sinks = cell / AIOS__RUN_POS;
    if (*from < *sinks) *from = *sinks;
    return *sinks + cell / AIOS__RUN_POS - *from + 1;
}
static inline int32_t aios__attend_n_runs(const aios__op *o, const aios__run *r) {
    return r->pass->n_runs[o->u.attend.window != 0];
}
static inline int32_t aios__attend_spread(const aios__op *o, const aios__run *r) {
    int32_t n = aios__attend_n_runs(o, r);
    return n > 1 && n <= o->u.attend.n_partials / r->pass->n;
}
/* Runs that one task takes when they are spread: enough that memory is read in long stretches,
 * few enough that each worker gets several tasks. */
static inline int32_t aios__attend_chunk(const aios__op *o, const aios__run *r) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int64_t n = (int64_t)aios__attend_n_runs(o, r) * r->pass->n_blocks * h->n_head_kv *
                aios__attend_slices(h) / ((int64_t)8 * r->n_threads);
    return n < 1 ? 1 : n > 8 ? 8 : (int32_t)n;
}

/* What a worker needs for a task. */
typedef struct aios__attend_work {
    float *q, *o[2], *m[2], *l[2], *d8, *cs, *sum;
    void *scratch;
    int8_t *q8;
    int32_t *low, *high;
} aios__attend_work;
/* n_t: tokens of a block; n_rot: channels that turn. */
static void aios__attend_layout(aios__attend_work *w, aios__bump *b, const aios__hp_layer *h,
                                int32_t n_t, int32_t n_rot) {
    uint64_t n = (uint64_t)(aios__attend_heads(h) * n_t);
    w->q = (float *)aios__take(b, n * (uint64_t)h->hd_k * 4, 64);
    for (int32_t i = 0; i < 2; i++) { /* a run, and a stretch of it that is not the first */
        w->o[i] = (float *)aios__take(b, n * aios__round_up((uint64_t)h->hd_v, 16) * 4, 64);
        w->m[i] = (float *)aios__take(b, n * 4, 64);
        w->l[i] = (float *)aios__take(b, n * 4, 64);
    }
    w->q8 = (int8_t *)aios__take(b, n * aios__round_up((uint64_t)h->hd_k, 16), 64);
    w->scratch = aios__take(b, AIOSK_ATTEND_SCRATCH(n, h->hd_k > h->hd_v ? h->hd_k : h->hd_v), 64);
    w->d8 = (float *)aios__take(b, n * 4, 64);
    w->cs = (float *)aios__take(b, (uint64_t)n_rot * 4, 64);
    w->sum = (float *)aios__take(b, n * AIOSK_RUN * 4, 64);
    w->low = (int32_t *)aios__take(b, n * 4, 64);
    w->high = (int32_t *)aios__take(b, n * 4, 64);
}

/* A piece of a run that one call takes: alive, of one turn, and coded in one way. */
typedef struct aios__stretch {
    const void *tile[AIOSK_RUN];
    int32_t from, to, off, type;
    uint32_t open;
    uint64_t bytes;
} aios__stretch;
/* The next piece between cells at and end, which are of the run that starts at base. 0 = there
 * is none. */
static int32_t aios__attend_stretch(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                                    int32_t own, int32_t base, int32_t at, int32_t end,
                                    aios__stretch *x) {
    const aios__kv_seq *s = &kv->seq[seq];
    int32_t form = 0, upto;
    const void *p = NULL;
    memset(x, 0, sizeof *x);
    x->from = end;
    x->type = -1;
    for (int32_t i = 0; i < s->n_spans && s->span[i].from < end; i++) {
        if (s->span[i].to <= at) continue;
        if (at < s->span[i].from) at = s->span[i].from;
        if (x->from < end && (x->to != at || x->off != s->span[i].off)) break;
        for (; at < end && at < s->span[i].to; at = x->to = upto) {
            int32_t t = at / AIOSK_TILE;
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
/* What a task has: n_t tokens from t0 on, n_h query heads from h0 on, runs run0 .. run1 - 1 of
 * those that the block sees. */
typedef struct aios__attend_task {
    int32_t t0, n_t, h0, n_h, kvh, run0, run1, spread, n_runs;
    int32_t seq, own;   /* the block's sequence; the tile that it is in */
    int32_t first, end; /* cells that it sees, but for sinks and tiles that a policy hides */
    int32_t sinks, from, n_seen;
} aios__attend_task;
static void aios__attend_task_of(const aios__op *o, const aios__run *r, int32_t task,
                                 aios__attend_task *x) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    const aios__pass *ps = r->pass;
    int32_t slices = aios__attend_slices(h), heads = aios__attend_heads(h),
            n_q = h->n_head / h->n_head_kv;
    x->spread = aios__attend_spread(o, r);
    x->n_runs = x->spread ? aios__attend_n_runs(o, r) : 1;
    int32_t chunk = x->spread ? aios__attend_chunk(o, r) : 1;
    int32_t chunks = (x->n_runs + chunk - 1) / chunk;
    x->run0 = x->spread ? task % chunks * chunk : r->round;
    x->run1 = x->spread && x->run0 + chunk > x->n_runs ? x->n_runs : x->run0 + chunk;
    int32_t slice = task / chunks % slices;
    x->kvh = task / chunks / slices % h->n_head_kv;
    int32_t block = task / chunks / slices / h->n_head_kv;
    x->h0 = x->kvh * n_q + slice * heads;
    x->n_h = n_q - slice * heads < heads ? n_q - slice * heads : heads;
    x->t0 = ps->block[block];
    x->n_t = ps->block[block + 1] - x->t0;
    int32_t last = x->t0 + x->n_t - 1;
    x->seq = ps->seq[x->t0];
    x->own = ps->cell[x->t0] / AIOSK_TILE;
    x->first = aios__attend_first(r->kv, x->seq, o->u.attend.window, ps->pos[x->t0]);
    x->end = ps->cell[last] + 1;
    x->n_seen = aios__attend_seen(r->kv, o->u.attend.window, x->seq, ps->pos[x->t0],
                                  ps->cell[x->t0], &x->sinks, &x->from);
}
/* The first cell of a run. */
static inline int32_t aios__attend_base(const aios__attend_task *x, int32_t run) {
    return (run < x->sinks ? run : x->from + run - x->sinks) * AIOS__RUN_POS;
}
static inline int32_t aios__attend_upto(const aios__attend_task *x, int32_t base) {
    return x->end < base + AIOS__RUN_POS ? x->end : base + AIOS__RUN_POS;
}
/* Results of single runs: where their maxima stand, and behind them their sums. */
static inline float *aios__partial_max(const aios__op *o, const aios__hp_layer *h) {
    return o->u.attend.partial +
           (int64_t)o->u.attend.n_partials * h->n_head * ((h->hd_v + 15) / 16 * 16);
}
static inline float *aios__partial_sum(const aios__op *o, const aios__hp_layer *h) {
    return aios__partial_max(o, h) + (int64_t)o->u.attend.n_partials * h->n_head;
}
static inline float *aios__state_sum(const aios__op *o, const aios__hp_layer *h) {
    return o->u.attend.state + (int64_t)o->u.attend.n_batch * h->n_head;
}
/* Empty results, for the first round and for runs that others see but not this block. */
static void aios__attend_clear(const aios__op *o, const aios__hp_layer *h,
                               const aios__attend_task *x) {
    size_t n = (size_t)x->n_h * 4;
    for (int32_t t = x->t0; t < x->t0 + x->n_t; t++) {
        for (int32_t i = x->run0; x->spread && i < x->run1; i++)
            memset(aios__partial_sum(o, h) + ((int64_t)t * x->n_runs + i) * h->n_head + x->h0, 0,
                   n);
        if (!x->spread && x->run0 == 0)
            memset(aios__state_sum(o, h) + (int64_t)t * h->n_head + x->h0, 0, n);
    }
}
/* The block's queries as keys of a turn want them: turned by `turn` positions more than they
 * are, rotated, quantised. */
static void aios__attend_queries(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                                 const aios__attend_task *x, int32_t turn) {
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    const aios__op_attend *a = &o->u.attend;
    int32_t n = x->n_t * x->n_h, hp_k = (l->hd_k + 15) / 16 * 16;
    for (int32_t t = 0; t < x->n_t; t++)
        memcpy(w->q + (int64_t)t * x->n_h * l->hd_k,
               a->x + (uint64_t)(x->t0 + t) * a->x_stride + (int64_t)x->h0 * l->hd_k,
               (size_t)x->n_h * (size_t)l->hd_k * 4);
    if (turn && l->rope >= 0) {
        const aios__rope *rope = &r->hp->rope[l->rope];
        for (int32_t i = 0; i < rope->n_rot / 2; i++) {
            double s, c;
            aios__sincos((double)turn * a->freq[i], &s, &c);
            w->cs[2 * i] = (float)c;
            w->cs[2 * i + 1] = (float)s;
        }
        r->k->rope(rope->kind, w->q, n, l->hd_k, rope->n_rot, w->cs);
    }
    if (!(r->kv->rotated[o->layer] & AIOS__ROTATED_K)) return;
    r->k->rotate(w->q, n, l->hd_k, 0);
    for (int32_t h = 0; h < n; h++)
        r->k->quantize_head(w->q + (int64_t)h * l->hd_k, l->hd_k, w->q8 + (int64_t)h * hp_k,
                            &w->d8[h], w->q + (int64_t)h * l->hd_k);
}
/* Tiles of a stretch that it has nothing of stand for its first. */
static inline void aios__attend_fill(aios__stretch *s, int32_t base) {
    for (int32_t i = 0; i < AIOSK_RUN; i++)
        if (!s->tile[i]) s->tile[i] = s->tile[(s->from - base) / AIOSK_TILE];
}
/* The sums of a stretch's tiles, for aios__attend_mass. Of a tile in two pieces, the last. */
static void aios__attend_note_mass(const aios__op *o, const aios__run *r,
                                   const aios__attend_task *x, const aiosk_attend *a, int32_t base,
                                   int32_t from) {
    int32_t n_head = r->hp->layer[o->layer].n_head;
    for (int32_t i = 0; i < a->n_q; i++) {
        float *got =
            o->u.attend.mass +
            (((int64_t)(x->t0 + i / x->n_h) * n_head + x->h0 + i % x->n_h) * r->kv->seq_tiles +
             base / AIOSK_TILE) *
                2;
        for (int32_t t = (from - base) / AIOSK_TILE; t < a->n_tiles; t++) {
            got[2 * t] = a->tile_sum[i * a->n_tiles + t];
            got[2 * t + 1] = a->m[i];
        }
    }
}
/* One stretch s of the run that starts at cell base, into results `which` of w. next: the first
 * tiles of what comes after it, or NULL. */
static void aios__attend_piece(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                               const aios__attend_task *x, aiosk_attend *a, aios__stretch *s,
                               int32_t base, int32_t which, const void *const *next,
                               int32_t worker) {
    const aios__pass *ps = r->pass;
    int32_t t, i;
    aios__attend_fill(s, base);
    a->m = w->m[which];
    a->l = w->l[which];
    a->o = w->o[which];
    a->tile = s->tile;
    a->n_tiles = (s->to - base + AIOSK_TILE - 1) / AIOSK_TILE;
    a->open = s->open;
    a->next = next;
    a->type = s->type >= 0 ? s->type : r->kv->type[AIOS__KV_OPEN][o->layer];
    for (t = i = 0; t < x->n_t; t++) {
        int32_t cell = ps->cell[x->t0 + t],
                low = aios__attend_first(r->kv, x->seq, o->u.attend.window, ps->pos[x->t0 + t]),
                high = cell + 1 < s->to ? cell + 1 : s->to;
        if (low < s->from) low = s->from;
        for (int32_t h = 0; h < x->n_h; h++, i++) {
            w->low[i] = low < high ? low - base : 0;
            w->high[i] = low < high ? high - base : 0;
        }
    }
    a->tile_sum = o->u.attend.mass ? w->sum : NULL;
    r->k->attend(a);
    if (a->tile_sum) aios__attend_note_mass(o, r, x, a, base, s->from);
    r->kv_read[(int64_t)worker * 8] += s->bytes;
}
/* The result of a run: kept for ATTEND_END, or merged into what the rounds before it left. */
static void aios__attend_keep(const aios__op *o, const aios__run *r, const aios__attend_work *w,
                              const aios__attend_task *x, int32_t run) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t hp_v = (h->hd_v + 15) / 16 * 16, t, i;
    for (t = x->t0, i = 0; t < x->t0 + x->n_t; t++, i += x->n_h) {
        const float *partial = w->o[0] + (int64_t)i * hp_v;
        if (x->spread) {
            int64_t at = ((int64_t)t * x->n_runs + run) * h->n_head + x->h0;
            memcpy(o->u.attend.partial + at * hp_v, partial, (size_t)x->n_h * (size_t)hp_v * 4);
            memcpy(aios__partial_max(o, h) + at, w->m[0] + i, (size_t)x->n_h * 4);
            memcpy(aios__partial_sum(o, h) + at, w->l[0] + i, (size_t)x->n_h * 4);
        } else {
            int64_t at = (int64_t)t * h->n_head + x->h0;
            r->k->attend_merge(x->n_h, h->hd_v, o->u.attend.state + at, aios__state_sum(o, h) + at,
                               o->u.attend.y + at * h->hd_v, h->hd_v, w->m[0] + i, w->l[0] + i,
                               partial, hp_v);
        }
    }
}
static void aios__op_attend_run(const aios__op *o, const aios__run *r, int32_t task,
                                int32_t worker) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t hp_v = (h->hd_v + 15) / 16 * 16, turned = 0, ready = 0;
    aios__attend_task x;
    aios__attend_work w;
    aios__bump b;
    aiosk_attend a;
    aios__attend_task_of(o, r, task, &x);
    aios__attend_clear(o, h, &x);
    if (x.run0 >= x.n_seen) return;
    b.base = aios__work(r, worker);
    b.used = 0;
    aios__attend_layout(&w, &b, h, x.n_t, h->rope >= 0 ? r->hp->rope[h->rope].n_rot : 0);
    memset(&a, 0, sizeof a);
    a.q = w.q;
    a.q8 = w.q8;
    a.q8_d = w.d8;
    a.scratch = w.scratch;
    a.low = w.low;
    a.high = w.high;
    a.scale = h->score_scale;
    a.softcap = r->hp->score_cap;
    a.n_q = x.n_h * x.n_t;
    a.hd_k = h->hd_k;
    a.hd_v = h->hd_v;
    a.q_stride = h->hd_k;
    int32_t off = aios__kv_off(&r->kv->seq[x.seq]);
    for (int32_t run = x.run0; run < x.run1 && run < x.n_seen; run++) {
        int32_t base = aios__attend_base(&x, run), to = aios__attend_upto(&x, base),
                at = x.first > base ? x.first : base, some = 0;
        aios__stretch s, next;
        for (; aios__attend_stretch(r->kv, x.seq, o->layer, x.kvh, x.own, base, at, to, &s);
             at = s.to, some = 1) {
            const void *const *ahead = NULL;
            if (!ready || s.off != off + turned) {
                turned = s.off - off;
                ready = 1;
                aios__attend_queries(o, r, &w, &x, turned);
            }
            if (s.to == base + AIOS__RUN_POS && run + 1 < x.run1 && run + 1 > x.sinks &&
                aios__attend_stretch(r->kv, x.seq, o->layer, x.kvh, x.own, s.to, s.to,
                                     aios__attend_upto(&x, s.to), &next)) {
                aios__attend_fill(&next, s.to);
                ahead = next.tile;
            }
            aios__attend_piece(o, r, &w, &x, &a, &s, base, some, ahead, worker);
            if (some)
                r->k->attend_merge(a.n_q, h->hd_v, w.m[0], w.l[0], w.o[0], hp_v, w.m[1], w.l[1],
                                   w.o[1], hp_v);
        }
        if (some) aios__attend_keep(o, r, &w, &x, run);
    }
}
static int32_t aios__attend_tasks(const aios__op *o, const aios__run *r) {
    const aios__hp_layer *h = &r->hp->layer[o->layer];
    int32_t n = r->pass->n_blocks * h->n_head_kv * aios__attend_slices(h);
    if (!aios__attend_spread(o, r)) return n;
    int32_t c = aios__attend_chunk(o, r);
    return n * ((aios__attend_n_runs(o, r) + c - 1) / c);
}
static int32_t aios__attend_rounds(const aios__op *o, const aios__run *r) {
    return aios__attend_spread(o, r) ? 1 : aios__attend_n_runs(o, r);
}
/* What it wrote is whole at its end. */
/* clang-format off */
static const aios__op_kind aios__kind_attend = { "attend", aios__op_attend_run, aios__attend_tasks, NULL,
    NULL, 1, aios__attend_rounds, NULL, NULL, NULL, NULL, NULL };
/* clang-format on */

/* How much of a token's attention went to each tile it sees, in parts of 65536 for all its
 * heads and layers together: whole numbers, so that adding them up in any order gives the same.
 * m, l: of the token's heads. */
AIOSK__STRICT static void aios__attend_mass(const aios__op *o, const aios__run *r, int32_t token,
                                            const float *m, const float *l) {
    const aios__kv *kv = r->kv;
    int32_t n_head = r->hp->layer[o->layer].n_head, seq = r->pass->seq[token],
            own = r->pass->cell[token] / AIOSK_TILE,
            *now = kv->mass_now + (int64_t)seq * kv->seq_tiles, form;
    float scale = 65536.0f / (float)(n_head * r->hp->n_layer);
    for (int32_t t = 0; t <= own; t++) {
        float sum = 0;
        if (!aios__kv_look(kv, seq, o->layer, 0, own, t, &form)) continue;
        for (int32_t h = 0; h < n_head; h++) {
            const float *x =
                o->u.attend.mass + (((int64_t)token * n_head + h) * kv->seq_tiles + t) * 2;
            float e = x[1] - m[h];
            r->k->exp(&e, 1, &e);
            e = e * x[0];
            sum = sum + e / l[h];
        }
        sum = sum * scale;
        if (sum > 0 && sum <= 65536.0f) aios__fetch_add(&now[t], (int32_t)(sum + 0.5f));
    }
}
/* The end of attention for one token: merges its runs if they were spread, divides by the sum,
 * and makes the forms. */
static void aios__op_attend_end_run(const aios__op *o, const aios__run *r, int32_t t,
                                    int32_t worker) {
    const aios__hp_layer *l = &r->hp->layer[o->layer];
    int32_t hp_v = (l->hd_v + 15) / 16 * 16,
            n = aios__attend_spread(o, r) ? aios__attend_n_runs(o, r) : 0;
    float *y = o->u.attend.y + (int64_t)t * l->n_head * l->hd_v,
          *max = o->u.attend.state + (int64_t)t * l->n_head,
          *sum = aios__state_sum(o, l) + (int64_t)t * l->n_head;
    (void)worker;
    if (n) memset(sum, 0, (size_t)l->n_head * 4);
    for (int32_t i = 0; i < n; i++) {
        int64_t at = ((int64_t)t * n + i) * l->n_head;
        r->k->attend_merge(l->n_head, l->hd_v, max, sum, y, l->hd_v, aios__partial_max(o, l) + at,
                           aios__partial_sum(o, l) + at, o->u.attend.partial + at * hp_v, hp_v);
    }
    if (o->u.attend.mass) aios__attend_mass(o, r, t, max, sum);
    for (int32_t h = 0; h < l->n_head; h++)
        r->k->scale(y + (int64_t)h * l->hd_v, 1.0f / sum[h], l->hd_v, y + (int64_t)h * l->hd_v);
    if (r->kv->rotated[o->layer] & AIOS__ROTATED_V) r->k->rotate(y, l->n_head, l->hd_v, 1);
    aios__forms(r, &o->u.attend.out, t, y);
}
static void aios__attend_end_wrote(const aios__op *o, aios__acts *a) {
    const aios__op_attend *x = &o->u.attend;
    *a = x->out;
    aios__wrote_f32(a, x->y, (uint64_t)x->out.n, x->out.n);
}
/* clang-format off */
AIOS__ROW_KIND(attend_end, aios__attend_end_wrote);
/* clang-format on */
