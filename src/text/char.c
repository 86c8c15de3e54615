/* char.c: characters of UTF-8 text, their classes (unicode.h), the byte alphabet of GPT-2. The
 * first of the text files; knows no vocabulary. */

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
    uint32_t b = (uint8_t)s[0], more = b < 0xC2   ? 0
                                       : b < 0xE0 ? 1
                                       : b < 0xF0 ? 2
                                       : b < 0xF5 ? 3
                                                  : 0;
    *len = 1;
    if (b < 0x80) return b;
    if (more == 0 || more >= n) return 0xFFFD;
    uint32_t cp = b & (0x3Fu >> more);
    for (uint32_t i = 1; i <= more; i++) {
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

static inline uint32_t aios__utf8_put(char *s, uint32_t cp) {
    uint32_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, cp >>= 6) s[i] = (char)(0x80 | (cp & 0x3F));
    s[0] = (char)(n == 1 ? cp : (0xF00u >> n & 0xFF) | cp);
    return n;
}
