"""Play money: an executor that would move money, at the venue inside the process, for wallets whose keys are made for one run.

Only with [devnet], and on paper: the venue's address is written over whatever the configuration says, and the keys hold
nothing anywhere else. What live needs stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import evolve, frozen

from trio_copy.clock import anchored_wall_clock
from trio_copy.config import Settings
from trio_copy.config.settings import FollowerTable
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.plan import Plan
from trio_copy.entropy import unguessable
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey, keccak, require_native
from trio_copy.signing.arming import arm, limits_of

_ARMED_S = 86_400.0
_MADE = "env:MADE_FOR_THIS_RUN"
"""Stands where a live wallet names its key. Nobody reads it: the key is at hand."""
_KINDS = (SignatureType.EOA, SignatureType.DEPOSIT, SignatureType.SAFE, SignatureType.PROXY)


@frozen(kw_only=True)
class PlayMoney:
    folder: Path
    """Where this run keeps what it signs, and that its wallets are armed; gone with it."""
    wallets: dict[FollowerId, tuple[str, WalletTable]]
    """Of each follower, with the wallet's name."""
    keys: dict[str, SecretKey]
    """By wallet."""

    def stage(self, settings: Settings) -> Settings:
        """Return settings in which these wallets pay."""
        return evolve(
            settings,
            signing=evolve(settings.signing, folder=str(self.folder)),
            wallet={**settings.wallet, **dict(self.wallets.values())},
            follower=tuple(self._paid(one) for one in settings.follower),
        )

    def _paid(self, table: FollowerTable) -> FollowerTable:
        return evolve(table, wallet=self.wallets[table.id][0]) if table.id in self.wallets else table


@contextmanager
def open_play_money(plan: Plan, now: float | None = None) -> Iterator[PlayMoney | None]:
    """Make wallets for a run with play money, and arm them while the block runs; None where there is none to play with.

    Each follower gets one of another kind in turn, with as much at the venue as its paper wallet has.

    Raises:
        PluginError: what signs is not installed.
    """
    if not plan.plays:
        yield None
        return
    require_native()
    movers = {executor.name for executor in plan.executors if executor.plugin.moves_money}
    wallets: dict[FollowerId, tuple[str, WalletTable]] = {}
    keys: dict[str, SecretKey] = {}
    for table in plan.settings.follower:
        if table.executor in movers and table.wallet is not None:
            name, key, kind = f"{table.wallet}.{table.id}", SecretKey(unguessable(32)), _KINDS[len(keys) % len(_KINDS)]
            paper = evolve(plan.settings.wallet[table.wallet], key=_MADE, signature_type=kind)
            keys[name], wallets[table.id] = key, (name, evolve(paper, address=_address(key, kind)))
    with TemporaryDirectory(prefix="trio-copy-play-money-") as folder:
        until = (anchored_wall_clock()() if now is None else now) + _ARMED_S
        for _, wallet in wallets.values():
            assert wallet.address is not None
            arm(Path(folder), wallet.address, limits_of(wallet.policy, plan.settings.chain.chain_id), until)
        yield PlayMoney(folder=Path(folder), wallets=wallets, keys=keys)


def _address(key: SecretKey, kind: SignatureType) -> Address:
    """Return a wallet's address: the key's own, or one that nobody else has."""
    if kind is SignatureType.EOA:
        return key.address
    return Address("0x" + keccak(bytes((kind,)) + bytes.fromhex(key.address[2:]))[-20:].hex())
