"""Where the relayer is, and by which key it knows us."""

from urllib.parse import urlsplit

from attrs import Attribute, frozen

from trio_copy.model.ids import parse_address
from trio_copy.model.settings import setting, within

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _address_of_server(instance: object, attribute: "Attribute[str]", url: str) -> None:
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        good = plain and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        good = False
    if not good or "@" in url or not url.isascii() or not url.isprintable():
        raise ValueError("expected https://HOST, or http:// of this machine, without user and query, got another URL")


def _address_or_empty(instance: object, attribute: "Attribute[str]", text: str) -> None:
    if text:
        parse_address(text)


@frozen
class RelayerSettings:
    """One of the two kinds of keys: `key` with `key_address`, or the three parts of a builder's key. None: no relayer."""

    url: str = setting(
        "https://relayer-v2.polymarket.com",
        unit="https://, or http:// of this machine",
        why="Who carries what wallets without gas money sign.",
        check=_address_of_server,
    )
    key: str = setting(
        "", unit="env:NAME, file:PATH", why="A relayer key; the venue's page of API keys makes it.", secret=True
    )
    key_address: str = setting("", unit="address", why="Whose relayer key it is.", check=_address_or_empty)
    builder_key: str = setting("", unit="env:NAME, file:PATH", why="Or a builder's key: its id.", secret=True)
    builder_secret: str = setting("", unit="env:NAME, file:PATH", why="Its secret, base64.", secret=True)
    builder_passphrase: str = setting("", unit="env:NAME, file:PATH", why="Its passphrase.", secret=True)
    timeout_s: float = setting(
        10.0,
        unit="s",
        why="How long one answer may take; what came of a request is looked up then.",
        check=within(1, 60),
    )
    poll_s: float = setting(
        2.0, unit="s", why="How often an action that is under way is looked at.", check=within(0.1, 60)
    )
    proxy_gas: int = setting(
        2_000_000,
        unit="gas",
        why="What the calls of a proxy wallet may use at most, where no node can estimate it.",
        check=within(100_000, 30_000_000),
    )
