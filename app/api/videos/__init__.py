"""Videos about pets, as Pet Roast's clients ask for them [A48]-[A55]."""
