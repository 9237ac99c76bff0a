#!/usr/bin/env bash
# tidegate beside nginx, haproxy, Sōzu, Pingora and the tokio variant: CPU per request, throughput, latency. A proxy that is
# not there is left out, with a line that says how to get it.
# The proxy is alone on PROXY_CPU; wrk and three fast origins are on LOAD_CPU (with one client all are on PROXY_CPU).
# Rounds are interleaved (ABCD ABCD ...). CPU is /proc/PID/schedstat over all processes and threads. "x nginx" is the median of the
# ratios within each round: trust it more than the absolute times.
#
# usage: peers.sh [SCENARIO...]      all, of six: about 15 minutes; ROUNDS=3 SECONDS_EACH=2: about 6
#   200B-c1 200B-c100 200B-c1000 16K-c100 1M-c10 post64K-c100 newconn-c100 nonpersistent-c100
# PROXIES="nginx haproxy sozu pingora tokio tidegate"  ROUNDS=5  SECONDS_EACH=3  LOG=none|csv (a row per request: tidegate, tokio)
# ORIGIN=nginx|tidegate  PROXY_CPU=0  LOAD_CPU=1  BASE_PORT=18080  TIDEGATE= TOKIO= binaries, else built  SOZU= PINGORA=
# Raw figures, versions and commands go to logs/peers-<date>/.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/proxies.sh"
help_if_asked "$@"
need wrk:wrk taskset:util-linux pgrep:procps cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
choose_proxies nginx haproxy sozu pingora tokio tidegate
build tokio
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-3} LOG=${LOG:-none}
all=(200B-c1 200B-c100 200B-c1000 16K-c100 1M-c10 post64K-c100 newconn-c100 nonpersistent-c100)
[ $# -gt 0 ] || set -- "${all[@]}"
out=$logs/peers-$(date -u +%Y%m%d-%H%M%S)
mkdir -p "$out/wrk"
{ machine; proxy_versions; wrk -v 2>&1 | head -n 1; } >"$out/versions.txt" || true
echo "scenario,round,proxy,requests,cpu_us_per_request,req_per_s,p50_us,p99_us,errors" >"$out/results.csv"

start_proxy() { # NAME PORT PERSISTENT
    local log=none
    [ "$LOG" = none ] || log=$scratch/$1.csv
    free_port_or_die "$2"
    proxy_command "$1" "$2" "$3" "$log"
    start taskset -c "$PROXY_CPU" "${command[@]}"
    wait_port "$2"
    echo "taskset -c $PROXY_CPU ${command[*]}" >>"$out/commands.txt"
    cp "$scratch"/*.conf "$scratch"/haproxy.cfg "$scratch"/sozu.toml "$out/" 2>/dev/null || true
}

measure() { # SCENARIO ROUND NAME PORT PID CPU WRK-ARGUMENTS...
    local scenario=$1 round=$2 name=$3 port=$4 proxy=$5 cpu=$6 before after file
    shift 6
    file=$out/wrk/$scenario-$round-$name.txt
    before=$(proxy_cpu_ns "$proxy")
    taskset -c "$cpu" wrk --latency --timeout 10s "$@" "http://$HOST:$port/" >"$file"
    after=$(proxy_cpu_ns "$proxy")
    [ "$round" -gt 0 ] || return 0   # round 0 warms up
    local n; n=$(wrk_requests "$file")
    awk -v s="$scenario" -v r="$round" -v p="$name" -v n="$n" -v ns=$((after - before)) \
        -v rate="$(awk '/Requests\/sec/ { print $2 }' "$file")" -v p50="$(wrk_us "$file" 50%)" \
        -v p99="$(wrk_us "$file" 99%)" -v e="$(wrk_errors "$file")" \
        'BEGIN { printf "%s,%s,%s,%d,%.3f,%s,%d,%d,%d\n", s, r, p, n, n ? ns / n / 1000 : 0, rate, p50, p99, e }' >>"$out/results.csv"
}

run_scenario() { # NAME BODY-BYTES CONNECTIONS PERSISTENT WRK-ARGUMENTS...
    local name=$1 bytes=$2 connections=$3 persistent=$4 cpu=$LOAD_CPU round i pids=() running=()
    shift 4
    [ "$connections" -gt 1 ] || cpu=$PROXY_CPU
    echo "$name ..." >&2
    start_origins "$cpu" "$bytes"
    for i in "${!proxies[@]}"; do
        can "${proxies[i]}" "$persistent" || continue
        start_proxy "${proxies[i]}" $((BASE_PORT + 10 + i)) "$persistent"
        pids[i]=$pid
        running+=("$i")
    done
    echo "$name: taskset -c $cpu wrk --latency -t1 -c$connections -d${seconds}s $*" >>"$out/commands.txt"
    for round in $(seq 0 "$rounds"); do
        for i in "${running[@]}"; do
            measure "$name" "$round" "${proxies[i]}" $((BASE_PORT + 10 + i)) "${pids[i]}" "$cpu" \
                -t1 -c"$connections" -d"$([ "$round" -gt 0 ] && echo "$seconds" || echo 1)s" "$@"
        done
    done
    for i in "${running[@]}"; do stop_proxy "${pids[i]}"; done
    stop_origins
}

post_script() {
    echo 'wrk.method = "POST"; wrk.body = string.rep("x", 65536)' >"$scratch/post.lua"
    echo "$scratch/post.lua"
}

for scenario; do
    case "$scenario" in
        200B-c1) run_scenario "$scenario" 200 1 yes ;;
        200B-c100) run_scenario "$scenario" 200 100 yes ;;
        200B-c1000) run_scenario "$scenario" 200 1000 yes ;;
        16K-c100) run_scenario "$scenario" 16384 100 yes ;;
        1M-c10) run_scenario "$scenario" 1048576 10 yes ;;
        post64K-c100) run_scenario "$scenario" 200 100 yes -s "$(post_script)" ;;
        newconn-c100) run_scenario "$scenario" 200 100 yes -H "Connection: close" ;;
        nonpersistent-c100) run_scenario "$scenario" 200 100 no ;;
        *) die "unknown scenario $scenario; there are: ${all[*]}" ;;
    esac
done

column() { awk -F, -v s="$1" -v p="$2" -v c="$3" '$1 == s && $3 == p { print $c }' "$out/results.csv"; }
ratio() { # SCENARIO PROXY: median of same-round CPU ratios to nginx
    awk -F, -v s="$1" -v p="$2" '$1 == s && $3 == "nginx" { base[$2] = $5 } $1 == s && $3 == p { mine[$2] = $5 }
        END { for (r in mine) if (base[r] > 0) print mine[r] / base[r] }' "$out/results.csv" | median
}
{
    echo "| scenario | proxy | CPU µs/request | x nginx | req/s | p50 µs | p99 µs | errors |"
    echo "|---|---|---|---|---|---|---|---|"
    for scenario; do
        for proxy in "${proxies[@]}"; do
            [ -n "$(column "$scenario" "$proxy" 5)" ] || continue   # it has no such mode
            printf '| %s | %s | %.1f | %s | %.0f | %.0f | %.0f | %d |\n' "$scenario" "$proxy" \
                "$(column "$scenario" "$proxy" 5 | median)" "$(ratio "$scenario" "$proxy" | awk '{ printf "%.2f", $1 } END { if (!NR) printf "-" }')" \
                "$(column "$scenario" "$proxy" 6 | median)" "$(column "$scenario" "$proxy" 7 | median)" \
                "$(column "$scenario" "$proxy" 8 | median)" "$(column "$scenario" "$proxy" 9 | awk '{ n += $1 } END { print n + 0 }')"
        done
    done
} | tee "$out/table.md"
echo "raw: ${out#"$root"/}" >&2
