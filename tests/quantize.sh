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
    for seed in 1 2 3 4; do build/aios run -p "Once upon a time" -n 480 --temp 0.7 --top-p 1 --seed $seed; done >"$text" 2>"$dir/err"
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

# ---- which tensor gets which type: as llama-quantize decides, for models of many wirings (mixtures.txt) -------------
# source_of FILE ARCH LAYERS HEADS KV_HEADS WIDTH EXPERTS TENSORS: a model without a vocabulary, of matrices of two rows of zeros
source_of() {
    printf '%b' "$($AWK -v arch="$2" -v n="$3" -v heads="$4" -v kv="$5" -v width="$6" -v experts="$7" -v tensors="$8" -v size="$dir/size" '
        function num(v, bytes) { while (bytes--) { out = out sprintf("\\0%03o", v % 256); v = int(v / 256) } }
        function text(s) { num(length(s), 8); out = out s }
        function key(k, type, v) { n_keys++; text(arch "." k); num(type, 4); num(v, 4) }
        function tensor(name, third) {
            n_tensors++; text(name ".weight"); num(2 + (third > 0), 4); num(width, 8); num(2, 8)
            if (third) num(third, 8)
            num(1, 4); num(at, 8); at += width * 4 * (third ? third : 1)    # f16; a multiple of 32 bytes
        }
        BEGIN {
            n_keys = 1; text("general.architecture"); num(8, 4); text(arch)
            key("block_count", 4, n); key("context_length", 4, 512); key("embedding_length", 4, width); key("feed_forward_length", 4, width)
            key("attention.head_count", 4, heads); key("attention.head_count_kv", 4, kv)
            if (experts) { key("expert_count", 4, experts); key("expert_used_count", 4, 2) }
            key("attention.layer_norm_rms_epsilon", 6, 925353388); key("attention.layer_norm_epsilon", 6, 925353388)    # 1e-5
            keys = out; out = ""
            m = split(tensors, part, " ")
            for (i = 1; i <= m; i++) if (part[i] ~ /^=/) tensor(substr(part[i], 2), 0)
            for (l = 0; l < n; l++) for (i = 1; i <= m; i++) if (part[i] !~ /^=/) tensor("blk." l "." part[i], part[i] ~ /_exps$/ ? experts : 0)
            all = out; out = "GGUF"; num(3, 4); num(n_tensors, 8); num(n_keys, 8)
            printf "%s%s%s", out, keys, all
            print at >size
        }')" >"$1"
    head -c $(((32 - $(wc -c <"$1") % 32) % 32 + $(cat "$dir/size"))) /dev/zero >>"$1"
}
attn="attn_q attn_k attn_v attn_output" ffn="ffn_gate ffn_up ffn_down" exps="ffn_gate_inp ffn_gate_exps ffn_up_exps ffn_down_exps"
source_of "$dir/llama.gguf"      llama    32 8 2 256 0  "=token_embd =output $attn $ffn"
source_of "$dir/llama-tied.gguf" llama    16 8 8 256 0  "=token_embd $attn $ffn"
source_of "$dir/llama-80.gguf"   llama    80 8 1 256 0  "=token_embd =output $attn $ffn"
source_of "$dir/narrow.gguf"     llama    12 8 8 288 0  "=token_embd =output $attn $ffn"
source_of "$dir/mixtral.gguf"    llama    32 8 2 256 8  "=token_embd =output $attn $exps"
source_of "$dir/qwen3moe.gguf"   qwen3moe 20 8 2 256 16 "=token_embd =output $attn $exps"
source_of "$dir/qwen2.gguf"      qwen2    28 7 1 256 0  "=token_embd $attn $ffn"
source_of "$dir/falcon.gguf"     falcon   32 8 1 256 0  "=token_embd =output attn_qkv attn_output ffn_up ffn_down"
source_of "$dir/gpt2.gguf"       gpt2     12 8 8 256 0  "=token_embd =position_embd attn_qkv attn_output ffn_up ffn_down"
source_of "$dir/phi3.gguf"       phi3     16 8 2 256 0  "=token_embd =output attn_qkv attn_output ffn_up ffn_down"

# What `aios quantize` says of a model's tensors, in a line: the type that most have, then the tensors that have another: a type for all
# layers, or a letter per layer: . that of most, a digit of a K type, a to e for Q4_0 Q4_1 Q5_0 Q5_1 Q8_0.
mixture_of() {
    $AWK '
        / -> / && $1 ~ /\.weight$/ {
            name = substr($1, 1, length($1) - 7); l = -1; type = ""
            for (i = 2; i < NF; i++) if ($i == "->") type = $(i + 1)
            if (split(name, p, ".") == 3) { name = p[3]; l = p[2] + 0 }
            if (l >= n_layers) n_layers = l + 1
            at[name, l] = type; count[type]++
            if (!(name in many)) { many[name] = 1; names[++n] = name; first[name] = type }
            else if (type != first[name]) many[name] = 2
        }
        END {
            for (t in count) if (most == "" || count[t] > count[most] || (count[t] == count[most] && t < most)) most = t
            old = "q4_0 q4_1 q5_0 q5_1 q8_0"
            for (i = 2; i <= n; i++) for (j = i; j > 1 && names[j] < names[j - 1]; j--) { t = names[j]; names[j] = names[j - 1]; names[j - 1] = t }
            out = most
            for (i = 1; i <= n; i++) {
                name = names[i]
                if (many[name] == 1) { if (first[name] != most) out = out " " name "=" first[name]; continue }
                out = out " " name "="
                for (l = 0; l < n_layers; l++) {
                    t = at[name, l]; k = index(old, t)
                    out = out (t == most ? "." : k ? substr("abcde", (k + 4) / 5, 1) : substr(t, 2, 1))
                }
            }
            print out
        }'
}
n_mixtures=0 differ=0
while read -r name mix want; do
    case $name in \#*) continue ;; esac
    quantize "$dir/$name.gguf" "$dir/mix.gguf" "$mix"
    got=$(mixture_of <"$dir/out")
    n_mixtures=$((n_mixtures + 1))
    [ "$got" = "$want" ] || { differ=$((differ + 1)); echo "      $name $mix: $got, not $want"; }
done <tests/mixtures.txt
if [ $differ -eq 0 ]; then ok "the types of $n_mixtures mixtures are those of llama-quantize"; else bad "$differ of $n_mixtures mixtures are not those of llama-quantize"; fi

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
