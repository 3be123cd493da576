"""``rasca doctor``: the state of every tool, and what to do about it."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from fpga.tools import TOOLS, ToolMissing, find


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``state`` is ok, missing, optional (missing, but needed by nothing else) or bad."""

    tool: str
    state: str
    version: str
    purpose: str
    detail: str


def examine() -> list[Finding]:
    """Look for every tool of :data:`fpga.tools.TOOLS`; the first line is Python itself."""
    findings = [Finding("python", "ok", platform.python_version(), "everything", "")]
    for tool in TOOLS.values():
        try:
            found = find(tool.name)
        except ToolMissing as error:
            state = "missing" if tool.required else "optional"
            findings.append(Finding(tool.name, state, "", tool.purpose, str(error)))
            continue
        if found.bad:
            detail = f"{found.bad}; install another with: {tool.install}"
            findings.append(Finding(tool.name, "bad", found.version, tool.purpose, detail))
        else:
            findings.append(Finding(tool.name, "ok", found.version, tool.purpose, " ".join(found.command)))
    return findings
