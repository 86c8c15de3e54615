#!/bin/sh
# bench.sh: what `make bench` runs: the roofs of this machine, every kernel against them, then whole models; a few minutes.
# Leaves bench/results/MACHINE.csv and the chart MACHINE.svg. Nothing else should be running.
#
#     make bench                                              kernels, and a 1B model in Q4_0
#     make bench QUICK=1                                      fewer cases, shorter runs: about a minute
#     make bench MODELS="llama-1b:Q4_0 falcon-7b:Q4_K_M" DEPTHS=512,4096,16384
#
#     THREADS   the most (all)                                MODELS   SHAPE:TYPE of tools/synth.c, or .gguf files; "none"
#     ISA       avx2, avx512 ... or all (best)                DEPTHS   where decoding is measured (512,4096)
#     TYPES     q4_0,iq2_xs ... (all)                         TMP      folder for one model file at a time (build)
#     MACHINE   the name of the result (from the CPU's)       BUILD    where the programs are (build)
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
out=bench/results
isa=${ISA:-best}
types=${TYPES:-}

# The CPU as it calls itself, and how many of it: a file name
cpu() {
    name=$(sed -n 's/^\(model name\|Model\)[^:]*: *//p' /proc/cpuinfo 2>/dev/null | sed -n 1p)
    [ -n "$name" ] || name=$(sysctl -n machdep.cpu.brand_string 2>/dev/null || true)
    [ -n "$name" ] || name=$(tr -d '\0' 2>/dev/null </sys/firmware/devicetree/base/model || true)
    [ -n "$name" ] || name=$(lscpu 2>/dev/null | sed -n 's/^Model name: *//p' | sed -n 1p)
    [ -n "$name" ] || name=$(uname -m)
    echo "$name"
}
n_cpu=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
threads=${THREADS:-$n_cpu}
title="$(cpu), $n_cpu CPUs"
machine=${MACHINE:-$(echo "$title" | tr 'A-Z' 'a-z' | sed 's/([a-z]*)//g; s/@.*ghz//; s/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//')}
mkdir -p "$out"
csv=$build/bench.csv
rm -f "$csv"
model=
trap '[ -z "$model" ] || rm -f "$model"' EXIT
trap 'exit 1' INT TERM HUP

if [ -n "${QUICK:-}" ]; then
    kernels="-s 0.03 -c 1,8,256" roofs="-s 0.3" runs="-p 256 -d ${DEPTHS:-512} -b 4 -K f16 -n 12"
else
    kernels= roofs= runs="-d ${DEPTHS:-512,4096}"
fi
roofs_isa=
[ "$isa" = all ] || [ "$isa" = best ] || roofs_isa="-i $isa"

echo "== $title"
"$build/bench_roofs" -t "$threads" -o "$csv" $roofs $roofs_isa
echo
"$build/bench_kernels" -t "$threads" -i "$isa" -T "$types" -o "$csv" $kernels

[ "$isa" != all ] || isa=best
for m in ${MODELS:-llama-1b:Q4_0}; do
    case $m in
    none) continue ;;
    *.gguf) "$build/bench_models" -m "$m" -t "$threads" -i "$isa" -o "$csv" $runs ;;
    *:*)
        model=${TMP:-$build}/bench-$$.gguf
        "$build/synth" "${m%%:*}" "${m#*:}" "$model" >/dev/null
        "$build/bench_models" -m "$model" -N "$m" -t "$threads" -i "$isa" -o "$csv" $runs
        rm -f "$model"
        model= ;;
    *) echo "bench.sh: MODELS has SHAPE:TYPE or files, not '$m'" >&2; exit 2 ;;
    esac
done

mv -f "$csv" "$out/$machine.csv"
"${AWK:-awk}" -v title="$title" -f bench/roofline.awk "$out/$machine.csv" >"$out/$machine.svg"
echo "wrote $out/$machine.csv and $out/$machine.svg"
