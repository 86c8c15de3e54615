/* characters.c: five characters, one world. The world's text is read once and shared; each character forks it, goes on in its own words, all in
 * the same passes, and can be put away in a few KB and taken up again.
 *     cc -O2 -I. examples/characters.c -o characters -lpthread && ./characters        from the root of the repository */
#define AIOS_IMPLEMENTATION
#define AIOS_DEFAULT_ALLOC
#include "aios.h"
#include "tale.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5, WORLD = N, SEQUENCES = N + 1, LENGTH = 24, ROOM = 256 };
static const char world[] =
    "Once upon a time there was a village at the edge of a dark forest. In the forest lived an old witch, who had a garden full of roses, and nobody "
    "in the village had ever dared to go there. But every spring, when the roses began to bloom, the wind carried their smell over the fields, and then the "
    "young people grew restless, and the old ones closed their windows and spoke of the girl who had gone into the forest long ago and had never come "
    "back. Some said that she had become a rose herself, the reddest of them all, and that the witch talked to her in the evening; others said that "
    "she had gone over the mountains, and was now the wife of a rich man, and had forgotten them. One day a traveller came to the inn, sat down by the fire, and asked the people what they knew about the witch.";
static const char *const says[N] = { " The innkeeper said", " The miller's daughter said", " The old soldier said", " The king's son said", " The cat said" };

static aios_model *model;
static aios_context *ctx;
static aios_error err;
static char text[N][2048];
static aios_detok detok[N];

static void need(aios_status st) { if (st) { fprintf(stderr, "%s\n", err.text); exit(1); } }
static void say(int32_t who, int32_t id) {                  /* adds the text of a token to what a character has said */
    size_t at = strlen(text[who]);
    int64_t n = aios_detokenize(model, &detok[who], id, text[who] + at, sizeof text[who] - 1 - at);
    text[who][n < 0 || (size_t)n > sizeof text[who] - 1 - at ? at : at + (size_t)n] = 0;
}
static int32_t feed(int32_t seq, const char *s) {                    /* gives how many tokens */
    int32_t ids[ROOM], n = (int32_t)aios_tokenize(model, s, strlen(s), seq == WORLD ? AIOS_TOK_BOS : 0, ids, ROOM, &err);
    if (n < 1 || n > ROOM) exit(1);
    need(aios_feed(ctx, seq, ids, (uint64_t)n, 0, &err));
    return n;
}
/* All characters from first to last go on until they have n tokens more, each when it has something to go on from. */
static void talk(aios_sampler *sampler, int32_t first, int32_t last, int32_t n) {
    int32_t left[N], who, id;
    aios_status st;
    for (who = first; who <= last; who++) left[who] = n;
    do {
        st = aios_step(ctx, 0, &err);
        if (st < 0) need(st);
        for (who = first; who <= last; who++) {
            if (!left[who] || !aios_logits(ctx, who)) continue;     /* not in this pass */
            need(aios_sample(ctx, who, &sampler[who], &id, &err));
            say(who, id);
            if (--left[who] && !aios_token_is_end(model, id)) need(aios_feed(ctx, who, &id, 1, 0, &err)); else left[who] = 0;
        }
        for (who = first; who <= last && !left[who]; who++) {}
    } while (who <= last);
}

int main(void) {
    aios_io io;               aios_io_memory(&io, tale_gguf, tale_gguf_bytes);
    aios_model_desc md;       aios_model_desc_init(&md);        md.io = &io;
    aios_plan_desc pd;        aios_plan_desc_init(&pd);         pd.n_ctx = 384;  pd.n_seq = SEQUENCES;
    aios_plan plan;           aios_plan_init(&plan);
    aios_context_desc cd;     aios_context_desc_init(&cd);
    aios_cache_info info;     aios_cache_info_init(&info);
    aios_sampler sampler[N];
    aios_status st;
    int32_t who, at, spoken = 0;
    uint64_t n_bytes;
    void *bytes;

    pd.kv_type = AIOSK_KV_I8;
    pd.kv_positions = 256 + N * 192;                        /* the pool: the world once, and three tiles for each to go on in */
    need(aios_model_open(&md, &model, &err));
    need(aios_plan_make(model, &pd, &plan, &err));
    need(aios_context_open(model, &plan, &cd, &ctx, &err));

    feed(WORLD, world);                                     /* read once, ... */
    for (st = AIOS_MORE; st == AIOS_MORE; ) st = aios_step(ctx, 0, &err);
    need(st);
    at = aios_seq_length(ctx, WORLD);
    for (who = 0; who < N; who++) {                         /* ... known to all */
        aios_sampler_init(&sampler[who]);
        sampler[who].temperature = 0.8f;  sampler[who].top_p = 0.9f;  sampler[who].seed = (uint64_t)who;
        need(aios_seq_fork(ctx, who, WORLD, at, &err));
        spoken = feed(who, says[who]);
        strcpy(text[who], says[who]);
    }
    talk(sampler, 0, N - 1, LENGTH);
    for (who = 0; who < N; who++) printf("%s ...\n", text[who] + 1);
    need(aios_cache_get_info(ctx, &info));
    printf("\n%d tokens of the world are there once: %u pages are shared, which saves %llu of %llu KB.\n", (int)at, info.n_shared,
           (unsigned long long)info.saved_bytes >> 10, (unsigned long long)(info.saved_bytes + info.bytes - info.free_bytes) >> 10);

    need(aios_seq_truncate(ctx, N - 1, at + spoken, &err));                 /* the cat takes it back, and says something else */
    feed(N - 1, " again");
    strcat(strcpy(text[N - 1], says[N - 1]), " again");
    talk(sampler, N - 1, N - 1, LENGTH);
    printf("%s ...\n", text[N - 1] + 1);

    need(aios_seq_save(ctx, N - 1, WORLD, NULL, 0, &n_bytes, &err));        /* what the cat has over the world, as bytes: a file, a save game */
    if (!(bytes = malloc((size_t)n_bytes))) return 1;
    need(aios_seq_save(ctx, N - 1, WORLD, bytes, n_bytes, &n_bytes, &err));
    need(aios_seq_truncate(ctx, N - 1, 0, &err));
    need(aios_seq_restore(ctx, N - 1, WORLD, bytes, n_bytes, &err));        /* and goes on as if nothing had been */
    printf("\nThe cat, put away in %llu KB and woken: ", (unsigned long long)n_bytes >> 10);
    feed(N - 1, " And then");
    strcpy(text[N - 1], " And then");
    talk(sampler, N - 1, N - 1, LENGTH);
    printf("%s ...\n", text[N - 1] + 1);
    free(bytes);
    aios_context_free(ctx);
    aios_model_free(model);
    return 0;
}
