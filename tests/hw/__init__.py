"""Tests of the generated hardware on Icarus."""
