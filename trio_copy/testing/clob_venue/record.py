"""What happened at the venue, as it happened: the truth that a ledger is compared with. Amounts are integers of millionths."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import msgspec
from attrs import asdict, define, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId


@frozen(kw_only=True)
class Answered:
    """A request, and what became of it; `lost` tells whether its client heard."""

    at_ms: int
    method: str
    path: str
    signer: str
    """The address in its headers, which need not be true; empty where there is none."""
    status: int
    text: str
    """The refusal; empty where there is none."""
    order_ids: tuple[str, ...]
    """Orders that it is about, as far as it could be read."""
    lost: bool
    body: str


@frozen(kw_only=True)
class Accepted:
    """An order that the venue took, as it was signed."""

    at_ms: int
    order_id: str
    exchange: str
    salt: int
    maker: str
    signer: str
    token_id: TokenId
    maker_amount: int
    taker_amount: int
    side: Side
    signature_type: int
    timestamp_ms: int
    metadata: str
    builder: str
    expiration: int
    order_type: str
    post_only: bool


@frozen(kw_only=True)
class Filled:
    """What one order got in one trade. A fee comes on top of what a BUY pays, and off what a SELL brings."""

    at_ms: int
    order_id: str
    trade_id: str
    wallet: str
    token_id: TokenId
    side: Side
    shares: int
    cash: int
    fee: int
    maker: bool


@frozen(kw_only=True)
class Settled:
    """A trade's new status."""

    at_ms: int
    trade_id: str
    status: str


@frozen(kw_only=True)
class Ended:
    """An order of which nothing more will be filled, and why."""

    at_ms: int
    order_id: str
    status: str


Entry = Answered | Accepted | Filled | Settled | Ended
_KINDS: Mapping[str, type[Entry]] = {
    kind.__name__.lower(): kind for kind in (Answered, Accepted, Filled, Settled, Ended)
}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "token_id": lambda text: TokenId(int(text)),
    "side": Side,
    "order_ids": tuple,
}
E_ = TypeVar("E_", bound=Entry)


@define(eq=False)
class VenueRecord:
    entries: list[Entry] = field(factory=list)
    file: Path | None = None
    """Where it is written as well, a JSON line each, in the order in which it happened."""
    _open: TextIO | None = None
    _fills: dict[str, list[Filled]] = field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Note what happened."""
        self.entries.append(entry)
        if isinstance(entry, Filled):
            self._fills.setdefault(entry.order_id, []).append(entry)
        if self.file is not None:
            self._open = self._open or self.file.open("a", encoding="utf-8")
            self._open.write(_line(entry))
            self._open.flush()  # whoever kills this process still wants to know

    def of(self, kind: type[E_]) -> list[E_]:
        """Return what happened of one kind."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def fills(self, order_id: str) -> list[Filled]:
        """Return what an order got, undone trades included."""
        return list(self._fills.get(order_id, ()))

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.close()


def _line(entry: Entry) -> str:
    fields = asdict(entry)
    if "token_id" in fields:
        fields["token_id"] = str(fields["token_id"])  # no number of JSON that others could read
    return msgspec.json.encode({"kind": type(entry).__name__.lower(), **fields}).decode() + "\n"


def read_record(file: Path) -> VenueRecord:
    """Read what a venue has written down so far. Raises `ValueError` where that is no record."""
    record = VenueRecord()
    for line in file.read_bytes().splitlines():
        try:
            record.add(_entry(msgspec.json.decode(line, type=dict[str, Any])))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{file}: expected a record, got {line[:80]!r}: {error}") from None
    return record


def _entry(fields: dict[str, Any]) -> Entry:
    kind = _KINDS[fields.pop("kind")]
    return kind(**{name: _READ[name](value) if name in _READ else value for name, value in fields.items()})
