"""What is wrong with a picture or a model from outside, in words for the client."""


class BadInput(Exception):
    """The file is damaged, too large, or not what it says it is."""


class Unsuited(BadInput):
    """The file is sound, but needs what can't be done here."""
