"""The border to executors: what a venue says is redacted before it is decided on, shown or kept in a store."""

from collections.abc import Generator
from contextlib import contextmanager

from attrs import evolve, frozen

from trio_copy.errors import ExecutorError
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import Account, ExecutionReport, Market, Order
from trio_copy.ports import Executor
from trio_copy.telemetry.redaction import Redactor


@frozen(eq=False)
class RedactedExecutor:
    """An executor whose texts hold no secrets: a venue that refuses a key likes to repeat it."""

    inner: Executor
    redactor: Redactor

    async def market(self, token_id: TokenId) -> Market:
        """Ask the venue; raises what the executor raises."""
        with self._clean_errors():
            market = await self.inner.market(token_id)
        return market if market.closed is None else evolve(market, closed=self.redactor.redact_foreign(market.closed))

    def prepare(self, key: IntentKey, intent: OrderIntent, account: Account, market: Market) -> Order:
        """Freeze an order; its body is not shown, and not changed."""
        return self.inner.prepare(key, intent, account, market)

    async def submit(self, order: Order) -> ExecutionReport:
        """Send an order; raises what the executor raises."""
        with self._clean_errors():
            return self._clean(await self.inner.submit(order))

    async def find(self, order: Order) -> ExecutionReport | None:
        """Look an order up; raises what the executor raises."""
        with self._clean_errors():
            report = await self.inner.find(order)
        return None if report is None else self._clean(report)

    def _clean(self, report: ExecutionReport) -> ExecutionReport:
        return evolve(report, detail=self.redactor.redact_foreign(report.detail)) if report.detail else report

    @contextmanager
    def _clean_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except ExecutorError as error:
            error.args = tuple(self.redactor.redact_foreign(arg) if isinstance(arg, str) else arg for arg in error.args)
            raise
