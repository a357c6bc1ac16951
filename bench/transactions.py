"""How many transactions a second are signed, against eth-account, with coincurve on both sides?"""

from functools import partial
from typing import Any

from attrs import evolve

from bench.timing import RUNS, cpu_per_item, row
from trio_copy.model.ids import Address, ChainId
from trio_copy.native import SecretKey
from trio_copy.recursion import same_recursion_limit
from trio_copy.transactions.transaction import Transaction, read_signed

with same_recursion_limit():
    from eth_account import Account
    from eth_keys.backends.coincurve import CoinCurveECCBackend
    from eth_keys.main import KeyAPI
    from eth_utils.address import to_checksum_address

COUNT = 1_000
_SECRET = b"\x11" * 32
_CALLDATA = bytes(420)
"""As much as a swap, or a purchase through a Safe."""
_ONE = Transaction(
    chain_id=ChainId(137), nonce=0, tip=30 * 10**9, max_fee=90 * 10**9, gas=300_000, to=Address("0x" + "ab" * 20),
    data=_CALLDATA,
)  # fmt: skip


def ours(key: SecretKey) -> None:
    for nonce in range(COUNT):
        evolve(_ONE, nonce=nonce).signed(key.sign)


def reading(raw: bytes) -> None:
    for _ in range(COUNT):
        read_signed(raw)


def official() -> None:
    # The checksum costs it as much as anybody's: without one, eth-account refuses the address.
    fields: dict[str, Any] = {
        "type": 2, "chainId": 137, "maxPriorityFeePerGas": _ONE.tip, "maxFeePerGas": _ONE.max_fee, "gas": _ONE.gas,
        "to": to_checksum_address(_ONE.to), "value": 0, "data": _CALLDATA,
    }  # fmt: skip
    account = Account.from_key(_SECRET)
    for nonce in range(COUNT):
        account.sign_transaction({**fields, "nonce": nonce})


def main() -> None:
    print(f"transactions: {COUNT} of EIP-1559 with {len(_CALLDATA)} bytes of calldata, processor time, best of {RUNS}")
    Account._keys = KeyAPI(CoinCurveECCBackend())
    key = SecretKey(_SECRET)
    theirs = cpu_per_item(official, COUNT)
    row("eth-account's sign_transaction, with coincurve", theirs)
    row("ours", cpu_per_item(partial(ours, key), COUNT), theirs)
    row("read again, and whose it is", cpu_per_item(partial(reading, _ONE.signed(key.sign).raw), COUNT))


if __name__ == "__main__":
    main()
