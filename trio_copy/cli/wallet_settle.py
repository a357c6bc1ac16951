"""`trio-copy wallet settle`: what a person knows that shares have paid, where no executor can redeem them."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.arm import expect_wallets
from trio_copy.cli.asked import asker_of, new_name
from trio_copy.cli.labels import catalog_of
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.positions import EVERYTHING, HeldPosition, held_positions, token_name
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.engine.people.requests import payout as payout_request
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.catalog import Catalog, Labels
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.units import ONE_USD_PER_SHARE, Price, Rounding
from trio_copy.ports import Store


def settle(
    name: Annotated[str, Parameter(help="A live wallet, [wallet.NAME], that a follower pays with.")],
    token: Annotated[str, Parameter(help="The token: its number, or the address of an outcome that is an ERC-20.")],
    /,
    *,
    payout: Annotated[str, Parameter(help="USD that each share has paid: 1 for a winner, 0 for what is lost.")],
    yes: Yes = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Write down what shares paid that were redeemed elsewhere, or are lost, so that they leave the books. This is final.

    Look at the wallet first: nothing is sent, and nobody is asked whether it is so. Whoever owns the account does it; where
    no engine runs, this command.
    """
    plan = find_plan(conf, redactor)
    follower, token_id, pays = _follower(plan, name), _token(token), _payout(payout)

    async def look(store: Store) -> tuple[Catalog, Sequence[HeldPosition]]:
        catalog = await catalog_of(store, plan)
        held = await held_positions(store, EVERYTHING, Labels(catalog))
        return catalog, [one for one in held if (one.key[0], one.key[2]) == (follower, token_id)]

    catalog, found = ask_store(plan, look)
    if not found:
        see = suggested("positions", conf=plan.path)
        raise ConfigError([f"TOKEN: expected one that {follower} holds, got {token}; see: {see}"])
    for one in found:
        out(_words(one, pays))
    if not agreed(f"Write down that each share has paid {pays} USD? It is final.", yes=yes):
        out("nothing was written down")
        return 1
    facts = catalog.of(token_id)
    condition = "" if facts is None else facts.condition_id

    async def ask(store: Store) -> list[str]:
        asker = asker_of(store, plan)
        requests = [
            payout_request(new_name("payout"), one.key, condition, pays, asker.wall(), shares=one.position.shares)
            for one in found
        ]
        return [await asker.ask(plan.shard_of(follower), request) for request in requests]

    for line in ask_store(plan, ask):
        out(line)
    return 0


def _follower(plan: Plan, name: str) -> FollowerId:
    expect_wallets(plan, (name,))
    found = [one.follower for one in plan.settings.followers().named.values() if one.wallet_name == name]
    if not found:
        raise ConfigError(
            [f"WALLET: expected one that a follower pays with, wallet = NAME in [[follower]], got {name}"]
        )
    return found[0]


def _token(text: str) -> TokenId:
    try:
        token = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        token = -1
    if not 0 < token < 1 << 256:
        raise ConfigError([f'TOKEN: expected a token id, or an address, got "{text[:80]}"'])
    return TokenId(token)


def _payout(text: str) -> Price:
    try:
        payout = Price.parse(text)
    except ValueError as error:
        raise ConfigError([f"--payout: {error}"]) from None
    if not Price(0) <= payout <= ONE_USD_PER_SHARE:
        raise ConfigError([f"--payout: expected USD of a share, from 0 to 1, got {text}"])
    return payout


def _words(one: HeldPosition, pays: Price) -> str:
    shares, cost = one.position.shares, one.position.cost
    brings = shares.at(pays, Rounding.DOWN)
    return (
        f"{one.key[0]} holds {shares} of {one.label or token_name(one.key[2])}, copied from {one.key[1]}, which cost {cost} USD:"
        f" at {pays} each they have brought {brings} USD"
    )
