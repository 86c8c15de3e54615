/* isa_scalar.c: the loops in plain C. Always there. */
#include "simd_scalar.h"
#include "simdi_scalar.h"
#define V_ISA_ID AIOSK_ISA_SCALAR
#define V_ISA_TEXT "scalar"
#include "isa_base.inc"
#include "isa_matmul.inc"
#include "set.inc"
