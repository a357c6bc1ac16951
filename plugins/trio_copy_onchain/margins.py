"""How much more gas than was estimated a call may use: more of a token whose calls have run short in their blocks."""

from collections import OrderedDict

from attrs import define, field

from trio_copy.model.ids import IntentKey, TokenId

_LEAST_BPS, _MOST_BPS = 1_000, 20_000
"""The least margin that is doubled, and the greatest."""
_TOKENS = 1_000
_DOUBLINGS = 8


@define(eq=False)
class Margins:
    usual_bps: int
    _short: OrderedDict[TokenId, set[IntentKey]] = field(factory=OrderedDict)

    def note_short(self, token_id: TokenId, key: IntentKey) -> None:
        """Take note that a key's transaction took more gas than it had; told again, it counts once."""
        keys = self._short.setdefault(token_id, set())
        if len(keys) < _DOUBLINGS:
            keys.add(key)
        self._short.move_to_end(token_id)
        if len(self._short) > _TOKENS:
            self._short.popitem(last=False)

    def of(self, token_id: TokenId) -> int:
        """Return the margin of a call for a token, in basis points: twice as much for each that ran short."""
        short = len(self._short.get(token_id, ()))
        return min(max(self.usual_bps, _LEAST_BPS) << short, _MOST_BPS) if short else self.usual_bps
