/* memory.c: where each tensor's bytes are, and getting them there. aios__place_of decides (pure
 * arithmetic, the same answer each time for the same cut); aios__weights_load carries it out:
 * reads through the io, packs panel by panel. What it leaves out, the rows that are streamed, is
 * read while the model runs (stream.c). */

/* a section streams from not at all to wholly */
enum { AIOS__LEVEL = 65536, AIOS__LEVELS = 3 * AIOS__LEVEL };

/* Rows of a tensor that are read at once: whole pairs of panels. */
static uint32_t aios__unit_rows(const aios__tensor *t, uint64_t unit_bytes) {
    uint64_t n = unit_bytes / t->row_bytes / 32 * 32;
    return (uint32_t)(n < 32 ? 32 : aios__min_u64(n, aios__round_up(t->n[1], 32)));
}
/* Rows of a matrix that stay. What its section streams is dealt out in whole units, evenly over
 * the layers, so that reading never waits long for room nor computing for data. */
static uint32_t aios__rows_resident(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__place *at = &m->place[i];
    const aios__tensor *t = &m->gguf.tensor[i];
    int64_t share = (int64_t)cut->level - (int64_t)at->section * AIOS__LEVEL;
    uint64_t l = (uint64_t)at->layer;
    if (at->use != AIOS__IS_MATRIX || at->experts || at->section == AIOS__SECTION_FIXED ||
        share <= 0)
        return (uint32_t)t->n[1];
    if (share > AIOS__LEVEL) share = AIOS__LEVEL;
    uint64_t per = aios__unit_rows(t, cut->unit_bytes);
    uint64_t n = (t->n[1] + per - 1) / per;
    uint64_t k =
        (l + 1) * n * (uint64_t)share / AIOS__LEVEL - l * n * (uint64_t)share / AIOS__LEVEL;
    return (uint32_t)(k ? (n - k) * per : t->n[1]);
}
/* Warm steps: the feed-forward matrices of the last layer go first, then those of the one
 * before; attention; the output; what is small. */
static int32_t aios__warm_steps(const aios_model *m) { return 4 * m->hp.n_layer; }
static int32_t aios__is_warm(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__place *at = &m->place[i];
    return at->use == AIOS__IS_MATRIX &&
           at->section * m->hp.n_layer + m->hp.n_layer - 1 - at->layer < cut->warm;
}

/* Where the bytes of a matrix or table come from: the artifact, packed as they will be used, or
 * the model's file. */
typedef struct aios__source {
    uint32_t io;
    int32_t layout;
    uint64_t off;
} aios__source;
static aios__source aios__source_of(const aios_model *m, const aios__cut *cut, uint32_t i) {
    const aios__tensor *t = &m->gguf.tensor[i];
    const aios__place *at = &m->place[i];
    aios__source s;
    s.io = t->part;
    s.layout = AIOSK_ROWS;
    s.off = t->off;
    if (!at->art_off) return s;
    aios__art_bytes(m, i, &s.layout);
    if (cut->rows && s.layout == AIOSK_PANELS) {
        s.layout = AIOSK_ROWS;
        return s;
    }
    s.io = m->n_parts;
    s.off = at->art_off;
    return s;
}
static inline uint64_t aios__rows_bytes(const aios__tensor *t, int32_t layout, uint64_t n_rows) {
    return layout == AIOSK_PANELS
               ? aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, n_rows, t->n[0])
               : t->row_bytes * n_rows;
}
/* Decides for tensor i. off[tier] is the running end of each tier's block. */
static aios__place aios__place_of(const aios_model *m, const aios__cut *cut, uint32_t i,
                                  uint64_t *off) {
    const aios__tensor *t = &m->gguf.tensor[i];
    aios__place p = m->place[i];
    p.layout = AIOSK_ROWS;
    p.tier = AIOS_TIER_HOT;
    p.mapped = 0;
    p.off = p.n_bytes = 0;
    p.rows = (uint32_t)t->n[1];
    if (!p.use) return p;
    if (cut->experts && p.experts) { /* they come and go in a cache */
        p.layout = (uint8_t)aios__source_of(m, cut, i).layout;
        p.rows = 0;
        return p;
    }
    if (p.use == AIOS__IS_VECTOR)
        p.n_bytes = t->n[0] * t->n[1] * 4;
    else {
        aios__source from = aios__source_of(m, cut, i);
        int32_t warm = aios__is_warm(m, cut, i), art = from.io == m->n_parts;
        p.rows = aios__rows_resident(m, cut, i);
        p.mapped = (p.can_map & (art ? AIOS__MAP_ARTIFACT : AIOS__MAP_MODEL)) != 0;
        p.layout = (uint8_t)from.layout;
        if (p.use == AIOS__IS_TABLE && cut->tables && !p.mapped) p.rows = 0;
        if (!art && p.use == AIOS__IS_MATRIX && !cut->rows &&
            aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]) &&
            !(warm && cut->mapped && p.mapped)) {
            p.layout = AIOSK_PANELS;
            p.mapped = 0;
        }
        p.n_bytes = aios__rows_bytes(t, p.layout, p.rows) * t->n[2];
        p.tier = (uint8_t)(warm || p.mapped ? AIOS_TIER_WARM : AIOS_TIER_HOT);
    }
    if (!p.mapped) {
        off[p.tier] = aios__round_up(off[p.tier], 64);
        p.off = off[p.tier];
        off[p.tier] += p.n_bytes;
    }
    return p;
}

/* Bytes of the blocks of weights, and by layout for the report. */
typedef struct aios__weights_size {
    uint64_t tier[2], packed, rows, mapped;
} aios__weights_size;
static void aios__weights_measure(const aios_model *m, const aios__cut *cut,
                                  aios__weights_size *s) {
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        aios__place p = aios__place_of(m, cut, i, s->tier);
        if (p.mapped)
            s->mapped += p.n_bytes;
        else if (p.layout == AIOSK_PANELS)
            s->packed += p.n_bytes;
        else
            s->rows += p.n_bytes;
    }
    for (uint32_t i = 0; i < 2; i++) s->tier[i] = aios__round_up(s->tier[i], 64);
}

/* Reads the resident rows of a tensor to dst. What is packed is read into tmp first, as many
 * whole panels at a time as tmp holds. */
static aios_status aios__tensor_load(const aios_model *m, const aios__source *from,
                                     const aios__tensor *t, const aios__place *p, char *dst,
                                     char *tmp, uint64_t tmp_bytes, aios_error *err) {
    const aios_io *io = &m->io[t->part];
    uint64_t n, panel = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]);
    aios_status st = AIOS_OK;
    if (p->use == AIOS__IS_VECTOR) {
        const char *src = dst;
        /* f16 at the end of its f32s: widened upwards in place */
        if (t->n_bytes < p->n_bytes) src = dst + (p->n_bytes - t->n_bytes);
        if ((st = aios__io_read(io, t->off, dst + (src - dst), t->n_bytes, err)) != 0) return st;
        if (t->type != AIOSK_F32)
            for (uint64_t r = 0; r < t->n[0] * t->n[1]; r++) {
                float f;
                aiosk_unpack((int32_t)t->type, src + r * (t->row_bytes / t->n[0]), 1, &f);
                memcpy(dst + r * 4, &f, 4);
            }
        return AIOS_OK;
    }
    if (p->layout == from->layout)
        return aios__io_read(&m->io[from->io], from->off, dst, p->n_bytes, err);
    uint64_t at_once = tmp_bytes / (16 * t->row_bytes) * 16;
    for (uint64_t r = 0; r < p->rows * t->n[2];
         r += n) { /* all matrices of it; a panel has rows of one */
        uint64_t i;
        n = aios__min_u64(p->rows - r % p->rows, at_once);
        if ((st = aios__io_read(io, t->off + r * t->row_bytes, tmp, n * t->row_bytes, err)) != 0)
            return st;
        for (i = 0; i < n; i += 16, dst += panel)
            aiosk_pack_panel((int32_t)t->type, tmp + i * t->row_bytes,
                             (int32_t)aios__min_u64(n - i, 16), t->n[0], dst);
    }
    return AIOS_OK;
}

/* Takes the blocks of weights, which aios__weights_load then fills. Without them the model holds
 * none. */
static void aios__weights_give(aios_model *m) {
    for (int32_t i = 1; i >= 0; i--) {
        if (m->weights[i]) m->mem.free(m->mem.user, m->weights[i], &m->weights_req[i]);
        m->weights[i] = NULL;
    }
    m->loaded = 0;
}
static void aios__plan_req(const aios_plan *p, uint32_t kind, uint32_t tier, aios_mem_req *r) {
    aios__req_fill(r, kind, tier,
                   kind == AIOS_MEM_WEIGHTS ? p->tier_bytes[tier] : p->request_bytes[kind]);
    if (p->flags & AIOS_PLAN_PIN && tier == AIOS_TIER_HOT) r->flags |= AIOS_MEM_PIN;
    r->numa_node = p->numa_node_1 - 1;
}
static aios_status aios__weights_take(aios_model *m, const aios_plan *p, aios_error *err) {
    aios_status st = AIOS_OK;
    for (int32_t i = 0; i < 2 && !st; i++) {
        aios__plan_req(p, AIOS_MEM_WEIGHTS, (uint32_t)i, &m->weights_req[i]);
        if (p->tier_bytes[i])
            st = aios__alloc(&m->mem, &m->weights_req[i], "weights", &m->weights[i], err);
    }
    if (st) aios__weights_give(m);
    return st;
}
/* tmp: room for at least 16 rows of any packed tensor (aios__weights_tmp). */
static aios_status aios__weights_load(aios_model *m, const aios__cut *cut, char *tmp,
                                      uint64_t tmp_bytes, aios_progress_fn progress, void *user,
                                      aios_error *err) {
    uint64_t off[2] = { 0, 0 }, done = 0;
    aios_status st = AIOS_OK;
    for (uint32_t i = 0; i < m->gguf.n_tensors && !st; i++) {
        const aios__tensor *t = &m->gguf.tensor[i];
        aios__place p = aios__place_of(m, cut, i, off);
        aios__source from = aios__source_of(m, cut, i);
        if (p.use && p.mapped) {
            p.p = aios__io_map(&m->io[from.io], from.off, p.n_bytes);
            if (!p.p)
                st = aios__fail1(err, AIOS_ERR_IO, t->off, "the io's map gave nothing for tensor %",
                                 aios__s(t->name));
        } else if (p.use && p.n_bytes) {
            p.p = (char *)m->weights[p.tier] + p.off;
            st = aios__tensor_load(m, &from, t, &p, (char *)m->weights[p.tier] + p.off, tmp,
                                   tmp_bytes, err);
        }
        m->place[i] = p;
        done += t->n_bytes;
        if (!st && progress && progress(user, done, m->gguf.tensor_bytes))
            st = aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                            "loading was stopped by the progress callback");
    }
    if (!st) {
        m->loaded = 1;
        m->cut = *cut;
    }
    return st;
}
/* Bytes of 16 rows of the longest tensor that is packed. */
static uint64_t aios__weights_tmp(const aios_model *m, const aios__cut *cut) {
    uint64_t max = 0, off[2] = { 0, 0 };
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        aios__place p = aios__place_of(m, cut, i, off);
        if (p.layout != aios__source_of(m, cut, i).layout && p.rows &&
            m->gguf.tensor[i].row_bytes * 16 > max)
            max = m->gguf.tensor[i].row_bytes * 16;
    }
    return max;
}
