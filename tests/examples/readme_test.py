#!/usr/bin/env python3
"""
What examples/README.md says after installation: readme_test.py EXAMPLES PREFIX LIBDIR. Each compiler line is run
as it stands there, beside the sources alone, with the installed package. Exit 77 with a reason: skipped.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from http_server import Server, clean_environment, skip

examples, prefix, libdir = sys.argv[1:]
clean_environment()
with tempfile.TemporaryDirectory(prefix="readme_test.") as folder:
    # The flags of pkg-config stand in the shell without quotes, and PREFIX has a space.
    package = os.path.join(folder, "package")
    os.symlink(prefix, package)
    work = os.path.join(folder, "examples")
    shutil.copytree(examples, work)
    library = os.path.join(package, libdir)
    os.environ["PKG_CONFIG_PATH"] = os.path.join(library, "pkgconfig")
    os.environ["LD_LIBRARY_PATH"] = library
    with open(os.path.join(examples, "README.md"), encoding="utf-8") as f:
        lines = re.findall(r"^cc .*$", f.read(), re.M)
    built, left = [], []
    for line in lines:
        output = re.search(r" -o (\w+) ", line)[1]
        packages = re.search(r"--libs ([^)]*)\)", line)[1].split()
        known = subprocess.run(["pkg-config", "--exists", *packages]).returncode == 0
        if known and "-lhttp_parser" in line:
            known = subprocess.run(["cc", "-E", "-include", "http_parser.h", "-xc", "/dev/null"],
                                   capture_output=True).returncode == 0
        if not known:
            left.append(output)
            continue
        result = subprocess.run(["sh", "-c", line.replace("cc ", "cc -Wall -Wextra ", 1)], cwd=work,
                                capture_output=True, text=True)
        assert result.returncode == 0 and not result.stderr, (line, result)
        built.append(output)
    print("built:", built, "a library is missing for:", left)
    assert len(lines) == 4 and built[:2] == ["hello", "batch"], (built, left)
    said = subprocess.run(["./hello"], cwd=work, capture_output=True, text=True, check=True).stdout
    assert said.endswith("4 accepted, 4 run\n"), said
    said = subprocess.run(["./batch", "--items", "20"], cwd=work, capture_output=True, text=True, check=True).stdout
    assert said == "17984 primes below 200000\n", said
    for name in built[2:]:
        with Server(os.path.join(work, name)) as server:
            assert server.get("/work?ms=1&kb=4")[2] == "ms=1 cpu_us=0 kb=4 node=0\n"
            server.stop()
    if left:
        skip(f"no libraries for {left}; the rest was built and run")
