"""What is no file is told in one line, wherever a file is named: nothing is read without end, waited for, or written over."""

import gzip
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from trio_copy.cli import main

ROOT = Path(__file__).parents[2]
LEADER = "0xa697d0b3fff7d285a0f92d6ee03a7f97809e59d5"
LONGEST_S = 30
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """What hangs fails, whatever it waits for."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _written(folder: Path, text: str) -> str:
    path = folder / "conf.toml"
    path.write_text(text)
    return str(path)


def _books(folder: Path, **places: Path) -> str:
    text = (ROOT / "conf" / "books.toml").read_text()
    names = {"venue": folder / "books.venue", "db": folder / "books.db", **places}
    return _written(
        folder, text.replace('"books.venue"', f'"{names["venue"]}"').replace('"books.db"', f'"{names["db"]}"')
    )


def _used(folder: Path) -> str:
    """Return a configuration whose store is there."""
    conf = _books(folder)
    assert main(["follow", "add", "bob", LEADER, "--conf", conf]) == 0
    return conf


def _with(folder: Path, more: str) -> str:
    return _written(folder, (ROOT / "conf" / "demo.toml").read_text() + more)


def _key(folder: Path) -> str:
    path = folder / "key.hex"
    path.write_text("01" * 32)
    path.chmod(0o600)
    return str(path)


READERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "a configuration": lambda place, _: ["check", str(place)],
    "that of decode": lambda place, folder: ["decode", str(folder / "none"), "--conf", str(place)],
    "a recording": lambda place, folder: ["replay", str(place), "--conf", _books(folder)],
    "one for leaders": lambda place, _: ["leaders", str(place)],
    "one to record": lambda place, folder: ["record", str(place), "--conf", _books(folder), "--for", "1s"],
    "one to fetch": lambda place, _: ["fetch", str(place), "--leader", LEADER, "--since", "1h", "--url", "ws://127.0.0.1:9"],
    "venue_file": lambda place, folder: ["run", _books(folder, venue=place), "--for", "1s"],
    "store.sqlite.path": lambda place, folder: ["run", _books(folder, db=place), "--for", "1s"],
    "catalog.file": lambda place, folder: ["run", _with(folder, f'[catalog]\nfile = "{place}"\n'), "--for", "1s"],
    "a key": lambda place, folder: ["clob", "sign", str(folder / "none"), "--key-file", str(place)],
    "an export": lambda place, folder: ["export", "trades", str(place), "--conf", _books(folder)],
    "a backup": lambda place, folder: ["backup", str(place), "--conf", _used(folder)],
    "a backup to restore": lambda place, folder: ["restore", str(place), "--conf", _books(folder), "--yes"],
}  # fmt: skip


@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _endless], ids=["a folder", "a pipe", "a device"])
@pytest.mark.parametrize("named", READERS)
def test_what_is_no_file_is_one_line(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], named: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = tmp_path / "place"
    make(place)
    kind = place.lstat().st_mode

    assert main(READERS[named](place, tmp_path)) == 2

    [line] = capfd.readouterr().err.splitlines()
    assert str(place) in line or str(place.resolve()) in line
    assert place.lstat().st_mode == kind, "what was there is there still"


@pytest.mark.parametrize(
    "content", [b"my notes\n", gzip.compress(b"my notes\n", mtime=0)], ids=["a text", "packed as recordings are"]
)
@pytest.mark.parametrize(
    "named", ["a recording", "one for leaders", "one to record", "one to fetch", "a backup", "a backup to restore"]
)
def test_a_file_of_somebody_else_is_one_line_and_stays_as_it_was(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, named: str, content: bytes
) -> None:
    """A name that was mistyped must not cost whoever typed it the file of that name."""
    monkeypatch.chdir(tmp_path)
    place = Path("notes")
    place.write_bytes(content)

    assert main(READERS[named](place, tmp_path)) == 2

    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("notes")
    assert "b'" not in line, "what it holds is told as people read it"
    assert place.read_bytes() == content


@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _endless], ids=["a folder", "a pipe", "a device"])
def test_whose_key_it_is_is_not_read_from_what_is_no_keystore(
    tmp_path: Path, capfd: Capture, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "place")
    conf = _with(tmp_path, f'[wallet.hot]\nkey = "keystore:{tmp_path}/place"\naddress = "{LEADER}"\n')
    assert main(["keys", "list", "--conf", conf]) == 0
    assert f"keystore:{tmp_path}/place" in capfd.readouterr().out


@pytest.mark.parametrize("make", [Path.mkdir, _pipe], ids=["a folder", "a pipe"])
def test_a_log_that_nobody_reads_is_one_line(tmp_path: Path, capfd: Capture, make: Callable[[Path], None]) -> None:
    """A device takes it: `/dev/full` as well, which an alert tells."""
    make(tmp_path / "place")
    assert main(["run", _with(tmp_path, f'[log]\nfile = "{tmp_path}/place"\n'), "--for", "1s"]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith(f"log.file: {tmp_path}/place cannot be written: ")


STREAMS: dict[str, Callable[[Path, Path], list[str]]] = {
    "decode": lambda place, _: ["decode", str(place)],
    "clob sign": lambda place, folder: ["clob", "sign", str(place), "--key-file", _key(folder)],
    "follow import": lambda place, folder: ["follow", "import", str(place), "--conf", _books(folder)],
}


@pytest.mark.parametrize("make", [Path.mkdir, _endless], ids=["a folder", "a device"])
@pytest.mark.parametrize("named", STREAMS)
def test_what_is_read_line_by_line_ends_at_a_line_without_end(
    tmp_path: Path, capfd: Capture, make: Callable[[Path], None], named: str
) -> None:
    place = tmp_path / "place.csv"
    make(place)
    assert main(STREAMS[named](place, tmp_path)) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert str(place) in line


@pytest.mark.parametrize("named", STREAMS)
def test_a_pipe_that_nobody_writes_to_is_empty(tmp_path: Path, capfd: Capture, named: str) -> None:
    """It is not waited for: a shell that lets somebody write has opened the other end before."""
    place = tmp_path / "place.csv"
    _pipe(place)
    assert main(STREAMS[named](place, tmp_path)) in (0, 2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_configuration_may_come_out_of_a_pipe(capfd: Capture) -> None:
    """As `<(...)` of a shell hands it over."""
    reads, writes = os.pipe()
    os.write(writes, (ROOT / "conf" / "demo.toml").read_bytes())
    os.close(writes)
    assert main(["check", f"/dev/fd/{reads}"]) == 0
    os.close(reads)
    capfd.readouterr()


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_a_table_is_not_held_up_by_a_pipe_that_nobody_reads(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    conf, place = _books(tmp_path), tmp_path / "place.svg"
    assert main(["record", str(tmp_path / "seen.rec"), "--conf", conf, "--for", "1s"]) == 0
    _pipe(place)
    capfd.readouterr()
    assert main(["backtest", conf, str(tmp_path / "seen.rec"), option, str(place)]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert f"{option}: {place} cannot be written" in line


def test_an_export_goes_where_a_link_leads(tmp_path: Path, capfd: Capture) -> None:
    place = tmp_path / "latest.csv"
    place.symlink_to(tmp_path / "trades.csv")
    assert main(["export", "trades", str(place), "--conf", _used(tmp_path)]) == 0
    capfd.readouterr()
    assert place.is_symlink()
    assert (tmp_path / "trades.csv").read_text()
