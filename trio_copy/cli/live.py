"""What has to be so before an engine trades with money: wallets armed by a person, keys at hand."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import trio

from trio_copy.cli.question_of_secret import who_answers
from trio_copy.cli.suggest import suggested
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.native import SecretKey
from trio_copy.ports import to_thread_run_sync
from trio_copy.signing.arming import Arming, limits_of, read_arming
from trio_copy.signing.keys import open_keys, place_of, warning_of
from trio_copy.telemetry.visible import visible


def open_for_live(plan: Plan, conf: Path) -> dict[str, SecretKey]:
    """Return the keys of the wallets that followers pay with, by wallet; none on paper.

    Raises:
        ConfigError: a wallet is not armed, or a key cannot be opened.
    """
    wallets = plan.settings.live_wallets()
    if not wallets:
        return {}
    unarmed = dict(_unarmed(plan))
    if unarmed:
        told = ", ".join(f"{name} ({why})" for name, why in unarmed.items())
        raise ConfigError([f"{conf}: not armed: {told}; to do so: {suggested('arm', *unarmed, conf=conf)}"])
    for name, wallet in wallets.items():
        if (warning := warning_of(place_of(name, wallet))) is not None:
            sys.stderr.write(visible(f"trio-copy: wallet.{name}.key: {warning}") + "\n")
    return trio.run(open_keys, wallets, who_answers(), plan.redactor.learn, to_thread_run_sync)


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
