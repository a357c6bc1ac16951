"""What must hold in each small world, whatever has happened."""

from tests.model_check.state import COST, World, Wrong
from tests.model_check.worlds import HALF, Accounts, Scenario
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import intent_key


class Promises:
    """Looks at a world, and raises `Wrong`."""

    scenario: Scenario
    accounts: Accounts

    def check_venue(self, world: World) -> None:
        """Nothing is bought twice, no name stands for two bodies, and no cap is passed."""
        filled: dict[tuple[str, str], int] = {}
        bodies: dict[str, bytes] = {}
        spent: dict[str, int] = {}
        for order, what in world.venue:
            frozen = self.accounts.orders[order]
            if bodies.setdefault(order[0], order[1]) != order[1]:
                raise Wrong("two bodies under one name")
            if what == "kill":
                continue
            (task,) = [one for one in self.accounts.tasks.values() if _is_of(order[0], one)]
            whose = (task.signal.signal_id, task.follower)
            filled[whose] = filled.get(whose, 0) + 1
            if filled[whose] > 1:
                raise Wrong(f"doubled: {task.follower} has two fills of one signal")
            if frozen.side is Side.BUY:
                spent[task.follower] = spent.get(task.follower, 0) + COST
        cap, day = self.scenario.settings.caps.max_exposure_usd, self.scenario.day
        if cap is not None and any(amount > cap.micro for amount in spent.values()):
            raise Wrong("over a cap")
        if day is not None and not sum(spent.values()) <= world.store.drawn <= day:
            raise Wrong("over a cap: more is spent of the common day than was drawn")

    def check_end(self, world: World) -> None:
        """Nothing is lost: each follow of each signal has one end, and the books are what the venue says."""
        store, scenario = world.store, self.scenario
        kinds = dict(store.facts)
        stays = scenario.stays
        if scenario.reorg and not world.reorged:
            stays = tuple(name for item in scenario.before for name in item.signals)
        for follower in scenario.followers:
            held = self.accounts.read(follower, frozenset(store.documents))
            if held.account.orders:
                raise Wrong("an order is open at the end")
            for name in stays:
                task = self.accounts.task_of(scenario.signals[name].signal_id, follower)
                if kinds.get(task.task_id) not in ("filled", "ended"):
                    raise Wrong(f"lost: {follower} never heard the end of {name}")
            bought = 0
            for order, what in world.venue:
                frozen = self.accounts.orders[order]
                if frozen.wallet.follower == follower:
                    filled = 0 if what == "kill" else frozen.shares.micro // (2 if what in HALF else 1)
                    bought += filled if frozen.side is Side.BUY else -filled
            held_now = sum(one.now.shares.micro - one.now.oversold.micro for one in held.account.holdings.values())
            if held_now != bought:
                raise Wrong(f"the books of {follower} say {held_now}, the venue says {bought}")


def _is_of(key: str, task: CopyTask) -> bool:
    return any(intent_key(task.task_id, attempt) == key for attempt in range(3))
