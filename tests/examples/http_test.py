#!/usr/bin/env python3
"""The example servers as clients meet them: http_test.py CASE[,CASE...] PROGRAM. Exit 77 with a reason: skipped."""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from http_server import Server, Wire, clean_environment, skip, soft_files

cases, program = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
own_protocol = "http_uv" in program  # the parts of HTTP that are in our sources


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def refuses_connections(server):
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):  # reset: its handshake met the closing
        server.connect().close()
        return False
    return True


def patient():
    """The servers of this case refuse nothing because others wait long: a test may be stopped for a while."""
    os.environ.update(NUMAPOOL_QUEUE_DELAY="off", NUMAPOOL_CODEL_TARGET="off")


def clients(server, count, target):
    """So many connections, each with this request."""
    wires = [Wire(server) for _ in range(count)]
    for wire in wires:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    return wires


def check_503(answer, reasons=("full", "shed")):
    status, fields, body = answer
    assert status == 503, answer
    assert int(fields["retry-after"]) >= 1, answer
    match = re.match(r"(refused|accepted, but not served): (\w+): [^\n]+\nretry after (\d+) ms\n$", body)
    assert match and match[2] in reasons, answer
    return match[1]


def check_not_served(answer, reason):
    """Dropped before it began: 503. Ended in the middle: another status, since it may have had an effect."""
    status, fields, body = answer
    if status == 503:
        return check_503(answer, reasons=(reason,))
    assert status == {"deadline": 504, "cancelled": 500}[reason] and "retry-after" not in fields, answer
    assert re.match(rf"not finished: {reason}: [^\n]+\n$", body), answer
    return "not finished"


def test_answers():
    """Each kind of request has its answer, and its place in the account."""
    patient()
    with Server(program, "--timeout", "600") as server:
        expected = [
            ("/work?ms=2&kb=300", 200, "ms=2 cpu_us=0 kb=300 node=0\n"),
            ("/work?cpu_us=500", 200, "ms=0 cpu_us=500 kb=0 node=0\n"),
            *[(path, 200, "ms=0 cpu_us=0 kb=0 node=0\n") for path in ("/work", "/work?")],
            ("/healthz", 200, "ok\n"),
            ("/work?ms", 400, "ms: '' is not a whole number\n"),
            *[(f"/work?ms={text}", 400, f"ms: '{text}' is not a whole number\n")
              for text in ("x", "", "-1", "+1", "1.5")],
            ("/work?ms=60001", 400, "ms: 60001 is more than 60000\n"),
            ("/work?kb=99999999999999999999999", 400, "kb: 99999999999999999999999 is more than 65536\n"),
            ("/work?ms=1&ms=2", 400, "ms is there twice\n"),
            *[(f"/work?{query}", 400, f"'{name}' is not known; ms, cpu_us and kb are\n")
              for query, name in (("ms=1&colour=red", "colour"), ("m=1", "m"), ("ms=1&&kb=1", ""))],
            *[(path, 404, "/work?ms=&cpu_us=&kb=, /metrics and /healthz are here\n") for path in ("/", "/works")],
            ("/work?ms=" + "1" * 2000, 414, "a target of more than 1024 bytes\n"),
        ]
        for target, status, body in expected:
            answer = server.get(target)
            assert (answer[0], answer[2]) == (status, body), (target, answer)
        posted = server.get("/work", method="POST")
        assert posted[0] == 405 and posted[1]["Allow"] == "GET, HEAD", posted
        head = server.get("/work?ms=1&kb=7", method="HEAD")
        assert head[0] == 200 and head[2] == "", head
        assert int(head[1]["Content-Length"]) == len("ms=1 cpu_us=0 kb=7 node=0\n"), head[1]
        # One connection, one request after another.
        wire = Wire(server)
        for kb in range(50):
            wire.send(f"GET /work?kb={kb} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.answer()[2] == f"ms=0 cpu_us=0 kb={kb} node=0\n"
        # The last one, because the client says so; and because it speaks HTTP/1.0.
        wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wire.answer()[1]["connection"] == "close" and wire.answer() is None
        old = Wire(server)
        old.send("GET /healthz HTTP/1.0\r\n\r\n")
        assert old.answer()[0] == 200 and old.answer() is None
        old = Wire(server)
        for _ in range(2):
            old.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = old.answer()
            assert answer[0] == 200 and answer[1]["connection"].lower() == "keep-alive", answer
        status, fields, body = server.get("/metrics")
        assert status == 200 and fields["Content-Type"].startswith("text/plain; version=0.0.4")
        account = server.stop()
    good = sum(status == 200 for _, status, _ in expected)
    assert account["requests"] == len(expected) + 57, account
    assert account["status_200"] == good + 56, account
    assert account["status_other"] == len(expected) - good + 1, account
    assert account["accepted"] == account["run"] == 3 + 1 + 1 + 50, account

    os.environ["NUMAPOOL_MEMORY"] = "1MiB"  # what can never be served is no reason to come again
    with Server(program) as server:
        assert server.get("/work?kb=1024")[0] == 200
        assert server.get("/work?kb=1025")[::2] == (400, "kb: 1025 is more than 1024\n")
        server.stop()


def test_metrics():
    try:
        sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, also for another python3
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        skip("no python3-prometheus-client")
    with Server(program) as server:
        assert all(server.get("/work?kb=64")[0] == 200 for _ in range(5))
        samples = {}
        for family in text_string_to_metric_families(server.get("/metrics")[2]):
            assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in samples, key
                samples[key] = sample.value
        assert samples[("http_requests_total", ())] == 6
        assert samples[("http_answers_total", (("status", "200"),))] == 5
        assert samples[("http_connections", ())] >= 1
        assert sum(v for (name, _), v in samples.items() if name == "numapool_run_total") == 5
        server.stop()


def test_refuse():
    """A full pool refuses at once, says why and when to come again; who comes again gets in."""
    workers, queue = 2, 10
    with Server(program, f"-w{workers}", f"--queue={queue}", "--grace=0", "--drain=0", "--timeout=600") as server:
        def refused():
            return server.metric("numapool_refused_full_total") + server.metric("numapool_refused_shed_total")

        busy = []
        while refused() == 0:
            assert len(busy) <= workers + queue, "nothing is refused"
            before = server.metric("numapool_submitted_total")
            busy += clients(server, 1, "/work?ms=60000")
            wait_until(lambda: server.metric("numapool_submitted_total") > before, "a request is read")
            if len(busy) <= workers:  # a worker that takes its first one later makes room in a full queue
                wait_until(lambda: server.metric("numapool_queue_depth") == 0, "a worker has it")
        last = busy.pop()
        assert len(busy) >= workers, busy
        assert check_503(last.answer()) == "refused"
        # The connection is as good as before. While the others are there, everybody is told at once.
        for _ in range(20):
            last.send("GET /work?ms=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert check_503(last.answer()) == "refused"
        assert server.get("/healthz")[0] == 200
        assert server.metric("numapool_run_total") == 0
        server.terminate()
        told = [check_not_served(wire.answer(), "cancelled") for wire in busy]
        account = server.finish(complain=True)
    assert account["accepted"] == account["dropped"] == len(busy), account
    assert account["status_503"] == 21 + len(busy) - told.count("not finished"), account
    assert account["refused"] == 21 and account["status_other"] == told.count("not finished"), account

    with Server(program, "--workers", str(workers), "--queue", "4", "--timeout", "600") as server:
        def insist(index):
            wire, times = Wire(server), 0
            while True:
                wire.send(f"GET /work?ms=10&kb={index} HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = wire.answer()
                if answer[0] == 200:
                    assert answer[2] == f"ms=10 cpu_us=0 kb={index} node=0\n", answer
                    return times
                check_503(answer)
                times += 1
                time.sleep(int(re.search(r"retry after (\d+) ms", answer[2])[1]) / 1000)

        with concurrent.futures.ThreadPoolExecutor(24) as threads:
            times = sum(threads.map(insist, range(24)))
        account = server.stop()
    assert account["run"] == account["accepted"] == 24, account
    assert account["refused"] == account["status_503"] == times, (account, times)


def drain(grace_ms):
    """False: the grace was over before all was done in it that is to be."""
    count, sent = 40, []
    with Server(program, "--workers", "16", "--grace", str(grace_ms), "--timeout", "600") as server:
        idle = clients(server, 20, "/healthz")
        assert not any("connection" in wire.answer()[1] for wire in idle)
        silent, half = Wire(server), Wire(server)
        half.send("GET /work?kb=5 HTTP/1.1\r\nHost: x\r\na: b\r\n")
        busy = [Wire(server) for _ in range(count)]
        for i, wire in enumerate(busy):
            sent.append(time.monotonic())
            wire.send(f"GET /work?ms=300&kb={i} HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.metric("numapool_submitted_total") == count, "all are accepted")
        told = time.monotonic()
        server.terminate()
        try:
            wait_until(lambda: server.get("/healthz")[0] == 503, "the grace begins")
            begun = time.monotonic()
            idle[0].send("GET /work?ms=1 HTTP/1.1\r\nHost: x\r\n\r\n")  # still served, but the last one
            answer = idle[0].answer()
            assert answer and answer[0] == 200 and answer[1]["connection"] == "close", answer
        except (OSError, AssertionError):
            if time.monotonic() - told < grace_ms / 1000:
                raise
            return False
        for i, wire in enumerate(busy):
            status, fields, body = wire.answer()
            assert (status, body) == (200, f"ms=300 cpu_us=0 kb={i} node=0\n"), (status, body)
            # It may be from before the grace only if that began later than it could be ready.
            assert fields.get("connection", "close" if sent[i] + 0.3 < begun else "") == "close", fields
            assert wire.answer() is None
        # While one request is not served yet, nobody new is let in.
        wait_until(lambda: refuses_connections(server), "it listens no longer")
        half.send("c: d\r\n\r\n")  # its request had begun, so it is served
        assert half.answer()[2] == "ms=0 cpu_us=0 kb=5 node=0\n" and half.answer() is None
        assert all(wire.answer() is None for wire in [*idle, silent])
        account = server.finish()
    assert account["run"] == account["accepted"] == count + 2, account
    assert account["aborted"] == account["dropped"] == 0, account
    return True


def test_drain():
    """SIGTERM in the middle: what was accepted is answered whole, idle connections end, exit status 0."""
    patient()
    assert any(map(drain, (1500, 6000, 24000))), "the grace is always over too soon"


def test_backlog():
    """Connections that only the kernel had accepted when the end came are served, too."""
    # Only those beyond --connections wait there for sure; libmicrohttpd closes such.
    with Server(program, "--connections", "2", "--grace", "0", "--timeout", "600") as server:
        busy = [Wire(server) for _ in range(7)]
        for i, wire in enumerate(busy):
            wire.send(f"GET /work?ms=300&kb={i} HTTP/1.1\r\nHost: x\r\n\r\n")
        server.terminate()
        for i, wire in enumerate(busy):
            assert wire.answer()[2] == f"ms=300 cpu_us=0 kb={i} node=0\n"
        account = server.finish()
    assert account["run"] == account["connections"] == 7, account


def test_cancel():
    """--drain 0: what waits and what runs is cancelled, and everybody is told."""
    with Server(program, "--workers", "2", "--grace", "0", "--drain", "0") as server:
        busy = clients(server, 6, "/work?ms=60000")
        wait_until(lambda: server.metric("numapool_submitted_total") == 6 and
                   server.metric("numapool_queue_depth") == 4, "two run and four wait")
        server.terminate()
        told = [check_not_served(wire.answer(), "cancelled") for wire in busy]
        assert 1 <= told.count("not finished") <= 2, told
        account = server.finish(complain=True)
    assert account["dropped"] == account["accepted"] == 6, account
    assert account["status_503"] == 6 - told.count("not finished") == 6 - account["status_other"], account


def test_hurry():
    """A second signal does not wait for --drain."""
    with Server(program, "--workers", "2", "--grace", "0", "--drain", "600", "--timeout", "600") as server:
        busy, half = clients(server, 6, "/work?ms=60000"), Wire(server)
        half.send("GET /wo")
        wait_until(lambda: server.metric("numapool_submitted_total") == 6, "all are accepted")
        server.terminate()
        wait_until(lambda: refuses_connections(server), "it has begun to end")
        server.terminate()
        told = [check_not_served(wire.answer(), "cancelled") for wire in busy]
        account = server.finish(complain=True)
        assert half.answer() is None
    assert account["dropped"] == account["accepted"] == 6, account
    assert account["status_503"] == 6 - told.count("not finished") == 6 - account["status_other"], account


def test_deadline():
    """--deadline: what is not served in time is refused, dropped or ended, and everybody is told."""
    with Server(program, "--workers", "1", "--deadline", "100") as server:
        told = [check_not_served(wire.answer(), "deadline") for wire in clients(server, 8, "/work?ms=60000")]
        assert "not finished" in told, told
        account = server.stop()
    assert account["dropped"] + account["deadline"] == 8, account
    assert account["status_503"] == 8 - told.count("not finished") == 8 - account["status_other"], account
    assert account["run"] == 0, account


def test_last_answer():
    """A connection whose answer is on its way when the end begins, and does not say so, ends with it."""
    with Server(program, "--timeout", "600", "--grace", "0") as server:
        wire, asked, polls = Wire(server), 0, 0

        def unanswered():
            """How many of those asked for; None: not all of them are read."""
            nonlocal polls
            polls += 1
            body = server.get("/metrics")[2]
            requests, answers = (sum(map(int, re.findall(rf"^http_{name}_total\S* (\d+)$", body, re.M)))
                                 for name in ("requests", "answers"))
            return requests - 1 - answers if requests == asked + polls else None

        while unanswered() != 1:  # until nothing more fits between server and client
            if unanswered() == 0:
                wire.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                asked += 1
        server.terminate()
        wait_until(lambda: refuses_connections(server), "it has begun to end")
        for _ in range(asked):
            status, fields, _ = wire.answer()
            assert status == 200 and "connection" not in fields, fields
        assert wire.answer() is None
        assert server.finish()["aborted"] == 0


def test_hostile():
    """Clients that break the rules hurt themselves alone."""
    patient()
    with Server(program, "--timeout", "60", "--workers", "8") as server:
        def last(data, status, told=own_protocol):
            wire, raw = Wire(server), b""
            with contextlib.suppress(ConnectionError):  # the server closed while there was more to read
                wire.send(data)
            with contextlib.suppress(ConnectionError):  # what came before that is here all the same
                while part := wire.sock.recv(65536):
                    raw += part
            # libmicrohttpd 0.9.75 may write the head of such an answer twice, or close at once.
            answers = re.findall(rb"^HTTP/1\.1 (\d{3}) ", raw, re.M)
            assert set(answers) <= {b"%d" % number for number in status}, (data[:80], raw)
            assert len(answers) == 1 or not told, (data[:80], raw)
            wire.close()

        last(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), {400})
        last("once upon a time\r\n\r\n", {400})
        last("GET / HTTP/7.3\r\n\r\n", {400, 505})
        last("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", {400})
        last("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 100000 + "\r\n\r\n", {413, 431})
        last("GET / HTTP/1.1\r\n" + "X: y\r\n" * 10000 + "\r\n", {413, 431})
        last("GET /" + "a" * 100000 + " HTTP/1.1\r\nHost: x\r\n\r\n", {414, 431})
        last("POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + "a" * 300000, {405})
        last("DELETE /work HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {405})
        last("GET /work HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", {413}, told=True)
        last("GET /work HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
             ("4000\r\n" + "a" * 0x4000 + "\r\n") * 5 + "0\r\n\r\n", {413}, told=True)
        last("GET /work HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
             ("4000\r\n" + "a" * 0x4000 + "\r\n") * 500, {413}, told=False)
        if own_protocol:
            # An offer to speak another protocol is passed over.
            wire = Wire(server)
            wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            assert wire.answer()[0] == 200
            wire.send("GET /work?kb=6 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert wire.answer()[2] == "ms=0 cpu_us=0 kb=6 node=0\n"
            wire.close()
        # A body that nobody asked for is read over.
        wire = Wire(server)
        wire.send("GET /work?kb=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                  "GET /work?kb=2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                  "GET /work?kb=3 HTTP/1.1\r\nHost: x\r\n\r\n")
        for kb in (1, 2, 3):
            assert wire.answer()[2] == f"ms=0 cpu_us=0 kb={kb} node=0\n"
        # Many requests at once, more than any buffer holds: all answered, in order.
        count = 3000
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            thread.submit(wire.send, "".join(
                f"GET /work?kb={i % 100} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(count)))
            for i in range(count):
                answer = wire.answer()
                assert answer[2] == f"ms=0 cpu_us=0 kb={i % 100} node=0\n", (i, answer)
        wire.close()
        # Byte by byte.
        wire = Wire(server)
        for byte in b"GET /work?kb=9 HTTP/1.1\r\nHost: x\r\n\r\n":
            wire.send(bytes([byte]))
        assert wire.answer()[2] == "ms=0 cpu_us=0 kb=9 node=0\n"
        wire.close()
        # A client that has said all it has to say still gets its answers.
        wire, = clients(server, 1, "/work?ms=50&kb=4")
        wire.sock.shutdown(socket.SHUT_WR)
        assert wire.answer()[2] == "ms=50 cpu_us=0 kb=4 node=0\n" and wire.answer() is None
        wire.close()
        # Clients that go away at once, also with a reset.
        for _ in range(20):
            wire, = clients(server, 1, "/work?ms=20")
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            wire.close()
        assert server.get("/work?kb=5")[2] == "ms=0 cpu_us=0 kb=5 node=0\n"
        wait_until(lambda: server.metric("http_connections") == 1, "every connection ends")
        account = server.stop()
    assert account["accepted"] == account["run"], account
    # Half a request and then nothing: told so, or closed. Nothing at all: closed.
    with Server(program, "--timeout", "1") as server:
        silent = Wire(server)
        for _ in range(20 if own_protocol else 1):
            slow, answer = Wire(server), None
            with contextlib.suppress(ConnectionError):
                slow.send("GET /work?ms=1 HT")
                answer = slow.answer()
            if answer is not None:  # else what was sent may have come too late to be the half of a request
                assert answer[0] == 408 and slow.answer() is None, answer
                break
        assert answer is not None or not own_protocol, "it is never told"
        assert silent.answer() is None
        server.stop()


def test_slow_reader():
    """Who does not read the answers is cut off; others do not notice."""
    with Server(program, "--timeout", "1") as server:
        wire = Wire(server)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.sock.setblocking(False)
        ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 4000
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while ask:
                ask = ask[wire.sock.send(ask):]
        wait_until(lambda: server.metric("http_aborted_total") >= 1, "it is cut off")
        assert server.get("/work?kb=5")[2] == "ms=0 cpu_us=0 kb=5 node=0\n"
        wire.close()
        account = server.stop()
    assert account["aborted"] >= 1, account


def test_connections():
    """Thousands of connections kept open, each asked now and then; and no more than there may be."""
    count, rounds = 2000, 3
    soft_files(count + 200)
    with Server(program, "--connections", "4096", "--timeout", "60") as server:
        wires = [Wire(server) for _ in range(count)]
        for _ in range(rounds):
            for start in range(0, count, 100):
                part = wires[start:start + 100]
                for i, wire in enumerate(part):
                    wire.send(f"GET /work?ms=2&kb={i} HTTP/1.1\r\nHost: x\r\n\r\n")
                for i, wire in enumerate(part):
                    answer = wire.answer()
                    if answer[0] == 200:
                        assert answer[2] == f"ms=2 cpu_us=0 kb={i} node=0\n", answer
                    else:
                        check_503(answer)
        assert server.metric("http_connections") == count + 1
        account = server.stop()
        assert all(wire.answer() is None for wire in wires)
    assert account["requests"] - 1 == account["accepted"] + account["refused"] == count * rounds, account
    # More connections than allowed wait until others end.
    with Server(program, "--connections", "10", "--timeout", "60") as server:
        wires = [Wire(server) for _ in range(30)]
        for wire in wires:
            wire.send("GET /work?ms=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert all(wire.answer()[0] == 200 for wire in wires)
        server.stop()


def test_acceptors():
    """Several acceptors, and a described machine of four nodes: each task on its acceptor's node."""
    os.environ["NUMAPOOL_MACHINE"] = "pack:4 [numa] core:2 pu:1"
    with Server(program) as server:
        assert server.acceptors == 4
        wires = [Wire(server) for _ in range(60)]
        nodes = set()
        for _ in range(5):
            for wire in wires:
                wire.send("GET /work?kb=8 HTTP/1.1\r\nHost: x\r\n\r\n")
            nodes |= {re.search(r"node=(\d)", wire.answer()[2])[1] for wire in wires}
        assert nodes == {"0", "1", "2", "3"}, nodes
        # While it has the port, nobody else gets it, although its sockets share it.
        other = subprocess.run([program, "--port", str(server.port)], capture_output=True, text=True)
        assert other.returncode == 1 and "Address already in use" in other.stderr, other
        account = server.stop()
    assert account["run"] == 300, account

    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write('version = 1;\npool: { shards = "package"; };\n')
        f.flush()
        os.environ["NUMAPOOL_MACHINE"] = "pack:2 numa:2 core:2 pu:1"
        with Server(program, "--config", f.name) as server:
            assert server.acceptors == 2
            wires, nodes = [Wire(server) for _ in range(30)], set()
            for wire in wires:
                wire.send("GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
                nodes.add(re.search(r"node=(\d)", wire.answer()[2])[1])
            assert nodes == {"0", "2"}, nodes
            server.stop()


def test_options():
    """Mistakes are named, before anything is done."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write("version = 1;\npool: { workers_max = 0; colour = 3; };\n")
        f.flush()
        for options, text in [(["--port", "70000"], "--port: '70000' is not a number from 0 to 65535"),
                              (["--port", "x"], "--port: 'x'"), (["--workers", "0"], "--workers: '0'"),
                              (["--address", "nowhere"], "--address: 'nowhere' is not an IPv4 address"),
                              (["--colour"], "unrecognized option"), (["more"], "Too many arguments"),
                              (["--address", "192.0.2.1"], "cannot listen on 192.0.2.1:8080"),
                              (["--config", "/nonexistent"], "/nonexistent"),
                              (["--config", f.name], f.name + ":2")]:
            result = subprocess.run([program, *options], capture_output=True, text=True, timeout=60)
            assert result.returncode != 0 and text in result.stderr, (options, result)
    help_text = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60)
    assert help_text.returncode == 0 and "--acceptors" in help_text.stdout, help_text


class Wrk:
    """wrk with load.lua, a connection per thread, until it is told to end."""

    def __init__(self, server, threads, target, count, wait_ms):
        if shutil.which("wrk") is None:
            skip("no wrk")
        self.process = subprocess.Popen(
            ["wrk", f"-t{threads}", f"-c{threads}", "-d100s", "--timeout", "100s", "-s", os.path.join(here, "load.lua"),
             f"http://127.0.0.1:{server.port}{target}", "--", str(count), str(wait_ms)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, (out, err)
        load = json.loads(out.splitlines()[-1])
        print(json.dumps(load))
        assert load["incomplete"] == 0, load
        return load, load["status"]["200"]["count"], load["status"]["503"]["count"]


def all_answered(server, count):
    """All were handed in and answered whole, and the client has had time to read the last of them."""
    wait_until(lambda: server.metric("numapool_submitted_total") == count, "all are sent")

    def nobody_else_waits():
        text = server.get("/metrics")[2]
        requests, answers, aborted = (sum(map(int, re.findall(rf"^http_{name}_total\S* (\d+)$", text, re.M)))
                                      for name in ("requests", "answers", "aborted"))
        return requests - answers - aborted == 1
    wait_until(nobody_else_waits, "all are answered but the question")
    time.sleep(1)


def test_load():
    """Every request answered, and the server's account is the client's."""
    with Server(program) as server:
        wrk = Wrk(server, 32, "/work?ms=1&kb=100", 500, 1)
        all_answered(server, 32 * 500)
        load, good, refused = wrk.end()
        account = server.stop()
    assert load["answered"] == 32 * 500 == good + refused, load
    assert not any(load["errors"].values()), load
    assert (good, refused) == (account["run"], account["status_503"]), (load, account)
    assert account["aborted"] == account["dropped"] == 0, account


def test_overload():
    """More is offered than the pool can do: the rest is refused; how fast is printed."""
    with Server(program, "--workers", "16", "--queue", "16") as server:
        wrk = Wrk(server, 64, "/work?ms=20&kb=500", 300, 5)
        all_answered(server, 64 * 300)
        load, good, refused = wrk.end()
        full = server.metric("numapool_refused_full_total") + server.metric("numapool_refused_shed_total")
        account = server.stop()
    assert load["answered"] == 64 * 300 == good + refused, load
    assert not any(load["errors"].values()), load
    assert (good, refused) == (account["run"], account["status_503"]), (load, account)
    assert good > 0 and refused == full > 0, (load, full, "503 for another reason than a full pool")
    times = load["status"]
    print(f"503: median {times['503']['p50_us']} us; 200 (20 ms of work, behind at most 16 others): "
          f"median {times['200']['p50_us']} us, p99 {times['200']['p99_us']} us")


def test_drain_load():
    """SIGTERM under load: the answers the client got are all that the server gave, each whole."""
    with Server(program, "--workers", "16", "--queue", "64") as server:
        wrk = Wrk(server, 32, "/work?ms=30&kb=64", 0, 5)
        wait_until(lambda: server.metric("numapool_run_total") >= 500, "it is in the middle of it")
        server.terminate()
        account = server.finish()
        load, good, refused = wrk.end()
    assert (good, refused) == (account["run"], account["status_503"]), (load, account)
    assert account["aborted"] == account["dropped"] == 0, account


for case in cases.split(","):
    clean_environment()
    globals()["test_" + case]()
