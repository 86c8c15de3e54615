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
#ifndef AIOSK_API_H
#define AIOSK_API_H

#include <stddef.h>
#include <stdint.h>
#include "formats.h"
#include "kv_codes.h"

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
