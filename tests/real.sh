#!/bin/sh
# real.sh: real models of a registry (tests/fetch_real.sh): text, perplexity against float64, budgets, every type of cache, one hash of
# logits over instruction sets, threads and placements. `make test-real`, from the root; one line where they cannot be had.
set -u
AIOS=${AIOS:-build/aios}
AWK=${AWK:-awk}
dir=build/real
text=models/tale-valid.txt
passed=0
failed=0
finish() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; exit; }
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAIL  $*"; }
is() { if [ "$2" = "$3" ]; then ok; else bad "$1: '$2', must be '$3'"; fi; }                                      # is WHAT GOT WANTED
near() {            # near WHAT GOT WANTED MOST: they differ by no more than MOST
    if echo "$2 $3 $4" | $AWK 'NF != 3 { exit 1 } { d = $1 - $2; exit !(d <= $3 && d >= -$3) }'; then ok; else bad "$1: '$2', must be $3 within $4"; fi
}

# What tests/reference.py prints, in float64 with the packages of others: count and cksum of the text's tokens, nats per token of one
# window of 32 and four of 512 tokens, and what comes after four prompts. The nearest second choice lies 0.007 below in "Water":
# there the rounding of 8-bit activations may decide. In the others it is 0.196 and more.
smollm2_ids='15745 3346169136'
gemma3_ids='15311 3711821939'
nats_1_32=5.003325
nats_4_512=3.152310
france='<|im_start|>user
What is the capital of France?<|im_end|>
<|im_start|>assistant
'
france_said='The capital of France is Paris.'
count='1 2 3 4 5 6 7 8 9 10 11'
count_said='11 12 13 14 15 16 17 18 19 20 21'
lamb='Mary had a little lamb,'
lamb_said='lamb, and I was a lamb. I was a lamb. I was a lamb. I was a lamb. I was a lamb.'
water='Water boils at a temperature of'
water_said='temperature of around 1,000°C, which is significantly higher than the boiling point of water. This is due to the presence of hydrogen sulfide gas,'

why=$(sh tests/fetch_real.sh "$dir")
case $? in
0) ;;
1) echo "skip  real models: $why" ;;
*) bad "$why" ;;
esac
smol=$dir/smollm2.gguf floats=$dir/smollm2-f32.gguf artifact=$dir/smollm2.art gemma=$dir/gemma3.gguf
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp" "$floats" "$artifact"' EXIT
trap 'exit 1' INT TERM HUP

# ---- tokens and keys ------------------------------------------------------------------------------------------------
tokens() {          # tokens MODEL WANTED: those of the text, and back
    "$AIOS" tokenize -m "$1" -f "$text" >"$tmp/ids"
    is "tokens of $1" "$(($(wc -w <"$tmp/ids"))) $(cksum <"$tmp/ids" | cut -d ' ' -f 1)" "$2"
    # shellcheck disable=SC2046
    "$AIOS" detokenize -m "$1" $(cat "$tmp/ids") >"$tmp/text"
    if cmp -s "$tmp/text" "$text"; then ok; else bad "tokens of $1 are not the text"; fi
}
if [ -s "$gemma" ]; then
    tokens "$gemma" "$gemma3_ids"
    "$AIOS" inspect "$gemma" >"$tmp/out" 2>&1
    is "inspect $gemma" "$?, $($AWK '$1 == "architecture" || $1 == "parameters" { print $2 }' "$tmp/out" | tr '\n' ' ')$(grep -c '^  .*\.weight ' "$tmp/out")" "0, gemma3 268098176 236"
    case $(tail -n 1 "$tmp/out") in
    "does not run:"*gemma3*)
        "$AIOS" run -m "$gemma" -p x -n 1 >"$tmp/out" 2>"$tmp/err" </dev/null
        is "run $gemma" "$?, $(wc -c <"$tmp/out" | tr -d ' ') bytes, $(grep -c gemma3 "$tmp/err")" "1, 0 bytes, 1" ;;
    "does not run:"*) bad "$gemma: $(tail -n 1 "$tmp/out")" ;;
    esac
    echo "ok    Gemma 3: keys, tokens"
fi
[ -s "$smol" ] || finish
tokens "$smol" "$smollm2_ids"
ids() { cut -d ' ' -f "1-$1" "$tmp/ids" | tr ' ' ','; }

# ---- text and perplexity ----------------------------------------------------------------------------------------------
# The weights as floats are the same model without 8-bit activations.
"$AIOS" quantize "$smol" "$floats" F32 >"$tmp/out" 2>&1 || { bad "quantize: $(tail -n 1 "$tmp/out")"; finish; }
says() {            # says WHAT WANTED OPTION...: the likeliest continuation has it
    what=$1 wanted=$2
    shift 2
    got=$("$AIOS" run -t 2 --temp 0 --special "$@" 2>"$tmp/err" </dev/null)
    case $got in *"$wanted"*) ok ;; *) bad "$what: '$got', must have '$wanted' ($(head -n 1 "$tmp/err"))" ;; esac
}
for m in "$smol" "$floats"; do for kv in f32 f16; do
    says "$m $kv" "$france_said" -m "$m" --kv $kv -p "$france" -n 32
    says "$m $kv" "$count_said" -m "$m" --kv $kv -p "$count" -n 32
    says "$m $kv" "$lamb_said" -m "$m" --kv $kv -p "$lamb" -n 32
done; done
says "$floats f32" "$water_said" -m "$floats" --kv f32 -p "$water" -n 32
ppl() { "$AIOS" ppl -f "$text" -t 2 "$@" 2>&1 | sed -n 's|.* scored: \([0-9.]*\) nats/token.*|\1|p'; }
near "nats, reference arithmetic" "$(ppl -m "$smol" --numerics reference --kv f32 --window 32 -n 1)" $nats_1_32 0.00001
near "nats, weights as floats" "$(ppl -m "$floats" --kv f32 -n 4)" $nats_4_512 0.00001
nats=$(ppl -m "$smol" --kv f32 -n 4)                # 3.153050: what 8-bit activations cost
near "nats, Q4_1" "$nats" $nats_4_512 0.003
near "nats, Q4_1, f16 cache" "$(ppl -m "$smol" --kv f16 -n 4)" $nats_4_512 0.003
echo "ok    text; $nats nats per token, $nats_4_512 in float64"

# ---- cache: what each type costs ----------------------------------------------------------------------------------------
# One window: mean KL divergence in 10^-4 nats, and percents of perplexity. Limits about 1.4 times of what was measured.
if AIOS=$AIOS sh bench/cache_kl.sh "$floats" "$text" 1 512 >"$tmp/kl" 2>&1; then ok; else bad "cache_kl.sh: $(tail -n 1 "$tmp/kl")"; fi
cat "$tmp/kl"
while read -r kv bytes mean percent; do
    line=$(grep "^$kv " "$tmp/kl" | tr -d '(')
    if echo "$line" | $AWK -v b="$bytes" -v m="$mean" -v p="$percent" '{ d = $8 / $9 * 100 - 100; exit !($2 == b && $4 > 0 && $4 < m && d < p && d > -p) }'; then ok
    else bad "cache: '$line', must be $bytes bytes, mean below $mean, perplexity within $percent %"; fi
done <<'Y'
f16   23040   0.01  0.05
kv8   11790   1.8   0.3
kv84   8910   7     0.5
kv54   6840   12    0.5
kv44   6120   22    0.7
kv43   5400   40    0.7
kv33   4680   115   1.5
Y

# ---- sameness -------------------------------------------------------------------------------------------------------
hash() { "$AIOS" logits -t 2 --hash "$@" 2>&1 | head -n 1; }
same() {            # same WHAT WANTED OPTION...
    what=$1 wanted=$2
    shift 2
    is "hash, $what" "$(hash "$@")" "$wanted"
}
sets=
for isa in sse41 avx2 avxvnni avx512-bw avx512 avx512-vbmi neon neon-dot; do
    "$AIOS" logits --tokens 1 --hash --isa $isa >/dev/null 2>&1 && sets="$sets $isa"
done
few=$(ids 12)
for m in "$smol" "$floats"; do
    want=$(hash -m "$m" --kv f16 --tokens "$few" --isa scalar)
    is "a hash of $m" "${#want}" 16
    for isa in $sets; do for t in 1 2; do same "$m $isa -t $t" "$want" -m "$m" --kv f16 --tokens "$few" --isa $isa -t $t; done; done
done
long=$(ids 200)     # three tiles are sealed
for kv in f32 f16 kv8 kv84 kv54 kv44 kv43 kv33; do
    want=$(hash -m "$smol" --kv $kv --tokens "$long")
    is "a hash with $kv" "${#want}" 16
    for isa in $sets; do
        case $isa in sse41 | avx512-bw) continue ;; esac
        same "$kv $isa" "$want" -m "$smol" --kv $kv --tokens "$long" --isa $isa -t 1 --chunk 33
    done
done
echo "ok    the same logits with plain C$(echo "$sets" | sed 's/ /, /g')"

# ---- budgets --------------------------------------------------------------------------------------------------------
set -- -m "$smol" -c 256 -t 2 --chunk 64 --kv f16
value() { "$AIOS" plan "$@" --read-gb-s 10 --disk-gb-s 2 --json 2>&1 | tr ',' '\n' | sed -n "s/.*\"$key\": *\([0-9][0-9]*\).*/\1/p" | head -n 1; }
key=min_budget_bytes
least=$(value "$@")
says "no budget" "$lamb_said" "$@" -p "$lamb" -n 32
want=$(hash "$@" --tokens "$long")
is "a hash of a context" "${#want}" 16
is "the artifact is written" "$("$AIOS" pack "$smol" "$artifact" >/dev/null 2>&1; echo $?)" 0
"$AIOS" run "$@" --ram $((least - 1)) -p "$lamb" -n 4 >"$tmp/out" 2>"$tmp/err" </dev/null
is "a byte too few" "$?, $(grep -c "$least" "$tmp/err")" "1, 1"
for ram in "$least" $((least + 4000000)) $((least * 3 / 2)); do
    says "--ram $ram --artifact" "$lamb_said" "$@" --ram "$ram" -p "$lamb" -n 32 --artifact "$artifact"
    says "--ram $ram" "$lamb_said" "$@" --ram "$ram" -p "$lamb" -n 32
    is "streamed with --ram $ram" "$(grep -c ' of it streamed ' "$tmp/err")" 1
    took=$(sed -n 's/.*memory weights \([0-9]*\) kv \([0-9]*\) scratch \([0-9]*\) meta \([0-9]*\) bytes.*/\1 + \2 + \3 + \4/p' "$tmp/err")
    key=total_bytes
    total=$(value "$@" --ram "$ram")
    key=held_bytes
    is "what is taken of $ram" "$((${took:-0}))" $((total + $(value "$@" --ram "$ram")))
    # what the process really has, with the program and what is built in
    if [ -x /usr/bin/time ] && /usr/bin/time -f %M -o "$tmp/kib" "$AIOS" run "$@" --ram "$ram" -p x -n 2 >/dev/null 2>&1 </dev/null; then
        if [ $(($(cat "$tmp/kib") * 1024)) -le $((ram + 8000000)) ]; then ok; else bad "--ram $ram: $(cat "$tmp/kib") KiB are resident"; fi
    fi
done
least_logits=$("$AIOS" logits "$@" --ram 1000000 --tokens "$long" --hash 2>&1 | sed -n 's/.*the least that would do is \([0-9]*\).*/\1/p')
same "the least for logits" "$want" "$@" --ram "${least_logits:-0}" --tokens "$long"
same "half of the weights streamed" "$want" "$@" --ram $((least + 30000000)) --tokens "$long"
same "from the artifact" "$want" "$@" --artifact "$artifact" --tokens "$long"
same "mapped in place" "$want" "$@" --in-place --tokens "$long"
echo "ok    budgets: $least bytes at the least, of a file of $(($(wc -c <"$smol")))"
finish
