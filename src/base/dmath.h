/* dmath.h: log, exp, floor, sin and cos in double, for tables made before the first token. Ours,
 * because the C library's differ from vendor to vendor in the last bit, and the same bits are
 * promised. Errors below 2e-15 relative. */
#ifndef AIOS__DMATH_H
#define AIOS__DMATH_H

static inline double aios__floor(double x) {
    double t = (double)(int64_t)x; /* |x| < 2^62 */
    return t > x ? t - 1 : t;
}
AIOS__SMALL_BEGIN
/* x > 0, finite. log x = e ln 2 + 2 atanh((m - 1) / (m + 1)), m in [sqrt 1/2, sqrt 2). */
AIOSK__STRICT static double aios__log(double x) {
    uint64_t u;
    int32_t e, i;
    double m, s, s2, t = 0;
    memcpy(&u, &x, 8);
    e = (int32_t)(u >> 52) - 1023;
    u = (u & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    memcpy(&m, &u, 8);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    s = (m - 1) / (m + 1);
    s2 = s * s;
    for (i = 23; i >= 3; i -= 2) t = t * s2 + 1.0 / (double)i;
    t = 2 * (s + s * s2 * t);
    /* ln 2 in two parts */
    return (double)e * 0.6931471803691238 + ((double)e * 1.9082149292705877e-10 + t);
}
/* |x| < 700 */
AIOSK__STRICT static double aios__exp(double x) {
    double k = aios__floor(x * 1.4426950408889634 + 0.5),
           r = x - k * 0.6931471803691238 - k * 1.9082149292705877e-10, t = 1, p;
    uint64_t u = (uint64_t)((int64_t)k + 1023) << 52;
    int32_t i;
    for (i = 14; i >= 1; i--) t = t * r / (double)i + 1;
    memcpy(&p, &u, 8);
    return t * p;
}
AIOS__SMALL_END
/* |x| < 1.6e6, the range in which k * pi/2 keeps its first part exact. */
AIOSK__STRICT static void aios__sincos(double x, double *sin_x, double *cos_x) {
    double k = aios__floor(x * 0.6366197723675814 + 0.5), r, r2, s = 0, c = 0;
    int32_t i, q = (int32_t)((int64_t)k & 3);
    r = ((x - k * 1.57079632673412561417e+00) - k * 6.07710050630396597660e-11) -
        k * 2.02226624879595063154e-21;
    r2 = r * r;
    for (i = 19; i >= 3; i -= 2) s = -r2 / (double)(i * (i - 1)) * (1 + s);
    for (i = 18; i >= 2; i -= 2) c = -r2 / (double)(i * (i - 1)) * (1 + c);
    s = r + r * s;
    c = 1 + c;
    *sin_x = q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c;
    *cos_x = q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s;
}

#endif
