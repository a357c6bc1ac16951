"""Has what a person agreed to done, by the engine that owns the wallet's shard, or by the command where none does."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import define, field, frozen

from trio_copy.chain.dial import dial_network
from trio_copy.cli.asked import new_name
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.live import LiveKeys, open_their_fleets
from trio_copy.cli.opened import ask_store
from trio_copy.cli.progress import telling
from trio_copy.cli.question_of_secret import who_answers
from trio_copy.cli.suggest import pasteable
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.people.act_requests import ask_act as act_request
from trio_copy.engine.people.acting import ask_act, open_acting, owner_of
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.entropy import system_entropy
from trio_copy.errors import ConfigError, Refused, Unanswered
from trio_copy.model.follows import Follower
from trio_copy.model.orders import Wallet
from trio_copy.native import require_native
from trio_copy.ports import ActReport, Deed, Done, PlannedAct, Store
from trio_copy.signing.fleets import expect_operators
from trio_copy.signing.keys import open_key, place_of
from trio_copy.signing.process import keep_out_of_dumps
from trio_copy.telemetry.observer import Observer
from trio_copy.telemetry.visible import visible

SENT_WITHIN_S = 300.0
"""An act that has not left by then does not leave any more."""
_PATIENCE_S = 1800.0
"""On some chains a block is final after a quarter of an hour."""
_WEI = 10**18
_ENDS = (Done.LANDED, Done.REFUSED)
Told = Callable[[int, ActReport], None]
"""Hears how the act at a place stands."""


@frozen
class _Alerts(Observer):
    """Lets a person at the terminal hear what goes wrong meanwhile."""

    conf: Path | None

    def on_alert(self, kind: str, detail: str) -> None:
        sys.stderr.write(visible(f"trio-copy: {kind}: {pasteable(detail, self.conf)}") + "\n")


def seams_of(plan: Plan, keys: LiveKeys | None = None) -> Seams:
    """Return what a command takes from the world; to be called inside Trio."""
    keys = keys or LiveKeys()
    return Seams(
        dial=dial_network,
        wall=anchored_wall_clock(),
        entropy=system_entropy(),
        observer=_Alerts(plan.path),
        keys=keys.wallets,
        fleets=keys.fleets,
    )


def have_done(
    plan: Plan, follower: Follower, wallet: Wallet, deed: Deed, planned: Sequence[PlannedAct], told: Told
) -> Sequence[ActReport]:
    """Have acts done one after the other, each once the one before is mined; returns what became of each.

    `wallet` is the follower's, or the one that refuels its fleet. It ends at the first that does not happen: what follows is
    not begun, and has no report. `told` hears every change.

    Raises:
        ConfigError: the store lives inside an engine's process; the key of the wallet cannot be opened.
    """
    shard = plan.shard_of(follower.follower)

    async def by_owner(store: Store) -> Sequence[ActReport] | None:
        if await owner_of(store, shard) is None:
            return None
        return await _Row(store, shard, wallet, deed, planned, told).run()

    done = ask_store(plan, by_owner, make=True)
    if done is not None:
        return done
    tune_interpreter()
    keys = _keys_of(plan, follower)
    with telling("waiting for the chain"):
        return trio.run(_stand_in, plan, keys, follower, wallet, deed, planned, told)


async def _stand_in(
    plan: Plan,
    keys: LiveKeys,
    follower: Follower,
    wallet: Wallet,
    deed: Deed,
    planned: Sequence[PlannedAct],
    told: Told,
) -> Sequence[ActReport]:
    async with open_acting(plan, seams_of(plan, keys), follower, new_name("command")) as acting:
        return await _Row(acting.store, acting.owner.number, wallet, deed, planned, told).run()


def _keys_of(plan: Plan, follower: Follower) -> LiveKeys:
    require_native()
    keep_out_of_dumps()
    name = follower.wallet_name
    wallet = plan.settings.wallet[name]
    try:
        if wallet.fleet is None:
            return LiveKeys(wallets={name: open_key(place_of(name, wallet), who_answers(), plan.redactor.learn)})
        fleets, troubles = open_their_fleets(plan, [name])
        if wallet.fleet in fleets:
            expect_operators(name, wallet, fleets[wallet.fleet])
            return LiveKeys(fleets=fleets)
        why = troubles[wallet.fleet]
    except ValueError as error:
        why = str(error)
    raise ConfigError([f"{why}; nobody runs that could sign it: nothing was sent"])


@define(eq=False)
class _Row:
    """Acts of a wallet, in their order."""

    store: Store
    shard: int
    wallet: Wallet
    deed: Deed
    planned: Sequence[PlannedAct]
    told: Told
    _reports: list[ActReport] = field(factory=list)

    async def run(self) -> Sequence[ActReport]:
        async with trio.open_nursery() as nursery:
            for place, one in enumerate(self.planned):
                self._reports.append(ActReport(done=Done.PENDING))
                goes_on = trio.Event()
                nursery.start_soon(self._ask, place, one, goes_on)
                await goes_on.wait()
                if self._reports[place].done not in (Done.MINED, Done.LANDED):
                    break
        return self._reports

    async def _ask(self, place: int, one: PlannedAct, goes_on: trio.Event) -> None:
        def note(report: ActReport) -> None:
            self._reports[place] = report
            self.told(place, report)
            if report.done is Done.MINED:
                goes_on.set()

        now = anchored_wall_clock()()
        asked = act_request(new_name("act"), self.wallet, self.deed, one, now + SENT_WITHIN_S, now)
        try:
            note(await ask_act(self.store, self.shard, asked, self.wallet.follower, note, _PATIENCE_S))
        except Refused as error:
            note(ActReport(done=Done.REFUSED, why=str(error)))
        except Unanswered as error:
            note(ActReport(done=Done.PENDING, transaction=self._reports[place].transaction, why=str(error)))
        goes_on.set()


def coins(wei: int) -> str:
    """Write an amount of the chain's coin as people read it, rounded up to the sixth decimal."""
    micro = -(-wei * 1_000_000 // _WEI)
    whole, part = divmod(micro, 1_000_000)
    return f"{whole}.{part:06}".rstrip("0").rstrip(".")
