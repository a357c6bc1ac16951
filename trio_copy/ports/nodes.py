"""Asking the nodes of the configuration, for executors: what the chain shows of their orders, and what is to go on it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from trio_copy.errors import ChainError
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports.decoder import LogFilter


class Nodes(Protocol):
    """Connections of their own, apart from those that bring the fills; made at the first question, and again when they end.

    All nodes share the pace that the configuration allows them. `until` is Trio time: by then there is an answer or an error.
    Cancelled, a question may have reached a node.

    What nodes say is not believed here, beyond its shape: whoever asks judges what it proves.
    """

    @property
    def names(self) -> Sequence[str]:
        """The nodes, as the configuration names them."""
        ...

    async def ask(self, method: str, params: Sequence[object], until: float) -> bytes:
        """Return the result of the first node that answers, as JSON. One that does not leaves time for the next.

        Raises:
            RpcError: a node answered with an error about the question, such as a call that reverts. The others are not asked.
            ChainError: no node answers: away, too busy, or without this method. A node may have acted on it all the same.
        """
        ...

    async def ask_all(self, method: str, params: Sequence[object], until: float) -> Mapping[str, bytes | ChainError]:
        """Ask every node at once; returns what came of each, by its name. Raises nothing.

        Once one has answered, the others are waited for a moment longer, and not up to `until`: one that answers nothing
        takes up no other's time. What it would have said is not known then.

        Of a question, nothing has left for a node that is `NotConnected`; of any other failure it may have.
        """
        ...

    async def block(self, which: str, until: float) -> BlockRef:
        """Return a block's header by its number in hex, or by "latest" or "finalized".

        Raises:
            ChainError: no node that answers knows it.
        """
        ...

    async def logs(self, log_filter: LogFilter, start: int, stop: int, until: float) -> Sequence[RawLog]:
        """Return the logs of a range of blocks, both ends included, in the chain's order.

        Each passes the filter and lies in the range. Wide ranges are asked for in pieces that nodes take. Two nodes are asked
        where there are two, and what either of them knows counts: a node that is behind shows less, and does not say so. Near
        the head they may have one transaction in two blocks.

        Raises:
            ChainError: a part of the range could not be read, by one of the two.
        """
        ...
