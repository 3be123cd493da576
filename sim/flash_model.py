"""A SPI flash at its pins, as executable model: the commands of a Winbond W25Q that a board's start needs.

Called in each half period of the SPI clock, or more often, with what the pins show; it answers with the levels of the
four lines. What no flash allows raises an error: a line driven from both sides, /HOLD or /WP let go while they count.
"""

from __future__ import annotations

import random

WAKE, SLEEP = 0xAB, 0xB9
READ, QUAD_READ = 0x03, 0x6B
VOLATILE_WRITE_ENABLE, WRITE_STATUS_2 = 0x50, 0x31
QUAD_ENABLE = 0x02
"""Of status register 2."""
ADDRESS_END = 4
"""Bytes of a read command with its address; a quad read has a byte of dummy clocks behind them."""
ERASED = 0xFF
NEVER = float("inf")


class FlashError(AssertionError):
    """The host did what no flash allows."""


class FlashModel:
    """One flash, in power-down at first, as an FPGA leaves it.

    In power-down, and until `wake` steps after the command to wake, it does nothing else and answers with noise; so it
    does to a quad read without QE. Lines that nobody drives are noise. A command broken off within a byte does nothing.

    Parameters
    ----------
    content : of the flash from address 0, may be changed at any time; erased behind that.
    wake : steps from the end of the wake command until the next one is understood.
    quad_enabled : QE, as the flash was shipped.
    volatile : the status register can be written without wear (0x50); otherwise that command is unknown.
    seed : of the noise.
    """

    def __init__(
        self,
        content: bytes = b"",
        *,
        wake: int = 0,
        quad_enabled: bool = False,
        volatile: bool = True,
        seed: int = 1,
    ) -> None:
        self.content = bytearray(content)
        self.wake = wake
        self.volatile = volatile
        self.status_2 = QUAD_ENABLE * quad_enabled
        self.reads = 0
        """Read commands that have ended."""
        self._noise = random.Random(seed)
        self.sleep()
        self._write_enabled = False
        self._now = 0
        self._selected = False
        self._understands = False
        self._clock = 0
        self._deselect()

    def step(self, cs_n: int, clk: int, out: int, enable: int) -> int:
        """The levels of DQ3..DQ0 after the host's pins became these; `enable` says which lines the host drives."""
        self._now += 1
        shown = self._mask
        if cs_n:
            if self._selected:
                self._finish()
            self._selected = False
            self._deselect()
        else:
            if not self._selected and clk:
                raise FlashError("chip select fell while the clock was 1")
            if not self._selected:
                self._understands = self._now >= self._asleep_until
            self._selected = True
            quad_read = self._received[:1] == bytes([QUAD_READ])
            if not (self._quad or quad_read) and enable & out & 0b1100 != 0b1100:
                raise FlashError("/WP and /HOLD must be 1")
            if clk and not self._clock:
                self._rise(out & enable)
            elif self._clock and not clk:
                self._fall()
        self._clock = clk
        # A flash lets go of its lines a moment after chip select has risen.
        both = enable & (self._mask | (shown if cs_n else 0))
        if both:
            raise FlashError(f"lines {both:04b} driven from both sides")
        noise = self._noise.getrandbits(4) & ~enable & ~self._mask
        return out & enable | self._value & self._mask | noise

    def sleep(self) -> None:
        """Power-down, by the command to, or by an FPGA that has read its bitstream."""
        self._asleep_until = NEVER

    @property
    def _quad(self) -> bool:
        return bool(self.status_2 & QUAD_ENABLE)

    def _deselect(self) -> None:
        self._received = bytearray()
        self._bits = 0
        self._place: int | None = None
        self._left: list[int] = []
        self._mask = self._value = 0

    def _rise(self, levels: int) -> None:
        """Takes a bit of a command."""
        if self._place is not None:
            return
        if self._bits % 8 == 0:
            self._received.append(0)
        self._received[-1] = self._received[-1] << 1 & 0xFF | levels & 1
        self._bits += 1

    def _fall(self) -> None:
        """Shows the next bit or, of a quad read, the next four."""
        command, size = self._received[0], self._bits / 8
        if self._place is None and (command, size) in ((READ, ADDRESS_END), (QUAD_READ, ADDRESS_END + 1)):
            del self._received[ADDRESS_END:]
            self._place = int.from_bytes(self._received[1:], "big")
            self._mask = 0b1111 if command == QUAD_READ and self._quad else 0b0010
        if self._place is None:
            return
        lines = 4 if self._mask == 0b1111 else 1
        if not self._left:
            byte = self._byte(command, self._place)
            self._place += 1
            self._left = [byte >> n & (1 << lines) - 1 for n in range(0, 8, lines)]
        bits = self._left.pop()
        self._value = bits if lines == 4 else bits << 1

    def _byte(self, command: int, place: int) -> int:
        if not self._understands or (command == QUAD_READ and not self._quad):
            return self._noise.getrandbits(8)
        return self.content[place] if place < len(self.content) else ERASED

    def _finish(self) -> None:
        """Does what was commanded when chip select rises."""
        received = bytes(self._received)
        self.reads += self._place is not None
        if self._bits % 8 or not received:
            return
        command = received[0]
        if command == WAKE:
            self._asleep_until = min(self._asleep_until, self._now + self.wake)
        elif not self._understands:
            return
        elif command == SLEEP:
            self.sleep()
        elif command == VOLATILE_WRITE_ENABLE:
            self._write_enabled = self.volatile
        elif command == WRITE_STATUS_2 and len(received) == 2 and self._write_enabled:
            self.status_2 = received[1]
            self._write_enabled = False
