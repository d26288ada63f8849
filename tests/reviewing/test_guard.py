"""Who is not the page of the server is refused, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from qsmcmb.reviewing.app import make_app
from qsmcmb.reviewing.guard import MAX_BODY_BYTES, SECRET_HEADER, Access, Guard
from qsmcmb.reviewing.patches import PatchStore
from qsmcmb.reviewing.study_review import StudyReview
from tests.scenes.reviews import reviewed_scan
from tests.scenes.studies import Study

PORT = 8123
OWN = f"http://127.0.0.1:{PORT}"


class Page:
    """A page that has the secret."""

    def __init__(self, study: Study, review: StudyReview) -> None:
        access = Access()
        guard = Guard(make_app(review, PatchStore(study.out), access), access)
        guard.port = PORT
        self.access, self.study, self.review = access, study, review
        self.client = TestClient(guard, base_url=OWN, raise_server_exceptions=False)  # type: ignore[arg-type]
        self.candidate = next(iter(review.items))
        self.secret = self.post("/api/session", {"token": access.token}, **{SECRET_HEADER: ""}).json()[
            "secret"
        ]

    def post(self, path: str, body: object, **headers: str):
        given = {"origin": OWN, SECRET_HEADER: getattr(self, "secret", ""), **headers}
        return self.client.post(path, json=body, headers=given)

    def get(self, path: str, **headers: str):
        return self.client.get(path, headers={SECRET_HEADER: self.secret, **headers})

    def verdict(self, **more: object) -> dict[str, object]:
        return {"candidate": self.candidate, "verdict": "accept", "seen": None, **more}

    def written(self) -> list[Path]:
        return sorted(self.study.out.rglob("*review.jsonl"))


@pytest.fixture
def page(study: Study) -> Page:
    return Page(study, StudyReview([reviewed_scan(study, "A")], "A"))


def test_the_page_itself_is_answered_and_acknowledged_verdicts_are_on_disk(page: Page) -> None:
    assert len(page.get("/api/study").json()["items"]) == 12
    answer = page.post("/api/verdict", page.verdict(comment="=1+1"))
    assert answer.status_code == 200
    assert [event["number"] for event in answer.json()["events"]] == [1]
    (log,) = page.written()
    assert '"comment": "=1+1"' in log.read_text()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": f"127.0.0.1:{PORT + 1}"}, 421),
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"http://localhost:{PORT}"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({SECRET_HEADER: ""}, 403),
        ({SECRET_HEADER: "guess"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": ""}, 415),
    ],
    ids=str,
)
def test_what_is_not_the_page_changes_nothing(page: Page, headers: dict[str, str], status: int) -> None:
    for path, body in (
        ("/api/verdict", page.verdict()),
        ("/api/add", {"beside": page.candidate, "position_mm": [1.0, 2.0, 3.0]}),
        ("/api/undo", {"candidate": page.candidate, "undoes": 1}),
    ):
        assert page.post(path, body, **headers).status_code == status
    assert page.written() == []


@pytest.mark.parametrize("path", ["/api/study", "/api/patch/{}"])
@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"origin": "http://evil.example"}, {SECRET_HEADER: ""}, {SECRET_HEADER: "x"}],
    ids=str,
)
def test_nothing_of_the_study_is_read_without_the_secret(
    page: Page, path: str, headers: dict[str, str]
) -> None:
    answer = page.get(path.format(page.candidate), **headers)
    assert answer.status_code in (403, 421)
    assert len(answer.content) < 100


def test_a_post_without_an_origin_is_refused(page: Page) -> None:
    answer = page.client.post("/api/verdict", json=page.verdict(), headers={SECRET_HEADER: page.secret})
    assert answer.status_code == 403
    assert page.written() == []


def test_the_token_is_good_once(page: Page) -> None:
    for token in (page.access.token, "guess", "", None, ["a"], "é"):
        assert page.post("/api/session", {"token": token}).status_code == 403
    assert (
        page.post("/api/session", {"token": page.access.token}, origin="http://evil.example").status_code
        == 403
    )


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e",
        "<script>alert(1)</script>",
        "=1+1",
        "0" * 16,
        "%00",
    ],
)
def test_ids_are_ids_and_no_paths(page: Page, name: str) -> None:
    assert page.get(f"/api/patch/{name}").status_code == 404
    assert page.post("/api/verdict", page.verdict(candidate=name)).status_code == 404
    assert page.get(f"/{name}").status_code == 404
    assert page.written() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "maybe"}, {"verdict": None}, {"certainty": "<script>"}, {"kind": "microbleed"}, {"kind": ["vein"]},
        {"region": "../x"}, {"comment": 7}, {"comment": "x" * 2001}, {"moved_to_mm": [1, 2]}, {"moved_to_mm": "here"},
        {"moved_to_mm": [1, 2, 1e9]}, {"seen": "1"}, {"seen": True}, {"candidate": None}, {"candidate": {"a": 1}},
        {"twins": []}, {"twins": "0a"}, {"twins": {"../x": None}}, {"twins": {"0a": "1"}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)  # fmt: skip
def test_values_that_are_none_of_a_review_change_nothing(page: Page, wrong: dict[str, object]) -> None:
    answer = page.post("/api/verdict", page.verdict(**wrong))
    assert answer.status_code in (400, 404)
    assert "ERROR REVIEW" in answer.json()["error"]
    assert page.written() == []


@pytest.mark.parametrize("text", ["", "[]", "{", "NaN", "[" * 5000, '{"candidate": NaN}'])
def test_bodies_that_are_no_json_object_change_nothing(page: Page, text: str) -> None:
    headers = {"origin": OWN, SECRET_HEADER: page.secret, "content-type": "application/json"}
    assert page.client.post("/api/verdict", content=text, headers=headers).status_code in (400, 404)
    assert page.written() == []


def test_large_bodies_are_refused_also_without_a_stated_length(page: Page) -> None:
    headers = {"origin": OWN, SECRET_HEADER: page.secret, "content-type": "application/json"}
    large = b"x" * (MAX_BODY_BYTES + 1)
    assert page.client.post("/api/verdict", content=large, headers=headers).status_code == 413
    assert page.client.post("/api/verdict", content=iter([large, large]), headers=headers).status_code == 413


def test_every_answer_forbids_what_the_page_does_not_need(page: Page) -> None:
    for answer in (
        page.get("/"),
        page.get("/review.js"),
        page.get("/api/study"),
        page.get("/none"),
        page.get("/", host="x"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
    assert (
        page.client.request("DELETE", "/api/study", headers={SECRET_HEADER: page.secret}).status_code == 405
    )


def test_the_page_runs_no_text_of_the_study() -> None:
    folder = Path(__file__).parents[2] / "qsmcmb/reviewing/page"
    script, html = (folder / "review.js").read_text(), (folder / "index.html").read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in script
    assert "<script src=" in html
    assert "style=" not in html
    assert "onclick" not in html
