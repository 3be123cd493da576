"""What the camera sees and what the network makes of it, on a screen of twice the sensor's width and height.

    events -> picture (3 + 3 + 2 bits a pixel) -> |
    bars   -> lengths by row group             -> | beam -> colours -> Dvi         (sync | pixel)

Each of the sensor's pixels is 2 x 2 on the screen; what lies outside the network's window is at half brightness. At the
right edge is a bar beside each group of rows: the confidence after it, green from one half on, else red. The picture is
only for people: the accelerator has no frame buffer.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from fpga.tmds import CHANNELS, Dvi
from fpga.video import DOMAIN, VideoMode, VideoTiming
from rasca_hw.camera.crop import Crop
from rasca_hw.camera.interfaces import Event, Kind

ZOOM = 2
LEVELS = 64
"""Of a bar, by default."""
MARGIN = 4
"""Dark pixels left and right of the bars."""
TRACK, GREEN, RED, BLACK = 0b01001001, 0b00011100, 0b11100000, 0
"""Colours of 3 + 3 + 2 bits, red highest: the ground of the bars, the bars, the line between two."""


class Picture(wiring.Component):
    """The sensor's last frame, written as it comes and read at any time.

    Members
    -------
    event, taken : of the sensor, see :class:`rasca_hw.camera.interfaces.Event`, in `sync`.
    address, colour : in `pixel`; the colour is there two cycles after its address, `y * width + x`.
    """

    def __init__(self, *, width: int, height: int) -> None:
        self.width = width
        self.height = height
        super().__init__({"event": In(Event), "taken": In(1), "address": In(range(width * height)), "colour": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=8, depth=self.width * self.height, init=[])
        write, read = store.write_port(), store.read_port(domain=DOMAIN)
        m.d.comb += read.addr.eq(self.address)
        m.d[DOMAIN] += self.colour.eq(read.data)
        x, y = Signal(range(self.width + 1)), Signal(range(self.height + 1))
        base = Signal(range(self.width * self.height + 1))
        event = self.event
        m.d.sync += [
            write.en.eq(self.taken & (event.kind == Kind.PIXEL) & (x != self.width) & (y != self.height)),
            write.addr.eq(base + x),
            write.data.eq(Cat(event.b[6:], event.g[5:], event.r[5:])),
        ]
        with m.If(self.taken):
            with m.Switch(event.kind):
                with m.Case(Kind.PIXEL):
                    with m.If(x != self.width):
                        m.d.sync += x.eq(x + 1)
                with m.Case(Kind.LINE):
                    m.d.sync += x.eq(0)
                    with m.If(y != self.height):
                        m.d.sync += [y.eq(y + 1), base.eq(base + self.width)]
                with m.Default():
                    m.d.sync += [x.eq(0), y.eq(0), base.eq(0)]
        return m


class Screen(wiring.Component):
    """Parameters
    ----------
    crop : for the sensor's size and the network's window.
    steps, levels : bars, and the most pixels of one plus 1.
    mode : twice the sensor's width and height.

    Members
    -------
    event, taken : see :class:`Picture`. step, length, valid : a bar, see :class:`fpga.bars.Bars`. All in `sync`.
    tmds : see :class:`fpga.tmds.Serializer`.

    Raises
    ------
    ValueError
        For another mode, or bars that do not fit.
    """

    def __init__(self, crop: Crop, *, steps: int, levels: int, mode: VideoMode) -> None:
        if (mode.width, mode.height) != (ZOOM * crop.sensor_width, ZOOM * crop.sensor_height):
            raise ValueError(f"mode must be twice the sensor's size, not {mode.width} x {mode.height}")
        self.left = mode.width - levels - MARGIN
        if self.left <= MARGIN:
            raise ValueError(f"levels must be less than {mode.width - 2 * MARGIN}, not {levels!r}")
        self.crop = crop
        self.steps = steps
        self.levels = levels
        self.mode = mode
        super().__init__(
            {
                "event": In(Event),
                "taken": In(1),
                "step": In(8),
                "length": In(range(levels)),
                "valid": In(1),
                "tmds": Out(2).array(CHANNELS + 1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel = m.d[DOMAIN]
        crop = self.crop
        m.submodules.timing = timing = VideoTiming(self.mode)
        m.submodules.picture = picture = Picture(width=crop.sensor_width, height=crop.sensor_height)
        m.submodules.dvi = dvi = Dvi()
        m.submodules.lengths = lengths = memory.Memory(shape=range(self.levels), depth=self.steps, init=[])
        write, read = lengths.write_port(), lengths.read_port(domain=DOMAIN)
        m.d.comb += [
            picture.event.eq(self.event),
            picture.taken.eq(self.taken),
            write.addr.eq(self.step),
            write.data.eq(self.length),
            write.en.eq(self.valid),
        ]
        x, y = timing.x, timing.y

        # The row group beside this line: groups begin with the window and have `band` lines.
        band = ZOOM * crop.factor * crop.rows
        top, height = ZOOM * crop.top, band * self.steps
        step, line = Signal(range(self.steps + 1)), Signal(range(band))
        base = Signal(range(crop.sensor_width * crop.sensor_height + 1))
        with m.If(x == sum(self.mode.horizontal) - 1):
            pixel += line.eq(line + 1)
            with m.If(line == band - 1):
                pixel += line.eq(0)
                with m.If(step != self.steps):
                    pixel += step.eq(step + 1)
            # Each line of the picture is shown twice.
            with m.If(y[0] & (y < self.mode.height)):
                pixel += base.eq(base + crop.sensor_width)
            with m.If(y == sum(self.mode.vertical) - 1):
                pixel += base.eq(0)
            # The next line is the window's first.
            with m.If(y == (top - 1 if top else sum(self.mode.vertical) - 1)):
                pixel += [line.eq(0), step.eq(0)]

        def within(place: Signal, first: int, size: int) -> Any:
            return (place >= first) & (place < first + size)

        # Cycle 1: the address. Cycles 2 and 3: the memory and the register behind it; the rest keeps step.
        shown = ZOOM * crop.factor
        inside = within(x, ZOOM * crop.left, shown * crop.width) & within(y, top, shown * crop.height)
        in_bars = x >= self.left - MARGIN
        beside = within(x, self.left, self.levels) & within(y, top, height) & (line != band - 1)
        flags = Cat(timing.active, timing.hsync, timing.vsync, inside, in_bars, beside)
        delayed = [flags, *(Signal(len(flags), name=f"flags{i}") for i in range(1, 4))]
        place = [x, *(Signal(len(x), name=f"x{i}") for i in range(1, 4))]
        for i in range(3):
            pixel += [delayed[i + 1].eq(delayed[i]), place[i + 1].eq(place[i])]
        pixel += picture.address.eq(base + (x >> 1))
        m.d.comb += read.addr.eq(Mux(step == self.steps, 0, step))
        length = Signal(range(self.levels))
        pixel += length.eq(read.data)

        active, hsync, vsync, inside, in_bars, beside = delayed[3]
        colour = Signal(8)
        pixel += colour.eq(Mux(inside, picture.colour, self._half(picture.colour)))
        with m.If(in_bars):
            pixel += colour.eq(BLACK)
            with m.If(beside):
                pixel += colour.eq(TRACK)
                with m.If(place[3] < self.left + length):
                    pixel += colour.eq(Mux(length >= self.levels // 2, GREEN, RED))
        pixel += [dvi.active.eq(active), dvi.hsync.eq(hsync), dvi.vsync.eq(vsync)]
        r, g, b = colour[5:], colour[2:5], colour[:2]
        m.d.comb += [
            dvi.r.eq(Cat(r[1:], r, r)),
            dvi.g.eq(Cat(g[1:], g, g)),
            dvi.b.eq(Cat(b, b, b, b)),
            *(self.tmds[i].eq(dvi.tmds[i]) for i in range(CHANNELS + 1)),
        ]
        return m

    @staticmethod
    def _half(colour: Signal) -> Any:
        """Each of the three colours shifted down by one."""
        return Cat(colour[1], Const(0, 1), colour[3:5], Const(0, 1), colour[6:8], Const(0, 1))
