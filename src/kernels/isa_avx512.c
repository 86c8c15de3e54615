/* isa_avx512.c: the loops in AVX-512 F, BW, DQ, VL; the integer matrices with VNNI, those of grid types once more with VBMI, and
 * the products without VNNI. */
#if defined(AIOSK__AVX512) && (AIOSK__IN_UNIT(3) || (defined(AIOSK__AVX512BW) && AIOSK__IN_UNIT(2)))
#if defined(__GNUC__) && !defined(__clang__) /* its own avx512fintrin.h: _mm512_undefined_ps, macros at -O0 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include "simd_avx512.h"
#include "simdi_avx512.h"
#ifdef AIOSK_UNIT
#include "isa_extern.inc"
#endif
#if AIOSK__IN_UNIT(3)
#include "isa_base.inc"

#undef V_NAME
#define V_NAME(x) aiosk__##x##_avx512vnni
#undef V_TARGET
#define V_TARGET AIOSK__AVX512_VNNI
#include "simdi_avx512vnni.h"
#ifdef AIOSK__AVX2 /* for Cascade Lake and Cooper Lake; after them VBMI has all of these */
#define V_LENDER(x) aiosk__##x##_avx2
#endif
#define V_ISA_ID AIOSK_ISA_AVX512
#define V_ISA_TEXT "avx512"
#define V_VBMI
#include "isa_matmul.inc"

/* vdpbf16ps, for aiosk_matmul_fast. */
#ifdef AIOSK__AVX512_BF16
#undef V_TARGET
#define V_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#include "bf16.inc"
#endif

#endif /* unit 3 */

/* Products without VNNI (Skylake-X). What unpacks is that of AVX2, and so are few columns, rare types, grids and i8 tiles: for many columns
 * the products are all that counts, for few memory is, for grids unpacking. */
#if defined(AIOSK__AVX512BW) && AIOSK__IN_UNIT(2)
#undef V_NAME
#define V_NAME(x) aiosk__##x##_avx512bw
#undef V_TARGET
#define V_TARGET AIOSK__AVX512_BW
#define V_SOURCE(x) aiosk__##x##_avx2
#define V_TILE8(x) aiosk__##x##_avx2
#include "dot_avx512bw.inc"
#define V_ISA_ID AIOSK_ISA_AVX512BW
#define V_ISA_TEXT "avx512_bw"
#include "isa_matmul.inc"
#endif
#include "set.inc"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
