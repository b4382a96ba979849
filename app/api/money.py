"""What calls cost, and what may still be spent."""

import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify
from marshmallow import ValidationError, fields, validate

from app.api import money_answers as answers
from app.api.auth import allow
from app.api.deps import rt, who
from app.api.schemas import Blueprint, CamelSchema
from app.config.checks import MOST_DOLLARS
from app.domain.vocabulary import Role
from app.services import budgets, costs
from app.services.costs import By, Span

blp = Blueprint("money", __name__, url_prefix="/api", description="Costs and budgets")
_DOLLARS = validate.Range(min=0, max=MOST_DOLLARS, max_inclusive=False)


def _imaginable(moment: datetime) -> None:
    # At the ends of the calendar a time zone or a month more is an error of arithmetic.
    if not 2000 <= moment.year < 9000:
        raise ValidationError("Must be in this age.")


class CostsQuerySchema(CamelSchema):
    by = fields.Enum(By, by_value=True, load_default=By.DAY)
    from_ = fields.AwareDateTime(data_key="from", default_timezone=UTC, validate=_imaginable)
    to = fields.AwareDateTime(default_timezone=UTC, validate=_imaginable)
    limit = fields.Integer(load_default=100, validate=validate.Range(min=1, max=1000))


class BudgetSchema(CamelSchema):
    """US dollars; null takes a budget away, and what isn't given stays as it is."""

    daily = fields.Float(allow_none=True, validate=_DOLLARS)
    monthly = fields.Float(allow_none=True, validate=_DOLLARS)


@blp.route("/visual-generation/costs")
@blp.arguments(CostsQuerySchema, location="query")
@blp.response(200, answers.CostsAnswer)
def report(query: dict[str, Any]) -> Response:
    """Add up what calls cost; of the last thirty days where nothing else is said."""
    span = Span(query.get("from_"), query.get("to"))
    return jsonify(costs.report(rt(), who(), query["by"], span, query["limit"]))


@blp.route("/visual-generation/budget")
@blp.response(200, answers.BudgetAnswer)
def budget() -> Response:
    """Tell how much may still be spent today and this month; operators see all clients' budgets together, too."""
    return jsonify(budgets.shown(rt(), who().user_id, house=who().sees_all))


@blp.route("/auth/users/<uuid:user_id>/budget", methods=["PUT"])
@allow(Role.ADMIN)
@blp.arguments(BudgetSchema)
@blp.response(200, answers.OwnBudgetAnswer)
def set_budget(form: dict[str, float | None], user_id: uuid.UUID) -> Response:
    """Set a user's own budgets; null takes one away, so that the settings' holds again."""
    amounts = {
        budgets.PERIODS[name]: None if amount is None else budgets.dollars(amount)
        for name, amount in form.items()
    }
    return jsonify(budgets.change(rt(), who().username, user_id, amounts))
