#!/usr/bin/env bash
# The six scenarios under wrk: {persistent, non-persistent} x {round-robin, adaptive_sma, adaptive_ewma}, backends A, B
# and C with their latency cycles. Leaves logs/<routing>_<upstream>.csv and logs/<routing>_<upstream>_wrk.txt and ends
# with a table: mean, p95 and shares from the CSV, requests a second from wrk.
#
# usage: scenarios.sh            12 minutes and a little; DURATION=5s scenarios.sh is a taste
# DURATION=120s  time per scenario, as wrk takes it      CONNECTIONS=100  THREADS=4
# UPSTREAM="persistent non-persistent"                   ROUTING="round-robin adaptive_sma adaptive_ewma"
# BASE_PORT=18080  TIDEGATE=path of a binary, else built
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need wrk:wrk cargo:cargo
build
DURATION=${DURATION:-120s}
read -ra upstreams <<<"${UPSTREAM:-persistent non-persistent}"
read -ra routings <<<"${ROUTING:-round-robin adaptive_sma adaptive_ewma}"
listen=$((BASE_PORT + 10))
mkdir -p "$logs"

port=$BASE_PORT
for id in A B C; do
    port=$((port + 1))
    free_port_or_die "$port"
    start "$TIDEGATE" backend --id "$id" --port "$port"
    wait_port "$port"
done

for upstream in "${upstreams[@]}"; do
    keepalive=on
    [ "$upstream" = persistent ] || keepalive=off   # so did the original
    for routing in "${routings[@]}"; do
        name=${routing}_$upstream
        free_port_or_die "$listen"
        start "$TIDEGATE" proxy --listen "$HOST:$listen" --backend "$(backends)" --routing "$routing" \
            --upstream "$upstream" --client-keepalive "$keepalive" --admin none --log-truncate --log "$logs/$name.csv"
        proxy=$pid
        wait_port "$listen"
        echo "$name: $DURATION" >&2
        wrk -t"${THREADS:-4}" -c"${CONNECTIONS:-100}" -d"$DURATION" "http://$HOST:$listen" >"$logs/${name}_wrk.txt"
        stop "$proxy"
    done
done

# row NAME: a line of the table. The columns used hold no quoted text.
row() {
    local csv=$logs/$1.csv wrk=$logs/$1_wrk.txt
    tail -n +2 "$csv" | cut -d, -f3 | sort -g | awk -v name="$1" \
        -v rate="$(awk '/Requests\/sec/ { print $2 }' "$wrk")" -v errors="$(wrk_errors "$wrk")" \
        -v share="$(tail -n +2 "$csv" | cut -d, -f2 | sort | uniq -c |
            awk '{ n[NR] = $1; sum += $1 } END { for (i = 1; i <= NR; i++) printf "%s%.1f", (i > 1 ? " / " : ""), 100 * n[i] / sum }')" \
        'NF { v[++n] = $1; sum += $1 }
         END { p = int(n * .95 + .5); if (p < 1) p = 1
               printf "| %s | %d | %s | %.1f | %.1f | %s | %d |\n", name, n, rate, sum / n, v[p], share, errors }'
}
echo "| scenario | requests | req/s | mean ms | p95 ms | share A / B / C % | errors |"
echo "|---|---|---|---|---|---|---|"
for upstream in "${upstreams[@]}"; do
    for routing in "${routings[@]}"; do row "${routing}_$upstream"; done
done
