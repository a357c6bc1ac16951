"""How a task ended, and why."""

from trio_copy.accounts.plain.expected import Plain
from trio_copy.model.decisions import Code, End, Outcome, Reason


def plain_outcome(outcome: Outcome) -> Plain:
    """Write how a task ended."""
    reason = outcome.reason
    return [outcome.end._value_, None if reason is None else plain_reason(reason)]


def outcome_of(plain: Plain) -> Outcome:
    """Read how a task ended."""
    end, reason = plain
    return Outcome(end=End(end), reason=None if reason is None else reason_of(reason))


def plain_reason(reason: Reason) -> Plain:
    """Write a reason; a code's name is the stable part of it, its value a sentence."""
    return [reason.code._name_, reason.control, reason.value, reason.limit]


def reason_of(plain: Plain) -> Reason:
    """Read a reason."""
    code, control, value, limit = plain
    return Reason(code=Code[code], control=control, value=value, limit=limit)
