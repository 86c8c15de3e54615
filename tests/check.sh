#!/bin/sh
# check.sh: the promises that a compiler and nm can judge. Run from the root of the repository; prints one line per check.
#
#     check NAME COMMAND...    passes when the command succeeds; its output is shown when it does not
#     skip  NAME REASON        for what this machine lacks
#
# Objects go to build/check. CC (cc) is the compiler; clang and compilers for other machines are asked too where there are some, at
# the same time. What is about the language is parsed; what is about names in an object is compiled without optimisation and vector
# sets (PLAIN); all sets are compiled where sizes, instructions and symbols of vector code are looked at.
set -u
CC=${CC:-cc}
AWK=${AWK:-awk}
from=build/check            # sources to compile
dir=build/check/cc          # objects
rm -rf "$from"
mkdir -p "$dir"
passed=0
failed=0
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
PLAIN="-std=c99 -O0 -DAIOSK_NO_SIMD"    # quick to compile, for checks that are not about kernels
# The object at -O2 with one vector set (AVX2) beside plain C, as a host with one kind of machine builds it: the file. And code and constants
# with every set of this machine: MAX_CODE for one set, MAX_SET more for each further one, about what the sets of x86 take on average, so
# that a set may come without a new figure while it is no larger than those before. Clang unrolls loops at -O2, where GCC does not.
ONE_SET="-DAIOSK_NO_SSE41 -DAIOSK_NO_AVXVNNI -DAIOSK_NO_AVX512"
MAX_BYTES=630000
MAX_BYTES_CLANG=797000
MAX_CODE=477500
MAX_CODE_CLANG=602000
MAX_SET=58000
MAX_SET_CLANG=70000
# Processor time and memory to compile it with every set; told, not judged: machines differ
MAX_SECONDS=20
MAX_MB=430

check() {
    name=$1
    shift
    if "$@" >"$dir/out" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name$(sed -n '1s/^info: /: /p' "$dir/out")"
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
        sed '/^ *[0-9]* |\|^ *|/d; s/^/      /' "$dir/out" | head -n 12
    fi
}
skip() { echo "skip  $1: $2"; }
has() { command -v "$1" >/dev/null 2>&1; }

# ---- sources to compile ---------------------------------------------------------------------------------------------
src() { cat >"$from/$1"; }
src lib.c <<'X'
#define AIOS_IMPLEMENTATION
#include "aios.h"
X
src kernels.c <<'X'
#define AIOSK_IMPLEMENTATION
#include "aios_kernels.h"
X
src engine.c <<'X'
#define AIOS_IMPLEMENTATION
#define AIOS_EXTERNAL_KERNELS
#include "aios.h"
X
src hidden.c <<'X'
#define AIOS_EXTERNAL_KERNELS
#include "static.c"
X
src twice.c <<'X'
#include "aios.h"
#include "aios.h"
#define AIOS_IMPLEMENTATION
#include "aios.h"
#include "aios.h"
#include "aios_kernels.h"
X
src both.c <<'X'
#include "aios_kernels.h"
#define AIOSK_IMPLEMENTATION
#include "aios_kernels.h"
#define AIOS_IMPLEMENTATION
#include "aios.h"
X
src late.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#define AIOS_IMPLEMENTATION
#include "aios.h"
X
src static.c <<'X'
#ifndef AIOS_STATIC
#define AIOS_STATIC
#endif
#define AIOS_IMPLEMENTATION
#include "aios.h"
int main(void) {
    aios_plan_desc d;
    aios_plan p;
    aios_plan_desc_init(&d);
    aios_plan_init(&p);
    return aios_plan_make(NULL, &d, &p, NULL) == AIOS_OK || aios_step(NULL, 0, NULL) == AIOS_OK ||
           aios_model_open(NULL, NULL, NULL) == AIOS_OK || aios_context_open(NULL, NULL, NULL, NULL, NULL) == AIOS_OK;
}
X
src declared.c <<'X'
#define AIOS_STATIC
#include "aios.h"
int main(void) { aios_plan p; aios_plan_init(&p); return (int)p.n_ctx + AIOS_KV_84 - AIOSK_KV(AIOSK_KV_I8, AIOSK_KV_C4); }
X
src declared_first.c <<'X'
#define AIOS_STATIC
#include "aios.h"
#include "static.c"
X
src little.c <<'X'
#define AIOS_STATIC
#define AIOS_IMPLEMENTATION
#include "aios.h"
int main(void) { return aios_version() != AIOS_VERSION; }
X
src kernels_declared.c <<'X'
#define AIOSK_STATIC
#include "aios_kernels.h"
typedef int aios_check_nothing;
X
src user.c <<'X'
#include "aios.h"
int main(void) {
    aios_model *m = NULL;
    aios_model_desc d;
    aios_error err;
    aios_model_desc_init(&d);
    if (aios_model_open(&d, &m, &err) != AIOS_ERR_ARG || m) return 1;   /* no allocator */
    if (err.code != AIOS_ERR_ARG || !err.text[0]) return 2;
    return aiosk_select(AIOSK_ISA_BEST) ? 0 : 3;
}
X
src plain.c <<'X'
#include "aios.h"
typedef int aios_check_nothing;
X

src readers.c <<'X'
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "aios.h"
#include "examples/readers.h"
X

# ---- ways to judge --------------------------------------------------------------------------------------------------
# -O1 at least where there is vector code: without optimisation GCC's intrinsics are macros, whose conversions it reports as those of the user.
compile() {         # compile COMPILER OUT FLAGS... FILE
    cc_=$1 out_=$2
    shift 2
    # shellcheck disable=SC2086
    $cc_ $WARN -I. "$@" -c -o "$dir/$out_"
}
parse() {           # parse COMPILER FLAGS... FILE: the language and its warnings, no code
    cc_=$1
    shift
    # shellcheck disable=SC2086
    $cc_ $WARN -I. "$@" -fsyntax-only
}

same_as_src() {     # the committed header is what src/ gives, with every awk that is here
    for a in "$AWK" mawk gawk original-awk "busybox awk"; do
        has "${a%% *}" || continue
        $a -v keep=aios_kernels.h -v licence=LICENSE -f tools/amalgamate.awk "src/$1" >"$dir/$1.$$" || return 1
        cmp "$dir/$1.$$" "$1" || { echo "$1 differs from src/ (with $a): make headers, and commit it"; return 1; }
        rm -f "$dir/$1.$$"
    done
}

pictures() {        # numbers of the document are those that the code gives
    ${MAKE:-make} -s build/pictures && build/pictures >"$dir/pictures" || return 1
    $AWK -f docs/pictures.awk "$dir/pictures" docs/ARCHITECTURE.md >"$dir/pictures.md" || return 1
    cmp "$dir/pictures.md" docs/ARCHITECTURE.md || { echo "docs/ARCHITECTURE.md has other numbers: make pictures, and commit it"; return 1; }
}

# The build that the other checks look into. Processor seconds of finished children: the clock would tell how busy the machine is.
cpu() { times >"$dir/times"; $AWK 'NR == 2 { split($1, t, /[ms]/); print int(t[1] * 60 + t[2] + 0.5) }' "$dir/times"; }
timed() {           # timed COMPILER OUT
    cpu >"$dir/cpu0"
    rm -f "$dir/peak"
    of_=
    if [ -x /usr/bin/time ] && /usr/bin/time -f %M -o "$dir/peak" true 2>/dev/null; then of_="/usr/bin/time -f %M -o $dir/peak"; fi
    compile "$of_ $1" "$2" -std=c99 -O2 -fno-pie "$from/lib.c" || return 1
    cpu >"$dir/cpu1"
    seconds=$(($(cat "$dir/cpu1") - $(cat "$dir/cpu0")))
    note_="$seconds s"
    [ "$seconds" -le "$MAX_SECONDS" ] || note_="$note_ (more than $MAX_SECONDS)"
    if [ -s "$dir/peak" ]; then
        mb=$(($(tail -n 1 "$dir/peak") / 1024))
        note_="$note_, $mb MB of memory"
        [ "$mb" -le "$MAX_MB" ] || note_="$note_ (more than $MAX_MB)"
    fi
    echo "info: $note_"
}

is_there() { [ -s "$dir/$1" ] || { echo "$1 was not built"; return 1; }; }

fits() {            # fits OBJECT LIMIT: the whole file, symbols and relocations included
    is_there "$1" || return 1
    bytes=$(wc -c <"$dir/$1" | tr -d ' ')
    code=$(size "$dir/$1" 2>/dev/null | $AWK 'NR == 2 { print ", " $1 " of them code and constants" }')
    echo "info: $bytes bytes$code; the limit is $2"
    [ "$bytes" -lt "$2" ]
}
one_set_fits() {    # one_set_fits COMPILER LIMIT: as above, with one vector set
    # shellcheck disable=SC2086
    compile "$1" one.o -std=c99 -O2 -fno-pie $ONE_SET "$from/lib.c" && fits one.o "$2"
}
all_fits() {        # all_fits OBJECT LIMIT MORE: its code and constants; LIMIT for one vector set beside plain C, MORE for each further one
    code=$(size "$dir/$1" | $AWK 'NR == 2 { print $1 }')
    sets=$(nm "$dir/$1" | grep -c ' aiosk__isa_[a-z0-9]*$')
    limit=$(($2 + (sets > 2 ? sets - 2 : 0) * $3))
    echo "info: $code bytes of code and constants; the limit is $limit for $((sets - 1)) sets"
    [ "$code" -lt $limit ]
}

# What an object may ask of the outside. Everything else is a failure, whether malloc, printf, abort or a function of
# libm: a white list cannot forget one.
MEM='mem(cpy|move|set|cmp|chr)|bcmp|str(len|n?cmp|c?spn|r?chr)'
RUNTIME='_GLOBAL_OFFSET_TABLE_|__stack_chk_fail(_local)?|__stack_chk_guard|__cpu_model|__cpu_indicator_init|getauxval'
THREADS='getpid|pthread_(create|join|self|mutex_(init|destroy|lock|trylock|unlock)|cond_(init|destroy|wait|timedwait|signal|broadcast)|condattr_(init|destroy|setclock)|attr_(init|destroy|setstack|setstacksize))'
FILES='(open|pread|fstat|mmap|lseek)(64)?|close|munmap|madvise|posix_madvise|posix_fadvise(64)?|__fxstat(64)?|sysconf|__errno_location'
CLOCK='clock_gettime'
reaches_only() {    # reaches_only OBJECT NAMES
    is_there "$1" || return 1
    nm -u "$dir/$1" | $AWK '{ print $NF }' | grep -vxE "$2" | sort -u >"$dir/stray"
    [ ! -s "$dir/stray" ] || { echo "the object reaches:"; cat "$dir/stray"; return 1; }
}
defines_no() {      # defines_no TYPES OBJECT: no symbol of these nm types
    is_there "$2" || return 1
    nm "$dir/$2" | $AWK -v t="$1" 'NF == 3 && index(t, $2) { print $3 }' >"$dir/stray"
    [ ! -s "$dir/stray" ] || { echo "writable:"; cat "$dir/stray"; return 1; }
}
# In position-independent code nm calls tables of pointers data; they are in .data.rel.ro, which the loader makes read-only.
none_in_data() {    # none_in_data LIBRARY
    objdump -h "$1" | $AWK '
        $2 ~ /^[.](data|bss)/ && $2 !~ /^[.]data[.]rel[.]ro/ && $3 !~ /^0+$/ { print $2, $3; bad = 1 }
        $2 ~ /^[.]data[.]rel[.]ro/ { n++ }
        END { if (!n) print "no tables were found"; exit bad || !n }'
}
exports_only() {    # exports_only OBJECT NAMES
    is_there "$1" || return 1
    nm -g "$dir/$1" | $AWK 'NF == 3 { print $3 }' | grep -vxE "$2" >"$dir/stray"
    [ ! -s "$dir/stray" ] || { echo "exported:"; cat "$dir/stray"; return 1; }
}

# x86: instructions with a VEX or EVEX prefix (their names begin with v), mask registers and wide registers belong to
# functions named _avx2, _avxvnni or _avx512...; 512 bits to the last alone, VNNI to those named after it or VBMI and to scores8; what came after
# SSE2 to all these and _sse41.
# A CPU without them must never meet one.
wide_code() {       # wide_code OBJECT
    objdump -d --no-show-raw-insn "$dir/$1" >"$dir/asm" || return 1
    $AWK '
        /^[0-9a-f]+ <.*>:$/ {
            name = $2
            gsub(/[<>:]/, "", name)
            sub(/(\.(part|constprop|isra|cold|lto_priv)(\.[0-9]+)?)+$/, "", name)
            two = name ~ /_(avx2|avxvnni)$/
            five = name ~ /_avx512(bw|vnni|vbmi)?$/
            n_functions++
            next
        }
        /%[yz]mm|%k[0-7]/ || $2 ~ /^v/ {
            n_wide++
            if (!two && !five) bad[name] = $0
            else if ($2 ~ /^vpdp/ && name !~ /_(avxvnni|avx512vnni|avx512vbmi)$|__(scores8|values8|means8)_avx512$/) bad[name] = $0
            else if (!five && /%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])/) bad[name] = $0
        }
        $2 ~ /^p(abs|sign|h|alignr|shufb|maddubs|mulhrs|mov[sz]x|blend|test|mulld|muldq|ackusdw|(extr|insr)[bdq]|cmp(eq|gt)q)/ ||
        $2 ~ /^(p(min|max)(sb|uw|ud|sd)|blend|round[ps]|movs[hl]dup|movddup|dpp|insertps|extractps|mpsadbw|h(add|sub)p|addsub|lddqu)/ {
            if (name !~ /_sse41$/) bad[name] = $0
        }
        END {
            for (name in bad) { print name ":" bad[name]; n_bad++ }
            if (!n_functions) print "no code was found"
            exit n_bad || !n_functions
        }' "$dir/asm"
}

links_and_runs() {  # links_and_runs OBJECTS-AND-FLAGS...
    $CC "$@" -pthread -o "$dir/linked" && "$dir/linked"
}
run() { "$@" -o "$dir/linked" && "$dir/linked"; }
one_command() {     # one_command FILE COMPILER...: as its first comment says, but quick to compile; it runs, and says something
    file_=$1
    shift
    run "$@" -O0 -DAIOSK_NO_SIMD -I. "$file_" -pthread -lm >"$dir/says" && [ "$(wc -c <"$dir/says")" -gt 20 ]
}
freestanding() {    # no threads, files or clock: nothing but memory functions
    # shellcheck disable=SC2086
    compile "$CC" bare.o $PLAIN -DAIOS_NO_THREADS -DAIOS_NO_FILES -DAIOS_NO_CLOCK "$from/lib.c" && reaches_only bare.o "$MEM|$RUNTIME"
}
no_simd() {         # no_simd OBJECT
    nm "$dir/$1" | grep -E '_(sse41|avx2|avxvnni|avx512|neon)' && { echo "names of vector code are left"; return 1; }
    return 0
}
fewer_sets() {      # fewer_sets NAMES FLAGS...: no table and no function of another vector set is left
    names_=$1
    shift
    parse "$CC" -std=c99 -O1 "$@" "$from/kernels.c" && $CC -I. -O1 "$@" -E "$from/kernels.c" >"$dir/text" || return 1
    got_=$(sed -n 's/.*aiosk_isa aiosk__isa_\([a-z0-9]*\) = .*/\1/p' "$dir/text" | sort | tr '\n' ' ')
    [ "$got_" = "$names_ " ] || { echo "compiled: $got_, not $names_"; return 1; }
    for set_ in sse41 avx2 avxvnni avx512 avx512bw avx512vnni avx512vbmi; do
        case " $names_ " in *" $set_ "*) continue ;; esac
        case "$set_ $names_ " in "avx512 "*" avx512vnni "*) continue ;; esac     # what AVX-512's sets share
        if grep "aiosk__[a-z0-9_]*_$set_ *(" "$dir/text"; then echo "a function of $set_ is left"; return 1; fi
    done
}
refused() { { parse "$@" 2>&1 || :; } | grep -q "IEEE arithmetic"; }
fewer_types() {     # what is not asked for is not compiled, and a model that needs it is refused by name
    run "$CC" -O0 -DAIOSK_NO_SIMD -DAIOSK_TYPES=0 -I. examples/hello.c -pthread -lm >"$dir/says" 2>&1 && { echo "the model ran"; return 1; }
    grep -q 'which this build leaves out (AIOSK_TYPES)' "$dir/says" || { cat "$dir/says"; return 1; }
    compile "$CC" types.o -std=c99 -O1 -DAIOSK_ONLY_AVX2 '-DAIOSK_TYPES=(AIOSK_TYPE(Q4_0)|AIOSK_TYPE(Q6_K))' "$from/kernels.c" || return 1
    has nm || return 0
    nm "$dir/types.o" | grep -E '_(q4_1|q8_0|q[2345]_k|iq[0-9a-z_]*|mxfp4)_(scalar|avx2)' && { echo "a type is left"; return 1; }
    nm "$dir/types.o" | grep -q aiosk__rows_q6_k_scalar
}
without() {         # without MACRO NAMES: the macro compiles and takes the names away
    # shellcheck disable=SC2086
    compile "$CC" without.o $PLAIN "-D$1" "$from/engine.c" || return 1
    nm -u "$dir/without.o" | $AWK '{ print $NF }' | grep -xE "$2" && { echo "reached in spite of $1"; return 1; }
    return 0
}
public_in() { nm "$dir/$1" | $AWK -v t="$2" 'NF == 3 && index("TDRB", $2) && $3 ~ t { print $3; n++ } END { exit !n }'; }
# shellcheck disable=SC2086
apart() {           # the kernels in one unit, the engine in another, which has none of their functions and links with them
    compile "$CC" kernels.o $PLAIN "$from/kernels.c" && compile "$CC" engine.o $PLAIN "$from/engine.c" || return 1
    if public_in engine.o '^_?aiosk_'; then echo "kernels in the engine's object"; return 1; fi
    run "$CC" -I. "$from/user.c" "$dir/engine.o" "$dir/kernels.o" -pthread
}
# shellcheck disable=SC2086
external() {        # all of the code elsewhere: an example's object has none of it
    compile "$CC" hello.o $PLAIN -DAIOS_EXTERNAL examples/hello.c || return 1
    if public_in hello.o '^_?aiosk?_'; then echo "code in the example's object"; return 1; fi
    run "$CC" "$dir/hello.o" "$dir/alloc.o" "$dir/kernels.o" -pthread >"$dir/says"
}
# shellcheck disable=SC2086
default_alloc() {   # malloc and free where they are wanted, and nothing else
    compile "$CC" alloc.o $PLAIN -DAIOS_DEFAULT_ALLOC "$from/engine.c" || return 1
    reaches_only alloc.o "malloc|free|$MEM|$RUNTIME|$THREADS|$FILES|$CLOCK|aiosk_[a-z0-9_]*" || return 1
    [ "$(nm -u "$dir/alloc.o" | grep -cE ' _?(malloc|free)$')" -eq 2 ]
}
quiet_static() {    # quiet_static COMPILER: no word about what is not used, or declared alone; in C and in C++, on both orders
    for as_ in "-std=c99" "-x c++ -std=c++11"; do
        for f_ in static declared declared_first little kernels_declared hidden; do
            # shellcheck disable=SC2086
            compile "$1" quiet.o $as_ -O0 -DAIOSK_NO_SIMD "$from/$f_.c" || { echo "$f_.c, $as_"; return 1; }
        done
    done
}
public_names() {    # public_names FILE: every function that the headers declare
    $CC -I. -DAIOS_API=PUBLIC_HERE -DAIOSK_API=PUBLIC_HERE -E -P "$1" | tr '\n' ' ' | grep -o 'PUBLIC_HERE [^(]*(' | sed 's/^.*[ *]\([a-z0-9_]*\)($/\1/' | sort -u
}
c_linkage() {       # implemented in C++: the names are those of C, whatever AIOS_API is
    for api_ in "" extern '__attribute__((visibility("default")))' 'extern __attribute__((visibility("default")))'; do
        $CC $WARN -I. -x c++ -std=c++11 -O0 "-DAIOS_API=$api_" "-DAIOSK_API=$api_" -c "$from/engine.c" -o "$dir/linkage.o" || return 1
        public_names "$from/plain.c" | grep '^aios_' >"$dir/declared"
        nm -g --defined-only "$dir/linkage.o" | $AWK '{ print $NF }' | sort >"$dir/defined"
        [ "$(wc -l <"$dir/declared")" -gt 100 ] && ! comm -23 "$dir/declared" "$dir/defined" | grep . || { echo "not defined with AIOS_API=$api_"; return 1; }
    done
}
# shellcheck disable=SC2086
windows_dll() {     # windows_dll COMPILER: exported are the public functions alone; a user imports them
    compile "$1" dll.o $PLAIN -DAIOS_DLL "$from/lib.c" && compile "$1" dlluser.o $PLAIN -DAIOS_DLL "$from/user.c" || return 1
    $1 -shared "$dir/dll.o" -o "$dir/aios.dll" "-Wl,--out-implib,$dir/aios.dll.a" && $1 "$dir/dlluser.o" "$dir/aios.dll.a" -o "$dir/dlluser.exe" || return 1
    nm "$dir/dlluser.o" | grep -q ' U __imp_aios_model_open$' || { echo "not imported"; return 1; }
    nm "$dir/dll.o" | grep '__imp_aios' && { echo "imports itself"; return 1; }
    objdump -p "$dir/aios.dll" | $AWK '/Ordinal.Name Pointer/ { on = 1; next } on && $1 ~ /^\[/ { print $NF }' | sort >"$dir/defined"
    public_names "$from/plain.c" >"$dir/declared"
    [ "$(wc -l <"$dir/declared")" -gt 120 ] && cmp "$dir/declared" "$dir/defined" || { diff "$dir/declared" "$dir/defined"; return 1; }
}

# ---- as a library ---------------------------------------------------------------------------------------------------
inst=$PWD/$from/installed
make_() { MAKEFLAGS='' MAKELEVEL=0 "${MAKE:-make}" CC="$CC" PREFIX="$inst" "$@" >"$dir/make" 2>&1 || { tail -n 5 "$dir/make"; return 1; }; }
installed() {       # two headers, two libraries and aios.pc; a program builds with what pkg-config says, and runs
    make_ install || return 1
    for f in include/aios.h include/aios_kernels.h lib/libaios.a lib/pkgconfig/aios.pc; do
        [ -s "$inst/$f" ] || { echo "$f was not installed"; return 1; }
    done
    flags="-I$inst/include -L$inst/lib -laios"
    if has pkg-config; then
        got_=$(PKG_CONFIG_PATH=$inst/lib/pkgconfig pkg-config --cflags --libs aios | sed 's/ *$//')
        [ "$got_" = "$flags" ] || { echo "pkg-config: $got_"; return 1; }
    fi
    # shellcheck disable=SC2086
    run $CC "$from/user.c" -I"$inst/include" "$inst/lib/libaios.a" -pthread && run $CC "$from/user.c" $flags -Wl,-rpath,"$inst/lib"
}
shared_exports() {  # what the shared library shows is the public interface; its soname is the name of its file
    nm -D --defined-only "$inst/lib/libaios.so" | $AWK '{ print $NF }' >"$dir/shown"
    [ "$(wc -l <"$dir/shown")" -gt 50 ] || { echo "few names"; return 1; }
    if grep -vxE 'aiosk?_[a-z0-9][a-z0-9_]*' "$dir/shown"; then echo "exported"; return 1; fi
    public_names "$from/plain.c" >"$dir/declared"
    sort "$dir/shown" | comm -23 "$dir/declared" - | grep . && { echo "declared, but not shown"; return 1; }
    objdump -p "$inst/lib/libaios.so" | grep -E 'SONAME +libaios[.]so[.]0$' || { echo "no soname"; return 1; }
}
uninstalled() {     # nothing stays behind
    make_ uninstall || return 1
    find "$inst" ! -type d >"$dir/left"
    [ ! -s "$dir/left" ] || { cat "$dir/left"; return 1; }
}
src CMakeLists.txt <<'X'
cmake_minimum_required(VERSION 3.10)
project(user C)
if(AIOS_FOLDER)
    add_subdirectory(${AIOS_FOLDER} aios)
else()
    find_package(aios 0.1 REQUIRED)
endif()
add_executable(user user.c)
target_link_libraries(user aios::aios)
X
cmake_() {          # cmake_ SOURCE FOLDER OPTION...: configured and built, quick to compile
    source_=$1 folder_=$from/$2
    shift 2
    cmake -S "$source_" -B "$folder_" -DCMAKE_C_COMPILER="${CC%% *}" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="-O0 -DAIOSK_NO_SIMD" "$@" &&
        MAKEFLAGS='' cmake --build "$folder_"
}
cmake_sub() { cmake_ "$from" sub -DAIOS_FOLDER="$PWD" && "$from/sub/user"; }
cmake_found() {     # shared, installed elsewhere, found there
    cmake_ . cmake -DBUILD_SHARED_LIBS=ON -DCMAKE_INSTALL_PREFIX="$inst/cmake" && cmake --build "$from/cmake" --target install &&
        cmake_ "$from" found -DCMAKE_PREFIX_PATH="$inst/cmake" && "$from/found/user"
}

# ---- the checks -----------------------------------------------------------------------------------------------------
other_compilers() {
    if has clang && ! $CC --version 2>/dev/null | grep -q clang; then
        check "C99 clang -O2" timed clang clang.o
        check "clang: size, one vector set" one_set_fits clang $MAX_BYTES_CLANG
        if has size && has nm; then check "clang: size, every set" all_fits clang.o $MAX_CODE_CLANG $MAX_SET_CLANG; fi
        if has nm; then check "clang: reaches nothing else" reaches_only clang.o "$MEM|$RUNTIME|$THREADS|$FILES|$CLOCK"; fi
        case $(clang -dumpmachine) in
            x86_64*) if has objdump; then check "clang: vector code" wide_code clang.o; fi ;;
        esac
        check "clang: AIOS_STATIC without a warning" quiet_static clang
        check "C11 clang" parse clang -std=c11 -O1 "$from/lib.c"
        check "readers.h, C99 clang" parse clang -std=c99 "$from/readers.c"
        check "readers.h, C++11 clang" parse clang -x c++ -std=c++11 "$from/readers.c"
        check "C++11 clang" parse clang -x c++ -std=c++11 -O1 "$from/lib.c"
    else
        skip "clang" "there is none, or it is the compiler already"
    fi

    if has x86_64-w64-mingw32-gcc; then
        check "Windows (mingw-w64)" compile x86_64-w64-mingw32-gcc win.o $PLAIN "$from/lib.c"
        check "Windows (mingw-w64), every set" parse x86_64-w64-mingw32-gcc -std=c99 -O1 "$from/lib.c"
        if has objdump && has nm; then check "Windows (mingw-w64): AIOS_DLL" windows_dll x86_64-w64-mingw32-gcc; fi
        check "Windows (mingw-w64): readers.h" compile x86_64-w64-mingw32-gcc readers.o -std=c99 "$from/readers.c"
    else
        skip "Windows" "no x86_64-w64-mingw32-gcc"
    fi
    if has aarch64-linux-gnu-gcc; then
        check "AArch64" compile aarch64-linux-gnu-gcc arm.o -std=c99 -O1 -fno-pie "$from/lib.c"
        if has nm; then
            check "AArch64: reaches nothing else" reaches_only arm.o "$MEM|$RUNTIME|$THREADS|$FILES|$CLOCK|__aarch64_(cas|swp|ldadd|ldset|ldclr|ldeor)[0-9]+_(relax|acq|rel|acq_rel|sync)"
            check "AArch64: no writable globals" defines_no BbDdCGgSs arm.o
        fi
    else
        skip "AArch64" "no aarch64-linux-gnu-gcc"
    fi

    WASM="clang --target=wasm32-wasi"
    if has clang && echo '#include <string.h>' | $WASM -x c -c - -o "$dir/probe.o" 2>/dev/null; then
        check "WebAssembly: readers.h" compile "$WASM" readers.o -std=c99 "$from/readers.c"
        check "WebAssembly" compile "$WASM" wasm0.o -std=c99 -O0 "$from/lib.c"
        check "WebAssembly, C++11, SIMD128" parse "$WASM" -x c++ -std=c++11 -O1 -msimd128 "$from/lib.c"
    else
        skip "WebAssembly" "no clang with wasi-libc"
    fi
}
count() { echo "$passed $failed" >"$dir/count"; }

(
    dir=build/check/others
    mkdir -p "$dir"
    other_compilers
    count
) >"$from/others.log" 2>&1 &

check "aios.h equals src/" same_as_src aios.h
check "aios_kernels.h equals src/" same_as_src aios_kernels.h
case $(clang-format-14 --version 2>/dev/null || clang-format --version 2>/dev/null) in
    *" 14."*) check "laid out as .clang-format says" ${MAKE:-make} -s formatted ;;
    *) skip "layout" "no clang-format 14" ;;
esac
check "no file uses what stands below it" ${AWK:-awk} -f tests/layers.awk src/aios.h
if [ -e models/tale.gguf ]; then check "docs/ARCHITECTURE.md: pictures are what the code says" pictures
else skip "pictures" "no models/tale.gguf"; fi

check "the library compiles, C99 -O2" timed "$CC" lib.o
check "size, one vector set" one_set_fits "$CC" $MAX_BYTES
if has size && has nm; then check "size, every set" all_fits lib.o $MAX_CODE $MAX_SET; fi
if has nm; then
    check "reaches nothing but memory, threads, files, clock" reaches_only lib.o "$MEM|$RUNTIME|$THREADS|$FILES|$CLOCK"
    check "no writable globals" defines_no BbDdCGgSs lib.o
    check "exports aios_ and aiosk_ alone" exports_only lib.o 'aiosk?_[a-z0-9][a-z0-9_]*'
else
    skip "symbols" "no nm"
fi
case $($CC -dumpmachine 2>/dev/null) in
    x86_64*) if has objdump; then check "vector code in functions of its set alone" wide_code lib.o
             else skip "vector code" "no objdump"; fi ;;
esac

silent() { $CC -I. -c "$from/lib.c" -o "$dir/plain_cc.o" 2>&1 | grep . && return 1; return 0; }
check "without any flag the compiler says nothing" silent
check "C11 $CC" parse "$CC" -std=c11 -O1 "$from/lib.c"
if echo 'int x;' | $CC -x c++ -std=c++11 -c - -o "$dir/probe.o" 2>/dev/null; then
    check "C++11 $CC" compile "$CC" cpp.o -x c++ -std=c++11 -O0 -DAIOSK_NO_SIMD "$from/lib.c"
    check "C++11 $CC, every set" parse "$CC" -x c++ -std=c++11 -O1 "$from/lib.c"
    check "readers.h, C++11" parse "$CC" -x c++ -std=c++11 "$from/readers.c"
    check "AIOS_STATIC without a warning" quiet_static "$CC"
    if has nm; then check "C names in C++, whatever AIOS_API is" c_linkage; fi
    check "C++11 user, C library" compile "$CC" cppuser.o -x c++ -std=c++11 -O1 "$from/user.c"
    check "C++11 user links with the C library" links_and_runs -no-pie "$dir/cppuser.o" "$dir/lib.o"
else
    skip "C++11 $CC" "no C++ compiler"
fi
check "readers.h, C99" compile "$CC" readers.o -std=c99 -O1 "$from/readers.c"
check "included twice, then implemented" parse "$CC" $PLAIN "$from/twice.c"
check "kernels implemented first" parse "$CC" $PLAIN "$from/both.c"
check "implemented after other headers" parse "$CC" $PLAIN "$from/late.c"
check "AIOS_EXTERNAL_KERNELS: kernels and engine apart" apart
if has nm; then
    check "kernels reach memory functions alone" reaches_only kernels.o "$MEM|$RUNTIME"
    check "AIOS_DEFAULT_ALLOC: malloc and free, nothing else" default_alloc
    check "AIOS_EXTERNAL: the code is elsewhere" external
fi
check "public structs have no hidden padding" compile "$CC" plain.o -std=c99 -Wpadded "$from/plain.c"
check "AIOS_STATIC compiles" compile "$CC" static.o $PLAIN "$from/static.c"
if has nm; then check "AIOS_STATIC exports nothing" exports_only static.o 'main'; fi
case $($CC -dumpmachine 2>/dev/null) in
    x86_64*) check "AIOSK_NO_AVX512, _NO_AVXVNNI, _NO_SSE41: AVX2 alone" \
                 fewer_sets "avx2 scalar" -DAIOSK_NO_AVX512 -DAIOSK_NO_AVXVNNI -DAIOSK_NO_SSE41
             check "AIOSK_ONLY_AVX2" fewer_sets "avx2 scalar" -DAIOSK_ONLY_AVX2
             check "AIOSK_ONLY_SSE41" fewer_sets "scalar sse41" -DAIOSK_ONLY_SSE41
             check "AIOSK_ONLY_AVX512" fewer_sets "avx512vbmi avx512vnni scalar" -DAIOSK_ONLY_AVX512
             check "AIOSK_ONLY_AVX512BW" fewer_sets "avx2 avx512bw avx512vbmi avx512vnni scalar" -DAIOSK_ONLY_AVX512BW
             check "C99 $CC -O0 -g" compile "$CC" debug.o -std=c99 -O0 -g "$from/lib.c"
             check "AIOSK_NO_AVX2, _NO_AVX512: SSE4.1 alone" fewer_sets "scalar sse41" -DAIOSK_NO_AVX2 -DAIOSK_NO_AVX512
             check "no set is left: scalar" fewer_sets "scalar" -DAIOSK_NO_SSE41 -DAIOSK_NO_AVX2 -DAIOSK_NO_AVX512 ;;
esac
check "-ffast-math is refused" refused "$CC" -std=c99 -O1 -ffast-math -DAIOSK_NO_SIMD "$from/kernels.c"
if $CC --version 2>/dev/null | grep -q clang; then skip "parts of -ffast-math" "clang has no macros that tell of them"
else                # the second alone does nothing, and has no macro either
    for f in -funsafe-math-optimizations "-fassociative-math -fno-signed-zeros -fno-trapping-math" -fno-signed-zeros -freciprocal-math -ffinite-math-only; do
        # shellcheck disable=SC2086
        check "${f%% *} is refused" refused "$CC" -std=c99 -O1 $f -DAIOSK_NO_SIMD "$from/kernels.c"
    done
fi
# What rpcndr.h, windef.h, complex.h, sysmacros.h and the like define
# shellcheck disable=SC2086
check "names that system headers have as macros" parse "$CC" $PLAIN -Dsmall=char -Dnear= -Dfar= -Dlo=1 -Dhi=2 -Dinterface=struct -DIN= -DOUT= -DOPTIONAL= \
    -Dhyper=__int64 -Dpascal= -Dcdecl= -DERROR=0 -DNO_ERROR=0 -DI=0 -DDOMAIN=1 -Dunix=1 -Dlinux=1 -Dmajor=1 -Dminor=1 -DTRUE=1 -DFALSE=0 -DDELETE=1 "$from/lib.c"
check "AIOSK_TYPES" fewer_types
if has nm; then
    check "AIOS_NO_THREADS" without AIOS_NO_THREADS "$THREADS"
    check "AIOS_NO_FILES" without AIOS_NO_FILES "$FILES"
    check "AIOS_NO_CLOCK" without AIOS_NO_CLOCK "$CLOCK"
    check "without threads, files and clock: memory functions alone" freestanding
    check "AIOSK_NO_SIMD" no_simd bare.o
fi
if printf '#include <numa.h>\n' | $CC -x c -c - -o "$dir/probe.o" 2>/dev/null; then
    check "AIOS_LIBNUMA" parse "$CC" $PLAIN -DAIOS_LIBNUMA "$from/lib.c"
else
    skip "AIOS_LIBNUMA" "no numa.h (Debian: libnuma-dev)"
fi
check "a user's unit compiles" compile "$CC" user.o -std=c99 -O1 "$from/user.c"
check "two units link and run" links_and_runs -no-pie "$dir/user.o" "$dir/lib.o"
for e in examples/*.c; do
    [ -e "$e" ] || continue
    check "$e compiles against the headers" parse "$CC" $PLAIN "$e"
done
# Without threads, files and clock; with them; in C++, on threads of its own
check "one command: examples/arena.c" one_command examples/arena.c "$CC"
check "one command: examples/hello.c" one_command examples/hello.c "$CC"
if has "${CXX:-c++}"; then check "one command: examples/jobs.cpp" one_command examples/jobs.cpp "${CXX:-c++}" -std=c++11; fi

check "make install, pkg-config; linked both ways" installed
if has nm; then
    for o in build/kernels*.o; do
        cp "$o" "$dir/kernels.o"
        check "$o reaches memory functions and its kin alone" reaches_only kernels.o "$MEM|$RUNTIME|aiosk_[a-z0-9_]*"
    done
fi
if [ "$(uname -s)" = Linux ] && has objdump; then
    check "position independent: nothing stays writable" none_in_data "$inst/lib/libaios.a"
    check "the shared library shows the public interface" shared_exports
fi
check "make uninstall" uninstalled
if has cmake; then
    check "CMake: add_subdirectory" cmake_sub
    check "CMake: shared, installed, find_package" cmake_found
else
    skip "CMake" "there is none"
fi

wait
cat "$from/others.log"
if [ -s build/check/others/count ]; then
    read -r p f <build/check/others/count
    passed=$((passed + p)) failed=$((failed + f))
else
    failed=$((failed + 1))
    echo "FAIL  the checks with other compilers did not end"
fi
rm -f "$dir/out" "$dir/stray" "$dir/asm" "$dir"/cpu? "$dir/times"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
