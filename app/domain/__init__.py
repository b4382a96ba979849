"""Words and rules of Atelier: pure functions and values, standard library only."""
