# flavours.mk: tests beside `make test`: of real models, and in other flavours than build/: under sanitizers, emulators, in WebAssembly.
# Part of the Makefile, which a flavour runs again for a folder and a compiler of its own; what a machine lacks is skipped in one line.
.PHONY: test-real test-asan test-ubsan test-ubsan1 test-arm test-wasm fuzz

# tests/fetch_real.sh says which, and from where
test-real: $(B)/aios  ## two real models: text, perplexity, caches, budgets, the same bits; fetches 340 MB once
	@AIOS=$(B)/aios AWK='$(AWK)' sh tests/real.sh

# Under emulators and sanitizers: not what judges numbers alone, which are the same everywhere
T_CODE = $(filter-out quality,$(filter $(T),$(C_TESTS)))

SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ASAN     = B=build/asan CFLAGS='$(CFLAGS) $(SANITIZE)'
FUZZ     = build/asan/fuzz_gguf
test-asan:  ## the C tests with AddressSanitizer and UndefinedBehaviorSanitizer, and some fuzzing
	@if echo 'int main(void){return 0;}' | $(CC) $(SANITIZE) -x c - -o /dev/null 2>/dev/null; then \
	    $(MAKE) test $(ASAN) T='$(T_CODE)' ALSO=$(FUZZ) SH=tests/fuzz.sh; \
	else echo "skip: $(CC) cannot link with the sanitizers"; echo "0 passed, 0 failed"; fi

FUZZ_SECONDS = 20
fuzz:  ## damaged model files, sanitized: make fuzz FUZZ_SECONDS=600 FUZZ_SEED=2
	@$(MAKE) $(FUZZ) $(ASAN)
	@AIOS_SHARED='$(AIOS_SHARED)' FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(or $(FUZZ_SEED),1) sh tests/fuzz.sh

# Vector sets are test-asan's: here clang would take minutes and gigabytes for them, and unoptimised a frame of attention is 1 MB.
UBSAN = -fsanitize=undefined -fno-sanitize-recover=all
UBSAN_VARS = CC=clang TFLAGS= KFLAGS='-O1 -DAIOSK_NO_SIMD' ALSO= SH=
test-ubsan:  ## the C tests with clang's UndefinedBehaviorSanitizer, nothing optimised away but in the kernels
	@if echo 'int main(void){return 0;}' | clang $(UBSAN) -x c - -o /dev/null 2>/dev/null; then \
	    TEST_QUICK=1 $(MAKE) test $(UBSAN_VARS) B=build/ubsan CFLAGS='$(CFLAGS) -O0 $(UBSAN)' T='$(T_CODE)'; \
	else echo "skip: no clang that can link with the sanitizer"; echo "0 passed, 0 failed"; fi

# What a compiler does with an overflow that it may assume away, it does from -O1 on. The kernels are those of test-ubsan where that has run.
UBSAN1_TESTS = gguf model vocab context sequences cache stream sampler blocks
test-ubsan1:  ## the same at -O1, for those of the engine
	@if echo 'int main(void){return 0;}' | clang $(UBSAN) -x c - -o /dev/null 2>/dev/null; then \
	    mkdir -p build/ubsan1; for k in 0 1 2 3; do test ! -e build/ubsan/kernels$$k.o || \
	        { cp -p build/ubsan/kernels$$k.o build/ubsan1/ && sed 's|build/ubsan/|build/ubsan1/|' build/ubsan/kernels$$k.d >build/ubsan1/kernels$$k.d; }; done; \
	    TEST_QUICK=1 $(MAKE) test $(UBSAN_VARS) B=build/ubsan1 CFLAGS='$(CFLAGS) -O1 $(UBSAN)' T='$(filter $(UBSAN1_TESTS),$(T_CODE))'; \
	else echo "skip: no clang that can link with the sanitizer"; echo "0 passed, 0 failed"; fi

# -static, so that no library path is needed to run what was built for another machine. max has the dot product,
# cortex-a57 does not: both sides of the choice at run time.
ARM  = aarch64-linux-gnu-
QEMU = qemu-aarch64
test-arm:  ## the C tests for AArch64 (NEON) under qemu, and the same logits as on this machine
	@if command -v $(ARM)gcc >/dev/null && command -v $(QEMU) >/dev/null; then \
	    $(MAKE) build/aios && TEST_QUICK=1 RUN='$(QEMU) -cpu max' AIOS='$(QEMU) -cpu max build/arm/aios' \
	        AIOS_ALSO='$(QEMU) -cpu cortex-a57 build/arm/aios' AIOS_REF=build/aios \
	        $(MAKE) test B=build/arm CC=$(ARM)gcc AR=$(ARM)ar LDFLAGS=-static T='$(T_CODE)' ALSO=build/arm/aios SH=tests/same.sh; \
	else echo "skip: needs $(ARM)gcc and $(QEMU) (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"; echo "0 passed, 0 failed"; fi

# A clang that knows wasi-libc, and Node to run what it makes; what needs neither files nor threads. build/wasm0 has no SIMD.
WASM = clang --target=wasm32-wasi
NODE = node --no-warnings tests/wasi.mjs
test-wasm:  ## kernels and ops in WebAssembly SIMD128 under Node, and the same logits as on this machine
	@if command -v node >/dev/null && command -v llvm-ar >/dev/null && printf '#include <string.h>\nint main(void){return 0;}' | $(WASM) -x c - -o /dev/null 2>/dev/null; then \
	    wasm="AR=llvm-ar PIC= LDLIBS= LDFLAGS=-Wl,-z,stack-size=1048576"; \
	    $(MAKE) build/aios && $(MAKE) build/wasm0/test_ops B=build/wasm0 CC='$(WASM)' $$wasm && \
	    TEST_QUICK=1 TEST_THREADS=1 RUN='$(NODE)' AIOS='$(NODE) build/wasm/aios' AIOS_REF=build/aios \
	        $(MAKE) test B=build/wasm CC='$(WASM)' CFLAGS='$(CFLAGS) -msimd128' $$wasm T='$(filter kernels ops,$(T))' \
	        ALSO=build/wasm/aios SH='build/wasm0/test_ops tests/same.sh'; \
	else echo "skip: needs $(WASM), llvm-ar and node (Debian: clang lld llvm wasi-libc libclang-rt-14-dev-wasm32 nodejs)"; echo "0 passed, 0 failed"; fi
