"""A market that trades by script: prices walk, leaders trade on both exchanges, strangers make noise. Seeded."""

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from trio_copy.chain.decoders.erc1155 import CONDITIONAL_TOKENS
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, EXCHANGE_V3
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.model.books import Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, Hash32, TokenId
from trio_copy.model.protocol_v2 import answer_of
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Price, Rounding, Shares
from trio_copy.testing.devnet.chain import DevLog, DevTx, fake_hash
from trio_copy.testing.devnet.encode import (
    order_filled_log,
    resolution_log,
    transfer_batch_log,
    transfer_single_log,
)

_TICK = 10_000
_EVEN = 500_000
_LEAST, _MOST = 45_000, 955_000
_QUESTIONS = (
    # Half a tick between two ticks, so that what is bid and asked around it is on one, as the venue wants it.
    ("Fed cuts rates in December?", 625_000),
    ("Bitcoin above 150k on New Year?", 245_000),
    ("Lakers win tonight?", 485_000),
    ("Snow in London at Christmas?", 95_000),
)
_TONIGHT = 2
"""The question that is decided while people watch."""


@frozen(kw_only=True)
class Outcome:
    """One side of a question. The other side's token pays when this one does not."""

    token_id: TokenId
    label: str


@define(eq=False)
class ScriptedMarket:
    """Makes the transactions of one block after another, and quotes a book that moves with them."""

    leaders: Sequence[Address]
    entropy: Entropy
    fills_per_block: float
    noise_per_block: int
    salt: str = ""
    """Makes the transactions of this market differ from those of another one that plays the same."""
    outcomes: tuple[Outcome, ...] = field(init=False)
    decided: dict[str, tuple[int, ...]] = field(factory=dict)
    """What the slots of a question that was decided pay, in millionths of a dollar."""
    _traded: tuple[Outcome, ...] = field(init=False)
    _yes_micro: dict[TokenId, int] = field(factory=dict)
    """Middle of each YES token's book; its NO costs the rest of a dollar."""
    _held: dict[tuple[Address, TokenId], Shares] = field(factory=dict)
    _txs: int = 0

    def __attrs_post_init__(self) -> None:
        outcomes = []
        for number, (question, start) in enumerate(_QUESTIONS):
            # Every other question has structured ids, as the markets of exchange V3 have.
            base = int(_condition(number)[2:], 16)
            yes = TokenId((1 << 248) | (base >> 136 << 120)) if number % 2 else TokenId(base)
            outcomes += [
                Outcome(token_id=yes, label=f"{question} YES"),
                Outcome(token_id=TokenId(yes ^ 1), label=f"{question} NO"),
            ]
            self._yes_micro[yes] = start
        self.outcomes = self._traded = tuple(outcomes)

    @property
    def labels(self) -> Mapping[TokenId, str]:
        return {outcome.token_id: outcome.label for outcome in self.outcomes}

    @property
    def facts(self) -> tuple[TokenFacts, ...]:
        """Tell of each token what a catalog would."""
        return tuple(
            TokenFacts(
                token_id=outcome.token_id,
                condition_id=_named_by(outcome.token_id) or _condition(number // 2),
                outcome=outcome.label.rsplit(" ", 1)[1],
                question=outcome.label.rsplit(" ", 1)[0],
                opposite=TokenId(outcome.token_id ^ 1),
                slot=number % 2,
            )
            for number, outcome in enumerate(self.outcomes)
        )

    def quote(self, token_id: TokenId) -> Quote | None:
        """Quote one tick around the middle; nobody quotes what was decided."""
        middle = self._middle(token_id) if any(one.token_id == token_id for one in self._traded) else None
        return None if middle is None else Quote(bid=Price(middle - _TICK // 2), ask=Price(middle + _TICK // 2))

    def next_block(self) -> list[DevTx]:
        """Let prices take a step and everybody trade."""
        for token in self._yes_micro:
            step = self.entropy.choice((-2, -1, -1, 0, 0, 1, 1, 2)) * _TICK
            self._yes_micro[token] = min(_MOST, max(_LEAST, self._yes_micro[token] + step))
        whole, part = divmod(self.fills_per_block, 1)
        fills = int(whole) + (self.entropy.random() < part)
        txs = [self._noise() for _ in range(self.noise_per_block)]
        txs += [self._leader_trades() for _ in range(fills)]
        self.entropy.shuffle(txs)
        return txs

    def decide(self) -> DevTx:
        """Decide tonight's question, for what is likelier by now; from now on nobody trades it."""
        yes, _ = self.outcomes[2 * _TONIGHT : 2 * _TONIGHT + 2]
        won = self._yes_micro[yes.token_id] >= _EVEN
        condition, payouts = _condition(_TONIGHT), (int(won) * MICRO, int(not won) * MICRO)
        self.close(condition, payouts)
        return self._tx(
            resolution_log(condition_id=condition, question_id=fake_hash("question", _TONIGHT), payouts=payouts)
        )

    def close(self, condition: str, payouts: tuple[int, ...]) -> None:
        """Let nobody quote or trade a question any more, now that it is decided."""
        self.decided[condition] = payouts
        over = {facts.token_id for facts in self.facts if facts.condition_id == condition}
        self._traded = tuple(one for one in self._traded if one.token_id not in over)

    def fill(self, leader: Address, side: Side, outcome: Outcome, shares: Shares) -> DevTx:
        """Let a leader trade on an exchange, as a taker, with the transfer that goes with it."""
        self._txs += 1
        quote = self.quote(outcome.token_id)
        price = (quote.ask if side is Side.BUY else quote.bid) if quote else None
        notional = shares.at(price or Price(500_000), Rounding.DOWN)
        number = next(i for i, known in enumerate(self.outcomes) if known.token_id == outcome.token_id)
        exchange = EXCHANGE_V3 if number // 2 % 2 else EXCHANGE_V2
        stranger = self._stranger()
        sender, recipient = (stranger, leader) if side is Side.BUY else (leader, stranger)
        return self._tx(
            transfer_single_log(
                contract=CONDITIONAL_TOKENS,
                operator=exchange,
                sender=sender,
                recipient=recipient,
                token_id=outcome.token_id,
                shares=shares,
            ),
            order_filled_log(
                exchange=exchange,
                order_hash=fake_hash("maker", self.salt, self._txs),
                owner=stranger,
                counterparty=leader,
                side=side.opposite,
                token_id=outcome.token_id,
                shares=shares,
                notional=notional,
                fee=NO_USD,
            ),
            order_filled_log(
                exchange=exchange,
                order_hash=fake_hash("taker", self.salt, self._txs),
                owner=leader,
                counterparty=exchange,
                side=side,
                token_id=outcome.token_id,
                shares=shares,
                notional=notional,
                fee=NO_USD,
            ),
        )

    def _leader_trades(self) -> DevTx:
        leader = self.entropy.choice(list(self.leaders))
        outcome = self.entropy.choice(self._traded)
        key = (leader, outcome.token_id)
        held = self._held.get(key, NO_SHARES)
        luck = self.entropy.random()
        if luck < 0.06:
            return self._mint(leader, outcome)
        if luck < 0.12:
            return self._split(leader, outcome)
        if held and luck < 0.5:
            self._held[key] = NO_SHARES
            return self.fill(leader, Side.SELL, outcome, held)
        shares = Shares(self.entropy.choice((12, 40, 150, 500, 1200, 4000)) * 1_000_000)
        self._held[key] = held + shares
        return self.fill(leader, Side.BUY, outcome, shares)

    def _mint(self, leader: Address, outcome: Outcome) -> DevTx:
        shares = Shares(self.entropy.randint(5, 200) * 1_000_000)
        return self._tx(
            transfer_single_log(
                contract=CONDITIONAL_TOKENS,
                operator=leader,
                sender=ZERO_ADDRESS,
                recipient=leader,
                token_id=outcome.token_id,
                shares=shares,
            )
        )

    def _split(self, leader: Address, outcome: Outcome) -> DevTx:
        shares = Shares(self.entropy.randint(5, 200) * 1_000_000)
        return self._tx(
            transfer_batch_log(
                contract=CONDITIONAL_TOKENS,
                operator=leader,
                sender=ZERO_ADDRESS,
                recipient=leader,
                moved=[(outcome.token_id, shares), (TokenId(outcome.token_id ^ 1), shares)],
            )
        )

    def _noise(self) -> DevTx:
        outcome = self.entropy.choice(self._traded)
        side = self.entropy.choice((Side.BUY, Side.SELL))
        return self.fill(self._stranger(), side, outcome, Shares(self.entropy.randint(1, 900) * 1_000_000))

    def _stranger(self) -> Address:
        return Address(f"0x{self.entropy.getrandbits(160):040x}")

    def _middle(self, token_id: TokenId) -> int | None:
        if token_id in self._yes_micro:
            return self._yes_micro[token_id]
        other = TokenId(token_id ^ 1)
        return 1_000_000 - self._yes_micro[other] if other in self._yes_micro else None

    def _tx(self, *logs: DevLog) -> DevTx:
        self._txs += 1
        return DevTx(tx_hash=fake_hash("tx", self.salt, self._txs, self.entropy.getrandbits(64)), logs=logs)


def _named_by(token: TokenId) -> Hash32 | None:
    named = answer_of(token)
    return None if named is None else named[0]


def _condition(question: int) -> Hash32:
    return fake_hash("condition", question)


def seeded_market(
    leaders: Sequence[Address], seed: int, fills_per_block: float, noise_per_block: int, salt: str = ""
) -> ScriptedMarket:
    """Make a market that plays the same each time."""
    return ScriptedMarket(leaders, seeded_entropy(seed), fills_per_block, noise_per_block, salt)
