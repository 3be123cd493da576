"""Commands about generated hardware: generate, sim."""

from __future__ import annotations

from typing import Any


def register(commands: Any) -> None:
    """Add this group's parsers."""
