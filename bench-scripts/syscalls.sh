#!/usr/bin/env bash
# System calls per request by name, tidegate beside the tokio variant, as markdown tables, one for each mode.
# Counted over a whole wrk run in the steady state (upstream pool warm) with perf's tracepoints if they are allowed
# (exact, nearly free), else with strace (slows the proxy, so that it finds more to do per epoll_wait).
#
# usage: syscalls.sh [MODE...]      all: about 2 minutes
#   persistent persistent-c1 non-persistent newconn 16K 1M-c10 post64K
# SECONDS_EACH=3  COUNT=perf|strace  LOG=none|csv  ROUTING=round-robin  ORIGIN=nginx|tidegate
# PROXY_CPU=0  LOAD_CPU=1  BASE_PORT=18080  TIDEGATE= TOKIO= binaries, else built
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need wrk:wrk taskset:util-linux cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
if [ -z "${COUNT:-}" ]; then
    COUNT=strace
    ! perf stat -o /dev/null -e 'syscalls:sys_enter_close' true 2>/dev/null || COUNT=perf
fi
need "$COUNT:$([ "$COUNT" = perf ] && echo linux-perf || echo strace)"
build tokio
LOG=${LOG:-none}
[ $# -gt 0 ] || set -- persistent persistent-c1 non-persistent newconn 16K 1M-c10 post64K
echo 'wrk.method = "POST"; wrk.body = string.rep("x", 65536)' >"$scratch/post.lua"
listen=$((BASE_PORT + 10))

# Counters for all 350 calls take longer to set up than the run: those a proxy may make, and the sum to check against.
calls=(accept4 bind brk clock_gettime close connect epoll_ctl epoll_pwait epoll_wait fcntl futex getpeername getrandom
    getsockname getsockopt ioctl madvise mmap mprotect munmap poll ppoll pread64 pwrite64 read readv recvfrom recvmsg
    rt_sigreturn sched_yield sendfile64 sendmsg sendto setsockopt shutdown socket splice statx timerfd_settime write writev)
events=raw_syscalls:sys_enter
for call in "${calls[@]}"; do
    [ ! -d "/sys/kernel/tracing/events/syscalls/sys_enter_$call" ] || events+=,syscalls:sys_enter_$call
done

# count NAME PID WRK-ARGUMENTS...: leaves "calls name" lines in $scratch/NAME.calls and requests in $scratch/NAME.n
count() {
    local name=$1 proxy=$2 counter
    shift 2
    local load=(taskset -c "$LOAD_CPU" wrk -t1 "$@" "http://$HOST:$listen/")
    "${load[@]}" -d1s >/dev/null
    if [ "$COUNT" = perf ]; then
        perf stat -x, -o "$scratch/counted" -e "$events" -p "$proxy" -- "${load[@]}" >"$scratch/wrk"
        awk -F, '$3 ~ /^raw/ { all = $1 } $3 ~ /sys_enter_/ && $1 > 0 { sub(/.*sys_enter_/, "", $3); print $1, $3; sum += $1 }
            END { if (all > sum) print all - sum, "others" }' "$scratch/counted" >"$scratch/$name.calls"
    else
        strace -f -c -o "$scratch/counted" -p "$proxy" 2>/dev/null &
        counter=$!
        started+=("$counter")
        sleep 0.5
        "${load[@]}" >"$scratch/wrk"
        kill -INT "$counter"
        wait "$counter" 2>/dev/null || true
        awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { print $4, $NF }' "$scratch/counted" >"$scratch/$name.calls"
    fi
    wrk_requests "$scratch/wrk" >"$scratch/$name.n"
}

run() { # MODE BODY-BYTES UPSTREAM WRK-ARGUMENTS...
    local mode=$1 bytes=$2 upstream=$3 name log=none
    shift 3
    start_origins "$LOAD_CPU" "$bytes"
    for name in tidegate tokio; do
        [ "$LOG" = none ] || log=$scratch/$name.csv
        local command=("$TOKIO")
        [ "$name" = tokio ] || command=("$TIDEGATE" proxy --admin none)
        free_port_or_die "$listen"
        start taskset -c "$PROXY_CPU" "${command[@]}" --listen "$HOST:$listen" --backend "$(backends)" \
            --routing "${ROUTING:-round-robin}" --upstream "$upstream" --log "$log"
        wait_port "$listen"
        count "$name" "$pid" -d"${SECONDS_EACH:-3}s" "$@"
        stop "$pid"
    done
    stop_origins
    table "$mode: $bytes B, upstream $upstream, wrk -t1 $*; $COUNT, log $LOG"
}

table() {
    printf '\n%s\n\n| call | tidegate | tokio variant |\n|---|---|---|\n' "$1"
    awk -v mine="$(cat "$scratch/tidegate.n")" -v theirs="$(cat "$scratch/tokio.n")" '
        FILENAME ~ /tidegate.calls/ { a[$2] = $1 / mine; at += $1 / mine }
        FILENAME ~ /tokio.calls/ { b[$2] = $1 / theirs; bt += $1 / theirs }
        { seen[$2] = 1 }
        END { for (c in seen) if (a[c] >= .001 || b[c] >= .001) printf "%09.4f| %s | %.3f | %.3f |\n", 9999 - a[c] - b[c], c, a[c], b[c]
              printf "99999.0000| **all** | **%.2f** | **%.2f** |\n", at, bt }' \
        "$scratch/tidegate.calls" "$scratch/tokio.calls" | sort | cut -d'|' -f2- | sed 's/^/|/'
}

for mode; do
    case "$mode" in
        persistent) run "$mode" 200 persistent -c100 ;;
        persistent-c1) run "$mode" 200 persistent -c1 ;;
        non-persistent) run "$mode" 200 non-persistent -c100 ;;
        newconn) run "$mode" 200 persistent -c100 -H "Connection: close" ;;
        16K) run "$mode" 16384 persistent -c100 ;;
        1M-c10) run "$mode" 1048576 persistent -c10 ;;
        post64K) run "$mode" 200 persistent -c100 -s "$scratch/post.lua" ;;
        *) die "unknown mode $mode; see --help" ;;
    esac
done
