#!/usr/bin/env bash
# System calls per request by name, tidegate beside nginx, haproxy, Sōzu, Pingora and the tokio variant, as markdown tables, one
# for each mode, and the sums as a last one. A proxy that is not there is left out, with a line that says how to get it.
# Counted over a whole wrk run in the steady state (upstream pool warm) with perf's tracepoints if they are allowed
# (exact, nearly free), else with strace (slows the proxy, so that it finds more to do per epoll_wait).
#
# usage: syscalls.sh [MODE...]      all, of six proxies: about 6 minutes
#   persistent persistent-c1 non-persistent newconn 16K 1M-c10 post64K
# PROXIES="tidegate tokio nginx haproxy sozu pingora"  SECONDS_EACH=3  COUNT=perf|strace  ORIGIN=nginx|tidegate
# LOG=none|csv  ROUTING=round-robin (tidegate, tokio)
# PROXY_CPU=0  LOAD_CPU=1  BASE_PORT=18080  TIDEGATE= TOKIO= binaries, else built  SOZU= PINGORA=
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/proxies.sh"
help_if_asked "$@"
need wrk:wrk taskset:util-linux pgrep:procps cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
if [ -z "${COUNT:-}" ]; then
    COUNT=strace
    ! perf stat -o /dev/null -e 'syscalls:sys_enter_close' true 2>/dev/null || COUNT=perf
fi
need "$COUNT:$([ "$COUNT" = perf ] && echo linux-perf || echo strace)"
choose_proxies tidegate tokio nginx haproxy sozu pingora
build tokio
LOG=${LOG:-none}
[ $# -gt 0 ] || set -- persistent persistent-c1 non-persistent newconn 16K 1M-c10 post64K
echo 'wrk.method = "POST"; wrk.body = string.rep("x", 65536)' >"$scratch/post.lua"
listen=$((BASE_PORT + 10))

# Counters for all 350 calls take longer to set up than the run: those a proxy may make, and the sum to check against.
calls=(accept4 bind brk clock_gettime clock_nanosleep close connect epoll_ctl epoll_pwait epoll_wait fcntl futex getpeername getrandom
    getsockname getsockopt ioctl madvise mmap mprotect munmap poll ppoll pread64 pwrite64 read readv recvfrom recvmsg
    rt_sigreturn sched_yield sendfile64 sendmsg sendto setsockopt shutdown socket splice statx timerfd_settime write writev)
events=raw_syscalls:sys_enter
for call in "${calls[@]}"; do
    [ ! -d "/sys/kernel/tracing/events/syscalls/sys_enter_$call" ] || events+=,syscalls:sys_enter_$call
done

# count NAME PID WRK-ARGUMENTS...: of all processes of a proxy; leaves "calls name" lines in $scratch/NAME.calls and requests in $scratch/NAME.n
count() {
    local name=$1 proxy counter
    proxy=$(processes "$2" | paste -sd,)
    shift 2
    local load=(taskset -c "$LOAD_CPU" wrk -t1 "$@" "http://$HOST:$listen/")
    "${load[@]}" -d1s >/dev/null
    if [ "$COUNT" = perf ]; then
        perf stat -x, -o "$scratch/counted" -e "$events" -p "$proxy" -- "${load[@]}" >"$scratch/wrk"
        awk -F, '$3 ~ /^raw/ { all = $1 } $3 ~ /sys_enter_/ && $1 > 0 { sub(/.*sys_enter_/, "", $3); print $1, $3; sum += $1 }
            END { if (all > sum) print all - sum, "others" }' "$scratch/counted" >"$scratch/$name.calls"
    else
        strace -f -c -o "$scratch/counted" -p "$proxy" 2>/dev/null &   # a list of processes, as perf's
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

run() { # MODE BODY-BYTES PERSISTENT WRK-ARGUMENTS...
    local mode=$1 bytes=$2 persistent=$3 name log=none measured=()
    shift 3
    start_origins "$LOAD_CPU" "$bytes"
    for name in "${proxies[@]}"; do
        can "$name" "$persistent" || continue
        [ "$LOG" = none ] || log=$scratch/$name.csv
        free_port_or_die "$listen"
        proxy_command "$name" "$listen" "$persistent" "$log" "${ROUTING:-round-robin}"
        start taskset -c "$PROXY_CPU" "${command[@]}"
        wait_port "$listen"
        count "$name" "$pid" -d"${SECONDS_EACH:-3}s" "$@"
        stop_proxy "$pid"
        measured+=("$name")
    done
    stop_origins
    table "$mode: $bytes B, $([ "$persistent" = yes ] && echo persistent || echo non-persistent) upstream, wrk -t1 $*; $COUNT, log $LOG"
    sum_up "$mode"
}

row_of() { printf '|'; printf ' %s |' "$@"; echo; }
head_of() { row_of "$@"; printf '|'; printf -- '---|%.0s' "$@"; echo; }

table() { # TITLE: each call of the proxies measured, most frequent first
    local name
    printf '\n%s\n\n' "$1"
    head_of call "${measured[@]}"
    for name in "${measured[@]}"; do
        awk -v p="$name" -v n="$(cat "$scratch/$name.n")" '{ print p, $2, $1 / n }' "$scratch/$name.calls"
    done >"$scratch/calls"
    awk -v names="${measured[*]}" '
        { calls[$1, $2] = $3; sum[$1] += $3; most[$2] += $3; if ($3 >= .001) shown[$2] = 1 }
        END { n = split(names, name, " ")
              for (c in shown) { line = "| " c " |"; for (i = 1; i <= n; i++) line = line sprintf(" %.3f |", calls[name[i], c])
                  printf "%09.4f%s\n", 9999 - most[c], line }
              line = "| **all** |"; for (i = 1; i <= n; i++) line = line sprintf(" **%.2f** |", sum[name[i]])
              print "99999.000" line }' "$scratch/calls" | sort | sed 's/^[0-9.]*//'
}

sum_up() { # MODE: a row for the last table; a proxy without the mode has a dash
    local name sums=()
    for name in "${proxies[@]}"; do
        sums+=("$(awk -v p="$name" '$1 == p { n += $3 } END { if (n) printf "%.2f", n; else printf "-" }' "$scratch/calls")")
    done
    row_of "$1" "${sums[@]}" >>"$scratch/sums"
}

for mode; do
    case "$mode" in
        persistent) run "$mode" 200 yes -c100 ;;
        persistent-c1) run "$mode" 200 yes -c1 ;;
        non-persistent) run "$mode" 200 no -c100 ;;
        newconn) run "$mode" 200 yes -c100 -H "Connection: close" ;;
        16K) run "$mode" 16384 yes -c100 ;;
        1M-c10) run "$mode" 1048576 yes -c10 ;;
        post64K) run "$mode" 200 yes -c100 -s "$scratch/post.lua" ;;
        *) die "unknown mode $mode; see --help" ;;
    esac
done
echo
head_of "calls per request" "${proxies[@]}"
cat "$scratch/sums"
