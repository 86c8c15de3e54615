/* encode.c: text -> token ids. Behind vocab.c: special tokens are found, text between them is cut
 * into words (words.c), the characters or bytes of a word are joined to tokens.
 *
 * Where the model's own tokenizer composes text (NFC), so does this one, word by word, and only
 * the words that are not composed already.
 *
 * Nothing here allocates: words and texts of any length go through one window on the stack
 * (aios__window, 34 KiB), see aios__piece for why the result is exactly that of joining the
 * whole text at once. */

/* ---- joining ---- */

typedef struct aios__ids {
    int32_t *p;
    uint64_t max, n;
} aios__ids;
static inline void aios__push(aios__ids *o, int32_t id) {
    if (o->n < o->max) o->p[o->n] = id;
    o->n++;
}

/* A stretch of text being joined. Symbol i is what began as character i (SentencePiece) or byte
 * i; joining it with the next one removes that one. The tree holds in leaf i how urgent joining
 * i with its right neighbour is, and above it the smallest of each half, so that the first of
 * the most urgent is found and replaced in log steps. */
typedef struct aios__window {
    uint32_t n, size;                   /* symbols at first; leaves of the tree, a power of two */
    uint64_t base;                      /* where in the text it starts */
    int32_t id[AIOS__WINDOW_SYMBOLS];   /* token of the symbol; -1 = none */
    int32_t join[AIOS__WINDOW_SYMBOLS]; /* token of it and its right neighbour */
    uint32_t tree[2 * AIOS__WINDOW_SYMBOLS];
    uint16_t prev[AIOS__WINDOW_SYMBOLS], next[AIOS__WINDOW_SYMBOLS];
    uint16_t at[AIOS__WINDOW_SYMBOLS + 1];  /* where it starts in text[] */
    uint16_t src[AIOS__WINDOW_SYMBOLS + 1]; /* where it starts in the source, from base */
    /* SentencePiece: the text with U+2581 for spaces; else composed text */
    char text[4 * AIOS__WINDOW_SYMBOLS];
    uint32_t n_done; /* tokens of the window before, or of this one at last */
    int32_t done[AIOS__WINDOW_SYMBOLS];
    uint16_t done_at[AIOS__WINDOW_SYMBOLS + 1]; /* where they start in the source, from base */
} aios__window;

#define AIOS__NEVER 0xFFFFFFFFu

/* How urgent it is to join symbols i and j: smaller is sooner. */
static inline uint32_t aios__urgency(const aios__vocab *v, aios__window *w, uint32_t i) {
    uint32_t j = w->next[i];
    if (j >= w->n) return AIOS__NEVER;
    if (v->kind == AIOS__VOCAB_BPE) {
        int32_t rank = aios__merge_find(v, w->id[i], w->id[j]);
        if (rank < 0) return AIOS__NEVER;
        w->join[i] = aios__joined(v, v->merge[rank].id);
        return w->join[i] < 0 ? AIOS__NEVER : (uint32_t)rank;
    }
    w->join[i] = aios__joined(v, aios__token_find(v, w->text + w->at[i],
                                                  (uint64_t)(w->at[w->next[j]] - w->at[i])));
    if (w->join[i] < 0) return AIOS__NEVER;
    uint32_t u = 0;
    if (v->score_p) {
        float f;
        memcpy(&f, v->score_p + (uint64_t)(uint32_t)w->join[i] * 4, 4);
        if (f != f) return AIOS__NEVER - 1; /* NaN: last */
        f += 0.0f;                          /* -0 is 0 */
        memcpy(&u, &f, 4);
    }
    return u & 0x80000000u ? u : 0x7FFFFFFFu - u; /* orders floats from the highest down */
}
static inline void aios__tree_set(aios__window *w, uint32_t leaf, uint32_t x) {
    uint32_t t = w->size + leaf;
    w->tree[t] = x;
    while (t > 1) {
        uint32_t least;
        t >>= 1;
        least = w->tree[2 * t] <= w->tree[2 * t + 1] ? w->tree[2 * t] : w->tree[2 * t + 1];
        if (w->tree[t] == least) break;
        w->tree[t] = least;
    }
}
/* Joins s[base, n) as far as the window reaches. space: a space goes in front (SentencePiece,
 * base 0 only). */
static inline void aios__join(const aios__vocab *v, aios__window *w, const char *s, uint64_t n,
                              uint64_t base, int32_t space) {
    uint32_t i, at = 0, k = 0, len;
    uint64_t p = base;
    w->base = base;
    for (; k < AIOS__WINDOW_SYMBOLS && (p < n || space); k++) {
        w->src[k] = (uint16_t)(p - base);
        w->at[k] = (uint16_t)at;
        w->prev[k] = (uint16_t)(k - 1);
        w->next[k] = (uint16_t)(k + 1);
        if (v->kind == AIOS__VOCAB_BPE) {
            w->id[k] = v->byte_id[(uint8_t)s[p++]];
            continue;
        }
        if (space || s[p] == ' ') {
            memcpy(w->text + at, "\xE2\x96\x81", 3);
            len = 3;
            p += !space;
            space = 0;
        } else {
            aios__utf8(s + p, n - p, &len);
            memcpy(w->text + at, s + p, len);
            p += len;
        }
        w->id[k] = aios__joined(v, aios__token_find(v, w->text + at, len));
        at += len;
    }
    w->src[k] = (uint16_t)(p - base);
    w->at[k] = (uint16_t)at;
    w->n = k;
    for (w->size = 1; w->size < k; w->size *= 2) {}
    for (i = 0; i < w->size; i++)
        w->tree[w->size + i] = i < k ? aios__urgency(v, w, i) : AIOS__NEVER;
    for (i = w->size - 1; i > 0; i--)
        w->tree[i] = w->tree[2 * i] <= w->tree[2 * i + 1] ? w->tree[2 * i] : w->tree[2 * i + 1];
    while (w->tree[1] != AIOS__NEVER) {
        uint32_t t = 1, j;
        while (t < w->size) t = 2 * t + (w->tree[2 * t] > w->tree[2 * t + 1]);
        i = t - w->size;
        j = w->next[i];
        w->id[i] = w->join[i];
        w->next[i] = w->next[j];
        if (w->next[j] < w->n) w->prev[w->next[j]] = (uint16_t)i;
        aios__tree_set(w, j, AIOS__NEVER);
        aios__tree_set(w, i, aios__urgency(v, w, i));
        if (i > 0) aios__tree_set(w, w->prev[i], aios__urgency(v, w, w->prev[i]));
    }
}
/* The window's tokens from symbol i on become the done ones. */
static inline void aios__keep(aios__window *w, uint32_t i) {
    uint32_t k = 0;
    for (; i < w->n; i = w->next[i], k++) {
        w->done[k] = w->id[i];
        w->done_at[k] = w->src[i];
    }
    w->done_at[k] = w->src[w->n];
    w->n_done = k;
}
static inline void aios__push_done(const aios__vocab *v, const aios__window *w, const char *s,
                                   uint64_t base, uint32_t n, aios__ids *o) {
    for (uint32_t k = 0; k < n; k++) {
        const char *p = s + base + w->done_at[k];
        uint32_t len = (uint32_t)(w->done_at[k + 1] - w->done_at[k]);
        if (w->done[k] >= 0) {
            aios__push(o, w->done[k]);
            continue;
        }
        if (v->kind == AIOS__VOCAB_SPM && (len == 0 || *p == ' ')) {
            p = "\xE2\x96\x81";
            len = 3;
        }
        for (; len; len--) {
            int32_t id = v->byte_id[(uint8_t)*p++];
            /* neither: left out, as in llama.cpp */
            if (id >= 0 || v->unk >= 0) aios__push(o, id >= 0 ? id : v->unk);
        }
    }
}
/* Tokens of one piece of text (a word; for SentencePiece all text between special tokens), of
 * any length.
 *
 * Exact, though only 1024 symbols are looked at together. Joining a stretch of text that starts
 * and ends between two of the result's tokens gives just these tokens: joins inside it come in
 * the same order, and none reaches across. So a sequence of tokens is the result if and only if
 * any two neighbours, joined alone, stay as they are. If two windows overlap and one token has
 * the same place in both, the tokens of the first up to it and of the second from it on have
 * that property, hence are the result for both windows together. Where they have no token in
 * common, the second starts earlier; AIOS_ERR_LIMIT if even 768 symbols of overlap are not
 * enough (no known vocabulary; it takes joins that depend on each other so far ahead). From:
 * Berglund and van der Merwe, "Formalizing BPE tokenization" (2023), for ranks; the argument
 * holds for scores too. */
AIOSK__NOINLINE static aios_status aios__piece(const aios__vocab *v, aios__window *w, const char *s,
                                               uint64_t n, int32_t space, aios__ids *o,
                                               aios_error *err) {
    aios__join(v, w, s, n, 0, space);
    aios__keep(w, 0);
    while (w->base + w->src[w->n] < n) {
        uint64_t base = w->base;
        uint32_t overlap, r, k = 0, i = 0, reach = w->done_at[w->n_done];
        int32_t found = 0;
        for (overlap = 256; overlap < AIOS__WINDOW_SYMBOLS && !found; overlap += 256) {
            uint32_t goal = reach - reach * overlap / AIOS__WINDOW_SYMBOLS;
            for (r = w->n_done - 1; r > 0 && w->done_at[r] > goal; r--) {}
            if (w->done_at[r] == 0) break; /* would start where the last one did */
            aios__join(v, w, s, n, base + w->done_at[r], 0);
            for (k = r, i = 0; k < w->n_done && i < w->n && !found;) {
                uint32_t a = w->done_at[k], b = (uint32_t)w->done_at[r] + w->src[i];
                if (a == b && w->done[k] == w->id[i])
                    found = 1;
                else if (a <= b)
                    k++;
                else
                    i = w->next[i];
            }
        }
        if (!found)
            return aios__fail1(
                err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                "the tokens of a run of % bytes without a break depend on what follows more than "
                "768 characters later",
                aios__u(n));
        aios__push_done(v, w, s, base, k, o);
        aios__keep(w, i);
    }
    aios__push_done(v, w, s, w->base, w->n_done, o);
    return AIOS_OK;
}

/* ---- text to ids ---- */

/* The longest special token at s, its length in *len; -1 = none. User-defined tokens always
 * count. */
static inline int32_t aios__special_at(const aios__vocab *v, const char *s, uint64_t n,
                                       uint32_t flags, uint64_t *len) {
    uint32_t h = 2166136261u, max = (uint32_t)aios__min_u64(n, AIOS__MAX_SPECIAL);
    int32_t best = -1;
    if (!aios__bit(v->first, (uint8_t)s[0]) ||
        (!aios__bit(v->length, 1) && (n < 2 || !aios__bit(v->second, (uint8_t)s[1]))))
        return -1;
    for (uint32_t i = 1; i <= max; i++) {
        int32_t id;
        uint32_t type;
        h = aios__fnv(h, (uint8_t)s[i - 1]);
        if (!aios__bit(v->length, i) || (id = aios__find_hashed(v, h, s, i)) < 0) continue;
        type = v->attr[id] & AIOS__T_TYPE;
        if (type == AIOS__T_USER ||
            ((flags & AIOS_TOK_SPECIAL) && (type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN))) {
            best = id;
            *len = i;
        }
    }
    return best;
}
/* Tokens of one word. */
AIOSK__NOINLINE static aios_status aios__word(const aios__vocab *v, aios__window *w, const char *s,
                                              uint64_t n, aios__ids *o, aios_error *err) {
    int32_t id = -1;
    if (n == 1)
        id = v->byte_id[(uint8_t)*s];
    else if (v->pre->flags & AIOS__PRE_WHOLE)
        id = aios__joined(v, aios__token_find_bytes(v, s, n));
    if (id < 0) return aios__piece(v, w, s, n, 0, o, err);
    aios__push(o, id);
    return AIOS_OK;
}
AIOS__SMALL_BEGIN
static inline aios_status aios__nfc_long(aios_error *err) {
    return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, "more than % marks on one character",
                       aios__u(AIOS__MAX_STRETCH));
}
/* Text to be composed, s[src, n), behind the len bytes that w->text has, as much as fits. *kept:
 * from there on w->text is as the text is. */
static inline void aios__compose(aios__window *w, const char *s, uint64_t n, uint64_t *src,
                                 uint64_t *odd, uint32_t *len, uint32_t *kept) {
    while (*src < n && *odd != UINT64_MAX) {
        if (*src < *odd) {
            uint32_t k = (uint32_t)aios__min_u64(*odd - *src, sizeof w->text - *len), i;
            /* whole characters */
            for (i = 0; i < 3 && k && *src + k < *odd && ((uint8_t)s[*src + k] & 0xC0) == 0x80; i++)
                k--;
            memcpy(w->text + *len, s + *src, k);
            *len += k;
            *src += k;
            if (*src < *odd) break;
        } else {
            uint64_t used;
            uint32_t m = aios__nfc_stretch(s + *src, n - *src, w->tree, &used), i, at = *len;
            for (i = 0; i < m && at + 4 <= sizeof w->text; i++)
                at += aios__utf8_put(w->text + at, w->tree[i]);
            if (i < m) break;
            *len = *kept = at;
            *src += used;
            *odd = aios__nfc_next(s, *src, n, w->tree);
        }
    }
}
/* Does the word t[b, q) depend on what follows t[0, len)? Spaces do on all spaces behind them,
 * others on the character behind them at the most, and on three bytes after "'". */
static inline int32_t aios__word_open(const char *t, uint64_t b, uint64_t q, uint64_t len) {
    while (b < q && aios__char_at(t, b, q).cls == AIOS__C_SPACE) b += aios__char_at(t, b, q).len;
    if (b < q) return q + 3 > len;
    while (q < len && aios__char_at(t, q, len).cls == AIOS__C_SPACE)
        q += aios__char_at(t, q, len).len;
    return q == len;
}
/* The words from s[*p] on, where the first reaches into what composing changes (from *odd on),
 * up to one that begins where nothing changes. They are cut in w->text; those that depend on
 * what follows there wait until it is there too. Classes of first characters are as in the text
 * that is not composed (tools/nfc.py sees to it): a word of that text that ends before *odd or
 * there is one. */
AIOSK__NOINLINE static aios_status aios__composed_words(const aios__vocab *v, aios__window *w,
                                                        const char *s, uint64_t n, uint64_t *p,
                                                        uint64_t *odd, aios__ids *o,
                                                        aios_error *err) {
    uint64_t src = *p, q;
    uint32_t len = 0, kept = 0, b = 0;
    aios_status st;
    for (;;) {
        uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 };
        memmove(w->text, w->text + b, len - b);
        len -= b;
        kept -= b;
        b = 0;
        aios__compose(w, s, n, &src, odd, &len, &kept);
        if (*odd == UINT64_MAX) return aios__nfc_long(err);
        for (; b < kept; b = (uint32_t)q) {
            q = aios__pre_next(v->pre, bound, w->text, b, len);
            if (src < n && aios__word_open(w->text, b, q, len)) break;
            if ((st = aios__word(v, w, w->text + b, q - b, o, err)) != AIOS_OK) return st;
        }
        if (b == 0)
            return aios__fail1(err, AIOS_ERR_LIMIT, AIOS__NO_OFF,
                               "a word to be composed has more than about % bytes",
                               aios__u(sizeof w->text));
        if (b >= kept) break;
    }
    *p = src - (len - b);
    return AIOS_OK;
}
AIOS__SMALL_END
/* Text without special tokens. */
static inline aios_status aios__plain(const aios__vocab *v, const char *s, uint64_t n,
                                      int32_t space, aios__ids *o, aios_error *err) {
    uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 }, p = 0, odd = n;
    aios__window w;
    aios_status st;
    if (v->kind == AIOS__VOCAB_SPM) return aios__piece(v, &w, s, n, space, o, err);
    if (v->pre->flags & AIOS__PRE_NFC) odd = aios__nfc_next(s, 0, n, w.tree);
    if (odd == UINT64_MAX) return aios__nfc_long(err);
    while (p < n) {
        uint64_t q = aios__pre_next(v->pre, bound, s, p, n);
        if (q <= odd) {
            st = aios__word(v, &w, s + p, q - p, o, err);
            p = q;
        } else {
            st = aios__composed_words(v, &w, s, n, &p, &odd, o, err);
            memset(bound, 0, sizeof bound);
        }
        if (st != AIOS_OK) return st;
    }
    return AIOS_OK;
}
static inline aios_status aios__vocab_usable(const aios__vocab *v, aios_error *err) {
    if (v->kind == AIOS__VOCAB_NONE)
        return aios__fail(err, AIOS_ERR_VOCAB, AIOS__NO_OFF, "the model has no tokenizer");
    if (v->kind == AIOS__VOCAB_OTHER)
        return aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                           "tokenizer.ggml.model '%' is not supported", aios__s(v->model));
    return AIOS_OK;
}
/* Can text become ids? An unknown pre-tokenizer stops that, but not the way back. */
static inline aios_status aios__vocab_encodes(const aios__vocab *v, aios_error *err) {
    aios_status st = aios__vocab_usable(v, err);
    if (!st && v->kind == AIOS__VOCAB_BPE && !v->pre)
        st = aios__fail1(err, AIOS_ERR_UNSUPPORTED, AIOS__NO_OFF,
                         "tokenizer.ggml.pre '%' is not supported", aios__s(v->pre_name));
    return st;
}
/* See aios_tokenize. Special tokens: the leftmost, of those at one place the longest (unlike
 * llama.cpp, which looks for the longest anywhere first: another result only where two special
 * tokens overlap). */
static inline int64_t aios__tokenize(const aios__vocab *v, const char *text, uint64_t n_text,
                                     uint32_t flags, int32_t *ids, uint64_t max_ids,
                                     aios_error *err) {
    int32_t any = v->has_user || (flags & AIOS_TOK_SPECIAL), space = v->add_space;
    uint64_t p = 0, q;
    aios__ids o;
    aios_status st;
    if ((!text && n_text) || (!ids && max_ids) ||
        (flags & ~(uint32_t)(AIOS_TOK_SPECIAL | AIOS_TOK_BOS | AIOS_TOK_EOS)))
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF,
                          "text or ids is NULL, or a flag is unknown");
    if ((st = aios__vocab_encodes(v, err)) != AIOS_OK) return st;
    o.p = ids;
    o.max = max_ids;
    o.n = 0;
    if ((flags & AIOS_TOK_BOS) && v->add_bos) aios__push(&o, v->bos);
    while (p < n_text) {
        int32_t id = -1;
        uint64_t len = 0;
        for (q = any ? p : n_text;
             q < n_text && (id = aios__special_at(v, text + q, n_text - q, flags, &len)) < 0; q++) {
        }
        if (q > p) {
            if ((st = aios__plain(v, text + p, q - p, space, &o, err)) != AIOS_OK) return st;
            space = 0;
        }
        p = q;
        if (id < 0) continue;
        /* a text that brings its bos gets no second */
        if (p > 0 || o.n == 0 || id != v->bos) aios__push(&o, id);
        p += len;
        if (v->attr[id] & AIOS__T_RSTRIP)
            while (p < n_text && aios__ascii_class[text[p] & 0x7F] == AIOS__C_SPACE &&
                   (uint8_t)text[p] < 0x80)
                p++;
        space = v->add_space;
    }
    if ((flags & AIOS_TOK_EOS) && v->add_eos) aios__push(&o, v->eos);
    return (int64_t)o.n;
}
