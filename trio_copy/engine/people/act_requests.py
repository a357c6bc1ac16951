"""How acts of wallets are asked for of the owner of a shard, and what he answers: the words that travel. Pure.

One request asks for an act, and stays open until the end of it is known: whoever owns the shard next goes on with it. Two
others beside it are answered once something has been sent, and once that is mined. So each is answered once.
"""

import re
from math import isfinite
from typing import Any

from attrs import frozen

from trio_copy.errors import StoreError
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address, FollowerId, Hash32, IntentKey, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import Price
from trio_copy.ports import Act, ActReport, Deed, Done, Paid, PlannedAct, Request
from trio_copy.records import read_plain, write_plain
from trio_copy.transactions.calls import Call

ACT, SENT, MINED = "act", "act-sent", "act-mined"
KINDS = frozenset({ACT, SENT, MINED})
"""Requests that an engine with its executor carries out, and nobody else."""
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_CALLS_MOST = 50
_DATA_MOST = 100_000


@frozen(kw_only=True)
class Errand:
    """What is asked for, as the owner reads it. The wallet itself is the one that his own configuration names."""

    follower: FollowerId
    wallet: str
    """Of [wallet.NAME]."""
    deed: Deed
    key: IntentKey
    calls: tuple[Call, ...]
    """Empty where there is something to book, and nothing to send."""
    until: float
    pays: tuple[Paid, ...]

    def act(self, wallet: Wallet) -> Act:
        return Act(key=self.key, wallet=wallet, deed=self.deed, calls=self.calls, until=self.until)


def ask_act(name: str, wallet: Wallet, deed: Deed, planned: PlannedAct, until: float, at: float) -> Request:
    """Ask that something planned is done, and sent before a moment in Unix seconds; `deed` is what it is for."""
    act = planned.act
    deed = deed if act is None else act.deed
    calls = () if act is None else act.calls
    body = [
        wallet.follower,
        wallet.name,
        deed.value,
        "" if act is None else act.key,
        until,
        [[call.to, call.data.hex(), str(call.value)] for call in calls],
        [[str(paid.token_id), paid.condition_id, paid.payout.micro] for paid in planned.pays],
    ]
    return Request(name=name, kind=ACT, body=write_plain(body).decode(), at=at)


def ask_steps(act: Request, follower: FollowerId) -> tuple[Request, Request]:
    """Ask what carries the act of a request, and once more when that is mined."""
    body = write_plain([follower, act.name]).decode()
    # Behind it, in the order in which they are heard.
    sent, mined = (
        Request(name=f"{act.name}-{kind}", kind=kind, body=body, at=act.at + 0.001) for kind in (SENT, MINED)
    )
    return sent, mined


def errand_of(request: Request) -> Errand:
    """Read what is asked for. Raises `ValueError`, in words for whoever asked."""
    try:
        follower, wallet, deed, key, until, calls, pays = read_plain(request.body.encode())
        return Errand(
            follower=FollowerId(str(follower)),
            wallet=str(wallet),
            deed=Deed(deed),
            key=IntentKey(str(key)),
            calls=_calls(calls),
            until=_moment(until),
            pays=tuple(map(_paid, pays)),
        )
    except (StoreError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"expected a request to act, got {request.body[:80]}: {error}") from None


def act_named(request: Request) -> str:
    """Return the name of the request whose act somebody asks about; empty where it cannot be read."""
    try:
        _, name = read_plain(request.body.encode())
    except (StoreError, ValueError, TypeError):
        return ""
    return str(name)


def answer_of(report: ActReport) -> str:
    """Write what became of an act."""
    return write_plain([report.done.name, report.transaction, report.why, str(report.gas_wei)]).decode()


def report_of(answer: str) -> ActReport:
    """Read it again. Raises `StoreError` where it is something else."""
    try:
        done, transaction, why, gas = read_plain(answer.encode())
        hash_ = None if transaction is None else Hash32(str(transaction))
        return ActReport(done=Done[done], transaction=hash_, why=str(why), gas_wei=int(gas))
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"expected what became of an act, was {answer[:80]}: {error!r}") from error


def _moment(until: float) -> float:
    moment = float(until)
    if not isfinite(moment):
        raise ValueError("a moment that never comes")
    return moment


def _calls(bodies: list[list[Any]]) -> tuple[Call, ...]:
    if len(bodies) > _CALLS_MOST:
        raise ValueError(f"{counted(len(bodies), 'call')}, and not {_CALLS_MOST} at most")
    return tuple(map(_call, bodies))


def _call(body: list[Any]) -> Call:
    to, data, value = body
    if not _ADDRESS.fullmatch(to) or len(data) > 2 * _DATA_MOST:
        raise ValueError(f"no call of a contract, or calldata of more than {_DATA_MOST} bytes")
    wei = int(value)
    if not 0 <= wei < 1 << 256:
        raise ValueError("a value that no transaction has")
    return Call(to=Address(to), data=bytes.fromhex(data), value=wei)


def _paid(body: list[Any]) -> Paid:
    token, condition, payout = body
    return Paid(token_id=TokenId(int(token)), condition_id=str(condition), payout=Price(int(payout)))
