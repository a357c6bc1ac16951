"""Whatever comes from outside: something is left out, nothing crashes."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW
from trio_copy.model.ids import TokenId
from trio_copy_clob.channel import Told
from trio_copy_clob.troubles import Troubles
from trio_copy_clob.wire import enveloped, listed

_ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0, 1, 1e308, "", "NaN", "-0", "1e999999", "0.5", "7", "x" * 1000, [], {}, [[]], "\x1b[2J", 10**30]
)
_KEYS = (
    "event_type",
    "asset_id",
    "timestamp",
    "bids",
    "asks",
    "price_changes",
    "price",
    "size",
    "side",
    "best_bid",
    "best_ask",
)
_GOOD = {
    "event_type": "book",
    "asset_id": "7",
    "timestamp": str(int(NOW * 1000)),
    "bids": [{"price": "0.4", "size": "1"}],
    "asks": [{"price": "0.6", "size": "1"}],
    "tick_size": "0.01",
}
_CHANGE = {"asset_id": "7", "price": "0.41", "size": "2", "side": "BUY", "best_bid": "0.41", "best_ask": "0.6"}
_GOOD_CHANGE = {"event_type": "price_change", "timestamp": str(int(NOW * 1000)), "price_changes": [_CHANGE]}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([_GOOD, _GOOD_CHANGE]),
    st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=3),
    st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=2),
)
def test_no_event_ends_a_channel(event: dict[str, object], odd: dict[str, object], inner: dict[str, object]) -> None:
    """Any field may hold anything; after it, a good event is heard as ever."""
    told = Told(wall=lambda: NOW, troubles=Troubles(), tokens=frozenset({TokenId(7)}))
    told.take(msgspec.json.encode(_GOOD))
    spoiled = {**event, **odd}
    if spoiled.get("price_changes") == [_CHANGE]:
        spoiled["price_changes"] = [{**_CHANGE, **inner}, _CHANGE]
    for seen in told.take(msgspec.json.encode([spoiled])):
        assert seen.quote.bid is None or seen.quote.ask is None or seen.quote.bid < seen.quote.ask

    (seen,) = told.take(msgspec.json.encode(_GOOD))
    assert (str(seen.quote.bid), str(seen.quote.ask)) == ("0.4", "0.6")


@given(st.binary(max_size=200))
def test_no_bytes_end_a_channel(frame: bytes) -> None:
    """A frame that is nothing tells nothing."""
    assert Told(wall=lambda: NOW, troubles=Troubles(), tokens=frozenset({TokenId(7)})).take(frame) == []


@pytest.mark.parametrize("read", [listed, enveloped])
@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b"{" * 9, b"[1,", b"[" + b"0," * 100_000 + b"0]", b'{"data":[' + b"{},"]
)
def test_answers_that_cannot_be_parted_are_refused(read: Callable[[bytes], object], body: bytes) -> None:
    """Deep, cut and crumbled answers are a `ValueError`, which is asked again or told."""
    with pytest.raises(ValueError, match=r"."):
        read(body)


def test_what_is_left_out_is_counted_and_told_now_and_then() -> None:
    """The first of a kind, and then how many there are by now: a venue that writes otherwise does so always."""
    told: list[str] = []
    counted: list[str] = []
    troubles = Troubles(lambda kind, detail: told.append(f"{kind}: {detail}"), counted.append)
    for _ in range(150):
        troubles.leave_out("a book", "it has no asks")

    assert counted == ["a book"] * 150
    assert told == [
        "markets-unreadable: a book left out: it has no asks",
        "markets-unreadable: a book left out (100 times by now): it has no asks",
    ]
