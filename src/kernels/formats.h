/* formats.h: the one table of tensor types. The enum, names, sizes, dispatch rows and the tests' lists
 * are all expanded from it; ids are those of the GGUF file format.
 *
 *   family  FLT   stored as numbers; multiplied with f32 activations
 *           A32   integer codes with a float scale per 16 or 32 columns; activations A32
 *           A256  integer codes with integer sub-scales per 256 columns; activations A256
 *           RAW   known to the file format, but not a matrix this library multiplies with   */
#ifndef AIOSK__FORMATS_H
#define AIOSK__FORMATS_H

/*    NAME     name      id  weights bytes family */
#define AIOSK__FORMATS(X)             \
    X(F32,     f32,      0,    1,    4, FLT)  \
    X(F16,     f16,      1,    1,    2, FLT)  \
    X(Q4_0,    q4_0,     2,   32,   18, A32)  \
    X(Q4_1,    q4_1,     3,   32,   20, A32)  \
    X(Q5_0,    q5_0,     6,   32,   22, A32)  \
    X(Q5_1,    q5_1,     7,   32,   24, A32)  \
    X(Q8_0,    q8_0,     8,   32,   34, A32)  \
    X(Q8_1,    q8_1,     9,   32,   36, RAW)  \
    X(Q2_K,    q2_k,    10,  256,   84, A256) \
    X(Q3_K,    q3_k,    11,  256,  110, A256) \
    X(Q4_K,    q4_k,    12,  256,  144, A256) \
    X(Q5_K,    q5_k,    13,  256,  176, A256) \
    X(Q6_K,    q6_k,    14,  256,  210, A256) \
    X(Q8_K,    q8_k,    15,  256,  292, RAW)  \
    X(IQ2_XXS, iq2_xxs, 16,  256,   66, A256) \
    X(IQ2_XS,  iq2_xs,  17,  256,   74, A256) \
    X(IQ3_XXS, iq3_xxs, 18,  256,   98, A256) \
    X(IQ1_S,   iq1_s,   19,  256,   50, A256) \
    X(IQ4_NL,  iq4_nl,  20,   32,   18, A32)  \
    X(IQ3_S,   iq3_s,   21,  256,  110, A256) \
    X(IQ2_S,   iq2_s,   22,  256,   82, A256) \
    X(IQ4_XS,  iq4_xs,  23,  256,  136, A256) \
    X(I8,      i8,      24,    1,    1, RAW)  \
    X(I16,     i16,     25,    1,    2, RAW)  \
    X(I32,     i32,     26,    1,    4, RAW)  \
    X(I64,     i64,     27,    1,    8, RAW)  \
    X(F64,     f64,     28,    1,    8, RAW)  \
    X(IQ1_M,   iq1_m,   29,  256,   56, A256) \
    X(BF16,    bf16,    30,    1,    2, FLT)  \
    X(TQ1_0,   tq1_0,   34,  256,   54, A256) \
    X(TQ2_0,   tq2_0,   35,  256,   66, A256) \
    X(MXFP4,   mxfp4,   39,   32,   17, A32)  \
    X(NVFP4,   nvfp4,   40,   64,   36, A32)  \
    X(Q1_0,    q1_0,    41,  128,   18, A32)  \
    X(Q2_0,    q2_0,    42,   64,   18, A32)

enum {
#define AIOSK__X(N, n, id, w, b, f) AIOSK_##N = id,
    AIOSK__FORMATS(AIOSK__X)
#undef AIOSK__X
#define AIOSK__X(N, n, id, w, b, f) AIOSK__WEIGHTS_##N = w, AIOSK__BYTES_##N = b, /* of a block, as constants */
    AIOSK__FORMATS(AIOSK__X)
#undef AIOSK__X
    AIOSK_N_TYPES = 43 /* one past the highest id; unused ids have zero sizes */
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
