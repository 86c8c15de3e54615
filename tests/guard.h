/* guard.h: memory whose last byte lies before a page that may not be touched: reading or writing
 * one byte too far crashes. Without mmap, writing is noticed. Before all other headers: it asks
 * for mmap. */
#ifndef AIOS_TEST_GUARD_H
#define AIOS_TEST_GUARD_H

#if defined(__unix__) || defined(__APPLE__)
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE 1
#endif
#include <sys/mman.h>
#include <unistd.h>
#define GUARD_MMAP 1
#endif
#include "test.h"

/* ---- a block of its own ---- */
typedef struct guard_block {
    uint8_t *map, *p, *end; /* n bytes from p to end */
    size_t bytes;           /* of the mapping */
} guard_block;

TEST_FN guard_block guard_new(size_t n) {
    guard_block g;
#ifdef GUARD_MMAP
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (n + page - 1) / page * page;
    g.bytes = body + page;
    g.map =
        (uint8_t *)mmap(NULL, g.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == (uint8_t *)MAP_FAILED || mprotect(g.map + body, page, PROT_NONE) != 0) exit(2);
    g.end = g.map + body;
#else
    g.bytes = 64 + (n + 63) / 64 * 64 + 64;
    g.map = (uint8_t *)calloc(g.bytes, 1);
    if (!g.map) exit(2);
    g.end = g.map + g.bytes - 64;
    g.end -= (uintptr_t)g.end & 63;
    memset(g.end, 0xAA, (size_t)(g.map + g.bytes - g.end));
#endif
    g.p = g.end - n;
    return g;
}
/* Was nothing written behind it? With mmap nobody can. */
TEST_FN int guard__end_ok(const guard_block *g) {
#ifndef GUARD_MMAP
    for (const uint8_t *p = g->end; p < g->map + g->bytes; p++)
        if (*p != 0xAA) return 0;
#endif
    return g->end >= g->p;
}
TEST_FN void guard_free(guard_block *g) {
    if (!guard__end_ok(g)) FAIL("written behind its end");
#ifdef GUARD_MMAP
    munmap(g->map, g->bytes);
#else
    free(g->map);
#endif
}

/* ---- many, taken one after the other and given back together ---- */
/* What lies before each is 0xAA, and guard_ok() looks there. None is unmapped: guard_reset() starts
 * again. */
enum { GUARD_MAX = 32, GUARD_ROOM = 1 << 20, GUARD_LOOK = 256 };
static guard_block guard__block[GUARD_MAX];
static int guard_n;

TEST_FN void *guard(size_t bytes) {
    guard_block *g = &guard__block[guard_n++];
    if (guard_n > GUARD_MAX || bytes > GUARD_ROOM - GUARD_LOOK) exit(2);
    if (!g->map) {
        *g = guard_new(GUARD_ROOM);
        memset(g->p, 0xAA, GUARD_ROOM);
        g->p = g->end;
    }
    memset(g->p, 0xAA, (size_t)(g->end - g->p));
    return g->p = g->end - bytes;
}
TEST_FN void guard_reset(void) { guard_n = 0; }
TEST_FN int guard_ok(void) {
    int ok = 1;
    for (int i = 0; i < guard_n; i++) {
        const guard_block *g = &guard__block[i];
        ok &= guard__end_ok(g);
        for (int k = 1; k <= GUARD_LOOK; k++) ok &= g->p[-k] == 0xAA;
    }
    return ok;
}

#endif
