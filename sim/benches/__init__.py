"""cocotb test modules, run inside the simulator by :func:`sim.icarus.run_bench`: one unit or the accelerator each."""
