"""What a person sets of the executor `clob`: `[executor.clob]`."""

from attrs import frozen

from trio_copy.model.settings import setting, within
from trio_copy_clob.addresses import address_of

_HTTP = address_of("https", "http")
_CLOB_URL = "https://clob.polymarket.com"
_USER_URL = "wss://ws-subscriptions-clob.polymarket.com/ws/user"
_websocket = address_of("wss", "ws")


def _websocket_or_nothing(instance: object, attribute: object, url: str) -> None:
    if url:
        _websocket(instance, attribute, url)


@frozen(kw_only=True)
class ClobSettings:
    """Where orders go, how long one is tried, and how much of the venue's limits is used."""

    clob_url: str = setting(
        _CLOB_URL,
        unit="https URL; http for this machine only",
        why="Takes orders, and says what they may be.",
        check=_HTTP,
    )
    user_url: str = setting(
        _USER_URL,
        unit='wss URL; ws for this machine only; "" for none',
        why="Tells sooner what becomes of orders. The default is used beside the default of clob_url alone: it is shown API keys.",
        check=_websocket_or_nothing,
    )
    geoblock_url: str = setting(
        "https://polymarket.com/api/geoblock",
        unit="https URL; http for this machine only",
        why="Says whether the place that this machine is seen from is blocked; asked once where orders are refused there.",
        check=_HTTP,
    )
    timeout_s: float = setting(
        5.0,
        unit="seconds",
        why="How long one order is sent again where that is safe, and one question is waited for; then the order is looked up.",
        check=within(0.1, 60.0),
    )
    limits_used: float = setting(
        0.5,
        unit="ratio",
        why="How much of what the venue lets one address of the internet send and ask is used; less where programs share one.",
        check=within(0.001, 1.0),
    )

    @property
    def user_channel(self) -> str:
        """The address of the user channel, "" where none is used."""
        elsewhere = self.user_url == _USER_URL and self.clob_url != _CLOB_URL
        return "" if elsewhere else self.user_url
