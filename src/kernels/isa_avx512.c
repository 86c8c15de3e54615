/* isa_avx512.c: the loops in AVX-512 F, BW, DQ, VL, VNNI. */
#ifdef AIOSK__AVX512
#if defined(__GNUC__) && !defined(__clang__) /* its own avx512fintrin.h: _mm512_undefined_ps, macros at -O0 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include "simd_avx512.h"
#include "simdi_avx512.h"
#define V_ISA_ID AIOSK_ISA_AVX512
#define V_ISA_TEXT "avx512"
#include "isa.inc"

/* vdpbf16ps, for aiosk_matmul_fast. */
#if defined(__clang__) ? __clang_major__ >= 14 : defined(__GNUC__) && __GNUC__ >= 12
#define AIOSK__AVX512_BF16 1
#undef V_TARGET
#define V_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#include "bf16.inc"
#endif

/* Tables in registers for the grid types, where there is VBMI (all with VNNI but Cascade Lake and Cooper Lake). */
#undef V_TARGET
#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx2,fma,f16c")))
#else
#define V_TARGET
#endif
#define V_ISA_ID AIOSK_ISA_AVX512_VBMI
#define V_ISA_TEXT "avx512_vbmi"
#include "vbmi.inc"
#include "matmul_undef.inc"
#include "simdi_undef.inc"
#include "simd_undef.inc"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
