"""What names something survives the redaction, and what opens something does not, however the two are mixed."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trio_copy.cli import main
from trio_copy.secret_shapes import looks_like_key
from trio_copy.telemetry.redaction import REDACTED, Redactor

HEX64 = st.text("0123456789abcdef", min_size=64, max_size=64)
NAME = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=24).map(lambda text: f"f{text}9")
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
CALLED = (
    "order {}", "orders {}", "order id: {}", "order_id={}", "task {}", "task_id: \"{}\"", "signal {}", "tx 0x{}",
    "transaction 0x{}", "tx hash 0x{}", "block 0x{}", "condition 0x{}", "condition id is 0x{}", "intent key {}",
    "task key {}", "order tiny-{}", "https://polygonscan.com/tx/0x{}", "orders {0}, {0} and {0}", "id {}",
)  # fmt: skip
UNCALLED = ("invalid {}", "got 0x{}", "signing with {}", "'{}'", "ValueError: {}", "{}", "key {}", "a={}")
LABELS = ("poly_{}", "{}_token", "{}-token", "{}secret", "my-{}-passphrase", "{}_api_key")


@given(number=HEX64, called=st.sampled_from(CALLED), key=HEX64)
def test_what_is_called_an_identity_survives_everywhere(number: str, called: str, key: str) -> None:
    """In our own texts and in foreign ones, unless it is a secret that was loaded."""
    text = called.format(number)
    redactor = Redactor([key])

    assert (redactor.redact(text) == text) == (number != key)
    assert (redactor.redact_foreign(text) == text) == (number != key)


@given(number=HEX64, said=st.sampled_from(UNCALLED))
def test_what_nothing_names_is_hidden_where_others_wrote_it(number: str, said: str) -> None:
    """A plugin may have loaded a key of its own, and a library likes to repeat it."""
    assert number not in Redactor().redact_foreign(f"the venue answered: {said.format(number)}")


@given(key=HEX64, called=st.sampled_from((*CALLED, *UNCALLED)), upper=st.booleans())
def test_a_key_that_was_loaded_is_hidden_whatever_it_is_called(key: str, called: str, upper: bool) -> None:
    """Also as an order's id, a transaction, a name."""
    redactor = Redactor([f"0x{key}"])
    redactor.recognise(key, f"ann-{key}")
    text = called.format(key.upper() if upper else key)

    for redacted in (redactor.redact(text), redactor.redact_foreign(text), redactor.redact(f"follower ann-{key}")):
        assert key not in redacted.lower()
    assert key not in redactor.redact_line(json.dumps({"order_id": key, "tx_hash": f"0x{key}"}) + "\n")


@given(name=NAME, label=st.sampled_from(LABELS))
def test_a_name_may_look_like_a_label(name: str, label: str) -> None:
    """What follows it is no secret for that; the same word that is nobody's name is a label."""
    called = label.format(name.replace("-", "_"))
    text = f"{called}: bought 10 for {called}:0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
    knowing = Redactor()
    knowing.recognise(called)

    assert knowing.redact(text) == text
    assert REDACTED in Redactor().redact(f"{called}: hunter2")


@given(name=NAME, tail=st.from_regex(r"-[0-9]{1,5}-[0-9a-f]{4}", fullmatch=True))
def test_a_guess_gives_way_to_a_name(name: str, tail: str) -> None:
    """A word of a node's URL may be one of an instance's name; a password is none, wherever it is repeated."""
    assume(not looks_like_key(name))
    redactor = Redactor([f"wss://rpc.example/{name}/hunter2-and-more-Xy12Zz90Ab34"])
    instance = f"{name}{tail}"
    redactor.recognise(name, instance)

    assert redactor.redact(f"{instance} of {name}.") == f"{instance} of {name}."
    assert "hunter2" not in redactor.redact("no such path: hunter2-and-more-Xy12Zz90Ab34")


@pytest.mark.parametrize(
    "secret, text, shown",
    [
        ("tiny", "instance tiny-4242-00ff said tiny", f"instance tiny-4242-00ff said {REDACTED}"),
        ("ann-7", "follower ann-7", f"follower {REDACTED}"),
        ("ann-7", "follower ann-7-main and Bob", "follower ann-7-main and Bob"),
        ("hunter2-and-more", "follower x-hunter2-and-more", f"follower x-{REDACTED}"),
        ("node-of-ours-hunter2", "drains node-of-ours", "drains node-of-ours"),
    ],
)
def test_a_secret_gives_way_only_where_it_is_a_word_in_a_name(secret: str, text: str, shown: str) -> None:
    """Four letters may be anybody's; a name that is the secret is hidden, and so is one that holds a long one."""
    redactor = Redactor([secret])
    redactor.recognise("tiny-4242-00ff", "ann-7", "ann-7-main", "x-hunter2-and-more", "node-of-ours")

    assert redactor.redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "outcome_token=71321045679252212594626385532706912750332728571942532289631379312455583992563",
        f"condition_token: 0x{KEY}",
        "expected basic authentication",
    ],
)
def test_a_number_of_something_is_no_token(text: str) -> None:
    """And a word behind "basic" is none of base64."""
    assert Redactor().redact(text) == text
    assert REDACTED in Redactor().redact("access_token=hunter2 basic aHVudGVyMjp4")


def test_a_traceback_hides_a_key_that_nobody_told_of(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library repeats what it was given; the order beside it stays."""

    def fail(*_: object) -> int:
        raise ValueError(f"cannot sign order {KEY[::-1]} with 0x{KEY}")

    monkeypatch.setattr("trio_copy.cli.app._run", fail)
    assert main(["x"]) == 1
    said = capfd.readouterr().err
    assert KEY not in said
    assert KEY[::-1] in said


def test_the_names_of_a_configuration_are_recognised(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from the file; what is secret in it comes from there too."""
    conf = tmp_path / "conf.toml"
    monkeypatch.setenv("NODE", "wss://node.example/venuetwo/Xy12Zz90Ab34Cd56Ef78")
    conf.write_text(
        """
[chain]
chain_id = 137
[[endpoint]]
name = "mine"
url = "env:NODE"
[store.memory]
[decoder.order-filled]
[executor.venuetwo]
use = "dry-run"
[[follower]]
id = "poly_ann"
executor = "venuetwo"
[[follow]]
follower = "poly_ann"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
"""
    )

    assert main(["check", str(conf)]) == 0
    assert "executors venuetwo" in capfd.readouterr().out
    conf.write_text(conf.read_text().replace('use = "dry-run"', 'use = "dry-rnu"'))
    assert main(["check", str(conf)]) == 2
    assert "executor.venuetwo: no executor" in capfd.readouterr().err
