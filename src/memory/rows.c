/* rows.c: tables that are not resident and of which tokens read a row: embeddings, learned
 * positions. An op that takes rows goes through the tokens of a pass in rounds; for each, what
 * it needs is asked for, and what the next round needs too, and in the end what the next pass
 * will begin with. Rows go through slots of the stream behind those of the ring and of experts,
 * before anything that is read ahead. A row that is in a slot still is not read again. */

enum { AIOS__ROW_SLOTS = 32 };
/* its first n_resident rows are in memory */
typedef struct aios__table {
    uint64_t off, row_bytes;
    uint32_t part, n_resident;
} aios__table;

typedef struct aios__rows {
    aios__stream *s;
    aios__table table[AIOS__N_TABLES];
    /* tokens of a round: all of a pass, or half of what there are slots for */
    int32_t n_slots, per_round;
    /* [n_slots] slot of the row of token t0 + i; -1 = none yet, -2 = it is in memory */
    int32_t *at;
    /* what was asked for last: of which table, for tokens from t0 on, how many */
    int32_t now, t0, n;
    const int32_t *row; /* [t0 + n] the rows of a pass's tokens, or soon */
    /* [n_slots] row * N_TABLES + table of what is in a slot, or on its way; -1 = nothing */
    int64_t *key;
    uint8_t *busy; /* [n_slots] 1 = was asked for */
    int32_t next;  /* where the search for a slot to give away begins */
    int32_t *soon; /* [n_slots] of tokens that come next, n_soon of them */
    int32_t n_soon;
} aios__rows;

static void aios__rows_layout(aios__rows *r, aios__bump *b, uint64_t n_slots) {
    r->key = (int64_t *)aios__take(b, n_slots * 8, 8);
    r->at = (int32_t *)aios__take(b, n_slots * 4, 8);
    r->soon = (int32_t *)aios__take(b, n_slots * 4, 8);
    r->busy = (uint8_t *)aios__take(b, n_slots, 8);
}
static inline aios__slot *aios__rows_slot(const aios__rows *r, int32_t i) {
    return &r->s->slot[r->s->row0 + (uint32_t)i];
}
static void aios__rows_start(aios__rows *r, aios__stream *s, const aios__table *table,
                             int32_t n_batch, char *base, uint64_t slot_bytes) {
    r->s = s;
    r->per_round = r->n_slots == n_batch ? n_batch : r->n_slots / 2;
    memcpy(r->table, table, sizeof r->table);
    for (int32_t i = 0; i < r->n_slots; i++) {
        r->key[i] = -1;
        aios__rows_slot(r, i)->dst = base + (uint64_t)i * slot_bytes;
    }
}
/* How many of these are not in memory. */
static uint64_t aios__rows_streamed(const aios__table *x, const int32_t *row, int32_t n) {
    uint64_t k = 0;
    for (int32_t i = 0; i < n; i++) k += (uint32_t)row[i] >= x->n_resident;
    return k;
}
static inline aios__unit aios__rows_unit(const aios__table *x, int32_t row) {
    aios__unit u;
    u.off = x->off + (uint64_t)row * x->row_bytes;
    u.n_bytes = (uint32_t)x->row_bytes;
    u.part = x->part;
    return u;
}
/* Where nobody reads ahead, the io is told. */
static void aios__rows_hint(const aios__rows *r, const aios__unit *u) {
    const aios_io *io = &r->s->io[u->part];
    if (r->s->how == AIOS__READ_INLINE && io->soon)
        io->soon(io->user, aios__unit_start(u, io), aios__unit_read_bytes(u, io));
}
/* The slot that a row is in, or will be; -1 = none. */
static int32_t aios__rows_find(const aios__rows *r, int64_t key) {
    int32_t i;
    for (i = 0; i < r->n_slots && r->key[i] != key; i++) {}
    return i < r->n_slots ? i : -1;
}
/* A slot that nobody waits for and nothing is read into, -1 = none now. */
static int32_t aios__rows_victim(aios__rows *r) {
    for (int32_t i = 0; i < r->n_slots; i++) {
        int32_t k = r->next;
        r->next = k + 1 < r->n_slots ? k + 1 : 0;
        if (!r->busy[k] && aios__rows_slot(r, k)->state != AIOS__SLOT_READING &&
            aios__rows_slot(r, k)->state != AIOS__SLOT_WANTED)
            return k;
    }
    return -1;
}
/* Finds slots for rows that have none yet, and asks for them. 0 = not for all: something that
 * nobody waits for any more is still being read. */
static int32_t aios__rows_assign(aios__rows *r) {
    const aios__table *x = &r->table[r->now];
    for (int32_t i = 0; i < r->n; i++) {
        int64_t key = (int64_t)r->row[r->t0 + i] * AIOS__N_TABLES + r->now;
        aios__slot *slot;
        aios__unit u;
        /* the same row may have been asked for just now */
        if (r->at[i] != -1 || (r->at[i] = aios__rows_find(r, key)) >= 0) continue;
        if ((r->at[i] = aios__rows_victim(r)) < 0) return 0;
        r->key[r->at[i]] = key;
        r->busy[r->at[i]] = 1;
        slot = aios__rows_slot(r, r->at[i]);
        u = aios__rows_unit(x, r->row[r->t0 + i]);
        slot->part = u.part;
        slot->off = aios__unit_start(&u, &r->s->io[u.part]);
        slot->want = aios__unit_read_bytes(&u, &r->s->io[u.part]);
        aios__rows_hint(r, &u);
        aios__stream_want(r->s, slot);
    }
    return 1;
}
/* Asks for the rows row[t0 ..] of a table, as many of the n as there are slots, and forgets what
 * was asked for before. */
static void aios__rows_ask(aios__rows *r, int32_t table, const int32_t *row, int32_t t0,
                           int32_t n) {
    aios__crew_lock(&r->s->crew);
    r->now = table;
    r->row = row;
    r->t0 = t0;
    r->n = n < r->n_slots ? n : r->n_slots;
    memset(r->busy, 0, (size_t)r->n_slots);
    for (int32_t i = 0; i < r->n; i++) { /* what is there, before slots are given away */
        aios__slot *slot;
        r->at[i] = (uint32_t)row[t0 + i] < r->table[table].n_resident
                       ? -2
                       : aios__rows_find(r, (int64_t)row[t0 + i] * AIOS__N_TABLES + table);
        if (r->at[i] < 0) continue;
        slot = aios__rows_slot(r, r->at[i]);
        r->busy[r->at[i]] = 1;
        if (slot->state == AIOS__SLOT_EMPTY || slot->state == AIOS__SLOT_FAILED)
            aios__stream_want(r->s, slot);
    }
    aios__rows_assign(r);
    aios__stream_pump(r->s);
    aios__crew_unlock(&r->s->crew);
}
/* The same for the tokens that come next. */
static void aios__rows_ahead(aios__rows *r) {
    const aios__table *x = &r->table[AIOS__EMBD_TABLE];
    if (!x->row_bytes) return;
    if (r->s->how != AIOS__READ_INLINE) {
        aios__rows_ask(r, AIOS__EMBD_TABLE, r->soon, 0, r->n_soon);
        return;
    }
    for (int32_t i = 0; i < r->n_soon; i++) {
        aios__unit u = aios__rows_unit(x, r->soon[i]);
        if ((uint32_t)r->soon[i] >= x->n_resident) aios__rows_hint(r, &u);
    }
}
/* Are the rows of this round there? 1 = yes; 0 = not yet; AIOS_ERR_*: one cannot be read. */
static int32_t aios__rows_try(aios__rows *r, uint64_t timeout_ns) {
    int32_t res = 0;
    aios__crew_lock(&r->s->crew);
    for (int32_t moved = 0;; moved = 1) {
        const aios__slot *wait = NULL;
        int32_t all = aios__rows_assign(r);
        for (int32_t i = 0; i < r->n && i < r->per_round && !wait; i++)
            if (r->at[i] >= 0 && aios__rows_slot(r, r->at[i])->state != AIOS__SLOT_READY)
                wait = aios__rows_slot(r, r->at[i]);
        if (wait && wait->state == AIOS__SLOT_FAILED) {
            r->s->bad = wait;
            res = AIOS_ERR_IO;
        }
        if (!wait && all) res = 1;
        if (res || moved) break;
        for (int32_t i = 0; !wait && i < r->n_slots; i++)
            if (aios__rows_slot(r, i)->state == AIOS__SLOT_READING) wait = aios__rows_slot(r, i);
        aios__stream_move(r->s, wait ? wait->part : 0, timeout_ns);
    }
    aios__crew_unlock(&r->s->crew);
    return res;
}
/* Where the row of a pass's token t lies; NULL: with those in memory. */
static inline const char *aios__rows_data(const aios__rows *r, int32_t t) {
    const aios__table *x = &r->table[r->now];
    if (r->at[t - r->t0] < 0) return NULL;
    const aios__slot *slot = aios__rows_slot(r, r->at[t - r->t0]);
    return slot->dst + (x->off + (uint64_t)r->row[t] * x->row_bytes - slot->off);
}
