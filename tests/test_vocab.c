/* test_vocab.c: vocab.c. Golden ids of every vocabulary in shared/fixtures/vocab and of the tale
 * models; composed, long, broken and special text; windows against joining everything at once;
 * streams of tokens back into text; damaged vocabularies. */
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include <time.h>

/* ---- helpers ---- */

/* A vocabulary and all that it stands on. The header is copied, so that the sanitizer sees reads
 * beyond it. */
typedef struct vocab {
    uint8_t *file;
    char *raw;
    aios_io io;
    aios__gguf g;
    aios__vocab v;
    aios_error err;
    aios__notes notes;
    char said[256], name[64];
} vocab;
static void say(void *user, int32_t level, const char *text) {
    (void)level;
    snprintf((char *)user, 256, "%s", text);
}

static aios_status vocab_open(vocab *x, uint8_t *file, uint64_t n) {
    aios__gguf_size size;
    aios__bump mem = { NULL, 0 };
    aios_status st;
    uint64_t counted, i;
    int whole = 1;
    memset(x, 0, sizeof *x);
    x->file = file;
    x->notes.fn = say;
    x->notes.user = x->said;
    aios_io_memory(&x->io, file, n);
    x->io.map = NULL;
    if ((st = aios__gguf_measure(&x->io, 1, NULL, 0, &size, &x->err)) != AIOS_OK) return st;
    if ((st = aios__gguf_load(&x->g, &mem, &x->io, 1, NULL, 0, &size, &x->err)) != AIOS_OK)
        return st;
    if ((st = aios__vocab_load(&x->v, &mem, NULL, &size, NULL, &x->err)) != AIOS_OK) return st;
    counted = mem.used;
    x->raw = (char *)malloc((size_t)counted + 32);
    memset(x->raw, 0xA5, (size_t)counted + 32);
    mem.base = x->raw + 16;
    mem.used = 0;
    if ((st = aios__gguf_load(&x->g, &mem, &x->io, 1, NULL, 0, &size, &x->err)) == AIOS_OK)
        st = aios__vocab_load(&x->v, &mem, &x->g, &size, &x->notes, &x->err);
    if (st == AIOS_OK) CHECK_EQ(mem.used, counted);
    for (i = 0; i < 16; i++)
        whole &= (uint8_t)x->raw[i] == 0xA5 && (uint8_t)x->raw[16 + counted + i] == 0xA5;
    CHECK(whole);
    return st;
}
static void vocab_close(vocab *x) {
    free(x->raw);
    free(x->file);
    memset(x, 0, sizeof *x);
}

/* Unpacks a fixture once, with gzip, into build/vocab. */
static aios_status vocab_fixture(vocab *x, const char *name) {
    char rel[128], path[160], cmd[2600];
    uint8_t *file;
    size_t n;
    aios_status st;
    snprintf(rel, sizeof rel, "fixtures/vocab/ggml-vocab-%s.gguf.gz", name);
    snprintf(path, sizeof path, "build/vocab/%s.gguf", name);
    snprintf(cmd, sizeof cmd,
             "mkdir -p build/vocab && { test -s %s || { gzip -dc '%s' > %s.$$ && mv %s.$$ %s; }; }",
             path, shared_path(rel), path, path, path);
    memset(x, 0, sizeof *x);
    if (system(cmd) != 0 || (file = test_read_file(path, &n)) == NULL) return AIOS_ERR_IO;
    st = vocab_open(x, file, n);
    snprintf(x->name, sizeof x->name, "%s", name);
    return st;
}

enum { MAX_IDS = 3 << 20 };
static int32_t ids[MAX_IDS], other[MAX_IDS];
static char text[1 << 20], back[(1 << 20) + 16], whole[(1 << 20) + 16];

static int64_t tok(const vocab *x, const char *s, uint64_t n, uint32_t flags) {
    aios_error err;
    int64_t k = aios__tokenize(&x->v, s, n, flags, ids, MAX_IDS, &err);
    if (k < 0) printf("%s: %s\n", aios_status_name((aios_status)k), err.text);
    return k;
}
/* Do the ids of s equal those that the text at *p lists up to the end of its line? *p moves to
 * the next line. */
static int same_line(const vocab *x, const char *s, uint64_t n, uint32_t flags, const char **p) {
    int64_t k = tok(x, s, n, flags), i = 0;
    int same = k >= 0;
    while (**p && **p != '\n') {
        char *end;
        long want = strtol(*p, &end, 10);
        if (end == *p) {
            (*p)++;
            continue;
        }
        *p = end;
        if (i >= k || ids[i] != want) same = 0;
        i++;
    }
    if (**p) (*p)++;
    return same && i == k;
}
/* Text of ids as a stream gives it. */
static int64_t stream(const vocab *x, const int32_t *id, int64_t n, uint32_t flags, char *out,
                      uint64_t cap) {
    aios_detok st;
    int64_t i, k, at = 0;
    memset(&st, 0, sizeof st);
    st.flags = flags;
    for (i = 0; i <= n; i++) {
        k = aios__detokenize(&x->v, &st, i < n ? id[i] : -1, out + at, cap - (uint64_t)at);
        if (k < 0) return k;
        at += k;
    }
    return at;
}
/* All of s composed, stretch by stretch, without words or windows. */
static uint64_t compose(const char *s, uint64_t n, char *out) {
    static uint32_t c[AIOS__MAX_STRETCH];
    uint64_t p = 0, at = 0, len;
    while (p < n) {
        uint32_t m = aios__nfc_stretch(s + p, n - p, c, &len), i;
        for (i = 0; i < m; i++) at += aios__utf8_put(out + at, c[i]);
        if (m == 0) {
            out[at++] = s[p];
            len = 1;
        } /* an invalid byte */
        p += len;
    }
    return at;
}
/* What the ids of s stand for: s, or s composed. */
static uint64_t meant(const vocab *x, const char *s, uint64_t n, char *out) {
    if (x->v.kind == AIOS__VOCAB_BPE && (x->v.pre->flags & AIOS__PRE_NFC))
        return compose(s, n, out);
    memcpy(out, s, (size_t)n);
    return n;
}
static int is_utf8(const char *s, uint64_t n) {
    uint32_t len;
    for (; n; s += len, n -= len)
        if (aios__utf8(s, n, &len) == 0xFFFD && !(len == 3 && (uint8_t)s[0] == 0xEF)) return 0;
    return 1;
}
/* Valid UTF-8 of all kinds, without U+2581 and bytes that the vocabulary lacks (falcon's has no
 * 0x0B); returns the bytes. */
static uint64_t random_text(const vocab *x, uint64_t *rng, char *s, uint64_t cap) {
    /* clang-format off */
    static const uint32_t lo[] = { 0x20,   0x20,   0x61,    0x61,   0x30,   0x09,
                                   0xA0,   0x400,  0x600,   0x900,  0x2000, 0x3040,
                                   0x4E00, 0xAC00, 0x1F600, 0xE000, 0x10000 };
    /* clang-format on */
    static const uint32_t n[] = { 1,    95,   26,   26,     10,     5,    0x150,  0x100,   0x100,
                                  0x80, 0x70, 0xC0, 0x5000, 0x2BA0, 0x50, 0x1FFE, 0x100000 };
    uint64_t at = 0;
    while (at + 4 <= cap) {
        uint64_t r = test_rand(rng), k = r % (sizeof lo / sizeof *lo), run = 1 + (r >> 8) % 6;
        for (; run && at + 4 <= cap; run--) {
            uint32_t c = lo[k] + (uint32_t)(test_rand(rng) >> 33) % n[k];
            uint64_t was = at;
            if (c < 0x80)
                s[at++] = (char)c;
            else if (c < 0x800) {
                s[at++] = (char)(0xC0 | c >> 6);
                s[at++] = (char)(0x80 | (c & 63));
            } else if (c < 0x10000) {
                s[at++] = (char)(0xE0 | c >> 12);
                s[at++] = (char)(0x80 | (c >> 6 & 63));
                s[at++] = (char)(0x80 | (c & 63));
            } else {
                s[at++] = (char)(0xF0 | c >> 18);
                s[at++] = (char)(0x80 | (c >> 12 & 63));
                s[at++] = (char)(0x80 | (c >> 6 & 63));
                s[at++] = (char)(0x80 | (c & 63));
            }
            for (r = was; r < at; r++)
                if (x->v.byte_id[(uint8_t)s[r]] < 0) at = was;
        }
    }
    return at;
}

/* ---- golden ids ---- */

static uint32_t hash_ids(int64_t n) {
    uint32_t h = 2166136261u, b;
    int64_t i;
    for (i = 0; i < n; i++)
        for (b = 0; b < 32; b += 8) h = aios__fnv(h, (uint8_t)((uint32_t)ids[i] >> b));
    return h;
}
static void ids_are_those_of_the_peer(vocab *x, const char *name) {
    aios__pre plain;
    const aios__pre *own;
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char rel[128];
    const char *p, *end;
    char *inp, *out, *s, *next;
    size_t n;
    int n_ok = 0, n_cases = 0;
    snprintf(rel, sizeof rel, "fixtures/vocab/ggml-vocab-%s.gguf.inp", name);
    inp = (char *)test_read_file(shared_path(rel), NULL);
    snprintf(rel, sizeof rel, "fixtures/vocab/ggml-vocab-%s.gguf.out", name);
    out = (char *)test_read_file(shared_path(rel), NULL);
    if (!CHECK(inp && out)) return;
    for (s = inp, p = out; s; s = next) {
        end = strstr(s, mark);
        next = end ? s + (end - s) + sizeof mark - 1 : NULL;
        n_ok += CHECK(same_line(x, s, end ? (uint64_t)(end - s) : strlen(s), 0, &p));
        n_cases++;
    }
    free(inp);
    free(out);
    inp = (char *)test_read_file(shared_path("fixtures/vocab/extra.txt"), &n);
    snprintf(rel, sizeof rel, "fixtures/vocab/ggml-vocab-%s.gguf.extra.ids", name);
    out = (char *)test_read_file(shared_path(rel), NULL);
    if (!CHECK(inp && out)) return;
    p = out;
    own = x->v.pre;
    if (own && (own->flags & AIOS__PRE_NFC)) { /* the ids are llama.cpp's, which does not compose */
        plain = *own;
        plain.flags &= ~(uint32_t)AIOS__PRE_NFC;
        x->v.pre = &plain;
    }
    CHECK(same_line(x, inp, n, 0, &p));
    CHECK(same_line(x, inp, n, AIOS_TOK_SPECIAL | AIOS_TOK_BOS | AIOS_TOK_EOS, &p));
    x->v.pre = own;
    /* What Hugging Face's tokenizers 0.23.3 gives for these vocabularies with NFC */
    if (!strcmp(name, "qwen2")) CHECK(tok(x, inp, n, 0) == 491 && hash_ids(491) == 0xC7757519);
    if (!strcmp(name, "mpt")) CHECK(tok(x, inp, n, 0) == 515 && hash_ids(515) == 0xCF567189);
    printf("  %-15s %d of %d cases\n", name, n_ok, n_cases);
    free(inp);
    free(out);
}

/* A JSON string at p (behind its quote) into out; returns what follows it. */
static const char *json_string(const char *p, char *out, uint64_t *n) {
    *n = 0;
    while (*p && *p != '"') {
        uint32_t c = (uint8_t)*p++;
        if (c == '\\') {
            c = (uint8_t)*p++;
            if (c == 'u') {
                char hex[5];
                memcpy(hex, p, 4);
                hex[4] = 0;
                p += 4;
                c = (uint32_t)strtoul(hex, NULL, 16);
                if (c >= 0xD800 && c < 0xDC00) {
                    memcpy(hex, p + 2, 4);
                    p += 6;
                    c = 0x10000 + ((c & 0x3FF) << 10) + (uint32_t)(strtoul(hex, NULL, 16) & 0x3FF);
                }
                if (c >= 0x10000) {
                    out[(*n)++] = (char)(0xF0 | c >> 18);
                    out[(*n)++] = (char)(0x80 | (c >> 12 & 63));
                } else if (c >= 0x800)
                    out[(*n)++] = (char)(0xE0 | c >> 12);
                if (c >= 0x800)
                    out[(*n)++] = (char)(0x80 | (c >> 6 & 63));
                else if (c >= 0x80)
                    out[(*n)++] = (char)(0xC0 | c >> 6);
                if (c >= 0x80) {
                    out[(*n)++] = (char)(0x80 | (c & 63));
                    continue;
                }
            } else
                c = c == 'n'   ? '\n'
                    : c == 't' ? '\t'
                    : c == 'r' ? '\r'
                    : c == 'b' ? '\b'
                    : c == 'f' ? '\f'
                               : c;
        }
        out[(*n)++] = (char)c;
    }
    return *p ? p + 1 : p;
}
/* Every {"text": ..., "ids": [...]} of a reference. */
static void trained_models_have_their_ids(const char *model, const char *json) {
    vocab x;
    size_t n_file;
    uint8_t *file = test_read_file(shared_path(model), &n_file);
    char *ref = (char *)test_read_file(shared_path(json), NULL);
    const char *p = ref;
    int n_cases = 0;
    if (!CHECK(file && ref) || !CHECK_EQ(vocab_open(&x, file, n_file), AIOS_OK)) return;
    while ((p = strstr(p, "\"text\": \"")) != NULL) {
        uint64_t n, m;
        int64_t k, i;
        p = json_string(p + 9, text, &n);
        p = strstr(p, "\"ids\": [") + 8;
        k = tok(&x, text, n, 0);
        for (i = 0; *p != ']';) {
            char *e;
            long want = strtol(p, &e, 10);
            if (e == p) {
                p++;
                continue;
            }
            p = e;
            if (!CHECK(i < k && ids[i] == want)) break;
            i++;
        }
        CHECK_EQ(i, k);
        m = (uint64_t)stream(&x, ids, k, 0, back, sizeof back);
        CHECK_EQ(m, n);
        CHECK_MEM(back, text, (size_t)n);
        n_cases++;
    }
    CHECK(n_cases >= 22);
    CHECK(x.v.n_tokens == 4096 && x.v.bos == 4095 && x.v.eos == 4095 && x.v.eot == 4095 &&
          !x.v.add_bos && !x.v.add_eos);
    CHECK(aios__token_is_end(&x.v, 4095) && !aios__token_is_end(&x.v, 0) &&
          !aios__token_is_end(&x.v, -1) && !aios__token_is_end(&x.v, 4096));
    vocab_close(&x);
    free(ref);
}

/* ---- properties of any vocabulary ---- */

/* The definition: all symbols at once, the most urgent pair first. Slow. */
static uint64_t join_all(const aios__vocab *v, const char *s, uint64_t n, int32_t *out) {
    static char buf[4 * 8192];
    static uint32_t start[8192 + 1];
    static double key[8192]; /* smaller is sooner */
    static int32_t id[8192], joined[8192];
    const double huge = 1e300;
    uint64_t n_sym = 0, at = 0, i, j, best;
    uint32_t len;
    for (i = 0; i < n; n_sym++) {
        start[n_sym] = (uint32_t)at;
        if (v->kind == AIOS__VOCAB_BPE) {
            id[n_sym] = v->byte_id[(uint8_t)s[i++]];
            at++;
            continue;
        }
        if (s[i] == ' ') {
            memcpy(buf + at, "\xE2\x96\x81", 3);
            len = 3;
            i++;
        } else {
            aios__utf8(s + i, n - i, &len);
            memcpy(buf + at, s + i, len);
            i += len;
        }
        id[n_sym] = aios__token_find(v, buf + at, len);
        at += len;
    }
    start[n_sym] = (uint32_t)at;
    for (i = 0; i < n_sym; i++) key[i] = -huge; /* not known yet */
    for (;;) {
        best = n_sym;
        for (i = 0; i + 1 < n_sym; i++) {
            if (key[i] <= -huge) {
                key[i] = huge;
                if (v->kind == AIOS__VOCAB_BPE) {
                    int32_t r = aios__merge_find(v, id[i], id[i + 1]);
                    if (r >= 0) {
                        key[i] = r;
                        joined[i] = v->merge[r].id;
                    }
                } else {
                    float f = 0;
                    joined[i] = aios__token_find(v, buf + start[i], start[i + 2] - start[i]);
                    if (joined[i] >= 0) {
                        if (v->score_p) memcpy(&f, v->score_p + 4 * joined[i], 4);
                        key[i] = -(double)f;
                    }
                }
            }
            if (key[i] < huge && (best == n_sym || key[i] < key[best])) best = i;
        }
        if (best == n_sym) break;
        id[best] = joined[best];
        for (j = best + 1; j + 1 < n_sym; j++) {
            id[j] = id[j + 1];
            key[j] = key[j + 1];
            joined[j] = joined[j + 1];
            start[j] = start[j + 1];
        }
        n_sym--;
        start[n_sym] = (uint32_t)at;
        key[best] = -huge;
        if (best) key[best - 1] = -huge;
    }
    for (i = j = 0; i < n_sym; i++) {
        if (id[i] >= 0)
            out[j++] = id[i];
        else
            for (at = start[i]; v->kind == AIOS__VOCAB_SPM && at < start[i + 1]; at++)
                out[j++] = v->byte_id[(uint8_t)buf[at]];
    }
    return j;
}
static void windows_of_a_text_join_to_its_ids(const vocab *x) {
    CASE("%s", x->name);
    static aios__window window;
    uint64_t rng = 7, n, i, k;
    int round;
    for (round = 0; round < 10; round++) {
        aios__ids o;
        aios_error err;
        n = 2000 + test_rand(&rng) % 1000;
        if (round == 0)
            memset(text, 'a', (size_t)n);
        else if (round == 1)
            memset(text, ' ', (size_t)n);
        else if (round == 2)
            memset(text, '=', (size_t)n);
        else if (round < 6)
            for (i = 0; i < n; i++)
                text[i] = "etaoinshrdlu cmf"[test_rand(&rng) % (uint64_t)(round == 3   ? 2
                                                                          : round == 4 ? 5
                                                                                       : 16)];
        else
            n = random_text(x, &rng, text, n);
        o.p = ids;
        o.max = MAX_IDS;
        o.n = 0;
        if (!CHECK_EQ(aios__piece(&x->v, &window, text, n, 0, &o, &err), AIOS_OK)) continue;
        k = join_all(&x->v, text, n, other);
        CHECK_EQ(o.n, k);
        CHECK_MEM(ids, other, (size_t)k * 4);
    }
}
/* Text -> ids -> text, bytes that are no text, buffers that are too small. */
static void text_comes_back_from_its_ids(const vocab *x) {
    CASE("%s", x->name);
    uint64_t rng = 99, n, i;
    int64_t k, m;
    int round, n_found = 0;
    for (round = 0; round < 60; round++) {
        uint32_t flags = round & 1 ? (uint32_t)(AIOS_TOK_BOS | AIOS_TOK_EOS) : 0;
        n = random_text(x, &rng, text, 8 + test_rand(&rng) % 3000);
        if ((k = tok(x, text, n, flags)) < 0) {
            CHECK(k >= 0);
            continue;
        }
        m = stream(x, ids, k, AIOS_DETOK_BEGIN, back, sizeof back);
        CHECK_EQ(m, (int64_t)meant(x, text, n, whole));
        CHECK_MEM(back, whole, (size_t)m);
        memcpy(other, ids, (size_t)k * 4);
        for (i = 0; i < 8; i++) ids[i] = -77;
        CHECK_EQ(aios__tokenize(&x->v, text, n, flags, NULL, 0, NULL), k);
        CHECK_EQ(aios__tokenize(&x->v, text, n, flags, ids, 3, NULL), k);
        CHECK_MEM(ids, other, (size_t)(k < 3 ? k : 3) * 4);
        CHECK_EQ(ids[3], -77);
    }
    for (round = 0; round < 20; round++) { /* any bytes: nothing is lost, byte by byte */
        aios_detok st;
        n = 1 + test_rand(&rng) % 2000;
        for (i = 0; i < n; i++) {
            uint64_t r = test_rand(&rng);
            text[i] = round < 10 ? (char)(uint8_t)(r >> 8) : "\xE4\xBD\xA0\xF0\x9F a\xC3"[r % 8];
            if (x->v.byte_id[(uint8_t)text[i]] < 0) text[i] = 'b';
        }
        k = tok(x, text, n, 0);
        for (m = 0, i = 0; i < (uint64_t)k; i++)
            m += aios__detokenize(&x->v, NULL, ids[i], back + m, sizeof back - (uint64_t)m);
        i = x->v.add_space ? 1 : 0;
        n = meant(x, text, n, whole);
        CHECK_EQ(m, (int64_t)(n + i));
        CHECK_MEM(back + i, whole, (size_t)n);
        m = stream(x, ids, k, AIOS_DETOK_BEGIN, back, sizeof back);
        CHECK(m >= 0 && is_utf8(back, (uint64_t)m));
        memset(&st, 0, sizeof st);
        for (i = 0; i < (uint64_t)k && i < 50;
             i++) { /* too small: the same state can be tried again */
            aios_detok was = st;
            int64_t need = aios__detokenize(&x->v, &st, ids[i], back, sizeof back);
            if (need > 0) {
                aios_detok s2 = was;
                CHECK_EQ(aios__detokenize(&x->v, &s2, ids[i], back, (uint64_t)need - 1),
                         AIOS_ERR_FULL);
                CHECK_MEM(&s2, &was, sizeof was);
                CHECK_EQ(aios__detokenize(&x->v, &s2, ids[i], NULL, 0), AIOS_ERR_FULL);
                CHECK_EQ(aios__detokenize(&x->v, &s2, ids[i], back, (uint64_t)need), need);
                CHECK_MEM(&s2, &st, sizeof st);
            }
        }
    }
    CHECK_EQ(aios__detokenize(&x->v, NULL, x->v.n_tokens, back, 10), AIOS_ERR_ARG);
    CHECK_EQ(aios__detokenize(&x->v, NULL, -2, back, 10), AIOS_ERR_ARG);
    CHECK_EQ(tok(x, "", 0, 0), 0);
    CHECK_EQ(tok(x, NULL, 0, 0), 0);
    CHECK_EQ(aios__tokenize(&x->v, NULL, 1, 0, ids, 1, NULL), AIOS_ERR_ARG);
    CHECK_EQ(aios__tokenize(&x->v, "a", 1, 0, NULL, 1, NULL), AIOS_ERR_ARG);
    CHECK_EQ(aios__tokenize(&x->v, "a", 1, 8, ids, 1, NULL), AIOS_ERR_ARG);
    for (i = 0; i < (uint64_t)x->v.n_tokens; i++) {
        uint64_t len = 0;
        const char *s = aios__token_text(&x->v, (int32_t)i, &len);
        n_found += s && aios__token_find(&x->v, s, len) == (int32_t)i &&
                   aios__detokenize(&x->v, NULL, (int32_t)i, back, 1024) > 0;
    }
    CHECK_EQ(n_found, x->v.n_tokens);
    CHECK(aios__token_text(&x->v, -1, &n) == NULL &&
          aios__token_text(&x->v, x->v.n_tokens, &n) == NULL);
}
/* A megabyte without anything that a reader would call a word. */
static void a_megabyte_without_words_takes_no_time(const vocab *x, const char *name) {
    CASE("%s", x->name);
    uint64_t n = getenv("TEST_QUICK") ? 1 << 16 : 1 << 20, rng = 5, i;
    clock_t t = clock();
    int kind;
    double s;
    for (kind = 0; kind < 7; kind++) {
        int64_t k, m = 0, j;
        for (i = 0; i < n; i++)
            text[i] = (char)(kind == 0   ? 'a'
                             : kind == 1 ? ' '
                             : kind == 2 ? '\n'
                             : kind == 3 ? (int)(test_rand(&rng) & 255)
                             : kind == 4 ? "\xE4\xBD\xA0\xE5\xA5\xBD"[i % 6]
                             : kind == 5 ? '1'
                                         : 'a' + (int)(test_rand(&rng) % 26));
        for (i = 0; i < n; i++)
            if (x->v.byte_id[(uint8_t)text[i]] < 0) text[i] = 'b';
        k = tok(x, text, n, AIOS_TOK_SPECIAL);
        CHECK(k > 0);
        for (j = 0; j < k && m + 1100 <= (int64_t)sizeof back; j++)
            m += aios__detokenize(&x->v, NULL, ids[j], back + m, 1100);
        j = x->v.add_space;
        i = meant(x, text, n, whole);
        CHECK(m > (int64_t)i - 1200);
        CHECK_MEM(back + j, whole, (size_t)(m - j < (int64_t)i ? m - j : (int64_t)i));
    }
    s = (double)(clock() - t) / CLOCKS_PER_SEC;
    printf("  %-15s long texts: %.1f MB/s\n", name, (double)n * 7e-6 / (s > 0 ? s : 1e-9));
    CHECK(s < 120); /* quadratic would be hours */
}

/* ---- special tokens and ends ---- */

/* ids of s equal the list, which ends with -1? */
static int is_ids(const vocab *x, const char *s, uint32_t flags, const int32_t *want) {
    int64_t k = tok(x, s, strlen(s), flags), i;
    for (i = 0; want[i] >= 0; i++)
        if (i >= k || ids[i] != want[i]) return 0;
    return i == k;
}
static int32_t id_of(const vocab *x, const char *z) {
    return aios__token_find(&x->v, z, strlen(z));
}

static void special_tokens_are_taken_where_they_may_be(const vocab *x, const char *name) {
    CASE("%s", x->name);
    int32_t want[16];
    int64_t k;
    char *z = back;
    if (strcmp(name, "qwen2") == 0) {
        int32_t start = id_of(x, "<|im_start|>"), end = id_of(x, "<|im_end|>");
        want[0] = start;
        want[1] = id_of(x, "user");
        want[2] = id_of(x, "\xC4\x8A");
        want[3] = id_of(x, "Hi");
        want[4] = end;
        want[5] = -1;
        CHECK(is_ids(x, "<|im_start|>user\nHi<|im_end|>", AIOS_TOK_SPECIAL, want));
        CHECK(tok(x, "<|im_start|>", 12, 0) > 1);
        CHECK(aios__token_is_end(&x->v, end));
        CHECK(aios__token_is_end(&x->v, x->v.eos));
        CHECK(!aios__token_is_end(&x->v, start));
        CHECK_EQ(x->v.eot, end);
        CHECK(aios__tokenize(&x->v, "<|im_start|><|im_end", 20, AIOS_TOK_SPECIAL, ids, MAX_IDS,
                             NULL) > 2 &&
              ids[0] == start);
    }
    if (strcmp(name, "llama-bpe") == 0) {
        CHECK(x->v.add_bos && x->v.bos == 128000 && x->v.eot == 128009 &&
              aios__token_is_end(&x->v, 128001) && aios__token_is_end(&x->v, 128009));
        want[0] = 128000;
        want[1] = 9906;
        want[2] = -1;
        CHECK(is_ids(x, "Hello", AIOS_TOK_BOS, want) &&
              is_ids(x, "<|begin_of_text|>Hello", AIOS_TOK_SPECIAL, want));
        k = stream(x, want, 2, AIOS_DETOK_BEGIN, z, 100);
        CHECK_EQ(k, 5);
        CHECK_MEM(z, "Hello", 5);
        k = stream(x, want, 2, AIOS_DETOK_BEGIN | AIOS_DETOK_SPECIAL, z, 100);
        CHECK_EQ(k, 22);
        CHECK_MEM(z, "<|begin_of_text|>Hello", 22);
    }
    if (strcmp(name, "phi-3") ==
        0) { /* white space behind a special token goes with it; a space comes before text */
        want[0] = id_of(x, "<|user|>");
        want[1] = id_of(x, "\xE2\x96\x81Hello");
        want[2] = id_of(x, "<|end|>");
        want[3] = -1;
        CHECK(is_ids(x, "<|user|>\n Hello<|end|>\n", AIOS_TOK_SPECIAL, want));
    }
    if (strcmp(name, "llama-spm") == 0) {
        want[0] = 1;
        want[1] = id_of(x, "\xE2\x96\x81Hello");
        want[2] = 2;
        want[3] = want[1];
        want[4] = -1;
        CHECK(is_ids(x, "<s>Hello</s>Hello", AIOS_TOK_SPECIAL, want));
        k = stream(x, want, 4, AIOS_DETOK_BEGIN, z, 100);
        CHECK_EQ(k, 11);
        CHECK_MEM(z, "Hello Hello", 11);
        k = stream(x, want + 1, 1, 0, z, 100);
        CHECK_EQ(k, 6);
        CHECK_MEM(z, " Hello", 6);
        CHECK_EQ(tok(x, " ", 1, 0), 1);
        CHECK_EQ(tok(x, "x", 1, 0), 1);
    }
    if (strcmp(name, "mpt") ==
        0) { /* user-defined runs of spaces are found without being asked for */
        want[0] = id_of(x, "            ");
        want[1] = id_of(x, "x");
        want[2] = -1;
        CHECK(is_ids(x, "            x", 0, want));
    }
}
/* Ill-formed sequences, from Unicode 15.1, tables 3-8 to 3-11: one U+FFFD for each longest start
 * of a character. */
static void ill_formed_text_has_one_mark_for_each_start(const vocab *x) {
    CASE("%s", x->name);
    static const struct {
        const char *in, *out;
    } rows[] = { { "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", "a...b.c..d" },
                 { "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "........A" },
                 { "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "........A" },
                 { "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", ".....A..B" },
                 { "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "....A" },
                 { "\xF0\x9F\x98", "." } };
    size_t r;
    for (r = 0; r < sizeof rows / sizeof *rows; r++) {
        char want[64];
        uint64_t n = 0, i, len = strlen(rows[r].in);
        const char *p;
        int known = 1;
        for (i = 0; i < len; i++) known &= x->v.byte_id[(uint8_t)rows[r].in[i]] >= 0;
        if (!known) continue; /* bytes that are in no text at all are in few vocabularies */
        for (p = rows[r].out; *p; p++) {
            if (*p == '.') {
                memcpy(want + n, "\xEF\xBF\xBD", 3);
                n += 3;
            } else
                want[n++] = *p;
        }
        for (i = 0; i < len; i++) ids[i] = x->v.byte_id[(uint8_t)rows[r].in[i]];
        CHECK_EQ(stream(x, ids, (int64_t)len, 0, back, sizeof back), (int64_t)n);
        CHECK_MEM(back, want, (size_t)n);
    }
    { /* every byte its own token: whole characters come out, each with its last byte */
        static const char s[] = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80z";
        aios_detok st;
        uint64_t i, at = 0;
        memset(&st, 0, sizeof st);
        st.flags = 0;
        for (i = 0; i + 1 < sizeof s; i++) {
            int64_t k = aios__detokenize(&x->v, &st, x->v.byte_id[(uint8_t)s[i]], back + at,
                                         sizeof back - at);
            CHECK(k >= 0 && is_utf8(back + at, (uint64_t)k));
            at += (uint64_t)k;
            CHECK(at <= i + 1);
            CHECK_MEM(back, s, (size_t)at);
        }
        CHECK_EQ(at, sizeof s - 1);
        CHECK_EQ(st.n_bytes, 0);
    }
}

/* ---- made-up vocabularies ---- */

typedef struct maker {
    uint8_t p[1 << 20];
    uint64_t n, n_keys;
} maker;
static maker mk;
static void put(const void *p, uint64_t n) {
    memcpy(mk.p + mk.n, p, (size_t)n);
    mk.n += n;
}
static void put_le(uint64_t v, int n) {
    for (; n; n--, v >>= 8) mk.p[mk.n++] = (uint8_t)v;
}
static void put_str(const char *z, uint64_t n) {
    put_le(n, 8);
    put(z, n);
}
static void key(const char *name, uint32_t type) {
    put_str(name, strlen(name));
    put_le(type, 4);
    mk.n_keys++;
}
static void key_str(const char *name, const char *z) {
    key(name, AIOS__STR);
    put_str(z, strlen(z));
}
static void key_u32(const char *name, uint32_t v) {
    key(name, AIOS__U32);
    put_le(v, 4);
}
/* Words of z, separated by '|'; "a*5" is aaaaa. */
static uint64_t key_words(const char *name, const char *z) {
    uint64_t at, n = 0;
    key(name, AIOS__ARR);
    put_le(AIOS__STR, 4);
    at = mk.n;
    put_le(0, 8);
    while (*z) {
        uint64_t len = strcspn(z, "|");
        if (len > 2 && z[1] == '*') {
            uint64_t k = strtoul(z + 2, NULL, 10);
            put_le(k, 8);
            memset(mk.p + mk.n, z[0], (size_t)k);
            mk.n += k;
        } else
            put_str(z, len);
        z += len;
        if (*z) z++;
        n++;
    }
    memcpy(mk.p + at, &n, 8);
    return n;
}
static void key_numbers(const char *name, uint32_t type, const float *v, uint64_t n) {
    uint64_t i;
    key(name, AIOS__ARR);
    put_le(type, 4);
    put_le(n, 8);
    for (i = 0; i < n; i++) {
        int32_t k = type == AIOS__F32 ? 0 : (int32_t)v[i];
        put(type == AIOS__F32 ? (const void *)&v[i] : (const void *)&k, 4);
    }
}
static void begin(const char *model) {
    mk.n = 0;
    mk.n_keys = 0;
    put("GGUF", 4);
    put_le(3, 4);
    put_le(0, 8);
    put_le(0, 8);
    key_str("general.architecture", "llama");
    if (model) key_str("tokenizer.ggml.model", model);
}
static aios_status made(vocab *x) {
    uint8_t *file = (uint8_t *)malloc((size_t)mk.n);
    memcpy(mk.p + 16, &mk.n_keys, 8);
    memcpy(file, mk.p, (size_t)mk.n);
    return vocab_open(x, file, mk.n);
}
#define WORDS  "tokenizer.ggml.tokens"
#define MERGES "tokenizer.ggml.merges"
/* Loading fails with this code and a word of the text. */
static void refused(aios_status code, const char *word) {
    vocab x;
    aios_status st = made(&x);
    CHECK_AT(st == code && st == x.err.code && strstr(x.err.text, word) != NULL,
             "got %d '%s', wanted '%s'", (int)st, x.err.text, word);
    vocab_close(&x);
}

static void made_vocabularies_follow_their_keys(void) {
    static const float one[] = { 1, 1, 1, 1, 1, 1, 1, 1 },
                       scores[] = { 0, 0, -1, -2, -3, -1, 0, 0 };
    vocab x;
    aios_error err;
    int32_t want[8];
    float nan_scores[8];
    uint64_t i;

    /* no tokenizer; other kinds: the model loads, tokenizing says why not */
    begin(NULL);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(aios__vocab_size(&x.v), 0);
    CHECK_EQ(aios__tokenize(&x.v, "a", 1, 0, ids, 8, &err), AIOS_ERR_VOCAB);
    CHECK_EQ(aios__detokenize(&x.v, NULL, 0, back, 8), AIOS_ERR_VOCAB);
    CHECK(!aios__token_is_end(&x.v, 0));
    CHECK(!aios__token_text(&x.v, 0, &i));
    vocab_close(&x);
    begin("none");
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(aios__tokenize(&x.v, "a", 1, 0, ids, 8, &err), AIOS_ERR_VOCAB);
    CHECK_EQ(err.code, AIOS_ERR_VOCAB);
    vocab_close(&x);
    begin("rwkv");
    key_words(WORDS, "a|b|b|c");
    key_u32("tokenizer.ggml.eos_token_id", 3);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(aios__tokenize(&x.v, "a", 1, 0, ids, 8, &err), AIOS_ERR_UNSUPPORTED);
    CHECK(strstr(err.text, "'rwkv'"));
    CHECK_EQ(aios__detokenize(&x.v, NULL, 0, back, 8), AIOS_ERR_UNSUPPORTED);
    CHECK_EQ(x.v.n_tokens, 4);
    CHECK(aios__token_is_end(&x.v, 3));
    vocab_close(&x);
    begin("gpt2");
    key_str("tokenizer.ggml.pre", "tomorrow");
    key_words(WORDS, "a|b|ab");
    key_words(MERGES, "a b");
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(aios__tokenize(&x.v, "a", 1, 0, ids, 8, &err), AIOS_ERR_UNSUPPORTED);
    CHECK(strstr(err.text, "'tomorrow'"));
    CHECK_EQ(aios__detokenize(&x.v, NULL, 2, back, 8), 2); /* text needs no pre-tokenizer */
    vocab_close(&x);

    /* merges that name no tokens are left out, and the second of two; a byte without token is
     * left out, or unk */
    begin("gpt2");
    key_words(WORDS, "a|b|c|ab|bc|abc");
    key_words(MERGES, "x b|b c|a b|b c|ab c|a bc|b|| |c a|a bcd");
    CHECK_EQ(made(&x), AIOS_OK);
    want[0] = 5;
    want[1] = 2;
    want[2] = -1;
    CHECK(is_ids(&x, "abccz", 0, want) && x.v.bos == -1 && x.v.eos == -1 && !x.v.add_bos);
    CHECK_EQ(stream(&x, want, 2, 0, back, 100), 4);
    CHECK_MEM(back, "abcc", 4);
    vocab_close(&x);
    begin("gpt2");
    key_words(WORDS, "a|b|c|ab|bc|abc");
    key_words(MERGES, "b c");
    key_u32("tokenizer.ggml.unknown_token_id", 1);
    key_u32("tokenizer.ggml.padding_token_id", 32000);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(x.v.pad, -1);
    want[0] = 0;
    want[1] = 1;
    want[2] = 4;
    want[3] = 1;
    want[4] = -1;
    CHECK(is_ids(&x, "azbcz", 0, want));
    vocab_close(&x);

    /* SentencePiece: best score first, leftmost on ties, NaN last; a merge that needs the far
     * end of the text */
    begin("llama");
    key_words(WORDS, "a|b|ab|ba|aba|bb|x|y");
    key_numbers("tokenizer.ggml.scores", AIOS__F32, scores, 8);
    key("tokenizer.ggml.add_space_prefix", AIOS__BOOL);
    put_le(0, 1);
    key("tokenizer.ggml.add_bos_token", AIOS__BOOL);
    put_le(0, 1);
    CHECK_EQ(made(&x), AIOS_OK);
    want[2] = -1;
    CHECK(is_ids(&x, "abab", 0, (want[0] = 2, want[1] = 2, want)));
    CHECK(is_ids(&x, "aba", 0, (want[0] = 4, want[1] = -1, want)));
    CHECK(is_ids(&x, "abba", 0, (want[0] = 2, want[1] = 3, want[2] = -1, want)));
    CHECK(is_ids(&x, "bba", 0, (want[0] = 5, want[1] = 0, want)));
    vocab_close(&x);
    memcpy(nan_scores, scores, sizeof scores);
    memset(&nan_scores[2], 0xFF, 4);
    begin("llama");
    key_words(WORDS, "a|b|ab|ba|aba|bb|x|y");
    key_numbers("tokenizer.ggml.scores", AIOS__F32, nan_scores, 8);
    key("tokenizer.ggml.add_space_prefix", AIOS__BOOL);
    put_le(0, 1);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK(is_ids(&x, "abba", 0, (want[0] = 0, want[1] = 5, want[2] = 0, want[3] = -1, want)));
    vocab_close(&x);
    begin("llama");
    key_words(WORDS, "a|b|a*2|a*4|a*8|a*16|a*32|a*64|a*128|a*256|a*512|a*1024|a*2048");
    CHECK_EQ(made(&x), AIOS_OK);
    memset(text, 'a', 5000);
    CHECK(aios__tokenize(&x.v, text, 700, 0, ids, MAX_IDS, &err) > 0);
    CHECK_EQ(aios__tokenize(&x.v, text, 5000, 0, ids, MAX_IDS, &err), AIOS_ERR_LIMIT);
    CHECK(strstr(err.text, "5000 bytes"));
    vocab_close(&x);

    /* damage */
    begin("llama");
    refused(AIOS_ERR_MODEL, WORDS);
    begin("gpt2");
    key_words(WORDS, "a|b");
    refused(AIOS_ERR_MODEL, MERGES);
    begin("llama");
    key_words(WORDS, "");
    refused(AIOS_ERR_MODEL, "empty");
    begin("llama");
    key_str(WORDS, "a");
    refused(AIOS_ERR_MODEL, WORDS);
    begin("llama");
    key_numbers(WORDS, AIOS__F32, one, 3);
    refused(AIOS_ERR_MODEL, WORDS);
    begin("gpt2");
    key_words(WORDS, "a|b");
    key_numbers(MERGES, AIOS__F32, one, 3);
    refused(AIOS_ERR_MODEL, MERGES);
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.scores", AIOS__F32, one, 2);
    refused(AIOS_ERR_MODEL, "scores");
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.scores", AIOS__I32, one, 3);
    refused(AIOS_ERR_MODEL, "scores");
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.token_type", AIOS__I32, one, 4);
    refused(AIOS_ERR_MODEL, "token_type");
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.token_type", AIOS__F32, one, 3);
    refused(AIOS_ERR_MODEL, "token_type");
    nan_scores[0] = 7;
    nan_scores[1] = 1;
    nan_scores[2] = -1;
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.token_type", AIOS__I32, nan_scores, 3);
    refused(AIOS_ERR_MODEL, "token type");
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_numbers("tokenizer.ggml.token_type", AIOS__I32, nan_scores + 1, 3);
    refused(AIOS_ERR_MODEL, "token_type");
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_str("tokenizer.ggml.eos_token_id", "c");
    refused(AIOS_ERR_MODEL, "eos_token_id");
    begin(NULL);
    key_u32("tokenizer.ggml.model", 1);
    refused(AIOS_ERR_MODEL, "tokenizer.ggml.model");

    /* odd, and said, but no damage */
    begin("llama");
    key_words(WORDS, "a|b|a");
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK(strstr(x.said, "token 2 has the text of another one: a"));
    CHECK_EQ(aios__token_find(&x.v, "a", 1), 0);
    vocab_close(&x);
    nan_scores[0] = 3;
    nan_scores[1] = nan_scores[2] = 1;
    begin("llama");
    key_words(WORDS, "a|b|a");
    key_numbers("tokenizer.ggml.token_type", AIOS__I32, nan_scores, 3);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK_EQ(aios__token_find(&x.v, "a", 1), 2); /* the normal one */
    vocab_close(&x);
    begin("llama");
    key_words(WORDS, "a|b|c");
    key_u32("tokenizer.ggml.bos_token_id", 3);
    key_u32("tokenizer.ggml.eos_token_id", 0xFFFFFFFFu);
    CHECK_EQ(made(&x), AIOS_OK);
    CHECK(strstr(x.said, "eos_token_id"));
    CHECK_EQ(x.v.bos, 1);
    CHECK_EQ(x.v.eos, 2);
    vocab_close(&x);
    begin("llama");
    key_words(WORDS, "a|b|c");
    CHECK(made(&x) == AIOS_OK && !x.said[0]);
    vocab_close(&x);

    /* bos and eos: two wishes; a text's own bos; pieces that join to the text of a control token */
    {
        static const float types[] = { 2, 3, 3, 1, 1, 1, 1 };
        static const int32_t bos[] = { 1, 3, -1 }, both[] = { 1, 3, 2, -1 }, eos[] = { 3, 2, -1 },
                             plain[] = { 3, -1 }, twice[] = { 1, 1, 3, -1 },
                             pieces[] = { 4, 5, 6, -1 };
        begin("llama");
        key_words(WORDS, "<unk>|<s>|</s>|a|<|s|>");
        key_numbers("tokenizer.ggml.token_type", AIOS__I32, types, 7);
        key("tokenizer.ggml.add_eos_token", AIOS__BOOL);
        put_le(1, 1);
        key("tokenizer.ggml.add_space_prefix", AIOS__BOOL);
        put_le(0, 1);
        CHECK_EQ(made(&x), AIOS_OK);
        CHECK(is_ids(&x, "a", 0, plain) && is_ids(&x, "a", AIOS_TOK_BOS, bos) &&
              is_ids(&x, "a", AIOS_TOK_EOS, eos) &&
              is_ids(&x, "a", AIOS_TOK_BOS | AIOS_TOK_EOS, both));
        CHECK(is_ids(&x, "<s>a", AIOS_TOK_SPECIAL | AIOS_TOK_BOS, bos) &&
              is_ids(&x, "<s>a", AIOS_TOK_SPECIAL, bos) &&
              is_ids(&x, "<s><s>a", AIOS_TOK_SPECIAL | AIOS_TOK_BOS, twice));
        CHECK(is_ids(&x, "<s>", 0, pieces));
        vocab_close(&x);
    }
}
/* Tables: every run is in order, ASCII agrees, some characters that the stages depend on. */
static void tables_of_unicode_are_in_order(void) {
    /* clang-format off */
    static const uint32_t rows[][2] = {
        { 0x41, 1 },    { 0x37, 2 },    { 0x7E, 4 },    { 0x85, 6 },    { 0xA0, 6 },
        { 0xAD, 0 },    { 0xB2, 2 },    { 0xE9, 1 },    { 0x301, 5 },   { 0x378, 0 },
        { 0x966, 2 },   { 0x200B, 0 },  { 0x2028, 6 },  { 0x2014, 3 },  { 0x20AC, 4 },
        { 0x3000, 6 },  { 0x3002, 3 },  { 0x4E00, 1 },  { 0x9FFF, 1 },  { 0xAC00, 1 },
        { 0xD800, 0 },  { 0xE000, 0 },  { 0xFE0F, 5 },  { 0xFFFD, 4 },  { 0x1F600, 4 },
        { 0x20000, 1 }, { 0x2EBF0, 1 }, { 0x31350, 1 }, { 0xE0101, 5 }, { 0x10FFFF, 0 }
    };
    /* clang-format on */
    uint32_t i, lo, c;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_AT(aios__class_of(rows[i][0]) == rows[i][1], "U+%X is %u", (unsigned)rows[i][0],
                 (unsigned)aios__class_of(rows[i][0]));
    for (c = 0, lo = 1; c < sizeof aios__class_page / sizeof *aios__class_page - 1; c++) {
        lo &= aios__class_page[c] < aios__class_page[c + 1] &&
              aios__class_run[aios__class_page[c]] >> 3 == 0;
        for (i = aios__class_page[c] + 1u; i < aios__class_page[c + 1]; i++)
            lo &= aios__class_run[i] >> 3 > aios__class_run[i - 1] >> 3 &&
                  (aios__class_run[i] & 7) != (aios__class_run[i - 1] & 7);
    }
    CHECK(lo && c == 0x110000 >> 13 &&
          aios__class_page[c] == sizeof aios__class_run / sizeof *aios__class_run &&
          aios__class_run[1] >> 3 == 0x85);
    for (i = 1, lo = 1; i < sizeof aios__cased / sizeof *aios__cased; i++)
        lo &= aios__cased[i] >= aios__cased[i - 1];
    CHECK(lo);
    for (c = 0, lo = 1; c < 256; c++)
        lo &= aios__char_byte(aios__byte_char((uint8_t)c)) == (int32_t)c;
    CHECK(lo && aios__char_byte(' ') == -1 && aios__char_byte(0x144) == -1 &&
          aios__byte_char(' ') == 0x120 && aios__byte_char('\n') == 0x10A &&
          aios__byte_char(0xAD) == 0x143);
}
static void fnv(uint32_t *h, const char *s, uint64_t n) {
    while (n--) *h = aios__fnv(*h, (uint8_t)*s++);
}
/* Every code point, and random ones that join, split and change places, composed. The hashes are
 * those of Python's texts (tests/compose.py). */
static void text_is_composed_as_unicode_says(void) {
    /* clang-format off */
    static const uint32_t ranges[][2] = {
        { 0x300, 0x70 },    { 0x300, 0x70 },    { 0x41, 0x3A },    { 0x41, 0x3A },
        { 0xC0, 0x1C0 },    { 0x1E00, 0x200 },  { 0x1100, 0x100 }, { 0x1160, 0x70 },
        { 0xAC00, 0x2BA4 }, { 0x590, 0x30 },    { 0x64B, 0x16 },   { 0x915, 0x40 },
        { 0x9BE, 0x1A },    { 0xBBE, 0x1A },    { 0xF71, 0x15 },   { 0x3099, 2 },
        { 0x304B, 0x60 },   { 0x1D157, 0x20 },  { 0x11099, 0x22 }, { 0x11347, 0x20 },
        { 0xF900, 0x200 },  { 0x2F800, 0x21E }, { 0x2000, 4 },     { 0x2126, 6 },
        { 0x338, 1 },       { 0x3C, 3 },        { 0x20, 1 },       { 0x1F00, 0x100 }
    };
    /* clang-format on */
    static uint32_t c[AIOS__MAX_STRETCH];
    uint32_t cp, one = 2166136261u, many = one, i, k, stays;
    uint64_t r = 1, n, m;
    int same = 1;
#define RAND(n)                                                             \
    (r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407), \
     (uint32_t)(r >> 33) % (uint32_t)(n))
    for (cp = 0; cp < 0x110000; cp++) {
        if (cp >> 11 == 0x1B) continue;
        n = aios__utf8_put(text, cp);
        m = compose(text, n, whole);
        stays = m == n && memcmp(text, whole, (size_t)n) == 0;
        same &= aios__nfc_next(text, 0, n, c) == (stays ? n : (uint64_t)0) &&
                aios__nfc_next(whole, 0, m, c) == m;
        fnv(&one, whole, m);
    }
    CHECK(same);
    for (i = 0; i < 60000; i++) {
        for (n = 0, k = 1 + RAND(12); k; k--) {
            uint32_t row = RAND(sizeof ranges / sizeof *ranges);
            n += aios__utf8_put(text + n, ranges[row][0] + RAND(ranges[row][1]));
        }
        m = compose(text, n, whole);
        stays = m == n && memcmp(text, whole, (size_t)n) == 0;
        same &= (aios__nfc_next(text, 0, n, c) == n) == (int)stays &&
                aios__nfc_next(whole, 0, m, c) == m;
        fnv(&many, whole, m);
    }
#undef RAND
    CHECK(same);
    CHECK_AT(one == 0x74F768B9 && many == 0x13274AC6, "0x%08X 0x%08X", (unsigned)one,
             (unsigned)many);
}
/* Text that is not composed has the ids of the composed one, wherever windows, words and special
 * tokens lie. */
static void text_that_is_not_composed_has_the_ids_of_the_composed(const vocab *x) {
    CASE("%s", x->name);
    static const struct {
        const char *split, *joined;
    } rows[] = { { "cafe\xCC\x81 cafe\xCC\x81", "caf\xC3\xA9 caf\xC3\xA9" },
                 { "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB\xE1\x84\x80\xE1\x85\xB3\xE1\x86\xAF",
                   "\xED\x95\x9C\xEA\xB8\x80" },
                 { "a=\xCC\xB8 b", "a\xE2\x89\xA0 b" },
                 { "'s\xCC\x8C's", "'\xC5\xA1's" },
                 { "\xE2\x84\xAA\xE2\x80\x80\xE2\x80\x81x", "K\xE2\x80\x82\xE2\x80\x83x" },
                 { "\xCC\x81\xCC\xA7"
                   "e\xFF\xCC\x81\xCC\xA7",
                   "\xCC\xA7\xCC\x81"
                   "e\xFF\xCC\xA7\xCC\x81" },
                 { "e\xCC", "e\xCC" },
                 { "e\xCC\x81\xCC", "\xC3\xA9\xCC" },
                 { "q\xCC\x87\xCC\xA3 \xE0\xA5\x98 e",
                   "q\xCC\xA3\xCC\x87 \xE0\xA4\x95\xE0\xA4\xBC e" } };
    /* clang-format off */
    static const char *const parts[] = { "e\xCC\x81",
                                         "e\xCC\x81",
                                         "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB",
                                         "\xE1\x84\x80\xE1\x85\xB3",
                                         "o\xCC\x82\xCC\xA3",
                                         "word",
                                         "A",
                                         " ",
                                         " ",
                                         "  \n",
                                         "'s",
                                         "1",
                                         "=\xCC\xB8",
                                         "==",
                                         "\xE3\x81\x8B\xE3\x82\x99",
                                         "\xE4\xBD\xA0",
                                         "\xFF",
                                         "\xCC",
                                         "\x81",
                                         "\xF0\x9F\x98\x80",
                                         "\xE2\x80\x80",
                                         "\xCC\x81",
                                         "\xCC\xA7",
                                         ". ",
                                         "\xC3\xA9" };
    /* clang-format on */
    aios_error err;
    uint64_t rng = 3, n, m, i;
    int64_t k;
    int round, same;
    if (!(x->v.pre->flags & AIOS__PRE_NFC)) {
        k = tok(x, rows[0].split, strlen(rows[0].split), 0);
        CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), (int64_t)strlen(rows[0].split));
        return;
    }
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        k = tok(x, rows[i].joined, strlen(rows[i].joined), 0);
        memcpy(other, ids, (size_t)k * 4);
        CHECK_AT(tok(x, rows[i].split, strlen(rows[i].split), 0) == k &&
                     memcmp(ids, other, (size_t)k * 4) == 0,
                 "row %d", (int)i);
    }
    for (round = 0, same = 1; round < 300;
         round++) { /* some with few that change, some with many; zero bytes */
        uint64_t goal = round % 3 == 0   ? 20
                        : round % 3 == 1 ? 300
                                         : 20000,
                 rare = (uint64_t)round % 4;
        for (n = 0; n < goal;) {
            uint64_t r = test_rand(&rng) >> 20;
            const char *part = rare && r % (rare * 30)
                                   ? r & 1 ? "plain" : " "
                                   : parts[(r >> 8) % (sizeof parts / sizeof *parts)];
            if (round % 5 == 0 && r % 50 == 0) {
                text[n++] = 0;
                continue;
            }
            for (i = 0; part[i]; i++)
                if (x->v.byte_id[(uint8_t)part[i]] >= 0) text[n++] = part[i];
        }
        m = compose(text, n, whole);
        k = tok(x, whole, m, 0);
        if (k < 0) {
            same = 0;
            break;
        }
        memcpy(other, ids, (size_t)k * 4);
        same &= tok(x, text, n, 0) == k && memcmp(ids, other, (size_t)k * 4) == 0;
    }
    CHECK(same);
    /* many spaces before and behind, Hangul with none at all; marks in their places without end;
     * what is too long */
    memset(text, ' ', 9000);
    memcpy(text + 9000, "e\xCC\x81", 3);
    k = tok(x, text, 9003, 0);
    CHECK(k > 0);
    CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), 9002);
    memmove(text, text + 9000, 3);
    memset(text + 3, ' ', 9000);
    text[9003] = 'x';
    k = tok(x, text, 9004, 0);
    CHECK(k > 0);
    CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), 9003);
    for (n = 0; n < 9 * 1300; n += 9) memcpy(text + n, "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", 9);
    k = tok(x, text, n, 0);
    CHECK(k > 0);
    CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), 3 * 1300);
    for (n = 1, text[0] = 'x'; n < 100001; n += 2) memcpy(text + n, "\xCC\x96", 2);
    k = tok(x, text, n, 0);
    CHECK(k > 0);
    CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), 100001);
    for (n = 1; n < 2001; n += 2) memcpy(text + n, n & 2 ? "\xCC\x81" : "\xCC\xA7", 2);
    k = tok(x, text, n, 0);
    CHECK(k > 0);
    CHECK_EQ(stream(x, ids, k, 0, back, sizeof back), 2001);
    for (; n < 4001; n += 2) memcpy(text + n, n & 2 ? "\xCC\x81" : "\xCC\xA7", 2);
    CHECK_EQ(aios__tokenize(&x->v, text, n, 0, ids, MAX_IDS, &err), AIOS_ERR_LIMIT);
    CHECK(strstr(err.text, "1024"));
    memset(text, '=', 5000);
    memcpy(text + 5000, "\xCC\xB8", 2);
    CHECK_EQ(aios__tokenize(&x->v, text, 5002, 0, ids, MAX_IDS, &err), AIOS_ERR_LIMIT);
    CHECK(strstr(err.text, "4096"));
    memcpy(text + 5000, " =\xCC\xB8", 4);
    CHECK(tok(x, text, 5004, 0) > 0);
}
/* A special token is cut out before anything joins it. */
static void special_tokens_are_cut_out_before_anything_joins(const vocab *x) {
    CASE("%s", x->name);
    static const char s[] = "<|im_end|>\xCC\xB8"
                            "e\xCC\x81<|im_end|>",
                      want[] = "\xCC\xB8\xC3\xA9";
    int32_t end = aios__token_find(&x->v, "<|im_end|>", 10);
    int64_t k = tok(x, s, sizeof s - 1, AIOS_TOK_SPECIAL);
    CHECK(k > 2 && ids[0] == end && ids[k - 1] == end &&
          stream(x, ids, k, 0, back, sizeof back) == 4 && memcmp(back, want, 4) == 0);
}
/* The two texts of each report: one is the other composed. */
static void reports_of_both_kinds_have_the_same_ids(const vocab *x) {
    CASE("%s", x->name);
    static const char *const names[] = { "cafe", "hangul" };
    uint32_t i;
    for (i = 0; i < 2; i++) {
        char rel[64];
        size_t n, m;
        uint8_t *a, *b;
        int64_t k;
        snprintf(rel, sizeof rel, "fixtures/reports/%s-composed.txt", names[i]);
        a = test_read_file(shared_path(rel), &n);
        snprintf(rel, sizeof rel, "fixtures/reports/%s-decomposed.txt", names[i]);
        b = test_read_file(shared_path(rel), &m);
        if (!a || !b) {
            printf("skip: no shared/fixtures/reports\n");
            free(a);
            free(b);
            return;
        }
        k = tok(x, (const char *)a, n, 0);
        memcpy(other, ids, (size_t)k * 4);
        CHECK(n != m);
        CHECK(k > 0);
        CHECK_EQ(tok(x, (const char *)b, m, 0), k);
        CHECK_MEM(ids, other, (size_t)k * 4);
        free(a);
        free(b);
    }
}
/* Words of pre-tokenizers that no fixture covers; '|' where a word ends. */
static void words_are_cut_as_each_pre_tokenizer_does(void) {
    static const struct {
        const char *pre, *words;
    } rows[] = { { "gpt-2", "I|'ve| 12| !!|  | x|  " },
                 { "llama3", "I|'VE| x|123|4|.\n\n|   | y| \n|  " },
                 { "qwen2", "1|2|3| !?\n\n| a" },
                 { "tekken",
                   "Hello|World| HTML|5|5|.../\n| i|Phone|1|\xC3\x89t\xC3\xA9\xC3\x89|AB" },
                 { "gpt-4o", "Don't|I'LL|123|45| Foo|Bar's| a|/b" },
                 { "deepseek-v3", "123|45|abc|.def| x|!?\n|\xE4\xBD\xA0\xE5\xA5\xBD|ok|  | z" },
                 { "qwen35", "e\xCC\x81t|1| \xCC\x81" },
                 { "seed-coder", "a| !?|\n|b" },
                 { "minicpm5", "123|4|x" },
                 { "default", "a|=+|123|456|7|`|b" },
                 { "falcon", "a|`=|123|45" },
                 { "smollm", "1|2| a| |3" },
                 { "deepseek-llm", "12|ab| cd|!?|\n| |\xE4\xBD\xA0|  " },
                 { "deepseek-coder", "1|2|ab| cd|!?|\n|  " } };
    uint32_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        aios__str name;
        const aios__pre *pre;
        char plain[128];
        uint64_t bound[6] = { 0, 0, 0, 0, 0, 0 }, n = 0, p = 0, q;
        const char *z, *w = rows[i].words;
        name.p = rows[i].pre;
        name.n = strlen(name.p);
        pre = aios__pre_find(name);
        if (!CHECK(pre != NULL)) continue;
        for (z = w; *z; z++)
            if (*z != '|') plain[n++] = *z;
        for (z = w; p < n; p = q, z += strcspn(z, "|") + (z[strcspn(z, "|")] == '|')) {
            q = aios__pre_next(pre, bound, plain, p, n);
            if (!CHECK_AT(q - p == strcspn(z, "|"), "%s: word %.*s", rows[i].pre, (int)(q - p),
                          plain + p))
                break;
        }
    }
    {
        aios__str none = { NULL, 0 }, part = { "llama", 5 }, pair = { "gpt-2 phi-2", 11 };
        CHECK(aios__pre_find(none) != NULL && aios__pre_find(part) == NULL &&
              aios__pre_find(pair) == NULL);
    }
}

static void a_tokenizer_of_another_kind_is_named(void) {
    vocab x;
    CHECK_EQ(vocab_fixture(&x, "bert-bge"), AIOS_OK);
    CHECK_EQ(x.v.n_tokens, 30522);
    CHECK_EQ(aios__tokenize(&x.v, "Hello", 5, 0, ids, MAX_IDS, &x.err), AIOS_ERR_UNSUPPORTED);
    CHECK(strstr(x.err.text, "'bert'"));
    vocab_close(&x);
}

int main(int argc, char **argv) {
    /* clang-format off */
    static const char *const names[] = { "llama-spm",      "phi-3",  "gpt-2",    "llama-bpe",
                                         "falcon",         "mpt",    "qwen2",    "deepseek-llm",
                                         "deepseek-coder", "refact", "starcoder" };
    /* clang-format on */
    vocab x;
    size_t i;
    uint8_t *index;
    test_begin(argc, argv);
    TEST(tables_of_unicode_are_in_order)();
    TEST(words_are_cut_as_each_pre_tokenizer_does)();
    TEST(text_is_composed_as_unicode_says)();
    TEST(made_vocabularies_follow_their_keys)();
    index = test_read_file(shared_path("fixtures/vocab/index.tsv"), NULL);
    if (!index) {
        printf("skip: no shared/fixtures/vocab\n");
        return test_end();
    }
    free(index);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (!CHECK_AT(vocab_fixture(&x, names[i]) == AIOS_OK, "%s: %s", names[i], x.err.text)) {
            vocab_close(&x);
            continue;
        }
        TEST(ids_are_those_of_the_peer)(&x, names[i]);
        TEST(windows_of_a_text_join_to_its_ids)(&x);
        TEST(text_comes_back_from_its_ids)(&x);
        TEST(special_tokens_are_taken_where_they_may_be)(&x, names[i]);
        TEST(ill_formed_text_has_one_mark_for_each_start)(&x);
        if (x.v.kind == AIOS__VOCAB_BPE)
            TEST(text_that_is_not_composed_has_the_ids_of_the_composed)(&x);
        if (!strcmp(names[i], "qwen2")) {
            TEST(special_tokens_are_cut_out_before_anything_joins)(&x);
            TEST(reports_of_both_kinds_have_the_same_ids)(&x);
        }
        TEST(a_megabyte_without_words_takes_no_time)(&x, names[i]);
        vocab_close(&x);
    }
    TEST(a_tokenizer_of_another_kind_is_named)();
    TEST(trained_models_have_their_ids)("models/tale-relu2-f16.gguf", "models/tale-relu2.ref.json");
    TEST(trained_models_have_their_ids)("models/tale-silu-f16.gguf", "models/tale-silu.ref.json");
    return test_end();
}
