#!/usr/bin/env python3
"""What operators do, all at once and every second: reload, rotate the log, move the names of backends. Under load all the while.

usage: operate.py [--seconds 600] [--clients 4]

The binary is $TIDEGATE, else target/release/tidegate. Needs Linux and user namespaces: the proxy has a hosts file of its own.
Exits 1 if a request was lost, a row is missing, a series came twice, or memory grew by more than a quarter after the first minute.
"""

import argparse
import glob
import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b"%d bytes\n" % len(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a connection that a reload has closed


def origins():
    """Three on one port, at 127.0.0.2 to .4."""
    for _ in range(50):
        with socket.create_server(("127.0.0.2", 0)) as probe:
            port = probe.getsockname()[1]
        try:
            found = [Server((f"127.0.0.{last}", port), Origin) for last in (2, 3, 4)]
        except OSError:
            continue
        for server in found:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return port
    sys.exit("no port is free on three addresses")


def client(port, ends, counts, lock):
    conn, asked = None, 0
    while time.monotonic() < ends:
        asked += 1
        method = "POST" if asked % 4 == 0 else "GET"
        try:
            conn = conn or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            conn.request(method, f"/{asked}", body=b"x" * 500 if method == "POST" else None)
            answer = conn.getresponse()
            answer.read()
            outcome = answer.status
            if answer.getheader("Connection") == "close":
                conn.close()
                conn = None
        except (OSError, http.client.HTTPException) as error:
            outcome, conn = type(error).__name__, None
        with lock:
            counts[outcome] = counts.get(outcome, 0) + 1
        time.sleep(0.005)


def scrape(port):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    conn.request("GET", "/metrics", headers={"Host": "localhost"})
    lines = [line.rsplit(" ", 1)[0] for line in conn.getresponse().read().decode().splitlines() if not line.startswith("#")]
    conn.close()
    return len(lines), len(lines) - len(set(lines))


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=4)
    wanted = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    binary = os.environ.get("TIDEGATE", os.path.join(root, "target/release/tidegate"))
    scratch = tempfile.mkdtemp(prefix="tidegate-operate-")
    hosts, config, log = (os.path.join(scratch, name) for name in ("hosts", "tidegate.toml", "log.csv"))
    port, listen, admin = origins(), free_port(), free_port()

    def put(path, text):
        with open(path, "w") as file:
            file.write(text)

    def move(second):
        lasts = ((2, 3), (3, 4), (2, 4), (2, 3, 4))[second % 4]
        put(hosts, "127.0.0.1 localhost\n" + ("" if second % 10 == 9 else "".join(f"127.0.0.{last} api\n" for last in lasts)))
        routing = ("elastic", "least-time", "p2c")[second // 20 % 3]
        put(config, f'backend = ["api:{port}"]\nrouting = "{routing}"\n# {second}\n')

    move(0)
    command = f"mount --bind {hosts} /etc/hosts && exec {binary} proxy --config {config} --listen 127.0.0.1:{listen} --admin 127.0.0.1:{admin} --log {log}"
    messages = open(os.path.join(scratch, "messages"), "w")
    proxy = subprocess.Popen(["unshare", "-rm", "sh", "-c", command], stderr=messages, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while socket.socket().connect_ex(("127.0.0.1", listen)):
        if time.monotonic() > deadline:
            sys.exit(f"it does not listen: see {messages.name}")
        time.sleep(0.05)
    ends, counts, lock = time.monotonic() + wanted.seconds, {}, threading.Lock()
    threads = [threading.Thread(target=client, args=(listen, ends, counts, lock)) for _ in range(wanted.clients)]
    [thread.start() for thread in threads]
    twice, memory, second = 0, [], 0
    while time.monotonic() < ends:
        second += 1
        move(second)
        time.sleep(0.15)  # a file that was written a moment ago is not read
        proxy.send_signal(signal.SIGHUP)
        os.rename(log, f"{log}.{second:05}")
        proxy.send_signal(signal.SIGUSR1)
        time.sleep(0.85)
        series, more = scrape(admin)
        twice += more
        memory.append(resident_kib(proxy.pid))
        if second % 60 == 0:
            print(f"{second} s: {counts}, {series} series, {memory[-1]} KiB", flush=True)
    [thread.join() for thread in threads]
    proxy.send_signal(signal.SIGTERM)
    proxy.wait(60)
    rows = 0
    for path in glob.glob(f"{log}*"):
        with open(path) as file:
            rows += sum(1 for line in file) - 1
    asked = sum(counts.values())
    settled = memory[min(60, len(memory) // 2)]
    grew = max(memory[len(memory) * 3 // 4:]) / settled - 1
    print(f"{second} reloads, rotations and moves: {counts}, {rows} rows of {asked}, {twice} series twice, memory {settled} to {memory[-1]} KiB ({grew:+.0%})")
    print(f"logs and messages: {scratch}")
    sys.exit(counts != {200: asked} or rows != asked or twice > 0 or grew > 0.25)


if __name__ == "__main__":
    main()
