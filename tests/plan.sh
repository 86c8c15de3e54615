#!/bin/sh
# plan.sh: `aios plan`: text, JSON and picture say the same, requests add up and stay within the budget; the least budget that it
# names does, with the same text from `aios run`, and one byte less does not. Run from the root, after the examples are built.
set -u
dir=build/check-plan
rm -rf "$dir"
mkdir -p "$dir"
shared=${AIOS_SHARED:-../shared}
AWK=${AWK:-awk}
passed=0
failed=0
ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAIL  $1"
    tail -n 5 "$dir/err" | sed 's/^/      /'
}
check() { what=$1; shift; if "$@" 2>"$dir/err"; then ok; else bad "$what: $*"; fi; }

# Two threads, and bandwidths that need no measuring
plan() { build/aios plan -t 2 --read-gb-s 10 --disk-gb-s 2 "$@" </dev/null; }
for json in python3 node ""; do
    case $json in
    python3) echo '{}' | python3 -c 'import json, sys; json.load(sys.stdin)' 2>/dev/null && break ;;
    node) node -e 1 2>/dev/null && break ;;
    esac
done
for xml in xmllint python3 ""; do
    case $xml in
    xmllint) command -v xmllint >/dev/null && break ;;
    python3) python3 -c 'import xml.dom.minidom' 2>/dev/null && break ;;
    esac
done
[ -n "$json" ] || echo "skip  JSON is read by pattern alone: no python3 or node"
[ -n "$xml" ] || echo "skip  SVG is not parsed: no xmllint or python3"

# What JSON must hold, in two languages
cat >"$dir/must.py" <<'X'
import json, sys
p = json.load(open(sys.argv[1], encoding='utf-8'))
w, s = p['weights'], lambda key: sum(t[key] for t in p['tensors'])
assert sum(r['bytes'] for r in p['requests']) == p['total_bytes'], 'requests and total_bytes'
assert p['budget_bytes'] is None or p['total_bytes'] + p['held_bytes'] <= p['budget_bytes'], 'budget_bytes'
assert p['min_bytes'] + p['held_bytes'] == p['min_budget_bytes'] and p['min_bytes'] <= p['total_bytes'], 'min_bytes'
assert sum(p['tiers'].values()) == sum(r['bytes'] for r in p['requests'] if r['kind'] == 'weights'), 'tiers'
x, y = p['experts'], p['rows']
assert p['ring']['slots'] * p['ring']['slot_bytes'] + x['slots'] * x['slot_bytes'] + y['slots'] * y['slot_bytes'] == p['tiers']['stream'], 'ring'
assert (y['slots'] > 0) == ('rows' in p['degraded']) and (y['slots'] > 0 or not y['streamed']), 'rows'    # a tied embedding is streamed as the output
assert x['slots'] <= x['of'] and (x['slots'] > 0) == ('experts' in p['degraded']) == (w['experts']['streamed'] > 0), 'experts'
for k in ('file', 'packed', 'rows', 'mapped', 'streamed', 'token_bytes'):
    assert sum(v[k] for n, v in w.items() if n != 'all') == w['all'][k], k
assert w['all']['token_bytes'] == p['bytes_per_token']['weights'] == s('token_bytes'), 'bytes per token'
assert w['all']['streamed'] == s('stream_bytes') and (w['all']['streamed'] > w['experts']['streamed'] + y['streamed']) == ('stream' in p['degraded']), 'streamed'
assert p['bytes_per_token']['streamed'] >= w['all']['streamed'] - w['experts']['streamed'] - y['streamed'] + (w['experts']['token_bytes'] if x['slots'] else 0), 'pages'
for tier in ('hot', 'warm'):    # tensors are aligned to 64
    n = [t['bytes'] for t in p['tensors'] if t['resident_tier'] == tier and not t['mapped']]
    assert sum(n) <= p['tiers'][tier] < sum(n) + 64 * len(n) + 1, tier
bounds = [x for x in (p['tok_s_memory'], p['tok_s_storage']) if x]
assert p['tok_s_bound'] == min(bounds) and p['bound'] == ('storage' if p['tok_s_storage'] == min(bounds) else 'memory'), 'bound'
X
cat >"$dir/must.js" <<'X'
const p = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));
const sum = a => a.reduce((x, y) => x + y, 0), must = (x, what) => { if (!x) throw new Error(what); };
must(sum(p.requests.map(r => r.bytes)) === p.total_bytes, 'requests and total_bytes');
must(p.budget_bytes === null || p.total_bytes + p.held_bytes <= p.budget_bytes, 'budget_bytes');
must(p.min_bytes + p.held_bytes === p.min_budget_bytes && p.min_bytes <= p.total_bytes, 'min_bytes');
must(sum(p.tensors.map(t => t.token_bytes)) === p.bytes_per_token.weights, 'bytes per token');
must(sum(p.tensors.map(t => t.stream_bytes)) === p.weights.all.streamed, 'streamed');
X
json_fits() {       # json_fits FILE
    case $json in
    python3) python3 "$dir/must.py" "$1" ;;
    node) node "$dir/must.js" "$1" ;;
    *) grep -q '"total_bytes": [0-9]' "$1" ;;
    esac
}
svg_fits() {        # svg_fits FILE: well-formed, and no number that is none
    case $xml in
    xmllint) xmllint --noout "$1" || return 1 ;;
    python3) python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1" || return 1 ;;
    esac
    [ "$(tail -n 1 "$1")" = "</svg>" ] && ! grep -Eq '"-?(nan|inf)' "$1" && ! grep -Eq '(width|height)="-' "$1"
}
value() { sed -n "s/.*\"$2\": \([0-9][0-9]*\).*/\1/p" "$1" | head -n 1; }       # value FILE KEY
# The text's requests add up to its total, its total and what is held to "in all", and the numbers are those of the JSON.
text_fits() {       # text_fits TEXT JSON
    $AWK -v total="$(value "$2" total_bytes)" -v held="$(value "$2" held_bytes)" -v least="$(value "$2" min_budget_bytes)" '
        /^requests/ { on = 1; next } !NF { on = 0 }
        on && $1 == "total" { n++; if ($2 != sum || $2 != total) bad = 1 }
        on && $1 == "held" { n++; if ($3 != held) bad = 1 }
        on && $1 == "in" { n++; if ($3 != total + held) bad = 1 }
        on && $1 == "least" { n++; if ($3 != least) bad = 1 }
        on && $1 ~ /^(weights|meta|scratch|kv)$/ { sum += $3 }
        END { if (bad || n != 4) { print "requests do not add up: " sum ", " total ", " held ", " least >"/dev/stderr"; exit 1 } }' "$1"
}
agrees() {          # agrees OPTION...: text, JSON and picture of one plan; leaves $dir/json
    plan "$@" >"$dir/text" && plan "$@" --json --svg "$dir/svg" >"$dir/json" && json_fits "$dir/json" && text_fits "$dir/text" "$dir/json" && svg_fits "$dir/svg"
}
refuses() {         # refuses WORD OPTION...: nothing but one line, with the word in it
    word=$1
    shift
    if plan "$@" >"$dir/text" 2>"$dir/err2"; then echo "was not refused" >&2; return 1; fi
    [ ! -s "$dir/text" ] && [ "$(wc -l <"$dir/err2")" -eq 1 ] && grep -q "$word" "$dir/err2" || { cat "$dir/err2" >&2; return 1; }
}
has() { grep -q "$1" "$dir/json" || { echo "no $1" >&2; return 1; }; }
runs_same() { build/aios run -t 2 --greedy -p "Once upon a time" -n 12 "$@" >"$dir/said" </dev/null 2>"$dir/err2" && cmp "$dir/said" "$dir/whole" || { cat "$dir/err2" >&2; return 1; }; }

# ladder OPTION...: from no budget down to the least and one byte below
ladder() {
    before=$failed
    check "no budget" agrees "$@"
    all=$(($(value "$dir/json" total_bytes) + $(value "$dir/json" held_bytes)))
    least=$(value "$dir/json" min_budget_bytes)
    if [ "$failed" -ne "$before" ]; then return; fi
    build/aios run -t 2 --greedy -p "Once upon a time" -n 12 "$@" >"$dir/whole" 2>"$dir/err" </dev/null || bad "run $*"
    for ram in $all $((all - (all - least) / 4)) $(((all + least) / 2)) $((least + 1)) $least; do
        check "a budget" agrees "$@" --ram "$ram"
        check "the least stays the same" [ "$(value "$dir/json" min_budget_bytes)" = "$least" ]
        check "the same text with a budget" runs_same "$@" --ram "$ram"
    done
    check "one byte too few" refuses "$least" "$@" --ram $((least - 1))
    [ "$failed" -ne "$before" ] || echo "ok    $* : $all bytes in all, $least at the least"
}
# What each option does, on the model that has a file of its own.
options() {
    before=$failed
    set -- -m "$1" --ctx 256
    plan "$@" --json >"$dir/json"
    all=$(($(value "$dir/json" total_bytes) + $(value "$dir/json" held_bytes)))
    least=$(value "$dir/json" min_budget_bytes)
    hot=$(value "$dir/json" hot)
    build/aios run -t 2 --greedy -p "Once upon a time" -n 12 "$@" >"$dir/whole" 2>"$dir/err" </dev/null || bad "run $*"
    check "--keep-batch" agrees "$@" --ram $((all * 9 / 10)) --keep-batch
    check "--keep-batch" eval '! has "\"batch\""'
    check "--no-stream" refuses "least" "$@" --ram "$least" --no-stream
    check "--may-ctx and --may-kv in the message" refuses "with --may-kv and --may-ctx [0-9]" "$@" --ram $((least - 1))
    check "--may-ctx" agrees "$@" --ram $((least - 1)) --may-ctx
    check "--may-ctx" has '"ctx"'
    check "--may-kv" agrees "$@" --kv f32 --ram "$least" --may-kv
    check "--may-kv" has '"kv_type"'
    check "--hot" agrees "$@" --hot $((hot / 2))
    check "--hot" [ "$(value "$dir/json" hot)" -le $((hot / 2)) ]
    check "--hot gives warm" [ "$(value "$dir/json" warm)" -gt 0 ]
    check "--hot runs" runs_same "$@" --hot $((hot / 2))
    check "--hot and --warm" agrees "$@" --hot $((hot / 2)) --warm $((hot / 8))
    check "--hot and --warm stream" has '"stream"'
    check "--hot and --warm run" runs_same "$@" --hot $((hot / 2)) --warm $((hot / 8))
    check "--readers 0" agrees "$@" --ram $((least + 100000)) --readers 0
    check "--readers 0" has '"readers": 0'
    check "--readers 0 runs" runs_same "$@" --ram $((least + 100000)) --readers 0
    check "--readers 3" agrees "$@" --ram $((least + 400000)) --readers 3
    check "--readers 3" has '"readers": 3'
    check "--pin" agrees "$@" --pin
    check "--pin" has '"flags": \["pin"\]'
    check "--pin runs" runs_same "$@" --pin
    check "--chunk" agrees "$@" --chunk 7
    check "--chunk" has '"n_batch": 7'
    check "--kv" agrees "$@" --kv i8
    case $(uname -s 2>/dev/null) in Linux | Darwin | *BSD)
        check "--in-place" agrees "$@" --in-place
        check "--in-place" has '"mapped": true'
        check "--in-place runs" runs_same "$@" --in-place ;;
    esac
    check "--tensors" plan "$@" --tensors >"$dir/text"
    check "--tensors" [ "$(sed -n '/^tensors/,$p' "$dir/text" | wc -l)" -gt 20 ]
    check "a picture that cannot be written" refuses "no/folder" "$@" --svg "$dir/no/folder"
    # a name that JSON and XML must not take as it is
    cp "$2" "$dir/a<b>&\"c.gguf"
    check "a file with an odd name" agrees -m "$dir/a<b>&\"c.gguf"
    long=$(i=0; while [ $i -lt 40 ]; do printf '\303\251x'; i=$((i + 1)); done)
    for name in "$long" "$(printf '\377\300\257')"; do              # a long one, and bytes that are no text
        if cp "$2" "$dir/$name.gguf" 2>/dev/null; then check "a file with an odd name" agrees -m "$dir/$name.gguf"; fi
    done
    # measured bandwidths: whatever they are, they are told
    check "measured" build/aios plan -t 2 "$@" --ram "$least" >"$dir/text"
    check "measured" grep -Eq 'storage +([0-9.]+ tokens/s at [0-9.]+ GB/s, measured just now|unknown)' "$dir/text"
    [ "$failed" -ne "$before" ] || echo "ok    options: $*"
}

ladder
if [ -e models/tale.gguf ]; then
    ladder -m models/tale.gguf
    ladder -m models/tale.gguf --ctx 64 --kv f16 --chunk 5
    options models/tale.gguf
else
    echo "skip  no models/tale.gguf"
fi
if [ -e "$shared/fixtures/zoo/gpt2.gguf" ]; then
    for m in zoo/olmoe zoo/qwen2moe zoo/gpt2 zoo/falcon40b zoo/gemma2 zoo/phi3-swa zoo/qwen3 types/llama-q4_k_m stories/stories260K-q5_1 reports/experts-split; do
        ladder -m "$shared/fixtures/$m.gguf" --ctx 64
    done
else
    echo "skip  fixtures: no $shared/fixtures (AIOS_SHARED says where)"
fi
[ ! -e "$shared/models/tale-silu-f16.gguf" ] || ladder -m "$shared/models/tale-silu-f16.gguf" --ctx 300

# A mixture of experts: they are what goes first, into a cache.
if [ -x build/synth ] && build/synth tiny-moe Q4_0 "$dir/moe.gguf" >/dev/null; then
    ladder -m "$dir/moe.gguf" --ctx 64
    check "experts" agrees -m "$dir/moe.gguf" --ctx 64 --chunk 16 --ram $(((all + least) / 2))
    check "experts" has '"degraded": \["experts"'
    check "experts" has '"of": 24, "in_layer": 8, "used": 2'
    check "experts" grep -q "a cache of [0-9]* slots" "$dir/text"
else
    echo "skip  experts: no build/synth"
fi

# A model of 7 billion parameters costs nothing: its header, and a hole where the weights would be.
big=$dir/7b.gguf
if [ -x build/synth ] && build/synth llama-7b Q4_K_M /dev/stdout 2>/dev/null | head -c 4000000 >"$big" && [ "$(head -c 4 "$big")" = GGUF ] &&
    truncate -s 8000000000 "$big" 2>/dev/null && [ "$(du -k "$big" | cut -f 1)" -lt 20000 ]; then
    for ram in 64G 3G 1G 300M; do check "7B" agrees -m "$big" --ctx 1024 --kv f16 --may-ctx --ram $ram; done
    check "7B" has '"stream"'
    check "7B" refuses "with --may-kv and --may-ctx [0-9]" -m "$big" --ram 50M
    echo "ok    a model of 7 billion parameters"
else
    echo "skip  7B: no build/synth, or no files with holes"
fi

rm -rf "$dir"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
