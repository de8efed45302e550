#!/usr/bin/env python3
"""numapool stat from outside: watch_test.py CASE PROGRAM POOL SOURCE. Exit 77 with a reason: skipped.

POOL is page_pool, a process with pools that does what it is told on its standard input.
"""

import json
import os
import re
import signal
import subprocess
import sys

from pools import MACHINE, Pools, case, pool_program, program, until

source = sys.argv[4]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def stat(*arguments, expect=0, **environment):
    result = subprocess.run([program, "stat", *map(str, arguments)], capture_output=True, text=True,
                            env={**os.environ, **environment}, timeout=100)
    assert result.returncode == expect, (arguments, result)
    assert "\x1b" not in result.stdout
    return result


def sample(pid):
    return json.loads(stat(pid, "--json").stdout)


def at_rest(pools, run):
    def look():
        seen = sample(pools.pid)
        rests = all(shard["state"] == "asleep" for shard in seen["shards"])
        return seen if rests and seen["total"]["run"] == run else None
    return until(f"{run} tasks run, and asleep", look)


def json_lines():
    """What it prints is what the pool itself says."""
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "run 0 1000")
    seen = at_rest(pools, 1000)
    assert seen["pid"] == pools.pid and seen["pool"] == "web" and seen["phase"] == "open", seen
    assert seen["command"] == "page_pool" and seen["budget"] == 8 and seen["nodes"] == 2, seen
    own = json.loads(pools.ask("stats 0"))
    assert len(own["shards"]) == len(seen["shards"]) == 2
    for mine, shown in zip(own["shards"], seen["shards"]):
        for name, value in mine.items():
            assert name == "bind_denied" or shown[name] == value, (name, value, shown)
        assert not shown["stale"] and shown["age_seconds"] == 0, shown
    times = {name for name in own["total"] if name.endswith("_ns")}
    for name, value in own["total"].items():
        assert name in times or name == "end" or seen["total"][name] == value, name
        # Of several shards together a time is known to an eighth.
        assert name not in times or value * 0.96 - 1025 <= seen["total"][name] <= value * 1.13 + 1025, name
    pools.tell("budget 0 6")
    until("the new budget", lambda: sample(pools.pid)["budget"] == 6)
    pools.tell("drain 0")
    assert sample(pools.pid)["phase"] == "draining"


def table():
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "run 0 1000", "hold 0 4")

    def only_held(total):
        """Workers that only look for another task may count as running, too."""
        return total["run"] == 1000 and total["queue_depth"] == 0 and total["workers_running"] == 4
    until("four tasks run", lambda: only_held(sample(pools.pid)["total"]))
    lines = until("rows without a remark", lambda: [] if "not updated" in (text := stat(pools.pid).stdout)
                  else text.splitlines())
    assert re.match(rf"{pools.pid} page_pool: pool web \(1\), open, 2 shards on 2 nodes, budget 8, "
                    r"\S+ of \S+ in use, up \S+$", lines[0]), lines[0]
    titles = lines[1].split()
    assert titles == ["SHRD", "NODE", "QUEUE", "RUN", "PARK", "BLOCK", "QUOTA", "DONE", "REFUSE",
                      "FORWRD", "STOLEN", "W50", "W99"], titles
    assert len(lines) == 5 and all(len(line) <= 80 for line in lines[1:]), lines
    rows = [line.split() for line in lines[2:]]
    assert [row[0] for row in rows] == ["0", "1", "all"], rows
    assert int(rows[0][3]) + int(rows[1][3]) == int(rows[2][2]) == 4, rows
    assert rows[2][6] == "1k", rows
    pools.tell("release 0")
    # One shard needs no sum.
    single = Pools()
    single.tell("create 0 one core:2 pu:1")
    assert len(stat(single.pid).stdout.splitlines()) == 3


def interval():
    """Totals first, then rates: what they add up to is what was run."""
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "run 0 500", "stream")

    def rates():
        """False: nothing was published meanwhile. So far there is no rate."""
        out = stat(pools.pid, "-i", "0.1", "-n", "8", "--json").stdout.splitlines()
        lines = [json.loads(line) for line in out]
        assert len(lines) == 8
        assert len({line["time"] for line in lines}) == 8, [line["time"] for line in lines]
        assert "per_second" not in lines[0]["total"]
        for before, now in zip(lines, lines[1:]):
            for left, right in zip(before["shards"], now["shards"]):
                if "per_second" not in right:
                    assert right["run"] == left["run"], (left, right)
                    continue
                done = right["per_second"]["run"] * right["interval"]["seconds"]
                # A look between two publications repeats the rate before.
                assert abs(done - (right["run"] - left["run"])) < 1.5 or right["run"] == left["run"], (left, right)
                assert right["per_second"]["run"] >= 0 and "queue_depth" not in right["per_second"]
        return all("per_second" in shard for shard in lines[-1]["shards"]) and \
            lines[-1]["total"]["run"] > lines[0]["total"]["run"]
    until("tasks are run meanwhile", rates)

    def headings():
        """Again after 20 rows, three at a time; and where the first rate is."""
        text = stat(pools.pid, "-i", "0.05", "-n", "30").stdout
        first, *parts = re.split(r"^SHRD .* (DONE|DONE/S) .*\n", text, flags=re.M)
        titles, looks = parts[::2], [len(re.findall(r"^ all ", part, re.M)) for part in parts[1::2]]
        assert " all " not in first and sum(looks) == 30 and titles[0] == "DONE", text
        for i in range(len(looks) - 1):
            assert looks[i] == 7 or (looks[i] < 7 and (titles[i], titles[i + 1]) == ("DONE", "DONE/S")), text
            assert titles[i] == "DONE" or titles[i + 1] == "DONE/S", text
        assert 1 <= min(looks) and looks[-1] <= 7, text
        return "DONE/S" in titles
    until("a rate is seen", headings)


def prometheus():
    """The same text as the library's, and the official parser takes it."""
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "run 0 1000")
    at_rest(pools, 1000)
    text = stat(pools.pid, "--prom").stdout
    assert text == pools.text("prom 0")
    # Two pools, of one name even: each family once, no series twice.
    pools.tell("create 1 web core:2 pu:1", "run 1 10")
    until("both", lambda: 'numapool_run_total{pool="web.2",shard="0",node="0"} 10' in
          stat(pools.pid, "--prom").stdout)
    text = stat(pools.pid, "--prom").stdout
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    helps = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        skip("no python3-prometheus-client, whose parser judges the text")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    run = families["numapool_run"]
    assert run.type == "counter", run
    values = {(s.labels["pool"], s.labels["shard"]): s.value for s in run.samples}
    assert values[("web.2", "0")] == 10 and values[("web", "0")] + values[("web", "1")] == 1000, values
    wait = families["numapool_wait_seconds"]
    assert wait.type == "histogram", wait
    for shard in ("0", "1"):
        mine = [s for s in wait.samples if s.labels["pool"] == "web" and s.labels["shard"] == shard]
        buckets = [(float(s.labels["le"]), s.value) for s in mine if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
        count = next(s.value for s in mine if s.name.endswith("_count"))
        assert buckets[-1] == (float("inf"), count) and count > 0
    assert len(families) > 35


def grafana():
    """Every metric and label of the dashboard exists in a real scrape."""
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "run 0 10")
    text = stat(pools.pid, "--prom").stdout
    names = set(re.findall(r"^(numapool_[a-z0-9_]+)", text, re.M))
    labels = set(re.findall(r"[{,]([a-z]+)=", text)) | {"job", "instance"}  # those Prometheus adds
    with open(os.path.join(source, "docs/grafana/numapool.json"), encoding="utf-8") as file:
        board = json.load(file)
    expressions, ids, taken = [], set(), set()
    for panel in board["panels"]:
        assert panel["id"] not in ids and panel["title"] and panel["type"], panel
        ids.add(panel["id"])
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["targets"] and panel["description"], panel["title"]
        expressions += [target["expr"] for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            expressions.append(variable["query"]["query"])
    used = set()
    for expression in expressions:
        metrics = re.findall(r"numapool_[a-z0-9_]+", expression)
        assert metrics, expression
        used |= set(metrics)
        for group in re.findall(r"\{([^}]*)\}", expression):
            assert set(re.findall(r"([a-z]+)=", group)) <= labels, expression
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert set(re.split(r", *", group)) <= labels, expression
        # A counter is only of use as a rate, a gauge never is.
        for metric in metrics:
            rated = re.search(rf"(rate|increase)\({metric}\b", expression)
            counter = metric.endswith(("_total", "_bucket", "_count", "_sum"))
            assert "label_values" in expression or bool(rated) == counter, expression
    assert used <= names, used - names
    assert len(used) > 20, used


def errors():
    def complaint(*arguments, expect):
        result = stat(*arguments, expect=expect)
        assert result.stdout == "" and result.stderr, result
        return result.stderr
    assert "there is no process 2147483647" in complaint(2147483647, expect=2)
    assert "'abc' is not the number of a process" in complaint("abc", expect=2)
    assert "'-3' is not the number" in complaint("--", "-3", expect=2)
    assert "shows no pool" in complaint(os.getpid(), expect=1)
    assert "one process at a time" in complaint(1, 2, expect=2)
    assert "--interval is seconds" in complaint(1, "-i", "0", expect=2)
    assert "--interval is seconds" in complaint(1, "-i", "nan", expect=2)
    assert "--count is a whole number" in complaint(1, "-n", "-1", expect=2)
    assert "--prom is printed once" in complaint(1, "--prom", "--json", expect=2)
    # A pool that does not show itself.
    quiet = Pools(NUMAPOOL_STATS_PAGE="off")
    quiet.tell(f"create 0 web {MACHINE}")
    assert "shows no pool" in complaint(quiet.pid, expect=1)
    # A child of fork() has the descriptor; the page is its parent's.
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}")
    child = int(pools.ask("fork 0"))
    assert "shows no pool" in complaint(child, expect=1)
    os.kill(child, signal.SIGKILL)
    # A page of a version to come.
    page = os.memfd_create("numapool/new", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(page, b"numapool" + (99).to_bytes(4, sys.byteorder) + (256).to_bytes(4, sys.byteorder) + bytes(4080))
    import fcntl
    fcntl.fcntl(page, 1033, 2 | 4)  # F_ADD_SEALS: F_SEAL_SHRINK | F_SEAL_GROW
    said = complaint(os.getpid(), expect=1)
    assert "has version 99, this program knows 1" in said, said
    os.close(page)
    # Somebody else's: as nobody, who may not look at this user's processes.
    if os.geteuid() == 0:
        result = subprocess.run([program, "stat", str(pools.pid)], capture_output=True, text=True, timeout=100,
                                user=65534, group=65534, extra_groups=[])
        assert result.returncode == 2 and "may not be looked at" in result.stderr, result
    # Who writes to a full disk hears of it.
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([program, "stat", str(pools.pid)], stdout=full, stderr=subprocess.PIPE,
                                text=True, timeout=100)
        assert result.returncode == 2 and "cannot be written" in result.stderr, result


def several():
    """Without a PID: the only one, or a list. Others may have pools on this machine, too."""
    first, second = Pools(), Pools()
    first.tell(f"create 0 one {MACHINE}", "create 1 two core:2 pu:1")
    second.tell("create 0 six core:2 pu:1")
    said = stat(expect=2).stderr
    assert "several processes show pools; name one of them" in said, said
    assert re.search(rf"^ *{first.pid}  page_pool +one two$", said, re.M), said
    assert re.search(rf"^ *{second.pid}  page_pool +six$", said, re.M), said
    # Both pools of a process, in the order they were made.
    out = [json.loads(line) for line in stat(first.pid, "--json").stdout.splitlines()]
    assert [(line["pool"], line["pool_id"]) for line in out] == [("one", 1), ("two", 2)], out
    # One of them ends, another comes.
    watcher = subprocess.Popen([program, "stat", str(first.pid), "-i", "0.05", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert json.loads(watcher.stdout.readline())["pool"] == "one"
    first.tell("destroy 0")
    while True:
        line = json.loads(watcher.stdout.readline())
        if line["pool"] == "one" and line["phase"] == "closed":
            break
    for _ in range(6):
        assert json.loads(watcher.stdout.readline())["pool"] == "two"
    # One that is made while another is there.
    first.tell("create 2 new core:2 pu:1")
    while json.loads(watcher.stdout.readline())["pool"] != "new":
        pass
    first.tell("destroy 1", "destroy 2")
    assert watcher.wait(timeout=100) == 0
    assert "has no open pool any more" in watcher.stderr.read()
    assert "shows no pool" in stat(first.pid, expect=1).stderr
    # In a table rows stand under the name of their pool, also the last ones.
    first.tell("create 0 one core:2 pu:1", "create 1 two core:2 pu:1")
    watcher = subprocess.Popen([program, "stat", str(first.pid), "-i", "0.05"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    first_line = watcher.stdout.readline()
    assert ": pool one (4), open," in first_line, first_line
    first.tell("destroy 1")
    assert "pool two is closed" in watcher.stderr.readline()
    first.tell("destroy 0")
    lines = watcher.stdout.read().splitlines()
    assert watcher.wait(timeout=100) == 0
    closed = next((i for i, line in enumerate(lines) if ": pool two (5), closed," in line), None)
    assert closed is not None, lines
    # A row, and then those of the other, by its name although it is the only one now.
    row = next(i for i in range(closed + 1, len(lines)) if re.match(r" *0 ", lines[i]))
    assert ": pool one (4), " in lines[row + 1], lines[closed:]


def namespace():
    """A container's process knows itself by another number. And in one that has no other: the only one is taken."""
    enter = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    try:
        allowed = subprocess.run([*enter, "true"], capture_output=True, timeout=100).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        skip("unshare may make no namespaces here")
    script = (f"(echo 'create 0 web core:2 pu:1'; exec sleep 1000) | '{pool_program}' > /dev/null & "
              f"until '{program}' stat --json 2> /dev/null; do sleep 0.1; done; exec sleep 1000")
    inside = subprocess.Popen([*enter, "--kill-child", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        seen = json.loads(inside.stdout.readline())
        assert seen["pool"] == "web", seen

        def outside():
            with open(f"/proc/{inside.pid}/task/{inside.pid}/children", encoding="ascii") as file:
                shell = file.read().split()[0]
            with open(f"/proc/{shell}/task/{shell}/children", encoding="ascii") as file:
                return next((child for child in file.read().split()
                             if os.readlink(f"/proc/{child}/exe") == os.path.realpath(pool_program)), None)
        shown = sample(until("the process from outside", outside))
        assert shown["pool"] == "web" and shown["pid"] != seen["pid"], (seen, shown)
        assert shown["up_seconds"] >= seen["up_seconds"], (seen, shown)
    finally:
        inside.kill()
        inside.wait()


def ends():
    """The process ends while it is looked at, killed or by itself; also in the middle of its work."""
    for how in (signal.SIGKILL, signal.SIGTERM):
        for count, status in (([], 0), (["-n", "100000"], 1)):
            pools = Pools()
            pools.tell(f"create 0 web {MACHINE}", "stream")
            watcher = subprocess.Popen([program, "stat", str(pools.pid), "-i", "0.02", "--json", *count],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(5):
                json.loads(watcher.stdout.readline())
            os.kill(pools.pid, how)  # and it is not reaped yet
            # Not communicate(), which knows nothing of what readline() has read ahead.
            out, said = watcher.stdout.read(), watcher.stderr.read()
            assert watcher.wait(timeout=100) == status, (watcher.returncode, said)
            assert f"process {pools.pid} (page_pool) has ended" in said, said
            assert all(json.loads(line) for line in out.splitlines())
            pools.process.wait()


def stands():
    """One that was stopped is not taken for one at rest."""
    pools = Pools()
    pools.tell(f"create 0 web {MACHINE}", "hold 0 4")

    def works():
        total = sample(pools.pid)["total"]
        return total["queue_depth"] == 0 and total["workers_running"] == 4 and not total["stale"]
    until("it works", works)

    def stopped():
        """In the middle of writing there is nothing to be read: it goes on, and is stopped again."""
        os.kill(pools.pid, signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(pools.pid, os.WUNTRACED)[1])
        result = subprocess.run([program, "stat", str(pools.pid)], capture_output=True, text=True, timeout=100)
        if result.returncode != 0:
            assert "stands still" in result.stderr, result
            os.kill(pools.pid, signal.SIGCONT)
        return result.returncode == 0
    until("it is stopped", stopped)
    seen = until("it is seen to stand still", lambda: (lambda s: s if s["total"]["stale"] else None)(sample(pools.pid)))
    assert seen["total"]["age_seconds"] > 2 and seen["total"]["workers_running"] == 4, seen
    assert "not updated for" in stat(pools.pid).stdout
    os.kill(pools.pid, signal.SIGCONT)
    until("it goes on", lambda: not sample(pools.pid)["total"]["stale"])
    pools.tell("release 0")


try:
    globals()[case]()
finally:
    for pools in Pools.everybody:
        pools.kill()
