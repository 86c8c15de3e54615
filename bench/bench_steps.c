/* bench_steps.c: how punctual aios_step is: the time from its deadline to its return, for several budgets, while decoding and while
 * reading prompts in batches of several sizes; between the steps the program does something else for a random time, computing
 * or asleep, as a frame loop does.
 *
 *     bench_steps -m MODEL.gguf [-t 1,2] [-b 0.5,1,2,4,8] [-B 0,1,16,64,128,512] [-p 512] [-s 2] [-l 200] [-i ISA] [-K f16] [-H] [-o CSV]
 *     bench_steps -m MODEL.gguf -T [-t 2] [-B 0,512]      how long the tasks are, by name: what a step cannot be more punctual than
 *     bench_steps -m MODEL.gguf -G [-t 2] [-B 0,512]      two contexts: how long a foreground waits for a background to give way
 *
 * -b budgets in ms; -B tokens in a pass, 0 = decoding; -p tokens of a prompt; -s seconds per line; -l the share of steps within so many
 * microseconds is printed; -H draws histograms. A line of the machine itself goes with every line: after each step, and after
 * another pause, as many threads as the step has do nothing but read the clock until the same budget is over, and the last of
 * them counts. What is late there no program could have avoided; a step that is no later than that is punctual. With -G the machine's
 * line is two threads that hand a lock over.
 * Only steps that their deadline stopped count: those that reach the end of their work before it are shown as "early". */
#define _DEFAULT_SOURCE
#define AIOS_IMPLEMENTATION             /* -T looks into the program */
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "bench.h"

enum { MAX_SAMPLES = 1 << 18, MAX_NAMES = 64, TASK_BINS = 400, TASK_BIN_NS = 5000 };
static aios_error err;
static aios_model *model;
static const aiosk_isa *isa;
static const char *name;
static FILE *csv;
static int32_t n_vocab, kv = AIOSK_KV_F16, n_prompt = 512;
static int draw;
static double seconds_each = 2, limit_us = 200;
static uint64_t seed = 1;

static void ok(aios_status s, const char *what) {
    if (s < 0) { fprintf(stderr, "bench_steps: %s: %s: %s\n", what, aios_status_name(s), err.text); exit(1); }
}
static void *take(void *user, const aios_mem_req *r) { (void)user; return b_alloc((size_t)r->bytes); }
static void give(void *user, void *p, const aios_mem_req *r) { (void)user; (void)r; free(p); }
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static uint64_t random_below(uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

/* What a game does with the rest of its frame: up to 1 ms of work on memory of its own, or up to 2 ms of sleep. */
static void host_work(void) {
    static uint8_t field[1 << 20];
    const uint64_t end = now_ns() + random_below(1000000);
    if (random_below(2)) {
        struct timespec t;
        t.tv_sec = 0;
        t.tv_nsec = (long)random_below(2000000);
        nanosleep(&t, NULL);
    } else while (now_ns() < end) memset(field + random_below(1 << 19), (int)(seed >> 40), 1 << 14);
}

/* ---- the machine's own lateness ------------------------------------------------------------------------------ */
/* n threads, the caller included, read the clock until the deadline. The others sleep until they are wanted. */
typedef struct spinners {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t id[B_MAX_THREADS];
    uint64_t deadline;
    int n, round, quit, busy;
} spinners;

static void *spinner_main(void *arg) {
    spinners *s = (spinners *)arg;
    int seen = 0;
    for (;;) {
        uint64_t deadline;
        pthread_mutex_lock(&s->lock);
        while (s->round == seen && !s->quit) pthread_cond_wait(&s->wake, &s->lock);
        seen = s->round;
        deadline = s->deadline;
        pthread_mutex_unlock(&s->lock);
        if (s->quit) return NULL;
        while (now_ns() < deadline) {}
        __atomic_fetch_sub(&s->busy, 1, __ATOMIC_SEQ_CST);
    }
}
static void spinners_start(spinners *s, int n) {
    int i;
    memset(s, 0, sizeof *s);
    s->n = n;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    for (i = 1; i < n; i++) if (pthread_create(&s->id[i], NULL, spinner_main, s)) b_die("cannot start", "threads");
}
static void spinners_run(spinners *s, uint64_t deadline) {
    if (s->n > 1) {
        pthread_mutex_lock(&s->lock);
        s->deadline = deadline;
        s->round++;
        __atomic_store_n(&s->busy, s->n - 1, __ATOMIC_SEQ_CST);
        pthread_cond_broadcast(&s->wake);
        pthread_mutex_unlock(&s->lock);
    }
    while (now_ns() < deadline || __atomic_load_n(&s->busy, __ATOMIC_SEQ_CST)) {}
}
static void spinners_stop(spinners *s) {
    int i;
    pthread_mutex_lock(&s->lock);
    s->quit = 1;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    for (i = 1; i < s->n; i++) pthread_join(s->id[i], NULL);
}

/* ---- samples ------------------------------------------------------------------------------------------------- */
typedef struct samples { int64_t *ns; int n; } samples;
static void sample_add(samples *s, int64_t ns) { if (s->n < MAX_SAMPLES) s->ns[s->n++] = ns; }
static int by_value(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
/* Of sorted samples: the value that the share p of them does not pass, microseconds. */
static double percentile(const samples *s, double p) {
    int i = (int)(p * s->n + 0.999999) - 1;
    if (!s->n) return 0;
    return (double)s->ns[i < 0 ? 0 : i >= s->n ? s->n - 1 : i] * 1e-3;
}
static double share_within(const samples *s, double us) {
    int i = 0;
    while (i < s->n && (double)s->ns[i] * 1e-3 <= us) i++;
    return s->n ? (double)i / s->n : 1;
}
static const double points[] = { 0.5, 0.9, 0.99, 0.999, 1 };
static void print_percentiles(const samples *s) {
    int i;
    for (i = 0; i < 5; i++) printf(" %7.0f", percentile(s, points[i]));
}
/* Two histograms side by side: steps, and the machine alone. */
static void histogram(const samples *a, const samples *b) {
    static const double edge[] = { 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e12 };
    static const char bar[] = "########################################";
    size_t i;
    for (i = 0; i < sizeof edge / sizeof *edge; i++) {
        const double lo = i ? edge[i - 1] : -1e12;
        const double x = share_within(a, edge[i]) - (i ? share_within(a, lo) : 0), y = share_within(b, edge[i]) - (i ? share_within(b, lo) : 0);
        if (x <= 0 && y <= 0) continue;
        if (edge[i] > 1e9) printf("      later     ");
        else printf("   <= %5.0f us  ", edge[i]);
        printf("%6.2f%% %-40.*s | %6.2f%% %.*s\n", 100 * x, (int)(40 * x + 0.5), bar, 100 * y, (int)(40 * y + 0.5), bar);
    }
}

/* ---- what is run --------------------------------------------------------------------------------------------- */
static aios_context *open_context(int threads, int batch) {
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_plan plan;
    aios_context *c;
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    pd.n_ctx = n_prompt + 64;
    pd.n_threads = threads;
    pd.n_batch = batch ? batch : 64;
    pd.kv_type = kv;
    pd.isa = isa->id;
    ok(aios_plan_make(model, &pd, &plan, &err), "plan");
    ok(aios_context_open(model, &plan, &cd, &c, &err), "context");
    return c;
}
static void feed(aios_context *c, int n) {     /* logits of the last token alone */
    for (; n > 0; n--) {
        const int32_t id = (int32_t)((uint32_t)(aios_seq_length(c, 0) + 1) * 2654435761u % (uint32_t)n_vocab);
        ok(aios_feed(c, 0, &id, 1, n > 1 ? AIOS_FEED_NO_LOGITS : 0, &err), "feed");
    }
}
/* The next piece of work: a token to decode after most of a prompt, or the prompt once more. */
static void feed_more(aios_context *c, int batch) {
    if (batch) {
        ok(aios_seq_truncate(c, 0, 0, &err), "truncate");
        feed(c, n_prompt);
    } else {
        if (aios_seq_length(c, 0) >= n_prompt) ok(aios_seq_truncate(c, 0, n_prompt / 2, &err), "truncate");
        feed(c, 1);
    }
}
/* A whole prompt first: so that all memory has been touched, and the system needs no pages in the middle of a step. */
static void start(aios_context *c, int batch) {
    aios_status st;
    feed(c, n_prompt);
    while ((st = aios_step(c, 0, &err)) == AIOS_MORE) {}
    ok(st, "step");
    feed_more(c, batch);
}

static void measure(aios_context *c, int threads, int batch, double budget_ms, samples *late, samples *noise) {
    const uint64_t budget = (uint64_t)(budget_ms * 1e6), end = now_ns() + (uint64_t)(seconds_each * 1e9);
    aios_counters c0, c1;
    spinners s;
    char which[32];
    int early = 0, i;
    double tok_s;
    late->n = noise->n = 0;
    aios_counters_init(&c0);
    aios_counters_init(&c1);
    spinners_start(&s, threads);
    aios_counters_get(c, &c0);
    while (now_ns() < end) {
        uint64_t deadline, t;
        aios_status st;
        host_work();
        deadline = now_ns() + budget;
        st = aios_step(c, deadline, &err);
        t = now_ns();
        ok(st, "step");
        if (st == AIOS_MORE) sample_add(late, (int64_t)(t - deadline));
        else { early++; feed_more(c, batch); }
        host_work();
        deadline = now_ns() + budget;
        spinners_run(&s, deadline);
        sample_add(noise, (int64_t)(now_ns() - deadline));
    }
    aios_counters_get(c, &c1);
    spinners_stop(&s);
    tok_s = (double)(c1.n_tokens - c0.n_tokens) / ((double)(c1.busy_ns - c0.busy_ns) * 1e-9);
    qsort(late->ns, (size_t)late->n, sizeof *late->ns, by_value);
    qsort(noise->ns, (size_t)noise->n, sizeof *noise->ns, by_value);
    if (batch) snprintf(which, sizeof which, "prefill %d", batch);
    else snprintf(which, sizeof which, "decode");
    printf("%-12s %d thr %4g ms %6d", which, threads, budget_ms, late->n);
    print_percentiles(late);
    printf(" %6.2f%% |", 100 * share_within(late, limit_us));
    print_percentiles(noise);
    printf(" %6.2f%% | %5d %8.1f\n", 100 * share_within(noise, limit_us), early, tok_s);
    if (draw) histogram(late, noise);
    fflush(stdout);
    if (!csv) return;
    fprintf(csv, "%s,%s,%s,%d,%d,%g,%d", isa->name, name, which, threads, batch, budget_ms, late->n);
    for (i = 0; i < 5; i++) fprintf(csv, ",%.1f", percentile(late, points[i]));
    fprintf(csv, ",%.5f", share_within(late, limit_us));
    for (i = 0; i < 5; i++) fprintf(csv, ",%.1f", percentile(noise, points[i]));
    fprintf(csv, ",%.5f,%.1f\n", share_within(noise, limit_us), tok_s);
    fflush(csv);
}

/* ---- -G: giving way ------------------------------------------------------------------------------------------ */
/* A context that works without end in a thread of its own and gives way when it is interrupted, as the comment of aios_interrupt has
 * it; or, so that there is something to compare it with, a thread that does nothing but look whether it should. */
typedef struct background { aios_context *c; pthread_mutex_t cores; int batch, wanted, quit; } background;
static void *background_main(void *arg) {
    background *b = (background *)arg;
    aios_error e;
    while (!__atomic_load_n(&b->quit, __ATOMIC_SEQ_CST)) {
        aios_status st = AIOS_MORE;
        while (__atomic_load_n(&b->wanted, __ATOMIC_SEQ_CST) && !__atomic_load_n(&b->quit, __ATOMIC_SEQ_CST)) sched_yield();
        pthread_mutex_lock(&b->cores);
        if (b->c) st = aios_step(b->c, 0, &e);
        else while (!__atomic_load_n(&b->wanted, __ATOMIC_SEQ_CST)) {}
        if (st != AIOS_MORE) feed_more(b->c, b->batch);
        pthread_mutex_unlock(&b->cores);
    }
    return NULL;
}
static void wait_for(aios_context *c, int batch, samples *s) {
    const uint64_t end = now_ns() + (uint64_t)(seconds_each * 1e9);
    background b;
    pthread_t id;
    memset(&b, 0, sizeof b);
    b.c = c;
    b.batch = batch;
    pthread_mutex_init(&b.cores, NULL);
    if (pthread_create(&id, NULL, background_main, &b)) b_die("cannot start", "threads");
    s->n = 0;
    while (now_ns() < end) {
        struct timespec pause;
        uint64_t t;
        pause.tv_sec = 0;
        pause.tv_nsec = (long)random_below(4000000);
        nanosleep(&pause, NULL);
        t = now_ns();
        __atomic_store_n(&b.wanted, 1, __ATOMIC_SEQ_CST);
        if (c) aios_interrupt(c);
        pthread_mutex_lock(&b.cores);
        sample_add(s, (int64_t)(now_ns() - t));
        pthread_mutex_unlock(&b.cores);
        __atomic_store_n(&b.wanted, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&b.quit, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&b.wanted, 1, __ATOMIC_SEQ_CST);
    if (c) aios_interrupt(c);
    pthread_join(id, NULL);
    pthread_mutex_destroy(&b.cores);
    qsort(s->ns, (size_t)s->n, sizeof *s->ns, by_value);
}
static void give_way(int n_threads, int batch, samples *wait, samples *noise) {
    aios_context *c = open_context(n_threads, batch);
    char which[32];
    start(c, batch);
    wait_for(c, batch, wait);
    wait_for(NULL, 0, noise);
    if (batch) snprintf(which, sizeof which, "prefill %d", batch);
    else snprintf(which, sizeof which, "decode");
    printf("%-12s %d thr wait    %6d", which, n_threads, wait->n);
    print_percentiles(wait);
    printf(" %6.2f%% |", 100 * share_within(wait, limit_us));
    print_percentiles(noise);
    printf(" %6.2f%% |\n", 100 * share_within(noise, limit_us));
    if (draw) histogram(wait, noise);
    fflush(stdout);
    aios_context_free(c);
}

/* ---- -T: the tasks ------------------------------------------------------------------------------------------- */
typedef struct task_times { const char *name; uint64_t n, sum, most, bin[TASK_BINS]; } task_times;
static struct { const aios_context *c; const aios__op_kind **kind; aios__op_kind *own; int *row; int n_rows; task_times *t; } timed;     /* t: [threads][MAX_NAMES] */

static void timed_task(const aios__op *op, const aios__run *r, int32_t task, int32_t worker) {
    const int i = (int)(op - timed.c->prog.op);
    task_times *t = timed.t + worker * MAX_NAMES + timed.row[i];
    uint64_t t0 = now_ns(), d;
    timed.kind[i]->run(op, r, task, worker);
    d = now_ns() - t0;
    t->n++;
    t->sum += d;
    if (d > t->most) t->most = d;
    t->bin[d / TASK_BIN_NS < TASK_BINS ? d / TASK_BIN_NS : TASK_BINS - 1]++;
}
static double bin_at(const task_times *t, double p) {
    uint64_t sum = 0;
    int i;
    for (i = 0; i < TASK_BINS; i++) if ((double)(sum += t->bin[i]) >= p * (double)t->n) break;
    return (i + 1) * TASK_BIN_NS * 1e-3;
}
static void task_table(int threads, int batch) {
    const uint64_t end = now_ns() + (uint64_t)(seconds_each * 1e9);
    aios_context *c = open_context(threads, batch);
    int i, k, w;
    start(c, batch);
    timed.c = c;
    timed.n_rows = 0;
    timed.kind = (const aios__op_kind **)b_alloc(sizeof *timed.kind * c->prog.n_ops);
    timed.own = (aios__op_kind *)b_alloc(sizeof *timed.own * c->prog.n_ops);
    timed.row = (int *)b_alloc(sizeof *timed.row * c->prog.n_ops);
    timed.t = (task_times *)b_alloc(sizeof *timed.t * MAX_NAMES * (size_t)threads);
    memset(timed.t, 0, sizeof *timed.t * MAX_NAMES * (size_t)threads);
    for (i = 0; i < (int)c->prog.n_ops; i++) {
        aios__op *op = &c->prog.op[i];
        for (k = 0; k < timed.n_rows && strcmp(timed.t[k].name, op->name); k++) {}
        if (k == timed.n_rows && k < MAX_NAMES - 1) timed.t[timed.n_rows++].name = op->name;
        timed.row[i] = k;
        timed.kind[i] = op->kind;
        timed.own[i] = *op->kind;
        timed.own[i].run = timed_task;
        op->kind = &timed.own[i];
    }
    while (now_ns() < end) {
        aios_status st = aios_step(c, now_ns() + 1000000, &err);
        ok(st, "step");
        if (st == AIOS_OK) feed_more(c, batch);
    }
    printf("%s %d, %d threads: microseconds of a task\n%-12s %10s %8s %8s %8s %8s %8s %10s %10s %8s\n", batch ? "prefill" : "decode", batch, threads,
           "op", "n", "mean", "50%", "99%", "99.9%", "max", "kB weights", "Mproducts", "% time");
    for (i = 0; i < timed.n_rows; i++) {
        task_times all = timed.t[i];
        double kb = 0, mp = 0, sum = 0;
        for (w = 0; w < threads; w++) for (k = 0; k < timed.n_rows; k++) sum += (double)timed.t[w * MAX_NAMES + k].sum;
        for (w = 1; w < threads; w++) {
            const task_times *t = timed.t + w * MAX_NAMES + i;
            all.n += t->n; all.sum += t->sum;
            if (t->most > all.most) all.most = t->most;
            for (k = 0; k < TASK_BINS; k++) all.bin[k] += t->bin[k];
        }
        for (k = 0; k < (int)c->prog.n_ops; k++) {
            const aios__op *op = &c->prog.op[k];
            const aios__op_matrix *x = &op->u.matrix;
            double cols = op->outputs || !batch ? 1 : batch < x->cols_per_task ? batch : x->cols_per_task;
            if (timed.row[k] != i || timed.kind[k] != &aios__kind_matrix) continue;
            kb = (double)x->rows_per_task / x->n_out * (double)op->w_bytes * 1e-3;
            mp = (double)x->rows_per_task * x->n_in * cols * 1e-6;
        }
        if (all.n) printf("%-12s %10llu %8.1f %8.0f %8.0f %8.0f %8.0f %10.0f %10.2f %8.2f\n", all.name, (unsigned long long)all.n, (double)all.sum * 1e-3 / (double)all.n,
                          bin_at(&all, 0.5), bin_at(&all, 0.99), bin_at(&all, 0.999), (double)all.most * 1e-3, kb, mp, 100 * (double)all.sum / sum);
    }
    aios_context_free(c);
    free(timed.kind);
    free(timed.own);
    free(timed.row);
    free(timed.t);
}

static int threads[B_MAX_LIST], n_t, batches[B_MAX_LIST], n_b;

int main(int argc, char **argv) {
    char type[8];
    const char *path = NULL, *t_list = NULL, *b_ms = "0.5,1,2,4,8", *batch_list = "0,1,16,64,128,512", *only = NULL, *out = NULL, *p;
    double budget[B_MAX_LIST];
    aios_allocator a;
    aios_model_desc md;
    aios_model_info info;
    samples late, noise;
    char all[32];
    int c, i, k, j, n_budgets = 0, tasks = 0, way = 0;
    snprintf(all, sizeof all, b_threads() > 1 ? "1,%d" : "1", b_threads());
    t_list = all;
    while ((c = getopt(argc, argv, "m:t:b:B:p:s:l:i:K:o:HTG")) != -1) switch (c) {
        case 'm': path = optarg; break;
        case 't': t_list = optarg; break;
        case 'b': b_ms = optarg; break;
        case 'B': batch_list = optarg; break;
        case 'p': n_prompt = atoi(optarg); break;
        case 's': seconds_each = atof(optarg); break;
        case 'l': limit_us = atof(optarg); break;
        case 'i': only = optarg; break;
        case 'K': kv = aiosk_kv_parse(optarg); break;
        case 'o': out = optarg; break;
        case 'H': draw = 1; break;
        case 'T': tasks = 1; break;
        case 'G': way = 1; break;
        default: fprintf(stderr, "usage: see the top of bench/bench_steps.c\n"); return 2;
    }
    if (!path) { fprintf(stderr, "usage: bench_steps -m MODEL.gguf, options are at the top of bench/bench_steps.c\n"); return 2; }
    n_t = b_list(t_list, threads);
    n_b = b_list(batch_list, batches);
    for (p = b_ms; *p && n_budgets < B_MAX_LIST; p += *p == ',') {
        char *e;
        budget[n_budgets++] = strtod(p, &e);
        if (e == p || budget[n_budgets - 1] <= 0) b_die("not a list of budgets:", b_ms);
        p = e;
    }
    for (i = 0; i < n_t; i++) if (threads[i] < 1 || threads[i] > B_MAX_THREADS) b_die("not numbers of threads:", t_list);
    if (kv < 0) b_die("-K is a type of cache: f32, f16, kv8 ...", "");
    if (n_prompt < 8 || seconds_each <= 0) b_die("-p is at least 8 and -s more than", "0");
    if (!(isa = b_isa(only))) b_die("not on this machine:", only);
    csv = out ? fopen(out, "a") : NULL;
    if (out && !csv) b_die("cannot write", out);
    if (csv && fseek(csv, 0, SEEK_END) == 0 && ftell(csv) == 0)
        fprintf(csv, "isa,name,case,threads,batch,budget_ms,steps,us_p50,us_p90,us_p99,us_p999,us_max,within,"
                     "machine_p50,machine_p90,machine_p99,machine_p999,machine_max,machine_within,tok_s\n");
    late.ns = (int64_t *)b_alloc(sizeof *late.ns * MAX_SAMPLES);
    noise.ns = (int64_t *)b_alloc(sizeof *noise.ns * MAX_SAMPLES);
    aios_allocator_init(&a);
    a.alloc = take;
    a.free = give;
    aios_model_desc_init(&md);
    md.mem = &a;
    md.path = path;
    ok(aios_model_open(&md, &model, &err), path);
    aios_model_info_init(&info);
    ok(aios_model_get_info(model, &info), "info");
    n_vocab = info.n_vocab;
    if (n_prompt + 64 > info.n_ctx_train) n_prompt = info.n_ctx_train - 64;
    name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    printf("%s, %s, kv %s, prompt %d\n", name, isa->name, aiosk_kv_name(kv, type), n_prompt);
    if (!tasks) printf("%-12s %5s %7s %6s %7s %7s %7s %7s %7s %4.0f us  |%7s %7s %7s %7s %7s %4.0f us  | early    tok/s\n", "microseconds", "", "budget", "steps",
                       "50%", "90%", "99%", "99.9%", "max", limit_us, "machine", "90%", "99%", "99.9%", "max", limit_us);
    for (k = 0; k < n_b; k++) for (i = 0; i < n_t; i++) {
        aios_context *ctx;
        if (tasks) { task_table(threads[i], batches[k]); continue; }
        if (way) { give_way(threads[i], batches[k], &late, &noise); continue; }
        ctx = open_context(threads[i], batches[k]);
        start(ctx, batches[k]);
        for (j = 0; j < n_budgets; j++) measure(ctx, threads[i], batches[k], budget[j], &late, &noise);
        aios_context_free(ctx);
    }
    aios_model_free(model);
    free(late.ns);
    free(noise.ns);
    if (csv) fclose(csv);
    return 0;
}
