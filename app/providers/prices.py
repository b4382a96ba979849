"""What calls cost: from what was used to US dollars. The table is data: catalogue.toml, and the operator's own file.

A provider that isn't in the table costs nothing as far as is known: a figure that we'd make up would
refuse work for no reason. `atelier cost` shows what was charged, to hold against the bill.
"""

import datetime
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

EACH = "each"
DOLLAR = "dollar"
ANY_MODEL = "*"
# One call that costs more, or uses more of anything, is somebody's mistake.
MOST_DOLLARS = Decimal(10_000)
MOST_UNITS = 10**12
_SMALLEST = Decimal("0.000001")
_NOTHING = Decimal(0)
_NAMES = ("provider", "model", "as_of")


class BadPrices(Exception):
    """A line for each fault of a price file: the file, the entry, the field."""


@dataclass(frozen=True)
class Prices:
    """US dollars by unit, for each (provider, model); the model `*` stands for any other."""

    table: Mapping[tuple[str, str], Mapping[str, Decimal]] = field(default_factory=dict)

    def known(self, provider: str, model: str) -> bool:
        """Whether the table has a price for the provider's model, if only for any of its models."""
        return (provider, model) in self.table or (provider, ANY_MODEL) in self.table

    def cost(self, provider: str, model: str, units: Mapping[str, float]) -> Decimal:
        """Return US dollars, to a millionth, for what was used or is expected to be.

        A unit "dollar" costs 1. Where none of the finer units has a price, `each` counts. What can't be, since
        it comes from a provider (not a number, negative, over 10,000 dollars), costs nothing and raises nothing.
        """
        if not units or not all(_is_amount(amount) for amount in units.values()):
            return _NOTHING
        prices = {**self._of(provider, model), DOLLAR: Decimal(1)}
        finer = [
            prices[unit] * _decimal(amount)
            for unit, amount in units.items()
            if unit in prices and unit != EACH
        ]
        coarse = prices.get(EACH, _NOTHING) * _decimal(units.get(EACH, 1))
        total = sum(finer, _NOTHING) if finer else coarse
        return total.quantize(_SMALLEST) if total <= MOST_DOLLARS else _NOTHING

    def _of(self, provider: str, model: str) -> Mapping[str, Decimal]:
        return self.table.get((provider, model)) or self.table.get((provider, ANY_MODEL)) or {}


def load(own: Path | None = None) -> Prices:
    """Return the packaged prices, with the operator's entries from `own` (TOML) in place of theirs. Raises BadPrices."""
    table = _entries("catalogue.toml", _packaged())
    if own is not None:
        found = _parse(own)
        faults = [f"{own}: {name}: only [[price]] is read from here" for name in found.keys() - {"price"}]
        if faults:
            raise BadPrices("\n".join(sorted(faults)))
        table |= _entries(str(own), found)
    return Prices(table)


def _packaged() -> dict[str, Any]:
    text = files("app.providers").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as err:
        raise BadPrices(f"{path}: can't be read: {err.strerror}") from err
    except ValueError as err:
        raise BadPrices(f"{path}: is not TOML: {err}") from err


def _entries(file: str, found: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Decimal]]:
    """Return the entries by provider and model. Raises BadPrices with every fault."""
    entries = found.get("price", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadPrices(f"{file}: price: must be written as [[price]], once for each entry")
    table: dict[tuple[str, str], Mapping[str, Decimal]] = {}
    faults: list[str] = []
    for number, entry in enumerate(entries, 1):
        named = (str(entry.get("provider", "")), str(entry.get("model", "")))
        wrong = [*_faults(entry), *(["model: has an entry already"] if named in table else [])]
        faults += [f"{file}: [[price]] {number} ({', '.join(named)}): {fault}" for fault in wrong]
        table[named] = {
            unit: Decimal(price) for unit, price in entry.items() if unit not in _NAMES and not wrong
        }
    if faults:
        raise BadPrices("\n".join(faults))
    return table


def _faults(entry: Mapping[str, Any]) -> Iterable[str]:
    for name in ("provider", "model"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            yield f"{name}: must be a name{' or *' if name == 'model' else ''}, in quotes"
    if not isinstance(entry.get("as_of"), datetime.date):
        yield "as_of: must be the date of the price, such as 2026-11-20"
    units = entry.keys() - set(_NAMES)
    if not units:
        yield f"{EACH}: a price is missing, of {EACH} or of a finer unit"
    for unit in sorted(units):
        if unit == DOLLAR:
            yield f"{DOLLAR}: always costs 1"
        elif not _is_price(entry[unit]):
            yield f"{unit}: must be US dollars, a number from 0 to {MOST_DOLLARS}"


def _is_price(price: Any) -> bool:
    return (
        isinstance(price, (int, Decimal))
        and not isinstance(price, bool)
        and Decimal(price).is_finite()
        and 0 <= price <= MOST_DOLLARS
    )


def _is_amount(amount: Any) -> bool:
    return isinstance(amount, (int, float)) and not isinstance(amount, bool) and 0 <= amount <= MOST_UNITS


def _decimal(amount: float) -> Decimal:
    # By its shortest form: 0.04 is meant as 4 cents, not as the binary fraction beside it.
    return Decimal(repr(amount))
