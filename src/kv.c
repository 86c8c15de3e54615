/* kv.c: the cache as pages of 64 positions from one pool, found through a table per sequence. A page holds the tiles of
 * every layer and key/value head for its positions: [layer][head][tile]. Knows where things are, not what is in them. */

enum { AIOS__NO_PAGE = -1 };

typedef struct aios__kv {
    int32_t type, n_layer, n_head_kv, n_seq;
    int32_t seq_pages, n_pages;         /* pages of one sequence at full context, and of all                */
    uint64_t tile_bytes, page_bytes, bytes;
    char *base;
    int32_t *table;                     /* [n_seq][seq_pages] page of each 64 positions, or AIOS__NO_PAGE   */
    int32_t *free_page;                 /* [n_pages] stack of pages not in use                              */
    int32_t n_free;
} aios__kv;

/* Sizes for n_seq sequences of n_ctx positions. 0 when they overflow. */
static int32_t aios__kv_size(aios__kv *kv, const aios__hp *hp, int32_t type, int32_t n_ctx, int32_t n_seq) {
    uint64_t tiles;
    memset(kv, 0, sizeof *kv);
    kv->type = type; kv->n_layer = hp->n_layer; kv->n_head_kv = hp->n_head_kv; kv->n_seq = n_seq;
    kv->tile_bytes = aiosk_tile_bytes(type, hp->hd_k, hp->hd_v);
    kv->seq_pages = (int32_t)(((int64_t)n_ctx + AIOSK_TILE - 1) / AIOSK_TILE);
    if ((int64_t)kv->seq_pages * n_seq > INT32_MAX) return 0;
    kv->n_pages = kv->seq_pages * n_seq;
    return aios__mul((uint64_t)hp->n_layer, (uint64_t)hp->n_head_kv, &tiles) && aios__mul(tiles, kv->tile_bytes, &kv->page_bytes)
        && aios__mul(kv->page_bytes, (uint64_t)kv->n_pages, &kv->bytes);
}
static void aios__kv_layout(aios__kv *kv, aios__bump *meta) {
    kv->table     = (int32_t *)aios__take(meta, (uint64_t)kv->n_pages * 4, 8);
    kv->free_page = (int32_t *)aios__take(meta, (uint64_t)kv->n_pages * 4, 8);
}
static void aios__kv_start(aios__kv *kv, void *base) {
    int32_t i;
    kv->base = (char *)base;
    kv->n_free = kv->n_pages;
    for (i = 0; i < kv->n_pages; i++) { kv->table[i] = AIOS__NO_PAGE; kv->free_page[i] = kv->n_pages - 1 - i; }
}
/* Makes sure that positions below n of a sequence have pages. The pool holds a full context of every sequence. */
static void aios__kv_grow(aios__kv *kv, int32_t seq, int32_t n) {
    int32_t i, *t = kv->table + (int64_t)seq * kv->seq_pages;
    for (i = 0; i < (n + AIOSK_TILE - 1) / AIOSK_TILE; i++)
        if (t[i] == AIOS__NO_PAGE) t[i] = kv->free_page[--kv->n_free];
}
/* Gives back the pages that hold nothing but positions from n on. */
static void aios__kv_cut(aios__kv *kv, int32_t seq, int32_t n) {
    int32_t i, *t = kv->table + (int64_t)seq * kv->seq_pages;
    for (i = (n + AIOSK_TILE - 1) / AIOSK_TILE; i < kv->seq_pages; i++)
        if (t[i] != AIOS__NO_PAGE) { kv->free_page[kv->n_free++] = t[i]; t[i] = AIOS__NO_PAGE; }
}
static inline void *aios__kv_tile(const aios__kv *kv, int32_t seq, int32_t layer, int32_t head, int32_t pos) {
    int32_t page = kv->table[(int64_t)seq * kv->seq_pages + pos / AIOSK_TILE];
    return kv->base + (uint64_t)page * kv->page_bytes + ((uint64_t)layer * (uint64_t)kv->n_head_kv + (uint64_t)head) * kv->tile_bytes;
}
