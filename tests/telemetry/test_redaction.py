"""What must not be seen is found in every spelling, and what may be seen stays readable."""

import html
import io
import json
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from trio_copy.cli.outlet import Outlet
from trio_copy.telemetry.log import configure_logs
from trio_copy.telemetry.observer import Observer, Observers
from trio_copy.telemetry.redaction import REDACTED, Redactor

HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
SECRETS = ["hunter2-and-more", "p@ss/w?r#d: %&+=", "quo\"te\\s'<>", "pässwörd \U0001f511", "\t~!@$^*()[]{}|;,.`_"]
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "in a URL": lambda text: quote(text, safe=""),
    "in a path": quote,
    "in a query": quote_plus,
    "twice in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON as it is": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "in JSON for HTML": lambda text: (
        json.dumps(text)[1:-1].replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003E")
    ),
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "in Python": lambda text: repr(text)[1:-1],
    "in bytes": lambda text: repr(text.encode())[2:-1],
    "in HTML": html.escape,
    "in Python in JSON": lambda text: json.dumps(repr(text))[2:-2],
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_found_in_every_spelling(secret: str, spelling: str) -> None:
    """Whoever repeats it may have escaped it, once or twice."""
    secret = secret.strip()
    written = SPELLINGS[spelling](secret)
    for known in (secret, quote(secret, safe="")):
        assert Redactor([known]).redact(f"<{written}> said") == "<[redacted]> said"


def test_a_secret_url_is_found_in_all_its_parts() -> None:
    """Password, user and password as a header has them, keys in path, query, fragment and host; not what is no secret."""
    url = "wss://someone:p%40ss%2Fw0rd@tenant-host.nodes.example:8443/v2/ws/aPathKey?apikey=aQueryKey&v=2#aFragment"
    redactor = Redactor([url])
    for part in (
        "p@ss/w0rd",
        "p%40ss%2Fw0rd",
        "someone:p@ss/w0rd",
        "tenant-host",
        "apathkey",
        "aQueryKey",
        "aFragment",
    ):
        assert redactor.redact(f"x {part} y") == "x [redacted] y"
    assert b64encode(b"someone:p@ss/w0rd").decode().rstrip("=") not in redactor.redact(
        f"got {b64encode(b'someone:p@ss/w0rd').decode()}"
    )
    assert redactor.redact(f"at {url}") == "at [redacted]"
    for public in ("someone", "nodes.example:8443", "/v2/ws/", "v=2", "wss://nodes.example/v2/ws"):
        assert redactor.redact(public) == public


@pytest.mark.parametrize(
    "url",
    ["redis://:pa/ss?w#rd@host:6379", "redis://me:pa?ss/w#rd@host/0", "rediss://:pa#ss@wo/rd@h1", "redis+cluster://:a@b/c?d1@h:1,i:2"],
)  # fmt: skip
def test_a_password_that_breaks_its_url_is_still_found(url: str) -> None:
    """Unescaped / ? # @ in a password: all of it is secret, and the pieces a library would make of it."""
    password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    redactor = Redactor([url])
    assert redactor.redact(f"'{password}'") == "'[redacted]'"
    assert password not in Redactor().redact(f"cannot use {url}")


IDENTITIES = [
    f"tx 0x{HEX} in block 0x{HEX}",
    f"not armed: orders of an earlier run:   tiny-{HEX}  alice  BUY 10",
    f"signal {HEX}, task {HEX}, intent key {HEX}",
    "leader 0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d bought",
    "token 71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "instance node-7-4242-00ff of trio-copy 0.1.0rc1",
    f"https://polygonscan.com/tx/0x{HEX}",
    "cannot connect to wss://polygon-bor-rpc.publicnode.com: refused",
    "executor.clob.api_key: expected env:NAME or file:PATH, got nothing",
    "store.redis.url: 127.0.0.1:6379: user name or password is wrong (WRONGPASS)",
]


@pytest.mark.parametrize("text", IDENTITIES)
def test_identities_stay_readable(text: str) -> None:
    """They look like keys, and a person needs every digit of them."""
    redactor = Redactor(["hunter2", f"0x{HEX[::-1]}", "wss://node.example/v2/SomePathKey01"])
    assert redactor.redact(text) == text
    line = json.dumps({"detail": text, "signal_id": HEX, "order_id": f"tiny-{HEX}", "key": HEX}) + "\n"
    assert redactor.redact_line(line) == line


@pytest.mark.parametrize(
    "text",
    [
        f"private key {HEX}",
        f"private_key=0x{HEX}",
        f"signing key: {HEX}",
        "wss://someone:hunter2@h/",
        "https://h/v2/HuNtEr2HuNtEr2HuNtEr2?x=1",
        "WSS://h/?apikey=hunter2&v=2",
        "password=hunter2 x",
        '{"passphrase": "hunter2"}',
        "{'Authorization': 'Basic aHVudGVyMjpodW50ZXIy'}",
        "authorization: Bearer hunter2",
        "POLY_API_KEY: hunter2",
        "token eyJodW50ZXIy.eyJodW50ZXIyIjoxfQ.aHVudGVyMg",
        "words " + " ".join(["abandon"] * 11 + ["about"]),
    ],
)
def test_shapes_are_a_second_net(text: str) -> None:
    """What nobody has loaded is still hidden where its place or its label gives it away."""
    found = Redactor().redact(text)
    assert "[redacted" in found
    for piece in (HEX, "hunter2", "HuNtEr2", "aHVudGVy", "eyJodW50", "abandon"):
        assert piece not in found


def test_a_secret_that_was_cut_off_is_found_at_the_end() -> None:
    """A limit on the length of a message may leave half a key."""
    redactor = Redactor(["wss://h/v2/CutOffKey0123456789"])
    assert redactor.redact("node answered error -1: no such key CutOffKey01") == (
        "node answered error -1: no such key [redacted]"
    )
    assert redactor.redact("cutoff is a word") == "cutoff is a word"


def test_short_secrets_are_words_of_their_own_and_the_shortest_none() -> None:
    """A password "run" must not blacken every "running"; one below four letters is found in its place only."""
    redactor = Redactor(["live", "pw", "redis://:pw@h", ""])
    assert redactor.redact("live=live, alive %20live pw") == "[redacted]=[redacted], alive %20[redacted] pw"
    assert "pw" not in redactor.redact("redis://:pw@h")


def test_json_stays_json_and_numbers_stay_numbers() -> None:
    """Only texts are redacted: a password may look like an amount."""
    redactor = Redactor(["1000000", '","a":"'])
    line = json.dumps({"shares": 1000000, "detail": 'said 1000000 and ","a":"', "password": 5, "list": ["1000000"]})
    assert json.loads(redactor.redact_line(line + "\n")) == {
        "shares": 1000000,
        "detail": "said [redacted] and [redacted]",
        "password": 5,
        "list": ["[redacted]"],
    }


def test_secrets_that_are_split_over_writes_are_found() -> None:
    """The outlet redacts lines, not writes; `flush` is the end of what has no end."""
    stream = io.StringIO()
    outlet = Outlet(stream, Redactor(["hunter2-and-more"]))
    for letter in "say hunter2-and-more\nand hunter2-and-more":
        outlet.write(letter)
    assert stream.getvalue() == "say [redacted]\n"
    outlet.flush()
    assert stream.getvalue() == "say [redacted]\nand [redacted]"
    assert not outlet.isatty()  # type: ignore[operator]  # the stream's own


def test_every_observer_hears_redacted_texts() -> None:
    """Tape, events, logs and plugins are all behind one root."""
    heard: list[str] = []

    class Ears(Observer):
        def on_step(self, step: str, detail: str) -> None:
            heard.append(detail)

        def on_alert(self, kind: str, detail: str) -> None:
            heard.append(detail)

        def on_quarantined(self, kind: str, detail: str) -> None:
            heard.append(detail)

    observers = Observers([Ears(), Ears()], Redactor(["hunter2-and-more"]).redact)
    for tell in (observers.on_step, observers.on_alert, observers.on_quarantined):
        tell("kind", "hunter2-and-more")
    assert heard == ["[redacted]"] * 6


@pytest.mark.parametrize("as_json", [True, False])
def test_logs_redact_fields_and_tracebacks(as_json: bool) -> None:
    """Whatever a logger is given, also an exception, and no control character moves the terminal."""
    stream = io.StringIO()
    log = configure_logs(stream, json=as_json, level=10, redactor=Redactor(["hunter2-and-more"]))
    try:
        int("hunter2-and-more \x1b[31m")
    except ValueError:
        log.exception("failed", value={"a": ["hunter2-and-more"]}, tx_hash=f"0x{HEX}")
    said = stream.getvalue()
    assert "hunter2" not in said
    assert "\x1b[31m" not in said
    assert HEX in said
    assert said.count("[redacted]") >= 2
    assert not as_json or msgspec.json.decode(said)["event"] == "failed"


@pytest.mark.parametrize(
    "shown",
    [
        lambda key: f"({key.hex()[:40]!r}, 'and more')",
        lambda key: f"0x{key.hex()[:16]} and more",
        lambda key: f"{key.hex()[:63].upper()}, and more",
        lambda key: f"('of {key!r}', 1)",
        lambda key: repr((f"of {key!r}", 1)),
    ],
)
def test_a_private_key_is_found_where_it_is_cut_off_and_where_it_is_shown_in_something(
    shown: Callable[[bytes], str],
) -> None:
    """Whoever wrote the text repeats a part of it in the middle, or shows something in which it was shown."""
    key = bytes.fromhex("5afe" * 16)
    redactor = Redactor([key.hex()])
    said = redactor.redact(shown(key)).lower()
    assert REDACTED in said
    assert "5afe5afe" not in said
    assert r"\xfez" not in said
    assert redactor.redact(shown(b"\x5b" * 32)) == shown(b"\x5b" * 32), "nothing else is taken for it"
