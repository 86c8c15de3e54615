/* test_quantize.c: f32 -> blocks (kernels/quantize.c): how much is lost, that nothing is lost
 * twice, odd inputs, importances, and the same bytes from every compiler. What blocks mean is
 * test_formats' business: aiosk_unpack is taken as the definition. */
#include "aios_kernels.h"
#include "kernels/base.h"
#include "test.h"

enum { N_IN = 512, N_ROWS = 24, N = N_IN * N_ROWS };
static float x[N], y[N], z[N], zeros[N], imp[N_IN];
static uint8_t a[N * 4 + 64], b[N * 4 + 64];

/* half_step: half the largest distance of two levels of the type that are next to each other, in
 * units of the largest weight of a block, when that weight is at the end of the levels; rounding
 * alone loses no more. normal: what a normal distribution loses, relative rms (measured; 2 %
 * more is allowed). hash: of the bytes for the inputs of bytes_are_the_same_everywhere. */
typedef struct expected {
    int32_t type;
    double half_step, normal;
    uint64_t hash;
} expected;
/* clang-format off */
static const expected types[] = {
    { AIOSK_F32,    1e-7,     0.00000, 0xc2d94d464afe7b52 },
    { AIOSK_F16,    0.0005,   0.00022, 0xe0e658bd68bac643 },
    { AIOSK_BF16,   0.004,    0.00167, 0x5300932d47c31ec2 },
    { AIOSK_Q4_0,   1.0 / 15, 0.07990, 0x4384e034a1da8a29 },
    { AIOSK_Q4_1,   1.0 / 15, 0.06849, 0x43b43398e59ad903 },
    { AIOSK_Q5_0,   1.0 / 31, 0.03965, 0x8af0e67ecd688b9a },
    { AIOSK_Q5_1,   1.0 / 31, 0.03323, 0x15b88984cc9849a8 },
    { AIOSK_Q8_0,   1.0 / 254, 0.00467, 0xfcaa2812155de531 },
    { AIOSK_Q2_K,   1.0 / 3,  0.26134, 0x0ae06faa5042dc7b },
    { AIOSK_Q3_K,   1.0 / 7,  0.14148, 0x8cecbd6a2f8bd41a },
    { AIOSK_Q4_K,   1.0 / 15, 0.06894, 0x14ed27bc0948cdeb },
    { AIOSK_Q5_K,   1.0 / 31, 0.03417, 0xcceca6124ac42ce9 },
    { AIOSK_Q6_K,   1.0 / 63, 0.01661, 0x0730955b7e85ce75 },
    { AIOSK_IQ4_NL, 1.0 / 11, 0.07255, 0x2eb736fe1bc95150 },
    { AIOSK_IQ4_XS, 1.0 / 11, 0.07296, 0xf0c63118523023c4 },
    { AIOSK_TQ1_0,  0.5,      0.42697, 0x7c5b0698e3d257d2 },
    { AIOSK_TQ2_0,  0.5,      0.42697, 0x7f47968c1effcb77 },
    { AIOSK_MXFP4,  1.0 / 3,  0.11080, 0xe7a11c6976a493ca },
    { AIOSK_NVFP4,  1.0 / 6,  0.09936, 0x956b917a31928f77 },
    { AIOSK_Q1_0,   1.0,      0.59906, 0x9554837adbf48ded },
    { AIOSK_Q2_0,   0.5,      0.34659, 0xb3226b28065f45a3 },
};
/* clang-format on */
enum { N_TYPES = (int)(sizeof types / sizeof types[0]) };

static float normal(uint64_t *seed) { /* nearly: the sum of 12 uniform ones, deviation 1 */
    float s = 0;
    int i;
    for (i = 0; i < 12; i++) s += test_randf(seed) * 0.5f;
    return s;
}
/* kind 0: normal; 1: and a few large ones; 2: uniform; 3: all positive; 4: few different
 * numbers; 5: rows of very different size */
enum { N_KINDS = 6 };
static void fill(int kind, uint64_t seed) {
    int i;
    for (i = 0; i < N; i++) {
        float v = normal(&seed) * 0.015625f; /* a power of two: no fma can change it */
        uint64_t r = test_rand(&seed);
        if (kind == 1 && r % 200 == 0) v *= 15;
        if (kind == 2) v = test_randf(&seed);
        if (kind == 3) v = (v < 0 ? -v : v) + 0.01f;
        if (kind == 4) v = (float)(int)(r % 5) - 2;
        if (kind == 5) v *= (float)(1 << i / N_IN % 12);
        x[i] = v;
    }
}
static double squares(const float *p, const float *q, const float *w, int n) {
    double s = 0;
    int i;
    for (i = 0; i < n; i++)
        s += ((double)p[i] - (double)q[i]) * ((double)p[i] - (double)q[i]) *
             (w ? (double)w[i % N_IN] : 1);
    return s;
}
static uint64_t fnv(uint64_t h, const uint8_t *p, uint64_t n) {
    while (n--) h = (h ^ *p++) * 0x100000001B3u;
    return h;
}
static int is_finite(float v) { return v - v == 0; }
static uint64_t recode(int32_t type, const float *w) { /* x -> a -> y */
    uint64_t n = aiosk_quantize(type, x, N_ROWS, N_IN, w, a);
    CHECK_EQ(n, N_ROWS * aiosk_row_bytes(type, N_IN));
    aiosk_unpack(type, a, N, y);
    return n;
}

static void no_more_is_lost_than_rounding_must(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    int nw = (int)aiosk_type_info(e->type)->n_weights, kind, i, k;
    if (nw < 32) nw = 32;
    for (kind = 0; kind < N_KINDS; kind++) {
        int bad = 0;
        fill(kind, 7 + (uint64_t)kind);
        recode(e->type, NULL);
        for (i = 0; i < N; i += nw) {
            double top = 0, limit;
            for (k = i; k < i + nw; k++) {
                if ((double)x[k] > top) top = (double)x[k];
                if (-(double)x[k] > top) top = -(double)x[k];
            }
            limit = top * e->half_step;
            if (squares(x + i, y + i, NULL, nw) > limit * limit * nw + 1e-14) bad++;
        }
        CHECK_AT(bad == 0, "%s, kind %d: %d blocks lose more than half a step",
                 aiosk_type_info(e->type)->name, kind, bad);
        if (kind == 0) {
            double s = 0, lost = squares(x, y, NULL, N);
            for (i = 0; i < N; i++) s += (double)x[i] * (double)x[i];
            CHECK_AT(lost <= e->normal * e->normal * s * 1.04, "%s loses %.6f^2",
                     aiosk_type_info(e->type)->name, lost / s);
#ifdef TEST_QUANTIZE_PRINT
            {
                double g = lost / s, r = g > 0 ? 1 : 0;
                for (i = 0; i < 60 && g > 0; i++) r = 0.5 * (r + g / r);
                printf("normal %d %.6f\n", e->type, r);
            }
#endif
        }
    }
}

/* What a block can hold exactly comes back exactly, from any type with a scale of its own;
 * nearly so where a minimum is rounded by itself, and where there are so many levels that
 * another scale fits as well. */
static void what_a_block_can_hold_comes_back_exactly(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    int kind, i, bad = 0,
                 nearly = e->type == AIOSK_Q4_1 || e->type == AIOSK_Q5_1 || e->type == AIOSK_Q8_0;
    if (aiosk_type_info(e->type)->family == AIOSK_A256 && e->type != AIOSK_TQ1_0 &&
        e->type != AIOSK_TQ2_0)
        return;
    for (kind = 0; kind < N_KINDS; kind++) {
        fill(kind, 70 + (uint64_t)kind);
        recode(e->type, NULL);
        aiosk_quantize(e->type, y, N_ROWS, N_IN, NULL, b);
        aiosk_unpack(e->type, b, N, z);
        for (i = 0; i < N && !nearly; i++) bad += z[i] != y[i];
        bad += nearly && squares(y, z, NULL, N) > 1e-6 * squares(x, zeros, NULL, N);
    }
    CHECK_AT(bad == 0, "%s: %d weights change when they are quantised again",
             aiosk_type_info(e->type)->name, bad);
}

/* Powers of two change scales, not codes; rows depend on nothing but themselves. */
static void rows_depend_on_nothing_but_themselves(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    uint64_t row = aiosk_row_bytes(e->type, N_IN), n;
    int i, bad = 0;
    fill(1, 99);
    for (i = 0; i < N; i++) x[i] *= 512; /* far from where scales are subnormal */
    n = recode(e->type, NULL);
    memset(b, 0xA5, sizeof b);
    for (i = N_ROWS - 1; i >= 0; i--)
        CHECK_EQ(aiosk_quantize(e->type, x + i * N_IN, 1, N_IN, NULL, b + (uint64_t)i * row), row);
    CHECK_MEM(a, b, (size_t)n);
    CHECK_EQ(b[n], 0xA5);
    for (i = 0; i < N; i++) x[i] *= 4;
    memcpy(z, y, sizeof y);
    recode(e->type, NULL);
    for (i = 0; i < N; i++) bad += y[i] != 4 * z[i];
    CHECK_EQ(bad, 0);
}

static void odd_inputs_have_finite_blocks(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    /* clang-format off */
    static const uint32_t odd[] = { 0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000,
                                    0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x00000001,
                                    0x80000001, 0x007FFFFF, 0x80000000, 0x00800000,
                                    0x3F800000, 0xBF800000, 0x49742400, 0x2B8CBCCC };
    /* clang-format on */
    int numbers = e->type == AIOSK_F16 || e->type == AIOSK_BF16 || e->type == AIOSK_F32, i, k,
        bad = 0;
    uint64_t seed = 5, n;
    /* all the same odd number; then odd ones among normal ones; then all bit patterns */
    for (k = 0; k < 16 + 16 + 8; k++) {
        fill(0, 11);
        for (i = 0; i < N; i++) {
            uint32_t u = (uint32_t)test_rand(&seed);
            if (k < 16)
                x[i] = aiosk__bits_f32(odd[k]);
            else if (k < 32) {
                if (u % 50 == 0) x[i] = aiosk__bits_f32(odd[k - 16]);
            } else
                x[i] = aiosk__bits_f32(k < 34 ? u : u & (0xFFFFFFFFu >> (k - 34)) & 0xBFFFFFFF);
        }
        recode(e->type, NULL);
        for (i = 0; i < N && !numbers; i++) bad += !is_finite(y[i]);
    }
    CHECK_AT(bad == 0, "%s: %d weights are not finite", aiosk_type_info(e->type)->name, bad);
    memset(x, 0, sizeof x);
    recode(e->type, NULL);
    for (i = 0; i < N; i++) bad += y[i] != 0;
    CHECK_EQ(bad, 0);
    if (numbers) return;
    /* NaN is 0, infinity the largest float */
    fill(0, 12);
    for (i = 0; i < N; i += 37) x[i] = i & 1 ? 0 : aiosk__bits_f32(0x7F7FFFFF);
    n = recode(e->type, NULL);
    for (i = 0; i < N; i += 37) x[i] = aiosk__bits_f32(i & 1 ? 0x7FC00000 : 0x7F800000);
    aiosk_quantize(e->type, x, N_ROWS, N_IN, NULL, b);
    CHECK_MEM(a, b, (size_t)n);
}

static void importances_move_the_error_where_it_costs_less(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    uint64_t seed = 3, n;
    double plain, with;
    int i;
    if (aiosk_type_info(e->type)->family == AIOSK_FLT) return;
    fill(0, 21);
    for (i = 0; i < N_IN; i++) imp[i] = 1;
    n = recode(e->type, NULL);
    aiosk_quantize(e->type, x, N_ROWS, N_IN, imp, b);
    CHECK_MEM(a, b, (size_t)n); /* all alike */
    for (i = 0; i < N_IN; i++) imp[i] = i % 3 ? -1.0f : aiosk__bits_f32(0x7FC00000);
    aiosk_quantize(e->type, x, N_ROWS, N_IN, imp, b);
    CHECK_MEM(a, b, (size_t)n); /* none at all is as good as all alike */
    for (i = 0; i < N_IN; i++) {
        float v = test_randf(&seed);
        imp[i] = v * v * v * v + 0.001f;
    }
    plain = squares(x, y, imp, N);
    recode(e->type, imp);
    with = squares(x, y, imp, N);
    CHECK_AT(with < plain * 0.99, "%s: %g with importances, %g without",
             aiosk_type_info(e->type)->name, with, plain);
    for (i = 0; i < N_IN; i++) imp[i] *= 1024; /* only ratios count */
    n = aiosk_quantize(e->type, x, N_ROWS, N_IN, imp, b);
    CHECK_MEM(a, b, (size_t)n);
}

/* The same bytes everywhere: this program is built for several machines, compilers and
 * sanitizers. */
static void bytes_are_the_same_everywhere(const expected *e) {
    CASE("%s", aiosk_type_info(e->type)->name);
    uint64_t h = 0xCBF29CE484222325u, seed = 8;
    int kind, i;
    for (i = 0; i < N_IN; i++) imp[i] = (float)(test_rand(&seed) % 1000) * 0.01f;
    for (kind = 0; kind < N_KINDS; kind++) {
        fill(kind, 40 + (uint64_t)kind);
        h = fnv(h, a, recode(e->type, kind & 1 ? imp : NULL));
    }
    CHECK_AT(h == e->hash, "%s: bytes hash to 0x%016llx", aiosk_type_info(e->type)->name,
             (unsigned long long)h);
}

static void what_cannot_be_quantised_is_refused(void) {
    int32_t type, i;
    memset(a, 0xA5, sizeof a);
    CHECK_EQ(aiosk_quantize(-1, x, 1, 256, NULL, a), 0);
    CHECK_EQ(aiosk_quantize(2147483647, x, 1, 256, NULL, a), 0);
    /* what is not in the list above; a new quantiser wants a row there */
    for (type = 0; type <= AIOSK_N_TYPES; type++) {
        for (i = 0; i < N_TYPES && types[i].type != type; i++) {}
        if (i == N_TYPES && !CHECK_EQ(aiosk_quantize(type, x, 1, 256, NULL, a), 0))
            printf("    %s has a quantiser, and no row in this test\n",
                   aiosk_type_info(type)->name);
    }
    for (i = 0; i < N_TYPES; i++) {
        uint32_t n = aiosk_type_info(types[i].type)->n_weights;
        if (n > 1)
            CHECK(aiosk_quantize(types[i].type, x, 1, n / 2, NULL, a) == 0 &&
                  aiosk_quantize(types[i].type, x, 1, n + 16, NULL, a) == 0);
        CHECK_EQ(aiosk_quantize(types[i].type, x, 0, 256, NULL, a), 0);
        CHECK_EQ(aiosk_quantize(types[i].type, x, 1, 0, NULL, a), 0);
        CHECK_EQ(aiosk_quantize(types[i].type, x, UINT64_MAX, 256, NULL, a), 0);
    }
    CHECK_EQ(a[0], 0xA5);
}

int main(int argc, char **argv) {
    int i;
    test_begin(argc, argv);
    for (i = 0; i < N_TYPES; i++) {
        TEST(no_more_is_lost_than_rounding_must)(&types[i]);
        TEST(what_a_block_can_hold_comes_back_exactly)(&types[i]);
        TEST(rows_depend_on_nothing_but_themselves)(&types[i]);
        TEST(odd_inputs_have_finite_blocks)(&types[i]);
        TEST(importances_move_the_error_where_it_costs_less)(&types[i]);
        TEST(bytes_are_the_same_everywhere)(&types[i]);
    }
    TEST(what_cannot_be_quantised_is_refused)();
    return test_end();
}
