#!/bin/sh
# run.sh LOG_FOLDER TEST...: runs tests and adds up their closing lines.
#
# A test is a program or a .sh script. It prints "N passed, N failed" last and exits non-zero when something failed;
# one that ends in any other way (a crash, a time-out) counts as one failure. Its output is kept in LOG_FOLDER/NAME.log and
# shown when it fails; lines that begin with "skip" are always shown. RUN is a command to run programs with (an emulator).
# TEST_QUICK=1 gives programs the argument "quick" (fewer cases). TEST_SECONDS is the longest that one test may take.
# TEST_JOBS is how many run side by side (1), where xargs knows -P.
set -u
logs=$1
shift

key() { echo "$1" | tr / _; }       # two tests may have one name, in folders of their own (then they share a log: not side by side)

# One test: its line, and its counts for the sum
if [ "${RUN_ONE:-}" ]; then
    test=$1
    name=$(basename "$test" .sh)
    log=$logs/$name.log
    limit=
    if command -v timeout >/dev/null 2>&1; then limit="timeout ${TEST_SECONDS:-900}"; fi
    start=$(date +%s)
    case $test in
        *.sh) $limit sh "$test" >"$log" 2>&1 </dev/null ;;
        *) $limit ${RUN:-} "$test" ${TEST_QUICK:+quick} >"$log" 2>&1 </dev/null ;;
    esac
    rc=$?
    seconds=$(($(date +%s) - start))
    set -- $(sed -n '$s/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log")
    p=${1:-0}
    f=${2:-0}
    note=
    if [ $# -ne 2 ]; then
        f=1
        note=" (no closing line, exit status $rc)"
    elif [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
        note=" (exit status $rc)"
    elif [ $rc -eq 0 ] && [ "$f" -ne 0 ]; then
        note=" (exit status 0 in spite of failures)"
    fi
    if [ "$f" -eq 0 ]; then
        text=$(printf '%-24s ok    %6d passed  %4d s\n' "$name" "$p" "$seconds"; grep '^skip' "$log" | sed 's/^/    /')
    else
        text=$(printf '%-24s FAIL  %6d passed  %4d s  %d failed%s\n' "$name" "$p" "$seconds" "$f" "$note"; sed 's/^/    /' "$log" | tail -n 200)
    fi
    echo "$text"          # at once: tests may run side by side
    echo "$p $f" >"$logs/$(key "$test").count"
    exit 0
fi

[ $# -gt 0 ] || { echo "0 passed, 0 failed"; exit 0; }
mkdir -p "$logs"
rm -f "$logs"/*.count
side=
if [ "${TEST_JOBS:-1}" -gt 1 ] && echo | xargs -P 2 true 2>/dev/null; then side="-P $TEST_JOBS"; fi
# shellcheck disable=SC2086
printf '%s\n' "$@" | RUN_ONE=1 xargs $side -n 1 sh "$0" "$logs"
passed=0
failed=0
for test in "$@"; do
    p=0 f=1
    [ ! -s "$logs/$(key "$test").count" ] || read -r p f <"$logs/$(key "$test").count"
    passed=$((passed + p))
    failed=$((failed + f))
done
rm -f "$logs"/*.count
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
