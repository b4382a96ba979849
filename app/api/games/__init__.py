"""Pictures for games, as GameForge's clients ask for them [A24]-[A28]."""
