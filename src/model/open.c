/* open.c: opening a model: the parts of its file, one block of memory, the parser, the
 * vocabulary, the roles of its tensors, and the artifact where there is one. */

/* Takes the model's memory from a bump; counts when its base is NULL. n_layer is what the file
 * says, unchecked yet, but never more than there are tensors. */
static aios_model *aios__model_layout(aios__bump *b, const aios__gguf_size *size, uint32_t n_parts,
                                      aios_model *into) {
    aios_model *m = (aios_model *)aios__take(b, sizeof(aios_model), 64);
    aios_model *x = m ? m : into;
    /* a layer has two tensors at the least, so this is enough for any file that will not be
     * refused */
    uint64_t n_tensors = size->n_tensors, n_layer = n_tensors / 2 + 1,
             n_nodes = aios__min_u64(n_tensors * 5 / 2 + 16, AIOS__MAX_NODES);
    x->io = (aios_io *)aios__take(b, (n_parts + 1) * sizeof(aios_io), 8);
    x->place = (aios__place *)aios__take(b, n_tensors * sizeof(aios__place), 8);
    x->layer = (aios__ref(*)[AIOS__N_LAYER_ROLES])aios__take(b, n_layer * sizeof *x->layer, 8);
    x->hp.layer = (aios__hp_layer *)aios__take(b, n_layer * sizeof *x->hp.layer, 8);
    /* a layer of t tensors makes at most 2.25 t nodes, and as many values */
    x->graph.max_nodes = x->graph.max_values = (uint32_t)n_nodes;
    x->graph.node = (aios__node *)aios__take(b, n_nodes * sizeof(aios__node), 8);
    x->graph.value = (aios__value *)aios__take(b, n_nodes * sizeof(aios__value), 8);
    return m;
}

enum { AIOS__MAX_PARTS = 256 };

/* A model being opened: the caller's desc made whole, and its parts, ours or the caller's. */
typedef struct aios__opening {
    aios_io io[AIOS__MAX_PARTS];
    uint32_t n_parts, own_files;
    aios_limits lim;
    aios_model_desc d;
} aios__opening;

static void aios__parts_close(aios_io *io, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) aios__file_close(&io[i]);
}
/* Opens path and, when that is the first part of a split file, all the others. On failure none
 * stays open, but for what is only to be looked at: then this file alone. */
static aios_status aios__parts_open(aios__opening *o, aios_error *err) {
    char name[1024];
    uint32_t n_open = 1;
    uint64_t no;
    aios_status st = aios__file_open(o->d.path, &o->io[0], err);
    if (st) return st;
    st = aios__gguf_split_count(&o->io[0], &o->lim, &o->n_parts, &no, err);
    if (!st && no && no < o->n_parts)
        st = aios__fail2(err, AIOS_ERR_FORMAT, AIOS__NO_OFF, 0, no,
                         "the file is part % of % of a split model: the first is to be opened",
                         aios__u(no + 1), aios__u(o->n_parts));
    if (!st && o->n_parts > o->lim.max_parts)
        st = aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts,
                         "% parts are more than the limit of %", aios__u(o->n_parts),
                         aios__u(o->lim.max_parts));
    for (uint32_t i = 1; !st && i < o->n_parts; i++) {
        if (!aios__split_name(o->d.path, i, o->n_parts, name, sizeof name))
            st = aios__fail2(
                err, AIOS_ERR_FORMAT, AIOS__NO_OFF, o->n_parts, 1,
                "the file is one of % parts, but its name does not end in -00001-of-N.gguf",
                aios__u(o->n_parts), aios__u(0));
        else
            st = aios__file_open(name, &o->io[i], err);
        n_open += !st;
    }
    if (st && o->d.flags & AIOS_MODEL_INSPECT) {
        aios__parts_close(o->io + 1, n_open - 1);
        aios__clear(err);
        o->n_parts = n_open = 1;
        st = AIOS_OK;
    }
    if (st)
        aios__parts_close(o->io, n_open);
    else
        o->own_files = 1;
    return st;
}

/* Checks the desc, fills in defaults, opens or copies the parts. What is open must be closed by
 * the caller. */
static aios_status aios__opening_start(aios__opening *o, const aios_model_desc *d,
                                       aios_error *err) {
    aios_status st;
    uint32_t i;
    const char *p;
    memset(o, 0, sizeof *o);
    aios__clear(err);
    if ((st = aios__desc_copy(AIOS__ID_aios_model_desc, &o->d, d, err)) != 0) return st;
    if ((st = aios__flags(o->d.flags, AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT, "aios_model_desc",
                          err)) != 0)
        return st;
    if ((st = aios__unused(o->d.reserved, "aios_model_desc", err)) != 0) return st;
    if (o->d.limits && (st = aios__desc_copy(AIOS__ID_aios_limits, &o->lim, o->d.limits, err)) != 0)
        return st;
    o->lim = aios__limits_of(&o->lim);
    if (o->lim.max_parts > AIOS__MAX_PARTS) o->lim.max_parts = AIOS__MAX_PARTS;
    o->n_parts = 1;
    if (!o->d.io) {
        if (!o->d.path)
            return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_model_desc needs io or path");
        return aios__parts_open(o, err);
    }
    if (o->d.n_parts) o->n_parts = o->d.n_parts;
    if (o->n_parts > o->lim.max_parts)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, o->lim.max_parts, o->n_parts,
                           "% parts are more than the limit of %", aios__u(o->n_parts),
                           aios__u(o->lim.max_parts));
    /* the caller's sizeof */
    for (i = 0, p = (const char *)o->d.io; i < o->n_parts; i++, p += o->d.io->struct_size) {
        if ((st = aios__desc_copy(AIOS__ID_aios_io, &o->io[i], p, err)) != 0) return st;
        if ((st = aios__flags(o->io[i].flags, AIOS_IO_ANY_OFFSET, "aios_io", err)) != 0) return st;
        if (!o->io[i].read)
            return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_io.read is NULL");
    }
    return AIOS_OK;
}
static void aios__opening_end(aios__opening *o) {
    if (o->own_files) aios__parts_close(o->io, o->n_parts);
}

/* Reads the headers once with no memory but the stack, and lays everything out. */
static aios_status aios__model_size(aios__opening *o, aios__gguf_size *size, uint64_t *bytes,
                                    aios_error *err) {
    aios__bump b = { NULL, 0 };
    aios_model tmp;
    aios_status st =
        aios__gguf_measure(o->io, o->n_parts, &o->lim, o->d.flags & AIOS_MODEL_INSPECT, size, err);
    if (st) return st;
    memset(&tmp, 0, sizeof tmp);
    aios__model_layout(&b, size, o->n_parts, &tmp);
    if ((st = aios__gguf_load(&tmp.gguf, &b, o->io, o->n_parts, &o->lim,
                              o->d.flags & AIOS_MODEL_INSPECT, size, err)) != 0)
        return st;
    if ((st = aios__vocab_load(&tmp.vocab, &b, NULL, size, NULL, err)) != 0) return st;
    *bytes = aios__round_up(b.used, 64);
    return AIOS_OK;
}

static void aios__req_fill(aios_mem_req *r, uint32_t kind, uint32_t tier, uint64_t bytes) {
    memset(r, 0, sizeof *r);
    r->struct_size = (uint32_t)sizeof *r;
    r->kind = kind;
    r->bytes = bytes;
    r->align = tier == AIOS_TIER_STREAM ? 4096 : 64;
    r->tier = tier;
    r->flags = bytes >= ((uint64_t)32 << 20) ? (uint32_t)AIOS_MEM_HUGE : 0;
    r->numa_node = -1;
    r->layer = -1;
}

/* The arch row, hyper-parameters and roles of a loaded directory. */
static aios_status aios__model_understand(aios_model *m, aios_error *err) {
    const aios__key *k = aios__key_find(&m->gguf, "general.architecture");
    aios_status st;
    if (m->flags & AIOS_MODEL_INSPECT && !aios__key_str(k, &m->arch_name)) return AIOS_OK;
    if (!k) {
        if (m->flags & AIOS_MODEL_VOCAB_ONLY) return AIOS_OK;
        return aios__fail(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "key general.architecture is missing");
    }
    if (!aios__key_str(k, &m->arch_name))
        return aios__fail(err, AIOS_ERR_MODEL, k->off, "key general.architecture must be a string");
    memcpy(m->arch_z, m->arch_name.p, (size_t)aios__min_u64(m->arch_name.n, sizeof m->arch_z - 1));
    if (m->flags & (AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT)) return AIOS_OK;
    m->arch = aios__arch_find(m->arch_name);
    if (!m->arch)
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, k->off,
                           "the model family '%' is not known to this version",
                           aios__s(m->arch_name));
    if ((st = aios__hp_load(m, err)) != 0) return st;
    if ((st = aios__roles_load(m, err)) != 0) return st;
    return aios__graph_draw(m, err);
}

AIOS_API aios_status aios_model_measure(const aios_model_desc *d, aios_mem_req *req,
                                        aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_mem_req r;
    uint64_t bytes = 0;
    aios_status st = aios__opening_start(&o, d, err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    aios__opening_end(&o);
    if (st) return st;
    aios__req_fill(&r, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
    return aios__desc_fill(AIOS__ID_aios_mem_req, req, &r)
               ? aios__fail(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                            "req is NULL or was not initialised: call aios_mem_req_init first")
               : AIOS_OK;
}

/* The artifact, where the desc names one; checked, and known to the tensors' places. */
static aios_status aios__artifact_take(aios_model *m, const aios_model_desc *d, aios_error *err) {
    aios_io *io = &m->io[m->n_parts];
    aios_status st = AIOS_OK;
    if (d->artifact) {
        if ((st = aios__desc_copy(AIOS__ID_aios_io, io, d->artifact, err)) != 0 ||
            (st = aios__flags(io->flags, AIOS_IO_ANY_OFFSET, "aios_io", err)) != 0)
            return st;
        if (!io->read) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_io.read is NULL");
    } else if (d->artifact_path) {
        if ((st = aios__file_open(d->artifact_path, io, err)) != 0) return st;
        m->own_artifact = 1;
    } else
        return AIOS_OK;
    return aios__art_open(m, io, err);
}

AIOS_API aios_status aios_model_open(const aios_model_desc *d, aios_model **out, aios_error *err) {
    aios__opening o;
    aios__gguf_size size;
    aios_allocator mem;
    aios_mem_req req;
    aios__bump b = { NULL, 0 };
    void *block = NULL;
    uint64_t bytes = 0;
    uint32_t i;
    if (!out) return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "out is NULL");
    *out = NULL;
    aios_status st = aios__opening_start(&o, d, err);
    if (!st) st = aios__allocator_copy(&mem, o.d.mem, "aios_model_desc", err);
    if (!st) st = aios__model_size(&o, &size, &bytes, err);
    if (!st) {
        aios__req_fill(&req, AIOS_MEM_META, AIOS_TIER_HOT, bytes);
        st = aios__alloc(&mem, &req, "model's header", &block, err);
        b.base = (char *)block;
    }
    if (st) {
        aios__opening_end(&o);
        return st;
    }
    memset(b.base, 0, sizeof(aios_model));
    aios_model *m = aios__model_layout(&b, &size, o.n_parts, NULL);
    m->log.fn = o.d.log;
    m->log.user = o.d.log_user;
    m->mem = mem;
    m->req = req;
    m->n_parts = o.n_parts;
    m->own_files = o.own_files;
    m->flags = o.d.flags;
    memcpy(m->io, o.io, o.n_parts * sizeof *o.io);
    memset(m->place, 0, size.n_tensors * sizeof *m->place);
    memset(&m->io[m->n_parts], 0, sizeof *m->io);
    st = aios__gguf_load(&m->gguf, &b, m->io, m->n_parts, &o.lim, o.d.flags & AIOS_MODEL_INSPECT,
                         &size, err);
    if (!st && (st = aios__vocab_load(&m->vocab, &b, &m->gguf, &size, &m->log, err)) != 0 &&
        o.d.flags & AIOS_MODEL_INSPECT) {
        aios__vocab_clear(&m->vocab);
        aios__clear(err);
        st = AIOS_OK;
    }
    uint64_t fp = aiosk_fp_begin(); /* the host's rounding mode is not ours */
    if (!st) st = aios__model_understand(m, err);
    aiosk_fp_end(fp);
    if (st) {
        aios_model_free(m);
        return st;
    }
    if (!(o.d.flags & (AIOS_MODEL_VOCAB_ONLY | AIOS_MODEL_INSPECT)) &&
        (st = aios__artifact_take(m, &o.d, err)) != 0) {
        aios_model_free(m);
        return st;
    }
    for (i = 0; i < m->gguf.n_tensors; i++)
        m->place[i].can_map =
            (uint8_t)((aios__io_map(&m->io[m->gguf.tensor[i].part], m->gguf.tensor[i].off,
                                    m->gguf.tensor[i].n_bytes)
                           ? AIOS__MAP_MODEL
                           : 0) |
                      (m->place[i].art_off &&
                               aios__io_map(&m->io[m->n_parts], m->place[i].art_off, 1)
                           ? AIOS__MAP_ARTIFACT
                           : 0));
    for (i = 0; i < m->gguf.n_tensors; i++) /* experts of one matrix are laid out alike */
        if (m->place[i].split && m->place[i].expert == 0) {
            uint8_t all = m->place[i].can_map;
            int32_t k;
            for (k = (int32_t)i; k >= 0; k = m->place[k].next) all &= m->place[k].can_map;
            for (k = (int32_t)i; k >= 0; k = m->place[k].next) m->place[k].can_map = all;
        }
    for (i = 0, m->async = 1; i < m->n_parts + (m->io[m->n_parts].read != NULL); i++)
        m->async &= m->io[i].submit && m->io[i].wait;
    if (o.d.log) {
        aios_error e;
        /* runs all the same, on token ids */
        if (aios__vocab_encodes(&m->vocab, &e)) o.d.log(o.d.log_user, 1, e.text);
    }
    *out = m;
    return AIOS_OK;
}

AIOS_API void aios_model_free(aios_model *m) {
    if (!m) return;
    if (m->n_contexts) {
        m->dying = 1;
        return;
    }
    aios_allocator mem = m->mem;
    aios_mem_req req = m->req;
    for (int32_t i = 1; i >= 0; i--)
        if (m->weights[i]) mem.free(mem.user, m->weights[i], &m->weights_req[i]);
    if (m->own_artifact) aios__file_close(&m->io[m->n_parts]);
    if (m->own_files) aios__parts_close(m->io, m->n_parts);
    mem.free(mem.user, m, &req);
}
