"""Signers on a folder of a test, with a key that anybody may know."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from tests.builders import ALICE, NOW, POLYGON
from tests.plugins.stores import in_place
from tests.signing.test_guard import BUY, MAKER, POLICY
from trio_copy.clock import wall_clock_from
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey, keccak
from trio_copy.ports import InThread, Spending
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.signers import KeySigner, OpenSigners, open_signers

SECRET = b"\x5a" * 32
HOT = WalletTable(key="env:HOT", address=MAKER, policy=POLICY)
WALLET = Wallet(follower=ALICE, address=MAKER, name="hot")


@define
class Troubles:
    told: list[tuple[str, str]] = field(factory=list)

    def __call__(self, kind: str, detail: str) -> None:
        self.told.append((kind, detail))


def lines_in(folder: Path) -> list[str]:
    """Return what stands in the journal, oldest first."""
    return [line for path in sorted(folder.glob("signed-*")) for line in path.read_text().splitlines()]


@define
class Writes:
    """Runs what a journal has a thread do, a moment later, and counts what of it has written."""

    folder: Path
    count: int = 0

    async def __call__(self, run: Callable[[], Any]) -> Any:
        await trio.sleep(0.005)
        before = len(lines_in(self.folder))
        result = run()
        self.count += len(lines_in(self.folder)) > before
        return result


def arm_hot(folder: Path, until: float = NOW + 86_400, **changes: Any) -> None:
    """Arm the wallet of these tests, for its own limits or others."""
    arm(folder, MAKER, {**limits_of(POLICY, POLYGON), **changes}, until)


@asynccontextmanager
async def opened(
    folder: Path, *, in_thread: InThread = in_place, troubles: Troubles | None = None, since: float = NOW
) -> AsyncGenerator[OpenSigners, None]:
    async with open_signers(
        folder=folder,
        wallets={"hot": HOT},
        keys={"hot": SecretKey(SECRET)},
        chain_id=POLYGON,
        wall=wall_clock_from(since),
        in_thread=in_thread,
        on_trouble=Troubles() if troubles is None else troubles,
    ) as signers:
        yield signers.only(frozenset({"hot"}), orders=True)


def signer_in(signers: OpenSigners) -> KeySigner:
    signer = signers.of(WALLET)
    assert signer is not None
    return signer


def wanted(key: str, **changes: Any) -> Spending:
    return evolve(BUY, key=IntentKey(key), **changes)


def digest(key: str, body: bytes = b"") -> bytes:
    return keccak(key.encode() + body)


def try_to_sign(signers: OpenSigners, key: str, body: bytes = b"", **changes: Any) -> bool:
    """Ask for a signature; returns whether there was one."""
    answer = signer_in(signers).sign(wanted(key, **changes), digest(key, body))
    return not isinstance(answer, Reason)


async def try_to_leave(signers: OpenSigners, key: str, body: bytes = b"", **changes: Any) -> bool:
    """Let an order go that was signed somewhere; returns whether it might. Raises `OrderNotSent` without a reason of the guard's."""
    try:
        await signer_in(signers).release(wanted(key, **changes), digest(key, body))
    except OrderNotSent as error:
        if error.reason is None:
            raise
        return False
    return True


async def try_to_send(signers: OpenSigners, key: str, body: bytes = b"", **changes: Any) -> bool:
    """Ask for a signature, and let the order go; returns whether it might."""
    return try_to_sign(signers, key, body, **changes) and await try_to_leave(signers, key, body, **changes)
