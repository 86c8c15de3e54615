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
