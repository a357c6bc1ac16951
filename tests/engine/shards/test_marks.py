"""What is remembered of bids, and how often that is written."""

from tests.accounts.played import SPOT
from tests.builders import ALICE, NOW
from trio_copy.engine.shards.marks import Marks, mark_of
from trio_copy.model.units import Price

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
