#!/usr/bin/env bash
# Where the CPU goes: perf record under load, folded and drawn by the inferno crate.
# Leaves logs/flame_<proxy>_<mode>.svg (open it in a browser) and prints the hottest functions.
#
# usage: flamegraph.sh [MODE...]      both proxies, 15 seconds a mode
#   persistent non-persistent newconn 1M-c10
# SECONDS_EACH=5  PROXIES="tidegate tokio"  ORIGIN=nginx|tidegate  PROXY_CPU=0  LOAD_CPU=1  TIDEGATE= TOKIO= binaries
# Release builds have line tables but no frame pointers: stacks are unwound from copies (--call-graph dwarf).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
help_if_asked "$@"
need wrk:wrk perf:linux-perf taskset:util-linux cargo:cargo
[ "$ORIGIN" = tidegate ] || need nginx:nginx
PATH=$PATH:$HOME/.cargo/bin
for tool in inferno-flamegraph inferno-collapse-perf; do
    command -v "$tool" >/dev/null || die "missing: cargo install --locked inferno"
done
# A virtual machine may have no cycle counter; the kernel's timer does.
event=cycles
perf record -q -e cycles -o /dev/null true 2>/dev/null || event=cpu-clock
perf record -q -e "$event" -o /dev/null true 2>/dev/null ||
    die "perf may not record here: sysctl kernel.perf_event_paranoid=1, or run as root"
build tokio
read -ra proxies <<<"${PROXIES:-tidegate tokio}"
[ $# -gt 0 ] || set -- persistent non-persistent
listen=$((BASE_PORT + 10))
mkdir -p "$logs"

record() { # MODE BODY-BYTES UPSTREAM WRK-ARGUMENTS...
    local mode=$1 bytes=$2 upstream=$3 name command proxy load svg
    shift 3
    start_origins "$LOAD_CPU" "$bytes"
    for name in "${proxies[@]}"; do
        command=("$TOKIO")
        [ "$name" = tokio ] || command=("$TIDEGATE" proxy --admin none)
        svg=$logs/flame_${name}_$mode.svg
        free_port_or_die "$listen"
        start taskset -c "$PROXY_CPU" "${command[@]}" --listen "$HOST:$listen" --backend "$(backends)" \
            --routing round-robin --upstream "$upstream" --log none
        proxy=$pid
        wait_port "$listen"
        start taskset -c "$LOAD_CPU" wrk -t1 "$@" -d$((${SECONDS_EACH:-5} + 2))s "http://$HOST:$listen/"
        load=$pid
        sleep 1
        perf record -q -e "$event" -F 499 --call-graph dwarf,8192 -o "$scratch/perf.data" -p "$proxy" -- sleep "${SECONDS_EACH:-5}"
        wait "$load"
        stop "$proxy"
        perf script -i "$scratch/perf.data" 2>/dev/null | inferno-collapse-perf -q >"$scratch/folded"
        inferno-flamegraph -q --title "$name $mode ($event)" <"$scratch/folded" >"$svg"
        printf '\n%s %s: %s\n' "$name" "$mode" "${svg#"$root"/}"
        awk '{ n = $NF; sub(/ [0-9]+$/, ""); sub(/.*;/, ""); self[$0] += n; all += n }
             END { for (f in self) printf "%5.1f %% %s\n", 100 * self[f] / all, f }' "$scratch/folded" | sort -rg | head -n 12 || true
    done
    stop_origins
}

for mode; do
    case "$mode" in
        persistent) record "$mode" 200 persistent -c100 ;;
        non-persistent) record "$mode" 200 non-persistent -c100 ;;
        newconn) record "$mode" 200 persistent -c100 -H "Connection: close" ;;
        1M-c10) record "$mode" 1048576 persistent -c10 ;;
        *) die "unknown mode $mode; see --help" ;;
    esac
done
