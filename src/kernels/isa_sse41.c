/* isa_sse41.c: the loops in SSE4.1 with SSSE3, for machines without AVX2. Kept small: no loops for few columns. */
#if defined(AIOSK__SSE41) && AIOSK__IN_UNIT(1)
#include "simd_sse41.h"
#include "simdi_sse41.h"
#define V_ISA_ID AIOSK_ISA_SSE41
#define V_ISA_TEXT "sse41"
#include "isa_base.inc"
#include "isa_matmul.inc"
#include "set.inc"
#endif
