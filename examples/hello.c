/* hello.c: continues a sentence with the model that is built in.
 *     cc -O2 -I. examples/hello.c -o hello -lpthread && ./hello        from the root of the repository */
#define AIOS_IMPLEMENTATION
#define AIOS_DEFAULT_ALLOC  /* malloc and free; arena.c brings memory of its own */
#include "aios.h"
#include "tale.h"
#include <stdio.h>

int main(void) {
    const char prompt[] = "Once upon a time there was a dragon who";
    aios_io io;               aios_io_memory(&io, tale_gguf, tale_gguf_bytes);
    aios_model_desc md;       aios_model_desc_init(&md);        md.io = &io;  /* a file: md.path */
    aios_plan_desc pd;        aios_plan_desc_init(&pd);         pd.n_ctx = 128;
    aios_plan plan;           aios_plan_init(&plan);
    aios_context_desc cd;     aios_context_desc_init(&cd);
    aios_sampler sampler;     aios_sampler_init(&sampler);      sampler.temperature = 0.7f;  sampler.top_p = 0.9f;
    aios_detok detok = {{0}, 0, 0};
    aios_model *model;  aios_context *ctx = NULL;  aios_error err;  int32_t ids[64], n, i;  char text[1024];

    if (aios_model_open(&md, &model, &err) || aios_plan_make(model, &pd, &plan, &err) || aios_context_open(model, &plan, &cd, &ctx, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    printf("%s", prompt);
    n = (int32_t)aios_tokenize(model, prompt, sizeof prompt - 1, AIOS_TOK_BOS, ids, 64, &err);
    if (n < 1 || n > 64) return 1;
    for (i = 0; i < 64; i++, n = 1) {
        aios_feed(ctx, 0, ids, (uint64_t)n, 0, &err);
        while (aios_step(ctx, 0, &err) == AIOS_MORE) {}
        if (aios_sample(ctx, 0, &sampler, ids, &err) || aios_token_is_end(model, ids[0])) break;
        printf("%.*s", (int)aios_detokenize(model, &detok, ids[0], text, sizeof text), text);
    }
    aios_context_free(ctx);  aios_model_free(model);
    return printf("\n") < 0;
}
