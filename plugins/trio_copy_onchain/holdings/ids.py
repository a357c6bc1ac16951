"""Which token an outcome of a condition is, by Gnosis' Conditional Tokens: a point on a curve, hashed with the collateral."""

from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.native import keccak

_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Of the curve alt_bn128: y**2 = x**3 + 3."""
_ODD = 1 << 254


def collection_id(condition: Hash32, index_set: int) -> Hash32:
    """Return the name of some outcomes, a bit of `index_set` for each, of a condition that stands in no other one."""
    x = int.from_bytes(keccak(bytes.fromhex(condition[2:]) + index_set.to_bytes(32)))
    odd = x >> 255
    while True:
        x = (x + 1) % _FIELD
        square = (pow(x, 3, _FIELD) + 3) % _FIELD
        y = pow(square, (_FIELD + 1) // 4, _FIELD)
        if y * y % _FIELD == square:
            break
    # Of the two points, the hash's first bit says which; in the name, one bit says so.
    return Hash32(f"0x{x ^ _ODD if odd else x:064x}")


def token_of(collateral: Address, condition: Hash32, index_set: int) -> TokenId:
    """Return the token that stands for some outcomes of a condition, in some collateral."""
    packed = bytes.fromhex(collateral[2:]) + bytes.fromhex(collection_id(condition, index_set)[2:])
    return TokenId(int.from_bytes(keccak(packed)))


def condition_of(oracle: Address, question: Hash32, outcomes: int) -> Hash32:
    """Return the condition that an oracle decides, of so many outcomes."""
    packed = bytes.fromhex(oracle[2:]) + bytes.fromhex(question[2:]) + outcomes.to_bytes(32)
    return Hash32("0x" + keccak(packed).hex())
