"""All looks at the wallets of one executor."""

from collections.abc import Sequence

import trio

from trio_copy.model.orders import Wallet
from trio_copy.ports import Contracts, ExecutorContext, Finding
from trio_copy_clob.examining.at_venue import (
    AtVenue,
    examine_clock,
    examine_region,
    examine_signature,
    venue_signer,
)
from trio_copy_clob.examining.derived import examine_address
from trio_copy_clob.examining.on_chain import OnChain
from trio_copy_clob.sending.calling import Caller
from trio_copy_clob.sending.limits import Turns, limits_of_reads
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.settings import ClobSettings
from trio_copy_clob.transport import H11Transport

_AT_ONCE = 8


async def examine(context: ExecutorContext, contracts: Contracts) -> Sequence[Finding]:
    """Look at the venue, and at each wallet; see `ports.executor.Examine`."""
    settings: ClobSettings = context.settings
    transport = H11Transport(open_socket=context.open_socket, timeout_s=settings.timeout_s)
    caller = Caller(transport=transport, url=settings.clob_url.rstrip("/"))
    geoblock = Caller(transport=transport, url=settings.geoblock_url)
    clock, reads = VenueClock(context.wall), limits_of_reads(settings.limits_used)
    at_once, of_wallets = trio.CapacityLimiter(_AT_ONCE), dict[str, list[Finding]]()

    async def look(wallet: Wallet) -> None:
        async with at_once:
            of_wallets[wallet.name] = await _examine_wallet(
                context, contracts, wallet, caller, clock, reads, settings.timeout_s
            )

    try:
        # First of all the venue's time: what is signed is signed with it.
        findings = [await examine_clock(caller, clock, settings.timeout_s)]
        findings.append(await examine_region(geoblock, settings.timeout_s))
        async with trio.open_nursery() as nursery:
            for wallet in context.wallets:
                nursery.start_soon(look, wallet)
    finally:
        await transport.aclose()
    return [*findings, *(one for wallet in context.wallets for one in of_wallets[wallet.name])]


async def _examine_wallet(
    context: ExecutorContext,
    contracts: Contracts,
    wallet: Wallet,
    caller: Caller,
    clock: VenueClock,
    reads: Turns,
    wait_s: float,
) -> list[Finding]:
    signers, address, chain_id = context.signers, wallet.address, context.chain_id
    assert address is not None  # live wallets have one
    signer = None if signers is None else signers.of(wallet)
    owner = signer.address if signer is not None else address if wallet.signature_type == 0 else None
    chain = OnChain(context, contracts, wallet, address, signer)
    known = None if signer is None else venue_signer(signer, caller, clock, reads, chain_id)
    code, deployed = await chain.code()
    found = [
        examine_address(wallet, owner, chain_id),
        await chain.owner(deployed=deployed),
        code,
        examine_signature(wallet, signer, chain_id, clock.now()),
        await chain.signature(),
        *await chain.approvals(),
        *await AtVenue(wallet, known, wait_s).examine(await chain.cash()),
    ]
    return [one for one in found if one is not None]
