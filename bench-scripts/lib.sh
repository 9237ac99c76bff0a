# Shared by the scripts beside it; source it, do not run it.
# Everything talks over loopback; what a script starts it ends, by pid.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck disable=SC2034   # for the scripts
logs=$root/logs

HOST=127.0.0.1
BASE_PORT=${BASE_PORT:-18080}   # origins at +1..+3, proxies from +10
PROXY_CPU=${PROXY_CPU:-0}       # the proxy under test
LOAD_CPU=${LOAD_CPU:-1}         # load generator and origins
WORKER_CONNECTIONS=${WORKER_CONNECTIONS:-8192}   # as many as nginx, haproxy and Sōzu may have
ORIGIN=${ORIGIN:-nginx}         # nginx | tidegate: who plays the three fast origins
TIDEGATE=${TIDEGATE:-}          # binaries to test instead of a fresh build
TOKIO=${TOKIO:-}

started=()
scratch=$(mktemp -d)

finish() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true   # 1000 clients need more than the usual 1024

die() { echo "$*" >&2; exit 1; }

# Prints the comment that heads a script, when asked to.
help_if_asked() {
    case "${1:-}" in
        -h | --help) awk 'NR > 1 && /^#/ { sub(/^# ?/, ""); print; next } NR > 1 { exit }' "$0"; exit 0 ;;
    esac
}

# need COMMAND:PACKAGE ...  All that is missing is said at once, with how to get it.
need() {
    local packages=() pair
    for pair; do
        command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
    done
    [ ${#packages[@]} -eq 0 ] || die "missing; on Debian: apt-get install ${packages[*]}"
}

# shellcheck disable=SC2120   # with nothing it builds tidegate alone
# build [tokio]: sets TIDEGATE, and TOKIO if asked, unless they are set.
build() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    if [ -z "$TIDEGATE" ]; then
        cargo build --release --quiet --manifest-path "$root/Cargo.toml"
        TIDEGATE=$target/release/tidegate
    fi
    if [ "${1:-}" = tokio ] && [ -z "$TOKIO" ]; then
        cargo build --release --quiet --manifest-path "$root/Cargo.toml" -p tidegate-tokio
        TOKIO=$target/release/tidegate-tokio
    fi
}

# start COMMAND...: in the background; its pid is in $pid.
start() {
    "$@" >>"$scratch/output" 2>&1 &
    pid=$!
    started+=("$pid")
}

# stop PID: asks, then waits until it has gone.
stop() {
    local kept=() other
    kill -TERM "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    for other in "${started[@]}"; do [ "$other" = "$1" ] || kept+=("$other"); done
    started=("${kept[@]}")
}

# wait_port PORT [SECONDS]
wait_port() {
    local tries=$((${2:-10} * 20))
    while ! (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { tail -n 5 "$scratch/output" >&2; die "nothing listens on $HOST:$1"; }
        sleep 0.05
    done
}

free_port_or_die() { ! (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null || die "port $1 is in use: set BASE_PORT"; }

# cpu_ns PID: nanoseconds its threads have been on a CPU. Threads that ended do not count; none of ours end.
cpu_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ ns += $1 } END { printf "%.0f\n", ns }'; }

# median: of numbers, one a line.
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%.6g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

backends() { echo "$HOST:$((BASE_PORT + 1)),$HOST:$((BASE_PORT + 2)),$HOST:$((BASE_PORT + 3))"; }

# start_origins CPU BYTES: three fast origins that answer any request with BYTES bytes. Their pids go to $origins.
start_origins() {
    local port
    origins=()
    for port in 1 2 3; do free_port_or_die $((BASE_PORT + port)); done
    if [ "$ORIGIN" = tidegate ]; then
        for port in 1 2 3; do
            start taskset -c "$1" "$TIDEGATE" backend --port $((BASE_PORT + port)) --latency constant:0ms --body-bytes "$2"
            origins+=("$pid")
        done
    else
        nginx_origin "$2" >"$scratch/origin.conf"
        start taskset -c "$1" nginx -p "$scratch" -c "$scratch/origin.conf"
        origins+=("$pid")
    fi
    for port in 1 2 3; do wait_port $((BASE_PORT + port)); done
}

stop_origins() { local origin; for origin in "${origins[@]}"; do stop "$origin"; done; }

# nginx_origin BYTES: its configuration. A POST's body is read and thrown away before the answer.
nginx_origin() {
    local listen="" port answer
    answer="return 200 '$(head -c "$1" /dev/zero | tr '\0' x)';"
    for port in 1 2 3; do listen+="listen $HOST:$((BASE_PORT + port)) backlog=4096; "; done
    if [ "$1" -gt 2000 ]; then   # a word of the configuration may have 4095 bytes
        head -c "$1" /dev/zero | tr '\0' x >"$scratch/body"
        answer="root $scratch; open_file_cache max=10; rewrite ^ /body break;"
    fi
    cat <<CONF
$(nginx_common)
http {
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 0;
    $(nginx_temp)
    server { $listen location / { $answer } }
}
CONF
}

# One process and in the foreground, so that its pid is the one that works.
nginx_common() {
    echo "daemon off; master_process off; pid $scratch/nginx-$RANDOM.pid; error_log $scratch/nginx.log crit;"
    echo "events { worker_connections $WORKER_CONNECTIONS; multi_accept on; }"
    [ "$(id -u)" -ne 0 ] || echo "user root;"
}
nginx_temp() {
    local kind
    for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $scratch/$kind;"; done
}

# Requests done, and errors, of a wrk output.
wrk_requests() { awk '/requests in/ { print $1 }' "$1"; }
wrk_errors() { awk '/Socket errors/ { gsub(/[^0-9 ]/, ""); for (i = 1; i <= NF; i++) n += $i } /Non-2xx/ { n += $NF } END { print n + 0 }' "$1"; }
# wrk_us LINE: a time of wrk's latency distribution (`50%`, `99%`) in microseconds.
wrk_us() { awk -v line="$2" '$1 == line { t = $2; u = t; sub(/[a-z]+$/, "", t); sub(/^[0-9.]+/, "", u); print t * (u == "us" ? 1 : u == "ms" ? 1e3 : 1e6) }' "$1"; }

# Where and with what a run was made.
machine() {
    date -u +%Y-%m-%dT%H:%M:%SZ
    uname -srm
    awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo
    echo "$(nproc) CPUs"
    git -C "$root" describe --always --dirty 2>/dev/null || true
}
