/* test_sampler.c: drawing tokens. Distributions are compared with probabilities that this file works out on its own
 * (libm, a full sort) by a chi-square test; seeds are fixed, so a run that passed once passes always. */
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include <math.h>
#include "test.h"

#define N_DRAWS 40000

static uint64_t work[3600000 / 8];

static aios_sampler defaults(void) {
    aios_sampler s;
    aios_sampler_init(&s);
    return s;
}
/* aios_sample_logits with the instruction set chosen once: asking the processor takes longer than a draw in some virtual machines. */
static const aiosk_isa *kernels;
static int32_t draw(const aios_sampler *s, const float *logits, int32_t n, uint64_t pos) {
    aios_error err;
    int32_t id = -7;
    aios_status st = aios__sample(kernels, s, logits, n, NULL, 0, pos, work, &id, &err);
    return st == AIOS_OK ? id : st;
}

/* ---- greedy ------------------------------------------------------------------------------------------------ */
static void test_greedy(void) {
    static const struct { float x[5]; int32_t want; } cases[] = {
        { { 1, 3, 2, 3, 0 }, 1 },                                  /* ties: the lowest id            */
        { { 0.0f, -0.0f, 0, 0, 0 }, 0 },
        { { -0.0f, 0.0f, 0, 0, 0 }, 0 },
        { { -5, -4, -3, -2, -1 }, 4 },
        { { NAN, -1e30f, NAN, NAN, -2e30f }, 1 },                  /* NaN counts as -infinity        */
        { { -INFINITY, -INFINITY, 0, -INFINITY, NAN }, 2 },
        { { 1, INFINITY, 2, INFINITY, 3 }, 1 },
        { { 3e38f, 3.4e38f, -3e38f, 0, 0 }, 1 } };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        aios_sampler s = defaults();
        CHECK(draw(&s, cases[i].x, 5, 0) == cases[i].want);
        s.temperature = 1;                                          /* one token left: greedy too, with the same ties */
        s.top_k = 1;
        CHECK(draw(&s, cases[i].x, 5, i) == cases[i].want);
        s.top_k = 0;
        s.top_p = 1e-6f;
        CHECK(draw(&s, cases[i].x, 5, i) == cases[i].want);
        s.top_p = 0;
        s.temperature = 1e-45f;                                     /* the smallest there is; ties stay ties */
        CHECK(cases[i].x[draw(&s, cases[i].x, 5, i)] == cases[i].x[cases[i].want]);
    }
    {
        float one = -3;
        aios_sampler s = defaults();
        CHECK(draw(&s, &one, 1, 0) == 0);
        s.temperature = 2;
        CHECK(draw(&s, &one, 1, 0) == 0);
    }
}

/* ---- distributions ----------------------------------------------------------------------------------------- */
typedef struct cand { double p; int32_t id; } cand;
static int by_p(const void *a, const void *b) {
    const cand *x = (const cand *)a, *y = (const cand *)b;
    return x->p < y->p ? 1 : x->p > y->p ? -1 : (x->id > y->id) - (x->id < y->id);
}
/* Exact probabilities p [n]: everything sorted, everything in double, straight from the documentation. */
static void exact(const aios_sampler *s, const float *logits, int32_t n, double *p) {
    cand c[512];
    double sum = 0, part = 0;
    int32_t i, k = s->top_k > 0 && s->top_k < n ? s->top_k : n, m;
    for (i = 0; i < n; i++) { c[i].p = (double)logits[i]; c[i].id = i; p[i] = 0; }
    qsort(c, (size_t)n, sizeof *c, by_p);
    for (i = k; i-- > 0;) sum += c[i].p = exp((c[i].p - c[0].p) / (double)s->temperature);
    for (m = 0; m < k; m++) {
        if (s->top_p > 0 && part >= (double)s->top_p * sum) break;
        if (s->min_p > 0 && c[m].p < (double)s->min_p * c[0].p) break;
        part += c[m].p;
    }
    for (i = 0; i < m; i++) p[c[i].id] = c[i].p / part;
}
/* Draws n_draws and compares: nothing of probability 0, and a chi-square within 4.5 sigma of its mean. */
static void check_distribution(const char *what, const aios_sampler *s, const float *logits, int32_t n) {
    static double p[512];
    static int32_t seen[512];
    double chi = 0, rest_p = 0, rest_n = 0;
    int32_t i, df = -1, n_impossible = 0;
    exact(s, logits, n, p);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < N_DRAWS; i++) {
        int32_t id = draw(s, logits, n, (uint64_t)i);
        if (!(id >= 0 && id < n && p[id] > 0)) { n_impossible++; continue; }
        seen[id]++;
    }
    for (i = 0; i < n; i++) {
        double want = p[i] * N_DRAWS, d = seen[i] - want;
        if (want < 8) { rest_p += want; rest_n += seen[i]; continue; }     /* rare ones together */
        chi += d * d / want;
        df++;
    }
    if (rest_p >= 8) { chi += (rest_n - rest_p) * (rest_n - rest_p) / rest_p; df++; }
    if (!CHECK(n_impossible == 0) || !CHECK(df < 1 || chi < df + 4.5 * sqrt(2.0 * df)))
        printf("  %s: %d impossible draws, chi-square %.1f with %d degrees of freedom\n", what, n_impossible, chi, df);
}
static void test_distributions(void) {
    static const struct { const char *what; float temperature; int32_t top_k; float top_p, min_p; } cases[] = {
        { "plain",            1.0f,   0, 0.0f,  0.0f  }, { "hot",              4.0f,   0, 0.0f,  0.0f  },
        { "cool",             0.5f,   0, 0.0f,  0.0f  }, { "top-k 2",          1.0f,   2, 0.0f,  0.0f  },
        { "top-k 17",         1.5f,  17, 0.0f,  0.0f  }, { "top-k beyond",     1.0f, 999, 0.0f,  0.0f  },
        { "top-p 0.5",        1.0f,   0, 0.5f,  0.0f  }, { "top-p 0.95",       1.0f,   0, 0.95f, 0.0f  },
        { "top-p 1",          1.0f,   0, 1.0f,  0.0f  }, { "min-p 0.1",        1.0f,   0, 0.0f,  0.1f  },
        { "min-p 1",          1.0f,   0, 0.0f,  1.0f  }, { "all three",        0.8f,  40, 0.9f,  0.05f },
        { "k then p",         1.0f,   8, 0.7f,  0.0f  }, { "p before k bites", 1.0f, 100, 0.3f,  0.0f  } };
    float x[300];
    uint64_t r = 5;
    size_t i;
    int32_t j;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        aios_sampler s = defaults();
        s.seed = 1000 + i;
        s.temperature = cases[i].temperature;
        s.top_k = cases[i].top_k;
        s.top_p = cases[i].top_p;
        s.min_p = cases[i].min_p;
        for (j = 0; j < 300; j++) x[j] = 3 * test_randf(&r) * test_randf(&r) + (float)(j % 7);
        check_distribution(cases[i].what, &s, x, 300);
        check_distribution(cases[i].what, &s, x, 5);
    }
    {   /* ties at every cut: the lower ids stay */
        aios_sampler s = defaults();
        s.temperature = 1;
        s.top_k = 3;
        for (j = 0; j < 64; j++) x[j] = 1;
        check_distribution("ties, top-k", &s, x, 64);
        s.top_k = 0;
        s.top_p = 0.5f;
        check_distribution("ties, top-p", &s, x, 64);
    }
}

/* The random numbers themselves: uniform along positions, along seeds, and in pairs of neighbours. */
static void test_uniform(void) {
    int32_t kind, i, b[256];
    for (kind = 0; kind < 4; kind++) {
        double chi = 0;
        memset(b, 0, sizeof b);
        for (i = 0; i < 65536; i++) {
            uint64_t u = (uint64_t)i;
            double x = kind == 1 ? aios__uniform(u, 7) : kind == 3 ? aios__uniform(u << 32, u) : aios__uniform(42, u);
            int32_t v = (int32_t)(x * 256);
            if (kind == 2) v = (int32_t)(x * 16) * 16 + (int32_t)(aios__uniform(42, u + 1) * 16);
            if (!(x >= 0 && x < 1)) v = 0;
            b[v]++;
        }
        for (i = 0; i < 256; i++) chi += (b[i] - 256.0) * (b[i] - 256.0) / 256.0;
        CHECK(fabs(chi - 255) < 4.5 * sqrt(2.0 * 255));
    }
    CHECK(aios__uniform(0, 0) != aios__uniform(0, 1) && aios__uniform(0, 0) != aios__uniform(1, 0));
}

/* ---- bias and repetition ----------------------------------------------------------------------------------- */
static void test_bias(void) {
    const float x[4] = { 1, 2, 3, -1 };
    aios_logit_bias b[3] = { { 2, -INFINITY }, { 0, 0.75f }, { 0, 0.75f } };
    float banned[3] = { -INFINITY, 0, -INFINITY };
    aios_sampler s = defaults();
    s.bias = b;
    s.n_bias = 1;
    CHECK(draw(&s, x, 4, 0) == 1);                  /* banned */
    s.n_bias = 3;
    CHECK(draw(&s, x, 4, 0) == 0);                  /* entries add up: 1 + 1.5 > 2 */
    b[0].bias = INFINITY;
    CHECK(draw(&s, x, 4, 0) == 2);
    b[0].bias = INFINITY; b[0].id = 3;
    s.temperature = 1;
    CHECK(draw(&s, x, 4, 0) == 3);
    b[0].id = 0; b[0].bias = 3.4e38f;               /* no bias brings -infinity back */
    s.n_bias = 1;
    CHECK(draw(&s, banned, 3, 0) == 1);
    CHECK(x[0] == 1 && x[2] == 3);                  /* the logits stay as they are */
}
static void test_repeat(void) {
    const float x[4] = { 4, 3, -1, -1.5f };
    const float neg[3] = { -1, -1.5f, -9 };
    static const struct { float penalty; int32_t last, n, recent[6], want; } cases[] = {
        { 2.0f, 0, 1, { 0 }, 1 },                       /* 4 / 2 < 3                                    */
        { 1.2f, 0, 1, { 0 }, 0 },                       /* 4 / 1.2 > 3                                  */
        { 1.2f, 0, 6, { 0, 0, 0, 0, 0, 0 }, 0 },        /* once, however often it came                  */
        { 1.0f, 0, 1, { 0 }, 0 },                       /* off                                          */
        { 0.0f, 0, 1, { 0 }, 0 },
        { 2.0f, 2, 4, { 0, 2, 2, 3 }, 0 },              /* too long ago                                 */
        { 2.0f, 4, 4, { 0, 2, 2, 3 }, 1 },
        { 0.5f, 0, 1, { 1 }, 1 } };                     /* below 1: a reward                            */
    size_t i;
    int32_t id, zero = 0;
    aios_sampler s = defaults();
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        s.repeat_penalty = cases[i].penalty;
        s.repeat_last = cases[i].last;
        CHECK(aios_sample_logits(&s, x, 4, cases[i].recent, (uint64_t)cases[i].n, 0, work, &id, NULL) == AIOS_OK);
        CHECK(id == cases[i].want);
    }
    s.repeat_penalty = 2;                               /* a negative logit is multiplied */
    s.repeat_last = 0;
    CHECK(aios_sample_logits(&s, neg, 3, &zero, 1, 0, work, &id, NULL) == AIOS_OK && id == 1);
    s.repeat_penalty = 3e38f;                           /* overflow bans, nothing worse */
    CHECK(aios_sample_logits(&s, neg, 3, &zero, 1, 0, work, &id, NULL) == AIOS_OK && id == 1);
}

/* ---- sameness ---------------------------------------------------------------------------------------------- */
/* A hash of many draws, equal for every instruction set, and equal to what it was when this line was written. */
static void test_sameness(void) {
    static float x[5000];
    static const uint64_t pinned = 0x377A314EA323A154u;
    uint64_t r = 11;
    int32_t i, isa;
    for (i = 0; i < 5000; i++) x[i] = 12 * test_randf(&r);
    for (isa = AIOSK_ISA_SCALAR; isa < AIOSK_N_ISA; isa++) {
        const aiosk_isa *k = aiosk_select(isa);
        uint64_t h = 0xCBF29CE484222325u;
        if (!k) continue;
        for (i = 0; i < 300; i++) {
            aios_sampler s = defaults();
            int32_t id = 0, recent = i;
            s.seed = (uint64_t)i * 77;
            s.temperature = 0.25f + (float)(i % 5);
            s.top_k = i % 3 == 0 ? 40 : 0;
            s.top_p = i % 2 ? 0.9f : 0;
            s.min_p = i % 7 == 0 ? 0.02f : 0;
            s.repeat_penalty = 1.1f;
            CHECK(aios__sample(k, &s, x, 5000 - i, &recent, 1, (uint64_t)i, work, &id, NULL) == AIOS_OK);
            h = (h ^ (uint64_t)id) * 0x100000001B3u;
        }
        if (!CHECK(h == pinned)) printf("  %s draws 0x%016llX\n", k->name, (unsigned long long)h);
    }
}

/* ---- sizes and extremes ------------------------------------------------------------------------------------ */
static void test_work(void) {
    static float x[200000];
    int32_t n = 200000, i, id = -1;
    uint64_t bytes = aios_sample_work_bytes(n), r = 3;
    uint8_t *w = (uint8_t *)work;
    aios_sampler s = defaults();
    CHECK(aios_sample_work_bytes(0) == 0 && aios_sample_work_bytes(-1) == 0);
    CHECK(aios_sample_work_bytes(1) >= 12 && aios_sample_work_bytes(INT32_MAX) >= (uint64_t)INT32_MAX * 12);
    if (!CHECK(bytes <= sizeof work - 64)) return;
    memset(w + bytes, 0xA5, 64);
    for (i = 0; i < n; i++) x[i] = test_randf(&r);
    s.temperature = 1e30f;                                          /* flat: half of the ranks are popped */
    s.repeat_penalty = 1.5f;
    i = n - 1;
    CHECK(aios_sample_logits(&s, x, n, &i, 1, 1, work, &id, NULL) == AIOS_OK && id >= 0 && id < n);
    s.top_p = 0.999f;
    CHECK(aios_sample_logits(&s, x, n, &i, 1, 2, work, &id, NULL) == AIOS_OK && id >= 0 && id < n);
    for (i = 0; i < 64; i++) CHECK(w[bytes + (uint64_t)i] == 0xA5);
}
static void test_extremes(void) {
    static const float temperatures[] = { 1e-45f, 1e-38f, 1e-3f, 1, 1e3f, 3.4e38f };
    static const float values[] = { -3.4e38f, 3.4e38f, 0, -0.0f, 1e-45f, -INFINITY, INFINITY, NAN, 80, -80 };
    float x[64];
    uint64_t r = 17;
    int32_t i, j, id, n_bad = 0;
    for (i = 0; i < 4000; i++) {                                    /* never out of range, never a banned token */
        aios_sampler s = defaults();
        int32_t n = 1 + (int32_t)(test_rand(&r) % 64), n_alive = 0;
        for (j = 0; j < n; j++) {
            x[j] = values[test_rand(&r) % 10];
            n_alive += x[j] > -INFINITY;
        }
        s.seed = test_rand(&r);
        s.temperature = temperatures[test_rand(&r) % 6];
        s.top_k = (int32_t)(test_rand(&r) % 70);
        s.top_p = (float)(test_rand(&r) % 11) / 10;
        s.min_p = (float)(test_rand(&r) % 11) / 10;
        id = draw(&s, x, n, (uint64_t)i);
        n_bad += n_alive ? !(id >= 0 && id < n && x[id] > -INFINITY) : id != AIOS_ERR_ARG;
    }
    CHECK(n_bad == 0);
}

/* ---- wrong arguments --------------------------------------------------------------------------------------- */
static void test_arguments(void) {
    const float x[4] = { 1, 2, 3, 4 }, nothing[2] = { -INFINITY, NAN };
    aios_logit_bias b = { 4, 0 };
    aios_error err;
    int32_t i, id, bad = -1, four = 4;
    for (i = 0; i < 20; i++) {
        aios_sampler s = defaults();
        switch (i) {
        case 0: s.temperature = -1; break;
        case 1: s.temperature = NAN; break;
        case 2: s.temperature = INFINITY; break;
        case 3: s.top_p = 1.5f; break;
        case 4: s.top_p = -0.1f; break;
        case 5: s.top_p = NAN; break;
        case 6: s.min_p = 2; break;
        case 7: s.min_p = NAN; break;
        case 8: s.top_k = -1; break;
        case 9: s.repeat_penalty = -1; break;
        case 10: s.repeat_penalty = INFINITY; break;
        case 11: s.repeat_last = -1; break;
        case 12: s.bias = &b; s.n_bias = 1; break;
        case 13: b.id = -1; s.bias = &b; s.n_bias = 1; break;
        case 14: b.id = 0; b.bias = NAN; s.bias = &b; s.n_bias = 1; break;
        case 15: s.n_bias = 1; break;
        case 16: s.flags = 1; break;
        case 17: s.repeat_penalty = 2; break;                       /* recent: id out of range */
        case 18: s.repeat_penalty = 2; break;
        default: break;                                             /* in order, with a bad recent that nobody reads */
        }
        memset(&err, 0, sizeof err);
        id = 5;
        if (i < 19) {
            CHECK(aios_sample_logits(&s, x, 4, i == 18 ? &four : &bad, 1, 0, work, &id, &err) == AIOS_ERR_ARG);
            CHECK(err.code == AIOS_ERR_ARG && err.text[0] && id == -1);
        } else {
            CHECK(aios_sample_logits(&s, x, 4, &bad, 1, 0, work, &id, &err) == AIOS_OK && id == 3);
        }
    }
    {
        aios_sampler s = defaults();
        CHECK(aios_sample_logits(NULL, x, 4, NULL, 0, 0, work, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, NULL, 4, NULL, 0, 0, work, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, x, 0, NULL, 0, 0, work, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, x, 4, NULL, 1, 0, work, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, x, 4, NULL, 0, 0, NULL, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, x, 4, NULL, 0, 0, (char *)work + 4, &id, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, x, 4, NULL, 0, 0, work, NULL, &err) == AIOS_ERR_ARG);
        CHECK(aios_sample_logits(&s, nothing, 2, NULL, 0, 0, work, &id, &err) == AIOS_ERR_ARG && id == -1);
        s.temperature = 1;
        CHECK(aios_sample_logits(&s, nothing, 2, NULL, 0, 0, work, &id, NULL) == AIOS_ERR_ARG);
        s.struct_size = 0;
        CHECK(aios_sample_logits(&s, x, 4, NULL, 0, 0, work, &id, &err) == AIOS_ERR_DESC);
    }
}

int main(void) {
    kernels = aiosk_select(AIOSK_ISA_BEST);
    test_greedy();
    test_distributions();
    test_uniform();
    test_bias();
    test_repeat();
    test_sameness();
    test_work();
    test_extremes();
    test_arguments();
    return test_end();
}
