"""What names say by themselves in Polymarket's Protocol V2: a token which question it answers, a question which event it is of.

Of the 32 bytes of a token, the first is the kind of its question, 16 are a hash, 2 say how many questions the event has, 8
are zero, 2 are the chain that decides, 2 say which question of the event it is, and the last is the answer. Tokens of other
contracts are hashes: that one of them looks like this, nobody will see.
"""

from trio_copy.model.ids import Hash32, TokenId

_ZEROS = ((1 << 64) - 1) << 40
_TWO_ANSWERS, _NEGATIVE_RISK = 1, 2
_NO = 1
"""The second answer; the first one, YES, is 0."""
_OF_EVENT = f"0x{_NEGATIVE_RISK:02x}"
_CONDITION_DIGITS, _EVENT_DIGITS = len("0x") + 2 * 32, len("0x") + 2 * 29
"""An event is named by the first 29 bytes of each of its questions."""


def is_protocol_v2(token: TokenId) -> bool:
    """Tell whether a token is one of Protocol V2, by its name alone; it may stand for several questions together."""
    return not token & _ZEROS


def condition_of(token: TokenId) -> Hash32:
    """Return the condition of a token of Protocol V2: 31 bytes and a zero."""
    return Hash32(f"0x{token >> 8 << 8:064x}")


def is_condition(name: int) -> bool:
    """Tell whether a number names a condition of two answers, alone or of negative risk."""
    return is_protocol_v2(TokenId(name)) and not name & 0xFF and name >> 248 in (_TWO_ANSWERS, _NEGATIVE_RISK)


def answer_of(token: TokenId) -> tuple[Hash32, int] | None:
    """Return the condition of a token and the slot of its answer; None where its name does not say them."""
    answer = token & 0xFF
    # Numbers first: it is asked of everything that is held, again and again, and most tokens are hashes.
    return (condition_of(token), answer) if answer <= _NO and is_condition(token - answer) else None


def event_of(condition: str) -> str | None:
    """Return the event of negative risk that a condition, 0x and 64 hex digits, is of; None where it is of none.

    Of the questions of such an event at most one comes true. The contract tells of that one; what is left of the others is
    decided by it, and no log names them.
    """
    if not condition.startswith(_OF_EVENT) or len(condition) != _CONDITION_DIGITS:
        return None
    try:
        name = int(condition, 16)
    except ValueError:
        return None
    return condition[:_EVENT_DIGITS] if is_condition(name) else None
