"""What an executor says in words, as far as it may be shown: without secrets, not too long, and such that it can be written down."""

import trio
from attrs import define, evolve

from trio_copy.engine.borders.calls import Call
from trio_copy.errors import OrderNotSent
from trio_copy.model.breaches import Breach
from trio_copy.model.decisions import Reason
from trio_copy.model.orders import ExecutionReport
from trio_copy.telemetry.redaction import Redactor

_LONGEST_TEXT = 300


@define(eq=False)
class CleanTexts:
    redactor: Redactor

    def line(self, call: Call, breach: Breach) -> str:
        """Say which call broke what."""
        return self.clean(f"{call}: {breach}")

    def of_error(self, error: BaseException) -> str:
        """Say what an error says, whatever its text does."""
        return self.clean(_words(error))

    def clean(self, text: str) -> str:
        """Return a text as it may be shown."""
        text = self.redactor.redact_beginning(text, _LONGEST_TEXT)
        # JSON may hold halves of characters, which nobody can write down.
        return text if text.isascii() else text.encode(errors="replace").decode()

    def reason(self, why: Reason) -> Reason:
        """Return a reason whose texts may be shown."""
        return evolve(why, value=self.clean(why.value), limit=self.clean(why.limit))

    def not_sent(self, error: OrderNotSent) -> OrderNotSent:
        """Return an error whose texts may be shown."""
        # What is no reason is not made one: the text says enough.
        reason = self.reason(error.reason) if type(error.reason) is Reason else None
        return OrderNotSent(self.of_error(error), reason, not_yet=error.not_yet is True)

    def report(self, report: ExecutionReport) -> ExecutionReport:
        """Return a report whose text may be shown."""
        clean = self.clean(report.detail) if report.detail else report.detail
        return report if clean == report.detail else evolve(report, detail=clean)


def raised(error: BaseException) -> Breach:
    """Name what a plugin raised; of a group, its first member that is no cancellation."""
    while isinstance(error, BaseExceptionGroup):
        error = next((one for one in error.exceptions if not isinstance(one, trio.Cancelled)), error.exceptions[0])
    return Breach(f"raised {type(error).__name__[:60]}", _words(error))


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:
        return f"an error whose text raises {type(worse).__name__[:60]}"
