"""Heartbeats for whoever has orders at rest: with the first one, the venue takes off its book what rests once they stay out.

So an engine that has died, or reaches nobody any more, leaves no offers behind at prices of the past. They begin and end with
what rests here; whatever else rests under the same API key is taken off as well once they end.
"""

from typing import NoReturn

import msgspec
import trio
from attrs import define, field

from trio_copy.entropy import Entropy
from trio_copy.errors import ExecutorError
from trio_copy_clob.pacing import Growing
from trio_copy_clob.sending.bodies import object_of
from trio_copy_clob.sending.calling import NoReply
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.open_orders import OpenOrders
from trio_copy_clob.troubles import Troubles

PATH = "/v1/heartbeats"
_EVERY_S = 4.0
"""The venue waits for ten seconds: one may be lost on its way, and comes again in time."""
_TOLD_S = 6.0
"""A person hears of it before the ten seconds are over, when it has been tried again and again."""
_ANSWER_S = 2.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 4.0
_TIMES = 3
"""Another instance with the same API key may be beating: of two that beat at once, one is told another id."""
_LONGEST_ID = 200
_WHO = "the venue's heartbeat"


@define(eq=False, kw_only=True)
class Heartbeats:
    open_orders: OpenOrders
    entropy: Entropy
    troubles: Troubles
    _beating: set[str] = field(factory=set)
    """Addresses of signers."""

    async def beat(self) -> NoReturn:
        """Beat for whoever has orders at rest, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for signer in self.open_orders.at_rest:
                    if signer.address not in self._beating:
                        self._beating.add(signer.address)
                        nursery.start_soon(self._beat_on, signer)
                await self.open_orders.at_rest.wait_more()

    async def _beat_on(self, signer: VenueSigner) -> None:
        """Beat for one signer while an order of his rests."""
        last, taken_at = "", trio.current_time()
        pauses = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while signer.address in self.open_orders.at_rest:
            began = trio.current_time()
            try:
                last = await self._beat(signer, last)
            except ExecutorError as error:
                if began - taken_at >= _TOLD_S:
                    # Before the first one, nobody waits for the next.
                    why = f"{error}; after 10 s what rests is taken off the book" if last else str(error)
                    self.troubles.away(_WHO, why, signer.address)
                await trio.sleep(pauses.next_s(self.entropy))
                continue
            taken_at = began
            pauses.start_over()
            self.troubles.back(_WHO, signer.address)
            await trio.sleep_until(began + _EVERY_S)
            self.open_orders.forget()
        self._beating.discard(signer.address)

    async def _beat(self, signer: VenueSigner, last: str) -> str:
        """Send a heartbeat that names the one before; returns its own id.

        Raises:
            ExecutorError: the venue has not taken it.
        """
        until, why = trio.current_time() + _ANSWER_S, ""
        for _ in range(_TIMES):
            content = msgspec.json.encode({"heartbeat_id": last})
            reply = await signer.ask("POST", PATH, until=until, content=content)
            if isinstance(reply, NoReply):
                raise ExecutorError(reply.why)
            why = f"HTTP status {reply.status}"
            told = _id_of(reply.body)
            if told is None or reply.status not in (200, 400):
                break
            if reply.status == 200:
                return told
            last = told  # it goes on from the one that it knows
        raise ExecutorError(why)


def _id_of(body: bytes) -> str | None:
    """Read the id that an answer names; None where it names none."""
    try:
        told = object_of(body).get("heartbeat_id")
    except ValueError:
        return None
    return told if isinstance(told, str) and len(told) <= _LONGEST_ID else None
