"""Why a connection did not come up, in words that say what to do: the same of nodes, of a venue, of Redis and of a relayer.

Trio tells a handshake that failed by an error without words, and a refused connection by a count of addresses: what a person
needs stands in their cause.
"""

import os
import socket
import ssl
from pathlib import Path

from trio_copy.errors import leaves_of

_TRUSTED = "SSL_CERT_FILE"
"""Where OpenSSL looks for whom it trusts, in place of the system's list; it passes over a file that is not there."""
_OLD = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE"})
_TIMES = frozenset({9, 10})
"""What OpenSSL calls a certificate that is not valid yet, or not any more."""
_NAMES = frozenset({62, 64})
"""One of another host, or of another address."""
_AUTHORITIES = frozenset({2, 18, 19, 20, 21})
"""One of an authority that nobody here knows, its own included."""


def why_unreachable(error: BaseException) -> str:
    """Say why a connection failed. The words hold no URL, and may hold the name of the host."""
    while not isinstance(error, ssl.SSLError) and error.__cause__ is not None:
        error = error.__cause__
    error = next(leaves_of(error))
    match error:
        case ssl.SSLCertVerificationError():
            return _of_certificate(error)
        case ssl.SSLError():
            return _of_tls(error)
        case socket.gaierror() if error.strerror:
            return error.strerror
        case UnicodeError():  # the name cannot be written in a question to DNS
            return f"no such host: {error}"
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case _:
            return str(error) or "the connection ended"


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message.rstrip(".")
    if error.verify_code in _TIMES:
        return f"{said}: it has to be renewed at the server, or the clock of this machine is wrong"
    if error.verify_code in _NAMES:
        return f"{said}: look at the host in the URL, and at who answers there"
    if error.verify_code in _AUTHORITIES:
        return f"certificate of an authority that is not trusted here ({said}): {_where_trusted()}"
    return f"certificate not accepted: {said}"


def _where_trusted() -> str:
    named = os.environ.get(_TRUSTED)
    if named and not Path(named).is_file():
        return f"{_TRUSTED} names {named}, where no file is"
    return f"of your own, name its file in {_TRUSTED}"


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return (
            "it hangs up in the TLS handshake: look at the port in the URL; TLS 1.2 is the oldest that is spoken here"
        )
    reason = getattr(error, "reason", None) or str(error)  # only OpenSSL's own have one
    if reason in _OLD:
        return "it speaks an older TLS than 1.2, the oldest that is spoken here"
    if reason in _NO_TLS:
        return "what answers there speaks no TLS: look at scheme and port in the URL"
    return f"no TLS: {reason.replace('_', ' ').lower()}"
