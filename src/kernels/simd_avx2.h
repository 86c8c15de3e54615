/* simd_avx2.h: the v_* vocabulary (simd_scalar.h) in AVX2, FMA and F16C: eight lanes. */
#ifndef AIOSK__SIMD_AVX2_H
#define AIOSK__SIMD_AVX2_H

#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET __attribute__((target("avx2,fma,f16c")))
#else
#define V_TARGET
#endif
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#undef V_EXPORT_REST
#define V_EXPORT_REST AIOSK__SHARED V_TARGET /* for AVX-512 */
#define V_NAME(x) aiosk__##x##_avx2
#define V_BASE(x) aiosk__##x##_avx2
#define V_W 8
#define V_PER16 2
#define V_MAXQ 6
#define V_SHAPES(X) X(1, 1, 4) X(2, 2, 2) X(3, 4, 1) X(5, 6, 1)
#define V_KBIAS 0
#define V_TREES 1
#define vf __m256
#define vi __m256i

V_FN vf v_loadu(const float *p) { return _mm256_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm256_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
V_FN void v_storei(void *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
V_FN vf v_set1(float a) { return _mm256_set1_ps(a); }
V_FN vf v_zero(void) { return _mm256_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm256_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm256_setzero_si256(); }
V_FN vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) { return _mm256_fmadd_ps(a, b, _mm256_set1_ps(-0.0f)); }
V_FN vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
V_FN vf v_max(vf a, vf b) { return _mm256_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm256_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
V_FN vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm256_xor_ps(a, _mm256_and_ps(_mm256_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm256_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm256_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm256_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm256_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    __m256i i = _mm256_cvtps_epi32(n), h = _mm256_srai_epi32(i, 1), b = _mm256_set1_epi32(127);
    __m256i s = _mm256_slli_epi32(_mm256_add_epi32(h, b), 23);
    __m256i t = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, h), b), 23);
    return v_mulr(_mm256_mul_ps(p, _mm256_castsi256_ps(s)), _mm256_castsi256_ps(t));
}
V_FN vf v_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
V_FN void v_store_f16(void *p, vf a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
V_FN vf v_dup_even(vf a) { return _mm256_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm256_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm256_permute_ps(a, 0xB1); }
V_FN vf v_swap(vf a, int n) {
    return n == 1 ? _mm256_permute_ps(a, 0xB1) : n == 2 ? _mm256_permute_ps(a, 0x4E) : _mm256_permute2f128_ps(a, a, 1);
}
V_FN float v_tree_add(const vf *v) {
    __m256 a = _mm256_add_ps(v[0], v[1]);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
V_FN void v_tree_adds(float *to, const float *s) {
    const vf v[2] = {v_loadu(s + 0), v_loadu(s + 8)};
    *to = v_tree_add(v);
}
V_FN float v_tree_max(const vf *v) {
    __m256 a = _mm256_max_ps(v[1], v[0]);
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) { /* |k| <= 127: two products stay below 2^15 */
    __m256i s = _mm256_maddubs_epi16(_mm256_abs_epi8(k), _mm256_sign_epi8(q, k));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(s, _mm256_set1_epi16(1)));
}

#endif
