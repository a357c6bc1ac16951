"""Of which orders a journal cannot tell whether they were sent: it was lost, and they were open already when it began anew.

Written down as `CHAIN/began`, `[1, [key, ...]]`, as soon as a shard is taken: with the shard's first write, and so before
any order that is placed later. Of such a later one, a key without a binding was never sent.
"""

from typing import Any

import msgspec

from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import ChainId, IntentKey
from trio_copy.ports import Journal
from trio_copy.records import write_plain

_READ = msgspec.json.Decoder(list[Any])


def older_orders(journal: Journal, chain_id: ChainId) -> frozenset[IntentKey]:
    """Return the keys of open orders that are older than a journal, which begins here where it has not begun.

    Raises:
        InvariantBroken: what is written down cannot be read; nothing may be sent.
    """
    name, open_keys = f"{chain_id}/began", frozenset(journal.open_keys())
    written = journal.documents().get(name)
    older = open_keys if written is None else _keys_in(written) & open_keys
    body = write_plain([1, sorted(older)])
    if body != written:
        journal.put(name, body)
    return older


def _keys_in(written: bytes) -> frozenset[IntentKey]:
    try:
        _, keys = _READ.decode(written)
        return frozenset(IntentKey(str(key)) for key in keys)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise InvariantBroken(f"since when is written down what was sent cannot be read: {error}") from error
