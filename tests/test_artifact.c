/* test_artifact.c: packed weights in a file beside the model: written, checked, opened mapped,
 * read and streamed, with the bits of the model itself; damaged, foreign, cut off and
 * half-written ones are refused. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"

static books mem;

static aios_status open_with(const aios_io *io, const aios_io *art, aios_model **m, aios_error *e) {
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc d;
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
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &e), AIOS_ERR_MEMORY);
    return e.expected;
}
static void pack(aios_model *m, uint64_t block_bytes, mem_file *f) {
    uint64_t n = aios_artifact_work_bytes(m, block_bytes);
    void *work = NULL;
    aios_error e;
    CHECK_EQ(posix_memalign(&work, 64, (size_t)n), 0);
    CHECK_EQ(aios_artifact_write(m, block_bytes, mem_file_write, f, work, n - 1, NULL, NULL, &e),
             AIOS_ERR_ARG);
    CHECK_EQ(e.expected, n);
    CHECK_AT(aios_artifact_write(m, block_bytes, mem_file_write, f, work, n, NULL, NULL, &e) == 0,
             "%s", e.text);
    free(work);
}
static void memory_io(aios_io *io, const mem_file *f) { aios_io_memory(io, f->p, f->n); }
static aios_status check(const mem_file *f, aios_error *e) {
    aios_io io;
    uint64_t work[1024];
    memory_io(&io, f);
    return aios_artifact_check(&io, work, sizeof work, NULL, NULL, e);
}

/* The manifest: the names of the model contract, each tensor once in both lists, in the order of
 * frequency and of the file. */
static void check_manifest(const mem_file *f) {
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
    CHECK_EQ(depth, 0);
    CHECK(strstr(text, "\"aios_contract_version\": \"1.0\", \"frequency_ordered\": true, "));
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
    CHECK(n_tensors > 0);
    CHECK_EQ(n_layout, n_tensors);
    free(text);
}

/* A model, its artifact, and the hashes of its logits in both kinds of arithmetic. */
typedef struct subject {
    const char *name;
    uint8_t *p;
    uint64_t n;
    disk model;
    aios_io io;
    mem_file packed;
    uint64_t want, exact;
} subject;
static int subject_open(subject *s, const char *name, uint8_t *p, uint64_t n) {
    aios_model *m = NULL;
    aios_error e;
    aios_plan plan;
    memset(s, 0, sizeof *s);
    s->name = name;
    s->p = p;
    s->n = n;
    disk_init(&s->model, &s->io, p, n);
    CASE("%s", name);
    if (!CHECK_AT(open_with(&s->io, NULL, &m, &e) == 0, "%s", e.text)) return 0;
    pack(m, 0, &s->packed);
    s->want = hash_of(m, 0, AIOS_CANONICAL, &plan);
    aios_model_free(m);
    CHECK_EQ(open_with(&s->io, NULL, &m, &e), 0);
    s->exact = hash_of(m, 0, AIOS_REFERENCE, &plan);
    aios_model_free(m);
    CHECK(s->want && s->exact);
    return 1;
}
static void subject_close(subject *s) {
    CHECK_EQ(mem.n_held, 0);
    free(s->packed.p);
}

static void an_artifact_is_whole_pages_with_a_manifest(subject *s) {
    aios_error e;
    CASE("%s", s->name);
    CHECK_OK(check(&s->packed, &e), e);
    CHECK_EQ(s->packed.n % 4096, 0);
    check_manifest(&s->packed);
}

static void mapped_artifacts_have_the_bits_of_the_model(subject *s) {
    aios_io art;
    aios_model *m = NULL;
    aios_error e;
    aios_plan plan;
    CASE("%s", s->name);
    memory_io(&art, &s->packed); /* nothing but vectors is copied */
    CHECK_OK(open_with(&s->io, &art, &m, &e), e);
    CHECK_EQ(hash_of(m, 0, AIOS_CANONICAL, &plan), s->want);
    CHECK_EQ(plan.weight_bytes_packed, 0);
    CHECK(plan.weight_bytes_mapped > 0);
    CHECK_EQ(plan.tier_bytes[1], 0);
    aios_model_free(m);
    CHECK_OK(open_with(&s->io, &art, &m, &e), e);
    CHECK_EQ(hash_of(m, 0, AIOS_REFERENCE, &plan), s->exact);
    aios_model_free(m);
}

static void read_and_streamed_artifacts_have_the_bits_of_the_model(subject *s) {
    aios_io art;
    disk d;
    aios_model *m = NULL;
    aios_error e;
    aios_plan plan;
    CASE("%s", s->name);
    disk_init(&d, &art, s->packed.p, s->packed.n);
    CHECK_OK(open_with(&s->io, &art, &m, &e), e);
    CHECK_EQ(hash_of(m, 0, AIOS_CANONICAL, &plan), s->want);
    CHECK_EQ(plan.weight_bytes_mapped, 0);
    aios_model_free(m);
    CHECK_OK(open_with(&s->io, &art, &m, &e), e);
    CHECK_EQ(hash_of(m, (least_of(m) + plan.held_bytes + plan.total_bytes) / 2, AIOS_CANONICAL,
                     &plan),
             s->want);
    CHECK(plan.n_units > 0 || strcmp(s->name, "tale"));
    aios_model_free(m);
}

/* Every byte of the header and the tables counts, and any of the data. */
static void damaged_artifacts_are_refused_or_change_nothing(subject *s) {
    const mem_file *f = &s->packed;
    uint64_t seed = s->n, i, at, data;
    uint32_t n_tensors;
    memcpy(&data, f->p + 80, 8);
    memcpy(&n_tensors, f->p + 12, 4);
    for (i = 0; i < 400; i++) {
        aios_io art;
        aios_model *m = NULL;
        aios_error e;
        aios_plan plan;
        aios_status st;
        uint8_t was;
        at = i < 112 ? i : 4096 + test_rand(&seed) % (i < 250 ? data - 4096 : f->n - 4096);
        CASE("%s, byte %llu", s->name, (unsigned long long)at);
        memory_io(&art, f);
        was = f->p[at];
        f->p[at] ^= (uint8_t)(1 + test_rand(&seed) % 255);
        st = open_with(&s->io, &art, &m, &e);
        if (i < 112 || (at >= 4096 && at < 4096 + 32u * n_tensors)) CHECK(st < 0 && !m);
        /* padding, or the manifest, which nothing depends on */
        if (st == 0 && check(f, &e) == 0) {
            uint64_t from; /* of the manifest */
            memcpy(&from, f->p + 64, 8);
            if (at < from || at >= data) CHECK_EQ(hash_of(m, 0, AIOS_CANONICAL, &plan), s->want);
        }
        aios_model_free(m);
        f->p[at] = was;
    }
}

static void artifacts_that_are_cut_off_are_refused(subject *s) {
    uint64_t seed = s->n;
    for (uint64_t i = 0; i < 40; i++) {
        mem_file cut = s->packed;
        aios_io art;
        aios_model *m = NULL;
        aios_error e;
        cut.n = i < 20 ? i * 300 : test_rand(&seed) % s->packed.n;
        CASE("%s, %llu bytes", s->name, (unsigned long long)cut.n);
        memory_io(&art, &cut);
        CHECK(open_with(&s->io, &art, &m, &e) < 0 && !m && e.text[0] && check(&cut, &e) < 0);
    }
}

static void artifacts_of_another_model_are_refused(subject *s) {
    aios_io art;
    aios_model *m = NULL;
    aios_error e;
    aios_tensor_info t;
    CASE("%s", s->name);
    memory_io(&art, &s->packed);
    CHECK_OK(open_with(&s->io, NULL, &m, &e), e);
    aios_tensor_info_init(&t);
    CHECK_EQ(aios_model_get_tensor(m, 1, &t), 0);
    aios_model_free(m);
    s->p[t.file_offset] ^= 1; /* the same header, other weights */
    CHECK(open_with(&s->io, &art, &m, &e) == AIOS_ERR_MODEL && !m &&
          strstr(e.text, "another model"));
    s->p[t.file_offset] ^= 1;
    CHECK(open_with(&s->io, &s->io, &m, &e) == AIOS_ERR_FORMAT && !m);
}

/* Whatever was written until then. */
static void a_disk_that_is_full_leaves_no_artifact(subject *s) {
    aios_model *m = NULL;
    aios_error e;
    CHECK_OK(open_with(&s->io, NULL, &m, &e), e);
    for (int i = 0; i < 60; i += i < 20 ? 1 : 7) {
        const uint64_t bytes = aios_artifact_work_bytes(m, 65536);
        void *work = malloc((size_t)bytes);
        mem_file g;
        aios_status st;
        CASE("%s, write %d", s->name, i);
        memset(&g, 0, sizeof g);
        g.fail_in = i + 1;
        st = aios_artifact_write(m, 65536, mem_file_write, &g, work, bytes, NULL, NULL, &e);
        CHECK(st == 0 ? g.n_writes <= i : st == AIOS_ERR_IO && check(&g, &e) < 0);
        free(work);
        free(g.p);
    }
    aios_model_free(m);
}

static void all_of(const char *name, uint8_t *p, uint64_t n) {
    subject s;
    if (!subject_open(&s, name, p, n)) return;
    TEST(an_artifact_is_whole_pages_with_a_manifest)(&s);
    TEST(mapped_artifacts_have_the_bits_of_the_model)(&s);
    TEST(read_and_streamed_artifacts_have_the_bits_of_the_model)(&s);
    TEST(damaged_artifacts_are_refused_or_change_nothing)(&s);
    TEST(artifacts_that_are_cut_off_are_refused)(&s);
    TEST(artifacts_of_another_model_are_refused)(&s);
    TEST(a_disk_that_is_full_leaves_no_artifact)(&s);
    subject_close(&s);
}

int main(int argc, char **argv) {
    static uint8_t made[DAMAGE_MAX_BYTES];
    /* clang-format off */
    static const char *const files[] = {
        "fixtures/types/llama-q4_k.gguf", "fixtures/types/llama-iq3_xxs.gguf",
        "fixtures/types/llama-f16.gguf",  "fixtures/zoo/gpt2.gguf",
        "fixtures/zoo/gemma2.gguf",       "fixtures/zoo/olmoe.gguf",
        "fixtures/zoo/falcon7b.gguf"
    };
    /* clang-format on */
    uint64_t n_made = damage_valid(made, sizeof made);
    size_t i, n;
    uint8_t *p = test_read_file("models/tale.gguf", &n);
    test_begin(argc, argv);
    all_of("made", made, n_made);
    if (CHECK(p != NULL)) all_of("tale", p, n);
    free(p);
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        p = test_read_file(shared_path(files[i]), &n);
        if (!p) {
            if (!test_listing()) printf("skip: no %s in the shared folder\n", files[i]);
            continue;
        }
        all_of(files[i], p, n);
        free(p);
    }
    return test_end();
}
