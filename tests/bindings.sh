#!/bin/sh
# bindings.sh: the shared library, called from a language that compiles nothing. Run from the root of the repository.
set -u
case $(uname -s) in Darwin) so=build/libaios.dylib ;; *) so=build/libaios.so ;; esac
if ! command -v python3 >/dev/null 2>&1 || ! python3 -c 'import ctypes' 2>/dev/null; then
    echo "skip: bindings: no python3 with ctypes"
elif [ ! -e models/tale.gguf ]; then
    echo "skip: bindings: no models/tale.gguf here"
else
    MAKEFLAGS='' MAKELEVEL=0 "${MAKE:-make}" CC="${CC:-cc}" shared >/dev/null || { echo "$so cannot be built"; echo "0 passed, 1 failed"; exit 1; }
    exec python3 tests/bindings.py "$so" models/tale.gguf build/aios
fi
echo "0 passed, 0 failed"
