/* dispatch.c: the tables of the instruction sets, and the choice among them. */
#ifndef AIOSK__DISPATCH_C
#define AIOSK__DISPATCH_C

AIOSK_API const aiosk_isa *aiosk_select(int32_t isa) {
    if (isa == AIOSK_ISA_BEST) {
        static const int32_t order[] = {AIOSK_ISA_AVX512_VBMI, AIOSK_ISA_AVX512, AIOSK_ISA_AVXVNNI, AIOSK_ISA_AVX2, AIOSK_ISA_NEON_DOT, AIOSK_ISA_NEON};
        int i;
        for (i = 0; i < 6; i++)
            if (aiosk__has_isa(order[i])) return aiosk_select(order[i]);
        return &aiosk__isa_scalar;
    }
    if (!aiosk__has_isa(isa)) return NULL;
    switch (isa) {
#ifdef AIOSK__X86
    case AIOSK_ISA_AVX2: return &aiosk__isa_avx2;
#ifdef AIOSK__AVXVNNI
    case AIOSK_ISA_AVXVNNI: return &aiosk__isa_avxvnni;
#endif
    case AIOSK_ISA_AVX512_VBMI: return &aiosk__isa_avx512vbmi;
    case AIOSK_ISA_AVX512: return &aiosk__isa_avx512;
#endif
#ifdef AIOSK__ARM64
    case AIOSK_ISA_NEON: return &aiosk__isa_neon;
    case AIOSK_ISA_NEON_DOT: return &aiosk__isa_neondot;
#endif
    default: return &aiosk__isa_scalar;
    }
}

#endif
