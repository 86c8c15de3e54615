/* maps.c: a program that maps a file for reading in the ways that loaders of weights do, and
 * compares every byte with what read() gives.
 *     maps FILE      prints the file's hash, one line; exits with 1 at the first difference
 *     maps FILE -v   prints beside it how much of the first mapping is anonymous memory, in KiB (0 where nobody meddles)
 *     maps -m FILE   writes a model of 45 MiB that has 13 matrices, to do this with
 * Knows nothing of aios.h. tests/preload.sh runs it with and without examples/preload.c under
 * it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t *bytes;
static size_t n_bytes;

static void die(const char *what) {
    printf("%s\n", what);
    exit(1);
}
static void same(const void *p, size_t off, size_t n, const char *what) {
    const uint8_t *q = (const uint8_t *)p;
    size_t i;
    if (!memcmp(q, bytes + off, n)) return;
    for (i = 0; q[i] == bytes[off + i]; i++) {}
    printf("%s: byte %zu differs\n", what, off + i);
    exit(1);
}
static void zeros(const uint8_t *p, size_t n,
                  const char *what) { /* behind the file's end, to the end of the page */
    for (; n % 4096; n++)
        if (p[n]) die(what);
}
static long anonymous(const void *p) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long lo = 0, from, to, at = (unsigned long)(uintptr_t)p;
    long kb, sum = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            lo = from; /* "Anonymous" begins with a hexadecimal digit too */
        if (lo >= at && lo < at + n_bytes && sscanf(line, "Anonymous: %ld kB", &kb) == 1) sum += kb;
    }
    if (f) fclose(f);
    return sum;
}
static void *reader(void *arg) {
    int i;
    for (i = 0; i < 4; i++) same(arg, 0, n_bytes, "a thread");
    return NULL;
}

static int make(const char *path) {
    static float row[1001];
    FILE *f = fopen(path, "wb");
    uint64_t u, i, k, rng = 7;
    uint32_t v;
    if (!f) return 1;
#define PUT32(x) (v = (uint32_t)(x), fwrite(&v, 4, 1, f))
#define PUT64(x) (u = (uint64_t)(x), fwrite(&u, 8, 1, f))
#define PUTZ(z)  (PUT64(strlen(z)), fwrite(z, strlen(z), 1, f))
    fwrite("GGUF", 4, 1, f);
    PUT32(3);
    PUT64(13);
    PUT64(1);
    PUTZ("general.architecture");
    PUT32(8);
    PUTZ("none such");
    for (i = 0; i < 13; i++) {
        char name[64];
        snprintf(name, sizeof name, i == 5 ? "token_embd.weight" : "blk.%d.ffn_up.weight", (int)i);
        PUTZ(name);
        PUT32(2);
        PUT64(1001);
        PUT64(907);
        PUT32(0);
        PUT64(i * ((1001 * 907 * 4 + 31) / 32 * 32));
    }
    while (ftell(f) % 32) fputc(0, f);
    for (i = 0; i < 13; i++) {
        for (k = 0; k < 907; k++) {
            size_t j;
            for (j = 0; j < 1001; j++) {
                rng = rng * 6364136223846793005u + 1442695040888963407u;
                row[j] = (float)(int32_t)(rng >> 32);
            }
            fwrite(row, sizeof row, 1, f);
        }
        while (i < 12 && ftell(f) % 32) fputc(0, f);
    }
    return fclose(f) != 0;
}

int main(int argc, char **argv) {
    struct stat st;
    uint64_t hash = 0xcbf29ce484222325u, rng = 1;
    FILE *f;
    uint8_t *a, *b, *c;
    pthread_t th[2];
    size_t i, done;
    long anon;
    int made = argc > 2 && !strcmp(argv[1], "-m") ? make(argv[2]) + 1 : 0,
        fd = made       ? -1
             : argc > 1 ? open(argv[1], O_RDONLY)
                        : -1,
        status;
    pid_t child;
    if (made) return made - 1;
    if (fd < 0 || fstat(fd, &st)) die("cannot open it");
    n_bytes = (size_t)st.st_size;
    bytes = (uint8_t *)malloc(n_bytes);
    for (done = 0; bytes && done < n_bytes;) {
        ssize_t got = pread(fd, bytes + done, n_bytes - done, (off_t)done);
        if (got <= 0) die("cannot read it");
        done += (size_t)got;
    }

    /* all of it, shared, through stdio's descriptor, which is closed at once */
    f = fopen(argv[1], "rb");
    a = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fileno(f), 0);
    fclose(f);
    if (a == MAP_FAILED) die("mmap");
    for (i = 0; i < 2; i++)
        if (pthread_create(&th[i], NULL, reader, a))
            die("thread"); /* while pages may change hands */
    same(a, 0, n_bytes, "shared");
    zeros(a, n_bytes, "shared: no zeros behind the end");
    for (i = 0; i < n_bytes; i++) hash = (hash ^ a[i]) * 0x100000001b3u;
    for (i = 0; i < 2; i++) pthread_join(th[i], NULL);
    anon = anonymous(a);

    /* advice */
    if (posix_madvise(a, n_bytes, POSIX_MADV_WILLNEED) ||
        posix_madvise(a, n_bytes, POSIX_MADV_RANDOM) ||
        posix_madvise(a, n_bytes, POSIX_MADV_DONTNEED))
        die("posix_madvise");
    if (madvise(a, n_bytes, MADV_WILLNEED)) die("madvise: will need");
    if (madvise(a, n_bytes, MADV_DONTNEED)) die("madvise: do not need");
    same(a, 0, n_bytes, "after MADV_DONTNEED");

    /* private, beside the first; a part from the middle; one of a page more than a piece */
    b = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (b == MAP_FAILED) die("mmap: private");
    same(b, 0, n_bytes, "private");
    for (i = 0; i < 6; i++) {
        size_t off, n;
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        off = (size_t)(rng >> 33) % n_bytes / 4096 * 4096;
        n = 1 + (size_t)(rng >> 20) % (n_bytes - off);
        c = (uint8_t *)mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)off);
        if (c == MAP_FAILED) die("mmap: a part");
        same(c, off, n, "a part");
        if (munmap(c, n)) die("munmap: a part");
    }
    /* written to: private, so the file stays as it is */
    c = (uint8_t *)mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (c == MAP_FAILED) die("mmap: writable");
    c[n_bytes / 2] ^= 1;
    c[n_bytes / 2] ^= 1;
    same(c, 0, n_bytes, "writable");
    if (munmap(c, n_bytes)) die("munmap: writable");
    /* made writable while pages may still change hands: what was written stays */
    c = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (c == MAP_FAILED || mprotect(c, n_bytes, PROT_READ | PROT_WRITE)) die("mprotect");
    for (i = 0; i < n_bytes; i += 4096) c[i] ^= 0xFF;
    usleep(20000);
    for (i = 0; i < n_bytes; i += 4096) c[i] ^= 0xFF;
    same(c, 0, n_bytes, "made writable");
    if (munmap(c, n_bytes)) die("munmap: made writable");

    /* holes, as loaders cut off what they have copied; what is mapped into one stays */
    if (n_bytes > 5 << 20) {
        size_t lo = n_bytes / 3 / 4096 * 4096, n = n_bytes / 4 / 4096 * 4096;
        c = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (c == MAP_FAILED || munmap(c + lo, n)) die("munmap: a hole");
        if (mmap(c + lo, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                 0) != c + lo)
            die("mmap: into the hole");
        memset(c + lo, 0x5A, n);
        usleep(20000);
        for (i = 0; i < n; i++)
            if (c[lo + i] != 0x5A) die("the hole was filled");
        same(c, 0, lo, "before the hole");
        same(c + lo + n, lo + n, n_bytes - lo - n, "behind the hole");
        if (munmap(c, n_bytes)) die("munmap: all of it");
    }
    /* many, and given back at once */
    for (i = 0; i < 40; i++) {
        c = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (c == MAP_FAILED || c[0] != bytes[0]) die("mmap: one of many");
        if (munmap(c, n_bytes)) die("munmap: one of many");
    }
    /* a child sees what its parent saw */
    child = fork();
    if (child == 0) {
        same(a, 0, n_bytes, "a child");
        c = (uint8_t *)mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (c == MAP_FAILED || memcmp(c, bytes, n_bytes) || munmap(c, n_bytes)) _exit(1);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status) die("the child");
    same(a, 0, n_bytes, "shared, at the end");
    if (munmap(a, n_bytes) || munmap(b, n_bytes)) die("munmap");
    printf("%016llx", (unsigned long long)hash);
    if (argc > 2) printf(" %ld", anon);
    printf("\n");
    return 0;
}
