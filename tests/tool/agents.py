"""What the tests of numapool agent have: processes with pools, and agents."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading

from pools import Pools, case, pool_program, program, until

work = tempfile.TemporaryDirectory(prefix="agent_test.")


class NamedPools(Pools):
    """By a name of its own."""

    def __init__(self, *lines, name="page_pool"):
        path = os.path.join(work.name, name)
        if not os.path.exists(path):
            os.symlink(os.path.realpath(pool_program), path)
        super().__init__(*lines, path=path)

    def look(self):
        """What its only pool shows."""
        return json.loads(subprocess.run([program, "stat", str(self.pid), "--json"], stdout=subprocess.PIPE,
                                         text=True, timeout=100, check=True).stdout)

    def rest(self):
        """From then on it has nothing to publish, and cannot be late with it."""
        until("it sleeps", lambda: all(shard["state"] == "asleep" for shard in self.look()["shards"]))


class Agent:
    everybody = []

    def __init__(self, *arguments, port=0, **how):
        self.process = subprocess.Popen([program, "agent", "--port", str(port), "-i", "0.05", "--smooth", "0.05",
                                         *map(str, arguments)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
        self.everybody.append(self)
        self.log = []
        first = self.process.stderr.readline().rstrip("\n")
        match = re.match(r"numapool agent: listening at (.+)$", first)
        assert match, first + self.process.stderr.read()
        self.places = [re.match(r"\[?([^\]]+?)\]?:(\d+)$", place).groups() for place in match[1].split(", ")]
        self.port = int(self.places[0][1])
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        before, before_up = "", ""
        for line in self.process.stderr:
            assert line.startswith("numapool agent: "), line
            # A worker that has just been started may be busy for a moment: no news.
            news = re.sub(r"(is up), \d+%$", r"\1", line[len("numapool agent: "):].rstrip("\n"))
            # Nor is it that a busy machine let nobody publish for seconds: it counts as up all the time.
            up = news if case == "stands" else re.sub(r"stands still, .*", "is up", news)
            if up != before_up or news == before:
                self.log.append(up)
            before, before_up = news, up

    def connect(self, place=0):
        return socket.create_connection((self.places[place][0], int(self.places[place][1])), timeout=60)

    @staticmethod
    def hear(sock):
        """All that is said until the end: one line."""
        text = b""
        while True:
            part = sock.recv(4096)
            if not part:
                break
            text += part
        assert text.endswith(b"\n") and text.count(b"\n") == 1, text
        return text.decode().rstrip("\n")

    def ask(self, say=b"", place=0):
        with self.connect(place) as sock:
            sock.sendall(say)
            return self.hear(sock)

    def percent(self):
        match = re.match(r"up ready (\d+)%$", self.ask())
        assert match, self.ask()
        return int(match[1])

    def says(self, answer):
        until(answer, lambda: self.ask() == answer)

    def logs(self, *lines):
        """All that was said since the last time."""
        until(f"{lines} and not {self.log}", lambda: len(self.log) >= len(lines))
        assert self.log == list(lines), self.log
        self.log.clear()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        assert self.process.wait(timeout=60) == 0
        assert self.process.stdout.read() == ""

    def kill(self):
        self.process.kill()
        self.process.wait()


def is_(answer, expected):
    assert answer == expected, (answer, expected)


def once(*arguments, expect=0, **how):
    result = subprocess.run([program, "agent", "--once", *map(str, arguments)], capture_output=True, text=True,
                            timeout=100, **how)
    assert result.returncode == expect, (arguments, result)
    return result
