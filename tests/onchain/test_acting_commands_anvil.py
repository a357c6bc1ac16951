"""The commands of wallets from the terminal to a real node and back: planned, signed behind the guard, landed, booked."""

from functools import partial
from pathlib import Path

import pytest
import trio

from tests.onchain.acting import KEY, condition_of, decide, fund, money, shares
from tests.onchain.deployed import Deployed, Market
from trio_copy.cli import main
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import MICRO
from trio_copy.testing.anvil import Node

pytestmark = pytest.mark.anvil
CONF = """
[engine]
mode = "live"
[chain]
chain_id = 137
[[endpoint]]
name = "anvil"
url = "{node}"
[store.sqlite]
path = "{folder}/books.db"
[signing]
folder = "{folder}/signing"
[executor.onchain]
poll_s = 0.05
fpmm = [{{ maker = "{maker}", conditional_tokens = "{ctf}", collateral = "{usdc}", tokens = {tokens} }}]
[decoder.order-filled]
[wallet.hot]
key = "file:{folder}/keys/hot.hex"
address = "{own}"
policy.contracts = ["{maker}"]
policy.collateral = ["{usdc}"]
policy.conditional = ["{ctf}"]
[[follower]]
id = "alice"
executor = "onchain"
wallet = "hot"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
[follow.size]
minimum_policy = "raise"
"""


def write_conf(folder: Path, node: Node, market: Market) -> Path:
    amm, keys = market.deployed.amms[0], folder / "keys"
    keys.mkdir(mode=0o700)
    (keys / "hot.hex").write_text("0x" + "77" * 32 + "\n")
    (keys / "hot.hex").chmod(0o600)
    conf = folder / "conf.toml"
    tokens = str([str(token) for token in amm.tokens]).replace("'", '"')
    conf.write_text(
        CONF.format(
            folder=folder, node=node.url, maker=amm.pool, ctf=amm.ctf, usdc=amm.usdc, tokens=tokens, own=KEY.address
        )
    )
    return conf


async def command(market: Market, *words: str) -> int:
    """Run a command while blocks become final; returns its exit code."""
    async with trio.open_nursery() as nursery:

        async def mine() -> None:
            while True:
                await trio.sleep(0.5)
                with trio.CancelScope(shield=True):
                    await market.ask("anvil_mine", hex(70))

        nursery.start_soon(mine)
        code = await trio.to_thread.run_sync(partial(main, words))
        nursery.cancel_scope.cancel()
    return code


async def test_what_a_person_agrees_to_is_done(
    venues: tuple[Node, Deployed],
    market: Market,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Splits, and then redeems what has won, from a terminal where no engine runs."""
    monkeypatch.setattr("trio_copy.cli.acted.keep_out_of_dumps", lambda: None)
    await fund(market, SignatureType.EOA)
    amm = market.deployed.amms[0]
    condition, conf = await condition_of(market, amm), write_conf(tmp_path, venues[0], market)
    before = await money(market, amm, KEY.address)

    assert await command(market, "wallet", "split", "hot", condition, "--usd", "20", "--yes", "--conf", str(conf)) == 0
    said = capsys.readouterr().out
    assert "may take 20 USD at most" in said
    assert said.count("it happened, for good, gas 0.") == 2
    assert await shares(market, amm, KEY.address) == [20 * MICRO, 20 * MICRO]

    await decide(market, amm, 0, 1)
    assert await command(market, "wallet", "redeem", "hot", condition, "--yes", "--conf", str(conf)) == 0
    assert "pays 20 USD" in capsys.readouterr().out
    assert await money(market, amm, KEY.address) == before
    assert await command(market, "wallet", "redeem", "hot", condition, "--yes", "--conf", str(conf)) == 0
    assert capsys.readouterr().out == "wallet hot: nothing to redeem\n"
