/* isa_wasm.c: the loops in WebAssembly SIMD128. */
#if defined(AIOSK__WASM) && AIOSK__IN_UNIT(1)
#include "simd_wasm.h"
#include "simdi_wasm.h"
#define V_ISA_ID AIOSK_ISA_WASM
#define V_ISA_TEXT "wasm"
#include "isa.inc"
#include "matmul_undef.inc"
#include "simdi_undef.inc"
#include "simd_undef.inc"
#endif
