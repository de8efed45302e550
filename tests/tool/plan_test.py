#!/usr/bin/env python3
"""numapool plan from outside; see command.py."""

import glob
import json
import os
import pty
import re
import shlex
import subprocess

from command import CACHES, FOUR, clean, helpers, main, members, plan, program, root, run
from command import run_into_full, work, write


def setting(page, name, group="pool"):
    found = [s for s in page["settings"] if (s["group"], s["name"]) == (group, name)]
    assert len(found) == 1, (name, found)
    return found[0]


def without_reasons(page):
    """Everything that has to be the same when a plan is made again from its own file."""
    shards = [{k: v for k, v in s.items() if k != "reason"} for s in page["shards"]]
    pool = {k: v for k, v in page["pool"].items() if k != "shards_by"}
    machine = {k: v for k, v in page["machine"].items()}
    nodes = [{k: v for k, v in n.items() if k != "free_bytes"} for n in page["nodes"]]
    pool.pop("memory_bytes")  # by default a part of what is free at the moment
    return {"shards": shards, "pool": pool, "machine": machine, "nodes": nodes}


MACHINES = [
    (["--machine", FOUR], 4),
    (["--machine", FOUR, "--smt", "all", "--reserve", "0,32,64-65"], 4),
    (["--machine", CACHES, "--shards", "l3"], 4),
    (["--machine", CACHES, "--shards", "package", "--workers-max", "1"], 1),
    (["--machine", CACHES, "--shards", "single", "--mode", "fixed"], 1),
    (["--machine", CACHES, "--nodes-drop", "1", "--name", "web", "--tick", "20ms"], 1),
    (["--machine", "pack:8 [numa] core:2 pu:1", "--workers-max", "3", "--workers-min", "2"], 3),
] + [(["--machine", path], None) for path in sorted(glob.glob(root + "/tests/machines/*.xml"))]


def test_text():
    """The facts of a plan, in the text and in JSON: every CPU at home once, workers where they may be."""
    text = run("plan", "--machine", FOUR).stdout
    for part in ["128 CPUs on 64 cores in 4 packages", "4, one per node", "built-in, --machine",
                 "96-126:2", "1 2 3 (20)", "0 1 2 (20)", "all CPUs of OS node 3",
                 "this machine is only described"]:
        assert part in text, part
    page = plan("--machine", FOUR)
    assert [s["cpus"] for s in page["shards"]][1] == ",".join(map(str, range(32, 64, 2)))
    assert [s["overflow_to"] for s in page["shards"]] == [[1, 2, 3], [2, 3, 0], [3, 0, 1], [0, 1, 2]]

    page = plan("--machine", FOUR, "--smt", "all", "--reserve", "0,32,64-65")
    assert [s["cpus"] for s in page["shards"]] == ["1-31", "33-63", "66-95", "96-127"]
    assert [s["callers"] for s in page["shards"]] == ["0-31", "32-63", "64-95", "96-127"]
    assert [s["start_workers"] for s in page["shards"]] == [31, 31, 30, 32]

    page = plan("--machine", CACHES, "--shards", "l3")
    assert [(s["node"], s["cpus"]) for s in page["shards"]] == [
        (0, "0,2,4,6"), (0, "8,10,12,14"), (1, "16,18,20,22"), (1, "24,26,28,30")]
    assert [s["overflow_to"][0] for s in page["shards"]] == [1, 0, 3, 2]

    # Holes in the numbers, and memory that is nobody's.
    page = plan("--machine", root + "/tests/machines/cpus-offline.xml")
    assert [s["cpus"] for s in page["shards"]] == ["0", "2-3", "6-7"]
    assert [n["os_index"] for n in page["nodes"]] == [0, 1, 3]
    assert [n["far_os_nodes"] for n in page["nodes"]] == ["", "2", "2"]

    for arguments, count in MACHINES:
        page = plan(*arguments)
        shards = page["shards"]
        assert count is None or len(shards) == count, (arguments, len(shards))
        homes = sum((members(s["callers"]) for s in shards), [])
        assert len(homes) == len(set(homes)), "a CPU is at home twice"
        for s in shards:
            assert set(members(s["cpus"])) <= set(members(s["callers"]))
            assert s["cpu_count"] == len(members(s["cpus"]))
            assert 1 <= s["start_workers"] <= s["most_workers"] <= page["pool"]["workers_max"], s
            assert 1 <= s["least_workers"] <= s["most_workers"], s
            assert sorted(s["overflow_to"] + [s["index"]]) == list(range(len(shards)))
        assert sum(s["start_workers"] for s in shards) <= page["pool"]["workers_max"]
        assert len({s["colour"] for s in shards}) == len(shards), "two shards of one colour"
        # The table says the same, strides taken apart.
        rows = re.findall(r"(?m)^ *(\d+) +(\d+)  ([-\d,:]+) +([-\d,:]+)  +\d+ +\d+ +\d+ +\d+  ",
                          run("plan", *arguments).stdout)
        if all(len(s["cpus"]) < 12 for s in shards):  # else they go over several lines
            assert [(members(r[2]), members(r[3])) for r in rows] == [
                (members(s["cpus"]), members(s["callers"])) for s in shards], (arguments, rows)


def test_readme():
    """The example of the README is what the command prints."""
    with open(root + "/README.md", encoding="utf-8") as f:
        line, block = re.search(r"(?m)^    \$ numapool (plan .*)\n((?:    .*\n|\n)+)", f.read()).groups()
    shown = [text[4:] for text in block.rstrip().splitlines()]
    printed = run(*shlex.split(line)).stdout.rstrip().splitlines()
    assert [re.sub(r"stand on \d+ here", "", text) for text in printed] == [
        re.sub(r"stand on \d+ here", "", text) for text in shown]


def test_conf():
    """The plan as a file is planned the same, and says everything else that was said."""
    for arguments, _ in MACHINES + [([], None)]:
        first = plan(*arguments)
        write("a.conf", run("plan", *arguments, "--conf").stdout)
        again = plan("a.conf")
        assert without_reasons(first) == without_reasons(again), arguments
        write("b.conf", run("plan", "a.conf", "--conf").stdout)

        def code(name):
            with open(os.path.join(work, name), encoding="utf-8") as f:
                return [line.split("#")[0].rstrip() for line in f if not line.lstrip().startswith("#")]
        assert code("a.conf") == code("b.conf"), arguments
        run("check", "a.conf")

    everything = write("all.conf", """version = 1;
pool = { name = "web"; mode = "fixed"; workers_max = 64; workers_min = 8; queue_tasks = 5000;
    queue_delay = "250ms"; memory = "16G"; idle_exit = "off"; spin = "2.5us"; tick = "20ms";
    latency_bias = 0.25; codel_target = "7ms"; codel_interval = "90ms"; watchdog = "1.5s"; stack = 131072;
    machine = "pack:2 [numa] core:4 pu:2"; shards = "package"; pinning = "cpu"; smt = "all";
    cpus_only = "0-14"; cpus_drop = "4"; reserve = "0,8"; nodes_only = "0-1"; nodes_drop = "7";
    cpu_kind = "fastest"; quota = "ignore"; on_missing = "warn"; memory_policy = "bind";
    pages = "huge1g"; shard_memory = "4G"; stats_page = "off"; };
expect = { nodes = 2; packages = 2; cpus = 16; };
""")
    write("c.conf", run("plan", everything, "--conf").stdout)
    before, after = plan(everything), plan("c.conf")
    for s in before["settings"]:
        if s["name"] in ("shards", "shard_memory"):  # what the list of shards stands for
            continue
        assert setting(after, s["name"], s["group"])["value"] == s["value"], s
        assert setting(after, s["name"], s["group"])["layer"] == "file", s
    assert [s["memory_bytes"] for s in after["shards"]] == [4 << 30] * 2


def test_explain():
    """Every layer is named, the last one wins, and those before it are not forgotten."""
    first = write("first.conf", 'version = 1;\npool = {\n  tick = "20ms";\n  spin = "5us";\n'
                                '  machine = "pack:2 [numa] core:2 pu:1";\n  stack = "32K";\n'
                                '  watchdog = "3s";\n};\n')
    second = write("second.conf", 'version = 1; pool = {\n  spin = "6us";\n  reserve = "0"; };\n')
    third = write("third.conf", 'version = 1;\nshard = (\n{ cpus = "0"; },\n{ cpus = "2"; } );\n')
    environment = {"NUMAPOOL_CONFIG": second, "NUMAPOOL_TICK": "30ms", "NUMAPOOL_RESERVE": "1"}
    page = plan(first, "--reserve", "2", "--idle-exit", "off", **environment)
    expected = {
        "name": ('"np"', "built-in", []),
        "spin": ('"6us"', "file", ["first.conf:4", "second.conf:2"]),
        "tick": ('"30ms"', "environment", ["first.conf:3", "NUMAPOOL_TICK"]),
        "reserve": ('"2"', "option", ["second.conf:3", "NUMAPOOL_RESERVE", "--reserve"]),
        "idle_exit": ('"off"', "option", ["--idle-exit"]),
        "watchdog": ('"3s"', "file", ["first.conf:7"]),
        "stack": ('"64K"', "file", ["first.conf:6"]),
        "workers_min": ("3", "built-in", []),
    }
    for name, (value, layer, said_by) in expected.items():
        found = setting(page, name)
        assert (found["value"], found["layer"], found["said_by"]) == (value, layer, said_by), found
    assert {s["name"] for s in page["settings"]} >= {"nodes", "packages", "cpus", "pages"}

    text = run("plan", first, "--explain", "--reserve", "2", "--idle-exit", "off", **environment).stdout
    assert re.search(r"(?m)^settings +built-in, first.conf, second.conf, NUMAPOOL_", text), text
    for name, line in [("spin", r'"6us" +second.conf:2, not first.conf:4'),
                       ("tick", r'"30ms" +NUMAPOOL_TICK, not first.conf:3'),
                       ("reserve", r'"2" +--reserve, not NUMAPOOL_RESERVE, second.conf:3'),
                       ("stack", r'"64K" +first.conf:6 \("32K" there\)'),
                       ("mode", r'"adaptive" +built-in'),
                       ("workers_max", r"512 +built-in: the larger of 512 and 8 per CPU"),
                       ("expect.nodes", r"any +built-in")]:
        assert re.search(r"(?m)^%s +%s$" % (re.escape(name), line), text), (name, text)

    # Shards one by one set the granularity aside, until something later says it again.
    text = run("plan", first, third, "--explain").stdout
    assert re.search(r"(?m)^shards +one by one +third.conf:2$", text), text
    page = plan(first, third)
    assert page["pool"]["shards_by"] == "list"
    found = setting(page, "shards")
    assert (found["value"], found["layer"], found["said_by"]) == ("one by one", "file", ["third.conf:2"]), found
    found = setting(plan(first, third, "--shards", "single"), "shards")
    assert (found["value"], found["layer"]) == ('"single"', "option"), found
    assert plan(first, third, "--shards", "single")["pool"]["shards_by"] == "single"

    # Nothing said at all.
    for arguments in [[], ["--explain"], ["--conf"], ["--json"]]:
        run("plan", "--no-environment", *arguments)

    # Without the environment; and variables that are empty or somebody else's.
    page = plan(first, "--no-environment", NUMAPOOL_TICK="30ms", NUMAPOOL_NONSENSE="1")
    assert setting(page, "tick")["said_by"] == ["first.conf:3"]
    assert setting(plan(first, NUMAPOOL_TICK=""), "tick")["layer"] == "file"


def test_agrees():
    """What a pool really begins with is what the plan says."""
    helper = helpers[0]
    machines = [None]
    # A described machine of more CPUs than there are here has its capacity scaled to this one.
    if len(os.sched_getaffinity(0)) >= 2:
        machines += ["numa:2 core:1 pu:1"]
    for machine in machines:
        for more in [{}, {"NUMAPOOL_MODE": "fixed", "NUMAPOOL_WORKERS_MAX": "7"},
                     {"NUMAPOOL_WORKERS_MAX": "1"}, {"NUMAPOOL_QUEUE_TASKS": "777"}]:
            # A second until anything is measured.
            environment = {"NUMAPOOL_TICK": "1s", **({"NUMAPOOL_MACHINE": machine} if machine else {}),
                           **more}
            facts = json.loads(subprocess.run([helper], env={**clean(), **environment}, check=True,
                                              capture_output=True, text=True, timeout=60).stdout)
            page = plan(**environment)
            assert facts["nodes"] == len(page["nodes"])
            for fact, shard in zip(facts["shards"], page["shards"], strict=True):
                assert fact == {key: shard[key] for key in fact}, (environment, fact, shard)


def test_mistakes():
    """Whatever is asked wrongly: 2, a sentence that names the place, nothing on standard output."""
    write("bad.conf", "version = 1;\npool = { tick = 5; reserve = \"x\"; };\n")
    with open(os.path.join(work, "binary.conf"), "wb") as f:
        f.write(b"\x7fELF\0\0\1")
    write("open.conf", "version = 1;\n")
    os.chmod(os.path.join(work, "open.conf"), 0o646)
    cases = [
        (["--machine", "foo bar"], '"foo bar" is not an hwloc synthetic text'),
        (["--machine", "/nonexistent.xml"], "/nonexistent.xml: No such file"),
        (["--machine", "good.xml"], "good.xml: No such file"),
        (["--machine", ""], "--machine: "),
        (["--machine", "pu:99999999"], "--machine"),
        (["--tick", "10"], '--tick: "10" has no unit'),
        (["--reserve", "5-2"], "--reserve: the range"),
        (["--nonsense"], "unrecognized option '--nonsense'"),
        (["nothing.conf"], "nothing.conf: the file cannot be opened: No such file"),
        ([work], "it is not an ordinary file"),
        (["binary.conf"], "binary.conf: it has bytes of value 0"),
        (["open.conf"], "open.conf: anybody may write to it"),
        ([root + "/tests/machines/snc2.xml"], "it is XML; pool.machine names a machine"),
        (["bad.conf", "--spin", "x"], "bad.conf:2: pool.tick"),
        (["bad.conf", "--spin", "x"], "bad.conf:2: pool.reserve"),
        (["bad.conf", "--spin", "x"], "--spin: "),
        (["--svg", "-", "--json"], "only one can go to standard output"),
        (["--json", "--conf"], "only one can go to standard output"),
        (["--json", "--explain"], "leave --explain out"),
        (["--conf", "--explain"], "--explain adds"),
        (["--svg"], "requires an argument"),
        (["--machine", FOUR, "--reserve", "0-127"], "--reserve"),
    ]
    for arguments, sentence in cases:
        result = run("plan", *arguments, expect=2)
        assert sentence in result.stderr and result.stdout == "", (arguments, result)
        assert all(line.startswith(("numapool plan: ", "Try `numapool plan"))
                   for line in result.stderr.splitlines()), result.stderr
    for variable, sentence in [("NUMAPOOL_TICKK", "did you mean NUMAPOOL_TICK?"),
                               ("NUMAPOOL_TICK", "environment: NUMAPOOL_TICK"),
                               ("NUMAPOOL_CONFIG", "nonsense: the file cannot be opened"),
                               ("NUMAPOOL_MACHINE", "environment: NUMAPOOL_MACHINE")]:
        result = run("plan", expect=2, **{variable: "nonsense"})
        assert sentence in result.stderr and result.stdout == "", result

    # A page that cannot be written whole is not a page.
    for arguments in [["--json"], ["--conf"], []]:
        result = run_into_full("plan", *arguments)
        assert result.returncode == 2 and "No space left" in result.stderr, result


def on_terminal(*arguments, **environment):
    """What a terminal of 80 columns gets."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve("/bin/sh", ["sh", "-c", 'stty cols 80 rows 24; exec "$@"', "sh", program, *arguments],
                  {**clean(), "TERM": "xterm", **environment})
    text = b""
    try:
        while chunk := os.read(terminal, 65536):
            text += chunk
    except OSError:  # the terminal's other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    return text.decode()


def test_terminal():
    """Colour on a terminal alone, and not against NO_COLOR; no line is wider than it."""
    arguments = ["plan", "--machine", "pack:8 [numa] core:8 pu:2", "--explain"]
    coloured = on_terminal(*arguments)
    assert "\033[1m" in coloured and "\033[48;2;" in coloured
    for more in [{"NO_COLOR": "1"}, {"TERM": "dumb"}]:
        plain = on_terminal(*arguments, **more)
        assert "\033" not in plain
        assert plain == re.sub("\033\\[[0-9;]*m", "", coloured)
        assert max(map(len, plain.splitlines())) <= 80, plain
    assert "\033" not in run(*arguments).stdout


main(globals())
