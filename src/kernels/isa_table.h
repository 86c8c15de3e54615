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
/* What no table names is not compiled. */
#ifdef AIOSK_TYPES
#define AIOSK__IF(N, f) ((uint64_t)(AIOSK_TYPES) >> AIOSK_##N & 1 ? f : NULL)
#else
#define AIOSK__IF(N, f) f
#endif
#define AIOSK__P(N, n) {AIOSK__IF(N, V_NAME(rows_##n)), AIOSK__IF(N, V_NAME(panels_##n))},
#define AIOSK__G(G, N, n) {AIOSK__IF(N, G(rows_##n)), AIOSK__IF(N, G(panels_##n))},
#define AIOSK__ISA(table, name, id, G)                                                                                                    \
    AIOSK__DECLARE(table)                                                                                                                 \
    AIOSK__CONST aiosk_isa table = {                                                                                                      \
        name, id, 0,                                                                                                                      \
        {V_BASE(quantize_flt), V_BASE(quantize_a32), V_BASE(quantize_a256)},                                                              \
        V_BASE(quantize_head),                                                                                                            \
        {   /* in the order of ids, formats.h */                                                                                          \
            /*  0 */ AIOSK__F(f32) AIOSK__F(f16) AIOSK__P(Q4_0, q4_0) AIOSK__P(Q4_1, q4_1) AIOSK__NO                                      \
            /*  5 */ AIOSK__NO AIOSK__P(Q5_0, q5_0) AIOSK__P(Q5_1, q5_1) AIOSK__P(Q8_0, q8_0) AIOSK__NO                                   \
            /* 10 */ AIOSK__P(Q2_K, q2_k) AIOSK__P(Q3_K, q3_k) AIOSK__P(Q4_K, q4_k) AIOSK__P(Q5_K, q5_k) AIOSK__P(Q6_K, q6_k)             \
            /* 15 */ AIOSK__NO AIOSK__G(G, IQ2_XXS, iq2_xxs) AIOSK__G(G, IQ2_XS, iq2_xs) AIOSK__G(G, IQ3_XXS, iq3_xxs) AIOSK__G(G, IQ1_S, iq1_s)\
            /* 20 */ AIOSK__P(IQ4_NL, iq4_nl) AIOSK__G(G, IQ3_S, iq3_s) AIOSK__G(G, IQ2_S, iq2_s) AIOSK__P(IQ4_XS, iq4_xs) AIOSK__NO      \
            /* 25 */ AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__G(G, IQ1_M, iq1_m)                                                    \
            /* 30 */ AIOSK__F(bf16) AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__P(TQ1_0, tq1_0)                                                  \
            /* 35 */ AIOSK__P(TQ2_0, tq2_0) AIOSK__NO AIOSK__NO AIOSK__NO AIOSK__P(MXFP4, mxfp4)                                          \
            /* 40 */ AIOSK__P(NVFP4, nvfp4) AIOSK__P(Q1_0, q1_0) AIOSK__P(Q2_0, q2_0)                                                     \
        },                                                                                                                                \
        V_TILE8(attend),                                                                                                                  \
        {V_REST(store_f16), V_REST(store_f32)},                                                                                           \
        V_REST(kv_convert), V_REST(attend_merge), V_REST(rotate),                                                                         \
        V_REST(rms_norm), V_REST(layer_norm), V_REST(act), V_REST(act_gated), V_REST(add), V_REST(scale), V_REST(softcap),                \
        V_REST(rope), V_REST(argmax), V_REST(exp)};
#endif
