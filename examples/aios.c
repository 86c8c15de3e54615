/* aios.c: the `aios` command: run, look into, measure and check models. Uses the public interface of the library only.
 *
 *     cc -O2 -I. examples/aios.c -o aios -lm -lpthread            from the root of the repository (GCC, Clang)
 *     ./aios model.gguf -p "Once upon a time"                      the same as ./aios run -m model.gguf
 *     ./aios run -p "Once upon a time"                             without -m: the small model that is built in
 *
 * Read it from the bottom: a table of commands, above it a table of options, above that one function per command. Errors are
 * one line on stderr; exit status 1, or 2 for a command line that makes no sense; 130 when it was interrupted. */

#define _FILE_OFFSET_BITS 64
#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* with -std=c99: isatty, madvise, posix_memalign, sysconf; O_DIRECT */
#endif
#define AIOS_IMPLEMENTATION
#include "aios.h"
#include "readers.h"
#include "tale.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef __wasm__
#include <signal.h>
#endif
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <malloc.h>
#include <sys/stat.h>
#define isatty _isatty
#define fdopen _fdopen
#else
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#ifndef __wasm__
#include <pthread.h>
#include <sys/mman.h>
#define HAVE_PTHREADS 1
#define HAVE_MMAP 1
#endif
#endif

#include "dram.h"

#ifdef __GNUC__
#define PRINTF(i) __attribute__((format(printf, i, i + 1)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF(i)
#define NORETURN
#endif

enum { MAX_STOPS = 16 };
typedef struct options {
    const char *model, *artifact, *prompt, *file, *out, *output, *svg;
    const char *stops[MAX_STOPS];
    int32_t n_stops;
    const char *words[3];                           /* quantize: IN OUT TYPE */
    int32_t n_words;
    int32_t *tokens;                                /* --tokens, or the ids on the command line */
    int32_t n_tokens;
    int32_t n, runs, depth, threads, ctx, chunk, window, isa, kv, kv_old, kv_recent, kv_window, kv_sinks, kv_heavy, numerics, against, against_kv, special, json, hash, trace, bytes, reader;
    int32_t keep_batch, no_stream, may_kv, may_codes, may_ctx, in_place, pin, readers, tensors;    /* readers: -1 = the library's choice */
    int32_t greedy, quiet, no_echo, top_k;
    double temp, top_p, min_p, typical_p, top_n_sigma, xtc_probability, xtc_threshold, repeat, read_gb_s, disk_gb_s;   /* temp, top_p: -1 = not said */
    uint64_t seed, ram, hot, warm, deadline_us;
    uint8_t order[16];                              /* --samplers: AIOS_STAGE_* */
} options;

static const char *command_name = "aios";
static int quiet;

static uint64_t wall_ns(void) {
#ifdef _WIN32
    LARGE_INTEGER t, f;
    QueryPerformanceCounter(&t);
    QueryPerformanceFrequency(&f);
    return (uint64_t)((double)t.QuadPart / (double)f.QuadPart * 1e9);
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

/* ---- telling people ---------------------------------------------------------------------------------------- */
/* An escape sequence for a terminal that is to have colours, else nothing. */
static const char *style(int fd, const char *code) {
#ifdef _WIN32
    (void)fd;
    (void)code;
    return "";                                                  /* a console shows them only when it is asked to */
#else
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") ? code : "";
#endif
}
#define PLAIN "\033[0m"
#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define RED   "\033[31m"

/* What goes on for more than a second is shown with the time that is left, on a terminal. total 0: takes the bar away. */
static void bar(const char *what, uint64_t done, uint64_t total) {
    static uint64_t since, drawn;
    const uint64_t now = wall_ns();
    char cells[31];
    double part = total ? (double)done / (double)total : 0, left;
    int i;
    if (!total) {
        if (drawn) fprintf(stderr, "\r%70s\r", "");
        fflush(stderr);
        since = drawn = 0;
        return;
    }
    if (!since) since = now;
    if (quiet || !isatty(2) || now - since < 1000000000 || now - drawn < 100000000 || !done) return;
    drawn = now;
    for (i = 0; i < 30; i++) cells[i] = i < (int)(part * 30) ? '#' : '.';
    cells[30] = 0;
    left = (double)(now - since) * 1e-9 * (1 - part) / part;
    fprintf(stderr, "\r%-8s [%s] %3d%%  %.0f %s left   ", what, cells, (int)(part * 100), left < 100 ? left : left / 60, left < 100 ? "s" : "min");
    fflush(stderr);
}
static void complain(const char *fmt, va_list args) {
    bar("", 0, 0);
    fflush(stdout);
    fprintf(stderr, "%s%s:%s ", style(2, RED), command_name, style(2, PLAIN));
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}
NORETURN PRINTF(1) static void die(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    complain(fmt, args);
    va_end(args);
    exit(1);
}
NORETURN PRINTF(1) static void die_usage(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    complain(fmt, args);
    va_end(args);
    exit(2);
}
static void need(aios_status st, const aios_error *err) {
    if (st < 0) die("%s", err->text[0] ? err->text : aios_status_name(st));
}
static void json_string(const char *s) {
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') printf("\\%c", *s);
        else if ((unsigned char)*s < 32) printf("\\u%04x", (unsigned)(unsigned char)*s);
        else putchar(*s);
    }
    putchar('"');
}

/* For people: "1.24 GiB". Exact numbers stand beside it. */
static const char *size_text(char out[24], double bytes) {
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    int i = 0;
    while (bytes >= 1023.995 && i < 6) { bytes /= 1024; i++; }
    snprintf(out, 24, "%.*f %s", i == 0 || bytes >= 999.5 ? 0 : bytes >= 99.95 ? 1 : 2, bytes, units[i]);
    return out;
}

/* ---- memory: the C heap, counted by kind ------------------------------------------------------------------- */
static const char *const kind_names[AIOS_N_MEM] = { "weights", "kv", "scratch", "meta" };
static const char *const tier_names[AIOS_N_TIER] = { "hot", "warm", "stream" };
typedef struct heap { uint64_t held[AIOS_N_MEM], not_pinned; uint32_t granted; } heap;    /* granted: wishes of the newest request */

static void *heap_alloc(void *user, const aios_mem_req *r) {
    size_t align = r->align < 64 ? 64 : (size_t)r->align, n = (size_t)r->bytes;
    void *p = NULL;
    heap *h = (heap *)user;
    h->granted = 0;
#ifdef _WIN32
    p = _aligned_malloc(n, align);
    if (p && (r->flags & AIOS_MEM_PIN) && VirtualLock(p, n)) h->granted |= AIOS_MEM_PIN;
#else
    if ((r->flags & AIOS_MEM_HUGE) && n >= 1u << 22 && align < 1u << 21) align = 1u << 21;
    if (posix_memalign(&p, align, n) != 0) p = NULL;
#ifdef MADV_HUGEPAGE
    if (p && (r->flags & AIOS_MEM_HUGE) && madvise(p, n, MADV_HUGEPAGE) == 0) h->granted |= AIOS_MEM_HUGE;  /* fewer TLB misses */
#endif
#ifdef HAVE_MMAP
    if (p && (r->flags & AIOS_MEM_PIN) && mlock(p, n) == 0) h->granted |= AIOS_MEM_PIN;
#endif
#endif
    if (p && (r->flags & ~h->granted & AIOS_MEM_PIN)) h->not_pinned += r->bytes;
    if (p) h->held[r->kind] += r->bytes;
    return p;
}
static uint32_t heap_granted(void *user, void *p, const aios_mem_req *r) {
    (void)p;
    (void)r;
    return ((heap *)user)->granted;
}
static void heap_free(void *user, void *p, const aios_mem_req *r) {
#ifdef _WIN32
    if (r->flags & AIOS_MEM_PIN) VirtualUnlock(p, (size_t)r->bytes);
    _aligned_free(p);
#else
#ifdef HAVE_MMAP
    if (r->flags & AIOS_MEM_PIN) munlock(p, (size_t)r->bytes);
#endif
    free(p);
#endif
    ((heap *)user)->held[r->kind] -= r->bytes;
}
static void *xmalloc(size_t n) {
    void *p = malloc(n ? n : 1);
    if (!p) die("out of memory");
    return p;
}

/* ---- threads ----------------------------------------------------------------------------------------------- */
enum { MAX_THREADS = 256 };

/* Runs f on each of n jobs of `size` bytes: one per thread, the first on this one; in turn where there are no threads. */
static void on_threads(void *(*f)(void *job), void *jobs, size_t size, int32_t n) {
    char *job = (char *)jobs;
    int32_t i;
#ifdef HAVE_PTHREADS
    pthread_t id[MAX_THREADS];
    int started[MAX_THREADS];
    for (i = 1; i < n; i++) started[i] = pthread_create(&id[i], NULL, f, job + (size_t)i * size) == 0;
    f(job);
    for (i = 1; i < n; i++) if (started[i]) pthread_join(id[i], NULL); else f(job + (size_t)i * size);
#else
    for (i = 0; i < n; i++) f(job + (size_t)i * size);
#endif
}

/* ---- model, plan, context: the three steps of every use ---------------------------------------------------- */
/* --reader: NULL is the library's own */
static const struct { const char *name; int (*open)(reader *r, const char *path, aios_io *io); } readers[] = {
    { "own", NULL }, { "pread", reader_open_pread }, { "pread-drop", reader_open_pread_drop }, { "direct", reader_open_direct },
    { "uring", reader_open_uring }, { "mmap", reader_open_mmap } };

typedef struct session {
    heap mem;
    reader file, artifact;
    aios_model *model;
    aios_model_info info;
    aios_plan plan;
    aios_context *ctx;
} session;

/* The files that the command reads. */
static const char *inputs[8];
static int n_inputs;
static void is_input(const char *path) { if (path && n_inputs < 8) inputs[n_inputs++] = path; }
static void say_note(void *user, int32_t level, const char *text) {
    (void)user;
    if (quiet && !level) return;
    fprintf(stderr, "%s: %s: %s\n", command_name, level ? "warning" : "note", text);
}
static double hit_percent(const aios_counters *c) {             /* of experts that were wanted */
    uint64_t n = c->n_expert_hits + c->n_expert_misses;
    return n ? 100.0 * (double)c->n_expert_hits / (double)n : 0;
}
static aios_status try_model(session *s, const options *o, uint32_t flags, aios_error *err) {
    aios_model_desc d;
    aios_allocator a;
    aios_io io, art;
    memset(s, 0, sizeof *s);
    aios_allocator_init(&a);
    a.alloc = heap_alloc;
    a.free = heap_free;
    a.granted = heap_granted;
    a.user = &s->mem;
    aios_model_desc_init(&d);
    d.flags = flags;
    d.mem = &a;
    d.path = o->model;
    if (!o->hash && !o->json) d.log = say_note;                /* those are for programs */
    is_input(o->model);
    is_input(o->artifact);
    if (!o->model) {
        aios_io_memory(&io, tale_gguf, tale_gguf_bytes);
        d.io = &io;
    } else if (readers[o->reader].open || o->in_place) {
        const int rc = (o->in_place ? reader_open_mmap : readers[o->reader].open)(&s->file, o->model, &io);
        if (rc) die("'%s': --%s: %s", o->model, o->in_place ? "in-place" : readers[o->reader].name, strerror(-rc));
        d.io = &io;
    }
    /* mapped unless another way is asked for: then a start reads nothing of it, and processes share its pages */
    if (o->artifact && (readers[o->reader].open ? readers[o->reader].open : reader_open_mmap)(&s->artifact, o->artifact, &art) == 0) d.artifact = &art;
    else d.artifact_path = o->artifact;
    if (aios_model_open(&d, &s->model, err) == AIOS_OK) {
        aios_model_info_init(&s->info);
        aios_model_get_info(s->model, &s->info);
    }
    return err->code;
}
static void open_model(session *s, const options *o, uint32_t flags) {
    aios_error err = { 0 };
    if (try_model(s, o, flags, &err) != AIOS_OK && o->model && !strstr(err.text, o->model)) die("'%s': %s", o->model, err.text);
    need(err.code, &err);
}
static int32_t load_progress(void *user, uint64_t done, uint64_t total) {
    (void)user;
    bar("loading", done, total);
    return 0;
}
/* The plan that the options ask for, in s->plan. d: what the command itself asks for; filled in. */
static void make_plan(session *s, const options *o, aios_plan_desc *d) {
    aios_error err = { 0 };
    aios_status st;
    d->n_ctx = o->ctx ? o->ctx : d->n_ctx;
    d->n_batch = o->chunk;
    if (!o->chunk) {                                            /* as the caches of this machine have it */
        aios_hardware hw;
        aios_hardware_init(&hw);
        if (aios_hardware_detect(&hw) == AIOS_OK) {
            d->l2_bytes = hw.l2_bytes;
            d->l3_bytes = hw.n_cores > 0 ? hw.l3_bytes / (uint64_t)hw.n_cores * (uint64_t)(o->threads < hw.n_cores ? o->threads : hw.n_cores) : 0;
        }
    }
    d->n_threads = o->threads;
    d->kv_type = o->kv;
    d->kv_old_type = o->kv_old; d->kv_recent = o->kv_recent; d->kv_window = o->kv_window; d->kv_sinks = o->kv_sinks; d->kv_heavy = o->kv_heavy;
    d->numerics = o->numerics;
    d->isa = o->isa;
    d->budget_bytes = o->ram;
    d->hot_bytes = o->hot;
    d->warm_bytes = o->warm;
    d->n_readers = o->readers < 0 ? 0 : o->readers == 0 ? -1 : o->readers;
    d->flags = (o->keep_batch ? (uint32_t)AIOS_PLAN_KEEP_BATCH : 0) | (o->no_stream ? (uint32_t)AIOS_PLAN_NO_STREAM : 0) | (o->may_kv ? (uint32_t)AIOS_PLAN_MAY_KV_TYPE : 0) | (o->may_codes ? (uint32_t)AIOS_PLAN_MAY_KV_CODES : 0)
             | (o->may_ctx ? (uint32_t)AIOS_PLAN_MAY_CTX : 0) | (o->in_place ? (uint32_t)AIOS_PLAN_IN_PLACE : 0) | (o->pin ? (uint32_t)AIOS_PLAN_PIN : 0);
    aios_plan_init(&s->plan);
    st = aios_plan_make(s->model, d, &s->plan, &err);
    if (st == AIOS_ERR_MEMORY && d->budget_bytes && !(o->may_kv && o->may_ctx)) {     /* what would do if more might be given up? */
        aios_plan_desc more = *d;
        aios_plan least;
        aios_error err2 = { 0 };
        aios_plan_init(&least);
        more.flags |= AIOS_PLAN_MAY_KV_TYPE | AIOS_PLAN_MAY_CTX;
        more.budget_bytes = 0;
        if (aios_plan_make(s->model, &more, &least, &err2) == AIOS_OK && least.held_bytes + least.min_bytes < err.expected)
            die("%s; with --may-kv and --may-ctx %llu", err.text, (unsigned long long)(least.held_bytes + least.min_bytes));
    }
    need(st, &err);
}
/* n_ctx, n_outputs: what the command needs; 0 = the library's choice. */
/* ---- what ops write: logits --trace ------------------------------------------------------------------------- */
/* Of one op, in one form, over all passes. Rows are hashed with their place, and the hashes added up, so that the line is the same whatever
 * the passes, threads and steps were: two traces differ where the computation does, and their first difference is where to look. */
typedef struct op_trace {
    const char *name;
    int32_t layer, form;
    uint64_t n_rows, n_values, n_odd, hash;                     /* n_odd: infinite, or not a number */
    double sum, low, high;                                      /* of squares */
} op_trace;
static op_trace *traces;
static uint32_t n_traces;
static float *trace_values;                                     /* of one row */
static int32_t most_values;

static uint64_t mix(uint64_t h, const void *data, size_t n) {
    const unsigned char *p = (const unsigned char *)data;
    size_t i;
    for (i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}
static void trace_row(op_trace *x, const float *v, int32_t n) {
    double sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        if (!isfinite(v[i])) { x->n_odd++; continue; }
        sum += (double)v[i] * (double)v[i];
        if (v[i] < x->low) x->low = v[i];
        if (v[i] > x->high) x->high = v[i];
    }
    x->sum += sum;
    x->n_values += (uint64_t)n;
}
static void trace_op(void *user, const aios_trace *t) {
    uint32_t at = t->op * 3 + (uint32_t)t->form, k;
    op_trace *x;
    int32_t i;
    (void)user;
    if (at >= n_traces) {
        traces = (op_trace *)realloc(traces, (size_t)(at + 1) * sizeof *traces);
        if (!traces) die("no memory");
        for (k = n_traces; k <= at; k++) memset(&traces[k], 0, sizeof *traces);
        n_traces = at + 1;
    }
    if (t->n > most_values) {
        trace_values = (float *)realloc(trace_values, (size_t)t->n * sizeof(float));
        if (!trace_values) die("no memory");
        most_values = t->n;
    }
    x = &traces[at];
    if (!x->n_rows) { x->low = INFINITY; x->high = -INFINITY; }
    x->name = t->name; x->layer = t->layer; x->form = t->form;
    for (i = 0; i < t->n_rows; i++) {
        const char *row = (const char *)t->data + (uint64_t)(t->row ? t->row[i] : i) * t->stride;
        int32_t token = i / t->n_per_token, place[3];
        if (t->token) token = t->token[token];
        place[0] = t->seq[token]; place[1] = t->pos[token]; place[2] = i % t->n_per_token;
        aiosk_act_unpack(t->form, row, (uint64_t)t->n, trace_values);
        x->hash += mix(mix(0xCBF29CE484222325u, place, sizeof place), trace_values, (size_t)t->n * sizeof(float));
        trace_row(x, trace_values, t->n);
    }
    x->n_rows += (uint64_t)t->n_rows;
}
static void print_trace(void) {
    static const char *const forms[] = { "f32", "a32", "a256" };
    uint32_t i;
    printf("%5s %-14s %-4s %6s %16s %12s %12s %12s\n", "layer", "op", "form", "rows", "hash", "least", "most", "rms");
    for (i = 0; i < n_traces; i++) {
        const op_trace *x = &traces[i];
        if (!x->n_rows) continue;
        if (x->layer < 0) printf("%5s", "-"); else printf("%5d", x->layer);
        printf(" %-14s %-4s %6llu %016llx", x->name, forms[x->form], (unsigned long long)x->n_rows, (unsigned long long)x->hash);
        printf(" %12.6g %12.6g %12.6g", x->low, x->high, sqrt(x->sum / (double)x->n_values));
        if (x->n_odd) printf("  %llu are no numbers", (unsigned long long)x->n_odd);
        printf("\n");
    }
    free(traces);
    free(trace_values);
}

static void open_context(session *s, const options *o, int32_t n_ctx, int32_t n_outputs) {
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_error err = { 0 };
    aios_status st;
    aios_plan_desc_init(&pd);
    pd.n_ctx = n_ctx;
    pd.n_outputs = n_outputs;
    make_plan(s, o, &pd);
    aios_context_desc_init(&cd);
    cd.progress = load_progress;
    if (o->trace) cd.trace = trace_op;
    st = aios_context_open(s->model, &s->plan, &cd, &s->ctx, &err);
    bar("", 0, 0);
    need(st, &err);
    if (s->mem.not_pinned) fprintf(stderr, "%s: the system would not pin %llu bytes (ulimit -l)\n", command_name, (unsigned long long)s->mem.not_pinned);
}
static void close_session(session *s) {
    aios_context_free(s->ctx);
    aios_model_free(s->model);
    reader_close(&s->artifact);
    reader_close(&s->file);
}
/* Ctrl-C ends the work between two steps, a second one the program. */
#ifndef __wasm__
static volatile sig_atomic_t interruptible, interrupted;
static void on_interrupt(int number) {
    interrupted = 1;
    signal(number, SIG_DFL);
}
static void catch_interrupt(void) {
    interruptible = 1;
    signal(SIGINT, on_interrupt);
}
#else
enum { interruptible = 0, interrupted = 0 };                    /* no signals there */
static void catch_interrupt(void) {}
#endif
/* Steps until nothing waits, or (MORE) until there are rows to read, or (CANCELLED) until it is interrupted. With a bar, --deadline-us, or
 * when it can be interrupted, in slices. */
static aios_status advance(session *s, const options *o, int show_bar) {
    aios_error err = { 0 };
    uint64_t slice = o->deadline_us ? o->deadline_us * 1000 : interruptible || (show_bar && isatty(2)) ? 100000000 : 0;
    for (;;) {
        aios_status st = aios_step(s->ctx, slice ? aios_now_ns(s->ctx) + slice : 0, &err);
        need(st, &err);
        if (show_bar) bar("reading", (uint64_t)aios_seq_processed(s->ctx, 0), (uint64_t)aios_seq_length(s->ctx, 0));
        if (st == AIOS_MORE && aios_output_count(s->ctx) == 0 && !interrupted) continue;
        if (show_bar) bar("", 0, 0);
        return st == AIOS_MORE && interrupted ? AIOS_ERR_CANCELLED : st;
    }
}
static void feed(session *s, const int32_t *ids, int32_t n, uint32_t flags) {
    aios_error err = { 0 };
    need(aios_feed(s->ctx, 0, ids, (uint64_t)n, flags, &err), &err);
}
static void cut(session *s, int32_t n) {
    aios_error err = { 0 };
    need(aios_seq_truncate(s->ctx, 0, n, &err), &err);
}
static void restart(session *s) { cut(s, 0); }

/* ---- text and files ---------------------------------------------------------------------------------------- */
static char *read_all(const char *path, uint64_t *n) {         /* path "-": stdin */
    FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    char *p = NULL;
    size_t k, cap = 0;
    if (!f) die("'%s': %s", path, strerror(errno));
    if (f != stdin) is_input(path);
    for (*n = 0;; *n += k) {
        if (*n == cap && !(p = (char *)realloc(p, cap = 2 * cap + 65536))) die("out of memory");
        if (!(k = fread(p + *n, 1, (size_t)(cap - *n), f))) break;
    }
    if (ferror(f)) die("'%s': %s", path, strerror(errno));
    if (f != stdin) fclose(f);
    return p;
}
static int same_file(const char *a, const char *b) {            /* by any name, links too */
#ifdef _WIN32
    char x[1100], y[1100];
    return _fullpath(x, a, sizeof x) && _fullpath(y, b, sizeof y) && !_stricmp(x, y);
#else
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
#endif
}
/* Nothing is written over what the command reads. Every part of a split model is read. */
static void not_an_input(const char *path) {
    int i;
    for (i = 0; i < n_inputs; i++) {
        const char *end = strstr(inputs[i], "-of-");
        unsigned of = 1, k;
        if (same_file(inputs[i], path)) die("'%s' is what is read: give another name for what is written", path);
        if (!end || end - inputs[i] < 6 || sscanf(end, "-of-%5u.gguf", &of) != 1) continue;
        for (k = 1; k <= of; k++) {
            char part[1100];
            snprintf(part, sizeof part, "%.*s-%05u%s", (int)(end - inputs[i] - 6), inputs[i], k, end);
            if (same_file(part, path)) die("'%s' is a part of what is read: give another name for what is written", path);
        }
    }
}
/* A file that is written under a name of its own beside PATH, gets its name when it is whole, and is removed when the program ends before, by a
 * signal too. A pipe or a device would be replaced by it; of a link it is what it leads to that is replaced. */
static char new_tmp[1120], new_path[1100];
static void new_undo(void) { if (new_tmp[0]) remove(new_tmp); }
#ifndef __wasm__
static void new_stopped(int number) {
    new_undo();
    signal(number, SIG_DFL);
    raise(number);
}
#endif
static FILE *new_file(const char *path) {
    int fd = -1, i;
    FILE *f;
#ifdef _WIN32
    snprintf(new_path, sizeof new_path, "%s", path);
#else
    struct stat st;
    char target[PATH_MAX];
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) die("'%s' is no regular file", path);
    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode)) snprintf(target, sizeof target, "%s", path);
#ifdef __wasm__
    else die("'%s' is a link", path);                           /* there nobody says where to */
#else
    else if (!realpath(path, target)) die("'%s' is a link to nothing", path);
#endif
    if (strlen(target) >= sizeof new_path) die("the name of the file is too long");
    strcpy(new_path, target);
#endif
    not_an_input(path);
    for (i = 0; fd < 0 && i < 100; i++) {                       /* nobody's file is taken */
        snprintf(new_tmp, sizeof new_tmp, i ? "%s.%d.tmp" : "%s.tmp", new_path, i);
#ifdef _WIN32
        fd = _open(new_tmp, _O_CREAT | _O_EXCL | _O_WRONLY | _O_BINARY, _S_IREAD | _S_IWRITE);
#else
        fd = open(new_tmp, O_CREAT | O_EXCL | O_WRONLY, 0666);
#endif
        if (fd < 0 && errno != EEXIST) break;
    }
    f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) { new_tmp[0] = 0; die("'%s' cannot be written: %s", path, strerror(errno)); }
    atexit(new_undo);
#ifndef __wasm__
    signal(SIGINT, new_stopped);
    signal(SIGTERM, new_stopped);
#endif
    return f;
}
static void new_file_done(FILE *f, const char *path) {
    if (fclose(f) != 0) die("'%s': %s", path, strerror(errno));
#ifdef _WIN32
    remove(new_path);                                           /* there rename does not replace */
#endif
    if (rename(new_tmp, new_path) != 0) die("'%s': %s", path, strerror(errno));
    new_tmp[0] = 0;
}
static int32_t *tokenize(const session *s, const char *text, uint64_t n_text, uint32_t flags, int32_t *n) {
    aios_error err = { 0 };
    int64_t k = aios_tokenize(s->model, text, n_text, flags, NULL, 0, &err);
    int32_t *ids;
    if (k < 0) need((aios_status)k, &err);
    if (k > INT32_MAX) die("the text has %lld tokens, more than there is room for", (long long)k);
    ids = (int32_t *)xmalloc((size_t)k * sizeof *ids);
    if (k > 0) k = aios_tokenize(s->model, text, n_text, flags, ids, (uint64_t)k, &err);
    if (k < 0) need((aios_status)k, &err);
    *n = (int32_t)k;
    return ids;
}
static void print_token(const session *s, aios_detok *st, int32_t id) {
    char text[1024];
    int64_t n = aios_detokenize(s->model, st, id, text, sizeof text);
    if (n > 0) fwrite(text, 1, (size_t)n, stdout);
}
static void check_tokens(const session *s, const options *o) {
    int32_t i;
    for (i = 0; i < o->n_tokens; i++)
        if (o->tokens[i] < 0 || o->tokens[i] >= s->info.n_vocab)
            die("token %d is not one of the %d of the vocabulary", o->tokens[i], s->info.n_vocab);
}

/* ---- run --------------------------------------------------------------------------------------------------- */
/* Text on its way out. What may be the beginning of a --stop text is held until more is known. */
typedef struct output { const options *o; size_t n; char *held; } output;

static void output_open(output *out, const options *o) {
    size_t most = 0;
    int32_t i;
    for (i = 0; i < o->n_stops; i++) if (strlen(o->stops[i]) > most) most = strlen(o->stops[i]);
    out->o = o;
    out->n = 0;
    out->held = (char *)xmalloc(most + 1024);
}
/* Adds the text of a token (-1: the end) and writes what can be written; returns the --stop text that it came to, or NULL. */
static const char *output_token(output *out, const session *s, aios_detok *st, int32_t id) {
    const int64_t got = aios_detokenize(s->model, st, id, out->held + out->n, 1024);
    const char *found = NULL;
    size_t ready, i;
    int32_t k;
    if (got > 0) out->n += (size_t)got;
    ready = out->n;
    for (i = 0; i < out->n && i < ready; i++)                   /* the first place where one begins, or may */
        for (k = 0; k < out->o->n_stops && !found; k++) {
            const char *stop = out->o->stops[k];
            const size_t n = strlen(stop), left = out->n - i;
            if (memcmp(out->held + i, stop, n < left ? n : left)) continue;
            if (n <= left) { found = stop; ready = i; }
            else if (id >= 0 && i < ready) ready = i;
        }
    fwrite(out->held, 1, ready, stdout);
    fflush(stdout);
    out->n -= ready;
    memmove(out->held, out->held + ready, out->n);
    return found;
}

static int run(const options *o) {
    session s;
    aios_sampler sampler;
    aios_detok detok = { { 0 }, 0, AIOS_DETOK_BEGIN };
    aios_counters c;
    aios_error err = { 0 };
    output out;
    const float nothing = 0;
    uint64_t n_text, t0, t1, t2, opening = wall_ns(), work[8];
    int32_t n, *ids, n_read, echo, n_new = 0, id, i, n_steps = 0;
    const char *prompt = o->prompt ? o->prompt : "Once upon a time", *stop = NULL;
    char *file = o->file ? read_all(o->file, &n_text) : NULL, why[80], kv[8];
    aios_sampler_init(&sampler);
    sampler.temperature = o->greedy ? 0 : (float)o->temp;
    sampler.top_k = o->top_k;
    sampler.top_p = (float)o->top_p;
    sampler.min_p = (float)o->min_p;
    sampler.typical_p = (float)o->typical_p;
    sampler.top_n_sigma = (float)o->top_n_sigma;
    sampler.xtc_probability = (float)o->xtc_probability;
    sampler.xtc_threshold = (float)o->xtc_threshold;
    sampler.repeat_penalty = (float)o->repeat;
    memcpy(sampler.order, o->order, sizeof sampler.order);
    sampler.seed = o->seed;
    need(aios_sample_logits(&sampler, &nothing, 1, NULL, 0, 0, work, &id, &err), &err);     /* says now what a draw would */
    open_model(&s, o, 0);
    if (!file) n_text = strlen(prompt);
    ids = tokenize(&s, file ? file : prompt, n_text, AIOS_TOK_BOS | (o->special ? AIOS_TOK_SPECIAL : 0), &n);
    if (n == 0) die("the prompt is empty");
    i = n + o->n < s.info.n_ctx_train ? n + o->n : s.info.n_ctx_train;
    open_context(&s, o, i, 0);
    output_open(&out, o);
    opening = wall_ns() - opening;
    catch_interrupt();

    if (o->special) detok.flags |= AIOS_DETOK_SPECIAL;

    t0 = aios_now_ns(s.ctx);
    feed(&s, ids, n, 0);
    while (advance(&s, o, 1) == AIOS_MORE) {}
    t1 = aios_now_ns(s.ctx);
    n_read = aios_seq_processed(s.ctx, 0);
    echo = !o->no_echo && n_read == n;
    if (echo) fputs(style(1, BOLD), stdout);
    for (i = 0; i < n; i++) {                                   /* not before: the bar would stand in the same line */
        char text[1024];
        const int64_t k = aios_detokenize(s.model, &detok, ids[i], text, sizeof text);
        if (k > 0 && echo) fwrite(text, 1, (size_t)k, stdout);
    }
    if (echo) fputs(style(1, PLAIN), stdout);
    fflush(stdout);
    aios_counters_reset(s.ctx);
    snprintf(why, sizeof why, "-n %d reached", o->n);
    while (n_new < o->n && !interrupted) {
        need(aios_sample(s.ctx, 0, &sampler, &id, &err), &err);
        if (aios_token_is_end(s.model, id)) {
            if (o->special) stop = output_token(&out, &s, &detok, id);
            snprintf(why, sizeof why, "end of turn");
            break;
        }
        n_new++;
        if ((stop = output_token(&out, &s, &detok, id)) != NULL || n_new == o->n) break;
        if (aios_seq_length(s.ctx, 0) == s.plan.n_ctx) {
            snprintf(why, sizeof why, "the context of %d tokens is full", s.plan.n_ctx);
            break;
        }
        feed(&s, &id, 1, 0);
        while (advance(&s, o, 0) == AIOS_MORE) {}
        n_steps++;
    }
    t2 = aios_now_ns(s.ctx);
    if (!stop) stop = output_token(&out, &s, &detok, -1);
    putchar('\n');
    fflush(stdout);
    if (stop) snprintf(why, sizeof why, "--stop '%.50s'", stop);
    for (i = 0; why[i]; i++) if ((unsigned char)why[i] < 32) why[i] = ' ';
    if (interrupted) snprintf(why, sizeof why, "interrupted");

    aios_counters_init(&c);
    aios_counters_get(s.ctx, &c);
    if (!quiet) {
        fprintf(stderr, "%sstopped: %s; ", style(2, DIM), why);
        if (sampler.temperature > 0) fprintf(stderr, "seed %llu\n", (unsigned long long)o->seed);
        else fprintf(stderr, "greedy\n");
        fprintf(stderr, "ready in %.0f ms; prompt %d tokens", (double)opening * 1e-6, n_read);
        if (n_read < n) fprintf(stderr, " of %d", n);
        fprintf(stderr, ", %.1f tok/s; generated %d, %.1f tok/s, %.3f MB/token", n_read * 1e9 / (double)(t1 - t0 + 1), n_new, n_steps * 1e9 / (double)(t2 - t1 + 1), n_steps ? (double)(c.weight_bytes + c.kv_bytes) * 1e-6 / n_steps : 0.0);
        if (s.plan.n_units) fprintf(stderr, ", %.3f of it streamed (%llu of %llu reads late, %.0f ms waited)", n_steps ? (double)c.stream_bytes * 1e-6 / n_steps : 0.0,
                                    (unsigned long long)c.n_stalls, (unsigned long long)c.n_units, (double)c.stall_ns * 1e-6);
        if (s.plan.n_expert_slots) fprintf(stderr, ", experts %.1f %% hits in a cache of %u of %u, %.3f MB/token read", hit_percent(&c), s.plan.n_expert_slots, s.plan.n_experts,
                                           n_steps ? (double)c.expert_bytes * 1e-6 / n_steps : 0.0);
        fprintf(stderr, "; cache %s; memory", aiosk_kv_name(s.plan.kv_type, kv));
        for (i = 0; i < AIOS_N_MEM; i++) fprintf(stderr, " %s %llu", kind_names[i], (unsigned long long)s.mem.held[i]);
        fprintf(stderr, " bytes%s\n", style(2, PLAIN));
    }
    free(out.held);
    free(ids);
    free(file);
    close_session(&s);
    return interrupted ? 130 : 0;
}

/* ---- inspect ----------------------------------------------------------------------------------------------- */
static int inspect(const options *o) {
    session s;
    char name[128], type[32], value[200];
    uint32_t i, d;
    aios_error err = { 0 };
    if (try_model(&s, o, 0, &err) != AIOS_OK) {                 /* a look, not a start: what does not run is shown all the same */
        reader_close(&s.artifact);
        reader_close(&s.file);
        open_model(&s, o, AIOS_MODEL_INSPECT);
    }
    printf("architecture  %s\nparameters    %llu\ntensor bytes  %llu (%.2f bits per weight)\nheader bytes  %llu (GGUF version %d)\n",
           s.info.arch && *s.info.arch ? s.info.arch : "?", (unsigned long long)s.info.n_params, (unsigned long long)s.info.tensor_bytes,
           s.info.n_params ? (double)s.info.tensor_bytes * 8 / (double)s.info.n_params : 0.0, (unsigned long long)s.info.header_bytes, s.info.gguf_version);
    if (!err.code) printf("shape         %d layers, width %d, %d heads (%d key/value) of %d and %d, feed-forward %d, vocabulary %d, context %d\n",
           s.info.n_layer, s.info.n_embd, s.info.n_head, s.info.n_head_kv, s.info.head_dim_k, s.info.head_dim_v, s.info.n_ff, s.info.n_vocab, s.info.n_ctx_train);
    if (s.info.n_expert) printf("experts       %d in a layer, %d for a token\n", s.info.n_expert, s.info.n_expert_used);
    printf("tokens        %d; bos %d%s, eos %d%s, eot %d, pad %d, unknown %d\n", s.info.n_tokens, s.info.bos, s.info.add_bos ? " (added)" : "",
           s.info.eos, s.info.add_eos ? " (added)" : "", s.info.eot, s.info.pad, s.info.unk);
    printf("\n%u keys\n", s.info.n_keys);
    for (i = 0; i < s.info.n_keys; i++)
        if (aios_model_get_key(s.model, i, name, sizeof name, type, sizeof type, value, sizeof value) == AIOS_OK)
            printf("  %-44s %-9s %s\n", name, type, value);
    printf("\n%u tensors\n  %-36s %-8s %-20s %14s %14s\n", s.info.n_tensors, "name", "type", "shape", "bytes", "file offset");
    for (i = 0; i < s.info.n_tensors; i++) {
        aios_tensor_info t;
        const aiosk_type *k;
        aios_tensor_info_init(&t);
        if (aios_model_get_tensor(s.model, i, &t) != AIOS_OK) continue;
        k = aiosk_type_info((int32_t)t.type);
        if (!k) snprintf(type, sizeof type, "%u", t.type);
        value[0] = 0;
        for (d = 0; d < t.n_dims && d < 4; d++) {
            size_t used = strlen(value);
            snprintf(value + used, sizeof value - used, "%s%llu", d ? " x " : "", (unsigned long long)t.n[d]);
        }
        printf("  %-36s %-8s %-20s %14llu %14llu\n", t.name, k ? k->name : type, value, (unsigned long long)t.n_bytes, (unsigned long long)t.file_offset);
    }
    if (err.code) printf("\ndoes not run: %s\n", err.text);
    close_session(&s);
    return 0;
}

/* ---- tokenize, detokenize ---------------------------------------------------------------------------------- */
static int tokenize_stdin(const options *o) {
    session s;
    uint64_t n_text = 0;
    int32_t n, i, *ids;
    char *text = o->prompt ? NULL : read_all(o->file ? o->file : "-", &n_text);
    open_model(&s, o, AIOS_MODEL_VOCAB_ONLY);
    if (o->prompt) n_text = strlen(o->prompt);
    ids = tokenize(&s, text ? text : o->prompt, n_text, o->special ? AIOS_TOK_SPECIAL : 0, &n);
    for (i = 0; i < n; i++) printf("%s%d", i ? " " : "", ids[i]);
    putchar('\n');
    free(ids);
    free(text);
    close_session(&s);
    return 0;
}
static void parse_tokens(options *o, const char *text);
static int detokenize(const options *o) {
    session s;
    aios_detok st = { { 0 }, 0, AIOS_DETOK_BEGIN };
    int32_t i;
    options all = *o;
    const int32_t *given = o->tokens;
    if (!o->n_tokens) {                                         /* none on the command line: those on stdin */
        uint64_t n = 0;
        char *text = read_all("-", &n), *word = text;
        text[n] = 0;
        while (*(word += strspn(word, " \t\r\n,"))) {
            char *end = word + strcspn(word, " \t\r\n,"), after = *end;
            *end = 0;
            parse_tokens(&all, word);
            word = after ? end + 1 : end;
        }
        free(text);
    }
    o = &all;
    open_model(&s, o, AIOS_MODEL_VOCAB_ONLY);
    for (i = 0; i < o->n_tokens; i++)
        if (o->tokens[i] < 0 || o->tokens[i] >= s.info.n_tokens) die("token %d is not one of the %d of the vocabulary", o->tokens[i], s.info.n_tokens);
    if (o->special) st.flags |= AIOS_DETOK_SPECIAL;
    for (i = 0; i < o->n_tokens; i++) print_token(&s, &st, o->tokens[i]);
    print_token(&s, &st, -1);
    if (isatty(1)) putchar('\n');                               /* elsewhere: the text and nothing but the text */
    if (all.tokens != given) free(all.tokens);
    close_session(&s);
    return 0;
}

/* ---- logits ------------------------------------------------------------------------------------------------ */
static int logits(const options *o) {
    session s;
    FILE *f = NULL;
    uint64_t hash = 0xCBF29CE484222325u;                        /* FNV-1a, 64 bits */
    int32_t next = 0, i;
    aios_status st = AIOS_MORE;
    if (!o->n_tokens) die_usage("give --tokens ID,ID,...");
    if (!o->out && !o->hash && !o->trace) die_usage("give --out FILE, --hash or --trace");
    open_model(&s, o, 0);
    check_tokens(&s, o);
    open_context(&s, o, o->n_tokens, o->chunk ? o->chunk : 64);
    if (o->out) not_an_input(o->out);
    if (o->out && !(f = fopen(o->out, "wb"))) die("'%s': %s", o->out, strerror(errno));
    feed(&s, o->tokens, o->n_tokens, AIOS_FEED_ALL_LOGITS);
    while (st == AIOS_MORE) {
        st = advance(&s, o, 0);
        for (i = 0; i < aios_output_count(s.ctx); i++) {
            aios_output row;
            const unsigned char *b;
            size_t n = (size_t)s.info.n_vocab * sizeof(float), k;
            aios_output_init(&row);
            if (aios_output_get(s.ctx, i, &row) != AIOS_OK || row.pos != next) die("row %d is missing", next);
            next++;
            b = (const unsigned char *)row.logits;
            for (k = 0; o->hash && k < n; k++) hash = (hash ^ b[k]) * 0x100000001B3u;
            if (f && fwrite(b, 1, n, f) != n) die("'%s': %s", o->out, strerror(errno));
        }
    }
    if (next != o->n_tokens) die("%d rows came, not %d", next, o->n_tokens);
    if (f && fclose(f) != 0) die("'%s': %s", o->out, strerror(errno));
    if (o->hash) printf("%016llx\n", (unsigned long long)hash);
    if (o->trace) print_trace();
    close_session(&s);
    return 0;
}

/* ---- ppl --------------------------------------------------------------------------------------------------- */
static double log_sum_exp(const float *x, int32_t n) {
    double sum = 0;
    float max = x[0];
    int32_t i;
    for (i = 1; i < n; i++) if (x[i] > max) max = x[i];
    for (i = 0; i < n; i++) sum += exp((double)(x[i] - max));
    return log(sum) + (double)max;
}
static int32_t top(const float *x, int32_t n) {
    int32_t i, best = 0;
    for (i = 1; i < n; i++) if (x[i] > x[best]) best = i;
    return best;
}
static int by_float(const void *a, const void *b) {
    const float *x = (const float *)a, *y = (const float *)b;
    return *x < *y ? -1 : *x > *y;
}
static const char *const numerics_names[] = { "canonical", "fast", "reference" };

/* The rows of the piece just fed, which is one pass. */
static const float *row_of(session *s, const options *o, int32_t i, int32_t n) {
    aios_output row;
    if (i == 0) while (advance(s, o, 0) == AIOS_MORE) {}
    aios_output_init(&row);
    if (aios_output_count(s->ctx) != n || aios_output_get(s->ctx, i, &row) != AIOS_OK) die("row %d of %d is missing", i, n);
    return row.logits;
}
static int32_t piece_of(const session *s) { return s->plan.n_outputs < s->plan.n_batch ? s->plan.n_outputs : s->plan.n_batch; }

/* How far the rows of one are from those of a yardstick: KL(yardstick || it). */
typedef struct distance { float *each; double sum, max, n_same; int32_t n; } distance;

static void distance_add(distance *d, const float *a, double la, const float *b, double lb, int32_t n_vocab) {
    double kl = 0;
    int32_t v;
    for (v = 0; v < n_vocab; v++) {
        double p = (double)b[v] - lb;
        kl += exp(p) * (p - ((double)a[v] - la));
    }
    d->each[d->n++] = (float)kl;
    d->sum += kl;
    if (kl > d->max) d->max = kl;
    d->n_same += top(a, n_vocab) == top(b, n_vocab);
}
static void distance_print(distance *d, const char *what) {
    qsort(d->each, (size_t)d->n, sizeof *d->each, by_float);
    printf("%s: mean %.3e, 99 %% below %.3e, max %.3e nats; same top token %.3f %%\n", what, d->sum / d->n, (double)d->each[(size_t)(d->n * 0.99)], d->max, 100 * d->n_same / d->n);
}
static const char *name_of(const session *s, char out[32]) {
    char kv[8];
    snprintf(out, 32, "%s, %s", numerics_names[s->plan.numerics], aiosk_kv_name(s->plan.kv_type, kv));
    return out;
}

/* Against the reference, what the arithmetic does is told from what the cache does: a third context has the arithmetic that is asked for and a cache
 * of f32. The cache's part is what the total has more: from one canonical run to another there is more than that, because any change upstream
 * rounds activations otherwise. */
static int ppl(const options *o) {
    enum { IT, YARDSTICK, BETWEEN };
    session s[3];
    options os[3];
    distance all, arithmetic;
    uint64_t n_text;
    int32_t n, *ids, w, n_windows, i, j, k, piece, n_vocab, m = o->window, n_sessions = o->against < 0 ? 1 : 2;
    double nats[3] = { 0, 0, 0 }, more, squares = 0;
    char *text, name[32], kv[8], line[100];
    if (!o->file) die_usage("give -f FILE, the text to score");
    text = read_all(o->file, &n_text);
    open_model(&s[IT], o, 0);
    ids = tokenize(&s[IT], text, n_text, 0, &n);
    n_windows = n / m;
    if (o->n && o->n < n_windows) n_windows = o->n;
    if (n_windows == 0) die("'%s' has %d tokens, fewer than a window of %d", o->file, n, m);
    piece = o->chunk ? o->chunk : 64;
    open_context(&s[IT], o, m, piece);
    n_vocab = s[IT].info.n_vocab;
    os[IT] = os[YARDSTICK] = os[BETWEEN] = *o;
    for (k = YARDSTICK; k <= BETWEEN; k++) {
        os[k].kv = k == BETWEEN ? AIOSK_KV_F32 : o->against_kv;
        os[k].kv_old = os[k].kv_recent = os[k].kv_window = os[k].kv_sinks = os[k].kv_heavy = 0;
    }
    if (o->against >= 0) {
        if (o->against < 3) os[YARDSTICK].numerics = o->against;
        open_model(&s[YARDSTICK], &os[YARDSTICK], 0);           /* its weights may lie in memory in another form */
        open_context(&s[YARDSTICK], &os[YARDSTICK], m, piece);
        if (o->against == AIOS_REFERENCE && o->numerics != AIOS_REFERENCE && (s[IT].plan.kv_type != AIOSK_KV_F32 || o->kv_window || o->kv_old)) {
            s[BETWEEN] = s[IT];                                 /* of the same model */
            open_context(&s[BETWEEN], &os[BETWEEN], m, piece);
            n_sessions = 3;
        }
    }
    for (k = 0; k < n_sessions; k++) if (piece_of(&s[k]) < piece) piece = piece_of(&s[k]);
    memset(&all, 0, sizeof all);
    arithmetic = all;
    all.each = (float *)xmalloc((size_t)n_windows * (size_t)m * sizeof(float));
    arithmetic.each = (float *)xmalloc((size_t)n_windows * (size_t)m * sizeof(float));
    for (w = 0; w < n_windows; w++) {
        const int32_t *t = ids + (size_t)w * (size_t)m;
        for (k = 0; k < n_sessions; k++) restart(&s[k]);
        for (i = 0; i < m - 1; i += piece) {
            int32_t n_rows = piece < m - 1 - i ? piece : m - 1 - i;
            for (k = 0; k < n_sessions; k++) feed(&s[k], t + i, n_rows, AIOS_FEED_ALL_LOGITS);
            for (j = 0; j < n_rows; j++) {
                const float *x[3];
                double lse[3];
                for (k = 0; k < n_sessions; k++) {
                    x[k] = row_of(&s[k], &os[k], j, n_rows);
                    lse[k] = log_sum_exp(x[k], n_vocab);
                    nats[k] += lse[k] - (double)x[k][t[i + j + 1]];
                }
                if (n_sessions > 1) distance_add(&all, x[IT], lse[IT], x[YARDSTICK], lse[YARDSTICK], n_vocab);
                if (n_sessions < 3) continue;
                distance_add(&arithmetic, x[BETWEEN], lse[BETWEEN], x[YARDSTICK], lse[YARDSTICK], n_vocab);
                more = (double)all.each[all.n - 1] - (double)arithmetic.each[all.n - 1];
                squares += more * more;
            }
        }
        bar("scoring", (uint64_t)w + 1, (uint64_t)n_windows);
    }
    bar("", 0, 0);
    n = n_windows * (m - 1);
    printf("%s: %d windows of %d tokens, %d scored: ", name_of(&s[IT], name), n_windows, m, n);
    printf("%.6f nats/token, perplexity %.4f\n", nats[IT] / n, exp(nats[IT] / n));
    if (n_sessions > 1) {
        printf("%s: %.6f nats/token, perplexity %.4f\n", name_of(&s[YARDSTICK], name), nats[YARDSTICK] / n, exp(nats[YARDSTICK] / n));
        distance_print(&all, "KL divergence from it");
        if (n_sessions == 2 && o->against == AIOS_REFERENCE && o->numerics != AIOS_REFERENCE) printf("of it, the rounding of activations: all; the cache is f32\n");
    }
    if (n_sessions > 2) {
        snprintf(line, sizeof line, "of it, the rounding of activations (%s)", name_of(&s[BETWEEN], name));
        distance_print(&arithmetic, line);
        more = (all.sum - arithmetic.sum) / n;
        printf("of it, the cache (%s): mean %.3e, standard error %.1e\n", aiosk_kv_name(s[IT].plan.kv_type, kv), more, sqrt(fabs(squares / n - more * more) / n));
        aios_context_free(s[BETWEEN].ctx);
    }
    if (n_sessions > 1) close_session(&s[YARDSTICK]);
    free(all.each);
    free(arithmetic.each);
    free(ids);
    free(text);
    close_session(&s[IT]);
    return 0;
}

#include "measure.h"
#include "plan.h"
#include "quantize.h"
#include "pack.h"

/* ---- the command line -------------------------------------------------------------------------------------- */
enum { RUN = 1, INSPECT = 2, TOKENIZE = 4, DETOKENIZE = 8, LOGITS = 16, PPL = 32, BENCH = 64, PLAN = 128, QUANTIZE = 256, PACK = 512, HARDWARE = 1024,
       ANY = 255 /* all that open a model with -m */, RUNS = RUN | LOGITS | PPL | BENCH, PLANS = RUNS | PLAN, ALL = 2047 };
typedef struct command {
    uint32_t bit;
    const char *name, *words, *what;
    int (*fn)(const options *);
} command;
static const command commands[] = {
    { RUN,        "run",        "[MODEL]",     "continue a text; aios MODEL.gguf is the same",          run            },
    { INSPECT,    "inspect",    "[MODEL]",     "what is in a model file: keys and tensors",             inspect        },
    { TOKENIZE,   "tokenize",   "[MODEL]",     "text from stdin to ids, one line",                      tokenize_stdin },
    { DETOKENIZE, "detokenize", "[ID...]",     "ids, or those on stdin, to text",                                       detokenize     },
    { LOGITS,     "logits",     "[MODEL]",     "logits of every token, f32 [n_tokens][n_vocab]",        logits         },
    { PPL,        "ppl",        "[MODEL]",     "perplexity of a text in windows, no BOS",               ppl            },
    { BENCH,      "bench",      "[MODEL]",     "tokens per second, bytes per token, memory bandwidth",  bench          },
    { PLAN,       "plan",       "[MODEL]",     "what would be asked for, to the byte; loads nothing",   plan           },
    { HARDWARE,   "hardware",   "",            "what this machine is, as the library sees it",          hardware       },
    { QUANTIZE,   "quantize",   "IN OUT TYPE", "a copy with other tensor types: Q4_K_M, Q8_0, ...",     quantize       },
    { PACK,       "pack",       "MODEL OUT",   "packed weights in a file beside the model, for --artifact; OUT alone: checks it", pack } };
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* kind: s text, S texts, i int32, u uint64, b bytes with K M G, d number, f flag, l list of ids, k type of cache, a a yardstick, o order of stages, or the names to choose from */
typedef struct option {
    const char *name, *kind, *value, *what;
    uint32_t where;
    size_t at;
    double lo, hi;
} option;
#define AT(field) offsetof(options, field)
#define BIG 2147483647.0
#define ISA_NAMES "best|scalar|avx2|avx512|neon|neon-dot|avxvnni|sse41|wasm|avx512-vbmi|avx512-bw"      /* in the order of AIOSK_ISA_* */
#define KV_NAMES  "f32, f16, or the bits of keys and values: kv8 kv84 kv54 kv44 kv43 kv33 ..."
#define STAGE_NAMES "bias;repeat;top_n_sigma;top_k;temperature;typical_p;top_p;min_p;xtc"
static const option option_table[] = {
    { "-m",            "s", "MODEL",  "a .gguf file; without it the model that is built in",  ANY,             AT(model),       0, 0      },
    { "--artifact",    "s", "FILE",   "what aios pack made of the model",                     PLANS,           AT(artifact),    0, 0      },
    { "-p",            "s", "TEXT",   "the text to go on from; else 'Once upon a time'",         RUN,             AT(prompt),      0, 0      },
    { "-p",            "s", "TEXT",   "the text, instead of a file",                          TOKENIZE,        AT(prompt),      0, 0      },
    { "-p",            "s", "N",      "tokens of the prompt, 256",                            BENCH,           AT(prompt),      0, 0      },
    { "-f",            "s", "FILE",   "a text file, - is stdin",                              RUN | PPL | TOKENIZE, AT(file),   0, 0      },
    { "-n",            "i", "N",      "the most tokens to generate, 128",                     RUN,             AT(n),           0, BIG    },
    { "-n",            "i", "N",      "tokens to generate, 32",                               BENCH,           AT(n),           0, BIG    },
    { "-n",            "i", "N",      "the most windows to score",                            PPL,             AT(n),           0, BIG    },
    { "-r",            "i", "N",      "how often to measure",                                 BENCH,           AT(runs),        1, 10000  },
    { "--runs",        "i", "N",      "the same",                                             BENCH,           AT(runs),        1, 10000  },
    { "--bytes",       "f", "",       "bytes per token: predicted, counted, measured (-n 200)", BENCH,         AT(bytes),       0, 0      },
    { "-d",            "i", "N",      "tokens that are in the cache before the clock starts", BENCH,           AT(depth),       0, BIG    },
    { "-t",            "i", "N",      "threads",                                              PLANS | QUANTIZE | HARDWARE, AT(threads),     1, 256    },
    { "-c",            "i", "N",      "context: the most tokens that are held",               PLANS,           AT(ctx),         1, BIG    },
    { "--ctx",         "i", "N",      "the same",                                             PLANS,           AT(ctx),         1, BIG    },
    { "--reader",      "own|pread|pread-drop|direct|uring|mmap", "NAME", "how the file is read (examples/readers.h)", PLANS, AT(reader), 0, 0 },
    { "--ram",         "b", "BYTES",  "the most memory to take, with K, M or G; weights that do not fit are read for every pass", PLANS, AT(ram), 1, 1e18 },
    { "--hot",         "b", "BYTES",  "the most of that for weights that always stay",        PLANS,           AT(hot),         1, 1e18   },
    { "--warm",        "b", "BYTES",  "the most for weights that stay while there is room",   PLANS,           AT(warm),        1, 1e18   },
    { "--keep-batch",  "f", "",       "never fewer tokens in a pass to fit --ram",            PLANS,           AT(keep_batch),  0, 0      },
    { "--no-stream",   "f", "",       "never read weights for every pass to fit --ram",       PLANS,           AT(no_stream),   0, 0      },
    { "--may-kv",      "f", "",       "a smaller type of cache may help to fit --ram",        PLANS,           AT(may_kv),      0, 0      },
    { "--may-kv-codes", "f", "",      "and one of codes: kv84, kv54, kv44",                   PLANS,           AT(may_codes),   0, 0      },
    { "--may-ctx",     "f", "",       "a shorter context may help to fit --ram",              PLANS,           AT(may_ctx),     0, 0      },
    { "--in-place",    "f", "",       "map the file and use its matrices where they are, unpacked", PLANS,     AT(in_place),    0, 0      },
    { "--pin",         "f", "",       "memory that stays is never to be paged out",           PLANS,           AT(pin),         0, 0      },
    { "--readers",     "i", "N",      "threads that read weights; 0 = those that compute",    PLANS,           AT(readers),     0, 64     },
    { "--kv",          "k", "TYPE",   "type of the cache: " KV_NAMES,                         PLANS,           AT(kv),          0, 0      },
    { "--kv-old",      "k", "TYPE",   "a cheaper type for what is more than --kv-recent positions back", PLANS, AT(kv_old),     0, 0      },
    { "--kv-recent",   "i", "N",      "see --kv-old",                                         PLANS,           AT(kv_recent),   0, BIG    },
    { "--kv-window",   "i", "N",      "see no more than so many positions back, and --kv-sinks", PLANS,        AT(kv_window),   1, BIG    },
    { "--kv-heavy",    "i", "N",      "with --kv-window: and so many between, those that attention goes to most", PLANS, AT(kv_heavy), 1, BIG },
    { "--kv-sinks",    "i", "N",      "first positions that are always seen; 0 is 64, -1 none", PLANS,         AT(kv_sinks),   -1, BIG    },
    { "--chunk",       "i", "N",      "most tokens in one pass",                              PLANS,           AT(chunk),       1, 65536  },
    { "--isa",         ISA_NAMES, "NAME", "instruction set",                                  PLANS,           AT(isa),         0, 0      },
    { "--numerics",    "canonical|fast|reference", "NAME", "arithmetic",                      PLANS,           AT(numerics),    0, 0      },
    { "--deadline-us", "u", "N",      "work in steps of this many microseconds",              RUNS,            AT(deadline_us), 1, 1e15   },
    { "--temp",        "d", "T",      "temperature, 0.7; 0 takes the likeliest token",        RUN,             AT(temp),        0, 1e30   },
    { "--greedy",      "f", "",       "the same as --temp 0",                                 RUN,             AT(greedy),      0, 0      },
    { "--top-k",       "i", "K",      "draw from the K likeliest",                            RUN,             AT(top_k),       0, BIG    },
    { "--top-p",       "d", "P",      "draw from the likeliest that make up P, 0.9; 1 = all", RUN,             AT(top_p),       0, 1      },
    { "--min-p",       "d", "P",      "draw from those at least P times as likely as the first", RUN,          AT(min_p),       0, 1      },
    { "--typical-p",   "d", "P",      "draw from those nearest to the expected surprise that make up P", RUN,  AT(typical_p),   0, 1      },
    { "--top-n-sigma", "d", "N",      "draw from logits up to N standard deviations below the best", RUN,      AT(top_n_sigma), 0, 1e30   },
    { "--xtc",         "d", "P",      "in this share of the draws, leave out all likely ones but the last", RUN,  AT(xtc_probability), 0, 1 },
    { "--xtc-threshold", "d", "P",    "how likely that is, 0.1",                              RUN,             AT(xtc_threshold), 0, 1    },
    { "--samplers",    "o", "A;B",    "these stages alone, in this order; without it " STAGE_NAMES, RUN,       AT(order),       0, 0      },
    { "--repeat",      "d", "X",      "divide the logits of recent tokens by X",              RUN,             AT(repeat),      0, 1e30   },
    { "--seed",        "u", "S",      "same seed, same text; without it another one each time", RUN,           AT(seed),        0, 1.8e19 },
    { "--stop",        "S", "TEXT",   "end before this text, which is not shown; may be given more than once", RUN, AT(stops),  0, 0      },
    { "--no-echo",     "f", "",       "the prompt is not shown again",                        RUN,             AT(no_echo),     0, 0      },
    { "--quiet",       "f", "",       "no statistics, notes and bars",                        ALL,             AT(quiet),       0, 0      },
    { "--special",     "f", "",       "read and show special tokens as text",                 RUN | TOKENIZE | DETOKENIZE, AT(special), 0, 0 },
    { "--tokens",      "l", "ID,ID",  "the tokens",                                           LOGITS | DETOKENIZE, AT(tokens), 0, 0      },
    { "--out",         "s", "FILE",   "where the floats go",                                  LOGITS,          AT(out),         0, 0      },
    { "--hash",        "f", "",       "print FNV-1a 64 of the floats",                        LOGITS,          AT(hash),        0, 0      },
    { "--trace",       "f", "",       "a line for each op: a hash of what it wrote in all positions, and how large it is", LOGITS, AT(trace), 0, 0 },
    { "--window",      "i", "N",      "tokens in a window",                                   PPL,             AT(window),      2, BIG    },
    { "--against",     "a", "NAME",   "what to compare with: canonical, fast or reference arithmetic (with a cache of f32), or a type of cache", PPL, AT(against), 0, 0 },
    { "--output",      "s", "TYPE",   "type of the output matrix, or of the embedding in its place", QUANTIZE,  AT(output),      0, 0      },
    { "--tensors",     "f", "",       "list every tensor",                                    PLAN,            AT(tensors),     0, 0      },
    { "--svg",         "s", "FILE",   "a picture of where everything lives",                  PLAN,            AT(svg),         0, 0      },
    { "--read-gb-s",   "d", "X",      "what memory gives, in 10^9 bytes/s, instead of measuring it", PLAN,     AT(read_gb_s),   1e-6, 1e6 },
    { "--disk-gb-s",   "d", "X",      "what storage gives, instead of measuring it",          PLAN,            AT(disk_gb_s),   1e-6, 1e6 },
    { "--json",        "f", "",       "for programs",                                         BENCH | PLAN | HARDWARE, AT(json), 0, 0    },
    { "--json",        "f", "",       "the manifest of OUT",                                  PACK,            AT(json),        0, 0      } };
enum { N_OPTIONS = sizeof option_table / sizeof *option_table };

static void help(const command *c) {                            /* NULL: the commands */
    int i;
    if (!c) {
        printf("aios: GGUF language models on the CPU\n\n    aios COMMAND [OPTION...]\n    aios MODEL.gguf [OPTION...]\n    aios help COMMAND\n    aios --version\n\n");
        for (i = 0; i < N_COMMANDS; i++) printf("  %-12s%s\n", commands[i].name, commands[i].what);
        return;
    }
    printf("aios %s%s%s [OPTION...]: %s\n\n", c->name, *c->words ? " " : "", c->words, c->what);
    for (i = 0; i < N_OPTIONS; i++) {
        const option *p = &option_table[i];
        if (p->where & c->bit) printf("  %-15s %-6s %s%s%s\n", p->name, p->value, p->what, strlen(p->kind) > 1 ? ": " : "", strlen(p->kind) > 1 ? p->kind : "");
    }
}
/* The instruction sets of this build, or those of them that this machine has too, with the names of --isa. */
static const char *isa_list(int here, char out[200]) {
    const aiosk_isa *k;
    int32_t i, j;
    out[0] = 0;
    for (i = 0; (k = aiosk_compiled(i)) != NULL; i++) {
        const char *name = ISA_NAMES;
        size_t used = strlen(out);
        if (here && !aiosk_select(k->id)) continue;
        for (j = 0; j < k->id; j++) name = strchr(name, '|') + 1;
        snprintf(out + used, 200 - used, "%s%.*s", used ? " " : "", (int)strcspn(name, "|"), name);
    }
    return out;
}
static int version(void) {
    char sets[200], here[200];
    printf("aios %d.%d.%d\ninstruction sets of this build  %s\n", AIOS_VERSION / 10000, AIOS_VERSION / 100 % 100, AIOS_VERSION % 100, isa_list(0, sets));
    isa_list(1, here);
    printf("this machine uses               %.*s\n", (int)strcspn(here, " "), here);
    return 0;
}
/* How many letters to change, leave out or put in to make one of the other. Words of 31 letters at the most; others are far. */
static int far_apart(const char *a, const char *b) {
    int row[32], i, j, n = (int)strlen(b);
    if (strlen(a) > 31 || n > 31) return 99;
    for (j = 0; j <= n; j++) row[j] = j;
    for (i = 0; a[i]; i++) {
        int corner = row[0]++;
        for (j = 0; j < n; j++) {
            int change = corner + (a[i] != b[j]), other = 1 + (row[j] < row[j + 1] ? row[j] : row[j + 1]);
            corner = row[j + 1];
            row[j + 1] = change < other ? change : other;
        }
    }
    return row[n];
}
static const command *find_command(const char *word) {
    const char *near_one = NULL;
    int i;
    for (i = 0; i < N_COMMANDS; i++) if (!strcmp(word, commands[i].name)) return &commands[i];
    for (i = 0; i < N_COMMANDS; i++) if (far_apart(word, commands[i].name) <= 2) near_one = commands[i].name;
    if (near_one) die_usage("there is no command '%s'; did you mean %s?", word, near_one);
    die_usage("there is no command '%s'; see aios help", word);
}
static const option *find_option(const char *word, const command *c) {
    const option *p, *near_one = NULL, *other = NULL;
    int best = 3, i;
    for (i = 0; i < N_OPTIONS; i++) {
        p = &option_table[i];
        if (!strcmp(word, p->name)) {
            if (p->where & c->bit) return p;
            other = p;
        }
        if ((p->where & c->bit) && far_apart(word, p->name) < best && strlen(word) > 2) { best = far_apart(word, p->name); near_one = p; }
    }
    for (i = 0; other && i < N_COMMANDS; i++)
        if (other->where & commands[i].bit) die_usage("%s is an option of aios %s, not of aios %s; see aios help %s", word, commands[i].name, c->name, c->name);
    if (near_one) die_usage("there is no option '%s'; did you mean %s?", word, near_one->name);
    die_usage("there is no option '%s'; see aios help %s", word, c->name);
}
static int is_gguf(const char *word) {
    const char *dot = strrchr(word, '.');
    return dot && !strcmp(dot, ".gguf");
}
static double parse_number(const option *p, const char *text) {
    char *end;
    double v = strtod(text, &end);
    if (end != text && p->kind[0] == 'b' && *end) {
        const char *unit = strchr("KMG", *end);
        if (unit) { v *= *unit == 'K' ? 1024.0 : *unit == 'M' ? 1048576.0 : 1073741824.0; end++; }
    }
    if (end == text || *end || !(v >= p->lo && v <= p->hi) || (p->kind[0] != 'd' && p->kind[0] != 'b' && v != floor(v)))
        die_usage("%s takes a number from %.15g to %.15g, not '%s'", p->name, p->lo, p->hi, text);
    return v;
}
static void parse_tokens(options *o, const char *text) {       /* adds: "1,2,3" */
    for (;;) {
        char *end;
        long long v = strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',') || v < 0 || v > INT32_MAX) die_usage("'%s' is no list of token ids", text);
        o->tokens = (int32_t *)realloc(o->tokens, (size_t)(o->n_tokens + 1) * sizeof *o->tokens);
        if (!o->tokens) die("out of memory");
        o->tokens[o->n_tokens++] = (int32_t)v;
        if (!*end) return;
        text = end + 1;
    }
}
static void parse_order(options *o, const option *p, const char *text) {       /* "top_k;temperature"; a comma or - for _ will do */
    size_t n_order = 0, n, i;
    memset(o->order, 0, sizeof o->order);
    for (;; text += n + 1) {
        const char *name;
        char word[24];
        int32_t stage = 1;
        n = strcspn(text, ";,");
        for (i = 0; i < n && i + 1 < sizeof word; i++) word[i] = text[i] == '-' ? '_' : text[i];
        word[i] = 0;
        while ((name = aios_stage_name(stage)) != NULL && strcmp(name, word)) stage++;
        if (!name || n_order == sizeof o->order) die_usage("%s takes names of " STAGE_NAMES ", not '%.*s'", p->name, (int)n, text);
        o->order[n_order++] = (uint8_t)stage;
        if (!text[n]) return;
    }
}
/* What nobody said about a stage is the command's default when it runs. */
static double said(const options *o, double v, int32_t stage, double otherwise, double off) {
    return v >= 0 ? v : !o->order[0] || memchr(o->order, stage, sizeof o->order) ? otherwise : off;
}
static void parse_value(options *o, const option *p, const char *text) {
    void *at = (char *)o + p->at;
    if (strlen(p->kind) > 1) {                                  /* one of the names, in the order of the library's enum */
        const char *k = p->kind;
        char word[24];
        int32_t i = 0;
        size_t n;
        for (n = 0; text[n] && n + 1 < sizeof word; n++) word[n] = text[n] == '_' ? '-' : (char)tolower((unsigned char)text[n]);    /* avx512_vbmi is the library's name */
        word[n] = 0;
        while (!(strncmp(k, word, n) == 0 && (k[n] == '|' || k[n] == 0) && n > 0)) {
            if (!(k = strchr(k, '|'))) die_usage("%s takes one of %s, not '%s'", p->name, p->kind, text);
            k++;
            i++;
        }
        if (p->at == AT(isa) && !aiosk_select(i)) {
            char sets[200], here[200];
            die("%s %s is not in this %s; there are %s", p->name, text, strstr(isa_list(0, sets), word) ? "machine" : "build", isa_list(1, here));
        }
        *(int32_t *)at = i;
        return;
    }
    switch (p->kind[0]) {
    case 's': *(const char **)at = text; break;
    case 'S':
        if (o->n_stops == MAX_STOPS || !*text) die_usage(*text ? "%s can be given %d times" : "%s takes a text that is not empty", p->name, MAX_STOPS);
        o->stops[o->n_stops++] = text;
        break;
    case 'l': parse_tokens(o, text); break;
    case 'o': parse_order(o, p, text); break;
    case 'k':
        if ((*(int32_t *)at = aiosk_kv_parse(text)) < 0) die_usage("%s takes a type of cache (" KV_NAMES "), not '%s'", p->name, text);
        break;
    case 'a':
        for (o->against = 0; o->against < 3 && strcmp(text, numerics_names[o->against]); o->against++) {}
        if (o->against < 3) o->against_kv = AIOSK_KV_F32;
        else if ((o->against_kv = aiosk_kv_parse(text)) < 0) die_usage("%s takes canonical, fast, reference or a type of cache (" KV_NAMES "), not '%s'", p->name, text);
        break;
    case 'i': *(int32_t *)at = (int32_t)parse_number(p, text); break;
    case 'd': *(double *)at = parse_number(p, text); break;
    case 'b': *(uint64_t *)at = (uint64_t)parse_number(p, text); break;
    default:                                                    /* u: a seed may use all 64 bits, which a double has not */
        *(uint64_t *)at = parse_number(p, text) < 9e15 ? (uint64_t)parse_number(p, text) : strtoull(text, NULL, 10);
    }
}

static uint64_t some_seed(void) {                              /* 32 bits: to be typed again */
    uint64_t z = (wall_ns() + (uint64_t)time(NULL) * 1000000007u) * 0x9E3779B97F4A7C15u;
    return (z ^ z >> 29) * 0xBF58476D1CE4E5B9u >> 32;
}

int main(int argc, char **argv) {
    static char name[32];
    const command *c = &commands[0];
    options o;
    int i = 1, status;
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(argc > 2 ? find_command(argv[2]) : NULL);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) return version();
    if (!is_gguf(argv[1]) && argv[1][0] != '-') c = find_command(argv[i++]);        /* a model or an option: run */
    snprintf(name, sizeof name, "aios %s", c->name);
    command_name = name;

    memset(&o, 0, sizeof o);
    o.n = c->bit == RUN ? 128 : c->bit == BENCH ? -1 : 0;
    o.runs = 5;
    o.window = 512;
    o.against = o.readers = -1;
    o.temp = o.top_p = -1;
    o.seed = some_seed();
    o.threads = 1;
#ifdef _SC_NPROCESSORS_ONLN
    {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        o.threads = n < 1 ? 1 : n > 8 ? 8 : (int32_t)n;
    }
#endif
    for (; i < argc; i++) {
        const option *p;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) { help(c); return 0; }
        if (argv[i][0] != '-' || !argv[i][1]) {                 /* a word */
            if ((c->bit & ANY) && !o.model && (c->bit == INSPECT || is_gguf(argv[i]))) o.model = argv[i];
            else if (c->bit == DETOKENIZE) parse_tokens(&o, argv[i]);
            else if ((c->bit == QUANTIZE && o.n_words < 3) || (c->bit == PACK && o.n_words < 2)) o.words[o.n_words++] = argv[i];
            else die_usage("'%s' is one word too many%s", argv[i], c->bit != RUN ? "" : o.model ? "; the text is -p TEXT" : "; the text is -p TEXT, a model whose name does not end in .gguf is -m MODEL");
            continue;
        }
        p = find_option(argv[i], c);
        if (p->kind[0] == 'f' && !p->kind[1]) { *(int32_t *)((char *)&o + p->at) = 1; continue; }
        if (i + 1 == argc) die_usage("%s needs a value (%s)", p->name, p->value);
        parse_value(&o, p, argv[++i]);
    }
    quiet = o.quiet;
    o.temp = said(&o, o.temp, AIOS_STAGE_TEMPERATURE, 0.7, 1);
    o.top_p = said(&o, o.top_p, AIOS_STAGE_TOP_P, 0.9, 1);
    if (o.n < 0) o.n = o.bytes ? 200 : 32;
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);                        /* bytes are bytes */
    _setmode(_fileno(stdout), _O_BINARY);
#endif
    status = c->fn(&o);
    free(o.tokens);
    if (fflush(stdout) != 0 || ferror(stdout)) die("writing to stdout failed");
    return status;
}
