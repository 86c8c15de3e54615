/* experts.c: experts that are not resident: a cache of slots beside the ring of stream.c. Behind
 * moe.c, whose lists say which experts a layer wants.
 *
 * A bundle is what one expert of one layer has: its rows of gate, up and down. Bundles live in a
 * cache of slots; what a layer wants and the cache lacks is read. A layer works on its experts
 * in one order: first those that are there, then the others, each kind ascending; it takes as
 * many of them at a time as are there, waiting for the first. Who is through gives its slot to
 * the next that has none, so one slot is enough for any prompt, and each bundle is read once in
 * a pass at the most.
 *
 * What leaves: the bundle that was used the least, uses counting half after as many layers as it
 * takes to use every slot once; among equals the one whose use is the longest ago, among these
 * the first. No expert of the layer at work leaves before it is through. Of made traces (16
 * layers, 8 of 64 experts; uniform or Zipf, with and without experts that stay from token to
 * token, and with favourites that change every 40 to 200 tokens; room for 12, 25, 50, 75 % of
 * all) this half-life never has fewer hits than least recently used: 0 to 6 points more, 5 to 25
 * at 12 %. A longer one has up to 10 more while favourites stay, and 18 to 27 fewer when they
 * change. From 25 % on (two tokens' worth) at most 3 % of what is missing was used by the token
 * before: too little to be read ahead on a guess.
 *
 * The policy looks at routes alone, not at the time, so the same tokens have the same hits
 * whoever reads, if no read fails. */

/* The matrix of one expert, where each is a tensor of its own: in memory (NULL: not resident),
 * in a file. */
typedef struct aios__expert {
    const void *p;
    uint64_t off;
    uint32_t part, reserved;
} aios__expert;

AIOS__SMALL_BEGIN
enum { AIOS__EXPERT_USE = 256 };
/* Of a layer. each: NULL, or where each expert's matrix is; else they lie one after the other,
 * off is that of expert 0. */
typedef struct aios__bundle {
    const aios__expert *each[AIOS__N_EXPERT_MATRICES];
    uint64_t off[AIOS__N_EXPERT_MATRICES];
    uint32_t part[AIOS__N_EXPERT_MATRICES], n_bytes[AIOS__N_EXPERT_MATRICES];
} aios__bundle;
static inline aios__unit aios__bundle_unit(const aios__bundle *l, int32_t expert, int32_t which) {
    const aios__expert *p = l->each[which] ? &l->each[which][expert] : NULL;
    aios__unit u;
    u.off = p ? p->off : l->off[which] + (uint64_t)expert * l->n_bytes[which];
    u.part = p ? p->part : l->part[which];
    u.n_bytes = l->n_bytes[which];
    return u;
}

typedef struct aios__expert_cache {
    aios__stream *s;
    aios__moe *moe;
    aios__bundle *layer; /* [n_layer] */
    /* half: log2 of the layers after which a use counts half, rounded down */
    uint32_t n_slots, half;
    uint64_t slot_bytes, matrix_off[AIOS__N_EXPERT_MATRICES];
    char *base;
    int32_t *slot_of;            /* [n_layer * n_expert] slot of a bundle, or -1 */
    uint32_t *uses, *last;       /* [n_layer * n_expert] of what is in no slot: uses, when last */
    int32_t *in;                 /* [n_slots] the bundle in a slot, or -1 */
    uint32_t *in_uses, *in_last; /* [n_slots] of that bundle */
    uint8_t *busy;               /* [n_slots] 1 = of the layer at work */
    uint32_t clock;              /* layers so far */
    int32_t at, n, done, due, asked; /* layer; its experts: all, through, at work, with slots */
    int32_t given;                   /* of those that are through, whose slots have gone on */
    uint64_t n_hits, n_misses;
} aios__expert_cache;

static void aios__expert_cache_layout(aios__expert_cache *c, aios__bump *b, uint64_t n_layer,
                                      uint64_t n_expert, uint64_t n_slots) {
    uint64_t n = n_slots ? n_layer * n_expert : 0;
    c->layer = (aios__bundle *)aios__take(b, n_slots ? n_layer * sizeof *c->layer : 0, 8);
    c->slot_of = (int32_t *)aios__take(b, n * 4, 8);
    c->uses = (uint32_t *)aios__take(b, n * 4, 8);
    c->last = (uint32_t *)aios__take(b, n * 4, 8);
    c->in = (int32_t *)aios__take(b, n_slots * 4, 8);
    c->in_uses = (uint32_t *)aios__take(b, n_slots * 4, 8);
    c->in_last = (uint32_t *)aios__take(b, n_slots * 4, 8);
    c->busy = (uint8_t *)aios__take(b, n_slots, 8);
}
static void aios__expert_cache_start(aios__expert_cache *c, aios__stream *s, aios__moe *m,
                                     int32_t n_layer) {
    c->s = s;
    c->moe = m;
    for (uint32_t i = 0; i < (uint32_t)n_layer * (uint32_t)m->n_expert; i++) c->slot_of[i] = -1;
    for (uint32_t i = 0; i < c->n_slots; i++) c->in[i] = -1;
    for (c->half = 0; 2u << c->half <= c->n_slots / (uint32_t)m->n_used; c->half++) {}
}
static inline aios__slot *aios__expert_cache_reads(const aios__expert_cache *c, int32_t slot) {
    return &c->s->slot[c->s->n_slots + (uint32_t)slot * AIOS__N_EXPERT_MATRICES];
}
/* Is a bundle in a slot, or on its way there? */
static int32_t aios__expert_cache_has(const aios__expert_cache *c, int32_t bundle) {
    if (c->slot_of[bundle] < 0) return 0;
    const aios__slot *r = aios__expert_cache_reads(c, c->slot_of[bundle]);
    return r[0].state != AIOS__SLOT_EMPTY && r[0].state != AIOS__SLOT_FAILED &&
           r[1].state != AIOS__SLOT_EMPTY && r[1].state != AIOS__SLOT_FAILED &&
           r[2].state != AIOS__SLOT_EMPTY && r[2].state != AIOS__SLOT_FAILED;
}
static uint32_t aios__expert_cache_aged(const aios__expert_cache *c, uint32_t uses, uint32_t last) {
    uint32_t age = (c->clock - last) >> c->half;
    return age > 31 ? 0 : uses >> age;
}
/* The slot that is given away next, -1 = none can be now. */
static int32_t aios__expert_cache_victim(const aios__expert_cache *c) {
    uint32_t k, best_uses = 0, best_last = 0;
    int32_t best = -1;
    for (uint32_t i = 0; i < c->n_slots; i++) {
        uint32_t uses, last;
        if (c->busy[i]) continue;
        uses = c->in[i] < 0 ? 0 : aios__expert_cache_aged(c, c->in_uses[i], c->in_last[i]);
        last = c->in[i] < 0 ? 0 : c->in_last[i];
        if (best >= 0 && (uses > best_uses || (uses == best_uses && last >= best_last))) continue;
        /* of a pass that was dropped */
        for (k = 0; k < AIOS__N_EXPERT_MATRICES; k++)
            if (aios__expert_cache_reads(c, (int32_t)i)[k].state == AIOS__SLOT_READING) break;
        if (k < AIOS__N_EXPERT_MATRICES) continue;
        best = (int32_t)i;
        best_uses = uses;
        best_last = last;
    }
    return best;
}
/* Asks for a bundle of the layer at work, in a slot. */
static void aios__expert_cache_ask(aios__expert_cache *c, int32_t expert, int32_t slot) {
    int32_t bundle = c->at * c->moe->n_expert + expert, old = c->in[slot];
    const aios__bundle *l = &c->layer[c->at];
    aios__slot *r = aios__expert_cache_reads(c, slot);
    if (old != bundle) {
        if (old >= 0) {
            c->slot_of[old] = -1;
            c->uses[old] = c->in_uses[slot];
            c->last[old] = c->in_last[slot];
        }
        c->in[slot] = bundle;
        c->slot_of[bundle] = slot;
        c->in_uses[slot] =
            aios__expert_cache_aged(c, c->uses[bundle], c->last[bundle]) + AIOS__EXPERT_USE;
        c->in_last[slot] = c->clock;
        for (int32_t k = 0; k < AIOS__N_EXPERT_MATRICES; k++) {
            aios__unit u = aios__bundle_unit(l, expert, k);
            r[k].state = AIOS__SLOT_EMPTY;
            r[k].part = u.part;
            r[k].off = aios__unit_start(&u, &c->s->io[u.part]);
            r[k].want = aios__unit_read_bytes(&u, &c->s->io[u.part]);
            r[k].dst = c->base + (uint64_t)slot * c->slot_bytes + c->matrix_off[k];
        }
    }
    c->busy[slot] = 1;
    for (int32_t k = 0; k < AIOS__N_EXPERT_MATRICES; k++)
        if (r[k].state == AIOS__SLOT_EMPTY || r[k].state == AIOS__SLOT_FAILED)
            aios__stream_want(c->s, &r[k]);
}
/* Asks for as many as there are slots. */
static void aios__expert_cache_asks(aios__expert_cache *c) {
    for (; c->asked < c->n; c->asked++) {
        int32_t e = c->moe->order[c->asked], slot = c->slot_of[c->at * c->moe->n_expert + e];
        if (slot < 0)
            slot = c->given < c->done
                       ? c->slot_of[c->at * c->moe->n_expert + c->moe->order[c->given]]
                       : aios__expert_cache_victim(c);
        if (slot < 0) return;
        if (c->given < c->done && c->in[slot] == c->at * c->moe->n_expert + c->moe->order[c->given])
            c->given++;
        aios__expert_cache_ask(c, e, slot);
    }
}
/* A layer begins: puts its experts in order, what is there first, and asks for the others. */
static void aios__expert_cache_begin(aios__expert_cache *c, int32_t layer) {
    aios__moe *m = c->moe;
    int32_t n = 0;
    aios__crew_lock(&c->s->crew);
    memset(c->busy, 0, c->n_slots);
    c->clock++;
    c->at = layer;
    c->n = m->n_active;
    c->done = c->due = c->given = 0;
    for (int32_t i = 0; i < c->n; i++) {
        int32_t e = m->order[i], bundle = layer * m->n_expert + e, slot = c->slot_of[bundle];
        if (slot >= 0) {
            c->in_uses[slot] =
                aios__expert_cache_aged(c, c->in_uses[slot], c->in_last[slot]) + AIOS__EXPERT_USE;
            c->in_last[slot] = c->clock;
        }
        if (!aios__expert_cache_has(c, bundle)) {
            c->n_misses++;
            continue;
        }
        /* one that a dropped pass left empty is not: the expert before it may need the room */
        c->busy[slot] = 1;
        c->n_hits++;
        for (int32_t k = i; k > n; k--) m->order[k] = m->order[k - 1];
        m->order[n++] = e;
    }
    c->asked = n;
    aios__expert_cache_asks(c);
    aios__stream_pump(c->s);
    aios__crew_unlock(&c->s->crew);
}
/* Are the next experts there? Takes all that are, as the blocks that are due. 1 = yes; 0 = not
 * yet; AIOS_ERR_*: they cannot be read. */
static int32_t aios__expert_cache_try(aios__expert_cache *c, uint64_t timeout_ns) {
    aios__moe *m = c->moe;
    int32_t k, r = 0, moved = 0;
    aios__crew_lock(&c->s->crew);
    for (c->due = c->done;;) {
        const aios__slot *wait = NULL, *s;
        aios__expert_cache_asks(c);
        if (c->due == c->asked && c->due > c->done) break;
        if (c->due < c->asked) {
            s = aios__expert_cache_reads(c, c->slot_of[c->at * m->n_expert + m->order[c->due]]);
            for (k = 0; k < AIOS__N_EXPERT_MATRICES; k++) {
                if (s[k].state == AIOS__SLOT_FAILED && c->due == c->done) {
                    c->s->bad = &s[k];
                    r = AIOS_ERR_IO;
                }
                if (s[k].state != AIOS__SLOT_READY && (!wait || s[k].state == AIOS__SLOT_READING))
                    wait = &s[k];
            }
            if (!wait) {
                c->due++;
                continue;
            }
        } else
            for (k = 0; k < (int32_t)(c->n_slots * AIOS__N_EXPERT_MATRICES);
                 k++) /* all slots wait for a pass that was dropped */
                if (aios__expert_cache_reads(c, 0)[k].state == AIOS__SLOT_READING)
                    wait = &aios__expert_cache_reads(c, 0)[k];
        if (c->due > c->done || r || moved || !wait) break;
        moved = 1;
        aios__stream_move(c->s, wait->part, timeout_ns);
    }
    if (c->due > c->done) {
        r = 1;
        for (k = c->done, m->block1 = m->block0; m->block1 < m->n_blocks; m->block1++)
            if (m->block[m->block1].expert != m->order[k] && ++k == c->due) break;
    }
    aios__crew_unlock(&c->s->crew);
    return r;
}
AIOS__SMALL_END
/* Where a matrix of an expert that is due lies. */
static inline const void *aios__expert_cache_data(const aios__expert_cache *c, int32_t expert,
                                                  int32_t which) {
    int32_t slot = c->slot_of[c->at * c->moe->n_expert + expert];
    aios__unit u = aios__bundle_unit(&c->layer[c->at], expert, which);
    return c->base + (uint64_t)slot * c->slot_bytes + c->matrix_off[which] +
           (u.off - aios__unit_start(&u, &c->s->io[u.part]));
}
AIOS__SMALL_BEGIN
/* Those that were due are through. 1 = there are more. */
static int32_t aios__expert_cache_next(aios__expert_cache *c) {
    aios__crew_lock(&c->s->crew);
    c->done = c->due;
    c->moe->block0 = c->moe->block1;
    c->moe->block1 = c->moe->n_blocks; /* until it is known which are there */
    aios__expert_cache_asks(c);
    aios__stream_pump(c->s);
    aios__crew_unlock(&c->s->crew);
    return c->done < c->n;
}
AIOS__SMALL_END
