/* text.c: text in a buffer of fixed size. Formats without stdio, so that the library reaches no
 * printf; error.c writes its sentences with it. */

/* A text being built in a buffer of fixed size: cut, never overrun, always terminated. */
typedef struct aios__text {
    char *p;
    uint64_t cap, n;
} aios__text;

static void aios__put(aios__text *t, const char *s, uint64_t n) {
    for (uint64_t i = 0; i < n && t->n + 1 < t->cap; i++) {
        unsigned char c = (unsigned char)s[i];
        /* file bytes must not steer a terminal */
        t->p[t->n++] = (char)(c < 32 || c == 127 ? '?' : c);
    }
    if (t->cap) t->p[t->n] = 0;
}
static void aios__put_z(aios__text *t, const char *z) { aios__put(t, z, strlen(z)); }
static void aios__put_u(aios__text *t, uint64_t v) {
    char d[20];
    int32_t n = 20;
    do d[--n] = (char)('0' + v % 10);
    while (v /= 10);
    aios__put(t, d + n, (uint64_t)(20 - n));
}
static void aios__put_i(aios__text *t, int64_t v) {
    if (v < 0) {
        aios__put(t, "-", 1);
        aios__put_u(t, (uint64_t)0 - (uint64_t)v);
    } else
        aios__put_u(t, (uint64_t)v);
}
/* Six significant digits, for people; not for reading back. */
static void aios__put_f(aios__text *t, double v) {
    int32_t e = 0, i;
    char d[7];
    if (v != v) {
        aios__put_z(t, "nan");
        return;
    }
    if (v < 0) {
        aios__put(t, "-", 1);
        v = -v;
    }
    if (v > 1.7e308) {
        aios__put_z(t, "inf");
        return;
    }
    if (v == 0) {
        aios__put(t, "0", 1);
        return;
    }
    while (v >= 999999.5) {
        v /= 10;
        e++;
    }
    while (v < 99999.95) {
        v *= 10;
        e--;
    }
    uint64_t m = (uint64_t)(v + 0.5);
    for (i = 5; i >= 0; i--, m /= 10) d[i] = (char)('0' + m % 10);
    for (i = 6; i > 1 && d[i - 1] == '0'; i--) e++; /* i digits are left, value d * 10^e */
    if (e >= 0 && e <= 9) {
        aios__put(t, d, (uint64_t)i);
        while (e-- > 0) aios__put(t, "0", 1);
    } else if (e < 0 && -e < i) {
        aios__put(t, d, (uint64_t)(i + e));
        aios__put(t, ".", 1);
        aios__put(t, d + i + e, (uint64_t)-e);
    } else if (e < 0 && -e - i < 5) {
        aios__put_z(t, "0.");
        for (; - e > i; e++) aios__put(t, "0", 1);
        aios__put(t, d, (uint64_t)i);
    } else {
        aios__put(t, d, 1);
        if (i > 1) {
            aios__put(t, ".", 1);
            aios__put(t, d + 1, (uint64_t)(i - 1));
        }
        aios__put(t, "e", 1);
        aios__put_i(t, e + i - 1);
    }
}
