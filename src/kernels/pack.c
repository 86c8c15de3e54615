/* pack.c: where things lie: ROWS and PANELS of a matrix, and the parts of an activation column.
 * Bytes move, numbers do not change. Nothing here is fast or needs to be: it runs at load time. */
#ifndef AIOSK__PACK_C
#define AIOSK__PACK_C
#include "types.h"

/* ---- panels ----
 * A panel is 16 rows, block by block: [block 0 of 16 rows][block 1 of 16 rows]... Each format
 * (formats.h) lists the segments of its block in the file, in the order they get in the panel:
 * `count` elements of `elem` bytes at `off`. Element i of row r goes to [i][r] of its segment, so that a
 * lane finds the element of its row; 4-byte elements are four codes, indices or scales, 2-byte
 * elements f16 scales. Nothing else is rearranged: even 6-bit scales are decoded as they are,
 * four in one dword. A panel is one ascending stream of bytes. */
static const aiosk__panel aiosk__panels[AIOSK_N_TYPES] = {
#define AIOSK__LIST(...) __VA_ARGS__
#define AIOSK__X(N, n, id, w, b, f, loops, kind, offset, columns, minima, panel, fit) \
    { { AIOSK__LIST panel } },
#define AIOSK__GAP(id) { { { 0, 0, 0 } } },
    AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
#undef AIOSK__LIST
};

AIOSK__SHARED const aiosk__panel *aiosk__find_panel(int32_t type) {
    if ((uint32_t)type >= AIOSK_N_TYPES || !aiosk__panels[type].seg[0].count) return NULL;
    return &aiosk__panels[type];
}

AIOSK_API uint64_t aiosk_layout_bytes(int32_t type, int32_t layout, uint64_t n_rows,
                                      uint64_t n_in) {
    uint64_t row = aiosk_row_bytes(type, n_in);
    if (row == 0) return 0;
    if (layout == AIOSK_PANELS) {
        if (!aiosk__find_panel(type) || n_rows > UINT64_MAX - 15) return 0;
        n_rows = (n_rows + 15) / 16 * 16;
    } else if (layout != AIOSK_ROWS) {
        return 0;
    }
    return n_rows > UINT64_MAX / row ? 0 : n_rows * row;
}

/* Copies n_blocks blocks of n rows, row_bytes apart, in or out of a panel of as many blocks; the
 * first is its row r0. */
AIOSK__SHARED void aiosk__move_rows(int32_t type, uint8_t *panel, int32_t r0, int32_t n,
                                    uint64_t n_blocks, uint8_t *rows, uint64_t row_bytes, int out) {
    const aiosk__panel *p = aiosk__find_panel(type);
    const aiosk_type *t = aiosk_type_info(type);
    uint64_t at = 0;

    if (!p || !t) return;
    for (int s = 0; s < 5 && p->seg[s].count; s++) {
        const aiosk__seg g = p->seg[s];
        for (uint64_t k = 0; k < n_blocks; k++) {
            for (int32_t r = 0; r < n; r++) {
                uint8_t *a = rows + (uint64_t)r * row_bytes + k * t->n_bytes + g.off;
                uint8_t *b = panel + k * 16 * t->n_bytes + at + (uint64_t)(r0 + r) * g.elem;
                if (g.elem == 4 && !out)
                    for (int i = 0; i < g.count; i++, a += 4, b += 64) memcpy(b, a, 4);
                else if (g.elem == 4)
                    for (int i = 0; i < g.count; i++, a += 4, b += 64) memcpy(a, b, 4);
                else
                    for (int i = 0; i < g.count; i++, a += g.elem, b += 16 * g.elem)
                        memcpy(out ? a : b, out ? b : a, g.elem);
            }
        }
        at += 16u * g.elem * g.count;
    }
}

AIOSK_API void aiosk_pack_panel(int32_t type, const void *rows, int32_t n_rows, uint64_t n_in,
                                void *panel) {
    const uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    if (row_bytes == 0) return;
    if (n_rows < 16) memset(panel, 0, (size_t)(16 * row_bytes));
    aiosk__move_rows(type, (uint8_t *)panel, 0, n_rows, n_in / aiosk_type_info(type)->n_weights,
                     (uint8_t *)(uintptr_t)rows, row_bytes, 0);
}

AIOSK_API void aiosk_unpack_panel_row(int32_t type, const void *panel, int32_t r, uint64_t n_in,
                                      void *row) {
    const uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    if (row_bytes == 0) return;
    aiosk__move_rows(type, (uint8_t *)(uintptr_t)panel, r, 1,
                     n_in / aiosk_type_info(type)->n_weights, (uint8_t *)row, row_bytes, 1);
}

AIOSK_API uint64_t aiosk_act_bytes(int32_t kind, uint64_t n_in) {
    uint64_t n = 0;
    if (n_in > 0x7FFFFFFF / 4) return 0;
    if (kind == AIOSK_FLT) return (n_in * 4 + 63) & ~(uint64_t)63;
    if (kind == AIOSK_A32 && n_in % 32 == 0) n = ((n_in + 63) & ~(uint64_t)63) + n_in / 2;
    if (kind == AIOSK_A256 && n_in % 256 == 0)
        n = n_in + n_in / 2 + n_in / 4 + n_in / 8 + n_in / 16 + n_in / 64;
    n = (n + 63) & ~(uint64_t)63;
    return n ? n | 64 : 0;
}
AIOSK_API void aiosk_act_unpack(int32_t kind, const void *x, uint64_t n_in, float *y) {
    const uint8_t *p = (const uint8_t *)x;
    uint64_t per = kind == AIOSK_A256 ? 256 : 32, d = 0;
    if (kind == AIOSK_FLT) {
        memcpy(y, x, (size_t)n_in * 4);
        return;
    }
    d = kind == AIOSK_A256 ? aiosk__a256_parts((int32_t)n_in).d : aiosk__a32_parts((int32_t)n_in).d;
    for (uint64_t i = 0; i < n_in; i++)
        y[i] = (float)(int8_t)p[i] * aiosk__f32(p + d + i / per * 4);
}

#endif
