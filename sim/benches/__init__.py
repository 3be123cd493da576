"""cocotb test modules; :func:`sim.icarus.run_bench` runs them inside the simulator, one unit or the whole accelerator each."""
