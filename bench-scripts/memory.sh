#!/usr/bin/env bash
# User memory per idle keep-alive client, tidegate beside nginx, haproxy, Sōzu, Pingora and the tokio variant: anonymous and
# shared pages (Pss_Anon + Pss_Shmem of /proc/PID/smaps_rollup) of all processes of the proxy, with CLIENTS connections that have
# made one request each and are silent since, less the same before they came. Before that a hundred clients at full speed warm
# it up. No need for a quiet machine. A proxy that is not there is left out, with a line that says how to get it.
#
# usage: memory.sh       about 1 minute
# CLIENTS=5000  PROXIES="tidegate tokio nginx haproxy sozu pingora"  LOG=none|csv (tidegate, tokio)  ROUTING=round-robin (the same)
# ORIGIN=nginx|tidegate  PROXY_CPU=0  LOAD_CPU=1  BASE_PORT=18080  TIDEGATE= TOKIO= binaries, else built  SOZU= PINGORA=
#
# "sockets" are those of the proxy for each client: one more than 1 where it keeps a connection to a backend for every client.
# What a proxy sets aside at its start for the clients it may have is in "before", not in "per client": nginx and haproxy do.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/proxies.sh"
help_if_asked "$@"
need wrk:wrk python3:python3 taskset:util-linux pgrep:procps cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
choose_proxies tidegate tokio nginx haproxy sozu pingora
CLIENTS=${CLIENTS:-5000}
[ "$CLIENTS" -lt $((WORKER_CONNECTIONS - 500)) ] || WORKER_CONNECTIONS=$((CLIENTS + 500))
[ "$(ulimit -n)" -gt $((CLIENTS * 2 + 1000)) ] || die "$CLIENTS clients need $((CLIENTS * 2 + 1000)) open files, and $(ulimit -n) are allowed"
build tokio
LOG=${LOG:-none}
listen=$((BASE_PORT + 10))

memory_kib() { # PID
    local one
    for one in $(processes "$1"); do cat "/proc/$one/smaps_rollup"; done |
        awk '/^Pss_(Anon|Shmem):/ { kib += $2 } END { print kib + 0 }'
}

sockets() { # PID
    local one
    for one in $(processes "$1"); do find "/proc/$one/fd" -lname 'socket:*'; done | wc -l
}

measure() { # NAME
    local name=$1 log=none before held after few many said proxy
    [ "$LOG" = none ] || log=$scratch/$name.csv
    free_port_or_die "$listen"
    proxy_command "$name" "$listen" yes "$log" "${ROUTING:-round-robin}"
    start taskset -c "$PROXY_CPU" "${command[@]}"
    proxy=$pid
    wait_port "$listen"
    taskset -c "$LOAD_CPU" wrk -t1 -c100 -d2s "http://$HOST:$listen/" >/dev/null
    sleep 1
    before=$(memory_kib "$proxy") few=$(sockets "$proxy")
    coproc HOLD { taskset -c "$LOAD_CPU" python3 "$here/hold.py" "$HOST" "$listen" "$CLIENTS" 2>&1; }
    started+=("$HOLD_PID")
    local holder=$HOLD_PID in=${HOLD[1]} from=${HOLD[0]}
    read -ru "$from" said || said="no word from hold.py"
    [ "$said" = "held $CLIENTS" ] || die "$name: $said"
    sleep 1
    held=$(memory_kib "$proxy") many=$(sockets "$proxy")
    echo >&"$in"
    read -ru "$from" said
    [ "$said" = "open $CLIENTS" ] || echo "$name: of $CLIENTS clients $said" >&2
    stop "$holder"
    sleep 2
    after=$(memory_kib "$proxy")
    stop_proxy "$proxy"
    awk -v p="$name" -v b="$before" -v h="$held" -v a="$after" -v f="$few" -v m="$many" -v n="$CLIENTS" 'BEGIN {
        printf "| %s | %d | %d | **%.0f** | %.2f | %d |\n", p, b, h, (h - b) * 1024 / n, (m - f) / n, a }'
}

echo "$CLIENTS idle clients, 200 B answers, log $LOG, $(uname -sr)"
echo
echo "| proxy | before, KiB | with them, KiB | B per client | sockets per client | when they have gone, KiB |"
echo "|---|---|---|---|---|---|"
start_origins "$LOAD_CPU" 200
for name in "${proxies[@]}"; do measure "$name"; done
stop_origins
