# aios.h: GNU make, a C compiler and a POSIX shell are enough. `make help` lists the targets.
# The library is two headers; nothing here is needed to use it.
#
# A flavour is a folder and a compiler. In each, kernels and engine are compiled once and kept in libaios.a, which tests,
# benches and examples link. Flavours other than build/ are this Makefile again, with other variables.

CC       = cc
CXX      = c++
AR       = ar
AWK      = awk
CFLAGS   = -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -std=c99
CXXFLAGS = -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -std=c++11
TFLAGS   = -O1
KFLAGS   =
LDFLAGS  =
LDLIBS   = -pthread
PREFIX   = /usr/local
B        = build
# One set of objects for libaios.a and libaios.so
PIC      = -fPIC -fvisibility=hidden -ffunction-sections -DAIOS_DLL -DAIOSK_DLL
# Bindings and examples may leave desc.mem NULL; DEFAULT_ALLOC= makes a library that does not know malloc
DEFAULT_ALLOC = -DAIOS_DEFAULT_ALLOC

# Where tests look for models and golden values that are too large to keep here; without them those tests skip.
AIOS_SHARED ?= ../shared
C_TESTS  := $(patsubst tests/test_%.c,%,$(wildcard tests/test_*.c))
SH_TESTS := $(filter-out run fuzz real fetch_real,$(patsubst tests/%.sh,%,$(wildcard tests/*.sh)))
# What to test, by name: make test T="gguf plan" is test_gguf.c and plan.sh
T        = $(C_TESTS) $(SH_TESTS)

TOOLS    := $(patsubst tools/%.c,$(B)/%,$(wildcard tools/*.c))
BENCHES  := $(patsubst bench/%.c,$(B)/%,$(wildcard bench/*.c))
# preload is a shared object, for Linux; examples/x.cpp becomes x_cpp, where there is a C++ compiler
EXAMPLES := $(patsubst examples/%.c,$(B)/%,$(filter-out %/preload.c,$(wildcard examples/*.c)))
EXAMPLES += $(if $(filter Linux,$(shell uname -s)),$(B)/libaios_preload.so)
EXAMPLES += $(if $(shell command -v $(firstword $(CXX))),$(patsubst examples/%.cpp,$(B)/%_cpp,$(wildcard examples/*.cpp)))

# As many jobs as processors, unless -j says otherwise
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.PRECIOUS: $(B)/%.o
.PHONY: all demo lib test check headers format formatted bench tools clean help

all: $(B)/aios  ## the command, build/aios

demo: $(B)/aios  ## the command writes a story with the model that is built in
	$(B)/aios run -p "Once upon a time there was a little dragon who" -n 120 --temp 0.7 --top-p 0.9 --seed 1

# ---- the library ----------------------------------------------------------------------------------------------------
COMPILE = $(CC) $(CFLAGS) -MMD -MP -Isrc
KERNELS = $(patsubst %,$(B)/kernels%.o,0 1 2 3)
OBJECTS = $(KERNELS) $(B)/engine.o

$(KERNELS): $(B)/kernels%.o: src/aios_kernels.h | $(B)
	$(if $(filter 0,$*),@echo "compiling the kernels for every instruction set and the engine: about 20 s once")
	$(COMPILE) $(PIC) $(KFLAGS) -DAIOSK_IMPLEMENTATION -DAIOSK_UNIT=$* -x c -c $< -o $@
$(B)/engine.o: src/aios.h | $(B)
	$(COMPILE) $(PIC) $(DEFAULT_ALLOC) -DAIOS_IMPLEMENTATION -DAIOS_EXTERNAL_KERNELS -x c -c $< -o $@
$(B)/libaios.a: $(OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^
$(B):
	mkdir -p $@

lib: $(B)/libaios.a  ## build/libaios.a

# ---- programs -------------------------------------------------------------------------------------------------------
# A test of private functions is the engine's text with a main; of libaios.a it takes the kernels alone.
$(B)/%.o: tests/%.c | $(B)
	$(COMPILE) $(TFLAGS) -Itests -c $< -o $@
$(B)/%.o: bench/%.c | $(B)
	$(COMPILE) -c $< -o $@
# Examples own the library, for whoever compiles them with one command. The model that is built in is taken from models/.
$(B)/%.o: examples/%.c models/tale.gguf | $(B)
	$(COMPILE) -DAIOS_EXTERNAL -c $< -o $@
$(B)/%_cpp.o: examples/%.cpp models/tale.gguf | $(B)
	$(CXX) $(CXXFLAGS) -MMD -MP -Isrc -DAIOS_EXTERNAL -c $< -o $@
$(B)/%: $(B)/%.o $(B)/libaios.a
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDLIBS) -lm -o $@
$(B)/%_cpp: $(B)/%_cpp.o $(B)/libaios.a
	$(CXX) $(CXXFLAGS) $^ $(LDFLAGS) $(LDLIBS) -o $@
$(TOOLS): $(B)/%: tools/%.c | $(B)
	$(CC) $(CFLAGS) $< $(LDFLAGS) -lm -o $@
$(B)/libaios_preload.so: examples/preload.c $(B)/libaios.a
	$(COMPILE) $(PIC) -DAIOS_EXTERNAL -shared $< $(B)/libaios.a $(LDFLAGS) -Wl,--exclude-libs,ALL -Wl,--gc-sections $(LDLIBS) -o $@
-include $(wildcard $(B)/*.d)

tools: $(TOOLS)  ## the model writers and converters of tools/

# ---- generated headers ----------------------------------------------------------------------------------------------
HEADERS = aios.h aios_kernels.h
headers:  ## write aios.h and aios_kernels.h from src/
	@for h in $(HEADERS); do \
	    $(AWK) -v keep=aios_kernels.h -v licence=LICENSE -f tools/amalgamate.awk src/$$h >$$h.tmp || { rm -f $$h.tmp; exit 1; }; \
	    if cmp -s $$h.tmp $$h; then rm -f $$h.tmp; else mv -f $$h.tmp $$h; echo "wrote $$h"; fi; \
	done

# ---- pictures -------------------------------------------------------------------------------------------------------
$(B)/%.o: docs/%.c | $(B)
	$(COMPILE) $(TFLAGS) -c $< -o $@
.PHONY: pictures
pictures: $(B)/pictures  ## draw the numbers of docs/ARCHITECTURE.md from the code
	@$(B)/pictures >$(B)/pictures.txt
	@$(AWK) -f docs/pictures.awk $(B)/pictures.txt docs/ARCHITECTURE.md >$(B)/pictures.md
	@cmp -s $(B)/pictures.md docs/ARCHITECTURE.md || { cp $(B)/pictures.md docs/ARCHITECTURE.md; echo "wrote docs/ARCHITECTURE.md"; }

# ---- tests ----------------------------------------------------------------------------------------------------------
# ALSO: what the scripts want to be built; RUN: what to run programs with; see tests/run.sh
THIS  := $(MAKE)
TESTS = $(patsubst %,$(B)/test_%,$(filter $(T),$(C_TESTS)))
SH    = $(patsubst %,tests/%.sh,$(filter $(T),$(SH_TESTS)))
ALSO  = $(if $(SH),$(EXAMPLES) $(TOOLS))
test: $(TESTS) $(ALSO)  ## every test; ends with "N passed, N failed"
	@CC='$(CC)' CXX='$(CXX)' MAKE='$(THIS)' AWK='$(AWK)' AIOS_SHARED='$(AIOS_SHARED)' sh tests/run.sh $(B)/log $(TESTS) $(SH)

check:  ## the headers equal src/, compile clean everywhere and reach only what they may; snippets run
	@$(MAKE) test T='check snippets' ALSO=$(B)/aios

# What is laid out by .clang-format: all but tables, generated or read by their columns, and the words of instruction sets.
CLANG_FORMAT = $(shell command -v clang-format-14 || echo clang-format)
FORMATTED = $(filter-out %/nfc.h %/unicode.h $(addprefix src/kernels/,api.h tables.h formats.h kv_codes.h kv_types.h names.h names_undef.h effort.inc) \
    $(wildcard src/kernels/simd* src/kernels/isa_* src/kernels/dot_*),$(wildcard src/*/*.[ch] src/*/*.inc src/blocks.c)) $(wildcard tests/*.[ch] docs/*.c)
format:  ## lay the sources out as .clang-format says (version 14)
	$(CLANG_FORMAT) -i $(FORMATTED)
formatted:
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

include tools/install.mk tests/flavours.mk

# More variables are at the top of bench/bench.sh.
bench: $(BENCHES) $(B)/synth  ## roofs, kernels, models; QUICK=1, THREADS=, ISA=, TYPES=, MODELS=, DEPTHS=, TMP=
	@AWK='$(AWK)' QUICK='$(QUICK)' THREADS='$(THREADS)' ISA='$(ISA)' TYPES='$(TYPES)' MODELS='$(MODELS)' DEPTHS='$(DEPTHS)' \
	    TMP='$(TMP)' MACHINE='$(MACHINE)' sh bench/bench.sh

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@$(AWK) -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' Makefile tools/install.mk tests/flavours.mk
	@echo "  variables  CC CFLAGS LDFLAGS, T=\"names of tests\", AIOS_SHARED=folder of the shared fixtures"
