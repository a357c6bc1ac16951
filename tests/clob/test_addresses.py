"""Where the venue may be."""

from typing import Any

import pytest

from trio_copy_clob import PolymarketSettings
from trio_copy_clob.addresses import Origin, origin_of


def _settings(setting: str, url: str) -> PolymarketSettings:
    changed: dict[str, Any] = {setting: url}
    return PolymarketSettings(**changed)


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("clob_url", "https://clob.polymarket.com"),
        ("clob_url", "https://clob.polymarket.com:8443/behind/a/path"),
        ("clob_url", "http://127.0.0.1:8080/clob"),
        ("clob_url", "http://localhost:1"),
        ("clob_url", "http://[::1]:1"),
        ("prices_url", "wss://h/ws/market"),
        ("prices_url", "ws://127.0.0.1:8080/ws/market"),
    ],
)
def test_addresses_with_tls_and_those_of_this_machine_are_good(setting: str, url: str) -> None:
    """Whatever stands in between must not read or change what the venue says."""
    assert getattr(_settings(setting, url), setting) == url


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("clob_url", "http://clob.polymarket.com"),
        ("clob_url", "http://10.0.0.1"),
        ("clob_url", "wss://clob.polymarket.com"),
        ("clob_url", "ftp://127.0.0.1"),
        ("clob_url", "https://"),
        ("clob_url", ""),
        ("clob_url", "clob.polymarket.com"),
        ("clob_url", "https://me:hunter2@clob.polymarket.com"),
        ("clob_url", "https://clob.polymarket.com?key=hunter2"),
        ("clob_url", "https://clob.polymarket.com#hunter2"),
        ("clob_url", "https://clob.polymarket.com:hunter2"),
        ("clob_url", "https://[::1"),
        ("prices_url", "ws://h/ws"),
        ("prices_url", "https://h/ws"),
    ],
)
def test_other_addresses_are_refused_and_not_repeated(setting: str, url: str) -> None:
    """A password that stands where none belongs is not shown."""
    with pytest.raises(ValueError, match="expected") as caught:
        _settings(setting, url)
    assert "hunter2" not in str(caught.value)


def test_an_origin_is_named_as_its_header_wants_it() -> None:
    """Without a port that goes without saying."""
    assert origin_of("https://h/x").name == "h"
    assert origin_of("http://[::1]:81/x") == Origin("http", "::1", 81)
    assert origin_of("http://[::1]:81/x").name == "[::1]:81"
