# The proxies that are compared, each set up for the same work: sourced after lib.sh by the scripts that start them.
# shellcheck shell=bash
# shellcheck source=lib.sh disable=SC2154,SC2034   # what lib.sh sets, and what is set for the scripts

SOZU=${SOZU:-$(command -v sozu || true)}   # binaries to test instead of those found
PINGORA=${PINGORA:-$here/pingora-variant/target/release/pingora-variant}

# choose_proxies DEFAULT...: leaves in $proxies those of PROXIES (else of DEFAULT) that are there. Of each that is not it says
# how to get it.
choose_proxies() {
    local name wanted get
    read -ra wanted <<<"${PROXIES:-$*}"
    proxies=()
    for name in "${wanted[@]}"; do
        get=""
        case "$name" in
            nginx | haproxy) command -v "$name" >/dev/null || get="apt-get install $name" ;;
            sozu) [ -x "$SOZU" ] || get="cargo install --locked sozu (it wants protoc: apt-get install protobuf-compiler), or SOZU=path" ;;
            pingora) [ -x "$PINGORA" ] || get="cargo build --release --locked --manifest-path bench-scripts/pingora-variant/Cargo.toml, or PINGORA=path" ;;
            tokio | tidegate) ;;
            *) die "unknown proxy $name; there are: nginx haproxy sozu pingora tokio tidegate" ;;
        esac
        [ -z "$get" ] && proxies+=("$name") || echo "without $name; to get it: $get" >&2
    done
    [ ${#proxies[@]} -gt 0 ] || die "no proxy to measure"
}

proxy_versions() {
    local name
    for name in "${proxies[@]}"; do
        case "$name" in
            nginx) nginx -v 2>&1 ;;
            haproxy) haproxy -v | head -n 1 ;;
            sozu) "$SOZU" --version | head -n 1 ;;
            pingora) "$PINGORA" --version ;;
            tokio) "$TOKIO" --version ;;
            tidegate) "$TIDEGATE" --version ;;
        esac
    done
}

# can NAME PERSISTENT: whether a proxy has the mode. Sozu has no setting to close towards backends.
can() { [ "$1" != sozu ] || [ "$2" = yes ]; }

nginx_proxy() { # PORT PERSISTENT
    local keep="" server="" port
    for port in 1 2 3; do server+="server $HOST:$((BASE_PORT + port)); "; done
    [ "$2" = no ] || keep="keepalive 2048; keepalive_requests 1000000000;"
    nginx_common
    cat <<CONF
http {
    access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 0; client_body_buffer_size 128k;
    $(nginx_temp)
    upstream origins { $server $keep }
    server {
        listen $HOST:$1 backlog=4096;
        location / {
            proxy_pass http://origins; proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_buffers 16 32k;
            proxy_set_header Host \$http_host; proxy_set_header X-Forwarded-For \$remote_addr;
            proxy_set_header Connection $([ "$2" = no ] && echo close || echo '""');
        }
    }
}
CONF
}

haproxy_proxy() { # PORT PERSISTENT
    local port
    cat <<CONF
global
    maxconn $WORKER_CONNECTIONS
    nbthread 1
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
    option forwardfor
    $([ "$2" = no ] && echo "option http-server-close" || echo "http-reuse always")
frontend f
    bind $HOST:$1 backlog 4096
    default_backend b
backend b
    balance roundrobin
CONF
    for port in 1 2 3; do echo "    server s$port $HOST:$((BASE_PORT + port)) pool-max-conn -1"; done
}

# Without its figures per cluster, which the others do not keep either. Its worker is a process of its own.
sozu_proxy() { # PORT
    local port
    cat <<CONF
command_socket = "$scratch/sozu.sock"
worker_count = 1
worker_automatic_restart = false
max_connections = $WORKER_CONNECTIONS
max_buffers = $((WORKER_CONNECTIONS * 2))
disable_cluster_metrics = true
log_level = "error"
log_target = "stdout"
front_timeout = 60
back_timeout = 30
connect_timeout = 5
[[listeners]]
protocol = "http"
address = "$HOST:$1"
[clusters.origins]
protocol = "http"
load_balancing = "ROUND_ROBIN"
frontends = [{ address = "$HOST:$1", hostname = "$HOST" }]
backends = [
CONF
    for port in 1 2 3; do echo "    { address = \"$HOST:$((BASE_PORT + port))\" },"; done
    echo "]"
}

# proxy_command NAME PORT PERSISTENT [LOG] [ROUTING]: leaves in $command what runs it in the foreground. Only tidegate and the
# tokio variant have logs and routings.
proxy_command() {
    local upstream=persistent common ours
    [ "$3" = yes ] || upstream=non-persistent
    common=(--listen "$HOST:$2" --backend "$(backends)" --upstream "$upstream")
    ours=(--routing "${5:-round-robin}" --log "${4:-none}")
    case "$1" in
        nginx) nginx_proxy "$2" "$3" >"$scratch/nginx-proxy.conf"; command=(nginx -p "$scratch" -c "$scratch/nginx-proxy.conf") ;;
        haproxy) haproxy_proxy "$2" "$3" >"$scratch/haproxy.cfg"; command=(haproxy -db -f "$scratch/haproxy.cfg") ;;
        sozu) sozu_proxy "$2" >"$scratch/sozu.toml"; command=("$SOZU" start --config "$scratch/sozu.toml") ;;
        pingora) command=("$PINGORA" "${common[@]}") ;;
        tokio) command=("$TOKIO" "${common[@]}" "${ours[@]}") ;;
        tidegate) command=("$TIDEGATE" proxy --admin none "${common[@]}" "${ours[@]}") ;;
    esac
}

# processes PID: it and what it started, down to the last: a proxy may have its work done by a worker.
processes() {
    local child
    echo "$1"
    for child in $(pgrep -P "$1" || true); do processes "$child"; done
}

# stop_proxy PID: and its workers, which may outlive it for five seconds.
stop_proxy() {
    local all one tries
    mapfile -t all < <(processes "$1")
    stop "$1"
    for one in "${all[@]:1}"; do
        for ((tries = 100; tries > 0; tries--)); do
            kill -0 "$one" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$one" 2>/dev/null || true
    done
}

# proxy_cpu_ns PID: nanoseconds its processes have been on a CPU.
proxy_cpu_ns() {
    local one sum=0
    for one in $(processes "$1"); do sum=$((sum + $(cpu_ns "$one"))); done
    echo "$sum"
}
