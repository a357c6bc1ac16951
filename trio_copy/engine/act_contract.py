"""The border to executors whose wallets act: as `contract` is for orders. What one answers is judged before it is believed."""

import re
from collections.abc import Callable

import trio
from attrs import define, evolve, field

from trio_copy.engine.calls import Call, Calls, NoAnswer, Whose
from trio_copy.errors import OrderNotSent, OrderUncertain, is_ctrl_c
from trio_copy.ports import Act, ActingExecutor, ActReport, Done
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
    _broke: bool = False
    """Whether its last answer was none: told once, and again after a good one."""

    def __attrs_post_init__(self) -> None:
        self._act = self.calls.of(self.whose, "act")

    async def act(self, act: Act, timeout_s: float) -> ActReport:
        """Do an act, or go on with it, for so long.

        Raises:
            OrderNotSent: nothing has left, nor will.
            OrderUncertain: the executor does not say what became of it.
        """
        call = self._act
        try:
            report = await self.calls.watch(call, timeout_s, self.inner.act, act)
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
            raise self._broken(f"raised {type(error).__name__[:60]}: {error}") from error
        breach = _breach_of(report)
        if breach is not None:
            raise self._broken(breach)
        self._broke = False
        checked: ActReport = report
        return evolve(checked, why=self._clean(checked.why)) if checked.why else checked

    def _broken(self, breach: str) -> OrderUncertain:
        line = self._clean(f"{self._act}: {breach}")
        if not self._broke:
            self.on_alert("contract-broken", line)
        self._broke = True
        return OrderUncertain(line)

    def _clean(self, text: str) -> str:
        # Redacted before it is cut: half a secret is found less surely than a whole one.
        return self.redactor.redact(text)[:_LONGEST_TEXT].encode(errors="replace").decode()


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
