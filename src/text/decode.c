/* decode.c: token ids -> text, a token at a time: what a token adds goes through aios_detok, which
 * holds the bytes of a character that is not whole yet. Behind vocab.c. */

typedef struct aios__out {
    char *p;
    uint64_t cap, n;
    aios_detok st;
    int32_t raw, skip_space;
} aios__out;

static inline void aios__out_put(aios__out *o, const void *s, uint32_t n) {
    if (n <= o->cap && o->n <= o->cap - n) memcpy(o->p + o->n, s, n);
    o->n += n;
}
/* One byte of the stream: whole characters come out, and U+FFFD for each longest start of one
 * that is not continued. */
static inline void aios__out_byte(aios__out *o, uint8_t b) {
    uint8_t low, high;
    if (o->skip_space) {
        o->skip_space = 0;
        if (b == ' ') return;
    }
    if (o->raw) {
        aios__out_put(o, &b, 1);
        return;
    }
    if (o->st.n_bytes) {
        uint32_t more = aios__utf8_more(o->st.bytes[0], &low, &high);
        if (o->st.n_bytes > 1) {
            low = 0x80;
            high = 0xBF;
        }
        if (b >= low && b <= high) {
            o->st.bytes[o->st.n_bytes++] = b;
            if (o->st.n_bytes == more + 1) {
                aios__out_put(o, o->st.bytes, more + 1);
                o->st.n_bytes = 0;
            }
            return;
        }
        aios__out_put(o, "\xEF\xBF\xBD", 3);
        o->st.n_bytes = 0;
    }
    if (b < 0x80)
        aios__out_put(o, &b, 1);
    else if (aios__utf8_more(b, &low, &high)) {
        o->st.bytes[0] = b;
        o->st.n_bytes = 1;
    } else
        aios__out_put(o, "\xEF\xBF\xBD", 3);
}
static inline int32_t aios__hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static inline void aios__out_token(const aios__vocab *v, aios__out *o, int32_t id) {
    aios__str s = aios__vocab_text(v, id);
    uint32_t type = v->attr[id] & AIOS__T_TYPE, len;
    if (type == AIOS__T_BYTE && s.n == 6 && s.p[0] == '<' && aios__hex(s.p[3]) >= 0 &&
        aios__hex(s.p[4]) >= 0) {
        aios__out_byte(o, (uint8_t)(aios__hex(s.p[3]) << 4 | aios__hex(s.p[4])));
        return;
    }
    for (uint64_t i = 0; i < s.n; i += len) {
        uint32_t cp = aios__utf8(s.p + i, s.n - i, &len);
        int32_t b = type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_BPE && !(len == 1 && cp >= 128)
                        ? aios__char_byte(cp)
                        : -1;
        if (type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_SPM && cp == 0x2581) b = ' ';
        if (b >= 0)
            aios__out_byte(o, (uint8_t)b);
        else
            for (uint32_t j = 0; j < len; j++) aios__out_byte(o, (uint8_t)s.p[i + j]);
    }
}
/* See aios_detokenize. Control and unknown tokens are silent unless AIOS_DETOK_SPECIAL; so are
 * unused ones. The space that tokenizing put in front of a text is taken from the first token
 * that has text, where AIOS_DETOK_BEGIN says that it begins. */
static inline int64_t aios__detokenize(const aios__vocab *v, aios_detok *st, int32_t id, char *out,
                                       uint64_t cap) {
    aios__out o;
    aios_status s = aios__vocab_usable(v, NULL);
    if (s != AIOS_OK) return s;
    if ((!out && cap) || id < -1 || id >= v->n_tokens || (st && st->n_bytes > 3))
        return AIOS_ERR_ARG;
    memset(&o, 0, sizeof o);
    o.p = out;
    o.cap = cap;
    o.raw = !st;
    if (st) o.st = *st;
    if (id < 0) {
        if (o.st.n_bytes) aios__out_put(&o, "\xEF\xBF\xBD", 3);
        o.st.n_bytes = 0;
    } else {
        uint32_t type = v->attr[id] & AIOS__T_TYPE;
        if (st && (type == AIOS__T_UNUSED || type == AIOS__T_UNDEFINED)) return 0;
        if (st && !(st->flags & AIOS_DETOK_SPECIAL) &&
            (type == AIOS__T_CONTROL || type == AIOS__T_UNKNOWN))
            return 0;
        o.skip_space = st && v->add_space && (st->flags & AIOS_DETOK_BEGIN);
        aios__out_token(v, &o, id);
        o.st.flags &= ~(uint32_t)AIOS_DETOK_BEGIN;
    }
    if (o.n > cap) return AIOS_ERR_FULL;
    if (st) *st = o.st;
    return (int64_t)o.n;
}
static inline const char *aios__token_text(const aios__vocab *v, int32_t id, uint64_t *n_bytes) {
    if (id < 0 || id >= v->n_tokens) return NULL;
    aios__str s = aios__vocab_text(v, id);
    *n_bytes = s.n;
    return s.p;
}
static inline int32_t aios__token_is_end(const aios__vocab *v, int32_t id) {
    return id >= 0 && id < v->n_tokens && (v->attr[id] & AIOS__T_END) != 0;
}
