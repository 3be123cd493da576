"""Simulators, traces and their comparison with the integer model."""
