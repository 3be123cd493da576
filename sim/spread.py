"""Independent pieces of work on all cores, or on a Dask cluster, by joblib."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config

from rasca_nn.errors import RascaError

Piece = TypeVar("Piece")
Made = TypeVar("Made")

CONNECT_SECONDS = 10


def spread(
    function: Callable[[Piece], Made],
    pieces: Iterable[Piece],
    *,
    jobs: int | None = None,
    dask: str | None = None,
    processes: bool = False,
) -> Iterator[Made]:
    """`function` of each piece, in order, as they become ready.

    Parameters
    ----------
    jobs : threads; as many as there are cores by default. The work should be foreign code that frees Python's lock.
    processes : it is Python, and takes processes instead.
    dask : address of a Dask scheduler; its workers then do the work, and what a worker that dies was at is done again
        by another. They need this package installed.

    Raises RascaError where there is no such cluster or no Dask.
    """
    with _place(jobs, dask, processes):
        yield from Parallel(return_as="generator")(delayed(function)(piece) for piece in pieces)


@contextmanager
def _place(jobs: int | None, dask: str | None, processes: bool) -> Iterator[None]:
    if dask is None:
        with parallel_config("loky" if processes else "threading", n_jobs=jobs or os.cpu_count() or 1):
            yield
        return
    with _client(dask) as client, parallel_config("dask", client=client):
        yield


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise RascaError("--dask needs Dask; install it with: pip install -c constraints.txt -e '.[dask]'") from None
    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise RascaError(f"--dask {address}: no Dask scheduler answers there ({type(error).__name__})") from None
