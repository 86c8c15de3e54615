/* hardware.c: what this machine is, asked of the system each time and kept nowhere. Beside the
 * flow: nothing in the library depends on what is found here; a host looks at it before it
 * plans. What a system does not tell is 0. Takes no memory, 16 KiB of stack (Windows: 40), and
 * leaves errno (GetLastError) as it found it. */

#ifdef AIOS_LIBNUMA
#include <errno.h>
#include <numa.h>
#endif

static void aios__hw_isa(aios_hardware *h) {
    h->isa = aiosk_select(AIOSK_ISA_BEST)->id;
    switch (h->isa) {
    case AIOSK_ISA_SCALAR: h->isa_tier = 0; break;
    case AIOSK_ISA_AVX2:
    case AIOSK_ISA_AVXVNNI: h->isa_tier = 2; break;
    case AIOSK_ISA_AVX512BW:
    case AIOSK_ISA_AVX512:
    case AIOSK_ISA_AVX512_VBMI: h->isa_tier = 3; break;
#if defined(__APPLE__) && (defined(__aarch64__) || defined(__arm64__))
    default: h->isa_tier = 4; break;
#else
    default: h->isa_tier = 1; break;
#endif
    }
}

#if defined(__linux__) && !defined(AIOS_NO_FILES)
/* ---- Linux: text files under /proc and /sys ----
 * Containers, sandboxes and small kernels lack some of them, so each is asked for by itself. */

enum { AIOS__MAX_CPUS = 8192 }; /* the most that a kernel is built for */
/* processors, or memory nodes */
typedef struct aios__cpus {
    uint8_t bit[AIOS__MAX_CPUS / 8];
} aios__cpus;

static int32_t aios__cpus_has(const aios__cpus *c, int32_t i) { return c->bit[i / 8] >> i % 8 & 1; }
static void aios__cpus_add(aios__cpus *c, int32_t i) {
    c->bit[i / 8] = (uint8_t)(c->bit[i / 8] | 1u << i % 8);
}
static void aios__cpus_join(aios__cpus *c, const aios__cpus *more) {
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++)
        c->bit[i] = (uint8_t)(c->bit[i] | more->bit[i]);
}
static void aios__cpus_meet(aios__cpus *c, const aios__cpus *most) {
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++)
        c->bit[i] = (uint8_t)(c->bit[i] & most->bit[i]);
}
/* the first from i on; -1 = none */
static int32_t aios__cpus_next(const aios__cpus *c, int32_t i) {
    for (; i < AIOS__MAX_CPUS; i++) {
        if (aios__cpus_has(c, i)) return i;
        if (!c->bit[i / 8]) i |= 7;
    }
    return -1;
}
/* how many are in both */
static int32_t aios__cpus_both(const aios__cpus *a, const aios__cpus *b) {
    int32_t n = 0;
    for (int32_t i = 0; i < AIOS__MAX_CPUS / 8; i++) {
        uint32_t x = (uint32_t)(a->bit[i] & b->bit[i]);
        for (; x; x &= x - 1) n++;
    }
    return n;
}

/* A place to read lines of one file at a time. A line longer than buf comes in pieces. */
typedef struct aios__sys {
    const char *root; /* before every path: "", or a tree that a test has made       */
    aios__str dir;    /* what @ in a path stands for */
    aios_io io;
    uint64_t off;
    uint32_t at, n; /* buf[at..n-1] is read and not given out */
    int32_t end;
    char path[1024], buf[4096];
} aios__sys;

/* Opens root + path; the first % in it is a, the next b. */
static int32_t aios__sys_open(aios__sys *s, const char *path, int32_t a, int32_t b) {
    aios__text t;
    t.p = s->path;
    t.cap = sizeof s->path;
    t.n = 0;
    aios__put_z(&t, s->root);
    for (; *path; path++) {
        if (*path == '@')
            aios__put(&t, s->dir.p, s->dir.n);
        else if (*path != '%')
            aios__put(&t, path, 1);
        else {
            aios__put_i(&t, a);
            a = b;
        }
    }
    s->off = 0;
    s->at = s->n = 0;
    s->end = 0;
    /* one that was cut is another file */
    return t.n + 1 < t.cap && aios__file_open(s->path, &s->io, NULL) == AIOS_OK;
}
static void aios__sys_close(aios__sys *s) { aios__file_close(&s->io); }
static int32_t aios__sys_line(aios__sys *s, aios__str *line) {
    for (;;) {
        uint32_t i = s->at;
        int64_t got;
        while (i < s->n && s->buf[i] != '\n') i++;
        if (i < s->n || i - s->at == sizeof s->buf || (s->end && i > s->at)) {
            line->p = s->buf + s->at;
            line->n = i - s->at;
            s->at = i < s->n ? i + 1 : i;
            return 1;
        }
        if (s->end) return 0;
        memmove(s->buf, s->buf + s->at, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
        got = s->off < 1u << 20
                  ? aios__file_read(s->io.user, s->off, s->buf + s->n, sizeof s->buf - s->n)
                  : 0;
        if (got <= 0)
            s->end = 1;
        else {
            s->n += (uint32_t)got;
            s->off += (uint64_t)got;
        }
    }
}
/* The rest of the first line that begins with key, which stays valid until the next file is
 * opened. */
static int32_t aios__sys_find(aios__sys *s, const char *path, int32_t a, int32_t b, const char *key,
                              aios__str *rest) {
    uint64_t n = strlen(key);
    int32_t found = 0;
    if (!aios__sys_open(s, path, a, b)) return 0;
    while (!found && aios__sys_line(s, rest))
        found = rest->n >= n && memcmp(rest->p, key, (size_t)n) == 0;
    aios__sys_close(s);
    rest->p += found ? n : 0;
    rest->n -= found ? n : 0;
    return found;
}
static int32_t aios__sys_first(aios__sys *s, const char *path, int32_t a, int32_t b,
                               aios__str *line) {
    return aios__sys_find(s, path, a, b, "", line);
}

/* Takes a number off the front, past what is no digit. 0 = there was none. */
static int32_t aios__take_number(aios__str *s, uint64_t *v) {
    while (s->n && (*s->p < '0' || *s->p > '9')) {
        s->p++;
        s->n--;
    }
    if (!s->n) return 0;
    for (*v = 0; s->n && *s->p >= '0' && *s->p <= '9'; s->p++, s->n--)
        *v = *v > UINT64_MAX / 10 - 1 ? UINT64_MAX : *v * 10 + (uint64_t)(*s->p - '0');
    return 1;
}
static int32_t aios__sys_number(aios__sys *s, const char *path, int32_t a, int32_t b,
                                const char *key, uint64_t *v) {
    aios__str line;
    return aios__sys_find(s, path, a, b, key, &line) && aios__take_number(&line, v);
}
static int32_t aios__str_has(aios__str s, const char *z) {
    uint64_t n = strlen(z);
    for (; s.n >= n; s.p++, s.n--)
        if (memcmp(s.p, z, (size_t)n) == 0) return 1;
    return 0;
}
/* "0-3,8,10-11" */
static void aios__cpu_list(aios__str s, aios__cpus *c) {
    uint64_t a;
    memset(c, 0, sizeof *c);
    while (aios__take_number(&s, &a)) {
        uint64_t b = a;
        if (s.n && *s.p == '-' && !aios__take_number(&s, &b)) b = a;
        for (; a <= b && a < AIOS__MAX_CPUS; a++) aios__cpus_add(c, (int32_t)a);
    }
}
static int32_t aios__sys_cpus(aios__sys *s, const char *path, int32_t a, int32_t b, aios__cpus *c) {
    aios__str line;
    memset(c, 0, sizeof *c);
    if (!aios__sys_first(s, path, a, b, &line)) return 0;
    aios__cpu_list(line, c);
    return 1;
}
/* of this thread: a pool inherits its processors */
static int32_t aios__status_line(aios__sys *s, const char *key, aios__str *rest) {
    return aios__sys_find(s, "/proc/thread-self/status", 0, 0, key, rest) ||
           aios__sys_find(s, "/proc/self/status", 0, 0, key, rest);
}

/* The cache of a level that holds data of cpu, in bytes, and who shares it. */
static uint64_t aios__sys_cache(aios__sys *s, int32_t cpu, uint64_t level, aios__cpus *shared) {
    uint64_t v;
    aios__str line;
    for (int32_t i = 0; i < 10; i++) {
        if (!aios__sys_number(s, "/sys/devices/system/cpu/cpu%/cache/index%/level", cpu, i, "", &v))
            return 0;
        if (v != level) continue;
        if (aios__sys_first(s, "/sys/devices/system/cpu/cpu%/cache/index%/type", cpu, i, &line) &&
            aios__str_has(line, "Instruction"))
            continue;
        if (!aios__sys_first(s, "/sys/devices/system/cpu/cpu%/cache/index%/size", cpu, i, &line) ||
            !aios__take_number(&line, &v))
            return 0;
        if (line.n)
            v *= *line.p == 'K'   ? 1u << 10
                 : *line.p == 'M' ? 1u << 20
                 : *line.p == 'G' ? 1u << 30
                                  : 1u;
        aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/cache/index%/shared_cpu_list", cpu, i,
                       shared);
        return v;
    }
    return 0;
}

/* Processors, cores, caches: of those that the calling thread may run on. */
static void aios__linux_cpus(aios__sys *s, aios_hardware *h) {
    aios__cpus use, lead, fast, seen, set; /* lead: the first processor of each core */
    aios__str line;
    uint64_t v, best = 0;
    int32_t i, n, known = 1;
    memset(&use, 0, sizeof use);
    if (!aios__sys_cpus(s, "/sys/devices/system/cpu/online", 0, 0, &set) &&
        aios__sys_open(s, "/proc/stat", 0, 0)) {
        while (aios__sys_line(s, &line))
            if (line.n > 3 && memcmp(line.p, "cpu", 3) == 0 && line.p[3] != ' ' &&
                aios__take_number(&line, &v) && v < AIOS__MAX_CPUS)
                aios__cpus_add(&set, (int32_t)v);
        aios__sys_close(s);
    }
    /* names those too that are switched off or were never there */
    if (aios__status_line(s, "Cpus_allowed_list:", &line)) {
        aios__cpu_list(line, &use);
        if (aios__cpus_next(&set, 0) >= 0) aios__cpus_meet(&use, &set);
    } else
        use = set;
    h->n_threads = aios__cpus_both(&use, &use);

    /* fast: processors of the fast cores, of those that are on */
    int32_t kinds = aios__sys_cpus(s, "/sys/devices/cpu_core/cpus", 0, 0, &fast);
    if (!kinds) {
        for (n = 0; n < 2; n++) {
            for (i = aios__cpus_next(&set, 0); i >= 0; i = aios__cpus_next(&set, i + 1)) {
                if (!aios__sys_number(s, "/sys/devices/system/cpu/cpu%/cpu_capacity", i, 0, "", &v))
                    break;
                if (n == 0)
                    best = v > best ? v : best;
                else if (v >= (best + 1) / 2)
                    aios__cpus_add(&fast, i);
            }
            if (i >= 0) break;
        }
        kinds = best > 0 && i < 0;
    }

    memset(&lead, 0, sizeof lead);
    memset(&seen, 0, sizeof seen);
    for (i = aios__cpus_next(&use, 0); i >= 0; i = aios__cpus_next(&use, i + 1)) {
        if (aios__cpus_has(&seen, i)) continue;
        if (!aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/topology/core_cpus_list", i, 0,
                            &set) &&
            !aios__sys_cpus(s, "/sys/devices/system/cpu/cpu%/topology/thread_siblings_list", i, 0,
                            &set))
            known = 0;
        aios__cpus_add(&lead, i);
        aios__cpus_join(&seen, &set);
    }
    n = aios__cpus_both(&lead, &lead);
    if (known) {
        h->n_cores = n;
        h->n_performance = kinds ? aios__cpus_both(&lead, &fast) : n;
        h->n_efficiency = n - h->n_performance;
    }

    memset(&seen, 0, sizeof seen);
    for (i = aios__cpus_next(&lead, 0); i >= 0; i = aios__cpus_next(&lead, i + 1)) {
        if (aios__cpus_has(&seen, i)) continue;
        aios__cpus_add(&seen, i);
        v = aios__sys_cache(s, i, 3, &set);
        /* not told who shares it: not one for each */
        if (v && !aios__cpus_has(&set, i)) set = lead;
        n = aios__cpus_both(&lead, &set);
        h->l3_bytes += v;
        if (v && n > h->l3_share) h->l3_share = n;
        if (v) aios__cpus_join(&seen, &set);
    }
    if (kinds) aios__cpus_meet(&fast, &lead);
    i = aios__cpus_next(kinds && aios__cpus_next(&fast, 0) >= 0 ? &fast : &lead, 0);
    if (i < 0) return;
    v = aios__sys_cache(s, i, 1, &set);
    n = aios__cpus_both(&lead, &set);
    h->l1d_bytes = v / (uint64_t)(n > 1 ? n : 1);
    v = aios__sys_cache(s, i, 2, &set);
    n = aios__cpus_both(&lead, &set);
    h->l2_bytes = v / (uint64_t)(n > 1 ? n : 1);
}

/* What the control group at s->dir allows, and those above it, up to where they are mounted
 * (n_mount bytes). In a container the path below that may be one of the outside: files that are
 * not there say nothing. machine: its memory. A wide group may be the full one. */
static void aios__cgroup(aios__sys *s, uint64_t n_mount, uint64_t machine, aios_hardware *h) {
    /* version 2, 2, 1 */
    static const char *const limits[] = { "@/memory.max", "@/memory.high",
                                          "@/memory.limit_in_bytes" };
    static const char *const used[] = { "@/memory.current", "@/memory.usage_in_bytes" };
    static const char *const cached[] = { "active_file ", "inactive_file ", "total_active_file ",
                                          "total_inactive_file " };
    uint64_t v, now, file, period;
    aios__str line;
    for (;;) {
        while (s->dir.n > n_mount && s->dir.p[s->dir.n - 1] == '/') s->dir.n--;
        uint64_t limit = UINT64_MAX;
        for (int32_t i = 0; i < 3; i++)
            if (aios__sys_number(s, limits[i], 0, 0, "", &v) && v < limit) limit = v;
        if (limit < machine) { /* "no limit" is a word, or more than there is */
            now = file = 0;
            for (int32_t i = 0; i < 2; i++)
                if (aios__sys_number(s, used[i], 0, 0, "", &v)) now = v;
            for (int32_t i = 0; i < 2; i++)
                if (aios__sys_number(s, "@/memory.stat", 0, 0, cached[i + 2], &v) ||
                    aios__sys_number(s, "@/memory.stat", 0, 0, cached[i], &v))
                    file += v;
            now -= file < now ? file : now;
            if (limit < h->ram_bytes) h->ram_bytes = limit;
            h->flags |= AIOS_HW_LIMITED;
            v = limit > now ? limit - now : 0;
            if (v < h->ram_free_bytes) h->ram_free_bytes = v;
        }
        v = period = 0;
        if (aios__sys_first(s, "@/cpu.max", 0, 0, &line) && line.n &&
            *line.p != 'm') { /* "max 100000": none */
            if (aios__take_number(&line, &v)) (void)aios__take_number(&line, &period);
        } else if (aios__sys_first(s, "@/cpu.cfs_quota_us", 0, 0, &line) && line.n &&
                   *line.p != '-' && aios__take_number(&line, &v))
            (void)aios__sys_number(s, "@/cpu.cfs_period_us", 0, 0, "", &period);
        if (v && period && v / period < 1000000) {
            v = v * 1000 / period;
            if (v < 1) v = 1;
            if (!h->quota_milli || v < (uint64_t)h->quota_milli) h->quota_milli = (int32_t)v;
            h->flags |= AIOS_HW_LIMITED;
        }
        if (s->dir.n <= n_mount) return;
        while (s->dir.p[s->dir.n - 1] != '/') s->dir.n--;
    }
}
static void aios__linux_cgroups(aios__sys *s, aios_hardware *h) {
    static const struct {
        const char *controller, *mount;
    } where[] = { { "", "/sys/fs/cgroup" },
                  { "", "/sys/fs/cgroup/unified" },
                  { "memory", "/sys/fs/cgroup/memory" },
                  { "cpu", "/sys/fs/cgroup/cpu" } };
    const uint64_t machine = h->ram_bytes;
    char dir[768];
    aios__str line;
    for (uint32_t i = 0; i < sizeof where / sizeof *where; i++) {
        const uint64_t n = strlen(where[i].controller), n_mount = strlen(where[i].mount);
        int32_t found = 0;
        if (!aios__sys_open(s, "/proc/self/cgroup", 0, 0)) return;
        /* number:controller,controller:/path; version 2 names no controller */
        while (!found && aios__sys_line(s, &line)) {
            uint64_t c = 0, k;
            while (c < line.n && line.p[c] != ':') c++;
            for (k = ++c; k < line.n; k++)
                if (line.p[k] == ',' || line.p[k] == ':') {
                    found |= k - c == n && memcmp(line.p + c, where[i].controller, (size_t)n) == 0;
                    c = k + 1;
                    if (line.p[k] == ':') break;
                }
            if (k >= line.n) found = 0;
            if (found) {
                line.p += c;
                line.n -= c;
            }
        }
        aios__sys_close(s);
        if (!found || n_mount + line.n > sizeof dir || (line.n && *line.p != '/')) continue;
        memcpy(dir, where[i].mount, (size_t)n_mount);
        memcpy(dir + n_mount, line.p, (size_t)line.n); /* its buffer is wanted for the next file */
        s->dir.p = dir;
        s->dir.n = n_mount + line.n;
        aios__cgroup(s, n_mount, machine, h);
    }
}

static void aios__linux_memory(aios__sys *s, aios_hardware *h) {
    aios__cpus set, may;
    aios__str line;
    uint64_t v, inside = 0, outside = 0, ids = 0;
    int32_t hold = 0;
    if (aios__sys_number(s, "/proc/meminfo", 0, 0, "MemTotal:", &v)) h->ram_bytes = v * 1024;
    if (aios__sys_number(s, "/proc/meminfo", 0, 0, "MemAvailable:", &v))
        h->ram_free_bytes = v * 1024;

    if (!(aios__status_line(s, "THP_enabled:", &line) && aios__take_number(&line, &v) && v == 0) &&
        aios__sys_number(s, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", 0, 0, "", &v)) {
        hold = aios__sys_first(s, "/sys/kernel/mm/transparent_hugepage/enabled", 0, 0, &line) &&
               (aios__str_has(line, "[always]") || aios__str_has(line, "[madvise]"));
        if (!hold)
            hold = aios__sys_first(s, "/sys/kernel/mm/transparent_hugepage/hugepages-%kB/enabled",
                                   (int32_t)(v / 1024), 0, &line) &&
                   (aios__str_has(line, "[always]") || aios__str_has(line, "[madvise]"));
        if (hold) h->huge_page_bytes = v;
    }
    if (!hold && aios__sys_number(s, "/proc/meminfo", 0, 0, "HugePages_Free:", &v) && v &&
        aios__sys_number(s, "/proc/meminfo", 0, 0, "Hugepagesize:", &v))
        h->huge_page_bytes = v * 1024;

    if (aios__sys_find(s, "/proc/self/limits", 0, 0, "Max locked memory", &line)) {
        while (line.n && *line.p == ' ') {
            line.p++;
            line.n--;
        }
        if (line.n && *line.p == 'u')
            h->lock_bytes = UINT64_MAX;
        else if (aios__take_number(&line, &v))
            h->lock_bytes = v;
    }
    /* CAP_IPC_LOCK, number 14, lifts the limit; not where user ids are mapped, as in a container
     * that root of the outside did not start */
    if (aios__status_line(s, "CapEff:", &line)) {
        while (line.n && (line.p[line.n - 1] < '0' || line.p[line.n - 1] > 'f')) line.n--;
        if (line.n >= 4) {
            char c = line.p[line.n - 4];
            int32_t i = c <= '9' ? c - '0' : c - 'a' + 10;
            if (i >> 2 & 1 && aios__sys_first(s, "/proc/self/uid_map", 0, 0, &line) &&
                aios__take_number(&line, &inside) && aios__take_number(&line, &outside) &&
                aios__take_number(&line, &ids) && inside == 0 && outside == 0 && ids == UINT32_MAX)
                h->lock_bytes = UINT64_MAX;
        }
    }

    if (aios__sys_cpus(s, "/sys/devices/system/node/has_memory", 0, 0, &set) ||
        aios__sys_cpus(s, "/sys/devices/system/node/online", 0, 0, &set)) {
        if (aios__status_line(s, "Mems_allowed_list:", &line)) {
            aios__cpu_list(line, &may);
            aios__cpus_meet(&set, &may);
        }
        h->n_nodes = aios__cpus_both(&set, &set);
    }
}

static void aios__linux_name(aios__sys *s, aios_hardware *h) {
    aios__str line;
    aios__text t;
    int32_t found = 0;
    t.p = h->name;
    t.cap = sizeof h->name;
    t.n = 0;
    if (aios__sys_open(s, "/proc/cpuinfo", 0, 0)) {
        /* the first processor's, up to the empty line */
        while (aios__sys_line(s, &line) && line.n) {
            if (line.n > 5 && memcmp(line.p, "flags", 5) == 0 && aios__str_has(line, " hypervisor"))
                h->flags |= AIOS_HW_VIRTUAL;
            if (found || line.n < 10 || memcmp(line.p, "model name", 10) != 0) continue;
            while (line.n && *line.p != ':') {
                line.p++;
                line.n--;
            }
            while (line.n && (*line.p == ':' || *line.p == ' ')) {
                line.p++;
                line.n--;
            }
            aios__put(&t, line.p, line.n);
            found = 1;
        }
        aios__sys_close(s);
    }
    if (!found && aios__sys_first(s, "/proc/device-tree/model", 0, 0, &line)) {
        while (line.n && !line.p[line.n - 1]) line.n--;
        aios__put(&t, line.p, line.n);
    }
}

static void aios__hw_system(const char *root, aios_hardware *h) {
    aios__sys s;
    long page = sysconf(_SC_PAGESIZE);
    memset(&s, 0, sizeof s);
    s.root = root;
    if (page > 0) h->page_bytes = (uint64_t)page;
    aios__linux_name(&s, h);
    aios__linux_cpus(&s, h);
    aios__linux_memory(&s, h);
    aios__linux_cgroups(&s, h);
}

#elif defined(__APPLE__) && defined(__MACH__)
/* ---- Apple: sysctl by name ----
 * <sys/sysctl.h> does not compile with every feature macro: its one function is declared here. */
#include <errno.h>
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int
    sysctlbyname(const char *name, void *old, size_t *n_old, void *set, size_t n_set);

/* a number of 4 or 8 bytes; 0 = there is none of this name */
static uint64_t aios__sysctl(const char *name) {
    uint64_t v = 0;
    size_t n = sizeof v;
    if (sysctlbyname(name, &v, &n, NULL, 0) != 0) return 0;
    return n == 4 ? v & UINT32_MAX : n == 8 ? v : 0;
}
static void aios__hw_system(const char *root, aios_hardware *h) {
    size_t n = sizeof h->name - 1;
    (void)root;
    h->n_cores = (int32_t)aios__sysctl("hw.physicalcpu");
    h->n_threads = (int32_t)aios__sysctl("hw.logicalcpu");
    /* level 0 is the fastest */
    h->n_performance = (int32_t)aios__sysctl("hw.perflevel0.physicalcpu");
    if (!h->n_performance) h->n_performance = h->n_cores;
    h->n_efficiency = h->n_cores - h->n_performance;
    h->l1d_bytes = aios__sysctl("hw.perflevel0.l1dcachesize");
    if (!h->l1d_bytes) h->l1d_bytes = aios__sysctl("hw.l1dcachesize");
    h->l2_bytes = aios__sysctl("hw.perflevel0.l2cachesize");
    uint64_t share = aios__sysctl("hw.perflevel0.cpusperl2");
    if (h->l2_bytes && share > 1) h->l2_bytes /= share;
    if (!h->l2_bytes) h->l2_bytes = aios__sysctl("hw.l2cachesize");
    h->l3_bytes = aios__sysctl("hw.l3cachesize");
    if (h->l3_bytes) h->l3_share = h->n_cores;
    h->page_bytes = aios__sysctl("hw.pagesize");
    h->ram_bytes = aios__sysctl("hw.memsize");
    uint64_t v = aios__sysctl("vm.page_free_count") + aios__sysctl("vm.page_speculative_count") +
                 aios__sysctl("vm.page_purgeable_count");
    h->ram_free_bytes = v * h->page_bytes; /* without what the file cache would give back */
    h->lock_bytes = aios__sysctl("vm.user_wire_limit");
    h->n_nodes = 1;
    if (aios__sysctl("kern.hv_vmm_present")) h->flags |= AIOS_HW_VIRTUAL;
    if (sysctlbyname("machdep.cpu.brand_string", h->name, &n, NULL, 0) != 0) h->name[0] = 0;
}

#elif defined(_WIN32) && defined(_WIN32_WINNT) && _WIN32_WINNT >= 0x0601
/* ---- Windows ---- */
/* Records of one kind, in buf; 0 bytes when they do not fit (a hundred cores and more) or the
 * system has none. */
typedef union aios__win_buf {
    uint64_t align;
    char bytes[32 * 1024];
} aios__win_buf;
static uint32_t aios__win_records(LOGICAL_PROCESSOR_RELATIONSHIP kind, aios__win_buf *b) {
    DWORD n = sizeof b->bytes;
    return GetLogicalProcessorInformationEx(
               kind, (PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX)(void *)b->bytes, &n)
               ? (uint32_t)n
               : 0;
}
static const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *aios__win_record(const aios__win_buf *b,
                                                                       uint32_t at, uint32_t n) {
    const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r =
        (const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *)(const void *)(b->bytes + at);
    return at + 8 <= n && r->Size >= 8 && r->Size <= n - at ? r : NULL;
}
/* PROCESSOR_RELATIONSHIP.EfficiencyClass: the byte after Flags, which older headers call
 * reserved. The higher the faster. */
static int32_t aios__win_class(const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r) {
    return ((const BYTE *)&r->Processor)[1];
}
static int32_t aios__win_bits(KAFFINITY m) {
    int32_t n = 0;
    for (; m; m &= m - 1) n++;
    return n;
}
static void aios__hw_system(const char *root, aios_hardware *h) {
    aios__win_buf b;
    const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *r;
    KAFFINITY lead[16], mine = ~(KAFFINITY)0; /* lead: the first processor of each core, by group */
    DWORD_PTR process = 0, machine = 0;
    SYSTEM_INFO si;
    MEMORYSTATUSEX ms;
    SIZE_T lock_least = 0, lock_most = 0;
    uint32_t at, n;
    int32_t best = -1;
    (void)root;
    memset(lead, 0, sizeof lead);
    /* the mask is for one group; a process that runs in several may use all of them */
    if (GetActiveProcessorGroupCount() == 1 &&
        GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) && process) {
        mine = (KAFFINITY)process;
        h->n_threads = aios__win_bits(mine);
    } else
        h->n_threads = (int32_t)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

    n = aios__win_records(RelationProcessorCore, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) {
        const KAFFINITY mask = r->Processor.GroupMask[0].Mask & mine;
        if (aios__win_class(r) > best) best = aios__win_class(r); /* of all cores, ours or not */
        if (!mask) continue;
        h->n_cores++;
        if (r->Processor.GroupMask[0].Group < 16)
            lead[r->Processor.GroupMask[0].Group] |= mask & (0 - mask);
    }
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size)
        if (r->Processor.GroupMask[0].Mask & mine) {
            if (aios__win_class(r) == best)
                h->n_performance++;
            else
                h->n_efficiency++;
        }

    n = aios__win_records(RelationCache, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) {
        const CACHE_RELATIONSHIP *c = &r->Cache;
        int32_t share;
        if (c->Type != CacheData && c->Type != CacheUnified) continue;
        if (!(c->GroupMask.Mask & mine)) continue;
        share = c->GroupMask.Group < 16
                    ? aios__win_bits(c->GroupMask.Mask & lead[c->GroupMask.Group])
                    : 1;
        if (share < 1) share = 1;
        /* of the kinds of cores the largest caches: those of the fast ones */
        if (c->Level == 1 && c->CacheSize / (uint32_t)share > h->l1d_bytes)
            h->l1d_bytes = c->CacheSize / (uint32_t)share;
        if (c->Level == 2 && c->CacheSize / (uint32_t)share > h->l2_bytes)
            h->l2_bytes = c->CacheSize / (uint32_t)share;
        if (c->Level == 3) {
            h->l3_bytes += c->CacheSize;
            if (share > h->l3_share) h->l3_share = share;
        }
    }
    n = aios__win_records(RelationNumaNode, &b);
    for (at = 0; (r = aios__win_record(&b, at, n)) != NULL; at += r->Size) h->n_nodes++;

    ms.dwLength = sizeof ms;
    if (GlobalMemoryStatusEx(&ms)) {
        h->ram_bytes = ms.ullTotalPhys;
        h->ram_free_bytes = ms.ullAvailPhys;
    }
    GetSystemInfo(&si);
    h->page_bytes = si.dwPageSize;
    /* what VirtualLock grants */
    if (GetProcessWorkingSetSize(GetCurrentProcess(), &lock_least, &lock_most))
        h->lock_bytes = lock_least;
    /* huge pages take a privilege that few accounts have: 0 */
}

#else
static void aios__hw_system(const char *root, aios_hardware *h) {
    (void)root;
    (void)h;
}
#endif

static void aios__hw_detect(const char *root, aios_hardware *h) {
#if defined(_WIN32)
    DWORD before = GetLastError();
#elif (defined(__linux__) && !defined(AIOS_NO_FILES)) || \
    (defined(__APPLE__) && defined(__MACH__)) || defined(AIOS_LIBNUMA)
    int before = errno;
#endif
    aios__hw_isa(h);
    aios__hw_system(root, h);
#ifdef AIOS_LIBNUMA
    if (!root[0]) h->n_nodes = numa_available() < 0 ? 0 : numa_num_task_nodes();
#endif
#if defined(_WIN32)
    SetLastError(before);
#elif (defined(__linux__) && !defined(AIOS_NO_FILES)) || \
    (defined(__APPLE__) && defined(__MACH__)) || defined(AIOS_LIBNUMA)
    errno = before;
#endif
}

AIOS_API aios_status aios_hardware_detect(aios_hardware *out) {
    aios_hardware h, had;
    aios_status st = aios__desc_copy(AIOS__ID_aios_hardware, &had, out, NULL);
    if (st) return st;
    memset(&h, 0, sizeof h);
    h.read_bandwidth = had.read_bandwidth;
    aios__hw_detect("", &h);
    return aios__desc_fill(AIOS__ID_aios_hardware, out, &h);
}
