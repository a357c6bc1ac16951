"""The contract of decoders: whoever reads the logs of one family of contracts."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import frozen

from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.ids import Address, ChainId
from trio_copy.model.logs import RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.settings import NoSettings


@frozen(kw_only=True)
class LogFilter:
    """A server-side filter: any of the addresses, and for each topic position any of its topics (None: anything)."""

    addresses: tuple[Address, ...]
    """Empty means any contract."""
    topics: tuple[tuple[str, ...] | None, ...]


class Decoder(Protocol):
    """Reads the logs of one family of contracts. Sync and pure: a log goes in, facts come out."""

    @property
    def topics(self) -> frozenset[str]:
        """The topic0 values it answers for."""
        ...

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        """Return the filters that yield each execution of these leaders at least once, and little else."""
        ...

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill | Resolution:
        """Decode a log whose topic0 is in `topics`.

        Raises:
            UndecodableLog: it does not have the shape its topic promises.
        """
        ...


@frozen(kw_only=True)
class DecoderContext:
    settings: Any
    chain_id: ChainId


MakeDecoder = Callable[[DecoderContext], Decoder]


@frozen(kw_only=True)
class DecoderPlugin:
    name: str
    make: MakeDecoder
    settings: type = NoSettings
    """An attrs class; the table `[decoder.NAME]` is checked against it."""
