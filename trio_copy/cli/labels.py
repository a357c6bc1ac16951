"""What people call tokens, for commands that show them."""

from collections.abc import Mapping

from trio_copy.cli.opened import devnet_facts
from trio_copy.engine.plan import Plan, read_facts
from trio_copy.engine.shards.known_tokens import KIND, facts_in
from trio_copy.model.catalog import Catalog, Labels
from trio_copy.model.ids import TokenId
from trio_copy.ports import Store
from trio_copy.records import read_plain


async def labels_of(store: Store, plan: Plan) -> Mapping[TokenId, str]:
    """Return the names of tokens."""
    return Labels(await catalog_of(store, plan))


async def catalog_of(store: Store, plan: Plan) -> Catalog:
    """Return what engines on this store have learned of tokens; the catalog's file goes first."""
    catalog = Catalog()
    catalog.put(devnet_facts(plan))
    kept = await store.history.documents(KIND)
    catalog.put([facts_in(document.name, read_plain(document.body)) for document in kept])
    catalog.pin(read_facts(plan))
    return catalog
