"""tornado_server.py PORT LIMIT: the handler of the zoo for Tornado."""

import asyncio
import sys

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler


class Echo(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain")
        self.write(f"path={self.request.path}\n")

    head = post = get


async def main():
    server = HTTPServer(Application([("/.*", Echo)]), idle_connection_timeout=int(sys.argv[2]))
    server.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
