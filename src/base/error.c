/* error.c: names of status codes, the caller's error record, notes to the caller's log. Behind
 * text.c; every file below fails through here. */

AIOS_API const char *aios_status_name(aios_status s) {
    switch (s) {
#define AIOS__X(name, value) \
    case name: return #name;
        AIOS_STATUSES(AIOS__X)
#undef AIOS__X
    default: return "unknown status";
    }
}

/* One argument of aios__fail, so that no varargs are needed and no type can be mistaken: two
 * words, which travel in registers. A string, or a number n where p is one of the marks; n
 * AIOS__TO_ZERO: up to its zero byte. */
typedef struct aios__arg {
    const char *p;
    uint64_t n;
} aios__arg;
enum { AIOS__IS_U = 1, AIOS__IS_I = 2 };
#define AIOS__TO_ZERO UINT64_MAX
static inline aios__arg aios__arg_of(const char *p, uint64_t n) {
    aios__arg a;
    a.p = p;
    a.n = n;
    return a;
}
static inline aios__arg aios__s(aios__str s) { return aios__arg_of(s.p, s.n); }
static inline aios__arg aios__z(const char *z) { return aios__arg_of(z, AIOS__TO_ZERO); }
static inline aios__arg aios__u(uint64_t u) {
    return aios__arg_of((const char *)(uintptr_t)AIOS__IS_U, u);
}
static inline aios__arg aios__i(int64_t i) {
    return aios__arg_of((const char *)(uintptr_t)AIOS__IS_I, (uint64_t)i);
}

/* Fills the caller's record and returns code. Each % in fmt takes the next of a and b. A record
 * that already tells of a failure is overwritten. err may be NULL. */
AIOS__COLD static aios_status aios__fail2(aios_error *err, aios_status code, uint64_t off,
                                          uint64_t expected, uint64_t got, const char *fmt,
                                          aios__arg a, aios__arg b) {
    aios__text t;
    int32_t n = 0;
    if (!err) return code;
    err->code = code;
    err->reserved = 0;
    err->offset = off;
    err->expected = expected;
    err->got = got;
    t.p = err->text;
    t.cap = sizeof err->text;
    t.n = 0;
    for (; *fmt; fmt++) {
        aios__arg x = n == 0 ? a : b;
        if (*fmt != '%') {
            aios__put(&t, fmt, 1);
            continue;
        }
        n++;
        if (x.p == aios__u(0).p)
            aios__put_u(&t, x.n);
        else if (x.p == aios__i(0).p)
            aios__put_i(&t, (int64_t)x.n);
        else
            aios__put(&t, x.p,
                      aios__min_u64(x.n == AIOS__TO_ZERO ? x.p ? strlen(x.p) : 0 : x.n, 96));
    }
    return code;
}
AIOS__COLD static aios_status aios__fail1(aios_error *err, aios_status code, uint64_t off,
                                          const char *fmt, aios__arg a) {
    return aios__fail2(err, code, off, 0, 0, fmt, a, aios__u(0));
}
AIOS__COLD static aios_status aios__fail(aios_error *err, aios_status code, uint64_t off,
                                         const char *text) {
    return aios__fail2(err, code, off, 0, 0, text, aios__u(0), aios__u(0));
}
/* Who hears of what is odd but can be lived with. fn NULL: nobody. */
typedef struct aios__notes {
    aios_log_fn fn;
    void *user;
} aios__notes;
AIOS__COLD static void aios__note2(const aios__notes *log, const char *fmt, aios__arg a,
                                   aios__arg b) {
    aios_error e;
    if (!log || !log->fn) return;
    aios__fail2(&e, AIOS_OK, AIOS__NO_OFF, 0, 0, fmt, a, b);
    log->fn(log->user, 0, e.text);
}
static inline void aios__clear(aios_error *err) {
    if (err) memset(err, 0, sizeof *err);
}
