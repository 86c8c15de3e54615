/* dispatch.c: the tables of the instruction sets, and the choice among them. */
#ifndef AIOSK__DISPATCH_C
#define AIOSK__DISPATCH_C

#ifdef AIOSK_UNIT /* the tables of other units */
extern AIOSK__SHARED const aiosk_isa aiosk__isa_avx512vbmi, aiosk__isa_avx512vnni,
    aiosk__isa_avx512bw, aiosk__isa_avxvnni, aiosk__isa_avx2;
extern AIOSK__SHARED const aiosk_isa aiosk__isa_sse41, aiosk__isa_neondot, aiosk__isa_neon,
    aiosk__isa_wasm;
#ifdef AIOSK__AVX512_BF16
AIOSK__SHARED void aiosk__fast_bf16_avx512vnni(const aiosk_matmul *m);
#endif
#endif

/* What is compiled, the best first. */
static const aiosk_isa *const aiosk__isas[] = {
#ifdef AIOSK__AVX512
    &aiosk__isa_avx512vbmi, &aiosk__isa_avx512vnni,
#endif
#ifdef AIOSK__AVX512BW
    &aiosk__isa_avx512bw, /* before AVX-VNNI: no machine has the two and not AVX-512 VNNI */
#endif
#ifdef AIOSK__AVXVNNI
    &aiosk__isa_avxvnni,
#endif
#ifdef AIOSK__AVX2
    &aiosk__isa_avx2,
#endif
#ifdef AIOSK__SSE41
    &aiosk__isa_sse41,
#endif
#ifdef AIOSK__ARM64
    &aiosk__isa_neondot,    &aiosk__isa_neon,
#endif
#ifdef AIOSK__WASM
    &aiosk__isa_wasm,
#endif
    &aiosk__isa_scalar
};

AIOSK_API const aiosk_isa *aiosk_compiled(int32_t i) {
    return i >= 0 && (size_t)i < sizeof aiosk__isas / sizeof *aiosk__isas ? aiosk__isas[i] : NULL;
}
AIOSK_API const aiosk_isa *aiosk_select(int32_t isa) {
    uint32_t i;
    for (i = 0; i < sizeof aiosk__isas / sizeof *aiosk__isas; i++)
        if ((isa == AIOSK_ISA_BEST || isa == aiosk__isas[i]->id) &&
            aiosk__has_isa(aiosk__isas[i]->id))
            return aiosk__isas[i];
    return NULL;
}

AIOSK_API int32_t aiosk_multiplies(int32_t type) {
    return (uint32_t)type < AIOSK_N_TYPES && aiosk__isa_scalar.matmul[type][AIOSK_ROWS] != NULL;
}

/* Kernels of 16-bit arithmetic, and whether they are faster here. Not F16 with AVX512_FP16: runs
 * of 8 products, each converted and added to f32, reach 107 G/s from registers alone on Emerald
 * Rapids, where f32 does 96: too little for their error. */
typedef struct aiosk__fast {
    int32_t isa, type;
    int (*pays)(void);
    aiosk_matmul_fn fn;
} aiosk__fast;
static const aiosk__fast aiosk__fasts[] = {
#ifdef AIOSK__AVX512_BF16
    { AIOSK_ISA_AVX512_VBMI, AIOSK_BF16, aiosk__bf16_pays, aiosk__fast_bf16_avx512vnni },
    { AIOSK_ISA_AVX512, AIOSK_BF16, aiosk__bf16_pays, aiosk__fast_bf16_avx512vnni },
#endif
    { 0, 0, NULL, NULL }
};

AIOSK_API aiosk_matmul_fn aiosk_matmul_fast(const aiosk_isa *k, int32_t type) {
    const aiosk__fast *f;
    for (f = aiosk__fasts; f->fn; f++)
        if (f->isa == k->id && f->type == type && f->pays()) return f->fn;
    return (uint32_t)type < AIOSK_N_TYPES ? k->matmul[type][AIOSK_ROWS] : NULL;
}

#endif
