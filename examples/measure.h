/* measure.h: `aios hardware` and `aios bench`: what the machine is, how fast its memory is read, tokens per second, and bytes per token as
 * planned, as counted and as measured. Included by aios.c, below its helpers. */
#ifndef MEASURE_H
#define MEASURE_H

/* ---- how fast memory can be read --------------------------------------------------------------------------- */
enum { READ_BYTES = 1 << 28 };                                  /* 256 MiB: larger than any cache that matters */
typedef struct sweep { const uint64_t *p; size_t n; volatile uint64_t sum; } sweep;
#if defined(__GNUC__) || defined(__clang__)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define PREFETCH(p) (void)(p)
#endif
/* Eight streams with prefetch: one plain loop leaves almost half of a core's bandwidth unused. */
static void *read_part(void *arg) {
    sweep *r = (sweep *)arg;
    const size_t n = r->n / 64 * 8;                             /* of one stream, whole cache lines */
    uint64_t sum[8] = { 0 };
    size_t i;
    int32_t k;
    for (i = 0; i < n; i += 8)
        for (k = 0; k < 8; k++) {
            const uint64_t *q = r->p + (size_t)k * n + i;
            PREFETCH((const char *)q + 4096);
            sum[k] += q[0] ^ q[1] ^ q[2] ^ q[3] ^ q[4] ^ q[5] ^ q[6] ^ q[7];
        }
    r->sum = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    return NULL;
}
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *x, int32_t n) {
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}
/* Bytes/s that n_threads read together; the median of five sweeps. Takes at most `most` bytes for it; 0 = no limit. */
static double read_bandwidth(int32_t n_threads, uint64_t most) {
    const size_t n_bytes = most && most < READ_BYTES ? (size_t)most : READ_BYTES;
    sweep r[MAX_THREADS];
    double speed[5];
    uint64_t *p = (uint64_t *)xmalloc(n_bytes);
    int32_t i, k;
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    memset(p, 1, n_bytes);                                   /* pages that were never written are all the same one */
    for (i = 0; i < n_threads; i++) {
        r[i].n = n_bytes / sizeof *p / (size_t)n_threads;
        r[i].p = p + (size_t)i * r[i].n;
    }
    for (k = 0; k < 5; k++) {
        uint64_t t = wall_ns();
        on_threads(read_part, r, sizeof *r, n_threads);
        speed[k] = (double)(r[0].n * sizeof *p) * n_threads * 1e9 / (double)(wall_ns() - t + 1);
    }
    free(p);
    return median(speed, 5);
}

/* ---- hardware ---------------------------------------------------------------------------------------------- */
static const char *some_text(uint64_t bytes, char out[24]) {
    return bytes == UINT64_MAX ? "any amount" : !bytes ? "unknown" : size_text(out, (double)bytes);
}
static int hardware(const options *o) {
    aios_hardware h;
    char a[24], b[24], c[24];
    aios_hardware_init(&h);
    if (aios_hardware_detect(&h) != AIOS_OK) die("the machine cannot be asked");
    h.read_bandwidth = (uint64_t)read_bandwidth(o->threads, 0);
    if (o->json) {
        printf("{\"name\": ");
        json_string(h.name);
        printf(", \"virtual\": %s, \"limited\": %s, \"isa\": \"%s\", \"isa_tier\": %d, \"cores\": %d, \"threads\": %d, \"performance_cores\": %d, \"efficiency_cores\": %d, "
               "\"quota_milli\": %d, \"nodes\": %d, ", h.flags & AIOS_HW_VIRTUAL ? "true" : "false", h.flags & AIOS_HW_LIMITED ? "true" : "false", aiosk_select(h.isa)->name,
               h.isa_tier, h.n_cores, h.n_threads, h.n_performance, h.n_efficiency, h.quota_milli, h.n_nodes);
        printf("\"l1d_bytes\": %llu, \"l2_bytes\": %llu, \"l3_bytes\": %llu, \"l3_share\": %d, \"ram_bytes\": %llu, \"ram_free_bytes\": %llu, \"page_bytes\": %llu, "
               "\"huge_page_bytes\": %llu, \"lock_bytes\": ", (unsigned long long)h.l1d_bytes, (unsigned long long)h.l2_bytes, (unsigned long long)h.l3_bytes, h.l3_share,
               (unsigned long long)h.ram_bytes, (unsigned long long)h.ram_free_bytes, (unsigned long long)h.page_bytes, (unsigned long long)h.huge_page_bytes);
        if (h.lock_bytes == UINT64_MAX) printf("null");         /* no limit */
        else printf("%llu", (unsigned long long)h.lock_bytes);
        printf(", \"read_gb_s\": %.3f, \"read_threads\": %d}\n", (double)h.read_bandwidth * 1e-9, o->threads);
        return 0;
    }
    printf("processor  %s, %s (tier %d)%s\ncores      ", h.name[0] ? h.name : "unknown", aiosk_select(h.isa)->name, h.isa_tier, h.flags & AIOS_HW_VIRTUAL ? ", in a virtual machine" : "");
    if (h.n_cores) printf("%d", h.n_cores);
    else printf("unknown");
    if (h.n_efficiency) printf(" (%d fast, %d slow)", h.n_performance, h.n_efficiency);
    if (h.n_threads) printf(", %d threads", h.n_threads);
    if (h.quota_milli) printf(", the time of %.2f processors", h.quota_milli * 1e-3);
    printf("\ncaches     L1d %s and L2 %s per core, L3 %s", some_text(h.l1d_bytes, a), some_text(h.l2_bytes, b), some_text(h.l3_bytes, c));
    if (h.l3_share) printf(" (one for %d cores)", h.l3_share);
    printf("\nmemory     %s, free %s%s", some_text(h.ram_bytes, a), some_text(h.ram_free_bytes, b), h.flags & AIOS_HW_LIMITED ? ", within a container's limits" : "");
    if (h.n_nodes) printf(", %d node%s", h.n_nodes, h.n_nodes > 1 ? "s" : "");
    printf("\npages      %s, huge %s; may lock %s\n", some_text(h.page_bytes, a), h.huge_page_bytes ? some_text(h.huge_page_bytes, b) : "none",
           some_text(h.lock_bytes, c));
    printf("reading    %.2f GB/s with %d thread%s, just measured\n", (double)h.read_bandwidth * 1e-9, o->threads, o->threads > 1 ? "s" : "");
    return 0;
}

/* ---- bench --bytes: what a token reads, as planned, as counted by the library, as measured at the memory controllers ---- */
typedef struct traffic {
    dram d;
    int32_t measured;                                           /* there are counters, and they run */
    double predicted, planned_stream, streamed;                 /* per token */
    double *counted, *read, *idle;                              /* [runs] per token; idle: of a stretch of the same length */
    double idle_bytes, idle_s;
} traffic;

/* Weights and cache of a token, mean of those that will be measured: a plan for just as many positions says what the cache is then. */
static double predicted_bytes(const session *s, int32_t first, int32_t n) {
    double kv = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        aios_plan_desc d;
        aios_plan p;
        aios_plan_desc_init(&d);
        d.n_ctx = first + i + 1;
        d.kv_type = s->plan.kv_type;
        d.kv_old_type = s->plan.kv_old_type; d.kv_recent = s->plan.kv_recent; d.kv_window = s->plan.kv_window; d.kv_sinks = s->plan.kv_sinks; d.kv_heavy = s->plan.kv_heavy;
        d.numerics = s->plan.numerics;
        d.isa = s->plan.isa;
        aios_plan_init(&p);
        if (aios_plan_make(s->model, &d, &p, NULL) != AIOS_OK) return 0;
        kv += (double)p.token_kv_bytes;
    }
    return (double)s->plan.token_weight_bytes + kv / n;
}
static void traffic_open(traffic *t, const session *s, const options *o, int32_t first) {
    memset(t, 0, sizeof *t);
    t->predicted = predicted_bytes(s, first, o->n);
    t->planned_stream = (double)s->plan.token_stream_bytes;
    t->counted = (double *)xmalloc((size_t)o->runs * 3 * sizeof *t->counted);
    t->read = t->counted + o->runs;
    t->idle = t->read + o->runs;
    t->measured = dram_find(&t->d, "") && dram_open(&t->d);
}
static void traffic_sleep(double s) {
#ifdef __linux__
    struct timespec t;
    t.tv_sec = (time_t)s;
    t.tv_nsec = (long)((s - (double)t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
#else
    (void)s;
#endif
}
/* After a run of o->n tokens that took so long; r < 0: to warm up. */
static void traffic_lap(traffic *t, const session *s, const options *o, int32_t r, double seconds) {
    double bytes = t->measured ? dram_lap(&t->d) : 0, idle = 0, slept;
    uint64_t t0 = wall_ns();
    aios_counters c;
    if (bytes < 0) t->measured = 0;
    if (r < 0) return;
    if (t->measured) {
        traffic_sleep(seconds);
        idle = dram_lap(&t->d);
        slept = (double)(wall_ns() - t0 + 1) * 1e-9;
        t->idle_bytes += idle;
        t->idle_s += slept;
        if (idle > 0) idle *= seconds / slept;                  /* a sleep is never short, often long */
    }
    if (idle < 0) t->measured = 0;
    aios_counters_init(&c);
    aios_counters_get(s->ctx, &c);
    t->counted[r] = (double)(c.weight_bytes + c.kv_bytes) / o->n;
    t->streamed = (double)c.stream_bytes / o->n;
    t->read[r] = bytes / o->n;
    t->idle[r] = idle / o->n;
}
static double mean_of(const double *x, int32_t n) {
    double sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) sum += x[i];
    return sum / n;
}
/* Coefficient of variation: the standard deviation of a sample by its mean; one run has none. */
static double variation_of(const double *x, int32_t n) {
    double mean = mean_of(x, n), sum = 0;
    int32_t i;
    for (i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 && mean > 0 ? sqrt(sum / (n - 1)) / mean : 0;
}
static void traffic_line(const char *what, const double *x, int32_t n, double predicted) {
    printf("%-10s %12.6f MB/token", what, mean_of(x, n) * 1e-6);
    if (predicted > 0) printf("   %8.4f of the prediction, variation %.3f %%", mean_of(x, n) / predicted, 100 * variation_of(x, n));
    putchar('\n');
}
static void traffic_boxes(const traffic *t, const char *between, const char *quote) {
    int32_t i, n = 0;
    for (i = 0; i < t->d.n; i++)
        if (i == 0 || strcmp(t->d.c[i].box, t->d.c[i - 1].box) != 0) printf("%s%s%s%s", n++ ? between : "", quote, t->d.c[i].box, quote);
}
static void traffic_report(traffic *t, const options *o) {
    int32_t r;
    if (o->json) {
        printf(", \"bytes\": {\"tokens\": %d, \"runs\": %d, \"predicted\": %.1f, \"counted\": %.1f, \"counted_variation\": %.6f, \"streamed_predicted\": %.1f, \"streamed\": %.1f, ", o->n, o->runs,
               t->predicted, mean_of(t->counted, o->runs), variation_of(t->counted, o->runs), t->planned_stream, t->streamed);
        if (!t->measured) {
            printf("\"measured\": null, \"figure\": \"computed\", \"why\": ");
            json_string(t->d.why);
        } else {
            printf("\"measured\": %.1f, \"measured_variation\": %.6f, \"idle_bytes_s\": %.1f, ", mean_of(t->read, o->runs), variation_of(t->read, o->runs), t->idle_bytes / t->idle_s);
            printf("\"figure\": \"%s\", \"scaled\": %s, \"event\": ", t->d.both_ways ? "measured reads and writes" : "measured reads", t->d.shared ? "true" : "false");
            json_string(t->d.c[0].event);
            printf(", \"boxes\": [");
            traffic_boxes(t, ", ", "\"");
            printf("], \"each\": [");
            for (r = 0; r < o->runs; r++) printf("%s{\"measured\": %.1f, \"idle\": %.1f}", r ? ", " : "", t->read[r], t->idle[r]);
            for (r = 0; r < o->runs; r++) t->read[r] -= t->idle[r];
            printf("], \"less_idle\": %.1f, \"less_idle_variation\": %.6f", mean_of(t->read, o->runs), variation_of(t->read, o->runs));
        }
        printf("}");
        return;
    }
    printf("\nbytes read per token, %d runs of %d tokens\n", o->runs, o->n);
    printf("%-10s %12.6f MB/token   by the plan: weights and cache\n", "predicted", t->predicted * 1e-6);
    traffic_line("counted", t->counted, o->runs, t->predicted);
    if (t->streamed > 0 || t->planned_stream > 0)
        printf("%-10s %12.6f MB/token   of them first from storage; %.6f by the plan\n", "streamed", t->streamed * 1e-6, t->planned_stream * 1e-6);
    if (!t->measured) {
        printf("not measured, all figures are computed: %s\n", t->d.why);
        return;
    }
    traffic_line("measured", t->read, o->runs, t->predicted);
    for (r = 0; r < o->runs; r++) t->read[r] -= t->idle[r];
    traffic_line("less idle", t->read, o->runs, t->predicted);
    printf("%-10s %12.6f MB/s       by everybody, while this command slept\n", "idle", t->idle_bytes / t->idle_s * 1e-6);
    printf("%s of %d controllers%s: ", t->d.c[0].event, t->d.n_boxes, t->d.shared ? ", which took turns (scaled up)" : "");
    traffic_boxes(t, " ", "");
    if (t->d.both_ways) printf("\nthis processor counts reads and writes together: an upper bound");
    putchar('\n');
}
static void traffic_close(traffic *t) {
    dram_close(&t->d);
    free(t->counted);
}

/* ---- bench ------------------------------------------------------------------------------------------------- */
static int bench(const options *o) {
    char kv_text[8];
    session s;
    aios_counters c;
    char *end;
    long n_wanted = o->prompt ? strtol(o->prompt, &end, 10) : 256;
    int32_t n_prompt = (int32_t)n_wanted, n_all, i, r, *ids;
    double *pre, *dec, *tmp, read_gb_s, pre_median, dec_median, used, per[4];
    traffic *bytes = NULL;
    if (n_wanted < 1 || n_wanted > 1 << 24 || (o->prompt && *end)) die_usage("-p is a number of tokens here, not '%s'", o->prompt);
    if (o->n < 1) die_usage("-n must be at least 1");
    open_model(&s, o, 0);
    if ((int64_t)o->depth + n_prompt + o->n > 1 << 28) die_usage("%.0f tokens are too many", (double)o->depth + n_prompt + o->n);
    n_all = o->depth + n_prompt + o->n;
    open_context(&s, o, n_all, 0);
    if (s.plan.n_ctx < n_all) die_usage("-c %d is too small for %d tokens", s.plan.n_ctx, n_all);
    ids = (int32_t *)xmalloc((size_t)n_all * sizeof *ids);
    for (i = 0; i < n_all; i++) ids[i] = (int32_t)((uint32_t)(i + 1) * 2654435761u % (uint32_t)s.info.n_vocab);
    pre = (double *)xmalloc((size_t)o->runs * 3 * sizeof *pre);
    dec = pre + o->runs;
    tmp = dec + o->runs;
    if (o->bytes) {
        bytes = (traffic *)xmalloc(sizeof *bytes);
        traffic_open(bytes, &s, o, o->depth + n_prompt);
    }
    if (o->depth) {                                             /* what is there before the clock starts, once for all runs */
        feed(&s, ids, o->depth, AIOS_FEED_NO_LOGITS);
        while (advance(&s, o, 1) == AIOS_MORE) {}
    }
    for (r = -1; r < o->runs; r++) {                            /* -1: to warm up */
        uint64_t t0, t1, t2;
        cut(&s, o->depth);
        t0 = aios_now_ns(s.ctx);
        feed(&s, ids + o->depth, n_prompt, 0);
        while (advance(&s, o, 0) == AIOS_MORE) {}
        t1 = aios_now_ns(s.ctx);
        aios_counters_reset(s.ctx);
        if (bytes && bytes->measured) dram_lap(&bytes->d);
        for (i = 0; i < o->n; i++) {
            feed(&s, ids + o->depth + n_prompt + i, 1, 0);
            while (advance(&s, o, 0) == AIOS_MORE) {}
        }
        t2 = aios_now_ns(s.ctx);
        if (bytes) traffic_lap(bytes, &s, o, r, (double)(t2 - t1) * 1e-9);
        if (r >= 0) {
            pre[r] = n_prompt * 1e9 / (double)(t1 - t0 + 1);
            dec[r] = o->n * 1e9 / (double)(t2 - t1 + 1);
        }
        bar("bench", (uint64_t)(r + 2), (uint64_t)(o->runs + 1));
    }
    bar("", 0, 0);
    aios_counters_init(&c);
    aios_counters_get(s.ctx, &c);
    per[0] = (double)c.weight_bytes / o->n;
    per[1] = (double)c.kv_bytes / o->n;
    per[2] = (double)c.act_bytes / o->n;
    per[3] = (double)c.stream_bytes / o->n;
    close_session(&s);                                          /* what the measurement takes comes not on top of the model */
    read_gb_s = read_bandwidth(s.plan.n_threads, o->ram) * 1e-9;
    memcpy(tmp, pre, (size_t)o->runs * sizeof *tmp);
    pre_median = median(tmp, o->runs);
    memcpy(tmp, dec, (size_t)o->runs * sizeof *tmp);
    dec_median = median(tmp, o->runs);
    if (o->json) {
        printf("{\"threads\": %d, \"isa\": \"%s\", \"kv\": \"%s\", \"depth\": %d, \"prefill_tok_s\": %.3f, \"decode_tok_s\": %.3f, \"runs\": [", s.plan.n_threads,
               aiosk_select(s.plan.isa)->name, aiosk_kv_name(s.plan.kv_type, kv_text), o->depth, pre_median, dec_median);
        for (r = 0; r < o->runs; r++) printf("%s{\"prefill_tok_s\": %.3f, \"decode_tok_s\": %.3f}", r ? ", " : "", pre[r], dec[r]);
        printf("], \"read_gb_s\": %.3f, \"bytes_per_token\": {\"weights\": %.0f, \"kv\": %.0f, \"activations\": %.0f, \"streamed\": %.0f}",
               read_gb_s, per[0], per[1], per[2], per[3]);
        if (s.plan.n_expert_slots) printf(", \"experts\": {\"slots\": %u, \"of\": %u, \"hit_percent\": %.2f, \"streamed\": %.0f}", s.plan.n_expert_slots, s.plan.n_experts, hit_percent(&c), (double)c.expert_bytes / o->n);
        if (bytes) traffic_report(bytes, o);
        printf("}\n");
    } else {
        printf("%d threads, %s, cache %s, %d runs; medians\n", s.plan.n_threads, aiosk_select(s.plan.isa)->name, aiosk_kv_name(s.plan.kv_type, kv_text), o->runs);
        printf("prefill  %10.2f tok/s   (%d tokens after %d)\ndecode   %10.2f tok/s   (%d tokens after them)\n", pre_median, n_prompt, o->depth, dec_median, o->n);
        printf("read     %10.3f MB/token (weights %.3f, kv %.3f)\n", (per[0] + per[1]) * 1e-6, per[0] * 1e-6, per[1] * 1e-6);
        if (s.plan.n_units) printf("stream   %10.3f MB/token from storage, %llu of %llu units waited for, %.1f ms/token\n", per[3] * 1e-6,
                                   (unsigned long long)c.n_stalls, (unsigned long long)c.n_units, (double)c.stall_ns * 1e-6 / o->n);
        if (s.plan.n_expert_slots) printf("experts  %10.1f %% hits in a cache of %u of %u, %.3f MB/token from storage, %.1f ms/token waited\n", hit_percent(&c), s.plan.n_expert_slots,
                                          s.plan.n_experts, (double)c.expert_bytes * 1e-6 / o->n, (double)c.stall_ns * 1e-6 / o->n);
        used = (per[0] + per[1]) * dec_median * 1e-7 / read_gb_s;
        printf("memory   %10.2f GB/s read by these threads; decode reads %.1f %% of that%s\n", read_gb_s, used,
               used > 100 ? ": from the CPU's caches" : "");
        if (bytes) traffic_report(bytes, o);
    }
    if (bytes) traffic_close(bytes);
    free(bytes);
    free(ids);
    free(pre);
    return 0;
}
#endif
