#!/usr/bin/env python3
"""What the pages say, held against what there is: pages_test.py CASE ROOT [PROGRAM]. Exit 77 with a reason: skipped."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

root = sys.argv[2]
program = sys.argv[3] if len(sys.argv) > 3 else ""


def read(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as f:
        return f.read()


def pages(pattern="**/*.md"):
    """Paths of all pages of the tree, relative to it."""
    found = glob.glob(pattern, root_dir=root, recursive=True)
    return sorted(page for page in found if not page.startswith("build/"))


def without_code(text):
    """A page without its fenced and indented blocks and its code spans."""
    text = re.sub(r"(?ms)^```.*?^```$", "", text)
    text = re.sub(r"(?m)^(?: {4}|\t).*$", "", text)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    """The ids that headings get."""
    text = re.sub(r"(?ms)^```.*?^```$", "", text)
    found = set()
    for heading in re.findall(r"(?m)^#+ +(.*?) *$", text):
        heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def header():
    return read("include", "numapool", "numapool.h")


def functions():
    """Names of the functions of the header."""
    found = re.findall(r"(?s)^NUMAPOOL_API[^;(]*?\b(numapool_\w+)\(", header(), re.M)
    assert len(found) > 30, found
    return found


def statistics():
    """Name and kind of each."""
    found = re.findall(r"X\((\w+), (counter|gauge), *\"", header())
    assert len(found) > 30, found
    return found


def test_links():
    """Relative links lead to files, and to headings there; pictures are there and tell what they show."""
    count = 0
    for page in pages():
        text = without_code(read(page))
        for mark, label, target in re.findall(r"(!?)\[([^]]*)\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            at = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            assert os.path.exists(os.path.join(root, at)), "%s: %s is not there" % (page, target)
            assert not mark or len(label) > 20, "%s: say what %s shows" % (page, target)
            if anchor:
                assert anchor in anchors(read(at)), "%s: %s has no heading #%s" % (page, at, anchor)
    assert count > 100, count


def test_index():
    """docs/README.md names every page beside it, and the front page names it."""
    text = read("docs", "README.md")
    for page in pages("docs/*.md") + pages("docs/*/README.md"):
        name = os.path.relpath(page, "docs")
        assert name == "README.md" or "](%s)" % name in text, name
    assert "](docs/README.md)" in read("README.md")
    for page in pages("docs/*.md"):
        contents = re.findall(r"(?m)^- \[([^]]*)\]\(#([\w-]+)\)$", read(page))
        wanted = re.findall(r"(?m)^## +(.*)$", re.sub(r"(?ms)^```.*?^```$", "", read(page)))
        assert not contents or [title for title, _ in contents] == wanted, (page, contents, wanted)


def test_knobs():
    """knobs.md has a part for every setting and no other, with its default; a link leads to each."""
    table = read("topology", "settings_table.c").split("IN_PLACEMENT(NPI_GROUP_EXPECT")[0]
    rows = re.findall(r"\{\.name = \"(\w+)\",(.*?)\.help", table, re.S)
    settings = {name: re.search(r"\.default_text = \"((?:\\.|[^\"])*)\"", row)[1] for name, row in rows}
    settings.pop("nodes", None)  # the first of the next group
    text = read("docs", "knobs.md")
    parts = dict(re.findall(r"(?ms)^### (\w+)$(.*?)(?=^##)", text))
    assert sorted(parts) == sorted(settings), set(parts) ^ set(settings)
    for name, default in settings.items():
        value = re.fullmatch(r'\\"(\w+)\\"|([\d.]+)', default)
        if value is None:  # words, such as "this machine"
            continue
        value = value[1] or value[2]
        shown = {"256K": "256 KiB"}.get(value, re.sub(r"^(\d+)us$", r"\1 µs", value))
        shown = re.sub(r"^(\d+)(ms|s)$", r"\1 \2", shown)
        said = " ".join(parts[name].split())
        assert re.search(r"Default: [^.]*%s|\"%s\"[^.;,\"]*\(default\)" % ((re.escape(shown),) * 2), said), (name, shown)


def test_metrics():
    """metrics.md has every statistic and its kind, and no line of the log that the library does not write."""
    text = read("docs", "metrics.md")
    listed = {}
    for names, kind in re.findall(r"(?m)^\| (`\w+`(?:, `\w+`)*) \| (counter|gauge) \|", text):
        for name in re.findall(r"\w+", names):
            assert name not in listed, name
            listed[name] = kind
    assert listed == dict(statistics()), set(listed.items()) ^ set(statistics())
    names = {"numapool_" + re.sub(r"_ns$", "_seconds", name) + ("_total" if kind == "counter" else "")
             for name, kind in statistics()} | {"numapool_wait_seconds_bucket", "numapool_run_seconds_bucket"}
    for name in re.findall(r"\bnumapool_\w+(?=\[5m\]| > )", text):
        assert name in names, name
    formats = ""
    for path in glob.glob(os.path.join(root, "src", "*", "*.c")):
        formats += re.sub(r"\"\s*\n\s*\"", "", read(path))
    formats = [re.sub(r"%[#.\d]*(?:ll)?[a-z]", "@", text) for text in re.findall(r"\"((?:\\.|[^\"\\\n])*)\"", formats)]
    known = "\n".join(formats)
    lines = re.findall(r"(?m)^\| `([^`]*)` \|", text.split("## What the log says")[1])
    assert len(lines) >= 8
    for line in lines:
        pattern = re.sub(r"\b[NMTS]\b|\bADDRESS\b|\bREASON\b|in (?:the drop of )?one task", "@", line)
        pattern = pattern.replace("been @", "been in @")
        assert pattern in known, (line, pattern)


def test_names():
    """The manual pages and guides name the library's functions, and none that is not there; numapool(3) all of them."""
    known = set(functions())
    page = read("docs", "man", "numapool.3.scd")
    missing = [name for name in known if "*%s*()" % name not in page]
    assert not missing, "numapool(3) leaves out %s" % missing
    results = set(re.findall(r"(?m)^    NUMAPOOL_E?_?\w+(?= = )", header().split("enum numapool_result {")[1].split("};")[0]))
    for name in results:
        assert "*%s*" % name.strip() in page, "numapool(3) leaves out " + name
    for path in pages("docs/**/*.md") + pages("docs/**/*.scd") + ["README.md"]:
        for name in re.findall(r"\b(numapool_\w+)\*?\(\)", read(path)):
            assert name in known, "%s names %s(), which is no function" % (path, name)
        for name in re.findall(r"\bNUMAPOOL_E_\w+", read(path)):
            assert re.search(r"\b%s\b" % name, header()), (path, name)


def test_manuals():
    """Each command has a page, with the options of its --help; numapool(1) names it."""
    listed = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"(?m)^  ([a-z]+) +[A-Z]", listed.split("Commands:")[1])
    assert "simulate" in commands, listed
    front = read("docs", "man", "numapool.1.scd")
    for command in commands:
        page = read("docs", "man", "numapool-%s.1.scd" % command)
        told = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True).stdout
        told = told.split("Settings of the pool")[0]
        options = set(re.findall(r"(?m)^ +(?:-\S, +|)(--[a-z][a-z-]*)", told)) - {"--help", "--usage", "--version"}
        heads = " ".join(re.findall(r"(?m)^\*-.*$", page))
        for option in options:
            assert option in heads, "numapool-%s(1) leaves out %s" % (command, option)
        assert "*numapool-%s*(1)" % command in front, command


def test_pictures():
    """The pictures are those that the commands in the guides make now."""
    if shutil.which("gnuplot") is None or not program:
        skip("no gnuplot, or no command")
    work = tempfile.mkdtemp(prefix="pictures.")
    made = subprocess.run([os.path.join(root, "docs", "pictures", "make.sh"), program, work], capture_output=True,
                          text=True, check=True).stdout.split()
    there = glob.glob("*.svg", root_dir=os.path.join(root, "docs", "pictures"))
    assert sorted(made) == sorted(there), (made, there)
    by = re.search(r"<desc>(.*)</desc>", read("docs", "pictures", there[0]))[1]
    for name in there:
        with open(os.path.join(work, name), encoding="utf-8") as f:
            now = f.read()
        if by not in now:
            skip("the pictures were %s, which is another gnuplot" % by.strip().lower())
        assert now == read("docs", "pictures", name), name + " is not up to date: run docs/pictures/make.sh"
    shutil.rmtree(work)


if __name__ == "__main__":
    globals()["test_" + sys.argv[1]]()
