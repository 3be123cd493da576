"""The convolutions of the CNN heads made by NNgen (PyPI), for `rasca nngen`; runs in NNgen's own environment.

    python nngen_heads.py SHAPES FOLDER

SHAPES is JSON: rows, width, heads, channels (the input's first), kernel_heights, how parallel NNgen makes a convolution
(par_in x par_out channels), and limit, the cycles after which the bench gives up. FOLDER gets `accelerator.v`, and
`bench.v` with its memory image: one step of all heads from the start command to the end, the results compared with
NNgen's own evaluation in software. Weights and input are made up, from a fixed seed.

What is the same as ours: kernels, strides, padding in width alone, bias and shift of each channel, ReLU, pooling,
INT8. What is not: NNgen has no unsigned bytes, so what leaves a ReLU has 7 bits; weights and activations come over AXI
from a memory that is not counted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nngen as ng
import nngen.verify
import numpy as np
import veriloggen as vg
from veriloggen import simulation
from veriloggen import thread as vthread
from veriloggen.types import axi

SEED = 1
ALIGNMENT = 64
WORD = 32
MEMORY_BYTES = 1 << 22
SHIFT = 9
HALF_PERIOD = 5


def heads(shapes: dict[str, Any], rng: np.random.Generator) -> tuple[Any, list[Any]]:
    """The input and each head's features."""
    source = ng.placeholder(ng.int8, (1, shapes["rows"], shapes["width"], shapes["channels"][0]), name="image")
    ends = []
    for head in range(shapes["heads"]):
        last = source
        for j, (height, out) in enumerate(zip(shapes["kernel_heights"], shapes["channels"][1:], strict=True)):
            name = f"head{head}_conv{j + 1}"
            weight = ng.variable(ng.int8, (out, height, 3, last.shape[-1]), name=f"{name}_weight")
            bias = ng.variable(ng.int32, (out,), name=f"{name}_bias")
            shift = ng.variable(ng.int8, (out,), name=f"{name}_shift")
            weight.set_value(rng.integers(-127, 128, weight.shape))
            bias.set_value(rng.integers(-1000, 1001, bias.shape))
            shift.set_value(np.full(shift.shape, SHIFT))
            last = ng.conv2d(
                last,
                weight,
                strides=(1, 1, 1, 1),
                bias=bias,
                rshift_out=shift,
                act_func=ng.relu,
                padding=(0, 0, 1, 1),
                dtype=ng.int8,
                sum_dtype=ng.int32,
                name=name,
                par_ich=shapes["par_in"],
                par_och=shapes["par_out"],
            )
            last = ng.max_pool_serial(last, (1, 1, 2, 1), (1, 1, 2, 1), padding="VALID", name=f"head{head}_pool{j + 1}")
            last.attribute(par=shapes["par_out"])
        ends.append(last)
    return source, ends


def pool(value: Any, ksize: Any, stride: Any, **options: Any) -> Any:
    """1x2 max-pool, floor: NNgen's own evaluation takes the columns' stride for rows, its hardware does not."""
    count = value.shape[2] // 2
    return value[:, :, : 2 * count].reshape(*value.shape[:2], count, 2, value.shape[3]).max(3)


def _aligned(address: int) -> int:
    return -(-address // ALIGNMENT) * ALIGNMENT


def main(shapes: dict[str, Any], folder: str) -> None:
    """Writes the folder."""
    os.chdir(folder)
    rng = np.random.default_rng(SEED)
    source, ends = heads(shapes, rng)
    pixels = rng.integers(-127, 128, source.shape)
    ng.verify.max_pool_serial = pool
    expected = ng.eval(ends, image=pixels)
    accelerator = ng.to_veriloggen(ends, "accelerator", silent=True, config={"maxi_datawidth": WORD})
    accelerator.to_verilog("accelerator.v")

    values = ng.export_ndarray(ends, ALIGNMENT)
    lanes = WORD // 8
    variables = _aligned(source.addr + source.memory_size)
    at = _aligned(variables + len(values))
    memory = np.zeros(MEMORY_BYTES * 8 // WORD, np.int64)
    axi.set_memory(memory, pixels, WORD, 8, source.addr, max(lanes, shapes["par_in"]))
    axi.set_memory(memory, values, WORD, 8, variables)
    wanted = np.zeros(at, np.int64)
    for end, value in zip(ends, expected, strict=True):
        axi.set_memory(wanted, value, 8, 8, end.addr, max(lanes, shapes["par_out"]))
    places = [(end.addr, wanted[end.addr : end.addr + end.memory_size].tolist()) for end in ends]
    Path("expected.json").write_text(json.dumps(places))

    bench = vg.Module("bench")
    bench.copy_params(accelerator)
    ports = bench.copy_sim_ports(accelerator)
    clock, reset_n = ports["CLK"], ports["RESETN"]
    reset = bench.Wire("RST")
    reset.assign(vg.Not(reset_n))
    model = axi.AxiMemoryModel(
        bench, "memory", clock, reset, WORD, memimg=memory, memimg_name="memory.img", memimg_datawidth=WORD
    )
    model.connect(ports, "maxi")
    control = vthread.AXIMLite(bench, "control", clock, reset, noio=True)
    control.connect(ports, "saxi")
    cycles = bench.Reg("cycles", 32, initval=0)
    vg.Seq(bench, "count", clock, reset)(cycles.inc())

    finished = bench.Reg("finished", initval=0)

    def run() -> None:
        ng.sim.set_global_addrs(control, at)
        begin = cycles.value
        ng.sim.start(control)
        ng.sim.wait(control)
        print("cycles %d" % (cycles.value - begin))  # noqa: UP031 (Veriloggen translates it)
        finished.value = 1

    vthread.Thread(bench, "run", clock, reset, run).start()
    bench.Instance(accelerator, "uut", bench.connect_params(accelerator), bench.connect_ports(accelerator))
    dump = vg.Systask("writememh", "after.img", model.mem)
    bench.Initial(vg.Wait(finished == 1), dump, vg.Systask("finish"))
    bench.Initial(vg.Delay(2 * HALF_PERIOD * shapes["limit"]), vg.Systask("finish"))
    simulation.setup_clock(bench, clock, hperiod=HALF_PERIOD)
    simulation.setup_reset(bench, reset_n, bench.make_reset(), period=100, polarity="low")
    bench.to_verilog("bench.v")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2])
