/* test_ops.c: float ops and attention: every instruction set against the scalar one bit by bit,
 * the scalar one against double arithmetic and libm, and nothing read or written outside (guard
 * pages). */
#include "guard.h"
#include <math.h>
#include "aios_kernels.h"
#include "kernels/base.h"
#include "test.h"

/* Inputs of several characters */
enum { K_UNIT, K_WIDE, K_SMALL, K_LARGE, K_DENORMAL, K_ZERO, K_MIXED, N_KINDS };
static void fill(float *x, int n, int kind, uint64_t *r) {
    int i;
    for (i = 0; i < n; i++) {
        float u = test_randf(r);
        switch (kind) {
        case K_UNIT: x[i] = u; break;
        case K_WIDE: x[i] = u * 12.0f; break;
        case K_SMALL: x[i] = u * 1e-6f; break;
        case K_LARGE: x[i] = u * 1e15f; break;
        case K_DENORMAL: x[i] = u * 1e-39f; break;
        case K_ZERO: x[i] = test_rand(r) & 1 ? 0.0f : -0.0f; break;
        default:
            x[i] = aiosk__bits_f32((uint32_t)(test_rand(r) >> 32) &
                                   0xDFFFFFFFu); /* |x| < 4, all exponents below */
            if (test_rand(r) % 5 == 0) x[i] = u * 100.0f;
        }
    }
}

/* All that the scalar set computed: the same number on every machine */
static uint64_t hash = 14695981039346656037u;
static void hash_add(const float *x, int n) {
    int i;
    for (i = 0; i < n; i++) hash = (hash ^ aiosk__f32_bits(x[i])) * 1099511628211u;
}

static const aiosk_isa *isas[AIOSK_N_ISA];
static int n_isas;

static int same(const float *a, const float *b, int n) {
    int i;
    for (i = 0; i < n; i++)
        if (aiosk__f32_bits(a[i]) != aiosk__f32_bits(b[i])) {
            static int told;
            if (told++ < 10)
                printf("  differ at %d of %d: %.9g %.9g\n", i, n, (double)a[i], (double)b[i]);
            return 0;
        }
    return 1;
}

/* One elementwise or row op by number, y from a, b, c */
enum { N_OPS = 18 };
static void op(const aiosk_isa *k, int o, const float *a, const float *b, const float *c, int n,
               float *y) {
    switch (o) {
    case 0:
    case 1:
    case 2:
    case 3: k->act(o, a, n, y); break;
    case 4:
    case 5:
    case 6:
    case 7: k->act_gated(o - 4, a, b, n, y); break;
    case 8: k->add(a, b, n, y); break;
    case 9: k->scale(a, 0.3f, n, y); break;
    case 10: k->softcap(a, 30.0f, n, y); break;
    case 11: k->exp(a, n, y); break;
    case 12: k->rms_norm(a, b, 1e-5f, n, y); break;
    case 13: k->rms_norm(a, NULL, 1e-6f, n, y); break;
    case 14: k->layer_norm(a, b, c, 1e-5f, n, y); break;
    case 15: k->layer_norm(a, b, NULL, 1e-5f, n, y); break;
    case 16: k->layer_norm(a, NULL, c, 1e-5f, n, y); break;
    default: k->layer_norm(a, NULL, NULL, 1e-5f, n, y);
    }
}

static void ops_are_the_same_bits_on_every_set(void) {
    static const int more[] = { 127, 128, 129, 1000, 1024, 2048, 2055, 4096 };
    int t, t1, o, kind, s;
    uint64_t r = 1;
    for (t = 1; t <= 70 + (int)(sizeof more / sizeof more[0]); t++) {
        int n = t <= 70 ? t : more[t - 71], all = 1;
        for (kind = 0; kind < N_KINDS; kind++) {
            float *a, *b, *c, *y, *z;
            size_t bytes = (size_t)n * 4;
            guard_reset();
            a = (float *)guard(bytes);
            b = (float *)guard(bytes);
            c = (float *)guard(bytes);
            y = (float *)guard(bytes);
            z = (float *)guard(bytes);
            fill(a, n, kind, &r);
            fill(b, n, kind == K_LARGE ? K_UNIT : kind, &r);
            fill(c, n, kind, &r);
            for (o = 0; o < N_OPS; o++) {
                op(isas[0], o, a, b, c, n, y);
                hash_add(y, n);
                for (s = 0; s < n_isas; s++) {
                    memset(z, 0x55, bytes);
                    op(isas[s], o, a, b, c, n, z);
                    if (!same(y, z, n)) {
                        all = 0;
                        printf("  op %d kind %d n %d %s\n", o, kind, n, isas[s]->name);
                    }
                    memcpy(z, a, bytes); /* in place */
                    op(isas[s], o, z, b, c, n, z);
                    if (!same(y, z, n)) {
                        all = 0;
                        printf("  op %d kind %d n %d %s in place\n", o, kind, n, isas[s]->name);
                    }
                }
            }
            for (s = 1; s < n_isas; s++) {
                int8_t *p = (int8_t *)guard((size_t)(n + 15) / 16 * 16),
                       *q = (int8_t *)guard((size_t)(n + 15) / 16 * 16);
                float d0, d1;
                isas[0]->quantize_head(a, n, p, &d0, NULL);
                isas[s]->quantize_head(a, n, q, &d1, z);
                all &= same(&d0, &d1, 1) && memcmp(p, q, (size_t)(n + 15) / 16 * 16) == 0;
                for (t1 = 0; t1 < n; t1++) all &= z[t1] == (float)q[t1] * d1;
                memcpy(y, a, bytes);
                isas[s]->quantize_head(y, n, q, &d1, y); /* in place */
                all &= memcmp(y, z, bytes) == 0 && memcmp(p, q, (size_t)(n + 15) / 16 * 16) == 0;
                all &= isas[0]->argmax(a, n) == isas[s]->argmax(a, n);
            }
            all &= guard_ok();
        }
        CHECK(all);
    }
}

/* Largest error of act-like functions in units of the last place and relative */
static double ulp_of(double v) {
    int e;
    if (fabs(v) < 1.1754943508222875e-38) return ldexp(1.0, -149);
    frexp(v, &e);
    return ldexp(1.0, e - 24);
}
static double f_exp(double x) { return exp(x); }
static double f_tanh(double x) { return tanh(x); }
static double f_silu(double x) { return x / (1 + exp(-x)); }
static double f_gelu(double x) {
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double f_gelu_safe(double x) {
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static void square_roots_are_rounded_right(
    void) { /* own code where there is neither hardware that we know nor libm */
    uint64_t r = 3;
    int i;
    CHECK(aiosk__sqrt(0.0f) == 0.0f);
    CHECK_EQ(aiosk__f32_bits(aiosk__sqrt((float)INFINITY)), 0x7F800000u);
    for (i = 0; i < 2000; i++) {
        const float x = aiosk__bits_f32((uint32_t)(test_rand(&r) >> 32) & 0x7FFFFFFFu);
        if (x < (float)INFINITY && !CHECK(aiosk__sqrt(x) == (float)sqrt((double)x)))
            printf("  sqrt %.9g\n", (double)x);
    }
}

static void ops_are_as_close_as_promised(void) {
    static const struct {
        const char *name;
        int op;
        double (*f)(double);
        double lo, hi, limit;
        int absolute;
    } T[] = {
        { "exp", 11, f_exp, -87.3, 88.7, 1.2e-7, 0 },
        { "exp small", 11, f_exp, -1, 1, 1.2e-7, 0 },
        { "tanh", -1, f_tanh, -12, 12, 3e-7, 0 },
        { "tanh small", -1, f_tanh, -0.7, 0.7, 3e-7, 0 },
        { "tanh tiny", -1, f_tanh, -1e-4, 1e-4, 1.2e-7, 0 },
        { "silu", 0, f_silu, -87, 20, 3e-7, 0 },
        { "silu near 0", 0, f_silu, -2, 2, 3e-7, 0 },
        { "gelu >= -1", 1, f_gelu_safe, -1, 12, 3e-7, 0 },
        { "gelu", 1, f_gelu_safe, -6, -1, 4e-6, 0 },
        { "gelu / |x|", 1, f_gelu, -12, 12, 2e-7, 1 },
    };
    const int N = 200000;
    float *x = (float *)malloc((size_t)N * 4), *y = (float *)malloc((size_t)N * 4);
    size_t t;
    int i;
    for (t = 0; t < sizeof T / sizeof T[0]; t++) {
        double worst = 0, worst_ulp = 0, at = 0;
        for (i = 0; i < N; i++) x[i] = (float)(T[t].lo + (T[t].hi - T[t].lo) * (i + 0.37) / N);
        if (T[t].op < 0)
            isas[0]->softcap(x, 1.0f, N, y);
        else
            op(isas[0], T[t].op, x, NULL, NULL, N, y);
        for (i = 0; i < N; i++) {
            double want = T[t].f((double)x[i]), e = fabs((double)y[i] - want),
                   rel = e / fabs(T[t].absolute ? (double)x[i] : want);
            if (rel > worst) {
                worst = rel;
                at = (double)x[i];
            }
            if (e / ulp_of(want) > worst_ulp) worst_ulp = e / ulp_of(want);
        }
        printf("  %-12s [%g, %g] worst relative %.3g at %.6g, %.2f ulp\n", T[t].name, T[t].lo,
               T[t].hi, worst, at, worst_ulp);
        CHECK(worst < T[t].limit);
    }
    { /* ends of the range */
        float in[9], out[9];
        in[0] = -104.0f;
        in[1] = -103.9f;
        in[2] = 0.0f;
        in[3] = -0.0f;
        in[4] = 88.7228f;
        in[5] = 88.73f;
        in[6] = -1e30f;
        in[7] = 3e38f;
        in[8] = -90.0f;
        isas[0]->exp(in, 9, out);
        CHECK(out[0] == 0.0f);
        CHECK(out[1] == aiosk__bits_f32(1));
        CHECK(out[2] == 1.0f && out[3] == 1.0f);
        CHECK(out[4] < 3.4028235e38f && out[4] > 3.40e38f);
        CHECK_EQ(aiosk__f32_bits(out[5]), 0x7F800000u);
        CHECK_EQ(aiosk__f32_bits(out[7]), 0x7F800000u);
        CHECK_EQ(aiosk__f32_bits(out[6]), 0);
        CHECK(fabs((double)out[8] - exp(-90.0)) <= ldexp(1.0, -149));
    }
    for (i = 0; i < 2; i++) { /* norms against double */
        enum { M = 1031 };
        float w[M], b[M];
        double s = 0, mean = 0, var = 0, worst = 0;
        uint64_t r = 7;
        int j;
        fill(x, M, K_WIDE, &r);
        fill(w, M, K_UNIT, &r);
        fill(b, M, K_UNIT, &r);
        for (j = 0; j < M; j++) {
            s += (double)x[j] * (double)x[j];
            mean += (double)x[j] / (int)M;
        }
        for (j = 0; j < M; j++) var += ((double)x[j] - mean) * ((double)x[j] - mean) / (int)M;
        if (i)
            isas[0]->layer_norm(x, w, b, 1e-5f, M, y);
        else
            isas[0]->rms_norm(x, w, 1e-5f, M, y);
        for (j = 0; j < M; j++) {
            double want =
                i ? ((double)x[j] - mean) / sqrt(var + (double)1e-5f) * (double)w[j] + (double)b[j]
                  : (double)x[j] / sqrt(s / (int)M + (double)1e-5f) * (double)w[j];
            double e = fabs((double)y[j] - want) / (i ? 1.0 : fabs(want));
            if (e > worst) worst = e;
        }
        printf("  %-12s worst %s %.3g\n", i ? "layer_norm" : "rms_norm",
               i ? "absolute" : "relative", worst);
        CHECK(worst < 4e-7);
    }
    free(x);
    free(y);
}

static void rope_turns_pairs_by_their_angles(void) {
    static const int rot[] = { 2, 4, 6, 8, 10, 16, 20, 26, 32, 50, 64, 80, 96, 128, 130, 160, 256 };
    size_t t;
    int style, s, i, h;
    uint64_t r = 3;
    for (t = 0; t < sizeof rot / sizeof rot[0]; t++)
        for (style = 0; style < 2; style++) {
            int nr = rot[t], hd = nr + (int)(t % 3) * 2, nh = 3, all = 1;
            size_t n = (size_t)(hd * nh);
            float *cs, *x, *y, *z;
            guard_reset();
            cs = (float *)guard((size_t)nr * 4);
            x = (float *)guard(n * 4);
            y = (float *)guard(n * 4);
            z = (float *)guard(n * 4);
            fill(x, (int)n, K_UNIT, &r);
            for (i = 0; i < nr / 2; i++) {
                cs[2 * i] = (float)cos(0.7 * i + 1);
                cs[2 * i + 1] = (float)sin(0.7 * i + 1);
            }
            memcpy(y, x, n * 4);
            for (h = 0; h < nh; h++)
                for (i = 0; i < nr / 2; i++) {
                    float *a = y + h * hd + (style ? i : 2 * i), *b = style ? a + nr / 2 : a + 1,
                          x0 = *a, x1 = *b;
                    volatile float p = x1 * cs[2 * i + 1], q = x1 * cs[2 * i];
                    *a = aiosk__fma(x0, cs[2 * i], -p);
                    *b = aiosk__fma(x0, cs[2 * i + 1], q);
                }
            for (s = 0; s < n_isas; s++) {
                memcpy(z, x, n * 4);
                isas[s]->rope(style, z, nh, hd, nr, cs);
                all &= same(y, z, (int)n);
            }
            CHECK(all && guard_ok());
        }
}

static void argmax_is_the_first_of_the_largest(void) {
    static float x[5000];
    int s, i;
    uint64_t r = 5;
    for (s = 0; s < n_isas; s++) {
        const aiosk_isa *k = isas[s];
        for (i = 0; i < 5000; i++) x[i] = test_randf(&r);
        x[4999] = 2;
        CHECK_EQ(k->argmax(x, 5000), 4999);
        x[3001] = 2;
        CHECK_EQ(k->argmax(x, 5000), 3001);
        x[1023] = 2;
        x[1024] = 2;
        CHECK_EQ(k->argmax(x, 5000), 1023);
        x[0] = 2;
        CHECK_EQ(k->argmax(x, 5000), 0);
        for (i = 0; i < 5000; i++) x[i] = AIOSK_NEG_INF;
        CHECK_EQ(k->argmax(x, 5000), 0);
        x[77] = 0;
        x[70] = -0.0f;
        CHECK_EQ(k->argmax(x, 5000), 70);
        for (i = 0; i < 50; i++) x[i] = aiosk__bits_f32(0x7FC00000u);
        CHECK_EQ(k->argmax(x, 50), 0);
        CHECK_EQ(k->argmax(x, 5000), 70);
    }
}

/* ---- attention ---- */

static int hp(int hd) { return (hd + 15) / 16 * 16; }

static void tiles_are_the_same_bytes_on_every_set(void) {
    static const int hd[][2] = { { 2, 2 },   { 10, 6 },    { 16, 16 },   { 64, 64 },  { 80, 80 },
                                 { 96, 50 }, { 128, 128 }, { 192, 128 }, { 576, 512 } };
    size_t t;
    int kv, s, slot, i, kind;
    uint64_t r = 11;
    for (t = 0; t < sizeof hd / sizeof hd[0]; t++)
        for (kv = 0; kv < AIOSK_KV_I8; kv++)
            for (kind = 0; kind < N_KINDS; kind++) {
                int hk = hd[t][0], hv = hd[t][1], all = 1;
                size_t bytes = (size_t)aiosk_tile_bytes(kv, hk, hv);
                float *k, *v;
                uint8_t *a, *b;
                guard_reset();
                k = (float *)guard((size_t)hk * 4);
                v = (float *)guard((size_t)hv * 4);
                a = (uint8_t *)guard(bytes);
                b = (uint8_t *)guard(bytes);
                CHECK_EQ(bytes % 64, 0);
                slot = (int)(test_rand(&r) % 64);
                fill(k, hk, kind, &r);
                fill(v, hv, kind, &r);
                memset(a, 0x77, bytes);
                isas[0]->store[kv](a, slot, k, v, hk, hv);
                for (s = 1; s < n_isas; s++) {
                    memset(b, 0x77, bytes);
                    isas[s]->store[kv](b, slot, k, v, hk, hv);
                    all &= memcmp(a, b, bytes) == 0;
                }
                if (kv == AIOSK_KV_F32) {
                    for (i = 0; i < hk; i++) all &= aiosk__f32(a + (i * 64 + slot) * 4) == k[i];
                    for (i = 0; i < hp(hv); i++)
                        all &= aiosk__f32(a + (hk * 64 + slot * hp(hv) + i) * 4) ==
                               (i < hv ? v[i] : 0.0f);
                } else {
                    for (i = 0; i < hk; i++)
                        all &= aiosk__u16(a + (i * 64 + slot) * 2) == aiosk_f32_to_f16(k[i]);
                    for (i = 0; i < hp(hv); i++)
                        all &= aiosk__u16(a + (hk * 64 + slot * hp(hv) + i) * 2) ==
                               (i < hv ? aiosk_f32_to_f16(v[i]) : 0);
                }
                CHECK(all && guard_ok());
            }
}

/* Reads back what a tile holds, as double */
static double tile_at(int kv, const uint8_t *tile, int hk, int hv, int is_v, int pos, int c) {
    int i = is_v ? hk * 64 + pos * hp(hv) + c : c * 64 + pos;
    return kv == AIOSK_KV_F32 ? (double)aiosk__f32(tile + 4 * i)
                              : (double)aiosk_f16_to_f32(aiosk__u16(tile + 2 * i));
}

typedef struct attend_case {
    int kv, hk, hv, n_q, n_tiles, softcap, alibi, window, ragged;
} attend_case;

static void check_attend(const attend_case *c, uint64_t *r) {
    enum { MAX_T = 10 };
    const int n = c->n_q, hk = c->hk, hv = c->hv,
              last = 64 * c->n_tiles - (c->ragged ? 23 : 0); /* positions stored */
    const size_t bytes = (size_t)aiosk_tile_bytes(c->kv, hk, hv);
    uint8_t *tile[MAX_T];
    const void *tiles[MAX_T];
    float *q, *m, *l, *o, *m1, *l1, *o1, *want_o, *want_l, *slope, *sums, *k, *v;
    void *scratch;
    int32_t *lo, *hi, *dpos, *from, *to;
    int t, p, i, s, split, all = 1;
    double worst = 0;
    aiosk_attend a;
    memset(&a, 0, sizeof a);
    guard_reset();
    q = (float *)guard(((size_t)(n - 1) * (size_t)(hk + 3) + (size_t)hk) * 4);
    sums = (float *)guard((size_t)n * AIOSK_RUN * 4);
    m = (float *)guard((size_t)n * 4);
    l = (float *)guard((size_t)n * 4);
    o = (float *)guard((size_t)n * (size_t)hp(hv) * 4);
    m1 = (float *)guard((size_t)n * 4);
    l1 = (float *)guard((size_t)n * 4);
    o1 = (float *)guard((size_t)n * (size_t)hp(hv) * 4);
    scratch = guard((size_t)AIOSK_ATTEND_SCRATCH(n, hk > hv ? hk : hv));
    slope = (float *)guard((size_t)n * 4);
    lo = (int32_t *)guard((size_t)n * 4);
    hi = (int32_t *)guard((size_t)n * 4);
    dpos = (int32_t *)guard((size_t)n * 4);
    for (t = 0; t < c->n_tiles; t++) tiles[t] = tile[t] = (uint8_t *)guard(bytes);
    from = (int32_t *)malloc((size_t)n * 4);
    to = (int32_t *)malloc((size_t)n * 4);
    want_o = (float *)malloc((size_t)n * (size_t)hp(hv) * 4);
    want_l = (float *)malloc((size_t)n * 4);
    k = (float *)malloc((size_t)hk * 4);
    v = (float *)malloc((size_t)hv * 4);

    for (t = 0; t < c->n_tiles; t++)
        memset(tile[t], 0xFF, bytes); /* NaN: positions not stored must not matter */
    for (p = 0; p < last; p++) {
        fill(k, hk, K_UNIT, r);
        fill(v, hv, K_UNIT, r);
        isas[0]->store[c->kv](tile[p / 64], p % 64, k, v, hk, hv);
    }
    for (i = 0; i < n; i++) {
        fill(q + i * (hk + 3), hk, K_UNIT, r);
        for (p = 0; p < hk; p++) q[i * (hk + 3) + p] *= 3;
        slope[i] = -0.01f * (float)(i + 1) * (c->alibi ? -1.0f : 0.0f);
        to[i] = last - (n - 1 - i) % 37; /* causal: query i sees positions below */
        if (to[i] < 1) to[i] = 1;
        from[i] = c->window && to[i] > 41 ? to[i] - (c->window == 2 ? 41 : to[i] * 2 / 3) : 0;
    }
    a.q = q;
    a.m = m1;
    a.l = l1;
    a.o = o1;
    a.scratch = scratch;
    a.low = lo;
    a.high = hi;
    a.scale = (float)(1.0 / sqrt((double)hk));
    a.softcap = c->softcap ? 2.5f : 0.0f;
    a.slope = c->alibi ? slope : NULL;
    a.dpos = c->alibi ? dpos : NULL;
    a.hd_k = hk;
    a.hd_v = hv;
    a.q_stride = hk + 3;
    a.type = c->kv;

    for (s = 0; s < n_isas; s++)
        for (split = 0; split < (s ? 3 : 2); split++) {
            int step = split == 0 ? n : split == 1 ? 1 : 3, i0;
            memset(m, 0, (size_t)n * 4);
            memset(l, 0, (size_t)n * 4);
            memset(o, 0, (size_t)n * (size_t)hp(hv) * 4);
            for (t = 0; t < c->n_tiles; t += AIOSK_RUN) {
                int n_t = c->n_tiles - t < AIOSK_RUN ? c->n_tiles - t : AIOSK_RUN;
                for (i = 0; i < n; i++) {
                    lo[i] = from[i] - 64 * t < 0          ? 0
                            : from[i] - 64 * t > 64 * n_t ? 64 * n_t
                                                          : from[i] - 64 * t;
                    hi[i] = to[i] - 64 * t < 0          ? 0
                            : to[i] - 64 * t > 64 * n_t ? 64 * n_t
                                                        : to[i] - 64 * t;
                    dpos[i] = 64 * t - (to[i] - 1);
                }
                for (i0 = 0; i0 < n;
                     i0 += step) { /* all queries at once, or few at a time: same bits */
                    aiosk_attend b = a;
                    b.tile = tiles + t;
                    b.n_tiles = n_t;
                    b.n_q = n - i0 < step ? n - i0 : step;
                    b.q += i0 * a.q_stride;
                    b.m += i0;
                    b.l += i0;
                    b.o += i0 * hp(hv);
                    b.low += i0;
                    b.high += i0;
                    if (c->alibi) {
                        b.slope += i0;
                        b.dpos += i0;
                    }
                    memset(b.o, 0x77, (size_t)b.n_q * (size_t)hp(hv) * 4);
                    b.tile_sum = split ? sums + i0 * n_t : NULL;
                    isas[s]->attend(&b);
                }
                for (i = 0; i < n && split; i++) {
                    double sum = 0;
                    for (p = 0; p < n_t; p++) sum += (double)sums[i * n_t + p];
                    all &= fabs(sum - (double)l1[i]) <= 1e-5 * sum;
                }
                isas[s]->attend_merge(n, hv, m, l, o, hp(hv), m1, l1, o1, hp(hv));
            }
            if (s == 0 && split == 0) {
                memcpy(want_o, o, (size_t)n * (size_t)hp(hv) * 4);
                memcpy(want_l, l, (size_t)n * 4);
                hash_add(o, n * hp(hv));
            } else if (!same(want_o, o, n * hp(hv)) || !same(want_l, l, n)) {
                all = 0;
                printf("  attend kv %d hd %d %d n_q %d split %d %s\n", c->kv, hk, hv, n, split,
                       isas[s]->name);
            }
        }
    for (i = 0; i < n; i++) { /* against the plain definition in double */
        static double w[64 * MAX_T];
        double mx = -1e300, sum = 0;
        int d;
        for (p = from[i]; p < to[i]; p++) {
            double x = 0;
            for (d = 0; d < hk; d++)
                x += tile_at(c->kv, tile[p / 64], hk, hv, 0, p % 64, d) *
                     (double)q[i * (hk + 3) + d];
            x *= (double)a.scale;
            if (c->softcap) x = 2.5 * tanh(x / 2.5);
            if (c->alibi) x += (double)slope[i] * (p - (to[i] - 1));
            w[p] = x;
            if (x > mx) mx = x;
        }
        for (p = from[i]; p < to[i]; p++) sum += w[p] = exp(w[p] - mx);
        for (d = 0; d < hv; d++) {
            double x = 0, e;
            for (p = from[i]; p < to[i]; p++)
                x += w[p] / sum * tile_at(c->kv, tile[p / 64], hk, hv, 1, p % 64, d);
            e = fabs(x - (double)want_o[i * hp(hv) + d] / (double)want_l[i]);
            if (!(e <= worst)) worst = e;
        }
        for (; d < hp(hv); d++) all &= want_o[i * hp(hv) + d] == 0.0f;
    }
    if (!(worst < 4e-6))
        printf("  attend kv %d hd %d %d n_q %d error %.3g\n", c->kv, hk, hv, n, worst);
    CHECK(all);
    CHECK(worst < 4e-6);
    CHECK(guard_ok());
    free(from);
    free(to);
    free(want_o);
    free(want_l);
    free(k);
    free(v);
}

static void attention_is_close_and_the_same_on_every_set(void) {
    static const int hd[][2] = { { 64, 64 },   { 128, 128 }, { 2, 2 },    { 6, 10 },  { 16, 16 },
                                 { 30, 34 },   { 48, 80 },   { 80, 80 },  { 96, 96 }, { 112, 112 },
                                 { 192, 128 }, { 256, 256 }, { 576, 512 } };
    int t, kv, n, flags;
    uint64_t r = 17;
    for (t = 0; t < (int)(sizeof hd / sizeof hd[0]); t++)
        for (kv = 0; kv < AIOSK_KV_I8; kv++) {
            attend_case c;
            memset(&c, 0, sizeof c);
            c.kv = kv;
            c.hk = hd[t][0];
            c.hv = hd[t][1];
            for (n = 1; n <= 9; n += t < 2 || t == 6 ? 1 : 4) {
                flags = (int)(test_rand(&r) % 16);
                c.n_q = n;
                c.n_tiles = t > 9 ? 1 : n == 5 && t < 2 ? 10 : n == 9 ? 8 : 1 + n % 3;
                c.softcap = flags & 1;
                c.alibi = flags >> 1 & 1;
                c.window = (flags >> 2 & 1) * (1 + n % 2);
                c.ragged = flags >> 3 & 1;
                check_attend(&c, &r);
            }
            if (t < 2)
                for (flags = 0; flags < 16; flags++) {
                    c.n_q = 19;
                    c.n_tiles = flags % 3 ? 9 : 2;
                    c.softcap = flags & 1;
                    c.alibi = flags >> 1 & 1;
                    c.window = flags >> 2 & 1;
                    c.ragged = flags >> 3 & 1;
                    if (t == 0) check_attend(&c, &r);
                }
        }
    for (kv = 0; kv < AIOSK_N_KV; kv++)
        if (aiosk_kv_ok(kv)) { /* nothing to see: an empty result, and merging it changes nothing */
            int s;
            for (s = 0; s < n_isas; s++) {
                static uint8_t mem[128 * 1024];
                uint8_t *tile = mem + (64 - ((uintptr_t)mem & 63));
                const void *tiles[1];
                static float scratch[AIOSK_ATTEND_SCRATCH(2, 16) / 4];
                float q[2][16], m[2], l[2], o[2][16], m0[2] = { 1, 2 }, l0[2] = { 3, 4 }, o0[2][17],
                                                      d[2] = { 1, 1 };
                int8_t q8[2][16];
                int32_t lo[2] = { 5, 64 }, hi[2] = { 5, 0 };
                aiosk_attend a;
                int i, j, ok = 1;
                memset(&a, 0, sizeof a);
                memset(tile, 0xFF, 16 * 1024);
                memset(q, 0, sizeof q);
                memset(q8, 0, sizeof q8);
                memset(o, 0x77, sizeof o);
                for (i = 0; i < 17; i++) o0[0][i] = o0[1][i] = (float)i;
                tiles[0] = tile;
                a.tile = tiles;
                a.n_tiles = 1;
                a.q = q[0];
                a.q8 = q8[0];
                a.q8_d = d;
                a.m = m;
                a.l = l;
                a.o = o[0];
                a.scratch = scratch;
                a.low = lo;
                a.high = hi;
                a.scale = 1;
                a.n_q = 2;
                a.hd_k = a.hd_v = a.q_stride = 16;
                a.type = kv;
                isas[s]->attend(&a);
                for (i = 0; i < 2; i++) {
                    ok &= m[i] == AIOSK_NEG_INF && l[i] == 0;
                    for (j = 0; j < 16; j++) ok &= o[i][j] == 0.0f;
                }
                isas[s]->attend_merge(2, 16, m0, l0, o0[0], 17, m, l, o[0], 16);
                for (i = 0; i < 17; i++) ok &= o0[0][i] == (float)i && o0[1][i] == (float)i;
                ok &= m0[0] == 1 && m0[1] == 2 && l0[0] == 3 && l0[1] == 4;
                isas[s]->attend_merge(2, 15, m, l, o[0], 16, m0, l0, o0[0],
                                      17); /* and nothing is replaced */
                for (i = 0; i < 15; i++) ok &= o[0][i] == (float)i && o[1][i] == (float)i;
                ok &= o[0][15] == 0.0f && m[0] == 1 && m[1] == 2 && l[0] == 3 && l[1] == 4;
                CHECK(ok);
            }
        }
}

int main(int argc, char **argv) {
    int i;
    test_begin(argc, argv);
    for (i = AIOSK_ISA_SCALAR; i < AIOSK_N_ISA; i++) {
        const aiosk_isa *k = aiosk_select(i);
        if (k) {
            isas[n_isas++] = k;
            if (!test_listing()) printf("  %s\n", k->name);
        }
    }
    if (!CHECK(n_isas > 0)) return test_end();
    TEST(square_roots_are_rounded_right)();
    TEST(ops_are_as_close_as_promised)();
    TEST(ops_are_the_same_bits_on_every_set)();
    TEST(rope_turns_pairs_by_their_angles)();
    TEST(argmax_is_the_first_of_the_largest)();
    TEST(tiles_are_the_same_bytes_on_every_set)();
    TEST(attention_is_close_and_the_same_on_every_set)();
    if (!test_listing())
        printf("  hash %08lx%08lx\n", (unsigned long)(hash >> 32),
               (unsigned long)(hash & 0xFFFFFFFFu));
    return test_end();
}
