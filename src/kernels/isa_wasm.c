/* isa_wasm.c: the loops in WebAssembly SIMD128. */
#if defined(AIOSK__WASM) && AIOSK__IN_UNIT(1)
#include "simd_wasm.h"
#include "simdi_wasm.h"
#define V_ISA_ID AIOSK_ISA_WASM
#define V_ISA_TEXT "wasm"
#include "isa_base.inc"
#include "isa_matmul.inc"
#include "set.inc"
#endif
