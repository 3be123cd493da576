"""Payloads of the streams at the accelerator's edge.

Pixels come as AXI4-Stream video carries them: `first` is the start of frame (tuser), `last` the end of line (tlast).
"""

# No `from __future__ import annotations`: data.Struct reads the annotations as shapes, strings make it empty.
from amaranth.hdl import signed
from amaranth.lib import data


class Pixel(data.Struct):
    """One RGB pixel in raster order."""

    r: 8
    g: 8
    b: 8
    first: 1
    """Start of frame: set on the first pixel of the first line."""
    last: 1
    """End of line: set on the last pixel of each line."""


class Errors(data.Struct):
    """What was wrong with the frame a result belongs to; all zero for a good frame."""

    short_line: 1
    """A line ended before the network's width."""
    long_line: 1
    """A line went on past the network's width."""
    truncated: 1
    """A new start of frame came before the last line; the logits are meaningless."""
    overrun: 1
    """An earlier result or confidence was not read in time and was lost."""
    reserved: 4


def result_layout(classes: int) -> data.StructLayout:
    """A decision: one item a frame.

    `frame` counts from 0 (wraps), `klass` is the class with the largest logit, `step` the number of row groups read or
    passed over.
    """
    return data.StructLayout(
        {
            "frame": 16,
            "klass": 4,
            "step": 8,
            "errors": Errors,
            "logits": data.ArrayLayout(signed(32), classes),
        }
    )


def confidence_layout(classes: int) -> data.StructLayout:
    """The logits after a row group: one item a step; `step` counts from 1."""
    return data.StructLayout({"step": 8, "logits": data.ArrayLayout(signed(32), classes)})
