/* stream.c: weights that are not resident are read through a ring of slots while the model runs.
 * The order is static: unit after unit as the program needs them, and from the last on to the
 * first again, as far ahead as there are slots. Use k reads unit k mod n_units into slot k mod
 * n_slots. Experts that are not resident (experts.c) stand in a queue beside the ring: what a
 * layer asks for is wanted now, so it goes before what is read ahead. Reads are carried out by
 * threads of the context's own, by threads that the host lends (aios_serve_reads), by the io's
 * submit and wait, or, without any of these, by the worker that needs the data. */

/* Rows of one matrix that are read at once. */
typedef struct aios__unit {
    uint64_t off;
    uint32_t n_bytes, part;
} aios__unit;

enum {
    AIOS__SLOT_EMPTY = 0,
    AIOS__SLOT_WANTED = 1,
    AIOS__SLOT_READING = 2,
    AIOS__SLOT_READY = 3,
    AIOS__SLOT_FAILED = 4
};
typedef struct aios__slot {
    int32_t state;
    uint32_t part; /* what is read: of which file, from where, how much, where to */
    uint64_t off, want;
    char *dst;
    uint64_t use, done; /* ring: the use that is read; bytes so far */
    uint64_t ticket;
    int64_t got; /* what the reader answered when it failed */
} aios__slot;

enum {
    AIOS__READ_INLINE = 0,
    AIOS__READ_THREADS = 1,
    AIOS__READ_ASYNC = 2,
    AIOS__STREAM_ALIGN = 4096,
    AIOS__INLINE_BYTES = 256 * 1024,
    AIOS__HINT_BYTES = 4 << 20
};
#define AIOS__NO_TICKET \
    UINT64_MAX /* of a slot that is being read: the rest is to be submitted again */

typedef struct aios__stream {
    const aios_io *io; /* [n_parts] */
    uint32_t n_units, n_slots;
    uint64_t slot_bytes;
    char *base;
    aios__unit *unit; /* [n_units] */
    aios__slot *slot; /* [n_all] of the ring, then those that are wanted by number */
    /* 0 = nothing is streamed; from row0 on they are of rows (rows.c), those before of experts */
    uint32_t n_all, row0;
    uint32_t *queue; /* [n_all - n_slots] what is wanted: those from head to tail */
    uint64_t head, tail, n_tickets;
    uint32_t n_rests;      /* slots without a ticket */
    aios__slot *now;       /* INLINE: what is being read */
    const aios__slot *bad; /* what could not be read */
    int32_t how;           /* AIOS__READ_* */
    int32_t hold;          /* nothing is asked for: after a failure, until the next step */
    int32_t ended;         /* lent threads are to return */
    uint64_t used, issued; /* uses that are through, and those whose reading has begun */
    uint64_t hinted;       /* INLINE: uses that the io has been told of */
    uint64_t read_bytes, wanted_bytes, n_reads, n_errors; /* for the counters; wanted: of experts */
    aios__crew crew;                                      /* reading threads */
} aios__stream;

/* Bytes of a file that are read for a unit: from page boundary to page boundary, as direct
 * reading wants it, where the io does not say that it need not be. */
static inline uint64_t aios__stream_align(const aios_io *io) {
    return io->flags & AIOS_IO_ANY_OFFSET ? 1 : AIOS__STREAM_ALIGN;
}
static inline uint64_t aios__unit_start(const aios__unit *u, const aios_io *io) {
    return u->off / aios__stream_align(io) * aios__stream_align(io);
}
static inline uint64_t aios__unit_read_bytes(const aios__unit *u, const aios_io *io) {
    return aios__min_u64(aios__round_up(u->off + u->n_bytes, aios__stream_align(io)), io->n_bytes) -
           aios__unit_start(u, io);
}
/* The same of n bytes anywhere: the most. */
static inline uint64_t aios__most_read_bytes(uint64_t n, const aios_io *io) {
    return aios__round_up(n + aios__stream_align(io) - 1, aios__stream_align(io));
}
static inline const aios__unit *aios__use_unit(const aios__stream *s, uint64_t use) {
    return &s->unit[use % s->n_units];
}
static inline char *aios__slot_base(const aios__stream *s, uint64_t use) {
    return s->base + use % s->n_slots * s->slot_bytes;
}

/* The next that can be read now, or none. Called with the crew's lock. */
static aios__slot *aios__stream_next(aios__stream *s) {
    aios__slot *slot = NULL;
    if (s->hold) return NULL;
    if (s->head < s->tail)
        slot = &s->slot[s->queue[s->head++ % (s->n_all - s->n_slots)]];
    else if (s->n_units) {
        const aios__unit *u = aios__use_unit(s, s->issued);
        slot = &s->slot[s->issued % s->n_slots];
        if (s->issued >= s->used + s->n_slots || slot->state == AIOS__SLOT_READING) return NULL;
        slot->part = u->part;
        slot->off = aios__unit_start(u, &s->io[u->part]);
        slot->want = aios__unit_read_bytes(u, &s->io[u->part]);
        slot->dst = aios__slot_base(s, s->issued);
        slot->use = s->issued++;
    } else
        return NULL;
    slot->state = AIOS__SLOT_READING;
    slot->done = 0;
    slot->ticket = s->n_tickets++ * s->n_all + (uint64_t)(slot - s->slot);
    return slot;
}
/* Asks for what a slot behind the ring's says. */
static void aios__stream_want(aios__stream *s, aios__slot *slot) {
    slot->state = AIOS__SLOT_WANTED;
    s->queue[s->tail++ % (s->n_all - s->n_slots)] = (uint32_t)(slot - s->slot);
}
static void aios__stream_end(aios__stream *s, aios__slot *slot, int64_t got) {
    uint64_t want = slot->want, done = slot->done + (got > 0 ? (uint64_t)got : 0);
    s->n_reads++;
    if (got > 0 && done <= want) s->read_bytes += (uint64_t)got;
    if (got > 0 && done <= want && slot >= s->slot + s->n_slots && slot < s->slot + s->row0)
        s->wanted_bytes += (uint64_t)got;
    /* it goes on where a direct read can */
    if (s->how == AIOS__READ_ASYNC && done < want)
        done -= done % aios__stream_align(&s->io[slot->part]);
    if (got > 0 && done <= want && done > slot->done) {
        slot->done = done;
        slot->state = done == want ? AIOS__SLOT_READY : AIOS__SLOT_READING;
    } else {
        slot->state = AIOS__SLOT_FAILED;
        slot->got = got;
        s->n_errors++;
    }
}
/* Reads on: one call of the reader. Called without the lock; nobody else touches a slot that is
 * being read. */
static int64_t aios__stream_read(const aios__stream *s, const aios__slot *slot, uint64_t most) {
    const aios_io *io = &s->io[slot->part];
    return io->read(io->user, slot->off + slot->done, slot->dst + slot->done,
                    aios__min_u64(slot->want - slot->done, most));
}

/* A reading thread: reads what is due, sleeps when there is nothing. */
static void aios__stream_serve(void *arg) {
    aios__stream *s = (aios__stream *)arg;
    aios__crew_lock(&s->crew);
    while (!s->crew.quit && !s->ended) {
        aios__slot *slot = aios__stream_next(s);
        if (!slot) {
            aios__crew_idle(&s->crew);
            continue;
        }
        while (slot->state == AIOS__SLOT_READING) {
            int64_t got;
            aios__crew_unlock(&s->crew);
            got = aios__stream_read(s, slot, UINT64_MAX);
            aios__crew_lock(&s->crew);
            aios__stream_end(s, slot, got);
        }
        aios__crew_wake(&s->crew);
    }
    aios__crew_unlock(&s->crew);
}

/* ---- asynchronous ---- */
#define AIOS__ANY_PART UINT32_MAX
/* A slot, other than one, for which a read is under way: of the io of a part, or of any. */
static const aios__slot *aios__stream_flying(const aios__stream *s, uint32_t part,
                                             const aios__slot *but) {
    for (uint32_t i = 0; i < s->n_all; i++)
        if (&s->slot[i] != but && s->slot[i].state == AIOS__SLOT_READING &&
            s->slot[i].ticket != AIOS__NO_TICKET &&
            (s->slot[i].part == part || part == AIOS__ANY_PART))
            return &s->slot[i];
    return NULL;
}
/* 0: the io takes no more now. */
static int32_t aios__stream_submit(aios__stream *s, aios__slot *slot) {
    const aios_io *io = &s->io[slot->part];
    int32_t st = io->submit(io->user, slot->ticket, slot->off + slot->done, slot->dst + slot->done,
                            slot->want - slot->done);
    if (st >= 0) return 1;
    if (!aios__stream_flying(s, slot->part, slot)) {
        aios__stream_end(s, slot, st);
        return 1;
    }
    /* a queue that is full for now: later, when one of these is over */
    if (slot->done) {
        slot->ticket = AIOS__NO_TICKET;
        s->n_rests++;
    }
    /* it was taken just now */
    else if (slot >= s->slot + s->n_slots) {
        slot->state = AIOS__SLOT_WANTED;
        s->head--;
    } else {
        slot->state = AIOS__SLOT_EMPTY;
        s->issued--;
    }
    return 0;
}
/* Submits what came in pieces and was refused since. 0: the io still takes no more. */
static int32_t aios__stream_rests(aios__stream *s) {
    for (uint32_t i = 0; s->n_rests && i < s->n_all; i++) {
        if (s->slot[i].state != AIOS__SLOT_READING || s->slot[i].ticket != AIOS__NO_TICKET)
            continue;
        s->n_rests--;
        s->slot[i].ticket = s->n_tickets++ * s->n_all + i;
        if (!aios__stream_submit(s, &s->slot[i])) return 0;
    }
    return 1;
}
/* Takes what is over from one io, waiting for the first at most timeout_ns. */
static void aios__stream_reap(aios__stream *s, uint32_t part, uint64_t timeout_ns) {
    const aios_io *io = &s->io[part];
    uint64_t ticket = 0;
    int64_t got = 0;
    int32_t n;
    while ((n = io->wait(io->user, &ticket, &got, timeout_ns)) == 1) {
        aios__slot *slot = &s->slot[ticket % s->n_all];
        timeout_ns = 0;
        if (slot->state != AIOS__SLOT_READING || slot->ticket != ticket) continue;
        aios__stream_end(s, slot, got);
        if (slot->state == AIOS__SLOT_READING) aios__stream_submit(s, slot); /* it came in pieces */
    }
    if (n < 0) { /* no read of a broken io is under way any more */
        uint32_t i;
        for (i = 0; i < s->n_all; i++)
            if (s->slot[i].state == AIOS__SLOT_READING && s->slot[i].part == part) {
                s->n_rests -= s->slot[i].ticket == AIOS__NO_TICKET;
                aios__stream_end(s, &s->slot[i], n);
            }
    }
}

/* ---- what exec calls ---- */
/* Lets reading begin as far as there is room. */
static void aios__stream_pump(aios__stream *s) {
    aios__slot *slot;
    if (s->how == AIOS__READ_ASYNC && aios__stream_rests(s))
        while ((slot = aios__stream_next(s)) != NULL && aios__stream_submit(s, slot)) {}
    if (s->how == AIOS__READ_THREADS) aios__crew_call(&s->crew);
}
/* The program starts at its first unit: right away, or, after a pass that was dropped in its
 * middle, as soon as what is being read is through. */
static void aios__stream_start(aios__stream *s) {
    if (!s->n_all) return;
    aios__crew_lock(&s->crew);
    /* what a pass that was dropped wanted */
    for (uint32_t i = s->n_slots; (s->head < s->tail || s->hold || s->now) && i < s->n_all; i++)
        if (s->slot[i].state != AIOS__SLOT_READY &&
            (s->slot[i].state != AIOS__SLOT_READING || s->how == AIOS__READ_INLINE))
            s->slot[i].state = AIOS__SLOT_EMPTY;
    s->head = s->tail;
    s->now = NULL;
    if (!s->n_units)
        s->hold = 0;
    else if (s->used % s->n_units || s->hold ||
             s->slot[s->used % s->n_slots].state == AIOS__SLOT_FAILED) {
        for (uint32_t i = 0; i < s->n_slots; i++)
            if (s->slot[i].state != AIOS__SLOT_READING || s->how == AIOS__READ_INLINE)
                s->slot[i].state = AIOS__SLOT_EMPTY;
        s->used = s->issued = s->hinted = (s->issued + s->n_units - 1) / s->n_units * s->n_units;
        s->hold = 0;
    }
    aios__stream_pump(s);
    aios__crew_unlock(&s->crew);
}
/* Nobody reads ahead: the io is told what comes next, so that the system may. */
static void aios__stream_hint(aios__stream *s) {
    uint64_t ahead = 0;
    if (s->hinted < s->issued) s->hinted = s->issued;
    for (uint64_t use = s->issued; use < s->hinted; use++) ahead += aios__use_unit(s, use)->n_bytes;
    for (; ahead < AIOS__HINT_BYTES && s->hinted < s->used + s->n_units; s->hinted++) {
        const aios__unit *u = aios__use_unit(s, s->hinted);
        const aios_io *io = &s->io[u->part];
        ahead += u->n_bytes;
        if (io->soon) io->soon(io->user, u->off, u->n_bytes);
    }
}
/* Goes on reading, a piece at a time where nobody else does it, or waits for somebody, or for
 * the io of a part, who do. With the lock. */
static void aios__stream_move(aios__stream *s, uint32_t part, uint64_t timeout_ns) {
    if (s->how == AIOS__READ_INLINE) {
        if (!s->now || s->now->state != AIOS__SLOT_READING) {
            s->now = aios__stream_next(s);
            if (s->n_units) aios__stream_hint(s);
        }
        if (s->now) aios__stream_end(s, s->now, aios__stream_read(s, s->now, AIOS__INLINE_BYTES));
        return;
    }
    aios__stream_pump(s);
    if (s->how == AIOS__READ_ASYNC) {
        const aios__slot *other = aios__stream_flying(s, part, NULL)
                                      ? NULL
                                      : aios__stream_flying(s, AIOS__ANY_PART, NULL);
        /* what the queue's head waits for may be another io */
        aios__stream_reap(s, other ? other->part : part, timeout_ns);
        aios__stream_pump(s);
    } else
        aios__crew_wait(&s->crew, timeout_ns);
}
/* Is the unit of the next use there? 1 = yes; 0 = not yet; AIOS_ERR_*: it cannot be read. */
static int32_t aios__stream_try(aios__stream *s, uint64_t timeout_ns) {
    aios__slot *slot = &s->slot[s->used % s->n_slots];
    int32_t r = 0;
    aios__crew_lock(&s->crew);
    if (!(slot->use == s->used && slot->state >= AIOS__SLOT_READY))
        aios__stream_move(
            s, slot->state == AIOS__SLOT_READING ? slot->part : aios__use_unit(s, s->used)->part,
            timeout_ns);
    if (slot->use == s->used)
        r = slot->state == AIOS__SLOT_READY    ? 1
            : slot->state == AIOS__SLOT_FAILED ? (int32_t)AIOS_ERR_IO
                                               : 0;
    if (r < 0) s->bad = slot;
    aios__crew_unlock(&s->crew);
    return r;
}
static inline const void *aios__stream_data(const aios__stream *s) {
    const aios__unit *u = aios__use_unit(s, s->used);
    return aios__slot_base(s, s->used) + (u->off - aios__unit_start(u, &s->io[u->part]));
}
/* The unit is through: its slot may be filled again. */
static void aios__stream_pass(aios__stream *s) {
    aios__crew_lock(&s->crew);
    s->used++;
    if (s->issued < s->used) s->issued = s->used;
    aios__stream_pump(s);
    aios__crew_unlock(&s->crew);
}

/* Takes what was counted; with reset, begins anew. */
static void aios__stream_count(aios__stream *s, aios_counters *c, int32_t reset) {
    aios__crew_lock(&s->crew);
    c->stream_bytes = s->read_bytes;
    c->expert_bytes = s->wanted_bytes;
    c->n_reads = s->n_reads;
    c->n_read_errors = s->n_errors;
    if (reset) s->read_bytes = s->wanted_bytes = s->n_reads = s->n_errors = 0;
    aios__crew_unlock(&s->crew);
}
static aios_status aios__stream_open(aios__stream *s, uint32_t lent, int32_t n_readers,
                                     uint32_t async, aios_error *err) {
    s->how = lent || n_readers ? AIOS__READ_THREADS : async ? AIOS__READ_ASYNC : AIOS__READ_INLINE;
    s->hold = 1; /* until the first step */
    aios_status st = aios__crew_start(&s->crew, n_readers, aios__stream_serve, s, err);
    if (st) s->n_all = 0;
    return st;
}
/* Lent threads return, and those that come later do at once, or may stay again. */
static void aios__stream_lent(aios__stream *s, int32_t ended) {
    aios__crew_lock(&s->crew);
    s->ended = ended;
    aios__crew_call(&s->crew);
    aios__crew_unlock(&s->crew);
}
/* Nothing reads into the ring any more when this returns. */
static void aios__stream_stop(aios__stream *s) {
    if (!s->n_all) return;
    if (!aios__crew_stop(&s->crew)) return;
    for (uint32_t i = 0; i < s->n_all; i++)
        while (s->how == AIOS__READ_ASYNC && s->slot[i].state == AIOS__SLOT_READING &&
               s->slot[i].ticket != AIOS__NO_TICKET) {
            s->hold = 1;
            aios__stream_reap(s, s->slot[i].part, AIOS__FOREVER);
        }
}
