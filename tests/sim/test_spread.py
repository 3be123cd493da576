"""Pieces of work side by side: in order, and none lost where a worker dies."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rasca_nn.errors import RascaError
from sim.spread import spread

KILLED = """
import json, os, signal, time
from distributed import LocalCluster
from sim.spread import spread

def work(i):
    import os, time
    time.sleep(0.1)
    return i * i, os.getpid()

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        found = []
        for value, process in spread(work, range(20), dask=cluster.scheduler_address):
            found.append(value)
            if len(found) == 4:
                os.kill(process, signal.SIGKILL)
    print(json.dumps(found))
"""


def test_threads_keep_the_order() -> None:
    assert list(spread(lambda i: i * i, range(20), jobs=3)) == [i * i for i in range(20)]


def test_processes_keep_the_order() -> None:
    assert list(spread(abs, range(-20, 0), jobs=2, processes=True)) == [*range(20, 0, -1)]


def test_a_cluster_of_two_of_which_one_is_killed() -> None:
    """In a process of its own: a cluster starts threads and processes, and warns when one is killed."""
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [i * i for i in range(20)]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense"])
def test_no_cluster(address: str) -> None:
    with pytest.raises(RascaError, match=r"^--dask \S+: no Dask scheduler answers there"):
        list(spread(abs, [1], dask=address))


def test_no_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RascaError, match="needs Dask; install it with"):
        list(spread(abs, [1], dask="tcp://127.0.0.1:1"))
