"""Small pieces of the texts that a study prints."""

_FEW = 10  # seeds below which a bootstrap interval is too narrow


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 run`, `2 runs`; `nouns` where the plural is another one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"


def few_seeds(fewest: int) -> str:
    """A sentence on the intervals of algorithms of which one has `fewest` seeds; "" where these are enough."""
    if fewest == 1:
        return "Some algorithms have a single seed: how another seed would do is unknown."
    if fewest < _FEW:
        return f"With {fewest} seeds the intervals are narrower than 95 %, as bootstrap intervals of few seeds are."
    return ""


def last_line(text: str) -> str:
    """The last line of an error: of a traceback the line that names the exception."""
    return next(iter(text.strip().splitlines()[-1:]), "")
