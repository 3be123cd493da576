"""`rasca generate --sensor`, `rasca camera` and `rasca faults`: what users and scripts see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import skimage

from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen import cli
from rtl_gen.generate import load_camera
from rtl_gen.sensor import BUILT_IN, load_sensor
from sim.campaign import MODEL_SEED

PHOTOS = [str(Path(skimage.__file__).parent / "data" / name) for name in ("astronaut.png", "chelsea.png", "coffee.png")]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and a sensor that is little larger than its picture."""
    folder = tmp_path_factory.mktemp("camera")
    random_int8_model(preset("tiny"), MODEL_SEED).save(folder / "tiny.int8")
    table = BUILT_IN.read_text().split("[hm01b0-8bit]")[1].split("[hm01b0-4bit]")[0]
    sizes = {"width": 36, "height": 22, "line_clocks": 60, "blank_clocks": 60, "before_clocks": 60, "after_clocks": 15}
    lines = [line for line in table.splitlines() if line.split(" = ")[0] not in sizes]
    given = "\n".join(f"{name} = {value}" for name, value in sizes.items())
    (folder / "sensor.toml").write_text(f"[small]\n{given}\n" + "\n".join(lines))
    return folder


def generate(work: Path, out: Path, *more: str, model: Path | None = None) -> int:
    sensor, given = str(work / "sensor.toml"), str(model or work / "tiny.int8")
    return cli.main(["generate", given, "--target", "small", "--sensor", sensor, "-o", str(out), *more])


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err.splitlines()
    (line,) = (line for line in err if not line.startswith("["))
    assert line.startswith("rasca: error: ")
    return line


def test_margin(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The margin is printed and in the manifest."""
    assert generate(work, tmp_path / "made", "--clock", "40") == 0
    assert "margin, %" in capsys.readouterr().out
    found = json.loads((tmp_path / "made" / "manifest.json").read_text())["camera"]
    assert found["sensor"] == "small"
    assert found["window"] == {"left": 2, "top": 1, "factor": 1}
    assert found["group_cycles"] == 5 * 60 * 40 // 6
    assert found["margin_percent"] == round(100 * (1 - found["step_cycles"] / found["group_cycles"]), 2)
    text = (tmp_path / "made" / "rasca_camera.v").read_text()
    assert "module rasca_camera(" in text
    assert set(re.findall(r"^  input (?:\[7:0\] )?(pclk|href|vsync|data);", text, re.M)) == {
        "pclk",
        "href",
        "vsync",
        "data",
    }
    assert found["latency"]["rows"] == round(found["latency"]["cycles"] / 400, 2)


def test_refused(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build that cannot keep up: one line with the numbers and the remedy, and no folder."""
    out = tmp_path / "made"
    arguments = ["generate", str(work / "tiny.int8"), "--target", "small", "-o", str(out)]
    sensor = str(work / "sensor.toml")
    line = error_line(capsys, *arguments, "--sensor", sensor, "--clock", "12")
    assert "a step takes" in line
    assert "use a clock of" in line
    assert not out.exists()
    assert "nearest is 'ov7670-qvga'" in error_line(capsys, *arguments, "--sensor", "ov7670")
    assert "--clock is for --sensor" in error_line(capsys, *arguments, "--clock", "12")
    for clock in ("0", "-1", "1e-12", "nan", "inf"):
        assert "must be 1 to 1000 MHz, not" in error_line(capsys, *arguments, "--sensor", sensor, "--clock", clock)


def test_refused_photos(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no photo, and a clock that makes no sense, before anything is simulated."""
    assert generate(work, tmp_path / "made") == 0
    (tmp_path / "text.jpg").write_text("not a photo")
    arguments = ["camera", str(tmp_path / "made"), "--sensor", str(work / "sensor.toml")]
    assert "not an image that Pillow knows" in error_line(capsys, *arguments, str(tmp_path / "text.jpg"))
    assert "no such image" in error_line(capsys, *arguments, str(tmp_path / "none.jpg"))
    assert "must be 1 to 1000 MHz, not 0" in error_line(capsys, *arguments, PHOTOS[0], "--clock", "0")


def test_changed_folder(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder's sensor is its own, also where a built-in one has its name; what was changed by hand is one line."""
    out = tmp_path / "made"
    table = (work / "sensor.toml").read_text().replace("[small]", "[ov7670-qvga]")
    (tmp_path / "sensor.toml").write_text(table)
    assert generate(tmp_path, out, "--clock", "40", model=work / "tiny.int8") == 0
    loaded = load_camera(out)
    assert loaded == (load_sensor(str(tmp_path / "sensor.toml")), 40)
    manifest, text = json.loads((out / "manifest.json").read_text()), (out / "rasca_camera.v").read_text()
    for camera in (None, {}, {"clock_mhz": None}, {"clock_mhz": "fast"}, []):
        (out / "manifest.json").write_text(json.dumps(manifest | {"camera": camera}))
        assert "manifest.json or sensor.json was changed" in error_line(capsys, "camera", str(out), PHOTOS[0])
    (out / "manifest.json").write_text(json.dumps(manifest))
    for table, message in (("", "was changed"), ("[]", "must be a table with a name"), ('{"name": "a"}', "is missing")):
        (out / "sensor.json").write_text(table)
        assert message in error_line(capsys, "camera", str(out), PHOTOS[0])
    (out / "rasca_camera.v").write_text("")
    assert "rasca_camera.v was changed after it was generated" in error_line(capsys, "camera", str(out), PHOTOS[0])
    (out / "rasca_camera.v").write_text(text)
    (out / "sensor.json").unlink()
    assert "manifest.json or sensor.json was changed or removed" in error_line(capsys, "camera", str(out), PHOTOS[0])


def test_refused_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--cases must be 1 or more, not 0" in error_line(capsys, "faults", "--cases", "0")
    assert "--jobs must be 1 or more" in error_line(capsys, "faults", "--jobs", "0")
    assert "--jitter must be 0 to less" in error_line(capsys, "camera", str(tmp_path), PHOTOS[0], "--jitter", "1")
    assert "not a folder made by rasca generate" in error_line(capsys, "camera", str(tmp_path), PHOTOS[0])


@pytest.mark.slow
def test_camera(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three photos in a row without a gap equal the integer model; the latency is the one that was computed. The sensor
    is the one that the folder was made for.
    """
    assert generate(work, tmp_path / "made") == 0
    capsys.readouterr()
    arguments = ["camera", str(tmp_path / "made"), *PHOTOS, "--jitter", "0", "--json"]
    assert cli.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(frame["errors"], frame["logits"]) for frame in found["frames"]] == [
        (0, frame["expected_logits"]) for frame in found["frames"]
    ]
    assert len({tuple(frame["logits"]) for frame in found["frames"]}) == 3
    assert not found["overflow"]
    assert found["sensor"] == "small"
    for frame in found["frames"]:
        assert frame["latency_cycles"] <= found["real_time"]["latency"]["cycles"]
        assert frame["from_last_pixel_cycles"] > frame["latency_cycles"]


@pytest.mark.slow
def test_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """A case of each kind, counted."""
    assert cli.main(["faults", "--cases", "24", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [kind["cases"] for kind in found["kinds"]] == [2] * 12
    assert found["wrong"] == 0
