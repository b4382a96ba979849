"""What a provider raises while it is built, where its settings can't be read."""


class BadOption(ValueError):
    """A setting of a provider can't be read; the message names it."""
