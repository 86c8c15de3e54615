/* isa_table.h: the table of an instruction set: integer matrices of V_NAME, those of grid types of V_GRID, all else of V_BASE, V_REST, V_TILE8 */
#ifndef AIOSK__ISA_TABLE_H
#define AIOSK__ISA_TABLE_H
#ifdef AIOSK_UNIT
#define AIOSK__DECLARE(table) extern AIOSK__SHARED const aiosk_isa table; /* for C++, where const is static */
#else
#define AIOSK__DECLARE(table)
#endif
/* What no table names is not compiled. */
#ifdef AIOSK_TYPES
#define AIOSK__IF(N, f) ((uint64_t)(AIOSK_TYPES) >> AIOSK_##N & 1 ? f : NULL)
#else
#define AIOSK__IF(N, f) f
#endif
/* A row of formats.h: its functions by loops */
#define AIOSK__NO_CELL(id)      {NULL, NULL},
#define AIOSK__CELL_NONE(N, n)  {NULL, NULL},
#define AIOSK__CELL_FLOATS(N, n) {V_BASE(rows_##n), NULL},
#define AIOSK__CELL_HOT(N, n)   {AIOSK__IF(N, V_NAME(rows_##n)), AIOSK__IF(N, V_NAME(panels_##n))},
#define AIOSK__CELL_RARE(N, n)  AIOSK__CELL_HOT(N, n)
#define AIOSK__CELL_GRID(N, n)  {AIOSK__IF(N, V_GRID(rows_##n)), AIOSK__IF(N, V_GRID(panels_##n))},
#define AIOSK__CELL(N, n, id, w, b, f, loops, ...) AIOSK__CELL_##loops(N, n)
/* and what matmul.inc makes of it */
#define AIOSK__MATRIX(N, n, id, w, b, f, loops, ...) AIOSK__##f##_##loops(N, n, __VA_ARGS__)
#define AIOSK__FLT_FLOATS(...)
#define AIOSK__RAW_NONE(...)
#define AIOSK__ISA(table, name, id)                                                                                                       \
    AIOSK__DECLARE(table)                                                                                                                 \
    AIOSK__CONST aiosk_isa table = {                                                                                                      \
        name, id, 0,                                                                                                                      \
        {V_BASE(quantize_flt), V_BASE(quantize_a32), V_BASE(quantize_a256)},                                                              \
        V_BASE(quantize_head),                                                                                                            \
        {AIOSK__IDS(AIOSK__CELL, AIOSK__NO_CELL)},                                                                                        \
        V_TILE8(attend),                                                                                                                  \
        {V_REST(store_f16), V_REST(store_f32)},                                                                                           \
        V_REST(kv_convert), V_REST(attend_merge), V_REST(rotate),                                                                         \
        V_REST(rms_norm), V_REST(layer_norm), V_REST(act), V_REST(act_gated), V_REST(add), V_REST(scale), V_REST(softcap),                \
        V_REST(rope), V_REST(argmax), V_REST(exp)};
#endif
