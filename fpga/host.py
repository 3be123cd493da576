"""The host's side of the demo: photos to the board, decisions from it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fpga.protocol import BAUD, VERSION, Fault, Identity, Kind, Reply, ReplyReader, request
from rasca_nn.errors import RascaError

REPLY_S = 1.0
"""Patience for an answer after the last byte was sent; the board gives a packet up after 4 `TIMEOUT_S` at most."""

WRITE = "write the whole programming image (rasca program)"
MEANING = {
    Fault.NO_SYNC: "it got bytes that belong to no packet",
    Fault.HEADER: "it does not know this request, or not this size of photo",
    Fault.CRC: "a byte was changed on the way (CRC)",
    Fault.TIMEOUT: "bytes were lost on the way",
    Fault.FRAMING: "a stop bit was missing: baud rates differ, or noise",
    Fault.OVERFLOW: "the accelerator did not keep up with the bytes",
    Fault.LOADING: "it is still reading its weights from the flash",
    Fault.WEIGHTS_MISSING: f"its flash holds no weights; {WRITE}",
    Fault.WEIGHTS_FOREIGN: f"its flash holds another model's weights; {WRITE}",
    Fault.WEIGHTS_LENGTH: f"its flash holds weights of another length; {WRITE}",
    Fault.WEIGHTS_DAMAGED: f"the weights in its flash are damaged (CRC); {WRITE}",
}


class BoardError(RascaError):
    """The board cannot be reached, or did not get what was sent."""


class Port(Protocol):
    """What is used of a serial port; `read` returns early, with what there is, after a short time."""

    def read(self, size: int) -> bytes: ...

    def write(self, raw: bytes) -> Any: ...

    def reset_input_buffer(self) -> Any: ...


@dataclass(frozen=True)
class Decision:
    """The board's answer to a photo.

    `probability` is that of class 1; `step` the row groups read; `errors` the accelerator's flags, 0 for a good frame;
    `seconds` from the first byte sent to the answer.
    """

    image: str
    klass: int
    probability: float
    step: int
    errors: int
    logits: tuple[int, ...]
    seconds: float


def open_port(name: str, baud: int = BAUD) -> Port:
    """A serial port; BoardError if it cannot be opened."""
    try:
        import serial
    except ModuleNotFoundError:
        raise BoardError("pyserial is missing; install it with: pip install -c constraints.txt pyserial") from None
    try:
        return serial.Serial(name, baud, timeout=0.02, write_timeout=10)
    except (serial.SerialException, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BoardError(f"{name}: cannot be opened at {baud} baud ({reason})") from None


class Host:
    """One board on a port.

    Parameters
    ----------
    port : from :func:`open_port`.

    Raises
    ------
    BoardError
        If what answers is not a board of this version, or nothing does.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._frame = 0
        reply = self._ask(Kind.IDENTIFY)
        if reply.values["version"] != VERSION:
            raise BoardError(f"the board speaks version {reply.values['version']}, this host {VERSION}; rebuild one")
        self.identity = Identity.from_values(reply.values)

    def decide(self, path: Path) -> Decision:
        """Send a photo, resized to the network's input, and wait for the decision."""
        from rasca_nn.data import load_image

        size = (self.identity.height, self.identity.width)
        pixels = load_image(path, *size).tobytes()
        begin = time.monotonic()
        values = self._ask(Kind.FRAME, height=size[0], width=size[1], pixels=pixels).values
        seconds = time.monotonic() - begin
        logits = tuple(values[f"logit{n}"] for n in range(self.identity.classes))
        probability = softmax(logits, self.identity.scale)[1]
        return Decision(
            str(path), values["class"], probability, values["step"], values["errors"], logits, round(seconds, 3)
        )

    def _ask(self, kind: Kind, **content: Any) -> Reply:
        """Send a request, return its answer."""
        self._frame = self._frame % 0xFFFF + 1
        self._port.reset_input_buffer()
        try:
            self._port.write(request(kind, frame=self._frame, **content))
            for reply in self._replies():
                fault = Fault(reply.values["fault"]) if reply.kind == Kind.FAULT else Fault.NONE
                # A fault of frame 0 is about bytes whose packet the board could not make out: this one's, as a rule.
                if fault and reply.values["frame"] in (0, self._frame):
                    raise BoardError(f"the board refused the request: {MEANING[fault]}; try again")
                if reply.values["frame"] == self._frame and not fault:
                    return reply
        except OSError as error:
            raise BoardError(f"the port failed: {error}") from None
        raise BoardError(f"no answer within {REPLY_S:g} s; is the bitstream loaded, and are port and baud rate right?")

    def _replies(self) -> Iterator[Reply]:
        """The packets that come until the board has been quiet for REPLY_S."""
        reader = ReplyReader()
        end = time.monotonic() + REPLY_S
        while time.monotonic() < end:
            raw = self._port.read(256)
            if raw:
                end = time.monotonic() + REPLY_S
                yield from reader.feed(raw)


def softmax(logits: tuple[int, ...], scale: float) -> list[float]:
    """Probabilities of integer logits with that scale."""
    top = max(logits)
    powers = [math.exp((logit - top) * scale) for logit in logits]
    return [power / sum(powers) for power in powers]
