/* tile.c: where things are in a tile of the KV cache (api.h, attention), its codes as integers,
 * and the constants of the rotation. */
#include "kv_types.h"

AIOSK__CONST uint8_t aiosk__kv_bits[AIOSK_N_KV] = { 16, 32, 8, 5, 4, 3, 2 };
/* By index; C5: of the magnitude */
AIOSK__CONST int8_t aiosk__kv_levels[4][16] = {
    { 3, 8, 13, 18, 24, 29, 35, 41, 47, 54, 61, 70, 79, 90, 105, 127 },
    { 6, 18, 31, 44, 58, 75, 96, 127, -6, -18, -31, -44, -58, -75, -96, -127 },
    { 14, 45, 79, 127, -14, -45, -79, -127, 14, 45, 79, 127, -14, -45, -79, -127 },
    { 38, 127, -38, -127, 38, 127, -38, -127, 38, 127, -38, -127, 38, 127, -38, -127 }
};
/* Level 127 in standard deviations */
AIOSK__CONST float aiosk__kv_top[4] = { 3.260732f, 2.732590f, 2.151946f, 1.510418f };
/* What a v_i pairs of bytes 0 and 2, 1 and 3 make of V: byte of a group for positions 0.., 16..,
 * 32.., 48.. */
AIOSK__CONST uint8_t aiosk__kv_byte[4] = { 0, 2, 1, 3 };

AIOSK_API int32_t aiosk_kv_k(int32_t type) { return type & 15; }
AIOSK_API int32_t aiosk_kv_v(int32_t type) { return type > 15 ? (type >> 4) - 1 : type; }
AIOSK_API int32_t aiosk_kv_ok(int32_t type) {
    const int32_t k = type & 15, v = type > 15 ? (type >> 4) - 1 : type;
    if (type < 0 || k >= AIOSK_N_KV || v >= AIOSK_N_KV || type != AIOSK_KV(k, v)) return 0;
    return k == AIOSK_KV_F32 || v == AIOSK_KV_F32 ? k == v : k != AIOSK_KV_C2;
}
AIOSK_API int32_t aiosk_kv_open(int32_t type) {
    return type == AIOSK_KV_F32 ? AIOSK_KV_F32 : AIOSK_KV_F16;
}
AIOSK_API const char *aiosk_kv_name(int32_t type, char name[8]) {
    const int32_t side[2] = { aiosk_kv_k(type), aiosk_kv_v(type) };
    char *p = name;
    int32_t i;
    if (type == AIOSK_KV_F32 || type == AIOSK_KV_F16 || !aiosk_kv_ok(type)) {
        memcpy(name,
               type == AIOSK_KV_F32   ? "f32"
               : type == AIOSK_KV_F16 ? "f16"
                                      : "?",
               type == AIOSK_KV_F32 || type == AIOSK_KV_F16 ? 4 : 2);
        return name;
    }
    *p++ = 'k';
    *p++ = 'v';
    for (i = 0; i < (type == AIOSK_KV_I8 ? 1 : 2); i++) {
        if (side[i] == AIOSK_KV_F16) *p++ = '1';
        *p++ = (char)('0' + aiosk__kv_bits[side[i]] % 10);
    }
    *p = 0;
    return name;
}
AIOSK_API int32_t aiosk_kv_parse(const char *name) {
    int32_t side[2] = { -1, -1 }, n = 0, i, type;
    if (!name) return -1;
    if (!strcmp(name, "f32")) return AIOSK_KV_F32;
    if (!strcmp(name, "f16")) return AIOSK_KV_F16;
    if (!strcmp(name, "i8")) return AIOSK_KV_I8;
    if (name[0] != 'k' || name[1] != 'v' || !name[2]) return -1;
    for (name += 2; *name && n < 2; name++, n++) {
        if (name[0] == '1' && name[1] == '6') {
            side[n] = AIOSK_KV_F16;
            name++;
            continue;
        }
        for (i = AIOSK_KV_I8; i < AIOSK_N_KV; i++)
            if (*name == '0' + aiosk__kv_bits[i]) side[n] = i;
        if (side[n] < 0) return -1;
    }
    if (*name) return -1;
    type = AIOSK_KV(side[0], n > 1 ? side[1] : side[0]);
    return aiosk_kv_ok(type) ? type : -1;
}

static aiosk__side aiosk__side_at(int32_t code, int32_t is_v, int32_t hd, size_t at) {
    const size_t hp = (size_t)aiosk__hp(hd);
    aiosk__side s;
    s.code = code;
    s.at = s.mean = s.data = at;
    if (aiosk__kv_coded(code)) {
        s.mean = s.data = at + AIOSK_TILE;
        if (!is_v && code > AIOSK_KV_I8) s.data += (hp + 63) / 64 * 64;
        s.bytes = s.data - at + hp * 8 * aiosk__kv_bits[code];
    } else
        s.bytes = (is_v ? hp : (size_t)hd) * 8 * aiosk__kv_bits[code];
    return s;
}
AIOSK__SHARED aiosk__side aiosk__side_k(int32_t type, int32_t hd_k) {
    return aiosk__side_at(type & 15, 0, hd_k, type >= AIOSK_KV_I8 ? 64 : 0);
}
AIOSK__SHARED aiosk__side aiosk__side_v(int32_t type, int32_t hd_k, int32_t hd_v) {
    const aiosk__side k = aiosk__side_k(type, hd_k);
    return aiosk__side_at(type > 15 ? (type >> 4) - 1 : type, 1, hd_v, k.at + k.bytes);
}
AIOSK_API uint64_t aiosk_tile_bytes(int32_t type, int32_t hd_k, int32_t hd_v) {
    aiosk__side v;
    if (hd_k <= 0 || hd_v <= 0 || !aiosk_kv_ok(type)) return 0;
    v = aiosk__side_v(type, hd_k, hd_v);
    return v.at + v.bytes;
}

/* n times 512 indices of a code, one to a byte, to planes. For 64 bytes at a time: nothing is
 * carried from byte to byte. */
AIOSK__SHARED void aiosk__kv_pack(int32_t code, const uint8_t *flat, size_t n, uint8_t *out) {
    const uint64_t one = 0x0101010101010101u;
    const int32_t bits = aiosk__kv_bits[code];
    uint64_t a[8], r[5];
    size_t i, j;
    if (code == AIOSK_KV_I8) {
        memcpy(out, flat, n * 512);
        return;
    }
    for (; n > 0; n--, flat += 512, out += 64 * bits)
        for (i = 0; i < 64; i += 8) {
            for (j = 0; j < 8; j++) memcpy(&a[j], flat + 64 * j + i, 8);
            memset(r, 0, sizeof r);
            for (j = 0; j < 8; j++) {
                if (bits >= 4)
                    r[j / 2] |= (a[j] & one * 15) << 4 * (j & 1);
                else
                    r[j / 4] |= (a[j] & one * 3) << 2 * (j & 3);
                if (bits & 1) r[bits - 1] |= (a[j] >> (bits - 1) & one) << j;
            }
            for (j = 0; j < (size_t)bits; j++) memcpy(out + 64 * j + i, &r[j], 8);
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
    int32_t i, j, inverse, ok = 1;
    for (i = 0; i < hd && ok; i++)
        for (inverse = 0; inverse < 2; inverse++) {
            double norm = 0, worst = 0;
            memset(tmp, 0, (size_t)hd * 4);
            tmp[i] = 1.0f;
            k->rotate(tmp, 1, hd, inverse);
            for (j = 0; j < hd; j++) norm += (double)tmp[j] * (double)tmp[j];
            k->rotate(tmp, 1, hd, !inverse);
            for (j = 0; j < hd; j++) {
                const double e = (double)tmp[j] - (j == i);
                if (!(e <= worst)) worst = e;
                if (!(-e <= worst)) worst = -e;
            }
            ok &= worst < 1e-5 && norm > 1 - 1e-5 && norm < 1 + 1e-5;
        }
    return ok;
}
