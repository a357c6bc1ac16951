"""Outcomes that are an ERC-20 by themselves, which no executor redeems: how what they paid is written down."""

from collections.abc import Iterable

from trio_copy.cli.suggest import suggested
from trio_copy.engine.plan import Plan
from trio_copy.model.ids import TokenId
from trio_copy.model.positions import PositionKey

_LEAST, _MOST = 1 << 120, 1 << 160


def is_wrapped(token: TokenId) -> bool:
    """Tell whether a token is named by an address, and not by a hash, which is as good as never so small."""
    return _LEAST <= token < _MOST


def how_to_settle(plan: Plan, held: Iterable[PositionKey]) -> str:
    """Say how such shares of a live wallet leave the books; empty where nobody holds any."""
    followers = plan.settings.followers().named
    for follower, _, token in held:
        name = followers[follower].wallet_name if follower in followers and is_wrapped(token) else ""
        wallet = plan.settings.wallet.get(name)
        if wallet is not None and wallet.live:
            command = suggested("wallet", "settle", name, f"0x{token:040x}", "--payout", "1", conf=plan.path)
            return (
                "an outcome that is an ERC-20 is redeemed where it was made, by the wallet's own key; what a share has paid, 1 or 0,"
                f" is then written down by: {command}"
            )
    return ""
