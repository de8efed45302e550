#!/usr/bin/env python3
"""Compiles, runs and loads what a page of docs/ shows: snippets.py PAGE [--with PACKAGE] --root ... (below).

A fenced block says after its language what it is; blocks are taken in the order of the page, in one directory:

    ```c run [file=NAME]      a whole program: compiled against the built library, run, exit 0
    ```c in=FRAME             part of one: it takes the place of SNIPPET in frames/FRAME.c.in, then as `run`
    ```c compile              a whole program that is compiled only (it serves, or waits for somebody)
    ```c fragment: REASON     not a program; the reason is for whoever reads the source of the page
    ```cpp ...                the same, as C++17
    ```conf                   a configuration file: it has to load
    ```conf mistakes          one with mistakes; the ```text block that follows is what they are told as
    ```conf fragment: REASON
    ```ini unit               a unit of systemd: `systemd-analyze verify` finds nothing (its program is not looked for)
    ```yaml                   it can be read
    ```sh run                 run by sh, with the built command `numapool` and pkg-config finding the library
    ```text                   right after a block that runs: its whole output. A line `...` stands for any lines,
                              `<...>` within a line for anything; `text any order` compares sorted lines

`needs=` names what a block cannot do without, and it is passed over where that is missing: `command:plan` (a
subcommand), `program:jq`, `header:numapool/numapool.hpp`, or a package of pkg-config. Those with a package are
a test of their own, --with PACKAGE. A block of c, cpp or conf that says nothing is a mistake; sh blocks that say
nothing are read by `sh -n`, and their options of `numapool` are looked up in its --help. Exit 77: nothing could be
tried.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]


class Block:
    """A fenced block: where, what, and what it says about itself."""

    def __init__(self, page, line, info, text):
        self.where = "%s:%d" % (page, line)
        self.text = text
        head, _, reason = info.partition("fragment:")
        words = head.split()
        self.language = words[0] if words else ""
        self.reason = reason.strip() if "fragment:" in info else None
        self.options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        self.words = [word for word in words[1:] if "=" not in word]
        self.needs = self.options.get("needs", "").split(",") if "needs" in self.options else []

    def package(self):
        """The package of pkg-config that it needs, or None."""
        found = [need for need in self.needs if ":" not in need]
        return found[0] if found else None


def blocks_of(path, page):
    """All fenced blocks of a page. A fence has three backticks at the begin of a line."""
    found, opened = [], None
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if opened is None and line.startswith("```"):
                opened = (number, line[3:].strip(), [])
            elif opened is not None and line.startswith("```"):
                assert line.strip() == "```", "%s:%d: a fence is not closed" % (page, opened[0])
                found.append(Block(page, opened[0], opened[1], "".join(opened[2])))
                opened = None
            elif opened is not None:
                opened[2].append(line)
    assert opened is None, "%s:%d: a fence is not closed" % (page, opened[0])
    return found


def shortened(lines):
    """Text for a person, of lines that may be many."""
    return "\n".join(lines if len(lines) <= 40 else lines[:30] + ["(%d more lines)" % (len(lines) - 30)])


class Failure(Exception):
    """A block is not what the page says."""


class Page:
    """The run through one page."""

    def __init__(self, arguments):
        self.a = arguments
        self.work = tempfile.mkdtemp(prefix="snippets.")
        self.done = self.passed_over = 0
        self.output = None  # of the block before
        for name in ["docs", "examples", "src", "topology"]:  # what a page names from the root of the tree
            os.symlink(os.path.join(self.a.root, name), os.path.join(self.work, name))
        self.environment = self.make_environment()

    def make_environment(self):
        """What a user with an installed library has: a .pc file, the command, the library's directory."""
        pc = os.path.join(self.work, ".pkg")
        os.mkdir(pc)
        with open(os.path.join(pc, "numapool.pc"), "w", encoding="utf-8") as f:
            f.write("Name: numapool\nDescription: the build tree\nVersion: %s\nCflags: -I%s/include\n"
                    "Libs: -L%s -lnumapool\n" % (self.a.version, self.a.root, self.a.library_dir))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMAPOOL_")}
        old = os.environ.get("PKG_CONFIG_PATH")
        path = os.environ["PATH"]
        if self.a.command:
            path = os.path.dirname(self.a.command) + ":" + path
        return {**kept, "PATH": path, "PKG_CONFIG_PATH": pc + (":" + old if old else ""),
                "LD_LIBRARY_PATH": self.a.library_dir, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}

    def run(self, *command, **options):
        return subprocess.run(command, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200,
                              check=False, **options)

    def has(self, need):
        kind, _, name = need.rpartition(":")
        if kind == "command":
            if not self.a.command:
                return False
            listed = self.run(self.a.command, "--help").stdout
            return re.search(r"(?m)^  %s\b" % re.escape(name), listed) is not None
        if kind == "program":
            return shutil.which(name) is not None
        if kind == "header":
            return os.path.exists(os.path.join(self.a.root, "include", name))
        assert kind == "", need
        return self.run("pkg-config", "--exists", name).returncode == 0

    def build(self, block, source):
        """Writes the source and compiles it; the program's path."""
        cpp = block.language == "cpp"
        name = block.options.get("file", "snippet." + ("cpp" if cpp else "c"))
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(source)
        compiler = [self.a.cxx, "-std=c++17"] if cpp else [self.a.cc, "-std=gnu11"]
        flags = self.run("pkg-config", "--cflags", "--libs", "numapool", *filter(None, [block.package()]))
        if flags.returncode != 0:
            raise Failure(flags.stdout)
        program = os.path.join(self.work, "snippet")
        result = self.run(*compiler, *WARNINGS, path, "-o", program, *shlex.split(flags.stdout))
        if result.returncode != 0:
            raise Failure(result.stdout)
        return program

    def source_of(self, block):
        """The block itself, or its frame around it. A frame's own warnings name its own lines."""
        if "in" not in block.options:
            return block.text
        frame = os.path.join(HERE, "frames", block.options["in"] + "." + block.language + ".in")
        with open(frame, encoding="utf-8") as f:
            before, mark, after = f.read().partition("    SNIPPET\n")
        if not mark:
            raise Failure(frame + " has no SNIPPET")
        after_line = before.count("\n") + 2
        page, line = block.where.rsplit(":", 1)
        return '%s#line %d "%s"\n%s#line %d "%s"\n%s' % (before, int(line) + 1, page, block.text, after_line,
                                                         frame, after)

    def expect_success(self, result):
        if result.returncode != 0:
            raise Failure("exit status %d\n%s" % (result.returncode, result.stdout))
        self.output = result.stdout
        self.done += 1

    def try_program(self, block):
        if block.language == "cpp" and not self.a.cxx:
            raise Failure("no C++ compiler was given")
        program = self.build(block, self.source_of(block))
        if "compile" in block.words:
            self.done += 1
            return
        self.expect_success(self.run(program))

    def try_conf(self, block):
        if not self.a.loader:
            self.pass_over(block, "configuration files in this build")
            return
        name = block.options.get("file", "snippet.conf")
        with open(os.path.join(self.work, name), "w", encoding="utf-8") as f:
            f.write(block.text)
        result = self.run(self.a.loader, name)
        if "mistakes" not in block.words:
            self.expect_success(result)
            self.output = None
            return
        if result.returncode != 1:
            raise Failure("no mistakes were found\n" + result.stdout)
        self.output = result.stdout
        self.done += 1

    def try_shell(self, block):
        check = subprocess.run(["sh", "-n"], input=block.text, text=True, capture_output=True, check=False)
        if check.returncode != 0:
            raise Failure(check.stderr)
        self.look_up_options(block)
        if "run" in block.words:
            self.expect_success(self.run("sh", "-euc", block.text))

    def look_up_options(self, block):
        """`numapool NAME --option` in a shell: NAME and options are there, as far as they are built."""
        text = re.sub(r"\$\([^)]*\)", "X", block.text.replace("\\\n", " "))
        for name, rest in re.findall(r"(?m)\bnumapool ([a-z]+)((?: [^|;&\n>)]*)?)", text):
            if not self.has("command:" + name):
                print("%s: not looked up: numapool %s is not built" % (block.where, name))
                continue
            told = self.run(self.a.command, name, "--help").stdout
            for option in re.findall(r"(?<=\s)(--[a-z][a-z-]*)", rest):
                if not re.search(r"%s(?![a-z-])" % re.escape(option), told):
                    raise Failure("numapool %s has no option %s" % (name, option))

    def pass_over(self, block, missing):
        self.passed_over += 1
        print("%s: passed over: no %s" % (block.where, missing))

    def try_unit(self, block):
        if shutil.which("systemd-analyze") is None:
            self.pass_over(block, "systemd-analyze")
            return
        with open(os.path.join(self.work, "snippet.service"), "w", encoding="utf-8") as f:
            f.write(re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", block.text))
        result = self.run("systemd-analyze", "verify", "--man=no", "./snippet.service")
        complaints = [line for line in result.stdout.splitlines() if "snippet.service" in line]
        if complaints:
            raise Failure("\n".join(complaints))
        self.done += 1

    def try_yaml(self, block):
        try:
            import yaml  # python3-yaml, which need not be there
        except ImportError:
            self.pass_over(block, "python3-yaml")
            return
        try:
            yaml.safe_load(block.text)
        except yaml.YAMLError as error:
            raise Failure(str(error)) from error
        self.done += 1

    def try_text(self, block):
        """The output of what ran before."""
        if self.output is None:
            return
        wanted, got = block.text.strip("\n").split("\n"), self.output.strip("\n").split("\n")
        if "order" in block.words:
            wanted, got = sorted(wanted), sorted(got)
        pattern = ""
        for line in wanted:
            if line.strip() == "...":
                pattern += r"(?:.*\n)*"
            else:
                pattern += ".*".join(re.escape(part) for part in line.split("<...>")) + r"\n"
        if not re.fullmatch(pattern, "\n".join(line.rstrip() for line in got) + "\n"):
            raise Failure("it said\n%s\nand not\n%s" % (shortened(got), shortened(wanted)))

    def try_block(self, block):
        if block.language in ("c", "cpp", "conf", "sh") and block.reason is not None:
            if len(block.reason.split()) < 3:
                raise Failure("a fragment has to say why it is none of the others")
            self.output = None
            return
        if block.language == "text":
            self.try_text(block)
            self.output = None
            return
        self.output = None
        missing = [need for need in block.needs if not self.has(need)]
        if missing:
            self.pass_over(block, ", ".join(missing))
            return
        if block.language in ("c", "cpp"):
            if "run" not in block.words and "compile" not in block.words and "in" not in block.options:
                raise Failure("nothing says how this is tried: run, in=FRAME, compile or fragment: REASON")
            self.try_program(block)
        elif block.language == "conf":
            self.try_conf(block)
        elif block.language == "sh":
            self.try_shell(block)
        elif block.language == "ini" and "unit" in block.words:
            self.try_unit(block)
        elif block.language == "yaml":
            self.try_yaml(block)

    def try_all(self):
        failed = 0
        for block in blocks_of(os.path.join(self.a.root, self.a.page), self.a.page):
            if block.package() != self.a.package and block.language != "text":
                self.output = None
                continue
            try:
                self.try_block(block)
            except (Failure, subprocess.TimeoutExpired) as failure:
                failed += 1
                self.output = None
                print("%s: %s" % (block.where, failure))
        shutil.rmtree(self.work)
        return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page")
    parser.add_argument("--with", dest="package")
    for name in ["root", "version", "cc", "cxx", "library-dir", "command", "loader"]:
        parser.add_argument("--" + name, default="")
    page = Page(parser.parse_args())
    failed = page.try_all()
    print("%s: %d blocks tried, %d failed, %d passed over" % (page.a.page, page.done, failed,
                                                              page.passed_over))
    if failed:
        return 1
    if page.done == 0 and page.passed_over:
        print("skipped: nothing of this page could be tried here")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
