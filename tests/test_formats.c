/* test_formats.c: the definition of every stored format (kernels/ref.c) against stored bytes:
 * golden blocks of ../shared/fixtures/types/dequant, half precision, canonical integers, the
 * type table, the yardstick matmul. */
#include "aios_kernels.h"
#include "kernels/base.h"
#include "kernels/ref.c" /* what is judged: nothing of the library is linked */
#include "test.h"

/* clang-format off */
static const int32_t known[] = {
#define X(N, ...) AIOSK_##N,
    AIOSK__FORMATS(X)
#undef X
};
/* clang-format on */
enum { N_KNOWN = (int)(sizeof known / sizeof known[0]) };

static double two_to(int e) {
    double v = 1;
    for (; e > 0; e--) v *= 2;
    for (; e < 0; e++) v /= 2;
    return v;
}

static int is_nan32(uint32_t u) { return (u & 0x7FFFFFFF) > 0x7F800000; }
static int is_finite(float x) { return (aiosk__f32_bits(x) & 0x7F800000) != 0x7F800000; }
static int same_bits(float a, float b) { return aiosk__f32_bits(a) == aiosk__f32_bits(b); }
static double magnitude(double x) { return x < 0 ? -x : x; }

static int32_t type_by_name(const char *name) {
    int i;
    for (i = 0; i < N_KNOWN; i++)
        if (strcmp(aiosk_type_info(known[i])->name, name) == 0) return known[i];
    return -1;
}

/* ---- type table ---- */

static void types_have_their_sizes(void) {
    static const int32_t unknown[] = { -2147483647 - 1, -1, 4, 31, AIOSK_N_TYPES, 2147483647 };
    size_t i, n = 0;
    int32_t id;
    for (i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        CHECK(aiosk_type_info(unknown[i]) == NULL);
        CHECK_EQ(aiosk_row_bytes(unknown[i], 256), 0);
    }
    for (id = 0; id < AIOSK_N_TYPES; id++) {
        if (n < N_KNOWN && known[n] == id)
            n++;
        else
            CHECK(aiosk_type_info(id) == NULL && aiosk_row_bytes(id, 256) == 0);
    }
    CHECK_EQ(n, N_KNOWN);
    for (i = 0; i < N_KNOWN; i++) {
        const aiosk_type *t = aiosk_type_info(known[i]);
        if (!CHECK(t && t->name && t->n_weights && t->n_bytes)) continue;
        CHECK(known[i] < AIOSK_N_TYPES);
        CHECK_EQ(aiosk_row_bytes(known[i], 0), 0);
        CHECK_EQ(aiosk_row_bytes(known[i], t->n_weights), t->n_bytes);
        CHECK_EQ(aiosk_row_bytes(known[i], (uint64_t)t->n_weights << 32),
                 (uint64_t)t->n_bytes << 32);
        CHECK(aiosk_row_bytes(known[i], t->n_weights + t->n_weights / 2) == 0 || t->n_weights == 1);
        /* 2^64 - n_weights: whole blocks; the bytes fit only when a weight takes no more than
         * one */
        CHECK((aiosk_row_bytes(known[i], 0 - (uint64_t)t->n_weights) == 0) ==
              (t->n_bytes > t->n_weights));
    }
    CHECK_EQ(AIOSK_Q4_K, 12);
    CHECK_EQ(AIOSK_Q2_0, 42);
    CHECK_STR(aiosk_type_info(AIOSK_IQ4_XS)->name, "iq4_xs");
    CHECK_EQ(aiosk_type_info(AIOSK_IQ4_XS)->family, AIOSK_A256);
}

/* ---- half precision ---- */

/* The f16 value by its definition; not for infinities and NaN, except that 0x7C00 gives 65536,
 * the number that would follow the largest: what is nearest to it rounds to infinity. */
static double f16_value(uint32_t h) {
    uint32_t e = h >> 10 & 31, m = h & 0x3FF;
    double v = e ? (1024 + m) * two_to((int)e - 25) : m * two_to(-24);
    return h & 0x8000 ? -v : v;
}

static double f16_values[0x7C01]; /* of the codes 0..0x7C00, ascending */

/* Nearest by search, ties to the even code. x is no NaN. */
static uint16_t f16_nearest(float x) {
    uint32_t u = aiosk__f32_bits(x), lo = 0, hi = 0x7C00;
    double a = magnitude((double)x);
    if (a >= 65536) return (uint16_t)((u >> 16 & 0x8000) | 0x7C00);
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (f16_values[mid] <= a)
            lo = mid;
        else
            hi = mid;
    }
    if (a - f16_values[lo] > f16_values[hi] - a ||
        (a - f16_values[lo] == f16_values[hi] - a && (lo & 1)))
        lo = hi;
    return (uint16_t)((u >> 16 & 0x8000) | lo);
}

static int f16_rounds(uint32_t bits) {
    float x = aiosk__bits_f32(bits);
    return aiosk_f32_to_f16(x) == f16_nearest(x);
}

static void half_precision_is_rounded_to_nearest(void) {
    uint64_t seed = 16;
    uint32_t h;
    int bad_value = 0, bad_back = 0, bad_round = 0, i;
    for (h = 0; h < 0x7C01; h++) f16_values[h] = f16_value(h);
    for (h = 0; h < 0x10000; h++) {
        float x = aiosk_f16_to_f32((uint16_t)h);
        uint32_t u = aiosk__f32_bits(x), m = h & 0x3FF;
        if ((h & 0x7C00) == 0x7C00) {
            bad_value += u != ((h & 0x8000) << 16 | 0x7F800000 | m << 13 | (m ? 0x400000u : 0));
            bad_back += aiosk_f32_to_f16(x) != (m ? h | 0x200 : h);
        } else {
            bad_value += (double)x != f16_value(h) || u >> 31 != h >> 15;
            bad_back += aiosk_f32_to_f16(x) != h;
        }
    }
    CHECK_EQ(bad_value, 0);
    CHECK_EQ(bad_back, 0);
    /* half way between neighbours, and one float to either side, both signs */
    for (h = 0; h < 0x7C00; h++) {
        uint32_t u = aiosk__f32_bits((float)((f16_values[h] + f16_values[h + 1]) / 2));
        int d, s;
        for (d = -1; d <= 1; d++)
            for (s = 0; s < 2; s++) bad_round += !f16_rounds((u + (uint32_t)d) | (uint32_t)s << 31);
    }
    CHECK_EQ(bad_round, 0);
    for (i = 0; i < 300000;
         i++) { /* exponents from well below the least subnormal to beyond the largest */
        uint32_t r = (uint32_t)(test_rand(&seed) >> 32), e = 95 + (uint32_t)(i % 55);
        bad_round += !f16_rounds((r & 0x807FFFFF) | e << 23);
    }
    CHECK_EQ(bad_round, 0);
    CHECK_EQ(aiosk_f32_to_f16(65519.99f), 0x7BFF);
    CHECK_EQ(aiosk_f32_to_f16(65520.0f), 0x7C00);
    CHECK_EQ(aiosk_f32_to_f16(aiosk__bits_f32(0xFF800000)), 0xFC00);
    CHECK_EQ(aiosk_f32_to_f16(aiosk__bits_f32(0x7F800001)),
             0x7E00); /* a NaN whose payload lies too low */
    CHECK_EQ(aiosk_f32_to_f16(aiosk__bits_f32(0x00000001)), 0);
    CHECK_EQ(aiosk_f32_to_f16(aiosk__bits_f32(0x80000001)), 0x8000);
}

static void bf16_is_rounded_to_nearest(void) {
    uint64_t seed = 17;
    uint32_t h;
    int bad = 0, i;
    for (h = 0; h < 0x10000; h++) {
        float x = aiosk__bf16((uint16_t)h);
        bad += aiosk__f32_bits(x) != h << 16;
        bad += aiosk__to_bf16(x) != (is_nan32(h << 16) ? h | 0x40 : h);
    }
    CHECK_EQ(bad, 0);
    for (i = 0; i < 100000; i++) { /* nearer of the two neighbours, ties to even; finite ones */
        uint32_t u = (uint32_t)(test_rand(&seed) >> 32), lo = u >> 16, hi = lo + 1, want;
        double a, b;
        if (i & 1) u = (u & 0xFFFF0000) | 0x8000;
        if ((hi & 0x7F80) == 0x7F80 || (lo & 0x7F80) == 0x7F80) continue;
        a = magnitude((double)aiosk__bits_f32(u) - (double)aiosk__bits_f32(lo << 16));
        b = magnitude((double)aiosk__bits_f32(u) - (double)aiosk__bits_f32(hi << 16));
        want = a < b || (a == b && !(lo & 1)) ? lo : hi;
        bad += aiosk__to_bf16(aiosk__bits_f32(u)) != (uint16_t)want;
    }
    CHECK_EQ(bad, 0);
    CHECK_EQ(aiosk__to_bf16(aiosk__bits_f32(0x7F7FFFFF)), 0x7F80);
    CHECK_EQ(aiosk__to_bf16(aiosk__bits_f32(0xFFFFFFFF)), 0xFFFF);
    CHECK_EQ(aiosk__to_bf16(aiosk__bits_f32(0x7F800001)), 0x7FC0);
}

/* ---- canonical integers ---- */

/* One block: integers put together in double against aiosk_unpack, and the promises of
 * aiosk__ints. */
static int ints_agree(int32_t type, const uint8_t *block, int64_t *max_s) {
    const aiosk_type *t = aiosk_type_info(type);
    uint32_t n = t->n_weights, k,
             unit = t->family == AIOSK_A32 ? (type == AIOSK_NVFP4 ? 16 : 32) : 256;
    int64_t s = 0, m = 0;
    aiosk__ints v;
    float y[256];
    if (type == AIOSK_Q8_1) unit = 32;
    memset(&v, 0x5A, sizeof v);
    aiosk__unpack_ints(type, block, &v);
    aiosk_unpack(type, block, n, y);
    if (v.unit != (int32_t)unit) return 0;
    for (k = 0; k < n; k++) {
        double a, b, err;
        int sc = 1, mn = 1;
        if (unit == 256) sc = v.sc[k / 16], mn = v.mn[k / 16];
        a = (double)v.d[k / unit] * sc * v.q[k];
        b = (double)v.dmin[k / unit] * mn;
        err = magnitude(a - b - (double)y[k]);
        /* two roundings, each half a last place of the larger part (or of the least subnormal) */
        if (err > (magnitude(a) + magnitude(b)) * two_to(-23) + two_to(-149)) return 0;
        if (!v.has_min && (v.dmin[k / unit] != 0 || (unit == 256 && mn != 0))) return 0;
        s += 127 * (sc * v.q[k] < 0 ? -sc * v.q[k] : sc * v.q[k]);
        m += 127 * (mn < 0 ? -mn : mn);
    }
    if (m > *max_s) *max_s = m;
    if (s > *max_s) *max_s = s;
    return 1;
}

static void codes_times_scales_are_the_weights(void) {
    uint64_t seed = 32;
    int t, i;
    for (t = 0; t < N_KNOWN; t++) {
        const aiosk_type *info = aiosk_type_info(known[t]);
        int64_t max_s = 0;
        int bad = 0;
        if (info->n_weights == 1) continue;
        for (i = 0; i < 1000;) {
            uint8_t block[292];
            float y[256];
            uint32_t k, ok = 1;
            for (k = 0; k < info->n_bytes; k++) block[k] = (uint8_t)(test_rand(&seed) >> 56);
            aiosk_unpack(known[t], block, info->n_weights, y);
            for (k = 0; k < info->n_weights; k++) ok &= (uint32_t)is_finite(y[k]);
            if (!ok) continue; /* an infinite or NaN scale: other bits */
            bad += !ints_agree(known[t], block, &max_s);
            i++;
        }
        CHECK_AT(bad == 0, "type %s: %d of 1000", info->name, bad);
        CHECK(max_s < 2147483648LL);
    }
}

/* ---- golden blocks ---- */

static void stored_blocks_have_their_values(void) {
    uint8_t *index = test_read_file(shared_path("fixtures/types/dequant/index.tsv"), NULL);
    int seen[AIOSK_N_TYPES] = { 0 }, i;
    char *line;
    if (!index) {
        printf("skip: golden blocks of test_formats needs ../shared\n");
        return;
    }
    for (line = strtok((char *)index, "\n"); line; line = strtok(NULL, "\n")) {
        char name[16], file[64];
        int id;
        unsigned n_weights, n_bytes, n_blocks;
        uint8_t *blocks, *want, *odd;
        size_t blocks_bytes = 0, want_bytes = 0, n, k;
        const aiosk_type *t;
        float *y;
        int bad = 0;
        int64_t max_s = 0;
        if (sscanf(line, "%15s %d %u %u %u", name, &id, &n_weights, &n_bytes, &n_blocks) != 5)
            continue; /* heading */
        t = aiosk_type_info(id);
        if (!CHECK(t && type_by_name(name) == id && t->n_weights == n_weights &&
                   t->n_bytes == n_bytes))
            continue;
        seen[id] = 1;
        snprintf(file, sizeof file, "fixtures/types/dequant/%s.blocks", name);
        blocks = test_read_file(shared_path(file), &blocks_bytes);
        snprintf(file, sizeof file, "fixtures/types/dequant/%s.f32", name);
        want = test_read_file(shared_path(file), &want_bytes);
        n = (size_t)n_weights * n_blocks;
        if (CHECK(blocks && want && blocks_bytes == (size_t)n_bytes * n_blocks &&
                  want_bytes == 4 * n)) {
            CHECK_EQ(aiosk_row_bytes(id, n), blocks_bytes);
            y = (float *)malloc(4 * n);
            odd = (uint8_t *)malloc(blocks_bytes + 1); /* blocks lie at any address */
            if (CHECK(y && odd)) {
                memcpy(odd + 1, blocks, blocks_bytes);
                aiosk_unpack(id, odd + 1, n, y);
                for (k = 0; k < n; k++) bad += !same_bits(y[k], aiosk__f32(want + 4 * k));
                CHECK_AT(bad == 0, "type %s: %d of %u values", name, bad, (unsigned)n);
                if (n_weights > 1)
                    for (k = 0; k < n_blocks; k++)
                        CHECK(ints_agree(id, odd + 1 + k * n_bytes, &max_s));
            }
            free(odd);
            free(y);
        }
        free(blocks);
        free(want);
    }
    for (i = 0; i < N_KNOWN; i++)
        CHECK(seen[known[i]] == (aiosk_type_info(known[i])->family != AIOSK_RAW));
    free(index);
}

/* ---- what the golden blocks leave out ---- */

/* FNV-1a over all values of a code book, one byte each, in order. */
static uint32_t grid_hash(const uint16_t *grid, int n, int n_values, int n_bits,
                          const int8_t *levels) {
    uint32_t h = 0x811C9DC5, i, j;
    for (i = 0; i < (uint32_t)n; i++)
        for (j = 0; j < (uint32_t)n_values; j++) {
            h ^= (uint8_t)levels[grid[i] >> j * (uint32_t)n_bits & ((1u << n_bits) - 1)];
            h *= 0x01000193;
        }
    return h;
}

/* The golden blocks use a part of the entries; the hashes are those of the bytes of
 * ggml-common.h's tables. */
static void grids_are_those_of_the_peer(void) {
    CHECK_EQ(grid_hash(aiosk__iq1_grid, 2048, 8, 2, aiosk__iq1_levels), 0x2FE8CBCE);
    CHECK_EQ(grid_hash(aiosk__iq2xxs_grid, 256, 8, 2, aiosk__iq2_levels), 0x3DB4A16E);
    CHECK_EQ(grid_hash(aiosk__iq2xs_grid, 512, 8, 2, aiosk__iq2_levels), 0xEBEB17DD);
    CHECK_EQ(grid_hash(aiosk__iq2s_grid, 1024, 8, 2, aiosk__iq2_levels), 0x82981110);
    CHECK_EQ(grid_hash(aiosk__iq3xxs_grid, 256, 4, 3, aiosk__iq3xxs_levels), 0x49A45035);
    CHECK_EQ(grid_hash(aiosk__iq3s_grid, 512, 4, 3, aiosk__iq3s_levels), 0x71CC6C89);
}

static void scales_are_those_of_the_formats(void) {
    uint32_t i;
    for (i = 0; i < 256; i++) {
        uint8_t mx[17] = { 0 }, nv[36] = { 0 };
        float y[64];
        mx[0] = (uint8_t)i;
        mx[1] = 0x2A; /* codes 10 and 2: -1 and 1 */
        aiosk_unpack(AIOSK_MXFP4, mx, 32, y);
        if (i < 255)
            CHECK((double)y[0] == -two_to((int)i - 127) && (double)y[16] == two_to((int)i - 127) &&
                  y[1] == 0);
        nv[1] = (uint8_t)i;
        nv[4 + 8] = 0x2A;
        aiosk_unpack(AIOSK_NVFP4, nv, 64, y);
        if (i < 128) {
            double e4m3 =
                i == 127 ? 0
                         : (i >> 3 ? (8 + (i & 7)) * two_to((int)(i >> 3) - 10) : i * two_to(-9));
            CHECK((double)y[16] == -e4m3);
            CHECK((double)y[24] == e4m3);
            CHECK(y[0] == 0);
            CHECK(y[17] == 0);
        }
    }
    for (i = 0; i < 128; i++) { /* an even number of minuses, the low seven as stored */
        uint32_t s = aiosk__signs7(i | 0xFFFFFF80), n = 0, b;
        for (b = 0; b < 8; b++) n += s >> b & 1;
        CHECK(s < 256);
        CHECK_EQ(s & 127, i);
        CHECK_EQ(n % 2, 0);
    }
}

static void raw_types_are_unpacked_as_numbers(void) {
    static const int8_t i8[2] = { -128, 127 };
    static const int16_t i16[2] = { -32768, 32767 };
    static const int32_t i32[2] = { -2147483647 - 1, 16777217 }; /* the second rounds to 2^24 */
    static const int64_t i64[2] = { -9007199254740992, 3 };
    static const double f64[2] = { -0.1, 1e-40 };
    uint8_t q81[36] = { 0 }, q8k[292] = { 0 };
    float y[256];
    int k;
    aiosk_unpack(AIOSK_I8, i8, 2, y);
    CHECK(y[0] == -128);
    CHECK(y[1] == 127);
    aiosk_unpack(AIOSK_I16, i16, 2, y);
    CHECK(y[0] == -32768);
    CHECK(y[1] == 32767);
    aiosk_unpack(AIOSK_I32, i32, 2, y);
    CHECK(y[0] == -2147483648.0f);
    CHECK(y[1] == 16777216);
    aiosk_unpack(AIOSK_I64, i64, 2, y);
    CHECK(y[0] == -9007199254740992.0f);
    CHECK(y[1] == 3);
    aiosk_unpack(AIOSK_F64, f64, 2, y);
    CHECK(y[0] == -0.1f && y[1] == 1e-40f);
    q81[1] = 0x38; /* 0.5 */
    q81[2] = q81[3] = 0xFF;
    for (k = 0; k < 32; k++) q81[4 + k] = (uint8_t)(k - 16);
    aiosk_unpack(AIOSK_Q8_1, q81, 32, y);
    for (k = 0; k < 32; k++) CHECK(y[k] == 0.5f * (float)(k - 16));
    q8k[3] = 0x3E; /* 0.125 */
    for (k = 0; k < 256; k++) q8k[4 + k] = (uint8_t)(k - 128);
    memset(q8k + 260, 0xFF, 32);
    aiosk_unpack(AIOSK_Q8_K, q8k, 256, y);
    for (k = 0; k < 256; k++) CHECK(y[k] == 0.125f * (float)(k - 128));
    y[0] = 7; /* unknown types and parts of a block write nothing */
    aiosk_unpack(5, q8k, 1, y);
    aiosk_unpack(AIOSK_Q8_1, q81, 31, y);
    CHECK(y[0] == 7);
}

static void the_yardstick_is_the_plain_sum(void) {
    enum { N_IN = 96, N_ROWS = 5, N_COLS = 3, X_STRIDE = 100, Y_STRIDE = 7 };
    uint8_t w[N_ROWS * N_IN / 32 * 34];
    float wf[N_ROWS * N_IN], x[N_COLS * X_STRIDE], y[N_COLS * Y_STRIDE], bias[N_ROWS], tmp[N_IN];
    uint64_t seed = 5;
    int pass, i, c, r, k;
    for (i = 0; i < N_ROWS * N_IN / 32; i++) {
        w[i * 34] = 0;
        w[i * 34 + 1] = 0x30; /* 0.125 */
        for (k = 0; k < 32; k++) w[i * 34 + 2 + k] = (uint8_t)(test_rand(&seed) >> 40);
    }
    for (i = 0; i < N_COLS * X_STRIDE; i++) x[i] = test_randf(&seed);
    for (i = 0; i < N_ROWS; i++) bias[i] = test_randf(&seed);
    aiosk_unpack(AIOSK_Q8_0, w, N_ROWS * N_IN, wf);
    for (pass = 0; pass < 4; pass++) {
        aiosk_matmul m;
        memset(&m, 0, sizeof m);
        m.w = w, m.x = x, m.y = y, m.n_in = N_IN, m.row0 = 1, m.row1 = 4, m.n_cols = N_COLS;
        m.x_stride = X_STRIDE * sizeof(float), m.y_stride = Y_STRIDE;
        m.bias = pass & 1 ? bias : NULL;
        m.flags = pass & 2 ? AIOSK_MM_ADD : 0;
        for (i = 0; i < N_COLS * Y_STRIDE; i++) y[i] = 100;
        aiosk_matmul_reference(AIOSK_Q8_0, &m, tmp);
        for (c = 0; c < N_COLS; c++)
            for (r = 0; r < Y_STRIDE; r++) {
                float want = 100;
                if (r >= 1 && r < 4) {
                    double sum = 0;
                    for (k = 0; k < N_IN; k++)
                        sum += (double)wf[r * N_IN + k] * (double)x[c * X_STRIDE + k];
                    want = (float)sum;
                    if (pass & 1) want += bias[r];
                    if (pass & 2) want += 100;
                }
                CHECK(same_bits(y[c * Y_STRIDE + r], want));
            }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    TEST(types_have_their_sizes)();
    TEST(half_precision_is_rounded_to_nearest)();
    TEST(bf16_is_rounded_to_nearest)();
    TEST(grids_are_those_of_the_peer)();
    TEST(scales_are_those_of_the_formats)();
    TEST(raw_types_are_unpacked_as_numbers)();
    TEST(codes_times_scales_are_the_weights)();
    TEST(the_yardstick_is_the_plain_sum)();
    TEST(stored_blocks_have_their_values)();
    return test_end();
}
