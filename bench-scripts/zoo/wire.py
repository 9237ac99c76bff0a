"""A small HTTP/1.1 client that hides nothing: every connection is the caller's, nothing is repeated but where said."""

import socket

TIMEOUT = 30


class Lost(Exception):
    """No whole answer: what came instead. `silent` if not a byte of one came."""

    def __init__(self, why, silent=False):
        super().__init__(why)
        self.silent = silent


class Answer:
    def __init__(self, version, status, fields, body):
        self.version, self.status, self.fields, self.body = version, status, fields, body

    def field(self, name):
        return ", ".join(value for key, value in self.fields if key == name)

    def closes(self):
        options = [word.strip().lower() for word in self.field("connection").split(",")]
        return "close" in options or self.status == 101 or (self.version == "HTTP/1.0" and "keep-alive" not in options)


class Conn:
    """One connection."""

    def __init__(self, port, timeout=TIMEOUT):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.used = False

    def close(self):
        self.sock.close()

    def send(self, method, path, fields=(), body=None):
        lines = [f"{method} {path} HTTP/1.1", "Host: zoo.test", *(f"{name}: {value}" for name, value in fields)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    def more(self):
        try:
            part = self.sock.recv(65536)
        except TimeoutError:
            raise Lost("nothing more within the time-out", not self.buffer) from None
        except OSError as error:
            raise Lost(error.strerror or str(error), not self.buffer) from None
        if not part:
            raise Lost("closed", not self.buffer)
        self.buffer += part

    def until(self, end):
        while end not in self.buffer:
            self.more()
        piece, _, self.buffer = self.buffer.partition(end)
        return piece

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def receive(self, method):
        try:
            while True:
                start, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
                version, status, *_ = start.split(" ", 2)
                if not version.startswith("HTTP/1.") or not status.isdigit():
                    raise Lost(f"not an answer: {start[:60]!r}")
                if status == "101" or not status.startswith("1"):
                    break
        except ValueError:
            raise Lost(f"not an answer: {start[:60]!r}") from None
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(version, int(status), fields, b"")
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        if "chunked" in answer.field("transfer-encoding").lower():
            while size := int(self.until(b"\r\n").partition(b";")[0], 16):
                answer.body += self.exactly(size + 2)[:-2]
            while self.until(b"\r\n"):
                pass
        elif length := answer.field("content-length"):
            answer.body = self.exactly(int(length))
        else:
            try:
                while True:
                    self.more()
            except Lost as why:
                if str(why) != "closed":
                    raise
            answer.body, self.buffer = self.buffer, b""
        return answer


class Client:
    """Keeps its connection as long as the answers let it."""

    def __init__(self, port):
        self.port, self.conn = port, None

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def ask(self, method, path, fields=(), body=None):
        """The answer. A GET on a kept connection that turns out to be closed is sent once more, as every client does."""
        again = self.conn is not None and method == "GET" and body is None
        try:
            return self.once(method, path, fields, body)
        except Lost as why:
            if not (again and why.silent and "time-out" not in str(why)):
                raise
        return self.once(method, path, fields, body)

    def once(self, method, path, fields, body):
        if self.conn is None:
            self.conn = Conn(self.port)
        try:
            try:
                self.conn.send(method, path, fields, body)
            except OSError:
                pass  # there may be an answer all the same
            answer = self.conn.receive(method)
        except BaseException:
            self.close()
            raise
        if answer.closes():
            self.close()
        return answer
