/* blocks.c: the block face, for hosts with an engine of their own: a logical block id becomes a
 * pointer. Stands beside model.c to context.c, not on them: it needs io.c and the scanner of
 * gguf.c alone, keeps neither keys nor vocabulary, and knows no family.
 *
 * The directory is read three times through a page of stack: sums, sizes (aios__blk_decide and a
 * placement that only counts), and once the memory is there the same placement again, into the
 * tables. One placement for both, so that what is asked for and what is used cannot differ;
 * whatever a file does in between, no index leaves its table. The hot path is one lookup and one
 * counter. Each entry's base is published by a release store, so that a block that comes into a
 * slot of the ring while other threads resolve is seen whole or not at all. */

/* How often a token reads a block. SMALL and EACH: every time; SMALL are those of tensors of a
 * few pages, which are placed first. */
enum {
    AIOS__BLK_SMALL = 0,
    AIOS__BLK_EACH = 1,
    AIOS__BLK_SOME = 2,
    AIOS__BLK_ROWS = 3,
    AIOS__BLK_N_USE = 4
};
enum {
    AIOS__BLK_KV = 0,
    AIOS__BLK_META = 1,
    AIOS__BLK_HOT = 2,
    AIOS__BLK_WARM = 3,
    AIOS__BLK_RING = 4,
    AIOS__BLK_N_REQ = 5
};
enum {
    AIOS__BLK_MIN = 64 * 1024,
    AIOS__BLK_MAX = 1024 * 1024,
    AIOS__BLK_DEFAULT = 256 * 1024,
    /* blocks that stay or go together where not all fit: 4 MiB of reading at a stretch */
    AIOS__BLK_RUN = 16,
    AIOS__BLK_PAGE = 4096,
    AIOS__BLK_STRIPES = 64 /* of the counters, 8 KiB */
};
#define AIOS__BLK_NONE UINT32_MAX

/* ---- counters and published pointers ---- */
/* A counter of the machine's word (it wraps at 2^32 on 32-bit machines); relaxed: it orders
 * nothing. */
typedef size_t aios__tally;
#if defined(__GNUC__) || defined(__clang__)
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}
static inline aios__tally aios__tally_get(const aios__tally *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
#if UINTPTR_MAX > UINT32_MAX
static inline void aios__total_add(uint64_t *p, uint64_t n) {
    __atomic_store_n(p, *p + n, __ATOMIC_RELAXED);
}
static inline uint64_t aios__total_get(const uint64_t *p) {
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}
#else
static inline void aios__total_add(uint64_t *p, uint64_t n) { *p += n; }
static inline uint64_t aios__total_get(const uint64_t *p) { return *p; }
#endif
static inline const void *aios__base_get(const void *const *p) {
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
static inline void aios__base_set(const void **p, const void *v) {
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}
#else
#if defined(_WIN64)
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    _InterlockedExchangeAdd64((volatile __int64 *)p, (__int64)n);
}
#else
static inline void aios__tally_add(aios__tally *p, aios__tally n) {
    _InterlockedExchangeAdd((volatile long *)p, (long)n);
}
#endif
static inline aios__tally aios__tally_get(const aios__tally *p) {
    return *(const volatile aios__tally *)p;
}
static inline void aios__total_add(uint64_t *p, uint64_t n) { *(volatile uint64_t *)p = *p + n; }
static inline uint64_t aios__total_get(const uint64_t *p) { return *(const volatile uint64_t *)p; }
static inline const void *aios__base_get(const void *const *p) {
    const void *v = *(const void *const volatile *)p;
#if defined(_M_ARM64)
    __dmb(_ARM64_BARRIER_ISH);
#else
    _ReadWriteBarrier();
#endif
    return v;
}
static inline void aios__base_set(const void **p, const void *v) {
    _InterlockedExchangePointer((void *volatile *)p, (void *)(uintptr_t)v);
}
#endif

/* What the hot path counts. A thread adds to one of several stripes, two cache lines each,
 * chosen by where its stack is: threads share one by chance only, and since adding is atomic a
 * shared stripe costs time and no count. */
typedef struct aios__blk_stripe {
    aios__tally tier[4] /* stream, hot, warm; missed */, skipped;
    char apart[128 - 5 * sizeof(aios__tally)];
} aios__blk_stripe;
static inline aios__blk_stripe *aios__blk_mine(aios__blk_stripe *s) {
    char here;
    uint64_t a = (uint64_t)(uintptr_t)&here >> 14; /* stacks are 16 KiB apart at the least */
    return s + (a * 0x9E3779B97F4A7C15u >> 58);    /* 64 = 2^6 */
}

AIOS__SMALL_BEGIN
/* ---- tables ---- */
typedef struct aios__blk_tensor {
    char name[64];
    uint64_t off, n_bytes, row_bytes;    /* off: in its part */
    uint64_t unit_bytes;                 /* blocks begin anew here: a matrix, or all of it */
    uint64_t block_bytes;                /* of all blocks of a unit but the last */
    uint32_t first, n_blocks, part, use; /* use: AIOS__BLK_SMALL ... */
    int32_t layer;
    uint32_t type;
} aios__blk_tensor;

typedef struct aios__blk_slot {
    uint32_t id, want;
} aios__blk_slot;

/* All that is counted. */
typedef struct aios__blk_sums {
    uint64_t tier[4], skipped, n_tokens, n_prefetched, prefetch_bytes, prefetch_ns;
} aios__blk_sums;

struct aios_blocks {
    aios_block_entry *entry; /* [n_blocks]; the hot path reads these five and no others */
    uint32_t n_blocks, n_mask_layers, n_mask_rows, mask_words;
    const uint32_t *mask;
    aios__blk_stripe *stripe; /* [AIOS__BLK_STRIPES] */
    char apart[128];          /* what follows is written while others resolve */
    aios_blocks_plan plan;
    aios_blocks_desc desc;
    aios_hardware hw;
    aios_allocator mem;
    aios_mem_req req[AIOS__BLK_N_REQ];
    void *got[AIOS__BLK_N_REQ];
    aios_io *io; /* [n_parts] */
    uint32_t n_parts, own_files;
    aios__blk_tensor *tensor; /* [n_tensors] */
    aios__blk_slot *slot;     /* [n_slots], behind the slots */
    uint64_t slot_bytes;
    uint32_t want, victim;     /* of the ring: the present call, where the last search ended */
    uint32_t seen_first, seen; /* touched where mapped: so many blocks from there on */
    uint32_t mapped, mem_flags;
    aios__tally n_tokens, n_prefetched;
    /* written by who prefetches, in one piece on 64-bit machines */
    uint64_t prefetch_bytes, prefetch_ns;
    aios__blk_sums from; /* of the last reset */
};

/* ---- the directory, read again and again ---- */
/* end: of tensor data, from data_off */
typedef struct aios__blk_part {
    uint64_t data_off, end;
    const char *map;
} aios__blk_part;

typedef struct aios__blk_pass {
    aios__opening *o;
    aios_blocks_desc d;
    int32_t phase; /* 0 sums, 1 placement */
    /* sums */
    uint32_t n_tensors, n_blocks, layer_blocks, max_layer_blocks, has_output;
    int32_t layer;
    uint64_t total[AIOS__BLK_N_USE]; /* bytes, each block's rounded up to 64 */
    /* embd: of the token embedding, whose use is known at the end */
    uint64_t embd, max_len, all_bytes;
    uint32_t embd_use, mapped;
    /* decisions */
    uint64_t fit[AIOS__BLK_N_USE]; /* of total, resident */
    uint64_t cap;                  /* for resident weights; all bytes that are left */
    uint64_t slot_bytes;
    aios_blocks_plan plan;
    /* placement */
    uint32_t at_tensor, at_block;
    uint64_t sum[AIOS__BLK_N_USE], taken[AIOS__BLK_N_USE]; /* so far */
    uint64_t used[2];                                      /* of the HOT and the WARM memory */
    uint64_t run_end; /* file offset where the last copied block ended, in its part */
    uint32_t run_part, run_tier;
    aios_blocks *b; /* NULL: count */
    aios__blk_part part[AIOS__MAX_PARTS];
} aios__blk_pass;

static int32_t aios__blk_has(aios__str s, const char *z) { /* is z in s? */
    uint64_t i, n = strlen(z);
    for (i = 0; i + n <= s.n; i++)
        if (!memcmp(s.p + i, z, (size_t)n)) return 1;
    return 0;
}
/* N of "blk.N.", else -1 */
static int32_t aios__blk_layer(aios__str s) {
    uint64_t i;
    int32_t n = 0;
    if (s.n < 6 || memcmp(s.p, "blk.", 4)) return -1;
    for (i = 4; i < s.n && i < 10 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        n = n * 10 + (s.p[i] - '0');
    return i > 4 && i < s.n && s.p[i] == '.' ? n : -1;
}
/* Matrices of experts, or that of one: "ffn_up_exps.weight", "ffn_up.3.weight". */
static int32_t aios__blk_experts(aios__str s) {
    static const char *const names[] = { ".ffn_gate.", ".ffn_up.", ".ffn_down." };
    uint64_t n, k;
    for (uint64_t i = 0; i < 3; i++)
        for (k = 0, n = strlen(names[i]); k + n < s.n; k++)
            if (!memcmp(s.p + k, names[i], (size_t)n))
                return s.p[k + n] >= '0' && s.p[k + n] <= '9';
    return aios__blk_has(s, "_exps.");
}
static uint32_t aios__blk_use(const aios__blk_pass *x, aios__str s, uint64_t n_bytes) {
    if (aios__str_eq(s, "token_embd.weight")) return x->embd_use;
    if (aios__str_eq(s, "position_embd.weight") || aios__str_eq(s, "token_types.weight") ||
        aios__str_eq(s, "per_layer_token_embd.weight"))
        return AIOS__BLK_ROWS;
    if (aios__blk_experts(s)) return AIOS__BLK_SOME;
    return n_bytes <= 4 * AIOS__BLK_PAGE ? AIOS__BLK_SMALL : AIOS__BLK_EACH;
}
/* How a tensor is cut. 0: a row is too large. More than INT32_MAX blocks count as one more than
 * that, which no limit allows. */
static int32_t aios__blk_cut(aios__blk_tensor *t, uint64_t matrix_bytes, uint64_t target) {
    uint64_t rows = target / t->row_bytes;
    if (rows > 16) rows -= rows % 16; /* whole panels, for engines that work on them */
    if (rows < 1) rows = 1;
    t->block_bytes = rows * t->row_bytes;
    t->unit_bytes = matrix_bytes >= AIOS__BLK_MIN ? matrix_bytes : t->n_bytes;
    uint64_t n = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0);
    if (t->block_bytes > INT32_MAX) return 0;
    /* of several units each is 64 KiB at the least, and so is every second block */
    if (n <= INT32_MAX) n *= t->n_bytes / t->unit_bytes;
    t->n_blocks = (uint32_t)aios__min_u64(n, (uint64_t)INT32_MAX + 1);
    return 1;
}
static uint64_t aios__blk_len(const aios__blk_tensor *t, uint32_t j, uint64_t *off) {
    uint64_t per = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0),
             k = j % per;
    *off = j / per * t->unit_bytes + k * t->block_bytes;
    return aios__min_u64(t->block_bytes, t->unit_bytes - k * t->block_bytes);
}
/* a * b / c for b <= c, c > 0, rounded down by a little more than needed when the numbers are
 * large */
static uint64_t aios__blk_share(uint64_t a, uint64_t b, uint64_t c) {
    uint32_t s = 0;
    if (b >= c) return a;
    while ((a >> s) >> 32) s++;
    /* c upwards, so that the share is none too large */
    for (; c >> 32; b >>= 1) c = (c >> 1) + (c & 1);
    return c ? (((a >> s) * b) / c) << s : 0;
}

/* Decides on one block, in the file's order: its tier and, where it is copied, its place. */
static aios_status aios__blk_place(aios__blk_pass *x, const aios__blk_tensor *t, uint64_t off,
                                   uint64_t len) {
    uint32_t use = t->use, tier = AIOS_TIER_STREAM, copied = 0;
    uint64_t need = aios__round_up(len, 64), at = 0;
    const char *map = x->part[t->part].map;
    /* where not all fit, a run may take what its share of the bytes is up to its end */
    uint64_t upto = aios__round_up(x->sum[use] + need, (uint64_t)AIOS__BLK_RUN * x->d.block_bytes);
    upto = upto > x->total[use] ? x->fit[use] : aios__blk_share(upto, x->fit[use], x->total[use]);
    x->sum[use] += need;
    if (x->fit[use] == x->total[use] || x->taken[use] + need <= upto) {
        tier = use <= AIOS__BLK_EACH ? AIOS_TIER_HOT : AIOS_TIER_WARM;
        x->taken[use] += need;
        copied = !x->mapped || (tier == AIOS_TIER_HOT && !(x->d.flags & AIOS_BLOCKS_IN_PLACE));
    }
    if (copied) {
        uint32_t m = tier == AIOS_TIER_WARM;
        /* what follows in the file follows in memory, so that it is read in one piece */
        if (x->run_end != t->off + off || x->run_part != t->part || x->run_tier != tier)
            x->used[m] = aios__round_up(x->used[m], 64);
        at = x->used[m];
        x->used[m] += len;
        x->run_end = t->off + off + len;
        x->run_part = t->part;
        x->run_tier = tier;
    } else
        x->run_part = AIOS__BLK_NONE;
    if (tier == AIOS_TIER_HOT)
        x->plan.hot_bytes += len;
    else if (tier == AIOS_TIER_WARM)
        x->plan.warm_bytes += len;
    else
        x->plan.stream_bytes += len;
    if (use <= AIOS__BLK_EACH) {
        x->plan.token_bytes += len;
        if (tier == AIOS_TIER_STREAM) x->plan.token_stream_bytes += len;
    }
    if (x->mapped && !copied) x->plan.mapped_bytes += len;
    if (x->b) {
        aios_block_entry *e;
        if (x->at_block >= x->b->n_blocks ||
            at + len >
                (copied ? x->b->req[tier == AIOS_TIER_HOT ? AIOS__BLK_HOT : AIOS__BLK_WARM].bytes
                        : UINT64_MAX))
            return AIOS_ERR_IO;
        e = &x->b->entry[x->at_block];
        memset(e, 0, sizeof *e);
        e->n_bytes = (uint32_t)len;
        e->flags = AIOS_BLOCK_CANONICAL | (tier == AIOS_TIER_HOT    ? (uint32_t)AIOS_BLOCK_HOT
                                           : tier == AIOS_TIER_WARM ? (uint32_t)AIOS_BLOCK_WARM
                                                                    : 0);
        if (copied)
            e->base =
                (char *)x->b->got[tier == AIOS_TIER_HOT ? AIOS__BLK_HOT : AIOS__BLK_WARM] + at;
        else if (x->mapped)
            e->base = map + (t->off - x->part[t->part].data_off + off);
    }
    x->at_block++;
    return AIOS_OK;
}

static aios_status aios__blk_visit(aios__scan *s, const aios__tensor *g) {
    aios__blk_pass *x = (aios__blk_pass *)s->visit_user;
    aios__blk_part *p = &x->part[s->part];
    aios__blk_tensor t;
    aios__str name;
    uint64_t off, len;
    aios_status st = AIOS_OK;
    name.p = s->name;
    name.n = s->n_name;
    memset(&t, 0, sizeof t);
    memcpy(t.name, s->name, (size_t)aios__min_u64(s->n_name, sizeof t.name - 1));
    t.n_bytes = g->n_bytes;
    t.row_bytes = g->row_bytes;
    t.part = s->part;
    t.type = g->type;
    t.use = aios__blk_use(x, name, t.n_bytes);
    t.layer = aios__blk_layer(name);
    if (t.n_bytes > s->io->n_bytes)
        return aios__scan_bad(s, g->dir_off, s->io->n_bytes, t.n_bytes,
                              "its data lies outside the file");
    if (!aios__blk_cut(&t, g->row_bytes * g->n[1], x->d.block_bytes))
        return aios__scan_fail(s, AIOS_ERR_LIMIT, g->dir_off, INT32_MAX, t.row_bytes,
                               "its rows are too large for blocks", "");
    if (x->phase == 0) {
        uint64_t n = t.unit_bytes / t.block_bytes, rest = t.unit_bytes % t.block_bytes, bytes,
                 most = aios__min_u64(s->lim.max_blocks, INT32_MAX);
        /* also what keeps a hostile directory from naming the same bytes often: tensors of a
         * part together are no larger than it */
        if (g->off < p->end)
            return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, g->dir_off, p->end, g->off,
                                   "its data lie before those of the tensor before it", "");
        if (!aios__add(g->off, g->n_bytes, &p->end) || p->end > s->io->n_bytes)
            return aios__scan_bad(s, g->dir_off, s->io->n_bytes, p->end,
                                  "its data lies outside the file");
        if (x->n_blocks + (uint64_t)t.n_blocks > most)
            return aios__scan_fail(s, AIOS_ERR_LIMIT, g->dir_off, most,
                                   x->n_blocks + (uint64_t)t.n_blocks,
                                   "more blocks than limits.max_blocks allows", "");
        if (aios__str_eq(name, "output.weight")) x->has_output = 1;
        if (t.layer != x->layer) {
            x->layer = t.layer;
            x->layer_blocks = 0;
        }
        x->layer_blocks += t.n_blocks;
        if (t.layer >= 0 && x->layer_blocks > x->max_layer_blocks)
            x->max_layer_blocks = x->layer_blocks;
        x->all_bytes += t.n_bytes;
        bytes = (n * aios__round_up(t.block_bytes, 64) + aios__round_up(rest, 64)) *
                (t.n_bytes / t.unit_bytes);
        len = n ? t.block_bytes : rest;
        if (len > x->max_len) x->max_len = len;
        if (aios__str_eq(name, "token_embd.weight"))
            x->embd += bytes;
        else
            x->total[t.use] += bytes;
        x->n_tensors++;
        x->n_blocks += t.n_blocks;
        return AIOS_OK;
    }
    t.off = p->data_off + g->off;
    if (x->at_tensor >= x->n_tensors || (uint64_t)x->at_block + t.n_blocks > x->n_blocks ||
        g->off + g->n_bytes > p->end)
        return aios__scan_changed(s);
    t.first = x->at_block;
    if (x->b) x->b->tensor[x->at_tensor] = t;
    x->at_tensor++;
    for (uint32_t j = 0; j < t.n_blocks && !st; j++) {
        len = aios__blk_len(&t, j, &off);
        st = aios__blk_place(x, &t, off, len);
    }
    return st ? aios__scan_changed(s) : AIOS_OK;
}

static aios_status aios__blk_walk(aios__blk_pass *x, int32_t phase, aios_blocks *b,
                                  aios_error *err) {
    aios_limits l = x->o->lim;
    x->phase = phase;
    x->b = b;
    x->at_tensor = x->at_block = 0;
    x->run_part = AIOS__BLK_NONE;
    for (uint32_t j = 0; j < AIOS__BLK_N_USE; j++) x->sum[j] = x->taken[j] = 0;
    x->used[0] = x->used[1] = 0;
    x->plan.hot_bytes = x->plan.warm_bytes = x->plan.stream_bytes = x->plan.mapped_bytes =
        x->plan.token_bytes = x->plan.token_stream_bytes = 0;
    for (uint32_t i = 0; i < x->o->n_parts; i++) {
        aios__scan s;
        aios_status st;
        aios__scan_init(&s, x->o->io, i, x->o->n_parts, &l, err);
        s.visit = aios__blk_visit;
        s.visit_user = x;
        if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) return st;
        if ((st = aios__scan_split(&s)) != AIOS_OK) return st;
        if (phase == 0)
            x->part[i].data_off = s.n_tensors ? s.data_off : 0;
        else if (s.n_tensors && s.data_off != x->part[i].data_off)
            return aios__scan_changed(&s);
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= s.pos;
    }
    if (phase && (x->at_tensor != x->n_tensors || x->at_block != x->n_blocks))
        return aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
    return AIOS_OK;
}

/* ---- decisions ---- */
static aios_blocks *aios__blk_layout(aios__bump *m, uint64_t n_parts, uint64_t n_tensors,
                                     uint64_t n_blocks, aios_blocks *into) {
    aios_blocks *b = (aios_blocks *)aios__take(m, sizeof(aios_blocks), 128), *x = b ? b : into;
    x->stripe = (aios__blk_stripe *)aios__take(m, AIOS__BLK_STRIPES * sizeof *x->stripe, 128);
    x->entry = (aios_block_entry *)aios__take(m, n_blocks * sizeof *x->entry, 64);
    x->tensor = (aios__blk_tensor *)aios__take(m, n_tensors * sizeof *x->tensor, 8);
    x->io = (aios_io *)aios__take(m, n_parts * sizeof *x->io, 8);
    return b;
}
static uint64_t aios__blk_ring(const aios__blk_pass *x, uint64_t n) {
    return n * x->slot_bytes + aios__round_up(n * sizeof(aios__blk_slot), 64);
}

/* Who is resident, and how long the ring is; all from sums. */
static aios_status aios__blk_decide(aios__blk_pass *x, aios_error *err) {
    uint64_t all = 0, ram = x->d.ram_bytes, kv = x->d.kv_reserve_bytes, want, w = 0;
    uint32_t dist = x->d.prefetch_distance;
    aios__bump m = { NULL, 0 };
    aios_blocks tmp;
    aios_blocks_plan *p = &x->plan;
    aios__blk_layout(&m, x->o->n_parts, x->n_tensors, x->n_blocks, &tmp);
    uint64_t meta = aios__round_up(m.used, 128);
    for (uint32_t i = 0; i < AIOS__BLK_N_USE; i++) all += x->total[i];
    uint64_t each = x->total[AIOS__BLK_SMALL] + x->total[AIOS__BLK_EACH];
    x->slot_bytes = aios__round_up(x->max_len + AIOS__BLK_PAGE - 1, AIOS__BLK_PAGE);
    p->n_tensors = x->n_tensors;
    p->n_blocks = x->n_blocks;
    p->max_block_bytes = (uint32_t)x->max_len;
    p->degraded = 0;
    p->n_slots = 0;
    p->request_bytes[AIOS__BLK_KV] = kv;
    p->request_bytes[AIOS__BLK_META] = meta;
    if (kv > UINT64_MAX / 4)
        return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           "kv_reserve_bytes is %: no machine has that", aios__u(kv));

    /* The least: tables and two slots; or, in small models, all of it resident. Percentages
     * round in our favour: the smallest rest of which max_rws_percent is all. */
    uint64_t n = x->n_blocks < 2 ? x->n_blocks : 2;
    uint64_t least = meta + (x->mapped ? 0 : aios__blk_ring(x, n));
    uint64_t fits =
        all / x->d.max_rws_percent * 100 +
        (all % x->d.max_rws_percent * 100 + x->d.max_rws_percent - 1) / x->d.max_rws_percent;
    if (fits < meta + all) fits = meta + all;
    p->min_bytes = kv + aios__min_u64(least, fits);
    p->prefetch_distance = x->d.flags & AIOS_BLOCKS_NO_PREFETCH ? 0 : dist;
    if (ram && ram < p->min_bytes)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->min_bytes, ram,
                           "ram_bytes is %, but the least that works with this file is %",
                           aios__u(ram), aios__u(p->min_bytes));
    if (!ram || ram - kv >= fits) {
        memcpy(x->fit, x->total, sizeof x->fit);
        return AIOS_OK;
    }
    uint64_t cap =
        (ram - kv) / 100 * x->d.max_rws_percent + (ram - kv) % 100 * x->d.max_rws_percent / 100;
    uint64_t rest = ram - kv - meta; /* >= least - meta */
    uint64_t quarter = cap / 4;
    uint64_t floor_bytes = aios__min_u64(x->all_bytes / 100 * x->d.hot_floor_percent +
                                             x->all_bytes % 100 * x->d.hot_floor_percent / 100,
                                         each);
    if (x->d.flags & AIOS_BLOCKS_NO_PREFETCH) dist = 0;
    /* A longer ring leaves less for resident blocks, so that more has to go through it: a few
     * turns, upwards only. */
    for (uint32_t turn = 0;; turn++) {
        w = aios__min_u64(cap, rest - (x->mapped ? 0 : aios__blk_ring(x, n)));
        if (each && aios__min_u64(each, w) < floor_bytes) {
            w = 0;
            quarter = rest / 2;
        }
        uint64_t some = each - aios__min_u64(each, w);
        if (x->mapped || turn == 8) break;
        for (;; dist /= 2) {
            want = 2;
            if (some && !(x->d.flags & AIOS_BLOCKS_NO_PREFETCH))
                want += aios__blk_share((uint64_t)x->max_layer_blocks * (dist + 1), some, each) + 1;
            if (want > x->n_blocks) want = x->n_blocks;
            if (want <= n || aios__blk_ring(x, want) <= quarter || dist == 0) break;
            p->degraded |= AIOS_DEGRADED_PREFETCH;
        }
        while (want > n && aios__blk_ring(x, want) > quarter) want--;
        if (want <= n) break;
        n = want;
    }
    if (!(x->d.flags & AIOS_BLOCKS_NO_PREFETCH)) p->prefetch_distance = dist;
    if (!x->mapped) p->n_slots = (uint32_t)n;
    if (w < each) p->degraded |= AIOS_DEGRADED_HOT;
    if (w == 0 && each) p->degraded |= AIOS_DEGRADED_STREAM;
    for (uint32_t i = 0; i < AIOS__BLK_N_USE; i++) {
        x->fit[i] = aios__min_u64(x->total[i], w);
        w -= x->fit[i];
        if (x->fit[i] < x->total[i]) {
            w = 0; /* what is read more often goes first */
            if (i > AIOS__BLK_EACH) p->degraded |= AIOS_DEGRADED_WARM;
        }
    }
    return AIOS_OK;
}

static void aios__blk_req(const aios_blocks_plan *p, uint32_t k, aios_mem_req *r) {
    static const uint8_t kind[AIOS__BLK_N_REQ] = { AIOS_MEM_KV, AIOS_MEM_META, AIOS_MEM_WEIGHTS,
                                                   AIOS_MEM_WEIGHTS, AIOS_MEM_SCRATCH };
    static const uint8_t tier[AIOS__BLK_N_REQ] = { AIOS_TIER_HOT, AIOS_TIER_HOT, AIOS_TIER_HOT,
                                                   AIOS_TIER_WARM, AIOS_TIER_STREAM };
    aios__req_fill(r, kind[k], tier[k], p->request_bytes[k]);
    if (k == AIOS__BLK_META) r->align = 128;
    if (k >= AIOS__BLK_HOT) r->align = AIOS__BLK_PAGE;
    if (k == AIOS__BLK_HOT)
        r->flags |= AIOS_MEM_PIN | (r->bytes >= (uint64_t)2 << 20 ? (uint32_t)AIOS_MEM_HUGE : 0);
}

/* Everything up to the requests: desc checked, parts open, sums, decisions, sizes. */
static aios_status aios__blk_start(aios__blk_pass *x, aios__opening *o,
                                   const aios_blocks_desc *desc, aios_error *err) {
    aios_model_desc md;
    aios_status st;
    memset(x, 0, sizeof *x);
    memset(o, 0, sizeof *o);
    aios__clear(err);
    x->o = o;
    x->layer = -2;
    if ((st = aios__desc_copy(AIOS__ID_aios_blocks_desc, &x->d, desc, err)) != 0) return st;
    if ((st = aios__flags(x->d.flags,
                          AIOS_BLOCKS_IN_PLACE | AIOS_BLOCKS_NO_PREFETCH | AIOS_BLOCKS_NO_SPARSITY,
                          "aios_blocks_desc", err)) != 0)
        return st;
    if ((st = aios__unused(x->d.reserved, "aios_blocks_desc", err)) != 0) return st;
    if (!x->d.block_bytes) x->d.block_bytes = AIOS__BLK_DEFAULT;
    if (x->d.block_bytes < AIOS__BLK_MIN || x->d.block_bytes > AIOS__BLK_MAX)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           x->d.block_bytes < AIOS__BLK_MIN ? AIOS__BLK_MIN : AIOS__BLK_MAX,
                           x->d.block_bytes, "block_bytes is %, not 64 KiB to 1 MiB",
                           aios__u(x->d.block_bytes), aios__u(0));
    if (x->d.max_rws_percent > 100 || x->d.hot_floor_percent > 100)
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, 100,
            x->d.max_rws_percent > 100 ? x->d.max_rws_percent : x->d.hot_floor_percent,
            "% is above 100",
            aios__z(x->d.max_rws_percent > 100 ? "max_rws_percent" : "hot_floor_percent"),
            aios__u(0));
    if (x->d.prefetch_distance > 65536)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, 65536, x->d.prefetch_distance,
                           "prefetch_distance is %, out of range", aios__u(x->d.prefetch_distance),
                           aios__u(0));
    if (!x->d.max_rws_percent) x->d.max_rws_percent = 65;
    if (!x->d.hot_floor_percent) x->d.hot_floor_percent = 20;
    if (!x->d.prefetch_distance) x->d.prefetch_distance = 2;
    if (!x->d.now_ns) x->d.now_ns = aios__system_ns;
    if (!x->d.io && !x->d.path)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_blocks_desc needs io or path");
    aios_model_desc_init(&md);
    md.io = x->d.io;
    md.path = x->d.path;
    md.limits = x->d.limits;
    md.n_parts = x->d.n_parts;
    if ((st = aios__opening_start(o, &md, err)) != 0) return st;
    x->embd_use = AIOS__BLK_ROWS;
    if ((st = aios__blk_walk(x, 0, NULL, err)) != 0) return st;
    if (!x->n_blocks)
        return aios__fail(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "the file has no tensors");
    if (!x->has_output) x->embd_use = AIOS__BLK_EACH; /* tied: the output matrix too */
    x->total[x->embd_use] += x->embd;
    x->mapped = 1;
    for (uint32_t i = 0; i < o->n_parts && x->mapped; i++) {
        aios__blk_part *p = &x->part[i];
        if (!p->end) continue;
        p->map = (const char *)aios__io_map(&o->io[i], p->data_off, p->end);
        if (!p->map) x->mapped = 0;
    }
    if ((st = aios__blk_decide(x, err)) != 0) return st;
    if ((st = aios__blk_walk(x, 1, NULL, err)) != 0) return st;
    x->plan.struct_size = (uint32_t)sizeof x->plan;
    x->plan.request_bytes[AIOS__BLK_HOT] = aios__round_up(x->used[0], 64);
    x->plan.request_bytes[AIOS__BLK_WARM] = aios__round_up(x->used[1], 64);
    x->plan.request_bytes[AIOS__BLK_RING] =
        x->plan.n_slots ? aios__blk_ring(x, x->plan.n_slots) : 0;
    for (uint32_t i = 0; i < AIOS__BLK_N_REQ; i++) {
        x->plan.total_bytes += x->plan.request_bytes[i];
        x->plan.n_requests += x->plan.request_bytes[i] != 0;
    }
    return AIOS_OK;
}

AIOS_API aios_status aios_blocks_measure(const aios_blocks_desc *desc, aios_blocks_plan *out,
                                         aios_error *err) {
    aios__opening o;
    aios__blk_pass x;
    aios_status st = aios__blk_start(&x, &o, desc, err);
    aios__opening_end(&o);
    if (st) return st;
    return aios__desc_fill(AIOS__ID_aios_blocks_plan, out, &x.plan)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "out is NULL or was not initialised: call aios_blocks_plan_init first")
               : AIOS_OK;
}
AIOS_API aios_status aios_blocks_request(const aios_blocks_plan *plan, uint32_t i,
                                         aios_mem_req *out) {
    aios_blocks_plan p;
    aios_mem_req r;
    if (aios__desc_copy(AIOS__ID_aios_blocks_plan, &p, plan, NULL)) return AIOS_ERR_ARG;
    for (uint32_t k = 0; k < AIOS__BLK_N_REQ; k++)
        if (p.request_bytes[k] && i-- == 0) {
            aios__blk_req(&p, k, &r);
            return aios__desc_fill(AIOS__ID_aios_mem_req, out, &r);
        }
    return AIOS_ERR_ARG;
}

/* ---- opening ---- */
/* Reads what was placed, as many blocks at a time as follow each other in file and memory. */
static aios_status aios__blk_load(aios_blocks *b, aios_error *err) {
    uint64_t done = 0, total = b->plan.request_bytes[AIOS__BLK_HOT] ? b->plan.hot_bytes : 0;
    uint32_t n;
    if (b->plan.request_bytes[AIOS__BLK_WARM]) total += b->plan.warm_bytes;
    for (uint32_t i = 0; i < b->plan.n_tensors; i++) {
        const aios__blk_tensor *t = &b->tensor[i];
        for (uint32_t j = 0; j < t->n_blocks; j += n) {
            aios_block_entry *e = &b->entry[t->first + j];
            uint64_t off, next, len = aios__blk_len(t, j, &off);
            int32_t hot = (e->flags & AIOS_BLOCK_HOT) && b->got[AIOS__BLK_HOT],
                    warm = (e->flags & AIOS_BLOCK_WARM) && b->got[AIOS__BLK_WARM];
            aios_status st;
            n = 1;
            if (!hot && !warm) continue;
            while (j + n < t->n_blocks && len < (uint64_t)64 << 20 && e[n].flags == e->flags &&
                   (const char *)e[n].base == (const char *)e->base + len)
                len += aios__blk_len(t, j + n++, &next);
            if ((st = aios__io_read(&b->io[t->part], t->off + off, (void *)(uintptr_t)e->base, len,
                                    err)) != 0)
                return st;
            done += len;
            if (b->desc.progress && b->desc.progress(b->desc.progress_user, done, total))
                return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                                  "loading was stopped by the progress callback");
        }
    }
    return AIOS_OK;
}

/* Gives back what was taken, last first. */
static void aios__blk_give(aios_allocator mem, void *const *got, const aios_mem_req *req) {
    for (uint32_t k = AIOS__BLK_N_REQ; k-- > 0;)
        if (got[k]) mem.free(mem.user, got[k], &req[k]);
}

AIOS_API aios_status aios_blocks_open(const aios_blocks_desc *desc, aios_blocks **out,
                                      aios_error *err) {
    static const char *const names[AIOS__BLK_N_REQ] = { "KV reserve", "block tables", "HOT blocks",
                                                        "WARM blocks", "ring" };
    aios__opening o;
    aios__blk_pass x;
    aios_allocator mem;
    aios_mem_req req[AIOS__BLK_N_REQ];
    void *got[AIOS__BLK_N_REQ] = { NULL, NULL, NULL, NULL, NULL };
    aios_hardware hw;
    aios__bump m = { NULL, 0 };
    aios_blocks *b = NULL;

    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios_hardware_init(&hw);
    memset(&mem, 0, sizeof mem);
    aios_status st = aios__blk_start(&x, &o, desc, err);
    aios_blocks_plan plan = x.plan;
    if (!st) st = aios__allocator_copy(&mem, x.d.mem, "aios_blocks_desc", err);
    if (!st && x.d.hardware) st = aios__desc_copy(AIOS__ID_aios_hardware, &hw, x.d.hardware, err);
    for (uint32_t k = 0; k < AIOS__BLK_N_REQ; k++) {
        aios__blk_req(&plan, k, &req[k]);
        if (!st && req[k].bytes) st = aios__alloc(&mem, &req[k], names[k], &got[k], err);
    }
    if (!st) {
        m.base = (char *)got[AIOS__BLK_META];
        memset(m.base, 0, (size_t)req[AIOS__BLK_META].bytes);
        b = aios__blk_layout(&m, o.n_parts, plan.n_tensors, plan.n_blocks, NULL);
        b->n_blocks = plan.n_blocks;
        b->plan = plan;
        b->desc = x.d;
        b->mem = mem;
        b->hw = hw;
        memcpy(b->req, req, sizeof req);
        memcpy(b->got, got, sizeof got);
        memcpy(b->io, o.io, o.n_parts * sizeof *o.io);
        b->n_parts = o.n_parts;
        b->own_files = o.own_files;
        b->mapped = x.mapped;
        b->slot_bytes = x.slot_bytes;
        b->hw.struct_size = (uint32_t)sizeof b->hw;
        if (x.d.ram_bytes) b->hw.ram_bytes = x.d.ram_bytes;
        aios__hw_isa(&b->hw);
        b->slot = plan.n_slots ? (aios__blk_slot *)(void *)((char *)got[AIOS__BLK_RING] +
                                                            plan.n_slots * x.slot_bytes)
                               : NULL;
        for (uint32_t i = 0; i < plan.n_slots; i++) {
            b->slot[i].id = AIOS__BLK_NONE;
            b->slot[i].want = 0;
        }
        st = aios__blk_walk(&x, 1, b, err);
        if (!st && (x.plan.hot_bytes != plan.hot_bytes || x.plan.warm_bytes != plan.warm_bytes ||
                    x.plan.stream_bytes != plan.stream_bytes))
            st =
                aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
        if (!st) st = aios__blk_load(b, err);
        /* the caller's, for this call */
        b->desc.mem = NULL;
        b->desc.io = NULL;
        b->desc.path = NULL;
        b->desc.limits = NULL;
        b->desc.hardware = NULL;
        b->desc.progress = NULL;
    }
    if (st) {
        aios__blk_give(mem, got, req);
        aios__opening_end(&o);
        return st;
    }
    *out = b;
    return AIOS_OK;
}
AIOS_API void aios_blocks_free(aios_blocks *b) {
    void *got[AIOS__BLK_N_REQ];
    aios_mem_req req[AIOS__BLK_N_REQ];
    if (!b) return;
    if (b->own_files) aios__parts_close(b->io, b->n_parts);
    memcpy(got, b->got, sizeof got); /* b lies in what is given back */
    memcpy(req, b->req, sizeof req);
    aios__blk_give(b->mem, got, req);
}
AIOS_API void *aios_blocks_kv(const aios_blocks *b, uint64_t *n_bytes) {
    if (n_bytes) *n_bytes = b ? b->req[AIOS__BLK_KV].bytes : 0;
    return b ? b->got[AIOS__BLK_KV] : NULL;
}

AIOS__SMALL_END
/* ---- the hot path ---- */
AIOS_API aios_status aios_resolve_block(aios_blocks *b, uint32_t id, const void **data,
                                        uint32_t *n_bytes) {
    if (id >= b->n_blocks) return AIOS_ERR_ARG;
    const aios_block_entry *e = &b->entry[id];
    const void *p = aios__base_get(&e->base);
    *data = p;
    *n_bytes = e->n_bytes;
    /* HOT is bit 3, WARM bit 4 */
    aios__tally_add(&aios__blk_mine(b->stripe)->tier[p ? e->flags >> 3 & 3 : 3], 1);
    return p ? AIOS_OK : AIOS_MORE;
}
AIOS_API int32_t aios_is_active(aios_blocks *b, uint32_t layer, uint32_t row) {
    if (layer >= b->n_mask_layers || row >= b->n_mask_rows) return 1; /* no mask: no layers */
    if (b->mask[(size_t)layer * b->mask_words + row / 32] >> (row % 32) & 1) return 1;
    aios__tally_add(&aios__blk_mine(b->stripe)->skipped, 1);
    return 0;
}

AIOS__SMALL_BEGIN
/* ---- blocks by name and number ---- */
AIOS_API uint32_t aios_blocks_count(const aios_blocks *b) { return b ? b->n_blocks : 0; }

AIOS_API int64_t aios_blocks_at(const aios_blocks *b, uint32_t tensor, uint64_t off) {
    if (!b || tensor >= b->plan.n_tensors || off >= b->tensor[tensor].n_bytes) return AIOS_ERR_ARG;
    const aios__blk_tensor *t = &b->tensor[tensor];
    uint64_t per = t->unit_bytes / t->block_bytes + (t->unit_bytes % t->block_bytes != 0);
    return (int64_t)(t->first + off / t->unit_bytes * per + off % t->unit_bytes / t->block_bytes);
}
AIOS_API int64_t aios_blocks_find(const aios_blocks *b, const char *name, uint64_t off) {
    if (b && name)
        for (uint32_t i = 0; i < b->plan.n_tensors; i++)
            if (!strcmp(b->tensor[i].name, name)) return aios_blocks_at(b, i, off);
    return AIOS_ERR_ARG;
}
/* The tensor of a block: first ascends. */
static uint32_t aios__blk_of(const aios_blocks *b, uint32_t id) {
    uint32_t low = 0, high = b->plan.n_tensors;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (b->tensor[mid].first <= id)
            low = mid;
        else
            high = mid;
    }
    return low;
}
AIOS_API aios_status aios_block_get(const aios_blocks *b, uint32_t id, aios_block_entry *out) {
    if (!b || !out || id >= b->n_blocks) return AIOS_ERR_ARG;
    out->base = aios__base_get(&b->entry[id].base);
    out->n_bytes = b->entry[id].n_bytes;
    out->flags = b->entry[id].flags;
    out->delta = NULL;
    out->delta_bytes = 0;
    out->reserved = 0;
    return AIOS_OK;
}
AIOS_API aios_status aios_block_get_info(const aios_blocks *b, uint32_t id, aios_block_info *out) {
    aios_block_info x;
    if (!b || id >= b->n_blocks) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    x.tensor = aios__blk_of(b, id);
    const aios__blk_tensor *t = &b->tensor[x.tensor];
    memcpy(x.name, t->name, sizeof x.name);
    x.n_bytes = aios__blk_len(t, id - t->first, &x.offset);
    x.file_offset = t->off + x.offset;
    x.first_row = x.offset / t->row_bytes;
    x.n_rows = x.n_bytes / t->row_bytes;
    x.part = t->part;
    x.layer = t->layer;
    x.type = (int32_t)t->type;
    x.tier = b->entry[id].flags & AIOS_BLOCK_HOT    ? AIOS_TIER_HOT
             : b->entry[id].flags & AIOS_BLOCK_WARM ? AIOS_TIER_WARM
                                                    : AIOS_TIER_STREAM;
    return aios__desc_fill(AIOS__ID_aios_block_info, out, &x);
}

/* ---- the ring, and pages of a map ---- */
/* Walks the blocks from id on, around the end, as far as the prefetch distance goes: id itself,
 * then those that every token reads and that lie in the file. */
typedef struct aios__blk_step {
    uint32_t id, first, n, tensor, layers;
    int32_t layer;
} aios__blk_step;
static void aios__blk_first(const aios_blocks *b, uint32_t id, aios__blk_step *s) {
    s->id = s->first = id;
    s->n = 0; /* how far id is from first */
    s->tensor = aios__blk_of(b, id);
    s->layer = b->tensor[s->tensor].layer;
    s->layers = 0;
}
static int32_t aios__blk_next(const aios_blocks *b, aios__blk_step *s) {
    if (b->desc.flags & AIOS_BLOCKS_NO_PREFETCH) return 0;
    while (++s->n < b->n_blocks) {
        const aios__blk_tensor *t;
        if (++s->id == b->n_blocks) {
            s->id = 0;
            s->tensor = 0;
        } else if (s->id - b->tensor[s->tensor].first == b->tensor[s->tensor].n_blocks)
            s->tensor++;
        t = &b->tensor[s->tensor];
        if (t->layer != s->layer) {
            s->layer = t->layer;
            if (++s->layers > b->plan.prefetch_distance) return 0;
        }
        if (t->use <= AIOS__BLK_EACH && !(b->entry[s->id].flags & AIOS_BLOCK_HOT)) return 1;
    }
    return 0;
}
/* The slot that a block's bytes are in; they are in one. */
static aios__blk_slot *aios__blk_slot_of(const aios_blocks *b, const void *p) {
    return &b->slot[(uint64_t)((const char *)p - (const char *)b->got[AIOS__BLK_RING]) /
                    b->slot_bytes];
}
static aios_status aios__blk_bring(aios_blocks *b, uint32_t id, const aios__blk_tensor *t,
                                   aios_error *err) {
    aios_block_entry *e = &b->entry[id];
    aios__blk_slot *s;
    const aios_io *io = &b->io[t->part];
    uint64_t off, len = aios__blk_len(t, id - t->first, &off);
    aios_status st;
    /* fewer are wanted than there are */
    while (s = &b->slot[b->victim], s->want == b->want)
        b->victim = (b->victim + 1) % b->plan.n_slots;
    if (s->id != AIOS__BLK_NONE) aios__base_set(&b->entry[s->id].base, NULL);
    s->id = AIOS__BLK_NONE;
    char *dst = (char *)b->got[AIOS__BLK_RING] + b->victim * b->slot_bytes;
    off += t->off;
    /* whole pages, for readers that go past the page cache */
    uint64_t from = off / AIOS__BLK_PAGE * AIOS__BLK_PAGE;
    uint64_t to = aios__min_u64(aios__round_up(off + len, AIOS__BLK_PAGE), io->n_bytes);
    if ((st = aios__io_read(io, from, dst, to - from, err)) != 0) return st;
    s->id = id;
    s->want = b->want;
    b->victim = (b->victim + 1) % b->plan.n_slots; /* the oldest goes next */
    aios__base_set(&e->base, dst + (off - from));
    aios__tally_add(&b->n_prefetched, 1);
    aios__total_add(&b->prefetch_bytes, to - from);
    return AIOS_OK;
}
static int32_t aios__blk_late(const aios_blocks *b, uint64_t deadline) {
    return deadline && b->desc.now_ns(b->desc.now_user) >= deadline;
}

static aios_status aios__blk_ring_fill(aios_blocks *b, uint32_t id, uint64_t deadline,
                                       aios_error *err) {
    aios__blk_step s;
    uint32_t n, most = b->plan.n_slots;
    aios_status st;
    if (!++b->want) { /* once around: no old mark may look new */
        for (n = 0; n < most; n++) b->slot[n].want = 0;
        b->want = 1;
    }
    aios__blk_first(b, id, &s);
    for (n = 0; n < most;) { /* what is wanted and there stays */
        const void *p = b->entry[s.id].base;
        if (!(b->entry[s.id].flags & (AIOS_BLOCK_HOT | AIOS_BLOCK_WARM))) {
            n++;
            if (p) aios__blk_slot_of(b, p)->want = b->want;
        }
        if (!aios__blk_next(b, &s)) break;
    }
    most = n;
    aios__blk_first(b, id, &s);
    for (n = 0; n < most;) {
        if (!(b->entry[s.id].flags & (AIOS_BLOCK_HOT | AIOS_BLOCK_WARM))) {
            n++;
            if (!b->entry[s.id].base) {
                if ((st = aios__blk_bring(b, s.id, &b->tensor[s.tensor], err)) != 0) return st;
                if (n < most && aios__blk_late(b, deadline)) return AIOS_MORE;
            }
        }
        if (!aios__blk_next(b, &s)) break;
    }
    return AIOS_OK;
}
/* Where the io maps: the first byte of every page, so that the fault is taken here. */
static aios_status aios__blk_touch(aios_blocks *b, uint32_t id, uint64_t deadline) {
    aios__blk_step s;
    uint32_t skip = (id + b->n_blocks - b->seen_first) % b->n_blocks;
    aios_status st = AIOS_OK;
    /* so many from id on were touched by the call before */
    skip = skip < b->seen ? b->seen - skip : 0;
    aios__blk_first(b, id, &s);
    do {
        const aios_block_entry *e = &b->entry[s.id];
        uint64_t i;
        if (s.n < skip || ((e->flags & AIOS_BLOCK_HOT) && b->got[AIOS__BLK_HOT])) continue;
        for (i = 0; i < e->n_bytes; i += AIOS__BLK_PAGE)
            (void)*((const volatile char *)e->base + i);
        aios__tally_add(&b->n_prefetched, 1);
        aios__total_add(&b->prefetch_bytes, e->n_bytes);
        if (aios__blk_late(b, deadline)) {
            s.n++;
            st = AIOS_MORE;
            break;
        }
    } while (aios__blk_next(b, &s));
    b->seen_first = id;
    b->seen = s.n > skip ? s.n : skip;
    return st;
}
AIOS_API aios_status aios_blocks_prefetch(aios_blocks *b, uint32_t id, uint64_t deadline_ns,
                                          aios_error *err) {
    aios_status st = AIOS_OK;
    aios__clear(err);
    if (!b || id >= (b ? b->n_blocks : 0))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, b ? b->n_blocks : 0, id,
                           "there is no block %", aios__u(id), aios__u(0));
    if (!b->plan.n_slots && !b->mapped) return AIOS_OK; /* all is resident */
    uint64_t t0 = b->desc.now_ns(b->desc.now_user);
    st = b->plan.n_slots ? aios__blk_ring_fill(b, id, deadline_ns, err)
                         : aios__blk_touch(b, id, deadline_ns);
    aios__total_add(&b->prefetch_ns, b->desc.now_ns(b->desc.now_user) - t0);
    return st;
}
AIOS_API aios_status aios_blocks_read(const aios_blocks *b, uint32_t id, uint64_t offset, void *dst,
                                      uint64_t n, aios_error *err) {
    uint64_t off;
    aios__clear(err);
    if (!b || id >= (b ? b->n_blocks : 0) || (!dst && n))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_blocks_read: there is no such block, or dst is NULL");
    const aios__blk_tensor *t = &b->tensor[aios__blk_of(b, id)];
    uint64_t len = aios__blk_len(t, id - t->first, &off);
    if (offset > len || n > len - offset)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, len, offset,
                           "a block of % bytes has none from byte % on, or too few", aios__u(len),
                           aios__u(offset));
    return aios__io_read(&b->io[t->part], t->off + off + offset, dst, n, err);
}

/* ---- sparsity ---- */
AIOS_API aios_status aios_blocks_set_mask(aios_blocks *b, const uint32_t *bits, uint32_t n_layers,
                                          uint32_t n_rows, aios_error *err) {
    aios__clear(err);
    if (!b) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "the controller is NULL");
    if (bits && b->desc.flags & AIOS_BLOCKS_NO_SPARSITY)
        return aios__fail(err, AIOS_ERR_STATE, AIOS__NO_OFF,
                          "the controller was opened with AIOS_BLOCKS_NO_SPARSITY");
    if (bits && (!n_layers || !n_rows))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "a mask has one layer and one row at the least");
    b->mask = bits;
    b->n_mask_layers = bits ? n_layers : 0;
    b->n_mask_rows = bits ? n_rows : 0;
    b->mask_words = n_rows / 32 + (n_rows % 32 != 0);
    for (uint32_t i = 0; i < b->plan.n_tensors; i++) {
        const aios__blk_tensor *t = &b->tensor[i];
        aios__str name;
        int32_t of_rows;
        name.p = t->name;
        name.n = strlen(t->name);
        of_rows =
            t->layer >= 0 && (uint32_t)t->layer < b->n_mask_layers &&
            t->n_bytes / t->row_bytes == n_rows &&
            (aios__blk_has(name, ".ffn_up.weight") || aios__blk_has(name, ".ffn_gate.weight"));
        for (uint32_t j = 0; j < t->n_blocks; j++) {
            aios_block_entry *e = &b->entry[t->first + j];
            uint64_t off, len = aios__blk_len(t, j, &off), r = off / t->row_bytes,
                          end = (off + len) / t->row_bytes;
            e->flags &= ~(uint32_t)AIOS_BLOCK_SPARSE;
            if (!of_rows) continue;
            while (r < end && !(bits[(size_t)t->layer * b->mask_words + r / 32] >> (r % 32) & 1))
                r++;
            if (r == end) e->flags |= AIOS_BLOCK_SPARSE;
        }
    }
    return AIOS_OK;
}

/* ---- telemetry ---- */
AIOS_API void aios_blocks_set_memory(aios_blocks *b, uint32_t flags) {
    if (b) b->mem_flags = flags;
}
AIOS_API void aios_blocks_token(aios_blocks *b) {
    if (b) aios__tally_add(&b->n_tokens, 1);
}

AIOS_API aios_status aios_get_hardware_profile(const aios_blocks *b, aios_hardware *out) {
    return b ? aios__desc_fill(AIOS__ID_aios_hardware, out, &b->hw) : AIOS_ERR_ARG;
}
static void aios__blk_sum(const aios_blocks *b, aios__blk_sums *s) {
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < AIOS__BLK_STRIPES; i++) {
        for (uint32_t k = 0; k < 4; k++) s->tier[k] += aios__tally_get(&b->stripe[i].tier[k]);
        s->skipped += aios__tally_get(&b->stripe[i].skipped);
    }
    s->n_tokens = aios__tally_get(&b->n_tokens);
    s->n_prefetched = aios__tally_get(&b->n_prefetched);
    s->prefetch_bytes = aios__total_get(&b->prefetch_bytes);
    s->prefetch_ns = aios__total_get(&b->prefetch_ns);
}
AIOS_API aios_status aios_get_telemetry(const aios_blocks *b, aios_telemetry *out) {
    aios_telemetry t;
    aios__blk_sums s;
    if (!b) return AIOS_ERR_ARG;
    memset(&t, 0, sizeof t);
    aios__blk_sum(b, &s);
    t.degraded = b->plan.degraded;
    t.n_tokens = s.n_tokens - b->from.n_tokens;
    t.n_stream = s.tier[0] - b->from.tier[0];
    t.n_hot = s.tier[1] - b->from.tier[1];
    t.n_warm = s.tier[2] - b->from.tier[2];
    t.n_missed = s.tier[3] - b->from.tier[3];
    t.n_skipped = s.skipped - b->from.skipped;
    t.n_resolved = t.n_hot + t.n_warm + t.n_stream;
    t.hot_ratio = t.n_resolved ? (double)t.n_hot / (double)t.n_resolved : 0;
    t.n_prefetched = s.n_prefetched - b->from.n_prefetched;
    t.prefetch_bytes = s.prefetch_bytes - b->from.prefetch_bytes;
    t.prefetch_ns = s.prefetch_ns - b->from.prefetch_ns;
    t.isa_tier = (uint32_t)b->hw.isa_tier;
    t.sparsity = b->mask != NULL;
    t.prefetch = !(b->desc.flags & AIOS_BLOCKS_NO_PREFETCH);
    t.pinned = (b->mem_flags & AIOS_MEM_PIN) != 0;
    t.huge_pages = (b->mem_flags & AIOS_MEM_HUGE) != 0;
    return aios__desc_fill(AIOS__ID_aios_telemetry, out, &t);
}
/* The counters themselves are not touched: other threads may be adding to them, and nothing is
 * lost or counted twice. */
AIOS_API void aios_reset_telemetry(aios_blocks *b) {
    if (b) aios__blk_sum(b, &b->from);
}
AIOS__SMALL_END
