"""Where keys come from, and what is said of one that cannot be had: never a part of it."""

import ctypes
import os
import resource
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

from tests.plugins.stores import in_place
from tests.signing.test_keystore import draw
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey
from trio_copy.signing import keys as module
from trio_copy.signing.keys import open_key, open_keys, place_of, public_address, troubles_of
from trio_copy.signing.keystore import write_keystore
from trio_copy.signing.process import keep_out_of_dumps
from trio_copy.telemetry.redaction import Redactor

SECRET = bytes.fromhex("5afe" * 16)
OWN = SecretKey(SECRET).address


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A private folder with a key in each form."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name, content in {
        "hot.json": write_keystore(SECRET, "open sesame", draw, n=2),
        "hot.hex": f"0x{SECRET.hex()}\n".encode(),
        "pass": b"open sesame\n",
        "wrong": b"open barley\n",
        "short.hex": SECRET.hex()[:-1].encode(),
        "zero.hex": b"00" * 32,
        "not.hex": b"my key is secret",
        "broken.json": write_keystore(SECRET, "open sesame", draw, n=2)[:-9],
        "binary": b"\xff\xfe" * 40,
    }.items():
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o600)
    return folder


def wallet(folder: Path, key: str, passphrase: str | None = None, **changes: Any) -> WalletTable:
    facts: dict[str, Any] = {"address": OWN, **changes}
    return WalletTable(
        key=key.format(folder), passphrase=None if passphrase is None else passphrase.format(folder), **facts
    )


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, keys: Path) -> None:
    monkeypatch.setenv("HOT_KEY", SECRET.hex())
    monkeypatch.setenv("SHORT_KEY", SECRET.hex()[:-2])
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(keys))


def ask(question: str) -> str:
    assert question.startswith("passphrase of wallet hot")
    return "open sesame"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("key", "passphrase"),
    [
        ("keystore:{}/hot.json", "file:{}/pass"),
        ("keystore:{}/hot.json", "credential:pass"),
        ("keystore:{}/hot.json", None),
        ("file:{}/hot.hex", None),
        ("env:HOT_KEY", None),
    ],
)
def test_every_source_gives_the_key_and_tells_the_redactor(keys: Path, key: str, passphrase: str | None) -> None:
    """What was read can come out nowhere, however it is written."""
    place = place_of("hot", wallet(keys, key, passphrase))
    redactor = Redactor()
    assert troubles_of(place) == []
    assert open_key(place, ask, redactor.learn).address == OWN == public_address(place, redactor.learn)
    for spelling in (
        SECRET.hex(),
        f"0x{SECRET.hex()}",
        SECRET.hex().upper(),
        str(int.from_bytes(SECRET)),
        SECRET.hex()[:50],
    ):
        assert spelling not in redactor.redact(f"the wallet's is {spelling}")
        assert "5afe5afe" not in redactor.redact_line(f'{{"a": "x{spelling}"}}').lower()
    if key.startswith("keystore"):
        assert "sesame" not in redactor.redact("it was open sesame")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("key", "passphrase", "says"),
    [
        ("keystore:{}/hot.json", "file:{}/wrong", "wallet.hot.passphrase: expected that of {}/hot.json; the one from file:{}/wrong does"),
        ("keystore:{}/hot.json", "file:{}/none", "wallet.hot.passphrase: expected a file {}/none, got: No such file or directory"),
        ("keystore:{}/hot.json", "credential:none", "wallet.hot.passphrase: expected a file {}/none, got: No such file"),
        ("keystore:{}/hot.json", "file:{}/binary", "wallet.hot.passphrase: expected text in {}/binary"),
        ("keystore:{}/broken.json", "file:{}/pass", "wallet.hot.key: {}/broken.json: expected a keystore of version 3, as JSON"),
        ("keystore:{}/hot.hex", "file:{}/pass", "wallet.hot.key: {}/hot.hex: expected a keystore of version 3, as JSON"),
        ("keystore:{}/none", None, "wallet.hot.key: expected a file {}/none, got: No such file or directory"),
        ("file:{}/short.hex", None, "wallet.hot.key: in file:{}/short.hex: expected 64 hex digits, with or without 0x, got a length of 63"),
        ("file:{}/not.hex", None, "wallet.hot.key: in file:{}/not.hex: expected 64 hex digits, with or without 0x, got a length of 16"),
        ("file:{}/zero.hex", None, "wallet.hot.key: in file:{}/zero.hex: expected 32 bytes that are a key of secp256k1"),
        ("file:{}/binary", None, "wallet.hot.key: {}/binary: expected text"),
        ("env:SHORT_KEY", None, "wallet.hot.key: in env:SHORT_KEY: expected 64 hex digits, with or without 0x, got a length of 62"),
        ("env:NO_KEY", None, "wallet.hot.key: expected environment variable NO_KEY to be set"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_said_without_the_key(keys: Path, key: str, passphrase: str | None, says: str) -> None:
    place = place_of("hot", wallet(keys, key, passphrase))
    with pytest.raises(ValueError, match=r"^wallet\.hot") as caught:
        open_key(place, None, lambda secret: None)
    assert str(caught.value).startswith(says.format(keys, keys))
    assert Redactor().redact(str(caught.value)) == str(caught.value), "a person reads the whole of it"
    assert "5afe5" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "sesame" not in str(caught.value)


def test_without_a_terminal_a_keystore_needs_a_named_passphrase(keys: Path) -> None:
    with pytest.raises(ValueError, match="because there is no terminal to ask on"):
        open_key(place_of("hot", wallet(keys, "keystore:{}/hot.json")), None, lambda secret: None)


def spoil(keys: Path, how: str) -> None:
    match how:
        case "group":
            (keys / "hot.hex").chmod(0o640)
        case "world":
            (keys / "hot.hex").chmod(0o604)
        case "folder":
            keys.chmod(0o755)
        case "shared folder":
            keys.chmod(0o770)
        case "git":
            (keys.parent / ".git").mkdir()
        case "link":
            (keys / "hot.hex").rename(keys / "real.hex")
            (keys / "hot.hex").symlink_to(keys / "real.hex")
        case "large":
            (keys / "hot.hex").write_bytes(b"0" * 70_000)
        case "not a file":
            (keys / "hot.hex").unlink()
            (keys / "hot.hex").mkdir()


@pytest.mark.parametrize("how", ["group", "world", "folder", "shared folder", "git", "link", "large", "not a file"])
def test_a_key_that_others_may_come_by_is_not_used(keys: Path, how: str) -> None:
    """Whoever lets others read his key should learn it before it is too late, and what to do."""
    place = place_of("hot", wallet(keys, "file:{}/hot.hex"))
    assert troubles_of(place) == []
    spoil(keys, how)
    [trouble] = troubles_of(place)
    assert trouble.startswith("wallet.hot.key: expected ")
    with pytest.raises(ValueError, match=r"^wallet\.hot\.key: expected "):
        open_key(place, None, lambda secret: None)


@pytest.fixture
def dumpable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "keep_out_of_dumps", lambda: None)


@pytest.mark.usefixtures("environment", "dumpable")
async def test_all_keys_are_opened_and_all_that_is_wrong_is_said(keys: Path) -> None:
    """Each in a thread; a key that is not that of its account of its own is found before anything trades."""
    other = Address("0x" + "12" * 20)
    good = {
        "a": wallet(keys, "keystore:{}/hot.json", "file:{}/pass"),
        "b": wallet(keys, "env:HOT_KEY", address=other, signature_type=SignatureType.SAFE),
    }
    opened = await open_keys(good, None, lambda secret: None, in_place)
    assert {name: key.address for name, key in opened.items()} == {"a": OWN, "b": OWN}
    wrong = {
        "c": wallet(keys, "env:HOT_KEY", address=other),
        "d": wallet(keys, "file:{}/short.hex"),
    }
    with pytest.raises(ConfigError) as caught:
        await open_keys({**good, **wrong}, None, lambda secret: None, in_place)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["wallet.c.address", "wallet.d.key"]
    assert f"expected that of its key, {OWN}, got {other}" in caught.value.problems[0]


@pytest.mark.usefixtures("dumpable")
async def test_a_second_of_deciphering_holds_nobody_up(keys: Path) -> None:
    """It happens in threads, as the seam says, after a person was asked for each, one by one."""
    under_way = most = 0

    async def in_thread(run: Callable[[], Any]) -> Any:
        nonlocal under_way, most
        assert len(asked) == 3
        under_way += 1
        most = max(most, under_way)
        await trio.lowlevel.checkpoint()
        under_way -= 1
        return run()

    asked: list[str] = []
    seam: Callable[[Callable[[], Any]], Awaitable[Any]] = in_thread

    def answer(question: str) -> str:
        asked.append(question)
        return "open sesame"

    opened = await open_keys(
        {name: wallet(keys, "keystore:{}/hot.json") for name in "abc"}, answer, lambda secret: None, seam
    )
    assert (len(opened), len(asked)) == (3, 3)
    assert most == min(3, os.cpu_count() or 1)


@pytest.fixture
def restored() -> Iterator[Callable[..., int]]:
    """What keeps dumps away, asked and undone: other tests share the process."""
    prctl = partial(ctypes.CDLL(None).prctl)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    yield prctl
    prctl(4, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (min(limits[0], resource.getrlimit(resource.RLIMIT_CORE)[1]), 0))


def test_a_process_with_keys_leaves_no_dump(restored: Callable[..., int]) -> None:
    keep_out_of_dumps()
    assert restored(3, 0, 0, 0, 0) == 0, "PR_GET_DUMPABLE"
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
