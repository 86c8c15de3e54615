/* simdi_avx512.h: the integer words (simdi_scalar.h) in AVX-512. The dot products are in dot_vnni.inc (by way of
 * simdi_avx512vnni.h), or, without VNNI, in dot_avx512bw.inc. */
#ifndef AIOSK__SIMDI_AVX512_H
#define AIOSK__SIMDI_AVX512_H

V_FN vi i_dup(const void *p) { return _mm512_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm512_srlv_epi32(a, _mm512_set1_epi32(n)); }
V_FN vi i_sll(vi a, int n) { return _mm512_sllv_epi32(a, _mm512_set1_epi32(n)); }
V_FN vi i_addb(vi a, vi b) { return _mm512_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_load_u16(const void *p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8);
    o[1] = _mm512_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_lut(vi t, vi i) { return _mm512_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm512_shuffle_epi8(a, _mm512_setr4_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o));
}
V_FN __mmask64 V_NAME(i_test)(vi a, int c) {
    return _mm512_test_epi8_mask(i_splat(a, c >> 1), _mm512_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201));
}
V_FN vi i_bits(vi a, int c, int m) { return _mm512_maskz_mov_epi8(V_NAME(i_test)(a, c), _mm512_set1_epi8((char)m)); }
V_FN vi i_negate(vi w, vi a, int c) { return _mm512_mask_sub_epi8(w, V_NAME(i_test)(a, c), _mm512_setzero_si512(), w); }
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return _mm512_and_si512(_mm512_i32gather_epi32(i, (const void *)t, 2), _mm512_set1_epi32(0xFFFF));
}
V_FN vi i_mul16(vi a, vi b) { return _mm512_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm512_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm512_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm512_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm512_castsi512_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    vi z[4], t0, t1, t2, t3;
    int q;
    AIOSK__UNROLL
    for (q = 0; q < 4; q++) {
        const uint8_t *b = a + (uint64_t)q * rb;
        z[q] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)b));
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 4 * rb)), 1);
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 8 * rb)), 2);
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 12 * rb)), 3);
    }
    t0 = _mm512_unpacklo_epi32(z[0], z[1]);
    t1 = _mm512_unpackhi_epi32(z[0], z[1]);
    t2 = _mm512_unpacklo_epi32(z[2], z[3]);
    t3 = _mm512_unpackhi_epi32(z[2], z[3]);
    o[0] = _mm512_unpacklo_epi64(t0, t2);
    o[1] = _mm512_unpackhi_epi64(t0, t2);
    o[2] = _mm512_unpacklo_epi64(t1, t3);
    o[3] = _mm512_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }

#define V_FEW 8 /* columns that a panel is unpacked for in registers, at most */
#define V_MIXED 1

#endif
