"""`trio-copy doctor`: a line for each look, what to do, and no key anywhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.cli.live import OWN, SECRET, write_conf
from tests.harness import open_world
from trio_copy.chain.dial import dial_network
from trio_copy.cli import output
from trio_copy.cli.doctor import show_findings
from trio_copy.cli.examined import Keys, examine_wallets
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey
from trio_copy.ports import ExaminationContext, Examine, Finding, Health

Capture = pytest.CaptureFixture[str]
Clock = trio.testing.MockClock
FOUND = (
    Finding(check="clock", health=Health.GOOD, text="0 s behind the venue's"),
    Finding(check="region", health=Health.UNKNOWN, text="no whole answer in time"),
    Finding(check="key", health=Health.GOOD, text="opened", wallet="hot"),
    Finding(
        check="approval v2 BUY",
        health=Health.GOOD,
        text="unlimited: 0xE111180000d2663C0091e4f400237545B87B996B may take all that the wallet ever has",
        advice="a finite allowance of pUSD, as much as it may trade with",
        wallet="hot",
    ),
    Finding(
        check="approval v3 SELL",
        health=Health.BAD,
        text="none: what is bought could not be sold",
        advice="shares of 0x006F54F7f9A22e0000CC2AB60031000000ae9fEF for 0xe3333700cA9d93003F00f0F71f8515005F6c00Aa: approve it",
        wallet="hot",
    ),
)


@pytest.fixture(autouse=True)
def in_a_shared_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_copy.cli.doctor.keep_out_of_dumps", lambda: None)


def plan_of(folder: Path, examine: Examine | None, *, nodes: Sequence[Any] = ()) -> Plan:
    """The plan of a live configuration, whose executor is looked at in some way."""
    plan = load_plan(write_conf(folder))
    executors = [evolve(one, plugin=evolve(one.plugin, examine=examine, moves_money=True)) for one in plan.executors]
    settings = evolve(plan.settings, devnet=None, endpoint=tuple(nodes)) if nodes else plan.settings
    return evolve(plan, executors=tuple(executors), settings=settings)


async def test_everybody_is_asked_about_his_own(clock: Clock, tmp_path: Path) -> None:
    """The nodes, the keys, and the executor about the wallets of its followers, and of those that nobody pays with yet."""
    given: list[ExaminationContext] = []

    async def examine(context: ExaminationContext) -> list[Finding]:
        await trio.lowlevel.checkpoint()
        given.append(context)
        told = Finding(check="venue", health=Health.GOOD, text="fine")
        return [told, *(evolve(told, wallet=wallet.name) for wallet in context.wallets)]

    async with open_world(nodes=2) as world:
        world.down.add(1)
        plan = plan_of(tmp_path, examine, nodes=world.endpoints)
        keys = Keys(opened={"hot": SecretKey(SECRET)}, troubles={"cold": "wallet.cold.key: is not there"})
        found = await examine_wallets(plan, ["hot", "cold"], keys, world.dial, world.wall)
    [context] = given
    assert [(one.name, one.follower, one.signature_type) for one in context.wallets] == [
        ("hot", "alice", SignatureType.EOA),
        ("cold", "", SignatureType.SAFE),
    ]
    hot, cold = (context.signers.of(one) for one in context.wallets)
    assert hot is not None
    assert hot.address == OWN
    assert cold is None
    assert [(one.wallet, one.check, one.health.value) for one in found] == [
        ("", "node node-0", "good"),
        ("", "node node-1", "bad"),
        ("", "venue", "good"),
        ("hot", "key", "good"),
        ("hot", "venue", "good"),
        ("cold", "key", "bad"),
        ("cold", "venue", "good"),
    ]
    assert [(one.text, bool(one.advice)) for one in found if one.health is Health.BAD] == [
        ("node-1 refuses", True),
        ("wallet.cold.key: is not there", True),
    ]


async def test_what_cannot_be_asked_is_yellow(clock: Clock, tmp_path: Path) -> None:
    """A devnet has no contracts; of an executor that tells nothing, that is said."""
    keys = Keys(opened={"hot": SecretKey(SECRET)}, troubles={})
    found = await examine_wallets(plan_of(tmp_path, None), ["hot"], keys, dial_network, lambda: NOW)
    assert [(one.check, one.health.value) for one in found] == [
        ("nodes", "unknown"),
        ("key", "good"),
        ("executor", "unknown"),
    ]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_people_read_a_line_for_each_look(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, terminal: bool
) -> None:
    """Whole in a pipe; on a terminal marked by colours, cut between words, with nothing lost, addresses neither."""
    plan = plan_of(tmp_path, None)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: terminal, raising=False)
    assert show_findings(plan, FOUND, json=False) == 1
    said = capsys.readouterr().out
    plain = said
    for code in ("32m", "31m", "33m", "0m"):
        plain = plain.replace(f"\x1b[{code}", "")
    whole = [
        "all wallets",
        "  ok      clock: 0 s behind the venue's",
        "  unknown region: no whole answer in time",
        f"wallet hot  0x{plan.settings.wallet['hot'].address[2:]}  eoa",  # type: ignore[index]  it is live
        "  ok      key: opened",
        "  ok, but approval v2 BUY: unlimited: 0xE111180000d2663C0091e4f400237545B87B996B may take all that the wallet ever"
        " has; to do: a finite allowance of pUSD, as much as it may trade with",
        "  FAILED  approval v3 SELL: none: what is bought could not be sold; to do: shares of"
        " 0x006F54F7f9A22e0000CC2AB60031000000ae9fEF for 0xe3333700cA9d93003F00f0F71f8515005F6c00Aa: approve it",
        "3 ok, 1 FAILED, 1 unknown; nothing was changed",
    ]
    assert " ".join(plain.lower().split()) == " ".join(" ".join(whole).lower().split())
    if not terminal:
        assert plain.lower() == "\n".join([*whole, ""]).lower()
        return
    lines = plain.splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.startswith(("  ok", "  FAILED", "  unknown", " " * 10)) for line in lines[1:3] + lines[4:-1])
    assert [said.count(f"\x1b[{code}") for code in ("32m", "33m", "31m")] == [2, 2, 1]


def test_machines_get_an_object_for_each_look(tmp_path: Path, capsys: Capture) -> None:
    """With everything in it; exit code 0 where nothing is red, although something is unknown."""
    plan = plan_of(tmp_path, None)
    assert show_findings(plan, FOUND[:-1], json=True) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == {"wallet": None, "check": "region", "health": "unknown", "text": FOUND[1].text, "advice": None}
    assert (rows[3]["wallet"], rows[3]["health"], rows[3]["advice"]) == ("hot", "good", FOUND[3].advice)
    assert len(rows) == 4
    assert show_findings(plan, FOUND, json=True) == 1
