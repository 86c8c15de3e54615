/* isa_avx512.c: the loops in AVX-512 F, BW, DQ, VL, VNNI. */
#ifdef AIOSK__X86
#include "simd_avx512.h"
#include "simdi_avx512.h"
#define V_ISA_ID AIOSK_ISA_AVX512
#define V_ISA_TEXT "avx512"
#include "isa.inc"
#endif
