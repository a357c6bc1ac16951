"""What the venue says where it does not do what it was asked: the texts that its clients have met."""

from collections.abc import Mapping


class Refused(Exception):
    """A request is answered by a refusal."""

    def __init__(self, status: int, text: str, **more: str | int) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.more: Mapping[str, str | int] = more
        """Besides the text: what else stands in the body."""


INVALID_PAYLOAD = "Invalid order payload"
NO_L1 = "Invalid L1 Request headers"
NO_L2 = "Unauthorized/Invalid api key"
NO_BOOK = "No orderbook exists for the requested token id"
NOT_OWNER = "the order owner has to be the owner of the API KEY"
NOT_SIGNER = "the order signer address has to be the address of the API KEY"
DEPOSIT_WALLET_FLOW = "maker address not allowed, please use the deposit wallet flow"
FOK_KILLED = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
CROSSES = "invalid post-only order: order crosses book"
NOT_READY = "service not ready"
DISABLED = "Trading is currently disabled. Check polymarket.com for updates"
CANCEL_ONLY = "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
POST_ONLY = "post-only mode: only post-only orders and cancels are allowed"
TOO_MANY = "Too Many Requests"
GONE = "order can't be found - already canceled or matched"
HELD = "cannot cancel because the order is in pending/delayed status"

BY_STATUS: Mapping[int, str] = {
    401: NO_L2,
    404: "not found",
    425: NOT_READY,
    429: TOO_MANY,
    500: "Internal server error",
    503: DISABLED,
}
"""What stands in an answer of which only the status was asked for."""


def invalid(order_id: str, why: str) -> Refused:
    """Refuse an order that breaks a rule of its market."""
    return Refused(400, f"order {order_id} is invalid. {why}")
