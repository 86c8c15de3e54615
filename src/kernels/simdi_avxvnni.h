/* simdi_avxvnni.h: what dot_vnni.inc needs in 256-bit registers (AVX-VNNI: processors without AVX-512); the other words are
 * those of AVX2. */
#ifndef AIOSK__SIMDI_AVXVNNI_H
#define AIOSK__SIMDI_AVXVNNI_H

#define V_NP 1
#define V_NC 4
#define V_FEW 8 /* columns that a panel is unpacked for in registers, at most */
V_FN vi V_NAME(i_dp)(vi acc, vi w, vi x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
V_FN vi V_NAME(i_dpw)(vi acc, vi a, vi b) { return _mm256_dpwssd_avx_epi32(acc, a, b); }
V_FN vi V_NAME(i_mul32)(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
V_FN vi V_NAME(i_pack)(vi low, vi high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm256_srai_epi16(_mm256_shuffle_epi8(a, _mm256_setr_epi32(0x00800080, 0x04800480, 0x08800880, 0x0C800C80, 0x00800080, 0x04800480,
                                                                      0x08800880, 0x0C800C80)), 8);
}
V_FN vi V_NAME(i_scale_one)(vi a) { return _mm256_srai_epi32(_mm256_slli_epi32(a, 24), 24); }
#include "dot_vnni.inc"

#endif
