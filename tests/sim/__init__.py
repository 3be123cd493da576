"""The simulators themselves."""
