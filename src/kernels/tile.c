/* tile.c: where things are in a tile of the KV cache (api.h, attention). */

AIOSK__INLINE int32_t aiosk__hp(int32_t hd) { return (hd + 15) / 16 * 16; }
/* Offset of V. The scales of an i8 tile follow V: f16 [64] of K, then f16 [64] of V. */
AIOSK__INLINE size_t aiosk__tile_v(int32_t kv, int32_t hd_k) {
    return (size_t)(kv == AIOSK_KV_I8 ? aiosk__hp(hd_k) : hd_k) * AIOSK_TILE * (kv == AIOSK_KV_F32 ? 4 : kv == AIOSK_KV_F16 ? 2 : 1);
}
AIOSK__INLINE size_t aiosk__tile_scales(int32_t hd_k, int32_t hd_v) {
    return aiosk__tile_v(AIOSK_KV_I8, hd_k) + (size_t)aiosk__hp(hd_v) * AIOSK_TILE;
}

AIOSK_API uint64_t aiosk_tile_bytes(int32_t kv_type, int32_t hd_k, int32_t hd_v) {
    const uint64_t k = (uint64_t)hd_k, v = (uint64_t)hd_v, kp = (k + 15) / 16 * 16, vp = (v + 15) / 16 * 16;
    if (hd_k <= 0 || hd_v <= 0) return 0;
    switch (kv_type) {
    case AIOSK_KV_F32: return (k + vp) * AIOSK_TILE * 4;
    case AIOSK_KV_F16: return (k + vp) * AIOSK_TILE * 2;
    case AIOSK_KV_I8: return (kp + vp) * AIOSK_TILE + 2 * 2 * AIOSK_TILE;
    default: return 0;
    }
}
