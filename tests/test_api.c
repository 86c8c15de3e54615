/* test_api.c: what bindings stand on. Versions and sizes of structs, exported functions beside what C has as macros, constants by
 * name. */
#include <stddef.h>
#include <stdint.h>
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"

/* ---- structs ---------------------------------------------------------------------------------------------------- */
static int all_are(const void *p, size_t n, uint8_t byte) {
    const uint8_t *b = (const uint8_t *)p;
    while (n--) if (*b++ != byte) return 0;
    return 1;
}
/* T_init as C has it and as the library shows it: nothing before, nothing behind. */
#define CHECK_INIT(T) do { \
        struct { T x; uint8_t behind[16]; } a, b; \
        memset(&a, 0x55, sizeof a); \
        memset(&b, 0x55, sizeof b); \
        T##_init(&a.x); \
        (T##_init)(&b.x); \
        CHECK(a.x.struct_size == sizeof(T) && all_are((char *)&a.x + 4, sizeof(T) - 4, 0) && all_are(a.behind, 16, 0x55)); \
        CHECK(memcmp(&a, &b, sizeof a) == 0); \
        CHECK(aios_sizeof(#T) == sizeof(T)); \
    } while (0);

static void test_structs(void) {
    AIOS__SIZED(CHECK_INIT)
    CHECK(aios_version() == AIOS_VERSION);
    CHECK(aios_sizeof("aios_error") == 256 && aios_sizeof("aios_detok") == 16 && aios_sizeof("aios_logit_bias") == 8);
    CHECK(aios_sizeof("aiosk_matmul") == sizeof(aiosk_matmul) && aios_sizeof("aiosk_isa") == sizeof(aiosk_isa));
    CHECK(aios_sizeof("aios_block_entry") == sizeof(aios_block_entry) && aios_sizeof("aiosk_attend") == sizeof(aiosk_attend));
    CHECK(aios_sizeof(NULL) == 0 && aios_sizeof("") == 0 && aios_sizeof("aios_pla") == 0 && aios_sizeof("aios_plan_") == 0 && aios_sizeof("aios_model") == 0);
}

/* Sizes that structs have had, where pointers have 8 bytes. */
static const struct { uint32_t id, bytes[8]; } had[] = {
    { AIOS__ID_aios_allocator, { 32 } }, { AIOS__ID_aios_io, { 40, 56 } }, { AIOS__ID_aios_model_desc, { 64 } }, { AIOS__ID_aios_model_info, { 120 } },
    { AIOS__ID_aios_plan_desc, { 56, 96, 104, 136 } }, { AIOS__ID_aios_plan, { 184, 192, 256, 264, 288, 312, 320 } }, { AIOS__ID_aios_tensor_place, { 32, 40 } },
    { AIOS__ID_aios_context_desc, { 64, 80 } }, { AIOS__ID_aios_counters, { 72, 120, 144, 168 } }
};
static void test_struct_size(void) {
    uint32_t id, n, i, k;
    aios_error e;
    uint64_t copy[512], from[512];
    if (sizeof(void *) != 8) return;
    memset(from, 0, sizeof from);
    for (id = 0; id < AIOS__N_SIZED; id++) {
        const uint32_t bytes = aios__structs[id].bytes;
        int wrong = 0;
        CHECK(bytes % 8 == 0 && bytes < sizeof copy);
        for (n = 0; n < 5000; n++) {
            int fits = n >= bytes && n % 4 == 0 && n <= 4096;
            for (i = 0; i < sizeof had / sizeof *had; i++)
                for (k = 0; k < 8; k++) fits |= had[i].id == id && had[i].bytes[k] == n && n;
            memcpy(from, &n, 4);
            memcpy(copy, &n, 4);
            wrong += (aios__desc_copy(id, copy, from, &e) == AIOS_OK) != fits || (!fits && (e.code != AIOS_ERR_DESC || e.got != n));
            memset(copy, 0x55, sizeof copy);
            memcpy(copy, &n, 4);
            wrong += (aios__desc_fill(id, copy, from) == AIOS_OK) != fits;
            wrong += fits && n < bytes && (!all_are((char *)copy + 4, n - 4, 0) || !all_are((char *)copy + n, sizeof copy - n, 0x55));
            wrong += !fits && !all_are((char *)copy + 4, sizeof copy - 4, 0x55);
        }
        if (!CHECK(!wrong)) printf("  %s: %d\n", aios__structs[id].name, wrong);
    }
    n = 1u << 20;
    memcpy(from, &n, 4);
    CHECK(aios__desc_copy(AIOS__ID_aios_plan, copy, from, &e) == AIOS_ERR_DESC && strstr(e.text, "aios_plan.struct_size is 1048576"));
}

/* ---- constants -------------------------------------------------------------------------------------------------- */
static void test_constants(void) {
    static const struct { const char *name; int32_t type; } kv[] = {
        { "f32", AIOS_KV_F32 }, { "f16", AIOS_KV_F16 }, { "kv8", AIOS_KV_8 }, { "kv55", AIOS_KV_55 }, { "kv44", AIOS_KV_44 }, { "kv33", AIOS_KV_33 },
        { "kv168", AIOS_KV_168 }, { "kv165", AIOS_KV_165 }, { "kv164", AIOS_KV_164 }, { "kv163", AIOS_KV_163 }, { "kv162", AIOS_KV_162 },
        { "kv816", AIOS_KV_816 }, { "kv85", AIOS_KV_85 }, { "kv84", AIOS_KV_84 }, { "kv83", AIOS_KV_83 }, { "kv82", AIOS_KV_82 },
        { "kv516", AIOS_KV_516 }, { "kv58", AIOS_KV_58 }, { "kv54", AIOS_KV_54 }, { "kv53", AIOS_KV_53 }, { "kv52", AIOS_KV_52 },
        { "kv416", AIOS_KV_416 }, { "kv48", AIOS_KV_48 }, { "kv45", AIOS_KV_45 }, { "kv43", AIOS_KV_43 }, { "kv42", AIOS_KV_42 },
        { "kv316", AIOS_KV_316 }, { "kv38", AIOS_KV_38 }, { "kv35", AIOS_KV_35 }, { "kv34", AIOS_KV_34 }, { "kv32", AIOS_KV_32 }
    };
    char name[8];
    size_t i;
    int32_t type, n = 0;
    for (i = 0; i < sizeof kv / sizeof *kv; i++) CHECK(aiosk_kv_parse(kv[i].name) == kv[i].type && !strcmp(aiosk_kv_name(kv[i].type, name), kv[i].name));
    for (type = 0; type < 4096; type++) n += aiosk_kv_ok(type);
    CHECK(n == (int32_t)(sizeof kv / sizeof *kv));
    CHECK(AIOSK_N_ISA == 11 && (int)AIOS_ISA_AVX512BW == (int)AIOSK_ISA_AVX512BW && (int)AIOS_ISA_BEST == (int)AIOSK_ISA_BEST);
}

static uint8_t file[128];

/* ---- io and memory ---------------------------------------------------------------------------------------------- */
static void test_io(void) {
    struct { aios_io x; uint8_t behind[8]; } a, b;
    memset(&a, 0x55, sizeof a);
    memset(&b, 0x55, sizeof b);
    aios_io_memory(&a.x, file, 100);
    (aios_io_memory)(&b.x, file, 100);
    CHECK(memcmp(&a, &b, sizeof a) == 0 && a.x.struct_size == sizeof a.x && a.x.n_bytes == 100 && a.x.read == aios_io_memory_read && a.x.map == aios_io_memory_map);
    CHECK(all_are(a.behind, 8, 0x55) && !a.x.submit && !a.x.wait);
    memset(&a, 0x55, sizeof a);
    aios_io_memory_sized(&a.x, (uint32_t)offsetof(aios_io, submit), file, 100);             /* an older caller */
    CHECK(a.x.struct_size == offsetof(aios_io, submit) && a.x.user == (void *)file && all_are(&a.x.submit, sizeof a.x - offsetof(aios_io, submit), 0x55));
    aios_io_memory(NULL, file, 100);
    (aios_io_memory)(NULL, file, 100);
    aios_io_memory(&a.x, NULL, 100);
    CHECK(a.x.n_bytes == 0);
}

int main(void) {
    test_structs();
    test_struct_size();
    test_constants();
    test_io();
    return test_end();
}
