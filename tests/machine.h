/* machine.h: a machine that is a folder: files of /proc and /sys below MACHINES/name, written as
 * a test goes, for code that is told where their root is. POSIX; after #define MACHINES
 * "build/test_x.tmp". */
#ifndef AIOS_TEST_MACHINE_H
#define AIOS_TEST_MACHINE_H

#include "test.h"
#include <sys/stat.h>

static char machine_root[256];

/* An empty machine of that name; what put writes is below it. */
TEST_FN void machine_begin(const char *name) {
    char cmd[600];
    snprintf(machine_root, sizeof machine_root, "%s/%s", MACHINES, name);
    snprintf(cmd, sizeof cmd, "rm -rf %s && mkdir -p %s", machine_root, machine_root);
    CHECK(system(cmd) == 0);
}
TEST_FN void machine_put(const char *path, const char *text) {
    char full[700];
    FILE *f;
    snprintf(full, sizeof full, "%s/%s", machine_root, path);
    for (char *p = full + strlen(machine_root) + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(full, 0777);
        *p = '/';
    }
    f = fopen(full, "w");
    if (!CHECK_AT(f != NULL, "%s", full)) return;
    fputs(text, f);
    fclose(f);
}
/* All of them, when no test failed. */
TEST_FN void machine_end(void) {
    if (test__n_failed == 0) CHECK(system("rm -rf " MACHINES) == 0);
}

#endif
