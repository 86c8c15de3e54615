/* memory.c: where each tensor's bytes are, and getting them there. aios__place_of decides (pure arithmetic, the same
 * answer each time); aios__weights_load carries it out: reads through the io, packs panel by panel. Later tiers
 * (mapped and shrinkable, streamed) are further answers of aios__place_of and further ways to load. */

/* Decides for tensor i under some numerics. *off is the running end of the weights block. */
static aios__place aios__place_of(const aios_model *m, int32_t numerics, uint32_t i, uint64_t *off) {
    const aios__tensor *t = &m->gguf.tensor[i];
    aios__place p;
    memset(&p, 0, sizeof p);
    p.use = m->place[i].use; p.can_map = m->place[i].can_map; p.p = m->place[i].p;
    p.layout = AIOSK_ROWS;
    if (!p.use) return p;
    p.n_bytes = t->n_bytes;
    if (p.use == AIOS__IS_VECTOR) p.n_bytes = t->n[0] * t->n[1] * 4;
    else {
        uint64_t packed = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, t->n[1], t->n[0]);
        if (p.use == AIOS__IS_MATRIX && packed && numerics != AIOS_REFERENCE) { p.layout = AIOSK_PANELS; p.n_bytes = packed; }
        else p.mapped = p.can_map;
    }
    if (!p.mapped) {
        *off = aios__round_up(*off, 64);
        p.off = *off;
        *off += p.n_bytes;
    }
    return p;
}

static int32_t aios__loaded_for(int32_t numerics) { return numerics == AIOS_REFERENCE ? (int32_t)AIOS__LOADED_ROWS : (int32_t)AIOS__LOADED_PACKED; }

/* Bytes of the weights block, and by layout for the report. */
typedef struct aios__weights_size { uint64_t bytes, packed, rows, mapped; } aios__weights_size;
static void aios__weights_measure(const aios_model *m, int32_t numerics, aios__weights_size *s) {
    uint32_t i;
    memset(s, 0, sizeof *s);
    for (i = 0; i < m->gguf.n_tensors; i++) {
        aios__place p = aios__place_of(m, numerics, i, &s->bytes);
        if (p.mapped) s->mapped += p.n_bytes;
        else if (p.layout == AIOSK_PANELS) s->packed += p.n_bytes;
        else s->rows += p.n_bytes;
    }
    s->bytes = aios__round_up(s->bytes, 64);
}

/* Reads one tensor to dst. What is packed is read into tmp first, as many whole panels at a time as tmp holds. */
static aios_status aios__tensor_load(const aios_model *m, const aios__tensor *t, const aios__place *p, char *dst, char *tmp, uint64_t tmp_bytes, aios_error *err) {
    const aios_io *io = &m->io[t->part];
    uint64_t r, at_once, n_rows = t->n[1] * t->n[2] * t->n[3], panel = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]);
    aios_status st = AIOS_OK;
    if (p->use == AIOS__IS_VECTOR) {
        const char *src = dst;
        if (t->n_bytes < p->n_bytes) src = dst + (p->n_bytes - t->n_bytes);     /* f16 at the end of its f32s: widened upwards in place */
        if ((st = aios__io_read(io, t->off, dst + (src - dst), t->n_bytes, err)) != 0) return st;
        if (t->type != AIOSK_F32) for (r = 0; r < t->n[0] * n_rows; r++) {
            float f;
            aiosk_unpack((int32_t)t->type, src + r * (t->row_bytes / t->n[0]), 1, &f);
            memcpy(dst + r * 4, &f, 4);
        }
        return AIOS_OK;
    }
    if (p->layout == AIOSK_ROWS) return aios__io_read(io, t->off, dst, t->n_bytes, err);
    at_once = tmp_bytes / (16 * t->row_bytes) * 16;
    for (r = 0; r < n_rows; r += at_once) {
        uint64_t i, n = aios__min_u64(n_rows - r, at_once);
        if ((st = aios__io_read(io, t->off + r * t->row_bytes, tmp, n * t->row_bytes, err)) != 0) return st;
        for (i = 0; i < n; i += 16, dst += panel)
            aiosk_pack_panel((int32_t)t->type, tmp + i * t->row_bytes, (int32_t)aios__min_u64(n - i, 16), t->n[0], dst);
    }
    return AIOS_OK;
}

/* Takes the weights block, which aios__weights_load then fills. Without it the model holds no weights. */
static aios_status aios__weights_take(aios_model *m, uint64_t bytes, aios_error *err) {
    aios__req_fill(&m->weights_req, AIOS_MEM_WEIGHTS, bytes);
    return bytes ? aios__alloc(&m->mem, &m->weights_req, "weights", &m->weights, err) : AIOS_OK;
}
static void aios__weights_give(aios_model *m) {
    if (m->weights) m->mem.free(m->mem.user, m->weights, &m->weights_req);
    m->weights = NULL;
    m->loaded = AIOS__LOADED_NOT;
}
/* tmp: room for at least 16 rows of any packed tensor (aios__weights_tmp). */
static aios_status aios__weights_load(aios_model *m, int32_t numerics, char *tmp, uint64_t tmp_bytes, aios_progress_fn progress, void *user, aios_error *err) {
    uint64_t off = 0, done = 0;
    uint32_t i;
    aios_status st = AIOS_OK;
    for (i = 0; i < m->gguf.n_tensors && !st; i++) {
        const aios__tensor *t = &m->gguf.tensor[i];
        aios__place p = aios__place_of(m, numerics, i, &off);
        if (p.use && p.mapped) {
            p.p = aios__io_map(&m->io[t->part], t->off, t->n_bytes);
            if (!p.p) st = aios__fail1(err, AIOS_ERR_IO, t->off, "the io's map gave nothing for tensor %", aios__s(t->name));
        } else if (p.use) {
            p.p = (char *)m->weights + p.off;
            st = aios__tensor_load(m, t, &p, (char *)m->weights + p.off, tmp, tmp_bytes, err);
        }
        m->place[i] = p;
        done += t->n_bytes;
        if (!st && progress && progress(user, done, m->gguf.tensor_bytes))
            st = aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF, "loading was stopped by the progress callback");
    }
    if (!st) m->loaded = aios__loaded_for(numerics);
    return st;
}
/* Bytes of 16 rows of the longest tensor that is packed. */
static uint64_t aios__weights_tmp(const aios_model *m, int32_t numerics) {
    uint64_t max = 0, off = 0;
    uint32_t i;
    for (i = 0; i < m->gguf.n_tensors; i++)
        if (aios__place_of(m, numerics, i, &off).layout == AIOSK_PANELS && m->gguf.tensor[i].row_bytes * 16 > max) max = m->gguf.tensor[i].row_bytes * 16;
    return max;
}
