"""The lines of a page of docs/ that are to be typed, run as they stand there against the service on a real port."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

DOCS = Path(__file__).parents[2] / "docs"


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve the application; give its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Page:
    """A page's lines, which are run in `folder` with `words` in the environment."""

    def __init__(self, name: str, folder: Path, **words: str) -> None:
        blocks = re.findall(r"```sh\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)
        self.lines = [line for block in blocks for line in block.splitlines()]
        self.folder = folder
        self.words = words

    def run(self, part: str) -> Any:
        """Run the one line that holds `part`; return the JSON that it prints."""
        [line] = [line for line in self.lines if part in line]
        done = subprocess.run(
            ["bash", "-euc", line],
            env={**os.environ, "NO_PROXY": "127.0.0.1", **self.words},
            cwd=self.folder,
            capture_output=True,
            check=True,
            timeout=30,
        )
        self.lines.remove(line)
        return json.loads(done.stdout)
