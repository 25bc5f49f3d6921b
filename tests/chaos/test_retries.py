"""Faults between a commit and its answer, and a store that forgets its scripts (promises R6 and R12)."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import time

import pytest
import redis

from engine.ledger.server.files import running_url
from tests.chaos.checks import check_all, post
from tests.chaos.load import Load, furnish, orders, plenty
from tests.chaos.proxy import Proxy
from tests.chaos.service import Connection, Service, eventually, running
from tests.chaos.trust import SEED, count, within

LOST_REPLIES = count(10, 500)
SCRIPT_FLUSHES = count(20, 1_000)
STORE_RESTARTS = count(2, 50)
BACK_S = 60.0
"""When waiting for something to happen at all is given up."""


@pytest.fixture(scope="module")
def stock():
    return plenty(60 * STORE_RESTARTS)


@pytest.fixture(scope="module")
def service(tmp_path_factory, stock):
    service = Service(tmp_path_factory.mktemp("retries") / "data")
    with running(service):
        furnish(service, stock)
        yield service


@pytest.fixture(scope="module")
def everything(service):
    """All that this module ever sent, since the stock is shared."""
    return Load([service.port], "all", SEED)


def test_a_reply_lost_after_the_commit_is_given_again(service, stock, everything):
    """R6: the client never saw the answer, so it asks again, and gets the first decision byte for byte."""
    supply = orders("lost", random.Random(SEED))
    with Proxy(service.port) as proxy:
        for number in range(1, LOST_REPLIES + 1):
            document = next(supply)
            order_id, body = str(document["order_id"]), json.dumps(document).encode()
            everything.sent[order_id] = body
            connection = Connection(proxy.port)
            proxy.drop.set()
            with pytest.raises((OSError, http.client.HTTPException)):
                connection.request("POST", "/v1/orders", body)
            assert proxy.lost == number
            proxy.drop.clear()
            view = service.ask("GET", f"/v1/orders/{order_id}")
            assert view.status == 200, "the lost answer was given before the commit"
            again = connection.request("POST", "/v1/orders", body)
            connection.close()
            assert again.status == 200
            assert again.body in view.body
            assert post(Connection(service.port), body).body == again.body
            everything.acknowledged[order_id] = again.body
    check_all(service, stock, everything)


def test_replies_lost_under_load_change_nothing(service, stock, everything):
    """R6 with many clients: whatever answers are lost, each order is decided once and the stock adds up."""
    with Proxy(service.port) as proxy:
        with Load([proxy.port], "flaky", SEED, orders_each=25) as load:
            while proxy.lost < LOST_REPLIES and len(load.acknowledged) < 100:
                proxy.drop.set()
                seen = proxy.lost
                eventually(lambda: proxy.lost > seen or len(load.acknowledged) >= 100, BACK_S)  # noqa: B023
                proxy.drop.clear()
                answered = len(load.acknowledged)
                eventually(lambda: len(load.acknowledged) > answered + 5, BACK_S)  # noqa: B023
            load.join()
        assert proxy.lost >= 3
    everything.add(load, check_all(service, stock, load, everything.acknowledged))


def test_scripts_that_vanish_are_loaded_again(service, stock, everything):
    """R12: SCRIPT FLUSH under load costs clients time and nothing else, not even a 503."""
    store = redis.Redis.from_url(running_url(service.data_dir), socket_timeout=5)
    with Load([service.port], "flush", SEED) as load:
        for _ in range(SCRIPT_FLUSHES):
            store.script_flush()
            answered = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > answered, BACK_S)  # noqa: B023
    store.close()
    assert {attempt.status for attempt in load.attempts} <= {200, 201}
    everything.add(load, check_all(service, stock, load, everything.acknowledged))


def test_a_store_that_is_restarted_is_missed_only_for_a_moment(service, stock, everything):
    """R12: the store ends and comes back under load; clients that repeat a 503 get every order decided."""
    with Load([service.port], "again", SEED) as load:
        for _ in range(STORE_RESTARTS):
            before = service.store_pid
            assert before in service.family()
            os.kill(before, signal.SIGTERM)
            eventually(lambda: service.store_pid not in (0, before), BACK_S)  # noqa: B023
            answered = len(load.acknowledged)
            began = time.monotonic()
            eventually(lambda: len(load.acknowledged) > answered, BACK_S)  # noqa: B023
            assert time.monotonic() - began < within(5)
    assert {attempt.status for attempt in load.attempts} <= {200, 201, 503}
    everything.add(load, check_all(service, stock, load, everything.acknowledged))
