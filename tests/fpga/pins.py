"""The demo at its pins, compiled: millions of cycles a second where Amaranth's own simulator does thousands."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from amaranth.back import rtlil

from fpga.demo import Demo
from fpga.protocol import Reply, ReplyReader
from fpga.tools import find
from rasca_hw.uart import FRACTION
from sim.cxxrtl import PASSES, runtime_headers
from sim.flash_model import FlashModel
from sim.split import split_eval

HARNESS = Path(__file__).with_suffix(".cc")
FLASH = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int] * 4)
ROOM = 4096


class Pins:
    """A compiled demo, from power-up on.

    Parameters
    ----------
    demo : its clock and baud rate set the bit time.
    folder : where the model is compiled.
    flash : at its pins, where it has a loader.
    """

    def __init__(self, demo: Demo, folder: Path, flash: FlashModel | None = None) -> None:
        self.cycles = demo.bridge.time / FRACTION
        self.silence = (2 << demo.heartbeat.periods["long"]) + 100_000
        library = folder / "demo.so"
        (folder / "demo.il").write_text(rtlil.convert(demo, name="top", emit_src=False))
        script = f"read_rtlil demo.il; hierarchy -top top; {PASSES}; write_cxxrtl -g0 demo.cc"
        subprocess.run([*find("yosys").command, "-q", "-p", script], cwd=folder, check=True)
        (source,) = split_eval((folder / "demo.cc").read_text(), 1, top="p_top", clocks=True)
        (folder / "demo.cc").write_text(source)
        options = ["-std=c++17", "-O1", "-DNDEBUG", "-w", '-DMODEL="demo.cc"', f"-I{runtime_headers()}", f"-I{folder}"]
        options += ["-shared", "-fPIC", *(["-DFLASH"] if flash else [])]
        subprocess.run([*find("c++").command, *options, "-o", str(library), str(HARNESS)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._library.board_new.restype = ctypes.c_void_p
        self._library.board_free.argtypes = self._library.board_leds.argtypes = [ctypes.c_void_p]
        self._library.board_send.restype = ctypes.c_long
        self._library.board_send.argtypes = [
            *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_double, ctypes.c_long, FLASH),
            *(ctypes.c_char_p, ctypes.c_size_t),
        ]
        self._board = self._library.board_new()
        self._flash = flash
        self._error: Exception | None = None

    def __del__(self) -> None:
        if hasattr(self, "_board"):
            self._library.board_free(self._board)

    @property
    def leds(self) -> int:
        """All of them, the first one lowest."""
        return self._library.board_leds(self._board)

    def send(self, *packets: bytes) -> list[Reply]:
        """Send packets, each when the board has been silent after the one before; all replies."""
        reader, replies = ReplyReader(), []
        for packet in packets:
            out = ctypes.create_string_buffer(ROOM)
            count = self._library.board_send(
                self._board, packet, len(packet), self.cycles, self.silence, FLASH(self._answer), out, ROOM
            )
            if self._error:
                raise self._error
            assert count >= 0, "a byte without start and stop bit"
            replies += reader.feed(out.raw[:count])
        return replies

    def _answer(self, *levels: int) -> int:
        """The flash's; what it raises would be lost in the library."""
        try:
            return self._flash.step(*levels) if self._flash else 0xF
        except Exception as error:
            self._error = error
            return 0xF
