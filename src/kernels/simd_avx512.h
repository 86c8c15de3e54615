/* simd_avx512.h: the v_* vocabulary (simd_scalar.h) in AVX-512 F, BW, DQ, VL: sixteen lanes. VNNI for v_kdot and v_vdot alone: the
 * functions with V_FN8 and V_EXPORT8 (attend.inc), which a machine without it does not call. */
#ifndef AIOSK__SIMD_AVX512_H
#define AIOSK__SIMD_AVX512_H

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__AVX512_BW __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define AIOSK__AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#else
#define AIOSK__AVX512_BW
#define AIOSK__AVX512_VNNI
#endif
#define V_TARGET AIOSK__AVX512_BW
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#undef V_EXPORT_MM
#define V_EXPORT_MM AIOSK__SHARED V_TARGET /* for AVX512BW, which is compiled with AVX2 */
#undef V_FN8
#define V_FN8 AIOSK__INLINE AIOSK__AVX512_VNNI
#undef V_EXPORT8
#define V_EXPORT8 static AIOSK__UNUSED AIOSK__AVX512_VNNI
#define V_NAME(x) aiosk__##x##_avx512
#define V_BASE(x) aiosk__##x##_avx512
#ifdef AIOSK__AVX2 /* memory is what these wait for, and twice the code in caches is no help */
#undef V_REST
#define V_REST(x) aiosk__##x##_avx2
#endif
#define V_W 16
#define V_PER16 1
#define V_MAXQ 6
#define V_SHAPES(X) X(1, 6, 4) X(1, 6, 1)
#define V_KBIAS 128
#define V_VDOT 1
#define V_TREES 16
#define vf __m512
#define vi __m512i

V_FN vf v_loadu(const float *p) { return _mm512_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm512_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm512_loadu_si512(p); }
V_FN void v_storei(void *p, vi a) { _mm512_storeu_si512(p, a); }
V_FN vf v_set1(float a) { return _mm512_set1_ps(a); }
V_FN vf v_zero(void) { return _mm512_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm512_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm512_setzero_si512(); }
V_FN vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) { return _mm512_fmadd_ps(a, b, _mm512_set1_ps(-0.0f)); }
V_FN vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
V_FN vf v_max(vf a, vf b) { return _mm512_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm512_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x); }
V_FN vf v_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm512_xor_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm512_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm512_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm512_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm512_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { return _mm512_scalef_ps(p, n); }
V_FN vf v_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
V_FN void v_store_f16(void *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
V_FN vf v_dup_even(vf a) { return _mm512_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm512_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm512_permute_ps(a, 0xB1); }
V_FN vf v_swap(vf a, int n) {
    return n == 1 ? _mm512_permute_ps(a, 0xB1) : n == 2 ? _mm512_permute_ps(a, 0x4E)
         : n == 4 ? _mm512_shuffle_f32x4(a, a, 0xB1) : _mm512_shuffle_f32x4(a, a, 0x4E);
}
V_FN float v_tree_add(const vf *v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
V_FN void v_tree_adds(float *to, const float *s) { /* both halves of two trees side by side in one register, and so on */
    vf p[4];
    int e;
    AIOSK__UNROLL
    for (e = 0; e < 4; e++) {
        const vf a = v_loadu(s + e * 16), b = v_loadu(s + e * 16 + 64), c = v_loadu(s + e * 16 + 128), d = v_loadu(s + e * 16 + 192);
        const vf ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
        const vf cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
        p[e] = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
    }
    p[0] = _mm512_add_ps(_mm512_shuffle_ps(p[0], p[1], 0x44), _mm512_shuffle_ps(p[0], p[1], 0xEE));
    p[2] = _mm512_add_ps(_mm512_shuffle_ps(p[2], p[3], 0x44), _mm512_shuffle_ps(p[2], p[3], 0xEE));
    v_storeu(to, _mm512_add_ps(_mm512_shuffle_ps(p[0], p[2], 0x88), _mm512_shuffle_ps(p[0], p[2], 0xDD)));
}
V_FN float v_tree_max(const vf *v) {
    __m256 a = _mm256_max_ps(_mm512_extractf32x8_ps(v[0], 1), _mm512_castps512_ps256(v[0]));
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}
V_FN vi v_kprep(vi k) { return _mm512_xor_si512(k, _mm512_set1_epi8((char)-128)); } /* k + 128, unsigned */
V_FN8 vi v_kdot(vi acc, vi k, vi q) {
#if defined(__GNUC__) && !defined(__clang__) /* GCC moves the sums of a loop from register to register, and to the stack, with its own */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(k), "v"(q));
    return acc;
#else
    return _mm512_dpbusd_epi32(acc, k, q);
#endif
}
V_FN8 vi v_vdot(vi acc, vi w, vi c) { return v_kdot(acc, w, c); }

#endif
