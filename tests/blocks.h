/* blocks.h: how other engines keep a cache of 4, 5 and 8 bits, as a yardstick for ours. */
#ifndef AIOS_TEST_BLOCKS_H
#define AIOS_TEST_BLOCKS_H

#include "aios_kernels.h"
#include "test.h"
#include <math.h>

/* Blocks of 32, levels -2^(b-1) .. 2^(b-1) - 1 times an f16 step (q4_0, q5_0: the number of
 * largest magnitude is the lowest level; q8_0: largest magnitude 127), at b + 0.5 bits: x [n] ->
 * what is left of it */
TEST_FN void blocks32(const float *x, float *y, int n, int bits) {
    int i, j;
    for (i = 0; i < n; i += 32) {
        float most = 0, d;
        for (j = i; j < i + 32; j++)
            if (fabsf(x[j]) > fabsf(most)) most = x[j];
        d = bits == 8 ? fabsf(most) / 127.0f : most / -(float)(1 << (bits - 1));
        for (j = i; j < i + 32; j++) {
            float q = d != 0 ? rintf(x[j] / d) : 0;
            if (bits < 8)
                q = q > (float)((1 << (bits - 1)) - 1) ? (float)((1 << (bits - 1)) - 1) : q;
            y[j] = q * aiosk_f16_to_f32(aiosk_f32_to_f16(d));
        }
    }
}
/* The same for a head vector x [hd], in place, in the rotated space or as it is */
TEST_FN void blocks_head(const aiosk_isa *isa, float *x, int hd, int bits, int rotated) {
    if (rotated) isa->rotate(x, 1, hd, 0);
    blocks32(x, x, hd, bits);
    if (rotated) isa->rotate(x, 1, hd, 1);
}
#endif
