/* simd_sse41.h: the v_* vocabulary (simd_scalar.h) in SSE4.1 with SSSE3: four lanes, neither FMA nor F16C. */
#ifndef AIOSK__SIMD_SSE41_H
#define AIOSK__SIMD_SSE41_H

#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET __attribute__((target("sse4.1,ssse3")))
#else
#define V_TARGET
#endif
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#define V_NAME(x) aiosk__##x##_sse41
#define V_BASE(x) aiosk__##x##_sse41
#define V_W 4
#define V_PER16 4
#define V_MAXQ 1
#define V_SHAPES(X) X(1, 1, 1)
#define V_KBIAS 0
#define vf __m128
#define vi __m128i
#undef V_HOT
#define V_HOT AIOSK__LOOPS /* small before fast */
#undef V_UNROLL
#define V_UNROLL AIOSK__UNROLL
#undef V_UNROLL_RARE
#define V_UNROLL_RARE

V_FN vf v_loadu(const float *p) { return _mm_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
V_FN void v_storei(void *p, vi a) { _mm_storeu_si128((__m128i *)p, a); }
V_FN vf v_set1(float a) { return _mm_set1_ps(a); }
V_FN vf v_zero(void) { return _mm_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm_setzero_si128(); }
V_FN vf v_add(vf a, vf b) { return _mm_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) {
    vf p = _mm_mul_ps(a, b);
#if defined(__GNUC__) || defined(__clang__)
    __asm__("" : "+x"(p)); /* where the whole file is compiled for a machine with FMA: no contraction */
#endif
    return p;
}
V_FN vf v_div(vf a, vf b) { return _mm_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm_sqrt_ps(a); }
V_EXPORT AIOSK__NOINLINE vf V_NAME(fma_rare)(vf a, vf b, vf c) {
    float x[4], y[4], z[4];
    int i;
    _mm_storeu_ps(x, a);
    _mm_storeu_ps(y, b);
    _mm_storeu_ps(z, c);
    for (i = 0; i < 4; i++) x[i] = aiosk__fma(x[i], y[i], z[i]);
    return _mm_loadu_ps(x);
}
/* Dwords of doubles where rounding them to float could round twice: the lower 29 bits are those of a half (as a lower dword), or
 * the exponent is that of a subnormal float, 1..896 (as an upper one; 0 is exact). */
V_FN __m128i V_NAME(twice)(__m128d s) {
    const __m128i mask = _mm_setr_epi32(0x1FFFFFFF, 0x7FFFFFFF, 0x1FFFFFFF, 0x7FFFFFFF);
    const __m128i most = _mm_setr_epi32(0, (897 << 20) - 2, 0, (897 << 20) - 2);
    const __m128i u = _mm_add_epi32(_mm_and_si128(_mm_castpd_si128(s), mask), _mm_setr_epi32(-0x10000000, -1, -0x10000000, -1));
    return _mm_cmpeq_epi32(_mm_min_epu32(u, most), u);
}
/* aiosk__fma of four lanes. A function, not inlined: it is everywhere, and 30 instructions long. */
V_EXPORT AIOSK__NOINLINE vf v_fma(vf a, vf b, vf c) {
    const __m128d s = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    const __m128d t = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b))),
                                 _mm_cvtps_pd(_mm_movehl_ps(c, c)));
    const __m128i rare = _mm_or_si128(V_NAME(twice)(s), V_NAME(twice)(t));
    if (AIOSK__RARE(_mm_movemask_ps(_mm_castsi128_ps(rare)))) return V_NAME(fma_rare)(a, b, c);
    return _mm_movelh_ps(_mm_cvtpd_ps(s), _mm_cvtpd_ps(t));
}
V_FN vf v_max(vf a, vf b) { return _mm_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm_blendv_ps(y, x, _mm_cmplt_ps(a, b)); }
V_FN vf v_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm_xor_ps(a, _mm_and_ps(_mm_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    __m128i i = _mm_cvtps_epi32(n), h = _mm_srai_epi32(i, 1), b = _mm_set1_epi32(127);
    __m128i s = _mm_slli_epi32(_mm_add_epi32(h, b), 23);
    __m128i t = _mm_slli_epi32(_mm_add_epi32(_mm_sub_epi32(i, h), b), 23);
    return v_mulr(_mm_mul_ps(p, _mm_castsi128_ps(s)), _mm_castsi128_ps(t));
}
V_FN vf v_load_f16(const void *p) { /* aiosk__f16 */
    const __m128i h = _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), e = _mm_and_si128(h, _mm_set1_epi32(0x7FFF));
    const __m128i inf = _mm_and_si128(_mm_cmpgt_epi32(e, _mm_set1_epi32(0x7BFF)), _mm_set1_epi32(0x7F800000));
    const __m128i nan = _mm_and_si128(_mm_cmpgt_epi32(e, _mm_set1_epi32(0x7C00)), _mm_set1_epi32(0x00400000));
    const __m128i f = _mm_or_si128(_mm_add_epi32(_mm_slli_epi32(e, 13), _mm_set1_epi32(112 << 23)), _mm_or_si128(inf, nan));
    const __m128 sub = _mm_mul_ps(_mm_cvtepi32_ps(e), _mm_castsi128_ps(_mm_set1_epi32(0x33800000))); /* * 2^-24 */
    const __m128 r = _mm_blendv_ps(_mm_castsi128_ps(f), sub, _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(0x400), e)));
    return _mm_or_ps(r, _mm_castsi128_ps(_mm_slli_epi32(_mm_xor_si128(h, e), 16)));
}
V_FN void v_store_f16(void *p, vf x) { /* aiosk__to_f16 */
    const __m128i u = _mm_castps_si128(x), a = _mm_and_si128(u, _mm_set1_epi32(0x7FFFFFFF));
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(1));
    __m128i h = _mm_srli_epi32(_mm_add_epi32(_mm_add_epi32(a, _mm_set1_epi32(0xFFF - 0x38000000)), odd), 13);
    const __m128i half = _mm_set1_epi32(126 << 23); /* 1/2 has units of 2^-24 in its last place, as subnormal f16 have */
    const __m128i sub = _mm_sub_epi32(_mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(half))), half);
    const __m128i nan = _mm_or_si128(_mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(0x3FF)), _mm_set1_epi32(0x7E00));
    h = _mm_blendv_epi8(h, sub, _mm_cmpgt_epi32(_mm_set1_epi32(113 << 23), a));
    h = _mm_blendv_epi8(h, _mm_set1_epi32(0x7C00), _mm_cmpgt_epi32(a, _mm_set1_epi32(0x477FEFFF)));
    h = _mm_blendv_epi8(h, nan, _mm_cmpgt_epi32(a, _mm_set1_epi32(0x7F800000)));
    h = _mm_or_si128(h, _mm_srli_epi32(_mm_xor_si128(u, a), 16));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi32(h, h));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) { return _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_cvtsi32_si128((int32_t)aiosk__u32(p)))); }
V_FN vf v_dup_even(vf a) { return _mm_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm_shuffle_ps(a, a, 0xB1); }
V_FN vf v_swap(vf a, int n) { return n == 1 ? _mm_shuffle_ps(a, a, 0xB1) : _mm_shuffle_ps(a, a, 0x4E); }
V_FN float v_tree_add(const vf *v) {
    vf a = _mm_add_ps(_mm_add_ps(v[0], v[2]), _mm_add_ps(v[1], v[3]));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}
V_FN float v_tree_max(const vf *v) {
    vf a = v_max(v_max(v[0], v[2]), v_max(v[1], v[3]));
    a = v_max(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(v_max(a, _mm_movehdup_ps(a)));
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) { /* |k| <= 127: two products stay below 2^15 */
    const __m128i s = _mm_maddubs_epi16(_mm_abs_epi8(k), _mm_sign_epi8(q, k));
    return _mm_add_epi32(acc, _mm_madd_epi16(s, _mm_set1_epi16(1)));
}

#endif
