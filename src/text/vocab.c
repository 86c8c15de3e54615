/* vocab.c: text <-> token ids. After gguf.c (keys as views), before model.c; knows nothing of
 * tensors.
 *
 * Two families, told apart by tokenizer.ggml.model: "llama" (SentencePiece BPE: the pair whose
 * union has the best score is joined first, leftmost on ties; bytes as <0xXX>) and "gpt2"
 * (byte-level BPE: text is cut into words by the matcher that tokenizer.ggml.pre names, then the
 * pair of lowest rank is joined first). Others are recorded and refused when used, so that their
 * models still load. Token texts, scores and merges stay in the header; META holds offsets and
 * hashes.
 *
 * Where the model's own tokenizer composes text (NFC), so does this one, word by word, and only
 * the words that are not composed already.
 *
 * Nothing here allocates: words and texts of any length go through one window on the stack
 * (aios__window, 34 KiB), see aios__piece for why the result is exactly that of joining the
 * whole text at once. Behaviour follows llama.cpp (src/llama-vocab.cpp, src/unicode.cpp), on
 * valid UTF-8, but for what is marked "unlike llama.cpp". */

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
typedef struct aios__pre aios__pre;

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

static inline int32_t aios__bit(const uint32_t *set, uint32_t i) {
    return (set[i >> 5] >> (i & 31) & 1) != 0;
}
static inline void aios__bit_set(uint32_t *set, uint32_t i) {
    set[i >> 5] |= (uint32_t)1 << (i & 31);
}

/* ---- characters ---- */

/* How many bytes follow a first byte, and the range of the second; 0 for bytes that start
 * nothing longer than themselves. Refuses overlong forms, surrogates and what is above U+10FFFF.
 * From: Unicode 15.1, table 3-7. */
static inline uint32_t aios__utf8_more(uint8_t b, uint8_t *low, uint8_t *high) {
    *low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
    *high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
    return b < 0xC2 ? 0 : b < 0xE0 ? 1 : b < 0xF0 ? 2 : b < 0xF5 ? 3 : 0;
}
/* The character at s (n > 0 bytes are there) and its length; an invalid byte is U+FFFD of length
 * 1. */
static inline uint32_t aios__utf8(const char *s, uint64_t n, uint32_t *len) {
    uint32_t b = (uint8_t)s[0],
             more = b < 0xC2   ? 0
                    : b < 0xE0 ? 1
                    : b < 0xF0 ? 2
                    : b < 0xF5 ? 3
                               : 0,
             i, cp;
    *len = 1;
    if (b < 0x80) return b;
    if (more == 0 || more >= n) return 0xFFFD;
    cp = b & (0x3Fu >> more);
    for (i = 1; i <= more; i++) {
        b = (uint8_t)s[i];
        if ((b & 0xC0) != 0x80) return 0xFFFD;
        cp = cp << 6 | (b & 0x3F);
    }
    /* overlong, a surrogate, too large */
    if (cp >> (5 * more + 1) == 0 || cp >> 11 == 0x1B || cp > 0x10FFFF) return 0xFFFD;
    *len = more + 1;
    return cp;
}
static inline uint32_t aios__class_of(uint32_t cp) { /* cp <= 0x10FFFF */
    const uint16_t *run = aios__class_run + aios__class_page[cp >> 13];
    uint32_t n = aios__class_page[(cp >> 13) + 1] - (uint32_t)aios__class_page[cp >> 13], half,
             to = (cp & 0x1FFF) << 3 | 7;
    if (cp < 128) return aios__ascii_class[cp];
    for (; n > 1; n -= half) { /* the last run that starts at or before cp; no branch to guess */
        half = n / 2;
        run += run[half] <= to ? half : 0;
    }
    return *run & 7u;
}

typedef struct aios__char {
    uint32_t cp, len, cls;
} aios__char;
/* A function of its own, so that only ASCII is looked up at each of the many places that ask for
 * a character. */
AIOSK__NOINLINE static aios__char aios__char_wide(const char *s, uint64_t n) {
    aios__char c;
    c.cp = aios__utf8(s, n, &c.len);
    c.cls = aios__class_of(c.cp);
    return c;
}
static inline aios__char aios__char_at(const char *s, uint64_t p, uint64_t end) {
    aios__char c = { 0xFFFFFFFFu, 0, AIOS__C_END };
    if (p >= end) return c;
    if ((uint8_t)s[p] >= 0x80) return aios__char_wide(s + p, end - p);
    c.cp = (uint8_t)s[p];
    c.len = 1;
    c.cls = aios__ascii_class[c.cp];
    return c;
}

/* The byte alphabet of GPT-2: printable Latin-1 stands for itself, the 68 other bytes follow
 * from U+0100 on. */
static inline uint32_t aios__byte_char(uint8_t b) {
    if (b <= 0x20) return 0x100u + b;
    if (b >= 0x7F && b <= 0xA0) return b == 0x7F ? 0x121 : 0x122u + (b - 0x80u);
    return b == 0xAD ? 0x143 : b;
}
static inline int32_t aios__char_byte(uint32_t cp) { /* -1: not in the alphabet */
    if (cp >= 0x100)
        return cp <= 0x120   ? (int32_t)(cp - 0x100)
               : cp == 0x121 ? 0x7F
               : cp <= 0x142 ? (int32_t)(cp - 0x122 + 0x80)
               : cp == 0x143 ? 0xAD
                             : -1;
    return aios__byte_char((uint8_t)cp) == cp ? (int32_t)cp : -1;
}

/* ---- composing ----
 * Unicode's canonical composition (NFC), with the tables of nfc.h. Text falls into stretches
 * that are composed alone: a character that joins nothing before it, and what follows up to the
 * next such one. */

/* characters of one stretch, split; text that is no attack has a few */
enum { AIOS__MAX_STRETCH = 1024 };

/* Index of a character in runs that end with a guard; -1 = it is in none. */
static inline int32_t aios__nfc_find(const uint32_t *run, uint32_t n, uint32_t cp) {
    uint32_t half, i;
    for (n--; n > 1; n -= half) {
        half = n / 2;
        run += run[half] >> 12 <= cp ? half : 0;
    }
    i = cp - (*run >> 12) + (*run & 0xFFF);
    return cp >= *run >> 12 && i < (run[1] & 0xFFF) ? (int32_t)i : -1;
}
#define AIOS__NFC_FIND(run, cp) aios__nfc_find(run, (uint32_t)(sizeof(run) / sizeof *(run)), cp)

/* 1: no mark, joins nothing before it, stays. */
static inline int32_t aios__nfc_plain(uint32_t cp) {
    uint32_t word, bit, n;
    if (cp >= 0x20000) return cp < 0x2F800 || cp > 0x2FA1F; /* compatibility ideographs */
    word = aios__nfc_block[cp >> 10];
    bit = cp >> 5 & 31;
    if (!(word >> bit & 1)) return 1;
    n = word & (((uint32_t)1 << bit) - 1);
    n -= n >> 1 & 0x55555555;
    n = (n & 0x33333333) + (n >> 2 & 0x33333333);
    n = ((n + (n >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24; /* how many bits */
    return !aios__bit(aios__nfc_odd + aios__nfc_rank[cp >> 10] + n, cp & 31);
}
AIOS__SMALL_BEGIN
/* Canonical combining class. */
AIOSK__NOINLINE static uint32_t aios__nfc_class(uint32_t cp) {
    const uint32_t *m = aios__nfc_mark;
    uint32_t n = (uint32_t)(sizeof aios__nfc_mark / sizeof *m), half;
    if (cp < 0x300 || aios__nfc_plain(cp)) return 0;
    for (; n > 1; n -= half) {
        half = n / 2;
        m += m[half] >> 14 <= cp ? half : 0;
    }
    return cp - (*m >> 14) <= (*m >> 8 & 0x3F) ? *m & 0xFF : 0; /* below the first: wraps */
}
/* Splits a character in two, or into one other (*second 0); 0 = stays. */
AIOSK__NOINLINE static int32_t aios__nfc_split(uint32_t cp, uint32_t *first, uint32_t *second) {
    uint32_t hangul = cp - 0xAC00;
    int32_t i;
    *second = 0;
    if (cp < 0xC0) return 0;
    if (hangul < 11172) {
        *first = hangul % 28 ? cp - hangul % 28 : 0x1100 + hangul / 588;
        *second = hangul % 28 ? 0x11A7 + hangul % 28 : 0x1161 + hangul / 28 % 21;
        return 1;
    }
    if ((i = AIOS__NFC_FIND(aios__nfc_join_run, cp)) >= 0 ||
        (i = AIOS__NFC_FIND(aios__nfc_pair_run, cp)) >= 0) {
        *first = aios__nfc_first[i] | (cp & 0x10000);
        *second = aios__nfc_seconds[aios__nfc_second[i]];
        return 1;
    }
    if ((i = AIOS__NFC_FIND(aios__nfc_one_run, cp)) < 0) return 0;
    *first = aios__nfc_one[i] | (uint32_t)aios__bit(aios__nfc_one_plane, (uint32_t)i) << 17;
    return 1;
}
#undef AIOS__NFC_FIND
/* The index of a second half that joins some first one; -1 = it is none. */
AIOSK__NOINLINE static int32_t aios__nfc_second_of(uint32_t cp) {
    uint32_t low = 0, high = (uint32_t)(sizeof aios__nfc_seconds / sizeof *aios__nfc_seconds);
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (aios__nfc_seconds[mid] == cp)
            return aios__nfc_start[mid] < aios__nfc_start[mid + 1] ? (int32_t)mid : -1;
        if (aios__nfc_seconds[mid] < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}
/* What two characters join to; 0 = they do not. */
AIOSK__NOINLINE static uint32_t aios__nfc_join(uint32_t a, uint32_t b) {
    int32_t k;
    uint32_t low, high, i;
    if (a - 0x1100 < 19 && b - 0x1161 < 21) return 0xAC00 + (a - 0x1100) * 588 + (b - 0x1161) * 28;
    if (a - 0xAC00 < 11172 && (a - 0xAC00) % 28 == 0 && b - 0x11A8 < 27) return a + b - 0x11A7;
    if ((k = aios__nfc_second_of(b)) < 0 || a >> 16 != b >> 16) return 0;
    for (low = aios__nfc_start[k], high = aios__nfc_start[k + 1]; low < high;) {
        uint32_t mid = (low + high) / 2;
        i = aios__nfc_by_second[mid];
        if (aios__nfc_first[i] < (a & 0xFFFF))
            low = mid + 1;
        else if (aios__nfc_first[i] > (a & 0xFFFF))
            high = mid;
        else {
            for (low = 0,
                high = (uint32_t)(sizeof aios__nfc_join_run / sizeof *aios__nfc_join_run) - 1;
                 high - low > 1;) {
                mid = (low + high) / 2;
                if ((aios__nfc_join_run[mid] & 0xFFF) <= i)
                    low = mid;
                else
                    high = mid;
            }
            return (aios__nfc_join_run[low] >> 12) + i - (aios__nfc_join_run[low] & 0xFFF);
        }
    }
    return 0;
}
/* Does a stretch begin with it, whatever stands before? */
AIOSK__NOINLINE static int32_t aios__nfc_begins(uint32_t cp) {
    uint32_t first, second;
    if (aios__nfc_plain(cp)) return 1;
    while (aios__nfc_split(cp, &first, &second)) cp = first;
    return aios__nfc_class(cp) == 0 && aios__nfc_second_of(cp) < 0 && cp - 0x1161 >= 21 &&
           cp - 0x11A8 >= 27;
}
/* Composes the stretch at s: c [AIOS__MAX_STRETCH] gets its characters, *len its bytes in the
 * text. Returns how many; 0 = too many. An invalid byte is no part of one. */
AIOSK__NOINLINE static uint32_t aios__nfc_stretch(const char *s, uint64_t n, uint32_t *c,
                                                  uint64_t *len) {
    uint32_t m = 0, k = 0, i, l, last = 0;
    int32_t start = -1;
    for (*len = 0; *len < n; *len += l) {
        uint32_t part[4], cp = aios__utf8(s + *len, n - *len, &l), first;
        if (l == 1 && (uint8_t)s[*len] >= 0x80) break;
        if (m && aios__nfc_begins(cp)) break;
        if (m + 4 > AIOS__MAX_STRETCH) return 0;
        for (k = 0; k < 3 && aios__nfc_split(cp, &first, &part[k]); cp = first) k += part[k] != 0;
        /* marks in the order of their classes, as they came within one */
        for (part[k++] = cp; k; m++) {
            uint32_t x = part[--k], cls = aios__nfc_class(x);
            for (i = m; cls && i && c[i - 1] >> 24 > cls; i--) c[i] = c[i - 1];
            c[i] = cls << 24 | x;
        }
    }
    for (i = 0, k = 0; i < m; i++) {
        uint32_t x = c[i] & 0xFFFFFF, cls = c[i] >> 24;
        uint32_t y = start >= 0 && (k == (uint32_t)start + 1 || last < cls)
                         ? aios__nfc_join(c[start], x)
                         : 0;
        if (y) {
            c[start] = y;
            continue;
        }
        if (cls == 0) start = (int32_t)k;
        last = cls;
        c[k++] = x;
    }
    return k;
}
/* Where the character that ends at p > 0 begins. */
static inline uint64_t aios__char_before(const char *s, uint64_t p) {
    uint32_t i, len;
    for (i = 1; i <= 4 && i <= p; i++) {
        if ((s[p - i] & 0xC0) == 0x80) continue;
        aios__utf8(s + p - i, i, &len);
        return len == i ? p - i : p - 1;
    }
    return p - 1;
}
AIOS__SMALL_END
/* The first stretch at or after p that composing changes; n = none. UINT64_MAX: one is too long
 * to tell. s[0, p) is composed, p begins a stretch. c [AIOS__MAX_STRETCH] is scratch. */
AIOSK__NOINLINE static uint64_t aios__nfc_next(const char *s, uint64_t p, uint64_t n, uint32_t *c) {
    /* from: of the last stretch with marks, so far composed up to behind */
    uint64_t low = p, from = p, behind = UINT64_MAX, len, eight, q;
    uint32_t m, i, cp, l, cls, last = 0;
    int32_t second;
    while (p < n) {
        if (n - p >= 8) {
            memcpy(&eight, s + p, 8);
            if (!(eight & ~(uint64_t)0 / 255 * 128)) {
                p += 8;
                continue;
            }
        }
        if ((uint8_t)s[p] < 0xCC) {
            p++;
            continue;
        } /* below U+0300, or within a character */
        cp = aios__utf8(s + p, n - p, &l);
        if (aios__nfc_plain(cp)) {
            p += l;
            continue;
        }
        cls = aios__nfc_class(cp);
        second = aios__nfc_second_of(cp);
        if (p != behind) {
            from = p;
            last = 0;
            if (p > low && !aios__nfc_begins(cp)) {
                from = aios__char_before(s, p);
                if (from + 1 == p && (uint8_t)s[from] >= 0x80) from = p; /* an invalid byte */
            }
        }
        /* Nearly all: a mark in its place that joins nothing; a vowel that does not join the
         * letter before it */
        if (cls ? cls >= last && second < 0 && cp - 0x340 > 4
                : second >= 0 && from < p && p != behind &&
                      !aios__nfc_join(aios__utf8(s + from, n - from, &i), cp)) {
            last = cls;
            behind = p += l;
            continue;
        }
        if ((m = aios__nfc_stretch(s + from, n - from, c, &len)) == 0) return UINT64_MAX;
        for (i = 0, q = from; i < m && q < from + len; i++, q += l)
            if (aios__utf8(s + q, n - q, &l) != c[i]) return from;
        if (i < m || q < from + len) return from;
        low = p = from + len;
        behind = UINT64_MAX;
    }
    return n;
}
static inline uint32_t aios__utf8_put(char *s, uint32_t cp) {
    uint32_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4, i;
    for (i = n - 1; i; i--, cp >>= 6) s[i] = (char)(0x80 | (cp & 0x3F));
    s[0] = (char)(n == 1 ? cp : (0xF00u >> n & 0xFF) | cp);
    return n;
}

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
    uint64_t i;
    if (n == 0 || n > v->max_token_bytes) return -1;
    for (i = 0; i < n; i++) h = aios__fnv(h, (uint8_t)s[i]);
    return aios__find_hashed(v, h, s, n);
}
/* The same where texts have no hash, too: the first one, by looking at all. */
static inline int32_t aios__token_find_any(const aios__vocab *v, const char *s, uint64_t n) {
    int32_t id;
    if (v->kind != AIOS__VOCAB_OTHER) return aios__token_find(v, s, n);
    for (id = 0; id < v->n_tokens; id++) {
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
    uint64_t i;
    if (n > sizeof text / 2) return -1;
    for (i = 0; i < n; i++) {
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
    uint32_t i;
    if (left < 0 || right < 0) return -1;
    i = aios__merge_slot_of(v, left, right);
    for (; v->merge_slot[i]; i = i + 1 == v->n_merge_slots ? 0 : i + 1) {
        const aios__merge *m = &v->merge[v->merge_slot[i] - 1];
        if (m->left == left && m->right == right) return (int32_t)(v->merge_slot[i] - 1);
    }
    return -1;
}

/* ---- pre-tokenizers ----
 * A pre-tokenizer is a list of stages, each of which cuts the pieces of the one before it
 * further. A stage is what was a regular expression: its matches are pieces, and so is what lies
 * between two matches. */

enum { AIOS__OP_NONE = 0, AIOS__OP_RUN, AIOS__OP_GPT2, AIOS__OP_WORD, AIOS__OP_V3, AIOS__OP_TRAIL };
enum {
    AIOS__SET_NEWLINE = 0,
    AIOS__SET_LETTER,
    AIOS__SET_NUMBER,
    AIOS__SET_DIGIT,
    AIOS__SET_PUNCT,
    AIOS__SET_FALCON,
    AIOS__SET_DEFAULT,
    AIOS__SET_CASED,
    AIOS__SET_WIDE_PUNCT,
    AIOS__SET_EAST,
    AIOS__SET_KANA
};
enum {
    AIOS__RUN_SPACE = 1, /* OP_RUN: \s? in front */
    /* OP_WORD: 's 't 're 've 'm 'll 'd in any case are words of their own */
    AIOS__WORD_SHORT = 1,
    AIOS__WORD_MARKS = 2,  /* marks count as letters */
    AIOS__WORD_CASE = 4,   /* a capital after small letters starts a word */
    AIOS__WORD_TAIL = 8,   /* punctuation takes the line ends behind it along */
    AIOS__WORD_SLASH = 16, /* ... and slashes */
    AIOS__WORD_JOIN = 32
}; /* 's and so on stay with the word before them */
enum {
    AIOS__PRE_WHOLE = 1, /* a word that is a token needs no merges (ignore_merges) */
    AIOS__PRE_BOS = 2,   /* add_bos unless the file says otherwise */
    AIOS__PRE_NFC = 4
}; /* text is composed before it is cut */

typedef struct aios__stage {
    uint8_t op, flags, set, min, max;
} aios__stage; /* max 0 = no limit */
struct aios__pre {
    const char *names;
    uint32_t flags;
    aios__stage stage[6];
};

/* clang-format off */
#define AIOS__GPT2                      { AIOS__OP_GPT2, 0, 0, 0, 0 }
#define AIOS__RUN(set, flags, min, max) { AIOS__OP_RUN, flags, set, min, max }
#define AIOS__WORD(flags, digits)       { AIOS__OP_WORD, flags, 0, 1, digits }
#define AIOS__STOP                      { AIOS__OP_NONE, 0, 0, 0, 0 }
/* clang-format on */

/* Names as llama.cpp's converter writes them. AIOS__PRE_NFC is unlike llama.cpp: these models'
 * own tokenizers compose (the normalizer of their tokenizer.json, or unicodedata.normalize in
 * their code). */
static const aios__pre aios__pres[] = {
    { "mpt olmo modern-bert",
      AIOS__PRE_NFC,
      { AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "gpt-2 phi-2 jais trillion granite-docling gigachat a.x-4.0 "
      "mellum exaone4 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
      0,
      { AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "command-r",
      AIOS__PRE_NFC,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "starcoder refact smollm codeshell exaone minerva-7b mellum2",
      0,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__GPT2, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "falcon",
      0,
      { AIOS__RUN(AIOS__SET_FALCON, 0, 1, 0), AIOS__GPT2, AIOS__RUN(AIOS__SET_DIGIT, 0, 3, 3),
        AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "default",
      0,
      { AIOS__RUN(AIOS__SET_DEFAULT, 0, 1, 0), AIOS__GPT2, AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 0),
        AIOS__RUN(AIOS__SET_DIGIT, 0, 3, 3), AIOS__STOP, AIOS__STOP } },
    { "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
      AIOS__PRE_WHOLE | AIOS__PRE_BOS,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 3), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "dbrx smaug-bpe glm4 chatglm-bpe",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 3), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "qwen2 deepseek-r1-qwen stablelm2 hunyuan f2llmv2",
      AIOS__PRE_NFC,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "megrez grok-2 solar-open kormo bailingmoe bailingmoe2 llada-moe",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP } },
    { "qwen35",
      AIOS__PRE_NFC,
      { AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL | AIOS__WORD_MARKS, 1), AIOS__STOP,
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "seed-coder",
      0,
      { AIOS__WORD(AIOS__WORD_SHORT, 1), AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP,
        AIOS__STOP } },
    { "minicpm5",
      AIOS__PRE_WHOLE,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 3), AIOS__WORD(AIOS__WORD_SHORT | AIOS__WORD_TAIL, 0),
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "tekken",
      AIOS__PRE_WHOLE | AIOS__PRE_BOS,
      { AIOS__WORD(AIOS__WORD_CASE | AIOS__WORD_TAIL | AIOS__WORD_SLASH, 1), AIOS__STOP, AIOS__STOP,
        AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "gpt-4o llama4 kanana2 talkie minimax-m2",
      0,
      { AIOS__WORD(AIOS__WORD_CASE | AIOS__WORD_JOIN | AIOS__WORD_TAIL | AIOS__WORD_SLASH, 3),
        AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP, AIOS__STOP } },
    { "deepseek-llm",
      0,
      { AIOS__RUN(AIOS__SET_NEWLINE, 0, 1, 1),
        AIOS__RUN(AIOS__SET_CASED, AIOS__RUN_SPACE, 1, 0),
        AIOS__RUN(AIOS__SET_WIDE_PUNCT, AIOS__RUN_SPACE, 1, 0),
        { AIOS__OP_TRAIL, 0, 0, 0, 0 },
        AIOS__RUN(AIOS__SET_EAST, 0, 1, 0),
        AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 0) } },
    { "deepseek-coder",
      0,
      { AIOS__RUN(AIOS__SET_NEWLINE, 0, 1, 1), AIOS__RUN(AIOS__SET_LETTER, AIOS__RUN_SPACE, 1, 0),
        AIOS__RUN(AIOS__SET_PUNCT, AIOS__RUN_SPACE, 1, 0), AIOS__RUN(AIOS__SET_EAST, 0, 1, 0),
        AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 1), AIOS__STOP } },
    { "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
      0,
      { AIOS__RUN(AIOS__SET_NUMBER, 0, 1, 3),
        AIOS__RUN(AIOS__SET_KANA, 0, 1, 0),
        { AIOS__OP_V3, 0, 0, 0, 0 },
        AIOS__STOP,
        AIOS__STOP,
        AIOS__STOP } }
};
#undef AIOS__GPT2
#undef AIOS__RUN
#undef AIOS__WORD
#undef AIOS__STOP

static inline int32_t aios__is_cased(uint32_t cp) {
    uint32_t low = 0, high = (uint32_t)(sizeof aios__cased / sizeof *aios__cased) / 2;
    if (cp < 128) return aios__ascii_class[cp] == AIOS__C_LETTER;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (cp < aios__cased[2 * mid])
            high = mid;
        else if (cp > aios__cased[2 * mid + 1])
            low = mid + 1;
        else
            return 1;
    }
    return 0;
}
static inline int32_t aios__in_set(uint32_t set, aios__char c) {
    switch (c.len ? set : 255u) {
    case AIOS__SET_NEWLINE: return c.cp == '\r' || c.cp == '\n';
    case AIOS__SET_LETTER: return c.cls == AIOS__C_LETTER;
    case AIOS__SET_NUMBER: return c.cls == AIOS__C_NUMBER;
    case AIOS__SET_DIGIT: return c.cp >= '0' && c.cp <= '9';
    case AIOS__SET_PUNCT: return c.cls == AIOS__C_PUNCT;
    case AIOS__SET_FALCON: return c.cls == AIOS__C_PUNCT || (c.cp < 128 && c.cls == AIOS__C_SYMBOL);
    case AIOS__SET_DEFAULT:
        return c.cls == AIOS__C_PUNCT || (c.cp < 128 && c.cls == AIOS__C_SYMBOL && c.cp != '`');
    case AIOS__SET_CASED: return aios__is_cased(c.cp);
    /* [!-/:-~...]: all of : to ~ is meant by the expression as it stands, letters too (an
     * earlier stage took them) */
    case AIOS__SET_WIDE_PUNCT:
        return (c.cp >= '!' && c.cp <= '/') || (c.cp >= ':' && c.cp <= '~') ||
               (c.cp >= 0xFF01 && c.cp <= 0xFF0F) || (c.cp >= 0xFF1A && c.cp <= 0xFF5E) ||
               (c.cp >= 0x2018 && c.cp <= 0x201F) || c.cp == 0x3001 || c.cp == 0x3002;
    /* CJK ideographs, then U+0800 .. U+4E00 and Hangul: the ranges as the expression has them;
     * never white space */
    case AIOS__SET_EAST:
        return ((c.cp >= 0x800 && c.cp <= 0x9FA5) || (c.cp >= 0xAC00 && c.cp <= 0xD7FF)) &&
               c.cls != AIOS__C_SPACE;
    case AIOS__SET_KANA:
        return (c.cp >= 0x4E00 && c.cp <= 0x9FA5) || (c.cp >= 0x3040 && c.cp <= 0x30FF);
    default: return 0;
    }
}

/* Each of the following gets text s[p, end) and returns where a match that starts at p ends; p =
 * none. */

static inline uint64_t aios__pre_run(const aios__stage *t, const char *s, uint64_t p,
                                     uint64_t end) {
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = p;
    uint32_t n = 0;
    if ((t->flags & AIOS__RUN_SPACE) && c.cls == AIOS__C_SPACE) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    for (; aios__in_set(t->set, c) && (t->max == 0 || n < t->max); n++) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    return n >= t->min ? q : p;
}
/* 's 't 're 've 'm 'll 'd */
static inline uint64_t aios__pre_short(const char *s, uint64_t p, uint64_t end, int32_t any_case) {
    char fold = any_case ? 0x20 : 0, a, b;
    if (end - p < 2 || s[p] != '\'') return p;
    a = (char)(s[p + 1] | fold);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if (end - p < 3) return p;
    b = (char)(s[p + 2] | fold);
    return (b == 'e' && (a == 'r' || a == 'v')) || (b == 'l' && a == 'l') ? p + 3 : p;
}
/* \s*[\r\n]+ (if lines) | \s+(?!\S) | \s+ */
static inline uint64_t aios__pre_space(const char *s, uint64_t p, uint64_t end, int32_t lines) {
    uint64_t q = p, last = p, line = p;
    aios__char c;
    while ((c = aios__char_at(s, q, end)).cls == AIOS__C_SPACE) {
        last = q;
        q += c.len;
        if (c.cp == '\r' || c.cp == '\n') line = q;
    }
    if (lines && line > p) return line;
    return last > p && q < end ? last : q; /* the last space goes with the word behind it */
}
static inline uint64_t aios__pre_class(const char *s, uint64_t p, uint64_t end, uint32_t cls) {
    aios__char c;
    while ((c = aios__char_at(s, p, end)).cls == cls) p += c.len;
    return p;
}
/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static inline uint64_t aios__pre_gpt2(const char *s, uint64_t p, uint64_t end) {
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = aios__pre_short(s, p, end, 0);
    if (q > p) return q;
    if (c.cp == ' ') c = aios__char_at(s, ++q, end);
    if (c.cls == AIOS__C_LETTER || c.cls == AIOS__C_NUMBER)
        return aios__pre_class(s, q + c.len, end, c.cls);
    if (c.cls == AIOS__C_SPACE || c.cls == AIOS__C_END) return aios__pre_space(s, p, end, 0);
    do {
        q += c.len;
        c = aios__char_at(s, q, end);
    } while (c.cls != AIOS__C_LETTER && c.cls != AIOS__C_NUMBER && c.cls != AIOS__C_SPACE &&
             c.cls != AIOS__C_END);
    return q;
}
/* ([letters - a-z])*([letters - A-Z])+ | ([letters - a-z])+([letters - A-Z])*, from a letter on:
 * capitals and caseless letters, then lower and caseless ones. What llama.cpp makes of
 * \p{Lu}\p{Lt}.. and \p{Ll}..: case is told apart in ASCII only. */
static inline uint64_t aios__pre_cased(const char *s, uint64_t p, uint64_t end) {
    uint64_t q = p, lower = p; /* lower: behind the last caseless letter */
    aios__char c = aios__char_at(s, q, end);
    while (c.cls == AIOS__C_LETTER && !(c.cp >= 'a' && c.cp <= 'z')) {
        q += c.len;
        if (c.cp >= 128) lower = q;
        c = aios__char_at(s, q, end);
    }
    if (c.cls != AIOS__C_LETTER) return lower > p ? lower : q;
    while (c.cls == AIOS__C_LETTER && !(c.cp >= 'A' && c.cp <= 'Z')) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    return q;
}
/* 's.. | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,max} | ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ |
 * \s+(?!\S) | \s+, as the flags say */
static inline uint64_t aios__pre_word(const aios__stage *t, const char *s, uint64_t p,
                                      uint64_t end) {
    aios__char c = aios__char_at(s, p, end), d;
    uint64_t q = p;
    uint32_t marks =
                 t->flags & AIOS__WORD_MARKS ? (uint32_t)AIOS__C_MARK : (uint32_t)AIOS__C_LETTER,
             n = 0;
    if (t->flags & AIOS__WORD_SHORT) {
        q = aios__pre_short(s, p, end, 1);
        if (q > p) return q;
    }
    d = c;
    if (c.cls != AIOS__C_LETTER && c.cls != marks && c.cls != AIOS__C_NUMBER && c.cp != '\r' &&
        c.cp != '\n') {
        q += c.len;
        d = aios__char_at(s, q, end);
    }
    if (d.cls == AIOS__C_LETTER || d.cls == marks) {
        if (t->flags & AIOS__WORD_CASE)
            q = aios__pre_cased(s, q, end);
        else
            do {
                q += d.len;
                d = aios__char_at(s, q, end);
            } while (d.cls == AIOS__C_LETTER || d.cls == marks);
        return t->flags & AIOS__WORD_JOIN ? aios__pre_short(s, q, end, 1) : q;
    }
    q = p;
    if (c.cls == AIOS__C_NUMBER) {
        for (; c.cls == AIOS__C_NUMBER && (t->max == 0 || n < t->max); n++) {
            q += c.len;
            c = aios__char_at(s, q, end);
        }
        return q;
    }
    if (c.cp == ' ') c = aios__char_at(s, ++q, end);
    if (c.cls == AIOS__C_SPACE || c.cls == AIOS__C_END || c.cls == AIOS__C_LETTER ||
        c.cls == marks || c.cls == AIOS__C_NUMBER)
        return aios__pre_space(s, p, end, 1);
    while (c.cls != AIOS__C_SPACE && c.cls != AIOS__C_END && c.cls != AIOS__C_LETTER &&
           c.cls != marks && c.cls != AIOS__C_NUMBER) {
        q += c.len;
        c = aios__char_at(s, q, end);
    }
    if (t->flags & AIOS__WORD_TAIL)
        while (q < end &&
               (s[q] == '\r' || s[q] == '\n' || (s[q] == '/' && (t->flags & AIOS__WORD_SLASH))))
            q++;
    return q;
}
/* [ASCII punctuation][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ?[\p{P}\p{S}]+[\r\n]* |
 * \s*[\r\n]+ | \s+(?!\S) | \s+ */
static inline uint64_t aios__pre_v3(const char *s, uint64_t p, uint64_t end) {
    aios__char c = aios__char_at(s, p, end), d = aios__char_at(s, p + c.len, end);
    uint64_t q = p + c.len;
    int32_t punct = c.cls == AIOS__C_PUNCT || c.cls == AIOS__C_SYMBOL;
    if (punct && c.cp < 128 && d.cp < 128 && d.cls == AIOS__C_LETTER) {
        while (d.cp < 128 && d.cls == AIOS__C_LETTER) d = aios__char_at(s, ++q, end);
        return q;
    }
    if (c.cls == AIOS__C_LETTER || c.cls == AIOS__C_MARK ||
        (!punct && c.cp != '\r' && c.cp != '\n' &&
         (d.cls == AIOS__C_LETTER || d.cls == AIOS__C_MARK))) {
        while (d.cls == AIOS__C_LETTER || d.cls == AIOS__C_MARK) {
            q += d.len;
            d = aios__char_at(s, q, end);
        }
        return q;
    }
    if (punct || (c.cp == ' ' && (d.cls == AIOS__C_PUNCT || d.cls == AIOS__C_SYMBOL))) {
        while (d.cls == AIOS__C_PUNCT || d.cls == AIOS__C_SYMBOL) {
            q += d.len;
            d = aios__char_at(s, q, end);
        }
        while (q < end && (s[q] == '\r' || s[q] == '\n')) q++;
        return q;
    }
    return aios__pre_space(s, p, end, 1); /* p itself when there is no space */
}
static inline uint64_t aios__pre_match(const aios__stage *t, const char *s, uint64_t p,
                                       uint64_t end) {
    return t->op == AIOS__OP_RUN    ? aios__pre_run(t, s, p, end)
           : t->op == AIOS__OP_GPT2 ? aios__pre_gpt2(s, p, end)
           : t->op == AIOS__OP_WORD ? aios__pre_word(t, s, p, end)
                                    : aios__pre_v3(s, p, end);
}
/* Where the piece of one stage that starts at p < end ends: a match, or all up to the next one. */
static inline uint64_t aios__pre_piece(const aios__stage *t, const char *s, uint64_t p,
                                       uint64_t end) {
    uint64_t q, from = p;
    if (t->op == AIOS__OP_TRAIL) { /* \s+$ */
        for (q = p; q < end;) {
            aios__char c = aios__char_at(s, q, end);
            q += c.len;
            if (c.cls != AIOS__C_SPACE) from = q;
        }
        return from > p ? from : end;
    }
    q = aios__pre_match(t, s, p, end);
    if (q > p) return q;
    do from += aios__char_at(s, from, end).len;
    while (from < end && aios__pre_match(t, s, from, end) == from);
    return from;
}
/* The word that starts at p, given where the pieces of each stage end; bound starts as zeros. */
AIOSK__NOINLINE static uint64_t aios__pre_next(const aios__pre *pre, uint64_t bound[6],
                                               const char *s, uint64_t p, uint64_t end) {
    uint32_t i;
    for (i = 0; i < 6 && pre->stage[i].op != AIOS__OP_NONE; i++) {
        if (bound[i] <= p) bound[i] = aios__pre_piece(&pre->stage[i], s, p, end);
        end = bound[i];
    }
    return end;
}

/* ---- loading ---- */

AIOS__SMALL_BEGIN
/* A missing name is "default", as llama.cpp has it (with a warning: such files are from before
 * names existed). */
static inline const aios__pre *aios__pre_find(aios__str name) {
    uint32_t i;
    if (name.n == 0) {
        name.p = "default";
        name.n = 7;
    }
    for (i = 0; i < sizeof aios__pres / sizeof *aios__pres; i++) {
        const char *z = aios__pres[i].names;
        while (*z) {
            uint64_t n = 0;
            while (z[n] && z[n] != ' ') n++;
            if (n == name.n && memcmp(z, name.p, (size_t)n) == 0) return &aios__pres[i];
            z += n;
            if (*z) z++;
        }
    }
    return NULL;
}

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
    uint64_t i, type;
    if (!k)
        return v->kind == AIOS__VOCAB_OTHER ? (aios_status)AIOS_OK
                                            : aios__vocab_missing(err, "tokenizer.ggml.tokens");
    if (!k->is_array || k->type != AIOS__STR || k->n != size->n_tokens)
        return aios__vocab_bad(err, k, AIOS__STR, k->type, "is no array of strings");
    if (k->n == 0) return aios__vocab_bad(err, k, 1, 0, "is empty");
    v->n_tokens = (int32_t)k->n;
    v->token_p = p = k->p;
    for (i = 0; i < k->n; i++) {
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
    for (i = 0; k && i < size->n_tokens; i++) {
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
    int32_t id, twice = -1;
    memset(v->slot, 0, (size_t)v->n_slots * 4);
    for (id = 0; id < v->n_tokens; id++) {
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
    const aios__key *k;
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

    k = aios__key_find(g, "tokenizer.ggml.model");
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
    uint32_t j = w->next[i], u;
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
    u = 0;
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
    uint32_t k;
    for (k = 0; k < n; k++) {
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
    uint32_t h = 2166136261u, i, max = (uint32_t)aios__min_u64(n, AIOS__MAX_SPECIAL);
    int32_t best = -1;
    if (!aios__bit(v->first, (uint8_t)s[0]) ||
        (!aios__bit(v->length, 1) && (n < 2 || !aios__bit(v->second, (uint8_t)s[1]))))
        return -1;
    for (i = 1; i <= max; i++) {
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
    uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 }, p = 0, q, odd = n;
    aios__window w;
    aios_status st;
    if (v->kind == AIOS__VOCAB_SPM) return aios__piece(v, &w, s, n, space, o, err);
    if (v->pre->flags & AIOS__PRE_NFC) odd = aios__nfc_next(s, 0, n, w.tree);
    if (odd == UINT64_MAX) return aios__nfc_long(err);
    while (p < n) {
        q = aios__pre_next(v->pre, bound, s, p, n);
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

/* ---- ids to text ---- */

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
    uint32_t type = v->attr[id] & AIOS__T_TYPE, len, j;
    uint64_t i;
    if (type == AIOS__T_BYTE && s.n == 6 && s.p[0] == '<' && aios__hex(s.p[3]) >= 0 &&
        aios__hex(s.p[4]) >= 0) {
        aios__out_byte(o, (uint8_t)(aios__hex(s.p[3]) << 4 | aios__hex(s.p[4])));
        return;
    }
    for (i = 0; i < s.n; i += len) {
        uint32_t cp = aios__utf8(s.p + i, s.n - i, &len);
        int32_t b = type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_BPE && !(len == 1 && cp >= 128)
                        ? aios__char_byte(cp)
                        : -1;
        if (type == AIOS__T_NORMAL && v->kind == AIOS__VOCAB_SPM && cp == 0x2581) b = ' ';
        if (b >= 0)
            aios__out_byte(o, (uint8_t)b);
        else
            for (j = 0; j < len; j++) aios__out_byte(o, (uint8_t)s.p[i + j]);
    }
}
/* See aios_detokenize. Control and unknown tokens are silent unless AIOS_DETOK_SPECIAL; so are
 * unused ones. The space that tokenizing put in front of a text is taken from the first token
 * that has text, where AIOS_DETOK_BEGIN says that it begins. */
static inline int64_t aios__detokenize(const aios__vocab *v, aios_detok *st, int32_t id, char *out,
                                       uint64_t cap) {
    aios__out o;
    aios_status s = aios__vocab_usable(v, NULL);
    uint32_t type;
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
        type = v->attr[id] & AIOS__T_TYPE;
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
    aios__str s;
    if (id < 0 || id >= v->n_tokens) return NULL;
    s = aios__vocab_text(v, id);
    *n_bytes = s.n;
    return s.p;
}
static inline int32_t aios__token_is_end(const aios__vocab *v, int32_t id) {
    return id >= 0 && id < v->n_tokens && (v->attr[id] & AIOS__T_END) != 0;
}
