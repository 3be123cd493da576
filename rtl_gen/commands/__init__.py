"""The subcommands of ``rasca``, a module a group.

Each module has ``register(commands)``, which adds its parsers, and functions that import what they need when they are
called: ``rasca --help`` loads neither torch nor Amaranth. A function returns the exit status, or None for 0.
"""
