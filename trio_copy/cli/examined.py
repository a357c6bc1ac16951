"""What a doctor finds: keys and nodes by ourselves, all else by the plugins of the executors that trade for the wallets."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from trio_copy.chain.contracts import ContractReader, open_contracts
from trio_copy.chain.dial import Dial
from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.clock import WallClock
from trio_copy.config import to_checksum
from trio_copy.engine.plan import Plan, PlannedExecutor
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import system_entropy
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import ExecutorContext, Finding, Health, OpenSocket, TransactionPolicy
from trio_copy.signing.access import AccessSigners
from trio_copy.sockets import open_socket

_NOBODY = FollowerId("")


@frozen(kw_only=True)
class Keys:
    """The keys that could be opened, and why the others could not; by wallet."""

    opened: Mapping[str, SecretKey]
    troubles: Mapping[str, str]
    operators: Mapping[str, tuple[SecretKey, ...]] = field(factory=dict)
    """Of wallets with a fleet, all who may send what they do; `opened` has the first of them."""


async def examine_wallets(
    plan: Plan, names: Sequence[str], keys: Keys, dial: Dial, wall: WallClock, open_socket: OpenSocket = open_socket
) -> list[Finding]:
    """Look at live wallets; what is about all of them comes first."""
    settings = plan.settings
    found: list[Finding] = []
    # A devnet in the process has none of the venue's contracts.
    endpoints = () if settings.devnet is not None else settings.endpoint
    engine, entropy = settings.engine, system_entropy()
    nodes = open_nodes(
        dial=dial,
        endpoints=endpoints,
        paces={endpoint.name: Pace() for endpoint in endpoints},
        chain=settings.chain,
        entropy=entropy,
        quarantine=lambda kind, detail: None,
        on_trouble=lambda kind, detail: None,
        next_wait=lambda: Backoff(engine.backoff_base_s, engine.backoff_max_s, entropy).next_wait,
    )
    async with open_contracts(dial, endpoints, settings.chain, entropy) as contracts, nodes as connections:
        for planned in plan.executors:
            wallets = tuple(_wallet(plan, name) for name in names if _trades_for(planned, name, plan))
            if not wallets:
                continue
            if planned.plugin.examine is None:
                text = f"the executor {planned.name} says nothing that could be looked at"
                found += (_of(wallet.name, "executor", Health.UNKNOWN, text) for wallet in wallets)
                continue
            context = ExecutorContext(
                name=planned.name,
                settings=planned.settings,
                wall=wall,
                quotes=None,
                signers=AccessSigners(keys.opened, keys.operators),
                wallets=wallets,
                chain_id=settings.chain.chain_id,
                nodes=connections if endpoints else None,
                open_socket=open_socket,
                policies={wallet.name: _policy(plan, wallet.name) for wallet in wallets},
            )
            found += await planned.plugin.examine(context, contracts)
        found[:0] = _nodes(plan, contracts)  # last, for some node may have stopped to answer meanwhile
    found += (_key(name, keys) for name in names)
    places = {"": 0, **{name: place for place, name in enumerate(names, 1)}}
    # A key comes before all that hangs on it, and people read wallet by wallet.
    return sorted(found, key=lambda one: (places.get(one.wallet, len(places)), one.check != "key"))


def _nodes(plan: Plan, contracts: ContractReader) -> Iterator[Finding]:
    if plan.settings.devnet is not None:
        yield _of("", "nodes", Health.UNKNOWN, "a devnet has no contracts that could be asked")
        return
    for endpoint in plan.settings.endpoint:
        check, why = f"node {endpoint.name}", contracts.lost.get(endpoint.name)
        if why is None:
            yield _of("", check, Health.GOOD, f"chain {plan.settings.chain.chain_id}, asked about contracts")
        else:
            yield _of("", check, Health.BAD, why, f"the url of [[endpoint]] {endpoint.name}, or another node")


def _key(name: str, keys: Keys) -> Finding:
    key = keys.opened.get(name)
    if key is None:
        advice = "its place, or its passphrase; `trio-copy keys check` tries again"
        return _of(name, "key", Health.BAD, keys.troubles[name], advice)
    return _of(name, "key", Health.GOOD, f"opened, of {to_checksum(key.address)}")


def _trades_for(planned: PlannedExecutor, name: str, plan: Plan) -> bool:
    """Tell whether an executor trades for a wallet, or might: one that nobody pays with yet is looked at by all of them."""
    named = {one.executor for one in plan.settings.follower if one.wallet == name}
    return planned.name in named if named else planned.plugin.moves_money


def _wallet(plan: Plan, name: str) -> Wallet:
    table = plan.settings.wallet[name]
    follower = next((one.id for one in plan.settings.follower if one.wallet == name), _NOBODY)
    return Wallet(
        follower=follower,
        address=table.address,
        name=name,
        signature_type=table.signature_type,
        fleet=table.fleet or "",
    )


def _policy(plan: Plan, name: str) -> TransactionPolicy:
    policy = plan.settings.wallet[name].policy
    return TransactionPolicy(
        contracts=policy.contracts,
        collateral=policy.collateral,
        collateral_decimals=policy.collateral_decimals,
        outcome_decimals=policy.outcome_decimals,
        conditional=policy.conditional,
        multisend=policy.multisend,
        max_day_gas=policy.max_day_gas,
    )


def _of(wallet: str, check: str, health: Health, text: str, advice: str = "") -> Finding:
    return Finding(check=check, health=health, text=text, advice=advice, wallet=wallet)
