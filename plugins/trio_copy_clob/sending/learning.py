"""What an answer to an order means for it, and what it asks for besides: of its wallet, its signer, or of all of them."""

from collections.abc import Awaitable, Callable

import trio
from attrs import define

from trio_copy.errors import ExecutorError
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy_clob.sending.answers import Answer
from trio_copy_clob.sending.attempt import Again, Attempt
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner
from trio_copy_clob.sending.looking import rests
from trio_copy_clob.sending.proof import filled
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.stopping import Stopping
from trio_copy_clob.sending.stops import EGRESS_S, PAUSED_S, Stop
from trio_copy_clob.sending.texts import Do, Meaning, Row

_EXITS_WAIT_S = 60.0
"""However long trading shall be paused, an exit asks so often whether it goes on."""

LookUp = Callable[[Order, VenueSigner, float], Awaitable[ExecutionReport | None]]
"""Asks what became of an order, until a moment of Trio's clock; None where nobody can tell. May raise `ExecutorError`."""


@define(eq=False, kw_only=True)
class Learning:
    stopping: Stopping
    sendings: Sendings
    ask: LookUp
    refresh_balance: Callable[[Order, VenueSigner, float], Awaitable[None]]
    """Lets the venue read again what the order's wallet has for it. May raise `ExecutorError`."""
    on_stale: Callable[[Order], None]
    """The market of an order is not as it was read."""
    on_trouble: Callable[[str, str], None]

    async def learn(self, attempt: Attempt, answer: Answer, key: ApiKey) -> ExecutionReport | Again | None:
        """Return what came of an order, when its bytes go again, or None where they do not."""
        row, words = answer.row, answer.words
        attempt.not_ready = row is Row.NOT_READY
        if row.alert:
            self.on_trouble("venue-unclear", f"order {attempt.order.order_id}: {row.what}: {words}")
        await self._heed(attempt, answer)
        if row.meaning in (Meaning.FILLED, Meaning.OPEN, Meaning.KILLED):
            self.stopping.went_well()
            if attempt.is_exit:
                self.stopping.stops.had_enough(attempt.wallet, attempt.order.token_id)
        match row.meaning:
            case Meaning.FILLED | Meaning.OPEN:
                return await self._accepted(attempt, answer)
            case Meaning.KILLED | Meaning.REJECTED:
                if attempt.unproven is not None:
                    attempt.unproven = f"{attempt.unproven}; sent again: {words}"
                    return None
                status = Status.KILLED if row.meaning is Meaning.KILLED else Status.REJECTED
                stale = row.do is Do.READ_MARKET or attempt.read_again
                return ExecutionReport(order_id=attempt.order.order_id, status=status, detail=words, stale=stale)
            case Meaning.NOT_ACCEPTED:
                attempt.why = f"{row.what}: {words}"
                return await self._not_accepted(attempt, answer, key)
            case Meaning.UNPROVEN:
                attempt.unproven = f"{row.what}: {words}"
        match row.do:
            case Do.SAME_BYTES:
                return Again.AFTER_A_PAUSE
            case Do.LOOK_UP_FIRST:
                rest_s, attempt.rest_s = attempt.rest_s, 0.0
                if trio.current_time() + rest_s < attempt.until:
                    await trio.sleep(rest_s)
                    return Again.LOOKED_UP
        return await self.look_up(attempt)

    async def _heed(self, attempt: Attempt, answer: Answer) -> None:
        """Do what an answer asks for besides what it says of this order."""
        now, words = trio.current_time(), answer.words
        match answer.row.do:
            case Do.READ_MARKET | Do.FORGET_MARKET:
                self.on_stale(attempt.order)
            case Do.REFRESH_BALANCE if attempt.unproven is None:  # else its own first copy may have spent it
                stops = self.stopping.stops
                # Of entries there may be hundreds on their way, and one look is enough: cash is short for all of them.
                sold, sent_at = (attempt.order.token_id, attempt.sent_at) if attempt.is_exit else (None, now)
                first = not stops.was_short(attempt.wallet, sold, sent_at=sent_at, now=now)
                self.stopping.tell(stops.short(attempt.wallet, sold, why=words, sent_at=sent_at, now=now))
                if first:
                    await self._refresh_balance(attempt)
            case Do.STOP_WALLET:
                self.stopping.stop(Stop.WALLET, attempt.wallet, words, wallet=attempt.wallet_name)
            case Do.STOP_ENTRIES:
                self.stopping.stop(Stop.ENTRIES_OF_WALLET, attempt.wallet, words, wallet=attempt.wallet_name)
            case Do.STOP_EGRESS:
                await self.stopping.stop_egress(answer.row.what, attempt.wallet_name)
            case Do.PAUSE_ENTRIES:
                self.stopping.stop(
                    Stop.ENTRIES, "", words, wallet=attempt.wallet_name, until=now + (answer.after_s or PAUSED_S)
                )
                if answer.after_s is not None:
                    exits_until = now + min(answer.after_s, _EXITS_WAIT_S)
                    self.stopping.stops.stop(Stop.EXITS, "", words, until=exits_until, now=now)
            case Do.SAME_BYTES if answer.row is Row.NOT_READY:
                self.stopping.stop(
                    Stop.RESTARTING, "", words, wallet=attempt.wallet_name, until=now + (answer.after_s or PAUSED_S)
                )

    async def _accepted(self, attempt: Attempt, answer: Answer) -> ExecutionReport:
        """Report what the venue has: filled as told, at rest, or open."""
        order = attempt.order
        told, resting = self._told(attempt, answer), rests(order) and answer.row in (Row.MATCHED, Row.LIVE)
        over = told is not None and (told.status is Status.FILLED or not rests(order))
        self.sendings.is_there(
            order.order_id, trio.current_time(), (told.shares, told.notional) if told is not None and over else None
        )
        if told is not None and over:
            return told
        status = Status.RESTING if resting else Status.UNKNOWN
        report = ExecutionReport(order_id=order.order_id, status=status, detail=answer.row.what)
        # What rests is booked by its trades from the start: two ways to add them up must not take turns.
        return report if resting and not answer.shares else await self.look_up(attempt) or report

    def _told(self, attempt: Attempt, answer: Answer) -> ExecutionReport | None:
        """Return the fill that was told, if any, and if it can be."""
        if answer.row not in (Row.MATCHED, Row.LIVE) or not answer.shares:
            return None
        report = filled(attempt.order, answer.shares, answer.notional, Settlement.PENDING, rests=rests(attempt.order))
        breach = breach_of_report(report, attempt.order)
        if breach is None:
            # Of one that is open, and not a resting one, the trades tell: more may come at any moment.
            return report if answer.row is Row.MATCHED or rests(attempt.order) else None
        self.on_trouble("venue-unclear", f"order {attempt.order.order_id}: told {breach}")
        return None

    async def _not_accepted(self, attempt: Attempt, answer: Answer, key: ApiKey) -> Again | None:
        match answer.row.do:
            case Do.RENEW_KEY if not attempt.renewed:
                found = await attempt.signer.renewed(key, attempt.until)
                if isinstance(found, NoKey):
                    return None if await self.is_final(attempt, found) else Again.AFTER_A_PAUSE
                attempt.renewed = True
                return Again.AT_ONCE
            case Do.ASK_WHO:
                await self._ask_who(attempt, answer, key)
                return None if attempt.stopped(self.stopping.stops) is not None else Again.AT_ONCE
            case Do.RENEW_KEY:
                self.stopping.stop(
                    Stop.SIGNER,
                    attempt.signer.address,
                    f"{answer.row.what}, a new one as well: {answer.words}",
                    wallet=attempt.wallet_name,
                )
                return None
            case Do.STOP_EGRESS:
                return None
            case Do.PAUSE_ENTRIES if not attempt.is_exit:
                return None
        attempt.rest_s = answer.after_s or 0.0
        return Again.AFTER_A_PAUSE

    async def _ask_who(self, attempt: Attempt, answer: Answer, key: ApiKey) -> None:
        """Find out whether an answer that cannot be read is about this signer, or somebody stands before the venue.

        Only where the venue tells an API key meanwhile, all others can go on: nobody stands between then. Refused so once more,
        the signer rests, and no longer than everything would: these are no words of the venue's.
        """
        now, words = trio.current_time(), f"{answer.row.what}: {answer.words}"
        if attempt.renewed:
            why = f"{words}, though the venue has told its API key"
            self.stopping.stop(
                Stop.SIGNER, attempt.signer.address, why, wallet=attempt.wallet_name, until=now + EGRESS_S
            )
            return
        found = await attempt.signer.asked_who(key, attempt.until)
        attempt.renewed = True
        if not isinstance(found, NoKey):
            return
        attempt.why = f"{words}; {found.why}"
        if found.refused:
            self.stopping.stop(Stop.SIGNER, attempt.signer.address, found.why, wallet=attempt.wallet_name)
        else:
            await self.stopping.stop_egress(attempt.why, attempt.wallet_name)

    async def look_up(self, attempt: Attempt) -> ExecutionReport | None:
        """Ask what became of an order; None where nobody can tell."""
        try:
            return await self.ask(attempt.order, attempt.signer, attempt.until)
        except ExecutorError:
            return None

    async def _refresh_balance(self, attempt: Attempt) -> None:
        try:
            await self.refresh_balance(attempt.order, attempt.signer, attempt.until)
            # An entry that nobody can pay is not worth a second order; an exit sells what is on the chain.
            attempt.read_again = attempt.is_exit
        except ExecutorError as error:
            self.on_trouble("venue-unclear", f"the balance of {attempt.wallet} is not read again: {error}")

    async def is_final(self, attempt: Attempt, no_key: NoKey) -> bool:
        """Tell whether a key cannot be had while this order may be sent, and stop what that stops."""
        attempt.why = no_key.why
        if no_key.refused:
            self.stopping.stop(Stop.SIGNER, attempt.signer.address, no_key.why, wallet=attempt.wallet_name)
        elif no_key.blocked:
            await self.stopping.stop_egress(no_key.why, attempt.wallet_name)
        return no_key.refused or no_key.blocked
