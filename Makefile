# aios.h: GNU make 4, a C compiler and a POSIX shell are enough. `make help` lists the targets.
# The library is two headers; nothing here is needed to use it.

CC      = cc
CXX     = c++
AR      = ar
CFLAGS  = -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -std=c99
CXXFLAGS = -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -std=c++11
LDFLAGS =
LDLIBS  = -pthread
AWK     = awk
EXTRA   =

# Where tests look for models and golden values that are too large to keep here; without them those tests skip.
AIOS_SHARED ?= ../shared
# The test programs that `make test` and its kin run: make test T="gguf plan"
T = $(patsubst tests/test_%.c,%,$(wildcard tests/test_*.c))
# Under emulators and sanitizers: not what judges numbers alone, which are the same everywhere
T_CODE = $(filter-out quality,$(T))

ARM      = aarch64-linux-gnu-
QEMU     = qemu-aarch64
# -static, so that no library path is needed to run what was built for another machine
ARM_LD   = -static
# WebAssembly: a clang that knows wasi-libc, and Node to run what it makes
WASM     = clang --target=wasm32-wasi
WASM_LD  = -Wl,-z,stack-size=1048576
NODE     = node --no-warnings tests/wasi.mjs
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SRC      := $(wildcard src/*.h src/*.c src/kernels/*)
EXAMPLES := $(filter-out preload,$(patsubst examples/%.c,%,$(wildcard examples/*.c)))    # preload: a shared object, below
# examples/x.cpp becomes build/x_cpp, where there is a C++ compiler
EXAMPLES_CPP := $(if $(shell command -v $(firstword $(CXX)) 2>/dev/null),$(patsubst examples/%.cpp,%_cpp,$(wildcard examples/*.cpp)))
BENCHES  := $(patsubst bench/%.c,%,$(wildcard bench/*.c))
TOOLS    := $(patsubst tools/%.c,%,$(wildcard tools/*.c))
SH_TESTS := $(filter-out tests/run.sh tests/fuzz.sh,$(wildcard tests/*.sh))
HEADERS   = aios.h aios_kernels.h

# What a shell test may use
TEST_ENV = CC='$(CC)' AWK='$(AWK)' AIOS_SHARED='$(AIOS_SHARED)'

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: all demo test test-arm test-wasm test-asan check headers fuzz bench tools clean help

all: build/aios  ## the command, build/aios

demo: build/aios  ## the command writes a story with the model that is built in
	build/aios run -p "Once upon a time there was a little dragon who" -n 120 --temp 0.7 --top-p 0.9 --seed 1

# ---- programs -------------------------------------------------------------------------------------------------------
# A program that defines AIOS_IMPLEMENTATION has the library in it; the others take it from libaios.a. The model that is
# built in (examples/tale.h) is taken from models/ while an example compiles.
OWN  := $(shell grep -lE '^ *# *define AIOSK?_IMPLEMENTATION' tests/*.c examples/*.c examples/*.cpp bench/*.c tools/*.c /dev/null)
DEPS := $(SRC) $(wildcard tests/*.h examples/*.h bench/*.h models/*.gguf)

# $1 program, $2 source, $3 folder of libaios.a, $4 compiler and flags, $5 link flags
define program
$1: $2 $(DEPS) $(if $(filter $2,$(OWN)),,$3/libaios.a) | $3
	$4 $$(EXTRA) -Isrc -Itests $2 $(if $(filter $2,$(OWN)),,$3/libaios.a) $(LDFLAGS) $5 $(LDLIBS) -lm -o $$@
endef
# $1 folder, $2 compiler and flags, $3 link flags, $4 archiver
define flavour
$1:
	mkdir -p $$@
$1/aios.o: $(SRC) | $1
	$2 $$(EXTRA) -Isrc -DAIOS_IMPLEMENTATION -x c -c src/aios.h -o $$@
$1/libaios.a: $1/aios.o
	rm -f $$@
	$4 rcs $$@ $$<
$(foreach t,$(T),$(eval $(call program,$1/test_$t,tests/test_$t.c,$1,$2,$3)))
$(foreach e,$(EXAMPLES),$(eval $(call program,$1/$e,examples/$e.c,$1,$2,$3)))
endef

$(eval $(call flavour,build,$(CC) $(CFLAGS),,$(AR)))
$(eval $(call flavour,build/asan,$(CC) $(CFLAGS) $(SANITIZE),,$(AR)))
# Every vector set takes half a minute to compile, under sanitizers minutes: the command and the tests of kernels have them all, the others
# one beside plain C.
ONE_SET = -DAIOSK_NO_SSE41 -DAIOSK_NO_AVXVNNI -DAIOSK_NO_AVX512
build/test_cache build/test_quality $(patsubst %,build/%,$(filter-out aios,$(EXAMPLES)) $(EXAMPLES_CPP)): private EXTRA = $(ONE_SET)
build/asan/aios.o $(patsubst %,build/asan/test_%,moe sampler): private EXTRA = $(ONE_SET)
build/asan/test_cache build/asan/test_hardware: private EXTRA = -DAIOSK_NO_SIMD
$(eval $(call program,build/asan/fuzz_gguf,tests/fuzz_gguf.c,build/asan,$(CC) $(CFLAGS) $(SANITIZE) -DFUZZ_MAIN,))
$(eval $(call flavour,build/arm,$(ARM)gcc $(CFLAGS),$(ARM_LD),$(ARM)ar))
$(foreach b,$(BENCHES),$(eval $(call program,build/$b,bench/$b.c,build,$(CC) $(CFLAGS),)))
$(foreach t,$(TOOLS),$(eval $(call program,build/$t,tools/$t.c,build,$(CC) $(CFLAGS),)))

$(foreach e,$(EXAMPLES_CPP),$(eval $(call program,build/$e,examples/$(e:_cpp=.cpp),build,$(CXX) $(CXXFLAGS),)))
# Linux only: tiers under programs that map a GGUF file (examples/preload.c says how)
PRELOAD := $(if $(filter Linux,$(shell uname -s)),build/libaios_preload.so)
build/libaios_preload.so: examples/preload.c $(SRC) | build
	$(CC) $(CFLAGS) $(EXTRA) -fPIC -shared -fvisibility=hidden -ffunction-sections -Isrc $< $(LDFLAGS) -Wl,--gc-sections $(LDLIBS) -o $@

# Self-contained programs only; build/wasm0 is without SIMD.
WASM_PROGRAMS = build/wasm/test_kernels build/wasm/test_ops build/wasm0/test_ops build/wasm/aios
build/wasm build/wasm0:
	mkdir -p $@
build/wasm/test_%: tests/test_%.c $(DEPS) | build/wasm
	$(WASM) $(CFLAGS) -msimd128 -Isrc -Itests $< $(WASM_LD) -lm -o $@
build/wasm0/test_%: tests/test_%.c $(DEPS) | build/wasm0
	$(WASM) $(CFLAGS) -Isrc -Itests $< $(WASM_LD) -lm -o $@
build/wasm/aios: examples/aios.c $(DEPS) | build/wasm
	$(WASM) $(CFLAGS) -msimd128 -Isrc -Itests $< $(WASM_LD) -lm -o $@

# ---- generated headers ----------------------------------------------------------------------------------------------
AMALGAMATE = $(AWK) -v keep=aios_kernels.h -v licence=LICENSE -f tools/amalgamate.awk
headers:  ## write aios.h and aios_kernels.h from src/
	@for h in $(HEADERS); do \
	    $(AMALGAMATE) src/$$h > $$h.tmp || { rm -f $$h.tmp; exit 1; }; \
	    if cmp -s $$h.tmp $$h; then rm -f $$h.tmp; else mv -f $$h.tmp $$h; echo "wrote $$h"; fi; \
	done

# ---- tests ----------------------------------------------------------------------------------------------------------
test: $(T:%=build/test_%) $(EXAMPLES:%=build/%) $(EXAMPLES_CPP:%=build/%) $(TOOLS:%=build/%) $(PRELOAD)  ## every test; ends with "N passed, N failed"
	@$(TEST_ENV) sh tests/run.sh build/log $(T:%=build/test_%) $(SH_TESTS)

check:  ## the headers equal src/, compile clean everywhere and reach only what they may
	@$(TEST_ENV) sh tests/run.sh build/log tests/check.sh

test-asan:  ## the C tests with AddressSanitizer and UndefinedBehaviorSanitizer
	@if echo 'int main(void){return 0;}' | $(CC) $(SANITIZE) -x c - -o /dev/null 2>/dev/null; then \
	    $(MAKE) --no-print-directory $(T_CODE:%=build/asan/test_%) build/asan/fuzz_gguf && \
	    $(TEST_ENV) sh tests/run.sh build/asan/log $(T_CODE:%=build/asan/test_%) tests/fuzz.sh; \
	else \
	    echo "skip: $(CC) cannot link with the sanitizers"; echo "0 passed, 0 failed"; \
	fi

# max has the dot product, cortex-a57 does not: both sides of the choice at run time
test-arm:  ## the C tests for AArch64 (NEON) under qemu, and the same logits as on this machine
	@if command -v $(ARM)gcc >/dev/null && command -v $(QEMU) >/dev/null; then \
	    $(MAKE) --no-print-directory $(T_CODE:%=build/arm/test_%) build/arm/aios build/aios && \
	    $(TEST_ENV) TEST_QUICK=1 RUN='$(QEMU) -cpu max' AIOS='$(QEMU) -cpu max build/arm/aios' \
	        AIOS_ALSO='$(QEMU) -cpu cortex-a57 build/arm/aios' AIOS_REF=build/aios \
	        sh tests/run.sh build/arm/log $(T_CODE:%=build/arm/test_%) tests/same.sh; \
	else \
	    echo "skip: needs $(ARM)gcc and $(QEMU) (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"; \
	    echo "0 passed, 0 failed"; \
	fi

test-wasm:  ## kernels and ops in WebAssembly SIMD128 under Node, and the same logits as on this machine
	@if command -v node >/dev/null && printf '#include <string.h>\nint main(void){return 0;}' | $(WASM) -x c - -o /dev/null 2>/dev/null; then \
	    $(MAKE) --no-print-directory $(WASM_PROGRAMS) build/aios && \
	    $(TEST_ENV) TEST_QUICK=1 TEST_THREADS=1 RUN='$(NODE)' AIOS='$(NODE) build/wasm/aios' AIOS_REF=build/aios \
	        sh tests/run.sh build/wasm/log $(filter-out %/aios,$(WASM_PROGRAMS)) tests/same.sh; \
	else \
	    echo "skip: needs $(WASM) and node (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32 nodejs)"; \
	    echo "0 passed, 0 failed"; \
	fi

FUZZ_SECONDS = 20
fuzz: build/asan/fuzz_gguf  ## damaged model files, sanitized: make fuzz FUZZ_SECONDS=600 FUZZ_SEED=2
	@$(TEST_ENV) FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(or $(FUZZ_SEED),1) sh tests/fuzz.sh

# More variables are at the top of bench/bench.sh.
bench: $(BENCHES:%=build/%) build/synth  ## roofs, kernels, models; QUICK=1, THREADS=, ISA=, TYPES=, MODELS=, DEPTHS=, TMP=
	@AWK='$(AWK)' QUICK='$(QUICK)' THREADS='$(THREADS)' ISA='$(ISA)' TYPES='$(TYPES)' MODELS='$(MODELS)' DEPTHS='$(DEPTHS)' \
	    TMP='$(TMP)' MACHINE='$(MACHINE)' sh bench/bench.sh

tools: $(TOOLS:%=build/%)  ## the model writers and converters of tools/

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@$(AWK) -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' Makefile
	@echo "  variables  CC CFLAGS LDFLAGS, T=\"names of tests\", AIOS_SHARED=folder of the shared fixtures"
