"""Every error is a problem document, and 503 is the only 5xx."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from api import problems
from api.problems import STATUS, translate
from engine.errors import EngineError, StoreUnavailableError
from engine.ledger.port import LedgerRefusedError, LedgerUnavailableError
from tests.api.conftest import order, problem


def tree(kind: type[EngineError]) -> list[type[EngineError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


def test_every_error_class_has_a_status():
    """An error class without a status would be answered by its parent's, unnoticed."""
    assert set(tree(EngineError)) == set(STATUS)


def test_slugs_are_unique_and_statuses_allowed():
    """Clients dispatch on `type`, and rely on 503 being the only 5xx."""
    slugs = [kind.slug for kind in STATUS]
    assert len(slugs) == len(set(slugs))
    assert all(400 <= status < 500 or status == 503 for status in STATUS.values())


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (LedgerUnavailableError("redis://secret-host"), 503),
        (LedgerRefusedError("disk watermark"), 503),
        (HTTPException(404), 404),
        (HTTPException(405), 405),
        (HTTPException(413), 413),
        (HTTPException(422), 400),
        (HTTPException(500), 503),
        (ZeroDivisionError(), 503),
    ],
)
def test_every_exception_becomes_a_problem(raised, status):
    """Whatever is raised inside, a client sees a status of the contract and no inner name."""
    error = translate(raised)
    assert problems.status_of(error) == status
    assert "secret-host" not in error.detail


async def test_the_frameworks_own_errors_are_problems(empty):
    """404 and 405 come from the router, and look like all others."""
    problem(await empty.get("/nowhere"), 404, "no-route")
    problem(await empty.get("/v1/orders/"), 404, "no-route")
    answer = await empty.delete("/v1/network")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, PUT"
    problem(await empty.options("/v1/orders"), 405, "method-not-allowed")


async def test_routes_of_later_stages_do_not_exist(client):
    """What is not built answers 404, not a stub's success."""
    problem(await client.get("/v1/kpis"), 404, "no-route")


async def test_the_unforeseen_is_a_503_and_logged(app, client, monkeypatch, capsys):
    """A bug answers 503 with Retry-After; the traceback goes to the log, without the order's content."""

    async def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(app.engine.gate, "submit", broken)
    body = problem(await client.post("/v1/orders", json=order(sku="CANARY")), 503, "unexpected")
    assert "ZeroDivision" not in str(body)
    logged = capsys.readouterr()
    assert "CANARY" not in logged.out + logged.err


async def test_a_store_outage_is_a_503(app, client, monkeypatch):
    """Reads fail like writes while the store is away: 503 and when to come back."""

    async def away(*_):
        raise LedgerUnavailableError("gone")

    monkeypatch.setattr(app.engine.ledger, "order", away)
    problem(await client.get("/v1/orders/O-1"), 503, StoreUnavailableError.slug)


async def test_each_type_is_documented_at_its_path(empty):
    """`type` is a link that works."""
    for kind in STATUS:
        answer = await empty.get(f"/problems/{kind.slug}")
        assert answer.json()["status"] == STATUS[kind]
    problem(await empty.get("/problems/unheard-of"), 404, "not-found")


async def test_request_ids_are_taken_over_when_decent(empty):
    """A caller finds its own id in answer and log; a strange one is replaced."""
    assert (await empty.get("/healthz", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    assert (await empty.get("/healthz", headers={"X-Request-Id": "a b"})).headers["x-request-id"] != "a b"
