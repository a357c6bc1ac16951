"""`trio-copy clob`: the bytes of orders and headers, compared with the vectors; bad lines; and no key in any output."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import trio_copy.native
from tests.cli.live import OWN, write_conf
from tests.clob.written import AUTH, CASES, INTENT_KEY, KEY, LEADER_TIME, SECRET, TOKEN, exchange_in, order_in
from tests.clob.written import intent as make_intent
from tests.clob.written import maker as make_maker
from tests.clob.written import market as make_market
from trio_copy.cli import main
from trio_copy.model.fills import Side
from trio_copy.native import SecretKey
from trio_copy_clob.orders.prepare import prepare

_TEXT = Path(__file__).parents[2] / "docs" / "clob.md"
Line = Mapping[str, Any]
PREPARE: Line = {
    "key": INTENT_KEY,
    "side": "BUY",
    "token_id": str(TOKEN),
    "shares": "20.5",
    "limit_price": "0.5",
    "max_cost": "10.25",
    "order_type": "FAK",
    "exchange": "v2-neg-risk",
    "tick": "0.01",
    "minimum": "5",
    "fee_rate": "0.07",
    "fee_exponent": 1,
    "signature_type": 0,
    "maker": KEY.address,
    "leader_time": LEADER_TIME,
}
LEVEL_1: Line = {"level": 1, "timestamp": 1_764_000_000, "nonce": 0}
LEVEL_2: Line = {
    "level": 2,
    "timestamp": 1_764_000_000,
    "method": "POST",
    "path": "/order",
    "body": '{"a":1}',
    "api_key": "5f3a3a2c-93a5-4c0f-9d6e-2a1b5ce5a001",
    "secret": "c2VjcmV0LWNhbmFyeS10aGF0LW5vYm9keS1zZWVz",
    "passphrase": "pass phrase canary".replace(" ", "-"),
    "address": KEY.address,
}


def sign_line(name: str) -> dict[str, Any]:
    case = CASES[name]
    order = order_in(case)
    return {
        "exchange": exchange_in(case).name,
        "salt": order.salt,
        "maker": case["order"]["maker"],
        "signer": case["order"]["signer"],
        "token_id": str(order.token_id),
        "maker_amount": str(order.maker_amount),
        "taker_amount": order.taker_amount,
        "side": order.side.value,
        "signature_type": order.signature_type,
        "timestamp": str(order.timestamp),
        "metadata": case["order"]["metadata"],
        "builder": case["order"]["builder"],
    }


SIGN = sign_line("v2_std_buy_eoa")
LINES: Mapping[str, Line] = {"sign": SIGN, "headers": LEVEL_2, "prepare": PREPARE}


@frozen
class Said:
    code: int
    out: str
    err: str

    @property
    def answers(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Ask = Callable[..., Said]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Writes lines to a verb's standard input, with the key in a file, unless it is named otherwise."""
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(f"0x{SECRET.hex()}\n")

    def asked(verb: str, *lines: Line | str | bytes, words: Sequence[str] = ("--key-file", str(file))) -> Said:
        written = b"\n".join(
            line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in lines
        )
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(written)))
        code = main(["clob", verb, *words])
        told = capsys.readouterr()
        assert SECRET.hex() not in (told.out + told.err).lower()
        return Said(code, told.out, told.err)

    return asked


def test_orders_are_signed_as_the_official_clients_sign_them(ask: Ask) -> None:
    """All vectors at once, a line each, in their order; empty lines say nothing."""
    said = ask("sign", *(line for name in CASES for line in (sign_line(name), "")))

    assert (said.code, said.err) == (0, "")
    assert said.answers == [
        {"digest": case["orderDigest_eq_orderID"], "signature": case["signature"]} for case in CASES.values()
    ]


def test_level_1_is_signed_for_its_chain(ask: Ask, tmp_path: Path) -> None:
    for vector in AUTH["L1_ClobAuth"]["vectors"]:
        words = ("--key-file", str(tmp_path / "key"), "--chain-id", str(vector["chainId"]))
        said = ask("headers", {**LEVEL_1, "nonce": vector["nonce"], "timestamp": vector["timestamp"]}, words=words)
        assert said.answers == [vector["headers"]]


def test_level_2_needs_no_key_file_and_gives_back_what_it_was_given(ask: Ask) -> None:
    """The passphrase is one of the headers: whoever asks for them wants to send them, not to see that they are hidden."""
    vectors = [AUTH["L2_HMAC"]["unit_test_vector"], *AUTH["L2_HMAC"]["vectors"]]
    names = ("timestamp", "method", "path", "body", "secret")
    said = ask("headers", *({**LEVEL_2, **{name: one[name] for name in names}} for one in vectors), words=())

    assert (said.code, said.err) == (0, "")
    for answer, vector in zip(said.answers, vectors, strict=True):
        assert answer == {
            "POLY_ADDRESS": AUTH["address"],
            "POLY_SIGNATURE": vector.get("signature_b64url") or vector["signature"],
            "POLY_TIMESTAMP": str(vector["timestamp"]),
            "POLY_API_KEY": LEVEL_2["api_key"],
            "POLY_PASSPHRASE": LEVEL_2["passphrase"],
        }


@pytest.mark.parametrize("signature_type", range(4))
@pytest.mark.parametrize("side", Side)
def test_an_intent_becomes_what_an_executor_sends(ask: Ask, side: Side, signature_type: int) -> None:
    """By the same function; amounts may be numbers or text."""
    maker = make_maker(signature_type)
    named = {"maker": maker.address, "signature_type": signature_type, "side": side.value}
    cost = {"max_cost": "10.25"} if side is Side.BUY else {"max_cost": None}
    said = ask(
        "prepare", {**PREPARE, **named, **cost}, {**PREPARE, **named, **cost, "shares": 20.5, "limit_price": 0.5}
    )
    market = make_market(exchange="v2-neg-risk")
    made = prepare(INTENT_KEY, make_intent(side, "20.5", "0.5"), maker, market, LEADER_TIME, KEY.sign)

    assert (said.code, said.err) == (0, "")
    assert said.answers == [{"order_id": made.order_id, "shares": "20.5", "body": made.body.decode()}] * 2


def test_orders_that_rest_may_have_an_end_and_only_make(ask: Ask) -> None:
    rests = {**PREPARE, "order_type": "GTD", "rest_until": LEADER_TIME + 600, "post_only": True}
    body = json.loads(ask("prepare", rests).answers[0]["body"])

    assert (body["order"]["expiration"], body["orderType"], body["postOnly"]) == (str(LEADER_TIME + 660), "GTD", True)


def test_what_the_venue_takes_nothing_of_is_an_order_of_no_shares(ask: Ask) -> None:
    said = ask("prepare", {**PREPARE, "shares": "1.9", "max_cost": "0.95"}, {**PREPARE, "limit_price": "0.009"})

    assert said.answers == [{"order_id": "", "shares": "0", "body": ""}] * 2


@pytest.mark.parametrize(
    ("verb", "change", "told"),
    [
        ("sign", {"exchange": "v4"}, 'exchange: expected one of v2, v2-neg-risk, v3, got "v4"'),
        ("sign", {"salt": 2**53}, "salt: expected a whole number under 2^53, which a JSON number can hold, got 9007"),
        ("sign", {"salt": True}, "salt: expected a whole number under 2^53, which a JSON number can hold, got true"),
        ("sign", {"maker": "0x12"}, 'maker: expected an address, 0x and 40 hex digits, got "0x12"'),
        ("sign", {"maker": None}, "maker: expected an address, 0x and 40 hex digits, got null"),
        ("sign", {"signer": "0x" + "1" * 40}, f"signer: expected {KEY.address}, the key's address, got 0x1111"),
        (
            "sign",
            {"signature_type": 3, "maker": "0x" + "1" * 40},
            "signer: expected 0x1111111111111111111111111111111111",
        ),
        ("sign", {"token_id": str(2**256)}, 'token_id: expected a whole number under 2^256, got "1157'),
        ("sign", {"token_id": "-1"}, 'token_id: expected a whole number under 2^256, got "-1"'),
        ("sign", {"maker_amount": "1.5"}, 'maker_amount: expected a whole number under 2^256, got "1.5"'),
        ("sign", {"taker_amount": 1.5}, "taker_amount: expected a whole number under 2^256, got 1.5"),
        ("sign", {"side": 0}, "side: expected one of BUY, SELL, got 0"),
        ("sign", {"signature_type": 4}, "signature_type: expected 0 for the key's own account, 1 for a proxy, 2 for"),
        ("sign", {"timestamp": []}, "timestamp: expected a whole number under 2^256, got a list"),
        ("sign", {"metadata": "0x00"}, 'metadata: expected 64 hex digits, got "0x00"'),
        ("sign", {"bulider": "0x00"}, "bulider: expected no such field"),
        ("sign", {"builder": ...}, "builder: expected a value, it is missing"),
        ("headers", {"level": 3}, "level: expected 1 or 2, got 3"),
        ("headers", {"timestamp": 1_764_000_000_000}, "timestamp: expected a time in Unix seconds, got 1764000000000"),
        ("headers", {"path": "/data/orders?id=1"}, "path: expected a path that begins with /, without a query"),
        ("headers", {"method": "GET\n"}, "method: expected a method, such as GET"),
        ("headers", {"body": {"a": 1}}, "body: expected text, got an object"),
        ("headers", {"body": "\ud800"}, "body: expected text, got half of a character"),
        ("headers", {"\ud800": 1}, "\\ud800: expected no such field"),
        ("headers", {"secret": "no base64!"}, "secret: expected base64"),
        ("headers", {"passphrase": "two\nlines"}, "passphrase: expected up to 256 printable ASCII characters"),
        ("headers", {"api_key": 1}, "api_key: expected text, got a number"),
        ("prepare", {"key": "0x12"}, 'key: expected 64 hex digits, got "0x12"'),
        ("prepare", {"shares": "1e9"}, 'shares: expected shares, with at most 6 decimals, got "1e9"'),
        ("prepare", {"shares": "-1"}, 'shares: expected shares, with at most 6 decimals, got "-1"'),
        ("prepare", {"max_cost": "0.0000001"}, 'max_cost: expected USD, with at most 6 decimals, got "0.0000001"'),
        ("prepare", {"max_cost": None}, "max_cost: expected USD, with at most 6 decimals, got null"),
        (
            "prepare",
            {"limit_price": "1.01"},
            'limit_price: expected a price from 0 to 1, with at most 6 decimals, got "1.01"',
        ),
        ("prepare", {"tick": "0"}, 'tick: expected a tick, a multiple of 0.0001 up to 0.5, got "0"'),
        ("prepare", {"tick": "0.00025"}, 'tick: expected a tick, a multiple of 0.0001 up to 0.5, got "0.00025"'),
        ("prepare", {"order_type": "IOC"}, 'order_type: expected one of FAK, FOK, GTC, GTD, got "IOC"'),
        ("prepare", {"post_only": True}, "post_only: expected GTC or GTD for an order that only makes, got FAK"),
        ("prepare", {"leader_time": LEADER_TIME * 1000}, "leader_time: expected a time in Unix seconds, got 1764"),
        (
            "prepare",
            {"maker": "0x" + "1" * 40},
            f"maker: expected {KEY.address}, the key's address, for signature type 0",
        ),
    ],
)
def test_a_bad_field_is_one_line_that_says_where(ask: Ask, verb: str, change: Line, told: str) -> None:
    """What stood before it was answered; nothing after it is."""
    good = LINES[verb]
    bad = {name: value for name, value in {**good, **change}.items() if value is not ...}
    said = ask(verb, good, bad, good)

    assert said.code == 2
    assert len(said.answers) == 1
    assert said.err.startswith(f"standard input:2: {told}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "got what is no JSON from column 2 on"),
        (b"[]", "got a list"),
        (b"7", "got a number"),
        (b"null", "got null"),
        (b"\xff\xfe", "got what is no UTF-8"),
        (b'{"a":NaN}', "got what is too deep, or no number of JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "got what is too deep, or no number of JSON"),
        (b"[" * 20_000, "got what is too deep, or no number of JSON"),
        (b'{"salt":1,"salt":2}', "got one with a field twice"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("verb", LINES)
def test_what_is_no_object_is_not_repeated(ask: Ask, verb: str, line: bytes, told: str) -> None:
    """It may hold a secret, whatever else it is."""
    said = ask(verb, line)

    assert (said.code, said.out) == (2, "")
    assert said.err == f"standard input:1: expected a JSON object, {told}\n"


@pytest.mark.parametrize("verb", LINES)
def test_a_line_without_end_is_not_held_in_memory(ask: Ask, verb: str) -> None:
    said = ask(verb, b'{"a":"' + b"x" * (1 << 20))

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("standard input:1: expected a line of at most 1,048,576 bytes")


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize("field", ["signature_type", "level", "maker", "secret", "key", "address"])
def test_a_key_that_stands_in_the_wrong_place_is_not_shown(ask: Ask, verb: str, field: str) -> None:
    """Not the key of the file alone: anything of its shape."""
    other = SecretKey(b"\x07" * 32)
    said = ask(verb, {**LINES[verb], field: f"0x{'07' * 32}"})

    assert "0707" not in said.err
    assert other.address not in said.err


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("", 0o600, "expected a private key in {file}, 64 hex digits, got something else"),
        ("ab" * 31, 0o600, "expected a private key in {file}, 64 hex digits, got something else"),
        ("ff" * 32, 0o600, "expected a private key in {file}, 64 hex digits, got something else"),
        ("0x" + "00" * 32, 0o600, "expected a private key in {file}, 64 hex digits, got something else"),
        ("my secret canary", 0o600, "expected a private key in {file}, 64 hex digits, got something else"),
        ("11" * 32, 0o644, "expected {file} to be a regular file of this user with mode 0600; chmod 600 {file}"),
        (None, 0o600, "expected a secret in {file}, got: No such file or directory"),
    ],
)
def test_a_key_file_that_is_none_signs_nothing(
    ask: Ask, tmp_path: Path, text: str | None, mode: int, told: str
) -> None:
    file = tmp_path / "other"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    said = ask("sign", SIGN, words=("--key-file", str(file)))

    assert (said.code, said.out) == (2, "")
    assert said.err == f"--key-file: {told.format(file=file)}\n"
    assert not text or text not in said.err


def test_a_link_to_a_key_is_no_key_file(ask: Ask, tmp_path: Path) -> None:
    os.symlink(tmp_path / "key", tmp_path / "link")

    assert ask("sign", SIGN, words=("--key-file", str(tmp_path / "link"))).code == 2


@pytest.mark.parametrize(("verb", "line"), [("sign", SIGN), ("prepare", PREPARE), ("headers", LEVEL_1)])
def test_what_a_key_signs_needs_one(ask: Ask, verb: str, line: Line) -> None:
    said = ask(verb, line, words=())

    assert (said.code, said.out) == (2, "")
    assert said.err == f"clob {verb}: expected --key-file FILE or --wallet NAME, the key that signs\n"


def test_a_wallet_of_the_configuration_signs_as_its_key_in_a_file_does(ask: Ask, tmp_path: Path) -> None:
    """The same digest and signature, wherever the key is; a wallet that is none, or both of them, is one line."""
    conf = write_conf(tmp_path)
    by_wallet = ask("sign", sign_line(next(iter(CASES))), words=("--wallet", "hot", "--conf", str(conf)))
    by_file = ask("sign", sign_line(next(iter(CASES))), words=("--key-file", str(tmp_path / "keys" / "hot.hex")))
    assert by_wallet == by_file
    assert "expected" in by_wallet.err, "the order names another signer than this key"
    level_1 = ask("headers", LEVEL_1, words=("--wallet", "hot", "--conf", str(conf)))
    assert level_1.answers[0]["POLY_ADDRESS"].lower() == OWN
    for words, told in (
        (
            ("--wallet", "hut", "--conf", str(conf)),
            '--wallet: expected a live wallet (hot, cold), got "hut"; did you mean "hot"?',
        ),
        (
            ("--wallet", "hot", "--key-file", "x"),
            "clob sign: expected either --key-file FILE or --wallet NAME, got both: one key signs",
        ),
    ):
        said = ask("sign", SIGN, words=words)
        assert (said.code, said.err) == (2, f"{told}\n")


def test_only_chains_on_which_the_venue_is_are_known(ask: Ask) -> None:
    said = ask("sign", SIGN, words=("--chain-id", "1"))

    assert (said.code, said.err) == (2, "--chain-id: expected 137 or 80002, got 1\n")


def test_without_native_code_it_says_what_to_install(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_copy.native, "_WHY", ImportError("No module named 'sha3'", name="sha3"))
    said = ask("headers", LEVEL_2, words=())

    assert said.code == 2
    assert "pip install 'trio-copy[live]'" in said.err


def test_whoever_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    """`trio-copy clob sign ... | head -1`, in a script that minds exit codes."""
    key, orders = tmp_path / "key.hex", tmp_path / "orders.jsonl"
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    orders.write_text(f"{json.dumps(SIGN)}\n" * 2000)
    command = f"set -o pipefail; {sys.executable} -m trio_copy clob sign {orders} --key-file {key} | head -1"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 1


def test_lines_may_stand_in_a_file(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text(json.dumps(SIGN) + "\n\n{}\n")
    said = ask("sign", words=(str(file), "--key-file", str(tmp_path / "key")))

    assert len(said.answers) == 1
    assert said.err == f"{file}:3: exchange: expected a value, it is missing\n"
    missing = ask("sign", words=(str(tmp_path / "none"), "--key-file", str(tmp_path / "key")))
    assert missing.err == f"{tmp_path / 'none'}: cannot be read: No such file or directory\n"


def test_lines_that_the_text_shows_are_true(ask: Ask) -> None:
    """Who compares begins with them."""
    blocks = re.findall(r"`(\w+)`: [^`]*(?:`[^`]*`[^`]*)*?```jsonl\n(.*?)```", _TEXT.read_text(), re.DOTALL)

    assert [verb for verb, _ in blocks] == list(LINES)
    for verb, block in blocks:
        lines = block.splitlines()
        assert ask(verb, *lines[::2]).out.splitlines() == lines[1::2]
