"""What travels from a sensor's interface to the crop: pixels, ends of lines and ends of frames, one at a time."""

# No `from __future__ import annotations`: data.Struct reads the annotations as shapes, strings make it empty.
from enum import IntEnum

from amaranth.lib import data


class Kind(IntEnum):
    """What an event is."""

    PIXEL = 0
    LINE = 1
    """A line of the sensor ended."""
    FRAME = 2
    """A frame of the sensor ended, and the next one begins."""


class Event(data.Struct):
    """One event of a sensor, in the order in which they happened."""

    r: 8
    g: 8
    b: 8
    kind: Kind
    bad: 1
    """Something before this event was lost or malformed: the frame that is open then is not to be trusted."""
