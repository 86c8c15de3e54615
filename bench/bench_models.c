/* bench_models.c: whole models through aios.h: prefill, decoding at several depths, several sequences decoding together; tokens
 * per second, bytes per second, and what share that is of the read bandwidth (decoding) or of the int8 peak (prefill) that the
 * same run measures.
 *
 *     bench_models [-m MODEL.gguf] [-N NAME] [-t THREADS] [-i ISA] [-p 256,512] [-d 512,4096] [-b 2,4,8] [-n 24]
 *                  [-K f16,kv8] [-B TOKENS_PER_PASS] [-o CSV]
 *     bench_models -c MODEL.gguf          one line for scripts: products per prefilled token, products per decoded token
 *
 * Decoding: -n tokens one by one, the median of their times, after as many tokens as -d says; the prompt that gets there is
 * fed once and not thrown away, so depths ascend. -b: so many sequences of 128 tokens each, one token of each in every pass.
 * Products are those of weight matrices (attention comes on top); the logits of a prompt are wanted for its last token only. */
#define _DEFAULT_SOURCE
#include "aios.h"
#include "bench.h"

static const char *name;
static FILE *csv;
static pool mem;
static roofs roof;
static const aiosk_isa *isa;
static int n_threads, n_tokens = 24, pass_tokens, mostly_float;
static double prefill_macs, decode_macs;
static aios_error err;

static void ok(aios_status s, const char *what) {
    if (s < 0) { fprintf(stderr, "bench_models: %s: %s: %s\n", what, aios_status_name(s), err.text); exit(1); }
}
static void *take(void *user, const aios_mem_req *r) { (void)user; return b_alloc((size_t)r->bytes); }
static void give(void *user, void *p, const aios_mem_req *r) { (void)user; (void)r; free(p); }

static double seconds(void) { return b_now(2); } /* of the wall */
static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* The matrices that every token meets. Which tensor gives the logits is told by its name, as the file format has it. */
static void count_products(const aios_model *model) {
    aios_model_info info;
    aios_plan_desc pd;
    aios_plan plan;
    uint32_t i;
    double floats = 0;
    aios_model_info_init(&info);
    ok(aios_model_get_info(model, &info), "info");
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    pd.n_ctx = 64;
    ok(aios_plan_make(model, &pd, &plan, &err), "plan");
    prefill_macs = decode_macs = 0;
    for (i = 0; i < info.n_tensors; i++) {
        aios_tensor_info t;
        aios_tensor_place at;
        double n;
        aios_tensor_info_init(&t);
        aios_tensor_place_init(&at);
        ok(aios_model_get_tensor(model, i, &t), "tensor");
        ok(aios_plan_get_tensor(model, &plan, i, &at), "place");
        if (!at.n_bytes || t.n_dims < 2) continue;
        /* a matrix of which a token reads but a row is a table: the embedding, unless it gives the logits too */
        n = (double)t.n[0] * (double)t.n[1] * (double)t.n[2] * (double)at.token_bytes / (double)at.n_bytes;
        decode_macs += n;
        if (strcmp(t.name, "output.weight") && strcmp(t.name, "token_embd.weight")) prefill_macs += n;
        if (aiosk_type_info((int32_t)t.type)->family == AIOSK_FLT) floats += n;
    }
    mostly_float = floats * 2 > decode_macs;
}

/* ---- measuring --------------------------------------------------------------------------------------------- */
typedef struct bench { aios_model *model; aios_context *ctx; int32_t n_vocab; } bench;

static void open_context(bench *b, int n_ctx, int n_seq, int kv) {
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_plan plan;
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    pd.n_ctx = n_ctx;
    pd.n_seq = n_seq;
    pd.n_threads = n_threads;
    pd.n_batch = pass_tokens;
    pd.kv_type = kv;
    pd.isa = isa->id;
    ok(aios_plan_make(b->model, &pd, &plan, &err), "plan");
    ok(aios_context_open(b->model, &plan, &cd, &b->ctx, &err), "context");
}
/* n tokens that are not all the same. */
static void feed(bench *b, int seq, int n) {
    int32_t id[256], i;
    while (n > 0) {
        const int32_t k = n < 256 ? n : 256;
        for (i = 0; i < k; i++) id[i] = (int32_t)((uint32_t)(aios_seq_length(b->ctx, seq) + i + seq + 1) * 2654435761u % (uint32_t)b->n_vocab);
        ok(aios_feed(b->ctx, seq, id, (uint64_t)k, 0, &err), "feed");
        n -= k;
    }
}
static double run(bench *b) {
    const double t = seconds();
    aios_status s;
    while ((s = aios_step(b->ctx, 0, &err)) == AIOS_MORE) {}
    ok(s, "step");
    return seconds() - t;
}

static void report(const char *what, int kv, int cols, double tok_s, double bytes_s, double macs_s, double share, const char *of) {
    char which[64], type[8];
    snprintf(which, sizeof which, "%s kv %s", what, aiosk_kv_name(kv, type));
    printf("%-24s %-24s %9.2f tok/s", name, which, tok_s);
    if (bytes_s > 0) printf(" %8.2f GB/s", bytes_s * 1e-9);
    else printf(" %13s", "");
    printf(" %8.1f GMAC/s %4.0f%% of %s\n", macs_s * 1e-9, share * 100, of);
    fflush(stdout);
    csv_row(csv, "model", isa->name, name, which, n_threads, cols, "", bytes_s > 0 ? macs_s / bytes_s : 0, bytes_s, macs_s, tok_s, share);
}

/* The median of n_tokens passes with one token of each of n_seq sequences; then everything is as before. */
static void decode(bench *b, const char *what, int n_seq, int kv) {
    double *t = (double *)b_alloc(sizeof *t * (size_t)n_tokens), mid, bytes;
    aios_counters c;
    int i, s;
    aios_counters_init(&c);
    roofs_measure(&roof, &mem, isa->id, n_threads, 0.3);
    for (i = -2; i < n_tokens; i++) { /* two to warm up */
        double now;
        if (i == 0) aios_counters_reset(b->ctx);
        for (s = 0; s < n_seq; s++) feed(b, s, 1);
        now = run(b);
        if (i >= 0) t[i] = now;
    }
    ok(aios_counters_get(b->ctx, &c), "counters");
    mid = median(t, n_tokens);
    bytes = (double)(c.weight_bytes + c.kv_bytes) / n_tokens / mid;
    report(what, kv, n_seq, n_seq / mid, bytes, decode_macs * n_seq / mid, bytes / roof.read[1], "read");
    for (s = 0; s < n_seq; s++) ok(aios_seq_truncate(b->ctx, s, aios_seq_length(b->ctx, s) - n_tokens - 2, &err), "truncate");
    free(t);
}
static void prefill(bench *b, const char *what, int n, int kv) {
    double t, top;
    roofs_measure(&roof, &mem, isa->id, n_threads, 0.3);
    feed(b, 0, n);
    t = run(b);
    top = mostly_float ? roof.f32[1] : roof.int8[1];
    report(what, kv, n, n / t, 0, prefill_macs * n / t, top > 0 ? prefill_macs * n / t / top : 0, mostly_float ? "f32 peak" : "int8 peak");
}

static void bench_kv(bench *b, int kv, const int *ps, int n_ps, const int *ds, int n_ds, const int *bs, int n_bs) {
    char what[48];
    int i, s, n_ctx = 0, most = 0, limit;
    aios_model_info info;
    aios_model_info_init(&info);
    ok(aios_model_get_info(b->model, &info), "info");
    limit = info.n_ctx_train > 0 ? info.n_ctx_train : 1 << 20;
    for (i = 0; i < n_ps; i++) if (ps[i] > n_ctx && ps[i] <= limit) n_ctx = ps[i];
    for (i = 0; i < n_ds; i++) if (ds[i] + n_tokens + 2 > n_ctx && ds[i] + n_tokens + 2 <= limit) n_ctx = ds[i] + n_tokens + 2;
    if (n_ctx) {
        open_context(b, n_ctx, 1, kv);
        feed(b, 0, 16 < n_ctx ? 16 : n_ctx); /* to warm up */
        run(b);
        for (i = 0; i < n_ps; i++) if (ps[i] <= n_ctx) {
            ok(aios_seq_truncate(b->ctx, 0, 0, &err), "truncate");
            snprintf(what, sizeof what, "prefill %d", ps[i]);
            prefill(b, what, ps[i], kv);
        }
        for (i = 0; i < n_ds; i++) {
            const int have = aios_seq_length(b->ctx, 0);
            if (ds[i] + n_tokens + 2 > n_ctx) { printf("%-24s depth %d is more than the model was trained for\n", name, ds[i]); continue; }
            if (have > ds[i]) ok(aios_seq_truncate(b->ctx, 0, ds[i], &err), "truncate");
            if (ds[i] - have >= 512) {
                snprintf(what, sizeof what, "prefill %d..%d", have, ds[i]);
                prefill(b, what, ds[i] - have, kv);
            } else if (ds[i] > have) {
                feed(b, 0, ds[i] - have);
                run(b);
            }
            snprintf(what, sizeof what, "decode at %d", ds[i]);
            decode(b, what, 1, kv);
        }
        aios_context_free(b->ctx);
    }
    for (i = 0; i < n_bs; i++) if (bs[i] > most) most = bs[i];
    if (most) {
        open_context(b, 128 + n_tokens + 2, most, kv);
        for (s = 0; s < most; s++) feed(b, s, 128);
        run(b);
        for (i = 0; i < n_bs; i++) {
            snprintf(what, sizeof what, "decode %d together", bs[i]);
            decode(b, what, bs[i], kv);
        }
        aios_context_free(b->ctx);
    }
}

int main(int argc, char **argv) {
    int ps[B_MAX_LIST], ds[B_MAX_LIST], bs[B_MAX_LIST], n_ps, n_ds, n_bs, c, i, count = 0;
    const char *path = NULL, *p_list = "256,512", *d_list = "512,4096", *b_list_ = "2,4,8", *kvs = "f16,kv8", *only = NULL, *out = NULL;
    aios_allocator a;
    aios_model_desc md;
    aios_model_info info;
    bench b;
    n_threads = b_threads();
    while ((c = getopt(argc, argv, "m:c:N:t:i:p:d:b:n:K:B:o:")) != -1) switch (c) {
        case 'm': path = optarg; break;
        case 'c': path = optarg; count = 1; break;
        case 'N': name = optarg; break;
        case 't': n_threads = atoi(optarg); break;
        case 'i': only = optarg; break;
        case 'p': p_list = optarg; break;
        case 'd': d_list = optarg; break;
        case 'b': b_list_ = optarg; break;
        case 'n': n_tokens = atoi(optarg); break;
        case 'K': kvs = optarg; break;
        case 'B': pass_tokens = atoi(optarg); break;
        case 'o': out = optarg; break;
        default: fprintf(stderr, "usage: see the top of bench/bench_models.c\n"); return 2;
    }
    if (!path) { fprintf(stderr, "usage: bench_models -m MODEL.gguf, options are at the top of bench/bench_models.c\n"); return 2; }
    if (n_threads < 1 || n_threads > B_MAX_THREADS) b_die("-t is a number of threads up to", "256");
    if (n_tokens < 1 || n_tokens > 4096) b_die("-n is a number of tokens up to", "4096");
    n_ps = b_list(p_list, ps);
    n_ds = b_list(d_list, ds);
    n_bs = b_list(b_list_, bs);
    for (i = 0; i < n_ps; i++) if (ps[i] < 1) b_die("-p is a list of numbers from 1, not", p_list);
    for (i = 0; i < n_bs; i++) if (bs[i] < 1) b_die("-b is a list of numbers from 1, not", b_list_);
    if (!(isa = b_isa(only))) b_die("not on this machine:", only);
    aios_allocator_init(&a);
    a.alloc = take;
    a.free = give;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.path = path;
    memset(&b, 0, sizeof b);
    ok(aios_model_open(&md, &b.model, &err), path);
    aios_model_info_init(&info);
    ok(aios_model_get_info(b.model, &info), "info");
    b.n_vocab = info.n_vocab;
    count_products(b.model);
    if (count) {
        printf("%.0f %.0f %s\n", prefill_macs, decode_macs, mostly_float ? "f32" : "int8");
        aios_model_free(b.model);
        return 0;
    }
    if (!name) name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    csv = csv_open(out);
    mem = pool_make(n_threads);
    memset(&roof, 0, sizeof roof);
    for (i = 0; i < 2; i++) roofs_measure(&roof, &mem, isa->id, n_threads, 0.5);
    printf("%s, %d threads: read %.1f GB/s, int8 peak %.0f GMAC/s, f32 peak %.0f\n", isa->name, n_threads, roof.read[1] * 1e-9, roof.int8[1] * 1e-9, roof.f32[1] * 1e-9);
    for (; *kvs; kvs += strcspn(kvs, ","), kvs += *kvs == ',') {
        char type[8];
        snprintf(type, sizeof type, "%.*s", (int)strcspn(kvs, ","), kvs);
        if ((i = aiosk_kv_parse(type)) < 0) b_die("-K is a list of types of cache, not", kvs);
        bench_kv(&b, i, ps, n_ps, ds, n_ds, bs, n_bs);
    }
    csv_roofs(csv, isa->name, &roof, n_threads);
    aios_model_free(b.model);
    if (csv) fclose(csv);
    free(mem.p);
    return 0;
}
