"""Has a relayer carry what wallets do, one action of a wallet at a time, and finds out from the chain what came of it."""

from collections.abc import Callable
from math import ceil

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, ConfigError, OrderNotSent, RpcError
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, ChainId, Hash32, IntentKey
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Act, ActReport, Done, ExecutorContext, Journal, Nodes, Signer
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import POLYMARKET, RelayContracts, Relayed, hash_text
from trio_copy_onchain.relayer.client import RelayerClient
from trio_copy_onchain.relayer.credentials import credentials_of
from trio_copy_onchain.relayer.http import Asker
from trio_copy_onchain.relayer.looking import Look, Looker
from trio_copy_onchain.relayer.proof import Place
from trio_copy_onchain.relayer.relaying import LIFE_S, Heard, Moment, Step, step_of
from trio_copy_onchain.relayer.settings import RelayerSettings
from trio_copy_onchain.relayer.submitted import Action, Signing, actions_of, name_of, read_action, write_action
from trio_copy_onchain.relayer.texts import Refusal, Row
from trio_copy_onchain.relayer.wire import KINDS, request_of

_MARGIN_S = 0.2
"""Before the caller's time is over, so that there is an answer."""
_UNCLEAR_S = 15.0
"""Before what may have been taken is handed over once more; the chain is looked at meanwhile."""
_LIMIT_S = 10.0
"""For how long nothing is handed over after too many requests, where the relayer does not say."""
_KEEP_S = 30 * 86_400
"""For how long it is known of an action that it has landed."""


@frozen(kw_only=True)
class _Job:
    """An act in hand."""

    act: Act
    journal: Journal
    signer: Signer
    place: Place
    name: str
    until: float
    """Trio time."""


@define(eq=False)
class _Lane:
    turn: trio.Lock = field(factory=trio.Lock)
    holds: IntentKey | None = None
    """Whose turn it is."""


@define(eq=False, kw_only=True)
class Carrier:
    """Carries acts for all wallets of an executor. What it remembers beside the journal is a doubt once it is forgotten."""

    client: RelayerClient
    nodes: Nodes
    chain_id: ChainId
    wall: WallClock
    on_trouble: Callable[[str, str], None]
    poll_s: float
    proxy_gas: int
    contracts: RelayContracts = POLYMARKET
    _lanes: dict[Address, _Lane] = field(factory=dict)
    _heard: dict[str, Heard] = field(factory=dict)
    _stopped: dict[Address, str] = field(factory=dict)
    """Why nothing of a wallet is handed over any more."""
    _rests: tuple[float, str] = (-float("inf"), "")
    """Until when, in Trio time, nothing at all is handed over, and why."""
    _told: set[str] = field(factory=set)
    _looker: Looker = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._looker = Looker(nodes=self.nodes, chain_id=self.chain_id)

    async def carry(self, act: Act, journal: Journal, signer: Signer) -> ActReport:
        """Do an act, or go on with it; returns once its end is known, or shortly before the caller's deadline.

        Safe to repeat. LANDED is said of what is in a final block. REFUSED is said where the relayer did not take it, or gave
        it up, and the chain does not show it: its signature stays good until the nonce is used, so what the wallet does
        next takes the same nonce, and both cannot happen; asked for again, it is looked for again. Cancelled, it may happen.

        Raises:
            OrderNotSent: nothing of it has ever left, and nothing will: the guard refuses, no wallet of such a kind, too late,
                the wallet is stopped, or nobody answered in time.
        """
        wallet = act.wallet.address
        if wallet is None or act.wallet.signature_type not in KINDS or not act.calls:
            raise OrderNotSent("a relayer carries calls of a Safe, a proxy wallet or a deposit wallet, and of no other")
        place = Place(
            kind=act.wallet.signature_type, wallet=wallet, owner=signer.address, contracts=self.contracts
        )  # fmt: skip
        until = trio.current_effective_deadline() - _MARGIN_S
        name = name_of(self.chain_id, wallet, act.key)
        job = _Job(act=act, journal=journal, signer=signer, place=place, name=name, until=until)
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

    def close_journal(self) -> None:
        """Forget what was heard: what somebody else does with the actions meanwhile, this process does not hear."""
        self._heard.clear()

    async def _carry(self, job: _Job) -> ActReport:
        """Go on until the end is known, or the time is over."""
        while True:
            action = self._action(job)
            heard = self._of(job, action)
            try:
                soon = min(job.until, trio.current_time() + self.client.timeout_s)
                look = await self._looker.look(job.place, action, soon)
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
                    self._tell_once("venue-unclear", f"wallet {job.act.wallet.name}: {detail}")
                if await self._signed(job, action if step is Step.SIGN_AGAIN else None, look, heard):
                    return None
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
            self._write(job, action)
            self._forget_others(job, action)
        self._heard.pop(job.name, None)
        return ActReport(done=Done.LANDED, transaction=None if action.landed is None else action.landed[0])

    def _forget_others(self, job: _Job, landed: Action) -> None:
        """Delete actions of the same nonce, which are proven never to happen, and those that landed long ago."""
        for key, other in list(actions_of(job.journal.documents(), self.chain_id, job.place.wallet)):
            if key == job.act.key:
                continue
            old = other.landed is not None and other.at < self.wall() - _KEEP_S and key not in job.journal.open_keys()
            if old or (other.landed is None and other.nonce == landed.nonce):
                name = name_of(self.chain_id, job.place.wallet, key)
                job.journal.put(name, None)
                self._heard.pop(name, None)

    def _refused(self, job: _Job, action: Action, why: str, tx_hash: Hash32 | None = None) -> ActReport:
        """Write down that nothing came of it; asked for again, it is tried again."""
        self._write(job, evolve(action, refused=why, signings=tuple(_without_id(one) for one in action.signings)))
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
            raise OrderNotSent(stopped)
        relayed = await self._made(job, stays, look, heard)
        if relayed is None:
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
        self._write(job, made if stays is None else stays.signed_again(signing))
        self._heard[job.name] = Heard() if stays is None else heard
        await job.journal.wait_durable()
        return True

    async def _made(self, job: _Job, stays: Action | None, look: Look, heard: Heard) -> Relayed | None:
        """Return what is to be signed; None where nobody can say it now."""
        place = job.place
        params = await self.client.params(place.kind, place.owner, job.until)
        if isinstance(params, Refusal):
            self._hear_of_params(job, params, heard)
            return None
        if params.nonce > look.latest and stays is None:
            heard.turned_away = (
                f"another action of the wallet is under way: nonce {params.nonce}, {look.latest} on chain"
            )
            return None
        relayed = Relayed(
            chain_id=self.chain_id,
            wallet=place.wallet,
            kind=place.kind,
            calls=job.act.calls,
            nonce=look.latest if stays is None else stays.nonce,
            owner=place.owner,
            contracts=self.contracts,
        )
        match place.kind:
            case SignatureType.DEPOSIT:
                return evolve(relayed, deadline=ceil(self.wall()) + LIFE_S)
            case SignatureType.PROXY:
                return evolve(relayed, relay=params.address, gas_limit=await self._gas(job, relayed))
            case _:
                return relayed

    async def _gas(self, job: _Job, relayed: Relayed) -> int:
        outer = relayed.outer
        try:
            return await self._looker.estimate(job.place.owner, Call(to=outer.to, data=outer.data), job.until)
        except RpcError as error:
            if error.reverted:
                raise OrderNotSent(f"the calls fail on the chain: {error.message}"[:200]) from None
        except ChainError:
            pass
        return self.proxy_gas

    async def _submit(self, job: _Job, action: Action, heard: Heard) -> ActReport | None:
        """Hand over what was signed; returns an end where the relayer refuses it for good."""
        relayed = self._relayed(job, action)
        if hash_text(relayed.statement) != action.newest.statement:
            raise OrderNotSent("the key of this act was used for other calls before: nothing is sent for these")
        stopped = self._stopped.get(job.place.wallet)
        rests_until, why = self._rests
        if stopped is not None and not heard.doubtful:
            return self._refused(job, action, stopped)
        if rests_until > job.until and not heard.doubtful:
            return self._refused(job, action, why)
        if stopped is not None or max(rests_until, heard.again_at) > trio.current_time():
            await trio.sleep(self.poll_s)
            return None
        if action.refused is not None:
            action = evolve(action, refused=None)
            self._write(job, action)
            await job.journal.wait_durable()
        before, heard.doubtful = heard.doubtful, True  # cancelled from here on, it may have been taken
        told = await self.client.submit(request_of(relayed, action.newest.signature), job.until)
        if isinstance(told, Refusal):
            return await self._hear(job, action, told, heard, before)
        newest = evolve(action.newest, transaction_id=told.transaction_id, tx_hash=told.tx_hash)
        self._write(job, action.with_newest(newest))
        return None

    def _relayed(self, job: _Job, action: Action) -> Relayed:
        newest = action.newest
        return Relayed(
            chain_id=self.chain_id,
            wallet=job.place.wallet,
            kind=job.place.kind,
            calls=job.act.calls,
            nonce=action.nonce,
            owner=job.place.owner,
            deadline=newest.deadline,
            relay=newest.relay,
            gas_limit=newest.gas_limit,
            contracts=self.contracts,
        )

    async def _hear(self, job: _Job, action: Action, refusal: Refusal, heard: Heard, before: bool) -> ActReport | None:
        """Learn from a refusal. `before` says whether it was doubtful before this was handed over."""
        now, words = trio.current_time(), f"{refusal.row.what}: {refusal.words}"
        heard.turned_away = words
        if refusal.row.not_taken:
            heard.doubtful = before
        heard.again_at = now + self.poll_s
        match refusal.row:
            case Row.BLOCKED:
                self._stopped[job.place.wallet] = words
                self.on_trouble("venue-stopped", f"wallet {job.act.wallet.name}: nothing more by the relayer: {words}")
            case Row.QUOTA | Row.LIMIT:
                self._rests = (now + (refusal.rest_s or _LIMIT_S), words)
                if refusal.row is Row.QUOTA:
                    self._tell_once(
                        "venue-stopped", f"all wallets: nothing more by the relayer for {refusal.rest_s:.0f} s: {words}"
                    )
            case Row.KEY:
                self._tell_once("venue-stopped", f"all wallets: the relayer's key: {words}")
                if not before:
                    return self._refused(job, action, words)
            case Row.UNKNOWN:
                heard.again_at = now + max(_UNCLEAR_S, refusal.rest_s)
            case Row.BUSY | Row.NONCE | Row.UNREACHED:
                pass  # the chain says which nonce is the next, and the same bytes go out again meanwhile
        await trio.sleep(self.poll_s)
        return None

    def _hear_of_params(self, job: _Job, refusal: Refusal, heard: Heard) -> None:
        heard.turned_away = f"{refusal.row.what}: {refusal.words}"
        if refusal.row is Row.KEY:
            self._tell_once("venue-stopped", f"all wallets: the relayer's key: {heard.turned_away}")

    async def _follow(self, job: _Job, action: Action, look: Look, heard: Heard) -> None:
        transaction_id = action.newest.transaction_id or ""
        told = await self.client.transaction(transaction_id, job.until)
        if isinstance(told, Refusal):
            return
        if told is None:  # it has forgotten it: the same bytes again
            self._write(job, action.with_newest(_without_id(action.newest)))
            heard.doubtful = True
            return
        if told.tx_hash is not None and told.tx_hash != action.newest.tx_hash:
            self._write(job, action.with_newest(evolve(action.newest, tx_hash=told.tx_hash)))
        if told.state.given_up and heard.given_up is None:
            heard.given_up, heard.given_up_at = told.words or told.state.value, look.head

    def _unfinished(self, job: _Job) -> ActReport:
        """Say how far it has come when the time is over."""
        action = self._action(job)
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
        action = self._action(job)
        if action is None and lane.holds != job.act.key:
            raise OrderNotSent("another action of the wallet is under way: nothing has left")
        if action is None:
            return ActReport(done=Done.PENDING, why="it is under way")
        return self._as_written(job, action, "another action of the wallet is under way")

    def _as_written(self, job: _Job, action: Action, why: str) -> ActReport:
        if action.landed is not None:
            return ActReport(done=Done.LANDED, transaction=action.landed[0])
        if action.refused is not None and not self._of(job, action).doubtful:
            return ActReport(done=Done.REFUSED, transaction=action.newest.tx_hash, why=action.refused)
        return ActReport(done=Done.PENDING, transaction=action.newest.tx_hash, why=why)

    def _action(self, job: _Job) -> Action | None:
        body = job.journal.documents().get(job.name)
        return None if body is None else read_action(body)

    def _of(self, job: _Job, action: Action | None) -> Heard:
        """Return what was heard; of what another process signed, nobody knows whether the relayer has it."""
        heard = self._heard.get(job.name)
        if heard is None:
            heard = self._heard[job.name] = Heard(doubtful=action is not None and action.open)
        return heard

    def _write(self, job: _Job, action: Action) -> None:
        job.journal.put(job.name, write_action(action))

    def _tell_once(self, kind: str, detail: str) -> None:
        if detail not in self._told:
            self._told.add(detail)
            self.on_trouble(kind, detail)


def _without_id(signing: Signing) -> Signing:
    return evolve(signing, transaction_id=None)


def _hash_of(look: Look) -> Hash32 | None:
    return None if look.found is None else look.found.tx_hash


def make_carrier(
    context: ExecutorContext, settings: RelayerSettings, contracts: RelayContracts = POLYMARKET
) -> Carrier | None:
    """Make the carrier of an executor; None where no key of a relayer, or no node, is configured.

    Raises:
        ConfigError: the key is not whole.
    """
    try:
        credentials = credentials_of(settings)
    except ValueError as error:
        raise ConfigError([f"executor.{context.name}.{error}"]) from None
    if credentials is None or context.nodes is None:
        return None
    client = RelayerClient(
        asker=Asker(url=settings.url, open_socket=context.open_socket),
        credentials=credentials,
        wall=context.wall,
        timeout_s=settings.timeout_s,
    )
    return Carrier(
        client=client,
        nodes=context.nodes,
        chain_id=context.chain_id,
        wall=context.wall,
        on_trouble=context.on_trouble,
        poll_s=settings.poll_s,
        proxy_gas=settings.proxy_gas,
        contracts=contracts,
    )
