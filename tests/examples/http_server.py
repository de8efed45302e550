"""An example server as a child process, and ways to talk to it that http.client has not."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


class Server:
    def __init__(self, program, *options):
        # A session of its own: Ctrl-C on the test is not one on the server.
        self.process = subprocess.Popen([program, "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True)
        first = self.process.stdout.readline()
        match = re.match(r"(\w+): listening on 127\.0\.0\.1:(\d+), acceptors (\d+), nodes (\d+)$", first)
        assert match, (first, self.process.stderr.read())
        self.name, self.port, self.acceptors = match[1], int(match[2]), int(match[3])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def finish(self, expect=0, complain=False):
        """Waits for the end; returns the account as a dictionary."""
        out, err = self.process.communicate(timeout=90)
        assert self.process.returncode == expect, (self.process.returncode, out, err)
        assert complain or not err, err
        assert out.splitlines()[0] == f"{self.name}: Terminated: draining", out
        account = out.splitlines()[-1]
        assert account.endswith(": nothing is missing"), out
        print(account)
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", account)}

    def stop(self, **how):
        self.terminate()
        return self.finish(**how)

    def connect(self, timeout=60):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def get(self, target, method="GET"):
        """(status, header fields, body) on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The sum of a metric over its labels."""
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", self.get("/metrics")[2], re.M)
        assert values, name
        return sum(map(float, values))


class Wire:
    """Bytes to a server, answers from it: for what no proper client would send."""

    def __init__(self, server):
        self.sock = server.connect()
        self.reader = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self, head=False):
        """(status, header fields in lower case, body), or None: the connection has ended."""
        try:
            line = self.reader.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        match = re.match(rb"HTTP/1\.[01] (\d{3}) [^\r\n]+\r\n$", line)
        assert match, line
        fields = {}
        for line in iter(self.reader.readline, b"\r\n"):
            assert line.endswith(b"\r\n"), (line, "an answer broke off in its head")
            key, value = line.decode().split(":", 1)
            fields[key.lower()] = value.strip()
        body = b""
        if not head:
            length = int(fields["content-length"])
            body = self.reader.read(length)
            assert len(body) == length, (body, length, "an answer broke off in its body")
        return int(match[1]), fields, body.decode()

    def close(self):
        self.reader.close()
        self.sock.close()


def soft_files(count):
    """Room for so many descriptors, or the test is skipped."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        skip(f"{hard} descriptors are permitted, {count} are needed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def clean_environment():
    for name in [name for name in os.environ if name.startswith("NUMAPOOL_")]:
        del os.environ[name]
