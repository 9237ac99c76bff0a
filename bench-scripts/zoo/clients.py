"""The second mode: five servers with ways of their own, and five clients, each with what it was asked to do and how that went."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import processes
from install import debian_version
from recipes import handler
from wire import Client, Lost

WIDTHS = (37, 32, 9, 8)
ROUNDS = 20


def line(values):
    return "  ".join(f"{value!s:<{width}}" for value, width in zip(values, (*WIDTHS, 0))).rstrip()


class Report:
    """Prints the lines, or, when silent, only remembers how many were right: what came directly, to stand beside the rest."""

    def __init__(self, zoo, silent=False, directly=()):
        self.zoo, self.silent, self.directly = zoo, silent, dict(directly)
        self.seen = {}

    def say(self, who, what, right, of, more=""):
        self.seen[what] = right
        if self.silent:
            return
        self.zoo.wrong += of - right
        print(line((who, what, f"{right} of {of}", self.directly.get(what, ""), more)), flush=True)

    def lacking(self, who, why):
        self.zoo.lacking += 1
        print(line((who, "cannot be had", "", "", why)), flush=True)


def outcome(client, method, path, fields=(), body=None):
    """Status, body and the fields that tell about it, as far as a client sees."""
    try:
        answer = client.ask(method, path, fields, body)
    except (Lost, OSError) as error:
        return f"{error}"
    told = [
        (name, value)
        for name, value in answer.fields
        if name in ("content-type", "last-modified", "content-range", "location", "etag")
    ]
    return answer.status, answer.body, sorted(told)


# The five servers.


def same_as_directly(report, who, port, requests):
    """Each request by two clients in turns, ROUNDS times: as the server itself answers it."""
    with processes.Proxy(port, report.zoo.scratch) as proxy:
        clients = Client(proxy.port), Client(proxy.port)
        seen = []
        for what, request in requests:
            direct = Client(port)
            expected = outcome(direct, *request)
            direct.close()
            got = [outcome(clients[turn % 2], *request) for turn in range(ROUNDS)]
            wrong = [value for value in got if value != expected]
            more = f"{expected[0] if isinstance(expected, tuple) else expected}"
            if wrong:
                more = f"directly {expected}, through tidegate {wrong[0]}"
            seen.append((what, ROUNDS - len(wrong), more))
        for client in clients:
            client.close()
    for what, right, more in seen:
        report.say(who, what, right, ROUNDS, more)


def surplus(report, who, port, path, expected):
    """Twice ROUNDS GETs of an answer with more bytes than it announces, by two clients: the announced ones, whatever comes
    with them."""
    with processes.Proxy(port, report.zoo.scratch) as proxy:
        clients = Client(proxy.port), Client(proxy.port)
        got = [outcome(clients[turn % 2], "GET", path) for turn in range(2 * ROUNDS)]
        for client in clients:
            client.close()
    wrong = [value for value in got if not (isinstance(value, tuple) and value[:2] == (200, expected))]
    report.say(
        who, "GET, surplus behind the answer", len(got) - len(wrong), len(got), str(wrong[0]) if wrong else "200, as announced"
    )
    if wrong:
        report.zoo.note(who, "surplus", f"{len(wrong)} wrong", proxy)


class Inetd:
    """Runs a command per connection, with it as standard input and output, as inetd does."""

    def __init__(self, command):
        self.command = command
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def run(self, conn):
        with conn:
            subprocess.run(self.command, stdin=conn, stdout=conn, stderr=subprocess.DEVNULL, timeout=60)

    def close(self):
        self.listener.close()


def servers(report):
    zoo = report.zoo
    log = os.path.join(zoo.scratch, "output")
    www = zoo.www
    file = ("GET", "/p/1")
    since = ("GET", "/p/1", (("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),))
    range_ = ("GET", "/p/1", (("Range", "bytes=2-5"),))
    post = ("POST", "/p/1", (), b"hello=world")

    def started(command):
        return processes.start_server(command, log, cwd=www)

    def node():
        who = "Node " + subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
        process, port = started(lambda port: ["node", handler("surplus.js"), str(port)])
        surplus(report, who, port, "/", "grün und weiß\n".encode()[:14])
        processes.stop(process)

    def php():
        zoo.installer.debian(("php-cli",))
        who = "PHP's own " + subprocess.run(["php", "-r", "echo PHP_VERSION;"], capture_output=True, text=True).stdout
        process, port = started(lambda port: ["php", "-S", f"127.0.0.1:{port}", handler("surplus.php")])
        surplus(report, who, port, "/", b"ok\n")
        processes.stop(process)

    def python():
        who = "http.server " + subprocess.run(["python3", "--version"], capture_output=True, text=True).stdout.split()[-1]
        process, port = started(lambda port: ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"])
        requests = [
            ("GET", file),
            ("HEAD", ("HEAD", "/p/1")),
            ("GET, unchanged since", since),
            ("GET of a folder without slash", ("GET", "/p")),
        ]
        same_as_directly(report, who, port, [*requests, ("GET, missing", ("GET", "/no")), ("POST", post)])
        processes.stop(process)

    def micro():
        zoo.installer.debian(("micro-httpd",))
        inetd = Inetd(["/usr/sbin/micro-httpd", www])
        requests = [
            ("GET", file),
            ("GET of a folder", ("GET", "/p/")),
            ("GET, missing", ("GET", "/no")),
            ("HEAD", ("HEAD", "/p/1")),
            ("POST", post),
        ]
        same_as_directly(report, "micro-httpd " + debian_version("micro-httpd"), inetd.port, requests)
        inetd.close()

    def busybox():
        zoo.installer.debian(("busybox",))
        script = os.path.join(www, "cgi-bin", "echo")
        os.makedirs(os.path.dirname(script))
        with open(script, "w") as text:
            text.write("#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nhead -c \"$CONTENT_LENGTH\"\n")
        os.chmod(script, 0o755)
        process, port = started(lambda port: ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", www])
        requests = [
            ("GET", file),
            ("HEAD", ("HEAD", "/p/1")),
            ("GET, a range", range_),
            ("GET, unchanged since", since),
            ("GET, missing", ("GET", "/no")),
        ]
        same_as_directly(
            report,
            "busybox httpd " + debian_version("busybox"),
            port,
            [*requests, ("POST to a script", ("POST", "/cgi-bin/echo", (), b"hello=world"))],
        )
        processes.stop(process)

    for run in (node, php, python, micro, busybox):
        try:
            run()
        except (RuntimeError, OSError) as error:
            report.lacking(run.__name__, error)


# The five clients. Each is run twice, directly and through tidegate.


def said(report, who, output, expected):
    """Lines `name=right` or `name=wrong ...` of a client."""
    results = [(name, good == "right", f"{good}{more}") for name, good, more in re.findall(r"(\w+)=(right|wrong)([^\n]*)", output)]
    for name, right, more in results:
        report.say(who, name.replace("_", " "), int(right), 1, "" if right else more)
    if len(results) < expected:
        report.say(who, f"{expected} things to do", len(results), expected, output.strip()[-200:])


def curl(report, port):
    base = f"http://127.0.0.1:{port}"
    who = "curl " + subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[1]
    folder = report.zoo.scratch
    upload = os.path.join(folder, "upload")
    with open(upload, "wb") as file:
        file.write(bytes(3_000_000))
    with open(upload + "30", "wb") as file:
        file.write(bytes(30_000_000))

    def run(what, expected, *arguments):
        done = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True, text=True)
        right = re.fullmatch(expected, done.stdout, re.DOTALL) is not None and done.returncode == 0
        report.say(
            who, what, int(right), 1, "" if right else f"exit {done.returncode}, {done.stdout[:80]!r} {done.stderr.strip()[:120]}"
        )

    code = ("-w", "%{http_code}")
    run("two GETs, one connection", "path=/p/1\n1path=/p/2\n0", f"{base}/p/1", f"{base}/p/2", "-w", "%{num_connects}")
    run("HEAD", "HTTP/1.1 200.*", "-I", f"{base}/p/1")
    run("HTTP/1.0", "path=/p/1\n200", "--http1.0", f"{base}/p/1", *code)
    run("h2c offered", "path=/p/1\n200", "--http2", f"{base}/p/1", *code)
    run("redirect", "path=/p/1\n200", "-L", f"{base}/hop", *code)
    run(
        "POST 3 MB, Expect: 100-continue",
        "3000000 .*200",
        "--data-binary",
        f"@{upload}",
        "-H",
        "Expect: 100-continue",
        f"{base}/sum",
        *code,
    )
    run("PUT, chunked", "3000000 .*200", "-T", upload, "-H", "Transfer-Encoding: chunked", f"{base}/sum", *code)
    run("events", "(data: \\d\n\n){5}", "-N", f"{base}/events")
    run("5 MB", "5000000", "-o", "/dev/null", "-w", "%{size_download}", f"{base}/big")
    for path in ("/early", "/early-close"):
        run(f"POST 30 MB {path}", "too large\n413", "--data-binary", f"@{upload}30", "-H", "Expect:", f"{base}{path}", *code)


def python(report, port):
    who = "http.client " + ".".join(map(str, sys.version_info[:3]))

    def ask(conn, method, path, body=None):
        conn.request(method, path, body)
        answer = conn.getresponse()
        return answer.status, answer.read()

    def tries(what, count, attempt):
        wrongs = []
        for turn in range(count):
            conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                if (got := attempt(conn, turn)) is not True:
                    wrongs.append(f"{got}")
            except (OSError, http.client.HTTPException) as error:
                wrongs.append(f"{type(error).__name__}: {error}")
            conn.close()
        report.say(who, what, count - len(wrongs), count, wrongs[0][:100] if wrongs else "")

    much = bytes(30_000_000)

    def many(conn, _):
        return all(ask(conn, "GET", f"/p/{n}") == (200, f"path=/p/{n}\n".encode()) for n in range(50)) or "another answer"

    def early(conn, _):
        got = ask(conn, "POST", "/early", much)[0], ask(conn, "GET", "/p/1"), ask(conn, "GET", "/read")[1]
        return got == (413, (200, b"path=/p/1\n"), b"30000000") or got

    def early_close(conn, _):
        got = ask(conn, "POST", "/early-close", much)
        return got == (413, b"too large\n") or got

    def stream(conn, _):
        conn.request("POST", "/sum", iter([bytes(10_000)] * 100), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        return conn.getresponse().read().startswith(b"1000000 ") or "another sum"

    tries("50 GETs, one connection", 3, many)
    tries("POST 3 MB", 3, lambda conn, _: ask(conn, "POST", "/sum", bytes(3_000_000))[1].startswith(b"3000000 ") or "another sum")
    tries("POST, chunked", 3, stream)
    tries("POST 30 MB, early 413 with close", 10, early_close)
    tries("POST 30 MB, early 413, read on", 10, early)


def node(report, port):
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
    done = subprocess.run(["node", handler("client.js"), str(port)], capture_output=True, text=True, timeout=180)
    said(report, f"Node {version}", done.stdout + done.stderr, 11)


def java(report, port):
    report.zoo.installer.debian(("default-jdk-headless",))
    version = subprocess.run(["java", "--version"], capture_output=True, text=True).stdout.split()[1]
    done = subprocess.run(["java", handler("Client.java"), str(port)], capture_output=True, text=True, timeout=180)
    said(report, f"Java {version}", done.stdout + done.stderr, 12)


def chromium(report, port):
    zoo = report.zoo
    zoo.installer.debian(("chromium-headless-shell",))
    browser = shutil.which("chromium-headless-shell")
    who = subprocess.run([browser, "--version"], capture_output=True, text=True).stdout.strip()
    profile = tempfile.mkdtemp(dir=zoo.scratch)
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        "--timeout=60000",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    with open(os.path.join(zoo.scratch, "chromium.out"), "w+") as output:
        process = processes.start([browser, *flags, f"http://127.0.0.1:{port}/page"], stdout=output, stderr=subprocess.DEVNULL)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            pass
        processes.stop(process)
        output.seek(0)
        text = output.read()
    found = re.search(r"done ([^<]*)<", text)
    said(report, who, found[1].replace(" ", "\n") if found else text, 9)


def clients(report):
    zoo = report.zoo
    process, port = processes.start_server(
        lambda port: ["python3", handler("origin.py"), str(port)], os.path.join(zoo.scratch, "output")
    )

    for run in (curl, node, python, java, chromium):
        before = zoo.wrong
        try:
            directly = Report(zoo, silent=True)
            run(directly, port)
            with processes.Proxy(port, zoo.scratch) as proxy:
                run(Report(zoo, directly=directly.seen), proxy.port)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            report.lacking(run.__name__, error)
        else:
            if zoo.wrong != before:
                zoo.note(run.__name__, "rows of the log that are not plainly good", "", proxy)
    processes.stop(process)


def run(zoo):
    report = Report(zoo)
    print(line(("server or client", "what was done", "right", "directly", "")))
    servers(report)
    clients(report)
