"""Every command that a message suggests works when it is pasted; this page runs them."""

import ast
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.builders import NOW, make_signal, make_task
from tests.cli.filled import open_owner
from tests.plugins.test_old_books import old_file
from trio_copy.accounts.commands import Answer
from trio_copy.cli import main, status
from trio_copy.cli.opened import ask_store
from trio_copy.cli.positions import EVERYTHING, held_positions
from trio_copy.cli.suggest import suggested
from trio_copy.engine.people.asking import Asker
from trio_copy.engine.plan import load_plan
from trio_copy.errors import UnresolvedOrders
from trio_copy.model.catalog import Catalog, Labels
from trio_copy.model.control import Modes
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.ports import NOBODY, Document

ROOT = Path(__file__).parents[2]
LEADER = "0xa697d0b3fff7d285a0f92d6ee03a7f97809e59d5"
NOT_FOLLOWED = f"nobody:{LEADER}"
PASTED = re.compile(r": (trio-copy .+)$", re.MULTILINE)
PASTED_ELSEWHERE = {"arm", "disarm", "wallet settle"}
"""They need a wallet and its key: `test_arm`, `test_wallet_settle`."""
QUOTED = re.compile(r"`trio-copy ([^`]+)(?:`|$)|: trio-copy ([a-z -]+)$")
BARE = re.compile(r"\btrio-copy (?=[a-z])")
Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demonstration that has run, with its books beside its configuration."""
    folder = tmp_path_factory.mktemp("demonstrated")
    text = (ROOT / "conf" / "books.toml").read_text()
    path = folder / "books.toml"
    path.write_text(text.replace('"books.', f'"{folder}/books.').replace("block_every_s = 1.0", "block_every_s = 0.2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TRIO_COPY_CONF", raising=False)
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        assert main(["run", str(path), "--for", "2s"]) == 0
    return folder


@pytest.fixture
def conf(demonstrated: Path, tmp_path: Path, monkeypatch: Patch, capfd: Capture) -> Path:
    """A demonstration with books, in a folder whose name a shell would take apart; nothing else leads to it."""
    monkeypatch.delenv("TRIO_COPY_CONF", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    text = (demonstrated / "books.toml").read_text()
    for book in demonstrated.glob("books.[!t]*"):
        shutil.copy(book, tmp_path)
    path = tmp_path / "it's my $conf; really" / "books.toml"
    path.parent.mkdir()
    path.write_text(text.replace(str(demonstrated), str(tmp_path)))
    capfd.readouterr()
    return path


def _says(*words: str, code: int) -> Callable[[Path, Patch], None]:
    def say(conf: Path, patch: Patch) -> None:
        assert main([*words, "--conf", str(conf)]) == code

    return say


def _added_twice(conf: Path, patch: Patch) -> None:
    words = ["follow", "add", "alice", LEADER, "size.ratio=0.03", "--conf", str(conf)]
    assert [main(words), main(words)] == [0, 2]


def _bare_follow_added_twice(conf: Path, patch: Patch) -> None:
    words = ["follow", "add", "alice", LEADER, "--conf", str(conf)]
    assert [main(words), main(words)] == [0, 2]


def _paused(conf: Path, patch: Patch) -> None:
    words = [["pause", "--follower", "alice"], ["status"], ["exit", f"{NOT_FOLLOWED}:1"]]
    assert [main([*one, "--conf", str(conf)]) for one in words] == [0, 1, 2]


def _dead_letters(conf: Path, patch: Patch) -> None:
    shard = status.Depth(shard=0, dead=3)
    modes = Modes(version=0, by_scope={})
    found = status._Found(now=0.0, modes=modes, followers={}, instances=(), depths=(shard,), leases={})
    status._print(found, [], [status._shard(shard, found, [], "me")], [], 0, load_plan(conf))


def _not_live(conf: Path, patch: Patch) -> None:
    conf.write_text(conf.read_text().replace("[engine]", '[engine]\nmode = "live"'))
    assert main(["run", str(conf), "--for", "1s"]) == 2


def _left_open(conf: Path, patch: Patch) -> None:
    async def fail(session: object) -> int:
        await trio.lowlevel.checkpoint()
        raise BaseExceptionGroup("", [BaseExceptionGroup("", [UnresolvedOrders("not armed: 1 order")])])

    with patch.context() as broken:
        broken.setattr("trio_copy.cli.run.run_session", fail)
        assert main(["run", str(conf)]) == 1


def _initiated(conf: Path, patch: Patch) -> None:
    text = conf.read_text()
    conf.unlink()
    patch.setenv("XDG_DATA_HOME", str(conf.parent))
    assert main(["init", str(conf), "--leader", LEADER]) == 0
    conf.write_text(text)  # what was written follows real nodes


def _with_old_file(conf: Path) -> None:
    conf.write_text(re.sub(r'path = ".*books.db"', f'path = "{old_file(conf.parent / "old.db", 3)}"', conf.read_text()))


def _made_earlier(conf: Path, patch: Patch) -> None:
    _with_old_file(conf)
    assert [main(["run", str(conf)]), main(["positions", "--conf", str(conf)]), main(["check", str(conf)])] == [2] * 3


def _halted_earlier(conf: Path, patch: Patch) -> None:
    """What stood in the old store is set in the new one: the configuration has changed when it is pasted."""
    text = conf.read_text()
    _with_old_file(conf)
    assert main(["export-books", "--conf", str(conf)]) == 0
    conf.write_text(text)


def _no_end(conf: Path, patch: Patch) -> None:
    # Any that is held: what was bought last may be sold by the end of the demonstration.
    held = ask_store(load_plan(conf), lambda store: held_positions(store, EVERYTHING, Labels(Catalog())))
    position = [str(part) for part in next(iter(held)).key]
    with closing(sqlite3.connect(conf.parent.parent / "books.db")) as books:
        ((task,),) = books.execute(
            "SELECT task_id FROM facts WHERE bought > 0 AND (follower, leader, token_id) = (?, ?, ?) LIMIT 1", position
        )

    async def ask(asker: Asker, shard: int, request: object) -> str:
        await trio.lowlevel.checkpoint()
        return f"{task} is sold"

    patch.setattr("trio_copy.cli.exit.PATIENCE_S", 0.0)
    patch.setattr(Asker, "ask", ask)
    assert main(["exit", ":".join(position), "--yes", "--conf", str(conf)]) == 1


def _gas_paid(conf: Path, patch: Patch) -> None:
    async def pay() -> None:
        async with open_owner(load_plan(conf)) as owner:
            owner.documents.append(Document(NOBODY, "sending", f"onchain/137/{'0x' + 'ab' * 20}/gas", b"[1,1,21000]"))

    trio.run(pay)
    assert main(["pnl", "--conf", str(conf)]) == 0


def _no_measurement(conf: Path, patch: Patch) -> None:
    assert main(["load", "model"]) == 0


SAYINGS: Sequence[tuple[Callable[[Path, Patch], None], tuple[str, ...]]] = (
    (_says("explain", "trade", "00000000", code=2), ("trades",)),
    (_says("explain", "follow", NOT_FOLLOWED, code=2), ("follow list",)),
    (_says("follow", "set", NOT_FOLLOWED, "size.ratio=1", code=2), ("follow list",)),
    (_says("follow", "remove", NOT_FOLLOWED, code=2), ("follow list",)),
    (_added_twice, ("explain follow", "follow set")),
    (_bare_follow_added_twice, ("explain follow", "follow set")),
    (_paused, ("resume", "run", "positions")),
    (_dead_letters, ("dlq stats",)),
    (_not_live, ("run",)),
    (_left_open, ("orders list", "orders settle")),
    (_initiated, ("run", "pnl")),
    (_says("resume", "--follower", "alice", code=2), ("mode",)),
    (_no_end, ("explain trade",)),
    (_made_earlier, ("export-books",) * 3),
    (_halted_earlier, ("mode", "mode")),
    (_gas_paid, ("gas",)),
    (_no_measurement, ("load measure",)),
)


@pytest.mark.parametrize(("say", "expected"), SAYINGS, ids=[" and ".join(expected) for _, expected in SAYINGS])
def test_a_suggested_command_works_when_it_is_pasted(
    conf: Path, monkeypatch: Patch, capfd: Capture, say: Callable[[Path, Patch], None], expected: tuple[str, ...]
) -> None:
    """With the very file that was in use, however it is called; what ends by itself only is given an end."""
    say(conf, monkeypatch)
    heard = capfd.readouterr()
    commands = [shlex.split(line) for line in PASTED.findall(heard.out + heard.err)]

    assert (
        tuple(" ".join(words[1:])[: len(begins)] for words, begins in zip(commands, expected, strict=True)) == expected
    )
    for words in commands:
        assert str(conf) in words or words[1:] in (["load", "measure"], ["orders", "settle", "--help"])
        ending = ["--for", "1s"] if words[1] == "run" else ["--events", "5"] if words[1] == "load" else []
        assert main([*words[1:], *ending]) == 0, words
        assert "trio-copy: " not in capfd.readouterr().err


def test_a_reason_of_the_books_says_what_to_do_for_these_books(conf: Path, capfd: Capture) -> None:
    """The engine wrote down a bare command: for which file, whoever shows it knows."""
    task = make_task(make_signal(1), follower="zoe")

    async def refuse() -> None:
        async with open_owner(load_plan(conf)) as owner:
            order = owner.place(task)
            report = ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail="`trio-copy arm hot`")
            owner.do("zoe", Answer(key=order.key, report=report, at=NOW))

    trio.run(refuse)
    for words in (["skips", "--follower", "zoe"], ["explain", "trade", task.task_id]):
        assert main([*words, "--conf", str(conf)]) == 0
        assert f"`trio-copy arm hot {shlex.join(['--conf', str(conf)])}`" in capfd.readouterr().out


def test_every_suggestion_of_the_sources_is_run_above() -> None:
    """A new one needs a row in the table."""
    begun = {
        tuple(str(argument.value) for argument in call.args if isinstance(argument, ast.Constant))
        for _, tree in _sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == suggested.__name__
    }
    run = {begins for _, expected in SAYINGS for begins in expected} | PASTED_ELSEWHERE

    assert len(begun) > 8
    assert {
        " ".join(words[:2]) if words[0] not in ("run", "trades", "pnl", "gas", "arm", "disarm") else words[0]
        for words in begun
    } == run


def test_what_names_a_command_in_the_sources_names_one_that_exists(capfd: Capture) -> None:
    """In help and explanations; the words of a command stand in backticks or end the text, so that they can be told."""
    named = set()
    for path, tree in _sources():
        for text in (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)):
            if isinstance(text, str) and BARE.search(text):
                found = [first or last for first, last in QUOTED.findall(text)]
                assert len(found) == len(BARE.findall(text)), f"{path.name}: {text}"
                named |= {tuple(re.split(r" (?=[A-Z])", words)[0].split(" | ")[0].split()) for words in found}

    assert len(named) > 12
    for words in named:
        file = [word for word in words if word.endswith(".toml")]
        assert all((ROOT / name).exists() for name in file)
        assert main([*(word for word in words if word not in file and word != "--help"), "--help"]) == 0, words


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in (*(ROOT / "trio_copy").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")):
        yield path, ast.parse(path.read_text())
