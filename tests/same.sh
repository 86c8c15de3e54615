#!/bin/sh
# same.sh: one hash of logits for every instruction set, number of threads and chunk size. Run from the root.
#
# AIOS is the command under test; AIOS_REF gives the hashes that it must reproduce (scalar code, one thread), and may be a
# build for another machine; AIOS_ALSO is one more command that must agree (the same build on an older CPU). TEST_QUICK=1
# tries fewer combinations, for emulators; TEST_THREADS="1" is for a build without threads. Models come from AIOS_SHARED, and
# the one that is built in.
set -u
AIOS=${AIOS:-build/aios}
AIOS_REF=${AIOS_REF:-$AIOS}
AIOS_ALSO=${AIOS_ALSO:-}
fixtures=${AIOS_SHARED:-../shared}/fixtures
passed=0
failed=0
if [ "${TEST_QUICK:-0}" = 1 ]; then threads="1 3" chunks="7 64"; else threads="1 2 3" chunks="1 7 64"; fi
threads=${TEST_THREADS:-$threads}
err=$(mktemp) || exit 1
trap 'rm -f "$err"' EXIT

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL  $*"; }

# hash COMMAND MODEL-OPTIONS TOKENS OPTIONS: the hash, or nothing and the reason in $err
hash() {
    cmd_=$1 model_=$2 tokens_=$3
    shift 3
    # shellcheck disable=SC2086
    $cmd_ logits $model_ --tokens "$tokens_" --hash "$@" 2>"$err"
}

# The instruction sets that the command under test has here. "best" is what it picks by itself.
tokens=$(i=1; while [ $i -le 100 ]; do printf '%s%d' "${comma:-}" $((i * 37 % 4000 + 1)); comma=,; i=$((i + 1)); done)
isas=
for isa in scalar sse41 avx2 avxvnni avx512-bw avx512 avx512-vbmi neon neon-dot wasm; do
    if [ -n "$(hash "$AIOS" "" 1,2,3 --isa $isa)" ]; then isas="$isas $isa"
    else case $isa in
        scalar) bad "scalar, the model that is built in: $(head -n 1 "$err")" ;;
        *) echo "skip  $isa: $(head -n 1 "$err")" ;;
        esac
    fi
done
echo "instruction sets:$isas"

# same NAME MODEL-OPTIONS TOKENS OPTIONS: all combinations give the hash of AIOS_REF
same() {
    name=$1 model=$2 ids=$3
    shift 3
    want=$(hash "$AIOS_REF" "$model" "$ids" --isa scalar -t 1 --chunk 64 "$@")
    if [ -z "$want" ]; then bad "$name $*: $(head -n 1 "$err")"; return; fi
    n=0 differ=0
    for isa in $isas; do for t in $threads; do for c in $chunks; do
        got=$(hash "$AIOS" "$model" "$ids" --isa "$isa" -t "$t" --chunk "$c" "$@")
        n=$((n + 1))
        if [ "$got" = "$want" ]; then ok; else
            differ=$((differ + 1))
            bad "$name $* --isa $isa -t $t --chunk $c: ${got:-$(head -n 1 "$err")}, not $want"
        fi
    done; done; done
    for cmd in "$AIOS" "$AIOS_ALSO"; do
        [ -n "$cmd" ] || continue
        got=$(hash "$cmd" "$model" "$ids" "$@")
        if [ "$got" = "$want" ]; then ok; else bad "$name $*, $cmd by itself: ${got:-$(head -n 1 "$err")}, not $want"; fi
    done
    [ $differ -ne 0 ] || echo "ok    $want  $name $* ($n ways)"
}

same "built in" "" "$tokens"
same "built in" "" "$tokens" --kv f32
same "built in" "" "$tokens" --kv i8

if [ ! -e "$fixtures/types/index.tsv" ]; then
    echo "skip  fixtures: no $fixtures (AIOS_SHARED says where)"
else
    # sequence a of some models: every kind of kernel once, and the wirings that have ops of their own
    for m in stories/stories260K-f32 stories/stories260K-q5_1 types/llama-f16 types/llama-bf16 types/llama-q8_0 \
        types/llama-q4_0 types/llama-q4_k types/llama-q6_k types/llama-q4_k_m types/llama-q2_k types/llama-iq4_xs \
        types/llama-iq1_m types/llama-nvfp4 types/llama-tq1_0 zoo/llama3-freqs zoo/qwen3 zoo/falcon40b zoo/gemma2 zoo/phi3-swa zoo/gpt2 \
        zoo/mixtral zoo/qwen2moe zoo/olmoe zoo/granitemoe; do
        folder=${m%/*} file=${m#*/}.gguf
        ids=$(awk -F '\t' -v f="$file" '
            NR == 1 { for (i = 1; i <= NF; i++) col[$i] = i; next }
            $col["file"] == f && $col["seq"] == "a" { print $col["tokens"] }' "$fixtures/$folder/index.tsv")
        same "$m" "-m $fixtures/$m.gguf" "$ids"
        case $m in *-f32 | */gemma2) same "$m" "-m $fixtures/$m.gguf" "$ids" --kv f32
                                     same "$m" "-m $fixtures/$m.gguf" "$ids" --kv i8 ;; esac
    done
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
