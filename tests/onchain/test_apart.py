"""Nodes that contradict each other: a person hears of it when it lasts, and not of what is usual."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.onchain.scripted_chain import KEY
from trio_copy.model.fills import Side
from trio_copy.model.ids import Hash32
from trio_copy.model.orders import Settlement, Status
from trio_copy_onchain.outcomes import filled
from trio_copy_onchain.sending.apart import Apart
from trio_copy_onchain.tx.commands import See
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.venues.seam import NOTHING

TX = Hash32("0x" + "ab" * 32)


def see(latest: int, foremost: int) -> See:
    return See(latest=latest, foremost=foremost, pending=latest, final=latest, final_block=0)


def test_a_node_that_stands_still_is_told_after_half_a_minute() -> None:
    apart = Apart()
    told = [apart.look(see(5, 6), (), (), float(second)) for second in range(32)]
    assert told[:30] == [""] * 30
    assert told[30] == "6 nonces: used as one node says, and 5 as another does"


def test_a_node_that_is_a_block_behind_in_each_look_is_no_trouble() -> None:
    """Where something is sent in each block, the nodes never count the same."""
    apart = Apart()
    assert {apart.look(see(second, second + 1), (), (), float(second)) for second in range(100)} == {""}


def test_what_nobody_tells_of_final_blocks_is_told_until_somebody_does() -> None:
    apart = Apart()
    assert apart.look(see(5, 5), (4,), (), 0.0) == ""
    assert apart.look(see(5, 5), (4,), (), 30.0).startswith("nonce 4: nodes contradict each other")
    assert apart.look(see(5, 5), (), (TX,), 31.0).startswith(f"{TX}: ")
    assert apart.look(see(5, 5), (), (), 32.0) == ""
    assert apart.look(see(5, 5), (), (TX,), 33.0) == ""


@pytest.mark.parametrize("whole, everywhere", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("settlement", [Settlement.MINED, Settlement.FIRM])
def test_that_nothing_was_exchanged_is_believed_for_good_only(
    whole: bool, everywhere: bool, settlement: Settlement
) -> None:
    """A venue that exchanges nothing refuses the call. Where there is no contract at all, everybody shows no logs."""
    receipt = Receipt(
        tx_hash=TX,
        block_number=1,
        block_hash=TX,
        succeeded=True,
        gas_used=1,
        price=1,
        whole=whole,
        everywhere=everywhere,
    )
    order: Any = SimpleNamespace(order_id="0x1", side=Side.BUY)
    terms: Any = SimpleNamespace(venue=SimpleNamespace(decode=lambda *_: NOTHING))
    body: Any = SimpleNamespace(wallet=KEY.address)
    if settlement is Settlement.FIRM and (whole or everywhere):
        assert filled(order, body, terms, receipt, settlement).status is Status.KILLED
    else:
        with pytest.raises(ValueError, match="no trade of this wallet"):
            filled(order, body, terms, receipt, settlement)
