"""The WSGI handler of the zoo, and `wsgi.py SERVER PORT LIMIT` to run it under a server that is a library.

Answers any method with the path; gives its body on HEAD too; reads the content of POST and of nothing else, as handlers do.
"""

import sys


def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = f"path={environ['PATH_INFO']}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def main():
    server, port, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if server == "waitress":
        import waitress

        waitress.serve(application, host="127.0.0.1", port=port, channel_timeout=limit, cleanup_interval=1, _quiet=True)
    elif server == "cheroot":
        from cheroot.wsgi import Server

        Server(("127.0.0.1", port), application, timeout=limit).start()
    elif server == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer(("127.0.0.1", port), application, log=None).serve_forever()


if __name__ == "__main__":
    main()
