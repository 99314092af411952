"""Makes empty libraries in place of CUDA's: `stub_libraries.py FOLDER`.

PyTorch's only build on PyPI links CUDA's libraries, 2.7 GB, of which a machine without a GPU calls nothing. The loader wants them to be there
and to have the symbols. Needs readelf, nm and gcc.
"""

import collections
import importlib.util
import pathlib
import re
import subprocess
import sys

TORCH = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "lib"
CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
CUDA_SYMBOL = re.compile(r"(cu|nv|nccl)")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def versions_of(library):
    """The versions of symbols that a library needs, by the file that it expects them in."""
    versions = collections.defaultdict(set)
    file = None
    for line in output_of("readelf", "--version-info", "--wide", library).splitlines():
        if "section '" in line:
            file = None
        if found := re.search(r"File: (\S+)", line):
            file = found[1]
        elif file and (found := re.search(r"Name: (\S+)\s+Flags", line)):
            versions[file].add(found[1])
    return versions


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    libraries = sorted(TORCH.glob("*.so*"))
    present = {library.name for library in libraries}
    needed, defined = set(), set()
    versions, wanted = collections.defaultdict(set), collections.defaultdict(set)
    for library in libraries:
        needed |= set(re.findall(r"NEEDED.*\[(.*?)\]", output_of("readelf", "--dynamic", "--wide", library)))
        for file, names in versions_of(library).items():
            versions[file] |= names
        for line in output_of("nm", "--dynamic", library).splitlines():
            *_, kind, name = line.split()
            name, _, version = name.partition("@")
            if kind in "Uwv":
                wanted[version.lstrip("@")].add(name)
            else:
                defined.add(name)
    missing = sorted(name for name in needed - present if CUDA_LIBRARY.match(name))
    # Symbols without a version may be in any of them.
    rest = {name for name in wanted[""] - defined if CUDA_SYMBOL.match(name)}
    for library in missing:
        write_stub(folder, library, {version: wanted[version] for version in versions[library]}, rest)
        rest = set()
    print(f"{len(missing)} stub libraries in {folder}")


def write_stub(folder, library, by_version, unversioned):
    source, script = folder / "stub.c", folder / "stub.map"
    names = unversioned.union(*by_version.values())
    # 100 is "no device" (cudaErrorNoDevice).
    source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(names)))
    lines = [f"{version} {{ global: {' '.join(f'{name};' for name in sorted(own))} }};\n" for version, own in by_version.items() if own]
    script.write_text("".join(lines))
    command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{library}", "-o", folder / library, source]
    if lines:
        command.append(f"-Wl,--version-script={script}")
    subprocess.run(command, check=True)
    source.unlink()
    script.unlink()


main(pathlib.Path(sys.argv[1]))
