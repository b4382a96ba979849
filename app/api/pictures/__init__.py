"""The AI-DnD document's routes [A57]-[A67], below /api/v1: snake_case, as its clients speak."""
