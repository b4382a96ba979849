"""What goes out about money, for the documentation. Amounts are in US dollars, days and months are UTC's."""

from marshmallow import Schema, fields

from app.services.costs import By


class RefusalAnswer(Schema):
    """The budget that has too little left."""

    scope = fields.String(metadata={"description": "client: one's own; all: that of all clients together"})
    period = fields.String(metadata={"description": "day or month, in UTC"})
    currency = fields.String()
    limit = fields.Float()
    left = fields.Float()
    needed = fields.Float()
    resetsAt = fields.DateTime()


class CostSumAnswer(Schema):
    calls = fields.Integer()
    cost = fields.Float(metadata={"description": "all that was charged, or may have been"})
    possibly = fields.Float(metadata={"description": "the part of it that nobody is sure of"})
    wasted = fields.Float(metadata={"description": "the part of it that brought no picture"})
    currency = fields.String()


class CostRowAnswer(CostSumAnswer):
    key = fields.String(allow_none=True)


class CostsAnswer(Schema):
    by = fields.Enum(By, by_value=True)
    from_ = fields.DateTime(data_key="from")
    to = fields.DateTime()
    currency = fields.String()
    total = fields.Nested(CostSumAnswer)
    items = fields.List(fields.Nested(CostRowAnswer))


class PeriodAnswer(Schema):
    limit = fields.Float(allow_none=True, metadata={"description": "null: no limit"})
    spent = fields.Float()
    reserved = fields.Float(metadata={"description": "what open requests may still cost"})
    left = fields.Float(allow_none=True)
    resetsAt = fields.DateTime()


class PeriodsAnswer(Schema):
    daily = fields.Nested(PeriodAnswer)
    monthly = fields.Nested(PeriodAnswer)


class BudgetAnswer(PeriodsAnswer):
    currency = fields.String()
    all = fields.Nested(PeriodsAnswer, metadata={"description": "of all clients together; for operators"})


class OwnBudgetAnswer(Schema):
    id = fields.String()
    username = fields.String()
    currency = fields.String()
    daily = fields.Float(allow_none=True)
    monthly = fields.Float(allow_none=True)
