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
