"""Training on a few made-up photos: it learns, resumes exactly and refuses what it cannot do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rasca_nn.balance import equal_error
from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.float_file import load_float
from rasca_nn.losses import confidence_labels, confidence_loss
from rasca_nn.model import RaScaNet
from rasca_nn.options import CONFIDENCE, Options, TrainError
from rasca_nn.rows import FOLDS
from rasca_nn.train import train
from rasca_nn.trainer import Trainer
from rasca_nn.training_data import Batch, TrainingData, load_data

SHORT = {"draws": 16, "batch": 8, "crops": True, "small": 0.4}


def start(folder: Path, **changes: object) -> tuple[Trainer, TrainingData]:
    options = Options(**{"epochs": 3, **SHORT, **changes})  # type: ignore[arg-type]
    data = load_data(folder, preset("tiny"), options, None)
    return Trainer(preset("tiny"), options, data), data


def epochs(trainer: Trainer, number: int) -> dict[str, torch.Tensor]:
    for _ in range(number):
        trainer.run_epoch(lambda loss, part: None)
    return {k: v.clone() for k, v in trainer.average.items()}


def test_a_resumed_run_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    whole, _ = start(folder)
    expected = epochs(whole, 3)
    first, _ = start(folder)
    epochs(first, 1)
    first.save(tmp_path / "c.pt")
    second, _ = start(folder)
    second.resume(tmp_path / "c.pt")
    found = epochs(second, 2)
    assert second.done
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    other, _ = start(folder, seed=2)
    key = "out_classifier.out_classifier.3.weight"
    assert not torch.equal(epochs(other, 1)[key], expected[key])
    with pytest.raises(TrainError, match="was made with another seed; keep it or start anew"):
        other.resume(tmp_path / "c.pt")
    third, data = start(folder)
    fewer = replace(data, train=replace(data.train, rows=data.train.rows[1:]))
    elsewhere = Trainer(third.config, third.options, fewer, beginning=third.averaged())
    with pytest.raises(TrainError, match="was made with another data, init; keep it or start anew"):
        elsewhere.resume(tmp_path / "c.pt")
    torch.save({"epoch": 1}, tmp_path / "c.pt")
    with pytest.raises(TrainError, match="is no checkpoint of such a run"):
        other.resume(tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes(b"half a file")
    with pytest.raises(RascaError, match=r"not a torch\.save file of tensors alone"):
        other.resume(tmp_path / "c.pt")


def test_it_learns_what_is_easy(folder: Path) -> None:
    trainer, data = start(folder, epochs=12, draws=64, learning_rate=1e-2, ema=0.9, small=0.0)
    epochs(trainer, 12)
    with torch.inference_mode():
        found = trainer.validate()
    assert found["n"] == len(data.val) == 24
    assert found["balanced_accuracy"] > 0.9


def test_without_boxes_and_crops(folder: Path) -> None:
    (folder / "boxes.csv").unlink()
    (folder / "crops_labels.csv").unlink()
    for weight in (0.0, 1.0):
        trainer, _ = start(folder, crops=False, box_weight=weight)
        terms = trainer.run_epoch(lambda loss, part: None)
        assert ("place" in terms) == bool(weight)
        assert all(np.isfinite(v) for v in terms.values())


@pytest.mark.parametrize("kind", CONFIDENCE)
def test_labels_of_the_confidence(folder: Path, kind: str) -> None:
    trainer, _ = start(folder, confidence=kind, box_weight=0.0)
    losses = trainer.run_epoch(lambda loss, part: None)
    assert losses.keys() == ({"class"} if kind == "none" else {"class", "confidence"})
    # Two photos, three steps; the first shows a person in the last row group.
    cover = torch.zeros(2, 3, 4)
    cover[0, 2, 1] = 0.9
    batch = Batch(torch.zeros(2, 3, 15, 64), torch.tensor([1, 0]), cover, torch.tensor([True, False]))
    logits = torch.randn(3, 2, 2)
    if kind != "none":
        labels, weight = confidence_labels(kind, logits, batch)
        expected = {
            "trivial": torch.tensor([[1.0, 0.0]] * 3),
            "proposed": logits.softmax(-1)[..., 1] * torch.tensor([1.0, 0.0]),
            "boxes": torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]),
        }[kind]
        torch.testing.assert_close(labels, expected)
        assert weight.tolist() == ([1.0, 0.0] if kind == "boxes" else [1.0, 1.0])
        # Equation 16: the sum over the steps.
        loss = confidence_loss(torch.full((3, 2), 0.5), labels, weight)
        squares = (0.5 - expected).square().sum(0)
        assert float(loss) == pytest.approx(float((squares * weight).sum() / weight.sum()))


def test_starting_from_another_network(folder: Path) -> None:
    """What has the same name and shape is taken over, in the network and in its average; nothing is an error."""
    trainer, _ = start(folder)
    other = RaScaNet(replace(trainer.config, projection="1x1", classifier_hidden=0))
    trainer.start_from(other)
    taken, kept = other.state_dict(), trainer.model.state_dict()
    for state in (kept, trainer.average):
        assert torch.equal(state["raster_cnn_0.conv_block1.conv.weight"], taken["raster_cnn_0.conv_block1.conv.weight"])
    assert kept["raster_att.channel_prj.projection.0.weight"].shape[-1] == 3
    strange = replace(trainer.config, channels=(11, 12, 13, 14), hidden=15, attention=9, heads=1, classifier_hidden=0)
    with pytest.raises(TrainError, match=r"none of the weights of .* fits"):
        trainer.start_from(RaScaNet(replace(strange, classes=9)))


def test_a_fold_is_held_out_of_the_training_rows(folder: Path) -> None:
    """By the fold column where there is one, so that crops stay with their photo; else by the file name."""
    _, whole = start(folder)
    rows = set(whole.train.rows)
    folds = [start(folder, fold=fold)[1] for fold in range(1, FOLDS + 1)]
    assert [row for data in folds for row in data.val.rows if row not in rows] == []
    assert sum(len(data.val) for data in folds) == len(rows)
    assert all({*data.val.rows, *data.train.rows} == rows for data in folds)
    labels = folder / "labels.csv"
    head, *lines = labels.read_text().splitlines()
    labels.write_text("\n".join([f"{head},fold", *(f"{line},{1 + i % 3}" for i, line in enumerate(lines))]))
    _, second = start(folder, fold=2, crops=False)
    assert {row.fold for row in second.val.rows} == {2}
    labels.write_text("\n".join([f"{head},fold", *(f"{line},x" for line in lines)]))
    with pytest.raises(RascaError, match=r"labels\.csv:2: fold must be a whole number, not 'x'"):
        start(folder)


def test_the_rate_rises_and_falls(folder: Path) -> None:
    trainer, _ = start(folder)
    rates = [trainer.rate(part) for part in np.linspace(0, 1, 201)]
    top = int(np.argmax(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.01 * max(rates), rel=1e-3)
    clock, _ = start(folder, minutes=1.0)
    assert not clock.done
    clock.elapsed = 61.0
    assert clock.done


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(epochs=2, **SHORT)  # type: ignore[arg-type]
    out = tmp_path / "run"
    result = train(config=preset("tiny"), data=folder, out=out, options=options, cache=tmp_path / "cache")
    assert result == out / "tiny.float"
    assert load_float(result).config == preset("tiny")
    log = (out / "log.csv").read_text().splitlines()
    assert len(log) == 3
    assert log[0].startswith("epoch,seconds,class,confidence,place,balanced_all")
    assert "seed 1" in capsys.readouterr().out
    first = result.read_bytes()
    # A second call finds the run finished and writes the same again.
    train(config=preset("tiny"), data=folder, out=out, options=options, cache=tmp_path / "cache")
    assert result.read_bytes() == first


def test_bad_options(folder: Path) -> None:
    for name, value, message in (
        ("epochs", 0, "epochs must be at least 1, not 0"),
        ("ema", 1.5, r"ema must lie within 0\.\.1, not 1\.5"),
        ("alpha", -1.0, r"alpha must be a number from 0, not -1\.0"),
        ("confidence", "all", "confidence must be one of none, trivial, proposed, boxes, not 'all'"),
        ("fold", 5, r"fold must be 0 \(off\) to 4, not 5"),
        ("absent", 0.1, r"absent must not exceed present, 0\.005; it is 0\.1"),
    ):
        with pytest.raises(TrainError, match=message):
            Options(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(TrainError, match="batch 8 is larger than an epoch of 4"):
        start(folder, draws=4)
    labels = folder / "labels.csv"
    lines = labels.read_text().splitlines()
    labels.write_text("\n".join([lines[0], *(line for line in lines[1:] if line.split(",")[1] == "1")]))
    with pytest.raises(TrainError, match="the train split must hold both labels"):
        start(folder, crops=False)


def test_equal_error() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(4000) < 0.8).astype(np.int64)
    scores = rng.normal(labels * 2.0 + 5, 1)
    cut = equal_error(scores, labels)
    assert cut == pytest.approx(6, abs=0.1)
    assert abs((scores[labels == 1] < cut).mean() - (scores[labels == 0] >= cut).mean()) < 0.01
