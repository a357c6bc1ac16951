"""A week can be judged without a network: it is made, fetched, played and ranked, as README says."""

import json
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.docs.commands import ROOT
from trio_copy.cli import main
from trio_copy.cli.open_world import open_scripted_devnet
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import DevnetSettings
from trio_copy.config.load import DEMONSTRATIONS
from trio_copy.engine.plan import load_plan

CONF = str(ROOT / "conf" / "paper.toml")
_PAST_S = 12 * 3600.0
"""Half a day says as much as a week, sooner."""


async def test_a_past_that_never_was_is_fetched_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every leader of the configuration has traded in it, up to where nothing can be taken back, and no later."""
    file, wall = str(tmp_path / "past.rec"), anchored_wall_clock()
    script = DevnetSettings(seed=1, reorg_at_block=0, drop_at_block=0)

    async def command(*words: str) -> int:
        return await trio.to_thread.run_sync(partial(main, words))

    async with open_scripted_devnet(load_plan(Path(CONF)), wall, script, past_s=_PAST_S) as (devnet, market):
        blocks = devnet.chain.blocks
        assert abs(blocks[-1].ref.time - wall()) < 60
        assert abs(blocks[-1].ref.time - blocks[0].ref.time - _PAST_S) < 60
        assert await command("fetch", file, "--conf", CONF, "--since", "11h", "--url", devnet.url) == 0
    capsys.readouterr()
    assert await command("backtest", CONF, file, "--json") == 0
    judged = json.loads(capsys.readouterr().out)
    assert await command("leaders", file, "--json") == 0
    ranked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert {row["wallet"].lower() for row in ranked} == set(market.leaders)
    assert judged["total"]["signals"] == sum(row["trades"] for row in ranked) > 40


@pytest.mark.parametrize("past", ["91d", "400d"])
def test_a_past_has_an_end(past: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is kept in memory, whole."""
    assert main(["devnet", CONF, "--past", past]) == 2
    assert capsys.readouterr().err == f"--past: expected at most 90d, got {past}\n"


def test_the_demonstration_needs_no_file_where_somebody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes along; one that stands there counts for more, and what somebody has written himself is never guessed."""
    monkeypatch.chdir(tmp_path)
    for name in DEMONSTRATIONS:
        monkeypatch.setitem(DEMONSTRATIONS, name, ROOT / name)
        assert main(["check", name]) == 0
        monkeypatch.setenv("TRIO_COPY_CONF", name)
        assert main(["check"]) == 0
    assert main(["check", "conf/prod.toml"]) == 2
    monkeypatch.setenv("TRIO_COPY_CONF", "conf/prod.toml")
    capsys.readouterr()
    assert main(["check"]) == 2
    said = "$TRIO_COPY_CONF: expected the path of a configuration, got conf/prod.toml: there is no such file\n"
    assert capsys.readouterr().err == said
    Path("conf").mkdir()
    Path("conf/demo.toml").write_text("nonsense")
    capsys.readouterr()
    assert main(["check", "conf/demo.toml"]) == 2
    assert "conf/demo.toml: not valid TOML" in capsys.readouterr().err
