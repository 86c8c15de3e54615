#!/bin/sh
# run.sh LOG_FOLDER TEST...: runs tests one after the other and adds up their closing lines.
#
# A test is a program or a .sh script. It prints "N passed, N failed" last and exits non-zero when something failed;
# one that ends in any other way (a crash, a time-out) counts as one failure. Its output is kept in LOG_FOLDER/NAME.log and
# shown when it fails; lines that begin with "skip" are always shown. RUN is a command to run programs with (an emulator).
# TEST_QUICK=1 gives programs the argument "quick" (fewer cases). TEST_SECONDS is the longest that one test may take.
set -u
logs=$1
shift
mkdir -p "$logs"
passed=0
failed=0
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout ${TEST_SECONDS:-900}"; fi

for test in "$@"; do
    name=$(basename "$test" .sh)
    log=$logs/$name.log
    start=$(date +%s)
    case $test in
        *.sh) $limit sh "$test" >"$log" 2>&1 ;;
        *) $limit ${RUN:-} "$test" ${TEST_QUICK:+quick} >"$log" 2>&1 ;;
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
    passed=$((passed + p))
    failed=$((failed + f))
    if [ "$f" -eq 0 ]; then
        printf '%-24s ok    %6d passed  %4d s\n' "$name" "$p" "$seconds"
        grep '^skip' "$log" | sed 's/^/    /'
    else
        printf '%-24s FAIL  %6d passed  %4d s  %d failed%s\n' "$name" "$p" "$seconds" "$f" "$note"
        sed 's/^/    /' "$log" | tail -n 200
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
