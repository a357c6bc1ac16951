"""What is remembered of bids, and how often that is written."""

import pytest
import trio.testing

from tests.accounts.played import SPOT, Played, entry, leave, report_on
from tests.builders import ALICE, NOW
from tests.engine.rig import open_rig
from trio_copy.accounts.commands import Answer
from trio_copy.accounts.names import bundle_name, position_name
from trio_copy.engine.shards.marks import Marks, mark_of
from trio_copy.engine.shards.paperwork import put_account
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.writing import Batch
from trio_copy.errors import StoreError
from trio_copy.model.units import Price
from trio_copy.ports import Changes, Document

KEY = (ALICE, *SPOT)


def test_a_bid_is_written_when_it_moves_and_once_a_minute() -> None:
    """Looked at every two seconds, as positions are: what stands where it stood costs the store next to nothing."""
    marks, written = Marks(), []
    for look in range(40):
        if marks.note(KEY, Price.parse("0.4" if look < 5 else "0.5"), NOW + 2 * look):
            written.append(2 * look)
        assert marks.of(KEY).at == NOW + 2 * look  # type: ignore[union-attr]  # it was just noted
    assert written == [0, 10, 70]


def test_after_a_restart_it_goes_on() -> None:
    """What was written then is a minute old now: it is written again, with the highest bid of before."""
    before, after = Marks(), Marks()
    for bid in ("0.8", "0.5"):
        before.note(KEY, Price.parse(bid), NOW)
    ((follower, name, body),) = before.take_changes()
    assert body is not None
    after.load(follower, name, body)
    assert not after.note(KEY, Price.parse("0.5"), NOW + 59)
    assert after.note(KEY, Price.parse("0.5"), NOW + 60)
    ((_, _, body),) = after.take_changes()
    assert body is not None
    assert mark_of(body).peak == Price.parse("0.8")


@pytest.mark.parametrize(("sold", "marked"), [("200", True), ("400", False)])
def test_a_mark_goes_with_its_position_not_with_some_of_its_lots(sold: str, *, marked: bool) -> None:
    """A sale of half of many lots takes documents of them away, and the highest bid of the rest still counts."""
    played, marks, batch = Played(), Marks(), Batch()
    for number in range(1, 41):
        played.fill(entry(number, "10"))
    marks.note(KEY, Price.parse("0.8"), NOW)
    order = played.place(leave(50, sold))
    played.account.apply(played.account.decide(Answer(key=order.key, report=report_on(order), at=NOW)))
    put_account(batch, played.account, marks, Sightings())
    gone = {name for _, kind, name in batch.deletes if kind == "position"}
    assert gone == {bundle_name(SPOT, 1)} | (set() if marked else {position_name(SPOT)})
    assert (marks.of(KEY) is not None) == marked


@pytest.mark.parametrize(
    ("name", "body"), [("0xaa/x", "[1, 5, 5, 1.5]"), ("0xaa/7", "[1]"), ("0xaa/7", "[1, 5, null, 1]")]
)
async def test_a_mark_that_is_none_is_one_line(autojump_clock: trio.testing.MockClock, name: str, body: str) -> None:
    """Whoever takes its account over says what stands there."""
    async with open_rig() as rig:
        odd = Document(ALICE, "mark", name, body.encode())
        await rig.store.accounts.write(0, rig.lease.token, rig.shard.writer.number + 1, Changes(puts=[odd]))
        with pytest.raises(StoreError, match=f"expected a stored mark {name} of alice, was "):
            await rig.shard.load([ALICE])
