"""The executor behind a real guard, whose journal outlives the process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

from tests.builders import POLYGON
from tests.onchain.deployed import Deployed
from tests.onchain.executing import ALICE, Signing
from tests.onchain.faulting import KEY
from tests.plugins.stores import in_place
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd
from trio_copy.ports import InThread, Purpose, Spending
from trio_copy.ports.signing import NOT_LET_GO
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.signers import KeySigner, open_signers
from trio_copy.transactions.transaction import Transaction

_FORGOTTEN = Reason(code=Code.GUARD_REFUSED, control=NOT_LET_GO, value="a trade", limit="`release`")
WALLET = Wallet(follower=ALICE, address=KEY.address, name="main", signature_type=SignatureType.EOA)


@define(eq=False, kw_only=True)
class Guarded(Signing):
    """Signs what the guard lets pass, and remembers what that was."""

    signer: KeySigner
    refusals: list[Reason] = field(factory=list)
    forgets: bool = False
    """Whether it knows of no release, whatever was let go."""
    on_release: Callable[[], None] = lambda: None

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        answer = _FORGOTTEN if self.forgets else self.signer.sign_transaction(transaction, purpose)
        if isinstance(answer, Reason):
            self.refusals.append(answer)
        else:
            self.signed.append((transaction, purpose))
        return answer

    def sender_of(self, key: IntentKey) -> Address | None:
        return self.signer.sender_of(key)

    async def wait_counted(self) -> None:
        await self.signer.wait_counted()

    async def release(self, wanted: Spending, digest: bytes) -> None:
        await self.signer.release(wanted, digest)
        self.released.append((wanted.key, digest))
        self.on_release()


@asynccontextmanager
async def open_guarded(
    folder: Path,
    deployed: Deployed,
    wall: Callable[[], float],
    max_hour_usd: str = "250",
    in_thread: InThread = in_place,
) -> AsyncGenerator[Guarded, None]:
    """Open the signer of an account that trades at the market makers, armed, with what earlier ones wrote into the folder."""
    amms = deployed.amms
    policy = WalletPolicy(
        contracts=tuple(amm.pool for amm in amms),
        collateral=tuple({amm.usdc for amm in amms}),
        conditional=tuple({amm.ctf for amm in amms}),
        max_hour_usd=Usd.parse(max_hour_usd),
    )
    arm(folder, KEY.address, limits_of(policy, POLYGON), wall() + 86_400)
    async with open_signers(
        folder=folder,
        wallets={"main": WalletTable(key="env:MAIN", address=KEY.address, policy=policy)},
        keys={"main": KEY},
        chain_id=POLYGON,
        wall=wall,
        in_thread=in_thread,
        on_trouble=lambda kind, detail: None,
    ) as signers:
        signer = signers.of(WALLET)
        assert signer is not None
        yield Guarded(key=KEY, signer=signer)
