#!/bin/sh
# preload.sh: a program that maps a model sees the same bytes with build/libaios_preload.so under it as without, however it was told to
# place them; and an engine says the same text. Run from the root, after the library is built.
#     LLAMA_CLI     a llama.cpp command (llama-cli -m M -p P -n N) to compare with itself; MODEL is the model that it gets
set -u
CC=${CC:-cc}
dir=build/check-preload
lib=$PWD/build/libaios_preload.so
mkdir -p "$dir"
passed=0
failed=0
ok() { passed=$((passed + 1)); echo "ok    $1"; }
bad() { failed=$((failed + 1)); echo "FAIL  $1"; tail -n 3 "$dir/out" "$dir/err" | sed 's/^/      /'; }
stop() { echo "$passed passed, $failed failed"; [ "$failed" -eq 0 ]; exit; }

if [ "$(uname -s)" != Linux ] || [ ! -e "$lib" ]; then
    echo "skip: no LD_PRELOAD here, or $lib is not built"
    stop
fi
if ! $CC -std=c99 -O2 -Wall -Wextra tests/maps.c -pthread -o "$dir/maps" 2>"$dir/err"; then bad "tests/maps.c compiles"; stop; fi

model=$dir/made.gguf
"$dir/maps" -m "$model" >"$dir/out" 2>"$dir/err" || bad "$model"
for m in "$model" models/tale.gguf "${AIOS_SHARED:-../shared}"/fixtures/types/llama-f32.gguf; do
    [ -s "$m" ] || continue
    size=$(wc -c <"$m" | tr -d ' ')
    plain=$("$dir/maps" "$m" -v 2>&1)
    case $plain in *" 0") ok "$m without" ;; *) echo "$plain" >"$dir/out"; bad "$m without" ;; esac
    for with in "" RAM=$((size / 2)) RAM=$((size / 10)) RAM=1 RAM=0 THREAD=1 "THREAD=1 AIOS_PRELOAD_RAM=$((size / 2))" HUGE=0 PIN=1 DROP=1 OFF=1; do
        env="LD_PRELOAD=$lib"
        [ -n "$with" ] && env="$env AIOS_PRELOAD_$with"
        # shellcheck disable=SC2086
        env $env "$dir/maps" "$m" -v >"$dir/out" 2>"$dir/err"
        got=$(cat "$dir/out")
        kib=${got##* }
        if [ "${got% *}" != "${plain% *}" ] || [ -s "$dir/err" ]; then bad "$m $with: same bytes"; continue; fi
        case $with in
            RAM=0|RAM=1|OFF=1) least=0 most=0 ;;
            THREAD=1) least=0 most=$((size / 1024)) ;;            # it may not be done yet
            *RAM=*) least=0 most=$((${with##*=} / 1024)) ;;
            *) least=$((size / 1024 / 3)) most=$((size / 1024)) ;;
        esac
        [ "$size" -ge 1048576 ] || { least=0; most=0; }     # small files are left alone
        if [ "$kib" -ge "$least" ] && [ "$kib" -le "$most" ]; then ok "$m $with: same bytes, $kib KiB of $((size / 1024)) resident"
        else bad "$m $with: $kib KiB resident, not $least to $most"; fi
    done
    env LD_PRELOAD="$lib" AIOS_PRELOAD_STATS=1 "$dir/maps" "$m" >"$dir/out" 2>"$dir/err"
    if [ "$size" -lt 1048576 ] || grep -q 'aios_preload: .*resident' "$dir/err"; then ok "$m: statistics"; else bad "$m: statistics"; fi
done

if [ -n "${LLAMA_CLI:-}" ] && [ -n "${MODEL:-}" ]; then
    say="$LLAMA_CLI -m $MODEL -p Once -n ${N_PREDICT:-24} --temp 0 --seed 1"
    # shellcheck disable=SC2086
    $say >"$dir/text" 2>"$dir/err" </dev/null
    # shellcheck disable=SC2086
    if env LD_PRELOAD="$lib" $say >"$dir/out" 2>"$dir/err" </dev/null && [ -s "$dir/text" ] && cmp "$dir/text" "$dir/out" 2>>"$dir/err"; then
        ok "$LLAMA_CLI says the same"
    else
        bad "$LLAMA_CLI says the same"
    fi
else
    echo "skip: an engine that maps: give LLAMA_CLI and MODEL"
fi
stop
