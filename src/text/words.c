/* words.c: cutting text into words, which are joined alone, as the pre-tokenizer that the file
 * names has it. Behind char.c; knows no vocabulary.
 *
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
typedef struct aios__pre {
    const char *names;
    uint32_t flags;
    aios__stage stage[6];
} aios__pre;

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
    char fold = any_case ? 0x20 : 0;
    if (end - p < 2 || s[p] != '\'') return p;
    char a = (char)(s[p + 1] | fold);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if (end - p < 3) return p;
    char b = (char)(s[p + 2] | fold);
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
    aios__char c = aios__char_at(s, p, end);
    uint64_t q = p;
    uint32_t marks =
                 t->flags & AIOS__WORD_MARKS ? (uint32_t)AIOS__C_MARK : (uint32_t)AIOS__C_LETTER,
             n = 0;
    if (t->flags & AIOS__WORD_SHORT) {
        q = aios__pre_short(s, p, end, 1);
        if (q > p) return q;
    }
    aios__char d = c;
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
    for (uint32_t i = 0; i < 6 && pre->stage[i].op != AIOS__OP_NONE; i++) {
        if (bound[i] <= p) bound[i] = aios__pre_piece(&pre->stage[i], s, p, end);
        end = bound[i];
    }
    return end;
}
AIOS__SMALL_BEGIN
/* A missing name is "default", as llama.cpp has it (with a warning: such files are from before
 * names existed). */
static inline const aios__pre *aios__pre_find(aios__str name) {
    if (name.n == 0) {
        name.p = "default";
        name.n = 7;
    }
    for (uint32_t i = 0; i < sizeof aios__pres / sizeof *aios__pres; i++) {
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
AIOS__SMALL_END
