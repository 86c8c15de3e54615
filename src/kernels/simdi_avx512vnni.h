/* simdi_avx512vnni.h: what dot_vnni.inc needs in 512-bit registers; the other words are those of simdi_avx512.h. */
#ifndef AIOSK__SIMDI_AVX512VNNI_H
#define AIOSK__SIMDI_AVX512VNNI_H

#define V_NP 2 /* panels that a micro-kernel takes at once, when there are several columns */
#define V_NC 4 /* and columns: 8 sums, 16 parts and 2 codes in 32 registers */
V_FN vi V_NAME(i_dp)(vi acc, vi w, vi x) { return _mm512_dpbusd_epi32(acc, w, x); }
V_FN vi V_NAME(i_dpw)(vi acc, vi a, vi b) { return _mm512_dpwssd_epi32(acc, a, b); }
V_FN vi V_NAME(i_mul32)(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
V_FN vi V_NAME(i_pack)(vi low, vi high) { /* the low half of each dword of high goes to the high half of low */
    return _mm512_mask_shuffle_epi8(low, 0xCCCCCCCCCCCCCCCCu, high, _mm512_set4_epi32(0x0D0C0D0C, 0x09080908, 0x05040504, 0x01000100));
}
V_FN vi V_NAME(i_scale_pair)(vi a) { /* byte 0 of each dword, signed, to both its halves */
    return _mm512_srai_epi16(_mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0C800C80, 0x08800880, 0x04800480, 0x00800080)), 8);
}
V_FN vi V_NAME(i_scale_one)(vi a) { return _mm512_srai_epi32(_mm512_slli_epi32(a, 24), 24); }
#include "dot_vnni.inc"

#endif
