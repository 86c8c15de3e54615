/* arena.c: a language model without a heap, without files and without threads, as in firmware: the model lies in the
 * program's constant memory and all working memory is one static array.
 *     cc -O2 -I. examples/arena.c -o arena && ./arena            from the root of the repository */
#define AIOS_IMPLEMENTATION
#define AIOS_NO_FILES
#define AIOS_NO_THREADS
#define AIOS_NO_CLOCK
#include "aios.h"
#include "tale.h"
#include <stdio.h>

/* All the memory there is: 4 MiB. Make it smaller, and the plan says what is missing. */
static unsigned char arena[4 << 20];
static uint64_t used;

/* Memory is only ever given back in the reverse order, so an allocator is a number that goes up and down. */
static void *take(void *user, const aios_mem_req *r) {
    uint64_t base = (uint64_t)(uintptr_t)arena, at = (base + used + r->align - 1) / r->align * r->align - base;
    (void)user;
    if (at > sizeof arena || r->bytes > sizeof arena - at) return NULL;
    used = at + r->bytes;
    return arena + at;
}
static void give(void *user, void *p, const aios_mem_req *r) {
    (void)user;
    (void)r;
    used = (uint64_t)((unsigned char *)p - arena);
}

static int failed(const char *what, const aios_error *err) {
    printf("%s: %s\n", what, err->text);
    return 1;
}

int main(void) {
    static const char prompt[] = "The King had three sons.";
    static const char *const kinds[] = { "weights", "kv", "scratch", "meta" };
    static const int32_t n_tokens = 100;
    aios_allocator mem;
    aios_io flash;
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_sampler sampler;
    aios_detok detok = { { 0 }, 0, 0 };
    aios_model *model;
    aios_context *ctx;
    aios_error err;
    int32_t ids[32], n, i;
    uint32_t k;

    /* Where bytes come from, and where they go. */
    aios_io_memory(&flash, tale_gguf, tale_gguf_bytes);
    aios_allocator_init(&mem);
    mem.alloc = take;
    mem.free = give;

    /* Opening reads the header. The weights stay in flash; the plan says which of them are worth a copy. */
    aios_model_desc_init(&md);
    md.mem = &mem;
    md.io = &flash;
    if (aios_model_open(&md, &model, &err)) return failed("model", &err);
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    pd.n_ctx = 128;
    pd.n_batch = 8;
    pd.kv_type = AIOSK_KV_I8;
    pd.budget_bytes = sizeof arena - used;
    if (aios_plan_make(model, &pd, &plan, &err)) return failed("plan", &err);

    /* Every request is known before any is made. */
    for (k = 0; k < plan.n_requests; k++) {
        aios_mem_req r;
        aios_mem_req_init(&r);
        aios_plan_request(&plan, k, &r);
        printf("%-8s %8llu bytes\n", kinds[r.kind], (unsigned long long)r.bytes);
    }
    aios_context_desc_init(&cd);
    if (aios_context_open(model, &plan, &cd, &ctx, &err)) return failed("context", &err);
    printf("in all   %8llu of %llu bytes; from here on nothing is allocated\n\n%s", (unsigned long long)used, (unsigned long long)sizeof arena, prompt);

    /* Tokens in, tokens out. */
    aios_sampler_init(&sampler);
    sampler.temperature = 0.7f;
    sampler.top_p = 0.9f;
    sampler.seed = 7;
    n = (int32_t)aios_tokenize(model, prompt, sizeof prompt - 1, AIOS_TOK_BOS, ids, 32, &err);
    if (n < 1 || n > 32) return failed("prompt", &err);
    for (i = 0; i < n_tokens; i++) {
        char text[1024];
        if (aios_feed(ctx, 0, ids, (uint64_t)n, 0, &err)) return failed("feed", &err);
        while (aios_step(ctx, 0, &err) == AIOS_MORE) {}
        if (aios_sample(ctx, 0, &sampler, ids, &err)) return failed("sample", &err);
        if (aios_token_is_end(model, ids[0])) break;
        printf("%.*s", (int)aios_detokenize(model, &detok, ids[0], text, sizeof text), text);
        n = 1;
    }
    printf("\n");

    /* Everything goes back, and the arena is as empty as it was, but for what aligning the first request skipped. */
    aios_context_free(ctx);
    aios_model_free(model);
    return used >= 64;
}
