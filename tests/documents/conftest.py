"""The documents' calls are made as any: by the people and with the application of the API's tests."""

from tests.api.conftest import (  # noqa: F401 (fixtures)
    _application,
    _redis_let_go,
    build,
    call,
    client,
    studio,
)
