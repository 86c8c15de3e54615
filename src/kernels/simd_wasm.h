/* simd_wasm.h: the v_* vocabulary (simd_scalar.h) in WebAssembly SIMD128: four lanes, no FMA; nothing of relaxed SIMD, whose
 * results differ from machine to machine. */
#ifndef AIOSK__SIMD_WASM_H
#define AIOSK__SIMD_WASM_H

#define V_TARGET
#define V_FN AIOSK__INLINE
#define V_EXPORT static AIOSK__UNUSED
#define V_NAME(x) aiosk__##x##_wasm
#define V_BASE(x) aiosk__##x##_wasm
#define V_W 4
#define V_PER16 4
#define V_MAXQ 4
#define V_SHAPES(X) X(1, 4, 1)
#define V_KBIAS 0
#define vf v128_t
#define vi v128_t

V_FN vf v_loadu(const float *p) { return wasm_v128_load(p); }
V_FN void v_storeu(float *p, vf a) { wasm_v128_store(p, a); }
V_FN vi v_loadi(const void *p) { return wasm_v128_load(p); }
V_FN void v_storei(void *p, vi a) { wasm_v128_store(p, a); }
V_FN vf v_set1(float a) { return wasm_f32x4_splat(a); }
V_FN vf v_zero(void) { return wasm_f32x4_splat(0.0f); }
V_FN vi v_set1i(int32_t a) { return wasm_i32x4_splat(a); }
V_FN vi v_zeroi(void) { return wasm_i32x4_splat(0); }
V_FN vf v_add(vf a, vf b) { return wasm_f32x4_add(a, b); }
V_FN vf v_sub(vf a, vf b) { return wasm_f32x4_sub(a, b); }
V_FN vf v_mul(vf a, vf b) { return wasm_f32x4_mul(a, b); }
V_FN vf v_mulr(vf a, vf b) { return wasm_f32x4_mul(a, b); } /* nothing to contract to */
V_FN vf v_div(vf a, vf b) { return wasm_f32x4_div(a, b); }
V_FN vf v_sqrt(vf a) { return wasm_f32x4_sqrt(a); }
V_EXPORT AIOSK__NOINLINE vf V_NAME(fma_rare)(vf a, vf b, vf c) {
    float x[4], y[4], z[4];
    int i;
    wasm_v128_store(x, a);
    wasm_v128_store(y, b);
    wasm_v128_store(z, c);
    for (i = 0; i < 4; i++) x[i] = aiosk__fma(x[i], y[i], z[i]);
    return wasm_v128_load(x);
}
/* As in simd_sse41.h */
V_FN v128_t V_NAME(upper)(v128_t a) { return wasm_i32x4_shuffle(a, a, 2, 3, 2, 3); }
V_FN v128_t V_NAME(doubles)(v128_t a, v128_t b, v128_t c) { /* of lanes 0 and 1 */
    const v128_t p = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(a), wasm_f64x2_promote_low_f32x4(b));
    return wasm_f64x2_add(p, wasm_f64x2_promote_low_f32x4(c));
}
V_FN v128_t V_NAME(twice)(v128_t s) {
    const v128_t mask = wasm_i32x4_const(0x1FFFFFFF, 0x7FFFFFFF, 0x1FFFFFFF, 0x7FFFFFFF);
    const v128_t most = wasm_i32x4_const(0, (897 << 20) - 2, 0, (897 << 20) - 2);
    const v128_t u = wasm_i32x4_add(wasm_v128_and(s, mask), wasm_i32x4_const(-0x10000000, -1, -0x10000000, -1));
    return wasm_i32x4_eq(wasm_u32x4_min(u, most), u);
}
V_FN vf v_fma(vf a, vf b, vf c) {
    const v128_t s = V_NAME(doubles)(a, b, c), t = V_NAME(doubles)(V_NAME(upper)(a), V_NAME(upper)(b), V_NAME(upper)(c));
    if (AIOSK__RARE(wasm_v128_any_true(wasm_v128_or(V_NAME(twice)(s), V_NAME(twice)(t))))) return V_NAME(fma_rare)(a, b, c);
    return wasm_i32x4_shuffle(wasm_f32x4_demote_f64x2_zero(s), wasm_f32x4_demote_f64x2_zero(t), 0, 1, 4, 5);
}
V_FN vf v_max(vf a, vf b) { return wasm_f32x4_pmax(a, b); } /* a < b ? b : a */
V_FN vf v_min(vf a, vf b) { return wasm_f32x4_pmin(a, b); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return wasm_v128_bitselect(x, y, wasm_f32x4_lt(a, b)); }
V_FN vf v_abs(vf a) { return wasm_f32x4_abs(a); }
V_FN vf v_xorsign(vf a, vf s) { return wasm_v128_xor(a, wasm_v128_and(wasm_i32x4_splat((int32_t)0x80000000u), s)); }
V_FN vi v_addi(vi a, vi b) { return wasm_i32x4_add(a, b); }
V_FN vi v_subi(vi a, vi b) { return wasm_i32x4_sub(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return wasm_f32x4_convert_i32x4(a); }
V_FN vi v_cvt_f32_i32(vf a) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a)); }
V_FN vf v_rint(vf a) { return wasm_f32x4_nearest(a); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    v128_t i = wasm_i32x4_trunc_sat_f32x4(n), h = wasm_i32x4_shr(i, 1), b = wasm_i32x4_splat(127);
    v128_t s = wasm_i32x4_shl(wasm_i32x4_add(h, b), 23), t = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(i, h), b), 23);
    return wasm_f32x4_mul(wasm_f32x4_mul(p, s), t);
}
V_FN vf v_load_f16(const void *p) { /* aiosk__f16 */
    const v128_t h = wasm_u32x4_load16x4(p), e = wasm_v128_and(h, wasm_i32x4_splat(0x7FFF));
    const v128_t inf = wasm_v128_and(wasm_i32x4_gt(e, wasm_i32x4_splat(0x7BFF)), wasm_i32x4_splat(0x7F800000));
    const v128_t nan = wasm_v128_and(wasm_i32x4_gt(e, wasm_i32x4_splat(0x7C00)), wasm_i32x4_splat(0x00400000));
    const v128_t f = wasm_v128_or(wasm_i32x4_add(wasm_i32x4_shl(e, 13), wasm_i32x4_splat(112 << 23)), wasm_v128_or(inf, nan));
    const v128_t sub = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(e), wasm_i32x4_splat(0x33800000)); /* * 2^-24 */
    const v128_t r = wasm_v128_bitselect(sub, f, wasm_i32x4_lt(e, wasm_i32x4_splat(0x400)));
    return wasm_v128_or(r, wasm_i32x4_shl(wasm_v128_xor(h, e), 16));
}
V_FN void v_store_f16(void *p, vf x) { /* aiosk__to_f16 */
    const v128_t a = wasm_v128_and(x, wasm_i32x4_splat(0x7FFFFFFF)), one = wasm_i32x4_splat(1);
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(a, 13), one);
    v128_t h = wasm_u32x4_shr(wasm_i32x4_add(wasm_i32x4_add(a, wasm_i32x4_splat(0xFFF - 0x38000000)), odd), 13);
    const v128_t half = wasm_i32x4_splat(126 << 23); /* 1/2 has units of 2^-24 in its last place, as subnormal f16 have */
    const v128_t sub = wasm_i32x4_sub(wasm_f32x4_add(a, half), half);
    const v128_t nan = wasm_v128_or(wasm_v128_and(wasm_u32x4_shr(a, 13), wasm_i32x4_splat(0x3FF)), wasm_i32x4_splat(0x7E00));
    h = wasm_v128_bitselect(sub, h, wasm_i32x4_lt(a, wasm_i32x4_splat(113 << 23)));
    h = wasm_v128_bitselect(wasm_i32x4_splat(0x7C00), h, wasm_i32x4_gt(a, wasm_i32x4_splat(0x477FEFFF)));
    h = wasm_v128_bitselect(nan, h, wasm_i32x4_gt(a, wasm_i32x4_splat(0x7F800000)));
    h = wasm_v128_or(h, wasm_u32x4_shr(wasm_v128_xor(x, a), 16));
    wasm_v128_store64_lane(p, wasm_u16x8_narrow_i32x4(h, h), 0);
}
V_FN vf v_load_bf16(const void *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
V_FN v128_t V_NAME(load4)(const void *p) { return wasm_v128_load32_zero(p); } /* four bytes */
V_FN vf v_load_i8(const void *p) {
    return wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(V_NAME(load4)(p))));
}
V_FN vf v_dup_even(vf a) { return wasm_i32x4_shuffle(a, a, 0, 0, 2, 2); }
V_FN vf v_dup_odd(vf a) { return wasm_i32x4_shuffle(a, a, 1, 1, 3, 3); }
V_FN vf v_swap2(vf a) { return wasm_i32x4_shuffle(a, a, 1, 0, 3, 2); }
V_FN vf v_swap(vf a, int n) { return n == 1 ? wasm_i32x4_shuffle(a, a, 1, 0, 3, 2) : wasm_i32x4_shuffle(a, a, 2, 3, 0, 1); }
V_FN float v_tree_add(const vf *v) {
    vf a = wasm_f32x4_add(wasm_f32x4_add(v[0], v[2]), wasm_f32x4_add(v[1], v[3]));
    a = wasm_f32x4_add(a, V_NAME(upper)(a));
    return wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 1);
}
V_FN float v_tree_max(const vf *v) {
    vf a = v_max(v_max(v[0], v[2]), v_max(v[1], v[3]));
    a = v_max(a, V_NAME(upper)(a));
    return wasm_f32x4_extract_lane(v_max(a, v_dup_odd(a)), 0);
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi V_NAME(i_even)(vi a) { return wasm_i16x8_shr(wasm_i16x8_shl(a, 8), 8); } /* bytes 0 and 2 of a dword, signed */
V_FN vi V_NAME(i_odd)(vi a) { return wasm_i16x8_shr(a, 8); }
V_FN vi v_kdot(vi acc, vi k, vi q) {
    const v128_t s = wasm_i32x4_dot_i16x8(V_NAME(i_even)(k), V_NAME(i_even)(q));
    const v128_t t = wasm_i32x4_dot_i16x8(V_NAME(i_odd)(k), V_NAME(i_odd)(q));
    return wasm_i32x4_add(acc, wasm_i32x4_add(s, t));
}

#endif
