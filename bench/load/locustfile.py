"""A shop's day by locust: orders, bulk feeds, quotes, stock movements, confirmations, cancellations, explanations.

Start a service (`apportion serve`), then, without a page and ending by itself:

    locust -f bench/load/locustfile.py --headless --host http://127.0.0.1:8080 --day 120 --stop-timeout 15

or with locust's page at http://127.0.0.1:8089:

    locust -f bench/load/locustfile.py --host http://127.0.0.1:8080 --web-host 127.0.0.1

Users are a closed loop: each waits for its answer, so a slow service is asked less. `--open-rate 300` asks instead for
single orders in an open loop, 300 a second at the day's peak: they are due when a seeded Poisson process says, whatever
the answers take, and the row `OPEN` counts each from the instant at which it was due, its late start included.

The first start loads a seeded world into `--partition`, in which a few SKUs sell most (Zipf). Whatever the contract
forbids is a failure: a 5xx other than 503 with Retry-After, a repeat that differs by a byte, an order without decision.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import deque
from datetime import UTC, datetime
from random import Random
from typing import Any

import gevent
import msgspec
from gevent.pool import Group
from locust import FastHttpUser, LoadTestShape, between, constant_throughput, events, task
from locust.exception import StopUser
from locust.runners import WorkerRunner

from api.cli.client import Client
from api.demo.seeding import load_world
from bench.load.arrivals import arrivals, peak_day
from bench.load.contract import Said, decision_of, fault_of, judge
from bench.load.posting import PATIENCE_S, PAUSE_S
from bench.merchant import expected_demand, merchant, stocked
from engine.domain import Movement, Order
from engine.sample.orders import OrderGenerator

STOCK_FOR = 50_000
"""Orders that the stock would serve three times over."""

KEPT = 50
"""Orders that a user remembers, to repeat, cancel or look at them."""

HOT = 0.02
"""Share of the SKUs, those that sell most, of which goods come in all the time."""

NDJSON = "application/x-ndjson"
_DECISION = msgspec.json.Decoder()

RECENT: deque[str] = deque(maxlen=500)
"""Orders decided lately by any user of this process: support is asked about these."""

USER_NUMBERS = itertools.count(1)


@events.init_command_line_parser.add_listener
def options(parser: Any) -> None:
    """What can be chosen, on the command line and on the page."""
    parser.add_argument("--partition", default="bench-locust", help="Stock partition; empty, or of an earlier run")
    parser.add_argument("--nodes", type=int, default=50, help="Nodes of the world")
    parser.add_argument("--skus", type=int, default=2_000, help="SKUs of the world")
    parser.add_argument("--seed", type=int, default=1, help="Of users and arrivals")
    parser.add_argument("--day", type=float, default=120.0, help="Seconds into which a day is pressed")
    parser.add_argument("--peak-users", type=int, default=60, help="Users when the shop is busiest")
    parser.add_argument("--open-rate", type=float, default=0.0, help="Single orders a second at the peak, open loop")


@events.init.add_listener
def build(environment: Any, **_: Any) -> None:
    """The world, the same in every process."""
    chosen = environment.parsed_options
    bare = merchant(chosen.nodes, chosen.skus)
    environment.world = stocked(bare, expected_demand(bare, STOCK_FOR), "normal")
    environment.run = f"{time.time_ns() // 1_000_000:x}-{os.getpid():x}"


@events.test_start.add_listener
def seed(environment: Any, **_: Any) -> None:
    """Load the world once, by whoever leads."""
    if isinstance(environment.runner, WorkerRunner):
        return

    async def load() -> None:
        client = Client(environment.host, 4, {"Apportion-Partition": environment.parsed_options.partition}, 120.0)
        try:
            await load_world(client, environment.world)
        finally:
            client.close()

    asyncio.run(load())


class Caller(FastHttpUser):
    """What all users share: orders of their own, and a judge for every answer."""

    abstract = True
    network_timeout = PATIENCE_S
    connection_timeout = PATIENCE_S

    def __init__(self, environment: Any) -> None:
        chosen = environment.parsed_options
        self.default_headers = {"Apportion-Partition": chosen.partition}
        super().__init__(environment)
        number = next(USER_NUMBERS)
        self.rng = Random(f"{chosen.seed}-{number}")
        self._orders = OrderGenerator(environment.world, self.rng.getrandbits(32), f"{environment.run}-{number}")

    def new_order(self, **fields: Any) -> Order:
        """The next order of this user."""
        order = self._orders.order(datetime.now(UTC))
        return msgspec.structs.replace(order, **fields) if fields else order

    def decide(self, order_id: str, body: bytes, first: bytes | None = None) -> bytes | None:
        """Post an order until it is decided; None if it was not, which is a failure."""
        name = "/v1/orders" if first is None else "/v1/orders again"
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            with self.client.post(
                "/v1/orders", data=body, name=name, catch_response=True, headers={"Content-Type": "application/json"}
            ) as answer:
                content = answer.content or b""
                verdict = judge(order_id, answer.status_code, lower(answer.headers), content, first)
                if verdict.said is Said.FAULT:
                    answer.failure(verdict.text)
                    return None
                answer.success()
            if verdict.said is Said.DECIDED:
                RECENT.append(order_id)
                return content
            gevent.sleep(verdict.after_s or PAUSE_S)
        self.tell("MISSING", name, PATIENCE_S, fault=f"{order_id}: no decision within {PATIENCE_S:.0f} s")
        return None

    def tell(self, kind: str, name: str, seconds: float, fault: str = "") -> None:
        """A row of the statistics beside those of requests."""
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            exception=AssertionError(fault) if fault else None,
            context={},
        )

    def ask(
        self,
        method: str,
        path: str,
        name: str,
        body: bytes | None = None,
        kind: str = "application/json",
        allowed: tuple[int, ...] = (200, 201),
    ) -> bytes | None:
        """Any other request: its answer, None if that was not one of the statuses allowed."""
        headers = {} if body is None else {"Content-Type": kind}
        with self.client.request(method, path, data=body, name=name, catch_response=True, headers=headers) as answer:
            content = answer.content or b""
            fault = fault_of(answer.status_code, lower(answer.headers), content, allowed)
            if fault:
                answer.failure(fault)
                return None
            answer.success()
        return content if answer.status_code in allowed else None


def lower(headers: Any) -> dict[str, str]:
    """Headers by lower case name; a request that got no answer has none."""
    return {name.lower(): value for name, value in (headers or {}).items()}


class Shopper(Caller):
    """Places single orders, sometimes twice, and changes its mind about some."""

    weight = 12
    wait_time = between(0.1, 0.9)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._decided: deque[tuple[str, bytes, bytes]] = deque(maxlen=KEPT)

    def _buy(self, **fields: Any) -> tuple[str, bool] | None:
        """Place an order; its id and whether anything of it ships."""
        order = self.new_order(**fields)
        body = msgspec.json.encode(order)
        decision = self.decide(order.order_id, body)
        if decision is None:
            return None
        self._decided.append((order.order_id, body, decision))
        return order.order_id, bool(_DECISION.decode(decision)["parcels"])

    @task(20)
    def buy(self) -> None:
        """An order."""
        self._buy()

    @task(2)
    def buy_again(self) -> None:
        """The same order once more, as after a lost answer: the first decision, byte for byte."""
        if self._decided:
            self.decide(*self.rng.choice(self._decided))

    @task(3)
    def reserve_and_confirm(self) -> None:
        """Hold softly while paying, then confirm."""
        self._then("confirm", hold_seconds=600)

    @task(2)
    def buy_and_cancel(self) -> None:
        """Change one's mind."""
        self._then("cancel")

    def _then(self, command: str, **fields: Any) -> None:
        bought = self._buy(**fields)
        if bought is not None:
            order_id, ships = bought
            # Of what was refused there is nothing to confirm or cancel: the state table may say so.
            allowed = (200,) if ships else (200, 409)
            self.ask("POST", f"/v1/orders/{order_id}/{command}", f"/v1/orders/*/{command}", b"{}", allowed=allowed)


class Feed(Caller):
    """A marketplace that hands over what it has collected."""

    weight = 1
    wait_time = between(2.0, 5.0)

    @task
    def hand_over(self) -> None:
        """Some dozens of orders in one request: a decision for each."""
        orders = [self.new_order(channel="marketplace") for _ in range(self.rng.randint(20, 60))]
        body = b"\n".join(map(msgspec.json.encode, orders)) + b"\n"
        answer = self.ask("POST", "/v1/orders/bulk", "/v1/orders/bulk", body, NDJSON, allowed=(200,))
        if answer is None:
            return
        told = answer.splitlines()
        for order, line in itertools.zip_longest(orders, told[: len(orders)]):
            if line is None or decision_of(order.order_id, line).said is not Said.DECIDED:
                self.decide(order.order_id, msgspec.json.encode(order))


class Browser(Caller):
    """Looks at dates and prices before buying, or without buying."""

    weight = 3
    wait_time = between(0.5, 2.0)

    @task
    def quote(self) -> None:
        """What an order would get now."""
        self.ask("POST", "/v1/quotes", "/v1/quotes", msgspec.json.encode(self.new_order()), allowed=(200,))


class Warehouse(Caller):
    """Receives goods of what sells most, and counts."""

    weight = 2
    wait_time = constant_throughput(1)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        world = environment.world
        hottest = world.demand.argsort()[::-1][: max(1, int(len(world.skus) * HOT))]
        hot = {world.skus[at].sku for at in hottest.tolist()}
        self._cells = [(row.node_id, row.sku) for row in world.stock if row.sku in hot]
        self._numbers = itertools.count(1)
        self._name = f"M-{environment.run}-{self.rng.getrandbits(48):x}"

    @task
    def receive(self) -> None:
        """A delivery of a few SKUs; every tenth movement corrects a count."""
        rows = []
        for node_id, sku in self.rng.sample(self._cells, min(10, len(self._cells))):
            kind = "adjust" if self.rng.random() < 0.1 else "receive"
            quantity = self.rng.randint(5, 40)
            movement_id = f"{self._name}-{next(self._numbers)}"
            rows.append(
                Movement(movement_id=movement_id, node_id=node_id, sku=sku, kind=kind, quantity=quantity)  # type: ignore[arg-type]
            )
        body = b"\n".join(map(msgspec.json.encode, rows)) + b"\n"
        answer = self.ask("POST", "/v1/stock/movements", "/v1/stock/movements", body, NDJSON, allowed=(200,))
        if answer is not None and _DECISION.decode(answer)["applied"] != len(rows):
            self.tell("MISSING", "/v1/stock/movements", 0.0, fault=f"not all applied: {answer[:300]!r}")


class Support(Caller):
    """Is asked why."""

    weight = 2
    wait_time = between(0.5, 2.0)

    @task(2)
    def explain(self) -> None:
        """Why an order goes where it goes."""
        self._read("/explanation")

    @task
    def look(self) -> None:
        """An order as it stands."""
        self._read("")

    def _read(self, what: str) -> None:
        if RECENT:
            self.ask("GET", f"/v1/orders/{self.rng.choice(RECENT)}{what}", f"/v1/orders/*{what}", allowed=(200,))


CLOSED = [Shopper, Feed, Browser, Warehouse, Support]


class Open(Caller):
    """Single orders when they are due; one of these is the whole load of `--open-rate`."""

    weight = 1
    concurrency = 512

    @task
    def follow_the_clock(self) -> None:
        """All arrivals of the day, scheduled before the first is sent."""
        chosen = self.environment.parsed_options
        flying = Group()
        started = time.perf_counter()
        for offset in arrivals(chosen.open_rate, chosen.day, chosen.seed, peak_day):
            intended = started + offset
            while (wait := intended - time.perf_counter()) > 0:
                gevent.sleep(wait)
            flying.spawn(self._one, intended)
        flying.join(timeout=PATIENCE_S)
        raise StopUser

    def _one(self, intended: float) -> None:
        order = self.new_order()
        if self.decide(order.order_id, msgspec.json.encode(order)) is not None:
            self.tell("OPEN", "/v1/orders from the intended instant", time.perf_counter() - intended)


class PeakDay(LoadTestShape):
    """The closed users follow the day's curve; the open loop is one user that keeps to its own schedule."""

    def tick(self) -> tuple[int, float, list[type[Any]]] | None:
        """As many users as the hour asks for; None when the day is over."""
        assert self.runner is not None
        chosen: Any = self.runner.environment.parsed_options
        passed = time.perf_counter() - self.start_time
        if passed >= chosen.day:
            return None
        if chosen.open_rate > 0:
            return 1, 1.0, [Open]
        users = max(len(CLOSED), round(chosen.peak_users * peak_day(passed / chosen.day)))
        return users, float(users), list(CLOSED)
