/* isa_table.h: the table of an instruction set: integer matrices of V_NAME, those of grid types of G, all else of V_BASE, V_REST, V_TILE8 */
#ifndef AIOSK__ISA_TABLE_H
#define AIOSK__ISA_TABLE_H
#ifdef AIOSK_UNIT
#define AIOSK__DECLARE(table) extern AIOSK__SHARED const aiosk_isa table; /* for C++, where const is static */
#else
#define AIOSK__DECLARE(table)
#endif
#define AIOSK__NO {NULL, NULL},
#define AIOSK__F(n) {V_BASE(rows_##n), NULL},
#define AIOSK__P(n) {V_NAME(rows_##n), V_NAME(panels_##n)},
#define AIOSK__G(G, n) {G(rows_##n), G(panels_##n)},
#define AIOSK__ISA(table, name, id, G)                                                                                                    \
    AIOSK__DECLARE(table)                                                                                                                 \
    AIOSK__CONST aiosk_isa table = {                                                                                                      \
        name, id, 0,                                                                                                                      \
        {V_BASE(quantize_flt), V_BASE(quantize_a32), V_BASE(quantize_a256)},                                                              \
        V_BASE(quantize_head),                                                                                                            \
        {   /* in the order of ids, formats.h */                                                                                          \
            /*  0 */ AIOSK__F(f32) AIOSK__F(f16) AIOSK__P(q4_0) AIOSK__P(q4_1) AIOSK__NO                                                  \
            /*  5 */ AIOSK__NO AIOSK__P(q5_0) AIOSK__P(q5_1) AIOSK__P(q8_0) AIOSK__NO                                                     \
            /* 10 */ AIOSK__P(q2_k) AIOSK__P(q3_k) AIOSK__P(q4_k) AIOSK__P(q5_k) AIOSK__P(q6_k)                                           \
            /* 15 */ AIOSK__NO AIOSK__G(G, iq2_xxs) AIOSK__G(G, iq2_xs) AIOSK__G(G, iq3_xxs) AIOSK__G(G, iq1_s)                           \
            /* 20 */ AIOSK__P(iq4_nl) AIOSK__G(G, iq3_s) AIOSK__G(G, iq2_s) AIOSK__P(iq4_xs) AIOSK__NO                                    \
            /* 25 */ AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__G(G, iq1_m)                                                           \
            /* 30 */ AIOSK__F(bf16) AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__P(tq1_0)                                                         \
            /* 35 */ AIOSK__P(tq2_0) AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__P(mxfp4)                                                        \
            /* 40 */ AIOSK__P(nvfp4) AIOSK__P(q1_0) AIOSK__P(q2_0)                                                                        \
        },                                                                                                                                \
        V_TILE8(attend),                                                                                                                  \
        {V_REST(store_f32), V_REST(store_f16)},                                                                                           \
        V_REST(kv_convert), V_REST(attend_merge), V_REST(rotate),                                                                         \
        V_REST(rms_norm), V_REST(layer_norm), V_REST(act), V_REST(act_gated), V_REST(add), V_REST(scale), V_REST(softcap),                \
        V_REST(rope), V_REST(argmax), V_REST(exp)};
#endif
