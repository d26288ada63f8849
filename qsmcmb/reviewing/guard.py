"""Who may ask the review server: every request passes here before anything else looks at it.

A page of another origin must not reach the server through the reader's browser, and another user of this machine must
not read or write verdicts. So the host and the origin are held against the server's own address, and every request but
the page itself needs the secret of the session, in a header. The page gets it once, for the token in the address that
was printed; the token is then used up. Nothing is asked of cookies.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["HEADERS", "MAX_BODY_BYTES", "SECRET_HEADER", "Access", "Guard"]

SECRET_HEADER = "x-qsmcmb-session"
"""Header that holds the secret of the session."""
MAX_BODY_BYTES = 16384
"""Largest body of a request, bytes: a comment of the largest length fits."""
OPEN_PATHS = ("/", "/review.js", "/review.css", "/favicon.ico")
"""Paths that hold nothing of the study: the page, before it has the secret."""
EXCHANGE_PATH = "/api/session"
"""Path at which the token is exchanged for the secret."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer."""
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Access:
    """Hold the token and the secret of a server.

    Attributes
    ----------
    token : str
        Token for the address that is printed; it is good for one exchange.

    Examples
    --------
    >>> access = Access()
    >>> secret = access.exchange(access.token)
    >>> access.is_known(secret), access.exchange(access.token) is None
    (True, True)
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._secret = secrets.token_urlsafe(32)
        self._is_used = False

    def exchange(self, token: object) -> str | None:
        """Return the secret for the token, once.

        Parameters
        ----------
        token : object
            Token, as it came.

        Returns
        -------
        str or None
            None for a wrong token, and for one that has been used.

        Examples
        --------
        >>> Access().exchange("guess") is None
        True
        """
        right = isinstance(token, str) and hmac.compare_digest(token.encode(), self.token.encode())
        if not right or self._is_used:
            return None
        self._is_used = True
        return self._secret

    def is_known(self, secret: str) -> bool:
        """Say whether a secret is the session's.

        Parameters
        ----------
        secret : str
            Secret, as it came.

        Returns
        -------
        bool
            Whether it is.

        Examples
        --------
        >>> Access().is_known("")
        False
        """
        return hmac.compare_digest(secret.encode(), self._secret.encode())


class Guard:
    """Refuse requests that do not come from the page of this server; add the headers of every answer.

    Parameters
    ----------
    app : callable
        ASGI application behind it.
    access : Access
        Token and secret.

    Attributes
    ----------
    port : int
        Port of the server, once it is known.

    Examples
    --------
    >>> Guard(app, Access())  # doctest: +SKIP
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app, self._access = app, access
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        body = b""
        refused = self._why_refused(scope, headers)
        if refused is None and scope["method"] == "POST":
            body, refused = await _read_body(headers, receive)
        if refused is not None:
            await _answer(send, *refused)
            return
        await self._app(scope, _replayed(body), _with_headers(send))

    def _why_refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return status and reason where a request is refused by its head."""
        hosts = (f"127.0.0.1:{self.port}", f"localhost:{self.port}")
        path, method = scope["path"], scope["method"]
        if headers.get("host") not in hosts:
            return 421, "host: not this server's"
        if "origin" in headers and headers["origin"] != f"http://{headers['host']}":
            return 403, "origin: another page"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "origin: another page"
        if method not in ("GET", "POST"):
            return 405, "method: GET or POST"
        if method == "POST" and "origin" not in headers:
            return 403, "origin: missing"
        if (
            method == "POST"
            and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
        ):
            return 415, "content type: application/json is needed"
        if path in OPEN_PATHS and method == "GET":
            return None
        if path == EXCHANGE_PATH and method == "POST":
            return None
        if not self._access.is_known(headers.get(SECRET_HEADER, "")):
            return 403, "secret: missing or wrong"
        return None


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers of a request; one that comes twice counts as none that is known."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = "\0twice" if key in found else value.decode("latin-1")
    return found


async def _read_body(headers: dict[str, str], receive: Receive) -> tuple[bytes, tuple[int, str] | None]:
    """Return the body of a request, or why it is refused."""
    too_large = (413, f"body: at most {MAX_BODY_BYTES} bytes")
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > MAX_BODY_BYTES:
        return b"", too_large
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return b"", too_large
        if message["type"] != "http.request" or not message.get("more_body", False):
            return body, None


def _replayed(body: bytes) -> Receive:
    """Return a receiver that gives a body that was read before."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _with_headers(send: Send) -> Send:
    """Return a sender that adds the headers of every answer."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            named = {name.decode("latin-1").lower() for name, _ in message["headers"]}
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n not in named]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sender


async def _answer(send: Send, status: int, text: str) -> None:
    """Send an answer of plain text."""
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"text/plain; charset=utf-8")],
    }
    sender = _with_headers(send)
    await sender(start)
    await sender({"type": "http.response.body", "body": text.encode()})
