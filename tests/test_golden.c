/* test_golden.c: whole models against logits that others computed in exact arithmetic, through
 * the public API alone.
 *
 * Every model of shared/fixtures/{stories,types}, the zoo's models of the families that the
 * library has, and the trained models of shared/models, in canonical and in reference
 * arithmetic. rel = rms difference / standard deviation of golden.
 *
 *     float weights (f32, f16, bf16), or any weights in reference arithmetic      rel < 2e-5, max < 1e-3; greedy tokens equal
 *     quantised weights, canonical: int8 activations, as the peer has             rel < 1.25 x the peer's rel in the index,
 *                                                                                 else 0.05 (blocks of 32) or 0.07 (of 256);
 *     the geometric mean of our rel / the peer's over all of these                < 1.03
 * Prints a table. An argument "quick" leaves out the long generations (for emulators). */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"
#include <math.h>

#define EXACT_REL 2e-5
#define EXACT_MAX 1e-3
#define PEER_MARGIN \
    1.25 /* one file: rounding noise of the same kind scatters by a tenth and more over 20 tokens */
#define PEER_MEAN 1.03 /* all files: there it averages out */

enum { MAX_IDS = 512, MAX_COLS = 24 };

static int quick;
static double sum_log_ratio; /* of our rel to the peer's, over files with int8 activations */
static int n_ratios;

static books mem; /* a leak is a failure */

/* ---- a model that runs ---- */
typedef struct run {
    aios_model *model;
    aios_context *ctx;
    aios_error err;
    int32_t n_vocab;
} run;

static void run_close(run *r) {
    aios_context_free(r->ctx);
    aios_model_free(r->model);
    r->ctx = NULL;
    r->model = NULL;
}
static int run_open(run *r, const char *path, int32_t numerics, int32_t n_ctx) {
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc md;
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_plan plan;
    aios_model_info info;
    memset(r, 0, sizeof *r);
    aios_model_desc_init(&md);
    md.mem = &a;
    md.path = path;
    aios_plan_desc_init(&pd);
    pd.n_ctx = n_ctx;
    pd.n_outputs =
        16; /* fewer than the tokens of a sequence, so that rows are handed out in several passes */
    pd.numerics = numerics;
    pd.kv_type = AIOSK_KV_F32;
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    aios_model_info_init(&info);
    if (aios_model_open(&md, &r->model, &r->err) < 0 || aios_model_get_info(r->model, &info) < 0 ||
        aios_plan_make(r->model, &pd, &plan, &r->err) < 0 ||
        aios_context_open(r->model, &plan, &cd, &r->ctx, &r->err) < 0) {
        printf("%s: %s\n", path, r->err.text);
        run_close(r);
        return 0;
    }
    r->n_vocab = info.n_vocab;
    return 1;
}
/* Logits of every token of ids, [n][n_vocab]; 0 on failure. */
static int run_all(run *r, const int32_t *ids, int32_t n, float *logits) {
    aios_status s = aios_seq_truncate(r->ctx, 0, 0, &r->err);
    int32_t i, n_rows = 0;
    if (s == AIOS_OK) s = aios_feed(r->ctx, 0, ids, (uint64_t)n, AIOS_FEED_ALL_LOGITS, &r->err);
    if (s == AIOS_OK) s = AIOS_MORE;
    while (s == AIOS_MORE) {
        s = aios_step(r->ctx, 0, &r->err);
        for (i = 0; s >= 0 && i < aios_output_count(r->ctx); i++, n_rows++) {
            aios_output out;
            aios_output_init(&out);
            if (aios_output_get(r->ctx, i, &out) < 0 || out.seq != 0 || out.pos != n_rows ||
                out.pos >= n || out.token != ids[out.pos]) {
                printf("row %d of a pass is not that of position %d\n", (int)i, (int)n_rows);
                return 0;
            }
            memcpy(logits + (size_t)out.pos * (size_t)r->n_vocab, out.logits,
                   (size_t)r->n_vocab * sizeof *logits);
        }
    }
    if (s < 0) printf("%s: %s\n", aios_status_name(s), r->err.text);
    return s == AIOS_OK && n_rows == n;
}
/* How many of `want` the model says, greedily, after ids. */
static int32_t run_greedy(run *r, const int32_t *ids, int32_t n_ids, const int32_t *want,
                          int32_t n_want) {
    aios_sampler greedy;
    int32_t i, id;
    aios_sampler_init(&greedy);
    if (aios_seq_truncate(r->ctx, 0, 0, &r->err) < 0 ||
        aios_feed(r->ctx, 0, ids, (uint64_t)n_ids, 0, &r->err) < 0)
        return -1;
    for (i = 0; i < n_want; i++) {
        if (aios_step(r->ctx, 0, &r->err) != AIOS_OK ||
            aios_sample(r->ctx, 0, &greedy, &id, &r->err) < 0)
            return -1;
        if (id != want[i] || aios_feed(r->ctx, 0, &id, 1, 0, &r->err) < 0) break;
    }
    return i;
}

/* ---- small parsing ---- */
/* Numbers of a list, in brackets or not, until something that is no number, comma or space. */
static int32_t parse_ids(const char *s, int32_t *ids, int32_t max) {
    int32_t n = 0;
    while (n < max) {
        char *end;
        long v;
        while (*s == ' ' || *s == ',' || *s == '\n' || *s == '[') s++;
        v = strtol(s, &end, 10);
        if (end == s) break;
        ids[n++] = (int32_t)v;
        s = end;
    }
    return n;
}
/* An index.tsv, cut in place. */
typedef struct table {
    char *text, *at, *head[MAX_COLS], *cell[MAX_COLS];
    int n_cols;
} table;
static int table_next(table *t, char **cells) {
    int n = 0;
    char *p = t->at;
    if (!p || !*p) return 0;
    while (n < MAX_COLS) {
        cells[n++] = p;
        while (*p && *p != '\t' && *p != '\n') p++;
        if (*p != '\t') break;
        *p++ = 0;
    }
    if (*p) *p++ = 0;
    t->at = p;
    return n;
}
static const char *col(const table *t, const char *name) {
    int i;
    for (i = 0; i < t->n_cols; i++)
        if (!strcmp(t->head[i], name)) return t->cell[i] ? t->cell[i] : "";
    return "";
}
static int table_open(table *t, const char *path) {
    memset(t, 0, sizeof *t);
    t->text = t->at = (char *)test_read_file(path, NULL);
    t->n_cols = t->text ? table_next(t, t->head) : 0;
    return t->n_cols > 0;
}
static int table_row(table *t) {
    memset(t->cell, 0, sizeof t->cell);
    return table_next(t, t->cell) > 0;
}

/* ---- comparing ---- */
typedef struct diff {
    double rel, max;
} diff;
static diff compare(const float *golden, const float *mine, size_t n) {
    double mean = 0, d2 = 0, g2 = 0;
    diff r;
    size_t i;
    r.max = 0;
    for (i = 0; i < n; i++) mean += (double)golden[i];
    mean /= (double)n;
    for (i = 0; i < n; i++) {
        const double d = fabs((double)golden[i] - (double)mine[i]), g = (double)golden[i] - mean;
        d2 += d * d;
        g2 += g * g;
        if (!(d <= r.max)) r.max = d; /* a NaN is kept */
    }
    r.rel = sqrt(d2 / g2);
    return r;
}
static void line(const char *name, const char *numerics, const char *seq, diff d, double limit,
                 const char *peer) {
    const int exact = limit <= EXACT_REL;
    const int ok = d.rel < limit && (!exact || d.max < EXACT_MAX);
    printf("%-26s %-9s %-2s rel %8.2e  max %8.2e  limit %8.2e  peer %-20s %s\n", name, numerics,
           seq, d.rel, d.max, limit, peer, ok ? "ok" : "FAIL");
    CHECK(ok && "logits are close to golden");
    if (!exact && strchr(peer, '/')) {
        sum_log_ratio += log(d.rel / (limit / PEER_MARGIN));
        n_ratios++;
    }
}
static int is_float(const char *types) {
    return !strcmp(types, "f32") || !strcmp(types, "f16") || !strcmp(types, "bf16");
}
static double limit_of(const table *t) {
    const char *types = col(t, "types"),
               *peer = strchr(col(t, "dev_mainline"), '/'); /* max/rel/KL */
    int32_t i;
    if (is_float(types)) return EXACT_REL;
    if (peer) return strtod(peer + 1, NULL) * PEER_MARGIN; /* else "refused" */
    for (i = 0; i < AIOSK_N_TYPES; i++) {
        const aiosk_type *k = aiosk_type_info(i);
        if (k && k->family == AIOSK_A32 && !strcmp(types, k->name)) return 0.05;
    }
    return 0.07;
}
static int in_library(const table *t) {
    /* clang-format off */
    static const char *const archs[] = { "llama",    "qwen2", "qwen3",   "falcon",     "qwen2moe",
                                         "qwen3moe", "olmoe", "granite", "granitemoe", "arcee",
                                         "nemotron", "gemma", "gemma2",  "phi3",       "gpt2" };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof archs / sizeof *archs; i++)
        if (!strcmp(col(t, "arch"), archs[i])) return 1;
    return 0;
}
static void greedy_line(run *r, const char *name, const char *numerics, const int32_t *ids,
                        int32_t n_ids, const int32_t *want, int32_t n_want) {
    const int32_t n = run_greedy(r, ids, n_ids, want, n_want);
    printf("%-26s %-9s    greedy %d of %d %s\n", name, numerics, (int)n, (int)n_want,
           n == n_want      ? "ok"
           : r->err.text[0] ? r->err.text
                            : "FAIL");
    CHECK_EQ(n, n_want);
    CHECK(n > 0);
}

/* ---- fixtures ---- */
/* One row of an index in one arithmetic. */
static void row(const table *t, const char *folder, int32_t numerics) {
    const char *label = numerics == AIOS_REFERENCE ? "reference" : "canonical",
               *file = col(t, "file");
    const int exact = numerics == AIOS_REFERENCE || is_float(col(t, "types"));
    int32_t ids[MAX_IDS], want[MAX_IDS];
    const int32_t n = parse_ids(col(t, "tokens"), ids, MAX_IDS);
    const int stories = *col(t, "greedy_file") != 0;
    char path[256];
    size_t n_bytes = 0;
    float *golden, *mine;
    run r;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!CHECK(run_open(&r, shared_path(path), numerics, stories ? 512 : 48))) return;
    snprintf(path, sizeof path, "%s/%s", folder, col(t, "golden"));
    golden = (float *)test_read_file(shared_path(path), &n_bytes);
    mine = (float *)calloc((size_t)n * (size_t)r.n_vocab, sizeof *mine);
    if (CHECK(golden && n_bytes == (size_t)n * (size_t)r.n_vocab * sizeof *golden) &&
        CHECK(mine && run_all(&r, ids, n, mine)))
        line(file, label, col(t, "seq"), compare(golden, mine, (size_t)n * (size_t)r.n_vocab),
             exact ? EXACT_REL : limit_of(t), col(t, "dev_mainline"));
    if (exact && !strcmp(col(t, "seq"), "a")) {
        if (*col(t, "greedy16")) {
            const int32_t n_want = parse_ids(col(t, "greedy16"), want, 16);
            greedy_line(&r, file, label, ids, n, want, quick ? 1 : n_want);
        } else if (stories) {
            const int32_t bos = 1;
            char *text;
            snprintf(path, sizeof path, "%s/%s", folder, col(t, "greedy_file"));
            text = (char *)test_read_file(shared_path(path), NULL);
            if (CHECK(text != NULL)) {
                const int32_t n_want = parse_ids(text, want, 256);
                greedy_line(&r, file, label, &bos, 1, want, quick ? 16 : n_want);
            }
            free(text);
        }
    }
    run_close(&r);
    free(golden);
    free(mine);
}
static void every_row_is_as_close_as_promised(const char *folder, int all_types) {
    CASE("%s", folder);
    table t;
    char path[256];
    int n_rows = 0, n_left_out = 0;
    snprintf(path, sizeof path, "%s/index.tsv", folder);
    if (!CHECK(table_open(&t, shared_path(path)))) return;
    while (table_row(&t)) {
        if (!in_library(&t)) {
            n_left_out++;
            continue;
        }
        n_rows++;
        row(&t, folder, AIOS_CANONICAL);
        /* float weights are exact already; one sequence shows that the other arithmetic agrees */
        if (all_types || !strcmp(col(&t, "seq"), "a")) row(&t, folder, AIOS_REFERENCE);
    }
    printf("%s: %d rows, %d of families that the library lacks\n", folder, n_rows, n_left_out);
    CHECK(n_rows > 0);
    free(t.text);
}

/* ---- trained models ---- */
static void trained_models_are_as_close_as_promised(const char *name, const char *type) {
    CASE("%s, %s", name, type);
    char path[256], file[64], *json;
    const char *p, *end;
    int n_prompts = 0;
    run r;
    snprintf(file, sizeof file, "%s-%s.gguf", name, type);
    snprintf(path, sizeof path, "models/%s.ref.json", name);
    json = (char *)test_read_file(shared_path(path), NULL);
    snprintf(path, sizeof path, "models/%s", file);
    if (!CHECK(json != NULL) || !CHECK(run_open(&r, shared_path(path), AIOS_CANONICAL, 128))) {
        free(json);
        return;
    }
    p = strstr(json, "\"prompts\"");
    end = p ? strstr(p, "\"validation\"") : NULL;
    while (p && (p = strstr(p, "\"ids\": [")) != NULL && end && p < end) {
        int32_t ids[MAX_IDS], want[MAX_IDS];
        const int32_t n = parse_ids(p + 7, ids, MAX_IDS);
        const char *logits = strstr(p, "\"logits\": \""), *greedy = strstr(p, "\"greedy_ids\": [");
        float *golden, *mine;
        size_t n_bytes = 0;
        int32_t n_want;
        char seq[16];
        if (!CHECK(logits && greedy)) break;
        logits += 11;
        snprintf(path, sizeof path, "models/%.*s", (int)strcspn(logits, "\""), logits);
        golden = (float *)test_read_file(shared_path(path), &n_bytes);
        mine = (float *)calloc((size_t)n * (size_t)r.n_vocab, sizeof *mine);
        snprintf(seq, sizeof seq, "p%d", n_prompts);
        if (CHECK(golden && n_bytes == (size_t)n * (size_t)r.n_vocab * sizeof *golden) &&
            CHECK(mine && run_all(&r, ids, n, mine)))
            line(file, "canonical", seq, compare(golden, mine, (size_t)n * (size_t)r.n_vocab),
                 EXACT_REL, "");
        n_want = parse_ids(greedy + 14, want, 64);
        greedy_line(&r, file, "canonical", ids, n, want, quick ? 1 : n_want);
        free(golden);
        free(mine);
        n_prompts++;
        p = greedy;
        if (quick) break;
    }
    CHECK(n_prompts > 0);
    run_close(&r);
    free(json);
}

/* All rows that were looked at before, together. */
static void int8_activations_cost_what_they_cost_the_peer(void) {
    if (n_ratios == 0) { /* the one test that was asked for */
        every_row_is_as_close_as_promised("fixtures/stories", 0);
        every_row_is_as_close_as_promised("fixtures/types", 1);
        every_row_is_as_close_as_promised("fixtures/zoo", 0);
    }
    printf("int8 activations: %.3f of the peer's rel (geometric mean over %d rows)\n",
           exp(sum_log_ratio / n_ratios), n_ratios);
    CHECK(n_ratios > 0 && exp(sum_log_ratio / n_ratios) < PEER_MEAN);
}

int main(int argc, char **argv) {
    FILE *f = fopen(shared_path("fixtures/types/index.tsv"), "rb");
    quick = test_begin(argc, argv);
    if (!f) {
        printf("skip: no golden values at %s (AIOS_SHARED says where they are)\n",
               shared_path("fixtures"));
        return test_end();
    }
    fclose(f);
    TEST(every_row_is_as_close_as_promised)("fixtures/stories", 0);
    TEST(every_row_is_as_close_as_promised)("fixtures/types", 1);
    TEST(every_row_is_as_close_as_promised)("fixtures/zoo", 0);
    f = fopen(shared_path("models/tale-silu.ref.json"), "rb");
    if (f) {
        fclose(f);
        TEST(trained_models_are_as_close_as_promised)("tale-relu2", "f32");
        TEST(trained_models_are_as_close_as_promised)("tale-relu2", "f16");
        TEST(trained_models_are_as_close_as_promised)("tale-silu", "f32");
        TEST(trained_models_are_as_close_as_promised)("tale-silu", "f16");
    } else {
        printf("skip: no trained models at %s\n", shared_path("models"));
    }
    TEST(int8_activations_cost_what_they_cost_the_peer)();
    CHECK_EQ(mem.n_held, 0);
    return test_end();
}
