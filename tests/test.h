/* test.h: what every test program shares: named tests, CHECK with counters, the place of
 * ../shared, whole files, random bits. Included once per test program, C99 or C++11; everything
 * is static.
 *
 *     static void rows_are_the_same(const model *m) {
 *         ...
 *             CASE("isa %s, %d threads", isa->name, n);
 *             CHECK_EQ(hash, want);
 *     }
 *     int main(int argc, char **argv) {
 *         test_begin(argc, argv);
 *         TEST(rows_are_the_same)(&m);
 *         return test_end();
 *     }
 *
 * The name of a test is the fact that it stands for. `program NAME` runs those that have NAME in
 * their name, `program -l` lists them; "quick", which run.sh gives, asks for fewer cases. */
#ifndef AIOS_TEST_H
#define AIOS_TEST_H

#include <stdarg.h>
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

#if defined(__GNUC__) || defined(__clang__)
#define TEST_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TEST_PRINTF(f, a)
#endif

static int test__n_passed, test__n_failed;

/* ---- tests by name ---- */
enum { TEST__MAX_NAMES = 16, TEST__MAX_LISTED = 128 };
static const char *test__only[TEST__MAX_NAMES]; /* what names have in them; none: all are run */
static int test__n_only, test__list, test__n_run;
static const char *test__name; /* of the test that runs */
static char test__case[256];   /* where it is */

/* 1 when "quick" is among the arguments. Numbers are left to the program. */
TEST_FN int test_begin(int argc, char **argv) {
    int quick = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "quick") == 0) {
            quick = 1;
        } else if (strcmp(argv[i], "-l") == 0) {
            test__list = 1;
        } else if ((argv[i][0] < '0' || argv[i][0] > '9') && test__n_only < TEST__MAX_NAMES) {
            test__only[test__n_only++] = argv[i];
        }
    }
    return quick;
}
TEST_FN int test__enter(const char *name) {
    static const char *listed[TEST__MAX_LISTED];
    static int n_listed;
    int wanted = test__n_only == 0;
    for (int i = 0; i < test__n_only; i++) wanted |= strstr(name, test__only[i]) != NULL;
    if (!wanted) return 0;
    test__n_run++;
    test__name = name;
    test__case[0] = 0;
    if (!test__list) return 1;
    for (int i = 0; i < n_listed; i++)
        if (strcmp(listed[i], name) == 0) return 0;
    if (n_listed < TEST__MAX_LISTED) listed[n_listed++] = name;
    printf("%s\n", name);
    return 0;
}
/* Are names alone asked for? */
TEST_FN int test_listing(void) { return test__list; }
TEST_FN int test__leave(void) {
    test__name = NULL;
    test__case[0] = 0;
    return 0;
}
/* TEST(name)(arguments): calls the function when its name is wanted. */
#define TEST(fn) \
    for (int test__on = test__enter(#fn); test__on; test__on = test__leave()) fn

/* ---- checks ---- */
enum { TEST__MAX_SHOWN = 50 }; /* enough to see a pattern */

/* What is looked at, like printf: shown with each failure until the next CASE or the test's end. */
#define CASE(...) test__set_case(__VA_ARGS__)
TEST_PRINTF(1, 2) TEST_FN void test__set_case(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(test__case, sizeof test__case, fmt, args);
    va_end(args);
}

/* Counts; says where and in which case when it fails. All checks are expressions, 1 when they hold:
 * if (!CHECK(p)) return; */
#define CHECK(cond) test__check(!!(cond), #cond, __FILE__, __LINE__)
TEST_FN int test__check(int ok, const char *what, const char *file, int line) {
    if (ok) {
        test__n_passed++;
        return 1;
    }
    if (++test__n_failed > TEST__MAX_SHOWN) return 0;
    printf("%s:%d: ", file, line);
    if (test__name) printf("%s: ", test__name);
    if (test__case[0]) printf("[%s] ", test__case);
    printf("failed: %s\n", what);
    return 0;
}
/* A failure with words of its own. */
#define FAIL(what) test__check(0, what, __FILE__, __LINE__)
TEST_PRINTF(1, 2) TEST_FN int test__note(const char *fmt, ...) {
    va_list args;
    if (test__n_failed > TEST__MAX_SHOWN) return 0;
    printf("    ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    return 0;
}
/* With a line of its own, like printf, whose arguments are looked at when it fails, and then
 * alone. */
#define CHECK_AT(cond, ...) test__is(CHECK(cond) || test__note(__VA_ARGS__))
TEST_FN int test__is(int x) { return x; } /* a value that may be left alone */

/* Integers of any width, by their value; `| 0` is a compiler's error for all else. */
#define CHECK_EQ(got, want)                                                                    \
    test__check_eq((uint64_t)((got) | 0), (uint64_t)((want) | 0), #got " == " #want, __FILE__, \
                   __LINE__)
TEST_FN const char *test__number(uint64_t v, char text[32]) {
    if (v > UINT64_MAX - 1000000) {
        snprintf(text, 32, "-%llu", (unsigned long long)(0 - v));
    } else {
        snprintf(text, 32, v >> 40 ? "0x%016llx" : "%llu", (unsigned long long)v);
    }
    return text;
}
TEST_FN int test__check_eq(uint64_t got, uint64_t want, const char *what, const char *file,
                           int line) {
    char a[32], b[32];
    return test__check(got == want, what, file, line) ||
           test__note("got %s, want %s", test__number(got, a), test__number(want, b));
}

#define CHECK_STR(got, want) test__check_str(got, want, #got " is " #want, __FILE__, __LINE__)
TEST_FN int test__check_str(const char *got, const char *want, const char *what, const char *file,
                            int line) {
    const int ok = got && want ? strcmp(got, want) == 0 : got == want;
    return test__check(ok, what, file, line) ||
           test__note("got '%s', want '%s'", got ? got : "(none)", want ? want : "(none)");
}

#define CHECK_MEM(got, want, n) \
    test__check_mem(got, want, n, #got " has the bytes of " #want, __FILE__, __LINE__)
TEST_FN int test__check_mem(const void *got, const void *want, size_t n, const char *what,
                            const char *file, int line) {
    const uint8_t *a = (const uint8_t *)got, *b = (const uint8_t *)want;
    size_t at = 0, n_bad = 0;
    if (test__check(a && b && memcmp(a, b, n) == 0, what, file, line)) return 1;
    if (!a || !b) return test__note("got %p, want %p", got, want);
    while (at < n && a[at] == b[at]) at++;
    for (size_t i = at; i < n; i++) n_bad += a[i] != b[i];
    return test__note("%lu of %lu bytes differ; the first, %lu: got 0x%02x, want 0x%02x",
                      (unsigned long)n_bad, (unsigned long)n, (unsigned long)at, a[at], b[at]);
}

/* The closing line; the result is the exit status. */
TEST_FN int test_end(void) {
    if (test__n_only && !test__n_run) {
        printf("no test here has '%s' in its name; -l lists them\n", test__only[0]);
        test__n_failed++;
    }
    if (test__list) return test__n_failed != 0;
    printf("%d passed, %d failed\n", test__n_passed, test__n_failed);
    return test__n_failed != 0;
}

/* ---- files and numbers ---- */

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
