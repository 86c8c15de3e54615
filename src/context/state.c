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
    int32_t f, v[7];
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
    for (f = 0; f < AIOS__N_FORMS; f++)
        h = aios__art_sum(h, kv->type[f], (uint64_t)kv->n_layer * 4);
    /* long and short contexts can turn differently */
    h = aios__art_sum(h, c->prog.freq, aios__rope_channels(hp) / 2 * 8);
    return aios__art_sum(h, c->prog.rope_mult, (uint64_t)hp->n_ropes * 4);
}
/* Leading tiles that a sequence shares with its base, in all forms. */
static int32_t aios__base_tiles(const aios_context *c, int32_t seq, int32_t base) {
    const aios__kv *kv = &c->kv;
    int32_t g, f, t, n, some;
    if (base < 0) return 0;
    n = c->seq[seq].n_done < c->seq[base].n_done ? c->seq[seq].n_done : c->seq[base].n_done;
    if (!aios__kv_whole(&kv->seq[base]) || kv->seq[seq].span[0].off || kv->seq[seq].span[0].to < n)
        return 0;
    for (t = 0; t < n / AIOSK_TILE; t++) {
        for (some = g = 0; g < AIOS__N_GROUPS; g++)
            for (f = 0; f < AIOS__N_FORMS; f++) {
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
/* Sizes of the parts but the pages. */
static uint64_t aios__state_front(const aios_context *c, const aios__state_head *h) {
    uint64_t maps = 0;
    int32_t g, f;
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++) maps += aios__state_form(&c->kv, g, f) ? h->top : 0;
    return sizeof *h + (c->kv.heavy ? (uint64_t)h->top * 8 : 0) + (uint64_t)h->n_spans * 12 +
           ((uint64_t)h->n_tokens - (uint64_t)h->base_tiles * AIOSK_TILE) * 4 +
           aios__round_up(h->n_tokens - h->n_done, 8) + aios__round_up(maps, 8);
}
static aios_status aios__state_head_of(aios_context *c, int32_t seq, int32_t base,
                                       aios__state_head *h, aios_error *err) {
    const aios__kv *kv;
    int32_t g, f, t;
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    kv = &c->kv;
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    c->seq[seq].held++;
    st = aios__spill_whole(c, seq, 0, err);
    if (!st && base >= 0) st = aios__spill_whole(c, base, 0, err);
    c->seq[seq].held--;
    if (st) return st;
    if (aios__in_pass(c, seq, 0)) aios__pass_drop(c);
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
    h->n_bytes = aios__state_front(c, h);
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++)
            for (t = 0; t < kv->seq[seq].top; t++)
                if (aios__state_page(c, g, f, seq, t, (int32_t)h->base_tiles) == 1)
                    h->n_bytes += kv->pool[g][f].bytes;
    return AIOS_OK;
}
AIOS_API aios_status aios_seq_save(aios_context *c, int32_t seq, int32_t base, void *dst,
                                   uint64_t cap, uint64_t *n_bytes, aios_error *err) {
    aios__state_head h;
    uint8_t *p = (uint8_t *)dst, *map;
    uint64_t n;
    int32_t g, f, t;
    aios_status st = aios__state_head_of(c, seq, base, &h, err);
    if (st) return st;
    if (n_bytes) *n_bytes = h.n_bytes;
    if (!dst) return AIOS_OK;
    if (cap < h.n_bytes)
        return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, h.n_bytes, cap,
                           "% bytes are too few: the sequence takes %", aios__u(cap),
                           aios__u(h.n_bytes));
    memset(p, 0, (size_t)aios__state_front(c, &h));
    p += sizeof h;
    memcpy(p, c->kv.seq[seq].span, (size_t)h.n_spans * 12);
    p += h.n_spans * 12;
    n = (uint64_t)h.n_tokens - (uint64_t)h.base_tiles * AIOSK_TILE;
    memcpy(p, c->seq[seq].token + h.base_tiles * AIOSK_TILE, (size_t)n * 4);
    p += n * 4;
    memcpy(p, c->seq[seq].want + h.n_done, (size_t)(h.n_tokens - h.n_done));
    p += aios__round_up(h.n_tokens - h.n_done, 8);
    if (c->kv.heavy) {
        memcpy(p, c->kv.mass + aios__kv_first(&c->kv, seq), (size_t)h.top * 8);
        p += h.top * 8;
    }
    map = p;
    p = (uint8_t *)dst + aios__state_front(c, &h);
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++)
            for (t = 0; aios__state_form(&c->kv, g, f) && t < (int32_t)h.top; t++) {
                const aios__pages *x = &c->kv.pool[g][f];
                *map = (uint8_t)aios__state_page(c, g, f, seq, t, (int32_t)h.base_tiles);
                if (*map++ != 1) continue;
                memcpy(p, x->base + (uint64_t)aios__page_at(&c->kv, g, f, seq, t) * x->bytes,
                       (size_t)x->bytes);
                p += x->bytes;
            }
    memcpy(dst, &h, sizeof h);
    h.sum = aios__art_sum(AIOS__ART_SEED, dst, h.n_bytes);
    memcpy(dst, &h, sizeof h);
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

/* Checks all of a blob against the context. Gives its map of pages in *map_out. */
static aios_status aios__state_check(aios_context *c, int32_t base, const uint8_t *p, uint64_t n,
                                     aios__state_head *h, const uint8_t **map_out,
                                     aios_error *err) {
    const aios__kv *kv = &c->kv;
    aios__span span;
    const uint8_t *map, *open = NULL;
    uint64_t sum, pages = 0;
    int64_t cell;
    uint32_t i;
    int32_t g, f, last = 0;
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
    sum = h->sum;
    h->sum = 0;
    if (aios__art_sum(aios__art_sum(AIOS__ART_SEED, h, sizeof *h), p + sizeof *h, n - sizeof *h) !=
        sum)
        return aios__state_bad(err, "its checksum does not fit");
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
    if (h->n_done > h->n_tokens || h->n_spans < 1 || h->n_spans > AIOS__MAX_SPANS ||
        h->top > 1u << 28 || h->aged > h->top || (uint64_t)h->base_tiles * AIOSK_TILE > h->n_done ||
        h->base_tiles > h->top || aios__state_front(c, h) > n)
        return aios__state_bad(err, "its numbers contradict each other");
    for (i = 0; i < h->n_spans; i++) {
        memcpy(&span, p + sizeof *h + i * 12, 12);
        if (span.from < last || span.from / AIOSK_TILE > (last + AIOSK_TILE - 1) / AIOSK_TILE ||
            span.to <= span.from || (i + 1 == h->n_spans) != (span.to == INT32_MAX) ||
            span.off < 0 || span.off > 1 << 28)
            return aios__state_bad(err, "its spans contradict each other");
        last = i + 1 == h->n_spans ? span.from : span.to;
    }
    cell = (int64_t)span.from; /* of the next token: in the last span */
    for (g = 0, cell += h->n_done; g + 1 < (int32_t)h->n_spans; g++) {
        memcpy(&span, p + sizeof *h + (uint32_t)g * 12, 12);
        cell -= span.to - span.from;
    }
    if (cell + h->n_tokens - h->n_done > (int64_t)kv->seq_tiles * AIOSK_TILE)
        return aios__fail2(
            err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)kv->seq_tiles * AIOSK_TILE,
            (uint64_t)(cell + h->n_tokens - h->n_done),
            "the sequence takes % places with what was taken out of it, and this context has %",
            aios__i(cell + h->n_tokens - h->n_done), aios__i((int64_t)kv->seq_tiles * AIOSK_TILE));
    if (cell < last || (cell && !h->n_done) || h->tile != (uint64_t)cell / AIOSK_TILE ||
        h->top != h->tile + (cell % AIOSK_TILE != 0))
        return aios__state_bad(err, "its spans do not hold its tokens");
    /* one pass has no room to make up for that */
    if ((int64_t)h->aged < (cell - 1) / AIOSK_TILE - kv->recent)
        return aios__state_bad(err, "its tiles are not as old as they should be");
    for (i = 0; i < h->n_tokens - h->base_tiles * AIOSK_TILE; i++) {
        int32_t id;
        memcpy(&id, p + sizeof *h + h->n_spans * 12 + (uint64_t)i * 4, 4);
        if (id < 0 || id >= c->model->hp.n_vocab)
            return aios__state_bad(err, "it holds a token that the model does not have");
    }
    if (h->base_tiles) {
        if (!aios__seq_ok(c, base) || (uint32_t)c->seq[base].n_done < h->base_tiles * AIOSK_TILE ||
            !aios__kv_whole(&kv->seq[base]) ||
            aios__art_sum(AIOS__ART_SEED, c->seq[base].token,
                          (uint64_t)h->base_tiles * AIOSK_TILE * 4) != h->base_hash)
            return aios__fail1(
                err, AIOS_ERR_STATE, AIOS__NO_OFF,
                "the sequence was saved over a prefix of % tokens, which the base does not begin "
                "with",
                aios__u((uint64_t)h->base_tiles * AIOSK_TILE));
    }
    *map_out = map = p + sizeof *h + h->n_spans * 12 +
                     ((uint64_t)h->n_tokens - (uint64_t)h->base_tiles * AIOSK_TILE) * 4 +
                     aios__round_up(h->n_tokens - h->n_done, 8) + (kv->heavy ? h->top * 8 : 0);
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++) {
            int32_t need = 0, s, have = kv->pool[g][f].n_free;
            if (f == AIOS__KV_OPEN) open = map;
            for (i = 0; aios__state_form(kv, g, f) && i < h->top; i++, map++) {
                if (*map > 2 || (*map == 2) > (i < h->base_tiles) ||
                    (*map == 1 && i < h->base_tiles))
                    return aios__state_bad(err, "its pages contradict each other");
                if (*map && (!aios__state_due(kv, h, f, i) || (f != AIOS__KV_OPEN && open[i])))
                    return aios__state_bad(
                        err, "it holds a tile in a form that its place does not have");
                if (*map == 2 &&
                    (aios__page_at(kv, g, f, base, (int32_t)i) == AIOS__NO_PAGE ||
                     (f == AIOS__KV_OPEN ? aios__kv_spare(kv, g, base, (int32_t)i)
                                         : f == AIOS__KV_OLD && (int32_t)i >= kv->seq[base].aged)))
                    return aios__fail1(
                        err, AIOS_ERR_STATE, AIOS__NO_OFF,
                        "the base no longer has tile % in the form that the sequence needs",
                        aios__u(i));
                need += *map == 1;
            }
            if (f == AIOS__KV_OPEN && aios__state_form(kv, g, f) && cell % AIOSK_TILE &&
                map[-1] != 1)
                return aios__state_bad(err, "its newest tile is missing");
            pages += (uint64_t)need * kv->pool[g][f].bytes;
            for (s = 0; f == AIOS__KV_OPEN && s < kv->n_seq; s++) have += kv->seq[s].n_spares[g];
            if (need > have)
                return aios__fail2(err, AIOS_ERR_FULL, AIOS__NO_OFF, (uint64_t)have, (uint64_t)need,
                                   "the sequence needs % pages of the cache, and % are free",
                                   aios__i(need), aios__i(have));
        }
    return aios__state_front(c, h) + pages == n ? AIOS_OK
                                                : aios__state_bad(err, "its length does not fit");
}
AIOS_API aios_status aios_seq_restore(aios_context *c, int32_t seq, int32_t base, const void *src,
                                      uint64_t n_bytes, aios_error *err) {
    aios__state_head h;
    aios__kv *kv;
    const uint8_t *p = (const uint8_t *)src, *map = NULL;
    uint64_t n;
    int32_t g, f, t;
    aios_status st;
    aios__clear(err);
    if (!aios__seq_ok(c, seq)) return aios__seq_fail(c, seq, err);
    if (base >= 0 && !aios__seq_ok(c, base)) return aios__seq_fail(c, base, err);
    if (!src) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_seq_restore: src is NULL");
    if (c->seq[seq].n_fed)
        return aios__fail2(err, AIOS_ERR_STATE, AIOS__NO_OFF, 0, (uint64_t)c->seq[seq].n_fed,
                           "sequence % has % tokens: cut it to none before one is restored into it",
                           aios__i(seq), aios__i(c->seq[seq].n_fed));
    if (aios__seq_ok(c, base) && (st = aios__spill_whole(c, base, 0, err)) != 0) return st;
    if ((st = aios__state_check(c, base, p, n_bytes, &h, &map, err)) != 0) return st;
    kv = &c->kv;
    p += sizeof h;
    aios__kv_clear_seq(&kv->seq[seq]);
    kv->seq[seq].n_spans = (int32_t)h.n_spans;
    kv->seq[seq].top = (int32_t)h.top;
    kv->seq[seq].tile = (int32_t)h.tile;
    kv->seq[seq].aged = (int32_t)h.aged;
    memcpy(kv->seq[seq].span, p, (size_t)h.n_spans * 12);
    p += h.n_spans * 12;
    n = (uint64_t)h.n_tokens - (uint64_t)h.base_tiles * AIOSK_TILE;
    if (h.base_tiles)
        memcpy(c->seq[seq].token, c->seq[base].token, (size_t)h.base_tiles * AIOSK_TILE * 4);
    memcpy(c->seq[seq].token + h.base_tiles * AIOSK_TILE, p, (size_t)n * 4);
    p += n * 4;
    memset(c->seq[seq].want, 0, (size_t)h.n_done);
    for (t = 0; t < (int32_t)(h.n_tokens - h.n_done); t++)
        c->seq[seq].want[h.n_done + (uint32_t)t] = p[t] != 0;
    if (kv->heavy)
        memcpy(kv->mass + aios__kv_first(kv, seq), p + aios__round_up(h.n_tokens - h.n_done, 8),
               (size_t)h.top * 8);
    p = (const uint8_t *)src + aios__state_front(c, &h);
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++)
            for (t = 0; aios__state_form(kv, g, f) && t < (int32_t)h.top; t++, map++) {
                int32_t *to = *map ? aios__kv_row(kv, g, f, seq) + t : NULL;
                if (*map == 2) kv->pool[g][f].refs[ *to = aios__page_at(kv, g, f, base, t)]++;
                if (*map != 1) continue;
                aios__page_take(kv, g, f, to);
                memcpy(kv->pool[g][f].base + (uint64_t)*to * kv->pool[g][f].bytes, p,
                       (size_t)kv->pool[g][f].bytes);
                p += kv->pool[g][f].bytes;
            }
    c->seq[seq].n_fed = (int32_t)h.n_tokens;
    c->seq[seq].n_done = (int32_t)h.n_done;
    c->seq[seq].used = c->n_passed;
    return AIOS_OK;
}
