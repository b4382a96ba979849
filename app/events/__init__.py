"""Redis as a bell: it says that there is something to look at in SQL, never what. Losing all of it loses nothing."""
