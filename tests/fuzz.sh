#!/bin/sh
# fuzz.sh: some seconds of damaged model files through the sanitized build (make fuzz, make test-asan). FUZZ is the
# program, FUZZ_SECONDS and FUZZ_SEED its arguments; sound models to start from come from AIOS_SHARED where that is.
set -u
seed=${FUZZ_SEED:-1}
fixtures=${AIOS_SHARED:-../shared}/fixtures
set --
for f in "$fixtures"/stories/stories260K-q4_0.gguf "$fixtures"/zoo/gemma2.gguf "$fixtures"/zoo/gpt2.gguf; do
    if [ -e "$f" ]; then set -- "$@" "$f"; fi
done
if "${FUZZ:-build/asan/fuzz_gguf}" "${FUZZ_SECONDS:-20}" "$seed" "$@"; then
    echo "1 passed, 0 failed"
else
    echo "seed $seed: the last lines above tell what broke"
    echo "0 passed, 1 failed"
    exit 1
fi
