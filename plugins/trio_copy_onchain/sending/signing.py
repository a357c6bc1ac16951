"""What an operator signs for its nonces, and for how much: calls, what does nothing, and the same for more.

A guard counts what it signs; nothing of it leaves before the guard has that on its disk.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import ChainId, Hash32, IntentKey
from trio_copy.ports.signing import NOT_LET_GO, Signer, Spending
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.sending.cause import Cause, signed_nothing
from trio_copy_onchain.sending.line import Line
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx.answers import Answer
from trio_copy_onchain.tx.fees import Fees, cap_of_calls, higher
from trio_copy_onchain.tx.sendings import Sending
from trio_copy_onchain.tx.texts import Row


@define(eq=False, kw_only=True)
class Signing:
    signer: Signer
    """Any that has the operator's key: signs what does nothing."""
    chain_id: ChainId
    fees: FeeClock
    line: Line
    wall: WallClock
    _causes: dict[IntentKey, Cause] = field(factory=dict)
    _uncounted: dict[Hash32, Signer] = field(factory=dict)
    """What was signed here, and by whom, of which it is not known yet that the guard has written down what it counts."""
    _released_again: set[int] = field(factory=set)
    """Nonces of which the guard did not know, and which count once more."""
    _paid_now: Fees | None = None
    """What others pay, when somebody asked last."""

    def is_explained(self, key: IntentKey) -> bool:
        """Tell whether it is known why a key was sent."""
        return key in self._causes

    def explain(self, cause: Cause) -> None:
        """Take note why a key was sent, so that it can pay more: after a restart, nobody here knows."""
        self._causes.setdefault(cause.key, cause)

    def explain_anew(self, cause: Cause) -> None:
        """Take note why a key is sent now, whatever was known of it."""
        self._causes[cause.key] = cause

    async def bind(self, cause: Cause, until: float) -> None:
        """Bind a key to the next nonce, if it is not too late. Raises `OrderNotSent` where gas costs too much, or its guard refuses."""
        sign = self._for(cause, await self._fees_now(until))
        self.line.do(c.Bind(key=cause.key, until=cause.until, sign=sign, at=self.wall()))

    async def fill(self, nonce: int, until: float) -> None:
        """Sign what does nothing for a nonce that is nobody's. Raises `OrderNotSent` where gas costs too much, or the guard refuses."""
        fees = await self._fees_now(until)
        self.line.do(c.Fill(nonce=nonce, sign=self._for(None, fees), at=self.wall()))

    async def dearer(self, nonce: int, answer: Answer, until: float) -> bool:
        """Sign what a pool would take that has refused the price; False as for `replace`, and raises as it does."""
        if answer.row is Row.UNDERPRICED:
            self.fees.doubt()
            await self.see_fees(until)
        return await self.replace(nonce, least_tip=answer.least_tip)

    async def replace(self, nonce: int, *, cancels: bool = False, least_tip: int = 0) -> bool:
        """Sign a nonce anew for an eighth more; False where that is over the cap, or nobody knows what it is for.

        What the guard does not know to have been let go for it is let go once more. Raises `OrderNotSent` where it refuses.
        """
        try:
            return self._sign_dearer(nonce, cancels=cancels, least_tip=least_tip)
        except OrderNotSent as error:
            refused = error
        if not await self._release_again(nonce, refused.reason):
            raise refused
        return self._sign_dearer(nonce, cancels=cancels, least_tip=least_tip)

    async def see_fees(self, until: float) -> None:
        """Learn what others pay by now, for what is on its way already: where nobody tells, it goes on with what it knows."""
        with suppress(ChainError):
            self._paid_now = await self.fees.now(until)

    async def wait_counted(self, sending: Sending | None, until: float) -> None:
        """Wait until the guard has written down what something counts. Raises `OrderNotSent` where it cannot, or not in time.

        Of that alone that was signed here. Its disk was busy with it while the shard's journal was waited for.
        """
        signer = None if sending is None else self._uncounted.get(sending.hash)
        if sending is None or signer is None:
            return
        refused: OrderNotSent | None = OrderNotSent("its guard could not write it down in time")
        with trio.CancelScope(deadline=until):
            refused = await _why_not_counted(signer)
        # A nonce can be taken back whatever became of the guard's memory.
        if refused is not None and not sending.cancels:
            raise refused
        self._uncounted.pop(sending.hash, None)

    def end(self, nonce: int) -> None:
        """Take note that a nonce is used for good."""
        self._released_again.discard(nonce)

    def forget(self, keys: Iterable[IntentKey], open_ones: Collection[Hash32]) -> None:
        """Forget why keys were sent, and what was signed that is not open any more."""
        for key in keys:
            self._causes.pop(key, None)
        self._uncounted = {one: signer for one, signer in self._uncounted.items() if one in open_ones}

    async def _fees_now(self, until: float) -> Fees:
        try:
            fees = await self.fees.now(until)
        except ChainError as error:
            raise OrderNotSent(f"no node tells what gas costs: {error}") from None
        self._paid_now = fees
        if fees is None:
            raise OrderNotSent(
                f"gas costs more than the cap of {self.fees.cap} wei allows, of which a ninth is kept for a cancellation"
            )
        return fees

    def _for(self, cause: Cause | None, fees: Fees, signer: Signer | None = None) -> c.SignFor:
        """Return what signs a cause's call, or else what does nothing."""
        chain_id, by = self.chain_id, (signer or self.signer) if cause is None else cause.signer

        def sign(nonce: int) -> Sending:
            at = self.wall()
            sending = (
                signed_nothing(by, chain_id, nonce, fees, at)
                if cause is None
                else cause.signed(chain_id, nonce, fees, at)
            )
            self._uncounted[sending.hash] = by
            return sending

        return sign

    async def _release_again(self, nonce: int, reason: Reason | None) -> bool:
        """Let go once more what a nonce carries, where that is why the guard has refused; returns whether it was.

        Once for each nonce, so that no order counts again and again. Raises `OrderNotSent` where a limit does not allow it, which
        counts nothing: then it is tried again.
        """
        binding = self.line.nonces.bindings.get(nonce)
        cause = None if binding is None or binding.key is None else self._causes.get(binding.key)
        if reason is None or reason.control != NOT_LET_GO or nonce in self._released_again:
            return False
        if cause is None or not isinstance(cause.purpose, Spending):
            return False
        self._released_again.add(nonce)
        try:
            await cause.signer.release(cause.purpose, cause.released)
        except OrderNotSent:
            self._released_again.discard(nonce)
            raise
        return True

    def _sign_dearer(self, nonce: int, *, cancels: bool, least_tip: int) -> bool:
        binding = self.line.nonces.bindings.get(nonce)
        if binding is None:
            return False
        cancels = cancels or binding.is_cancelled
        of_key = None if binding.key is None else self._causes.get(binding.key)
        cause = None if cancels else of_key
        if cause is None and not cancels:
            return False
        cap = self.fees.cap if cancels else cap_of_calls(self.fees.cap)
        fees = higher(binding.newest.fees, cap=cap, least_tip=least_tip, now=self._paid_now)
        if fees is None:
            return False
        # What is cancelled counts for the wallet whose call it was.
        sign = self._for(cause, fees, None if of_key is None else of_key.signer)
        return bool(self.line.do(c.Replace(nonce=nonce, sign=sign, at=self.wall())))


async def _why_not_counted(signer: Signer) -> OrderNotSent | None:
    try:
        await signer.wait_counted()
    except OrderNotSent as error:
        return error
    return None
