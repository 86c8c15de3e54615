/* compose.c: for tests/compose.sh. Text on stdin, composed, on stdout. */
#define AIOS_IMPLEMENTATION
#define AIOSK_NO_SIMD
#include "aios.h"
#include <stdio.h>

static char in[64 << 20];
int main(void) {
    static uint32_t c[AIOS__MAX_STRETCH];
    size_t n = fread(in, 1, sizeof in, stdin);
    uint64_t p = 0, len, odd = aios__nfc_next(in, 0, n, c);
    while (p < n) { /* as aios_tokenize goes: only what aios__nfc_next finds is composed */
        uint32_t m, i;
        char s[4];
        if (odd == UINT64_MAX) return 1;
        fwrite(in + p, 1, (size_t)(odd - p), stdout);
        if ((p = odd) == n) break;
        m = aios__nfc_stretch(in + p, n - p, c, &len);
        for (i = 0; i < m; i++) fwrite(s, 1, aios__utf8_put(s, c[i]), stdout);
        p += len;
        odd = aios__nfc_next(in, p, n, c);
    }
    return 0;
}
