#!/bin/sh
# peers.sh LLAMA_BENCH MODEL...: our speed beside that of any program that takes llama-bench's options, on the same files.
#
# The two run in turn, ROUNDS times (5), with THREADS threads (2): prefill of 256 tokens, then 32 tokens one by one. Printed
# are medians, their ratio, and the share of the read bandwidth that our decoding used (measured in the same run).
# AIOS=build/aios names our command; PEER_ARGS are further options for the other (such as -rtr 1).
set -eu
[ $# -ge 2 ] || { echo "usage: bench/peers.sh LLAMA_BENCH MODEL..." >&2; exit 2; }
peer=$1
shift
aios=${AIOS:-build/aios}
threads=${THREADS:-2}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The number after "key": in JSON.
field() { sed -n "s/.*\"$1\": *\([0-9.][0-9.]*\).*/\1/p" | "${2:-cat}"; }
first() { sed -n 1p; }
second() { sed -n 2p; }

printf '%-28s %8s %10s %10s %7s %10s %10s %7s %9s\n' model threads 'prefill' 'peer' ratio 'decode' 'peer' ratio 'of read'
for model in "$@"; do
    : >"$log"
    i=0
    while [ $i -lt "${ROUNDS:-5}" ]; do
        theirs=$("$peer" -m "$model" -t "$threads" -p 256 -n 32 -r 1 -o json ${PEER_ARGS:-} 2>/dev/null)
        ours=$("$aios" bench -m "$model" -t "$threads" -c 512 -p 256 -n 32 -r 1 --json)
        echo "$(echo "$theirs" | field avg_ts first) $(echo "$theirs" | field avg_ts second)" \
            "$(echo "$ours" | field prefill_tok_s first) $(echo "$ours" | field decode_tok_s first)" \
            "$(echo "$ours" | field read_gb_s) $(echo "$ours" | field weights) $(echo "$ours" | field kv)" >>"$log"
        i=$((i + 1))
    done
    awk -v model="$(basename "$model")" -v threads="$threads" '
        function median(a, n,   i, j, t) {
            for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
            return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
        }
        { n++; pp[n] = $1; pd[n] = $2; op[n] = $3; od[n] = $4; s[n] = $4 * ($6 + $7) / 1e7 / $5 }
        END {
            a = median(op, n); b = median(pp, n); c = median(od, n); d = median(pd, n)
            printf "%-28s %8d %10.1f %10.1f %7.2f %10.2f %10.2f %7.2f %8.0f%%\n", model, threads, a, b, a / b, c, d, c / d, median(s, n)
        }' "$log"
done
