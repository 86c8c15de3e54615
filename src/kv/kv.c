/* kv.c: where the cache is. Knows pages, tables and who sees what; not what is in a tile.
 *
 * A position of a sequence has a cell; 64 cells are a tile; a page holds the tiles of 64 cells
 * for every head of a group of layers: [layer][head][tile]. Layers with a sliding window are a
 * group of their own, so that they hold no more than they see. A tile can exist in up to three
 * forms, each in pages of its own pool, found through a table per sequence:
 *
 *   OPEN     as positions are written: f16 (or f32), rotated where the type is a coded one
 *   SEALED   of the type that was planned, made when all 64 positions are there
 *   OLD      of a cheaper type, made when the tile is more than `recent` tiles back
 *
 * Which form a query sees follows from its cell alone, so that no chunking and no company
 * changes a bit: its own tile and the first `keep` ones open, the others sealed, those far back
 * old (aios__kv_look). A type that is not coded has open tiles alone.
 *
 * Pages are counted: a fork shares those of its source, and who writes into a shared one gets a
 * copy first. An open page whose tile is sealed stays as a spare until its room is needed: a
 * sequence that is cut back a little goes on at once.
 *
 * Slots are positions until tokens are taken out of the middle (aios__kv_remove): then spans say
 * which cells are alive, and by how much a query is to be turned before it meets their keys. */

enum { AIOS__NO_PAGE = -1 };
enum {
    AIOS__KV_OPEN = 0,
    AIOS__KV_SEALED = 1,
    AIOS__KV_OLD = 2,
    AIOS__N_FORMS = 3,
    AIOS__N_GROUPS = 2,
    AIOS__MAX_SPANS = 16
};
enum { AIOS__ROTATED_K = 1, AIOS__ROTATED_V = 2 };

typedef struct aios__pages {
    int32_t n, n_free;
    uint64_t bytes; /* of one */
    char *base;
    int32_t *free_page; /* [n] stack of those not in use */
    int32_t *refs;      /* [n] tables that name it */
} aios__pages;

/* Slots from .. to-1 are alive. off: position that their keys were turned for, minus the one
 * they have. */
typedef struct aios__span {
    int32_t from, to, off;
} aios__span;
typedef struct aios__kv_seq {
    int32_t n_spans, n_spilled, n_spares[AIOS__N_GROUPS];
    /* of the next cell; past the last that has pages; first that is not old yet */
    int32_t tile, top, aged;
    aios__span span[AIOS__MAX_SPANS];
} aios__kv_seq;

/* Work that a pass does on whole tiles: the open tile was shared, from = page to copy */
typedef struct aios__kv_copy {
    int32_t g, seq, t, from;
} aios__kv_copy;
/* OPEN -> SEALED, then SEALED -> OLD */
typedef struct aios__kv_seal {
    int32_t seq, t, seal, age;
} aios__kv_seal;

typedef struct aios__kv {
    const aios__hp_layer *layer; /* [n_layer] the model's */
    int32_t n_layer, n_seq, seq_tiles;
    int32_t coded;                  /* tiles are sealed */
    int32_t keep;                   /* first tiles that stay open */
    int32_t recent;                 /* tiles before the query's own that are not old */
    int32_t sinks[AIOS__N_GROUPS];  /* first tiles that are always seen */
    int32_t behind[AIOS__N_GROUPS]; /* tiles before the query's own that are seen */
    int32_t heavy;                  /* and tiles between, in group 0: those with the most mass */
    int32_t n_jobs;                 /* most seals of a pass */
    aios__pages pool[AIOS__N_GROUPS][AIOS__N_FORMS];
    int32_t *page[AIOS__N_GROUPS][AIOS__N_FORMS]; /* [n_seq][seq_tiles], or AIOS__NO_PAGE */
    uint8_t *group;                               /* [n_layer] */
    uint8_t *rotated;                             /* [n_layer] AIOS__ROTATED_* */
    int32_t *type[AIOS__N_FORMS];                 /* [n_layer] */
    /* [n_layer] the layer's tiles in a page */
    uint64_t *tile_bytes[AIOS__N_FORMS], *tile_off[AIOS__N_FORMS];
    aios__kv_seq *seq;   /* [n_seq] */
    aios__kv_copy *copy; /* [n_seq * N_GROUPS] */
    aios__kv_seal *seal; /* [n_jobs] */
    int32_t n_copies, n_seals;
    uint64_t *mass;    /* [n_seq][seq_tiles] attention that a tile has got; NULL unless heavy */
    int32_t *mass_now; /* the same of the pass under way */
    uint64_t bytes, pos_bytes; /* of all pools; of one position in all layers */
} aios__kv;

static int32_t aios__kv_group(const aios_model *m, int32_t layer) {
    return m->hp.layer[layer].window != 0;
}

AIOS__SMALL_BEGIN
/* ---- sizes ---- */
enum { AIOS__ALL = 1 << 28 }; /* more tiles than there can be */
static int32_t aios__tiles(int64_t n) { return (int32_t)((n + AIOSK_TILE - 1) / AIOSK_TILE); }
static int32_t aios__coded(int32_t type) {
    return aiosk_kv_coded(aiosk_kv_k(type)) || aiosk_kv_coded(aiosk_kv_v(type));
}
/* The type of a layer's tiles in a form. */
static int32_t aios__kv_type(const aios_plan *p, int32_t layer, int32_t form) {
    int32_t t =
        p->kv_layer_type && p->kv_layer_type[layer] >= 0 ? p->kv_layer_type[layer] : p->kv_type;
    if (form == AIOS__KV_OPEN) return p->kv_type == AIOSK_KV_F32 ? AIOSK_KV_F32 : AIOSK_KV_F16;
    return form == AIOS__KV_OLD && p->kv_old_type > 0 &&
                   aiosk_tile_bytes(p->kv_old_type, 64, 64) < aiosk_tile_bytes(t, 64, 64)
               ? p->kv_old_type
               : t;
}
/* Of one key/value head of a layer. */
static uint64_t aios__tile_bytes(const aios_model *m, int32_t layer, int32_t type) {
    return aiosk_tile_bytes(type, m->hp.layer[layer].hd_k, m->hp.layer[layer].hd_v);
}
static int32_t aios__kv_is_coded(const aios_model *m, const aios_plan *p) {
    int32_t any = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++)
        any |= aios__coded(aios__kv_type(p, l, AIOS__KV_SEALED)) ||
               aios__coded(aios__kv_type(p, l, AIOS__KV_OLD));
    return any;
}
static void aios__kv_arrays(aios__kv *kv, aios__bump *meta) {
    uint64_t n_layer = (uint64_t)kv->n_layer, n_seq = (uint64_t)kv->n_seq,
             n = n_seq * (uint64_t)kv->seq_tiles;
    kv->group = (uint8_t *)aios__take(meta, n_layer, 8);
    kv->rotated = (uint8_t *)aios__take(meta, n_layer, 8);
    kv->seq = (aios__kv_seq *)aios__take(meta, n_seq * sizeof *kv->seq, 8);
    kv->copy = (aios__kv_copy *)aios__take(meta, n_seq * AIOS__N_GROUPS * sizeof *kv->copy, 8);
    kv->seal = (aios__kv_seal *)aios__take(meta, (uint64_t)kv->n_jobs * sizeof *kv->seal, 8);
    if (kv->heavy) {
        kv->mass = (uint64_t *)aios__take(meta, n * 8, 8);
        kv->mass_now = (int32_t *)aios__take(meta, n * 4, 8);
    }
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
        kv->type[f] = (int32_t *)aios__take(meta, n_layer * 4, 8);
        kv->tile_bytes[f] = (uint64_t *)aios__take(meta, n_layer * 8, 8);
        kv->tile_off[f] = (uint64_t *)aios__take(meta, n_layer * 8, 8);
        for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
            aios__pages *p = &kv->pool[g][f];
            if (!p->n) continue;
            uint64_t n_pages = (uint64_t)p->n;
            kv->page[g][f] = (int32_t *)aios__take(meta, n * 4, 8);
            p->free_page = (int32_t *)aios__take(meta, n_pages * 4, 8);
            p->refs = (int32_t *)aios__take(meta, n_pages * 4, 8);
        }
    }
}

/* The widest window of a group's layers; -1 when it has none. */
static int32_t aios__kv_widest(const aios_model *m, int32_t g) {
    int32_t widest = -1;
    for (int32_t l = 0; l < m->hp.n_layer; l++)
        if (aios__kv_group(m, l) == g && m->hp.layer[l].window > widest)
            widest = m->hp.layer[l].window;
    return widest;
}
/* Bytes of a group's pages by form. 0 when they cannot be counted. */
static int32_t aios__kv_page_bytes(const aios_model *m, const aios_plan *p, int32_t g,
                                   uint64_t bytes[AIOS__N_FORMS]) {
    memset(bytes, 0, AIOS__N_FORMS * sizeof *bytes);
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        if (aios__kv_group(m, l) != g) continue;
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            uint64_t tile;
            if (!aios__mul(aios__tile_bytes(m, l, aios__kv_type(p, l, f)),
                           (uint64_t)m->hp.layer[l].n_head_kv, &tile) ||
                !aios__add(bytes[f], tile, &bytes[f]))
                return 0;
        }
    }
    return 1;
}
/* Tiles that a pass fills, at most. */
static int64_t aios__kv_filled(const aios_plan *p) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    return (p->n_batch + 63 * together) / AIOSK_TILE;
}
/* Pages of a group by form: what all sequences see, and what a pass has under way. */
static void aios__kv_page_counts(const aios__kv *kv, const aios_plan *p, int32_t g,
                                 int64_t n[AIOS__N_FORMS]) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    /* tiles that a pass begins, but for one of each sequence */
    int64_t begun = (p->n_batch + 62 * together) / AIOSK_TILE, filled = aios__kv_filled(p);
    /* its own tile, and one that a little cutting back needs */
    int64_t sees = (int64_t)kv->sinks[g] + kv->behind[g] + (g == 0 ? kv->heavy : 0) + 2;
    if (sees > kv->seq_tiles) sees = kv->seq_tiles;
    n[AIOS__KV_OPEN] = sees * p->n_seq + begun;
    n[AIOS__KV_SEALED] = n[AIOS__KV_OLD] = 0;
    if (kv->coded) {
        int64_t sealed = sees - kv->keep;
        /* sequences that do not begin with another's first tile */
        int64_t firsts =
            p->kv_positions ? (p->kv_positions + (int64_t)p->n_ctx - 1) / p->n_ctx : p->n_seq;
        if (firsts > p->n_seq) firsts = p->n_seq;
        n[AIOS__KV_OPEN] = p->n_seq + kv->keep * firsts + begun;
        /* one that ages in the next pass, one that a little cutting back needs */
        if (kv->recent < sealed) {
            n[AIOS__KV_OLD] = (sealed - kv->recent) * p->n_seq + filled;
            if (sealed > kv->recent + 2) sealed = kv->recent + 2;
        }
        n[AIOS__KV_SEALED] = sealed * p->n_seq + filled;
    }
    int64_t most = (int64_t)kv->seq_tiles * p->n_seq,
            cap = p->kv_positions ? aios__tiles(p->kv_positions) : most;
    if (cap > most) cap = most;
    for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
        int64_t top = f == AIOS__KV_OPEN && kv->coded ? most : cap;
        if (n[f] > top) n[f] = top;
    }
}
/* What the plan's numbers mean in tiles, and how many pages that takes. 0 when it cannot be
 * counted. */
static int32_t aios__kv_size(aios__kv *kv, const aios_model *m, const aios_plan *p) {
    int64_t together = p->n_seq < p->n_batch ? p->n_seq : p->n_batch;
    memset(kv, 0, sizeof *kv);
    kv->layer = m->hp.layer;
    kv->n_layer = m->hp.n_layer;
    kv->n_seq = p->n_seq;
    kv->seq_tiles = aios__tiles(p->n_ctx);
    if ((int64_t)kv->seq_tiles * p->n_seq > INT32_MAX) return 0;
    kv->coded = aios__kv_is_coded(m, p);
    kv->keep = kv->coded ? 1 : 0;
    kv->heavy = aios__tiles(p->kv_heavy);
    kv->recent = kv->coded && p->kv_old_type > 0 ? aios__tiles(p->kv_recent) : (int32_t)AIOS__ALL;
    kv->n_jobs = (int32_t)(2 * aios__kv_filled(p) + 2 * together + 2);
    if (p->kv_window && p->kv_sinks >= 0) kv->sinks[0] = aios__tiles(p->kv_sinks ? p->kv_sinks : 1);
    kv->behind[0] = p->kv_window ? aios__tiles(p->kv_window) : (int32_t)AIOS__ALL;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t widest = aios__kv_widest(m, g);
        if (g) kv->behind[g] = (widest + 62) / AIOSK_TILE;
        if (widest < 0) continue;
        uint64_t bytes[AIOS__N_FORMS], all;
        int64_t n[AIOS__N_FORMS];
        if (!aios__kv_page_bytes(m, p, g, bytes)) return 0;
        aios__kv_page_counts(kv, p, g, n);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            kv->pool[g][f].n = (int32_t)n[f];
            kv->pool[g][f].bytes = bytes[f];
            if (!aios__mul(bytes[f], (uint64_t)kv->pool[g][f].n, &all) ||
                !aios__add(kv->bytes, all, &kv->bytes))
                return 0;
        }
        kv->pos_bytes += bytes[kv->coded ? AIOS__KV_SEALED : AIOS__KV_OPEN] / AIOSK_TILE;
    }
    return 1;
}
/* Of positions a .. b-1, those that are seen when the first `sinks` are, and all from `from` on. */
static int64_t aios__kv_seen_of(int64_t sinks, int64_t from, int64_t a, int64_t b) {
    int64_t first = (sinks < b ? sinks : b) - a, rest = b - (from > a ? from : a);
    return (first > 0 ? first : 0) + (rest > 0 ? rest : 0);
}
/* Positions that the last of n sees in a layer, by their form. */
static void aios__kv_seen(const aios__kv *kv, int32_t window, int64_t n,
                          int64_t seen[AIOS__N_FORMS]) {
    int64_t own = (n - 1) / AIOSK_TILE * AIOSK_TILE, keep = (int64_t)kv->keep * AIOSK_TILE,
            old = own - (int64_t)kv->recent * AIOSK_TILE;
    if (!kv->coded || keep > own) keep = own;
    if (old < keep) old = keep;
    /* heavy tiles: as if they were the next ones */
    int64_t sinks = window ? 0 : (int64_t)kv->sinks[0] * AIOSK_TILE,
            from = window ? n - window : own - ((int64_t)kv->behind[0] + kv->heavy) * AIOSK_TILE;
    if (from < sinks) from = sinks;
    seen[AIOS__KV_OPEN] =
        aios__kv_seen_of(sinks, from, 0, keep) + aios__kv_seen_of(sinks, from, own, n);
    seen[AIOS__KV_SEALED] = aios__kv_seen_of(sinks, from, old, own);
    seen[AIOS__KV_OLD] = aios__kv_seen_of(sinks, from, keep, old);
}
/* Bytes that the query at the end of a full context reads: kv of aios__kv_size. */
static uint64_t aios__kv_read_bytes(const aios__kv *kv, const aios_model *m, const aios_plan *p) {
    uint64_t sum = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        int64_t seen[AIOS__N_FORMS];
        aios__kv_seen(kv, m->hp.layer[l].window, p->n_ctx, seen);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++)
            sum += (uint64_t)seen[f] * (uint64_t)m->hp.layer[l].n_head_kv *
                   (aios__tile_bytes(m, l, aios__kv_type(p, l, f)) / AIOSK_TILE);
    }
    return sum;
}
static void aios__kv_clear_seq(aios__kv_seq *s) {
    memset(s, 0, sizeof *s);
    s->n_spans = 1;
    s->span[0].to = INT32_MAX;
}
static void aios__kv_start(aios__kv *kv, const aios_model *m, const aios_plan *p, void *base) {
    char *at = (char *)base;
    for (int32_t i = 0; i < kv->n_seq; i++) aios__kv_clear_seq(&kv->seq[i]);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            aios__pages *x = &kv->pool[g][f];
            uint64_t off = 0;
            for (int32_t l = 0; l < kv->n_layer; l++) {
                if (aios__kv_group(m, l) != g) continue;
                kv->group[l] = (uint8_t)g;
                kv->type[f][l] = aios__kv_type(p, l, f);
                if (kv->coded && aiosk_kv_coded(aiosk_kv_k(kv->type[f][l])))
                    kv->rotated[l] |= AIOS__ROTATED_K;
                if (kv->coded && aiosk_kv_coded(aiosk_kv_v(kv->type[f][l])))
                    kv->rotated[l] |= AIOS__ROTATED_V;
                kv->tile_bytes[f][l] = aios__tile_bytes(m, l, kv->type[f][l]);
                kv->tile_off[f][l] = off;
                off += kv->tile_bytes[f][l] * (uint64_t)kv->layer[l].n_head_kv;
            }
            if (!x->n) continue;
            x->base = at;
            at += x->bytes * (uint64_t)x->n;
            x->n_free = x->n;
            for (int32_t i = 0; i < x->n; i++) {
                x->free_page[i] = x->n - 1 - i;
                x->refs[i] = 0;
            }
            for (int32_t i = 0; i < kv->n_seq * kv->seq_tiles; i++)
                kv->page[g][f][i] = AIOS__NO_PAGE;
        }
}

AIOS__SMALL_END
/* ---- pages ---- */
/* Where a sequence begins in what is [n_seq][seq_tiles]. */
static int64_t aios__kv_first(const aios__kv *kv, int32_t seq) {
    return (int64_t)seq * kv->seq_tiles;
}
static int32_t *aios__kv_row(const aios__kv *kv, int32_t g, int32_t form, int32_t seq) {
    return kv->page[g][form] ? kv->page[g][form] + aios__kv_first(kv, seq) : NULL;
}
static int32_t aios__page_at(const aios__kv *kv, int32_t g, int32_t form, int32_t seq, int32_t t) {
    const int32_t *row = aios__kv_row(kv, g, form, seq);
    return row ? row[t] : (int32_t)AIOS__NO_PAGE;
}
static void *aios__tile_of(const aios__kv *kv, int32_t g, int32_t form, int32_t page, int32_t layer,
                           int32_t head) {
    return kv->pool[g][form].base + (uint64_t)page * kv->pool[g][form].bytes +
           kv->tile_off[form][layer] + (uint64_t)head * kv->tile_bytes[form][layer];
}

/* ---- who sees what ---- */
/* The form in which a query of tile own sees tile t. */
static int32_t aios__kv_rule(const aios__kv *kv, int32_t own, int32_t t) {
    return !kv->coded || t == own || t < kv->keep ? AIOS__KV_OPEN
           : own - t > kv->recent                 ? AIOS__KV_OLD
                                                  : AIOS__KV_SEALED;
}
/* The tile t that a query of tile own sees, in *form; NULL when it sees none. What the rule asks
 * for may be gone after tokens were taken out: then it sees what there is. */
static void *aios__kv_look(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                           int32_t own, int32_t t, int32_t *form) {
    int32_t g = kv->group[layer];
    if (t >= kv->sinks[g] && own - t > kv->behind[g] && (g || !kv->heavy)) return NULL;
    int32_t f = aios__kv_rule(kv, own, t);
    int32_t page = aios__page_at(kv, g, f, seq, t);
    if (page == AIOS__NO_PAGE && t != own)
        for (f = AIOS__KV_SEALED;
             f < AIOS__N_FORMS && (page = aios__page_at(kv, g, f, seq, t)) == AIOS__NO_PAGE; f++) {}
    if (page == AIOS__NO_PAGE) return NULL;
    *form = f;
    return aios__tile_of(kv, g, f, page, layer, head);
}
/* Where a position is written. */
static void *aios__kv_open_tile(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head,
                                int32_t cell) {
    int32_t g = kv->group[layer];
    return aios__tile_of(kv, g, AIOS__KV_OPEN,
                         aios__page_at(kv, g, AIOS__KV_OPEN, seq, cell / AIOSK_TILE), layer, head);
}
/* Slot of a position, which may be the next one after the last. */
static int32_t aios__kv_cell(const aios__kv_seq *s, int32_t pos) {
    int32_t i, n;
    for (i = 0; i < s->n_spans - 1 && pos >= (n = s->span[i].to - s->span[i].from); i++) pos -= n;
    return s->span[i].from + pos;
}
static int32_t aios__kv_off(const aios__kv_seq *s) { return s->span[s->n_spans - 1].off; }

AIOS__SMALL_BEGIN
/* Was nothing taken out? */
static int32_t aios__kv_whole(const aios__kv_seq *s) {
    return s->n_spans == 1 && s->span[0].off == 0;
}
/* The cell behind the first n positions. */
static int32_t aios__kv_end(const aios__kv_seq *s, int32_t n) {
    return n ? aios__kv_cell(s, n - 1) + 1 : 0;
}
/* Position of the first cell that is alive and not before cell. */
static int32_t aios__kv_pos(const aios__kv_seq *s, int32_t cell) {
    int32_t i, pos = 0;
    for (i = 0; i < s->n_spans - 1 && cell >= s->span[i].to; i++)
        pos += s->span[i].to - s->span[i].from;
    return cell < s->span[i].from ? pos : pos + cell - s->span[i].from;
}

/* ---- pages that come and go ---- */
/* Takes the page of an entry away; the page is free when no table names it any more. */
static void aios__page_drop(aios__kv *kv, int32_t g, int32_t form, int32_t *entry) {
    aios__pages *p = &kv->pool[g][form];
    if (*entry == AIOS__NO_PAGE) return;
    if (--p->refs[*entry] == 0) p->free_page[p->n_free++] = *entry;
    *entry = AIOS__NO_PAGE;
}
/* Is the open page of a tile a spare one? Not while the pass that seals it is under way. */
static int32_t aios__kv_spare(const aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    return t < kv->seq[seq].tile && aios__page_at(kv, g, AIOS__KV_OPEN, seq, t) >= 0 &&
           (aios__page_at(kv, g, AIOS__KV_SEALED, seq, t) != AIOS__NO_PAGE ||
            aios__page_at(kv, g, AIOS__KV_OLD, seq, t) != AIOS__NO_PAGE);
}
/* Gives up the spare open pages of a sequence. */
static void aios__kv_unspare(aios__kv *kv, int32_t g, int32_t seq) {
    aios__kv_seq *s = &kv->seq[seq];
    for (int32_t t = s->tile < kv->seq_tiles ? s->tile : kv->seq_tiles - 1;
         t >= 0 && s->n_spares[g]; t--)
        if (aios__kv_spare(kv, g, seq, t)) {
            aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, seq) + t);
            s->n_spares[g]--;
        }
}
/* Takes a page for an entry; the room must be there (aios__kv_fits). */
static void aios__page_take(aios__kv *kv, int32_t g, int32_t form, int32_t *entry) {
    aios__pages *p = &kv->pool[g][form];
    for (int32_t s = 0; !p->n_free && s < kv->n_seq; s++) aios__kv_unspare(kv, g, s);
    *entry = p->free_page[--p->n_free];
    p->refs[*entry] = 1;
}
static int32_t aios__kv_pages(const aios__kv *kv) {
    int32_t n = 0;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++)
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) n += kv->pool[g][f].n;
    return n;
}

/* ---- growing and cutting ---- */
/* What cells from .. upto-1 of a sequence ask for, counted into need; or, with need NULL, taken. */
static void aios__kv_touch(aios__kv *kv, int32_t seq, int32_t from, int32_t upto,
                           int32_t (*need)[AIOS__N_FORMS]) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t first = from / AIOSK_TILE, last = (upto - 1) / AIOSK_TILE;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t *open = aios__kv_row(kv, g, AIOS__KV_OPEN, seq),
                *sealed = aios__kv_row(kv, g, AIOS__KV_SEALED, seq),
                *old = aios__kv_row(kv, g, AIOS__KV_OLD, seq);
        if (!open) continue;
        for (int32_t t = first; t <= last; t++) {
            int32_t shared =
                        open[t] != AIOS__NO_PAGE && kv->pool[g][AIOS__KV_OPEN].refs[open[t]] > 1,
                    seal = sealed && t >= kv->keep && (t + 1) * AIOSK_TILE <= upto;
            if (need) {
                need[g][AIOS__KV_OPEN] += shared || open[t] == AIOS__NO_PAGE;
                need[g][AIOS__KV_SEALED] += seal;
                continue;
            }
            if (shared) {
                aios__kv_copy *c = &kv->copy[kv->n_copies++];
                /* the table's count goes over to the job */
                c->g = g;
                c->seq = seq;
                c->t = t;
                c->from = open[t];
            }
            if (shared || open[t] == AIOS__NO_PAGE) aios__page_take(kv, g, AIOS__KV_OPEN, &open[t]);
            if (seal) aios__page_take(kv, g, AIOS__KV_SEALED, &sealed[t]);
        }
        for (int32_t t = s->aged > kv->keep ? s->aged : kv->keep; old && t < last - kv->recent;
             t++) {
            if (need)
                need[g][AIOS__KV_OLD] += t >= first || sealed[t] != AIOS__NO_PAGE;
            else if (sealed[t] != AIOS__NO_PAGE)
                aios__page_take(kv, g, AIOS__KV_OLD, &old[t]);
        }
    }
}
/* Is there room for cells from .. upto-1? If not, the first pool that is short, in *g and *f,
 * looking from the one that they name. */
static int32_t aios__kv_room(aios__kv *kv, int32_t seq, int32_t from, int32_t upto, int32_t *g,
                             int32_t *f) {
    int32_t need[AIOS__N_GROUPS][AIOS__N_FORMS];
    memset(need, 0, sizeof need);
    aios__kv_touch(kv, seq, from, upto, need);
    for (; *g < AIOS__N_GROUPS; ++*g, *f = 0)
        for (; *f < AIOS__N_FORMS; ++*f) {
            int32_t have = kv->pool[*g][*f].n_free;
            for (int32_t s = 0; *f == AIOS__KV_OPEN && have < need[*g][*f] && s < kv->n_seq; s++)
                have += kv->seq[s].n_spares[*g];
            if (have < need[*g][*f]) return 0;
        }
    return 1;
}
static int32_t aios__kv_fits(aios__kv *kv, int32_t seq, int32_t from, int32_t upto) {
    int32_t g = 0, f = 0;
    return aios__kv_room(kv, seq, from, upto, &g, &f);
}
/* Gives cells from .. upto-1 their pages, for a pass that will write them, and notes what it has
 * to copy, to seal and to age. */
static void aios__kv_grow(aios__kv *kv, int32_t seq, int32_t from, int32_t upto) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t first = from / AIOSK_TILE, last = (upto - 1) / AIOSK_TILE;
    aios__kv_touch(kv, seq, from, upto, NULL);
    if (s->top <= last) s->top = last + 1;
    for (int32_t t = s->aged > kv->keep ? s->aged : kv->keep; kv->coded && t <= last; t++) {
        aios__kv_seal *j = &kv->seal[kv->n_seals];
        j->seq = seq;
        j->t = t;
        j->age = t < last - kv->recent;
        j->seal = t >= first && (t + 1) * AIOSK_TILE <= upto;
        if (!j->age && t < first)
            t = first - 1;
        else
            kv->n_seals += j->age || j->seal;
    }
}
/* A tile in no form any more. */
static void aios__tile_drop(aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    if (g == 0 && kv->heavy) kv->mass[aios__kv_first(kv, seq) + t] = 0;
    kv->seq[seq].n_spares[g] -= aios__kv_spare(kv, g, seq, t);
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        if (kv->page[g][f]) aios__page_drop(kv, g, f, aios__kv_row(kv, g, f, seq) + t);
}
/* Is a tile there in any form? */
static int32_t aios__kv_has(const aios__kv *kv, int32_t g, int32_t seq, int32_t t) {
    for (int32_t f = 0; f < AIOS__N_FORMS; f++)
        if (aios__page_at(kv, g, f, seq, t) != AIOS__NO_PAGE) return 1;
    return 0;
}
/* Between the sinks and what is behind the next query, the tiles with the most mass stay; the
 * newer of two equal ones. */
static void aios__kv_thin(aios__kv *kv, int32_t seq, int32_t own) {
    const uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
    for (;;) {
        int32_t t, n = 0, least = -1;
        for (t = kv->sinks[0]; t < own - kv->behind[0]; t++)
            if (aios__kv_has(kv, 0, seq, t)) {
                n++;
                if (least < 0 || mass[t] < mass[least]) least = t;
            }
        if (n <= kv->heavy) return;
        aios__tile_drop(kv, 0, seq, least);
    }
}
/* How many cells from this one on a pass may write: with heavy tiles, what one tile sees is
 * settled before the next begins. */
static int32_t aios__kv_stride(const aios__kv *kv, int32_t cell) {
    /* behind: AIOS__ALL where all are seen */
    int64_t whole = ((int64_t)kv->sinks[0] + kv->behind[0] + kv->heavy + 1) * AIOSK_TILE;
    return !kv->heavy || whole - cell > INT32_MAX ? INT32_MAX
           : cell < whole                         ? (int32_t)(whole - cell)
                                                  : AIOSK_TILE - cell % AIOSK_TILE;
}
/* The pass has written cells below upto: what no later query needs goes. */
static void aios__kv_done(aios__kv *kv, int32_t seq, int32_t upto) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t was = s->tile, own = upto / AIOSK_TILE, aged = (upto - 1) / AIOSK_TILE - kv->recent;
    s->tile = own;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        int32_t *sealed = aios__kv_row(kv, g, AIOS__KV_SEALED, seq);
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        /* one tile more than the rules ask for stays, so that a sequence can be cut back by that
         * much */
        for (int32_t t = was; t < own; t++) s->n_spares[g] += aios__kv_spare(kv, g, seq, t);
        for (int32_t t = was - kv->behind[g] - 2; t < own - kv->behind[g] - 1; t++)
            if (t >= kv->sinks[g] && t >= 0 && (g || !kv->heavy)) aios__tile_drop(kv, g, seq, t);
        if (g == 0 && kv->heavy) {
            uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
            int32_t *now = kv->mass_now + aios__kv_first(kv, seq);
            for (int32_t t = 0; t < s->top; t++) {
                mass[t] += (uint64_t)now[t];
                now[t] = 0;
            }
            if (own > was) aios__kv_thin(kv, seq, own);
        }
        for (int32_t t = s->aged - 1; t < aged - 1; t++)
            if (t >= kv->keep && aios__page_at(kv, g, AIOS__KV_OLD, seq, t) != AIOS__NO_PAGE)
                aios__page_drop(kv, g, AIOS__KV_SEALED, &sealed[t]);
    }
    if (aged > s->aged) s->aged = aged;
}
/* Is a tile that a query of tile own sees gone? exact: in the form that it wants. */
static int32_t aios__kv_gone(const aios__kv *kv, int32_t g, int32_t seq, int32_t own,
                             int32_t exact) {
    int32_t f, some;
    for (int32_t t = 0; t < own; t++) {
        if (t >= kv->sinks[g] && own - t > kv->behind[g]) continue;
        for (some = f = 0; f < AIOS__N_FORMS; f++)
            some |= aios__page_at(kv, g, f, seq, t) != AIOS__NO_PAGE &&
                    (!exact || f == aios__kv_rule(kv, own, t));
        if (!some) return 1;
    }
    return 0;
}
/* Forgets cells from n on. Gives the cell to go on from: n, or one before it when what was
 * written behind it is gone: then the tokens from there on have to go through the model again. */
static int32_t aios__kv_cut(aios__kv *kv, int32_t seq, int32_t n) {
    aios__kv_seq *s = &kv->seq[seq];
    int32_t own = n / AIOSK_TILE, at = n, whole = s->span[0].off == 0 && s->span[0].to >= n;
    /* queries come again that saw other tiles than the next one would have */
    int32_t back = own < s->tile || s->span[s->n_spans - 1].from >= n;
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        for (int32_t t = s->top - 1; t >= own + (n % AIOSK_TILE != 0); t--)
            aios__tile_drop(kv, g, seq, t);
        for (int32_t t = s->aged > 0 ? s->aged : 0; t < s->top; t++)
            if (kv->page[g][AIOS__KV_OLD])
                aios__page_drop(kv, g, AIOS__KV_OLD, aios__kv_row(kv, g, AIOS__KV_OLD, seq) + t);
        if (n % AIOSK_TILE) {
            s->n_spares[g] -= aios__kv_spare(kv, g, seq, own);
            if (kv->page[g][AIOS__KV_SEALED])
                aios__page_drop(kv, g, AIOS__KV_SEALED,
                                aios__kv_row(kv, g, AIOS__KV_SEALED, seq) + own);
            if (kv->page[g][AIOS__KV_OLD])
                aios__page_drop(kv, g, AIOS__KV_OLD, aios__kv_row(kv, g, AIOS__KV_OLD, seq) + own);
            if (aios__page_at(kv, g, AIOS__KV_OPEN, seq, own) == AIOS__NO_PAGE &&
                at > own * AIOSK_TILE)
                at = own * AIOSK_TILE;
        }
        /* further back than what was kept for it: all anew. Where tokens were taken out, only a
         * model's own window cannot do without */
        if (back && (whole || g > 0) && (g > 0 || !kv->heavy) &&
            aios__kv_gone(kv, g, seq, own, whole))
            at = 0;
    }
    s->top = own + (n % AIOSK_TILE != 0);
    if (s->tile > own) s->tile = own;
    if (s->aged > own) s->aged = own;
    while (s->n_spans > 1 && s->span[s->n_spans - 1].from >= n) s->n_spans--;
    /* in a gap: what is before it */
    if (s->span[s->n_spans - 1].to < at) at = s->span[s->n_spans - 1].to;
    s->span[s->n_spans - 1].to = INT32_MAX;
    if (n == 0) aios__kv_clear_seq(s);
    return at == n ? n : aios__kv_cut(kv, seq, at);
}
/* A pass that is dropped: tables are as before it, but for pages that aios__kv_cut takes away. */
static void aios__kv_undo(aios__kv *kv) {
    for (int32_t i = 0; i < kv->n_copies; i++) {
        aios__kv_copy *c = &kv->copy[i];
        int32_t *open = aios__kv_row(kv, c->g, AIOS__KV_OPEN, c->seq) + c->t;
        aios__page_drop(kv, c->g, AIOS__KV_OPEN, open);
        *open = c->from;
    }
    kv->n_copies = kv->n_seals = 0;
}
/* What it has looked at counts for nothing. */
static void aios__kv_unread(aios__kv *kv, int32_t seq) {
    if (kv->heavy) memset(kv->mass_now + aios__kv_first(kv, seq), 0, (size_t)kv->seq_tiles * 4);
}
/* A pass that is finished. */
static void aios__kv_settle(aios__kv *kv) {
    for (int32_t i = 0; i < kv->n_copies; i++)
        aios__page_drop(kv, kv->copy[i].g, AIOS__KV_OPEN, &kv->copy[i].from);
    kv->n_copies = kv->n_seals = 0;
}

/* ---- sharing ---- */
/* dst, which is empty, shares the first n cells of src. Gives the cell that dst goes on from, as
 * aios__kv_cut does. */
static int32_t aios__kv_fork(aios__kv *kv, int32_t dst, int32_t src, int32_t n) {
    aios__kv_seq *s = &kv->seq[src], *d = &kv->seq[dst];
    int32_t own = n / AIOSK_TILE, top = own + (n % AIOSK_TILE != 0);
    if (top > s->top) top = s->top;
    *d = *s;
    d->top = top;
    if (kv->heavy)
        memcpy(kv->mass + aios__kv_first(kv, dst), kv->mass + aios__kv_first(kv, src),
               (size_t)top * 8);
    for (int32_t g = 0; g < AIOS__N_GROUPS; g++) {
        d->n_spares[g] = 0;
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *from = aios__kv_row(kv, g, f, src), *to = aios__kv_row(kv, g, f, dst);
            for (int32_t t = 0; from && t < top; t++) {
                if (from[t] == AIOS__NO_PAGE || (f == AIOS__KV_OLD && t >= s->aged) ||
                    (f == AIOS__KV_OPEN && t < own && aios__kv_spare(kv, g, src, t)))
                    continue;
                to[t] = from[t];
                /* a copy that a pass has yet to make, or may drop */
                for (int32_t i = 0; f == AIOS__KV_OPEN && i < kv->n_copies; i++)
                    if (kv->copy[i].g == g && kv->copy[i].seq == src && kv->copy[i].t == t)
                        to[t] = kv->copy[i].from;
                kv->pool[g][f].refs[to[t]]++;
            }
        }
        /* a spare is nobody else's; aios__kv_cut makes it an open tile */
        for (int32_t t = own; t < top; t++)
            if (aios__kv_spare(kv, g, dst, t)) {
                d->n_spares[g]++;
                s->n_spares[g]--;
                aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, src) + t);
            }
    }
    return aios__kv_cut(kv, dst, n);
}

/* Takes positions a .. b-1 (all written, others behind them) out of the middle: later ones move
 * down. Tiles that are wholly dead go, and so do their cells. 0: the sequence would fall into
 * more pieces than are kept. */
static int32_t aios__kv_remove(aios__kv *kv, int32_t seq, int32_t a, int32_t b) {
    aios__kv_seq *s = &kv->seq[seq];
    aios__span x[AIOS__MAX_SPANS + 1];
    int32_t from = aios__kv_cell(s, a), to = aios__kv_cell(s, b - 1) + 1, n = 0, at = 0;
    for (int32_t i = 0; i < s->n_spans; i++) {
        aios__span p = s->span[i];
        if (p.from < from) {
            x[n] = p;
            if (p.to > from) x[n].to = from;
            n++;
        }
        if (p.to > to) {
            x[n] = p;
            x[n].off += b - a;
            if (p.from < to) x[n].from = to;
            n++;
        }
    }
    if (n > AIOS__MAX_SPANS) return 0;
    while (x[at].from < to) at++; /* the first piece behind the gap */
    int32_t t0 = at ? (x[at - 1].to + AIOSK_TILE - 1) / AIOSK_TILE : 0;
    int32_t t1 = x[at].from / AIOSK_TILE;
    int32_t k = t1 > t0 ? t1 - t0 : 0;
    for (int32_t g = 0; k && g < AIOS__N_GROUPS; g++) {
        if (!kv->pool[g][AIOS__KV_OPEN].n) continue;
        for (int32_t t = t0; t < t1; t++) aios__tile_drop(kv, g, seq, t);
        for (int32_t f = 0; f < AIOS__N_FORMS; f++) {
            int32_t *row = aios__kv_row(kv, g, f, seq);
            if (!row) continue;
            for (int32_t t = t0; t + k < s->top; t++) {
                row[t] = row[t + k];
                row[t + k] = AIOS__NO_PAGE;
            }
        }
        if (g == 0 && kv->heavy) {
            uint64_t *mass = kv->mass + aios__kv_first(kv, seq);
            for (int32_t t = t0; t + k < s->top; t++) {
                mass[t] = mass[t + k];
                mass[t + k] = 0;
            }
        }
    }
    for (int32_t i = at; i < n; i++) {
        x[i].from -= k * AIOSK_TILE;
        if (x[i].to != INT32_MAX) x[i].to -= k * AIOSK_TILE;
    }
    if (k) s->tile -= k;
    /* its spare page is nothing to count on, though a first tile would be seen open */
    for (int32_t g = 0; k && g < AIOS__N_GROUPS; g++)
        for (int32_t t = t0; t < kv->keep; t++)
            if (aios__kv_spare(kv, g, seq, t)) {
                aios__page_drop(kv, g, AIOS__KV_OPEN, aios__kv_row(kv, g, AIOS__KV_OPEN, seq) + t);
                s->n_spares[g]--;
            }
    if (k) {
        s->top -= k;
        s->aged = s->aged >= t1 ? s->aged - k : s->aged > t0 ? t0 : s->aged;
    }
    memcpy(s->span, x, (size_t)n * sizeof *x);
    s->n_spans = n;
    return 1;
}
AIOS__SMALL_END
