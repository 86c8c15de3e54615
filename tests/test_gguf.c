/* test_gguf.c: io.c and gguf.c. Every fixture parses; every damage is named at its place;
 * readers that fail, come up short or change the file underneath give errors; what load counts
 * is what it takes. */
#define _POSIX_C_SOURCE 200809L
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"

/* ---- helpers ---- */

/* Nobody asks for a byte outside. */
static void exact_init(disk *d, aios_io *io, const uint8_t *p, uint64_t n) {
    disk_init(d, io, p, n);
    d->exact = 1;
}

/* A parsed file and its memory. */
static int32_t look; /* what follows is parsed to be shown alone */
typedef struct parsed {
    aios_io io;
    aios__gguf_size size;
    aios__gguf g;
    aios__bump mem;
    aios_error err;
    char *raw;
} parsed;

static aios_status parse_n(parsed *x, const aios_io *io, uint32_t n_parts, const aios_limits *lim) {
    aios_status st;
    uint64_t counted, i;
    memset(&x->err, 0x55, sizeof x->err);
    memset(&x->g, 0, sizeof x->g);
    memset(&x->mem, 0, sizeof x->mem);
    x->raw = NULL;
    st = aios__gguf_measure(io, n_parts, lim, look, &x->size, &x->err);
    if (st) return st;
    CHECK_EQ(aios__gguf_load(&x->g, &x->mem, io, n_parts, lim, look, &x->size, &x->err), AIOS_OK);
    counted = x->mem.used;
    x->raw = (char *)malloc((size_t)counted + 32); /* 16 guard bytes on either side */
    memset(x->raw, 0xA5, (size_t)counted + 32);
    x->mem.base = x->raw + 16;
    x->mem.used = 0;
    st = aios__gguf_load(&x->g, &x->mem, io, n_parts, lim, look, &x->size, &x->err);
    CHECK_EQ(x->mem.used, counted);
    for (i = 0; i < 16; i++)
        if ((uint8_t)x->raw[i] != 0xA5 || (uint8_t)x->raw[16 + counted + i] != 0xA5) {
            FAIL("wrote outside its memory");
            break;
        }
    if (st) {
        CHECK(x->g.key == NULL && x->g.n_tensors == 0);
        free(x->raw);
        x->raw = NULL;
    }
    return st;
}
static aios_status parse(parsed *x, const void *p, uint64_t n) {
    aios_io_memory(&x->io, p, n);
    x->io.map = NULL; /* header copied: reads beyond it are seen by the sanitizer */
    return parse_n(x, &x->io, 1, NULL);
}
static aios__str str_of(const char *z) {
    aios__str s;
    s.p = z;
    s.n = strlen(z);
    return s;
}

/* Touches all that the views show. */
static void walk(const parsed *x) {
    uint64_t i, j, sum = 0;
    for (i = 0; i < x->g.n_keys; i++) {
        const aios__key *k = &x->g.key[i];
        const uint8_t *p = k->p;
        aios__str s;
        double f;
        CHECK(k->name.n > 0 && k->off >= 24 && k->off <= x->g.header_bytes);
        for (j = 0; j < k->n; j++) {
            if (k->type == AIOS__STR) {
                s = aios__key_next_str(&p);
                sum += s.n;
                if (s.n) sum += (uint8_t)s.p[s.n - 1];
            } else if (aios__key_item_f64(k, j, &f))
                sum += f > 0;
        }
        if (k->type != AIOS__STR) p += k->n * aios__value_bytes(k->type);
        if (k + 1 < x->g.key + x->g.n_keys) /* the next entry begins where this one ends */
            CHECK_EQ(k->off + (uint64_t)(p - k->p), aios__key_entry_off(k + 1));
        CHECK(aios__key_find2(&x->g, k->name, "") == k);
    }
    for (i = 0; i < x->g.n_tensors; i++) {
        const aios__tensor *t = &x->g.tensor[i];
        CHECK(aios__tensor_find(&x->g, t->name) == t);
        CHECK(t->n_bytes > 0);
        CHECK(t->part < x->g.n_parts);
        CHECK(t->off + t->n_bytes <= x->g.io[t->part].n_bytes);
        CHECK(t->row_bytes * t->n[1] * t->n[2] * t->n[3] == t->n_bytes || (look && !t->row_bytes));
    }
    CHECK(sum < UINT64_MAX);
}
static void finish(parsed *x) {
    free(x->raw);
    x->raw = NULL;
}

/* ---- tests ---- */

/* Each gguf that the index of a folder names, through the built-in reader and from memory. */
static void every_fixture_parses(const char *folder, int n_expected) {
    CASE("%s", folder);
    char rel[256], last[200] = "", line[8192];
    FILE *index;
    int n = 0;
    snprintf(rel, sizeof rel, "fixtures/%s/index.tsv", folder);
    index = fopen(shared_path(rel), "r");
    if (!index) {
        printf("skip: no %s\n", rel);
        return;
    }
    while (fgets(line, sizeof line, index)) {
        parsed x, y;
        aios_io io;
        aios_error err;
        uint8_t *file;
        size_t n_file = 0;
        uint64_t v = 0;
        char *tab = strchr(line, '\t');
        if (!tab) continue;
        *tab = 0;
        if (!strstr(line, ".gguf") || strcmp(line, last) == 0) continue;
        snprintf(last, sizeof last, "%.199s", line);
        snprintf(rel, sizeof rel, "fixtures/%s/%s", folder, last);
        n++;
        if (!CHECK_AT(aios__file_open(shared_path(rel), &io, &err) == AIOS_OK, "%s: %s", rel,
                      err.text))
            continue;
        if (CHECK_EQ(parse_n(&x, &io, 1, NULL), AIOS_OK)) {
            walk(&x);
            CHECK_EQ(x.g.version, 3);
            CHECK(x.g.n_keys > 15);
            CHECK(x.g.n_tensors > 10);
            CHECK(x.g.hash != 0);
            CHECK(x.size.n_tokens == 288 || x.size.n_tokens == 512);
            CHECK_EQ(aios__key_find(&x.g, "tokenizer.ggml.tokens")->n, x.size.n_tokens);
            CHECK_EQ(aios__tensor_find(&x.g, str_of("token_embd.weight"))->n[1], x.size.n_tokens);
            CHECK(x.g.n_params > 50000 && x.g.n_params < 2000000);
            CHECK(x.g.tensor_bytes < io.n_bytes &&
                  io.n_bytes - x.g.tensor_bytes - x.g.header_bytes <
                      32 * (uint64_t)x.g.n_tensors + 32);
            CHECK(!aios__key_find(&x.g, "general.architectur") &&
                  !aios__key_find(&x.g, "general.architecture2") && !aios__key_find(&x.g, ""));
            CHECK(aios__key_u64(aios__key_find2(&x.g, str_of("tokenizer"), ".ggml.bos_token_id"),
                                &v) ||
                  v == 0);
            file = test_read_file(shared_path(rel), &n_file);
            if (CHECK(file != NULL)) {
                CHECK_EQ(parse(&y, file, n_file), AIOS_OK);
                CHECK_EQ(y.g.hash, x.g.hash);
                CHECK_EQ(y.mem.used, x.mem.used);
                finish(&y);
                free(file);
            }
        } else
            printf("%s: %s\n", rel, x.err.text);
        finish(&x);
        aios__file_close(&io);
        CHECK(io.read == NULL);
    }
    fclose(index);
    CHECK_EQ(n, n_expected);
}

static void a_sound_file_is_read_as_it_was_written(const uint8_t *file, uint64_t n) {
    parsed x;
    const aios__key *k;
    const aios__tensor *t;
    const uint8_t *p;
    aios__str s;
    uint64_t u = 7;
    int64_t i = 7;
    double f = 7;
    int32_t b = 7;
    if (!CHECK_AT(parse(&x, file, n) == AIOS_OK, "%s", x.err.text)) return;
    walk(&x);
    CHECK_EQ(x.g.n_keys, DAMAGE__N_KEYS);
    CHECK_EQ(x.g.n_tensors, DAMAGE__N_TENSORS);
    CHECK_EQ(x.size.n_tokens, 288);
    CHECK_EQ(x.size.n_merges, 0);
    CHECK_EQ(x.size.token_bytes, 12 + 256 * 6 + 10 * 5 + 19 * 6);
    CHECK_EQ(x.g.n_params, 2 * (288 * 32) + 32 + 2 * (2 * 32 + 3072 + 6144));
    k = aios__key_find(&x.g, "test.u8");
    CHECK(aios__key_u64(k, &u));
    CHECK_EQ(u, 200);
    k = aios__key_find(&x.g, "test.i8");
    CHECK(aios__key_i64(k, &i));
    CHECK_EQ(i, -128);
    CHECK(!aios__key_u64(k, &u));
    CHECK_EQ(u, 200);
    k = aios__key_find(&x.g, "test.u16");
    CHECK(aios__key_i64(k, &i));
    CHECK_EQ(i, 65535);
    k = aios__key_find(&x.g, "test.i16");
    CHECK(aios__key_i64(k, &i));
    CHECK_EQ(i, -32768);
    k = aios__key_find(&x.g, "test.i32");
    CHECK(aios__key_i64(k, &i));
    CHECK_EQ(i, INT32_MIN);
    CHECK(aios__key_f64(k, &f));
    CHECK(f == -2147483648.0);
    k = aios__key_find(&x.g, "test.u64");
    CHECK(aios__key_u64(k, &u));
    CHECK_EQ(u, UINT64_MAX);
    CHECK(!aios__key_i64(k, &i));
    CHECK(aios__key_f64(k, &f));
    CHECK(f > 1.8e19);
    k = aios__key_find(&x.g, "test.i64");
    CHECK(aios__key_i64(k, &i));
    CHECK_EQ(i, INT64_MIN);
    CHECK(!aios__key_u64(k, &u));
    k = aios__key_find(&x.g, "test.f64");
    CHECK(aios__key_f64(k, &f) && f == 1.5 && !aios__key_u64(k, &u) && !aios__key_bool(k, &b));
    k = aios__key_find(&x.g, "llama.rope.freq_base");
    CHECK(aios__key_f64(k, &f) && f == 10000.0 && !aios__key_str(k, &s));
    k = aios__key_find(&x.g, "test.flag");
    CHECK(aios__key_bool(k, &b));
    CHECK_EQ(b, 1);
    CHECK(!aios__key_u64(k, &u));
    CHECK(!aios__key_f64(k, &f));
    k = aios__key_find(&x.g, "test.bools");
    CHECK(k && k->is_array && k->n == 3 && !aios__key_bool(k, &b) &&
          aios__key_item_bool(k, 1, &b) && b == 1 && aios__key_item_bool(k, 2, &b) && b == 0 &&
          !aios__key_item_bool(k, 3, &b));
    k = aios__key_find(&x.g, "tokenizer.ggml.token_type");
    CHECK(aios__key_item_u64(k, 0, &u));
    CHECK_EQ(u, 2);
    CHECK(aios__key_item_u64(k, 287, &u));
    CHECK_EQ(u, 1);
    CHECK(!aios__key_item_u64(k, 288, &u));
    CHECK(!aios__key_u64(k, &u));
    k = aios__key_find(&x.g, "tokenizer.ggml.scores");
    CHECK(aios__key_item_f64(k, 287, &f) && f == -28.0 && !aios__key_item_f64(k, 288, &f) &&
          !aios__key_item_u64(k, 0, &u));
    k = aios__key_find(&x.g, "tokenizer.ggml.tokens");
    CHECK(k && !aios__key_str(k, &s) && !aios__key_item_u64(k, 0, &u));
    p = k->p;
    CHECK(aios__str_eq(aios__key_next_str(&p), "<unk>") &&
          aios__str_eq(aios__key_next_str(&p), "<s>") &&
          aios__str_eq(aios__key_next_str(&p), "</s>"));
    CHECK(aios__key_str(aios__key_find(&x.g, "test.empty"), &s));
    CHECK_EQ(s.n, 0);
    CHECK(aios__key_str(aios__key_find(&x.g, "general.architecture"), &s) &&
          aios__str_eq(s, "llama"));
    CHECK(aios__key_find2(&x.g, s, ".block_count") == aios__key_find(&x.g, "llama.block_count"));
    CHECK(!aios__key_find2(&x.g, s, "") && !aios__key_find2(&x.g, s, ".block_coun") &&
          !aios__key_u64(NULL, &u) && !aios__key_str(NULL, &s));
    t = aios__tensor_find(&x.g, str_of("blk.1.ffn_down.weight"));
    CHECK(t && t->n_dims == 2 && t->n[0] == 64 && t->n[1] == 32 && t->n[2] == 1 &&
          t->type == AIOSK_F32 && t->row_bytes == 256 && t->off % 32 == 0);
    CHECK(!aios__tensor_find(&x.g, str_of("blk.1.ffn_down")) &&
          !aios__tensor_find(&x.g, str_of("")));
    finish(&x);
}

/* Every row of the parser's stage. Rows of the model's stage must be sound files to the parser. */
static void every_damage_is_named_at_its_place(uint8_t *buf) {
    int i, n_gguf = 0;
    for (i = 0; i < damage_count(); i++) {
        damage d;
        parsed x;
        uint64_t n = damage_make(i, buf, DAMAGE_MAX_BYTES, &d);
        uint8_t *tight =
            (uint8_t *)malloc((size_t)n ? (size_t)n : 1); /* no byte to spare for a read too far */
        aios_status st;
        memcpy(tight, buf, (size_t)n);
        st = parse(&x, tight, n);
        if (d.stage == DAMAGE_GGUF) {
            CHECK(damage_matches(&d, st, &x.err));
            n_gguf++;
        } else
            CHECK_AT(st == AIOS_OK, "%s: %s", d.name, x.err.text);
        finish(&x);
        free(tight);
    }
    CHECK(n_gguf >= 75 && damage_count() - n_gguf >= 40);
    printf("%d damages for the parser, %d for the model\n", n_gguf, damage_count() - n_gguf);
}

/* The file cut at every length: always an error of the parser, never anything else. */
static void a_file_cut_anywhere_is_refused(const uint8_t *file, uint64_t n, uint64_t header_bytes) {
    uint64_t cut;
    for (cut = 0; cut < n; cut += cut < header_bytes + 64 ? 1 : 1009) {
        uint8_t *tight = (uint8_t *)malloc((size_t)cut + 1);
        aios__gguf_size size;
        aios_error err;
        aios_io io;
        aios_status st;
        memcpy(tight, file, (size_t)cut);
        aios_io_memory(&io, tight, cut);
        st = aios__gguf_measure(&io, 1, NULL, 0, &size, &err);
        if (st != AIOS_ERR_FORMAT || err.offset > cut) {
            FAIL("cut");
            printf("cut at %llu: %d %s\n", (unsigned long long)cut, (int)st, err.text);
        }
        free(tight);
    }
    CHECK(cut >= n);
}

/* One byte of the header changed to each of a few values: no crash; what is accepted can be
 * walked. */
static void no_changed_byte_does_harm(uint8_t *file, uint64_t n, uint64_t header_bytes) {
    static const uint8_t values[] = { 0x00, 0x01, 0x7F, 0x80, 0xFF };
    uint64_t at, n_ok = 0;
    uint32_t v;
    for (at = 0; at < header_bytes; at++) {
        uint8_t was = file[at];
        for (v = 0; v < sizeof values; v++) {
            parsed x;
            file[at] = values[v];
            if (parse(&x, file, n) == AIOS_OK) {
                if (n_ok++ % 64 == 0) walk(&x);
            } else if (x.err.offset > n && x.err.offset != UINT64_MAX)
                FAIL("offset outside the file");
            finish(&x);
        }
        file[at] = was;
    }
    CHECK(n_ok > 0);
}

static void a_read_that_fails_is_named(const uint8_t *file, uint64_t n) {
    static const int64_t wrong[] = { -1, 0, INT64_MIN, INT64_MAX };
    parsed y;
    disk b;
    aios_io io;
    int i, n_calls;
    uint32_t v;
    exact_init(&b, &io, file, n);
    CHECK_EQ(parse_n(&y, &io, 1, NULL), AIOS_OK);
    finish(&y);
    n_calls = b.n_reads;
    CHECK(n_calls >= 3);
    for (i = 0; i < n_calls; i++)
        for (v = 0; v < 4; v++) {
            exact_init(&b, &io, file, n);
            CASE("read %d gives %lld", i, (long long)wrong[v]);
            b.fail_in = i + 1;
            b.fail_with = wrong[v];
            CHECK(parse_n(&y, &io, 1, NULL) == AIOS_ERR_IO && y.err.code == AIOS_ERR_IO &&
                  y.err.offset < n && y.err.got == (uint64_t)wrong[v] && y.err.expected > 0);
            finish(&y);
        }
}

static void pieces_and_maps_give_the_same_directory(const uint8_t *file, uint64_t n) {
    parsed x, y;
    disk b;
    aios_io io;
    exact_init(&b, &io, file, n);
    CHECK_EQ(parse_n(&x, &io, 1, NULL), AIOS_OK);
    /* in small pieces */
    for (int i = 1; i < 12; i += 5) {
        exact_init(&b, &io, file, n);
        b.most = (uint64_t)i;
        CHECK_EQ(parse_n(&y, &io, 1, NULL), AIOS_OK);
        CHECK_EQ(y.g.hash, x.g.hash);
        finish(&y);
    }
    /* mapped: no header bytes are taken, the views point into the file */
    exact_init(&b, &io, file, n);
    io.map = disk_map;
    CHECK_EQ(parse_n(&y, &io, 1, NULL), AIOS_OK);
    CHECK_EQ(y.g.hash, x.g.hash);
    CHECK_EQ(y.size.held_bytes, 0);
    CHECK(y.mem.used < x.mem.used);
    CHECK((const uint8_t *)y.g.key[0].name.p == file + 32);
    walk(&y);
    finish(&y);
    /* mapped for measure, declined later; and the reverse */
    exact_init(&b, &io, file, n);
    io.map = disk_map;
    b.map_until = 1;
    CHECK_EQ(parse_n(&y, &io, 1, NULL), AIOS_ERR_IO);
    finish(&y);
    finish(&x);
}

static void an_io_is_read_within_its_bytes_alone(void) {
    parsed y;
    aios_io io;
    aios_error err;
    uint8_t two[2];
    aios_io_memory(&io, "ab", 2);
    CHECK_EQ(aios__io_read(&io, 0, two, 2, &err), AIOS_OK);
    CHECK_EQ(two[1], 'b');
    CHECK(aios__io_map(&io, 1, 1));
    CHECK(!aios__io_map(&io, 1, 2));
    CHECK(!aios__io_map(&io, UINT64_MAX, 2));
    CHECK_EQ(aios__io_read(&io, 1, two, 2, &err), AIOS_ERR_IO);
    CHECK_EQ(err.offset, 1);
    CHECK_EQ(err.expected, 2);
    CHECK_EQ(err.got, 1);
    CHECK_EQ(aios__io_read(&io, UINT64_MAX, two, 2, &err), AIOS_ERR_IO);
    CHECK_EQ(err.offset, UINT64_MAX);
    CHECK_EQ(err.got, 0);
    CHECK_EQ(aios__io_read(&io, 2, two, 0, NULL), AIOS_OK);
    CHECK_EQ(aios__io_read(&io, 3, two, 0, NULL), AIOS_ERR_IO);
    aios_io_memory(&io, NULL, 5);
    CHECK_EQ(io.n_bytes, 0);
    CHECK_EQ(parse_n(&y, &io, 1, NULL), AIOS_ERR_FORMAT);
    aios_io_memory(NULL, "ab", 2);
    CHECK_EQ(aios__file_open(shared_path("no such file"), &io, &err), AIOS_ERR_IO);
    CHECK(strstr(err.text, "no such file"));
    CHECK_EQ(aios__file_open(".", &io, &err), AIOS_ERR_IO);
    CHECK(strstr(err.text, "not a regular file"));
    CHECK_EQ(aios__file_open("", &io, NULL), AIOS_ERR_IO);
}

/* The file becomes another one between any two reads. */
static void a_file_that_changes_under_the_reader_does_no_harm(const uint8_t *file, uint64_t n,
                                                              uint8_t *other) {
    int row, at, n_failed = 0;
    for (row = -1; row < damage_count(); row += 3) {
        damage d;
        uint64_t n_other;
        memset(other, 0xFF, DAMAGE_MAX_BYTES);
        n_other = row < 0 ? n : damage_make(row, other, DAMAGE_MAX_BYTES, &d);
        if (n_other > n) memset(other + n, 0, DAMAGE_MAX_BYTES - (size_t)n);
        for (at = 0; at < 24; at++) { /* read, then mapped */
            parsed x;
            disk b;
            aios_io io;
            exact_init(&b, &io, file, n);
            b.later = other;
            b.change_at = at % 12;
            if (at >= 12) io.map = disk_map;
            if (parse_n(&x, &io, 1, NULL) == AIOS_OK)
                walk(&x);
            else
                n_failed++;
            finish(&x);
        }
    }
    CHECK(n_failed > 100);
}

/* A file made by hand, entry by entry. */
typedef struct made {
    uint8_t *p;
    uint64_t n, cap;
} made;
static void m_put(made *m, const void *p, uint64_t n) {
    if (m->n + n > m->cap) {
        m->cap = 2 * (m->n + n);
        m->p = (uint8_t *)realloc(m->p, (size_t)m->cap);
    }
    if (n) memcpy(m->p + m->n, p, (size_t)n);
    m->n += n;
}
static void m_le(made *m, uint64_t v, uint32_t n) {
    uint8_t b[8];
    uint32_t i;
    for (i = 0; i < n; i++) b[i] = (uint8_t)(v >> (8 * i));
    m_put(m, b, n);
}
static void m_str(made *m, const char *s) {
    m_le(m, strlen(s), 8);
    m_put(m, s, strlen(s));
}
static void m_head(made *m, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    memset(m, 0, sizeof *m);
    m_put(m, "GGUF", 4);
    m_le(m, version, 4);
    m_le(m, n_tensors, 8);
    m_le(m, n_keys, 8);
}
static void m_u16(made *m, const char *name, uint64_t v) {
    m_str(m, name);
    m_le(m, 2, 4);
    m_le(m, v, 2);
}
static void m_typed(made *m, const char *name, uint32_t type, uint64_t n0, uint64_t off) {
    m_str(m, name);
    m_le(m, 1, 4);
    m_le(m, n0, 8);
    m_le(m, type, 4);
    m_le(m, off, 8);
}
static void m_tensor(made *m, const char *name, uint64_t n0, uint64_t off) {
    m_typed(m, name, 0, n0, off);
}
static void m_data(made *m, uint64_t align, uint64_t n) {
    while (m->n % align) m_le(m, 0, 1);
    while (n--) m_le(m, 7, 1);
}

static void files_made_by_hand_are_read_by_the_rules(void) {
    made m;
    parsed x;
    uint64_t u, pad, n_big = 65000;
    aios_limits lim;
    aios_io io;
    uint32_t i;

    m_head(&m, 2, 1, 1); /* version 2; no alignment given: 32 */
    m_u16(&m, "a", 9);
    m_tensor(&m, "t", 8, 0);
    m_data(&m, 32, 32);
    CHECK_EQ(parse(&x, m.p, m.n), AIOS_OK);
    CHECK_EQ(x.g.version, 2);
    CHECK(aios__key_u64(aios__key_find(&x.g, "a"), &u));
    CHECK_EQ(u, 9);
    CHECK_EQ(x.g.tensor[0].off, m.n - 32);
    finish(&x);
    CHECK_EQ(parse(&x, m.p, m.n - 1), AIOS_ERR_FORMAT);
    CHECK_EQ(x.err.expected, m.n - 1);
    CHECK_EQ(x.err.got, m.n);
    free(m.p);

    m_head(&m, 3, 0, 0); /* nothing at all is sound, to the parser */
    CHECK_EQ(parse(&x, m.p, m.n), AIOS_OK);
    CHECK_EQ(x.g.n_keys, 0);
    CHECK_EQ(x.g.n_tensors, 0);
    CHECK_EQ(x.g.header_bytes, 24);
    CHECK(!aios__key_find(&x.g, "a") && !aios__tensor_find(&x.g, str_of("t")));
    finish(&x);
    free(m.p);

    /* alignments; the data begins at the next multiple of it */
    for (u = 1; u <= 1 << 20; u *= 2) {
        m_head(&m, 3, 2, 1);
        m_str(&m, "general.alignment");
        m_le(&m, 4, 4);
        m_le(&m, u, 4);
        m_tensor(&m, "t", 1, 0);
        m_tensor(&m, "v", 1, u < 4 ? 4 : u);
        m_data(&m, u, 0);
        pad = m.n;
        m_data(&m, 1, (u < 4 ? 4 : u) + 4);
        CHECK_EQ(parse(&x, m.p, m.n), AIOS_OK);
        CHECK_EQ(x.g.tensor[0].off, pad);
        CHECK_EQ(pad % u, 0);
        finish(&x);
        free(m.p);
    }

    /* every field at every place of the window: a string that pushes the rest along */
    for (pad = 0; pad < 2 * 4096 + 200; pad += pad < 3900 || (pad > 4300 && pad < 8000) ? 97 : 1) {
        m_head(&m, 3, 1, 3);
        m_str(&m, "pad");
        m_le(&m, 8, 4);
        m_le(&m, pad, 8);
        for (u = 0; u < pad; u++) m_le(&m, 'x', 1);
        m_str(&m, "tokenizer.ggml.tokens");
        m_le(&m, 9, 4);
        m_le(&m, 8, 4);
        m_le(&m, 2, 8);
        m_str(&m, "one");
        m_str(&m, "");
        m_str(&m, "split.count");
        m_le(&m, 10, 4);
        m_le(&m, 1, 8);
        m_tensor(&m, "a.tensor", 1, 0);
        m_data(&m, 32, 4);
        if (!(parse(&x, m.p, m.n) == AIOS_OK && x.size.n_tokens == 2 && x.size.token_bytes == 3 &&
              x.g.tensor[0].off == m.n - 4))
            FAIL("window");
        finish(&x);
        free(m.p);
    }

    /* arrays in arrays: eight deep within one are passed over, a ninth is refused where it
     * begins */
    for (i = 1; i <= 10; i++) {
        m_head(&m, 3, 0, 2);
        m_str(&m, "deep");
        m_le(&m, 9, 4);
        for (u = 0; u < i; u++) {
            m_le(&m, 9, 4);
            m_le(&m, 1, 8);
        } /* i arrays of one array each */
        m_le(&m, 2, 4);
        m_le(&m, 3, 8);
        m_le(&m, 0x030201, 6); /* three u16 */
        m_u16(&m, "a", 9);
        if (i <= 8)
            CHECK(parse(&x, m.p, m.n) == AIOS_OK && aios__key_u64(aios__key_find(&x.g, "a"), &u) &&
                  u == 9);
        else
            CHECK(parse(&x, m.p, m.n) == AIOS_ERR_UNSUPPORTED &&
                  x.err.offset == 24 + 12 + 4 + 12 * 8 && strstr(x.err.text, "'deep'") &&
                  strstr(x.err.text, "too deep"));
        finish(&x);
        free(m.p);
    }

    /* limits */
    m_head(&m, 3, 2, 2);
    m_u16(&m, "a", 9);
    m_str(&m, "s");
    m_le(&m, 9, 4);
    m_le(&m, 8, 4);
    m_le(&m, 2, 8);
    m_str(&m, "longer");
    m_str(&m, "");
    m_tensor(&m, "t", 8, 0);
    m_tensor(&m, "v", 8, 32);
    pad = m.n;
    m_data(&m, 32, 64);
    aios_io_memory(&io, m.p, m.n);
    aios_limits_init(&lim);
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_OK);
    finish(&x);
    lim.max_tensors = 1;
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_ERR_LIMIT);
    CHECK_EQ(x.err.offset, 8);
    CHECK_EQ(x.err.expected, 1);
    CHECK_EQ(x.err.got, 2);
    lim.max_tensors = 2;
    lim.max_keys = 1;
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_ERR_LIMIT);
    CHECK_EQ(x.err.offset, 16);
    lim.max_keys = 2;
    lim.max_array_items = 1;
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_ERR_LIMIT);
    CHECK_EQ(x.err.expected, 1);
    CHECK_EQ(x.err.got, 2);
    lim.max_array_items = 2;
    lim.max_string_bytes = 1;
    for (u = 1; u < pad; u++) {
        lim.max_header_bytes = u;
        CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_ERR_LIMIT);
        CHECK(x.err.offset <= u);
        CHECK_EQ(x.err.expected, u);
    }
    lim.max_header_bytes = pad; /* array elements are not bound by max_string_bytes */
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_OK);
    finish(&x);
    CHECK_EQ(parse_n(&x, &io, 257, NULL), AIOS_ERR_LIMIT);
    CHECK_EQ(parse_n(&x, &io, 0, NULL), AIOS_ERR_ARG);
    free(m.p);
    m_head(&m, 3, 0, 1);
    m_str(&m, "s");
    m_le(&m, 8, 4);
    m_str(&m, "longer");
    aios_io_memory(&io, m.p, m.n);
    lim.max_string_bytes = 5;
    CHECK_EQ(parse_n(&x, &io, 1, &lim), AIOS_ERR_LIMIT);
    CHECK_EQ(x.err.offset, 24 + 9 + 4);
    CHECK_EQ(x.err.expected, 5);
    CHECK_EQ(x.err.got, 6);
    free(m.p);

    /* many entries in the worst order: quick all the same; the last one a duplicate of the first */
    for (i = 0; i < 2; i++) {
        char name[64];
        m_head(&m, 3, n_big, n_big);
        for (u = 0; u < n_big; u++) {
            sprintf(name, "a.rather.long.common.beginning.%08u",
                    (unsigned)(i && u == n_big - 1 ? n_big : n_big - u));
            m_u16(&m, name, 1);
        }
        pad = m.n;
        for (u = 0; u < n_big; u++) {
            sprintf(name, "a.rather.long.common.beginning.%08u", (unsigned)(n_big - u));
            m_tensor(&m, name, 1, 32 * (n_big - 1 - u));
        }
        m_data(&m, 32, n_big * 32);
        aios_io_memory(&io, m.p, m.n);
        if (i == 0) {
            CHECK_EQ(parse_n(&x, &io, 1, NULL), AIOS_OK);
            CHECK(aios__tensor_find(&x.g, str_of("a.rather.long.common.beginning.00000001")) ==
                  &x.g.tensor[n_big - 1]);
        } else
            CHECK(parse_n(&x, &io, 1, NULL) == AIOS_ERR_FORMAT &&
                  x.err.offset == pad - (8 + 39 + 4 + 2) && x.err.expected == 24 &&
                  strstr(x.err.text, "twice"));
        finish(&x);
        free(m.p);
    }
}

/* A model in three files: the keys in the first, which has no tensors, as llama.cpp writes them. */
static void split_part(made *m, uint64_t no, uint64_t count, uint64_t total) {
    m_head(m, 3, no, no == 0 ? 5 : 3);
    if (no == 0) {
        m_u16(m, "general.x", 5);
        m_str(m, "tokenizer.ggml.tokens");
        m_le(m, 9, 4);
        m_le(m, 8, 4);
        m_le(m, 2, 8);
        m_str(m, "one");
        m_str(m, "two");
    }
    m_u16(m, "split.no", no);
    m_u16(m, "split.count", count);
    m_str(m, "split.tensors.count");
    m_le(m, 5, 4);
    m_le(m, total, 4);
    if (no >= 1) m_tensor(m, no == 1 ? "t" : "u", 8, 0);
    if (no >= 2) m_tensor(m, "v", 8, 32);
    m_data(m, 32, 32 * no);
}
static void a_model_in_parts_is_one_directory(void) {
    made m[3];
    aios_io io[3], swapped[3];
    parsed x;
    uint32_t i, n;
    uint64_t no;
    char name[64];
    aios_error err;

    for (i = 0; i < 3; i++) {
        split_part(&m[i], i, 3, 3);
        aios_io_memory(&io[i], m[i].p, m[i].n);
    }
    for (i = 0; i < 2; i++) {
        if (i) io[1].map = NULL; /* one part is copied, the others mapped */
        if (CHECK_EQ(parse_n(&x, io, 3, NULL), AIOS_OK)) {
            const aios__tensor *t = aios__tensor_find(&x.g, str_of("v"));
            walk(&x);
            CHECK(x.g.n_tensors == 3 && x.g.n_parts == 3 && x.g.n_keys == 5 &&
                  x.size.n_tokens == 2 && t && t->part == 2 && t->off == m[2].n - 32);
            CHECK(aios__str_eq(x.g.tensor[0].name, "t"));
            CHECK_EQ(x.g.tensor[0].part, 1);
        } else
            printf("%s\n", x.err.text);
        finish(&x);
    }
    CHECK_EQ(aios__gguf_split_count(&io[0], NULL, &n, &no, &err), AIOS_OK);
    CHECK_EQ(n, 3);
    CHECK_EQ(aios__gguf_split_count(&io[2], NULL, &n, &no, &err), AIOS_OK);
    CHECK_EQ(n, 3);
    CHECK_EQ(no, 2);
    CHECK_EQ(parse_n(&x, io, 1, NULL), AIOS_ERR_FORMAT);
    CHECK_EQ(x.err.got, 3);
    CHECK_EQ(x.err.expected, 1);
    CHECK_EQ(parse_n(&x, io, 2, NULL), AIOS_ERR_FORMAT);
    CHECK(strstr(x.err.text, "split.count"));
    for (look = 1, i = 0; i < 3; i++) { /* a look at any one of them */
        CHECK_EQ(parse_n(&x, io + i, 1, NULL), AIOS_OK);
        CHECK_EQ(x.g.n_tensors, i);
        CHECK(x.g.n_keys == (i ? 3 : 5));
        walk(&x);
        finish(&x);
    }
    CHECK_EQ(parse_n(&x, io, 2, NULL), AIOS_ERR_FORMAT);
    CHECK_EQ(parse_n(&x, io, 3, NULL), AIOS_OK);
    finish(&x);
    look = 0;
    swapped[0] = io[0];
    swapped[1] = io[2];
    swapped[2] = io[1];
    CHECK_EQ(parse_n(&x, swapped, 3, NULL), AIOS_ERR_FORMAT);
    CHECK(strstr(x.err.text, "part 2, key 'split.no'"));
    CHECK_EQ(x.err.expected, 1);
    CHECK_EQ(x.err.got, 2);
    swapped[1] = swapped[2];
    CHECK_EQ(parse_n(&x, swapped, 3, NULL), AIOS_ERR_FORMAT);
    free(m[0].p);
    split_part(&m[0], 0, 3, 4); /* wrong total */
    aios_io_memory(&io[0], m[0].p, m[0].n);
    CHECK_EQ(parse_n(&x, io, 3, NULL), AIOS_ERR_FORMAT);
    CHECK(strstr(x.err.text, "split.tensors.count"));
    CHECK_EQ(x.err.expected, 3);
    CHECK_EQ(x.err.got, 4);
    for (i = 0; i < 3; i++) free(m[i].p);
    /* the same tensor in two parts */
    split_part(&m[0], 0, 3, 2);
    split_part(&m[1], 1, 3, 2);
    split_part(&m[2], 1, 3, 2);
    for (i = 0; i < 3; i++) aios_io_memory(&io[i], m[i].p, m[i].n);
    m[2].p[24 + 8 + 8 + 4] = 2; /* split.no 2 */
    CHECK_EQ(parse_n(&x, io, 3, NULL), AIOS_ERR_FORMAT);
    CHECK(strstr(x.err.text, "tensor 't'"));
    CHECK(strstr(x.err.text, "twice"));
    for (i = 0; i < 3; i++) free(m[i].p);

    CHECK(aios__split_name("dir/m-00001-of-00003.gguf", 1, 3, name, sizeof name));
    CHECK_STR(name, "dir/m-00002-of-00003.gguf");
    CHECK(aios__split_name("-00002-of-12345.gguf", 12344, 12345, name, 21));
    CHECK_STR(name, "-12345-of-12345.gguf");
    CHECK(!aios__split_name("-00002-of-12345.gguf", 0, 12345, name, 20));
    CHECK_EQ(name[0], 0);
    CHECK(!aios__split_name("m-00001-of-00003.gguf", 3, 3, name, sizeof name) &&
          !aios__split_name("m-00001-of-00003.gguf", 0, 4, name, sizeof name));
    CHECK(!aios__split_name("m-0001-of-00003.gguf", 0, 3, name, sizeof name) &&
          !aios__split_name("m-00001-of-00003.GGUF", 0, 3, name, sizeof name));
    CHECK(!aios__split_name("", 0, 1, name, sizeof name) &&
          !aios__split_name("m.gguf", 0, 1, name, 0) &&
          !aios__split_name("m-0000a-of-00003.gguf", 0, 3, name, sizeof name));
}

/* Tensors of types that nobody knows, in a file that is only to be shown: each has the room up
 * to what follows it. */
static void tensors_of_unknown_types_can_be_shown(void) {
    static const struct {
        uint64_t t, u, v, sum;
    } rows[] = { /* where the three are; u is the known one, of 32 bytes; sum 0: damage */
                 { 0, 32, 96, 96 }, { 96, 0, 32, 128 }, { 64, 96, 0, 128 },
                 { 32, 32, 96, 0 }, { 0, 32, 32, 0 },   { 0, 64, 0, 0 },
                 { 0, 32, 128, 0 }, { 0, 128, 32, 0 },  { 0, 32, UINT64_MAX - 31, 0 },
                 { 0, 32, 65, 0 }
    };
    made m;
    parsed x;
    uint32_t i, j;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        m_head(&m, 3, 3, 0);
        m_typed(&m, "t", 36, 8, rows[i].t);
        m_typed(&m, "u", 0, 8, rows[i].u);
        m_typed(&m, "v", 0x80000000u, UINT64_MAX, rows[i].v);
        m_data(&m, 32, 128);
        CHECK_EQ(parse(&x, m.p, m.n), AIOS_ERR_UNSUPPORTED);
        CHECK_EQ(x.err.got, 36);
        look = 1;
        if (!rows[i].sum)
            CHECK_EQ(parse(&x, m.p, m.n), AIOS_ERR_FORMAT);
        else if (CHECK_EQ(parse(&x, m.p, m.n), AIOS_OK)) {
            uint64_t sum = 0;
            walk(&x);
            for (j = 0; j < 3; j++) sum += x.g.tensor[j].n_bytes;
            CHECK_EQ(x.g.tensor[0].type, 36);
            CHECK_EQ(x.g.tensor[2].type, 0x80000000u);
            CHECK_EQ(x.g.tensor[1].n_bytes, 32);
            CHECK_EQ(sum, rows[i].sum);
            CHECK_EQ(x.g.tensor_bytes, sum);
        }
        look = 0;
        finish(&x);
        free(m.p);
    }
}

int main(int argc, char **argv) {
    uint8_t *file = (uint8_t *)malloc(DAMAGE_MAX_BYTES),
            *other = (uint8_t *)malloc(DAMAGE_MAX_BYTES);
    uint64_t n = damage_valid(file, DAMAGE_MAX_BYTES);
    parsed x;
    test_begin(argc, argv);
    CHECK(n > 0);
    CHECK_EQ(damage_valid(file, 1000), 0);
    n = damage_valid(file, DAMAGE_MAX_BYTES);
    TEST(a_sound_file_is_read_as_it_was_written)(file, n);
    if (CHECK_EQ(parse(&x, file, n), AIOS_OK)) {
        uint64_t header_bytes = x.g.header_bytes;
        finish(&x);
        TEST(every_damage_is_named_at_its_place)(other);
        TEST(a_file_cut_anywhere_is_refused)(file, n, header_bytes);
        TEST(no_changed_byte_does_harm)(file, n, header_bytes);
        TEST(a_read_that_fails_is_named)(file, n);
        TEST(pieces_and_maps_give_the_same_directory)(file, n);
        TEST(an_io_is_read_within_its_bytes_alone)();
        TEST(a_file_that_changes_under_the_reader_does_no_harm)(file, n, other);
    }
    TEST(files_made_by_hand_are_read_by_the_rules)();
    TEST(tensors_of_unknown_types_can_be_shown)();
    TEST(a_model_in_parts_is_one_directory)();
    TEST(every_fixture_parses)("stories", 9);
    TEST(every_fixture_parses)("zoo", 56);
    TEST(every_fixture_parses)("types", 29);
    free(file);
    free(other);
    return test_end();
}
