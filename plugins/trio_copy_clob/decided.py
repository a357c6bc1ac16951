"""How questions were decided, by the Data API."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from trio_copy.model.resolutions import Decided
from trio_copy.model.units import MICRO
from trio_copy_clob.asking import Asker
from trio_copy_clob.pacing import RESOLUTIONS
from trio_copy_clob.together import batches, together
from trio_copy_clob.wire import MISREAD, ResolutionRow, condition_of, each, enveloped

_CONDITIONS_PER_CALL = 20
"""The venue's own limit."""
_DONE = "resolved"
_SLOTS = range(2, 257)


async def read_decided(asker: Asker, conditions: Collection[str]) -> list[Decided]:
    """Ask which questions are decided for good. Raises `MarketsUnavailable`."""
    calls = [partial(_read_batch, asker, batch) for batch in batches(sorted(set(conditions)), _CONDITIONS_PER_CALL)]
    return [decided for batch in await together(calls) for decided in batch]


async def _read_batch(asker: Asker, conditions: Sequence[str]) -> list[Decided]:
    params = [("condition", ",".join(conditions))]
    rows: Sequence[msgspec.Raw] = await asker.ask(RESOLUTIONS, enveloped, params=params) or []
    found: dict[str, Decided] = {}
    for row in each(rows, ResolutionRow):
        try:
            decided = _decided(row)
            if decided is not None and decided.condition_id not in conditions:
                raise ValueError("nobody asked for it")
            if decided is not None and found.setdefault(decided.condition_id, decided) != decided:
                del found[decided.condition_id]
                raise ValueError("it was decided twice, and differently")
        except MISREAD as error:
            asker.troubles.leave_out("a decision", error)
    return list(found.values())


def _decided(row: ResolutionRow | ValueError) -> Decided | None:
    """Read a decision; None while it is not final. What is proposed or disputed may still turn around."""
    if isinstance(row, ValueError):
        raise row
    if row.status != _DONE or row.payouts is None:
        return None
    if row.condition_id is None:
        raise ValueError("expected the condition that was decided")
    payouts = tuple(map(_numerator, row.payouts))
    if len(payouts) not in _SLOTS or sum(payouts) != MICRO:
        raise ValueError("expected payouts that add up to a dollar")
    return Decided(condition_id=condition_of(row.condition_id), payouts=payouts)


def _numerator(value: Decimal) -> int:
    if not 0 <= value <= MICRO or value != value.to_integral_value():
        raise ValueError("expected a payout from 0 to a dollar, in millionths")
    return int(value)
