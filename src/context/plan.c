/* plan.c: what will be asked for, to the byte, before anything is taken. Pure arithmetic on the
 * header: it runs the same layout code as opening does, over bumps that only count, so a plan
 * cannot differ from what opening takes. */

static uint64_t aios__plan_stacks(const aios_plan *p) {
    return aios__stacks((p->flags & AIOS_PLAN_LENT_THREADS ? 0 : p->n_threads - 1) + p->n_readers);
}
static aios__cut aios__plan_cut(const aios_plan *p) {
    aios__cut c;
    c.rows = p->numerics == AIOS_REFERENCE;
    c.level = p->stream_level;
    c.warm = p->warm_steps;
    c.experts = p->n_expert_slots > 0;
    c.tables = (p->rungs & AIOS_RUNG_ROWS) != 0;
    c.mapped = (p->flags & AIOS_PLAN_IN_PLACE) != 0 || (p->rungs & AIOS_RUNG_IN_PLACE) != 0;
    c.unit_bytes = p->unit_bytes;
    return c;
}
/* Two cuts that put every weight in the same place. */
static int32_t aios__cut_same(const aios__cut *a, const aios__cut *b) {
    return a->rows == b->rows && a->level == b->level && a->experts == b->experts &&
           a->tables == b->tables && a->warm == b->warm && a->mapped == b->mapped &&
           (!a->level || a->unit_bytes == b->unit_bytes);
}
/* For single rows no thread is worth its stack. */
static int32_t aios__plan_wants_readers(const aios_plan *p) {
    return p->n_units || p->n_expert_slots;
}
static int32_t aios__plan_streams(const aios_plan *p) {
    return aios__plan_wants_readers(p) || p->n_row_slots;
}
/* Streams through the io's submit and wait. */
static uint32_t aios__plan_async(const aios_model *m, const aios_plan *p) {
    return m->async && !p->n_readers && !(p->flags & AIOS_PLAN_LENT_READERS);
}
/* A plan from the caller. One of a header that knew no tiers has all weights in the first. */
static aios_status aios__plan_copy(aios_plan *p, const aios_plan *from, aios_error *err) {
    aios_status st = aios__desc_copy(AIOS__ID_aios_plan, p, from, err);
    if (!st && from->struct_size <= offsetof(aios_plan, tier_bytes))
        p->tier_bytes[AIOS_TIER_HOT] = p->request_bytes[AIOS_MEM_WEIGHTS];
    return st;
}
/* A walk over the model's graph as the plan has it, into p. */
static void aios__emitter_start(aios__emitter *e, const aios_model *m, const aios_plan *plan,
                                const aiosk_isa *k, aios__program *p, aios__moe *moe) {
    const aios__hp *hp = &m->hp;
    memset(e, 0, sizeof *e);
    e->m = m;
    e->g = &m->graph;
    e->k = k;
    e->p = p;
    e->moe = moe;
    e->cut = aios__plan_cut(plan);
    e->n_ctx = plan->n_ctx;
    e->n_seq = plan->n_seq;
    e->n_batch = plan->n_batch;
    e->n_outputs = plan->n_outputs;
    e->n_threads = plan->n_threads;
    e->numerics = plan->numerics;
    e->coded = aios__kv_is_coded(m, plan);
    e->heavy = plan->kv_heavy > 0;
    e->n_block = aios__attend_tokens(hp);
    moe->n_expert = hp->n_expert;
    moe->n_used = hp->n_used;
    moe->block_cols =
        aios__task_cols(32, hp->n_ff_exp > hp->n_embd ? hp->n_ff_exp : hp->n_embd, AIOSK__MAX_COLS);
}

enum {
    AIOS__DEFAULT_CTX = 4096,
    AIOS__MAX_READERS = 64,
    AIOS__MAX_SLOTS = 4096,
    AIOS__PLAN_FLAGS = AIOS_PLAN_LENT_THREADS | AIOS_PLAN_LENT_READERS | AIOS_PLAN_IN_PLACE |
                       AIOS_PLAN_PIN | AIOS_PLAN_KEEP_BATCH | AIOS_PLAN_NO_STREAM |
                       AIOS_PLAN_MAY_KV_TYPE | AIOS_PLAN_MAY_CTX | AIOS_PLAN_MAY_KV_CODES
};
#define AIOS__MAX_UNIT ((uint64_t)4 << 20) /* large enough that storage is not asked too often */

/* Experts of all layers that can be read one by one; 0 = none. */
static uint64_t aios__n_experts(const aios_model *m) {
    uint64_t n = 0;
    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        if (m->layer[l][AIOS__ROLE_FFN_ROUTER].w < 0) continue;
        for (int32_t k = AIOS__ROLE_FFN_GATE_EXPS; k <= AIOS__ROLE_FFN_DOWN_EXPS; k++)
            /* a slot counts in 32 bits, panels that are not full included */
            if (m->gguf.tensor[m->layer[l][k].w].row_bytes * m->gguf.tensor[m->layer[l][k].w].n[1] >
                UINT32_MAX / 32)
                return 0;
        n += (uint64_t)m->hp.n_expert;
    }
    return n;
}
static aios_status aios__plan_check_ranges(const aios_plan *p, aios_error *err) {
    static const struct {
        const char *name;
        uint32_t at;
        int32_t least, most;
    } rule[] = {
#define AIOS__X(field, least, most) { #field, offsetof(aios_plan, field), least, most }
        AIOS__X(n_ctx, 1, 1 << 28),
        AIOS__X(n_seq, 1, 1 << 20),
        AIOS__X(n_batch, 1, 4096),
        AIOS__X(n_outputs, 1, 4096),
        AIOS__X(n_threads, 1, 1024),
        AIOS__X(numerics, 0, AIOS_REFERENCE),
        AIOS__X(isa, 0, AIOSK_N_ISA - 1),
        AIOS__X(stream_level, 0, AIOS__LEVELS),
        AIOS__X(warm_steps, 0, 4 * 4096),
        AIOS__X(n_readers, 0, AIOS__MAX_READERS),
        AIOS__X(n_slots, 0, AIOS__MAX_SLOTS),
        AIOS__X(kv_positions, 0, 1 << 30),
        AIOS__X(kv_recent, 0, 1 << 28),
        AIOS__X(kv_window, 0, 1 << 28),
        AIOS__X(kv_sinks, -1, 1 << 28),
        AIOS__X(kv_heavy, 0, 1 << 28),
#undef AIOS__X
    };
    for (uint32_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        int32_t is;
        memcpy(&is, (const char *)p + rule[i].at, sizeof is);
        if (is >= rule[i].least && is <= rule[i].most) continue;
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)rule[i].most,
                           (uint64_t)(is < 0 ? 0 : is), "the plan's % is %, out of range",
                           aios__z(rule[i].name), aios__i(is));
    }
    return AIOS_OK;
}
static aios_status aios__plan_check_kv(const aios_model *m, const aios_plan *p, aios_error *err) {
    for (int32_t i = -2; i < (p->kv_layer_type ? m->hp.n_layer : 0); i++) {
        int32_t t = i == -2 ? p->kv_type : i == -1 ? p->kv_old_type : p->kv_layer_type[i];
        if (i == -2 ? aiosk_kv_ok(t)
            : i == -1
                ? t == 0 || (aiosk_kv_ok(t) && p->kv_type != AIOSK_KV_F32)
                : t == -1 || (aiosk_kv_ok(t) && t != AIOSK_KV_F32 && p->kv_type != AIOSK_KV_F32))
            continue;
        return aios__fail2(
            err, AIOS_ERR_ARG, AIOS__NO_OFF, 0, (uint64_t)(int64_t)t,
            "the plan's % is %, which is no type of cache, or does not go with one of f32",
            aios__z(i == -2   ? "kv_type"
                    : i == -1 ? "kv_old_type"
                              : "kv_layer_type"),
            aios__i(t));
    }
    if ((p->kv_heavy || p->kv_sinks) && !p->kv_window)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan's kv_heavy and kv_sinks go with kv_window");
    if (p->kv_recent && !p->kv_old_type)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan's kv_recent goes with kv_old_type");
    return AIOS_OK;
}
static aios_status aios__plan_check_stream(const aios_model *m, const aios_plan *p,
                                           aios_error *err) {
    if (p->unit_bytes > AIOS__MAX_UNIT)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS__MAX_UNIT, p->unit_bytes,
                           "the plan's unit_bytes is %, out of range", aios__u(p->unit_bytes),
                           aios__u(0));
    if (p->n_expert_slots > p->n_experts || p->n_experts > aios__n_experts(m))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, aios__n_experts(m), p->n_expert_slots,
                           "the plan has % slots for % experts", aios__u(p->n_expert_slots),
                           aios__u(aios__n_experts(m)));
    if (p->n_units && p->n_slots < 1)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "the plan streams through a ring without slots");
    return AIOS_OK;
}
/* Can this build, on this machine, run the model so? */
static aios_status aios__plan_check_run(const aios_model *m, const aios_plan *p, aios_error *err) {
    /* AIOS_FAST differs from AIOS_CANONICAL in the kernels of float matrices alone
     * (aiosk_matmul_fast): no layout, no size */
    if (p->numerics == AIOS_REFERENCE && p->kv_type != AIOSK_KV_F32)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "AIOS_REFERENCE numerics go with an f32 cache");
    if ((uint64_t)p->n_batch * (uint64_t)m->hp.n_head > (uint64_t)1 << 28)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, (uint64_t)1 << 28,
                           (uint64_t)p->n_batch * (uint64_t)m->hp.n_head,
                           "a batch of % tokens of % heads is too large: plan a smaller n_batch",
                           aios__i(p->n_batch), aios__i(m->hp.n_head));
    if (m->role[AIOS__ROLE_POS_EMBD].w >= 0 && p->n_ctx > m->hp.n_ctx_train)
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, (uint64_t)m->hp.n_ctx_train,
                           (uint64_t)p->n_ctx,
                           "n_ctx % is past the % positions that the model has learned",
                           aios__i(p->n_ctx), aios__i(m->hp.n_ctx_train));
    if (!aiosk_select(p->isa))
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                           "instruction set % is not in this machine or this build",
                           aios__i(p->isa));
#ifdef AIOS_NO_THREADS
    if (p->flags & AIOS_PLAN_LENT_READERS)
        return aios__fail(
            err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
            "this build has no locks (AIOS_NO_THREADS), which threads that read need");
#endif
    return AIOS_OK;
}
/* Are a loaded model's weights divided as the plan wants them? */
static aios_status aios__plan_check_loaded(const aios_model *m, const aios_plan *p,
                                           aios_error *err) {
    if (!m->loaded) return AIOS_OK;
    aios__cut cut = aios__plan_cut(p);
    if (m->cut.rows != cut.rows)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's weights are laid out for other numerics: open the model a second time");
    if (!aios__cut_same(&cut, &m->cut))
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's weights are divided in another way: plan again without, or open the "
            "model a second time");
    return AIOS_OK;
}
/* The choices of a plan, whether made here or handed in. */
static aios_status aios__plan_check(const aios_model *m, const aios_plan *p, aios_error *err) {
    aios_status st = aios__flags(p->flags, AIOS__PLAN_FLAGS, "aios_plan", err);
    if (!st) st = aios__plan_check_ranges(p, err);
    if (!st) st = aios__plan_check_kv(m, p, err);
    if (!st) st = aios__plan_check_stream(m, p, err);
    if (!st) st = aios__plan_check_run(m, p, err);
    return st ? st : aios__plan_check_loaded(m, p, err);
}

/* The sizes of a plan whose choices are made. 0 when something overflows. */
static int32_t aios__plan_sizes(const aios_model *m, aios_plan *p, const aiosk_isa *k) {
    aios__emitter e;
    aios__program b;
    aios__moe moe;
    aios__kv kv;
    aios_context tmp;
    aios__bump meta = { NULL, 0 };
    aios__weights_size w;
    uint64_t i;
    memset(&b, 0, sizeof b);
    memset(&moe, 0, sizeof moe);
    aios__emitter_start(&e, m, p, k, &b, &moe);
    if (!aios__program_count(&e)) return 0;
    aios__cut cut = e.cut;
    if (!aios__kv_size(&kv, m, p)) return 0;
    p->n_ops = b.n_ops;
    p->n_phases = b.n_phases;
    p->n_units = b.n_units;
    p->slot_bytes = aios__round_up(b.slot_bytes, AIOS__STREAM_ALIGN);
    p->expert_slot_bytes = b.matrix_bytes[AIOS__EXPERT_GATE] + b.matrix_bytes[AIOS__EXPERT_UP] +
                           b.matrix_bytes[AIOS__EXPERT_DOWN];
    p->n_row_slots = !b.n_tables                    ? 0
                     : p->n_batch < AIOS__ROW_SLOTS ? (uint32_t)p->n_batch
                                                    : (uint32_t)AIOS__ROW_SLOTS;
    p->row_slot_bytes = b.row_slot_bytes;
    memset(&tmp, 0, sizeof tmp);
    tmp.kv = kv;
    aios__context_layout(m, p, &meta, &tmp);
    aios__weights_measure(m, &cut, &w);
    uint64_t load_tmp = m->loaded ? 0 : aios__weights_tmp(m, &cut);
    for (i = 0; i < 2; i++) p->tier_bytes[i] = m->loaded ? 0 : w.tier[i];
    if (!aios__mul(p->slot_bytes, p->n_slots, &p->tier_bytes[AIOS_TIER_STREAM]) ||
        !aios__mul(p->expert_slot_bytes, p->n_expert_slots, &i) ||
        !aios__add(p->tier_bytes[AIOS_TIER_STREAM], i, &p->tier_bytes[AIOS_TIER_STREAM]) ||
        !aios__mul(p->row_slot_bytes, p->n_row_slots, &i) ||
        !aios__add(p->tier_bytes[AIOS_TIER_STREAM], i, &p->tier_bytes[AIOS_TIER_STREAM]))
        return 0;
    p->request_bytes[AIOS_MEM_META] = aios__round_up(meta.used, 64);
    p->request_bytes[AIOS_MEM_SCRATCH] =
        aios__round_up(b.scratch_bytes > load_tmp ? b.scratch_bytes : load_tmp, 64);
    p->request_bytes[AIOS_MEM_KV] = kv.bytes;
    p->request_bytes[AIOS_MEM_WEIGHTS] = 0;
    for (i = 0, p->n_requests = 3; i < 3; i++) {
        if (!aios__add(p->request_bytes[AIOS_MEM_WEIGHTS], p->tier_bytes[i],
                       &p->request_bytes[AIOS_MEM_WEIGHTS]))
            return 0;
        p->n_requests += p->tier_bytes[i] != 0;
    }
    p->total_bytes = 0;
    for (i = 0; i < AIOS_N_MEM; i++)
        if (!aios__add(p->total_bytes, p->request_bytes[i], &p->total_bytes)) return 0;
    p->weight_bytes_packed = w.packed;
    p->weight_bytes_rows = w.rows;
    p->weight_bytes_mapped = w.mapped;
    p->token_weight_bytes = b.w_bytes;
    p->token_act_bytes = b.act_bytes;
    p->token_stream_bytes = b.stream_bytes;
    p->token_expert_bytes = b.expert_bytes;
    p->token_kv_pos_bytes = kv.pos_bytes;
    p->token_kv_bytes = aios__kv_read_bytes(&kv, m, p);
    return 1;
}

/* ---- the ladder ---- */
typedef struct aios__ladder {
    const aios_model *m;
    const aios_plan_desc *d;
    const aiosk_isa *k;
    int32_t can_map;         /* the io maps all matrices */
    uint32_t n_slots;        /* of a ring that has units enough */
    uint32_t experts;        /* that a cache may hold; 0 = they stay resident */
    uint32_t rows, may_rows; /* AIOS_RUNG_ROWS or 0: rows of tables are read, or may be */
    uint64_t least_unit;     /* bytes of a unit, so that rounding adds a percent at the most */
    int32_t n_readers;
} aios__ladder;

/* Sizes, with a ring that has no more slots than it needs. */
static int32_t aios__ladder_sizes(const aios__ladder *l, aios_plan *p) {
    p->n_slots = l->n_slots;
    p->n_readers = l->n_readers;
    p->rungs |= AIOS_RUNG_STREAM | AIOS_RUNG_EXPERTS | l->rows;
    if (!p->n_expert_slots) p->rungs &= ~(uint32_t)AIOS_RUNG_EXPERTS;
    if (!aios__plan_sizes(l->m, p, l->k)) return 0;
    if (!p->n_row_slots) p->rungs &= ~(uint32_t)AIOS_RUNG_ROWS;
    if (p->n_units >= p->n_slots && p->n_units) return 1;
    p->n_slots = p->n_units;
    if (!p->n_units) {
        p->stream_level = 0;
        p->rungs &= ~(uint32_t)AIOS_RUNG_STREAM;
    }
    if (!aios__plan_wants_readers(p)) p->n_readers = 0;
    return aios__plan_sizes(l->m, p, l->k);
}
static int32_t aios__fits(const aios__ladder *l, aios_plan *p) {
    int32_t low = 0, high = aios__warm_steps(l->m), level = p->stream_level;
    if (!aios__ladder_sizes(l, p)) return 0;
    if (l->d->hot_bytes && !l->m->loaded &&
        !((p->flags & AIOS_PLAN_IN_PLACE) || (p->rungs & AIOS_RUNG_IN_PLACE)))
        while (low < high) { /* what is too much for the hot tier is warm */
            p->warm_steps = low + (high - low) / 2;
            p->stream_level = level;
            if (!aios__ladder_sizes(l, p)) return 0;
            if (p->tier_bytes[AIOS_TIER_HOT] <= l->d->hot_bytes)
                high = p->warm_steps;
            else
                low = p->warm_steps + 1;
            if (low == high && p->warm_steps != high) {
                p->warm_steps = high;
                p->stream_level = level;
                aios__ladder_sizes(l, p);
            }
        }
    if (l->d->budget_bytes && (p->total_bytes > l->d->budget_bytes ||
                               p->held_bytes > l->d->budget_bytes - p->total_bytes))
        return 0;
    if (l->d->hot_bytes && p->tier_bytes[AIOS_TIER_HOT] > l->d->hot_bytes) return 0;
    return !l->d->warm_bytes || p->tier_bytes[AIOS_TIER_WARM] <= l->d->warm_bytes;
}
/* No pass has more tokens than the sequences hold. */
static int32_t aios__batch_of(const aios_plan *p, int32_t n) {
    int64_t most = (int64_t)p->n_ctx * p->n_seq;
    return n < most ? n : (int32_t)most;
}
static void aios__set_batch(const aios__ladder *l, aios_plan *p, int32_t n) {
    if (n < p->n_batch) p->rungs |= AIOS_RUNG_BATCH;
    p->n_batch = n;
    p->n_outputs = l->d->n_outputs ? l->d->n_outputs : p->n_seq;
    if (p->n_outputs > n) p->n_outputs = n;
}
/* How many tokens share a pass, so that each of a prompt moves the fewest bytes: its part of the
 * weights, and what of the activations does not stay in the caches. Larger passes than 64 take
 * no more room than a sixteenth of what the weights do. */
static int32_t aios__best_batch(const aios__ladder *l, const aios_plan *p) {
    uint64_t cache = l->d->l2_bytes + l->d->l3_bytes, fewest = UINT64_MAX;
    int32_t best = aios__batch_of(p, 64);
    if (!cache) cache = 1 << 20;
    for (int32_t n = 32; n <= 512 && n <= aios__batch_of(p, n); n *= 2) {
        aios_plan x = *p;
        uint64_t room, moved;
        aios__set_batch(l, &x, n);
        if (!aios__plan_sizes(l->m, &x, l->k)) break;
        room = x.request_bytes[AIOS_MEM_SCRATCH];
        if (n > 64 && room > l->m->gguf.tensor_bytes / 16) break;
        moved = x.token_weight_bytes / (uint64_t)n +
                (room > cache ? x.token_act_bytes * ((room - cache) >> 10) / (room >> 10) : 0);
        if (moved < fewest) {
            fewest = moved;
            best = n;
        }
    }
    return best;
}
/* A ring of n_slots units and the threads that fill it; one slot where reading waits for
 * computing. */
static void aios__set_ring(aios__ladder *l, const aios_plan *p, uint32_t n_slots) {
    int32_t n = l->d->n_readers, async = (int32_t)l->m->async,
            lent = (p->flags & AIOS_PLAN_LENT_READERS) != 0;
    if (n == 0 && !async && p->n_threads > 1 && !(p->flags & AIOS_PLAN_LENT_THREADS)) n = 2;
#ifdef AIOS_NO_THREADS
    n = 0;
#endif
    l->n_readers = lent || n < 0 ? 0 : n;
    l->n_slots = l->n_readers || lent || async ? n_slots : 1;
}
/* The next type of cache down that the plan may take, for which all of the cache is smaller; -1
 * = none. */
static int32_t aios__kv_less(const aios__ladder *l, const aios_plan *p) {
    static const int32_t types[] = { AIOSK_KV_F16, AIOSK_KV_I8, AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4),
                                     AIOSK_KV(AIOSK_KV_C5, AIOSK_KV_C4),
                                     AIOSK_KV(AIOSK_KV_C4, AIOSK_KV_C4) };
    int32_t n = p->numerics == AIOS_REFERENCE       ? 0
                : p->flags & AIOS_PLAN_MAY_KV_CODES ? 5
                : p->flags & AIOS_PLAN_MAY_KV_TYPE  ? 2
                                                    : 0;
    aios_plan less = *p;
    aios__kv now, then;
    for (int32_t i = 0; i < n; i++) {
        less.kv_type = types[i];
        if (aios__tile_bytes(l->m, 0, types[i]) >= aios__tile_bytes(l->m, 0, p->kv_type) ||
            !aios__kv_size(&then, l->m, &less))
            continue;
        if (!aios__kv_size(&now, l->m, p) || then.bytes < now.bytes) return types[i];
    }
    return -1;
}
/* The smallest of 1 .. most that fits, in *x, which is a field of p; 0 when none does. What fits
 * is taken to go on fitting. */
static int32_t aios__least_fit(const aios__ladder *l, aios_plan *p, int32_t *x, int32_t most,
                               uint64_t unit_bytes) {
    int32_t low = 0, high = most, at; /* low does not fit */
    p->unit_bytes = unit_bytes;
    *x = most;
    if (!aios__fits(l, p)) return 0;
    while (high - low > 1) {
        *x = at = low + (high - low) / 2;
        if (aios__fits(l, p))
            high = at;
        else
            low = at;
    }
    *x = high;
    return aios__fits(l, p);
}
/* Experts in a cache: as many as fit, so that what is left is theirs. 0 = not even one; then one
 * for each that a token uses, in case other matrices can make room. */
static int32_t aios__most_experts(aios__ladder *l, aios_plan *p) {
    uint32_t low = 0, high = l->experts + 1; /* low fits, high does not */
    aios__set_ring(l, p, 4);
    while (high - low > 1) {
        p->n_expert_slots = low + (high - low) / 2;
        if (aios__fits(l, p))
            low = p->n_expert_slots;
        else
            high = p->n_expert_slots;
    }
    p->n_expert_slots = low ? low : (uint32_t)l->m->hp.n_used;
    return low && aios__fits(l, p);
}
/* Takes to reading rows of tables, unless the room for rows is more than the tables. */
static int32_t aios__rows_pay(aios__ladder *l, aios_plan *p) {
    if (!aios__ladder_sizes(l, p)) return 0;
    uint64_t before = p->total_bytes;
    l->rows = l->may_rows;
    if (aios__ladder_sizes(l, p) && p->total_bytes <= before) return l->rows != 0;
    l->rows = 0;
    p->rungs &= ~(uint32_t)AIOS_RUNG_ROWS;
    aios__ladder_sizes(l, p);
    return 0;
}
/* The smallest of all: everything given up that may be, and as little resident as it takes.
 * Small units need a small ring and long tables, and a ring can be larger than what it saves:
 * all ways are weighed. */
static int32_t aios__bottom(aios__ladder *l, aios_plan *p) {
    int32_t type;
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__set_batch(l, p, 1);
    if (p->flags & AIOS_PLAN_MAY_CTX) {
        int32_t least = l->d->n_ctx_min ? l->d->n_ctx_min : 64;
        if (least < p->n_ctx) {
            p->n_ctx = least;
            p->rungs |= AIOS_RUNG_CTX;
        }
    }
    while ((type = aios__kv_less(l, p)) >= 0) {
        p->kv_type = type;
        p->rungs |= AIOS_RUNG_KV_TYPE;
    }
    aios__set_ring(l, p, 2);
    if (l->m->loaded) return aios__ladder_sizes(l, p); /* the weights are where they are */
    aios__rows_pay(l, p);
    if (l->can_map) {
        p->rungs |= AIOS_RUNG_IN_PLACE;
        p->warm_steps = aios__warm_steps(l->m);
    }
    p->stream_level = 0;
    if (!aios__ladder_sizes(l, p)) return 0;
    aios_plan best = *p;
    for (p->n_expert_slots = 0;
         !l->can_map && !(p->flags & AIOS_PLAN_NO_STREAM) && p->n_expert_slots <= (l->experts > 0);
         p->n_expert_slots++) {
        p->stream_level = 0;
        if (p->n_expert_slots && aios__ladder_sizes(l, p) && p->total_bytes < best.total_bytes)
            best = *p;
        for (int32_t level = AIOS__LEVEL; level <= AIOS__LEVELS; level += AIOS__LEVEL)
            for (uint64_t unit = l->least_unit; unit <= AIOS__MAX_UNIT; unit *= 2) {
                p->stream_level = level;
                p->unit_bytes = unit;
                if (aios__ladder_sizes(l, p) && p->total_bytes < best.total_bytes) best = *p;
            }
    }
    *p = best;
    return 1;
}
/* A batch that shares what a pass streams. A pass reads all that is streamed, so many tokens
 * should share it: as many as were asked for (n_asked), or up to 512, if the room that they need
 * is no more than a sixteenth of the memory. */
static void aios__stream_batch(const aios__ladder *l, aios_plan *p, int32_t n_asked) {
    uint64_t budget = l->d->budget_bytes;
    int32_t batch = aios__batch_of(p, l->d->n_batch ? n_asked : 512);
    p->rungs &= ~(uint32_t)AIOS_RUNG_BATCH;
    p->n_batch = batch;
    for (;;) {
        aios__set_batch(l, p, batch);
        if (batch <= 16 || !budget ||
            (aios__ladder_sizes(l, p) && p->request_bytes[AIOS_MEM_SCRATCH] <= budget / 16))
            break;
        batch /= 2;
    }
    if (!l->d->n_batch) p->rungs &= ~(uint32_t)AIOS_RUNG_BATCH;
}
/* The rungs of the batch and the cache: the weights stay where they are. */
static int32_t aios__descend_resident(aios__ladder *l, aios_plan *p) {
    int32_t least_ctx = l->d->n_ctx_min ? l->d->n_ctx_min : 64, type;
    if (aios__fits(l, p)) return 1;
    if (!l->m->loaded && aios__rows_pay(l, p) && aios__fits(l, p)) return 1;
    while (!(p->flags & AIOS_PLAN_KEEP_BATCH) && p->n_batch > 16) {
        aios__set_batch(l, p, p->n_batch / 2 > 16 ? p->n_batch / 2 : 16);
        if (!l->rows && !l->m->loaded) aios__rows_pay(l, p);
        if (aios__fits(l, p)) return 1;
    }
    while ((type = aios__kv_less(l, p)) >= 0) {
        p->kv_type = type;
        p->rungs |= AIOS_RUNG_KV_TYPE;
        if (aios__fits(l, p)) return 1;
    }
    while (p->flags & AIOS_PLAN_MAY_CTX && p->n_ctx > least_ctx) {
        p->n_ctx = p->n_ctx / 2 > least_ctx ? p->n_ctx / 2 : least_ctx;
        p->rungs |= AIOS_RUNG_CTX;
        if (aios__fits(l, p)) return 1;
    }
    return 0;
}
/* The rungs of streaming: experts in a cache, then parts of all matrices through a ring. */
static int32_t aios__descend_stream(aios__ladder *l, aios_plan *p, int32_t n_asked) {
    uint64_t budget = l->d->budget_bytes;
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__stream_batch(l, p, n_asked);
    if (l->experts && aios__most_experts(l, p)) return 1;
    /* the largest units of which four fit in a sixteenth of the memory; then smaller ones */
    aios__set_ring(l, p, 4);
    for (uint64_t unit = AIOS__MAX_UNIT; unit >= l->least_unit; unit /= 2) {
        if (budget && unit * 4 > budget / 16 && unit > l->least_unit) continue;
        if (aios__least_fit(l, p, &p->stream_level, AIOS__LEVELS, unit)) return 1;
    }
    if (!(p->flags & AIOS_PLAN_KEEP_BATCH)) aios__set_batch(l, p, 1);
    aios__set_ring(l, p, 2);
    if (p->n_expert_slots) p->n_expert_slots = 1;
    return aios__least_fit(l, p, &p->stream_level, AIOS__LEVELS, l->least_unit);
}
/* Goes down the ladder, one rung after the other and each no further than needed. p as asked
 * for. 0 = does not fit. */
static int32_t aios__descend(aios__ladder *l, aios_plan *p) {
    int32_t n_asked = p->n_batch;
    if (aios__descend_resident(l, p)) return 1;
    if (l->m->loaded) return 0;
    if (l->can_map) {
        p->rungs |= AIOS_RUNG_IN_PLACE;
        return aios__least_fit(l, p, &p->warm_steps, aios__warm_steps(l->m), 0);
    }
    return p->flags & AIOS_PLAN_NO_STREAM ? 0 : aios__descend_stream(l, p, n_asked);
}

/* As many threads as there are fast cores, or less where a container allows less of their time. */
static int32_t aios__own_threads(void) {
    int32_t n = 1;
#ifndef AIOS_NO_THREADS
    aios_hardware h;
    aios_hardware_init(&h);
    if (aios_hardware_detect(&h) == AIOS_OK) n = h.n_performance;
    if (h.quota_milli && n > h.quota_milli / 1000) n = h.quota_milli / 1000;
#endif
    return n < 1 ? 1 : n > 1024 ? 1024 : n;
}

/* ---- making a plan ---- */
static aios_status aios__plan_desc_copy(aios_plan_desc *d, const aios_plan_desc *from,
                                        aios_error *err) {
    aios_status st = aios__desc_copy(AIOS__ID_aios_plan_desc, d, from, err);
    if (!st) st = aios__flags(d->flags, AIOS__PLAN_FLAGS, "aios_plan_desc", err);
    if (!st) st = aios__unused((uint32_t)d->reserved, "aios_plan_desc", err);
    if (!st && (d->n_readers > AIOS__MAX_READERS || d->n_ctx_min < 0))
        st = aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF, AIOS__MAX_READERS, (uint64_t)d->n_readers,
                         "aios_plan_desc: n_readers % or n_ctx_min % is out of range",
                         aios__i(d->n_readers), aios__i(d->n_ctx_min));
    return st;
}
/* Nothing is planned that the caller's aios_plan, of plan_size bytes, cannot say. */
static aios_status aios__plan_limit_to_header(aios_plan_desc *d, uint32_t plan_size,
                                              aios_error *err) {
    if (plan_size <= offsetof(aios_plan, tier_bytes)) {
        d->flags |= AIOS_PLAN_NO_STREAM;
        d->flags &= ~(uint32_t)AIOS_PLAN_IN_PLACE;
        d->hot_bytes = d->warm_bytes = 0;
    }
    if (plan_size <= offsetof(aios_plan, kv_layer_type) &&
        (d->kv_positions || d->kv_old_type || d->kv_window || d->kv_layer_type))
        return aios__fail(
            err, AIOS_ERR_DESC, AIOS__NO_OFF,
            "this aios_plan is of a header that knows no rules of the cache: compile with one "
            "header");
    return AIOS_OK;
}
static void aios__ladder_start(aios__ladder *l, const aios_model *m, const aios_plan_desc *d,
                               uint32_t plan_size) {
    memset(l, 0, sizeof *l);
    l->m = m;
    l->d = d;
    if (plan_size > offsetof(aios_plan, n_expert_slots))
        l->experts = (uint32_t)aios__min_u64(aios__n_experts(m), INT32_MAX);
    l->may_rows = d->flags & AIOS_PLAN_NO_STREAM ? 0 : (uint32_t)AIOS_RUNG_ROWS;
    l->least_unit = 65536;
    for (uint64_t i = 0; i < m->n_parts + (m->io[m->n_parts].read != NULL); i++)
        if (!(m->io[i].flags & AIOS_IO_ANY_OFFSET)) l->least_unit = 524288;
    l->can_map = plan_size > offsetof(aios_plan, tier_bytes);
    for (uint64_t i = 0; i < m->gguf.n_tensors; i++)
        l->can_map &= m->place[i].use != AIOS__IS_MATRIX || m->place[i].can_map != 0;
}
/* As the desc asks, the rest by default. */
static void aios__plan_defaults(aios_plan *p, const aios_model *m, const aios_plan_desc *d) {
    memset(p, 0, sizeof *p);
    p->struct_size = (uint32_t)sizeof *p;
    p->flags = d->flags;
    p->n_ctx = d->n_ctx                                ? d->n_ctx
               : m->hp.n_ctx_train < AIOS__DEFAULT_CTX ? m->hp.n_ctx_train
                                                       : AIOS__DEFAULT_CTX;
    p->n_seq = d->n_seq ? d->n_seq : 1;
    p->n_batch = d->n_batch ? d->n_batch : aios__batch_of(p, 64);
    p->n_threads = d->n_threads                        ? d->n_threads
                   : d->flags & AIOS_PLAN_LENT_THREADS ? 1
                                                       : aios__own_threads();
    p->kv_type = d->numerics == AIOS_REFERENCE && !d->kv_type ? (int32_t)AIOSK_KV_F32 : d->kv_type;
    p->numerics = d->numerics;
    p->isa = d->isa;
    p->numa_node_1 = d->numa_node_1;
    p->kv_positions = d->kv_positions;
    p->kv_old_type = d->kv_old_type;
    p->kv_recent = d->kv_recent;
    p->kv_window = d->kv_window;
    p->kv_sinks = d->kv_sinks;
    p->kv_heavy = d->kv_heavy;
    p->kv_layer_type = d->kv_layer_type;
    if (d->flags & AIOS_PLAN_IN_PLACE) p->warm_steps = aios__warm_steps(m);
}
/* The weights of a loaded model are divided already. */
static void aios__plan_as_loaded(aios__ladder *l, aios_plan *p) {
    const aios__cut *cut = &l->m->cut;
    p->stream_level = cut->level;
    p->warm_steps = cut->warm;
    if (cut->mapped) p->rungs |= AIOS_RUNG_IN_PLACE;
    if (cut->tables) p->rungs |= AIOS_RUNG_ROWS;
    p->unit_bytes = cut->unit_bytes;
    aios__set_ring(l, p, 4);
    if (cut->experts) p->n_expert_slots = 1;
}
/* The least that would do for p, if the budget has room for it. */
static aios_status aios__plan_least(aios__ladder *l, const aios_plan *p, aios_plan *least,
                                    aios_error *err) {
    uint64_t budget = l->d->budget_bytes;
    aios_plan asked = *p;
    *least = *p;
    if (p->n_expert_slots) asked.n_expert_slots = l->experts;
    if (!aios__ladder_sizes(l, &asked) || !aios__bottom(l, least))
        return aios__fail(
            err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
            "the cache for this context and these sequences is too large to be counted");
    if (least->total_bytes > asked.total_bytes) *least = asked;
    if (budget && (least->total_bytes > budget || least->held_bytes > budget - least->total_bytes))
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->held_bytes + least->total_bytes,
                           budget, "this plan needs % bytes in all; the least that would do is %",
                           aios__u(p->held_bytes + asked.total_bytes),
                           aios__u(p->held_bytes + least->total_bytes));
    return AIOS_OK;
}
/* Gives up of p, which is as asked for, what it takes to fit. */
static aios_status aios__plan_choose(aios__ladder *l, aios_plan *p, aios_error *err) {
    uint32_t rows = p->rungs & AIOS_RUNG_ROWS;
    aios_plan least;
    l->rows = rows;
    aios_status st = aios__plan_least(l, p, &least, err);
    if (st) return st;
    l->rows = rows;
    if (l->m->loaded) aios__set_ring(l, p, 4);
    if (l->m->loaded && p->n_expert_slots) aios__most_experts(l, p);
    if (!aios__descend(l, p)) {
        *p = least;
        l->rows = p->rungs & AIOS_RUNG_ROWS;
        aios__set_ring(l, p, 2);
        if (!aios__fits(l, p))
            return aios__fail2(
                err, AIOS_ERR_MEMORY, AIOS__NO_OFF, p->tier_bytes[AIOS_TIER_HOT], l->d->hot_bytes,
                "the weights do not fit in hot_bytes and warm_bytes: at the least % bytes are "
                "hot and % warm",
                aios__u(p->tier_bytes[AIOS_TIER_HOT]), aios__u(p->tier_bytes[AIOS_TIER_WARM]));
    }
    p->min_bytes = aios__min_u64(least.total_bytes, p->total_bytes);
    return AIOS_OK;
}
/* Tokens per second that memory or storage, by their bandwidths, allow at the most. */
static void aios__plan_bound(aios_plan *p, const aios_plan_desc *d) {
    uint64_t mem = p->token_weight_bytes + p->token_kv_bytes;
    if (d->read_bandwidth && d->read_bandwidth < UINT64_MAX / 1000) {
        p->tok_s_bound_milli = d->read_bandwidth * 1000 / (mem ? mem : 1);
        p->bound = AIOS_BOUND_MEMORY;
    }
    if (d->stream_bandwidth && d->stream_bandwidth < UINT64_MAX / 1000 && p->token_stream_bytes) {
        uint64_t in_cache =
            p->n_expert_slots ? p->token_expert_bytes / p->n_experts * p->n_expert_slots : 0;
        uint64_t read = p->token_stream_bytes - in_cache;
        uint64_t bound = d->stream_bandwidth * 1000 / (read ? read : 1);
        if (!p->tok_s_bound_milli || bound < p->tok_s_bound_milli) {
            p->tok_s_bound_milli = bound;
            p->bound = AIOS_BOUND_STORAGE;
        }
    }
}

AIOS_API aios_status aios_plan_make(const aios_model *m, const aios_plan_desc *desc, aios_plan *out,
                                    aios_error *err) {
    aios__clear(err);
    if (!m || !out)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_plan_make: an argument is NULL");
    if (!m->arch)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model was opened to be looked at, or for its vocabulary: it does not run");
    aios_plan_desc d;
    uint32_t plan_size;
    memcpy(&plan_size, out, 4);
    aios_status st = aios__plan_desc_copy(&d, desc, err);
    if (!st) st = aios__plan_limit_to_header(&d, plan_size, err);
    if (st) return st;

    aios_plan p;
    aios__ladder l;
    aios__plan_defaults(&p, m, &d);
    aios__ladder_start(&l, m, &d, plan_size);
    p.n_experts = l.experts;
    aios__set_batch(&l, &p, p.n_batch);
    if (m->loaded) aios__plan_as_loaded(&l, &p);
    if ((st = aios__plan_check(m, &p, err)) != 0) return st;
    l.k = aiosk_select(p.isa);
    if (!d.n_batch) aios__set_batch(&l, &p, p.n_batch = aios__best_batch(&l, &p));
    p.held_bytes = m->req.bytes;
    for (int32_t i = 0; i < 2; i++)
        if (m->weights[i]) p.held_bytes += m->weights_req[i].bytes;
    p.model_hash = m->gguf.hash;
    if (m->loaded && m->cut.experts && !l.experts)
        return aios__fail(
            err, AIOS_ERR_STATE, AIOS__NO_OFF,
            "the model's experts are in a cache, of which this aios_plan knows nothing");
    if ((st = aios__plan_choose(&l, &p, err)) != 0) return st;
    p.flags = d.flags;
    aios__plan_bound(&p, &d);
    if (p.n_ctx > m->hp.n_ctx_train)
        aios__note2(&m->log,
                    "a context of % positions is longer than the % that the model was trained for",
                    aios__i(p.n_ctx), aios__i(m->hp.n_ctx_train));
    return aios__desc_fill(AIOS__ID_aios_plan, out, &p)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "aios_plan was not initialised: call aios_plan_init first")
               : AIOS_OK;
}

/* The order in which a context takes its memory: what stays with the model comes first, so that
 * the rest is given back in reverse order, as an allocator that is a stack wants it. */
static const uint8_t aios__request_order[][2] = { /* kind, tier */
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_HOT },
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_WARM },
                                                  { AIOS_MEM_META, AIOS_TIER_HOT },
                                                  { AIOS_MEM_SCRATCH, AIOS_TIER_HOT },
                                                  { AIOS_MEM_KV, AIOS_TIER_HOT },
                                                  { AIOS_MEM_WEIGHTS, AIOS_TIER_STREAM }
};

AIOS_API aios_status aios_plan_request(const aios_plan *plan, uint32_t i, aios_mem_req *out) {
    aios_mem_req r;
    aios_plan p;
    uint32_t n = 0;
    if (aios__plan_copy(&p, plan, NULL)) return AIOS_ERR_ARG;
    for (uint32_t k = 0; k < sizeof aios__request_order / sizeof *aios__request_order; k++) {
        aios__plan_req(&p, aios__request_order[k][0], aios__request_order[k][1], &r);
        if ((r.bytes || r.kind != AIOS_MEM_WEIGHTS) && n++ == i)
            return aios__desc_fill(AIOS__ID_aios_mem_req, out, &r);
    }
    return AIOS_ERR_ARG;
}

AIOS_API aios_status aios_plan_get_tensor(const aios_model *m, const aios_plan *plan, uint32_t i,
                                          aios_tensor_place *out) {
    aios_tensor_place x;
    aios_plan p;

    uint64_t off[2] = { 0, 0 };
    int32_t id = (int32_t)i;
    if (!m || !m->arch || aios__desc_copy(AIOS__ID_aios_plan, &p, plan, NULL) ||
        i >= m->gguf.n_tensors || p.unit_bytes > AIOS__MAX_UNIT)
        return AIOS_ERR_ARG;
    aios__cut cut = aios__plan_cut(&p);
    aios__place at = aios__place_of(m, &cut, i, off);
    memset(&x, 0, sizeof x);
    x.tier = at.rows < m->gguf.tensor[i].n[1] ? (uint32_t)AIOS_TIER_STREAM : at.tier;
    x.layout = at.layout;
    x.mapped = at.mapped;
    x.n_bytes = at.n_bytes;
    x.resident_tier = at.tier;
    x.stream_bytes = at.use
                         ? aios__rows_bytes(&m->gguf.tensor[i], aios__source_of(m, &cut, i).layout,
                                            m->gguf.tensor[i].n[1] - at.rows) *
                               m->gguf.tensor[i].n[2]
                         : 0;
    x.token_bytes = at.use == AIOS__IS_TABLE ? 0 : at.n_bytes + x.stream_bytes;
    x.token_bytes = aios__token_share(m, i, x.token_bytes);
    if (id == m->role[AIOS__ROLE_TOKEN_EMBD].w || id == m->role[AIOS__ROLE_POS_EMBD].w)
        x.token_bytes += m->gguf.tensor[i].row_bytes;
    /* read once, at opening */
    if (id == m->role[AIOS__ROLE_ROPE_FREQS].w || id == m->role[AIOS__ROLE_ROPE_LONG].w ||
        id == m->role[AIOS__ROLE_ROPE_SHORT].w)
        x.token_bytes = 0;
    return aios__desc_fill(AIOS__ID_aios_tensor_place, out, &x);
}
