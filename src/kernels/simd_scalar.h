/* simd_scalar.h: the v_* vocabulary in plain C: one lane. The slowest set, and the definition of the others.
 *
 * The vocabulary, the same in every simd_* file (a set's integer dot products and unpacking are in simdi_*):
 *     vf, vi            V_W floats; V_W int32 (4 * V_W bytes). V_PER16 registers make 16 virtual lanes
 *     V_FN, V_EXPORT    qualifiers of an inlined helper and of a kernel: linkage and the set's target
 *     V_EXPORT_MM, V_EXPORT_REST, V_REST(f)   see set.inc
 *     V_HOT             beside V_EXPORT: a function that gets all of the compiler's effort (base.h)
 *     V_UNROLL, V_UNROLL_RARE   in front of loops that unpack a type, a rare one or a grid
 *     V_NAME(f)         f's name in this set
 *     v_loadu, v_storeu, v_loadi, v_storei                     no alignment asked
 *     v_set1, v_zero, v_set1i, v_zeroi, v_add, v_sub, v_mul, v_div, v_sqrt, v_addi, v_subi
 *     v_fma(a, b, c)    a * b + c, rounded once. Never feed a v_mul into v_add or v_sub: GCC contracts that;
 *     v_mulr(a, b)      is the product that may be fed into them
 *     v_max(a, b)       b > a ? b : a        v_min(a, b)   b < a ? b : a        (a when either is NaN)
 *     v_sel_lt(a, b, x, y)   a < b ? x : y   (y when either is NaN)
 *     v_abs, v_xorsign(x, s) (x with its sign flipped where s is negative)
 *     v_rint(x)         nearest even, |x| < 2^22; the sign of a zero is not defined
 *     v_cvt_f32_i32     float to int32, nearest even, |x| < 2^31;  v_cvt_i32_f32  int32 to float
 *     v_ldexp(p, n)     p * 2^n, rounded once, for whole n in [-150, 128] and p in [0.5, 2)
 *     v_load_f16, v_store_f16 (nearest even), v_load_bf16, v_load_i8     V_W numbers, no alignment asked
 *     v_kdot(acc, k, q) acc[i] + sum of the four products of signed bytes of dword i; k in [-127, 127] and passed
 *                       through v_kprep, q in [-127, 127]; the result is too large by V_KBIAS * (sum of q)
 *     v_vdot(acc, w, c) acc[i] + sum of the products of bytes of w in [0, 127] and of c, signed; only where V_VDOT is 1
 *     v_tree_add(v), v_tree_max(v)   the tree 8, 4, 2, 1 over the 16 lanes of v[V_PER16]; max by v_max(s[i], s[i + half])
 *     v_tree_adds(to, s) that of V_TREES times 16 lanes in memory, where there is V_FEW; to may be s or before it
 *     v_dup_even, v_dup_odd, v_swap2 pairs (a, b) to (a, a), (b, b), (b, a); only where V_W > 1
 *     v_swap(a, n)      lanes i and i ^ n exchanged, n = 1, 2, 4 .. below V_W
 *     V_MAXQ            queries that attend takes at once
 *     V_SHAPES(X)       X(a, n, j): a .. n queries by j * 16 lanes: what attend keeps in registers. From few queries to V_MAXQ; a shape takes
 *                       up to n queries, and what lanes the ones before it have left; the last one has V_MAXQ and 1 */
#ifndef AIOSK__SIMD_SCALAR_H
#define AIOSK__SIMD_SCALAR_H

#define V_FN AIOSK__INLINE
#define V_EXPORT static AIOSK__UNUSED
#define V_NAME(x) aiosk__##x##_scalar
#define V_BASE(x) aiosk__##x##_scalar
#define V_W 1
#define V_PER16 16
#define V_MAXQ 1
#define V_SHAPES(X) X(1, 1, 1)
#define V_KBIAS 0
#define vf float
#define vi int32_t
#undef V_HOT
#define V_HOT    /* small before fast */
#undef V_UNROLL
#define V_UNROLL
#undef V_UNROLL_RARE
#define V_UNROLL_RARE

V_FN vf v_loadu(const float *p) { return aiosk__f32(p); }           /* weights in a mapped file may stand anywhere */
V_FN void v_storeu(float *p, vf a) { memcpy(p, &a, 4); }
V_FN vi v_loadi(const void *p) { int32_t a; memcpy(&a, p, 4); return a; }
V_FN void v_storei(void *p, vi a) { memcpy(p, &a, 4); }
V_FN vf v_set1(float a) { return a; }
V_FN vf v_zero(void) { return 0.0f; }
V_FN vi v_set1i(int32_t a) { return a; }
V_FN vi v_zeroi(void) { return 0; }
V_FN vf v_add(vf a, vf b) { return a + b; }
V_FN vf v_sub(vf a, vf b) { return a - b; }
V_FN vf v_mul(vf a, vf b) { return a * b; }
V_FN vf v_mulr(vf a, vf b) { return aiosk__fma(a, b, -0.0f); }
V_FN vf v_div(vf a, vf b) { return a / b; }
V_FN vf v_sqrt(vf a) { return aiosk__sqrt(a); }
V_FN vf v_fma(vf a, vf b, vf c) { return aiosk__fma(a, b, c); }
V_FN vf v_max(vf a, vf b) { return b > a ? b : a; }
V_FN vf v_min(vf a, vf b) { return b < a ? b : a; }
V_FN vf v_sel_lt(vf a, vf b, vf x, vf y) { return a < b ? x : y; }
V_FN vf v_abs(vf a) { return aiosk__bits_f32(aiosk__f32_bits(a) & 0x7FFFFFFFu); }
V_FN vf v_xorsign(vf a, vf s) { return aiosk__bits_f32(aiosk__f32_bits(a) ^ (aiosk__f32_bits(s) & 0x80000000u)); }
V_FN vi v_addi(vi a, vi b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
V_FN vi v_subi(vi a, vi b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
V_FN vf v_cvt_i32_f32(vi a) { return (float)a; }
/* The sum is in double so that a float product that comes in cannot be contracted into it. 1.5 * 2^52 leaves the
 * rounded integer in the low bits. */
V_FN vi v_cvt_f32_i32(vf a) {
    double t = (double)a + 6755399441055744.0;
    uint64_t u;
    memcpy(&u, &t, 8);
    return (int32_t)(uint32_t)u;
}
V_FN vf v_rint(vf a) { return (float)v_cvt_f32_i32(a); }
V_FN vf v_ldexp(vf p, vf n) {
    int32_t i = (int32_t)n + 300, h = i >> 1;
    return v_mulr(p * aiosk__bits_f32((uint32_t)(h - 150 + 127) << 23), aiosk__bits_f32((uint32_t)(i - h - 150 + 127) << 23));
}
V_FN vf v_load_f16(const void *p) { return aiosk_f16_to_f32(aiosk__u16(p)); }
V_FN void v_store_f16(void *p, vf a) { uint16_t h = aiosk_f32_to_f16(a); memcpy(p, &h, 2); }
V_FN vf v_load_bf16(const void *p) { return aiosk__bits_f32((uint32_t)aiosk__u16(p) << 16); }
V_FN vf v_load_i8(const void *p) { return (float)*(const int8_t *)p; }
V_FN float v_tree_add(const vf *v) {
    float s[8];
    int i, h;
    for (i = 0; i < 8; i++) s[i] = v[i] + v[i + 8];
    for (h = 4; h > 0; h >>= 1) for (i = 0; i < h; i++) s[i] = s[i] + s[i + h];
    return s[0];
}
V_FN float v_tree_max(const vf *v) {
    float s[8];
    int i, h;
    for (i = 0; i < 8; i++) s[i] = v_max(v[i], v[i + 8]);
    for (h = 4; h > 0; h >>= 1) for (i = 0; i < h; i++) s[i] = v_max(s[i], s[i + h]);
    return s[0];
}
V_FN vi v_kprep(vi k) { return k; }
V_FN vi v_kdot(vi acc, vi k, vi q) {
    int8_t a[4], b[4];
    memcpy(a, &k, 4);
    memcpy(b, &q, 4);
    return acc + a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
}

#endif
