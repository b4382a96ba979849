"""What is shown: results go to standard output, everything else to standard error."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(line: str = "") -> None:
    """Print one line to standard error, as it is."""
    err.print(plain(line), soft_wrap=True)


def plain(line: object) -> Text:
    """Return text that came from elsewhere without markup, and without what would command the terminal."""
    return Text(
        "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(line))
    )


def table(title: str = "") -> Table:
    """Return an empty table in the one way that tables look here."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: 0.42 s, 12.3 s, 3 min 20 s, 2 h 5 min; a dash for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def dollars(amount: float | None) -> str:
    """Return US dollars with four decimals, for what costs less than a cent, too; a dash for None."""
    return "-" if amount is None else f"{amount:,.4f}"
