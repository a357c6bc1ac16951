"""Has a relayer carry what wallets do, one action of a wallet at a time, and finds out from the chain what came of it."""

from collections import defaultdict
from collections.abc import Callable

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy.ports import Act, ActReport, Done, Journal, Signer
from trio_copy.transactions.relayed import hash_text
from trio_copy_onchain.lifting import Lifting
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.looking import Look, Looker
from trio_copy_onchain.relayer.making import Maker, NotNow
from trio_copy_onchain.relayer.proof import Place
from trio_copy_onchain.relayer.relaying import Heard, Moment, Step, step_of
from trio_copy_onchain.relayer.submitted import Action, Signing
from trio_copy_onchain.relayer.texts import Refusal, Row
from trio_copy_onchain.relayer.wire import KINDS, request_of
from trio_copy_onchain.relayer.written import Written

_MARGIN_S = 0.2
"""Before the caller's time is over, so that there is an answer."""
_UNCLEAR_S = 15.0
"""Before what may have been taken is handed over once more; the chain is looked at meanwhile."""
_LIMIT_S = 10.0
"""For how long nothing is handed over after too many requests, where the relayer does not say."""


@frozen(kw_only=True)
class _Job:
    """An act in hand."""

    act: Act
    written: Written
    signer: Signer
    place: Place
    until: float
    """Trio time."""

    @property
    def name(self) -> str:
        return self.written.name


@frozen(kw_only=True)
class _Stop:
    """Why something is not handed over, and since when."""

    why: str
    at: float
    """Unix seconds: whoever arms a wallet after that says that it is mended."""
    until: float = float("inf")
    """Trio time."""
    mendable: bool = True
    """Whether a person can do anything about it before its time is over."""
    signer: Signer | None = None
    """Of the wallet that met it, which a person is told to arm."""


@define(eq=False)
class _Lane:
    turn: trio.Lock = field(factory=trio.Lock)
    holds: IntentKey | None = None
    """Whose turn it is."""


@define(eq=False, kw_only=True)
class Carrier:
    """Carries acts for all wallets of an executor. What it remembers beside the journal is a doubt once it is forgotten."""

    client: RelayerClient
    looker: Looker
    maker: Maker
    wall: WallClock
    on_trouble: Callable[[str, str], None]
    poll_s: float
    _journals: list[Journal] = field(factory=list)
    _lanes: dict[Address, _Lane] = field(factory=dict)
    _heard: dict[str, Heard] = field(factory=dict)
    _stopped: dict[Address, _Stop] = field(factory=dict)
    """Why nothing of a wallet is handed over any more."""
    _rests: _Stop = _Stop(why="", at=0.0, until=-float("inf"))
    """Until when nothing at all is handed over, and why."""
    _liftings: defaultdict[Address | None, Lifting] = field(factory=lambda: defaultdict(Lifting))
    """By wallet; None is what rests for all of them."""
    _told: dict[str, float] = field(factory=dict)
    """What a person was told, and when, in Unix seconds."""

    def open_journal(self, journal: Journal) -> None:
        """Take a shard: the wallets in it are ours from here on."""
        self._journals.append(journal)

    def close_journal(self, journal: Journal) -> None:
        """Let a shard go. Nothing of it is handed over from here on, and what was heard is forgotten: what somebody else does
        with the actions meanwhile, this process does not hear."""
        self._journals = [one for one in self._journals if one is not journal]
        self._heard.clear()

    async def carry(self, act: Act, signer: Signer) -> ActReport:
        """Do an act, or go on with it; returns once its end is known, or shortly before the caller's deadline.

        Safe to repeat. LANDED is said of what is in a final block. REFUSED is said where the relayer did not take it, or gave
        it up, and the chain does not show it: its signature stays good until the nonce is used, so what the wallet does
        next takes the same nonce, and both cannot happen; asked for again, it is looked for again. Cancelled, it may happen.

        Raises:
            OrderNotSent: nothing of it has left, and nothing will: the guard refuses, no wallet of such a kind or of no shard
                here, too late, the wallet is stopped, or nobody answered in time.
        """
        wallet = act.wallet.address
        if wallet is None or act.wallet.signature_type not in KINDS or not act.calls:
            raise OrderNotSent("a relayer carries calls of a Safe, a proxy wallet or a deposit wallet, and of no other")
        journal = next((one for one in self._journals if one.covers(act.wallet.follower)), None)
        if journal is None:
            raise OrderNotSent("no shard here has the wallet")
        place = Place(
            kind=act.wallet.signature_type, wallet=wallet, owner=signer.address, contracts=self.maker.contracts
        )  # fmt: skip
        until = trio.current_effective_deadline() - _MARGIN_S
        written = Written(journal=journal, chain_id=self.looker.chain_id, wallet=wallet, key=act.key)
        job = _Job(act=act, written=written, signer=signer, place=place, until=until)
        lane = self._lanes.setdefault(wallet, _Lane())
        with trio.CancelScope(deadline=until) as waiting:
            await lane.turn.acquire()
        if waiting.cancelled_caught:
            return self._not_begun(job, lane)
        lane.holds = act.key
        try:
            with trio.CancelScope(deadline=until):
                return await self._carry(job)
            return self._unfinished(job)
        finally:
            lane.holds = None
            lane.turn.release()

    async def _carry(self, job: _Job) -> ActReport:
        """Go on until the end is known, or the time is over."""
        while True:
            self._go_on(job)
            action = job.written.read()
            heard = self._of(job, action)
            try:
                soon = min(job.until, trio.current_time() + self.client.timeout_s)
                rivals = () if action is None else job.written.rivals(action)
                look = await self.looker.look(job.place, action, soon, rivals)
            except ChainError as error:
                heard.turned_away = heard.turned_away or f"the chain does not tell: {error}"[:200]
                await trio.sleep(self.poll_s)
                continue
            moment = Moment(unix_s=self.wall(), until=job.act.until)
            step = step_of(action, look, heard, job.place.kind, moment)
            heard.mined = _hash_of(look) if step is Step.MINED else None
            report = await self._do(step, job, action, look, heard)
            if report is not None:
                return report

    async def _do(self, step: Step, job: _Job, action: Action | None, look: Look, heard: Heard) -> ActReport | None:
        """Take a step; returns the end where it is known."""
        match step:
            case Step.LANDED if action is not None:
                return self._landed(job, action, look)
            case Step.REFUSED if action is not None:
                return self._refused(job, action, heard.given_up or "it failed on the chain", _hash_of(look))
            case Step.LATE:
                if action is None:
                    raise OrderNotSent("too late: nothing has left")
                return self._refused(job, action, heard.turned_away or "too late")
            case Step.SIGN | Step.SIGN_AGAIN:
                if step is Step.SIGN and action is not None and look.displaced:
                    detail = f"something else has used nonce {action.nonce} of {job.place.wallet}"
                    self._tell_once(job, "venue-unclear", f"wallet {job.act.wallet.name}: {detail}")
                if await self._signed(job, action if step is Step.SIGN_AGAIN else None, look, heard):
                    return None
            case Step.UNPROVEN if action is not None:
                heard.turned_away = f"nonce {action.nonce} of {job.place.wallet} is used, and nobody can tell by what"
                self._tell_once(job, "venue-unclear", f"wallet {job.act.wallet.name}: {heard.turned_away}")
            case Step.SUBMIT if action is not None:
                return await self._submit(job, action, heard)
            case Step.FOLLOW if action is not None:
                await self._follow(job, action, look, heard)
            case _:
                pass
        await trio.sleep(self.poll_s)
        return None

    def _landed(self, job: _Job, action: Action, look: Look) -> ActReport:
        """Write down that it happened, and forget what cannot happen any more."""
        if action.landed is None and look.found is not None:
            landed = (look.found.tx_hash, look.found.block_number)
            action = evolve(action, landed=landed, refused=None)
            job.written.write(action)
            for name in job.written.forget_others(action, self.wall()):
                self._heard.pop(name, None)
        self._heard.pop(job.name, None)
        return ActReport(done=Done.LANDED, transaction=None if action.landed is None else action.landed[0])

    def _refused(self, job: _Job, action: Action, why: str, tx_hash: Hash32 | None = None) -> ActReport:
        """Write down that nothing came of it; asked for again, it is tried again."""
        job.written.write(evolve(action, refused=why, signings=tuple(_without_id(one) for one in action.signings)))
        self._heard[job.name] = Heard(doubtful=False)
        return ActReport(done=Done.REFUSED, transaction=tx_hash, why=why)

    async def _signed(self, job: _Job, stays: Action | None, look: Look, heard: Heard) -> bool:
        """Sign, and write that down, durably. False where it has to wait; `stays` is what keeps its nonce."""
        try:
            return await self._sign(job, stays, look, heard)
        except OrderNotSent as error:
            if stays is None or not heard.doubtful:
                raise
            heard.turned_away = str(error)  # what was signed before may be there all the same
            return False

    async def _sign(self, job: _Job, stays: Action | None, look: Look, heard: Heard) -> bool:
        stopped = self._stopped.get(job.place.wallet)
        if stopped is not None:
            raise OrderNotSent(stopped.why)
        nonce = None if stays is None else stays.nonce
        relayed = await self.maker.make(job.place, job.act.calls, look, nonce, job.until)
        if isinstance(relayed, NotNow):
            heard.turned_away = relayed.why
            if relayed.key_refused:
                self._tell_once(job, "venue-stopped", f"all wallets: the relayer's key: {relayed.why}")
                raise OrderNotSent(relayed.why)
            return False
        signature = job.signer.sign_relayed(relayed, job.act)
        if isinstance(signature, Reason):
            raise OrderNotSent(signature.because, signature)
        signing = Signing(
            statement=hash_text(relayed.statement),
            signature=signature,
            deadline=relayed.deadline,
            gas_limit=relayed.gas_limit,
            relay=relayed.relay,
        )
        made = Action(nonce=relayed.nonce, since_block=look.head, at=self.wall(), signings=(signing,))
        job.written.write(made if stays is None else stays.signed_again(signing))
        self._heard[job.name] = Heard() if stays is None else heard
        await job.written.journal.wait_durable()
        return True

    async def _submit(self, job: _Job, action: Action, heard: Heard) -> ActReport | None:
        """Hand over what was signed; returns an end where the relayer refuses it for good."""
        relayed = self.maker.again(job.place, job.act.calls, action)
        if hash_text(relayed.statement) != action.newest.statement:
            raise OrderNotSent("the key of this act was used for other calls before: nothing is sent for these")
        stopped = self._stopped.get(job.place.wallet)
        rests = self._rests
        if stopped is not None and not heard.doubtful:
            return self._refused(job, action, stopped.why)
        if rests.until > job.until and not heard.doubtful:
            return self._refused(job, action, rests.why)
        if stopped is not None or max(rests.until, heard.again_at) > trio.current_time():
            await trio.sleep(self.poll_s)
            return None
        if action.refused is not None:
            action = evolve(action, refused=None)
            job.written.write(action)
        await job.written.journal.wait_durable()
        if not any(one is job.written.journal for one in self._journals):
            if heard.doubtful:
                return ActReport(done=Done.PENDING, transaction=action.newest.tx_hash, why="the shard was let go")
            raise OrderNotSent("the shard was let go: nothing has left")
        before, heard.doubtful = heard.doubtful, True  # cancelled from here on, it may have been taken
        told = await self.client.submit(request_of(relayed, action.newest.signature), job.until)
        if isinstance(told, Refusal):
            return await self._hear(job, action, told, heard, before)
        newest = evolve(action.newest, transaction_id=told.transaction_id, tx_hash=told.tx_hash)
        job.written.write(action.with_newest(newest))
        return None

    async def _hear(self, job: _Job, action: Action, refusal: Refusal, heard: Heard, before: bool) -> ActReport | None:
        """Learn from a refusal. `before` says whether it was doubtful before this was handed over."""
        now, words = trio.current_time(), f"{refusal.row.what}: {refusal.words}"
        heard.turned_away = words
        if refusal.row.not_taken:
            heard.doubtful = before
        heard.again_at = now + self.poll_s
        match refusal.row:
            case Row.BLOCKED:
                self._stopped[job.place.wallet] = _Stop(why=words, at=self.wall())
                self.on_trouble(
                    "venue-stopped",
                    f"wallet {job.act.wallet.name}: nothing more by the relayer: {words}; {_once_mended(job)}",
                )
            case Row.QUOTA | Row.LIMIT:
                quota, until = refusal.row is Row.QUOTA, now + (refusal.rest_s or _LIMIT_S)
                self._rests = _Stop(why=words, at=self.wall(), until=until, mendable=quota, signer=job.signer)
                if quota:
                    what = f"all wallets: nothing more by the relayer for {refusal.rest_s:.0f} s: {words}"
                    self._tell_once(job, "venue-stopped", f"{what}; {_once_mended(job)}")
            case Row.KEY:
                self._tell_once(job, "venue-stopped", f"all wallets: the relayer's key: {words}")
                if not before:
                    return self._refused(job, action, words)
            case Row.UNKNOWN:
                heard.again_at = now + max(_UNCLEAR_S, refusal.rest_s)
            case Row.BUSY | Row.NONCE | Row.UNREACHED:
                pass  # the chain says which nonce is the next, and the same bytes go out again meanwhile
        await trio.sleep(self.poll_s)
        return None

    async def _follow(self, job: _Job, action: Action, look: Look, heard: Heard) -> None:
        transaction_id = action.newest.transaction_id or ""
        told = await self.client.transaction(transaction_id, job.until)
        if isinstance(told, Refusal):
            return
        if told is None:  # it has forgotten it: the same bytes again
            job.written.write(action.with_newest(_without_id(action.newest)))
            heard.doubtful = True
            return
        if told.tx_hash is not None and told.tx_hash != action.newest.tx_hash:
            job.written.write(action.with_newest(evolve(action.newest, tx_hash=told.tx_hash)))
        if told.state.given_up and heard.given_up is None:
            heard.given_up, heard.given_up_at = told.words or told.state.value, look.head

    def _unfinished(self, job: _Job) -> ActReport:
        """Say how far it has come when the time is over."""
        action = job.written.read()
        heard = self._of(job, action)
        if action is None:
            raise OrderNotSent(heard.turned_away or "nobody answered in time: nothing has left")
        if heard.mined is not None:
            return ActReport(done=Done.MINED, transaction=heard.mined)
        if action.open and not heard.doubtful and heard.given_up is None:
            return self._refused(job, action, heard.turned_away or "not handed over in time")
        return self._as_written(job, action, heard.given_up or heard.turned_away)

    def _not_begun(self, job: _Job, lane: _Lane) -> ActReport:
        """Say what is known where the wallet had no time for it."""
        action = job.written.read()
        if action is None and lane.holds != job.act.key:
            raise OrderNotSent("no time is left, or another action of the wallet is under way: nothing has left")
        if action is None:
            return ActReport(done=Done.PENDING, why="it is under way")
        return self._as_written(job, action, "another action of the wallet is under way")

    def _as_written(self, job: _Job, action: Action, why: str) -> ActReport:
        if action.landed is not None:
            return ActReport(done=Done.LANDED, transaction=action.landed[0])
        if action.refused is not None and not self._of(job, action).doubtful:
            return ActReport(done=Done.REFUSED, transaction=action.newest.tx_hash, why=action.refused)
        return ActReport(done=Done.PENDING, transaction=action.newest.tx_hash, why=why)

    def _of(self, job: _Job, action: Action | None) -> Heard:
        """Return what was heard; of what another process signed, nobody knows whether the relayer has it."""
        heard = self._heard.get(job.name)
        if heard is None:
            heard = self._heard[job.name] = Heard(doubtful=action is not None and action.open)
        return heard

    def _go_on(self, job: _Job) -> None:
        """Try again what was stopped before a person armed the wallet: his word is that it is mended."""
        armed_at, name, stopped = job.signer.armed_at, job.act.wallet.name, self._stopped.get(job.place.wallet)
        if stopped is not None and self._lifts(stopped, job.place.wallet, armed_at):
            del self._stopped[job.place.wallet]
            self.on_trouble("venue-goes-on", f"wallet {name}: armed again, after: {stopped.why}")
        rests = self._rests
        if rests.signer is not None:
            armed_at = max(armed_at, rests.signer.armed_at)  # it may have nothing more to do
        if rests.mendable and trio.current_time() < rests.until and self._lifts(rests, None, armed_at):
            self._rests = _Stop(why="", at=0.0, until=-float("inf"))
            self.on_trouble("venue-goes-on", f"all wallets: one was armed again, after: {rests.why}")

    def _lifts(self, stop: _Stop, wallet: Address | None, armed_at: float) -> bool:
        return self._liftings[wallet].lifts(armed_at, stopped_at=stop.at, now=self.wall())

    def _tell_once(self, job: _Job, kind: str, detail: str) -> None:
        """Tell a person, once; and once more where he has armed the wallet since, and it is as it was."""
        told_at = self._told.get(detail)
        if told_at is None or told_at < job.signer.armed_at:
            self._told[detail] = max(self.wall(), job.signer.armed_at)  # our clock may have been set back since
            self.on_trouble(kind, detail)


def _once_mended(job: _Job) -> str:
    return f"once that is mended: `trio-copy arm {job.act.wallet.name or 'WALLET'}`"


def _without_id(signing: Signing) -> Signing:
    return evolve(signing, transaction_id=None)


def _hash_of(look: Look) -> Hash32 | None:
    return None if look.found is None else look.found.tx_hash
