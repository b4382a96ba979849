"""The one way out: every HTTP exchange with somebody else's server, with a size, a time and an address limit."""
