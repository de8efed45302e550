#!/usr/bin/env python3
"""numapool check from outside; see command.py."""

import glob
import json
import os
import re
import shutil
import subprocess

from command import FOUR, clean, main, program, root, run, run_into_full, work, write


def expected_of(path):
    with open(path[:-len(".conf")] + ".expected", encoding="utf-8") as f:
        return f.read()


def test_check():
    bad = sorted(glob.glob(root + "/tests/badconf/*.conf"))
    assert len(bad) >= 100
    for path in bad:
        shutil.copy(path, work)
    said = run("check", *map(os.path.basename, bad), expect=1).stdout.splitlines(keepends=True)
    for path in bad:
        lines = [line for line in said if line.startswith(os.path.basename(path) + ":")]
        assert "".join(lines) == expected_of(path), (path, lines)
    assert "".join(said) == "".join(map(expected_of, bad))
    for path in bad[::20]:
        assert run("check", os.path.basename(path), expect=1).stdout == expected_of(path), path

    # Good ones between them, and as JSON.
    names = ["everything.conf", "list-gap.conf", "plan-expect.conf"]
    good = write("good.conf", 'version = 1;\npool = { machine = "pack:2 [numa] core:2 pu:1"; };\n')
    text = run("check", names[0], good, *names[1:], expect=1).stdout
    parts = [expected_of(root + "/tests/badconf/" + name) for name in names]
    fine = "good.conf: fine, 2 shards on 2 nodes of pack:2 [numa] core:2 pu:1\n"
    assert text == parts[0] + fine + parts[1] + parts[2], text
    page = json.loads(run("check", "--json", *names, good, expect=1).stdout)
    assert page["fine"] is False
    assert [f["path"] for f in page["files"]] == names + [good]
    for found, part in zip(page["files"], parts + [""], strict=True):
        lines = part.splitlines()
        assert found["mistake_count"] == len(found["mistakes"]) == len(lines), found
        assert found["fine"] == (not lines) and found["readable"]
        for mistake, line in zip(found["mistakes"], lines, strict=True):
            place = found["path"] + ":" + str(mistake["line"]) + ": "
            place += mistake["setting"] + ": " if mistake["setting"] else ""
            assert line == place + mistake["what"], (line, mistake)
    assert page["files"][3]["shard_count"] == 2

    # More mistakes than fit struct numapool_error.
    write("many.conf", "version = 1;\npool = {\n" + "".join("  nonsense%d = 1;\n" % i for i in range(300))
          + "};\n")
    lines = run("check", "many.conf", expect=1).stdout.splitlines()
    assert len(lines) == 300, len(lines)
    assert [line.split(":")[1] for line in lines] == [str(i) for i in range(3, 303)]
    write("more.conf", "version = 1;\npool = {\n" + "".join("  n%d = 1;\n" % i for i in range(1500))
          + "};\n")
    lines = run("check", "more.conf", expect=1).stdout.splitlines()
    assert len(lines) == 1001 and lines[-1] == "more.conf: and 500 more mistakes", lines[-1]


def test_fits():
    """Ready-made files on their machines and on others; the environment says nothing about a file."""
    configs = {"one-socket": "pack:1 [numa] l3:1 core:16 pu:2",
               "two-sockets-smt": "pack:2 [numa] l3:1 core:16 pu:2",
               "epyc-nps4": "pack:2 numa:4 l3:4 core:4 pu:2",
               "four-sockets-reserved": "pack:4 [numa] l3:1 core:16 pu:1",
               "container": "pack:1 [numa] core:8 pu:1"}
    files = sorted(glob.glob(root + "/topology/configs/*.conf"))
    assert {os.path.basename(f)[:-5] for f in files} == set(configs)
    for path in files:
        machine = configs[os.path.basename(path)[:-5]]
        text = run("check", "--machine", machine, path, NUMAPOOL_TICK="nonsense").stdout
        assert re.fullmatch(re.escape(path) + r": fine, \d+ shards? on \d+ nodes? of .*\n", text), text
        run("plan", path, "--machine", machine)
    text = run("check", "--machine", "pack:3 [numa] core:2 pu:1",
               root + "/topology/configs/two-sockets-smt.conf", expect=1).stdout
    assert text.count("the file is for a machine with 2, this one has 3") == 2, text
    text = run("check", "--no-machine", *files).stdout
    assert text == "".join(f + ": fine\n" for f in files), text


def test_usage():
    """Whatever is asked wrongly, and files that are none: 2."""
    good = write("good.conf", 'version = 1;\npool = { machine = "pack:2 [numa] core:2 pu:1"; };\n')
    write("bad.conf", "version = 1;\npool = { tick = 5; };\n")
    with open(os.path.join(work, "binary.conf"), "wb") as f:
        f.write(b"\x7fELF\0\0\1")
    write("open.conf", "version = 1;\n")
    os.chmod(os.path.join(work, "open.conf"), 0o646)
    for arguments, sentence in [([], "which file?"),
                                (["--machine", "nonsense", good], "--machine"),
                                (["--machine", FOUR, "--no-machine", good], "contradict"),
                                (["--tick=1s", good], "unrecognized option")]:
        result = run("check", *arguments, expect=2)
        assert sentence in result.stderr and result.stdout == "", (arguments, result)

    def check(*files):
        result = subprocess.run([program, "check", *files], capture_output=True, text=True, cwd=work,
                                env=clean(), timeout=100)
        assert result.stderr == "", result
        return result.returncode, result.stdout
    assert check("nothing.conf", good) == (
        2, "nothing.conf: the file cannot be opened: No such file or directory\n"
           "good.conf: fine, 2 shards on 2 nodes of pack:2 [numa] core:2 pu:1\n")
    assert check("bad.conf", work)[0] == 2
    assert check("binary.conf")[0] == check("open.conf")[0] == check("bad.conf", good)[0] == 1

    for arguments in [[good], ["--json", good]]:
        result = run_into_full("check", *arguments)
        assert result.returncode == 2 and "No space left" in result.stderr, result


main(globals())
