/* alloc.c: memory of the caller: one request, and the allocator that a desc names, or the one that
 * is built in (AIOS_DEFAULT_ALLOC). Behind desc.c. */

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

/* The allocator that a desc names, or the one that is built in. */
#ifdef AIOS_DEFAULT_ALLOC
static void *aios__default_take(void *user, const aios_mem_req *req) {
    /* in front of what is given: where malloc's begins */
    const uint64_t more = req->align + sizeof(void *);
    char *p;
    (void)user;
    if (req->bytes > SIZE_MAX - more || !(p = (char *)malloc((size_t)(req->bytes + more))))
        return NULL;
    char *given = p + sizeof p;
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
