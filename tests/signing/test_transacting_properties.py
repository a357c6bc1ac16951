"""Whatever bytes somebody lets go and asks for: what is signed moves what it may, and nothing is raised."""

from typing import Any

from attrs import evolve
from eth_abi.abi import decode
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW
from tests.signing.calls import (
    CASH,
    COIN,
    KEY,
    MAKER_CONTRACT,
    MULTISEND,
    OUTCOME,
    ROUTER,
    SAFE,
    SENDER,
    SHARE,
    TRADING,
    act,
    approve,
    buy,
    by_proxy,
    by_safe,
    guard_of,
    let_go,
    sell,
    spending,
    swap,
    transaction,
)
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import MICRO, NO_USD, Price, Usd
from trio_copy.ports import Deed, Purpose, Spending
from trio_copy.ports.signing import NOTHING
from trio_copy.signing.guard import Signed
from trio_copy.signing.transacting import judge_relayed, judge_transaction
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import Relayed
from trio_copy_onchain.venues.amounts import Decimals
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import Swap, Venue

_LOW, _HIGH = Address("0x" + "01" * 20), Address("0x" + "fe" * 20)


def allows(call: Call, wanted: Spending, **policy: Any) -> bool:
    """Let go of a call, and tell whether the account's transaction with it is signed."""
    guard = guard_of(policy=evolve(TRADING, max_order_usd=Usd.parse(10**9), **policy))
    let_go(guard, wanted, call)
    return judge_transaction(guard, transaction(call), SENDER, wanted, NOW) is None


@st.composite
def _trades(draw: st.DrawFn) -> tuple[Swap, Venue, Spending, dict[str, Any]]:
    """Draw what an executor wants of a venue, and the policy that fits its tokens."""
    side, limit = draw(st.sampled_from(Side)), Price(draw(st.integers(2_000, 980_000)))
    cash_decimals, share_decimals = draw(st.sampled_from([(6, 18), (6, 6), (18, 18)]))
    at_pool = draw(st.booleans())
    decimals = Decimals(shares=share_decimals if at_pool else cash_decimals, cash=cash_decimals)
    amount = draw(st.integers(10**5, 10**9))
    buys = side is Side.BUY
    swap_wanted = Swap(
        wallet=SENDER,
        side=side,
        cash=amount * decimals.coin // MICRO if buys else 0,
        shares=0 if buys else amount * decimals.share // MICRO,
        limit=limit,
        partial=draw(st.booleans()),
        deadline=int(NOW) + 60,
    )
    outcome = draw(st.sampled_from([_LOW, _HIGH]))
    fpmm = Fpmm(
        maker=MAKER_CONTRACT,
        conditional_tokens=CASH,
        tokens=(TokenId(1), TokenId(2)),
        outcome=1,
        fee=0,
        decimals=decimals,
    )
    pool = Pool(
        pool=CASH,
        router=Router(address=ROUTER, takes_deadline=draw(st.booleans())),
        quoter=CASH,
        outcome=outcome,
        collateral=CASH,
        fee=draw(st.sampled_from([100, 500, 3000, 10_000])),
        decimals=decimals,
    )
    wanted = spending(
        side=side,
        limit_price=limit,
        max_cost=Usd(amount) if buys else NO_USD,
        token_id=TokenId(int(outcome, 16)),
        contract=ROUTER if at_pool else MAKER_CONTRACT,
    )
    policy = {"collateral_decimals": cash_decimals, "outcome_decimals": share_decimals}
    return swap_wanted, pool if at_pool else fpmm, wanted, policy


@settings(max_examples=100, deadline=None)
@given(_trades())
def test_what_a_venue_makes_of_a_limit_is_signed_and_nothing_worse(
    trade: tuple[Swap, Venue, Spending, dict[str, Any]],
) -> None:
    """To the unit: the guard reckons by its own formulas, and comes to what the venues' say."""
    wish, venue, wanted, policy = trade
    call = venue.call(wish)
    assert allows(call.marked(KEY), wanted, **policy)
    step = -1 if wish.side is Side.BUY else 1
    better = Price(wanted.limit_price.micro + 20 * step)
    stricter = evolve(wanted, limit_price=better)
    exact = venue.call(evolve(wish, limit=better))
    assert allows(exact, stricter, **policy)
    if wish.partial and isinstance(venue, Pool) and call != exact:
        assert not allows(call, stricter, **policy), "the pool would stop at a worse price"
        stop, rises = venue.stop_at(wish.side, wish.limit), (wish.side is Side.BUY) is (venue.outcome < CASH)
        worse = stop + 1 if rises else stop - 1
        assert not allows(evolve(call, data=call.data.replace(stop.to_bytes(32), worse.to_bytes(32))), wanted, **policy)
    if wish.side is Side.BUY:
        assert not allows(call, evolve(wanted, max_cost=wanted.max_cost - Usd(1)), **policy)


_NAMED = [bytes.fromhex(one[2:]) for one in (SENDER, SAFE, CASH, OUTCOME, ROUTER, MAKER_CONTRACT, MULTISEND, _LOW)]

_CHANGES = ["address"] * 3 + ["near"] * 3 + ["word", "byte", "insert", "delete", "cut"]


@st.composite
def _mutations(draw: st.DrawFn) -> tuple[SignatureType, Spending, Call]:
    """Draw what may be signed, and change some bytes of it."""
    kind = draw(st.sampled_from([SignatureType.EOA, SignatureType.SAFE, SignatureType.PROXY]))
    maker = SENDER if kind is SignatureType.EOA else SAFE
    cash, shares = 10 * COIN, 20 * SHARE
    trades = [
        (buy(cash, 20 * COIN), Side.BUY, MAKER_CONTRACT, approve(CASH, MAKER_CONTRACT, cash)),
        (sell(cash, 20 * COIN), Side.SELL, MAKER_CONTRACT, None),
        (swap(cash, shares, recipient=maker), Side.BUY, ROUTER, approve(CASH, ROUTER, cash)),
        (swap(cash, shares, recipient=maker, late=True), Side.BUY, ROUTER, approve(CASH, ROUTER, cash)),
        (swap(shares, cash, buys=False, recipient=maker), Side.SELL, ROUTER, approve(OUTCOME, ROUTER, shares)),
    ]
    trade, side, contract, approval = draw(st.sampled_from(trades))
    calls = (trade,) if approval is None or draw(st.booleans()) else (approval, trade)
    match kind:
        case SignatureType.EOA:
            call = trade
        case SignatureType.SAFE:
            call = by_safe(*calls)
        case _:
            call = by_proxy(*calls)
    data = bytearray((call.marked(KEY) if draw(st.booleans()) else call).data)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data) - 1))
        word = 4 + (at - 4) // 32 * 32
        match draw(st.sampled_from(_CHANGES)):
            case "address":
                named = [one for one in _NAMED if one in data]
                if named:
                    data = data.replace(draw(st.sampled_from(named)), draw(st.sampled_from(_NAMED)), 1)
            case "byte":
                data[at] = draw(st.integers(0, 255))
            case "word":
                number = draw(
                    st.sampled_from([0, 1, 2, 32, 64, 1 << 96, (1 << 160) - 1, (1 << 256) - 1, int(OUTCOME, 16)])
                )
                data[max(word, 0) : max(word, 0) + 32] = number.to_bytes(32)
            case "near":
                begin = max(word, 4)
                number = int.from_bytes(data[begin : begin + 32]) + draw(st.integers(-3, 3))
                data[begin : begin + 32] = (number % (1 << 256)).to_bytes(32)
            case "insert":
                data[at:at] = bytes(draw(st.sampled_from([1, 31, 32])))
            case "delete":
                del data[at : at + draw(st.sampled_from([1, 32]))]
            case _:
                del data[at + 1 :]
    wanted = spending(side=side, contract=contract, maker=maker)
    return kind, wanted, evolve(call, data=bytes(data))


@settings(max_examples=400, deadline=None)
@given(_mutations())
def test_however_the_bytes_are_changed_what_is_signed_moves_no_other_money(
    changed: tuple[SignatureType, Spending, Call],
) -> None:
    """Somebody lets go what a bug made of a trade. Another reader than the guard's tells what it would do."""
    kind, wanted, call = changed
    guard = guard_of(kind)
    let_go(guard, wanted, call)
    if judge_transaction(guard, transaction(call), SENDER, wanted, NOW) is not None:
        return
    calls = _inside(kind, call)
    assert 1 <= len(calls) <= 2
    to, data = calls[-1]
    assert to == wanted.contract
    given, got, token_in = _exchange(data, wanted)
    coin, share = COIN, COIN if wanted.contract == MAKER_CONTRACT else SHARE
    if wanted.side is Side.BUY:
        assert 0 < given <= 10 * coin
        assert got is None or given * share * 2 <= got * coin
    else:
        assert got is None or got * share * 2 >= given * coin
    if len(calls) == 2:
        token, approval = calls[0]
        assert approval[:4] == approve(CASH, ROUTER, 0).data[:4]
        assert token in TRADING.collateral if token_in is None else token == token_in
        assert decode(["address", "uint256"], approval[4:]) == (to, given)


def _inside(kind: SignatureType, call: Call) -> list[tuple[str, bytes]]:
    """Return (target, calldata) of what a wallet does."""
    if kind is SignatureType.EOA:
        return [(call.to, call.data)]
    if kind is SignatureType.PROXY:
        ((members),) = decode(["(uint8,address,uint256,bytes)[]"], call.data[4:], strict=False)
        assert all((one[0], one[2]) == (1, 0) for one in members)
        return [(one[1], one[3]) for one in members]
    types = ["address", "uint256", "bytes", "uint8", *["uint256"] * 3, "address", "address", "bytes"]
    to, value, data, operation, *refund, _signature = decode(types, call.data[4:], strict=False)
    nobody = "0x" + "0" * 40
    assert (call.to, value, refund) == (SAFE, 0, [0, 0, 0, nobody, nobody])
    if operation == 0:
        return [(to, data)]
    assert to in TRADING.multisend
    (packed,) = decode(["bytes"], data[4:], strict=False)
    found = []
    while packed:
        assert packed[0] == 0, "code of somebody else would run in the Safe"
        assert not any(packed[21:53])
        end = 85 + int.from_bytes(packed[53:85])
        found.append(("0x" + packed[1:21].hex(), packed[85:end]))
        packed = packed[end:]
    return found


def _exchange(data: bytes, wanted: Spending) -> tuple[int, int | None, str | None]:
    """Return what a trade gives, what has to come for it (None: up to a price), and the token that is given, where one is named."""
    if wanted.contract == MAKER_CONTRACT:
        cash, _, shares = decode(["uint256"] * 3, data[4:], strict=False)
        assert data[:4] == (buy if wanted.side is Side.BUY else sell)(0, 0).data[:4]
        return (cash, shares, None) if wanted.side is Side.BUY else (shares, cash, None)
    if data[:4] == swap(1, 1, late=True).data[:4]:
        _, (data,) = decode(["uint256", "bytes[]"], data[4:], strict=False)
    dated = data[:4] == swap(1, 1).data[:4]
    assert dated or data[:4] == swap(1, 1, bare=True).data[:4]
    types = ["address", "address", "uint24", "address", *["uint256"] * (3 if dated else 2), "uint160"]
    token_in, token_out, _fee, recipient, *_, given, least, stop_at = decode(types, data[4:], strict=False)
    outcome, cash = (token_out, token_in) if wanted.side is Side.BUY else (token_in, token_out)
    assert recipient == wanted.maker
    assert (outcome, cash in TRADING.collateral) == (OUTCOME, True)
    return given, None if stop_at else least, token_in


_ASKED = st.tuples(st.sampled_from(["let go", "sign", "sign", "dies", "crashes"]), st.integers(0, 2), st.integers(0, 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(_ASKED, max_size=60), st.integers(1, 8))
def test_no_more_is_signed_than_was_counted_whatever_nonces_are_asked_for(
    asked: list[tuple[str, int, int]], most: int
) -> None:
    """Of whichever keys, by however many processes; each reads what the one before has written down, or all but its last line."""
    written: list[Signed] = []
    signed: set[tuple[IntentKey, int]] = set()
    call, policy = buy(10 * COIN, 20 * COIN), evolve(TRADING, max_minute_orders=most, max_day_usd=Usd.parse(50))
    guard = guard_of(policy=policy, on_nonce=written.append)
    for what, number, nonce in asked:
        wanted = spending(key=IntentKey(f"{number:064x}"))
        match what:
            case "let go":
                anew = not guard.is_open(wanted.key)
                if guard.judge(wanted, call_digest(guard.chain_id, SENDER, call), NOW, anew=anew) is None and anew:
                    written.append(let_go(guard, wanted, call))
            case "sign":
                may = judge_transaction(guard, transaction(call, nonce=nonce), SENDER, wanted, NOW) is None
                signed |= {(wanted.key, nonce)} if may else set()
            case _:
                if what == "crashes" and written and written[-1].nonce is not None:
                    written.pop()
                guard = guard_of(policy=policy, on_nonce=written.append)
                assert all(map(guard.note, written))
        counted = sum(one.nonce is None for one in written)
        assert len(signed) <= counted <= min(most, 5)


_WORDS = st.lists(
    st.one_of(st.integers(0, 400), st.integers(0, 2**256 - 1)).map(lambda word: word.to_bytes(32)), max_size=14
)
_TRADES = (buy(1, 1), sell(1, 1), swap(1, 1), swap(1, 1, late=True), swap(1, 1, bare=True), approve(CASH, CASH, 1))
_SELECTORS = [
    *(call.data[:4] for call in (*_TRADES, by_safe(buy(1, 1)), by_proxy(buy(1, 1)))),
    *(bytes.fromhex(text) for text in ("01b7037c", "72ce4275", "9e7212ad", "82d3b9f1", "a22cb465", "a9059cbb")),
]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.sampled_from(_SELECTORS), _WORDS).map(lambda two: two[0] + b"".join(two[1])),
    ),
    st.sampled_from([SENDER, SAFE, CASH, ROUTER, MAKER_CONTRACT, MULTISEND]),
    st.integers(0, 2),
    st.sampled_from(SignatureType),
)
def test_no_bytes_make_it_raise(data: bytes, to: Address, value: int, kind: SignatureType) -> None:
    call, guard = Call(to=to, data=data, value=value), guard_of(kind)
    wanted = spending(maker=guard.maker)
    let_go(guard, wanted, call)
    acts = [act(deed, call, maker=guard.maker) for deed in Deed]
    purposes: list[Purpose] = [wanted, NOTHING, *acts]
    for purpose in purposes:
        judge_transaction(guard, transaction(call), SENDER, purpose, NOW)
        what = Relayed(chain_id=guard.chain_id, wallet=guard.maker, kind=kind, calls=(call,), nonce=0)
        judge_relayed(guard, what, SENDER, purpose, NOW)
