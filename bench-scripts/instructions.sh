#!/usr/bin/env bash
# User-space instructions per request: callgrind over 12,000 requests less callgrind over 2,000, so that start, stop and
# the connections cancel out. Per upstream mode and routing, without a log and with a CSV row per request (the log's
# thread is counted too). Exact to a few instructions; no need for a quiet machine.
#
# usage: instructions.sh       about 5 minutes
# UPSTREAM="persistent non-persistent"  ROUTING="round-robin adaptive_sma adaptive_ewma"  LOG="none csv"
# PROXIES="tidegate tokio"  CONNECTIONS=100  ORIGIN=nginx|tidegate  BASE_PORT=18080  TIDEGATE= TOKIO= binaries, else built
# KEEP=1 keeps the profiles of the long runs as logs/callgrind.<name>.out, for callgrind_annotate
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need valgrind:valgrind h2load:nghttp2-client taskset:util-linux cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
build tokio
read -ra upstreams <<<"${UPSTREAM:-persistent non-persistent}"
read -ra routings <<<"${ROUTING:-round-robin adaptive_sma adaptive_ewma}"
read -ra proxies <<<"${PROXIES:-tidegate tokio}"
read -ra logging <<<"${LOG:-none csv}"
connections=${CONNECTIONS:-100}
short=2000 long=12000
listen=$((BASE_PORT + 10))

# instructions PROXY UPSTREAM ROUTING LOG REQUESTS: prints how many there were in all
instructions() {
    local command=("$TIDEGATE" proxy --admin none) log=none profile=$scratch/callgrind.out done
    [ "$1" = tidegate ] || command=("$TOKIO")
    [ "$4" = none ] || log=$scratch/log.csv
    free_port_or_die "$listen"
    start valgrind --tool=callgrind --callgrind-out-file="$profile" "${command[@]}" --listen "$HOST:$listen" \
        --backend "$(backends)" --upstream "$2" --routing "$3" --log "$log" --upstream-timeout 60s
    wait_port "$listen" 60
    h2load --h1 -n "$5" -c "$connections" -t1 "http://$HOST:$listen/" >"$scratch/h2load"
    stop "$pid"
    done=$(awk '/^status codes/ { print $3 }' "$scratch/h2load")
    [ "$done" = "$5" ] || die "$1 $2 $3: $done good answers of $5"
    [ "$5" = "$short" ] || [ -z "${KEEP:-}" ] || cp "$profile" "$logs/callgrind.$1_$2_$3_$4.out"
    awk '/^(totals|summary):/ { print $2; exit }' "$profile"
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
                few=$(instructions "$proxy" "$upstream" "$routing" "$log" "$short")
                many=$(instructions "$proxy" "$upstream" "$routing" "$log" "$long")
                printf ' %d |' $(((many - few) / (long - short)))
            done
            echo
        done
    done
done
