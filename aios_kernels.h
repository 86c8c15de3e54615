/* aios_kernels.h: quantised matrix kernels, vector math and attention for CPUs.
 *
 * Knows numbers only: no models, no files, no threads, no allocation, no globals. Every function works on
 * memory that the caller gives and splits by rows, so that the caller may run the parts on any thread.
 *
 *     #define AIOSK_IMPLEMENTATION                          // in exactly one C or C++ file
 *     #include "aios_kernels.h"                             // (the file includes itself by this name)
 *
 *     const aiosk_isa *k = aiosk_select(AIOSK_ISA_BEST);
 *     k->quantize[AIOSK_A32](x, n_in, acts);                // f32 activations -> int8 blocks
 *     aiosk_matmul m;  memset(&m, 0, sizeof m);             // y = W x
 *     m.w = weights;  m.n_in = n_in;  m.row1 = n_rows;  m.x = acts;  m.y = y;  m.n_cols = 1;
 *     k->matmul[AIOSK_Q4_0][AIOSK_ROWS](&m);
 *
 * The same bits: every function of every aiosk_isa gives bit-identical results (DAZ/FTZ off, rounding to
 * nearest; aiosk_fp_begin sets that). The canonical arithmetic that they all reproduce:
 *
 *     activations   int8 with an f32 scale per 32 (A32) or per 256 (A256) columns, round to nearest even:
 *                   amax = max |x|;  d = amax / 127;  q = rint(x * (127 / amax));  amax = 0 gives d = 0, q = 0
 *                   (127 / amax is at most FLT_MAX; a NaN does not count for amax and gets the code -127)
 *     A32 unit      (32 columns; 16 for NVFP4)  acc = fma(dw * dx, (float)S, acc), S = exact sum of code * x;
 *                   with a minimum: then acc = fma(-(dmin * dx), (float)M, acc), M = exact sum of x
 *     A256 block    S = sum_j scale_j * dot_j, M = sum_j min_j * sum_j(x), exact in int32; same two steps
 *     float rows    16 partial sums by column mod 16, fma, columns ascending, tail padded with zeros to 16;
 *                   then the tree: s[i] += s[i+8] (i<8); s[i] += s[i+4] (i<4); += s[i+2]; += s[i+1]
 *     max           compare and select: m = x > m ? x : m
 *     exp etc.      own polynomials (ops.inc), fma only; 1/x and sqrt are the IEEE operations. exp: 1 ulp; 0 below -104
 *                   and for NaN, +infinity above 88.73. tanh, silu: 3 ulp. gelu: 2e-7 |x|, and 2 ulp where x > -1
 *
 * Macros:
 *     AIOSK_STATIC          everything is static; AIOSK_API sets linkage
 *     AIOSK_DLL             the functions are exported by a shared library where AIOSK_IMPLEMENTATION is defined, imported elsewhere
 *     AIOSK_NO_SIMD         plain C alone
 *     AIOSK_ONLY_AVX2       of the sets of x86 only this one beside plain C, for a smaller object and a quicker build; also _SSE41,
 *                           _AVXVNNI (with AVX2), _AVX512 (VNNI, VBMI), _AVX512BW (with AVX2 and AVX512). Several add up
 *     AIOSK_NO_AVX2         without this one, AVX-VNNI and AVX-512 without VNNI; also _SSE41, _AVXVNNI, _AVX512 (all), _AVX512BW
 *     AIOSK_TYPES           only matrices of these integer types are multiplied, and the rest is not compiled:
 *                               #define AIOSK_TYPES (AIOSK_TYPE(Q4_0) | AIOSK_TYPE(Q4_K) | AIOSK_TYPE(Q6_K))
 *                           F32, F16 and BF16 are always there; all types can be unpacked, packed and quantised
 *     AIOSK_UNIT            0, 1, 2 or 3: the kernels in four objects, for make -j and for flags of their own. Compile and link all four, with
 *                           the same macros, as C or as C++:
 *                               cc -O2 -DAIOSK_IMPLEMENTATION -DAIOSK_UNIT=2 -x c -c aios_kernels.h -o kernels2.o
 *                           0 plain C and what is no set; 1 SSE4.1, NEON, WebAssembly; 2 AVX2, AVX-VNNI, AVX-512 without VNNI, NEON with
 *                           dot products; 3 AVX-512. A unit without a set for the machine is nearly empty
 *     AIOSK_NO_OPTIMIZE     GCC -O0 optimises the kernels all the same, for a debug build of the host that is still fast enough to use, and
 *                           smaller; this one stops that, to step through them
 *     AIOSK_ALL             GCC -O0 compiles AVX2 alone, quickly; this one gives all sets there too */
/* Generated from src/ by tools/amalgamate.awk: edit there, then `make headers`. Licence: at the end. */
#ifndef AIOSK__PART /* else this file includes itself: see the parts at the end */
#ifndef AIOSK_API_H
#define AIOSK_API_H

#include <stddef.h>
#include <stdint.h>

/* ======== kernels/formats.h ======== */
/* formats.h: the one table of tensor types. The enum, names, sizes, dispatch, loops, panels, quantisers and the
 * tests' and benches' lists are all expanded from it; ids are those of the GGUF file format. A type is its row,
 * and what only code can say: its definition (ref.c, aiosk__ints_*), how a panel of it is unpacked (unpack.inc,
 * unit_* or head_* and step_*; vbmi.inc for a GRID), and what a quantiser writes (quantize.c, aiosk__put_*).
 *
 *   block    weights and bytes of one
 *   family   FLT   stored as numbers; multiplied with f32 activations
 *            A32   integer codes with a float scale per 16 or 32 columns; activations A32
 *            A256  integer codes with integer sub-scales per 256 columns; activations A256
 *            RAW   known to the file format, but not a matrix this library multiplies with
 *   loops    FLOATS, NONE, or which loops of lanes.inc it has: HOT, its own for few columns; RARE and GRID,   an
 *            index into a code book, do without: unpacking is most of their work
 *   codes    kind: see simdi_scalar.h. offset: what they stand above their meaning; -1 where they are passed
 *            through i_prep8. columns: A32 per scale; A256 per scale within, 0 where step() has multiplied it in
 *            or there is none. minima: A32 1 with one; A256 pairs of them
 *   panel    parts of a block in the order they get in a panel: {offset, bytes of an element, elements}, pack.c
 *   fit      quantize.c: what writes the block, its scale, the levels a code can stand for; weights fitted
 *            together, and per scale; lowest and highest level; integer scales lowest and highest (0, 0: the scale
 *            is a float); the largest minimum (0: there is none, -1: any number); then the first scales tried: how
 *            many, from .. to percent of the one that just avoids clipping
 *
 * Rows are in the order of ids, with a GAP for each that is none. */
#ifndef AIOSK__FORMATS_H
#define AIOSK__FORMATS_H

#define AIOSK__NO_FIT (none, F16, ALL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/*    NAME     name      id  block     family loops codes           panel
 *    fit */
#define AIOSK__IDS(X, GAP)                                                                               \
    X(F32,     f32,       0,   1,   4, FLT,  FLOATS, 0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(F16,     f16,       1,   1,   2, FLT,  FLOATS, 0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(Q4_0,    q4_0,      2,  32,  18, A32,  HOT,    4,  8, 32, 0, ({0, 2, 1}, {2, 4, 4}),               \
      (q4_0, F16, ALL, 32, 32, -8, 7, 0, 0, 0, 19, 84, 118))                                             \
    X(Q4_1,    q4_1,      3,  32,  20, A32,  HOT,    4,  0, 32, 1, ({0, 2, 2}, {4, 4, 4}),               \
      (q4_1, F16, ALL, 32, 32, 0, 15, 0, 0, -1, 19, 94, 124))                                            \
    GAP(4) GAP(5)                                                                                        \
    X(Q5_0,    q5_0,      6,  32,  22, A32,  HOT,    5, 16, 32, 0, ({0, 2, 1}, {2, 4, 5}),               \
      (q5_0, F16, ALL, 32, 32, -16, 15, 0, 0, 0, 19, 90, 110))                                           \
    X(Q5_1,    q5_1,      7,  32,  24, A32,  HOT,    5,  0, 32, 1, ({0, 2, 2}, {4, 4, 5}),               \
      (q5_1, F16, ALL, 32, 32, 0, 31, 0, 0, -1, 19, 97, 112))                                            \
    X(Q8_0,    q8_0,      8,  32,  34, A32,  HOT,    8, -1, 32, 0, ({0, 2, 1}, {2, 4, 8}),               \
      (q8_0, F16, ALL, 32, 32, -127, 127, 0, 0, 0, 17, 95, 101))                                         \
    X(Q8_1,    q8_1,      9,  32,  36, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(Q2_K,    q2_k,     10, 256,  84, A256, HOT,    V_PREMUL ? 6 : 4, 0, V_PREMUL ? 0 : 16, 8,          \
      ({80, 2, 2}, {0, 4, 20}),                                                                          \
      (q2_k, F16, ALL, 256, 16, 0, 3, 0, 15, 15, 13, 80, 150))                                           \
    X(Q3_K,    q3_k,     11, 256, 110, A256, HOT,    V_PREMUL ? 8 : 4, V_PREMUL ? 124 : 4, V_PREMUL ? 0 : 16, 0, \
      ({108, 2, 1}, {96, 4, 3}, {0, 4, 24}),                                                             \
      (q3_k, F16, ALL, 256, 16, -4, 3, -32, 31, 0, 15, 75, 130))                                         \
    X(Q4_K,    q4_k,     12, 256, 144, A256, HOT,    4,  0, 32, 4, ({0, 2, 2}, {4, 4, 3}, {16, 4, 32}),  \
      (q4_k, F16, ALL, 256, 32, 0, 15, 0, 63, 63, 15, 94, 120))                                          \
    X(Q5_K,    q5_k,     13, 256, 176, A256, HOT,    5,  0, 32, 4, ({0, 2, 2}, {4, 4, 3}, {16, 4, 40}),  \
      (q5_k, F16, ALL, 256, 32, 0, 31, 0, 63, 63, 13, 97, 110))                                          \
    X(Q6_K,    q6_k,     14, 256, 210, A256, HOT,    6, 32, 16, 0, ({208, 2, 1}, {0, 4, 32}, {128, 4, 16}, {192, 4, 4}), \
      (q6_k, F16, ALL, 256, 16, -32, 31, -128, 127, 0, 13, 95, 105))                                     \
    X(Q8_K,    q8_k,     15, 256, 292, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(IQ2_XXS, iq2_xxs,  16, 256,  66, A256, GRID,   7, -1, 32, 0, ({0, 2, 1}, {2, 4, 16}), AIOSK__NO_FIT) \
    X(IQ2_XS,  iq2_xs,   17, 256,  74, A256, GRID,   7, -1, 16, 0, ({0, 2, 1}, {66, 4, 2}, {2, 4, 16}), AIOSK__NO_FIT) \
    X(IQ3_XXS, iq3_xxs,  18, 256,  98, A256, GRID,   7, -1, 32, 0, ({0, 2, 1}, {2, 4, 24}), AIOSK__NO_FIT) \
    X(IQ1_S,   iq1_s,    19, 256,  50, A256, GRID,   7, -1, 32, 0, ({0, 2, 1}, {2, 4, 12}), AIOSK__NO_FIT) \
    X(IQ4_NL,  iq4_nl,   20,  32,  18, A32,  HOT,    8, -1, 32, 0, ({0, 2, 1}, {2, 4, 4}),               \
      (q4_0, F16, IQ4, 32, 32, -127, 113, 0, 0, 0, 15, 80, 115))                                         \
    X(IQ3_S,   iq3_s,    21, 256, 110, A256, GRID,   7, -1, 32, 0, ({0, 2, 1}, {106, 4, 1}, {2, 4, 26}), AIOSK__NO_FIT) \
    X(IQ2_S,   iq2_s,    22, 256,  82, A256, GRID,   7, -1, 16, 0, ({0, 2, 1}, {66, 4, 4}, {2, 4, 16}), AIOSK__NO_FIT) \
    X(IQ4_XS,  iq4_xs,   23, 256, 136, A256, HOT,    8, -1, 32, 0, ({0, 2, 2}, {4, 4, 33}),              \
      (iq4_xs, F16, IQ4, 256, 32, -127, 113, -32, 31, 0, 15, 80, 115))                                   \
    X(I8,      i8,       24,   1,   1, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(I16,     i16,      25,   1,   2, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(I32,     i32,      26,   1,   4, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(I64,     i64,      27,   1,   8, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(F64,     f64,      28,   1,   8, RAW,  NONE,   0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    X(IQ1_M,   iq1_m,    29, 256,  56, A256, GRID,   7, -1, 16, 0, ({0, 4, 14}), AIOSK__NO_FIT)          \
    X(BF16,    bf16,     30,   1,   2, FLT,  FLOATS, 0,  0,  0, 0, ({0, 0, 0}), AIOSK__NO_FIT)           \
    GAP(31) GAP(32) GAP(33)                                                                              \
    X(TQ1_0,   tq1_0,    34, 256,  54, A256, RARE,   4,  1,  0, 0, ({52, 2, 1}, {0, 4, 13}),             \
      (tq1_0, F16, ALL, 256, 256, -1, 1, 0, 0, 0, 9, 95, 400))                                           \
    X(TQ2_0,   tq2_0,    35, 256,  66, A256, HOT,    4,  1,  0, 0, ({64, 2, 1}, {0, 4, 16}),             \
      (tq2_0, F16, ALL, 256, 256, -1, 1, 0, 0, 0, 9, 95, 400))                                           \
    GAP(36) GAP(37) GAP(38)                                                                              \
    X(MXFP4,   mxfp4,    39,  32,  17, A32,  HOT,    5, 12, 32, 0, ({0, 1, 1}, {1, 4, 4}),               \
      (mxfp4, E8M0, FP4, 32, 32, -12, 12, 0, 0, 0, 9, 80, 115))                                          \
    X(NVFP4,   nvfp4,    40,  64,  36, A32,  RARE,   5, 12, 16, 0, ({0, 4, 9}),                          \
      (nvfp4, E4M3, FP4, 16, 16, -12, 12, 0, 0, 0, 14, 50, 115))                                         \
    X(Q1_0,    q1_0,     41, 128,  18, A32,  RARE,   4,  1, 32, 0, ({0, 2, 1}, {2, 4, 4}),               \
      (q1_0, F16, SIGN, 128, 128, -1, 1, 0, 0, 0, 1, 100, 100))                                          \
    X(Q2_0,    q2_0,     42,  64,  18, A32,  RARE,   4,  1, 32, 0, ({0, 2, 1}, {2, 4, 4}),               \
      (q2_0, F16, ALL, 64, 64, -1, 2, 0, 0, 0, 15, 90, 320))

#define AIOSK__NO_ROW(id)
#define AIOSK__FORMATS(X) AIOSK__IDS(X, AIOSK__NO_ROW)

enum {
#define AIOSK__X(N, n, id, w, b, ...) AIOSK_##N = id, \
    AIOSK__WEIGHTS_##N = w, AIOSK__BYTES_##N = b, /* of a block, as constants */
    AIOSK__FORMATS(AIOSK__X)
#undef AIOSK__X
#define AIOSK__X(N, ...) AIOSK__AT_##N,
#define AIOSK__GAP(id)   AIOSK__AT_##id,
    AIOSK__BEFORE = -1, AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
    AIOSK_N_TYPES /* one past the highest id; unused ids have zero sizes */
};

#define AIOSK_TYPE(T) ((uint64_t)1 << AIOSK_##T)  /* in AIOSK_TYPES: api.h */

/* Families, also the kind of activations a matrix of that family is multiplied with. */
enum { AIOSK_FLT = 0, AIOSK_A32 = 1, AIOSK_A256 = 2, AIOSK_RAW = 3, AIOSK_N_ACTS = 3 };

typedef struct aiosk_type {
    const char *name;       /* "q4_k"; NULL = no such type            */
    uint32_t n_weights;     /* weights in one block                   */
    uint32_t n_bytes;       /* bytes of one block                     */
    uint32_t family;        /* AIOSK_FLT, _A32, _A256, _RAW           */
    uint32_t reserved;
} aiosk_type;

#endif

/* ======== kernels/kv_codes.h ======== */
/* kv_codes.h: the one table of what the numbers of a KV tile are stored as (api.h, attention). The enum, names,
 * sizes, what decodes and encodes them, and the tests' lists are all expanded from it. A code is added as a row
 * at the end: plans and saved states hold the ids.
 *
 *   name    of a side in the name of a type: "kv84" has keys "8", values "4". Up to two characters, so that no
 *           two of them in a row are two others
 *   both    the name of the type of which both sides are in this code
 *   planes  bits of a number in its planes of bytes or nibbles or pairs of bits, and in one of single bits. 16
 *           and 32: floats, in no planes
 *   sides   BOTH, VALUES: not for keys, ALONE: for both sides or none
 *   mean    keys without the mean of 64 positions, which is stored beside them
 *   top     what the level 127 is in standard deviations, for the first scale that an encoder tries
 *   levels  ascending; the top bit of an index is the sign, 1 = negative. (0): the number itself is the level */
#ifndef AIOSK__KV_CODES_H
#define AIOSK__KV_CODES_H

/* clang-format off */
/*    NAME id  name  both   planes sides   mean top        levels */
#define AIOSK__KV_CODES(X) \
    X(F16, 0, "16", "f16",  16, 0, BOTH,   0, 0.0f,      (0)) \
    X(F32, 1, "",   "f32",  32, 0, ALONE,  0, 0.0f,      (0)) \
    X(I8,  2, "8",  "kv8",   8, 0, BOTH,   0, 0.0f,      (0)) \
    X(C5,  3, "5",  "kv55",  4, 1, BOTH,   1, 3.260732f, (3, 8, 13, 18, 24, 29, 35, 41, \
                                                         47, 54, 61, 70, 79, 90, 105, 127)) \
    X(C4,  4, "4",  "kv44",  4, 0, BOTH,   1, 2.732590f, (6, 18, 31, 44, 58, 75, 96, 127)) \
    X(C3,  5, "3",  "kv33",  2, 1, BOTH,   1, 2.151946f, (14, 45, 79, 127)) \
    X(C2,  6, "2",  "kv22",  2, 0, VALUES, 0, 1.510418f, (38, 127))
/* clang-format on */

enum {
#define AIOSK__X(N, id, name, both, index, one, sides, mean, top, levels) AIOSK_KV_##N = id,
    AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
};
enum { /* places in the table: ids without gaps */
#define AIOSK__X(N, id, name, both, index, one, sides, mean, top, levels) AIOSK__KV_AT_##N,
       AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
           AIOSK_N_KV
};

#endif

/* ======== kernels/api.h, continued ======== */
/* For AIOS_STATIC and AIOS_DLL too. What is static need not be used, nor be there where nothing is implemented: GCC has no attribute for the
 * latter, and in C asks at the end of the file, so that this file's own functions are not asked for either. */
#if defined(__GNUC__) && !defined(__clang__) && (defined(AIOSK_STATIC) || defined(AIOS_STATIC)) && !defined(AIOSK_IMPLEMENTATION) && !defined(AIOS_IMPLEMENTATION)
#define AIOSK__QUIET
#ifdef __cplusplus
#pragma GCC diagnostic push
#endif
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__STATIC static __attribute__((unused))
#else
#define AIOSK__STATIC static
#endif
#if (defined(_WIN32) || defined(__CYGWIN__)) && (defined(AIOSK_IMPLEMENTATION) || (defined(AIOS_IMPLEMENTATION) && !defined(AIOS_EXTERNAL)))
#define AIOSK__DLL extern __declspec(dllexport)
#elif defined(_WIN32) || defined(__CYGWIN__)
#define AIOSK__DLL extern __declspec(dllimport)
#elif defined(__GNUC__) || defined(__clang__)
#define AIOSK__DLL extern __attribute__((visibility("default")))
#else
#define AIOSK__DLL extern
#endif
#ifndef AIOSK_API
#ifdef AIOSK_STATIC
#define AIOSK_API AIOSK__STATIC
#elif defined(AIOSK_DLL)
#define AIOSK_API AIOSK__DLL
#else
#define AIOSK_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of a type id; NULL when the id is not a tensor type of the format. */
AIOSK_API const aiosk_type *aiosk_type_info(int32_t type);
/* Bytes of one row of n weights (0 if n is no whole number of blocks or the type is unknown). */
AIOSK_API uint64_t aiosk_row_bytes(int32_t type, uint64_t n);

/* 1 when this build multiplies with matrices of this type: of family FLT, A32 or A256 and not left out by AIOSK_TYPES. */
AIOSK_API int32_t aiosk_multiplies(int32_t type);

/* Dequantises n weights (whole blocks) exactly as the format defines them. Any type but RAW integers other than
 * I8..I64, F64, which convert. No alignment asked of src. The definition that everything else is tested against. */
AIOSK_API void aiosk_unpack(int32_t type, const void *src, uint64_t n, float *dst);

/* The reverse, for tools that write files: n_rows rows of n_in weights into whole blocks of a type at dst, one after the other. Searches
 * scales for the least squared error; importance [n_in], or NULL for all alike, says how much the error of each column counts
 * (negative and NaN count as 0). Any input gives valid blocks: NaN counts as 0, what is too large becomes the largest. A row depends
 * on nothing but itself. Gives the bytes written; 0 when n_in is no whole number of blocks, or the type has no quantiser (IQ1, IQ2,
 * IQ3, RAW). About 7 KiB of stack. */
AIOSK_API uint64_t aiosk_quantize(int32_t type, const float *x, uint64_t n_rows, uint64_t n_in, const float *importance, void *dst);

AIOSK_API float    aiosk_f16_to_f32(uint16_t h);
AIOSK_API uint16_t aiosk_f32_to_f16(float x);           /* round to nearest even */

/* ---- layouts ---------------------------------------------------------------------------------------------
 * ROWS    as in the file: row after row.
 * PANELS  16 rows interleaved so that a SIMD lane owns a row; a byte permutation of the 16 rows (the last
 *         panel is padded with rows of zero bytes). Reversible, same bytes per weight.                      */
enum { AIOSK_ROWS = 0, AIOSK_PANELS = 1, AIOSK_N_LAYOUTS = 2, AIOSK_PANEL_ROWS = 16 };

/* Bytes of a matrix in a layout; 0 when the type has no such layout. */
AIOSK_API uint64_t aiosk_layout_bytes(int32_t type, int32_t layout, uint64_t n_rows, uint64_t n_in);
/* Packs up to 16 rows (n_rows <= 16; missing rows become zero bytes) from ROWS into one panel. dst != src. */
AIOSK_API void aiosk_pack_panel(int32_t type, const void *rows, int32_t n_rows, uint64_t n_in, void *panel);
/* The reverse of one row: file blocks of row r (0..15) of a panel. */
AIOSK_API void aiosk_unpack_panel_row(int32_t type, const void *panel, int32_t r, uint64_t n_in, void *row);

/* ---- activations -----------------------------------------------------------------------------------------
 * One column (token) of n_in activations in the form a family needs: AIOSK_FLT is n_in floats, the others are
 * codes, scales and sums in one opaque run of bytes, a multiple of 64, to be 64-byte aligned. n_in must be a
 * multiple of 32 (A32) or 256 (A256). */
AIOSK_API uint64_t aiosk_act_bytes(int32_t kind, uint64_t n_in);
/* The numbers y [n_in] that such a column stands for: codes times scales. */
AIOSK_API void aiosk_act_unpack(int32_t kind, const void *x, uint64_t n_in, float *y);

/* y[c][r] = (flags & ADD ? y[c][r] : 0) + (bias ? bias[r] : 0) + sum_k W[r][k] * x[c][k]   for rows row0 <= r < row1.
 * The order of the additions: t = dot; if bias t = t + bias[r]; if ADD t = y + t. row0 is a multiple of 16 in PANELS.
 * w is the whole matrix (row 0). Reads nothing outside W's rows and x's columns. */
enum { AIOSK_MM_ADD = 1 };
typedef struct aiosk_matmul {
    const void *w;          /* the matrix, in the layout of the kernel that is called  */
    const void *x;          /* activations of column 0, in the kind of the type        */
    float *y;               /* output of column 0                                      */
    const float *bias;      /* f32 [n_rows] or NULL                                    */
    uint64_t x_stride;      /* bytes from one column of x to the next                  */
    uint64_t y_stride;      /* floats from one column of y to the next                 */
    int32_t n_in, row0, row1, n_cols;
    uint32_t flags, reserved;
} aiosk_matmul;
typedef void (*aiosk_matmul_fn)(const aiosk_matmul *m);

/* ---- attention -------------------------------------------------------------------------------------------
 * A tile holds 64 positions of one KV head. Each of its sides, keys and values, is stored in a code of the table in kv_codes.h; the type of
 * a tile is the code of its keys, plus that of its values where it is another. hd is the head size, hp = hd rounded up to 16. */
enum { AIOSK_TILE = 64, AIOSK_RUN = 8 /* tiles */ };
#define AIOSK_KV(k, v) ((k) == (v) ? (k) : ((k) | ((v) + 1) << 4))
AIOSK_API int32_t aiosk_kv_k(int32_t type);             /* the code of the keys */
AIOSK_API int32_t aiosk_kv_v(int32_t type);             /* and of the values */
AIOSK_API int32_t aiosk_kv_coded(int32_t code);         /* 1 if its numbers are codes, of rotated vectors; 0 for F32, F16 */
/* 1 for a type: F32 with itself only, keys not C2. */
AIOSK_API int32_t aiosk_kv_ok(int32_t type);
/* "f32", "f16", or kv, the bits of the keys and, where they differ, of the values: "kv8" "kv84" "kv168". -1 for no type; understands
 * "kv16", "i8" and "kv4" too. */
AIOSK_API int32_t aiosk_kv_parse(const char *name);
AIOSK_API const char *aiosk_kv_name(int32_t type, char name[8]);    /* gives name */
AIOSK_API int32_t  aiosk_kv_open(int32_t type);         /* the type of its open tiles: F32 for F32, else F16 */
AIOSK_API uint64_t aiosk_tile_bytes(int32_t type, int32_t hd_k, int32_t hd_v);      /* multiple of 64; 0 for no type */

/* A tile is open while its positions are written, one after the other, by store[]: it is of type F32 or F16, keys channel-major, K [hd][64], values
 * position-major, V [64][hp], padding zero. When all 64 are there, kv_convert seals it: gives a tile of the wanted type. Coded
 * sides hold rotated vectors (rotate), so what is stored into the open tile is rotated already, and their queries and outputs are too.
 *
 * A sealed tile (not of F32 and F16, which are sealed as they are):
 *     64 bytes    f32 step of the scales of K, f32 that of V, f32 step of the mean, u32 type, zeros
 *     K, then V   F16 as above; codes: u8 scale [64]; K of a code with a mean: int8 mean [hp rounded up to 64]; codes
 * A coded number is scale[t] * step * level, for keys with a mean + mean[d] * mean step. The levels are int8: -127 .. 127 in I8, else those of
 * the table, of the least squared error of a normal distribution, which rotated vectors have. Codes are in the order of the flat array of
 * 64 hp bytes that they are decoded to: K [hp/4][64 keys][4 channels]; V [16][hp][4], byte b of group j being position
 * j + 16 * {0, 2, 1, 3}[b]. Each 512 of them are planes of 64 bytes, the planes of the table: I8 8 of bytes; 4 of nibbles, that hold number i
 * of each 128 in the low nibble of byte i, 64 + i in the high one; 2 of 2 bits, 4 * 64 of them in the same way; then one of single bits, 8 * 64,
 * the next bit of the index. The top bit of an index is the sign, 1 = negative. */

/* Converts a tile: seals an open one, makes a sealed one cheaper, or opens it again (dst_type F16, to write on from some position). F32 goes to F32 only.
 * Equal sides are copied. Nothing is rotated. src != dst; both 64-byte aligned, scratch too.
 *   mean (of keys that have one): of 64 positions, as float rows with 64 columns / 64; codes and step as quantize_head; taken off before the rest
 *   I8      scale = max |x| / 127, code = rint(x / scale)
 *   others  levels c nearest to |x| with the scale that suits a standard deviation of sqrt(sum x^2 / hd); then once more with that scale moved
 *           three times as far as to b = sum x c / sum c^2, within b / 2 and 3 b / 2; scale = sum x^2 / sum x c for keys (unbiased), the new b
 *           for values (least squares)
 *   step = largest scale / 255; scales are rint(scale / step), at least 1; I8: rounded up. A vector of zeros has scale 0.
 * Numbers beyond the range of f16 count as its largest, NaN as -65504. */
#define AIOSK_CONVERT_SCRATCH(hd_max) ((uint64_t)(((hd_max) + 15) / 16 * 16) * (64 * 4 + 64 + 4) + 1024)
typedef void (*aiosk_convert_fn)(int32_t src_type, const void *src, int32_t dst_type, void *dst, int32_t hd_k, int32_t hd_v, void *scratch);

/* Attention of n_q queries of one KV head over one run: up to AIOSK_RUN tiles that follow each other, one softmax over all
 * their keys. A context is cut into runs at fixed positions, multiples of 64 * AIOSK_RUN:
 *   s[k] = (sum_d q[d]*K[d][k], fma, d ascending from 0) * scale      F32, F16 keys
 *   s[k] = fma((float)(exact sum of q8[d] * level), dq * (scale[k] * step), (float)(exact sum of q8[d] * mean[d]) * (dq * mean step)) * scale
 *                                                                     coded keys; the second product + 0, 0 without a mean
 *   if softcap != 0: s = softcap * tanh(s / softcap);  alibi: s = fma(slope[q], (float)(key_pos - q_pos), s)
 *   keys outside [low[q], high[q]) do not take part; a query that sees none gives m = AIOSK_NEG_INF, l = 0, o = 0
 *   m = max s (at least AIOSK_NEG_INF; NaN is skipped) and l = sum p, both over 16 lanes (k mod 16, ascending), then
 *   the tree of float rows;  p[k] = exp(s[k] - m), 0 outside [low, high) and for NaN
 *   o[c] = sum over the tiles of:
 *     F32, F16 values   fma(p[k], V[k][c], o), k ascending, low <= k < high
 *     coded values      w[k] = p[k] * scale[k], wm = max w over the tile, u[k] = rint(w[k] * (16383 / wm)), 0 if that is not finite;
 *                       fma(wm / 16383 * step, (float)(exact sum of u[k] * level), o)
 *   and last + 0 (a zero is +0, so that keys with p = 0 may be summed or left out)
 * For types with coded keys, q is what quantize_head gives back: tiles that are open then see the same query as those that are sealed, and what
 * is large and common to all keys moves all scores by the same amount.
 * attend_merge puts runs together: those that saw something, in ascending order, from the first of them on:
 *   mn = max(m, m1);  a = exp(m - mn), b = exp(m1 - mn);  l = fma(l1, b, l*a);  o[c] = fma(o1[c], b, o[c]*a)
 * and a result with l = 0 is nothing: the other one stays as it is. The caller divides o by l at the end.
 * A run's part depends on nothing but its keys, so runs may go to any thread in any order. Every slot from the lowest low to
 * the highest high of one call must have been stored; the others may hold anything. How queries are grouped in calls
 * changes no bit. */
#define AIOSK__HP(hd) ((uint64_t)(((hd) + 15) / 16 * 16))
#define AIOSK_ATTEND_SCRATCH(n_q, hd_max) \
    ((uint64_t)(n_q) * (64 * AIOSK_RUN * 4 + 256) + (64 * AIOSK__HP(hd_max) > 64 * 64 * 4 ? 64 * AIOSK__HP(hd_max) : 64 * 64 * 4) + 16 * AIOSK__HP(hd_max) + 512)
typedef struct aiosk_attend {
    const void *const *tile;/* [n_tiles] K and V of 64 positions each, 64-byte aligned  */
    const float *q;         /* f32 [n_q][q_stride]: rotated, not scaled                 */
    const int8_t *q8;       /* coded keys: codes [n_q][hp_k], 64-byte aligned, zero padded */
    const float *q8_d;      /* coded keys: scale of each query                          */
    float *m, *l;           /* [n_q] maximum and sum                                    */
    float *o;               /* [n_q][hp_v] output, 64-byte aligned                      */
    void *scratch;          /* AIOSK_ATTEND_SCRATCH(n_q, hd) bytes, hd the larger of hd_k and hd_v; 64-byte aligned */
    const void *const *next;/* [n_tiles] what the next call will read, fetched beforehand; or NULL */
    const int32_t *low, *high; /* [n_q] range of keys of this run, 0..64 * n_tiles         */
    const float *slope;     /* ALiBi slopes [n_q], or NULL                              */
    const int32_t *dpos;    /* ALiBi: position of key 0 minus that of the query [n_q]   */
    float *tile_sum;        /* [n_q][n_tiles] or NULL: sum of p over the keys of each tile (16 lanes, the tree) */
    float scale, softcap;
    int32_t n_q, hd_k, hd_v, q_stride, n_tiles;
    int32_t type;           /* of the sealed tiles                                      */
    uint32_t open, reserved;/* bit i: tile i of the run is open                         */
} aiosk_attend;
typedef void (*aiosk_attend_fn)(const aiosk_attend *a);
/* Merges the later results m1, l1, o1 [n_q][stride1] of n_q queries into m, l, o [n_q][stride]; hd_v numbers of each o. */
typedef void (*aiosk_merge_fn)(int32_t n_q, int32_t hd_v, float *m, float *l, float *o, int32_t stride, const float *m1, const float *l1, const float *o1, int32_t stride1);
/* Writes one position (slot 0..63) of an open tile, the padding of its V as zeros. k [hd_k], v [hd_v] f32. f16 rounds to nearest even. */
typedef void (*aiosk_store_fn)(void *tile, int32_t slot, const float *k, const float *v, int32_t hd_k, int32_t hd_v);

/* ---- instruction sets ------------------------------------------------------------------------------------ */
enum { AIOSK_ISA_BEST = 0, AIOSK_ISA_SCALAR = 1, AIOSK_ISA_AVX2 = 2, AIOSK_ISA_AVX512 = 3, AIOSK_ISA_NEON = 4,
       AIOSK_ISA_NEON_DOT = 5, AIOSK_ISA_AVXVNNI = 6 /* AVX2 with VNNI */, AIOSK_ISA_SSE41 = 7 /* and SSSE3 */,
       AIOSK_ISA_WASM = 8 /* SIMD128 */, AIOSK_ISA_AVX512_VBMI = 9, AIOSK_ISA_AVX512BW = 10 /* without VNNI */,
       AIOSK_N_ISA = 11 };
enum { AIOSK_ACT_SILU = 0, AIOSK_ACT_GELU = 1 /* tanh form */, AIOSK_ACT_RELU = 2, AIOSK_ACT_RELU2 = 3, AIOSK_N_ACTIVATIONS = 4 };
enum { AIOSK_ROPE_PAIRS = 0 /* (2i, 2i+1), "NORM" */, AIOSK_ROPE_HALVES = 1 /* (i, i + n_rot/2), "NEOX" */ };

typedef struct aiosk_isa {
    const char *name;       /* "avx512"                                                 */
    int32_t id, reserved;
    /* f32 [n] -> one activation column of kind A32 or A256 (index FLT copies) */
    void (*quantize[AIOSK_N_ACTS])(const float *x, int32_t n, void *dst);
    /* int8 codes with one scale over n values (queries against coded keys); codes zero padded to a multiple of 16. back, if not
     * NULL: f32 [n] code * d; may be x */
    void (*quantize_head)(const float *x, int32_t n, int8_t *q, float *d, float *back);
    /* [type][layout]; NULL where the pair does not exist. Every FLT, A32 and A256 type has ROWS, unless AIOSK_TYPES leaves it out. */
    aiosk_matmul_fn matmul[AIOSK_N_TYPES][AIOSK_N_LAYOUTS];
    aiosk_attend_fn  attend;
    aiosk_store_fn   store[2];          /* F16, F32 */
    aiosk_convert_fn kv_convert;
    aiosk_merge_fn   attend_merge;
    /* y = H D x of n_head heads of hd channels in place; inverse: x = D H y. D: fixed signs, those of -1 where aiosk__minus is 1. H:
     * orthonormal and symmetric, a Hadamard matrix / sqrt(its order): of order 2^k, or 12, 20, 28, 36 times 2^k, where hd is such a number;
     * else blocks of the largest power of two that divides hd. Signs and 1 / sqrt(order) first (last, if inverse), then strides 1, 2, 4 ..
     * by a + b, a - b, then the rest, columns ascending. */
    void (*rotate)(float *x, int32_t n_head, int32_t hd, int32_t inverse);
    /* y = x * (1/sqrt(mean(x^2) + eps)) * w   (w NULL = 1). mean = sum / n, sum as float rows. y may be x. */
    void (*rms_norm)(const float *x, const float *w, float eps, int32_t n, float *y);
    /* y = fma((x - mean) * (1/sqrt(var + eps)), w, b)   (w NULL = 1, b NULL = -0); mean = sum x / n, then
     * var = sum (x - mean)^2 / n, both sums as float rows */
    void (*layer_norm)(const float *x, const float *w, const float *b, float eps, int32_t n, float *y);
    /* y = act(x), and y = act(g) * u.  y may be an input. */
    void (*act)(int32_t kind, const float *x, int32_t n, float *y);
    void (*act_gated)(int32_t kind, const float *g, const float *u, int32_t n, float *y);
    void (*add)(const float *a, const float *b, int32_t n, float *y);
    void (*scale)(const float *x, float s, int32_t n, float *y);
    void (*softcap)(const float *x, float cap, int32_t n, float *y);         /* cap * tanh(x / cap) */
    /* Rotates the first n_rot channels of n_head heads of hd channels in place.
     *   cs  f32 [n_rot/2][2]  cos and sin of this position, already scaled:
     *   (x0, x1) -> (fma(x0, cos, -(x1*sin)), fma(x0, sin, x1*cos)) */
    void (*rope)(int32_t style, float *x, int32_t n_head, int32_t hd, int32_t n_rot, const float *cs);
    /* index of the largest, lowest index first; NaN is never the largest, 0 when there is nothing else */
    int32_t (*argmax)(const float *x, int32_t n);
    /* y = exp(x), canonical */
    void (*exp)(const float *x, int32_t n, float *y);
} aiosk_isa;

/* The functions of one instruction set, or NULL when this machine or this build lacks it. AIOSK_ISA_BEST never
 * gives NULL. Asks the CPU each time; keeps nothing. */
AIOSK_API const aiosk_isa *aiosk_select(int32_t isa);
/* The i-th of those that this build has, the best first, whether this machine can run it or not; NULL behind the last. To name, not to call. */
AIOSK_API const aiosk_isa *aiosk_compiled(int32_t i);

/* 1 if rotate of this size is what it should be: inverse, and of norm 1, to 1e-5. tmp: f32 [2 * hd]. Takes 2 hd rotations. */
AIOSK_API int32_t aiosk_rotate_ok(const aiosk_isa *k, int32_t hd, float *tmp);

/* The kernel for ROWS of a type where the same bits on every machine do not matter: 16-bit arithmetic if this machine has some that
 * is faster, else k->matmul[type][AIOSK_ROWS] (NULL when there is none). x is that of the canonical kernel. So far BF16 with AVX512_BF16
 * on AMD: activations rounded to bf16 (error of an output: 0.15 % of |w| |x| / sqrt(n_in)), subnormal numbers are zeros. The bits
 * depend on the machine and k, never on row0, row1 or n_cols. */
AIOSK_API aiosk_matmul_fn aiosk_matmul_fast(const aiosk_isa *k, int32_t type);

/* Sets round-to-nearest with denormals kept, and gives what was set before; aiosk_fp_end puts that back. Call around
 * any work on a thread whose floating-point state is not known (a host's job thread). */
AIOSK_API uint64_t aiosk_fp_begin(void);
AIOSK_API void     aiosk_fp_end(uint64_t saved);

/* ---- reference -------------------------------------------------------------------------------------------
 * The yardstick: weights dequantised, f32 activations, double sums. Any type that aiosk_unpack knows, ROWS only.
 * x is f32. Slow. tmp: f32 [n_in]. */
AIOSK_API void aiosk_matmul_reference(int32_t type, const aiosk_matmul *m, float *tmp);

#define AIOSK_NEG_INF (-3.402823466e+38f) /* stands for -infinity: finite, so that no NaN arises */

#ifdef __cplusplus
}
#endif
#if defined(AIOSK__QUIET) && defined(__cplusplus)
#pragma GCC diagnostic pop
#endif
#endif

#if defined(AIOSK_IMPLEMENTATION) && !defined(AIOS_EXTERNAL) && !defined(AIOSK__IMPLEMENTED)
#define AIOSK__IMPLEMENTED

/* ======== kernels/base.h ======== */
/* base.h: what every kernel file stands on: compiler facts, unaligned loads, exact fma and sqrt.
 * Uses nothing but <string.h>; keeps no state. */
#ifndef AIOSK__BASE_H
#define AIOSK__BASE_H

#include <string.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "aios_kernels.h: the same bits everywhere need IEEE arithmetic: no -ffast-math or part of it"
#endif
/* 16: GCC with AVX512-FP16; only _Float16 is evaluated as itself, float as ever */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error \
    "aios_kernels.h: float expressions must be evaluated in float (x87 is not supported; use SSE2)"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "aios_kernels.h: big-endian machines are not supported"
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__INLINE   static inline __attribute__((always_inline, unused))
#define AIOSK__NOINLINE __attribute__((noinline))
#define AIOSK__UNUSED   __attribute__((unused))
#define AIOSK__ALIGN(n) __attribute__((aligned(n)))
#define AIOSK__RESTRICT __restrict__
#elif defined(_MSC_VER)
#define AIOSK__INLINE   static __forceinline
#define AIOSK__NOINLINE __declspec(noinline)
#define AIOSK__UNUSED
#define AIOSK__ALIGN(n) __declspec(align(n))
#define AIOSK__RESTRICT __restrict
#else
#define AIOSK__INLINE static inline
#define AIOSK__NOINLINE
#define AIOSK__UNUSED
#define AIOSK__ALIGN(n)
#define AIOSK__RESTRICT
#endif

/* Columns that all rows of a call pass before the next ones are looked at: so many sums of a
 * pair of panels are on the stack. */
enum { AIOSK__MAX_COLS = 128 };

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__PREFETCH(p)    __builtin_prefetch(p)       /* to the first-level cache */
#define AIOSK__PREFETCH_L2(p) __builtin_prefetch(p, 0, 2) /* to the second */
#elif defined(_M_X64)
#define AIOSK__PREFETCH(p)    _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define AIOSK__PREFETCH_L2(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)
#else
#define AIOSK__PREFETCH(p)    ((void)(p))
#define AIOSK__PREFETCH_L2(p) ((void)(p))
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__RARE(x) __builtin_expect(!!(x), 0)
#else
#define AIOSK__RARE(x) (x)
#endif

/* In front of a loop with a constant count that must become straight code, at -O2 too. */
#if defined(__clang__)
#define AIOSK__UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define AIOSK__UNROLL _Pragma("GCC unroll 64")
#else
#define AIOSK__UNROLL
#endif

/* GCC at -O2 spends most of its time where the program spends none. So functions that do the
 * work of a token or a prompt (V_HOT) get O2, and the rest a light O1, through effort.inc, whose
 * tree passes O2 has to name to have them back: a third less time to compile, all sets of x86,
 * and the same speed. Without tree-ch, the copy of a loop's test to its end, vector loops are a
 * tenth slower: LOOPS gives it to O1. */
/* clang-format off */
#define AIOSK__PASSES(no)                                                      \
    no "tree-dominator-opts," no "tree-bit-ccp," no "tree-fre,"                \
    no "tree-copy-prop," no "tree-dse," no "tree-ch," no "tree-sink,"          \
    no "guess-branch-probability"
/* clang-format on */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && \
    !defined(__OPTIMIZE_SIZE__) && !defined(__SANITIZE_ADDRESS__)
#define AIOSK__LIGHT
#define AIOSK__FAST  __attribute__((optimize("O2," AIOSK__PASSES(""))))
#define AIOSK__LOOPS __attribute__((optimize("tree-ch")))
#else
#define AIOSK__FAST
#define AIOSK__LOOPS
#endif

/* A function whose scalar floating point must not be contracted into fma by the compiler. Vector
 * code does not need it: there every product that feeds a sum is written as a v_fma, and no
 * product feeds a v_add. */
#if defined(__clang__)
#define AIOSK__STRICT
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#define AIOSK__STRICT __attribute__((optimize("fp-contract=off")))
#else
#define AIOSK__STRICT
#endif

/* GCC -O0 (it alone can): the kernels are optimised all the same, see effort.inc; and since a
 * debug build runs where it is made, with one fast set, AVX2, unless macros name others. One
 * file of all: 4.7 s and 0.39 GB with -g instead of 10.8 and 0.51. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__) && \
    !defined(AIOSK_NO_OPTIMIZE)
#define AIOSK__UNOPTIMISED
#if !defined(AIOSK_ONLY_SSE41) && !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_ONLY_AVX512) && \
    !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX2) && !defined(AIOSK_ALL) &&           \
    !defined(AIOSK_UNIT) && !defined(AIOSK_ONLY_AVX2)
#define AIOSK_ONLY_AVX2
#endif
#endif

/* Which instruction sets are compiled: the macros of api.h leave some out. AIOSK_ONLY_x is
 * AIOSK_NO_y for every y that is not named, unless a named set takes functions from it. AVX-VNNI
 * shares the float loops of AVX2; it came to compilers in 2020 and 2021. */
#if defined(AIOSK_ONLY_SSE41) || defined(AIOSK_ONLY_AVX2) || defined(AIOSK_ONLY_AVXVNNI) || \
    defined(AIOSK_ONLY_AVX512) || defined(AIOSK_ONLY_AVX512BW)
#if !defined(AIOSK_ONLY_SSE41) && !defined(AIOSK_NO_SSE41)
#define AIOSK_NO_SSE41
#endif
#if !defined(AIOSK_ONLY_AVX2) && !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_ONLY_AVX512BW) && \
    !defined(AIOSK_NO_AVX2)
#define AIOSK_NO_AVX2
#endif
#if !defined(AIOSK_ONLY_AVXVNNI) && !defined(AIOSK_NO_AVXVNNI)
#define AIOSK_NO_AVXVNNI
#endif
#if !defined(AIOSK_ONLY_AVX512) && !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX512)
#define AIOSK_NO_AVX512
#endif
#if !defined(AIOSK_ONLY_AVX512BW) && !defined(AIOSK_NO_AVX512BW)
#define AIOSK_NO_AVX512BW
#endif
#endif
#if !defined(AIOSK_NO_SIMD) && (defined(__x86_64__) || defined(_M_X64))
#ifndef AIOSK_NO_SSE41
#define AIOSK__SSE41 1
#endif
#ifndef AIOSK_NO_AVX2
#define AIOSK__AVX2 1
#ifdef AIOSK_NO_AVXVNNI
#elif defined(__clang__) ? __clang_major__ >= 12 : defined(__GNUC__) && __GNUC__ >= 11
#define AIOSK__AVXVNNI __attribute__((target("avx2,fma,f16c,avxvnni")))
#elif defined(_MSC_VER) && _MSC_VER >= 1930
#define AIOSK__AVXVNNI
#endif
#endif
#ifndef AIOSK_NO_AVX512
#define AIOSK__AVX512 1
#if defined(__clang__) ? __clang_major__ >= 14 : defined(__GNUC__) && __GNUC__ >= 12
#define AIOSK__AVX512_BF16 1
#endif
#if defined(AIOSK__AVX2) && !defined(AIOSK_NO_AVX512BW)
#define AIOSK__AVX512BW 1 /* unpacks with the functions of AVX2 */
#endif
#endif
#endif

/* The kernels in several objects (api.h): what is compiled in this one, and the linkage of what
 * units take from each other. AIOSK__AVX2 and its kin say what is compiled somewhere. */
#ifndef AIOSK_UNIT
#define AIOSK__IN_UNIT(n) 1
#define AIOSK__SHARED     static AIOSK__UNUSED
#define AIOSK__CONST      static AIOSK__UNUSED const
#else
#define AIOSK__IN_UNIT(n) (AIOSK_UNIT == n)
#if AIOSK_UNIT < 0 || AIOSK_UNIT > 3
#error "aios_kernels.h: AIOSK_UNIT is 0, 1, 2 or 3"
#endif
#define AIOSK__CONST const /* of a constant declared before as extern AIOSK__SHARED */
#ifdef AIOSK_STATIC
#error "aios_kernels.h: AIOSK_STATIC is for one object, AIOSK_UNIT for several"
#endif
#if (defined(__GNUC__) || defined(__clang__)) && !defined(_WIN32)
#define AIOSK__SHARED __attribute__((visibility("hidden")))
#else
#define AIOSK__SHARED
#endif
#endif

#if defined(AIOSK__SSE41) || defined(AIOSK__AVX2) || defined(AIOSK__AVX512)
#define AIOSK__X86 1
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wuninitialized" /* GCC warns of its own _mm512_undefined_* (bug 105593) */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif !defined(AIOSK_NO_SIMD) && (defined(__aarch64__) || defined(_M_ARM64))
#define AIOSK__ARM64 1
#include <arm_neon.h>
#elif !defined(AIOSK_NO_SIMD) && \
    defined(                     \
        __wasm_simd128__) /* a module that uses it runs nowhere else: nothing to ask at run time */
#define AIOSK__WASM 1
#include <wasm_simd128.h>
#endif
#if !defined(AIOSK__X86) && (defined(__x86_64__) || defined(_M_X64))
#include <emmintrin.h> /* MXCSR and sqrtss belong to the x86-64 baseline */
#endif

#ifdef AIOSK__UNOPTIMISED
#define AIOSK__PART 1 /* kernels/effort.inc */
#include "aios_kernels.h"
#endif

AIOSK__INLINE uint16_t aiosk__u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
AIOSK__INLINE uint32_t aiosk__u32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
AIOSK__INLINE float aiosk__f32(const void *p) {
    float v;
    memcpy(&v, p, 4);
    return v;
}
AIOSK__INLINE float aiosk__bits_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
AIOSK__INLINE uint32_t aiosk__f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* fma(a, b, c), correctly rounded. Without the instruction: the product of two floats is exact
 * in double; the double sum is rounded to odd (its error is known exactly by TwoSum), so that
 * the last rounding to float is the only one that counts (Boldo and Melquiond 2008). Results
 * that overflow or are subnormal round correctly too: double has room for both. */
#if !defined(__FP_FAST_FMAF) && !defined(__FMA__) && !defined(__aarch64__)
/* p + z where the double sum lies halfway between two floats, or is subnormal as one: round to
 * odd first. */
AIOSK__STRICT AIOSK__NOINLINE static AIOSK__UNUSED float aiosk__fma_rare(double p, double z) {
    double s = p + z, t = s - p, e = (p - (s - t)) + (z - t);
    uint64_t u;
    memcpy(&u, &s, 8);
    if (e != 0 && !(u & 1) && (u & 0x7FF0000000000000u) != 0x7FF0000000000000u) {
        /* step towards the error's side when the last bit is even */
        if ((e > 0) == (s > 0))
            u += 1;
        else
            u -= 1;
        memcpy(&s, &u, 8);
    }
    return (float)s;
}
#endif
AIOSK__STRICT static inline AIOSK__UNUSED float aiosk__fma(float a, float b, float c) {
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    double p = (double)a * (double)b, s = p + (double)c;
    uint64_t u;
    memcpy(&u, &s, 8);
    /* Nearly always s is not halfway between two normal floats, and rounds to the same one as
     * the exact sum. */
    if ((u & 0x1FFFFFFFu) != 0x10000000u && (u << 1 >> 53) >= 1023 - 126) return (float)s;
    return aiosk__fma_rare(p, (double)c);
#endif
}

/* sqrt(x), correctly rounded, without libm (sqrtf may set errno). x >= 0. */
AIOSK__STRICT static inline AIOSK__UNUSED float aiosk__sqrt(float x) {
#if defined(__x86_64__) || defined(_M_X64)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(AIOSK__ARM64)
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0);
#elif defined(AIOSK__WASM)
    return wasm_f32x4_extract_lane(wasm_f32x4_sqrt(wasm_f32x4_splat(x)), 0);
#else
    /* Newton in double from a bit-level guess; 5 steps give 50 bits, and no float square root
     * lies within 2^-49 of a rounding boundary, so one rounding to float is the correct one. */
    if (!(x > 0) || x > 3.402823466e+38f) return x;
    {
        double v = (double)x, y;
        uint64_t u;
        int i;
        memcpy(&u, &v, 8);
        u = (u >> 1) + 0x1FF8000000000000u;
        memcpy(&y, &u, 8);
        for (i = 0; i < 5; i++) y = 0.5 * (y + v / y);
        return (float)y;
    }
#endif
}

#ifdef AIOSK__UNOPTIMISED
#pragma GCC pop_options
#endif

/* One block as the integers that the canonical arithmetic is defined over.
 *   A32 families   weight = d[u] * q - dmin[u], unit u = column / unit; unit = 32 (16 for NVFP4)
 *   A256 families  weight = d[0] * sc[j] * q - dmin[0] * mn[j], j = column / 16 */
typedef struct aiosk__ints {
    int8_t q[256];
    int16_t sc[16], mn[16];
    float d[8], dmin[8];
    int32_t unit;    /* columns per unit: 16, 32 or 256 */
    int32_t has_min; /* 0: dmin and mn are all zero and the M step is left out */
} aiosk__ints;

#endif

#ifndef AIOS_EXTERNAL_KERNELS           /* else in another unit: the engine needs no more than base.h */
#define AIOSK__PART 1 /* kernels/effort.inc */
#include "aios_kernels.h"

/* ======== kernels/types.h ======== */
/* types.h: small number formats, and where things lie in panels and activation columns: what the
 * loops and the files that define it (ref.c, pack.c) both use. */
#ifndef AIOSK__TYPES_H
#define AIOSK__TYPES_H

/* ---- half precision ---- */

/* f16 -> f32, exact. A signalling NaN becomes quiet, as vcvtph2ps and fcvt make it. */
AIOSK__INLINE float aiosk__f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 0x3FF;
    if (e == 0) { /* m * 2^-24: zero or subnormal, normal in f32 */
        float v = (float)(int32_t)m * aiosk__bits_f32(0x33800000);
        return aiosk__bits_f32(aiosk__f32_bits(v) | sign);
    }
    if (e == 31) return aiosk__bits_f32(sign | 0x7F800000 | (m << 13) | (m ? 0x00400000u : 0));
    return aiosk__bits_f32(sign | ((e + 112) << 23) | (m << 13)); /* 112 = 127 - 15, the biases */
}

/* f32 -> f16, to nearest even whatever the rounding mode is: integers only. */
AIOSK__INLINE uint16_t aiosk__to_f16(float x) {
    uint32_t u = aiosk__f32_bits(x), sign = (u >> 16) & 0x8000, a = u & 0x7FFFFFFF, e = a >> 23, h;
    if (a > 0x7F800000) {
        h = 0x7E00 | ((a >> 13) & 0x3FF); /* NaN: quiet, top of the payload kept */
    } else if (a >= 0x477FF000) {
        h = 0x7C00; /* 65520, half way past the largest, rounds to infinity */
    } else if (e >= 113) {
        /* a carry into the exponent is right */
        h = (a - 0x38000000 + 0xFFF + ((a >> 13) & 1)) >> 13;
    } else if (e >= 102) { /* subnormal: units of 2^-24 */
        uint32_t m = (a & 0x7FFFFF) | 0x800000, n = 126 - e, half = 1u << (n - 1);
        h = m >> n;
        m &= (1u << n) - 1;
        h += m > half || (m == half && (h & 1));
    } else {
        h = 0; /* below 2^-25 */
    }
    return (uint16_t)(sign | h);
}

/* bf16 is the upper half of f32. */
AIOSK__INLINE float aiosk__bf16(uint16_t h) { return aiosk__bits_f32((uint32_t)h << 16); }

/* To nearest even; a NaN is made quiet, or its payload could round to infinity. */
AIOSK__INLINE uint16_t aiosk__to_bf16(float x) {
    uint32_t u = aiosk__f32_bits(x);
    if ((u & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
}

/* ---- small scale formats ---- */

/* An f16 scale at any address. */
AIOSK__INLINE float aiosk__f16_at(const uint8_t *p) { return aiosk__f16(aiosk__u16(p)); }

/* Half of 2^(e-127), the E8M0 scale of MXFP4 (its codes are doubled): 2^(e-128), subnormal for e
 * = 0 and 1. The NaN of the standard, e = 255, counts as 2^127, as in ggml. */
AIOSK__INLINE float aiosk__e8m0_half(uint8_t e) {
    return aiosk__bits_f32(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* Half of an unsigned E4M3 number (bias 7), the scale of NVFP4: exact, zero for the NaN 0x7F.
 * The top bit is only looked at there. */
AIOSK__INLINE float aiosk__ue4m3_half(uint8_t x) {
    uint32_t e = (x >> 3) & 15, m = x & 7;
    if (x == 0x7F) return 0;
    if (e == 0) return (float)(int32_t)m * (1.0f / 1024);  /* m * 2^-9 / 2 */
    return aiosk__bits_f32(((e + 119) << 23) | (m << 20)); /* 119 = 127 - 7 - 1 */
}

/* The 8 signs of IQ2_XXS, IQ2_XS, IQ3_XXS from 7 stored bits: the eighth makes the number of
 * minuses even. */
AIOSK__INLINE uint32_t aiosk__signs7(uint32_t s) {
    uint32_t p = s & 127;
    p ^= p >> 4;
    return (s & 127) | (((0x6996u >> (p & 15)) & 1) << 7); /* 0x6996: parity of 4 bits */
}

/* ---- panels: pack.c ---- */

typedef struct aiosk__seg {
    uint8_t off, elem, count;
} aiosk__seg;
typedef struct aiosk__panel {
    aiosk__seg seg[5];
} aiosk__panel;

/* Weights on their way to many columns: up to 256 columns of 16 rows as codes of one byte,
 * unpacked once and then multiplied with all columns. [i][r]: four codes, columns 4i.., of row
 * r. */
typedef struct aiosk__codes {
    uint8_t code[64][64];
    float d[16][16], dmin[8][16]; /* A32: of each unit (16 or 32 columns); A256: the first row */
    int32_t sc[4][16];    /* A256: scales of 16 sub-blocks, or of 8, four bytes in a dword */
    int32_t mn[8][16];    /* A256: minima as pairs of int16, in the order of sum16, or of sum32 */
    uint8_t sign[64][64]; /* kind 9 (lanes.inc): 255 where the code was negative */
} aiosk__codes;
/* Codes [V_NP] times n_cols columns: n units (A32) or one block (A256) from unit or block k; acc
 * [n_cols][V_NP][16] */
typedef struct aiosk__cols {
    aiosk__codes *t;
    const uint8_t *x;
    uint64_t xs;
    float *acc;
    int32_t n_in, k, n, n_cols;
    /* of the codes: what they stand above their meaning; pairs of minima, 0 without */
    int32_t kind, offset, columns, n_mn;
} aiosk__cols;

/* ---- activations ----
 * The parts of one column of n activations, as byte offsets; codes are int8 [n] at 0.
 *   A32    d f32 [n/32];  sum, sum8, sum128 int32 [n/32]: sums of codes, times 1, -8, -128
 *   A256   d f32 [n/256]; sum16 int16 [n/16] sums of 16 codes, sum32 int16 [n/32] sums of 32, both
 *          with every four in the order 0 2 1 3, the one that splitting four bytes of a dword into
 *          two int16 pairs gives; sum8 int32 [n/8]: sums of 8 codes, times -32; sum128 int32
 *          [n/16]: sums of 16, times -128
 * The multiples correct weights whose codes are stored with an offset. Columns are an odd number
 * of 64-byte lines long, so that many of them spread over all sets of a cache. */
typedef struct aiosk__a32 {
    uint32_t d, sum, sum8, sum128;
} aiosk__a32;
typedef struct aiosk__a256 {
    uint32_t d, sum16, sum32, sum8, sum128;
} aiosk__a256;

AIOSK__INLINE uint32_t aiosk__up64(uint32_t n) { return (n + 63u) & ~63u; }

AIOSK__INLINE aiosk__a32 aiosk__a32_parts(int32_t n_in) {
    const uint32_t n = (uint32_t)n_in, b = n / 8; /* bytes of n/32 floats */
    aiosk__a32 a;
    a.d = aiosk__up64(n);
    a.sum = a.d + b;
    a.sum8 = a.sum + b;
    a.sum128 = a.sum8 + b;
    return a;
}

AIOSK__INLINE aiosk__a256 aiosk__a256_parts(int32_t n_in) {
    const uint32_t n = (uint32_t)n_in;
    aiosk__a256 a;
    a.sum8 = n;
    a.sum128 = n + n / 2;
    a.sum16 = a.sum128 + n / 4;
    a.sum32 = a.sum16 + n / 8;
    a.d = a.sum32 + n / 16;
    return a;
}

/* Where sum i goes: 0 2 1 3 in every four. */
AIOSK__INLINE int32_t aiosk__pair_at(int32_t i) { return (i & ~3) | (i & 1) << 1 | (i & 2) >> 1; }

/* Sum of 8 codes: as unsigned bytes in one word, in pairs, then by a multiplication into the top
 * 16 bits. */
AIOSK__INLINE int32_t aiosk__sum_of_8(const int8_t *q) {
    const uint64_t m = 0x00FF00FF00FF00FFu;
    uint64_t v;
    memcpy(&v, q, 8);
    v ^= 0x8080808080808080u;
    v = (v & m) + (v >> 8 & m);
    return (int32_t)((v * 0x0001000100010001u) >> 48) - 8 * 128;
}

/* ---- what unit 0 has for all (AIOSK_UNIT): of ref.c, pack.c, tables.h ----
 * In one object it is static, and not declared before. */
#ifdef AIOSK_UNIT
AIOSK__SHARED void aiosk__unpack_ints(int32_t type, const void *block, aiosk__ints *out);
AIOSK__SHARED const aiosk__panel *aiosk__find_panel(int32_t type);
AIOSK__SHARED void aiosk__move_rows(int32_t type, uint8_t *panel, int32_t r0, int32_t n,
                                    uint64_t n_blocks, uint8_t *rows, uint64_t row_bytes, int out);
extern AIOSK__SHARED const int8_t aiosk__iq4_levels[16];
extern AIOSK__SHARED const int8_t aiosk__fp4_levels[16];
extern AIOSK__SHARED const int8_t aiosk__t_fp4[16];
extern AIOSK__SHARED const int8_t aiosk__t_two[16];
extern AIOSK__SHARED const int8_t aiosk__t_iq1[16];
extern AIOSK__SHARED const int8_t aiosk__t_iq2[16];
extern AIOSK__SHARED const int8_t aiosk__t_iq3xxs[16];
extern AIOSK__SHARED const int8_t aiosk__t_iq3s[16];
extern AIOSK__SHARED const uint8_t aiosk__t_parity[16];
extern AIOSK__SHARED const int8_t aiosk__iq1_levels[4];
extern AIOSK__SHARED const int8_t aiosk__iq2_levels[4];
extern AIOSK__SHARED const int8_t aiosk__iq3xxs_levels[8];
extern AIOSK__SHARED const int8_t aiosk__iq3s_levels[8];
extern AIOSK__SHARED const uint16_t aiosk__iq1_grid[2048 + 1];
extern AIOSK__SHARED const uint16_t aiosk__iq2xxs_grid[256 + 1];
extern AIOSK__SHARED const uint16_t aiosk__iq2xs_grid[512 + 1];
extern AIOSK__SHARED const uint16_t aiosk__iq2s_grid[1024 + 1];
extern AIOSK__SHARED const uint16_t aiosk__iq3xxs_grid[256 + 1];
extern AIOSK__SHARED const uint16_t aiosk__iq3s_grid[512 + 1];
#endif

#endif

/* ======== kernels/kv_types.h ======== */
/* kv_types.h: the parts of a tile of the KV cache and of the rotation that the loops use. tile.c has the rest. */
#ifndef AIOSK__KV_TYPES_H
#define AIOSK__KV_TYPES_H

/* A row of kv_codes.h, by id */
typedef struct aiosk__kv_code {
    char name[3], both[8];
    uint8_t index, one;      /* bits in planes */
    uint8_t sides, has_mean; /* AIOSK__KV_BOTH .. */
    uint8_t n;               /* levels of one sign, 0: the number itself */
    int8_t level[16];        /* of an index; where the sign has the plane of its own, without it */
    float top;
} aiosk__kv_code;
enum { AIOSK__KV_BOTH = 0, AIOSK__KV_VALUES = 1, AIOSK__KV_ALONE = 2 };

/* Which planes there are (codes.inc): bits of an index, single bits */
#define AIOSK__KV_PLANES(X)            X(8, 0) X(4, 1) X(4, 0) X(2, 1) X(2, 0)
#define AIOSK__KV_PLANE_ID(index, one) ((index)*2 + (one))

AIOSK__INLINE int32_t aiosk__hp(int32_t hd) { return (hd + 15) / 16 * 16; }

/* One side of a tile: offsets from the beginning of the tile. at is where the side begins. */
typedef struct aiosk__side { int32_t code; size_t at, mean, data, bytes; } aiosk__side;

/* 1: the sign of channel i is minus */
AIOSK__INLINE uint32_t aiosk__minus(uint32_t i) {
    i *= 0x9E3779B1u;
    i ^= i >> 15;
    i *= 0x85EBCA77u;
    return (i ^ i >> 13) >> 31 & 1;
}
/* hd = n * m * 2^k: H is n blocks of order m * 2^k, m one of 1, 12, 20, 28, 36. Gives 2^k. */
AIOSK__INLINE int32_t aiosk__rotation(int32_t hd, int32_t *m) {
    const int32_t low = hd & -hd, odd = hd / low;
    *m = low >= 4 && odd >= 3 && odd <= 9 ? 4 * odd : 1;
    return *m > 1 ? low / 4 : low;
}

/* Of tile.c, in unit 0 */
#ifdef AIOSK_UNIT
AIOSK__SHARED aiosk__side aiosk__side_k(int32_t type, int32_t hd_k);
AIOSK__SHARED aiosk__side aiosk__side_v(int32_t type, int32_t hd_k, int32_t hd_v);
AIOSK__SHARED void aiosk__kv_pack(int32_t code, const uint8_t *flat, size_t n, uint8_t *out);
AIOSK__SHARED const uint64_t *aiosk__hadamard_rows(int32_t m);
extern AIOSK__SHARED const aiosk__kv_code aiosk__kv_codes[AIOSK_N_KV];
extern AIOSK__SHARED const uint8_t aiosk__kv_byte[4];
#endif

#endif

/* ======== kernels/names.h ======== */
/* names.h: the words of the vocabulary (simd_scalar.h, simdi_scalar.h), for all sets: what a word means is decided where it stands, by
 * V_BASE or V_NAME of the set that is being expanded. names_undef.h takes them back. */
#define v_loadu V_BASE(v_loadu)
#define v_storeu V_BASE(v_storeu)
#define v_loadi V_BASE(v_loadi)
#define v_storei V_BASE(v_storei)
#define v_set1 V_BASE(v_set1)
#define v_zero V_BASE(v_zero)
#define v_set1i V_BASE(v_set1i)
#define v_zeroi V_BASE(v_zeroi)
#define v_add V_BASE(v_add)
#define v_sub V_BASE(v_sub)
#define v_mul V_BASE(v_mul)
#define v_div V_BASE(v_div)
#define v_sqrt V_BASE(v_sqrt)
#define v_fma V_BASE(v_fma)
#define v_max V_BASE(v_max)
#define v_min V_BASE(v_min)
#define v_sel_lt V_BASE(v_sel_lt)
#define v_abs V_BASE(v_abs)
#define v_xorsign V_BASE(v_xorsign)
#define v_addi V_BASE(v_addi)
#define v_subi V_BASE(v_subi)
#define v_cvt_i32_f32 V_BASE(v_cvt_i32_f32)
#define v_cvt_f32_i32 V_BASE(v_cvt_f32_i32)
#define v_rint V_BASE(v_rint)
#define v_ldexp V_BASE(v_ldexp)
#define v_load_f16 V_BASE(v_load_f16)
#define v_store_f16 V_BASE(v_store_f16)
#define v_load_bf16 V_BASE(v_load_bf16)
#define v_load_i8 V_BASE(v_load_i8)
#define v_kprep V_BASE(v_kprep)
#define v_kdot V_BASE(v_kdot)
#define v_mulr V_BASE(v_mulr)
#define v_tree_add V_BASE(v_tree_add)
#define v_tree_adds V_BASE(v_tree_adds)
#define v_tree_max V_BASE(v_tree_max)
#define v_dup_even V_BASE(v_dup_even)
#define v_dup_odd V_BASE(v_dup_odd)
#define v_swap2 V_BASE(v_swap2)
#define v_swap V_BASE(v_swap)
#define v_vdot V_BASE(v_vdot)
/* integers */
#define i_dup V_BASE(i_dup)
#define i_and V_BASE(i_and)
#define i_or V_BASE(i_or)
#define i_xor V_BASE(i_xor)
#define i_srl V_BASE(i_srl)
#define i_sll V_BASE(i_sll)
#define i_addb V_BASE(i_addb)
#define i_load_u8 V_BASE(i_load_u8)
#define i_table V_BASE(i_table)
#define i_lut V_BASE(i_lut)
#define i_splat V_BASE(i_splat)
#define i_bits V_BASE(i_bits)
#define i_negate V_BASE(i_negate)
#define i_gather16 V_BASE(i_gather16)
#define i_mul16 V_BASE(i_mul16)
#define i_mulhi16 V_BASE(i_mulhi16)
#define i_sub16 V_BASE(i_sub16)
#define i_add16 V_BASE(i_add16)
#define i_as_float V_BASE(i_as_float)
#define i_rows4 V_BASE(i_rows4)
#define i_store_s8 V_BASE(i_store_s8)
#define i_load_u16 V_BASE(i_load_u16)
#define i_pairs V_BASE(i_pairs)
/* products */
#define i_prep8 V_NAME(i_prep8)
#define i_scale V_NAME(i_scale)
#define i_first V_NAME(i_first)
#define i_next V_NAME(i_next)
#define i_sum V_NAME(i_sum)
#define i_end V_NAME(i_end)
#define i_macc_pair V_NAME(i_macc_pair)

#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"

/* ======== kernels/isa_table.h ======== */
/* isa_table.h: the table of an instruction set: integer matrices of V_NAME, those of grid types of V_GRID, all else of V_BASE, V_REST, V_TILE8 */
#ifndef AIOSK__ISA_TABLE_H
#define AIOSK__ISA_TABLE_H
#ifdef AIOSK_UNIT
#define AIOSK__DECLARE(table) extern AIOSK__SHARED const aiosk_isa table; /* for C++, where const is static */
#else
#define AIOSK__DECLARE(table)
#endif
/* What no table names is not compiled. */
#ifdef AIOSK_TYPES
#define AIOSK__IF(N, f) ((uint64_t)(AIOSK_TYPES) >> AIOSK_##N & 1 ? f : NULL)
#else
#define AIOSK__IF(N, f) f
#endif
/* A row of formats.h: its functions by loops */
#define AIOSK__NO_CELL(id)      {NULL, NULL},
#define AIOSK__CELL_NONE(N, n)  {NULL, NULL},
#define AIOSK__CELL_FLOATS(N, n) {V_BASE(rows_##n), NULL},
#define AIOSK__CELL_HOT(N, n)   {AIOSK__IF(N, V_NAME(rows_##n)), AIOSK__IF(N, V_NAME(panels_##n))},
#define AIOSK__CELL_RARE(N, n)  AIOSK__CELL_HOT(N, n)
#define AIOSK__CELL_GRID(N, n)  {AIOSK__IF(N, V_GRID(rows_##n)), AIOSK__IF(N, V_GRID(panels_##n))},
#define AIOSK__CELL(N, n, id, w, b, f, loops, ...) AIOSK__CELL_##loops(N, n)
/* and what matmul.inc makes of it */
#define AIOSK__MATRIX(N, n, id, w, b, f, loops, ...) AIOSK__##f##_##loops(N, n, __VA_ARGS__)
#define AIOSK__FLT_FLOATS(...)
#define AIOSK__RAW_NONE(...)
#define AIOSK__ISA(table, name, id)                                                                                                       \
    AIOSK__DECLARE(table)                                                                                                                 \
    AIOSK__CONST aiosk_isa table = {                                                                                                      \
        name, id, 0,                                                                                                                      \
        {V_BASE(quantize_flt), V_BASE(quantize_a32), V_BASE(quantize_a256)},                                                              \
        V_BASE(quantize_head),                                                                                                            \
        {AIOSK__IDS(AIOSK__CELL, AIOSK__NO_CELL)},                                                                                        \
        V_TILE8(attend),                                                                                                                  \
        {V_REST(store_f16), V_REST(store_f32)},                                                                                           \
        V_REST(kv_convert), V_REST(attend_merge), V_REST(rotate),                                                                         \
        V_REST(rms_norm), V_REST(layer_norm), V_REST(act), V_REST(act_gated), V_REST(add), V_REST(scale), V_REST(softcap),                \
        V_REST(rope), V_REST(argmax), V_REST(exp)};
#endif

#if AIOSK__IN_UNIT(0)

/* ======== kernels/ref.c ======== */
/* ref.c: what every stored format means. One short function per quantised type turns a block
 * into canonical integers (aiosk__ints in base.h); aiosk_unpack and the yardstick matmul stand
 * on those. This is the definition that every faster kernel is tested against, so it is written
 * to be read, not to be fast.
 *
 * Every value is what ggml gives, to the last bit. That needs no copy of its order of
 * operations: scale times sub-scale is exact in float for every format (11 bits of f16 times at
 * most 8), and where there is a minimum so is that times the code; so each weight is rounded
 * once, however it is written. */

/* ======== kernels/tables.h ======== */
/* tables.h: the constants that the file formats are made of. Facts, not choices: a file stores only an index.
 *
 * The code books of the IQ formats, one uint16_t per entry:
 *     iq1_*, iq2_*   8 values of 2 bits, value j in bits 2j and 2j+1: {-1, 0, 1} or {8, 25, 43}
 *     iq3_*          4 values of 3 bits, value j in bits 3j to 3j+2: an index into eight levels
 * All are in ascending order. The numbers are those of llama.cpp's ggml-common.h (MIT), where each value is a byte of a
 * uint64_t or uint32_t; here they take a quarter of the room (9 KB), and stay in the first-level cache. One more entry, zero, so
 * that 4 bytes can be read at the last one. */
#ifndef AIOSK__TABLES_H
#define AIOSK__TABLES_H

/* Levels of IQ4_NL and IQ4_XS. */
AIOSK__CONST int8_t aiosk__iq4_levels[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Twice the E2M1 numbers (OCP MX v1.0), so that they are integers: MXFP4, NVFP4. */
AIOSK__CONST int8_t aiosk__fp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Bytes for table lookups in registers: the FP4 levels + 12; two-bit codes with their levels at c and at 4 c (unpack.inc, two);
 * 128 where the number of ones in the index is odd. */
AIOSK__CONST int8_t aiosk__t_fp4[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
AIOSK__CONST int8_t aiosk__t_two[16] = {0, 1, 2, 3, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
AIOSK__CONST int8_t aiosk__t_iq1[16] = {-8, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0};
AIOSK__CONST int8_t aiosk__t_iq2[16] = {8, 25, 43, 0, 25, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0};
AIOSK__CONST int8_t aiosk__t_iq3xxs[16] = {4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0};
AIOSK__CONST int8_t aiosk__t_iq3s[16] = {1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0};
AIOSK__CONST uint8_t aiosk__t_parity[16] = {0, 128, 128, 0, 128, 0, 0, 128, 128, 0, 0, 128, 0, 128, 128, 0};

/* Levels behind the code books. */
AIOSK__CONST int8_t aiosk__iq1_levels[4] = {-1, 0, 1, 0};
AIOSK__CONST int8_t aiosk__iq2_levels[4] = {8, 25, 43, 0};
AIOSK__CONST int8_t aiosk__iq3xxs_levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
AIOSK__CONST int8_t aiosk__iq3s_levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};

/* IQ1_S, IQ1_M: index of 11 bits; the weight code is 8 * value +- 1. */
AIOSK__CONST uint16_t aiosk__iq1_grid[2048 + 1] = {
    0x0000,0x0002,0x0005,0x0008,0x000a,0x0011,0x0015,0x0020,0x0022,0x0028,0x002a,0x0045,0x0051,0x0054,0x0056,0x0065,
    0x0080,0x0082,0x0088,0x008a,0x0095,0x00a0,0x00a2,0x00a8,0x00aa,0x0104,0x0105,0x0111,0x0114,0x0116,0x0119,0x011a,
    0x0125,0x0141,0x0146,0x0149,0x0152,0x0155,0x015a,0x0161,0x0164,0x0166,0x0168,0x0185,0x0191,0x0194,0x0196,0x01a5,
    0x0200,0x0202,0x0208,0x020a,0x0215,0x0220,0x0222,0x0228,0x022a,0x0245,0x0251,0x0259,0x0264,0x0269,0x0280,0x0282,
    0x0288,0x028a,0x0291,0x0295,0x0299,0x02a0,0x02a2,0x02a8,0x02aa,0x0411,0x0414,0x0416,0x0425,0x0441,0x0449,0x0455,
    0x045a,0x0464,0x0465,0x0491,0x0499,0x04a5,0x0501,0x0504,0x0505,0x0506,0x0515,0x0518,0x051a,0x0529,0x0540,0x0545,
    0x054a,0x0550,0x0551,0x0554,0x0555,0x0556,0x0559,0x0560,0x0562,0x0565,0x0568,0x056a,0x0581,0x0591,0x0595,0x0598,
    0x059a,0x05a1,0x05a4,0x05a5,0x05a6,0x05a9,0x0614,0x0619,0x0641,0x0644,0x0650,0x0652,0x0655,0x0658,0x0660,0x0661,
    0x0666,0x0669,0x0685,0x0691,0x0694,0x0699,0x0800,0x0802,0x0808,0x080a,0x0815,0x0820,0x0822,0x0828,0x082a,0x0845,
    0x0851,0x0856,0x0865,0x0880,0x0882,0x0888,0x088a,0x0895,0x08a0,0x08a2,0x08a8,0x08aa,0x0905,0x0911,0x0914,0x0919,
    0x0924,0x0925,0x0941,0x0950,0x0951,0x0955,0x0961,0x0964,0x0969,0x0991,0x0994,0x0996,0x0999,0x09a5,0x0a00,0x0a02,
    0x0a08,0x0a0a,0x0a15,0x0a20,0x0a22,0x0a28,0x0a2a,0x0a45,0x0a51,0x0a59,0x0a61,0x0a65,0x0a80,0x0a82,0x0a85,0x0a88,
    0x0a8a,0x0a95,0x0aa0,0x0aa2,0x0aa8,0x0aaa,0x1010,0x1011,0x1014,0x1019,0x1024,0x1025,0x1041,0x1044,0x1050,0x1055,
    0x1058,0x1061,0x1064,0x1065,0x1069,0x1091,0x1094,0x1096,0x10a1,0x10a5,0x1101,0x1104,0x1106,0x1109,0x1110,0x1112,
    0x1115,0x1118,0x1121,0x1124,0x1129,0x1145,0x114a,0x1150,0x1151,0x1152,0x1154,0x1155,0x1156,0x1159,0x1160,0x1165,
    0x1184,0x1192,0x1195,0x11a1,0x11a4,0x1211,0x1214,0x1216,0x1225,0x1240,0x1246,0x1249,0x1252,0x1255,0x1258,0x125a,
    0x1264,0x1266,0x1285,0x1291,0x1294,0x1296,0x12a5,0x1401,0x1406,0x1409,0x1414,0x1415,0x1418,0x1419,0x1421,0x1426,
    0x1441,0x1445,0x1446,0x1448,0x144a,0x1451,0x1454,0x1455,0x1456,0x1459,0x1462,0x1465,0x1468,0x1484,0x1489,0x1490,
    0x1494,0x1495,0x1498,0x1499,0x149a,0x14a1,0x14a4,0x14a5,0x14a9,0x1502,0x1505,0x150a,0x1511,0x1514,0x1515,0x1516,
    0x1519,0x1520,0x1522,0x1525,0x1528,0x152a,0x1541,0x1544,0x1545,0x1546,0x1551,0x1552,0x1554,0x1555,0x1556,0x1559,
    0x155a,0x1561,0x1564,0x1565,0x1566,0x1569,0x1580,0x1582,0x1584,0x1585,0x1588,0x158a,0x1590,0x1591,0x1594,0x1595,
    0x1596,0x1599,0x159a,0x15a0,0x15a2,0x15a5,0x1601,0x1604,0x1605,0x1606,0x1615,0x1616,0x1618,0x161a,0x1621,0x1626,
    0x1640,0x1642,0x1644,0x1645,0x1648,0x164a,0x1651,0x1655,0x1656,0x1658,0x1659,0x1661,0x1664,0x1665,0x1668,0x1669,
    0x166a,0x1686,0x168a,0x1692,0x1695,0x16a4,0x16a9,0x1811,0x1816,0x1825,0x1841,0x1844,0x1846,0x1849,0x1850,0x1855,
    0x1858,0x185a,0x1860,0x1861,0x1864,0x1866,0x1869,0x1885,0x1891,0x1894,0x18a5,0x1910,0x1912,0x1915,0x191a,0x1921,
    0x1925,0x1942,0x1944,0x1945,0x1948,0x1951,0x1954,0x1955,0x1956,0x1959,0x195a,0x1960,0x1965,0x196a,0x1989,0x1991,
    0x1992,0x1995,0x1998,0x19a1,0x19a6,0x19a9,0x1a09,0x1a16,0x1a24,0x1a26,0x1a44,0x1a46,0x1a49,0x1a50,0x1a52,0x1a55,
    0x1a58,0x1a61,0x1a66,0x1a69,0x1a85,0x1a91,0x1a96,0x1a9a,0x2000,0x2002,0x2008,0x200a,0x2015,0x2020,0x2022,0x2025,
    0x2028,0x202a,0x2045,0x2051,0x2059,0x2061,0x2065,0x2080,0x2082,0x2088,0x208a,0x2095,0x20a0,0x20a2,0x20a5,0x20a8,
    0x20aa,0x2105,0x2111,0x2114,0x2119,0x2125,0x2142,0x2144,0x2149,0x2155,0x2158,0x215a,0x2161,0x2164,0x2165,0x2166,
    0x2185,0x2190,0x2196,0x2199,0x21a5,0x2201,0x2208,0x220a,0x2211,0x2215,0x2220,0x2222,0x2228,0x222a,0x2245,0x2251,
    0x2256,0x2259,0x2265,0x2281,0x2288,0x228a,0x2291,0x2295,0x22a0,0x22a2,0x22a8,0x22aa,0x2405,0x2414,0x2416,0x2419,
    0x2425,0x2444,0x2445,0x2446,0x2449,0x2452,0x2455,0x2458,0x245a,0x2466,0x2485,0x2491,0x2494,0x2499,0x24a1,0x24a5,
    0x2509,0x2515,0x2521,0x2529,0x2540,0x2545,0x2548,0x2551,0x2554,0x2555,0x2559,0x2562,0x2565,0x2568,0x2589,0x2590,
    0x2594,0x2595,0x2598,0x259a,0x25a1,0x25a4,0x25a6,0x25a9,0x2605,0x2610,0x2612,0x2619,0x2625,0x2641,0x2649,0x2655,
    0x2660,0x2661,0x2669,0x2684,0x2686,0x2690,0x269a,0x2800,0x2802,0x2808,0x280a,0x2815,0x2820,0x2822,0x2828,0x282a,
    0x2845,0x2851,0x2854,0x2865,0x2880,0x2882,0x2888,0x288a,0x28a0,0x28a2,0x28a8,0x28aa,0x2909,0x2911,0x2914,0x2919,
    0x2925,0x2946,0x2949,0x2952,0x2955,0x2961,0x2964,0x2966,0x2969,0x2985,0x2990,0x2996,0x2999,0x29a4,0x29a5,0x2a00,
    0x2a02,0x2a08,0x2a0a,0x2a20,0x2a22,0x2a28,0x2a2a,0x2a45,0x2a51,0x2a56,0x2a59,0x2a65,0x2a80,0x2a82,0x2a88,0x2a8a,
    0x2a95,0x2aa0,0x2aa2,0x2aa8,0x2aaa,0x4005,0x4011,0x4016,0x4025,0x4049,0x4052,0x4055,0x4058,0x405a,0x4061,0x4064,
    0x4066,0x4094,0x4099,0x40a1,0x40a6,0x4100,0x4101,0x4104,0x4106,0x4109,0x4112,0x4115,0x4116,0x4118,0x411a,0x4121,
    0x4126,0x4129,0x4145,0x4148,0x414a,0x4151,0x4154,0x4155,0x4156,0x4159,0x415a,0x4165,0x4168,0x416a,0x4181,0x4184,
    0x4186,0x4190,0x4192,0x4195,0x41a0,0x41a1,0x41a2,0x4205,0x4211,0x4214,0x4216,0x4225,0x4241,0x4252,0x4255,0x425a,
    0x4264,0x4269,0x4289,0x4294,0x42a5,0x4401,0x4415,0x4419,0x4429,0x4445,0x4448,0x444a,0x4451,0x4454,0x4455,0x4456,
    0x4461,0x4462,0x4465,0x4468,0x446a,0x4481,0x4486,0x4489,0x4490,0x4492,0x4495,0x44a0,0x44a1,0x44a9,0x4501,0x4502,
    0x4505,0x450a,0x4511,0x4514,0x4515,0x4516,0x4519,0x4520,0x4525,0x452a,0x4541,0x4544,0x4545,0x4546,0x4549,0x4550,
    0x4551,0x4554,0x4555,0x4556,0x4558,0x4559,0x4561,0x4564,0x4565,0x4566,0x4569,0x4582,0x4584,0x4585,0x4588,0x4591,
    0x4594,0x4595,0x4596,0x4599,0x459a,0x45a5,0x45a8,0x45aa,0x4601,0x4605,0x4609,0x4614,0x4615,0x4618,0x461a,0x4621,
    0x4624,0x4629,0x4640,0x4642,0x4645,0x4648,0x4650,0x4651,0x4652,0x4655,0x4656,0x4659,0x4662,0x4665,0x4668,0x4681,
    0x4685,0x468a,0x4694,0x4695,0x46a1,0x46a4,0x46a6,0x4805,0x4811,0x4815,0x481a,0x4825,0x4842,0x4849,0x4850,0x4855,
    0x4858,0x4861,0x4864,0x4866,0x4869,0x4885,0x4891,0x4894,0x4896,0x4899,0x48a5,0x4901,0x4905,0x4906,0x490a,0x4910,
    0x4914,0x4915,0x4918,0x4921,0x4924,0x4926,0x4940,0x4945,0x494a,0x4951,0x4952,0x4954,0x4955,0x4956,0x4959,0x4960,
    0x4962,0x4965,0x4966,0x496a,0x4986,0x4989,0x4992,0x4995,0x4996,0x4998,0x49a1,0x49a4,0x49a6,0x49a9,0x4a16,0x4a44,
    0x4a46,0x4a49,0x4a55,0x4a58,0x4a5a,0x4a64,0x4a69,0x4a94,0x4aa5,0x5001,0x5004,0x5005,0x5006,0x5009,0x5012,0x5015,
    0x501a,0x5021,0x5024,0x5029,0x5040,0x5045,0x5048,0x5051,0x5054,0x5055,0x5056,0x5059,0x5065,0x5068,0x5086,0x5089,
    0x5095,0x5098,0x50a0,0x50a1,0x50a6,0x50a9,0x5105,0x5108,0x5109,0x510a,0x5111,0x5114,0x5115,0x5116,0x5118,0x5119,
    0x5120,0x5125,0x5126,0x5128,0x512a,0x5141,0x5144,0x5145,0x5146,0x5149,0x5150,0x5151,0x5152,0x5154,0x5155,0x5156,
    0x5158,0x5159,0x515a,0x5161,0x5164,0x5165,0x5166,0x5169,0x5182,0x5185,0x5191,0x5194,0x5195,0x5196,0x5199,0x51a0,
    0x51a5,0x51aa,0x5201,0x5206,0x5212,0x5215,0x521a,0x5221,0x5224,0x5242,0x5245,0x524a,0x5251,0x5254,0x5255,0x5256,
    0x5259,0x5262,0x5265,0x5285,0x5290,0x5292,0x5295,0x5299,0x529a,0x52a4,0x5404,0x5405,0x5411,0x5414,0x5415,0x5416,
    0x5418,0x5419,0x5421,0x5425,0x5428,0x542a,0x5441,0x5444,0x5445,0x5446,0x5449,0x544a,0x5450,0x5451,0x5454,0x5455,
    0x5456,0x5458,0x5459,0x545a,0x5461,0x5462,0x5464,0x5465,0x5466,0x5469,0x5480,0x5488,0x548a,0x5491,0x5494,0x5495,
    0x5496,0x5499,0x54a1,0x54a4,0x54a5,0x54aa,0x5501,0x5502,0x5504,0x5505,0x5506,0x5509,0x5510,0x5511,0x5512,0x5514,
    0x5515,0x5516,0x5519,0x551a,0x5521,0x5524,0x5525,0x5526,0x5529,0x5540,0x5541,0x5542,0x5544,0x5545,0x5546,0x5548,
    0x5549,0x5550,0x5551,0x5552,0x5554,0x5555,0x5556,0x5558,0x5559,0x555a,0x5560,0x5561,0x5564,0x5565,0x5566,0x5568,
    0x5569,0x556a,0x5581,0x5584,0x5585,0x5589,0x558a,0x5590,0x5591,0x5594,0x5595,0x5596,0x5598,0x5599,0x55a1,0x55a4,
    0x55a5,0x55a6,0x55a9,0x5600,0x5601,0x5602,0x5604,0x5606,0x5608,0x5609,0x5611,0x5614,0x5615,0x5618,0x5619,0x5620,
    0x5621,0x5622,0x5624,0x5625,0x5626,0x5628,0x5629,0x5641,0x5645,0x5646,0x5648,0x5649,0x564a,0x5650,0x5651,0x5652,
    0x5654,0x5655,0x5656,0x5658,0x5659,0x565a,0x5661,0x5664,0x5665,0x5669,0x5682,0x5685,0x5686,0x5688,0x5689,0x568a,
    0x5691,0x5695,0x569a,0x56a2,0x56a5,0x56a6,0x56a8,0x56a9,0x5804,0x5805,0x5806,0x5809,0x5810,0x5815,0x5818,0x5821,
    0x582a,0x5845,0x5848,0x584a,0x5851,0x5854,0x5855,0x5856,0x5858,0x5859,0x5860,0x5862,0x5864,0x5865,0x5882,0x5889,
    0x5890,0x5892,0x5895,0x5898,0x58a1,0x58a9,0x5901,0x5902,0x5905,0x590a,0x5911,0x5914,0x5915,0x5916,0x5919,0x5925,
    0x5941,0x5944,0x5945,0x5946,0x5949,0x5950,0x5951,0x5952,0x5954,0x5955,0x5956,0x5958,0x5959,0x595a,0x5961,0x5964,
    0x5965,0x5966,0x5969,0x5981,0x5985,0x5989,0x5991,0x5994,0x5995,0x5996,0x5998,0x5999,0x59a5,0x5a04,0x5a08,0x5a15,
    0x5a1a,0x5a20,0x5a25,0x5a26,0x5a29,0x5a45,0x5a48,0x5a49,0x5a51,0x5a55,0x5a56,0x5a58,0x5a59,0x5a62,0x5a65,0x5a68,
    0x5a6a,0x5a81,0x5a8a,0x5a92,0x5a95,0x5a96,0x5a98,0x5a9a,0x5aa1,0x6005,0x6014,0x6016,0x6019,0x6025,0x6044,0x6050,
    0x6055,0x6056,0x6058,0x605a,0x6061,0x6064,0x6066,0x6069,0x6081,0x6096,0x60a5,0x6101,0x6104,0x6106,0x6109,0x6112,
    0x6115,0x6121,0x6122,0x6126,0x6129,0x6145,0x6149,0x6151,0x6155,0x6156,0x6159,0x6165,0x6166,0x616a,0x6184,0x618a,
    0x6192,0x6195,0x61a1,0x61a6,0x61a9,0x6211,0x6216,0x6219,0x6240,0x6241,0x6246,0x6255,0x6256,0x6258,0x6260,0x6285,
    0x6291,0x6296,0x62a5,0x6411,0x6412,0x6415,0x6416,0x641a,0x6421,0x6426,0x6429,0x6440,0x6442,0x6445,0x6448,0x644a,
    0x6451,0x6454,0x6455,0x6456,0x6459,0x645a,0x6460,0x6462,0x6465,0x6484,0x6485,0x6489,0x6490,0x6492,0x6494,0x6495,
    0x6496,0x6498,0x649a,0x64a1,0x64a4,0x64a9,0x6505,0x6508,0x650a,0x6511,0x6515,0x6516,0x6519,0x6544,0x6545,0x6546,
    0x6549,0x6550,0x6551,0x6554,0x6555,0x6556,0x6559,0x6561,0x6564,0x6565,0x6566,0x6569,0x6586,0x6589,0x658a,0x6591,
    0x6595,0x6596,0x6599,0x659a,0x65a2,0x65a5,0x65a6,0x65a8,0x6602,0x6609,0x6615,0x6620,0x6626,0x6628,0x6629,0x6640,
    0x6645,0x6648,0x664a,0x6651,0x6654,0x6655,0x6656,0x6658,0x665a,0x6660,0x6665,0x6668,0x6680,0x6682,0x6685,0x668a,
    0x6694,0x6696,0x6698,0x6699,0x66a0,0x66a4,0x66a6,0x66aa,0x6816,0x6819,0x6825,0x6841,0x6852,0x6855,0x685a,0x6861,
    0x6869,0x6885,0x6891,0x6898,0x68a6,0x6901,0x6904,0x6910,0x6915,0x6921,0x6924,0x6926,0x6929,0x6940,0x6941,0x6945,
    0x6946,0x6948,0x6951,0x6954,0x6955,0x6956,0x6959,0x6960,0x6965,0x696a,0x6982,0x6984,0x698a,0x6995,0x69a1,0x69a4,
    0x69a5,0x69a9,0x6a11,0x6a16,0x6a18,0x6a41,0x6a44,0x6a49,0x6a50,0x6a55,0x6a58,0x6a5a,0x6a64,0x6a65,0x6a69,0x6a86,
    0x6a94,0x6a98,0x6a9a,0x6aa6,0x8000,0x8002,0x8008,0x800a,0x8020,0x8022,0x8028,0x802a,0x8045,0x8050,0x8051,0x8054,
    0x8056,0x8059,0x8065,0x8080,0x8082,0x8088,0x808a,0x8095,0x80a0,0x80a2,0x80a8,0x80aa,0x8105,0x8111,0x8114,0x8116,
    0x8119,0x8125,0x8141,0x8144,0x8149,0x8150,0x8152,0x8155,0x8156,0x8158,0x8159,0x8164,0x8166,0x8169,0x8185,0x8189,
    0x8194,0x8196,0x8199,0x81a5,0x8200,0x8202,0x8208,0x820a,0x8215,0x8220,0x8222,0x8228,0x822a,0x8251,0x8254,0x8259,
    0x8265,0x8280,0x8282,0x8288,0x828a,0x8295,0x82a0,0x82a2,0x82a8,0x82aa,0x8414,0x8419,0x8441,0x8444,0x8451,0x8455,
    0x845a,0x8461,0x8464,0x8469,0x8494,0x8499,0x8501,0x8509,0x8512,0x8515,0x851a,0x8526,0x8529,0x8540,0x8541,0x8545,
    0x8548,0x8551,0x8554,0x8555,0x8556,0x8559,0x855a,0x8565,0x8566,0x8568,0x856a,0x8581,0x8584,0x8586,0x8589,0x8590,
    0x8592,0x8595,0x8598,0x85a6,0x8611,0x8616,0x8619,0x8625,0x8641,0x8644,0x8649,0x864a,0x8650,0x8655,0x8659,0x865a,
    0x8661,0x8666,0x866a,0x8685,0x8691,0x869a,0x86a4,0x8800,0x8802,0x8808,0x880a,0x8815,0x8820,0x8822,0x8828,0x882a,
    0x8841,0x8845,0x8851,0x8854,0x8859,0x8865,0x8869,0x8880,0x8882,0x8888,0x888a,0x8895,0x88a0,0x88a2,0x88a8,0x88aa,
    0x8905,0x8906,0x8911,0x8914,0x8916,0x8925,0x8941,0x8944,0x8946,0x8949,0x8950,0x8952,0x8955,0x895a,0x8961,0x8964,
    0x8985,0x8996,0x8999,0x89a5,0x8a00,0x8a02,0x8a08,0x8a0a,0x8a15,0x8a20,0x8a22,0x8a28,0x8a2a,0x8a45,0x8a51,0x8a54,
    0x8a56,0x8a80,0x8a82,0x8a88,0x8a8a,0x8a95,0x8aa0,0x8aa2,0x8aa8,0x8aaa,0x9005,0x9011,0x9016,0x9018,0x9019,0x9025,
    0x9041,0x9046,0x9049,0x9055,0x9058,0x905a,0x9069,0x906a,0x9085,0x9091,0x9094,0x9096,0x9099,0x90a5,0x9101,0x9104,
    0x9106,0x9109,0x9110,0x9115,0x9118,0x911a,0x9121,0x9124,0x9126,0x9129,0x9140,0x9145,0x9150,0x9151,0x9154,0x9155,
    0x9156,0x9159,0x9162,0x9165,0x9184,0x9186,0x9192,0x9195,0x9198,0x91a1,0x91a4,0x91a6,0x91a9,0x9205,0x9211,0x9214,
    0x9219,0x9225,0x9244,0x9246,0x9249,0x9250,0x9252,0x9255,0x9258,0x9266,0x9269,0x9285,0x9294,0x9296,0x92a9,0x9401,
    0x9404,0x9406,0x9410,0x9415,0x9418,0x9426,0x9440,0x944a,0x9451,0x9454,0x9455,0x9456,0x9458,0x9459,0x9460,0x9461,
    0x9462,0x9465,0x9484,0x9486,0x9492,0x9494,0x9495,0x9498,0x94a1,0x94a9,0x9500,0x9505,0x9508,0x950a,0x9510,0x9511,
    0x9514,0x9515,0x9516,0x9519,0x9521,0x9525,0x9529,0x952a,0x9541,0x9544,0x9545,0x9546,0x9549,0x9550,0x9551,0x9552,
    0x9554,0x9555,0x9556,0x9558,0x9559,0x955a,0x9561,0x9564,0x9565,0x9566,0x9569,0x9581,0x9585,0x9588,0x9591,0x9592,
    0x9594,0x9595,0x9596,0x9599,0x959a,0x95a0,0x95a2,0x95a5,0x95a8,0x95aa,0x9601,0x9604,0x9610,0x9615,0x9619,0x9620,
    0x9626,0x9629,0x9645,0x9648,0x9649,0x9651,0x9652,0x9655,0x9656,0x9659,0x9665,0x9668,0x9682,0x9684,0x9689,0x968a,
    0x9692,0x9694,0x9695,0x96a4,0x96a6,0x96a9,0x9805,0x9816,0x9819,0x9825,0x9841,0x9846,0x9850,0x9852,0x9855,0x9856,
    0x985a,0x9864,0x9865,0x9885,0x9891,0x9896,0x9899,0x98a5,0x9904,0x9906,0x9909,0x9910,0x9912,0x9915,0x9918,0x991a,
    0x9920,0x9921,0x9924,0x9926,0x9940,0x9942,0x9945,0x9948,0x994a,0x9951,0x9954,0x9955,0x9956,0x9959,0x9962,0x9965,
    0x9966,0x996a,0x9981,0x9984,0x9990,0x9992,0x9995,0x999a,0x99a1,0x99a6,0x9a05,0x9a15,0x9a25,0x9a44,0x9a46,0x9a49,
    0x9a50,0x9a55,0x9a58,0x9a61,0x9a85,0x9a91,0x9a94,0x9a95,0x9a96,0xa000,0xa002,0xa008,0xa00a,0xa015,0xa020,0xa022,
    0xa028,0xa02a,0xa045,0xa051,0xa054,0xa056,0xa059,0xa080,0xa082,0xa088,0xa08a,0xa095,0xa0a0,0xa0a2,0xa0a8,0xa0aa,
    0xa105,0xa109,0xa111,0xa114,0xa116,0xa119,0xa11a,0xa146,0xa149,0xa151,0xa155,0xa158,0xa15a,0xa161,0xa164,0xa185,
    0xa190,0xa192,0xa196,0xa199,0xa202,0xa208,0xa20a,0xa210,0xa219,0xa222,0xa228,0xa22a,0xa245,0xa251,0xa256,0xa259,
    0xa265,0xa280,0xa282,0xa288,0xa28a,0xa295,0xa2a0,0xa2a2,0xa2a8,0xa2aa,0xa419,0xa425,0xa441,0xa444,0xa450,0xa454,
    0xa455,0xa458,0xa45a,0xa461,0xa465,0xa466,0xa468,0xa469,0xa485,0xa506,0xa509,0xa510,0xa512,0xa515,0xa518,0xa526,
    0xa529,0xa542,0xa545,0xa551,0xa554,0xa555,0xa556,0xa559,0xa565,0xa56a,0xa581,0xa584,0xa585,0xa586,0xa589,0xa592,
    0xa595,0xa598,0xa605,0xa611,0xa616,0xa61a,0xa621,0xa625,0xa644,0xa646,0xa64a,0xa652,0xa655,0xa656,0xa658,0xa660,
    0xa662,0xa686,0xa690,0xa695,0xa696,0xa699,0xa6a1,0xa6a4,0xa6a6,0xa800,0xa802,0xa808,0xa80a,0xa820,0xa822,0xa828,
    0xa82a,0xa851,0xa854,0xa856,0xa859,0xa880,0xa882,0xa888,0xa88a,0xa895,0xa8a0,0xa8a2,0xa8a8,0xa8aa,0xa905,0xa914,
    0xa919,0xa921,0xa925,0xa941,0xa950,0xa955,0xa95a,0xa961,0xa966,0xa969,0xa990,0xa996,0xaa00,0xaa02,0xaa08,0xaa0a,
    0xaa20,0xaa22,0xaa28,0xaa2a,0xaa51,0xaa54,0xaa56,0xaa80,0xaa82,0xaa88,0xaa8a,0xaa95,0xaaa0,0xaaa2,0xaaa8,0xaaaa,
};

/* IQ2_XXS: index of 8 bits. */
AIOSK__CONST uint16_t aiosk__iq2xxs_grid[256 + 1] = {
    0x0000,0x0002,0x0005,0x0008,0x000a,0x0011,0x0014,0x0020,0x0022,0x0028,0x002a,0x0041,0x0044,0x0050,0x0058,0x0061,
    0x0064,0x0080,0x0082,0x008a,0x00a2,0x0101,0x0104,0x0110,0x0115,0x0140,0x0184,0x0198,0x0200,0x0202,0x0222,0x0282,
    0x0401,0x0404,0x0410,0x0421,0x0424,0x0440,0x0442,0x0448,0x0460,0x0481,0x0484,0x0490,0x04a4,0x0500,0x0502,0x0508,
    0x0520,0x0546,0x0569,0x0580,0x0591,0x0609,0x0610,0x0640,0x0684,0x06a4,0x0800,0x0805,0x0808,0x0814,0x0828,0x0841,
    0x0844,0x0850,0x0852,0x0888,0x0904,0x0940,0x0a02,0x0a14,0x1001,0x1004,0x1010,0x1021,0x1040,0x1060,0x1084,0x1090,
    0x1095,0x1100,0x1108,0x1120,0x1150,0x115a,0x1180,0x1224,0x1245,0x1400,0x1408,0x1420,0x1425,0x1449,0x1480,0x1518,
    0x1562,0x1600,0x1616,0x1801,0x1804,0x1810,0x1840,0x1881,0x1900,0x1905,0x19a0,0x1a51,0x2000,0x2002,0x200a,0x2044,
    0x2061,0x2080,0x2082,0x2129,0x2148,0x2200,0x2202,0x2401,0x2404,0x2410,0x2440,0x2456,0x2500,0x2541,0x2564,0x2690,
    0x2808,0x2820,0x2894,0x2a44,0x4001,0x4004,0x4010,0x4018,0x4021,0x4024,0x4040,0x4048,0x4056,0x4060,0x4081,0x4084,
    0x4090,0x4100,0x4120,0x4161,0x4180,0x4185,0x4201,0x4210,0x4248,0x4256,0x4268,0x4400,0x4408,0x4420,0x4480,0x4499,
    0x4512,0x4524,0x4600,0x4801,0x4804,0x4810,0x4840,0x4845,0x4900,0x4958,0x4961,0x4982,0x4a45,0x4a90,0x5000,0x5008,
    0x5011,0x5019,0x5020,0x5080,0x5088,0x5104,0x5142,0x51a4,0x5291,0x5490,0x5492,0x550a,0x5601,0x5654,0x5800,0x5811,
    0x5819,0x5864,0x5940,0x5a08,0x6004,0x6010,0x6040,0x6068,0x6100,0x6155,0x6218,0x6260,0x6400,0x6405,0x6510,0x6512,
    0x6584,0x6842,0x8000,0x8002,0x800a,0x8041,0x8082,0x8104,0x8118,0x8140,0x8211,0x8401,0x8404,0x8410,0x8415,0x8440,
    0x8460,0x8500,0x8546,0x8594,0x8609,0x8640,0x8660,0x8802,0x8904,0x8a11,0x9004,0x9010,0x9024,0x9040,0x90a1,0x9116,
    0x9180,0x9245,0x9400,0x9422,0x9444,0x9551,0x9881,0x9920,0xa002,0xa050,0xa085,0xa109,0xa200,0xa418,0xa850,0xa904,
};

/* IQ2_XS: index of 9 bits. */
AIOSK__CONST uint16_t aiosk__iq2xs_grid[512 + 1] = {
    0x0000,0x0002,0x0005,0x0008,0x000a,0x0011,0x0014,0x0016,0x0019,0x0020,0x0022,0x0025,0x0028,0x0041,0x0044,0x0046,
    0x0049,0x0050,0x0052,0x0055,0x0058,0x0061,0x0064,0x0080,0x0082,0x0085,0x0088,0x0091,0x0094,0x0099,0x00a0,0x0101,
    0x0104,0x0106,0x0109,0x0110,0x0112,0x0115,0x0118,0x011a,0x0121,0x0124,0x0140,0x0142,0x0145,0x0148,0x0151,0x0154,
    0x0160,0x0168,0x0181,0x0184,0x0190,0x0200,0x0202,0x0205,0x0208,0x0211,0x0214,0x0220,0x0241,0x0244,0x0250,0x0255,
    0x0280,0x028a,0x0401,0x0404,0x0406,0x0409,0x0410,0x0412,0x0415,0x0418,0x0421,0x0424,0x0440,0x0442,0x0445,0x0448,
    0x0451,0x0454,0x0456,0x0460,0x0481,0x0484,0x0490,0x0500,0x0502,0x0505,0x0508,0x0511,0x0514,0x0520,0x0541,0x0544,
    0x0550,0x0561,0x0580,0x0601,0x0604,0x0610,0x0626,0x0640,0x0642,0x0684,0x0800,0x0802,0x0805,0x0808,0x080a,0x0811,
    0x0814,0x0820,0x0825,0x0841,0x0844,0x0850,0x0858,0x0880,0x08a0,0x08aa,0x0901,0x0904,0x0910,0x0940,0x0981,0x0989,
    0x0a00,0x0a20,0x0a28,0x0a96,0x0aa0,0x1001,0x1004,0x1006,0x1009,0x1010,0x1012,0x1015,0x1018,0x1021,0x1024,0x1040,
    0x1042,0x1045,0x1048,0x1051,0x1054,0x1060,0x106a,0x1081,0x1084,0x1090,0x1100,0x1102,0x1105,0x1108,0x1111,0x1114,
    0x1120,0x1141,0x1144,0x1150,0x1180,0x1194,0x1196,0x1201,0x1204,0x1206,0x1210,0x1240,0x1260,0x1400,0x1402,0x1405,
    0x1408,0x1411,0x1414,0x1420,0x1441,0x1444,0x1449,0x1450,0x1464,0x1480,0x1501,0x1504,0x1510,0x1540,0x1600,0x1614,
    0x1649,0x1801,0x1804,0x1810,0x1812,0x1840,0x1854,0x1886,0x1900,0x1905,0x1966,0x1a51,0x1aa9,0x2000,0x2002,0x2005,
    0x2008,0x200a,0x2011,0x2014,0x2020,0x2041,0x2044,0x2050,0x2080,0x20a0,0x2101,0x2104,0x2110,0x2140,0x2148,0x2165,
    0x2200,0x2222,0x2280,0x22a8,0x2401,0x2404,0x2410,0x2429,0x2440,0x2500,0x2541,0x2552,0x2599,0x2601,0x261a,0x26a6,
    0x2800,0x2808,0x280a,0x2820,0x2855,0x2888,0x28a2,0x2968,0x2990,0x2a08,0x2a20,0x2a82,0x2a88,0x2a8a,0x4001,0x4004,
    0x4006,0x4009,0x4010,0x4012,0x4015,0x4018,0x4021,0x4024,0x4040,0x4042,0x4045,0x4048,0x404a,0x4051,0x4054,0x4060,
    0x4065,0x4081,0x4084,0x4090,0x4100,0x4102,0x4105,0x4108,0x4111,0x4114,0x4120,0x4141,0x4144,0x4150,0x4180,0x4185,
    0x41a2,0x4201,0x4204,0x4210,0x4212,0x4229,0x4240,0x4400,0x4402,0x4405,0x4408,0x4411,0x4414,0x4419,0x4420,0x4441,
    0x4444,0x4450,0x4480,0x4494,0x4501,0x4504,0x4510,0x4524,0x4540,0x459a,0x4600,0x460a,0x4644,0x4650,0x4801,0x4804,
    0x4810,0x4840,0x4845,0x4854,0x4862,0x4900,0x4911,0x4944,0x4950,0x4969,0x4a04,0x5000,0x5002,0x5005,0x5008,0x5011,
    0x5014,0x5020,0x5028,0x5041,0x5044,0x5050,0x5080,0x5101,0x5104,0x5110,0x5115,0x5140,0x5142,0x5200,0x5244,0x52aa,
    0x5401,0x5404,0x5410,0x5421,0x5440,0x5460,0x5481,0x54a1,0x5500,0x5508,0x5580,0x5588,0x5621,0x5668,0x56a1,0x5800,
    0x5814,0x5841,0x5850,0x5899,0x591a,0x5940,0x5942,0x5a85,0x6001,0x6004,0x6010,0x6040,0x6054,0x6062,0x6086,0x60a9,
    0x6100,0x6224,0x624a,0x6292,0x6400,0x6416,0x6510,0x6540,0x6545,0x65a4,0x6801,0x686a,0x6925,0x6a06,0x6a54,0x6a62,
    0x8000,0x8002,0x8005,0x8008,0x8011,0x8014,0x8020,0x802a,0x8041,0x8044,0x8050,0x8080,0x8082,0x80a8,0x80aa,0x8101,
    0x8104,0x8106,0x8110,0x8140,0x8151,0x8159,0x8200,0x8220,0x8280,0x8282,0x82a0,0x82a8,0x8401,0x8404,0x8410,0x8412,
    0x8415,0x8440,0x8460,0x8489,0x8500,0x8544,0x85a5,0x8618,0x866a,0x8800,0x8808,0x8825,0x885a,0x8880,0x8882,0x88a8,
    0x8906,0x8a22,0x8a80,0x8a88,0x8a96,0x8aa8,0x9001,0x9004,0x9010,0x9040,0x9056,0x9084,0x9100,0x9122,0x9164,0x9256,
    0x9289,0x9400,0x9405,0x9444,0x9450,0x9458,0x9529,0x9590,0x9592,0x9641,0x9851,0x98a6,0x9949,0x9a15,0x9a60,0xa000,
    0xa002,0xa008,0xa00a,0xa020,0xa02a,0xa0a0,0xa151,0xa159,0xa1a6,0xa200,0xa202,0xa208,0xa22a,0xa280,0xa2a0,0xa440,
    0xa495,0xa665,0xa698,0xa80a,0xa820,0xa822,0xa828,0xa8a0,0xa8a8,0xa904,0xa984,0xa986,0xaa28,0xaa2a,0xaa91,0xaaaa,
};

/* IQ2_S: index of 10 bits. */
AIOSK__CONST uint16_t aiosk__iq2s_grid[1024 + 1] = {
    0x0000,0x0002,0x0005,0x0008,0x000a,0x0011,0x0014,0x0016,0x0019,0x0020,0x0022,0x0025,0x0028,0x0041,0x0044,0x0046,
    0x0049,0x0050,0x0052,0x0055,0x0058,0x0061,0x0064,0x0066,0x0069,0x0080,0x0082,0x0085,0x0088,0x0091,0x0094,0x00a0,
    0x00a5,0x00aa,0x0101,0x0104,0x0106,0x0109,0x0110,0x0112,0x0115,0x0118,0x0121,0x0124,0x0140,0x0142,0x0145,0x0148,
    0x0151,0x0154,0x0156,0x0159,0x0160,0x0165,0x0168,0x0181,0x0184,0x0190,0x0192,0x0195,0x01a1,0x01a4,0x0200,0x0202,
    0x0205,0x0208,0x0211,0x0214,0x0220,0x022a,0x0241,0x0244,0x0246,0x0249,0x0250,0x0255,0x0280,0x0285,0x028a,0x0294,
    0x02a2,0x0401,0x0404,0x0406,0x0409,0x0410,0x0412,0x0415,0x0418,0x0421,0x0424,0x0426,0x0429,0x0440,0x0442,0x0445,
    0x0448,0x044a,0x0451,0x0454,0x0456,0x0459,0x0460,0x0462,0x0465,0x0481,0x0484,0x0486,0x0489,0x0490,0x0495,0x0498,
    0x04a1,0x04a4,0x0500,0x0502,0x0505,0x0508,0x050a,0x0511,0x0514,0x0516,0x0519,0x0520,0x0525,0x0528,0x0541,0x0544,
    0x0546,0x0549,0x0550,0x0552,0x0555,0x0558,0x0561,0x0564,0x0580,0x0582,0x0585,0x0588,0x0591,0x0594,0x05a0,0x0601,
    0x0604,0x0606,0x0609,0x0610,0x0615,0x0640,0x0645,0x0648,0x0651,0x0654,0x0660,0x0681,0x0684,0x0690,0x0800,0x0802,
    0x0805,0x0808,0x0811,0x0814,0x0816,0x0819,0x0820,0x0825,0x082a,0x0841,0x0844,0x0846,0x0849,0x0850,0x0852,0x0855,
    0x0858,0x0861,0x0864,0x0880,0x0885,0x0894,0x08aa,0x0901,0x0904,0x0910,0x0912,0x0915,0x0918,0x0921,0x0940,0x0945,
    0x0948,0x0951,0x0954,0x0960,0x0981,0x0990,0x0a00,0x0a11,0x0a14,0x0a22,0x0a28,0x0a2a,0x0a50,0x0a99,0x1001,0x1004,
    0x1006,0x1009,0x1010,0x1012,0x1015,0x1018,0x1021,0x1024,0x1026,0x1040,0x1042,0x1045,0x1048,0x1051,0x1054,0x1056,
    0x1059,0x1060,0x1062,0x1065,0x1068,0x1081,0x1084,0x1086,0x1090,0x1095,0x1098,0x10a1,0x10a4,0x1100,0x1102,0x1105,
    0x1108,0x110a,0x1111,0x1114,0x1116,0x1119,0x1120,0x1122,0x1125,0x1128,0x1141,0x1144,0x1146,0x1149,0x1150,0x1152,
    0x1155,0x1158,0x1161,0x1164,0x1180,0x1182,0x1185,0x1188,0x1191,0x1194,0x1201,0x1204,0x1209,0x1210,0x1215,0x1221,
    0x1224,0x1240,0x1245,0x1251,0x1254,0x1281,0x1284,0x1290,0x1400,0x1402,0x1405,0x1408,0x1411,0x1414,0x1416,0x1419,
    0x1420,0x1425,0x1428,0x1441,0x1444,0x1446,0x1449,0x1450,0x1452,0x1455,0x1458,0x1461,0x1464,0x1480,0x1482,0x1485,
    0x1488,0x1491,0x1494,0x14a0,0x1501,0x1504,0x1506,0x1509,0x1510,0x1512,0x1515,0x1518,0x1521,0x1524,0x1540,0x1542,
    0x1545,0x1548,0x1551,0x1554,0x1560,0x1581,0x1584,0x1590,0x1600,0x1605,0x1608,0x1611,0x1614,0x1620,0x1641,0x1644,
    0x1650,0x1680,0x16aa,0x1801,0x1804,0x1806,0x1809,0x1810,0x1815,0x1818,0x1821,0x1840,0x1842,0x1845,0x1848,0x1851,
    0x1854,0x1860,0x1881,0x1884,0x1900,0x1902,0x1905,0x1908,0x1911,0x1914,0x1920,0x1941,0x1944,0x1950,0x1969,0x19a2,
    0x1a04,0x1a10,0x1a40,0x1a56,0x2000,0x2002,0x2005,0x2008,0x2011,0x2014,0x2016,0x2019,0x2020,0x2025,0x202a,0x2041,
    0x2044,0x2050,0x2052,0x2055,0x2064,0x2080,0x208a,0x2094,0x20aa,0x2101,0x2104,0x2110,0x2112,0x2115,0x2121,0x2140,
    0x2142,0x2145,0x2151,0x2154,0x2160,0x2181,0x2184,0x2190,0x2200,0x220a,0x2222,0x2228,0x222a,0x2244,0x2250,0x2288,
    0x228a,0x22a8,0x2401,0x2404,0x2406,0x2409,0x2410,0x2415,0x2418,0x2421,0x2424,0x2440,0x2442,0x2445,0x2448,0x2451,
    0x2454,0x2460,0x2481,0x2484,0x2490,0x2500,0x2505,0x2508,0x2511,0x2514,0x2520,0x2541,0x2544,0x2550,0x2566,0x2580,
    0x2601,0x2604,0x2610,0x2640,0x2659,0x2800,0x2805,0x2811,0x2814,0x2841,0x2844,0x2850,0x288a,0x28aa,0x2901,0x2904,
    0x2910,0x2995,0x2a0a,0x2a22,0x2a64,0x2a88,0x2a8a,0x4001,0x4004,0x4006,0x4009,0x4010,0x4012,0x4015,0x4018,0x401a,
    0x4021,0x4024,0x4026,0x4040,0x4042,0x4045,0x4048,0x404a,0x4051,0x4054,0x4056,0x4059,0x4060,0x4062,0x4065,0x4081,
    0x4084,0x4090,0x4095,0x4098,0x40a1,0x40a4,0x4100,0x4102,0x4105,0x4108,0x4111,0x4114,0x4116,0x4119,0x4120,0x4122,
    0x4125,0x4141,0x4144,0x4146,0x4149,0x4150,0x4152,0x4155,0x4158,0x4161,0x4164,0x4180,0x4182,0x4185,0x4188,0x4191,
    0x4194,0x41a0,0x4201,0x4204,0x4210,0x4212,0x4215,0x4218,0x4224,0x4240,0x4245,0x4248,0x4251,0x4254,0x4260,0x4281,
    0x4284,0x4400,0x4402,0x4405,0x4408,0x440a,0x4411,0x4414,0x4416,0x4419,0x4420,0x4422,0x4425,0x4428,0x4441,0x4444,
    0x4446,0x4449,0x4450,0x4452,0x4455,0x4458,0x4461,0x4464,0x4480,0x4482,0x4485,0x4488,0x4491,0x4494,0x44a0,0x4501,
    0x4504,0x4506,0x4509,0x4510,0x4512,0x4515,0x4518,0x4521,0x4524,0x4540,0x4542,0x4545,0x4548,0x4551,0x4554,0x4560,
    0x456a,0x4581,0x4584,0x4590,0x4600,0x4602,0x4605,0x4608,0x4611,0x4614,0x4620,0x4641,0x4644,0x4650,0x4680,0x46a5,
    0x4801,0x4804,0x4809,0x4810,0x4812,0x4815,0x4818,0x4821,0x4824,0x4840,0x4842,0x4845,0x4848,0x4851,0x4854,0x4860,
    0x4884,0x4890,0x4900,0x4902,0x4905,0x4908,0x4911,0x4914,0x4920,0x4941,0x4944,0x4950,0x4980,0x4996,0x4a01,0x4a04,
    0x4a10,0x4a40,0x5000,0x5002,0x5005,0x5008,0x5011,0x5014,0x5016,0x5019,0x5020,0x5022,0x5025,0x5028,0x5041,0x5044,
    0x5046,0x5049,0x5050,0x5052,0x5055,0x5058,0x5061,0x5064,0x5080,0x5082,0x5085,0x5088,0x5091,0x5094,0x5101,0x5104,
    0x5106,0x5109,0x5110,0x5112,0x5115,0x5118,0x5121,0x5124,0x5140,0x5142,0x5145,0x5148,0x5151,0x5154,0x5160,0x5181,
    0x5184,0x5190,0x5200,0x5205,0x5208,0x5211,0x5214,0x5220,0x5241,0x5244,0x5250,0x5269,0x5280,0x5401,0x5404,0x5406,
    0x5409,0x5410,0x5412,0x5415,0x5418,0x5421,0x5424,0x5440,0x5442,0x5445,0x5448,0x5451,0x5454,0x5460,0x5481,0x5484,
    0x5490,0x5500,0x5502,0x5505,0x5508,0x5511,0x5514,0x5520,0x5541,0x5544,0x5550,0x5580,0x5601,0x5604,0x5610,0x5626,
    0x5640,0x5800,0x5802,0x5805,0x5808,0x5811,0x5814,0x5820,0x5841,0x5844,0x5850,0x585a,0x5880,0x5901,0x5904,0x5910,
    0x5940,0x5a00,0x5a19,0x5a85,0x5aa8,0x6001,0x6004,0x6006,0x6010,0x6012,0x6015,0x6018,0x6021,0x6024,0x6040,0x6045,
    0x6048,0x6051,0x6054,0x6060,0x6084,0x6090,0x6100,0x6102,0x6105,0x6108,0x6111,0x6114,0x6120,0x6141,0x6144,0x6150,
    0x6180,0x6199,0x6204,0x6210,0x6240,0x6256,0x62a1,0x6400,0x6405,0x6408,0x6411,0x6414,0x6420,0x6441,0x6444,0x6450,
    0x6480,0x6501,0x6504,0x6510,0x6540,0x654a,0x6568,0x6592,0x6600,0x6694,0x6801,0x6804,0x6810,0x6865,0x6898,0x6900,
    0x692a,0x6a42,0x6aa1,0x8000,0x8002,0x8005,0x8008,0x8011,0x8014,0x8019,0x8020,0x8025,0x8041,0x8044,0x8050,0x8052,
    0x8055,0x8058,0x8061,0x8080,0x8085,0x8091,0x8094,0x8101,0x8104,0x8109,0x8110,0x8112,0x8115,0x8118,0x8121,0x8124,
    0x8140,0x8142,0x8145,0x8148,0x8151,0x8154,0x8181,0x8184,0x8190,0x81a9,0x8200,0x8205,0x820a,0x8211,0x8214,0x8241,
    0x8244,0x8250,0x8401,0x8404,0x8406,0x8409,0x8410,0x8412,0x8415,0x8418,0x8421,0x8440,0x8442,0x8445,0x8448,0x8451,
    0x8454,0x8460,0x8481,0x8484,0x8490,0x8500,0x8502,0x8505,0x8508,0x8511,0x8514,0x8520,0x8541,0x8544,0x8550,0x8580,
    0x858a,0x8601,0x8604,0x8610,0x8629,0x8640,0x8800,0x8805,0x8811,0x8814,0x8841,0x8844,0x8850,0x88a2,0x8901,0x8904,
    0x8940,0x8965,0x8a22,0x8a58,0x8a5a,0x8a82,0x8aa2,0x9001,0x9004,0x9009,0x9010,0x9012,0x9015,0x9018,0x9024,0x9040,
    0x9042,0x9045,0x9048,0x9051,0x9054,0x9060,0x9081,0x9084,0x9090,0x9100,0x9105,0x9111,0x9114,0x9141,0x9144,0x9150,
    0x915a,0x9201,0x9204,0x9210,0x9240,0x92a6,0x9400,0x9402,0x9405,0x9408,0x9411,0x9414,0x9420,0x9441,0x9444,0x9450,
    0x9480,0x9496,0x9501,0x9504,0x9510,0x9540,0x9598,0x95a1,0x9600,0x9646,0x9664,0x9801,0x9804,0x9810,0x9826,0x9840,
    0x98a9,0x9900,0x9949,0x9952,0x9a90,0xa000,0xa005,0xa00a,0xa014,0xa022,0xa02a,0xa041,0xa044,0xa050,0xa0a2,0xa0aa,
    0xa140,0xa165,0xa202,0xa20a,0xa222,0xa228,0xa22a,0xa282,0xa288,0xa28a,0xa2a8,0xa401,0xa404,0xa410,0xa440,0xa489,
    0xa4a4,0xa500,0xa519,0xa651,0xa80a,0xa828,0xa8a2,0xa954,0xa986,0xaa08,0xaa0a,0xaa20,0xaa22,0xaa28,0xaa88,0xaaaa,
};

/* IQ3_XXS: index of 8 bits. */
AIOSK__CONST uint16_t aiosk__iq3xxs_grid[256 + 1] = {
    0x0000,0x0002,0x0004,0x0009,0x000b,0x000f,0x0010,0x0012,0x0019,0x0022,0x003b,0x003d,0x0041,0x0043,0x0048,0x004a,
    0x0051,0x0055,0x0058,0x005a,0x0061,0x006c,0x0078,0x0080,0x0082,0x0084,0x0089,0x0090,0x0092,0x0099,0x009b,0x009f,
    0x00a9,0x00af,0x00bd,0x00c1,0x00c7,0x00c8,0x00ca,0x00d5,0x00f8,0x010b,0x011f,0x0124,0x012f,0x013b,0x013d,0x0141,
    0x0147,0x015a,0x016a,0x019d,0x01b4,0x01c8,0x01cc,0x01ce,0x01e3,0x01f1,0x0201,0x0203,0x0208,0x020a,0x0211,0x0213,
    0x0218,0x021a,0x021c,0x0227,0x0228,0x0240,0x0242,0x0249,0x0250,0x0252,0x0281,0x0283,0x0288,0x028a,0x0291,0x0298,
    0x02ba,0x02c0,0x02c2,0x02d0,0x02d9,0x02e6,0x02f6,0x0301,0x0305,0x0328,0x0350,0x0354,0x0366,0x0379,0x0385,0x03d2,
    0x03e0,0x0400,0x0402,0x0409,0x040b,0x0410,0x0412,0x0416,0x0419,0x0422,0x0441,0x0443,0x0445,0x0448,0x044a,0x0451,
    0x0458,0x0473,0x0477,0x0478,0x0480,0x0482,0x0489,0x048f,0x0490,0x0492,0x049f,0x04a0,0x04ad,0x04c1,0x04c8,0x04cc,
    0x04f8,0x04fc,0x051d,0x052b,0x0543,0x0557,0x0561,0x057c,0x05c1,0x05c3,0x05ce,0x05e5,0x0601,0x0608,0x060a,0x0611,
    0x0613,0x0628,0x0635,0x063a,0x0640,0x0642,0x0650,0x0659,0x0664,0x0666,0x0681,0x0683,0x0688,0x0695,0x06aa,0x06ba,
    0x06c9,0x06db,0x0718,0x0727,0x073a,0x0740,0x0746,0x0752,0x076d,0x078c,0x079e,0x07b3,0x07db,0x07f0,0x0804,0x080f,
    0x081d,0x081f,0x082b,0x082f,0x087c,0x0890,0x089f,0x08a0,0x08b0,0x08b6,0x08c7,0x08e5,0x0904,0x0929,0x0934,0x0955,
    0x0963,0x0978,0x09c5,0x09c8,0x09ca,0x09d8,0x0a0a,0x0a21,0x0a38,0x0a40,0x0a46,0x0a56,0x0a6d,0x0a8c,0x0a9a,0x0aba,
    0x0ac2,0x0aeb,0x0b08,0x0b13,0x0b17,0x0b3a,0x0b42,0x0b59,0x0ba8,0x0bd4,0x0be2,0x0c14,0x0c24,0x0c26,0x0c34,0x0c51,
    0x0c71,0x0c8f,0x0cb4,0x0cd8,0x0cde,0x0d24,0x0d45,0x0d6a,0x0d9b,0x0dc3,0x0dd1,0x0e03,0x0e05,0x0e07,0x0e08,0x0e1a,
    0x0e2a,0x0e56,0x0e60,0x0e8a,0x0ea5,0x0eaa,0x0ec0,0x0ecd,0x0edb,0x0ef0,0x0f11,0x0f21,0x0f40,0x0f42,0x0f54,0x0f98,
};

/* IQ3_S: index of 9 bits; level i is 2 * i + 1. */
AIOSK__CONST uint16_t aiosk__iq3s_grid[512 + 1] = {
    0x0000,0x0001,0x0002,0x0005,0x0007,0x0008,0x0009,0x000a,0x000c,0x000e,0x0010,0x0011,0x0015,0x001b,0x0020,0x0022,
    0x0025,0x0027,0x0029,0x002b,0x0030,0x0032,0x0039,0x003c,0x003f,0x0040,0x0041,0x0042,0x0044,0x0048,0x0049,0x004d,
    0x0050,0x0053,0x0057,0x0059,0x005d,0x0064,0x0071,0x0075,0x007a,0x0080,0x0081,0x0085,0x0087,0x0088,0x008b,0x008e,
    0x0091,0x0095,0x0098,0x009c,0x00a2,0x00a5,0x00a7,0x00a9,0x00ab,0x00b8,0x00bb,0x00c3,0x00c9,0x00cd,0x00d0,0x00d2,
    0x00d9,0x00db,0x00de,0x00e4,0x00e8,0x00ea,0x00f7,0x00f9,0x00fd,0x0100,0x010b,0x010f,0x0111,0x0114,0x011a,0x0120,
    0x0123,0x0129,0x0138,0x0142,0x0144,0x0150,0x0152,0x0156,0x015b,0x0161,0x0165,0x0167,0x0176,0x017b,0x0186,0x0189,
    0x018b,0x0199,0x01aa,0x01b9,0x01c0,0x01c2,0x01c4,0x01d0,0x01d2,0x01d6,0x01db,0x01e8,0x01ec,0x0200,0x0201,0x0202,
    0x0204,0x0208,0x0209,0x020b,0x020d,0x020f,0x0210,0x0212,0x0219,0x021c,0x021e,0x022c,0x022e,0x0231,0x023a,0x0240,
    0x0241,0x0243,0x0246,0x0248,0x024c,0x0251,0x0258,0x025b,0x0261,0x0268,0x026a,0x0278,0x027e,0x0280,0x028a,0x028d,
    0x028f,0x0290,0x0294,0x029a,0x02a0,0x02a3,0x02ad,0x02b0,0x02ba,0x02c1,0x02c4,0x02c7,0x02c8,0x02cb,0x02d1,0x02d7,
    0x02d8,0x02dc,0x02e1,0x02f2,0x02f8,0x0303,0x0305,0x030a,0x030c,0x0319,0x031b,0x0322,0x0326,0x0328,0x032c,0x0341,
    0x0348,0x034b,0x0351,0x0358,0x035a,0x0369,0x0390,0x0394,0x0397,0x03a4,0x03a6,0x03c1,0x03c3,0x03c8,0x03ca,0x03d1,
    0x03dd,0x03e1,0x03f2,0x03f8,0x0400,0x0401,0x0403,0x0405,0x0407,0x0408,0x040a,0x040c,0x040e,0x0411,0x0413,0x0417,
    0x0418,0x041a,0x0421,0x0423,0x0425,0x0428,0x042a,0x0437,0x0438,0x043b,0x043d,0x0440,0x0442,0x0448,0x044b,0x044f,
    0x0452,0x0455,0x0459,0x045c,0x0462,0x0469,0x0481,0x0484,0x0487,0x0491,0x0493,0x0498,0x049f,0x04a1,0x04ab,0x04af,
    0x04b9,0x04bc,0x04c0,0x04c2,0x04c5,0x04c9,0x04d2,0x04d4,0x04d9,0x04db,0x04e2,0x04e8,0x04f6,0x0501,0x0507,0x0510,
    0x0513,0x051a,0x051d,0x0521,0x053a,0x053d,0x0544,0x0549,0x0552,0x055f,0x0560,0x056b,0x0578,0x0580,0x0582,0x0587,
    0x0591,0x05ad,0x05b1,0x05c5,0x05c9,0x05d6,0x05d8,0x05e3,0x05e8,0x0602,0x0609,0x060b,0x060d,0x060f,0x0612,0x0619,
    0x061b,0x061d,0x0622,0x0624,0x0627,0x0629,0x0633,0x0639,0x0641,0x0643,0x0645,0x064c,0x0651,0x0653,0x0660,0x0670,
    0x067a,0x067e,0x0680,0x068a,0x0690,0x069a,0x069c,0x06a8,0x06c1,0x06c8,0x06cc,0x06d1,0x06d3,0x06d7,0x06d8,0x06e1,
    0x06e3,0x06e7,0x06ed,0x06fb,0x0703,0x0709,0x070e,0x0712,0x0719,0x072a,0x0730,0x0734,0x0741,0x0748,0x074a,0x0755,
    0x075a,0x0764,0x076e,0x077b,0x078e,0x07a1,0x07c1,0x07c3,0x07d0,0x07d2,0x07dd,0x0800,0x0804,0x080a,0x0810,0x0814,
    0x0817,0x081a,0x0821,0x0828,0x0838,0x0842,0x0847,0x0849,0x084b,0x0852,0x0858,0x085d,0x0863,0x0869,0x086d,0x0881,
    0x0883,0x0888,0x088d,0x0891,0x089b,0x08a0,0x08af,0x08b2,0x08b8,0x08c4,0x08c9,0x08cb,0x08d0,0x08d2,0x08d9,0x08dd,
    0x0900,0x0902,0x0914,0x091f,0x0920,0x0939,0x0945,0x0947,0x0951,0x0972,0x098b,0x099c,0x09b0,0x09c8,0x09cd,0x09d8,
    0x09e3,0x09e9,0x0a02,0x0a08,0x0a0c,0x0a12,0x0a20,0x0a24,0x0a27,0x0a2a,0x0a36,0x0a3c,0x0a41,0x0a43,0x0a45,0x0a4a,
    0x0a51,0x0a5a,0x0a7a,0x0a80,0x0a89,0x0a93,0x0a98,0x0a9e,0x0aab,0x0ac2,0x0ac7,0x0ac8,0x0ad7,0x0ae4,0x0ae9,0x0af5,
    0x0afb,0x0b01,0x0b04,0x0b10,0x0b1a,0x0b26,0x0b4a,0x0b56,0x0b69,0x0b6b,0x0ba2,0x0bc2,0x0bc4,0x0bd2,0x0c09,0x0c0b,
    0x0c0d,0x0c19,0x0c1b,0x0c30,0x0c40,0x0c50,0x0c57,0x0c74,0x0c8a,0x0c9c,0x0ca2,0x0cad,0x0cb2,0x0cb8,0x0cc0,0x0ccc,
    0x0cd1,0x0ce0,0x0d15,0x0d23,0x0d32,0x0d40,0x0d43,0x0d5c,0x0d70,0x0d85,0x0da0,0x0dc9,0x0dcb,0x0e00,0x0e04,0x0e07,
    0x0e10,0x0e12,0x0e1e,0x0e20,0x0e2c,0x0e32,0x0e42,0x0e49,0x0e54,0x0e63,0x0e65,0x0e81,0x0e84,0x0e88,0x0e8e,0x0e91,
    0x0e98,0x0ea9,0x0ec2,0x0eda,0x0edd,0x0eeb,0x0f01,0x0f05,0x0f0b,0x0f10,0x0f28,0x0f52,0x0f62,0x0f82,0x0f99,0x0fc0,
};

#endif

/* ======== kernels/ref.c, continued ======== */
/* ---- the types ---- */

static const aiosk_type aiosk__types[AIOSK_N_TYPES] = {
#define AIOSK__X(N, n, id, w, b, f, ...) { #n, w, b, AIOSK_##f, 0 },
#define AIOSK__GAP(id)                   { NULL, 0, 0, 0, 0 },
    AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
};
enum { /* ids are places */
#define AIOSK__X(N, n, id, ...) AIOSK__ID_##N = 1 / ((id) == AIOSK__AT_##N),
       AIOSK__FORMATS(AIOSK__X)
#undef AIOSK__X
};

AIOSK_API const aiosk_type *aiosk_type_info(int32_t type) {
    if ((uint32_t)type >= AIOSK_N_TYPES || !aiosk__types[type].name) return NULL;
    return &aiosk__types[type];
}

/* Also 0 when the bytes do not fit 64 bits: n may come from a file. */
AIOSK_API uint64_t aiosk_row_bytes(int32_t type, uint64_t n) {
    const aiosk_type *t = aiosk_type_info(type);
    if (!t || n % t->n_weights != 0 || n / t->n_weights > UINT64_MAX / t->n_bytes) return 0;
    return n / t->n_weights * t->n_bytes;
}

AIOSK_API float aiosk_f16_to_f32(uint16_t h) { return aiosk__f16(h); }
AIOSK_API uint16_t aiosk_f32_to_f16(float x) { return aiosk__to_f16(x); }

/* ---- blocks of 32: a float scale per unit ----
 * b: one block, any alignment; o: all zero on entry but unit = 32. k counts columns of the
 * block. In "halves" order the low nibbles of 16 bytes are columns 0..15, the high ones 16..31.
 * The largest exact sum over a unit of 32, for Q8_0, is 32 * 128 * 127 < 2^19: it is exact in
 * float too. */

AIOSK__INLINE uint32_t aiosk__nibble(const uint8_t *qs, int k) {
    return (uint32_t)qs[k & 15] >> (k & 16 ? 4 : 0) & 15;
}

/* f16 d, 16 bytes in halves; code - 8 */
static void aiosk__ints_q4_0(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    for (int k = 0; k < 32; k++) o->q[k] = (int8_t)((int)aiosk__nibble(b + 2, k) - 8);
}

/* f16 d, f16 m, 16 bytes in halves; d * q + m */
static void aiosk__ints_q4_1(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    o->dmin[0] = -aiosk__f16_at(b + 2);
    o->has_min = 1;
    for (int k = 0; k < 32; k++) o->q[k] = (int8_t)aiosk__nibble(b + 4, k);
}

/* f16 d, 32 fifth bits, 16 bytes in halves; code - 16 */
static void aiosk__ints_q5_0(const uint8_t *b, aiosk__ints *o) {
    uint32_t qh = aiosk__u32(b + 2);
    o->d[0] = aiosk__f16_at(b);
    for (int k = 0; k < 32; k++)
        o->q[k] = (int8_t)((int)(aiosk__nibble(b + 6, k) | ((qh >> k & 1) << 4)) - 16);
}

/* f16 d, f16 m, 32 fifth bits, 16 bytes in halves; d * q + m */
static void aiosk__ints_q5_1(const uint8_t *b, aiosk__ints *o) {
    uint32_t qh = aiosk__u32(b + 4);
    o->d[0] = aiosk__f16_at(b);
    o->dmin[0] = -aiosk__f16_at(b + 2);
    o->has_min = 1;
    for (int k = 0; k < 32; k++) o->q[k] = (int8_t)(aiosk__nibble(b + 8, k) | ((qh >> k & 1) << 4));
}

/* f16 d, 32 int8. Codes may be -128 in a file, though no quantiser writes that. */
static void aiosk__ints_q8_0(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    memcpy(o->q, b + 2, 32);
}

/* f16 d, f16 d * sum(q) (not needed here), 32 int8 */
static void aiosk__ints_q8_1(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    memcpy(o->q, b + 4, 32);
}

/* f16 d, 16 bytes in halves: indices of levels */
static void aiosk__ints_iq4_nl(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    for (int k = 0; k < 32; k++) o->q[k] = aiosk__iq4_levels[aiosk__nibble(b + 2, k)];
}

/* E8M0 scale, 16 bytes in halves: E2M1 */
static void aiosk__ints_mxfp4(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__e8m0_half(b[0]);
    for (int k = 0; k < 32; k++) o->q[k] = aiosk__fp4_levels[aiosk__nibble(b + 1, k)];
}

/* 64 weights: 4 UE4M3 scales, then per 16 weights 8 bytes: E2M1, low nibbles columns 0..7, high
 * ones 8..15 */
static void aiosk__ints_nvfp4(const uint8_t *b, aiosk__ints *o) {
    o->unit = 16;
    for (int k = 0; k < 4; k++) o->d[k] = aiosk__ue4m3_half(b[k]);
    for (int k = 0; k < 64; k++)
        o->q[k] = aiosk__fp4_levels[(b[4 + (k >> 4) * 8 + (k & 7)] >> (k & 8 ? 4 : 0)) & 15];
}

/* 128 weights: f16 d, 128 bits in column order; 1 is +d, 0 is -d */
static void aiosk__ints_q1_0(const uint8_t *b, aiosk__ints *o) {
    for (int k = 0; k < 4; k++) o->d[k] = aiosk__f16_at(b);
    for (int k = 0; k < 128; k++) o->q[k] = b[2 + (k >> 3)] >> (k & 7) & 1 ? 1 : -1;
}

/* 64 weights: f16 d, 2 bits each in column order; code - 1, so -1, 0, 1, 2 */
static void aiosk__ints_q2_0(const uint8_t *b, aiosk__ints *o) {
    for (int k = 0; k < 2; k++) o->d[k] = aiosk__f16_at(b);
    for (int k = 0; k < 64; k++) o->q[k] = (int8_t)((b[2 + (k >> 2)] >> ((k & 3) * 2) & 3) - 1);
}

/* ---- blocks of 256: integer sub-scales per 16 columns ----
 * o: all zero on entry but unit = 256. k counts columns, j sub-blocks of 16, g groups of 8 (one
 * code book entry). The int32 sum S = sum_j sc[j] * dot_j cannot overflow: |x| <= 127, so |S| <=
 * 256 * 127 * max|sc * q|. The bound on |sc * q| stands with each type; the largest, 4096
 * (Q6_K), gives 2^27. M <= 256 * 127 * 63 < 2^21. */

/* Column k of 64 bytes of 2-bit codes: 32 bytes hold 128 columns, 2 bits of each byte per 32
 * columns. */
AIOSK__INLINE uint32_t aiosk__two_bits(const uint8_t *qs, int k) {
    return (uint32_t)qs[(k >> 7) * 32 + (k & 31)] >> (k >> 5 & 3) * 2 & 3;
}

/* Column k of 128 bytes of nibbles: 32 bytes hold 64 columns, low nibbles first. */
AIOSK__INLINE uint32_t aiosk__four_bits(const uint8_t *qs, int k) {
    return (uint32_t)qs[(k >> 6) * 32 + (k & 31)] >> (k & 32 ? 4 : 0) & 15;
}

/* 16 bytes scale | min << 4, 2-bit codes [64], f16 d, f16 dmin. |sc * q| <= 15 * 3 */
static void aiosk__ints_q2_k(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b + 80);
    o->dmin[0] = aiosk__f16_at(b + 82);
    o->has_min = 1;
    for (int j = 0; j < 16; j++) {
        o->sc[j] = (int16_t)(b[j] & 15);
        o->mn[j] = (int16_t)(b[j] >> 4);
    }
    for (int k = 0; k < 256; k++) o->q[k] = (int8_t)aiosk__two_bits(b + 16, k);
}

/* third bits [32] (bit i of byte k: column 32 * i + k), 2-bit codes [64], 16 scales of 6 bits in
 * 12 bytes (8 bytes of low nibbles, 4 bytes of upper pairs), f16 d; code - 4, scale - 32. |sc *
 * q| <= 32 * 4 */
static void aiosk__ints_q3_k(const uint8_t *b, aiosk__ints *o) {
    const uint8_t *s = b + 96;
    o->d[0] = aiosk__f16_at(b + 108);
    for (int j = 0; j < 16; j++)
        o->sc[j] = (int16_t)(((s[j & 7] >> (j >> 3) * 4 & 15) | (s[8 + (j & 3)] >> (j >> 2) * 2 & 3)
                                                                    << 4) -
                             32);
    for (int k = 0; k < 256; k++)
        o->q[k] = (int8_t)((int)(aiosk__two_bits(b + 32, k) | ((uint32_t)b[k & 31] >> (k >> 5) & 1)
                                                                  << 2) -
                           4);
}

/* 8 scales and 8 minima of 6 bits in 12 bytes, each for 32 columns: bytes 0..3 and 4..7 hold
 * those of 0..3 in their low 6 bits; bytes 8..11 the low nibbles of those of 4..7, whose upper
 * pairs are the top bits of bytes 0..7. */
static void aiosk__scales_k(const uint8_t *s, aiosk__ints *o) {
    for (int i = 0; i < 4; i++) {
        o->sc[2 * i] = o->sc[2 * i + 1] = (int16_t)(s[i] & 63);
        o->mn[2 * i] = o->mn[2 * i + 1] = (int16_t)(s[i + 4] & 63);
        o->sc[2 * i + 8] = o->sc[2 * i + 9] = (int16_t)((s[i + 8] & 15) | (s[i] >> 6) << 4);
        o->mn[2 * i + 8] = o->mn[2 * i + 9] = (int16_t)((s[i + 8] >> 4) | (s[i + 4] >> 6) << 4);
    }
}

/* f16 d, f16 dmin, scales [12], nibbles [128]. |sc * q| <= 63 * 15 */
static void aiosk__ints_q4_k(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    o->dmin[0] = aiosk__f16_at(b + 2);
    o->has_min = 1;
    aiosk__scales_k(b + 4, o);
    for (int k = 0; k < 256; k++) o->q[k] = (int8_t)aiosk__four_bits(b + 16, k);
}

/* f16 d, f16 dmin, scales [12], fifth bits [32] (bit i of byte k: column 32 * i + k), nibbles
 * [128]. |sc * q| <= 63 * 31 */
static void aiosk__ints_q5_k(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    o->dmin[0] = aiosk__f16_at(b + 2);
    o->has_min = 1;
    aiosk__scales_k(b + 4, o);
    for (int k = 0; k < 256; k++)
        o->q[k] = (int8_t)(aiosk__four_bits(b + 48, k) |
                           ((uint32_t)b[16 + (k & 31)] >> (k >> 5) & 1) << 4);
}

/* low nibbles [128] (64 bytes hold 128 columns), upper pairs [64], int8 scales [16], f16 d; code
 * - 32. |sc * q| <= 128 * 32 */
static void aiosk__ints_q6_k(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b + 208);
    for (int j = 0; j < 16; j++) o->sc[j] = (int8_t)b[192 + j];
    for (int k = 0; k < 256; k++) {
        uint32_t low = (uint32_t)b[(k >> 7) * 64 + (k & 63)] >> (k & 64 ? 4 : 0) & 15;
        o->q[k] = (int8_t)((int)(low | aiosk__two_bits(b + 128, k) << 4) - 32);
    }
}

/* f32 d, int8 [256], int16 sums [16] (not needed here) */
static void aiosk__ints_q8_k(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f32(b);
    for (int j = 0; j < 16; j++) o->sc[j] = 1;
    memcpy(o->q, b + 4, 256);
}

/* Ternary digits n = 0.. of a byte, first digit first: the byte is ceil(256/243 * number), so
 * that multiplying by 3 pushes the next digit out at the top. Bytes [32] hold 5 * 32 columns,
 * [16] 5 * 16, [4] 4 * 4; f16 d. |q| <= 1 */
static void aiosk__ints_tq1_0(const uint8_t *b, aiosk__ints *o) {
    static const uint8_t pow3[5] = { 1, 3, 9, 27, 81 };
    o->d[0] = aiosk__f16_at(b + 52);
    for (int j = 0; j < 16; j++) o->sc[j] = 1;
    for (int k = 0; k < 256; k++) {
        int i, n;
        if (k < 160) {
            i = k & 31;
            n = k >> 5;
        } else if (k < 240) {
            i = 32 + ((k - 160) & 15);
            n = (k - 160) >> 4;
        } else {
            i = 48 + (k & 3);
            n = (k - 240) >> 2;
        }
        o->q[k] = (int8_t)((((b[i] * pow3[n]) & 255) * 3 >> 8) - 1);
    }
}

/* 2-bit codes [64], f16 d; code - 1. -1 <= q <= 2 */
static void aiosk__ints_tq2_0(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b + 64);
    for (int j = 0; j < 16; j++) o->sc[j] = 1;
    for (int k = 0; k < 256; k++) o->q[k] = (int8_t)((int)aiosk__two_bits(b, k) - 1);
}

/* Writes the 8 values of a code book entry; bit i of signs negates value i. */
AIOSK__INLINE void aiosk__grid8(int8_t *q, uint32_t entry, uint32_t signs) {
    for (int i = 0; i < 8; i++) {
        int v = aiosk__iq2_levels[entry >> 2 * i & 3];
        q[i] = (int8_t)(signs >> i & 1 ? -v : v);
    }
}

/* The same for 4 values of 3 bits. */
AIOSK__INLINE void aiosk__grid4(int8_t *q, uint32_t entry, const int8_t *levels, uint32_t signs) {
    for (int i = 0; i < 4; i++) {
        int v = levels[entry >> 3 * i & 7];
        q[i] = (int8_t)(signs >> i & 1 ? -v : v);
    }
}

/* f16 d; per 32 columns 4 index bytes and 32 bits: 4 * 7 signs, 4 of scale. weight = d/8 *
 * (2s+1) * q; |sc * q| <= 31 * 43 */
static void aiosk__ints_iq2_xxs(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b) * 0.125f;
    for (int g = 0; g < 32; g++) {
        const uint8_t *p = b + 2 + (g >> 2) * 8;
        uint32_t s = aiosk__u32(p + 4);
        o->sc[g >> 1] = (int16_t)(2 * (s >> 28) + 1);
        aiosk__grid8(o->q + 8 * g, aiosk__iq2xxs_grid[p[g & 3]], aiosk__signs7(s >> 7 * (g & 3)));
    }
}

/* f16 d; per 8 columns 16 bits: 9 of index, 7 of signs; 16 scales of 4 bits. weight = d/8 *
 * (2s+1) * q; |sc * q| <= 31 * 43 */
static void aiosk__ints_iq2_xs(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b) * 0.125f;
    for (int j = 0; j < 16; j++)
        o->sc[j] = (int16_t)(2 * (b[66 + (j >> 1)] >> (j & 1) * 4 & 15) + 1);
    for (int g = 0; g < 32; g++) {
        uint32_t v = aiosk__u16(b + 2 + 2 * g);
        aiosk__grid8(o->q + 8 * g, aiosk__iq2xs_grid[v & 511], aiosk__signs7(v >> 9));
    }
}

/* f16 d; low 8 bits of index [32], signs [32], upper 2 bits of index [8], 16 scales of 4 bits.
 * weight = d/8 * (2s+1) * q; |sc * q| <= 31 * 43 */
static void aiosk__ints_iq2_s(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b) * 0.125f;
    for (int j = 0; j < 16; j++)
        o->sc[j] = (int16_t)(2 * (b[74 + (j >> 1)] >> (j & 1) * 4 & 15) + 1);
    for (int g = 0; g < 32; g++) {
        uint32_t i = b[2 + g] | ((uint32_t)b[66 + (g >> 2)] >> (g & 3) * 2 & 3) << 8;
        aiosk__grid8(o->q + 8 * g, aiosk__iq2s_grid[i], b[34 + g]);
    }
}

/* f16 d; 64 index bytes; per 32 columns 32 bits: 4 * 7 signs, 4 of scale. weight = d/4 * (2s+1)
 * * q; |sc * q| <= 31 * 62 */
static void aiosk__ints_iq3_xxs(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b) * 0.25f;
    for (int g = 0; g < 32; g++) {
        uint32_t s = aiosk__u32(b + 66 + (g >> 2) * 4), signs = aiosk__signs7(s >> 7 * (g & 3));
        o->sc[g >> 1] = (int16_t)(2 * (s >> 28) + 1);
        aiosk__grid4(o->q + 8 * g, aiosk__iq3xxs_grid[b[2 + 2 * g]], aiosk__iq3xxs_levels, signs);
        aiosk__grid4(o->q + 8 * g + 4, aiosk__iq3xxs_grid[b[3 + 2 * g]], aiosk__iq3xxs_levels,
                     signs >> 4);
    }
}

/* f16 d; low 8 bits of index [64], ninth bits [8], signs [32], 8 scales of 4 bits. weight = d *
 * (2s+1) * q; |sc * q| <= 31 * 15 */
static void aiosk__ints_iq3_s(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b);
    for (int j = 0; j < 16; j++)
        o->sc[j] = (int16_t)(2 * (b[106 + (j >> 2)] >> (j & 2) * 2 & 15) + 1);
    for (int i = 0; i < 64; i++) { /* groups of 4 columns */
        uint32_t at = b[2 + i] | ((uint32_t)b[66 + (i >> 3)] >> (i & 7) & 1) << 8;
        aiosk__grid4(o->q + 4 * i, aiosk__iq3s_grid[at], aiosk__iq3s_levels,
                     (uint32_t)b[74 + (i >> 1)] >> (i & 1) * 4);
    }
}

/* The 8 codes of an IQ1 entry: weight = value +- 1/8, so in eighths 8 * value +- 1. */
AIOSK__INLINE void aiosk__grid1(int8_t *q, uint32_t entry, uint32_t minus) {
    for (int i = 0; i < 8; i++)
        q[i] = (int8_t)(8 * aiosk__iq1_levels[entry >> 2 * i & 3] + (minus ? -1 : 1));
}

/* f16 d; low 8 bits of index [32]; per 32 columns 16 bits: 4 * 3 upper bits of index, 3 of
 * scale, the sign of the eighth. weight = d/8 * (2s+1) * q; |sc * q| <= 15 * 9 */
static void aiosk__ints_iq1_s(const uint8_t *b, aiosk__ints *o) {
    o->d[0] = aiosk__f16_at(b) * 0.125f;
    for (int g = 0; g < 32; g++) {
        uint32_t h = aiosk__u16(b + 34 + (g >> 2) * 2);
        o->sc[g >> 1] = (int16_t)(2 * (h >> 12 & 7) + 1);
        aiosk__grid1(o->q + 8 * g, aiosk__iq1_grid[b[2 + g] | (h >> 3 * (g & 3) & 7) << 8],
                     h & 0x8000);
    }
}

/* low 8 bits of index [32]; per 8 columns a nibble: 3 upper bits of index, the sign of the
 * eighth; four 16-bit words of 4 * 3 bits of scale each, whose top nibbles together are the f16
 * d. weight = d/8 * (2s+1) * q; |sc * q| <= 15 * 9 */
static void aiosk__ints_iq1_m(const uint8_t *b, aiosk__ints *o) {
    uint32_t d = 0;
    for (int j = 0; j < 4; j++) d |= (uint32_t)(aiosk__u16(b + 48 + 2 * j) >> 12) << 4 * j;
    o->d[0] = aiosk__f16((uint16_t)d) * 0.125f;
    for (int j = 0; j < 16; j++)
        o->sc[j] = (int16_t)(2 * (aiosk__u16(b + 48 + (j >> 2) * 2) >> 3 * (j & 3) & 7) + 1);
    for (int g = 0; g < 32; g++) {
        uint32_t h = (uint32_t)b[32 + (g >> 1)] >> (g & 1) * 4;
        aiosk__grid1(o->q + 8 * g, aiosk__iq1_grid[b[g] | (h & 7) << 8], h & 8);
    }
}

/* f16 d; 8 scales of 6 bits: 16 bits of upper pairs, 4 bytes of low nibbles; per 32 columns 16
 * bytes in halves: indices of levels; scale - 32. |sc * q| <= 32 * 127 */
static void aiosk__ints_iq4_xs(const uint8_t *b, aiosk__ints *o) {
    uint32_t h = aiosk__u16(b + 2);
    o->d[0] = aiosk__f16_at(b);
    for (int i = 0; i < 8; i++) {
        int s = (b[4 + (i >> 1)] >> (i & 1) * 4 & 15) | (int)(h >> 2 * i & 3) << 4;
        o->sc[2 * i] = o->sc[2 * i + 1] = (int16_t)(s - 32);
    }
    for (int k = 0; k < 256; k++)
        o->q[k] = aiosk__iq4_levels[aiosk__nibble(b + 8 + (k >> 5) * 16, k & 31)];
}

/* One block of any quantised type. FLT and integer types have no such form: *out is then all
 * zero. */
AIOSK__SHARED void aiosk__unpack_ints(int32_t type, const void *block, aiosk__ints *out) {
    const uint8_t *b = (const uint8_t *)block;
    memset(out, 0, sizeof *out);
    switch (type) {
#define AIOSK__INTS_FLT(N, n)
#define AIOSK__INTS_RAW(N, n)
#define AIOSK__INTS_A32(N, n)    \
    case AIOSK_##N:              \
        out->unit = 32;          \
        aiosk__ints_##n(b, out); \
        break;
#define AIOSK__INTS_A256(N, n)   \
    case AIOSK_##N:              \
        out->unit = 256;         \
        aiosk__ints_##n(b, out); \
        break;
#define AIOSK__X(N, n, id, w, bytes, f, ...) AIOSK__INTS_##f(N, n)
        AIOSK__FORMATS(AIOSK__X)
        AIOSK__INTS_A32(Q8_1, q8_1)
        AIOSK__INTS_A256(Q8_K, q8_k)
#undef AIOSK__X
#undef AIOSK__INTS_A256
#undef AIOSK__INTS_A32
#undef AIOSK__INTS_RAW
#undef AIOSK__INTS_FLT
    default: break;
    }
}

/* ---- floats ---- */

/* n = columns of the block, in runs of 16: every scale holds for one run at least. a and m are
 * exact (see the top), and so is a * q in every type with a minimum (11 + 6 + 5 bits), so
 * contraction could change nothing here. */
static void aiosk__ints_to_f32(const aiosk__ints *v, uint32_t n, float *y) {
    for (uint32_t j = 0; j < n / 16; j++) {
        uint32_t u = j * 16 / (uint32_t)v->unit;
        float a = v->d[u], m = v->dmin[u];
        if (v->unit == 256) {
            a *= (float)v->sc[j];
            m *= (float)v->mn[j];
        }
        for (uint32_t k = j * 16; k < j * 16 + 16; k++) y[k] = a * (float)v->q[k];
        if (!v->has_min) continue;
        for (uint32_t k = j * 16; k < j * 16 + 16; k++) y[k] -= m;
    }
}

AIOSK_API void aiosk_unpack(int32_t type, const void *src, uint64_t n, float *dst) {
    const uint8_t *p = (const uint8_t *)src;
    const aiosk_type *t = aiosk_type_info(type);
    if (!t) return;
    for (uint64_t i = 0; i + t->n_weights <= n; i += t->n_weights, p += t->n_bytes) {
        switch (type) {
        case AIOSK_F32: dst[i] = aiosk__f32(p); break;
        case AIOSK_F16: dst[i] = aiosk__f16(aiosk__u16(p)); break;
        case AIOSK_BF16: dst[i] = aiosk__bf16(aiosk__u16(p)); break;
        case AIOSK_F64: {
            double v;
            memcpy(&v, p, 8);
            dst[i] = (float)v;
        } break;
        case AIOSK_I8: dst[i] = (float)(int8_t)p[0]; break;
        case AIOSK_I16: {
            int16_t v;
            memcpy(&v, p, 2);
            dst[i] = (float)v;
        } break;
        case AIOSK_I32: {
            int32_t v;
            memcpy(&v, p, 4);
            dst[i] = (float)v;
        } break;
        case AIOSK_I64: {
            int64_t v;
            memcpy(&v, p, 8);
            dst[i] = (float)v;
        } break;
        default: {
            aiosk__ints v;
            aiosk__unpack_ints(type, p, &v);
            aiosk__ints_to_f32(&v, t->n_weights, dst + i);
        }
        }
    }
}

/* A product of two floats is exact in double, so contraction could change nothing in the sum. */
AIOSK_API void aiosk_matmul_reference(int32_t type, const aiosk_matmul *m, float *tmp) {
    uint64_t bytes = aiosk_row_bytes(type, (uint64_t)m->n_in);
    if (bytes == 0) return;
    for (int32_t r = m->row0; r < m->row1; r++) {
        aiosk_unpack(type, (const uint8_t *)m->w + (uint64_t)r * bytes, (uint64_t)m->n_in, tmp);
        for (int32_t c = 0; c < m->n_cols; c++) {
            const uint8_t *x = (const uint8_t *)m->x + (uint64_t)c * m->x_stride;
            float *y = m->y + (uint64_t)c * m->y_stride + r, t;
            double sum = 0;
            for (int32_t k = 0; k < m->n_in; k++)
                sum += (double)tmp[k] * (double)aiosk__f32(x + (size_t)k * 4);
            t = (float)sum;
            if (m->bias) t += m->bias[r];
            if (m->flags & AIOSK_MM_ADD) t += *y;
            *y = t;
        }
    }
}

/* ======== kernels/quantize.c ======== */
/* quantize.c: f32 -> blocks, the reverse of ref.c, for tools that write model files. Scalar, no
 * state, the same bytes from every compiler: plain float and double in a fixed order, never
 * contracted. After ref.c, whose definition of the formats it aims at.
 *
 * Every type is the same problem, x = d * sc[j] * L - dmin * mn[j] with levels L that a code can
 * stand for, least squares:
 *
 *     one sub-block     aiosk__fit_sub: a few scales are tried, each refitted to the levels it
 *                       gives; the best is refined until it stands (levels for a scale, scale for
 *                       the levels, and so on)
 *     one scale each    aiosk__fit_plain: what can be stored next to that scale, by exact error
 *                       (Q4_0 .. Q8_0, IQ4_NL, MXFP4 ..)
 *     integer scales    aiosk__fit_super: the sub-blocks' scales are themselves quantised, by the
 *                       same search; then in rounds: each sub-block takes the integers with the
 *                       least exact error, and d and dmin are refitted to all of them
 *
 * A block is first brought to |x| < 2 by a power of two, so that squares neither overflow nor
 * vanish. */

struct aiosk__fit;
typedef struct aiosk__levels {
    float low, high; /* every integer from low to high; or */
    int32_t n; /* n > 0: low, low + step[0], low + step[0] + step[1], .. with mid[] half way */
    float mid[15], step[15];
} aiosk__levels;

enum { AIOSK__ALL = 0, AIOSK__IQ4 = 1, AIOSK__FP4 = 2, AIOSK__SIGN = 3 }; /* levels of a recipe */
enum { AIOSK__F16_SCALE = 0, AIOSK__E8M0_SCALE = 1, AIOSK__E4M3_SCALE = 2 };

/* How a type is fitted: a row of formats.h */
typedef struct aiosk__recipe {
    /* writes what was fitted, with these codes; b is all zero. NULL: no quantiser */
    void (*put)(const struct aiosk__fit *f, const uint8_t *c, uint8_t *b);
    uint8_t scale, levels;
    uint16_t n, sub; /* weights fitted together, and per scale */
    int8_t low, high;
    int8_t sc_lo, sc_hi; /* integer scales; 0, 0: the scale is a float */
    int8_t mn;           /* the largest; 0: no minimum, -1: any number */
    /* the first scales tried: from .. to percent of the one that just avoids clipping */
    uint8_t n_tries;
    uint16_t from, to;
} aiosk__recipe;

/* Sums over a sub-block, each weight times w: 1, x, x^2; L, L^2, xL. */
typedef struct aiosk__moments {
    double w, x, xx, l, ll, xl;
} aiosk__moments;

typedef struct aiosk__fit {
    const aiosk__recipe *r;
    aiosk__levels lv, sc, mn; /* of codes, integer scales, integer minima */
    double unit;              /* 2^e: a stored number is unit times the one that is fitted */
    float x[256], w[256];     /* the block, and how much each weight matters */
    float l[256], try_l[256]; /* levels: the best so far, the ones being tried */
    double a[16], m[16];      /* of each sub-block: x = a L - m */
    aiosk__moments s[16];
    /* the result, with l */
    uint16_t d, dmin; /* as stored (f16, or the byte of the type's scale) */
    int16_t isc[16], imn[16];
    int32_t part; /* of a block, where several are fitted one by one: NVFP4 */
} aiosk__fit;
enum { AIOSK__NO_MIN = 0 };

/* ---- a pass over a sub-block ----
 * n is a multiple of 16. Eight partial sums: a fixed order, and short chains of additions. */

/* l[i] = the level nearest to x[i] * inv + off. Any inv and off, even infinities: the levels are
 * always in range. */
AIOSK__STRICT AIOSK__NOINLINE static void aiosk__nearest(const aiosk__levels *lv,
                                                         const float *AIOSK__RESTRICT x, int32_t n,
                                                         float inv, float off,
                                                         float *AIOSK__RESTRICT l) {
    float low = lv->low, high = lv->high;
    if (!lv->n) {
        for (int32_t i = 0; i < n; i += 8)
            for (int32_t j = 0; j < 8; j++) {
                float v = x[i + j] * inv + off;
                v = v > low ? v : low;
                v = v < high ? v : high;
                /* 1.5 * 2^23: rounds to an integer, ties to even */
                l[i + j] = (v + 12582912.0f) - 12582912.0f;
            }
        return;
    }
    for (int32_t i = 0; i < n; i += 8) {
        float v[8], s[8];
        for (int32_t j = 0; j < 8; j++) {
            v[j] = x[i + j] * inv + off;
            s[j] = low;
        }
        for (int32_t k = 0; k < lv->n; k++) {
            float mid = lv->mid[k], step = lv->step[k];
            for (int32_t j = 0; j < 8; j++) s[j] += v[j] > mid ? step : 0.0f;
        }
        for (int32_t j = 0; j < 8; j++) l[i + j] = s[j];
    }
}

AIOSK__INLINE double aiosk__sum8(const float *s) {
    return ((double)s[0] + (double)s[4]) + ((double)s[2] + (double)s[6]) +
           (((double)s[1] + (double)s[5]) + ((double)s[3] + (double)s[7]));
}
/* The moments that depend on the levels. */
AIOSK__STRICT AIOSK__NOINLINE static void
aiosk__measure(const float *x, const float *w, const float *l, int32_t n, aiosk__moments *s) {
    float a[8] = { 0 }, b[8] = { 0 }, c[8] = { 0 };
    for (int32_t i = 0; i < n; i += 8)
        for (int32_t j = 0; j < 8; j++) {
            float wl = w[i + j] * l[i + j];
            a[j] += wl;
            b[j] += wl * l[i + j];
            c[j] += wl * x[i + j];
        }
    s->l = aiosk__sum8(a);
    s->ll = aiosk__sum8(b);
    s->xl = aiosk__sum8(c);
}
/* sum w (x - (a l - m))^2 */
AIOSK__STRICT AIOSK__NOINLINE static double
aiosk__squares(const float *x, const float *w, const float *l, int32_t n, float a, float m) {
    float s[8] = { 0 };
    for (int32_t i = 0; i < n; i += 8)
        for (int32_t j = 0; j < 8; j++) {
            float e = (x[i + j] + m) - a * l[i + j];
            s[j] += w[i + j] * (e * e);
        }
    return aiosk__sum8(s);
}

/* ---- one sub-block: x = a L - m ---- */

/* The a and m of least squares for levels with these moments; gives by how much they bring the
 * sum of squares below s->xx. mn as in a recipe: a minimum is none, any number, or not negative. */
AIOSK__STRICT static double aiosk__solve(const aiosk__moments *s, int32_t mn, double *a,
                                         double *m) {
    if (mn != AIOSK__NO_MIN) {
        double det = s->w * s->ll - s->l * s->l;
        *a = det > 1e-7 * s->w * s->ll ? (s->w * s->xl - s->x * s->l) / det : 0;
        *m = (*a * s->l - s->x) / s->w;
        if (*a >= 0 && (*m >= 0 || mn < 0)) return *a * s->xl - *m * s->x;
    }
    *m = 0;
    *a = s->ll > 0 ? s->xl / s->ll : 0;
    if (mn != AIOSK__NO_MIN && *a < 0) *a = 0;
    return *a * s->xl;
}

/* The scale of least squares for n values alone, as x = a L: tries, then refines. Levels go to
 * best. */
AIOSK__STRICT static double aiosk__fit_values(const aiosk__levels *lv, const float *x,
                                              const float *w, int32_t n, int32_t mn,
                                              int32_t n_tries, double from, double to,
                                              aiosk__moments *s, float *tmp, float *best,
                                              double *m) {
    double top = 0, low = 0, high = 0, best_gain = -1, a = 0, ends[2];
    int32_t left = 4;
    s->w = s->x = s->xx = 0;
    for (int32_t i = 0; i < n; i++) {
        double v = (double)x[i], u = (double)w[i];
        if (v > top || -v > top) top = v < 0 ? -v : v;
        if (v < low || (mn < 0 && i == 0)) low = v;
        if (v > high || (mn < 0 && i == 0)) high = v;
        s->w += u;
        s->x += u * v;
        s->xx += u * v * v;
    }
    *m = 0;
    /* the largest value goes to the end of the levels that lies further out; where the ends
     * differ much, every other time to the other */
    ends[0] = (double)(-lv->low > lv->high ? lv->low : lv->high);
    ends[1] = (double)(-lv->low > lv->high ? lv->high : lv->low);
    if (ends[1] == 0 || (lv->low + lv->high >= -1 && lv->low + lv->high <= 0)) ends[1] = ends[0];
    if (-low > high) top = -top;
    if (lv->low == -lv->high && top < 0) top = -top; /* keeps scales positive that have no sign */
    for (int32_t k = 0; k < n_tries + left; k++) {
        double inv, off = 0, ta, tm, gain;
        if (k < n_tries) {
            inv = (from + (to - from) * k / (n_tries > 1 ? n_tries - 1 : 1)) * 0.01;
            if (mn == AIOSK__NO_MIN)
                inv = top != 0 ? inv * ends[k & 1] / top : 0;
            else {
                inv = high > low ? inv * (double)lv->high / (high - low) : 0;
                off = -low * inv;
            }
        } else {
            if (a == 0) break;
            inv = 1 / a;
            off = *m * inv;
        }
        aiosk__nearest(lv, x, n, (float)inv, (float)off, tmp);
        aiosk__measure(x, w, tmp, n, s);
        gain = aiosk__solve(s, mn, &ta, &tm);
        if (gain > best_gain) {
            best_gain = gain;
            a = ta;
            *m = tm;
            memcpy(best, tmp, (size_t)n * sizeof *best);
        } else if (k >= n_tries)
            break;
    }
    aiosk__measure(x, w, best, n, s);
    return a;
}

static void aiosk__fit_sub(aiosk__fit *f, int32_t j) {
    const aiosk__recipe *r = f->r;
    int32_t at = j * r->sub;
    f->a[j] = aiosk__fit_values(&f->lv, f->x + at, f->w + at, r->sub, r->mn, r->n_tries, r->from,
                                r->to, &f->s[j], f->try_l, f->l + at, &f->m[j]);
}

/* ---- numbers as they are stored ---- */

/* The f16 nearest to v * unit, and what it is worth in the fit. */
AIOSK__STRICT static double aiosk__store_f16(const aiosk__fit *f, double v, uint16_t *h) {
    v *= f->unit;
    if (!(v > -65504)) v = -65504;
    if (!(v < 65504)) v = 65504;
    *h = aiosk__to_f16((float)v);
    return (double)aiosk__f16(*h) / f->unit;
}
/* Stored scale number i = 0, 1, .. near a; 0 when there are no more. */
AIOSK__STRICT static int aiosk__store_scale(const aiosk__fit *f, double a, int32_t i, double *d,
                                            uint16_t *h) {
    int32_t k, n;
    a = (a < 0 ? -a : a) * f->unit;
    switch (f->r->scale) {
    /* 2^(k-128), and both neighbours; above k = 252 the level 12 would be infinite */
    case AIOSK__E8M0_SCALE:
        for (k = 1; k < 252 && (double)aiosk__e8m0_half((uint8_t)k) * 2 <= a; k++) {}
        k += i - 1;
        if (i > 2 || k > 252) return 0;
        *d = (double)aiosk__e8m0_half((uint8_t)k) / f->unit;
        break;
    case AIOSK__E4M3_SCALE: /* the largest that is not above a, and the next */
        for (k = 0, n = 64; n; n >>= 1)
            if (k + n < 0x7F && (double)aiosk__ue4m3_half((uint8_t)(k + n)) <= a) k += n;
        k += i;
        if (i > 1 || k > 0x7E) return 0;
        *d = (double)aiosk__ue4m3_half((uint8_t)k) / f->unit;
        break;
    default: return 0;
    }
    *h = (uint16_t)k;
    return 1;
}

/* ---- blocks with a scale of their own ---- */
AIOSK__STRICT static void aiosk__fit_plain(aiosk__fit *f) {
    const aiosk__recipe *r = f->r;
    int other = r->scale != AIOSK__F16_SCALE;
    double best = -1, m;

    aiosk__fit_sub(f, 0);
    aiosk__moments s = f->s[0];
    double a = f->a[0];
    for (int32_t round = 0; round < 3; round++) {
        double from = best;
        for (int32_t i = 0; other ? 1 : i == 0; i++) {
            uint16_t h = 0, hm = 0;
            double d = 0, dm = 0;
            if (other) {
                if (!aiosk__store_scale(f, a, i, &d, &h)) break;
            } else
                d = aiosk__store_f16(f, a, &h);
            if (r->mn) dm = -aiosk__store_f16(f, -(d * s.l - s.x) / s.w, &hm);
            if (d != 0)
                aiosk__nearest(&f->lv, f->x, r->n, (float)(1 / d), (float)(dm / d), f->try_l);
            else
                aiosk__nearest(&f->lv, f->x, r->n, 0, 0, f->try_l);
            double e = aiosk__squares(f->x, f->w, f->try_l, r->n, (float)d, (float)dm);
            if (best >= 0 && !(e < best)) continue;
            best = e;
            f->d = h;
            f->dmin = hm;
            memcpy(f->l, f->try_l, (size_t)r->n * sizeof *f->l);
        }
        if (best == from) break;
        aiosk__measure(f->x, f->w, f->l, r->n, &s);
        (void)aiosk__solve(&s, r->mn, &a, &m);
    }
}

/* ---- blocks with integer scales ---- */

/* One sub-block with d and dm as stored: the integers next to its own scale and minimum that
 * give the least exact error. */
AIOSK__STRICT static double aiosk__choose(aiosk__fit *f, int32_t j, double d, double dm) {
    const aiosk__recipe *r = f->r;
    const float *x = f->x + j * r->sub, *w = f->w + j * r->sub;
    float *best_l = f->l + j * r->sub;
    double best = -1, base = d != 0 ? f->a[j] / d : 0;
    aiosk__moments s = f->s[j];
    base = base > r->sc_lo ? base : r->sc_lo;
    base = base < r->sc_hi ? base : r->sc_hi;
    int32_t c = (int32_t)(base + 0.5 - r->sc_lo) + r->sc_lo;
    int32_t low = c - 1 < r->sc_lo ? r->sc_lo : c - 1;
    int32_t high = c + 1 > r->sc_hi ? r->sc_hi : c + 1;
    for (int32_t k = low; k <= high; k++) {
        double a = d * k, m = f->m[j];
        int32_t mi = 0;
        /* the levels; the minimum for them; the levels for that */
        for (int32_t pass = 0; pass < (r->mn && a != 0 ? 2 : 1); pass++) {
            double e;
            if (pass || !r->mn || a == 0) {
                if (r->mn) {
                    double v = dm != 0 ? ((a == 0 ? 0 : a * s.l) - s.x) / s.w / dm : 0;
                    v = v > 0 ? v : 0;
                    v = v < r->mn ? v : r->mn;
                    mi = (int32_t)(v + 0.5);
                    m = dm * mi;
                }
                if (a != 0)
                    aiosk__nearest(&f->lv, x, r->sub, (float)(1 / a), (float)(m / a), f->try_l);
                else
                    aiosk__nearest(&f->lv, x, r->sub, 0, 0, f->try_l);
                e = aiosk__squares(x, w, f->try_l, r->sub, (float)a, (float)m);
                if (best >= 0 && !(e < best)) continue;
                best = e;
                f->isc[j] = (int16_t)k;
                f->imn[j] = (int16_t)mi;
                memcpy(best_l, f->try_l, (size_t)r->sub * sizeof *best_l);
            } else {
                aiosk__nearest(&f->lv, x, r->sub, (float)(1 / a), (float)(m / a), f->try_l);
                aiosk__measure(x, w, f->try_l, r->sub, &s);
            }
        }
    }
    return best;
}

/* d for values v with weights u, as integers of lv. */
static double aiosk__fit_integers(const aiosk__levels *lv, const double *v, const double *u,
                                  int32_t n, double from) {
    float x[16] = { 0 }, w[16] = { 0 }, tmp[16], l[16];
    aiosk__moments s;
    double m;
    for (int32_t i = 0; i < n; i++) {
        x[i] = (float)v[i];
        w[i] = (float)u[i];
    }
    return aiosk__fit_values(lv, x, w, 16, AIOSK__NO_MIN, 21, from, 102, &s, tmp, l, &m);
}

AIOSK__STRICT static void aiosk__fit_super(aiosk__fit *f) {
    const aiosk__recipe *r = f->r;
    int32_t n = r->n / r->sub;
    double u[16] = { 0 }, dm = 0, best = -1;
    float keep[256];
    int16_t sc[16], mn[16];
    uint16_t h, hm = 0;
    for (int32_t j = 0; j < n; j++) {
        aiosk__fit_sub(f, j);
        u[j] = r->mn ? f->s[j].ll - f->s[j].l * f->s[j].l / f->s[j].w : f->s[j].ll;
        if (!(u[j] > 0)) u[j] = 0;
    }
    double d = aiosk__fit_integers(&f->sc, f->a, u, n, 90);
    if (r->mn) {
        for (int32_t j = 0; j < n; j++) u[j] = f->s[j].w;
        dm = aiosk__fit_integers(&f->mn, f->m, u, n, 90);
    }
    for (int32_t round = 0; round < 3; round++) {
        double e = 0, a11 = 0, a12 = 0, a22 = 0, b1 = 0, b2 = 0, det;
        d = aiosk__store_f16(f, d, &h);
        if (r->mn) dm = aiosk__store_f16(f, dm, &hm);
        for (int32_t j = 0; j < n; j++) e += aiosk__choose(f, j, d, dm);
        if (best >= 0 && !(e < best)) break;
        best = e;
        f->d = h;
        f->dmin = hm;
        memcpy(keep, f->l, sizeof keep);
        memcpy(sc, f->isc, sizeof sc);
        memcpy(mn, f->imn, sizeof mn);
        for (int32_t j = 0; j < n; j++) {
            aiosk__moments *s = &f->s[j];
            double k = f->isc[j], q = f->imn[j];
            aiosk__measure(f->x + j * r->sub, f->w + j * r->sub, f->l + j * r->sub, r->sub, s);
            (void)aiosk__solve(s, r->mn, &f->a[j], &f->m[j]);
            a11 += k * k * s->ll;
            a12 -= k * q * s->l;
            a22 += q * q * s->w;
            b1 += k * s->xl;
            b2 -= q * s->x;
        }
        det = a11 * a22 - a12 * a12;
        if (r->mn && det > 1e-9 * a11 * a22) {
            d = (b1 * a22 - b2 * a12) / det;
            dm = (b2 * a11 - b1 * a12) / det;
        } else if (a11 > 0) {
            d = (b1 - a12 * dm) / a11;
        }
    }
    memcpy(f->l, keep, sizeof keep);
    memcpy(f->isc, sc, sizeof sc);
    memcpy(f->imn, mn, sizeof mn);
}

/* ---- bytes: the reverse of ref.c's aiosk__ints_* ---- */

/* The code of a level. */
AIOSK__INLINE uint32_t aiosk__code(const aiosk__recipe *r, float level) {
    const int8_t *t = r->levels == AIOSK__IQ4 ? aiosk__iq4_levels : aiosk__fp4_levels;
    int32_t v = (int32_t)level;
    uint32_t i = 0;
    if (r->levels == AIOSK__ALL) return (uint32_t)(v - r->low);
    if (r->levels == AIOSK__SIGN) return v > 0;
    while (i < 15 && t[i] != v) i++;
    return i;
}
AIOSK__INLINE void aiosk__put16(uint8_t *b, uint16_t v) { memcpy(b, &v, 2); }
/* Nibbles in halves of 16 columns. */
AIOSK__INLINE void aiosk__put_halves(uint8_t *qs, const uint8_t *c) {
    for (int k = 0; k < 16; k++) qs[k] = (uint8_t)((c[k] & 15) | (c[k + 16] & 15) << 4);
}
AIOSK__INLINE void aiosk__put_fifth(uint8_t *qh, const uint8_t *c) {
    for (int k = 0; k < 32; k++) qh[k >> 3] |= (uint8_t)((c[k] >> 4 & 1) << (k & 7));
}
/* Where aiosk__two_bits, aiosk__four_bits look; c holds no more than those bits. */
static void aiosk__put_two(uint8_t *qs, const uint8_t *c, int shift) {
    for (int k = 0; k < 256; k++)
        qs[(k >> 7) * 32 + (k & 31)] |= (uint8_t)((c[k] >> shift & 3) << (k >> 5 & 3) * 2);
}
static void aiosk__put_four(uint8_t *qs, const uint8_t *c) {
    for (int k = 0; k < 256; k++)
        qs[(k >> 6) * 32 + (k & 31)] |= (uint8_t)((c[k] & 15) << (k & 32 ? 4 : 0));
}
/* Bit `bit` of column 32 * i + k in bit i of byte k. */
static void aiosk__put_bits(uint8_t *qh, const uint8_t *c, int bit) {
    for (int k = 0; k < 256; k++) qh[k & 31] |= (uint8_t)((c[k] >> bit & 1) << (k >> 5));
}

/* Below, aiosk__put_*: a whole block; c: a byte for each code */
#define AIOSK__PUT(t) static void aiosk__put_##t(const aiosk__fit *f, const uint8_t *c, uint8_t *b)
AIOSK__PUT(q4_0) {
    aiosk__put16(b, f->d);
    aiosk__put_halves(b + 2, c);
}
AIOSK__PUT(q4_1) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    aiosk__put_halves(b + 4, c);
}
AIOSK__PUT(q5_0) {
    aiosk__put16(b, f->d);
    aiosk__put_fifth(b + 2, c);
    aiosk__put_halves(b + 6, c);
}
AIOSK__PUT(q5_1) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    aiosk__put_fifth(b + 4, c);
    aiosk__put_halves(b + 8, c);
}
AIOSK__PUT(q8_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 32; k++) b[2 + k] = (uint8_t)(c[k] - 127);
}
AIOSK__PUT(mxfp4) {
    b[0] = (uint8_t)f->d;
    aiosk__put_halves(b + 1, c);
}
AIOSK__PUT(nvfp4) {
    b[f->part] = (uint8_t)f->d;
    for (int k = 0; k < 8; k++) b[4 + f->part * 8 + k] = (uint8_t)(c[k] | c[k + 8] << 4);
}
AIOSK__PUT(q1_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 128; k++) b[2 + (k >> 3)] |= (uint8_t)(c[k] << (k & 7));
}
AIOSK__PUT(q2_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 64; k++) b[2 + (k >> 2)] |= (uint8_t)(c[k] << (k & 3) * 2);
}
AIOSK__PUT(q2_k) {
    for (int j = 0; j < 16; j++) b[j] = (uint8_t)(f->isc[j] | f->imn[j] << 4);
    aiosk__put_two(b + 16, c, 0);
    aiosk__put16(b + 80, f->d);
    aiosk__put16(b + 82, f->dmin);
}
AIOSK__PUT(q3_k) {
    aiosk__put_bits(b, c, 2);
    aiosk__put_two(b + 32, c, 0);
    for (int j = 0; j < 16; j++) {
        int s = f->isc[j] + 32;
        b[96 + (j & 7)] |= (uint8_t)((s & 15) << (j >> 3) * 4);
        b[104 + (j & 3)] |= (uint8_t)((s >> 4) << (j >> 2) * 2);
    }
    aiosk__put16(b + 108, f->d);
}
/* Scales and minima of Q4_K and Q5_K: aiosk__scales_k */
static void aiosk__put_scales_k(const aiosk__fit *f, uint8_t *b) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    for (int j = 0; j < 4; j++) {
        int s = f->isc[j + 4], m = f->imn[j + 4];
        b[4 + j] = (uint8_t)(f->isc[j] | (s >> 4) << 6);
        b[8 + j] = (uint8_t)(f->imn[j] | (m >> 4) << 6);
        b[12 + j] = (uint8_t)((s & 15) | (m & 15) << 4);
    }
}
AIOSK__PUT(q4_k) {
    aiosk__put_scales_k(f, b);
    aiosk__put_four(b + 16, c);
}
AIOSK__PUT(q5_k) {
    aiosk__put_scales_k(f, b);
    aiosk__put_bits(b + 16, c, 4);
    aiosk__put_four(b + 48, c);
}
AIOSK__PUT(q6_k) {
    for (int k = 0; k < 256; k++)
        b[(k >> 7) * 64 + (k & 63)] |= (uint8_t)((c[k] & 15) << (k & 64 ? 4 : 0));
    aiosk__put_two(b + 128, c, 4);
    for (int j = 0; j < 16; j++) b[192 + j] = (uint8_t)f->isc[j];
    aiosk__put16(b + 208, f->d);
}
AIOSK__PUT(iq4_xs) {
    uint32_t high = 0;
    aiosk__put16(b, f->d);
    for (int j = 0; j < 8; j++) {
        uint32_t s = (uint32_t)(f->isc[j] + 32);
        b[4 + (j >> 1)] |= (uint8_t)((s & 15) << (j & 1) * 4);
        high |= (s >> 4) << 2 * j;
        aiosk__put_halves(b + 8 + j * 16, c + j * 32);
    }
    aiosk__put16(b + 2, (uint16_t)high);
}
AIOSK__PUT(tq2_0) {
    aiosk__put_two(b, c, 0);
    aiosk__put16(b + 64, f->d);
}
/* see aiosk__ints_tq1_0: digits 3^4 .. of bytes [32], [16], and 3^4 .. 3^1 of [4] */
AIOSK__PUT(tq1_0) {
    for (int k = 0; k < 52; k++) {
        uint32_t v = 0;
        for (int j = 0; j < 5; j++)
            v = v * 3 + (k < 32   ? c[j * 32 + k]
                         : k < 48 ? c[160 + j * 16 + k - 32]
                         : j < 4  ? c[240 + j * 4 + k - 48]
                                  : 0u);
        b[k] = (uint8_t)((v * 256 + 242) / 243);
    }
    aiosk__put16(b + 52, f->d);
}
#undef AIOSK__PUT

static const aiosk__recipe aiosk__recipes[AIOSK_N_TYPES] = {
#define aiosk__put_none NULL
#define AIOSK__RECIPE(put, scale, levels, ...) \
    aiosk__put_##put, AIOSK__##scale##_SCALE, AIOSK__##levels, __VA_ARGS__
#define AIOSK__X(N, n, id, w, b, f, loops, kind, offset, columns, minima, panel, fit) \
    { AIOSK__RECIPE fit },
#define AIOSK__GAP(id) { NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
#undef AIOSK__RECIPE
#undef aiosk__put_none
};

/* ---- rows ---- */

static void aiosk__levels_all(aiosk__levels *lv, int32_t low, int32_t high) {
    lv->low = (float)low;
    lv->high = (float)high;
    lv->n = 0;
}
static void aiosk__levels_of(aiosk__levels *lv, const aiosk__recipe *r) {
    static const int8_t fp4[15] = { -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12 },
                        sign[2] = { -1, 1 };
    const int8_t *t = r->levels == AIOSK__IQ4   ? aiosk__iq4_levels
                      : r->levels == AIOSK__FP4 ? fp4
                                                : sign;
    aiosk__levels_all(lv, r->low, r->high);
    if (r->levels == AIOSK__ALL) return;
    lv->n = r->levels == AIOSK__IQ4 ? 15 : r->levels == AIOSK__FP4 ? 14 : 1;
    for (int32_t i = 0; i < lv->n; i++) {
        lv->mid[i] = 0.5f * (float)(t[i] + t[i + 1]);
        lv->step[i] = (float)(t[i + 1] - t[i]);
    }
}

/* 2^e, -1022 <= e <= 1023 */
AIOSK__INLINE double aiosk__pow2(int32_t e) {
    uint64_t u = (uint64_t)(e + 1023) << 52;
    double v;
    memcpy(&v, &u, 8);
    return v;
}
/* Copies n finite numbers, brought to below 2 in magnitude by a power of two, which it gives:
 * NaN becomes 0, infinity the largest float. negative = 0 drops what is negative. All zero:
 * gives 0. */
AIOSK__STRICT static double aiosk__normalise(const float *x, int32_t n, int negative, float *y) {
    uint32_t top = 0;
    int32_t e;
    for (int32_t i = 0; i < n; i++) {
        uint32_t u = aiosk__f32_bits(x[i]), a = u & 0x7FFFFFFF;
        if (a > 0x7F800000 || (!negative && u >> 31)) u = a = 0;
        if (a == 0x7F800000) {
            u--;
            a--;
        }
        if (a > top) top = a;
        y[i] = aiosk__bits_f32(u);
    }
    if (top == 0) return 0;
    for (e = (int32_t)(top >> 23) - 127; top < 0x00800000; top <<= 1) e--;
    double unit = aiosk__pow2(e);
    double inv = aiosk__pow2(-e);
    for (int32_t i = 0; i < n; i++) y[i] = (float)((double)y[i] * inv);
    return unit;
}

AIOSK_API uint64_t aiosk_quantize(int32_t type, const float *x, uint64_t n_rows, uint64_t n_in,
                                  const float *importance, void *dst) {
    uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    const aiosk_type *t = aiosk_type_info(type);
    uint8_t *out = (uint8_t *)dst, c[256];
    aiosk__fit f;
    if (!row_bytes || n_rows > UINT64_MAX / row_bytes) return 0;
    if (type == AIOSK_F32 || type == AIOSK_F16 || type == AIOSK_BF16) {
        for (uint64_t row = n_rows * row_bytes; row; row -= t->n_bytes, x++, out += t->n_bytes) {
            if (type == AIOSK_F32)
                memcpy(out, x, 4);
            else
                aiosk__put16(out, type == AIOSK_F16 ? aiosk__to_f16(*x) : aiosk__to_bf16(*x));
        }
        return n_rows * row_bytes;
    }
    f.r = &aiosk__recipes[type];
    if (!f.r->put) return 0;
    aiosk__levels_of(&f.lv, f.r);
    aiosk__levels_all(&f.sc, f.r->sc_lo, f.r->sc_hi);
    aiosk__levels_all(&f.mn, 0, f.r->mn);
    for (uint64_t row = 0; row < n_rows; row++)
        for (uint64_t i = 0; i < n_in; i += (uint64_t)f.r->n, x += f.r->n) {
            f.part = (int32_t)(i % t->n_weights) / f.r->n; /* 0 but for NVFP4 */
            if (f.part == 0) memset(out, 0, t->n_bytes);
            f.unit = aiosk__normalise(x, f.r->n, 1, f.x);
            if (!importance || aiosk__normalise(importance + i, f.r->n, 0, f.w) == 0)
                for (int32_t k = 0; k < f.r->n; k++) f.w[k] = 1;
            f.d = f.dmin = 0;
            if (f.unit != 0 && f.r->sc_hi)
                aiosk__fit_super(&f);
            else if (f.unit != 0)
                aiosk__fit_plain(&f);
            else {
                aiosk__nearest(&f.lv, f.x, f.r->n, 0, 0, f.l);
                memset(f.isc, 0, sizeof f.isc);
                memset(f.imn, 0, sizeof f.imn);
            }
            for (int32_t k = 0; k < f.r->n; k++) c[k] = (uint8_t)aiosk__code(f.r, f.l[k]);
            f.r->put(&f, c, out);
            if (i % t->n_weights + (uint64_t)f.r->n == t->n_weights) out += t->n_bytes;
        }
    return n_rows * row_bytes;
}

/* ======== kernels/pack.c ======== */
/* pack.c: where things lie: ROWS and PANELS of a matrix, and the parts of an activation column.
 * Bytes move, numbers do not change. Nothing here is fast or needs to be: it runs at load time. */
#ifndef AIOSK__PACK_C
#define AIOSK__PACK_C

/* ---- panels ----
 * A panel is 16 rows, block by block: [block 0 of 16 rows][block 1 of 16 rows]... Each format
 * (formats.h) lists the segments of its block in the file, in the order they get in the panel:
 * `count` elements of `elem` bytes at `off`. Element i of row r goes to [i][r] of its segment, so that a
 * lane finds the element of its row; 4-byte elements are four codes, indices or scales, 2-byte
 * elements f16 scales. Nothing else is rearranged: even 6-bit scales are decoded as they are,
 * four in one dword. A panel is one ascending stream of bytes. */
static const aiosk__panel aiosk__panels[AIOSK_N_TYPES] = {
#define AIOSK__LIST(...) __VA_ARGS__
#define AIOSK__X(N, n, id, w, b, f, loops, kind, offset, columns, minima, panel, fit) \
    { { AIOSK__LIST panel } },
#define AIOSK__GAP(id) { { { 0, 0, 0 } } },
    AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
#undef AIOSK__LIST
};

AIOSK__SHARED const aiosk__panel *aiosk__find_panel(int32_t type) {
    if ((uint32_t)type >= AIOSK_N_TYPES || !aiosk__panels[type].seg[0].count) return NULL;
    return &aiosk__panels[type];
}

AIOSK_API uint64_t aiosk_layout_bytes(int32_t type, int32_t layout, uint64_t n_rows,
                                      uint64_t n_in) {
    uint64_t row = aiosk_row_bytes(type, n_in);
    if (row == 0) return 0;
    if (layout == AIOSK_PANELS) {
        if (!aiosk__find_panel(type) || n_rows > UINT64_MAX - 15) return 0;
        n_rows = (n_rows + 15) / 16 * 16;
    } else if (layout != AIOSK_ROWS) {
        return 0;
    }
    return n_rows > UINT64_MAX / row ? 0 : n_rows * row;
}

/* Copies n_blocks blocks of n rows, row_bytes apart, in or out of a panel of as many blocks; the
 * first is its row r0. */
AIOSK__SHARED void aiosk__move_rows(int32_t type, uint8_t *panel, int32_t r0, int32_t n,
                                    uint64_t n_blocks, uint8_t *rows, uint64_t row_bytes, int out) {
    const aiosk__panel *p = aiosk__find_panel(type);
    const aiosk_type *t = aiosk_type_info(type);
    uint64_t at = 0;

    if (!p || !t) return;
    for (int s = 0; s < 5 && p->seg[s].count; s++) {
        const aiosk__seg g = p->seg[s];
        for (uint64_t k = 0; k < n_blocks; k++) {
            for (int32_t r = 0; r < n; r++) {
                uint8_t *a = rows + (uint64_t)r * row_bytes + k * t->n_bytes + g.off;
                uint8_t *b = panel + k * 16 * t->n_bytes + at + (uint64_t)(r0 + r) * g.elem;
                if (g.elem == 4 && !out)
                    for (int i = 0; i < g.count; i++, a += 4, b += 64) memcpy(b, a, 4);
                else if (g.elem == 4)
                    for (int i = 0; i < g.count; i++, a += 4, b += 64) memcpy(a, b, 4);
                else
                    for (int i = 0; i < g.count; i++, a += g.elem, b += 16 * g.elem)
                        memcpy(out ? a : b, out ? b : a, g.elem);
            }
        }
        at += 16u * g.elem * g.count;
    }
}

AIOSK_API void aiosk_pack_panel(int32_t type, const void *rows, int32_t n_rows, uint64_t n_in,
                                void *panel) {
    const uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    if (row_bytes == 0) return;
    if (n_rows < 16) memset(panel, 0, (size_t)(16 * row_bytes));
    aiosk__move_rows(type, (uint8_t *)panel, 0, n_rows, n_in / aiosk_type_info(type)->n_weights,
                     (uint8_t *)(uintptr_t)rows, row_bytes, 0);
}

AIOSK_API void aiosk_unpack_panel_row(int32_t type, const void *panel, int32_t r, uint64_t n_in,
                                      void *row) {
    const uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    if (row_bytes == 0) return;
    aiosk__move_rows(type, (uint8_t *)(uintptr_t)panel, r, 1,
                     n_in / aiosk_type_info(type)->n_weights, (uint8_t *)row, row_bytes, 1);
}

AIOSK_API uint64_t aiosk_act_bytes(int32_t kind, uint64_t n_in) {
    uint64_t n = 0;
    if (n_in > 0x7FFFFFFF / 4) return 0;
    if (kind == AIOSK_FLT) return (n_in * 4 + 63) & ~(uint64_t)63;
    if (kind == AIOSK_A32 && n_in % 32 == 0) n = ((n_in + 63) & ~(uint64_t)63) + n_in / 2;
    if (kind == AIOSK_A256 && n_in % 256 == 0)
        n = n_in + n_in / 2 + n_in / 4 + n_in / 8 + n_in / 16 + n_in / 64;
    n = (n + 63) & ~(uint64_t)63;
    return n ? n | 64 : 0;
}
AIOSK_API void aiosk_act_unpack(int32_t kind, const void *x, uint64_t n_in, float *y) {
    const uint8_t *p = (const uint8_t *)x;
    uint64_t per = kind == AIOSK_A256 ? 256 : 32, d = 0;
    if (kind == AIOSK_FLT) {
        memcpy(y, x, (size_t)n_in * 4);
        return;
    }
    d = kind == AIOSK_A256 ? aiosk__a256_parts((int32_t)n_in).d : aiosk__a32_parts((int32_t)n_in).d;
    for (uint64_t i = 0; i < n_in; i++)
        y[i] = (float)(int8_t)p[i] * aiosk__f32(p + d + i / per * 4);
}

#endif

/* ======== kernels/tile.c ======== */
/* tile.c: where things are in a tile of the KV cache (api.h, attention), its codes as integers,
 * and the constants of the rotation. */

/* The levels of a row by index: planes of 4 + 1, 4, 2 + 1, 2 bits, and none */
#define AIOSK__KV_LEVELS_4_1(...) __VA_ARGS__
#define AIOSK__KV_LEVELS_4_0(a, b, c, d, e, f, g, h) \
    a, b, c, d, e, f, g, h, -(a), -(b), -(c), -(d), -(e), -(f), -(g), -(h)
#define AIOSK__KV_LEVELS_2_1(a, b, c, d) a, b, c, d, -(a), -(b), -(c), -(d)
#define AIOSK__KV_LEVELS_2_0(a, b)       a, b, -(a), -(b)
#define AIOSK__KV_LEVELS_8_0(a)          a
#define AIOSK__KV_LEVELS_16_0(a)         a
#define AIOSK__KV_LEVELS_32_0(a)         a
#define AIOSK__KV_N(index, one)          ((index) < 8 ? (uint8_t)(1u << ((index) + (one)-1)) : (uint8_t)0)
AIOSK__CONST aiosk__kv_code aiosk__kv_codes[AIOSK_N_KV] = {
/* clang-format off */
#define AIOSK__X(N, id, name, both, index, one, sides, mean, top, levels) \
    { name, both, index, one, AIOSK__KV_##sides, mean, AIOSK__KV_N(index, one), \
      { AIOSK__KV_LEVELS_##index##_##one levels }, top },
    AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
    /* clang-format on */
};
#undef AIOSK__KV_N
#undef AIOSK__KV_LEVELS_32_0
#undef AIOSK__KV_LEVELS_16_0
#undef AIOSK__KV_LEVELS_8_0
#undef AIOSK__KV_LEVELS_2_0
#undef AIOSK__KV_LEVELS_2_1
#undef AIOSK__KV_LEVELS_4_0
#undef AIOSK__KV_LEVELS_4_1
enum { /* ids are places */
#define AIOSK__X(N, id, ...) AIOSK__KV_ID_##N = 1 / ((id) == AIOSK__KV_AT_##N),
       AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
};
AIOSK__INLINE int32_t aiosk__kv_bits(int32_t code) {
    return aiosk__kv_codes[code].index + aiosk__kv_codes[code].one;
}
/* What a v_i pairs of bytes 0 and 2, 1 and 3 make of V: byte of a group for positions 0.., 16..,
 * 32.., 48.. */
AIOSK__CONST uint8_t aiosk__kv_byte[4] = { 0, 2, 1, 3 };

AIOSK_API int32_t aiosk_kv_k(int32_t type) { return type & 15; }
AIOSK_API int32_t aiosk_kv_v(int32_t type) { return type > 15 ? (type >> 4) - 1 : type; }
AIOSK_API int32_t aiosk_kv_ok(int32_t type) {
    const int32_t k = aiosk_kv_k(type), v = aiosk_kv_v(type);
    if (type < 0 || k >= AIOSK_N_KV || v >= AIOSK_N_KV || type != AIOSK_KV(k, v)) return 0;
    if (aiosk__kv_codes[k].sides == AIOSK__KV_ALONE || aiosk__kv_codes[v].sides == AIOSK__KV_ALONE)
        return k == v;
    return aiosk__kv_codes[k].sides != AIOSK__KV_VALUES;
}
AIOSK_API int32_t aiosk_kv_coded(int32_t code) {
    return (uint32_t)code < AIOSK_N_KV && aiosk__kv_codes[code].index < 16;
}
AIOSK_API int32_t aiosk_kv_open(int32_t type) {
    return type == AIOSK_KV_F32 ? AIOSK_KV_F32 : AIOSK_KV_F16;
}
AIOSK_API const char *aiosk_kv_name(int32_t type, char name[8]) {
    char *p = name;
    memcpy(name, "?", 2);
    if (!aiosk_kv_ok(type)) return name;
    const aiosk__kv_code *k = &aiosk__kv_codes[aiosk_kv_k(type)];
    const aiosk__kv_code *v = &aiosk__kv_codes[aiosk_kv_v(type)];
    if (k == v) {
        memcpy(name, k->both, 8);
        return name;
    }
    *p++ = 'k';
    *p++ = 'v';
    memcpy(p, k->name, strlen(k->name));
    p += strlen(k->name);
    memcpy(p, v->name, strlen(v->name) + 1);
    return name;
}
/* The code whose name a text begins with, the longest of those, or -1 */
static int32_t aiosk__kv_code_at(const char *text) {
    int32_t best = -1;
    size_t most = 0;
    for (int32_t i = 0; i < AIOSK_N_KV; i++) {
        const size_t n = strlen(aiosk__kv_codes[i].name);
        if (n <= most || strncmp(text, aiosk__kv_codes[i].name, n) != 0) continue;
        best = i;
        most = n;
    }
    return best;
}
AIOSK_API int32_t aiosk_kv_parse(const char *name) {
    int32_t side[2] = { -1, -1 }, n;
    if (!name) return -1;
    if (!strcmp(name, "i8")) return AIOSK_KV_I8;
    for (int32_t i = 0; i < AIOSK_N_KV; i++)
        if (!strcmp(name, aiosk__kv_codes[i].both)) return aiosk_kv_ok(i) ? i : -1;
    if (name[0] != 'k' || name[1] != 'v') return -1;
    name += 2;
    for (n = 0; n < 2 && *name; n++) {
        side[n] = aiosk__kv_code_at(name);
        if (side[n] < 0) return -1;
        name += strlen(aiosk__kv_codes[side[n]].name);
    }
    if (n == 0 || *name) return -1;
    int32_t type = AIOSK_KV(side[0], n > 1 ? side[1] : side[0]);
    return aiosk_kv_ok(type) ? type : -1;
}

static aiosk__side aiosk__side_at(int32_t code, int32_t is_v, int32_t hd, size_t at) {
    const size_t hp = (size_t)aiosk__hp(hd);
    aiosk__side s;
    s.code = code;
    s.at = s.mean = s.data = at;
    if (aiosk_kv_coded(code)) {
        s.mean = s.data = at + AIOSK_TILE;
        if (!is_v && aiosk__kv_codes[code].has_mean) s.data += (hp + 63) / 64 * 64;
        s.bytes = s.data - at + hp * 8 * (size_t)aiosk__kv_bits(code);
    } else
        s.bytes = (is_v ? hp : (size_t)hd) * 8 * (size_t)aiosk__kv_bits(code);
    return s;
}
AIOSK__SHARED aiosk__side aiosk__side_k(int32_t type, int32_t hd_k) {
    const int32_t k = aiosk_kv_k(type), v = aiosk_kv_v(type);
    return aiosk__side_at(k, 0, hd_k, aiosk_kv_coded(k) || aiosk_kv_coded(v) ? 64 : 0);
}
AIOSK__SHARED aiosk__side aiosk__side_v(int32_t type, int32_t hd_k, int32_t hd_v) {
    const aiosk__side k = aiosk__side_k(type, hd_k);
    return aiosk__side_at(aiosk_kv_v(type), 1, hd_v, k.at + k.bytes);
}
AIOSK_API uint64_t aiosk_tile_bytes(int32_t type, int32_t hd_k, int32_t hd_v) {
    if (hd_k <= 0 || hd_v <= 0 || !aiosk_kv_ok(type)) return 0;
    aiosk__side v = aiosk__side_v(type, hd_k, hd_v);
    return v.at + v.bytes;
}

/* n times 512 indices of a code, one to a byte, to planes. For 64 bytes at a time: nothing is
 * carried from byte to byte. */
AIOSK__SHARED void aiosk__kv_pack(int32_t code, const uint8_t *flat, size_t n, uint8_t *out) {
    const uint64_t one = 0x0101010101010101u;
    const aiosk__kv_code *c = &aiosk__kv_codes[code];
    const int32_t bits = c->index + c->one;
    uint64_t a[8], r[5];
    if (c->index == 8) {
        memcpy(out, flat, n * 512);
        return;
    }
    for (; n > 0; n--, flat += 512, out += 64 * bits)
        for (size_t i = 0; i < 64; i += 8) {
            for (size_t j = 0; j < 8; j++) memcpy(&a[j], flat + 64 * j + i, 8);
            memset(r, 0, sizeof r);
            for (size_t j = 0; j < 8; j++) {
                if (c->index == 4)
                    r[j / 2] |= (a[j] & one * 15) << 4 * (j & 1);
                else
                    r[j / 4] |= (a[j] & one * 3) << 2 * (j & 3);
                if (c->one) r[c->index] |= (a[j] >> c->index & one) << j;
            }
            for (size_t j = 0; j < (size_t)bits; j++) memcpy(out + 64 * j + i, &r[j], 8);
        }
}

/* ---- rotation ---- */

/* Symmetric Hadamard matrices (Paley): bit j of row i is 1 where the entry is -1 */
static const uint64_t aiosk__hadamard[12 + 20 + 28 + 36] = {
    /* 12 */
    0x0u,
    0x476u,
    0xA3Au,
    0xD1Cu,
    0x68Eu,
    0xB46u,
    0xDA2u,
    0xED0u,
    0x768u,
    0x3B4u,
    0x1DAu,
    0x8ECu,
    /* 20 */
    0x0u,
    0x615E6u,
    0xB0AF2u,
    0xD8578u,
    0x6C2BCu,
    0x3615Eu,
    0x9B0AEu,
    0xCD856u,
    0xE6C2Au,
    0xF3614u,
    0x79B0Au,
    0xBCD84u,
    0x5E6C2u,
    0xAF360u,
    0x579B0u,
    0x2BCD8u,
    0x15E6Cu,
    0xAF36u,
    0x8579Au,
    0xC2BCCu,
    /* 28 */
    0x2u,
    0xAAAAAABu,
    0x30FF0C8u,
    0x9A55A6Eu,
    0xC3FC320u,
    0x69569BAu,
    0xFF0C8Cu,
    0xA55A6E6u,
    0x3FC3230u,
    0x9569B9Au,
    0xFF0C8C0u,
    0x55A6E6Au,
    0xFC3230Cu,
    0x569B9A6u,
    0xF0C8C3Cu,
    0x5A6E696u,
    0xC3230FCu,
    0x69B9A56u,
    0xC8C3FCu,
    0xA6E6956u,
    0x3230FF0u,
    0x9B9A55Au,
    0xC8C3FC0u,
    0x6E6956Au,
    0x230FF0Cu,
    0xB9A55A6u,
    0x8C3FC30u,
    0xE69569Au,
    /* 36 */
    0x2u,
    0xAAAAAAAABu,
    0xCFC3F308u,
    0xA656959AEu,
    0x33F0FCC20u,
    0x995A566BAu,
    0xCFC3F3080u,
    0x656959AEAu,
    0x3F0FCC20Cu,
    0x95A566BA6u,
    0xFC3F30830u,
    0x56959AE9Au,
    0xF0FCC20CCu,
    0x5A566BA66u,
    0xC3F30833Cu,
    0x6959AE996u,
    0xFCC20CFCu,
    0xA566BA656u,
    0x3F30833F0u,
    0x959AE995Au,
    0xFCC20CFC0u,
    0x566BA656Au,
    0xF30833F0Cu,
    0x59AE995A6u,
    0xCC20CFC3Cu,
    0x66BA65696u,
    0x30833F0FCu,
    0x9AE995A56u,
    0xC20CFC3F0u,
    0x6BA65695Au,
    0x833F0FCCu,
    0xAE995A566u,
    0x20CFC3F30u,
    0xBA656959Au,
    0x833F0FCC0u,
    0xE995A566Au,
};
AIOSK__SHARED const uint64_t *aiosk__hadamard_rows(int32_t m) {
    return aiosk__hadamard + (m == 12 ? 0 : m == 20 ? 12 : m == 28 ? 32 : 60);
}

AIOSK_API int32_t aiosk_rotate_ok(const aiosk_isa *k, int32_t hd, float *tmp) {
    int32_t ok = 1;
    for (int32_t i = 0; i < hd && ok; i++)
        for (int32_t inverse = 0; inverse < 2; inverse++) {
            double norm = 0, worst = 0;
            memset(tmp, 0, (size_t)hd * 4);
            tmp[i] = 1.0f;
            k->rotate(tmp, 1, hd, inverse);
            for (int32_t j = 0; j < hd; j++) norm += (double)tmp[j] * (double)tmp[j];
            k->rotate(tmp, 1, hd, !inverse);
            for (int32_t j = 0; j < hd; j++) {
                const double e = (double)tmp[j] - (j == i);
                if (!(e <= worst)) worst = e;
                if (!(-e <= worst)) worst = -e;
            }
            ok &= worst < 1e-5 && norm > 1 - 1e-5 && norm < 1 + 1e-5;
        }
    return ok;
}

/* ======== kernels/isa_scalar.c ======== */
/* isa_scalar.c: the loops in plain C. Always there. */

/* ======== kernels/simd_scalar.h ======== */
/* simd_scalar.h: the v_* vocabulary in plain C: one lane. The slowest set, and the definition of the others.
 *
 * The vocabulary, the same in every simd_* file (a set's integer dot products and unpacking are in simdi_*):
 *     vf, vi            V_W floats; V_W int32 (4 * V_W bytes). V_PER16 registers make 16 virtual lanes
 *     V_FN, V_EXPORT    qualifiers of an inlined helper and of a kernel: linkage and the set's target
 *     V_EXPORT_MM, V_EXPORT_REST, V_REST(f)   see set.inc
 *     V_HOT             beside V_EXPORT: a function that gets all of the compiler's effort (base.h)
 *     V_UNROLL, V_UNROLL_RARE   in front of loops that unpack a type, a rare one or a grid
 *     V_NAME(f)         f's name in this set
 *     v_loadu, v_storeu, v_loadi, v_storei                     no alignment asked
 *     v_set1, v_zero, v_set1i, v_zeroi, v_add, v_sub, v_mul, v_div, v_sqrt, v_addi, v_subi
 *     v_fma(a, b, c)    a * b + c, rounded once. Never feed a v_mul into v_add or v_sub: GCC contracts that;
 *     v_mulr(a, b)      is the product that may be fed into them
 *     v_max(a, b)       b > a ? b : a        v_min(a, b)   b < a ? b : a        (a when either is NaN)
 *     v_sel_lt(a, b, x, y)   a < b ? x : y   (y when either is NaN)
 *     v_abs, v_xorsign(x, s) (x with its sign flipped where s is negative)
 *     v_rint(x)         nearest even, |x| < 2^22; the sign of a zero is not defined
 *     v_cvt_f32_i32     float to int32, nearest even, |x| < 2^31;  v_cvt_i32_f32  int32 to float
 *     v_ldexp(p, n)     p * 2^n, rounded once, for whole n in [-150, 128] and p in [0.5, 2)
 *     v_load_f16, v_store_f16 (nearest even), v_load_bf16, v_load_i8     V_W numbers, no alignment asked
 *     v_kdot(acc, k, q) acc[i] + sum of the four products of signed bytes of dword i; k in [-127, 127] and passed
 *                       through v_kprep, q in [-127, 127]; the result is too large by V_KBIAS * (sum of q)
 *     v_vdot(acc, w, c) acc[i] + sum of the products of bytes of w in [0, 127] and of c, signed; only where V_VDOT is 1
 *     v_tree_add(v), v_tree_max(v)   the tree 8, 4, 2, 1 over the 16 lanes of v[V_PER16]; max by v_max(s[i], s[i + half])
 *     v_tree_adds(to, s) that of V_TREES times 16 lanes in memory, where there is V_FEW; to may be s or before it
 *     v_dup_even, v_dup_odd, v_swap2 pairs (a, b) to (a, a), (b, b), (b, a); only where V_W > 1
 *     v_swap(a, n)      lanes i and i ^ n exchanged, n = 1, 2, 4 .. below V_W
 *     V_MAXQ            queries that attend takes at once
 *     V_SHAPES(X)       X(a, n, j): a .. n queries by j * 16 lanes: what attend keeps in registers. From few queries to V_MAXQ; a shape takes
 *                       up to n queries, and what lanes the ones before it have left; the last one has V_MAXQ and 1 */
#ifndef AIOSK__SIMD_SCALAR_H
#define AIOSK__SIMD_SCALAR_H

#define V_FN AIOSK__INLINE
#define V_EXPORT static AIOSK__UNUSED
#define V_NAME(x) aiosk__##x##_scalar
#define V_BASE(x) aiosk__##x##_scalar
#define V_W 1
#define V_PER16 16
#define V_MAXQ 1
#define V_SHAPES(X) X(1, 1, 1)
#define V_KBIAS 0
#define vf float
#define vi int32_t
#undef V_HOT
#define V_HOT    /* small before fast */
#undef V_UNROLL
#define V_UNROLL
#undef V_UNROLL_RARE
#define V_UNROLL_RARE

V_FN vf v_loadu(const float *p) { return aiosk__f32(p); }           /* weights in a mapped file may stand anywhere */
V_FN void v_storeu(float *p, vf a) { memcpy(p, &a, 4); }
V_FN vi v_loadi(const void *p) { int32_t a; memcpy(&a, p, 4); return a; }
V_FN void v_storei(void *p, vi a) { memcpy(p, &a, 4); }
V_FN vf v_set1(float a) { return a; }
V_FN vf v_zero(void) { return 0.0f; }
V_FN vi v_set1i(int32_t a) { return a; }
V_FN vi v_zeroi(void) { return 0; }
V_FN vf v_add(vf a, vf b) { return a + b; }
V_FN vf v_sub(vf a, vf b) { return a - b; }
V_FN vf v_mul(vf a, vf b) { return a * b; }
V_FN vf v_mulr(vf a, vf b) { return aiosk__fma(a, b, -0.0f); }
V_FN vf v_div(vf a, vf b) { return a / b; }
V_FN vf v_sqrt(vf a) { return aiosk__sqrt(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return aiosk__fma(a, b, c); }
V_FN vf v_max(vf a, vf b) { return b > a ? b : a; }
V_FN vf v_min(vf a, vf b) { return b < a ? b : a; }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return a < b ? x : y; }
V_FN vf v_abs(vf a) { return aiosk__bits_f32(aiosk__f32_bits(a) & 0x7FFFFFFFu); }
V_FN vf v_xorsign(vf a, vf s) { return aiosk__bits_f32(aiosk__f32_bits(a) ^ (aiosk__f32_bits(s) & 0x80000000u)); }
V_FN vi v_addi(vi a, vi b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
V_FN vi v_subi(vi a, vi b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
V_FN vf v_cvt_i32_f32(vi a) { return (float)a; }
/* The sum is in double so that a float product that comes in cannot be contracted into it. 1.5 * 2^52 leaves the
 * rounded integer in the low bits. */
V_FN vi v_cvt_f32_i32(vf a) {
    double t = (double)a + 6755399441055744.0;
    uint64_t u;
    memcpy(&u, &t, 8);
    return (int32_t)(uint32_t)u;
}
V_FN vf v_rint(vf a) { return (float)v_cvt_f32_i32(a); }
V_FN vf v_ldexp(vf p, vf n) {
    int32_t i = (int32_t)n + 300, h = i >> 1;
    return v_mulr(p * aiosk__bits_f32((uint32_t)(h - 150 + 127) << 23), aiosk__bits_f32((uint32_t)(i - h - 150 + 127) << 23));
}
V_FN vf v_load_f16(const void *p) { return aiosk_f16_to_f32(aiosk__u16(p)); }
V_FN void v_store_f16(void *p, vf a) { uint16_t h = aiosk_f32_to_f16(a); memcpy(p, &h, 2); }
V_FN vf v_load_bf16(const void *p) { return aiosk__bits_f32((uint32_t)aiosk__u16(p) << 16); }
V_FN vf v_load_i8(const void *p) { return (float)*(const int8_t *)p; }
V_FN float v_tree_add(const vf *v) {
    float s[8];
    int i, h;
    for (i = 0; i < 8; i++) s[i] = v[i] + v[i + 8];
    for (h = 4; h > 0; h >>= 1) for (i = 0; i < h; i++) s[i] = s[i] + s[i + h];
    return s[0];
}
V_FN float v_tree_max(const vf *v) {
    float s[8];
    int i, h;
    for (i = 0; i < 8; i++) s[i] = v_max(v[i], v[i + 8]);
    for (h = 4; h > 0; h >>= 1) for (i = 0; i < h; i++) s[i] = v_max(s[i], s[i + h]);
    return s[0];
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) {
    int8_t a[4], b[4];
    memcpy(a, &k, 4);
    memcpy(b, &q, 4);
    return acc + a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
}

#endif

/* ======== kernels/simdi_scalar.h ======== */
/* simdi_scalar.h: the integer vocabulary in plain C: one lane. The slowest set; here the words are defined for all.
 *
 * Lane r of a vi is a dword of row r. A code register holds four codes of its row in the bytes of that dword; x points to
 * the same columns of the activations, plain order, and every lane is multiplied with the same four. Sums are exact in int32.
 *
 * Words for unpacking, in the sets that unpack in registers (all but this one); b, c, m, n are constants:
 *     i_dup(p)                   the 4 bytes at p in every lane
 *     i_and, i_or, i_xor; i_srl(a, n), i_sll(a, n) shift dwords; i_addb adds bytes; i_add16, i_sub16, i_mul16 (low half),
 *     i_mulhi16 (high half, unsigned) take pairs of int16
 *     i_load_u8(p), i_load_u16   V_W numbers, each to a dword;  i_as_float  the bits of a as floats
 *     i_pairs(o, a)              o[0], o[1]: bytes 0 and 2, 1 and 3 of each dword as pairs of int16 (signed)
 *     i_table(p), i_lut(t, i)    a table of 16 bytes; the entry that each byte of i names (its bits 4..6 are 0; bit 7: gives 0)
 *     i_splat(a, b)              byte b of each dword in all four
 *     i_bits(a, c, m)            byte i of each dword is m where bit 4c + i of a's dword is set, else 0
 *     i_negate(w, a, c)          bytes of w negated where those bits are set
 *     i_gather16(t, i)           t[i] of each dword; reads 4 bytes
 *     i_rows4(o, a, rb)          o[0..3]: the dwords at a of V_W rows, rb bytes apart
 *     i_store_s8(p, a)           the lanes' low bytes
 * Words for products. kind says what the codes are: 4, 5, 6 unsigned of so many bits; 7, 8 signed, |code| <= 64 or 128,
 * passed through i_prep8 (which adds 128 where V_BIAS8); 9 is 8 as |code| and sign (lanes.inc: absolute), where V_XOR. Products of up to I_RUN(kind, n) registers of a run of n are added up in an
 * i_part, which may be narrower than int32:
 *     i_first(kind, z, w, x)     the part of one register; x: i_dup of four activations. Where V_START, z is added
 *     i_next(kind, a, w, x)      the part a with one more
 *     i_first(kind, z, w, x, i)  where V_QUAD: x is a register of sixteen activations, of which dword i goes to every lane;
 *     i_next(kind, a, w, x, i)   i is a constant
 *     i_sum(kind, a)             the part as int32
 *     i_end(kind, acc, a, b, s)  acc + s * part a; where I_PAIR(kind), acc + s * (a + b)
 *     i_scale(kind, a)           byte 0 of every lane, signed, as s
 *     i_macc_pair(acc, a, s)     acc + a.low * s[0] + a.high * s[1], where low and high are the int16 halves of a lane
 * A micro-kernel takes V_NP panels and V_NC columns at once. V_PREMUL: codes times scale below 256 are multiplied before the
 * sum. V_FIX: codes of 6 bits that stand for less are corrected behind the sum, not by z. V_FEW: most columns that share a
 * panel unpacked in registers (one_*, few_*), 8, or 0 in sets without such loops: half the code. V_MIXED: few_* take one column too.
 * V_TWO_KINDS: the loops for many columns know two kinds of codes, up to 6 bits and signed. */
#ifndef AIOSK__SIMDI_SCALAR_H
#define AIOSK__SIMDI_SCALAR_H
#define V_NP 1
#define V_BIAS8 0
#define V_PREMUL 0
#define V_FIX 0
#define V_START 0
#define V_QUAD 0
#define V_XOR 0
#define V_TWO_KINDS 0
#define V_FEW 0
#define V_NC 1

V_FN vi i_dup(const void *p) { int32_t a; memcpy(&a, p, 4); return a; }
V_FN vi i_and(vi a, vi b) { return a & b; }
V_FN vi i_or(vi a, vi b) { return a | b; }
V_FN vi i_load_u8(const void *p) { return *(const uint8_t *)p; }
V_FN vi i_srl(vi a, int n) { return (int32_t)((uint32_t)a >> n); }
V_FN vi i_sll(vi a, int n) { return (int32_t)((uint32_t)a << n); }
V_FN void i_pairs(vi *o, vi a) {
    const uint32_t b = (uint32_t)a;
    o[0] = (int32_t)((uint32_t)(int8_t)(b & 255) & 0xFFFFu) | (int32_t)((uint32_t)(int8_t)(b >> 16 & 255) << 16);
    o[1] = (int32_t)((uint32_t)(int8_t)(b >> 8 & 255) & 0xFFFFu) | (int32_t)((uint32_t)(int8_t)(b >> 24) << 16);
}
V_FN vi i_prep8(vi w) { return w; }
V_FN vi i_scale(const int kind, vi a) { (void)kind; return (int8_t)(a & 255); }
#define i_part vi
#define I_RUN(kind, n) (n)
#define I_PAIR(kind) 0
V_FN i_part i_next(const int kind, i_part a, vi w, vi x) {
    int8_t p[4], q[4];
    (void)kind;
    memcpy(p, &w, 4);
    memcpy(q, &x, 4);
    return a + p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3];
}
V_FN i_part i_first(const int kind, vi z, vi w, vi x) { (void)z; return i_next(kind, 0, w, x); }
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return a; }
V_FN vi i_end(const int kind, vi acc, i_part a, i_part b, vi s) { (void)kind; (void)b; return acc + a * s; }
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) {
    return acc + (int16_t)(a & 0xFFFF) * s[0] + (int16_t)((uint32_t)a >> 16) * s[1];
}
V_FN void i_store_s8(int8_t *p, vi a) { *p = (int8_t)a; }

#endif

/* ======== kernels/isa_scalar.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_SCALAR
#define V_ISA_TEXT "scalar"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"

#endif

/* ======== kernels/isa_sse41.c ======== */
/* isa_sse41.c: the loops in SSE4.1 with SSSE3, for machines without AVX2. Kept small: no loops for few columns. */
#if defined(AIOSK__SSE41) && AIOSK__IN_UNIT(1)

/* ======== kernels/simd_sse41.h ======== */
/* simd_sse41.h: the v_* vocabulary (simd_scalar.h) in SSE4.1 with SSSE3: four lanes, neither FMA nor F16C. */
#ifndef AIOSK__SIMD_SSE41_H
#define AIOSK__SIMD_SSE41_H

#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET __attribute__((target("sse4.1,ssse3")))
#else
#define V_TARGET
#endif
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#define V_NAME(x) aiosk__##x##_sse41
#define V_BASE(x) aiosk__##x##_sse41
#define V_W 4
#define V_PER16 4
#define V_MAXQ 1
#define V_SHAPES(X) X(1, 1, 1)
#define V_KBIAS 0
#define vf __m128
#define vi __m128i
#undef V_HOT
#define V_HOT AIOSK__LOOPS /* small before fast */
#undef V_UNROLL
#define V_UNROLL AIOSK__UNROLL
#undef V_UNROLL_RARE
#define V_UNROLL_RARE

V_FN vf v_loadu(const float *p) { return _mm_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
V_FN void v_storei(void *p, vi a) { _mm_storeu_si128((__m128i *)p, a); }
V_FN vf v_set1(float a) { return _mm_set1_ps(a); }
V_FN vf v_zero(void) { return _mm_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm_setzero_si128(); }
V_FN vf v_add(vf a, vf b) { return _mm_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) {
    vf p = _mm_mul_ps(a, b);
#if defined(__GNUC__) || defined(__clang__)
    __asm__("" : "+x"(p)); /* where the whole file is compiled for a machine with FMA: no contraction */
#endif
    return p;
}
V_FN vf v_div(vf a, vf b) { return _mm_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm_sqrt_ps(a); }
V_EXPORT AIOSK__NOINLINE vf V_NAME(fma_rare)(vf a, vf b, vf c) {
    float x[4], y[4], z[4];
    int i;
    _mm_storeu_ps(x, a);
    _mm_storeu_ps(y, b);
    _mm_storeu_ps(z, c);
    for (i = 0; i < 4; i++) x[i] = aiosk__fma(x[i], y[i], z[i]);
    return _mm_loadu_ps(x);
}
/* Dwords of doubles where rounding them to float could round twice: the lower 29 bits are those of a half (as a lower dword), or
 * the exponent is that of a subnormal float, 1..896 (as an upper one; 0 is exact). */
V_FN __m128i V_NAME(twice)(__m128d s) {
    const __m128i mask = _mm_setr_epi32(0x1FFFFFFF, 0x7FFFFFFF, 0x1FFFFFFF, 0x7FFFFFFF);
    const __m128i most = _mm_setr_epi32(0, (897 << 20) - 2, 0, (897 << 20) - 2);
    const __m128i u = _mm_add_epi32(_mm_and_si128(_mm_castpd_si128(s), mask), _mm_setr_epi32(-0x10000000, -1, -0x10000000, -1));
    return _mm_cmpeq_epi32(_mm_min_epu32(u, most), u);
}
/* aiosk__fma of four lanes. A function, not inlined: it is everywhere, and 30 instructions long. */
V_EXPORT AIOSK__NOINLINE vf v_fma(vf a, vf b, vf c) {
    const __m128d s = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)), _mm_cvtps_pd(c));
    const __m128d t = _mm_add_pd(_mm_mul_pd(_mm_cvtps_pd(_mm_movehl_ps(a, a)), _mm_cvtps_pd(_mm_movehl_ps(b, b))),
                                 _mm_cvtps_pd(_mm_movehl_ps(c, c)));
    const __m128i rare = _mm_or_si128(V_NAME(twice)(s), V_NAME(twice)(t));
    if (AIOSK__RARE(_mm_movemask_ps(_mm_castsi128_ps(rare)))) return V_NAME(fma_rare)(a, b, c);
    return _mm_movelh_ps(_mm_cvtpd_ps(s), _mm_cvtpd_ps(t));
}
V_FN vf v_max(vf a, vf b) { return _mm_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm_blendv_ps(y, x, _mm_cmplt_ps(a, b)); }
V_FN vf v_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm_xor_ps(a, _mm_and_ps(_mm_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    __m128i i = _mm_cvtps_epi32(n), h = _mm_srai_epi32(i, 1), b = _mm_set1_epi32(127);
    __m128i s = _mm_slli_epi32(_mm_add_epi32(h, b), 23);
    __m128i t = _mm_slli_epi32(_mm_add_epi32(_mm_sub_epi32(i, h), b), 23);
    return v_mulr(_mm_mul_ps(p, _mm_castsi128_ps(s)), _mm_castsi128_ps(t));
}
V_FN vf v_load_f16(const void *p) { /* aiosk__f16 */
    const __m128i h = _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), e = _mm_and_si128(h, _mm_set1_epi32(0x7FFF));
    const __m128i inf = _mm_and_si128(_mm_cmpgt_epi32(e, _mm_set1_epi32(0x7BFF)), _mm_set1_epi32(0x7F800000));
    const __m128i nan = _mm_and_si128(_mm_cmpgt_epi32(e, _mm_set1_epi32(0x7C00)), _mm_set1_epi32(0x00400000));
    const __m128i f = _mm_or_si128(_mm_add_epi32(_mm_slli_epi32(e, 13), _mm_set1_epi32(112 << 23)), _mm_or_si128(inf, nan));
    const __m128 sub = _mm_mul_ps(_mm_cvtepi32_ps(e), _mm_castsi128_ps(_mm_set1_epi32(0x33800000))); /* * 2^-24 */
    const __m128 r = _mm_blendv_ps(_mm_castsi128_ps(f), sub, _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(0x400), e)));
    return _mm_or_ps(r, _mm_castsi128_ps(_mm_slli_epi32(_mm_xor_si128(h, e), 16)));
}
V_FN void v_store_f16(void *p, vf x) { /* aiosk__to_f16 */
    const __m128i u = _mm_castps_si128(x), a = _mm_and_si128(u, _mm_set1_epi32(0x7FFFFFFF));
    const __m128i odd = _mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(1));
    __m128i h = _mm_srli_epi32(_mm_add_epi32(_mm_add_epi32(a, _mm_set1_epi32(0xFFF - 0x38000000)), odd), 13);
    const __m128i half = _mm_set1_epi32(126 << 23); /* 1/2 has units of 2^-24 in its last place, as subnormal f16 have */
    const __m128i sub = _mm_sub_epi32(_mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(half))), half);
    const __m128i nan = _mm_or_si128(_mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(0x3FF)), _mm_set1_epi32(0x7E00));
    h = _mm_blendv_epi8(h, sub, _mm_cmpgt_epi32(_mm_set1_epi32(113 << 23), a));
    h = _mm_blendv_epi8(h, _mm_set1_epi32(0x7C00), _mm_cmpgt_epi32(a, _mm_set1_epi32(0x477FEFFF)));
    h = _mm_blendv_epi8(h, nan, _mm_cmpgt_epi32(a, _mm_set1_epi32(0x7F800000)));
    h = _mm_or_si128(h, _mm_srli_epi32(_mm_xor_si128(u, a), 16));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi32(h, h));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) { return _mm_cvtepi32_ps(_mm_cvtepi8_epi32(_mm_cvtsi32_si128((int32_t)aiosk__u32(p)))); }
V_FN vf v_dup_even(vf a) { return _mm_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm_shuffle_ps(a, a, 0xB1); }
V_FN vf v_swap(vf a, int n) { return n == 1 ? _mm_shuffle_ps(a, a, 0xB1) : _mm_shuffle_ps(a, a, 0x4E); }
V_FN float v_tree_add(const vf *v) {
    vf a = _mm_add_ps(_mm_add_ps(v[0], v[2]), _mm_add_ps(v[1], v[3]));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}
V_FN float v_tree_max(const vf *v) {
    vf a = v_max(v_max(v[0], v[2]), v_max(v[1], v[3]));
    a = v_max(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(v_max(a, _mm_movehdup_ps(a)));
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) { /* |k| <= 127: two products stay below 2^15 */
    const __m128i s = _mm_maddubs_epi16(_mm_abs_epi8(k), _mm_sign_epi8(q, k));
    return _mm_add_epi32(acc, _mm_madd_epi16(s, _mm_set1_epi16(1)));
}

#endif

/* ======== kernels/simdi_sse41.h ======== */
/* simdi_sse41.h: the integer words (simdi_scalar.h) in SSE4.1 with SSSE3, and what dot_i16.inc needs. */
#ifndef AIOSK__SIMDI_SSE41_H
#define AIOSK__SIMDI_SSE41_H

V_FN vi i_dup(const void *p) { return _mm_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm_and_si128(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm_or_si128(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm_xor_si128(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm_srli_epi32(a, n); }
V_FN vi i_sll(vi a, int n) { return _mm_slli_epi32(a, n); }
V_FN vi i_addb(vi a, vi b) { return _mm_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm_cvtepu8_epi32(_mm_cvtsi32_si128((int32_t)aiosk__u32(p))); }
V_FN vi i_load_u16(const void *p) { return _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm_srai_epi16(_mm_slli_epi16(a, 8), 8);
    o[1] = _mm_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
V_FN vi i_lut(vi t, vi i) { return _mm_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm_shuffle_epi8(a, _mm_setr_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o));
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = _mm_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(i_splat(a, c >> 1), s), s), _mm_set1_epi8((char)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return _mm_sub_epi8(_mm_xor_si128(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return _mm_setr_epi32(t[_mm_cvtsi128_si32(i)], t[_mm_extract_epi32(i, 1)], t[_mm_extract_epi32(i, 2)], t[_mm_extract_epi32(i, 3)]);
}
V_FN vi i_mul16(vi a, vi b) { return _mm_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm_castsi128_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    const vi z0 = v_loadi(a), z1 = v_loadi(a + rb), z2 = v_loadi(a + 2 * rb), z3 = v_loadi(a + 3 * rb);
    const vi t0 = _mm_unpacklo_epi32(z0, z1), t1 = _mm_unpackhi_epi32(z0, z1);
    const vi t2 = _mm_unpacklo_epi32(z2, z3), t3 = _mm_unpackhi_epi32(z2, z3);
    o[0] = _mm_unpacklo_epi64(t0, t2);
    o[1] = _mm_unpackhi_epi64(t0, t2);
    o[2] = _mm_unpacklo_epi64(t1, t3);
    o[3] = _mm_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    const vi b = _mm_packs_epi32(a, a);
    const int32_t d = _mm_cvtsi128_si32(_mm_packs_epi16(b, b));
    memcpy(p, &d, 4);
}

#define V_NP 1 /* panels that a micro-kernel takes at once */
#define V_NC 4 /* and columns */
#define V_FEW 0
#define V_TWO_KINDS 1 /* fewer loops: two kinds of codes, up to 6 bits and signed */
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) { /* as in dot_avx2.inc */
    return kind < 7 ? _mm_maddubs_epi16(w, x) : _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w));
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return _mm_madd_epi16(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm_srai_epi16(_mm_shuffle_epi8(a, _mm_setr_epi32(0x00800080, 0x04800480, 0x08800880, 0x0C800C80)), 8);
}
#define AIOSK__PART 5 /* kernels/dot_i16.inc */
#include "aios_kernels.h"

#endif

/* ======== kernels/isa_sse41.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_SSE41
#define V_ISA_TEXT "sse41"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#endif

/* ======== kernels/isa_avx2.c ======== */
/* isa_avx2.c: the loops in AVX2, FMA, F16C; then the products of many columns once more with AVX-VNNI: what unpacks is that of
 * AVX2, and so are few columns. */
#if defined(AIOSK__AVX2) && AIOSK__IN_UNIT(2)

/* ======== kernels/simd_avx2.h ======== */
/* simd_avx2.h: the v_* vocabulary (simd_scalar.h) in AVX2, FMA and F16C: eight lanes. */
#ifndef AIOSK__SIMD_AVX2_H
#define AIOSK__SIMD_AVX2_H

#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET __attribute__((target("avx2,fma,f16c")))
#else
#define V_TARGET
#endif
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#undef V_EXPORT_REST
#define V_EXPORT_REST AIOSK__SHARED V_TARGET /* for AVX-512 */
#define V_NAME(x) aiosk__##x##_avx2
#define V_BASE(x) aiosk__##x##_avx2
#define V_W 8
#define V_PER16 2
#define V_MAXQ 6
#define V_SHAPES(X) X(1, 1, 4) X(2, 2, 2) X(3, 4, 1) X(5, 6, 1)
#define V_KBIAS 0
#define V_TREES 1
#define vf __m256
#define vi __m256i

V_FN vf v_loadu(const float *p) { return _mm256_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm256_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
V_FN void v_storei(void *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
V_FN vf v_set1(float a) { return _mm256_set1_ps(a); }
V_FN vf v_zero(void) { return _mm256_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm256_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm256_setzero_si256(); }
V_FN vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) { return _mm256_fmadd_ps(a, b, _mm256_set1_ps(-0.0f)); }
V_FN vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
V_FN vf v_max(vf a, vf b) { return _mm256_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm256_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
V_FN vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm256_xor_ps(a, _mm256_and_ps(_mm256_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm256_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm256_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm256_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm256_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    __m256i i = _mm256_cvtps_epi32(n), h = _mm256_srai_epi32(i, 1), b = _mm256_set1_epi32(127);
    __m256i s = _mm256_slli_epi32(_mm256_add_epi32(h, b), 23);
    __m256i t = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, h), b), 23);
    return v_mulr(_mm256_mul_ps(p, _mm256_castsi256_ps(s)), _mm256_castsi256_ps(t));
}
V_FN vf v_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
V_FN void v_store_f16(void *p, vf a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
V_FN vf v_dup_even(vf a) { return _mm256_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm256_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm256_permute_ps(a, 0xB1); }
V_FN vf v_swap(vf a, int n) {
    return n == 1 ? _mm256_permute_ps(a, 0xB1) : n == 2 ? _mm256_permute_ps(a, 0x4E) : _mm256_permute2f128_ps(a, a, 1);
}
V_FN float v_tree_add(const vf *v) {
    __m256 a = _mm256_add_ps(v[0], v[1]);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
V_FN void v_tree_adds(float *to, const float *s) {
    const vf v[2] = {v_loadu(s + 0), v_loadu(s + 8)};
    *to = v_tree_add(v);
}
V_FN float v_tree_max(const vf *v) {
    __m256 a = _mm256_max_ps(v[1], v[0]);
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) { /* |k| <= 127: two products stay below 2^15 */
    __m256i s = _mm256_maddubs_epi16(_mm256_abs_epi8(k), _mm256_sign_epi8(q, k));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(s, _mm256_set1_epi16(1)));
}

#endif

/* ======== kernels/simdi_avx2.h ======== */
/* simdi_avx2.h: the integer words (simdi_scalar.h) of 256-bit registers that every AVX2 machine has. The dot products
 * are in dot_avx2.inc, or, with AVX-VNNI, in dot_vnni.inc. */
#ifndef AIOSK__SIMDI_AVX2_H
#define AIOSK__SIMDI_AVX2_H

V_FN vi i_dup(const void *p) { return _mm256_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm256_srlv_epi32(a, _mm256_set1_epi32(n)); }
V_FN vi i_sll(vi a, int n) { return _mm256_sllv_epi32(a, _mm256_set1_epi32(n)); }
V_FN vi i_addb(vi a, vi b) { return _mm256_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
V_FN vi i_load_u16(const void *p) { return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
    o[1] = _mm256_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_lut(vi t, vi i) { return _mm256_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm256_shuffle_epi8(a, _mm256_setr_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o, o, 0x04040404 + o, 0x08080808 + o,
                                                    0x0C0C0C0C + o));
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = _mm256_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(i_splat(a, c >> 1), s), s), _mm256_set1_epi8((char)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return _mm256_sub_epi8(_mm256_xor_si256(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) { /* two bytes at 2 i; the last index is never the end of the table */
    return _mm256_and_si256(_mm256_i32gather_epi32((const int *)(const void *)t, i, 2), _mm256_set1_epi32(0xFFFF));
}
V_FN vi i_mul16(vi a, vi b) { return _mm256_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm256_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm256_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm256_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm256_castsi256_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    vi z[4], t0, t1, t2, t3;
    int q;
    AIOSK__UNROLL
    for (q = 0; q < 4; q++)
        z[q] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(a + (uint64_t)q * rb))),
                                       _mm_loadu_si128((const __m128i *)(const void *)(a + (uint64_t)(q + 4) * rb)), 1);
    t0 = _mm256_unpacklo_epi32(z[0], z[1]);
    t1 = _mm256_unpackhi_epi32(z[0], z[1]);
    t2 = _mm256_unpacklo_epi32(z[2], z[3]);
    t3 = _mm256_unpackhi_epi32(z[2], z[3]);
    o[0] = _mm256_unpacklo_epi64(t0, t2);
    o[1] = _mm256_unpackhi_epi64(t0, t2);
    o[2] = _mm256_unpacklo_epi64(t1, t3);
    o[3] = _mm256_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    __m128i b = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(b, b));
}

#endif

/* ======== kernels/dot_avx2.inc ======== */
/* dot_avx2.inc: what dot_i16.inc needs in AVX2 without VNNI. vpmaddubsw takes the codes, or their absolute values, as its unsigned
 * factor. */
#define V_NP 1 /* panels that a micro-kernel takes at once, when there are several columns */
#define V_NC 4 /* and columns */
#define V_FEW 8
#define V_MIXED 0 /* 16 registers: beside a loop over more of them one column would lose a tenth */
/* Many columns: kind 9, not 8. vpxor can run on every vector port, vpsignb, vpmaddubsw and vpmaddwd on two of three alone. With it
 * the four instructions for 32 products take 1.33 cycles, not 1.5. */
#define V_XOR 1
V_FN vi V_NAME(i_neg8)(vi w) { return _mm256_cmpgt_epi8(_mm256_setzero_si256(), w); }
V_FN vi V_NAME(i_abs8)(vi w) { return _mm256_abs_epi8(w); }
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) {
    return kind < 7 || kind == 9 ? _mm256_maddubs_epi16(w, x) : _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return _mm256_madd_epi16(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm256_srai_epi16(_mm256_shuffle_epi8(a, _mm256_setr_epi8(-128, 0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128,
                                                                     12, -128, 0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12,
                                                                     -128, 12)), 8);
}
#define AIOSK__PART 5 /* kernels/dot_i16.inc */
#include "aios_kernels.h"

/* ======== kernels/isa_avx2.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_AVX2
#define V_ISA_TEXT "avx2"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"

#ifdef AIOSK__AVXVNNI
#undef V_NAME
#define V_NAME(x) aiosk__##x##_avxvnni
#undef V_TARGET
#define V_TARGET AIOSK__AVXVNNI
#define V_SOURCE(x) aiosk__##x##_avx2

/* ======== kernels/simdi_avxvnni.h ======== */
/* simdi_avxvnni.h: what dot_vnni.inc needs in 256-bit registers (AVX-VNNI: processors without AVX-512); the other words are
 * those of AVX2. */
#ifndef AIOSK__SIMDI_AVXVNNI_H
#define AIOSK__SIMDI_AVXVNNI_H

#define V_NP 1
#define V_NC 4
#define V_FEW 8 /* columns that a panel is unpacked for in registers, at most */
V_FN vi V_NAME(i_dp)(vi acc, vi w, vi x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
V_FN vi V_NAME(i_dpw)(vi acc, vi a, vi b) { return _mm256_dpwssd_avx_epi32(acc, a, b); }
V_FN vi V_NAME(i_mul32)(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
V_FN vi V_NAME(i_pack)(vi low, vi high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm256_srai_epi16(_mm256_shuffle_epi8(a, _mm256_setr_epi32(0x00800080, 0x04800480, 0x08800880, 0x0C800C80, 0x00800080, 0x04800480,
                                                                      0x08800880, 0x0C800C80)), 8);
}
V_FN vi V_NAME(i_scale_one)(vi a) { return _mm256_srai_epi32(_mm256_slli_epi32(a, 24), 24); }
#define AIOSK__PART 6 /* kernels/dot_vnni.inc */
#include "aios_kernels.h"

#endif

/* ======== kernels/isa_avx2.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_AVXVNNI
#define V_ISA_TEXT "avxvnni"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#endif
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#endif

/* ======== kernels/isa_avx512.c ======== */
/* isa_avx512.c: the loops in AVX-512 F, BW, DQ, VL; the integer matrices with VNNI, those of grid types once more with VBMI, and
 * the products without VNNI. */
#if defined(AIOSK__AVX512) && (AIOSK__IN_UNIT(3) || (defined(AIOSK__AVX512BW) && AIOSK__IN_UNIT(2)))
#if defined(__GNUC__) && !defined(__clang__) /* its own avx512fintrin.h: _mm512_undefined_ps, macros at -O0 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

/* ======== kernels/simd_avx512.h ======== */
/* simd_avx512.h: the v_* vocabulary (simd_scalar.h) in AVX-512 F, BW, DQ, VL: sixteen lanes. VNNI for v_kdot and v_vdot alone: the
 * functions with V_FN8 and V_EXPORT8 (attend.inc), which a machine without it does not call. */
#ifndef AIOSK__SIMD_AVX512_H
#define AIOSK__SIMD_AVX512_H

#if defined(__GNUC__) || defined(__clang__)
#define AIOSK__AVX512_BW __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define AIOSK__AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#else
#define AIOSK__AVX512_BW
#define AIOSK__AVX512_VNNI
#endif
#define V_TARGET AIOSK__AVX512_BW
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#undef V_EXPORT_MM
#define V_EXPORT_MM AIOSK__SHARED V_TARGET /* for AVX512BW, which is compiled with AVX2 */
#undef V_FN8
#define V_FN8 AIOSK__INLINE AIOSK__AVX512_VNNI
#undef V_EXPORT8
#define V_EXPORT8 static AIOSK__UNUSED AIOSK__AVX512_VNNI
#define V_NAME(x) aiosk__##x##_avx512
#define V_BASE(x) aiosk__##x##_avx512
#ifdef AIOSK__AVX2 /* memory is what these wait for, and twice the code in caches is no help */
#undef V_REST
#define V_REST(x) aiosk__##x##_avx2
#endif
#define V_W 16
#define V_PER16 1
#define V_MAXQ 6
#define V_SHAPES(X) X(1, 6, 4) X(1, 6, 1)
#define V_KBIAS 128
#define V_VDOT 1
#define V_TREES 16
#define vf __m512
#define vi __m512i

V_FN vf v_loadu(const float *p) { return _mm512_loadu_ps(p); }
V_FN void v_storeu(float *p, vf a) { _mm512_storeu_ps(p, a); }
V_FN vi v_loadi(const void *p) { return _mm512_loadu_si512(p); }
V_FN void v_storei(void *p, vi a) { _mm512_storeu_si512(p, a); }
V_FN vf v_set1(float a) { return _mm512_set1_ps(a); }
V_FN vf v_zero(void) { return _mm512_setzero_ps(); }
V_FN vi v_set1i(int32_t a) { return _mm512_set1_epi32(a); }
V_FN vi v_zeroi(void) { return _mm512_setzero_si512(); }
V_FN vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
V_FN vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
V_FN vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
V_FN vf v_mulr(vf a, vf b) { return _mm512_fmadd_ps(a, b, _mm512_set1_ps(-0.0f)); }
V_FN vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
V_FN vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
V_FN vf v_max(vf a, vf b) { return _mm512_max_ps(b, a); } /* maxps gives its second operand unless the first is greater */
V_FN vf v_min(vf a, vf b) { return _mm512_min_ps(b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x); }
V_FN vf v_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
V_FN vf v_xorsign(vf a, vf s) { return _mm512_xor_ps(a, _mm512_and_ps(_mm512_set1_ps(-0.0f), s)); }
V_FN vi v_addi(vi a, vi b) { return _mm512_add_epi32(a, b); }
V_FN vi v_subi(vi a, vi b) { return _mm512_sub_epi32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return _mm512_cvtepi32_ps(a); }
V_FN vi v_cvt_f32_i32(vf a) { return _mm512_cvtps_epi32(a); } /* MXCSR rounding: nearest even (aiosk_fp_begin) */
V_FN vf v_rint(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
V_FN vf v_ldexp(vf p, vf n) { return _mm512_scalef_ps(p, n); }
V_FN vf v_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
V_FN void v_store_f16(void *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
V_FN vf v_load_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
V_FN vf v_load_i8(const void *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
V_FN vf v_dup_even(vf a) { return _mm512_moveldup_ps(a); }
V_FN vf v_dup_odd(vf a) { return _mm512_movehdup_ps(a); }
V_FN vf v_swap2(vf a) { return _mm512_permute_ps(a, 0xB1); }
V_FN vf v_swap(vf a, int n) {
    return n == 1 ? _mm512_permute_ps(a, 0xB1) : n == 2 ? _mm512_permute_ps(a, 0x4E)
         : n == 4 ? _mm512_shuffle_f32x4(a, a, 0xB1) : _mm512_shuffle_f32x4(a, a, 0x4E);
}
V_FN float v_tree_add(const vf *v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v[0]), _mm512_extractf32x8_ps(v[0], 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
V_FN void v_tree_adds(float *to, const float *s) { /* both halves of two trees side by side in one register, and so on */
    vf p[4];
    int e;
    AIOSK__UNROLL
    for (e = 0; e < 4; e++) {
        const vf a = v_loadu(s + e * 16), b = v_loadu(s + e * 16 + 64), c = v_loadu(s + e * 16 + 128), d = v_loadu(s + e * 16 + 192);
        const vf ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
        const vf cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
        p[e] = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
    }
    p[0] = _mm512_add_ps(_mm512_shuffle_ps(p[0], p[1], 0x44), _mm512_shuffle_ps(p[0], p[1], 0xEE));
    p[2] = _mm512_add_ps(_mm512_shuffle_ps(p[2], p[3], 0x44), _mm512_shuffle_ps(p[2], p[3], 0xEE));
    v_storeu(to, _mm512_add_ps(_mm512_shuffle_ps(p[0], p[2], 0x88), _mm512_shuffle_ps(p[0], p[2], 0xDD)));
}
V_FN float v_tree_max(const vf *v) {
    __m256 a = _mm256_max_ps(_mm512_extractf32x8_ps(v[0], 1), _mm512_castps512_ps256(v[0]));
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}
V_FN vi v_kprep(vi k) { return _mm512_xor_si512(k, _mm512_set1_epi8((char)-128)); } /* k + 128, unsigned */
V_FN8 vi v_kdot(vi acc, vi k, vi q) {
#if defined(__GNUC__) && !defined(__clang__) /* GCC moves the sums of a loop from register to register, and to the stack, with its own */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(k), "v"(q));
    return acc;
#else
    return _mm512_dpbusd_epi32(acc, k, q);
#endif
}
V_FN8 vi v_vdot(vi acc, vi w, vi c) { return v_kdot(acc, w, c); }

#endif

/* ======== kernels/simdi_avx512.h ======== */
/* simdi_avx512.h: the integer words (simdi_scalar.h) in AVX-512. The dot products are in dot_vnni.inc (by way of
 * simdi_avx512vnni.h), or, without VNNI, in dot_avx512bw.inc. */
#ifndef AIOSK__SIMDI_AVX512_H
#define AIOSK__SIMDI_AVX512_H

V_FN vi i_dup(const void *p) { return _mm512_set1_epi32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
V_FN vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
V_FN vi i_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
V_FN vi i_srl(vi a, int n) { return _mm512_srlv_epi32(a, _mm512_set1_epi32(n)); }
V_FN vi i_sll(vi a, int n) { return _mm512_sllv_epi32(a, _mm512_set1_epi32(n)); }
V_FN vi i_addb(vi a, vi b) { return _mm512_add_epi8(a, b); }
V_FN vi i_load_u8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_load_u16(const void *p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8);
    o[1] = _mm512_srai_epi16(a, 8);
}
V_FN vi i_table(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p)); }
V_FN vi i_lut(vi t, vi i) { return _mm512_shuffle_epi8(t, i); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    return _mm512_shuffle_epi8(a, _mm512_setr4_epi32(o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o));
}
V_FN __mmask64 V_NAME(i_test)(vi a, int c) {
    return _mm512_test_epi8_mask(i_splat(a, c >> 1), _mm512_set1_epi32(c & 1 ? (int32_t)0x80402010 : 0x08040201));
}
V_FN vi i_bits(vi a, int c, int m) { return _mm512_maskz_mov_epi8(V_NAME(i_test)(a, c), _mm512_set1_epi8((char)m)); }
V_FN vi i_negate(vi w, vi a, int c) { return _mm512_mask_sub_epi8(w, V_NAME(i_test)(a, c), _mm512_setzero_si512(), w); }
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return _mm512_and_si512(_mm512_i32gather_epi32(i, (const void *)t, 2), _mm512_set1_epi32(0xFFFF));
}
V_FN vi i_mul16(vi a, vi b) { return _mm512_mullo_epi16(a, b); }
V_FN vi i_mulhi16(vi a, vi b) { return _mm512_mulhi_epu16(a, b); }
V_FN vi i_sub16(vi a, vi b) { return _mm512_sub_epi16(a, b); }
V_FN vi i_add16(vi a, vi b) { return _mm512_add_epi16(a, b); }
V_FN vf i_as_float(vi a) { return _mm512_castsi512_ps(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    vi z[4], t0, t1, t2, t3;
    int q;
    AIOSK__UNROLL
    for (q = 0; q < 4; q++) {
        const uint8_t *b = a + (uint64_t)q * rb;
        z[q] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)b));
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 4 * rb)), 1);
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 8 * rb)), 2);
        z[q] = _mm512_inserti32x4(z[q], _mm_loadu_si128((const __m128i *)(const void *)(b + 12 * rb)), 3);
    }
    t0 = _mm512_unpacklo_epi32(z[0], z[1]);
    t1 = _mm512_unpackhi_epi32(z[0], z[1]);
    t2 = _mm512_unpacklo_epi32(z[2], z[3]);
    t3 = _mm512_unpackhi_epi32(z[2], z[3]);
    o[0] = _mm512_unpacklo_epi64(t0, t2);
    o[1] = _mm512_unpackhi_epi64(t0, t2);
    o[2] = _mm512_unpacklo_epi64(t1, t3);
    o[3] = _mm512_unpackhi_epi64(t1, t3);
}
V_FN void i_store_s8(int8_t *p, vi a) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a)); }

#define V_FEW 8 /* columns that a panel is unpacked for in registers, at most */
#define V_MIXED 1

#endif

/* ======== kernels/isa_avx512.c, continued ======== */
#ifdef AIOSK_UNIT

/* ======== kernels/isa_extern.inc ======== */
/* isa_extern.inc: declares what isa_table.h takes from another unit: AVX512BW from the float loops of AVX-512 (V_BASE), and that from AVX2
 * (V_REST). */
#if AIOSK__IN_UNIT(2)
AIOSK__SHARED void V_BASE(quantize_flt)(const float *x, int32_t n, void *dst);
AIOSK__SHARED void V_BASE(quantize_a32)(const float *x, int32_t n, void *dst);
AIOSK__SHARED void V_BASE(quantize_a256)(const float *x, int32_t n, void *dst);
AIOSK__SHARED void V_BASE(quantize_head)(const float *x, int32_t n, int8_t *q, float *d, float *back);
AIOSK__SHARED void V_BASE(rows_f32)(const aiosk_matmul *m);
AIOSK__SHARED void V_BASE(rows_f16)(const aiosk_matmul *m);
AIOSK__SHARED void V_BASE(rows_bf16)(const aiosk_matmul *m);
#elif defined(AIOSK__AVX2)
extern AIOSK__SHARED const aiosk_isa V_REST(isa);
AIOSK__SHARED void V_REST(store_f32)(void *tile, int32_t slot, const float *k, const float *v, int32_t hd_k, int32_t hd_v);
AIOSK__SHARED void V_REST(store_f16)(void *tile, int32_t slot, const float *k, const float *v, int32_t hd_k, int32_t hd_v);
AIOSK__SHARED void V_REST(kv_convert)(int32_t src_type, const void *src, int32_t dst_type, void *dst, int32_t hd_k, int32_t hd_v, void *scratch);
AIOSK__SHARED void V_REST(attend_merge)(int32_t n_q, int32_t hd_v, float *m, float *l, float *o, int32_t stride, const float *m1, const float *l1,
                                        const float *o1, int32_t stride1);
AIOSK__SHARED void V_REST(rotate)(float *x, int32_t n_head, int32_t hd, int32_t inverse);
AIOSK__SHARED void V_REST(rms_norm)(const float *x, const float *w, float eps, int32_t n, float *y);
AIOSK__SHARED void V_REST(layer_norm)(const float *x, const float *w, const float *b, float eps, int32_t n, float *y);
AIOSK__SHARED void V_REST(act)(int32_t kind, const float *x, int32_t n, float *y);
AIOSK__SHARED void V_REST(act_gated)(int32_t kind, const float *g, const float *u, int32_t n, float *y);
AIOSK__SHARED void V_REST(add)(const float *a, const float *b, int32_t n, float *y);
AIOSK__SHARED void V_REST(scale)(const float *x, float s, int32_t n, float *y);
AIOSK__SHARED void V_REST(softcap)(const float *x, float cap, int32_t n, float *y);
AIOSK__SHARED void V_REST(rope)(int32_t style, float *x, int32_t n_head, int32_t hd, int32_t n_rot, const float *cs);
AIOSK__SHARED int32_t V_REST(argmax)(const float *x, int32_t n);
AIOSK__SHARED void V_REST(exp)(const float *x, int32_t n, float *y);
#endif

/* ======== kernels/isa_avx512.c, continued ======== */
#endif
#if AIOSK__IN_UNIT(3)
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"

#undef V_NAME
#define V_NAME(x) aiosk__##x##_avx512vnni
#undef V_TARGET
#define V_TARGET AIOSK__AVX512_VNNI

/* ======== kernels/simdi_avx512vnni.h ======== */
/* simdi_avx512vnni.h: what dot_vnni.inc needs in 512-bit registers; the other words are those of simdi_avx512.h. */
#ifndef AIOSK__SIMDI_AVX512VNNI_H
#define AIOSK__SIMDI_AVX512VNNI_H

#define V_NP 2 /* panels that a micro-kernel takes at once, when there are several columns */
#define V_NC 4 /* and columns: 8 sums, 16 parts and 2 codes in 32 registers */
V_FN vi V_NAME(i_dp)(vi acc, vi w, vi x) { return _mm512_dpbusd_epi32(acc, w, x); }
V_FN vi V_NAME(i_dpw)(vi acc, vi a, vi b) { return _mm512_dpwssd_epi32(acc, a, b); }
V_FN vi V_NAME(i_mul32)(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
V_FN vi V_NAME(i_pack)(vi low, vi high) { /* the low half of each dword of high goes to the high half of low */
    return _mm512_mask_shuffle_epi8(low, 0xCCCCCCCCCCCCCCCCu, high, _mm512_set4_epi32(0x0D0C0D0C, 0x09080908, 0x05040504, 0x01000100));
}
V_FN vi V_NAME(i_scale_pair)(vi a) { /* byte 0 of each dword, signed, to both its halves */
    return _mm512_srai_epi16(_mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0C800C80, 0x08800880, 0x04800480, 0x00800080)), 8);
}
V_FN vi V_NAME(i_scale_one)(vi a) { return _mm512_srai_epi32(_mm512_slli_epi32(a, 24), 24); }
#define AIOSK__PART 6 /* kernels/dot_vnni.inc */
#include "aios_kernels.h"

#endif

/* ======== kernels/isa_avx512.c, continued ======== */
#ifdef AIOSK__AVX2 /* for Cascade Lake and Cooper Lake; after them VBMI has all of these */
#define V_LENDER(x) aiosk__##x##_avx2
#endif
#define V_ISA_ID AIOSK_ISA_AVX512
#define V_ISA_TEXT "avx512"
#define V_VBMI
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"

/* vdpbf16ps, for aiosk_matmul_fast. */
#ifdef AIOSK__AVX512_BF16
#undef V_TARGET
#define V_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))

/* ======== kernels/bf16.inc ======== */
/* bf16.inc: BF16 matrices with vdpbf16ps, for aiosk_matmul_fast: activations rounded to bf16,
 * two products at a time added to 16 sums in f32, places ascending, then the tree. Flushes
 * subnormal numbers, whatever the state. */

/* 32 places rounded to bf16; zeros where k has none */
V_FN vf V_NAME(bf16_x)(const float *x, __mmask32 k) {
    return (vf)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps((__mmask16)(k >> 16),
                                                         (const float *)((uintptr_t)x + 64)),
                                   _mm512_maskz_loadu_ps((__mmask16)k, x));
}

/* 8 rows times 2 columns in registers; past the last row or column that one again, which nobody
 * keeps. */
V_EXPORT AIOSK__NOINLINE void V_NAME(bf16_tile)(const aiosk_matmul *m, int32_t row, int32_t col) {
    const int32_t nr = m->row1 - row < 8 ? m->row1 - row : 8, nc = m->n_cols - col < 2 ? 1 : 2;
    const uint8_t *w[8];
    const float *x[2];
    vf acc[16];
    int32_t i;
    int r, c;
    AIOSK__UNROLL
    for (r = 0; r < 8; r++)
        w[r] =
            (const uint8_t *)m->w + (uint64_t)(row + (r < nr ? r : nr - 1)) * (uint64_t)m->n_in * 2;
    AIOSK__UNROLL
    for (c = 0; c < 2; c++)
        x[c] = (const float *)(const void *)((const uint8_t *)m->x +
                                             (uint64_t)(col + (c < nc ? c : nc - 1)) * m->x_stride);
    AIOSK__UNROLL
    for (r = 0; r < 16; r++) acc[r] = v_zero();
    for (i = 0; i < m->n_in; i += 32) {
        const __mmask32 k = m->n_in - i >= 32 ? 0xFFFFFFFFu : (1u << (m->n_in - i)) - 1;
        const vf x0 = V_NAME(bf16_x)(x[0] + i, k), x1 = V_NAME(bf16_x)(x[1] + i, k);
        AIOSK__UNROLL
        for (r = 0; r < 8; r++) {
            const vi wv = _mm512_maskz_loadu_epi16(k, w[r] + 2 * (uint32_t)i);
            acc[r] = _mm512_dpbf16_ps(acc[r], (__m512bh)wv, (__m512bh)x0);
            acc[r + 8] = _mm512_dpbf16_ps(acc[r + 8], (__m512bh)wv, (__m512bh)x1);
        }
    }
    for (c = 0; c < nc; c++) {
        float *y = m->y + (uint64_t)(col + c) * m->y_stride + row;
        for (r = 0; r < nr; r++) {
            float t = v_tree_add(acc + c * 8 + r);
            if (m->bias) t = t + m->bias[row + r];
            y[r] = m->flags & AIOSK_MM_ADD ? y[r] + t : t;
        }
    }
}
V_EXPORT_MM void V_NAME(fast_bf16)(const aiosk_matmul *m) {
    int32_t row, c;
    for (row = m->row0; row < m->row1; row += 8)
        for (c = 0; c < m->n_cols; c += 2) V_NAME(bf16_tile)(m, row, c);
}

/* ======== kernels/isa_avx512.c, continued ======== */
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

/* ======== kernels/dot_avx512bw.inc ======== */
/* dot_avx512bw.inc: what dot_i16.inc needs in AVX-512 without VNNI. */
#define V_NP 1 /* panels that a micro-kernel takes at once, when there are several columns */
#define V_NC 4 /* and columns */
#define V_XOR 1 /* as in dot_avx2.inc */
V_FN vi V_NAME(i_neg8)(vi w) { return _mm512_movm_epi8(_mm512_movepi8_mask(w)); }
V_FN vi V_NAME(i_abs8)(vi w) { return _mm512_abs_epi8(w); }
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) {
    if (kind < 7 || kind == 9) return _mm512_maddubs_epi16(w, x);
    return _mm512_maddubs_epi16(_mm512_abs_epi8(w), _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x)); /* no vpsignb */
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return _mm512_madd_epi16(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) {
    return _mm512_srai_epi16(_mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0C800C80, 0x08800880, 0x04800480, 0x00800080)), 8);
}
#define AIOSK__PART 5 /* kernels/dot_i16.inc */
#include "aios_kernels.h"

/* ======== kernels/isa_avx512.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_AVX512BW
#define V_ISA_TEXT "avx512_bw"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#endif
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

/* ======== kernels/isa_neon.c ======== */
/* isa_neon.c: the loops in AArch64 NEON, twice: baseline, and with the dot product instructions of ARMv8.2. */
#ifdef AIOSK__ARM64
#if AIOSK__IN_UNIT(1)
#define AIOSK__PART 7 /* kernels/simd_neon.inc */
#include "aios_kernels.h"
#define AIOSK__PART 8 /* kernels/simdi_neon.inc */
#include "aios_kernels.h"
#define V_ISA_ID AIOSK_ISA_NEON
#define V_ISA_TEXT "neon"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#endif
#if AIOSK__IN_UNIT(2)
#define AIOSK__NEON_DOT
#define AIOSK__PART 7 /* kernels/simd_neon.inc */
#include "aios_kernels.h"
#define AIOSK__PART 8 /* kernels/simdi_neon.inc */
#include "aios_kernels.h"
#define V_ISA_ID AIOSK_ISA_NEON_DOT
#define V_ISA_TEXT "neon_dot"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#undef AIOSK__NEON_DOT
#endif
#endif

/* ======== kernels/isa_wasm.c ======== */
/* isa_wasm.c: the loops in WebAssembly SIMD128. */
#if defined(AIOSK__WASM) && AIOSK__IN_UNIT(1)

/* ======== kernels/simd_wasm.h ======== */
/* simd_wasm.h: the v_* vocabulary (simd_scalar.h) in WebAssembly SIMD128: four lanes, no FMA; nothing of relaxed SIMD, whose
 * results differ from machine to machine. */
#ifndef AIOSK__SIMD_WASM_H
#define AIOSK__SIMD_WASM_H

#define V_TARGET
#define V_FN AIOSK__INLINE
#define V_EXPORT static AIOSK__UNUSED
#define V_NAME(x) aiosk__##x##_wasm
#define V_BASE(x) aiosk__##x##_wasm
#define V_W 4
#define V_PER16 4
#define V_MAXQ 4
#define V_SHAPES(X) X(1, 4, 1)
#define V_KBIAS 0
#define vf v128_t
#define vi v128_t

V_FN vf v_loadu(const float *p) { return wasm_v128_load(p); }
V_FN void v_storeu(float *p, vf a) { wasm_v128_store(p, a); }
V_FN vi v_loadi(const void *p) { return wasm_v128_load(p); }
V_FN void v_storei(void *p, vi a) { wasm_v128_store(p, a); }
V_FN vf v_set1(float a) { return wasm_f32x4_splat(a); }
V_FN vf v_zero(void) { return wasm_f32x4_splat(0.0f); }
V_FN vi v_set1i(int32_t a) { return wasm_i32x4_splat(a); }
V_FN vi v_zeroi(void) { return wasm_i32x4_splat(0); }
V_FN vf v_add(vf a, vf b) { return wasm_f32x4_add(a, b); }
V_FN vf v_sub(vf a, vf b) { return wasm_f32x4_sub(a, b); }
V_FN vf v_mul(vf a, vf b) { return wasm_f32x4_mul(a, b); }
V_FN vf v_mulr(vf a, vf b) { return wasm_f32x4_mul(a, b); } /* nothing to contract to */
V_FN vf v_div(vf a, vf b) { return wasm_f32x4_div(a, b); }
V_FN vf v_sqrt(vf a) { return wasm_f32x4_sqrt(a); }
V_EXPORT AIOSK__NOINLINE vf V_NAME(fma_rare)(vf a, vf b, vf c) {
    float x[4], y[4], z[4];
    int i;
    wasm_v128_store(x, a);
    wasm_v128_store(y, b);
    wasm_v128_store(z, c);
    for (i = 0; i < 4; i++) x[i] = aiosk__fma(x[i], y[i], z[i]);
    return wasm_v128_load(x);
}
/* As in simd_sse41.h */
V_FN v128_t V_NAME(upper)(v128_t a) { return wasm_i32x4_shuffle(a, a, 2, 3, 2, 3); }
V_FN v128_t V_NAME(doubles)(v128_t a, v128_t b, v128_t c) { /* of lanes 0 and 1 */
    const v128_t p = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(a), wasm_f64x2_promote_low_f32x4(b));
    return wasm_f64x2_add(p, wasm_f64x2_promote_low_f32x4(c));
}
V_FN v128_t V_NAME(twice)(v128_t s) {
    const v128_t mask = wasm_i32x4_const(0x1FFFFFFF, 0x7FFFFFFF, 0x1FFFFFFF, 0x7FFFFFFF);
    const v128_t most = wasm_i32x4_const(0, (897 << 20) - 2, 0, (897 << 20) - 2);
    const v128_t u = wasm_i32x4_add(wasm_v128_and(s, mask), wasm_i32x4_const(-0x10000000, -1, -0x10000000, -1));
    return wasm_i32x4_eq(wasm_u32x4_min(u, most), u);
}
V_FN vf v_fma(vf a, vf b, vf c) {
    const v128_t s = V_NAME(doubles)(a, b, c), t = V_NAME(doubles)(V_NAME(upper)(a), V_NAME(upper)(b), V_NAME(upper)(c));
    if (AIOSK__RARE(wasm_v128_any_true(wasm_v128_or(V_NAME(twice)(s), V_NAME(twice)(t))))) return V_NAME(fma_rare)(a, b, c);
    return wasm_i32x4_shuffle(wasm_f32x4_demote_f64x2_zero(s), wasm_f32x4_demote_f64x2_zero(t), 0, 1, 4, 5);
}
V_FN vf v_max(vf a, vf b) { return wasm_f32x4_pmax(a, b); } /* a < b ? b : a */
V_FN vf v_min(vf a, vf b) { return wasm_f32x4_pmin(a, b); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return wasm_v128_bitselect(x, y, wasm_f32x4_lt(a, b)); }
V_FN vf v_abs(vf a) { return wasm_f32x4_abs(a); }
V_FN vf v_xorsign(vf a, vf s) { return wasm_v128_xor(a, wasm_v128_and(wasm_i32x4_splat((int32_t)0x80000000u), s)); }
V_FN vi v_addi(vi a, vi b) { return wasm_i32x4_add(a, b); }
V_FN vi v_subi(vi a, vi b) { return wasm_i32x4_sub(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return wasm_f32x4_convert_i32x4(a); }
V_FN vi v_cvt_f32_i32(vf a) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a)); }
V_FN vf v_rint(vf a) { return wasm_f32x4_nearest(a); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    v128_t i = wasm_i32x4_trunc_sat_f32x4(n), h = wasm_i32x4_shr(i, 1), b = wasm_i32x4_splat(127);
    v128_t s = wasm_i32x4_shl(wasm_i32x4_add(h, b), 23), t = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_sub(i, h), b), 23);
    return wasm_f32x4_mul(wasm_f32x4_mul(p, s), t);
}
V_FN vf v_load_f16(const void *p) { /* aiosk__f16 */
    const v128_t h = wasm_u32x4_load16x4(p), e = wasm_v128_and(h, wasm_i32x4_splat(0x7FFF));
    const v128_t inf = wasm_v128_and(wasm_i32x4_gt(e, wasm_i32x4_splat(0x7BFF)), wasm_i32x4_splat(0x7F800000));
    const v128_t nan = wasm_v128_and(wasm_i32x4_gt(e, wasm_i32x4_splat(0x7C00)), wasm_i32x4_splat(0x00400000));
    const v128_t f = wasm_v128_or(wasm_i32x4_add(wasm_i32x4_shl(e, 13), wasm_i32x4_splat(112 << 23)), wasm_v128_or(inf, nan));
    const v128_t sub = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(e), wasm_i32x4_splat(0x33800000)); /* * 2^-24 */
    const v128_t r = wasm_v128_bitselect(sub, f, wasm_i32x4_lt(e, wasm_i32x4_splat(0x400)));
    return wasm_v128_or(r, wasm_i32x4_shl(wasm_v128_xor(h, e), 16));
}
V_FN void v_store_f16(void *p, vf x) { /* aiosk__to_f16 */
    const v128_t a = wasm_v128_and(x, wasm_i32x4_splat(0x7FFFFFFF)), one = wasm_i32x4_splat(1);
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(a, 13), one);
    v128_t h = wasm_u32x4_shr(wasm_i32x4_add(wasm_i32x4_add(a, wasm_i32x4_splat(0xFFF - 0x38000000)), odd), 13);
    const v128_t half = wasm_i32x4_splat(126 << 23); /* 1/2 has units of 2^-24 in its last place, as subnormal f16 have */
    const v128_t sub = wasm_i32x4_sub(wasm_f32x4_add(a, half), half);
    const v128_t nan = wasm_v128_or(wasm_v128_and(wasm_u32x4_shr(a, 13), wasm_i32x4_splat(0x3FF)), wasm_i32x4_splat(0x7E00));
    h = wasm_v128_bitselect(sub, h, wasm_i32x4_lt(a, wasm_i32x4_splat(113 << 23)));
    h = wasm_v128_bitselect(wasm_i32x4_splat(0x7C00), h, wasm_i32x4_gt(a, wasm_i32x4_splat(0x477FEFFF)));
    h = wasm_v128_bitselect(nan, h, wasm_i32x4_gt(a, wasm_i32x4_splat(0x7F800000)));
    h = wasm_v128_or(h, wasm_u32x4_shr(wasm_v128_xor(x, a), 16));
    wasm_v128_store64_lane(p, wasm_u16x8_narrow_i32x4(h, h), 0);
}
V_FN vf v_load_bf16(const void *p) { return wasm_i32x4_shl(wasm_u32x4_load16x4(p), 16); }
V_FN v128_t V_NAME(load4)(const void *p) { return wasm_v128_load32_zero(p); } /* four bytes */
V_FN vf v_load_i8(const void *p) {
    return wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(V_NAME(load4)(p))));
}
V_FN vf v_dup_even(vf a) { return wasm_i32x4_shuffle(a, a, 0, 0, 2, 2); }
V_FN vf v_dup_odd(vf a) { return wasm_i32x4_shuffle(a, a, 1, 1, 3, 3); }
V_FN vf v_swap2(vf a) { return wasm_i32x4_shuffle(a, a, 1, 0, 3, 2); }
V_FN vf v_swap(vf a, int n) { return n == 1 ? wasm_i32x4_shuffle(a, a, 1, 0, 3, 2) : wasm_i32x4_shuffle(a, a, 2, 3, 0, 1); }
V_FN float v_tree_add(const vf *v) {
    vf a = wasm_f32x4_add(wasm_f32x4_add(v[0], v[2]), wasm_f32x4_add(v[1], v[3]));
    a = wasm_f32x4_add(a, V_NAME(upper)(a));
    return wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 1);
}
V_FN float v_tree_max(const vf *v) {
    vf a = v_max(v_max(v[0], v[2]), v_max(v[1], v[3]));
    a = v_max(a, V_NAME(upper)(a));
    return wasm_f32x4_extract_lane(v_max(a, v_dup_odd(a)), 0);
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi V_NAME(i_even)(vi a) { return wasm_i16x8_shr(wasm_i16x8_shl(a, 8), 8); } /* bytes 0 and 2 of a dword, signed */
V_FN vi V_NAME(i_odd)(vi a) { return wasm_i16x8_shr(a, 8); }
V_FN vi v_kdot(vi acc, vi k, vi q) {
    const v128_t s = wasm_i32x4_dot_i16x8(V_NAME(i_even)(k), V_NAME(i_even)(q));
    const v128_t t = wasm_i32x4_dot_i16x8(V_NAME(i_odd)(k), V_NAME(i_odd)(q));
    return wasm_i32x4_add(acc, wasm_i32x4_add(s, t));
}

#endif

/* ======== kernels/simdi_wasm.h ======== */
/* simdi_wasm.h: the integer words (simdi_scalar.h) in WebAssembly SIMD128, and what dot_i16.inc needs. */
#ifndef AIOSK__SIMDI_WASM_H
#define AIOSK__SIMDI_WASM_H

V_FN vi i_dup(const void *p) { return wasm_v128_load32_splat(p); }
V_FN vi i_and(vi a, vi b) { return wasm_v128_and(a, b); }
V_FN vi i_or(vi a, vi b) { return wasm_v128_or(a, b); }
V_FN vi i_xor(vi a, vi b) { return wasm_v128_xor(a, b); }
V_FN vi i_srl(vi a, int n) { return wasm_u32x4_shr(a, (uint32_t)n); }
V_FN vi i_sll(vi a, int n) { return wasm_i32x4_shl(a, (uint32_t)n); }
V_FN vi i_addb(vi a, vi b) { return wasm_i8x16_add(a, b); }
V_FN vi i_load_u8(const void *p) { return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(V_NAME(load4)(p))); }
V_FN vi i_load_u16(const void *p) { return wasm_u32x4_load16x4(p); }
V_FN void i_pairs(vi *o, vi a) {
    o[0] = V_NAME(i_even)(a);
    o[1] = V_NAME(i_odd)(a);
}
V_FN vi i_table(const void *p) { return wasm_v128_load(p); }
V_FN vi i_lut(vi t, vi i) { return wasm_i8x16_swizzle(t, i); }
V_FN vi i_splat(vi a, int b) { /* one shuffle: b is a constant */
    switch (b) {
    case 0: return wasm_i8x16_shuffle(a, a, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    case 1: return wasm_i8x16_shuffle(a, a, 1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13);
    case 2: return wasm_i8x16_shuffle(a, a, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14);
    default: return wasm_i8x16_shuffle(a, a, 3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15);
    }
}
V_FN vi i_bits(vi a, int c, int m) {
    const vi s = wasm_i32x4_splat(c & 1 ? (int32_t)0x80402010 : 0x08040201);
    return wasm_v128_and(wasm_i8x16_eq(wasm_v128_and(i_splat(a, c >> 1), s), s), wasm_i8x16_splat((int8_t)m));
}
V_FN vi i_negate(vi w, vi a, int c) {
    const vi m = i_bits(a, c, 255);
    return wasm_i8x16_sub(wasm_v128_xor(w, m), m);
}
V_FN vi i_gather16(const uint16_t *t, vi i) {
    return wasm_i32x4_make(t[wasm_i32x4_extract_lane(i, 0)], t[wasm_i32x4_extract_lane(i, 1)], t[wasm_i32x4_extract_lane(i, 2)],
                           t[wasm_i32x4_extract_lane(i, 3)]);
}
V_FN vi i_mul16(vi a, vi b) { return wasm_i16x8_mul(a, b); }
V_FN vi i_mulhi16(vi a, vi b) {
    return wasm_i16x8_shuffle(wasm_u32x4_extmul_low_u16x8(a, b), wasm_u32x4_extmul_high_u16x8(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}
V_FN vi i_sub16(vi a, vi b) { return wasm_i16x8_sub(a, b); }
V_FN vi i_add16(vi a, vi b) { return wasm_i16x8_add(a, b); }
V_FN vf i_as_float(vi a) { return a; }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    const vi z0 = v_loadi(a), z1 = v_loadi(a + rb), z2 = v_loadi(a + 2 * rb), z3 = v_loadi(a + 3 * rb);
    const vi t0 = wasm_i32x4_shuffle(z0, z1, 0, 4, 1, 5), t1 = wasm_i32x4_shuffle(z0, z1, 2, 6, 3, 7);
    const vi t2 = wasm_i32x4_shuffle(z2, z3, 0, 4, 1, 5), t3 = wasm_i32x4_shuffle(z2, z3, 2, 6, 3, 7);
    o[0] = wasm_i64x2_shuffle(t0, t2, 0, 2);
    o[1] = wasm_i64x2_shuffle(t0, t2, 1, 3);
    o[2] = wasm_i64x2_shuffle(t1, t3, 0, 2);
    o[3] = wasm_i64x2_shuffle(t1, t3, 1, 3);
}
V_FN void i_store_s8(int8_t *p, vi a) {
    const vi b = wasm_i16x8_narrow_i32x4(a, a);
    wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(b, b), 0);
}

#define V_NP 2 /* panels that a micro-kernel takes at once: the halves of activations are made for both */
#define V_NC 2 /* and columns */
#define V_FEW 0
/* Codes of 4 to 6 bits are the same signed and unsigned. The halves of w are shared by the columns of a group. */
V_FN vi V_NAME(i_mul8)(const int kind, vi w, vi x) {
    const vi even = kind < 7 ? wasm_v128_and(w, wasm_i32x4_splat(0x00FF00FF)) : V_NAME(i_even)(w);
    const vi odd = kind < 7 ? wasm_u16x8_shr(w, 8) : V_NAME(i_odd)(w);
    return wasm_i16x8_add(wasm_i16x8_mul(even, V_NAME(i_even)(x)), wasm_i16x8_mul(odd, V_NAME(i_odd)(x)));
}
V_FN vi V_NAME(i_madd)(vi a, vi b) { return wasm_i32x4_dot_i16x8(a, b); }
V_FN vi V_NAME(i_scale_pair)(vi a) { /* bytes 0 of the dwords above zeros, then down */
    return wasm_i16x8_shr(wasm_i8x16_shuffle(wasm_i32x4_splat(0), a, 0, 16, 0, 16, 0, 20, 0, 20, 0, 24, 0, 24, 0, 28, 0, 28), 8);
}
#define AIOSK__PART 5 /* kernels/dot_i16.inc */
#include "aios_kernels.h"

#endif

/* ======== kernels/isa_wasm.c, continued ======== */
#define V_ISA_ID AIOSK_ISA_WASM
#define V_ISA_TEXT "wasm"
#define AIOSK__PART 3 /* kernels/isa_base.inc */
#include "aios_kernels.h"
#define AIOSK__PART 4 /* kernels/isa_matmul.inc */
#include "aios_kernels.h"
#define AIOSK__PART 2 /* kernels/set.inc */
#include "aios_kernels.h"
#endif

/* ======== kernels/names_undef.h ======== */
/* names_undef.h: takes back what names.h, set.inc and isa_table.h defined. */
#undef v_loadu
#undef v_storeu
#undef v_loadi
#undef v_storei
#undef v_set1
#undef v_zero
#undef v_set1i
#undef v_zeroi
#undef v_add
#undef v_sub
#undef v_mul
#undef v_div
#undef v_sqrt
#undef v_fma
#undef v_max
#undef v_min
#undef v_sel_lt
#undef v_abs
#undef v_xorsign
#undef v_addi
#undef v_subi
#undef v_cvt_i32_f32
#undef v_cvt_f32_i32
#undef v_rint
#undef v_ldexp
#undef v_load_f16
#undef v_store_f16
#undef v_load_bf16
#undef v_load_i8
#undef v_kprep
#undef v_kdot
#undef v_mulr
#undef v_tree_add
#undef v_tree_adds
#undef v_tree_max
#undef v_dup_even
#undef v_dup_odd
#undef v_swap2
#undef v_swap
#undef v_vdot
#undef i_dup
#undef i_and
#undef i_or
#undef i_xor
#undef i_srl
#undef i_sll
#undef i_addb
#undef i_load_u8
#undef i_table
#undef i_lut
#undef i_splat
#undef i_bits
#undef i_negate
#undef i_gather16
#undef i_mul16
#undef i_mulhi16
#undef i_sub16
#undef i_add16
#undef i_as_float
#undef i_rows4
#undef i_store_s8
#undef i_load_u16
#undef i_pairs
#undef i_prep8
#undef i_scale
#undef i_first
#undef i_next
#undef i_sum
#undef i_end
#undef i_macc_pair
#undef V_FN8
#undef V_EXPORT8
#undef V_EXPORT_MM
#undef V_EXPORT_REST
#undef V_REST
#undef V_HOT
#undef V_UNROLL
#undef V_UNROLL_RARE
#undef AIOSK__ISA
#undef AIOSK__DECLARE
#undef AIOSK__NO
#undef AIOSK__IF
#undef AIOSK__F
#undef AIOSK__P
#undef AIOSK__G

#if AIOSK__IN_UNIT(0)

/* ======== kernels/cpu.c ======== */
/* cpu.c: what this processor and its operating system can run, and the floating-point state of
 * the calling thread. */
#ifndef AIOSK__CPU_C
#define AIOSK__CPU_C

#ifdef AIOSK__X86
/* leaf: the sub-leaf in its upper half */
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static void aiosk__cpuid(uint32_t leaf, uint32_t r[4]) {
    int a[4];
    __cpuidex(a, (int)(leaf & 0xFFFF), (int)(leaf >> 16));
    for (int i = 0; i < 4; i++) r[i] = (uint32_t)a[i];
}
static uint64_t aiosk__xcr0(void) { return _xgetbv(0); }
#else
static void aiosk__cpuid(uint32_t leaf, uint32_t r[4]) {
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf & 0xFFFF), "c"(leaf >> 16));
}
static uint64_t aiosk__xcr0(void) {
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}
#endif
#endif

#if defined(AIOSK__ARM64) && defined(__linux__)
#include <sys/auxv.h>
#endif

/* Whether functions of this set may be called here: instructions present, and registers saved by
 * the system. */
static int aiosk__has_isa(int32_t isa) {
#ifdef AIOSK__X86
    if (isa == AIOSK_ISA_SSE41) { /* leaf 1 ecx: SSSE3 9, SSE4.1 19 */
        uint32_t r[4];
        aiosk__cpuid(1, r);
        return (r[2] & 1u << 9) && (r[2] & 1u << 19);
    }
    if (isa == AIOSK_ISA_AVX2 || isa == AIOSK_ISA_AVX512 || isa == AIOSK_ISA_AVXVNNI ||
        isa == AIOSK_ISA_AVX512_VBMI || isa == AIOSK_ISA_AVX512BW) {
        /* leaf 1 ecx: FMA 12, OSXSAVE 27, AVX 28, F16C 29;  leaf 7 ebx: AVX2 5, F 16, DQ 17, BW
         * 30, VL 31; ecx: VNNI 11 */
        const uint32_t c1 = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29,
                       b7 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
        uint32_t r[4];
        uint64_t os;
        aiosk__cpuid(0, r);
        if (r[0] < 7) return 0;
        aiosk__cpuid(1, r);
        if ((r[2] & c1) != c1) return 0;
        os = aiosk__xcr0();
        aiosk__cpuid(7, r);
        if (!(r[1] & 1u << 5) || (os & 6) != 6) return 0; /* 6: xmm and ymm state */
        if (isa == AIOSK_ISA_AVX2) return 1;
        if (isa == AIOSK_ISA_AVXVNNI) { /* leaf 7, sub-leaf 1 eax: AVX-VNNI 4 */
            if (r[0] < 1) return 0;
            aiosk__cpuid(0x10007, r);
            return (r[0] & 1u << 4) != 0;
        }
        if (isa == AIOSK_ISA_AVX512_VBMI && !(r[2] & 1u << 1)) return 0;
        if (isa != AIOSK_ISA_AVX512BW && !(r[2] & 1u << 11)) return 0;
        return (r[1] & b7) == b7 && (os & 0xE6) == 0xE6; /* and masks and zmm */
    }
#endif
#ifdef AIOSK__ARM64
    if (isa == AIOSK_ISA_NEON) return 1;
    if (isa == AIOSK_ISA_NEON_DOT) {
#if defined(__linux__)
        return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__) || defined(_WIN32)
        return 1; /* every Apple M and every Windows 11 machine */
#elif defined(__ARM_FEATURE_DOTPROD)
        return 1;
#else
        return 0;
#endif
    }
#endif
#ifdef AIOSK__WASM
    if (isa == AIOSK_ISA_WASM) return 1;
#endif
    return isa == AIOSK_ISA_SCALAR;
}

#ifdef AIOSK__AVX512_BF16
/* vdpbf16ps, where AVX-512 is: leaf 7, sub-leaf 1 eax 5. */
static AIOSK__UNUSED int aiosk__has_bf16(void) {
    uint32_t r[4];
    aiosk__cpuid(7, r);
    if (r[0] < 1) return 0;
    aiosk__cpuid(0x10007, r);
    return (r[0] & 1u << 5) != 0;
}
/* Where it does more products per cycle than fma: on AMD, twice as many (Zen 4). Intel's start
 * one every second cycle, 54 G products/s on Emerald Rapids, where fma does 96. */
static int aiosk__bf16_pays(void) {
    uint32_t r[4];
    aiosk__cpuid(0, r);
    return r[1] == 0x68747541u && aiosk__has_bf16(); /* "Auth" */
}
#endif

AIOSK_API uint64_t aiosk_fp_begin(void) {
#if defined(__x86_64__) || defined(_M_X64)
    const uint32_t old = _mm_getcsr();
    /* FTZ 15, rounding 14..13, DAZ 6 off; exceptions masked */
    _mm_setcsr((old & ~0xE040u) | 0x1F80u);
    return old;
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    /* FZ 24, rounding 23..22, FZ16 19, AH 1, FIZ 0 */
    __asm__ volatile("msr fpcr, %0" : : "r"(old & ~(uint64_t)0x01C80003u));
    return old;
#elif defined(_M_ARM64)
    const uint64_t old = (uint64_t)_ReadStatusReg(ARM64_FPCR);
    _WriteStatusReg(ARM64_FPCR, (int64_t)(old & ~(uint64_t)0x01C80003u));
    return old;
#else
    return 0;
#endif
}

AIOSK_API void aiosk_fp_end(uint64_t saved) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr((uint32_t)saved);
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#elif defined(_M_ARM64)
    _WriteStatusReg(ARM64_FPCR, (int64_t)saved);
#else
    (void)saved;
#endif
}

#endif

/* ======== kernels/dispatch.c ======== */
/* dispatch.c: the tables of the instruction sets, and the choice among them. */
#ifndef AIOSK__DISPATCH_C
#define AIOSK__DISPATCH_C

#ifdef AIOSK_UNIT /* the tables of other units */
extern AIOSK__SHARED const aiosk_isa aiosk__isa_avx512vbmi, aiosk__isa_avx512vnni,
    aiosk__isa_avx512bw, aiosk__isa_avxvnni, aiosk__isa_avx2;
extern AIOSK__SHARED const aiosk_isa aiosk__isa_sse41, aiosk__isa_neondot, aiosk__isa_neon,
    aiosk__isa_wasm;
#ifdef AIOSK__AVX512_BF16
AIOSK__SHARED void aiosk__fast_bf16_avx512vnni(const aiosk_matmul *m);
#endif
#endif

/* What is compiled, the best first. */
static const aiosk_isa *const aiosk__isas[] = {
#ifdef AIOSK__AVX512
    &aiosk__isa_avx512vbmi, &aiosk__isa_avx512vnni,
#endif
#ifdef AIOSK__AVX512BW
    &aiosk__isa_avx512bw, /* before AVX-VNNI: no machine has the two and not AVX-512 VNNI */
#endif
#ifdef AIOSK__AVXVNNI
    &aiosk__isa_avxvnni,
#endif
#ifdef AIOSK__AVX2
    &aiosk__isa_avx2,
#endif
#ifdef AIOSK__SSE41
    &aiosk__isa_sse41,
#endif
#ifdef AIOSK__ARM64
    &aiosk__isa_neondot,    &aiosk__isa_neon,
#endif
#ifdef AIOSK__WASM
    &aiosk__isa_wasm,
#endif
    &aiosk__isa_scalar
};

AIOSK_API const aiosk_isa *aiosk_compiled(int32_t i) {
    return i >= 0 && (size_t)i < sizeof aiosk__isas / sizeof *aiosk__isas ? aiosk__isas[i] : NULL;
}
AIOSK_API const aiosk_isa *aiosk_select(int32_t isa) {
    uint32_t i;
    for (i = 0; i < sizeof aiosk__isas / sizeof *aiosk__isas; i++)
        if ((isa == AIOSK_ISA_BEST || isa == aiosk__isas[i]->id) &&
            aiosk__has_isa(aiosk__isas[i]->id))
            return aiosk__isas[i];
    return NULL;
}

AIOSK_API int32_t aiosk_multiplies(int32_t type) {
    return (uint32_t)type < AIOSK_N_TYPES && aiosk__isa_scalar.matmul[type][AIOSK_ROWS] != NULL;
}

/* Kernels of 16-bit arithmetic, and whether they are faster here. Not F16 with AVX512_FP16: runs
 * of 8 products, each converted and added to f32, reach 107 G/s from registers alone on Emerald
 * Rapids, where f32 does 96: too little for their error. */
typedef struct aiosk__fast {
    int32_t isa, type;
    int (*pays)(void);
    aiosk_matmul_fn fn;
} aiosk__fast;
static const aiosk__fast aiosk__fasts[] = {
#ifdef AIOSK__AVX512_BF16
    { AIOSK_ISA_AVX512_VBMI, AIOSK_BF16, aiosk__bf16_pays, aiosk__fast_bf16_avx512vnni },
    { AIOSK_ISA_AVX512, AIOSK_BF16, aiosk__bf16_pays, aiosk__fast_bf16_avx512vnni },
#endif
    { 0, 0, NULL, NULL }
};

AIOSK_API aiosk_matmul_fn aiosk_matmul_fast(const aiosk_isa *k, int32_t type) {
    const aiosk__fast *f;
    for (f = aiosk__fasts; f->fn; f++)
        if (f->isa == k->id && f->type == type && f->pays()) return f->fn;
    return (uint32_t)type < AIOSK_N_TYPES ? k->matmul[type][AIOSK_ROWS] : NULL;
}

#endif

#endif
#if defined(AIOSK__UNOPTIMISED) || defined(AIOSK__LIGHT)
#pragma GCC pop_options
#endif
#endif
#if defined(__clang__) && !defined(AIOS_IMPLEMENTATION)
#pragma clang fp contract(on)           /* what follows is the host's */
#endif
#endif

#else
/* Parts of this file that are compiled more than once, for each instruction set with other macros. Code above defines AIOSK__PART
 * as the number of one and includes this file again; by its name, so it has to keep that, beside the file itself. The number is
 * gone within the part, which may thus do the same for another one. */

/* ======== kernels/effort.inc ======== */
#if AIOSK__PART == 1
#undef AIOSK__PART
/* effort.inc: how much effort GCC makes from here on; base.h says when, `#pragma GCC pop_options` ends it, the host's own code stays as it is.
 *
 * AIOSK__LIGHT: O1 in an optimised build, where functions with V_HOT get O2 (base.h).
 *
 * AIOSK__UNOPTIMISED: some in a build without optimisation (-O0 -g) too, where plain code would be 25 times slower and large: O1, less
 * what takes the compiler time and gives little here. All kernels before they were made smaller, GCC 12, -O0 -g, a busy EPYC
 * (Zen 4) with 2 CPUs; tokens/s of aios bench -p 64 -n 32 -t 1, 260 K parameters in Q4_0:
 *
 *                           seconds   memory MB   code KB   prefill   decode
 *     AIOSK_NO_OPTIMIZE        26.7      1702       7435      2,600    1,400
 *     O2, no-var-tracking      32.7       463        788     80,000   27,000
 *     O1, no-var-tracking      23.3       469        789     71,000   25,000
 *     this                     16.5       471        884     64,000   23,500
 *     Og, no-var-tracking      13.3       480        727     11,000   12,900
 *
 * That was with no-var-tracking, of which GCC warns in a build without -g; without its assignments alone it takes as long.
 * var-tracking makes O2 half as slow again; Og does not unroll the loops that keep sums in registers. attribute((optimize)) on every
 * function would do the same and be parsed for each. Clang has nothing like it. */
#if defined(AIOSK__UNOPTIMISED) || defined(AIOSK__LIGHT)
#pragma GCC push_options
#define AIOSK__PRAGMA(x) _Pragma(#x)
#define AIOSK__OPTIMIZE(list) AIOSK__PRAGMA(GCC optimize (list))
AIOSK__OPTIMIZE("O1," AIOSK__PASSES("no-"))
#undef AIOSK__OPTIMIZE
#undef AIOSK__PRAGMA
#pragma GCC optimize ("no-ipa-pure-const,no-ipa-reference,no-split-wide-types,no-if-conversion,no-if-conversion2")
#pragma GCC optimize ("no-cprop-registers,no-dce,no-dse,no-shrink-wrap,no-compare-elim,no-combine-stack-adjustments,no-reorder-blocks")
#endif
#ifdef AIOSK__UNOPTIMISED
#pragma GCC optimize ("no-var-tracking-assignments,no-ivopts,no-tree-pta,no-forward-propagate,no-tree-slsr")
#undef __OPTIMIZE__ /* as before: in C the pragma defines it, and its end leaves it */
#endif

/* ======== kernels/set.inc ======== */
#elif AIOSK__PART == 2
#undef AIOSK__PART
/* set.inc: between two instruction sets: what simd_* and simdi_* defined is taken back, and what they need not say becomes what most of them
 * would say. A set that says otherwise begins with #undef. */
#undef V_FN
#undef V_EXPORT
#undef V_NAME
#undef V_BASE
#undef V_W
#undef V_PER16
#undef V_MAXQ
#undef V_SHAPES
#undef V_KBIAS
#undef V_TREES
#undef V_TARGET
#undef vf
#undef vi
#undef V_VDOT
#undef I_HIGH
#undef V_FN8
#undef V_EXPORT8
#undef V_EXPORT_MM
#undef V_EXPORT_REST
#undef V_REST
#undef V_HOT
#undef V_UNROLL
#undef V_UNROLL_RARE
/* functions that use v_kdot, where that needs more than the others */
#define V_FN8     V_FN
#define V_EXPORT8 V_EXPORT
/* what another set takes, where that is in another object (AIOSK_UNIT): matrices of floats and inputs of matrices; */
#define V_EXPORT_MM V_EXPORT
/* what moves or changes vectors, and codes; V_REST(x): whose of the former the table has */
#define V_EXPORT_REST V_EXPORT
#define V_REST(x)     V_BASE(x)
/* functions that get all of the compiler's effort: base.h */
#define V_HOT AIOSK__FAST
/* in front of loops that unpack, and of those of rare types and grids */
#define V_UNROLL      AIOSK__UNROLL
#define V_UNROLL_RARE AIOSK__UNROLL

/* ======== kernels/isa_base.inc ======== */
#elif AIOSK__PART == 3
#undef AIOSK__PART
/* isa_base.inc: the float loops of an instruction set, which sets with other integer products share (V_BASE). */

/* ======== kernels/quant.inc ======== */
/* quant.inc: f32 activations to int8 codes with their scales and sums (layout: pack.c,
 * arithmetic: api.h). What api.h leaves open, the same everywhere: 127 / amax is held below
 * infinity; NaN is skipped by amax and gives code -127. */

/* Codes of n values, n a multiple of 16, and the scale. */
V_FN float V_NAME(quantize_block)(const float *x, int32_t n, int8_t *q) {
    const vf low = v_set1(-127.0f), high = v_set1(127.0f);
    vf m[V_PER16], s;
    float amax, id;
    int32_t i;
    int h;
    for (h = 0; h < V_PER16; h++) m[h] = v_abs(v_loadu(x + h * V_W));
    /* a first NaN would stay in the maximum */
    for (h = 0; h < V_PER16; h++) m[h] = v_max(v_zero(), m[h]);
    for (i = 16; i < n; i += 16)
        for (h = 0; h < V_PER16; h++) m[h] = v_max(m[h], v_abs(v_loadu(x + i + h * V_W)));
    amax = v_tree_max(m);
    id = 127.0f / amax;
    id = id < 3.402823466e+38f ? id : 3.402823466e+38f; /* finite, so that 0 stays 0 */
    s = v_set1(id);
    for (i = 0; i < n; i += V_W)
        i_store_s8(q + i, v_cvt_f32_i32(v_min(high, v_max(low, v_mul(v_loadu(x + i), s)))));
    return amax / 127.0f;
}

V_EXPORT_MM void V_NAME(quantize_flt)(const float *x, int32_t n, void *dst) {
    memcpy(dst, x, (size_t)n * 4);
}

V_EXPORT_MM void V_NAME(quantize_a32)(const float *x, int32_t n, void *dst) {
    const aiosk__a32 a = aiosk__a32_parts(n);
    uint8_t *o = (uint8_t *)dst;
    int32_t k;
    for (k = 0; k < n / 32; k++) {
        int8_t *q = (int8_t *)dst + k * 32;
        const float d = V_NAME(quantize_block)(x + k * 32, 32, q);
        const int32_t s = aiosk__sum_of_8(q) + aiosk__sum_of_8(q + 8) + aiosk__sum_of_8(q + 16) +
                          aiosk__sum_of_8(q + 24);
        const int32_t s8 = s * -8, s128 = s * -128;
        memcpy(o + a.d + k * 4, &d, 4);
        memcpy(o + a.sum + k * 4, &s, 4);
        memcpy(o + a.sum8 + k * 4, &s8, 4);
        memcpy(o + a.sum128 + k * 4, &s128, 4);
    }
}

V_EXPORT_MM void V_NAME(quantize_a256)(const float *x, int32_t n, void *dst) {
    const aiosk__a256 a = aiosk__a256_parts(n);
    uint8_t *o = (uint8_t *)dst;
    int32_t k, i;
    for (k = 0; k < n / 256; k++) {
        int8_t *q = (int8_t *)dst + k * 256;
        const float d = V_NAME(quantize_block)(x + k * 256, 256, q);
        int32_t s8[32], s128[16];
        int16_t s16[16], s32[8];
        for (i = 0; i < 32; i++) s8[i] = aiosk__sum_of_8(q + i * 8);
        for (i = 0; i < 16; i++) s16[aiosk__pair_at(i)] = (int16_t)(s8[2 * i] + s8[2 * i + 1]);
        for (i = 0; i < 8; i++)
            s32[aiosk__pair_at(i)] =
                (int16_t)(s8[4 * i] + s8[4 * i + 1] + s8[4 * i + 2] + s8[4 * i + 3]);
        for (i = 0; i < 16; i++) s128[i] = (s8[2 * i] + s8[2 * i + 1]) * -128;
        for (i = 0; i < 32; i++) s8[i] *= -32;
        memcpy(o + a.d + k * 4, &d, 4);
        memcpy(o + a.sum8 + k * 128, s8, 128);
        memcpy(o + a.sum128 + k * 64, s128, 64);
        memcpy(o + a.sum16 + k * 32, s16, 32);
        memcpy(o + a.sum32 + k * 16, s32, 16);
    }
}

/* ======== kernels/ops.inc ======== */
/* ops.inc: norms, activations, rope and the other float loops, written once over the v_*
 * vocabulary and expanded in every instruction set. Sums go by 16 virtual lanes (index mod 16,
 * ascending) and the tree 8, 4, 2, 1; everything else is lane by lane, so that the register's
 * width does not show. No product feeds an addition except in v_fma. */

/* Before a loop over registers: straight code, but in the sets that take queries one by one
 * because v_fma is long; and over registers of integers, but in plain C. floats.inc ends them. */
#if V_MAXQ > 1
#define AIOSK__FLAT AIOSK__UNROLL
#else
#define AIOSK__FLAT
#endif
#if V_W > 1
#define AIOSK__FLAT_I AIOSK__UNROLL
#else
#define AIOSK__FLAT_I
#endif

/* The first n < V_W floats at p, the other lanes set to pad; and the reverse. Nothing outside is
 * touched. Rows whose length is no multiple of a register are rare: functions. */
V_EXPORT AIOSK__NOINLINE vf V_NAME(load_part)(const float *p, int32_t n, float pad) {
    float t[V_W];
    for (int32_t i = 0; i < V_W; i++) t[i] = i < n ? p[i] : pad;
    return v_loadu(t);
}
V_EXPORT AIOSK__NOINLINE void V_NAME(store_part)(float *p, vf a, int32_t n) {
    float t[V_W];
    v_storeu(t, a);
    for (int32_t i = 0; i < n; i++) p[i] = t[i];
}
V_FN vf V_NAME(load_n)(const float *p, int32_t n, float pad) {
    if (AIOSK__RARE(n < V_W)) return V_NAME(load_part)(p, n, pad);
    return v_loadu(p);
}
V_FN void V_NAME(store_n)(float *p, vf a, int32_t n) {
    if (AIOSK__RARE(n < V_W))
        V_NAME(store_part)(p, a, n);
    else
        v_storeu(p, a);
}

/* exp(x): x = n ln2 + r with |r| <= ln2 / 2, ln2 in two floats; exp(r) by a polynomial of degree
 * 6 (Remez on (exp(r) - 1 - r) / r^2, error 1e-8); then times 2^n. At most 1 ulp; subnormal
 * results rounded once; exactly 0 below -104 and for NaN, +infinity above 88.73. */
V_FN vf V_NAME(v_exp)(vf x) {
    vf n, r, p;
    x = v_max(v_set1(-104.0f), v_min(v_set1(89.0f), x));
    n = v_rint(v_mul(x, v_set1(1.44269504f)));
    r = v_fma(n, v_set1(-0.693147182f), x);
    r = v_fma(n, v_set1(1.90465430e-9f), r);
    p = v_fma(v_set1(1.394111074e-3f), r, v_set1(8.363176342e-3f));
    p = v_fma(p, r, v_set1(4.166637529e-2f));
    p = v_fma(p, r, v_set1(1.666657700e-1f));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_ldexp(p, n);
}
/* tanh(x): an odd polynomial of degree 11 where |x| < 0.625 (Remez, error 5e-9), else 1 - 2 /
 * (exp(2|x|) + 1) */
V_FN vf V_NAME(v_tanh)(vf x) {
    vf a = v_abs(x), z = v_mul(x, x), p, e;
    p = v_fma(v_set1(-5.704977550e-3f), z, v_set1(2.063907869e-2f));
    p = v_fma(p, z, v_set1(-5.373971164e-2f));
    p = v_fma(p, z, v_set1(1.333144158e-1f));
    p = v_fma(p, z, v_set1(-3.333328068e-1f));
    p = v_fma(v_mul(a, z), p, a);
    e = v_add(V_NAME(v_exp)(v_add(a, a)), v_set1(1.0f));
    e = v_sub(v_set1(1.0f), v_div(v_set1(2.0f), e));
    return v_xorsign(v_sel_lt(a, v_set1(0.625f), p, e), x);
}
/* silu  x / (1 + exp(-x)) gelu  0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3); written
 * x / (1 + exp(-2u)), which is the same and
 *       does not cancel where x is negative
 * and the other functions of one number: exp(x), cap * tanh(x / cap) */
enum { V_NAME(map_exp) = AIOSK_N_ACTIVATIONS, V_NAME(map_cap) };
V_FN vf V_NAME(v_map)(const int32_t kind, vf x, float cap) {
    vf t = v_zero();
    switch (kind) {
    case V_NAME(map_exp): return V_NAME(v_exp)(x);
    case V_NAME(map_cap): return v_mul(v_set1(cap), V_NAME(v_tanh)(v_div(x, v_set1(cap))));
    case AIOSK_ACT_RELU: return v_max(t, x);
    case AIOSK_ACT_RELU2: x = v_max(t, x); return v_mul(x, x);
    case AIOSK_ACT_GELU:
        t = v_fma(v_mul(x, x), v_set1(-0.0713548163f), v_set1(-1.59576912f));
        t = v_mul(x, t);
        break;
    default: t = v_xorsign(x, v_set1(-1.0f));
    }
    return v_div(x, v_add(V_NAME(v_exp)(t), v_set1(1.0f)));
}
V_FN void V_NAME(map_loop)(const int32_t kind, const float *x, const float *u, float cap, int32_t n,
                           float *y) {
    for (int32_t i = 0; i < n; i += V_W) {
        vf t = V_NAME(v_map)(kind, v_loadu(x + i), cap);
        if (u) t = v_mul(t, v_loadu(u + i));
        v_storeu(y + i, t);
    }
}
/* y = the function of x, times u if that is not NULL, for whole registers */
V_EXPORT AIOSK__NOINLINE void V_NAME(map_whole)(int32_t kind, const float *x, const float *u,
                                                float cap, int32_t n, float *y) {
    switch (kind) {
    case AIOSK_ACT_RELU: V_NAME(map_loop)(AIOSK_ACT_RELU, x, u, cap, n, y); break;
    case AIOSK_ACT_RELU2: V_NAME(map_loop)(AIOSK_ACT_RELU2, x, u, cap, n, y); break;
    case AIOSK_ACT_GELU: V_NAME(map_loop)(AIOSK_ACT_GELU, x, u, cap, n, y); break;
    case V_NAME(map_exp): V_NAME(map_loop)(V_NAME(map_exp), x, NULL, cap, n, y); break;
    case V_NAME(map_cap): V_NAME(map_loop)(V_NAME(map_cap), x, NULL, cap, n, y); break;
    default: V_NAME(map_loop)(AIOSK_ACT_SILU, x, u, cap, n, y);
    }
}
V_EXPORT void V_NAME(map)(int32_t kind, const float *x, const float *u, float cap, int32_t n,
                          float *y) {
    const int32_t whole = n / V_W * V_W, rest = n - whole;
    float a[V_W], b[V_W];
    V_NAME(map_whole)(kind, x, u, cap, whole, y);
    if (rest == 0) return;
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    memcpy(a, x + whole, (size_t)rest * 4);
    if (u) memcpy(b, u + whole, (size_t)rest * 4);
    V_NAME(map_whole)(kind, a, u ? b : NULL, cap, V_W, a);
    memcpy(y + whole, a, (size_t)rest * 4);
}
V_EXPORT_REST void V_NAME(act_gated)(int32_t kind, const float *g, const float *u, int32_t n,
                                     float *y) {
    V_NAME(map)(kind, g, u, 0.0f, n, y);
}
V_EXPORT_REST void V_NAME(act)(int32_t kind, const float *x, int32_t n, float *y) {
    V_NAME(map)(kind, x, NULL, 0.0f, n, y);
}
V_EXPORT_REST void V_NAME(exp)(const float *x, int32_t n, float *y) {
    V_NAME(map)(V_NAME(map_exp), x, NULL, 0.0f, n, y);
}
V_EXPORT_REST void V_NAME(softcap)(const float *x, float cap, int32_t n, float *y) {
    V_NAME(map)(V_NAME(map_cap), x, NULL, cap, n, y);
}
V_EXPORT_REST void V_NAME(add)(const float *a, const float *b, int32_t n, float *y) {
    int32_t i;
    for (i = 0; i + V_W <= n; i += V_W) v_storeu(y + i, v_add(v_loadu(a + i), v_loadu(b + i)));
    for (; i < n; i++) y[i] = a[i] + b[i];
}
V_EXPORT_REST void V_NAME(scale)(const float *x, float s, int32_t n, float *y) {
    int32_t i;
    for (i = 0; i + V_W <= n; i += V_W) v_storeu(y + i, v_mul(v_loadu(x + i), v_set1(s)));
    for (; i < n; i++) y[i] = x[i] * s;
}

/* Sum of x - mean, or of its squares, as float rows, on top of sum: whole sixteens */
V_FN void V_NAME(sum_loop)(const float *x, int32_t n, vf m, const int32_t squares, vf *sum) {
    for (int32_t i = 0; i < n; i += 16) {
        AIOSK__FLAT
        for (int k = 0; k < V_PER16; k++) {
            const vf t = v_sub(v_loadu(x + i + k * V_W), m);
            sum[k] = squares ? v_fma(t, t, sum[k]) : v_add(sum[k], t);
        }
    }
}
/* The same for all n. The tail is padded so that it adds zeros. */
V_EXPORT AIOSK__NOINLINE float V_NAME(row_sum)(const float *x, int32_t n, float mean,
                                               int32_t squares) {
    const int32_t whole = n & ~15;
    const vf m = v_set1(mean);
    vf s[V_PER16];
    float last[16];
    AIOSK__FLAT
    for (int k = 0; k < V_PER16; k++) s[k] = v_zero();
    for (int k = 0; k < 16 && whole < n; k++) last[k] = whole + k < n ? x[whole + k] : mean;
    if (squares)
        V_NAME(sum_loop)(x, whole, m, 1, s);
    else
        V_NAME(sum_loop)(x, whole, m, 0, s);
    if (whole < n) V_NAME(sum_loop)(last, 16, m, squares, s);
    return v_tree_add(s);
}
V_EXPORT_REST void V_NAME(rms_norm)(const float *x, const float *w, float eps, int32_t n,
                                    float *y) {
    const float r = 1.0f / aiosk__sqrt(V_NAME(row_sum)(x, n, 0.0f, 1) / (float)n + eps);
    int32_t i;
    for (i = 0; i + V_W <= n; i += V_W) {
        const vf t = v_mul(v_loadu(x + i), v_set1(r));
        v_storeu(y + i, w ? v_mul(t, v_loadu(w + i)) : t);
    }
    for (; i < n; i++) y[i] = w ? x[i] * r * w[i] : x[i] * r;
}
V_FN vf V_NAME(norm1)(vf x, vf mean, vf r, vf w, vf b) {
    return v_fma(v_mul(v_sub(x, mean), r), w, b);
}
V_EXPORT_REST void V_NAME(layer_norm)(const float *x, const float *w, const float *b, float eps,
                                      int32_t n, float *y) {
    const float mean = V_NAME(row_sum)(x, n, 0.0f, 0) / (float)n;
    const float r = 1.0f / aiosk__sqrt(V_NAME(row_sum)(x, n, mean, 1) / (float)n + eps);
    /* t * 1 and t + -0 change no bit */
    const vf m = v_set1(mean), f = v_set1(r), one = v_set1(1.0f), none = v_set1(-0.0f);
    int32_t i;
    for (i = 0; i + V_W <= n; i += V_W)
        v_storeu(y + i, V_NAME(norm1)(v_loadu(x + i), m, f, w ? v_loadu(w + i) : one,
                                      b ? v_loadu(b + i) : none));
    if (i < n) {
        const vf wt = w ? V_NAME(load_part)(w + i, n - i, 0.0f) : one,
                 bt = b ? V_NAME(load_part)(b + i, n - i, 0.0f) : none;
        V_NAME(store_part)
        (y + i, V_NAME(norm1)(V_NAME(load_part)(x + i, n - i, 0.0f), m, f, wt, bt), n - i);
    }
}

/* One pair; the products that are rounded are x1's. */
V_FN void V_NAME(rope1)(float *p0, float *p1, float c, float s) {
    float x0 = *p0, x1 = *p1;
    *p0 = aiosk__fma(x0, c, -(x1 * s));
    *p1 = aiosk__fma(x0, s, x1 * c);
}
V_EXPORT_REST void V_NAME(rope)(int32_t style, float *x, int32_t n_head, int32_t hd, int32_t n_rot,
                                const float *cs) {
    int32_t n = n_rot / 2, h, i, j;
    if (style == AIOSK_ROPE_PAIRS) {
        for (h = 0; h < n_head; h++, x += hd) {
            i = 0;
#if V_W > 1
            /* lanes (x0, x0) * (cos, sin) + (x1, x1) * (-sin, cos) */
            for (; i + V_W <= 2 * n; i += V_W) {
                vf a = v_loadu(x + i), c = v_loadu(cs + i), s = v_swap2(c);
                static const float minus[16] = { -1, 1, -1, 1, -1, 1, -1, 1,
                                                 -1, 1, -1, 1, -1, 1, -1, 1 };
                s = v_xorsign(s, v_loadu(minus));
                v_storeu(x + i, v_fma(v_dup_even(a), c, v_mul(v_dup_odd(a), s)));
            }
#endif
            for (; i < 2 * n; i += 2) V_NAME(rope1)(x + i, x + i + 1, cs[i], cs[i + 1]);
        }
        return;
    }
    for (i = 0; i < n; i += 64) { /* cos and sin apart, 64 pairs at a time, for all heads */
        float c[64], s[64], *p = x;
        int32_t m = n - i < 64 ? n - i : 64;
        for (j = 0; j < m; j++) {
            c[j] = cs[2 * (i + j)];
            s[j] = cs[2 * (i + j) + 1];
        }
        for (h = 0; h < n_head; h++, p += hd) {
            float *p0 = p + i, *p1 = p + n + i;
            for (j = 0; j + V_W <= m; j += V_W) {
                vf x0 = v_loadu(p0 + j), x1 = v_loadu(p1 + j), vc = v_loadu(c + j),
                   vs = v_loadu(s + j);
                v_storeu(p0 + j, v_fma(x0, vc, v_xorsign(v_mul(x1, vs), v_set1(-1.0f))));
                v_storeu(p1 + j, v_fma(x0, vs, v_mul(x1, vc)));
            }
            for (; j < m; j++) V_NAME(rope1)(p0 + j, p1 + j, c[j], s[j]);
        }
    }
}

/* The maximum by blocks; only the first block that holds it is searched. NaN is never the
 * largest; 0 when there is nothing else. */
V_EXPORT_REST int32_t V_NAME(argmax)(const float *x, int32_t n) {
    float best = aiosk__bits_f32(0xFF800000u);
    int32_t at = 0, i, j, k;
    for (i = 0; i < n; i += 1024) {
        int32_t m = n - i < 1024 ? n - i : 1024;
        vf v = v_set1(aiosk__bits_f32(0xFF800000u));
        float t[V_W];
        for (j = 0; j + V_W <= m; j += V_W) v = v_max(v, v_loadu(x + i + j));
        v_storeu(t, v);
        for (k = 1; k < V_W; k++)
            if (t[k] > t[0]) t[0] = t[k];
        for (; j < m; j++)
            if (x[i + j] > t[0]) t[0] = x[i + j];
        if (t[0] > best) {
            best = t[0];
            at = i;
        }
    }
    for (i = at; i < n; i++)
        if (x[i] == best) return i;
    return 0;
}

V_FN float V_NAME(head_amax)(const float *x, int32_t n) {
    vf m[V_PER16];
    int32_t i, k;
    for (k = 0; k < V_PER16; k++) m[k] = v_zero();
    for (i = 0; i < n; i += 16)
        for (k = 0; k < V_PER16 && i + k * V_W < n; k++)
            m[k] = v_max(m[k], v_abs(V_NAME(load_n)(x + i + k * V_W, n - i - k * V_W, 0.0f)));
    return v_tree_max(m);
}
V_EXPORT_MM void V_NAME(quantize_head)(const float *x, int32_t n, int8_t *q, float *d,
                                       float *back) {
    const float a = V_NAME(head_amax)(x, n), f = 127.0f / a;
    const int32_t tiny = !(f <= 3.40282347e38f); /* counts as zero, as in quant.inc */
    int32_t i;
    *d = tiny ? 0.0f : a / 127.0f;
    for (i = 0; i < (n + 15) / 16 * 16; i += V_W) {
        vf v = V_NAME(load_n)(x + i, n - i, 0.0f);
        v = v_min(v_set1(127.0f), v_max(v_set1(-127.0f), v_mul(v, v_set1(tiny ? 0.0f : f))));
        i_store_s8(q + i, v_cvt_f32_i32(v));
        if (!back || i >= n) continue;
        v = v_mul(v_load_i8(q + i), v_set1(*d));
        V_NAME(store_n)(back + i, v, n - i);
    }
}

/* ======== kernels/codes.inc ======== */
/* codes.inc: the codes of KV tiles (api.h, attention): codes to int8 levels, numbers to codes,
 * one kind of tile to another. After ops.inc. */

/* n times 512 codes to int8, with their bytes flipped (xor). index, one: bits in planes, constants.
 * An index of 5 bits has its sign in the last one, else the levels have theirs. */
V_FN void V_NAME(decode_n)(const int index, const int one, const int8_t *level, const uint8_t *p,
                           size_t n, int8_t *out, const int32_t flip) {
    const int bits = index + one;
    int i, j;
#if V_W > 1
    static const int8_t all[16] = { 0, -1 };
    const vi bit = v_set1i(0x01010101), f = v_set1i(0x0F0F0F0F), three = v_set1i(0x03030303),
             ones = i_table(all), x = v_set1i(flip);
    vi t = i_table(level);
    if (bits < 5) t = i_xor(t, x);
    for (; n > 0; n--, p += 64 * bits, out += 512)
        for (i = 0; i < 64; i += 4 * V_W) {
            const vi s = one ? v_loadi(p + 64 * index + i) : v_zeroi();
            vi a = s, w;
            AIOSK__UNROLL
            for (j = 0; j < 8; j++) {
                if (index == 8)
                    w = i_xor(v_loadi(p + 64 * j + i), x);
                else if (index == 4) {
                    if (!(j & 1)) a = v_loadi(p + 32 * j + i);
                    w = i_lut(t, i_and(j & 1 ? i_srl(a, 4) : a, f));
                    /* bytes of 0 and 255: inverted and 1 added where the bit is set */
                    if (one) {
                        const vi b = i_and(j ? i_srl(s, j) : s, bit);
                        w = i_xor(i_addb(i_xor(w, i_lut(ones, b)), b), x);
                    }
                } else {
                    if (!(j & 3)) a = v_loadi(p + 16 * j + i);
                    w = i_and(j & 3 ? i_srl(a, 2 * (j & 3)) : a, three);
                    if (one)
                        w = i_or(w, i_and(j > 2 ? i_srl(s, j - 2) : i_sll(s, 2 - j),
                                          v_set1i(0x04040404)));
                    w = i_lut(t, w);
                }
                v_storei(out + 64 * j + i, w);
            }
        }
#else
    (void)flip;
    for (; n > 0; n--, p += 64 * bits, out += 512)
        for (i = 0; i < 64; i++)
            for (j = 0; j < 8; j++) {
                const int s = one ? p[64 * index + i] >> j & 1 : 0;
                const int w = index == 8   ? p[64 * j + i]
                              : index == 4 ? p[32 * (j & 6) + i] >> 4 * (j & 1) & 15
                                           : p[16 * (j & 4) + i] >> 2 * (j & 3) & 3;
                out[64 * j + i] = (int8_t)(index == 8  ? w
                                           : bits == 5 ? (s ? -level[w] : level[w])
                                                       : level[w | s << 2]);
            }
#endif
}
/* n codes of a side as int8 */
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(decode)(int32_t code, const uint8_t *p, size_t n,
                                                   int8_t *out, int32_t flip) {
    const aiosk__kv_code *c = &aiosk__kv_codes[code];
    n /= 512;
    switch (AIOSK__KV_PLANE_ID(c->index, c->one)) {
#define AIOSK__X(index, one)                                     \
    case AIOSK__KV_PLANE_ID(index, one):                         \
        V_NAME(decode_n)(index, one, c->level, p, n, out, flip); \
        break;
        AIOSK__KV_PLANES(AIOSK__X)
#undef AIOSK__X
    default: break;
    }
}

/* For what is called once in 64 positions: optimised for size, where a compiler knows how. */
#ifndef AIOSK__SMALL
#if defined(__GNUC__) && !defined(__clang__)
#define AIOSK__SMALL AIOSK__NOINLINE __attribute__((cold))
#else
#define AIOSK__SMALL AIOSK__NOINLINE
#endif
#endif

/* Where the code of a position stands, from that of channel d of position 0 on. */
AIOSK__INLINE void V_NAME(places)(int32_t is_v, int32_t hp, int32_t *at) {
    int32_t t;
    for (t = 0; t < AIOSK_TILE; t++)
        at[t] = is_v ? (t & 15) * 4 * hp + aiosk__kv_byte[t >> 4] : 4 * t;
}
AIOSK__INLINE int32_t V_NAME(place)(int32_t is_v, int32_t d) {
    return is_v ? 4 * d : (d >> 2) * 256 + (d & 3);
}

/* The scales of 64 positions as floats */
V_FN void V_NAME(scales)(const uint8_t *u, float step, float *s) {
    int32_t i;
    for (i = 0; i < AIOSK_TILE; i += V_W)
        v_storeu(s + i, v_mul(v_cvt_i32_f32(i_load_u8(u + i)), v_set1(step)));
}

/* A side of a tile as floats x [hd][64], finite */
V_EXPORT AIOSK__SMALL void V_NAME(side_read)(aiosk__side s, int32_t is_v, const uint8_t *tile,
                                             int32_t hd, float *x, int8_t *flat) {
    const int32_t hp = aiosk__hp(hd);
    const vf low = v_set1(-65504.0f), high = v_set1(65504.0f);
    int32_t d, t, i;
    if (s.code == AIOSK_KV_F16) {
        const uint8_t *p = tile + s.data;
        if (!is_v) {
            for (i = 0; i < hd * 64; i += V_W)
                v_storeu(x + i, v_min(high, v_max(low, v_load_f16(p + 2 * i))));
            return;
        }
        for (t = 0; t < 64; t++, p += 2 * hp)
            for (d = 0; d < hd; d += V_W) {
                float r[V_W];
                v_storeu(r, v_min(high, v_max(low, v_load_f16(p + 2 * d))));
                for (i = 0; i < V_W && d + i < hd; i++) x[(d + i) * 64 + t] = r[i];
            }
        return;
    }
    {
        const int8_t *mean = (const int8_t *)tile + s.mean;
        float scale[64], m;
        int32_t at[64];
        V_NAME(decode)(s.code, tile + s.data, (size_t)hp * 64, flat, 0);
        V_NAME(places)(is_v, hp, at);
        V_NAME(scales)(tile + s.at, aiosk__f32(tile + (is_v ? 4 : 0)), scale);
        m = s.mean < s.data ? aiosk__f32(tile + 8) : 0.0f;
        for (d = 0; d < hd; d++) {
            const int8_t *p = flat + V_NAME(place)(is_v, d);
            const vf mu = v_set1(m * (float)(s.mean < s.data ? mean[d] : 0));
            int8_t r[64];
            for (t = 0; t < 64; t++) r[t] = p[at[t]];
            for (t = 0; t < 64; t += V_W)
                v_storeu(x + d * 64 + t,
                         v_min(high, v_max(low, v_fma(v_load_i8(r + t), v_loadu(scale + t), mu))));
        }
    }
}
/* x [hd][64] as a side of f16 */
V_EXPORT AIOSK__SMALL void V_NAME(side_f16)(aiosk__side s, int32_t is_v, uint8_t *tile, int32_t hd,
                                            const float *x) {
    uint8_t *p = tile + s.data;
    const int32_t hp = aiosk__hp(hd);
    int32_t d, t;
    if (!is_v) {
        for (d = 0; d < hd * 64; d += V_W) v_store_f16(p + 2 * d, v_loadu(x + d));
        return;
    }
    memset(p, 0, s.bytes);
    for (d = 0; d < hd; d++) {
        uint16_t r[64];
        for (t = 0; t < 64; t += V_W) v_store_f16(r + t, v_loadu(x + d * 64 + t));
        for (t = 0; t < 64; t++) memcpy(p + 2 * (t * hp + d), &r[t], 2);
    }
}

/* The levels nearest to the numbers x * inv, as 256 * index + level: the index counts the n - 1
 * thresholds below, ascending */
V_FN vi V_NAME(choose)(vf x, vf inv, const float *limit, const float *value, int32_t n) {
    const vf z = v_mul(v_abs(x), inv);
    vf v = v_set1(value[0]);
    int32_t i;
    for (i = 1; i < n; i++) v = v_sel_lt(v_set1(limit[i]), z, v_set1(value[i]), v);
    return v_cvt_f32_i32(v);
}
/* x [hd][64] as a coded side; x is changed. A lane is a position. flat: room for 64 bytes for
 * each channel, mean for a float. */
V_EXPORT AIOSK__SMALL void V_NAME(side_encode)(aiosk__side s, int32_t is_v, uint8_t *tile,
                                               int32_t hd, float *x, uint8_t *flat, float *mean) {
    const aiosk__kv_code *const code = &aiosk__kv_codes[s.code];
    const int32_t hp = aiosk__hp(hd), n = code->n;
    const vf zero = v_zero();
    float limit[16], value[16], scale[64], step, most;
    int32_t at[64], u[64], d, b, i, k, round;
    vf m[V_PER16];
    V_NAME(places)(is_v, hp, at);
    if (s.mean < s.data) {
        float ms;
        memset(tile + s.mean, 0, s.data - s.mean);
        for (d = 0; d < hd; d++) {
            for (k = 0; k < V_PER16; k++) {
                const float *p = x + d * 64 + k * V_W;
                m[k] = v_add(v_add(v_add(v_loadu(p), v_loadu(p + 16)), v_loadu(p + 32)),
                             v_loadu(p + 48));
            }
            mean[d] = v_tree_add(m) * (1.0f / 64);
        }
        V_NAME(quantize_head)(mean, hd, (int8_t *)tile + s.mean, &ms, NULL);
        memcpy(tile + 8, &ms, 4);
        for (d = 0; d < hd; d++) {
            const vf c = v_set1((float)((const int8_t *)tile)[s.mean + (size_t)d]);
            for (i = 0; i < 64; i += V_W)
                v_storeu(x + d * 64 + i, v_fma(v_set1(-ms), c, v_loadu(x + d * 64 + i)));
        }
    }
    for (i = 0; i < n; i++) {
        value[i] = (float)(256 * i + code->level[i]);
        limit[i] = i ? (float)(code->level[i - 1] + code->level[i]) * 0.5f : 0.0f;
    }
    memset(flat, 0, (size_t)hp * 64);
    for (b = 0; b < 64; b += V_W) { /* scales; indices of all but I8 */
        const vf bound = v_set1(3e38f);
        vf x2 = zero, most_x = zero, inv, sc;
        for (d = 0; d < hd; d++) {
            const vf y = v_loadu(x + d * 64 + b);
            if (n)
                x2 = v_fma(y, y, x2);
            else
                most_x = v_max(most_x, v_abs(y));
        }
        if (!n) {
            v_storeu(scale + b, v_div(most_x, v_set1(127.0f)));
            continue;
        }
        sc = v_mul(v_sqrt(v_div(x2, v_set1((float)hd))), v_set1(code->top / 127.0f));
        for (round = 0; round < 2; round++) {
            vf xc = zero, c2 = zero;
            inv = v_div(v_set1(1.0f), sc);
            inv = v_sel_lt(inv, bound, inv, zero);
            for (d = 0; d < hd; d++) {
                const vf y = v_loadu(x + d * 64 + b);
                const vi c = V_NAME(choose)(y, inv, limit, value, n);
                const vf level = v_cvt_i32_f32(i_and(c, v_set1i(255)));
                xc = v_fma(v_abs(y), level, xc);
                c2 = v_fma(level, level, c2);
                if (round) {
                    const vi minus = v_cvt_f32_i32(v_sel_lt(y, zero, v_set1((float)n), zero));
                    uint8_t *p = flat + V_NAME(place)(is_v, d);
                    int8_t r[V_W];
                    i_store_s8(r, v_addi(i_srl(c, 8), minus));
                    AIOSK__FLAT
                    for (k = 0; k < V_W; k++) p[at[b + k]] = (uint8_t)r[k];
                }
            }
            if (round) sc = is_v ? v_div(xc, c2) : v_div(x2, xc);
            /* three times as far as the first codes say: what many rounds come to. 4 % less
             * error than one step, 8 % less than none */
            else {
                const vf ls = v_div(xc, c2);
                sc = v_fma(v_set1(3.0f), v_sub(ls, sc), sc);
                sc = v_min(v_mul(ls, v_set1(1.5f)), v_max(v_mul(ls, v_set1(0.5f)), sc));
            }
            sc = v_sel_lt(zero, xc, sc, zero);
        }
        v_storeu(scale + b, sc);
    }
    for (k = 0; k < V_PER16; k++) m[k] = zero;
    for (i = 0; i < 64; i += 16)
        for (k = 0; k < V_PER16; k++) m[k] = v_max(m[k], v_loadu(scale + i + k * V_W));
    most = v_tree_max(m);
    step = most / 255.0f;
    if (!(1.0f / step < 3e38f)) step = 0.0f; /* too small for its inverse: counts as nothing */
    memcpy(tile + (is_v ? 4 : 0), &step, 4);
    for (i = 0; i < 64; i += V_W) {
        const vf sc = v_loadu(scale + i);
        vf r = step > 0.0f ? v_div(sc, v_set1(step)) : zero;
        if (!n) r = v_add(r, v_set1(0.498f));
        r = v_min(v_set1(255.0f), v_max(v_set1(1.0f), v_rint(r)));
        v_storei(u + i, v_cvt_f32_i32(v_sel_lt(zero, step > 0.0f ? sc : zero, r, zero)));
    }
    for (i = 0; i < 64; i++) tile[s.at + (size_t)i] = (uint8_t)u[i];
    if (!n) { /* with the scales that these are */
        V_NAME(scales)(tile + s.at, step, scale);
        for (d = 0; d < hd; d++) {
            uint8_t *p = flat + V_NAME(place)(is_v, d);
            for (b = 0; b < 64; b += V_W) {
                const vf sc = v_loadu(scale + b);
                vf r = v_sel_lt(zero, sc, v_div(v_loadu(x + d * 64 + b), sc), zero);
                int8_t o[V_W];
                r = v_min(v_set1(127.0f), v_max(v_set1(-127.0f), r));
                i_store_s8(o, v_cvt_f32_i32(r));
                AIOSK__FLAT
                for (k = 0; k < V_W; k++) p[at[b + k]] = (uint8_t)o[k];
            }
        }
    }
    aiosk__kv_pack(s.code, flat, (size_t)hp / 8, tile + s.data);
}
V_EXPORT_REST AIOSK__SMALL void V_NAME(kv_convert)(int32_t src_type, const void *src,
                                                   int32_t dst_type, void *dst, int32_t hd_k,
                                                   int32_t hd_v, void *scratch) {
    const uint8_t *from = (const uint8_t *)src;
    uint8_t *to = (uint8_t *)dst;
    int32_t is_v;
    if (aiosk_kv_coded(aiosk_kv_k(dst_type)) || aiosk_kv_coded(aiosk_kv_v(dst_type))) {
        memset(to, 0, 64);
        memcpy(to + 12, &dst_type, 4);
    }
    for (is_v = 0; is_v < 2; is_v++) {
        const int32_t hd = is_v ? hd_v : hd_k, hp = aiosk__hp(hd);
        const aiosk__side a =
            is_v ? aiosk__side_v(src_type, hd_k, hd_v) : aiosk__side_k(src_type, hd_k);
        const aiosk__side b =
            is_v ? aiosk__side_v(dst_type, hd_k, hd_v) : aiosk__side_k(dst_type, hd_k);
        float *x = (float *)scratch, *mean = x + (size_t)hp * 64;
        uint8_t *flat = (uint8_t *)(mean + hp);
        if (a.code == b.code) {
            memcpy(to + b.at, from + a.at, a.bytes);
            if (!aiosk_kv_coded(a.code)) continue;
            memcpy(to + (is_v ? 4 : 0), from + (is_v ? 4 : 0), 4);
            if (!is_v) memcpy(to + 8, from + 8, 4);
            continue;
        }
        V_NAME(side_read)(a, is_v, from, hd, x, (int8_t *)flat);
        if (b.code == AIOSK_KV_F16)
            V_NAME(side_f16)(b, is_v, to, hd, x);
        else
            V_NAME(side_encode)(b, is_v, to, hd, x, flat, mean);
    }
}

/* ======== kernels/rotate.inc ======== */
/* rotate.inc: Hadamard rotations (api.h, rotate), written once over the v_* vocabulary. Each
 * number is the result of the same additions in every set: strides within a register go by
 * exchanging lanes, larger ones by registers. */

/* x[i] = x[i] * s with s = +- r by the sign of the channel, for all heads */
V_EXPORT AIOSK__NOINLINE void V_NAME(signs)(float *x, int32_t n_head, int32_t hd, float r) {
    float s[256];
    int32_t c, h, i, n;
    for (c = 0; c < hd; c += n) {
        n = hd - c < 256 ? hd - c : 256;
        for (i = 0; i < n; i++) s[i] = aiosk__minus((uint32_t)(c + i)) ? -r : r;
        for (h = 0; h < n_head; h++) {
            float *p = x + (size_t)h * (size_t)hd + c;
            for (i = 0; i + V_W <= n; i += V_W)
                v_storeu(p + i, v_mul(v_loadu(p + i), v_loadu(s + i)));
            for (; i < n; i++) p[i] = p[i] * s[i];
        }
    }
}
/* Sums and differences at strides 1, 2, .. size / 2, for n floats, a multiple of size = 2^k */
V_FN void V_NAME(fwht)(float *x, int32_t n, int32_t size) {
    int32_t i, j, s;
#if V_W > 1
    static const float minus[4][16] = { { 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1 },
                                        { 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1 },
                                        { 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1 },
                                        { 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
                                          -1 } };
    for (i = 0; i < n && size > 1; i += V_W) {
        vf a = V_NAME(load_n)(x + i, n - i, 0.0f);
        a = v_add(v_swap(a, 1), v_xorsign(a, v_loadu(minus[0])));
        if (size > 2) a = v_add(v_swap(a, 2), v_xorsign(a, v_loadu(minus[1])));
        if (V_W > 4 && size > 4) a = v_add(v_swap(a, 4), v_xorsign(a, v_loadu(minus[2])));
        if (V_W > 8 && size > 8) a = v_add(v_swap(a, 8), v_xorsign(a, v_loadu(minus[3])));
        V_NAME(store_n)(x + i, a, n - i);
    }
#endif
    for (s = V_W; s < size; s *= 2)
        for (i = 0; i < n; i += 2 * s)
            for (j = i; j < i + s; j += V_W) {
                const vf a = v_loadu(x + j), b = v_loadu(x + j + s);
                v_storeu(x + j, v_add(a, b));
                v_storeu(x + j + s, v_sub(a, b));
            }
}
/* The rows of a matrix of order m: m numbers b = 2^k apart, 16 columns at a time, whatever heads
 * they belong to */
V_EXPORT AIOSK__NOINLINE void V_NAME(mix)(float *x, int32_t n_head, int32_t m, int32_t b) {
    enum { NR = V_W > 4 ? 4 : 2 };
    const uint64_t *rows = aiosk__hadamard_rows(m);
    /* columns, and how many of them are neighbours */
    const int32_t n = n_head * b, w = b < 16 ? b : 16;
    float t[36][16];
    int32_t c, i, j, r, e, k;
    for (c = 0; c < n; c += 16) {
        float *p[16];
        const int32_t pieces = (n - c < 16 ? n - c : 16) / w;
        memset(t, 0, sizeof t);
        for (i = 0; i < pieces; i++) {
            const int32_t col = c + i * w;
            p[i] = x + (size_t)(col / b) * (size_t)(m * b) + col % b;
            for (j = 0; j < m; j++) memcpy(t[j] + i * w, p[i] + j * b, (size_t)w * 4);
        }
        for (r = 0; r < m; r += NR) {
            vf a[NR][V_PER16];
            float o[NR][16];
            for (e = 0; e < NR; e++) {
                const vf s = v_set1(rows[r + e] & 1 ? -1.0f : 1.0f);
                for (k = 0; k < V_PER16; k++) a[e][k] = v_xorsign(v_loadu(t[0] + k * V_W), s);
            }
            for (j = 1; j < m; j++)
                for (e = 0; e < NR; e++) {
                    const vf s = v_set1(rows[r + e] >> j & 1 ? -1.0f : 1.0f);
                    for (k = 0; k < V_PER16; k++)
                        a[e][k] = v_add(a[e][k], v_xorsign(v_loadu(t[j] + k * V_W), s));
                }
            for (e = 0; e < NR; e++) {
                for (k = 0; k < V_PER16; k++) v_storeu(o[e] + k * V_W, a[e][k]);
                for (i = 0; i < pieces; i++)
                    memcpy(p[i] + (r + e) * b, o[e] + i * w, (size_t)w * 4);
            }
        }
    }
}
V_EXPORT_REST void V_NAME(rotate)(float *x, int32_t n_head, int32_t hd, int32_t inverse) {
    int32_t m, h;
    const int32_t b = aiosk__rotation(hd, &m);
    const float r = 1.0f / aiosk__sqrt((float)(m * b));
    if (!inverse) V_NAME(signs)(x, n_head, hd, r);
    for (h = 0; h < n_head; h++) V_NAME(fwht)(x + (size_t)h * (size_t)hd, hd, b);
    if (m > 1) V_NAME(mix)(x, n_head, m, b);
    if (inverse) V_NAME(signs)(x, n_head, hd, r);
}

/* ======== kernels/attend.inc ======== */
/* attend.inc: attention over one run of KV tiles, and writing a position into a tile; written
 * once over the v_* vocabulary. api.h defines layouts and arithmetic. After ops.inc (exp, tanh)
 * and codes.inc.
 *
 *     begin      what each group of queries sees; outputs 0
 *     means      coded keys: scores of the means of all tiles
 *     scores     of one tile after the other
 *     softmaxes  of one query after the other: scores to weights, over all tiles
 *     values     of one tile after the other: weights times values, added to the outputs
 *
 * With floats, scores and outputs are the same loop: sums[q][lane] += factors[q][t] *
 * rows[t][lane], t ascending, where a lane is a key and t a channel, or a lane is a channel and
 * t a key. With codes both are exact sums of integers. V_MAXQ queries (a group) go together so
 * that a row is loaded and converted once for all of them. With many groups a block of rows of
 * f16 is converted beforehand, once for all groups, as codes always are. How queries are grouped
 * changes no bit.
 *
 * The loops exist in few shapes (V_SHAPES), queries times 16 lanes, as many as fit into
 * registers. A shape for several numbers of queries leaves its loop over them where there are no
 * more: a branch that is foreseen costs less than the code of another shape. */

/* Groups for which a row of f16 is converted each time */
#define AIOSK__NARROW (V_MAXQ > 1 ? 2 : 1)

/* Lines of tiles that are read soon, fetched a few at a time so that memory is busy while the
 * core computes */
typedef struct V_NAME(fetch) {
    const void *const *tile;
    size_t at;                 /* in each tile */
    int32_t line, lines, i, n; /* the next of lines, in tile i of n */
} V_NAME(fetch);
V_EXPORT AIOSK__NOINLINE void V_NAME(fetch_lines)(V_NAME(fetch) * f, int32_t k) {
    while (k > 0 && f->i < f->n) {
        const uint8_t *p = (const uint8_t *)f->tile[f->i] + f->at + 64 * (size_t)f->line;
        const int32_t n = f->lines - f->line < k ? f->lines - f->line : k;
        for (int32_t i = 0; i < n; i++, p += 64) AIOSK__PREFETCH(p);
        k -= n;
        f->line += n;
        if (f->line < f->lines) continue;
        f->line = 0;
        f->i++;
    }
}

/* Queries q0 .. q0 + n that go together, and which keys any of them sees */
typedef struct V_NAME(group) {
    int32_t q0, n, low, high;
} V_NAME(group);

/* What one call works on. */
typedef struct V_NAME(work) {
    const aiosk_attend *a;
    const uint8_t *const *tile;
    aiosk__side k[2], v[2];      /* sealed, open */
    int32_t hk, hv;              /* head sizes, padded */
    int32_t groups;              /* of queries */
    int32_t t0, t1, first, last; /* keys that any of them sees, and their tiles */
    V_NAME(group) * group;       /* [groups] */
    int32_t *fix;                /* [n_q] what sums of products of coded keys start from */
    size_t stride;
    float *s;                /* [n_q][stride] raw scores, then weights */
    float *mean_s;           /* [n_q][16] what each tile's mean adds to the scores */
    float *wide;             /* [64][64] or [hd_k][64] rows of f16 as floats .. */
    int8_t *codes;           /* .. or codes of a tile as bytes, in the same place */
    int8_t *means;           /* [hk/4][16][4] means of the keys of tiles */
    float *means_d, *scales; /* [16] their scales; [64] those of the keys of a tile */
    V_NAME(fetch) fetch_k, fetch_v;
} V_NAME(work);

V_FN int32_t V_NAME(is_open)(const V_NAME(work) * w, int32_t tile) {
    return (int32_t)(w->a->open >> tile & 1);
}

/* A group with its keys counted in a tile; none of that tile: low >= high */
V_FN V_NAME(group) V_NAME(in_tile)(const V_NAME(work) * w, int32_t group, int32_t tile) {
    V_NAME(group) g = w->group[group];
    g.low = g.low > 64 * tile ? g.low - 64 * tile : 0;
    g.high = g.high < 64 * tile + 64 ? g.high - 64 * tile : 64;
    return g;
}

/* ---- floats ---- */

/* Rows of numbers and what they are multiplied and added to, for a group of queries */
typedef struct V_NAME(block) {
    const uint8_t *rows;
    const float *factors;
    float *sums;
    size_t step, f_stride, s_stride; /* bytes from row to row; floats from query to query */
    int32_t n, from, to;             /* queries; rows */
    uintptr_t soon[2];               /* bytes from what is read now to what is read soon: below */
} V_NAME(block);

/* Lines of tiles that no hardware prefetcher can foresee: each row asks for the same row at the
 * distances soon, so that memory is busy while the core computes. 0 = itself, which costs next
 * to nothing. */
V_FN void V_NAME(ask)(const uint8_t *p, const uintptr_t *soon) {
    AIOSK__PREFETCH((const void *)((uintptr_t)p + soon[0]));
    AIOSK__PREFETCH((const void *)((uintptr_t)p + soon[1]));
}

/* Register k of a row */
V_FN vf V_NAME(number)(const int32_t kv, const uint8_t *p, int k) {
    return kv == AIOSK_KV_F32 ? v_loadu((const float *)(const void *)p + k * V_W)
                              : v_load_f16(p + 2 * k * V_W);
}
/* sums[q][lane] += factors[q][t] * rows[t][lane] for 16 * nj lanes from lane on. least, nq and
 * nj are constants: V_SHAPES. */
V_FN void V_NAME(outer_n)(const int32_t kv, const int least, const int nq, const int nj,
                          const V_NAME(block) * b, int32_t lane) {
    const size_t size = kv == AIOSK_KV_F32 ? 4 : 2;
    const int n = nj * V_PER16, some = b->n;
    const uint8_t *p = b->rows + size * (size_t)lane + (size_t)b->from * b->step;
    const float *f[V_MAXQ];
    float *o[V_MAXQ];
    uintptr_t soon[2] = { 0, 0 };
    vf acc[V_MAXQ * 4 * V_PER16], r[4 * V_PER16];
    /* of rows that share a line only the first asks for it */
    if (((uintptr_t)p & 63) == 0) memcpy(soon, b->soon, sizeof soon);
    AIOSK__FLAT
    for (int q = 0; q < nq; q++) {
        const size_t at = (size_t)(q < some ? q : some - 1);
        f[q] = b->factors + at * b->f_stride;
        o[q] = b->sums + at * b->s_stride + lane;
        AIOSK__FLAT
        for (int k = 0; k < n; k++) acc[q * n + k] = v_loadu(o[q] + k * V_W);
    }
    for (int32_t t = b->from; t < b->to; t++, p += b->step) {
        for (int i = 0; kv == AIOSK_KV_F16 && i < nj; i += 2) V_NAME(ask)(p + 32 * i, soon);
        if (nq > 1) {
            AIOSK__FLAT
            for (int k = 0; k < n; k++) r[k] = V_NAME(number)(kv, p, k);
        }
        AIOSK__FLAT
        for (int q = 0; q < nq; q++) {
            if (q >= least && q >= some) break;
            const vf x = v_set1(f[q][t]);
            AIOSK__FLAT
            for (int k = 0; k < n; k++) {
                const vf y = nq > 1 ? r[k] : V_NAME(number)(kv, p, k);
                acc[q * n + k] = v_fma(y, x, acc[q * n + k]);
            }
        }
    }
    AIOSK__FLAT
    for (int q = 0; q < nq; q++) {
        if (q >= some) break;
        AIOSK__FLAT
        for (int k = 0; k < n; k++) v_storeu(o[q] + k * V_W, acc[q * n + k]);
    }
}
/* All lanes: a shape takes as many as it can; what is left is for those with fewer lanes. */
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(outer_f32)(const V_NAME(block) * b, int32_t lanes) {
    int32_t i = 0;
#define AIOSK__SHAPE(least, nq, nj)                          \
    for (; b->n <= nq && i + 16 * nj <= lanes; i += 16 * nj) \
        V_NAME(outer_n)(AIOSK_KV_F32, least, nq, nj, b, i);
    V_SHAPES(AIOSK__SHAPE)
#undef AIOSK__SHAPE
}
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(outer_f16)(const V_NAME(block) * b, int32_t lanes) {
    int32_t i = 0;
#define AIOSK__SHAPE(least, nq, nj)                          \
    for (; b->n <= nq && i + 16 * nj <= lanes; i += 16 * nj) \
        V_NAME(outer_n)(AIOSK_KV_F16, least, nq, nj, b, i);
    V_SHAPES(AIOSK__SHAPE)
#undef AIOSK__SHAPE
}
/* Rows from .. to of f16, of up to 64 lanes, as floats, 64 to a row */
V_EXPORT AIOSK__NOINLINE void V_NAME(widen)(const V_NAME(block) * b, int32_t lanes, float *out) {
    const uint8_t *p = b->rows + (size_t)b->from * b->step;
    out += 64 * b->from;
    for (int32_t t = b->from; t < b->to; t++, p += b->step, out += 64) {
        V_NAME(ask)(p, b->soon);
        V_NAME(ask)(p + 64, b->soon);
        for (int32_t i = 0; i < lanes; i += V_W) v_storeu(out + i, v_load_f16(p + 2 * i));
    }
}

/* Raw scores of one tile */
V_EXPORT AIOSK__NOINLINE void V_NAME(scores_float)(const V_NAME(work) * w, int32_t tile) {
    const aiosk_attend *a = w->a;
    const int32_t next = tile < w->last ? tile + 1 : tile;
    const aiosk__side *side = &w->k[V_NAME(is_open)(w, tile)];
    const uint8_t *rows = w->tile[tile] + side->data;
    const int32_t wider = side->code == AIOSK_KV_F16 && w->groups > AIOSK__NARROW,
                  chunk = wider ? 64 : a->hd_k;
    const size_t step = side->code == AIOSK_KV_F32 ? 256 : 128;
    for (int32_t c = 0; c < a->hd_k; c += chunk) {
        V_NAME(block) b;
        b.rows = rows + step * (size_t)c;
        b.step = step;
        b.from = 0;
        b.to = a->hd_k - c < chunk ? a->hd_k - c : chunk;
        b.soon[0] =
            (uintptr_t)w->tile[next] + w->k[V_NAME(is_open)(w, next)].data - (uintptr_t)rows;
        b.soon[1] = w->v[V_NAME(is_open)(w, tile)].data - side->data;
        if (wider) {
            V_NAME(widen)(&b, 64, w->wide);
            b.rows = (const uint8_t *)w->wide;
            b.step = 256;
        }
        b.f_stride = (size_t)a->q_stride;
        b.s_stride = w->stride;
        for (int32_t i = 0; i < w->groups; i++) {
            const V_NAME(group) g = V_NAME(in_tile)(w, i, tile);
            if (g.low >= g.high) continue;
            b.factors = a->q + (size_t)g.q0 * b.f_stride + c;
            b.sums = w->s + (size_t)g.q0 * w->stride + 64 * tile;
            b.n = g.n;
            for (int32_t q = 0; c == 0 && q < g.n; q++)
                for (int32_t k = 0; k < 64; k += V_W)
                    v_storeu(b.sums + (size_t)q * w->stride + k, v_zero());
            if (wider || side->code == AIOSK_KV_F32)
                V_NAME(outer_f32)(&b, 64);
            else
                V_NAME(outer_f16)(&b, 64);
        }
    }
}

/* Adds the values of one tile, by their weights */
V_EXPORT AIOSK__NOINLINE void V_NAME(values_float)(const V_NAME(work) * w, int32_t tile) {
    const aiosk_attend *a = w->a;
    const int32_t next = tile < w->last ? tile + 1 : tile;
    const aiosk__side *side = &w->v[V_NAME(is_open)(w, tile)];
    const uint8_t *rows = w->tile[tile] + side->data;
    const int32_t wider = side->code == AIOSK_KV_F16 && w->groups > AIOSK__NARROW;
    const size_t size = side->code == AIOSK_KV_F32 ? 4 : 2;
    for (int32_t c = 0; c < w->hv; c += 64) {
        const int32_t lanes = w->hv - c < 64 ? w->hv - c : 64;
        V_NAME(block) b;
        b.rows = rows + size * (size_t)c;
        b.step = size * (size_t)w->hv;
        b.from = tile == w->first ? w->t0 - 64 * tile : 0;
        b.to = tile == w->last ? w->t1 - 64 * tile : 64;
        b.soon[0] =
            (uintptr_t)w->tile[next] + w->v[V_NAME(is_open)(w, next)].data - (uintptr_t)rows;
        b.soon[1] = a->next ? (uintptr_t)a->next[tile] + w->k[0].data - (uintptr_t)rows : 0;
        if (wider) {
            V_NAME(widen)(&b, lanes, w->wide);
            b.rows = (const uint8_t *)w->wide;
            b.step = 256;
        }
        b.f_stride = w->stride;
        b.s_stride = (size_t)w->hv;
        for (int32_t i = 0; i < w->groups; i++) {
            const V_NAME(group) g = V_NAME(in_tile)(w, i, tile);
            if (g.low >= g.high) continue;
            b.factors = w->s + (size_t)g.q0 * w->stride + 64 * tile;
            b.sums = a->o + (size_t)g.q0 * b.s_stride + c;
            b.n = g.n;
            b.from = g.low;
            b.to = g.high;
            if (wider || side->code == AIOSK_KV_F32)
                V_NAME(outer_f32)(&b, lanes);
            else
                V_NAME(outer_f16)(&b, lanes);
        }
    }
}

/* ---- codes ---- */

/* What v_kdot adds to each of the products of these codes, negated; sums of integers below 2^24
 * are exact in floats. */
V_FN int32_t V_NAME(fix8)(const int8_t *q8, int32_t hp) {
#if V_KBIAS
    vf t[V_PER16];
    for (int k = 0; k < V_PER16; k++) t[k] = v_zero();
    for (int32_t j = 0; j < hp; j += 16)
        for (int k = 0; k < V_PER16; k++) t[k] = v_add(t[k], v_load_i8(q8 + j + k * V_W));
    return -V_KBIAS * (int32_t)v_tree_add(t);
#else
    (void)q8;
    (void)hp;
    return 0;
#endif
}

/* The means of the keys of all tiles, side by side, and what they add to the scores */
V_EXPORT8 AIOSK__NOINLINE void V_NAME(means8)(const V_NAME(work) * w) {
    const int32_t hk = w->hk;
    memset(w->means, 0, (size_t)(16 * hk));
    memset(w->means_d, 0, 64);
    for (int32_t i = w->first; i <= w->last; i++) {
        const uint8_t *p = w->tile[i] + w->k[0].mean;
        if (V_NAME(is_open)(w, i)) continue;
        w->means_d[i] = aiosk__f32(w->tile[i] + 8);
        for (int32_t d = 0; d < hk; d += 4) memcpy(w->means + 16 * d + 4 * i, p + d, 4);
    }
    for (int32_t d = 0; d < 16 * hk; d += 4 * V_W)
        v_storei(w->means + d, v_kprep(v_loadi(w->means + d)));
    for (int32_t q = 0; q < w->a->n_q; q++) {
        const int8_t *x = w->a->q8 + (size_t)q * (size_t)hk;
        const vf dq = v_set1(w->a->q8_d[q]);
        for (int k = 0; k < V_PER16; k++) {
            /* one after the other would have to wait */
            vi acc[4] = { v_set1i(w->fix[q]), v_zeroi(), v_zeroi(), v_zeroi() };
            for (int32_t d = 0; d < hk; d += 16) {
                const int8_t *m = w->means + 16 * d + 4 * k * V_W;
                AIOSK__FLAT_I
                for (int j = 0; j < 4; j++)
                    acc[j] = v_kdot(acc[j], v_loadi(m + 64 * j), i_dup(x + d + 4 * j));
            }
            acc[0] = v_addi(v_addi(acc[0], acc[1]), v_addi(acc[2], acc[3]));
            v_storeu(w->mean_s + 16 * q + k * V_W,
                     v_fma(v_cvt_i32_f32(acc[0]), v_mul(dq, v_loadu(w->means_d + k * V_W)),
                           v_zero()));
        }
    }
}

/* s[q][key] = fma((float)(exact sum over d of q8[q][d] * codes[d][key]), dq[q] * scales[key],
 * mean_s[q]) for 16 * nj keys of a tile from key on. least, nq and nj are constants. codes:
 * through v_kprep */
V_FN8 void V_NAME(scores8_n)(const int least, const int nq, const int nj, const V_NAME(work) * w,
                             const V_NAME(group) * g, int32_t tile, int32_t key) {
    const int n = nj * V_PER16, some = g->n;
    const int8_t *codes = w->codes + 4 * key, *x[V_MAXQ];
    vi acc[V_MAXQ * 4 * V_PER16], r[4 * V_PER16];
    AIOSK__FLAT_I
    for (int q = 0; q < nq; q++) {
        const int32_t at = g->q0 + (q < some ? q : some - 1);
        x[q] = w->a->q8 + (size_t)at * (size_t)w->hk;
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++) acc[q * n + k] = v_set1i(w->fix[at]);
    }
    for (int32_t d = 0; d < w->hk; d += 4, codes += 256) {
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++) r[k] = v_loadi(codes + 4 * k * V_W);
        AIOSK__FLAT_I
        for (int q = 0; q < nq; q++) {
            if (q >= least && q >= some) break;
            const vi u = i_dup(x[q] + d);
            AIOSK__FLAT_I
            for (int k = 0; k < n; k++) acc[q * n + k] = v_kdot(acc[q * n + k], r[k], u);
        }
    }
    AIOSK__FLAT_I
    for (int q = 0; q < nq; q++) {
        /* all 64 keys go to one shape: some is at least least */
        if (q >= least && q >= some) break;
        const int32_t at = g->q0 + q;
        const vf dq = v_set1(w->a->q8_d[at]), m = v_set1(w->mean_s[16 * at + tile]);
        float *s = w->s + (size_t)at * w->stride + 64 * tile + key;
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++)
            v_storeu(s + k * V_W, v_fma(v_cvt_i32_f32(acc[q * n + k]),
                                        v_mul(dq, v_loadu(w->scales + key + k * V_W)), m));
    }
}
V_EXPORT8 V_HOT AIOSK__NOINLINE void V_NAME(scores8)(const V_NAME(work) * w, int32_t tile) {
    for (int32_t group = 0; group < w->groups; group++) {
        const V_NAME(group) g = V_NAME(in_tile)(w, group, tile);
        int32_t i = g.low < g.high ? 0 : 64;
#define AIOSK__SHAPE(least, nq, nj)                             \
    for (; (g.n <= nq || nq == V_MAXQ) && i < 64; i += 16 * nj) \
        V_NAME(scores8_n)(least, nq, nj, w, &g, tile, i);
        V_SHAPES(AIOSK__SHAPE)
#undef AIOSK__SHAPE
    }
}
V_EXPORT AIOSK__NOINLINE void V_NAME(scores_coded)(V_NAME(work) * w, int32_t tile) {
    const uint8_t *t = w->tile[tile];
    V_NAME(fetch_lines)(&w->fetch_k, w->fetch_k.lines / 2);
    V_NAME(scales)(t + w->k[0].at, aiosk__f32(t), w->scales);
    V_NAME(decode)
    (w->k[0].code, t + w->k[0].data, (size_t)w->hk * 64, w->codes,
     V_KBIAS ? (int32_t)0x80808080u : 0);
    V_NAME(fetch_lines)(&w->fetch_k, (w->fetch_k.lines + 1) / 2);
    V_NAME(fetch_lines)(&w->fetch_v, w->fetch_v.lines / 3);
    V_NAME(scores8)(w, tile);
}

/* p of the 64 keys of a tile -> weights in their place, 32 dwords, then the f32 that they are
 * multiples of. Each dword j below 16 is a pair of int16, of keys j and 16 + j, j + 16 of 32 + j
 * and 48 + j; or, with v_vdot, the upper digits of the four keys in the order of V's bytes, and
 * the lower ones. u: scales of V, step: theirs */
V_FN void V_NAME(weights)(float *p, const uint8_t *u, float step) {
    vf w[4][V_PER16], m[V_PER16];
    for (int k = 0; k < V_PER16; k++) m[k] = v_zero();
    AIOSK__FLAT
    for (int g = 0; g < 4; g++) {
        AIOSK__FLAT
        for (int k = 0; k < V_PER16; k++) {
            w[g][k] = v_mul(v_loadu(p + 16 * g + k * V_W),
                            v_cvt_i32_f32(i_load_u8(u + 16 * g + k * V_W)));
            m[k] = v_max(m[k], w[g][k]);
        }
    }
    float most = v_tree_max(m), r = 16383.0f / most;
    if (!(r <= 3.40282347e38f)) r = most = 0.0f;
    AIOSK__FLAT
    for (int k = 0; k < V_PER16; k++) {
        vi c[4];
        AIOSK__FLAT
        for (int g = 0; g < 4; g++) c[g] = v_cvt_f32_i32(v_mul(w[g][k], v_set1(r)));
        vi a = i_or(c[0], i_sll(c[1], 16)), b = i_or(c[2], i_sll(c[3], 16));
#if V_VDOT
        const vi low = v_set1i(0x007F007F), a0 = i_and(a, low), b0 = i_and(b, low);
        a = i_or(i_and(i_srl(a, 7), low), i_sll(i_and(i_srl(b, 7), low), 8));
        b = i_or(a0, i_sll(b0, 8));
#endif
        v_storei(p + k * V_W, a);
        v_storei(p + 16 + k * V_W, b);
    }
    p[32] = most / 16383.0f * step;
}

/* o[q][channel] = fma(the weights' unit, (float)(exact sum over the keys of weight * code), o)
 * for 16 * nj channels of a tile from channel on. least, nq and nj are constants. With v_vdot,
 * weights are two digits to the base 128. */
V_FN8 void V_NAME(values8_n)(const int least, const int nq, const int nj, const V_NAME(work) * w,
                             const V_NAME(group) * g, int32_t tile, int32_t channel) {
    const size_t step = (size_t)w->hv * 4; /* from one group of four positions to the next */
    const int n = nj * V_PER16, some = g->n;
    const int8_t *codes = w->codes + 4 * channel;
    const float *u[V_MAXQ];
    vi acc[V_MAXQ * 4 * V_PER16];
    AIOSK__FLAT_I
    for (int q = 0; q < nq; q++) {
        u[q] = w->s + (size_t)(g->q0 + (q < g->n ? q : g->n - 1)) * w->stride + 64 * tile;
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++) acc[q * n + k] = v_zeroi();
    }
#if V_VDOT
    for (int j = 0; j < 32; j++, codes += step) {
        vi r[4 * V_PER16];
        if (j == 16) {
            codes -= 16 * step;
            AIOSK__FLAT_I
            for (int k = 0; k < nq * n; k++) acc[k] = i_sll(acc[k], 7);
        }
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++) r[k] = v_loadi(codes + 4 * k * V_W);
        AIOSK__FLAT_I
        for (int q = 0; q < nq; q++) {
            if (q >= least && q >= some) break;
            const vi x = i_dup(u[q] + j);
            AIOSK__FLAT_I
            for (int k = 0; k < n; k++) acc[q * n + k] = v_vdot(acc[q * n + k], x, r[k]);
        }
    }
#else
    for (int j = 0; j < 16; j++, codes += step) {
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++) {
            vi r[2];
            i_pairs(r, v_loadi(codes + 4 * k * V_W));
            AIOSK__FLAT_I
            for (int q = 0; q < nq; q++) {
                if (q >= least && q >= some) break;
                const int16_t *x = (const int16_t *)(const void *)u[q] + 2 * j;
                acc[q * n + k] = i_macc_pair(acc[q * n + k], r[0], x);
                acc[q * n + k] = i_macc_pair(acc[q * n + k], r[1], x + 32);
            }
        }
    }
#endif
    AIOSK__FLAT_I
    for (int q = 0; q < nq; q++) {
        if (q >= some) continue; /* not break: Clang -O1 does not unroll that */
        float *o = w->a->o + (size_t)(g->q0 + q) * (size_t)w->hv + channel;
        const vf unit = v_set1(u[q][32]);
        AIOSK__FLAT_I
        for (int k = 0; k < n; k++)
            v_storeu(o + k * V_W, v_fma(unit, v_cvt_i32_f32(acc[q * n + k]), v_loadu(o + k * V_W)));
    }
}
V_EXPORT8 V_HOT AIOSK__NOINLINE void V_NAME(values8)(const V_NAME(work) * w, int32_t tile) {
    for (int32_t group = 0; group < w->groups; group++) {
        const V_NAME(group) g = V_NAME(in_tile)(w, group, tile);
        int32_t i = g.low < g.high ? 0 : w->hv;
#define AIOSK__SHAPE(least, nq, nj)                         \
    for (; g.n <= nq && i + 16 * nj <= w->hv; i += 16 * nj) \
        V_NAME(values8_n)(least, nq, nj, w, &g, tile, i);
        V_SHAPES(AIOSK__SHAPE)
#undef AIOSK__SHAPE
    }
}
V_EXPORT AIOSK__NOINLINE void V_NAME(values_coded)(V_NAME(work) * w, int32_t tile) {
    V_NAME(fetch_lines)(&w->fetch_k, w->fetch_k.lines / 2);
    V_NAME(decode)(w->v[0].code, w->tile[tile] + w->v[0].data, (size_t)w->hv * 64, w->codes, 0);
    V_NAME(fetch_lines)(&w->fetch_k, (w->fetch_k.lines + 1) / 2);
    V_NAME(values8)(w, tile);
}

/* ---- softmax ---- */

/* 16 scaled scores of which key is the first in the run: softcap and ALiBi. Products that are
 * later subtracted from go through v_mulr. */
V_FN void V_NAME(bend16)(const aiosk_attend *a, int32_t q, int32_t key, vf *x) {
    static const int32_t count[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    for (int k = 0; k < V_PER16; k++) {
        if (a->softcap != 0.0f)
            x[k] = v_mulr(v_set1(a->softcap), V_NAME(v_tanh)(v_div(x[k], v_set1(a->softcap))));
        if (a->slope) {
            const vi distance = v_addi(v_set1i(a->dpos[q] + key), v_loadi(count + k * V_W));
            x[k] = v_fma(v_set1(a->slope[q]), v_cvt_i32_f32(distance), x[k]);
        }
    }
}
/* x where low <= key < high, else -infinity, for 16 keys of which key is the first: less than
 * any maximum, and exp makes 0 of it. */
V_FN void V_NAME(only16)(vf *x, int32_t key, int32_t low, int32_t high) {
    static const float count[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    const vf other = v_set1(aiosk__bits_f32(0xFF800000u));
    for (int k = 0; k < V_PER16; k++) {
        const vf i = v_loadu(count + k * V_W);
        x[k] = v_sel_lt(i, v_set1((float)(low - key)), other, x[k]);
        x[k] = v_sel_lt(i, v_set1((float)(high - key)), x[k], other);
    }
}
/* Raw scores of a query that sees something -> p in place, 0 in the rest of the tiles from ..
 * to; maximum and sum. Fetches per lines of values for each of them. */
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(softmax)(V_NAME(work) * w, int32_t q, int32_t from,
                                                    int32_t to, int32_t per) {
    const aiosk_attend *a = w->a;
    const int32_t low = a->low[q], high = a->high[q], first = low / 16 * 16,
                  end = (high + 15) / 16 * 16;
    float *s = w->s + (size_t)q * w->stride;
    const int32_t bent = a->softcap != 0.0f || a->slope;
    const vf scale = v_set1(a->scale);
    vf m[V_PER16], l[V_PER16], x[V_PER16];
    for (int k = 0; k < V_PER16; k++) m[k] = v_set1(AIOSK_NEG_INF);
    for (int32_t j = first; j < end; j += 16) {
        for (int k = 0; k < V_PER16; k++) x[k] = v_mulr(v_loadu(s + j + k * V_W), scale);
        if (bent) V_NAME(bend16)(a, q, j, x);
        if (j < low || j + 16 > high) V_NAME(only16)(x, j, low, high);
        for (int k = 0; k < V_PER16; k++) {
            m[k] = v_max(m[k], x[k]);
            v_storeu(s + j + k * V_W, x[k]);
        }
    }
    a->m[q] = v_tree_max(m);
    const vf most = v_set1(a->m[q]);
    for (int k = 0; k < V_PER16; k++) l[k] = v_zero();
    for (int32_t j = first; j < end; j += 16) {
        if (per > 0 && (j & 48) == 0) V_NAME(fetch_lines)(&w->fetch_v, per);
        for (int k = 0; k < V_PER16; k++) {
            x[k] = V_NAME(v_exp)(v_sub(v_loadu(s + j + k * V_W), most));
            l[k] = v_add(l[k], x[k]);
            v_storeu(s + j + k * V_W, x[k]);
        }
    }
    a->l[q] = v_tree_add(l);
    for (int32_t j = 64 * from; j < first; j += V_W) v_storeu(s + j, v_zero());
    for (int32_t j = end; j < 64 * to; j += V_W) v_storeu(s + j, v_zero());
    for (int32_t i = from; a->tile_sum && i < to; i++) {
        for (int k = 0; k < V_PER16; k++) l[k] = v_zero();
        for (int32_t j = 64 * i; j < 64 * i + 64; j += 16)
            for (int k = 0; k < V_PER16; k++) l[k] = v_add(l[k], v_loadu(s + j + k * V_W));
        a->tile_sum[(size_t)q * (size_t)a->n_tiles + (size_t)i] = v_tree_add(l);
    }
}
V_EXPORT AIOSK__NOINLINE void V_NAME(softmaxes)(V_NAME(work) * w) {
    const aiosk_attend *a = w->a;
    const int32_t coded = aiosk_kv_coded(w->v[0].code),
                  per = coded ? 1 + w->fetch_v.lines * 2 / 3 / a->n_q : 0;
    for (const V_NAME(group) *g = w->group; g < w->group + w->groups; g++) {
        const int32_t from = g->low / 64, to = (g->high + 63) / 64;
        for (int32_t q = g->q0; q < g->q0 + g->n && from < to; q++) {
            float *s = w->s + (size_t)q * w->stride;
            if (a->low[q] < a->high[q])
                V_NAME(softmax)(w, q, from, to, per);
            else
                memset(s + 64 * from, 0, (size_t)(to - from) * 256);
            for (int32_t i = from; coded && i < to; i++)
                if (!V_NAME(is_open)(w, i)) V_NAME(weights)
            (s + 64 * i, w->tile[i] + w->v[0].at, aiosk__f32(w->tile[i] + 4));
        }
    }
}

/* ---- a run ---- */

/* Where things are, and what is seen; gives 0 if that is nothing. */
V_EXPORT AIOSK__NOINLINE int32_t V_NAME(begin)(V_NAME(work) * w, const aiosk_attend *a) {
    const int32_t hk = aiosk__hp(a->hd_k), hv = aiosk__hp(a->hd_v), most = hk > hv ? hk : hv,
                  plain = aiosk_kv_open(a->type);
    const size_t n_q = (size_t)a->n_q;
    w->a = a;
    w->tile = (const uint8_t *const *)a->tile;
    w->k[0] = aiosk__side_k(a->type, a->hd_k);
    w->k[1] = aiosk__side_k(plain, a->hd_k);
    w->v[0] = aiosk__side_v(a->type, a->hd_k, a->hd_v);
    w->v[1] = aiosk__side_v(plain, a->hd_k, a->hd_v);
    w->hk = hk;
    w->hv = hv;
    w->groups = (a->n_q + V_MAXQ - 1) / V_MAXQ;
    w->stride = 64 * AIOSK_RUN + 16;
    w->s = (float *)a->scratch;
    w->mean_s = w->s + n_q * w->stride;
    w->wide = w->mean_s + n_q * 16;
    w->codes = (int8_t *)(void *)w->wide;
    w->means = (int8_t *)(void *)(w->wide + (most > 256 ? 16 * most : 64 * 64));
    w->scales = (float *)(void *)(w->means + 16 * most);
    w->means_d = w->scales + 64;
    w->group = (V_NAME(group) *)(void *)(w->means_d + 16);
    w->fix = (int32_t *)(void *)(w->group + w->groups);
    w->t0 = 64 * AIOSK_RUN;
    w->t1 = 0;
    memset(w->mean_s, 0, n_q * 64);
    memset(a->o, 0, n_q * (size_t)hv * 4);
    if (a->tile_sum) memset(a->tile_sum, 0, n_q * (size_t)a->n_tiles * 4);
    for (int32_t i = 0, q = 0; i < w->groups; i++) {
        V_NAME(group) *g = w->group + i;
        g->q0 = q;
        g->n = (i + 1) * a->n_q / w->groups - q;
        g->low = 64 * AIOSK_RUN;
        g->high = 0;
        for (; q < g->q0 + g->n; q++) {
            a->m[q] = AIOSK_NEG_INF;
            a->l[q] = 0.0f;
            if (aiosk_kv_coded(w->k[0].code))
                w->fix[q] = V_NAME(fix8)(a->q8 + (size_t)q * (size_t)hk, hk);
            if (a->low[q] >= a->high[q]) continue;
            if (a->low[q] < g->low) g->low = a->low[q];
            if (a->high[q] > g->high) g->high = a->high[q];
        }
        if (g->low < w->t0) w->t0 = g->low;
        if (g->high > w->t1) w->t1 = g->high;
    }
    if (w->t0 >= w->t1) return 0;
    w->first = w->t0 / 64;
    w->last = (w->t1 - 1) / 64;
    w->fetch_k.tile = w->fetch_v.tile = a->tile;
    w->fetch_k.line = w->fetch_v.line = 0;
    w->fetch_k.n = w->fetch_v.n = w->last + 1;
    w->fetch_k.at = 0;
    w->fetch_k.lines = (int32_t)((w->k[0].at + w->k[0].bytes) / 64);
    w->fetch_k.i = w->first + 1;
    w->fetch_v.at = w->v[0].at;
    w->fetch_v.lines = (int32_t)(w->v[0].bytes / 64);
    w->fetch_v.i = aiosk_kv_coded(w->v[0].code) ? w->first : w->last + 1;
    return 1;
}

V_EXPORT void V_NAME(attend)(const aiosk_attend *a) {
    V_NAME(work) w;
    if (!V_NAME(begin)(&w, a)) return;
    if (w.k[0].mean < w.k[0].data) V_NAME(means8)(&w);
    for (int32_t i = w.first; i <= w.last; i++) {
        if (aiosk_kv_coded(w.k[V_NAME(is_open)(&w, i)].code))
            V_NAME(scores_coded)(&w, i);
        else
            V_NAME(scores_float)(&w, i);
    }
    V_NAME(softmaxes)(&w);
    if (a->next) {
        w.fetch_k.tile = a->next;
        w.fetch_k.i = w.first;
        w.fetch_k.line = 0;
    }
    for (int32_t i = w.first; i <= w.last; i++) {
        if (aiosk_kv_coded(w.v[V_NAME(is_open)(&w, i)].code))
            V_NAME(values_coded)(&w, i);
        else
            V_NAME(values_float)(&w, i);
    }
    for (int32_t q = 0; q < a->n_q; q++) {
        float *o = a->o + (size_t)q * (size_t)w.hv;
        /* + 0: a zero is +0 however many zeros were added */
        for (int32_t c = 0; c < w.hv; c += V_W) v_storeu(o + c, v_add(v_loadu(o + c), v_zero()));
        for (int32_t c = a->hd_v; c < w.hv; c++) o[c] = 0.0f; /* no code is zero */
    }
}

V_EXPORT_REST void V_NAME(attend_merge)(int32_t n_q, int32_t hd_v, float *m, float *l, float *o,
                                        int32_t stride, const float *m1, const float *l1,
                                        const float *o1, int32_t stride1) {
    int32_t q, i;
    for (q = 0; q < n_q; q++, o += stride, o1 += stride1) {
        vf a, b, mn, l0, x;
        float t[V_W];
        if (l1[q] == 0.0f) continue;
        if (l[q] == 0.0f) {
            m[q] = m1[q];
            l[q] = l1[q];
            memcpy(o, o1, (size_t)hd_v * 4);
            continue;
        }
        mn = v_max(v_set1(m[q]), v_set1(m1[q]));
        a = V_NAME(v_exp)(v_sub(v_set1(m[q]), mn));
        b = V_NAME(v_exp)(v_sub(v_set1(m1[q]), mn));
        l0 = v_fma(v_set1(l1[q]), b, v_mul(v_set1(l[q]), a));
        v_storeu(t, mn);
        m[q] = t[0];
        v_storeu(t, l0);
        l[q] = t[0];
        for (i = 0; i < hd_v; i += V_W) {
            x = v_fma(V_NAME(load_n)(o1 + i, hd_v - i, 0.0f), b,
                      v_mul(V_NAME(load_n)(o + i, hd_v - i, 0.0f), a));
            V_NAME(store_n)(o + i, x, hd_v - i);
        }
    }
}

/* ---- writing one position ---- */

V_EXPORT_REST void V_NAME(store_f32)(void *tile, int32_t slot, const float *k, const float *v,
                                     int32_t hd_k, int32_t hd_v) {
    float *K = (float *)tile + slot;
    uint8_t *V = (uint8_t *)tile + (size_t)hd_k * 256 + (size_t)(slot * aiosk__hp(hd_v)) * 4;
    int32_t i;
    for (i = 0; i < hd_k; i++) K[64 * i] = k[i];
    memcpy(V, v, (size_t)hd_v * 4);
    memset(V + hd_v * 4, 0, (size_t)(aiosk__hp(hd_v) - hd_v) * 4);
}
V_EXPORT_REST void V_NAME(store_f16)(void *tile, int32_t slot, const float *k, const float *v,
                                     int32_t hd_k, int32_t hd_v) {
    uint8_t *K = (uint8_t *)tile + 2 * slot;
    uint8_t *V = (uint8_t *)tile + (size_t)hd_k * 128 + (size_t)(slot * aiosk__hp(hd_v)) * 2;
    uint16_t t[V_W];
    int32_t i, j;
    for (i = 0; i < hd_k; i += V_W) {
        v_store_f16(t, V_NAME(load_n)(k + i, hd_k - i, 0.0f));
        for (j = 0; j < V_W && i + j < hd_k; j++) memcpy(K + 128 * (i + j), &t[j], 2);
    }
    for (i = 0; i < aiosk__hp(hd_v); i += V_W)
        v_store_f16(V + 2 * i, V_NAME(load_n)(v + i, hd_v - i, 0.0f));
}
#undef AIOSK__NARROW

/* ======== kernels/floats.inc ======== */
/* floats.inc: F32, F16 and BF16 matrices, row after row, with f32 activations. Expanded once per
 * instruction set. */

V_FN vf V_NAME(load_w)(int32_t type, const uint8_t *w, int32_t i) {
    return type == AIOSK_F32   ? v_loadu((const float *)(const void *)w + i)
           : type == AIOSK_F16 ? v_load_f16(w + 2 * (uint32_t)i)
                               : v_load_bf16(w + 2 * (uint32_t)i);
}

/* The last n < 16 columns: zeros behind them, for the weights as for the activations */
V_EXPORT AIOSK__NOINLINE void V_NAME(flt_tail)(int32_t type, const uint8_t *w, const uint8_t *x,
                                               int32_t n, vf *sum) {
    float wt[16], xt[16];
    memset(wt, 0, sizeof wt);
    memset(xt, 0, sizeof xt);
    memcpy(wt, w, (size_t)(n * (type == AIOSK_F32 ? 4 : 2)));
    memcpy(xt, x, (size_t)n * 4);
    for (int h = 0; h < V_PER16; h++)
        sum[h] = v_fma(V_NAME(load_w)(type, (const uint8_t *)wt, h * V_W), v_loadu(xt + h * V_W),
                       sum[h]);
}

/* full columns of nr rows times nc columns of x; type, nr and nc are constants */
V_FN void V_NAME(flt_loop)(const int32_t type, const uint8_t *w, uint64_t rb, const uint8_t *x,
                           uint64_t xs, int32_t full, const int nr, const int nc, vf *acc) {
    const int32_t size = type == AIOSK_F32 ? 4 : 2;
    for (int32_t i = 0; i < full; i += 16) {
        /* the rows that come next: hardware stops at the end of a page */
        if (nc == 1 && (i * size & 63) == 0)
            for (int r = 0; r < nr; r++)
                AIOSK__PREFETCH_L2((const void *)((uintptr_t)w + (uint64_t)(r + nr) * rb +
                                                  (uint64_t)i * (uint32_t)size));
        AIOSK__FLAT
        for (int h = 0; h < V_PER16; h++) {
            vf xv[4];
            AIOSK__FLAT
            for (int c = 0; c < nc; c++)
                xv[c] = v_loadu((const float *)(const void *)(x + (uint64_t)c * xs) + i + h * V_W);
            AIOSK__FLAT
            for (int r = 0; r < nr; r++) {
                const vf wv = V_NAME(load_w)(type, w + (uint64_t)r * rb, i + h * V_W);
                AIOSK__FLAT
                for (int c = 0; c < nc; c++)
                    acc[(r * nc + c) * V_PER16 + h] =
                        v_fma(wv, xv[c], acc[(r * nc + c) * V_PER16 + h]);
            }
        }
    }
}
/* nr rows times nc columns, both constants after inlining; 16 partial sums each. One function
 * for all types: only its loop is there for each. */
V_FN void V_NAME(flt_tile)(const aiosk_matmul *m, int32_t type, int32_t row, int32_t col,
                           const int nr, const int nc) {
    const int32_t size = type == AIOSK_F32 ? 4 : 2, full = m->n_in & ~15, tail = m->n_in - full;
    const uint64_t rb = (uint64_t)m->n_in * (uint32_t)size;
    const uint8_t *w = (const uint8_t *)m->w + (uint64_t)row * rb,
                  *x = (const uint8_t *)m->x + (uint64_t)col * m->x_stride;
    vf acc[4 * 4 * V_PER16];
    AIOSK__FLAT
    for (int i = 0; i < nr * nc * V_PER16; i++) acc[i] = v_zero();
    if (type == AIOSK_F32)
        V_NAME(flt_loop)(AIOSK_F32, w, rb, x, m->x_stride, full, nr, nc, acc);
    else if (type == AIOSK_F16)
        V_NAME(flt_loop)(AIOSK_F16, w, rb, x, m->x_stride, full, nr, nc, acc);
    else
        V_NAME(flt_loop)(AIOSK_BF16, w, rb, x, m->x_stride, full, nr, nc, acc);
    for (int r = 0; r < nr; r++) {
        for (int c = 0; c < nc; c++) {
            float *y = m->y + (uint64_t)(col + c) * m->y_stride + row + r;
            vf *s = acc + (r * nc + c) * V_PER16;
            if (tail) V_NAME(flt_tail)
            (type, w + (uint64_t)r * rb + (uint64_t)full * (uint32_t)size,
             x + (uint64_t)c * m->x_stride + (uint64_t)full * 4, tail, s);
            float t = v_tree_add(s);
            if (m->bias) t = t + m->bias[row + r];
            *y = m->flags & AIOSK_MM_ADD ? *y + t : t;
        }
    }
}

/* ---- many columns ----
 * Blocks of 4 rows by gemm_cols columns by gemm_k places of the input. The first columns of a
 * block leave its weights as f32 in one piece for the others (no conversions there, no rows that
 * fight for the same place in the cache); it stays in the first-level cache, the activations
 * pass by in the second. The 16 partial sums of each output wait in memory between blocks, so
 * that every output sees the same operations as in flt_tile. */
#if V_FEW
enum {
    V_NAME(gemm_nc) = V_W == 8 ? 3 : 4,
    V_NAME(gemm_cols) = 64 / V_NAME(gemm_nc) * V_NAME(gemm_nc),
    V_NAME(gemm_k) = 512
};

/* Register h of n places of 4 rows times gemm_nc columns. Weights of a type are left in w, those
 * of type -1 taken from there. */
V_FN void V_NAME(gemm_loop)(const int32_t type, const uint8_t *raw, uint64_t rb, float *w,
                            const float *const *x, int32_t n, int h, vf *acc) {
    enum { NC = V_NAME(gemm_nc) };
    for (int32_t i = h * V_W; i < n; i += 16) {
        vf xv[NC];
        AIOSK__UNROLL
        for (int c = 0; c < NC; c++) xv[c] = v_loadu(x[c] + i);
        AIOSK__UNROLL
        for (int r = 0; r < 4; r++) {
            float *to = w + r * V_NAME(gemm_k) + i;
            const vf wv = type < 0 ? v_loadu(to) : V_NAME(load_w)(type, raw + (uint64_t)r * rb, i);
            if (type >= 0) v_storeu(to, wv);
            AIOSK__UNROLL
            for (int c = 0; c < NC; c++) acc[c * 4 + r] = v_fma(wv, xv[c], acc[c * 4 + r]);
        }
    }
}
/* 4 rows times gemm_nc columns: n places more. One of the V_PER16 registers of a sum after the
 * other, so that they all stay in registers.
 *   raw  the weights, rows rb bytes apart, or NULL where they are in w
 *   w    f32 [4][gemm_k]  weights
 *   sum  f32 [gemm_nc][4][16] */
V_FN void V_NAME(gemm_part)(int32_t type, const uint8_t *raw, uint64_t rb, float *w,
                            const float *const *x, int32_t n, float *sum, int first) {
    enum { NC = V_NAME(gemm_nc) };
    const float *xp[NC];
    memcpy(xp, x, sizeof xp);
    for (int h = 0; h < V_PER16; h++) {
        vf acc[4 * NC];
        AIOSK__UNROLL
        for (int c = 0; c < 4 * NC; c++)
            acc[c] = first ? v_zero() : v_loadu(sum + c * 16 + h * V_W);
        if (!raw)
            V_NAME(gemm_loop)(-1, NULL, 0, w, xp, n, h, acc);
        else if (type == AIOSK_F32)
            V_NAME(gemm_loop)(AIOSK_F32, raw, rb, w, xp, n, h, acc);
        else if (type == AIOSK_F16)
            V_NAME(gemm_loop)(AIOSK_F16, raw, rb, w, xp, n, h, acc);
        else
            V_NAME(gemm_loop)(AIOSK_BF16, raw, rb, w, xp, n, h, acc);
        AIOSK__UNROLL
        for (int c = 0; c < 4 * NC; c++) v_storeu(sum + c * 16 + h * V_W, acc[c]);
    }
}
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(gemm_tile)(float *w, const float *const *x, int32_t n,
                                                      float *sum, int first) {
    V_NAME(gemm_part)(0, NULL, 0, w, x, n, sum, first);
}
V_EXPORT AIOSK__NOINLINE void V_NAME(gemm_first)(int32_t type, const uint8_t *raw, uint64_t rb,
                                                 float *w, const float *const *x, int32_t n,
                                                 float *sum, int first) {
    if (raw) V_NAME(gemm_part)(type, raw, rb, w, x, n, sum, first); /* always */
}
V_EXPORT AIOSK__NOINLINE void V_NAME(gemm)(const aiosk_matmul *m, int32_t type) {
    enum { NC = V_NAME(gemm_nc), COLS = V_NAME(gemm_cols), K = V_NAME(gemm_k) };
    const int32_t size = type == AIOSK_F32 ? 4 : 2, full = m->n_in & ~15;
    const uint64_t rb = (uint64_t)m->n_in * (uint32_t)size;
    float AIOSK__ALIGN(64) sum[4 * COLS * 16], wb[4 * K], xt[COLS * 16];
    /* activations in the second-level cache */
    int32_t most = (int32_t)(1048576 / ((uint64_t)m->n_in * 4)), c0, row, k, n, r, c, e, at;
    most = most > COLS ? COLS : most < 4 * NC ? 4 * NC : most;
    most = (m->n_cols + most - 1) / most; /* blocks, all of the same size */
    most = ((m->n_cols + most - 1) / most + NC - 1) / NC * NC;
    for (c0 = 0; c0 < m->n_cols; c0 += most) {
        const int32_t nc = m->n_cols - c0 < most ? m->n_cols - c0 : most,
                      per = (4 * K / 64 * size + nc - 1) / nc;
        const uint8_t *x = (const uint8_t *)m->x + (uint64_t)c0 * m->x_stride;
        /* zeros behind the last place, for the activations as for the weights */
        if (full < m->n_in) {
            memset(xt, 0, (size_t)nc * 64);
            for (c = 0; c < nc; c++)
                memcpy(xt + c * 16, x + (uint64_t)c * m->x_stride + (uint64_t)full * 4,
                       (size_t)(m->n_in - full) * 4);
        }
        for (row = m->row0; row < m->row1; row += 4) {
            const int32_t nr = m->row1 - row < 4 ? m->row1 - row : 4;
            for (k = 0; k < m->n_in; k += n) {
                const uint8_t *w =
                    (const uint8_t *)m->w + (uint64_t)row * rb + (uint64_t)k * (uint32_t)size;
                uintptr_t next;
                const int32_t direct = nr == 4 && k < full; /* what gemm_tile may read */
                n = full - k >= K ? K : full > k ? full - k : 16;
                for (r = 0; r < 4 && !direct; r++) {
                    const uint8_t *from = w + (uint64_t)r * rb;
                    uint8_t t[64];
                    if (r >= nr) {
                        memset(wb + r * K, 0, (size_t)n * 4);
                        continue;
                    }
                    if (k == full) {
                        memset(t, 0, sizeof t);
                        memcpy(t, from, (size_t)((m->n_in - full) * size));
                        from = t;
                    }
                    for (e = 0; e < n; e += V_W)
                        v_storeu(wb + r * K + e, V_NAME(load_w)(type, from, e));
                }
                next = k + n < full ? (uintptr_t)w + (uintptr_t)n * (uintptr_t)size
                                    : (uintptr_t)m->w + (uintptr_t)(row + 4) * (uintptr_t)rb;
                for (c = at = 0; c < nc; c += NC) {
                    const float *xp[NC];
                    /* the weights of the next block, a few lines at a time */
                    if (row + 4 < m->row1 || k + n < full)
                        for (; at < (c + NC) * per; at++)
                            AIOSK__PREFETCH_L2((const void *)(next + (size_t)(at & 3) * (size_t)rb +
                                                              (size_t)(at >> 2) * 64));
                    for (e = 0; e < NC; e++) { /* past the last column: that one again */
                        const int32_t j = c + e < nc ? c + e : nc - 1;
                        xp[e] =
                            k == full
                                ? xt + j * 16
                                : (const float *)(const void *)(x + (uint64_t)j * m->x_stride) + k;
                    }
                    if (c == 0 && direct)
                        V_NAME(gemm_first)(type, w, rb, wb, xp, n, sum, k == 0);
                    else
                        V_NAME(gemm_tile)(wb, xp, n, sum + c * 64, k == 0);
                }
            }
            for (e = 0; e < (nc + NC - 1) / NC * NC * 4; e += V_TREES)
                v_tree_adds(sum + e, sum + e * 16);
            for (c = 0; c < nc; c++) {
                float *y = m->y + (uint64_t)(c0 + c) * m->y_stride + row;
                float *t = sum + c * 4;
                if (m->bias)
                    for (r = 0; r < nr; r++) t[r] = t[r] + m->bias[row + r];
                if (m->flags & AIOSK_MM_ADD)
                    for (r = 0; r < nr; r++) t[r] = y[r] + t[r];
                memcpy(y, t, (size_t)nr * 4);
            }
        }
    }
}
#endif

/* Few columns keep the sums of 4 rows in registers; many are for gemm. Where v_fma is long (the
 * sets without V_FEW) the registers do not matter, and the code shall be small. */
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(rows_flt)(const aiosk_matmul *m, int32_t type) {
    enum { NR = V_W == 16 ? 4 : 2, NC = V_W == 16 ? 4 : 2 };
    int32_t row = m->row0, c;
#if V_FEW
    /* below, the way through memory costs more than it saves */
    if (m->n_cols >= (type == AIOSK_F32 ? 12 : 8) && m->n_in >= 16) {
        V_NAME(gemm)(m, type);
        return;
    }
#endif
    if (V_W > 1 && V_FEW > 0) {
        for (; row + 4 <= m->row1; row += 4) {
            for (c = 0; c + NC <= m->n_cols; c += NC)
                for (int32_t r = 0; r < 4; r += NR) V_NAME(flt_tile)(m, type, row + r, c, NR, NC);
            for (; c < m->n_cols; c++) V_NAME(flt_tile)(m, type, row, c, 4, 1);
        }
    }
    for (; row < m->row1; row++) {
        c = 0;
        if (V_W > 1 && V_FEW == 0)
            for (; c + 2 <= m->n_cols; c += 2) V_NAME(flt_tile)(m, type, row, c, 1, 2);
        for (; c < m->n_cols; c++) V_NAME(flt_tile)(m, type, row, c, 1, 1);
    }
}

V_EXPORT_MM void V_NAME(rows_f32)(const aiosk_matmul *m) { V_NAME(rows_flt)(m, AIOSK_F32); }
V_EXPORT_MM void V_NAME(rows_f16)(const aiosk_matmul *m) { V_NAME(rows_flt)(m, AIOSK_F16); }
V_EXPORT_MM void V_NAME(rows_bf16)(const aiosk_matmul *m) { V_NAME(rows_flt)(m, AIOSK_BF16); }
#undef AIOSK__FLAT
#undef AIOSK__FLAT_I

/* ======== kernels/isa_matmul.inc ======== */
#elif AIOSK__PART == 4
#undef AIOSK__PART
/* isa_matmul.inc: integer matrices with one set of products (V_NAME), and the table V_ISA_TEXT, V_ISA_ID, whose other functions are those of
 * V_BASE. What a set may say beforehand:
 *     V_SOURCE(x)   it has products of many columns alone: that set, with V_PREMUL 0, unpacks for it (codes are raised where V_BIAS8 differs)
 *                   and does all else
 *     V_LENDER(x)   whose codes of grids it takes, and for few columns their loops
 *     V_TILE8(x)    whose attend it takes
 *     V_VBMI        grids once more with VBMI, and a second table */
#ifdef V_SOURCE
#define V_OWN 0
#else
#define V_SOURCE(x) V_NAME(x)
#define V_OWN 1
#endif
#ifndef V_TILE8
#define V_TILE8(x) V_BASE(x)
#endif
#define V_GRID(x) V_NAME(x)
#if V_W > 1 && V_OWN

/* ======== kernels/unpack.inc ======== */
/* unpack.inc: panels to codes in registers, a short function or two per format; lane r is row r.
 * ref.c says what the bits mean, and in the same words; pack.c where they are: a segment of
 * dwords starts at a fixed byte of the block, element i 64 i behind it. p: the block of 16 rows;
 * h: which V_W of them, a constant (after unrolling).
 *   A32   unit_*  columns 32 u .. 32 u + 31 of a block: codes w[8], scale d (NVFP4: one per 16),
 *                 minimum dmin where there is one
 *   A256  head_*  scales of a block as bytes sc[4], four in a dword; minima mn[8] as pairs of
 *                 int16; their scales d, dmin
 *         step_*  columns 32 j .. 32 j + 31 of it: codes w[8]; grid: what vbmi.inc makes of a grid,
 *                 else NULL
 * One function per format and not a switch over formats: GCC copies all of what it inlines
 * before it throws cases away. kind and offset of the codes are in lanes.inc. */

#define AIOSK__DW(seg, i) v_loadi(p + (seg) + (i)*64 + h * V_W * 4)
#define AIOSK__F16(seg)   v_load_f16(p + (seg) + h * V_W * 2)
#define AIOSK__LO(a)      i_and(a, v_set1i(0x0F0F0F0F))
#ifdef I_HIGH
#define AIOSK__HI(a) I_HIGH(a)
#else
#define AIOSK__HI(a) i_and(i_srl(a, 4), v_set1i(0x0F0F0F0F))
#endif

/* Four dwords of nibbles: low ones, then high ones; through a table if there is one. */
V_FN void V_NAME(halves)(const uint8_t *p, const int h, const int seg, vi *w, const int8_t *table) {
    const vi t = table ? i_table(table) : v_zeroi();
    int i;
    V_UNROLL
    for (i = 0; i < 4; i++) {
        const vi a = AIOSK__DW(seg, i);
        w[i] = table ? i_lut(t, AIOSK__LO(a)) : AIOSK__LO(a);
        w[i + 4] = table ? i_lut(t, AIOSK__HI(a)) : AIOSK__HI(a);
    }
}
/* The four 2-bit fields of byte b of each dword, through a table that has code c at c and at 4
 * c. */
V_FN vi V_NAME(two)(vi a, const int b, vi t) {
    const vi x = i_and(i_splat(a, b), v_set1i((int32_t)0xC0300C03));
    return i_lut(t, AIOSK__LO(i_or(x, i_srl(x, 4))));
}
/* The four 3-bit fields of each dword below 2^12, through a table of 8. */
V_FN vi V_NAME(three)(vi a, vi t) {
    const vi x = i_or(i_and(a, v_set1i(7)), i_and(i_sll(a, 5), v_set1i(7 << 8)));
    const vi y = i_or(i_and(i_sll(a, 10), v_set1i(7 << 16)), i_and(i_sll(a, 15), v_set1i(7 << 24)));
    return i_lut(t, i_or(x, y));
}

#define AIOSK__UNIT(t)                                                                          \
    V_FN void V_NAME(unit_##t)(const uint8_t *p, const int h, const int u AIOSK__UNUSED, vi *w, \
                               vf *d, vf *dmin AIOSK__UNUSED)
AIOSK__UNIT(q4_0) {
    d[0] = AIOSK__F16(0);
    V_NAME(halves)(p, h, 32, w, NULL);
}
AIOSK__UNIT(q4_1) {
    d[0] = AIOSK__F16(0);
    dmin[0] = v_xorsign(AIOSK__F16(32), v_set1(-1.0f));
    V_NAME(halves)(p, h, 64, w, NULL);
}
/* Adds bit i of dword `bits` as bit 4 of code i. */
V_FN void V_NAME(fifth)(vi *w, vi bits) {
    V_UNROLL
    for (int i = 0; i < 8; i++) w[i] = i_or(w[i], i_bits(bits, i, 16));
}
AIOSK__UNIT(q5_0) {
    d[0] = AIOSK__F16(0);
    V_NAME(halves)(p, h, 96, w, NULL);
    V_NAME(fifth)(w, AIOSK__DW(32, 0));
}
AIOSK__UNIT(q5_1) {
    d[0] = AIOSK__F16(0);
    dmin[0] = v_xorsign(AIOSK__F16(32), v_set1(-1.0f));
    V_NAME(halves)(p, h, 128, w, NULL);
    V_NAME(fifth)(w, AIOSK__DW(64, 0));
}
AIOSK__UNIT(q8_0) {
    d[0] = AIOSK__F16(0);
    V_UNROLL
    for (int i = 0; i < 8; i++) w[i] = i_prep8(AIOSK__DW(32, i));
}
AIOSK__UNIT(iq4_nl) {
    d[0] = AIOSK__F16(0);
    V_NAME(halves)(p, h, 32, w, aiosk__iq4_levels);
    V_UNROLL
    for (int i = 0; i < 8; i++) w[i] = i_prep8(w[i]);
}
AIOSK__UNIT(mxfp4) { /* aiosk__e8m0_half: 2^21 << e as bits for e = 0, 1, else (e - 1) << 23 */
    const vi e = i_load_u8(p + h * V_W);
    d[0] = v_sel_lt(v_cvt_i32_f32(e), v_set1(2.0f), i_as_float(i_sll(v_addi(e, v_set1i(1)), 21)),
                    i_as_float(i_sll(v_subi(e, v_set1i(1)), 23)));
    V_NAME(halves)(p, h, 16, w, aiosk__t_fp4);
}
AIOSK__UNIT(nvfp4) { /* aiosk__ue4m3_half */
    const vi t = i_table(aiosk__t_fp4);
    V_UNROLL_RARE
    for (int i = 0; i < 2; i++) {
        const vi x = i_and(i_srl(AIOSK__DW(0, 0), 8 * (2 * u + i)), v_set1i(255)),
                 e = i_and(x, v_set1i(127));
        const vf f = v_cvt_i32_f32(x), g = v_cvt_i32_f32(e);
        const vf v = v_sel_lt(g, v_set1(8.0f), v_mul(g, v_set1(1.0f / 1024)),
                              i_as_float(v_addi(i_sll(e, 20), v_set1i(119 << 23))));
        d[i] = v_sel_lt(v_set1(126.5f), f, v_sel_lt(f, v_set1(127.5f), v_zero(), v), v);
    }
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) {
        const vi x = AIOSK__DW(64, 4 * u + i);
        w[(i & 2) * 2 + (i & 1)] = i_lut(t, AIOSK__LO(x));
        w[(i & 2) * 2 + (i & 1) + 2] = i_lut(t, AIOSK__HI(x));
    }
}
AIOSK__UNIT(q1_0) {
    const vi a = AIOSK__DW(32, u);
    d[0] = AIOSK__F16(0);
    V_UNROLL_RARE
    for (int i = 0; i < 8; i++) w[i] = i_bits(a, i, 2);
}
AIOSK__UNIT(q2_0) {
    d[0] = AIOSK__F16(0);
    V_UNROLL_RARE
    for (int i = 0; i < 8; i++)
        w[i] = V_NAME(two)(AIOSK__DW(32, 2 * u + (i >> 2)), i & 3, i_table(aiosk__t_two));
}
#undef AIOSK__UNIT

/* Nibbles 0..3 of each dword to its bytes */
V_FN vi V_NAME(nibbles)(vi a) {
    const vi x = i_or(i_and(a, v_set1i(0xF)), i_and(i_sll(a, 4), v_set1i(0xF00)));
    return i_or(x, i_or(i_and(i_sll(a, 8), v_set1i(0xF0000)),
                        i_and(i_sll(a, 12), v_set1i(0xF000000))));
}
/* 2 s + 1 of bytes */
V_FN vi V_NAME(odd)(vi a) { return i_addb(i_addb(a, a), v_set1i(0x01010101)); }
/* The top nibbles of four dwords */
V_FN vi V_NAME(tops)(vi a, vi b, vi c, vi d) {
    const vi x = i_or(i_srl(a, 28), i_and(i_srl(b, 20), v_set1i(0xF00)));
    return i_or(x, i_or(i_and(i_srl(c, 12), v_set1i(0xF0000)),
                        i_and(i_srl(d, 4), v_set1i(0xF000000))));
}
/* Bytes as minima: two registers of pairs */
V_FN void V_NAME(minima)(vi *mn, vi a) {
    mn[0] = i_and(a, v_set1i(0x00FF00FF));
    mn[1] = i_and(i_srl(a, 8), v_set1i(0x00FF00FF));
}

#define AIOSK__HEAD(t)                                                              \
    V_FN void V_NAME(head_##t)(const uint8_t *p, const int h, vi *sc AIOSK__UNUSED, \
                               vi *mn AIOSK__UNUSED, vf *d, vf *dmin AIOSK__UNUSED)
AIOSK__HEAD(q2_k) {
    d[0] = AIOSK__F16(0);
    dmin[0] = AIOSK__F16(32);
    V_UNROLL
    for (int i = 0; i < 4; i++) {
        const vi a = AIOSK__DW(64, i);
        sc[i] = AIOSK__LO(a);
        V_NAME(minima)(mn + 2 * i, AIOSK__HI(a));
    }
}
AIOSK__HEAD(q3_k) {
    const vi a = AIOSK__DW(32, 0), b = AIOSK__DW(32, 1), c = AIOSK__DW(32, 2),
             m30 = v_set1i(0x30303030);
    d[0] = AIOSK__F16(0);
    sc[0] = i_or(AIOSK__LO(a), i_and(i_sll(c, 4), m30));
    sc[1] = i_or(AIOSK__LO(b), i_and(i_sll(c, 2), m30));
    sc[2] = i_or(AIOSK__HI(a), i_and(c, m30));
    sc[3] = i_or(AIOSK__HI(b), i_and(i_srl(c, 2), m30));
    V_UNROLL
    for (int i = 0; i < 4; i++) sc[i] = i_addb(sc[i], v_set1i((int32_t)0xE0E0E0E0)); /* - 32 */
}
AIOSK__HEAD(q4_k) {
    const vi a = AIOSK__DW(64, 0), b = AIOSK__DW(64, 1), c = AIOSK__DW(64, 2),
             m30 = v_set1i(0x30303030);
    d[0] = AIOSK__F16(0);
    dmin[0] = AIOSK__F16(32);
    sc[0] = i_and(a, v_set1i(0x3F3F3F3F));
    sc[1] = i_or(AIOSK__LO(c), i_and(i_srl(a, 2), m30));
    V_NAME(minima)(mn, i_and(b, v_set1i(0x3F3F3F3F)));
    V_NAME(minima)(mn + 2, i_or(AIOSK__HI(c), i_and(i_srl(b, 2), m30)));
}
AIOSK__HEAD(q5_k) { V_NAME(head_q4_k)(p, h, sc, mn, d, dmin); }
AIOSK__HEAD(q6_k) {
    d[0] = AIOSK__F16(0);
    V_UNROLL
    for (int i = 0; i < 4; i++) sc[i] = AIOSK__DW(3104, i);
}
AIOSK__HEAD(iq4_xs) {
    vi a = AIOSK__DW(64, 0), b = i_load_u16(p + 32 + h * V_W * 2);
    d[0] = AIOSK__F16(0);
    V_UNROLL
    for (int i = 0; i < 2; i++) {
        vi c = i_or(i_and(i_sll(b, 4), v_set1i(0x30)), i_and(i_sll(b, 10), v_set1i(0x3000)));
        c = i_or(c, i_or(i_and(i_sll(b, 16), v_set1i(0x300000)),
                         i_and(i_sll(b, 22), v_set1i(0x30000000))));
        sc[i] = i_addb(i_or(V_NAME(nibbles)(a), c), v_set1i((int32_t)0xE0E0E0E0));
        a = i_srl(a, 16);
        b = i_srl(b, 8);
    }
}
AIOSK__HEAD(tq1_0) { d[0] = AIOSK__F16(0); }
AIOSK__HEAD(tq2_0) { d[0] = AIOSK__F16(0); }
AIOSK__HEAD(iq1_s) {
    d[0] = v_mul(AIOSK__F16(0), v_set1(0.125f));
    V_UNROLL_RARE
    for (int i = 0; i < 2; i++) {
        const vi a = AIOSK__DW(544, 2 * i), b = AIOSK__DW(544, 2 * i + 1);
        const vi c = i_or(i_and(i_srl(a, 12), v_set1i(7)), i_and(i_srl(a, 20), v_set1i(0x700)));
        sc[i] = V_NAME(odd)(i_or(c, i_or(i_and(i_sll(b, 4), v_set1i(0x70000)),
                                         i_and(i_srl(b, 4), v_set1i(0x7000000)))));
    }
}
AIOSK__HEAD(iq1_m) { /* the scale is in the top nibbles of four words */
    const vi a = AIOSK__DW(768, 0), b = AIOSK__DW(768, 1);
    const vi s = i_or(i_and(i_srl(a, 12), v_set1i(0xF)), i_and(i_srl(a, 24), v_set1i(0xF0)));
    uint16_t f[V_W];
    int32_t g[V_W];
    v_storei(
        g, i_or(s, i_or(i_and(i_srl(b, 4), v_set1i(0xF00)), i_and(i_srl(b, 16), v_set1i(0xF000)))));
    for (int i = 0; i < V_W; i++) f[i] = (uint16_t)g[i];
    d[0] = v_mul(v_load_f16(f), v_set1(0.125f));
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) {
        vi c = i & 2 ? b : a;
        if (i & 1) c = i_srl(c, 16);
        c = i_or(i_or(i_and(c, v_set1i(7)), i_and(i_sll(c, 5), v_set1i(0x700))),
                 i_or(i_and(i_sll(c, 10), v_set1i(0x70000)),
                      i_and(i_sll(c, 15), v_set1i(0x7000000))));
        sc[i] = V_NAME(odd)(c);
    }
}
AIOSK__HEAD(iq2_xxs) {
    d[0] = v_mul(AIOSK__F16(0), v_set1(0.125f));
    V_UNROLL_RARE
    for (int i = 0; i < 2; i++)
        sc[i] = V_NAME(odd)(V_NAME(tops)(AIOSK__DW(96, 8 * i), AIOSK__DW(96, 8 * i + 2),
                                         AIOSK__DW(96, 8 * i + 4), AIOSK__DW(96, 8 * i + 6)));
}
/* Scales of IQ2_XS and IQ2_S: 16 nibbles */
V_FN void V_NAME(sixteen)(vi *sc, vi a, vi b) {
    sc[0] = V_NAME(odd)(V_NAME(nibbles)(a));
    sc[1] = V_NAME(odd)(V_NAME(nibbles)(i_srl(a, 16)));
    sc[2] = V_NAME(odd)(V_NAME(nibbles)(b));
    sc[3] = V_NAME(odd)(V_NAME(nibbles)(i_srl(b, 16)));
}
AIOSK__HEAD(iq2_xs) {
    d[0] = v_mul(AIOSK__F16(0), v_set1(0.125f));
    V_NAME(sixteen)(sc, AIOSK__DW(32, 0), AIOSK__DW(32, 1));
}
AIOSK__HEAD(iq2_s) {
    d[0] = v_mul(AIOSK__F16(0), v_set1(0.125f));
    V_NAME(sixteen)(sc, AIOSK__DW(160, 0), AIOSK__DW(160, 1));
}
AIOSK__HEAD(iq3_xxs) {
    d[0] = v_mul(AIOSK__F16(0), v_set1(0.25f));
    V_UNROLL_RARE
    for (int i = 0; i < 2; i++)
        sc[i] = V_NAME(odd)(V_NAME(tops)(AIOSK__DW(1056, 4 * i), AIOSK__DW(1056, 4 * i + 1),
                                         AIOSK__DW(1056, 4 * i + 2), AIOSK__DW(1056, 4 * i + 3)));
}
AIOSK__HEAD(iq3_s) {
    const vi a = AIOSK__DW(32, 0);
    d[0] = AIOSK__F16(0);
    sc[0] = V_NAME(odd)(V_NAME(nibbles)(a));
    sc[1] = V_NAME(odd)(V_NAME(nibbles)(i_srl(a, 16)));
}
#undef AIOSK__HEAD

/* Ternary digit n of bytes: ((b * 3^n) & 255) * 3 >> 8, even bytes and odd ones in the high
 * halves of int16 */
V_FN vi V_NAME(digit)(vi a, const int pow3) {
    const vi three = v_set1i(0x00030003);
    const vi even = i_mulhi16(i_mul16(a, v_set1i(pow3 * 256 * 0x10001)), three);
    const vi odd =
        i_mulhi16(i_mul16(i_and(a, v_set1i((int32_t)0xFF00FF00)), v_set1i(pow3 * 0x10001)), three);
    return i_or(even, i_sll(odd, 8));
}
/* aiosk__signs7 of four times 7 bits: bytes */
V_FN vi V_NAME(signs7)(vi x) { /* x: bytes below 128 */
    return i_or(x, i_lut(i_table(aiosk__t_parity), AIOSK__LO(i_xor(x, i_srl(x, 4)))));
}
V_FN vi V_NAME(sevens)(vi s) { /* bits 0..6, 7..13, 14..20, 21..27 of a dword to its bytes */
    const vi x = i_or(i_and(s, v_set1i(0x7F)), i_and(i_sll(s, 1), v_set1i(0x7F00)));
    return i_or(x, i_or(i_and(i_sll(s, 2), v_set1i(0x7F0000)),
                        i_and(i_sll(s, 3), v_set1i(0x7F000000))));
}
/* Two entries of 4 times 2 bits with signs; g: which of the four of a step */
V_FN void V_NAME(grid2)(vi *w, const uint16_t *grid, vi index, vi signs, const int g) {
    const vi t = i_table(aiosk__t_iq2), e = i_gather16(grid, index);
    w[2 * g] = i_prep8(i_negate(V_NAME(two)(e, 0, t), signs, 2 * g));
    w[2 * g + 1] = i_prep8(i_negate(V_NAME(two)(e, 1, t), signs, 2 * g + 1));
}
/* minus: 1 or 0, takes or adds one eighth */
V_FN void V_NAME(grid1)(vi *w, vi index, vi minus, const int g) {
    const vi t = i_table(aiosk__t_iq1), e = i_gather16(aiosk__iq1_grid, index);
    const vi delta = i_splat(v_subi(v_set1i(1), i_sll(minus, 1)), 0);
    w[2 * g] = i_prep8(i_addb(V_NAME(two)(e, 0, t), delta));
    w[2 * g + 1] = i_prep8(i_addb(V_NAME(two)(e, 1, t), delta));
}

#define AIOSK__STEP(t)                                                            \
    V_FN void V_NAME(step_##t)(const uint8_t *p, const int h, const int j, vi *w, \
                               const vi *sc AIOSK__UNUSED, const void *grid AIOSK__UNUSED)
/* Fields of 2 bits of 64 bytes, of which step j has pair j & 3 of half j >> 2 */
V_FN void V_NAME(pairs)(const uint8_t *p, const int h, const int at, const int j, vi *w) {
    V_UNROLL
    for (int i = 0; i < 8; i++)
        w[i] = i_and(i_srl(AIOSK__DW(at, (j >> 2) * 8 + i), 2 * (j & 3)), v_set1i(0x03030303));
}
/* The scales of a step's two halves, where codes are multiplied with them at once (V_PREMUL) */
#define AIOSK__SCALE0 i_scale(4, i_srl(sc[j >> 1], 16 * (j & 1)))
#define AIOSK__SCALE1 i_scale(4, i_srl(sc[j >> 1], 16 * (j & 1) + 8))
AIOSK__STEP(tq2_0) { V_NAME(pairs)(p, h, 32, j, w); }
AIOSK__STEP(q2_k) {
    V_NAME(pairs)(p, h, 320, j, w);
    if (V_PREMUL) { /* bytes up to 45: no carry */
        const vi s0 = AIOSK__SCALE0, s1 = AIOSK__SCALE1;
        V_UNROLL
        for (int i = 0; i < 8; i++) w[i] = i_mul16(w[i], i < 4 ? s0 : s1);
    }
}
AIOSK__STEP(q3_k) {
    V_NAME(pairs)(p, h, 736, j, w);
    V_UNROLL
    for (int i = 0; i < 8; i++) {
        const vi a = AIOSK__DW(224, i);
        w[i] = i_or(w[i], i_and(j < 2 ? i_sll(a, 2 - j) : i_srl(a, j - 2), v_set1i(0x04040404)));
    }
    /* scale * (code - 4) + 124: bytes of 0..252; the carry between them is that of the true sum */
    if (V_PREMUL) {
        const vi s0 = AIOSK__SCALE0, s1 = AIOSK__SCALE1;
        const vi b0 = i_sub16(v_set1i(0x7C7C7C7C), i_mul16(s0, v_set1i(0x04040404)));
        const vi b1 = i_sub16(v_set1i(0x7C7C7C7C), i_mul16(s1, v_set1i(0x04040404)));
        V_UNROLL
        for (int i = 0; i < 8; i++) w[i] = i_add16(i_mul16(w[i], i < 4 ? s0 : s1), i < 4 ? b0 : b1);
    }
}
#undef AIOSK__SCALE0
#undef AIOSK__SCALE1
AIOSK__STEP(q4_k) {
    V_UNROLL
    for (int i = 0; i < 8; i++) {
        const vi a = AIOSK__DW(256, (j >> 1) * 8 + i);
        w[i] = j & 1 ? AIOSK__HI(a) : AIOSK__LO(a);
    }
}
AIOSK__STEP(q5_k) {
    V_UNROLL
    for (int i = 0; i < 8; i++) {
        const vi a = AIOSK__DW(256, i), b = AIOSK__DW(768, (j >> 1) * 8 + i);
        w[i] = i_or(j & 1 ? AIOSK__HI(b) : AIOSK__LO(b),
                    i_and(j < 4 ? i_sll(a, 4 - j) : i_srl(a, j - 4), v_set1i(0x10101010)));
    }
}
AIOSK__STEP(q6_k) {
    V_UNROLL
    for (int i = 0; i < 8; i++) {
        const vi a = AIOSK__DW(32, (j >> 2) * 16 + (j & 1) * 8 + i),
                 b = AIOSK__DW(2080, (j >> 2) * 8 + i);
        const vi c = (j & 3) == 0   ? i_sll(b, 4)
                     : (j & 3) == 1 ? i_sll(b, 2)
                     : (j & 3) == 2 ? b
                                    : i_srl(b, 2);
        w[i] = i_or(j & 2 ? AIOSK__HI(a) : AIOSK__LO(a), i_and(c, v_set1i(0x30303030)));
    }
}
AIOSK__STEP(iq4_xs) {
    V_NAME(halves)(p, h, 128 + j * 256, w, aiosk__iq4_levels);
    V_UNROLL
    for (int i = 0; i < 8; i++) w[i] = i_prep8(w[i]);
}
AIOSK__STEP(tq1_0) {
    V_UNROLL_RARE
    for (int i = 0; i < 8; i++) {
        /* digits of bytes 0..31; of 32..47; else of 48..51 */
        const int five = j < 5, four = j < 7 || i < 4;
        const int at = five   ? i
                       : four ? 8 + (i & 3)
                              : 12,
                  n = five   ? j
                      : four ? 2 * (j - 5) + (i >> 2)
                             : i - 4;
        w[i] = V_NAME(digit)(AIOSK__DW(32, at), n == 0   ? 1
                                                : n == 1 ? 3
                                                : n == 2 ? 9
                                                : n == 3 ? 27
                                                         : 81);
    }
}
AIOSK__STEP(iq1_s) {
    const vi a = AIOSK__DW(32, j), b = i_srl(AIOSK__DW(544, j >> 1), 16 * (j & 1)),
             minus = i_and(i_srl(b, 15), v_set1i(1));
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) {
        const vi high = i_sll(i_and(i_srl(b, 3 * i), v_set1i(7)), 8);
        V_NAME(grid1)(w, i_or(i_and(i_srl(a, 8 * i), v_set1i(255)), high), minus, i);
    }
}
AIOSK__STEP(iq1_m) {
    const vi a = AIOSK__DW(0, j), b = i_srl(AIOSK__DW(512, j >> 1), 16 * (j & 1));
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) {
        const vi c = i_srl(b, 4 * i), high = i_sll(i_and(c, v_set1i(7)), 8);
        V_NAME(grid1)
        (w, i_or(i_and(i_srl(a, 8 * i), v_set1i(255)), high), i_and(i_srl(c, 3), v_set1i(1)), i);
    }
}
AIOSK__STEP(iq2_xxs) {
    const vi a = AIOSK__DW(32, 2 * j), s = V_NAME(signs7)(V_NAME(sevens)(AIOSK__DW(32, 2 * j + 1)));
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++)
        V_NAME(grid2)(w, aiosk__iq2xxs_grid, i_and(i_srl(a, 8 * i), v_set1i(255)), s, i);
}
AIOSK__STEP(iq2_xs) { /* words of 9 bits of index and 7 of signs */
    const vi a = AIOSK__DW(160, 2 * j), b = AIOSK__DW(160, 2 * j + 1);
    const vi s01 = i_or(i_and(i_srl(a, 9), v_set1i(0x7F)), i_and(i_srl(a, 17), v_set1i(0x7F00)));
    const vi s23 =
        i_or(i_and(i_sll(b, 7), v_set1i(0x7F0000)), i_and(i_srl(b, 1), v_set1i(0x7F000000)));
    const vi s = V_NAME(signs7)(i_or(s01, s23));
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) V_NAME(grid2)
    (w, aiosk__iq2xs_grid, i_and(i_srl(i & 2 ? b : a, 16 * (i & 1)), v_set1i(511)), s, i);
}
AIOSK__STEP(iq2_s) {
    const vi a = AIOSK__DW(288, j), b = i_srl(AIOSK__DW(32, j >> 2), 8 * (j & 3)),
             s = AIOSK__DW(800, j);
    V_UNROLL_RARE
    for (int i = 0; i < 4; i++) {
        const vi high = i_sll(i_and(i_srl(b, 2 * i), v_set1i(3)), 8);
        V_NAME(grid2)(w, aiosk__iq2s_grid, i_or(i_and(i_srl(a, 8 * i), v_set1i(255)), high), s, i);
    }
}
AIOSK__STEP(iq3_xxs) {
    const vi t = i_table(aiosk__t_iq3xxs), s = V_NAME(signs7)(V_NAME(sevens)(AIOSK__DW(1056, j)));
    V_UNROLL_RARE
    for (int i = 0; i < 8; i++) {
        const vi a = i_and(i_srl(AIOSK__DW(32, 2 * j + (i >> 2)), 8 * (i & 3)), v_set1i(255));
        w[i] = i_prep8(i_negate(V_NAME(three)(i_gather16(aiosk__iq3xxs_grid, a), t), s, i));
    }
}
AIOSK__STEP(iq3_s) {
    const vi t = i_table(aiosk__t_iq3s), s = AIOSK__DW(1248, j),
             b = i_srl(AIOSK__DW(1120, j >> 2), 8 * (j & 3));
    V_UNROLL_RARE
    for (int i = 0; i < 8; i++) {
        const vi a = i_and(i_srl(AIOSK__DW(96, 2 * j + (i >> 2)), 8 * (i & 3)), v_set1i(255));
        const vi index = i_or(a, i_and(i_sll(b, 8 - i), v_set1i(256)));
        w[i] = i_prep8(i_negate(V_NAME(three)(i_gather16(aiosk__iq3s_grid, index), t), s, i));
    }
}
#undef AIOSK__STEP
#undef AIOSK__HI
#undef AIOSK__LO
#undef AIOSK__F16
#undef AIOSK__DW

/* ======== kernels/isa_matmul.inc ======== */
#endif

/* ======== kernels/lanes.inc ======== */
/* lanes.inc: products of 16 rows with columns: a lane is a row, no sum crosses lanes. Expanded
 * once per set of dot products over the v_* and i_* vocabulary.
 *
 * Few columns (few_*, a copy per format): a panel is unpacked into registers and multiplied
 * there with one column after the other. Many: up to 256 columns of a few panels are unpacked
 * once into codes of a byte (codes_*, per format), which lie in the first-level cache while all
 * columns are multiplied with them, V_NC at a time, by a loop that knows only what kind of codes
 * these are (cols_*); columns that are left over take a loop that knows even less (last_*). The
 * sequence of float operations of an output is the same in all of them, so the bits are. */

/* Asks for what comes later in the stream of weights: some pages on, for the second-level cache,
 * and a page on, for the first. Hardware prefetchers stop at the end of a 4 KiB page, and the
 * first-level cache alone can wait for too few lines to keep a memory channel busy while there
 * is something to compute. Addresses behind the matrix do no harm. */
#ifndef AIOSK__AHEAD
#define AIOSK__AHEAD 4096
#endif
#ifndef AIOSK__AHEAD_L2
#define AIOSK__AHEAD_L2 16384
#endif
V_FN void V_NAME(ahead)(const uint8_t *p, int32_t bytes) {
    int32_t i;
    AIOSK__UNROLL
    for (i = 0; i < bytes; i += 64) {
        AIOSK__PREFETCH_L2((const void *)((uintptr_t)p + AIOSK__AHEAD_L2 + (uintptr_t)i));
        AIOSK__PREFETCH((const void *)((uintptr_t)p + AIOSK__AHEAD + (uintptr_t)i));
    }
}

/* acc += (dw * dx) * S, the one float step of a block. */
V_FN vf V_NAME(step_add)(vf acc, vf dw, const uint8_t *dx, vi s) {
    return v_fma(v_mul(dw, v_set1(aiosk__f32(dx))), v_cvt_i32_f32(s), acc);
}
/* acc -= (dmin * dx) * M */
V_FN vf V_NAME(step_min)(vf acc, vf dmin, const uint8_t *dx, vi s) {
    return v_fma(v_mul(dmin, v_set1(-aiosk__f32(dx))), v_cvt_i32_f32(s), acc);
}

/* How a format goes through many columns: the codes that cols_* gets. Where V_BIAS8 and a
 * product is not packed in halves, all codes are made equal: 128 above their meaning. */
V_FN int V_NAME(is_even)(const int kind, const int columns) {
    return V_BIAS8 && !(kind == 4 && columns == 32) && !(kind == 6 && columns == 16);
}

/* Codes of n blocks of a panel */
typedef void (*V_NAME(codes_fn))(const uint8_t *p, int32_t n, aiosk__codes *o);
/* Blocks k .. k1 - 1 of a panel (p is block k) times nc columns, up to V_FEW, added to acc
 * [nc][16] */
typedef struct V_NAME(few) {
    const uint8_t *p, *x;
    uint64_t xs;
    float *acc;
    int32_t n_in, k, k1, nc;
} V_NAME(few);
typedef void (*V_NAME(few_fn))(const V_NAME(few) * f);
/* What unpacks: unpack.inc */
typedef void V_NAME(unit_fn)(const uint8_t *p, const int h, const int u, vi *w, vf *d, vf *dmin);
typedef void V_NAME(head_fn)(const uint8_t *p, const int h, vi *sc, vi *mn, vf *d, vf *dmin);
typedef void V_NAME(step_fn)(const uint8_t *p, const int h, const int j, vi *w, const vi *sc,
                             const void *grid);

/* Every column of a group, every panel: [nc][np] */
/* clang-format off */
#define AIOSK__EACH(c, e)            \
    AIOSK__UNROLL                    \
    for (int c = 0; c < nc; c++)     \
        AIOSK__UNROLL                \
        for (int e = 0; e < np; e++)
/* clang-format on */

/* The part of a register of codes and its activations, the first one with z or one more: register i
 * of a step of a panel, which lies at `at` of t. Loading codes where they are used keeps registers
 * free for sums. x: the activations of the step of one column. Where V_QUAD they are in xq,
 * sixteen codes in each; else each four are asked for where they are used. */
#if V_QUAD
#define AIOSK__N_XQ 2
V_FN void V_NAME(load_x)(vi *xq, const uint8_t *x) {
    xq[0] = v_loadi(x);
    xq[1] = v_loadi(x + 16);
}
V_FN i_part V_NAME(first)(const int kind, vi z, vi w, const vi *xq, const uint8_t *x, const int i) {
    (void)x;
    return i_first(kind, z, w, xq[i >> 2], i & 3);
}
V_FN i_part V_NAME(next)(const int kind, i_part p, vi w, const vi *xq, const uint8_t *x,
                         const int i) {
    (void)x;
    return i_next(kind, p, w, xq[i >> 2], i & 3);
}
#else
#define AIOSK__N_XQ 1
V_FN void V_NAME(load_x)(vi *xq, const uint8_t *x) {
    (void)xq;
    (void)x;
}
V_FN i_part V_NAME(first)(const int kind, vi z, vi w, const vi *xq, const uint8_t *x, const int i) {
    (void)xq;
    return i_first(kind, z, w, i_dup(x + i * 4));
}
V_FN i_part V_NAME(next)(const int kind, i_part p, vi w, const vi *xq, const uint8_t *x,
                         const int i) {
    (void)xq;
    return i_next(kind, p, w, i_dup(x + i * 4));
}
#endif
#if V_XOR /* kind 9: with the sign of codes */
V_FN vi V_NAME(signed_x)(const int kind, const aiosk__codes *t, int at, int h, const uint8_t *x) {
    return kind == 9 ? i_xor(i_dup(x), v_loadi(t->sign[at] + h * V_W * 4)) : i_dup(x);
}
#endif
V_FN i_part V_NAME(first_of)(const int kind, vi z, const aiosk__codes *t, int at, int h,
                             const vi *xq, const uint8_t *x, const int i) {
    const vi w = v_loadi(t->code[at + i] + h * V_W * 4);
#if V_XOR
    (void)xq;
    return i_first(kind, z, w, V_NAME(signed_x)(kind, t, at + i, h, x + i * 4));
#else
    return V_NAME(first)(kind, z, w, xq, x, i);
#endif
}
V_FN i_part V_NAME(next_of)(const int kind, i_part p, const aiosk__codes *t, int at, int h,
                            const vi *xq, const uint8_t *x, const int i) {
    const vi w = v_loadi(t->code[at + i] + h * V_W * 4);
#if V_XOR
    (void)xq;
    return i_next(kind, p, w, V_NAME(signed_x)(kind, t, at + i, h, x + i * 4));
#else
    return V_NAME(next)(kind, p, w, xq, x, i);
#endif
}

/* ---- A32 ---- */
/* -offset * sum of x over unit k of 32 columns, from the sums at hand; offset 128: where codes
 * are passed through i_prep8; any: any_offset, which is no constant */
enum { V_NAME(any) = -1 };
V_FN vi V_NAME(start32)(const int offset, const int any_offset, const uint8_t *xc,
                        const aiosk__a32 a, int64_t k) {
    if (offset == 0) return v_zeroi();
    if (offset == 8) return i_dup(xc + a.sum8 + k * 4);
    if (offset == 128) return i_dup(xc + a.sum128 + k * 4);
    return v_set1i(-(offset < 0 ? any_offset : offset) * (int32_t)aiosk__u32(xc + a.sum + k * 4));
}
/* The same over 16 columns, from their codes */
V_FN vi V_NAME(start16)(const int offset, const int any_offset, const uint8_t *x) {
    return v_set1i(-(offset < 0 ? any_offset : offset) *
                   (aiosk__sum_of_8((const int8_t *)x) + aiosk__sum_of_8((const int8_t *)x + 8)));
}
/* nc columns times unit k of np panels: codes, scales d, minima; acc += . columns: per scale.
 * kind, offset, columns, np, nc are constants. */
V_FN void V_NAME(times32)(const int kind, const int offset, const int any_offset, const int columns,
                          const int has_min, const int np, const int nc, const aiosk__codes *t,
                          int at, int h, vf d[][2], const vf *dmin, const uint8_t *x, uint64_t xs,
                          const aiosk__a32 a, int64_t k, vf acc[][V_NP]) {
    const int n = columns / 4, run = I_RUN(kind, n);
    vi xq[V_NC][AIOSK__N_XQ];
    AIOSK__UNROLL
    for (int c = 0; c < nc; c++) V_NAME(load_x)(xq[c], x + (uint64_t)c * xs + k * 32);
    AIOSK__UNROLL
    for (int g = 0; g < 8; g += n) { /* columns of one scale */
        vi s[V_NC][V_NP];
        AIOSK__EACH (c, e)
            s[c][e] = kind == 9 ? v_loadi(t[e].mn[at >> 3] + h * V_W)
                      : n == 4  ? V_NAME(start16)(offset, any_offset,
                                                 x + (uint64_t)c * xs + k * 32 + g * 4)
                                : V_NAME(start32)(offset, any_offset, x + (uint64_t)c * xs, a, k);
        AIOSK__UNROLL
        for (int f = g; f < g + n; f += run) {
            i_part p[V_NC][V_NP];
            AIOSK__EACH (c, e)
                p[c][e] = V_NAME(first_of)(kind, s[c][e], t + e, at, h, xq[c],
                                           x + (uint64_t)c * xs + k * 32, f);
            AIOSK__UNROLL
            for (int i = f + 1; i < f + run; i++)
                AIOSK__EACH (c, e)
                    p[c][e] = V_NAME(next_of)(kind, p[c][e], t + e, at, h, xq[c],
                                              x + (uint64_t)c * xs + k * 32, i);
            AIOSK__EACH (c, e)
                s[c][e] = V_START ? i_sum(kind, p[c][e]) : v_addi(s[c][e], i_sum(kind, p[c][e]));
        }
        AIOSK__EACH (c, e)
            acc[c][e] = V_NAME(step_add)(acc[c][e], d[e][g > 0], x + (uint64_t)c * xs + a.d + k * 4,
                                         s[c][e]);
    }
    if (has_min)
        AIOSK__EACH (c, e)
            acc[c][e] = V_NAME(step_min)(acc[c][e], dmin[e], x + (uint64_t)c * xs + a.d + k * 4,
                                         i_dup(x + (uint64_t)c * xs + a.sum + k * 4));
}

#if V_W > 1 && V_OWN
#if V_FEW
/* times32 for one column and one panel: acc + codes times column */
V_FN vf V_NAME(one32)(const int kind, const int offset, const int columns, const int has_min,
                      const vi *w, const vf *d, vf dmin, const uint8_t *xc, const aiosk__a32 a,
                      int64_t k, vf acc) {
    const int n = columns / 4, run = I_RUN(kind, n);
    const uint8_t *x = xc + k * 32;
    vi s = v_zeroi(), xq[AIOSK__N_XQ];
    i_part p;
    V_NAME(load_x)(xq, x);
    AIOSK__UNROLL
    for (int i = 0; i < 8; i++) {
        if (i % n == 0)
            s = n == 4 ? V_NAME(start16)(offset, 0, x + i * 4)
                       : V_NAME(start32)(offset, 0, xc, a, k);
        p = i % run == 0 ? V_NAME(first)(kind, s, w[i], xq, x, i)
                         : V_NAME(next)(kind, p, w[i], xq, x, i);
        if (i % run == run - 1) s = V_START ? i_sum(kind, p) : v_addi(s, i_sum(kind, p));
        if (i % n == n - 1) acc = V_NAME(step_add)(acc, d[i >= n], xc + a.d + k * 4, s);
    }
    return has_min ? V_NAME(step_min)(acc, dmin, xc + a.d + k * 4, i_dup(xc + a.sum + k * 4)) : acc;
}
/* Here and in what follows all but pointers to jobs and data is constant, and inlined: unit,
 * head and step too. one: for one column; else some, of which the first goes beside the loop
 * over the others where V_MIXED: then there is no copy for one. */
V_FN void V_NAME(few_a32)(V_NAME(unit_fn) unit, const int kind, const int offset, const int columns,
                          const int has_min, const int n_unit, const int bytes, const int one,
                          const V_NAME(few) * f) {
    const aiosk__a32 a = aiosk__a32_parts(f->n_in);
    const int start = offset < 0 ? V_BIAS8 * 128 : offset, nc = one ? 1 : f->nc,
              first = one || V_MIXED;
    const uint8_t *p = f->p;
    vf sum[V_PER16]; /* of the first column: they stay in registers */
    for (int h = 0; h < V_PER16; h++) sum[h] = v_loadu(f->acc + h * V_W);
    for (int32_t k = f->k; k < f->k1; k++, p += bytes) {
        V_NAME(ahead)(p, bytes);
        for (int u = 0; u < n_unit; u++)
            for (int h = 0; h < V_PER16; h++) {
                const uint8_t *x = f->x + (uint64_t)first * f->xs;
                float *y = f->acc + 16 * first + h * V_W;
                vi w[8];
                vf d[2], dmin = v_zero();
                unit(p, h, u, w, d, &dmin);
                if (first)
                    sum[h] = V_NAME(one32)(kind, start, columns, has_min, w, d, dmin, f->x, a,
                                           k * n_unit + u, sum[h]);
                for (int c = first; c < nc; c++, x += f->xs, y += 16)
                    v_storeu(y, V_NAME(one32)(kind, start, columns, has_min, w, d, dmin, x, a,
                                              k * n_unit + u, v_loadu(y)));
            }
    }
    for (int h = 0; first && h < V_PER16; h++) v_storeu(f->acc + h * V_W, sum[h]);
}
#endif
/* Adds `even` to the codes of 32 columns and stores them. */
V_FN void V_NAME(put_codes)(uint8_t (*to)[64], const int h, const int even, const vi *w) {
    AIOSK__UNROLL
    for (int i = 0; i < 8; i++)
        v_storei(to[i] + h * V_W * 4,
                 even != 0 ? i_addb(w[i], v_set1i((int32_t)((uint32_t)even * 0x01010101u))) : w[i]);
}
V_FN void V_NAME(codes_a32)(V_NAME(unit_fn) unit, const int offset, const int columns,
                            const int has_min, const int n_unit, const int bytes, const uint8_t *p,
                            int32_t n, aiosk__codes *o) {
    const int even = offset >= 0 && V_BIAS8 ? 128 - offset : 0;
    int at = 0;
    for (; n > 0; n--, p += bytes) {
        V_NAME(ahead)(p, bytes);
        for (int u = 0; u < n_unit; u++, at++)
            for (int h = 0; h < V_PER16; h++) {
                vi w[8];
                vf d[2], dmin = v_zero();
                unit(p, h, u, w, d, &dmin);
                V_NAME(put_codes)(o->code + at * 8, h, even, w);
                v_storeu(o->d[columns == 16 ? 2 * at : at] + h * V_W, d[0]);
                if (columns == 16) v_storeu(o->d[2 * at + 1] + h * V_W, d[1]);
                if (has_min) v_storeu(o->dmin[at] + h * V_W, dmin);
            }
    }
}
#endif

/* nc columns from column c0 */
V_FN void V_NAME(group_a32)(const aiosk__cols *m, const int kind, const int offset,
                            const int columns, const int nc, int32_t c0) {
    const aiosk__a32 a = aiosk__a32_parts(m->n_in);
    const uint64_t xs = m->xs;
    const uint8_t *x = m->x + (uint64_t)c0 * xs;
    float *o = m->acc + (int64_t)c0 * V_NP * 16;
    const int np = V_NP, has_min = m->n_mn;
    const int64_t n_u = m->n, k0 = m->k;
    int64_t u;
    for (int c = 0; c < nc; c++) /* the next group */
        for (int i = 0; i < m->n * 32; i += 64)
            AIOSK__PREFETCH(x + (uint64_t)(c + nc) * xs + m->k * 32 + i);
    for (int h = 0; h < V_PER16; h++) {
        vf acc[V_NC][V_NP];
        AIOSK__EACH (c, e) acc[c][e] = v_loadu(o + (c * np + e) * 16 + h * V_W);
        for (u = 0; u < n_u; u++) {
            vf d[V_NP][2], dmin[V_NP];
            AIOSK__UNROLL
            for (int e = 0; e < np; e++) {
                d[e][0] = v_loadu(m->t[e].d[columns == 16 ? 2 * u : u] + h * V_W);
                d[e][1] = columns == 16 ? v_loadu(m->t[e].d[2 * u + 1] + h * V_W) : d[e][0];
                dmin[e] = v_loadu(m->t[e].dmin[u] + h * V_W);
            }
            V_NAME(times32)
            (kind, V_BIAS8 ? 128 : offset, m->offset, columns, has_min, np, nc, m->t, (int)u * 8, h,
             d, dmin, x, xs, a, k0 + u, acc);
        }
        AIOSK__EACH (c, e) v_storeu(o + (c * np + e) * 16 + h * V_W, acc[c][e]);
    }
}

/* ---- A256 ---- */
/* Which dword of scales step j needs, and its scales from that dword */
V_FN int V_NAME(scale_at)(const int columns, const int j) {
    return columns == 32 ? j >> 2 : j >> 1;
}
V_FN void V_NAME(step_scales)(const int kind, const int columns, vi sc, const int j, vi *t) {
    t[0] = t[1] = sc;
    if (columns == 32) t[0] = i_scale(kind, i_srl(sc, 8 * (j & 3)));
    if (columns == 16) {
        sc = i_srl(sc, 16 * (j & 1));
        t[0] = i_scale(kind, sc);
        t[1] = i_scale(kind, i_srl(sc, 8));
    }
}
V_FN void V_NAME(scales_of)(const int kind, const int columns, const aiosk__codes *p, int h,
                            const int j, vi *t) {
    const vi dword = v_loadi(p->sc[V_NAME(scale_at)(columns, j)] + h * V_W);
    V_NAME(step_scales)(kind, columns, dword, j, t);
}
/* What a sum over n registers of step j, from register f on, begins with: -bias * sum of x.
 * bias: 0, 32 or 128 */
V_FN int V_NAME(bias_of)(const int kind, const int columns) {
    if (!V_BIAS8 || columns == 0 || kind < 6) return 0;
    return kind == 6 ? 32 : 128;
}
V_FN vi V_NAME(start_run)(const int bias, const int n, const uint8_t *xc, const aiosk__a256 a,
                          int32_t k, const int j, const int f) {
    if (bias == 32) { /* sums of 8 columns */
        const uint8_t *z = xc + a.sum8 + k * 128 + j * 16 + f * 2;
        return n > 2 ? v_addi(i_dup(z), i_dup(z + 4)) : i_dup(z);
    }
    if (bias == 128) { /* of 16 */
        const uint8_t *z = xc + a.sum128 + k * 64 + j * 8 + f;
        return n > 4 ? v_addi(i_dup(z), i_dup(z + 4)) : i_dup(z);
    }
    return v_zeroi();
}
/* nc columns times step j (32 columns) of np panels: codes, scales r; s += . x: the first
 * column, k: its block */
V_FN void V_NAME(times256)(const int kind, const int bias, const int columns, const int np,
                           const int nc, const aiosk__codes *t, int h, vi r[][2], const uint8_t *x,
                           uint64_t xs, const aiosk__a256 a, int32_t k, const int j, vi s[][V_NP]) {
    const int n = columns ? columns / 4 : 8, run = I_RUN(kind, n), pair = columns && I_PAIR(kind),
              at = j * 8;
    vi xq[V_NC][AIOSK__N_XQ];
    AIOSK__UNROLL
    for (int c = 0; c < nc; c++) V_NAME(load_x)(xq[c], x + (uint64_t)c * xs + k * 256 + j * 32);
    AIOSK__UNROLL
    for (int f = 0; f < 8; f += pair ? 2 * run : run) {
        i_part p[V_NC][V_NP], q[V_NC][V_NP];
        AIOSK__EACH (c, e) {
            const vi z =
                columns ? V_NAME(start_run)(bias, run, x + (uint64_t)c * xs, a, k, j, f) : s[c][e];
            p[c][e] = V_NAME(first_of)(kind, z, t + e, at, h, xq[c],
                                       x + (uint64_t)c * xs + k * 256 + j * 32, f);
        }
        if (pair)
            AIOSK__EACH (c, e) {
                const vi z = V_NAME(start_run)(bias, run, x + (uint64_t)c * xs, a, k, j, f + run);
                q[c][e] = V_NAME(first_of)(kind, z, t + e, at, h, xq[c],
                                           x + (uint64_t)c * xs + k * 256 + j * 32, f + run);
            }
        AIOSK__UNROLL
        for (int i = f + 1; i < f + run; i++) {
            AIOSK__EACH (c, e)
                p[c][e] = V_NAME(next_of)(kind, p[c][e], t + e, at, h, xq[c],
                                          x + (uint64_t)c * xs + k * 256 + j * 32, i);
            if (pair)
                AIOSK__EACH (c, e)
                    q[c][e] = V_NAME(next_of)(kind, q[c][e], t + e, at, h, xq[c],
                                              x + (uint64_t)c * xs + k * 256 + j * 32, i + run);
        }
        if (columns == 0)
            AIOSK__EACH (c, e)
                s[c][e] = V_START ? i_sum(kind, p[c][e]) : v_addi(s[c][e], i_sum(kind, p[c][e]));
        else
            AIOSK__EACH (c, e)
                s[c][e] =
                    i_end(kind, s[c][e], p[c][e], pair ? q[c][e] : p[c][e], r[e][n == 4 && f >= 4]);
    }
}
/* What is left to take off: offset * sum of scale * sum of x, where the products did not */
V_FN int V_NAME(left_of)(const int kind, const int offset, const int columns) {
    return columns == 16 && offset > 0 && (kind != 6 || V_FIX) ? offset : 0;
}
V_FN vi V_NAME(left)(const int offset, vi s, const vi *sc, const uint8_t *sum16) {
    vi t = v_zeroi(), p[2];
    int i;
    for (i = 0; i < 4; i++) {
        i_pairs(p, sc[i]);
        t = i_macc_pair(t, p[0], (const int16_t *)(const void *)sum16 + 4 * i);
        t = i_macc_pair(t, p[1], (const int16_t *)(const void *)sum16 + 4 * i + 2);
    }
    return v_subi(s, i_sll(t, offset == 32 ? 5 : 2)); /* offset: 32 or 4 */
}
/* The sum over a whole block of unscaled codes, times -offset */
V_FN vi V_NAME(start256)(const int offset, const uint8_t *xc, const aiosk__a256 a, int32_t k) {
    const int16_t *z = (const int16_t *)(const void *)(xc + a.sum32) + k * 8;
    return offset ? v_set1i(-offset * (z[0] + z[1] + z[2] + z[3] + z[4] + z[5] + z[6] + z[7]))
                  : v_zeroi();
}
V_FN vf V_NAME(block_end)(const uint8_t *xc, const aiosk__a256 a, int32_t k, vf d, vf dmin,
                          const vi *mn, const int n_mn, vi s, vf acc) {
    const uint8_t *dx = xc + a.d + k * 4;
    const int16_t *b =
        (const int16_t *)(const void *)(n_mn == 4 ? xc + a.sum32 + k * 16 : xc + a.sum16 + k * 32);
    vi m = v_zeroi();
    int i;
    acc = V_NAME(step_add)(acc, d, dx, s);
    if (!n_mn) return acc;
    for (i = 0; i < n_mn; i++) m = i_macc_pair(m, mn[i], b + 2 * i);
    return V_NAME(step_min)(acc, dmin, dx, m);
}

#if V_W > 1 && V_OWN
#if V_FEW
/* times256 for one column and one panel: s + codes times column */
V_FN vi V_NAME(one256)(const int kind, const int columns, const vi *w, const vi *r,
                       const uint8_t *xc, const aiosk__a256 a, int32_t k, const int j, vi s) {
    const int n = columns ? columns / 4 : 8, run = I_RUN(kind, n), pair = columns && I_PAIR(kind),
              bias = V_NAME(bias_of)(kind, columns);
    const uint8_t *x = xc + k * 256 + j * 32;
    i_part p, q;
    vi xq[AIOSK__N_XQ];
    V_NAME(load_x)(xq, x);
    AIOSK__UNROLL
    for (int i = 0; i < 8; i++) {
        const int begins = i % run == 0, ends = i % run == run - 1, second = pair && (i / run & 1);
        const vi z = begins && columns ? V_NAME(start_run)(bias, run, xc, a, k, j, i) : s;
        if (second)
            q = begins ? V_NAME(first)(kind, z, w[i], xq, x, i)
                       : V_NAME(next)(kind, q, w[i], xq, x, i);
        else
            p = begins ? V_NAME(first)(kind, z, w[i], xq, x, i)
                       : V_NAME(next)(kind, p, w[i], xq, x, i);
        if (!ends || (pair && !second)) continue;
        if (columns)
            s = i_end(kind, s, p, pair ? q : p, r[n == 4 && i >= 4]);
        else
            s = V_START ? i_sum(kind, p) : v_addi(s, i_sum(kind, p));
    }
    return s;
}
V_FN void V_NAME(few_a256)(V_NAME(head_fn) head, V_NAME(step_fn) step, const void *grid,
                           const int kind, const int offset, const int columns, const int n_mn,
                           const int bytes, const int one, const V_NAME(few) * f) {
    const aiosk__a256 a = aiosk__a256_parts(f->n_in);
    const int part = bytes / 8 / V_PER16, left = V_NAME(left_of)(kind, offset, columns),
              nc = one ? 1 : f->nc, first = one || V_MIXED;
    /* steps in straight code; a grid's is long as it is, and several columns have work enough
     * between two loads */
    const int unroll = !first || kind == 7 ? 1 : kind == 6 || (V_W == 16 && kind == 5) ? 4 : 2;
    const uint8_t *p = f->p;
    for (int32_t k = f->k; k < f->k1; k++, p += bytes)
        for (int h = 0; h < V_PER16; h++) {
            const uint8_t *x = f->x;
            float *y = f->acc + h * V_W;
            vi sc[4], mn[8], s0 = V_NAME(start256)(columns ? 0 : offset, x, a, k), s[V_FEW];
            vf d, dmin = v_zero();
            for (int c = first; c < nc; c++)
                s[c] = V_NAME(start256)(columns ? 0 : offset, x + (uint64_t)c * f->xs, a, k);
            head(p, h, sc, mn, &d, &dmin);
            for (int g = 0; g < 8; g += unroll) {
                AIOSK__UNROLL
                for (int i = 0; i < unroll; i++) {
                    const int j = g + i;
                    vi w[8], r[2];
                    V_NAME(ahead)(p + (j * V_PER16 + h) * part, part);
                    step(p, h, j, w, sc, grid);
                    V_NAME(step_scales)(kind, columns, sc[V_NAME(scale_at)(columns, j)], j, r);
                    if (first) s0 = V_NAME(one256)(kind, columns, w, r, f->x, a, k, j, s0);
                    x = f->x + (uint64_t)first * f->xs;
                    for (int c = first; c < nc; c++, x += f->xs)
                        s[c] = V_NAME(one256)(kind, columns, w, r, x, a, k, j, s[c]);
                }
            }
            x = f->x;
            for (int c = 0; c < nc; c++, x += f->xs, y += 16) {
                vi z = c < first ? s0 : s[c];
                if (left) z = V_NAME(left)(left, z, sc, x + a.sum16 + k * 32);
                v_storeu(y, V_NAME(block_end)(x, a, k, d, dmin, mn, n_mn, z, v_loadu(y)));
            }
        }
}
#endif
V_FN void V_NAME(codes_a256)(V_NAME(head_fn) head, V_NAME(step_fn) step, const void *grid,
                             const int kind, const int offset, const int columns, const int n_mn,
                             const int bytes, const uint8_t *p, aiosk__codes *o) {
    const int part = bytes / 8 / V_PER16, n_sc = columns == 0 ? 0 : columns == 16 ? 4 : 2;
    const int even =
        columns != 0 && offset >= 0 && V_NAME(is_even)(kind, columns) ? 128 - offset : 0;
    for (int h = 0; h < V_PER16; h++) {
        vi sc[4], mn[8], w[8];
        vf d, dmin = v_zero();
        head(p, h, sc, mn, &d, &dmin);
        v_storeu(o->d[0] + h * V_W, d);
        if (n_mn) v_storeu(o->dmin[0] + h * V_W, dmin);
        for (int i = 0; i < n_sc; i++) v_storei(o->sc[i] + h * V_W, sc[i]);
        for (int i = 0; i < n_mn; i++) v_storei(o->mn[i] + h * V_W, mn[i]);
        for (int j = 0; j < 8; j++) {
            V_NAME(ahead)(p + (j * V_PER16 + h) * part, part);
            step(p, h, j, w, sc, grid);
            V_NAME(put_codes)(o->code + j * 8, h, even, w);
        }
    }
}
#endif

/* nc columns from column c0. any: codes of any kind as if they were of this one, whatever their
 * columns. Codes without scales (columns 0 in m) take the loop of 16 columns, with scales of 1. */
V_FN void V_NAME(group_a256)(const aiosk__cols *m, const int kind, const int columns, const int any,
                             const int nc, int32_t c0) {
    const aiosk__a256 a = aiosk__a256_parts(m->n_in);
    const uint64_t xs = m->xs;
    const uint8_t *x = m->x + (uint64_t)c0 * xs;
    float *o = m->acc + (int64_t)c0 * V_NP * 16;
    const int32_t k = m->k;
    const int np = V_NP, n_mn = m->n_mn,
              left = columns == 16 ? V_NAME(left_of)(m->kind, m->offset, m->columns) : 0;
    for (int c = 0; c < nc; c++) /* the next group */
        for (int i = 0; i < 256; i += 64)
            AIOSK__PREFETCH(x + (uint64_t)(c + nc) * xs + k * 256 + i);
    for (int h = 0; h < V_PER16; h++) {
        vi s[V_NC][V_NP];
        AIOSK__EACH (c, e)
            s[c][e] = kind == 9 ? v_loadi(m->t[e].mn[0] + h * V_W)
                                : V_NAME(start256)(m->columns ? 0 : m->offset, x + (uint64_t)c * xs,
                                                   a, k);
        for (int j = 0; j < 8; j++) {
            vi r[V_NP][2];
            AIOSK__UNROLL
            for (int e = 0; e < np; e++) {
                if (!any)
                    V_NAME(scales_of)(kind, columns, m->t + e, h, j, r[e]);
                else if (m->columns == 16)
                    V_NAME(scales_of)(kind, 16, m->t + e, h, j, r[e]);
                else if (m->columns)
                    V_NAME(scales_of)(kind, 32, m->t + e, h, j, r[e]);
                else
                    r[e][0] = i_scale(kind, v_set1i(1));
                if (any && m->columns != 16) r[e][1] = r[e][0];
            }
            V_NAME(times256)
            (kind, any ? V_NAME(bias_of)(m->kind, m->columns) : V_NAME(bias_of)(kind, columns),
             columns, np, nc, m->t, h, r, x, xs, a, k, j, s);
        }
        AIOSK__UNROLL
        for (int e = 0; e < np; e++) {
            const vf d = v_loadu(m->t[e].d[0] + h * V_W), dmin = v_loadu(m->t[e].dmin[0] + h * V_W);
            vi mn[8], sc[4];
            for (int i = 0; i < n_mn; i++) mn[i] = v_loadi(m->t[e].mn[i] + h * V_W);
            if (left)
                for (int i = 0; i < 4; i++) sc[i] = v_loadi(m->t[e].sc[i] + h * V_W);
            for (int c = 0; c < nc; c++) {
                const uint8_t *xc = x + (uint64_t)c * xs;
                float *y = o + (c * np + e) * 16 + h * V_W;
                vi z = s[c][e];
                if (left) z = V_NAME(left)(left, z, sc, xc + a.sum16 + k * 32);
                v_storeu(y, V_NAME(block_end)(xc, a, k, d, dmin, mn, n_mn, z, v_loadu(y)));
            }
        }
    }
}

/* ---- both: all columns ---- */
#if V_XOR
/* Signed codes of 8 bits to kind 9: code * x = |code| * (x ^ s) + |code| where s, the sign, is
 * -1, so the sum of these |code| is added to the sums of columns: mn, of each unit, or of the
 * block with its scales. */
V_EXPORT void V_NAME(absolute)(aiosk__codes *t, int32_t family, int32_t n) {
    for (int h = 0; h < V_PER16; h++) {
        vi all = v_zeroi();
        for (int32_t u = 0; u < n; u++) {
            vi part = v_zeroi(), r[2];
            for (int i = 0; i < 8; i++) {
                uint8_t *code = t->code[u * 8 + i] + h * V_W * 4;
                const vi w = v_loadi(code), s = V_NAME(i_neg8)(w), a = V_NAME(i_abs8)(w);
                part = i_add16(part, V_NAME(i_mul8)(9, i_and(a, s), v_set1i(0x01010101)));
                v_storei(code, a);
                v_storei(t->sign[u * 8 + i] + h * V_W * 4, s);
            }
            if (family == AIOSK_A256) {
                V_NAME(scales_of)(8, 32, t, h, (int)u, r);
                all = i_end(8, all, part, part, r[0]);
            } else
                v_storei(t->mn[u] + h * V_W, i_sum(8, part));
        }
        if (family == AIOSK_A256) v_storei(t->mn[0] + h * V_W, all);
    }
}
#endif
/* All columns, a multiple of nc, with codes of one kind */
V_FN void V_NAME(cols_a32)(const aiosk__cols *m, const int kind, const int columns) {
    for (int32_t c = 0; c < m->n_cols; c += V_NC)
        V_NAME(group_a32)(m, kind, kind >= 8 ? 0 : V_NAME(any), columns, V_NC, c);
}
V_FN void V_NAME(cols_a256)(const aiosk__cols *m, const int kind, const int columns) {
    for (int32_t c = 0; c < m->n_cols; c += V_NC) V_NAME(group_a256)(m, kind, columns, 0, V_NC, c);
}
#if V_OWN
/* Columns from c on, one by one, with codes of any kind as signed ones of 8 bits: for what is
 * left over, and what is rare */
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(last_a32)(const aiosk__cols *m, int32_t c) {
    for (; c < m->n_cols; c++)
        if (m->columns == 16)
            V_NAME(group_a32)(m, 8, V_NAME(any), 16, 1, c);
        else
            V_NAME(group_a32)(m, 8, V_NAME(any), 32, 1, c);
}
V_EXPORT V_HOT AIOSK__NOINLINE void V_NAME(last_a256)(const aiosk__cols *m, int32_t c) {
    for (; c < m->n_cols; c++) V_NAME(group_a256)(m, 8, 16, 1, 1, c);
}
#endif

/* ======== kernels/matmul.inc ======== */
/* matmul.inc: matrices of integer types, in either layout, with one column or many: which
 * panels, which run of columns, where the codes are unpacked to. The products themselves are in
 * lanes.inc. Expanded once per set of dot products. */

/* y of n rows, 16 lanes; order of the additions as in api.h. */
V_FN void V_NAME(put)(const aiosk_matmul *m, int32_t c, int32_t row, const float *acc) {
    float *y = m->y + (uint64_t)c * m->y_stride + row;
    const int32_t n = m->row1 - row;
    int i;
    if (n >= 16) {
        for (i = 0; i < V_PER16; i++) {
            vf t = v_loadu(acc + i * V_W);
            if (m->bias) t = v_add(t, v_loadu(m->bias + row + i * V_W));
            if (m->flags & AIOSK_MM_ADD) t = v_add(v_loadu(y + i * V_W), t);
            v_storeu(y + i * V_W, t);
        }
    } else {
        for (i = 0; i < n; i++) {
            float t = acc[i];
            if (m->bias) t = t + m->bias[row + i];
            y[i] = m->flags & AIOSK_MM_ADD ? y[i] + t : t;
        }
    }
}

typedef void (*V_NAME(cols_fn))(const aiosk__cols *m);
#if V_OWN
typedef struct V_NAME(form) {
    int32_t type, kind, offset, columns, n_mn; /* lanes.inc; n_mn of A32: 1 with a minimum */
    V_NAME(codes_fn) codes;
    V_NAME(few_fn) one, few; /* for one column, and for some; NULL where there is none */
    int32_t lent;            /* codes are those of V_LENDER: to be raised */
} V_NAME(form);
#endif

/* The loops for many columns: family, kind of codes, columns per scale */
#if V_W == 1
#define AIOSK__COLS(X)
#elif V_TWO_KINDS
#define AIOSK__COLS(X) X(a32, 6, 32) X(a32, 8, 32)
#elif V_BIAS8 && V_OWN
#define AIOSK__COLS(X) \
    X(a32, 8, 32)      \
    X(a32, 8, 16) X(a256, 4, 32) X(a256, 8, 32) X(a256, 6, 16) X(a256, 8, 16) X(a256, 8, 0)
#elif V_BIAS8
#define AIOSK__COLS(X) \
    X(a32, 8, 32) X(a256, 4, 32) X(a256, 8, 32) X(a256, 6, 16) X(a256, 8, 16) X(a256, 8, 0)
#elif !V_OWN
#define AIOSK__COLS(X) \
    X(a32, 4, 32)      \
    X(a32, 5, 32)      \
    X(a32, 9, 32) X(a256, 4, 32) X(a256, 5, 32) X(a256, 9, 32) X(a256, 4, 16) X(a256, 6, 16)
#elif V_XOR
/* clang-format off */
#define AIOSK__COLS(X) \
    X(a32, 4, 32) X(a32, 5, 32) X(a32, 9, 32) X(a32, 5, 16) X(a256, 4, 32) X(a256, 5, 32) \
    X(a256, 7, 32) X(a256, 9, 32) X(a256, 4, 16) X(a256, 6, 16) X(a256, 7, 16)
/* clang-format on */
#else
/* clang-format off */
#define AIOSK__COLS(X) \
    X(a32, 4, 32) X(a32, 5, 32) X(a32, 8, 32) X(a32, 5, 16) X(a256, 4, 32) X(a256, 5, 32) \
    X(a256, 7, 32) X(a256, 8, 32) X(a256, 4, 16) X(a256, 6, 16) X(a256, 7, 16)
/* clang-format on */
#endif
#define AIOSK__X(f, kind, columns)                                             \
    V_EXPORT V_HOT void V_NAME(f##_##kind##_##columns)(const aiosk__cols *m) { \
        V_NAME(cols_##f)(m, kind, columns);                                    \
    }
AIOSK__COLS(AIOSK__X)
#undef AIOSK__X
#if V_TWO_KINDS
V_EXPORT V_HOT void V_NAME(a256_6_any)(const aiosk__cols *m) {
    for (int32_t c = 0; c < m->n_cols; c += V_NC) V_NAME(group_a256)(m, 6, 16, 1, V_NC, c);
}
V_EXPORT V_HOT void V_NAME(a256_8_any)(const aiosk__cols *m) {
    for (int32_t c = 0; c < m->n_cols; c += V_NC) V_NAME(group_a256)(m, 8, 16, 1, V_NC, c);
}
#endif

/* The loop for codes of a kind, or NULL: last_* then. */
static V_NAME(cols_fn) V_NAME(find_cols)(int32_t family, int32_t kind, int32_t columns) {
    const int32_t a32 = family == AIOSK_A32, a256 = !a32;
    if (!V_BIAS8 && !columns) columns = 16;
    if (V_XOR && kind == 8 && columns == 32) kind = 9;
    if (V_TWO_KINDS && kind < 6) kind = 6;
    if (V_TWO_KINDS && kind == 7) kind = 8;
#if V_TWO_KINDS
    if (a256) return kind == 6 ? V_NAME(a256_6_any) : V_NAME(a256_8_any);
#endif
#define AIOSK__X(f, k, n) \
    if (f && kind == k && columns == n) return V_NAME(f##_##k##_##n);
    AIOSK__COLS(AIOSK__X)
#undef AIOSK__X
    (void)a32;
    (void)a256;
    return NULL;
}
#undef AIOSK__COLS

#if V_W == 1
/* Codes by way of the definition of each type (ref.c): rows at src, or a panel. */
static void V_NAME(codes_any)(int32_t type, int32_t layout, const uint8_t *src, uint64_t row_bytes,
                              int32_t nr, int32_t n, aiosk__codes *o) {
    const aiosk_type *t = aiosk_type_info(type);
    uint8_t block[512];
    aiosk__ints v;
    int32_t r, k, i, u, at;
    memset(o, 0, sizeof *o);
    for (r = 0; r < nr; r++) {
        for (k = 0; k < n; k++) {
            const int32_t nw = (int32_t)t->n_weights;
            const uint8_t *b = src + (uint64_t)r * row_bytes + (uint64_t)k * t->n_bytes;
            if (layout == AIOSK_PANELS) {
                aiosk__move_rows(type, (uint8_t *)(uintptr_t)src + (uint64_t)k * 16 * t->n_bytes, r,
                                 1, 1, block, 0, 1);
                b = block;
            }
            aiosk__unpack_ints(type, b, &v);
            for (i = 0; i < nw / 4; i++) memcpy(o->code[k * (nw / 4) + i] + 4 * r, v.q + 4 * i, 4);
            for (u = 0, at = k * (nw / v.unit); u < nw / v.unit; u++) {
                o->d[at + u][r] = v.d[u];
                if (v.has_min) o->dmin[at + u][r] = v.dmin[u];
            }
            if (t->family != AIOSK_A256) continue;
            for (i = 0; i < 4; i++) {
                const int16_t *m = v.mn + 4 * i;
                o->sc[i][r] = (int32_t)((uint32_t)(v.sc[4 * i] & 255) |
                                        (uint32_t)(v.sc[4 * i + 1] & 255) << 8 |
                                        (uint32_t)(v.sc[4 * i + 2] & 255) << 16 |
                                        (uint32_t)(v.sc[4 * i + 3] & 255) << 24);
                o->mn[2 * i][r] = m[0] | m[2] << 16;
                o->mn[2 * i + 1][r] = m[1] | m[3] << 16;
            }
        }
    }
}
#elif V_OWN
/* 16 rows of n_blocks blocks from the file's order to a panel's, and a word to the cache about
 * what comes next: hardware follows fewer streams than these. */
V_EXPORT void V_NAME(gather)(int32_t type, const uint8_t *w, uint64_t row_bytes, int32_t n_rows,
                             int32_t n_blocks, uint8_t *panel, uintptr_t next) {
    const aiosk__panel *f = aiosk__find_panel(type);
    const uint64_t bytes = aiosk_type_info(type)->n_bytes;
    int32_t k, s, i, r, h, e, asked = 0;
    if (n_rows < 16) {
        memset(panel, 0, (size_t)(16 * bytes) * (size_t)n_blocks);
        aiosk__move_rows(type, panel, 0, n_rows, (uint64_t)n_blocks, (uint8_t *)(uintptr_t)w,
                         row_bytes, 0);
        return;
    }
    for (k = 0; k < n_blocks; k++, w += bytes) {
        for (; asked < (k + 1) * (int32_t)bytes; asked += 64)
            for (r = 0; r < 16; r++)
                AIOSK__PREFETCH_L2(
                    (const void *)(next + (uintptr_t)r * (uintptr_t)row_bytes + (uintptr_t)asked));
        for (s = 0; s < 5 && f->seg[s].count; s++) {
            const int32_t elem = f->seg[s].elem, n = f->seg[s].count;
            const uint8_t *a = w + f->seg[s].off;
            for (i = 0; elem == 4 && i + 4 <= n; i += 4)
                for (h = 0; h < V_PER16; h++) {
                    vi o[4];
                    i_rows4(o, a + i * 4 + (uint64_t)(h * V_W) * row_bytes, row_bytes);
                    for (e = 0; e < 4; e++) v_storei(panel + (i + e) * 64 + h * V_W * 4, o[e]);
                }
            if (elem == 4)
                for (; i < n; i++)
                    for (r = 0; r < 16; r++)
                        memcpy(panel + i * 64 + r * 4, a + i * 4 + (uint64_t)r * row_bytes, 4);
            else if (elem == 2)
                for (i = 0; i < n; i++)
                    for (r = 0; r < 16; r++)
                        memcpy(panel + i * 32 + r * 2, a + i * 2 + (uint64_t)r * row_bytes, 2);
            else
                for (r = 0; r < 16; r++) panel[r] = a[(uint64_t)r * row_bytes];
            panel += 16 * elem * n;
        }
    }
}
#endif

/* Bytes of gathered rows. */
enum { V_NAME(run_bytes) = 8192 };

/* What all parts of a matrix have in common */
typedef struct V_NAME(job) {
    const aiosk_matmul *m;
    const V_SOURCE(form) * f;
    const uint8_t *w;
    uint64_t row_bytes, block16; /* of a row; of a block of 16 rows */
    int32_t n, n_bytes, layout;  /* blocks of a row; bytes of one */
    int32_t family, units, even; /* units of a block; codes are made equal: is_even */
} V_NAME(job);
V_FN const uint8_t *V_NAME(at)(const V_NAME(job) * j, int32_t row, int32_t k) {
    return j->w + (uint64_t)row * j->row_bytes +
           (uint64_t)k * (j->layout == AIOSK_PANELS ? j->block16 : (uint64_t)j->n_bytes);
}

#if V_W > 1
/* Blocks k .. k1 - 1 of the 16 rows from row on as a panel: in place, or gathered into run;
 * next: the rows gathered after these */
V_FN const uint8_t *V_NAME(panel)(const V_NAME(job) * j, int32_t row, int32_t k, int32_t k1,
                                  int32_t next, uint8_t *run) {
    const uint8_t *src = V_NAME(at)(j, row, k);
    const int32_t left = j->m->row1 - row;
    if (j->layout == AIOSK_PANELS) return src;
    V_SOURCE(gather)
    (j->f->type, src, j->row_bytes, left < 16 ? left : 16, k1 - k, run,
     k1 < j->n ? (uintptr_t)V_NAME(at)(j, row, k1)
               : (uintptr_t)j->w + (uintptr_t)next * (uintptr_t)j->row_bytes);
    return run;
}
#endif

/* ---- few columns ---- */
#if V_FEW && V_OWN
/* Blocks at a time, all of them where they lie in a panel, else what is gathered
 * stays in the first-level cache. */
V_EXPORT AIOSK__NOINLINE void V_NAME(matmul_few)(const V_NAME(job) * j) {
    const aiosk_matmul *m = j->m;
    uint8_t AIOSK__ALIGN(64) run[V_NAME(run_bytes)];
    float AIOSK__ALIGN(64) acc[V_FEW * 16];
    V_NAME(few) f;
    const int32_t most =
        j->layout == AIOSK_PANELS ? j->n : (int32_t)(V_NAME(run_bytes) / j->block16);
    const V_NAME(few_fn) few = m->n_cols == 1 ? j->f->one : j->f->few;
    f.x = (const uint8_t *)m->x;
    f.xs = m->x_stride;
    f.acc = acc;
    f.n_in = m->n_in;
    f.nc = m->n_cols;
    for (int32_t row = m->row0; row < m->row1; row += 16) {
        memset(acc, 0, (size_t)m->n_cols * 64);
        for (f.k = 0; f.k < j->n; f.k = f.k1) {
            f.k1 = j->n - f.k < most ? j->n : f.k + most;
            f.p = V_NAME(panel)(j, row, f.k, f.k1, row + 16, run);
            few(&f);
        }
        for (int32_t c = 0; c < m->n_cols; c++) V_NAME(put)(m, c, row, acc + c * 16);
    }
}
V_FN int V_NAME(is_few)(const V_NAME(job) * j) {
    const int32_t n_cols = j->m->n_cols;
    return n_cols == 1 ? j->f->one != NULL : j->f->few && n_cols <= V_FEW;
}
#else
V_FN int V_NAME(is_few)(const V_NAME(job) * j) {
    (void)j;
    return 0;
}
V_FN void V_NAME(matmul_few)(const V_NAME(job) * j) { (void)j; }
#endif

/* ---- many columns ---- */
#if V_BIAS8 && (!V_OWN || defined V_LENDER)
/* Codes as they were unpacked, of n times 32 columns, to 128 above their meaning */
V_EXPORT void V_NAME(raise)(const V_SOURCE(form) * f, aiosk__codes *t, int32_t n) {
    const int32_t by = 128 - (f->offset < 0 ? 0 : f->offset);
    const vi b = v_set1i((int32_t)((uint32_t)by * 0x01010101u));
    for (int32_t i = 0; i < n * 8; i++)
        for (int h = 0; h < V_PER16; h++) {
            uint8_t *code = t->code[i] + h * V_W * 4;
            v_storei(code, i_addb(v_loadi(code), b));
        }
}
#endif

/* Blocks k .. k + nb - 1 of the 16 rows from row on as codes */
#if V_W == 1
V_FN void V_NAME(unpack)(const V_NAME(job) * j, int32_t row, int32_t k, int32_t nb, uint8_t *run,
                         aiosk__codes *o) {
    const int32_t left = j->m->row1 - row, whole = j->layout == AIOSK_PANELS || left >= 16;
    (void)run;
    V_NAME(codes_any)
    (j->f->type, j->layout, V_NAME(at)(j, row, k), j->row_bytes, whole ? 16 : left, nb, o);
}
#else
V_FN void V_NAME(unpack)(const V_NAME(job) * j, int32_t row, int32_t k, int32_t nb, uint8_t *run,
                         aiosk__codes *o) {
    j->f->codes(V_NAME(panel)(j, row, k, k + nb, row + 16 * V_NP, run), nb, o);
#if V_OWN && defined V_LENDER
    if (j->even && j->f->lent) V_NAME(raise)(j->f, o, nb * j->units);
#endif
}
#endif

/* Codes of all panels, of n times 32 columns, as the loop of many columns wants them */
V_FN void V_NAME(prepare)(const V_NAME(job) * j, const aiosk__cols *p, int32_t n) {
#if V_BIAS8 && !V_OWN
    for (int32_t e = 0; e < V_NP && j->even; e++) V_NAME(raise)(j->f, p->t + e, n);
#elif V_XOR
    for (int32_t e = 0; e < V_NP && p->kind == 8 && p->columns == 32; e++)
        V_NAME(absolute)(p->t + e, j->family, n);
#endif
    (void)j;
    (void)p;
    (void)n;
}

/* Codes times columns, by cols where it has enough of them: the rest one by one, with codes as
 * they were unpacked */
V_FN void V_NAME(multiply)(const V_NAME(job) * j, V_NAME(cols_fn) cols, aiosk__cols *p) {
    const int32_t n_cols = p->n_cols, groups = cols ? n_cols / V_NC * V_NC : 0;
    if (groups < n_cols) {
        aiosk__cols last = *p;
        if (!V_OWN) {
            last.kind = j->f->kind;
            last.offset = j->f->offset < 0 ? 0 : j->f->offset;
        }
        if (j->family == AIOSK_A32)
            V_SOURCE(last_a32)(&last, groups);
        else
            V_SOURCE(last_a256)(&last, groups);
    }
    if (!groups) return;
    p->n_cols = groups;
    V_NAME(prepare)(j, p, p->n);
    cols(p);
    p->n_cols = n_cols;
}

V_FN void V_NAME(matmul_many)(const V_NAME(job) * j, V_NAME(cols_fn) cols, int32_t kind) {
    const aiosk_matmul *m = j->m;
    const int32_t per = j->family == AIOSK_A256 ? 1 : 8 / j->units;
    uint8_t AIOSK__ALIGN(64) run[V_W > 1 ? V_NAME(run_bytes) : 1];
    float AIOSK__ALIGN(64) acc[AIOSK__MAX_COLS * V_NP * 16];
    aiosk__codes AIOSK__ALIGN(64) codes[V_NP];
    aiosk__cols p;
    p.t = codes;
    p.xs = m->x_stride;
    p.acc = acc;
    p.n_in = m->n_in;
    p.kind = kind;
    p.offset = j->even || j->f->offset < 0 ? 0 : j->f->offset;
    p.columns = j->f->columns;
    p.n_mn = j->f->n_mn;
    if (V_NP > 1) memset(codes, 0, sizeof codes);
    /* codes without scales: 1 */
    for (int32_t e = 0; e < V_NP && !p.columns; e++) memset(codes[e].sc, 1, sizeof codes[e].sc);
    for (int32_t c0 = 0; c0 < m->n_cols; c0 += p.n_cols) {
        p.n_cols = m->n_cols - c0 < AIOSK__MAX_COLS ? m->n_cols - c0 : AIOSK__MAX_COLS;
        p.x = (const uint8_t *)m->x + (uint64_t)c0 * m->x_stride;
        for (int32_t row = m->row0; row < m->row1; row += 16 * V_NP) {
            memset(acc, 0, (size_t)p.n_cols * V_NP * 64);
            for (int32_t k = 0; k < j->n; k += per) {
                const int32_t nb = j->n - k < per ? j->n - k : per;
                /* behind the last row what is there already: nobody keeps what it gives */
                for (int32_t e = 0; e < V_NP && row + 16 * e < m->row1; e++)
                    V_NAME(unpack)(j, row + 16 * e, k, nb, run, &codes[e]);
                p.k = j->family == AIOSK_A256 ? k : k * j->units;
                p.n = nb * j->units;
                V_NAME(multiply)(j, cols, &p);
            }
            for (int32_t e = 0; e < V_NP && row + 16 * e < m->row1; e++)
                for (int32_t c = 0; c < p.n_cols; c++)
                    V_NAME(put)(m, c0 + c, row + 16 * e, acc + (c * V_NP + e) * 16);
        }
    }
}

/* ---- a matrix ---- */
/* 1: another set has done it: few columns and codes without a loop of their own where this one
 * has products alone, few columns of lent codes */
V_FN int V_NAME(passed_on)(const aiosk_matmul *m, const V_SOURCE(form) * f, int32_t layout,
                           V_NAME(cols_fn) cols) {
#if !V_OWN
    if (cols && m->n_cols >= 2 * V_NC) return 0;
    V_SOURCE(matmul)(m, f, layout);
    return 1;
#elif defined V_LENDER
    (void)cols;
    if (!f->lent || m->n_cols >= 2 * V_NC) return 0;
    V_LENDER(isa).matmul[f->type][layout](m);
    return 1;
#else
    (void)m;
    (void)f;
    (void)layout;
    (void)cols;
    return 0;
#endif
}

V_EXPORT void V_NAME(matmul)(const aiosk_matmul *m, const V_SOURCE(form) * f, int32_t layout) {
    const aiosk_type *t = aiosk_type_info(f->type);
    const int32_t family = (int32_t)t->family;
    const int32_t even =
        V_BIAS8 && f->columns && V_NAME(is_even)(f->kind, family == AIOSK_A32 ? 0 : f->columns);
    const int32_t kind = V_W == 1 || even || (V_BIAS8 && !f->columns) ? 8 : f->kind;
    const V_NAME(cols_fn) cols = V_NAME(find_cols)(family, kind, f->columns);
    V_NAME(job) j;
    if (V_NAME(passed_on)(m, f, layout, cols)) return;
    j.m = m;
    j.f = f;
    j.w = (const uint8_t *)m->w;
    j.n = m->n_in / (int32_t)t->n_weights;
    j.n_bytes = (int32_t)t->n_bytes;
    j.row_bytes = (uint64_t)j.n * t->n_bytes;
    j.block16 = 16 * t->n_bytes;
    j.layout = layout;
    j.family = family;
    j.units = (int32_t)t->n_weights / 32;
    j.even = even;
    if (V_NAME(is_few)(&j))
        V_NAME(matmul_few)(&j);
    else
        V_NAME(matmul_many)(&j, cols, kind);
}

/* ---- the types: formats.h ----
 * What a type has: loops for few columns, codes for many, a form, and an entry for each layout. */
#define AIOSK__ENTRY(t) /* rows_t, panels_t */                \
    V_EXPORT void V_NAME(rows_##t)(const aiosk_matmul *m) {   \
        V_NAME(matmul)(m, &V_SOURCE(form_##t), AIOSK_ROWS);   \
    }                                                         \
    V_EXPORT void V_NAME(panels_##t)(const aiosk_matmul *m) { \
        V_NAME(matmul)(m, &V_SOURCE(form_##t), AIOSK_PANELS); \
    }
#if !V_OWN
#define AIOSK__A32_HOT(T, t, ...)   AIOSK__ENTRY(t)
#define AIOSK__A32_RARE(T, t, ...)  AIOSK__ENTRY(t)
#define AIOSK__A256_HOT(T, t, ...)  AIOSK__ENTRY(t)
#define AIOSK__A256_RARE(T, t, ...) AIOSK__ENTRY(t)
#define AIOSK__A256_GRID(T, t, ...) AIOSK__ENTRY(t)
#else
#define AIOSK__FORM(T, t, kind, offset, columns, minima, ...)                         \
    static const V_NAME(form)                                                         \
        V_NAME(form_##t) = { AIOSK_##T, kind, offset, columns, minima, __VA_ARGS__ }; \
    AIOSK__ENTRY(t)
#if V_W == 1 /* by way of the definitions: codes_any */
#define AIOSK__A32_HOT(T, t, kind, offset, columns, minima, ...) \
    AIOSK__FORM(T, t, 8, 0, columns, minima, NULL, NULL, NULL, 0)
#define AIOSK__A256_HOT(T, t, kind, offset, columns, minima, ...) \
    AIOSK__FORM(T, t, 8, 0, 16, (minima) ? 8 : 0, NULL, NULL, NULL, 0)
#define AIOSK__A32_RARE  AIOSK__A32_HOT
#define AIOSK__A256_RARE AIOSK__A256_HOT
#define AIOSK__A256_GRID AIOSK__A256_HOT
#else
#define AIOSK__FEW_A32(name, one, T, t, kind, offset, columns, minima)             \
    V_EXPORT V_HOT void V_NAME(name##t)(const V_NAME(few) * f) {                   \
        V_NAME(few_a32)                                                            \
        (V_NAME(unit_##t), kind, offset, columns, minima, AIOSK__WEIGHTS_##T / 32, \
         AIOSK__BYTES_##T * 16, one, f);                                           \
    }
#define AIOSK__FEW_A256(name, one, T, t, kind, offset, columns, minima)           \
    V_EXPORT V_HOT void V_NAME(name##t)(const V_NAME(few) * f) {                  \
        V_NAME(few_a256)                                                          \
        (V_NAME(head_##t), V_NAME(step_##t), NULL, kind, offset, columns, minima, \
         AIOSK__BYTES_##T * 16, one, f);                                          \
    }
#if !V_FEW
#define AIOSK__FEW(family, T, t, kind, offset, columns, minima)
#define AIOSK__FEW_OF(t) NULL, NULL
#elif V_MIXED
#define AIOSK__FEW(family, T, t, kind, offset, columns, minima) \
    AIOSK__FEW_##family(few_, 0, T, t, kind, offset, columns, minima)
#define AIOSK__FEW_OF(t) V_NAME(few_##t), V_NAME(few_##t)
#else
#define AIOSK__FEW(family, T, t, kind, offset, columns, minima)       \
    AIOSK__FEW_##family(one_, 1, T, t, kind, offset, columns, minima) \
        AIOSK__FEW_##family(few_, 0, T, t, kind, offset, columns, minima)
#define AIOSK__FEW_OF(t) V_NAME(one_##t), V_NAME(few_##t)
#endif
#define AIOSK__CODES_A32(T, t, offset, columns, minima)                                  \
    V_EXPORT_REST void V_NAME(codes_##t)(const uint8_t *p, int32_t n, aiosk__codes *o) { \
        V_NAME(codes_a32)                                                                \
        (V_NAME(unit_##t), offset, columns, minima, AIOSK__WEIGHTS_##T / 32,             \
         AIOSK__BYTES_##T * 16, p, n, o);                                                \
    }
#define AIOSK__CODES_A256(T, t, kind, offset, columns, minima)                           \
    V_EXPORT_REST void V_NAME(codes_##t)(const uint8_t *p, int32_t n, aiosk__codes *o) { \
        (void)n;                                                                         \
        V_NAME(codes_a256)                                                               \
        (V_NAME(head_##t), V_NAME(step_##t), NULL, kind, offset, columns, minima,        \
         AIOSK__BYTES_##T * 16, p, o);                                                   \
    }
#define AIOSK__A32_HOT(T, t, kind, offset, columns, minima, ...) \
    AIOSK__FEW(A32, T, t, kind, offset, columns, minima)         \
    AIOSK__CODES_A32(T, t, offset, columns, minima)              \
    AIOSK__FORM(T, t, kind, offset, columns, minima, V_NAME(codes_##t), AIOSK__FEW_OF(t), 0)
#define AIOSK__A256_HOT(T, t, kind, offset, columns, minima, ...) \
    AIOSK__FEW(A256, T, t, kind, offset, columns, minima)         \
    AIOSK__CODES_A256(T, t, kind, offset, columns, minima)        \
    AIOSK__FORM(T, t, kind, offset, columns, minima, V_NAME(codes_##t), AIOSK__FEW_OF(t), 0)
/* V_HOT: all that there is for one column */
#define AIOSK__A32_RARE(T, t, kind, offset, columns, minima, ...) \
    V_HOT AIOSK__CODES_A32(T, t, offset, columns, minima)         \
        AIOSK__FORM(T, t, kind, offset, columns, minima, V_NAME(codes_##t), NULL, NULL, 0)
#define AIOSK__A256_RARE(T, t, kind, offset, columns, minima, ...) \
    V_HOT AIOSK__CODES_A256(T, t, kind, offset, columns, minima)   \
        AIOSK__FORM(T, t, kind, offset, columns, minima, V_NAME(codes_##t), NULL, NULL, 0)
#ifndef V_LENDER
#define AIOSK__A256_GRID(T, t, kind, offset, columns, minima, ...) \
    AIOSK__CODES_A256(T, t, kind, offset, columns, minima)         \
    AIOSK__FORM(T, t, kind, offset, columns, minima, V_NAME(codes_##t), NULL, NULL, 0)
#else
#ifdef AIOSK_UNIT
#define AIOSK__LENT(t) \
    AIOSK__SHARED void V_LENDER(codes_##t)(const uint8_t *p, int32_t n, aiosk__codes *o);
#else
#define AIOSK__LENT(t)
#endif
#define AIOSK__A256_GRID(T, t, kind, offset, columns, minima, ...) \
    AIOSK__LENT(t)                                                 \
    AIOSK__FORM(T, t, kind, offset, columns, minima, V_LENDER(codes_##t), NULL, NULL, 1)
#endif
#endif
#endif
AIOSK__FORMATS(AIOSK__MATRIX)

/* ======== kernels/isa_matmul.inc, continued ======== */
AIOSK__ISA(V_NAME(isa), V_ISA_TEXT, V_ISA_ID)
#ifdef V_VBMI

/* ======== kernels/vbmi.inc ======== */
/* vbmi.inc: the steps of the grid types (unpack.inc) with AVX-512 VBMI. A grid is split into two
 * tables of bytes, half of an entry each, that vpermi2b looks up for 64 indices at once;
 * vpmultishiftqb spreads fields of 2 or 3 bits to bytes, adds the sign as the next bit, and
 * vpermb turns those into the signed level + 128. Grids of 2048 are gathered. */
#undef V_TARGET
#if defined(__GNUC__) || defined(__clang__)
#define V_TARGET    \
    __attribute__(( \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx2,fma,f16c")))
#else
#define V_TARGET
#endif
#define V_OUT(x) aiosk__##x##_avx512vbmi

typedef struct V_OUT(grid) {
    vi low[16], high[16]; /* up to 1024 bytes each */
    vi level;             /* [64]: of the low bits of the index: code, then sign */
} V_OUT(grid);

/* The low and the high fields of n entries, bits 0.. and shift.. */
V_FN void V_OUT(split)(V_OUT(grid) * g, const uint16_t *e, const int n, const int shift) {
    static const uint8_t AIOSK__ALIGN(64)
        even[64] = { 0,  2,  4,   6,   8,   10,  12,  14,  16,  18,  20,  22,  24,  26,  28,  30,
                     32, 34, 36,  38,  40,  42,  44,  46,  48,  50,  52,  54,  56,  58,  60,  62,
                     64, 66, 68,  70,  72,  74,  76,  78,  80,  82,  84,  86,  88,  90,  92,  94,
                     96, 98, 100, 102, 104, 106, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126 };
    int i;
    AIOSK__UNROLL
    for (i = 0; i < n / 64; i++) {
        const vi a = v_loadi(e + 64 * i), b = v_loadi(e + 64 * i + 32), t = v_loadi(even);
        g->low[i] = _mm512_permutex2var_epi8(a, t, b);
        g->high[i] = _mm512_permutex2var_epi8(_mm512_srli_epi16(a, (unsigned)shift), t,
                                              _mm512_srli_epi16(b, (unsigned)shift));
    }
}
/* level[i] = 128 + code for i below n, 128 - code for the next n, and again; n is 4 or 8 */
V_FN vi V_OUT(levels)(const int8_t *code, const int n) {
    uint8_t t[64];
    int i;
    for (i = 0; i < 64; i++) t[i] = (uint8_t)(128 + (i & n ? -1 : 1) * code[i & (n - 1)]);
    return v_loadi(t);
}
/* The tables of a type; g.low and g.high are not used where the grid has 2048 entries (IQ1). */
V_FN V_OUT(grid) V_OUT(grid_iq1)(void) {
    V_OUT(grid) g;
    uint8_t t[64];
    for (int i = 0; i < 64; i++)
        t[i] = (uint8_t)(128 + 8 * aiosk__iq1_levels[i & 3] + (i & 4 ? -1 : 1));
    g.level = v_loadi(t);
    return g;
}
V_FN V_OUT(grid) V_OUT(grid_of)(const uint16_t *e, const int n, const int shift,
                                const int8_t *level, const int n_level) {
    V_OUT(grid) g;
    V_OUT(split)(&g, e, n, shift);
    g.level = V_OUT(levels)(level, n_level);
    return g;
}
#define AIOSK__GRID_IQ2_XXS V_OUT(grid_of)(aiosk__iq2xxs_grid, 256, 8, aiosk__iq2_levels, 4)
#define AIOSK__GRID_IQ2_XS  V_OUT(grid_of)(aiosk__iq2xs_grid, 512, 8, aiosk__iq2_levels, 4)
#define AIOSK__GRID_IQ2_S   V_OUT(grid_of)(aiosk__iq2s_grid, 1024, 8, aiosk__iq2_levels, 4)
#define AIOSK__GRID_IQ3_XXS V_OUT(grid_of)(aiosk__iq3xxs_grid, 256, 6, aiosk__iq3xxs_levels, 8)
#define AIOSK__GRID_IQ3_S   V_OUT(grid_of)(aiosk__iq3s_grid, 512, 6, aiosk__iq3s_levels, 8)
#define AIOSK__GRID_IQ1_S   V_OUT(grid_iq1)()
#define AIOSK__GRID_IQ1_M   V_OUT(grid_iq1)()
/* Bytes of a table of 256 n entries for 64 indices; k0 and k1: bits 8 and 9 of each */
V_FN vi V_OUT(look)(const vi *t, vi i, const int n, __mmask64 k0, __mmask64 k1) {
    const __mmask64 k = _mm512_movepi8_mask(i);
    vi r[4];
    int e;
    AIOSK__UNROLL
    for (e = 0; e < n; e++)
        r[e] = _mm512_mask_blend_epi8(k, _mm512_permutex2var_epi8(t[4 * e], i, t[4 * e + 1]),
                                      _mm512_permutex2var_epi8(t[4 * e + 2], i, t[4 * e + 3]));
    if (n > 1) r[0] = _mm512_mask_blend_epi8(k0, r[0], r[1]);
    if (n > 2) r[0] = _mm512_mask_blend_epi8(k1, r[0], _mm512_mask_blend_epi8(k0, r[2], r[3]));
    return r[0];
}
/* The bits from `at` on of each dword to byte 0, from at + by to byte 1, ...; only low bits of a
 * byte count (bits before bit 0 come from the neighbour) */
V_FN vi V_OUT(fields)(vi a, const int at, const int by) {
    const uint64_t one = (uint64_t)(at & 63) | (uint64_t)((at + by) & 63) << 8 |
                         (uint64_t)((at + 2 * by) & 63) << 16 |
                         (uint64_t)((at + 3 * by) & 63) << 24;
    const uint64_t two = (uint64_t)((at + 32) & 63) | (uint64_t)((at + by + 32) & 63) << 8 |
                         (uint64_t)((at + 2 * by + 32) & 63) << 16 |
                         (uint64_t)((at + 3 * by + 32) & 63) << 24;
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64((int64_t)(one | two << 32)), a);
}
/* Levels of codes (low bits of bytes, mask says which) with bit c + i of each dword of signs as
 * the sign of byte i */
V_FN vi V_OUT(signed_levels)(const V_OUT(grid) * g, vi code, vi signs, const int c,
                             const int bits) {
    const vi m = _mm512_set1_epi8((char)((1 << bits) - 1));
    return _mm512_permutexvar_epi8(
        _mm512_ternarylogic_epi32(m, code, V_OUT(fields)(signs, c - bits, 1), 0xCA), g->level);
}

#define AIOSK__DW(seg, i) v_loadi(p + (seg) + (i)*64 + h * V_W * 4)
#define AIOSK__STEP(t)                                                           \
    V_FN void V_OUT(step_##t)(const uint8_t *p, const int h, const int j, vi *w, \
                              const vi *sc AIOSK__UNUSED, const void *grid)
/* Both halves of four entries with indices a, their signs s */
V_FN void V_OUT(step_iq2)(const V_OUT(grid) * g, vi a, const int n, __mmask64 k0, __mmask64 k1,
                          vi s, vi *w) {
    const vi low = V_OUT(look)(g->low, a, n, k0, k1), high = V_OUT(look)(g->high, a, n, k0, k1);
    AIOSK__UNROLL
    for (int i = 0; i < 4; i++) {
        w[2 * i] = V_OUT(signed_levels)(g, V_OUT(fields)(low, 8 * i, 2), s, 8 * i, 2);
        w[2 * i + 1] = V_OUT(signed_levels)(g, V_OUT(fields)(high, 8 * i, 2), s, 8 * i + 4, 2);
    }
}
AIOSK__STEP(iq2_xxs) {
    const vi s = V_NAME(signs7)(V_NAME(sevens)(AIOSK__DW(32, 2 * j + 1)));
    V_OUT(step_iq2)((const V_OUT(grid) *)grid, AIOSK__DW(32, 2 * j), 1, 0, 0, s, w);
}
AIOSK__STEP(iq2_xs) { /* words: 8 bits of index in one byte, the ninth and 7 signs in the other */
    const vi d0 = AIOSK__DW(160, 2 * j), d1 = AIOSK__DW(160, 2 * j + 1), ff = v_set1i(0x00FF00FF);
    /* from 0 2 1 3 */
    const vi order = _mm512_set4_epi32(0x0F0D0E0C, 0x0B090A08, 0x07050604, 0x03010200);
    const vi a = _mm512_shuffle_epi8(i_or(i_and(d0, ff), i_sll(i_and(d1, ff), 8)), order);
    const vi b = _mm512_shuffle_epi8(
        i_or(i_and(i_srl(d0, 8), ff), i_and(d1, v_set1i((int32_t)0xFF00FF00))), order);
    const vi s = V_NAME(signs7)(i_and(i_srl(b, 1), v_set1i(0x7F7F7F7F)));
    V_OUT(step_iq2)
    ((const V_OUT(grid) *)grid, a, 2, _mm512_test_epi8_mask(b, v_set1i(0x01010101)), 0, s, w);
}
AIOSK__STEP(iq2_s) {
    const vi b = i_splat(i_srl(AIOSK__DW(32, j >> 2), 8 * (j & 3)), 0);
    const __mmask64 k0 = _mm512_test_epi8_mask(b, v_set1i(0x40100401));
    const __mmask64 k1 = _mm512_test_epi8_mask(b, v_set1i((int32_t)0x80200802));
    V_OUT(step_iq2)((const V_OUT(grid) *)grid, AIOSK__DW(288, j), 4, k0, k1, AIOSK__DW(800, j), w);
}
/* Eight entries, indices at `at`, with their ninth bits in the bytes of b where n is 2 */
V_FN void V_OUT(step_iq3)(const V_OUT(grid) * g, const uint8_t *p, const int h, const int j,
                          const int at, const int n, vi b, vi s, vi *w) {
    AIOSK__UNROLL
    for (int e = 0; e < 2; e++) {
        const vi a = AIOSK__DW(at, 2 * j + e);
        const __mmask64 k =
            n == 2 ? _mm512_test_epi8_mask(b, v_set1i(e ? (int32_t)0x80402010 : 0x08040201)) : 0;
        const vi low = V_OUT(look)(g->low, a, n, k, k), high = V_OUT(look)(g->high, a, n, k, k);
        AIOSK__UNROLL
        /* bytes 0 and 1 from the low half of the entry, 2 and 3 from the high one */
        for (int i = 0; i < 4; i++) {
            const vi c = _mm512_mask_mov_epi8(V_OUT(fields)(low, 8 * i, 3), 0xCCCCCCCCCCCCCCCCu,
                                              V_OUT(fields)(high, 8 * i - 6, 3));
            w[4 * e + i] = V_OUT(signed_levels)(g, c, s, 16 * e + 4 * i, 3);
        }
    }
}
AIOSK__STEP(iq3_xxs) {
    const vi s = V_NAME(signs7)(V_NAME(sevens)(AIOSK__DW(1056, j)));
    V_OUT(step_iq3)((const V_OUT(grid) *)grid, p, h, j, 32, 1, s, s, w);
}
AIOSK__STEP(iq3_s) {
    const vi b = i_splat(i_srl(AIOSK__DW(1120, j >> 2), 8 * (j & 3)), 0);
    V_OUT(step_iq3)((const V_OUT(grid) *)grid, p, h, j, 96, 2, b, AIOSK__DW(1248, j), w);
}
/* Entry i of four: a their low bytes, up its upper bits, s its sign as bit 2 of bytes */
V_FN void V_OUT(step_iq1)(const V_OUT(grid) * g, vi a, vi up, vi s, const int i, vi *w) {
    const vi m = _mm512_set1_epi8(3);
    const vi e = i_gather16(aiosk__iq1_grid, i_or(i_and(i_srl(a, 8 * i), v_set1i(255)),
                                                  i_sll(i_and(up, v_set1i(7)), 8)));
    w[2 * i] = _mm512_permutexvar_epi8(
        _mm512_ternarylogic_epi32(m, V_OUT(fields)(e, 0, 2), s, 0xCA), g->level);
    w[2 * i + 1] = _mm512_permutexvar_epi8(
        _mm512_ternarylogic_epi32(m, V_OUT(fields)(e, 8, 2), s, 0xCA), g->level);
}
AIOSK__STEP(iq1_s) {
    const vi b = i_srl(AIOSK__DW(544, j >> 1), 16 * (j & 1));
    const vi s = i_splat(i_sll(i_srl(i_and(b, v_set1i(0xFFFF)), 15), 2), 0);
    AIOSK__UNROLL
    for (int i = 0; i < 4; i++)
        V_OUT(step_iq1)((const V_OUT(grid) *)grid, AIOSK__DW(32, j), i_srl(b, 3 * i), s, i, w);
}
AIOSK__STEP(iq1_m) {
    const vi b = i_srl(AIOSK__DW(512, j >> 1), 16 * (j & 1));
    AIOSK__UNROLL
    for (int i = 0; i < 4; i++) {
        const vi up = i_srl(b, 4 * i);
        V_OUT(step_iq1)
        ((const V_OUT(grid) *)grid, AIOSK__DW(0, j), up,
         i_splat(i_srl(i_and(up, v_set1i(8)), 1), 0), i, w);
    }
}
#undef AIOSK__STEP
#undef AIOSK__DW

#undef AIOSK__A32_HOT
#undef AIOSK__A32_RARE
#undef AIOSK__A256_HOT
#undef AIOSK__A256_RARE
#undef AIOSK__A256_GRID
#define AIOSK__A32_HOT(...)
#define AIOSK__A32_RARE(...)
#define AIOSK__A256_HOT(...)
#define AIOSK__A256_RARE(...)
#define AIOSK__A256_GRID(T, t, kind, offset, columns, minima, ...)                     \
    V_EXPORT V_HOT void V_OUT(one_##t)(const V_NAME(few) * f) {                        \
        const V_OUT(grid) g = AIOSK__GRID_##T;                                         \
        V_NAME(few_a256)                                                               \
        (V_NAME(head_##t), V_OUT(step_##t), &g, kind, offset, columns, minima,         \
         AIOSK__BYTES_##T * 16, 1, f);                                                 \
    }                                                                                  \
    V_EXPORT void V_OUT(codes_##t)(const uint8_t *p, int32_t n, aiosk__codes *o) {     \
        const V_OUT(grid) g = AIOSK__GRID_##T;                                         \
        (void)n;                                                                       \
        V_NAME(codes_a256)                                                             \
        (V_NAME(head_##t), V_OUT(step_##t), &g, kind, offset, columns, minima,         \
         AIOSK__BYTES_##T * 16, p, o);                                                 \
    }                                                                                  \
    static const V_NAME(form)                                                          \
        V_OUT(form_##t) = { AIOSK_##T,        kind,           offset, columns, minima, \
                            V_OUT(codes_##t), V_OUT(one_##t), NULL,   0 };             \
    V_EXPORT void V_OUT(rows_##t)(const aiosk_matmul *m) {                             \
        V_NAME(matmul)(m, &V_OUT(form_##t), AIOSK_ROWS);                               \
    }                                                                                  \
    V_EXPORT void V_OUT(panels_##t)(const aiosk_matmul *m) {                           \
        V_NAME(matmul)(m, &V_OUT(form_##t), AIOSK_PANELS);                             \
    }
AIOSK__FORMATS(AIOSK__MATRIX)
#undef AIOSK__GRID_IQ1_M
#undef AIOSK__GRID_IQ1_S
#undef AIOSK__GRID_IQ3_S
#undef AIOSK__GRID_IQ3_XXS
#undef AIOSK__GRID_IQ2_S
#undef AIOSK__GRID_IQ2_XS
#undef AIOSK__GRID_IQ2_XXS
#undef V_GRID
#define V_GRID(x) V_OUT(x)
AIOSK__ISA(V_OUT(isa), "avx512_vbmi", AIOSK_ISA_AVX512_VBMI)
#undef V_OUT

/* ======== kernels/isa_matmul.inc, continued ======== */
#undef V_VBMI
#endif

/* What the loops and the products defined, and V_ISA_TEXT, V_ISA_ID, V_SOURCE, V_TILE8, V_LENDER */
#undef AIOSK__A256_GRID
#undef AIOSK__A256_RARE
#undef AIOSK__A256_HOT
#undef AIOSK__A32_RARE
#undef AIOSK__A32_HOT
#undef AIOSK__LENT
#undef AIOSK__CODES_A256
#undef AIOSK__CODES_A32
#undef AIOSK__FEW_OF
#undef AIOSK__FEW
#undef AIOSK__FEW_A256
#undef AIOSK__FEW_A32
#undef AIOSK__FORM
#undef AIOSK__ENTRY
#undef AIOSK__N_XQ
#undef AIOSK__EACH
#undef V_GRID
#undef V_SOURCE
#undef V_OWN
#undef V_TILE8
#undef V_LENDER
#undef i_part
#undef I_RUN
#undef I_PAIR
#undef V_NP
#undef V_NC
#undef V_BIAS8
#undef V_PREMUL
#undef V_FIX
#undef V_START
#undef V_QUAD
#undef V_XOR
#undef V_TWO_KINDS
#undef V_FEW
#undef V_MIXED
#undef V_ISA_TEXT
#undef V_ISA_ID

/* ======== kernels/dot_i16.inc ======== */
#elif AIOSK__PART == 5
#undef AIOSK__PART
/* dot_i16.inc: the dot products (simdi_scalar.h) by way of int16, over three words of a register size and instruction set:
 *     i_mul8(kind, w, x)   int16: the products of bytes 0 and 1, 2 and 3 of a dword, or 0 and 2, 1 and 3, added in pairs
 *     i_madd(a, b)         int32: the sum of the two products of int16 of a lane
 *     i_scale_pair(a)      byte 0 of each dword, signed, to both its halves
 * and where V_XOR, i_abs8(w), the absolute values of bytes, and i_neg8(w), 255 in those that are negative.
 * Of the sums of two products 8 may be added for 4-bit codes (8 * 2 * 15 * 127 = 30480), 4 for 5 bits (31496), 2 for 6 bits (32004)
 * and for signed 7 bits (|code| <= 64: 32512), none for 8 bits (|code| <= 128: 32512; kind 9: -32768). i_madd then applies the scale, or 1. */
#define V_BIAS8 0
#define V_PREMUL 0
#define V_FIX 1
#define V_START 0
#define V_QUAD 0
#ifndef V_XOR
#define V_XOR 0
#endif
#ifndef V_TWO_KINDS
#define V_TWO_KINDS 0
#endif

V_FN vi i_prep8(vi w) { return w; }
V_FN vi i_scale(const int kind, vi a) { (void)kind; return V_NAME(i_scale_pair)(a); }
#define i_part vi
#define I_RUN(kind, n) ((kind) >= 8 ? 1 : (kind) >= 6 ? 2 : (kind) == 5 || (n) == 4 ? 4 : 8)
#define I_PAIR(kind) 0
V_FN i_part i_first(const int kind, vi z, vi w, vi x) { (void)z; return V_NAME(i_mul8)(kind, w, x); }
V_FN i_part i_next(const int kind, i_part a, vi w, vi x) {
    a = i_add16(a, V_NAME(i_mul8)(kind, w, x));
#if defined(AIOSK__X86) && defined(__GNUC__) && !defined(__clang__)
    __asm__("" : "+v"(a)); /* GCC would balance the sums of many columns into trees, and run out of registers */
#endif
    return a;
}
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return V_NAME(i_madd)(a, v_set1i(0x00010001)); }
V_FN vi i_end(const int kind, vi acc, i_part a, i_part b, vi s) {
    (void)kind;
    (void)b;
    return v_addi(acc, V_NAME(i_madd)(a, s));
}
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) { return v_addi(acc, V_NAME(i_madd)(a, i_dup(s))); }

/* ======== kernels/dot_vnni.inc ======== */
#elif AIOSK__PART == 6
#undef AIOSK__PART
/* dot_vnni.inc: the dot products (simdi_scalar.h) with VNNI, over i_dp (vpdpbusd), i_dpw (vpdpwssd), i_mul32 and i_pack of a
 * register size. vpdpbusd multiplies unsigned codes with signed activations: signed codes are stored + 128, and a code that
 * stands for a smaller number starts its sum at the (negative) correction, which costs nothing. Where two sums over half the
 * columns fit int16 (16 columns * 15 * 127; 8 columns * 32 * 127) they are packed as halves of a lane for vpdpwssd: two
 * instructions where vpmulld and vpaddd are three. */
#define V_BIAS8 1
#define V_PREMUL 1
#define V_FIX 0
#define V_START 1
#define V_QUAD 0
#define V_XOR 0
#define V_TWO_KINDS 0

V_FN vi i_prep8(vi w) { return i_xor(w, v_set1i((int32_t)0x80808080)); }
V_FN vi i_scale(const int kind, vi a) { return kind == 4 || kind == 6 ? V_NAME(i_scale_pair)(a) : V_NAME(i_scale_one)(a); }
#define i_part vi
#define I_RUN(kind, n) ((kind) == 6 ? 2 : (kind) == 4 || (n) == 4 ? 4 : 8)
#define I_PAIR(kind) ((kind) == 4 || (kind) == 6)
V_FN i_part i_first(const int kind, vi z, vi w, vi x) { (void)kind; return V_NAME(i_dp)(z, w, x); }
V_FN i_part i_next(const int kind, i_part a, vi w, vi x) { (void)kind; return V_NAME(i_dp)(a, w, x); }
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return a; }
V_FN vi i_end(const int kind, vi acc, i_part a, i_part b, vi s) {
    return I_PAIR(kind) ? V_NAME(i_dpw)(acc, V_NAME(i_pack)(a, b), s) : v_addi(acc, V_NAME(i_mul32)(a, s));
}
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) { return V_NAME(i_dpw)(acc, a, i_dup(s)); }

/* ======== kernels/simd_neon.inc ======== */
#elif AIOSK__PART == 7
#undef AIOSK__PART
/* simd_neon.inc: the v_* vocabulary (simd_scalar.h) in AArch64 NEON: four lanes. Expanded twice: as it is for the
 * baseline, and with AIOSK__NEON_DOT defined for processors with the dot product instructions (_neondot). */
#ifdef AIOSK__NEON_DOT
#define V_NAME(x) aiosk__##x##_neondot
#define V_BASE(x) aiosk__##x##_neondot
#if defined(__clang__)
#define V_TARGET __attribute__((target("dotprod")))
#elif defined(__GNUC__)
#define V_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#else
#define V_TARGET
#endif
#else
#define V_NAME(x) aiosk__##x##_neon
#define V_BASE(x) aiosk__##x##_neon
#define V_TARGET
#endif
#define V_FN AIOSK__INLINE V_TARGET
#define V_EXPORT static AIOSK__UNUSED V_TARGET
#define V_W 4
#define V_PER16 4
#define V_MAXQ 6
#define V_SHAPES(X) X(1, 1, 4) X(2, 2, 2) X(3, 6, 1)
#define V_KBIAS 0
#ifdef AIOSK__NEON_DOT
#define V_VDOT 1
#endif
#define V_TREES 1
#define vf float32x4_t
#define vi int32x4_t

V_FN vf v_loadu(const float *p) { return vld1q_f32(p); }
V_FN void v_storeu(float *p, vf a) { vst1q_f32(p, a); }
V_FN vi v_loadi(const void *p) { return vreinterpretq_s32_s8(vld1q_s8((const int8_t *)p)); }
V_FN void v_storei(void *p, vi a) { vst1q_s8((int8_t *)p, vreinterpretq_s8_s32(a)); }
V_FN vf v_set1(float a) { return vdupq_n_f32(a); }
V_FN vf v_zero(void) { return vdupq_n_f32(0.0f); }
V_FN vi v_set1i(int32_t a) { return vdupq_n_s32(a); }
V_FN vi v_zeroi(void) { return vdupq_n_s32(0); }
V_FN vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
V_FN vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
V_FN vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
V_FN vf v_mulr(vf a, vf b) { return vfmaq_f32(vdupq_n_f32(-0.0f), a, b); }
V_FN vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
V_FN vf v_sqrt(vf a) { return vsqrtq_f32(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
V_FN vf v_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(b, a), b, a); } /* fmax orders zeros and drops NaN: not ours */
V_FN vf v_min(vf a, vf b) { return vbslq_f32(vcltq_f32(b, a), b, a); }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
V_FN vf v_abs(vf a) { return vabsq_f32(a); }
V_FN vf v_xorsign(vf a, vf s) {
    uint32x4_t m = vandq_u32(vdupq_n_u32(0x80000000u), vreinterpretq_u32_f32(s));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), m));
}
V_FN vi v_addi(vi a, vi b) { return vaddq_s32(a, b); }
V_FN vi v_subi(vi a, vi b) { return vsubq_s32(a, b); }
V_FN vf v_cvt_i32_f32(vi a) { return vcvtq_f32_s32(a); }
V_FN vi v_cvt_f32_i32(vf a) { return vcvtnq_s32_f32(a); }
V_FN vf v_rint(vf a) { return vrndnq_f32(a); }
V_FN vf v_ldexp(vf p, vf n) { /* two factors, so that subnormal results round once and 2^128 is not needed */
    int32x4_t i = vcvtnq_s32_f32(n), h = vshrq_n_s32(i, 1), b = vdupq_n_s32(127);
    int32x4_t s = vshlq_n_s32(vaddq_s32(h, b), 23), t = vshlq_n_s32(vaddq_s32(vsubq_s32(i, h), b), 23);
    return v_mulr(vmulq_f32(p, vreinterpretq_f32_s32(s)), vreinterpretq_f32_s32(t));
}
V_FN vf v_load_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p))); }
V_FN void v_store_f16(void *p, vf a) { vst1_u8((uint8_t *)p, vreinterpret_u8_f16(vcvt_f16_f32(a))); }
V_FN vf v_load_bf16(const void *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8((const uint8_t *)p)), 16));
}
V_FN vf v_load_i8(const void *p) {
    int32_t d;
    memcpy(&d, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(d))))));
}
V_FN vf v_dup_even(vf a) { return vtrn1q_f32(a, a); }
V_FN vf v_dup_odd(vf a) { return vtrn2q_f32(a, a); }
V_FN vf v_swap2(vf a) { return vrev64q_f32(a); }
V_FN vf v_swap(vf a, int n) { return n == 1 ? vrev64q_f32(a) : vextq_f32(a, a, 2); }
V_FN float v_tree_add(const vf *v) {
    float32x4_t a = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
    float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
V_FN void v_tree_adds(float *to, const float *s) {
    const vf v[4] = {v_loadu(s + 0), v_loadu(s + 4), v_loadu(s + 8), v_loadu(s + 12)};
    *to = v_tree_add(v);
}
V_FN float v_tree_max(const vf *v) {
    float32x4_t a = v_max(v_max(v[0], v[2]), v_max(v[1], v[3]));
    float32x2_t l = vget_low_f32(a), h = vget_high_f32(a), b = vbsl_f32(vcgt_f32(h, l), h, l);
    float x = vget_lane_f32(b, 0), y = vget_lane_f32(b, 1);
    return y > x ? y : x;
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) {
    int8x16_t a = vreinterpretq_s8_s32(k), b = vreinterpretq_s8_s32(q);
#if defined(AIOSK__NEON_DOT) && defined(__clang__) && !defined(__ARM_FEATURE_DOTPROD)
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(acc) : "w"(a), "w"(b)); /* older clang hides vdotq_s32 */
    return acc;
#elif defined(AIOSK__NEON_DOT)
    return vdotq_s32(acc, a, b);
#else
    int32x4_t l = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b))), h = vpaddlq_s16(vmull_high_s8(a, b));
    return vaddq_s32(acc, vpaddq_s32(l, h));
#endif
}
#ifdef AIOSK__NEON_DOT
V_FN vi v_vdot(vi acc, vi w, vi c) { return v_kdot(acc, w, c); }
#endif

/* ======== kernels/simdi_neon.inc ======== */
#elif AIOSK__PART == 8
#undef AIOSK__PART
/* simdi_neon.inc: the integer vocabulary (simdi_scalar.h) in AArch64 NEON, expanded with and without AIOSK__NEON_DOT.
 * Codes below 128 are the same signed and unsigned. Without dot products, int16 sums of widening products take 8 steps of
 * codes of 5 bits (31 * 127 * 8 = 31496), 4 of 6 bits or signed 7 (32512) and 2 of 8 bits (32512). */
#define V_NP 1 /* panels that a micro-kernel takes at once, when there are several columns */
#define V_BIAS8 0
#define V_PREMUL 0
#define V_FIX 1
#define V_FEW 8
#define V_MIXED 0
#define V_QUAD 1 /* a load for sixteen activations, not one and a dup for each four: lanes of sdot cost nothing */
#define V_XOR 0
#define V_TWO_KINDS 0
#define V_NC 4 /* columns that it takes at once */

#define AIOSK__U8(a) vreinterpretq_u8_s32(a)
#define AIOSK__S32(a) vreinterpretq_s32_u8(a)
V_FN vi i_dup(const void *p) { return vdupq_n_s32((int32_t)aiosk__u32(p)); }
V_FN vi i_and(vi a, vi b) { return vandq_s32(a, b); }
V_FN vi i_or(vi a, vi b) { return vorrq_s32(a, b); }
V_FN vi i_xor(vi a, vi b) { return veorq_s32(a, b); }
V_FN vi i_srl(vi a, int n) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n))); }
V_FN vi i_sll(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
/* The high nibble of each byte: bytes can be shifted by themselves here */
#define I_HIGH(a) vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(a), 4))
V_FN vi i_addb(vi a, vi b) { return AIOSK__S32(vaddq_u8(AIOSK__U8(a), AIOSK__U8(b))); }
V_FN vi i_load_u8(const void *p) {
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(aiosk__u32(p)))))));
}
V_FN vi i_load_u16(const void *p) { return vreinterpretq_s32_u32(vmovl_u16(vld1_u16((const uint16_t *)p))); }
V_FN void i_pairs(vi *o, vi a) {
    const int16x8_t b = vreinterpretq_s16_s32(a);
    o[0] = vreinterpretq_s32_s16(vshrq_n_s16(vshlq_n_s16(b, 8), 8));
    o[1] = vreinterpretq_s32_s16(vshrq_n_s16(b, 8));
}
V_FN vi i_table(const void *p) { return AIOSK__S32(vld1q_u8((const uint8_t *)p)); }
V_FN vi i_lut(vi t, vi i) { return AIOSK__S32(vqtbl1q_u8(AIOSK__U8(t), AIOSK__U8(i))); }
V_FN vi i_splat(vi a, int b) {
    const int32_t o = b * 0x01010101;
    const int32_t t[4] = {o, 0x04040404 + o, 0x08080808 + o, 0x0C0C0C0C + o};
    return i_lut(a, vld1q_s32(t));
}
V_FN vi V_NAME(i_test)(vi a, int c) {
    const uint8x16_t s = vreinterpretq_u8_u32(vdupq_n_u32(c & 1 ? 0x80402010u : 0x08040201u));
    return AIOSK__S32(vtstq_u8(AIOSK__U8(i_splat(a, c >> 1)), s));
}
V_FN vi i_bits(vi a, int c, int m) { return vandq_s32(V_NAME(i_test)(a, c), vreinterpretq_s32_u8(vdupq_n_u8((uint8_t)m))); }
V_FN vi i_negate(vi w, vi a, int c) {
    const uint8x16_t m = AIOSK__U8(V_NAME(i_test)(a, c));
    return AIOSK__S32(vsubq_u8(veorq_u8(AIOSK__U8(w), m), m));
}
V_FN vi i_gather16(const uint16_t *t, vi i) {
    int32_t a[4];
    vst1q_s32(a, i);
    a[0] = t[a[0]]; a[1] = t[a[1]]; a[2] = t[a[2]]; a[3] = t[a[3]];
    return vld1q_s32(a);
}
V_FN vi i_mul16(vi a, vi b) { return vreinterpretq_s32_s16(vmulq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b))); }
V_FN vi i_mulhi16(vi a, vi b) { /* the high halves of unsigned products */
    const uint16x8_t x = vreinterpretq_u16_s32(a), y = vreinterpretq_u16_s32(b);
    return vreinterpretq_s32_u16(vuzp2q_u16(vreinterpretq_u16_u32(vmull_u16(vget_low_u16(x), vget_low_u16(y))),
                                            vreinterpretq_u16_u32(vmull_high_u16(x, y))));
}
V_FN vi i_sub16(vi a, vi b) { return vreinterpretq_s32_s16(vsubq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b))); }
V_FN vi i_add16(vi a, vi b) { return vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b))); }
V_FN vf i_as_float(vi a) { return vreinterpretq_f32_s32(a); }
V_FN void i_rows4(vi *o, const uint8_t *a, uint64_t rb) {
    const vi z0 = v_loadi(a), z1 = v_loadi(a + rb), z2 = v_loadi(a + 2 * rb), z3 = v_loadi(a + 3 * rb);
    const int64x2_t t0 = vreinterpretq_s64_s32(vtrn1q_s32(z0, z1)), t1 = vreinterpretq_s64_s32(vtrn2q_s32(z0, z1));
    const int64x2_t t2 = vreinterpretq_s64_s32(vtrn1q_s32(z2, z3)), t3 = vreinterpretq_s64_s32(vtrn2q_s32(z2, z3));
    o[0] = vreinterpretq_s32_s64(vtrn1q_s64(t0, t2));
    o[1] = vreinterpretq_s32_s64(vtrn1q_s64(t1, t3));
    o[2] = vreinterpretq_s32_s64(vtrn2q_s64(t0, t2));
    o[3] = vreinterpretq_s32_s64(vtrn2q_s64(t1, t3));
}
V_FN void i_store_s8(int8_t *p, vi a) {
    int16x4_t b = vmovn_s32(a);
    int32_t d = vget_lane_s32(vreinterpret_s32_s8(vmovn_s16(vcombine_s16(b, b))), 0);
    memcpy(p, &d, 4);
}
#undef AIOSK__S32
#undef AIOSK__U8

/* ---- dot products ---- */
V_FN vi i_prep8(vi w) { return w; }
V_FN vi i_scale(const int kind, vi a) { (void)kind; return vshrq_n_s32(vshlq_n_s32(a, 24), 24); }
#define I_PAIR(kind) 0
#ifdef AIOSK__NEON_DOT
#define V_START 1
#define i_part vi
#define I_RUN(kind, n) (n)
#if defined(__clang__) && !defined(__ARM_FEATURE_DOTPROD) /* older clang hides vdotq */
#define AIOSK__SDOT(i) __asm__("sdot %0.4s, %1.16b, %2.4b[" #i "]" : "+w"(a) : "w"(w), "w"(x))
#else
#define AIOSK__SDOT(i) a = vdotq_laneq_s32(a, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x), i)
#endif
V_FN i_part i_next(const int kind, i_part a, vi w, vi x, const int i) { /* the lane is part of the instruction */
    (void)kind;
    if (i == 0) AIOSK__SDOT(0);
    else if (i == 1) AIOSK__SDOT(1);
    else if (i == 2) AIOSK__SDOT(2);
    else AIOSK__SDOT(3);
    return a;
}
#undef AIOSK__SDOT
V_FN i_part i_first(const int kind, vi z, vi w, vi x, const int i) { return i_next(kind, z, w, x, i); }
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return a; }
#else
#define V_START 0
#define i_part V_NAME(i_part)
#define I_RUN(kind, n) ((kind) == 8 ? 2 : (kind) >= 6 || (n) == 4 ? 4 : 8)
typedef struct i_part { int16x8_t l, h; } i_part;
V_FN vi V_NAME(i_lane)(vi x, const int i) {
    return i == 0 ? vdupq_laneq_s32(x, 0) : i == 1 ? vdupq_laneq_s32(x, 1) : i == 2 ? vdupq_laneq_s32(x, 2) : vdupq_laneq_s32(x, 3);
}
V_FN i_part i_first(const int kind, vi z, vi w, vi x, const int i) {
    const int8x16_t a = vreinterpretq_s8_s32(w), b = vreinterpretq_s8_s32(V_NAME(i_lane)(x, i));
    i_part r;
    (void)kind;
    (void)z;
    r.l = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    r.h = vmull_high_s8(a, b);
    return r;
}
V_FN i_part i_next(const int kind, i_part r, vi w, vi x, const int i) {
    const int8x16_t a = vreinterpretq_s8_s32(w), b = vreinterpretq_s8_s32(V_NAME(i_lane)(x, i));
    (void)kind;
    r.l = vmlal_s8(r.l, vget_low_s8(a), vget_low_s8(b));
    r.h = vmlal_high_s8(r.h, a, b);
    return r;
}
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return vpaddq_s32(vpaddlq_s16(a.l), vpaddlq_s16(a.h)); }
#endif
V_FN vi i_end(const int kind, vi acc, i_part a, i_part b, vi s) {
    (void)b;
    return vmlaq_s32(acc, i_sum(kind, a), s);
}
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) {
    int16x8_t p = vreinterpretq_s16_s32(a), q = vreinterpretq_s16_s32(i_dup(s));
    return vaddq_s32(acc, vpaddq_s32(vmull_s16(vget_low_s16(p), vget_low_s16(q)), vmull_high_s16(p, q)));
}

#else
#error "aios_kernels.h: it includes itself, but found another version of itself"
#endif
#endif

/*
 * aios.h is available under two licences; choose the one that you prefer.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE A - MIT License
 *
 * Copyright (c) the aios.h authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of
 * this software and associated documentation files (the "Software"), to deal in
 * the Software without restriction, including without limitation the rights to
 * use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
 * of the Software, and to permit persons to whom the Software is furnished to do
 * so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE B - Public Domain (www.unlicense.org)
 *
 * This is free and unencumbered software released into the public domain.
 *
 * Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
 * software, either in source code form or as a compiled binary, for any purpose,
 * commercial or non-commercial, and by any means.
 *
 * In jurisdictions that recognize copyright laws, the author or authors of this
 * software dedicate any and all copyright interest in the software to the public
 * domain. We make this dedication for the benefit of the public at large and to
 * the detriment of our heirs and successors. We intend this dedication to be an
 * overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 * ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 * WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */
