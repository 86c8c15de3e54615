/* test_blocks.c: the block face. Every block of every file at hand is the file's bytes, under
 * random budgets down to the least and one byte below it; requests are those that were measured;
 * failing allocators and readers; threads; counters; and a hot path that neither allocates nor
 * asks the system. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#endif
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include "test.h"
#include "host.h"
#include "damage.h"

#if defined(__SANITIZE_THREAD__)
#define TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static books mem;

/* ---- files made up here ---- */
typedef struct maker {
    uint8_t *p;
    uint64_t n, cap;
} maker;
static void put(maker *m, const void *p, uint64_t n) {
    if (m->n + n > m->cap) abort();
    memcpy(m->p + m->n, p, (size_t)n);
    m->n += n;
}
static void put32(maker *m, uint32_t v) { put(m, &v, 4); }
static void put64(maker *m, uint64_t v) { put(m, &v, 8); }
static void puts_(maker *m, const char *z) {
    put64(m, strlen(z));
    put(m, z, strlen(z));
}
static void key32(maker *m, const char *name, uint32_t type, uint32_t v) {
    puts_(m, name);
    put32(m, type);
    put(m, &v, type == 2 ? 2 : 4);
}
typedef struct made {
    char name[64];
    uint32_t type;
    uint64_t n[3];
    uint64_t bytes;
} made;
/* A model of no known family. shape 0: dense; 1: experts; 2: tied. part/n_parts: one file of a
 * split model. */
static int overlap; /* the third tensor is said to lie where the first does */
static uint8_t *make_file(uint64_t seed, int shape, uint32_t part, uint32_t n_parts,
                          uint64_t *n_bytes) {
    static const char *const mats[] = { "attn_q", "attn_k",   "attn_v",  "attn_output",
                                        "ffn_up", "ffn_gate", "ffn_down" };
    static made t[256];
    maker m;
    int n = 0, i, l, k, layers = 5;
    uint64_t off = 0, align = seed % 2 ? 32 : 4096, j;
    m.cap = 48 << 20;
    m.n = 0;
    m.p = (uint8_t *)malloc(m.cap);
#define T(ty, a, b, c, ...)                                               \
    do {                                                                  \
        snprintf(t[n].name, 64, __VA_ARGS__);                             \
        t[n].type = ty;                                                   \
        t[n].n[0] = a;                                                    \
        t[n].n[1] = b;                                                    \
        t[n].n[2] = c;                                                    \
        t[n].bytes = (ty == 0   ? (a)*4ull                                \
                      : ty == 1 ? (a)*2ull                                \
                                : (a) / 32 * (ty == 2 ? 18ull : 34ull)) * \
                     (b) * (c);                                           \
        n++;                                                              \
    } while (0)
    T(8, 512ull, 2000ull, 1ull, "token_embd.weight");
    for (l = 0; l < layers; l++) {
        T(0, 512ull, 1ull, 1ull, "blk.%d.attn_norm.weight", l);
        for (k = 0; k < 7; k++) {
            uint64_t rows = 100 + (test_rand(&seed) % 900), cols = 512;
            if (k == 4 || k == 5) rows = 700;
            if (shape == 1 && k >= 4 && l % 2)
                for (j = 0; j < 6; j++)
                    T(2, cols, 257ull, 1ull, "blk.%d.%s.%d.weight", l, mats[k],
                      (int)j); /* as early files have them */
            else if (shape == 1 && k >= 4)
                T(2, cols, 257ull, 6ull, "blk.%d.%s_exps.weight", l, mats[k]);
            else
                T((uint32_t)(k == 2   ? 1
                             : k == 3 ? 8
                                      : 2),
                  cols, rows, 1ull, "blk.%d.%s.weight", l, mats[k]);
        }
        T(0, 16ull, 8ull, 40ull, "blk.%d.small.weight",
          l); /* matrices too small for blocks of their own */
    }
    T(0, 512ull, 1ull, 1ull, "output_norm.weight");
    if (shape != 2) T(8, 512ull, 2000ull, 1ull, "output.weight");
    T(0, 300000ull, 2ull, 1ull, "wide.weight"); /* rows longer than any block should be */
#undef T
    put(&m, "GGUF", 4);
    put32(&m, 3);
    put64(&m,
          (uint64_t)(part + 1) * (uint64_t)n / n_parts - (uint64_t)part * (uint64_t)n / n_parts);
    put64(&m, n_parts > 1 ? 4 : 2);
    puts_(&m, "general.architecture");
    put32(&m, 8);
    puts_(&m, "none such");
    key32(&m, "general.alignment", 4, (uint32_t)align);
    if (n_parts > 1) {
        key32(&m, "split.no", 2, part);
        key32(&m, "split.count", 2, n_parts);
    }
    for (i = (int)part * n / (int)n_parts; i < (int)(part + 1) * n / (int)n_parts; i++) {
        puts_(&m, t[i].name);
        put32(&m, 3);
        for (k = 0; k < 3; k++) put64(&m, t[i].n[k]);
        put32(&m, t[i].type);
        put64(&m, overlap && i == 2 ? 0 : off);
        off += (t[i].bytes + align - 1) / align * align;
    }
    while (m.n % align) put(&m, "", 1);
    for (j = 0; j < off; j += 8) put64(&m, test_rand(&seed));
    *n_bytes = m.n;
    return m.p;
}

/* ---- one file, one desc ---- */
typedef struct setup {
    aios_allocator mem;
    aios_io io[4];
    disk src[4];
    uint32_t n_parts;
    aios_blocks_desc d;
} setup;
static void setup_init(setup *s, uint8_t *const *p, const uint64_t *n, uint32_t n_parts, int map) {
    uint32_t i;
    memset(s, 0, sizeof *s);
    s->mem = books_allocator(&mem);
    mem.fence = 1;
    s->n_parts = n_parts;
    for (i = 0; i < n_parts; i++) {
        disk_init(&s->src[i], &s->io[i], p[i], n[i]);
        s->src[i].seed = n[i];
        if (map) s->io[i].map = disk_map;
    }
    aios_blocks_desc_init(&s->d);
    s->d.mem = &s->mem;
    s->d.io = s->io;
    s->d.n_parts = n_parts;
}
static aios_status open_it(setup *s, aios_blocks **b, aios_error *err) {
    mem.n = 0;
    return aios_blocks_open(&s->d, b, err);
}

/* Is block id the file's bytes? Fetches it where it has to be. */
static int block_is_right(setup *s, aios_blocks *b, uint32_t id) {
    aios_block_info i;
    aios_block_entry e;
    aios_error err;
    const void *p = NULL;
    uint32_t n = 0;
    aios_status st;
    aios_block_info_init(&i);
    if (aios_block_get_info(b, id, &i)) return 0;
    st = aios_resolve_block(b, id, &p, &n);
    if (st == AIOS_MORE) {
        if (p || i.tier != AIOS_TIER_STREAM || aios_block_get(b, id, &e) || e.base) return 0;
        if (aios_blocks_prefetch(b, id, 1, &err) < 0) {
            printf("  %s\n", err.text);
            return 0;
        }
        st = aios_resolve_block(b, id, &p, &n);
    }
    if (st || n != i.n_bytes || aios_block_get(b, id, &e) || e.base != p || e.n_bytes != n ||
        !(e.flags & AIOS_BLOCK_CANONICAL) || e.delta)
        return 0;
    if (!!(e.flags & AIOS_BLOCK_HOT) != (i.tier == AIOS_TIER_HOT) ||
        !!(e.flags & AIOS_BLOCK_WARM) != (i.tier == AIOS_TIER_WARM))
        return 0;
    return !memcmp(p, s->src[i.part].p + i.file_offset, n);
}
/* The numbering against the directory as the model reader sees it. */
static void check_numbers(setup *s, aios_blocks *b) {
    aios_model_desc md;
    aios_model *m;
    aios_model_info mi;
    aios_tensor_info t;
    aios_block_info i;
    aios_error err;
    uint32_t k, id = 0;
    uint64_t rng = 5;
    aios_model_desc_init(&md);
    aios_model_info_init(&mi);
    aios_tensor_info_init(&t);
    aios_block_info_init(&i);
    md.mem = &s->mem;
    md.io = s->io;
    md.n_parts = s->n_parts;
    md.flags = AIOS_MODEL_VOCAB_ONLY;
    if (!CHECK_AT(aios_model_open(&md, &m, &err) == 0, "%s", err.text)) return;
    aios_model_get_info(m, &mi);
    for (k = 0; k < mi.n_tensors; k++) {
        uint64_t at = 0, r, per_row;
        int j, ok = 1;
        CHECK_EQ(aios_model_get_tensor(m, k, &t), 0);
        per_row = t.n_bytes / (t.n[1] * t.n[2] * t.n[3]);
        CHECK_EQ(aios_blocks_find(b, t.name, 0), (int64_t)id);
        CHECK_EQ(aios_blocks_at(b, k, 0), (int64_t)id);
        while (at < t.n_bytes && ok) {
            ok = aios_block_get_info(b, id, &i) == 0 && i.tensor == k && !strcmp(i.name, t.name) &&
                 i.offset == at && i.file_offset == t.file_offset + at && i.part == t.part &&
                 i.n_bytes % per_row == 0 && i.n_bytes && i.first_row == at / per_row &&
                 i.n_rows == i.n_bytes / per_row && i.type == (int32_t)t.type;
            r = at + test_rand(&rng) % i.n_bytes;
            ok = ok && aios_blocks_at(b, k, r) == (int64_t)id &&
                 aios_blocks_at(b, k, at + i.n_bytes - 1) == (int64_t)id;
            if (t.n[1] * per_row >= 65536)
                ok = ok && at / (t.n[1] * per_row) == (at + i.n_bytes - 1) / (t.n[1] * per_row);
            at += i.n_bytes;
            id++;
        }
        CHECK(ok && at == t.n_bytes);
        for (j = 0; j < 2; j++) CHECK(aios_blocks_at(b, k, t.n_bytes + (uint64_t)j) < 0);
    }
    CHECK_EQ(id, aios_blocks_count(b));
    CHECK(aios_blocks_at(b, mi.n_tensors, 0) < 0);
    CHECK(aios_blocks_find(b, "no such", 0) < 0);
    CHECK_EQ(aios_block_get_info(b, id, &i), AIOS_ERR_ARG);
    aios_model_free(m);
}
static void check_plan(const setup *s, const aios_blocks_plan *p) {
    uint64_t ram = s->d.ram_bytes, sum = 0, copied = p->request_bytes[2] + p->request_bytes[3];
    uint32_t pct = s->d.max_rws_percent ? s->d.max_rws_percent : 65, i;
    for (i = 0; i < 5; i++) sum += p->request_bytes[i];
    CHECK_EQ(sum, p->total_bytes);
    CHECK_EQ(p->request_bytes[0], s->d.kv_reserve_bytes);
    CHECK(p->mapped_bytes + copied + p->stream_bytes >= p->hot_bytes + p->warm_bytes);
    if (!ram) {
        CHECK_EQ(p->stream_bytes, 0);
        CHECK_EQ(p->degraded, 0);
        CHECK_EQ(p->n_slots, 0);
        return;
    }
    CHECK(ram >= p->min_bytes && p->total_bytes <= ram);
    /* resident, copied or in place, stays below both limits */
    CHECK(p->hot_bytes + p->warm_bytes <= (ram - s->d.kv_reserve_bytes) / 100 * pct +
                                              (ram - s->d.kv_reserve_bytes) % 100 * pct / 100);
    CHECK(p->request_bytes[0] + p->request_bytes[1] + p->request_bytes[4] +
              MAX(copied, p->hot_bytes + p->warm_bytes) <=
          ram);
    CHECK(!!(p->degraded & AIOS_DEGRADED_HOT) == (p->token_stream_bytes != 0));
    CHECK(!(p->degraded & AIOS_DEGRADED_STREAM) || p->hot_bytes + p->warm_bytes == 0);
    CHECK(!(p->degraded & AIOS_DEGRADED_ALIASING) &&
          (!(p->degraded & AIOS_DEGRADED_HOT) || p->warm_bytes == 0));
    CHECK((p->stream_bytes == 0) == (p->degraded == 0 || p->degraded == AIOS_DEGRADED_PREFETCH));
    CHECK((p->request_bytes[4] == 0) == (p->n_slots == 0));
}

static uint64_t n_blocks_checked, n_setups;
/* All blocks of a file, in a random order, under one budget. */
static void check_one(setup *s, uint64_t *rng, int numbers) {
    aios_blocks_plan p, again;
    aios_blocks *b = NULL;
    aios_error err;
    aios_mem_req r;
    uint32_t i, n, step;
    int ok = 1;
    aios_blocks_plan_init(&p);
    aios_blocks_plan_init(&again);
    aios_mem_req_init(&r);
    mem.n = 0;
    if (!CHECK_AT(aios_blocks_measure(&s->d, &p, &err) == 0, "%s", err.text)) return;
    CHECK_EQ(mem.n, 0);
    check_plan(s, &p);
    if (!CHECK_AT(open_it(s, &b, &err) == 0, "%s", err.text)) return;
    CHECK_EQ(mem.n, (int)p.n_requests);
    for (i = 0; i < p.n_requests; i++)
        CHECK(aios_blocks_request(&p, i, &r) == 0 && !memcmp(&r, &mem.req[i], sizeof r));
    CHECK_EQ(aios_blocks_request(&p, i, &r), AIOS_ERR_ARG);
    n = aios_blocks_count(b);
    CHECK_EQ(n, p.n_blocks);
    for (i = 0; i < s->n_parts; i++) s->src[i].n_unaligned = 0;
    step = (uint32_t)(test_rand(rng) % n) | 1;
    while (n % step == 0 && step > 1)
        step -= 2; /* near enough: some order, all of them at least once below */
    for (i = 0; i < n; i++) ok &= block_is_right(s, b, (uint32_t)(((uint64_t)i * step) % n));
    for (i = 0; i < n; i++) ok &= block_is_right(s, b, i);
    CHECK(ok && "every block is the file's bytes");
    for (i = 0; i < n;
         i++) { /* what is copied is aligned, or goes on where the block before it ends */
        const aios_block_entry *e = &b->entry[i];
        if (!(e->flags & (AIOS_BLOCK_HOT | AIOS_BLOCK_WARM)) ||
            (e->flags & AIOS_BLOCK_HOT ? !b->got[2] : !b->got[3]))
            continue;
        ok &= (uintptr_t)e->base % 64 == 0 ||
              (i && e[-1].flags == e->flags &&
               (const char *)e[-1].base + e[-1].n_bytes == (const char *)e->base);
    }
    CHECK(ok && "alignment");
    for (i = 0; i < 20; i++) { /* and by reading */
        aios_block_info bi;
        static char buf[4096];
        uint64_t at, len;
        int32_t n_unaligned;
        aios_block_info_init(&bi);
        aios_block_get_info(b, (uint32_t)(test_rand(rng) % n), &bi);
        at = test_rand(rng) % bi.n_bytes;
        len = test_rand(rng) % (1 + (bi.n_bytes - at < 4096 ? bi.n_bytes - at : 4096));
        n_unaligned = s->src[bi.part].n_unaligned;
        n = (uint32_t)aios_blocks_at(b, bi.tensor, bi.offset);
        CHECK_EQ(aios_blocks_read(b, n, at, buf, len, &err), 0);
        CHECK_MEM(buf, s->src[bi.part].p + bi.file_offset + at, (size_t)len);
        CHECK_EQ(aios_blocks_read(b, n, at, buf, bi.n_bytes - at + 1, &err), AIOS_ERR_ARG);
        s->src[bi.part].n_unaligned = n_unaligned;
        n = aios_blocks_count(b);
    }
    for (i = 0; i < s->n_parts; i++) {
        CHECK(s->src[i].n_unaligned == 0 || s->src[i].pieces);
    }
    if (numbers) check_numbers(s, b);
    n_blocks_checked += 2 * n;
    n_setups++;
    aios_blocks_free(b);
    CHECK_EQ(mem.n_held, 0);
    CHECK_EQ(aios_blocks_measure(&s->d, &again, &err), 0);
    CHECK_MEM(&p, &again, sizeof p);
}
static void check_file(uint8_t *const *p, const uint64_t *n, uint32_t n_parts, int turns,
                       uint64_t seed) {
    static const uint32_t sizes[] = { 0, 65536, 100000, 262144, 1048576 };
    int turn;
    uint64_t rng = seed, all = 0;
    uint32_t i;
    for (i = 0; i < n_parts; i++) all += n[i];
    for (turn = 0; turn < turns; turn++) {
        setup s;
        aios_blocks_plan plan;
        aios_blocks *b = (aios_blocks *)(void *)&s; /* must become NULL */
        aios_error err;
        setup_init(&s, p, n, n_parts, (int)(test_rand(&rng) % 2));
        for (i = 0; i < n_parts; i++) s.src[i].pieces = turn % 3 == 2;
        aios_blocks_plan_init(&plan);
        s.d.block_bytes = sizes[test_rand(&rng) % 5];
        s.d.max_rws_percent = turn % 2 ? 0 : 1 + (uint32_t)(test_rand(&rng) % 100);
        s.d.hot_floor_percent = turn % 3 ? 1 : (uint32_t)(test_rand(&rng) % 101);
        s.d.prefetch_distance = (uint32_t)(test_rand(&rng) % 5);
        s.d.kv_reserve_bytes = turn % 2 ? 0 : 1 + test_rand(&rng) % 100000;
        s.d.flags = (test_rand(&rng) % 3 ? 0 : (uint32_t)AIOS_BLOCKS_IN_PLACE) |
                    (test_rand(&rng) % 4 ? 0 : (uint32_t)AIOS_BLOCKS_NO_PREFETCH);
        check_one(&s, &rng, turn == 0);
        /* the least, found as the message and the report say it */
        s.d.ram_bytes = 1;
        err.expected = 0;
        CHECK_EQ(aios_blocks_measure(&s.d, &plan, &err), AIOS_ERR_MEMORY);
        CHECK_EQ(err.got, 1);
        s.d.ram_bytes = err.expected;
        if (turn % 4 == 0) check_one(&s, &rng, 0);
        CHECK_EQ(aios_blocks_measure(&s.d, &plan, &err), 0);
        CHECK_EQ(plan.min_bytes, s.d.ram_bytes);
        s.d.ram_bytes--;
        mem.n = 0;
        CHECK(aios_blocks_open(&s.d, &b, &err) == AIOS_ERR_MEMORY && b == NULL && mem.n == 0 &&
              err.expected == s.d.ram_bytes + 1 && err.got == s.d.ram_bytes);
        {
            char num[24];
            snprintf(num, sizeof num, "%llu", (unsigned long long)err.expected);
            CHECK(strstr(err.text, num) != NULL);
        }
        s.d.ram_bytes = plan.min_bytes + test_rand(&rng) % (turn % 5 ? all * 2 : all / 8 + 1);
        check_one(&s, &rng, 0);
    }
}

/* ---- all that is at hand ---- */
static int quick;
static void blocks_of_every_file_are_its_bytes(void) {
    static const char *const dirs[] = { "fixtures/types", "fixtures/zoo", "fixtures/stories",
                                        "fixtures/vocab" };
    uint8_t *p;
    size_t n;
    uint64_t n64, k = 0;
    int i, n_files = 0;
    for (i = 0; i < 4; i++) {
        DIR *d = opendir(shared_path(dirs[i]));
        struct dirent *e;
        if (!d) continue;
        while ((e = readdir(d)) != NULL) {
            char rel[512];
            size_t len = strlen(e->d_name);
            if (len < 5 || strcmp(e->d_name + len - 5, ".gguf") || (quick && k++ % 5)) continue;
            snprintf(rel, sizeof rel, "%s/%s", dirs[i], e->d_name);
            p = test_read_file(shared_path(rel), &n);
            if (!CHECK(p != NULL)) continue;
            n64 = n;
            {
                setup s;
                aios_blocks_plan plan;
                aios_error err;
                aios_status st;
                setup_init(&s, &p, &n64, 1, 0);
                aios_blocks_plan_init(&plan);
                st = aios_blocks_measure(&s.d, &plan, &err);
                if (st == AIOS_ERR_MODEL) {
                    CHECK(strstr(err.text, "no tensors") != NULL);
                    free(p);
                    continue;
                } /* a vocabulary alone */
                CHECK_AT(st == 0, "%s: %s", rel, err.text);
            }
            check_file(&p, &n64, 1, 3, n64 + len);
            n_files++;
            free(p);
        }
        closedir(d);
    }
    if (!n_files) printf("skip: fixtures: needs ../shared\n");
    p = test_read_file("models/tale.gguf", &n);
    if (p) {
        n64 = n;
        check_file(&p, &n64, 1, quick ? 2 : 6, 3);
        free(p);
        n_files++;
    }
    printf("%d files\n", n_files);
}
static void blocks_of_made_files_are_their_bytes(void) {
    int shape;
    uint8_t *p[3];
    uint64_t n[3];
    for (shape = 0; shape < 3; shape++) {
        p[0] = make_file((uint64_t)shape + 1, shape, 0, 1, n);
        check_file(p, n, 1, quick ? 3 : 25, (uint64_t)shape);
        free(p[0]);
    }
    for (shape = 0; shape < 3; shape++) p[shape] = make_file(9, 1, (uint32_t)shape, 3, &n[shape]);
    check_file(p, n, 3, quick ? 2 : 9, 77);
    for (shape = 0; shape < 3; shape++) free(p[shape]);
}
/* Who is HOT, what the requests say, and what the floor does. */
static void tiers_are_what_the_requests_say(void) {
    int shape;
    for (shape = 0; shape < 3; shape++) {
        uint64_t n, ram, last = 0;
        uint8_t *p = make_file(11, shape, 0, 1, &n);
        setup s;
        aios_blocks *b;
        aios_blocks_plan plan;
        aios_error err;
        aios_block_info i;
        uint32_t id, k, floors = 0, n_alone = 0;
        setup_init(&s, &p, &n, 1, 0);
        aios_blocks_plan_init(&plan);
        aios_block_info_init(&i);
        CHECK_EQ(open_it(&s, &b, &err), 0);
        for (id = 0; id < aios_blocks_count(b); id++) {
            int e, alone;
            aios_block_get_info(b, id, &i);
            alone =
                sscanf(i.name, "blk.%*d.ffn_%*[a-z].%d.", &e) == 1; /* the matrix of one expert */
            n_alone += (uint32_t)alone;
            CHECK(i.tier == (uint32_t)(alone || strstr(i.name, "_exps") ||
                                               (shape != 2 && !strcmp(i.name, "token_embd.weight"))
                                           ? AIOS_TIER_WARM
                                           : AIOS_TIER_HOT));
            CHECK(i.layer == (i.name[0] == 'b' ? i.name[4] - '0' : -1));
        }
        CHECK((n_alone > 0) == (shape == 1));
        for (k = 0; k < (uint32_t)mem.n; k++) {
            const aios_mem_req *r = &mem.req[k];
            CHECK((r->tier == AIOS_TIER_HOT && r->kind == AIOS_MEM_WEIGHTS) ==
                  !!(r->flags & AIOS_MEM_PIN));
            if (r->kind == AIOS_MEM_WEIGHTS && r->tier == AIOS_TIER_HOT)
                CHECK(r->flags & AIOS_MEM_HUGE && r->align >= 4096);
        }
        aios_blocks_free(b);
        /* more memory never makes less of the file HOT; under the floor none of it is */
        s.d.hot_floor_percent = 30;
        s.d.max_rws_percent = 100;
        s.d.block_bytes = 65536;
        for (ram = 3 << 20; ram < 2 * n; ram += n / 16) {
            s.d.ram_bytes = ram;
            if (!CHECK_EQ(aios_blocks_measure(&s.d, &plan, &err), 0)) continue;
            CHECK(plan.hot_bytes + 65536 * 2 >= last);
            last = plan.hot_bytes;
            if (plan.degraded & AIOS_DEGRADED_STREAM) {
                floors++;
                CHECK_EQ(plan.hot_bytes, 0);
                CHECK(plan.n_slots > 0);
            } else
                CHECK(plan.hot_bytes >=
                          (plan.hot_bytes + plan.warm_bytes + plan.stream_bytes) / 100 * 20 ||
                      !(plan.degraded & AIOS_DEGRADED_HOT));
        }
        CHECK(floors > 0);
        CHECK_EQ(plan.degraded, 0);
        free(p);
    }
}
static void the_built_in_reader_serves_blocks_too(void) { /* the built-in reader */
    setup s;
    aios_blocks *b;
    aios_error err;
    size_t n;
    uint64_t n64, rng = 1;
    uint8_t *p = test_read_file("models/tale.gguf", &n);
    if (!p) return;
    n64 = n;
    setup_init(&s, &p, &n64, 1, 0);
    s.d.io = NULL;
    s.d.n_parts = 0;
    s.d.path = "models/tale.gguf";
    s.d.ram_bytes = n64;
    s.d.hot_floor_percent = 1;
    check_one(&s, &rng, 0);
    s.d.path = "models/no such.gguf";
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_IO && !b && mem.n_held == 0);
    s.d.path = NULL;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b);
    free(p);
}

/* ---- failures ---- */
static void failures_leave_nothing_taken(void) {
    uint8_t *p;
    uint64_t n;
    setup s;
    aios_blocks *b;
    aios_model_desc md;
    aios_model *m;
    aios_blocks_plan plan;
    aios_error err;
    int i, k;
    p = make_file(4, 1, 0, 1, &n);
    for (k = 0; k < 2; k++) {
        uint64_t min;
        setup_init(&s, &p, &n, 1, k);
        aios_blocks_plan_init(&plan);
        s.d.kv_reserve_bytes = 5000;
        s.d.hot_floor_percent = 1;
        s.d.ram_bytes = n / 2;
        CHECK_EQ(aios_blocks_measure(&s.d, &plan, &err), 0);
        min = plan.n_requests;
        CHECK(k || min == 4);
        for (i = 0; i < (int)min; i++) {
            mem.fail_in = i + 1;
            CHECK(open_it(&s, &b, &err) == AIOS_ERR_MEMORY && !b && mem.n_held == 0);
            mem.fail_in = 0;
        }
        /* every read in turn, whole and in pieces */
        for (i = 0;; i++) {
            aios_status st;
            s.src[0].fail_in = i + 1;
            s.src[0].fail_with = i % 2 ? -5 : 0;
            s.src[0].pieces = 0;
            st = open_it(&s, &b, &err);
            if (st == 0) break;
            CHECK(st == AIOS_ERR_IO && !b && mem.n_held == 0 && err.text[0]);
        }
        CHECK(i > 3);
        s.src[0].fail_in = 0;
        /* reads that fail in the ring: the block is not there, others are as they were, the next
         * try works */
        if (!k) {
            uint64_t bad = 0, j, rng = 8;
            for (j = 0; j < 400; j++) {
                uint32_t id = (uint32_t)(test_rand(&rng) % aios_blocks_count(b)), q;
                const void *data;
                aios_status st;
                s.src[0].fail_in = 1 + (int32_t)(j % 7);
                s.src[0].fail_with = j % 2 ? -5 : 0;
                st = aios_blocks_prefetch(b, id, 0, &err);
                CHECK(st == 0 || st == AIOS_ERR_IO);
                bad += st != 0;
                s.src[0].fail_in = 0;
                if (st) CHECK(err.offset % 4096 == 0 && err.text[0]);
                for (q = 0; q < aios_blocks_count(b); q++) {
                    aios_block_info bi;
                    uint32_t len;
                    aios_block_info_init(&bi);
                    aios_block_get_info(b, q, &bi);
                    if (aios_resolve_block(b, q, &data, &len) == 0 &&
                        memcmp(data, p + bi.file_offset, len)) {
                        FAIL("a wrong block in a slot");
                        break;
                    }
                }
                CHECK(block_is_right(&s, b, id));
            }
            CHECK(bad > 20);
        }
        aios_blocks_free(b);
        CHECK_EQ(mem.n_held, 0);
    }
    /* tensors that share bytes: a short file could ask for any amount of memory */
    {
        uint8_t *q;
        overlap = 1;
        q = make_file(4, 0, 0, 1, &n);
        overlap = 0;
        setup_init(&s, &q, &n, 1, 0);
        CHECK(open_it(&s, &b, &err) == AIOS_ERR_UNSUPPORTED && !b && mem.n == 0 &&
              strstr(err.text, "blk.0.attn_q"));
        free(q);
        q = make_file(4, 1, 0, 1, &n);
        free(p);
        p = q;
    }
    /* descs that are wrong */
    setup_init(&s, &p, &n, 1, 1);
    s.d.block_bytes = 65535;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b);
    s.d.block_bytes = 0;
    s.d.block_bytes = 1 << 21;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b);
    s.d.block_bytes = 0;
    s.d.max_rws_percent = 101;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b);
    s.d.max_rws_percent = 0;
    s.d.flags = 8;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_DESC && !b);
    s.d.flags = 0;
    s.d.kv_reserve_bytes = UINT64_MAX;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b);
    s.d.kv_reserve_bytes = 0;
    s.d.mem = NULL;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_ARG && !b && strstr(err.text, "mem"));
    s.d.mem = &s.mem;
    aios_model_desc_init(&md); /* and of a model: nobody defined AIOS_DEFAULT_ALLOC here */
    md.io = s.d.io;
    CHECK(aios_model_open(&md, &m, &err) == AIOS_ERR_ARG && !m &&
          strstr(err.text, "aios_model_desc.mem"));
    s.d.struct_size = 0;
    CHECK(open_it(&s, &b, &err) == AIOS_ERR_DESC && !b);
    CHECK_EQ(aios_blocks_open(NULL, &b, &err), AIOS_ERR_ARG);
    CHECK_EQ(aios_blocks_open(&s.d, NULL, &err), AIOS_ERR_ARG);
    CHECK(aios_blocks_count(NULL) == 0 && aios_blocks_kv(NULL, &n) == NULL &&
          aios_blocks_prefetch(NULL, 0, 0, &err) == AIOS_ERR_ARG);
    aios_blocks_free(NULL);
    free(p);
}
/* Damaged directories: refused or served, never a crash, a large request or a read outside of
 * the file. */
static void damaged_directories_are_refused_or_served(void) {
    uint8_t *buf = (uint8_t *)malloc(DAMAGE_MAX_BYTES), *tight;
    int i, n_ok = 0;
    uint64_t rng = 3, n;
    for (i = 0; i < damage_count() + 600; i++) {
        setup s;
        aios_blocks *b;
        aios_error err;
        damage d;
        if (i < damage_count())
            n = damage_make(i, buf, DAMAGE_MAX_BYTES, &d);
        else { /* bytes of the header changed at random */
            uint64_t k = 1 + test_rand(&rng) % 3;
            n = i % 3 ? damage_valid(buf, DAMAGE_MAX_BYTES)
                      : damage_valid_experts(buf, DAMAGE_MAX_BYTES);
            while (k--) buf[4 + test_rand(&rng) % 12000] = (uint8_t)test_rand(&rng);
        }
        tight = (uint8_t *)malloc((size_t)(n ? n : 1));
        memcpy(tight, buf, (size_t)n);
        setup_init(&s, &tight, &n, 1, i % 2);
        if (open_it(&s, &b, &err) == 0) {
            uint32_t id;
            int ok = 1;
            for (id = 0; id < aios_blocks_count(b); id++) ok &= block_is_right(&s, b, id);
            CHECK(ok && s.src[0].n_reads < 10000 && mem.req[0].bytes < 1 << 20);
            n_ok++;
            aios_blocks_free(b);
        } else
            CHECK(b == NULL && err.text[0]);
        CHECK_EQ(mem.n_held, 0);
        free(tight);
    }
    CHECK(n_ok > 10);
    free(buf);
}

/* ---- the ring in an engine's order ---- */
static void blocks_are_there_when_an_engine_comes_to_them(void) {
    uint8_t *p;
    uint64_t n, ram;
    hand_clock clock = { 0, 1000, NULL, 0 };
    int map;
    p = make_file(6, 0, 0, 1, &n);
    for (map = 0; map < 2; map++)
        for (ram = n / 3; ram < n; ram += n / 5) {
            setup s;
            aios_blocks *b;
            aios_blocks_plan plan;
            aios_telemetry t;
            aios_block_info i;
            aios_error err;
            uint32_t id, token, hits = 0, per_token = 0, misses = 0, late;
            int32_t layer = -2;
            uint64_t bytes = 0, loaded = 0, now = 0;
            setup_init(&s, &p, &n, 1, map);
            aios_blocks_plan_init(&plan);
            aios_telemetry_init(&t);
            aios_block_info_init(&i);
            s.d.ram_bytes = ram;
            s.d.hot_floor_percent = 1;
            s.d.block_bytes = 65536;
            s.d.prefetch_distance = 1;
            s.d.max_rws_percent = 95;
            s.d.now_ns = hand_now;
            s.d.now_user = &clock;
            CHECK_EQ(aios_blocks_measure(&s.d, &plan, &err), 0);
            CHECK_EQ(open_it(&s, &b, &err), 0);
            CHECK(plan.degraded & AIOS_DEGRADED_HOT && (!map == (plan.n_slots != 0)));
            for (token = 0; token < 3; token++) {
                for (id = 0; id < aios_blocks_count(b); id++) {
                    const void *data;
                    uint32_t len;
                    aios_status st;
                    aios_block_get_info(b, id, &i);
                    if (!strcmp(i.name, "token_embd.weight")) continue;
                    if (i.layer != layer) {
                        layer = i.layer;
                        CHECK_EQ(aios_blocks_prefetch(b, id, 0, &err), 0);
                    }
                    st = aios_resolve_block(b, id, &data, &len);
                    if (st ==
                        /* a layer that is longer than the ring: ask again from here on */
                        AIOS_MORE) {
                        misses++;
                        CHECK_EQ(aios_blocks_prefetch(b, id, 0, &err), 0);
                        st = aios_resolve_block(b, id, &data, &len);
                    }
                    CHECK_EQ(st, 0);
                    CHECK_MEM(data, p + i.file_offset, len);
                    hits += i.tier == AIOS_TIER_HOT;
                    per_token++;
                    if (i.tier == AIOS_TIER_STREAM) bytes += len;
                }
                aios_blocks_token(b);
            }
            CHECK_EQ(aios_get_telemetry(b, &t), 0);
            CHECK_EQ(t.n_tokens, 3);
            CHECK_EQ(t.n_resolved, per_token);
            CHECK_EQ(t.n_hot, hits);
            CHECK_EQ(t.n_missed, misses);
            CHECK_EQ(t.n_hot + t.n_stream + t.n_warm, t.n_resolved);
            CHECK(t.hot_ratio > 0);
            CHECK(t.hot_ratio < 1);
            CHECK_EQ(t.degraded, plan.degraded);
            CHECK_EQ(t.prefetch, 1);
            CHECK_EQ(t.aliasing, 0);
            CHECK_EQ(t.n_deltas, 0);
            CHECK(t.prefetch_ns > 0);
            CHECK_EQ(bytes, 3 * plan.token_stream_bytes);
            CHECK(t.prefetch_bytes >= plan.token_stream_bytes);
            if (!map) CHECK(misses * 20 < per_token || plan.prefetch_distance == 0);
            /* what a call wants and is there stays where it is; the rest comes */
            for (token = 0; token < 600 && !map; token++) {
                static const void *was[4096];
                uint32_t a = (uint32_t)(token * 2654435761u % aios_blocks_count(b)), k, moved = 0,
                         missing = 0;
                if (token % 3) a = (a + aios_blocks_count(b) - a % 16 - 8) % aios_blocks_count(b);
                for (k = 0; k < aios_blocks_count(b); k++) was[k] = b->entry[k].base;
                CHECK_EQ(aios_blocks_prefetch(b, a, 0, &err), 0);
                {
                    aios__blk_step step;
                    aios__blk_first(b, a, &step);
                    for (k = 0; k < plan.n_slots;) {
                        missing += b->entry[step.id].base == NULL;
                        moved += was[step.id] && was[step.id] != b->entry[step.id].base;
                        k += !(b->entry[step.id].flags & AIOS_BLOCK_HOT);
                        if (!aios__blk_next(b, &step)) break;
                    }
                }
                CHECK_EQ(moved, 0);
                CHECK_EQ(missing, 0);
            }
            /* a deadline: one block in any case, and on at the same place */
            aios_reset_telemetry(b);
            for (id = 0, late = 0; id < 1000; id++) {
                aios_status st =
                    aios_blocks_prefetch(b, aios_blocks_count(b) / 2, clock.now + 1, &err);
                aios_get_telemetry(b, &t);
                if (st == 0) break;
                CHECK_EQ(st, AIOS_MORE);
                CHECK(t.n_prefetched > loaded);
                loaded = t.n_prefetched;
                late++;
            }
            CHECK(id < 1000 && (late > 1 || map || plan.prefetch_distance == 0));
            now = t.n_prefetched;
            CHECK_EQ(aios_blocks_prefetch(b, aios_blocks_count(b) / 2, 0, &err), 0);
            CHECK_EQ(aios_get_telemetry(b, &t), 0);
            CHECK(t.n_prefetched <= now + (map ? 1 : 0));
            CHECK_EQ(aios_blocks_prefetch(b, aios_blocks_count(b), 0, &err), AIOS_ERR_ARG);
            if (!map) { /* and no read is begun after a deadline that passed within one */
                late_clock tick = { 1000, 0, 1000000, 0, 0, 0, 0 };
                int held = 1;
                b->desc.now_ns = late_now;
                b->desc.now_user = &tick;
                for (s.src[0].clock = &tick, id = late = 0; id < 600; id++) {
                    late += aios_blocks_prefetch(b, id / 4 * 2654435761u % aios_blocks_count(b),
                                                 late_next(&tick, &now), &err) == AIOS_MORE;
                    held &= late_held(&tick);
                }
                s.src[0].clock = NULL;
                CHECK(held && (late > 50 || plan.prefetch_distance == 0));
            }
            aios_blocks_free(b);
        }
    free(p);
}

/* A file that claims to be large: tables and time are bound by limits.max_blocks, not by it. Its
 * header, and zeros. */
static int64_t claims_read(void *user, uint64_t off, void *dst, uint64_t n) {
    const maker *m = (const maker *)user;
    uint64_t k = off < m->n ? m->n - off : 0;
    if (k > n) k = n;
    if (k) memcpy(dst, m->p + off, (size_t)k);
    memset((char *)dst + k, 0, (size_t)(n - k));
    return (int64_t)n;
}
static void files_that_claim_to_be_large_take_no_more_than_the_limit(void) {
    static const struct {
        uint32_t n_tensors;
        uint64_t n[3];
        uint64_t most;
        aios_status code;
        uint64_t n_blocks;
    } rows[] = {
        { 1, { 1, (uint64_t)1 << 57, 1 }, 0, AIOS_ERR_LIMIT, 0 }, /* 2^59 bytes in rows of 4 */
        { 1, { 1 << 20, (uint64_t)1 << 37, 1 }, 0, AIOS_ERR_LIMIT, 0 },
        { 1, { 1024, 16, (uint64_t)1 << 30 }, 0, AIOS_ERR_LIMIT, 0 }, /* 2^30 matrices of 64 KiB */
        { 1, { (uint64_t)1 << 40, 1, 1 }, 0, AIOS_ERR_LIMIT, 0 },     /* one row */
        { 60000, { 1024, 16, 4096 }, 0, AIOS_ERR_LIMIT, 0 },          /* 256 MiB each */
        { 4000, { 1024, 16, 4096 }, 0, AIOS_OK, 16384000 },           /* 1 TB in all */
        { 1, { 1024, 16, (uint64_t)1 << 24 }, 0, AIOS_OK, 1 << 24 },
        { 1, { 1024, 16, ((uint64_t)1 << 24) + 1 }, 0, AIOS_ERR_LIMIT, 0 },
        { 3, { 1024, 32, 50 }, 300, AIOS_OK, 300 },
        { 3, { 1024, 32, 50 }, 299, AIOS_ERR_LIMIT, 0 }
    };
    clock_t t0 = clock();
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint64_t bytes = rows[i].n[0] * rows[i].n[1] * rows[i].n[2] * 4;
        aios_blocks_desc d;
        aios_blocks_plan plan;
        aios_limits lim;
        aios_io io;
        aios_error err;
        maker m;
        uint32_t j, k;
        m.cap = 8 << 20;
        m.n = 0;
        m.p = (uint8_t *)malloc(m.cap);
        put(&m, "GGUF", 4);
        put32(&m, 3);
        put64(&m, rows[i].n_tensors);
        put64(&m, 0);
        for (j = 0; j < rows[i].n_tensors; j++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%u.ffn_up.weight", (unsigned)j);
            puts_(&m, name);
            put32(&m, 3);
            for (k = 0; k < 3; k++) put64(&m, rows[i].n[k]);
            put32(&m, 0);
            put64(&m, j * bytes);
        }
        aios_io_init(&io);
        aios_blocks_desc_init(&d);
        aios_blocks_plan_init(&plan);
        aios_limits_init(&lim);
        io.n_bytes = (uint64_t)1 << 62;
        io.read = claims_read;
        io.user = &m;
        lim.max_blocks = rows[i].most;
        d.io = &io;
        d.limits = &lim;
        d.block_bytes = 65536;
        d.ram_bytes = (uint64_t)8 << 30;
        CHECK_AT(aios_blocks_measure(&d, &plan, &err) == rows[i].code, "%u: %s", (unsigned)i,
                 err.text);
        if (rows[i].code)
            CHECK(err.offset >= 24 && err.offset < m.n && err.got > err.expected);
        else
            CHECK(plan.n_blocks == rows[i].n_blocks &&
                  plan.request_bytes[1] < 40 * rows[i].n_blocks + ((uint64_t)4 << 20));
        free(m.p);
    }
    printf("files that claim to be large: %.2f s\n", (double)(clock() - t0) / CLOCKS_PER_SEC);
    CHECK(clock() - t0 < (TEST_SANITIZED ? 60 : 20) * (clock_t)CLOCKS_PER_SEC);
}

/* ---- sparsity, profile, memory flags ---- */
static void rows_that_are_off_are_skipped(void) {
    uint8_t *p;
    uint64_t n, rng = 4, n_kv = 0;
    setup s;
    aios_blocks *b;
    aios_telemetry t;
    aios_hardware hw, here;
    aios_error err;
    static uint32_t bits[5 * 22];
    uint32_t l, r, off = 0, id;
    p = make_file(6, 0, 0, 1, &n);
    setup_init(&s, &p, &n, 1, 0);
    aios_hardware_init(&hw);
    hw.n_cores = 7;
    hw.l3_bytes = 123;
    hw.lock_bytes = 1;
    s.d.hardware = &hw;
    s.d.ram_bytes = 4 * n;
    s.d.kv_reserve_bytes = 1000;
    s.d.block_bytes = 65536;
    CHECK_EQ(open_it(&s, &b, &err), 0);
    CHECK_EQ(mem.req[0].kind, AIOS_MEM_KV);
    CHECK_EQ(mem.req[0].bytes, 1000);
    for (l = 1; l < (uint32_t)mem.n; l++) CHECK(mem.req[l].kind != AIOS_MEM_KV);
    CHECK(aios_blocks_kv(b, &n_kv) != NULL && n_kv == 1000);
    memset(aios_blocks_kv(b, NULL), 1, 1000);
    memset(&hw, 0, sizeof hw);
    aios_hardware_init(&hw);
    CHECK_EQ(aios_get_hardware_profile(b, &hw), 0);
    CHECK_EQ(hw.n_cores, 7);
    CHECK_EQ(hw.l3_bytes, 123);
    CHECK_EQ(hw.lock_bytes, 1);
    CHECK_EQ(hw.ram_bytes, 4 * n);
    aios_hardware_init(&here); /* kernels are this machine's, whatever else the host says */
    CHECK_EQ(aios_hardware_detect(&here), AIOS_OK);
    CHECK_EQ(hw.isa, here.isa);
    CHECK_EQ(hw.isa_tier, here.isa_tier);
    aios_telemetry_init(&t);
    for (l = 0; l < 5; l++)
        for (r = 0; r < 1000; r++) CHECK_EQ(aios_is_active(b, l, r), 1);
    for (l = 0; l < 5; l++)
        for (r = 0; r < 700; r++)
            if (test_rand(&rng) % 3 && !(l == 2 && r < 300))
                bits[l * 22 + r / 32] |= 1u << (r % 32);
    CHECK_EQ(aios_blocks_set_mask(b, bits, 5, 700, &err), 0);
    for (l = 0; l < 6; l++)
        for (r = 0; r < 701; r++) {
            int want = l > 4 || r > 699 || (bits[l * 22 + r / 32] >> (r % 32) & 1);
            if (aios_is_active(b, l, r) != want) {
                FAIL("is_active");
                break;
            }
            off += !want;
        }
    CHECK_EQ(aios_get_telemetry(b, &t), 0);
    CHECK_EQ(t.n_skipped, off);
    CHECK_EQ(t.sparsity, 1);
    CHECK_EQ(t.pinned, 0);
    CHECK_EQ(t.huge_pages, 0);
    /* a block of rows that are all off says so, others do not; layer 2 has 300 such rows */
    for (id = 0, off = 0; id < aios_blocks_count(b); id++) {
        aios_block_info i;
        aios_block_entry e;
        int up, all = 1;
        aios_block_info_init(&i);
        aios_block_get_info(b, id, &i);
        aios_block_get(b, id, &e);
        up = strstr(i.name, "ffn_up") || strstr(i.name, "ffn_gate");
        for (r = (uint32_t)i.first_row; up && r < i.first_row + i.n_rows; r++)
            all &= !(bits[i.layer * 22 + (int)r / 32] >> (r % 32) & 1);
        CHECK(!!(e.flags & AIOS_BLOCK_SPARSE) == (up && all));
        off += (e.flags & AIOS_BLOCK_SPARSE) != 0;
    }
    CHECK_EQ(off, 2);
    aios_blocks_set_memory(b, AIOS_MEM_PIN);
    CHECK_EQ(aios_blocks_set_mask(b, NULL, 0, 0, &err), 0);
    CHECK_EQ(aios_is_active(b, 2, 1), 1);
    aios_reset_telemetry(b);
    CHECK_EQ(aios_get_telemetry(b, &t), 0);
    CHECK_EQ(t.n_skipped, 0);
    CHECK_EQ(t.sparsity, 0);
    CHECK_EQ(t.pinned, 1);
    CHECK_EQ(t.huge_pages, 0);
    CHECK_EQ(aios_blocks_set_mask(b, bits, 0, 700, &err), AIOS_ERR_ARG);
    aios_blocks_free(b);
    s.d.flags = AIOS_BLOCKS_NO_SPARSITY;
    CHECK_EQ(open_it(&s, &b, &err), 0);
    CHECK_EQ(aios_blocks_set_mask(b, bits, 5, 700, &err), AIOS_ERR_STATE);
    CHECK_EQ(aios_is_active(b, 2, 1), 1);
    aios_blocks_free(b);
    free(p);
}

/* ---- threads ---- */
enum { N_THREADS = 6, N_LOOKS = 200000 };
static aios__tally
    one_tally; /* threads seldom share a stripe of the counters: this one they all do */
static aios_blocks *shared_b;
static uint64_t looks_ok[N_THREADS];
static setup shared_s;
static uint32_t masks[1] = { 0 };
static void *look(void *arg) {
    uint64_t rng = (uint64_t)(uintptr_t)arg + 1, me = rng - 1, ok = 0;
    int i, n = quick ? N_LOOKS / 10 : N_LOOKS;
    for (i = 0; i < n; i++) {
        uint32_t id = (uint32_t)(test_rand(&rng) % aios_blocks_count(shared_b)), len;
        const void *data;
        aios_status st = aios_resolve_block(shared_b, id, &data, &len);
        ok += st == 0;
        aios__tally_add(&one_tally, 1);
        aios_is_active(shared_b, 0, (uint32_t)(rng % 32));
        if (i % 1000 == 0) aios_blocks_token(shared_b);
    }
    looks_ok[me] = ok;
    return NULL;
}
static void counters_add_up_over_threads(void) {
    uint8_t *p;
    uint64_t n, ok = 0, looks = (uint64_t)(quick ? N_LOOKS / 10 : N_LOOKS);
    pthread_t th[N_THREADS];
    aios_telemetry t;
    aios_error err;
    int i, turn;
    p = make_file(6, 0, 0, 1, &n);
    setup_init(&shared_s, &p, &n, 1, 0);
    shared_s.d.ram_bytes = n / 2;
    shared_s.d.hot_floor_percent = 1;
    shared_s.d.block_bytes = 65536;
    CHECK_EQ(open_it(&shared_s, &shared_b, &err), 0);
    CHECK_EQ(aios_blocks_set_mask(shared_b, masks, 1, 32, &err), 0);
    for (i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_create(&th[i], NULL, look, (void *)(uintptr_t)i), 0);
    for (turn = 0; turn < (quick ? 20 : 200); turn++) {
        CHECK_EQ(aios_blocks_prefetch(shared_b, (uint32_t)turn * 7 % aios_blocks_count(shared_b), 0,
                                      &err),
                 0);
        aios_telemetry_init(&t);
        aios_get_telemetry(shared_b, &t);
        CHECK_EQ(t.n_resolved, t.n_hot + t.n_warm + t.n_stream);
        CHECK(t.n_resolved + t.n_missed <= looks * N_THREADS);
    }
    for (i = 0; i < N_THREADS; i++) {
        pthread_join(th[i], NULL);
        ok += looks_ok[i];
    }
    CHECK_EQ(aios_get_telemetry(shared_b, &t), 0);
    CHECK_EQ(t.n_resolved, ok);
    CHECK_EQ(t.n_resolved + t.n_missed, looks * N_THREADS);
    CHECK_EQ(t.n_skipped, looks * N_THREADS);
    CHECK_EQ(t.n_tokens, looks / 1000 * N_THREADS);
    CHECK_EQ(aios__tally_get(&one_tally), looks * N_THREADS);
    aios_blocks_free(shared_b);
    free(p);
}
/* A thread that fills while another reads what it was promised: the blocks from its own position
 * on. */
static int32_t position, stop;
static void *fill(void *arg) {
    aios_error err;
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        if (aios_blocks_prefetch(shared_b, (uint32_t)__atomic_load_n(&position, __ATOMIC_ACQUIRE),
                                 0, &err) < 0)
            return (void *)1;
    return NULL;
}
static void no_block_changes_under_its_reader(void) {
    uint8_t *p;
    uint64_t n, sum = 0;
    pthread_t th;
    aios_error err;
    void *ret;
    int token;
    p = make_file(6, 2, 0, 1, &n);
    setup_init(&shared_s, &p, &n, 1, 0);
    shared_s.d.ram_bytes = n / 3;
    shared_s.d.hot_floor_percent = 1;
    shared_s.d.block_bytes = 65536;
    shared_s.d.prefetch_distance = 1;
    CHECK_EQ(open_it(&shared_s, &shared_b, &err), 0);
    position = stop = 0;
    CHECK_EQ(pthread_create(&th, NULL, fill, NULL), 0);
    for (token = 0; token < (quick ? 2 : 6); token++) {
        uint32_t id, len;
        for (id = 0; id < aios_blocks_count(shared_b); id++) {
            const void *data;
            aios_block_info i;
            aios_block_info_init(&i);
            aios_block_get_info(shared_b, id, &i);
            __atomic_store_n(&position, (int32_t)id, __ATOMIC_RELEASE);
            while (aios_resolve_block(shared_b, id, &data, &len) == AIOS_MORE) sched_yield();
            if (memcmp(data, p + i.file_offset, len)) {
                FAIL("a block changed under its reader");
                token = 99;
                break;
            }
            sum += len;
        }
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    pthread_join(th, &ret);
    CHECK(ret == NULL && sum > n);
    aios_blocks_free(shared_b);
    free(p);
}

/* ---- the hot path asks nobody ---- */
static void the_hot_path_asks_nobody(void) {
    uint8_t *p;
    uint64_t n, calls;
    aios_error err;
    aios_telemetry t;
    setup s;
    aios_blocks *b;
    int ran = 0;
    uint32_t i, million = quick ? 50000 : 1000000;
    p = make_file(6, 0, 0, 1, &n);
    setup_init(&s, &p, &n, 1, 0);
    s.d.ram_bytes = n / 2;
    s.d.hot_floor_percent = 1;
    CHECK_EQ(open_it(&s, &b, &err), 0);
    CHECK_EQ(aios_blocks_set_mask(b, masks, 1, 32, &err), 0);
    calls = mem.n_calls;
    s.src[0].n_reads = 0;
#if defined(__linux__) && defined(PR_SET_SECCOMP) && defined(SYS_exit) && \
    !defined(TSAN) /* its own thread would stay behind */
    fflush(stdout);
    {
        pid_t child = fork();
        int status = -1;
        if (child == 0) {
            uint32_t bad = 0;
            if (prctl(PR_SET_SECCOMP, 1 /* strict: read, write, exit, sigreturn */, 0, 0, 0))
                _exit(77);
            for (i = 0; i < million; i++) {
                const void *data;
                uint32_t len;
                bad |= aios_resolve_block(b, i % aios_blocks_count(b), &data, &len) < 0;
                bad |= aios_is_active(b, 0, i % 32) != 0;
                aios_blocks_token(b);
            }
            syscall(SYS_exit,
                    bad ? 1 : 0); /* _exit would be exit_group, which is not among them: SIGKILL */
        }
        CHECK(child > 0);
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            printf("skip: no seccomp here\n");
        else
            ran = CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        child = fork(); /* the trap works: one call that is not among them ends the child */
        if (child == 0) {
            if (prctl(PR_SET_SECCOMP, 1, 0, 0, 0)) _exit(77);
            syscall(SYS_getppid);
            syscall(SYS_exit, 0);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(!ran || (WIFSIGNALED(status) && WTERMSIG(status) == 9));
    }
#endif
    for (i = 0; i < million; i++) {
        const void *data;
        uint32_t len;
        aios_resolve_block(b, i % aios_blocks_count(b), &data, &len);
        aios_is_active(b, 0, i % 32);
    }
    aios_telemetry_init(&t);
    CHECK_EQ(aios_get_telemetry(b, &t), 0);
    CHECK_EQ(t.n_resolved + t.n_missed, million);
    CHECK_EQ(t.n_skipped, million);
    CHECK_EQ(mem.n_calls, calls);
    CHECK_EQ(s.src[0].n_reads, 0);
    aios_blocks_free(b);
    free(p);
    (void)ran;
}

int main(int argc, char **argv) {
    quick = test_begin(argc, argv);
    TEST(the_hot_path_asks_nobody)(); /* first: it forks, and no other thread has run yet */
    TEST(rows_that_are_off_are_skipped)();
    TEST(failures_leave_nothing_taken)();
    TEST(damaged_directories_are_refused_or_served)();
    TEST(blocks_are_there_when_an_engine_comes_to_them)();
    TEST(files_that_claim_to_be_large_take_no_more_than_the_limit)();
    TEST(counters_add_up_over_threads)();
    TEST(no_block_changes_under_its_reader)();
    TEST(tiers_are_what_the_requests_say)();
    TEST(blocks_of_made_files_are_their_bytes)();
    TEST(blocks_of_every_file_are_its_bytes)();
    TEST(the_built_in_reader_serves_blocks_too)();
    if (!test_listing())
        printf("%llu blocks in %llu setups\n", (unsigned long long)n_blocks_checked,
               (unsigned long long)n_setups);
    return test_end();
}
