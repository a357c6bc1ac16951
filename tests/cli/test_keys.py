"""Keys on the command line: locked away, listed and tried, and never shown."""

import json
import re
import tomllib
from functools import partial
from pathlib import Path

import pytest

from tests.cli.live import OWN, SECRET, write_conf
from trio_copy.cli import keys, main
from trio_copy.config import to_checksum
from trio_copy.signing.keystore import read_keystore, write_keystore

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keystore of a moment's work, in a process that other tests share."""
    monkeypatch.setattr(keys, "write_keystore", partial(write_keystore, n=2))
    for module in ("trio_copy.signing.keys", "trio_copy.cli.keys"):
        monkeypatch.setattr(f"{module}.keep_out_of_dumps", lambda: None)


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_conf(tmp_path)
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return path


def type_in(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let a person sit at a terminal and answer, unseen."""
    waiting = list(answers)
    for module in ("question", "question_of_secret"):
        monkeypatch.setattr(f"trio_copy.cli.{module}.somebody_answers", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda question: waiting.pop(0))


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


def nothing_of_the_key(said: str) -> bool:
    return "5afe5afe" not in said.lower() and "sesame" not in said


def test_a_key_is_typed_locked_away_and_used(conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed can be pasted, and the keystore opens with the passphrase only."""
    type_in(monkeypatch, f"0x{SECRET.hex()}", "open sesame", "open sesame")
    assert main(["keys", "import", "new"]) == 0
    path = conf.parent / "home" / ".trio-copy" / "keys" / "new.json"
    told = capsys.readouterr()
    assert nothing_of_the_key(told.out + told.err + path.read_text())
    assert f'[wallet.new]\nkey = "keystore:{path}"\naddress = "{to_checksum(OWN)}"\n' in told.out
    modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700], "or what is signed could not be remembered beside it"
    assert read_keystore(path.read_bytes(), "open sesame") == SECRET
    conf.write_text(conf.read_text().replace(f"file:{conf.parent}/keys/hot.hex", f"keystore:{path}", 1))
    for answer, state in (("open sesame", "ok"), ("open barley", "does not open")):
        type_in(monkeypatch, answer)
        assert main(["keys", "check", "--json"]) == (0 if state == "ok" else 1)
        said = capsys.readouterr()
        [hot, cold] = [json.loads(line) for line in said.out.splitlines()]
        assert state in hot["state"]
        assert (cold["state"], cold["signer"]) == ("ok", OWN)
        assert nothing_of_the_key(said.out + said.err)


def test_a_key_comes_from_a_file_without_a_terminal(conf: Path, capsys: Capture) -> None:
    """For those who set machines up by script; a file that is there is never written over."""
    folder = conf.parent / "keys"
    passphrase = private(folder / "pass", "open sesame\n")
    to = folder / "new.json"
    words = [
        "keys",
        "import",
        "new",
        "--from",
        f"file:{folder}/hot.hex",
        "--passphrase",
        f"file:{passphrase}",
        "--to",
        str(to),
    ]
    assert main(words) == 0
    assert f'passphrase = "file:{passphrase}"' in capsys.readouterr().out
    assert read_keystore(to.read_bytes(), "open sesame") == SECRET
    before = to.read_bytes()
    assert main(words) == 2
    assert f"--to: expected no file {to} yet; a key is never written over" in capsys.readouterr().err
    assert to.read_bytes() == before


def test_the_printed_lines_lead_to_the_key_from_any_folder(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are pasted into a file that is read elsewhere; a dotted name stays one name."""
    folder = conf.parent / "keys"
    private(folder / "pass", "open sesame\n")
    monkeypatch.chdir(folder)
    assert main(["keys", "import", "a.b", "--from=file:hot.hex", "--passphrase=file:pass", "--to=new.json"]) == 0
    printed = capsys.readouterr().out
    assert tomllib.loads(printed[printed.index("[wallet") :])["wallet"] == {
        "a.b": {"key": f"keystore:{folder}/new.json", "passphrase": f"file:{folder}/pass", "address": to_checksum(OWN)}
    }


@pytest.mark.parametrize("name", ["ho t", "../up", "", "9lives", "x" * 65])
def test_a_name_that_no_wallet_can_have_is_refused_first(conf: Path, capsys: Capture, name: str) -> None:
    """Else a keystore is written whose lines no configuration takes, or in another folder."""
    assert main(["keys", "import", name, "--from", f"file:{conf.parent}/keys/hot.hex"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("NAME: expected a name of letters, digits, _, . and -")
    assert said.endswith(f'got "{name}"\n')
    assert not (conf.parent / "home").exists()


@pytest.mark.parametrize(
    ("words", "answers", "says"),
    [
        (["--from", "0x" + SECRET.hex()], (), "--from: expected file:PATH; a key itself is never given on the command line"),
        (["--from", "file:{}/none"], (), "--from: expected a file {}/none, got: No such file or directory"),
        (["--from", "file:{}/open"], (), "--from: expected {}/open to be a regular file of this user with mode 0600"),
        (["--from", "file:{}/short"], (), "--from: in {}/short: expected 64 hex digits, with or without 0x, got a length of 60"),
        (["--from", "file:{}/hot.hex"], ("open sesame", "open barley"), "--passphrase: expected the same twice"),
        (["--from", "file:{}/hot.hex"], ("", ""), "--passphrase: expected one, got nothing"),
        (["--from", "file:{}/hot.hex"], (), "wallet.new.passphrase: expected file:PATH or credential:NAME, because there is no"),
        (["--from", "file:{}/hot.hex", "--passphrase", "sesame"], (), "expected file:PATH or credential:NAME, got something else"),
        ([], (), "--from: expected file:PATH, because there is no terminal to ask on; nothing was done"),
        ([], ("not a key",), "the answer: expected 64 hex digits, with or without 0x, got a length of 9"),
        ([], ("00" * 32,), "expected 32 bytes that are a key of secp256k1"),
        (["--to", "/proc/nowhere/x.json"], (SECRET.hex(), "sesame", "sesame"), "expected a folder /proc/nowhere, got: No such file"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_one_line_and_leaves_nothing(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], answers: tuple[str, ...], says: str
) -> None:
    folder = conf.parent / "keys"
    private(folder / "short", SECRET.hex()[:60])
    private(folder / "open", SECRET.hex()).chmod(0o644)
    if answers:
        type_in(monkeypatch, *answers)
    assert main(["keys", "import", "new", *(word.format(folder) for word in words)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(says.format(folder))
    assert len(said.err.splitlines()) == 1
    assert nothing_of_the_key(said.err + said.out)
    assert not (conf.parent / "home").exists() or not list((conf.parent / "home").rglob("*.json"))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("words", [["keys", "list"], ["keys", "check"], ["arm"]], ids=" ".join)
def test_no_table_of_wallets_is_cut_without_a_word(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], width: int
) -> None:
    """Half an address is a wrong one, and a column that is gone is named."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    # Armed and not, right and wrong: every column is as wide as it can be.
    assert main(["arm", "hot", "--yes"]) == 0
    conf.write_text(conf.read_text().replace('signature_type = "safe"\n', ""))
    capsys.readouterr()
    main(words)
    header, *rows = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    text = " ".join([header, *rows])
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    names = {"list": "wallet follower type address key signer", "check": "wallet signer state"}
    columns = names.get(words[-1], "wallet armed until order hour day why").split()
    assert [name for name in columns if not re.search(rf"\b{name}\b", text)] == []
    for wallet in ("hot", "cold"):
        assert any(row.startswith(f"{wallet} ") for row in rows)
    if words == ["keys", "list"]:
        assert to_checksum(OWN) in text


def test_wallets_are_listed_with_addresses_and_places(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose, what kind, which address, who signs, from where."""
    monkeypatch.setenv("HOT", SECRET.hex())
    conf.write_text(conf.read_text().replace(f"file:{conf.parent}/keys/hot.hex", "env:HOT", 1))
    assert main(["keys", "list", "--json"]) == 0
    said = capsys.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {"wallet": "hot", "follower": "alice", "type": "eoa", "address": OWN, "signer": OWN, "key": "env:HOT"},
        {
            "wallet": "cold",
            "follower": None,
            "type": "safe",
            "address": "0x00000000000000000000000000000000000000c0",
            "signer": OWN,
            "key": f"file:{conf.parent}/keys/hot.hex",
        },
    ]
    assert main(["keys", "check"]) == 0
    told = capsys.readouterr().out
    assert main(["check", str(conf)]) == 0
    assert "inherits HOT" in told
    assert "wallet.hot.key: every process that this one starts inherits HOT" in capsys.readouterr().out
    assert nothing_of_the_key(told + said.out)


def test_a_key_of_another_address_is_found_before_it_trades(conf: Path, capsys: Capture) -> None:
    """An account of its own has the key's address; one that was mistyped would be somebody else's."""
    conf.write_text(conf.read_text().replace(f'"{OWN}"', '"0x00000000000000000000000000000000000000c1"'))
    assert main(["keys", "check", "--json"]) == 1
    [hot, _] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert hot["state"].startswith(f"wallet.hot.address: expected that of its key, {OWN}, got 0x00")
    assert main(["arm", "hot", "--yes"]) == 0
    capsys.readouterr()
    assert main(["run", str(conf), "--live"]) == 2
    assert capsys.readouterr().err.startswith(f"wallet.hot.address: expected that of its key, {OWN}")
