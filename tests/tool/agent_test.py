#!/usr/bin/env python3
"""numapool agent as HAProxy sees it: agent_test.py CASE PROGRAM POOL; agents.py has what it works with."""

import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from agents import Agent, NamedPools as Pools, is_, once, work
from pools import MACHINE, case, program, until


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def weight():
    """Less room, less weight, in this order: nothing to do, busy workers, tasks that wait, a full queue."""
    pools = Pools(f"create 0 web {MACHINE}")
    agent = Agent("--pid", pools.pid)
    agent.says("up ready 100%")
    agent.logs(f"process {pools.pid} (page_pool) is up")
    pools.tell("hold 0 8")  # as many as may run
    agent.says("up ready 50%")
    seen = [100, 50]
    total = 8
    for more in (8, 24, 400, 3100):  # a class may fill nine tenths of 4096
        pools.tell(f"hold 0 {more}")
        total += more
        until("all are published", lambda: pools.look()["total"]["submitted"] == total)

        def agreed():
            """What both say at one time: the pool's quotas still move."""
            shown = json.loads(once("--pid", pools.pid, "--json").stdout)
            assert shown["pools"][0]["rounds"] > 0, shown
            return shown["weight"] if shown["state"] == "up" and agent.percent() == shown["weight"] else 0
        seen.append(until("the agent says what --once says", agreed))
    assert seen[2:5] == sorted(seen[2:5], reverse=True) and seen[2] < 50, seen
    assert seen[-1] == 1, seen
    pools.tell("release 0")
    agent.says("up ready 100%")
    agent.logs()  # weights are not news
    # It forgets as slowly as it is told to: when one is down, the other passes what lies between.
    slow, slower = (Agent("--pid", pools.pid, "--smooth", seconds) for seconds in (1, 600))
    slow.says("up ready 100%")
    slower.says("up ready 100%")
    pools.tell("hold 0 400")
    until("it is down", lambda: slow.percent() < 20)
    until("it is on its way", lambda: 50 < slower.percent() < 100)
    pools.tell("release 0")
    agent.says("up ready 100%")
    # Told otherwise, it may say none.
    pools.tell("hold 0 3500")
    Agent("--pid", pools.pid, "--min", 0).says("up ready 0%")
    Agent("--pid", pools.pid, "--min", 40).says("up ready 40%")
    pools.tell("release 0")


def refusals():
    """What is refused takes the weight down, although the queue of one class never is full."""
    pools = Pools(f"create 0 web {MACHINE}", "hold 0 3600")

    def refused():
        shown = json.loads(once("--pid", pools.pid, "--json").stdout)["pools"][0]
        return shown["refused"] > 0.5 and shown["headroom"] < 0.05
    assert json.loads(once("--pid", pools.pid, "--json").stdout)["pools"][0]["refused"] == 0
    pools.tell("stream")
    until("refusals are seen", refused)
    pools.tell("release 0")
    # Who asks once is told what the second look saw, and no mean with the first.
    pools = Pools(f"create 0 web {MACHINE}")

    def second_look():
        """At tasks that came after the first one; none: they, or we, were late."""
        pools.rest()
        asks = subprocess.Popen([program, "agent", "--once", "--json", "--pid", str(pools.pid), "-i", "1",
                                 "--smooth", "86400"], stdout=subprocess.PIPE, text=True)

        def looks():
            with open(f"/proc/{asks.pid}/maps", encoding="ascii") as file:
                return "memfd:numapool" in file.read()
        until("it looks for the first time", lambda: asks.poll() is not None or looks())
        pools.tell("hold 0 400")
        shown = json.loads(asks.communicate(timeout=100)[0])
        pools.tell("release 0")
        return shown if shown["state"] == "up" and shown["pools"][0]["rounds"] > 0 else None
    shown = until("tasks come between two looks", second_look)
    assert shown["weight"] == max(1, int(shown["pools"][0]["headroom"] * 100 + 0.5)), shown


def states():
    """Drains, has drained, is gone, was killed; each is said once."""
    pools = Pools(f"create 0 web {MACHINE}")
    agent = Agent("--pid", pools.pid)
    agent.says("up ready 100%")
    pools.tell("drain 0")
    is_(agent.ask(), "up drain")
    assert once("--pid", pools.pid, expect=1).stdout == "up drain\n"
    pools.tell("destroy 0")
    is_(agent.ask(), f"stopped #process {pools.pid} has drained")
    # It makes a new one.
    pools.tell(f"create 0 web {MACHINE}")
    agent.says("up ready 100%")
    pools.tell("drain 0")
    agent.says("up drain")
    pools.kill()
    is_(agent.ask(), f"stopped #process {pools.pid} has drained")
    name = f"process {pools.pid} (page_pool)"
    agent.logs(f"{name} is up", f"{name} drains", f"{name} has stopped", f"{name} is up",
               f"{name} drains", f"{name} has stopped")
    pools = Pools(f"create 0 web {MACHINE}", "stream")
    agent = Agent("--pid", pools.pid)
    until("it is busy", lambda: agent.percent() < 100)
    pools.process.kill()  # and it is not reaped yet
    agent.says(f"down #process {pools.pid} has ended")
    pools.kill()
    time.sleep(0.2)
    is_(agent.ask(), f"down #process {pools.pid} has ended")
    until("it is told", lambda: agent.log[-1:] == [f"process {pools.pid} (page_pool) has ended without draining"])


def waits():
    """An agent may be there before its process has a pool, and before it is there at all."""
    pools = Pools()
    agent = Agent("--pid", pools.pid)
    is_(agent.ask(), f"down #process {pools.pid} shows no pool")
    agent.logs(f"waiting: process {pools.pid} shows no pool")
    pools.tell(f"create 0 web {MACHINE}")
    agent.says("up ready 100%")
    # One that ends without: its number may be another's next.
    pools = Pools()
    agent = Agent("--pid", pools.pid)
    is_(agent.ask(), f"down #process {pools.pid} shows no pool")
    pools.kill()
    agent.says(f"down #process {pools.pid} has ended")
    agent.logs(f"waiting: process {pools.pid} shows no pool", f"process {pools.pid} has ended")
    name = f"agent{os.getpid()}"  # this test may run twice at the same time
    agent = Agent("--follow", name)
    is_(agent.ask(), f"down #no process called {name} shows a pool")
    other = Pools(f"create 0 web {MACHINE}", name=name)
    agent.says("up ready 100%")
    agent.logs(f"waiting: no process called {name} shows a pool", f"process {other.pid} ({name}) is up")


def follow():
    """A process is killed and started anew, or hands over to its successor; two are not one."""
    name = f"agent{os.getpid()}_follows"  # the kernel keeps 15 characters
    first = Pools(f"create 0 web {MACHINE}", name=name)
    Pools(f"create 0 web {MACHINE}", name="agent_other")
    agent = Agent("--follow", name)
    agent.says("up ready 100%")
    first.kill()
    agent.says(f"down #process {first.pid} has ended")
    second = Pools(name=name)
    time.sleep(0.2)
    is_(agent.ask(), f"down #process {first.pid} has ended")  # it has no pool yet
    second.tell(f"create 0 web {MACHINE}", "hold 0 8")
    until("the second counts", lambda: agent.ask().startswith("up ready"))
    # The next is there before it ends, and takes over when it drains.
    third = Pools(f"create 0 web {MACHINE}", name=name)
    time.sleep(0.7)
    until("it is still the busy one", lambda: agent.percent() <= 75)
    second.process.stdin.write("drain 0\n")
    second.process.stdin.flush()
    agent.says("up ready 100%")
    second.kill()
    # Two others at the same time: none is taken, none is guessed.
    fourth, fifth = (Pools(f"create 0 web {MACHINE}", name=name) for _ in range(2))
    third.kill()
    until("it is told", lambda: any("several processes" in line for line in agent.log))
    is_(agent.ask(), f"down #process {third.pid} has ended")
    fifth.kill()
    agent.says("up ready 100%")
    short = name[:15]
    # The answer may be here before the line is.
    until("it is told", lambda: any(line.startswith(f"process {fourth.pid}") for line in agent.log))
    told = [line for line in agent.log if not line.startswith(f"process {second.pid}")]
    assert told == [f"process {first.pid} ({short}) is up",
                    f"process {first.pid} ({short}) has ended without draining",
                    f"process {third.pid} ({short}) is up",
                    f"process {third.pid} ({short}) has ended without draining",
                    f"several processes called {short} show a pool: none of them is taken",
                    f"process {fourth.pid} ({short}) is up"], agent.log
    sixth = Pools(f"create 0 two {MACHINE}", name=name)
    said = once("--follow", name, expect=2)
    assert said.stdout == "" and "name one of them:" in said.stderr, said
    for pools, called in ((fourth, "web"), (sixth, "two")):
        assert re.search(rf"^ *{pools.pid}  {short} +{called}$", said.stderr, re.M), said
    assert "agent_other" not in said.stderr, said
    # A pool's name tells them apart, too.
    shown = json.loads(once("--follow", name, "--pool", "two", "--json").stdout)
    assert shown["pid"] == sixth.pid, shown


def pid_file():
    """The file is looked at again and again: it may come later, and change while its process lives."""
    path = os.path.join(work.name, "pid")
    agent = Agent("--pid-file", path)
    is_(agent.ask(), f"down #{path}: No such file or directory")
    first, second = (Pools(f"create 0 web {MACHINE}") for _ in range(2))
    second.tell("hold 0 8")

    def write(text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(path + ".new", path)
    write("nonsense\n")
    agent.says(f"down #{path} holds no number of a process")
    write(f"{first.pid}\n")
    agent.says("up ready 100%")
    write(f"{second.pid}")
    agent.says("up ready 50%")
    os.unlink(path)  # as servers do when they end
    time.sleep(0.7)
    agent.says("up ready 50%")
    second.kill()
    agent.says(f"down #process {second.pid} has ended")
    write(f"{first.pid}\n")
    agent.says("up ready 100%")
    name = "(page_pool)"
    agent.logs(f"waiting: {path}: No such file or directory", f"process {first.pid} {name} is up",
               f"process {second.pid} {name} is up", f"process {second.pid} {name} has ended without draining",
               f"process {first.pid} {name} is up")


def pools():
    """Of several pools the tightest counts; one that drains drains all, one that is closed is forgotten."""
    pools = Pools(f"create 0 web {MACHINE}", f"create 1 back {MACHINE}", "hold 1 8")
    agent = Agent("--pid", pools.pid)
    web, back, none = (Agent("--pid", pools.pid, "--pool", name) for name in ("web", "back", "nobody"))
    agent.says("up ready 50%")
    back.says("up ready 50%")
    web.says("up ready 100%")
    is_(none.ask(), f"down #process {pools.pid} has no pool nobody")
    pools.tell("release 0", "drain 0")
    assert agent.ask() == web.ask() == "up drain"
    back.says("up ready 100%")
    pools.tell("destroy 0")
    agent.says("up ready 100%")
    is_(web.ask(), f"stopped #process {pools.pid} has drained")
    # Many that come and go leave nothing behind.
    for _ in range(4):
        pools.tell(f"create 0 temp {MACHINE}", "destroy 0")
        # It is looked at while it is there, or was never.
        agent.says("up ready 100%")

    def mapped():
        with open(f"/proc/{agent.process.pid}/maps", encoding="ascii") as file:
            return sum("memfd:numapool" in line for line in file)
    pools.tell(f"create 0 busy {MACHINE}", "hold 0 8")
    agent.says("up ready 50%")
    assert mapped() <= 3 + 4, mapped()
    # A pool that is open when the agent looks for new ones, once a second, is kept until enough are closed.
    for _ in range(3):
        before = mapped()
        for i in (2, 3):
            pools.tell(f"create {i} temp {MACHINE}")
        until("they are found", lambda: mapped() == before + 2)
        pools.tell("destroy 2", "destroy 3")
    agent.says("up ready 50%")
    pools.tell("release 0")
    # One that never was there did not stop in order.
    pools.kill()
    none.says(f"down #process {pools.pid} has ended")


def connections():
    """Many at once, some that never hang up, some that say what nobody wants to hear."""
    pools = Pools(f"create 0 web {MACHINE}")
    pools.rest()
    agent = Agent("--pid", pools.pid)
    agent.says("up ready 100%")
    idle = [agent.connect() for _ in range(400)]
    assert [agent.hear(sock) for sock in idle] == ["up ready 100%"] * 400
    # They are still open on this side, and the next is answered all the same.
    is_(agent.ask(), "up ready 100%")
    with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as file:
        assert "Threads:\t1\n" in file.read()
    assert len(os.listdir(f"/proc/{agent.process.pid}/fd")) < 64 + 16
    for sock in idle:
        sock.close()
    # What is said changes nothing: agent-send, HTTP, and noise.
    for noise in (b"web\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0", os.urandom(3000)):
        assert agent.ask(noise) == "up ready 100%", noise
    # One that never stops talking is not listened to for ever.
    with agent.connect() as sock:
        assert agent.hear(sock) == "up ready 100%"
        try:
            for _ in range(10000):
                sock.sendall(b"x" * 4096)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            raise AssertionError("40 MB were taken")
    # One that reads nothing and one that breaks off at once are nobody's trouble.
    slow = agent.connect()
    for _ in range(100):
        sock = agent.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    is_(agent.ask(), "up ready 100%")
    until("who stays is hung up on", lambda: len(os.listdir(f"/proc/{agent.process.pid}/fd")) < 10)
    assert agent.hear(slow) == "up ready 100%"  # it was sent long ago
    # Eight clients who hurry.
    answers = []

    def hurry():
        for _ in range(200):
            answers.append(agent.ask())
    threads = [threading.Thread(target=hurry) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["up ready 100%"] * 1600
    agent.logs(f"process {pools.pid} (page_pool) is up")
    agent.end()


def descriptors():
    """With next to no descriptors everybody is answered, one after the other."""
    pools = Pools(f"create 0 web {MACHINE}")

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
    pools.rest()
    agent = Agent("--pid", pools.pid, preexec_fn=limit)
    agent.says("up ready 100%")
    socks = [agent.connect() for _ in range(60)]
    answers = [agent.hear(sock) for sock in socks]
    assert set(answers) <= {"up ready 100%"}, set(answers)
    is_(agent.ask(), "up ready 100%")
    agent.end()


def addresses():
    pools = Pools(f"create 0 web {MACHINE}")
    pools.rest()
    name = ("--pid", pools.pid)
    agent = Agent(*name)
    agent.says("up ready 100%")
    assert [place[0] for place in agent.places] == ["127.0.0.1"] + ["::1"] * has_ipv6() or \
        [place[0] for place in agent.places] == ["::1", "127.0.0.1"], agent.places
    assert len({place[1] for place in agent.places}) == 1, agent.places
    for i in range(len(agent.places)):
        is_(agent.ask(place=i), "up ready 100%")
    # Taken; by another agent, or by anybody.
    result = subprocess.run([program, "agent", "--port", str(agent.port), *map(str, name)], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 2 and result.stdout == "", result
    assert f":{agent.port}: Address already in use (another agent?" in result.stderr, result
    agent.end()

    def again():
        """None: somebody else took the port in between."""
        first = Agent(*name)
        is_(first.ask(), "up ready 100%")
        first.end()
        try:
            second = Agent(*name, port=first.port)
        except AssertionError as error:
            assert "Address already in use" in str(error), error
            return None
        assert second.port == first.port and second.ask() == "up ready 100%"
        return second
    # The port is free at once for who comes after it, although connections were just closed.
    until("one takes over the port of another", again, tries=20)
    several = Agent(*name, "--bind", "127.0.0.1", "--bind", "127.0.0.2")
    assert [place[0] for place in several.places] == ["127.0.0.1", "127.0.0.2"]
    assert several.ask(place=1) == "up ready 100%"
    everywhere = Agent(*name, "--bind", "*")
    is_(everywhere.ask(), "up ready 100%")
    with socket.create_connection(("127.0.0.3", everywhere.port), timeout=60) as sock:
        assert Agent.hear(sock) == "up ready 100%"
    if has_ipv6():
        six = Agent(*name, "--bind", "::1")
        assert six.places == [("::1", str(six.port))] and six.ask() == "up ready 100%"
        with socket.create_connection(("::1", everywhere.port), timeout=60) as sock:
            assert Agent.hear(sock) == "up ready 100%"
    else:
        print("without IPv6, which this machine has not")


def ends():
    """Signals end it, also amid connections; and it ends alone."""
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        pools = Pools(f"create 0 web {MACHINE}", "stream")
        agent = Agent("--pid", pools.pid)
        socks = [agent.connect() for _ in range(20)]
        assert agent.hear(socks[0]).startswith("up ready ")
        agent.end(how)
        assert pools.process.poll() is None
        pools.kill()
    # Whoever read what it says has ended: it has still answers to give.
    pools = Pools(f"create 0 web {MACHINE}")
    deaf = subprocess.Popen([program, "agent", "--port", "0", "--pid", str(pools.pid), "-i", "0.05"],
                            stderr=subprocess.PIPE, text=True)
    try:
        port = int(deaf.stderr.readline().rsplit(":", 1)[1])
        deaf.stderr.readline()  # that the process is up
        deaf.stderr.close()
        pools.kill()

        def ask():
            with socket.create_connection(("localhost", port), timeout=60) as sock:
                return Agent.hear(sock)
        until("it has noticed", lambda: ask() == f"down #process {pools.pid} has ended")
        deaf.terminate()
        assert deaf.wait(timeout=60) == 0
    finally:
        deaf.kill()
        deaf.wait()


def mistakes():
    def complaint(*arguments, expect=2):
        # A name server that is not there is asked several times.
        result = subprocess.run([program, "agent", *map(str, arguments)], capture_output=True, text=True, timeout=300)
        assert result.returncode == expect and result.stdout == "" and result.stderr, result
        return result.stderr
    pools = Pools(f"create 0 web {MACHINE}")
    assert "--port is missing" in complaint()
    assert "--port is a number from 0 to 65535, not 'x'" in complaint("--port", "x")
    assert "not '65536'" in complaint("--port", 65536)
    assert "not '-1'" in complaint("--port", -1)
    assert "--min is a percentage from 0 to 100, not '101'" in complaint("--once", "--min", 101)
    assert "--interval is seconds" in complaint("--once", "-i", 0)
    assert "--smooth is seconds" in complaint("--once", "--smooth", "x")
    assert "exclude one another" in complaint("--once", "--pid", 1, "--follow", "a")
    assert "--once prints" in complaint("--once", "--port", 1)
    assert "--json goes with --once" in complaint("--port", 0, "--json")
    assert "'abc' is not the number of a process" in complaint("--once", "--pid", "abc")
    assert "'17' is too many; a process is named by --pid" in complaint("--once", 17)
    assert "there is no process 2147483647" in complaint("--once", "--pid", 2147483647)
    assert "there is no process 2147483647" in complaint("--port", 0, "--pid", 2147483647)
    said = complaint("--port", 0, "--bind", "no.such.name.invalid")
    assert "cannot listen at 'no.such.name.invalid': " in said, said
    said = complaint("--port", 0, "--bind", "192.0.2.1")
    assert "cannot listen at 192.0.2.1:0: " in said and "addresses of this machine" in said, said
    assert "16 addresses are the most" in complaint("--port", 0, *["--bind", "127.0.0.1"] * 17)
    # A process that is there and shows nothing is no mistake, but no "up" either.
    assert once("--pid", os.getpid(), expect=1).stdout == f"down #process {os.getpid()} shows no pool\n"
    if os.geteuid() == 0:  # somebody else's
        said = once("--pid", pools.pid, expect=2, user=65534, group=65534, extra_groups=[])
        assert said.stdout == "" and "may not be looked at" in said.stderr, said
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([program, "agent", "--once", "--pid", str(pools.pid)], stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=60)
        assert result.returncode == 2 and "cannot be written" in result.stderr, result


def stands():
    """One that was stopped has no room, and is not taken out; it comes back by itself."""
    pools = Pools(f"create 0 web {MACHINE}", "hold 0 4")
    agent = Agent("--pid", pools.pid)
    until("it works", lambda: agent.percent() < 100)
    os.kill(pools.pid, signal.SIGSTOP)
    until("it is seen", lambda: any("stands still" in line for line in agent.log))
    agent.says("up ready 1%")
    until("so it is for who asks once", lambda: once("--pid", pools.pid).stdout == "up ready 1%\n")
    os.kill(pools.pid, signal.SIGCONT)
    until("it goes on", lambda: "is up" in agent.log[-1])
    until("it has room again", lambda: agent.percent() >= 50)
    pools.tell("release 0")
    agent.says("up ready 100%")


try:
    globals()[case]()
finally:
    for somebody in Pools.everybody + Agent.everybody:
        somebody.kill()
