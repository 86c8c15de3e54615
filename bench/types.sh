#!/bin/sh
# types.sh LLAMA_BENCH [TYPE...]: peers.sh for many types: writes a synthetic model of each (tools/synth.c), compares, deletes it.
#
#     bench/types.sh path/to/llama-bench                      all types that synth writes: about a minute each
#     ROUNDS=1 bench/types.sh path/to/llama-bench Q4_0 IQ2_XS
#
#     SHAPE   llama-1b; SYNTH the program (build/synth)       TMP     folder for one file of up to 5 GB at a time (build)
# and everything that peers.sh takes; ROUNDS is 3 here.
set -eu
[ $# -ge 1 ] || { echo "usage: bench/types.sh LLAMA_BENCH [TYPE...]" >&2; exit 2; }
peer=$1
shift
[ $# -gt 0 ] || set -- Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4 Q2_K Q3_K Q4_K Q5_K Q6_K Q4_K_M \
    IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_XS TQ1_0 TQ2_0 F16 BF16
shape=${SHAPE:-llama-1b}
synth=${SYNTH:-build/synth}
here=$(dirname "$0")
ROUNDS=${ROUNDS:-3}
export ROUNDS NAME NO_HEAD
[ -x "$synth" ] || { echo "types.sh: no $synth (make build/synth)" >&2; exit 1; }
model=${TMP:-build}/types-$$.gguf
trap 'rm -f "$model"' EXIT
trap 'exit 1' INT TERM HUP
NO_HEAD=
for type in "$@"; do
    NAME=$shape:$type
    "$synth" "$shape" "$type" "$model" >/dev/null
    sh "$here/peers.sh" "$peer" "$model" || echo "$NAME: failed"
    NO_HEAD=1
done
