/* gguf.c: bytes -> keys and a tensor directory. Between io.c and vocab.c/model.c; knows the file
 * format (versions 2 and 3, little-endian), not what keys and tensors mean.
 *
 * One scanner reads a part's header field by field and checks everything it sees. It runs twice:
 * over a window on the stack (aios__gguf_measure: how much memory will be needed), then over the
 * header bytes in memory, filling the arrays (aios__gguf_load). The second pass repeats every
 * check and must count what the first one counted, so that a file that changes in between is an
 * error and nothing else. What needs memory is checked in load only: no two keys or tensors of
 * one name, no two tensors in the same bytes. No recursion, no allocation. Time is O(header
 * bytes * log entries), whatever the file says.
 *
 * When aios_io.map gives the header, keys and names are views into those bytes, which must then
 * stay as they are. */

enum {
    AIOS__WINDOW = 4096,        /* one page of stack; a vocabulary of 10 MB then takes 2500 reads */
    AIOS__MAX_KEY_NAME = 65535, /* the format's own limit */
    AIOS__MAX_TENSOR_NAME = 63, /* ggml's, with the zero byte 64 */
    AIOS__MAX_ALIGNMENT = 1 << 20,
    AIOS__MAX_DEPTH = 8,                 /* of arrays in an array */
    AIOS__MIN_KEY_BYTES = 8 + 1 + 4 + 1, /* name of 1, type, value of 1 */
    /* name of 1, n_dims, one dimension, type, offset */
    AIOS__MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8
};

/* of a fixed-size value; 0 for strings and arrays */
static inline uint32_t aios__value_bytes(uint32_t type) {
    static const uint8_t bytes[AIOS__N_VALUE_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return type < AIOS__N_VALUE_TYPES ? bytes[type] : 0;
}

/* ---- values ----
 * 1 = found and of the right type, *out is set; 0 = NULL key or another type, *out is left
 * alone. */

static inline int32_t aios__item_i64(const aios__key *k, uint64_t i, int64_t *out, int32_t *above) {
    *above = 0; /* 1: a u64 above INT64_MAX, *out holds its bits */
    if (!k || i >= k->n) return 0;
    const uint8_t *p = k->p + i * aios__value_bytes(k->type);
    switch (k->type) {
    case AIOS__U8: *out = p[0]; return 1;
    case AIOS__I8: {
        int8_t v;
        memcpy(&v, p, 1);
        *out = v;
        return 1;
    }
    case AIOS__U16: {
        uint16_t v;
        memcpy(&v, p, 2);
        *out = v;
        return 1;
    }
    case AIOS__I16: {
        int16_t v;
        memcpy(&v, p, 2);
        *out = v;
        return 1;
    }
    case AIOS__U32: {
        uint32_t v;
        memcpy(&v, p, 4);
        *out = v;
        return 1;
    }
    case AIOS__I32: {
        int32_t v;
        memcpy(&v, p, 4);
        *out = v;
        return 1;
    }
    case AIOS__U64:
    case AIOS__I64:
        memcpy(out, p, 8);
        *above = k->type == AIOS__U64 && *out < 0;
        return 1;
    default: return 0;
    }
}
/* Item i of an array of any integer type; a scalar counts as an array of one. Negative numbers
 * are no u64. */
static inline int32_t aios__key_item_u64(const aios__key *k, uint64_t i, uint64_t *out) {
    int64_t v = 0;
    int32_t above;
    if (!aios__item_i64(k, i, &v, &above) || (v < 0 && !above)) return 0;
    *out = (uint64_t)v;
    return 1;
}
static inline int32_t aios__key_item_i64(const aios__key *k, uint64_t i, int64_t *out) {
    int64_t v = 0;
    int32_t above;
    if (!aios__item_i64(k, i, &v, &above) || above) return 0;
    *out = v;
    return 1;
}
/* Any number, integers too; NaN and infinities come as they are. */
static inline int32_t aios__key_item_f64(const aios__key *k, uint64_t i, double *out) {
    int64_t v = 0;
    int32_t above;
    if (!k || i >= k->n) return 0;
    if (k->type == AIOS__F32) {
        float f;
        memcpy(&f, k->p + i * 4, 4);
        *out = (double)f;
        return 1;
    }
    if (k->type == AIOS__F64) {
        memcpy(out, k->p + i * 8, 8);
        return 1;
    }
    if (!aios__item_i64(k, i, &v, &above)) return 0;
    *out = above ? (double)(uint64_t)v : (double)v;
    return 1;
}
static inline int32_t aios__key_item_bool(const aios__key *k, uint64_t i, int32_t *out) {
    if (!k || i >= k->n || k->type != AIOS__BOOL) return 0;
    *out = k->p[i] != 0;
    return 1;
}
/* Scalars only. */
static inline int32_t aios__key_u64(const aios__key *k, uint64_t *out) {
    return k && !k->is_array && aios__key_item_u64(k, 0, out);
}
static inline int32_t aios__key_i64(const aios__key *k, int64_t *out) {
    return k && !k->is_array && aios__key_item_i64(k, 0, out);
}
static inline int32_t aios__key_f64(const aios__key *k, double *out) {
    return k && !k->is_array && aios__key_item_f64(k, 0, out);
}
static inline int32_t aios__key_bool(const aios__key *k, int32_t *out) {
    return k && !k->is_array && aios__key_item_bool(k, 0, out);
}

static inline int32_t aios__key_str(const aios__key *k, aios__str *out) {
    if (!k || k->is_array || k->type != AIOS__STR) return 0;
    const uint8_t *p = k->p;
    *out = aios__key_next_str(&p);
    return 1;
}

/* ---- names ---- */

/* Order of names: bytes, then length. */
static inline int32_t aios__name_cmp(aios__str a, aios__str b) {
    uint64_t n = aios__min_u64(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, (size_t)n) : 0;
    return c ? (c < 0 ? -1 : 1) : a.n < b.n ? -1 : a.n > b.n;
}
/* The same for a against head followed by tail: "llama" ".block_count". */
static inline int32_t aios__name_cmp2(aios__str a, aios__str head, aios__str tail) {
    aios__str a1 = a;
    a1.n = aios__min_u64(a.n, head.n);
    int32_t c = aios__name_cmp(a1, head);
    if (c) return c;
    a.p += a1.n;
    a.n -= a1.n;
    return aios__name_cmp(a, tail);
}
/* The key called head + tail, or NULL. */
static inline const aios__key *aios__key_find2(const aios__gguf *g, aios__str head,
                                               const char *tail) {
    uint32_t low = 0, high = g->n_keys;
    aios__str t;
    t.p = tail;
    t.n = strlen(tail);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const aios__key *k = &g->key[g->key_by_name[mid]];
        int32_t c = aios__name_cmp2(k->name, head, t);
        if (c == 0) return k;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
static inline const aios__key *aios__key_find(const aios__gguf *g, const char *name) {
    aios__str none;
    none.p = "";
    none.n = 0;
    return aios__key_find2(g, none, name);
}
static inline const aios__tensor *aios__tensor_find(const aios__gguf *g, aios__str name) {
    uint32_t low = 0, high = g->n_tensors;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const aios__tensor *t = &g->tensor[g->tensor_by_name[mid]];
        int32_t c = aios__name_cmp(t->name, name);
        if (c == 0) return t;
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
/* Where the fields of a directory entry stand in the file, for messages. */
static inline uint64_t aios__tensor_dims_off(const aios__tensor *t) {
    return t->dir_off + 8 + t->name.n + 4;
}
static inline uint64_t aios__tensor_type_off(const aios__tensor *t) {
    return aios__tensor_dims_off(t) + 8 * (uint64_t)t->n_dims;
}
/* Where a key's entry (its name's length) begins. */
static inline uint64_t aios__key_entry_off(const aios__key *k) {
    return k->off - (k->is_array ? 16u : 4u) - k->name.n - 8;
}

/* ---- the scanner ---- */

enum {
    AIOS__HAS_ALIGNMENT = 1,
    AIOS__HAS_SPLIT_NO = 2,
    AIOS__HAS_SPLIT_COUNT = 4,
    AIOS__HAS_SPLIT_TENSORS = 8,
    AIOS__HAS_TOKENS = 16,
    AIOS__HAS_MERGES = 32
};

/* Where and why a part was looked at, what was found. Zeros, then io, err, lim, part, n_parts,
 * end are set. */
typedef struct aios__scan {
    const aios_io *io;
    aios_error *err;
    aios_limits lim;
    uint32_t part, n_parts;
    /* only to be shown: types that are not known will do, and a part without the others */
    int32_t look;
    const uint8_t *p; /* bytes [base, base + n) of the file */
    uint64_t base, n;
    uint8_t *window;   /* [AIOS__WINDOW] where more is read to; NULL: p is the whole header */
    uint64_t pos, end; /* next byte; no header byte lies at or beyond end (end <= io->n_bytes) */

    char kind; /* what is being read, for messages: 'h'eader, 'k'ey, 't'ensor */
    uint32_t index, n_name;
    char name[96]; /* its name, cut */

    aios__key *key;       /* [max_keys]    filled in the second pass, or NULL */
    aios__tensor *tensor; /* [max_tensors] the same */
    uint32_t max_keys, max_tensors;
    /* told of each entry (its name is in s->name, its offset counts */
    aios_status (*visit)(struct aios__scan *s, const aios__tensor *t);
    void *visit_user; /* from the data's begin); NULL = nobody */

    uint32_t version, n_keys, n_tensors, has;
    uint64_t alignment, data_off;
    uint64_t split_no, split_count, split_tensors;
    uint64_t split_no_off, split_count_off, split_tensors_off;
    uint64_t n_tokens, n_merges, token_bytes;
    /* the tensor that reaches furthest: end from data_off, its offset field */
    uint64_t far_end, far_off;
    uint32_t far_index, n_far_name;
    char far_name[AIOS__MAX_TENSOR_NAME];
} aios__scan;

/* Fills the error record: "part 1, key 'a.b': what field (expected 1, got 2)"; the numbers only
 * where they differ. */
AIOS__COLD static aios_status aios__scan_fail(const aios__scan *s, aios_status code, uint64_t off,
                                              uint64_t expected, uint64_t got, const char *what,
                                              const char *field) {
    aios__text t;
    if (!s->err) return code;
    aios__fail2(s->err, code, off, expected, got, "", aios__u(0), aios__u(0));
    t.p = s->err->text;
    t.cap = sizeof s->err->text;
    t.n = 0;
    if (s->n_parts > 1) {
        aios__put_z(&t, "part ");
        aios__put_u(&t, (uint64_t)s->part + 1);
        aios__put_z(&t, ", ");
    }
    aios__put_z(&t, s->kind == 'k' ? "key " : s->kind == 't' ? "tensor " : "header");
    if (s->kind != 'h') {
        if (s->n_name) {
            aios__put_z(&t, "'");
            aios__put(&t, s->name, s->n_name);
            aios__put_z(&t, "'");
        } else
            aios__put_u(&t, s->index);
    }
    aios__put_z(&t, ": ");
    aios__put_z(&t, what);
    aios__put_z(&t, field);
    if (expected != got) {
        aios__put_z(&t, " (expected ");
        aios__put_u(&t, expected);
        aios__put_z(&t, ", got ");
        aios__put_u(&t, got);
        aios__put_z(&t, ")");
    }
    return code;
}
AIOS__COLD static aios_status aios__scan_bad(const aios__scan *s, uint64_t off, uint64_t expected,
                                             uint64_t got, const char *what) {
    return aios__scan_fail(s, AIOS_ERR_FORMAT, off, expected, got, what, "");
}
AIOS__COLD static aios_status aios__scan_changed(const aios__scan *s) {
    return aios__scan_fail(s, AIOS_ERR_IO, s->pos, 0, 0, "the file changed while it was being read",
                           "");
}

/* Are n more bytes of header there? Afterwards pos + n does not overflow. */
AIOS__COLD static aios_status aios__scan_short(const aios__scan *s, uint64_t n, const char *field) {
    uint64_t left = s->io->n_bytes - s->pos;
    if (n > left)
        return aios__scan_fail(s, AIOS_ERR_FORMAT, s->pos, n, left, "the file ends inside its ",
                               field);
    if (!s->window) return aios__scan_changed(s);
    return aios__scan_fail(s, AIOS_ERR_LIMIT, s->pos, s->end, s->pos + n,
                           "the header is longer than limits.max_header_bytes allows, at its ",
                           field);
}
static inline aios_status aios__scan_room(const aios__scan *s, uint64_t n, const char *field) {
    return n <= s->end - s->pos ? (aios_status)AIOS_OK : aios__scan_short(s, n, field);
}
/* A run of at least one and at most n bytes at pos, which moves behind it. n > 0; room for n has
 * been checked. */
static inline aios_status aios__scan_run(aios__scan *s, uint64_t n, const uint8_t **p,
                                         uint64_t *n_run) {
    if (s->pos < s->base || s->pos - s->base >= s->n) {
        aios_status st;
        if (!s->window) return aios__scan_changed(s);
        s->base = s->pos;
        s->n = 0;
        st = aios__io_read(s->io, s->pos, s->window, aios__min_u64(AIOS__WINDOW, s->end - s->pos),
                           s->err);
        if (st) return st;
        s->p = s->window;
        s->n = aios__min_u64(AIOS__WINDOW, s->end - s->pos);
    }
    *p = s->p + (s->pos - s->base);
    *n_run = aios__min_u64(n, s->n - (s->pos - s->base));
    s->pos += *n_run;
    return AIOS_OK;
}
/* One field of n bytes (at most 8). */
static inline aios_status aios__scan_get(aios__scan *s, void *dst, uint64_t n, const char *field) {
    const uint8_t *p = NULL;
    uint64_t got = 0;
    aios_status st = aios__scan_room(s, n, field);
    for (uint64_t done = 0; st == AIOS_OK && done < n; done += got) {
        st = aios__scan_run(s, n - done, &p, &got);
        if (st == AIOS_OK) memcpy((char *)dst + done, p, (size_t)got);
    }
    return st;
}
/* The name of a key or tensor, 1 to max bytes without a zero byte; a view in the second pass,
 * else only s->name. */
static inline aios_status aios__scan_name(aios__scan *s, uint64_t max, aios__str *view) {
    uint64_t len, at = s->pos, got = 0;
    const uint8_t *p = NULL;
    aios_status st;
    s->n_name = 0;
    view->p = "";
    view->n = 0;
    if ((st = aios__scan_get(s, &len, 8, "name length")) != AIOS_OK) return st;
    if (len == 0) return aios__scan_bad(s, at, 0, 0, "its name is empty");
    if (len > max) return aios__scan_bad(s, at, max, len, "its name is too long");
    if ((st = aios__scan_room(s, len, "name")) != AIOS_OK) return st;
    at = s->pos;
    for (uint64_t done = 0; done < len; done += got) {
        if ((st = aios__scan_run(s, len - done, &p, &got)) != AIOS_OK) return st;
        if (memchr(p, 0, (size_t)got)) {
            s->n_name = 0;
            return aios__scan_bad(s, at, 0, 0, "its name contains a zero byte");
        }
        if (done < sizeof s->name) {
            uint64_t n = aios__min_u64(got, sizeof s->name - done);
            memcpy(s->name + done, p, (size_t)n);
            s->n_name = (uint32_t)(done + n);
        }
    }
    if (!s->window) {
        view->p = (const char *)s->p + (at - s->base);
        view->n = len;
    }
    return AIOS_OK;
}

/* One of the keys that the format itself gives a meaning. k->p is valid for a number only. */
static inline aios_status aios__scan_special(aios__scan *s, const aios__key *k,
                                             uint64_t str_bytes) {
    static const char *const names[] = { "general.alignment",     "split.no",
                                         "split.count",           "split.tensors.count",
                                         "tokenizer.ggml.tokens", "tokenizer.ggml.merges" };
    aios__str name;
    uint64_t v = 0;
    uint32_t i;
    /* cut at 96, longer than any of these */
    name.p = s->name;
    name.n = s->n_name;
    for (i = 0; i < 6 && !aios__str_eq(name, names[i]); i++) {}
    if (i == 6) return AIOS_OK;
    if (s->has & (1u << i)) return aios__scan_bad(s, k->off, 0, 0, "is there twice");
    s->has |= 1u << i;
    if (i >= 4) {
        /* vocab.c will say so, should it need it */
        if (!k->is_array || k->type != AIOS__STR) return AIOS_OK;
        if (i == 4) {
            s->n_tokens = k->n;
            s->token_bytes = str_bytes;
        } else
            s->n_merges = k->n;
        return AIOS_OK;
    }
    if (i == 0) {
        if (k->is_array || k->type != AIOS__U32)
            return aios__scan_bad(s, k->off, AIOS__U32, k->is_array ? (uint64_t)AIOS__ARR : k->type,
                                  "must be of type u32");
        aios__key_u64(k, &v);
        if (v == 0 || v > AIOS__MAX_ALIGNMENT || (v & (v - 1)))
            return aios__scan_fail(s, AIOS_ERR_FORMAT, k->off, 0, v,
                                   "must be a power of two up to 1 MiB", "");
        s->alignment = v;
        return AIOS_OK;
    }
    if (!aios__key_u64(k, &v))
        return aios__scan_bad(s, k->off, 0, 0, "must be an integer, not negative");
    if (i == 1) {
        s->split_no = v;
        s->split_no_off = k->off;
    }
    if (i == 2) {
        s->split_count = v;
        s->split_count_off = k->off;
    }
    if (i == 3) {
        s->split_tensors = v;
        s->split_tensors_off = k->off;
    }
    return AIOS_OK;
}

/* Type and count of an array's items. */
static aios_status aios__scan_array(aios__scan *s, uint32_t *type, uint64_t *n) {
    uint64_t at = s->pos;
    aios_status st;
    if ((st = aios__scan_get(s, type, 4, "item type")) != AIOS_OK) return st;
    if (*type >= AIOS__N_VALUE_TYPES)
        return aios__scan_bad(s, at, AIOS__N_VALUE_TYPES - 1, *type, "unknown item type");
    at = s->pos;
    if ((st = aios__scan_get(s, n, 8, "item count")) != AIOS_OK) return st;
    uint64_t bytes = *type == AIOS__STR ? 8 : *type == AIOS__ARR ? 12 : aios__value_bytes(*type);
    if (*n > (s->io->n_bytes - s->pos) / bytes)
        return aios__scan_bad(s, at, (s->io->n_bytes - s->pos) / bytes, *n,
                              "more items than the rest of the file can hold");
    if (*n > s->lim.max_array_items)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, at, s->lim.max_array_items, *n,
                               "more items than limits.max_array_items allows", "");
    return AIOS_OK;
}
/* Passes over n values, no arrays. first [8]: a single number, or as it was; the strings' bytes
 * are added to str_bytes. */
static aios_status aios__scan_values(aios__scan *s, uint32_t type, uint64_t n, int32_t is_array,
                                     uint8_t *first, uint64_t *str_bytes) {
    uint64_t at, got = 0;
    const uint8_t *p = NULL;
    aios_status st;
    if (type == AIOS__STR) {
        for (uint64_t i = 0; i < n; i++) {
            uint64_t len;
            at = s->pos;
            /* nearly always */
            if (at - s->base < s->n && s->n - (at - s->base) >= 8) {
                memcpy(&len, s->p + (at - s->base), 8);
                s->pos += 8;
            } else if ((st = aios__scan_get(s, &len, 8, "string length")) != AIOS_OK)
                return st;
            if ((st = aios__scan_room(s, len, "string")) != AIOS_OK) {
                /* the length is what is wrong */
                if (s->err && st != AIOS_ERR_IO) s->err->offset = at;
                return st;
            }
            if (!is_array && len > s->lim.max_string_bytes)
                return aios__scan_fail(s, AIOS_ERR_LIMIT, at, s->lim.max_string_bytes, len,
                                       "the string is longer than limits.max_string_bytes allows",
                                       "");
            s->pos += len;
            *str_bytes += len;
        }
        return AIOS_OK;
    }
    uint64_t bytes =
        n * aios__value_bytes(type); /* cannot overflow: n was compared with the file's size */
    if ((st = aios__scan_room(s, bytes, "value")) != AIOS_OK) return st;
    at = s->pos;
    if (type == AIOS__BOOL) {
        for (uint64_t done = 0; done < bytes; done += got) {
            if ((st = aios__scan_run(s, bytes - done, &p, &got)) != AIOS_OK) return st;
            for (uint64_t i = 0; i < got; i++)
                if (p[i] > 1)
                    return aios__scan_bad(s, at + done + i, 1, p[i], "a bool is neither 0 nor 1");
        }
    } else if (!is_array) {
        if ((st = aios__scan_get(s, first, bytes, "value")) != AIOS_OK) return st;
    }
    s->pos = at + bytes;
    return AIOS_OK;
}
/* Passes over n arrays, in which there may be arrays again; nobody asks for what they hold.
 * left: arrays that are still to come, by depth. */
static aios_status aios__scan_nested(aios__scan *s, uint64_t n) {
    uint64_t left[AIOS__MAX_DEPTH], bytes = 0;
    uint8_t first[8];
    uint32_t type;
    int32_t d = 0;
    aios_status st;
    left[0] = n;
    while (d >= 0) {
        if (!left[d]) {
            d--;
            continue;
        }
        left[d]--;
        uint64_t at = s->pos;
        if ((st = aios__scan_array(s, &type, &n)) != AIOS_OK) return st;
        if (type != AIOS__ARR) {
            if ((st = aios__scan_values(s, type, n, 1, first, &bytes)) != AIOS_OK) return st;
        } else if (++d == AIOS__MAX_DEPTH)
            return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, at, 0, 0, "arrays in arrays, too deep",
                                   "");
        else
            left[d] = n;
    }
    return AIOS_OK;
}

static inline aios_status aios__scan_key(aios__scan *s, uint32_t index) {
    aios__key k;
    uint64_t str_bytes = 0;
    uint8_t first[8]; /* of a number, as k.p in the first pass */
    aios_status st;

    memset(&k, 0, sizeof k);
    memset(first, 0, sizeof first);
    s->kind = 'k';
    s->index = index;
    if ((st = aios__scan_name(s, AIOS__MAX_KEY_NAME, &k.name)) != AIOS_OK) return st;
    k.part = s->part;
    k.n = 1;
    uint64_t at = s->pos;
    if ((st = aios__scan_get(s, &k.type, 4, "value type")) != AIOS_OK) return st;
    if (k.type >= AIOS__N_VALUE_TYPES)
        return aios__scan_bad(s, at, AIOS__N_VALUE_TYPES - 1, k.type, "unknown value type");
    if (k.type == AIOS__ARR) {
        k.is_array = 1;
        if ((st = aios__scan_array(s, &k.type, &k.n)) != AIOS_OK) return st;
    }
    k.off = s->pos;
    st = k.type == AIOS__ARR
             ? aios__scan_nested(s, k.n)
             : aios__scan_values(s, k.type, k.n, (int32_t)k.is_array, first, &str_bytes);
    if (st) return st;
    k.p = first;
    k.n_bytes = s->pos - k.off;
    if ((st = aios__scan_special(s, &k, str_bytes)) != AIOS_OK) return st;
    if (s->key) {
        k.p = s->p + (k.off - s->base);
        s->key[index] = k;
    }
    return AIOS_OK;
}

static inline aios_status aios__scan_tensor(aios__scan *s, uint32_t index) {
    aios__tensor t;
    uint64_t n_weights = 1, end;
    aios_status st;

    memset(&t, 0, sizeof t);
    s->kind = 't';
    s->index = index;
    t.part = s->part;
    t.dir_off = s->pos;
    t.n[0] = t.n[1] = t.n[2] = t.n[3] = 1;
    if ((st = aios__scan_name(s, AIOS__MAX_TENSOR_NAME, &t.name)) != AIOS_OK) return st;
    uint64_t at = s->pos;
    if ((st = aios__scan_get(s, &t.n_dims, 4, "number of dimensions")) != AIOS_OK) return st;
    if (t.n_dims < 1 || t.n_dims > 4)
        return aios__scan_bad(s, at, t.n_dims < 1 ? 1 : 4, t.n_dims, "must have 1 to 4 dimensions");
    uint64_t dims_at = s->pos;
    for (uint32_t d = 0; d < t.n_dims; d++) {
        at = s->pos;
        if ((st = aios__scan_get(s, &t.n[d], 8, "dimensions")) != AIOS_OK) return st;
        if (t.n[d] == 0) return aios__scan_bad(s, at, 1, 0, "a dimension is zero");
        if (!aios__mul(n_weights, t.n[d], &n_weights))
            return aios__scan_bad(s, at, 0, t.n[d], "its number of weights overflows 64 bits");
    }
    at = s->pos;
    if ((st = aios__scan_get(s, &t.type, 4, "type")) != AIOS_OK) return st;
    const aiosk_type *type = t.type < AIOSK_N_TYPES ? aiosk_type_info((int32_t)t.type) : NULL;
    if (!type && !s->look)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, at, AIOSK_N_TYPES - 1, t.type,
                               "unknown tensor type", "");
    if (type && t.n[0] % type->n_weights)
        return aios__scan_fail(s, AIOS_ERR_FORMAT, dims_at, type->n_weights, t.n[0],
                               "its rows are no whole number of blocks of type ", type->name);
    if (type) t.row_bytes = aiosk_row_bytes((int32_t)t.type, t.n[0]);
    if (type && (t.row_bytes == 0 || !aios__mul(t.row_bytes, n_weights / t.n[0], &t.n_bytes)))
        return aios__scan_bad(s, dims_at, 0, n_weights, "its number of bytes overflows 64 bits");
    at = s->pos;
    if ((st = aios__scan_get(s, &t.off, 8, "data offset")) != AIOS_OK) return st;
    if (t.off & (s->alignment - 1))
        return aios__scan_bad(s, at, s->alignment, t.off,
                              "its data offset is no multiple of the file's alignment");
    if (!aios__add(t.off, type ? t.n_bytes : 1, &end))
        return aios__scan_bad(s, at, s->io->n_bytes, t.off, "its data lies outside the file");
    if (end > s->far_end) {
        s->far_end = end;
        s->far_off = at;
        s->far_index = index;
        s->n_far_name = s->n_name;
        memcpy(s->far_name, s->name, s->n_name);
    }
    if (s->tensor) s->tensor[index] = t;
    return s->visit ? s->visit(s, &t) : AIOS_OK;
}

/* A whole part: header, keys, and unless keys_only the directory. */
static inline aios_status aios__scan_part(aios__scan *s, int32_t keys_only) {
    uint8_t magic[4];
    uint64_t n_tensors, n_keys, reach;
    aios_status st;

    s->kind = 'h';
    s->pos = 0;
    s->alignment = 32;
    if ((st = aios__scan_get(s, magic, 4, "magic")) != AIOS_OK) return st;
    if (memcmp(magic, "GGUF", 4) != 0) return aios__scan_bad(s, 0, 0, 0, "not a GGUF file");
    if ((st = aios__scan_get(s, &s->version, 4, "version")) != AIOS_OK) return st;
    if (s->version != 0 && (s->version & 0xFFFFu) == 0)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, s->version, "a big-endian GGUF file",
                               "");
    if (s->version == 1)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, 1,
                               "GGUF version 1 is not read, only 2 and 3", "");
    if (s->version < 2 || s->version > 3)
        return aios__scan_fail(s, AIOS_ERR_UNSUPPORTED, 4, 3, s->version,
                               "a GGUF version that is not known, only 2 and 3 are", "");
    if ((st = aios__scan_get(s, &n_tensors, 8, "tensor count")) != AIOS_OK) return st;
    if ((st = aios__scan_get(s, &n_keys, 8, "key count")) != AIOS_OK) return st;
    uint64_t rest = s->io->n_bytes - s->pos;
    if (n_tensors > rest / AIOS__MIN_TENSOR_BYTES)
        return aios__scan_bad(s, 8, rest / AIOS__MIN_TENSOR_BYTES, n_tensors,
                              "more tensors than the file can hold");
    if (n_keys > rest / AIOS__MIN_KEY_BYTES)
        return aios__scan_bad(s, 16, rest / AIOS__MIN_KEY_BYTES, n_keys,
                              "more keys than the file can hold");
    if (n_tensors > s->lim.max_tensors)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, 8, s->lim.max_tensors, n_tensors,
                               "more tensors than limits.max_tensors allows", "");
    if (n_keys > s->lim.max_keys)
        return aios__scan_fail(s, AIOS_ERR_LIMIT, 16, s->lim.max_keys, n_keys,
                               "more keys than limits.max_keys allows", "");
    s->n_tensors = (uint32_t)n_tensors;
    s->n_keys = (uint32_t)n_keys;
    if (s->key && s->n_keys > s->max_keys) return aios__scan_changed(s);
    if (s->tensor && s->n_tensors > s->max_tensors) return aios__scan_changed(s);

    for (uint32_t i = 0; i < s->n_keys; i++)
        if ((st = aios__scan_key(s, i)) != AIOS_OK) return st;
    if (keys_only) return AIOS_OK;
    for (uint32_t i = 0; i < s->n_tensors; i++)
        if ((st = aios__scan_tensor(s, i)) != AIOS_OK) return st;

    if (s->n_tensors == 0) return AIOS_OK;
    s->kind = 't';
    s->index = s->far_index;
    s->n_name = s->n_far_name;
    memcpy(s->name, s->far_name, s->n_far_name);
    /* the data begins at the next multiple of the alignment; only now is it known where that is */
    s->data_off = s->pos + ((0 - s->pos) & (s->alignment - 1));
    if (s->data_off < s->pos || !aios__add(s->data_off, s->far_end, &reach) ||
        reach > s->io->n_bytes)
        return aios__scan_bad(s, s->far_off, s->io->n_bytes, s->data_off + s->far_end,
                              "its data lies outside the file");
    if (s->tensor)
        for (uint32_t i = 0; i < s->n_tensors; i++) s->tensor[i].off += s->data_off;
    return AIOS_OK;
}

/* The caller's limits with their defaults. lim: NULL or a whole struct (aios__desc_copy has been
 * there). */
static inline aios_limits aios__limits_of(const aios_limits *lim) {
    aios_limits l;
    aios_limits_init(&l);
    if (lim) l = *lim;
    if (!l.max_tensors) l.max_tensors = 65535;
    if (!l.max_keys) l.max_keys = 65535;
    if (!l.max_parts) l.max_parts = 256;
    if (!l.max_header_bytes) l.max_header_bytes = (uint64_t)1 << 30;
    if (!l.max_string_bytes) l.max_string_bytes = (uint64_t)1 << 20;
    if (!l.max_array_items) l.max_array_items = (uint64_t)1 << 24;
    if (!l.max_blocks) l.max_blocks = (uint64_t)1 << 24;
    return l;
}
static inline void aios__scan_init(aios__scan *s, const aios_io *io, uint32_t part,
                                   uint32_t n_parts, const aios_limits *lim, aios_error *err) {
    memset(s, 0, sizeof *s);
    s->io = io + part;
    s->part = part;
    s->n_parts = n_parts;
    s->err = err;
    s->lim = *lim;
    s->end = aios__min_u64(s->io->n_bytes, lim->max_header_bytes);
}
/* First pass over one part: reads through a window. Also for a part's header size, which is
 * s->pos afterwards. */
static inline aios_status aios__scan_windowed(aios__scan *s, int32_t keys_only) {
    uint8_t window[AIOS__WINDOW];
    s->window = window;
    aios_status st = aios__scan_part(s, keys_only);
    s->window = NULL;
    s->p = NULL;
    s->n = 0;
    return st;
}
/* Do the part's split.* keys agree with what the caller gave? */
static inline aios_status aios__scan_split(aios__scan *s) {
    s->kind = 'k';
    /* files merged again say 0 */
    if (s->n_parts == 1 && (s->look || s->split_count <= 1)) return AIOS_OK;
    s->n_name = 11;
    memcpy(s->name, "split.count", 11);
    if (!(s->has & AIOS__HAS_SPLIT_COUNT))
        return aios__scan_bad(s, 0, s->n_parts, 0, "is missing in a part of a split model");
    if (s->split_count != s->n_parts)
        return aios__scan_bad(s, s->split_count_off, s->n_parts, s->split_count,
                              "disagrees with the number of files given");
    s->n_name = 8;
    memcpy(s->name, "split.no", 8);
    if (!(s->has & AIOS__HAS_SPLIT_NO))
        return aios__scan_bad(s, 0, 0, 0, "is missing in a part of a split model");
    if (s->split_no != s->part)
        return aios__scan_bad(s, s->split_no_off, s->part, s->split_no,
                              "the parts are not in order");
    return AIOS_OK;
}

/* ---- the two passes ---- */

/* Reads and checks the headers of all parts through a page of stack; takes no memory. io:
 * [n_parts], n_parts >= 1. *out is what aios__gguf_load needs and will hold to. look: for
 * aios__scan. */
static inline aios_status aios__gguf_measure(const aios_io *io, uint32_t n_parts,
                                             const aios_limits *lim, int32_t look,
                                             aios__gguf_size *out, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    uint64_t split_tensors = 0, split_tensors_off = 0;
    uint32_t has_split_tensors = 0;
    aios__scan s;
    aios_status st;

    memset(out, 0, sizeof *out);
    if (n_parts < 1)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "a model has at least one file");
    if (n_parts > l.max_parts)
        return aios__fail2(err, AIOS_ERR_LIMIT, AIOS__NO_OFF, l.max_parts, n_parts,
                           "% files are more than limits.max_parts, %, allows", aios__u(n_parts),
                           aios__u(l.max_parts));
    out->n_parts = n_parts;
    for (uint32_t i = 0; i < n_parts; i++) {
        aios__scan_init(&s, io, i, n_parts, &l, err);
        s.look = look;
        if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) return st;
        if ((st = aios__scan_split(&s)) != AIOS_OK) return st;
        if (i == 0) {
            out->version = s.version;
            out->n_keys = s.n_keys;
            out->n_tokens = s.n_tokens;
            out->n_merges = s.n_merges;
            out->token_bytes = s.token_bytes;
            has_split_tensors = s.has & AIOS__HAS_SPLIT_TENSORS;
            split_tensors = s.split_tensors;
            split_tensors_off = s.split_tensors_off;
        }
        out->n_tensors += s.n_tensors;
        out->header_bytes += s.pos;
        if (!aios__io_map(io + i, 0, s.pos)) out->held_bytes += s.pos;
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= s.pos;
    }
    if (has_split_tensors && split_tensors != out->n_tensors && !(look && n_parts == 1)) {
        aios__scan_init(&s, io, 0, n_parts, &l, err);
        s.kind = 'k';
        s.n_name = 19;
        memcpy(s.name, "split.tensors.count", 19);
        return aios__scan_bad(&s, split_tensors_off, out->n_tensors, split_tensors,
                              "disagrees with the tensors that are there");
    }
    return AIOS_OK;
}

/* Orders for aios__sort. Ties go by index, so that there are none. */
enum { AIOS__BY_KEY, AIOS__BY_TENSOR, AIOS__BY_PLACE };
static inline int32_t aios__before(const aios__gguf *g, int32_t by, uint32_t a, uint32_t b) {
    int32_t c = 0;
    if (by == AIOS__BY_KEY)
        c = aios__name_cmp(g->key[a].name, g->key[b].name);
    else if (by == AIOS__BY_TENSOR)
        c = aios__name_cmp(g->tensor[a].name, g->tensor[b].name);
    else {
        const aios__tensor *x = &g->tensor[a], *y = &g->tensor[b];
        if (x->part != y->part) return x->part < y->part;
        if (x->off != y->off) return x->off < y->off;
    }
    return c ? c < 0 : a < b;
}
/* Heap sort of the indices 0 .. n-1: in place, no recursion, n log n whatever the names are. */
static inline void aios__sort(const aios__gguf *g, int32_t by, uint32_t *v, uint32_t n) {
    uint32_t start = n / 2, end = n;
    for (uint32_t i = 0; i < n; i++) v[i] = i;
    while (end > 1) {
        uint32_t root, child, x;
        if (start > 0)
            x = v[--start]; /* build the heap */
        else {
            x = v[--end];
            v[end] = v[0];
        } /* take the last one off it */
        for (root = start; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && aios__before(g, by, v[child], v[child + 1])) child++;
            if (!aios__before(g, by, x, v[child])) break;
            v[root] = v[child];
        }
        v[root] = x;
    }
}

/* What only all entries together show: names that are there twice, tensors that share bytes.
 * Leaves both indices sorted. */
static inline aios_status aios__gguf_index(aios__gguf *g, aios_error *err) {
    aios__sort(g, AIOS__BY_KEY, g->key_by_name, g->n_keys);
    for (uint32_t i = 1; i < g->n_keys; i++) {
        const aios__key *a = &g->key[g->key_by_name[i - 1]], *b = &g->key[g->key_by_name[i]];
        if (aios__name_cmp(a->name, b->name) == 0)
            return aios__fail2(err, AIOS_ERR_FORMAT, aios__key_entry_off(b), aios__key_entry_off(a),
                               aios__key_entry_off(b), "key '%': is there twice, first at byte %",
                               aios__s(b->name), aios__u(aios__key_entry_off(a)));
    }
    aios__sort(g, AIOS__BY_PLACE, g->tensor_by_name, g->n_tensors);
    for (uint32_t i = 1; i <= g->n_tensors; i++) {
        aios__tensor *a = &g->tensor[g->tensor_by_name[i - 1]],
                     *b = i < g->n_tensors ? &g->tensor[g->tensor_by_name[i]] : NULL;
        if (b && b->part != a->part) b = NULL;
        /* of a type that is not known: the room there is */
        if (!a->n_bytes) a->n_bytes = (b ? b->off : g->io[a->part].n_bytes) - a->off;
        if (b && (!a->n_bytes || a->off + a->n_bytes > b->off))
            return aios__fail2(err, AIOS_ERR_FORMAT, aios__tensor_type_off(b) + 4,
                               a->off + a->n_bytes, b->off,
                               "tensor '%': its data overlaps that of '%'", aios__s(b->name),
                               aios__s(a->name));
    }
    aios__sort(g, AIOS__BY_TENSOR, g->tensor_by_name, g->n_tensors);
    for (uint32_t i = 1; i < g->n_tensors; i++) {
        const aios__tensor *a = &g->tensor[g->tensor_by_name[i - 1]],
                           *b = &g->tensor[g->tensor_by_name[i]];
        if (aios__name_cmp(a->name, b->name) == 0)
            return aios__fail2(err, AIOS_ERR_FORMAT, b->dir_off, a->dir_off, b->dir_off,
                               "tensor '%': is there twice, first at byte %", aios__s(b->name),
                               aios__u(a->dir_off));
    }
    return AIOS_OK;
}

static inline uint64_t aios__fnv64(uint64_t hash, const uint8_t *p, uint64_t n) { /* FNV-1a */
    uint64_t i;
    for (i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/* Takes memory for keys, directory and such header bytes as are not mapped, and fills *g. With
 * mem->base NULL nothing is read and only mem->used moves, by what the real call takes. io and
 * the mapped bytes must outlive g. */
static inline aios_status aios__gguf_load(aios__gguf *g, aios__bump *mem, const aios_io *io,
                                          uint32_t n_parts, const aios_limits *lim, int32_t look,
                                          const aios__gguf_size *size, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    uint64_t held = 0, n_tokens = 0, n_merges = 0, token_bytes = 0;
    uint32_t n_tensors = 0;
    aios__scan s;
    aios_status st = AIOS_OK;

    memset(g, 0, sizeof *g);
    g->io = io;
    g->version = size->version;
    g->n_parts = n_parts;
    g->n_keys = size->n_keys;
    g->n_tensors = size->n_tensors;
    g->key = (aios__key *)aios__take(mem, (uint64_t)size->n_keys * sizeof(aios__key), 8);
    g->tensor =
        (aios__tensor *)aios__take(mem, (uint64_t)size->n_tensors * sizeof(aios__tensor), 8);
    g->key_by_name = (uint32_t *)aios__take(mem, (uint64_t)size->n_keys * 4, 8);
    g->tensor_by_name = (uint32_t *)aios__take(mem, (uint64_t)size->n_tensors * 4, 8);
    uint8_t *header = (uint8_t *)aios__take(mem, size->held_bytes, 8);
    if (!mem->base) return AIOS_OK;

    g->hash = 0xcbf29ce484222325u;
    for (uint32_t part = 0; part < n_parts && st == AIOS_OK; part++) {
        const uint8_t *p;
        aios__scan_init(&s, io, part, n_parts, &l, err);
        s.look = look;
        uint64_t h = size->header_bytes;
        if (n_parts > 1) { /* only the sum is known: measure this one again */
            if ((st = aios__scan_windowed(&s, 0)) != AIOS_OK) break;
            h = s.pos;
            aios__scan_init(&s, io, part, n_parts, &l, err);
            s.look = look;
        }
        s.kind = 'h';
        p = (const uint8_t *)aios__io_map(io + part, 0, h);
        if (!p) {
            if (h > size->held_bytes - held) {
                st = aios__scan_changed(&s);
                break;
            }
            if ((st = aios__io_read(io + part, 0, header + held, h, err)) != AIOS_OK) break;
            p = header + held;
            held += h;
        }
        s.p = p;
        s.n = h;
        s.end = h;
        s.key = part == 0 ? g->key : NULL;
        s.tensor = g->tensor + n_tensors;
        s.max_keys = g->n_keys;
        s.max_tensors = g->n_tensors - n_tensors;
        if (h > s.io->n_bytes || h > l.max_header_bytes) {
            st = aios__scan_changed(&s);
            break;
        }
        if ((st = aios__scan_part(&s, 0)) != AIOS_OK) break;
        if ((st = aios__scan_split(&s)) != AIOS_OK) break;
        if (s.pos != h || (part == 0 && (s.n_keys != g->n_keys || s.version != g->version))) {
            st = aios__scan_changed(&s);
            break;
        }
        if (part == 0) {
            n_tokens = s.n_tokens;
            n_merges = s.n_merges;
            token_bytes = s.token_bytes;
        }
        n_tensors += s.n_tensors;
        g->header_bytes += h;
        l.max_tensors -= s.n_tensors;
        l.max_header_bytes -= h;
        g->hash = aios__fnv64(g->hash, p, h);
    }
    if (st == AIOS_OK && (g->header_bytes != size->header_bytes || n_tensors != size->n_tensors ||
                          held != size->held_bytes || n_tokens != size->n_tokens ||
                          n_merges != size->n_merges || token_bytes != size->token_bytes))
        st = aios__fail(err, AIOS_ERR_IO, 0, "header: the file changed while it was being read");
    if (st == AIOS_OK) st = aios__gguf_index(g, err);
    if (st != AIOS_OK) {
        memset(g, 0, sizeof *g);
        return st;
    }
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const aios__tensor *t = &g->tensor[i];
        g->tensor_bytes += t->n_bytes;
        g->n_params += t->n[0] * t->n[1] * t->n[2] * t->n[3];
    }
    return AIOS_OK;
}

/* ---- split models ---- */

/* How many files the model of which this is one consists of (1 when it does not say), and which
 * of them it is. Reads and checks its keys only. */
static inline aios_status aios__gguf_split_count(const aios_io *io, const aios_limits *lim,
                                                 uint32_t *n, uint64_t *no, aios_error *err) {
    aios_limits l = aios__limits_of(lim);
    aios__scan s;
    aios_status st;
    *n = 1;
    *no = 0;
    aios__scan_init(&s, io, 0, 1, &l, err);
    if ((st = aios__scan_windowed(&s, 1)) != AIOS_OK) return st;
    if (s.split_count > l.max_parts) {
        s.kind = 'k';
        s.n_name = 11;
        memcpy(s.name, "split.count", 11);
        return aios__scan_fail(&s, AIOS_ERR_LIMIT, s.split_count_off, l.max_parts, s.split_count,
                               "more files than limits.max_parts allows", "");
    }
    if (s.split_count > 1) {
        *n = (uint32_t)s.split_count;
        *no = s.split_no;
    }
    return AIOS_OK;
}
/* The path of part i (from 0) of n, from the path of any part: "dir/m-00001-of-00003.gguf" gives
 * "dir/m-00002-of-00003.gguf". 1 = done; 0 = the path is not named like that, says another n, or
 * cap is too small (out is then empty). */
static inline int32_t aios__split_name(const char *path, uint32_t i, uint32_t n, char *out,
                                       uint64_t cap) {
    static const char shape[] = "-#####-of-#####.gguf";
    uint64_t len = strlen(path), m = sizeof shape - 1;
    uint32_t count = 0, no = i + 1;
    if (cap) out[0] = 0;
    if (len < m || len >= cap || i >= n || n > 99999) return 0;
    const char *p = path + (len - m);
    for (uint64_t j = 0; j < m; j++)
        if (shape[j] == '#' ? p[j] < '0' || p[j] > '9' : p[j] != shape[j]) return 0;
    for (uint64_t j = 10; j < 15; j++) count = count * 10 + (uint32_t)(p[j] - '0');
    if (count != n) return 0;
    memcpy(out, path, (size_t)len + 1);
    for (uint64_t j = 5; j >= 1; j--, no /= 10) out[len - m + j] = (char)('0' + no % 10);
    return 1;
}
