"""How long an engine takes from one place to another, for the hardware and for the schedule that is made for it."""

from __future__ import annotations

from . import array, broadcast, drain, feeder, packed, pool, post, serial_drain, serial_pool, serial_post, softmax
from .params import EngineParams
from .post import PostParams

MAX_POOL_ROWS = 6
"""Rows whose state words are all written before the first pooled value comes."""


def post_params(params: EngineParams) -> PostParams:
    """What the engine's rows are made for."""
    return PostParams(params.acc_width, params.columns, params.tables, bool(params.spatial))


def tap_latency(params: EngineParams) -> int:
    """Cycles from a tap's address to its operands."""
    return feeder.SHORT_LATENCY if params.broadcast else feeder.LATENCY


def array_latency(params: EngineParams) -> int:
    """Cycles from a pass's last operands to the sum of column 0, row 0."""
    if params.broadcast:
        return broadcast.LATENCY
    return packed.LATENCY if params.packed else array.LATENCY


def sum_latency(params: EngineParams) -> int:
    """Cycles from the address of a pass's last tap to the sum of column 0, row 0 (systolic: to `valid`); row r follows
    r * skew cycles later.
    """
    return tap_latency(params) + array_latency(params)


def drain_latency(params: EngineParams) -> int:
    """Cycles from the address of a pass's last tap to the write of column 0 of row 0."""
    return sum_latency(params) + (serial_drain.WRITE if params.broadcast else post_params(params).value_stage + 3)


def logit_latency(params: EngineParams) -> int:
    """Cycles from a class's sum (systolic: from `valid`) to its logit."""
    return serial_post.TOTAL if params.broadcast else post.TOTAL + 1


def drain_overhead(params: EngineParams) -> int:
    """Cycles between two layers' sums in which no sum may come."""
    return serial_drain.LAYER_OVERHEAD if params.broadcast else drain.LAYER_OVERHEAD


def operand_latency(params: EngineParams) -> int:
    """Cycles from the address of a pass's last tap to the read of column 0 of row 0's second operands."""
    return sum_latency(params) + (serial_drain.OPERAND_READ if params.broadcast else post.OPERAND_READ)


def operand_delay(params: EngineParams) -> int:
    """Cycles by which a word is later in the memory of second operands than among the activations."""
    return 0 if params.broadcast else 1


def settle_cycles(params: EngineParams) -> int:
    """Cycles from the last sum of row 0 to the end of all that follows from it.

    A drained pass still travels through post-processing, and the drain sequencer takes up the next layer: a restart
    must not come before the last word or logit, nor while the sequencer cannot see it.
    """
    return drain_latency(params) + pool_latency(params) + drain_overhead(params) + params.rows


def softmax_latency(params: EngineParams) -> int:
    """Cycles from the sum of row 0's last score to the write of the word that ends with its first weight."""
    assert params.spatial is not None
    return post.SCORE + softmax.word_latency(params.spatial.columns) + 1


def scratch_latency(params: EngineParams) -> int:
    """Cycles from a sum to its place in the scratch memories."""
    return post_params(params).value_stage


def pool_latency(params: EngineParams) -> int:
    """Cycles from the write of a state word to that of its pooled value."""
    if params.broadcast:
        return serial_pool.latency(params.rows, params.columns)
    return pool.LATENCY - 2 + pool_wait(params)


def pool_wait(params: EngineParams) -> int:
    """Systolic: cycles by which pooled values wait, so that none comes together with a word of the state."""
    return max(0, params.rows - MAX_POOL_ROWS)
