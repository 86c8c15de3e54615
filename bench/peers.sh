#!/bin/sh
# peers.sh LLAMA_BENCH MODEL...: our speed beside that of any program that takes llama-bench's options, on the same files.
#
# The two run in turn, ROUNDS times (5): prefill of PROMPT tokens (256), then GEN tokens (32) one by one. A line per model:
# medians of both, their ratio, the share of the int8 peak that our prefill and of the read bandwidth that our decoding
# used, both measured between the runs. Ours decodes after the prompt, llama-bench without one. "others" is the share of the
# CPUs that other programs took meanwhile (Linux): above a few percent the line is worth little, above all for programs whose
# threads spin at barriers.
#
#     bench/peers.sh path/to/llama-bench q4_0.gguf q4_k_m.gguf
#     DEPTHS="0 4096" ROUNDS=3 bench/peers.sh ...       decoding behind so many tokens too, one more line each
#     ISA=avx2 PEER_ARGS="-rtr 1" CSV=all.csv bench/peers.sh ...
#
#     THREADS    of both (2)                             PEER_ARGS  further options for the other program
#     ISA        of ours: avx2, avx512 ...; best         CSV        file that gets a line per case
#     AIOS       our command (build/aios); AIOS_ARGS its further options; BUILD where bench_roofs and bench_models are (build)
#     NAME       what to call the model in the table; NO_HEAD=1 leaves the table's head out
set -eu
[ $# -ge 2 ] || { echo "usage: bench/peers.sh LLAMA_BENCH MODEL..." >&2; exit 2; }
peer=$1
shift
build=${BUILD:-build}
aios=${AIOS:-build/aios}
threads=${THREADS:-2}
rounds=${ROUNDS:-5}
prompt=${PROMPT:-256}
gen=${GEN:-32}
depths=${DEPTHS:-0}
isa=${ISA:-best}
for f in "$aios" "$build/bench_roofs" "$build/bench_models"; do
    [ -x "$f" ] || { echo "peers.sh: no $f (make build/aios build/bench_roofs build/bench_models)" >&2; exit 1; }
done
# How the other program decodes behind a prompt: -d N (llama.cpp) or -gp N,GEN (ik_llama.cpp)
help=$("$peer" --help 2>&1 || true)
case $help in
*--n-depth*) deep=d ;;
*-gp\ *) deep=gp ;;
*) deep= ;;
esac
log=$(mktemp)
trap 'rm -f "$log" "$log.t"' EXIT

# In $stamp: seconds since boot, CPU seconds of the whole machine, CPU seconds of our children. Not to be called in a subshell,
# which has no children yet.
n_cpu=$(getconf _NPROCESSORS_ONLN)
mark() {
    times >"$log.t"
    stamp=$(awk -v hz="$(getconf CLK_TCK)" '
        function s(t,   p) { sub(/s$/, "", t); split(t, p, "m"); return p[1] * 60 + p[2] }
        FILENAME == "/proc/uptime" { up = $1; next }
        FILENAME == "/proc/stat" { if ($1 == "cpu") busy = ($2 + $3 + $4 + $7 + $8 + $9) / hz; next }
        FNR == 2 { own = s($1) + s($2) }
        END { print up, busy, own }' /proc/uptime /proc/stat "$log.t" 2>/dev/null || true)
}
others() { # mark before, mark after
    echo "$1 $2" | awk -v n="$n_cpu" 'NF == 6 && $4 > $1 { v = ($5 - $2 - $6 + $3) / ($4 - $1) / n; print "others all 0", (v > 0 ? v : 0) }'
}

# llama-bench's JSON -> lines "peer prefill|decode DEPTH tok/s"
theirs() {
    "$peer" -m "$model" -t "$threads" -r 1 -o json ${PEER_ARGS:-} "$@" 2>/dev/null | awk -v deep="$deep" '
        { gsub(/[",:]/, " ") }
        $1 ~ /^n_(prompt|gen|depth)$/ { v[$1] = $2 + 0 }
        $1 == "avg_ts" {
            if (v["n_gen"] == 0) print "peer prefill", v["n_depth"] + 0, $2
            else print "peer decode", (deep == "gp" ? v["n_prompt"] : v["n_depth"]) + 0, $2
        }'
}
# Ours, with "aios decode" and the bytes that a token reads
ours() {
    "$aios" bench -m "$model" -t "$threads" --isa "$isa" -r 1 --json ${AIOS_ARGS:-} "$@" | tr '{},' '\n\n\n' | awk -v d="$depth" '
        { gsub(/[":]/, " ") }
        $1 == "prefill_tok_s" && !seen_p++ { p = $2 }
        $1 == "decode_tok_s" && !seen_d++ { t = $2 }
        $1 == "weights" || $1 == "kv" { b += $2 }
        $1 == "bytes_per_token" && $2 == "weights" { b += $3 }
        END { if (d == 0) print "aios prefill", d, p; print "aios decode", d, t; print "aios bytes", d, b }'
}

[ -n "${NO_HEAD:-}" ] || {
    printf '%s threads, %s rounds, medians of tokens per second: prefill of %s tokens, %s tokens one by one; ours with %s\n' "$threads" "$rounds" "$prompt" "$gen" "$isa"
    printf '%-24s %6s | %8s %8s %6s %8s | %8s %8s %6s %8s | %9s %11s %6s\n' model depth prefill peer ratio 'of peak' decode peer ratio 'of read' 'read GB/s' 'peak GMAC/s' others
}
for model in "$@"; do
    macs=$("$build/bench_models" -c "$model")
    : >"$log"
    i=0
    while [ $i -lt "$rounds" ]; do
        mark
        before=$stamp
        for depth in $depths; do
            if [ "$depth" = 0 ]; then
                theirs -p "$prompt" -n "$gen" >>"$log"
                ours -c $((prompt + gen)) -p "$prompt" -n "$gen" >>"$log"
            else
                case $deep in
                d) theirs -p 0 -n "$gen" -d "$depth" >>"$log" ;;
                gp) theirs -p 0 -n 0 -gp "$depth,$gen" >>"$log" ;;
                esac
                ours -c $((depth + gen + 1)) -p 1 -n "$gen" -d "$depth" >>"$log"
            fi
            "$build/bench_roofs" -b -t "$threads" -i "$isa" | sed "s/^/roof all 0 /" >>"$log"
        done
        mark
        others "$before" "$stamp" >>"$log"
        i=$((i + 1))
    done
    awk -v model="${NAME:-$(basename "$model" .gguf)}" -v threads="$threads" -v isa="$isa" -v macs="$macs" -v depths="$depths" -v csv="${CSV:-}" '
        function median(key,   m, i, j, t, b) {
            m = n[key]
            if (!m) return 0
            for (i = 1; i <= m; i++) b[i] = a[key, i]
            for (i = 2; i <= m; i++) for (j = i; j > 1 && b[j] < b[j - 1]; j--) { t = b[j]; b[j] = b[j - 1]; b[j - 1] = t }
            return m % 2 ? b[(m + 1) / 2] : (b[m / 2] + b[m / 2 + 1]) / 2
        }
        function show(v, form) { return v > 0 ? sprintf(form, v) : "-" }
        function ratio(x, y) { return y > 0 ? x / y : 0 }
        function row(what, d, x, y, roof, share) {
            if (csv == "" || !(x > 0)) return
            printf "%s,%s,%d,%s,%d,%.4g,%.4g,%.4g,%.4g,%.4g,%s\n", model, what, d, isa, threads, x, y, ratio(x, y), roof, share, (n["others"] ? sprintf("%.3f", median("others")) : "") >>csv
        }
        function add(key, v) { n[key]++; a[key, n[key]] = v }
        $1 == "roof" { add("read", $4); add("int8", $5); add("f32", $6); next }
        $1 == "others" { add("others", $4); next }
        { add($1 " " $2 " " $3, $4) }
        END {
            split(macs, m, " ")
            read = median("read"); peak = median(m[3])
            if (csv != "" && (getline line <csv) <= 0) print "model,what,depth,isa,threads,tok_s,peer_tok_s,ratio,roof,share,others" >>csv
            close(csv)
            k = split(depths, d, " ")
            for (i = 1; i <= k; i++) {
                p = median("aios prefill " d[i]); q = median("peer prefill " d[i])
                x = median("aios decode " d[i]); y = median("peer decode " d[i])
                ps = peak > 0 ? p * m[1] / peak / 1e9 : 0
                xs = x * median("aios bytes " d[i]) / read / 1e9
                printf "%-24s %6d | %8s %8s %6s %8s | %8s %8s %6s %8s | %9.1f %11.0f %6s\n", model, d[i], show(p, "%.1f"), show(q, "%.1f"), show(ratio(p, q), "%.2f"), show(ps * 100, "%.0f%%"),
                    show(x, "%.2f"), show(y, "%.2f"), show(ratio(x, y), "%.2f"), show(xs * 100, "%.0f%%"), read, peak, n["others"] ? sprintf("%.0f%%", median("others") * 100) : "-"
                row("prefill", d[i], p, q, peak, ps)
                row("decode", d[i], x, y, read, xs)
            }
        }' "$log"
done
