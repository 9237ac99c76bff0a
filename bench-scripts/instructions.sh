#!/usr/bin/env bash
# User-space instructions per request: callgrind over 12,000 requests less callgrind over 2,000, so that start, stop and
# the connections cancel out. Per upstream mode and routing, without a log and with a CSV row per request (the log's
# thread is counted too). Exact to a few instructions; no need for a quiet machine. Of nginx, haproxy, Sōzu and Pingora, with
# neither routings nor rows, there is a figure in the first line of each mode; a proxy that is not there is left out.
#
# usage: instructions.sh       about 5 minutes
# UPSTREAM="persistent non-persistent"  ROUTING="round-robin adaptive_sma adaptive_ewma"  LOG="none csv"
# PROXIES="tidegate tokio" (and nginx haproxy sozu pingora)  CONNECTIONS=100  ORIGIN=nginx|tidegate  BASE_PORT=18080
# TIDEGATE= TOKIO= binaries, else built  SOZU= PINGORA=
# KEEP=1 keeps the profiles of the long runs as logs/callgrind.<name>.out, for callgrind_annotate
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/proxies.sh"
help_if_asked "$@"
need valgrind:valgrind h2load:nghttp2-client taskset:util-linux pgrep:procps cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
choose_proxies tidegate tokio
build tokio
read -ra upstreams <<<"${UPSTREAM:-persistent non-persistent}"
read -ra routings <<<"${ROUTING:-round-robin adaptive_sma adaptive_ewma}"
read -ra logging <<<"${LOG:-none csv}"
connections=${CONNECTIONS:-100}
short=2000 long=12000
listen=$((BASE_PORT + 10))

# instructions PROXY UPSTREAM ROUTING LOG REQUESTS: prints how many there were in all
instructions() {
    local log=none persistent=yes good
    [ "$4" = none ] || log=$scratch/log.csv
    [ "$2" = persistent ] || persistent=no
    free_port_or_die "$listen"
    rm -f "$scratch"/callgrind.*
    proxy_command "$1" "$listen" "$persistent" "$log" "$3"
    case "$1" in
        tidegate | tokio) command+=(--upstream-timeout 60s) ;;
    esac
    start valgrind --tool=callgrind --trace-children=yes --callgrind-out-file="$scratch/callgrind.%p" "${command[@]}"
    wait_port "$listen" 60
    h2load --h1 -n "$5" -c "$connections" -t1 "http://$HOST:$listen/" >"$scratch/h2load"
    stop_proxy "$pid"
    good=$(awk '/^status codes/ { print $3 }' "$scratch/h2load")
    [ "$good" = "$5" ] || die "$1 $2 $3: $good good answers of $5"
    [ "$5" = "$short" ] || [ -z "${KEEP:-}" ] || cp "$scratch/callgrind.$pid" "$logs/callgrind.$1_$2_$3_$4.out"
    awk '/^(totals|summary):/ { n += $2; nextfile } END { print n }' "$scratch"/callgrind.*
}

# measurable PROXY UPSTREAM ROUTING LOG: the others have one routing and no log, and not every one both modes.
measurable() {
    case "$1" in
        tidegate | tokio) return 0 ;;
    esac
    [ "$3 $4" = "${routings[0]} ${logging[0]}" ] && can "$1" "$([ "$2" = persistent ] && echo yes || echo no)"
}

start_origins "$LOAD_CPU" 200
echo "h2load --h1 -n {$short,$long} -c $connections, 200 B answers"
printf '| mode | routing | log |'
printf ' %s |' "${proxies[@]}"
printf '\n|---|---|---|%s\n' "$(printf -- '---|%.0s' "${proxies[@]}")"
for upstream in "${upstreams[@]}"; do
    for routing in "${routings[@]}"; do
        for log in "${logging[@]}"; do
            printf '| %s | %s | %s |' "$upstream" "$routing" "$log"
            for proxy in "${proxies[@]}"; do
                measurable "$proxy" "$upstream" "$routing" "$log" || { printf ' - |'; continue; }
                few=$(instructions "$proxy" "$upstream" "$routing" "$log" "$short")
                many=$(instructions "$proxy" "$upstream" "$routing" "$log" "$long")
                printf ' %d |' $(((many - few) / (long - short)))
            done
            echo
        done
    done
done
