#!/bin/sh
# stream.sh MODEL...: models larger than the memory they may use: ours with its readers, and a program that maps the file, side by side.
#
# MODEL is a .gguf file, or SHAPE:TYPE of tools/synth.c, which is made and removed. Each program runs under the same limit of
# memory, page cache included, after the file has been taken out of the page cache. Two runs of different length: their difference
# is what a token costs, without opening, loading and warming up. A line each:
#
#     tok/s      tokens per second, from the difference of the clock          own      as the program says itself
#     MB/token   read from the disk by the program (counted by the kernel)    counted  streamed, as our counters say
#     GB/s       both together                                                of disk  GB/s over what O_DIRECT read just before
#     RSS MB     most memory, mapped pages included                           waits    page faults per token that waited for the disk
#
#     bench/stream.sh model.gguf                              RAM=512M READERS="uring mmap" bench/stream.sh llama-1b:Q8_0
#     PEER=path/to/llama-bench bench/stream.sh model.gguf     adds the other program, PEER_ARGS its further options
#
#     RAM       the limit (a third of the model)              AIOS_RAM  what ours is told with --ram (RAM less SLACK; none: nothing)
#     SLACK     for the program itself, its stacks, page      LIMIT     cgroup1, cgroup2, systemd, ballast, none (what works first)
#               tables and the cache that reads pass (96M)    THREADS   of both (2)
#     READERS   of aios bench --reader (uring direct          SHORT GEN tokens of the short run, and more of the long one (2, 8)
#               pread-drop pread mmap)                        CSV       file that gets a line per case
#     AIOS      our command (build/aios); AIOS_ARGS its further options; BUILD where bench_disk and synth are (build); TMP for models
#
# cgroup1, cgroup2: a group of its own below the group we are in, which must be writable (root, or a delegated one). systemd: a scope.
# ballast: all memory but RAM is locked for the time of the run: everybody on the machine feels it, and what others leave free
# counts too. The disk of a virtual machine may sit in the memory of its host: then "disk" is that. A mapping reads as far ahead as
# the system is set to (read ahead; 128 KiB is usual). A program that repacks weights copies them, and may be killed at the limit.
set -eu
[ $# -ge 1 ] || { echo "usage: bench/stream.sh MODEL..." >&2; exit 2; }
build=${BUILD:-build}
aios=${AIOS:-build/aios}
disk=$build/bench_disk
threads=${THREADS:-2}
short=${SHORT:-2}
gen=${GEN:-8}
readers=${READERS-uring direct pread-drop pread mmap}
for f in "$aios" "$disk"; do
    [ -x "$f" ] || { echo "stream.sh: no $f (make build/aios build/bench_disk build/synth)" >&2; exit 1; }
done

bytes_of() { # 512M -> bytes
    echo "$1" | awk '/^[0-9.]+[KMG]?$/ { u = $0; sub(/^[0-9.]*/, "", u); printf "%.0f", $0 * (u == "K" ? 1024 : u == "M" ? 1048576 : u == "G" ? 1073741824 : 1); ok = 1 } END { exit !ok }' ||
        { echo "stream.sh: no size: $1" >&2; exit 2; }
}
slack=$(bytes_of "${SLACK:-96M}")
tmp=$(mktemp -d)
group=
model=
made=
clean() {
    [ -z "$made" ] || rm -f "$made"
    if [ -n "$group" ] && [ -d "$group" ]; then
        n=0                                 # the last process may still be on its way out
        while ! rmdir "$group" 2>/dev/null && [ $n -lt 20 ]; do sleep 0.2; n=$((n + 1)); done
        [ ! -d "$group" ] || echo "stream.sh: $group is left" >&2
    fi
    rm -rf "$tmp"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

# ---- the limit ------------------------------------------------------------------------------------------------------
# Each way_X LIMIT prepares, or fails; under_X COMMAND... runs.
mount_of() { awk -v t="$1" -v o="$2" '$3 == t && (o == "" || index("," $4 ",", "," o ",")) { print $2; exit }' /proc/mounts 2>/dev/null; }
own_group() { sed -n "s/^[0-9]*:$1://p" /proc/self/cgroup 2>/dev/null | sed -n 1p; }
new_group() { # new_group FOLDER...: in the first that allows it
    for d in "$@"; do
        if mkdir "${d%/}/aios-stream-$$" 2>/dev/null; then group=${d%/}/aios-stream-$$; return 0; fi
    done
    return 1
}
way_cgroup1() {
    if [ -z "$group" ]; then
        m=$(mount_of cgroup memory)
        [ -n "$m" ] && new_group "$m$(own_group '[^:]*\(,\|\)memory\(,[^:]*\)*')" || return 1
    fi
    echo "$1" 2>/dev/null >"$group/memory.limit_in_bytes" || return 1
    echo "$1" 2>/dev/null >"$group/memory.memsw.limit_in_bytes" || true       # no swapping past the limit, where that is counted
}
under_cgroup1() { sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"; }
way_cgroup2() {
    if [ -z "$group" ]; then
        m=$(mount_of cgroup2 '')
        [ -n "$m" ] || return 1
        d=$m$(own_group '')
        grep -qw memory "$d/cgroup.controllers" 2>/dev/null || return 1
        { grep -qw memory "$d/cgroup.subtree_control" || echo +memory 2>/dev/null >"$d/cgroup.subtree_control"; } && new_group "$d" || return 1
    fi
    echo "$1" 2>/dev/null >"$group/memory.max" || return 1
    echo 0 2>/dev/null >"$group/memory.swap.max" || true
}
under_cgroup2() { under_cgroup1 "$@"; }
way_systemd() {
    scope="systemd-run --quiet --scope"
    [ "$(id -u)" = 0 ] || scope="$scope --user"
    scope="$scope -p MemoryMax=$1 -p MemorySwapMax=0"
    $scope true 2>/dev/null
}
under_systemd() { $scope "$@"; }
way_ballast() { keep=$1; [ "$(id -u)" = 0 ] || [ "$(ulimit -l)" = unlimited ]; }
under_ballast() { "$disk" -k "$keep" "$@"; }
way_none() { echo "stream.sh: nothing limits memory here: the figures are those of a machine with room" >&2; }
under_none() { "$@"; }
limit_to() { # sets $way
    for way in ${LIMIT:-cgroup1 cgroup2 systemd ballast none}; do
        if "way_$way" "$1"; then return 0; fi
        [ -z "$group" ] || { rmdir "$group" && group=; }
    done
    echo "stream.sh: LIMIT=$LIMIT does not work here" >&2
    exit 1
}

# ---- runs -----------------------------------------------------------------------------------------------------------
devno() { stat -c %d "$model" 2>/dev/null | awk '{ print int($1 / 256) % 4096 ":" $1 % 256 + int($1 / 1048576) * 256 }'; }
device() { # bytes that were read from the disk of the model by anybody: 0 = unknown
    awk '{ printf "%.0f\n", $3 * 512 }' "/sys/dev/block/$(devno)/stat" 2>/dev/null || echo 0
}
ours() { # ours READER TOKENS
    ram=
    [ "$told" = none ] || ram="--ram $told"
    # shellcheck disable=SC2086
    set -- "$aios" bench -m "$model" --reader "$1" $ram -t "$threads" -p 1 -n "$2" -c $((short + gen + 1)) -r 1 --json ${AIOS_ARGS:-}
    "under_$way" "$disk" -x "$tmp/x" "$@" >"$tmp/out" 2>"$tmp/err"
}
theirs() { # theirs - TOKENS
    # shellcheck disable=SC2086
    set -- "$PEER" -m "$model" -t "$threads" -p 0 -n "$2" -r 1 -o json ${PEER_ARGS:-}
    "under_$way" "$disk" -x "$tmp/x" "$@" >"$tmp/out" 2>"$tmp/err"
}
# row NAME FUNCTION READER TOKENS-PER-N
row() {
    : >"$tmp/log"
    for n in "$short" $((short + gen)); do
        "$disk" -d "$model" >"$tmp/left"
        before=$(device)
        rm -f "$tmp/x"
        if ! "$2" "$3" "$n"; then
            printf '%-18s %s\n' "$1" "failed: $(grep -v '^$' "$tmp/err" | tail -n 1 | cut -c 1-150)$(sed -n 's/^status=/ (exit status /p' "$tmp/x" 2>/dev/null | sed 's/$/)/')"
            return 0
        fi
        echo "device_bytes=$(($(device) - before))" >>"$tmp/x"
        tr '{},[]' '\n\n\n\n\n' <"$tmp/out" | awk '
            { gsub(/[":]/, " ") }
            $1 == "decode_tok_s" && !d++ || $1 == "avg_ts" { print "own=" $2 }
            $1 == "streamed" { print "counted=" $2 }' >>"$tmp/x"
        sed "s/^/$n /; s/=/ /" "$tmp/x" >>"$tmp/log"
    done
    awk -v name="$1" -v a="$short" -v b=$((short + gen)) -v times="$4" -v disk="$bandwidth" -v csv="${CSV:-}" -v model="$label" -v limit="$limit" '
        { v[$1, $2] = $3 }
        function diff(k) { return (v[b, k] - v[a, k]) / ((b - a) * times) }
        END {
            s = diff("wall_s"); mb = diff("read_bytes") / 1e6
            rate = s > 0 ? 1 / s : 0; gb = s > 0 ? mb / 1e3 / s : 0
            counted = ((b, "counted") in v) ? sprintf("%.1f", v[b, "counted"] / 1e6) : "-"
            note = ""; share = disk > 0 ? 100 * gb / disk : 0
            if (v[b, "device_bytes"] > 1.2 * v[b, "read_bytes"] + 5e7) note = sprintf("   others read %.0f MB meanwhile", (v[b, "device_bytes"] - v[b, "read_bytes"]) / 1e6)
            printf "%-18s %8.3f %8.3f %10.1f %9s %8.3f %7.0f%% %8.0f %9.0f %8.2f%s\n", name, rate, v[b, "own"], mb, counted, gb, share,
                v[b, "max_rss_bytes"] / 1e6, diff("faults"), diff("cpu_s"), note
            if (csv != "") {
                if ((getline line <csv) <= 0) print "model,limit_bytes,program,tok_s,own_tok_s,disk_mb_per_token,counted_mb_per_token,gb_s,disk_gb_s,max_rss_mb,faults_per_token,cpu_s_per_token" >csv
                close(csv)
                printf "%s,%s,%s,%.4f,%.4f,%.2f,%s,%.4f,%.4f,%.1f,%.1f,%.3f\n", model, limit, name, rate, v[b, "own"], mb, counted, gb, disk, v[b, "max_rss_bytes"] / 1e6, diff("faults"), diff("cpu_s") >>csv
            }
        }' "$tmp/log"
}

for m in "$@"; do
    made=
    case $m in
    *.gguf) model=$m ;;
    *:*)
        made=${TMP:-$build}/stream-$$.gguf
        model=$made
        "$build/synth" "${m%%:*}" "${m#*:}" "$model" >/dev/null ;;
    *) echo "stream.sh: a .gguf file or SHAPE:TYPE, not '$m'" >&2; exit 2 ;;
    esac
    label=$(basename "$m" .gguf)
    size=$(wc -c <"$model")
    limit=$(bytes_of "${RAM:-$((size / 3))}")
    if [ "${AIOS_RAM:-}" = none ]; then told=none; else told=$(bytes_of "${AIOS_RAM:-$((limit > 2 * slack ? limit - slack : limit / 2))}"); fi
    limit_to "$limit"
    ahead=$(cat "/sys/dev/block/$(devno)/queue/read_ahead_kb" 2>/dev/null || cat "/sys/dev/block/$(devno)/../queue/read_ahead_kb" 2>/dev/null || echo "?")
    bandwidth=$("$disk" -f "$model" -t -w direct -b 4M -q 4 -s 2)
    echo "$label: $((size / 1000000)) MB under a limit of $((limit / 1000000)) MB ($way), $threads threads, tokens $((short + 1)) to $((short + gen)); the disk reads $bandwidth GB/s past the page cache, ahead $ahead KiB"
    printf '%-18s %8s %8s %10s %9s %8s %8s %8s %9s %8s\n' program tok/s own MB/token counted GB/s 'of disk' 'RSS MB' 'waits/tok' 'CPU s/tok'
    for r in $readers; do row "aios $r" ours "$r" 2; done         # bench warms up with a run of the same length
    [ -z "${PEER:-}" ] || row "${PEER_NAME:-$(basename "$PEER")}" theirs - 1
    [ -z "$made" ] || { rm -f "$made"; made=; }
done
