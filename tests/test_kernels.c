/* test_kernels.c: matrix kernels, packing and quantisation of every instruction set that runs
 * here, against loops that do what api.h says and nothing else. Results are compared with
 * memcmp. Buffers end at a page that may not be touched, so that reading or writing one byte too
 * far crashes; without mmap, writing is noticed. An argument "quick" tests fewer shapes (for
 * emulators). */
#include "guard.h"
#include "ref.h"
#include "test.h"
#include <math.h>

/* vdpbf16ps, which aiosk_matmul_fast gives where it is faster: its text once more, so that it is
 * tested wherever it runs. */
#if defined(AIOSK__AVX512) && \
    (defined(__clang__) ? __clang_major__ >= 14 : defined(__GNUC__) && __GNUC__ >= 12)
#define TEST_BF16 1
#include "kernels/names.h"
#include "kernels/set.inc"
#include "kernels/simd_avx512.h"
#undef V_TARGET
#define V_TARGET    \
    __attribute__(( \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#include "kernels/bf16.inc"
#include "kernels/set.inc"
#include "kernels/names_undef.h"
#endif

static uint64_t rng = 1;

/* ---- what api.h says ---- */

static void plain_quantize(const float *x, int n_in, int block, int8_t *q, float *d) {
    int k, i;
    for (k = 0; k < n_in / block; k++) {
        float amax = 0, id;
        for (i = 0; i < block; i++)
            amax = fabsf(x[k * block + i]) > amax ? fabsf(x[k * block + i]) : amax;
        id = amax > 0 ? 127.0f / amax : 0;
        d[k] = amax / 127.0f;
        for (i = 0; i < block; i++) q[k * block + i] = (int8_t)lrintf(x[k * block + i] * id);
    }
}

static float plain_dot_ints(int type, const uint8_t *row, int n_in, const int8_t *q,
                            const float *d) {
    const aiosk_type *t = aiosk_type_info(type);
    const int nw = (int)t->n_weights;
    float acc = 0;
    int k, u, i;
    for (k = 0; k < n_in / nw; k++) {
        aiosk__ints v;
        aiosk__unpack_ints(type, row + (size_t)k * t->n_bytes, &v);
        for (u = 0; u < nw / v.unit; u++) {
            const int at = k * nw + u * v.unit;
            const float dx = d[at / (t->family == AIOSK_A256 ? 256 : 32)];
            int64_t s = 0, m = 0;
            float w;
            for (i = 0; i < v.unit; i++) {
                const int sc = t->family == AIOSK_A256 ? v.sc[i / 16] : 1,
                          mn = t->family == AIOSK_A256 ? v.mn[i / 16] : 1;
                s += sc * v.q[u * v.unit + i] * q[at + i];
                m += mn * q[at + i];
                if (sc * v.q[u * v.unit + i] != (int16_t)(sc * v.q[u * v.unit + i]))
                    FAIL("scaled code fits int16");
            }
            if (s != (int32_t)s || m != (int32_t)m) FAIL("sums fit int32");
            w = v.d[u] * dx;
            acc = aiosk__fma(w, (float)(int32_t)s, acc);
            w = v.dmin[u] * dx;
            if (v.has_min) acc = aiosk__fma(-w, (float)(int32_t)m, acc);
        }
    }
    return acc;
}

static float plain_dot_floats(const float *w, const float *x, int n_in) {
    float s[16] = { 0 };
    int i, h;
    for (i = 0; i < (n_in + 15) / 16 * 16; i++)
        s[i % 16] = aiosk__fma(i < n_in ? w[i] : 0, i < n_in ? x[i] : 0, s[i % 16]);
    for (h = 8; h >= 1; h /= 2)
        for (i = 0; i < h; i++) s[i] += s[i + h];
    return s[0];
}

/* ---- weights ---- */

/* Random blocks with finite scales below 100, subnormal ones included. */
static void random_blocks(int type, uint8_t *p, size_t n) {
    const aiosk_type *t = aiosk_type_info(type);
    size_t k, i;
    for (k = 0; k < n; k++, p += t->n_bytes) {
        int ok = 0;
        while (!ok) {
            for (i = 0; i < t->n_bytes; i++) p[i] = (uint8_t)(test_rand(&rng) >> 32);
            ok = 1;
            if (t->family == AIOSK_FLT) {
                float v[1];
                aiosk_unpack(type, p, 1, v);
                ok = fabsf(v[0]) < 100;
            } else {
                aiosk__ints v;
                aiosk__unpack_ints(type, p, &v);
                for (i = 0; i < 8; i++) ok = ok && fabsf(v.d[i]) < 100 && fabsf(v.dmin[i]) < 100;
            }
        }
    }
}

/* ---- tests ---- */

enum { ROWS = 37, COLS = 17 };

static void check_matmul(const aiosk_isa *isa, int type, int layout, int n_in, const uint8_t *rows,
                         const float *x, const float *dots, const float *bias, int quick) {
    static const int n_rows_list[] = { 37, 16, 1, 17, 33, 5, 32, 2, 3, 4, 7, 8, 9, 15, 18, 31 };
    static const int n_cols_list[] = { 1, 17, 2, 8, 3, 5 };
    const aiosk_type *t = aiosk_type_info(type);
    const size_t row_bytes = (size_t)aiosk_row_bytes(type, (uint64_t)n_in);
    const size_t stride = t->family == AIOSK_FLT
                              ? (size_t)n_in * 4
                              : (size_t)aiosk_act_bytes((int)t->family, (uint64_t)n_in);
    guard_block gx = guard_new(stride * COLS);
    int a, b, c, r, turn = 0;
    CHECK(isa->matmul[type][layout] != NULL);
    for (c = 0; c < COLS; c++)
        isa->quantize[t->family](x + c * n_in, n_in, gx.p + (size_t)c * stride);
    for (a = 0; a < (quick ? 5 : 16); a++) {
        const int n_rows = n_rows_list[a];
        guard_block gw =
            guard_new((size_t)aiosk_layout_bytes(type, layout, (uint64_t)n_rows, (uint64_t)n_in));
        if (layout == AIOSK_ROWS) memcpy(gw.p, rows, row_bytes * (size_t)n_rows);
        for (r = 0; layout == AIOSK_PANELS && r < n_rows; r += 16)
            aiosk_pack_panel(type, rows + row_bytes * (size_t)r, n_rows - r < 16 ? n_rows - r : 16,
                             (uint64_t)n_in, gw.p + row_bytes * (size_t)r);
        for (b = 0; b < (quick ? 2 : 6); b++, turn++) {
            const int n_cols = n_cols_list[b], use_bias = turn & 1, add = turn >> 1 & 1;
            int row0 = turn % 3 == 2 && n_rows > 16 ? 16 : 0, n_bad = 0;
            guard_block gy = guard_new(sizeof(float) * (size_t)n_rows * (size_t)n_cols),
                        gb = guard_new(sizeof(float) * (size_t)n_rows);
            float *y = (float *)(void *)gy.p;
            aiosk_matmul m;
            memset(&m, 0, sizeof m);
            if (row0 && layout == AIOSK_ROWS) row0 = 5;
            memcpy(gb.p, bias, sizeof(float) * (size_t)n_rows);
            for (c = 0; c < n_rows * n_cols; c++) y[c] = (float)c;
            m.w = gw.p;
            m.x = gx.p + stride * (size_t)(COLS - n_cols);
            m.y = y;
            m.bias = use_bias ? (const float *)(const void *)gb.p : NULL;
            m.flags = add ? AIOSK_MM_ADD : 0;
            m.x_stride = stride;
            m.y_stride = (uint64_t)n_rows;
            m.n_in = n_in;
            m.row0 = row0;
            m.row1 = n_rows;
            m.n_cols = n_cols;
            isa->matmul[type][layout](&m);
            for (c = 0; c < n_cols; c++)
                for (r = 0; r < n_rows; r++) {
                    float want = dots[(COLS - n_cols + c) * ROWS + r];
                    if (use_bias) want += bias[r];
                    if (add) want += (float)(c * n_rows + r);
                    if (r < row0) want = (float)(c * n_rows + r);
                    n_bad += memcmp(&want, &y[c * n_rows + r], 4) != 0;
                }
            CHECK_AT(n_bad == 0, "%s %s %s n_in %d rows %d..%d cols %d bias %d add %d: %d differ",
                     isa->name, t->name, layout ? "panels" : "rows", n_in, row0, n_rows, n_cols,
                     use_bias, add, n_bad);
            guard_free(&gy);
            guard_free(&gb);
        }
        guard_free(&gw);
    }
    guard_free(&gx);
}

static void products_are_those_of_the_definition(int type, int n_in, int quick) {
    CASE("%s, n_in %d", aiosk_type_info(type)->name, n_in);
    const aiosk_type *t = aiosk_type_info(type);
    const size_t row_bytes = (size_t)aiosk_row_bytes(type, (uint64_t)n_in);
    const int block = t->family == AIOSK_A256 ? 256 : 32;
    uint8_t *rows = (uint8_t *)malloc(row_bytes * ROWS), *back = (uint8_t *)malloc(row_bytes);
    float *x = (float *)malloc(sizeof(float) * (size_t)n_in * COLS),
          *w = (float *)malloc(sizeof(float) * (size_t)n_in);
    int8_t *q = (int8_t *)malloc((size_t)n_in);
    float d[256], dots[ROWS * COLS], bias[ROWS];
    int isa, c, r, i, layout;
    random_blocks(type, rows, row_bytes / t->n_bytes * ROWS);
    for (i = 0; i < ROWS; i++) bias[i] = test_randf(&rng) * 1000;
    for (c = 0; c < COLS; c++) {
        for (i = 0; i < n_in; i++)
            x[c * n_in + i] = test_randf(&rng) * (c == 3 ? 1e-30f : c == 4 ? 0 : 1);
        if (c == 5) /* the largest codes everywhere, for sums that must not saturate */
            for (i = 0; i < n_in; i++) x[c * n_in + i] = 1;
        if (c == 6)
            for (i = 0; i < n_in; i++) x[c * n_in + i] = -1;
        if (t->family != AIOSK_FLT) plain_quantize(x + c * n_in, n_in, block, q, d);
        for (r = 0; r < ROWS; r++) {
            if (t->family == AIOSK_FLT) {
                aiosk_unpack(type, rows + row_bytes * (size_t)r, (uint64_t)n_in, w);
                dots[c * ROWS + r] = plain_dot_floats(w, x + c * n_in, n_in);
            } else {
                dots[c * ROWS + r] = plain_dot_ints(type, rows + row_bytes * (size_t)r, n_in, q, d);
            }
        }
    }
    for (layout = 0; layout < AIOSK_N_LAYOUTS; layout++) {
        if (aiosk_layout_bytes(type, layout, ROWS, (uint64_t)n_in) == 0) continue;
        for (isa = 1; isa < AIOSK_N_ISA; isa++)
            if (aiosk_select(isa))
                check_matmul(aiosk_select(isa), type, layout, n_in, rows, x, dots, bias, quick);
        if (layout != AIOSK_PANELS) continue;
        for (r = 1; r <= 16;
             /* packing forth and back, any number of rows; a panel is a permutation of its rows */
             r++) {
            const size_t n = 16 * row_bytes;
            guard_block g = guard_new(n);
            size_t sum[256] = { 0 }, bad = 0, k;
            memset(g.p, 0xAA, n);
            aiosk_pack_panel(type, rows, r, (uint64_t)n_in, g.p);
            for (i = 0; i < 16; i++) {
                aiosk_unpack_panel_row(type, g.p, i, (uint64_t)n_in, back);
                for (k = 0; k < row_bytes; k++)
                    bad += back[k] != (i < r ? rows[row_bytes * (size_t)i + k] : 0);
            }
            for (k = 0; k < n; k++) sum[g.p[k]]++;
            for (k = 0; k < n; k++) sum[i = k < row_bytes * (size_t)r ? rows[k] : 0]--;
            for (k = 0; k < 256; k++) bad += sum[k] != 0;
            CHECK_EQ(bad, 0);
            guard_free(&g);
        }
    }
    free(rows);
    free(back);
    free(x);
    free(w);
    free(q);
}

/* More columns than go through the loops at once, 512 or 4864 long: each as if it were alone.
 * With scalar, of few rows, as if it were alone in plain C. */
static void many_columns_are_each_as_if_alone(int type, int n_in, int scalar, int quick) {
    CASE("%s, n_in %d", aiosk_type_info(type)->name, n_in);
    enum { C = 133, MAX_R = 33 };
    const size_t N = (size_t)n_in;
    const int R = scalar ? 17 : MAX_R; /* beyond two panels, and beyond one */
    const aiosk_type *t = aiosk_type_info(type);
    const size_t row_bytes = (size_t)aiosk_row_bytes(type, N),
                 stride = (size_t)aiosk_act_bytes((int)t->family, N);
    guard_block gx = guard_new(stride * C);
    uint8_t *rows = (uint8_t *)malloc(row_bytes * 48), *panels = (uint8_t *)malloc(row_bytes * 48);
    float *x = (float *)malloc(sizeof(float) * N * C),
          *want = (float *)malloc(sizeof(float) * (size_t)(R * C));
    float *y = (float *)malloc(sizeof(float) * (size_t)(R * C));
    int isa, layout, c, i;
    random_blocks(type, rows, row_bytes / t->n_bytes * (size_t)R);
    for (i = 0; i < n_in * C; i++) x[i] = test_randf(&rng);
    for (i = 0; i < 4 * n_in; i++)
        x[i] = i < 2 * n_in ? 1.0f
                            : -1.0f; /* the largest sums of the largest codes must not saturate */
    if (type == AIOSK_Q8_0)
        for (i = 0; i < 4 * (int)row_bytes; i++)
            if (i % 34 > 1) rows[(size_t)i] = i < 2 * (int)row_bytes ? 0x80 : 0x7F;
    for (i = 0; i < R; i += 16)
        aiosk_pack_panel(type, rows + row_bytes * (size_t)i, R - i < 16 ? R - i : 16, N,
                         panels + row_bytes * (size_t)i);
    for (c = 0; c < C; c++)
        aiosk_select(AIOSK_ISA_SCALAR)
            ->quantize[t->family](x + c * n_in, n_in, gx.p + (size_t)c * stride);
    for (isa = 1; isa < AIOSK_N_ISA; isa++) {
        const aiosk_isa *k = aiosk_select(isa);
        if (!k || (quick && isa == AIOSK_ISA_SCALAR && !scalar)) continue;
        for (layout = 0; layout < AIOSK_N_LAYOUTS; layout++) {
            aiosk_matmul m;
            memset(&m, 0, sizeof m);
            m.w = layout == AIOSK_PANELS ? panels : rows;
            m.x_stride = stride;
            m.y_stride = (uint64_t)R;
            m.n_in = n_in;
            m.row1 = R;
            for (c = 0; c < C && (!scalar || isa == AIOSK_ISA_SCALAR); c++) {
                m.x = gx.p + (size_t)c * stride;
                m.y = want + c * R;
                m.n_cols = 1;
                k->matmul[type][layout](&m);
            }
            m.x = gx.p;
            m.y = y;
            m.n_cols = C;
            k->matmul[type][layout](&m);
            CHECK_AT(memcmp(y, want, sizeof(float) * (size_t)(R * C)) == 0,
                     "%s %s layout %d, n_in %d: many columns differ", k->name, t->name, layout,
                     n_in);
        }
    }
    free(rows);
    free(panels);
    free(x);
    free(want);
    free(y);
    guard_free(&gx);
}

/* Float matrices of many columns: blocks of places, ends of rows, columns and places. With fn, a
 * kernel of aiosk_matmul_fast: its own results in one column are what all others must equal, and
 * a double sum says how far off it may be. */
static void float_columns_are_each_as_if_alone(const aiosk_isa *k, int type, aiosk_matmul_fn fn,
                                               int n_in, int quick) {
    CASE("%s, %s, n_in %d", k->name, aiosk_type_info(type)->name, n_in);
    enum { R = 13, C = 133 };
    static const int n_cols_list[] = { 65, 8, 133, 13, 12, 31, 7, 64, 2 };
    const size_t row_bytes = (size_t)aiosk_row_bytes(type, (uint64_t)n_in),
                 stride = (size_t)n_in * 4;
    guard_block gx = guard_new(stride * C), gw = guard_new(row_bytes * R);
    float *x = (float *)(void *)gx.p, *want = (float *)malloc(sizeof(float) * R * C),
          *w = (float *)malloc(stride), bias[R];
    double off = 0, size = 0;
    int b, c, r, i;
    random_blocks(type, gw.p, (size_t)n_in * R);
    for (i = 0; i < R; i++) bias[i] = test_randf(&rng) * 1000;
    for (c = 0; c < C; c++)
        for (i = 0; i < n_in; i++) { /* gx.p stands at any multiple of 4 */
            const float v = test_randf(&rng) * (c == 3 ? 1e-6f : 1);
            memcpy(x + (size_t)c * (size_t)n_in + i, &v, 4);
        }
    for (c = 0; c < C; c++)
        for (r = 0; r < R; r++) {
            aiosk_matmul m;
            memset(&m, 0, sizeof m);
            m.w = gw.p;
            m.x = gx.p + stride * (size_t)c;
            m.y = want + c * R;
            m.n_in = n_in;
            m.row0 = r;
            m.row1 = r + 1;
            m.n_cols = 1;
            if (fn) {
                double s = 0, ww = 0, xx = 0;
                fn(&m);
                aiosk_unpack(type, gw.p + row_bytes * (size_t)r, (uint64_t)n_in, w);
                for (i = 0; i < n_in; i++)
                    s += (double)w[i] * x[(size_t)c * (size_t)n_in + (size_t)i],
                        ww += (double)w[i] * w[i],
                        xx += (double)x[(size_t)c * (size_t)n_in + (size_t)i] *
                              x[(size_t)c * (size_t)n_in + (size_t)i];
                off += (s - want[c * R + r]) * (s - want[c * R + r]);
                size += ww * xx / n_in;
                CHECK(fabs(s - want[c * R + r]) <=
                      1.0 / 256 * sqrt(ww * xx) +
                          1.2e-38 * n_in); /* bf16: at most 2^-9 of a factor; subnormals are 0 */
            } else {
                aiosk_unpack(type, gw.p + row_bytes * (size_t)r, (uint64_t)n_in, w);
                want[c * R + r] = plain_dot_floats(w, x + (size_t)c * (size_t)n_in, n_in);
            }
        }
    if (fn)
        printf("%s %s fast, n_in %d: error %.2e of |w| |x| / sqrt(n_in)\n", k->name,
               aiosk_type_info(type)->name, n_in, sqrt(off / size));
    for (b = 0; b < (quick ? 3 : 9); b++) {
        const int n_cols = n_cols_list[b], row0 = b * 5 % 12,
                  row1 = b % 3 == 2 ? R : row0 + 1 + b * 7 % (R - row0);
        guard_block gy = guard_new(sizeof(float) * (size_t)(R * n_cols));
        int n_bad = 0;
        aiosk_matmul m;
        memset(&m, 0, sizeof m);
        for (i = 0; i < R * n_cols; i++) {
            const float v = (float)i;
            memcpy(gy.p + (size_t)i * 4, &v, 4);
        }
        m.w = gw.p;
        m.x = gx.p + stride * (size_t)(C - n_cols);
        m.y = (float *)(void *)gy.p;
        m.bias = b & 1 ? bias : NULL;
        m.flags = b & 2 ? AIOSK_MM_ADD : 0;
        m.x_stride = stride;
        m.y_stride = R;
        m.n_in = n_in;
        m.row0 = row0;
        m.row1 = row1;
        m.n_cols = n_cols;
        if (fn)
            fn(&m);
        else
            k->matmul[type][AIOSK_ROWS](&m);
        for (c = 0; c < n_cols; c++)
            for (r = 0; r < R; r++) {
                float v = want[(C - n_cols + c) * R + r];
                if (b & 1) v += bias[r];
                if (b & 2) v = (float)(c * R + r) + v;
                if (r < row0 || r >= row1) v = (float)(c * R + r);
                n_bad += memcmp(&v, gy.p + (size_t)(c * R + r) * 4, 4) != 0;
            }
        CHECK_AT(n_bad == 0, "%s %s n_in %d rows %d..%d cols %d: %d differ", k->name,
                 aiosk_type_info(type)->name, n_in, row0, row1, n_cols, n_bad);
        guard_free(&gy);
    }
    free(want);
    free(w);
    guard_free(&gx);
    guard_free(&gw);
}

/* Kernels of 16-bit arithmetic: those that run here, whether they are faster or not; and what
 * aiosk_matmul_fast gives. */
static void fast_kernels_give_each_column_what_it_gets_alone(int quick) {
    static const int n_in[] = { 1600, 1, 31, 33, 512 };
    int isa, type, i;
    for (isa = 1; isa < AIOSK_N_ISA; isa++) {
        const aiosk_isa *k = aiosk_select(isa);
        if (!k) continue;
        for (type = 0; type < AIOSK_N_TYPES; type++) {
            const aiosk_matmul_fn fn = aiosk_matmul_fast(k, type);
            CHECK((fn != NULL) == (k->matmul[type][AIOSK_ROWS] != NULL));
            if (type != AIOSK_BF16)
                CHECK(fn == k->matmul[type][AIOSK_ROWS]);
            else if (fn != k->matmul[type][AIOSK_ROWS])
                for (i = 0; i < 5; i++)
                    float_columns_are_each_as_if_alone(k, type, fn, n_in[i], quick);
        }
        CHECK(aiosk_matmul_fast(k, -1) == NULL && aiosk_matmul_fast(k, 9999) == NULL);
    }
#ifdef TEST_BF16
    if (aiosk_select(AIOSK_ISA_AVX512) && __builtin_cpu_supports("avx512bf16"))
        for (i = 0; i < 5; i++)
            float_columns_are_each_as_if_alone(aiosk_select(AIOSK_ISA_AVX512), AIOSK_BF16,
                                               aiosk__fast_bf16_avx512, n_in[i], quick);
#endif
}

/* Columns are the same bytes on every set, codes and scales those of the definition. */
static void columns_are_the_same_bytes_on_every_set(void) {
    enum { N = 2560 };
    float *x = (float *)malloc(sizeof(float) * N), d[N / 32];
    static float y[N];
    int8_t q[N];
    int kind, isa, round, i;
    for (round = 0; round < 12; round++) {
        static const float sizes[] = { 1, 1e-3f, 1e4f, 1e-36f, 1e-39f, 3e38f, 1e-44f };
        for (i = 0; i < N; i++) x[i] = test_randf(&rng) * sizes[round % 7] * (round == 7 ? 0 : 1);
        if (round == 8)
            for (i = 0; i < N; i++) x[i] = (float)(i % 511 - 255) * 0.5f; /* ties */
        if (round == 9) x[0] = x[700] = (float)NAN, x[40] = (float)INFINITY, x[41] = -x[40];
        if (round == 10)
            for (i = 0; i < 64; i++) x[i] = (float)NAN;
        for (kind = AIOSK_A32; kind <= AIOSK_A256; kind++) {
            const size_t n = (size_t)aiosk_act_bytes(kind, N);
            guard_block first = guard_new(n), g = guard_new(n), gx = guard_new(sizeof(float) * N);
            memcpy(gx.p, x, sizeof(float) * N);
            aiosk_select(AIOSK_ISA_SCALAR)
                ->quantize[kind]((const float *)(const void *)gx.p, N, first.p);
            CHECK_EQ(n % 64, 0);
            if (round != 4 && round != 6 && round < 9) { /* 127 / amax finite, no NaN */
                plain_quantize(x, N, kind == AIOSK_A32 ? 32 : 256, q, d);
                CHECK_MEM(first.p, q, N);
                CHECK_MEM(first.p +
                              (kind == AIOSK_A32 ? aiosk__a32_parts(N).d : aiosk__a256_parts(N).d),
                          d, sizeof(float) * (kind == AIOSK_A32 ? N / 32 : N / 256));
                aiosk_act_unpack(kind, first.p, N, y);
                for (i = 0; i < N && y[i] == (float)q[i] * d[i / (kind == AIOSK_A32 ? 32 : 256)];)
                    i++;
                CHECK_EQ(i, N);
                aiosk_act_unpack(AIOSK_FLT, x, N, y);
                CHECK_MEM(y, x, sizeof(float) * N);
            }
            for (isa = 2; isa < AIOSK_N_ISA; isa++) {
                if (!aiosk_select(isa)) continue;
                memset(g.p, 0, n);
                aiosk_select(isa)->quantize[kind]((const float *)(const void *)gx.p, N, g.p);
                CHECK_AT(memcmp(first.p, g.p, n) == 0, "%s kind %d round %d",
                         aiosk_select(isa)->name, kind, round);
            }
            guard_free(&first);
            guard_free(&g);
            guard_free(&gx);
        }
    }
    free(x);
}

static void every_set_has_a_kernel_for_every_type(void) {
    int isa, type;
    for (isa = 1; isa < AIOSK_N_ISA; isa++) {
        const aiosk_isa *k = aiosk_select(isa);
        if (!k) continue;
        printf("%s\n", k->name);
        CHECK_EQ(k->id, isa);
        for (type = 0; type < AIOSK_N_TYPES; type++) {
            const aiosk_type *t = aiosk_type_info(type);
            CHECK((k->matmul[type][AIOSK_ROWS] != NULL) == (t && t->family != AIOSK_RAW));
            CHECK((k->matmul[type][AIOSK_PANELS] != NULL) ==
                  (t && aiosk_layout_bytes(type, AIOSK_PANELS, 16, 256) != 0));
        }
    }
    CHECK(aiosk_select(AIOSK_ISA_BEST) != NULL);
    CHECK(aiosk_select(-1) == NULL);
    CHECK(aiosk_select(99) == NULL);
    CHECK_EQ(aiosk_layout_bytes(AIOSK_Q4_0, AIOSK_PANELS, 17, 64), 2 * 16 * 36);
    CHECK_EQ(aiosk_layout_bytes(AIOSK_Q4_0, AIOSK_PANELS, 17, 65), 0);
    CHECK_EQ(aiosk_layout_bytes(AIOSK_F32, AIOSK_PANELS, 16, 64), 0);
    CHECK_EQ(aiosk_layout_bytes(AIOSK_Q4_0, 2, 16, 64), 0);
}

static void floating_point_state_is_set_and_restored(void) {
#if defined(__x86_64__)
    const uint32_t old = _mm_getcsr();
    uint64_t saved;
    _mm_setcsr(old | 0xE040u);
    saved = aiosk_fp_begin();
    CHECK_EQ(_mm_getcsr() & 0xE040u, 0);
    aiosk_fp_end(saved);
    CHECK_EQ(_mm_getcsr(), old | 0xE040u);
    _mm_setcsr(old);
#else
    aiosk_fp_end(aiosk_fp_begin());
#endif
}

int main(int argc, char **argv) {
    const int quick = test_begin(argc, argv);
    int type, i;
    TEST(every_set_has_a_kernel_for_every_type)();
    TEST(floating_point_state_is_set_and_restored)();
    TEST(columns_are_the_same_bytes_on_every_set)();
    TEST(fast_kernels_give_each_column_what_it_gets_alone)(quick);
    for (type = 0; type < AIOSK_N_TYPES; type++) {
        static const int n_flt[] = { 1, 16, 39, 100 }, times[] = { 1, 2, 3, 4 };
        const aiosk_type *t = aiosk_type_info(type);
        if (!t || t->family == AIOSK_RAW) continue;
        if (t->family != AIOSK_FLT) {
            TEST(many_columns_are_each_as_if_alone)(type, 512, 0, quick);
            if (!quick || type == AIOSK_Q5_1 || type == AIOSK_Q6_K)
                TEST(many_columns_are_each_as_if_alone)(type, 4864, 1, quick); /* 19 * 256 */
        } else {
            /* more than two blocks of places; no whole 16 of them */
            static const int many[] = { 1041, 513, 15, 64, 300 };
            for (int isa = quick ? 2 : 1; isa < AIOSK_N_ISA; isa++) {
                const aiosk_isa *k = aiosk_select(isa);
                for (i = 0; i < (quick ? 2 : 5) && k; i++)
                    TEST(float_columns_are_each_as_if_alone)(k, type, NULL, many[i], quick);
            }
        }
        for (i = 0; i < (quick ? 3 : 4); i++) {
            const int nw = (int)t->n_weights;
            int n_in = i == 3 ? nw * 33 : nw * times[i];
            if (t->family == AIOSK_FLT) n_in = n_flt[i];
            if (t->family == AIOSK_A256 && i == 3) n_in = 1280;
            TEST(products_are_those_of_the_definition)(type, n_in, quick);
        }
    }
    return test_end();
}
