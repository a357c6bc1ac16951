"""What a plan asks for that nobody would give it: it starts, and then nothing of it is ever copied. Sync and pure.

`run` does not refuse it, because what is missing may come while it runs; whoever checks a configuration wants to know.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from trio_copy.chain.decoders.erc1155 import Erc1155Decoder
from trio_copy.chain.decoders.fpmm import FpmmDecoder
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder
from trio_copy.chain.decoders.pool import PoolDecoder
from trio_copy.chain.decoders.resolutions import ResolutionDecoder
from trio_copy.chain.handshake import handshake_of
from trio_copy.copying.exits import sized_by_mark
from trio_copy.copying.needs import CLOSES, FACTS, PRICES
from trio_copy.engine.plan import Plan, PlannedExecutor
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.counts import counted
from trio_copy.model.fills import Kind
from trio_copy.model.follow_settings import RESTING, FollowSettings
from trio_copy.model.follows import Follow, TermsOfFollows
from trio_copy.model.ids import ZERO_ADDRESS, ChainId

_POLYGON = ChainId(137)
_OURS = (OrderFilledDecoder, Erc1155Decoder, FpmmDecoder, PoolDecoder, ResolutionDecoder)
_POLYGONS = {"order-filled": "exchanges", "erc1155": "contracts", "resolutions": "contracts"}
"""Decoders of ours whose contracts are Polymarket's by default, and the setting that names others."""
_ON_PAPER = "dry-run"
"""An executor of ours that knows the prices and books which it is told; what one of somebody else knows, nobody here can say."""
_UNSET = FollowSettings()
_Group = tuple[FollowSettings, list[Follow]]


def lacking(plan: Plan, follows: Collection[Follow], read_facts: Callable[[], Collection[TokenFacts]]) -> list[str]:
    """Return a line for everything that could not work, as a problem of the configuration reads.

    Facts are read only where a setting needs them.
    """
    problems = list(_foreign_contracts(plan))
    if not follows:
        problems.append(
            "follow: expected at least one; add a [[follow]], or one to the store with `trio-copy follow add FOLLOWER LEADER`"
        )
    terms = plan.settings.terms()
    known = [follow for follow in follows if follow.follower in terms.followers]
    problems += [
        f"follow {follow.name} ({follow.source}): expected the id of a [[follower]], got {follow.follower}"
        for follow in follows
        if follow.follower not in terms.followers
    ]
    by_settings: dict[int, _Group] = {}
    for follow in known:
        settings = terms.of(follow).settings
        # Equal settings are shared: a book of a million follows has few of them.
        by_settings.setdefault(id(settings), (settings, []))[1].append(follow)
    groups = list(by_settings.values())
    # What a market source knows, nobody can say before it is asked.
    asked = FACTS if plan.markets is None else ()
    needed = {path: users for path in asked if (users := _users(groups, partial(_sets, path)))}
    facts = read_facts() if needed else ()
    for path, users in needed.items():
        name = FACTS[path]
        if not facts:
            problems.append(
                f"{path}: needs facts about markets: expected [markets.NAME], or [catalog] with a file, got none{_who(users)}"
            )
        elif not any(getattr(fact, name) not in (None, "") for fact in facts):
            problems.append(f'{path}: needs "{name}", and no token of the catalog has it{_who(users)}')
    return [
        *problems,
        *_same_nodes(plan),
        *_no_wallets(plan, follows),
        *_unpriced(plan, terms, groups),
        *_walletless(terms, groups),
        *_unread_kinds(plan, groups),
        *_cannot_rest(plan, groups),
    ]


def _cannot_rest(plan: Plan, groups: Iterable[_Group]) -> Iterator[str]:
    """Yield the executors that are asked to let orders rest, and cannot: refused, or never filled by anything."""
    followers = plan.settings.terms().followers
    resting = _users(groups, lambda of: of.execution.order_type in RESTING)
    for executor in sorted(plan.executors, key=lambda one: one.name):
        why = _why_none_rests(plan, executor)
        users = [follow for follow in resting if followers[follow.follower].executor == executor.name]
        if why is not None and users:
            yield f"execution.order_type: expected FAK or FOK, because {why}, got {' or '.join(RESTING)}{_who(users)}"


def _why_none_rests(plan: Plan, executor: PlannedExecutor) -> str | None:
    if not executor.plugin.rests:
        return f"no order of executor {executor.name} rests"
    if executor.plugin.name != _ON_PAPER:
        return None
    # On paper, only what a later book offers fills an order that rests.
    if plan.markets is None:
        return f"no [markets.NAME] tells executor {executor.name} of books, which alone fill what rests on paper"
    if executor.settings.price_source != "book":
        return f'executor.{executor.name}.price_source is not "book", and books alone fill what rests on paper'
    return None


def _unpriced(plan: Plan, terms: TermsOfFollows, groups: list[_Group]) -> Iterator[str]:
    """Say what needs prices, of followers whose executor has none of its own."""
    # Without a source, the market of a devnet quotes by itself.
    if plan.markets is not None or plan.settings.devnet is not None:
        return
    unpriced = {one.name for one in plan.executors if one.plugin.name == _ON_PAPER}
    for path in (*PRICES, *CLOSES):
        uses = partial(_closes if path in CLOSES else _sets, path)
        users = [one for one in _users(groups, uses) if terms.followers[one.follower].executor in unpriced]
        if users:
            yield f"{path}: needs prices: expected [markets.NAME], got none{_who(users)}"


def _walletless(terms: TermsOfFollows, groups: list[_Group]) -> Iterator[str]:
    users = [one for one in _users(groups, sized_by_mark) if terms.followers[one.follower].paper_usd is None]
    if users:
        yield f"size.equity_by: needs a paper wallet: expected [wallet.NAME], and wallet in the [[follower]], got none{_who(users)}"


def _unread_kinds(plan: Plan, groups: Iterable[_Group]) -> Iterator[str]:
    decoders = plan.decoders.values()
    # What a decoder of somebody else tells, nobody here knows.
    if any(not isinstance(one, _OURS) or (isinstance(one, Erc1155Decoder) and one.moves) for one in decoders):
        return
    users = _users(groups, lambda of: of.filters.kinds - {Kind.TRADE})
    wanted = sorted({kind.value for settings, _ in groups for kind in settings.filters.kinds - {Kind.TRADE}})
    if users:
        yield f"filters.kinds: {', '.join(wanted)} needs [decoder.erc1155] with moves = true{_who(users)}"


def _same_nodes(plan: Plan) -> Iterator[str]:
    """Say which endpoints are one node: what two nodes have to agree on, it would agree on with itself."""
    first: dict[tuple[str, str], str] = {}
    for index, endpoint in enumerate(plan.settings.endpoint):
        handshake = handshake_of(endpoint.url)
        name = first.setdefault((handshake.host.lower(), handshake.target.rstrip("/")), endpoint.name)
        if name != endpoint.name:
            yield f"endpoint[{index}].url: expected a node of its own, got the URL of {name} ({endpoint.name})"


def _no_wallets(plan: Plan, follows: Collection[Follow]) -> Iterator[str]:
    """Say which leaders are a contract that others trade through, such as an exchange, or nobody: they have no trade of their own."""
    ours = [one for one in plan.decoders.values() if isinstance(one, _OURS)]
    contracts = {address for one in ours for read in one.filters((ZERO_ADDRESS,)) for address in read.addresses}
    users = [follow for follow in follows if follow.leader in contracts or follow.leader == ZERO_ADDRESS]
    if users:
        what = "nobody's address" if users[0].leader == ZERO_ADDRESS else "a contract that others trade through"
        yield f"leader: expected a wallet, got {users[0].leader}, {what}{_who(users)}"


def _foreign_contracts(plan: Plan) -> Iterator[str]:
    settings = plan.settings
    if settings.brings_chain or settings.chain.chain_id == _POLYGON:
        return
    for table in settings.decoder:
        name = _POLYGONS.get(table.plugin)
        if name is not None and name not in table.options:
            yield (
                f"decoder.{table.name}.{name}: expected the contracts of chain {settings.chain.chain_id},"
                f" got none: those it has by default are of Polygon ({_POLYGON})"
            )


def _sets(path: str, settings: FollowSettings) -> bool:
    return bool(_value(path, settings) != _value(path, _UNSET))


def _closes(path: str, settings: FollowSettings) -> bool:
    return _value(path, settings) == "close"


def _value(path: str, settings: FollowSettings) -> object:
    table, _, name = path.partition(".")
    return getattr(getattr(settings, table), name)


def _users(groups: Iterable[_Group], uses: Callable[[FollowSettings], object]) -> list[Follow]:
    return [follow for settings, follows in groups if uses(settings) for follow in follows]


def _who(users: list[Follow]) -> str:
    more = f" and {counted(len(users) - 1, 'more follow')}" if len(users) > 1 else ""
    return f": {users[0].name}{more}"
