"""Every error of the project on one screen. Expected outcomes of business are values, not errors."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_copy.model.decisions import Reason

_LONGEST_MESSAGE = 300
_REVERTED = 3
"""The code with which nodes say that a contract refused a call; some say it in words alone."""
_KEY_REFUSED = frozenset({401, 402, 403})


class TrioCopyError(Exception):
    """Base of all of them."""


class ConfigError(TrioCopyError):
    """The configuration is wrong: nothing was started; exit code 2. Lists every problem at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class NotMadeYet(ConfigError):
    """A command asked for a store that the first run makes: there is nothing in it, and nothing is wrong."""


class MadeEarlier(ConfigError):
    """An earlier version made the store, and this one cannot go on with it; its books can be exported. Exit code 2."""


class Refused(ConfigError):
    """The owner of an account would not do what a person asked for: nothing was changed; exit code 2."""


class Unanswered(TrioCopyError):
    """The owner of an account did not answer a person in time; what was asked for stays asked for; exit code 1."""


class PluginError(TrioCopyError):
    """A plugin is missing, not allowed or broken; exit code 2."""


class PluginBroken(TrioCopyError):
    """A plugin without which the engine must not go on answered what its contract does not know; exit code 1. Names it and its call."""


class ChainError(TrioCopyError):
    """The chain or a node of it."""

    retry_after_s: float = 0.0
    """For how long the node asks to be left alone; 0 where it does not say."""


class ConnectionLost(ChainError):
    """The connection to a node ended or never came up. The supervisor reconnects."""


class HandshakeRefused(ConnectionLost):
    """A node answered the handshake with an HTTP status instead of a WebSocket."""

    def __init__(self, status: int, retry_after_s: float, moved_to: str = "") -> None:
        told = f", and asks to be left alone for {retry_after_s:g} s" if retry_after_s else ""
        if status in _KEY_REFUSED:
            told += ": the API key of its URL, or the user and password, is missing, wrong or not allowed to do this"
        if moved_to:
            told += f": it has moved to {moved_to}, and redirections are not followed; put that URL in its place"
        super().__init__(f"the node refused the WebSocket handshake with HTTP status {status}{told}")
        self.status = status
        self.retry_after_s = retry_after_s


class NotConnected(ConnectionLost):
    """There was no connection to a node: nothing of the question has left for it."""


class AnswerTooLarge(ConnectionLost):
    """The connection ended because a message was too large for one of the two sides: ask for less."""


class NoAnswer(ConnectionLost):
    """A request got no answer in time; the connection lives. The question may have been too much for the node."""


class SubscriptionStale(ChainError):
    """The connection lives, but what it brings is late or missing. The supervisor reconnects."""


class IntakeStalled(ChainError):
    """The pipeline could not take what a node sent; the connection is given up and the gap filled later."""


class WrongChain(ChainError):
    """A node serves another chain than the configuration names."""


class CheckpointAhead(ChainError):
    """The store claims more than any node knows: the engine does not arm; exit code 1. A person can start at the head."""


class RpcError(ChainError):
    """A node answered a request with an error, or with something that cannot be a success."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        message = message[:_LONGEST_MESSAGE]
        super().__init__(f"node answered error {code}: {message}" if code else f"node answered an error: {message}")
        self.code = code
        """0 where the node gives none."""
        self.message = message
        self.data = data
        """What the node added, as it was sent."""

    @property
    def reverted(self) -> bool:
        """Whether a contract refused the call: every other node would say the same."""
        return self.code == _REVERTED or "revert" in self.words

    @property
    def words(self) -> str:
        """All that the node said, in small letters, as far as a person would read."""
        return f"{self.message[:1000]} {self.data[:1000]}".lower()


class MalformedFrame(ChainError):
    """A node sent something that is no JSON-RPC, or not what was asked for. It is counted."""


class UnreadableLogs(ChainError):
    """A node answered with logs among which some cannot be read: what was asked for is not complete."""


class UndecodableLog(ChainError):
    """A log claims to be an event but does not have its shape. It is quarantined and counted."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class PendingLog(UndecodableLog):
    """A log that is in no block yet. A subscription tells it again once it is, so there it is only counted."""


class ExecutorError(TrioCopyError):
    """What a submit may raise, and nothing else."""


class OrderNotSent(ExecutorError):
    """The order is certainly not at the venue; the same bytes may be sent again.

    With a `reason` nothing failed: a guard refuses it. It is not tried again, and its task ends with that reason.
    `not_yet` says that the venue takes such orders again in a moment, as one that restarts: then those of an entry go on until
    its deadline too.
    """

    reason: "Reason | None" = None
    not_yet: bool = False

    def __init__(self, message: str, reason: "Reason | None" = None, *, not_yet: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.not_yet = not_yet


class ContractBroken(OrderNotSent):
    """The executor answered what it must not, before anything was sent: the task ends, nothing is tried again."""


class OrderUncertain(ExecutorError):
    """The order may be at the venue: reconcile it, never send new bytes."""


class ReportBroken(OrderUncertain):
    """The executor reported of an order what cannot be. What it says of it later is no proof either: a person decides."""


class UnresolvedOrders(ExecutorError):
    """Nobody can prove what became of some orders; exit code 1. A person can settle them.

    Orders of an earlier run: the engine does not arm. Orders of this one: it ended all the same.
    """


class MarketsUnavailable(TrioCopyError):
    """A market source does not answer, or not so that it can be read. Whatever does not need it goes on."""


class StoreError(TrioCopyError):
    """The store."""


class StoreUnavailable(StoreError):
    """The store does not answer: stop trading, do not trade blind."""


class LeaseLost(StoreError):
    """Somebody else owns the shard now: abandon the work."""


class StoreForgot(StoreError):
    """The store is not as it was left: it lost what it had promised to keep. What was decided on it counts no more."""


class RestartBudgetExhausted(TrioCopyError):
    """The intake failed too often in too short a time; exit code 1."""


class InvariantBroken(TrioCopyError):
    """Our bug; the message carries the facts."""


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Yield every single error of a group, however deep, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def is_ctrl_c(error: BaseException) -> bool:
    """Tell Ctrl-C, which Trio's own handler raises wherever it finds us, from code that raises the same by itself."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not isinstance(error, KeyboardInterrupt):
        return False
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith("trio._core")
