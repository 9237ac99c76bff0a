#!/usr/bin/env bash
# Many requests in a row with a connection to the backend each: none may fail, no port may run out and no TIME_WAIT may
# pile up on the way to the backends. Prints the most sockets seen in TIME_WAIT towards them.
#
# usage: many.sh [REQUESTS]      200,000 in a row: about 20 s
# CONNECTIONS=100  ORIGIN=nginx|tidegate  PROXY_CPU=0  LOAD_CPU=1  BASE_PORT=18080  TIDEGATE= binary, else built
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need h2load:nghttp2-client taskset:util-linux cargo:cargo ss:iproute2
[ "$ORIGIN" = tidegate ] || need nginx:nginx
build
requests=${1:-200000}
listen=$((BASE_PORT + 10))
start_origins "$LOAD_CPU" 200
free_port_or_die "$listen"
start taskset -c "$PROXY_CPU" "$TIDEGATE" proxy --admin none --listen "$HOST:$listen" --backend "$(backends)" \
    --upstream non-persistent --log-truncate --log "$scratch/log.csv"
proxy=$pid
wait_port "$listen"

waiting() { ss -Htan state time-wait "( dport >= :$((BASE_PORT + 1)) and dport <= :$((BASE_PORT + 3)) )" | wc -l; }
taskset -c "$LOAD_CPU" h2load --h1 -n "$requests" -c "${CONNECTIONS:-100}" -t1 "http://$HOST:$listen/" >"$scratch/h2load" &
load=$!
most=0
while kill -0 "$load" 2>/dev/null; do
    now=$(waiting)
    [ "$now" -le "$most" ] || most=$now
    sleep 0.2
done
wait "$load"
stop "$proxy"
awk '/^(finished|requests|status codes)/' "$scratch/h2load"
done=$(awk '/^status codes/ { print $3 }' "$scratch/h2load")
others=$(awk -F, 'NR > 1 && !/,200,.*,1,0,ok$/' "$scratch/log.csv" | wc -l)
echo "in TIME_WAIT towards the backends: at most $most; rows that are not a 200 at the first attempt: $others"
[ "$done" = "$requests" ] && [ "$others" = 0 ] && [ "$most" -lt 1000 ]
