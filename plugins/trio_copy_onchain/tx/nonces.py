"""The nonces of one wallet: which key has which, what was signed with it, and what became of it. Commands in, events out.

One key has one nonce, and one nonce one key, until the chain has decided for good. What is signed later for a key is signed
with its nonce, so that the chain takes one of them at most. A key gets another nonce only when another transaction has used
the first one in a final block. `decide` reads and answers, `apply` changes; what an event says is durable before any of its
bytes leave: `take_changes` names what has to be written, and bytes are handed out only of what was taken.

Who has used a nonce is read from final blocks. A receipt that is missing proves nothing: nodes write them down late.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from attrs import define, evolve, field

from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import Hash32, IntentKey
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.fees import replaces
from trio_copy_onchain.tx.sendings import Binding, End, Fate, Inclusion, Sending
from trio_copy_onchain.tx.texts import Proves

Part = tuple[int, IntentKey | None]
"""Names a binding's document."""
_MOST_AHEAD = 16
"""A node that counts more nonces as used than another is believed by so many."""
_MOST_OF_OTHERS = 64
"""So many transactions of a wallet may wait that are not ours; what tells of more is not believed."""


@define(eq=False)
class Nonces:
    """What is known of them. One task at a time decides, applies and sends."""

    bindings: dict[int, Binding] = field(factory=dict)
    """By nonce: what may still be mined, or be taken back."""
    freed: dict[IntentKey, Binding] = field(factory=dict)
    """What was not sent, and whose nonce is not used for good."""
    ended: dict[IntentKey, Binding] = field(factory=dict)
    """What became of keys for good, as long as somebody may ask."""
    _unpaid: dict[IntentKey, Hash32] = field(factory=dict)
    """Of those, what is ours and has not told yet what its gas has cost. Thousands have ended, and a look asks for these alone."""
    _floor: int = 0
    """Every nonce below is used for good."""
    _latest: int = -1
    """Below 0 where nobody has looked yet."""
    _began: int = 0
    """As the foremost node counted at the first look, where nothing of ours was known then: one that is behind would have
    nonces bound that are used."""
    _pending: int = 0
    _nonce_of: dict[IntentKey, int] = field(factory=dict)
    """Of the keys that are bound."""
    _changed: dict[Part, None] = field(factory=dict)

    @classmethod
    def restored(cls, bindings: Iterable[Binding]) -> "Nonces":
        """Return them as they were written down; what a node has of it is not known any more."""
        nonces = cls()
        for binding in bindings:
            if binding.end is not None and binding.key is not None:
                nonces._end(binding.key, binding)
                nonces._floor = max(nonces._floor, binding.nonce + 1)  # whatever a node says that is behind
            elif binding.unsent and binding.key is not None:
                nonces.freed[binding.key] = binding
            else:
                nonces._keep(binding)
        return nonces

    @property
    def latest(self) -> int:
        """Return how many nonces are used at the head, as far as is known."""
        return max(self._latest, self._floor)

    @property
    def first_free(self) -> int:
        """Return the first nonce that may be bound, as far as is known without what waits in a pool."""
        return max(self.latest, self._began)

    def _may_be(self, used: int) -> bool:
        return used <= self.latest + len(self.bindings) + _MOST_OF_OTHERS

    def of(self, key: IntentKey) -> Binding | None:
        """Return what a key is bound to."""
        binding = self.bindings.get(self._nonce_of.get(key, -1))
        return binding if binding is not None and binding.key == key else None

    @property
    def unpaid(self) -> Mapping[IntentKey, Hash32]:
        """Return what has ended, is ours, and whose gas is not counted yet."""
        return self._unpaid

    @property
    def hashes(self) -> Sequence[Hash32]:
        """Return all whose receipts are of interest."""
        return [sending.hash for binding in self._followed for sending in binding.sendings]

    def hashes_mined(self, used: int, known: Container[Hash32]) -> Sequence[Hash32]:
        """Return all that may have a receipt where so many nonces are used, and those that have lost it if they have none.

        Not those of a nonce of which a transaction is `known` to be where it was.
        """
        return [
            sending.hash
            for binding in self._followed
            if (binding.nonce < used if binding.mined is None else binding.mined.hash not in known)
            for sending in binding.sendings
        ]

    @property
    def _followed(self) -> Sequence[Binding]:
        return (*self.bindings.values(), *self.freed.values())

    @property
    def unexplained(self) -> Sequence[int]:
        """Return the nonces of ours that are used for good, and nobody has told by whom: a final block does."""
        return sorted({binding.nonce for binding in self._followed if binding.nonce < self._floor})

    @property
    def gaps(self) -> Sequence[int]:
        """Return the nonces for which neither we nor a pool has anything, below one of ours that waits for them."""
        if self._latest < 0:
            return []
        # As the most careful node counts: one that counts too many would hide a gap for ever, and to fill a nonce that is used
        # does nothing.
        first = max(self.latest, self._pending if self._may_be(self._pending) else 0)
        return [nonce for nonce in range(first, max(self.bindings, default=0)) if nonce not in self.bindings]

    @property
    def next(self) -> int:
        """Return the nonce that would be bound next."""
        nonce = self._first
        while nonce in self.bindings:
            nonce += 1
        return nonce

    @property
    def _first(self) -> int:
        # Between what is used and what waits in a pool stand ours, and those of others. Ours may be unknown to the pool.
        return max(self.first_free, self._pending if self._may_be(self._pending) else 0)

    def decide(self, command: c.Command) -> Sequence[e.Event]:
        """Answer a command. Changes nothing; the caller applies what comes, all of it and in order.

        Raises:
            InvariantBroken: bytes are asked for that are not durable, or a signature is not for what it was asked for.
        """
        match command:
            case c.Bind():
                return self._bind(command)
            case c.Fill(nonce=nonce, sign=sign, at=at):
                return (self._bound(nonce, None, at, sign),) if nonce in self.gaps else ()
            case c.Replace():
                return self._replace(command)
            case c.Send(nonce=nonce, at=at):
                binding = self.bindings.get(nonce)
                sending = None if binding is None else binding.may_leave(at)
                if binding is None or sending is None or sending.hash in binding.leaving:
                    return ()
                if (nonce, binding.key) in self._changed:
                    raise InvariantBroken(f"nonce {nonce} would be sent before it was written down")
                return (e.Left(sending=sending),)
            case c.Hear(nonce=nonce, hash=tx_hash, proves=proves):
                binding = self.bindings.get(nonce)
                if binding is None or tx_hash not in binding.leaving:
                    return ()
                return (e.Heard(nonce=nonce, hash=tx_hash, refused=proves is Proves.NOT_TAKEN),)
            case c.GiveUp(nonce=nonce):
                binding = self.bindings.get(nonce)
                return (e.Unsent(nonce=nonce, key=binding.key),) if binding is not None and binding.refused else ()
            case c.See():
                return self._see(command)
            case c.Adopt(key=key, until=until, sending=sending):
                bound = self.of(key)
                if bound is not None and bound.nonce == sending.nonce and bound.sending(sending.hash) is None:
                    return (e.Recognised(sending=sending),)
                if sending.nonce in self.bindings or key in self.ended or bound is not None:
                    return ()
                binding = Binding(nonce=sending.nonce, key=key, until=until, sendings=(sending,), doubtful=True)
                return (e.Bound(binding=binding),)
            case c.Pay(key=key, wei=wei):
                ended = self.ended.get(key)
                return (e.Paid(key=key, wei=wei),) if ended is not None and ended.paid_wei is None else ()
            case c.Forget(keys=keys):
                return [e.Forgotten(key=key) for key in keys if key in self.ended]

    def _bind(self, bind: c.Bind) -> Sequence[e.Event]:
        if self._latest < 0:
            raise InvariantBroken("a nonce would be bound before the chain was looked at")
        if bind.at >= bind.until or self.of(bind.key) is not None:
            return ()
        ended = self.ended.get(bind.key)
        if ended is not None and ended.end is not None and ended.end.fate is Fate.LANDED:
            return ()
        before = self.freed.get(bind.key)
        if before is None:
            return (self._bound(self.next, bind.key, bind.until, bind.sign),)
        # Its first nonce may still be used by its first bytes. So it gets that one again, or none.
        if before.nonce in self.bindings or before.nonce < self._first:
            return ()
        return (e.Bound(binding=evolve(before, until=bind.until, unsent=False)),)

    def _bound(self, nonce: int, key: IntentKey | None, until: float, sign: c.SignFor) -> e.Bound:
        sending = _signed(sign, nonce)
        if key is None and not sending.cancels:
            raise InvariantBroken(f"expected something that does nothing for nonce {nonce}, which is nobody's")
        return e.Bound(binding=Binding(nonce=nonce, key=key, until=until, sendings=(sending,)))

    def _replace(self, replace: c.Replace) -> Sequence[e.Event]:
        binding = self.bindings.get(replace.nonce)
        if binding is None or binding.mined is not None:
            return ()
        sending = _signed(replace.sign, replace.nonce)
        if not sending.cancels and not binding.takes_call(replace.at):
            return ()
        if not replaces(sending.fees, binding.newest.fees):
            raise InvariantBroken(f"{sending.fees} of nonce {replace.nonce} do not replace {binding.newest.fees}")
        return (e.Replaced(sending=sending),)

    def _see(self, see: c.See) -> Sequence[e.Event]:
        events: list[e.Event] = [
            e.Noted(latest=see.latest, foremost=see.foremost, pending=see.pending, final=see.final)
        ]
        for binding in self.bindings.values():
            event = _ended(binding, see) or _moved(binding, see)
            events += [event] if event is not None else ()
        for binding in self.freed.values():
            ended = _ended(binding, see)
            events += [evolve(ended, end=evolve(ended.end, was_unsent=True))] if ended is not None else ()
        return events

    def apply(self, events: Iterable[e.Event]) -> None:
        """Let events happen: the only way in which anything changes."""
        for event in events:
            match event:
                case e.Bound(binding=binding):
                    if binding.key is not None:
                        self.freed.pop(binding.key, None)
                        self._drop_ended(binding.key)
                    self._put(binding)
                case e.Replaced(sending=sending):
                    binding = self.bindings[sending.nonce]
                    self._put(evolve(binding, sendings=(*binding.sendings, sending)))
                case e.Recognised(sending=sending):
                    binding = self.bindings[sending.nonce]
                    # The first: what is made dearer is made so from the newest of our own.
                    self._put(evolve(binding, sendings=(sending, *binding.sendings)))
                case e.Left(sending=sending):
                    binding = self.bindings[sending.nonce]
                    self.bindings[sending.nonce] = evolve(binding, leaving=binding.leaving | {sending.hash})
                case e.Heard(nonce=nonce, hash=tx_hash, refused=refused):
                    binding = self.bindings[nonce]
                    doubtful, leaving = binding.doubtful or not refused, binding.leaving - {tx_hash}
                    self.bindings[nonce] = evolve(binding, doubtful=doubtful, leaving=leaving)
                case e.Unsent(nonce=nonce, key=key):
                    binding = self._drop(nonce)
                    if key is not None:
                        self.freed[key] = evolve(binding, unsent=True)
                    self._changed[nonce, key] = None
                case e.Mined(nonce=nonce, inclusion=inclusion):
                    self._put(evolve(self.bindings[nonce], mined=inclusion))
                case e.Unmined(nonce=nonce):
                    self._put(self.bindings[nonce].after_reorg())
                case e.Ended(nonce=nonce, key=key, end=end):
                    freed = self.freed.pop(key, None) if key is not None and end.was_unsent else None
                    binding = freed or self._drop(nonce)
                    if key is not None:
                        self._end(key, evolve(binding, end=end, mined=None))
                    self._floor = max(self._floor, nonce + 1)
                    self._changed[nonce, key] = None
                case e.Paid(key=key, wei=wei):
                    self._end(key, evolve(self.ended[key], paid_wei=wei))
                    self._changed[self.ended[key].nonce, key] = None
                case e.Forgotten(key=key):
                    self._drop_ended(key)
                case e.Noted(latest=latest, foremost=foremost, pending=pending, final=final):
                    if self._latest < 0 and not (self.bindings or self.freed or self.ended):
                        self._began = min(foremost, latest + _MOST_AHEAD)
                    self._latest, self._pending = latest, pending
                    self._floor = max(self._floor, final)

    def _end(self, key: IntentKey, ended: Binding) -> None:
        self.ended[key] = ended
        self._unpaid.pop(key, None)
        if ended.end is not None and ended.paid_wei is None and ended.end.fate is not Fate.DISPLACED:
            self._unpaid[key] = ended.end.hash

    def _drop_ended(self, key: IntentKey) -> None:
        ended = self.ended.pop(key, None)
        self._unpaid.pop(key, None)
        if ended is not None:
            self._changed[ended.nonce, key] = None

    def _keep(self, binding: Binding) -> None:
        self.bindings[binding.nonce] = binding
        if binding.key is not None:
            self._nonce_of[binding.key] = binding.nonce

    def _drop(self, nonce: int) -> Binding:
        binding = self.bindings.pop(nonce)
        if binding.key is not None:
            self._nonce_of.pop(binding.key, None)
        return binding

    def _put(self, binding: Binding) -> None:
        self._keep(binding)
        self._changed[binding.nonce, binding.key] = None

    def take_changes(self) -> Mapping[Part, Binding | None]:
        """Return what has to be written since the last call; None for what is to be deleted. Nothing is sent before it is."""
        changed = {part: self._at(part) for part in self._changed}
        self._changed.clear()
        return changed

    def _at(self, part: Part) -> Binding | None:
        nonce, key = part
        live = self.bindings.get(nonce)
        if live is not None and live.key == key:
            return live
        kept = None if key is None else self.freed.get(key) or self.ended.get(key)
        return kept if kept is not None and kept.nonce == nonce else None


def _signed(sign: c.SignFor, nonce: int) -> Sending:
    sending = sign(nonce)
    if sending.nonce != nonce:
        raise InvariantBroken(f"expected a signature of nonce {nonce}, was {sending.nonce}")
    return sending


def _ended(binding: Binding, see: c.See) -> e.Ended | None:
    """Say what has become of a nonce for good."""
    nonce, key = binding.nonce, binding.key
    if nonce >= see.final:
        return None
    user = see.used.get(nonce)
    for sending in binding.sendings:
        receipt = see.receipts.get(sending.hash)
        # What a node contests is no end by the word of another: then the final blocks themselves tell.
        if user is None and receipt is not None and receipt.block_number <= see.final_block and not receipt.contested:
            user = sending.hash
    if user is None:
        return None
    ours = binding.sending(user)
    fate = Fate.DISPLACED if ours is None else Fate.CANCELLED if ours.cancels else Fate.LANDED
    return e.Ended(nonce=nonce, key=key, end=End(fate=fate, hash=user))


def _moved(binding: Binding, see: c.See) -> e.Event | None:
    """Say where a binding's transaction is mined now, or that none is any more."""
    for sending in binding.sendings:
        receipt = see.receipts.get(sending.hash)
        if receipt is not None:
            inclusion = Inclusion(hash=sending.hash, block_number=receipt.block_number, block_hash=receipt.block_hash)
            return e.Mined(nonce=binding.nonce, inclusion=inclusion) if inclusion != binding.mined else None
    # A nonce that is used at the head is used by what was mined, or by another: which of them, final blocks tell.
    gone = binding.mined is not None and binding.mined.hash in see.receipts and see.latest <= binding.nonce
    return e.Unmined(nonce=binding.nonce) if gone else None
