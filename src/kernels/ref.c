/* ref.c: what every stored format means. One short function per quantised type turns a block
 * into canonical integers (aiosk__ints in base.h); aiosk_unpack and the yardstick matmul stand
 * on those. This is the definition that every faster kernel is tested against, so it is written
 * to be read, not to be fast.
 *
 * Every value is what ggml gives, to the last bit. That needs no copy of its order of
 * operations: scale times sub-scale is exact in float for every format (11 bits of f16 times at
 * most 8), and where there is a minimum so is that times the code; so each weight is rounded
 * once, however it is written. */

#include "types.h"
#include "tables.h"

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
