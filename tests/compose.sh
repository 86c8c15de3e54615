#!/bin/sh
# compose.sh: canonical composition as Python's unicodedata does it: every code point that its Unicode knows, and random sequences of
# characters that join, split or change places. Run from the root.
set -u
CC=${CC:-cc}
dir=build/compose
skip() { echo "skip: $1"; echo "0 passed, 0 failed"; exit 0; }
python3 -c 'import unicodedata' 2>/dev/null || skip "no python3"
mkdir -p "$dir"
$CC -std=c99 -O1 -Isrc tests/compose.c -pthread -o "$dir/compose" || { echo "0 passed, 1 failed"; exit 1; }
if python3 tests/compose.py "$dir/compose"; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; exit 1; fi
