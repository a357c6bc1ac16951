"""What tokens cost in the past, by the CLOB."""

from collections.abc import Sequence
from math import ceil

import msgspec

from trio_copy.model.books import PastPrice
from trio_copy.model.ids import TokenId
from trio_copy_clob.asking import Asker
from trio_copy_clob.pacing import PRICES_HISTORY
from trio_copy_clob.wire import MISREAD, PastPriceRow, each, past_price_of, priced

_FIDELITY_MINUTES = 1


async def read_past_prices(asker: Asker, token_id: TokenId, since: float, until: float) -> list[PastPrice]:
    """Ask what a token cost, minute by minute. Raises `MarketsUnavailable`."""
    params = [
        ("market", str(token_id)),
        ("startTs", str(int(since))),
        ("endTs", str(ceil(until))),
        ("fidelity", str(_FIDELITY_MINUTES)),
    ]
    rows: Sequence[msgspec.Raw] = await asker.ask(PRICES_HISTORY, priced, params=params) or []
    found: dict[int, PastPrice] = {}
    for row in each(rows, PastPriceRow):
        try:
            if isinstance(row, ValueError):
                raise row
            price = past_price_of(row.p)
        except MISREAD as error:
            asker.troubles.leave_out("a price of the past", error)
            continue
        if since <= row.t < until:  # the venue takes its bounds for about right
            found.setdefault(row.t, PastPrice(float(row.t), price))
    return [found[at] for at in sorted(found)]
