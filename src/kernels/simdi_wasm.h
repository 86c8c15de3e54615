/* simdi_wasm.h: the integer words (simdi_scalar.h) in WebAssembly SIMD128, and what dot_i16.inc needs. */
#ifndef AIOSK__SIMDI_WASM_H
#define AIOSK__SIMDI_WASM_H

V_FN vi i_dup(const void *p) { return wasm_v128_load32_splat(p); }
V_FN vi i_and(vi a, vi b) { return wasm_v128_and(a, b); }
V_FN vi i_or(vi a, vi b) { return wasm_v128_or(a, b); }
V_FN vi i_xor(vi a, vi b) { return wasm_v128_xor(a, b); }
V_FN vi i_srl(vi a, int n) { return wasm_u32x4_shr(a, (uint32_t)n); }
V_FN vi i_sll(vi a, int n) { return wasm_i32x4_shl(a, (uint32_t)n); }
V_FN vi i_addb(vi a, vi b) { return wasm_i8x16_add(a, b); }
V_FN vi i_load_u8(const void *p) { return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(V_NAME(load4)(p))); }
V_FN vi i_load_u16(const void *p) { return wasm_u32x4_load16x4(p); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = V_NAME(i_even)(a);
    o[1] = V_NAME(i_odd)(a);
}
V_FN vi i_table(const void *p) { return wasm_v128_load(p); }
V_FN vi i_lut(vi t, vi i) { return wasm_i8x16_swizzle(t, i); }
V_FN vi i_splat(vi a, int b) { /* one shuffle: b is a constant */
    switch (b) {
    case 0: return wasm_i8x16_shuffle(a, a, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    case 1: return wasm_i8x16_shuffle(a, a, 1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13);
    case 2: return wasm_i8x16_shuffle(a, a, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14);
    default: return wasm_i8x16_shuffle(a, a, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15);
    }
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = wasm_i32x4_splat(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return wasm_v128_and(wasm_i8x16_eq(wasm_v128_and(i_splat(a, c >> 1), s), s), wasm_i8x16_splat((int8_t)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return wasm_i8x16_sub(wasm_v128_xor(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return wasm_i32x4_make(t[wasm_i32x4_extract_lane(i, 0)], t[wasm_i32x4_extract_lane(i, 1)], t[wasm_i32x4_extract_lane(i, 2)],
                           t[wasm_i32x4_extract_lane(i, 3)]);
}
V_FN vi i_mul16(vi a, vi b) { return wasm_i16x8_mul(a, b); }
V_FN vi i_mulhi16(vi a, vi b) {
    return wasm_i16x8_shuffle(wasm_u32x4_extmul_low_u16x8(a, b), wasm_u32x4_extmul_high_u16x8(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}
V_FN vi i_sub16(vi a, vi b) { return wasm_i16x8_sub(a, b); }
V_FN vi i_add16(vi a, vi b) { return wasm_i16x8_add(a, b); }
V_FN vf i_as_float(vi a) { return a; }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    const vi z0 = v_loadi(a), z1 = v_loadi(a + rb), z2 = v_loadi(a + 2 * rb), z3 = v_loadi(a + 3 * rb);
    const vi t0 = wasm_i32x4_shuffle(z0, z1, 0, 4, 1, 5), t1 = wasm_i32x4_shuffle(z0, z1, 2, 6, 3, 7);
    const vi t2 = wasm_i32x4_shuffle(z2, z3, 0, 4, 1, 5), t3 = wasm_i32x4_shuffle(z2, z3, 2, 6, 3, 7);
    o[0] = wasm_i64x2_shuffle(t0, t2, 0, 2);
    o[1] = wasm_i64x2_shuffle(t0, t2, 1, 3);
    o[2] = wasm_i64x2_shuffle(t1, t3, 0, 2);
    o[3] = wasm_i64x2_shuffle(t1, t3, 1, 3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    const vi b = wasm_i16x8_narrow_i32x4(a, a);
    wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(b, b), 0);
}

#define V_NP 2 /* panels that a micro-kernel takes at once: the halves of activations are made for both */
#define V_NC 2 /* and columns */
#define V_FEW 0
/* Codes of 4 to 6 bits are the same signed and unsigned. The halves of w are shared by the columns of a group. */
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) {
    const vi even = kind < 7 ? wasm_v128_and(w, wasm_i32x4_splat(0x00FF00FF)) : V_NAME(i_even)(w);
    const vi odd = kind < 7 ? wasm_u16x8_shr(w, 8) : V_NAME(i_odd)(w);
    return wasm_i16x8_add(wasm_i16x8_mul(even, V_NAME(i_even)(x)), wasm_i16x8_mul(odd, V_NAME(i_odd)(x)));
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return wasm_i32x4_dot_i16x8(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) { /* bytes 0 of the dwords above zeros, then down */
    return wasm_i16x8_shr(wasm_i8x16_shuffle(wasm_i32x4_splat(0), a, 0, 16, 0, 16, 0, 20, 0, 20, 0, 24, 0, 24, 0, 28, 0, 28), 8);
}
#include "dot_i16.inc"

#endif
