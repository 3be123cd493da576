"""The base class of every error a user can cause; its message is one line."""

from __future__ import annotations


class RascaError(Exception):
    """Something the user gave cannot be used; the message says what and, where known, the remedy.

    The command line prints it as one line and exits with status 2.
    """
