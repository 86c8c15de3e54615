/* isa_avx2.c: the loops in AVX2, FMA, F16C. */
#ifdef AIOSK__X86
#include "simd_avx2.h"
#include "simdi_avx2.h"
#define V_ISA_ID AIOSK_ISA_AVX2
#define V_ISA_TEXT "avx2"
#include "isa.inc"
#endif
