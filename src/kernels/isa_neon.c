/* isa_neon.c: the loops in AArch64 NEON, twice: baseline, and with the dot product instructions of ARMv8.2. */
#ifdef AIOSK__ARM64
#if AIOSK__IN_UNIT(1)
#include "simd_neon.inc"
#include "simdi_neon.inc"
#define V_ISA_ID AIOSK_ISA_NEON
#define V_ISA_TEXT "neon"
#include "isa_base.inc"
#include "isa_matmul.inc"
#include "set.inc"
#endif
#if AIOSK__IN_UNIT(2)
#define AIOSK__NEON_DOT
#include "simd_neon.inc"
#include "simdi_neon.inc"
#define V_ISA_ID AIOSK_ISA_NEON_DOT
#define V_ISA_TEXT "neon_dot"
#include "isa_base.inc"
#include "isa_matmul.inc"
#include "set.inc"
#undef AIOSK__NEON_DOT
#endif
#endif
