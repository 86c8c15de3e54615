/* plan.h: `aios plan`: where every byte of a model would live, as text, JSON or a picture. Included by aios.c, below its helpers
 * (die, make_plan, read_bandwidth). Loads nothing; of the file it reads the header and, when weights are to be streamed, some hundred
 * megabytes to see how fast they come.
 *
 * Read it from the bottom: plan() gathers a `planning`, and three functions show it. */
#ifndef PLAN_H
#define PLAN_H

/* ---- what is known ----------------------------------------------------------------------------------------- */
enum { EXPERT_GROUP, FFN_GROUP, ATTN_GROUP, OUTPUT_GROUP, EMBD_GROUP, VECTOR_GROUP, N_GROUPS };
static const char *const group_names[N_GROUPS] = { "experts", "feed-forward", "attention", "output", "embedding", "vectors" };
/* what becomes of the bytes in the file: copied into panels, copied row by row, used where they are mapped, read for every pass or, of
 * experts, when a token wants them */
enum { IN_FILE, PACKED, ROWS, MAPPED, STREAMED, PER_TOKEN, N_SUMS };
static const char *const sum_names[N_SUMS] = { "file", "packed", "rows", "mapped", "streamed", "per token" };

typedef struct placed {
    aios_tensor_info t;
    aios_tensor_place at;
    char name[192];                                             /* as it may be shown anywhere: three bytes for one that is no text */
    int32_t group, layer;                                       /* layer -1: of the whole model */
} placed;
typedef struct planning {
    session s;
    const options *o;
    aios_plan_desc d;
    aios_plan asked;                                            /* without --ram, --hot and --warm: what was given up is seen beside it */
    placed *t;
    uint32_t n, n_unused;
    uint64_t sum[N_GROUPS + 1][N_SUMS];                         /* the last row is that of all groups */
    uint64_t budget, in_all, least;                             /* with what the model holds already; budget 0 = none */
    uint64_t disk_bytes;                                        /* read to measure the storage; 0 = not measured */
    const char *disk_how;
} planning;

/* Text that JSON and XML take as it is, but for their own marks: valid UTF-8 without control characters; U+FFFD for the rest. */
static void clean(char *to, size_t cap, const char *from) {
    const unsigned char *p = (const unsigned char *)from;
    size_t n = 0;
    while (*p && n + 5 < cap) {
        int k = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : *p >= 0xE0 && *p < 0xF0 ? 3 : *p >= 0xF0 && *p < 0xF5 ? 4 : 0, i;
        int32_t c = k == 1 ? *p : k ? *p & (0x7F >> k) : 0;
        for (i = 1; i < k; i++) {
            if ((p[i] & 0xC0) != 0x80) { k = 0; break; }
            c = c << 6 | (p[i] & 0x3F);
        }
        if (c < 0x20 || c == 0x7F || (k == 3 && c < 0x800) || (k == 4 && c < 0x10000) || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) || (c & 0xFFFE) == 0xFFFE) k = 0;
        if (k) { memcpy(to + n, p, (size_t)k); n += (size_t)k; p += k; }
        else { memcpy(to + n, "\xEF\xBF\xBD", 3); n += 3; p++; }
    }
    to[n] = 0;
}
/* At most so many characters of clean text. */
static void shorten(char *to, size_t cap, const char *s, int n) {
    size_t k = 0;
    int i = 0;
    for (; *s && k + 8 < cap; s++) {
        if ((*s & 0xC0) != 0x80 && i++ == n) { strcpy(to + k, "..."); return; }
        to[k++] = *s;
    }
    while (*s && k && (to[--k] & 0xC0) == 0x80) {}              /* cut: not within a character */
    to[k] = 0;
}
static const char *count_text(char out[24], double n) {         /* "1.24 billion" */
    snprintf(out, 24, n >= 1e9 ? "%.2f billion" : n >= 1e6 ? "%.2f million" : "%.0f", n >= 1e9 ? n * 1e-9 : n >= 1e6 ? n * 1e-6 : n);
    return out;
}
static double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }
static const char *file_name(const options *o) {                /* without its folder */
    const char *p = o->model, *q;
    for (q = p; q && *q; q++) if (*q == '/' || *q == '\\') p = q + 1;
    return p ? p : "the model that is built in";
}

static int32_t group_of(const placed *t) {
    const char *name = t->t.name;
    int expert;                                                  /* blk.0.ffn_up.3.weight: early files have a tensor for each */
    if (t->t.n[1] * t->t.n[2] * t->t.n[3] == 1) return VECTOR_GROUP;
    if (t->layer >= 0 && (strstr(name, "_exps.") || sscanf(name, "blk.%*d.ffn_%*[a-z].%d.", &expert) == 1)) return EXPERT_GROUP;
    if (t->layer >= 0) return strstr(name, ".ffn_") ? FFN_GROUP : ATTN_GROUP;
    return !strncmp(name, "output", 6) ? OUTPUT_GROUP : EMBD_GROUP;
}
static void gather(planning *g) {
    uint32_t i, k;
    g->t = (placed *)xmalloc(g->s.info.n_tensors * sizeof *g->t);
    for (i = 0; i < g->s.info.n_tensors; i++) {
        placed *t = &g->t[g->n];
        uint64_t add[N_SUMS] = { 0 };
        char dot[] = ".", *end = dot;
        long layer;
        memset(t, 0, sizeof *t);
        aios_tensor_info_init(&t->t);
        aios_tensor_place_init(&t->at);
        if (aios_model_get_tensor(g->s.model, i, &t->t) != AIOS_OK || aios_plan_get_tensor(g->s.model, &g->s.plan, i, &t->at) != AIOS_OK) die("tensor %u has no place", i);
        if (!t->at.n_bytes && !t->at.stream_bytes) { g->n_unused++; continue; }
        clean(t->name, sizeof t->name, t->t.name);
        layer = strncmp(t->t.name, "blk.", 4) ? -1 : strtol(t->t.name + 4, &end, 10);
        t->layer = layer >= 0 && layer < g->s.info.n_layer && *end == '.' ? (int32_t)layer : -1;
        t->group = group_of(t);
        add[IN_FILE] = t->t.n_bytes;
        add[t->at.mapped ? MAPPED : t->at.layout == AIOSK_PANELS ? PACKED : ROWS] = t->at.n_bytes;
        add[STREAMED] = t->at.stream_bytes;
        add[PER_TOKEN] = t->at.token_bytes;
        for (k = 0; k < N_SUMS; k++) { g->sum[t->group][k] += add[k]; g->sum[N_GROUPS][k] += add[k]; }
        g->n++;
    }
}

/* ---- how fast the storage is ------------------------------------------------------------------------------- */
#if !defined(_WIN32) && !defined(__wasm__) && (defined(O_DIRECT) || defined(F_NOCACHE) || defined(POSIX_FADV_DONTNEED))
enum { DISK_MIB = 384, DISK_MS = 1500 };                         /* the most to read, and the longest to do so */
typedef struct disk_job { int fd, failed; uint64_t at, step, end, size, until, bytes; char *buf; } disk_job;
static void *disk_part(void *arg) {
    disk_job *j = (disk_job *)arg;
    for (; j->at < j->end && wall_ns() < j->until; j->at += j->step) {
        ssize_t k = pread(j->fd, j->buf, (size_t)j->size, (off_t)j->at);
        if (k > 0) j->bytes += (uint64_t)k;
        if (k < 0) j->failed = 1;
        if (k < 0 || (uint64_t)k < j->size) break;
    }
    return NULL;
}
/* Opens the model file so that what is read comes from the storage. */
static int disk_open(planning *g, int way) {
    int fd = -1, e = -1;
#ifdef O_DIRECT
    if (way == 0) { g->disk_how = "with O_DIRECT"; return open(g->o->model, O_RDONLY | O_DIRECT); }
#endif
    if (way == 0 || (fd = open(g->o->model, O_RDONLY)) < 0) return -1;
#if defined(F_NOCACHE)
    g->disk_how = "past the page cache";
    e = fcntl(fd, F_NOCACHE, 1);
#elif defined(POSIX_FADV_DONTNEED)
    g->disk_how = "after its pages were dropped";
    e = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
    if (e == 0) return fd;
    close(fd);
    return -1;
}
/* Bytes/s of the start of the file, read as the ring would be filled: in pieces of one slot, by as many threads. 0 = not to be had. */
static double disk_bandwidth(planning *g) {
    const aios_plan *p = &g->s.plan;
    disk_job job[64];
    int32_t n = p->n_readers < 1 ? 1 : p->n_readers > 64 ? 64 : p->n_readers, i;
    uint64_t slot = p->slot_bytes ? p->slot_bytes : p->expert_slot_bytes / 3 / 4096 * 4096;     /* an expert is three reads */
    uint64_t size = p->n_readers < 1 && slot > 256 * 1024 ? 256 * 1024 : slot, t, failed = 1;
    char *buf;
    int way, fd;
    if (!g->o->model || !size) return 0;
    buf = (char *)xmalloc((size_t)n * (size_t)size + 4096);
    t = 0;
    for (way = 0; way < 2 && failed; way++) {
        g->disk_bytes = failed = 0;
        if ((fd = disk_open(g, way)) < 0) { failed = 1; continue; }
        t = wall_ns();
        for (i = 0; i < n; i++) {
            job[i].fd = fd;
            job[i].failed = 0;
            job[i].at = (uint64_t)i * size; job[i].step = (uint64_t)n * size; job[i].end = (uint64_t)DISK_MIB << 20; job[i].size = size;
            job[i].until = t + (uint64_t)DISK_MS * 1000000;
            job[i].bytes = 0;
            job[i].buf = buf + (4096 - (uintptr_t)buf % 4096) + (size_t)i * (size_t)size;
        }
        on_threads(disk_part, job, sizeof *job, n);
        t = wall_ns() - t + 1;
        for (i = 0; i < n; i++) { g->disk_bytes += job[i].bytes; failed |= (uint64_t)job[i].failed; }
        close(fd);
    }
    free(buf);
    return failed ? 0 : (double)g->disk_bytes * 1e9 / (double)t;
}
#else
static double disk_bandwidth(planning *g) { (void)g; return 0; }
#endif

/* ---- words ------------------------------------------------------------------------------------------------- */
static const char *const rung_names[] = { "batch", "kv_type", "ctx", "in_place", "stream", "experts", "rows" };
enum { N_RUNGS = sizeof rung_names / sizeof *rung_names };
static const char *const bound_names[] = { "unknown", "memory", "storage" };

static double tok_s_memory(const planning *g) {
    uint64_t n = g->s.plan.token_weight_bytes + g->s.plan.token_kv_bytes;
    return g->d.read_bandwidth && n ? (double)g->d.read_bandwidth / (double)n : 0;
}
static double tok_s_storage(const planning *g) {
    const aios_plan *p = &g->s.plan;
    uint64_t n = p->token_stream_bytes - (p->n_expert_slots ? p->token_expert_bytes / p->n_experts * p->n_expert_slots : 0);
    return g->d.stream_bandwidth && n ? (double)g->d.stream_bandwidth / (double)n : 0;
}
static double tok_s_bound(const planning *g) {                  /* finer than the plan's own figure, for what takes seconds */
    return g->s.plan.bound == AIOS_BOUND_STORAGE ? tok_s_storage(g) : g->s.plan.bound == AIOS_BOUND_MEMORY ? tok_s_memory(g) : 0;
}
/* A speed in few digits. */
static const char *speed_text(char out[24], double x) {
    snprintf(out, 24, "%.*f", x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 4, x);
    return out;
}
/* Of tables that are read by the row: what is on storage. An embedding that is the output too is read whole. */
static uint64_t tables_streamed(const planning *g) {
    uint64_t sum = 0;
    uint32_t i;
    for (i = 0; i < g->n; i++) if (g->t[i].group == EMBD_GROUP && g->t[i].at.token_bytes < g->t[i].t.n_bytes) sum += g->t[i].at.stream_bytes;
    return sum;
}
/* What was given up, rung by rung; 0 = not this one. */
static int rung_text(const planning *g, int i, char *out, size_t cap) {
    const aios_plan *p = &g->s.plan, *a = &g->asked;
    char size[24], kv_text[2][8];
    uint64_t experts = g->sum[EXPERT_GROUP][STREAMED], tables = tables_streamed(g), others = g->sum[N_GROUPS][STREAMED] - experts - tables;
    if (!(p->rungs >> i & 1)) return 0;
    switch (1 << i) {
    case AIOS_RUNG_BATCH:    snprintf(out, cap, "at most %d token%s in a pass instead of %d: a slower prompt", p->n_batch, p->n_batch == 1 ? "" : "s", a->n_batch); break;
    case AIOS_RUNG_KV_TYPE:  snprintf(out, cap, "a cache of %s instead of %s: other rounding", aiosk_kv_name(p->kv_type, kv_text[0]), aiosk_kv_name(a->kv_type, kv_text[1])); break;
    case AIOS_RUNG_CTX:      snprintf(out, cap, "a context of %d instead of %d", p->n_ctx, a->n_ctx); break;
    case AIOS_RUNG_IN_PLACE: snprintf(out, cap, "%s of matrices are used where they are mapped, not packed", size_text(size, (double)g->sum[N_GROUPS][MAPPED])); break;
    case AIOS_RUNG_EXPERTS:  snprintf(out, cap, "%s of experts are read from storage when a token wants them, into a cache that holds %u of %u (%.1f %%)", size_text(size, (double)experts),
                                      p->n_expert_slots, p->n_experts, share((double)p->n_expert_slots, (double)p->n_experts)); break;
    case AIOS_RUNG_ROWS:     if (tables) snprintf(out, cap, "%s of tables are on storage: a row is read when a token wants it", size_text(size, (double)tables));
                             else snprintf(out, cap, "a row of the embedding is read from storage when a token wants it");
                             break;
    default:                 snprintf(out, cap, "%s of weights (%.1f %%) are read from storage for every pass", size_text(size, (double)others), share((double)others, (double)g->sum[N_GROUPS][IN_FILE]));
    }
    return 1;
}
static uint64_t cache_bytes(const aios_plan *p) { return p->n_expert_slots * p->expert_slot_bytes; }
/* The parts of the memory, in the order in which they are shown. */
typedef struct slice { const char *name, *what; uint64_t bytes; } slice;
enum { N_PARTS = 8 };
static void memory_parts(const planning *g, slice p[N_PARTS]) {
    const aios_plan *x = &g->s.plan;
    p[0].name = "hot";     p[0].what = "weights that always stay";           p[0].bytes = x->tier_bytes[AIOS_TIER_HOT];
    p[1].name = "warm";    p[1].what = "weights that stay while they can";   p[1].bytes = x->tier_bytes[AIOS_TIER_WARM];
    p[2].name = "stream";  p[2].what = "ring that streamed weights pass";    p[2].bytes = x->tier_bytes[AIOS_TIER_STREAM] - cache_bytes(x);
    p[3].name = "experts"; p[3].what = "cache of experts";                   p[3].bytes = cache_bytes(x);
    p[4].name = "kv";      p[4].what = "keys and values of the context";     p[4].bytes = x->request_bytes[AIOS_MEM_KV];
    p[5].name = "scratch"; p[5].what = "activations of a pass";              p[5].bytes = x->request_bytes[AIOS_MEM_SCRATCH];
    p[6].name = "meta";    p[6].what = "program, tables, threads";           p[6].bytes = x->request_bytes[AIOS_MEM_META];
    p[7].name = "header";  p[7].what = "names, vocabulary; held already";    p[7].bytes = x->held_bytes;
}
static aios_mem_req request_of(const aios_plan *p, uint32_t i) {
    aios_mem_req r;
    aios_mem_req_init(&r);
    if (aios_plan_request(p, i, &r) != AIOS_OK || r.kind >= AIOS_N_MEM || r.tier >= AIOS_N_TIER) die("request %u of the plan is not known", i);
    return r;
}
static const char *place_name(const placed *t) {
    return t->at.stream_bytes && t->at.n_bytes ? "split" : t->at.stream_bytes ? "stream" : t->at.mapped ? "mapped" : tier_names[t->at.tier % AIOS_N_TIER];
}
static const char *type_name(const placed *t) {
    const aiosk_type *k = aiosk_type_info((int32_t)t->t.type);
    return k ? k->name : "?";
}
static const char *const layout_names[] = { "rows", "panels" };

/* ---- text -------------------------------------------------------------------------------------------------- */
#define U(x) ((unsigned long long)(x))
static void text_row(const char *what, uint64_t bytes, const char *more) {
    char size[24];
    printf("  %-16s %15llu  %10s%s\n", what, U(bytes), bytes < 1024 ? "" : size_text(size, (double)bytes), more);
}
static void plan_text(const planning *g) {
    char kv_text[8];
    const aios_plan *p = &g->s.plan;
    const aios_model_info *m = &g->s.info;
    slice parts[N_PARTS];
    char line[256], name[512], size[24], size2[24];
    uint64_t whole = g->budget ? g->budget : g->in_all;
    uint32_t i, k;
    clean(name, sizeof name, g->o->model ? g->o->model : file_name(g->o));
    clean(line, sizeof line, m->arch ? m->arch : "?");
    printf("%s: %s, %s parameters, %s of tensors\n", name, line, count_text(size2, (double)m->n_params), size_text(size, (double)m->tensor_bytes));
    printf("context %d, cache %s, at most %d token%s in a pass, %d thread%s, %s, %s numbers, program of %u ops\n", p->n_ctx, aiosk_kv_name(p->kv_type, kv_text), p->n_batch, p->n_batch == 1 ? "" : "s", p->n_threads,
           p->n_threads == 1 ? "" : "s", aiosk_select(p->isa)->name, numerics_names[p->numerics], p->n_ops);

    printf("\nrequests                       bytes\n");
    for (i = 0; i < p->n_requests; i++) {
        aios_mem_req r = request_of(p, i);
        char what[32];
        snprintf(what, sizeof what, "%-8s %s", kind_names[r.kind], tier_names[r.tier]);
        snprintf(line, sizeof line, "  aligned to %llu%s%s", U(r.align), r.flags & AIOS_MEM_HUGE ? ", huge pages" : "", r.flags & AIOS_MEM_PIN ? ", pinned" : "");
        text_row(what, r.bytes, line);
    }
    text_row("total", p->total_bytes, "");
    text_row("held already", p->held_bytes, "  header and vocabulary");
    if (g->budget) snprintf(line, sizeof line, "  %.1f %% of the budget of %llu (%s)", share((double)g->in_all, (double)g->budget), U(g->budget), size_text(size, (double)g->budget));
    else snprintf(line, sizeof line, "  no budget was given");
    text_row("in all", g->in_all, line);
    text_row("least budget", g->least, g->o->may_kv && g->o->may_ctx ? "  would do" : "  would do with these options");
    for (i = k = 0; i < N_RUNGS; i++) if (rung_text(g, (int)i, line, sizeof line)) printf("%s  %s\n", k++ ? "" : "\ngiven up to fit\n", line);

    printf("\nmemory                         bytes\n");
    memory_parts(g, parts);
    for (i = 0; i < N_PARTS; i++) {
        double at = share((double)parts[i].bytes, (double)whole);
        if (!parts[i].bytes) continue;
        printf("  %-16s %15llu  %5.1f %%  ", parts[i].name, U(parts[i].bytes), at);
        for (k = 0; k < 30; k++) putchar((double)k * 100 / 30 < at ? '#' : '.');
        printf("  %s\n", parts[i].what);
    }
    if (g->budget) printf("  %-16s %15llu  %5.1f %%\n", "free", U(whole - g->in_all), share((double)(whole - g->in_all), (double)whole));

    printf("\n%-14s", "weights");
    for (k = 0; k < N_SUMS; k++) printf(" %14s", sum_names[k]);
    for (i = 0; i <= N_GROUPS; i++) {
        if (!g->sum[i][IN_FILE]) continue;
        printf("\n  %-12s", i < N_GROUPS ? group_names[i] : "all");
        for (k = 0; k < N_SUMS; k++) printf(" %14llu", U(g->sum[i][k]));
    }
    putchar('\n');
    if (g->n_unused) printf("  %u tensor%s of the file not used\n", g->n_unused, g->n_unused == 1 ? " is" : "s are");

    if (p->n_units) {
        printf("\nring\n  %u slot%s of %llu bytes (%s); %u reads for every pass, of up to %llu bytes\n", p->n_slots, p->n_slots == 1 ? "" : "s", U(p->slot_bytes),
               size_text(size, (double)p->slot_bytes), p->n_units, U(p->unit_bytes));
        if (p->n_readers) printf("  filled ahead of use by %d reading thread%s\n", p->n_readers, p->n_readers == 1 ? "" : "s");
        else printf("  filled when it is needed by a thread that computes\n");
        printf("  a prompt is read in passes of up to %d token%s: at least %s from storage for each of its tokens\n", p->n_batch, p->n_batch == 1 ? "" : "s", size_text(size, (double)p->token_stream_bytes / p->n_batch));
    }

    if (p->n_expert_slots) {
        printf("\nexperts\n  a cache of %u slots of %llu bytes (%s) for %u experts, of which a token wants %d in a layer; the least used make room\n", p->n_expert_slots, U(p->expert_slot_bytes),
               size_text(size, (double)p->expert_slot_bytes), p->n_experts, m->n_expert_used);
        if (p->n_readers) printf("  filled when they are wanted by %d reading thread%s\n", p->n_readers, p->n_readers == 1 ? "" : "s");
        else printf("  filled when they are wanted by a thread that computes\n");
        printf("  what is in the cache is not read: \"streamed\" below is of a token that finds none of its experts there;\n"
               "  the speed of the storage, of one that finds the share of them that the cache holds\n");
    }

    printf("\nread for each token            bytes\n");
    text_row("weights", p->token_weight_bytes, p->token_stream_bytes ? "  streamed ones included" : "");
    text_row("kv", p->token_kv_bytes, "  at the end of the context");
    text_row("kv, a position", p->token_kv_pos_bytes, "  of it for each position before");
    text_row("activations", p->token_act_bytes, "  which stay in the CPU's caches");
    text_row("streamed", p->token_stream_bytes, p->token_stream_bytes ? "  from storage" : "");

    printf("\nspeed\n");
    if (p->bound) {
        printf("  at most %s tokens/s ", speed_text(size, tok_s_bound(g)));
        if (tok_s_bound(g) < 1) printf("(%.1f s each) ", 1 / tok_s_bound(g));
        printf("at the end of the context: the bound is %s%s\n", bound_names[p->bound],
               p->bound == AIOS_BOUND_STORAGE ? ", unless the system's page cache holds what is streamed"
               : p->token_weight_bytes < g->d.l2_bytes + g->d.l3_bytes ? ", unless the processor's caches hold the weights" : "");
    }
    printf("  memory   %10s tokens/s at %.2f GB/s, %s\n", speed_text(size, tok_s_memory(g)), (double)g->d.read_bandwidth * 1e-9, g->o->read_gb_s > 0 ? "as given" : "measured just now with these threads");
    if (p->token_stream_bytes && g->d.stream_bandwidth) {
        printf("  storage  %10s tokens/s at %.2f GB/s, ", speed_text(size, tok_s_storage(g)), (double)g->d.stream_bandwidth * 1e-9);
        if (g->o->disk_gb_s > 0) printf("as given\n");
        else printf("measured just now: %s of the file %s\n", size_text(size2, (double)g->disk_bytes), g->disk_how);
    } else if (p->token_stream_bytes) printf("  storage     unknown: --disk-gb-s says it, and bounds the speed as well\n");
    if (!g->o->tensors) return;

    printf("\n%-38s %-8s %-7s %-7s %14s %14s %14s\n", "tensors", "type", "layout", "tier", "resident", "streamed", "per token");
    for (i = 0; i < g->n; i++) {
        const placed *t = &g->t[i];
        printf("  %-36s %-8s %-7s %-7s %14llu %14llu %14llu\n", t->name, type_name(t), layout_names[t->at.layout & 1], place_name(t), U(t->at.n_bytes),
               U(t->at.stream_bytes), U(t->at.token_bytes));
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */
static void json_speed(const char *key, double x) {             /* 0 = unknown */
    if (x > 0) printf("\"%s\": %.6g, ", key, x); else printf("\"%s\": null, ", key);
}
static void plan_json(const planning *g) {
    char kv_text[8];
    const aios_plan *p = &g->s.plan;
    char name[512];
    uint32_t i, k, n;
    clean(name, sizeof name, g->o->model ? g->o->model : "");
    printf("{\"model\": ");
    json_string(name);
    clean(name, sizeof name, g->s.info.arch ? g->s.info.arch : "");
    printf(", \"arch\": ");
    json_string(name);
    printf(", \"n_layer\": %d, \"n_ctx\": %d, \"n_batch\": %d, \"threads\": %d, \"readers\": %d, \"isa\": \"%s\", \"kv\": \"%s\", \"numerics\": \"%s\", \"ops\": %u,\n", g->s.info.n_layer,
           p->n_ctx, p->n_batch, p->n_threads, p->n_readers, aiosk_select(p->isa)->name, aiosk_kv_name(p->kv_type, kv_text), numerics_names[p->numerics], p->n_ops);
    printf("\"requests\": [");
    for (i = 0; i < p->n_requests; i++) {
        aios_mem_req r = request_of(p, i);
        printf("%s{\"kind\": \"%s\", \"tier\": \"%s\", \"bytes\": %llu, \"align\": %llu, \"flags\": [%s%s%s]}", i ? ", " : "", kind_names[r.kind], tier_names[r.tier], U(r.bytes), U(r.align),
               r.flags & AIOS_MEM_HUGE ? "\"huge\"" : "", (r.flags & AIOS_MEM_HUGE) && (r.flags & AIOS_MEM_PIN) ? ", " : "", r.flags & AIOS_MEM_PIN ? "\"pin\"" : "");
    }
    printf("],\n\"total_bytes\": %llu, \"held_bytes\": %llu, \"min_bytes\": %llu, \"min_budget_bytes\": %llu, \"budget_bytes\": ", U(p->total_bytes), U(p->held_bytes), U(p->min_bytes), U(g->least));
    if (g->budget) printf("%llu", U(g->budget)); else printf("null");
    printf(",\n\"tiers\": {\"hot\": %llu, \"warm\": %llu, \"stream\": %llu}, ", U(p->tier_bytes[0]), U(p->tier_bytes[1]), U(p->tier_bytes[2]));
    printf("\"ring\": {\"slots\": %u, \"slot_bytes\": %llu, \"unit_bytes\": %llu, \"units\": %u, \"readers\": %d},\n", p->n_slots, U(p->n_units ? p->slot_bytes : 0),
           U(p->n_units ? p->unit_bytes : 0), p->n_units, p->n_readers);
    printf("\"experts\": {\"slots\": %u, \"slot_bytes\": %llu, \"of\": %u, \"in_layer\": %d, \"used\": %d},\n", p->n_expert_slots, U(p->n_expert_slots ? p->expert_slot_bytes : 0), p->n_experts,
           g->s.info.n_expert, g->s.info.n_expert_used);
    printf("\"rows\": {\"slots\": %u, \"slot_bytes\": %llu, \"streamed\": %llu},\n", p->n_row_slots, U(p->n_row_slots ? p->row_slot_bytes : 0), U(tables_streamed(g)));
    printf("\"weights\": {");
    for (i = 0; i <= N_GROUPS; i++) {
        printf("%s\"%s\": {", i ? ", " : "", i < N_GROUPS ? group_names[i] : "all");
        for (k = 0; k < N_SUMS; k++) printf("%s\"%s\": %llu", k ? ", " : "", k == PER_TOKEN ? "token_bytes" : sum_names[k], U(g->sum[i][k]));
        printf("}");
    }
    printf("},\n\"bytes_per_token\": {\"weights\": %llu, \"kv\": %llu, \"activations\": %llu, \"streamed\": %llu, \"kv_per_position\": %llu},\n", U(p->token_weight_bytes), U(p->token_kv_bytes),
           U(p->token_act_bytes), U(p->token_stream_bytes), U(p->token_kv_pos_bytes));
    json_speed("read_gb_s", (double)g->d.read_bandwidth * 1e-9);
    json_speed("disk_gb_s", (double)g->d.stream_bandwidth * 1e-9);
    json_speed("tok_s_memory", tok_s_memory(g));
    json_speed("tok_s_storage", tok_s_storage(g));
    json_speed("tok_s_bound", tok_s_bound(g));
    printf("\"bound\": \"%s\", \"degraded\": [", bound_names[p->bound]);
    for (i = n = 0; i < N_RUNGS; i++) if (p->rungs >> i & 1) printf("%s\"%s\"", n++ ? ", " : "", rung_names[i]);
    printf("],\n\"tensors\": [");
    for (i = 0; i < g->n; i++) {
        const placed *t = &g->t[i];
        printf("%s\n{\"name\": ", i ? "," : "");
        json_string(t->name);
        printf(", \"type\": \"%s\", \"layout\": \"%s\", \"tier\": \"%s\", \"mapped\": %s, \"bytes\": %llu, \"resident_tier\": \"%s\", \"stream_bytes\": %llu, \"token_bytes\": %llu}", type_name(t),
               layout_names[t->at.layout & 1], tier_names[t->at.tier % AIOS_N_TIER], t->at.mapped ? "true" : "false", U(t->at.n_bytes), tier_names[t->at.resident_tier % AIOS_N_TIER],
               U(t->at.stream_bytes), U(t->at.token_bytes));
    }
    printf("]}\n");
}

/* ---- a picture --------------------------------------------------------------------------------------------- */
/* Plain SVG 1.1 with one style sheet: no scripts, no fonts, nothing fetched. Colours are told apart without red and green as well. */
static const char *const svg_style =
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;font-size:12px;fill:#1f2430}"
    ".paper{fill:#fff}.lane{fill:#eef0f4}.card{fill:#f6f7f9}.rule{stroke:#d4d8df;stroke-width:1}.mute{fill:#667085}.small{font-size:10.5px}"
    ".head{font-size:20px;font-weight:650}.big{font-size:20px;font-weight:600}.title{font-size:13px;font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".hot{fill:#d9572b}.warm{fill:#f0a830}.mapped{fill:#2a9d8f}.stream{fill:#3d7edb}.pale{fill:#cfe0f8}.line{stroke:#6f9fe3;stroke-width:1.6}"
    ".kv{fill:#9b6bce}.scratch{fill:#8793a6}.meta{fill:#5b6678}.header{fill:#b9c0cc}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ef}.paper{fill:#14171d}.lane{fill:#232833}.card{fill:#1b1f27}.rule{stroke:#363d4a}.mute{fill:#98a2b3}"
    ".hot{fill:#e8683c}.warm{fill:#f2b84b}.mapped{fill:#37b5a6}.stream{fill:#5b9bf0}.pale{fill:#1f2f49}.line{stroke:#4a7fca}"
    ".kv{fill:#b08ae0}.scratch{fill:#7f8b9e}.meta{fill:#aab4c3}.header{fill:#505a6b}}";
enum { SVG_LEFT = 32, SVG_WIDE = 936, SVG_RIGHT = SVG_LEFT + SVG_WIDE };

/* What is drawn, in memory: its height is known at the end. */
typedef struct sheet { char *p; size_t n, cap; } sheet;
PRINTF(2) static void draw(sheet *f, const char *fmt, ...) {
    va_list args;
    int n;
    do {
        if (f->cap - f->n < 1024 && !(f->p = (char *)realloc(f->p, f->cap = 2 * f->cap + 65536))) die("out of memory");
        va_start(args, fmt);
        n = vsnprintf(f->p + f->n, f->cap - f->n, fmt, args);
        va_end(args);
        if (n < 0 || n >= 1 << 20) die("the picture cannot be written");
        if ((size_t)n < f->cap - f->n) break;
        if (!(f->p = (char *)realloc(f->p, f->cap += (size_t)n + 1))) die("out of memory");
    } while (1);
    f->n += (size_t)n;
}
static void xml(sheet *f, const char *s) {
    for (; *s; s++) {
        if (*s == '<') draw(f, "&lt;"); else if (*s == '>') draw(f, "&gt;"); else if (*s == '&') draw(f, "&amp;"); else if (*s == '"') draw(f, "&quot;");
        else draw(f, "%c", *s);
    }
}
static void svg_text(sheet *f, double x, double y, const char *classes, const char *s) {
    draw(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, classes);
    xml(f, s);
    draw(f, "</text>\n");
}
static void svg_box(sheet *f, double x, double y, double w, double h, double r, const char *cls, const char *tip) {
    draw(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"", x, y, w, h);
    if (r > 0) draw(f, " rx=\"%.1f\"", r);
    if (strcmp(cls, "storage")) draw(f, " class=\"%s\"", cls); else draw(f, " fill=\"url(#storage)\"");
    if (tip) { draw(f, "><title>"); xml(f, tip); draw(f, "</title></rect>\n"); }
    else draw(f, "/>\n");
}
/* One bar to scale, its parts named below; returns where the next thing may begin. */
static double svg_band(sheet *f, double y, const char *title, const char *right, const slice *p, const char *const *cls, int n, double whole) {
    double x = SVG_LEFT, at = 0, chip = SVG_LEFT;
    int i;
    svg_text(f, SVG_LEFT, y + 12, "title", title);
    svg_text(f, SVG_RIGHT, y + 12, "mute end", right);
    svg_box(f, SVG_LEFT, y + 20, SVG_WIDE, 24, 3, "lane", NULL);
    for (i = 0; i < n; i++) {
        double w = whole > 0 ? (double)p[i].bytes / whole * SVG_WIDE : 0;
        char tip[160], size[24];
        if (!p[i].bytes) continue;
        x = SVG_LEFT + at;
        at += w;
        snprintf(tip, sizeof tip, "%s: %s", p[i].name, p[i].what);
        svg_box(f, x > SVG_RIGHT - 1 ? SVG_RIGHT - 1 : x, y + 20, w > 2.5 ? w - 1 : w > 1 ? w : 1, 24, w > 12 ? 2 : 0, cls[i], tip);
        snprintf(tip, sizeof tip, "%s  %s", p[i].name, size_text(size, (double)p[i].bytes));
        w = 28 + 6.8 * (double)strlen(tip);
        if (chip + w > SVG_RIGHT + 12) { chip = SVG_LEFT; y += 19; }
        svg_box(f, chip, y + 55, 10, 10, 2, cls[i], NULL);
        svg_text(f, chip + 16, y + 64, "mute", tip);
        chip += w;
    }
    return y + 84;
}
/* One figure with its name above and a remark below. */
static void svg_card(sheet *f, int i, double y, const char *name, const char *figure, const char *remark) {
    double x = SVG_LEFT + i * (SVG_WIDE + 12) / 4.0;
    svg_box(f, x, y, (SVG_WIDE + 12) / 4.0 - 12, 74, 6, "card", NULL);
    svg_text(f, x + 14, y + 20, "mute", name);
    svg_text(f, x + 14, y + 44, "big", figure);
    svg_text(f, x + 14, y + 63, "mute small", remark);
}

/* Matrices of the layers stand in columns, one for each name; what all layers have least of is as wide as the widest of them. */
typedef struct column { const placed *first; const char *name; uint64_t most; int32_t group; double x, w; } column;
enum { MAX_COLUMNS = 48, MAX_ROWS = 512 };
static const char *tail_of(const placed *t) {                   /* "attn_q.weight" */
    const char *dot = strchr(t->name + 4, '.');
    return dot ? dot + 1 : t->name;
}
static void short_name(char out[80], const char *tail) {        /* "q" */
    char *end;
    if (!strncmp(tail, "attn_", 5)) tail += 5; else if (!strncmp(tail, "ffn_", 4)) tail += 4;
    shorten(out, 80, tail, 16);
    if ((end = strstr(out, ".weight")) != NULL) *end = 0;
}
static const char *colour(const placed *t) { return t->at.mapped ? "mapped" : t->at.resident_tier == AIOS_TIER_WARM ? "warm" : "hot"; }
/* A tensor: what stays on the left, what is streamed on the right. */
static void svg_tensor(sheet *f, const placed *t, double x, double y, double w, double h) {
    double streams = t->t.n_bytes ? (double)t->at.stream_bytes / (double)t->t.n_bytes : 0, stays = w * (1 - streams);
    char tip[400], a[24], b[24];
    if (streams > 0 && t->at.n_bytes) snprintf(tip, sizeof tip, "%s (%s): %s stay, %s are streamed", t->name, type_name(t), size_text(a, (double)t->at.n_bytes), size_text(b, (double)t->at.stream_bytes));
    else snprintf(tip, sizeof tip, "%s (%s): %s, %s", t->name, type_name(t), size_text(a, (double)(t->at.n_bytes + t->at.stream_bytes)), streams > 0 ? "streamed" : place_name(t));
    if (streams > 0 && streams < 1) {                           /* both parts are to be seen */
        if (stays < 1) stays = w < 2 ? w / 2 : 1;
        if (w - stays < 1) stays = w < 2 ? w / 2 : w - 1;
    }
    if (stays > 0) svg_box(f, x, y, stays, h, 0, colour(t), tip);
    if (streams > 0) svg_box(f, x + stays, y, w - stays, h, 0, "storage", tip);
}
static double svg_map(const planning *g, sheet *f, double y) {
    column col[MAX_COLUMNS];
    const char *const key[] = { "hot", "warm", "mapped", "storage" }, *const key_name[] = { "stays, hot", "stays, warm", "used where it is mapped", g->s.plan.n_expert_slots ? "streamed: experts when a token wants them" : "streamed: read for every pass" };
    int seen[4] = { 0 };
    uint64_t row_bytes = 0, wide = 0;
    uint32_t i;
    int n_col = 0, c, k, n_rows = g->s.info.n_layer < MAX_ROWS ? g->s.info.n_layer : MAX_ROWS, step;
    double x = SVG_LEFT + 44, w, row, per, gap, label;
    for (i = 0; i < g->n; i++) {
        const placed *t = &g->t[i];
        if (t->group == VECTOR_GROUP) continue;
        seen[3] |= t->at.stream_bytes > 0;
        if (t->at.n_bytes) seen[t->at.mapped ? 2 : t->at.resident_tier == AIOS_TIER_WARM] = 1;
        if (t->layer < 0) { wide += t->t.n_bytes; continue; }
        for (c = 0; c < n_col && strcmp(col[c].name, tail_of(t)); c++) {}
        if (c == MAX_COLUMNS) continue;
        if (c == n_col) { n_col++; memset(&col[c], 0, sizeof col[c]); col[c].name = tail_of(t); col[c].group = t->group; }
        if (t->t.n_bytes > col[c].most) col[c].most = t->t.n_bytes;
    }
    for (c = 0; c < n_col; c++) row_bytes += col[c].most;
    if (!n_col || !row_bytes) return y;

    svg_text(f, SVG_LEFT, y + 12, "title", "Layer by layer");
    label = SVG_LEFT + 120;
    for (k = 0; k < 4; k++) if (seen[k]) {
        svg_box(f, label, y + 3, 10, 10, 2, key[k], NULL);
        svg_text(f, label + 16, y + 12, "mute", key_name[k]);
        label += 34 + 6.2 * (double)strlen(key_name[k]);
    }
    svg_text(f, SVG_RIGHT, y + 12, "mute small end", "areas to scale");
    y += 30;

    /* attention left, feed-forward right, a wider gap between; as wide as their bytes */
    w = SVG_RIGHT - x - 2.0 * n_col - 8;
    for (k = ATTN_GROUP; k >= EXPERT_GROUP; k--) {
        double from = x;
        for (c = 0; c < n_col; c++) if (col[c].group == k) {
            char name[80];
            col[c].x = x;
            col[c].w = (double)col[c].most / (double)row_bytes * w;
            if (col[c].w < 2) col[c].w = 2;
            short_name(name, col[c].name);
            if (6.0 * (double)strlen(name) <= col[c].w) svg_text(f, x + col[c].w / 2, y + 29, "mute small mid", name);
            x += col[c].w + 2;
        }
        if (x == from) continue;
        if (x - from > 70) svg_text(f, from, y + 11, "small", group_names[k]);
        draw(f, "<path d=\"M%.1f %.1fH%.1f\" class=\"rule\"/>\n", from, y + 16, x - 2);
        x += 8;
    }
    y += 36;

    row = 560 / (n_rows + (double)wide / (double)row_bytes);    /* a layer's height; the whole model's matrices have the same scale, in area */
    row = row > 24 ? 24 : row < 6 ? 6 : row;
    gap = row > 14 ? 3 : row > 9 ? 2 : 1;
    per = (double)row_bytes / (w * (row - gap));
    for (k = 0; k < 2; k++) {                                   /* embeddings above, output below */
        for (i = 0; i < g->n; i++) {
            const placed *t = &g->t[i];
            double h = (double)t->t.n_bytes / (per * (SVG_RIGHT - SVG_LEFT - 44)), most = 300;
            char name[200], cut_name[140];
            int tied = t->group == EMBD_GROUP && t->at.token_bytes >= t->t.n_bytes;
            if (t->layer >= 0 || t->group == VECTOR_GROUP || (t->group == OUTPUT_GROUP) != k) continue;
            if (h < 4) h = 4;
            shorten(cut_name, sizeof cut_name, t->name, 32);
            snprintf(name, sizeof name, "%s%s%s", cut_name, tied ? ", also the output" : "", h > most ? " (not to scale)" : "");
            if (h > most) h = most;
            if (k) y += h < 10 ? 12 : 6;
            svg_text(f, SVG_LEFT + 36, y + h / 2 + 4, "mute small end", k ? "out" : "in");
            svg_tensor(f, t, SVG_LEFT + 44, y, SVG_RIGHT - SVG_LEFT - 44, h);
            if (h >= 20) {
                svg_box(f, SVG_LEFT + 50, y + h / 2 - 8, 12 + 6.0 * (double)strlen(name), 16, 3, "paper", NULL);
                svg_text(f, SVG_LEFT + 56, y + h / 2 + 4, "small", name);
            }
            y += h + (k ? 0 : h < 10 ? 12 : 6);
        }
        if (k) break;
        step = row >= 9.5 ? 1 : n_rows > 100 ? 10 : n_rows < 12 ? 2 : 5;
        for (c = 0; c < n_rows; c++) if (c % step == 0 || c == n_rows - 1)
            if (c % step == 0 || c % step > step / 2) { char no[16]; snprintf(no, sizeof no, "%d", c); svg_text(f, SVG_LEFT + 36, y + c * row + (row - gap) / 2 + 4, "mute small end", no); }
        for (i = 0; i < g->n; i++) {
            const placed *t = &g->t[i];
            if (t->layer < 0 || t->layer >= n_rows || t->group == VECTOR_GROUP) continue;
            for (c = 0; c < n_col && strcmp(col[c].name, tail_of(t)); c++) {}
            if (c < n_col) svg_tensor(f, t, col[c].x, y + t->layer * row, col[c].w * (double)t->t.n_bytes / (double)col[c].most, row - gap);
        }
        y += n_rows * row;
        if (n_rows < g->s.info.n_layer) svg_text(f, SVG_LEFT + 44, y += 14, "mute small", "more layers follow");
    }
    return y + 20;
}
static void plan_svg(const planning *g) {
    char kv_text[8];
    static const char *const classes[N_PARTS + 1] = { "hot", "warm", "stream", "storage", "kv", "scratch", "meta", "header", "lane" };
    static const char *const fates[] = { "hot", "warm", "mapped", "storage", "kv" };
    const aios_plan *p = &g->s.plan;
    const uint64_t *all = g->sum[N_GROUPS];
    slice parts[N_PARTS + 1];
    char line[700], name[512], a[24], b[24];
    uint64_t in_tier[2] = { 0, 0 }, token_mapped = 0, token_streamed = 0, token_tier[2] = { 0, 0 }, token = p->token_weight_bytes + p->token_kv_bytes;
    double y = 186;
    uint32_t i;
    sheet drawn = { NULL, 0, 0 }, head = { NULL, 0, 0 }, *f = &drawn;
    FILE *out;
    int failed;
    for (i = 0; i < g->n; i++) {
        const placed *t = &g->t[i];
        uint64_t streams = t->group == EXPERT_GROUP && t->at.stream_bytes ? t->at.token_bytes : t->at.stream_bytes, stays = t->at.token_bytes < streams ? 0 : t->at.token_bytes - streams;
        int warm = t->at.resident_tier == AIOS_TIER_WARM;
        token_streamed += streams;
        if (t->at.mapped) token_mapped += stays; else { token_tier[warm] += stays; in_tier[warm] += t->at.n_bytes; }
    }

    clean(name, sizeof name, file_name(g->o));
    shorten(line, sizeof line, name, 66);
    svg_text(f, SVG_LEFT, 44, "head", line);
    snprintf(line, sizeof line, "%.30s, %s parameters, %d layers; context %d, cache %s, %d token%s in a pass, %d thread%s%s", g->s.info.arch ? g->s.info.arch : "?",
             count_text(a, (double)g->s.info.n_params), g->s.info.n_layer, p->n_ctx, aiosk_kv_name(p->kv_type, kv_text), p->n_batch, p->n_batch == 1 ? "" : "s", p->n_threads,
             p->n_threads == 1 ? "" : "s", g->budget ? "" : "; no budget");
    clean(name, sizeof name, line);
    svg_text(f, SVG_LEFT, 66, "mute", name);

    if (g->budget) snprintf(line, sizeof line, "of a budget of %s", size_text(b, (double)g->budget)); else snprintf(line, sizeof line, "no budget was given");
    svg_card(f, 0, 86, "takes", size_text(a, (double)g->in_all), line);
    svg_card(f, 1, 86, "the least that would do", size_text(a, (double)g->least), "with these options");
    if (p->token_stream_bytes) snprintf(line, sizeof line, "%s from storage", size_text(b, (double)p->token_stream_bytes)); else snprintf(line, sizeof line, "all from memory");
    svg_card(f, 2, 86, "reads for each token", size_text(a, (double)token), line);
    if (p->bound == AIOS_BOUND_STORAGE) snprintf(line, sizeof line, "bound by storage at %.2f GB/s", (double)g->d.stream_bandwidth * 1e-9);
    else snprintf(line, sizeof line, "bound by memory at %.2f GB/s%s", (double)g->d.read_bandwidth * 1e-9, p->token_stream_bytes && !g->d.stream_bandwidth ? "; storage unknown" : "");
    if (tok_s_bound(g) >= 1) snprintf(name, sizeof name, "%s tokens/s", speed_text(a, tok_s_bound(g)));
    else if (p->bound) snprintf(name, sizeof name, "%s s a token", speed_text(a, 1 / tok_s_bound(g)));
    else snprintf(name, sizeof name, "unknown");
    svg_card(f, 3, 86, tok_s_bound(g) >= 1 ? "at most" : "at least", name, line);
    for (i = 0; i < N_RUNGS; i++) if (rung_text(g, (int)i, line, sizeof line)) {
        if (y < 187) svg_text(f, SVG_LEFT, y, "mute", "given up to fit:");
        svg_text(f, SVG_LEFT + 96, y, "", line);
        y += 18;
    }
    if (y > 186) y += 8;

    memory_parts(g, parts);
    parts[N_PARTS].name = "free"; parts[N_PARTS].what = "left of the budget"; parts[N_PARTS].bytes = g->budget ? g->budget - g->in_all : 0;
    if (g->budget) snprintf(line, sizeof line, "%s of %s, %.1f %%", size_text(a, (double)g->in_all), size_text(b, (double)g->budget), share((double)g->in_all, (double)g->budget));
    else snprintf(line, sizeof line, "%s", size_text(a, (double)g->in_all));
    y = svg_band(f, y, "Memory", line, parts, classes, N_PARTS + 1, (double)(g->budget ? g->budget : g->in_all));

    parts[0].name = "hot";      parts[0].what = "weights that always stay";          parts[0].bytes = in_tier[0];
    parts[1].name = "warm";     parts[1].what = "weights that stay while they can";  parts[1].bytes = in_tier[1];
    parts[2].name = "mapped";   parts[2].what = "used where they are mapped";        parts[2].bytes = all[MAPPED];
    parts[3].name = "streamed"; parts[3].what = p->n_expert_slots ? "read from storage: experts when a token wants them" : "read from storage for every pass";  parts[3].bytes = all[STREAMED];
    if (p->n_units) {
        snprintf(line, sizeof line, "%s; ring of %u slot%s of %s, %u reads a pass, %d reading thread%s", size_text(a, (double)all[IN_FILE]), p->n_slots, p->n_slots == 1 ? "" : "s",
                 size_text(b, (double)p->slot_bytes), p->n_units, p->n_readers, p->n_readers == 1 ? "" : "s");
    } else if (p->n_expert_slots) snprintf(line, sizeof line, "%s; a cache of %u of %u experts, %s each, %d reading thread%s", size_text(a, (double)all[IN_FILE]), p->n_expert_slots, p->n_experts,
                                           size_text(b, (double)p->expert_slot_bytes), p->n_readers, p->n_readers == 1 ? "" : "s");
    else snprintf(line, sizeof line, "%s", size_text(a, (double)all[IN_FILE]));
    y = svg_band(f, y, "Weights", line, parts, fates, 4, (double)(in_tier[0] + in_tier[1] + all[MAPPED] + all[STREAMED]));

    parts[0].bytes = token_tier[0]; parts[1].bytes = token_tier[1]; parts[2].bytes = token_mapped; parts[3].bytes = token_streamed;
    parts[4].name = "kv"; parts[4].what = "keys and values, at the end of the context"; parts[4].bytes = p->token_kv_bytes;
    snprintf(line, sizeof line, "%s at the end of the context", size_text(a, (double)token));
    y = svg_band(f, y, "Read for each token", line, parts, fates, 5, (double)token);
    y = svg_map(g, f, y + 4) + 10;

    not_an_input(g->o->svg);
    if (!(out = fopen(g->o->svg, "wb"))) die("'%s': %s", g->o->svg, strerror(errno));
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 %.0f\" width=\"1000\" height=\"%.0f\" role=\"img\">\n<title>", y, y);
    clean(name, sizeof name, file_name(g->o));
    xml(&head, name);
    fprintf(out, "%s: where everything lives</title>\n<style>%s</style>\n", head.p, svg_style);
    free(head.p);
    fprintf(out, "<defs><pattern id=\"storage\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
                 "<rect width=\"5\" height=\"5\" class=\"pale\"/><path d=\"M1.1 0V5\" class=\"line\"/></pattern></defs>\n"
                 "<rect width=\"1000\" height=\"%.0f\" class=\"paper\"/>\n", y);
    fwrite(f->p, 1, f->n, out);
    fputs("</svg>\n", out);
    failed = ferror(out);
    free(f->p);
    if (fclose(out) != 0 || failed) { remove(g->o->svg); die("'%s' cannot be written", g->o->svg); }
}

/* ---- the command ------------------------------------------------------------------------------------------- */
static int plan(const options *o) {
    planning g;
    options all = *o;
    memset(&g, 0, sizeof g);
    g.o = o;
    open_model(&g.s, o, 0);
    all.ram = all.hot = all.warm = 0;
    aios_plan_desc_init(&g.d);
    make_plan(&g.s, &all, &g.d);
    g.asked = g.s.plan;
    aios_plan_desc_init(&g.d);
    make_plan(&g.s, o, &g.d);                                   /* is anything streamed? and a budget too small ends here, at once */
    g.d.read_bandwidth = (uint64_t)(o->read_gb_s > 0 ? o->read_gb_s * 1e9 : read_bandwidth(o->threads, 0));
    if (g.s.plan.token_stream_bytes) g.d.stream_bandwidth = (uint64_t)(o->disk_gb_s > 0 ? o->disk_gb_s * 1e9 : disk_bandwidth(&g));
    make_plan(&g.s, o, &g.d);
    g.budget = o->ram;
    g.in_all = g.s.plan.total_bytes + g.s.plan.held_bytes;
    g.least = g.s.plan.min_bytes + g.s.plan.held_bytes;
    gather(&g);
    if (o->svg) plan_svg(&g);
    if (o->json) plan_json(&g); else plan_text(&g);
    free(g.t);
    close_session(&g.s);
    return 0;
}
#undef U
#endif
