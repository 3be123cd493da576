"""Amaranth descriptions of the accelerator: pure hardware, no torch, no simulator."""
