#!/usr/bin/env python3
"""Keep-alive clients that do nothing: opens CLIENTS connections, a hundred at a time, makes one request on each, and keeps them.

usage: hold.py HOST PORT CLIENTS

Says "held N" when all are answered. A line on standard input: says "open N", how many the server has not closed. Ends, and
closes them, with the end of standard input. For memory.sh.
"""

import socket
import sys

BATCH = 100  # more at once would measure a burst, not idle clients


def answer(conn):
    """Reads one answer with a Content-Length to its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = conn.recv(65536)
        if not part:
            raise ConnectionError("closed before an answer")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    if b" 200" not in status:
        raise ConnectionError(status.decode("latin-1"))
    values = (line.partition(b":") for line in fields)
    length = next(int(value) for name, _, value in values if name.lower() == b"content-length")
    while len(body) < length:
        body += conn.recv(65536)


def is_open(conn):
    conn.setblocking(False)
    try:
        return bool(conn.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main():
    if len(sys.argv) < 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if "-h" in sys.argv or "--help" in sys.argv else 2)
    host, port, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    request = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: hold\r\nAccept: */*\r\n\r\n".encode()
    held = []
    while len(held) < clients:
        batch = [socket.create_connection((host, port), 10) for _ in range(min(BATCH, clients - len(held)))]
        for conn in batch:
            conn.sendall(request)
        for conn in batch:
            answer(conn)
        held += batch
    print(f"held {len(held)}", flush=True)
    for _ in sys.stdin:
        print(f"open {sum(is_open(conn) for conn in held)}", flush=True)


try:
    main()
except (OSError, StopIteration) as error:
    sys.exit(f"hold.py: {error!r}")
