/* simdi_avx2.h: the integer vocabulary (simdi_scalar.h) in AVX2, without VNNI.
 * vpmaddubsw gives int16 sums of two products, saturated at 2^15 - 1. Up to 8 of them may be added for 4-bit codes
 * (8 * 2 * 15 * 127 = 30480), 2 for 6-bit codes (32004), none for 8-bit ones, where |code| <= 128 is the unsigned
 * factor (32512). vpmaddwd then applies the scale and makes int32. */
#ifndef AIOSK__SIMDI_AVX2_H
#define AIOSK__SIMDI_AVX2_H

#define V_NP 1 /* panels that a micro-kernel takes at once, when there are several columns */
#include "simdi_names.inc"

V_FN vi i_dup(const void *p) { return _mm256_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
V_FN vi i_srl2(vi a) { return _mm256_srli_epi32(a, 2); }
V_FN vi i_srl4(vi a) { return _mm256_srli_epi32(a, 4); }
V_FN vi i_srl8(vi a) { return _mm256_srli_epi32(a, 8); }
V_FN vi i_srl16(vi a) { return _mm256_srli_epi32(a, 16); }
V_FN vi i_sll2(vi a) { return _mm256_slli_epi32(a, 2); }
V_FN vi i_sll4(vi a) { return _mm256_slli_epi32(a, 4); }
V_FN vi V_NAME(i_byte0)(vi a) { /* byte 0 of each dword to the high byte of both its halves */
    return _mm256_shuffle_epi8(a, _mm256_setr_epi8(-128, 0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128, 0,
                                                   -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12));
}
V_FN vi i_scale_u8(vi a) { return _mm256_srli_epi16(V_NAME(i_byte0)(a), 8); }
V_FN vi i_scale_s8(vi a) { return _mm256_srai_epi16(V_NAME(i_byte0)(a), 8); }
V_FN vi V_NAME(i_step)(vi w, const int8_t *x) { return _mm256_maddubs_epi16(w, i_dup(x)); }
V_FN vi V_NAME(i_sum16)(const vi *w, const int8_t *x) { /* 32 columns of 4-bit codes */
    vi a = _mm256_add_epi16(V_NAME(i_step)(w[0], x), V_NAME(i_step)(w[1], x + 4));
    vi b = _mm256_add_epi16(V_NAME(i_step)(w[2], x + 8), V_NAME(i_step)(w[3], x + 12));
    a = _mm256_add_epi16(a, V_NAME(i_step)(w[4], x + 16));
    b = _mm256_add_epi16(b, V_NAME(i_step)(w[5], x + 20));
    a = _mm256_add_epi16(a, V_NAME(i_step)(w[6], x + 24));
    b = _mm256_add_epi16(b, V_NAME(i_step)(w[7], x + 28));
    return _mm256_add_epi16(a, b);
}
V_FN vi i_dot32_4(const vi *w, const int8_t *x, int32_t sum8) {
    return _mm256_add_epi32(_mm256_set1_epi32(sum8), _mm256_madd_epi16(V_NAME(i_sum16)(w, x), _mm256_set1_epi16(1)));
}
V_FN vi i_prep8(vi w) { return w; }
V_FN vi V_NAME(i_step8)(vi w, const int8_t *x) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(i_dup(x), w)), _mm256_set1_epi16(1));
}
V_FN vi i_dot32_8(const vi *w, const int8_t *x, int32_t sum128) {
    vi a = _mm256_add_epi32(V_NAME(i_step8)(w[0], x), V_NAME(i_step8)(w[1], x + 4));
    vi b = _mm256_add_epi32(V_NAME(i_step8)(w[2], x + 8), V_NAME(i_step8)(w[3], x + 12));
    (void)sum128;
    a = _mm256_add_epi32(a, V_NAME(i_step8)(w[4], x + 16));
    b = _mm256_add_epi32(b, V_NAME(i_step8)(w[5], x + 20));
    a = _mm256_add_epi32(a, V_NAME(i_step8)(w[6], x + 24));
    b = _mm256_add_epi32(b, V_NAME(i_step8)(w[7], x + 28));
    return _mm256_add_epi32(a, b);
}
V_FN vi i_macc32_4(vi acc, const vi *w, const int8_t *x, vi s) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(V_NAME(i_sum16)(w, x), s));
}
V_FN vi i_macc16_6(vi acc, const vi *w, const int8_t *x, const int32_t *sum8, vi s) {
    vi a = _mm256_add_epi16(V_NAME(i_step)(w[0], x), V_NAME(i_step)(w[1], x + 4));
    vi b = _mm256_add_epi16(V_NAME(i_step)(w[2], x + 8), V_NAME(i_step)(w[3], x + 12));
    (void)sum8;
    return _mm256_add_epi32(acc, _mm256_add_epi32(_mm256_madd_epi16(a, s), _mm256_madd_epi16(b, s)));
}
V_FN void i_pairs_s8(vi *p, const vi *words) {
    int i;
    for (i = 0; i < 4; i++) {
        p[2 * i] = _mm256_srai_epi16(_mm256_slli_epi16(words[i], 8), 8);
        p[2 * i + 1] = _mm256_srai_epi16(words[i], 8);
    }
}
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, i_dup(s))); }
V_FN vi i_fix6(vi acc, const vi *p, const int16_t *sum16) {
    vi a = _mm256_setzero_si256();
    int i;
    for (i = 0; i < 8; i++) a = i_macc_pair(a, p[i], sum16 + 2 * i);
    return _mm256_sub_epi32(acc, _mm256_slli_epi32(a, 5));
}
V_FN void i_scale16(int16_t *w, const int8_t *q, int32_t s) {
    __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)q));
    _mm256_storeu_si256((__m256i *)w, _mm256_mullo_epi16(a, _mm256_set1_epi16((int16_t)s)));
}
V_FN int32_t i_dot16(const int16_t *w, const int8_t *x, int32_t n) {
    __m256i a = _mm256_setzero_si256();
    __m128i c;
    int32_t i;
    for (i = 0; i < n; i += 16)
        a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(w + i)),
                                                  _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + i)))));
    c = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    c = _mm_add_epi32(c, _mm_shuffle_epi32(c, 0x4E));
    c = _mm_add_epi32(c, _mm_shuffle_epi32(c, 0xB1));
    return _mm_cvtsi128_si32(c);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    __m128i b = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(b, b));
}

#endif
