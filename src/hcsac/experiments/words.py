"""Small pieces of the texts that a study prints."""


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def last_line(text: str) -> str:
    """The last line of an error: of a traceback the line that names the exception."""
    return text.strip().splitlines()[-1]
