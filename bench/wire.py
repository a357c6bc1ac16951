"""How long from the bytes of a frame to the sized intents of 100 followers?"""

import time

from bench.samples import LEADER, frames
from bench.timing import percentile
from trio_copy.chain import rpc
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.feed import SeenLog
from trio_copy.cli.synthetic import POLYGON
from trio_copy.copying.decide import decide
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.gate.reader import LogReader
from trio_copy.model.catalog import Catalog
from trio_copy.model.follows import EVERYBODY, Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.signals import Signal
from trio_copy.model.units import Ratio

COUNT = 2_000
NOW = 1_764_000_000.0


def main() -> None:
    print(f"wire to decision: frame bytes to sized tasks, {COUNT} frames, nothing shared between followers")
    for followers in (1, 10, 100):
        lags = sorted(_lags(followers))
        p50, p99 = percentile(lags, 0.5), percentile(lags, 0.99)
        print(
            f"  {followers:>4} followers   p50 {1e3 * p50:7.3f} ms   p99 {1e3 * p99:7.3f} ms   (goal: p99 under 5 ms at 100)"
        )
    empty = sorted(_empty_lags())
    print(
        f"  baseline: parse the frame only   p50 {1e3 * percentile(empty, 0.5):7.3f} ms   p99 {1e3 * percentile(empty, 0.99):7.3f} ms"
    )


def _lags(count: int) -> list[float]:
    names = [FollowerId(f"f{number}") for number in range(count)]
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    # Every follower has settings of his own, so that no decision is shared.
    book.replace_all(
        Follow(follower=name, leader=LEADER, own=layer({"size.ratio": Ratio(10_000 + number)}))
        for number, name in enumerate(names)
    )
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2}))
    reader = LogReader(
        decoders=dict.fromkeys(decoder.topics, decoder),
        book=book,
        quarantine=lambda kind, detail: None,
        on_fill=lambda fill, signal_id, source: None,
    )
    lags = []
    for frame in frames(COUNT, NOW):
        started = time.perf_counter()
        notification = rpc.decode_frame(frame)
        assert isinstance(notification, rpc.Notification)
        log = rpc.decode_log(notification.result, POLYGON)
        for signal in reader.read(SeenLog(log, "node", NOW)):
            assert isinstance(signal, Signal)
            follows = book.of(signal.leader)
            tasks, _ = decide(signal, follows, everybody, now=NOW, deadline_s=5.0, catalog=Catalog())
            assert len(tasks) == count
        lags.append(time.perf_counter() - started)
    return lags


def _empty_lags() -> list[float]:
    lags = []
    for frame in frames(COUNT, NOW):
        started = time.perf_counter()
        rpc.decode_frame(frame)
        lags.append(time.perf_counter() - started)
    return lags


if __name__ == "__main__":
    main()
