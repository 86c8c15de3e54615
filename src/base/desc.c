/* desc.c: the public structs and their versions: sizes by name, *_init, copies of what a caller
 * with an older or newer header gives, and the way back. Behind error.c. */

/* Those with struct_size, and the others. A new one of api.h goes here too. */
/* clang-format off */
#define AIOS__SIZED(X) \
    X(aios_mem_req) X(aios_allocator) X(aios_io) X(aios_hardware) X(aios_limits) \
    X(aios_model_desc) X(aios_model_info) X(aios_tensor_info) X(aios_key_info) \
    X(aios_plan_desc) X(aios_plan) X(aios_tensor_place) X(aios_spill) X(aios_context_desc) \
    X(aios_output) X(aios_cache_info) X(aios_counters) X(aios_op_info) X(aios_blocks_desc) \
    X(aios_blocks_plan) X(aios_block_info) X(aios_telemetry) X(aios_sampler)
#define AIOS__FIXED(X) \
    X(aios_error) X(aios_detok) X(aios_block_entry) X(aios_logit_bias) X(aiosk_type) \
    X(aiosk_matmul) X(aiosk_attend) X(aiosk_isa)
/* clang-format on */

#define AIOS__ROW(T) AIOS__ID_##T,
enum { AIOS__SIZED(AIOS__ROW) AIOS__N_SIZED };
#undef AIOS__ROW
#define AIOS__ROW(T) { #T, (uint32_t)sizeof(T), 0 },
typedef struct aios__struct {
    const char *name;
    uint32_t bytes, reserved;
} aios__struct;
static const aios__struct aios__structs[] = { AIOS__SIZED(AIOS__ROW) AIOS__FIXED(AIOS__ROW) };
#undef AIOS__ROW

/* Where structs of older versions ended: at the first field that a version added. */
#define AIOS__ENDED(T, field) \
    { AIOS__ID_##T, (uint16_t)offsetof(T, field) }
static const struct aios__older {
    uint16_t id, bytes;
} aios__older[] = { AIOS__ENDED(aios_allocator, granted),
                    AIOS__ENDED(aios_io, submit),
                    AIOS__ENDED(aios_io, soon),
                    AIOS__ENDED(aios_limits, max_blocks),
                    AIOS__ENDED(aios_model_desc, artifact),
                    AIOS__ENDED(aios_model_info, n_expert),
                    AIOS__ENDED(aios_plan_desc, hot_bytes),
                    AIOS__ENDED(aios_plan_desc, numa_node_1),
                    AIOS__ENDED(aios_plan_desc, kv_old_type),
                    AIOS__ENDED(aios_plan_desc, l3_bytes),
                    AIOS__ENDED(aios_plan, flags),
                    AIOS__ENDED(aios_plan, tier_bytes),
                    AIOS__ENDED(aios_plan, numa_node_1),
                    AIOS__ENDED(aios_plan, kv_old_type),
                    AIOS__ENDED(aios_plan, n_expert_slots),
                    AIOS__ENDED(aios_plan, kv_layer_type),
                    AIOS__ENDED(aios_plan, n_row_slots),
                    AIOS__ENDED(aios_tensor_place, stream_bytes),
                    AIOS__ENDED(aios_tensor_place, resident_tier),
                    AIOS__ENDED(aios_context_desc, thread_start),
                    AIOS__ENDED(aios_context_desc, spill),
                    AIOS__ENDED(aios_context_desc, trace),
                    AIOS__ENDED(aios_counters, n_units),
                    AIOS__ENDED(aios_counters, tier_bytes),
                    AIOS__ENDED(aios_counters, n_expert_hits),
                    AIOS__ENDED(aios_counters, n_spilled),
                    AIOS__ENDED(aios_sampler, typical_p) };
#undef AIOS__ENDED

/* The struct_size at p, which this or an older version had, or a newer one may have; 0 = it is
 * none of these. */
static uint32_t aios__struct_size(uint32_t id, const void *p) {
    const uint32_t bytes = aios__structs[id].bytes;
    uint32_t n;
    memcpy(&n, p, 4);
    if (n >= bytes) return n <= 4096 && (n - bytes) % 4 == 0 ? n : 0;
    /* with padding behind, where pointers have 4 bytes */
    for (uint32_t i = 0; i < sizeof aios__older / sizeof *aios__older; i++)
        if (aios__older[i].id == id &&
            (aios__older[i].bytes == n || (aios__older[i].bytes + 7u) / 8 * 8 == n))
            return n;
    return 0;
}

AIOS_API uint32_t aios_version(void) { return AIOS_VERSION; }
AIOS_API uint64_t aios_sizeof(const char *struct_name) {
    for (uint32_t i = 0; struct_name && i < sizeof aios__structs / sizeof *aios__structs; i++)
        if (!strcmp(struct_name, aios__structs[i].name)) return aios__structs[i].bytes;
    return 0;
}
static void aios__struct_init(void *d, uint32_t bytes) {
    if (d) memset(d, 0, bytes), memcpy(d, &bytes, 4);
}
#define AIOS__ROW(T)                               \
    AIOS_API void(T##_init)(T * d) {               \
        aios__struct_init(d, (uint32_t)sizeof *d); \
    } /* in brackets, where the macro is not meant */
AIOS__SIZED(AIOS__ROW)
#undef AIOS__ROW

/* Copies a struct AIOS__ID_* that the caller may have compiled against an older or newer header:
 * min(struct_size, sizeof) bytes over zeros. A newer caller's unknown fields must be zero. */
static aios_status aios__desc_copy(uint32_t id, void *dst, const void *src, aios_error *err) {
    const char *what = aios__structs[id].name;
    const uint32_t dst_bytes = aios__structs[id].bytes;
    uint32_t n;
    if (!src) return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "% is NULL", aios__z(what));
    if ((n = aios__struct_size(id, src)) == 0) {
        memcpy(&n, src, 4);
        return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, dst_bytes, n,
                           "%.struct_size is %: call its _init function first", aios__z(what),
                           aios__u(n));
    }
    for (uint32_t i = dst_bytes; i < n; i++)
        if (((const char *)src)[i])
            return aios__fail1(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                               "% sets a field that this version of the library does not know",
                               aios__z(what));
    memset(dst, 0, dst_bytes);
    memcpy(dst, src, n < dst_bytes ? n : dst_bytes);
    return AIOS_OK;
}
/* A flag that this version does not know may change what the caller means: refused, not ignored. */
static aios_status aios__flags(uint32_t given, uint32_t known, const char *what, aios_error *err) {
    if (!(given & ~known)) return AIOS_OK;
    return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, known, given,
                       "%.flags % has bits that this version does not know", aios__z(what),
                       aios__u(given));
}
/* The same of a field that has no meaning yet. */
static aios_status aios__unused(uint32_t given, const char *what, aios_error *err) {
    return given ? aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, 0, given, "%.reserved is %, not 0",
                               aios__z(what), aios__u(given))
                 : AIOS_OK;
}
/* The other way: fills a caller's struct of struct_size bytes, which stays as it is. */
static aios_status aios__desc_fill(uint32_t id, void *dst, const void *src) {
    const uint32_t src_bytes = aios__structs[id].bytes;
    uint32_t n;
    if (!dst) return AIOS_ERR_ARG;
    if ((n = aios__struct_size(id, dst)) == 0) return AIOS_ERR_DESC;
    memcpy((char *)dst + 4, (const char *)src + 4, (n < src_bytes ? n : src_bytes) - 4);
    return AIOS_OK;
}
