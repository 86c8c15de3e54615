/* simdi_avx512.h: the integer vocabulary (simdi_scalar.h) in AVX-512 with VNNI.
 * vpdpbusd multiplies unsigned codes with signed activations; a code that stands for a smaller number starts its sum at
 * the (negative) correction, which costs nothing. To be scaled, two sums over half the columns each are packed as int16
 * halves of a lane (one masked byte shuffle) for vpdpwssd: two instructions where vpmulld and vpaddd are three. The
 * halves fit: 16 columns * 15 * 127, 8 columns * 32 * 127, both below 2^15. */
#ifndef AIOSK__SIMDI_AVX512_H
#define AIOSK__SIMDI_AVX512_H

#define V_NP 2 /* panels that a micro-kernel takes at once, when there are several columns */
#include "simdi_names.inc"

V_FN vi i_dup(const void *p) { return _mm512_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
V_FN vi i_srl2(vi a) { return _mm512_srli_epi32(a, 2); }
V_FN vi i_srl4(vi a) { return _mm512_srli_epi32(a, 4); }
V_FN vi i_srl8(vi a) { return _mm512_srli_epi32(a, 8); }
V_FN vi i_srl16(vi a) { return _mm512_srli_epi32(a, 16); }
V_FN vi i_sll2(vi a) { return _mm512_slli_epi32(a, 2); }
V_FN vi i_sll4(vi a) { return _mm512_slli_epi32(a, 4); }
static const uint8_t aiosk__byte0[64] AIOSK__ALIGN(64) = { /* byte 0 of each dword to the high byte of both its halves */
    0x80, 0, 0x80, 0, 0x80, 4, 0x80, 4, 0x80, 8, 0x80, 8, 0x80, 12, 0x80, 12, 0x80, 0, 0x80, 0, 0x80, 4, 0x80, 4, 0x80, 8, 0x80, 8,
    0x80, 12, 0x80, 12, 0x80, 0, 0x80, 0, 0x80, 4, 0x80, 4, 0x80, 8, 0x80, 8, 0x80, 12, 0x80, 12, 0x80, 0, 0x80, 0, 0x80, 4, 0x80, 4,
    0x80, 8, 0x80, 8, 0x80, 12, 0x80, 12};
static const uint8_t aiosk__word0[64] AIOSK__ALIGN(64) = { /* the low half of each dword to both its halves */
    0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13,
    0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13};
V_FN vi i_scale_u8(vi a) { return _mm512_srli_epi16(_mm512_shuffle_epi8(a, _mm512_load_si512(aiosk__byte0)), 8); }
V_FN vi i_scale_s8(vi a) { return _mm512_srai_epi16(_mm512_shuffle_epi8(a, _mm512_load_si512(aiosk__byte0)), 8); }
V_FN vi V_NAME(i_step)(vi acc, vi w, const int8_t *x) { return _mm512_dpbusd_epi32(acc, w, i_dup(x)); }
V_FN vi V_NAME(i_pack)(vi lo, vi hi) {
    return _mm512_mask_shuffle_epi8(lo, 0xCCCCCCCCCCCCCCCCu, hi, _mm512_load_si512(aiosk__word0));
}
V_FN vi i_dot32_4(const vi *w, const int8_t *x, int32_t sum8) {
    vi a = _mm512_set1_epi32(sum8);
    a = V_NAME(i_step)(a, w[0], x);
    a = V_NAME(i_step)(a, w[1], x + 4);
    a = V_NAME(i_step)(a, w[2], x + 8);
    a = V_NAME(i_step)(a, w[3], x + 12);
    a = V_NAME(i_step)(a, w[4], x + 16);
    a = V_NAME(i_step)(a, w[5], x + 20);
    a = V_NAME(i_step)(a, w[6], x + 24);
    a = V_NAME(i_step)(a, w[7], x + 28);
    return a;
}
V_FN vi i_prep8(vi w) { return _mm512_xor_si512(w, _mm512_set1_epi8((char)-128)); }
V_FN vi i_dot32_8(const vi *w, const int8_t *x, int32_t sum128) { return i_dot32_4(w, x, sum128); }
V_FN vi i_macc32_4(vi acc, const vi *w, const int8_t *x, vi s) {
    vi a = V_NAME(i_step)(_mm512_setzero_si512(), w[0], x), b = V_NAME(i_step)(_mm512_setzero_si512(), w[4], x + 16);
    a = V_NAME(i_step)(a, w[1], x + 4);
    b = V_NAME(i_step)(b, w[5], x + 20);
    a = V_NAME(i_step)(a, w[2], x + 8);
    b = V_NAME(i_step)(b, w[6], x + 24);
    a = V_NAME(i_step)(a, w[3], x + 12);
    b = V_NAME(i_step)(b, w[7], x + 28);
    return _mm512_dpwssd_epi32(acc, V_NAME(i_pack)(a, b), s);
}
V_FN vi i_macc16_6(vi acc, const vi *w, const int8_t *x, const int32_t *sum8, vi s) {
    vi a = V_NAME(i_step)(i_dup(sum8), w[0], x), b = V_NAME(i_step)(i_dup(sum8 + 1), w[2], x + 8);
    a = V_NAME(i_step)(a, w[1], x + 4);
    b = V_NAME(i_step)(b, w[3], x + 12);
    return _mm512_dpwssd_epi32(acc, V_NAME(i_pack)(a, b), s);
}
V_FN void i_pairs_s8(vi *p, const vi *words) { (void)p; (void)words; }
V_FN vi i_fix6(vi acc, const vi *p, const int16_t *sum16) { (void)p; (void)sum16; return acc; }
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) { return _mm512_dpwssd_epi32(acc, a, i_dup(s)); }
V_FN void i_scale16(int16_t *w, const int8_t *q, int32_t s) {
    __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)q));
    _mm256_storeu_si256((__m256i *)w, _mm256_mullo_epi16(a, _mm256_set1_epi16((int16_t)s)));
}
V_FN int32_t i_dot16(const int16_t *w, const int8_t *x, int32_t n) {
    __m512i a = _mm512_setzero_si512();
    __m256i b;
    __m128i c;
    int32_t i = 0;
    for (; i + 32 <= n; i += 32)
        a = _mm512_dpwssd_epi32(a, _mm512_loadu_si512(w + i), _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(x + i))));
    b = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    if (i < n)
        b = _mm256_dpwssd_epi32(b, _mm256_loadu_si256((const __m256i *)(w + i)),
                                _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + i))));
    c = _mm_add_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    c = _mm_add_epi32(c, _mm_shuffle_epi32(c, 0x4E));
    c = _mm_add_epi32(c, _mm_shuffle_epi32(c, 0xB1));
    return _mm_cvtsi128_si32(c);
}
V_FN void i_store_s8(int8_t *p, vi a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }

#endif
