/* model.c: the tensors of a model by role, and what programs ask of an open one. A tensor that
 * could not be computed with is refused here by name. */

AIOS__SMALL_BEGIN
/* ---- tensors ---- */
/* A dimension of a layer's tensors, or, with l -1, of the model's own. The bounds of keys and
 * aios__layer_check keep all of them below 2^31. */
static int32_t aios__role_dim(const aios_model *m, char c, int32_t l) {
    const aios__hp_layer *p = &m->hp.layer[l < 0 ? 0 : l];
    int32_t q = p->n_head * p->hd_k, k = p->n_head_kv * p->hd_k, v = p->n_head_kv * p->hd_v;
    switch (c) {
    case 'E': return m->hp.n_embd;
    case 'W': return m->hp.n_vocab;
    case 'C': return m->hp.n_ctx_train;
    case 'R': return m->hp.rope[0].n_rot / 2;
    case 'Q': return q;
    case 'K': return k;
    case 'V': return v;
    case 'T': return q + k + v;
    case 'O': return p->n_head * p->hd_v;
    case 'F': return p->n_ff;
    /* gate and up in one */
    case 'U':
        return p->n_ff *
               (m->arch->flags & AIOS__GATED && m->layer[l][AIOS__ROLE_FFN_GATE].w < 0 ? 2 : 1);
    case 'M': return m->arch->flags & AIOS__QK_NORM_ALL ? q : p->hd_k;
    case 'N': return m->arch->flags & AIOS__QK_NORM_ALL ? k : p->hd_k;
    case 'X': return p->n_expert;
    case 'D': return p->n_ff_exp;
    case 'S': return p->n_ff_shared ? p->n_ff_shared : p->n_ff;
    default: return 1;
    }
}
static aios_status aios__shape_check(const aios_model *m, int32_t i, uint64_t in, uint64_t out,
                                     uint64_t n, aios_error *err) {
    const aios__tensor *t = &m->gguf.tensor[i];
    if (t->n[0] != in)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, in, t->n[0],
                           "tensor % has rows of %, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[0]));
    if (n != 1 && (t->n[2] != n || t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, n, t->n[2],
                           "tensor % has % matrices, which does not fit the model",
                           aios__s(t->name), aios__u(t->n[2]));
    if (t->n[1] != out || (n == 1 && t->n[2] * t->n[3] != 1))
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, out, t->n[1],
                           "tensor % has % rows, which does not fit the model", aios__s(t->name),
                           aios__u(t->n[1]));
    return AIOS_OK;
}
/* The name of a role's tensor; expert -1: of all experts, "ffn_up_exps"; else of that one alone,
 * "ffn_up.3". */
static aios__str aios__role_name(char (*buf)[96], const char *prefix, const aios__role *r,
                                 int32_t expert, const char *suffix) {
    aios__str s;
    aios__text t;
    t.p = *buf;
    t.cap = sizeof *buf;
    t.n = 0;
    aios__put_z(&t, prefix);
    aios__put(&t, r->name, strlen(r->name) - (expert < 0 ? 0 : sizeof "_exps" - 1));
    if (expert >= 0) {
        aios__put_z(&t, ".");
        aios__put_i(&t, expert);
    }
    aios__put_z(&t, suffix);
    s.p = *buf;
    s.n = t.n;
    return s;
}
/* Finds one role's tensors and counts them. prefix is "" or "blk.N.". */
static void aios__role_find(aios_model *m, const aios__role *r, const char *prefix, aios__ref *ref,
                            uint32_t *n_found) {
    for (int32_t part = 0; part < 2; part++) {
        char name[96];
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, r, -1, part ? ".bias" : ".weight"));
        *(part ? &ref->b : &ref->w) = x ? (int32_t)(x - m->gguf.tensor) : -1;
        if (x) {
            aios__place *p = &m->place[x - m->gguf.tensor];
            (*n_found)++;
            p->experts = !part && r->kind == AIOS__IS_EXPERTS;
            p->use = (uint8_t)(part ? AIOS__IS_VECTOR : p->experts ? AIOS__IS_MATRIX : r->kind);
        }
    }
}
/* The same for a role of experts of which each has a tensor, as files of 2023 and early 2024
 * have them: all must be there, or none. Looks for the others even when the first is missing, so
 * that it is the one that is named. */
static aios_status aios__experts_find(aios_model *m, int32_t l, int32_t role, const char *prefix,
                                      uint32_t *n_found, aios_error *err) {
    char name[96];
    int32_t before = -1, none = -1; /* none: the first that is missing */
    for (int32_t e = 0; e < m->hp.layer[l].n_expert; e++) {
        const aios__tensor *x = aios__tensor_find(
            &m->gguf, aios__role_name(&name, prefix, &aios__layer_role[role], e, ".weight"));
        aios__place *p;
        if (!x && none < 0) none = e;
        if (!x) continue;
        int32_t i = (int32_t)(x - m->gguf.tensor);
        p = &m->place[i];
        p->use = AIOS__IS_MATRIX;
        p->experts = p->split = 1;
        p->expert = (uint16_t)e;
        p->section = AIOS__SECTION_FFN;
        p->layer = (int16_t)l;
        if (before < 0)
            m->layer[l][role].w = i;
        else
            m->place[before].next = i;
        before = i;
        m->n_split++;
        (*n_found)++;
    }
    if (before < 0 || none < 0) return AIOS_OK;
    return aios__fail1(
        err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor % is missing, while there are other experts",
        aios__s(aios__role_name(&name, prefix, &aios__layer_role[role], none, ".weight")));
}
/* Of a tensor's bytes, those that a token reads: all, or what n_used experts have of them.
 * Rounded so that the tensors of all experts together have it exactly. */
static uint64_t aios__token_share(const aios_model *m, uint32_t i, uint64_t n_bytes) {
    const aios__place *p = &m->place[i];
    if (!p->experts) return n_bytes;
    uint64_t n = (uint64_t)m->hp.layer[p->layer].n_expert;
    uint64_t used = (uint64_t)m->hp.layer[p->layer].n_used;
    uint64_t rest = p->split ? n_bytes % n * used : 0;
    return n_bytes / n * used + rest * (p->expert + 1u) / n - rest * p->expert / n;
}
static aios_status aios__missing(const aios__role *r, int32_t layer, aios_error *err) {
    if (layer < 0)
        return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "tensor %.weight is missing",
                           aios__z(r->name));
    return aios__fail2(err, AIOS_ERR_MODEL, AIOS__NO_OFF, 0, 0, "tensor blk.%.%.weight is missing",
                       aios__i(layer), aios__z(r->name));
}
/* Is this a tensor of a layer that runs? All that is not belongs to another part (of a picture
 * or of speech in the same file, of layers that guess tokens ahead) or to a table that early
 * files carry along. */
static int32_t aios__in_layer(const aios_model *m, aios__str name) {
    static const char rot[] = ".attn_rot_embd";
    uint64_t i = 4, l = 0, n = sizeof rot - 1;
    if (name.n < 6 || memcmp(name.p, "blk.", 4) != 0) return 0;
    for (; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && l < 1 << 20; i++)
        l = 10 * l + (uint64_t)(name.p[i] - '0');
    return l < (uint64_t)m->hp.n_layer &&
           !(name.n - i >= n && memcmp(name.p + i, rot, (size_t)n) == 0);
}
/* A tensor of a layer that the family's row has no place for would be left out of the sum:
 * better refused. */
static aios_status aios__no_place(const aios_model *m, const aios__tensor *t, aios_error *err) {
    return aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, 0,
                       "tensor % has no place in the family %", aios__s(t->name),
                       aios__s(m->arch_name));
}
/* Is everything there that must be, of the right shape, and nothing that has no place? layer -1
 * = the model's own roles. */
static aios_status aios__role_check(const aios_model *m, const aios__role *r, const aios__ref *ref,
                                    int32_t l, aios_error *err) {
    const aios__ref *layer = l < 0 ? NULL : m->layer[l];
    const aios__hp_layer *hp = &m->hp.layer[l < 0 ? 0 : l];
    uint64_t in = (uint64_t)aios__role_dim(m, r->in, l),
             out = (uint64_t)aios__role_dim(m, r->out, l);
    uint32_t has = m->arch->flags |
                   (layer && layer[AIOS__ROLE_ATTN_QKV].w >= 0 ? (uint32_t)AIOS__FUSED_QKV : 0);
    if (layer && hp->n_expert && layer[AIOS__ROLE_FFN_ROUTER].w >= 0)
        has |=
            (uint32_t)AIOS__ROUTED |
            (hp->n_ff_shared || layer[AIOS__ROLE_FFN_UP_SHEXP].w >= 0 ? (uint32_t)AIOS__SHARED : 0);
    int32_t place, i;
    aios_status st = AIOS_OK;
    place = (has & r->need) == r->need && !(has & r->not_with);
    if (ref->w < 0 && place && r->must) return aios__missing(r, l, err);
    for (i = ref->w; i >= 0 && !st; i = m->place[i].next) {
        const aios__tensor *t = &m->gguf.tensor[i];
        if (!place) return aios__no_place(m, t, err);
        st = aios__shape_check(
            m, i, in, out, m->place[i].experts && !m->place[i].split ? (uint64_t)hp->n_expert : 1,
            err);
        if (!st && r->kind == AIOS__IS_VECTOR &&
            aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a vector of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        if (!st && aiosk_type_info((int32_t)t->type)->family == AIOSK_RAW)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which no matrix can have", aios__s(t->name),
                             aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && !aiosk_multiplies((int32_t)t->type))
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is of type %, which this build leaves out (AIOSK_TYPES)",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
        else if (!st && t->type != m->gguf.tensor[ref->w].type)
            st = aios__fail2(
                err, AIOS_ERR_UNSUPPORTED, t->dir_off, m->gguf.tensor[ref->w].type, t->type,
                "tensor % is not of type %, as the experts before it are, which this version "
                "cannot run",
                aios__s(t->name),
                aios__z(aiosk_type_info((int32_t)m->gguf.tensor[ref->w].type)->name));
    }
    if (!st && ref->b >= 0) {
        const aios__tensor *t = &m->gguf.tensor[ref->b];
        int32_t may = r->kind == AIOS__IS_MATRIX || (r->kind == AIOS__IS_VECTOR && r->in == 'E' &&
                                                     m->arch->norm == AIOS__NORM_LAYER);
        if (ref->w < 0)
            return aios__fail1(err, AIOS_ERR_MODEL, t->dir_off, "tensor % has no weight to go with",
                               aios__s(t->name));
        if (!may) return aios__no_place(m, t, err);
        st = aios__shape_check(m, ref->b, r->kind == AIOS__IS_VECTOR ? in : out, 1, 1, err);
        if (!st && aiosk_type_info((int32_t)t->type)->family != AIOSK_FLT)
            st = aios__fail2(err, AIOS_ERR_UNSUPPORTED, t->dir_off, 0, t->type,
                             "tensor % is a bias of type %; f32, f16 or bf16 is due",
                             aios__s(t->name), aios__z(aiosk_type_info((int32_t)t->type)->name));
    }
    return st;
}
static aios_status aios__roles_load(aios_model *m, aios_error *err) {
    uint32_t n_found = 0, n_left = 0, i;

    aios_status st = AIOS_OK;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].next = -1;
    for (int32_t r = 0; r < AIOS__N_MODEL_ROLES; r++)
        aios__role_find(m, &aios__model_role[r], "", &m->role[r], &n_found);
    if (m->role[AIOS__ROLE_TOKEN_EMBD].w < 0)
        return aios__missing(&aios__model_role[AIOS__ROLE_TOKEN_EMBD], -1, err);
    const aios__tensor *t = &m->gguf.tensor[m->role[AIOS__ROLE_TOKEN_EMBD].w];
    if (t->n[1] > 1 << 28)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, 1 << 28, t->n[1],
                           "tensor % has % rows, more than a vocabulary can have", aios__s(t->name),
                           aios__u(t->n[1]));
    m->hp.n_vocab = (int32_t)t->n[1];
    if (aios__vocab_size(&m->vocab) && aios__vocab_size(&m->vocab) != (uint64_t)m->hp.n_vocab)
        return aios__fail2(err, AIOS_ERR_MODEL, t->dir_off, aios__vocab_size(&m->vocab), t->n[1],
                           "tensor % has % rows, another number than the tokenizer has tokens",
                           aios__s(t->name), aios__u(t->n[1]));
    for (int32_t r = 0; r < AIOS__N_MODEL_ROLES; r++)
        if ((st = aios__role_check(m, &aios__model_role[r], &m->role[r], -1, err)) != 0) return st;
    if ((m->role[AIOS__ROLE_ROPE_LONG].w < 0) != (m->role[AIOS__ROLE_ROPE_SHORT].w < 0))
        return aios__missing(
            &aios__model_role[m->role[AIOS__ROLE_ROPE_LONG].w < 0 ? AIOS__ROLE_ROPE_LONG
                                                                  : AIOS__ROLE_ROPE_SHORT],
            -1, err);
    /* tied: multiplied with too */
    if (m->role[AIOS__ROLE_OUTPUT].w < 0)
        m->place[m->role[AIOS__ROLE_TOKEN_EMBD].w].use = AIOS__IS_MATRIX;
    for (i = 0; i < m->gguf.n_tensors; i++) m->place[i].section = AIOS__SECTION_FIXED;
    m->place[m->role[m->role[AIOS__ROLE_OUTPUT].w >= 0 ? AIOS__ROLE_OUTPUT : AIOS__ROLE_TOKEN_EMBD]
                 .w]
        .section = AIOS__SECTION_OUT;

    for (int32_t l = 0; l < m->hp.n_layer; l++) {
        char prefix[24];
        aios__text x;
        x.p = prefix;
        x.cap = sizeof prefix;
        x.n = 0;
        aios__put_z(&x, "blk.");
        aios__put_i(&x, l);
        aios__put_z(&x, ".");
        for (int32_t r = 0; r < AIOS__N_LAYER_ROLES; r++)
            aios__role_find(m, &aios__layer_role[r], prefix, &m->layer[l][r], &n_found);
        for (int32_t r = AIOS__ROLE_FFN_GATE_EXPS;
             r <= AIOS__ROLE_FFN_DOWN_EXPS && m->hp.layer[l].n_expert &&
             m->layer[l][AIOS__ROLE_FFN_ROUTER].w >= 0;
             r++)
            if (m->layer[l][r].w < 0 &&
                (st = aios__experts_find(m, l, r, prefix, &n_found, err)) != 0)
                return st;
        for (int32_t r = 0; r < AIOS__N_LAYER_ROLES; r++) {
            if ((st = aios__role_check(m, &aios__layer_role[r], &m->layer[l][r], l, err)) != 0)
                return st;
            if (m->layer[l][r].w < 0 || aios__layer_role[r].kind == AIOS__IS_VECTOR) continue;
            /* a router is small, and everything waits for it */
            m->place[m->layer[l][r].w].section =
                r == AIOS__ROLE_FFN_ROUTER || r == AIOS__ROLE_FFN_SHARED ? AIOS__SECTION_FIXED
                : r < AIOS__ROLE_FFN_NORM                                ? AIOS__SECTION_ATTN
                                                                         : AIOS__SECTION_FFN;
            m->place[m->layer[l][r].w].layer = (int16_t)l;
        }
    }
    for (i = 0, t = NULL; n_found != m->gguf.n_tensors && i < m->gguf.n_tensors; i++) {
        if (m->place[i].use) continue;
        if (aios__in_layer(m, m->gguf.tensor[i].name))
            return aios__no_place(m, &m->gguf.tensor[i], err);
        t = &m->gguf.tensor[i];
        n_left++;
    }
    if (t)
        aios__note2(&m->log, "% tensors are no part of the model and are left alone, % among them",
                    aios__u(n_left), aios__s(t->name));
    return AIOS_OK;
}

/* ---- what the model is ---- */
AIOS_API aios_status aios_model_get_info(const aios_model *m, aios_model_info *out) {
    aios_model_info i;
    const aios__hp_layer *first = m && m->hp.n_layer ? m->hp.layer : NULL;
    if (!m) return AIOS_ERR_ARG;
    memset(&i, 0, sizeof i);
    i.arch = m->arch_z;
    i.n_params = m->gguf.n_params;
    i.tensor_bytes = m->gguf.tensor_bytes;
    i.header_bytes = m->gguf.header_bytes;
    i.n_tensors = m->gguf.n_tensors;
    i.n_keys = m->gguf.n_keys;
    i.gguf_version = (int32_t)m->gguf.version;
    i.n_layer = m->hp.n_layer;
    i.n_embd = m->hp.n_embd;
    if (first) {
        i.n_head = first->n_head;
        i.n_head_kv = first->n_head_kv;
        i.head_dim_k = first->hd_k;
        i.head_dim_v = first->hd_v;
        i.n_ff = first->n_ff;
        i.n_expert = first->n_expert;
        i.n_expert_used = first->n_used;
    }
    i.n_vocab = m->hp.n_vocab;
    i.n_ctx_train = m->hp.n_ctx_train;
    aios__vocab_info(&m->vocab, &i);
    return aios__desc_fill(AIOS__ID_aios_model_info, out, &i);
}
AIOS_API aios_status aios_model_get_tensor(const aios_model *m, uint32_t i, aios_tensor_info *out) {
    aios_tensor_info x;
    if (!m || i >= m->gguf.n_tensors) return AIOS_ERR_ARG;
    const aios__tensor *t = &m->gguf.tensor[i];
    memset(&x, 0, sizeof x);
    x.type = t->type;
    memcpy(x.name, t->name.p, (size_t)aios__min_u64(t->name.n, sizeof x.name - 1));
    memcpy(x.n, t->n, sizeof x.n);
    x.file_offset = t->off;
    x.n_bytes = t->n_bytes;
    x.n_dims = t->n_dims;
    x.part = t->part;
    return aios__desc_fill(AIOS__ID_aios_tensor_info, out, &x);
}

static void aios__put_item(aios__text *t, const aios__key *k, uint64_t i, const uint8_t **next) {
    uint64_t u;
    double f;
    if (k->type == AIOS__STR) {
        aios__str s = aios__key_next_str(next);
        aios__put(t, s.p, s.n);
    } else if (k->type == AIOS__F32 || k->type == AIOS__F64) {
        if (aios__key_item_f64(k, i, &f)) aios__put_f(t, f);
    } else if (k->type == AIOS__BOOL)
        aios__put_z(t, k->p[i] ? "true" : "false");
    else if (aios__key_item_u64(k, i, &u))
        aios__put_u(t, u);
    else if (aios__key_item_f64(k, i, &f))
        aios__put_f(t, f); /* negative whole numbers */
}
AIOS_API aios_status aios_model_get_key(const aios_model *m, uint32_t i, char *name,
                                        uint64_t name_bytes, char *type, uint64_t type_bytes,
                                        char *value, uint64_t value_bytes) {
    static const char *const types[] = { "u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                         "bool", "str", "arr", "u64", "i64", "f64" };

    aios__text t;
    if (!m || i >= m->gguf.n_keys || !name || !type || !value || !name_bytes || !type_bytes ||
        !value_bytes)
        return AIOS_ERR_ARG;
    const aios__key *k = &m->gguf.key[i];
    const uint8_t *next = k->p;
    t.p = name;
    t.cap = name_bytes;
    t.n = 0;
    name[0] = 0;
    aios__put(&t, k->name.p, k->name.n);
    t.p = type;
    t.cap = type_bytes;
    t.n = 0;
    if (k->is_array) aios__put_z(&t, "arr[");
    aios__put_z(&t, types[k->type]);
    if (k->is_array) aios__put_z(&t, "]");
    t.p = value;
    t.cap = value_bytes;
    t.n = 0;
    value[0] = 0;
    if (k->is_array) {
        aios__put_u(&t, k->n);
        aios__put_z(&t, " items: ");
    }
    if (k->type == AIOS__ARR) return aios__put_z(&t, "arrays"), AIOS_OK;
    for (uint64_t j = 0; j < k->n && j < 8; j++) {
        if (j) aios__put_z(&t, ", ");
        aios__put_item(&t, k, j, &next);
    }
    if (k->n > 8) aios__put_z(&t, ", ...");
    return AIOS_OK;
}

/* ---- keys for programs ---- */
static const aios__key *aios__key_at(const aios_model *m, int64_t key) {
    return m && key >= 0 && key < (int64_t)m->gguf.n_keys ? &m->gguf.key[key] : NULL;
}
AIOS_API int64_t aios_key_find(const aios_model *m, const char *name) {
    const aios__key *k = m && name ? aios__key_find(&m->gguf, name) : NULL;
    return k ? k - m->gguf.key : -1;
}
AIOS_API aios_status aios_key_get(const aios_model *m, int64_t key, aios_key_info *out) {
    const aios__key *k = aios__key_at(m, key);
    aios_key_info x;
    if (!k) return AIOS_ERR_ARG;
    memset(&x, 0, sizeof x);
    x.type = k->is_array ? (uint32_t)AIOS_KEY_ARR : k->type;
    x.item_type = k->type;
    x.n_items = k->n;
    x.name = k->name.p;
    x.name_bytes = (uint32_t)k->name.n;
    x.data = k->p;
    x.n_bytes = k->n_bytes;
    return aios__desc_fill(AIOS__ID_aios_key_info, out, &x);
}
/* One getter: what it reads, or why it does not. */
#define AIOS__KEY_GET(what, T)                                                            \
    AIOS_API aios_status aios_key_##what(const aios_model *m, int64_t key, uint64_t item, \
                                         T *out) {                                        \
        const aios__key *k = aios__key_at(m, key);                                        \
        if (!k || !out || item >= k->n) return AIOS_ERR_ARG;                              \
        return aios__key_item_##what(k, item, out) ? AIOS_OK : AIOS_ERR_MODEL;            \
    }
AIOS__KEY_GET(u64, uint64_t)
AIOS__KEY_GET(i64, int64_t)
AIOS__KEY_GET(f64, double)
AIOS__KEY_GET(bool, int32_t)
#undef AIOS__KEY_GET
AIOS_API int32_t aios_key_next_str(const aios_model *m, int64_t key, uint64_t *at,
                                   const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);

    uint64_t n;
    if (!k || !at || !text || !n_bytes) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    if (*at == k->n_bytes) return 0;
    /* not a place that we gave */
    if (*at > k->n_bytes || k->n_bytes - *at < 8) return AIOS_ERR_ARG;
    const uint8_t *p = k->p + *at;
    memcpy(&n, p, 8);
    if (n > k->n_bytes - *at - 8) return AIOS_ERR_ARG;
    aios__str s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    *at += 8 + n;
    return 1;
}
AIOS_API aios_status aios_key_str(const aios_model *m, int64_t key, uint64_t item,
                                  const char **text, uint64_t *n_bytes) {
    const aios__key *k = aios__key_at(m, key);
    const uint8_t *p;
    aios__str s;
    if (!k || !text || !n_bytes || item >= k->n) return AIOS_ERR_ARG;
    if (k->type != AIOS__STR) return AIOS_ERR_MODEL;
    for (p = k->p, s = aios__key_next_str(&p); item > 0; item--) s = aios__key_next_str(&p);
    *text = s.p;
    *n_bytes = s.n;
    return AIOS_OK;
}
AIOS_API int32_t aios_token_find(const aios_model *m, const char *text, uint64_t n_bytes) {
    return m && text ? aios__token_find_any(&m->vocab, text, n_bytes) : -1;
}

AIOS__SMALL_END
/* ---- the vocabulary's public face ---- */
AIOS_API int64_t aios_tokenize(const aios_model *m, const char *text, uint64_t n_text,
                               uint32_t flags, int32_t *ids, uint64_t max_ids, aios_error *err) {
    if (!m || (!text && n_text) || (!ids && max_ids))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_tokenize: an argument is NULL");
    aios__clear(err);
    return aios__tokenize(&m->vocab, text, n_text, flags, ids, max_ids, err);
}
AIOS_API int64_t aios_detokenize(const aios_model *m, aios_detok *st, int32_t id, char *out,
                                 uint64_t cap) {
    if (!m || (!out && cap)) return AIOS_ERR_ARG;
    return aios__detokenize(&m->vocab, st, id, out, cap);
}
AIOS_API const char *aios_token_text(const aios_model *m, int32_t id, uint64_t *n_bytes) {
    return m && n_bytes ? aios__token_text(&m->vocab, id, n_bytes) : NULL;
}
AIOS_API int32_t aios_token_is_end(const aios_model *m, int32_t id) {
    return m ? aios__token_is_end(&m->vocab, id) : 0;
}
