/* simdi_avx2.h: the integer words (simdi_scalar.h) of 256-bit registers that every AVX2 machine has. The dot products
 * are in dot_avx2.inc, or, with AVX-VNNI, in dot_vnni.inc. */
#ifndef AIOSK__SIMDI_AVX2_H
#define AIOSK__SIMDI_AVX2_H

V_FN vi i_dup(const void *p) { return _mm256_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm256_srlv_epi32(a, _mm256_set1_epi32(n)); }
V_FN vi i_sll(vi a, int n) { return _mm256_sllv_epi32(a, _mm256_set1_epi32(n)); }
V_FN vi i_addb(vi a, vi b) { return _mm256_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
V_FN vi i_load_u16(const void *p) { return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
    o[1] = _mm256_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_lut(vi t, vi i) { return _mm256_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm256_shuffle_epi8(a, _mm256_setr_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o, o, 0x04040404 + o, 0x08080808 + o,
                                                    0x0C0C0C0C + o));
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = _mm256_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(i_splat(a, c >> 1), s), s), _mm256_set1_epi8((char)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return _mm256_sub_epi8(_mm256_xor_si256(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) { /* two bytes at 2 i; the last index is never the end of the table */
    return _mm256_and_si256(_mm256_i32gather_epi32((const int *)(const void *)t, i, 2), _mm256_set1_epi32(0xFFFF));
}
V_FN vi i_mul16(vi a, vi b) { return _mm256_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm256_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm256_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm256_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm256_castsi256_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    vi z[4], t0, t1, t2, t3;
    int q;
    AIOSK__UNROLL
    for (q = 0; q < 4; q++)
        z[q] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(a + (uint64_t)q * rb))),
                                       _mm_loadu_si128((const __m128i *)(const void *)(a + (uint64_t)(q + 4) * rb)), 1);
    t0 = _mm256_unpacklo_epi32(z[0], z[1]);
    t1 = _mm256_unpackhi_epi32(z[0], z[1]);
    t2 = _mm256_unpacklo_epi32(z[2], z[3]);
    t3 = _mm256_unpackhi_epi32(z[2], z[3]);
    o[0] = _mm256_unpacklo_epi64(t0, t2);
    o[1] = _mm256_unpackhi_epi64(t0, t2);
    o[2] = _mm256_unpacklo_epi64(t1, t3);
    o[3] = _mm256_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    __m128i b = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(b, b));
}

#endif
