"""What a person sets of the executor `onchain`: `[executor.onchain]`."""

from typing import Any

from attrs import NOTHING, Attribute, frozen

from trio_copy.model.ids import Address, TokenId
from trio_copy.model.settings import group, setting, within
from trio_copy.model.units import Usd
from trio_copy_onchain.relayer.settings import RelayerSettings

_MULTI_SEND = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")


def _several(instance: object, attribute: "Attribute[tuple[TokenId, ...]]", tokens: tuple[TokenId, ...]) -> None:
    if len(tokens) < 2:
        raise ValueError(f"expected two outcomes at least, got {len(tokens)}")


@frozen(kw_only=True)
class FpmmTable:
    """A fixed-product market maker, and what it trades."""

    maker: Address = setting(NOTHING, unit="address", why="The market maker's contract.")
    conditional_tokens: Address = setting(NOTHING, unit="address", why="The contract that holds the outcomes.")
    collateral: Address = setting(NOTHING, unit="address", why="The token that they are paid in.")
    tokens: tuple[TokenId, ...] = setting(
        NOTHING,
        unit="list of token ids",
        why="All outcomes, in the order in which the maker counts them.",
        check=_several,
    )


@frozen(kw_only=True)
class PoolTable:
    """A pool of an outcome that is an ERC-20, and the router through which it is traded."""

    pool: Address = setting(NOTHING, unit="address", why="The pool's contract.")
    outcome: Address = setting(
        NOTHING, unit="address", why="The outcome's token; its id is this address, read as a number."
    )
    collateral: Address = setting(NOTHING, unit="address", why="The token that it is paid in.")
    router: Address = setting(NOTHING, unit="address", why="SwapRouter or SwapRouter02 of the pool's factory.")
    takes_deadline: bool = setting(
        False, unit="true or false", why="Whether the router reads a deadline among the arguments, as SwapRouter does."
    )
    quoter: Address = setting(NOTHING, unit="address", why="QuoterV2 of the pool's factory.")


def _each_once(instance: object, attribute: "Attribute[Any]", tables: tuple[object, ...]) -> None:
    tokens = [token for table in tables for token in _tokens_of(table)]
    twice = next((token for token in tokens if tokens.count(token) > 1), None)
    if twice is not None:
        raise ValueError(f"expected each outcome at one venue, got {twice} twice")


def _two_tokens(instance: object, attribute: "Attribute[Any]", tables: tuple[PoolTable, ...]) -> None:
    for table in tables:
        if table.outcome == table.collateral:
            raise ValueError(f"expected two tokens of a pool, got {table.outcome} as outcome and collateral")
    _each_once(instance, attribute, tables)


def _tokens_of(table: object) -> tuple[TokenId, ...]:
    if isinstance(table, FpmmTable):
        return table.tokens
    return (TokenId(int(table.outcome, 16)),) if isinstance(table, PoolTable) else ()


@frozen(kw_only=True)
class OnchainSettings:
    """Where trades go, what their gas may cost, and how long one is tried."""

    fpmm: tuple[FpmmTable, ...] = setting(
        (), unit="list of tables", why="Market makers at which outcomes are traded.", check=_each_once
    )
    pools: tuple[PoolTable, ...] = setting(
        (), unit="list of tables", why="Pools at which outcomes are traded.", check=_two_tokens
    )
    mine_within_s: float = setting(
        60.0,
        unit="seconds",
        why="How long after the leader's block a trade may be mined; then something that does nothing takes its nonce.",
        check=within(5.0, 3600.0),
    )
    in_flight: int = setting(
        16,
        unit="transactions",
        why="What one operator has on its way at a time; exits may be a quarter more.",
        check=within(1, 64),
    )
    fee_percentile: float = setting(
        60.0, unit="per cent", why="Which of the tips of recent blocks is paid.", check=within(1.0, 100.0)
    )
    max_fee_gwei: int = setting(
        1000,
        unit="gwei",
        why="The most that is paid per gas, base fee and tip. A ninth of it is kept for a cancellation.",
        check=within(1, 1_000_000),
    )
    gas_margin_bps: int = setting(
        2500, unit="basis points", why="What a transaction may use beyond what was estimated.", check=within(0, 20_000)
    )
    max_gas: int = setting(
        1_500_000, unit="gas", why="A call that takes more is not sent.", check=within(50_000, 30_000_000)
    )
    patience_s: float = setting(
        6.0,
        unit="seconds",
        why="How long the first in line waits before it pays an eighth more.",
        check=within(1.0, 600.0),
    )
    poll_s: float = setting(
        0.5,
        unit="seconds",
        why="How often it is looked for a new block while something is open; more often when one is due.",
        check=within(0.05, 60.0),
    )
    sale_room_bps: int = setting(
        100,
        unit="basis points",
        why="At a market maker a sale names its cash: so much less than all shares bring now, so that a falling price lets it through.",
        check=within(0, 5_000),
    )
    least_usd: Usd = setting(
        Usd.parse(1), unit="USD", why="A purchase for less is not worth its gas.", check=within(Usd(1), Usd.parse(1000))
    )
    relayer: RelayerSettings = group(
        RelayerSettings, why="Who has wallets act that have no gas money, and deposit wallets."
    )
    multi_send: Address = setting(
        _MULTI_SEND,
        unit="address",
        why="MultiSend of the Safes, by which an approval and its trade are one transaction.",
    )
