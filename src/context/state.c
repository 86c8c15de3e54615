/* state.c: a sequence as bytes in the caller's memory, and back.
 *
 *     header                          aios__state_head
 *     spans    i32 [n_spans][3]
 *     tokens   i32 [n_tokens - base_tiles * 64], the first ones being those of the base
 *     wants    u8  [n_tokens - n_done], padded with zeros to 8
 *     mass     u64 [top], where the cache keeps tiles for it
 *     pages    u8  [group][form][top] 0 none, 1 here, 2 shared with the base; padded to 8
 *     then the pages that are here, in that order
 *
 * Nothing is trusted: sizes are compared with what the header says, and the checksum covers
 * every byte, before anything is touched. */

enum { AIOS__STATE_VERSION = 2 };
typedef struct aios__state_head {
    char magic[8];
    uint32_t version, n_tokens;
    uint64_t n_bytes, sum;            /* sum: of the whole with this field as zero */
    uint64_t model_hash, layout_hash; /* of the model's header; of how the cache is laid out */
    uint64_t base_hash;               /* of the base's tokens */
    uint32_t n_done, n_spans, top, base_tiles;
    uint32_t tile, aged;
} aios__state_head;

/* What two contexts must have in common for their pages to mean the same. */
static uint64_t aios__layout_hash(const aios_context *c) {
    const aios__kv *kv = &c->kv;
    const aios__hp *hp = &c->model->hp;
    int32_t v[7];
    uint64_t h = AIOS__ART_SEED;
    v[0] = kv->n_layer;
    v[1] = kv->keep;
    v[2] = kv->recent;
    v[3] = kv->coded;
    v[4] = c->plan.numerics;
    v[5] = AIOSK_TILE;
    v[6] = kv->heavy;
    h = aios__art_sum(h, v, sizeof v);
    h = aios__art_sum(h, kv->layer, (uint64_t)kv->n_layer * sizeof *kv->layer);
    h = aios__art_sum(h, kv->sinks, sizeof kv->sinks);
    h = aios__art_sum(h, kv->behind, sizeof kv->behind);
    h = aios__art_sum(h, kv->group, (uint64_t)kv->n_layer);
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        h = aios__art_sum(h, kv->type[f], (uint64_t)kv->n_layer * 4);
    /* long and short contexts can turn differently */
    h = aios__art_sum(h, c->prog.freq, aios__rope_channels(hp) / 2 * 8);
    return aios__art_sum(h, c->prog.rope_mult, (uint64_t)hp->n_ropes * 4);
}
/* Leading tiles that a sequence shares with its base, in all forms. */
static int32_t aios__base_tiles(const aios_context *c, int32_t seq, int32_t base) {
    const aios__kv *kv = &c->kv;
    int32_t g, t, some;
    if (base < 0) return 0;
    int32_t n = c->seq[seq].n_done < c->seq[base].n_done ? c->seq[seq].n_done : c->seq[base].n_done;
    if (!aios__kv_whole(&kv->seq[base]) || kv->seq[seq].span[0].off || kv->seq[seq].span[0].to < n)
        return 0;
    for (t = 0; t < n / AIOSK_TILE; t++) {
        for (some = g = 0; g < AIOS__N_GROUPS; g++)
            for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
                int32_t a = aios__page_at(kv, g, f, seq, t), b = aios__page_at(kv, g, f, base, t);
                if (f == AIOS__KV_OPEN && aios__kv_spare(kv, g, seq, t)) continue;
                if (a != AIOS__NO_PAGE && a != b) return t;
                some |= a != AIOS__NO_PAGE;
            }
        if (!some) break;
    }
    return t;
}
/* Does a page of tile t go into the blob? */
static int32_t aios__state_page(const aios_context *c, int32_t g, int32_t f, int32_t seq, int32_t t,
                                int32_t base_tiles) {
    const aios__kv *kv = &c->kv;
    if (aios__page_at(kv, g, f, seq, t) == AIOS__NO_PAGE ||
        (f == AIOS__KV_OPEN && aios__kv_spare(kv, g, seq, t)))
        return 0;
    return t < base_tiles ? 2 : 1;
}
/* Forms that a cache of this kind can have, whatever its size: those that the map of pages tells
 * of. */
static int32_t aios__state_form(const aios__kv *kv, int32_t g, int32_t f) {
    return kv->page[g][AIOS__KV_OPEN] &&
           (f == AIOS__KV_OPEN || (kv->coded && (f == AIOS__KV_SEALED || kv->recent < AIOS__ALL)));
}
/* A blob: its header, and where its parts begin, counted in bytes from there. */
typedef struct aios__state {
    aios__state_head head;
    uint64_t n_tokens; /* that are there: not those of the base */
    uint64_t spans, tokens, wants, mass, map, pages;
} aios__state;

/* Places the parts as the header tells. */
static void aios__state_place(const aios_context *c, aios__state *x) {
    const aios__state_head *h = &x->head;
    uint64_t maps = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            maps += aios__state_form(&c->kv, g, f) ? h->top : 0;
    x->n_tokens = (uint64_t)h->n_tokens - (uint64_t)h->base_tiles * AIOSK_TILE;
    x->spans = sizeof *h;
    x->tokens = x->spans + (uint64_t)h->n_spans * 12;
    x->wants = x->tokens + x->n_tokens * 4;
    x->mass = x->wants + aios__round_up(h->n_tokens - h->n_done, 8);
    x->map = x->mass + (c->kv.heavy ? (uint64_t)h->top * 8 : 0);
    x->pages = x->map + aios__round_up(maps, 8);
}
static aios_status aios__state_of(aios_context *c, int32_t seq, int32_t base, aios__state *x,
                                  aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    c->seq[seq].held++;
    aios_status st = aios__spill_whole(c, seq, 0, err);
    if (!st && base >= 0) st = aios__spill_whole(c, base, 0, err);
    c->seq[seq].held--;
    if (st) return st;
    if (aios__in_pass(c, seq, 0)) aios__pass_drop(c);
    const aios__kv *kv = &c->kv;
    aios__state_head *h = &x->head;
    memset(h, 0, sizeof *h);
    memcpy(h->magic, "AIOSSEQ1", 8);
    h->version = AIOS__STATE_VERSION;
    h->n_tokens = (uint32_t)c->seq[seq].n_fed;
    h->n_done = (uint32_t)c->seq[seq].n_done;
    h->model_hash = c->model->gguf.hash;
    h->layout_hash = aios__layout_hash(c);
    h->n_spans = (uint32_t)kv->seq[seq].n_spans;
    h->top = (uint32_t)kv->seq[seq].top;
    h->tile = (uint32_t)kv->seq[seq].tile;
    h->aged = (uint32_t)(kv->seq[seq].aged > 0 ? kv->seq[seq].aged : 0);
    h->base_tiles = (uint32_t)aios__base_tiles(c, seq, base);
    if (h->base_tiles)
        h->base_hash = aios__art_sum(AIOS__ART_SEED, c->seq[base].token,
                                     (uint64_t)h->base_tiles * AIOSK_TILE * 4);
    aios__state_place(c, x);
    h->n_bytes = x->pages;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; t < kv->seq[seq].top; t++)
                if (aios__state_page(c, g, f, seq, t, (int32_t)h->base_tiles) == 1)
                    h->n_bytes += kv->pool[g][f].bytes;
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_save(aios_context *c, int32_t seq, int32_t base, void *dst,
                                   uint64_t cap, uint64_t *n_bytes, aios_error *err) {
    aios__state x;
    aios_status st = aios__state_of(c, seq, base, &x, err);
    if (st) return st;
    aios__state_head *h = &x.head;
    if (n_bytes) *n_bytes = h->n_bytes;
    if (!dst) return AIOS_OK;
    if (cap < h->n_bytes)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, h->n_bytes, cap,
                           "% bytes are too few: the sequence takes %", aios__u(cap),
                           aios__u(h->n_bytes));
    const aios__kv *kv = &c->kv;
    const aios__sequence *q = &c->seq[seq];
    uint8_t *p = (uint8_t *)dst, *map = p + x.map, *to = p + x.pages;
    memset(p, 0, (size_t)x.pages);
    memcpy(p + x.spans, kv->seq[seq].span, (size_t)h->n_spans * 12);
    memcpy(p + x.tokens, q->token + h->base_tiles * AIOSK_TILE, (size_t)x.n_tokens * 4);
    memcpy(p + x.wants, q->want + h->n_done, (size_t)(h->n_tokens - h->n_done));
    if (kv->heavy) memcpy(p + x.mass, kv->mass + aios__kv_first(kv, seq), (size_t)h->top * 8);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; aios__state_form(kv, g, f) && t < (int32_t)h->top; t++) {
                const aios__pages *pool = &kv->pool[g][f];
                *map = (uint8_t)aios__state_page(c, g, f, seq, t, (int32_t)h->base_tiles);
                if (*map++ != 1) continue;
                memcpy(to, pool->base + (uint64_t)aios__page_at(kv, g, f, seq, t) * pool->bytes,
                       (size_t)pool->bytes);
                to += pool->bytes;
            }
    memcpy(p, h, sizeof *h);
    h->sum = aios__art_sum(AIOS__ART_SEED, p, h->n_bytes);
    memcpy(p, h, sizeof *h);
    return AIOS_OK;
}
static aios_status aios__state_bad(aios_error *err, const char *what) {
    return aios__fail1(err, AIOS_ERR_FORMAT, AIOS__NO_OFF,
                       "this is no whole sequence as aios_seq_save wrote it: %", aios__z(what));
}

/* Can a sequence have tile t in a form when it is saved? A tile that is full and not kept open
 * has no open page but a spare one. */
static int32_t aios__state_due(const aios__kv *kv, const aios__state_head *h, int32_t f,
                               uint32_t t) {
    if (!kv->coded) return f == AIOS__KV_OPEN;
    return f == AIOS__KV_OPEN ? t >= h->tile || t < (uint32_t)kv->keep
                              : t < h->tile && (f == AIOS__KV_SEALED || t < h->aged);
}

/* Is it all of a sequence of this library? */
static aios_status aios__state_check_head(const uint8_t *p, uint64_t n, aios__state_head *h,
                                          aios_error *err) {
    if (n < sizeof *h) return aios__state_bad(err, "it is shorter than its header");
    memcpy(h, p, sizeof *h);
    if (memcmp(h->magic, "AIOSSEQ1", 8) != 0)
        return aios__state_bad(err, "it does not begin like one");
    if (h->version != AIOS__STATE_VERSION)
        return aios__fail2(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF, AIOS__STATE_VERSION, h->version,
                           "the sequence is of version %, this library reads version %",
                           aios__u(h->version), aios__u(AIOS__STATE_VERSION));
    if (h->n_bytes != n)
        return aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, h->n_bytes, n,
                           "% bytes were given of a sequence of % bytes", aios__u(n),
                           aios__u(h->n_bytes));
    uint64_t sum = h->sum;
    h->sum = 0;
    if (aios__art_sum(aios__art_sum(AIOS__ART_SEED, h, sizeof *h), p + sizeof *h, n - sizeof *h) !=
        sum)
        return aios__state_bad(err, "its checksum does not fit");
    return AIOS_OK;
}
/* Is it of this model and this kind of cache, and do its counts go together? */
static aios_status aios__state_check_counts(const aios_context *c, aios__state *x,
                                            aios_error *err) {
    const aios__state_head *h = &x->head;
    if (h->model_hash != c->model->gguf.hash)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, c->model->gguf.hash, h->model_hash,
                           "the sequence belongs to another model", aios__u(0), aios__u(0));
    if (h->layout_hash != aios__layout_hash(c))
        return aios__fail2(
            err, AIOS_ERR_MODEL, AIOS__NO_OFF, aios__layout_hash(c), h->layout_hash,
            "the sequence was saved from another kind of cache (types, window, rope or numerics)",
            aios__u(0), aios__u(0));
    if (h->n_tokens > (uint32_t)c->plan.n_ctx)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)c->plan.n_ctx, h->n_tokens,
                           "the sequence has % tokens, and this context has room for %",
                           aios__u(h->n_tokens), aios__i(c->plan.n_ctx));
    int32_t fit = h->n_done <= h->n_tokens && h->n_spans >= 1 && h->n_spans <= AIOS__MAX_SPANS &&
                  h->top <= 1u << 28 && h->aged <= h->top &&
                  (uint64_t)h->base_tiles * AIOSK_TILE <= h->n_done && h->base_tiles <= h->top;
    if (fit) aios__state_place(c, x);
    return fit && x->pages <= h->n_bytes
               ? AIOS_OK
               : aios__state_bad(err, "its numbers contradict each other");
}
/* Do the spans follow each other, hold the tokens, and have room here? */
static aios_status aios__state_check_spans(const aios_context *c, const uint8_t *p,
                                           const aios__state *x, aios_error *err) {
    const aios__state_head *h = &x->head;
    aios__span span[AIOS__MAX_SPANS];
    memcpy(span, p + x->spans, (size_t)h->n_spans * 12);
    int32_t last = 0;
    int64_t cell = h->n_done; /* of the next token: in the last span */
    for (uint32_t i = 0; i < h->n_spans; i++) {
        const aios__span *s = &span[i];
        int32_t is_last = i + 1 == h->n_spans;
        if (s->from < last || s->from / AIOSK_TILE > aios__tiles(last) || s->to <= s->from ||
            is_last != (s->to == INT32_MAX) || s->off < 0 || s->off > 1 << 28)
            return aios__state_bad(err, "its spans contradict each other");
        last = is_last ? s->from : s->to;
        cell += is_last ? s->from : s->from - s->to;
    }
    int64_t need = cell + h->n_tokens - h->n_done, have = (int64_t)c->kv.seq_tiles * AIOSK_TILE;
    if (need > have)
        return aios__fail2(
            err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)have, (uint64_t)need,
            "the sequence takes % places with what was taken out of it, and this context has %",
            aios__i(need), aios__i(have));
    if (cell < last || (cell && !h->n_done) || h->tile != (uint64_t)cell / AIOSK_TILE ||
        h->top != h->tile + (cell % AIOSK_TILE != 0))
        return aios__state_bad(err, "its spans do not hold its tokens");
    /* one pass has no room to make up for that */
    if ((int64_t)h->aged < (cell - 1) / AIOSK_TILE - c->kv.recent)
        return aios__state_bad(err, "its tiles are not as old as they should be");
    return AIOS_OK;
}
static aios_status aios__state_check_tokens(const aios_context *c, const uint8_t *p,
                                            const aios__state *x, aios_error *err) {
    for (uint64_t i = 0; i < x->n_tokens; i++) {
        int32_t id;
        memcpy(&id, p + x->tokens + i * 4, 4);
        if (id < 0 || id >= c->model->hp.n_vocab)
            return aios__state_bad(err, "it holds a token that the model does not have");
    }
    return AIOS_OK;
}
/* Does the base begin with what the sequence was saved over? */
static aios_status aios__state_check_base(const aios_context *c, int32_t base,
                                          const aios__state_head *h, aios_error *err) {
    if (!h->base_tiles) return AIOS_OK;
    if (!aios__seq_ok(c, base) || (uint32_t)c->seq[base].n_done < h->base_tiles * AIOSK_TILE ||
        !aios__kv_whole(&c->kv.seq[base]) ||
        aios__art_sum(AIOS__ART_SEED, c->seq[base].token,
                      (uint64_t)h->base_tiles * AIOSK_TILE * 4) != h->base_hash)
        return aios__fail1(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the sequence was saved over a prefix of % tokens, which the base does not begin with",
            aios__u((uint64_t)h->base_tiles * AIOSK_TILE));
    return AIOS_OK;
}
/* Has the base a page to share of tile t in a form? */
static int32_t aios__state_shares(const aios__kv *kv, int32_t g, int32_t f, int32_t base,
                                  int32_t t) {
    if (aios__page_at(kv, g, f, base, t) == AIOS__NO_PAGE) return 0;
    return f == AIOS__KV_OPEN ? !aios__kv_spare(kv, g, base, t)
                              : f != AIOS__KV_OLD || t < kv->seq[base].aged;
}
/* The map of one pool. open: that of the group's open tiles. *need: pages that it asks for. */
static aios_status aios__state_check_map(const aios__kv *kv, int32_t g, int32_t f, int32_t base,
                                         const aios__state_head *h, const uint8_t *map,
                                         const uint8_t *open, int32_t *need, aios_error *err) {
    for (uint32_t t = 0; t < h->top; t++) {
        if (map[t] > 2 || (map[t] == 2) > (t < h->base_tiles) || (map[t] == 1 && t < h->base_tiles))
            return aios__state_bad(err, "its pages contradict each other");
        if (map[t] && (!aios__state_due(kv, h, f, t) || (f != AIOS__KV_OPEN && open[t])))
            return aios__state_bad(err, "it holds a tile in a form that its place does not have");
        if (map[t] == 2 && !aios__state_shares(kv, g, f, base, (int32_t)t))
            return aios__fail1(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                               "the base no longer has tile % in the form that the sequence needs",
                               aios__u(t));
        *need += map[t] == 1;
    }
    if (f == AIOS__KV_OPEN && h->top > h->tile && map[h->top - 1] != 1)
        return aios__state_bad(err, "its newest tile is missing");
    return AIOS_OK;
}
/* Are the pages those that the sequence has, and is there room for them? */
static aios_status aios__state_check_pages(const aios_context *c, int32_t base, const uint8_t *p,
                                           const aios__state *x, aios_error *err) {
    const aios__kv *kv = &c->kv;
    const uint8_t *map = p + x->map, *open = map;
    uint64_t bytes = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            if (!aios__state_form(kv, g, f)) continue;
            if (f == AIOS__KV_OPEN) open = map;
            int32_t need = 0, have = kv->pool[g][f].n_free;
            aios_status st = aios__state_check_map(kv, g, f, base, &x->head, map, open, &need, err);
            if (st) return st;
            map += x->head.top;
            bytes += (uint64_t)need * kv->pool[g][f].bytes;
            for (int32_t s = 0; f == AIOS__KV_OPEN && s < kv->n_seq; s++)
                have += kv->seq[s].n_spares[g];
            if (need > have)
                return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)have, (uint64_t)need,
                                   "the sequence needs % pages of the cache, and % are free",
                                   aios__i(need), aios__i(have));
        }
    return x->pages + bytes == x->head.n_bytes ? AIOS_OK
                                               : aios__state_bad(err, "its length does not fit");
}
/* Checks all of a blob against the context, and tells where its parts are. */
static aios_status aios__state_check(const aios_context *c, int32_t base, const uint8_t *p,
                                     uint64_t n, aios__state *x, aios_error *err) {
    aios_status st = aios__state_check_head(p, n, &x->head, err);
    if (!st) st = aios__state_check_counts(c, x, err);
    if (!st) st = aios__state_check_spans(c, p, x, err);
    if (!st) st = aios__state_check_tokens(c, p, x, err);
    if (!st) st = aios__state_check_base(c, base, &x->head, err);
    if (!st) st = aios__state_check_pages(c, base, p, x, err);
    return st;
}
AIOS_API aios_status aios_seq_restore(aios_context *c, int32_t seq, int32_t base, const void *src,
                                      uint64_t n_bytes, aios_error *err) {
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    if (!src) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_seq_restore: src is NULL");
    if (c->seq[seq].n_fed)
        return aios__fail2(err, AIOS_ERR_STATE, AIOS__NO_OFF, 0, (uint64_t)c->seq[seq].n_fed,
                           "sequence % has % tokens: cut it to none before one is restored into it",
                           aios__i(seq), aios__i(c->seq[seq].n_fed));
    aios_status st = aios__seq_ok(c, base) ? aios__spill_whole(c, base, 0, err) : AIOS_OK;
    if (st) return st;
    aios__state x;
    const uint8_t *p = (const uint8_t *)src;
    st = aios__state_check(c, base, p, n_bytes, &x, err);
    if (st) return st;
    const aios__state_head *h = &x.head;
    aios__kv *kv = &c->kv;
    aios__kv_seq *s = &kv->seq[seq];
    aios__sequence *q = &c->seq[seq];
    aios__kv_clear_seq(s);
    s->n_spans = (int32_t)h->n_spans;
    s->top = (int32_t)h->top;
    s->tile = (int32_t)h->tile;
    s->aged = (int32_t)h->aged;
    memcpy(s->span, p + x.spans, (size_t)h->n_spans * 12);
    if (h->base_tiles) memcpy(q->token, c->seq[base].token, (size_t)h->base_tiles * AIOSK_TILE * 4);
    memcpy(q->token + h->base_tiles * AIOSK_TILE, p + x.tokens, (size_t)x.n_tokens * 4);
    memset(q->want, 0, (size_t)h->n_done);
    for (uint32_t i = 0; i < h->n_tokens - h->n_done; i++)
        q->want[h->n_done + i] = p[x.wants + i] != 0;
    if (kv->heavy) memcpy(kv->mass + aios__kv_first(kv, seq), p + x.mass, (size_t)h->top * 8);
    const uint8_t *map = p + x.map, *from = p + x.pages;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            for (int32_t t = 0; aios__state_form(kv, g, f) && t < (int32_t)h->top; t++, map++) {
                aios__pages *pool = &kv->pool[g][f];
                int32_t *to = *map ? aios__kv_row(kv, g, f, seq) + t : NULL;
                if (*map == 2) pool->refs[ *to = aios__page_at(kv, g, f, base, t)]++;
                if (*map != 1) continue;
                aios__page_take(kv, g, f, to);
                memcpy(pool->base + (uint64_t)*to * pool->bytes, from, (size_t)pool->bytes);
                from += pool->bytes;
            }
    q->n_fed = (int32_t)h->n_tokens;
    q->n_done = (int32_t)h->n_done;
    q->used = c->n_passed;
    return AIOS_OK;
}
