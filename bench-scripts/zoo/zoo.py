#!/usr/bin/env python3
"""Real servers behind tidegate with its default flags, and real clients through it.

usage: zoo.py [servers] [NAME...] [--strict] [--keep DIR]
       zoo.py clients [--strict] [--keep DIR]

servers: a line each of what came back of a burst of 300 requests, of three kinds of pairs by two clients, and of POSTs at the
server's idle limit. clients: five servers with their ways, and five clients. The binary is $TIDEGATE, else target/release/tidegate.
--strict exits 1 if a figure is wrong, not if something cannot be had. --keep DIR installs into DIR and leaves it, for the next run; else all goes to a temporary
folder. Debian's packages come by apt-get, if missing and if run as root; no service is started.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import measures
import processes
from install import Installer
from recipes import SERVERS, Place
from wire import Lost

COLUMNS = ("server", "version", "burst", "slowest", "direct", "slowest", "HEAD", "content", "upgrade", "idle", "POST lost", "")
WIDTHS = (12, 22, 5, 7, 6, 7, 4, 7, 7, 9, 9, 0)


def line(values):
    return "  ".join(f"{value!s:<{width}}" for value, width in zip(values, WIDTHS)).rstrip()


def summary(wrongs, most=4):
    counted = {}
    for wrong in wrongs:
        counted[wrong] = counted.get(wrong, 0) + 1
    said = [f"{count} x {wrong}" for wrong, count in sorted(counted.items(), key=lambda pair: -pair[1])]
    return "; ".join(said[:most]) + ("; ..." if len(said) > most else "")


def bad_rows(proxy, most=5):
    rows = [row for row in proxy.rows() if row.get("status_code", "200") not in ("200", "101") or "ok" not in row.get("reason", "ok")]
    return [f"      log ({len(rows)} such): " + ",".join(map(str, row.values())) for row in rows[:most]]


class Zoo:
    def __init__(self, folder, scratch):
        self.folder, self.scratch = folder, scratch
        self.installer = Installer(folder)
        self.notes = []
        self.wrong = self.lacking = 0
        self.www = os.path.join(scratch, "www")
        os.makedirs(os.path.join(self.www, "p"))
        for number in range(300):
            with open(os.path.join(self.www, "p", str(number)), "w") as file:
                file.write(f"path=/p/{number}\n")

    def note(self, name, figure, text, proxy=None):
        self.notes.append(f"  {name}, {figure}: {text}")
        if proxy:
            self.notes += bad_rows(proxy)

    def server(self, recipe):
        """The figures of one, as a line."""
        folder = os.path.join(self.scratch, recipe.name.replace(" ", "").replace("/", ""))
        os.makedirs(folder)
        try:
            self.installer.debian(recipe.debian)
            venv, npm = self.installer.pypi(recipe.pypi), self.installer.npm(recipe.npm)
            version = recipe.version()

            def command(port):
                return recipe.command(Place(port, recipe.limit, folder, self.www, venv, npm))

            environment = {**os.environ, **dict(recipe.environment)}
            log = os.path.join(folder, "output")
            process, port = processes.start_server(command, log, env=environment, cwd=folder)
        except (RuntimeError, OSError) as error:
            self.lacking += 1
            return [recipe.name, "cannot be had", f"{error}"]
        try:
            return [recipe.name, version, *self.figures(recipe, port), recipe.note]
        finally:
            processes.stop(process)

    def figures(self, recipe, port):
        name = recipe.name
        direct, slowest_direct, wrongs = measures.burst(port)
        if wrongs:
            self.note(name, "burst, direct", summary(wrongs))
        with processes.Proxy(port, self.scratch) as proxy:
            right, slowest, wrongs = measures.burst(proxy.port)
        if wrongs:
            self.note(name, "burst", summary(wrongs), proxy)
        self.wrong += len(wrongs)
        figures = [right, f"{slowest:.2f} s", direct, f"{slowest_direct:.2f} s"]

        for kind in measures.FIRSTS:
            expected = measures.first_status(port, kind)
            with processes.Proxy(port, self.scratch) as proxy:
                wrongs, statuses = measures.pairs(proxy.port, kind)
            if wrongs:
                self.note(name, f"{kind}, then GET", summary(wrongs), proxy)
            if set(statuses) != {expected}:
                self.note(
                    name,
                    f"{kind} itself",
                    f"{dict(statuses)}, on a fresh connection without tidegate {expected}",
                    None if wrongs else proxy,
                )
            self.wrong += len(wrongs)
            figures.append(len(wrongs))

        try:
            limit = measures.idle_limit(port)
        except Lost as why:
            self.note(name, "POST", f"{why}, without tidegate")
            return [*figures, "-", "-"]
        with processes.Proxy(port, self.scratch) as proxy:
            lost = measures.posts(proxy.port, limit)
        if lost:
            self.note(name, "POST", summary(lost, 12), proxy)
        self.wrong += len(lost)
        return [*figures, "none" if limit is None else f"{limit[0]:.1f}-{limit[2]:.1f} s", len(lost)]


def main():
    parser = argparse.ArgumentParser(
        usage=__doc__.partition("usage: ")[2].partition("\n\n")[0], description=__doc__.partition("\n")[0]
    )
    parser.add_argument("words", nargs="*")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--keep")
    options = parser.parse_intermixed_args()
    words = options.words or ["servers"]
    mode = words.pop(0) if words[0] in ("servers", "clients") else "servers"
    unknown = set(words) - {recipe.name for recipe in SERVERS}
    if unknown:
        sys.exit(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(recipe.name for recipe in SERVERS)}")
    if not os.access(processes.TIDEGATE, os.X_OK):
        sys.exit(f"no {processes.TIDEGATE}: cargo build --release, or set TIDEGATE")

    scratch = tempfile.mkdtemp(prefix="zoo-")
    os.chmod(scratch, 0o755)  # servers that change their user read files there
    folder = os.path.abspath(options.keep or os.path.join(scratch, "packages"))
    os.makedirs(folder, exist_ok=True)
    try:
        zoo = Zoo(folder, scratch)
        said = subprocess.run([processes.TIDEGATE, "--version"], capture_output=True, text=True).stdout.strip()
        print(said, flush=True)
        if mode == "clients":
            import clients

            clients.run(zoo)
        else:
            print(line(COLUMNS), flush=True)
            for recipe in SERVERS:
                if not words or recipe.name in words:
                    print(line(zoo.server(recipe)), flush=True)
        if zoo.notes:
            print("\nWhat was wrong, and what else was seen:")
            print("\n".join(zoo.notes))
        print(f"\nwrong in all: {zoo.wrong}" + (f"; {zoo.lacking} could not be had" if zoo.lacking else ""))
    finally:
        processes.stop_all()
        shutil.rmtree(scratch, ignore_errors=True)
    if options.strict and zoo.wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
