"""Reading documents in pieces, an account each at least: what reads keeps the server from everybody else, so nothing reads much."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from trio_copy.model.ids import FollowerId
from trio_copy.ports import Document
from trio_copy_redis.client import Client
from trio_copy_redis.keys import ShardKeys
from trio_copy_redis.scripts import load_script

_LOAD = load_script("fence", "load")
_ACCOUNTS_AT_ONCE = 200
_SCANNED_AT_ONCE = 2000
_WHOLE = 1_000_000_000
"""More than any account has: it is read in one step, which takes the server half a millisecond for a thousand positions."""
_GLOB = str.maketrans({letter: "\\" + letter for letter in "*?[]^-\\"})


async def load_accounts(
    client: Client, keys: ShardKeys, token: int, heads: Mapping[FollowerId, Collection[str]]
) -> dict[FollowerId, list[Document]]:
    """Read some accounts whole, each in one step; `heads` names those that may be there.

    Raises:
        LeaseLost: there is a higher token.
    """
    names, loads = list(heads), []
    # Without any account, the token is compared all the same.
    pieces = [names[at : at + _ACCOUNTS_AT_ONCE] for at in range(0, max(1, len(names)), _ACCOUNTS_AT_ONCE)]
    wanted = [[head for name in piece for head in heads[name]] for piece in pieces]
    for piece, some in zip(pieces, wanted, strict=True):
        touched = (keys.shard, keys.heads, *map(keys.docs_of, piece))
        loads.append(partial(client.run, _LOAD, keys.tag, touched, token, *some, raw=True))
    loaded: dict[FollowerId, list[Document]] = {name: [] for name in names}
    for piece, some, (bodies, docs) in zip(pieces, wanted, await client.all(loads), strict=True):
        for head, body in zip(some, bodies, strict=True):
            if body is not None:
                one = _head(head, body)
                loaded[one.follower].append(one)
        for name, flat in zip(piece, docs, strict=True):
            loaded[name] += documents_of(name, flat)
    return loaded


async def scan_heads(client: Client, keys: ShardKeys) -> list[Document]:
    """Read the documents of `HEAD_KINDS` of every account."""
    return heads_of(await _scan(client, keys.tag, "HSCAN", keys.heads))


def heads_of(flat: Sequence[bytes]) -> list[Document]:
    """Read names of heads and bodies, one after the other; each name once."""
    return [_head(head.decode(), body) for head, body in dict(zip(flat[::2], flat[1::2], strict=True)).items()]


def _head(head: str, body: bytes) -> Document:
    follower, kind, name = head.split("\0", 2)
    return Document(FollowerId(follower), kind, name, body)


async def list_accounts(client: Client, keys: ShardKeys) -> list[FollowerId]:
    """List who ever had a document in a shard."""
    return [FollowerId(name.decode()) for name in dict.fromkeys(await _scan(client, keys.tag, "SSCAN", keys.accounts))]


async def of_kind(client: Client, keys: ShardKeys, follower: FollowerId, kind: str) -> list[Document]:
    """Read the documents of one account and kind, in one step: one of them may say what another one holds."""
    like = f"{kind.translate(_GLOB)}\0*"
    flat = await _scan(client, keys.tag, "HSCAN", keys.docs_of(follower), like, at_once=_WHOLE)
    # A scan may tell the same twice.
    return list({one.key: one for one in documents_of(follower, flat)}.values())


async def _scan(
    client: Client, tag: str, command: str, key: str, like: str = "*", at_once: int = _SCANNED_AT_ONCE
) -> list[bytes]:
    """Return what a set or a hash holds: for certain, what it holds all the time. The same may come twice."""
    while True:
        found: list[bytes] = []
        cursor, turns = b"0", client.turns
        while True:
            words = (command, key, cursor, "MATCH", like, "COUNT", at_once)
            begins = cursor == b"0"
            cursor, some = await client.call(tag, *words, raw=True)
            if begins:
                turns = client.turns
            elif client.turns != turns:
                break  # perhaps another server answered, to which the cursor of the first one means something else
            found += some
            if cursor == b"0":
                return found


def documents_of(follower: FollowerId, flat: Sequence[bytes]) -> Iterator[Document]:
    """Read fields and bodies, one after the other."""
    for name, body in zip(flat[::2], flat[1::2], strict=True):
        kind, _, rest = name.decode().partition("\0")
        yield Document(follower, kind, rest, body)
