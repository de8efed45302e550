#!/usr/bin/env python3
"""Pictures of numapool plan, which lstopo draws; see command.py."""

import glob
import os
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree

from command import CACHES, FOUR, clean, main, members, plan, program, root, run, skip, work, write


def test_picture():
    if shutil.which("lstopo") is None:
        skip("no lstopo, which draws")
    for arguments, count, grey in [(["--machine", FOUR], 4, False),
                                   (["--machine", CACHES, "--shards", "l3", "--reserve", "0"], 4, False),
                                   (["--machine", root + "/tests/machines/cpus-offline.xml"], 3, True)]:
        path = os.path.join(work, "plan.svg")
        text = run("plan", *arguments, "--svg", path).stdout
        assert "one per" in text
        with open(path, encoding="utf-8") as f:
            source = f.read()
        tree = xml.etree.ElementTree.fromstring(source)
        assert tree.tag.endswith("svg")
        assert re.fullmatch(r"[\d ]+", tree.get("viewBox")), tree.get("viewBox")
        assert run("plan", *arguments, "--svg", "-").stdout == source
        shards = plan(*arguments)["shards"]
        assert len(shards) == count
        words = [e.text for e in tree.iter() if e.tag.endswith("text")]
        fills = [e.get("fill") for e in tree.iter() if e.tag.endswith("rect")]
        for s in shards:
            rgb = "rgb(%d,%d,%d)" % tuple(bytes.fromhex(s["colour"][1:]))
            workers = [w for w in words if w.startswith("s%d worker P#" % s["index"])]
            assert sorted(int(w.split("#")[1]) for w in workers) == members(s["cpus"]), workers
            callers = [w for w in words if w.startswith("s%d caller P#" % s["index"])]
            assert len(workers) + len(callers) == len(members(s["callers"]))
            assert fills.count(rgb) >= len(workers), (rgb, fills)
            assert "shard %d" % s["index"] in words or count == 3, words
        assert ("rgb(200,200,200)" in fills) == grey, fills

    # Every machine there is; a shard on CPUs that another group of the tree has already.
    for path in sorted(glob.glob(root + "/tests/machines/*.xml")):
        picture = run("plan", "--machine", path, "--shards", "l3", "--svg", "-").stdout
        words = [e.text for e in xml.etree.ElementTree.fromstring(picture).iter()]
        workers = [re.fullmatch(r"s(\d+) worker P#(\d+)", str(w)) for w in words]
        assert sorted((int(w[1]), int(w[2])) for w in workers if w) == sorted(
            (s["index"], cpu) for s in plan("--machine", path, "--shards", "l3")["shards"]
            for cpu in members(s["cpus"])), path

    # Signs that mean something in XML or to a shell, and a name that looks like an option.
    strange = os.path.join(work, "-x <&\"';$(touch hit) .xml")
    shutil.copy(root + "/tests/machines/snc2.xml", strange)
    for machine in [strange, "./" + os.path.basename(strange)]:
        run("plan", "--machine", machine, "--svg", "strange.svg")
        xml.etree.ElementTree.parse(os.path.join(work, "strange.svg"))
    assert not os.path.exists(os.path.join(work, "hit"))

    ascii_art = run("plan", "--machine", "pack:2 [numa] core:2 pu:1", "--ascii", "-",
                    "--no-environment").stdout
    assert "s1 worker P#3" in ascii_art and "memory of s1" in ascii_art, ascii_art
    # hwloc's variables are for its own programs.
    again = run("plan", "--machine", "pack:2 [numa] core:2 pu:1", "--ascii", "-",
                HWLOC_SYNTHETIC="pu:3", HWLOC_XMLFILE="/nonexistent").stdout
    assert again == ascii_art

    # A PNG, or how to get one.
    result = subprocess.run([program, "plan", "--machine", FOUR, "--png", "plan.png"], cwd=work,
                            capture_output=True, text=True, env=clean(), timeout=100)
    if result.returncode == 0:
        with open(os.path.join(work, "plan.png"), "rb") as f:
            assert f.read(8) == b"\x89PNG\r\n\x1a\n"
    else:
        assert "apt install hwloc " in result.stderr, result
        assert not os.path.exists(os.path.join(work, "plan.png"))

    run("plan", "--machine", FOUR, "--svg", "/nonexistent/x.svg", expect=2)


def test_lstopo():
    """lstopo that is missing, fails, or draws nothing: said so, and a picture that was there stays."""
    old = os.path.join(work, write("plan.svg", "the picture before"))
    result = run("plan", "--machine", FOUR, "--svg", old, expect=2, PATH=work)
    assert "apt install hwloc-nox" in result.stderr, result
    for script, sentence in [("echo 'no such thing' >&2; exit 3", "exit status 3): no such thing"),
                             ("exit 0", "lstopo drew nothing"),
                             ("printf half; kill -9 $$", "lstopo did not finish"),
                             ("echo 'file format not supported' >&2; exit 1", "exit status 1")]:
        with open(os.path.join(work, "lstopo"), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\ncat >/dev/null\n" + script + "\n")
        os.chmod(f.name, 0o755)
        result = run("plan", "--machine", FOUR, "--svg", old, expect=2,
                     PATH=work + ":" + os.environ["PATH"])
        assert sentence in result.stderr and old in result.stderr, result
        with open(old, encoding="utf-8") as f:
            assert f.read() == "the picture before"

    # What it is given: the machine as XML, and an environment without hwloc's own variables.
    with open(os.path.join(work, "lstopo"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\ncat >given.xml; env >given.env; echo drawn\n")
    run("plan", "--machine", FOUR, "--svg", old, PATH=work + ":" + os.environ["PATH"],
        HWLOC_XML_VERBOSE="1", HWLOC_COMPONENTS="-xml")
    with open(os.path.join(work, "given.env"), encoding="utf-8") as f:
        assert "HWLOC" not in f.read()
    given = xml.etree.ElementTree.parse(os.path.join(work, "given.xml"))
    assert sum(o.get("type") == "PU" for o in given.iter("object")) == 128
    with open(old, encoding="utf-8") as f:
        assert f.read() == "drawn\n"

    # Who ignores the end of children hands that on to us.
    os.unlink(old)
    subprocess.run([program, "plan", "--machine", FOUR, "--svg", old], check=True, capture_output=True, timeout=100,
                   cwd=work, env={**clean(), "PATH": work + ":" + os.environ["PATH"]},
                   preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    with open(old, encoding="utf-8") as f:
        assert f.read() == "drawn\n"


main(globals())
