"""What the relayer says where it does not do what it was asked: the texts that its clients have met."""


class Refused(Exception):
    """A request is answered by a refusal."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


UNAUTHORIZED = "invalid authorization"
INVALID = "invalid payload"
BAD_SIGNATURE = "invalid signature"
LATE = "deadline too soon"
IN_FLIGHT = "wallet has in-flight action"


def busy(wallet: str) -> Refused:
    return Refused(400, f"wallet busy: {wallet} already has an active action")


def wrong_nonce(given: int, on_chain: int) -> Refused:
    return Refused(400, f"batch nonce {given} does not match on-chain nonce {on_chain}")


def blocked(at: int, target: str) -> Refused:
    return Refused(400, f"call blocked: call[{at}] blocked: calls to {target} are not permitted")


def over_quota(resets_in_s: int) -> Refused:
    return Refused(429, f"quota exceeded: 0 units remaining, resets in {resets_in_s} seconds")
