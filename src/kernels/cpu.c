/* cpu.c: what this processor and its operating system can run, and the floating-point state of
 * the calling thread. */
#ifndef AIOSK__CPU_C
#define AIOSK__CPU_C

#ifdef AIOSK__X86
/* leaf: the sub-leaf in its upper half */
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static void aiosk__cpuid(uint32_t leaf, uint32_t r[4]) {
    int a[4];
    __cpuidex(a, (int)(leaf & 0xFFFF), (int)(leaf >> 16));
    for (int i = 0; i < 4; i++) r[i] = (uint32_t)a[i];
}
static uint64_t aiosk__xcr0(void) { return _xgetbv(0); }
#else
static void aiosk__cpuid(uint32_t leaf, uint32_t r[4]) {
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf & 0xFFFF), "c"(leaf >> 16));
}
static uint64_t aiosk__xcr0(void) {
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}
#endif
#endif

#if defined(AIOSK__ARM64) && defined(__linux__)
#include <sys/auxv.h>
#endif

/* Whether functions of this set may be called here: instructions present, and registers saved by
 * the system. */
static int aiosk__has_isa(int32_t isa) {
#ifdef AIOSK__X86
    if (isa == AIOSK_ISA_SSE41) { /* leaf 1 ecx: SSSE3 9, SSE4.1 19 */
        uint32_t r[4];
        aiosk__cpuid(1, r);
        return (r[2] & 1u << 9) && (r[2] & 1u << 19);
    }
    if (isa == AIOSK_ISA_AVX2 || isa == AIOSK_ISA_AVX512 || isa == AIOSK_ISA_AVXVNNI ||
        isa == AIOSK_ISA_AVX512_VBMI || isa == AIOSK_ISA_AVX512BW) {
        /* leaf 1 ecx: FMA 12, OSXSAVE 27, AVX 28, F16C 29;  leaf 7 ebx: AVX2 5, F 16, DQ 17, BW
         * 30, VL 31; ecx: VNNI 11 */
        const uint32_t c1 = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29,
                       b7 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
        uint32_t r[4];
        uint64_t os;
        aiosk__cpuid(0, r);
        if (r[0] < 7) return 0;
        aiosk__cpuid(1, r);
        if ((r[2] & c1) != c1) return 0;
        os = aiosk__xcr0();
        aiosk__cpuid(7, r);
        if (!(r[1] & 1u << 5) || (os & 6) != 6) return 0; /* 6: xmm and ymm state */
        if (isa == AIOSK_ISA_AVX2) return 1;
        if (isa == AIOSK_ISA_AVXVNNI) { /* leaf 7, sub-leaf 1 eax: AVX-VNNI 4 */
            if (r[0] < 1) return 0;
            aiosk__cpuid(0x10007, r);
            return (r[0] & 1u << 4) != 0;
        }
        if (isa == AIOSK_ISA_AVX512_VBMI && !(r[2] & 1u << 1)) return 0;
        if (isa != AIOSK_ISA_AVX512BW && !(r[2] & 1u << 11)) return 0;
        return (r[1] & b7) == b7 && (os & 0xE6) == 0xE6; /* and masks and zmm */
    }
#endif
#ifdef AIOSK__ARM64
    if (isa == AIOSK_ISA_NEON) return 1;
    if (isa == AIOSK_ISA_NEON_DOT) {
#if defined(__linux__)
        return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__) || defined(_WIN32)
        return 1; /* every Apple M and every Windows 11 machine */
#elif defined(__ARM_FEATURE_DOTPROD)
        return 1;
#else
        return 0;
#endif
    }
#endif
#ifdef AIOSK__WASM
    if (isa == AIOSK_ISA_WASM) return 1;
#endif
    return isa == AIOSK_ISA_SCALAR;
}

#ifdef AIOSK__AVX512_BF16
/* vdpbf16ps, where AVX-512 is: leaf 7, sub-leaf 1 eax 5. */
static AIOSK__UNUSED int aiosk__has_bf16(void) {
    uint32_t r[4];
    aiosk__cpuid(7, r);
    if (r[0] < 1) return 0;
    aiosk__cpuid(0x10007, r);
    return (r[0] & 1u << 5) != 0;
}
/* Where it does more products per cycle than fma: on AMD, twice as many (Zen 4). Intel's start
 * one every second cycle, 54 G products/s on Emerald Rapids, where fma does 96. */
static int aiosk__bf16_pays(void) {
    uint32_t r[4];
    aiosk__cpuid(0, r);
    return r[1] == 0x68747541u && aiosk__has_bf16(); /* "Auth" */
}
#endif

AIOSK_API uint64_t aiosk_fp_begin(void) {
#if defined(__x86_64__) || defined(_M_X64)
    const uint32_t old = _mm_getcsr();
    /* FTZ 15, rounding 14..13, DAZ 6 off; exceptions masked */
    _mm_setcsr((old & ~0xE040u) | 0x1F80u);
    return old;
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    /* FZ 24, rounding 23..22, FZ16 19, AH 1, FIZ 0 */
    __asm__ volatile("msr fpcr, %0" : : "r"(old & ~(uint64_t)0x01C80003u));
    return old;
#elif defined(_M_ARM64)
    const uint64_t old = (uint64_t)_ReadStatusReg(ARM64_FPCR);
    _WriteStatusReg(ARM64_FPCR, (int64_t)(old & ~(uint64_t)0x01C80003u));
    return old;
#else
    return 0;
#endif
}

AIOSK_API void aiosk_fp_end(uint64_t saved) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr((uint32_t)saved);
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#elif defined(_M_ARM64)
    _WriteStatusReg(ARM64_FPCR, (int64_t)saved);
#else
    (void)saved;
#endif
}

#endif
