/* test_layers.c: what the layers of a model are: which of them have a window, which rope, and how many heads, from rows of families that need not
 * be in the table. */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include <string.h>

enum { N_LAYER = 14 };

/* "w" at a layer: it has the window */
static void test_windows(void) {
    static const struct { const char *name; int32_t every; uint32_t at; const char *want; } rows[] = {
        { "none", 0, 0, ".............." }, { "all", 1, 1, "wwwwwwwwwwwwww" }, { "gemma2", 2, 1, "w.w.w.w.w.w.w." },
        { "gemma3", 6, 31, "wwwww.wwwww.ww" }, { "all but each 4th", 4, 7, "www.www.www.ww" }, { "all but 0, 3, 6", 3, 6, ".ww.ww.ww.ww.w" } };
    size_t i;
    int32_t l;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        aios__hp_layer layer[N_LAYER];
        aios__hp hp;
        aios__arch arch;
        memset(&arch, 0, sizeof arch);
        memset(&hp, 0, sizeof hp);
        arch.window_every = rows[i].every;
        arch.window_at = rows[i].at;
        hp.layer = layer;
        hp.n_layer = N_LAYER;
        hp.window = 512;
        aios__layers_make(&hp, &arch);
        for (l = 0; l < N_LAYER; l++)
            if (!CHECK(layer[l].window == (rows[i].want[l] == 'w' ? 512 : 0))) printf("  %s: layer %d: %d\n", rows[i].name, (int)l, (int)layer[l].window);
    }
}
/* A second rope for layers with a window, which nothing scales; without one all have the same; without any, none. */
static void test_ropes(void) {
    aios__hp_layer layer[N_LAYER];
    aios__hp hp;
    aios__arch arch;
    int32_t l, two;
    for (two = 0; two < 2; two++) {
        memset(&arch, 0, sizeof arch);
        memset(&hp, 0, sizeof hp);
        arch.rope = AIOSK_ROPE_HALVES;
        arch.window_every = 6;
        arch.window_at = 31;
        arch.window_base = two ? 10000 : 0;
        hp.layer = layer;
        hp.n_layer = N_LAYER;
        hp.window = 512;
        hp.n_rot = 64;
        hp.rope_base = 1e6;
        hp.rope_factor = 8;
        hp.rope_attn_factor = 1.5;
        hp.rope_scaling = AIOS__SCALE_LINEAR;
        aios__layers_make(&hp, &arch);
        CHECK(hp.n_ropes == 1 + two && hp.rope[0].kind == AIOSK_ROPE_HALVES && hp.rope[0].n_rot == 64);
        CHECK(hp.rope[0].base == 1e6 && hp.rope[0].factor == 8 && hp.rope[0].scaling == AIOS__SCALE_LINEAR && hp.rope[0].divide);
        if (two) CHECK(hp.rope[1].base == 10000 && hp.rope[1].factor == 1 && hp.rope[1].attn_factor == 1 && hp.rope[1].scaling == AIOS__SCALE_NONE &&
                       !hp.rope[1].divide && hp.rope[1].n_rot == 64 && hp.rope[1].kind == AIOSK_ROPE_HALVES);
        for (l = 0; l < N_LAYER; l++) CHECK(layer[l].rope == (two && l % 6 != 5));
    }
    hp.n_rot = 0;
    arch.rope = AIOS__ROPE_NONE;
    aios__layers_make(&hp, &arch);
    CHECK(hp.n_ropes == 0);
    for (l = 0; l < N_LAYER; l++) CHECK(layer[l].rope == -1);
}

int main(void) {
    test_windows();
    test_ropes();
    return test_end();
}
