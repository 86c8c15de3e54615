/* kv_codes.h: the one table of what the numbers of a KV tile are stored as (api.h, attention). The enum, names,
 * sizes, what decodes and encodes them, and the tests' lists are all expanded from it. A code is added as a row
 * at the end: plans and saved states hold the ids.
 *
 *   name    of a side in the name of a type: "kv84" has keys "8", values "4". Up to two characters, so that no
 *           two of them in a row are two others
 *   both    the name of the type of which both sides are in this code
 *   planes  bits of a number in its planes of bytes or nibbles or pairs of bits, and in one of single bits. 16
 *           and 32: floats, in no planes
 *   sides   BOTH, VALUES: not for keys, ALONE: for both sides or none
 *   mean    keys without the mean of 64 positions, which is stored beside them
 *   top     what the level 127 is in standard deviations, for the first scale that an encoder tries
 *   levels  ascending; the top bit of an index is the sign, 1 = negative. (0): the number itself is the level */
#ifndef AIOSK__KV_CODES_H
#define AIOSK__KV_CODES_H

/* clang-format off */
/*    NAME id  name  both   planes sides   mean top        levels */
#define AIOSK__KV_CODES(X) \
    X(F16, 0, "16", "f16",  16, 0, BOTH,   0, 0.0f,      (0)) \
    X(F32, 1, "",   "f32",  32, 0, ALONE,  0, 0.0f,      (0)) \
    X(I8,  2, "8",  "kv8",   8, 0, BOTH,   0, 0.0f,      (0)) \
    X(C5,  3, "5",  "kv55",  4, 1, BOTH,   1, 3.260732f, (3, 8, 13, 18, 24, 29, 35, 41, \
                                                         47, 54, 61, 70, 79, 90, 105, 127)) \
    X(C4,  4, "4",  "kv44",  4, 0, BOTH,   1, 2.732590f, (6, 18, 31, 44, 58, 75, 96, 127)) \
    X(C3,  5, "3",  "kv33",  2, 1, BOTH,   1, 2.151946f, (14, 45, 79, 127)) \
    X(C2,  6, "2",  "kv22",  2, 0, VALUES, 0, 1.510418f, (38, 127))
/* clang-format on */

enum {
#define AIOSK__X(N, id, name, both, index, one, sides, mean, top, levels) AIOSK_KV_##N = id,
    AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
};
enum { /* places in the table: ids without gaps */
#define AIOSK__X(N, id, name, both, index, one, sides, mean, top, levels) AIOSK__KV_AT_##N,
       AIOSK__KV_CODES(AIOSK__X)
#undef AIOSK__X
           AIOSK_N_KV
};

#endif
