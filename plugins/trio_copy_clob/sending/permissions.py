"""What the venue lets a signer do, and the place from which it is asked."""

from attrs import frozen

from trio_copy.errors import ExecutorError
from trio_copy_clob.sending.bodies import object_of
from trio_copy_clob.sending.calling import Caller, NoReply
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.limits import Tier, tier_of
from trio_copy_clob.sending.looking import read
from trio_copy_clob.wire import clean

_LONGEST_NAME = 20


@frozen(kw_only=True)
class Region:
    blocked: bool
    name: str

    def __str__(self) -> str:
        return f"the venue says that {self.name} is {'blocked' if self.blocked else 'not blocked'}"


async def read_tier(signer: VenueSigner, until: float) -> Tier:
    """Learn the tier of a signer, and keep to it.

    Raises:
        ExecutorError: nobody answers, or not with a tier.
    """
    told = await _told(signer, "/v1/user/rate-limit-tier", until)
    tier = tier_of(str(told.get("tier") or ""))
    signer.limits.set_tier(tier)
    return tier


async def is_closed_only(signer: VenueSigner, until: float) -> bool:
    """Tell whether a signer may only leave what it holds.

    Raises:
        ExecutorError: nobody answers, or not with that.
    """
    closed = (await _told(signer, "/auth/ban-status/closed-only", until)).get("closed_only")
    if not isinstance(closed, bool):
        raise ExecutorError("/auth/ban-status/closed-only: expected closed_only, true or false")
    return closed


async def read_region(caller: Caller, path: str, until: float) -> Region:
    """Ask whether the place is blocked from which this machine is seen.

    Raises:
        ExecutorError: nobody answers, or not with that.
    """
    reply = await caller.call("GET", path, headers={}, until=until, repeatable=True)
    if isinstance(reply, NoReply):
        raise ExecutorError(f"{path}: {reply.why}")
    try:
        told = object_of(reply.body)
    except ValueError as error:
        raise ExecutorError(f"{path}: {error}") from None
    if reply.status != 200 or not isinstance(told.get("blocked"), bool):
        raise ExecutorError(f"{path}: expected blocked, true or false")
    names = [clean(told.get(part) or "")[:_LONGEST_NAME] for part in ("country", "region")]
    return Region(blocked=told["blocked"], name="-".join(filter(None, names)) or "this place")


async def _told(signer: VenueSigner, path: str, until: float) -> dict[str, object]:
    body = await read(signer, path, until)
    try:
        return object_of(body or b"")
    except ValueError as error:
        raise ExecutorError(f"{path}: {error}") from None
