#!/bin/sh
# command.sh: what the command says and where: help, version, models named without -m, why a run stopped, --stop, --quiet, --no-echo, seeds,
# Ctrl-C, colours, errors that name what there is, the parts of `ppl --against reference`, the manifest. Run from the root, after the examples
# are built.
set -u
dir=build/check-command
rm -rf "$dir"
mkdir -p "$dir"
CC=${CC:-cc}
AWK=${AWK:-awk}
A=build/aios
out=$dir/out err=$dir/err
passed=0
failed=0
is() {              # is WHAT GOT WANTED
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL  $1: '$2', must be '$3'"; fi
}
aios() { "$A" "$@" >"$out" 2>"$err" </dev/null; }
says() {            # says TEXT ARGUMENT...: it fails with one line on stderr, with TEXT in it, and nothing else
    text=$1
    shift
    aios "$@"
    is "$*: exit status and lines" "$([ $? -ne 0 ] && echo fails), $(wc -c <"$out" | tr -d ' '), $(wc -l <"$err" | tr -d ' ')" "fails, 0, 1"
    is "$*: $(cat "$err")" "$(grep -cF -e "$text" "$err")" 1
}
shows() {           # shows TEXT ARGUMENT...: it succeeds, with TEXT on stdout and nothing on stderr
    text=$1
    shift
    aios "$@"
    is "aios $*" "$?, $(grep -cF -e "$text" "$out" | sed 's/[1-9][0-9]*/yes/'), $(wc -c <"$err" | tr -d ' ')" "0, yes, 0"
}

# ---- help, version -------------------------------------------------------------------------------------------------
for words in "" help --help -h; do
    # shellcheck disable=SC2086
    shows "continue a text" $words
    is "a short list ('$words')" "$([ "$(wc -l <"$out")" -lt 25 ] && grep -c -e --temp "$out")" 0
done
for words in "help run" "run --help" "run -h" "--help run"; do
    # shellcheck disable=SC2086
    shows "--temp " $words
    is "$words: nothing of ppl" "$(grep -c -e --against "$out")" 0
done
shows "--against" help ppl
says "there is no command 'rnu'; did you mean run?" help rnu
version=$(sed -n 's|^.define AIOS_VERSION .*/\* \([0-9.]*\) \*/.*|\1|p' aios.h)
shows "aios $version" --version
is "the sets of this build" "$(grep -c 'build .* scalar$' "$out")" 1
best=$(sed -n 's/^this machine uses *//p' "$out")
shows "" logits --tokens 1 --hash --isa "$best"

# ---- errors name what there is -------------------------------------------------------------------------------------
says "there is no command 'nonsense'; see aios help" nonsense
says "there is no option '--tmep'; did you mean --temp?" run --tmep 1
says "there is no option '--nonsense'; see aios help run" run --nonsense
says "--window is an option of aios ppl, not of aios run" run --window 3
says "avx2|avx512|neon" run --isa foo
for isa in avx2 neon wasm; do aios logits --tokens 1 --hash --isa $isa || says " scalar" run --isa $isa; done
says "f32, f16, or the bits of keys and values: kv8 kv84" run --kv foo
says "canonical|fast|reference" run --numerics foo
says "canonical, fast, reference or a type of cache" ppl --against foo -f LICENSE
says "'hello' is one word too many; the text is -p TEXT" run hello
says "--stop takes a text that is not empty" run --stop ""
says "--stop can be given 16 times" run --stop 1 --stop 2 --stop 3 --stop 4 --stop 5 --stop 6 --stop 7 --stop 8 --stop 9 --stop a --stop b --stop c --stop d --stop e --stop f --stop g --stop h
says "'$dir/none.gguf' does not exist" "$dir/none.gguf"

# ---- run: where the model is named ---------------------------------------------------------------------------------
run() { aios run --greedy -n 12 "$@" || cat "$err"; }
run -p Once
cp "$out" "$dir/whole"
if [ -e models/tale.gguf ]; then
    for words in "run" "" "run -m" "-m"; do
        # shellcheck disable=SC2086
        aios $words models/tale.gguf --greedy -n 12 -p Once
        is "aios $words MODEL" "$(cat "$out")" "$(cat "$dir/whole")"
    done
    aios logits models/tale.gguf --tokens 1,2 --hash
    is "logits MODEL" "$(cat "$out")" "$($A logits -m models/tale.gguf --tokens 1,2 --hash)"
    says "one word too many" run models/tale.gguf models/tale.gguf
fi

# ---- what is written where -----------------------------------------------------------------------------------------
run -p Once --quiet
is "--quiet: the same text, nothing else" "$(cat "$out") $(wc -c <"$err")" "$(cat "$dir/whole") 0"
run -p Once --no-echo
is "--no-echo: the rest of the text" "Once$(cat "$out")" "$(cat "$dir/whole")"
is "and its statistics" "$(grep -c 'generated 12,.* cache [fk]' "$err")" 1
run -p Once --quiet --no-echo
is "--quiet --no-echo" "Once$(cat "$out") $(wc -c <"$err")" "$(cat "$dir/whole") 0"
aios tokenize -p "Once upon a time"
is "ids on stdin" "$($A detokenize <"$out")" "Once upon a time"
says "'abc' is no list of token ids" detokenize abc
tokens() { sed -n 's/.*prompt \([0-9]*\) tokens.*/\1/p' "$err"; }
bos=$($A inspect | sed -n 's/.*; bos \([0-9]*\).*/\1/p')
bos=$($A detokenize "$bos" --special)
run -p "${bos}Once" --special
is "--special reads special tokens" "$(tokens)" $(($($A tokenize -p Once | wc -w) + 1))
is "--special shows them" "$(head -n 1 "$out" | grep -c "^${bos}Once")" 1
run -p "${bos}Once"
is "without it they are text, of more tokens" "$([ "$(tokens)" -gt "$($A tokenize -p "${bos}Once" --special | wc -w)" ] && echo yes)" yes

# ---- why it stopped ------------------------------------------------------------------------------------------------
why() { sed -n 's/^stopped: \(.*\);.*/\1/p' "$err"; }
run -p Once
is "-n" "$(why)" "-n 12 reached"
run -p Once -n 50 -c 16
is "a full context" "$(why)" "the context of 16 tokens is full"
run -p Once -n 2000 --temp 0.7 --seed 1
in=${AIOS_SHARED:-../shared}/fixtures/reports
if [ -r "$in/add-eos.gguf" ]; then                  # a bias would do: any token ends a text that is the model's eos
    for s in 1 2 3 4 5 6 7 8; do
        aios run -m "$in/add-eos.gguf" -p t0 -n 2000 --temp 50 --top-p 1 --seed $s --special
        [ "$(why)" != "end of turn" ] || break
    done
    is "the end of a turn" "$(why)" "end of turn"
    is "--special shows that too" "$(tail -n 1 "$out" | grep -c '</s>$')" 1
fi

# --stop: behind a token of three letters, within one, over several, and more than one text; only what begins one is held back
text=$(sed 1s/^Once// "$dir/whole" | tr '\n' '~')           # of 12 tokens
stops() {           # stops FROM LENGTH [OPTION...]: the text before the letters FROM .. FROM + LENGTH, where they come first
    stop=$(printf '%s' "$text" | $AWK -v a="$1" -v n="$2" '{ printf "%s", substr($0, a, n) }')
    want=$(printf '%s' "$text" | $AWK -v s="$stop" '{ printf "%s", substr($0, 1, index($0, s) - 1) }')
    shift 2
    case $stop in *~*) return ;; esac
    run -p Once --no-echo "$@" --stop "$stop"
    is "--stop '$stop'" "$(tr '\n' '~' <"$out")|$(why)" "$want~|--stop '$stop'"
}
for from in 3 6 10 14 19 24; do for n in 1 2 7 15; do stops $from $n; done; done
run -p Once --no-echo --stop "$(printf ".\\n\\n'I")"
is "--stop over lines, said in one" "$(cat "$out")|$(why)" " a time|--stop '.  'I'"
stops 10 9 --stop "never there" --stop "another that is not"
run -p Once --stop "never there"
is "a --stop that does not come" "$(cat "$out")" "$(cat "$dir/whole")"
last=$(printf '%s' "${text%"~"}" | tail -c 2)
run -p Once --stop "$last and more"
is "a --stop that only begins" "$(cat "$out")" "$(cat "$dir/whole")"

# ---- draws ---------------------------------------------------------------------------------------------------------
aios run -p Once -n 40
cp "$out" "$dir/first"
seed=$(sed -n 's/^stopped: .*; seed \([0-9]*\)$/\1/p' "$err")
is "a seed that can be typed again" "$([ -n "$seed" ] && [ "$seed" -lt 4294967296 ] && echo yes)" yes
aios run -p Once -n 40 --seed "$seed" --temp 0.7 --top-p 0.9
is "the seed and the defaults, written out, repeat the text" "$(cat "$out")" "$(cat "$dir/first")"
aios run -p Once -n 40
is "another seed, another text" "$(cmp -s "$out" "$dir/first" || echo yes)" yes
aios run -p Once -n 12 --temp 0
is "--temp 0 = --greedy" "$(cat "$out") $(grep -c '; greedy$' "$err")" "$(cat "$dir/whole") 1"

order=$($A help run | sed -n 's/.*--samplers .* without it \([a-z_;]*\).*/\1/p')
is "help names the stages" "$(echo "$order" | tr ';' '\n' | wc -l | tr -d ' ')" "$(sed -n 's/^    AIOS_STAGE_[A-Z_]* = .*/x/p' aios.h | wc -l | tr -d ' ')"
aios run -p Once -n 40 --seed "$seed" --samplers "$order"
is "--samplers with all of them, in the order of the help" "$(cat "$out")" "$(cat "$dir/first")"
aios run -p Once -n 12 --samplers temperature --temp 0
is "one stage alone" "$(cat "$out")" "$(cat "$dir/whole")"
draws() { aios run -p Once -n 40 --seed 7 "$@" && cat "$out"; }
is "top-p is 0.9 where it is named" "$(draws --samplers 'top-p,temperature')" "$(draws --samplers 'top_p;temperature' --top-p 0.9 --temp 0.7)"
is "nothing where it is not" "$(draws --samplers top_k --top-k 9)" "$(draws --temp 1 --top-p 1 --top-k 9)"
is "the order matters" "$(draws --samplers 'temperature;min_p' --temp 3 --min-p 0.2)" "$(draws --temp 3 --top-p 1 --min-p 0.2)"
is "and is another one" "$(draws --samplers 'min_p;temperature' --temp 3 --min-p 0.2 >"$dir/second"; draws --temp 3 --top-p 1 --min-p 0.2 | cmp -s - "$dir/second" || echo yes)" yes
for stage in "typical-p 0.3" "top-n-sigma 0.7" "xtc 1" "min-p 0.9"; do
    # shellcheck disable=SC2086
    is "--$stage does something" "$(draws --temp 1 --top-p 1 --$stage >"$dir/second"; draws --temp 1 --top-p 1 | cmp -s - "$dir/second" || echo yes)" yes
done
is "--top-n-sigma of next to nothing is greedy" "$(draws -n 12 --temp 5 --top-n-sigma 0.0001)" "$(cat "$dir/whole")"
says "--samplers takes names of bias;repeat;" run --samplers "top_k;nonsense"
says "not ''" run --samplers ""
says "names top_k twice" run --samplers "top_k;top_k"
says "leaves out min_p, which sampler.min_p asks for" run --samplers "top_k;temperature" --min-p 0.1

# ---- Ctrl-C: text and statistics, exit status 130 ------------------------------------------------------------------
interrupt() {       # interrupt OPTION...: a run that goes on for minutes
    "$A" run -c 30000 -n 29000 "$@" >"$out" 2>"$err" </dev/null &
    pid=$!
    sleep 1
    kill -INT $pid
    wait $pid
    is "interrupted $*" "$? $(why) $(grep -c '^ready in .* bytes$' "$err")" "130 interrupted 1"
}
interrupt -p Once
is "with its text" "$(head -c 4 "$out")$(tail -c 1 "$out" | wc -l | tr -d ' ')" Once1
[ ! -r models/tale-valid.txt ] || interrupt -f models/tale-valid.txt -t 1 --isa scalar --numerics reference

# ---- colours and bars: for terminals alone -------------------------------------------------------------------------
escapes() { tr -cd '\033\r' <"$1" | wc -c | tr -d ' '; }
aios run -p Once -n 4
is "no terminal, no escapes" "$(escapes "$out") $(escapes "$err")" "0 0"
if script -qec true /dev/null >"$out" 2>&1 </dev/null; then
    on_terminal() { TERM=xterm script -qec "$1 $A run -p Once -n 4 --greedy" /dev/null </dev/null 2>&1 | tr -d '\r' >"$out"; }
    on_terminal NO_COLOR=
    is "colours on a terminal" "$([ "$(escapes "$out")" -gt 0 ] && echo yes)" yes
    on_terminal NO_COLOR=1
    is "NO_COLOR" "$(escapes "$out") $(head -c 4 "$out")" "0 Once"
    on_terminal TERM=dumb
    is "TERM=dumb" "$(escapes "$out")" 0
    is "no bar for what is short" "$(grep -c ' left' "$out")" 0
    for n in 8 24 100; do                               # as many windows as take longer than a second
        [ -r models/tale-valid.txt ] || break
        script -qec "$A ppl -f models/tale-valid.txt --window 64 -n $n --numerics reference --isa scalar -t 1" /dev/null </dev/null 2>&1 | tr '\r' '\n' >"$out"
        if [ $n -eq 100 ] || grep -q ' left' "$out"; then is "a bar for what is long" "$(grep -c '^scoring  \[#*[.]*\] *[0-9]*%  [0-9]* s left' "$out" | sed 's/[1-9][0-9]*/yes/')" yes; break; fi
    done
else
    echo "skip  colours: no script that takes -c"
fi

# ---- ppl: the parts add up -----------------------------------------------------------------------------------------
if [ -r models/tale-valid.txt ]; then
    parts() { $AWK '/^KL divergence/ { all = $6 + 0 } /rounding of activations \(/ { sub(/.*mean /, ""); act = $1 + 0 } /the cache \(/ { sub(/.*mean /, ""); kv = $1 + 0; n = 1 }
        END { d = all - act - kv; if (d < 0) d = -d; ok = n && act > 0 && d <= all * 1e-3; print ok ? "yes" : all " " act " " kv }' "$out"; }
    for kv in f16 kv44; do
        aios ppl -f models/tale-valid.txt -n 1 --window 200 --against reference --kv $kv
        is "ppl --against reference --kv $kv" "$(parts)" yes
    done
    aios ppl -f models/tale-valid.txt -n 1 --window 200 --against canonical --kv f32
    is "against canonical: no parts" "$(grep -c '^of it' "$out")" 0
fi

# ---- what ops write ------------------------------------------------------------------------------------------------
if [ -e models/tale.gguf ]; then
    ids=$(seq -s, 1 3 200)
    aios logits -m models/tale.gguf --tokens "$ids" --trace --isa scalar -t 1 --chunk 1
    cp "$out" "$dir/trace"
    is "an op of each kind" "$($AWK '$1 == 3 && $3 == "f32" { printf "%s ", $2 }' "$out")" "q k v heads attend_end attn_out gate up act down "
    for how in "--chunk 67" "--chunk 7 -t 2" "--isa $best"; do
        # shellcheck disable=SC2086
        aios logits -m models/tale.gguf --tokens "$ids" --trace $how
        is "the same trace with $how" "$(cmp "$out" "$dir/trace" 2>&1)" ""
    done
    # one bit of one weight of one matrix: the first line that differs names it
    cp models/tale.gguf "$dir/bit.gguf"
    at=$($A inspect -m models/tale.gguf | $AWK '$1 == "blk.2.ffn_up.weight" { print $NF + 100 }')
    printf '\377' | dd of="$dir/bit.gguf" bs=1 seek="$at" conv=notrunc 2>/dev/null
    aios logits -m "$dir/bit.gguf" --tokens "$ids" --trace
    is "a wrong bit is found" "$(diff "$out" "$dir/trace" | $AWK '$1 == "<" { print $2, $3; exit }')" "2 up"
fi

# ---- the manifest --------------------------------------------------------------------------------------------------
if [ -e models/tale.gguf ]; then
    aios pack models/tale.gguf "$dir/tale.aios"
    shows '"aios_contract_version": "1.0", "frequency_ordered": true' pack "$dir/tale.aios" --json
    is "its lists" "$(tr '{' '\n' <"$out" | grep -c '^"name"') $(grep -c '"rws_tier": "HOT", "offset_bytes": ' "$out")" "$(tr '{' '\n' <"$out" | grep -c '^"block_id"') 1"
fi

rm -rf "$dir"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
