/* dram.h: bytes that a machine's memory controllers read, by their own counters (Linux, perf_event_open), summed over all of them.
 *
 *     dram d;
 *     if (!dram_find(&d, "") || !dram_open(&d)) puts(d.why);
 *     dram_lap(&d); ...work... bytes = dram_lap(&d);  dram_close(&d);
 *
 * One controller is not the memory of a machine: a desktop processor has two, a server up to twelve per socket. So it is all boxes of a
 * kind or none, and never boxes of two kinds, which see the same traffic. What is counted is the traffic of everybody: measure an idle
 * stretch beside it. Memory that is not behind these controllers is not seen: CXL, HBM on the package, Optane. Needs root, CAP_PERFMON
 * or /proc/sys/kernel/perf_event_paranoid 0; virtual machines rarely have such counters.
 *
 * How an event becomes a config: Documentation/ABI/testing/sysfs-bus-event_source-devices-{events,format} of Linux. Encodings that the
 * kernel does not name in sysfs: the event lists of its perf tool (tools/perf/pmu-events/arch/x86). */
#ifndef DRAM_H
#define DRAM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAM_MAX = 512 };                /* counters: 12 controllers of two halves, of 16 sockets */

typedef struct dram_counter {
    char box[64], event[64];
    int32_t cpu, fd;
    uint32_t type, reserved;
    uint64_t config[3];                 /* config, config1, config2 */
    double bytes;                       /* that one count stands for */
    uint64_t last[3];                   /* value, time enabled, time running */
} dram_counter;
typedef struct dram {
    int32_t n, n_boxes;
    int32_t both_ways;                  /* reads and writes are counted together */
    int32_t shared;                     /* boxes had to take turns: the figure is scaled up */
    char why[256];                      /* why there is no figure: one line */
    dram_counter c[DRAM_MAX];
} dram;

#ifdef __linux__
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DRAM_DEVICES "/sys/bus/event_source/devices"

/* The first line of a file of a box, folder/name, without its end; 0 when there is none. */
static int dram_text(const char *root, const char *box, const char *folder, const char *name, char *out, size_t cap) {
    char path[1024];
    FILE *f;
    if (snprintf(path, sizeof path, "%s%s/%s/%s%s", root, DRAM_DEVICES, box, folder, name) >= (int)sizeof path) return 0;
    if (!(f = fopen(path, "r"))) return 0;
    out[0] = 0;
    if (!fgets(out, (int)cap, f)) out[0] = 0;
    fclose(f);
    out[strcspn(out, "\n")] = 0;
    return out[0] != 0;
}

/* Puts value into the bits that a format names, lowest first: "config:0-7,32-35", "config1:4". 0 = no such format, or too large. */
static int dram_place(const char *format, uint64_t value, uint64_t config[3]) {
    int which = 0;
    if (strncmp(format, "config", 6) != 0) return 0;
    format += 6;
    if (*format == '1' || *format == '2') which = *format++ - '0';
    if (*format++ != ':') return 0;
    for (;;) {
        char *end;
        unsigned long lo = strtoul(format, &end, 10), hi = lo;
        if (end == format) return 0;
        if (*end == '-') {
            format = end + 1;
            hi = strtoul(format, &end, 10);
            if (end == format) return 0;
        }
        if (hi > 63 || lo > hi) return 0;
        for (; lo <= hi; lo++, value >>= 1) config[which] |= (value & 1) << lo;
        if (*end == 0) return value == 0;
        if (*end != ',') return 0;
        format = end + 1;
    }
}
/* "event=0x04,umask=0x03" with the formats of a box; a term without a value is 1. */
static int dram_encode(const char *root, const char *box, const char *terms, uint64_t config[3]) {
    char format[256], name[64];
    memset(config, 0, 3 * sizeof *config);
    while (*terms) {
        size_t n = strcspn(terms, "=,");
        uint64_t value = 1;
        if (n == 0 || n >= sizeof name) return 0;
        memcpy(name, terms, n);
        name[n] = 0;
        terms += n;
        if (*terms == '=') {
            char *end;
            value = strtoull(terms + 1, &end, 0);
            if (end == terms + 1) return 0;
            terms = end;
        }
        if (*terms == ',') terms++;
        else if (*terms) return 0;
        if (strcmp(name, "config") == 0) config[0] |= value;
        else if (strcmp(name, "config1") == 0) config[1] |= value;
        else if (strcmp(name, "config2") == 0) config[2] |= value;
        else if (!dram_text(root, box, "format/", name, format, sizeof format) || !dram_place(format, value, config)) return 0;
    }
    return 1;
}
/* Bytes per count by the event's .scale and .unit; without either a count is one line of a cache. 0 = a unit that is not known. */
static double dram_unit(const char *root, const char *box, const char *event) {
    static const struct { const char *name; double bytes; } units[] = {
        { "Bytes", 1 }, { "B", 1 }, { "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 }, { "KB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 } };
    char file[96], scale[64], unit[64];
    int has_scale, has_unit;
    size_t i;
    snprintf(file, sizeof file, "%s.scale", event);
    has_scale = dram_text(root, box, "events/", file, scale, sizeof scale);
    snprintf(file, sizeof file, "%s.unit", event);
    has_unit = dram_text(root, box, "events/", file, unit, sizeof unit);
    if (!has_scale && !has_unit) return 64;
    for (i = 0; has_scale && has_unit && i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0) return strtod(scale, NULL) * units[i].bytes;
    return 0;
}

/* Adds a box: the event under its name in sysfs, or as terms; one counter for each processor of the cpumask, which is one per socket. */
static int dram_add(dram *d, const char *root, const char *box, const char *event, const char *terms) {
    char text[256], mask[256];
    const char *p = mask;
    dram_counter c;
    memset(&c, 0, sizeof c);
    c.fd = -1;
    c.bytes = 64;
    snprintf(c.box, sizeof c.box, "%s", box);
    snprintf(c.event, sizeof c.event, "%s", event);
    if (!terms) {
        if (!dram_text(root, box, "events/", event, text, sizeof text)) return 0;
        c.bytes = dram_unit(root, box, event);
        terms = text;
    }
    if (!(c.bytes > 0) || !dram_encode(root, box, terms, c.config)) return 0;
    if (!dram_text(root, box, "type", "", mask, sizeof mask)) return 0;
    c.type = (uint32_t)strtoul(mask, NULL, 10);
    if (!dram_text(root, box, "cpumask", "", mask, sizeof mask)) strcpy(mask, "0");
    while (*p) {
        char *end;
        unsigned long a = strtoul(p, &end, 10), b = a;
        if (end == p) return 0;
        if (*end == '-') b = strtoul(end + 1, &end, 10);
        if (*end && *end != ',') return 0;
        for (; a <= b; a++) {
            if (d->n == DRAM_MAX) return 0;
            c.cpu = (int32_t)a;
            d->c[d->n++] = c;
        }
        p = *end ? end + 1 : end;
    }
    return 1;
}

/* What there may be, in this order; the first kind that is there and understood is the one that counts. */
typedef struct dram_kind {
    const char *prefix;                 /* the boxes: prefix, or prefix_0, prefix_1, ... */
    const char *events[4];              /* names in sysfs, the first that is there */
    const char *terms[9];               /* else these, all of them, under the name terms_name */
    const char *terms_name;
    const char *vendor;                 /* that the terms are for, with family and models (none = any) */
    int32_t family, models[4];
    const char *umask;                  /* and the format of umask */
    int32_t both_ways;
} dram_kind;
static const dram_kind dram_kinds[] = {
    /* Intel: counters that run always; desktops from Tiger Lake on, servers from Ice Lake on */
    { "uncore_imc_free_running", { "data_read", "read" }, { 0 }, NULL, NULL, 0, { 0 }, NULL, 0 },
    /* Intel: desktops before that, then servers; Sapphire and Emerald Rapids, Granite Rapids and Sierra Forest have no names in sysfs */
    { "uncore_imc", { "data_reads", "cas_count_read", "unc_m_cas_count.rd", "data_read" }, { 0 }, NULL, NULL, 0, { 0 }, NULL, 0 },
    { "uncore_imc", { 0 }, { "event=0x05,umask=0xcf" }, "unc_m_cas_count.rd", "GenuineIntel", 6, { 0x8F, 0xCF }, NULL, 0 },
    { "uncore_imc", { 0 }, { "event=0x05,umask=0xcf", "event=0x06,umask=0xcf" }, "unc_m_cas_count_sch{0,1}.rd", "GenuineIntel", 6, { 0xAD, 0xAE, 0xAF }, NULL, 0 },
    /* AMD Zen 4 and later, Linux 6.7 */
    { "amd_umc", { "umc_cas_cmd.rd" }, { "event=0x0a,rdwrmask=0x1" }, "umc_cas_cmd.rd", "AuthenticAMD", 0, { 0 }, NULL, 0 },
    /* AMD Zen 1 to 3: the data fabric sees requests with data of up to eight channels, whichever way they go */
    { "amd_df", { 0 }, { "event=0x07,umask=0x38", "event=0x47,umask=0x38", "event=0x87,umask=0x38", "event=0xc7,umask=0x38", "event=0x107,umask=0x38",
      "event=0x147,umask=0x38", "event=0x187,umask=0x38", "event=0x1c7,umask=0x38" }, "dram_channel_data_controller_{0..7}", "AuthenticAMD", 0, { 0 }, "config:8-15", 1 } };

static int dram_is_box(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || strlen(name) >= sizeof ((dram_counter *)0)->box) return 0;
    if (!name[n]) return 1;
    return name[n] == '_' && name[n + 1] && name[n + 1 + strspn(name + n + 1, "0123456789")] == 0;
}
static int dram_by_name(const void *a, const void *b) {     /* imc_2 before imc_10 */
    const char *x = (const char *)a, *y = (const char *)b;
    size_t n = strlen(x), m = strlen(y);
    return n != m ? (n > m) - (n < m) : strcmp(x, y);
}
static void dram_processor(const char *root, char *vendor, size_t cap, int32_t *family, int32_t *model) {
    char path[512], line[512];
    FILE *f;
    vendor[0] = 0;
    *family = *model = -1;
    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    if (!(f = fopen(path, "r"))) return;
    while (fgets(line, sizeof line, f) && line[0] != '\n') {
        char *value = strchr(line, ':');
        if (!value) continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\n")] = 0;
        if (strncmp(line, "vendor_id", 9) == 0) snprintf(vendor, cap, "%s", value);
        if (strncmp(line, "cpu family", 10) == 0) *family = (int32_t)strtol(value, NULL, 10);
        if (strncmp(line, "model", 5) == 0 && strncmp(line, "model name", 10) != 0) *model = (int32_t)strtol(value, NULL, 10);
    }
    fclose(f);
}

/* Looks for the counters of this machine, or of one that is a folder. 0: d->why. */
static int dram_find(dram *d, const char *root) {
    char path[512], vendor[32], box[128][64], text[256];
    int32_t family, model;
    size_t k, i, j, n, n_seen = 0;
    memset(d, 0, sizeof *d);
    dram_processor(root, vendor, sizeof vendor, &family, &model);
    snprintf(path, sizeof path, "%s%s", root, DRAM_DEVICES);
    for (k = 0; k < sizeof dram_kinds / sizeof *dram_kinds; k++) {
        const dram_kind *q = &dram_kinds[k];
        struct dirent *e;
        DIR *devices = opendir(path);
        int ok = 1;
        n = 0;
        while (devices && (e = readdir(devices)) != NULL)
            if (dram_is_box(e->d_name, q->prefix) && n < 128) strcpy(box[n++], e->d_name);
        if (devices) closedir(devices);
        if (!n) continue;
        n_seen += n;
        qsort(box, n, sizeof box[0], dram_by_name);
        d->n = 0;
        for (i = 0; i < n && ok; i++) {
            ok = 0;
            for (j = 0; j < 4 && q->events[j] && !ok; j++) ok = dram_add(d, root, box[i], q->events[j], NULL);
            if (ok || !q->terms[0]) continue;
            for (j = 0; q->vendor && j < 4 && q->models[j]; j++) if (q->models[j] == model) break;
            if (q->vendor && (strcmp(q->vendor, vendor) != 0 || (q->family && q->family != family) || (q->models[0] && (j == 4 || !q->models[j])))) continue;
            if (q->umask && (!dram_text(root, box[i], "format/", "umask", text, sizeof text) || strcmp(text, q->umask) != 0)) continue;
            for (j = 0, ok = 1; j < 9 && q->terms[j] && ok; j++) ok = dram_add(d, root, box[i], q->terms_name, q->terms[j]);
        }
        if (ok && n < 128) {
            d->n_boxes = (int32_t)n;
            d->both_ways = q->both_ways;
            return 1;
        }
        snprintf(d->why, sizeof d->why, "%s has no event for reads that is known", box[i ? i - 1 : 0]);
    }
    d->n = 0;
    if (!n_seen) snprintf(d->why, sizeof d->why, "this machine shows no counters of its memory controllers (uncore_imc*, amd_umc*, amd_df)");
    return 0;
}

static void dram_close(dram *d) {
    int32_t i;
    for (i = 0; i < d->n; i++) if (d->c[i].fd >= 0) close(d->c[i].fd);
    d->n = 0;
}
/* Starts all counters, or none: a part of the controllers would be a figure that looks true and is not. */
static int dram_open(dram *d) {
    int32_t i;
    for (i = 0; i < d->n; i++) {
        dram_counter *c = &d->c[i];
        struct perf_event_attr a;
        memset(&a, 0, sizeof a);
        a.size = sizeof a;
        a.type = c->type;
        a.config = c->config[0];
        a.config1 = c->config[1];
        a.config2 = c->config[2];
        a.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
        c->fd = (int32_t)syscall(SYS_perf_event_open, &a, -1, c->cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (c->fd >= 0) continue;
        snprintf(d->why, sizeof d->why, "%s %s: %s%s", c->box, c->event, strerror(errno),
                 errno == EACCES || errno == EPERM ? " (needs root, CAP_PERFMON or kernel.perf_event_paranoid 0)" : "");
        dram_close(d);
        return 0;
    }
    return d->n > 0;
}
/* Bytes since the last call, or since the start; below 0 when a counter could not be read or never ran: d->why. */
static double dram_lap(dram *d) {
    double sum = 0;
    int32_t i, k;
    for (i = 0; i < d->n; i++) {
        dram_counter *c = &d->c[i];
        uint64_t now[3], was[3];
        if (c->fd < 0 || read(c->fd, now, sizeof now) != (ssize_t)sizeof now) {
            snprintf(d->why, sizeof d->why, "%s cannot be read", c->box);
            return -1;
        }
        for (k = 0; k < 3; k++) { was[k] = c->last[k]; c->last[k] = now[k]; now[k] -= was[k]; }
        if (now[1] && !now[2]) {
            snprintf(d->why, sizeof d->why, "%s never got a counter: others hold them all", c->box);
            return -1;
        }
        if (now[2] < now[1]) d->shared = 1;
        sum += (double)now[0] * c->bytes * (now[2] ? (double)now[1] / (double)now[2] : 1);
    }
    return sum;
}

#else
static int dram_find(dram *d, const char *root) {
    (void)root;
    memset(d, 0, sizeof *d);
    strcpy(d->why, "the counters of memory controllers are read on Linux alone");
    return 0;
}
static int dram_open(dram *d) { (void)d; return 0; }
static double dram_lap(dram *d) { (void)d; return -1; }
static void dram_close(dram *d) { (void)d; }
#endif
#endif
