"""How a verb comes by the redactor."""

from typing import Annotated

from cyclopts import Parameter

from trio_copy.telemetry.redaction import Redactor

Redact = Annotated[Redactor, Parameter(parse=False)]
"""A verb gets the redactor of this call of the command line from `main`, and lets it learn what it reads."""
