"""Gets what a recipe needs: Debian's packages by apt-get when root, PyPI's into a virtual environment, npm's into a folder."""

import os
import shutil
import subprocess
import sys

NEVER_START = "/usr/sbin/policy-rc.d"  # Debian asks it before a package starts its service


def quietly(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: " + " | ".join(done.stdout.strip().splitlines()[-2:]))
    return done.stdout


def debian_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], capture_output=True, text=True)
    status, _, version = done.stdout.partition(" ")
    return version if status == "installed" else None


class Installer:
    def __init__(self, folder):
        self.folder = folder
        self.updated = False

    def debian(self, packages):
        missing = [package for package in packages if not debian_version(package)]
        if not missing:
            return
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise RuntimeError("missing; on Debian: apt-get install " + " ".join(missing))
        ours = not os.path.exists(NEVER_START)
        if ours:
            with open(NEVER_START, "w") as script:
                script.write("#!/bin/sh\nexit 101\n")
            os.chmod(NEVER_START, 0o755)
        try:
            if not self.updated:
                quietly(["apt-get", "update"])
                self.updated = True
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            quietly(["apt-get", "install", "-y", "--no-install-recommends", *missing], env=environment)
        finally:
            if ours:
                os.remove(NEVER_START)

    def pypi(self, pins):
        """The folder of the commands of a virtual environment with these."""
        venv = os.path.join(self.folder, "venv")
        if not os.path.exists(os.path.join(venv, "bin", "pip")):
            quietly([sys.executable, "-m", "venv", venv])
        if pins:
            quietly([os.path.join(venv, "bin", "pip"), "install", "--disable-pip-version-check", *pins])
        return os.path.join(venv, "bin")

    def npm(self, pins):
        """The folder of the commands of these."""
        if pins:
            quietly(["npm", "install", "--no-audit", "--no-fund", "--prefix", self.folder, *pins])
        return os.path.join(self.folder, "node_modules", ".bin")
