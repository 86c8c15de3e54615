/* simdi_sse41.h: the integer words (simdi_scalar.h) in SSE4.1 with SSSE3, and what dot_i16.inc needs. */
#ifndef AIOSK__SIMDI_SSE41_H
#define AIOSK__SIMDI_SSE41_H

V_FN vi i_dup(const void *p) { return _mm_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm_and_si128(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm_or_si128(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm_xor_si128(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm_srli_epi32(a, n); }
V_FN vi i_sll(vi a, int n) { return _mm_slli_epi32(a, n); }
V_FN vi i_addb(vi a, vi b) { return _mm_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm_cvtepu8_epi32(_mm_cvtsi32_si128((int32_t)aiosk__u32(p))); }
V_FN vi i_load_u16(const void *p) { return _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm_srai_epi16(_mm_slli_epi16(a, 8), 8);
    o[1] = _mm_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
V_FN vi i_lut(vi t, vi i) { return _mm_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm_shuffle_epi8(a, _mm_setr_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o));
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = _mm_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(i_splat(a, c >> 1), s), s), _mm_set1_epi8((char)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return _mm_sub_epi8(_mm_xor_si128(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return _mm_setr_epi32(t[_mm_cvtsi128_si32(i)], t[_mm_extract_epi32(i, 1)], t[_mm_extract_epi32(i, 2)], t[_mm_extract_epi32(i, 3)]);
}
V_FN vi i_mul16(vi a, vi b) { return _mm_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm_castsi128_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    const vi z0 = v_loadi(a), z1 = v_loadi(a + rb), z2 = v_loadi(a + 2 * rb), z3 = v_loadi(a + 3 * rb);
    const vi t0 = _mm_unpacklo_epi32(z0, z1), t1 = _mm_unpackhi_epi32(z0, z1);
    const vi t2 = _mm_unpacklo_epi32(z2, z3), t3 = _mm_unpackhi_epi32(z2, z3);
    o[0] = _mm_unpacklo_epi64(t0, t2);
    o[1] = _mm_unpackhi_epi64(t0, t2);
    o[2] = _mm_unpacklo_epi64(t1, t3);
    o[3] = _mm_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    const vi b = _mm_packs_epi32(a, a);
    const int32_t d = _mm_cvtsi128_si32(_mm_packs_epi16(b, b));
    memcpy(p, &d, 4);
}

#define V_NP 1 /* panels that a micro-kernel takes at once */
#define V_NC 4 /* and columns */
#define V_FEW 0
#define V_TWO_KINDS 1 /* fewer loops: two kinds of codes, up to 6 bits and signed */
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) { /* as in dot_avx2.inc */
    return kind < 7 ? _mm_maddubs_epi16(w, x) : _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w));
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return _mm_madd_epi16(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm_srai_epi16(_mm_shuffle_epi8(a, _mm_setr_epi32(0x00800080, 0x04800480, 0x08800880, 0x0C800C80)), 8);
}
#include "dot_i16.inc"

#endif
