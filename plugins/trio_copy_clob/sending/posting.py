"""Sends the frozen bytes of one order until it is known what came of them, or the time is up. One order a request, always.

Once a send may have arrived, no later refusal of the same bytes proves anything: the first copy may have spent the very
balance, or met the very offer, that the second one lacks. Only an answer that has the order does.
"""

from collections.abc import Callable

import trio
from attrs import define, evolve

from trio_copy.entropy import Entropy
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy_clob.sending.answers import Answer, read_answer
from trio_copy_clob.sending.attempt import LONGEST_PAUSE_S, Again, Attempt, Release
from trio_copy_clob.sending.calling import Caller, NoReply, Reply
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner, hidden
from trio_copy_clob.sending.learning import Learning
from trio_copy_clob.sending.limits import Turns, rest_after
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.stopping import Stopping
from trio_copy_clob.sending.texts import Row

PATH = "/order"


@define(eq=False, kw_only=True)
class Posting:
    caller: Caller
    address_turns: Turns
    stopping: Stopping
    learning: Learning
    sendings: Sendings
    entropy: Entropy
    with_owner: Callable[[bytes, str], bytes]
    """Puts the id of an API key into a frozen body."""
    answer_s: float = 4.0
    """How long one answer is waited for, before the same bytes go again."""

    async def post(self, order: Order, signer: VenueSigner, until: float, release: Release) -> ExecutionReport:
        """Send an order until a moment of Trio's clock. Cancelled, it may be at the venue.

        It is released when nothing else stands in its way: what is stopped, or has no turn, uses up nothing of the guard's limits.

        Raises:
            OrderNotSent: certainly not at the venue.
            OrderUncertain: it may be.
        """
        return await self._attempt(Attempt(order=order, signer=signer, until=until, release=release))

    async def _attempt(self, attempt: Attempt) -> ExecutionReport:
        try:
            return await self._run(attempt)
        except OrderNotSent as error:  # of whoever guards the key, who lets nobody ask: that is about this send alone
            if attempt.unproven is None:
                raise
            raise OrderUncertain(attempt.unproven) from error

    async def _run(self, attempt: Attempt) -> ExecutionReport:
        while (key := await self._ready(attempt)) is not None:
            done = await self._send(attempt, key)
            match done:
                case ExecutionReport():
                    return done
                case Again.AT_ONCE:
                    continue
                case Again.LOOKED_UP:
                    report = await self.learning.look_up(attempt)
                    if report is not None:
                        return report
            if done is None or not await self._pause(attempt):
                break
            attempt.rest_s = 0.0
        if attempt.unproven is not None:
            raise OrderUncertain(attempt.unproven)
        raise OrderNotSent(attempt.why, not_yet=self._is_taken_soon(attempt))

    def _is_taken_soon(self, attempt: Attempt) -> bool:
        """Tell whether the venue is not ready, and will be in a moment: for this order, as it said last, or for all of them."""
        if attempt.stopped(self.stopping.stops) is not None:
            return False
        return attempt.not_ready or self.stopping.stops.is_restarting(trio.current_time())

    async def _ready(self, attempt: Attempt) -> ApiKey | None:
        """Return the key to send with, once it is this order's turn; None where nothing stands to be sent, or in no time."""
        if self._is_stopped(attempt):
            return None
        key = await attempt.signer.key(attempt.until)
        while isinstance(key, NoKey):
            if await self.learning.is_final(attempt, key) or not await self._pause(attempt):
                return None
            key = await attempt.signer.key(attempt.until)
        for turns in (attempt.signer.limits.orders, self.address_turns):
            if turns.take_nowait():
                continue
            with trio.CancelScope(deadline=attempt.until) as scope:
                await turns.wait(is_exit=attempt.is_exit)
            if scope.cancelled_caught:
                attempt.why = "too many orders before it, or the venue wants to be left alone"
                return None
        if not attempt.released:
            with trio.CancelScope(deadline=attempt.until) as scope:
                await attempt.release()
            if scope.cancelled_caught:
                attempt.why = "its guard could not write it down in time"
                return None
            attempt.released = True
        # Looked at again: while it waited for its turn, another order may have been refused for all of them.
        return None if self._is_stopped(attempt) else key

    def _is_stopped(self, attempt: Attempt) -> bool:
        stopped = attempt.stopped(self.stopping.stops)
        if stopped is not None:
            attempt.why = str(stopped)
        return stopped is not None

    async def _send(self, attempt: Attempt, key: ApiKey) -> ExecutionReport | Again | None:
        """Send the bytes once; returns what came of them, how they go again, or None where they do not."""
        signer, order = attempt.signer, attempt.order
        body = self.with_owner(order.body, key.api_key)
        attempt.sent_at = began = trio.current_time()
        self.sendings.leaves(order.order_id, began)
        reply = await self.caller.call(
            "POST",
            PATH,
            headers=signer.signed(key, "POST", PATH, body),
            content=body,
            until=min(attempt.until, began + self.answer_s),
        )
        if isinstance(reply, NoReply):
            attempt.why = reply.why
            attempt.unproven = reply.why if reply.sent else attempt.unproven
            return Again.AFTER_A_PAUSE
        signer.learn(reply)
        answer = read_answer(
            reply.status,
            reply.headers,
            reply.body,
            order_id=order.order_id,
            side=order.side,
            now=signer.wall(),
        )
        self._rest(attempt, reply, answer)
        words = hidden(answer.words, key)
        return await self.learning.learn(attempt, answer if words == answer.words else evolve(answer, words=words), key)

    def _rest(self, attempt: Attempt, reply: Reply, answer: Answer) -> None:
        """Leave the venue alone for as long as it asks for: this order, and all others that it means."""
        asks_s = answer.after_s
        if answer.row is Row.TOO_OFTEN:
            asks_s = LONGEST_PAUSE_S if asks_s is None else asks_s
        elif answer.row not in (Row.NOT_READY, Row.SERVER) or 400 <= reply.status < 425:
            # One market is not ready; or trading is paused, and what rests may be called off all the same.
            asks_s = None
        if asks_s is not None:
            attempt.rest_s = asks_s
            rest_after(reply.status, reply.headers, asks_s, attempt.signer.limits.orders, self.address_turns)

    async def _pause(self, attempt: Attempt) -> bool:
        """Rest before the same bytes go again; False where no time is left for that."""
        pause_s = max(attempt.rest_s, attempt.pauses.next_s(self.entropy))
        if trio.current_time() + pause_s >= attempt.until:
            return False
        await trio.sleep(pause_s)
        return True
