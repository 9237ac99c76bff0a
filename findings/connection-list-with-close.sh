#!/usr/bin/env bash
# `Connection` is a list (RFC 9110 section 7.6.1), and `close` in it ends the connection behind the answer wherever it stands
# (RFC 9112 section 9.6). Five servers of PyPI compare the whole field with the one word: asked with `Connection: foo, close` they
# answer, announce no `close`, and keep the connection; asked with `Connection: close` they end it.
#
# Seen on valid HTTP/1.1 requests, by a client that waits two seconds for the end of the connection:
#     waitress 3.0.2    close: ended    foo, close: open
#     cheroot 11.1.2    close: ended    foo, close: open
#     gunicorn 23.0.0   close: ended    foo, close: open
#     tornado 6.6.1     close: ended    foo, close: open
#     gevent 25.9.1     close: ended    foo, close: open
# So whoever adds a name to a client's `Connection: close` must not count on the end; a proxy that wants it says `close` alone.
#
# usage: connection-list-with-close.sh       a minute; needs python3 and PyPI; fails if one of them behaves otherwise
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" -q install waitress==3.0.2 cheroot==11.1.2 gunicorn==23.0.0 tornado==6.6.1 gevent==25.9.1
cat >"$scratch/serve.py" <<'PY'
import sys

name, port = sys.argv[1], int(sys.argv[2])


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


if name == "waitress":
    import waitress
    waitress.serve(app, host="127.0.0.1", port=port, _quiet=True)
elif name == "cheroot":
    from cheroot.wsgi import Server
    Server(("127.0.0.1", port), app).start()
elif name == "tornado":
    import asyncio
    import tornado.web

    class Page(tornado.web.RequestHandler):
        def get(self):
            self.write("ok")

    async def main():
        tornado.web.Application([("/", Page)]).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(main())
elif name == "gevent":
    from gevent.pywsgi import WSGIServer
    WSGIServer(("127.0.0.1", port), app, log=None).serve_forever()
elif name == "gunicorn":
    from gunicorn.app.base import BaseApplication

    class One(BaseApplication):
        def load_config(self):
            for key, value in {"bind": f"127.0.0.1:{port}", "worker_class": "gthread", "threads": 2, "keepalive": 10}.items():
                self.cfg.set(key, value)

        def load(self):
            return app

    One().run()
PY
cat >"$scratch/ask.py" <<'PY'
import socket
import subprocess
import sys
import time

python, serve = sys.argv[1:]


def ask(port, connection):
    with socket.create_connection(("127.0.0.1", port)) as conn:
        conn.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
        conn.settimeout(2)
        answer = b""
        try:
            while piece := conn.recv(65536):
                answer += piece
            outcome = "ended"
        except TimeoutError:
            outcome = "open"
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"ok"), answer
        assert outcome == "ended" or b"\r\nconnection: close\r\n" not in answer.lower(), answer
        return outcome


wrong = 0
for name in ("waitress", "cheroot", "gunicorn", "tornado", "gevent"):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen([python, serve, name, str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.1)
        seen = ask(port, "close"), ask(port, "foo, close")
    finally:
        server.terminate()
        server.wait()
    print(f"{name:10} close: {seen[0]:8} foo, close: {seen[1]}")
    wrong += seen != ("ended", "open")
sys.exit(f"{wrong} behave otherwise now" if wrong else 0)
PY
"$scratch/venv/bin/python" "$scratch/ask.py" "$scratch/venv/bin/python" "$scratch/serve.py"
