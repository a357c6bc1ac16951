"""What the pools of a chain ask as a tip at least, in wei per gas, whatever a node's own history says."""

from collections.abc import Mapping

from trio_copy.model.ids import ChainId

GWEI = 10**9
_FLOORS: Mapping[int, int] = {137: 25 * GWEI, 80002: 25 * GWEI}
"""Of Polygon and its test chain: below it, their pools take nothing."""
_LEAST_TIP = 1


def floor_of(chain_id: ChainId) -> int:
    """Return the least tip that the pools of a chain take."""
    return _FLOORS.get(chain_id, _LEAST_TIP)
