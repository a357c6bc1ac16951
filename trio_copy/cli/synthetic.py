"""Plans for runs that need no configuration file: the self test and the load commands."""

from collections.abc import Mapping, Sequence

from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.config import EngineSettings, PluginTable, Settings
from trio_copy.config.settings import ChainSettings, FollowerTable, FollowTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.errors import ConfigError
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Filters, Sizing
from trio_copy.model.ids import Address, ChainId, FollowerId, TokenId
from trio_copy.model.units import NO_USD, Ratio, Shares, Usd
from trio_copy.registry import discover
from trio_copy.telemetry.redaction import Redactor
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log

POLYGON = ChainId(137)
_EXECUTOR = "dry-run"


def synthetic_address(kind: str, number: int) -> Address:
    return Address("0x" + fake_hash(kind, number)[2:42])


def synthetic_plan(
    *,
    followers: int,
    follows_each: int,
    leaders: int,
    engine: EngineSettings,
    executor: Mapping[str, object],
    store: PluginTable,
    allow: Sequence[str] = (),
    redactor: Redactor | None = None,
) -> Plan:
    """Plan a dry run in which every leader has equally many followers, give or take one.

    Raises:
        ConfigError: a plugin's options are wrong, or a distribution that is allowed is not installed.
    """
    sizing = Sizing(ratio=Ratio.parse("0.01"), minimum_usd=NO_USD)
    patient = Filters(max_age_s=3600.0)  # what a slow store takes late is a lag to be shown, not a copy to be skipped
    names = [FollowerId(f"follower-{number}") for number in range(followers)]
    addresses = [synthetic_address("leader", number) for number in range(leaders)]
    settings = Settings(
        engine=engine,
        chain=ChainSettings(chain_id=POLYGON),
        executor=(PluginTable(name=_EXECUTOR, plugin=_EXECUTOR, options=executor),),
        store=store,
        decoder=(PluginTable(name="order-filled", plugin="order-filled", options={}),),
        follower=tuple(FollowerTable(id=name, executor=_EXECUTOR) for name in names),
        follow=tuple(
            FollowTable(
                follower=name,
                leader=addresses[(number * follows_each + each) % leaders],
                size=sizing,
                filters=patient,
            )
            for number, name in enumerate(names)
            for each in range(follows_each)
        ),
    )
    registry = discover(allow)
    if missing := registry.missing(allow):
        raise ConfigError([f"--allow: expected an installed plugin, got {one}" for one in missing])
    return make_plan(settings, registry, redactor)


def leader_buys(
    leader: Address, number: int, *, exchange: Address = EXCHANGE_V2, shares: int = 1000, price_cents: int = 50
) -> DevTx:
    """Make the transaction in which a leader buys, as a taker."""
    bought = Shares(shares * 1_000_000)
    return DevTx(
        tx_hash=fake_hash("tx", number),
        logs=(
            order_filled_log(
                exchange=exchange,
                order_hash=fake_hash("order", number),
                owner=leader,
                counterparty=exchange,
                side=Side.BUY,
                token_id=TokenId(int(fake_hash("token", number % 50)[2:], 16)),
                shares=bought,
                notional=Usd(bought.micro * price_cents // 100),
                fee=NO_USD,
            ),
        ),
    )
