"""Values of the model as lists of plain values, and back. By hand, because this is on the way of every copy.

For the same reason it says `_value_`, which is there, where `value` would be a call.
"""

from trio_copy.accounts.plain.expected import Plain, PlainError, first, number_of
from trio_copy.accounts.plain.orders import order_of, plain_order, plain_report, report_of
from trio_copy.accounts.plain.outcomes import outcome_of, plain_outcome, plain_reason, reason_of
from trio_copy.accounts.plain.positions import entry_of, plain_entry, plain_lot, plain_position, position_of
from trio_copy.accounts.plain.tasks import (
    AGGREGATES,
    REREAD,
    UNSENT,
    bearing,
    borne_by,
    intent_of,
    plain_intent,
    plain_signal,
    plain_task,
    signal_of,
    task_of,
)

__all__ = [
    "AGGREGATES",
    "REREAD",
    "UNSENT",
    "Plain",
    "PlainError",
    "bearing",
    "borne_by",
    "entry_of",
    "first",
    "intent_of",
    "number_of",
    "order_of",
    "outcome_of",
    "plain_entry",
    "plain_intent",
    "plain_lot",
    "plain_order",
    "plain_outcome",
    "plain_position",
    "plain_reason",
    "plain_report",
    "plain_signal",
    "plain_task",
    "position_of",
    "reason_of",
    "report_of",
    "signal_of",
    "task_of",
]
