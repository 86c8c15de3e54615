/* quantize.c: f32 -> blocks, the reverse of ref.c, for tools that write model files. Scalar, no
 * state, the same bytes from every compiler: plain float and double in a fixed order, never
 * contracted. After ref.c, whose definition of the formats it aims at.
 *
 * Every type is the same problem, x = d * sc[j] * L - dmin * mn[j] with levels L that a code can
 * stand for, least squares:
 *
 *     one sub-block     aiosk__fit_sub: a few scales are tried, each refitted to the levels it
 *                       gives; the best is refined until it stands (levels for a scale, scale for
 *                       the levels, and so on)
 *     one scale each    aiosk__fit_plain: what can be stored next to that scale, by exact error
 *                       (Q4_0 .. Q8_0, IQ4_NL, MXFP4 ..)
 *     integer scales    aiosk__fit_super: the sub-blocks' scales are themselves quantised, by the
 *                       same search; then in rounds: each sub-block takes the integers with the
 *                       least exact error, and d and dmin are refitted to all of them
 *
 * A block is first brought to |x| < 2 by a power of two, so that squares neither overflow nor
 * vanish. */

struct aiosk__fit;
typedef struct aiosk__levels {
    float low, high; /* every integer from low to high; or */
    int32_t n; /* n > 0: low, low + step[0], low + step[0] + step[1], .. with mid[] half way */
    float mid[15], step[15];
} aiosk__levels;

enum { AIOSK__ALL = 0, AIOSK__IQ4 = 1, AIOSK__FP4 = 2, AIOSK__SIGN = 3 }; /* levels of a recipe */
enum { AIOSK__F16_SCALE = 0, AIOSK__E8M0_SCALE = 1, AIOSK__E4M3_SCALE = 2 };

/* How a type is fitted: a row of formats.h */
typedef struct aiosk__recipe {
    /* writes what was fitted, with these codes; b is all zero. NULL: no quantiser */
    void (*put)(const struct aiosk__fit *f, const uint8_t *c, uint8_t *b);
    uint8_t scale, levels;
    uint16_t n, sub; /* weights fitted together, and per scale */
    int8_t low, high;
    int8_t sc_lo, sc_hi; /* integer scales; 0, 0: the scale is a float */
    int8_t mn;           /* the largest; 0: no minimum, -1: any number */
    /* the first scales tried: from .. to percent of the one that just avoids clipping */
    uint8_t n_tries;
    uint16_t from, to;
} aiosk__recipe;

/* Sums over a sub-block, each weight times w: 1, x, x^2; L, L^2, xL. */
typedef struct aiosk__moments {
    double w, x, xx, l, ll, xl;
} aiosk__moments;

typedef struct aiosk__fit {
    const aiosk__recipe *r;
    aiosk__levels lv, sc, mn; /* of codes, integer scales, integer minima */
    double unit;              /* 2^e: a stored number is unit times the one that is fitted */
    float x[256], w[256];     /* the block, and how much each weight matters */
    float l[256], try_l[256]; /* levels: the best so far, the ones being tried */
    double a[16], m[16];      /* of each sub-block: x = a L - m */
    aiosk__moments s[16];
    /* the result, with l */
    uint16_t d, dmin; /* as stored (f16, or the byte of the type's scale) */
    int16_t isc[16], imn[16];
    int32_t part; /* of a block, where several are fitted one by one: NVFP4 */
} aiosk__fit;
enum { AIOSK__NO_MIN = 0 };

/* ---- a pass over a sub-block ----
 * n is a multiple of 16. Eight partial sums: a fixed order, and short chains of additions. */

/* l[i] = the level nearest to x[i] * inv + off. Any inv and off, even infinities: the levels are
 * always in range. */
AIOSK__STRICT AIOSK__NOINLINE static void aiosk__nearest(const aiosk__levels *lv,
                                                         const float *AIOSK__RESTRICT x, int32_t n,
                                                         float inv, float off,
                                                         float *AIOSK__RESTRICT l) {
    float low = lv->low, high = lv->high;
    if (!lv->n) {
        for (int32_t i = 0; i < n; i += 8)
            for (int32_t j = 0; j < 8; j++) {
                float v = x[i + j] * inv + off;
                v = v > low ? v : low;
                v = v < high ? v : high;
                /* 1.5 * 2^23: rounds to an integer, ties to even */
                l[i + j] = (v + 12582912.0f) - 12582912.0f;
            }
        return;
    }
    for (int32_t i = 0; i < n; i += 8) {
        float v[8], s[8];
        for (int32_t j = 0; j < 8; j++) {
            v[j] = x[i + j] * inv + off;
            s[j] = low;
        }
        for (int32_t k = 0; k < lv->n; k++) {
            float mid = lv->mid[k], step = lv->step[k];
            for (int32_t j = 0; j < 8; j++) s[j] += v[j] > mid ? step : 0.0f;
        }
        for (int32_t j = 0; j < 8; j++) l[i + j] = s[j];
    }
}

AIOSK__INLINE double aiosk__sum8(const float *s) {
    return ((double)s[0] + (double)s[4]) + ((double)s[2] + (double)s[6]) +
           (((double)s[1] + (double)s[5]) + ((double)s[3] + (double)s[7]));
}
/* The moments that depend on the levels. */
AIOSK__STRICT AIOSK__NOINLINE static void
aiosk__measure(const float *x, const float *w, const float *l, int32_t n, aiosk__moments *s) {
    float a[8] = { 0 }, b[8] = { 0 }, c[8] = { 0 };
    for (int32_t i = 0; i < n; i += 8)
        for (int32_t j = 0; j < 8; j++) {
            float wl = w[i + j] * l[i + j];
            a[j] += wl;
            b[j] += wl * l[i + j];
            c[j] += wl * x[i + j];
        }
    s->l = aiosk__sum8(a);
    s->ll = aiosk__sum8(b);
    s->xl = aiosk__sum8(c);
}
/* sum w (x - (a l - m))^2 */
AIOSK__STRICT AIOSK__NOINLINE static double
aiosk__squares(const float *x, const float *w, const float *l, int32_t n, float a, float m) {
    float s[8] = { 0 };
    for (int32_t i = 0; i < n; i += 8)
        for (int32_t j = 0; j < 8; j++) {
            float e = (x[i + j] + m) - a * l[i + j];
            s[j] += w[i + j] * (e * e);
        }
    return aiosk__sum8(s);
}

/* ---- one sub-block: x = a L - m ---- */

/* The a and m of least squares for levels with these moments; gives by how much they bring the
 * sum of squares below s->xx. mn as in a recipe: a minimum is none, any number, or not negative. */
AIOSK__STRICT static double aiosk__solve(const aiosk__moments *s, int32_t mn, double *a,
                                         double *m) {
    if (mn != AIOSK__NO_MIN) {
        double det = s->w * s->ll - s->l * s->l;
        *a = det > 1e-7 * s->w * s->ll ? (s->w * s->xl - s->x * s->l) / det : 0;
        *m = (*a * s->l - s->x) / s->w;
        if (*a >= 0 && (*m >= 0 || mn < 0)) return *a * s->xl - *m * s->x;
    }
    *m = 0;
    *a = s->ll > 0 ? s->xl / s->ll : 0;
    if (mn != AIOSK__NO_MIN && *a < 0) *a = 0;
    return *a * s->xl;
}

/* The scale of least squares for n values alone, as x = a L: tries, then refines. Levels go to
 * best. */
AIOSK__STRICT static double aiosk__fit_values(const aiosk__levels *lv, const float *x,
                                              const float *w, int32_t n, int32_t mn,
                                              int32_t n_tries, double from, double to,
                                              aiosk__moments *s, float *tmp, float *best,
                                              double *m) {
    double top = 0, low = 0, high = 0, best_gain = -1, a = 0, ends[2];
    int32_t left = 4;
    s->w = s->x = s->xx = 0;
    for (int32_t i = 0; i < n; i++) {
        double v = (double)x[i], u = (double)w[i];
        if (v > top || -v > top) top = v < 0 ? -v : v;
        if (v < low || (mn < 0 && i == 0)) low = v;
        if (v > high || (mn < 0 && i == 0)) high = v;
        s->w += u;
        s->x += u * v;
        s->xx += u * v * v;
    }
    *m = 0;
    /* the largest value goes to the end of the levels that lies further out; where the ends
     * differ much, every other time to the other */
    ends[0] = (double)(-lv->low > lv->high ? lv->low : lv->high);
    ends[1] = (double)(-lv->low > lv->high ? lv->high : lv->low);
    if (ends[1] == 0 || (lv->low + lv->high >= -1 && lv->low + lv->high <= 0)) ends[1] = ends[0];
    if (-low > high) top = -top;
    if (lv->low == -lv->high && top < 0) top = -top; /* keeps scales positive that have no sign */
    for (int32_t k = 0; k < n_tries + left; k++) {
        double inv, off = 0, ta, tm, gain;
        if (k < n_tries) {
            inv = (from + (to - from) * k / (n_tries > 1 ? n_tries - 1 : 1)) * 0.01;
            if (mn == AIOSK__NO_MIN)
                inv = top != 0 ? inv * ends[k & 1] / top : 0;
            else {
                inv = high > low ? inv * (double)lv->high / (high - low) : 0;
                off = -low * inv;
            }
        } else {
            if (a == 0) break;
            inv = 1 / a;
            off = *m * inv;
        }
        aiosk__nearest(lv, x, n, (float)inv, (float)off, tmp);
        aiosk__measure(x, w, tmp, n, s);
        gain = aiosk__solve(s, mn, &ta, &tm);
        if (gain > best_gain) {
            best_gain = gain;
            a = ta;
            *m = tm;
            memcpy(best, tmp, (size_t)n * sizeof *best);
        } else if (k >= n_tries)
            break;
    }
    aiosk__measure(x, w, best, n, s);
    return a;
}

static void aiosk__fit_sub(aiosk__fit *f, int32_t j) {
    const aiosk__recipe *r = f->r;
    int32_t at = j * r->sub;
    f->a[j] = aiosk__fit_values(&f->lv, f->x + at, f->w + at, r->sub, r->mn, r->n_tries, r->from,
                                r->to, &f->s[j], f->try_l, f->l + at, &f->m[j]);
}

/* ---- numbers as they are stored ---- */

/* The f16 nearest to v * unit, and what it is worth in the fit. */
AIOSK__STRICT static double aiosk__store_f16(const aiosk__fit *f, double v, uint16_t *h) {
    v *= f->unit;
    if (!(v > -65504)) v = -65504;
    if (!(v < 65504)) v = 65504;
    *h = aiosk__to_f16((float)v);
    return (double)aiosk__f16(*h) / f->unit;
}
/* Stored scale number i = 0, 1, .. near a; 0 when there are no more. */
AIOSK__STRICT static int aiosk__store_scale(const aiosk__fit *f, double a, int32_t i, double *d,
                                            uint16_t *h) {
    int32_t k, n;
    a = (a < 0 ? -a : a) * f->unit;
    switch (f->r->scale) {
    /* 2^(k-128), and both neighbours; above k = 252 the level 12 would be infinite */
    case AIOSK__E8M0_SCALE:
        for (k = 1; k < 252 && (double)aiosk__e8m0_half((uint8_t)k) * 2 <= a; k++) {}
        k += i - 1;
        if (i > 2 || k > 252) return 0;
        *d = (double)aiosk__e8m0_half((uint8_t)k) / f->unit;
        break;
    case AIOSK__E4M3_SCALE: /* the largest that is not above a, and the next */
        for (k = 0, n = 64; n; n >>= 1)
            if (k + n < 0x7F && (double)aiosk__ue4m3_half((uint8_t)(k + n)) <= a) k += n;
        k += i;
        if (i > 1 || k > 0x7E) return 0;
        *d = (double)aiosk__ue4m3_half((uint8_t)k) / f->unit;
        break;
    default: return 0;
    }
    *h = (uint16_t)k;
    return 1;
}

/* ---- blocks with a scale of their own ---- */
AIOSK__STRICT static void aiosk__fit_plain(aiosk__fit *f) {
    const aiosk__recipe *r = f->r;
    int other = r->scale != AIOSK__F16_SCALE;
    double best = -1, m;

    aiosk__fit_sub(f, 0);
    aiosk__moments s = f->s[0];
    double a = f->a[0];
    for (int32_t round = 0; round < 3; round++) {
        double from = best;
        for (int32_t i = 0; other ? 1 : i == 0; i++) {
            uint16_t h = 0, hm = 0;
            double d = 0, dm = 0;
            if (other) {
                if (!aiosk__store_scale(f, a, i, &d, &h)) break;
            } else
                d = aiosk__store_f16(f, a, &h);
            if (r->mn) dm = -aiosk__store_f16(f, -(d * s.l - s.x) / s.w, &hm);
            if (d != 0)
                aiosk__nearest(&f->lv, f->x, r->n, (float)(1 / d), (float)(dm / d), f->try_l);
            else
                aiosk__nearest(&f->lv, f->x, r->n, 0, 0, f->try_l);
            double e = aiosk__squares(f->x, f->w, f->try_l, r->n, (float)d, (float)dm);
            if (best >= 0 && !(e < best)) continue;
            best = e;
            f->d = h;
            f->dmin = hm;
            memcpy(f->l, f->try_l, (size_t)r->n * sizeof *f->l);
        }
        if (best == from) break;
        aiosk__measure(f->x, f->w, f->l, r->n, &s);
        (void)aiosk__solve(&s, r->mn, &a, &m);
    }
}

/* ---- blocks with integer scales ---- */

/* One sub-block with d and dm as stored: the integers next to its own scale and minimum that
 * give the least exact error. */
AIOSK__STRICT static double aiosk__choose(aiosk__fit *f, int32_t j, double d, double dm) {
    const aiosk__recipe *r = f->r;
    const float *x = f->x + j * r->sub, *w = f->w + j * r->sub;
    float *best_l = f->l + j * r->sub;
    double best = -1, base = d != 0 ? f->a[j] / d : 0;
    aiosk__moments s = f->s[j];
    base = base > r->sc_lo ? base : r->sc_lo;
    base = base < r->sc_hi ? base : r->sc_hi;
    int32_t c = (int32_t)(base + 0.5 - r->sc_lo) + r->sc_lo;
    int32_t low = c - 1 < r->sc_lo ? r->sc_lo : c - 1;
    int32_t high = c + 1 > r->sc_hi ? r->sc_hi : c + 1;
    for (int32_t k = low; k <= high; k++) {
        double a = d * k, m = f->m[j];
        int32_t mi = 0;
        /* the levels; the minimum for them; the levels for that */
        for (int32_t pass = 0; pass < (r->mn && a != 0 ? 2 : 1); pass++) {
            double e;
            if (pass || !r->mn || a == 0) {
                if (r->mn) {
                    double v = dm != 0 ? ((a == 0 ? 0 : a * s.l) - s.x) / s.w / dm : 0;
                    v = v > 0 ? v : 0;
                    v = v < r->mn ? v : r->mn;
                    mi = (int32_t)(v + 0.5);
                    m = dm * mi;
                }
                if (a != 0)
                    aiosk__nearest(&f->lv, x, r->sub, (float)(1 / a), (float)(m / a), f->try_l);
                else
                    aiosk__nearest(&f->lv, x, r->sub, 0, 0, f->try_l);
                e = aiosk__squares(x, w, f->try_l, r->sub, (float)a, (float)m);
                if (best >= 0 && !(e < best)) continue;
                best = e;
                f->isc[j] = (int16_t)k;
                f->imn[j] = (int16_t)mi;
                memcpy(best_l, f->try_l, (size_t)r->sub * sizeof *best_l);
            } else {
                aiosk__nearest(&f->lv, x, r->sub, (float)(1 / a), (float)(m / a), f->try_l);
                aiosk__measure(x, w, f->try_l, r->sub, &s);
            }
        }
    }
    return best;
}

/* d for values v with weights u, as integers of lv. */
static double aiosk__fit_integers(const aiosk__levels *lv, const double *v, const double *u,
                                  int32_t n, double from) {
    float x[16] = { 0 }, w[16] = { 0 }, tmp[16], l[16];
    aiosk__moments s;
    double m;
    for (int32_t i = 0; i < n; i++) {
        x[i] = (float)v[i];
        w[i] = (float)u[i];
    }
    return aiosk__fit_values(lv, x, w, 16, AIOSK__NO_MIN, 21, from, 102, &s, tmp, l, &m);
}

AIOSK__STRICT static void aiosk__fit_super(aiosk__fit *f) {
    const aiosk__recipe *r = f->r;
    int32_t n = r->n / r->sub;
    double u[16] = { 0 }, dm = 0, best = -1;
    float keep[256];
    int16_t sc[16], mn[16];
    uint16_t h, hm = 0;
    for (int32_t j = 0; j < n; j++) {
        aiosk__fit_sub(f, j);
        u[j] = r->mn ? f->s[j].ll - f->s[j].l * f->s[j].l / f->s[j].w : f->s[j].ll;
        if (!(u[j] > 0)) u[j] = 0;
    }
    double d = aiosk__fit_integers(&f->sc, f->a, u, n, 90);
    if (r->mn) {
        for (int32_t j = 0; j < n; j++) u[j] = f->s[j].w;
        dm = aiosk__fit_integers(&f->mn, f->m, u, n, 90);
    }
    for (int32_t round = 0; round < 3; round++) {
        double e = 0, a11 = 0, a12 = 0, a22 = 0, b1 = 0, b2 = 0, det;
        d = aiosk__store_f16(f, d, &h);
        if (r->mn) dm = aiosk__store_f16(f, dm, &hm);
        for (int32_t j = 0; j < n; j++) e += aiosk__choose(f, j, d, dm);
        if (best >= 0 && !(e < best)) break;
        best = e;
        f->d = h;
        f->dmin = hm;
        memcpy(keep, f->l, sizeof keep);
        memcpy(sc, f->isc, sizeof sc);
        memcpy(mn, f->imn, sizeof mn);
        for (int32_t j = 0; j < n; j++) {
            aiosk__moments *s = &f->s[j];
            double k = f->isc[j], q = f->imn[j];
            aiosk__measure(f->x + j * r->sub, f->w + j * r->sub, f->l + j * r->sub, r->sub, s);
            (void)aiosk__solve(s, r->mn, &f->a[j], &f->m[j]);
            a11 += k * k * s->ll;
            a12 -= k * q * s->l;
            a22 += q * q * s->w;
            b1 += k * s->xl;
            b2 -= q * s->x;
        }
        det = a11 * a22 - a12 * a12;
        if (r->mn && det > 1e-9 * a11 * a22) {
            d = (b1 * a22 - b2 * a12) / det;
            dm = (b2 * a11 - b1 * a12) / det;
        } else if (a11 > 0) {
            d = (b1 - a12 * dm) / a11;
        }
    }
    memcpy(f->l, keep, sizeof keep);
    memcpy(f->isc, sc, sizeof sc);
    memcpy(f->imn, mn, sizeof mn);
}

/* ---- bytes: the reverse of ref.c's aiosk__ints_* ---- */

/* The code of a level. */
AIOSK__INLINE uint32_t aiosk__code(const aiosk__recipe *r, float level) {
    const int8_t *t = r->levels == AIOSK__IQ4 ? aiosk__iq4_levels : aiosk__fp4_levels;
    int32_t v = (int32_t)level;
    uint32_t i = 0;
    if (r->levels == AIOSK__ALL) return (uint32_t)(v - r->low);
    if (r->levels == AIOSK__SIGN) return v > 0;
    while (i < 15 && t[i] != v) i++;
    return i;
}
AIOSK__INLINE void aiosk__put16(uint8_t *b, uint16_t v) { memcpy(b, &v, 2); }
/* Nibbles in halves of 16 columns. */
AIOSK__INLINE void aiosk__put_halves(uint8_t *qs, const uint8_t *c) {
    for (int k = 0; k < 16; k++) qs[k] = (uint8_t)((c[k] & 15) | (c[k + 16] & 15) << 4);
}
AIOSK__INLINE void aiosk__put_fifth(uint8_t *qh, const uint8_t *c) {
    for (int k = 0; k < 32; k++) qh[k >> 3] |= (uint8_t)((c[k] >> 4 & 1) << (k & 7));
}
/* Where aiosk__two_bits, aiosk__four_bits look; c holds no more than those bits. */
static void aiosk__put_two(uint8_t *qs, const uint8_t *c, int shift) {
    for (int k = 0; k < 256; k++)
        qs[(k >> 7) * 32 + (k & 31)] |= (uint8_t)((c[k] >> shift & 3) << (k >> 5 & 3) * 2);
}
static void aiosk__put_four(uint8_t *qs, const uint8_t *c) {
    for (int k = 0; k < 256; k++)
        qs[(k >> 6) * 32 + (k & 31)] |= (uint8_t)((c[k] & 15) << (k & 32 ? 4 : 0));
}
/* Bit `bit` of column 32 * i + k in bit i of byte k. */
static void aiosk__put_bits(uint8_t *qh, const uint8_t *c, int bit) {
    for (int k = 0; k < 256; k++) qh[k & 31] |= (uint8_t)((c[k] >> bit & 1) << (k >> 5));
}

/* Below, aiosk__put_*: a whole block; c: a byte for each code */
#define AIOSK__PUT(t) static void aiosk__put_##t(const aiosk__fit *f, const uint8_t *c, uint8_t *b)
AIOSK__PUT(q4_0) {
    aiosk__put16(b, f->d);
    aiosk__put_halves(b + 2, c);
}
AIOSK__PUT(q4_1) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    aiosk__put_halves(b + 4, c);
}
AIOSK__PUT(q5_0) {
    aiosk__put16(b, f->d);
    aiosk__put_fifth(b + 2, c);
    aiosk__put_halves(b + 6, c);
}
AIOSK__PUT(q5_1) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    aiosk__put_fifth(b + 4, c);
    aiosk__put_halves(b + 8, c);
}
AIOSK__PUT(q8_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 32; k++) b[2 + k] = (uint8_t)(c[k] - 127);
}
AIOSK__PUT(mxfp4) {
    b[0] = (uint8_t)f->d;
    aiosk__put_halves(b + 1, c);
}
AIOSK__PUT(nvfp4) {
    b[f->part] = (uint8_t)f->d;
    for (int k = 0; k < 8; k++) b[4 + f->part * 8 + k] = (uint8_t)(c[k] | c[k + 8] << 4);
}
AIOSK__PUT(q1_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 128; k++) b[2 + (k >> 3)] |= (uint8_t)(c[k] << (k & 7));
}
AIOSK__PUT(q2_0) {
    aiosk__put16(b, f->d);
    for (int k = 0; k < 64; k++) b[2 + (k >> 2)] |= (uint8_t)(c[k] << (k & 3) * 2);
}
AIOSK__PUT(q2_k) {
    for (int j = 0; j < 16; j++) b[j] = (uint8_t)(f->isc[j] | f->imn[j] << 4);
    aiosk__put_two(b + 16, c, 0);
    aiosk__put16(b + 80, f->d);
    aiosk__put16(b + 82, f->dmin);
}
AIOSK__PUT(q3_k) {
    aiosk__put_bits(b, c, 2);
    aiosk__put_two(b + 32, c, 0);
    for (int j = 0; j < 16; j++) {
        int s = f->isc[j] + 32;
        b[96 + (j & 7)] |= (uint8_t)((s & 15) << (j >> 3) * 4);
        b[104 + (j & 3)] |= (uint8_t)((s >> 4) << (j >> 2) * 2);
    }
    aiosk__put16(b + 108, f->d);
}
/* Scales and minima of Q4_K and Q5_K: aiosk__scales_k */
static void aiosk__put_scales_k(const aiosk__fit *f, uint8_t *b) {
    aiosk__put16(b, f->d);
    aiosk__put16(b + 2, f->dmin);
    for (int j = 0; j < 4; j++) {
        int s = f->isc[j + 4], m = f->imn[j + 4];
        b[4 + j] = (uint8_t)(f->isc[j] | (s >> 4) << 6);
        b[8 + j] = (uint8_t)(f->imn[j] | (m >> 4) << 6);
        b[12 + j] = (uint8_t)((s & 15) | (m & 15) << 4);
    }
}
AIOSK__PUT(q4_k) {
    aiosk__put_scales_k(f, b);
    aiosk__put_four(b + 16, c);
}
AIOSK__PUT(q5_k) {
    aiosk__put_scales_k(f, b);
    aiosk__put_bits(b + 16, c, 4);
    aiosk__put_four(b + 48, c);
}
AIOSK__PUT(q6_k) {
    for (int k = 0; k < 256; k++)
        b[(k >> 7) * 64 + (k & 63)] |= (uint8_t)((c[k] & 15) << (k & 64 ? 4 : 0));
    aiosk__put_two(b + 128, c, 4);
    for (int j = 0; j < 16; j++) b[192 + j] = (uint8_t)f->isc[j];
    aiosk__put16(b + 208, f->d);
}
AIOSK__PUT(iq4_xs) {
    uint32_t high = 0;
    aiosk__put16(b, f->d);
    for (int j = 0; j < 8; j++) {
        uint32_t s = (uint32_t)(f->isc[j] + 32);
        b[4 + (j >> 1)] |= (uint8_t)((s & 15) << (j & 1) * 4);
        high |= (s >> 4) << 2 * j;
        aiosk__put_halves(b + 8 + j * 16, c + j * 32);
    }
    aiosk__put16(b + 2, (uint16_t)high);
}
AIOSK__PUT(tq2_0) {
    aiosk__put_two(b, c, 0);
    aiosk__put16(b + 64, f->d);
}
/* see aiosk__ints_tq1_0: digits 3^4 .. of bytes [32], [16], and 3^4 .. 3^1 of [4] */
AIOSK__PUT(tq1_0) {
    for (int k = 0; k < 52; k++) {
        uint32_t v = 0;
        for (int j = 0; j < 5; j++)
            v = v * 3 + (k < 32   ? c[j * 32 + k]
                         : k < 48 ? c[160 + j * 16 + k - 32]
                         : j < 4  ? c[240 + j * 4 + k - 48]
                                  : 0u);
        b[k] = (uint8_t)((v * 256 + 242) / 243);
    }
    aiosk__put16(b + 52, f->d);
}
#undef AIOSK__PUT

static const aiosk__recipe aiosk__recipes[AIOSK_N_TYPES] = {
#define aiosk__put_none NULL
#define AIOSK__RECIPE(put, scale, levels, ...) \
    aiosk__put_##put, AIOSK__##scale##_SCALE, AIOSK__##levels, __VA_ARGS__
#define AIOSK__X(N, n, id, w, b, f, loops, kind, offset, columns, minima, panel, fit) \
    { AIOSK__RECIPE fit },
#define AIOSK__GAP(id) { NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    AIOSK__IDS(AIOSK__X, AIOSK__GAP)
#undef AIOSK__GAP
#undef AIOSK__X
#undef AIOSK__RECIPE
#undef aiosk__put_none
};

/* ---- rows ---- */

static void aiosk__levels_all(aiosk__levels *lv, int32_t low, int32_t high) {
    lv->low = (float)low;
    lv->high = (float)high;
    lv->n = 0;
}
static void aiosk__levels_of(aiosk__levels *lv, const aiosk__recipe *r) {
    static const int8_t fp4[15] = { -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12 },
                        sign[2] = { -1, 1 };
    const int8_t *t = r->levels == AIOSK__IQ4   ? aiosk__iq4_levels
                      : r->levels == AIOSK__FP4 ? fp4
                                                : sign;
    aiosk__levels_all(lv, r->low, r->high);
    if (r->levels == AIOSK__ALL) return;
    lv->n = r->levels == AIOSK__IQ4 ? 15 : r->levels == AIOSK__FP4 ? 14 : 1;
    for (int32_t i = 0; i < lv->n; i++) {
        lv->mid[i] = 0.5f * (float)(t[i] + t[i + 1]);
        lv->step[i] = (float)(t[i + 1] - t[i]);
    }
}

/* 2^e, -1022 <= e <= 1023 */
AIOSK__INLINE double aiosk__pow2(int32_t e) {
    uint64_t u = (uint64_t)(e + 1023) << 52;
    double v;
    memcpy(&v, &u, 8);
    return v;
}
/* Copies n finite numbers, brought to below 2 in magnitude by a power of two, which it gives:
 * NaN becomes 0, infinity the largest float. negative = 0 drops what is negative. All zero:
 * gives 0. */
AIOSK__STRICT static double aiosk__normalise(const float *x, int32_t n, int negative, float *y) {
    uint32_t top = 0;
    int32_t e;
    for (int32_t i = 0; i < n; i++) {
        uint32_t u = aiosk__f32_bits(x[i]), a = u & 0x7FFFFFFF;
        if (a > 0x7F800000 || (!negative && u >> 31)) u = a = 0;
        if (a == 0x7F800000) {
            u--;
            a--;
        }
        if (a > top) top = a;
        y[i] = aiosk__bits_f32(u);
    }
    if (top == 0) return 0;
    for (e = (int32_t)(top >> 23) - 127; top < 0x00800000; top <<= 1) e--;
    double unit = aiosk__pow2(e);
    double inv = aiosk__pow2(-e);
    for (int32_t i = 0; i < n; i++) y[i] = (float)((double)y[i] * inv);
    return unit;
}

AIOSK_API uint64_t aiosk_quantize(int32_t type, const float *x, uint64_t n_rows, uint64_t n_in,
                                  const float *importance, void *dst) {
    uint64_t row_bytes = aiosk_row_bytes(type, n_in);
    const aiosk_type *t = aiosk_type_info(type);
    uint8_t *out = (uint8_t *)dst, c[256];
    aiosk__fit f;
    if (!row_bytes || n_rows > UINT64_MAX / row_bytes) return 0;
    if (type == AIOSK_F32 || type == AIOSK_F16 || type == AIOSK_BF16) {
        for (uint64_t row = n_rows * row_bytes; row; row -= t->n_bytes, x++, out += t->n_bytes) {
            if (type == AIOSK_F32)
                memcpy(out, x, 4);
            else
                aiosk__put16(out, type == AIOSK_F16 ? aiosk__to_f16(*x) : aiosk__to_bf16(*x));
        }
        return n_rows * row_bytes;
    }
    f.r = &aiosk__recipes[type];
    if (!f.r->put) return 0;
    aiosk__levels_of(&f.lv, f.r);
    aiosk__levels_all(&f.sc, f.r->sc_lo, f.r->sc_hi);
    aiosk__levels_all(&f.mn, 0, f.r->mn);
    for (uint64_t row = 0; row < n_rows; row++)
        for (uint64_t i = 0; i < n_in; i += (uint64_t)f.r->n, x += f.r->n) {
            f.part = (int32_t)(i % t->n_weights) / f.r->n; /* 0 but for NVFP4 */
            if (f.part == 0) memset(out, 0, t->n_bytes);
            f.unit = aiosk__normalise(x, f.r->n, 1, f.x);
            if (!importance || aiosk__normalise(importance + i, f.r->n, 0, f.w) == 0)
                for (int32_t k = 0; k < f.r->n; k++) f.w[k] = 1;
            f.d = f.dmin = 0;
            if (f.unit != 0 && f.r->sc_hi)
                aiosk__fit_super(&f);
            else if (f.unit != 0)
                aiosk__fit_plain(&f);
            else {
                aiosk__nearest(&f.lv, f.x, f.r->n, 0, 0, f.l);
                memset(f.isc, 0, sizeof f.isc);
                memset(f.imn, 0, sizeof f.imn);
            }
            for (int32_t k = 0; k < f.r->n; k++) c[k] = (uint8_t)aiosk__code(f.r, f.l[k]);
            f.r->put(&f, c, out);
            if (i % t->n_weights + (uint64_t)f.r->n == t->n_weights) out += t->n_bytes;
        }
    return n_rows * row_bytes;
}
