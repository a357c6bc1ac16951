"""Sends the frozen bytes of one order until it is known what came of them, or the time is up. One order a request, always.

Once a send may have arrived, no later refusal of the same bytes proves anything: the first copy may have spent the very
balance, or met the very offer, that the second one lacks. Only an answer that has the order does.
"""

from collections.abc import Awaitable, Callable
from enum import Enum

import trio
from attrs import define, evolve, field

from trio_copy.entropy import Entropy
from trio_copy.errors import ExecutorError, OrderNotSent, OrderUncertain
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status, Wallet
from trio_copy_clob.pacing import Growing
from trio_copy_clob.sending.answers import Answer, read_answer
from trio_copy_clob.sending.calling import Caller, NoReply, Reply
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner, hidden
from trio_copy_clob.sending.limits import Turns, rest_after
from trio_copy_clob.sending.looking import rests
from trio_copy_clob.sending.permissions import Region
from trio_copy_clob.sending.proof import filled
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.stops import EGRESS_S, PAUSED_S, Stop, Stopped, Stops
from trio_copy_clob.sending.texts import Do, Meaning, Row

PATH = "/order"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_EXITS_WAIT_S = 60.0
"""However long trading shall be paused, an exit asks so often whether it goes on."""

LookUp = Callable[[Order, VenueSigner, float], Awaitable[ExecutionReport | None]]
"""Asks what became of an order, until a moment of Trio's clock; None where nobody can tell. May raise `ExecutorError`."""
Release = Callable[[], Awaitable[None]]
"""Lets an order go, or raises `OrderNotSent`; see `ports.signing.Signer`."""


class _Again(Enum):
    AT_ONCE = "at once"
    AFTER_A_PAUSE = "after a pause"
    LOOKED_UP = "after a look at what became of it"


@define(eq=False, kw_only=True)
class Posting:
    caller: Caller
    address_turns: Turns
    stops: Stops
    sendings: Sendings
    entropy: Entropy
    with_owner: Callable[[bytes, str], bytes]
    """Puts the id of an API key into a frozen body."""
    look_up: LookUp
    refresh_balance: Callable[[Order, VenueSigner, float], Awaitable[None]]
    """Lets the venue read again what the order's wallet has for it. May raise `ExecutorError`."""
    on_stale: Callable[[Order], None]
    """The market of an order is not as it was read."""
    read_region: Callable[[], Awaitable[Region]]
    """Asks the venue whether it blocks the place we are seen from. May raise `ExecutorError`."""
    on_trouble: Callable[[str, str], None]
    answer_s: float = 4.0
    """How long one answer is waited for, before the same bytes go again."""

    async def post(self, order: Order, signer: VenueSigner, until: float, release: Release) -> ExecutionReport:
        """Send an order until a moment of Trio's clock. Cancelled, it may be at the venue.

        It is released when nothing else stands in its way: what is stopped, or has no turn, uses up nothing of the guard's limits.

        Raises:
            OrderNotSent: certainly not at the venue.
            OrderUncertain: it may be.
        """
        return await _Attempt(posting=self, order=order, signer=signer, until=until, release=release).run()

    async def stop_egress(self, what: str, wallet: str = "") -> None:
        """Stop all that leaves from here: for good where the region is blocked, else until the page may have gone."""
        now = trio.current_time()
        # Before anybody is asked: what leaves meanwhile would meet the same page.
        stopped = self.stops.stop(Stop.EGRESS, "", what, until=now + EGRESS_S, now=now)
        if stopped is None:
            return
        try:
            region = await self.read_region()
        except ExecutorError as error:
            stopped = evolve(stopped, why=f"{what}, and whether the region is blocked, nobody says: {error}")
        else:
            stopped = evolve(stopped, why=f"{what}: {region}")
            if region.blocked:
                stopped = self.stops.stop(Stop.EGRESS, "", stopped.why, now=now) or stopped
        self.tell(stopped, wallet)

    def tell(self, stopped: Stopped | None, wallet: str = "") -> None:
        """Tell a person what is stopped, or goes on, where that is news; and what to do about what ends by nothing else.

        `wallet` is the name of the one whose order met it.
        """
        if stopped is None:
            return
        if stopped.lifted:
            self.on_trouble("venue-goes-on", str(stopped))
            return
        mend = f"; once that is mended: `trio-copy arm {wallet or 'WALLET'}`" if stopped.until is None else ""
        self.on_trouble("venue-stopped", f"{stopped}{mend}")

    def go_on(self, wallet: Wallet, signer: VenueSigner, armed_at: float) -> None:
        """Let go on what was stopped for good of a wallet, or of all, before a person armed it, by Trio's clock."""
        for stopped in self.stops.armed(wallet=str(wallet.address), signer=signer.address, at=armed_at):
            self.tell(stopped)


@define(eq=False, kw_only=True)
class _Attempt:
    """One order, on its way."""

    posting: Posting
    order: Order
    signer: VenueSigner
    until: float
    release: Release
    released: bool = False
    unproven: str | None = None
    """Why it may be there: since a send of which nobody knows what became."""
    why: str = "no time left"
    """Why it is not there, as far as that is known."""
    not_ready: bool = False
    """Whether the venue has said so last."""
    renewed: bool = False
    sent_at: float = 0.0
    """When its bytes left last."""
    read_again: bool = False
    """Whether the venue has read what an exit sells from the chain again: it may have remembered less than was there."""
    rest_s: float = 0.0
    """How long the venue wants to be left alone before the next send."""
    pauses: Growing = field(factory=lambda: Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S))

    @property
    def is_exit(self) -> bool:
        return self.order.side is Side.SELL

    @property
    def wallet(self) -> str:
        return str(self.order.wallet.address)

    async def run(self) -> ExecutionReport:
        try:
            return await self._run()
        except OrderNotSent as error:  # of whoever guards the key, who lets nobody ask: that is about this send alone
            if self.unproven is None:
                raise
            raise OrderUncertain(self.unproven) from error

    async def _run(self) -> ExecutionReport:
        while (key := await self._ready()) is not None:
            done = await self._send(key)
            match done:
                case ExecutionReport():
                    return done
                case _Again.AT_ONCE:
                    continue
                case _Again.LOOKED_UP:
                    report = await self._look_up()
                    if report is not None:
                        return report
            if done is None or not await self._pause():
                break
            self.rest_s = 0.0
        if self.unproven is not None:
            raise OrderUncertain(self.unproven)
        raise OrderNotSent(self.why, not_yet=self._is_taken_soon())

    def _is_taken_soon(self) -> bool:
        """Tell whether the venue is not ready, and will be in a moment: for this order, as it said last, or for all of them."""
        if self._stopped() is not None:
            return False
        return self.not_ready or self.posting.stops.is_restarting(trio.current_time())

    async def _ready(self) -> ApiKey | None:
        """Return the key to send with, once it is this order's turn; None where nothing stands to be sent, or in no time."""
        if self._is_stopped():
            return None
        key = await self.signer.key(self.until)
        while isinstance(key, NoKey):
            if await self._is_final(key) or not await self._pause():
                return None
            key = await self.signer.key(self.until)
        for turns in (self.signer.limits.orders, self.posting.address_turns):
            if turns.take_nowait():
                continue
            with trio.CancelScope(deadline=self.until) as scope:
                await turns.wait(is_exit=self.is_exit)
            if scope.cancelled_caught:
                self.why = "too many orders before it, or the venue wants to be left alone"
                return None
        if not self.released:
            with trio.CancelScope(deadline=self.until) as scope:
                await self.release()
            if scope.cancelled_caught:
                self.why = "its guard could not write it down in time"
                return None
            self.released = True
        # Looked at again: while it waited for its turn, another order may have been refused for all of them.
        return None if self._is_stopped() else key

    def _is_stopped(self) -> bool:
        stopped = self._stopped()
        if stopped is not None:
            self.why = str(stopped)
        return stopped is not None

    def _stopped(self) -> Stopped | None:
        now = trio.current_time()
        return self.posting.stops.why(wallet=self.wallet, signer=self.signer.address, is_exit=self.is_exit, now=now)

    async def _is_final(self, no_key: NoKey) -> bool:
        """Tell whether a key cannot be had while this order may be sent, and stop what that stops."""
        self.why = no_key.why
        if no_key.refused:
            self._stop(Stop.SIGNER, self.signer.address, no_key.why)
        elif no_key.blocked:
            await self.posting.stop_egress(no_key.why, self.order.wallet.name)
        return no_key.refused or no_key.blocked

    async def _send(self, key: ApiKey) -> ExecutionReport | _Again | None:
        """Send the bytes once; returns what came of them, how they go again, or None where they do not."""
        posting, signer, order = self.posting, self.signer, self.order
        body = posting.with_owner(order.body, key.api_key)
        self.sent_at = began = trio.current_time()
        posting.sendings.leaves(order.order_id, began)
        reply = await posting.caller.call(
            "POST",
            PATH,
            headers=signer.signed(key, "POST", PATH, body),
            content=body,
            until=min(self.until, began + posting.answer_s),
        )
        if isinstance(reply, NoReply):
            self.why = reply.why
            self.unproven = reply.why if reply.sent else self.unproven
            return _Again.AFTER_A_PAUSE
        signer.learn(reply)
        answer = read_answer(
            reply.status,
            reply.headers,
            reply.body,
            order_id=order.order_id,
            side=order.side,
            now=signer.wall(),
        )
        self._rest(reply, answer)
        words = hidden(answer.words, key)
        return await self._learn(answer if words == answer.words else evolve(answer, words=words), key)

    def _rest(self, reply: Reply, answer: Answer) -> None:
        """Leave the venue alone for as long as it asks for: this order, and all others that it means."""
        asks_s = answer.after_s
        if answer.row is Row.TOO_OFTEN:
            asks_s = _LONGEST_PAUSE_S if asks_s is None else asks_s
        elif answer.row not in (Row.NOT_READY, Row.SERVER) or 400 <= reply.status < 425:
            # One market is not ready; or trading is paused, and what rests may be called off all the same.
            asks_s = None
        if asks_s is not None:
            self.rest_s = asks_s
            rest_after(reply.status, reply.headers, asks_s, self.signer.limits.orders, self.posting.address_turns)

    async def _learn(self, answer: Answer, key: ApiKey) -> ExecutionReport | _Again | None:
        row, words = answer.row, answer.words
        self.not_ready = row is Row.NOT_READY
        if row.alert:
            self.posting.on_trouble("venue-unclear", f"order {self.order.order_id}: {row.what}: {words}")
        await self._heed(answer)
        if row.meaning in (Meaning.FILLED, Meaning.OPEN, Meaning.KILLED):
            for stopped in self.posting.stops.went_well():
                self.posting.tell(stopped)
            if self.is_exit:
                self.posting.stops.had_enough(self.wallet, self.order.token_id)
        match row.meaning:
            case Meaning.FILLED | Meaning.OPEN:
                return await self._accepted(answer)
            case Meaning.KILLED | Meaning.REJECTED:
                if self.unproven is not None:
                    self.unproven = f"{self.unproven}; sent again: {words}"
                    return None
                status = Status.KILLED if row.meaning is Meaning.KILLED else Status.REJECTED
                stale = row.do is Do.READ_MARKET or self.read_again
                return ExecutionReport(order_id=self.order.order_id, status=status, detail=words, stale=stale)
            case Meaning.NOT_ACCEPTED:
                self.why = f"{row.what}: {words}"
                return await self._not_accepted(answer, key)
            case Meaning.UNPROVEN:
                self.unproven = f"{row.what}: {words}"
        match row.do:
            case Do.SAME_BYTES:
                return _Again.AFTER_A_PAUSE
            case Do.LOOK_UP_FIRST:
                rest_s, self.rest_s = self.rest_s, 0.0
                if trio.current_time() + rest_s < self.until:
                    await trio.sleep(rest_s)
                    return _Again.LOOKED_UP
        return await self._look_up()

    async def _heed(self, answer: Answer) -> None:
        """Do what an answer asks for besides what it says of this order."""
        now, words = trio.current_time(), answer.words
        match answer.row.do:
            case Do.READ_MARKET | Do.FORGET_MARKET:
                self.posting.on_stale(self.order)
            case Do.REFRESH_BALANCE if self.unproven is None:  # else its own first copy may have spent it
                stops = self.posting.stops
                # Of entries there may be hundreds on their way, and one look is enough: cash is short for all of them.
                sold, sent_at = (self.order.token_id, self.sent_at) if self.is_exit else (None, now)
                first = not stops.was_short(self.wallet, sold, sent_at=sent_at, now=now)
                self.posting.tell(stops.short(self.wallet, sold, why=words, sent_at=sent_at, now=now))
                if first:
                    await self._refresh_balance()
            case Do.STOP_WALLET:
                self._stop(Stop.WALLET, self.wallet, words)
            case Do.STOP_ENTRIES:
                self._stop(Stop.ENTRIES_OF_WALLET, self.wallet, words)
            case Do.STOP_EGRESS:
                await self.posting.stop_egress(answer.row.what, self.order.wallet.name)
            case Do.PAUSE_ENTRIES:
                self._stop(Stop.ENTRIES, "", words, until=now + (answer.after_s or PAUSED_S))
                if answer.after_s is not None:
                    exits_until = now + min(answer.after_s, _EXITS_WAIT_S)
                    self.posting.stops.stop(Stop.EXITS, "", words, until=exits_until, now=now)
            case Do.SAME_BYTES if answer.row is Row.NOT_READY:
                self._stop(Stop.RESTARTING, "", words, until=now + (answer.after_s or PAUSED_S))

    async def _accepted(self, answer: Answer) -> ExecutionReport:
        """Report what the venue has: filled as told, at rest, or open."""
        order, posting = self.order, self.posting
        told, resting = self._told(answer), rests(order) and answer.row in (Row.MATCHED, Row.LIVE)
        over = told is not None and (told.status is Status.FILLED or not rests(order))
        posting.sendings.is_there(
            order.order_id, trio.current_time(), (told.shares, told.notional) if told is not None and over else None
        )
        if told is not None and over:
            return told
        status = Status.RESTING if resting else Status.UNKNOWN
        report = ExecutionReport(order_id=order.order_id, status=status, detail=answer.row.what)
        # What rests is booked by its trades from the start: two ways to add them up must not take turns.
        return report if resting and not answer.shares else await self._look_up() or report

    def _told(self, answer: Answer) -> ExecutionReport | None:
        """Return the fill that was told, if any, and if it can be."""
        if answer.row not in (Row.MATCHED, Row.LIVE) or not answer.shares:
            return None
        report = filled(self.order, answer.shares, answer.notional, Settlement.PENDING, rests=rests(self.order))
        breach = breach_of_report(report, self.order)
        if breach is None:
            # Of one that is open, and not a resting one, the trades tell: more may come at any moment.
            return report if answer.row is Row.MATCHED or rests(self.order) else None
        self.posting.on_trouble("venue-unclear", f"order {self.order.order_id}: told {breach}")
        return None

    async def _not_accepted(self, answer: Answer, key: ApiKey) -> _Again | None:
        match answer.row.do:
            case Do.RENEW_KEY if not self.renewed:
                found = await self.signer.renewed(key, self.until)
                if isinstance(found, NoKey):
                    return None if await self._is_final(found) else _Again.AFTER_A_PAUSE
                self.renewed = True
                return _Again.AT_ONCE
            case Do.ASK_WHO:
                await self._ask_who(answer, key)
                return None if self._stopped() is not None else _Again.AT_ONCE
            case Do.RENEW_KEY:
                self._stop(Stop.SIGNER, self.signer.address, f"{answer.row.what}, a new one as well: {answer.words}")
                return None
            case Do.STOP_EGRESS:
                return None
            case Do.PAUSE_ENTRIES if not self.is_exit:
                return None
        self.rest_s = answer.after_s or 0.0
        return _Again.AFTER_A_PAUSE

    async def _ask_who(self, answer: Answer, key: ApiKey) -> None:
        """Find out whether an answer that cannot be read is about this signer, or somebody stands before the venue.

        Only where the venue tells an API key meanwhile, all others can go on: nobody stands between then. Refused so once more,
        the signer rests, and no longer than everything would: these are no words of the venue's.
        """
        now, words = trio.current_time(), f"{answer.row.what}: {answer.words}"
        if self.renewed:
            why = f"{words}, though the venue has told its API key"
            self._stop(Stop.SIGNER, self.signer.address, why, until=now + EGRESS_S)
            return
        found = await self.signer.asked_who(key, self.until)
        self.renewed = True
        if not isinstance(found, NoKey):
            return
        self.why = f"{words}; {found.why}"
        if found.refused:
            self._stop(Stop.SIGNER, self.signer.address, found.why)
        else:
            await self.posting.stop_egress(self.why, self.order.wallet.name)

    async def _look_up(self) -> ExecutionReport | None:
        try:
            return await self.posting.look_up(self.order, self.signer, self.until)
        except ExecutorError:
            return None

    async def _refresh_balance(self) -> None:
        try:
            await self.posting.refresh_balance(self.order, self.signer, self.until)
            # An entry that nobody can pay is not worth a second order; an exit sells what is on the chain.
            self.read_again = self.is_exit
        except ExecutorError as error:
            self.posting.on_trouble("venue-unclear", f"the balance of {self.wallet} is not read again: {error}")

    async def _pause(self) -> bool:
        """Rest before the same bytes go again; False where no time is left for that."""
        pause_s = max(self.rest_s, self.pauses.next_s(self.posting.entropy))
        if trio.current_time() + pause_s >= self.until:
            return False
        await trio.sleep(pause_s)
        return True

    def _stop(self, stop: Stop, who: str, why: str, until: float | None = None) -> None:
        stopped = self.posting.stops.stop(stop, who, why, until=until, now=trio.current_time())
        self.posting.tell(stopped, self.order.wallet.name)
