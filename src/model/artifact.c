/* artifact.c: a file beside the model that holds its matrices as kernels want them, so that a
 * second start reads a header, maps, and runs. Written once (aios_artifact_write), bound to one
 * model, checked by block. Little-endian, all offsets from its start:
 *
 *     0      header of 4096 bytes   aios__art_header, zeros behind; its checksum covers all of it
 *                                   but the checksum itself
 *     4096   tensors                aios__art_tensor [n_tensors], in the order of the model's
 *                                   directory; n_bytes 0: not here
 *            blocks                 aios__art_block [n_blocks], as they lie in the file: the order
 *                                   of frequency, and of use in a pass and of prefetching among
 *                                   equals: what every token reads, experts that some tokens read,
 *                                   tables of which one reads a row
 *            manifest               JSON: the same for people and other programs. "tensors" has
 *                                   each tensor's place and blocks; "layout" says of the same
 *                                   tensors what the AIOS model contract 1.0 (R5) asks for, under
 *                                   its names: block_id (the tensor's name), access_frequency high,
 *                                   medium or low, rws_tier HOT, WARM or STREAM, offset_bytes,
 *                                   size_bytes
 *     data   tensors, each at a multiple of 4096: matrices as PANELS where their type has them,
 *            tables and the rest as ROWS
 *
 * Blocks are whole panels (or rows) of one tensor, block_bytes at the most if a panel is no
 * larger. */

enum { AIOS__ART_PAGE = 4096, AIOS__ART_VERSION = 1 };
#define AIOS__ART_MAGIC "AIOSPK01"

typedef struct aios__art_header {
    char magic[8];
    uint32_t version, n_tensors, n_blocks, block_bytes;
    uint64_t model_hash, model_probe; /* of the model's header; of some bytes of all its tensors */
    uint64_t file_bytes, tensors_off, blocks_off, manifest_off, manifest_bytes, data_off;
    uint64_t tensors_sum, blocks_sum; /* checksums of the tables */
    uint64_t sum;                     /* of everything above */
} aios__art_header;
typedef struct aios__art_tensor {
    uint64_t off, n_bytes;
    uint32_t type, layout, first_block, n_blocks;
} aios__art_tensor;
typedef struct aios__art_block {
    uint64_t off, sum;
    uint32_t n_bytes, tensor, row0, n_rows;
} aios__art_block;

/* Eight bytes at a time: x = (x ^ word) * odd, turned; a changed bit changes the sum.
 * Little-endian machines alone run this library. */
static uint64_t aios__art_sum(uint64_t h, const void *p, uint64_t n) {
    const char *b = (const char *)p;
    uint64_t w;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&w, b, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15u;
        h = h << 29 | h >> 35;
    }
    if (n) {
        w = 0;
        memcpy(&w, b, (size_t)n);
        h = (h ^ w ^ n << 56) * 0x9E3779B97F4A7C15u;
        h = h << 29 | h >> 35;
    }
    return h;
}
enum { AIOS__ART_SEED = 1 };

/* The header says nothing of the weights: two models of one shape have the same. Some bytes of
 * each tensor tell them apart: at its beginning, in its middle, at its end. */
static aios_status aios__art_probe(const aios_model *m, uint64_t *probe, aios_error *err) {
    char some[64];
    aios_status st;
    *probe = AIOS__ART_SEED;
    for (uint32_t i = 0; i < m->gguf.n_tensors * 3; i++) {
        const aios__tensor *t = &m->gguf.tensor[i / 3];
        uint64_t n = aios__min_u64(t->n_bytes, sizeof some);
        uint32_t k = i % 3;
        if ((st = aios__io_read(&m->io[t->part], t->off + (t->n_bytes - n) * k / 2, some, n,
                                err)) != 0)
            return st;
        *probe = aios__art_sum(*probe, some, n);
    }
    return AIOS_OK;
}
/* What the artifact has of tensor i: bytes (0: nothing) and layout. */
static uint64_t aios__art_bytes(const aios_model *m, uint32_t i, int32_t *layout) {
    const aios__tensor *t = &m->gguf.tensor[i];
    uint64_t packed = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, t->n[1], t->n[0]);
    *layout = AIOSK_ROWS;
    if (m->place[i].use != AIOS__IS_MATRIX && m->place[i].use != AIOS__IS_TABLE) return 0;
    if (m->place[i].use == AIOS__IS_MATRIX && packed) {
        *layout = AIOSK_PANELS;
        return packed * t->n[2];
    }
    return t->n_bytes;
}

/* ---- reading ---- */
static aios_status aios__art_bad(const char *what, uint64_t off, uint64_t expected, uint64_t got,
                                 aios_error *err) {
    return aios__fail2(err, AIOS_ERR_FORMAT, off, expected, got,
                       "the artifact's % is not what it must be (% bytes in)", aios__z(what),
                       aios__u(off));
}
static aios_status aios__art_header_read(const aios_io *io, aios__art_header *h, aios_error *err) {
    aios_status st;
    uint64_t end;
    if ((st = aios__io_read(io, 0, h, sizeof *h, err)) != 0) return st;
    if (memcmp(h->magic, AIOS__ART_MAGIC, 8))
        return aios__fail(err, AIOS_ERR_FORMAT, 0,
                          "this is no artifact of aios: it does not begin with " AIOS__ART_MAGIC);
    if (h->version != AIOS__ART_VERSION)
        return aios__fail2(err, AIOS_ERR_UNSUPPORTED, 8, AIOS__ART_VERSION, h->version,
                           "the artifact has version %, this library reads %", aios__u(h->version),
                           aios__u(AIOS__ART_VERSION));
    uint64_t sum = aios__art_sum(AIOS__ART_SEED, h, sizeof *h - 8);
    if (sum != h->sum) return aios__art_bad("header", 0, sum, h->sum, err);
    if (h->file_bytes != io->n_bytes)
        return aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, h->file_bytes, io->n_bytes,
                           "the artifact has % bytes of %: it is cut off or still being written",
                           aios__u(io->n_bytes), aios__u(h->file_bytes));
    if (h->tensors_off != AIOS__ART_PAGE ||
        !aios__mul(h->n_tensors, sizeof(aios__art_tensor), &end) ||
        h->blocks_off != h->tensors_off + end)
        return aios__art_bad("table of tensors", 0, 0, h->blocks_off, err);
    if (!aios__mul(h->n_blocks, sizeof(aios__art_block), &end) ||
        !aios__add(h->blocks_off, end, &end) || h->manifest_off != end || end > io->n_bytes)
        return aios__art_bad("table of blocks", 0, 0, h->manifest_off, err);
    if (!aios__add(h->manifest_off, h->manifest_bytes, &end) || end > h->data_off ||
        h->data_off > io->n_bytes || h->data_off % AIOS__ART_PAGE)
        return aios__art_bad("manifest", 0, 0, h->data_off, err);
    return AIOS_OK;
}
/* Reads the table of tensors into the model's places, in small pieces: no memory is taken. */
static aios_status aios__art_open(aios_model *m, const aios_io *io, aios_error *err) {
    aios__art_header h;
    aios__art_tensor t[32];
    uint64_t probe, sum = AIOS__ART_SEED;
    uint32_t k;
    aios_status st = aios__art_header_read(io, &h, err);
    if (st) return st;
    if ((st = aios__art_probe(m, &probe, err)) != 0) return st;
    if (h.model_hash != m->gguf.hash || h.model_probe != probe || h.n_tensors != m->gguf.n_tensors)
        return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, m->gguf.hash, h.model_hash,
                           "the artifact belongs to another model", aios__u(0), aios__u(0));
    for (uint32_t i = 0; i < h.n_tensors; i += k) {
        uint32_t n = h.n_tensors - i < 32 ? h.n_tensors - i : 32;
        if ((st = aios__io_read(io, h.tensors_off + (uint64_t)i * sizeof *t, t, n * sizeof *t,
                                err)) != 0)
            return st;
        sum = aios__art_sum(sum, t, n * sizeof *t);
        for (k = 0; k < n; k++) {
            int32_t layout;
            uint64_t want = aios__art_bytes(m, i + k, &layout), end;
            if (t[k].n_bytes != want ||
                (want &&
                 (t[k].layout != (uint32_t)layout || t[k].type != m->gguf.tensor[i + k].type ||
                  t[k].off < h.data_off || t[k].off % AIOS__ART_PAGE ||
                  !aios__add(t[k].off, want, &end) || end > io->n_bytes)))
                return aios__art_bad("table of tensors",
                                     h.tensors_off + (uint64_t)(i + k) * sizeof *t, want,
                                     t[k].n_bytes, err);
            m->place[i + k].art_off = want ? t[k].off : 0;
        }
    }
    return sum == h.tensors_sum
               ? AIOS_OK
               : aios__art_bad("table of tensors", h.tensors_off, h.tensors_sum, sum, err);
}
AIOS_API aios_status aios_artifact_check(const aios_io *given, void *work, uint64_t work_bytes,
                                         aios_progress_fn progress, void *user, aios_error *err) {
    aios_io io;
    aios__art_header h;
    aios__art_block b;
    aios__art_tensor t;
    uint64_t sum = AIOS__ART_SEED, at, n, s, due = 0, end;
    uint32_t i, n_blocks = 0;
    aios_status st;
    aios__clear(err);
    if (!work || work_bytes < 4096)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_artifact_check needs 4096 bytes to work in");
    if ((st = aios__desc_copy(AIOS__ID_aios_io, &io, given, err)) != 0) return st;
    if ((st = aios__art_header_read(&io, &h, err)) != 0) return st;
    for (i = 0; i < h.n_tensors; i++) {
        if ((st = aios__io_read(&io, h.tensors_off + (uint64_t)i * sizeof t, &t, sizeof t, err)) !=
            0)
            return st;
        sum = aios__art_sum(sum, &t, sizeof t);
        n_blocks += t.n_blocks;
        due += t.n_bytes;
    }
    if (sum != h.tensors_sum || n_blocks != h.n_blocks)
        return aios__art_bad("table of tensors", h.tensors_off, h.tensors_sum, sum, err);
    for (i = 0, sum = AIOS__ART_SEED, end = h.data_off; i < h.n_blocks; i++) {
        if ((st = aios__io_read(&io, h.blocks_off + (uint64_t)i * sizeof b, &b, sizeof b, err)) !=
            0)
            return st;
        sum = aios__art_sum(sum, &b, sizeof b);
        /* each byte once, in order */
        if (b.off < end || b.off > h.file_bytes || b.n_bytes > h.file_bytes - b.off ||
            b.n_bytes > due)
            return aios__art_bad("table of blocks", h.blocks_off + (uint64_t)i * sizeof b, end,
                                 b.off, err);
        end = b.off + b.n_bytes;
        due -= b.n_bytes;
        for (at = 0, s = AIOS__ART_SEED; at < b.n_bytes; at += n) {
            n = aios__min_u64(work_bytes / 8 * 8, b.n_bytes - at);
            if ((st = aios__io_read(&io, b.off + at, work, n, err)) != 0) return st;
            s = aios__art_sum(s, work, n);
        }
        if (s != b.sum)
            return aios__fail2(err, AIOS_ERR_FORMAT, b.off, b.sum, s,
                               "block % of the artifact, % bytes in, is damaged", aios__u(i),
                               aios__u(b.off));
        if (progress && progress(user, b.off + b.n_bytes, h.file_bytes))
            return aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                              "stopped by the progress callback");
    }
    return sum == h.blocks_sum && due == 0
               ? AIOS_OK
               : aios__art_bad("table of blocks", h.blocks_off, h.blocks_sum, sum, err);
}

/* ---- writing ---- */
typedef struct aios__art_writer {
    const aios_model *m;
    aios_write_fn write;
    void *user;
    aios__art_header h;
    char *work;
    uint64_t work_bytes, data, manifest; /* where the next tensor, the next text goes */
    aios_error *err;
    aios_status st;
} aios__art_writer;

static void aios__art_put(aios__art_writer *w, uint64_t off, const void *p, uint64_t n) {
    if (!w->st && n && w->write(w->user, off, p, n))
        w->st =
            aios__fail2(w->err, AIOS_ERR_IO, off, n, 0,
                        "writing % bytes of the artifact at % failed", aios__u(n), aios__u(off));
}
/* How often a token reads tensor i: 0 = all of it every time, 1 = some experts, 2 = a row. */
static uint32_t aios__art_rank(const aios_model *m, uint32_t i) {
    return m->place[i].use == AIOS__IS_TABLE ? 2 : m->place[i].experts ? 1 : 0;
}
/* Tensors by rank, then in the order of use: layer after layer, the output. Gives the one behind
 * `before`, -1 = there is none. For the first: before -1, *at 0. */
static int32_t aios__art_order(const aios_model *m, uint32_t *at, int32_t before) {
    uint32_t per = AIOS__N_LAYER_ROLES, n = (uint32_t)m->hp.n_layer * per,
             all = n + AIOS__N_MODEL_ROLES;
    int32_t layout;
    if (before >= 0 && m->place[before].next >= 0) return m->place[before].next;
    for (; *at < 3 * all;) {
        int32_t t;
        uint32_t rank = *at / all;
        uint32_t i = (*at)++ % all;
        /* OUTPUT is the last role */
        t = i < n ? m->layer[i / per][i % per].w : m->role[AIOS__N_MODEL_ROLES - 1 - (i - n)].w;
        if (t >= 0 && aios__art_rank(m, (uint32_t)t) == rank &&
            aios__art_bytes(m, (uint32_t)t, &layout))
            return t;
    }
    return -1;
}
/* Rows of a block of tensor t, and how many blocks it has: none goes from one matrix of it to
 * the next. */
static uint64_t aios__art_block_rows(const aios__tensor *t, uint32_t block_bytes) {
    uint64_t n = block_bytes / (t->row_bytes * 16) * 16;
    return aios__min_u64(n ? n : 16, t->n[1]);
}
static uint32_t aios__art_n_blocks(const aios__tensor *t, uint64_t rows) {
    return (uint32_t)((t->n[1] + rows - 1) / rows * t->n[2]);
}
/* One string of JSON. */
static void aios__art_json(aios__text *t, aios__str s) {
    aios__put(t, "\"", 1);
    for (uint64_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') aios__put(t, "\\", 1);
        aios__put(t, &s.p[i], 1);
    }
    aios__put(t, "\"", 1);
}
static void aios__art_say(aios__art_writer *w, const aios__text *t) {
    aios__art_put(w, w->manifest, t->p, t->n);
    w->manifest += t->n;
}
/* The manifest's line of a tensor. Without writing: its length. */
static uint64_t aios__art_line(const aios_model *m, int32_t i, const aios__art_tensor *a, char *buf,
                               uint64_t cap, aios__text *t) {
    const aios__tensor *x = &m->gguf.tensor[i];
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(t, ",   {\"name\": ");
    aios__art_json(t, x->name);
    aios__put_z(t, ", \"type\": \"");
    aios__put_z(t, aiosk_type_info((int32_t)x->type)->name);
    aios__put_z(t, a->layout == AIOSK_PANELS ? "\", \"layout\": \"panels\", \"offset\": "
                                             : "\", \"layout\": \"rows\", \"offset\": ");
    aios__put_u(t, a->off);
    aios__put_z(t, ", \"bytes\": ");
    aios__put_u(t, a->n_bytes);
    aios__put_z(t, ", \"first_block\": ");
    aios__put_u(t, a->first_block);
    aios__put_z(t, ", \"blocks\": ");
    aios__put_u(t, a->n_blocks);
    aios__put_z(t, ", \"bytes_per_token\": ");
    aios__put_u(t, m->place[i].use == AIOS__IS_TABLE
                       ? x->row_bytes
                       : aios__token_share(m, (uint32_t)i, a->n_bytes));
    aios__put_z(t, "}");
    return t->n;
}
/* Its line of the contract's "layout". */
static void aios__art_layout(const aios_model *m, int32_t i, const aios__art_tensor *a, char *buf,
                             uint64_t cap, aios__text *t) {
    static const char *const how[] = { "\"high\", \"rws_tier\": \"HOT\"",
                                       "\"medium\", \"rws_tier\": \"WARM\"",
                                       "\"low\", \"rws_tier\": \"STREAM\"" };
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(t, ",   {\"block_id\": ");
    aios__art_json(t, m->gguf.tensor[i].name);
    aios__put_z(t, ", \"access_frequency\": ");
    aios__put_z(t, how[aios__art_rank(m, (uint32_t)i)]);
    aios__put_z(t, ", \"offset_bytes\": ");
    aios__put_u(t, a->off);
    aios__put_z(t, ", \"size_bytes\": ");
    aios__put_u(t, a->n_bytes);
    aios__put_z(t, "}");
}
static uint64_t aios__art_head(const aios__art_header *h, const aios_model *m, char *buf,
                               uint64_t cap, aios__text *t) {
    static const char hex[] = "0123456789abcdef";
    t->p = buf;
    t->cap = cap;
    t->n = 0;
    aios__put_z(
        t, "{\"format\": \"aios artifact\", \"version\": 1, \"aios_contract_version\": \"1.0\", "
           "\"frequency_ordered\": true, \"model\": \"");
    aios__put_z(t, m->arch_z);
    aios__put_z(t, "\", \"model_hash\": \"");
    for (int32_t i = 60; i >= 0; i -= 4) aios__put(t, &hex[h->model_hash >> i & 15], 1);
    aios__put_z(t, "\", \"block_bytes\": ");
    aios__put_u(t, h->block_bytes);
    aios__put_z(t, ", \"blocks\": ");
    aios__put_u(t, h->n_blocks);
    aios__put_z(t, ", \"order\": \"frequency and use: prefetch in this order\", \"tensors\": [   ");
    return t->n;
}
/* One block's rows, as they will lie in the file, in work; gives its bytes. */
static uint64_t aios__art_fill(aios__art_writer *w, const aios__tensor *t, int32_t layout,
                               uint64_t row0, uint64_t n_rows, char *out, char *tmp) {
    uint64_t panel = aiosk_layout_bytes((int32_t)t->type, AIOSK_PANELS, 16, t->n[0]);
    const aios_io *io = &w->m->io[t->part];
    if (layout == AIOSK_ROWS) {
        w->st = aios__io_read(io, t->off + row0 * t->row_bytes, out, n_rows * t->row_bytes, w->err);
        return n_rows * t->row_bytes;
    }
    for (uint64_t i = 0; i < n_rows && !w->st; i += 16) {
        uint64_t k = aios__min_u64(16, n_rows - i);
        w->st =
            aios__io_read(io, t->off + (row0 + i) * t->row_bytes, tmp, k * t->row_bytes, w->err);
        if (!w->st)
            aiosk_pack_panel((int32_t)t->type, tmp, (int32_t)k, t->n[0], out + i / 16 * panel);
    }
    return (n_rows + 15) / 16 * panel;
}
enum { AIOS__ART_LEAST = 65536, AIOS__ART_MOST = 1 << 20 };
static uint32_t aios__art_block_size(uint64_t asked) {
    if (asked == 0) return 256 * 1024;
    return asked < AIOS__ART_LEAST  ? (uint32_t)AIOS__ART_LEAST
           : asked > AIOS__ART_MOST ? (uint32_t)AIOS__ART_MOST
                                    : (uint32_t)asked;
}

AIOS_API uint64_t aios_artifact_work_bytes(const aios_model *m, uint64_t block_bytes) {
    uint64_t most = 0;
    if (!m || !m->arch) return 0;
    for (uint32_t i = 0; i < m->gguf.n_tensors; i++) {
        const aios__tensor *t = &m->gguf.tensor[i];
        uint64_t n = (aios__art_block_rows(t, aios__art_block_size(block_bytes)) + 15) / 16 * 16 *
                     t->row_bytes;
        if (n + 16 * t->row_bytes > most) most = n + 16 * t->row_bytes;
    }
    return aios__round_up(most, 64) + 4096;
}
AIOS_API aios_status aios_artifact_write(const aios_model *m, uint64_t block_bytes,
                                         aios_write_fn write, void *user, void *work,
                                         uint64_t work_bytes, aios_progress_fn progress,
                                         void *progress_user, aios_error *err) {
    aios__art_writer w;
    aios__art_tensor a;
    aios__text text;
    uint64_t done = 0, tensors_sum = AIOS__ART_SEED, end;
    uint32_t at, block = 0;
    int32_t id, layout;
    char line[512];
    aios__clear(err);
    if (!m || !m->arch || !write || !work)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "aios_artifact_write: an argument is NULL, or the model has no weights");
    if (work_bytes < aios_artifact_work_bytes(m, block_bytes))
        return aios__fail2(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                           aios_artifact_work_bytes(m, block_bytes), work_bytes,
                           "aios_artifact_write needs % bytes to work in, not %",
                           aios__u(aios_artifact_work_bytes(m, block_bytes)), aios__u(work_bytes));
    memset(&w, 0, sizeof w);
    w.m = m;
    w.write = write;
    w.user = user;
    w.work = (char *)work;
    w.work_bytes = work_bytes;
    w.err = err;
    memcpy(w.h.magic, AIOS__ART_MAGIC, 8);
    w.h.version = AIOS__ART_VERSION;
    w.h.n_tensors = m->gguf.n_tensors;
    w.h.block_bytes = aios__art_block_size(block_bytes);
    w.h.model_hash = m->gguf.hash;
    if ((w.st = aios__art_probe(m, &w.h.model_probe, err)) != 0) return w.st;
    memset(w.work, 0, AIOS__ART_PAGE);
    /* what may be there already is no artifact any more */
    aios__art_put(&w, 0, w.work, AIOS__ART_PAGE);
    /* pass 0 counts blocks; pass 1 the manifest, whose numbers depend on where the data begins;
     * passes 2 and 3 write its two lists */
    for (int32_t pass = 0; pass < 4; pass++) {
        if (pass == 1) {
            w.h.tensors_off = AIOS__ART_PAGE;
            w.h.blocks_off = w.h.tensors_off + (uint64_t)w.h.n_tensors * sizeof(aios__art_tensor);
            w.h.manifest_off = w.h.blocks_off + (uint64_t)w.h.n_blocks * sizeof(aios__art_block);
            w.h.manifest_bytes = aios__art_head(&w.h, m, line, sizeof line, &text) + 32;
            /* no two lines are longer */
            for (at = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;)
                w.h.manifest_bytes += m->gguf.tensor[id].name.n * 4 + 512;
            w.h.data_off = aios__round_up(w.h.manifest_off + w.h.manifest_bytes, AIOS__ART_PAGE);
        }
        if (pass == 2) {
            w.manifest = w.h.manifest_off;
            aios__art_head(&w.h, m, line, sizeof line, &text);
            aios__art_say(&w, &text);
        }
        if (pass == 3) {
            text.p = line;
            text.cap = sizeof line;
            text.n = 0;
            aios__put_z(&text, "], \"layout\": [   ");
            aios__art_say(&w, &text);
        }
        w.data = w.h.data_off;
        block = 0;
        for (at = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;) {
            const aios__tensor *t = &m->gguf.tensor[id];
            uint64_t rows = aios__art_block_rows(t, w.h.block_bytes);
            a.n_bytes = aios__art_bytes(m, (uint32_t)id, &layout);
            a.off = w.data;
            a.type = t->type;
            a.layout = (uint32_t)layout;
            a.first_block = block;
            a.n_blocks = aios__art_n_blocks(t, rows);
            w.data = aios__round_up(w.data + a.n_bytes, AIOS__ART_PAGE);
            block += a.n_blocks;
            if (pass < 2) continue;
            if (pass == 2)
                aios__art_line(m, id, &a, w.work, w.work_bytes, &text);
            else
                aios__art_layout(m, id, &a, w.work, w.work_bytes, &text);
            if (a.first_block == 0) w.work[0] = ' ';
            aios__art_say(&w, &text);
        }
        w.h.n_blocks = block;
        w.h.file_bytes = w.data;
    }
    aios__art_put(&w, w.manifest, "]}\n", 3);
    w.manifest += 3;
    w.h.manifest_bytes = w.manifest - w.h.manifest_off;
    /* tables: tensors in the model's order, each found by walking the order of use */
    for (uint32_t i = 0; i < m->gguf.n_tensors && !w.st; i++) {
        uint64_t off = w.h.data_off;
        memset(&a, 0, sizeof a);
        for (at = block = 0, id = -1; (id = aios__art_order(m, &at, id)) >= 0;) {
            uint64_t n = aios__art_bytes(m, (uint32_t)id, &layout),
                     rows = aios__art_block_rows(&m->gguf.tensor[id], w.h.block_bytes);
            uint32_t k = aios__art_n_blocks(&m->gguf.tensor[id], rows);
            if ((uint32_t)id == i) {
                a.off = off;
                a.n_bytes = n;
                a.type = m->gguf.tensor[id].type;
                a.layout = (uint32_t)layout;
                a.first_block = block;
                a.n_blocks = k;
                break;
            }
            off = aios__round_up(off + n, AIOS__ART_PAGE);
            block += k;
        }
        aios__art_put(&w, w.h.tensors_off + (uint64_t)i * sizeof a, &a, sizeof a);
        tensors_sum = aios__art_sum(tensors_sum, &a, sizeof a);
    }
    uint64_t blocks_sum = AIOS__ART_SEED;
    end = w.data = w.h.data_off;
    for (at = block = 0, id = -1; !w.st && (id = aios__art_order(m, &at, id)) >= 0;) {
        const aios__tensor *t = &m->gguf.tensor[id];
        uint64_t rows = aios__art_block_rows(t, w.h.block_bytes), r, off = w.data;
        aios__art_block b;
        char *tmp = w.work + aios__round_up((rows + 15) / 16 * 16 * t->row_bytes, 64);
        w.data = aios__round_up(w.data + aios__art_bytes(m, (uint32_t)id, &layout), AIOS__ART_PAGE);
        for (r = 0; r < t->n[1] * t->n[2] && !w.st; r += b.n_rows, block++) {
            memset(&b, 0, sizeof b);
            b.off = off;
            b.tensor = (uint32_t)id;
            b.row0 = (uint32_t)r;
            b.n_rows = (uint32_t)aios__min_u64(rows, t->n[1] - r % t->n[1]);
            b.n_bytes = (uint32_t)aios__art_fill(&w, t, layout, r, b.n_rows, w.work, tmp);
            if (w.st) break;
            b.sum = aios__art_sum(AIOS__ART_SEED, w.work, b.n_bytes);
            aios__art_put(&w, off, w.work, b.n_bytes);
            aios__art_put(&w, w.h.blocks_off + (uint64_t)block * sizeof b, &b, sizeof b);
            blocks_sum = aios__art_sum(blocks_sum, &b, sizeof b);
            end = off += b.n_bytes;
            done += b.n_bytes;
            if (!w.st && progress && progress(progress_user, done, w.h.file_bytes - w.h.data_off))
                w.st = aios__fail(err, AIOS_ERR_CANCELLED, AIOS__NO_OFF,
                                  "stopped by the progress callback");
        }
    }
    w.h.tensors_sum = tensors_sum;
    w.h.blocks_sum = blocks_sum;
    w.h.sum = aios__art_sum(AIOS__ART_SEED, &w.h, sizeof w.h - 8);
    memset(w.work, 0, AIOS__ART_PAGE);
    aios__art_put(&w, end, w.work, w.h.file_bytes - end); /* the last page is whole */
    memcpy(w.work, &w.h, sizeof w.h);
    aios__art_put(&w, 0, w.work, AIOS__ART_PAGE); /* last: a file that was not finished is none */
    return w.st;
}
