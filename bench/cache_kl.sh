#!/bin/sh
# cache_kl.sh MODEL TEXT [WINDOWS [WINDOW]]: what each type of cache changes, against an f32 cache and the same arithmetic.
#
# A line per type: bytes of a position, their bits per value, KL divergence (mean, 99 % and largest) in 10^-4 nats, tokens whose likeliest
# next one stays, perplexity. A quantised MODEL shows under all of it the rounding of 8-bit activations, which any change upstream sets
# going (the f16 line is that noise): for the codes alone give it floats, `aios quantize MODEL OUT F32`. The first tile of 64 positions and
# the open one stay f16: a longer WINDOW has less of them.
#
#     bench/cache_kl.sh build/real/smollm2-f32.gguf models/tale-valid.txt 12 512
#     KV="kv8 kv44" bench/cache_kl.sh model.gguf text.txt 4 2048
#
#     KV  the types; THREADS (2); AIOS  our command (build/aios); AIOS_ARGS  its further options
set -eu
[ $# -ge 2 ] || { echo "usage: bench/cache_kl.sh MODEL TEXT [WINDOWS [WINDOW]]" >&2; exit 2; }
model=$1 text=$2 windows=${3:-24} window=${4:-512}
aios=${AIOS:-build/aios}
types=${KV:-f16 kv8 kv84 kv54 kv44 kv43 kv33}
threads=${THREADS:-2}
[ -x "$aios" ] || { echo "cache_kl.sh: no $aios (make build/aios)" >&2; exit 1; }
position() {        # position TYPE: bytes of one
    "$aios" plan -m "$model" -t 1 -c 512 --kv "$1" --read-gb-s 10 --disk-gb-s 2 --json | sed -n 's/.*"kv_per_position": \([0-9]*\).*/\1/p' | head -n 1
}
f32=$(position f32)
printf '%-6s %8s %6s %10s %10s %10s %7s  %s\n' "" bytes bits mean "99 %" largest "same %" perplexity
for kv in $types; do
    # shellcheck disable=SC2086
    "$aios" ppl -m "$model" -f "$text" -n "$windows" --window "$window" -t "$threads" --kv "$kv" --against f32 ${AIOS_ARGS:-} |
        tr -d ',;' | awk -v kv="$kv" -v bytes="$(position "$kv")" -v f32="$f32" '
            # the word after one that is there in every line of `aios ppl`
            function after(word,   i) { for (i = 1; i < NF; i++) if ($i == word) return $(i + 1); return "?" }
            / scored: / { ppl = after("perplexity"); next }
            / nats\/token/ { exact = after("perplexity"); next }
            /^KL / {
                printf "%-6s %8d %6.2f %10.3f %10.3f %10.3f", kv, bytes, bytes / f32 * 32, after("mean") * 1e4, after("below") * 1e4, after("max") * 1e4
                printf " %7.2f  %s (%s with f32)\n", after("token"), ppl, exact
                n++
            }
            END { exit n != 1 }'
done
