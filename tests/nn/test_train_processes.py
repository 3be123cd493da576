"""Training that is killed, and training in two processes; each in a fresh interpreter, which forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rasca_nn.config import preset
from rasca_nn.options import Options, TrainError
from rasca_nn.parallel import Team, choose_device, team
from rasca_nn.train import train

COMMON = """
import os, signal, sys, time
from pathlib import Path
import matplotlib.figure
import torch
import torch._dynamo  # the optimizer loads it, which takes seconds
from rasca_nn.config import preset
from rasca_nn.options import Options
from rasca_nn.parallel import team
from rasca_nn.train import train
from rasca_nn.trainer import Trainer
from rasca_nn.training_data import load_data
data, out, cache = map(Path, sys.argv[1:4])
options = Options(epochs=6, draws=16, batch=8, validate_every=3)

def forked(job, *arguments):
    pid = os.fork()
    if pid == 0:
        job(*arguments)
        sys.stdout.flush()
        os._exit(0)
    return pid
"""

KILLED = """
def job():
    train(config=preset("tiny"), data=data, out=out, options=options, cache=cache, device="cpu")

kills, delay = 0, 0.2
while kills < 3:
    pid = forked(job)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # Earlier ones come before there is anything to go on from.
    kills += (out / "checkpoint.pt").is_file()
    delay *= 1.3
"""

PAIR = """
def job(rank, port):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with team("cpu") as members:
        mean = torch.tensor([float(rank)])
        members.average([mean])
        assert float(mean) == 0.5 and members.agree(7.0 + rank) == 7.0
        trainer = Trainer(preset("tiny"), options, load_data(data, preset("tiny"), options, cache), members)
        trainer.run_epoch(lambda loss, part: None)
        torch.save([trainer.model.state_dict(), trainer.average], out / f"{rank}.pt")
    os.environ["MASTER_PORT"] = str(int(port) + 1)
    train(config=preset("tiny"), data=data, out=out / "run", options=options, cache=cache, device="cpu")

out.mkdir()
port = os.environ["TEST_PORT"]
for pid in [forked(job, rank, port) for rank in range(2)]:
    assert os.waitpid(pid, 0)[1] == 0
"""


def start(script: str, *paths: Path, **environment: str) -> str:
    """Run a script; its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + script, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_run_killed_again_and_again_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    """SIGKILL at many moments, three of them after the first checkpoint; log and weights as without."""
    options, cache = Options(epochs=6, draws=16, batch=8, validate_every=3), tmp_path / "cache"
    whole = train(config=preset("tiny"), data=folder, out=tmp_path / "whole", options=options, cache=cache)
    start(KILLED, folder, tmp_path / "killed", cache)
    found = train(config=preset("tiny"), data=folder, out=tmp_path / "killed", options=options, cache=cache)
    assert found.read_bytes() == whole.read_bytes()
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "killed")]
    # All but the seconds.
    assert [row.split(",")[::2] for row in logs[0]] == [row.split(",")[::2] for row in logs[1]]
    assert (tmp_path / "killed" / "curves.png").stat().st_size > 1000


@pytest.mark.slow
def test_two_processes_hold_the_same_weights(folder: Path, tmp_path: Path) -> None:
    port = str(20000 + os.getpid() % 20000)
    said = start(PAIR, folder, tmp_path / "out", tmp_path / "cache", TEST_PORT=port)
    one, other = (torch.load(tmp_path / "out" / f"{rank}.pt", weights_only=True) for rank in range(2))
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(theirs[key], value) for key, value in mine.items())
    assert (tmp_path / "out" / "run" / "tiny.float").is_file()
    assert said.count("seed 1") == said.count("err equally") == 1


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(TrainError, match="device must be one of auto, cpu, cuda, not 'tpu'"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(TrainError, match="PyTorch finds no GPU here"):
            choose_device("cuda")
    with team("cpu") as members:
        assert members == Team()
        assert members.share(8) == slice(0, 8)
    assert Team(1, 4).share(8) == slice(2, 4)
