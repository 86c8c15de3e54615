/* bench_kernels.c: every matrix kernel (type x layout x columns) and every attention kernel by itself, as GMAC/s and as share
 * of its bound, the smaller of what memory can deliver and what the instructions can multiply, measured in the same run.
 *
 *     bench_kernels [-T q4_0,q8_0] [-c 1,8,256] [-l rows,panels] [-t THREADS] [-i avx2,avx512 | -i all] [-k COLUMNS_OF_W]
 *                   [-K f16,kv44] [-s SECONDS_PER_CASE] [-w matmul,attend] [-o CSV]
 *
 * Without options: the best instruction set, all types (-K: of the KV cache), one thread and all. Up to 8 columns the matrices come from memory, a
 * different one in every call; more columns, and one column under "cache", take a matrix that stays in the second-level cache.
 * A cell is GMAC/s and the share of the bound in percent:
 *     memory   min(read bandwidth * products per byte, int8 peak)        float types: f32 peak
 *     cache    min(L2 bandwidth * products per byte, int8 peak)
 * Only the public functions of the kernels are used. Cases of one type take turns, three times; the best call counts. */
#define _DEFAULT_SOURCE
#include "aios_kernels.h"
#include "bench.h"

enum { MAX_COLS = 16, ROUNDS = 3 };

static double seconds_per_case = 0.09;
static int n_all, k_wanted;
static pool mem;
static FILE *csv;
static const char *kv_types;

/* ---- weights ----------------------------------------------------------------------------------------------- */
static uint32_t rnd(void) {
    static uint64_t s = 88172645463325252u;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return (uint32_t)(s >> 16);
}

/* Random blocks with sane scales: infinities and subnormal floats would take another time than numbers do. */
static void fill_blocks(const aiosk_type *t, int type, uint8_t *p, size_t n_bytes) {
    float w[256];
    uint32_t i;
    for (; n_bytes; p += t->n_bytes, n_bytes -= t->n_bytes) {
        int large, small;
        do {
            for (i = 0; i < t->n_bytes; i++) p[i] = (uint8_t)rnd();
            aiosk_unpack(type, p, t->n_weights, w);
            for (large = 0, small = 1, i = 0; i < t->n_weights; i++) {
                const float x = w[i] < 0 ? -w[i] : w[i];
                large |= !(x < 0x1p+7f);            /* or no number */
                small &= x < 0x1p-7f;
            }
        } while (large || small);
    }
}

/* Fills the pool with matrices of n_rows rows; returns the bytes of one. One panel's worth of blocks is repeated: what lies at
 * an address does not matter to the memory. */
static size_t fill_pool(const aiosk_type *t, int type, int layout, int n_in, int n_rows) {
    const size_t row = (size_t)aiosk_row_bytes(type, (uint64_t)n_in), unit = row * 16, all = unit * (size_t)(n_rows / 16);
    const size_t n = mem.n / unit * unit;
    uint8_t *rows = (uint8_t *)b_alloc(unit);
    size_t i;
    fill_blocks(t, type, rows, unit);
    if (layout == AIOSK_PANELS) aiosk_pack_panel(type, rows, 16, (uint64_t)n_in, mem.p);
    else memcpy(mem.p, rows, unit);
    for (i = 0; i + unit <= mem.n_hot; i += unit) memcpy(mem.hot + i, mem.p, unit);
    for (i = unit; i < n; i += unit) memcpy(mem.p + i, mem.p, unit);
    mem.at = 0;
    free(rows);
    if (aiosk_layout_bytes(type, layout, (uint64_t)n_rows, (uint64_t)n_in) != all) b_die("unexpected size of", t->name);
    return all;
}

/* ---- matrices ---------------------------------------------------------------------------------------------- */
typedef struct mm_case {
    aiosk_matmul_fn fn;
    aiosk_matmul m;
    size_t bytes;               /* of a matrix */
    int n_parts;
    int cols, from_memory;
    double best;
} mm_case;

static void mm_part(void *arg, int call, int part) {
    const mm_case *c = (const mm_case *)arg;
    aiosk_matmul m = c->m;
    const int panels = m.row1 / 16;
    m.w = c->from_memory ? pool_step(&mem, call, c->bytes) : mem.hot;
    m.row0 = panels * part / c->n_parts * 16;
    m.row1 = panels * (part + 1) / c->n_parts * 16;
    if (m.row1 > m.row0) c->fn(&m);
}

static const char *const layout_names[] = {"rows", "panels"};

/* One type in one layout: one thread, then all. */
static void bench_type(const aiosk_isa *isa, int type, int layout, const int *cols, int n_cols, roofs *r) {
    const aiosk_type *t = aiosk_type_info(type);
    const int n_in = k_wanted ? k_wanted : t->family == AIOSK_FLT ? 1024 : 2048;
    const double per_byte = (double)t->n_weights / t->n_bytes;
    const size_t row = (size_t)aiosk_row_bytes(type, (uint64_t)n_in);
    const uint64_t xs = aiosk_act_bytes((int32_t)t->family, (uint64_t)n_in);
    mm_case cs[2 * B_MAX_LIST + 2];
    int n = 0, max_cols = 1, i, j, wide, rows_memory, rows_cache, rows_wide;
    uint8_t *x;
    float *xf, *y;
    if (!row) b_die("-k must be a whole number of blocks of", t->name);
    for (i = 0; i < n_cols; i++) if (cols[i] > max_cols) max_cols = cols[i];
    rows_cache = (int)(((size_t)512 << 10) / row + 63) / 64 * 64;   /* shared out in parts of at least 64 rows */
    rows_wide = (rows_cache + 64 * n_all - 1) / (64 * n_all) * 64 * n_all;
    rows_memory = (int)(((size_t)8 << 20) / row + 15) / 16 * 16;
    while ((size_t)rows_memory * row > mem.n / 2) rows_memory = (rows_memory / 32 + 1) * 16;
    x = (uint8_t *)b_alloc((size_t)xs * (size_t)max_cols);
    y = (float *)b_alloc(sizeof(float) * (size_t)(rows_memory > rows_wide ? rows_memory : rows_wide) * (size_t)max_cols);
    xf = (float *)b_alloc(sizeof(float) * (size_t)n_in);
    for (i = 0; i < max_cols; i++) {
        for (j = 0; j < n_in; j++) xf[j] = (float)(int32_t)rnd() * 0x1p-31f;
        isa->quantize[t->family](xf, n_in, x + (size_t)i * xs);
    }
    fill_pool(t, type, layout, n_in, rows_memory);
    for (i = 0; i < n_cols; i++) for (j = cols[i] > 8; j < (cols[i] == 1 ? 2 : 1 + (cols[i] > 8)); j++) {
        mm_case *c = &cs[n++];
        memset(c, 0, sizeof *c);
        c->fn = isa->matmul[type][layout];
        c->from_memory = !j;
        c->cols = cols[i];
        c->m.x = x;
        c->m.y = y;
        c->m.x_stride = xs;
        c->m.n_in = n_in;
        c->m.n_cols = cols[i];
    }
    for (wide = 0; wide < (n_all > 1 ? 2 : 1); wide++) {
        const int threads = wide ? n_all : 1;
        roofs_measure(r, &mem, isa->id, n_all, seconds_per_case);
        for (j = 0; j < n; j++) {
            mm_case *c = &cs[j];
            c->m.row1 = c->from_memory ? rows_memory : wide ? rows_wide : rows_cache;
            c->m.y_stride = (uint64_t)c->m.row1;
            c->bytes = row * (size_t)c->m.row1;
            if (c->bytes > mem.n_hot && !c->from_memory) b_die("-k is too large for", t->name);
            c->n_parts = !wide ? 1 : c->from_memory ? 8 * n_all : c->m.row1 / 64;
            c->best = 1e30;
        }
        for (i = 0; i < ROUNDS; i++) for (j = 0; j < n; j++) {
            double s;
            if (i && cs[j].best > seconds_per_case) continue;           /* slow: once is long enough to be steady */
            s = best_call(mm_part, &cs[j], cs[j].n_parts, threads, seconds_per_case / ROUNDS);
            if (s < cs[j].best) cs[j].best = s;
            if (cs[j].from_memory) pool_go(&mem, cs[j].bytes);
        }
        printf("%-8s %-6s %3d", t->name, layout_names[layout], threads);
        for (j = 0; j < n; j++) {
            const mm_case *c = &cs[j];
            const double macs = (double)c->m.row1 * n_in * c->cols / c->best, gb = (double)c->bytes / c->best;
            const double top = t->family == AIOSK_FLT ? r->f32[wide] : r->int8[wide];
            double bound = (c->from_memory ? r->read[wide] : r->l2[wide]) * per_byte * c->cols;
            if (top > 0 && top < bound) bound = top;
            if (j == 0) printf(" %6.1f", gb * 1e-9);
            if (top > 0 || c->from_memory) printf("  %6.1f %3.0f%%", macs * 1e-9, macs / bound * 100);
            else printf("  %6.1f    -", macs * 1e-9);
            csv_row(csv, "matmul", isa->name, t->name, layout_names[layout], threads, c->cols, c->from_memory ? "memory" : "cache",
                    per_byte * c->cols, gb, macs, 0, top > 0 || c->from_memory ? macs / bound : 0);
        }
        printf("\n");
        fflush(stdout);
    }
    free(x);
    free(y);
    free(xf);
}

static void matmul_table(const aiosk_isa *isa, const char *types, const char *layouts, const int *cols, int n_cols, roofs *r) {
    int i, l;
    printf("\n%s matrices, GMAC/s and share of the bound; GB/s of weights in the first case\n%-8s %-6s thr   GB/s", isa->name, "type", "layout");
    for (i = 0; i < n_cols; i++) {
        printf("  %4d %-6s", cols[i], cols[i] > 8 ? "cache" : "memory");
        if (cols[i] == 1) printf("  %4d %-6s", cols[i], "cache");
    }
    printf("\n");
    for (i = 0; i < AIOSK_N_TYPES; i++) for (l = 0; l < AIOSK_N_LAYOUTS; l++) {
        const aiosk_type *t = aiosk_type_info(i);
        if (!t || t->family == AIOSK_RAW || !b_in(types, t->name) || !b_in(layouts, layout_names[l])) continue;
        if (!isa->matmul[i][l] || !aiosk_layout_bytes(i, l, 16, 2048)) continue;
        bench_type(isa, i, l, cols, n_cols, r);
    }
}

/* ---- attention --------------------------------------------------------------------------------------------- */
enum { RUN = 16 };              /* tiles that one part goes through: 1024 positions */
typedef struct attend_shape { const char *name; int hd, n_q, from_memory; } attend_shape;
static const attend_shape attend_shapes[] = {
    {"decode hd64 x1", 64, 1, 1}, {"decode hd64 x4", 64, 4, 1}, {"decode hd64 x8", 64, 8, 1}, {"decode hd128", 128, 1, 1}, {"decode hd128 x4", 128, 4, 1},
    {"decode hd128 x8", 128, 8, 1}, {"prefill hd64", 64, 32, 0}, {"prefill hd128", 128, 32, 0}};
static const char *const kv_names[] = {"f32", "f16", "kv8", "kv84", "kv54", "kv44", "kv43", "kv33", "kv82"};
typedef struct attend_case {
    aiosk_attend_fn fn;
    aiosk_attend a;
    size_t tile, state;             /* bytes of a tile, of one part's m, l, o, scratch */
    uint8_t *states;
    int n_parts, from_memory;
    double best;
} attend_case;

static void attend_part(void *arg, int call, int part) {
    const attend_case *c = (const attend_case *)arg;
    aiosk_attend a = c->a;
    const uint8_t *tiles = c->from_memory ? pool_step(&mem, call * c->n_parts + part, c->tile * RUN) : mem.hot;
    int i;
    const void *run[2 * AIOSK_RUN];
    a.o = (float *)(void *)(c->states + (size_t)part * c->state);
    a.m = a.o + a.n_q * 128;
    a.l = a.m + 32;
    a.scratch = a.l + 32;
    a.n_tiles = AIOSK_RUN;
    for (i = 0; i < RUN; i++) run[i] = tiles + (size_t)i * c->tile;
    for (i = 0; i < RUN; i += AIOSK_RUN) {
        a.tile = run + i;
        a.next = i + AIOSK_RUN < RUN ? run + i + AIOSK_RUN : NULL;
        c->fn(&a);
    }
}

static void attend_table(const aiosk_isa *isa, roofs *r) {
    const int parts = 8 * n_all;
    static int32_t lo[32], hi[32];
    float *q = (float *)b_alloc(32 * 128 * 4), kv[128], d8[32];
    int8_t *q8 = (int8_t *)b_alloc(32 * 128);
    uint8_t *states, *open = (uint8_t *)b_alloc((size_t)aiosk_tile_bytes(AIOSK_KV_F32, 128, 128)), *room = (uint8_t *)b_alloc((size_t)AIOSK_CONVERT_SCRATCH(128));
    const size_t state = (32 * (128 + 2) * 4 + (size_t)AIOSK_ATTEND_SCRATCH(32, 128) + 63) / 64 * 64;
    int s, t, i, j, wide;
    states = (uint8_t *)b_alloc(state * (size_t)parts);
    for (i = 0; i < 32 * 128; i++) q[i] = (float)(int32_t)rnd() * 0x1p-31f;
    for (i = 0; i < 32; i++) hi[i] = AIOSK_TILE * AIOSK_RUN;
    printf("\n%s attention, tiles of 64 keys: GB/s of cache, GMAC/s, share of the bound (of the f32 peak; codes: int8)\n", isa->name);
    printf("%-16s %-4s %3s %9s %9s %6s\n", "queries", "kv", "thr", "GB/s", "GMAC/s", "share");
    for (s = 0; s < (int)(sizeof attend_shapes / sizeof attend_shapes[0]); s++) for (t = 0; t < (int)(sizeof kv_names / sizeof kv_names[0]); t++) {
        const attend_shape *sh = &attend_shapes[s];
        attend_case c;
        const int type = aiosk_kv_parse(kv_names[t]), plain = aiosk_kv_open(type);
        size_t at;
        if (!b_in(kv_types, kv_names[t])) continue;
        memset(&c, 0, sizeof c);
        c.fn = isa->attend;
        c.tile = (size_t)aiosk_tile_bytes(type, sh->hd, sh->hd);
        c.state = state;
        c.states = states;
        c.from_memory = sh->from_memory;
        for (i = 0; i < AIOSK_TILE; i++) {
            for (j = 0; j < sh->hd; j++) kv[j] = (float)(int32_t)rnd() * 0x1p-31f;
            isa->store[plain](open, i, kv, kv, sh->hd, sh->hd);
        }
        isa->kv_convert(plain, open, type, mem.p, sh->hd, sh->hd, room);
        for (at = 0; at < c.tile * RUN; at += c.tile) memcpy(mem.hot + at, mem.p, c.tile);
        for (at = c.tile; at + c.tile <= mem.n && sh->from_memory; at += c.tile) memcpy(mem.p + at, mem.p, c.tile);
        mem.at = 0;
        for (i = 0; i < sh->n_q; i++) isa->quantize_head(q + i * sh->hd, sh->hd, q8 + i * sh->hd, &d8[i], NULL);
        c.a.q = q; c.a.q8 = q8; c.a.q8_d = d8; c.a.low = lo; c.a.high = hi;
        c.a.scale = 0.125f; c.a.n_q = sh->n_q; c.a.hd_k = c.a.hd_v = c.a.q_stride = sh->hd; c.a.type = type;
        for (wide = 0; wide < (n_all > 1 ? 2 : 1); wide++) {
            const int threads = wide ? n_all : 1;
            double macs, gb, bound, top, per_byte;
            c.n_parts = wide ? parts : 4;
            c.best = 1e30;
            if (s == 0) roofs_measure(r, &mem, isa->id, n_all, seconds_per_case);
            for (i = 0; i < ROUNDS; i++) {
                double b = best_call(attend_part, &c, c.n_parts, threads, seconds_per_case / ROUNDS);
                if (b < c.best) c.best = b;
                b_calls *= c.n_parts;
                pool_go(&mem, c.tile * RUN);
            }
            macs = 2.0 * AIOSK_TILE * sh->hd * sh->n_q * RUN * c.n_parts / c.best;
            gb = (double)c.tile * RUN * c.n_parts / c.best;
            per_byte = macs / gb;
            bound = (sh->from_memory ? r->read[wide] : r->l2[wide]) * per_byte;
            top = type >= AIOSK_KV_I8 ? r->int8[wide] : r->f32[wide];
            if (top > 0 && top < bound) bound = top;
            printf("%-16s %-4s %3d %9.1f %9.1f %5.0f%%\n", sh->name, kv_names[t], threads, gb * 1e-9, macs * 1e-9,
                   top > 0 || sh->from_memory ? macs / bound * 100 : 0);
            csv_row(csv, "attend", isa->name, kv_names[t], sh->name, threads, sh->n_q, sh->from_memory ? "memory" : "cache", per_byte, gb, macs, 0,
                    top > 0 || sh->from_memory ? macs / bound : 0);
        }
        fflush(stdout);
    }
    free(q);
    free(q8);
    free(states);
    free(open);
    free(room);
}

/* ---- options ----------------------------------------------------------------------------------------------- */
int main(int argc, char **argv) {
    int cols[B_MAX_LIST], n_cols, c, i;
    const char *types = NULL, *layouts = NULL, *only = NULL, *what = NULL, *path = NULL, *list = "1,2,4,8,16,64,256";
    n_all = b_threads();
    while ((c = getopt(argc, argv, "T:K:c:l:t:i:k:s:w:o:")) != -1) switch (c) {
        case 'T': types = optarg; break;
        case 'K': kv_types = optarg; break;
        case 'c': list = optarg; break;
        case 'l': layouts = optarg; break;
        case 't': n_all = atoi(optarg); break;
        case 'i': only = optarg; break;
        case 'k': k_wanted = atoi(optarg); break;
        case 's': seconds_per_case = atof(optarg); break;
        case 'w': what = optarg; break;
        case 'o': path = optarg; break;
        default: fprintf(stderr, "usage: see the top of bench/bench_kernels.c\n"); return 2;
    }
    n_cols = b_list(list, cols);
    for (i = 0; i < n_cols; i++) if (cols[i] < 1 || cols[i] > 4096) b_die("not a number of columns:", list);
    if (n_all < 1 || n_all > B_MAX_THREADS) b_die("-t is a number of threads up to", "256");
    if (k_wanted < 0 || k_wanted % 256) b_die("-k must be a multiple of", "256");
    csv = csv_open(path);
    mem = pool_make(n_all);
    for (i = AIOSK_N_ISA - 1; i > 0; i--) {
        const aiosk_isa *t = aiosk_select(i);
        roofs r;
        if (!t || (only && strcmp(only, "best") ? strcmp(only, "all") && !b_in(only, t->name) : t != aiosk_select(AIOSK_ISA_BEST))) continue;
        memset(&r, 0, sizeof r);
        for (c = 0; c < 3; c++) roofs_measure(&r, &mem, i, n_all, 0.5);
        printf("%s: read %.1f GB/s with 1 thread, %.1f with %d; int8 peak %.0f and %.0f GMAC/s; f32 peak %.0f and %.0f\n", t->name, r.read[0] * 1e-9,
               r.read[1] * 1e-9, n_all, r.int8[0] * 1e-9, r.int8[1] * 1e-9, r.f32[0] * 1e-9, r.f32[1] * 1e-9);
        if (r.int8[1] < 0.6 * n_all * r.int8[0])
            printf("note: %d threads multiply only %.1f times as much as one: two to a core, or other work is running\n", n_all, r.int8[1] / r.int8[0]);
        if (b_in(what, "matmul")) matmul_table(t, types, layouts, cols, n_cols, &r);
        if (b_in(what, "attend")) attend_table(t, &r);
        csv_roofs(csv, t->name, &r, n_all);
        printf("\n");
    }
    if (csv) fclose(csv);
    free(mem.p);
    return 0;
}
