/* nfc.c: composing text. Behind char.c; encode.c composes where a model's own tokenizer does.
 *
 * Unicode's canonical composition (NFC), with the tables of nfc.h. Text falls into stretches
 * that are composed alone: a character that joins nothing before it, and what follows up to the
 * next such one. */

/* characters of one stretch, split; text that is no attack has a few */
enum { AIOS__MAX_STRETCH = 1024 };

/* Index of a character in runs that end with a guard; -1 = it is in none. */
static inline int32_t aios__nfc_find(const uint32_t *run, uint32_t n, uint32_t cp) {
    uint32_t half;
    for (n--; n > 1; n -= half) {
        half = n / 2;
        run += run[half] >> 12 <= cp ? half : 0;
    }
    uint32_t i = cp - (*run >> 12) + (*run & 0xFFF);
    return cp >= *run >> 12 && i < (run[1] & 0xFFF) ? (int32_t)i : -1;
}
#define AIOS__NFC_FIND(run, cp) aios__nfc_find(run, (uint32_t)(sizeof(run) / sizeof *(run)), cp)

/* 1: no mark, joins nothing before it, stays. */
static inline int32_t aios__nfc_plain(uint32_t cp) {
    if (cp >= 0x20000) return cp < 0x2F800 || cp > 0x2FA1F; /* compatibility ideographs */
    uint32_t word = aios__nfc_block[cp >> 10];
    uint32_t bit = cp >> 5 & 31;
    if (!(word >> bit & 1)) return 1;
    uint32_t n = word & (((uint32_t)1 << bit) - 1);
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
    uint32_t low, high;
    if (a - 0x1100 < 19 && b - 0x1161 < 21) return 0xAC00 + (a - 0x1100) * 588 + (b - 0x1161) * 28;
    if (a - 0xAC00 < 11172 && (a - 0xAC00) % 28 == 0 && b - 0x11A8 < 27) return a + b - 0x11A7;
    if ((k = aios__nfc_second_of(b)) < 0 || a >> 16 != b >> 16) return 0;
    for (low = aios__nfc_start[k], high = aios__nfc_start[k + 1]; low < high;) {
        uint32_t mid = (low + high) / 2;
        uint32_t i = aios__nfc_by_second[mid];
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
    uint32_t len;
    for (uint32_t i = 1; i <= 4 && i <= p; i++) {
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
    uint32_t m, i, l, last = 0;
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
        uint32_t cp = aios__utf8(s + p, n - p, &l);
        if (aios__nfc_plain(cp)) {
            p += l;
            continue;
        }
        uint32_t cls = aios__nfc_class(cp);
        int32_t second = aios__nfc_second_of(cp);
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
