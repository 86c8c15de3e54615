/* test_hardware.c: what aios_hardware_detect says of this machine, against what this test finds
 * out by itself, and of machines that are folders under build/test_hardware.tmp: hybrid, two
 * nodes, containers, ARM, nothing at all. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity, with -std=c99 */
#endif
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
#include <errno.h>
#include "test.h"
#ifdef __linux__
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
#define MACHINES "build/test_hardware.tmp"
#include "machine.h"
#endif

static aios_hardware detect(void) {
    aios_hardware h;
    aios_hardware_init(&h);
    CHECK_EQ(aios_hardware_detect(&h), AIOS_OK);
    return h;
}
static int is_power_of_two(uint64_t x) { return x && !(x & (x - 1)); }

/* ---- this machine ---- */
static void numbers_of_this_machine_are_plausible(void) {
    aios_hardware h = detect();
    CHECK_EQ(h.struct_size, sizeof h);
    CHECK_EQ(h.isa, aiosk_select(AIOSK_ISA_BEST)->id);
    CHECK(h.isa > 0);
    CHECK(h.isa_tier >= 0 && h.isa_tier <= 4 && (h.isa_tier > 0 || h.isa == AIOSK_ISA_SCALAR));
    CHECK(h.isa != AIOSK_ISA_AVX2 || h.isa_tier == 2);
    CHECK(h.isa != AIOSK_ISA_AVX512 || h.isa_tier == 3);
    CHECK(h.n_cores >= 0 && h.n_cores <= h.n_threads);
    CHECK(h.n_performance >= 0);
    CHECK(h.n_efficiency >= 0);
    CHECK_EQ(h.n_performance + h.n_efficiency, h.n_cores);
    CHECK(h.n_nodes >= 0 && h.n_nodes <= 1024);
    CHECK(h.l3_share <= h.n_cores || h.n_cores == 0);
    CHECK((h.l3_bytes > 0) == (h.l3_share > 0));
    CHECK(h.l1d_bytes <= 1 << 20 && h.l2_bytes <= 1u << 30);
    CHECK(h.ram_free_bytes <= h.ram_bytes);
    CHECK(h.page_bytes == 0 || is_power_of_two(h.page_bytes));
    CHECK(h.huge_page_bytes == 0 ||
          (is_power_of_two(h.huge_page_bytes) && h.huge_page_bytes > h.page_bytes));
    CHECK(h.quota_milli >= 0);
    CHECK_EQ(h.read_bandwidth, 0);
    CHECK_EQ(h.reserved, 0);
    CHECK(memchr(h.name, 0, sizeof h.name) != NULL);
    printf(
        "%s: isa %d (tier %d), %d cores (%d + %d), %d threads, quota %d, %d nodes, L1d %llu L2 %llu L3 %llu (of %d cores), RAM %llu free %llu, "
        "pages %llu and %llu, lock %llu, flags %u\n",
        h.name, h.isa, h.isa_tier, h.n_cores, h.n_performance, h.n_efficiency, h.n_threads,
        h.quota_milli, h.n_nodes, (unsigned long long)h.l1d_bytes, (unsigned long long)h.l2_bytes,
        (unsigned long long)h.l3_bytes, h.l3_share, (unsigned long long)h.ram_bytes,
        (unsigned long long)h.ram_free_bytes, (unsigned long long)h.page_bytes,
        (unsigned long long)h.huge_page_bytes, (unsigned long long)h.lock_bytes, h.flags);
}

static void the_hosts_field_stays_and_all_else_is_found_out_anew(void) {
    aios_hardware h = detect(), again = detect();
    /* what moves from one moment to the next: free memory */
    h.ram_free_bytes = again.ram_free_bytes = 0;
    CHECK_MEM(&h, &again, sizeof h);

    h.read_bandwidth = 12345678901u;
    h.n_cores = 999;
    CHECK_EQ(aios_hardware_detect(&h), AIOS_OK);
    CHECK_EQ(h.read_bandwidth, 12345678901u);
    CHECK_EQ(h.n_cores, again.n_cores);
}

static void a_struct_size_that_no_version_had_is_refused(void) {
    aios_hardware small;
    char raw[sizeof(aios_hardware) + 64];
    CHECK_EQ(aios_hardware_detect(NULL), AIOS_ERR_ARG);
    memset(&small, 0, sizeof small); /* never initialised */
    CHECK_EQ(aios_hardware_detect(&small), AIOS_ERR_DESC);
    CHECK_EQ(small.isa, 0);
    small.struct_size = 1u << 20;
    CHECK_EQ(aios_hardware_detect(&small), AIOS_ERR_DESC);

    memset(raw, 0x55, sizeof raw); /* a size that no version had */
    small.struct_size = (uint32_t)offsetof(aios_hardware, n_performance);
    memcpy(raw, &small.struct_size, 4);
    CHECK_EQ(aios_hardware_detect((aios_hardware *)(void *)raw), AIOS_ERR_DESC);
    CHECK_EQ(raw[4], 0x55);
    CHECK_EQ(raw[offsetof(aios_hardware, n_performance)], 0x55);
    CHECK_EQ(raw[sizeof raw - 1], 0x55);

    memset(raw, 0, sizeof raw); /* a newer one: fields that this version does not know */
    small.struct_size = (uint32_t)sizeof raw;
    memcpy(raw, &small.struct_size, 4);
    CHECK_EQ(aios_hardware_detect((aios_hardware *)(void *)raw), AIOS_OK);
    CHECK_MEM(raw, &small.struct_size, 4);
    CHECK_EQ(raw[sizeof raw - 1], 0);
    raw[sizeof raw - 1] = 1;
    CHECK_EQ(aios_hardware_detect((aios_hardware *)(void *)raw), AIOS_ERR_DESC);
}

static void errno_is_left_alone(void) {
    errno = ERANGE;
    detect();
    CHECK_EQ(errno, ERANGE);
#ifdef _WIN32
    SetLastError(4321);
    detect();
    CHECK_EQ(GetLastError(), 4321);
#endif
}

#ifdef _WIN32
static void this_machine_is_what_windows_says(void) {
    const aios_hardware h = detect();
    SYSTEM_INFO si;
    GetSystemInfo(&si);
    CHECK(h.n_threads >= 1);
    CHECK(h.n_threads <= (int32_t)si.dwNumberOfProcessors + 1024);
    CHECK_EQ(h.page_bytes, si.dwPageSize);
    CHECK(h.ram_bytes > 1 << 24);
}
#endif

#if defined(__linux__) && !defined(AIOS_NO_FILES)
/* The number after key; UINT64_MAX = not there. */
static uint64_t number_in(const char *path, const char *key) {
    FILE *f = fopen(path, "r");
    char line[4096];
    uint64_t v = UINT64_MAX;
    while (f && v == UINT64_MAX && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) v = strtoull(line + strlen(key), NULL, 10);
    if (f) fclose(f);
    return v;
}
static void this_machine_is_what_the_system_says(void) {
    aios_hardware h = detect();
    cpu_set_t set, one;
    struct rlimit lock;
    uint64_t v;
    size_t cpu = 0;
    int i, n = 0;
    if (CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0)) CHECK_EQ(h.n_threads, CPU_COUNT(&set));
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) { /* on one processor: one core, its caches */
        aios_hardware few = detect();
        CHECK_EQ(few.n_threads, 1);
        CHECK(few.n_cores == (h.n_cores ? 1 : 0));
        CHECK(few.l3_bytes <= h.l3_bytes && (few.l3_share == 1) == (few.l3_bytes > 0) &&
              (few.l1d_bytes >= h.l1d_bytes || h.n_efficiency));
        CHECK_EQ(few.ram_bytes, h.ram_bytes);
        CHECK_EQ(few.n_nodes, h.n_nodes);
        CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    }
    v = number_in("/proc/meminfo", "MemTotal:") * 1024;
    CHECK(h.ram_bytes > 0 && h.ram_bytes <= v && (h.flags & AIOS_HW_LIMITED || h.ram_bytes == v));
    v = number_in("/proc/meminfo", "MemAvailable:") * 1024;
    if (!(h.flags & AIOS_HW_LIMITED)) CHECK(h.ram_free_bytes > v / 2 && h.ram_free_bytes / 2 < v);
    CHECK_EQ(h.page_bytes, (uint64_t)sysconf(_SC_PAGESIZE));
    if (CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &lock), 0))
        CHECK(h.lock_bytes == UINT64_MAX ||
              (lock.rlim_cur != RLIM_INFINITY && h.lock_bytes == lock.rlim_cur));
    v = number_in("/sys/devices/system/cpu/cpu0/cache/index0/size",
                  ""); /* level 1, data, wherever both are told apart */
    if (v != UINT64_MAX && h.n_cores == h.n_threads && !h.n_efficiency &&
        number_in("/sys/devices/system/cpu/cpu0/cache/index0/type", "Data") != UINT64_MAX)
        CHECK_EQ(h.l1d_bytes, v * 1024);
    for (i = 0; i < 64; i++) { /* no descriptor is left open */
        int fd = open("/dev/null", O_RDONLY);
        if (fd >= 0) {
            n = fd > n ? fd : n;
            close(fd);
        }
        detect();
    }
    i = open("/dev/null", O_RDONLY);
    CHECK(i <= n);
    close(i);
}

/* ---- made machines ---- */
static void put_cpu(int cpu, const char *what, const char *text) {
    char path[200];
    snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/%s", cpu, what);
    machine_put(path, text);
}
static void put_cache(int cpu, int index, int level, const char *type, const char *size,
                      const char *shared) {
    static const char *const names[] = { "level", "type", "size", "shared_cpu_list" };
    char what[64], text[16];
    int i;
    snprintf(text, sizeof text, "%d\n", level);
    for (i = 0; i < 4; i++) {
        snprintf(what, sizeof what, "cache/index%d/%s", index, names[i]);
        put_cpu(cpu, what, i == 0 ? text : i == 1 ? type : i == 2 ? size : shared);
    }
}
static aios_hardware look(void) {
    aios_hardware h;
    memset(&h, 0, sizeof h);
    errno = EDOM;
    aios__hw_detect(machine_root, &h);
    CHECK_EQ(errno, EDOM);
    return h;
}

/* 8 fast cores of two threads (0..15), 16 slow ones in clusters of four (16..31), one L3. */
static void cores_of_two_kinds_are_counted_apart(void) {
    aios_hardware h;
    int i;
    char list[32], four[32];
    machine_begin("hybrid");
    machine_put("sys/devices/system/cpu/online", "0-31\n");
    machine_put(
        "proc/thread-self/status",
        "Name:\tx\nCapEff:\t0000000000000000\nCpus_allowed:\tffffffff\nCpus_allowed_list:\t0-63\nMems_allowed_list:\t0\n");
    machine_put("sys/devices/cpu_core/cpus", "0-15\n");
    machine_put("sys/devices/cpu_atom/cpus", "16-31\n");
    for (i = 0; i < 32; i++) {
        if (i < 16)
            snprintf(list, sizeof list, "%d-%d\n", i & ~1, i | 1);
        else
            snprintf(list, sizeof list, "%d\n", i);
        snprintf(four, sizeof four, "%d-%d\n", i & ~3, i | 3);
        put_cpu(i, "topology/core_cpus_list", list);
        put_cache(i, 0, 1, "Data\n", i < 16 ? "48K\n" : "32K\n", list);
        put_cache(i, 1, 1, "Instruction\n", i < 16 ? "32K\n" : "64K\n", list);
        put_cache(i, 2, 2, "Unified\n", i < 16 ? "2048K\n" : "4096K\n", i < 16 ? list : four);
        put_cache(i, 3, 3, "Unified\n", "36864K\n", "0-31\n");
    }
    h = look();
    CHECK_EQ(h.n_threads, 32);
    CHECK_EQ(h.n_cores, 24);
    CHECK_EQ(h.n_performance, 8);
    CHECK_EQ(h.n_efficiency, 16);
    CHECK_EQ(h.l1d_bytes, 48 << 10);
    CHECK_EQ(h.l2_bytes, 2 << 20);
    CHECK_EQ(h.l3_bytes, 36 << 20);
    CHECK_EQ(h.l3_share, 24);

    machine_put("proc/thread-self/status",
                "Cpus_allowed_list:\t1,3,16-18\n"); /* two halves of fast cores, three slow ones */
    h = look();
    CHECK_EQ(h.n_threads, 5);
    CHECK_EQ(h.n_cores, 5);
    CHECK_EQ(h.n_performance, 2);
    CHECK_EQ(h.n_efficiency, 3);
    CHECK_EQ(h.l3_share, 5);
    CHECK_EQ(h.l1d_bytes, 48 << 10);
    CHECK_EQ(h.l2_bytes, 2 << 20);
    machine_put("proc/thread-self/status",
                "Cpus_allowed_list:\t20-23\n"); /* one cluster: the L2 in four parts */
    h = look();
    CHECK_EQ(h.n_cores, 4);
    CHECK_EQ(h.n_performance, 0);
    CHECK_EQ(h.n_efficiency, 4);
    CHECK_EQ(h.l1d_bytes, 32 << 10);
    CHECK_EQ(h.l2_bytes, 1 << 20);
}

/* Two nodes of eight cores, each with an L3; a third node that has memory alone. No online file:
 * /proc/stat. */
static void nodes_and_their_caches_are_counted(void) {
    aios_hardware h;
    char stat[2000] = "cpu  1 2 3 4\n", list[32];
    int i;
    machine_begin("nodes");
    for (i = 0; i < 16; i++) {
        snprintf(stat + strlen(stat), sizeof stat - strlen(stat), "cpu%d 1 2 3 4\n", i);
        snprintf(list, sizeof list, "%d\n", i);
        put_cpu(i, "topology/thread_siblings_list", list); /* its name in older kernels */
        put_cache(i, 0, 1, "Data\n", "32K\n", list);
        put_cache(i, 1, 2, "Unified\n", "1M\n", list);
        put_cache(i, 2, 3, "Unified\n", "16384K\n", i < 8 ? "0-7\n" : "8-15\n");
    }
    strcat(stat, "intr 1 2 3\n");
    machine_put("proc/stat", stat);
    machine_put("proc/self/status",
                "Groups:\t0\nCpus_allowed_list:\t0-127\nMems_allowed_list:\t0-2\n");
    machine_put("sys/devices/system/node/has_memory", "0-2\n");
    machine_put(
        "proc/meminfo",
        "MemTotal:       4096 kB\nMemFree:        1 kB\nMemAvailable:   2048 kB\nHugePages_Total:       8\nHugePages_Free:        3\nHugepagesize:       2048 kB\n");
    h = look();
    CHECK_EQ(h.n_threads, 16);
    CHECK_EQ(h.n_cores, 16);
    CHECK_EQ(h.n_performance, 16);
    CHECK_EQ(h.n_efficiency, 0);
    CHECK_EQ(h.n_nodes, 3);
    CHECK_EQ(h.l2_bytes, 1 << 20);
    CHECK_EQ(h.l3_bytes, 32 << 20);
    CHECK_EQ(h.l3_share, 8);
    CHECK_EQ(h.ram_bytes, 4096 << 10);
    CHECK_EQ(h.ram_free_bytes, 2048 << 10);
    CHECK_EQ(h.flags, 0);
    CHECK_EQ(h.huge_page_bytes, 2 << 20);
    machine_put("proc/self/status",
                /* numactl --cpunodebind=0 --membind=0 */
                "Cpus_allowed_list:\t0-7\nMems_allowed_list:\t0\n");
    h = look();
    CHECK_EQ(h.n_threads, 8);
    CHECK_EQ(h.n_nodes, 1);
    CHECK_EQ(h.l3_bytes, 16 << 20);
    CHECK_EQ(h.l3_share, 8);
    machine_put("proc/self/status", "Cpus_allowed_list:\t7-8\nMems_allowed_list:\t1\n");
    h = look();
    CHECK_EQ(h.n_threads, 2);
    CHECK_EQ(h.l3_bytes, 32 << 20);
    CHECK_EQ(h.l3_share, 1);
}

static void put_ram(void) {
    machine_put("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:   8388608 kB\n");
}
static void limits_of_groups_are_minded(void) {
    static const struct {
        const char *files[7][2];
        uint64_t ram, free;
        int32_t quota;
    } cases[] = {
        /* version 2 in a name space of its own; file pages can be had */
        { { { "proc/self/cgroup", "0::/\n" },
            { "sys/fs/cgroup/memory.max", "2147483648\n" },
            { "sys/fs/cgroup/memory.current", "1073741824\n" },
            { "sys/fs/cgroup/memory.stat", "anon 5\nactive_file 1000000\ninactive_file 2000000\n" },
            { "sys/fs/cgroup/cpu.max", "250000 100000\n" } },
          2147483648u,
          1073741824u + 3000000,
          2500 },
        /* no limit in words */
        { { { "proc/self/cgroup", "0::/user.slice\n" },
            { "sys/fs/cgroup/user.slice/memory.max", "max\n" },
            { "sys/fs/cgroup/user.slice/cpu.max", "max 100000\n" } },
          17179869184u,
          8589934592u,
          0 },
        /* the limit is of a group above, and the smaller of two counts; free memory is what the
         * tightest leaves */
        { { { "proc/self/cgroup", "0::/a/b/c\n" },
            { "sys/fs/cgroup/a/b/memory.max", "4294967296\n" },
            { "sys/fs/cgroup/a/b/memory.current", "4294967296\n" },
            { "sys/fs/cgroup/a/memory.max", "1073741824\n" },
            { "sys/fs/cgroup/a/memory.current", "0\n" },
            { "sys/fs/cgroup/a/cpu.max", "50000 100000\n" } },
          1073741824u,
          0,
          500 },
        /* the limit is this group's, but it is the one above that is full */
        { { { "proc/self/cgroup", "0::/a/b\n" },
            { "sys/fs/cgroup/a/b/memory.max", "1073741824\n" },
            { "sys/fs/cgroup/a/b/memory.current", "0\n" },
            { "sys/fs/cgroup/a/memory.max", "2147483648\n" },
            { "sys/fs/cgroup/a/memory.current", "2147483000\n" } },
          1073741824u,
          648,
          0 },
        /* memory.high: past it a process is slowed to a crawl */
        { { { "proc/self/cgroup", "0::/s\n" },
            { "sys/fs/cgroup/s/memory.max", "max\n" },
            { "sys/fs/cgroup/s/memory.high", "1073741824\n" } },
          1073741824u,
          1073741824u,
          0 },
        /* version 1, and a path of the outside that is not to be seen from here */
        { { { "proc/self/cgroup",
              "12:cpuset:/\n4:memory:/docker/0123\n3:cpuacct,cpu:/docker/0123\n0::/\n" },
            { "sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n" },
            { "sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912\n" },
            { "sys/fs/cgroup/memory/memory.stat",
              "active_file 7\ninactive_file 7\ntotal_inactive_file 100000000\ntotal_active_file 1\n" },
            { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n" },
            { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
          536870912u,
          100000001u,
          1500 },
        /* version 1 without limits */
        { { { "proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n" },
            { "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n" },
            { "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n" },
            { "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n" } },
          17179869184u,
          8589934592u,
          0 },
        /* both: memory by version 1, version 2 beside it */
        { { { "proc/self/cgroup", "4:memory:/v\n0::/v\n" },
            { "sys/fs/cgroup/unified/v/memory.max", "3000000000\n" },
            { "sys/fs/cgroup/memory/v/memory.limit_in_bytes", "2000000000\n" } },
          2000000000u,
          2000000000u,
          0 },
        /* nonsense */
        { { { "proc/self/cgroup", "\n:\n::\n:::\n0::\nmemory\n" },
            { "sys/fs/cgroup/memory.max", "\n" },
            { "sys/fs/cgroup/cpu.max", "99999999999999999999 0\n" } },
          17179869184u,
          8589934592u,
          0 }
    };
    size_t i;
    int k;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        aios_hardware h;
        char name[32];
        snprintf(name, sizeof name, "container%d", (int)i);
        machine_begin(name);
        put_ram();
        for (k = 0; k < 7 && cases[i].files[k][0]; k++)
            machine_put(cases[i].files[k][0], cases[i].files[k][1]);
        h = look();
        CHECK_AT(h.ram_bytes == cases[i].ram && h.ram_free_bytes == cases[i].free &&
                     h.quota_milli == cases[i].quota,
                 "container %d: %llu %llu %d", (int)i, (unsigned long long)h.ram_bytes,
                 (unsigned long long)h.ram_free_bytes, h.quota_milli);
        CHECK(((h.flags & AIOS_HW_LIMITED) != 0) ==
              (cases[i].ram < 17179869184u || cases[i].quota));
    }
}

/* Two fast, two middling and four slow cores by capacity; no caches, no node; the name is the
 * board's. */
static void cores_of_arm_are_told_apart_by_capacity(void) {
    static const char *const capacity[] = { "414\n", "414\n", "414\n",  "414\n",
                                            "760\n", "760\n", "1024\n", "1024\n" };
    aios_hardware h;
    char list[32];
    int i;
    machine_begin("arm");
    machine_put("sys/devices/system/cpu/online", "0-7\n");
    machine_put("proc/self/status", "Cpus_allowed_list:\t0-7\nTHP_enabled:\t1\n");
    machine_put("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd\n\n");
    machine_put("proc/device-tree/model", "A Board Rev 1.4");
    machine_put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    machine_put("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "33554432\n");
    for (i = 0; i < 8; i++) {
        snprintf(list, sizeof list, "%d\n", i);
        put_cpu(i, "cpu_capacity", capacity[i]);
        put_cpu(i, "topology/core_cpus_list", list);
    }
    h = look();
    CHECK_EQ(h.n_threads, 8);
    CHECK_EQ(h.n_cores, 8);
    CHECK_EQ(h.n_performance, 4);
    CHECK_EQ(h.n_efficiency, 4);
    CHECK_EQ(h.l1d_bytes, 0);
    CHECK_EQ(h.l2_bytes, 0);
    CHECK_EQ(h.l3_bytes, 0);
    CHECK_EQ(h.l3_share, 0);
    CHECK_EQ(h.n_nodes, 0);
    CHECK_STR(h.name, "A Board Rev 1.4");
    CHECK_EQ(h.flags, 0);
    CHECK_EQ(h.huge_page_bytes, 33554432);
    machine_put("proc/self/status",
                /* all of them slow, and no huge pages for this process */
                "Cpus_allowed_list:\t0-3\nTHP_enabled:\t0\n");
    h = look();
    CHECK_EQ(h.n_cores, 4);
    CHECK_EQ(h.n_performance, 0);
    CHECK_EQ(h.n_efficiency, 4);
    CHECK_EQ(h.huge_page_bytes, 0);
    machine_put("proc/self/status", "Cpus_allowed_list:\t0-7\n");
    machine_put("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    h = look();
    CHECK_EQ(h.huge_page_bytes, 0);
    machine_put("sys/kernel/mm/transparent_hugepage/hugepages-32768kB/enabled",
                "always inherit [madvise] never\n");
    h = look();
    CHECK_EQ(h.huge_page_bytes, 33554432);
}

static void what_may_be_locked_depends_on_rights(void) {
    static const struct {
        const char *limit, *cap, *map;
        uint64_t want;
    } cases[] = {
        { "Max locked memory         65536                unlimited            bytes     \n",
          "0000000000000000", "0 0 4294967295\n", 65536 },
        { "Max locked memory         unlimited            unlimited            bytes     \n",
          "0000000000000000", "0 0 4294967295\n", UINT64_MAX },
        { "Max locked memory         65536                65536                bytes     \n",
          "0000000000004000", "         0          0 4294967295\n", UINT64_MAX },
        { "Max locked memory         65536                65536                bytes     \n",
          "000001ffffffbfff", "0 0 4294967295\n", 65536 },
        { "Max locked memory         65536                65536                bytes     \n",
          "000001ffffffffff", "0 1000 1\n", 65536 }, /* root in a user name space */
        { "Max locked memory         65536                65536                bytes     \n",
          "000001ffffffffff", "0 0 1\n", 65536 },
        { "", "000001ffffffffff", "", 0 }
    };
    size_t i;
    machine_begin("locking");
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        machine_put("proc/self/limits", cases[i].limit);
        snprintf(text, sizeof text,
                 "CapPrm:\t000001ffffffffff\nCapEff:\t%s\nCapBnd:\t000001ffffffffff\n",
                 cases[i].cap);
        machine_put("proc/self/status", text);
        machine_put("proc/self/uid_map", cases[i].map);
        CHECK_AT(look().lock_bytes == cases[i].want, "locking %d: %llu", (int)i,
                 (unsigned long long)look().lock_bytes);
    }
}

static void nothing_to_read_leaves_zeros(void) {
    aios_hardware h, want;
    char *text;
    int i;
    memset(&want, 0, sizeof want);
    aios__hw_isa(&want);
    want.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    machine_begin("empty");
    h = look();
    CHECK_MEM(&h, &want, sizeof h);
    snprintf(machine_root, sizeof machine_root, MACHINES "/missing");
    h = look();
    CHECK_MEM(&h, &want, sizeof h);

    machine_begin("strange"); /* folders in place of files, empty files, long lines, wild numbers */
    machine_put("proc/meminfo/x", "");
    machine_put("sys/devices/system/cpu/online", "");
    machine_put("proc/stat", "");
    machine_put(
        "proc/self/status",
        "\n\n\nCpus_allowed_list:\t99999999999999999999-3,5-4,,-,7-8191,8192-99999999999999999999\n");
    machine_put("sys/devices/system/node/has_memory", "4294967295\n");
    put_cpu(7, "topology/core_cpus_list", "no numbers\n");
    put_cache(7, 0, 1, "", "K\n", "");
    put_cache(7, 1, 2, "Unified\n", "18446744073709551615K\n", "\n");
    put_cache(7, 2, 3, "Unified\n", "1024K\n",
              ""); /* an L3 without a list of who shares it: one, not one for each */
    put_cache(8, 0, 3, "Unified\n", "1024K\n", "");
    h = look();
    CHECK_EQ(h.l3_bytes, 1 << 20);
    CHECK_EQ(h.l3_share, 8192 - 7);
    CHECK_EQ(h.n_threads, 8192 - 7);
    CHECK_EQ(h.n_cores, 0);
    CHECK_EQ(h.n_nodes, 0);
    CHECK_EQ(h.ram_bytes, 0);
    CHECK_EQ(h.l1d_bytes, 0);

    machine_begin(
        "long"); /* a group list that does not fit any buffer, before what is looked for */
    if (!CHECK((text = (char *)malloc(100000)) != NULL)) return;
    strcpy(text, "Groups:\t");
    for (i = 0; i < 15000; i++) memcpy(text + 8 + i * 6, "12345 ", 6);
    strcpy(text + 8 + 90000, "\nCpus_allowed_list:\t0,2,4\n");
    machine_put("proc/thread-self/status", text);
    machine_put(
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: A \033[31mred\a processor with a name that is much longer than the room that there is for it\nflags\t\t: fpu hypervisor lahf\n\nmodel name\t: second\n");
    memset(text, 'a', 3000);
    text[0] = '0';
    text[1] = text[2] = ':';
    text[3] = '/';
    text[3000] = '\n';
    text[3001] = 0;
    machine_put("proc/self/cgroup", text);
    h = look();
    CHECK_EQ(h.n_threads, 3);
    CHECK_EQ(h.n_cores, 0);
    CHECK_EQ(h.flags, AIOS_HW_VIRTUAL);
    CHECK_EQ(strlen(h.name), 63);
    CHECK_MEM(h.name, "A ?[31mred? processor", 21);
    free(text);
}
#endif

int main(int argc, char **argv) {
    test_begin(argc, argv);
    TEST(numbers_of_this_machine_are_plausible)();
    TEST(the_hosts_field_stays_and_all_else_is_found_out_anew)();
    TEST(a_struct_size_that_no_version_had_is_refused)();
    TEST(errno_is_left_alone)();
#ifdef _WIN32
    TEST(this_machine_is_what_windows_says)();
#endif
#if defined(__linux__) && !defined(AIOS_NO_FILES)
    TEST(this_machine_is_what_the_system_says)();
    TEST(cores_of_two_kinds_are_counted_apart)();
    TEST(nodes_and_their_caches_are_counted)();
    TEST(limits_of_groups_are_minded)();
    TEST(cores_of_arm_are_told_apart_by_capacity)();
    TEST(what_may_be_locked_depends_on_rights)();
    TEST(nothing_to_read_leaves_zeros)();
    machine_end();
#endif
    return test_end();
}
