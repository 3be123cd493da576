"""The demo at its pins, compiled: millions of cycles a second where Amaranth's own simulator does thousands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from amaranth.back import rtlil

from fpga.demo import Demo
from fpga.protocol import Reply, ReplyReader
from fpga.tools import find
from rasca_hw.uart import FRACTION
from sim.cxxrtl import PASSES, runtime_headers

HARNESS = Path(__file__).with_suffix(".cc")


class Pins:
    """A compiled demo.

    Parameters
    ----------
    demo : its clock and baud rate set the bit time.
    folder : where the model is compiled.
    """

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.cycles = demo.bridge.time / FRACTION
        self.silence = demo.bridge.timeout + 100_000
        self.program = folder / "demo"
        (folder / "demo.il").write_text(rtlil.convert(demo, name="top", emit_src=False))
        script = f"read_rtlil demo.il; hierarchy -top top; {PASSES}; write_cxxrtl -g0 demo.cc"
        subprocess.run([*find("yosys").command, "-q", "-p", script], cwd=folder, check=True)
        options = ["-std=c++17", "-O1", "-DNDEBUG", "-w", '-DMODEL="demo.cc"', f"-I{runtime_headers()}", f"-I{folder}"]
        subprocess.run([*find("c++").command, *options, "-o", str(self.program), str(HARNESS)], check=True)

    def send(self, *packets: bytes) -> list[Reply]:
        """Send packets from reset on, each when the board has been silent after the one before; all replies."""
        arguments = [str(self.program), str(self.cycles), str(self.silence)]
        sent = b"".join(len(packet).to_bytes(4, "little") + packet for packet in packets)
        done = subprocess.run(arguments, input=sent, capture_output=True, check=True)
        return ReplyReader().feed(done.stdout)
