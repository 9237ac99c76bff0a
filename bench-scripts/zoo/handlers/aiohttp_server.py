"""aiohttp_server.py PORT LIMIT: the handler of the zoo for aiohttp; a stream, so that HEAD may get a body."""

import sys

from aiohttp import web


async def handler(request):
    if request.method == "POST":
        await request.read()
    body = f"path={request.path}\n".encode()
    answer = web.StreamResponse(headers={"Content-Type": "text/plain", "Content-Length": str(len(body))})
    await answer.prepare(request)
    await answer.write(body)
    await answer.write_eof()
    return answer


app = web.Application()
app.router.add_route("*", "/{tail:.*}", handler)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), keepalive_timeout=int(sys.argv[2]), print=None)
