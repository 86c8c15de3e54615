/* sampler.c: logits -> token. The last step of the flow; knows nothing of contexts, vocabularies
 * or threads.
 *
 * The same token on every machine: exp is the kernels' canonical one, sums are double and run in
 * a fixed order, the random number is a hash of (seed, pos). Candidates stand in the order
 * (logit descending, id ascending), so ties have one answer.
 *
 * Nothing is sorted that nobody looks at. With top-k, a heap holds the k best. Without,
 * candidates are taken in bands of falling likelihood, and a band is a heap that is popped only
 * as far as a filter or the draw asks; most draws end in the first. A vocabulary of 262144 takes
 * 1 to 1.5 ms (AVX-512 Xeon, one core), 5 ms when top-p has to rank tens of thousands. */

/* Below exp(-64) of the best a candidate cannot be drawn: over 2^31 of them together still weigh
 * less than 2^-53, the step of the uniform number. Keeps the exponential away from underflow. */
#define AIOS__SAMPLE_FLOOR (-64.0f)
#define AIOS__SAMPLE_BAND \
    (-4.0f) /* where the first band ends; each further one reaches twice as deep */

/* What the draw works on.
 *   key   [n_vocab]  one u64 per candidate: logit in an order-preserving code, inverted, above the
 *                    id; ascending key is the order above. Rank r, once popped, lies at
 *                    [n_vocab - 1 - r]; below the popped ones the band's heap, [low, low + n_heap)
 *   x     [n_vocab]  by id: the adjusted logit, AIOSK_NEG_INF = cannot be drawn
 *   e     [n_vocab]  by id: exp((x - max) / temperature) */
typedef struct aios__draw {
    uint64_t *key;
    float *x, *e;
    float max, temperature, band; /* candidates from band on have been taken */
    int32_t n_vocab, low, n_heap;
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
/* How far below the best, in units of the exponential; AIOS__SAMPLE_FLOOR * 2 for what cannot be
 * drawn. */
static inline float aios__draw_depth(const aios__draw *d, int32_t i) {
    float t = (d->x[i] - d->max) / d->temperature;
    return d->x[i] > AIOSK_NEG_INF && t >= AIOS__SAMPLE_FLOOR ? t : 2 * AIOS__SAMPLE_FLOOR;
}
static void aios__draw_heapify(uint64_t *key, int32_t n) {
    int32_t i;
    for (i = n / 2 - 1; i >= 0; i--) aios__draw_sift(key, n, i);
}
/* The id at a rank, 0 = most likely; pops what is missing. rank is below the number of
 * candidates. */
static int32_t aios__draw_rank(aios__draw *d, int32_t rank) {
    while (d->n_vocab - d->low - d->n_heap <= rank) {
        uint64_t *heap = d->key + d->low, best;
        if (d->n_heap == 0) {
            float above = d->band;
            int32_t i, end = d->low;
            d->band = above > 0 ? AIOS__SAMPLE_BAND : 2 * above;
            for (i = 0; i < d->n_vocab; i++) {
                float t = aios__draw_depth(d, i);
                if (t < above && t >= d->band) d->key[--d->low] = aios__draw_key(d->x[i], i);
            }
            d->n_heap = end - d->low;
            aios__draw_heapify(d->key + d->low, d->n_heap);
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

/* Leaves the k smallest of n keys at [0, k), in no particular order (but always the same one).
 * Their complements are a heap, so the worst of the k best so far lies on top; few of a long
 * list get past it. */
static void aios__draw_top(uint64_t *key, int32_t n, int32_t k) {
    int32_t i;
    for (i = 0; i < k; i++) key[i] = ~key[i];
    aios__draw_heapify(key, k);
    for (i = k; i < n; i++) {
        if (~key[i] <= key[0]) continue;
        key[0] = ~key[i];
        aios__draw_sift(key, k, 0);
    }
    for (i = 0; i < k; i++) key[i] = ~key[i];
}

static float aios__finite(float x) { /* NaN and -infinity: AIOSK_NEG_INF */
    return x > AIOSK_NEG_INF ? (x > -AIOSK_NEG_INF ? -AIOSK_NEG_INF : x) : AIOSK_NEG_INF;
}

/* Bias and repetition penalty: logits -> x. seen: a bit per id, all zero before; a repeated id
 * is punished once. */
static void aios__sample_adjust(const aios_sampler *s, const float *logits, int32_t n_vocab,
                                const int32_t *recent, uint64_t n_recent, uint8_t *seen, float *x) {
    uint64_t i;
    int32_t j;
    for (j = 0; j < n_vocab; j++) x[j] = aios__finite(logits[j]);
    for (i = 0; i < s->n_bias; i++) { /* what cannot be drawn stays so, whatever is added */
        float *v = &x[s->bias[i].id];
        if (*v > AIOSK_NEG_INF) *v = aios__finite(*v + s->bias[i].bias);
    }
    for (i = 0; i < n_recent; i++) {
        int32_t id = recent[i];
        uint8_t bit = (uint8_t)(1 << (id & 7));
        if (seen[id >> 3] & bit) continue;
        seen[id >> 3] = (uint8_t)(seen[id >> 3] | bit);
        if (x[id] > AIOSK_NEG_INF)
            x[id] = aios__finite(x[id] > 0 ? x[id] / s->repeat_penalty : x[id] * s->repeat_penalty);
    }
}

/* The draw among d->x; for the order of the filters see aios_sample. Both filters after the
 * top-k keep a prefix of the ranking, so they are one loop. */
AIOSK__STRICT static int32_t aios__sample_draw(const aiosk_isa *k, const aios_sampler *s,
                                               uint64_t pos, aios__draw *d) {
    float *e = d->e, e_best;
    double sum = 0, part = 0, lane[4] = { 0, 0, 0, 0 }, r;
    int32_t i, n = 0, n_vocab = d->n_vocab;
    for (i = 0; i < n_vocab; i++) {
        float t = aios__draw_depth(d, i);
        n += t >= AIOS__SAMPLE_FLOOR;
        e[i] = t >= AIOS__SAMPLE_FLOOR ? t : AIOS__SAMPLE_FLOOR;
    }
    k->exp(e, n_vocab, e);
    if (s->top_k > 0 && s->top_k < n) {
        for (i = 0, n = 0; i < n_vocab; i++)
            if (aios__draw_depth(d, i) >= AIOS__SAMPLE_FLOOR)
                d->key[n++] = aios__draw_key(d->x[i], i);
        aios__draw_top(d->key, n, s->top_k);
        n = s->top_k;
        for (i = 0; i < n; i++) sum += (double)e[d->key[i] & 0x7FFFFFFFu];
        d->low = n_vocab - n;
        d->n_heap = n;
        memmove(d->key + d->low, d->key, (size_t)n * sizeof *d->key);
        aios__draw_heapify(d->key + d->low, n);
    } else { /* by id: that order is fixed too; four sums, for speed */
        for (i = 0; i + 4 <= n_vocab; i += 4) {
            lane[0] += (double)e[i];
            lane[1] += (double)e[i + 1];
            lane[2] += (double)e[i + 2];
            lane[3] += (double)e[i + 3];
        }
        for (; i < n_vocab; i++) lane[0] += (double)e[i];
        sum = (lane[0] + lane[1]) + (lane[2] + lane[3]);
    }
    e_best = e[aios__draw_rank(d, 0)];
    if ((s->top_p > 0 && s->top_p < 1) || s->min_p > 0) {
        double enough = s->top_p > 0 && s->top_p < 1 ? (double)s->top_p * sum : 2 * sum;
        for (i = 0; i < n && part < enough; i++) {
            float w = e[aios__draw_rank(d, i)];
            if (i > 0 && w < s->min_p * e_best) break;
            part += (double)w;
        }
        n = i;
        sum = part;
    }
    r = aios__uniform(s->seed, pos) * sum;
    for (i = 0, part = 0; i < n - 1; i++) {
        part += (double)e[aios__draw_rank(d, i)];
        if (part > r) break;
    }
    return aios__draw_rank(d, i);
}

AIOS__SMALL_BEGIN
static aios_status aios__sampler_check(const aios_sampler *s, int32_t n_vocab, aios_error *err) {
    const struct {
        const char *name;
        float v, max;
    } range[] = { /* all: 0 .. max, and a number */
                  { "temperature", s->temperature, -AIOSK_NEG_INF },
                  { "top_p", s->top_p, 1 },
                  { "min_p", s->min_p, 1 },
                  { "repeat_penalty", s->repeat_penalty, -AIOSK_NEG_INF }
    };
    uint32_t i;
    for (i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].v >= 0 && range[i].v <= range[i].max))
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, 0,
                               range[i].max == 1 ? "sampler.% is not a number from 0 to 1"
                                                 : "sampler.% is not a finite number of at least 0",
                               aios__z(range[i].name), aios__u(0));
    if (s->flags)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "sampler.flags is %; this version knows no flag", aios__u(s->flags));
    if (s->top_k < 0)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.top_k is %, below 0",
                           aios__i(s->top_k));
    if (s->repeat_last < 0)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.repeat_last is %, below 0",
                           aios__i(s->repeat_last));
    if (s->n_bias && !s->bias)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "sampler.n_bias is %, but bias is NULL",
                           aios__u(s->n_bias));
    for (i = 0; i < s->n_bias; i++) {
        if (s->bias[i].id < 0 || s->bias[i].id >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)s->bias[i].id,
                               "sampler.bias names token %, but the vocabulary has %",
                               aios__i(s->bias[i].id), aios__i(n_vocab));
        if (s->bias[i].bias != s->bias[i].bias)
            return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                               "sampler.bias of token % is not a number", aios__i(s->bias[i].id));
    }
    return AIOS_OK;
}

AIOS_API uint64_t aios_sample_work_bytes(int32_t n_vocab) {
    return n_vocab > 0
               ? aios__round_up((uint64_t)n_vocab * (sizeof(uint64_t) + 2 * sizeof(float)), 64)
               : 0;
}

/* aios_sample_logits with the kernels of a set that the caller has picked. */
static aios_status aios__sample(const aiosk_isa *k, const aios_sampler *sampler,
                                const float *logits, int32_t n_vocab, const int32_t *recent,
                                uint64_t n_recent, uint64_t pos, void *work, int32_t *id,
                                aios_error *err) {
    aios_sampler s;
    aios__draw d;
    aios_status st;
    uint64_t i, fp;
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
    if (s.repeat_penalty == 0 || s.repeat_penalty == 1) n_recent = 0;
    if (n_recent > (uint64_t)s.repeat_last) {
        recent += n_recent - (uint64_t)s.repeat_last;
        n_recent = (uint64_t)s.repeat_last;
    }
    for (i = 0; i < n_recent; i++)
        if (recent[i] < 0 || recent[i] >= n_vocab)
            return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)n_vocab,
                               (uint64_t)recent[i],
                               "recent names token %, but the vocabulary has %", aios__i(recent[i]),
                               aios__i(n_vocab));
    d.key = (uint64_t *)work;
    d.x = (float *)(void *)(d.key + n_vocab);
    d.e = d.x + n_vocab;
    d.temperature = s.temperature;
    d.band = 1; /* nothing taken yet: depths are at most 0 */
    d.n_vocab = d.low = n_vocab;
    d.n_heap = 0;
    fp = aiosk_fp_begin();
    memset(work, 0, (size_t)n_vocab / 8 + 1); /* seen; the keys come later */
    aios__sample_adjust(&s, logits, n_vocab, recent, n_recent, (uint8_t *)work, d.x);
    *id = k->argmax(d.x, n_vocab);
    d.max = d.x[*id];
    if (!(d.max > AIOSK_NEG_INF)) {
        *id = -1;
        st = aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                        "no token can be drawn: every logit is -infinity or not a number");
    } else if (s.temperature > 0) {
        *id = aios__sample_draw(k, &s, pos, &d);
    }
    aiosk_fp_end(fp);
    return st;
}

AIOS_API aios_status aios_sample_logits(const aios_sampler *s, const float *logits, int32_t n_vocab,
                                        const int32_t *recent, uint64_t n_recent, uint64_t pos,
                                        void *work, int32_t *id, aios_error *err) {
    return aios__sample(aiosk_select(AIOSK_ISA_BEST), s, logits, n_vocab, recent, n_recent, pos,
                        work, id, err);
}
AIOS__SMALL_END
