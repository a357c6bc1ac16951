"""Takes over a configuration that is read again, as far as that is possible while an engine runs."""

from collections.abc import Mapping

from attrs import define

from trio_copy.config import Settings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.housekeeping import Housekeeping
from trio_copy.engine.sending.execution import Execution
from trio_copy.errors import ConfigError
from trio_copy.signing.signers import OpenSigners

_PARTS = (
    "engine",
    "chain",
    "endpoint",
    "plugins",
    "devnet",
    "anvil",
    "shards",
    "executor",
    "store",
    "decoder",
    "markets",
    "signing",
)
"""Tables that are in force only after a restart."""


@define(eq=False, kw_only=True)
class Reloading:
    settings: Settings
    """Those that the engine was started with."""
    book: FollowBook
    executions: Mapping[str, Execution]
    signers: OpenSigners | None
    housekeeping: Housekeeping

    async def apply(self, settings: Settings) -> list[str]:
        """Take over the follows and followers of a reloaded configuration; returns what needs a restart instead.

        Raises:
            ConfigError: a follower wants an executor that does not run; nothing was changed.
        """
        new, old = settings.terms(), self.settings
        unknown = {name for name in (f.executor for f in new.followers.values()) if name not in self.executions}
        if unknown:
            raise ConfigError(
                [f"executor {name} is not running, and only a restart starts it" for name in sorted(unknown)]
            )
        keys = () if self.signers is None else self.signers.by_name
        unopened = [name for name in settings.live_wallets() if name not in keys]
        if unopened:
            raise ConfigError(
                [f"the key of wallet {name} is not open, and only a restart opens it" for name in unopened]
            )
        # Tasks of followers that left the file may still be under way: their accounts stay known.
        new.followers.named = {**self.book.terms.followers.named, **new.followers.named}
        await self.housekeeping.reload_follows(settings, new)
        return _needs_restart(old, settings)


def _needs_restart(old: Settings, new: Settings) -> list[str]:
    changed = [part for part in _PARTS if getattr(old, part) != getattr(new, part)]
    # What is signed at most was shown to whoever armed it: it changes with a restart, and never by a reload.
    changed += ["wallet"] if old.live_wallets() != new.live_wallets() else []
    return [*changed, "fleet"] if old.live_fleets() != new.live_fleets() else changed
