"""Commands by which a person changes follows, modes and what is open; what cannot be is one line and changes nothing."""

from pathlib import Path

import pytest

from tests.builders import LEADER, NOW, OTHER_LEADER, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import CONF, conf, fill, own, place, rows
from trio_copy.cli import main
from trio_copy.engine.books.books import follower_modes, waiting_tasks
from trio_copy.model.control import shard_lease
from trio_copy.model.orders import Order
from trio_copy.ports import Store

__all__ = ["conf"]
Capture = pytest.CaptureFixture[str]


def test_follows_of_the_file_are_listed_before_a_run_has_read_them(tmp_path: Path, capsys: Capture) -> None:
    """They are what the next run copies; a command can neither take their place nor change them."""
    path = tmp_path / "new.toml"
    path.write_text(CONF.format(path=tmp_path / "new.db", leader=LEADER))
    of = ("--conf", str(path))
    assert main(["follow", "add", "dora", OTHER_LEADER, *of]) == 0
    capsys.readouterr()
    assert main(["follow", "list", "--json", *of]) == 0
    assert [(row["follower"], row["source"]) for row in rows(capsys)] == [("alice", "file"), ("dora", "command")]
    assert main(["follow", "export", "-", "--format", "jsonl", *of]) == 0
    assert [row["follower"] for row in rows(capsys)] == ["alice", "dora"]
    assert main(["explain", "follow", f"alice:{LEADER}", *of]) == 0
    for change in (["add", "alice", LEADER], ["set", f"alice:{LEADER}", "size.ratio=1"], ["remove", f"alice:{LEADER}"]):
        assert main(["follow", *change, *of]) == 2
        assert "stands in the configuration" in capsys.readouterr().err


def test_a_follow_is_added_changed_explained_and_removed(conf: Path, capsys: Capture) -> None:
    """The whole life of a follow; what belongs to the file is not for commands to change."""
    name = f"dora:{OTHER_LEADER}"
    assert main(["follow", "add", "dora", OTHER_LEADER, "size.ratio=0.5", "caps.max_order_usd=200"]) == 0
    assert main(["follow", "add", "dora", OTHER_LEADER]) == 2
    assert main(["follow", "set", name, "filters.sides=BUY,SELL", "size.ratio=", "size.mode=fixed"]) == 0
    capsys.readouterr()
    assert main(["explain", "follow", name, "--json"]) == 0
    explained = {row["setting"]: (row["value"], row["origin"]) for row in rows(capsys)}
    assert explained["caps.max_order_usd"] == ("50", "engine")
    assert explained["size.mode"] == ("fixed", "follow")
    assert explained["size.ratio"] == ("0.01", "default")
    assert main(["follow", "list", "--json", "--follower", "dora"]) == 0
    assert rows(capsys)[0]["source"] == "command"
    assert main(["follow", "set", f"alice:{LEADER}", "size.ratio=1"]) == 2
    assert "stands in the configuration" in capsys.readouterr().err
    assert main(["follow", "remove", name]) == 0
    assert main(["follow", "remove", name]) == 2
    capsys.readouterr()
    assert main(["follow", "list", "--json"]) == 0
    assert [row["follower"] for row in rows(capsys)] == ["alice"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["follow", "add", "dora", "0x12"], "leader: expected an address"),
        (["follow", "add", "do ra", OTHER_LEADER], "follower: expected a name"),
        (["follow", "add", "dora", OTHER_LEADER, "size.ratoi=1"], 'did you mean "size.ratio"?'),
        (["follow", "add", "dora", OTHER_LEADER, "size.ratio"], "expected PATH=VALUE"),
        (
            ["follow", "add", "dora", OTHER_LEADER, "filters.price_min=0.9", "filters.price_max=0.1"],
            "filters.price_max",
        ),
        (["follow", "set", "nobody:0x00", "size.ratio=1"], "expected a follow, named FOLLOWER:LEADER"),
        (["positions", "--leader", "0x1"], "--leader: expected an address"),
        (["trades", "--since", "yesterday", "--token", "x", "--limit", "0"], "--since: expected a time"),
        (["trades", "--json", "--csv"], "expected one of them"),
        (["trades", "--since", "7d", "--until", "30d"], "--until: expected a time after --since, got 30d"),
        (["pnl", "--since", "2025-11-24", "--until", "2025-11-24"], "--until: expected a time after --since"),
        (["orders", "settle", "0x1234", "--shares", "0"], "expected one open order, got 0"),
        (["orders", "settle", "", "--shares", "0"], 'expected at least 4 letters of an order id, got ""'),
        (["leaders", "--top", "5"], "--top, --since: expected --source as well"),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    conf: Path, capsys: Capture, words: list[str], says: str
) -> None:
    """Where, what was expected, what was there; exit code 2."""
    assert main(words) == 2
    assert says in capsys.readouterr().err
    assert len(fill(conf, lambda store: store.follows.load())[1]) == 1


def test_an_import_is_all_or_nothing(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """Bad rows are named by their line; what export writes, import reads, in both forms."""
    good = tmp_path / "good.csv"
    lines = ["follower,leader,size.ratio,filters.sides,filters.token_deny"]
    lines += [f"user-{number},{OTHER_LEADER},0.0{number % 9 + 1},BUY,{number}" for number in range(300)]
    good.write_text("\n".join(lines) + "\n")
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*lines, f"user-1,{OTHER_LEADER},0.1,,", "x,0x1,abc,,", "short,row"]) + "\n")
    assert main(["follow", "import", str(bad)]) == 2
    problems = capsys.readouterr().err
    assert f"{bad}:302: user-1:{OTHER_LEADER} stands here twice" in problems
    assert f"{bad}:303: size.ratio: expected a decimal number" in problems
    assert f"{bad}:304: expected 5 columns, got 2" in problems
    assert "nothing was imported" in problems
    assert len(fill(conf, lambda store: store.follows.load())[1]) == 1

    assert main(["follow", "import", str(good)]) == 0
    assert "300 follows imported" in capsys.readouterr().out
    held = fill(conf, lambda store: store.follows.load())[1]
    for name in ("out.csv", "out.jsonl"):
        copy = tmp_path / name
        assert main(["follow", "export", str(copy)]) == 0
        text = "\n".join(line for line in copy.read_text().splitlines() if "alice" not in line) + "\n"
        copy.write_text(text)
        assert main(["follow", "import", str(copy)]) == 0
        again = fill(conf, lambda store: store.follows.load())[1]
        assert {follow.key: follow.own for follow in held} == {follow.key: follow.own for follow in again}


def test_a_mode_is_shown_and_set_for_everybody_or_for_one(conf: Path, capsys: Capture) -> None:
    """A halt has a reason and survives; run for a follower starts its drawdown over."""
    assert main(["mode", "halt-new", "--why", "lunch"]) == 0
    assert main(["mode", "reduce-only", "--follower", "alice"]) == 0
    capsys.readouterr()
    assert main(["mode", "--json"]) == 0
    assert [(row["scope"], row["mode"], row["why"]) for row in rows(capsys)] == [
        ("engine", "halt-new", "lunch"),
        ("follower:alice", "reduce-only", "set by hand"),
    ]
    assert main(["mode", "run", "--follower", "alice"]) == 0
    assert fill(conf, lambda store: follower_modes(store.history)) == {}


def test_a_person_can_settle_what_the_venue_does_not_tell(conf: Path, capsys: Capture) -> None:
    """An open order is listed, and what a person found out is booked like a report."""
    task = make_task(make_signal(1))

    def leave_open(owner: Owner) -> Order:
        return owner.place(task)

    order = own(conf, leave_open)
    assert main(["orders", "list", "--json"]) == 0
    assert [row["order_id"] for row in rows(capsys)] == [order.order_id]
    assert main(["orders", "settle", order.order_id[:12], "--shares", "11", "--notional", "12"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4"]) == 2
    assert main(["orders", "settle", order.order_id[:12], "--shares", "4", "--notional", "2.1", "--fee", "0.1"]) == 0
    capsys.readouterr()
    assert main(["orders", "list"]) == 0
    assert "every order has ended" in capsys.readouterr().out
    assert main(["trades", "--json"]) == 0
    (trade,) = rows(capsys)
    assert (trade["shares"], trade["notional"], trade["fee"]) == ("4", "2.1", "0.1")


def test_dead_letters_are_looked_at_queued_again_and_given_up(conf: Path, capsys: Capture) -> None:
    """A choice changes what it names, a dry run nothing; what is given up is told as not copied."""
    tasks = [make_task(make_signal(number)) for number in range(3)]

    def bury(owner: Owner) -> None:
        for number, task in enumerate(tasks):
            owner.bury(task, "hung" if number else "crashed", NOW + number)

    own(conf, bury)
    assert main(["dlq", "stats", "--json"]) == 0
    assert rows(capsys) == [{"letters": 2, "reason": "hung"}, {"letters": 1, "reason": "crashed"}]
    assert main(["dlq", "peek", "--json", "--reason", "hung"]) == 0
    assert [row["task"] for row in rows(capsys)] == [task.task_id for task in tasks[1:]]
    assert main(["dlq", "replay", "--dry-run"]) == 0
    assert "3 dead letters would be queued again" in capsys.readouterr().out
    assert main(["dlq", "replay", "--reason", "crashed"]) == 0
    assert "1 of 1 dead letter queued again" in capsys.readouterr().out
    assert main(["dlq", "purge"]) == 2
    capsys.readouterr()
    assert main(["dlq", "purge", "--all"]) == 0
    assert "2 of 2 dead letters forgotten" in capsys.readouterr().out
    assert main(["dlq", "peek"]) == 0
    assert "no such dead letters" in capsys.readouterr().out
    assert main(["skips", "--json"]) == 0
    assert [(row["code"], row["value"]) for row in rows(capsys)] == [("GIVEN_UP", "hung")] * 2
    assert [one.task for one in fill(conf, lambda store: waiting_tasks(store.history))] == tasks[:1]


def test_a_command_is_told_that_its_owner_does_not_answer(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, and who has it; nothing is taken away from an owner that lives."""
    monkeypatch.setattr("trio_copy.cli.asked.PATIENCE_S", 0.3)
    task = make_task(make_signal(1))

    async def leave_owned(store: Store) -> None:
        lease = await store.control.acquire(shard_lease(0), "engine-7", 1000)
        assert lease is not None

    own(conf, lambda owner: place(owner, task))
    fill(conf, leave_owned)
    assert main(["mode", "halt-all", "--follower", "alice"]) == 1
    assert "no answer within 0.3 s: engine-7 owns its shard; what was asked for stays" in capsys.readouterr().err
    assert fill(conf, lambda store: follower_modes(store.history)) == {}
