"""What the tests of the command share: CASE PROGRAM ROOT [HELPER...] are a test's arguments, and it runs
in a folder of its own. Exit 77 with a reason: skipped."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

case, program, root = sys.argv[1:4]
helpers = sys.argv[4:]
work = tempfile.mkdtemp(prefix="tool_test.")
FOUR = "pack:4 [numa] core:16 pu:2"
CACHES = "pack:2 [numa(memory=8GB)] l3:2 core:4 pu:2"


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def clean():
    """The environment without settings; and for builds that look for leaks, what libconfig 1.5 loses when a
    syntax error follows a text in quotes."""
    names = os.path.join(work, "leaks")
    if not os.path.exists(names):
        write(names, "leak:libconfig.so\n")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("NUMAPOOL_", "HWLOC_"))}
    return {**environment, "LSAN_OPTIONS": "suppressions=" + names + ":print_suppressions=0"}


def run(command, *arguments, expect=0, **environment):
    result = subprocess.run([program, command, *arguments], capture_output=True, text=True, cwd=work,
                            env={**clean(), **environment}, timeout=100)
    assert result.returncode == expect, (arguments, result)
    assert (result.stderr == "") == (expect == 0 or command == "check" and expect == 1), result
    return result


def plan(*arguments, **environment):
    return json.loads(run("plan", *arguments, "--json", **environment).stdout)


def write(name, text):
    with open(os.path.join(work, name), "w", encoding="utf-8") as f:
        f.write(text)
    return name


def members(text):
    """Of a list, strides included."""
    found = []
    for item in filter(None, text.split(",")):
        first, last, step = re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", item).groups()
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def run_into_full(*arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:
        return subprocess.run([program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
                              cwd=work, env=clean(), timeout=100)


def main(cases):
    """Runs the case that was asked for, of the caller's functions."""
    try:
        cases["test_" + case]()
    finally:
        shutil.rmtree(work, ignore_errors=True)
