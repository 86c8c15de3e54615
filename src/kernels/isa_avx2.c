/* isa_avx2.c: the loops in AVX2, FMA, F16C; then the products of many columns once more with AVX-VNNI: what unpacks is that of
 * AVX2, and so are few columns. */
#if defined(AIOSK__AVX2) && AIOSK__IN_UNIT(2)
#include "simd_avx2.h"
#include "simdi_avx2.h"
#include "dot_avx2.inc"
#define V_ISA_ID AIOSK_ISA_AVX2
#define V_ISA_TEXT "avx2"
#include "isa_base.inc"
#include "isa_matmul.inc"

#ifdef AIOSK__AVXVNNI
#undef V_NAME
#define V_NAME(x) aiosk__##x##_avxvnni
#undef V_TARGET
#define V_TARGET AIOSK__AVXVNNI
#define V_SOURCE(x) aiosk__##x##_avx2
#include "simdi_avxvnni.h"
#define V_ISA_ID AIOSK_ISA_AVXVNNI
#define V_ISA_TEXT "avxvnni"
#include "isa_matmul.inc"
#endif
#include "set.inc"
#endif
