"""Processes with pools, for tests that look at them from outside: CASE PROGRAM POOL are a test's first arguments.

POOL is page_pool, a process with pools that does what it is told on its standard input.
"""

import os
import subprocess
import sys
import time

case, program, pool_program = sys.argv[1:4]
MACHINE = "pack:2 [numa] core:2 pu:1"


def until(what, condition, tries=1500):
    """Waits for a fact; the number of tries only keeps a failure from lasting for ever."""
    for _ in range(tries):
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


class Pools:
    """A process with pools. Always ended, whatever the test does."""

    everybody = []

    def __init__(self, *lines, path=pool_program, **environment):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        self.everybody.append(self)
        self.pid = int(self.process.stdout.readline())
        self.tell(*lines)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"no answer to {line}"
        return answer

    def tell(self, *lines):
        for line in lines:
            assert self.ask(line) == "ok\n", line

    def text(self, line):
        answer = ""
        part = self.ask(line)
        while part != ".\n":
            answer += part
            part = self.process.stdout.readline()
            assert part
        return answer

    def kill(self):
        self.process.kill()
        self.process.wait()
