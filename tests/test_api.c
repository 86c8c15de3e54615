/* test_api.c: what bindings stand on. Versions and sizes of structs, exported functions beside
 * what C has as macros, constants by name; keys of a file by name, whole, typed and raw; tokens
 * by text; the allocator that is built in. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
static int n_held, n_mallocs, fail_at = -1;
static void *test_malloc(size_t n) {
    void *p = n_mallocs++ == fail_at ? NULL : malloc(n);
    n_held += p != NULL;
    return p;
}
static void test_free(void *p) {
    n_held -= p != NULL;
    free(p);
}
#define malloc test_malloc
#define free   test_free
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#define AIOS_DEFAULT_ALLOC
#include "aios.h"
#include "test.h"

/* ---- structs ---- */
static int all_are(const void *p, size_t n, uint8_t byte) {
    const uint8_t *b = (const uint8_t *)p;
    while (n--)
        if (*b++ != byte) return 0;
    return 1;
}
/* T_init as C has it and as the library shows it: nothing before, nothing behind. */
#define CHECK_INIT(T)                                                                        \
    do {                                                                                     \
        struct {                                                                             \
            T x;                                                                             \
            uint8_t behind[16];                                                              \
        } a, b;                                                                              \
        memset(&a, 0x55, sizeof a);                                                          \
        memset(&b, 0x55, sizeof b);                                                          \
        T##_init(&a.x);                                                                      \
        (T##_init)(&b.x);                                                                    \
        CHECK(a.x.struct_size == sizeof(T) && all_are((char *)&a.x + 4, sizeof(T) - 4, 0) && \
              all_are(a.behind, 16, 0x55));                                                  \
        CHECK(memcmp(&a, &b, sizeof a) == 0);                                                \
        CHECK(aios_sizeof(#T) == sizeof(T));                                                 \
    } while (0);

static void inits_are_the_same_as_macros_and_as_functions(void) {
    AIOS__SIZED(CHECK_INIT)
    CHECK_EQ(aios_version(), AIOS_VERSION);
    CHECK_EQ(aios_sizeof("aios_error"), 256);
    CHECK_EQ(aios_sizeof("aios_detok"), 16);
    CHECK_EQ(aios_sizeof("aios_logit_bias"), 8);
    CHECK_EQ(aios_sizeof("aiosk_matmul"), sizeof(aiosk_matmul));
    CHECK_EQ(aios_sizeof("aiosk_isa"), sizeof(aiosk_isa));
    CHECK_EQ(aios_sizeof("aios_block_entry"), sizeof(aios_block_entry));
    CHECK_EQ(aios_sizeof("aiosk_attend"), sizeof(aiosk_attend));
    CHECK_EQ(aios_sizeof(NULL), 0);
    CHECK_EQ(aios_sizeof(""), 0);
    CHECK_EQ(aios_sizeof("aios_pla"), 0);
    CHECK_EQ(aios_sizeof("aios_plan_"), 0);
    CHECK_EQ(aios_sizeof("aios_model"), 0);
}

/* Sizes that structs have had, where pointers have 8 bytes. */
static const struct {
    uint32_t id, bytes[8];
} had[] = { { AIOS__ID_aios_allocator, { 32 } },
            { AIOS__ID_aios_io, { 40, 56 } },
            { AIOS__ID_aios_limits, { 40 } },
            { AIOS__ID_aios_model_desc, { 64 } },
            { AIOS__ID_aios_model_info, { 120 } },
            { AIOS__ID_aios_plan_desc, { 56, 96, 104, 136 } },
            { AIOS__ID_aios_plan, { 184, 192, 256, 264, 288, 312, 320 } },
            { AIOS__ID_aios_tensor_place, { 32, 40 } },
            { AIOS__ID_aios_context_desc, { 64, 80, 88 } },
            { AIOS__ID_aios_counters, { 72, 120, 144, 168 } },
            { AIOS__ID_aios_sampler, { 56 } } };
static void a_struct_size_that_no_version_had_is_refused(void) {
    uint32_t id, n, i, k;
    aios_error e;
    uint64_t copy[512], from[512];
    if (sizeof(void *) != 8) return;
    memset(from, 0, sizeof from);
    for (id = 0; id < AIOS__N_SIZED; id++) {
        const uint32_t bytes = aios__structs[id].bytes;
        int wrong = 0;
        CHECK_EQ(bytes % 8, 0);
        CHECK(bytes < sizeof copy);
        for (n = 0; n < 5000; n++) {
            int fits = n >= bytes && n % 4 == 0 && n <= 4096;
            for (i = 0; i < sizeof had / sizeof *had; i++)
                for (k = 0; k < 8; k++) fits |= had[i].id == id && had[i].bytes[k] == n && n;
            memcpy(from, &n, 4);
            memcpy(copy, &n, 4);
            wrong += (aios__desc_copy(id, copy, from, &e) == AIOS_OK) != fits ||
                     (!fits && (e.code != AIOS_ERR_DESC || e.got != n));
            memset(copy, 0x55, sizeof copy);
            memcpy(copy, &n, 4);
            wrong += (aios__desc_fill(id, copy, from) == AIOS_OK) != fits;
            wrong += fits && n < bytes &&
                     (!all_are((char *)copy + 4, n - 4, 0) ||
                      !all_are((char *)copy + n, sizeof copy - n, 0x55));
            wrong += !fits && !all_are((char *)copy + 4, sizeof copy - 4, 0x55);
        }
        CHECK_AT(!wrong, "%s: %d", aios__structs[id].name, wrong);
    }
    n = 1u << 20;
    memcpy(from, &n, 4);
    CHECK_EQ(aios__desc_copy(AIOS__ID_aios_plan, copy, from, &e), AIOS_ERR_DESC);
    CHECK(strstr(e.text, "aios_plan.struct_size is 1048576"));
}

/* Garbage in a field that has no meaning yet is not kept for the day on which it gets one. */
static void reserved_fields_must_be_zero(void) {
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_blocks_desc bd;
    aios_blocks_plan bp;
    aios_sampler sa;
    aios_mem_req q;
    aios_model *m;
    aios_error e;
    float logit = 0;
    uint64_t work[64];
    int32_t id;
    aios_model_desc_init(&md);
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    aios_blocks_desc_init(&bd);
    aios_blocks_plan_init(&bp);
    aios_sampler_init(&sa);
    aios_mem_req_init(&q);
    md.path = bd.path = "models/tale.gguf";
    md.reserved = bd.reserved = sa.reserved = 7;
    pd.reserved = 7;
    CHECK_EQ(aios_model_measure(&md, &q, &e), AIOS_ERR_DESC);
    CHECK(strstr(e.text, "aios_model_desc.reserved is 7"));
    CHECK_EQ(aios_blocks_measure(&bd, &bp, &e), AIOS_ERR_DESC);
    CHECK_EQ(aios_sample_logits(&sa, &logit, 1, NULL, 0, 0, work, &id, &e), AIOS_ERR_DESC);
    md.reserved = 0;
    if (aios_model_open(&md, &m, &e)) {
        printf("skip: reserved fields of a plan: %s\n", e.text);
        return;
    }
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), AIOS_ERR_DESC);
    pd.reserved = 0;
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), 0);
    aios_model_free(m);
}

/* ---- constants ---- */
static void constants_have_the_values_of_the_kernels(void) {
    static const struct {
        const char *name;
        int32_t type;
    } kv[] = { { "f32", AIOS_KV_F32 },   { "f16", AIOS_KV_F16 },   { "kv8", AIOS_KV_8 },
               { "kv55", AIOS_KV_55 },   { "kv44", AIOS_KV_44 },   { "kv33", AIOS_KV_33 },
               { "kv168", AIOS_KV_168 }, { "kv165", AIOS_KV_165 }, { "kv164", AIOS_KV_164 },
               { "kv163", AIOS_KV_163 }, { "kv162", AIOS_KV_162 }, { "kv816", AIOS_KV_816 },
               { "kv85", AIOS_KV_85 },   { "kv84", AIOS_KV_84 },   { "kv83", AIOS_KV_83 },
               { "kv82", AIOS_KV_82 },   { "kv516", AIOS_KV_516 }, { "kv58", AIOS_KV_58 },
               { "kv54", AIOS_KV_54 },   { "kv53", AIOS_KV_53 },   { "kv52", AIOS_KV_52 },
               { "kv416", AIOS_KV_416 }, { "kv48", AIOS_KV_48 },   { "kv45", AIOS_KV_45 },
               { "kv43", AIOS_KV_43 },   { "kv42", AIOS_KV_42 },   { "kv316", AIOS_KV_316 },
               { "kv38", AIOS_KV_38 },   { "kv35", AIOS_KV_35 },   { "kv34", AIOS_KV_34 },
               { "kv32", AIOS_KV_32 } };
    char name[8];
    size_t i;
    int32_t type, n = 0;
    for (i = 0; i < sizeof kv / sizeof *kv; i++)
        CHECK(aiosk_kv_parse(kv[i].name) == kv[i].type &&
              !strcmp(aiosk_kv_name(kv[i].type, name), kv[i].name));
    for (type = 0; type < 4096; type++) n += aiosk_kv_ok(type);
    CHECK_EQ(n, (int32_t)(sizeof kv / sizeof *kv));
    CHECK_EQ(AIOSK_N_ISA, 11);
    CHECK_EQ((int)AIOS_ISA_AVX512BW, (int)AIOSK_ISA_AVX512BW);
    CHECK_EQ((int)AIOS_ISA_BEST, (int)AIOSK_ISA_BEST);
    CHECK_EQ((int)AIOS_KEY_U8, (int)AIOS__U8);
    CHECK_EQ((int)AIOS_KEY_STR, (int)AIOS__STR);
    CHECK_EQ((int)AIOS_KEY_ARR, (int)AIOS__ARR);
    CHECK_EQ((int)AIOS_KEY_F64, (int)AIOS__F64);
}

/* ---- a file of keys ---- */
static uint8_t file[8192];
static size_t at;
static void put(const void *p, size_t n) {
    memcpy(file + at, p, n);
    at += n;
}
static void put32(uint32_t v) { put(&v, 4); }
static void put64(uint64_t v) { put(&v, 8); }
static void put_bytes(const char *s, size_t n) {
    put64(n);
    put(s, n);
}
static void put_z(const char *z) { put_bytes(z, strlen(z)); }
static void key(const char *name, uint32_t type) {
    put_z(name);
    put32(type);
}
static void array(const char *name, uint32_t type, uint64_t n) {
    key(name, AIOS_KEY_ARR);
    put32(type);
    put64(n);
}
static const char chat[] =
    "{% for m in messages %}\n\t{{ m.role }}: {{ m.content }}\r\n{% endfor %}\0 \x7f\xff end";
/* clang-format off */
static const char *const pieces[] = { "<unk>",
                                      "<s>",
                                      "</s>",
                                      "\xe2\x96\x81"
                                      "a",
                                      "<|im_start|>",
                                      "b\n",
                                      "",
                                      "b\n" };
/* clang-format on */
enum { N_KEYS = 19, N_PIECES = 8 };

static void make_file(const char *tokenizer) {
    int i;
    at = 0;
    put("GGUF", 4);
    put32(3);
    put64(0);
    put64(N_KEYS);
    key("general.architecture", AIOS_KEY_STR);
    put_z("of no family");
    key("tokenizer.ggml.model", AIOS_KEY_STR);
    put_z(tokenizer);
    key("tokenizer.chat_template", AIOS_KEY_STR);
    put_bytes(chat, sizeof chat - 1);
    array("tokenizer.ggml.tokens", AIOS_KEY_STR, N_PIECES);
    for (i = 0; i < N_PIECES; i++) put_z(pieces[i]);
    array("tokenizer.ggml.token_type", AIOS_KEY_I32, N_PIECES);
    for (i = 0; i < N_PIECES; i++) put32(i < 3 || i == 4 ? 3 : 1);
    key("u8", AIOS_KEY_U8);
    put("\xc8", 1);
    key("i8", AIOS_KEY_I8);
    put("\x80", 1);
    key("u16", AIOS_KEY_U16);
    put("\xff\xff", 2);
    key("i32", AIOS_KEY_I32);
    put32(0x80000000u);
    key("u64", AIOS_KEY_U64);
    put64(UINT64_MAX);
    key("i64", AIOS_KEY_I64);
    put64((uint64_t)1 << 63);
    key("f32", AIOS_KEY_F32);
    put32(0x3fc00000u); /* 1.5 */
    key("f64", AIOS_KEY_F64);
    put64(0xbfd0000000000000u); /* -0.25 */
    key("bool", AIOS_KEY_BOOL);
    put("\1", 1);
    array("shorts", AIOS_KEY_I16, 3);
    put("\1\0\xfe\xff\3\0", 6);
    array("none", AIOS_KEY_STR, 0);
    array("nested", AIOS_KEY_ARR, 2);
    put32(AIOS_KEY_U8);
    put64(2);
    put("ab", 2);
    put32(AIOS_KEY_STR);
    put64(1);
    put_z("c");
    key("empty", AIOS_KEY_STR);
    put_z("");
    array("tokenizer.ggml.merges", AIOS_KEY_STR, 1);
    put_z("a b");
}
static aios_model *open_it(const aios_io *io) {
    aios_model_desc d;
    aios_model *m;
    aios_error e;
    aios_model_desc_init(&d);
    d.io = io;
    d.flags = AIOS_MODEL_VOCAB_ONLY;
    CHECK_AT(aios_model_open(&d, &m, &e) == AIOS_OK, "%s", e.text);
    return m;
}
static int64_t number(const aios_model *m, const char *name) {
    int64_t v = 12345;
    aios_status st = aios_key_i64(m, aios_key_find(m, name), 0, &v);
    return st ? st : v;
}

static void keys_are_found_whole_typed_and_raw(const aios_io *io) {
    aios_model *m = open_it(io);
    aios_key_info k;
    aios_model_info info;
    const char *text = NULL;
    uint64_t n = 0, u = 7, i;
    int64_t id, v = 7;
    double f = 7;
    int32_t b = 7;
    char name[16], type[16], value[128];
    if (!m) return;
    aios_model_info_init(&info);
    CHECK_EQ(aios_model_get_info(m, &info), AIOS_OK);
    CHECK_EQ(info.n_keys, N_KEYS);
    aios_key_info_init(&k);

    /* a chat template comes out whole, and for people as it was */
    id = aios_key_find(m, "tokenizer.chat_template");
    CHECK_EQ(id, 2);
    CHECK_EQ(aios_key_str(m, id, 0, &text, &n), AIOS_OK);
    CHECK_EQ(n, sizeof chat - 1);
    CHECK_MEM(text, chat, sizeof chat - 1);
    CHECK_EQ(aios_key_get(m, id, &k), AIOS_OK);
    CHECK_EQ(k.type, AIOS_KEY_STR);
    CHECK_EQ(k.item_type, AIOS_KEY_STR);
    CHECK_EQ(k.n_items, 1);
    CHECK_EQ(k.n_bytes, 8 + sizeof chat - 1);
    CHECK_EQ(k.name_bytes, 23);
    CHECK_MEM(k.name, "tokenizer.chat_template", 23);
    CHECK_MEM((const char *)k.data + 8, chat, sizeof chat - 1);
    CHECK_EQ(aios_model_get_key(m, 2, name, sizeof name, type, sizeof type, value, sizeof value),
             AIOS_OK);
    CHECK(strstr(value, "%}??{{ m.role"));

    /* numbers, of any width; what does not fit is said */
    CHECK_EQ(number(m, "u8"), 200);
    CHECK_EQ(number(m, "i8"), -128);
    CHECK_EQ(number(m, "u16"), 65535);
    CHECK_EQ(number(m, "i32"), INT32_MIN);
    CHECK_EQ(number(m, "i64"), INT64_MIN);
    CHECK_EQ(number(m, "u64"), AIOS_ERR_MODEL);
    CHECK_EQ(number(m, "f32"), AIOS_ERR_MODEL);
    CHECK_EQ(number(m, "bool"), AIOS_ERR_MODEL);
    CHECK_EQ(number(m, "empty"), AIOS_ERR_MODEL);
    CHECK_EQ(aios_key_u64(m, aios_key_find(m, "u64"), 0, &u), AIOS_OK);
    CHECK_EQ(u, UINT64_MAX);
    u = 7;
    CHECK_EQ(aios_key_u64(m, aios_key_find(m, "i8"), 0, &u), AIOS_ERR_MODEL);
    CHECK_EQ(u, 7);
    CHECK_EQ(aios_key_f64(m, aios_key_find(m, "f32"), 0, &f), AIOS_OK);
    CHECK(f == 1.5);
    CHECK_EQ(aios_key_f64(m, aios_key_find(m, "f64"), 0, &f), AIOS_OK);
    CHECK(f == -0.25);
    CHECK_EQ(aios_key_f64(m, aios_key_find(m, "i8"), 0, &f), AIOS_OK);
    CHECK(f == -128);
    CHECK_EQ(aios_key_f64(m, aios_key_find(m, "bool"), 0, &f), AIOS_ERR_MODEL);
    CHECK_EQ(aios_key_bool(m, aios_key_find(m, "bool"), 0, &b), AIOS_OK);
    CHECK_EQ(b, 1);
    CHECK_EQ(aios_key_bool(m, aios_key_find(m, "u8"), 0, &b), AIOS_ERR_MODEL);

    /* arrays by item */
    id = aios_key_find(m, "shorts");
    CHECK_EQ(aios_key_get(m, id, &k), AIOS_OK);
    CHECK_EQ(k.type, AIOS_KEY_ARR);
    CHECK_EQ(k.item_type, AIOS_KEY_I16);
    CHECK_EQ(k.n_items, 3);
    CHECK_EQ(k.n_bytes, 6);
    CHECK_EQ(aios_key_i64(m, id, 1, &v), AIOS_OK);
    CHECK_EQ(v, -2);
    CHECK_EQ(aios_key_u64(m, id, 2, &u), AIOS_OK);
    CHECK_EQ(u, 3);
    CHECK_EQ(aios_key_f64(m, id, 0, &f), AIOS_OK);
    CHECK(f == 1);
    CHECK_EQ(aios_key_i64(m, id, 3, &v), AIOS_ERR_ARG);
    CHECK_EQ(v, -2);
    CHECK_EQ(aios_key_i64(m, id, UINT64_MAX, &v), AIOS_ERR_ARG);
    id = aios_key_find(m, "tokenizer.ggml.tokens");
    for (i = u = 0; aios_key_next_str(m, id, &u, &text, &n) == 1; i++) {
        const char *same = NULL;
        uint64_t n_same = 0;
        CHECK_EQ(n, strlen(pieces[i]));
        CHECK_MEM(text, pieces[i], (size_t)n);
        CHECK_EQ(aios_key_str(m, id, i, &same, &n_same), AIOS_OK);
        CHECK(same == text);
        CHECK_EQ(n_same, n);
    }
    CHECK_EQ(i, N_PIECES);
    CHECK_EQ(aios_key_next_str(m, id, &u, &text, &n), 0);
    CHECK_EQ(aios_key_str(m, id, N_PIECES, &text, &n), AIOS_ERR_ARG);
    for (i = 0; i <= u + 16; i++) { /* a place that nobody gave reads nothing outside */
        uint64_t where = i;
        CHECK(aios_key_next_str(m, id, &where, &text, &n) != 1 || (where <= u && n <= u));
    }
    u = UINT64_MAX - 3;
    CHECK_EQ(aios_key_next_str(m, id, &u, &text, &n), AIOS_ERR_ARG);
    u = 0;
    CHECK_EQ(aios_key_next_str(m, aios_key_find(m, "none"), &u, &text, &n), 0);
    CHECK_EQ(aios_key_str(m, aios_key_find(m, "none"), 0, &text, &n), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_next_str(m, aios_key_find(m, "u8"), &u, &text, &n), AIOS_ERR_MODEL);
    id = aios_key_find(m, "nested");
    CHECK_EQ(aios_key_get(m, id, &k), AIOS_OK);
    CHECK_EQ(k.type, AIOS_KEY_ARR);
    CHECK_EQ(k.item_type, AIOS_KEY_ARR);
    CHECK_EQ(k.n_items, 2);
    CHECK_EQ(k.n_bytes, 14 + 12 + 9);
    CHECK_EQ(aios_key_i64(m, id, 0, &v), AIOS_ERR_MODEL);
    CHECK_EQ(aios_key_str(m, id, 0, &text, &n), AIOS_ERR_MODEL);
    CHECK_MEM((const char *)k.data + 12, "ab", 2);
    CHECK_EQ(aios_key_str(m, aios_key_find(m, "empty"), 0, &text, &n), AIOS_OK);
    CHECK_EQ(n, 0);

    /* what is not there */
    CHECK_EQ(aios_key_find(m, "tokenizer.chat"), -1);
    CHECK_EQ(aios_key_find(m, ""), -1);
    CHECK_EQ(aios_key_find(m, NULL), -1);
    CHECK_EQ(aios_key_find(NULL, "u8"), -1);
    CHECK_EQ(aios_key_get(m, -1, &k), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_get(m, N_KEYS, &k), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_get(m, INT64_MIN, &k), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_get(NULL, 0, &k), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_get(m, 0, NULL), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_str(m, 0, 0, NULL, &n), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_str(m, 0, 1, &text, &n), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_str(m, -1, 0, &text, &n), AIOS_ERR_ARG);
    CHECK_EQ(aios_key_u64(m, -1, 0, &u), AIOS_ERR_ARG);
    k.struct_size = 12;
    CHECK_EQ(aios_key_get(m, 0, &k), AIOS_ERR_DESC);
    aios_model_free(m);
}

static int32_t find(const aios_model *m, const char *z) { return aios_token_find(m, z, strlen(z)); }
static void tokens_are_found_by_their_text(const char *tokenizer) {
    CASE("%s", tokenizer);
    aios_io io;
    aios_model *m;
    make_file(tokenizer);
    aios_io_memory(&io, file, at);
    if ((m = open_it(&io)) == NULL) return;
    CHECK_EQ(find(m, "<|im_start|>"), 4);
    CHECK_EQ(find(m, "</s>"), 2);
    CHECK_EQ(find(m, pieces[3]), 3);
    CHECK_EQ(find(m, "<unk>"), 0);
    CHECK_EQ(find(m, "b\n"), 5);
    CHECK_EQ(find(m, "<|im_start|"), -1);
    CHECK_EQ(find(m, "<|im_start|>>"), -1);
    CHECK_EQ(find(m, ""), -1);
    CHECK_EQ(find(m, "nowhere to be found in a vocabulary as small as this"), -1);
    CHECK_EQ(aios_token_find(m, "</s>?", 4), 2);
    CHECK_EQ(aios_token_find(m, NULL, 0), -1);
    CHECK_EQ(aios_token_find(NULL, "</s>", 4), -1);
    aios_model_free(m);
}

/* ---- io and memory ---- */
static void aios_io_memory_fills_what_its_caller_knows(void) {
    struct {
        aios_io x;
        uint8_t behind[8];
    } a, b;
    memset(&a, 0x55, sizeof a);
    memset(&b, 0x55, sizeof b);
    aios_io_memory(&a.x, file, 100);
    (aios_io_memory)(&b.x, file, 100);
    CHECK_MEM(&a, &b, sizeof a);
    CHECK_EQ(a.x.struct_size, sizeof a.x);
    CHECK_EQ(a.x.n_bytes, 100);
    CHECK(a.x.read == aios_io_memory_read);
    CHECK(a.x.map == aios_io_memory_map);
    CHECK(all_are(a.behind, 8, 0x55) && !a.x.submit && !a.x.wait);
    memset(&a, 0x55, sizeof a);
    aios_io_memory_sized(&a.x, (uint32_t)offsetof(aios_io, submit), file,
                         100); /* an older caller */
    CHECK_EQ(a.x.struct_size, offsetof(aios_io, submit));
    CHECK(a.x.user == (void *)file);
    CHECK(all_are(&a.x.submit, sizeof a.x - offsetof(aios_io, submit), 0x55));
    aios_io_memory(NULL, file, 100);
    (aios_io_memory)(NULL, file, 100);
    aios_io_memory(&a.x, NULL, 100);
    CHECK_EQ(a.x.n_bytes, 0);
}

/* A whole run on the allocator that is built in; what a failure does at each of its calls. */
static aios_status story(int32_t *id) {
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan p;
    aios_context_desc cd;
    aios_sampler s;
    aios_model *m = NULL;
    aios_context *c = NULL;
    aios_error e;
    aios_status st;
    int32_t ids[4];
    aios_model_desc_init(&md);
    md.path = "models/tale.gguf";
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    aios_plan_init(&p);
    aios_context_desc_init(&cd);
    aios_sampler_init(&s);
    st = aios_model_open(&md, &m, &e);
    if (!st) st = aios_plan_make(m, &pd, &p, &e);
    if (!st) st = aios_context_open(m, &p, &cd, &c, &e);
    if (!st && aios_tokenize(m, "Once", 4, 0, ids, 4, &e) < 1) st = AIOS_ERR_VOCAB;
    if (!st) st = aios_feed(c, 0, ids, 1, 0, &e);
    while (!st && (st = aios_step(c, 0, &e)) == AIOS_MORE) {}
    if (!st) st = aios_sample(c, 0, &s, id, &e);
    aios_context_free(c);
    aios_model_free(m);
    return st;
}
static void the_built_in_allocator_gives_all_back(void) {
    aios_allocator a;
    aios_mem_req r;
    aios_error e;
    int32_t id = -1, again = -2, n, i;
    size_t n_file;
    uint8_t *p;
    CHECK(aios__allocator_copy(&a, NULL, "x", &e) == AIOS_OK && a.alloc && a.free && a.granted);
    aios_mem_req_init(&r);
    for (r.align = 1; r.align <= 1 << 21; r.align *= 2) {
        void *q;
        r.bytes = 100;
        q = a.alloc(a.user, &r);
        if (!CHECK(q && (uintptr_t)q % r.align == 0)) break;
        memset(q, 1, 100);
        a.free(a.user, q, &r);
    }
    r.align = 64;
    r.bytes = UINT64_MAX - 10;
    CHECK(a.alloc(a.user, &r) == NULL && a.granted(a.user, NULL, &r) == 0 && n_held == 0);
    if ((p = test_read_file("models/tale.gguf", &n_file)) == NULL) {
        printf("skip: a run with the built-in allocator: no models/tale.gguf here\n");
        return;
    }
    free(p);
    n_mallocs = 0;
    CHECK_EQ(story(&id), AIOS_OK);
    CHECK(id >= 0);
    CHECK_EQ(n_held, 0);
    for (i = 0, n = n_mallocs; i < n; i++) {
        n_mallocs = 0;
        fail_at = i;
        CHECK_EQ(story(&again), AIOS_ERR_MEMORY);
        CHECK_EQ(n_held, 0);
    }
    fail_at = -1;
    CHECK_EQ(story(&again), AIOS_OK);
    CHECK_EQ(again, id);
}

int main(int argc, char **argv) {
    aios_io io;
    test_begin(argc, argv);
    TEST(inits_are_the_same_as_macros_and_as_functions)();
    TEST(a_struct_size_that_no_version_had_is_refused)();
    TEST(reserved_fields_must_be_zero)();
    TEST(constants_have_the_values_of_the_kernels)();
    TEST(aios_io_memory_fills_what_its_caller_knows)();
    make_file("llama");
    aios_io_memory(&io, file, at);
    TEST(keys_are_found_whole_typed_and_raw)(&io);
    io.map = NULL; /* the header is a copy */
    TEST(keys_are_found_whole_typed_and_raw)(&io);
    TEST(tokens_are_found_by_their_text)("llama");
    TEST(tokens_are_found_by_their_text)("gpt2");
    /* it has no table of texts */
    TEST(tokens_are_found_by_their_text)("of a kind that nobody knows");
    TEST(the_built_in_allocator_gives_all_back)();
    return test_end();
}
