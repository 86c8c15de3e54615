/* sampler.c: logits -> token. The last step of the flow; knows nothing of contexts, vocabularies
 * or threads.
 *
 * The same token on every machine: exp is the kernels' canonical one, sums are double and run in
 * a fixed order, the random number is a hash of (seed, pos). Candidates stand in the order
 * (logit descending, id ascending), so ties have one answer.
 *
 *     logits -> x -> stage -> stage -> ... -> draw
 *
 * A stage is a row of aios__sample_stages and a function of the draw; the host may set their order.
 * There are two kinds. Some change logits: of any token, looking at the history if they want. The
 * others leave candidates out, and every one of them keeps a piece of the ranking: the likeliest
 * (top-k, top-p, min-p, top-n-sigma), all but the likeliest (XTC), those around one likelihood
 * (typical). So the candidates are two ranks, [first, end), and nothing is moved.
 *
 * Nothing is sorted that nobody looks at. With top-k, a heap holds the k best. Without,
 * candidates are taken in bands of falling likelihood, and a band is a heap that is popped only
 * as far as a filter or the draw asks; most draws end in the first. A filter that cuts the tail
 * notes its limit, and one walk finds where the first of them bites. A vocabulary of 151936 takes
 * 1.0 ms (EPYC with AVX-512, one core), 12 when top-p ranks tens of thousands. */

/* Below exp(-64) of the best a candidate cannot be drawn: over 2^31 of them together still weigh
 * less than 2^-53, the step of the uniform number. Keeps the exponential away from underflow. */
#define AIOS__SAMPLE_FLOOR (-64.0f)
#define AIOS__SAMPLE_BAND \
    (-4.0) /* where the first band ends; each further one reaches twice as deep */
#define AIOS__SAMPLE_ALL 1e300 /* more than any sum or logit */

/* What the stages work on. Candidate i of the vocabulary is { i, x[i], e[i] }.
 *   x     [n_vocab]  by id: the logit as the stages left it, AIOSK_NEG_INF = cannot be drawn
 *   e     [n_vocab]  by id: exp((x - max) / temperature), the probability times the sum of all
 *   key   [n_vocab]  one u64 per candidate: logit in an order-preserving code, inverted, above the
 *                    id; ascending key is the order above. Rank r, once popped, lies at
 *                    [n_vocab - 1 - r]; below the popped ones the heap, [low, low + n_heap) */
typedef struct aios__draw {
    const aiosk_isa *k;
    const aios_sampler *s;
    const int32_t *recent; /* [n_recent] ids, the newest last: what a stage may know of the text */
    uint64_t n_recent, pos;
    uint64_t *key;
    float *x, *e;
    int32_t n_vocab;
    /* the candidates; end may be beyond what weighs anything until they are weighed */
    int32_t first, end;
    int32_t best; /* the id at first, -1 = not asked yet */
    /* weights: set when weighed. sum: of e over the candidates. n: ranks that weigh something */
    int32_t weighed, n;
    float temperature, max;
    double sum;
    /* limits that wait for the walk: candidates end where those before weigh enough, or below
     * least, or where end was moved to after the sum was taken */
    int32_t limited;
    float least;
    double enough;
    /* the ranking: candidates of a logit from taken on are in key */
    int32_t low, n_heap;
    double taken, band;
} aios__draw;

/* finaliser of splitmix64 (Steele, Lea, Flood 2014; Stafford's variant 13) */
static uint64_t aios__mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
/* Uniform in [0, 1), 53 bits: number pos of the splitmix64 stream that starts at the mixed seed. */
static double aios__uniform(uint64_t seed, uint64_t pos) {
    uint64_t z = aios__mix64(seed + 0x9E3779B97F4A7C15u);
    z = aios__mix64(z + (pos + 1) * 0x9E3779B97F4A7C15u);
    return (double)(z >> 11) * (1.0 / 9007199254740992.0);
}

static uint64_t aios__draw_key(float x, int32_t id) {
    uint32_t u;
    x += 0.0f; /* -0 ties with +0 */
    memcpy(&u, &x, 4);
    u = u & 0x80000000u ? u : ~u & 0x7FFFFFFFu; /* larger logit, smaller code */
    return (uint64_t)u << 32 | (uint32_t)id;
}
static void aios__draw_sift(uint64_t *key, int32_t n, int32_t i) {
    uint64_t v = key[i];
    while (i < n / 2) {
        int32_t c = 2 * i + 1;
        if (c + 1 < n && key[c + 1] < key[c]) c++;
        if (v <= key[c]) break;
        key[i] = key[c];
        i = c;
    }
    key[i] = v;
}
static void aios__draw_heapify(uint64_t *key, int32_t n) {
    for (int32_t i = n / 2 - 1; i >= 0; i--) aios__draw_sift(key, n, i);
}
/* Takes the next band into the heap, which is empty: those below the last one, down to a depth
 * that doubles. Where bands end decides how much is ranked, never how. */
static void aios__draw_take(aios__draw *d) {
    const double above = d->taken;
    const int32_t end = d->low;

    d->band = d->band < 0 ? 2 * d->band : AIOS__SAMPLE_BAND;
    double from = (double)d->max + (double)d->temperature * d->band;
    d->taken = from < above ? from : above;
    for (int32_t i = 0; i < d->n_vocab; i++) {
        const double x = (double)d->x[i];
        if (x < above && x >= from) d->key[--d->low] = aios__draw_key(d->x[i], i);
    }
    d->n_heap = end - d->low;
    aios__draw_heapify(d->key + d->low, d->n_heap);
}
/* The id at a rank, 0 = most likely; pops what is missing. rank is below the number of ids. */
static int32_t aios__draw_rank(aios__draw *d, int32_t rank) {
    while (d->n_vocab - d->low - d->n_heap <= rank) {
        uint64_t *heap = d->key + d->low, best;
        if (d->n_heap == 0) {
            aios__draw_take(d);
            continue;
        }
        best = heap[0];
        d->n_heap--;
        heap[0] = heap[d->n_heap];
        heap[d->n_heap] = best;
        if (d->n_heap > 1) aios__draw_sift(heap, d->n_heap, 0);
    }
    return (int32_t)(d->key[d->n_vocab - 1 - rank] & 0x7FFFFFFFu);
}
/* The likeliest candidate. */
static int32_t aios__draw_best(aios__draw *d) {
    if (d->best < 0)
        d->best = d->first ? aios__draw_rank(d, d->first) : d->k->argmax(d->x, d->n_vocab);
    return d->best;
}
/* How far below the best, in units of the exponential; AIOS__SAMPLE_FLOOR * 2 for what cannot be
 * drawn. */
static inline float aios__draw_depth(const aios__draw *d, int32_t i) {
    float t = (d->x[i] - d->max) / d->temperature;
    return d->x[i] > AIOSK_NEG_INF && t >= AIOS__SAMPLE_FLOOR ? t : 2 * AIOS__SAMPLE_FLOOR;
}

/* Leaves the k smallest of n keys at [0, k), in no particular order (but always the same one).
 * Their complements are a heap, so the worst of the k best so far lies on top; few of a long
 * list get past it. */
static void aios__draw_top(uint64_t *key, int32_t n, int32_t k) {
    for (int32_t i = 0; i < k; i++) key[i] = ~key[i];
    aios__draw_heapify(key, k);
    for (int32_t i = k; i < n; i++) {
        if (~key[i] <= key[0]) continue;
        key[0] = ~key[i];
        aios__draw_sift(key, k, 0);
    }
    for (int32_t i = 0; i < k; i++) key[i] = ~key[i];
}
/* Takes the end best in, where nothing is ranked yet; a heap they become once they are summed. e:
 * depths, at least AIOS__SAMPLE_FLOOR; of those at the floor alone it is asked if they count. */
static void aios__draw_list(aios__draw *d) {
    const int32_t end = d->end;
    int32_t n = 0;
    for (int32_t i = 0; i < d->n_vocab; i++)
        if (d->e[i] > AIOS__SAMPLE_FLOOR || aios__draw_depth(d, i) >= AIOS__SAMPLE_FLOOR)
            d->key[n++] = aios__draw_key(d->x[i], i);
    aios__draw_top(d->key, n, end);
    d->low = d->n_vocab - end;
    d->n_heap = end;
    d->taken = AIOSK_NEG_INF;
    memmove(d->key + d->low, d->key, (size_t)end * sizeof *d->key);
}
/* The sum of e over the candidates: by rank, or by id where no tail is left out, since that ranks
 * nothing. That order is fixed too; four sums, for speed. What was left out above weighs 0. */
static double aios__draw_sum(aios__draw *d) {
    const float *e = d->e;
    double lane[4] = { 0, 0, 0, 0 };
    int32_t i;
    if (d->end < d->n) {
        for (i = d->first; i < d->end; i++) lane[0] += (double)e[aios__draw_rank(d, i)];
        return lane[0];
    }
    for (i = 0; i + 4 <= d->n_vocab; i += 4) {
        lane[0] += (double)e[i];
        lane[1] += (double)e[i + 1];
        lane[2] += (double)e[i + 2];
        lane[3] += (double)e[i + 3];
    }
    for (; i < d->n_vocab; i++) lane[0] += (double)e[i];
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* ---- what stages ask for ---- */
/* Weighs the candidates: e, max, sum, n. Returns how many there are, before limits that wait; with
 * fewer than two there is nothing to decide and nothing was weighed. */
static int32_t aios__draw_weigh(aios__draw *d) {
    float *e = d->e;
    int32_t i;
    if (d->weighed) return d->end - d->first;
    d->max = d->x[aios__draw_best(d)];
    if (d->end - d->first < 2) return d->end - d->first;
    for (i = 0, d->n = 0; i < d->n_vocab; i++) {
        float t = aios__draw_depth(d, i);
        d->n += t >= AIOS__SAMPLE_FLOOR;
        e[i] = t >= AIOS__SAMPLE_FLOOR ? t : AIOS__SAMPLE_FLOOR;
    }
    int32_t listed = d->end < d->n && d->low == d->n_vocab;
    if (listed) aios__draw_list(d);
    d->k->exp(e, d->n_vocab, e);
    d->weighed = 1;
    for (i = 0; i < d->first; i++) e[aios__draw_rank(d, i)] = 0;
    if (listed) {
        for (i = 0, d->sum = 0; i < d->n_heap; i++)
            d->sum += (double)e[d->key[d->low + i] & 0x7FFFFFFFu];
        aios__draw_heapify(d->key + d->low, d->n_heap);
    } else {
        if (d->end > d->n) d->end = d->n;
        d->sum = aios__draw_sum(d);
    }
    return d->end - d->first;
}
/* The same, with the limits that wait carried out: end and sum are what they are. */
static int32_t aios__draw_count(aios__draw *d) {
    int32_t i;
    if (aios__draw_weigh(d) < 2 || !d->limited) return d->end - d->first;
    for (i = d->first, d->sum = 0; i < d->end && d->sum < d->enough; i++) {
        float w = d->e[aios__draw_rank(d, i)];
        if (i > d->first && w < d->least) break;
        d->sum += (double)w;
    }
    d->end = i;
    d->limited = 0;
    d->least = 0;
    d->enough = AIOS__SAMPLE_ALL;
    return d->end - d->first;
}
/* Leaves the candidates before rank first out; the sum is the caller's. */
static void aios__draw_from(aios__draw *d, int32_t first) {
    for (; d->first < first; d->first++) d->e[aios__draw_rank(d, d->first)] = 0;
    d->best = -1;
}
/* Every id is a candidate, even where x is AIOSK_NEG_INF; nothing is ranked. */
static void aios__draw_all(aios__draw *d) {
    d->first = d->weighed = d->limited = d->n_heap = 0;
    d->end = d->low = d->n_vocab;
    d->best = -1;
    d->least = 0;
    d->band = 0;
    d->enough = AIOS__SAMPLE_ALL;
    d->taken = AIOS__SAMPLE_ALL;
}
/* Before x or key are written: what was left out becomes AIOSK_NEG_INF, all are candidates. */
static void aios__draw_restart(aios__draw *d) {
    if (d->first > 0 || d->end < d->n_vocab || d->limited) {
        aios__draw_count(d);
        memset(d->e, 0, (size_t)d->n_vocab * sizeof *d->e);
        for (int32_t i = d->first; i < d->end; i++) d->e[aios__draw_rank(d, i)] = 1;
        for (int32_t i = 0; i < d->n_vocab; i++)
            if (d->e[i] == 0) d->x[i] = AIOSK_NEG_INF;
    }
    aios__draw_all(d);
}

static float aios__finite(float x) { /* NaN and -infinity: AIOSK_NEG_INF */
    return x > AIOSK_NEG_INF ? (x > -AIOSK_NEG_INF ? -AIOSK_NEG_INF : x) : AIOSK_NEG_INF;
}

static void aios__draw_begin(aios__draw *d, const float *logits) {
    for (int32_t i = 0; i < d->n_vocab; i++) d->x[i] = aios__finite(logits[i]);
    d->temperature = 1;
    aios__draw_all(d);
}

/* ---- stages ---- */
AIOS__SMALL_BEGIN
static void aios__sample_bias(aios__draw *d) {
    const aios_sampler *s = d->s;
    aios__draw_restart(d);
    for (uint32_t i = 0; i < s->n_bias;
         i++) { /* what cannot be drawn stays so, whatever is added */
        float *v = &d->x[s->bias[i].id];
        if (*v > AIOSK_NEG_INF) *v = aios__finite(*v + s->bias[i].bias);
    }
}
/* Keskar et al. 2019 (CTRL, arXiv 1909.05858), section 4.1;
 * what is negative is multiplied. */
static void aios__sample_repeat(aios__draw *d) {
    const float penalty = d->s->repeat_penalty;
    const uint64_t n = aios__min_u64(d->n_recent, (uint64_t)d->s->repeat_last);
    uint8_t *seen = (uint8_t *)d->key; /* a bit per id; a repeated id is punished once */
    aios__draw_restart(d);
    memset(seen, 0, (size_t)d->n_vocab / 8 + 1);
    for (uint64_t i = d->n_recent - n; i < d->n_recent; i++) {
        const int32_t id = d->recent[i];
        const uint8_t bit = (uint8_t)(1 << (id & 7));
        float *v = &d->x[id];
        if (seen[id >> 3] & bit) continue;
        seen[id >> 3] = (uint8_t)(seen[id >> 3] | bit);
        if (*v > AIOSK_NEG_INF) *v = aios__finite(*v > 0 ? *v / penalty : *v * penalty);
    }
}
/* Top-n-sigma (Tang et al. 2024, arXiv 2411.07641): logits down to n standard deviations below the
 * best one, whatever the temperature. In distances u from the best, so that one pass is exact
 * enough: none is longer than sqrt(n_vocab) deviations (Samuelson 1968). */
AIOSK__STRICT static void aios__sample_top_n_sigma(aios__draw *d) {
    const double n = (double)d->s->top_n_sigma;
    double sum[4] = { 0, 0, 0, 0 }, square[4] = { 0, 0, 0, 0 };
    int32_t n_alive = 0;
    aios__draw_restart(d);
    float max = d->x[aios__draw_best(d)];
    for (int32_t i = 0; i < d->n_vocab; i++) {
        double u = (double)max - (double)d->x[i];
        if (!(d->x[i] > AIOSK_NEG_INF)) continue;
        n_alive++;
        sum[i & 3] += u;
        square[i & 3] += u * u;
    }
    if (n_alive < 2) return;
    double mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (double)n_alive;
    double limit =
        ((square[0] + square[1]) + (square[2] + square[3])) / (double)n_alive - mean * mean;
    limit = limit > 0 ? n * n * limit : 0;
    for (int32_t i = 0; i < d->n_vocab; i++) {
        double u = (double)max - (double)d->x[i];
        if (u * u > limit) d->x[i] = AIOSK_NEG_INF;
    }
}
static void aios__sample_top_k(aios__draw *d) {
    if (d->s->top_k >= d->end - d->first) return;
    d->end = d->first + d->s->top_k;
    d->limited = d->weighed;
}
/* 0: the likeliest alone. */
static void aios__sample_temperature(aios__draw *d) {
    if (d->weighed) aios__draw_count(d); /* limits of before are of that temperature */
    if (d->s->temperature > 0) {
        d->temperature = d->s->temperature;
        d->weighed = 0;
    } else if (d->end > d->first) {
        d->end = d->first + 1;
    }
}
/* Locally typical sampling (Meister et al. 2022, arXiv 2202.00666): those whose surprise -log p is
 * nearest to the entropy, until they make up typical_p. With p = e / sum and t = log e,
 * |-log p - H| is |mean t - t|: no logarithm is taken, and the nearest ones are a piece of the
 * ranking, which grows from where t passes its mean. Of two that are as near the likelier comes
 * first; of equal logits the one that is nearer by rank. */
AIOSK__STRICT static void aios__sample_typical_p(aios__draw *d) {
    double mean = 0, mass = 0;
    if (aios__draw_count(d) < 2) return;
    if (d->end < d->n) {
        for (int32_t i = d->first; i < d->end; i++) {
            const int32_t id = aios__draw_rank(d, i);
            mean += (double)d->e[id] * (double)aios__draw_depth(d, id);
        }
    } else {
        for (int32_t i = 0; i < d->n_vocab; i++) {
            const float t = aios__draw_depth(d, i);
            if (t >= AIOS__SAMPLE_FLOOR) mean += (double)d->e[i] * (double)t;
        }
    }
    mean /= d->sum;
    int32_t first = d->first;
    while (first < d->end && (double)aios__draw_depth(d, aios__draw_rank(d, first)) >= mean)
        first++;
    int32_t end = first;
    while (mass < (double)d->s->typical_p * d->sum && (first > d->first || end < d->end)) {
        int32_t up = first > d->first;
        if (up && end < d->end)
            up = (double)aios__draw_depth(d, aios__draw_rank(d, first - 1)) - mean <=
                 mean - (double)aios__draw_depth(d, aios__draw_rank(d, end));
        mass += (double)d->e[aios__draw_rank(d, up ? --first : end++)];
    }
    aios__draw_from(d, first);
    d->end = end;
    d->sum = mass;
}
/* Top-p, nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751): those that make up top_p. */
static void aios__sample_top_p(aios__draw *d) {
    if (aios__draw_count(d) < 2) return;
    d->enough = (double)d->s->top_p * d->sum;
    d->limited = 1;
}
/* Min-p (Nguyen et al. 2024, arXiv 2407.01082): those at least p times as likely as the first. */
static void aios__sample_min_p(aios__draw *d) {
    if (aios__draw_weigh(d) < 2) return;
    d->least = d->s->min_p * d->e[aios__draw_rank(d, d->first)];
    d->limited = 1;
}
/* XTC, "exclude top choices" (P. E. Weidmann 2024, text-generation-webui 6335): of the candidates
 * of a probability of at least the threshold only the least likely stays. Whether at all is
 * decided per token, by a random number of its own. */
static void aios__sample_xtc(aios__draw *d) {
    const float threshold = d->s->xtc_threshold > 0 ? d->s->xtc_threshold : 0.1f;

    if (aios__uniform(~d->s->seed, d->pos) >= (double)d->s->xtc_probability) return;
    if (aios__draw_count(d) < 2) return;
    double least = (double)threshold * d->sum;
    int32_t last = d->first;
    while (last + 1 < d->end && (double)d->e[aios__draw_rank(d, last + 1)] >= least) last++;
    if (last == d->first) return;
    aios__draw_from(d, last);
    d->sum = aios__draw_sum(d);
}

/* The token, -1 = there is none that can be drawn. */
static int32_t aios__draw_pick(aios__draw *d) {
    double part = 0;
    int32_t i;
    if (aios__draw_count(d) < 2) {
        i = aios__draw_best(d);
        return d->x[i] > AIOSK_NEG_INF ? i : -1;
    }
    double r = aios__uniform(d->s->seed, d->pos) * d->sum;
    for (i = d->first; i < d->end - 1; i++) {
        part += (double)d->e[aios__draw_rank(d, i)];
        if (part > r) break;
    }
    return aios__draw_rank(d, i);
}

/* ---- the table ---- */
/* A field of aios_sampler: f = a number from 0 to max, i = a count of at least 0, u = any count. */
typedef struct aios__param {
    const char *name;
    uint16_t at;
    char kind;
    float max;
} aios__param;
/* A stage runs when the first field that it takes is neither of off. */
typedef struct aios__sample_stage {
    uint32_t id;
    const char *name;
    void (*fn)(aios__draw *d);
    float off[2];
    aios__param takes[2];
} aios__sample_stage;
/* In the order that an aios_sampler.order of zeros means. A new stage: its function above, a row
 * here, its AIOS_STAGE_* and fields in api.h. */
/* clang-format off */
#define AIOS__F(field, max) { #field, (uint16_t)offsetof(aios_sampler, field), 'f', max }
#define AIOS__N(field, kind) { #field, (uint16_t)offsetof(aios_sampler, field), kind, 0 }
#define AIOS__ANY (-AIOSK_NEG_INF)
static const aios__sample_stage aios__sample_stages[] = {
    { AIOS_STAGE_BIAS,         "bias",        aios__sample_bias,        { 0, 0 },
      { AIOS__N(n_bias, 'u') } },
    { AIOS_STAGE_REPEAT,       "repeat",      aios__sample_repeat,      { 0, 1 },
      { AIOS__F(repeat_penalty, AIOS__ANY), AIOS__N(repeat_last, 'i') } },
    { AIOS_STAGE_TOP_N_SIGMA,  "top_n_sigma", aios__sample_top_n_sigma, { 0, 0 },
      { AIOS__F(top_n_sigma, AIOS__ANY) } },
    { AIOS_STAGE_TOP_K,        "top_k",       aios__sample_top_k,       { 0, 0 },
      { AIOS__N(top_k, 'i') } },
    { AIOS_STAGE_TEMPERATURE,  "temperature", aios__sample_temperature, { 1, 1 },
      { AIOS__F(temperature, AIOS__ANY) } },
    { AIOS_STAGE_TYPICAL_P,    "typical_p",   aios__sample_typical_p,   { 0, 1 },
      { AIOS__F(typical_p, 1) } },
    { AIOS_STAGE_TOP_P,        "top_p",       aios__sample_top_p,       { 0, 1 },
      { AIOS__F(top_p, 1) } },
    { AIOS_STAGE_MIN_P,        "min_p",       aios__sample_min_p,       { 0, 0 },
      { AIOS__F(min_p, 1) } },
    { AIOS_STAGE_XTC,          "xtc",         aios__sample_xtc,         { 0, 0 },
      { AIOS__F(xtc_probability, 1), AIOS__F(xtc_threshold, 1) } }
};
/* clang-format on */
#undef AIOS__F
#undef AIOS__N
#undef AIOS__ANY
enum { AIOS__N_SAMPLE_STAGES = sizeof aios__sample_stages / sizeof *aios__sample_stages };

static const aios__sample_stage *aios__sample_stage_of(uint32_t id) {
    for (int32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++)
        if (aios__sample_stages[i].id == id) return &aios__sample_stages[i];
    return NULL;
}
AIOS_API const char *aios_stage_name(int32_t id) {
    const aios__sample_stage *t = aios__sample_stage_of((uint32_t)id);
    return t ? t->name : NULL;
}
static double aios__param_of(const aios_sampler *s, const aios__param *p) {
    const char *at = (const char *)s + p->at;
    float number;
    int32_t count;
    memcpy(&number, at, 4);
    memcpy(&count, at, 4);
    return p->kind == 'f'   ? (double)number
           : p->kind == 'i' ? (double)count
                            : (double)(uint32_t)count;
}
static int32_t aios__sample_stage_on(const aios__sample_stage *t, const aios_sampler *s) {
    const double v = aios__param_of(s, &t->takes[0]);
    return v != (double)t->off[0] && v != (double)t->off[1];
}

/* Each stage once, no gap, and none left out that a field asks for. */
static aios_status aios__order_check(const aios_sampler *s, aios_error *err) {
    const uint32_t n_order = sizeof s->order;
    uint32_t n = 0;
    while (n < n_order && s->order[n]) n++;
    for (uint32_t i = n; i < n_order; i++)
        if (s->order[i])
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, s->order[i],
                               "sampler.order ends with its first 0, at %, but % has a stage",
                               aios__u(n), aios__u(i));
    for (uint32_t i = 0; i < n; i++) {
        const aios__sample_stage *t = aios__sample_stage_of(s->order[i]);
        if (!t)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, s->order[i],
                               "sampler.order[%] is %, which is no stage", aios__u(i),
                               aios__u(s->order[i]));
        for (uint32_t k = 0; k < i; k++)
            if (s->order[k] == s->order[i])
                return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.order names % twice",
                                   aios__z(t->name));
    }
    for (uint32_t k = 0; n && k < AIOS__N_SAMPLE_STAGES; k++) {
        const aios__sample_stage *t = &aios__sample_stages[k];
        if (!aios__sample_stage_on(t, s) || memchr(s->order, (int)t->id, n)) continue;
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, 0,
                           "sampler.order leaves out %, which sampler.% asks for", aios__z(t->name),
                           aios__z(t->takes[0].name));
    }
    return AIOS_OK;
}
static aios_status aios__sampler_check(const aios_sampler *s, int32_t n_vocab, aios_error *err) {
    for (uint32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++)
        for (uint32_t k = 0; k < 2; k++) {
            const aios__param *p = &aios__sample_stages[i].takes[k];
            const double v = p->name ? aios__param_of(s, p) : 0;
            if (p->kind == 'f' && !(v >= 0 && v <= (double)p->max))
                return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                                   p->max == 1 ? "sampler.% is not a number from 0 to 1"
                                               : "sampler.% is not a finite number of at least 0",
                                   aios__z(p->name));
            if (p->kind == 'i' && v < 0)
                return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, 0, "sampler.% is %, below 0",
                                   aios__z(p->name), aios__i((int64_t)v));
        }
    if (s->flags)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "sampler.flags is %; this version knows no flag", aios__u(s->flags));
    if (s->n_bias && !s->bias)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.n_bias is %, but bias is NULL",
                           aios__u(s->n_bias));
    for (uint32_t i = 0; i < s->n_bias; i++) {
        if (s->bias[i].id < 0 || s->bias[i].id >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)s->bias[i].id,
                               "sampler.bias names token %, but the vocabulary has %",
                               aios__i(s->bias[i].id), aios__i(n_vocab));
        if (s->bias[i].bias != s->bias[i].bias)
            return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                               "sampler.bias of token % is not a number", aios__i(s->bias[i].id));
    }
    return aios__order_check(s, err);
}

AIOS_API uint64_t aios_sample_work_bytes(int32_t n_vocab) {
    return n_vocab > 0
               ? aios__round_up((uint64_t)n_vocab * (sizeof(uint64_t) + 2 * sizeof(float)), 64)
               : 0;
}

/* From logits to candidates: the stages that are on, in their order. */
static void aios__sample_chain(aios__draw *d, const float *logits) {
    const aios_sampler *s = d->s;
    aios__draw_begin(d, logits);
    for (int32_t i = 0; i < AIOS__N_SAMPLE_STAGES; i++) {
        const aios__sample_stage *t =
            s->order[0] ? aios__sample_stage_of(s->order[i]) : &aios__sample_stages[i];
        if (t && aios__sample_stage_on(t, s)) t->fn(d);
    }
}

/* aios_sample_logits with the kernels of a set that the caller has picked. */
static aios_status aios__sample(const aiosk_isa *k, const aios_sampler *sampler,
                                const float *logits, int32_t n_vocab, const int32_t *recent,
                                uint64_t n_recent, uint64_t pos, void *work, int32_t *id,
                                aios_error *err) {
    aios_sampler s;
    aios__draw d;
    aios_status st;
    if (!id) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "id is NULL");
    *id = -1;
    if ((st = aios__desc_copy(AIOS__ID_aios_sampler, &s, sampler, err)) != AIOS_OK) return st;
    if ((st = aios__unused(s.reserved, "aios_sampler", err)) != AIOS_OK) return st;
    if (n_vocab < 1 || !logits)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "there are no logits to draw from (n_vocab is %)", aios__i(n_vocab));
    if (!work || (uintptr_t)work % 8)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "work is NULL or not 8-byte aligned");
    if (n_recent && !recent)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "n_recent is set, but recent is NULL");
    if ((st = aios__sampler_check(&s, n_vocab, err)) != AIOS_OK) return st;
    if (s.repeat_last == 0) s.repeat_last = 64;
    /* how limit back the stages read: further than that, nobody looks */
    uint64_t n_read = aios__sample_stage_on(aios__sample_stage_of(AIOS_STAGE_REPEAT), &s)
                          ? (uint64_t)s.repeat_last
                          : 0;
    for (uint64_t i = n_recent - aios__min_u64(n_recent, n_read); i < n_recent; i++)
        if (recent[i] < 0 || recent[i] >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)recent[i],
                               "recent names token %, but the vocabulary has %", aios__i(recent[i]),
                               aios__i(n_vocab));
    d.k = k;
    d.s = &s;
    d.recent = recent;
    d.n_recent = n_recent;
    d.pos = pos;
    d.key = (uint64_t *)work;
    d.x = (float *)(void *)(d.key + n_vocab);
    d.e = d.x + n_vocab;
    d.n_vocab = n_vocab;
    uint64_t fp = aiosk_fp_begin();
    aios__sample_chain(&d, logits);
    *id = aios__draw_pick(&d);
    aiosk_fp_end(fp);
    if (*id < 0)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "no token can be drawn: every logit is -infinity or not a number");
    return AIOS_OK;
}

AIOS_API aios_status aios_sample_logits(const aios_sampler *s, const float *logits, int32_t n_vocab,
                                        const int32_t *recent, uint64_t n_recent, uint64_t pos,
                                        void *work, int32_t *id, aios_error *err) {
    return aios__sample(aiosk_select(AIOSK_ISA_BEST), s, logits, n_vocab, recent, n_recent, pos,
                        work, id, err);
}
AIOS__SMALL_END
