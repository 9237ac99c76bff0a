"""What is done to each server, through tidegate and directly. Handlers and files alike answer GET /p/N with `path=/p/N`."""

import collections
import statistics
import threading
import time

from wire import Client, Lost

BURST_CLIENTS, BURST_EACH = 100, 3
PAIRS = 100
POSTS = 36
CONTENT = b"hello=world"

FIRSTS = {
    "HEAD": ("HEAD", (), None),
    "content": ("GET", (("Content-Type", "application/x-www-form-urlencoded"),), CONTENT),
    "upgrade": ("GET", (("Connection", "Upgrade"), ("Upgrade", "foo/2")), None),
}


def judge(client, method, path, fields=(), body=None):
    """None if the answer is right, else what was wrong with it."""
    try:
        answer = client.ask(method, path, fields, body)
    except (Lost, OSError) as error:
        return f"{error}"
    if answer.status != 200:
        return f"status {answer.status}"
    if answer.body != f"path={path}\n".encode():
        return f"another body: {answer.body[:40]!r}"
    return None


def together(jobs):
    """Runs them at once, a thread each; their results."""
    results = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def run(index, job):
        barrier.wait()
        results[index] = job()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def burst(port):
    """(how many were right, the slowest in seconds, what was wrong)."""
    for warm in range(5):
        client = Client(port)
        for path in range(4):
            judge(client, "GET", f"/p/{4 * warm + path}")
        client.close()
    time.sleep(1)

    def one(number):
        client, results = Client(port), []
        for turn in range(BURST_EACH):
            began = time.monotonic()
            wrong = judge(client, "GET", f"/p/{number * BURST_EACH + turn}")
            results.append((wrong, time.monotonic() - began))
        client.close()
        return results

    done = [result for results in together([lambda n=n: one(n) for n in range(BURST_CLIENTS)]) for result in results]
    wrongs = [wrong for wrong, _ in done if wrong]
    return len(done) - len(wrongs), max(took for _, took in done), wrongs


def first_status(port, kind):
    """What the server says to the first of a pair on a fresh connection."""
    method, fields, body = FIRSTS[kind]
    client = Client(port)
    try:
        return client.ask(method, "/p/0", fields, body).status
    except (Lost, OSError) as error:
        return f"{error}"
    finally:
        client.close()


def pairs(port, kind, count=PAIRS):
    """(wrong answers to the second requests, Counter of the statuses of the first ones)."""
    method, fields, body = FIRSTS[kind]
    first, second = Client(port), Client(port)
    wrongs, statuses = [], collections.Counter()
    for turn in range(count):
        try:
            statuses[first.ask(method, f"/p/{turn}", fields, body).status] += 1
        except (Lost, OSError) as error:
            statuses[f"{error}"] += 1
        if wrong := judge(second, "GET", f"/p/{turn + 100}"):
            wrongs.append(wrong)
    first.close()
    second.close()
    return wrongs, statuses


def idle_limit(port, patience=6):
    """How long the server keeps a connection after a POST: (shortest, median, longest), 0 if not at all. None: no limit
    seen. Lost: it takes no POST."""

    def one(number):
        time.sleep(0.13 * number)
        client = Client(port)
        answer = client.ask("POST", f"/p/{number}", (), CONTENT)
        if answer.status != 200:
            raise Lost(f"POST gets {answer.status}")
        if client.conn is None:
            return 0
        began = time.monotonic()
        client.conn.sock.settimeout(patience)
        try:
            client.conn.more()
        except Lost as why:
            return None if "time-out" in str(why) else time.monotonic() - began
        finally:
            client.close()
        return None

    def safe(number):
        try:
            return one(number)
        except (Lost, OSError) as error:
            return error

    seen = together([lambda n=n: safe(n) for n in range(5)])
    errors = [value for value in seen if isinstance(value, Exception)]
    if errors:
        raise Lost(str(errors[0]))
    if None in seen:
        return None
    return min(seen), statistics.median(seen), max(seen)


def posts(port, limit):
    """POST, rest for about the limit, POST again, by clients side by side. The lost ones, with how long they had rested."""
    shortest, longest = (limit[0] - 0.1, limit[2] + 0.1) if limit and limit[2] else (0.9, 1.1)
    clients = POSTS // 2

    def one(number):
        client = Client(port)
        rest = max(0, shortest + (longest - shortest) * number / (clients - 1))
        wrongs = [judge(client, "POST", f"/p/{number}", (), CONTENT)]
        time.sleep(rest)
        wrongs.append(judge(client, "POST", f"/p/{number + 100}", (), CONTENT))
        client.close()
        return [f"{wrong} after {rest if turn else 0:.2f} s" for turn, wrong in enumerate(wrongs) if wrong]

    return [wrong for wrongs in together([lambda n=n: one(n) for n in range(clients)]) for wrong in wrongs]
