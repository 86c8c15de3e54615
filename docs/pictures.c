/* pictures.c: the pictures of ARCHITECTURE.md that hold numbers, drawn from the code: of the model
 * in models/ and a plan for it. `make pictures` puts them between their markers; check.sh
 * compares. A picture begins with a line "picture NAME".
 *
 *     build/pictures [models/tale.gguf]
 *
 * What differs between machines (instruction sets, sizes of structs) is not printed. */
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#define AIOS_DEFAULT_ALLOC
#include "aios.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYER = 1, N_BATCH = 64, N_CTX = 512, MAX_HELD = 256 };

static aios_error err;
static const char *const forms[AIOSK_N_ACTS] = { "f32", "A32", "A256" };
static const char *const ages[AIOS__N_FORMS] = { "open", "sealed", "old" };

static void need(aios_status st) {
    if (st >= 0) return;
    fprintf(stderr, "pictures: %s\n", err.text);
    exit(1);
}
static void plan_make(const aios_model *m, aios_plan *p) {
    aios_plan_desc d;
    aios_plan_desc_init(&d);
    aios_plan_init(p);
    d.n_ctx = N_CTX;
    d.n_batch = N_BATCH;
    d.n_threads = 2;
    need(aios_plan_make(m, &d, p, &err));
}
/* Four tenths of feed-forward are streamed, in small units. */
static void plan_stream(const aios_model *m, aios_plan *p) {
    p->stream_level = AIOS__LEVEL * 4 / 10;
    p->unit_bytes = 36864;
    p->n_slots = 4;
    if (!aios__plan_sizes(m, p, aiosk_select(AIOSK_ISA_SCALAR))) exit(1);
}
static void print_range(uint64_t from, uint64_t n) {
    printf("%5llu .. %-5llu", (unsigned long long)from, (unsigned long long)(from + n - 1));
}

/* ---- bytes of a weight ---- */
/* Where byte `at` of row r's block is in a panel of one block: it is packed with that byte alone. */
static int panel_at(int32_t type, uint64_t n_in, uint64_t block, int r, uint64_t at) {
    static unsigned char rows[16 * 512], panel[16 * 512];
    memset(rows, 0, sizeof rows);
    rows[(uint64_t)r * block + at] = 1;
    aiosk_pack_panel(type, rows, 16, n_in, panel);
    for (int i = 0; i < (int)(16 * block); i++)
        if (panel[i]) return i;
    return -1;
}
static void picture_weight(const aios_model *m) {
    const aios__tensor *t = &m->gguf.tensor[m->layer[LAYER][AIOS__ROLE_FFN_UP].w];
    const aiosk_type *type = aiosk_type_info((int32_t)t->type);
    const int32_t id = (int32_t)t->type;
    const unsigned n = type->n_bytes, blocks = (unsigned)(t->n[0] / type->n_weights);
    printf("picture weight\n");
    printf("%.*s, %s: %llu rows of %llu weights; %u weights are a block of %u bytes\n\n",
           (int)t->name.n, t->name.p, type->name, (unsigned long long)t->n[1],
           (unsigned long long)t->n[0], type->n_weights, n);
    printf("file    row 0     block 0 | block 1 | ... | block %u       %llu bytes\n", blocks - 1,
           (unsigned long long)t->row_bytes);
    printf("        row 1     block 0 | block 1 | ... | block %u\n", blocks - 1);
    printf("        ...\n");
    printf("        row %-4llu  block 0 | block 1 | ... | block %u       %llu bytes in all\n\n",
           (unsigned long long)(t->n[1] - 1), blocks - 1, (unsigned long long)t->n_bytes);
    printf("memory  panel 0   block 0 of rows 0 .. 15 | block 1 of rows 0 .. 15 | ... | block %u"
           "       %llu bytes\n",
           blocks - 1, (unsigned long long)aiosk_layout_bytes(id, AIOSK_PANELS, 16, t->n[0]));
    printf("        panel 1   block 0 of rows 16 .. 31 | ...\n");
    printf("        ...\n");
    printf("        panel %-3llu                                              "
           "             %llu bytes in all\n\n",
           (unsigned long long)(t->n[1] / 16 - 1),
           (unsigned long long)aiosk_layout_bytes(id, AIOSK_PANELS, t->n[1], t->n[0]));
    printf("block 0 of 16 rows, %u bytes: a lane is a row\n", 16 * n);
    for (unsigned at = 0; at < n;) {
        int p = panel_at(id, type->n_weights, n, 0, at);
        int step = panel_at(id, type->n_weights, n, 1, at) - p;
        printf("   ");
        print_range((uint64_t)p, (uint64_t)(16 * step));
        printf("  bytes %2u .. %-2u of row 0, of row 1, ... of row 15\n", at,
               at + (unsigned)step - 1);
        at += (unsigned)step;
    }
}

/* ---- phases, and what lives in scratch memory ---- */
/* A value is named after the nodes that write it first. */
static void value_name(const aios__graph *g, int32_t v, char *name, size_t cap) {
    size_t n = 0;
    name[0] = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < AIOS__MAX_OUT; k++) {
            const int32_t o = g->node[i].out[k];
            if (o < 0 || (o != v && g->value[o].base != v)) continue;
            if (n && g->node[i].kind != AIOS__NODE_MATRIX) return;
            n += (size_t)snprintf(name + n, cap - n, "%s%s%s", n ? "+" : "", g->node[i].name,
                                  k ? ".state" : "");
            if (o == v) return;
        }
}
typedef struct held {
    int32_t value, form, buffer, from, to; /* phases */
} held;
typedef struct lives {
    held at[MAX_HELD];
    int n, open[AIOS__MAX_BUFFERS];
    uint64_t bytes[AIOS__MAX_BUFFERS], work;
    int32_t n_buffers, first, last; /* phases of the layer */
} lives;
static void lives_look(lives *x, const aios__emitter *e, int32_t phase) {
    for (int32_t i = 0; i < e->n_buffers; i++) {
        const aios__buffer *b = &e->buffer[i];
        held *h = x->open[i] >= 0 ? &x->at[x->open[i]] : NULL;
        if (h && (h->value != b->value || h->form != b->form)) {
            h->to = phase - 1;
            x->open[i] = -1;
            h = NULL;
        }
        if (!h && b->value >= 0 && x->n < MAX_HELD) {
            x->open[i] = x->n;
            x->at[x->n].value = b->value;
            x->at[x->n].form = b->form;
            x->at[x->n].buffer = i;
            x->at[x->n].from = phase;
            x->at[x->n].to = INT32_MAX;
            x->n++;
        }
    }
}
/* The walk of program.c, node by node, while counting. */
static void walk_start(aios__emitter *e, const aios_model *m, const aios_plan *p) {
    static aios__program prog;
    static aios__moe moe;
    memset(&prog, 0, sizeof prog);
    memset(&moe, 0, sizeof moe);
    aios__emitter_start(e, m, p, aiosk_select(AIOSK_ISA_SCALAR), &prog, &moe);
    e->first_node = e->last_table = -1;
}
static int32_t walk_on(aios__emitter *e, uint32_t node) { /* the phase that it ends in */
    static void (*const emit[])(aios__emitter *, const aios__node *) = {
#define X(N, n) aios__emit_##n,
        AIOS__NODES(X)
#undef X
    };
    emit[e->g->node[node].kind](e, &e->g->node[node]);
    return (int32_t)e->p->n_phases - 1;
}
static void lives_of(const aios_model *m, const aios_plan *p, lives *x) {
    static aios__emitter e;
    walk_start(&e, m, p);
    memset(x, 0, sizeof *x);
    for (int i = 0; i < AIOS__MAX_BUFFERS; i++) x->open[i] = -1;
    x->first = -1;
    for (uint32_t i = 0; i < e.g->n_nodes; i++) {
        const int32_t phase = walk_on(&e, i);
        lives_look(x, &e, phase);
        if (e.g->node[i].layer != LAYER) continue;
        if (x->first < 0) x->first = phase;
        x->last = phase;
    }
    x->n_buffers = e.n_buffers;
    x->work = aios__round_up(e.p->work_bytes, 64);
    for (int i = 0; i < e.n_buffers; i++) x->bytes[i] = e.buffer[i].bytes;
}
static void picture_scratch(const aios_model *m, const aios_plan *p) {
    static lives x;
    uint64_t sum = 0;
    lives_of(m, p, &x);
    printf("picture scratch\n");
    printf("value          form  bytes of a token  buffer   phase");
    for (int32_t i = x.first; i <= x.last; i++) printf(" %2d", (int)i);
    printf("\n");
    for (int i = 0; i < x.n; i++) {
        const held *h = &x.at[i];
        const aios__value *v = &m->graph.value[h->value];
        char name[64];
        if (h->from > x.last || h->to < x.first) continue;
        value_name(&m->graph, h->value, name, sizeof name);
        if (v->rows != AIOS__OF_TOKENS && v->rows != AIOS__OF_OUTPUTS) continue;
        printf("%-14s %-4s  %16llu  %6d        ", h->value == m->graph.node[1].out[0] ? "x" : name,
               forms[h->form], (unsigned long long)aios__row_stride(v->width, h->form),
               (int)h->buffer);
        for (int32_t k = x.first; k <= x.last; k++)
            printf("%s", k < h->from || k > h->to ? "  ." : "  #");
        printf("\n");
    }
    printf("\nbuffers, bytes for %d tokens:", (int)p->n_batch);
    for (int32_t i = 0; i < x.n_buffers; i++) {
        printf("%s %d: %llu", i ? "," : "", (int)i, (unsigned long long)x.bytes[i]);
        sum += x.bytes[i];
    }
    printf("; together %llu\n", (unsigned long long)sum);
}
/* What the ops of a layer take of tokens, by phase: tasks of the last pass. */
static int32_t tasks_of(aios_context *c, const aios__op *o) {
    c->exec.run.round = 0;
    return o->kind->tasks(o, &c->exec.run);
}
static void picture_phases(aios_context *c) {
    static int32_t id[N_BATCH + 1];
    static int32_t many[1024];
    const aios__program *p = &c->prog;
    int32_t phase = -1;
    for (int i = 0; i <= N_BATCH; i++) id[i] = 'a';
    need(aios_feed(c, 0, id, N_BATCH, 0, &err));
    need(aios_step(c, 0, &err));
    for (uint32_t i = 0; i < p->n_ops && i < 1024; i++) many[i] = tasks_of(c, &p->op[i]);
    need(aios_feed(c, 0, id, 1, 0, &err));
    need(aios_step(c, 0, &err));
    printf("picture phases\n");
    printf("phase  op            reads of weights   tasks of %d tokens   of one\n", N_BATCH);
    for (uint32_t i = 0; i < p->n_ops && i < 1024; i++) {
        const aios__op *o = &p->op[i];
        if (o->layer != LAYER) continue;
        if (o->phase != phase)
            printf("%5d  ", (int)o->phase);
        else
            printf("       ");
        phase = o->phase;
        printf("%-12s %17llu %20d %8d\n", o->name, (unsigned long long)o->w_bytes, (int)many[i],
               (int)tasks_of(c, o));
    }
}

/* ---- the cache ---- */
static void cache_row(const aios_model *m, const aios_plan *plan, const char *name, int32_t type,
                      int32_t old) {
    aios_plan p = *plan;
    aios__kv kv;
    p.kv_type = type;
    p.kv_old_type = old;
    p.kv_recent = old ? 128 : 0;
    if (!aios__kv_size(&kv, m, &p)) return;
    printf("%-20s", name);
    for (int f = 0; f < AIOS__N_FORMS; f++) {
        const aios__pages *x = &kv.pool[0][f];
        if (!x->n)
            printf("%24s", "");
        else
            printf("%7llu %7llu %3d     ",
                   (unsigned long long)aios__tile_bytes(m, 0, aios__kv_type(&p, 0, f)),
                   (unsigned long long)x->bytes, (int)x->n);
    }
    printf("%8llu\n", (unsigned long long)kv.bytes);
}
static void picture_cache(const aios_model *m, const aios_plan *plan) {
    const int32_t kv44 = AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C4),
                  kv33 = AIOSK_KV(AIOSK_KV_C3, AIOSK_KV_C3);
    aios_plan p = *plan;
    aios__kv kv;
    printf("picture cache\n");
    printf("a page: %d layers x %d key/value heads x 1 tile of %d cells; context %d: %d tiles\n\n",
           (int)m->hp.n_layer, (int)m->hp.layer[0].n_head_kv, (int)AIOSK_TILE, (int)p.n_ctx,
           (int)aios__tiles(p.n_ctx));
    printf("                    open                    sealed                  old\n");
    printf("type                   tile    page   n        tile    page   n        tile    page   n"
           "       in all\n");
    cache_row(m, plan, "f16", AIOSK_KV_F16, 0);
    cache_row(m, plan, "kv44", kv44, 0);
    cache_row(m, plan, "kv44, old kv33", kv44, kv33);
    p.kv_type = kv44;
    p.kv_old_type = kv33;
    p.kv_recent = 128;
    if (!aios__kv_size(&kv, m, &p)) return;
    printf("\ntile                 ");
    for (int t = 0; t < kv.seq_tiles; t++) printf("%8d", t);
    for (int own = 1; own < kv.seq_tiles; own += 3) {
        printf("\nseen from tile %-6d", own);
        for (int t = 0; t <= own; t++) printf("%8s", ages[aios__kv_rule(&kv, own, t)]);
    }
    printf("\n");
}

/* ---- the ring ---- */
static void picture_ring(const aios_model *m, const aios_plan *p) {
    static aios__emitter e;
    uint64_t use = 0;
    walk_start(&e, m, p);
    printf("picture ring\n");
    printf(
        "%llu bytes of weights are HOT; a pass reads %u units, through %u slots of %llu bytes\n\n",
        (unsigned long long)p->tier_bytes[AIOS_TIER_HOT], p->n_units, p->n_slots,
        (unsigned long long)p->slot_bytes);
    printf("use   slot   phase   round   rows\n");
    for (uint32_t i = 0; i < m->graph.n_nodes && use < p->n_units; i++) {
        const aios__node *n = &m->graph.node[i];
        const int32_t phase = walk_on(&e, i);
        uint64_t off[2] = { 0, 0 };
        const aios__tensor *t;
        uint32_t row, rows, per, round = 0;
        if (n->kind != AIOS__NODE_MATRIX) continue;
        t = &m->gguf.tensor[n->w.w];
        rows = (uint32_t)t->n[1];
        per = aios__unit_rows(t, e.cut.unit_bytes);
        row = aios__place_of(m, &e.cut, (uint32_t)n->w.w, off).rows;
        for (; row < rows; row += per, use++, round++)
            printf("%3llu   %4llu   %5d   %5u   %u .. %u of %.*s\n", (unsigned long long)use,
                   (unsigned long long)(use % p->n_slots), (int)phase, round, row,
                   (row + per < rows ? row + per : rows) - 1, (int)t->name.n, t->name.p);
    }
    printf("%3llu   %4llu   the first unit again, for the next pass\n", (unsigned long long)use,
           (unsigned long long)(use % p->n_slots));
}

/* ---- a block of each kind ---- */
static void block_row(const char *kind, const char *tier, uint64_t all, uint64_t streams,
                      const char *what) {
    printf("%-8s %-6s", kind, tier);
    if (all || streams)
        printf(" %12llu %12llu  ", (unsigned long long)all, (unsigned long long)streams);
    else
        printf("%28s", "");
    printf("%s\n", what);
}
static void picture_blocks(const aios_model *m, const aios_plan *p, const aios_plan *streams) {
    static lives x;
    aios__kv kv;
    uint64_t sum = 0;
    char text[128];
    if (!aios__kv_size(&kv, m, p)) return;
    lives_of(m, p, &x);
    for (int32_t i = 0; i < x.n_buffers; i++) sum += x.bytes[i];
    printf("picture blocks\n");
    printf("                all resident   with a ring\n");
    block_row("WEIGHTS", "HOT", p->tier_bytes[AIOS_TIER_HOT], streams->tier_bytes[AIOS_TIER_HOT],
              "resident rows, in the order of the file: panels, tables, vectors");
    block_row("WEIGHTS", "WARM", p->tier_bytes[AIOS_TIER_WARM], streams->tier_bytes[AIOS_TIER_WARM],
              "the same of what shrinks first; none here");
    block_row("WEIGHTS", "STREAM", p->tier_bytes[AIOS_TIER_STREAM],
              streams->tier_bytes[AIOS_TIER_STREAM],
              "slots: of the ring, of experts, of rows of tables");
    block_row("META", "", 0, 0, "context, ops, page tables, tokens, stacks of threads");
    snprintf(text, sizeof text, "buffers %llu, then the work of %d threads, %llu each",
             (unsigned long long)sum, (int)p->n_threads, (unsigned long long)x.work);
    block_row("SCRATCH", "", p->request_bytes[AIOS_MEM_SCRATCH],
              streams->request_bytes[AIOS_MEM_SCRATCH], text);
    snprintf(text, sizeof text, "%d %s pages of %llu", (int)kv.pool[0][0].n, ages[0],
             (unsigned long long)kv.pool[0][0].bytes);
    block_row("KV", "", p->request_bytes[AIOS_MEM_KV], streams->request_bytes[AIOS_MEM_KV], text);
}

int main(int argc, char **argv) {
    aios_model_desc md;
    aios_context_desc cd;
    aios_plan plan, streams;
    aios_model *m;
    aios_context *c;
    aios_model_desc_init(&md);
    md.path = argc > 1 ? argv[1] : "models/tale.gguf";
    need(aios_model_open(&md, &m, &err));
    plan_make(m, &plan);
    streams = plan;
    plan_stream(m, &streams);
    picture_weight(m);
    aios_context_desc_init(&cd);
    need(aios_context_open(m, &plan, &cd, &c, &err));
    picture_phases(c);
    picture_scratch(m, &plan);
    picture_cache(m, &plan);
    picture_ring(m, &streams);
    picture_blocks(m, &plan, &streams);
    aios_context_free(c);
    aios_model_free(m);
    return 0;
}
