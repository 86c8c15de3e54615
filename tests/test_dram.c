/* test_dram.c: which counters examples/dram.h finds on machines that are folders under
 * build/test_dram.tmp, and what it would ask the kernel for. Opening and reading them is tried
 * with a software clock under the name of a memory controller, where perf_event_open is allowed. */
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* with -std=c99: syscall */
#endif
#include "test.h"
#include "../examples/dram.h"

#ifdef __linux__
#define MACHINES "build/test_dram.tmp"
#include "machine.h"

static dram d;
/* One box: "type", "cpumask", "format/event" and so on with their texts, then NULL. */
static void box(const char *name, const char *const *files) {
    char path[300];
    for (; files[0]; files += 2) {
        snprintf(path, sizeof path, "sys/bus/event_source/devices/%s/%s", name, files[0]);
        machine_put(path, files[1]);
    }
}
static void processor(const char *vendor, int family, int model) {
    char text[300];
    snprintf(
        text, sizeof text,
        "processor\t: 0\nvendor_id\t: %s\ncpu family\t: %d\nmodel\t\t: %d\nmodel name\t: A processor\n\nprocessor\t: 1\nmodel\t\t: 1\n",
        vendor, family, model);
    machine_put("proc/cpuinfo", text);
}

/* ---- bits ---- */
static void bits_go_where_the_format_says(void) {
    static const struct {
        const char *format;
        uint64_t value;
        int ok, which;
        uint64_t want;
    } cases[] = { { "config:0-7", 0xA5, 1, 0, 0xA5 },
                  { "config:8-15", 0xCF, 1, 0, 0xCF00 },
                  { "config:0-7,32-35", 0x147, 1, 0, 0x100000047u },
                  { "config:0-7,32-35", 0xFFF, 1, 0, 0xF000000FFu },
                  { "config:0-7,32-35,59-60", 0x3FFF, 1, 0,
                    (uint64_t)0xFF | (uint64_t)0xF << 32 | (uint64_t)3 << 59 },
                  { "config:0-7,32-37", 0x1F, 1, 0, 0x1F },
                  { "config:21", 1, 1, 0, 1 << 21 },
                  { "config:21", 0, 1, 0, 0 },
                  { "config1:0-63", UINT64_MAX, 1, 1, UINT64_MAX },
                  { "config2:4,2,0", 5, 1, 2,
                    0x11 }, /* lowest bit of the value into the first place named */
                  { "config:0-7", 0x100, 0, 0, 0 }, /* does not fit: not cut */
                  { "config:21", 2, 0, 0, 0 },
                  { "config:0-64", 1, 0, 0, 0 },
                  { "config:7-0", 1, 0, 0, 0 },
                  { "config:", 1, 0, 0, 0 },
                  { "config:0-7;8", 1, 0, 0, 0 },
                  { "config:0-", 1, 0, 0, 0 },
                  { "config3:0-7", 1, 0, 0, 0 },
                  { "name:0-7", 1, 0, 0, 0 },
                  { "", 1, 0, 0, 0 } };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t config[3] = { 0, 0, 0 };
        CHECK_AT(dram_place(cases[i].format, cases[i].value, config) == cases[i].ok, "%s",
                 cases[i].format);
        if (cases[i].ok && !CHECK_EQ(config[cases[i].which], cases[i].want))
            printf("%s: %llx\n", cases[i].format, (unsigned long long)config[cases[i].which]);
        if (cases[i].ok)
            CHECK(config[(cases[i].which + 1) % 3] == 0 && config[(cases[i].which + 2) % 3] == 0);
    }
}
static void an_event_is_its_terms_in_their_fields(void) {
    static const char *const files[] = { "format/event",  "config:0-7\n",   "format/umask",
                                         "config:8-15\n", "format/edge",    "config:18\n",
                                         "format/filter", "config1:0-31\n", NULL };
    /* clang-format off */
    static const struct { const char *terms; int ok; uint64_t config, config1; } cases[] = {
        { "event=0x04,umask=0x03", 1, 0x0304, 0 },
        { "umask=3,event=4", 1, 0x0304, 0 },
        { "event=0xff,umask=0x20", 1, 0x20FF, 0 },
        { "event=0x04,edge", 1, 0x40004, 0 },
        { "event=0x1,filter=0xdeadbeef", 1, 1, 0xDEADBEEFu },
        { "config=0x10,config1=0x20", 1, 0x10, 0x20 },
        { "event=0x104", 0, 0, 0 },
        { "event=0x04,unknown=1", 0, 0, 0 },
        { "event=", 0, 0, 0 },
        { "event=x", 0, 0, 0 },
        { "event=1 umask=2", 0, 0, 0 },
        { ",", 0, 0, 0 },
        { "../event=1", 0, 0, 0 } };
    /* clang-format on */
    size_t i;
    machine_begin("encode");
    box("uncore_imc_0", files);
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t config[3];
        CHECK_AT(dram_encode(machine_root, "uncore_imc_0", cases[i].terms, config) == cases[i].ok,
                 "'%s'", cases[i].terms);
        if (cases[i].ok)
            CHECK(config[0] == cases[i].config && config[1] == cases[i].config1 && config[2] == 0);
    }
}

/* ---- machines ---- */
#define INTEL_FORMAT "format/event", "config:0-7\n", "format/umask", "config:8-15\n"
#define MIB(e)       "events/" e ".scale", "6.103515625e-5\n", "events/" e ".unit", "MiB\n"

static void desktops_count_in_free_running_boxes(void) {
    static const char *const running[] = { "type",
                                           "24\n",
                                           "cpumask",
                                           "0\n",
                                           INTEL_FORMAT,
                                           "events/data_read",
                                           "event=0xff,umask=0x20\n",
                                           MIB("data_read"),
                                           "events/data_write",
                                           "event=0xff,umask=0x30\n",
                                           MIB("data_write"),
                                           NULL };
    static const char *const imc[] = { "type",
                                       "26\n",
                                       "cpumask",
                                       "0\n",
                                       INTEL_FORMAT,
                                       "events/cas_count_read",
                                       "event=0x04,umask=0x03\n",
                                       MIB("cas_count_read"),
                                       NULL };
    static const char *const old[] = { "type",
                                       "14\n",
                                       "cpumask",
                                       "0\n",
                                       "format/event",
                                       "config:0-7\n",
                                       "events/data_reads",
                                       "event=0x01\n",
                                       MIB("data_reads"),
                                       NULL };
    machine_begin("desktop");
    processor("GenuineIntel", 6, 151);
    box("uncore_imc_free_running_1", running);
    box("uncore_imc_free_running_0", running);
    box("uncore_imc_0", imc); /* sees the same traffic: not counted as well */
    box("uncore_imc_1", imc);
    box("uncore_imc_free_running_x", running); /* no box of this kind */
    box("cpu_core", imc);
    if (CHECK(dram_find(&d, machine_root))) {
        CHECK(d.n == 2 && d.n_boxes == 2 && !d.both_ways);
        CHECK_STR(d.c[0].box, "uncore_imc_free_running_0");
        CHECK_STR(d.c[1].box, "uncore_imc_free_running_1");
        CHECK_STR(d.c[0].event, "data_read");
        CHECK_EQ(d.c[0].type, 24);
        CHECK_EQ(d.c[0].cpu, 0);
        CHECK_EQ(d.c[0].config[0], 0x20FF);
        CHECK(d.c[0].bytes > 63.999999 && d.c[0].bytes < 64.000001);
    }
    machine_begin("old_desktop");
    box("uncore_imc", old);
    if (CHECK(dram_find(&d, machine_root)))
        CHECK(d.n == 1 && d.c[0].config[0] == 1 && strcmp(d.c[0].event, "data_reads") == 0 &&
              strcmp(d.c[0].box, "uncore_imc") == 0);
}

static void servers_count_in_every_box_of_every_socket(void) {
    static const char *const skylake[] = { "type",
                                           "20\n",
                                           "cpumask",
                                           "0,20\n",
                                           INTEL_FORMAT,
                                           "events/cas_count_read",
                                           "event=0x04,umask=0x03\n",
                                           MIB("cas_count_read"),
                                           NULL };
    static const char *const bare[] = { "type", "70\n", "cpumask", "0,56\n", INTEL_FORMAT, NULL };
    static const char *const clocks[] = {
        "type", "90\n", "cpumask", "0,56\n", INTEL_FORMAT, "events/dclk", "event=0xff,umask=0x10\n",
        NULL
    };
    char name[64];
    int i;
    machine_begin("skylake");
    processor("GenuineIntel", 6, 85);
    for (i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "uncore_imc_%d", i);
        box(name, skylake);
    }
    if (CHECK(dram_find(&d, machine_root))) {
        CHECK_EQ(d.n, 24);
        CHECK_EQ(d.n_boxes, 12);
        CHECK_EQ(d.c[0].cpu, 0);
        CHECK_EQ(d.c[1].cpu, 20);
        CHECK_EQ(d.c[23].cpu, 20);
        CHECK_EQ(d.c[23].config[0], 0x0304);
        CHECK_STR(d.c[4].box, "uncore_imc_2");
        CHECK_STR(d.c[23].box, "uncore_imc_11");
    }
    /* names are not in sysfs: by the processor; the boxes that run always have no event for
     * reads here */
    machine_begin("sapphire");
    processor("GenuineIntel", 6, 143);
    for (i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "uncore_imc_%d", i);
        box(name, bare);
        snprintf(name, sizeof name, "uncore_imc_free_running_%d", i);
        box(name, clocks);
    }
    if (CHECK(dram_find(&d, machine_root)))
        CHECK(d.n == 16 && d.n_boxes == 8 && d.c[0].config[0] == 0xCF05 && d.c[0].bytes > 63 &&
              d.c[0].bytes < 65 && d.c[1].cpu == 56);
    processor("GenuineIntel", 6, 173); /* Granite Rapids: two halves of a channel, an event each */
    if (CHECK(dram_find(&d, machine_root)))
        CHECK(d.n == 32 && d.n_boxes == 8 && d.c[0].config[0] == 0xCF05 &&
              d.c[1].config[0] == 0xCF05 && d.c[2].config[0] == 0xCF06 &&
              strcmp(d.c[2].box, "uncore_imc_0") == 0);
    processor("GenuineIntel", 6, 250); /* a processor that is not known: no guess */
    CHECK(!dram_find(&d, machine_root) && strstr(d.why, "uncore_imc_0") != NULL && d.n == 0);
    processor("AuthenticAMD", 6, 143);
    CHECK(!dram_find(&d, machine_root));
}

static void amd_counts_in_its_own_boxes(void) {
    static const char *const umc[] = { "type",
                                       "30\n",
                                       "cpumask",
                                       "0,96\n",
                                       "format/event",
                                       "config:0-7\n",
                                       "format/rdwrmask",
                                       "config:8-9\n",
                                       NULL };
    static const char *const df[] = { "type",         "12\n",          "cpumask",
                                      "0\n",          "format/event",  "config:0-7,32-35,59-60\n",
                                      "format/umask", "config:8-15\n", NULL };
    static const char *const df2[] = { "type",
                                       "12\n",
                                       "cpumask",
                                       "0\n",
                                       "format/event",
                                       "config:0-7,32-37\n",
                                       "format/umask",
                                       "config:8-15,24-27\n",
                                       NULL };
    char name[64];
    int i;
    machine_begin("zen4");
    processor("AuthenticAMD", 25, 17);
    for (i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "amd_umc_%d", i);
        box(name, umc);
    }
    box("amd_df", df2);
    box("amd_l3", df);
    if (CHECK(dram_find(&d, machine_root))) {
        CHECK(d.n == 24 && d.n_boxes == 12 && d.c[0].config[0] == 0x10A && d.c[0].type == 30 &&
              d.c[1].cpu == 96 && !d.both_ways);
        CHECK_STR(d.c[0].event, "umc_cas_cmd.rd");
    }
    machine_begin("zen3");
    processor("AuthenticAMD", 25, 33);
    box("amd_df", df);
    if (CHECK(dram_find(&d, machine_root))) {
        static const uint64_t want[] = { 0x3807,       0x3847,       0x3887,       0x38C7,
                                         0x100003807u, 0x100003847u, 0x100003887u, 0x1000038C7u };
        CHECK(d.n == 8 && d.n_boxes == 1 && d.both_ways);
        for (i = 0; i < 8 && i < d.n; i++) CHECK_EQ(d.c[i].config[0], want[i]);
    }
    machine_begin("zen4_old_kernel");
    processor("AuthenticAMD", 25, 97);
    box("amd_df", df2);
    CHECK(!dram_find(&d, machine_root) && strstr(d.why, "amd_df") != NULL);
}

static void a_machine_without_counters_says_why(void) {
    static const char *const good[] = { "type",
                                        "24\n",
                                        "cpumask",
                                        "0\n",
                                        INTEL_FORMAT,
                                        "events/data_read",
                                        "event=0xff,umask=0x20\n",
                                        MIB("data_read"),
                                        NULL };
    static const char *const unit[] = { "type",
                                        "24\n",
                                        "cpumask",
                                        "0\n",
                                        INTEL_FORMAT,
                                        "events/data_read",
                                        "event=0xff,umask=0x20\n",
                                        "events/data_read.scale",
                                        "1\n",
                                        "events/data_read.unit",
                                        "furlongs\n",
                                        NULL };
    static const char *const no_unit[] = { "type",
                                           "24\n",
                                           "cpumask",
                                           "0\n",
                                           INTEL_FORMAT,
                                           "events/data_read",
                                           "event=0xff,umask=0x20\n",
                                           "events/data_read.scale",
                                           "1\n",
                                           NULL };
    static const char *const no_type[] = {
        "cpumask", "0\n", INTEL_FORMAT, "events/data_read", "event=0xff,umask=0x20\n", NULL
    };
    static const char *const mask[] = { "type",
                                        "24\n",
                                        "cpumask",
                                        "zero\n",
                                        INTEL_FORMAT,
                                        "events/data_read",
                                        "event=0xff,umask=0x20\n",
                                        NULL };
    static const char *const many[] = { "type",
                                        "24\n",
                                        "cpumask",
                                        "0-4000000000\n",
                                        INTEL_FORMAT,
                                        "events/data_read",
                                        "event=0xff,umask=0x20\n",
                                        NULL };
    static const char *const plain[] = { "type",
                                         "24\n",
                                         "cpumask",
                                         "4-5,7\n",
                                         INTEL_FORMAT,
                                         "events/data_read",
                                         "event=0xff,umask=0x20\n",
                                         NULL };
    const char *const *bad[5];
    size_t i;
    bad[0] = unit;
    bad[1] = no_unit;
    bad[2] = no_type;
    bad[3] = mask;
    bad[4] = many;
    machine_begin("empty");
    CHECK(!dram_find(&d, machine_root) && d.n == 0 && strstr(d.why, "no counters") != NULL);
    CHECK(!dram_open(&d));
    CHECK(dram_lap(&d) == 0);
    for (i = 0; i < 5;
         i++) { /* one box of two that is not understood: no figure, and not half of it */
        char name[32];
        snprintf(name, sizeof name, "bad%d", (int)i);
        machine_begin(name);
        box("uncore_imc_free_running_0", good);
        box("uncore_imc_free_running_1", bad[i]);
        CHECK(!dram_find(&d, machine_root) && d.n == 0 &&
              strstr(d.why, "uncore_imc_free_running_1") != NULL);
    }
    machine_begin("plain"); /* no scale: lines of a cache; ranges in the mask */
    box("uncore_imc_free_running_0", plain);
    if (CHECK(dram_find(&d, machine_root)))
        CHECK(d.n == 3 && d.c[0].cpu == 4 && d.c[1].cpu == 5 && d.c[2].cpu == 7 &&
              d.c[0].bytes > 63 && d.c[0].bytes < 65);
}

/* A box that is the kernel's software clock (type 1, config 0): nanoseconds of processor 0, here
 * a unit of 1 KiB. */
static void counters_are_opened_read_and_closed(void) {
    static const char *const clock[] = { "type",
                                         "1\n",
                                         "cpumask",
                                         "0\n",
                                         "events/data_read",
                                         "config=0x0\n",
                                         "events/data_read.scale",
                                         "1\n",
                                         "events/data_read.unit",
                                         "KiB\n",
                                         NULL };
    static const char *const none[] = { "type", "4000000000\n",     "cpumask",
                                        "0\n",  "events/data_read", "config=0x0\n",
                                        NULL };
    double a, b;
    machine_begin("clock");
    box("uncore_imc_free_running_0", clock);
    box("uncore_imc_free_running_1", clock);
    if (!CHECK(dram_find(&d, machine_root)) || !CHECK_EQ(d.n, 2)) return;
    if (!dram_open(&d)) {
        printf("skip  opening counters: %s\n", d.why);
        CHECK(d.n == 0 && d.why[0]);
    } else {
        usleep(20000);
        a = dram_lap(&d);
        usleep(20000);
        b = dram_lap(&d);
        CHECK(a >= 2 * 20e6 * 1024 && a < 2 * 20e9 * 1024); /* two clocks of 20 ms and more */
        CHECK(b >= 2 * 20e6 * 1024 &&
              b < 2 * 20e9 * 1024); /* since the last call, not since the start */
        CHECK(!d.shared);
        d.c[0].last[1] -= 1000000000000u; /* as if it had waited a thousand seconds for its turn */
        usleep(20000);
        b = dram_lap(&d);
        CHECK(d.shared && b > 900e9 * 1024);
        close(d.c[0].fd);
        d.c[0].fd = -1;
        CHECK(dram_lap(&d) < 0 && strstr(d.why, "cannot be read") != NULL);
        dram_close(&d);
        CHECK_EQ(d.n, 0);
    }
    box("uncore_imc_free_running_1", none); /* the second does not open: neither counts */
    if (CHECK(dram_find(&d, machine_root))) {
        int fd = dup(0), after;
        close(fd);
        CHECK(!dram_open(&d) && d.n == 0 && strstr(d.why, "uncore_imc_free_running_") != NULL);
        after = dup(0);
        CHECK_EQ(after, fd); /* and the first was closed again */
        close(after);
    }
}
#endif

#ifdef __linux__
/* Whatever it has. */
static void this_machine_is_looked_at_without_harm(void) {
    if (dram_find(&d, "") && dram_open(&d))
        printf("this machine: %s of %d controllers\n", d.c[0].event, d.n_boxes);
    else
        printf("this machine: %s\n", d.why);
    dram_close(&d);
}
#endif

int main(int argc, char **argv) {
#ifdef __linux__
    test_begin(argc, argv);
    TEST(bits_go_where_the_format_says)();
    TEST(an_event_is_its_terms_in_their_fields)();
    TEST(desktops_count_in_free_running_boxes)();
    TEST(servers_count_in_every_box_of_every_socket)();
    TEST(amd_counts_in_its_own_boxes)();
    TEST(a_machine_without_counters_says_why)();
    TEST(counters_are_opened_read_and_closed)();
    TEST(this_machine_is_looked_at_without_harm)();
    machine_end();
#else
    static dram d;
    CHECK(!dram_find(&d, "") && d.why[0]);
    CHECK(!dram_open(&d) && dram_lap(&d) < 0);
    dram_close(&d);
#endif
    return test_end();
}
