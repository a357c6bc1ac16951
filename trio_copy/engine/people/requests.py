"""What people ask of the owner of an account: the words that travel, what they mean to the account, and the answer.

Pure: whoever owns the shard carries requests out, an engine or the command itself, and both by this.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from trio_copy.accounts import Account, OpenOrder, OrderState
from trio_copy.accounts.cash import cash
from trio_copy.accounts.commands import Answer, CallOff, Command, Fund, Purge, Replay, ResetPeak, Resolve, SetMode
from trio_copy.accounts.orders import outcome_of, outside, shrinks
from trio_copy.accounts.plain import number_of
from trio_copy.errors import StoreError
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code, End, Outcome, Reason
from trio_copy.model.ids import Address, FollowerId, IntentKey, TaskId, TokenId
from trio_copy.model.orders import ExecutionReport, Settlement, Status
from trio_copy.model.positions import PositionKey
from trio_copy.model.units import NO_SHARES, NO_USD, ONE_USD_PER_SHARE, Price, Rounding, Shares, Usd
from trio_copy.ports import NOBODY, Request
from trio_copy.records import read_plain, write_plain

LEAVE = "exit"
REFUSED = "refused: "
"""How the answer to a request begins that changed nothing."""


def settle(name: str, follower: FollowerId, order: IntentKey, filled: tuple[Shares, Usd, Usd], at: float) -> Request:
    """Ask that an order has filled so many shares, for so many dollars and such a fee."""
    return _request(name, "settle", [follower, order, *(amount.micro for amount in filled)], at)


def call_off(name: str, follower: FollowerId, order: IntentKey, at: float) -> Request:
    """Ask that an order rests no longer."""
    return _request(name, "call-off", [follower, order], at)


def replay(name: str, follower: FollowerId, task: TaskId, at: float) -> Request:
    """Ask that a dead letter is taken up again."""
    return _request(name, "replay", [follower, task], at)


def purge(name: str, follower: FollowerId, task: TaskId, at: float) -> Request:
    """Ask that a dead letter is given up."""
    return _request(name, "purge", [follower, task], at)


def set_mode(name: str, follower: FollowerId, mode: Mode, why: str, at: float) -> Request:
    """Ask for a mode of one follower."""
    return _request(name, "mode", [follower, mode.value, why], at)


def reset_peak(name: str, follower: FollowerId, at: float) -> Request:
    """Ask that a follower's drawdown starts over."""
    return _request(name, "reset-peak", [follower], at)


def fund(name: str, follower: FollowerId, amount: Usd, start: Usd, why: str, at: float) -> Request:
    """Ask that money is put into a follower's paper wallet, which began with `start`; below zero it is taken out."""
    return _request(name, "fund", [follower, amount.micro, start.micro, why], at)


def payout(name: str, position: PositionKey, condition_id: str, pays: Price, at: float, *, shares: Shares) -> Request:
    """Ask that what is held of a position is booked at what each share has paid, of a question where its name is known.

    `shares` are those that a person has looked at: what was bought since is not meant.
    """
    follower, leader, token_id = position
    return _request(name, "payout", [follower, leader, str(token_id), condition_id, pays.micro, shares.micro], at)


def leave(name: str, position: PositionKey, at: float) -> Request:
    """Ask that a position is sold at what the market bids."""
    follower, leader, token_id = position
    return _request(name, LEAVE, [follower, leader, str(token_id)], at)


def position_of(request: Request) -> PositionKey | None:
    """Return which position a request wants sold; None where it wants something else, or cannot be read."""
    if request.kind != LEAVE:
        return None
    try:
        follower, leader, token_id = read_plain(request.body.encode())
        return FollowerId(str(follower)), Address(str(leader)), TokenId(int(token_id))
    except (StoreError, ValueError, TypeError):
        return None


def follower_of(request: Request) -> FollowerId | None:
    """Return whose account a request is about; None where it cannot be read: `command_of` refuses it."""
    try:
        follower, *_ = read_plain(request.body.encode())
    except (StoreError, ValueError):
        return None
    return FollowerId(follower) if isinstance(follower, str) and follower != NOBODY else None


def command_of(request: Request, account: Account, at: float) -> Command | str:
    """Return what a request means to its account, or why it is refused, in words that begin with `REFUSED`."""
    read = _READERS.get(request.kind)
    if read is None:
        return f"{REFUSED}expected a request of kind {', '.join(_READERS)}, got {request.kind}"
    try:
        return read(account, read_plain(request.body.encode())[1:], at)
    except _Refused as error:
        return f"{REFUSED}{error}"
    except (StoreError, ValueError, TypeError) as error:
        return f"{REFUSED}expected a request to {request.kind}, got {request.body[:80]}: {error}"


def carry_out(request: Request, account: Account | None, at: float, act: Callable[[Account, Command], None]) -> str:
    """Let a request happen to its account, and return the answer. The caller writes both down together.

    None as the account stands for a request that names none. `act` lets what it means happen, to the account and to all that
    is counted beside it.
    """
    if account is None:
        return f"{REFUSED}expected a request about a follower, got {request.body[:80]}"
    command = command_of(request, account, at)
    if isinstance(command, str):
        return command
    words = words_of(command, account)
    act(account, command)
    return words


class _Refused(Exception):
    """What is asked for cannot be; the message says why."""


def _request(name: str, kind: str, body: list[Any], at: float) -> Request:
    return Request(name=name, kind=kind, body=write_plain(body).decode(), at=at)


def _settle(account: Account, body: list[Any], at: float) -> Command:
    order_key, shares, notional, fee = body
    open_order = account.orders.get(IntentKey(order_key))
    if open_order is None:
        raise _Refused(f"expected an open order, got {order_key}, which has ended")
    filled, paid, charged = Shares(number_of(shares)), Usd(number_of(notional)), Usd(number_of(fee))
    order = open_order.order
    status = Status.REJECTED if not filled else Status.FILLED if filled >= order.shares else Status.PARTIAL
    report = ExecutionReport(
        order_id=order.order_id, status=status, shares=filled, notional=paid, fee=charged, detail="settled by hand"
    )
    problem = _settle_problem(open_order, report)
    if problem is not None:
        raise _Refused(problem)
    if open_order.report is not None and open_order.state is OrderState.MATCHED:
        # The whole of what is booked happened, or nothing of it.
        last = Settlement.FIRM if filled else Settlement.FAILED
        return Answer(key=order.key, report=evolve(open_order.report, settlement=last), by_hand=True, at=at)
    # A person may know better than the order's limit: he has looked at the venue, and its report was not believed.
    return Answer(key=order.key, report=report, by_hand=True, at=at)


def _call_off(account: Account, body: list[Any], at: float) -> Command:
    (order_key,) = body
    open_order = account.orders.get(IntentKey(order_key))
    if open_order is None or not open_order.rests or open_order.off_book:
        state = "has ended" if open_order is None else f"is {open_order.state.value}"
        state = "is off the book already" if open_order is not None and open_order.off_book else state
        raise _Refused(f"expected an order that rests, got {order_key}, which {state}")
    why = Reason(code=Code.GIVEN_UP, control="orders cancel", value="by hand", limit="filled before")
    return CallOff(key=open_order.order.key, why=why, at=at)


def _settle_problem(open_order: OpenOrder, report: ExecutionReport) -> str | None:
    order, filled, paid, charged = open_order.order, report.shares, report.notional, report.fee
    if open_order.state is OrderState.MATCHED:
        # Where its venue has lost it, nobody else can ever say it, and what is held of the token could not be redeemed.
        booked = open_order.report
        if not (filled or paid or charged) or open_order.booked_as(report):
            return None
        amounts = None if booked is None else f"{booked.shares} shares for {booked.notional}, fee {booked.fee}"
        return f"{order.order_id} is matched: expected what is booked, {amounts}, if the chain has it, or 0 if it never will"
    if not (open_order.unproven or open_order.off_book):
        return f"{order.order_id} is {open_order.state.value}, not in doubt: its books are kept by what the venue says"
    if shrinks(open_order, report):
        booked = open_order.report
        return f"expected at least what is booked already: {booked and booked.shares} shares for {booked and booked.notional}, got less"
    # What no venue can have done is a slip of the hand. A book better than the limit brings more shares than asked.
    too_many = filled > order.shares and outside(open_order, report) is not None
    if filled < NO_SHARES or too_many or paid < NO_USD or charged < NO_USD:
        return f"--shares: expected 0 to {order.shares}, and no negative dollars"
    if filled and paid > filled.at(ONE_USD_PER_SHARE, Rounding.UP):
        return f"--notional: expected at most 1 USD per share, got {paid} for {filled}"
    if charged > filled.at(ONE_USD_PER_SHARE, Rounding.UP):
        return f"--fee: expected at most 1 USD per share, got {charged} for {filled}"
    if bool(filled) != bool(paid):
        return "--notional: expected dollars for the shares that were filled, and none for none"
    return None


def _replay(account: Account, body: list[Any], at: float) -> Command:
    (task,) = body
    return Replay(task=_dead(account, task), at=at)


def _purge(account: Account, body: list[Any], at: float) -> Command:
    (name,) = body
    task = _dead(account, name)
    reason = Reason(code=Code.GIVEN_UP, control="dlq purge", value=account.dead[task].why, limit="a replay")
    return Purge(task=task, outcome=Outcome(end=End.HALTED, reason=reason), at=at)


def _dead(account: Account, name: str) -> TaskId:
    task = TaskId(name)
    if task not in account.dead:
        raise _Refused(f"expected a dead letter, got {name}, which is none any more")
    return task


def _mode(_account: Account, body: list[Any], at: float) -> Command:
    mode, why = body
    return SetMode(mode=Mode(mode), why=str(why), at=at)


def _reset_peak(_account: Account, body: list[Any], at: float) -> Command:
    if body:
        raise _Refused("expected nothing but a follower")
    return ResetPeak(at=at)


def _fund(account: Account, body: list[Any], at: float) -> Command:
    amount, start, why = body
    command = Fund(amount=Usd(number_of(amount)), start=Usd(number_of(start)), why=str(why), at=at)
    left = cash(account, command.start)
    if command.amount.micro < 0 and left.micro + command.amount.micro < 0:
        raise _Refused(f"expected at most {left}, which is what the wallet holds, got {Usd(-command.amount.micro)}")
    return command


def _payout(account: Account, body: list[Any], at: float) -> Command:
    leader, token, condition_id, pays, shares = body
    spot, price = (Address(str(leader)), TokenId(int(token))), Price(number_of(pays))
    if not Price(0) <= price <= ONE_USD_PER_SHARE:
        raise _Refused(f"--payout: expected from 0 to 1 USD a share, got {price}")
    held, meant = account.position(spot).shares, Shares(number_of(shares))
    if not held:
        raise _Refused(f"expected a position that is held, got none of {account.follower} in token {spot[1]}")
    if held != meant:
        raise _Refused(f"expected {meant} shares of token {spot[1]}, as they were shown, got {held}: look again")
    if account.in_flight(spot):
        raise _Refused(
            f"expected no open order of token {spot[1]}, which may change what is held: wait for it, or settle it"
        )
    return Resolve(position=(account.follower, *spot), condition_id=str(condition_id), payout=price, at=at)


def _leave(account: Account, _body: list[Any], _at: float) -> Command:
    raise _Refused(f"expected a running engine, which alone can sell what {account.follower} holds; start one")


def words_of(command: Command, account: Account) -> str:
    """Say what a command is going to do."""
    match command:
        case Answer(key=key, report=report):
            order = account.orders[key].order
            return f"{order.order_id}: {outcome_of(order, report).end.value}, written down by hand"
        case CallOff(key=key):
            return f"{account.orders[key].order.order_id}: called off; what came of it is in the books once the venue has said so"
        case Replay(task=task):
            return f"{task}: queued again"
        case Purge(task=task):
            return f"{task}: forgotten"
        case Resolve(position=(_, leader, token), payout=pays):
            shares = account.position((leader, token)).shares
            return f"{account.follower}: {shares} of token {token} paid {pays} each, written down by hand"
        case Fund(amount=amount, start=start):
            return f"{account.follower}: {Usd(cash(account, start).micro + amount.micro)} in the wallet"
        case SetMode(mode=mode):
            return f"{account.follower}: {mode.value}"
        case _:
            return f"{account.follower}: the drawdown starts over"


_READERS: Mapping[str, Callable[[Account, list[Any], float], Command]] = {
    "settle": _settle,
    "call-off": _call_off,
    "replay": _replay,
    "purge": _purge,
    "mode": _mode,
    "reset-peak": _reset_peak,
    "fund": _fund,
    "payout": _payout,
    LEAVE: _leave,
}
