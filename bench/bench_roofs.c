/* bench_roofs.c: what this machine can do at most: bytes read per second with 1 to n threads, from memory and caches, int8 and
 * f32 products per second, for every instruction set of the library. The shares that the other programs print are of these.
 *
 *     bench_roofs [-t THREADS] [-i ISA,ISA] [-s SECONDS] [-o CSV]      a table
 *     bench_roofs -b [-t THREADS] [-i ISA]                             one line for scripts: GB/s int8_GMAC/s f32_GMAC/s
 *
 * The int8 peak is that of the instruction that the set has for it: vpdpbusd, sdot; without one, vpmaddubsw with vpaddw
 * and smull with sadalp, of which real kernels need a little more. */
#define _DEFAULT_SOURCE
#include "aios_kernels.h"
#include "bench.h"

int main(int argc, char **argv) {
    int n_threads = b_threads(), brief = 0, c, i, n;
    double seconds = 0;
    const char *only = NULL, *csv = NULL;
    FILE *f;
    pool p;
    while ((c = getopt(argc, argv, "t:i:s:o:b")) != -1) switch (c) {
        case 't': n_threads = atoi(optarg); break;
        case 'i': only = optarg; break;
        case 's': seconds = atof(optarg); break;
        case 'o': csv = optarg; break;
        case 'b': brief = 1; break;
        default: fprintf(stderr, "usage: bench_roofs [-t THREADS] [-i ISA,ISA] [-s SECONDS] [-o CSV] [-b]\n"); return 2;
    }
    if (n_threads < 1 || n_threads > B_MAX_THREADS) b_die("-t is a number of threads up to", "256");
    f = csv_open(csv);
    p = pool_make(n_threads);
    if (brief) {
        const aiosk_isa *t = b_isa(only);
        roofs r;
        memset(&r, 0, sizeof r);
        if (!t) b_die("not on this machine:", only);
        for (i = 0; i < 3; i++) roofs_measure(&r, &p, t->id, n_threads, (seconds > 0 ? seconds : 0.6) / 3);
        printf("%.3f %.3f %.3f\n", r.read[1] * 1e-9, r.int8[1] * 1e-9, r.f32[1] * 1e-9);
        return 0;
    }
    if (seconds <= 0) seconds = 1;
    printf("read from memory (%d MB), GB/s\n", (int)(p.n >> 20));
    for (n = 1; n <= n_threads; n = n < 4 || n == n_threads ? n + 1 : 2 * n < n_threads ? 2 * n : n_threads) {
        double best = 0;
        for (i = 0; i < 3; i++) b_max(&best, read_bandwidth(&p, aiosk_select(AIOSK_ISA_BEST)->id, n, seconds / 6));
        printf("  %3d thread%s %8.1f\n", n, n > 1 ? "s" : " ", best * 1e-9);
        if (n > 1 && n < n_threads) csv_row(f, "roof", aiosk_select(AIOSK_ISA_BEST)->name, "read", "", n, 0, "memory", 0, best, 0, 0, 0);
    }
    printf("\n%-10s %26s %26s %24s %24s\n%-10s", "", "L1 GB/s", "L2 GB/s", "int8 GMAC/s", "f32 GMAC/s", "");
    for (i = 0; i < 4; i++) printf("    %9s %6d thr.", "1 thread", n_threads);
    printf("\n");
    for (i = AIOSK_N_ISA - 1; i > 0; i--) {
        const aiosk_isa *t = aiosk_select(i);
        roofs r;
        if (!t || (only && !b_in(only, t->name))) continue;
        memset(&r, 0, sizeof r);
        for (n = 0; n < 3; n++) roofs_measure(&r, &p, i, n_threads, seconds / 3);
        printf("%-10s    %9.0f %10.0f    %9.0f %10.0f    %9.1f %10.1f    %9.1f %10.1f\n", t->name, r.l1[0] * 1e-9, r.l1[1] * 1e-9,
               r.l2[0] * 1e-9, r.l2[1] * 1e-9, r.int8[0] * 1e-9, r.int8[1] * 1e-9, r.f32[0] * 1e-9, r.f32[1] * 1e-9);
        csv_roofs(f, t->name, &r, n_threads);
    }
    if (f) fclose(f);
    free(p.p);
    return 0;
}
