"""Play money: an executor that would move money, at a venue that the run brings along, for wallets whose keys are made for it.

Only with [devnet] or [anvil], and on paper: the venue's address is written over whatever the configuration says, and the keys
hold nothing anywhere else. What live needs stays as it is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve, frozen

from trio_copy.clock import anchored_wall_clock
from trio_copy.config import Settings
from trio_copy.config.fleets import FleetTable
from trio_copy.config.settings import FollowerTable
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.plan import Plan
from trio_copy.entropy import unguessable
from trio_copy.model.ids import Address, ChainId, FollowerId
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey, keccak, require_native
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys

_ARMED_S = 86_400.0
_MADE = "env:MADE_FOR_THIS_RUN"
"""Stands where a live wallet names its key. Nobody reads it: the key is at hand."""
_KINDS = tuple(
    (kind, 1) for kind in (SignatureType.EOA, SignatureType.DEPOSIT, SignatureType.SAFE, SignatureType.PROXY)
)
_KINDS_ON_CHAIN = ((SignatureType.EOA, 1), (SignatureType.SAFE, 1), (SignatureType.SAFE, 2))
"""With how many keys act for it."""


@frozen(kw_only=True)
class PlayMoney:
    folder: Path
    """Where this run keeps what it signs, and that its wallets are armed; gone with it."""
    wallets: dict[FollowerId, tuple[str, WalletTable]]
    """Of each follower, with the wallet's name."""
    keys: dict[str, SecretKey]
    """By wallet."""
    fleets: dict[str, FleetKeys]
    """Of wallets for which several keys act; each has a fleet of its own name."""
    until: float
    """Unix seconds up to which they are armed."""

    def trading_at(self, policy: Mapping[str, Any], chain_id: ChainId) -> "PlayMoney":
        """Return the same whose guards know the contracts of a venue, and arm its wallets for that."""
        wallets = {
            follower: (name, evolve(table, policy=evolve(table.policy, **policy)))
            for follower, (name, table) in self.wallets.items()
        }
        changed = evolve(self, wallets=wallets)
        changed.arm(chain_id)
        return changed

    def arm(self, chain_id: ChainId) -> None:
        """Arm the wallets for what their guards let pass."""
        for _, wallet in self.wallets.values():
            if wallet.address is not None:
                arm(self.folder, wallet.address, limits_of(wallet.policy, chain_id), self.until)

    def stage(self, settings: Settings) -> Settings:
        """Return settings in which these wallets pay."""
        return evolve(
            settings,
            signing=evolve(settings.signing, folder=str(self.folder)),
            wallet={**settings.wallet, **dict(self.wallets.values())},
            fleet={**settings.fleet, **{name: _made(keys) for name, keys in self.fleets.items()}},
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
    fleets: dict[str, FleetKeys] = {}
    kinds = _KINDS if plan.settings.anvil is None else _KINDS_ON_CHAIN
    for table in plan.settings.follower:
        if table.executor in movers and table.wallet is not None:
            name, (kind, many) = f"{table.wallet}.{table.id}", kinds[len(wallets) % len(kinds)]
            key, *others = (SecretKey(unguessable(32)) for _ in range(many))
            paper = plan.settings.wallet[table.wallet]
            if others:
                fleets[name] = FleetKeys(operators=(key, *others))
                paper = evolve(paper, fleet=name)
            else:
                keys[name], paper = key, evolve(paper, key=_MADE)
            wallets[table.id] = (name, evolve(paper, signature_type=kind, address=_address(key, kind)))
    with TemporaryDirectory(prefix="trio-copy-play-money-") as folder:
        until = (anchored_wall_clock()() if now is None else now) + _ARMED_S
        play = PlayMoney(folder=Path(folder), wallets=wallets, keys=keys, fleets=fleets, until=until)
        play.arm(plan.settings.chain.chain_id)
        yield play


def _made(keys: FleetKeys) -> FleetTable:
    return FleetTable(keys=(_MADE,) * len(keys.operators))


def _address(key: SecretKey, kind: SignatureType) -> Address:
    """Return a wallet's address: the key's own, or one that nobody else has."""
    if kind is SignatureType.EOA:
        return key.address
    return Address("0x" + keccak(bytes((kind,)) + bytes.fromhex(key.address[2:]))[-20:].hex())
