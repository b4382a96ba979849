"""Who asks, and what they may see."""

import uuid
from dataclasses import dataclass

from app.domain.vocabulary import Role

# The condition with which a query carries its owner: `:owner` is `Who.scope`.
MINE = "(CAST(:owner AS uuid) IS NULL OR owner_id = :owner)"


@dataclass(frozen=True)
class Who:
    """Somebody whose token or key was checked."""

    user_id: uuid.UUID
    username: str
    role: Role

    @property
    def sees_all(self) -> bool:
        return self.role in (Role.ADMIN, Role.OPERATOR)

    @property
    def scope(self) -> uuid.UUID | None:
        """The owner that every query of theirs carries; None where they see everybody's."""
        return None if self.sees_all else self.user_id
