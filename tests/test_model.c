/* test_model.c: damaged and foreign models through aios_model_open: each of the damages is
 * noticed, named and placed, and nothing stays taken; families that the table lacks are refused
 * by name. */
#define _POSIX_C_SOURCE 200809L
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"

static books mem;

static aios_status open_file(const char *path, const aios_io *io, uint32_t flags, aios_model **m,
                             aios_error *err) {
    aios_model_desc d;
    const aios_allocator a = books_allocator(&mem);
    aios_model_desc_init(&d);
    d.mem = &a;
    d.path = path;
    d.io = io;
    d.flags = flags;
    return aios_model_open(&d, m, err);
}

static void every_damage_is_named_and_leaves_nothing(void) {
    uint8_t *buf = (uint8_t *)malloc(DAMAGE_MAX_BYTES);
    int i, n_model = 0;
    for (i = 0; i < damage_count(); i++) {
        damage d;
        uint64_t n = damage_make(i, buf, DAMAGE_MAX_BYTES, &d);
        aios_io io;
        aios_error err;
        aios_model *m = NULL;
        aios_mem_req req;
        aios_model_desc md;
        uint8_t *tight =
            (uint8_t *)malloc((size_t)(n ? n : 1)); /* so that a sanitizer sees a byte too far */
        memcpy(tight, buf, (size_t)n);
        memset(&err, 0, sizeof err);
        aios_io_memory(&io, tight, n);
        CHECK(damage_matches(&d, open_file(NULL, &io, 0, &m, &err), &err));
        CHECK(m == NULL && mem.n_held == 0);
        io.map = NULL; /* read instead of mapped: the same words */
        CHECK(damage_matches(&d, open_file(NULL, &io, 0, &m, &err), &err));
        CHECK(m == NULL && mem.n_held == 0);
        aios_model_desc_init(&md);
        aios_mem_req_init(&req);
        md.io = &io;
        if (d.stage == DAMAGE_GGUF && aios_model_measure(&md, &req, &err) == 0)
            CHECK(req.bytes < 1 << 20);
        n_model += d.stage == DAMAGE_MODEL;
        free(tight);
    }
    printf("%d damages, %d of them for the model to notice\n", damage_count(), n_model);
    CHECK(damage_count() >= 60);
    free(buf);
}

/* What aios_model_open says of files that are sound but not ours. */
static void families_that_are_not_ours_are_refused_by_name(void) {
    static const struct {
        const char *file, *word;
        aios_status code;
    } rows[] = { { "bloom", "bloom", AIOS_ERR_UNSUPPORTED },
                 { "mpt", "mpt", AIOS_ERR_UNSUPPORTED },
                 { "gpt-oss", "gpt-oss", AIOS_ERR_UNSUPPORTED },
                 { "deepseek2-v3", "deepseek2", AIOS_ERR_UNSUPPORTED },
                 { "bitnet-b1.58", "bitnet-b1.58", AIOS_ERR_UNSUPPORTED } };
    size_t i;
    size_t n;
    uint8_t *p = test_read_file(shared_path("fixtures/zoo/llama.gguf"), &n);
    if (!p) {
        printf("skip: families: needs ../shared\n");
        return;
    }
    free(p);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rel[128];
        aios_model *m;
        aios_error err;
        aios_status st;
        snprintf(rel, sizeof rel, "fixtures/zoo/%s.gguf", rows[i].file);
        st = open_file(shared_path(rel), NULL, 0, &m, &err);
        CHECK_AT(st == rows[i].code && strstr(err.text, rows[i].word), "%s: %d %s", rows[i].file,
                 (int)st, err.text);
        st = open_file(shared_path(rel), NULL, AIOS_MODEL_VOCAB_ONLY, &m,
                       &err); /* its tokenizer works all the same */
        if (CHECK_EQ(st, 0)) {
            int32_t ids[64];
            CHECK(aios_tokenize(m, "hello", 5, 0, ids, 64, &err) > 0);
            aios_model_free(m);
        }
        CHECK_EQ(mem.n_held, 0);
    }
}

static void what_a_model_says_is_what_was_written(void) {
    static uint8_t buf[DAMAGE_MAX_BYTES];
    aios_io io;
    aios_model *m;
    aios_error err;
    aios_model_info i;
    aios_tensor_info t;
    char name[64], type[16], value[32];
    uint32_t k, found = 0;
    aios_io_memory(&io, buf, damage_valid_experts(buf, sizeof buf));
    if (CHECK_EQ(open_file(NULL, &io, 0, &m, &err), 0)) {
        aios_model_info_init(&i);
        CHECK_EQ(aios_model_get_info(m, &i), 0);
        CHECK_EQ(i.n_expert, 2);
        CHECK_EQ(i.n_expert_used, 1);
        CHECK_EQ(i.n_tensors, 25);
        aios_model_free(m);
    } else
        printf("  %s\n", err.text);
    aios_io_memory(&io, buf, damage_valid(buf, sizeof buf));
    if (!CHECK_AT(open_file(NULL, &io, 0, &m, &err) == 0, "%s", err.text)) return;
    aios_model_info_init(&i);
    CHECK_EQ(aios_model_get_info(m, &i), 0);
    CHECK_STR(i.arch, "llama");
    CHECK_EQ(i.n_layer, 2);
    CHECK_EQ(i.n_embd, 32);
    CHECK_EQ(i.n_head, 4);
    CHECK_EQ(i.n_head_kv, 2);
    CHECK_EQ(i.head_dim_k, 8);
    CHECK_EQ(i.head_dim_v, 8);
    CHECK_EQ(i.n_ff, 64);
    CHECK_EQ(i.n_vocab, 288);
    CHECK_EQ(i.n_tokens, 288);
    CHECK_EQ(i.n_ctx_train, 128);
    CHECK_EQ(i.gguf_version, 3);
    aios_tensor_info_init(&t);
    for (k = 0; k < i.n_tensors; k++) {
        CHECK_EQ(aios_model_get_tensor(m, k, &t), 0);
        CHECK_EQ(t.n_bytes, t.n[0] * t.n[1] * 4);
        found += !strcmp(t.name, "token_embd.weight") && t.n[0] == 32 && t.n[1] == 288;
    }
    CHECK_EQ(found, 1);
    CHECK_EQ(aios_model_get_tensor(m, i.n_tensors, &t), AIOS_ERR_ARG);
    for (k = 0, found = 0; k < i.n_keys; k++) {
        CHECK_EQ(
            aios_model_get_key(m, k, name, sizeof name, type, sizeof type, value, sizeof value), 0);
        CHECK(strlen(value) < sizeof value);
        found += !strcmp(name, "llama.block_count") && !strcmp(type, "u32") && !strcmp(value, "2");
        found += !strcmp(name, "llama.rope.freq_base") && !strcmp(type, "f32") &&
                 !strcmp(value, "10000");
        found += !strcmp(name, "general.architecture") && !strcmp(type, "str") &&
                 !strcmp(value, "llama");
    }
    CHECK_EQ(found, 3);
    aios_model_free(m);
    CHECK_EQ(mem.n_held, 0);
}

/* A context of a plan that asks for none: what the model was trained for, within reason. */
static void a_context_of_zero_is_what_the_model_was_trained_for(void) {
    static const char key[] = "llama.context_length";
    static uint8_t buf[DAMAGE_MAX_BYTES];
    static const struct {
        uint32_t trained;
        int32_t n_ctx;
    } rows[] = { { 128, 128 }, { 4096, 4096 }, { 40960, 4096 } };
    size_t n = damage_valid(buf, sizeof buf), at = 0, i;
    while (at + sizeof key - 1 < n && memcmp(buf + at, key, sizeof key - 1)) at++;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        aios_io io;
        aios_model *m;
        aios_error err;
        aios_plan_desc pd;
        aios_plan p;
        memcpy(buf + at + sizeof key - 1 + 4, &rows[i].trained, 4);
        aios_io_memory(&io, buf, n);
        if (!CHECK_AT(open_file(NULL, &io, 0, &m, &err) == 0, "%s", err.text)) return;
        aios_plan_desc_init(&pd);
        aios_plan_init(&p);
        CHECK_EQ(aios_plan_make(m, &pd, &p, &err), 0);
        CHECK_EQ(p.n_ctx, rows[i].n_ctx);
        aios_model_free(m);
    }
}

/* AIOS_MODEL_INSPECT: whatever the parser takes is shown, and nothing can be done with it; what
 * the parser refuses stays refused, in the same words, but for types that are not known and
 * parts of a split model. */
static void show(aios_model *m) {
    aios_model_info i;
    aios_tensor_info t;
    aios_plan_desc pd;
    aios_plan plan;
    aios_error err;
    char name[64], type[16], value[32];
    int32_t id;
    uint32_t k;
    aios_model_info_init(&i);
    aios_tensor_info_init(&t);
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    CHECK_EQ(aios_model_get_info(m, &i), 0);
    CHECK_EQ(i.n_layer, 0);
    for (k = 0; k < i.n_keys; k++)
        CHECK_EQ(
            aios_model_get_key(m, k, name, sizeof name, type, sizeof type, value, sizeof value), 0);
    for (k = 0; k < i.n_tensors; k++)
        CHECK(aios_model_get_tensor(m, k, &t) == 0 && t.n_bytes > 0 && t.name[0]);
    CHECK_EQ(aios_plan_make(m, &pd, &plan, &err), AIOS_ERR_STATE);
    CHECK_EQ(aios_artifact_work_bytes(m, 0), 0);
    CHECK(aios_tokenize(m, "hello", 5, 0, &id, 1, &err) ==
          (i.n_tokens ? aios_tokenize(m, "hello", 5, 0, NULL, 0, &err) : AIOS_ERR_VOCAB));
}
static void whatever_the_parser_takes_can_be_shown(void) {
    uint8_t *buf = (uint8_t *)malloc(DAMAGE_MAX_BYTES);
    int i, n_types = 0, n_shown = 0;
    for (i = 0; i < damage_count(); i++) {
        damage d;
        uint64_t n = damage_make(i, buf, DAMAGE_MAX_BYTES, &d);
        aios_io io;
        aios_error err;
        aios_model *m = NULL;
        aios_status st;
        memset(&err, 0, sizeof err);
        aios_io_memory(&io, buf, n);
        st = open_file(NULL, &io, AIOS_MODEL_INSPECT, &m, &err);
        if (d.stage == DAMAGE_MODEL || strstr(d.name, "tensor type ") == d.name ||
            strstr(d.word, "split.count") || strstr(d.word, "split.tensors.count")) {
            if (CHECK_EQ(st, 0))
                show(m);
            else
                printf("  %s: %s\n", d.name, err.text);
            n_shown += st == 0;
            n_types += d.stage == DAMAGE_GGUF;
        } else
            CHECK(damage_matches(&d, st, &err) && !m);
        aios_model_free(m);
        CHECK_EQ(mem.n_held, 0);
    }
    CHECK_EQ(n_types, 7);
    CHECK(n_shown > 40);
    free(buf);
}

/* What opens although it is odd runs: three tokens, and a sampler that gives one of the
 * vocabulary or says that there are no numbers. */
static void run(aios_model *m, const char *file) {
    aios_model_info i;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_context *c;
    aios_sampler s;
    aios_error err;
    aios_status st;
    int32_t id;
    aios_model_info_init(&i);
    aios_plan_desc_init(&pd);
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    aios_sampler_init(&s);
    pd.n_ctx = 8;
    pd.n_threads = 1;
    CHECK_EQ(aios_model_get_info(m, &i), 0);
    if (!CHECK_AT(aios_plan_make(m, &pd, &plan, &err) == 0 &&
                      aios_context_open(m, &plan, &cd, &c, &err) == 0,
                  "%s: %s", file, err.text))
        return;
    for (id = 0; id < 3; id++)
        CHECK(aios_feed(c, 0, &id, 1, 0, &err) == 0 && aios_step(c, 0, &err) == AIOS_OK);
    st = aios_sample(c, 0, &s, &id, &err);
    CHECK(st == AIOS_OK ? id >= 0 && id < i.n_vocab : st == AIOS_ERR_ARG);
    aios_context_free(c);
}
/* A tensor of a layer past the last is left alone, with a note; one of a layer that runs, which
 * the family has no place for, is not. */
static char noted[256];
static void note(void *user, int32_t level, const char *text) {
    (void)user;
    (void)level;
    snprintf(noted, sizeof noted, "%s", text);
}
static void tensors_beyond_the_last_layer_are_left_alone(void) {
    static const struct {
        const char *name;
        aios_status code;
    } rows[] = { /* in the place of output.weight, without which the embedding is it */
                 { "blk.2.layer.w", AIOS_OK },
                 { "blk.9999999.w", AIOS_OK },
                 { "blk.20.norm.w", AIOS_OK },
                 { "blk.1.layer.w", AIOS_ERR_UNSUPPORTED },
                 { "blk.01.lyer.w", AIOS_ERR_UNSUPPORTED }
    };
    static uint8_t buf[DAMAGE_MAX_BYTES];
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t n = damage_valid(buf, sizeof buf), at;
        aios_io io;
        aios_model_desc d;
        aios_model *m;
        aios_error err;
        const aios_allocator a = books_allocator(&mem);
        for (at = 0; at + 13 < n && (memcmp(buf + at, "output.weight", 13) != 0 || buf[at - 1] ||
                                     buf[at - 8] != 13);
             at++) {}
        memcpy(buf + at, rows[i].name, 13);
        aios_io_memory(&io, buf, n);
        aios_model_desc_init(&d);
        d.mem = &a;
        d.io = &io;
        d.log = note;
        noted[0] = 0;
        CHECK_AT(aios_model_open(&d, &m, &err) == rows[i].code, "%s: %s", rows[i].name, err.text);
        CHECK((rows[i].code == AIOS_OK) ==
              (strstr(noted, rows[i].name) != NULL && strstr(noted, "left alone") != NULL));
        if (rows[i].code == AIOS_OK)
            run(m, rows[i].name);
        else
            CHECK(strstr(err.text, rows[i].name) != NULL);
        aios_model_free(m);
        CHECK_EQ(mem.n_held, 0);
    }
}

/* The files of fixtures/hostile, mapped, read, and by path: what the index says, the same words
 * each time, and no more memory than a few times the header. */
static void hostile_files_are_refused_or_run(void) {
    char line[512], rel[256];
    FILE *index = fopen(shared_path("fixtures/hostile/index.tsv"), "r");
    int n = 0;
    if (!index) {
        printf("skip: no fixtures/hostile\n");
        return;
    }
    while (fgets(line, sizeof line, index)) {
        const char *file = strtok(line, "\t"), *must = strtok(NULL, "\t");
        aios_error first, err;
        uint8_t *p;
        size_t n_bytes, k;
        int how;
        if (!must || !strstr(file, ".gguf")) continue;
        n++;
        snprintf(rel, sizeof rel, "fixtures/hostile/%s", file);
        p = test_read_file(shared_path(rel), &n_bytes);
        if (!CHECK(p != NULL)) continue;
        memset(&first, 0, sizeof first);
        for (how = 0; how < 3; how++) {
            aios_io io;
            aios_model *m = NULL;
            aios_model_desc md;
            aios_mem_req req;
            aios_status st, measured;
            memset(&err, 0, sizeof err);
            aios_io_memory(&io, p, n_bytes);
            if (how == 1) io.map = NULL;
            mem.asked = 0;
            st = open_file(shared_path(rel), how < 2 ? &io : NULL, 0, &m, &err);
            /* arrays in arrays were refused when the index was made */
            CHECK_AT(st == AIOS_OK
                         ? !strcmp(must, "opens") || !strcmp(file, "arr_of_arr.gguf")
                         : strstr(must, aios_status_name(st) + 9) || !strcmp(must, "any error"),
                     "%s: %s, got %s %s", file, must, aios_status_name(st), err.text);
            CHECK((st == AIOS_OK) == (m != NULL) && mem.asked < 32768);
            if (st) {
                CHECK(err.code == st && err.text[0] &&
                      (err.offset <= n_bytes || err.offset == UINT64_MAX));
                for (k = 0; err.text[k]; k++)
                    CHECK((uint8_t)err.text[k] >= 32 && err.text[k] != 127);
                if (how == 0) first = err;
                CHECK_AT(!memcmp(&first, &err, sizeof err), "%s: '%s', before '%s'", file, err.text,
                         first.text);
            }
            aios_model_desc_init(&md);
            aios_mem_req_init(&req);
            md.io = &io;
            measured = aios_model_measure(&md, &req, &err);
            CHECK((st || measured == AIOS_OK) && (measured == AIOS_OK || measured == st));
            if (m) run(m, file);
            aios_model_free(m);
            CHECK_EQ(mem.n_held, 0);
        }
        free(p);
    }
    fclose(index);
    printf("%d hostile files\n", n);
    CHECK(n >= 80);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    TEST(what_a_model_says_is_what_was_written)();
    TEST(a_context_of_zero_is_what_the_model_was_trained_for)();
    TEST(hostile_files_are_refused_or_run)();
    TEST(tensors_beyond_the_last_layer_are_left_alone)();
    TEST(whatever_the_parser_takes_can_be_shown)();
    TEST(every_damage_is_named_and_leaves_nothing)();
    TEST(families_that_are_not_ours_are_refused_by_name)();
    return test_end();
}
