"""The border to executors whose wallets act: as `contract` is for orders. What one answers is judged before it is believed."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import trio
from attrs import define, evolve, field

from trio_copy.engine.borders.calls import Call, Calls, Method, NoAnswer, Whose
from trio_copy.errors import OrderNotSent, OrderUncertain, is_ctrl_c
from trio_copy.model.orders import Wallet
from trio_copy.model.units import MICRO, Price
from trio_copy.ports import Act, ActingExecutor, ActReport, Deed, Done, Paid, PlannedAct, Wanted
from trio_copy.telemetry.redaction import Redactor

_LONGEST_TEXT = 300
_HASH = re.compile(r"0x[0-9a-f]{64}")


@define(eq=False, kw_only=True)
class ActContract:
    """An executor that keeps its contract about acts, whatever the one inside does."""

    inner: ActingExecutor
    whose: Whose
    calls: Calls
    redactor: Redactor
    on_alert: Callable[[str, str], None]
    _act: Call = field(init=False)
    _plan: Call = field(init=False)
    _broke: bool = False
    """Whether its last answer was none: told once, and again after a good one."""

    def __attrs_post_init__(self) -> None:
        self._act = self.calls.of(self.whose, "act")
        self._plan = self.calls.of(self.whose, "plan")

    async def act(self, act: Act, timeout_s: float) -> ActReport:
        """Do an act, or go on with it, for so long.

        Raises:
            OrderNotSent: nothing has left, nor will.
            OrderUncertain: the executor does not say what became of it.
        """
        report = await self._ask(self._act, timeout_s, self.inner.act, act)
        breach = _breach_of(report)
        if breach is not None:
            raise self._broken(self._act, breach)
        self._broke = False
        checked: ActReport = report
        return evolve(checked, why=self._clean(checked.why)) if checked.why else checked

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted, timeout_s: float) -> Sequence[PlannedAct]:
        """Say what a deed takes, in the order in which it is done.

        Raises:
            OrderNotSent: it cannot be done, and why.
            OrderUncertain: the executor does not say.
        """
        planned = await self._ask(self._plan, timeout_s, lambda _: self.inner.plan(wallet, deed, wanted), None)
        breach = _breach_of_plan(planned, wallet, wanted)
        if breach is not None:
            raise self._broken(self._plan, breach)
        self._broke = False
        return tuple(planned)

    async def _ask(self, call: Call, timeout_s: float, method: Method, argument: object) -> Any:  # noqa: ANN401  not judged yet
        try:
            return await self.calls.watch(call, timeout_s, method, argument)
        except (trio.Cancelled, KeyboardInterrupt):
            raise
        except NoAnswer as slow:
            raise OrderUncertain(f"{call}: {slow}") from None
        except OrderNotSent as error:
            self._broke = False
            raise OrderNotSent(self._clean(str(error))) from error
        except OrderUncertain as error:
            raise OrderUncertain(self._clean(str(error))) from error
        except (Exception, BaseExceptionGroup, SystemExit) as error:
            cancelled = isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None
            if cancelled or is_ctrl_c(error):
                raise
            raise self._broken(call, f"raised {type(error).__name__[:60]}: {error}") from error

    def _broken(self, call: Call, breach: str) -> OrderUncertain:
        line = self._clean(f"{call}: {breach}")
        if not self._broke:
            self.on_alert("contract-broken", line)
        self._broke = True
        return OrderUncertain(line)

    def _clean(self, text: str) -> str:
        return self.redactor.redact_beginning(text, _LONGEST_TEXT).encode(errors="replace").decode()


def _breach_of(report: object) -> str | None:
    """Say what of a report cannot be."""
    if type(report) is not ActReport or type(report.done) is not Done:
        return f"expected an ActReport, was a {type(report).__name__[:60]}"
    transaction: object = report.transaction
    gas: object = report.gas_wei
    why: object = report.why
    if transaction is not None and not (isinstance(transaction, str) and _HASH.fullmatch(transaction)):
        return f"expected the hash of a transaction, was {str(transaction)[:80]}"
    if report.done is Done.LANDED and transaction is None:
        return "expected the transaction of what has landed, was none"
    if type(gas) is not int or gas < 0 or not isinstance(why, str):
        return "expected gas in wei from 0 on, and a text"
    return None


def _breach_of_plan(planned: object, wallet: Wallet, wanted: Wanted) -> str | None:
    """Say what of a plan cannot be: acts of another wallet, or payouts of what was not asked about."""
    if not isinstance(planned, Sequence):
        return f"expected planned acts, was a {type(planned).__name__[:60]}"
    tokens = {one.token_id for one in wanted.held}
    for one in planned:
        if type(one) is not PlannedAct:
            return f"expected a PlannedAct, was a {type(one).__name__[:60]}"
        act: object = one.act
        if act is not None and not (isinstance(act, Act) and act.wallet == wallet and act.calls and act.key):
            return "expected an act with calls of the wallet that was asked about"
        for paid in one.pays:
            if type(paid) is not Paid or paid.token_id not in tokens or not Price(0) <= paid.payout <= Price(MICRO):
                return "expected payouts from 0 to 1 of tokens that were asked about"
    return None
