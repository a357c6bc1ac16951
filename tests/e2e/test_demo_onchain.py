"""conf/demo-onchain.toml: a real node and real contracts in one command, and wallets on them that exist for one run."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from trio_copy.cli import main
from trio_copy.cli.open_world import open_world
from trio_copy.cli.play_money import PlayMoney, open_play_money
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import DevnetSettings
from trio_copy.engine.plan import load_plan, make_plan, with_options
from trio_copy.errors import ChainError, ConfigError
from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import SignatureType
from trio_copy.registry import discover
from trio_copy.testing.anvil import Chain, Node, open_chain, open_node, stage

pytestmark = pytest.mark.anvil
CONF = Path(__file__).parents[2] / "conf" / "demo-onchain.toml"


def test_it_takes_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The leaders' trades at both venues are read by the configured decoders and copied; nothing is lost, or left behind."""
    conf = tmp_path / "conf.toml"
    conf.write_text(CONF.read_text().replace("trade_every_s = 1.0", "trade_every_s = 0.1"))
    assert main(["run", str(conf), "--for", "7s"]) == 0
    said = capsys.readouterr().out
    for line in (
        r"anvil: chain 137 at ws://127\.0\.0\.1:\d+, for this run",
        r" (BUY|SELL) +\d+\.\d\d @ 0\.[45]\d+  Rain in Lisbon tomorrow\? (YES|NO)  2 copies",
        r" (BUY|SELL) +\d+\.\d\d @ 0\.[34]\d+  A new block every second\? YES  2 copies",
        r"alice    (filled|partial)   ?",
        r"bob      (filled|partial)   ?",
        r"carol    (filled|partial)   ?",
        r"0 left in the queue, 0 lost",
        r"chain      anvil connected 1x; reorgs 0, late logs 0, quarantined 0",
    ):
        assert re.search(line, said), f"{line} is not in\n{said}"


@pytest.mark.parametrize(
    "beside, problem",
    [
        ("[devnet]", "anvil: expected no [devnet] beside it: they are two chains"),
        ('[[endpoint]]\nname = "one"\nurl = "ws://127.0.0.1:1"', "anvil: expected no [[endpoint]] beside it"),
    ],
)
def test_it_stands_beside_no_other_chain(beside: str, problem: str, tmp_path: Path) -> None:
    conf = tmp_path / "conf.toml"
    conf.write_text(f"{CONF.read_text()}\n{beside}\n")
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load_plan(conf)


def test_what_was_deployed_is_told_to_plugins_and_read_by_their_own_rules() -> None:
    plan = load_plan(CONF)
    maker, one, other = (f"0x{number:040x}" for number in (1, 2, 3))
    venue = {"maker": maker, "conditional_tokens": one, "collateral": other, "tokens": ["1", "2"]}
    told = with_options(plan, "executor", {"onchain": {"fpmm": [venue]}, "clob": {"clob_url": "not here"}})
    assert [[table.maker for table in one.settings.fpmm] for one in told.executors] == [[maker]]
    told = with_options(plan, "decoder", {"fpmm": {"pools": [{"address": maker, "tokens": ["1", "2"]}]}})
    leader = plan.settings.follow[0].leader
    assert [one.addresses for one in told.decoders["fpmm"].filters([leader])] == [(maker,)]
    assert told.settings == plan.settings
    with pytest.raises(ConfigError, match=r"^executor\.onchain\.makers: unknown key"):
        with_options(plan, "executor", {"onchain": {"makers": []}})


def test_money_plays_on_it_from_paper_wallets_and_nowhere_else() -> None:
    """The executor `onchain` may trade in mode paper only because the chain is gone with the run."""
    settings = load_plan(CONF).settings
    assert make_plan(settings, discover()).plays
    walletless = evolve(settings, follower=tuple(evolve(one, wallet=None) for one in settings.follower))
    with pytest.raises(ConfigError, match=r"follower\[0\]\.wallet: expected a paper wallet"):
        make_plan(walletless, discover())
    refused = r'engine\.mode: expected "live" because the executor onchain moves money'
    for other in (evolve(settings, anvil=None), evolve(settings, anvil=None, devnet=DevnetSettings())):
        with pytest.raises(ConfigError, match=refused):
            make_plan(other, discover())


async def test_each_follower_has_a_wallet_of_another_kind_with_money_and_leave_to_trade(tmp_path: Path) -> None:
    """The first is its key's own, the second a Safe, the third a Safe of two operators."""
    plan = load_plan(CONF)
    with open_play_money(plan) as play:
        assert play is not None
        plan = evolve(plan, settings=play.stage(plan.settings))
        async with open_world(plan, anchored_wall_clock(), keys=play.keys, fleets=play.fleets) as world:
            port = int(world.endpoints[0].url.rpartition(":")[2])
            async with open_chain(Node(port, tmp_path)) as chain:
                with trio.fail_after(10):
                    await look_at_wallets(play, world.policy["contracts"], chain)
            trading = play.trading_at(world.policy, plan.settings.chain.chain_id)
            policies = [wallet.policy for _, wallet in trading.wallets.values()]
            assert [one.contracts for one in policies] == [world.policy["contracts"]] * 3


async def test_a_node_that_dies_ends_the_run_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[Node] = []

    @asynccontextmanager
    async def open_noted(folder: Path, chain_id: ChainId, base_fee: int) -> AsyncGenerator[Node, None]:
        async with open_node(folder, chain_id, base_fee) as node:
            nodes.append(node)
            yield node

    monkeypatch.setattr(stage, "open_node", open_noted)

    async def run() -> None:
        async with open_world(load_plan(CONF), anchored_wall_clock()):
            await nodes[0].kill()
            await trio.sleep_forever()

    with (
        trio.fail_after(20),
        pytest.raises(ChainError, match=r"^anvil, the node of this run, has ended before the run"),
    ):
        await run()


async def look_at_wallets(play: PlayMoney, venues: Sequence[Address], chain: Chain) -> None:
    wallets = list(play.wallets.values())
    assert [wallet.signature_type for _, wallet in wallets] == [SignatureType.EOA] + [SignatureType.SAFE] * 2
    maker = venues[0]
    usdc = await chain.call(maker, "collateralToken()", returns="address")
    ctf = await chain.call(maker, "conditionalTokens()", returns="address")
    for name, wallet in wallets:
        assert wallet.paper_usd is not None
        address = str(wallet.address)
        assert await chain.call(usdc, "balanceOf(address)", address) == wallet.paper_usd.micro
        keys = play.fleets[name].operators if name in play.fleets else (play.keys[name],)
        acting = {key.address for key in keys}
        if wallet.signature_type is SignatureType.EOA:
            assert acting == {address}
            allowances = [await chain.call(usdc, "allowance(address,address)", address, one) for one in venues]
            assert allowances == [10**12] * len(venues)
        else:
            assert set(await chain.call(address, "getOwners()", returns="address[]")) == acting
        assert await chain.call(ctf, "isApprovedForAll(address,address)", address, maker, returns="bool")
        balances = [int(await chain.ask("eth_getBalance", one, "latest"), 16) for one in acting]
        assert min(balances) > 9 * 10**18
    assert [len(fleet.operators) for fleet in play.fleets.values()] == [2]
