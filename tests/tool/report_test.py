#!/usr/bin/env python3
"""numapool report from outside: report_test.py CASE PROGRAM DATA. Exit 77 with a reason: skipped."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

case, program, data = sys.argv[1:]
work = tempfile.mkdtemp(prefix="report_test.")
VOID = {"meta", "br", "link", "img", "hr", "input"}


def run(*arguments, expect=0, **environment):
    result = subprocess.run([program, "report", *arguments], capture_output=True, text=True, cwd=work,
                            env={**os.environ, **environment}, timeout=100)
    assert result.returncode == expect, (arguments, result)
    return result


def file(name):
    return os.path.join(data, name)


def overloads():
    return [file(name) for name in sorted(os.listdir(data)) if name.startswith("overload-")]


class Page(html.parser.HTMLParser):
    """Tags balanced, nothing fetched or run; collects text, tags and attributes."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        with open(path, encoding="utf-8") as f:
            self.source = f.read()
        self.open, self.tags, self.ids, self.text = [], [], [], ""
        self.feed(self.source)
        self.close()
        assert not self.open, self.open
        assert len(self.ids) == len(set(self.ids)), "an id is there twice"
        outside = set(re.findall(r"[a-z]+://[^\s\"'<]*", self.source))
        assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, outside
        assert "@import" not in self.source

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_starttag(self, tag, attributes):
        assert tag not in {"script", "iframe", "object", "img", "link"}, tag
        for key, value in attributes:
            assert not key.startswith("on"), key
            if key in {"href", "src", "xlink:href"}:
                assert value.startswith("#"), value
            if key == "id":
                self.ids.append(value)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, text):
        self.text += text

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)

    def pictures(self):
        return [attributes.get("aria-label") for tag, attributes in self.tags if tag == "svg"]


def page_of(*arguments, **environment):
    path = os.path.join(work, "page.html")
    run(*arguments, "-o", path, **environment)
    return Page(path)


def test_page():
    """Without gnuplot: everything but its pictures, and how to get these."""
    page = page_of(file("bench-new.json"), *overloads(), PATH=work)
    assert "apt install gnuplot-nox" in page.text
    assert page.count("svg") == 0
    for text in ["submit/producers:4/pool:numapool", "governor", "performance", "× 10.6",
                 "not measured: no other processor is free", "to 1", "nodes: stream_gb_per_s"]:
        assert text in page.text, text
    assert "manual_time" not in page.text
    heat = [a for tag, a in page.tags if tag == "td" and "--shade" in a.get("style", "")]
    assert len(heat) == 3 * 4, heat
    for tag in ["table", "caption"]:
        assert page.count(tag) == page.source.count("<table"), tag
    assert page.count("tr") > 100
    assert "prefers-color-scheme" in page.source


def test_simulation():
    """A prediction is a run like any other."""
    page = page_of(file("simulate-skew.json"), PATH=work)
    name = "simulate/machine:pack:4 [numa] core:4 pu:1/load:skew.load/pool:"
    for text in [name + "balanced", name + "split evenly", "7.97 k/s", "normal_e2e_p99_ms",
                 "normal_wait_p999_ms"]:
        assert text in page.text, text


def test_pictures():
    if shutil.which("gnuplot") is None:
        print("skipped: no gnuplot, which draws them")
        sys.exit(77)
    page = page_of(file("bench-new.json"), *overloads())
    assert page.pictures() == [
        "submit: tasks_per_s against producers",
        "wake: latency by percentile",
        "overload: completed per second against offered per second",
        "overload: 99 % end to end against offered per second",
        "overload/rate:12000/skew:0.9/machine:pack:4 [numa] core:2 pu:1/pool:numapool: "
        "quota of each shard",
        "overload/rate:12000/skew:0.9/machine:pack:4 [numa] core:2 pu:1/pool:numapool: "
        "queue of each shard",
    ], page.pictures()
    assert "gnuplot could not" not in page.text
    assert "apt install" not in page.text
    for text in ["99.99 %", "10 M/s", "shard 3, node 3", "100 µs", "200 ms"]:
        assert text in page.text, text
    # One colour for a pool, and numapool's in every picture of pools.
    pictures = re.findall(r"<svg.*?</svg>", page.source, re.S)
    for picture in pictures[:4]:
        assert "rgb(213,  94,   0)" in picture
        assert "stroke-width=\"3.50\"" in picture
    # Files come in any order; a line goes from left to right.
    for picture in pictures[:4]:
        lines = re.findall(r"M[0-9.]+,[0-9.]+(?:\s+L[0-9.]+,[0-9.]+)+", picture)
        longest = max(lines, key=lambda line: line.count("L"))
        x = [float(number) for number in re.findall(r"([0-9.]+),", longest)]
        assert len(x) > 3 and x == sorted(x), x


def test_pools():
    """Each of many pools has a line of its own kind; a variant of numapool has its colour."""
    if shutil.which("gnuplot") is None:
        print("skipped: no gnuplot, which draws them")
        sys.exit(77)
    pools = ["bare", "numapool", "numapool-spin", "a", "b", "c", "d", "e", "f"]
    path = os.path.join(work, "pools.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"benchmarks": [{"name": f"submit/producers:{n}/pool:{pool}", "tasks_per_s": n}
                                  for pool in pools for n in (1, 2)]}, f)
    source = page_of(path).source
    kinds = []
    for part in re.split(r"<g id=\"[^\"]*plot_[0-9]+\"", source)[1:]:
        line = re.search(r"<path stroke='(rgb[^']*)'(\s+stroke-dasharray)?", part)
        kinds.append((line[1], line[2] is not None))
    assert len(set(kinds)) == len(pools) == len(kinds), kinds
    assert kinds[1] == ("rgb(213,  94,   0)", False) and kinds[2] == ("rgb(213,  94,   0)", True), kinds
    assert sum(colour == kinds[1][0] for colour, _ in kinds) == 2, kinds


def verdicts(output):
    found = {}
    for line in output.splitlines():
        match = re.match(r"(\S+)\s+(\S+)\s.*%\s\s(\w.*)$", line)
        if match:
            found[match[1], match[2]] = match[3]
    return found


def test_compare():
    old, new = file("bench-old.json"), file("bench-new.json")
    found = verdicts(run("--compare", old, new).stdout)
    slower = {key for key, verdict in found.items() if verdict == "slower"}
    assert slower == {("wake/pool:numapool", "p99_ns")}, slower
    assert not {key for key, verdict in found.items() if verdict == "faster"}
    # The newer machine is a fifth slower; beside the baseline that cancels out.
    assert found["submit/producers:4/pool:numapool", "tasks_per_s"] == "no difference seen"
    assert found["submit/producers:4/pool:fixed", "tasks_per_s"].startswith("not judged")

    assert verdicts(run("--compare", new, old).stdout)["wake/pool:numapool", "p99_ns"] == "faster"
    run("--compare", old, new, "--fail-on-slower", expect=1)
    run("--compare", old, old, "--fail-on-slower")
    run("--compare", old, new, "--fail-on-slower", "--least", "40")
    run("--compare", old, new, "--least", "x", expect=2)

    # A figure that is gone is not passed over.
    less = os.path.join(work, "less.json")
    with open(new, encoding="utf-8") as f:
        run_less = json.load(f)
    for entry in run_less["benchmarks"]:
        entry.pop("p99_ns", None)
    with open(less, "w", encoding="utf-8") as f:
        json.dump(run_less, f)
    assert re.search(r"wake/pool:numapool +p99_ns +only in the older run", run("--compare", old, less).stdout)
    assert re.search(r"wake/pool:numapool +p99_ns +only in the newer run", run("--compare", less, old).stdout)

    page = page_of("--compare", old, new)
    assert "older: bench-old.json" in page.text and "slower" in page.text
    assert "drift of the machine cancels out" in page.text

    # One round each, as overload files have.
    few = verdicts(run("--compare", file("overload-5000.json"), file("overload-5000.json")).stdout)
    assert not few
    out = run("--compare", file("overload-5000.json"), file("overload-5000.json")).stdout
    assert "too few rounds to say" in out
    out = run("--compare", file("overload-5000.json"), new).stdout
    assert "only in the older run" in out and "only in the newer run" in out


def test_hostile():
    """Names that would be markup, or commands to gnuplot, are text."""
    evil = "</td><script>alert(1)</script>\" onload='x' & '.`touch ran`.' \\n \u00e9\n!touch ran\n"
    bad = evil.replace("/", ":")
    entries = [{"name": f"submit/producers:{n}/x:{bad}/pool:{bad}", evil: 1, "tasks_per_s": n,
                "p50_ns": 1e300} for n in (1, 2, 1e308)]
    entries += [{"name": f"wake/pool:{bad}{i}", "p50_ns": 1, "p99_ns": -i, "p999_ns": 0} for i in range(40)]
    entries += [{"name": f"nodes/from:{bad}/to:{i}", "x_ns": i} for i in range(3)]
    entries += [{"name": bad, "error_occurred": True, "error_message": evil}]
    entries += [{"name": "", "p50_ns": 1}, {"name": "/////", "p50_ns": 1}]
    path = os.path.join(work, "<b>&.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"context": {evil: evil}, "benchmarks": entries}, f)
    for page in (page_of(path), page_of("--compare", path, path)):
        assert "script" not in dict(page.tags)
        assert "<script>alert(1)" in page.text
        assert not os.path.exists(os.path.join(work, "ran"))
        assert "gnuplot could not" not in page.text
        if shutil.which("gnuplot") is not None:
            assert any("\" onload='x'" in label for label in page.pictures()), page.pictures()


def test_gnuplot():
    """Programs of that name that do something else."""
    def with_gnuplot(script):
        path = os.path.join(work, "gnuplot")
        with open(path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)
        return page_of(file("bench-new.json"), PATH=work + ":/bin:/usr/bin")

    assert "apt install gnuplot-nox" in with_gnuplot("exit 3").text
    assert "apt install gnuplot-nox" in with_gnuplot("kill -9 $$").text
    for script in ["", "echo '<svg> no end'", "cat; echo '</svg>'"]:
        page = with_gnuplot(script)
        assert "gnuplot could not draw this" in page.text and page.count("svg") == 0, script
    assert with_gnuplot("cat >/dev/null; echo '<?xml?><svg a=\"b\"></svg>'").count("svg") == 2


def test_mistakes():
    path = os.path.join(work, "bad.json")
    page = os.path.join(work, "none.html")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"benchmarks": [\n{"name": "a",\n"p50_ns": "3"}]}')
    result = run(path, "-o", page, expect=2)
    assert result.stderr == (f'numapool report: {path}:3: "p50_ns" is "3", a string; '
                             "a number is right\n"), result.stderr
    assert not os.path.exists(page)
    run(file("bench-new.json"), expect=2)
    run("-o", page, expect=2)
    run(file("bench-new.json"), "-o", work + "/nowhere/page.html", expect=2)
    run(*[file("bench-new.json")] * 65, "-o", page, expect=2)
    assert "--compare=OLDER" in run("--help").stdout
    if os.path.exists("/dev/full"):
        result = run(file("overload-5000.json"), "-o", "/dev/full", expect=2, PATH=work)
        assert "could not be written whole" in result.stderr, result
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([program, "report", "--compare"] + [file("overload-5000.json")] * 2,
                                    stdout=full, timeout=100)
        assert result.returncode == 2, result


try:
    globals()["test_" + case]()
finally:
    shutil.rmtree(work)
