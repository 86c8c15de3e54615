#include "kernels/api.h"

#if defined(AIOSK_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOSK__IMPLEMENTED)
#define AIOSK__IMPLEMENTED
#include "kernels/base.h"
#ifndef AIOS_EXTERNAL_KERNELS           /* else in another unit: the engine needs no more than base.h */
#include "kernels/effort.inc"
#include "kernels/types.h"
#include "kernels/kv_types.h"
#include "kernels/names.h"
#include "kernels/set.inc"
#include "kernels/isa_table.h"
#if AIOSK__IN_UNIT(0)
#include "kernels/ref.c"
#include "kernels/quantize.c"
#include "kernels/pack.c"
#include "kernels/tile.c"
#include "kernels/isa_scalar.c"
#endif
#include "kernels/isa_sse41.c"
#include "kernels/isa_avx2.c"
#include "kernels/isa_avx512.c"
#include "kernels/isa_neon.c"
#include "kernels/isa_wasm.c"
#include "kernels/names_undef.h"
#if AIOSK__IN_UNIT(0)
#include "kernels/cpu.c"
#include "kernels/dispatch.c"
#endif
#if defined(AIOSK__UNOPTIMISED) || defined(AIOSK__LIGHT)
#pragma GCC pop_options
#endif
#endif
#if defined(__clang__) && !defined(AIOS_IMPLEMENTATION)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif
