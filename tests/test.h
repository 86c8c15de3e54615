/* test.h: what every test program shares: CHECK with counters, the place of ../shared, whole
 * files, random bits. Included once per test program, C99 or C++11; everything is static. A
 * program ends with `return test_end();`. */
#ifndef AIOS_TEST_H
#define AIOS_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) || defined(__clang__)
#define TEST_FN static __attribute__((unused))
#else
#define TEST_FN static
#endif

/* Is this build a sanitized one? */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

static int test__n_passed, test__n_failed;

/* Counts; says where when it fails. As an expression it is the condition: if (!CHECK(p)) return; */
#define CHECK(cond) test__check(!!(cond), #cond, __FILE__, __LINE__)

TEST_FN int test__check(int ok, const char *what, const char *file, int line) {
    if (ok) {
        test__n_passed++;
    } else {
        test__n_failed++;
        if (test__n_failed <= 50)
            printf("%s:%d: failed: %s\n", file, line, what); /* 50: enough to see a pattern */
    }
    return ok;
}

/* The closing line; the result is the exit status. */
TEST_FN int test_end(void) {
    printf("%d passed, %d failed\n", test__n_passed, test__n_failed);
    return test__n_failed != 0;
}

/* Path of shared/REL: under $AIOS_SHARED, else -DAIOS_SHARED_DIR="...", else ../shared. The text
 * stays valid for the next seven calls. */
TEST_FN const char *shared_path(const char *rel) {
    static char ring[8][1024];
    static int at;
    const char *dir = getenv("AIOS_SHARED");
    char *p = ring[at++ & 7];
#ifdef AIOS_SHARED_DIR
    if (!dir || !dir[0]) dir = AIOS_SHARED_DIR;
#endif
    if (!dir || !dir[0]) dir = "../shared";
    snprintf(p, sizeof ring[0], "%s/%s", dir, rel);
    return p;
}

/* Whole file, malloc'ed, with a zero byte behind it; NULL when it cannot be read. n_bytes may be
 * NULL. */
TEST_FN uint8_t *test_read_file(const char *path, size_t *n_bytes) {
    FILE *f = fopen(path, "rb");
    uint8_t *p = NULL;
    long n = -1;
    if (!f) return NULL;
    if (fseek(f, 0, SEEK_END) == 0) n = ftell(f);
    if (n >= 0 && fseek(f, 0, SEEK_SET) == 0) p = (uint8_t *)malloc((size_t)n + 1);
    if (p && fread(p, 1, (size_t)n, f) != (size_t)n) {
        free(p);
        p = NULL;
    }
    fclose(f);
    if (!p) return NULL;
    p[n] = 0;
    if (n_bytes) *n_bytes = (size_t)n;
    return p;
}

/* 64 random bits (splitmix64); *state is the seed and moves on. */
TEST_FN uint64_t test_rand(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* FNV-1a of n bytes, going on from h, which begins as TEST_HASH. */
#define TEST_HASH 14695981039346656037u
TEST_FN uint64_t test_hash(uint64_t h, const void *p, size_t n) {
    const uint8_t *b = (const uint8_t *)p;
    while (n--) h = (h ^ *b++) * 1099511628211u;
    return h;
}

/* A float, uniform in [-1, 1). */
TEST_FN float test_randf(uint64_t *state) {
    return (float)(int32_t)(test_rand(state) >> 32) * (1.0f / 2147483648.0f);
}

#endif
