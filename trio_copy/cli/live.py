"""What has to be so before an engine trades with money: wallets armed by a person, keys at hand."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import trio
from attrs import field, frozen

from trio_copy.cli.question_of_secret import who_answers
from trio_copy.cli.suggest import suggested
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import Settings
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address
from trio_copy.native import SecretKey
from trio_copy.ports import to_thread_run_sync
from trio_copy.signing.arming import Arming, limits_of, read_arming
from trio_copy.signing.fleets import FleetKeys, open_fleets, places_of, wrong_operators
from trio_copy.signing.keys import KeyPlace, open_keys, place_of, warning_of
from trio_copy.telemetry.visible import visible


@frozen(kw_only=True)
class LiveKeys:
    """What signs in a run."""

    wallets: Mapping[str, SecretKey] = field(factory=dict, repr=False)
    """By wallet, of those that have a key of their own."""
    fleets: Mapping[str, FleetKeys] = field(factory=dict, repr=False)
    """By fleet."""


def open_for_live(plan: Plan, conf: Path) -> LiveKeys:
    """Return the keys of the wallets that followers pay with; none on paper.

    Raises:
        ConfigError: a wallet is not armed, or a key cannot be opened, or is not whose it has to be.
    """
    wallets = plan.settings.live_wallets()
    if not wallets:
        return LiveKeys()
    unarmed = dict(_unarmed(plan))
    if unarmed:
        told = ", ".join(f"{name} ({why})" for name, why in unarmed.items())
        raise ConfigError([f"{conf}: not armed: {told}; to do so: {suggested('arm', *unarmed, conf=conf)}"])
    for place in live_places(plan.settings):
        if (warning := warning_of(place)) is not None:
            sys.stderr.write(visible(f"trio-copy: {place.where}: {warning}") + "\n")
    return trio.run(_open_all, plan)


async def _open_all(plan: Plan) -> LiveKeys:
    wallets, ask, learn = plan.settings.live_wallets(), who_answers(), plan.redactor.learn
    own = {name: wallet for name, wallet in wallets.items() if wallet.key is not None}
    keys = await open_keys(own, ask, learn, to_thread_run_sync)
    fleets = await open_fleets(plan.settings.live_fleets(), ask, learn, to_thread_run_sync)
    if problems := [*wrong_operators(wallets, keys, fleets), *torn_keys(plan, keys)]:
        raise ConfigError(problems)
    return LiveKeys(wallets=keys, fleets=fleets)


def torn_keys(plan: Plan, keys: Mapping[str, SecretKey]) -> Iterator[str]:
    """Yield which wallets cannot share a key: what one key sends has one order, given by one executor in one shard.

    Executors that write no journal send nothing by a key.
    """
    sends = {one.name for one in plan.executors if one.plugin.keeps_journal}
    first: dict[Address, tuple[str, str, int]] = {}
    for follower in plan.settings.followers().named.values():
        name, key = follower.wallet_name, keys.get(follower.wallet_name)
        if key is not None and follower.executor in sends:
            place = name, follower.executor, plan.shard_of(follower.follower)
            other = first.setdefault(key.address, place)
            if other[1:] != place[1:]:
                yield (
                    f"wallet.{name}.key: expected a key of its own, got that of wallet.{other[0]}, whose transactions another"
                    " executor or shard puts in their order; a [fleet.NAME] with that key keeps their accounts together"
                )


def open_their_fleets(plan: Plan, wallets: Sequence[str]) -> tuple[dict[str, FleetKeys], dict[str, str]]:
    """Open the fleets of some wallets; returns the keys of those that could be opened, and why the others could not."""
    fleets, troubles = dict[str, FleetKeys](), dict[str, str]()
    for name in dict.fromkeys(plan.settings.wallet[one].fleet or "" for one in wallets):
        if name:
            one = {name: plan.settings.fleet[name]}
            try:
                fleets |= trio.run(open_fleets, one, who_answers(), plan.redactor.learn, to_thread_run_sync)
            except ConfigError as error:
                troubles[name] = "; ".join(error.problems)
    return fleets, troubles


def live_places(settings: Settings) -> Iterator[KeyPlace]:
    """Yield where all keys are that a live run needs."""
    for name, wallet in settings.live_wallets().items():
        if wallet.key is not None:
            yield place_of(name, wallet)
    for name, fleet in settings.live_fleets().items():
        yield from places_of(name, fleet)


def arming_of(plan: Plan, name: str) -> Arming:
    """Tell whether a live wallet of a plan is armed."""
    wallet, chain_id = plan.settings.wallet[name], plan.settings.chain.chain_id
    assert wallet.address is not None  # the configuration was checked
    return read_arming(plan.settings.signing.path, wallet.address, limits_of(wallet.policy, chain_id))


def why_not_armed(arming: Arming, now: float) -> str | None:
    """Say why a wallet is not armed; None for one that is."""
    if arming.why_not:
        return arming.why_not
    return None if arming.armed(now) else f"expired at {moment(arming.until)}"


def moment(at: float) -> str:
    """Write a moment as people read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _unarmed(plan: Plan) -> Iterator[tuple[str, str]]:
    now = anchored_wall_clock()()
    for name in plan.settings.live_wallets():
        why = why_not_armed(arming_of(plan, name), now)
        if why is not None:
            yield name, why
