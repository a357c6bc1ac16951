"""`trio-copy wallet approve | redeem | merge | split`: what is shown, asked, done and told."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.builders import make_signal, make_task
from tests.cli.filled import open_owner
from tests.cli.live import OWN, write_conf
from trio_copy.cli import main
from trio_copy.cli.acted import coins
from trio_copy.engine.people.act_requests import ACT, answer_of
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import Address, FollowerId, IntentKey, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import Act, ActReport, Changes, Deed, Done, Paid, PlannedAct
from trio_copy.testing.acting import ScriptedActor, acting_plugin
from trio_copy.transactions.calls import Call

Capture = pytest.CaptureFixture[str]
CONDITION = "0x" + "c1" * 32
WALLET = Wallet(follower=FollowerId("alice"), address=OWN, name="hot")
CALL = Call(to=Address("0x" + "c0" * 20), data=b"\x09\x5e\xa7\xb3")


def planned(number: int, deed: Deed = Deed.APPROVE, **more: Any) -> PlannedAct:
    act = Act(key=IntentKey(f"{number:064x}"), wallet=WALLET, deed=deed, calls=(CALL,), until=0)
    return PlannedAct(words=(f"let number {number} take 5 USD",), act=act, **more)


@pytest.fixture
def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedActor:
    """Alice's executor, whose wallets act, and of which nothing else is known."""
    actor, conf = ScriptedActor(), write_conf(tmp_path)
    monkeypatch.setenv("TRIO_COPY_CONF", str(conf))
    monkeypatch.setattr("trio_copy.cli.acted.keep_out_of_dumps", lambda: None)
    monkeypatch.setattr("trio_copy.cli.wallet_acts.find_plan", lambda _conf, redactor: acting(conf, redactor))

    def acting(conf: Path, redactor: Any) -> Plan:
        plan = load_plan(conf, redactor)
        return evolve(plan, executors=tuple(evolve(one, plugin=acting_plugin(actor)) for one in plan.executors))

    return actor


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("trio_copy.cli.question.somebody_answers", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: answer, raising=False)


def hold(tokens: Sequence[int]) -> None:
    """Alice holds ten shares of tokens, as the books say."""

    async def run() -> None:
        async with open_owner(load_plan(Path(os.environ["TRIO_COPY_CONF"]))) as owner:
            for token in tokens:
                owner.fill(make_task(evolve(make_signal(token), token_id=TokenId(token))), shares="10", dollars="5")

    trio.run(run)


def test_what_is_agreed_to_is_done_in_order_and_told(actor: ScriptedActor, capsys: Capture) -> None:
    """A line for each call and its gas before; what carries it and its end after. Where no engine runs, here."""
    actor.plans = {Deed.APPROVE: (planned(1, gas_wei=10**16 + 1), planned(2))}

    assert main(["wallet", "approve", "hot", "--usd", "5", "--yes"]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[0].lower() == f"wallet hot  {OWN}  eoa"
    assert said[1:4] == [
        "  1. let number 1 take 5 USD",
        "     for gas at most 0.010001 of the chain's coin",
        "  2. let number 2 take 5 USD",
    ]
    assert [line[:5] for line in said[4:]] == ["1. 0x", "2. 0x"]
    assert all("it happened, for good, gas 0.000001" in line for line in said[4:])
    assert [act.key[-1] for act in actor.asked] == ["1", "2"]
    [(wallet, deed, wanted)] = actor.planned
    assert (wallet, deed, wanted.usd) == (WALLET, Deed.APPROVE, Usd.parse(5))
    assert actor.context is not None
    assert actor.context.chain_id == 137


def test_without_an_amount_a_day_of_the_policy_is_allowed(actor: ScriptedActor, capsys: Capture) -> None:
    """Nothing that is missing is nothing to do."""
    assert main(["wallet", "approve", "hot"]) == 0
    assert capsys.readouterr().out == "wallet hot: nothing to approve\n"
    assert actor.planned[0][2].usd == Usd.parse(1000)


def test_nobody_is_asked_where_nobody_answers(
    actor: ScriptedActor, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script says --yes, and --json says it as well; who says no has nothing done."""
    actor.plans = {Deed.APPROVE: (planned(1),)}

    assert main(["wallet", "approve", "hot"]) == 2
    assert "--yes: expected it, because there is no terminal on which to ask" in capsys.readouterr().err
    assert main(["wallet", "approve", "hot", "--json"]) == 2
    assert "--yes: expected it beside --json" in capsys.readouterr().err
    answering(monkeypatch, "n\n")
    assert main(["wallet", "approve", "hot"]) == 1
    assert "Have wallet hot do this? [y/N] nothing was done" in capsys.readouterr().out
    assert not actor.asked


def test_programs_read_a_line_for_each_act(actor: ScriptedActor, capsys: Capture) -> None:
    """Amounts of wei as text, for no reader to round them. What follows a refused one is not begun."""
    actor.plans = {Deed.APPROVE: (planned(1), planned(2), planned(3))}
    actor.becomes = [actor.report(planned(1).act), ActReport(done=Done.REFUSED, why="the guard refuses")]  # type: ignore[arg-type]

    assert main(["wallet", "approve", "hot", "--yes", "--json"]) == 1

    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["transaction"].startswith("0x")
    assert (first["wallet"], first["deed"], first["done"], first["gas_wei"]) == ("hot", "approve", "landed", "21000")
    assert (second["done"], second["why"], second["transaction"]) == ("refused", "the guard refuses", None)
    assert len(actor.asked) == 2


def test_where_an_engine_runs_it_is_asked(actor: ScriptedActor, capsys: Capture) -> None:
    """It signs, and no key is opened here: what it answers is told."""
    actor.plans = {Deed.APPROVE: (planned(1),)}
    owned, ended = threading.Event(), threading.Event()

    async def own() -> None:
        async with open_owner(load_plan(Path(os.environ["TRIO_COPY_CONF"]))) as owner:
            owned.set()
            accounts, number = owner.store.accounts, 0
            while not ended.is_set():  # noqa: ASYNC110  set by another thread
                for request in await accounts.requests(0, owner.token):
                    report = actor.report(planned(1).act, Done.MINED if request.kind != ACT else Done.LANDED)  # type: ignore[arg-type]
                    number += 1
                    await accounts.write(0, owner.token, number, Changes(answers={request.name: answer_of(report)}))
                    await trio.sleep(0.5)
                await trio.sleep(0.02)
            owner.number = number

    engine = threading.Thread(target=trio.run, args=(own,))
    engine.start()
    owned.wait(10)
    code = main(["wallet", "approve", "hot", "--yes"])
    ended.set()
    engine.join(10)

    assert code == 0
    assert "it happened, for good, gas 0.000001" in capsys.readouterr().out.splitlines()[-1]
    assert not actor.asked


def test_people_are_told_what_was_not_begun(actor: ScriptedActor, capsys: Capture) -> None:
    actor.plans = {Deed.APPROVE: (planned(1), planned(2), planned(3))}
    actor.becomes = [OrderNotSent("no node answers")]

    assert main(["wallet", "approve", "hot", "--yes"]) == 1

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "1. not sent: nothing happened: no node answers",
        "not begun: 2, 3",
    ]


def test_winners_and_losers_are_redeemed_and_booked(actor: ScriptedActor, capsys: Capture) -> None:
    """The executor is told what the books hold, and the books what it paid: at its payout, and at zero, each once."""
    hold([1, 2])
    winner = Paid(token_id=TokenId(1), condition_id=CONDITION, payout=Price.parse("1"))
    loser = Paid(token_id=TokenId(2), condition_id=CONDITION, payout=Price(0))
    actor.plans = {
        Deed.REDEEM: (
            planned(1, Deed.REDEEM, pays=(winner,)),
            PlannedAct(words=("token 2 pays nothing",), pays=(loser,)),
        )
    }

    assert main(["wallet", "redeem", "hot", "--all", "--yes"]) == 0

    said = capsys.readouterr().out.splitlines()
    assert "  2. token 2 pays nothing" in said
    assert "     no transaction: it is only booked" in said
    assert said[-1] == "2. booked"
    [(_, _, wanted)] = actor.planned
    assert [(one.token_id, one.shares) for one in wanted.held] == [(1, Shares.parse(10)), (2, Shares.parse(10))]
    assert main(["positions", "--json"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["trades", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(one["notional"] for one in told if one["side"] == "SELL" or "redeem" in json.dumps(one)) == [
        "0",
        "10",
    ]
    assert len(actor.asked) == 1


@pytest.mark.parametrize("verb", ["split", "merge"])
def test_sets_are_made_and_unmade_for_an_amount(actor: ScriptedActor, verb: str, capsys: Capture) -> None:
    actor.plans = {Deed(verb): (planned(1, Deed(verb)),)}

    assert main(["wallet", verb, "hot", CONDITION.upper().replace("0X", "0x"), "--usd", "2.5", "--yes"]) == 0

    [(_, deed, wanted)] = actor.planned
    assert (deed.value, wanted.usd, wanted.condition_id) == (verb, Usd.parse("2.5"), CONDITION)
    [act] = actor.asked
    assert act.deed is Deed(verb)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["approve", "cold"], "WALLET: expected one that a follower pays with"),
        (["approve", "warm"], 'WALLET: expected a live wallet (hot, cold), got "warm"'),
        (["approve", "hot", "--usd", "0"], "--usd: expected USD above zero"),
        (["approve", "hot", "--usd", "1e9"], "--usd: expected at most "),
        (["split", "hot", CONDITION, "--usd", "1e9"], "times wallet.hot.policy.max_day_usd, got 1e9"),
        (["redeem", "hot", CONDITION, "--all"], "expected a condition id, or --all, got both"),
        (["split", "hot", CONDITION, "--usd", "much"], "--usd: expected a decimal number"),
        (["merge", "hot", "0x12", "--usd", "1"], 'CONDITION: expected 0x and 64 hex digits, got "0x12"'),
        (["redeem", "hot"], "expected a condition id, or --all"),
        (["redeem", "hot", CONDITION, "--all"], "expected a condition id, or --all"),
    ],
)
def test_bad_input_is_one_clear_line(actor: ScriptedActor, capsys: Capture, words: list[str], says: str) -> None:
    """Exit code 2, and nothing is asked of anybody."""
    assert main(["wallet", *words, "--yes"]) == 2
    assert says in capsys.readouterr().err
    assert not actor.planned


def test_what_an_executor_cannot_plan_is_one_clear_line(actor: ScriptedActor, capsys: Capture) -> None:
    actor.cannot = OrderNotSent("the question is not decided")
    assert main(["wallet", "redeem", "hot", "--all", "--yes"]) == 2
    assert capsys.readouterr().err == "wallet hot: the question is not decided; nothing was done\n"


def test_commands_that_an_executor_names_are_told_with_the_configuration(actor: ScriptedActor, capsys: Capture) -> None:
    conf = os.environ["TRIO_COPY_CONF"]
    left = "left out: token 7: `trio-copy wallet settle hot 7 --payout 1`, or 0"
    actor.plans = {Deed.REDEEM: (PlannedAct(words=("it is decided", left)),)}
    assert main(["wallet", "redeem", "hot", "--all", "--yes"]) == 0
    assert (
        f"     left out: token 7: `trio-copy wallet settle hot 7 --payout 1 --conf {conf}`, or 0\n"
        in capsys.readouterr().out
    )
    actor.cannot = OrderNotSent("no: `trio-copy arm hot`")
    assert main(["wallet", "redeem", "hot", "--all", "--yes"]) == 2
    assert f"wallet hot: no: `trio-copy arm hot --conf {conf}`; nothing was done" in capsys.readouterr().err


def test_an_executor_whose_wallets_do_not_act_is_named(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = write_conf(tmp_path)
    assert main(["wallet", "approve", "hot", "--yes", "--conf", str(conf)]) == 2
    assert "expected its executor, or just one beside it, to have wallets act: there is none" in capsys.readouterr().err


def test_coins_are_rounded_up_for_people() -> None:
    """Nobody pays more than he was told."""
    assert [coins(wei) for wei in (0, 1, 10**12, 10**18, 25 * 10**17 + 1)] == [
        "0",
        "0.000001",
        "0.000001",
        "1",
        "2.500001",
    ]
