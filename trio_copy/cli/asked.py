"""How commands that change an account put it to whoever owns the account."""

from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.people.asking import Asker
from trio_copy.engine.plan import Plan, read_facts
from trio_copy.entropy import system_entropy
from trio_copy.model.catalog import Catalog
from trio_copy.ports import Store

PATIENCE_S = 15.0
"""Longer than a lease lasts by default, so that an owner that has just died is not waited for in vain."""


def asker_of(store: Store, plan: Plan) -> Asker:
    """Return what asks the owners of a store's accounts, in the name of this command."""
    catalog = Catalog()
    catalog.put(read_facts(plan))
    return Asker(
        store=store, catalog=catalog, wall=anchored_wall_clock(), name=new_name("command"), patience_s=PATIENCE_S
    )


def new_name(kind: str) -> str:
    """Draw a name that nobody has drawn before."""
    return f"{kind}-{system_entropy().getrandbits(64):016x}"
