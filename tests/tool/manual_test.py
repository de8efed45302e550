#!/usr/bin/env python3
"""The manual pages of the command and of its file; see command.py."""

import glob
import json
import re
import shutil
import subprocess

from command import helpers, main, root, run, skip, write


def entries(page, section):
    """Of a section of numapool.conf(5): name, what it takes, and its text, in order."""
    body = re.search(r"(?ms)^# %s$(.*?)(?=^# )" % section, page)[1]
    found = re.findall(r"(?m)^\*(\w+)\* = (.*)\n((?:(?:\t|\"|Default: ).*\n)+)", body)
    assert len(found) == len(re.findall(r"(?m)^\*\w+\* = ", body)), body
    return [(name, takes, " ".join(text.split())) for name, takes, text in found]


def test_reference():
    """numapool.conf(5) has every setting there is and no other, with its bounds, words and default."""
    lines = subprocess.run([helpers[0]], check=True, capture_output=True, text=True).stdout
    settings = [json.loads(line) for line in lines.splitlines()]
    with open(root + "/docs/man/numapool.conf.5.scd", encoding="utf-8") as f:
        page = f.read()
    for group in ["POOL", "EXPECT"]:
        table = {s["name"]: s for s in settings if s["group"] == group}
        found = entries(page, group)
        assert sorted(name for name, _, _ in found) == sorted(table), group
        for name, takes, text in found:
            s = table[name]
            assert takes == "_%s_%s" % (s["takes"], ' or "off"' if s["off"] else ""), (name, takes)
            bounds = re.findall(r"From (\S+ to \S+?)(?: characters)?[.,](?: |$)", text)
            assert bounds == ([s["bounds"]] if s["bounds"] else []), (name, bounds, s)
            assert re.findall(r'"(\w+)":', text) == s["words"], (name, text)
            default = re.sub("^# ", "", s["default"])
            assert text.endswith("Default: " + default + "."), (name, text, default)
            assert ("One of:" in text) == bool(s["words"])

    # An entry of the list `shard` has a table of its own, beside its reader.
    with open(root + "/topology/config_shards.c", encoding="utf-8") as f:
        rows = re.findall(r"(?s)\[SHARD_\w+\] = \{\.name = \"(\w+)\",\s*\.kind = NPI_SETTING_(\w+)", f.read())
    assert len(rows) == 5
    kinds = {"LIST": "_list_", "COUNT": "_count_", "BYTES": "_size_"}
    found = entries(page, "SHARD")
    assert [(name, takes) for name, takes, _ in found] == [(n, kinds[k]) for n, k in rows]
    for name, _, text in found:  # bounds are what the reader itself says of values outside of them
        bounds = re.search(r"From (\w+) to (\w+)\.", text)
        assert (bounds is None) == (name in ("cpus", "callers")), text
        if bounds:
            value = {"node": "9999", "workers": "99999", "memory": '"9999T"'}[name]
            write("s.conf", 'version = 1; shard = ( { cpus = "0"; %s = %s; } );\n' % (name, value))
            said = run("check", "s.conf", expect=1).stdout
            assert "out of range; %s to %s\n" % bounds.groups() in said, said

    # Names in the running text are no inventions either.
    known = {s["name"] for s in settings} | {n for n, _ in rows} | {"version", "pool", "expect", "shard"}
    for name in re.findall(r"(?<![\w-])\*([a-z]+(?:_[a-z]+)*)\*(?!\()", page):
        assert name in known, name
    for name in re.findall(r"NUMAPOOL_([A-Z_]+)", page):
        others = {"CONFIG", "ROOT", "DIR", "AGENT_SERVICE_HOST"}
        assert name in others or name.lower() in known, name


def test_manuals():
    """Options of --help are those of the page, and pages can be rendered."""
    for command in ["plan", "check", "agent"]:
        text = run(command, "--help").stdout.split("Settings of the pool")[0]
        with open(root + "/docs/man/numapool-%s.1.scd" % command, encoding="utf-8") as f:
            page = f.read()
        options = set(re.findall(r"--[a-z][a-z-]*", re.sub(r"(?s)^.*?\n\n", "", text, count=1)))
        listed = set(re.findall(r"--[a-z][a-z-]*", " ".join(re.findall(r"(?m)^\*-.*$", page))))
        extra = {"--machine"} if command == "plan" else set()  # there a setting, for its weight
        assert listed - {"--usage", "--help", "--version"} - extra == options - {
            "--usage", "--help", "--version"} - extra, (command, listed ^ options)
    if shutil.which("scdoc") is None or shutil.which("mandoc") is None:
        skip("no scdoc or mandoc; the options were compared")
    for path in glob.glob(root + "/docs/man/numapool*.scd"):
        with open(path, "rb") as f:
            roff = subprocess.run(["scdoc"], stdin=f, capture_output=True, check=True).stdout
        lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning"], input=roff, capture_output=True,
                              check=False).stdout.decode()
        # scdoc puts a paragraph where one begins anyway.
        lines = [line for line in lint.splitlines() if "skipping paragraph macro: PP" not in line]
        assert lines == [], (path, lines)
        shown = subprocess.run(["mandoc", "-Tutf8"], input=roff, capture_output=True, check=True).stdout
        assert b"S\x08SE\x08EE\x08E" in shown, path


main(globals())
