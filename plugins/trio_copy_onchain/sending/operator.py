"""One externally owned account that sends transactions: binds nonces, lets bytes leave, looks at the chain, does what is due.

All of its sendings pass through here, whoever pays for them. What has left and is not settled for good is looked at with
every block; nothing leaves before the journal has it.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, OrderNotSent, OrderUncertain
from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy.ports.signing import Signer
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.lifting import Lifting
from trio_copy_onchain.sending.apart import Apart
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.gas_book import GasBook
from trio_copy_onchain.sending.line import Line
from trio_copy_onchain.sending.owed import Owed
from trio_copy_onchain.sending.recognising import recognised
from trio_copy_onchain.sending.sight import Sight
from trio_copy_onchain.sending.signing import Signing
from trio_copy_onchain.sending.written import Written
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.answers import Answer
from trio_copy_onchain.tx.due import Due, Next, due
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import Binding, Fate, Sending
from trio_copy_onchain.tx.texts import Proves, Row

_ASK_S = 2.5
"""How long the chain is waited for in one look; a block later it is asked again."""
_RAISES = 4
"""So often a first sending is made dearer at once, where no pool takes it as cheap as it is."""
_NO_COIN_S = 60.0
_STALE_S = 6.0
"""While something is open, nobody looks less often."""


class Unfit(OrderNotSent):
    """Every node has refused a transaction for what it is: nothing of it is anywhere, and no other try would help."""


class NoCoin(OrderNotSent):
    """There is no coin for gas, so that no nonce was bound for it now."""


@define(eq=False, kw_only=True)
class Operator:
    address: Address
    signer: Signer
    """Any that has its key: signs what does nothing."""
    chain: Chain
    fees: FeeClock
    written: Written
    wall: WallClock
    patience_s: float
    """How long the first in line waits in a pool before it pays more."""
    on_trouble: Callable[[str, str], None]
    on_news: Callable[[IntentKey], None]
    at: Callable[[str], None]
    """Called at each point where a crash would matter."""
    line: Line = field(init=False)
    signing: Signing = field(init=False)
    sight: Sight = field(init=False)
    gas: GasBook = field(init=False)
    owed: Owed = field(init=False)
    closed: bool = False
    """Whether its journal is somebody else's by now: nothing leaves any more."""
    paused_until: float = 0.0
    """Until when, by Trio's clock, nothing new is sent: there was no coin for gas."""
    stopped: str = ""
    """Why nothing new is sent any more: no node takes what it sends."""
    _stopped_at: float = 0.0
    """Unix seconds."""
    _lifting: Lifting = field(factory=Lifting)
    _coming: set[IntentKey | int] = field(factory=set)
    """Keys that were let in and have no nonce yet."""
    _again_at: dict[int, float] = field(factory=dict)
    """When, in Unix seconds, a reorg took back what had used a nonce."""
    _looked_at: float | None = None
    """When, by Trio's clock, the chain was looked at last."""
    _apart: Apart = field(factory=Apart)
    _looking: trio.Lock = field(factory=trio.Lock)
    _told: dict[str, float] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.line = Line(written=self.written, on_news=self.on_news)
        self.signing = Signing(
            signer=self.signer, chain_id=self.chain.chain_id, fees=self.fees, line=self.line, wall=self.wall
        )
        self.gas = GasBook(journal=self.written.journal, chain_id=self.written.chain_id, operator=self.address)
        self.sight = Sight(address=self.address, chain=self.chain)
        self.owed = Owed(address=self.address, line=self.line, sight=self.sight, book=self.gas, wall=self.wall)

    @property
    def nonces(self) -> Nonces:
        """Return all that is known of what it has sent."""
        return self.line.nonces

    @property
    def busy(self) -> bool:
        """Tell whether the chain has to be looked at for it."""
        nonces = self.nonces
        return bool(nonces.bindings or nonces.freed or nonces.unpaid or self.owed.hashes)

    @property
    def waits(self) -> bool:
        """Tell whether something of it waits for a block."""
        return any(one.mined is None for one in self.nonces.bindings.values())

    @property
    def receipts(self) -> Mapping[Hash32, Receipt]:
        """Return those of what is mined, and of what has ended."""
        return self.sight.receipts

    @property
    def in_flight(self) -> int:
        """Return how many wait for a block, or are about to; what is mined and not final yet holds up nothing."""
        waits = {one.key or one.nonce for one in self.nonces.bindings.values() if one.mined is None}
        return len(waits | self._coming)

    def binding(self, key: IntentKey) -> Binding | None:
        """Return what stands of a key: bound, given up, or ended."""
        nonces = self.nonces
        return nonces.of(key) or nonces.freed.get(key) or nonces.ended.get(key)

    @contextmanager
    def expecting(self, key: IntentKey) -> Generator[None, None, None]:
        """Count a key as in flight while the block runs, in which it may get its nonce."""
        self._coming.add(key)
        try:
            yield
        finally:
            self._coming.discard(key)
            self.line.tell_changed()

    async def ready(self, until: float) -> None:
        """Wait until the chain was looked at once. Raises `OrderNotSent` where nobody answers."""
        while self._looked_at is None:
            await self._look_to_send(until)

    async def _look_anew(self, until: float) -> None:
        """Look once more where the last look is long ago: somebody else may have used a nonce while nothing was open here."""
        if self._looked_at is not None and trio.current_time() - self._looked_at >= _STALE_S:
            await self._look_to_send(until)

    async def _look_to_send(self, until: float) -> None:
        try:
            await self.look(until)
        except ChainError as error:
            raise OrderNotSent(f"no node tells the nonces of {self.address}: {error}") from None

    # ------------------------------------------------------------------------------------------------------ sending

    async def send(self, cause: Cause, until: float) -> Binding:
        """Bind a key, write that down, and let it leave; a key that is bound already goes on with its nonce.

        Raises:
            OrderNotSent: nothing of it is anywhere, nor will be: late, refused by the guard or by every node, no coin for
                gas, over the cap, or not written down. As `Unfit`, no node takes such a one.
            OrderUncertain: something of it may be there, and it could not go on.
        """
        await self.ready(until)
        binding = self.nonces.of(cause.key)
        if binding is None:
            await self._look_anew(until)
            await self.signing.bind(cause, until)
            binding = self.nonces.of(cause.key)
        if binding is None:
            raise OrderNotSent("it is too late for a nonce, or the one it had is another's by now")
        self.signing.explain_anew(cause)
        self.at("onchain: bound")
        try:
            await self._leave_dearer(binding.nonce, until)
        except OrderNotSent as error:
            # Said to be nowhere, it must not leave later on; what may be at a node is not said to be nowhere.
            if self.nonces.of(cause.key) is not None:
                self._give_up(binding.nonce)
            if cause.key in self.nonces.freed:
                raise
            raise OrderUncertain(str(error)) from error
        return self.nonces.of(cause.key) or binding

    async def _leave_dearer(self, nonce: int, until: float) -> None:
        """Let a nonce leave, dearer at once where no pool takes it as it is. Raises `OrderNotSent` as `leave`, or refused."""
        answer = await self.leave(nonce, until)
        for _ in range(_RAISES):
            if answer is None or answer.row not in (Row.UNDERPRICED, Row.IN_ITS_PLACE):
                break
            if not await self.signing.dearer(nonce, answer, until):
                break
            answer = await self.leave(nonce, until)
        if answer is not None and answer.row.proves is Proves.NOT_TAKEN:
            self._refused(nonce, answer)

    def _refused(self, nonce: int, answer: Answer) -> None:
        """Give up what every node has refused, where that frees its nonce. Raises `OrderNotSent` then."""
        why = f"no node takes it: {answer.words}" if answer.words else answer.row.what
        if answer.row is Row.NO_FUNDS:
            self.pause(answer.words)
        elif answer.row is Row.WRONG:
            self.stopped, self._stopped_at = why, self.wall()
            mend = "once that is mended, arm a wallet that it sends for again: `trio-copy arm WALLET`"
            self._tell("operator-stopped", f"operator {self.address} sends nothing more: {why}; {mend}")
        if self._give_up(nonce):
            raise Unfit(why) if answer.row is Row.WRONG else OrderNotSent(why)

    def go_on(self, armed_at: float) -> None:
        """Send again what was stopped before a person armed a wallet, in Unix seconds: his word is that it is mended."""
        if self.stopped and self._lifting.lifts(armed_at, stopped_at=self._stopped_at, now=self.wall()):
            # Each time a person arms a wallet he hears what comes of it: stopped again within a minute is no repetition.
            for kind in ("operator-goes-on", "operator-stopped"):
                self._told.pop(kind, None)
            self._tell("operator-goes-on", f"operator {self.address}: a wallet was armed again, after: {self.stopped}")
            self.stopped = ""

    def pause(self, words: str) -> None:
        """Send nothing new for a while, and tell a person: there is no coin for gas. `words` are the node's."""
        self.paused_until = trio.current_time() + _NO_COIN_S
        self._tell("no-gas-money", f"operator {self.address} has no coin for gas: {words}")

    def _give_up(self, nonce: int) -> bool:
        """Free a nonce of which nothing is anywhere; returns whether that is so.

        It is put down before anybody hears of it: an account that has closed the order must not find it bound after a crash.
        """
        given_up = bool(self.line.do(c.GiveUp(nonce=nonce)))
        self.line.put()
        return given_up

    async def leave(self, nonce: int, until: float) -> Answer | None:
        """Let the newest bytes of a nonce leave for every node, once they are written down; None where none may leave now.

        Cancelled, they may be at a node. Raises `OrderNotSent` where they could not be written down: none has left.
        """
        written = None
        # Made dearer meanwhile, as what waits for long is, it has other bytes by then, and those are written later.
        while (newest := self._newest(nonce)) is not written:
            self.line.put()
            await self.written.journal.wait_durable()
            await self.signing.wait_counted(newest, until)
            written = newest
        if self.closed:
            raise OrderNotSent("its shard is somebody else's by now")
        self.at("onchain: written down")
        events = self.line.do(c.Send(nonce=nonce, at=self.wall()))
        if not events:
            return None
        (left,) = events
        assert isinstance(left, e.Left)
        sending, proves = left.sending, Proves.NOTHING
        try:
            answer = await self.chain.send(sending.raw, sending.hash, min(until, trio.current_time() + _ASK_S))
            proves = answer.row.proves
        finally:
            self.line.do(c.Hear(nonce=nonce, hash=sending.hash, proves=proves))
        if proves is Proves.TAKEN:
            self.sight.known |= {sending.hash}
        self.at("onchain: broadcast")
        if answer.row.alert:
            self._tell("node-refused", f"{self.address}, nonce {nonce}: {answer.row.what}: {answer.words}")
        return answer

    def _newest(self, nonce: int) -> Sending | None:
        binding = self.nonces.bindings.get(nonce)
        return None if binding is None else binding.newest

    async def receipt(self, tx_hash: Hash32, until: float) -> Receipt | None:
        """Return the receipt of something that has used a nonce for good; None where no node shows it yet."""
        return await self.sight.receipt(tx_hash, until)

    async def adopt(self, key: IntentKey, until_s: float, sending: Sending, until: float) -> None:
        """Follow a transaction that was found on the chain for a key, and look where it is."""
        self.line.do(c.Adopt(key=key, until=until_s, sending=sending))
        self.line.put()
        await self.look(until)

    # ------------------------------------------------------------------------------------------------------ looking

    async def follow(self) -> None:
        """Look once, and do what is due. What nobody answers, or a guard refuses, is told once and tried again later."""
        until = trio.current_time() + _ASK_S
        try:
            await self.look(until)
        except ChainError as error:
            self._tell("chain-unseen", f"operator {self.address}: {error}")
            return
        tasks = due(self.nonces, self.sight.known, at=self.wall(), patience_s=self.patience_s, again_at=self._again_at)
        for one in tasks:
            if self.closed:
                return
            try:
                await self._tend(one, until)
            except (OrderNotSent, ChainError) as error:
                self._tell("sending-held-up", f"operator {self.address}, nonce {one.nonce}: {error}")
        await self._offer_again(until)

    async def _offer_again(self, until: float) -> None:
        """Send what is mined on one node's branch alone: it may be the one that a reorg took back, which stands still there.

        The same bytes, which have left before: on the other branch they are known, or mined, or all that is missing.
        """
        now, doubted = trio.current_time(), self.sight.doubted
        for binding in list(self.nonces.bindings.values()):
            mined = None if binding.mined is None else binding.sending(binding.mined.hash)
            if mined is not None and now - doubted.get(mined.hash, now) >= self.patience_s and not self.closed:
                doubted[mined.hash] = now
                await self.chain.send(mined.raw, mined.hash, until)

    async def _tend(self, one: Due, until: float) -> None:
        nonce = one.nonce
        match one.what:
            case Next.GIVE_UP:
                self._give_up(nonce)
                return
            case Next.FILL:
                await self.signing.fill(nonce, until)
            case Next.BUMP:
                await self.signing.see_fees(until)
                try:
                    await self.signing.replace(nonce)
                except OrderNotSent as error:
                    self._tell("sending-held-up", f"operator {self.address}, nonce {nonce}: {error}")
                # Over the cap, or refused by the guard, the same bytes go out again.
            case Next.CANCEL:
                await self.signing.see_fees(until)
                if not await self.signing.replace(nonce, cancels=True):
                    # It was signed under a higher cap: what it says may still happen.
                    why = f"it is late, and a cancellation would cost more than the cap of {self.fees.cap} wei"
                    self._tell("sending-held-up", f"operator {self.address}, nonce {nonce}: {why}")
            case Next.SEND:
                pass
        answer = await self.leave(nonce, until)
        if answer is not None and answer.row is Row.UNDERPRICED and await self.signing.dearer(nonce, answer, until):
            await self.leave(nonce, until)

    async def look(self, until: float) -> None:
        """See what the chain shows of all that is open. Raises `ChainError` where no node answers."""
        async with self._looking:
            see = await self.sight.look(self.nonces, self.wall(), until)
            self._see(see)
            if self.nonces.unexplained:
                explained, ours = await recognised(
                    self.chain, self.address, self.nonces, await self.sight.explain(see, self.nonces, until), until
                )
                for adopt in ours:
                    self.line.do(adopt)
                self._see(explained)
            if not self.nonces.unexplained:
                self.sight.all_is_explained(see)
            await self.owed.count(until)
            self._tell_apart(see)
            self._looked_at = trio.current_time()

    def _see(self, see: c.See) -> None:
        before = dict(self.nonces.bindings)
        for event in self.line.do(see):
            match event:
                case e.Unmined(nonce=nonce):
                    self._again_at[nonce] = self.wall()
                    self.sight.took_back(self.nonces.bindings[nonce])
                case e.Ended(nonce=nonce, key=key, end=end):
                    self._again_at.pop(nonce, None)
                    self.signing.end(nonce)
                    told = see.receipts.get(end.hash)
                    if told is None or told.contested or told.block_number > see.final_block:
                        # What was seen of it is of another branch, maybe, with other amounts, or one node's invention.
                        self.sight.receipts.pop(end.hash, None)
                    filler = before[nonce].sending(end.hash) if key is None else None
                    if filler is not None:
                        self.owed.note_filler(filler)
                    # What was given up has left its nonce to the next one.
                    if end.fate is Fate.DISPLACED and not end.was_unsent:
                        self._tell("nonce-used-elsewhere", f"operator {self.address}, nonce {nonce}: by {end.hash}")
                    elif end.fate is Fate.LANDED and end.was_unsent:
                        lied = f"operator {self.address}: every node had refused {end.hash}, and it was mined"
                        self._tell("venue-unclear", lied)
                case _:
                    pass
        self.line.put()

    def _tell_apart(self, see: c.See) -> None:
        hidden = [tx_hash for tx_hash in self.nonces.unpaid.values() if tx_hash not in self.receipts]
        trouble = self._apart.look(see, self.nonces.unexplained, hidden, trio.current_time())
        if trouble:
            self._tell("nodes-disagree", f"operator {self.address}, {trouble}")

    def forget(self, keys: Iterable[IntentKey]) -> None:
        """Forget keys that have ended, and of which nobody asks any more."""
        forgotten = self.line.do(c.Forget(keys=tuple(keys)))
        self.signing.forget(
            (event.key for event in forgotten if isinstance(event, e.Forgotten)), set(self.nonces.hashes)
        )
        ends = [one.end.hash for one in self.nonces.ended.values() if one.end is not None]
        self.sight.keep([*self.nonces.hashes, *ends, *self.owed.hashes])
        self.line.put()

    def _tell(self, kind: str, detail: str) -> None:
        now = trio.current_time()
        if now - self._told.get(kind, -60.0) >= 60.0:
            self._told[kind] = now
            self.on_trouble(kind, detail)
