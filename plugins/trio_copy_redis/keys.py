"""The names of all keys.

Every key begins with a tag in braces, and a cluster puts what has the same tag into the same slot: each shard is one slot, and
what all shards share is one.

    {PREFIX:accounts-N}  :shard            who may write, checkpoint (lua/fence.lua)
                         :accounts         who ever had a document
                         :docs:NAME        the documents of an account, by kind and name; without a name the shard's own
                         :heads            those of `HEAD_KINDS`, which come and go, of all accounts, by account, kind and name
                         :facts :ids :rest the log of facts: streams with an entry a write, under the same id (packing.py)
                         :totals           what facts that were let go add up to, by day (retention.py)
                         :requests :asked :answer:NAME   what people want, since when, and what came of it
    {PREFIX:common}      :layout           how all this is laid out, and for how many shards
                         :lease:NAME :budget:NAME :modes :instances :follows :follows:v :follows:log
"""

from attrs import field, frozen

LAYOUT = "2"
"""Names the layout above."""
OLD_LAYOUT = "old"
"""What the script that opens says of the one before it, which had no name."""


@frozen
class ShardKeys:
    """The keys of one shard."""

    tag: str
    shard: str = field(init=False)
    accounts: str = field(init=False)
    heads: str = field(init=False)
    facts: str = field(init=False)
    ids: str = field(init=False)
    rest: str = field(init=False)
    totals: str = field(init=False)
    requests: str = field(init=False)
    asked: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("shard", "accounts", "heads", "facts", "ids", "rest", "totals", "requests", "asked"):
            object.__setattr__(self, name, f"{self.tag}:{name}")

    def docs_of(self, follower: str) -> str:
        return f"{self.tag}:docs:{follower}"

    def answer(self, request: str) -> str:
        return f"{self.tag}:answer:{request}"


@frozen
class CommonKeys:
    """The keys of what all shards share."""

    prefix: str
    tag: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "tag", f"{{{self.prefix}:common}}")

    def __call__(self, name: str) -> str:
        return f"{self.tag}:{name}"

    @property
    def channel(self) -> str:
        """On which changes are announced."""
        return f"{self.prefix}:changes"

    def shards(self, count: int) -> tuple[ShardKeys, ...]:
        """Return the keys of each shard."""
        return tuple(ShardKeys(f"{{{self.prefix}:accounts-{shard}}}") for shard in range(count))


def field_of(kind: str, name: str) -> str:
    """Name a document within its account. A kind is a word, so the first NUL ends it."""
    return f"{kind}\0{name}"


def head_of(follower: str, kind: str, name: str) -> str:
    """Name a document within its shard. No follower has a NUL in its name."""
    return f"{follower}\0{kind}\0{name}"
