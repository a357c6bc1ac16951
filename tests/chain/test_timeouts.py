"""One timer for all waits of a connection: each ends in its moment, and what is over is let go. Virtual time."""

import trio
import trio.testing

from trio_copy.chain.timeouts import Timeouts

Clock = trio.testing.MockClock


async def test_each_wait_ends_in_its_moment_and_what_is_over_is_let_go(clock: Clock) -> None:
    """However many are answered meanwhile, few of them are kept, and none that waits is lost among them."""
    began, waiting, ended = trio.current_time(), set[int](), list[tuple[int, float]]()
    timeouts = Timeouts(waiting, lambda number: ended.append((number, trio.current_time() - began)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timeouts.run)
        for number in range(10_000):
            if number % 1000 == 0:
                waiting.add(number)
            timeouts.add(began + 60 - number // 1000, number)
        assert len(timeouts._due) < 250
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert [one for one in ended if one[0] in waiting] == [
        (1000 * place, 60.0 - place) for place in reversed(range(10))
    ]
