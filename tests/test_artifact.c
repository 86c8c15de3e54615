/* test_artifact.c: packed weights in a file beside the model: written, checked, opened mapped,
 * read and streamed, with the bits of the model itself; damaged, foreign, cut off and
 * half-written ones are refused. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "damage.h"

typedef struct file {
    uint8_t *p;
    uint64_t n, cap;
    int n_writes, fail_at, n_reads;
} file;
static int32_t file_write(void *user, uint64_t off, const void *data, uint64_t n) {
    file *f = (file *)user;
    if (f->n_writes++ == f->fail_at) return 1;
    if (off + n > f->cap) {
        uint64_t cap = (off + n) * 2;
        f->p = (uint8_t *)realloc(f->p, (size_t)cap);
        memset(f->p + f->cap, 0xEE, (size_t)(cap - f->cap));
        f->cap = cap;
    }
    memcpy(f->p + off, data, (size_t)n);
    if (off + n > f->n) f->n = off + n;
    return 0;
}
static int64_t file_read(void *user, uint64_t off, void *dst, uint64_t n) {
    file *f = (file *)user;
    f->n_reads++;
    memcpy(dst, f->p + off, (size_t)n);
    return (int64_t)n;
}
static void *mem_alloc(void *user, const aios_mem_req *r) {
    void *p = NULL;
    if (posix_memalign(&p, (size_t)r->align, (size_t)r->bytes)) return NULL;
    memset(p, 0xCD, (size_t)r->bytes);
    ++*(int *)user;
    return p;
}
static void mem_free(void *user, void *p, const aios_mem_req *r) {
    (void)r;
    --*(int *)user;
    free(p);
}
static int n_held;

static aios_status open_with(const aios_io *io, const aios_io *art, aios_model **m, aios_error *e) {
    static aios_allocator a;
    aios_model_desc d;
    aios_allocator_init(&a);
    a.alloc = mem_alloc;
    a.free = mem_free;
    a.user = &n_held;
    aios_model_desc_init(&d);
    d.mem = &a;
    d.io = io;
    d.artifact = art;
    return aios_model_open(&d, m, e);
}
/* The hash of the logits of some tokens under a budget (0 = none); *plan is what was planned. 0
 * when something fails. */
static uint64_t hash_of(aios_model *m, uint64_t budget, int32_t numerics, aios_plan *plan) {
    aios_plan_desc pd;
    aios_context_desc cd;
    aios_context *c = NULL;
    aios_model_info info;
    aios_error e;
    uint64_t h = TEST_HASH, seed = 9;
    int32_t ids[20], i, k;
    aios_model_info_init(&info);
    aios_model_get_info(m, &info);
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_threads = 2;
    pd.budget_bytes = budget;
    pd.numerics = numerics;
    pd.n_outputs = 20;
    aios_plan_init(plan);
    aios_context_desc_init(&cd);
    if (aios_plan_make(m, &pd, plan, &e) || aios_context_open(m, plan, &cd, &c, &e)) {
        printf("  %s\n", e.text);
        return 0;
    }
    for (i = 0; i < 20; i++) ids[i] = (int32_t)(test_rand(&seed) % (uint64_t)info.n_vocab);
    aios_feed(c, 0, ids, 20, AIOS_FEED_ALL_LOGITS, &e);
    do {
        k = aios_step(c, 0, &e);
        for (i = 0; i < aios_output_count(c); i++) {
            aios_output o;
            aios_output_init(&o);
            aios_output_get(c, i, &o);
            h = test_hash(h, o.logits, (size_t)info.n_vocab * 4);
        }
    } while (k == AIOS_MORE);
    aios_context_free(c);
    return k ? 0 : h;
}
/* The least bytes that would do. */
static uint64_t least_of(aios_model *m) {
    aios_plan_desc pd;
    aios_plan plan;
    aios_error e;
    aios_plan_desc_init(&pd);
    pd.n_ctx = 64;
    pd.n_threads = 2;
    pd.n_outputs = 20;
    pd.budget_bytes = 1;
    aios_plan_init(&plan);
    CHECK(aios_plan_make(m, &pd, &plan, &e) == AIOS_ERR_MEMORY);
    return e.expected;
}
static void pack(aios_model *m, uint64_t block_bytes, file *f) {
    uint64_t n = aios_artifact_work_bytes(m, block_bytes);
    void *work = NULL;
    aios_error e;
    CHECK(posix_memalign(&work, 64, (size_t)n) == 0);
    CHECK(aios_artifact_write(m, block_bytes, file_write, f, work, n - 1, NULL, NULL, &e) ==
              AIOS_ERR_ARG &&
          e.expected == n);
    if (!CHECK(aios_artifact_write(m, block_bytes, file_write, f, work, n, NULL, NULL, &e) == 0))
        printf("  %s\n", e.text);
    free(work);
}
static void memory_io(aios_io *io, const file *f) { aios_io_memory(io, f->p, f->n); }
static void read_io(aios_io *io, file *f) {
    aios_io_init(io);
    io->n_bytes = f->n;
    io->read = file_read;
    io->user = f;
}
static aios_status check(const file *f, aios_error *e) {
    aios_io io;
    uint64_t work[1024];
    memory_io(&io, f);
    return aios_artifact_check(&io, work, sizeof work, NULL, NULL, e);
}

/* The manifest: the names of the model contract, each tensor once in both lists, in the order of
 * frequency and of the file. */
static void test_manifest(const file *f) {
    static const char *const how[] = { "\"high\", \"rws_tier\": \"HOT\", ",
                                       "\"medium\", \"rws_tier\": \"WARM\", ",
                                       "\"low\", \"rws_tier\": \"STREAM\", " };
    uint64_t from, bytes, end = 0;
    int n_tensors = 0, n_layout = 0, rank = 0, now, depth = 0, k;
    char *text, *at, *layout;
    memcpy(&from, f->p + 64, 8);
    memcpy(&bytes, f->p + 72, 8);
    text = (char *)malloc((size_t)bytes + 1);
    memcpy(text, f->p + from, (size_t)bytes);
    text[bytes] = 0;
    for (at = text; *at; at++) {
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        CHECK(depth > 0 || at - text >= (int64_t)bytes - 2);
    }
    CHECK(depth == 0 &&
          strstr(text, "\"aios_contract_version\": \"1.0\", \"frequency_ordered\": true, "));
    for (at = text; (at = strstr(at, "{\"name\": ")) != NULL; at++) n_tensors++;
    layout = strstr(text, "], \"layout\": [");
    for (at = layout; at && (at = strstr(at, "{\"block_id\": ")) != NULL; at++, n_layout++) {
        const char *frequency = strstr(at, "\"access_frequency\": "),
                   *place = strstr(at, "\"offset_bytes\": ");
        unsigned long long off = 0, size = 0;
        if (!CHECK(frequency && place &&
                   sscanf(place, "\"offset_bytes\": %llu, \"size_bytes\": %llu}", &off, &size) ==
                       2))
            break;
        for (now = -1, k = 0; k < 3; k++)
            if (!strncmp(frequency + 20, how[k], strlen(how[k]))) now = k;
        CHECK(now >= rank && off >= end && off + size <= f->n && size > 0);
        rank = now;
        end = off + size;
    }
    CHECK(n_tensors > 0 && n_layout == n_tensors);
    free(text);
}

static void test_model(const char *name, uint8_t *p, uint64_t n) {
    file f, model;
    aios_io io, art;
    aios_model *m = NULL;
    aios_error e;
    aios_plan plan;
    uint64_t want, exact, seed = n, i, at, data;
    uint32_t n_tensors;
    char text[64];
    memset(&f, 0, sizeof f);
    memset(&model, 0, sizeof model);
    f.fail_at = -1;
    model.p = p;
    model.n = n;
    read_io(&io, &model);
    if (!CHECK(open_with(&io, NULL, &m, &e) == 0)) {
        printf("  %s: %s\n", name, e.text);
        return;
    }
    pack(m, 0, &f);
    want = hash_of(m, 0, AIOS_CANONICAL, &plan);
    aios_model_free(m);
    open_with(&io, NULL, &m, &e);
    exact = hash_of(m, 0, AIOS_REFERENCE, &plan);
    aios_model_free(m);
    CHECK(want && exact && check(&f, &e) == 0 && f.n % 4096 == 0);
    test_manifest(&f);

    memory_io(&art, &f); /* mapped: nothing but vectors is copied */
    CHECK(open_with(&io, &art, &m, &e) == 0 && hash_of(m, 0, AIOS_CANONICAL, &plan) == want);
    CHECK(plan.weight_bytes_packed == 0 && plan.weight_bytes_mapped > 0 && plan.tier_bytes[1] == 0);
    aios_model_free(m);
    CHECK(open_with(&io, &art, &m, &e) == 0 && hash_of(m, 0, AIOS_REFERENCE, &plan) == exact);
    aios_model_free(m);
    read_io(&art, &f); /* read as it is, and streamed */
    CHECK(open_with(&io, &art, &m, &e) == 0 && hash_of(m, 0, AIOS_CANONICAL, &plan) == want &&
          plan.weight_bytes_mapped == 0);
    aios_model_free(m);
    CHECK(open_with(&io, &art, &m, &e) == 0 &&
          hash_of(m, (least_of(m) + plan.held_bytes + plan.total_bytes) / 2, AIOS_CANONICAL,
                  &plan) == want);
    CHECK(plan.n_units > 0 || strcmp(name, "tale"));
    aios_model_free(m);

    /* damage: every byte of the header and the tables counts, and any of the data */
    memcpy(&data, f.p + 80, 8);
    memcpy(&n_tensors, f.p + 12, 4);
    for (i = 0; i < 400; i++) {
        uint8_t was;
        aios_status st;
        at = i < 112 ? i : 4096 + test_rand(&seed) % (i < 250 ? data - 4096 : f.n - 4096);
        memory_io(&art, &f);
        was = f.p[at];
        f.p[at] ^= (uint8_t)(1 + test_rand(&seed) % 255);
        m = NULL;
        st = open_with(&io, &art, &m, &e);
        if (i < 112 || (at >= 4096 && at < 4096 + 32u * n_tensors)) CHECK(st < 0 && !m);
        if (st == 0 &&
            check(&f, &e) == 0) { /* padding, or the manifest, which nothing depends on */
            uint64_t from, bytes; /* of the manifest */
            memcpy(&from, f.p + 64, 8);
            memcpy(&bytes, f.p + 72, 8);
            if (at < from || at >= data) CHECK(hash_of(m, 0, AIOS_CANONICAL, &plan) == want);
        }
        aios_model_free(m);
        f.p[at] = was;
    }
    for (i = 0; i < 40; i++) { /* cut off */
        file cut = f;
        cut.n = i < 20 ? i * 300 : test_rand(&seed) % f.n;
        memory_io(&art, &cut);
        CHECK(open_with(&io, &art, &m, &e) < 0 && !m && e.text[0] && check(&cut, &e) < 0);
    }
    memory_io(&art, &f); /* the same header, other weights */
    snprintf(text, sizeof text, "another model");
    CHECK(open_with(&io, NULL, &m, &e) == 0);
    {
        aios_tensor_info t;
        aios_tensor_info_init(&t);
        CHECK(aios_model_get_tensor(m, 1, &t) == 0);
        aios_model_free(m);
        p[t.file_offset] ^= 1;
        CHECK(open_with(&io, &art, &m, &e) == AIOS_ERR_MODEL && !m && strstr(e.text, text));
        p[t.file_offset] ^= 1;
    }
    CHECK(open_with(&io, &io, &m, &e) == AIOS_ERR_FORMAT && !m);

    CHECK(open_with(&io, NULL, &m, &e) ==
          0); /* a disk that is full: whatever was written is no artifact */
    for (i = 0; i < 60; i += i < 20 ? 1 : 7) {
        file g;
        uint64_t bytes = aios_artifact_work_bytes(m, 65536);
        void *work = malloc((size_t)bytes);
        aios_status st;
        memset(&g, 0, sizeof g);
        g.fail_at = (int)i;
        st = aios_artifact_write(m, 65536, file_write, &g, work, bytes, NULL, NULL, &e);
        CHECK(st == 0 ? g.n_writes <= (int)i : st == AIOS_ERR_IO && check(&g, &e) < 0);
        free(work);
        free(g.p);
    }
    aios_model_free(m);
    CHECK(n_held == 0);
    free(f.p);
}

int main(void) {
    static uint8_t made[DAMAGE_MAX_BYTES];
    static const char *const files[] = {
        "fixtures/types/llama-q4_k.gguf", "fixtures/types/llama-iq3_xxs.gguf",
        "fixtures/types/llama-f16.gguf",  "fixtures/zoo/gpt2.gguf",
        "fixtures/zoo/gemma2.gguf",       "fixtures/zoo/olmoe.gguf",
        "fixtures/zoo/falcon7b.gguf"
    };
    uint64_t n_made = damage_valid(made, sizeof made);
    size_t i, n;
    uint8_t *p = test_read_file("models/tale.gguf", &n);
    test_model("made", made, n_made);
    if (CHECK(p != NULL)) test_model("tale", p, n);
    free(p);
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        p = test_read_file(shared_path(files[i]), &n);
        if (!p) {
            printf("skip: no %s in the shared folder\n", files[i]);
            continue;
        }
        test_model(files[i], p, n);
        free(p);
    }
    return test_end();
}
