"""Who copies on a chain that is played, from which wallets, and how: an account of a key, and two Safes of one fleet."""

from pathlib import Path

from attrs import evolve

from tests.builders import LEADER, POLYGON
from tests.harness import make_test_plan, patient, with_follow_settings
from tests.worlds.mined import CTF, MAKER, MULTI_SEND, TOKENS, USDC
from trio_copy.config import PluginTable
from trio_copy.config.fleets import FleetTable
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.entropy import Entropy
from trio_copy.model.coins import Coins
from trio_copy.model.follow_settings import Execution, Sizing
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import NO_USD, Ratio, Usd
from trio_copy.native import SecretKey
from trio_copy.registry import discover
from trio_copy.signing.arming import arm, limits_of

ALICE_KEY, *FLEET = (SecretKey(bytes([digit]) * 32) for digit in (0x61, 0x71, 0x72))
SAFES = {"bob": Address("0x" + "b0" * 20), "carol": Address("0x" + "ca" * 20)}
WALLETS = {"alice": ALICE_KEY.address, **SAFES}
_CHAIN = {"window_blocks": 16, "rescan_every_s": 10.0, "requests_per_s": 10_000.0}
_ENGINE = {
    "deadline_s": 30.0,
    "reconcile_every_s": 1.0,
    "backoff_max_s": 2.0,
    "restarts": 100_000,
    "drain_s": 5.0,
    "escalate_after_s": 600.0,
}


def plan_of(luck: Entropy, folder: Path, armed_until: float) -> Plan:
    """Return the plan of a world, with its wallets armed."""
    tokens = [str(token) for token in TOKENS]
    paper = make_test_plan(
        followers=list(WALLETS),
        leaders=(LEADER,),
        decoders=[PluginTable(name="fpmm", plugin="fpmm", options={"pools": [{"address": MAKER, "tokens": tokens}]})],
        chain=_CHAIN,
        engine={**_ENGINE, "send_timeout_s": luck.choice((5.0, 20.0))},
    )
    execution = Execution(
        slippage_bps=luck.choice((300, 1500)),
        order_type=luck.choice(("FAK", "FOK")),
        attempts=luck.choice((1, 3)),
    )
    sizing = Sizing(ratio=Ratio.parse("0.3"), minimum_usd=NO_USD)
    settings = with_follow_settings(paper, execution=execution, size=sizing).settings
    wallets = _wallets(Usd.parse(luck.choice((300, 100_000))))
    maker = {"maker": MAKER, "conditional_tokens": CTF, "collateral": USDC, "tokens": tokens}
    options = {
        "fpmm": [maker],
        "multi_send": MULTI_SEND,
        "patience_s": luck.choice((4.0, 15.0)),
        "mine_within_s": luck.choice((20.0, 60.0)),
        "in_flight": luck.choice((1, 4, 16)),
    }
    settings = evolve(
        settings,
        engine=evolve(settings.engine, mode="live"),
        signing=evolve(settings.signing, folder=str(folder / "signing")),
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(folder / "none.db")}),
        executor=(PluginTable(name="onchain", plugin="onchain", options=options),),
        wallet=wallets,
        fleet={"ops": FleetTable(keys=("env:B", "env:C"))},
        follower=tuple(evolve(one, executor="onchain", wallet=str(one.id)) for one in settings.follower),
    )
    for wallet in wallets.values():
        assert wallet.address is not None
        arm(folder / "signing", wallet.address, limits_of(wallet.policy, POLYGON), armed_until)
    return patient(make_plan(settings, discover()))


def _wallets(max_day_usd: Usd) -> dict[str, WalletTable]:
    policy = WalletPolicy(
        contracts=(MAKER,),
        collateral=(USDC,),
        conditional=(CTF,),
        multisend=(MULTI_SEND,),
        max_order_usd=Usd.parse(200),
        max_hour_usd=max_day_usd,
        max_day_usd=max_day_usd,
        max_minute_orders=1000,
        max_day_gas=Coins.parse(1000),
        max_gas=Coins.parse(2),
    )
    safes = {
        name: WalletTable(address=safe, policy=policy, fleet="ops", signature_type=SignatureType.SAFE)
        for name, safe in SAFES.items()
    }
    alice = WalletTable(address=ALICE_KEY.address, policy=policy, key="env:A", signature_type=SignatureType.EOA)
    return {"alice": alice, **safes}
