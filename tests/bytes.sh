#!/bin/sh
# bytes.sh: the bytes per token that the library computes, against a cache that is simulated: valgrind's cachegrind runs one thread of
# the command with a last-level cache that is far smaller than the weights, once for N tokens and once for 2 N. The lines that the second
# run read from memory beyond the first are those of N tokens. Run from the root, after the examples are built.
#
# Every byte of weights and cache that is counted must cross: weights of 3.3 MB pass between two uses of a line, and a cache that replaces
# the least recently used keeps none of them. So measured / computed is not below 1 (0.995: for a line here and there). It is above 1 by
# what is read and not counted; with 256 KiB, an f32 cache and AVX2 that is 1.96 %, of which (cg_annotate, by function)
#   0.6 %  the program: each op's record and the plan's tables, read once per token
#   0.4 %  logits, written by the last matrix, then read by the sampler
#   0.2 %  keys, which come in groups of 16 where fewer count
#   0.8 %  activations, angles, stack, libc: what weights push out between two uses
# so the limit is 3 %: a matrix of every layer that is forgotten (the smallest are 2.8 % in all) or counted twice does not pass. The control:
# in a cache that holds everything a token reads next to nothing, so it is the passing of the weights that is seen, not the run.
set -u
dir=build/check-bytes
rm -rf "$dir"
mkdir -p "$dir"
AWK=${AWK:-awk}
passed=0
failed=0
ok() { passed=$((passed + 1)); echo "ok    $1"; }
bad() { failed=$((failed + 1)); echo "FAIL  $1"; tail -n 8 "$dir/out" "$dir/err" 2>/dev/null | sed 's/^/      /'; }
finish() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; exit; }

if ! command -v valgrind >/dev/null 2>&1; then
    echo "skip  bytes by cachegrind: no valgrind"
    finish
fi
if ! valgrind --tool=cachegrind --cachegrind-out-file=/dev/null true >"$dir/out" 2>&1; then
    echo "skip  bytes by cachegrind: $(tail -n 1 "$dir/out")"
    finish
fi
# Valgrind knows instructions up to AVX2; plain C takes it a second per token.
n=33
isa=
for i in avx2 neon scalar; do
    [ $i != scalar ] || n=5
    if valgrind --tool=none build/aios logits --tokens 1 --hash --isa $i >"$dir/out" 2>&1; then isa=$i; break; fi
done
if [ -z "$isa" ]; then bad "no instruction set runs under valgrind"; finish; fi
twice=$((2 * n - 1))
prompt="Once upon a time"
n_prompt=$(($(build/aios tokenize -p "$prompt" | wc -w)))

misses() {          # misses LL N OPTION...: lines of data read from memory
    ll=$1 tokens=$2
    shift 2
    valgrind --tool=cachegrind --cache-sim=yes --LL="$ll" --cachegrind-out-file=/dev/null \
        build/aios run --greedy -p "$prompt" -n "$tokens" -t 1 --isa "$isa" "$@" >"$dir/out" 2>"$dir/err" </dev/null || return 1
    grep -q "; prompt $n_prompt tokens.* generated $tokens," "$dir/err" || return 1
    $AWK '/LLd misses:/ { gsub(/[,(]/, ""); print $5 }' "$dir/err"
}
computed() {        # computed N OPTION...: bytes of the N - 1 steps that `run -n N` makes
    tokens=$1
    shift
    build/aios bench --bytes --json -p "$n_prompt" -n $((tokens - 1)) -r 1 -t 1 "$@" 2>"$dir/err" >"$dir/out" || return 1
    $AWK -v n=$((tokens - 1)) '{ if (match($0, /"counted": [0-9.]+/)) printf "%.0f\n", substr($0, RSTART + 11, RLENGTH - 11) * n }' "$dir/out"
}
ratio() {           # ratio NAME LL LEAST MOST OPTION...
    name=$1 ll=$2 least=$3 most=$4
    shift 4
    if [ "$*" != "$of" ]; then                  # computed already for the last one's options?
        of=$*
        c1=$(computed $n "$@")
        c2=$(computed $twice "$@")
    fi
    m1=$(misses "$ll" $n "$@") && m2=$(misses "$ll" $twice "$@") &&
        [ -n "$c1" ] && [ -n "$c2" ] && [ -n "$m1" ] && [ -n "$m2" ] || { bad "$name: a run failed"; return; }
    line=$($AWK -v c1="$c1" -v c2="$c2" -v m1="$m1" -v m2="$m2" -v n=$((twice - n)) -v lo="$least" -v hi="$most" 'BEGIN {
        r = (m2 - m1) * 64 / (c2 - c1)
        printf "%.0f bytes per token computed, %.0f read from memory: %.4f", (c2 - c1) / n, (m2 - m1) * 64 / n, r
        exit !(r >= lo && r <= hi) }') && ok "$name: $line" || bad "$name: $line, not from $least to $most"
}

echo "$isa, tokens $n to $twice"
of=none
ratio "256 KiB, f32 cache" 262144,8,64 0.995 1.03 --kv f32
ratio "512 KiB, f32 cache" 524288,8,64 0.995 1.03 --kv f32
ratio "16 MiB, which holds the model" 16777216,16,64 0 0.02 --kv f32
ratio "256 KiB, f16 cache" 262144,8,64 0.995 1.03 --kv f16
ratio "256 KiB, i8 cache" 262144,8,64 0.995 1.03 --kv i8
rm -f "$dir"/*
finish
