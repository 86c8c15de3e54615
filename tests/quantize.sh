#!/bin/sh
# quantize.sh: `aios quantize`: every type gives a model that runs about as well as its bits allow, whatever the number of threads, and
# nothing is left of a run that fails. Run from the root, after the examples are built.
set -u
dir=build/check-quantize
rm -rf "$dir"
mkdir -p "$dir"
shared=${AIOS_SHARED:-../shared}
AWK=${AWK:-awk}
passed=0
failed=0
ok() { passed=$((passed + 1)); echo "ok    $1"; }
bad() {
    failed=$((failed + 1))
    echo "FAIL  $1"
    tail -n 5 "$dir/out" "$dir/err" | sed 's/^/      /'
}
quantize() { build/aios quantize "$@" >"$dir/out" 2>"$dir/err" </dev/null; }
refuses() {         # refuses ARGUMENT...: one line on stderr, and no file where the output would be
    quantize "$@"
    rc=$?
    if [ $rc -gt 0 ] && [ $rc -lt 126 ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ] && [ ! -e "$dir/none" ] && [ ! -e "$dir/none.tmp" ]; then
        ok "refuses $*"
    else
        bad "refuses $* (exit status $rc)"
    fi
}
types_of() { build/aios inspect "$1" | $AWK '/tensors$/ { on = 1 } on && NF > 4 && $1 != "name" { print $2 }' | sort | uniq -c | $AWK '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $1, $2 }'; }
perplexity() { build/aios ppl -m "$1" -f "$text" -n 3 2>/dev/null | $AWK '{ for (i = 1; i < NF; i++) if ($i == "perplexity") { sub(/[^0-9.].*/, "", $(i + 1)); print $(i + 1) } }'; }

src=models/tale.gguf
[ -e "$shared/models/tale-silu-f16.gguf" ] && src=$shared/models/tale-silu-f16.gguf
text=$shared/models/tale-valid.txt
if [ ! -e "$text" ]; then                       # what the model itself says
    text=$dir/text
    for seed in 1 2 3 4; do build/aios run -p "Once upon a time" -n 480 --temp 0.7 --seed $seed; done >"$text" 2>"$dir/err"
fi
base=$(perplexity "$src")
echo "perplexity of $src: $base"

# type, the most that the perplexity may be of the source's, file size as bits per weight: least and most
while read -r type most lo hi; do
    if quantize "$src" "$dir/$type.gguf" "$type" && p=$(perplexity "$dir/$type.gguf") &&
        bits=$($AWK '/bits per weight/ { for (i = 1; i < NF; i++) if ($(i + 1) == "bits") print $i }' "$dir/out") &&
        $AWK -v p="$p" -v b="$base" -v most="$most" -v bits="$bits" -v lo="$lo" -v hi="$hi" 'BEGIN { exit !(p > b * 0.98 && p < b * most && bits > lo && bits < hi) }'; then
        ok "$type: $bits bits per weight, perplexity $p ($(types_of "$dir/$type.gguf"))"
    else
        bad "$type: ${bits:-?} bits per weight, perplexity ${p:-?}"
    fi
done <<X
F32     1.005 31.9 32.1
BF16    1.01  16.0 16.1
Q8_0    1.01   8.5  8.6
Q6_K    1.01   6.5  6.7
Q5_K_M  1.02   5.5  6.1
Q5_1    1.02   6.0  6.3
Q5_0    1.02   5.5  6.0
Q4_K_M  1.04   4.5  5.4
Q4_K_S  1.04   4.5  5.3
IQ4_XS  1.04   4.2  5.1
IQ4_NL  1.04   4.4  5.2
Q4_1    1.04   5.0  5.5
Q4_0    1.05   4.5  5.2
MXFP4   1.12   4.2  5.3
Q3_K_M  1.08   3.4  4.7
Q2_K    1.25   2.6  4.0
X

quantize "$src" "$dir/one.gguf" Q4_K_M -t 1 && quantize "$src" "$dir/three.gguf" Q4_K_M -t 3
if cmp "$dir/one.gguf" "$dir/three.gguf" 2>"$dir/err"; then ok "the same file from any number of threads"; else bad "threads change the file"; fi
if quantize "$dir/Q8_0.gguf" "$dir/again.gguf" q4_0 --output q8_0 && grep -q 'quantised before' "$dir/err" && types_of "$dir/again.gguf" | grep -q '1 q8_0'; then
    ok "a quantised model again, with a warning, and --output"
else
    bad "a quantised model again"
fi
if quantize "$dir/again.gguf" "$dir/copy.gguf" q4_0 --output q8_0 && cmp "$dir/again.gguf" "$dir/copy.gguf" 2>"$dir/err"; then ok "nothing to do gives the same file"; else bad "a copy differs"; fi

refuses
refuses "$src" "$dir/none"
refuses "$src" "$dir/none" Q9_K
refuses "$src" "$dir/none" Q4_0 more
refuses "$dir/missing.gguf" "$dir/none" Q4_0
refuses LICENSE "$dir/none" Q4_0
refuses "$src" "$dir/no/folder/none" Q4_0
head -c 2000000 "$src" >"$dir/short.gguf"
refuses "$dir/short.gguf" "$dir/none" Q4_0

rm -f "$dir"/*.gguf
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
