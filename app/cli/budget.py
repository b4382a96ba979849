"""`atelier budget`: what may be spent, and how much of it is left."""

import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from app.cli import tools
from app.cli.screen import dollars, out, plain, say, table
from app.cli.site import Site, data_dir_option
from app.config.checks import MOST_DOLLARS
from app.runtime import Runtime
from app.services import access, budgets


class Dollars(click.ParamType[Decimal | str]):
    """US dollars, or `none`."""

    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal | str:
        if value == "none":
            return "none"
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not (amount.is_finite() and 0 <= amount < MOST_DOLLARS):
            self.fail(
                f"{value} is neither US dollars, from 0 to less than {MOST_DOLLARS:,}, nor none.", param, ctx
            )
        return budgets.dollars(amount)


@click.command()
@click.argument("user", required=False)
@click.option(
    "--daily", type=Dollars(), help="What USER may spend in a UTC day; none: what the settings say."
)
@click.option("--monthly", type=Dollars(), help="The same for a UTC month.")
@data_dir_option()
@click.pass_obj
def budget(site: Site, user: str | None, daily: Decimal | str | None, monthly: Decimal | str | None) -> None:
    """Show how the budgets of everybody together and of USER stand, or set USER's own.

    Without USER: everybody's, and those of all users who have one of their own.
    """
    given = {"day": daily, "month": monthly}
    amounts = {
        period: amount if isinstance(amount, Decimal) else None
        for period, amount in given.items()
        if amount is not None
    }
    if amounts and user is None:
        raise click.UsageError("Say whose budget it is: atelier budget USER ...")
    with tools.opened(site) as rt:
        who = access.find_user(rt, user) if user is not None else None
        if who and amounts:
            budgets.change(rt, tools.ACTOR, who.user_id, amounts)
            say(f"The budget of {who.username} was set.")
        _show(rt, {who.user_id: who.username} if who else budgets.owners(rt))


def _show(rt: Runtime, owners: Mapping[uuid.UUID, str]) -> None:
    shown = table(f"Budgets in {budgets.CURRENCY}")
    for name in ("whose", "period"):
        shown.add_column(name)
    for name in ("may spend", "spent", "reserved", "left"):
        shown.add_column(name, justify="right")
    shown.add_column("begins anew")
    nobody = uuid.UUID(int=0)
    together = budgets.shown(rt, nobody, house=True)["all"]
    for whose, periods in (
        ("everybody", together),
        *((name, budgets.shown(rt, id_)) for id_, name in owners.items()),
    ):
        for period in budgets.PERIODS:
            figures = periods[period]
            amounts = (dollars(figures[name]) for name in ("limit", "spent", "reserved", "left"))
            shown.add_row(plain(whose), period, *amounts, f"{figures['resetsAt'][:10]}")
    out.print(shown)
