#!/usr/bin/env python3
"""The batch example: batch_test.py CASE[,CASE...] PROGRAM. Exit 77 with a reason: skipped."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile

from http_server import clean_environment, skip

cases, program = sys.argv[1:]


def run(*arguments, expect=0, given=None):
    result = subprocess.run([program, *arguments], capture_output=True, input=given, timeout=100)
    assert result.returncode == expect, (arguments, result)
    return result.stdout.decode(), result.stderr.decode()


def summary(text):
    done, failed, cancelled = map(int, re.search(
        r"(\d+) done, (\d+) failed, (\d+) cancelled in [\d.]+ s: ", text).groups())
    return done, failed, cancelled


def test_files():
    """What cksum prints, in the order of the arguments, however the tasks were ordered."""
    if shutil.which("cksum") is None:
        skip("no cksum to compare with")
    with tempfile.TemporaryDirectory(prefix="batch_test.") as folder:
        names = []
        for i, size in enumerate([3000000, 0, 1, 255, 256, 65536, 262144, 262145, 100, 7]):
            names.append(os.path.join(folder, f"file {i}"))
            with open(names[-1], "wb") as f:
                f.write(os.urandom(size))
        expected = subprocess.run(["cksum", *names], capture_output=True, check=True).stdout.decode()
        out, err = run(*names)
        assert out == expected and summary(err) == (10, 0, 0), (out, err)
        # More than the window of items that are not printed yet, from standard input.
        out, err = run("-0", "-q", given=b"".join(name.encode() + b"\0" for name in names[1:]) * 1000)
        assert out == "".join(line + "\n" for line in expected.splitlines()[1:]) * 1000
        assert err == ""
        missing = os.path.join(folder, "missing")
        out, err = run(names[1], missing, folder, names[2], expect=1)
        assert out.splitlines() == expected.splitlines()[1:3], out
        assert f"batch: {missing}: No such file or directory\n" in err, err
        assert f"batch: {folder}: Is a directory\n" in err and summary(err) == (2, 2, 0), err
        assert run("-0", given=b"")[0] == ""


def test_wrong():
    """What cannot be read, written or done at all is said, and the exit status is 1."""
    with tempfile.TemporaryDirectory(prefix="batch_test.") as folder:
        name = os.path.join(folder, "file")
        with open(name, "wb") as file:
            file.write(b"x" * 1000)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([program, name], stdout=full, stderr=subprocess.PIPE, timeout=100)
        assert result.returncode == 1 and b"batch: standard output: " in result.stderr, result
        given = os.open(folder, os.O_RDONLY)
        result = subprocess.run([program, "-0"], stdin=given, capture_output=True, timeout=100)
        os.close(given)
        assert result.returncode == 1 and b"batch: standard input: Is a directory\n" in result.stderr, result
        # A file takes 256 kB. What never fits is no reason to wait.
        os.environ["NUMAPOOL_MEMORY"] = "128KiB"
        out, err = run(name, name, expect=1)
        assert out == "" and summary(err) == (0, 1, 0), (out, err)
        assert "batch: an item of 262144 bytes: more than the pool's memory\n" in err, err
        del os.environ["NUMAPOOL_MEMORY"]
        # Fewer workers than a file keeps alive.
        config = os.path.join(folder, "numapool.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("version = 1;\npool: { workers_min = 3; workers_max = 4; };\n")
        out, err = run("--items", "5", "--size", "3", "--config", config, "--workers", "1")
        assert out == "1 primes below 3\n" and summary(err) == (5, 0, 0), (out, err)


def test_items():
    for size, count in [(1, 0), (2, 0), (3, 1), (10, 4), (100, 25), (200000, 17984)]:
        out, err = run("--items", "30", "--size", str(size), "--workers", "3")
        assert out == f"{count} primes below {size}\n" and summary(err) == (30, 0, 0), (out, err)
    for arguments, text in [([], "give files, or -0, or --items"), (["-0", "x"], "give files"),
                            (["--items", "0"], "'0' is not a number"),
                            (["--items", "1", "--size", "x"], "'x' is not a number")]:
        assert text in run(*arguments, expect=64)[1]
    assert "/nonexistent" in run("--items", "1", "--config", "/nonexistent", expect=2)[1]


def test_interrupt():
    """Ctrl-C ends in order: what runs is told, what waits is dropped, and all of it is counted."""
    process = subprocess.Popen([program, "--items", "1000000000", "--size", "100000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stderr.readline()
    assert re.match(r" *\d+%  \d+/1000000000 items, \d+/s", first), first
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "", (process.returncode, out, err)
    done, failed, cancelled = summary(err)
    assert failed == 0 and 0 < done < 1000000000 and cancelled < 5000, err


def test_progress():
    """A bar that is redrawn on a terminal, lines elsewhere."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([program, "--items", "300", "--size", "1000000"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        seen += part
    assert process.wait(timeout=60) == 0
    seen = seen.decode()
    bars = re.findall(r"\r\[([#.]{20})\] +(\d+)%  (\d+)/300 items, \d+/s(?:, ETA [\d:]+)?\x1b\[K", seen)
    assert bars, seen
    shares = [int(share) for _, share, _ in bars]
    assert shares == sorted(shares), shares
    for bar, _, done in bars:
        assert bar.count("#") == int(done) * 20 // 300, bars
    assert seen.endswith("s: " + seen.rsplit("s: ", 1)[1]) and "300 done" in seen and "ETA" in seen, seen
    err = run("--items", "1500", "--size", "1000000", "--workers", "1")[1]
    lines = err.splitlines()
    assert "\r" not in err and "\x1b" not in err and len(lines) >= 2, err
    assert all(re.match(r" *\d+%  \d+/1500 items, \d+/s", line) for line in lines[:-1]), lines


clean_environment()
for case in cases.split(","):
    globals()["test_" + case]()
