"""`apportion explain`: why an order went where it went, as a table."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote as quoted

import msgspec
import typer

from api.cli.codes import EPILOG, ExitCode
from api.cli.plans import cost_line, hidden, kept_lines, missing_lines, node_table, plan_table
from api.cli.replay import connect
from api.cli.terminal import CommandError, Terminal, complete
from engine.explaining.document import Explanation

HELP = f"""Show why an order went where it went: for every node what it would have cost, or what stopped it.

Example: apportion explain README-1

{EPILOG}"""


def explain(
    order_id: Annotated[str, typer.Argument(help="The order.")],
    url: Annotated[str, typer.Option(help="The running service.")] = "http://127.0.0.1:8080",
    partition: Annotated[str, typer.Option(help="Stock partition.")] = "default",
    json: Annotated[bool, typer.Option("--json", help="The explanation as JSON on standard output.")] = False,
) -> None:
    terminal = Terminal(json)
    complete(terminal, _explain(terminal, order_id, url, partition))


async def _explain(terminal: Terminal, order_id: str, url: str, partition: str) -> ExitCode:
    client = connect(url, partition, 1)
    try:
        response = await client.get(f"/v1/orders/{quoted(order_id, safe='')}/explanation")
    finally:
        client.close()
    if response.status != 200:
        raise CommandError(response.problem, ExitCode.PROBLEMS)
    if terminal.json:
        terminal.result(response.json(), [])
        return ExitCode.OK
    _show(terminal, msgspec.json.decode(response.body, type=Explanation))
    return ExitCode.OK


def _show(terminal: Terminal, explanation: Explanation) -> None:
    window, policy = explanation.window, explanation.policy
    rules = f", rules {', '.join(policy.rules)}" if policy.rules else ""
    company = f"with {window.orders - 1} more" if window.orders > 1 else "alone"
    terminal.say(
        f"Order {explanation.order_id}, decided {company} at {explanation.as_of.isoformat(timespec='seconds')} "
        f"by policy {policy.policy_id} version {policy.version} ({policy.mode}{rules})"
    )
    terminal.out.print(plan_table("Chosen", explanation.chosen))
    terminal.say(cost_line(explanation.chosen))
    for line in missing_lines(explanation.chosen):
        terminal.say(line)
    alone = explanation.alone
    nodes = ", ".join(dict.fromkeys(parcel.node_id for parcel in alone.parcels)) or "nowhere"
    terminal.say(f"Had it been alone in its window: from {nodes}, {cost_line(alone)} (difference {alone.difference})")
    terminal.out.print(node_table(explanation.nodes))
    for line in kept_lines(explanation.nodes):
        terminal.say(line)
    if left := hidden(explanation):
        terminal.say(f"... and {left} more nodes (--json shows all)")
    if not explanation.reproduced:
        terminal.warn("the window, decided again from its record, gave another plan: its search was cut by the clock")
