#!/bin/sh
# examples.sh: the examples run, and the command says what is wrong in one line. Run from the root, after they are built.
set -u
dir=build/check-examples
mkdir -p "$dir"
passed=0
failed=0
ok() { passed=$((passed + 1)); echo "ok    $1"; }
bad() {
    failed=$((failed + 1))
    echo "FAIL  $1"
    tail -n 5 "$dir/out" "$dir/err" | sed 's/^/      /'
}

runs() {            # runs COMMAND...: exits with 0 and says something
    if "$@" >"$dir/out" 2>"$dir/err" </dev/null && [ "$(wc -c <"$dir/out")" -gt 20 ]; then ok "$*"; else bad "$*"; fi
}
refuses() {         # refuses COMMAND...: nothing on stdout, one line on stderr, an exit status from 1 to 125
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    rc=$?
    if [ $rc -gt 0 ] && [ $rc -lt 126 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ]; then ok "refuses $*"; else
        bad "refuses $* (exit status $rc)"
    fi
}
same() {            # same COMMAND -- COMMAND: both print the same
    first=
    while [ "$1" != -- ]; do first="${first:+$first }$1"; shift; done
    shift
    # shellcheck disable=SC2086
    if $first >"$dir/out" 2>"$dir/err" && [ -s "$dir/out" ] && "$@" >"$dir/out2" 2>>"$dir/err" && cmp "$dir/out" "$dir/out2" 2>>"$dir/err"; then
        ok "$first = $*"
    else
        bad "$first = $*"
    fi
}

for e in examples/*.c; do
    e=$(basename "$e" .c)
    case $e in aios|preload) ;; *) runs "build/$e" ;; esac
done
for e in examples/*.cpp; do
    e=build/$(basename "$e" .cpp)_cpp
    if [ -x "$e" ]; then runs "$e"; else echo "skip  $e: no C++ compiler"; fi
done
runs build/aios --help
runs build/aios run -p "Once upon a time" -n 16
runs build/aios inspect
runs build/aios plan
runs build/aios hardware
runs build/aios hardware --json
runs build/aios bench --bytes -p 4 -n 4 -r 2
runs build/aios bench --bytes -p 4 -n 4 -r 2 --json
same build/aios run -p Once -n 24 --temp 0.8 --seed 7 -- build/aios run -p Once -n 24 --temp 0.8 --seed 7 -t 2 --chunk 3 --isa scalar
same build/aios run --greedy -p Once -n 24 -- build/aios run --greedy -p Once -n 24 --deadline-us 200

refuses build/aios nonsense
refuses build/aios run --nonsense
refuses build/aios run -n many
refuses build/aios run -m "$dir/missing.gguf" -p x
refuses build/aios run -m "$dir" -p x
: >"$dir/empty.gguf"
refuses build/aios run -m "$dir/empty.gguf" -p x
head -c 3000 LICENSE >"$dir/text.gguf"
refuses build/aios inspect "$dir/text.gguf"
if [ -e models/tale.gguf ]; then
    runs build/aios pack models/tale.gguf "$dir/tale.aios"
    runs build/aios pack "$dir/tale.aios"
    same build/aios run --greedy -p Once -n 24 -- build/aios run -m models/tale.gguf --artifact "$dir/tale.aios" --greedy -p Once -n 24
    same build/aios run --greedy -p Once -n 24 -- build/aios run -m models/tale.gguf --artifact "$dir/tale.aios" --reader pread --ram 5M --greedy -p Once -n 24
    { head -c 1000000 "$dir/tale.aios"; printf x; tail -c +1000002 "$dir/tale.aios"; } >"$dir/damaged.aios"
    refuses build/aios pack "$dir/damaged.aios"
    head -c 1000000 "$dir/tale.aios" >"$dir/cut.aios"
    refuses build/aios run -m models/tale.gguf --artifact "$dir/cut.aios" -p x
    head -c 100000 models/tale.gguf >"$dir/short.gguf"
    refuses build/aios run -m "$dir/short.gguf" -p x
    [ "$(uname -s)" != Linux ] || for r in pread pread-drop direct uring mmap; do
        same build/aios logits -m models/tale.gguf --tokens 1,2,3 --hash -- build/aios logits -m models/tale.gguf --tokens 1,2,3 --hash --reader $r
        refuses build/aios run -m "$dir" -p x --reader $r
    done
fi
refuses build/aios run -p x --ram 1000
refuses build/aios logits --tokens 1,2,99999999 --hash
refuses build/aios bench -n 0
refuses build/aios hardware -m model.gguf

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
