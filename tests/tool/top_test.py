#!/usr/bin/env python3
"""numapool top as its user sees it: top_test.py CASE PROGRAM POOL. Exit 77 with a reason: skipped.

It runs in tmux, whose screen is asked for. What is to appear is waited for; nothing is timed.
"""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from pools import Pools, case, program

FOUR = "pack:4 [numa] core:2 pu:1"
if shutil.which("tmux") is None:
    print("skipped: no tmux, in which the program runs")
    sys.exit(77)
work = tempfile.mkdtemp(prefix="top_test.")


class Terminal:
    """A tmux server of its own, with one window."""

    everybody = []

    def __init__(self, width, height, *arguments, **environment):
        self.socket = os.path.join(work, f"tmux{len(self.everybody)}")
        self.everybody.append(self)
        settings = " ".join(f"{name}='{value}'" for name, value in environment.items())
        command = " ".join([f"{settings} '{program}' top", *map(str, arguments)])
        # What it leaves stays on the screen, with its exit status.
        self.tmux("new-session", "-d", "-x", width, "-y", height,
                  f"sh -c \"{command}\"; echo \"status $?\"; exec sleep 1000")

    def tmux(self, *arguments):
        result = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *map(str, arguments)],
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, (arguments, result.stderr)
        return result.stdout

    def screen(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else [])).rstrip("\n").split("\n")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", width, "-y", height)

    def until(self, what, condition, tries=1000):
        """Waits for a screen on which something is so."""
        for _ in range(tries):
            screen = self.screen()
            found = condition(screen)
            if found:
                return screen
            time.sleep(0.02)
        raise AssertionError("never: " + what + "\n" + "\n".join(screen))

    def shows(self, *texts):
        return self.until(str(texts), lambda screen: all(any(text in line for line in screen) for text in texts))

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=60)


def rows(screen):
    """The table: the names of its columns, and its rows by their first word."""
    for at, line in enumerate(screen):
        if line.startswith("SHRD"):
            table = [re.sub(r"\[ *", "[", row) for row in screen[at + 1:]]
            return line.split(), [row.split()[0] for row in table if re.match(r" *(\d+|all) ", row)], screen[at + 1:]
    return [], [], []


def drawn(screen):
    """What is drawn last is there: the sum, and the keys."""
    return rows(screen)[1][-1:] == ["all"] and "q quit" in screen[-1]


def screen():
    """80 x 24: everything there is."""
    pools = Pools(f"create 0 web {FOUR}", "hold 0 6", "run 0 200")
    terminal = Terminal(80, 24, "-i", 0.2, pools.pid)
    terminal.shows("per second: ")
    lines = terminal.until("six tasks run", lambda s: drawn(s) and
                           any(re.match(r" all .*[ |]6/\d+\]", line) for line in s))
    assert len(lines) == 24 and all(len(line) <= 80 for line in lines), lines
    assert re.match(rf"\d\d:\d\d:\d\d  numapool top: {pools.pid} page_pool, pool web, up \S+$", lines[0]), lines[0]
    assert re.match(r"open, 4 shards on 4 nodes, budget 8, \d+ threads, \S+ of \S+ in use$", lines[1]), lines[1]
    assert "done," in lines[2] and "every 0.2 s" in lines[3], lines
    titles, names, table = rows(lines)
    assert titles == ["SHRD", "NODE", "QUEUE", "RUN", "PARK", "BLK", "DONE/S", "REF/S", "FWD/S", "STL/S", "W50",
                      "W99"], titles
    assert names == ["0", "1", "2", "3", "all"], names
    assert all(re.search(r"\[\|*\s*\S*/1k\] \[\|*\s*\S*\d/\d\]", row) for row in table[:4]), table
    assert "q quit" in lines[23] and "sort: shard" in lines[23], lines[23]
    # Tasks that come are seen as a rate, and a bar grows.
    pools.tell("stream")
    terminal.until("a rate", lambda s: any(re.match(r"per second: [\d.]+[kM] done", line) for line in s))
    terminal.until("a full bar", lambda s: any(re.search(r"\[\|+\d/\d\]", line) for line in s))
    terminal.keys("q")
    terminal.shows("status 0")


def keys():
    pools = Pools(f"create 0 web {FOUR}")
    terminal = Terminal(80, 24, "-i", 0.2, pools.pid)
    terminal.shows("sort: shard")
    terminal.keys("r")
    terminal.until("turned round", lambda s: rows(s)[1] == ["3", "2", "1", "0", "all"])
    terminal.keys("r", "s")
    terminal.shows("sort: queue")
    terminal.keys("S")
    terminal.until("and back", lambda s: "sort: shard" in s[-1] and rows(s)[1][0] == "0")
    terminal.keys("S")
    terminal.shows("sort: wait p99")
    terminal.keys("h")
    terminal.shows("QUEUE    tasks that wait", "any key: back")
    terminal.keys("q")  # leaves the help, not the program
    terminal.shows("sort: wait p99")
    terminal.keys("+")
    terminal.shows("every 0.4 s")
    terminal.keys("-", "-")
    terminal.shows("every 0.2 s")
    # From where the keys do not lead they lead back.
    for begins, key, then in ((0.05, "+", "0.1"), (500, "-", "250")):
        beyond = Terminal(80, 24, "-i", begins, pools.pid)
        beyond.shows(f"every {begins} s")
        beyond.keys(key)
        beyond.shows(f"every {then} s")
        beyond.keys("q")
        beyond.shows("status 0")
    # Paused it stands, whatever happens; then it goes on.
    terminal.keys("p")
    before = terminal.shows("PAUSED")
    pools.tell("run 0 5000")
    terminal.keys("x")
    assert terminal.screen()[:22] == before[:22]
    pools.tell("stream")
    terminal.keys("p")
    terminal.until("it goes on", lambda s: "PAUSED" not in s[-1] and re.search(r"per second: \d+[.\d]*[kM]", s[2]))
    terminal.keys("q")
    terminal.shows("status 0")


def small():
    """60 x 15, smaller, larger, while it runs: what matters most stays, nothing is torn."""
    pools = Pools(f"create 0 web {FOUR}", "hold 0 6")
    terminal = Terminal(60, 15, "-i", 0.2, pools.pid)
    lines = terminal.until("the table", lambda s: rows(s)[1] == ["0", "1", "2", "3", "all"])
    assert all(len(line) <= 60 for line in lines), lines
    assert {"QUEUE", "RUN", "PARK", "DONE/S", "REF/S", "W99"} <= set(rows(lines)[0]), lines
    for width, height in ((30, 8), (20, 5), (12, 3), (3, 2), (200, 50), (60, 9), (80, 24)):
        terminal.resize(width, height)

        def whole(screen):
            titles, names, _ = rows(screen)
            if height <= 2:
                return True
            if height <= 5:  # a row at least
                return names[:1] == ["0"]
            return names in (["0", "1", "2", "3", "all"], ["0", "1", "2", "all"]) and (width < 100 or "R99" in titles)
        lines = terminal.until(f"{width} x {height}", whole)
        assert all(len(line) <= width for line in lines), lines
    terminal.keys("q")
    terminal.shows("status 0")


def scroll():
    """More shards than lines."""
    pools = Pools("create 0 web pack:32 [numa] core:1 pu:1", NUMAPOOL_WORKERS_MAX="32", NUMAPOOL_QUOTA="ignore")
    terminal = Terminal(80, 16, "-i", 0.2, pools.pid)
    lines = terminal.until("the first", lambda s: drawn(s) and rows(s)[1][:1] == ["0"])
    fit = len(rows(lines)[1]) - 1
    assert rows(lines)[1] == [*map(str, range(fit)), "all"] and 5 <= fit < 32, lines
    terminal.keys("Down")
    terminal.until("one further", lambda s: rows(s)[1][:1] == ["1"])
    terminal.keys("NPage")
    terminal.until("a page further", lambda s: rows(s)[1][:1] == [str(1 + fit)])
    terminal.keys("End")
    terminal.until("the last", lambda s: rows(s)[1][-2:] == ["31", "all"])
    terminal.keys("Down", "PPage")
    terminal.until("a page back", lambda s: rows(s)[1][:1] == [str(32 - 2 * fit)])
    terminal.keys("Home", "Up")
    terminal.until("the first again", lambda s: rows(s)[1][:1] == ["0"])
    terminal.keys("q")
    terminal.shows("status 0")


def ends():
    """Its process ends: it says so, keeps the last numbers, and obeys."""
    for how in (signal.SIGKILL, signal.SIGTERM):
        pools = Pools(f"create 0 web {FOUR}", "hold 0 6")
        terminal = Terminal(80, 24, "-i", 0.2, pools.pid)
        terminal.until("six tasks run", lambda s: any(re.match(r" all .*[ |]6/\d+\]", line) for line in s))
        os.kill(pools.pid, how)
        lines = terminal.shows(f"process {pools.pid} has ended: its last numbers; q quits")
        assert any(re.match(r" all .*[ |]6/\d+\]", line) for line in lines), lines
        terminal.resize(60, 15)
        terminal.until("drawn again", lambda s: len(s[-1]) <= 60 and "has ended" in s[-1] and len(s) == 15)
        terminal.keys("q")
        terminal.shows(f"process {pools.pid} has ended", "status 0")


def pools():
    """Several pools of a process; one is closed, another made."""
    pools = Pools(f"create 0 one {FOUR}", "create 1 two core:2 pu:1")
    terminal = Terminal(80, 24, "-i", 0.2, pools.pid)
    terminal.shows("pool one (1 of 2)", "Tab pool")
    terminal.keys("Tab")
    terminal.shows("pool two (2 of 2)", "open, 1 shard on 1 node")
    terminal.keys("Tab")
    terminal.shows("pool one (1 of 2)")
    pools.tell("destroy 0")
    terminal.shows("pool two, up ")
    # One that is made while another is there.
    pools.tell("create 0 new core:2 pu:1")
    terminal.shows("pool two (1 of 2)")
    terminal.keys("Tab")
    terminal.shows("pool new (2 of 2)")
    # The key passes over those that are closed.
    pools.tell("create 2 last core:2 pu:1")
    terminal.shows("pool new (2 of 3)")
    terminal.keys("Tab")
    terminal.shows("pool last (3 of 3)")
    pools.tell("destroy 1")
    terminal.keys("Tab")
    terminal.shows("pool new")
    pools.tell("destroy 0")
    terminal.shows("pool last, up ")
    pools.tell("destroy 2")
    terminal.shows("pool last is closed: its last numbers")
    pools.tell("create 0 six core:2 pu:1")
    terminal.shows("pool six")
    terminal.keys("q")
    terminal.shows("status 0")


def hangup():
    """Its terminal is gone, and the signal that says so was ignored, as nohup has it: it ends all the same."""
    pools = Pools(f"create 0 web {FOUR}")
    master, slave = pty.openpty()
    top = subprocess.Popen([program, "top", str(pools.pid)], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL,
                           env={**os.environ, "TERM": "xterm"}, start_new_session=True,
                           preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    os.close(slave)
    assert os.read(master, 1)  # it has begun to draw
    os.close(master)
    try:
        assert top.wait(timeout=100) == 0
    finally:
        top.kill()
        top.wait()


def colours():
    pools = Pools(f"create 0 web {FOUR}", "hold 0 8")

    def coloured(terminal):
        terminal.until("eight tasks run", lambda s: any(re.match(r" all .*\|\d/\d\]", line) for line in s))
        return re.search(r"\x1b\[[0-9;]*3[0-7]", "\n".join(terminal.screen(colours=True)))
    terminal = Terminal(80, 24, "-i", 0.2, pools.pid)
    assert coloured(terminal)
    assert not coloured(Terminal(80, 24, "-i", 0.2, pools.pid, NO_COLOR="1"))
    # Terminals that can do less.
    terminal = Terminal(80, 24, "-i", 0.2, pools.pid, TERM="dumb")
    terminal.shows("numapool top: the terminal 'dumb' (TERM) is not known, or cannot move its cursor", "status 2")
    result = subprocess.run([program, "top", str(pools.pid)], capture_output=True, text=True, timeout=100)
    assert result.returncode == 2 and "needs a terminal" in result.stderr, result
    # Without one: a table.
    once, stat = (subprocess.run([program, *command, str(pools.pid)], capture_output=True, text=True, timeout=100)
                  for command in (["top", "-1"], ["stat"]))
    assert once.returncode == stat.returncode == 0
    assert once.stdout.splitlines()[1] == stat.stdout.splitlines()[1]
    result = subprocess.run([program, "top", "2147483647"], capture_output=True, text=True, timeout=100)
    assert result.returncode == 2 and "there is no process" in result.stderr, result


try:
    globals()[case]()
finally:
    for process in Pools.everybody:
        process.kill()
    for terminal in Terminal.everybody:
        terminal.end()
    shutil.rmtree(work, ignore_errors=True)
