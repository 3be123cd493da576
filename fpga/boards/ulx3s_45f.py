"""The ULX3S with an LFE5U-45F; everything else is the 85F's."""

from __future__ import annotations

from amaranth_boards.ulx3s import ULX3S_45F_Platform

from fpga.boards.ecp5 import ecp5
from fpga.boards.ulx3s_85f import PROGRAM, WIRING

BOARD = ecp5(
    name="ulx3s-45f",
    title="ULX3S with LFE5U-45F, speed grade 6",
    target="ecp5-45f",
    clock_mhz=80.0,
    platform=ULX3S_45F_Platform,
    wiring=WIRING,
    nextpnr=("--45k", "--package", "CABGA381", "--speed", "6"),
    program=PROGRAM,
)
