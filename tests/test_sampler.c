/* test_sampler.c: drawing tokens. Distributions are compared with probabilities that this file
 * works out on its own (libm, a full sort) by a chi-square test; seeds are fixed, so a run that
 * passed once passes always. */
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
/* aios_sample_logits with the instruction set chosen once: asking the processor takes longer
 * than a draw in some virtual machines. */
static const aiosk_isa *kernels;
static int32_t draw(const aios_sampler *s, const float *logits, int32_t n, uint64_t pos) {
    aios_error err;
    int32_t id = -7;
    aios_status st = aios__sample(kernels, s, logits, n, NULL, 0, pos, work, &id, &err);
    return st == AIOS_OK ? id : st;
}

/* ---- greedy ---- */
static void without_temperature_the_first_of_the_largest_is_drawn(void) {
    /* clang-format off */
    static const struct { float x[5]; int32_t want; } cases[] = {
        { { 1, 3, 2, 3, 0 }, 1 }, /* ties: the lowest id            */
        { { 0.0f, -0.0f, 0, 0, 0 }, 0 },
        { { -0.0f, 0.0f, 0, 0, 0 }, 0 },
        { { -5, -4, -3, -2, -1 }, 4 },
        { { NAN, -1e30f, NAN, NAN, -2e30f }, 1 }, /* NaN counts as -infinity        */
        { { -INFINITY, -INFINITY, 0, -INFINITY, NAN }, 2 },
        { { 1, INFINITY, 2, INFINITY, 3 }, 1 },
        { { 3e38f, 3.4e38f, -3e38f, 0, 0 }, 1 } };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        aios_sampler s = defaults();
        CHECK_EQ(draw(&s, cases[i].x, 5, 0), cases[i].want);
        s.temperature = 1; /* one token left: greedy too, with the same ties */
        s.top_k = 1;
        CHECK_EQ(draw(&s, cases[i].x, 5, i), cases[i].want);
        s.top_k = 0;
        s.top_p = 1e-6f;
        CHECK_EQ(draw(&s, cases[i].x, 5, i), cases[i].want);
        s.top_p = 0;
        s.temperature = 1e-45f; /* the smallest there is; ties stay ties */
        CHECK(cases[i].x[draw(&s, cases[i].x, 5, i)] == cases[i].x[cases[i].want]);
    }
    {
        float one = -3;
        aios_sampler s = defaults();
        CHECK_EQ(draw(&s, &one, 1, 0), 0);
        s.temperature = 2;
        CHECK_EQ(draw(&s, &one, 1, 0), 0);
    }
}

/* ---- distributions ---- */
typedef struct cand {
    double p;
    int32_t id;
} cand;
static int by_p(const void *a, const void *b) {
    const cand *x = (const cand *)a, *y = (const cand *)b;
    return x->p < y->p ? 1 : x->p > y->p ? -1 : (x->id > y->id) - (x->id < y->id);
}
/* Exact probabilities p [n]: everything sorted, everything in double, straight from the
 * documentation. */
static void exact(const aios_sampler *s, const float *logits, int32_t n, double *p) {
    cand c[512];
    double sum = 0, part = 0;
    int32_t i, k = s->top_k > 0 && s->top_k < n ? s->top_k : n, m;
    for (i = 0; i < n; i++) {
        c[i].p = (double)logits[i];
        c[i].id = i;
        p[i] = 0;
    }
    qsort(c, (size_t)n, sizeof *c, by_p);
    for (i = k; i-- > 0;) sum += c[i].p = exp((c[i].p - c[0].p) / (double)s->temperature);
    for (m = 0; m < k; m++) {
        if (s->top_p > 0 && part >= (double)s->top_p * sum) break;
        if (s->min_p > 0 && c[m].p < (double)s->min_p * c[0].p) break;
        part += c[m].p;
    }
    for (i = 0; i < m; i++) p[c[i].id] = c[i].p / part;
}
/* Draws n_draws and compares: nothing of probability 0, and a chi-square within 4.5 sigma of its
 * mean. */
static void check_distribution(const char *what, const aios_sampler *s, const float *logits,
                               int32_t n) {
    static double p[512];
    static int32_t seen[512];
    double chi = 0, rest_p = 0, rest_n = 0;
    int32_t i, df = -1, n_impossible = 0;
    exact(s, logits, n, p);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < N_DRAWS; i++) {
        int32_t id = draw(s, logits, n, (uint64_t)i);
        if (!(id >= 0 && id < n && p[id] > 0)) {
            n_impossible++;
            continue;
        }
        seen[id]++;
    }
    for (i = 0; i < n; i++) {
        double want = p[i] * N_DRAWS, d = seen[i] - want;
        if (want < 8) {
            rest_p += want;
            rest_n += seen[i];
            continue;
        } /* rare ones together */
        chi += d * d / want;
        df++;
    }
    if (rest_p >= 8) {
        chi += (rest_n - rest_p) * (rest_n - rest_p) / rest_p;
        df++;
    }
    if (!CHECK_EQ(n_impossible, 0) || !CHECK(df < 1 || chi < df + 4.5 * sqrt(2.0 * df)))
        printf("  %s: %d impossible draws, chi-square %.1f with %d degrees of freedom\n", what,
               n_impossible, chi, df);
}
static void draws_have_the_distribution_that_is_documented(void) {
    static const struct {
        const char *what;
        float temperature;
        int32_t top_k;
        float top_p, min_p;
    } cases[] = {
        { "plain", 1.0f, 0, 0.0f, 0.0f },     { "hot", 4.0f, 0, 0.0f, 0.0f },
        { "cool", 0.5f, 0, 0.0f, 0.0f },      { "top-k 2", 1.0f, 2, 0.0f, 0.0f },
        { "top-k 17", 1.5f, 17, 0.0f, 0.0f }, { "top-k beyond", 1.0f, 999, 0.0f, 0.0f },
        { "top-p 0.5", 1.0f, 0, 0.5f, 0.0f }, { "top-p 0.95", 1.0f, 0, 0.95f, 0.0f },
        { "top-p 1", 1.0f, 0, 1.0f, 0.0f },   { "min-p 0.1", 1.0f, 0, 0.0f, 0.1f },
        { "min-p 1", 1.0f, 0, 0.0f, 1.0f },   { "all three", 0.8f, 40, 0.9f, 0.05f },
        { "k then p", 1.0f, 8, 0.7f, 0.0f },  { "p before k bites", 1.0f, 100, 0.3f, 0.0f }
    };
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
    { /* ties at every cut: the lower ids stay */
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

/* The random numbers themselves: uniform along positions, along seeds, and in pairs of
 * neighbours. */
static void the_random_numbers_are_uniform(void) {
    int32_t kind, i, b[256];
    for (kind = 0; kind < 4; kind++) {
        double chi = 0;
        memset(b, 0, sizeof b);
        for (i = 0; i < 65536; i++) {
            uint64_t u = (uint64_t)i;
            double x = kind == 1   ? aios__uniform(u, 7)
                       : kind == 3 ? aios__uniform(u << 32, u)
                                   : aios__uniform(42, u);
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

/* ---- bias and repetition ---- */
static void biases_add_up_and_ban(void) {
    const float x[4] = { 1, 2, 3, -1 };
    aios_logit_bias b[3] = { { 2, -INFINITY }, { 0, 0.75f }, { 0, 0.75f } };
    float banned[3] = { -INFINITY, 0, -INFINITY };
    aios_sampler s = defaults();
    s.bias = b;
    s.n_bias = 1;
    CHECK_EQ(draw(&s, x, 4, 0), 1); /* banned */
    s.n_bias = 3;
    CHECK_EQ(draw(&s, x, 4, 0), 0); /* entries add up: 1 + 1.5 > 2 */
    b[0].bias = INFINITY;
    CHECK_EQ(draw(&s, x, 4, 0), 2);
    b[0].bias = INFINITY;
    b[0].id = 3;
    s.temperature = 1;
    CHECK_EQ(draw(&s, x, 4, 0), 3);
    b[0].id = 0;
    b[0].bias = 3.4e38f; /* no bias brings -infinity back */
    s.n_bias = 1;
    CHECK_EQ(draw(&s, banned, 3, 0), 1);
    CHECK(x[0] == 1);
    CHECK(x[2] == 3); /* the logits stay as they are */
}
static void repeated_tokens_are_penalised_once(void) {
    const float x[4] = { 4, 3, -1, -1.5f };
    const float neg[3] = { -1, -1.5f, -9 };
    static const struct {
        float penalty;
        int32_t last, n, recent[6], want;
    } cases[] = { { 2.0f, 0, 1, { 0 }, 1 },                /* 4 / 2 < 3 */
                  { 1.2f, 0, 1, { 0 }, 0 },                /* 4 / 1.2 > 3 */
                  { 1.2f, 0, 6, { 0, 0, 0, 0, 0, 0 }, 0 }, /* once, however often it came */
                  { 1.0f, 0, 1, { 0 }, 0 },                /* off */
                  { 0.0f, 0, 1, { 0 }, 0 },
                  { 2.0f, 2, 4, { 0, 2, 2, 3 }, 0 }, /* too long ago */
                  { 2.0f, 4, 4, { 0, 2, 2, 3 }, 1 },
                  { 0.5f, 0, 1, { 1 }, 1 } }; /* below 1: a reward */
    size_t i;
    int32_t id, zero = 0;
    aios_sampler s = defaults();
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        s.repeat_penalty = cases[i].penalty;
        s.repeat_last = cases[i].last;
        CHECK(aios_sample_logits(&s, x, 4, cases[i].recent, (uint64_t)cases[i].n, 0, work, &id,
                                 NULL) == AIOS_OK);
        CHECK_EQ(id, cases[i].want);
    }
    s.repeat_penalty = 2; /* a negative logit is multiplied */
    s.repeat_last = 0;
    CHECK_EQ(aios_sample_logits(&s, neg, 3, &zero, 1, 0, work, &id, NULL), AIOS_OK);
    CHECK_EQ(id, 1);
    s.repeat_penalty = 3e38f; /* overflow bans, nothing worse */
    CHECK_EQ(aios_sample_logits(&s, neg, 3, &zero, 1, 0, work, &id, NULL), AIOS_OK);
    CHECK_EQ(id, 1);
}

/* ---- sameness ---- */
/* A hash of many draws, equal for every instruction set, and equal to what it was when this line
 * was written. */
static void draws_are_the_same_on_every_set(void) {
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
            CHECK_EQ(aios__sample(k, &s, x, 5000 - i, &recent, 1, (uint64_t)i, work, &id, NULL),
                     AIOS_OK);
            h = (h ^ (uint64_t)id) * 0x100000001B3u;
        }
        CHECK_AT(h == pinned, "%s draws 0x%016llX", k->name, (unsigned long long)h);
    }
}

/* ---- sizes and extremes ---- */
static void no_more_room_is_touched_than_was_asked_for(void) {
    static float x[200000];
    int32_t n = 200000, i, id = -1;
    uint64_t bytes = aios_sample_work_bytes(n), r = 3;
    uint8_t *w = (uint8_t *)work;
    aios_sampler s = defaults();
    CHECK_EQ(aios_sample_work_bytes(0), 0);
    CHECK_EQ(aios_sample_work_bytes(-1), 0);
    CHECK(aios_sample_work_bytes(1) >= 12 &&
          aios_sample_work_bytes(INT32_MAX) >= (uint64_t)INT32_MAX * 12);
    if (!CHECK(bytes <= sizeof work - 64)) return;
    memset(w + bytes, 0xA5, 64);
    for (i = 0; i < n; i++) x[i] = test_randf(&r);
    s.temperature = 1e30f; /* flat: half of the ranks are popped */
    s.repeat_penalty = 1.5f;
    i = n - 1;
    CHECK_EQ(aios_sample_logits(&s, x, n, &i, 1, 1, work, &id, NULL), AIOS_OK);
    CHECK(id >= 0);
    CHECK(id < n);
    s.top_p = 0.999f;
    CHECK_EQ(aios_sample_logits(&s, x, n, &i, 1, 2, work, &id, NULL), AIOS_OK);
    CHECK(id >= 0);
    CHECK(id < n);
    for (i = 0; i < 64; i++) CHECK_EQ(w[bytes + (uint64_t)i], 0xA5);
}
static void extremes_draw_what_may_be_drawn(void) {
    static const float temperatures[] = { 1e-45f, 1e-38f, 1e-3f, 1, 1e3f, 3.4e38f };
    static const float values[] = { -3.4e38f,  3.4e38f,  0,   -0.0f, 1e-45f,
                                    -INFINITY, INFINITY, NAN, 80,    -80 };
    float x[64];
    uint64_t r = 17;
    int32_t i, j, id, n_bad = 0;
    for (i = 0; i < 4000; i++) { /* never out of range, never a banned token */
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
    CHECK_EQ(n_bad, 0);
}

/* ---- stages ---- */
/* A stage by its definition: candidates sorted, probabilities and logarithms in double. */
typedef struct ref {
    double x;
    int32_t id;
} ref;
static ref ref_c[1024];
static double ref_p[1024], ref_score[1024], ref_temperature;
static int32_t ref_n;
static int ref_by_logit(const void *a, const void *b) {
    const ref *x = (const ref *)a, *y = (const ref *)b;
    return x->x < y->x ? 1 : x->x > y->x ? -1 : (x->id > y->id) - (x->id < y->id);
}
static void ref_weigh(void) {
    double sum = 0;
    int32_t i;
    qsort(ref_c, (size_t)ref_n, sizeof *ref_c, ref_by_logit);
    for (i = 0; i < ref_n; i++) sum += ref_p[i] = exp((ref_c[i].x - ref_c[0].x) / ref_temperature);
    for (i = 0; i < ref_n; i++) ref_p[i] /= sum;
}
static void ref_stage(const aios_sampler *s, int32_t stage, const int32_t *recent, int32_t n_recent,
                      uint64_t pos) {
    int32_t i, k, n = ref_n, first = 0;
    double sum = 0, mean = 0, sigma = 0;
    ref_weigh();
    switch (stage) {
    case AIOS_STAGE_BIAS:
        for (k = 0; k < (int32_t)s->n_bias; k++)
            for (i = 0; i < n; i++)
                if (ref_c[i].id == s->bias[k].id)
                    ref_c[i].x = (double)((float)ref_c[i].x + s->bias[k].bias);
        break;
    case AIOS_STAGE_REPEAT:
        for (i = 0; i < n; i++)
            for (k = n_recent; s->repeat_penalty > 0 && k-- > 0 && k >= n_recent - s->repeat_last;)
                if (ref_c[i].id == recent[k]) {
                    ref_c[i].x = (double)(ref_c[i].x > 0 ? (float)ref_c[i].x / s->repeat_penalty
                                                         : (float)ref_c[i].x * s->repeat_penalty);
                    break;
                }
        break;
    case AIOS_STAGE_TOP_N_SIGMA:
        if (s->top_n_sigma == 0) break;
        for (i = 0; i < n; i++) mean += ref_c[i].x / n;
        for (i = 0; i < n; i++) sigma += (ref_c[i].x - mean) * (ref_c[i].x - mean) / n;
        for (k = 0; k < n && ref_c[k].x >= ref_c[0].x - (double)s->top_n_sigma * sqrt(sigma); k++) {
        }
        n = k;
        break;
    case AIOS_STAGE_TOP_K:
        if (s->top_k > 0 && s->top_k < n) n = s->top_k;
        break;
    case AIOS_STAGE_TEMPERATURE:
        if (s->temperature > 0)
            ref_temperature = (double)s->temperature;
        else
            n = 1;
        break;
    case AIOS_STAGE_TYPICAL_P:
        if (s->typical_p == 0 || s->typical_p == 1) break;
        for (i = 0; i < n; i++) mean -= ref_p[i] * log(ref_p[i]);
        for (i = 0; i < n; i++) ref_score[i] = fabs(-log(ref_p[i]) - mean);
        for (
            k = 0; k < n && sum < (double)s->typical_p;
            k++) { /* the nearest of those that are left; of equal logits, from the mean outwards */
            int32_t best = -1;
            for (i = 0; i < n; i++)
                if (ref_score[i] >= 0 &&
                    (best < 0 || ref_score[i] < ref_score[best] - 1e-12 ||
                     (ref_score[i] < ref_score[best] + 1e-12 && -log(ref_p[i]) < mean + 1e-12)))
                    best = i;
            sum += ref_p[best];
            ref_score[best] = -1;
        }
        for (i = k = 0; i < n; i++)
            if (ref_score[i] < 0) ref_c[k++] = ref_c[i];
        n = k;
        break;
    case AIOS_STAGE_TOP_P:
        if (s->top_p == 0 || s->top_p == 1) break;
        for (k = 0; k < n && sum < (double)s->top_p; k++) sum += ref_p[k];
        n = k;
        break;
    case AIOS_STAGE_MIN_P:
        for (k = 1; k < n && ref_p[k] >= (double)s->min_p * ref_p[0]; k++) {}
        n = k;
        break;
    case AIOS_STAGE_XTC:
        if (aios__uniform(~s->seed, pos) >= (double)s->xtc_probability) break;
        for (k = 0; k < n && ref_p[k] >= (double)(s->xtc_threshold > 0 ? s->xtc_threshold : 0.1f);
             k++) {}
        first = k > 1 ? k - 1 : 0;
        break;
    default: CHECK(0);
    }
    ref_n = n - first;
    memmove(ref_c, ref_c + first, (size_t)ref_n * sizeof *ref_c);
    ref_weigh();
}
/* The stages of a sampler on logits [n], n <= 1024: the candidates and their probabilities, and
 * by definition. How many differ. */
static int stages_differ(const aiosk_isa *isa, const aios_sampler *s, const float *logits,
                         int32_t n, const int32_t *recent, int32_t n_recent, uint64_t pos) {
    /* clang-format off */
    static const uint8_t in_order[16] = { AIOS_STAGE_BIAS,        AIOS_STAGE_REPEAT,
                                          AIOS_STAGE_TOP_N_SIGMA, AIOS_STAGE_TOP_K,
                                          AIOS_STAGE_TEMPERATURE, AIOS_STAGE_TYPICAL_P,
                                          AIOS_STAGE_TOP_P,       AIOS_STAGE_MIN_P,
                                          AIOS_STAGE_XTC };
    /* clang-format on */
    aios__draw d;
    int32_t i, n_kept, one, wrong = 0;
    const uint8_t *order = s->order[0] ? s->order : in_order;
    ref_n = n;
    ref_temperature = 1;
    for (i = 0; i < n; i++) {
        ref_c[i].x = (double)logits[i];
        ref_c[i].id = i;
    }
    for (i = 0; i < 16 && order[i]; i++) ref_stage(s, order[i], recent, n_recent, pos);
    memset(&d, 0x55, sizeof d);
    d.k = isa;
    d.s = s;
    d.recent = recent;
    d.n_recent = (uint64_t)n_recent;
    d.pos = pos;
    d.n_vocab = n;
    d.key = work;
    d.x = (float *)(void *)(work + n);
    d.e = d.x + n;
    aios__sample_chain(&d, logits);
    n_kept = aios__draw_count(&d);
    one = n_kept < 2;
    while (ref_n > 1 && ref_p[ref_n - 1] < 1e-20)
        ref_n--; /* what AIOS__SAMPLE_FLOOR may leave out */
    while (n_kept > 1 && (double)d.e[aios__draw_rank(&d, d.first + n_kept - 1)] < 1e-20 * d.sum)
        n_kept--;
    if (n_kept != ref_n) return 1 + abs(n_kept - ref_n);
    for (i = 0; i < n_kept; i++) {
        int32_t id = one ? aios__draw_best(&d) : aios__draw_rank(&d, d.first + i);
        double p = one ? 1 : (double)d.e[id] / d.sum;
        wrong += id != ref_c[i].id || fabs(p - ref_p[i]) > 1e-5 * ref_p[i];
    }
    return wrong;
}
/* What numpy makes of the papers' definitions on twelve logits (in double, everything sorted):
 * which ids are left, and their entropy. */
static void stages_leave_what_the_papers_leave(void) {
    static const float x[12] = { 2.0f,  -1.5f, 3.25f,  0.5f, 3.0f,  -4.0f,
                                 1.75f, 2.5f,  -0.25f, 1.0f, 3.25f, -2.0f };
    enum {
        TYPICAL = AIOS_STAGE_TYPICAL_P,
        SIGMA = AIOS_STAGE_TOP_N_SIGMA,
        XTC = AIOS_STAGE_XTC,
        K = AIOS_STAGE_TOP_K,
        P = AIOS_STAGE_TOP_P,
        MIN = AIOS_STAGE_MIN_P,
        T = AIOS_STAGE_TEMPERATURE
    };
    static const struct {
        uint8_t stage[3];
        float v[3];
        uint32_t kept;
        double entropy;
    } cases[] = { { { TYPICAL }, { 0.1f }, 0x010, 0 },
                  { { TYPICAL }, { 0.2f }, 0x090, 0.662847319 },
                  { { TYPICAL }, { 0.8f }, 0x494, 1.347868881 },
                  { { TYPICAL }, { 0.9f }, 0x4D5, 1.654828170 },
                  { { TYPICAL }, { 0.97f }, 0x6D5, 1.734805489 },
                  { { TYPICAL },
                    { 0.5f },
                    0x490,
                    /* 2 or 10, which are as likely: the nearer to those that are kept by rank */
                    1.055311316 },
                  { { SIGMA }, { 0.1f }, 0x404, 0.693147181 },
                  { { SIGMA }, { 0.5f }, 0x494, 1.347868881 },
                  { { SIGMA }, { 1 }, 0x4D5, 1.654828170 },
                  { { SIGMA }, { 1.5f }, 0x6DD, 1.789714775 },
                  { { SIGMA }, { 2.5f }, 0xFDF, 1.840067319 },
                  { { XTC }, { 0.05f }, 0xB6A, 1.293079258 },
                  { { XTC }, { 0.1f }, 0xBEB, 1.549789902 },
                  { { XTC }, { 0.2f }, 0xFFB, 1.706785675 },
                  { { XTC }, { 0.25f }, 0xFFB, 1.706785675 },
                  { { XTC }, { 0.01f }, 0x92A, 1.048616780 },
                  { { XTC }, { 0.6f }, 0xFFF, 1.841459078 },
                  { { P, T }, { 0.9f, 3 }, 0x4D5, 1.773410593 },
                  { { T, P }, { 3, 0.9f }, 0x7DD, 2.130633778 },
                  { { MIN, P }, { 0.3f, 0.7f }, 0x414, 1.092085728 },
                  { { P, MIN }, { 0.7f, 0.3f }, 0x494, 1.347868881 },
                  { { XTC, MIN }, { 0.1f, 0.4f }, 0x0C1, 1.048130378 },
                  { { MIN, XTC }, { 0.4f, 0.1f }, 0x080, 0 },
                  { { K, SIGMA }, { 6, 1 }, 0x414, 1.092085728 },
                  { { SIGMA, K }, { 1, 6 }, 0x4D5, 1.654828170 },
                  { { XTC, K }, { 0.1f, 3 }, 0x0C1, 1.048130378 },
                  { { K, XTC }, { 3, 0.1f }, 0x010, 0 },
                  { { XTC, TYPICAL, T }, { 0.1f, 0.5f, 0.5f }, 0x0C1, 0.905959256 } };
    size_t i;
    int32_t k, r;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        aios_sampler s = defaults();
        aios__draw d;
        uint32_t kept = 0, seen = 0;
        double entropy = 0;
        s.temperature = 1;
        s.xtc_probability = 0;
        memcpy(s.order, cases[i].stage, 3);
        for (k = 0; k < 3; k++) {
            const float v = cases[i].v[k];
            switch (cases[i].stage[k]) {
            case TYPICAL: s.typical_p = v; break;
            case SIGMA: s.top_n_sigma = v; break;
            case XTC:
                s.xtc_threshold = v;
                s.xtc_probability = 1;
                break;
            case K: s.top_k = (int32_t)v; break;
            case P: s.top_p = v; break;
            case MIN: s.min_p = v; break;
            case T: s.temperature = v; break;
            default: break;
            }
        }
        memset(&d, 0, sizeof d);
        d.k = kernels;
        d.s = &s;
        d.n_vocab = 12;
        d.key = work;
        d.x = (float *)(void *)(work + 12);
        d.e = d.x + 12;
        aios__sample_chain(&d, x);
        if (aios__draw_count(&d) < 2) kept = 1u << aios__draw_best(&d);
        for (r = d.first; r < d.end && !kept; r++) {
            double p = (double)d.e[aios__draw_rank(&d, r)] / d.sum;
            entropy -= p * log(p);
        }
        for (r = d.first; r < d.end && entropy > 0; r++) kept |= 1u << aios__draw_rank(&d, r);
        for (k = 0; k < 400; k++) seen |= 1u << (draw(&s, x, 12, (uint64_t)k) & 31);
        if (!CHECK_EQ(kept, cases[i].kept) || !CHECK(fabs(entropy - cases[i].entropy) < 2e-6) ||
            !CHECK_EQ(seen & ~kept, 0))
            printf("  case %d: 0x%03X entropy %.9f, drawn 0x%03X\n", (int)i, (unsigned)kept,
                   entropy, (unsigned)seen);
        CHECK(seen == kept || cases[i].entropy > 1.2); /* rare ones may not come in 400 draws */
    }
}
/* Stages at random, in an order at random, some of them off, over logits of several kinds. */
static void random_sampler(aios_sampler *s, uint64_t *r, int32_t n) {
    uint8_t all[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    int32_t i, k;
    *s = defaults();
    s->seed = test_rand(r);
    s->temperature = test_rand(r) % 16 == 0 ? 0
                     : test_rand(r) % 3     ? 0.3f + 3 * fabsf(test_randf(r))
                                            : 1;
    if (test_rand(r) % 2) s->top_k = 1 + (int32_t)(test_rand(r) % (uint64_t)(n + 9));
    if (test_rand(r) % 2) s->top_p = fabsf(test_randf(r));
    if (test_rand(r) % 3 == 0) s->min_p = test_randf(r) * test_randf(r) > 0 ? 0.07f : 0.003f;
    if (test_rand(r) % 2) s->typical_p = fabsf(test_randf(r));
    if (test_rand(r) % 3 == 0) s->top_n_sigma = 0.2f + 3 * fabsf(test_randf(r));
    if (test_rand(r) % 2) s->xtc_probability = test_rand(r) % 2 ? 1 : 0.5f;
    if (test_rand(r) % 2) s->xtc_threshold = 0.3f * fabsf(test_randf(r));
    if (test_rand(r) % 2) s->repeat_penalty = 1 + 0.5f * fabsf(test_randf(r));
    s->repeat_last = 1 + (int32_t)(test_rand(r) % 40);
    for (i = 9; i-- > 1;) {
        uint8_t t = all[k = (int32_t)(test_rand(r) % (uint64_t)(i + 1))];
        all[k] = all[i];
        all[i] = t;
    }
    if (test_rand(r) % 4) memcpy(s->order, all, 9);
}
static void random_logits(uint64_t *r, int32_t n, float *x) {
    const uint64_t kind = test_rand(r) % 4;
    int32_t j;
    for (j = 0; j < n; j++)
        x[j] = kind == 0   ? (float)(test_rand(r) % 9)
               : kind == 1 ? 15 * test_randf(r)
               : kind == 2 ? 4 * test_randf(r) * test_randf(r) + (float)(j % 7)
                           : 0.5f * test_randf(r);
}
static void stages_leave_what_plain_loops_leave(void) {
    static float x[700];
    uint64_t r = 29;
    int32_t i, j, n_bad = 0, isa;
    for (i = 0; i < 6000; i++) {
        aios_sampler s;
        aios_logit_bias bias[2];
        int32_t n = 1 + (int32_t)(test_rand(&r) % (i % 9 ? 60 : 700)), recent[50];
        const aiosk_isa *k = i % 2 ? kernels : aiosk_select(AIOSK_ISA_SCALAR);
        random_logits(&r, n, x);
        random_sampler(&s, &r, n);
        for (j = 0; j < 50; j++) recent[j] = (int32_t)(test_rand(&r) % (uint64_t)n);
        for (j = 0; j < 2; j++) {
            bias[j].id = (int32_t)(test_rand(&r) % (uint64_t)n);
            bias[j].bias = 3 * test_randf(&r);
        }
        s.bias = bias;
        s.n_bias = (uint32_t)(test_rand(&r) % 3);
        if ((j = stages_differ(k, &s, x, n, recent, 50, (uint64_t)i)) != 0) {
            if (!n_bad++) printf("  sampler %d, %d logits: %d candidates differ\n", i, n, j);
        }
    }
    CHECK_EQ(n_bad, 0);
    for (isa = AIOSK_ISA_SCALAR; isa < AIOSK_N_ISA;
         isa++) { /* the same tokens with every set, and as when this line was written */
        static float big[20000];
        const aiosk_isa *k = aiosk_select(isa);
        uint64_t h = 0xCBF29CE484222325u;
        if (!k) continue;
        r = 41;
        for (i = 0; i < 200; i++) {
            aios_sampler s;
            int32_t id = 0, recent = i;
            random_logits(&r, 20000 - i, big);
            random_sampler(&s, &r, 50);
            CHECK_EQ(aios__sample(k, &s, big, 20000 - i, &recent, 1, (uint64_t)i, work, &id, NULL),
                     AIOS_OK);
            h = (h ^ (uint64_t)id) * 0x100000001B3u;
        }
        CHECK_AT(h == 0xAB039A1BB700B748u, "%s draws 0x%016llX", k->name, (unsigned long long)h);
    }
}
static void stages_come_in_the_order_that_is_asked_for(void) {
    float x[300];
    uint64_t r = 31;
    int32_t i, j, n_bad = 0, n_hit = 0, id;
    const char *name;
    uint8_t order[16] = { 1, 2, 7, 3, 4, 8, 5, 6, 9 };
    aios_error err;
    aios_sampler s, t;
    for (i = 1; (name = aios_stage_name(i)) != NULL; i++)
        for (j = 1; j < i; j++) CHECK(strcmp(name, aios_stage_name(j)));
    CHECK_EQ(i, 10);
    CHECK(!aios_stage_name(0));
    CHECK(!aios_stage_name(-1));
    CHECK(!aios_stage_name(INT32_MAX));
    CHECK_STR(aios_stage_name(AIOS_STAGE_TYPICAL_P), "typical_p");
    for (i = 0; i < 3000;
         i++) { /* the order of zeros, written out; stages that are off, left out */
        int32_t k = 0;
        random_logits(&r, 300, x);
        random_sampler(&s, &r, 300);
        memset(s.order, 0, 16);
        t = s;
        for (j = 0; j < 9; j++) {
            int on = order[j] == AIOS_STAGE_BIAS          ? 0
                     : order[j] == AIOS_STAGE_REPEAT      ? s.repeat_penalty != 0
                     : order[j] == AIOS_STAGE_TOP_K       ? s.top_k != 0
                     : order[j] == AIOS_STAGE_TOP_P       ? s.top_p != 0
                     : order[j] == AIOS_STAGE_MIN_P       ? s.min_p != 0
                     : order[j] == AIOS_STAGE_TYPICAL_P   ? s.typical_p != 0
                     : order[j] == AIOS_STAGE_TOP_N_SIGMA ? s.top_n_sigma != 0
                     : order[j] == AIOS_STAGE_XTC         ? s.xtc_probability != 0
                                                          : s.temperature != 1;
            if (on || (i & 1)) t.order[k++] = order[j];
        }
        n_bad += draw(&s, x, 300, (uint64_t)i) != draw(&t, x, 300, (uint64_t)i);
    }
    CHECK_EQ(n_bad, 0);
    s = defaults(); /* XTC comes in its share of the draws, whatever is drawn */
    s.temperature = 1;
    s.xtc_probability = 0.3f;
    for (j = 0; j < 300; j++) x[j] = -50;
    x[7] = 9;
    x[8] = 8.9f;
    for (i = 0; i < N_DRAWS; i++)
        n_hit += aios__uniform(~s.seed, (uint64_t)i) < (double)s.xtc_probability;
    CHECK(fabs(n_hit - 0.3 * N_DRAWS) < 4.5 * sqrt(0.21 * N_DRAWS));
    for (i = n_hit = 0; i < N_DRAWS; i++) n_hit += draw(&s, x, 300, (uint64_t)i) == 8;
    CHECK(fabs(n_hit - (0.3 + 0.7 / (1 + exp(0.1))) * N_DRAWS) < 4.5 * sqrt(0.25 * N_DRAWS));
    for (i = 0; i < 8; i++) { /* what is no order */
        /* clang-format off */
        static const char *const said[] = { "sampler.order[1] is 77, which is no stage",
                                            "names top_p twice",
                                            "ends with its first 0, at 2, but 4 has a stage",
                                            "leaves out top_k, which sampler.top_k asks for",
                                            "leaves out temperature",
                                            "leaves out bias",
                                            "leaves out xtc, which sampler.xtc_probability",
                                            "" };
        /* clang-format on */
        aios_logit_bias b = { 1, 1 };
        s = defaults();
        s.temperature = 1;
        s.order[0] = AIOS_STAGE_TOP_P;
        s.order[1] = AIOS_STAGE_MIN_P;
        switch (i) {
        case 0: s.order[1] = 77; break;
        case 1: s.order[2] = AIOS_STAGE_TOP_P; break;
        case 2: s.order[4] = AIOS_STAGE_TOP_K; break;
        case 3: s.top_k = 5; break;
        case 4: s.temperature = 0; break;
        case 5:
            s.bias = &b;
            s.n_bias = 1;
            break;
        case 6: s.xtc_probability = 0.1f; break;
        default: break;
        }
        memset(&err, 0, sizeof err);
        CHECK(aios_sample_logits(&s, x, 300, NULL, 0, 0, work, &id, &err) ==
              (i < 7 ? AIOS_ERR_ARG : AIOS_OK));
        CHECK_AT(strstr(err.text, said[i]) != NULL && (id >= 0) == (i == 7), "%s", err.text);
    }
    for (i = 0; i < 9; i++) { /* fields out of range */
        s = defaults();
        switch (i) {
        case 0: s.typical_p = -0.1f; break;
        case 1: s.typical_p = 1.1f; break;
        case 2: s.typical_p = NAN; break;
        case 3: s.top_n_sigma = -1; break;
        case 4: s.top_n_sigma = INFINITY; break;
        case 5: s.xtc_probability = 2; break;
        case 6: s.xtc_threshold = -1; break;
        case 7: s.xtc_threshold = NAN; break;
        default:
            s.struct_size = (uint32_t)offsetof(aios_sampler, typical_p);
            s.typical_p = 7;
            s.order[0] = 200;
            break; /* an older caller */
        }
        CHECK(aios_sample_logits(&s, x, 300, NULL, 0, 0, work, &id, &err) ==
              (i < 8 ? AIOS_ERR_ARG : AIOS_OK));
    }
    /* a ban that comes late: what an earlier stage has left is banned, so nothing can be drawn */
    s = defaults();
    {
        aios_logit_bias b = { 7, -INFINITY };
        s.bias = &b;
        s.n_bias = 1;
        memcpy(s.order, "\4\1", 2);
        CHECK_EQ(aios_sample_logits(&s, x, 300, NULL, 0, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK(strstr(err.text, "no token can be drawn"));
        memcpy(s.order, "\1\4", 2);
        CHECK_EQ(aios_sample_logits(&s, x, 300, NULL, 0, 0, work, &id, &err), AIOS_OK);
        CHECK_EQ(id, 8);
    }
}

/* ---- wrong arguments ---- */
static void wrong_arguments_are_refused(void) {
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
        case 12:
            s.bias = &b;
            s.n_bias = 1;
            break;
        case 13:
            b.id = -1;
            s.bias = &b;
            s.n_bias = 1;
            break;
        case 14:
            b.id = 0;
            b.bias = NAN;
            s.bias = &b;
            s.n_bias = 1;
            break;
        case 15: s.n_bias = 1; break;
        case 16: s.flags = 1; break;
        case 17: s.repeat_penalty = 2; break; /* recent: id out of range */
        case 18: s.repeat_penalty = 2; break;
        default: break; /* in order, with a bad recent that nobody reads */
        }
        memset(&err, 0, sizeof err);
        id = 5;
        if (i < 19) {
            CHECK_EQ(aios_sample_logits(&s, x, 4, i == 18 ? &four : &bad, 1, 0, work, &id, &err),
                     AIOS_ERR_ARG);
            CHECK(err.code == AIOS_ERR_ARG && err.text[0] && id == -1);
        } else {
            CHECK_EQ(aios_sample_logits(&s, x, 4, &bad, 1, 0, work, &id, &err), AIOS_OK);
            CHECK_EQ(id, 3);
        }
    }
    {
        aios_sampler s = defaults();
        CHECK_EQ(aios_sample_logits(NULL, x, 4, NULL, 0, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, NULL, 4, NULL, 0, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, x, 0, NULL, 0, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, x, 4, NULL, 1, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, x, 4, NULL, 0, 0, NULL, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, x, 4, NULL, 0, 0, (char *)work + 4, &id, &err),
                 AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, x, 4, NULL, 0, 0, work, NULL, &err), AIOS_ERR_ARG);
        CHECK_EQ(aios_sample_logits(&s, nothing, 2, NULL, 0, 0, work, &id, &err), AIOS_ERR_ARG);
        CHECK_EQ(id, -1);
        s.temperature = 1;
        CHECK_EQ(aios_sample_logits(&s, nothing, 2, NULL, 0, 0, work, &id, NULL), AIOS_ERR_ARG);
        s.struct_size = 0;
        CHECK_EQ(aios_sample_logits(&s, x, 4, NULL, 0, 0, work, &id, &err), AIOS_ERR_DESC);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    kernels = aiosk_select(AIOSK_ISA_BEST);
    TEST(without_temperature_the_first_of_the_largest_is_drawn)();
    TEST(draws_have_the_distribution_that_is_documented)();
    TEST(the_random_numbers_are_uniform)();
    TEST(biases_add_up_and_ban)();
    TEST(repeated_tokens_are_penalised_once)();
    TEST(draws_are_the_same_on_every_set)();
    TEST(no_more_room_is_touched_than_was_asked_for)();
    TEST(extremes_draw_what_may_be_drawn)();
    TEST(stages_leave_what_the_papers_leave)();
    TEST(stages_leave_what_plain_loops_leave)();
    TEST(stages_come_in_the_order_that_is_asked_for)();
    TEST(wrong_arguments_are_refused)();
    return test_end();
}
