"""What a transaction would pay now, from a history that is fresh enough: it is asked for when somebody wants it."""

import math

import trio
from attrs import define, field, frozen

from trio_copy.errors import ChainError, NoAnswer
from trio_copy.transactions.tips import floor_of
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.tx.fees import FeeHistory, Fees, cap_of_calls, fees_now


@frozen
class _Known:
    history: FeeHistory
    at: float
    """Trio time before it was asked for."""


@define(eq=False, kw_only=True)
class FeeClock:
    """Shared by all operators of a chain. Whoever comes while a question is open waits for it, and asks none of his own.

    Cancelled, whoever asks gives up the question; the next one who waits asks it again.
    """

    chain: Chain
    percentile: float
    """Of what a block's transactions paid as a tip: from 0 to 100."""
    cap: int
    """Nobody pays more, per gas, in wei."""
    floor: int = field()
    """The least tip that is paid, in wei: the chain's, or more."""
    age_s: float = 2.0
    """A history is used for so long before another one is asked for."""
    patience_s: float = 1.0
    """For so long an answer is waited for where an older one may be used instead."""
    stale_s: float = 30.0
    """While no node tells, the last one is used for so long."""
    _known: _Known | None = None
    _turn: trio.Lock = field(factory=trio.Lock)
    _doubted_at: float = -math.inf
    """What was asked for before, by Trio time, is not fresh any more."""
    _failure: ChainError | None = None
    """Of the last question, where it brought nothing."""
    _failed_at: float = 0.0

    @floor.default
    def _default_floor(self) -> int:
        return floor_of(self.chain.chain_id)

    async def now(self, until: float) -> Fees | None:
        """Return what to pay; None where even the least that is taken is over the cap, less what a cancellation may take.

        Raises:
            ChainError: no node tells, and what was told last is too old.
        """
        return fees_now(await self.history(until), floor=self.floor, cap=cap_of_calls(self.cap))

    async def history(self, until: float) -> FeeHistory:
        """Return what was paid lately.

        Raises:
            ChainError: no node tells, and what was told last is too old.
        """
        fresh = self._fresh
        if fresh is None:
            with trio.move_on_at(until):
                async with self._turn:
                    fresh = self._fresh
                    if fresh is None and not self._just_failed:
                        fresh = await self._ask(until)
        usable = fresh or self._younger_than(self.stale_s)
        if usable is None:
            raise self._failure or NoAnswer("nobody told in time what transactions pay")
        return usable

    def doubt(self) -> None:
        """Ask anew next time: a pool has just refused what should have been enough."""
        self._doubted_at = trio.current_time()

    @property
    def _fresh(self) -> FeeHistory | None:
        known = self._known
        return self._younger_than(self.age_s) if known is not None and known.at > self._doubted_at else None

    async def _ask(self, until: float) -> FeeHistory | None:
        asked_at = trio.current_time()
        if self._younger_than(self.stale_s) is not None:
            until = min(until, asked_at + self.patience_s)
        try:
            history = await self.chain.fee_history(self.percentile, until)
        except ChainError as error:
            self._failure, self._failed_at = error, trio.current_time()
            return None
        self._known, self._failure = _Known(history, asked_at), None
        return history

    @property
    def _just_failed(self) -> bool:
        """Tell whether nobody answered a moment ago, and an older answer can be used: nobody waits for another question."""
        if self._failure is None or self._younger_than(self.stale_s) is None:
            return False
        return trio.current_time() - self._failed_at < self.age_s

    def _younger_than(self, seconds: float) -> FeeHistory | None:
        known = self._known
        return known.history if known is not None and trio.current_time() - known.at < seconds else None
