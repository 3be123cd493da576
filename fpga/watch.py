"""The host's side of the demo with a camera: prints what the board decides."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fpga.host import MEANING, BoardError, Decision, Port, softmax
from fpga.protocol import VERSION, Fault, Identity, Kind, ReplyReader

QUIET_S = 5.0
"""Longer than a frame of any camera takes. Results before the first identity are not given, but are no quiet."""


def watch(port: Port) -> Iterator[Decision]:
    """Each result as it comes, from the first identity on; `image` is the accelerator's number of the frame.

    Raises BoardError if nothing comes for :data:`QUIET_S`, if the board is of another version or has no weights.
    """
    reader = ReplyReader()
    identity: Identity | None = None
    begin = last = time.monotonic()
    while time.monotonic() < last + QUIET_S:
        try:
            raw = port.read(256)
        except OSError as error:
            raise BoardError(f"the port failed: {error}") from None
        for reply in reader.feed(raw):
            last = time.monotonic()
            values = reply.values
            if reply.kind == Kind.IDENTITY:
                if values["version"] != VERSION:
                    raise BoardError(f"the board speaks version {values['version']}, this host {VERSION}; rebuild one")
                identity = Identity.from_values(values)
            elif reply.kind == Kind.FAULT:
                raise BoardError(f"the board decides nothing: {MEANING[Fault(values['fault'])]}")
            elif reply.kind == Kind.RESULT and identity:
                logits = tuple(values[f"logit{n}"] for n in range(identity.classes))
                probability = softmax(logits, identity.scale)[1]
                yield Decision(
                    str(values["frame"]),
                    values["class"],
                    probability,
                    values["step"],
                    values["errors"],
                    logits,
                    round(last - begin, 3),
                )
    raise BoardError(f"nothing came for {QUIET_S:g} s; is the camera demo loaded, and is the camera connected?")
