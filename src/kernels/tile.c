/* tile.c: where things are in a tile of the KV cache (api.h, attention), its codes as integers,
 * and the constants of the rotation. */
#include "kv_types.h"

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
