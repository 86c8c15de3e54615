/* shrink.c: writes a smaller copy of a GGUF file: its F32 and F16 matrices become Q8_0, Q5_0 or Q4_0.
 *
 *     cc -std=c99 -O2 tools/shrink.c -o shrink -lm
 *     ./shrink model-f16.gguf Q4_0 model-q4_0.gguf          (the embedding gets Q8_0)
 *
 * This is how the model in models/ was made. Keys are copied as they are (but general.file_type), so are vectors, and
 * matrices whose rows are no multiple of 32. Blocks are 32 weights with one half-precision scale; the scale is searched
 * for the least squared error, without importances. For files that the user trusts; a little-endian machine is assumed. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* q + zero is stored in `bits` bits; low nibbles of 32 weights, then for Q5_0 (before them) the fifth bits. */
typedef struct format { const char *name; uint32_t id, file_type; int bits; size_t block_bytes; } format;
static const format formats[] = { { "Q4_0", 2, 2, 4, 18 }, { "Q5_0", 6, 8, 5, 22 }, { "Q8_0", 8, 7, 8, 34 } };
enum { F32 = 0, F16 = 1, MAX_TENSORS = 65535 };

static void die(const char *what, const char *name) { fprintf(stderr, "shrink: %s: %s\n", name, what); exit(1); }

/* ---- half precision ---------------------------------------------------------------------------------------- */
static float from_half(uint16_t h) {
    float v = (float)((h & 0x3FF) | (h & 0x7C00 ? 0x400 : 0));      /* 10 bits of fraction, and the hidden one */
    int e = h & 0x7C00 ? (h >> 10 & 31) - 25 : -24;
    v = (h & 0x7C00) == 0x7C00 ? NAN : ldexpf(v, e);
    return h & 0x8000 ? -v : v;
}
static uint16_t to_half(float x) {                                  /* nearest even; |x| <= 65504 */
    int e;
    uint16_t sign = x < 0 ? 0x8000 : 0;
    float m = frexpf(fabsf(x), &e);                                 /* |x| = m * 2^e, m in [0.5, 1) */
    long n;
    if (e < -13) return (uint16_t)(sign | lrintf(ldexpf(fabsf(x), 24)));    /* subnormal, or rounds up out of it */
    n = lrintf(ldexpf(m, 11));                                      /* 1024 .. 2048 */
    return (uint16_t)(sign | (((long)(e + 13) << 10) + n));         /* 2048 carries into the exponent */
}

/* ---- one block --------------------------------------------------------------------------------------------- */
/* Codes for scale d (as stored); returns the squared error. */
static double codes(const float *x, float d, int lo, int hi, int *q) {
    double sum = 0;
    int i;
    for (i = 0; i < 32; i++) {
        long v = d != 0 ? lrintf(x[i] / d) : 0;
        q[i] = v < lo ? lo : v > hi ? hi : (int)v;
        sum += ((double)x[i] - (double)d * q[i]) * ((double)x[i] - (double)d * q[i]);
    }
    return sum;
}
/* Tries scales around the one that maps the largest weight to the lowest code (which has one step more than the
 * highest), and for each the least-squares scale of the codes that it gave. */
static void quantise(const format *f, const float *x, uint8_t *dst) {
    int hi = (1 << (f->bits - 1)) - 1, lo = f->bits == 8 ? -hi : -hi - 1, q[32], best_q[32], i, k, pass;
    float top = 0, best_d = 0;
    double best = 1e300;
    uint16_t h;
    memset(best_q, 0, sizeof best_q);
    for (i = 0; i < 32; i++) if (fabsf(x[i]) > fabsf(top)) top = x[i];
    for (k = -10; top != 0 && k <= 10; k++) {
        float d = top / ((float)lo + 0.1f * (float)k);
        for (pass = 0; pass < 3; pass++) {
            double xq = 0, qq = 0, e;
            d = from_half(to_half(d));
            e = codes(x, d, lo, hi, q);
            if (e < best) { best = e; best_d = d; memcpy(best_q, q, sizeof q); }
            for (i = 0; i < 32; i++) { xq += (double)x[i] * q[i]; qq += (double)q[i] * q[i]; }
            if (qq == 0) break;
            d = (float)(xq / qq);
        }
    }
    h = to_half(best_d);
    memcpy(dst, &h, 2);
    memset(dst + 2, 0, f->block_bytes - 2);
    for (i = 0; i < 32; i++) {
        unsigned v = (unsigned)(best_q[i] - lo);
        if (f->bits == 8) { dst[2 + i] = (uint8_t)best_q[i]; continue; }
        dst[f->block_bytes - 16 + (size_t)(i & 15)] |= (uint8_t)((v & 15) << (i < 16 ? 0 : 4));
        if (f->bits == 5) dst[2 + i / 8] |= (uint8_t)((v >> 4) << (i % 8));
    }
}

/* ---- reading the header ------------------------------------------------------------------------------------ */
static uint8_t *file, *at, *end;
static uint8_t *take(uint64_t n) {
    uint8_t *p = at;
    if (n > (uint64_t)(end - at)) die("the file ends within its header", "input");
    at += n;
    return p;
}
static uint64_t number(int bytes) { uint64_t v = 0; memcpy(&v, take((uint64_t)bytes), (size_t)bytes); return v; }
static void skip_value(uint32_t type) {
    static const uint8_t size[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    if (type == 8) { take(number(8)); return; }
    if (type == 9) {
        uint32_t item = (uint32_t)number(4);
        uint64_t n = number(8);
        if (item == 9) die("arrays of arrays are not known", "input");
        while (n--) skip_value(item);
        return;
    }
    if (type > 12) die("unknown value type", "input");
    take(size[type]);
}

typedef struct tensor { uint64_t n, row; uint32_t type; uint8_t *place, *data; const format *to; } tensor;

static uint64_t up(uint64_t x) { return (x + 31) / 32 * 32; }       /* the alignment that files have by default */

int main(int argc, char **argv) {
    static tensor t[MAX_TENSORS];
    const format *to = NULL, *emb = &formats[2];
    uint64_t n_tensors, n_keys, i, j, off = 0;
    uint8_t *data;
    size_t n, k;
    FILE *f;
    for (k = 0; argc == 4 && k < sizeof formats / sizeof *formats; k++) if (!strcmp(argv[2], formats[k].name)) to = &formats[k];
    if (!to) { fprintf(stderr, "usage: shrink IN.gguf Q4_0|Q5_0|Q8_0 OUT.gguf\n"); return 2; }
    if (!(f = fopen(argv[1], "rb"))) die("cannot be read", argv[1]);
    for (n = 0, file = NULL;; n += k) {
        if (!(file = realloc(file, n + (1u << 20)))) die("out of memory", argv[1]);
        if (!(k = fread(file + n, 1, 1u << 20, f))) break;
    }
    fclose(f);
    at = file;
    end = file + n;
    if (number(4) != 0x46554747 || number(4) != 3) die("not a GGUF file of version 3", argv[1]);
    n_tensors = number(8);
    n_keys = number(8);
    if (n_tensors > MAX_TENSORS) die("too many tensors", argv[1]);
    for (i = 0; i < n_keys; i++) {
        uint64_t len = number(8);
        uint8_t *name = take(len);
        uint32_t type = (uint32_t)number(4);
        if (len == 17 && !memcmp(name, "general.file_type", 17) && type == 4) memcpy(at, &to->file_type, 4);
        if (len == 17 && !memcmp(name, "general.alignment", 17)) die("a general.alignment is not known", argv[1]);
        skip_value(type);
    }
    for (i = 0; i < n_tensors; i++) {
        uint64_t len = number(8), n_dims;
        uint8_t *name = take(len);
        n_dims = number(4);
        for (j = 0, t[i].n = 1; j < n_dims; j++) {
            uint64_t d = number(8);
            if (j == 0) t[i].row = d;
            t[i].n *= d;
        }
        t[i].place = at;
        t[i].type = (uint32_t)number(4);
        number(8);
        if (t[i].type > F16) die("only F32 and F16 are read", argv[1]);
        if (n_dims >= 2 && t[i].row % 32 == 0) t[i].to = len >= 17 && !memcmp(name, "token_embd.weight", 17) ? emb : to;
    }
    data = file + up((uint64_t)(at - file));
    for (i = 0; i < n_tensors; i++) {                               /* the new directory, in place: it keeps its size */
        uint64_t old, in_bytes = t[i].n * (t[i].type == F16 ? 2 : 4);
        memcpy(&old, t[i].place + 4, 8);
        if (old > n || in_bytes > n - old || data + old + in_bytes > end) die("a tensor reaches past the end", argv[1]);
        t[i].data = data + old;
        if (t[i].to) memcpy(t[i].place, &t[i].to->id, 4);
        memcpy(t[i].place + 4, &off, 8);
        off = up(off + (t[i].to ? t[i].n / 32 * t[i].to->block_bytes : in_bytes));
    }
    if (!(f = fopen(argv[3], "wb"))) die("cannot be written", argv[3]);
    fwrite(file, 1, (size_t)(data - file), f);
    for (i = 0; i < n_tensors; i++) {
        static const uint8_t zeros[32];
        uint64_t bytes = 0;
        if (!t[i].to) {
            bytes = t[i].n * (t[i].type == F16 ? 2 : 4);
            fwrite(t[i].data, 1, (size_t)bytes, f);
        }
        for (j = 0; t[i].to && j < t[i].n; j += 32, bytes += t[i].to->block_bytes) {
            float x[32];
            uint8_t block[34];
            if (t[i].type == F32) memcpy(x, t[i].data + 4 * j, sizeof x);
            for (k = 0; t[i].type == F16 && k < 32; k++) { uint16_t h; memcpy(&h, t[i].data + 2 * (j + k), 2); x[k] = from_half(h); }
            quantise(t[i].to, x, block);
            fwrite(block, 1, t[i].to->block_bytes, f);
        }
        fwrite(zeros, 1, (size_t)(up(bytes) - bytes), f);
    }
    if (fclose(f) != 0) die("writing failed", argv[3]);
    return 0;
}
