#!/bin/sh
# reports.sh: what people have met with other engines: files that are odd but sound, outputs that are inputs, text that is to go on. Inputs in
# shared/fixtures/reports. Run from the root, after the examples are built.
set -u
dir=build/check-reports
rm -rf "$dir"
mkdir -p "$dir"
in=${AIOS_SHARED:-../shared}/fixtures/reports
passed=0
failed=0
if [ ! -r "$in/plain.gguf" ]; then
    echo "skip  reports: no $in"
    echo "0 passed, 0 failed"
    exit 0
fi
is() {              # is WHAT GOT WANTED
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL  $1: '$2', must be '$3'"; fi
}
hash_of() { build/aios logits -m "$1" --tokens 1,70,166 --hash 2>&1 | head -n 1 | sed 's/.*: //'; }
says() { build/aios "$@" 2>&1 >"$dir/out" </dev/null; }

plain=$(hash_of "$in/plain.gguf")
for f in token-twice eos-none extra-vision nested-array; do
    is "logits of $f" "$(hash_of "$in/$f.gguf")" "$plain"
    build/aios inspect "$in/$f.gguf" >"$dir/out" 2>&1
    is "inspect $f" "$?" 0
done
for f in token-twice:text eos-none:eos_token_id extra-vision:mm.0.weight; do
    is "a note about ${f%:*}" "$(says run -m "$in/${f%:*}.gguf" -p t0 -n 1 | grep -c "note: .*${f#*:}")" 1
done
is "no note about plain" "$(says run -m "$in/plain.gguf" -p t0 -n 1 | grep -c note:)" 0

# every expert is a tensor of its own
split=$in/experts-split.gguf
merged=$(hash_of "$in/experts-merged.gguf")
is "logits of experts-split" "$(hash_of "$split")" "$merged"
is "experts-split packed" "$(says pack "$split" "$dir/s.art"; build/aios logits -m "$split" --artifact "$dir/s.art" --tokens 1,70,166 --hash | head -n 1 | sed 's/.*: //')" "$merged"
least=$(says logits -m "$split" --ctx 64 --chunk 16 --ram 1 --tokens 1,70,166 --hash | sed -n 's/.*least that would do is \([0-9]*\).*/\1/p')
is "experts-split in the least memory" "$(build/aios logits -m "$split" --ctx 64 --chunk 16 --ram "$least" --tokens 1,70,166 --hash 2>&1 | head -n 1 | sed 's/.*: //')" "$merged"
says quantize "$split" "$dir/s.gguf" Q8_0
says quantize "$in/experts-merged.gguf" "$dir/m.gguf" Q8_0
is "experts-split as Q8_0" "$(hash_of "$dir/s.gguf")" "$(hash_of "$dir/m.gguf")"
rm -f "$dir"/s.* "$dir"/m.*
build/aios inspect "$split" >"$dir/out" 2>&1
is "inspect experts-split" "$?, $(grep -c '^  blk.0.ffn_[a-z]*\.[0-3].weight' "$dir/out"), $(grep -c 'does not run' "$dir/out")" "0, 12, 0"

build/aios inspect "$in/../zoo/bloom.gguf" >"$dir/out" 2>&1         # what does not run is shown all the same, and why not
is "inspect bloom" "$?, $(tail -n 1 "$dir/out" | cut -c1-13), $([ "$(grep -c '^  ' "$dir/out")" -gt 30 ] && echo all)" "0, does not run:, all"
for t in 1f:31 24:36 80000000:2147483648; do         # a type that nobody knows, by its number
    build/aios inspect "$in/../hostile/type_${t%:*}.gguf" >"$dir/out" 2>&1
    is "inspect type_${t%:*}" "$?, $(grep -c "^  blk.0.attn_q.weight  *${t#*:} " "$dir/out"), $(tail -n 1 "$dir/out" | grep -c "^does not run: .*'blk.0.attn_q.weight': unknown tensor type")" "0, 1, 1"
done
build/aios inspect "$in/../hostile/cut_data.gguf" >"$dir/out" 2>&1
is "inspect cut_data" "$?, $(wc -l <"$dir/out" | tr -d ' ')" "1, 1"

# A model in two files: all tensors in the first, none in the second; 64 bytes of keys more, so that the data stays at multiples of 32
num() { printf '%b' "\\0$(printf %o "$1")"; }
split_keys() { printf '\010\0\0\0\0\0\0\0split.no\002\0\0\0'; num "$1"; printf '\0\013\0\0\0\0\0\0\0split.count\002\0\0\0\002\0\004\0\0\0\0\0\0\0pad0\0\0\0\0\0'; }
n_keys=$(od -An -tu1 -j16 -N1 "$in/plain.gguf")
{ head -c 16 "$in/plain.gguf"; num $((n_keys + 3)); printf '\0\0\0\0\0\0\0'; split_keys 0; tail -c +25 "$in/plain.gguf"; } >"$dir/p-00001-of-00002.gguf"
{ printf 'GGUF\003\0\0\0\0\0\0\0\0\0\0\0\003\0\0\0\0\0\0\0'; split_keys 1; } >"$dir/p-00002-of-00002.gguf"
is "logits of two parts" "$(hash_of "$dir/p-00001-of-00002.gguf")" "$plain"
is "logits of the second part" "$(says logits -m "$dir/p-00002-of-00002.gguf" --tokens 1 --hash | grep -c 'is part 2 of 2 of a split model')" 1
for c in quantize:Q8_0 pack:; do
    cp "$dir/p-00002-of-00002.gguf" "$dir/was"
    # shellcheck disable=SC2086
    is "${c%:*} onto a part of its input" "$(says "${c%:*}" "$dir/p-00001-of-00002.gguf" "$dir/p-00002-of-00002.gguf" ${c#*:} | grep -c 'is a part of what is read'), $(cmp "$dir/was" "$dir/p-00002-of-00002.gguf" && echo same)" "1, same"
done
build/aios inspect "$dir/p-00002-of-00002.gguf" >"$dir/out" 2>&1
is "inspect the second part" "$?, $(grep -c '^  split.no  *u16  *1$' "$dir/out"), $(tail -n 1 "$dir/out")" "0, 1, does not run: the file is part 2 of 2 of a split model: the first is to be opened"
rm "$dir/p-00002-of-00002.gguf"
build/aios inspect "$dir/p-00001-of-00002.gguf" >"$dir/out" 2>&1
is "inspect the first part alone" "$?, $(tail -n 1 "$dir/out" | grep -c '^does not run: .*00002-of-00002.gguf'), $([ "$(grep -c '^  ' "$dir/out")" -gt 30 ] && echo all)" "0, 1, all"
rm -f "$dir"/p-* "$dir/was"
is "text is no control token" "$(printf 'x<s>y' | build/aios tokenize -m "$in/joins-to-control.gguf" -f - | tr ' ' '\n' | grep -cx 1)" 0
one=$(build/aios tokenize -m "$in/plain.gguf" -p '<s>t0' --special | wc -w)
is "no second BOS" "$(says run -m "$in/plain.gguf" -p '<s>t0' --special -n 1 | sed -n 's/.*prompt \([0-9]*\) tokens.*/\1/p')" $((one))

for f in weight-nan weight-3e38; do
    is "quantize $f" "$(says quantize "$in/$f.gguf" "$dir/o.gguf" F16 | grep -c 'tensor blk.0.* is not finite, or larger')" 1
    is "quantize $f leaves nothing" "$(ls "$dir")" out
done
for c in quantize:Q8_0 pack:; do
    cp "$in/plain.gguf" "$dir/m.gguf"
    ln "$dir/m.gguf" "$dir/h.gguf"
    ln -s m.gguf "$dir/s.gguf"
    for o in m h s; do
        # shellcheck disable=SC2086
        is "${c%:*} onto its input ($o)" "$(says "${c%:*}" "$dir/m.gguf" "$dir/$o.gguf" ${c#*:} | grep -c 'is what is read'), $(cmp "$in/plain.gguf" "$dir/m.gguf" && echo same)" "1, same"
    done
    mkfifo "$dir/pipe"
    # shellcheck disable=SC2086
    is "${c%:*} into a pipe" "$(says "${c%:*}" "$dir/m.gguf" "$dir/pipe" ${c#*:} | grep -c 'is no regular file'), $([ -p "$dir/pipe" ] && echo pipe)" "1, pipe"
    rm -f "$dir"/*.gguf "$dir/pipe"
done
# What is written has a name of its own until it is whole: no file that is there is taken for it, an input least of all
cp "$in/plain.gguf" "$dir/m.gguf"
for c in quantize:Q8_0 pack:; do
    cp "$in/plain.gguf" "$dir/y.gguf.tmp"
    # shellcheck disable=SC2086
    is "${c%:*} of y.gguf.tmp to y.gguf" "$(says "${c%:*}" "$dir/y.gguf.tmp" "$dir/y.gguf" ${c#*:} | wc -l), $(cmp "$in/plain.gguf" "$dir/y.gguf.tmp" && [ -s "$dir/y.gguf" ] && echo both)" "0, both"
    cp "$dir/m.gguf" "$dir/x.gguf"
    ln -s x.gguf "$dir/l.gguf"
    # shellcheck disable=SC2086
    is "${c%:*} through a link" "$(says "${c%:*}" "$dir/m.gguf" "$dir/l.gguf" ${c#*:} | wc -l), $([ -L "$dir/l.gguf" ] && ! cmp -s "$dir/m.gguf" "$dir/x.gguf" && echo followed)" "0, followed"
    ln -s nothing "$dir/n.gguf"
    # shellcheck disable=SC2086
    is "${c%:*} through a link to nothing" "$(says "${c%:*}" "$dir/m.gguf" "$dir/n.gguf" ${c#*:} | grep -c 'link to nothing')" 1
    rm -f "$dir"/[lnxy].gguf*
done
is "no file is left behind" "$(ls "$dir")" "m.gguf
out"
cp "$in/plain.gguf" "$dir/m.gguf"
is "logits --out onto the model" "$(says logits -m "$dir/m.gguf" --tokens 1 --out "$dir/m.gguf" | grep -c 'is what is read'), $(cmp "$in/plain.gguf" "$dir/m.gguf" && echo same)" "1, same"
is "plan --svg onto the model" "$(says plan -m "$dir/m.gguf" -t 1 --read-gb-s 10 --disk-gb-s 2 --svg "$dir/m.gguf" | grep -c 'is what is read'), $(cmp "$in/plain.gguf" "$dir/m.gguf" && echo same)" "1, same"

# In C: a child of fork frees the context; text behind a prompt keeps its first space, and no EOS stands between them
for p in readme_loop fork_free; do ${CC:-cc} -O0 -DAIOSK_NO_SIMD -I. "$in/$p.c" -o "$dir/$p" -pthread || is "$p.c compiles" no yes; done
is "freed in a forked child" "$("$dir/fork_free" "$in/plain.gguf")" "child ended"
is "no EOS behind a prompt that is to go on" "$("$dir/readme_loop" "$in/add-eos.gguf" "t0 t1" | head -n 1 | grep -c ' 2 *$')" 0
is "the first word keeps its space" "$("$dir/readme_loop" "$in/../stories/stories260K-q8_0.gguf" "Once upon a" | sed -n 2p | cut -c1-16)" "Once upon a time"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
