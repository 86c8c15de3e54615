/* test_cache.c: the cache of keys and values as a whole. First its bookkeeping, against a plain
 * reference: sequences that are lists of numbers. The real gathering and finishing of passes,
 * forks, cuts, removals, saving and restoring run in random order over a context without a
 * network: what would be computed for a position is a number made of the tokens up to it, so a
 * wrong page, a stale copy or a lost one shows. Then real models: logits after all that are
 * those of a sequence that was fed in one go. */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include "host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a context without a network ---- */
enum { MAX_SEQ = 8, MAX_POS = 4096, N_VOCAB = 1000, MAX_LAYER = 8 };
typedef struct config {
    const char *name, *arch;
    int32_t n_seq, n_ctx, n_batch, type, old_type, recent, window, sinks, positions, model_window,
        n_layer, spill, heavy;
} config;

typedef struct world {
    aios_model m;
    aios__hp_layer layer[MAX_LAYER];
    aios_context *c;
    char *mem, *kv_mem;
    uint64_t rng;
    /* the reference */
    uint64_t tag[MAX_SEQ][MAX_POS]; /* of the positions that are processed */
    int32_t off[MAX_SEQ][MAX_POS];  /* what remove has taken out before it since it was written */
    int32_t n_done[MAX_SEQ], removed[MAX_SEQ],
        loose[MAX_SEQ]; /* loose: rules may find other forms than they ask for */
    const char *name;
    int32_t heavy;
    attic attic;
} world;

static uint32_t rnd(world *w, uint32_t n) { return (uint32_t)(test_rand(&w->rng) % n); }

static int world_open(world *w, const config *f) {
    aios__bump meta = { NULL, 0 };
    aios_plan p;
    aios_context tmp;
    aios__str arch;
    int32_t i;
    memset(w, 0, sizeof *w);
    w->name = f->name;
    w->heavy = f->heavy > 0;
    for (i = 0; i < MAX_SEQ; i++) w->loose[i] = w->heavy;
    w->rng = 12345;
    arch.p = f->arch;
    arch.n = strlen(f->arch);
    w->m.arch = aios__arch_find(arch);
    w->m.hp.n_layer = f->n_layer;
    w->m.hp.n_head = 3;
    w->m.hp.n_embd = 32;
    w->m.hp.n_vocab = N_VOCAB;
    w->m.hp.window = f->model_window;
    if (f->n_layer > MAX_LAYER) return 0;
    w->m.hp.layer = w->layer;
    for (i = 0; i < f->n_layer; i++) { /* pages hold layers of any size */
        w->layer[i].n_head = w->layer[i].n_head_kv = i % 2 ? 3 : 2;
        w->layer[i].hd_k = i % 2 ? 32 : 16;
        w->layer[i].hd_v = i % 2 ? 48 : 16;
        w->layer[i].n_ff = 32;
        w->layer[i].window = f->model_window;
    }
    aios__layers_make(&w->m.hp, w->m.arch);
    for (i = 0; i < AIOS__N_MODEL_ROLES; i++) w->m.role[i].w = w->m.role[i].b = -1;
    memset(&p, 0, sizeof p);
    p.n_ctx = f->n_ctx;
    p.n_seq = f->n_seq;
    p.n_batch = f->n_batch;
    p.n_outputs = 4;
    p.n_threads = 1;
    p.kv_type = f->type;
    p.kv_old_type = f->old_type;
    p.kv_recent = f->recent;
    p.kv_window = f->window;
    p.kv_sinks = f->sinks;
    p.kv_heavy = f->heavy;
    p.kv_positions = f->positions;
    memset(&tmp, 0, sizeof tmp);
    if (!aios__kv_size(&tmp.kv, &w->m, &p)) return 0;
    aios__context_layout(&w->m, &p, &meta, &tmp);
    w->mem = (char *)calloc(1, (size_t)meta.used + 64);
    w->kv_mem = (char *)malloc((size_t)tmp.kv.bytes);
    memset(w->kv_mem, 0xA5, (size_t)tmp.kv.bytes);
    meta.base = w->mem + (64 - (uintptr_t)w->mem % 64) % 64;
    meta.used = 0;
    w->c = (aios_context *)(void *)meta.base;
    w->c->kv = tmp.kv;
    aios__context_layout(&w->m, &p, &meta, NULL);
    w->c->model = &w->m;
    w->c->plan = p;
    w->c->exec.n_workers = 1;
    if (f->spill) {
        w->c->spill = attic_spill(&w->attic);
    }
    aios__kv_start(&w->c->kv, &w->m, &p, w->kv_mem);
    return 1;
}
static void world_close(world *w) {
    free(w->mem);
    free(w->kv_mem);
}

/* The library may have fallen back further than it was asked to: from there on it computes
 * again. */
static void follow(world *w, int32_t s) {
    if (w->n_done[s] > w->c->seq[s].n_done) w->n_done[s] = w->c->seq[s].n_done;
    if (w->n_done[s] == 0) w->loose[s] = w->heavy;
    w->removed[s] = aios__kv_off(&w->c->kv.seq[s]);
}
static uint64_t tag_of(uint64_t before, int32_t token) {
    return (before ^ (uint64_t)(token + 1)) * 0x9E3779B97F4A7C15u ^ before >> 31;
}
static uint64_t *tag_at(void *tile, int32_t cell) { return (uint64_t *)tile + cell % 64; }

/* What the rules say that a query at cell s sees of tile t: -1 nothing, else a form. */
static int32_t rule(const world *w, const config *f, int32_t layer, int32_t own, int32_t t) {
    int32_t windowed = w->layer[layer].window != 0;
    int32_t sinks =
        !windowed && f->window && f->sinks >= 0 ? ((f->sinks ? f->sinks : 1) + 63) / 64 : 0;
    int32_t behind = windowed    ? (f->model_window + 62) / 64
                     : f->window ? (f->window + 63) / 64
                                 : 1 << 28;
    int32_t coded = f->old_type > 0 || f->type >= AIOSK_KV_I8;
    if (t >= sinks && own - t > behind) return -1;
    if (!coded || t == own || t == 0) return AIOS__KV_OPEN;
    return f->old_type && own - t > (f->recent + 63) / 64 ? AIOS__KV_OLD : AIOS__KV_SEALED;
}
/* Sees a query at position pos (as if its pass were under way) what the reference says? */
static int sees(world *w, const config *f, int32_t seq, int32_t pos, const uint64_t *tag) {
    const aios__kv *kv = &w->c->kv;
    const aios__kv_seq *s = &kv->seq[seq];
    int32_t own = aios__kv_cell(s, pos) / 64, layer, p, form = -1, i, lo;
    for (layer = 0; layer < w->m.hp.n_layer; layer++)
        for (i = 0; i < w->layer[layer].n_head_kv; i++) {
            int32_t head = i;
            int32_t window = w->layer[layer].window;
            lo = aios__attend_first(kv, seq, window, pos);
            for (p = 0; p <= pos; p++) {
                int32_t cell = aios__kv_cell(s, p), want = rule(w, f, layer, own, cell / 64);
                const void *tile;
                if (aios__kv_pos(s, cell) != p) {
                    printf("  %s: position %d has cell %d, which has position %d\n", w->name, p,
                           cell, aios__kv_pos(s, cell));
                    return 0;
                }
                if (cell < lo) continue;
                tile = aios__kv_look(kv, seq, layer, head, own, cell / 64, &form);
                if (w->loose[seq] && (!tile || want < 0))
                    continue; /* tiles moved down, or the past of a window is gone */
                if ((want < 0) != !tile || (tile && !w->loose[seq] && form != want)) {
                    printf(
                        "  %s: seq %d pos %d layer %d sees position %d (cell %d) in form %d, wanted %d\n",
                        w->name, seq, pos, layer, p, cell, tile ? form : -1, want);
                    return 0;
                }
                if (tile && *tag_at((void *)(uintptr_t)tile, cell) !=
                                (tag[p] ^ (uint64_t)(layer * 4 + head))) {
                    printf(
                        "  %s: seq %d pos %d layer %d: position %d has other contents (form %d)\n",
                        w->name, seq, pos, layer, p, form);
                    return 0;
                }
            }
        }
    return 1;
}
/* The work of a pass: copies, writes, seals; then looks as its queries would. */
static int pass_work(world *w, const config *f) {
    aios_context *c = w->c;
    aios__kv *kv = &c->kv;
    aios__run r;
    aios__op op;
    int32_t i, l, h, g, form, n;
    memset(&r, 0, sizeof r);
    memset(&op, 0, sizeof op);
    r.kv = kv;
    r.pass = &c->pass;
    r.hp = &w->m.hp;
    op.kind = &aios__kind_copy;
    n = op.kind->tasks(&op, &r);
    for (i = n - 1; i >= 0; i--) op.kind->run(&op, &r, i, 0);
    for (i = 0; i < c->pass.n; i++) {
        int32_t s = c->pass.seq[i], p = c->pass.pos[i];
        uint64_t t = tag_of(p ? w->tag[s][p - 1] : 0, c->pass.id[i]);
        w->tag[s][p] = t;
        w->off[s][p] = w->removed[s];
        if (c->pass.turn[i] != p + w->removed[s]) {
            printf("  %s: turn %d of position %d\n", w->name, c->pass.turn[i], p);
            return 0;
        }
        for (l = 0; l < kv->n_layer; l++)
            for (h = 0; h < w->layer[l].n_head_kv; h++)
                *tag_at(aios__kv_open_tile(kv, s, l, h, c->pass.cell[i]), c->pass.cell[i]) =
                    t ^ (uint64_t)(l * 4 + h);
    }
    for (i = 0; i < kv->n_seals; i++)
        for (l = 0; l < kv->n_layer; l++)
            for (h = 0; h < w->layer[l].n_head_kv; h++) {
                const aios__kv_seal *j = &kv->seal[i];
                g = kv->group[l];
                for (form = 1; form < 3; form++) {
                    int32_t a = aios__page_at(kv, g, form - 1, j->seq, j->t),
                            b = aios__page_at(kv, g, form, j->seq, j->t);
                    if ((form == 1 ? j->seal : j->age) && a >= 0 && b >= 0)
                        memcpy(aios__tile_of(kv, g, form, b, l, h),
                               aios__tile_of(kv, g, form - 1, a, l, h), 512);
                }
            }
    for (i = 0; kv->heavy && i < c->pass.n; i++) { /* attention goes where a hash says */
        int32_t s = c->pass.seq[i], own = c->pass.cell[i] / 64, t, at;
        for (t = 0; t <= own; t++)
            if (aios__kv_look(kv, s, 0, 0, own, t, &at))
                kv->mass_now[(int64_t)s * kv->seq_tiles + t] +=
                    (int32_t)(tag_of((uint64_t)t, c->pass.id[i]) % 1000);
        for (t = kv->sinks[0], at = 0; t < own - kv->behind[0]; t++)
            at += aios__kv_has(kv, 0, s, t);
        if (at > kv->heavy) {
            printf("  %s: %d tiles between, %d are meant to be\n", w->name, at, kv->heavy);
            return 0;
        }
    }
    for (i = 0; i < c->pass.n; i++)
        if (rnd(w, 16) == 0 || i + 1 == c->pass.n)
            if (!sees(w, f, c->pass.seq[i], c->pass.pos[i], w->tag[c->pass.seq[i]])) return 0;
    return 1;
}
/* One pass; some are dropped before or after the work. */
static int one_pass(world *w, const config *f) {
    aios_context *c = w->c;
    uint64_t save[MAX_SEQ];
    int32_t i, drop = rnd(w, 8) == 0, s;
    if (!aios__waiting(c)) return 1;
    if (f->spill && rnd(w, 20) == 0) w->attic.fail_in = 1 + (int32_t)rnd(w, 4);
    i = aios__spill_prepare(c, 0, NULL);
    w->attic.fail_in = 0;
    if (i) {
        c->pass.n = 1;
        return i == AIOS_ERR_IO;
    }
    aios__pass_gather(c);
    if (!c->pass.n) return 1;
    c->running = 1;
    for (s = 0; s < f->n_seq; s++) save[s] = (uint64_t)w->n_done[s];
    if (!(drop && rnd(w, 2)) && !pass_work(w, f)) return 0;
    if (drop) {
        aios__pass_drop(c);
        for (s = 0; s < f->n_seq; s++)
            if (c->seq[s].n_done > (int32_t)save[s]) return 0;
    } else {
        aios__pass_finish(c);
        for (i = 0; i < c->pass.n; i++) w->n_done[c->pass.seq[i]] = c->pass.pos[i] + 1;
    }
    for (s = 0; s < f->n_seq; s++) follow(w, s);
    return 1;
}
/* Counts of the pages agree with the tables, and free ones are in no table. */
static int whole(const world *w) {
    const aios__kv *kv = &w->c->kv;
    int32_t g, f, i, t, *count, ok = 1;
    for (g = 0; g < AIOS__N_GROUPS; g++)
        for (f = 0; f < AIOS__N_FORMS; f++) {
            const aios__pages *p = &kv->pool[g][f];
            if (!p->n) continue;
            count = (int32_t *)calloc((size_t)p->n, 4);
            for (i = 0; i < kv->n_seq * kv->seq_tiles; i++)
                if (kv->page[g][f][i] >= 0) count[kv->page[g][f][i]]++;
            for (i = t = 0; i < p->n; i++) {
                ok &= count[i] == p->refs[i];
                t += count[i] == 0;
            }
            ok &= t == p->n_free;
            for (i = 0; i < p->n_free; i++) ok &= count[p->free_page[i]] == 0;
            free(count);
        }
    for (i = 0; i < kv->n_seq; i++)
        for (g = 0; g < AIOS__N_GROUPS; g++) {
            int32_t n = 0;
            for (t = 0; kv->page[g][0] && t < kv->seq_tiles; t++) n += aios__kv_spare(kv, g, i, t);
            ok &= n == kv->seq[i].n_spares[g];
            for (t = kv->seq[i].top; kv->page[g][0] && t < kv->seq_tiles; t++)
                for (f = 0; f < AIOS__N_FORMS; f++)
                    ok &= aios__page_at(kv, g, f, i, t) == AIOS__NO_PAGE;
        }
    return ok;
}
static void any_order_of_operations_finds_the_right_pages(const config *f, uint64_t n_ops) {
    CASE("%s", f->name);
    world *w = (world *)malloc(sizeof *w);
    uint8_t *blob = NULL;
    aios_error err;
    uint64_t i, n_blob = 0, kinds[8] = { 0 }, most = 0, full = 0;
    int32_t s, ok = 1, blob_done = 0, blob_fed = 0, blob_removed = 0, blob_loose = 0,
               blob_base = -1, saved_base = -1, ids[256];
    static uint64_t blob_tag[MAX_POS];
    static int32_t blob_off[MAX_POS], blob_token[MAX_POS];
    if (!CHECK(w && world_open(w, f))) return;
    for (i = 0; i < n_ops && ok; i++) {
        aios_context *c = w->c;
        uint32_t what = rnd(w, 100);
        s = (int32_t)rnd(w, (uint32_t)f->n_seq);
        if (what < 30) { /* feed */
            int32_t n = 1 + (int32_t)rnd(w, rnd(w, 4) ? 40 : 256), k,
                    room = f->n_ctx - c->seq[s].n_fed;
            for (k = 0; k < n; k++)
                ids[k] = (int32_t)rnd(w, 3); /* few tokens: common beginnings happen */
            k = aios_feed(c, s, ids, (uint64_t)n, rnd(w, 5) ? 0 : AIOS_FEED_ALL_LOGITS, &err);
            ok &= CHECK(k == 0 || (k == AIOS_ERR_FULL && n > room - 16 * 128));
            kinds[0]++;
        } else if (what < 75) {
            int32_t before = w->n_done[s];
            ok &= CHECK(one_pass(w, f));
            kinds[1]++;
            full += aios__waiting(c) && !c->pass.n && before == w->n_done[s];
        } else if (what < 84) { /* cut */
            int32_t k, n = c->seq[s].n_fed,
                       to = rnd(w, 3) ? n - (int32_t)rnd(w, (uint32_t)(n < 90 ? n : 90) + 1)
                                      : (int32_t)rnd(w, (uint32_t)n + 1);
            if (rnd(w, 12) == 0) to = 0;
            k = aios_seq_truncate(c, s, to, &err);
            ok &= CHECK((k == 0 && c->seq[s].n_fed == to) ||
                        (k == AIOS_ERR_FULL && f->spill && c->seq[s].n_fed == n));
            if (k) continue;
            follow(w, s);
            kinds[2]++;
        } else if (what < 90) { /* fork */
            int32_t k, d = (int32_t)rnd(w, (uint32_t)f->n_seq), n = c->seq[s].n_fed;
            if (d == s) continue;
            if (c->seq[d].n_fed) {
                ok &= CHECK_EQ(aios_seq_fork(c, d, s, 0, &err), AIOS_ERR_STATE);
                if (rnd(w, 2)) continue;
                ok &= CHECK_EQ(aios_seq_truncate(c, d, 0, &err), 0);
                follow(w, d);
            }
            if (rnd(w, 2)) n -= (int32_t)rnd(w, (uint32_t)(n < 100 ? n : 100) + 1);
            k = aios_seq_fork(c, d, s, n, &err);
            if (k == AIOS_ERR_FULL && f->spill) {
                follow(w, d);
                continue;
            }
            ok &= CHECK(k == 0 && c->seq[d].n_fed == n && c->seq[d].n_done <= n);
            memcpy(w->tag[d], w->tag[s], sizeof w->tag[s]);
            memcpy(w->off[d], w->off[s], sizeof w->off[s]);
            w->n_done[d] = c->seq[d].n_done;
            w->loose[d] = w->loose[s];
            follow(w, d);
            follow(w, s);
            kinds[3]++;
        } else if (what < 93) { /* take out of the middle */
            int32_t n = c->seq[s].n_fed, a, b, done = w->n_done[s], k;
            if (n < 3) continue;
            a = (int32_t)rnd(w, (uint32_t)n);
            b = a + (int32_t)rnd(w, (uint32_t)(n - a) + 1);
            k = aios_seq_remove(c, s, a, b, &err);
            ok &= CHECK(k == 0 ||
                        (k == AIOS_ERR_LIMIT && c->kv.seq[s].n_spans >= AIOS__MAX_SPANS - 1) ||
                        (k == AIOS_ERR_FULL && f->spill));
            if (k || a == b) continue;
            if (b < done) {
                memmove(w->tag[s] + a, w->tag[s] + b, (size_t)(done - b) * 8);
                memmove(w->off[s] + a, w->off[s] + b, (size_t)(done - b) * 4);
                for (k = a; k < done - (b - a); k++) w->off[s][k] += b - a;
                w->n_done[s] = done - (b - a);
                w->removed[s] += b - a;
                w->loose[s] = 1;
            } else if (a < done)
                w->n_done[s] = c->seq[s].n_done;
            follow(w, s);
            kinds[4]++;
        } else if (what < 96) { /* save, perhaps over a base */
            uint64_t n = 0;
            blob_base = rnd(w, 2) ? (int32_t)rnd(w, (uint32_t)f->n_seq) : -1;
            if (blob_base == s) blob_base = -1;
            if (aios_seq_save(c, s, blob_base, NULL, 0, &n, &err) != 0) {
                ok &= CHECK(err.code == AIOS_ERR_FULL && f->spill);
                blob_base = saved_base;
                continue;
            }
            n_blob = n;
            saved_base = blob_base;
            follow(w, s);
            blob = (uint8_t *)realloc(blob, (size_t)n_blob);
            ok &=
                CHECK(aios_seq_save(c, s, blob_base, blob, n_blob - 1, &n, &err) == AIOS_ERR_FULL &&
                      aios_seq_save(c, s, blob_base, blob, n_blob, &n, &err) == 0 && n == n_blob);
            blob_done = c->seq[s].n_done;
            blob_fed = c->seq[s].n_fed;
            blob_removed = w->removed[s];
            blob_loose = w->loose[s];
            memcpy(blob_tag, w->tag[s], sizeof blob_tag);
            memcpy(blob_off, w->off[s], sizeof blob_off);
            memcpy(blob_token, c->seq[s].token, (size_t)blob_fed * 4);
            if (n_blob > most) most = n_blob;
            kinds[5]++;
        } else if (blob) { /* restore: whole, damaged, cut off */
            int32_t k;
            if (c->seq[s].n_fed) {
                ok &= CHECK_EQ(aios_seq_truncate(c, s, 0, &err), 0);
                w->n_done[s] = w->removed[s] = w->loose[s] = 0;
            }
            if (rnd(w, 3) == 0) {
                uint64_t at = rnd(w, 4) ? rnd(w, (uint32_t)(n_blob < 200 ? n_blob : 200))
                                        : rnd(w, (uint32_t)n_blob);
                uint8_t bit = (uint8_t)(1u << rnd(w, 8));
                blob[at] ^= bit;
                k = aios_seq_restore(c, s, blob_base, blob, n_blob, &err);
                blob[at] ^= bit;
                ok &= CHECK(k < 0 && c->seq[s].n_fed == 0 && c->kv.seq[s].top == 0);
                ok &= CHECK(
                    aios_seq_restore(c, s, blob_base, blob, rnd(w, (uint32_t)n_blob), &err) < 0);
            }
            k = aios_seq_restore(c, s, blob_base, blob, n_blob, &err);
            follow(w, s);
            ok &= CHECK(k == 0 || k == AIOS_ERR_FULL || (k == AIOS_ERR_STATE && blob_base >= 0));
            if (k) {
                ok &= CHECK_EQ(c->seq[s].n_fed, 0);
                continue;
            }
            ok &= CHECK(c->seq[s].n_fed == blob_fed && c->seq[s].n_done == blob_done &&
                        memcmp(c->seq[s].token, blob_token, (size_t)blob_fed * 4) == 0);
            memcpy(w->tag[s], blob_tag, sizeof blob_tag);
            memcpy(w->off[s], blob_off, sizeof blob_off);
            w->n_done[s] = blob_done;
            w->removed[s] = blob_removed;
            w->loose[s] = blob_loose;
            kinds[6]++;
        }
        if (rnd(w, 50) == 0) {
            ok &= CHECK(whole(w));
            for (s = 0; s < f->n_seq && ok; s++) {
                int32_t k, j;
                ok &= CHECK_EQ(c->seq[s].n_done, w->n_done[s]);
                for (k = 0; k < w->n_done[s] && ok;
                     k++) { /* the turn that the spans know of each position */
                    int32_t cell = aios__kv_cell(&c->kv.seq[s], k);
                    for (j = 0; cell >= c->kv.seq[s].span[j].to; j++) {}
                    ok &= c->kv.seq[s].span[j].off == w->off[s][k];
                }
                CHECK(ok);
            }
        }
    }
    CHECK(f->positions || full == 0); /* room that was planned is there */
    for (s = 0; s < f->n_seq; s++) CHECK_EQ(aios_seq_truncate(w->c, s, 0, &err), 0);
    CHECK(whole(w));
    CHECK_EQ(w->attic.n_kept, 0);
    CHECK_EQ(w->attic.wrong, 0);
    CHECK(!f->spill || w->attic.most > 0);
    for (s = 0; s < AIOS__N_GROUPS * AIOS__N_FORMS; s++)
        CHECK_EQ(w->c->kv.pool[s / AIOS__N_FORMS][s % AIOS__N_FORMS].n_free,
                 w->c->kv.pool[s / AIOS__N_FORMS][s % AIOS__N_FORMS].n);
    printf(
        "%s: %llu operations: %llu fed, %llu passes, %llu cut, %llu forked, %llu removed, %llu saved (up to %llu bytes), %llu restored; %llu times no room\n",
        f->name, (unsigned long long)i, (unsigned long long)kinds[0], (unsigned long long)kinds[1],
        (unsigned long long)kinds[2], (unsigned long long)kinds[3], (unsigned long long)kinds[4],
        (unsigned long long)kinds[5], (unsigned long long)most, (unsigned long long)kinds[6],
        (unsigned long long)full);
    world_close(w);
    free(w);
    free(blob);
}

/* Saved sequences whose fields and pages lie, with a checksum that is right: refused, or taken
 * as sequences that can be worked with. */
static uint64_t blob_front(const aios_context *c, const aios__state_head *h) {
    aios__state x;
    x.head = *h;
    aios__state_place(c, &x);
    return x.pages;
}
static uint64_t blob_seal(const aios_context *c, uint8_t **p, uint64_t n,
                          const aios__state_head *h) { /* its length as it says */
    aios__state_head x = *h;
    int32_t g, f, t;
    if (x.n_spans <= 16 && x.n_tokens <= MAX_POS && x.n_done <= x.n_tokens && x.top <= MAX_POS &&
        !x.base_tiles) {
        uint64_t front = blob_front(c, &x), want = front;
        const uint8_t *map;
        if (front > n) {
            *p = (uint8_t *)realloc(*p, (size_t)front);
            memset(*p + n, 0, (size_t)(front - n));
            n = front;
        }
        map = *p + sizeof x + x.n_spans * 12 + x.n_tokens * 4 +
              aios__round_up(x.n_tokens - x.n_done, 8) + (c->kv.heavy ? x.top * 8 : 0);
        for (g = 0; g < AIOS__N_GROUPS; g++)
            for (f = 0; f < AIOS__N_FORMS; f++)
                for (t = 0; aios__state_form(&c->kv, g, f) && t < (int32_t)x.top; t++)
                    want += *map++ == 1 ? c->kv.pool[g][f].bytes : 0;
        *p = (uint8_t *)realloc(*p, (size_t)want);
        if (want > n) memset(*p + n, 0, (size_t)(want - n));
        n = want;
    }
    x.n_bytes = n;
    x.sum = 0;
    memcpy(*p, &x, sizeof x);
    x.sum = aios__art_sum(AIOS__ART_SEED, *p, n);
    memcpy(*p, &x, sizeof x);
    return n;
}
static int blob_pass(world *w) {
    aios_context *c = w->c;
    if (!aios__waiting(c) || aios__spill_prepare(c, 0, NULL)) return 1;
    aios__pass_gather(c);
    if (c->kv.n_seals > c->kv.n_jobs || c->kv.n_copies > c->kv.n_seq * AIOS__N_GROUPS) {
        printf("  %s: %d seals in the room of %d\n", w->name, c->kv.n_seals, c->kv.n_jobs);
        return 0;
    }
    if (!c->pass.n) return 1;
    c->running = 1;
    if (rnd(w, 6))
        aios__pass_finish(c);
    else
        aios__pass_drop(c);
    return 1;
}
static void states_that_lie_are_refused_or_can_be_worked_with(const config *f, int32_t n_blobs) {
    CASE("%s", f->name);
    world *w = (world *)malloc(sizeof *w);
    int32_t i, j, s, n, ids[600], taken = 0;
    uint64_t bytes;
    uint8_t *p;
    aios_context *c;
    aios__state_head h;
    if (!CHECK(world_open(w, f))) {
        free(w);
        return;
    }
    c = w->c;
    for (i = 0; i < 600; i++) ids[i] = i % N_VOCAB;
    for (i = 0; i < n_blobs; i++) {
        int ok = 1;
        for (s = 0; s < f->n_seq; s++)
            if (s < 2 || rnd(w, 2)) aios_seq_truncate(c, s, 0, NULL);
        n = 1 + (int32_t)rnd(w, 599);
        if (aios_feed(c, 0, ids, (uint64_t)n, 0, NULL)) break;
        for (j = 0; j < 200 && aios__waiting(c); j++) ok &= blob_pass(w);
        if (rnd(w, 3) == 0) aios_seq_remove(c, 0, n / 4, n / 2, NULL);
        if (aios_seq_save(c, 0, -1, NULL, 0, &bytes, NULL)) continue;
        p = (uint8_t *)malloc((size_t)bytes);
        ok &= aios_seq_save(c, 0, -1, p, bytes, &bytes, NULL) == 0;
        memcpy(&h, p, sizeof h);
        for (j = (int32_t)rnd(w, 4); j >= 0; j--) {
            uint32_t *const head[] = { &h.n_tokens, &h.n_done, &h.n_spans, &h.top,
                                       &h.tile,     &h.aged,   &h.aged,    &h.base_tiles };
            uint64_t front = h.n_spans <= 16 && h.n_tokens <= 600 && h.n_done <= h.n_tokens &&
                                     h.top <= 64 && !h.base_tiles
                                 ? blob_front(c, &h)
                                 : 0,
                     at;
            uint32_t *x = head[rnd(w, 8)];
            int32_t v = (int32_t)rnd(w, 700);
            switch (rnd(w, 4)) {
            case 0:
                *x = rnd(w, 3) ? *x + rnd(w, 5) - 2 : rnd(w, 2) ? 0 : (uint32_t)test_rand(&w->rng);
                break;
            case 1:
                at = sizeof h + rnd(w, 3) * 4;
                memcpy(p + at, &v, 4);
                break; /* a span */
            case 2:
                if (front && front <= bytes && h.top)
                    for (v = 0; v < 4; v++) p[front - 1 - rnd(w, h.top * 6)] ^= 1;
                break; /* the map of pages */
            default:
                if (front && front <= bytes)
                    p[sizeof h + rnd(w, (uint32_t)(front - sizeof h))] = (uint8_t)rnd(w, 3);
                break;
            }
        }
        bytes = blob_seal(c, &p, bytes, &h);
        ok &= whole(w);
        taken += aios_seq_restore(c, 1, -1, p, bytes, NULL) == 0;
        free(p);
        ok &= whole(w);
        for (j = 0; j < 12 && ok; j++) {
            s = 1 + (int32_t)rnd(w, (uint32_t)f->n_seq - 1);
            n = aios_seq_length(c, 1);
            switch (rnd(w, 6)) {
            case 0: aios_seq_fork(c, s, 1, (int32_t)rnd(w, (uint32_t)n + 1), NULL); break;
            case 1: aios_seq_truncate(c, 1, (int32_t)rnd(w, (uint32_t)n + 1), NULL); break;
            case 2:
                if (n > 2)
                    aios_seq_remove(c, 1, (int32_t)rnd(w, (uint32_t)n / 2),
                                    n / 2 + (int32_t)rnd(w, (uint32_t)n / 2), NULL);
                break;
            default: aios_feed(c, s, ids, 1 + rnd(w, 150), 0, NULL); break;
            }
            for (n = (int32_t)rnd(w, 8); n > 0; n--) ok &= blob_pass(w);
            ok &= whole(w);
        }
        if (!CHECK_AT(ok, "%s: blob %d", f->name, i)) break;
    }
    for (s = 0; s < f->n_seq; s++) aios_seq_truncate(c, s, 0, NULL);
    CHECK(whole(w));
    CHECK_EQ(w->attic.wrong, 0);
    printf("%-20s %d blobs that lie, %d taken\n", f->name, n_blobs, taken);
    world_close(w);
    free(w);
}

/* What comes back from the host minds the deadline: with time that is up, one page in each step. */
static void bringing_back_minds_the_deadline(void) {
    static const config f = { "bring back", "llama", 3, 900, 64, AIOSK_KV_F16, 0, 0, 0, 0,
                              1000,         0,       1, 1,   0 };
    hand_clock clock = { 1000, 0, NULL, 0 };
    world *w = (world *)malloc(sizeof *w);
    int32_t i, ids[900], kept, n;
    if (!CHECK(world_open(w, &f))) {
        free(w);
        return;
    }
    w->c->exec.now_ns = hand_now;
    w->c->exec.now_user = &clock;
    for (i = 0; i < 900; i++) ids[i] = i;
    for (i = 0; i < 2; i++) { /* the second takes the room of the first */
        CHECK_EQ(aios_feed(w->c, i, ids, 640, 0, NULL), 0);
        for (n = 0; n < 100 && aios__waiting(w->c); n++) {
            CHECK_EQ(aios__spill_prepare(w->c, 0, NULL), 0);
            aios__pass_gather(w->c);
            aios__pass_finish(w->c);
        }
        CHECK(!aios__waiting(w->c));
    }
    kept = w->attic.n_kept;
    CHECK(kept > 2);
    CHECK_EQ(aios_seq_truncate(w->c, 1, 0, NULL), 0);
    CHECK_EQ(aios_feed(w->c, 0, ids, 1, 0, NULL), 0);
    for (n = 0; n < 100 && aios__spill_prepare(w->c, 1, NULL) == AIOS_MORE; n++) {
        CHECK_EQ(w->attic.n_kept, kept - 1);
        kept = w->attic.n_kept;
    }
    CHECK(n > 0);
    CHECK_EQ(w->c->kv.seq[0].n_spilled, 0);
    CHECK_EQ(w->attic.n_kept, 0);
    CHECK_EQ(w->attic.wrong, 0);
    /* ahead of its use, at the cost of those that are idle longer */
    CHECK_EQ(aios__spill_prepare(w->c, 0, NULL), 0);
    aios__pass_gather(w->c);
    aios__pass_finish(w->c);
    CHECK_EQ(aios_feed(w->c, 1, ids, 640, 0, NULL), 0);
    for (n = 0; n < 100 && aios__waiting(w->c); n++) {
        CHECK_EQ(aios__spill_prepare(w->c, 0, NULL), 0);
        aios__pass_gather(w->c);
        aios__pass_finish(w->c);
    }
    kept = w->attic.n_kept;
    CHECK(kept > 2);
    CHECK_EQ(w->c->kv.seq[0].n_spilled, kept);
    for (n = 0; n < 100 && aios_seq_fetch(w->c, 0, 1, NULL) == AIOS_MORE; n++) {}
    CHECK(n > 1);
    CHECK_EQ(aios_seq_fetch(w->c, 0, 0, NULL), AIOS_OK);
    CHECK_EQ(w->c->kv.seq[0].n_spilled, 0);
    CHECK(w->c->kv.seq[1].n_spilled > 0);
    CHECK_EQ(w->attic.wrong, 0);
    CHECK_EQ(aios_seq_pin(w->c, 0, 1, NULL), 0);
    CHECK_EQ(aios_seq_fetch(w->c, 1, 0, NULL), AIOS_ERR_FULL);
    CHECK(w->c->kv.seq[1].n_spilled > 0);
    CHECK_EQ(aios_seq_fetch(w->c, 3, 0, NULL), AIOS_ERR_ARG);
    CHECK_EQ(aios_seq_fetch(w->c, 2, 0, NULL), AIOS_OK);
    for (i = 0; i < 3; i++) CHECK_EQ(aios_seq_truncate(w->c, i, 0, NULL), 0);
    CHECK_EQ(w->attic.n_kept, 0);
    world_close(w);
    free(w);
}

/* More sequences wait than a pass has places, and the first two are fed again after each: the
 * others have their turn all the same. */
static void all_that_wait_have_their_turn(void) {
    static const config f = {
        "turns", "llama", 5, 300, 2, AIOSK_KV_F16, 0, 0, 0, 0, 0, 0, 1, 0, 0
    };
    world *w = (world *)malloc(sizeof *w);
    aios_error err;
    int32_t s, i, id = 1;
    if (!CHECK(w && world_open(w, &f))) {
        free(w);
        return;
    }
    for (s = 0; s < 5; s++) CHECK_EQ(aios_feed(w->c, s, &id, 1, 0, &err), 0);
    for (i = 0; i < 4; i++) {
        CHECK(one_pass(w, &f));
        for (s = 0; s < 2; s++)
            if (w->c->seq[s].n_done == w->c->seq[s].n_fed)
                CHECK_EQ(aios_feed(w->c, s, &id, 1, 0, &err), 0);
    }
    for (s = 0; s < 5; s++) CHECK(w->c->seq[s].n_done > 0);
    world_close(w);
    free(w);
}

/* ---- taking tokens out, on a real model ---- */
/* Logits after ids [n], of which [from, to) are taken out before the last one is fed. */
static int logits_after(aios_model *m, int32_t type, const int32_t *ids, int32_t n, int32_t from,
                        int32_t to, float *out) {
    aios_plan_desc pd;
    aios_plan p;
    aios_context_desc cd;
    aios_context *c = NULL;
    aios_error err;
    int ok;
    aios_plan_desc_init(&pd);
    pd.n_ctx = 512;
    pd.kv_type = type;
    aios_plan_init(&p);
    aios_context_desc_init(&cd);
    ok = aios_plan_make(m, &pd, &p, &err) == 0 && aios_context_open(m, &p, &cd, &c, &err) == 0 &&
         aios_feed(c, 0, ids, (uint64_t)n - 1, 0, &err) == 0 && aios_step(c, 0, &err) == 0 &&
         aios_seq_remove(c, 0, from, to, &err) == 0 &&
         aios_seq_length(c, 0) == n - 1 - (to - from) &&
         aios_feed(c, 0, ids + n - 1, 1, 0, &err) == 0 && aios_step(c, 0, &err) == 0;
    if (ok)
        memcpy(out, aios_logits(c, 0), (size_t)m->hp.n_vocab * 4);
    else
        printf("  %s\n", err.text);
    aios_context_free(c);
    return ok;
}
static double distance(const float *a, const float *b, int32_t n) {
    double d = 0, s = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        d += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        s += (double)b[i] * (double)b[i];
    }
    return d / s;
}
/* With one layer, keys and values of a token depend on the token alone, and on its position
 * through rope: what is left after tokens were taken out must give what a sequence gives that
 * never had them. */
static void what_is_left_is_as_if_the_rest_had_never_been(void) {
    static const int32_t types[] = { AIOSK_KV_F32, AIOSK_KV_F16, AIOSK_KV_I8, AIOSK_KV_C4 };
    books mem = { 0 };
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc md;
    aios_model *m = NULL;
    aios_error err;
    uint64_t rng = 9;
    int32_t ids[260], rest[260], i, k, from, to;
    float *x, *y, *z;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.path = "models/tale.gguf";
    if (!CHECK_AT(aios_model_open(&md, &m, &err) == 0, "%s", err.text)) return;
    m->hp.n_layer = 1;
    CHECK(aios__graph_draw(m, &err) == 0);
    x = (float *)malloc((size_t)m->hp.n_vocab * 12);
    y = x + m->hp.n_vocab;
    z = y + m->hp.n_vocab;
    for (i = 0; i < 260; i++) ids[i] = (int32_t)(test_rand(&rng) % (uint64_t)m->hp.n_vocab);
    for (i = 0; i < 3; i++) {
        from = i == 0 ? 0 : i == 1 ? 30 : 70;
        to = i == 0 ? 100 : i == 1 ? 45 : 200;
        memcpy(rest, ids, (size_t)from * 4);
        memcpy(rest + from, ids + to, (size_t)(260 - to) * 4);
        for (k = 0; k < 4; k++) {
            /* coded tiles have other borders in the two: their noise is that of the type */
            double noise, d;
            if (!CHECK(logits_after(m, AIOSK_KV_F32, rest, 260 - (to - from), 0, 0, y) &&
                       logits_after(m, types[k], rest, 260 - (to - from), 0, 0, x)))
                continue;
            noise = distance(x, y, m->hp.n_vocab);
            if (!CHECK(logits_after(m, types[k], ids, 260, from, to, x) &&
                       logits_after(m, AIOSK_KV_F32, ids, 260, 0, 0, z)))
                continue;
            d = distance(x, y, m->hp.n_vocab);
            CHECK_AT(d <= 10 * noise + 1e-12 && distance(z, y, m->hp.n_vocab) > 1e-5,
                     "tokens %d to %d out, cache %d: %.3g, noise %.3g; with them %.3g", (int)from,
                     (int)to, (int)types[k], d, noise, distance(z, y, m->hp.n_vocab));
        }
    }
    free(x);
    aios_model_free(m);
    CHECK_EQ(mem.n_held, 0);
}

int main(int argc, char **argv) {
    int quick = test_begin(argc, argv); /* under an emulator, or sanitizers */
    /*  name                   arch      seq  ctx  batch type old recent window sinks positions model_window layers */
    /* clang-format off */
    static const config configs[] = {
        { "plain", "llama", 5, 900, 64, AIOSK_KV_F16, 0, 0, 0, 0, 0, 0, 2, 0, 0 },
        { "short of pages", "llama", 6, 900, 200, AIOSK_KV_F16, 0, 0, 0, 0, 2000, 0, 1, 0, 0 },
        { "a model's window", "gemma2", 4, 1500, 50, AIOSK_KV_F16, 0, 0, 0, 0, 0, 300, 3, 0, 0 },
        { "sliding", "llama", 4, 2000, 33, AIOSK_KV_F16, 0, 0, 500, 4, 0, 0, 1, 0, 0 },
        { "no sinks", "llama", 3, 1300, 40, AIOSK_KV_F16, 0, 0, 300, -1, 0, 0, 1, 0, 0 },
        { "coded", "llama", 5, 900, 150, AIOSK_KV_C4, 0, 0, 0, 0, 0, 0, 2, 0, 0 },
        { "coded, window", "gemma2", 4, 1500, 50, AIOSK_KV_I8, 0, 0, 0, 0, 0, 300, 3, 0, 0 },
        { "coded, sliding", "llama", 4, 2000, 33, AIOSK_KV_C5, 0, 0, 500, 4, 0, 0, 1, 0, 0 },
        { "small passes", "llama", 3, 1100, 20, AIOSK_KV_I8, AIOSK_KV_C3, 64, 0, 0, 0, 0, 1, 0, 0 },
        { "old ones cheaper", "llama", 4, 1500, 170, AIOSK_KV_I8, AIOSK_KV_C3, 200, 0, 0, 0, 0, 2,
          0, 0 },
        { "spilled", "llama", 6, 1100, 64, AIOSK_KV_F16, 0, 0, 0, 0, 2000, 0, 2, 1, 0 },
        { "coded, spilled", "gemma2", 6, 1100, 64, AIOSK_KV_C4, AIOSK_KV_C3, 128, 0, 0, 2000, 160,
          3, 1, 0 },
        { "heavy ones stay", "llama", 5, 2000, 150, AIOSK_KV_C4, 0, 0, 300, 4, 0, 0, 2, 0, 256 },
        { "one by one", "gemma2", 2, 1100, 1, AIOSK_KV_C4, AIOSK_KV_C3, 100, 300, 1, 0, 130, 2, 0,
          0 },
        { "all of it", "gemma2", 5, 2000, 100, AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4), AIOSK_KV_C3, 130,
          700, 64, 3000, 200, 3, 0, 0 },
    };
    /* clang-format on */
    size_t i;
    for (i = 0; i < sizeof configs / sizeof *configs; i++)
        TEST(any_order_of_operations_finds_the_right_pages)(&configs[i], quick ? 4000 : 30000);
    for (i = 0; i < sizeof configs / sizeof *configs; i++)
        TEST(states_that_lie_are_refused_or_can_be_worked_with)(&configs[i], quick ? 100 : 300);
    TEST(bringing_back_minds_the_deadline)();
    TEST(all_that_wait_have_their_turn)();
    TEST(what_is_left_is_as_if_the_rest_had_never_been)();
    return test_end();
}
