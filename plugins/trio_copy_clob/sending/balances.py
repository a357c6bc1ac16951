"""What the venue believes that a wallet has. It remembers, and reads the chain again where it is asked to."""

from attrs import frozen

from trio_copy.errors import ExecutorError
from trio_copy.model.ids import TokenId
from trio_copy_clob.sending.bodies import object_of
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.looking import read

_MOST_SPENDERS = 50
_LONGEST_NUMBER = 78
"""Digits of a uint256."""


@frozen(kw_only=True)
class Balance:
    """Of one asset, in millionths."""

    amount: int
    allowances: tuple[tuple[str, int], ...]
    """How much of it each spender may take."""


def asset(token_id: TokenId | None, exchange: str, signature_type: int) -> list[tuple[str, str]]:
    """Name what is asked for as the venue does: the shares of a token, or with None the collateral."""
    of_type = [("signature_type", str(signature_type))]
    if token_id is None:
        return [("asset_type", "COLLATERAL"), *of_type]
    kind = "CONDITIONAL-V2" if exchange == "v3" else "CONDITIONAL"
    return [("asset_type", kind), ("token_id", str(token_id)), *of_type]


async def refresh_balance(signer: VenueSigner, of: list[tuple[str, str]], until: float) -> None:
    """Let the venue read a balance, and its allowances, from the chain again.

    Raises:
        ExecutorError: nobody answers.
    """
    await read(signer, "/balance-allowance/update", until, of)


async def read_balance(signer: VenueSigner, of: list[tuple[str, str]], until: float) -> Balance:
    """Return what the venue believes.

    Raises:
        ExecutorError: nobody answers, or not with a balance.
    """
    body = await read(signer, "/balance-allowance", until, of)
    try:
        told = object_of(body or b"")
        return Balance(amount=_units(told.get("balance")), allowances=_allowances(told.get("allowances") or {}))
    except ValueError as error:
        raise ExecutorError(f"a balance that cannot be read: {error}"[:200]) from None


def _allowances(told: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(told, dict) or len(told) > _MOST_SPENDERS:
        raise ValueError("expected some allowances")
    return tuple((str(who).lower()[:42], _units(most)) for who, most in told.items())


def _units(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ValueError("expected a number of millionths")
    return int(text)
