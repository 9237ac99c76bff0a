"""origin.py PORT: what the clients ask for. A server of threads on Python's http.server, with HTTP/1.1.

/p/N  its path            /big  5 MB              /sum  POST: how much came and its digest        /hop  302 to /p/1
/events  five server-sent events, 50 ms apart     /early-close  413 at once, with close, then reads on to the end
/early  413 at once, without close, reads on      /read  how many bytes the last of the two read  /page  for a browser
"""

import hashlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><title>zoo</title><pre id=out>waiting</pre><script>
const out = [], say = (name, good) => out.push(name + '=' + (good ? 'right' : 'wrong'));
const text = async (path, init) => (await fetch(path, init)).text();
const image = n => new Promise(done => { const i = new Image; i.onload = i.onerror = () => done(i.naturalWidth); i.src = '/dot.svg?' + n; });
const events = () => new Promise(done => { let n = 0, s = new EventSource('/events');
  s.onmessage = () => { if (++n == 5) { s.close(); done(n); } }; s.onerror = () => { s.close(); done(n); }; });
(async () => {
  const many = [...Array(40).keys()];
  say('40_images', (await Promise.all(many.map(image))).every(w => w == 8));
  say('40_fetches', (await Promise.all(many.map(n => text('/p/' + n)))).every((t, n) => t == `path=/p/${n}\\n`));
  say('HEAD', (await fetch('/p/1', { method: 'HEAD' })).status == 200);
  say('redirect', await text('/hop') == 'path=/p/1\\n');
  say('POST_3MB', (await text('/sum', { method: 'POST', body: 'x'.repeat(3e6) })).startsWith('3000000 '));
  say('413', (await fetch('/early', { method: 'POST', body: 'x'.repeat(3e6) })).status == 413);
  say('5MB', (await (await fetch('/big')).arrayBuffer()).byteLength == 5e6);
  say('events', await events() == 5);
  say('after', await text('/p/7') == 'path=/p/7\\n');
})().catch(e => say(String(e), false)).then(() => document.getElementById('out').textContent = 'done ' + out.join(' '));
</script>"""

read = 0
reading = threading.Lock()  # held while one of the two reads on, so that /read tells the whole


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def content(self, least=1):
        """The request's content piece by piece, by length or chunked."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (part := self.rfile.read1(min(left, 65536))):
            left -= len(part)
            yield part

    def answer(self, status, body, kind="text/plain", *fields):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *fields):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):
        if self.path == "/big":
            return self.answer(200, b"0123456789" * 500_000)
        if self.path == "/read":
            with reading:
                return self.answer(200, str(read).encode())
        if self.path == "/hop":
            return self.answer(302, b"", "text/plain", ("Location", "/p/1"))
        if self.path == "/page":
            return self.answer(200, PAGE.encode(), "text/html")
        if self.path.startswith("/dot.svg"):
            return self.answer(200, b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>', "image/svg+xml")
        if self.path == "/events":
            return self.events()
        self.answer(200, f"path={self.path}\n".encode())

    do_HEAD = do_GET

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(5):
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        global read
        if self.path in ("/early", "/early-close"):
            close = (("Connection", "close"),) if self.path == "/early-close" else ()
            with reading:
                self.answer(413, b"too large\n", "text/plain", *close)
                read = 0
                try:
                    for part in self.content():
                        read += len(part)
                except OSError:
                    self.close_connection = True
            return
        length, digest = 0, hashlib.sha256()
        for part in self.content():
            length += len(part)
            digest.update(part)
        self.answer(200, f"{length} {digest.hexdigest()}\n".encode())

    do_PUT = do_POST

    def handle_expect_100(self):
        """The two that answer early do so without 100."""
        return True if self.path.startswith("/early") else super().handle_expect_100()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
