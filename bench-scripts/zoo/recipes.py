"""The servers: what each needs and how it is started. All answer GET /p/N with `path=/p/N` and a newline."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Callable

from install import debian_version

HANDLERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "handlers")


@dataclass
class Place:
    """What a start recipe is told."""

    port: int
    limit: int  # idle time-out in seconds, where it can be set
    folder: str  # the server's own, for its configuration and logs
    www: str  # files p/0 to p/299 that hold what a handler would answer
    venv: str  # commands from PyPI
    npm: str  # commands from npm

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path


@dataclass
class Recipe:
    name: str
    command: Callable  # of a Place
    debian: tuple = ()
    pypi: tuple = ()
    npm: tuple = ()
    tool: str = ""  # `tool --version` tells the version; else the first package does
    limit: int = 1
    environment: tuple = ()
    note: str = ""

    def version(self):
        for pin in self.pypi:
            return pin.partition("==")[2]
        for pin in self.npm:
            return pin.rpartition("@")[2]
        if self.tool:
            if not shutil.which(self.tool):
                raise RuntimeError(f"no {self.tool} here")
            said = subprocess.run([self.tool, "--version"], capture_output=True, text=True)
            return (said.stdout or said.stderr).split()[-1].lstrip("v")
        return debian_version(self.debian[0])


def handler(name):
    return os.path.join(HANDLERS, name)


def wsgi(server):
    return lambda place: [f"{place.venv}/python", handler("wsgi.py"), server, str(place.port), str(place.limit)]


def apache2(place):
    modules = "/usr/lib/apache2/modules"
    conf = f"""
ServerRoot {place.folder}
ServerName localhost
Listen 127.0.0.1:{place.port}
PidFile {place.folder}/pid
ErrorLog {place.folder}/error.log
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
{"User www-data" if os.geteuid() == 0 else ""}
{"Group www-data" if os.geteuid() == 0 else ""}
DocumentRoot {place.www}
KeepAliveTimeout {place.limit}
<Directory {place.www}>
    Require all granted
</Directory>
"""
    return ["apache2", "-DFOREGROUND", "-f", place.write("apache2.conf", conf)]


def starlet(place):
    flags = f"--host 127.0.0.1 --port {place.port} --max-keepalive-reqs 100 --keepalive-timeout {place.limit}"
    return ["plackup", "-s", "Starlet", "-E", "production", *flags.split(), handler("app.psgi")]


def lighttpd(place):
    conf = f"""
server.document-root = "{place.www}"
server.bind = "127.0.0.1"
server.port = {place.port}
server.max-keep-alive-idle = {place.limit}
"""
    return ["lighttpd", "-D", "-f", place.write("lighttpd.conf", conf)]


def nginx(place):
    temp = "".join(f"{kind}_temp_path {place.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = f"""
daemon off; pid {place.folder}/pid; error_log {place.folder}/error.log;
events {{ }}
http {{
    access_log off; keepalive_timeout {place.limit}s; {temp}
    server {{ listen 127.0.0.1:{place.port}; location / {{ return 200 "path=$uri\\n"; }} }}
}}
"""
    return ["nginx", "-p", place.folder, "-c", place.write("nginx.conf", conf)]


def puma(place):
    conf = f"""
rackup '{handler("config.ru")}'
bind 'tcp://127.0.0.1:{place.port}'
threads 5, 5
persistent_timeout {place.limit}
environment 'production'
"""
    return ["puma", "-C", place.write("puma.rb", conf)]


def uwsgi_router(place):
    router = f"--http 127.0.0.1:{place.port} --http-keepalive={place.limit}"
    flags = f"--plugins http,python3 --wsgi-file {handler('wsgi.py')} {router}"
    return ["uwsgi-core", *flags.split(), "--master", "--processes", "4", "--die-on-term", "--disable-logging"]


def uwsgi(place):
    # A worker serves one connection until it is closed: four of them, as a small site has.
    flags = (
        f"--plugin python3 --wsgi-file {handler('wsgi.py')} --http11-socket 127.0.0.1:{place.port} --socket-timeout {place.limit}"
    )
    return ["uwsgi-core", *flags.split(), "--master", "--processes", "4", "--die-on-term", "--disable-logging"]


SERVERS = [
    Recipe(
        "starman",
        lambda p: ["starman", "--listen", f"127.0.0.1:{p.port}", "--keepalive-timeout", str(p.limit), handler("app.psgi")],
        debian=("starman",),
        note="5 workers, a connection each",
    ),
    Recipe("uwsgi", uwsgi, debian=("uwsgi-core", "uwsgi-plugin-python3"), limit=2, note="4 workers, a connection each"),
    Recipe("uwsgi --http", uwsgi_router, debian=("uwsgi-core", "uwsgi-plugin-python3"), note="its router in front of 4 workers"),
    Recipe("waitress", wsgi("waitress"), pypi=("waitress==3.0.2",)),
    Recipe("cheroot", wsgi("cheroot"), pypi=("cheroot==11.1.2",), limit=2),
    Recipe("gevent", wsgi("gevent"), pypi=("gevent==26.9.0",), note="no idle limit"),
    Recipe(
        "webfs",
        lambda p: f"webfsd -F -4 -i 127.0.0.1 -p {p.port} -t {p.limit} -r {p.www}".split(),
        debian=("webfs",),
        limit=2,
        note="files; takes no POST",
    ),
    Recipe(
        "swi-prolog",
        lambda p: ["swipl", handler("server.pl"), str(p.port), str(p.limit)],
        debian=("swi-prolog-nox",),
        limit=2,  # its default
        note="5 workers, connections in turn",
    ),
    Recipe("apache2", apache2, debian=("apache2-bin",), note="files"),
    Recipe(
        "tomcat",
        lambda p: [
            "java",
            "-Xmx256m",
            f"-Djava.io.tmpdir={p.folder}",
            "-cp",
            TOMCAT,
            handler("TomcatServer.java"),
            str(p.port),
            str(p.limit),
        ],
        debian=("libtomcat10-embed-java", "libtomcat10-java", "default-jdk-headless"),
    ),
    Recipe(
        "jetty",
        lambda p: ["java", "-Xmx256m", "-cp", JETTY, handler("JettyServer.java"), str(p.port), str(p.limit)],
        debian=("libjetty9-java", "default-jdk-headless"),
    ),
    Recipe(
        "bun", lambda p: [f"{p.npm}/bun", handler("bun.js"), str(p.port), str(p.limit)], npm=("bun@1.4.5",), note="timer of 4 s"
    ),
    Recipe("node", lambda p: ["node", handler("node.js"), str(p.port), str(p.limit)], tool="node"),
    Recipe(
        "uvicorn",
        lambda p: f"{p.venv}/uvicorn asgi:application --port {p.port} --timeout-keep-alive {p.limit} --log-level error".split(),
        pypi=("uvicorn==0.54.0", "h11==0.16.0"),
        environment=(("PYTHONPATH", HANDLERS),),
    ),
    Recipe(
        "gunicorn",
        lambda p: f"{p.venv}/gunicorn wsgi:application -k gthread -w 2 --threads 4 --keep-alive {p.limit} -b 127.0.0.1:{p.port}".split(),
        pypi=("gunicorn==27.0.1",),
        environment=(("PYTHONPATH", HANDLERS),),
        note="gthread, 2 x 4",
    ),
    Recipe(
        "aiohttp",
        lambda p: [f"{p.venv}/python", handler("aiohttp_server.py"), str(p.port), str(p.limit)],
        pypi=("aiohttp==3.14.5",),
        note="streams",
    ),
    Recipe(
        "hypercorn",
        lambda p: f"{p.venv}/hypercorn asgi:application --keep-alive {p.limit} -b 127.0.0.1:{p.port}".split(),
        pypi=("hypercorn==0.18.0",),
        environment=(("PYTHONPATH", HANDLERS),),
    ),
    Recipe(
        "tornado",
        lambda p: [f"{p.venv}/python", handler("tornado_server.py"), str(p.port), str(p.limit)],
        pypi=("tornado==6.6.1",),
    ),
    Recipe(
        "twisted",
        lambda p: f"{p.venv}/twist --log-level=error web --wsgi wsgi.application --listen tcp:{p.port}:interface=127.0.0.1".split(),
        pypi=("twisted==26.10.0",),
        environment=(("PYTHONPATH", HANDLERS),),
        note="no idle limit under 6 s",
    ),
    Recipe(
        "mojolicious",
        lambda p: ["perl", handler("mojo.pl"), "daemon", "-m", "production", "-l", f"http://127.0.0.1:{p.port}", "-k", str(p.limit)],
        debian=("libmojolicious-perl",),
    ),
    Recipe(
        "feersum",
        lambda p: ["feersum", "--listen", f"127.0.0.1:{p.port}", handler("app.psgi")],
        debian=("feersum",),
        note="closes after each answer",
    ),
    Recipe(
        "starlet",
        starlet,
        debian=("starlet",),
        note="10 workers",
    ),
    Recipe("puma", puma, debian=("puma",), note="5 threads"),
    Recipe(
        "thin",
        lambda p: f"thin start -a 127.0.0.1 -p {p.port} -t {p.limit} -e production -R {handler('config.ru')}".split(),
        debian=("thin",),
    ),
    Recipe("webrick", lambda p: ["ruby", handler("webrick.rb"), str(p.port), str(p.limit)], debian=("ruby-webrick",)),
    Recipe("go net/http", lambda p: ["go", "run", handler("server.go"), str(p.port), str(p.limit)], debian=("golang-go",)),
    Recipe(
        "fastify",
        lambda p: ["env", f"NODE_PATH={p.npm}/..", "node", handler("fastify.js"), str(p.port), str(p.limit)],
        npm=("fastify@5.12.8",),
    ),
    Recipe(
        "php -S",
        lambda p: ["php", "-S", f"127.0.0.1:{p.port}", handler("router.php")],
        debian=("php-cli",),
        environment=(("PHP_CLI_SERVER_WORKERS", "4"),),
        note="closes after each answer",
    ),
    Recipe(
        "http.server",
        lambda p: ["python3", handler("http_server.py"), str(p.port), str(p.limit)],
        tool="python3",
        note="HTTP/1.1, threads",
    ),
    Recipe("lighttpd", lighttpd, debian=("lighttpd",), note="files"),
    Recipe("nginx", nginx, debian=("nginx-light",), note="return"),
    Recipe(
        "mini-httpd",
        lambda p: f"mini_httpd -D -h 127.0.0.1 -p {p.port} -d {p.www} -i {p.folder}/pid -l /dev/null".split(),
        debian=("mini-httpd",),
        note="a process per connection, HTTP/1.0's way",
    ),
]

JETTY_PARTS = ("servlet-api", "jetty9-server", "jetty9-http", "jetty9-io", "jetty9-util")
JETTY = ":".join(f"/usr/share/java/{part}.jar" for part in JETTY_PARTS)
TOMCAT = ":".join(f"/usr/share/java/tomcat10-{part}.jar" for part in ("embed-core", "annotations-api", "servlet-api", "juli"))
