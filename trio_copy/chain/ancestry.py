"""The headers between a head and the window, kept until the head could be read: a failure does not ask for them again."""

from attrs import define, field

from trio_copy.chain.endpoints import EndpointPool
from trio_copy.errors import ChainError
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef


@define(eq=False)
class Ancestry:
    pool: EndpointPool
    most: int
    """Headers that are kept."""
    _headers: dict[Hash32, BlockRef] = field(factory=dict)

    async def parent_of(self, child: BlockRef) -> BlockRef:
        """Return the header of a block's parent.

        Raises:
            ChainError: no endpoint knows it, or what they answered is not the parent.
        """
        known = self._headers.get(child.parent)
        if known is not None:
            return known
        # If it has none, the node that told of the child made it up: then somebody else is to be asked next time.
        told = self._headers.pop(child.hash, None)
        parent, _ = await self.pool.block("eth_getBlockByHash", child.parent)
        if parent.hash != child.parent or parent.number != child.number - 1:
            raise ChainError(f"asked for the parent of block {child.number}, got another block")
        for header in (told, parent):
            if header is not None:
                self._headers[header.hash] = header
        while len(self._headers) > self.most:
            del self._headers[next(iter(self._headers))]
        return parent

    def forget(self) -> None:
        """Drop what was kept: the head is read."""
        self._headers.clear()
