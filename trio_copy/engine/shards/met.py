"""Which signals a shard has met: the first copy counts, and a trade that a reorg took back is known when it comes again. Sync."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import cast

from attrs import define, evolve, field, frozen

from trio_copy.accounts.plain import Plain, PlainError
from trio_copy.model.ids import Hash32, SignalId, second_signal_id
from trio_copy.model.signals import Signal

CREDIT_S = 600.0
"""How long a retracted trade is taken for the same one when it comes in another transaction."""


@frozen
class New:
    """Nobody has decided about it; or somebody had, and died before anything of that was written down."""

    first: SignalId
    """The identity to decide about it under."""


@frozen
class Copy:
    """It was met before; nothing changes."""


@frozen
class Adopted:
    """It is a trade that a reorg had taken back."""

    first: SignalId
    """The identity that it was met under first."""


@frozen
class Unsure:
    """It may be a retracted trade in another transaction; nobody can say before all of its block is known."""


@define(eq=False)
class _Known:
    first: SignalId
    at: float
    blocks: set[Hash32]
    transaction: Hash32 | None
    """The one that it stands in, or stood in last: its name may be that of another one, which a reorg replaced."""
    transactions: set[Hash32]
    credit_key: tuple[str, ...] | None
    retracted_at: float | None = None
    number: int = -1
    """Of the block that it was met in last; -1 where an earlier owner did not write it down."""
    unseen_since: float | None = None
    """Since when its block is being read again without it: a reorg may have taken it back while nobody looked."""
    passed: bool = False
    """Whether a checkpoint has passed it: everything of it has had its effect."""
    decided: bool = True
    """Whether its tasks are here, or had their effect; not those of an earlier owner who had only met it."""

    def may_come_back(self, now: float) -> bool:
        """Tell whether it is gone, or seems to be, and not for so long that its like is another trade."""
        gone_at = self.unseen_since if self.retracted_at is None else self.retracted_at
        return gone_at is not None and gone_at > now - CREDIT_S


@define(eq=False)
class Met:
    """Remembers signals for `ttl_s`; what is older can only end as too old."""

    ttl_s: float
    _known: OrderedDict[SignalId, _Known] = field(factory=OrderedDict)
    _old: OrderedDict[SignalId, float] = field(factory=OrderedDict)
    """Signals of earlier runs, or deep under the checkpoint, and when they were met: only that they were."""
    _credits: dict[tuple[str, ...], dict[SignalId, _Known]] = field(factory=dict)
    """Retracted and unseen signals that may come back under another hash; of each key the oldest first."""
    _disputed: OrderedDict[tuple[str, ...], float] = field(factory=OrderedDict)
    """The same keys of signals that one source took back and another one brought again, and when: one of them is behind a reorg."""
    _changed: dict[tuple[str, SignalId], None] = field(factory=dict)
    _retracted: set[SignalId] = field(factory=set)
    """The first identities of those that are out of the chain at the moment: derived, and few."""

    def __contains__(self, signal: object) -> bool:
        """Tell whether a signal would change nothing any more, also if its accounts did not know it."""
        known = self._known.get(cast("SignalId", signal))
        return signal in self._old if known is None else known.decided

    def meet(self, signal: Signal, now: float, *, whole: bool) -> New | Copy | Adopted | Unsure:
        """Take note of a signal.

        Retracted, it is adopted: as is one with the `credit_key` of a signal that was retracted in the last ten minutes,
        the oldest such one, each once, and none that was of the same transaction, where another fill is one of its own.
        That needs a `whole` block, one of which everything was met before: what was retracted may stand in it itself. So does
        a signal whose like has just come back to where it was: it may be gone for good, and this one be the same trade.
        What has not been seen since its block is read again (`read_from`) counts as retracted.
        """
        known = self._known.get(signal.signal_id)
        if known is None:
            if signal.signal_id in self._old:
                return Copy()
            known = self._credited(signal, now)
            if known is None and not whole and self._disputed.get(signal.credit_key or (), 0.0) > now - CREDIT_S:
                return Unsure()
            if known is None:
                self._known[signal.signal_id] = _Known(
                    signal.signal_id,
                    now,
                    {signal.block_hash},
                    signal.tx_hash,
                    {signal.tx_hash},
                    signal.credit_key,
                    number=signal.block_number,
                )
                if signal.credit_key is not None:
                    # With the first effect of it, not when the checkpoint passes it: should this owner die, and a reorg mine it
                    # in another transaction, the next one has to know that it is the same trade.
                    self._changed["met", signal.signal_id] = None
                return New(signal.signal_id)
            if not whole:
                return Unsure()
            self._known[signal.signal_id] = known
        elif known.retracted_at is None:
            if known.unseen_since is not None:
                known.unseen_since = None
                known.blocks.clear()  # where it stood before, it need not stand any more
                self._drop_credit(known)  # nothing was written down of it, and nothing is
            known.blocks.add(signal.block_hash)
            known.number = max(known.number, signal.block_number)
            known.credit_key = signal.credit_key  # an earlier owner kept no more of it than that he met it
            return Copy() if known.decided else _decide(known)
        if known.credit_key is not None and known.transaction == signal.tx_hash:
            self._dispute(known.credit_key, now)
        known.blocks, known.number = {signal.block_hash}, signal.block_number
        known.retracted_at = known.unseen_since = None
        self._retracted.discard(known.first)
        known.transaction = signal.tx_hash
        known.transactions.add(signal.tx_hash)
        # However it came back: what stands in the chain again must not be taken for one more trade.
        self._lose_credit(known)
        if len(known.transactions) > 1:
            # At once, not when the checkpoint passes it: read again after a crash, none of its names must look new, and each
            # has to say in which transaction it stands. Looked for among all: it is rare, as any reorg is.
            self._changed.update({("met", name): None for name, one in self._known.items() if one is known})
        return Adopted(known.first) if known.decided else _decide(known)

    def own_name(self, signal: Signal) -> Signal:
        """Name a trade anew whose first name another transaction has: when that was taken for it, it was not there yet."""
        while True:
            known = self._known.get(signal.signal_id)
            if known is None or known.transaction is None or known.transaction == signal.tx_hash:
                return signal
            own = second_signal_id(signal.signal_id)
            if known.retracted_at is not None and self.first_of(own) is None:
                return signal  # it is what was retracted, and has come back
            signal = evolve(signal, signal_id=own)

    def retract(self, signal: Signal, now: float) -> SignalId | None:
        """Take note that a reorg took a signal back out of its block.

        Returns the identity that it was met under first; None when nobody met it, or it lives on in another block.
        """
        known = self._known.get(signal.signal_id)
        if known is None or known.retracted_at is not None:
            return None
        known.blocks.discard(signal.block_hash)
        if known.blocks:
            return None
        known.retracted_at, known.unseen_since = now, None
        self._retracted.add(known.first)
        known.credit_key = signal.credit_key  # one of an earlier owner had none
        if known.credit_key is not None:
            self._credits.setdefault(known.credit_key, {})[known.first] = known
        self._changed["retracted", known.first] = None
        return known.first

    def miss(self, signal: Signal, now: float) -> None:
        """Take note of a signal that came, and is gone again, while nobody had the shard, unless it was met before.

        Whoever had it last may have decided about it without a word here: come back, in another transaction as well, it is
        decided about under this name, which the accounts know if he did.
        """
        if self.first_of(signal.signal_id) is None:
            blocks, transactions = {signal.block_hash}, {signal.tx_hash}
            self._known[signal.signal_id] = _Known(
                signal.signal_id, now, blocks, signal.tx_hash, transactions, signal.credit_key, decided=False
            )

    def read_from(self, number: int, now: float) -> None:
        """Take note that everything above a block is read again, with what a reorg took back while nobody looked left out."""
        for known in self._known.values():
            if known.number > number and known.retracted_at is None and known.credit_key is not None:
                known.unseen_since = now
                self._credits.setdefault(known.credit_key, {})[known.first] = known

    def is_retracted(self, first: SignalId) -> bool:
        """Tell whether a signal is out of the chain at the moment."""
        known = self._known.get(first)
        return known is not None and known.retracted_at is not None

    @property
    def retracted(self) -> Set[SignalId]:
        """The signals that are out of the chain at the moment, by their first identities."""
        return self._retracted

    def first_of(self, signal: SignalId) -> SignalId | None:
        """Return the identity that a signal was met under first; None where nobody met it."""
        known = self._known.get(signal)
        return known.first if known is not None else signal if signal in self._old else None

    def passed(self, signals: Iterable[SignalId]) -> None:
        """Take note that the checkpoint is about to pass some signals: from then on, only this remembers them."""
        for signal in signals:
            known = self._known.get(signal)
            if known is not None:
                known.passed = True
                self._changed["met", signal] = None

    def forget(self, now: float, *, settled_before: float) -> None:
        """Forget what nobody can bring any more, and the details of what no reorg can take back any more."""
        while self._known:
            signal, known = next(iter(self._known.items()))
            if known.at > max(settled_before, now - self.ttl_s) or known.may_come_back(now):
                break
            del self._known[signal]
            self._old[signal] = known.at
            self._retracted.discard(signal)
            if known.retracted_at is not None:
                self._lose_credit(known)
            elif known.unseen_since is not None:
                self._drop_credit(known)
        while self._old:
            signal, at = next(iter(self._old.items()))
            if at > now - self.ttl_s:
                break
            del self._old[signal]
            self._changed["met", signal] = None

    def take_changes(self) -> Sequence[tuple[str, SignalId, Plain | None]]:
        """Return the documents that changed since the last call, by kind and name; None for those to be deleted."""
        changed = [(kind, signal, self._document(kind, signal)) for kind, signal in self._changed]
        self._changed.clear()
        return changed

    def documents(self) -> Iterator[tuple[str, SignalId, Plain]]:
        """Return all documents."""
        for signal in (*self._old, *self._known):
            body = self._document("met", signal)
            assert body is not None
            yield "met", signal, body
        for known in self._known.values():
            body = self._document("retracted", known.first)
            if body is not None:
                yield "retracted", known.first, body

    def load(self, documents: Mapping[tuple[str, str], Plain]) -> None:
        """Read what an earlier owner of the shard had met. Raises `PlainError` for what is no such document.

        Of what he had decided about, and no checkpoint had passed, the tasks may be gone with him: it is decided anew.
        """
        try:
            for (kind, name), body in documents.items():
                if kind == "retracted":
                    self._load_retracted(SignalId(name), *body)
            met = sorted((body[1], name, body) for (kind, name), body in documents.items() if kind == "met")
            for _, name, body in met:
                self._load_met(SignalId(name), *body)
            self._known = OrderedDict(sorted(self._known.items(), key=lambda item: item[1].at))
        except (ValueError, TypeError, IndexError) as error:
            raise PlainError(f"expected stored signals that were met: {error}") from error

    def _load_retracted(
        self,
        first: SignalId,
        _version: int,
        at: float,
        retracted_at: float,
        key: Sequence[str] | None,
        transactions: Sequence[str],
    ) -> None:
        credit_key, hashes = None if key is None else tuple(key), set(map(Hash32, transactions))
        known = _Known(first, at, set(), _only(hashes), hashes, credit_key, retracted_at, decided=False)
        self._known[first] = known
        self._retracted.add(first)
        if credit_key is not None:
            self._credits.setdefault(credit_key, {})[first] = known

    def _load_met(
        self, signal: SignalId, _version: int, at: float, first: SignalId, passed: bool, where: Plain | None
    ) -> None:
        if where is None:
            self._old[signal] = at
            return
        known, (blocks, transactions, *more) = self._known.get(first), where
        transaction, key, number = (*more, None, None, None)[:3]
        if known is None:
            if not passed and first == signal and key is None:
                return  # nobody else has its name, and nothing else would be taken for it
            hashes = set(map(Hash32, transactions))
            known = _Known(first, at, set(map(Hash32, blocks)), _only(hashes), hashes, None, decided=False)
        if transaction is not None:
            known.transaction = Hash32(transaction)
        if key is not None and number is not None:
            known.credit_key, known.number = tuple(key), max(known.number, number)
        self._known[first] = self._known[signal] = known
        if passed:
            known.passed = known.decided = True

    def _document(self, kind: str, signal: SignalId) -> Plain | None:
        known = self._known.get(signal)
        if kind == "retracted":
            if known is None or known.retracted_at is None:
                return None
            return [1, known.at, known.retracted_at, known.credit_key, sorted(known.transactions)]
        if known is None:
            at = self._old.get(signal)
            return None if at is None else [1, at, signal, True, None]
        where: Plain = [sorted(known.blocks), sorted(known.transactions)]
        if known.credit_key is not None and known.number >= 0:
            where.extend((known.transaction, known.credit_key, known.number))
        elif len(known.transactions) > 1:
            where.append(known.transaction)
        return [1, known.at, known.first, known.passed, where]

    def _lose_credit(self, known: _Known) -> None:
        self._drop_credit(known)
        self._changed["retracted", known.first] = None

    def _drop_credit(self, known: _Known) -> None:
        credits = self._credits.get(known.credit_key or ())
        if credits is not None:
            credits.pop(known.first, None)
            if not credits:
                del self._credits[known.credit_key or ()]

    def _dispute(self, credit_key: tuple[str, ...], now: float) -> None:
        self._disputed[credit_key] = now
        self._disputed.move_to_end(credit_key)
        while next(iter(self._disputed.values())) <= now - CREDIT_S:
            self._disputed.popitem(last=False)

    def _credited(self, signal: Signal, now: float) -> _Known | None:
        for known in self._credits.get(signal.credit_key or (), {}).values():
            if known.may_come_back(now) and signal.tx_hash not in known.transactions:
                return known
        return None


def _only(hashes: set[Hash32]) -> Hash32 | None:
    """Return the one of several that there is."""
    return next(iter(hashes)) if len(hashes) == 1 else None


def _decide(known: _Known) -> New:
    known.decided = True
    return New(known.first)
