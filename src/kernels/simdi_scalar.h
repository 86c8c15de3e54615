/* simdi_scalar.h: the integer vocabulary in plain C: one lane. The definition of the other simdi_* files.
 *
 * Lane r of a vi is a dword of row r. A code register holds four codes of its row in the bytes of that dword; x points to
 * the same columns of the activations, plain order, and every lane is multiplied with the same four. Sums are
 * exact in int32. What a set does on the way is its own affair; the result is not:
 *     i_dup(p)                   the 4 bytes at p in every lane
 *     i_dot32_4(w, x, sum8)      sum of (code - 8) * x over 32 columns, codes 0..15; sum8 = -8 * sum of x
 *     i_dot32_8(w, x, sum128)    sum of code * x, codes -128..127 passed through i_prep8; sum128 = -128 * sum of x
 *     i_macc32_4(acc, w, x, s)   acc + s * sum of code * x over 32 columns, codes 0..15
 *     i_macc16_6(acc, w, x, sum8, s)   acc + s * sum of (code - 32) * x over 16 columns, codes 0..63; sum8 = -32 * sums
 *                                of 8. Complete only after i_fix6(acc, p, sum16), once per block: p are the 16 scales as
 *                                pairs, i_pairs_s8(p, words) makes them; sum16 the sums of 16
 *     i_scale_u8, i_scale_s8     byte 0 of every lane as a scale for i_macc*: unsigned, signed
 *     i_macc_pair(acc, a, s)     acc + a.lo * s[0] + a.hi * s[1], where lo and hi are the int16 halves of a lane
 *     i_scale16(w16, q, s)       16 codes times s (fits int16);  i_dot16(w16, x, n)  their dot product, n % 16 == 0
 *     i_store_s8(p, a)           the lanes' low bytes                                                            */
#ifndef AIOSK__SIMDI_SCALAR_H
#define AIOSK__SIMDI_SCALAR_H

#define V_NP 1 /* panels that a micro-kernel takes at once, when there are several columns */
#include "simdi_names.inc"

V_FN vi i_dup(const void *p) { int32_t a; memcpy(&a, p, 4); return a; }
V_FN vi i_and(vi a, vi b) { return a & b; }
V_FN vi i_or(vi a, vi b) { return a | b; }
V_FN vi i_srl2(vi a) { return (int32_t)((uint32_t)a >> 2); }
V_FN vi i_srl4(vi a) { return (int32_t)((uint32_t)a >> 4); }
V_FN vi i_srl8(vi a) { return (int32_t)((uint32_t)a >> 8); }
V_FN vi i_srl16(vi a) { return (int32_t)((uint32_t)a >> 16); }
V_FN vi i_sll2(vi a) { return (int32_t)((uint32_t)a << 2); }
V_FN vi i_sll4(vi a) { return (int32_t)((uint32_t)a << 4); }
V_FN vi i_scale_u8(vi a) { return a & 255; }
V_FN vi i_scale_s8(vi a) { return (int8_t)(a & 255); }
/* Bytes as signed, and as unsigned below 128, are the same here: 4- and 6-bit codes are both. */
V_FN int32_t V_NAME(i_dots)(const vi *w, const int8_t *x, int n) {
    int32_t s = 0;
    int i;
    for (i = 0; i < n; i++) {
        int8_t q[4];
        memcpy(q, &w[i], 4);
        s += q[0] * x[4 * i] + q[1] * x[4 * i + 1] + q[2] * x[4 * i + 2] + q[3] * x[4 * i + 3];
    }
    return s;
}
V_FN vi i_dot32_4(const vi *w, const int8_t *x, int32_t sum8) { return V_NAME(i_dots)(w, x, 8) + sum8; }
V_FN vi i_prep8(vi w) { return w; }
V_FN vi i_dot32_8(const vi *w, const int8_t *x, int32_t sum128) { (void)sum128; return V_NAME(i_dots)(w, x, 8); }
V_FN vi i_macc32_4(vi acc, const vi *w, const int8_t *x, vi s) { return acc + s * V_NAME(i_dots)(w, x, 8); }
V_FN vi i_macc16_6(vi acc, const vi *w, const int8_t *x, const int32_t *sum8, vi s) {
    return acc + s * (V_NAME(i_dots)(w, x, 4) + sum8[0] + sum8[1]);
}
V_FN void i_pairs_s8(vi *p, const vi *words) { (void)p; (void)words; }
V_FN vi i_fix6(vi acc, const vi *p, const int16_t *sum16) { (void)p; (void)sum16; return acc; }
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) {
    return acc + (int16_t)(a & 0xFFFF) * s[0] + (int16_t)((uint32_t)a >> 16) * s[1];
}
V_FN void i_scale16(int16_t *w, const int8_t *q, int32_t s) {
    int i;
    for (i = 0; i < 16; i++) w[i] = (int16_t)(q[i] * s);
}
V_FN int32_t i_dot16(const int16_t *w, const int8_t *x, int32_t n) {
    int32_t s = 0, i;
    for (i = 0; i < n; i++) s += w[i] * x[i];
    return s;
}
V_FN void i_store_s8(int8_t *p, vi a) { *p = (int8_t)a; }

#endif
