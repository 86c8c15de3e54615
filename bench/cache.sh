#!/bin/sh
# cache.sh MODEL [DEPTH...]: decoding behind DEPTH tokens (8192 16384) with each type of cache, and what the bytes promise.
#
# All types in turn, ROUNDS times (2), each decoding RUNS times (5) behind one prefill; medians of medians. "gain" is tok/s over those
# of f16; "promised" is bytes of weights and cache that a token reads with f16, over the same with this type; "of it" compares what each gains: (gain - 1) / (promised - 1). Bytes are counted ones.
#
#     bench/cache.sh llama-1b-q4_0.gguf
#     KV="f16 kv8 kv44" ROUNDS=5 bench/cache.sh llama-1b-q4_0.gguf 4096
#
#     KV  the types; THREADS (2); GEN  tokens decoded (32); AIOS  our command (build/aios); AIOS_ARGS  its further options
# Against another engine: DEPTHS=8192 AIOS_ARGS="--kv kv8" PEER_ARGS="-fa 1 -ctk q8_0 -ctv q8_0" bench/peers.sh LLAMA_BENCH MODEL
set -eu
[ $# -ge 1 ] || { echo "usage: bench/cache.sh MODEL [DEPTH...]" >&2; exit 2; }
model=$1
shift
[ $# -gt 0 ] || set -- 8192 16384
aios=${AIOS:-build/aios}
types=${KV:-f16 kv8 kv84 kv54 kv44 kv33}
threads=${THREADS:-2}
rounds=${ROUNDS:-2}
runs=${RUNS:-5}
gen=${GEN:-32}
[ -x "$aios" ] || { echo "cache.sh: no $aios (make build/aios)" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log" "$log.1"' EXIT
for depth in "$@"; do
    : >"$log"
    i=0
    while [ $i -lt "$rounds" ]; do
        for kv in $types; do
            # shellcheck disable=SC2086
            "$aios" bench -m "$model" -t "$threads" -r "$runs" -c $((depth + gen + 1)) -p 1 -n "$gen" -d "$depth" --kv "$kv" --json ${AIOS_ARGS:-} >"$log.1"
            tr '{},' '\n\n\n' <"$log.1" | awk -v kv="$kv" '
                { gsub(/[":]/, " ") }
                $1 == "decode_tok_s" && !seen++ { t = $2 }
                $1 == "weights" || $1 == "kv" { b[$1] += $2 }
                $1 == "bytes_per_token" { b[$2] += $3 }
                END { print kv, t, b["weights"], b["kv"] }' >>"$log"
        done
        i=$((i + 1))
    done
    awk -v depth="$depth" -v types="$types" '
        function median(k,   m, i, j, t, b) {
            m = n[k]
            for (i = 1; i <= m; i++) b[i] = a[k, i]
            for (i = 2; i <= m; i++) for (j = i; j > 1 && b[j] < b[j - 1]; j--) { t = b[j]; b[j] = b[j - 1]; b[j - 1] = t }
            return m % 2 ? b[(m + 1) / 2] : (b[m / 2] + b[m / 2 + 1]) / 2
        }
        { a[$1, ++n[$1]] = $2; w[$1] = $3; c[$1] = $4 }
        END {
            k = split(types, t, " ")
            printf "%-6s behind %6d %8s %12s %12s %8s %8s %6s\n", "", depth, "tok/s", "weights MB", "cache MB", "gain", "promised", "of it"
            for (i = 1; i <= k; i++) {
                printf "%-20s %8.2f %12.1f %12.1f", t[i], median(t[i]), w[t[i]] / 1e6, c[t[i]] / 1e6
                if (n["f16"] && t[i] != "f16") {
                    g = median(t[i]) / median("f16"); p = (w["f16"] + c["f16"]) / (w[t[i]] + c[t[i]])
                    printf " %8.2f %8.2f %5.0f%%", g, p, (p > 1 ? (g - 1) / (p - 1) * 100 : 0)
                }
                printf "\n"
            }
        }' "$log"
done
