/* dispatch.c: the tables of the instruction sets, and the choice among them. */
#ifndef AIOSK__DISPATCH_C
#define AIOSK__DISPATCH_C

/* What is compiled, the best first. */
static const aiosk_isa *const aiosk__isas[] = {
#ifdef AIOSK__AVX512
    &aiosk__isa_avx512vbmi, &aiosk__isa_avx512,
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
    &aiosk__isa_neondot, &aiosk__isa_neon,
#endif
#ifdef AIOSK__WASM
    &aiosk__isa_wasm,
#endif
    &aiosk__isa_scalar};

AIOSK_API const aiosk_isa *aiosk_select(int32_t isa) {
    uint32_t i;
    for (i = 0; i < sizeof aiosk__isas / sizeof *aiosk__isas; i++)
        if ((isa == AIOSK_ISA_BEST || isa == aiosk__isas[i]->id) && aiosk__has_isa(aiosk__isas[i]->id)) return aiosk__isas[i];
    return NULL;
}

#endif
