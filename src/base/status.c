/* status.c: the error record, the public structs and their versions, the caller's allocator.
 * Formats without stdio, so that the library reaches no printf. */

AIOS_API const char *aios_status_name(aios_status s) {
    switch (s) {
#define AIOS__X(name, value) \
    case name: return #name;
        AIOS_STATUSES(AIOS__X)
#undef AIOS__X
    default: return "unknown status";
    }
}

/* A text being built in a buffer of fixed size: cut, never overrun, always terminated. */
typedef struct aios__text {
    char *p;
    uint64_t cap, n;
} aios__text;

static void aios__put(aios__text *t, const char *s, uint64_t n) {
    uint64_t i;
    for (i = 0; i < n && t->n + 1 < t->cap; i++) {
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
    uint64_t m;
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
    m = (uint64_t)(v + 0.5);
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

/* One request of the caller's allocator; what it answers must be there and aligned. */
static aios_status aios__alloc(const aios_allocator *mem, const aios_mem_req *req, const char *what,
                               void **out, aios_error *err) {
    *out = mem->alloc(mem->user, req);
    if (!*out)
        return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, req->bytes, 0,
                           "the allocator gave no memory for the % (% bytes)", aios__z(what),
                           aios__u(req->bytes));
    if (!((uintptr_t)*out & (req->align - 1))) return AIOS_OK;
    mem->free(mem->user, *out, req);
    *out = NULL;
    return aios__fail2(err, AIOS_ERR_MEMORY, AIOS__NO_OFF, req->align, 0,
                       "the allocator's memory for the % is not aligned to % bytes", aios__z(what),
                       aios__u(req->align));
}

/* ---- public structs ---- */
/* Those with struct_size, and the others. A new one of api.h goes here too. */
/* clang-format off */
#define AIOS__SIZED(X) \
    X(aios_mem_req) X(aios_allocator) X(aios_io) X(aios_hardware) X(aios_limits) \
    X(aios_model_desc) X(aios_model_info) X(aios_tensor_info) X(aios_key_info) \
    X(aios_plan_desc) X(aios_plan) X(aios_tensor_place) X(aios_spill) X(aios_context_desc) \
    X(aios_output) X(aios_cache_info) X(aios_counters) X(aios_op_info) X(aios_blocks_desc) \
    X(aios_blocks_plan) X(aios_block_info) X(aios_telemetry) X(aios_sampler)
#define AIOS__FIXED(X) \
    X(aios_error) X(aios_detok) X(aios_block_entry) X(aios_logit_bias) X(aiosk_type) \
    X(aiosk_matmul) X(aiosk_attend) X(aiosk_isa)
/* clang-format on */

#define AIOS__ROW(T) AIOS__ID_##T,
enum { AIOS__SIZED(AIOS__ROW) AIOS__N_SIZED };
#undef AIOS__ROW
#define AIOS__ROW(T) { #T, (uint32_t)sizeof(T), 0 },
typedef struct aios__struct {
    const char *name;
    uint32_t bytes, reserved;
} aios__struct;
static const aios__struct aios__structs[] = { AIOS__SIZED(AIOS__ROW) AIOS__FIXED(AIOS__ROW) };
#undef AIOS__ROW

/* Where structs of older versions ended: at the first field that a version added. */
#define AIOS__ENDED(T, field) \
    { AIOS__ID_##T, (uint16_t)offsetof(T, field) }
static const struct aios__older {
    uint16_t id, bytes;
} aios__older[] = { AIOS__ENDED(aios_allocator, granted),
                    AIOS__ENDED(aios_io, submit),
                    AIOS__ENDED(aios_io, soon),
                    AIOS__ENDED(aios_limits, max_blocks),
                    AIOS__ENDED(aios_model_desc, artifact),
                    AIOS__ENDED(aios_model_info, n_expert),
                    AIOS__ENDED(aios_plan_desc, hot_bytes),
                    AIOS__ENDED(aios_plan_desc, numa_node_1),
                    AIOS__ENDED(aios_plan_desc, kv_old_type),
                    AIOS__ENDED(aios_plan_desc, l3_bytes),
                    AIOS__ENDED(aios_plan, flags),
                    AIOS__ENDED(aios_plan, tier_bytes),
                    AIOS__ENDED(aios_plan, numa_node_1),
                    AIOS__ENDED(aios_plan, kv_old_type),
                    AIOS__ENDED(aios_plan, n_expert_slots),
                    AIOS__ENDED(aios_plan, kv_layer_type),
                    AIOS__ENDED(aios_plan, n_row_slots),
                    AIOS__ENDED(aios_tensor_place, stream_bytes),
                    AIOS__ENDED(aios_tensor_place, resident_tier),
                    AIOS__ENDED(aios_context_desc, thread_start),
                    AIOS__ENDED(aios_context_desc, spill),
                    AIOS__ENDED(aios_counters, n_units),
                    AIOS__ENDED(aios_counters, tier_bytes),
                    AIOS__ENDED(aios_counters, n_expert_hits),
                    AIOS__ENDED(aios_counters, n_spilled),
                    AIOS__ENDED(aios_sampler, typical_p) };
#undef AIOS__ENDED

/* The struct_size at p, which this or an older version had, or a newer one may have; 0 = it is
 * none of these. */
static uint32_t aios__struct_size(uint32_t id, const void *p) {
    const uint32_t bytes = aios__structs[id].bytes;
    uint32_t n, i;
    memcpy(&n, p, 4);
    if (n >= bytes) return n <= 4096 && (n - bytes) % 4 == 0 ? n : 0;
    /* with padding behind, where pointers have 4 bytes */
    for (i = 0; i < sizeof aios__older / sizeof *aios__older; i++)
        if (aios__older[i].id == id &&
            (aios__older[i].bytes == n || (aios__older[i].bytes + 7u) / 8 * 8 == n))
            return n;
    return 0;
}

AIOS_API uint32_t aios_version(void) { return AIOS_VERSION; }
AIOS_API uint64_t aios_sizeof(const char *struct_name) {
    uint32_t i;
    for (i = 0; struct_name && i < sizeof aios__structs / sizeof *aios__structs; i++)
        if (!strcmp(struct_name, aios__structs[i].name)) return aios__structs[i].bytes;
    return 0;
}
static void aios__struct_init(void *d, uint32_t bytes) {
    if (d) memset(d, 0, bytes), memcpy(d, &bytes, 4);
}
#define AIOS__ROW(T)                               \
    AIOS_API void(T##_init)(T * d) {               \
        aios__struct_init(d, (uint32_t)sizeof *d); \
    } /* in brackets, where the macro is not meant */
AIOS__SIZED(AIOS__ROW)
#undef AIOS__ROW

/* Copies a struct AIOS__ID_* that the caller may have compiled against an older or newer header:
 * min(struct_size, sizeof) bytes over zeros. A newer caller's unknown fields must be zero. */
static aios_status aios__desc_copy(uint32_t id, void *dst, const void *src, aios_error *err) {
    const char *what = aios__structs[id].name;
    const uint32_t dst_bytes = aios__structs[id].bytes;
    uint32_t n, i;
    if (!src) return aios__fail1(err, AIOS_ERR_ARG, AIOS__NO_OFF, "% is NULL", aios__z(what));
    if ((n = aios__struct_size(id, src)) == 0) {
        memcpy(&n, src, 4);
        return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, dst_bytes, n,
                           "%.struct_size is %: call its _init function first", aios__z(what),
                           aios__u(n));
    }
    for (i = dst_bytes; i < n; i++)
        if (((const char *)src)[i])
            return aios__fail1(err, AIOS_ERR_DESC, AIOS__NO_OFF,
                               "% sets a field that this version of the library does not know",
                               aios__z(what));
    memset(dst, 0, dst_bytes);
    memcpy(dst, src, n < dst_bytes ? n : dst_bytes);
    return AIOS_OK;
}
/* A flag that this version does not know may change what the caller means: refused, not ignored. */
static aios_status aios__flags(uint32_t given, uint32_t known, const char *what, aios_error *err) {
    if (!(given & ~known)) return AIOS_OK;
    return aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, known, given,
                       "%.flags % has bits that this version does not know", aios__z(what),
                       aios__u(given));
}
/* The same of a field that has no meaning yet. */
static aios_status aios__unused(uint32_t given, const char *what, aios_error *err) {
    return given ? aios__fail2(err, AIOS_ERR_DESC, AIOS__NO_OFF, 0, given, "%.reserved is %, not 0",
                               aios__z(what), aios__u(given))
                 : AIOS_OK;
}
/* The other way: fills a caller's struct of struct_size bytes, which stays as it is. */
static aios_status aios__desc_fill(uint32_t id, void *dst, const void *src) {
    const uint32_t src_bytes = aios__structs[id].bytes;
    uint32_t n;
    if (!dst) return AIOS_ERR_ARG;
    if ((n = aios__struct_size(id, dst)) == 0) return AIOS_ERR_DESC;
    memcpy((char *)dst + 4, (const char *)src + 4, (n < src_bytes ? n : src_bytes) - 4);
    return AIOS_OK;
}

/* The allocator that a desc names, or the one that is built in. */
#ifdef AIOS_DEFAULT_ALLOC
static void *aios__default_take(void *user, const aios_mem_req *req) {
    /* in front of what is given: where malloc's begins */
    const uint64_t more = req->align + sizeof(void *);
    char *p, *given;
    (void)user;
    if (req->bytes > SIZE_MAX - more || !(p = (char *)malloc((size_t)(req->bytes + more))))
        return NULL;
    given = p + sizeof p;
    given += (req->align - ((uintptr_t)given & (req->align - 1))) & (req->align - 1);
    memcpy(given - sizeof p, &p, sizeof p);
    return given;
}
static void aios__default_give(void *user, void *given, const aios_mem_req *req) {
    char *p;
    (void)user;
    (void)req;
    memcpy(&p, (char *)given - sizeof p, sizeof p);
    free(p);
}
static uint32_t aios__default_granted(void *user, void *p, const aios_mem_req *req) {
    (void)user;
    (void)p;
    (void)req;
    return 0;
}
#endif
static aios_status aios__allocator_copy(aios_allocator *dst, const aios_allocator *src,
                                        const char *what, aios_error *err) {
    aios_status st;
    if (!src) {
#ifdef AIOS_DEFAULT_ALLOC
        (void)what;
        aios_allocator_init(dst);
        dst->alloc = aios__default_take;
        dst->free = aios__default_give;
        dst->granted = aios__default_granted;
        return AIOS_OK;
#else
        return aios__fail1(
            err, AIOS_ERR_ARG, AIOS__NO_OFF,
            "%.mem is NULL: the library takes memory from the caller alone (or is compiled with "
            "AIOS_DEFAULT_ALLOC)",
            aios__z(what));
#endif
    }
    if ((st = aios__desc_copy(AIOS__ID_aios_allocator, dst, src, err)) != 0) return st;
    if (!dst->alloc || !dst->free)
        return aios__fail(err, AIOS_ERR_ARG, AIOS__NO_OFF, "aios_allocator needs alloc and free");
    return aios__flags(dst->flags, 0, "aios_allocator", err);
}
