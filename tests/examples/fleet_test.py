#!/usr/bin/env python3
"""
examples/haproxy/haproxy.cfg: fleet_test.py CASE CONFIG COMMAND SERVER. Exit 77 with a reason: skipped.
The cases are what docs/fleet.md promises of HAProxy. Those named after what agents say have agents that say what
the test wants; `room`, `restart` and `answers` have the command's.
"""

import csv
import http.client
import io
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

from http_server import Server, clean_environment, skip

case, config, command, program = sys.argv[1:]
haproxy = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
if haproxy is None:
    skip("no haproxy")


class Agent(socketserver.ThreadingTCPServer):
    """Answers every connection with `says` and counts them, as numapool agent would."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, says):
        self.says, self.asked = says, 0
        super().__init__(("127.0.0.1", 0), None)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, _):
        self.asked += 1
        request.sendall(self.says.encode() + b"\n")

    def say(self, text):
        """Returns when HAProxy has heard it."""
        self.says = text
        before = self.asked
        wait_until(lambda: self.asked >= before + 2, "HAProxy asks the agent")


class RealAgent:
    """numapool agent, for the process whose number is in a file: that of a server, and of those after it."""

    def __init__(self, server):
        self.folder = tempfile.TemporaryDirectory(prefix="fleet_test.")
        self.pid_file = os.path.join(self.folder.name, "pid")
        self.speaks_for(server)
        self.process = subprocess.Popen([command, "agent", "--port", "0", "--bind", "127.0.0.1", "--pid-file",
                                         self.pid_file], stderr=subprocess.PIPE, text=True)
        first = self.process.stderr.readline()
        self.server_address = ("127.0.0.1", int(first.rsplit(":", 1)[1]))
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def speaks_for(self, server):
        with open(self.pid_file + ".new", "w", encoding="ascii") as file:
            file.write(f"{server.process.pid}\n")
        os.rename(self.pid_file + ".new", self.pid_file)

    def ask(self):
        with socket.create_connection(self.server_address, timeout=60) as sock:
            return sock.makefile().read().rstrip("\n")

    def shutdown(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0
        self.reader.join()

    def server_close(self):
        self.folder.cleanup()

    def said(self):
        """What became of its servers, in order."""
        self.shutdown()
        return [re.search(r"\) (is up|drains|has stopped|has ended without draining)", line)[1]
                for line in self.log]


def wait_until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.02)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Fleet:
    def __init__(self, one, two, agents=None):
        self.agents = agents or [Agent("up ready 100%"), Agent("up ready 100%")]
        self.port, self.status_port = free_port(), free_port()
        environment = {**os.environ, "FLEET_PORT": str(self.port), "FLEET_STATUS_PORT": str(self.status_port),
                       "ONE_PORT": str(one.port), "TWO_PORT": str(two.port),
                       "ONE_AGENT_PORT": str(self.agents[0].server_address[1]),
                       "TWO_AGENT_PORT": str(self.agents[1].server_address[1])}
        # -db: in the foreground, so that it is this process that is ended.
        self.process = subprocess.Popen([haproxy, "-db", "-f", config], env=environment,
                                        stderr=subprocess.PIPE, text=True)
        wait_until(self.ready, "both servers are up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        for agent in self.agents:
            agent.shutdown()
            agent.server_close()

    def get(self, port, target):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def server(self, name):
        """A row of HAProxy's table: status, weight, stot and more."""
        table = csv.DictReader(io.StringIO(self.get(self.status_port, "/;csv")[1].lstrip("# ")))
        return next(row for row in table if (row["pxname"], row["svname"]) == ("work", name))

    def ready(self):
        assert self.process.poll() is None, self.process.communicate()
        try:
            return all(self.server(name)["status"] == "UP" and self.server(name)["agent_status"].strip("* ") ==
                       "L7OK" for name in ("one", "two"))
        except ConnectionRefusedError:
            return False

    def requests(self, name):
        return int(self.server(name)["hrsp_2xx"]) + int(self.server(name)["hrsp_5xx"])

    def offered(self, name):
        """Also those that it refused and another one served."""
        return self.requests(name) + int(self.server(name)["wredis"])


class Load:
    """Clients that ask again and again, each on connections of its own, until told to stop."""

    def __init__(self, fleet, clients=8, target="/work?ms=5&kb=16"):
        self.fleet, self.target, self.go = fleet, target, True
        self.statuses, self.errors = {}, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while self.go:
            try:
                status, body = self.fleet.get(self.fleet.port, self.target)
                assert status == 503 or body.startswith("ms="), body
            except Exception as error:
                status = None
                self.errors.append(repr(error))
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1

    def count(self, status=200):
        return self.statuses.get(status, 0)

    def more(self, count=150):
        before = self.count()
        wait_until(lambda: self.count() >= before + count, "requests are answered")

    def stop(self):
        self.go = False
        for thread in self.threads:
            thread.join()
        print(self.statuses)
        assert not self.errors, self.errors[:3]
        return self.statuses


def test_accepted():
    result = subprocess.run([haproxy, "-c", "-f", config], capture_output=True, text=True)
    assert result.returncode == 0 and "WARNING" not in result.stderr, result


def test_weights():
    """Shares follow the agents; drain moves everything, ready brings it back; no error on the way."""
    with Server(program) as one, Server(program) as two, Fleet(one, two) as fleet:
        load = Load(fleet)
        fleet.agents[0].say("up ready 25%")
        assert fleet.server("one")["weight"] == "25" and fleet.server("two")["weight"] == "100"
        before = [fleet.requests(name) for name in ("one", "two")]
        load.more(500)
        shares = [fleet.requests(name) - at for name, at in zip(("one", "two"), before)]
        print("25 % to 100 %:", shares)
        assert 3 * shares[0] < shares[1] < 5 * shares[0], shares
        fleet.agents[0].say("drain")
        wait_until(lambda: fleet.server("one")["status"].startswith("DRAIN"), "it drains")
        wait_until(lambda: fleet.server("one")["scur"] == "0", "what it had is answered")
        before = fleet.requests("one")
        load.more()
        assert fleet.requests("one") == before, "everything is moved"
        fleet.agents[0].say("ready 100%")
        wait_until(lambda: fleet.server("one")["status"] == "UP", "it is back")
        load.more()
        assert fleet.requests("one") > before
        # An agent that is gone changes nothing.
        fleet.agents[0].shutdown()
        fleet.agents[0].server_close()
        time.sleep(1.5)
        assert fleet.server("one")["status"] == "UP" and fleet.server("one")["weight"] == "100"
        load.more()
        assert set(load.stop()) == {200}
        one.stop(), two.stop()


def test_throttled():
    """A server that refuses most: what it refuses is served by the other, and nobody is told of it."""
    with Server(program, "--workers", "1", "--queue", "2") as one, Server(program) as two, \
            Fleet(one, two) as fleet:
        load = Load(fleet, clients=16)
        load.more(500)
        wait_until(lambda: int(fleet.server("one")["wredis"]) > 0, "something was refused and sent on")
        assert set(load.stop()) == {200}
        refused = one.stop()["refused"]
        assert refused > 0 and two.stop()["refused"] == 0
        print("refused by one and served by two:", refused)


def test_stop():
    """SIGTERM, a restart on the same port, then SIGKILL, all under load: every GET is answered."""
    with Server(program, "--grace", "1500") as one, Server(program) as two, Fleet(one, two) as fleet:
        load = Load(fleet)
        load.more()
        one.terminate()
        wait_until(lambda: fleet.server("one")["status"].startswith("DOWN"), "/healthz is heard")
        load.more()
        account = one.finish()
        assert account["aborted"] == account["dropped"] == 0, account
        load.more()
        with Server(program, "--port", str(one.port)) as again:
            wait_until(lambda: fleet.server("one")["status"] == "UP", "it is back")
            before = fleet.requests("one")
            load.more()
            assert fleet.requests("one") > before
            again.process.send_signal(signal.SIGKILL)
            load.more()
            wait_until(lambda: fleet.server("one")["status"].startswith("DOWN"), "its death is seen")
            load.more()
        assert set(load.stop()) == {200}
        two.stop()


def test_answers():
    """HAProxy understands every answer of the agent: as weight, state, and text on its page."""
    with Server(program) as one, Server(program) as two:
        with Fleet(one, two, [RealAgent(one), RealAgent(two)]) as fleet:
            wait_until(lambda: fleet.server("one")["weight"] == "100", "it has all its room")
            one.process.send_signal(signal.SIGKILL)
            wait_until(lambda: fleet.server("one")["agent_status"] == "L7STS", "it hears that it is down")
            row = fleet.server("one")
            assert row["status"].startswith("DOWN"), row
            assert row["last_agt"] == f"via agent : down (process {one.process.pid} has ended)", row
            with Server(program, "--port", str(one.port)) as again:
                fleet.agents[0].speaks_for(again)
                wait_until(lambda: fleet.server("one")["status"] == "UP", "it is back")
                again.stop()
                # Nothing was running, so it drained within a moment.
                wait_until(lambda: fleet.server("one")["last_agt"] ==
                           f"via agent : stopped (process {again.process.pid} has drained)",
                           "it hears that it has stopped")
            two.stop()


def test_room():
    """Of two servers one is throttled: the work goes where there is room, and every request is served."""
    with Server(program, "--workers", "1") as one, Server(program, "--workers", "8") as two:
        def deal(fleet):
            """What each is offered of what comes in, once weights have settled."""
            load = Load(fleet, clients=12, target="/work?ms=25&kb=1")
            load.more(300)
            before = [fleet.offered(name) for name in ("one", "two")]
            load.more(900)
            shares = [fleet.offered(name) - at for name, at in zip(("one", "two"), before)]
            print("one worker to eight:", shares, [fleet.server(name)["weight"] for name in ("one", "two")])
            assert set(load.stop()) == {200}
            return shares
        with Fleet(one, two) as fleet:  # equal weights: it refuses most
            shares = deal(fleet)
            assert 2 * shares[0] > shares[1], shares
        with Fleet(one, two, [RealAgent(one), RealAgent(two)]) as fleet:
            shares = deal(fleet)
            assert 0 < 2 * shares[0] < shares[1], shares
            # With nothing to do both have all their room.
            wait_until(lambda: [fleet.server(name)["weight"] for name in ("one", "two")] == ["100", "100"],
                       "weights come back")
            one.stop(), two.stop()


def test_restart():
    """SIGTERM drains, a successor takes over, is killed, and has a successor: under load, every GET is answered."""
    with Server(program, "--grace", "1500") as one, Server(program) as two:
        agent = RealAgent(one)
        with Fleet(one, two, [agent, RealAgent(two)]) as fleet:
            def moved():
                """All that comes is served by the other one."""
                wait_until(lambda: fleet.server("one")["scur"] == "0", "what it had is answered")
                before = fleet.requests("one")
                load.more()
                assert fleet.requests("one") == before

            def back():
                wait_until(lambda: fleet.server("one")["status"] == "UP", "it is back")
                before = fleet.requests("one")
                load.more()
                assert fleet.requests("one") > before
            load = Load(fleet)
            load.more()
            one.terminate()
            wait_until(lambda: fleet.server("one")["status"] != "UP", "it is heard")
            account = one.finish()
            assert account["aborted"] == account["dropped"] == 0, account
            wait_until(lambda: agent.ask() == f"stopped #process {one.process.pid} has drained", "it has stopped")
            moved()
            with Server(program, "--port", str(one.port)) as second:
                agent.speaks_for(second)
                back()
                second.process.send_signal(signal.SIGKILL)
                wait_until(lambda: fleet.server("one")["status"].startswith("DOWN"), "its death is seen")
                moved()
            with Server(program, "--port", str(one.port)) as third:
                agent.speaks_for(third)
                back()
                assert set(load.stop()) == {200}
                third.stop(), two.stop()
                wait_until(lambda: agent.ask().startswith("stopped #"), "it has stopped, too")
        said = [line for line in agent.said() if line != "drains"]  # that may be over before it is looked at
        assert said == ["is up", "has stopped", "is up", "has ended without draining", "is up", "has stopped"], said


clean_environment()
globals()["test_" + case]()
