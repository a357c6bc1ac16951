"""How many logs a second become fills, against json and eth-abi?"""

import json
from collections.abc import Sequence

from eth_abi.abi import decode

from bench.samples import frames
from bench.timing import cpu_per_item, row
from trio_copy.chain import rpc
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.cli.synthetic import POLYGON

COUNT = 5_000
TYPES = ["uint8", "uint256", "uint256", "uint256", "uint256", "bytes32", "bytes32"]


def ours(sample: Sequence[bytes]) -> None:
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2}))
    for frame in sample:
        notification = rpc.decode_frame(frame)
        assert isinstance(notification, rpc.Notification)
        decoder.decode(rpc.decode_log(notification.result, POLYGON))


def baseline(sample: Sequence[bytes]) -> None:
    for frame in sample:
        log = json.loads(frame)["params"]["result"]
        decode(TYPES, bytes.fromhex(log["data"][2:]))


def main() -> None:
    sample = frames(COUNT, 0.0)
    print(f"decode: frame of {len(sample[0])} bytes to a fill, {COUNT} frames, best of 5")
    slow = cpu_per_item(lambda: baseline(sample), COUNT)
    row("json.loads + eth_abi.decode, nothing checked", slow)
    row("ours, checked, to a Fill", cpu_per_item(lambda: ours(sample), COUNT), slow)


if __name__ == "__main__":
    main()
