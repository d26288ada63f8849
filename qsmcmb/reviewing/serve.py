"""The server of the review: on 127.0.0.1 alone, until Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from qsmcmb.reviewing.app import make_app
from qsmcmb.reviewing.guard import Access, Guard
from qsmcmb.reviewing.patches import PatchStore
from qsmcmb.reviewing.study_review import StudyReview

__all__ = ["serve"]

ADDRESS = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that tells its port once it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[int], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.servers:
            self._listening(self.servers[0].sockets[0].getsockname()[1])


def serve(out: Path, review: StudyReview, *, port: int = 0, show: Callable[[str], None]) -> None:
    """Serve the page of a review until it is interrupted.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    review : StudyReview
        Candidates and logs.
    port : int, optional
        Port; a free one by default.
    show : callable
        Takes the address, whose token is good for one page.

    Examples
    --------
    >>> serve(Path("derivatives/qsmcmb"), review, show=print)  # doctest: +SKIP
    """
    access = Access()
    guard = Guard(make_app(review, PatchStore(out), access), access)

    def listening(found: int) -> None:
        guard.port = found
        show(f"http://{ADDRESS}:{found}/#{access.token}")

    config = uvicorn.Config(
        guard, host=ADDRESS, port=port, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=2, limit_concurrency=64,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config, listening).run()
