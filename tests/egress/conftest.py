"""Ways out, and servers on the other side of them."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from app.egress.sender import Egress
from tests.egress.lines import Act, Server, serving


class Certified(NamedTuple):
    """A certificate that signs itself: what a server wraps its lines in, and the file to trust it by."""

    server: ssl.SSLContext
    file: str


@pytest.fixture
def egress() -> Egress:
    """Return a way out that may be led to nothing private."""
    return Egress()


@pytest.fixture
def local() -> Egress:
    """Return a way out that may be led to this machine."""
    return Egress(allow=("127.0.0.1",))


@pytest.fixture
def local_by() -> Callable[["Certified"], Egress]:
    """Return a way out that may be led to this machine, and believes a certificate of the tests."""
    return lambda certified: Egress(allow=("127.0.0.1",), authorities=certified.file)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(act: Act, certified: ssl.SSLContext | None = None, **more: object) -> Server:
            return stack.enter_context(serving(act, certified=certified, **more))

        yield start


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return certify(tmp_path_factory.mktemp("certificate"), "DNS:localhost,IP:127.0.0.1")


@pytest.fixture(scope="session")
def misnamed(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """Return a certificate that is fine but for its name."""
    return certify(tmp_path_factory.mktemp("misnamed"), "DNS:elsewhere.example")


def certify(folder: Path, names: str) -> Certified:
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("the openssl program makes the certificates")
    key, file = folder / "key.pem", folder / "certificate.pem"
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [openssl, "req", *kind, "-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(file)],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file, key)
    return Certified(server, str(file))
