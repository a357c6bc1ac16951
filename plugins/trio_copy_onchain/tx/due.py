"""What is to be done next for a wallet's nonces, in their order: a later one waits for all that are before it. Pure."""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Hash32
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import Binding


class Next(Enum):
    SEND = "the same bytes, to every node"
    BUMP = "the same again, dearer; where that is over the cap, the same bytes"
    CANCEL = "what does nothing in its place: it would be late"
    GIVE_UP = "free its nonce: nothing of it is anywhere, and it would be late"
    FILL = "what does nothing: later ones wait behind the gap"


@frozen
class Due:
    nonce: int
    what: Next


def due(
    nonces: Nonces,
    known: Collection[Hash32],
    *,
    at: float,
    patience_s: float,
    again_at: Mapping[int, float] | None = None,
) -> Sequence[Due]:
    """Say what is to be done now. `known` are the hashes that some node has, mined or not; `again_at` tells since when
    nonces wait once more that a reorg took back.

    Only the first that waits is bumped: behind it no fee helps.
    """
    found, first = list[Due](), _first(nonces)
    for nonce in sorted({*nonces.bindings, *nonces.gaps}):
        binding = nonces.bindings.get(nonce)
        waited_s = at - max((again_at or {}).get(nonce, 0.0), 0.0 if binding is None else binding.newest.at)
        long = waited_s >= patience_s
        if binding is None:
            # What one node says is used is filled when somebody has waited for it: a node may be behind for a moment.
            what = Next.FILL if nonce >= nonces.first_free or _waits_long(nonces, nonce, at, patience_s) else None
        else:
            what = _next(binding, nonces.latest, known, at, long and nonce == first)
        found += [Due(nonce, what)] if what is not None else ()
    return found


def _first(nonces: Nonces) -> int:
    """Return the first nonce that is not mined, as far as that is known: a node that is behind does not hide it."""
    nonce = nonces.latest
    while (binding := nonces.bindings.get(nonce)) is not None and binding.mined is not None:
        nonce += 1
    return nonce


def _waits_long(nonces: Nonces, gap: int, at: float, patience_s: float) -> bool:
    return any(at - one.sendings[0].at >= patience_s for nonce, one in nonces.bindings.items() if nonce > gap)


def _next(binding: Binding, latest: int, known: Collection[Hash32], at: float, long: bool) -> Next | None:
    if binding.mined is not None or binding.nonce < latest or binding.leaving:
        return None  # it is used, by one of its own or by another: final blocks tell
    if binding.may_leave(at) is None:
        return Next.GIVE_UP if binding.refused else Next.CANCEL
    if long:
        return Next.BUMP
    return None if any(one.hash in known for one in binding.sendings) else Next.SEND
