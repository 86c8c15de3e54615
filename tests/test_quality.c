/* test_quality.c: what a type of cache costs trained models, beside what blocks of 32 as other
 * engines keep them would cost the same models.
 *
 * The reference is an f32 cache. The blocks are put into it: what "heads" writes of a token is
 * quantised and written back, plain or in the rotated space, from the first position on, while
 * our types keep the first tile and the open one at f16, as they always do. "Late" blocks are
 * rotated and spare those tiles too: what is left between them and ours are the codes alone.
 *     build/test_quality [quick] [WINDOWS] [NAME]     windows of 512 tokens of a held-out book: 4, or as many as asked for; quick: 1, and fewer types */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "blocks.h"
#include "host.h"
#include <math.h>

enum { WINDOW = 512 };
/* ---- blocks in the place of what was written ---- */
static int block_bits, block_rotated,
    /* 0 bits: none; late: a tile at a time when it is full, but for the first: as our types do */
    block_late;
static void blocks_cell(const aios__op *op, const aios__run *r, int32_t seq, int32_t cell) {
    const int32_t hk = r->hp->layer[op->layer].hd_k, hv = r->hp->layer[op->layer].hd_v;
    int32_t h, i;
    for (h = 0; h < r->hp->layer[op->layer].n_head_kv; h++) {
        float k[256],
            *K = (float *)aios__kv_open_tile(r->kv, seq, op->layer, h, cell) + cell % AIOSK_TILE;
        float *V =
            K - cell % AIOSK_TILE + hk * AIOSK_TILE + cell % AIOSK_TILE * ((hv + 15) / 16 * 16);
        for (i = 0; i < hk; i++) k[i] = K[i * AIOSK_TILE];
        blocks_head(r->k, k, hk, block_bits, block_rotated);
        for (i = 0; i < hk; i++) K[i * AIOSK_TILE] = k[i];
        blocks_head(r->k, V, hv, block_bits, block_rotated);
    }
}
static void heads(const aios__op *op, const aios__run *r, int32_t t, int32_t worker) {
    const int32_t cell = r->pass->cell[t];
    int32_t i;
    aios__op_heads_run(op, r, t, worker);
    if (block_bits && !block_late)
        blocks_cell(op, r, r->pass->seq[t], cell);
    else if (block_bits && cell % AIOSK_TILE == 0)
        for (i = cell - AIOSK_TILE; i >= AIOSK_TILE && i < cell; i++)
            blocks_cell(op, r, r->pass->seq[t], i);
}

/* ---- divergence ---- */
static aios_model *model;
static const int32_t *tokens;
static int n_windows, quick;
static int32_t n_vocab;
static float *want; /* log of the probabilities with f32: [n_windows][WINDOW][n_vocab] */

static void log_probabilities(const float *x, float *y) {
    double most = -1e300, sum = 0;
    int32_t i;
    for (i = 0; i < n_vocab; i++)
        if (x[i] > most) most = x[i];
    for (i = 0; i < n_vocab; i++) sum += exp((double)x[i] - most);
    for (i = 0; i < n_vocab; i++) y[i] = (float)((double)x[i] - most - log(sum));
}
/* Mean KL divergence from the reference, in nats; kv f32 without blocks is the reference. -1:
 * did not run. */
static double divergence(int32_t kv) {
    static aios__op_kind spy;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_context *c = NULL;
    aios_output o;
    aios_error err;
    float *x = (float *)malloc((size_t)n_vocab * 4);
    double kl = 0;
    int w, n = 0;
    int32_t i, v;
    uint32_t k;
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    spy = aios__kind_heads;
    spy.run = heads;
    pd.n_ctx = WINDOW;
    pd.kv_type = kv;
    pd.n_batch = 64;
    pd.n_outputs = 64;
    if (aios_plan_make(model, &pd, &plan, &err) || aios_context_open(model, &plan, &cd, &c, &err)) {
        printf("  %s\n", err.text);
        free(x);
        return -1;
    }
    for (k = 0; k < c->prog.n_ops; k++)
        if (c->prog.op[k].kind == &aios__kind_heads) c->prog.op[k].kind = &spy;
    for (w = 0; w < n_windows; w++) {
        aios_status st = aios_seq_truncate(c, 0, 0, &err);
        if (!st) st = aios_feed(c, 0, tokens + w * WINDOW, WINDOW, AIOS_FEED_ALL_LOGITS, &err);
        while (!st || st == AIOS_MORE) {
            st = aios_step(c, 0, &err);
            for (i = 0; st >= 0 && i < aios_output_count(c); i++) {
                float *p;
                aios_output_init(&o);
                aios_output_get(c, i, &o);
                p = want + ((size_t)w * WINDOW + (size_t)o.pos) * (size_t)n_vocab;
                n++;
                if (kv == AIOSK_KV_F32 && !block_bits) {
                    log_probabilities(o.logits, p);
                    continue;
                }
                log_probabilities(o.logits, x);
                for (v = 0; v < n_vocab; v++)
                    kl += exp((double)p[v]) * ((double)p[v] - (double)x[v]);
            }
            if (st == AIOS_OK) break;
        }
        if (st) {
            printf("  %s\n", err.text);
            n = 0;
            break;
        }
    }
    aios_context_free(c);
    free(x);
    return n == n_windows * WINDOW ? kl / n : -1;
}

static void our_codes_cost_no_more_than_blocks_do(const char *name, const uint8_t *text,
                                                  size_t n_text) {
    CASE("%s", name);
    static const char *const types[] = { "f16", "kv8", "kv84", "kv54", "kv44", "kv43", "kv33" };
    aios_model_desc md;
    aios_model_info info;
    books mem = { 0 };
    const aios_allocator a = books_allocator(&mem);
    aios_error err;
    int32_t *ids;
    double ours[7], plain[9], rotated[9], late;
    int64_t n;
    int i;
    late = 0;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.path = shared_path(name);
    if (aios_model_open(&md, &model, &err)) {
        printf("skip: no %s in the shared folder\n", name);
        return;
    }
    aios_model_info_init(&info);
    aios_model_get_info(model, &info);
    n_vocab = info.n_vocab;
    if (n_text > (size_t)n_windows * WINDOW * 8) n_text = (size_t)n_windows * WINDOW * 8;
    ids = (int32_t *)malloc(n_text * 4);
    n = aios_tokenize(model, (const char *)text, n_text, 0, ids, n_text, &err);
    want = (float *)malloc((size_t)n_windows * WINDOW * (size_t)n_vocab * 4);
    tokens = ids;
    if (CHECK(n >= n_windows * WINDOW && want)) {
        block_bits = 0;
        CHECK(divergence(AIOSK_KV_F32) >= 0);
        printf("%s, KL from an f32 cache, %d windows of %d tokens\n ", name, n_windows, WINDOW);
        for (i = 0; i < 7; i++)
            if (!quick || i == 1 || i == 4) {
                CHECK((ours[i] = divergence(aiosk_kv_parse(types[i]))) >= 0);
                printf(" %s %.2e", types[i], ours[i]);
            }
        printf("\n  blocks of 32, plain / rotated / late:");
        for (i = 4; i <= 8; i += quick ? 4 : i == 4 ? 1 : 3) {
            block_bits = i;
            block_rotated = 0;
            CHECK((plain[i] = divergence(AIOSK_KV_F32)) >= 0);
            block_rotated = 1;
            CHECK((rotated[i] = divergence(AIOSK_KV_F32)) >= 0);
            block_late = 1;
            if (!quick) CHECK((late = divergence(AIOSK_KV_F32)) >= 0);
            block_late = 0;
            printf("  q%d_0 %.2e / %.2e / %.2e", i, plain[i], rotated[i], late);
        }
        printf("\n");
        CHECK(ours[1] < 1e-4 && ours[1] <= plain[8] &&
              ours[1] <= rotated[8]);                        /* 8.19 bits and 8.5 */
        CHECK(ours[4] <= plain[4] && ours[4] <= rotated[4]); /* 4.25 bits and 4.5 */
        if (!quick)
            CHECK(ours[0] < 1e-6 && ours[2] < 2e-3 && ours[3] <= plain[5] &&
                  ours[3] <= rotated[5]); /* kv54 4.75 bits and 5.5 */
    }
    free(want);
    free(ids);
    aios_model_free(model);
    CHECK_EQ(mem.n_held, 0);
}

int main(int argc, char **argv) {
    size_t n_text = 0;
    uint8_t *text = test_read_file("models/tale-valid.txt", &n_text);
    quick = test_begin(argc, argv);
    n_windows = quick ? 1 : 4;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] >= '0' && argv[i][0] <= '9') n_windows = atoi(argv[i]);
    if (!CHECK(text && n_windows > 0)) return test_end();
    TEST(our_codes_cost_no_more_than_blocks_do)("models/tale-silu-f16.gguf", text, n_text);
    if (!quick)
        TEST(our_codes_cost_no_more_than_blocks_do)("models/tale-relu2-f16.gguf", text, n_text);
    free(text);
    return test_end();
}
