"""What the zoo starts: origins and tidegate, each in a process group of its own, all ended at the end."""

import atexit
import csv
import os
import re
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIDEGATE = os.environ.get("TIDEGATE") or os.path.join(ROOT, "target", "release", "tidegate")

running = []


def start(command, **options):
    process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, **options)
    running.append(process)
    return process


def stop(process):
    for sign, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        if sign == signal.SIGTERM:
            try:  # children that outlive their parent
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        break
    if process in running:
        running.remove(process)


@atexit.register
def stop_all():
    for process in list(running):
        stop(process)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def start_server(command_for, log, seconds=30, **options):
    """Starts command_for(port) and waits until it listens; a port lost to somebody else meanwhile is tried again."""
    for _ in range(3):
        port = free_port()
        with open(log, "ab") as output:
            process = start(command_for(port), stdout=output, stderr=output, **options)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            if listens(port):
                return process, port
            time.sleep(0.1)
        stop(process)
    with open(log, errors="replace") as output:
        raise RuntimeError("does not start: " + " | ".join(output.read().strip().splitlines()[-3:]))


class Proxy:
    """tidegate with its default flags in front of one backend. `with Proxy(...) as proxy`; `proxy.rows()` afterwards."""

    def __init__(self, backend, scratch):
        self.backend = backend
        self.log = os.path.join(scratch, f"tidegate-{time.monotonic_ns()}.csv")

    def __enter__(self):
        flags = ["proxy", "--listen", "127.0.0.1:0", "--backend", f"127.0.0.1:{self.backend}", "--admin", "none", "--log", self.log]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        self.process = start([TIDEGATE, *flags], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"listening on http://\S+:(\d+)", line):
                self.port = int(found[1])
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return self
        raise RuntimeError("tidegate does not start: " + "".join(said))

    def __exit__(self, *_):
        stop(self.process)

    def rows(self):
        """The rows of its log, each a dict; whole only when tidegate has ended."""
        try:
            with open(self.log, newline="") as log:
                return list(csv.DictReader(log))
        except OSError:
            return []
