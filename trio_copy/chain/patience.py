"""Asks again and again, for those who have time: nodes that rest are waited for, and what failed is another node's turn."""

from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

import msgspec
import trio
from attrs import define

from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.pacing import Growing, spread
from trio_copy.chain.refusals import Refusal, too_often
from trio_copy.errors import ChainError

_T = TypeVar("_T")
GIVE_UP_S = 180.0
"""Without an answer for so long there is none; longer than most rests."""


@define(eq=False)
class PatientPool(EndpointPool):
    """Waits where the engine would rather have no answer: while every node rests, a question rests with them.

    One question may take several requests, and a node that refuses every third would never let it come to its end.
    """

    async def ask(self, endpoint: Endpoint, method: str, *params: object, until: float = inf) -> msgspec.Raw:
        """Ask one endpoint, at its pace, and once more when it has rested. Raises `ChainError` as `EndpointPool.ask`."""
        began = trio.current_time()
        while True:
            # Where another one can be asked meanwhile, nothing waits here.
            now = trio.current_time()
            await trio.sleep_until(min(until, now + endpoint.pace.rest_s(now)) if self.rest_s else now)
            try:
                return await super().ask(endpoint, method, *params, until=until)
            except ChainError as error:
                waited_s = trio.current_time() - began
                if too_often(error) is not Refusal.TOO_OFTEN or not self.rest_s or waited_s > GIVE_UP_S:
                    raise


@define(eq=False)
class Patience:
    pool: EndpointPool

    async def ask(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until there is an answer. Raises `ChainError` when there is none for three minutes, with the last failure."""
        began, waits = trio.current_time(), Growing(0.5, 15.0)
        while True:
            # A rest is asked for by the node, and is not held against it.
            await trio.sleep(self.pool.rest_s)
            asked_at = trio.current_time()
            try:
                with trio.fail_after(max(1.0, began + GIVE_UP_S - asked_at)):
                    await self.pool.wait_live()
                    return await ask()
            except trio.TooSlowError:
                failure = ChainError("no node answers")
            except ChainError as error:
                failure = error
            if trio.current_time() - began >= GIVE_UP_S:
                raise ChainError(f"no usable answer for {GIVE_UP_S:.0f} s; the last failure: {failure}")
            await trio.sleep(spread(waits.next_s(), self.pool.entropy))
