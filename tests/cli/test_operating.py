"""What an operator does to a running copy: pauses, changes of many follows, exits, backups."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.builders import LEADER, NOW, OTHER_LEADER, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import CONF, fill, own, trade_a_little
from tests.engine.sending.test_leaving import Book
from tests.harness import make_test_plan, open_world, running_engine
from trio_copy.accounts.commands import Doubt
from trio_copy.cli import main
from trio_copy.cli.exit import _sell
from trio_copy.cli.positions import EVERYTHING, held_positions
from trio_copy.engine.plan import load_plan
from trio_copy.engine.service import Service
from trio_copy.model.ids import TokenId
from trio_copy.model.leader_names import LeaderNames
from trio_copy.records import plain_layer

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose file of books exists already: alice follows by it, bob by a command."""
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(path=tmp_path / "books.db", leader=LEADER))
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    fill(path, lambda store: store.follows.put(load_plan(path).settings.follows()), make=True)
    assert main(["follow", "add", "bob", OTHER_LEADER, "size.ratio=0.05"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "name", "scope"),
    [
        (["--leader", OTHER_LEADER], f"leader {OTHER_LEADER}", f"leader:{OTHER_LEADER}"),
        (["--follower", "alice"], "follower alice", "follower:alice"),
        ([f"alice:{LEADER}"], f"alice:{LEADER}", f"follow:alice:{LEADER}"),
        (["--follower", "bob", "--leader", OTHER_LEADER], f"bob:{OTHER_LEADER}", f"follow:bob:{OTHER_LEADER}"),
    ],
)
def test_what_is_paused_is_listed_until_it_is_resumed(
    conf: Path, capsys: Capture, words: list[str], name: str, scope: str
) -> None:
    """One that stands in the configuration as well; said twice, nothing changes."""
    capsys.readouterr()
    assert main(["pause", *words, "--why", "on holiday"]) == 0
    assert main(["pause", *words]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{name} is paused: no entries are copied, exits go on; it ends by: trio-copy resume ")
    assert second.startswith(f"{name} is paused already")
    assert main(["mode", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["scope"], row["mode"], row["why"]) for row in rows[1:]] == [
        (f"pause of {scope}", "reduce-only", "on holiday")
    ]
    assert main(["resume", *words]) == 0
    assert capsys.readouterr().out == f"{name} is resumed\n"
    assert main(["resume", *words]) == 2
    assert "expected what is paused" in capsys.readouterr().err


def test_a_resume_says_what_still_forbids_entries(conf: Path, capsys: Capture) -> None:
    """A mode, and a pause that is wider."""
    for words in (["pause", "--leader", LEADER], ["pause", f"alice:{LEADER}"], ["mode", "halt-new", "--why", "a test"]):
        assert main(words) == 0
    capsys.readouterr()
    assert main(["resume", f"alice:{LEADER}"]) == 0
    shown = capsys.readouterr().out
    assert "still, engine is halt-new: a test; still, pause of leader:0x" in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--leader", "0x12"],
        ["--leader", "0x" + "9" * 40],
        ["--follower", "nobody"],
        ["alice"],
        [f"alice:{LEADER}", "--follower", "alice"],
        [f"alice:{OTHER_LEADER}"],
    ],
)
def test_a_pause_of_nobody_is_refused(conf: Path, capsys: Capture, words: list[str]) -> None:
    """A slip of the hand must not look as if something were paused."""
    assert main(["pause", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["mode", "--csv"]) == 0
    assert "pause" not in capsys.readouterr().out


class Terminal(io.StringIO):
    """A standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


def own_of(conf: Path) -> dict[str, dict[str, object]]:
    """Return what is set for each follow in the store alone."""
    return {follow.name: plain_layer(follow.own) for follow in fill(conf, lambda store: store.follows.load())[1]}


@pytest.mark.parametrize(
    ("words", "answer", "code", "changed"),
    [
        (["--all", "--yes"], "", 0, {"bob", "carl", "dora"}),
        (["--leader", OTHER_LEADER], "y\n", 0, {"bob", "dora"}),
        (["--leader", OTHER_LEADER], "\n", 1, set()),
        (["--follower", "carl"], "YES\n", 0, {"carl"}),
        ([f"carl:{LEADER}"], "", 0, {"carl"}),
    ],
)
def test_many_follows_are_changed_after_a_look(
    conf: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    answer: str,
    code: int,
    changed: set[str],
) -> None:
    """What changes is shown first; what stands in the configuration is not touched; only yes is yes."""
    assert main(["follow", "add", "carl", LEADER, "size.ratio=0.05", "filters.sides=BUY"]) == 0
    assert main(["follow", "add", "dora", OTHER_LEADER]) == 0
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    words = ["follow", "set", *words[:1], *words[1:], "size.ratio=0.02", "filters.sides="]
    capsys.readouterr()
    assert main(words) == code
    shown = capsys.readouterr().out
    name = {"bob": f"bob:{OTHER_LEADER}", "carl": f"carl:{LEADER}", "dora": f"dora:{OTHER_LEADER}"}
    assert (f"{name['bob']}  size.ratio: 0.05 -> 0.02" in shown) == (changed != {"carl"})
    assert (f"{name['dora']}  size.ratio: not set -> 0.02" in shown) == (changed != {"carl"})
    assert (f"{name['carl']}  filters.sides: BUY -> not set, size.ratio: 0.05 -> 0.02" in shown) == ("carl" in changed)
    assert ("1 follow stands in the configuration" in shown) == ("--all" in words)
    after = own_of(conf)
    assert {one for one in name if after[name[one]] == {"size.ratio": "0.02"}} == changed
    assert after[f"alice:{LEADER}"] == {"size.ratio": "0.05"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--all", "size.ratio=0.02"], "--yes: expected it"),
        (["--all", "--leader", LEADER, "size.ratio=0.02", "--yes"], "--all: expected nothing else"),
        ([f"bob:{OTHER_LEADER}"], "expected PATH=VALUE"),
        (["size.ratio=0.02", "--yes"], "expected a follow, named FOLLOWER:LEADER, or --follower or --leader"),
        (["--follower", "alice", "size.ratio=0.02", "--yes"], "got only follows that stand in the configuration"),
        (["--follower", "zoe", "size.ratio=0.02", "--yes"], "expected follows of follower zoe, got no follow"),
        (["--all", "caps.max_order_usd=0.5", "--yes"], f"bob:{OTHER_LEADER}: caps.max_order_usd: expected at least"),
        (["--all", "size.ratoi=", "--yes"], 'did you mean "size.ratio"?'),
    ],
)
def test_a_wrong_change_of_many_changes_nothing(conf: Path, capsys: Capture, words: list[str], says: str) -> None:
    """One clear line, exit code 2; without a terminal nobody is asked, and nothing is taken for a yes."""
    before = own_of(conf)
    assert main(["follow", "set", *words]) == 2
    assert says in capsys.readouterr().err
    assert own_of(conf) == before


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_import_is_looked_at_before_it_is_done(
    conf: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """From a file or from standard input, in either form: what is new, what changes, and nothing that is done."""
    rows = [("bob", OTHER_LEADER, "0.02"), ("zoe", LEADER, "0.03"), ("alice", LEADER, "0.05")]
    text = "follower,leader,size.ratio\n" + "".join(f"{','.join(row)}\n" for row in rows)
    if form == "jsonl":
        keys = ("follower", "leader", "size.ratio")
        plain = [{**dict(zip(keys, row, strict=True)), "size.ratio": float(row[2])} for row in rows]
        text = "".join(f"{json.dumps(row)}\n" for row in plain)
    file = tmp_path / f"follows.{form}"
    file.write_text(text)
    before = own_of(conf)
    capsys.readouterr()
    for source in (str(file), "-"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + text.encode())))
        assert main(["follow", "import", source, "--diff"]) == 0
        changed, new, total = capsys.readouterr().out.splitlines()
        assert changed == f"bob:{OTHER_LEADER}  size.ratio: 0.05 -> 0.02"
        assert new == f"zoe:{LEADER}  new, size.ratio = 0.03"
        assert total.endswith(": 1 new, 1 changed, 0 as they are; nothing was imported")
        assert own_of(conf) == before
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["follow", "import", "-"]) == 0
    assert "2 follows imported from standard input" in capsys.readouterr().out
    assert own_of(conf)[f"zoe:{LEADER}"] == {"size.ratio": "0.03"}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode() + b"nonsense\n")))
    assert main(["follow", "import", "-"]) == 2
    assert "standard input:" in capsys.readouterr().err


def test_a_leader_has_a_name_wherever_an_address_would_stand(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """From a table of the configuration, or from an import; machines go on getting addresses."""
    conf.write_text(f'{conf.read_text()}\n[[leader]]\naddress = "{LEADER}"\nname = "Big Fish"\n')
    file = tmp_path / "named.csv"
    file.write_text(f"follower,leader,name,size.ratio\nbob,{OTHER_LEADER},Théo,0.05\ncarl,{LEADER},fish,\n")
    assert main(["follow", "import", str(file)]) == 0
    task = own(conf, trade_a_little)
    capsys.readouterr()
    for verb, name in (
        (["positions"], "Big Fish"),
        (["trades"], "Big Fish"),
        (["skips"], "Big Fish"),
        (["pnl", "--by", "leader"], "Big Fish"),
        (["follow", "list"], "Théo"),
        (["follow", "set", "bob:théo", "size.ratio=0.06"], "bob:Théo (0xbbbb..bbbb)  size.ratio: 0.05 -> 0.06"),
        (["pause", "--leader", "THÉO"], "leader Théo (0xbbbb..bbbb) is paused"),
        (["mode"], "pause of leader:Théo (0xbbbb..bbbb)"),
        (["resume", "--leader", "théo"], "leader Théo (0xbbbb..bbbb) is resumed"),
        (["explain", "trade", task], f"Big Fish ({LEADER}) trade BUY"),
        (["follow", "add", "dora", "big fish"], f"dora:{LEADER} added"),
        (["follow", "remove", "dora:fish"], "dora:fish removed"),
        (["explain", "follow", "carl:big fish"], "fish"),
    ):
        assert main(verb) == 0, capsys.readouterr().err
        assert name in capsys.readouterr().out, verb
    assert main(["trades", "--leader", "big fish", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["leader"] for row in told] == [LEADER] * 3
    assert main(["trades", "--leader", "Théo", "--json"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["follow", "export", "-"]) == 0
    assert f"bob,{OTHER_LEADER},Théo,0.06" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (f'[[leader]]\naddress = "{LEADER}"\nname = "0xfish"', 'leader[0].name: expected up to 32 letters without ":"'),
        (f'[[leader]]\naddress = "{LEADER}"\nname = "a:b"', "leader[0].name: expected up to 32 letters"),
        (
            "".join(
                f'[[leader]]\naddress = "{one}"\nname = "{name}"\n'
                for one, name in ((LEADER, "Fish"), (OTHER_LEADER, "fish"))
            ),
            f'leader: expected each name for one address, got "fish" for {LEADER}, {OTHER_LEADER}',
        ),
        ('[[follower]]\nid = "eve"\nexecutor = "dry-run"\nname = "fish"', "follower[2].name: expected none"),
    ],
)
def test_a_name_that_says_too_little_is_refused(conf: Path, capsys: Capture, table: str, says: str) -> None:
    """One line says where and why."""
    conf.write_text(f"{conf.read_text()}\n{table}\n")
    capsys.readouterr()
    assert main(["check", str(conf)]) == 2
    assert says in capsys.readouterr().err


def test_a_name_of_two_leaders_names_none(conf: Path, capsys: Capture) -> None:
    """Follows of commands may call two leaders alike; then a command needs the address."""
    assert main(["follow", "add", "bob", LEADER, "name=fish"]) == 0
    assert main(["follow", "set", f"bob:{OTHER_LEADER}", "name=Fish"]) == 0
    assert main(["follow", "add", "carl", OTHER_LEADER, "name=7"]) == 0
    capsys.readouterr()
    for words in (["trades", "--leader", "fish"], ["follow", "remove", "bob:fish"], ["trades", "--leader", "fisk"]):
        assert main(words) == 2
    several, both, unknown = capsys.readouterr().err.splitlines()
    assert f'expected the name of one leader, "fish" is that of {LEADER}, {OTHER_LEADER}' in several
    assert '"bob:fish" is the name of several' in both
    assert 'expected an address, or the name of a leader, got "fisk"; did you mean "fish"?' in unknown
    assert main(["follow", "remove", "carl:7"]) == 0


@pytest.mark.parametrize("within", [False, True], ids=["a whole path", "a name in the current folder"])
def test_the_books_are_backed_up_and_restored(
    conf: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, within: bool
) -> None:
    """By commands; a restore asks, and is refused where nobody can be asked."""
    monkeypatch.chdir(tmp_path)
    copy = "copy.db" if within else str(tmp_path / "copy.db")
    assert main(["backup", copy]) == 0
    assert main(["backup", copy]) == 2
    assert main(["follow", "remove", f"bob:{OTHER_LEADER}"]) == 0
    assert main(["restore", copy]) == 2
    assert "--yes: expected it" in capsys.readouterr().err
    assert len(own_of(conf)) == 1
    assert main(["restore", copy, "--yes"]) == 0
    assert len(own_of(conf)) == 2


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("[store.memory]", "store.memory: it lives and ends inside a run"),
        ('[store.redis]\nurl = "redis://127.0.0.1:1"', "store.redis: Redis makes its own copies: `redis-cli BGSAVE`"),
    ],
)
def test_a_store_without_copies_says_what_to_do_instead(conf: Path, capsys: Capture, store: str, says: str) -> None:
    """One line, without asking anybody or anything."""
    text = conf.read_text()
    start = text.index("[store.sqlite]")
    conf.write_text(text[:start] + store + text[text.index("\n[executor", start) :])
    capsys.readouterr()
    for verb in ("backup", "restore"):
        assert main([verb, "copy.db"]) == 2
        assert capsys.readouterr().err.startswith(says)


def test_the_books_are_written_for_accountants(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """Trades and bookings with every digit, names, and what each realised: the same sum as `pnl`."""
    conf.write_text(f'{conf.read_text()}\n[[leader]]\naddress = "{LEADER}"\nname = "=Fish"\n')
    own(conf, trade_a_little)
    file = tmp_path / "ledger.csv"
    assert main(["export", "ledger", str(file)]) == 0
    capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [(row["side"], row["shares"], row["notional_usd"], row["fee_usd"], row["kind"]) for row in rows] == [
        ("SELL", "15", "12", "0.1", "fill"),
        ("BUY", "10", "7", "0.1", "fill"),
        ("BUY", "10", "5", "0.1", "fill"),
    ]
    assert [row["realised_usd"] for row in rows] == ["3.25", "0", "0"]
    assert {(row["leader"], row["leader_name"], row["firm"]) for row in rows} == {(LEADER, "'=Fish", "yes")}
    assert main(["export", "trades", "-", "--leader", LEADER, "--until", "2025-11-24T16:00:01"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["price_usd"], row["settlement"]) == ("0.5", "firm")
    assert main(["export", "trades", "-", "--leader", OTHER_LEADER]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main(["export", "trades", str(tmp_path / "no" / "file.csv")]) == 2
    assert "file.csv: cannot be written" in capsys.readouterr().err


def test_an_exit_without_an_engine_sells_nothing_and_says_so(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be sold is shown; only yes is yes; where nobody owns the account, nobody can sell."""
    own(conf, trade_a_little)
    (token,) = [row["token_id"] for row in json_rows(["positions", "--json"], capsys)]
    for words in (
        ["--all"],
        ["--leader", LEADER],
        ["--follower", "alice"],
        ["--market", token],
        [f"alice:{LEADER}:{token[:1]}"],
    ):
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))
        assert main(["exit", *words]) == 1
        shown = capsys.readouterr().out
        assert f"alice:{LEADER} token {token}: 5 shares, cost 3.55 USD; 4.5 USD at the last bid, 0.9" in shown
        assert shown.endswith("Sell 1 position at what the market bids? [y/N] nothing was sold\n")
    assert main(["exit", "--all", "--yes"]) == 1
    assert "expected a running engine, which alone can sell what alice holds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "expected a position"),
        (["alice"], "expected FOLLOWER:LEADER:TOKEN"),
        ([f"alice:{LEADER}"], "expected FOLLOWER:LEADER:TOKEN"),
        ([f"alice:{LEADER}:99"], "expected what is held, got nothing"),
        (["--market", "0xno"], "--market: expected a token id, or a condition id that the catalog knows"),
        (["--all", "--leader", LEADER], "--all: expected nothing else"),
        (["--all"], "--yes: expected it"),
    ],
)
def test_an_exit_of_nothing_is_refused(conf: Path, capsys: Capture, words: list[str], says: str) -> None:
    """One clear line, exit code 2."""
    own(conf, trade_a_little)
    capsys.readouterr()
    assert main(["exit", *words]) == 2
    assert says in capsys.readouterr().err


async def test_an_exit_tells_what_came_of_it(autojump_clock: trio.testing.MockClock, capsys: Capture) -> None:
    """Filled, not filled and why, or not known yet: the exit code is good for the first alone."""
    plan, names = make_test_plan(followers=("alice",)), LeaderNames()
    for price, code, says in ((None, False, "nobody bids"), ("0.4", True, "filled, sold 10 at 0.39804")):
        async with open_world() as world:
            world.quotes = book = Book({TokenId(1): "0.5"})
            async with running_engine(world, plan) as service, trio.open_nursery() as nursery:
                world.chain.mine(world.buy())
                await world.recorder.wait_copies(1)

                async def hear(service: Service = service) -> None:
                    while True:
                        await service.housekeeping.hearing.hear(service.holder.shards[0])
                        await trio.sleep(0.5)

                nursery.start_soon(hear)
                (one,) = await held_positions(service.store, EVERYTHING)
                book.prices = {TokenId(1): price} if price else {}
                assert await _sell(service.store, plan, one, names) == code
                nursery.cancel_scope.cancel()
        assert says in capsys.readouterr().out


def json_rows(words: list[str], capsys: Capture) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(words) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_order_about_which_its_executor_lied_is_told_apart(conf: Path, capsys: Capture) -> None:
    """In the list, for people and for machines, and in the story of its copy."""
    lied, honest = make_task(make_signal(1)), make_task(make_signal(2))

    def leave_open(owner: Owner) -> None:
        owner.do("alice", Doubt(key=owner.place(lied).key, at=NOW, breached=True))
        owner.do("alice", Doubt(key=owner.place(honest).key, at=NOW))

    own(conf, leave_open)
    assert [row["breached"] for row in json_rows(["orders", "list", "--json"], capsys)].count(True) == 1
    assert main(["orders", "list"]) == 0
    assert capsys.readouterr().out.count(" yes ") == 1
    for task, told in ((lied, True), (honest, False)):
        assert main(["explain", "trade", task.task_id]) == 0
        assert ("its executor reported what cannot be" in capsys.readouterr().out) == told


def test_an_order_that_rests_is_listed_explained_and_called_off(conf: Path, capsys: Capture) -> None:
    """What it has filled is a position and a trade; calling it off says what comes next, and is shown."""
    task = make_task(make_signal(1))
    order = own(conf, lambda owner: owner.rest(task))
    (row,) = json_rows(["orders", "list", "--json"], capsys)
    assert (row["state"], row["shares"], row["filled"]) == ("resting", "10", "4")
    assert [row["shares"] for row in json_rows(["positions", "--json"], capsys)] == ["4"]
    assert [row["shares"] for row in json_rows(["trades", "--json"], capsys)] == ["4"]
    assert main(["explain", "trade", task.task_id]) == 0
    assert "it is resting at the venue" in capsys.readouterr().out
    assert main(["orders", "cancel", order.order_id[:12]]) == 0
    assert "called off" in capsys.readouterr().out
    assert main(["explain", "trade", task.task_id]) == 0
    assert "GIVEN_UP (orders cancel: by hand" in capsys.readouterr().out
    for beginning, wrong in (("0x1234", "expected one open order, got 0"), ("", "expected at least 4 letters")):
        assert main(["orders", "cancel", beginning]) == 2
        assert wrong in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["mode", "halt-all", "--why"],
        ["mode", "halt-all", "--follower", "alice", "--why"],
        ["pause", "--leader"],
        ["pnl"],
    ],
)
def test_words_that_are_no_text_are_refused(conf: Path, capsys: Capture, words: list[str]) -> None:
    """Of a terminal that speaks another encoding: one line, nothing changed, and no bug of ours."""
    own(conf, trade_a_little)
    capsys.readouterr()
    assert main([*words, "\udcff"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == ('trio-copy: expected text in UTF-8, or the name of a file that is there, got "\\udcff"\n')
    assert [row["mode"] for row in json_rows(["mode", "--json"], capsys)] == ["run"]


def test_a_file_may_have_any_name(conf: Path, capsys: Capture) -> None:
    """Also one that is no text."""
    own(conf, trade_a_little)
    other = conf.with_name("\udcff.toml")
    other.write_text(conf.read_text())
    for words in (["--conf", str(other)], [f"--conf={other}"]):
        assert main(["mode", *words]) == 0
