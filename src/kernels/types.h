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
