"""The requests of the page. What a request may name is an id of the list of candidates; no request holds a path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qsmcmb.anatomy.regions import MARS_REGIONS
from qsmcmb.core.packaged import read_packaged
from qsmcmb.errors import InvalidInputError, QsmcmbError
from qsmcmb.reviewing.guard import Access
from qsmcmb.reviewing.patches import PatchStore
from qsmcmb.reviewing.study_review import StudyReview
from qsmcmb.study.judgement import MAX_COMMENT, MIMICS, read_judgement
from qsmcmb.study.review_events import ReviewEvent

__all__ = ["make_app"]

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
}
"""Files of the page by path."""
USED = "the address has been used, or is wrong: end `qsmcmb review` and start it again for a new one"
"""What the page shows without a secret."""
OF_JUDGEMENT = ("verdict", "certainty", "kind", "region", "comment", "moved_to_mm")
"""Keys of a request that make up the verdict."""


def make_app(review: StudyReview, patches: PatchStore, access: Access) -> Starlette:
    """Return the application behind the guard.

    Parameters
    ----------
    review : StudyReview
        Candidates and logs.
    patches : PatchStore
        Images.
    access : Access
        Token and secret.

    Returns
    -------
    Starlette
        The application.

    Examples
    --------
    >>> [route.path for route in make_app(StudyReview([], "A"), patches, Access()).routes]  # doctest: +SKIP
    """
    page = {path: _page_file(name) for path, (name, _) in FILES.items()}

    async def file(request: Request) -> Response:
        path = request.url.path
        return Response(page[path], media_type=FILES[path][1])

    async def icon(_: Request) -> Response:
        return Response(status_code=204)

    async def session(request: Request) -> Response:
        body = await _body(request)
        secret = access.exchange(body.get("token"))
        if secret is None:
            return JSONResponse({"error": USED}, status_code=403)
        return JSONResponse({"secret": secret})

    async def study(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(_study, review))

    async def patch(request: Request) -> Response:
        item = review.find(request.path_params["candidate"])
        block = await run_in_threadpool(patches.patch, item.reviewed.scan, item.candidate.position_mm)
        return Response(block, media_type="application/octet-stream")

    async def verdict(request: Request) -> Response:
        body = await _body(request)
        judgement = read_judgement({k: body[k] for k in OF_JUDGEMENT if k in body}, "request")
        twins, seen = _twins(body), _number(body, "seen")
        return await _done(lambda: review.give(body.get("candidate"), judgement, seen, twins=twins))

    async def undo(request: Request) -> Response:
        body = await _body(request)
        return await _done(lambda: review.undo(body.get("candidate"), _number(body, "undoes") or 0))

    async def add(request: Request) -> Response:
        body = await _body(request)
        judgement = read_judgement(
            {"verdict": "accept", **{k: body[k] for k in OF_JUDGEMENT if k in body}}, "request"
        )
        return await _done(lambda: [review.add(body.get("beside"), body.get("position_mm"), judgement)])

    routes = [Route(path, file) for path in FILES]
    routes += [
        Route("/favicon.ico", icon),
        Route("/api/session", session, methods=["POST"]),
        Route("/api/study", study),
        Route("/api/patch/{candidate}", patch),
        Route("/api/verdict", verdict, methods=["POST"]),
        Route("/api/undo", undo, methods=["POST"]),
        Route("/api/add", add, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={QsmcmbError: _refuse})


def _page_file(name: str) -> bytes:
    return read_packaged("qsmcmb.reviewing", "page", name)


def _study(review: StudyReview) -> dict[str, Any]:
    """Return what the page needs to know before the first image."""
    return {
        "reader": review.reader,
        "blind": review.blind,
        "adjudicate": review.adjudicate,
        "mimics": MIMICS,
        "regions": MARS_REGIONS,
        "max_comment": MAX_COMMENT,
        "items": review.describe(),
    }


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _bad_value("body", body, "a JSON object")
    return body


def _number(body: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number of a request; None where it is not there."""
    value = body.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _bad_value(name, value, "a whole number")


def _bad_value(name: str, value: object, expected: str) -> InvalidInputError:
    """Return the error about a value of a request."""
    return InvalidInputError(
        "REVIEW", "request", field=name, found=repr(value)[:80], expected=expected, fix="load the page again"
    )


def _twins(body: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the candidates at other visits that a request names, each with the last event that the page had."""
    named = body.get("twins", {})
    if not isinstance(named, dict):
        raise _bad_value("twins", named, "numbers by id")
    return {key: _number(named, key) for key in named}


async def _done(write: Callable[[], list[ReviewEvent]]) -> Response:
    """Write events, and acknowledge them once they are on disk."""
    events = await run_in_threadpool(write)
    said = [
        {"number": e.number, "candidate": e.candidate, "conflicts_with": e.conflicts_with} for e in events
    ]
    return JSONResponse({"events": said})


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer a request that cannot be taken with the message of the error."""
    unknown = isinstance(error, InvalidInputError) and error.field == "candidate"
    code = getattr(error, "exit_code", 65)
    return JSONResponse({"error": str(error)}, status_code=404 if unknown else 400 if code == 65 else 507)
