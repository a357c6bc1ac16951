"""Writes logs as the real contracts do; checked against real ones and against eth-abi by test."""

from collections.abc import Sequence

from trio_copy.chain.decoders import erc1155, fpmm, order_filled, resolutions
from trio_copy.chain.decoders.pool import SWAP_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, Hash32, TokenId
from trio_copy.model.units import Shares, Usd
from trio_copy.testing.devnet.chain import DevLog


def _words(*values: int) -> bytes:
    return b"".join((value % (1 << 256)).to_bytes(32, "big") for value in values)


def order_filled_log(
    *,
    exchange: Address,
    order_hash: Hash32,
    owner: Address,
    counterparty: Address,
    side: Side,
    token_id: TokenId,
    shares: Shares,
    notional: Usd,
    fee: Usd,
) -> DevLog:
    """Encode `OrderFilled` of the V2 and V3 exchanges."""
    gave, got = (notional.micro, shares.micro) if side is Side.BUY else (shares.micro, notional.micro)
    return DevLog(
        address=exchange,
        topics=(order_filled.V2_TOPIC, order_hash, address_topic(owner), address_topic(counterparty)),
        data=_words(0 if side is Side.BUY else 1, token_id, gave, got, fee.micro, 0, 0),
    )


def order_filled_v1_log(
    *,
    exchange: Address,
    order_hash: Hash32,
    owner: Address,
    counterparty: Address,
    side: Side,
    token_id: TokenId,
    shares: Shares,
    notional: Usd,
    fee: int,
) -> DevLog:
    """Encode `OrderFilled` of the V1 exchanges; the fee is in shares for a BUY."""
    if side is Side.BUY:
        data = _words(0, token_id, notional.micro, shares.micro, fee)
    else:
        data = _words(token_id, 0, shares.micro, notional.micro, fee)
    topics = (order_filled.V1_TOPIC, order_hash, address_topic(owner), address_topic(counterparty))
    return DevLog(address=exchange, topics=topics, data=data)


def transfer_single_log(
    *, contract: Address, operator: Address, sender: Address, recipient: Address, token_id: TokenId, shares: Shares
) -> DevLog:
    """Encode ERC-1155 `TransferSingle`."""
    return DevLog(
        address=contract,
        topics=(erc1155.SINGLE_TOPIC, *map(address_topic, (operator, sender, recipient))),
        data=_words(token_id, shares.micro),
    )


def transfer_batch_log(
    *,
    contract: Address,
    operator: Address,
    sender: Address,
    recipient: Address,
    moved: Sequence[tuple[TokenId, Shares]],
) -> DevLog:
    """Encode ERC-1155 `TransferBatch`."""
    count = len(moved)
    return DevLog(
        address=contract,
        topics=(erc1155.BATCH_TOPIC, *map(address_topic, (operator, sender, recipient))),
        data=_words(
            64,
            64 + 32 * (count + 1),
            count,
            *(token for token, _ in moved),
            count,
            *(shares.micro for _, shares in moved),
        ),
    )


def fpmm_log(
    *, pool: Address, owner: Address, side: Side, outcome: int, money: Usd, fee: Usd, shares: Shares
) -> DevLog:
    """Encode `FPMMBuy` or `FPMMSell`; `money` is what the owner paid, fee included, or received after it."""
    topic = fpmm.BUY_TOPIC if side is Side.BUY else fpmm.SELL_TOPIC
    return DevLog(
        address=pool,
        topics=(topic, address_topic(owner), "0x" + outcome.to_bytes(32, "big").hex()),
        data=_words(money.micro, fee.micro, shares.micro),
    )


def pool_log(*, pool: Address, sender: Address, recipient: Address, amounts: tuple[int, int]) -> DevLog:
    """Encode a pool's `Swap`; the amounts of its two tokens are those that it got, below zero what it gave."""
    root, liquidity, tick = 1 << 96, 10**18, 0
    return DevLog(
        address=pool,
        topics=(SWAP_TOPIC, address_topic(sender), address_topic(recipient)),
        data=_words(*amounts, root, liquidity, tick),
    )


def resolution_log(*, condition_id: Hash32, question_id: Hash32, payouts: Sequence[int]) -> DevLog:
    """Encode `ConditionResolution`: what a share of each slot pays, as numerators."""
    return DevLog(
        address=resolutions.CONDITIONAL_TOKENS,
        topics=(resolutions.RESOLUTION_TOPIC, condition_id, address_topic(ZERO_ADDRESS), question_id),
        data=_words(len(payouts), 64, len(payouts), *payouts),
    )


def module_resolution_log(*, module: Address, condition_id: Hash32, payouts: Sequence[int]) -> DevLog:
    """Encode `ConditionResolved` of Protocol V2: what a share of each slot pays, in millionths of a dollar."""
    return DevLog(
        address=module,
        topics=(resolutions.RESOLVED_TOPIC, condition_id),
        data=_words(32, len(payouts), *payouts),
    )
