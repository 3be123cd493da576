"""The tools of each family of devices, as :func:`fpga.build.build` runs them: data and file names, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fpga.floorplan import constrain


@dataclass(frozen=True)
class Platform:
    """As much of a platform as choosing a multiplier takes: the device's name."""

    device: str


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Yosys writes top.json; nextpnr reads that and the constraints, the packer writes `bitstream`.

    Parameters
    ----------
    family : what the names of its devices begin with.
    synthesis : Yosys' script, once it has read the design.
    largest : nextpnr's options for the family's largest device with the most pins, to see what a design takes.
    nextpnr, pack : names of the tools (:mod:`fpga.tools`).
    nextpnr_options, pack_options : what the tools are told of files, and of how to work.
    constraints : suffix of Amaranth's file of constraints.
    bitstream : name of the file.
    cells : resources of the report and nextpnr's names for them.
    margin_ns : of each clock period that is kept in hand for what nextpnr does not know; the demo must be so much
        faster.
    placed : given the netlist and the device before place and route.
    """

    family: str
    synthesis: str
    largest: tuple[str, ...]
    nextpnr: str
    nextpnr_options: tuple[str, ...]
    pack: str
    pack_options: tuple[str, ...]
    constraints: str
    bitstream: str
    cells: dict[str, str]
    margin_ns: float = 0
    placed: Callable[[Path, str], None] = lambda netlist, device: None

    def script(self, read: str = "read_rtlil top.il") -> str:
        """All that Yosys does."""
        return f"{read}; {self.synthesis}"

    def wanted_mhz(self, clock_mhz: float) -> float:
        """What nextpnr must reach."""
        return 1000 / (1000 / clock_mhz - self.margin_ns)


# The last part of synth_ecp5 without `autoname`, which takes as long as all the rest and only names things nicely.
_ECP5 = (
    "synth_ecp5 -top top -run :check; hierarchy -check; stat; check -noinit; blackbox =A:whitebox; write_json top.json"
)

ECP5 = Flow(
    family="LFE5U",
    synthesis=_ECP5,
    largest=("--85k", "--package", "CABGA756"),
    nextpnr="nextpnr-ecp5",
    # The default router stalled on a full-size accelerator.
    nextpnr_options=("--router", "router2", "--lpf", "top.lpf", "--textcfg", "top.config"),
    pack="ecppack",
    pack_options=("--compress", "top.config", "top.bit"),
    constraints="lpf",
    bitstream="top.bit",
    # A carry counts as the two LUTs it takes.
    cells={"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "block_rams": "DP16KD", "multipliers": "MULT18X18D"},
    placed=constrain,
)

ICE40 = Flow(
    family="iCE40UP",
    # Not -dsp: some releases of Yosys then drop registers without an error.
    synthesis="synth_ice40 -device u -noabc9 -top top -json top.json",
    largest=("--up5k", "--package", "sg48"),
    nextpnr="nextpnr-ice40",
    nextpnr_options=("--pcf", "top.pcf", "--asc", "top.asc"),
    pack="icepack",
    pack_options=("top.asc", "top.bin"),
    constraints="pcf",
    bitstream="top.bin",
    cells={
        "logic_cells": "ICESTORM_LC",
        "block_rams": "ICESTORM_RAM",
        "sprams": "ICESTORM_SPRAM",
        "multipliers": "ICESTORM_DSP",
    },
    # nextpnr takes 0.1 ns from clock to output of an SB_MAC16; it is about 2 ns.
    margin_ns=2,
)

FLOWS = (ECP5, ICE40)
