"""What executors write down in a shard before they send: documents that ride in its writes; see `ports.Journal`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from attrs import define, field

from trio_copy.engine.shards.writing import Writer
from trio_copy.errors import OrderNotSent, StoreError
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.ports import NOBODY, Document

KIND = "sending"


@define(eq=False, kw_only=True)
class ShardJournal:
    """That of one executor in one shard. Its documents are named EXECUTOR/NAME."""

    executor: str
    shard: int
    writer: Writer
    covers: Callable[[FollowerId], bool]
    open_keys: Callable[[], Set[IntentKey]]
    _bodies: dict[str, bytes] = field(factory=dict)

    def load(self, documents: Iterable[Document]) -> None:
        """Take what an earlier owner has left, of all that belongs to the shard."""
        prefix = f"{self.executor}/"
        for document in documents:
            if document.follower == NOBODY and document.kind == KIND and document.name.startswith(prefix):
                self._bodies[document.name.removeprefix(prefix)] = document.body

    def documents(self) -> Mapping[str, bytes]:
        return self._bodies

    def put(self, name: str, body: bytes | None) -> None:
        full = f"{self.executor}/{name}"
        if body is None:
            self._bodies.pop(name, None)
            self.writer.open.delete((NOBODY, KIND, full))
        else:
            self._bodies[name] = body
            self.writer.open.put(Document(NOBODY, KIND, full, body))
        self.writer.tell()

    async def wait_durable(self) -> None:
        try:
            await self.writer.flush()
        except StoreError as error:
            raise OrderNotSent(f"what is sent could not be written down: {error}") from error

    def whole(self) -> Iterator[Document]:
        """Return every document, for a store that forgot."""
        for name, body in self._bodies.items():
            yield Document(NOBODY, KIND, f"{self.executor}/{name}", body)
