/* simdi_scalar.h: the integer vocabulary in plain C: one lane. The slowest set; here the words are defined for all.
 *
 * Lane r of a vi is a dword of row r. A code register holds four codes of its row in the bytes of that dword; x points to
 * the same columns of the activations, plain order, and every lane is multiplied with the same four. Sums are exact in int32.
 *
 * Words for unpacking, in the sets that unpack in registers (all but this one); b, c, m, n are constants:
 *     i_dup(p)                   the 4 bytes at p in every lane
 *     i_and, i_or, i_xor; i_srl(a, n), i_sll(a, n) shift dwords; i_addb adds bytes; i_add16, i_sub16, i_mul16 (low half),
 *     i_mulhi16 (high half, unsigned) take pairs of int16
 *     i_load_u8(p), i_load_u16   V_W numbers, each to a dword;  i_as_float  the bits of a as floats
 *     i_pairs(o, a)              o[0], o[1]: bytes 0 and 2, 1 and 3 of each dword as pairs of int16 (signed)
 *     i_table(p), i_lut(t, i)    a table of 16 bytes; the entry that each byte of i names (its bits 4..6 are 0; bit 7: gives 0)
 *     i_splat(a, b)              byte b of each dword in all four
 *     i_bits(a, c, m)            byte i of each dword is m where bit 4c + i of a's dword is set, else 0
 *     i_negate(w, a, c)          bytes of w negated where those bits are set
 *     i_gather16(t, i)           t[i] of each dword; reads 4 bytes
 *     i_rows4(o, a, rb)          o[0..3]: the dwords at a of V_W rows, rb bytes apart
 *     i_store_s8(p, a)           the lanes' low bytes
 * Words for products. kind says what the codes are: 4, 5, 6 unsigned of so many bits; 7, 8 signed, |code| <= 64 or 128,
 * passed through i_prep8 (which adds 128 where V_BIAS8); 9 is 8 as |code| and sign (lanes.inc: absolute), where V_XOR. Products of up to I_RUN(kind, n) registers of a run of n are added up in an
 * i_part, which may be narrower than int32:
 *     i_first(kind, z, w, x)     the part of one register; x: i_dup of four activations. Where V_START, z is added
 *     i_next(kind, a, w, x)      the part a with one more
 *     i_first(kind, z, w, x, i)  where V_QUAD: x is a register of sixteen activations, of which dword i goes to every lane;
 *     i_next(kind, a, w, x, i)   i is a constant
 *     i_sum(kind, a)             the part as int32
 *     i_end(kind, acc, a, b, s)  acc + s * part a; where I_PAIR(kind), acc + s * (a + b)
 *     i_scale(kind, a)           byte 0 of every lane, signed, as s
 *     i_macc_pair(acc, a, s)     acc + a.low * s[0] + a.high * s[1], where low and high are the int16 halves of a lane
 * A micro-kernel takes V_NP panels and V_NC columns at once. V_PREMUL: codes times scale below 256 are multiplied before the
 * sum. V_FIX: codes of 6 bits that stand for less are corrected behind the sum, not by z. V_FEW: most columns that share a
 * panel unpacked in registers (one_*, few_*), 8, or 0 in sets without such loops: half the code. V_MIXED: few_* take one column too.
 * V_TWO_KINDS: the loops for many columns know two kinds of codes, up to 6 bits and signed. */
#ifndef AIOSK__SIMDI_SCALAR_H
#define AIOSK__SIMDI_SCALAR_H
#define V_NP 1
#define V_BIAS8 0
#define V_PREMUL 0
#define V_FIX 0
#define V_START 0
#define V_QUAD 0
#define V_XOR 0
#define V_TWO_KINDS 0
#define V_FEW 0
#define V_NC 1

V_FN vi i_dup(const void *p) { int32_t a; memcpy(&a, p, 4); return a; }
V_FN vi i_and(vi a, vi b) { return a & b; }
V_FN vi i_or(vi a, vi b) { return a | b; }
V_FN vi i_load_u8(const void *p) { return *(const uint8_t *)p; }
V_FN vi i_srl(vi a, int n) { return (int32_t)((uint32_t)a >> n); }
V_FN vi i_sll(vi a, int n) { return (int32_t)((uint32_t)a << n); }
V_FN void i_pairs(vi *o, vi a) {
    const uint32_t b = (uint32_t)a;
    o[0] = (int32_t)((uint32_t)(int8_t)(b & 255) & 0xFFFFu) | (int32_t)((uint32_t)(int8_t)(b >> 16 & 255) << 16);
    o[1] = (int32_t)((uint32_t)(int8_t)(b >> 8 & 255) & 0xFFFFu) | (int32_t)((uint32_t)(int8_t)(b >> 24) << 16);
}
V_FN vi i_prep8(vi w) { return w; }
V_FN vi i_scale(const int kind, vi a) { (void)kind; return (int8_t)(a & 255); }
#define i_part vi
#define I_RUN(kind, n) (n)
#define I_PAIR(kind) 0
V_FN i_part i_next(const int kind, i_part a, vi w, vi x) {
    int8_t p[4], q[4];
    (void)kind;
    memcpy(p, &w, 4);
    memcpy(q, &x, 4);
    return a + p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3];
}
V_FN i_part i_first(const int kind, vi z, vi w, vi x) { (void)z; return i_next(kind, 0, w, x); }
V_FN vi i_sum(const int kind, i_part a) { (void)kind; return a; }
V_FN vi i_end(const int kind, vi acc, i_part a, i_part b, vi s) { (void)kind; (void)b; return acc + a * s; }
V_FN vi i_macc_pair(vi acc, vi a, const int16_t *s) {
    return acc + (int16_t)(a & 0xFFFF) * s[0] + (int16_t)((uint32_t)a >> 16) * s[1];
}
V_FN void i_store_s8(int8_t *p, vi a) { *p = (int8_t)a; }

#endif
