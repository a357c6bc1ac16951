"""What gas has cost, out of what executors left in a store: added up once, and nothing that cannot be read."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from attrs import define

from trio_copy.cli.gas import gas_in_all
from trio_copy.engine.books.gas import gas_paid
from trio_copy.ports import NOBODY, Document, History
from trio_copy.records import write_plain

OPERATOR, SAFE = "0x" + "0a" * 20, "0x" + "5a" * 20


@define
class Left:
    """A history of documents alone."""

    found: Sequence[Document]

    async def documents(self, kind: str) -> Sequence[Document]:
        return self.found


def history(*documents: tuple[str, Any]) -> History:
    left = [
        Document(NOBODY, "sending", name, body if isinstance(body, bytes) else write_plain(body))
        for name, body in documents
    ]
    return cast("History", Left(left))


async def test_what_an_operator_paid_in_two_shards_is_added_up() -> None:
    """As after its accounts came to another shard: each has a whole, and parts of it."""
    paid = await gas_paid(
        history(
            (f"onchain/137/{OPERATOR}/gas", [1, 10, 100]),
            (f"onchain/137/gas/{SAFE}/{OPERATOR}", [1, 10, 100]),
            (f"onchain/137/{OPERATOR}/gas", [1, 8, 80]),
            (f"onchain/137/gas/{SAFE}/{OPERATOR}", [1, 5, 50]),
        )
    )
    assert [(one.wallet, one.transactions, one.coins.wei) for one in paid] == [(OPERATOR, 3, 30), (SAFE, 15, 150)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (f"onchain/137/{SAFE}/gas", {"a": 1, "b": 2, "c": 3}),
        (f"onchain/137/{SAFE}/gas", b"\xff"),
        (f"onchain/137/{SAFE}/gas", [1, 1e30, "5"]),
        (f"onchain/137/{SAFE}/gas", [2, 1]),
        (f"onchain/x/{SAFE}/gas", [1, 1, 1]),
        ("onchain/137/gas/gas", [1, 1, 1]),
        (f"onchain/137/gas/\x1b[31m/{OPERATOR}", [1, 1, 1]),
        (f"onchain/137/gas/{SAFE}/{OPERATOR}", [1, -1, -50]),
    ],
)
async def test_what_nobody_wrote_here_is_left_out(name: str, body: Any) -> None:
    """And ends no command that shows gas beside other things."""
    paid = await gas_paid(history((name, body), (f"onchain/137/{OPERATOR}/gas", [1, 1, 7])))
    assert [(one.wallet, one.transactions, one.coins.wei) for one in paid] == [(OPERATOR, 1, 7)]


async def test_coins_of_different_chains_are_not_added_up() -> None:
    other = (f"onchain/80002/{OPERATOR}/gas", [1, 1, 5 * 10**18])
    here = (f"onchain/137/{OPERATOR}/gas", [1, 2, 10**17])
    assert gas_in_all(await gas_paid(history(here))) == "0.1 coins for 2 transactions"
    told = "0.1 coins of chain 137 for 2 transactions, 5 coins of chain 80002 for 1 transaction"
    assert gas_in_all(await gas_paid(history(here, other))) == told
