"""Redacting takes time in proportion to a text: a plugin's error, or a node's, may quote call data, and everything waits for it."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from trio_copy.telemetry.redaction import REDACTED, Redactor

LONG = 100_000
LONGEST_S = 20
"""A hundredth of what a search anew from each letter took, and a hundred times what it takes."""
SECRET = "hunter2-and-more"
TEXTS = {
    "call data": "0x" + "0123456789abcdef" * (LONG // 16),
    "a word of schemes": "https+" * (LONG // 6),
    "tokens that never come to an end": "-eyJhbGci" * (LONG // 9),
    "labels without a value": "my_secret" * (LONG // 9),
    "labels of tokens": "_token" * (LONG // 6),
    "a header's name": "poly_" + "a" * LONG,
    "a secret over and over": SECRET * (LONG // len(SECRET)),
}


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """What takes minutes fails."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it takes far longer than the text is long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", TEXTS)
def test_a_long_word_is_looked_through_once(name: str) -> None:
    """Whatever it is made of; and the secrets behind it are found all the same."""
    redactor = Redactor([SECRET])
    text = f"{TEXTS[name]} key {SECRET} my_secret=abc123 https://me:pa55word@host.example/"
    redactor.overhear(TEXTS[name])
    for redacted in (redactor.redact(text), redactor.redact_foreign(text), redactor.redact_line(text)):
        assert redacted.endswith(f" key {REDACTED} my_secret={REDACTED} https://{REDACTED}@host.example/")


def test_a_label_at_the_end_of_a_long_word_is_one() -> None:
    assert Redactor().redact("x" * LONG + "_secret=abc123").endswith(f"x_secret={REDACTED}")


def test_of_a_text_that_is_cut_only_the_beginning_is_looked_at() -> None:
    """Megabytes of a plugin take no longer than a page; a secret that the cut would divide is whole when it is looked for."""
    redactor = Redactor([SECRET])
    text = "x" * 290 + f" {SECRET}" + " another word" * 10_000_000
    assert redactor.redact_beginning(text, 300) == "x" * 290 + f" {REDACTED}"[:10]
