#!/bin/sh
# snippets.sh: every piece of code in README.md, other .md files and the manuals of both headers is compiled and run. Run from the root,
# after build/aios is built; prints one line per piece.
#
#     ```c       a program (it has a main) or some statements, which get the frame below; see "C and C++"
#     ```sh      commands, run line by line in a folder where the repository is too, and model.gguf; see "commands"
#     ```text    $ COMMAND, and what it prints, but for line ends
#     ```picture a drawing; check.sh compares those with numbers
#
# A block of another kind, or one that is merely indented, is a failure, and so is a command that no rule here knows: nothing is left out
# without a reason being given.
set -u
CC=${CC:-cc}
CXX=${CXX:-c++}
AWK=${AWK:-awk}
dir=build/snippets
run=$dir/run                # where commands and programs run
rm -rf "$dir"
mkdir -p "$run"
passed=0
failed=0
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wunused-parameter -Werror"
ok() { passed=$((passed + 1)); printf 'ok    %s\n' "$1"; }
bad() {
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$1"
    [ $# -gt 1 ] && sed 's/^/      /' "$2" | head -n 12
    return 0
}
has() { command -v "$1" >/dev/null 2>&1; }

# ---- where they run: as a clone of the repository, with a model of the reader's beside it -----------------------------------
for f in *; do
    case $f in build) ;; *) ln -s "$PWD/$f" "$run/$f" ;; esac
done
mkdir "$run/build"
ln -s "$PWD/build/aios" "$run/build/aios"
cp models/tale.gguf "$run/model.gguf"

# ---- the pieces: FOLDER/NN.LANGUAGE, and NN.at, which says where it was ------------------------------------------------------
# Markdown: fenced blocks
# shellcheck disable=SC2016
fenced='
    FNR == 1 { inside = 0; blank = 1 }
    /^```/ && !inside {
        lang = substr($0, 4)
        if (lang !~ /^[a-z]+$/) { print FILENAME ":" FNR ": a block must say what it is" >bad_; lang = "text" }
        inside = 1
        f = sprintf("%s/%02d", out, ++n)
        print FILENAME ":" FNR + 1 >(f ".at")
        f = f "." lang
        printf "" >f
        next
    }
    /^```$/ { inside = 0; close(f); next }
    inside { print >f }
    !inside && blank && /^    / { print FILENAME ":" FNR ": a block that is merely indented" >bad_ }
    { blank = /^ *$/ }'
# Comments of a header: a block of lines behind " *     ", after an empty line, with a line that ends in a call
# shellcheck disable=SC2016
commented='
    function done() {
        if (code) {
            f = sprintf("%s/%02d", out, ++n)
            print FILENAME ":" first >(f ".at")
            printf "%s", text >(f ".c")
        } else if (call) print FILENAME ":" call ": a call that is in no sample: an empty line before it, and a semicolon" >bad_
        text = empty = ""
        code = call = 0
    }
    /^ \*$/ { if (text != "") empty = empty "\n"; blank = 1; next }
    /^ \*     +aiosk?_[a-z0-9_]+\(/ { call = FNR }
    /^ \*     [^ ]/ || (/^ \*      / && text != "") {
        if (text == "" && !blank) next
        if (text == "") first = FNR
        text = text empty substr($0, 8) "\n"
        empty = ""
        if (/\); *(\/\/.*)?$/) code = 1
        next
    }
    { done(); blank = 0 }
    END { done() }'
: >"$dir/odd"
mkdir "$dir/md" "$dir/h" "$dir/k"
# shellcheck disable=SC2046
$AWK -v out="$dir/md" -v bad_="$dir/odd" "$fenced" $(ls -d *.md */*.md | grep -v '^build/')
$AWK -v out="$dir/h" -v bad_="$dir/odd" "$commented" src/api.h
$AWK -v out="$dir/k" -v bad_="$dir/odd" "$commented" src/kernels/api.h
if [ -s "$dir/odd" ]; then bad "every block is fenced and says what it is" "$dir/odd"; else ok "every block is fenced and says what it is"; fi
n_c=$(ls "$dir"/*/*.c | wc -l) n_sh=$(ls "$dir"/*/*.sh | wc -l)
if [ "$n_c" -ge 6 ] && [ "$n_sh" -ge 4 ]; then ok "found: $((n_c)) of C, $((n_sh)) of commands"; else bad "found: $((n_c)) of C, $((n_sh)) of commands"; fi

# ---- C and C++ --------------------------------------------------------------------------------------------------------------
# Statements become the body of a function. They find an allocator, a text and room for its ids; those that open no model find
# one, with contexts, and a host's locks and jobs. What they do must leave err as it is when all went well.
frame() {           # frame PIECE AT
    cat <<'X'
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "aios.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
X
    grep '^#' "$1"
    cat <<'X'
static void *take(void *user, const aios_mem_req *r) { void *p; (void)user; return posix_memalign(&p, r->align < 64 ? 64 : (size_t)r->align, (size_t)r->bytes) ? NULL : p; }
static void give(void *user, void *p, const aios_mem_req *r) { (void)user; (void)r; free(p); }
aios_allocator my_allocator;
aios_error err;
extern const char text[];
const char text[] = "Once upon a time there was a little dragon who";
uint64_t n_text = sizeof text - 1, deadline_ns = 0;
int32_t ids[512];
enum { n_ids = 512, n_seq = 4, n_in = 64, n_rows = 32 };
unsigned char weights[n_rows * n_in];
float x[n_in], y[n_rows];
double acts[n_in];
X
    grep -q aios_model_open "$1" || cat <<'X'
aios_model *model;
aios_context *ctx, *background, *foreground;
int32_t wanted, cores;
aios_status st;
int32_t atomic_load(const int32_t *p) { return *p; }
void atomic_store(int32_t *p, int32_t v) { *p = v; }
void wait_a_bit(void) {}
void lock(int32_t *p) { if ((*p)++) exit(3); }
void unlock(int32_t *p) { (*p)--; }
X
    echo 'static void piece(void) {'
    echo "#line ${2##*:} \"${2%:*}\""
    sed 's/^#.*//' "$1"
    echo '}'
    echo '#line 1 "frame"'
    echo 'static void opened(void) {'
    grep -q aios_model_open "$1" || cat <<'X'
    aios_model_desc md;
    aios_plan_desc pd;
    aios_plan plan;
    aios_context_desc cd;
    aios_model_desc_init(&md);
    md.mem = &my_allocator;
    md.path = "model.gguf";
    aios_plan_desc_init(&pd);
    pd.n_seq = n_seq;
    pd.n_ctx = 512;
    aios_plan_init(&plan);
    aios_context_desc_init(&cd);
    if (aios_model_open(&md, &model, &err) || aios_plan_make(model, &pd, &plan, &err) || aios_context_open(model, &plan, &cd, &ctx, &err) ||
        aios_context_open(model, &plan, &cd, &background, &err) || aios_context_open(model, &plan, &cd, &foreground, &err))
        return;
    ids[0] = ids[1] = ids[2] = 70;
    aios_feed(background, 0, ids, 3, 0, &err);
    aios_feed(foreground, 0, ids, 3, 0, &err);
X
    cat <<'X'
}
int main(void) {
    memset(&err, 0, sizeof err);
    aios_allocator_init(&my_allocator);
    my_allocator.alloc = take;
    my_allocator.free = give;
    opened();
    if (!err.code) piece();
    if (err.code) fprintf(stderr, "%s\n", err.text);
    return err.code != 0;
}
X
}
languages="-std=c99:$CC"
if has "$CXX"; then languages="$languages -std=c++11:$CXX"; fi
if has clang && ! $CC --version 2>/dev/null | grep -q clang; then
    languages="$languages -std=c99:clang"
    if echo '#include <string>' | clang -x c++ -fsyntax-only - 2>/dev/null; then languages="$languages -std=c++11:clang"; fi
fi
for piece in "$dir"/*/*.c; do
    read -r at <"${piece%.c}.at"
    program=$piece.program.c
    library="-O1 -DAIOS_EXTERNAL -x none build/libaios.a"       # compiled already, but where a piece says how it is to be
    if grep -q '^#define AIOS_DEFAULT_ALLOC' "$piece"; then library="-O0 -DAIOSK_NO_SIMD"; fi
    if grep -q '^int main(' "$piece"; then
        { echo "#line ${at##*:} \"${at%:*}\""; cat "$piece"; } >"$program"
        name=$(sed -n '1s|^/\* \([a-z_]*\.c\): .*|\1|p' "$piece")       # one that says what file it is, for the commands that follow it
        [ -z "$name" ] || cp "$piece" "$run/$name"
        set -- model.gguf "Once upon a time"
    else
        frame "$piece" "$at" >"$program"
        set --
    fi
    rm -f "$piece.said"
    for l in $languages; do
        std=${l%%:*} cc=${l#*:} x=c
        case $std in *c++*) x=c++ ;; esac
        what="$at, $cc $std"
        # shellcheck disable=SC2086
        if $cc $std $WARN -I. -x $x "$program" $library -pthread -lm -o "$piece.out" >"$piece.log" 2>&1 &&
            (cd "$run" && "../../../$piece.out" "$@") >"$piece.says" 2>"$piece.log" </dev/null; then
            if [ -e "$piece.said" ] && ! cmp -s "$piece.says" "$piece.said"; then bad "$what prints something else"; else ok "$what"; fi
            mv "$piece.says" "$piece.said"
        else
            bad "$what" "$piece.log"
        fi
    done
done

# ---- commands ---------------------------------------------------------------------------------------------------------------
# Set up to be cheap: make is asked what it would do, but for what is built already; a compiler makes its program without optimisation.
command_() {        # command_ LINE: runs it in $run, or leaves in $reason why not
    case $1 in
        "make demo")
            MAKEFLAGS='' MAKELEVEL=1 "${MAKE:-make}" -s demo CC="$CC" ;;
        make\ *) # shellcheck disable=SC2086
            MAKEFLAGS='' MAKELEVEL=1 "${MAKE:-make}" -n ${1#make } CC="$CC" >"$dir/make" 2>&1 || { tail -n 3 "$dir/make" >&2; return 1; } ;;
        cc\ *|./*|build/aios\ *|printf\ *"| build/aios "*)
            line_=$1
            case $1 in cc\ -O2\ *) line_="$CC -O0 -DAIOSK_NO_SIMD ${1#cc -O2 }" ;; esac
            (cd "$run" && sh -c "$line_") ;;
        *tests/fetch_real.sh*|*bench/cache_kl.sh*) reason="needs a model that is fetched: make test-real" ;;
        *bench/types.sh*|*bench/cache.sh*|*bench/peers.sh*) reason="measures large models, beside another engine" ;;
        *) echo "no rule of tests/snippets.sh knows this command" >&2; return 1 ;;
    esac
}
try() {             # try AT LINE
    reason=
    if command_ "$2" >"$dir/stdout" 2>"$dir/stderr" </dev/null; then
        if [ "$reason" ]; then printf 'skip  %s: %s: %s\n' "$1" "$2" "$reason"; else ok "$1: $2"; fi
    else
        bad "$1: $2" "$dir/stderr"
    fi
}
words() { tr -s ' \n' '  ' <"$1" | sed 's/ $//'; echo; }
for piece in "$dir"/md/*.sh "$dir"/md/*.text; do
    read -r at <"${piece%.*}.at"
    case $piece in
        *.sh)
            sed 's/  *# .*//; s/^# .*//; /^$/d' "$piece" >"$dir/lines"
            while IFS= read -r line; do try "$at" "$line"; done <"$dir/lines" ;;
        *.text)
            try "$at" "$(sed -n '1s/^[$] //p' "$piece")"
            sed 1d "$piece" >"$dir/shown"
            if [ "$(words "$dir/shown")" = "$(words "$dir/stdout")" ]; then ok "$at: prints that"; else bad "$at: prints something else" "$dir/stdout"; fi ;;
    esac
done

# ---- the program of the README --------------------------------------------------------------------------------------------
says() {            # says NAME STATUS WHAT COMMAND...: exits with the status; WHAT is in what it prints
    name=$1 status=$2 what=$3
    shift 3
    (cd "$run" && "$@") >"$dir/stdout" 2>"$dir/stderr" </dev/null
    rc=$?
    cat "$dir/stdout" "$dir/stderr" >"$dir/both"
    if [ $rc -eq "$status" ] && grep -q "$what" "$dir/both" && { [ $rc -eq 0 ] || [ "$(wc -l <"$dir/stderr")" -eq 1 ]; }; then ok "$name"; else bad "$name (exit status $rc)" "$dir/both"; fi
}
if [ -x "$run/tell" ]; then
    says "tell: no such file" 1 "missing.gguf" ./tell missing.gguf "Once"
    says "tell: no model" 1 . ./tell LICENSE "Once"
    says "tell: nothing to go on from" 1 . ./tell model.gguf ""
    says "tell: a prompt of 1,697 tokens" 0 "They are yours, Your Majesty" ./tell model.gguf "$(head -c 6000 models/tale-valid.txt)"
    stories=${AIOS_SHARED:-../shared}/fixtures/stories/stories260K-f32.gguf
    if [ -e "$stories" ]; then
        cp "$stories" "$run/stories.gguf"
        says "tell: SentencePiece, the space behind the prompt stays" 0 "^Once upon a [a-z]" ./tell stories.gguf "Once upon a"
    else
        echo "skip  tell: SentencePiece: no $stories"
    fi
else
    bad "the README makes a program named tell"
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
