/* vocab.c: what a tokenizer's keys say: tokens by id, by text and by bytes, merges, special tokens.
 * After gguf.c (keys as views), before model.c; knows nothing of tensors.
 *
 * Two families, told apart by tokenizer.ggml.model: "llama" (SentencePiece BPE: the pair whose
 * union has the best score is joined first, leftmost on ties; bytes as <0xXX>) and "gpt2"
 * (byte-level BPE: text is cut into words by the matcher that tokenizer.ggml.pre names, then the
 * pair of lowest rank is joined first). Others are recorded and refused when used, so that their
 * models still load. Token texts, scores and merges stay in the header; META holds offsets and
 * hashes.
 *
 * Behaviour of the text files follows llama.cpp (src/llama-vocab.cpp, src/unicode.cpp), on valid
 * UTF-8, but for what is marked "unlike llama.cpp". */

enum { AIOS__VOCAB_NONE = 0, AIOS__VOCAB_SPM, AIOS__VOCAB_BPE, AIOS__VOCAB_OTHER };

/* Token attributes: the file's token type, and what follows from texts and keys. */
enum {
    AIOS__T_UNDEFINED = 0,
    AIOS__T_NORMAL,
    AIOS__T_UNKNOWN,
    AIOS__T_CONTROL,
    AIOS__T_USER,
    AIOS__T_UNUSED,
    AIOS__T_BYTE,
    AIOS__T_TYPE = 7, /* mask of the above */
    AIOS__T_END = 8,  /* ends a text */
    AIOS__T_RSTRIP = 16
}; /* takes the white space behind it along */

enum {
    AIOS__WINDOW_SYMBOLS = 1024,
    /* bytes of a special token that text is searched for; the longest known has 40 */
    AIOS__MAX_SPECIAL = 255,
    AIOS__MAX_PROBES = 1024 /* of one hash insertion; random texts need 200 at a load of 2/3 */
};

typedef struct aios__merge {
    int32_t left, right, id;
} aios__merge; /* its index is its rank */

typedef struct aios__vocab {
    int32_t kind, n_tokens;
    int32_t bos, eos, eot, pad, unk; /* -1 = none */
    int32_t add_bos, add_eos, add_space;
    aios__str model, pre_name; /* as the file has them */
    const aios__pre *pre;      /* NULL: pre_name is not known */
    const uint8_t *token_p;    /* first token string in the header */
    const uint8_t *score_p;    /* f32 [n_tokens]; NULL = all 0 */
    uint32_t max_token_bytes, n_slots, n_merge_slots;
    uint32_t *off;        /* [n_tokens] from token_p */
    uint8_t *attr;        /* [n_tokens] */
    uint32_t *slot;       /* [n_slots] token id + 1 by text; 0 = empty */
    uint32_t *merge_slot; /* [n_merge_slots] merge index + 1 by (left, right) */
    aios__merge *merge;   /* [n_merges] */
    int32_t has_user;     /* some tokens are matched without AIOS_TOK_SPECIAL */
    /* bit sets over special tokens: bytes 0 and 1, length */
    uint32_t first[8], second[8], length[8];
    int32_t byte_id[256]; /* token of one byte; -1 = none */
} aios__vocab;

/* ---- hashes ----
 * Open addressing, linear probing, 3 slots for 2 entries. FNV-1a, mixed at the end, because the
 * high bits choose the slot. */

static inline uint32_t aios__fnv(uint32_t h, uint8_t b) { return (h ^ b) * 16777619u; }
static inline uint32_t aios__slot_of(uint32_t h, uint32_t n_slots) {
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (uint32_t)((uint64_t)h * n_slots >> 32);
}
static inline uint32_t aios__slots_for(uint64_t n) { return (uint32_t)(n + n / 2 + 1); }

static inline aios__str aios__vocab_text(const aios__vocab *v, int32_t id) {
    const uint8_t *p = v->token_p + v->off[id];
    return aios__key_next_str(&p);
}
static inline int32_t aios__find_hashed(const aios__vocab *v, uint32_t h, const char *s,
                                        uint64_t n) {
    uint32_t i = aios__slot_of(h, v->n_slots);
    for (; v->slot[i]; i = i + 1 == v->n_slots ? 0 : i + 1) {
        aios__str t = aios__vocab_text(v, (int32_t)(v->slot[i] - 1));
        if (t.n == n && memcmp(t.p, s, (size_t)n) == 0) return (int32_t)(v->slot[i] - 1);
    }
    return -1;
}
/* The token with this text, or -1. */
static inline int32_t aios__token_find(const aios__vocab *v, const char *s, uint64_t n) {
    uint32_t h = 2166136261u;
    if (n == 0 || n > v->max_token_bytes) return -1;
    for (uint64_t i = 0; i < n; i++) h = aios__fnv(h, (uint8_t)s[i]);
    return aios__find_hashed(v, h, s, n);
}
/* The same where texts have no hash, too: the first one, by looking at all. */
static inline int32_t aios__token_find_any(const aios__vocab *v, const char *s, uint64_t n) {
    if (v->kind != AIOS__VOCAB_OTHER) return aios__token_find(v, s, n);
    for (int32_t id = 0; id < v->n_tokens; id++) {
        aios__str t = aios__vocab_text(v, id);
        if (n && t.n == n && memcmp(t.p, s, (size_t)n) == 0) return id;
    }
    return -1;
}
/* The token for bytes whose text in the vocabulary is written in GPT-2's alphabet. */
static inline int32_t aios__token_find_bytes(const aios__vocab *v, const char *s, uint64_t n) {
    /* every word that is a token of a known vocabulary fits; longer ones are joined */
    char text[512];
    uint32_t m = 0;
    if (n > sizeof text / 2) return -1;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t c = aios__byte_char((uint8_t)s[i]);
        if (c >= 0x80) {
            text[m++] = (char)(0xC0 | c >> 6);
            c = 0x80 | (c & 0x3F);
        }
        text[m++] = (char)c;
    }
    return aios__token_find(v, text, m);
}
static inline uint32_t aios__merge_slot_of(const aios__vocab *v, int32_t left, int32_t right) {
    return aios__slot_of((uint32_t)left * 0x9E3779B1u ^ (uint32_t)right * 0x85EBCA77u,
                         v->n_merge_slots);
}
/* The rank of joining two tokens, or -1. */
static inline int32_t aios__merge_find(const aios__vocab *v, int32_t left, int32_t right) {
    if (left < 0 || right < 0) return -1;
    uint32_t i = aios__merge_slot_of(v, left, right);
    for (; v->merge_slot[i]; i = i + 1 == v->n_merge_slots ? 0 : i + 1) {
        const aios__merge *m = &v->merge[v->merge_slot[i] - 1];
        if (m->left == left && m->right == right) return (int32_t)(v->merge_slot[i] - 1);
    }
    return -1;
}

/* ---- loading ---- */

AIOS__SMALL_BEGIN
static inline aios_status aios__vocab_bad(aios_error *err, const aios__key *k, uint64_t expected,
                                          uint64_t got, const char *what) {
    return aios__fail2(err, AIOS_ERR_MODEL, aios__key_entry_off(k), expected, got, "key '%': %",
                       aios__s(k->name), aios__z(what));
}
static inline aios_status aios__vocab_missing(aios_error *err, const char *key) {
    return aios__fail1(err, AIOS_ERR_MODEL, AIOS__NO_OFF, "key '%' is missing", aios__z(key));
}
/* Texts and types of tokens. */
static inline aios_status aios__load_tokens(aios__vocab *v, const aios__gguf *g,
                                            const aios__gguf_size *size, aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.tokens");
    const uint8_t *p;
    uint64_t type;
    if (!k)
        return v->kind == AIOS__VOCAB_OTHER ? (aios_status)AIOS_OK
                                            : aios__vocab_missing(err, "tokenizer.ggml.tokens");
    if (!k->is_array || k->type != AIOS__STR || k->n != size->n_tokens)
        return aios__vocab_bad(err, k, AIOS__STR, k->type, "is no array of strings");
    if (k->n == 0) return aios__vocab_bad(err, k, 1, 0, "is empty");
    v->n_tokens = (int32_t)k->n;
    v->token_p = p = k->p;
    for (uint64_t i = 0; i < k->n; i++) {
        uint64_t at = (uint64_t)(p - v->token_p);
        aios__str s = aios__key_next_str(&p);
        v->off[i] = (uint32_t)at;
        v->attr[i] = AIOS__T_NORMAL;
        if (s.n > v->max_token_bytes) v->max_token_bytes = (uint32_t)s.n;
    }
    k = aios__key_find(g, "tokenizer.ggml.token_type");
    if (k && (!k->is_array || k->n != size->n_tokens))
        return aios__vocab_bad(err, k, size->n_tokens, k->n,
                               "has another number of items than there are tokens");
    for (uint64_t i = 0; k && i < size->n_tokens; i++) {
        if (!aios__key_item_u64(k, i, &type) || type > AIOS__T_BYTE)
            return aios__vocab_bad(err, k, AIOS__T_BYTE, i,
                                   "holds a token type that does not exist");
        v->attr[i] = (uint8_t)type;
    }
    k = aios__key_find(g, "tokenizer.ggml.scores");
    if (k && v->kind == AIOS__VOCAB_SPM) {
        if (!k->is_array || k->type != AIOS__F32)
            return aios__vocab_bad(err, k, AIOS__F32, k->type, "is no array of f32");
        if (k->n != size->n_tokens)
            return aios__vocab_bad(err, k, size->n_tokens, k->n,
                                   "has another number of items than there are tokens");
        v->score_p = k->p;
    }
    return AIOS_OK;
}
/* What characters are joined to: no control token and no unknown one, which come from the flag
 * for special tokens alone. */
static inline int32_t aios__joined(const aios__vocab *v, int32_t id) {
    const uint32_t type = id < 0 ? (uint32_t)AIOS__T_NORMAL : v->attr[id] & AIOS__T_TYPE;
    return type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN ? -1 : id;
}
/* Token id by text: of two tokens of one text the normal one, else the first; empty ones cannot
 * be found. */
static inline aios_status aios__load_hash(aios__vocab *v, const aios__gguf *g,
                                          const aios__notes *log, aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.tokens");
    int32_t twice = -1;
    memset(v->slot, 0, (size_t)v->n_slots * 4);
    for (int32_t id = 0; id < v->n_tokens; id++) {
        aios__str s = aios__vocab_text(v, id);
        uint32_t h = 2166136261u, i, n = 0;
        uint64_t j;
        if (s.n == 0) continue;
        for (j = 0; j < s.n; j++) h = aios__fnv(h, (uint8_t)s.p[j]);
        for (i = aios__slot_of(h, v->n_slots); v->slot[i]; i = i + 1 == v->n_slots ? 0 : i + 1) {
            aios__str t = aios__vocab_text(v, (int32_t)(v->slot[i] - 1));
            if (t.n == s.n && memcmp(t.p, s.p, (size_t)s.n) == 0) break;
            if (++n > AIOS__MAX_PROBES)
                return aios__vocab_bad(err, k, AIOS__MAX_PROBES, n, "holds texts made to collide");
        }
        if (v->slot[i]) twice = id;
        if (!v->slot[i] ||
            (v->attr[id] == AIOS__T_NORMAL && v->attr[v->slot[i] - 1] != AIOS__T_NORMAL))
            v->slot[i] = (uint32_t)id + 1;
    }
    if (twice >= 0)
        aios__note2(log, "token % has the text of another one: %", aios__i(twice),
                    aios__s(aios__vocab_text(v, twice)));
    return AIOS_OK;
}
/* Rank by pair of tokens. A merge of or into something that is no token (or is longer than 1
 * KiB) is left out (no known file has one), as is the second of two for one pair. */
static inline aios_status aios__load_merges(aios__vocab *v, const aios__gguf *g, uint64_t n_merges,
                                            aios_error *err) {
    const aios__key *k = aios__key_find(g, "tokenizer.ggml.merges");
    const uint8_t *p;
    char joined[1024];
    uint64_t r, j;
    if (!k) return aios__vocab_missing(err, "tokenizer.ggml.merges");
    if (!k->is_array || k->type != AIOS__STR || k->n != n_merges)
        return aios__vocab_bad(err, k, n_merges, k->n, "is no array of strings");
    memset(v->merge_slot, 0, (size_t)v->n_merge_slots * 4);
    for (r = 0, p = k->p; r < n_merges; r++) {
        aios__str s = aios__key_next_str(&p);
        aios__merge *m = &v->merge[r];
        uint32_t i, n = 0;
        m->left = m->right = m->id = -1;
        for (j = 1; j < s.n && s.p[j] != ' '; j++) {}
        if (j + 1 >= s.n || s.n - 1 > sizeof joined) continue;
        m->left = aios__token_find(v, s.p, j);
        m->right = aios__token_find(v, s.p + j + 1, s.n - j - 1);
        memcpy(joined, s.p, (size_t)j);
        memcpy(joined + j, s.p + j + 1, (size_t)(s.n - j - 1));
        m->id = aios__token_find(v, joined, s.n - 1);
        if (m->left < 0 || m->right < 0 || m->id < 0 || aios__merge_find(v, m->left, m->right) >= 0)
            continue;
        for (i = aios__merge_slot_of(v, m->left, m->right); v->merge_slot[i];
             i = i + 1 == v->n_merge_slots ? 0 : i + 1)
            if (++n > AIOS__MAX_PROBES)
                return aios__vocab_bad(err, k, AIOS__MAX_PROBES, n, "holds pairs made to collide");
        v->merge_slot[i] = (uint32_t)r + 1;
    }
    return AIOS_OK;
}
/* A token id from the file; one out of range counts as not said, as in llama.cpp (many files
 * have such a padding id). */
static inline int32_t aios__vocab_id(const aios__vocab *v, const aios__gguf *g, const char *key,
                                     int32_t otherwise) {
    uint64_t id;
    if (aios__key_u64(aios__key_find(g, key), &id) && id < (uint64_t)v->n_tokens)
        return (int32_t)id;
    return otherwise < v->n_tokens ? otherwise : -1;
}
static inline int32_t aios__contains(aios__str s, const char *z) { /* ASCII, any case */
    uint64_t i, j;
    for (i = 0; i < s.n; i++) {
        for (j = 0; z[j] && i + j < s.n &&
                    (s.p[i + j] | (s.p[i + j] >= 'A' && s.p[i + j] <= 'Z' ? 0x20 : 0)) == z[j];
             j++) {}
        if (!z[j]) return 1;
    }
    return 0;
}
static inline int32_t aios__has_text(const aios__vocab *v, const char *z) {
    return aios__token_find(v, z, strlen(z)) >= 0;
}
static inline int32_t aios__is_special(uint32_t type) {
    return type == AIOS__T_CONTROL || type == AIOS__T_USER || type == AIOS__T_UNKNOWN;
}

/* Special ids, flags, ends of text, what the search for special tokens needs, byte tokens. */
static inline aios_status aios__load_special(aios__vocab *v, const aios__gguf *g,
                                             const aios__notes *log, aios_error *err) {
    static const char *const end_keys[] = {
        "tokenizer.ggml.eos_token_id",     "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id"
    };
    /* Texts that end a turn or a text in some family, and are control tokens whatever the file
     * says. The first n_eot, in this order, stand in for a missing eot_token_id. */
    enum { n_eot = 11 };
    static const char *const end_texts[] = {
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
        "<end_of_utterance>",
        "<|eom_id|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "[EOS]",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "[e~[",
        "<|fim_pad|>",
        "<fim-pad>",
        "<fim_pad>",
        "<PAD>",
        "[PAD]",
        "<|fim_repo|>",
        "<|repo_name|>",
        "<fim-repo>",
        "<REPO>",
        "<reponame>",
        "<|file_sep|>",
        "</s>"
    };
    int32_t spm = v->kind == AIOS__VOCAB_SPM, id;
    uint32_t i, type;
    aios__str s, name = { NULL, 0 };

    for (i = 0; i < 3; i++) { /* these are put into texts or end them */
        static const char *const keys[] = { "tokenizer.ggml.bos_token_id",
                                            "tokenizer.ggml.eos_token_id",
                                            "tokenizer.ggml.unknown_token_id" };
        const aios__key *k = aios__key_find(g, keys[i]);
        uint64_t x = 0;
        int64_t minus;
        if (k && !aios__key_u64(k, &x) && !aios__key_i64(k, &minus))
            return aios__vocab_bad(err, k, (uint64_t)v->n_tokens - 1, x, "is no token id");
        if (k && v->n_tokens && (!aios__key_u64(k, &x) || x >= (uint64_t)v->n_tokens))
            aios__note2(log, "key '%': no token has this id, so there is none of its kind",
                        aios__s(k->name), aios__u(0));
    }
    v->bos = aios__vocab_id(v, g, "tokenizer.ggml.bos_token_id", spm ? 1 : -1);
    v->eos = aios__vocab_id(v, g, "tokenizer.ggml.eos_token_id", spm ? 2 : -1);
    v->unk = aios__vocab_id(v, g, "tokenizer.ggml.unknown_token_id", spm ? 0 : -1);
    v->pad = aios__vocab_id(v, g, "tokenizer.ggml.padding_token_id", -1);
    v->eot = aios__vocab_id(v, g, "tokenizer.ggml.eot_token_id", -1);
    v->add_bos = spm || (v->pre && (v->pre->flags & AIOS__PRE_BOS));
    v->add_space = spm;
    aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_bos_token"), &v->add_bos);
    aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_eos_token"), &v->add_eos);
    if (spm) aios__key_bool(aios__key_find(g, "tokenizer.ggml.add_space_prefix"), &v->add_space);
    if (v->bos < 0) v->add_bos = 0;
    if (v->eos < 0) v->add_eos = 0;
    if (v->eos >= 0) v->attr[v->eos] |= AIOS__T_END;
    for (i = 0; i < sizeof end_keys / sizeof *end_keys; i++)
        if ((id = aios__vocab_id(v, g, end_keys[i], -1)) >= 0) v->attr[id] |= AIOS__T_END;
    if (v->kind == AIOS__VOCAB_OTHER) return AIOS_OK; /* no hash: texts cannot be found */

    for (i = 0; i < sizeof end_texts / sizeof *end_texts; i++) {
        const char *z = end_texts[i];
        if ((id = aios__token_find(v, z, strlen(z))) < 0) continue;
        if (i < n_eot && v->eot < 0) v->eot = id;
        v->attr[id] = AIOS__T_CONTROL | AIOS__T_END;
    }
    /* Where other tokens end a turn, <|end|> ends only a part of it, and </s> is plain text. */
    id = aios__token_find(v, "<|end|>", 7);
    if (id >= 0 && ((aios__has_text(v, "<|return|>") && aios__has_text(v, "<|call|>")) ||
                    (aios__has_text(v, "<|flush|>") && aios__has_text(v, "<|calls|>"))))
        v->attr[id] = AIOS__T_CONTROL;
    id = aios__token_find(v, "</s>", 4);
    if (id >= 0 && aios__has_text(v, "<|tool_response>")) v->attr[id] = AIOS__T_NORMAL;

    aios__key_str(aios__key_find(g, "general.name"), &name);
    /* files do not say rstrip; these models need it */
    if (aios__contains(name, "phi-3") || aios__contains(name, "phi3")) {
        for (id = 0; id < v->n_tokens; id++) {
            s = aios__vocab_text(v, id);
            if (aios__is_special(v->attr[id] & AIOS__T_TYPE) && !aios__str_eq(s, "<unk>") &&
                !aios__str_eq(s, "<s>") && !aios__str_eq(s, "<|endoftext|>"))
                v->attr[id] |= AIOS__T_RSTRIP;
        }
    }
    for (id = 0; id < v->n_tokens; id++) {
        type = v->attr[id] & AIOS__T_TYPE;
        s = aios__vocab_text(v, id);
        if (!aios__is_special(type)) continue;
        if (s.n == 0 || s.n > AIOS__MAX_SPECIAL) continue;
        aios__bit_set(v->first, (uint8_t)s.p[0]);
        if (s.n > 1) aios__bit_set(v->second, (uint8_t)s.p[1]);
        aios__bit_set(v->length, (uint32_t)s.n);
        if (type == AIOS__T_USER) v->has_user = 1;
    }
    for (i = 0; i < 256; i++) {
        char b = (char)i, hex[7] = "<0x00>";
        if (spm) {
            hex[3] = "0123456789ABCDEF"[i >> 4];
            hex[4] = "0123456789ABCDEF"[i & 15];
            v->byte_id[i] = aios__token_find(v, hex, 6);
            if (v->byte_id[i] < 0) v->byte_id[i] = aios__token_find(v, &b, 1);
        } else {
            v->byte_id[i] = aios__token_find_bytes(v, &b, 1);
            /* means the letter */
            if (v->byte_id[i] >= 0 && (v->attr[v->byte_id[i]] & AIOS__T_TYPE) == AIOS__T_USER)
                v->byte_id[i] = -1;
        }
    }
    return AIOS_OK;
}

/* Reads the tokenizer's keys into v; v->off .. v->merge lie in mem. With mem->base NULL it only
 * counts what they take, from size alone (g is then NULL). A model without tokenizer, or with
 * one of another kind, is no error here. */
static inline void aios__vocab_clear(aios__vocab *v) {
    memset(v, 0, sizeof *v);
    v->bos = v->eos = v->eot = v->pad = v->unk = -1;
}
static inline aios_status aios__vocab_load(aios__vocab *v, aios__bump *mem, const aios__gguf *g,
                                           const aios__gguf_size *size, const aios__notes *log,
                                           aios_error *err) {
    uint64_t n = size->n_tokens, m = size->n_merges;
    aios_status st;
    aios__vocab_clear(v);
    if (n > INT32_MAX || m > INT32_MAX || size->token_bytes > UINT32_MAX ||
        size->token_bytes + 8 * n > UINT32_MAX)
        return aios__fail(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                          "the vocabulary has more than 2^31 tokens or merges, or 4 GiB of text");
    v->n_slots = aios__slots_for(n);
    v->n_merge_slots = aios__slots_for(m);
    v->off = (uint32_t *)aios__take(mem, n * 4, 8);
    v->attr = (uint8_t *)aios__take(mem, n, 8);
    v->slot = (uint32_t *)aios__take(mem, (uint64_t)v->n_slots * 4, 8);
    v->merge_slot = (uint32_t *)aios__take(mem, (uint64_t)v->n_merge_slots * 4, 8);
    v->merge = (aios__merge *)aios__take(mem, m * sizeof(aios__merge), 8);
    if (!mem->base) return AIOS_OK;

    const aios__key *k = aios__key_find(g, "tokenizer.ggml.model");
    if (!k) return AIOS_OK;
    if (!aios__key_str(k, &v->model))
        return aios__vocab_bad(err, k, AIOS__STR, k->type, "is no string");
    if (aios__str_eq(v->model, "none") || aios__str_eq(v->model, "no_vocab")) return AIOS_OK;
    v->kind = aios__str_eq(v->model, "llama")  ? AIOS__VOCAB_SPM
              : aios__str_eq(v->model, "gpt2") ? AIOS__VOCAB_BPE
                                               : AIOS__VOCAB_OTHER;
    aios__key_str(aios__key_find(g, "tokenizer.ggml.pre"), &v->pre_name);
    if (v->kind == AIOS__VOCAB_BPE) v->pre = aios__pre_find(v->pre_name);
    if ((st = aios__load_tokens(v, g, size, err)) != AIOS_OK) return st;
    if (v->kind != AIOS__VOCAB_OTHER && (st = aios__load_hash(v, g, log, err)) != AIOS_OK)
        return st;
    if (v->kind == AIOS__VOCAB_BPE && (st = aios__load_merges(v, g, m, err)) != AIOS_OK) return st;
    return aios__load_special(v, g, log, err);
}

AIOS__SMALL_END

/* How many tokens there are; 0 = no tokenizer. */
static inline uint64_t aios__vocab_size(const aios__vocab *v) { return (uint64_t)v->n_tokens; }

static inline void aios__vocab_info(const aios__vocab *v, aios_model_info *i) {
    i->n_tokens = v->n_tokens;
    i->bos = v->bos;
    i->eos = v->eos;
    i->eot = v->eot;
    i->pad = v->pad;
    i->unk = v->unk;
    i->add_bos = v->add_bos;
    i->add_eos = v->add_eos;
}
