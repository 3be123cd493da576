"""A board on a pseudo-terminal: the demo's behaviour in Python, with faults to order."""

from __future__ import annotations

import os
import threading
import tty
import zlib

import numpy as np

from fpga.protocol import CRC_BYTES, FAULT, HEADER, IDENTITY, REPLY, TO_BOARD, TO_HOST, VERSION, Fault, Kind, result

from .stub import IDENTITY as STUB
from .stub import expected


def packet(kind: Kind, fields: bytes) -> bytes:
    """What the board would send."""
    body = REPLY.pack(kind=kind, length=len(fields)) + fields
    return TO_HOST + body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


class BoardModel:
    """Answers as the hardware with :class:`tests.fpga.stub.Stub` does; use it in a `with`.

    Parameters
    ----------
    version : told to the host.
    fault : answer to every photo, where not NONE.
    corrupt : the CRC of every answer to a photo is wrong.
    errors : the accelerator's flags in every result.
    """

    def __init__(
        self, *, version: int = VERSION, fault: Fault = Fault.NONE, corrupt: bool = False, errors: int = 0
    ) -> None:
        self.version = version
        self.fault = fault
        self.corrupt = corrupt
        self.errors = errors
        self._board, self._host = os.openpty()
        tty.setraw(self._host)
        self.port = os.ttyname(self._host)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> BoardModel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._host)
        self._thread.join(5)
        os.close(self._board)

    def _serve(self) -> None:
        try:
            while True:
                self._answer()
        except OSError:
            pass  # the host's end was closed

    def _read(self, size: int) -> bytes:
        raw = b""
        while len(raw) < size:
            raw += os.read(self._board, size - len(raw))
        return raw

    def _answer(self) -> None:
        while self._read(1) != TO_BOARD[:1] or self._read(1) != TO_BOARD[1:]:
            pass
        raw = self._read(HEADER.size)
        header = HEADER.unpack(raw)
        pixels = self._read(3 * header["height"] * header["width"])
        good = int.from_bytes(self._read(CRC_BYTES), "little") == zlib.crc32(raw + pixels)
        frame = header["frame"]
        if header["kind"] == Kind.IDENTIFY:
            values = {**STUB.values(), "version": self.version, "frame": frame}
            os.write(self._board, packet(Kind.IDENTITY, IDENTITY.pack(**values)))
            return
        fault = self.fault if good else Fault.CRC
        if fault:
            os.write(self._board, packet(Kind.FAULT, FAULT.pack(frame=frame, fault=fault)))
            return
        logits = expected(np.frombuffer(pixels, np.uint8))
        values = {"frame": frame, "class": 1, "step": 7, "errors": self.errors}
        raw = packet(Kind.RESULT, result(2).pack(**values, logit0=logits[0], logit1=logits[1]))
        os.write(self._board, bytes([*raw[:-1], raw[-1] ^ self.corrupt]))
