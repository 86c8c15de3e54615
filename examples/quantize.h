/* quantize.h: `aios quantize IN OUT TYPE`: a copy of a GGUF file with other tensor types. Included by aios.c, below its
 * helpers (die, bar, xmalloc, open_model).
 *
 * The library checks the header and hands out the tensor directory; the keys are copied as bytes, so they are walked here. Tensors go
 * through one at a time, some rows at a time: memory does not grow with the file. OUT is written beside its place and renamed at the end. */
#ifndef QUANTIZE_H
#define QUANTIZE_H

/* ---- names that people give to types ----------------------------------------------------------------------- */

/* The numbers are general.file_type's, the name says what most matrices become. S, M, L: more bits for the tensors that matter more. */
typedef struct mixture { const char *name; uint32_t file_type; int32_t type; } mixture;
enum { MIX_Q4_0 = 2, MIX_Q2_K = 10, MIX_Q3_K_S, MIX_Q3_K_M, MIX_Q3_K_L, MIX_Q4_K_S, MIX_Q4_K_M, MIX_Q5_K_S, MIX_Q5_K_M, MIX_IQ4_NL = 25, MIX_IQ4_XS = 30,
       MIX_TQ1_0 = 36, MIX_TQ2_0, MIX_MXFP4_MOE, MIX_Q2_0 = 41 };
static const mixture mixtures[] = {
    { "F32", 0, AIOSK_F32 },              { "F16", 1, AIOSK_F16 },              { "BF16", 32, AIOSK_BF16 },           { "Q8_0", 7, AIOSK_Q8_0 },
    { "Q4_0", MIX_Q4_0, AIOSK_Q4_0 },     { "Q4_1", 3, AIOSK_Q4_1 },            { "Q5_0", 8, AIOSK_Q5_0 },            { "Q5_1", 9, AIOSK_Q5_1 },
    { "Q2_K", MIX_Q2_K, AIOSK_Q2_K },     { "Q3_K_S", MIX_Q3_K_S, AIOSK_Q3_K }, { "Q3_K_M", MIX_Q3_K_M, AIOSK_Q3_K }, { "Q3_K_L", MIX_Q3_K_L, AIOSK_Q3_K },
    { "Q3_K", MIX_Q3_K_M, AIOSK_Q3_K },   { "Q4_K_S", MIX_Q4_K_S, AIOSK_Q4_K }, { "Q4_K_M", MIX_Q4_K_M, AIOSK_Q4_K }, { "Q4_K", MIX_Q4_K_M, AIOSK_Q4_K },
    { "Q5_K_S", MIX_Q5_K_S, AIOSK_Q5_K }, { "Q5_K_M", MIX_Q5_K_M, AIOSK_Q5_K }, { "Q5_K", MIX_Q5_K_M, AIOSK_Q5_K },   { "Q6_K", 18, AIOSK_Q6_K },
    { "IQ4_NL", MIX_IQ4_NL, AIOSK_IQ4_NL }, { "IQ4_XS", MIX_IQ4_XS, AIOSK_IQ4_XS }, { "TQ1_0", MIX_TQ1_0, AIOSK_TQ1_0 }, { "TQ2_0", MIX_TQ2_0, AIOSK_TQ2_0 },
    { "MXFP4", MIX_MXFP4_MOE, AIOSK_MXFP4 }, { "MXFP4_MOE", MIX_MXFP4_MOE, AIOSK_Q8_0 }, { "NVFP4", 39, AIOSK_NVFP4 }, { "Q1_0", 40, AIOSK_Q1_0 },
    { "Q2_0", MIX_Q2_0, AIOSK_Q2_0 } };

static int same_word(const char *a, const char *b) {            /* without regard to case */
    for (; *a && *b; a++, b++) if ((*a >= 'a' && *a <= 'z' ? *a - 32 : *a) != (*b >= 'a' && *b <= 'z' ? *b - 32 : *b)) return 0;
    return *a == *b;
}
static const mixture *find_mixture(const char *word) {
    char list[512] = "";
    size_t i;
    for (i = 0; i < sizeof mixtures / sizeof *mixtures; i++) {
        if (same_word(word, mixtures[i].name)) return &mixtures[i];
        snprintf(list + strlen(list), sizeof list - strlen(list), " %s", mixtures[i].name);
    }
    die_usage("'%s' is none of the types:%s", word, list);
}

/* ---- the model at hand ------------------------------------------------------------------------------------- */
enum { OTHER_TENSOR, OUTPUT_TENSOR, EMBEDDING, ATTN_QKV, ATTN_V, ATTN_K, ATTN_OUT, FFN_DOWN };
typedef struct recoded {                                        /* a tensor, before and after */
    aios_tensor_info t;
    int32_t role, layer, to;
    uint64_t n_rows, to_bytes, to_offset;
} recoded;
typedef struct recoding {
    const char *in, *out;
    const mixture *mix;
    int32_t output_type;                                        /* -1: what the mixture says */
    session s;
    recoded *t;
    uint8_t *header;                                            /* of the first part */
    uint64_t n_header, alignment, in_bytes, out_bytes;
    int64_t n_heads, n_heads_kv, n_experts, n_layers;
    int32_t falcon, wide_kv;                                    /* wide_kv: 8 heads share one value head, 80 layers: a 70B model */
    int32_t tied, n_values, n_threads, n_again;
    uint32_t n_parts;
    FILE *from, *to;
} recoding;

/* ---- the header: GGUF 2 and 3 ------------------------------------------------------------------------------ */
typedef struct walk { const recoding *q; const uint8_t *p; uint64_t left; } walk;

static const uint8_t *take(walk *w, uint64_t n) {
    const uint8_t *p = w->p;
    if (n > w->left) die("'%s': the header changed while it was being read", w->q->in);
    w->p += n;
    w->left -= n;
    return p;
}
static uint64_t take_number(walk *w, int n) { uint64_t v = 0; memcpy(&v, take(w, (uint64_t)n), (size_t)n); return v; }
static void skip_value(walk *w, uint32_t type) {
    static const uint8_t bytes[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    uint64_t n = 1;
    if (type == 9) { type = (uint32_t)take_number(w, 4); n = take_number(w, 8); }
    if (type > 12 || type == 9 || (bytes[type] && n > w->left)) die("'%s': the header changed while it was being read", w->q->in);
    if (bytes[type]) take(w, n * bytes[type]);
    else while (n--) take(w, take_number(w, 8));
}
typedef struct raw_key { const uint8_t *start, *value, *end; const char *name; uint64_t n_name; uint32_t type; } raw_key;
static raw_key take_key(walk *w) {
    raw_key k;
    k.start = w->p;
    k.n_name = take_number(w, 8);
    k.name = (const char *)take(w, k.n_name);
    k.type = (uint32_t)take_number(w, 4);
    k.value = w->p;
    skip_value(w, k.type);
    k.end = w->p;
    return k;
}
static int is_key(const raw_key *k, const char *name) { return k->n_name == strlen(name) && !memcmp(k->name, name, (size_t)k->n_name); }
/* An integer, or the first item of an array of them; fallback when it is neither. */
static int64_t key_number(const raw_key *k, int64_t fallback) {
    static const uint8_t bytes[13] = { 1, 1, 2, 2, 4, 4, 0, 0, 0, 0, 8, 8, 0 };
    const uint8_t *p = k->value;
    uint32_t type = k->type;
    uint64_t v = 0;
    if (type == 9) { memcpy(&type, p, 4); p += 12; if (p == k->end) return fallback; }
    if (type > 12 || !bytes[type]) return fallback;
    memcpy(&v, p, bytes[type]);
    return v > INT32_MAX ? fallback : (int64_t)v;
}
static walk start_walk(const recoding *q, uint64_t *n_keys) {
    walk w;
    w.q = q;
    w.p = q->header;
    w.left = q->n_header;
    take(&w, 16);
    *n_keys = take_number(&w, 8);
    return w;
}

static void read_at(const recoding *q, uint64_t offset, void *p, uint64_t n) {
#ifdef _WIN32
    int bad = _fseeki64(q->from, (int64_t)offset, SEEK_SET);
#else
    int bad = fseeko(q->from, (off_t)offset, SEEK_SET);
#endif
    if (bad || fread(p, 1, (size_t)n, q->from) != n) die("'%s': %s", q->in, ferror(q->from) ? strerror(errno) : "the file is shorter than it was");
}
static void open_part(recoding *q, uint32_t part) {             /* the first, or NAME-00002-of-00003.gguf beside NAME-00001-of-00003.gguf */
    char path[1100];
    size_t n = strlen(q->in), tail = strlen("-00001-of-00001.gguf");
    if (q->from) fclose(q->from);
    if (n >= 1024) die("the name of the file is too long");
    snprintf(path, sizeof path, "%s", q->in);
    if (part && n > tail) {
        snprintf(path + n - tail, sizeof path - (n - tail), "-%05u", part + 1);
        snprintf(path + n - tail + 6, sizeof path - (n - tail) - 6, "%s", q->in + n - tail + 6);
    }
    if (!(q->from = fopen(path, "rb"))) die("'%s': %s", path, strerror(errno));
}

/* Reads what decides on types; the directory itself comes from the library. */
static void read_model(recoding *q, const options *o) {
    options from = *o;
    uint64_t n_keys, i;
    uint32_t k;
    walk w;
    from.model = q->in;
    open_model(&q->s, &from, AIOS_MODEL_VOCAB_ONLY);
    open_part(q, 0);
    q->n_header = q->s.info.header_bytes;
    q->header = (uint8_t *)xmalloc((size_t)q->n_header);
    q->n_header = fread(q->header, 1, (size_t)q->n_header, q->from);    /* of a split file all headers were counted */
    w = start_walk(q, &n_keys);
    q->alignment = 32;
    for (i = 0; i < n_keys; i++) {
        raw_key key = take_key(&w);
        const char *dot = (const char *)memchr(key.name, '.', (size_t)key.n_name);
        if (is_key(&key, "general.alignment")) q->alignment = (uint64_t)key_number(&key, 32);
        if (!dot || !q->s.info.arch || strncmp(key.name, q->s.info.arch, (size_t)(dot - key.name)) != 0) continue;
        key.n_name -= (uint64_t)(dot + 1 - key.name);
        key.name = dot + 1;
        if (is_key(&key, "block_count")) q->n_layers = key_number(&key, 0);
        if (is_key(&key, "expert_count")) q->n_experts = key_number(&key, 0);
        if (is_key(&key, "attention.head_count")) q->n_heads = key_number(&key, 0);
        if (is_key(&key, "attention.head_count_kv")) q->n_heads_kv = key_number(&key, 0);
    }
    if (!q->n_heads_kv) q->n_heads_kv = q->n_heads;
    if (q->s.info.arch) {
        q->falcon = !strcmp(q->s.info.arch, "falcon");
        q->wide_kv = q->n_layers == 80 && (!strcmp(q->s.info.arch, "qwen2") || (!strcmp(q->s.info.arch, "llama") && q->n_heads != q->n_heads_kv));
    }
    q->t = (recoded *)xmalloc(q->s.info.n_tensors * sizeof *q->t);
    q->tied = 1;
    for (k = 0; k < q->s.info.n_tensors; k++) {
        recoded *r = &q->t[k];
        memset(r, 0, sizeof *r);
        aios_tensor_info_init(&r->t);
        if (aios_model_get_tensor(q->s.model, k, &r->t) != AIOS_OK || !aiosk_type_info((int32_t)r->t.type)) die("tensor %u is not known", k);
        r->n_rows = r->t.n[1] * r->t.n[2] * r->t.n[3];
        r->layer = -1;
        if (sscanf(r->t.name, "blk.%d.", &r->layer) != 1) r->layer = -1;
        if (!strcmp(r->t.name, "output.weight")) q->tied = 0;
        q->in_bytes += r->t.n_bytes;
    }
}

/* ---- which type a tensor gets ------------------------------------------------------------------------------
 * The customary choices, so that a name like Q4_K_M means the same here as elsewhere: llama.cpp's for the same file. */

/* Matrices that stay as they are: small, or what everything else depends on. */
static int stays(const recoded *r) {
    static const char *const parts[] = { "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d",
        "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight",
        "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
        "time_mix_g1.weight", "time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight",
        ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd" };
    size_t n = strlen(r->t.name), i;
    if (n < 6 || strcmp(r->t.name + n - 6, "weight") || r->t.n[1] * r->t.n[2] * r->t.n[3] < 2) return 1;
    if (!strcmp(r->t.name, "position_embd.weight") || !strcmp(r->t.name, "token_types.weight")) return 1;
    for (i = 0; i < sizeof parts / sizeof *parts; i++) if (strstr(r->t.name, parts[i])) return 1;
    return aiosk_type_info((int32_t)r->t.type)->family == AIOSK_RAW;
}
static int32_t role_of(const char *name) {
    if (!strcmp(name, "output.weight")) return OUTPUT_TENSOR;
    if (!strcmp(name, "token_embd.weight") || !strcmp(name, "per_layer_token_embd.weight")) return EMBEDDING;
    if (strstr(name, "attn_qkv.weight")) return ATTN_QKV;
    if (strstr(name, "attn_v.weight") || strstr(name, "attn_kv_b.weight")) return ATTN_V;
    if (strstr(name, "attn_k.weight")) return ATTN_K;
    if (strstr(name, "attn_output.weight")) return ATTN_OUT;
    return strstr(name, "ffn_down") ? FFN_DOWN : OTHER_TENSOR;
}
static int counts_as(const recoded *r, int32_t role) { return r->role == role || (role == ATTN_V && r->role == ATTN_QKV); }
/* How many tensors of the same kind stand in layers before this one's. */
static int32_t rank_of(const recoding *q, const recoded *r) {
    int32_t n = 0;
    uint32_t k;
    for (k = 0; k < q->s.info.n_tensors; k++) {
        const recoded *p = &q->t[k];
        if (counts_as(p, r->role == ATTN_QKV ? ATTN_V : r->role) && !stays(p) && (p->layer < r->layer || (p->layer == r->layer && strcmp(p->t.name, r->t.name) < 0))) n++;
    }
    return n;
}
static int more_bits(int32_t i, int32_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

static int32_t type_in_mixture(const recoding *q, const recoded *r) {
    int32_t type = q->mix->type, mix = (int32_t)q->mix->file_type, rank, n, shared = q->n_heads_kv && q->n_heads / q->n_heads_kv >= 4;
    if (type == AIOSK_F32 || type == AIOSK_F16 || type == AIOSK_BF16) return type;
    if (r->role == OUTPUT_TENSOR || (q->tied && r->role == EMBEDDING)) {
        if (q->output_type >= 0) return q->output_type;
        if (mix == MIX_MXFP4_MOE || q->falcon || r->t.n[0] % aiosk_type_info(type)->n_weights) return AIOSK_Q8_0;
        return type == AIOSK_Q8_0 ? type : AIOSK_Q6_K;
    }
    if (mix == MIX_MXFP4_MOE && type == AIOSK_Q8_0) return r->t.n[2] > 1 ? AIOSK_MXFP4 : type;
    if (r->role == EMBEDDING) return mix == MIX_TQ1_0 || mix == MIX_TQ2_0 || mix == MIX_Q2_0 ? AIOSK_Q4_K : type;
    rank = rank_of(q, r);
    switch (r->role) {
    case ATTN_V:
    case ATTN_QKV:                                              /* fused matrices follow the same rules */
        if (mix == MIX_Q2_K) type = shared ? AIOSK_Q4_K : AIOSK_Q3_K;
        else if (mix == MIX_Q3_K_M) type = rank < 2 ? AIOSK_Q5_K : AIOSK_Q4_K;
        else if (mix == MIX_Q3_K_L) type = AIOSK_Q5_K;
        else if ((mix == MIX_IQ4_NL || mix == MIX_IQ4_XS) && shared) type = AIOSK_Q5_K;
        else if ((mix == MIX_Q4_K_M || mix == MIX_Q5_K_M) && more_bits(rank, q->n_values)) type = AIOSK_Q6_K;
        else if (mix == MIX_Q4_K_S && rank < 4) type = AIOSK_Q5_K;
        if (q->wide_kv && (type == AIOSK_Q3_K || type == AIOSK_Q4_K)) type = AIOSK_Q5_K;
        return q->n_experts == 8 ? AIOSK_Q8_0 : type;
    case ATTN_K: return q->n_experts == 8 ? AIOSK_Q8_0 : type;
    case ATTN_OUT:
        if (q->falcon) return mix == MIX_Q3_K_L ? AIOSK_Q4_K : type;
        if (q->n_experts == 8) return mix == MIX_Q2_K || mix == MIX_Q3_K_S || mix == MIX_Q3_K_M || mix == MIX_Q4_K_S || mix == MIX_Q4_K_M || mix == MIX_IQ4_NL ||
                                      mix == MIX_IQ4_XS ? AIOSK_Q5_K : type;
        return mix == MIX_Q2_K ? AIOSK_Q3_K : mix == MIX_Q3_K_M ? AIOSK_Q4_K : mix == MIX_Q3_K_L ? AIOSK_Q5_K : type;
    case FFN_DOWN:
        n = (int32_t)q->n_layers;
        if (q->n_experts > 1) rank = r->layer;
        if (mix == MIX_Q2_K) return AIOSK_Q3_K;
        if (mix == MIX_Q3_K_M) return rank < n / 16 ? AIOSK_Q5_K : !q->falcon || more_bits(rank, n) ? AIOSK_Q4_K : type;
        if (mix == MIX_Q3_K_L) return q->falcon ? AIOSK_Q4_K : AIOSK_Q5_K;
        if (mix == MIX_Q4_K_M && q->falcon) return rank < n / 16 ? AIOSK_Q6_K : more_bits(rank, n) ? AIOSK_Q5_K : type;
        if (mix == MIX_Q4_K_M || mix == MIX_Q5_K_M) return more_bits(rank, n) ? AIOSK_Q6_K : type;
        if (mix == MIX_IQ4_NL || mix == MIX_IQ4_XS || (mix == MIX_Q4_K_S && !q->falcon)) return rank < n / 8 ? AIOSK_Q5_K : type;
        return type;
    default: return type;
    }
}
static int32_t type_for(const recoding *q, const recoded *r) {
    int32_t type;
    if (stays(r)) return (int32_t)r->t.type;
    type = type_in_mixture(q, r);
    if (r->t.n[0] % aiosk_type_info(type)->n_weights == 0) return type;
    switch (type) {                                             /* rows that are no whole number of its blocks */
    case AIOSK_IQ4_XS: type = AIOSK_IQ4_NL; break;
    case AIOSK_Q4_K: type = AIOSK_Q5_0; break;
    case AIOSK_Q5_K: type = AIOSK_Q5_1; break;
    case AIOSK_Q6_K: type = AIOSK_Q8_0; break;
    default: type = AIOSK_Q4_0; break;
    }
    return r->t.n[0] % 32 ? AIOSK_F16 : type;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static void put(const recoding *q, const void *p, uint64_t n) {
    if (n && fwrite(p, 1, (size_t)n, q->to) != n) die("'%s': %s", new_tmp, strerror(errno));
}
static void put_number(const recoding *q, uint64_t v, int n) { put(q, &v, (uint64_t)n); }
static void put_u32_key(const recoding *q, const char *name, uint32_t v) {
    put_number(q, strlen(name), 8);
    put(q, name, strlen(name));
    put_number(q, 4, 4);                                        /* u32 */
    put_number(q, v, 4);
}
static void put_padding(const recoding *q, uint64_t n) {
    static const uint8_t zeros[64];
    uint64_t k;
    for (n = (q->alignment - n % q->alignment) % q->alignment; n; n -= k) put(q, zeros, k = n < sizeof zeros ? n : sizeof zeros);
}
/* Every key as it is; what tells about types anew, what tells about parts not at all. */
static void put_header(recoding *q) {
    static const char *const ours[] = { "general.file_type", "general.quantization_version" };
    static const char *const parts[] = { "split.no", "split.count", "split.tensors.count" };
    uint32_t values[2], k, d, seen = 0;
    uint64_t n_keys, n_out, i, n = 24, at = 0;
    raw_key key;
    walk w = start_walk(q, &n_keys), w2 = w;
    values[0] = q->mix->file_type;
    values[1] = 2;                                              /* the formats as they have been since 2023 */
    for (n_out = n_keys, i = 0; i < n_keys; i++) {
        key = take_key(&w2);
        for (k = 0; k < 2; k++) if (is_key(&key, ours[k])) seen |= 1u << k;
        for (k = 0; k < 3; k++) if (is_key(&key, parts[k])) n_out--;
    }
    n_out += (uint64_t)(seen & 1 ? 0 : 1) + (seen & 2 ? 0 : 1);
    put(q, "GGUF", 4);
    put_number(q, 3, 4);
    put_number(q, q->s.info.n_tensors, 8);
    put_number(q, n_out, 8);
    for (i = 0; i < n_keys; i++) {
        int mine = -1, drop = 0;
        key = take_key(&w);
        for (k = 0; k < 2; k++) if (is_key(&key, ours[k])) mine = (int)k;
        for (k = 0; k < 3; k++) if (is_key(&key, parts[k])) drop = 1;
        if (drop) continue;
        if (mine >= 0) put_u32_key(q, ours[mine], values[mine]);
        else put(q, key.start, (uint64_t)(key.end - key.start));
        n += mine >= 0 ? 16 + strlen(ours[mine]) : (uint64_t)(key.end - key.start);
    }
    for (k = 0; k < 2; k++) if (!(seen & 1u << k)) { put_u32_key(q, ours[k], values[k]); n += 16 + strlen(ours[k]); }
    for (k = 0; k < q->s.info.n_tensors; k++) {
        recoded *r = &q->t[k];
        at = (at + q->alignment - 1) / q->alignment * q->alignment;
        r->to_offset = at;
        at += r->to_bytes;
        put_number(q, strlen(r->t.name), 8);
        put(q, r->t.name, strlen(r->t.name));
        put_number(q, r->t.n_dims, 4);
        for (d = 0; d < r->t.n_dims; d++) put_number(q, r->t.n[d], 8);
        put_number(q, (uint64_t)r->to, 4);
        put_number(q, r->to_offset, 8);
        n += 24 + strlen(r->t.name) + 8 * (uint64_t)r->t.n_dims;
    }
    put_padding(q, n);
}

/* Some rows: bytes -> f32 -> bytes, and what was lost. */
typedef struct rows {
    const recoded *r;
    const uint8_t *in;
    uint8_t *out;
    float *x;                                                   /* [2 * n_in] of this thread                    */
    double *lost, *total;                                       /* [rows] sums of squares; lost NaN: cannot be held */
    uint64_t row0, row1;
} rows;

static void *recode_rows(void *p) {
    rows *j = (rows *)p;
    uint64_t n = j->r->t.n[0], row, i, in_bytes = aiosk_row_bytes((int32_t)j->r->t.type, n), out_bytes = aiosk_row_bytes(j->r->to, n);
    float *x = j->x, *y = j->x + n;
    for (row = j->row0; row < j->row1; row++) {
        double lost = 0, total = 0;
        uint64_t most = 0;
        aiosk_unpack((int32_t)j->r->t.type, j->in + row * in_bytes, n, x);
        aiosk_quantize(j->r->to, x, 1, n, NULL, j->out + row * out_bytes);
        aiosk_unpack(j->r->to, j->out + row * out_bytes, n, y);
        for (i = 0; i < n; i++) {
            lost += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            total += (double)x[i] * (double)x[i];
            if (fabsf(x[i]) > fabsf(x[most])) most = i;
        }
        /* A NaN or an infinity is in lost already. Else the largest tells whether the type reaches it: 65504 is the largest f16, and scales are f16. */
        if (fabsf(x[most]) >= 65520.0f && (j->r->to == AIOSK_F16 || !(fabsf(x[most] - y[most]) < 0.5f * fabsf(x[most])))) lost = NAN;
        j->lost[row] = lost;
        j->total[row] = total;
    }
    return NULL;
}
enum { CHUNK_WEIGHTS = 1 << 20 };

static void recode(recoding *q, const recoded *r, uint64_t done, uint64_t all) {
    uint64_t n = r->t.n[0], in_bytes = aiosk_row_bytes((int32_t)r->t.type, n), out_bytes = aiosk_row_bytes(r->to, n), row, i;
    uint64_t chunk = CHUNK_WEIGHTS / n < (uint64_t)q->n_threads ? (uint64_t)q->n_threads : CHUNK_WEIGHTS / n;
    uint8_t *in, *out;
    double *sums, lost = 0, total = 0;
    float *x;
    char shape[100] = "";
    uint32_t d;
    if (chunk > r->n_rows) chunk = r->n_rows;
    in = (uint8_t *)xmalloc((size_t)(chunk * in_bytes));
    out = (uint8_t *)xmalloc((size_t)(chunk * out_bytes));
    sums = (double *)xmalloc((size_t)chunk * 2 * sizeof *sums);
    x = (float *)xmalloc((size_t)n * 2 * sizeof *x * (size_t)q->n_threads);
    for (row = 0; row < r->n_rows; row += chunk) {
        uint64_t k = r->n_rows - row < chunk ? r->n_rows - row : chunk;
        read_at(q, r->t.file_offset + row * in_bytes, in, k * in_bytes);
        if (r->to == (int32_t)r->t.type) {
            put(q, in, k * in_bytes);
        } else {
            rows job[MAX_THREADS];
            int32_t t, n_jobs = k < (uint64_t)q->n_threads ? (int32_t)k : q->n_threads;
            for (t = 0; t < n_jobs; t++) {
                rows *j = &job[t];
                j->r = r; j->in = in; j->out = out; j->x = x + (uint64_t)t * 2 * n; j->lost = sums; j->total = sums + chunk;
                j->row0 = k * (uint64_t)t / (uint64_t)n_jobs;
                j->row1 = k * ((uint64_t)t + 1) / (uint64_t)n_jobs;
            }
            on_threads(recode_rows, job, sizeof *job, n_jobs);
            for (i = 0; i < k; i++) { lost += sums[i]; total += sums[chunk + i]; }
            if (!(lost < INFINITY)) {
                bar("", 0, 0);
                die("'%s': tensor %s has a weight that is not finite, or larger than %s can hold", q->in, r->t.name, aiosk_type_info(r->to)->name);
            }
            put(q, out, k * out_bytes);
        }
        bar("quantize", done + row * in_bytes, all);
    }
    put_padding(q, r->to_bytes);
    for (d = 0; d < r->t.n_dims && d < 4; d++) snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%llu", d ? " x " : "", (unsigned long long)r->t.n[d]);
    bar("", 0, 0);
    if (!quiet) {
        printf("%-36s %-20s %-7s", r->t.name, shape, aiosk_type_info((int32_t)r->t.type)->name);
        if (r->to == (int32_t)r->t.type) printf(" copied               ");
        else printf(" -> %-7s rmse %8.5f", aiosk_type_info(r->to)->name, total > 0 ? sqrt(lost / total) : 0.0);
        printf(" %14llu bytes\n", (unsigned long long)r->to_bytes);
    }
    free(in);
    free(out);
    free(sums);
    free(x);
}

static int quantize(const options *o) {
    static recoding q;
    uint64_t done = 0, t0 = wall_ns();
    uint32_t k, part = 0;
    if (o->n_words != 3) die_usage("give three words: IN OUT TYPE");
    memset(&q, 0, sizeof q);
    q.in = o->words[0];
    q.out = o->words[1];
    q.mix = find_mixture(o->words[2]);
    q.output_type = o->output ? find_mixture(o->output)->type : -1;
    q.n_threads = o->threads < MAX_THREADS ? o->threads : MAX_THREADS;
    read_model(&q, o);
    for (k = 0; k < q.s.info.n_tensors; k++) {
        q.t[k].role = role_of(q.t[k].t.name);
        if (counts_as(&q.t[k], ATTN_V)) q.n_values++;
    }
    for (k = 0; k < q.s.info.n_tensors; k++) {
        recoded *r = &q.t[k];
        r->to = type_for(&q, r);
        r->to_bytes = aiosk_row_bytes(r->to, r->t.n[0]) * r->n_rows;
        q.out_bytes += r->to_bytes;
        if (r->to != (int32_t)r->t.type && aiosk_type_info((int32_t)r->t.type)->family != AIOSK_FLT) q.n_again++;
    }
    q.to = new_file(q.out);
    if (q.n_again && !quiet) fprintf(stderr, "%s: %d tensors were quantised before; what that lost stays lost\n", command_name, q.n_again);
    put_header(&q);
    for (k = 0; k < q.s.info.n_tensors; k++) {
        if (q.t[k].t.part != part) open_part(&q, part = q.t[k].t.part);
        recode(&q, &q.t[k], done, q.in_bytes);
        done += q.t[k].t.n_bytes;
    }
    new_file_done(q.to, q.out);
    if (!quiet) printf("%s: %u tensors, %llu -> %llu bytes, %.2f bits per weight, %.1f s\n", q.mix->name, q.s.info.n_tensors, (unsigned long long)q.in_bytes,
           (unsigned long long)q.out_bytes, q.s.info.n_params ? (double)q.out_bytes * 8 / (double)q.s.info.n_params : 0.0, (double)(wall_ns() - t0) * 1e-9);
    fclose(q.from);
    free(q.header);
    free(q.t);
    close_session(&q.s);
    return 0;
}
#endif
