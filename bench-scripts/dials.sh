#!/usr/bin/env bash
# What --pool-trust costs on ordinary traffic: connections dialled per 1,000 requests and CPU per request, for GETs of a
# 200-byte answer, GETs of 16 KiB and POSTs of 64 KiB, by each word of the flag. Dials are counted in the proxy's own log.
#
# usage: dials.sh       about 1 minute
# SECONDS_EACH=4  CONNECTIONS=100  TRUST="learned strict always"  ORIGIN=nginx|tidegate  PROXY_CPU=0  LOAD_CPU=1
# BASE_PORT=18080  TIDEGATE= binary, else built
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need wrk:wrk taskset:util-linux cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
build
read -ra words <<<"${TRUST:-learned strict always}"
listen=$((BASE_PORT + 10))
printf 'wrk.method = "POST"\nwrk.body = string.rep("x", 65536)\n' >"$scratch/post.lua"

# traffic NAME ANSWER_BYTES [WRK_FLAGS...]: a line for each word
traffic() {
    local name=$1 bytes=$2 word proxy ns requests dials
    shift 2
    start_origins "$LOAD_CPU" "$bytes"
    for word in "${words[@]}"; do
        free_port_or_die "$listen"
        start taskset -c "$PROXY_CPU" "$TIDEGATE" proxy --admin none --listen "$HOST:$listen" --backend "$(backends)" \
            --pool-trust "$word" --log-truncate --log "$scratch/log.csv"
        proxy=$pid
        wait_port "$listen"
        taskset -c "$LOAD_CPU" wrk -t1 -c"${CONNECTIONS:-100}" -d"${SECONDS_EACH:-4}s" --timeout 30s "$@" \
            "http://$HOST:$listen/" >"$scratch/wrk"
        [ "$(wrk_errors "$scratch/wrk")" = 0 ] || die "$name $word: $(grep -E 'Socket|Non-2xx' "$scratch/wrk")"
        ns=$(cpu_ns "$proxy")
        stop "$proxy"
        # An attempt on a connection that was not used before has a time for connecting.
        read -r requests dials < <(awk -F, '
            NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            { n++; d += $at["connect_us"] != "" }
            END { print n, d + 0 }' "$scratch/log.csv")
        awk -v n="$requests" -v d="$dials" -v ns="$ns" -v name="$name" -v word="$word" \
            'BEGIN { printf "| %s | %s | %d | %.2f | %.2f |\n", name, word, n, 1000 * d / n, ns / n / 1000 }'
    done
    stop_origins
}

echo "wrk -t1 -c${CONNECTIONS:-100} -d${SECONDS_EACH:-4}s"
printf '| traffic | --pool-trust | requests | dials per 1,000 | CPU, µs a request |\n|---|---|---|---|---|\n'
traffic "GET, 200 B" 200
traffic "GET, 16 KiB" 16384
traffic "POST, 64 KiB" 200 -s "$scratch/post.lua"
