"""Random orders, by us and by the official clients: the same bytes for the same fields, and no amounts but those the venue takes.

`python -m tests.clob.official 10000` compares so many, `--unified` with the other client; the tests compare a few.

The first client reckons in floats, and does not know that an instant order is taken with two and four decimals at every tick. So
its bytes are compared for our amounts, and its amounts where they are those of exact arithmetic; where they are not, what is
wrong with them is worked out here, in fractions, and must be something.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
from attrs import evolve, frozen

from tests.clob.written import SECRET, TICKS, wish
from tests.official import POLYMARKET, PY_CLOB, Client, started
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId, parse_address
from trio_copy.model.orders import Market
from trio_copy.model.units import Price, Shares
from trio_copy.model.venue_amounts import LEAST_PURCHASE
from trio_copy.native import SecretKey
from trio_copy_clob.orders.body import with_owner
from trio_copy_clob.orders.exchanges import EXCHANGES
from trio_copy_clob.orders.order import DEPOSIT_WALLET, EOA, Maker
from trio_copy_clob.orders.prepare import prepare
from trio_copy_clob.orders.words import checksummed

PROGRAM = Path(__file__).with_name("py_clob.py")
UNIFIED = Path(__file__).with_name("unified.py")
"""The second opinion; it knows Polygon's contracts alone, and reckons in decimals."""
_CHAINS = (137, 137, 137, 80002)
_INSTANT = ("FAK", "FOK")
_TOO_SMALL = "too small to be an order"
_CENT, _HUNDREDTH_OF_A_CENT, _WHOLE = Fraction(1, 100), Fraction(1, 10_000), 1_000_000


@frozen(kw_only=True)
class Wish:
    """What somebody wants to buy or sell, in the words of both."""

    key: IntentKey
    secret: bytes
    side: Side
    order_type: str
    tick: str
    price: str
    size: str
    """Shares; of an instant BUY the cash."""
    token_id: TokenId
    exchange: str
    signature_type: int
    wallet: Address
    """Where the type of signature is not that of the key's own account."""
    chain_id: int
    leader_time: int
    post_only: bool

    @property
    def intent(self) -> OrderIntent:
        kind = "market" if self.order_type in _INSTANT else "limit"
        wanted = wish(kind, self.side, self.size, self.price)
        return evolve(wanted, token_id=self.token_id, order_type=self.order_type)


def wishes(seed: int) -> Iterator[Wish]:
    """Draw wishes without end: every exchange, type of signature, kind of order and tick in turn."""
    dice = random.Random(seed)
    number = 0
    while True:
        order_type = dice.choice(["FAK", "FOK", "GTC", "GTD"])
        tick = TICKS[number % len(TICKS)]
        yield Wish(
            key=IntentKey(f"{dice.getrandbits(256):064x}"),
            secret=SECRET if number % 2 else dice.randbytes(31) + b"\x01",
            side=dice.choice(list(Side)),
            order_type=order_type,
            tick=tick,
            price=str(Decimal(tick) * dice.randrange(1, round(1 / Decimal(tick)))),
            size=str(
                Decimal(dice.randrange(100, dice.choice([2_000, 100_000, 10_000_000]))) / dice.choice([100, 100, 1000])
            ),
            token_id=TokenId(dice.getrandbits(dice.choice([256, 256, 256, 40]))),
            exchange=EXCHANGES[number % len(EXCHANGES)],
            signature_type=number // len(EXCHANGES) % 4,
            wallet=parse_address(f"0x{dice.getrandbits(160):040x}"),
            chain_id=dice.choice(_CHAINS),
            leader_time=dice.randrange(1_700_000_000, 1_900_000_000),
            post_only=order_type not in _INSTANT and dice.random() < 0.2,
        )
        number += 1


def compared(client: Client, wanted: Wish) -> str:
    """Say how the official client's order for a wish is related to ours.

    Raises:
        AssertionError: its bytes are others for the same fields, or its amounts are better than ours.
    """
    key = SecretKey(wanted.secret)
    address = key.address if wanted.signature_type == EOA else wanted.wallet
    maker = Maker(address=address, signature_type=wanted.signature_type, owner=key.address)
    market = Market(
        token_id=wanted.token_id,
        tick=Price.parse(wanted.tick),
        minimum=Shares(1),
        fee_bps=0,
        least_cost=LEAST_PURCHASE,
        exchange=wanted.exchange,
    )
    made = prepare(
        wanted.key,
        wanted.intent,
        maker,
        market,
        wanted.leader_time,
        key.sign,
        post_only=wanted.post_only,
        chain_id=wanted.chain_id,
    )
    if not made.shares:
        return _TOO_SMALL
    ours = msgspec.json.decode(made.body)["order"]
    owner = f"{int(wanted.key[:32], 16):x}"
    common = {"private_key": f"0x{wanted.secret.hex()}", "chain_id": wanted.chain_id, "order_type": wanted.order_type}
    theirs = client.ask(
        {
            **common,
            "do": "order",
            "exchange": wanted.exchange,
            "owner": owner,
            "post_only": wanted.post_only,
            "order": {
                "salt": int(wanted.key[:12], 16),
                "maker": checksummed(address),
                "signer": checksummed(address if wanted.signature_type == DEPOSIT_WALLET else key.address),
                "tokenId": str(wanted.token_id),
                "makerAmount": ours["makerAmount"],
                "takerAmount": ours["takerAmount"],
                "side": 0 if wanted.side is Side.BUY else 1,
                "signatureType": wanted.signature_type,
                "timestamp": str(wanted.leader_time * 1000 - int(wanted.key, 16) % 1000),
                "expiration": ours["expiration"],
            },
        }
    )
    assert theirs["digest"] == made.order_id, wanted
    assert theirs["body"] == with_owner(made.body, owner).decode(), wanted
    asked = {
        "do": "amounts",
        "tick": wanted.tick,
        "size": wanted.size,
        "price": wanted.price,
        "side": wanted.side.value,
    }
    gives, gets = client.ask({**common, **asked})
    mine = (int(ours["makerAmount"]), int(ours["takerAmount"]))
    if (gives, gets) == mine:
        return "equal"
    wrong = _wrong(wanted, gives, gets, *mine)
    assert wrong, (wanted, (gives, gets), mine)
    return wrong


def _wrong(wanted: Wish, gives: int, gets: int, our_gives: int, our_gets: int) -> str:
    """Say why the venue would not take what the official client gives and gets, or why it is not what was wished."""
    price = Fraction(wanted.price)
    given, got = Fraction(gives, _WHOLE), Fraction(gets, _WHOLE)
    buys = wanted.side is Side.BUY
    shares, cash = (got, given) if buys else (given, got)
    if wanted.order_type in _INSTANT:
        if given % _CENT or got % _HUNDREDTH_OF_A_CENT:
            return "decimals that the venue does not take"
        if buys and not price <= cash / shares < price + _HUNDREDTH_OF_A_CENT:
            return "another price, by floats"
        if not buys and not price - _HUNDREDTH_OF_A_CENT < cash / shares <= price:
            return "another price, by floats"
    elif cash != shares * price:
        return "no exact product"
    if gives < our_gives or (gives == our_gives and gets < our_gets):
        return "less than was wished, by floats"
    return ""


def compare(client: Client, seed: int, count: int, chains: Collection[int] = _CHAINS) -> Counter[str]:
    """Compare so many orders, and count what came of them."""
    found: Counter[str] = Counter()
    drawn = (one for one in wishes(seed) if one.chain_id in chains)
    while found.total() - found[_TOO_SMALL] < count:
        found[compared(client, next(drawn))] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clob.official", description=__doc__.split("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=240)
    parser.add_argument("--unified", action="store_true", help="the unified client, polymarket-client")
    options = parser.parse_args()
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}: {options.count} orders, each the same bytes; of their amounts\n")
    which, chains = ((UNIFIED, POLYMARKET), (137,)) if options.unified else ((PROGRAM, PY_CLOB), _CHAINS)
    with started(*which) as client:
        for what, times in compare(client, seed, options.count, chains).most_common():
            sys.stdout.write(f"{times:8}  {what}\n")


if __name__ == "__main__":
    main()
