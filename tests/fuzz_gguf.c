/* fuzz_gguf.c: any bytes as a model file, through the parser and aios_model_open. Nothing may
 * crash, hang, or take more memory than the file's size allows for; an error's offset lies in
 * the file.
 *
 *     make build/asan/fuzz_gguf       build/asan/fuzz_gguf [seconds [seed [file.gguf ...]]]
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZ_ALONE -Isrc tests/fuzz_gguf.c -o fuzz    needs a directory of seeds, or none
 *
 * Without FUZZ_ALONE it mutates the sound file of damage.h, its damages and the files given,
 * with a seeded generator: a failure is repeated by the same seed. FUZZ_PARSER_ONLY leaves
 * aios_model_open out. */
#define AIOS_IMPLEMENTATION
#ifdef FUZZ_ALONE
#define AIOSK_NO_SIMD /* quick to compile; no kernels here */
#else
#define AIOS_EXTERNAL_KERNELS
#endif
#include "aios.h"
#include "damage.h"
#include <stdlib.h>

#define FUZZ_REQUIRE(c)                                     \
    do {                                                    \
        if (!(c)) {                                         \
            fprintf(stderr, "fuzz_gguf: broken: %s\n", #c); \
            abort();                                        \
        }                                                   \
    } while (0)

static uint64_t fuzz_sum; /* keeps reads alive */
static uint64_t fuzz_n_ok, fuzz_n_open;

static void fuzz_walk(const aios__gguf *g) {
    uint64_t i, j;
    for (i = 0; i < g->n_keys; i++) {
        const aios__key *k = &g->key[i];
        const uint8_t *p = k->p;
        double f;
        for (j = 0; j < k->n; j++) {
            if (k->type == AIOS__STR) {
                aios__str s = aios__key_next_str(&p);
                if (s.n) fuzz_sum += (uint8_t)s.p[0] + (uint8_t)s.p[s.n - 1];
            } else if (aios__key_item_f64(k, j, &f))
                fuzz_sum += f > 1;
            else
                fuzz_sum += p[j];
        }
        FUZZ_REQUIRE(aios__key_find2(g, k->name, "") == k);
    }
    for (i = 0; i < g->n_tensors; i++) {
        const aios__tensor *t = &g->tensor[i];
        FUZZ_REQUIRE(aios__tensor_find(g, t->name) == t);
        FUZZ_REQUIRE(t->n_bytes > 0 && t->off <= g->io[t->part].n_bytes &&
                     t->n_bytes <= g->io[t->part].n_bytes - t->off);
    }
}
static void fuzz_parse(const aios_io *io, uint64_t n, int32_t look) {
    aios__gguf_size size;
    aios__gguf g;
    aios__bump mem = { NULL, 0 };
    aios_error err;
    uint64_t counted;
    aios_status st;
    memset(&err, 0, sizeof err);
    st = aios__gguf_measure(io, 1, NULL, look, &size, &err);
    if (st == AIOS_OK) {
        FUZZ_REQUIRE(aios__gguf_load(&g, &mem, io, 1, NULL, look, &size, &err) == AIOS_OK);
        counted = mem.used;
        FUZZ_REQUIRE(counted <=
                     64 + 10 * n); /* 84 bytes for a key that takes at least 14 in the file */
        mem.base = (char *)malloc(counted ? (size_t)counted : 1);
        mem.used = 0;
        st = aios__gguf_load(&g, &mem, io, 1, NULL, look, &size, &err);
        FUZZ_REQUIRE(mem.used == counted);
        if (st == AIOS_OK) {
            fuzz_walk(&g);
            fuzz_n_ok++;
        }
        free(mem.base);
    }
    if (st != AIOS_OK) {
        FUZZ_REQUIRE(st < 0 && err.code == st && err.text[0] != 0 &&
                     memchr(err.text, 0, sizeof err.text));
        FUZZ_REQUIRE(err.offset <= n || err.offset == UINT64_MAX);
    }
}

#ifndef FUZZ_PARSER_ONLY
static uint64_t fuzz_held;
static void *fuzz_alloc(void *user, const aios_mem_req *req) {
    char *raw, *p;
    (void)user;
    FUZZ_REQUIRE(req->bytes < (uint64_t)1 << 30 && req->align <= 4096);
    raw = (char *)malloc((size_t)(req->bytes + req->align + sizeof raw));
    if (!raw) return NULL;
    p = raw + sizeof raw;
    p += (req->align - (uintptr_t)p % req->align) % req->align;
    memcpy(p - sizeof raw, &raw, sizeof raw); /* what free gets */
    fuzz_held += req->bytes;
    return p;
}
static void fuzz_free(void *user, void *p, const aios_mem_req *req) {
    char *raw;
    (void)user;
    fuzz_held -= req->bytes;
    memcpy(&raw, (char *)p - sizeof raw, sizeof raw);
    free(raw);
}
static void fuzz_open(const aios_io *io, uint32_t flags) {
    aios_model_desc d;
    aios_model *m = NULL;
    aios_allocator mem;
    aios_error err;
    aios_status st;
    aios_allocator_init(&mem);
    mem.alloc = fuzz_alloc;
    mem.free = fuzz_free;
    aios_model_desc_init(&d);
    d.mem = &mem;
    d.io = io;
    d.flags = flags;
    memset(&err, 0, sizeof err);
    st = aios_model_open(&d, &m, &err);
    FUZZ_REQUIRE((st == AIOS_OK) == (m != NULL) && st <= 0);
    if (st) FUZZ_REQUIRE(err.code == st && err.text[0] != 0);
    if (m) {
        int32_t ids[64];
        char text[256];
        int64_t n = aios_tokenize(m, "Hello <s> \xE2\x96\x81t1 \xFF", 16,
                                  AIOS_TOK_SPECIAL | AIOS_TOK_BOS | AIOS_TOK_EOS, ids, 64, NULL),
                i;
        for (i = 0; i < n && i < 64; i++)
            fuzz_sum += (uint64_t)aios_detokenize(m, NULL, ids[i], text, sizeof text);
        fuzz_n_open++;
    }
    aios_model_free(m);
    FUZZ_REQUIRE(fuzz_held == 0);
}
#endif

#ifdef __cplusplus
extern "C"
#endif
    int
    LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    aios_io io;
    aios_io_memory(&io, data, n);
    fuzz_parse(&io, n, 0); /* header mapped */
    io.map = NULL;
    fuzz_parse(&io, n, 1); /* header copied */
#ifndef FUZZ_PARSER_ONLY
    fuzz_open(&io, 0);
    fuzz_open(&io, AIOS_MODEL_INSPECT);
#endif
    return 0;
}

#ifndef FUZZ_ALONE
#include <time.h>
static uint64_t fuzz_state;
static uint64_t fuzz_rand(uint64_t below) {
    uint64_t z = (fuzz_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % below;
}
/* One change among the first `zone` bytes, where the header is. */
static uint64_t fuzz_mutate(uint8_t *p, uint64_t n, uint64_t zone) {
    static const uint64_t odd[] = { 0,
                                    1,
                                    2,
                                    3,
                                    8,
                                    9,
                                    12,
                                    31,
                                    33,
                                    63,
                                    64,
                                    127,
                                    255,
                                    256,
                                    4095,
                                    4096,
                                    65535,
                                    65536,
                                    0x7FFFFFFF,
                                    0x80000000u,
                                    0xFFFFFFFFu,
                                    0x100000000u,
                                    (uint64_t)1 << 60,
                                    (uint64_t)1 << 61,
                                    (uint64_t)1 << 62,
                                    (uint64_t)1 << 63,
                                    UINT64_MAX - 31,
                                    UINT64_MAX - 7,
                                    UINT64_MAX };
    uint64_t at, from, k, i, v;
    uint32_t wide = 1u << fuzz_rand(4);
    if (n < 32) return n;
    zone = zone < n ? zone : n;
    at = fuzz_rand(zone - 8);
    switch (fuzz_rand(9)) {
    case 0: p[at] = (uint8_t)fuzz_rand(256); break;
    case 1: p[at] ^= (uint8_t)(1u << fuzz_rand(8)); break;
    case 2:
    case 3:
        v = odd[fuzz_rand(sizeof odd / sizeof *odd)];
        for (i = 0; i < wide; i++) p[at + i] = (uint8_t)(v >> (8 * i));
        break;
    case 4: p[at] = (uint8_t)(p[at] + (fuzz_rand(2) ? 1 : 255)); break;
    case 5: return at + fuzz_rand(8); /* cut */
    case 6:                           /* copy a run elsewhere */
        k = 1 + fuzz_rand(64);
        from = fuzz_rand(zone - 8);
        if (from + k < n && at + k < n) memmove(p + at, p + from, (size_t)k);
        break;
    case 7: /* take a run out, or double it: what follows moves */
        k = 1 + fuzz_rand(fuzz_rand(4) ? 8 : 200);
        if (at + 2 * k >= n) break;
        if (fuzz_rand(2)) {
            memmove(p + at, p + at + k, (size_t)(n - at - k));
            return n - k;
        }
        memmove(p + at + k, p + at, (size_t)(n - at - k));
        break;
    /* the counts */
    default: p[8 + 8 * fuzz_rand(2)] = (uint8_t)fuzz_rand(256); break;
    }
    return n;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 10;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, n_runs = 0;
    uint8_t *base = (uint8_t *)malloc(DAMAGE_MAX_BYTES), *big;
    uint64_t n_base, cap = DAMAGE_MAX_BYTES;
    time_t start = time(NULL);
    int i;
    uint8_t **file = (uint8_t **)calloc((size_t)argc + 1, sizeof *file);
    uint64_t *n_file = (uint64_t *)calloc((size_t)argc + 1, sizeof *n_file);
    int n_files = 0;
    damage d;

    for (i = 3; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        long n;
        if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 2;
        }
        file[n_files] = (uint8_t *)malloc((size_t)n + 1);
        n_file[n_files] = fread(file[n_files], 1, (size_t)n, f);
        if (n_file[n_files] > cap) cap = n_file[n_files];
        n_files++;
        fclose(f);
    }
    big = (uint8_t *)malloc((size_t)cap);
    for (i = 0; i < damage_count(); i++) {
        n_base = damage_make(i, base, DAMAGE_MAX_BYTES, &d);
        LLVMFuzzerTestOneInput(base, (size_t)n_base);
    }
    for (; difftime(time(NULL), start) < seconds; n_runs++) {
        uint64_t n, k, n_edits, which;
        uint8_t *tight;
        fuzz_state = seed + n_runs * 0x632BE59BD9B4E019u;
        which = fuzz_rand((uint64_t)n_files + 4);
        if (which < (uint64_t)n_files) {
            n = n_file[which];
            memcpy(big, file[which], (size_t)n);
        } else if (which == (uint64_t)n_files)
            n = damage_make((int)fuzz_rand((uint64_t)damage_count()), big, cap, &d);
        else
            n = which % 2 ? damage_valid(big, cap) : damage_valid_experts(big, cap);
        n_edits = 1 + fuzz_rand(fuzz_rand(3) ? 3 : 30);
        for (k = 0; k < n_edits; k++) n = fuzz_mutate(big, n, fuzz_rand(8) ? 10000 : n + 1);
        tight = (uint8_t *)malloc(n ? (size_t)n : 1); /* no byte to spare */
        memcpy(tight, big, (size_t)n);
        LLVMFuzzerTestOneInput(tight, (size_t)n);
        free(tight);
    }
    printf("%llu files from seed %llu, %llu parsed, %llu opened, no fault\n",
           (unsigned long long)n_runs, (unsigned long long)seed, (unsigned long long)fuzz_n_ok,
           (unsigned long long)fuzz_n_open);
    for (i = 0; i < n_files; i++) free(file[i]);
    free(file);
    free(n_file);
    free(base);
    free(big);
    return 0;
}
#endif
