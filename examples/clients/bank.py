"""What both sample clients need besides OAuth itself: settings, discovery, a browser, the callback listener, the token file."""

import email.utils
import json
import os
import queue
import random
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import requests

TIMEOUT = (5, 15)  # seconds to connect and to wait for an answer; without one, requests waits for ever


@dataclass(frozen=True)
class Settings:
    """Who we are and where the bank is; the defaults are the sandbox's documented ones."""

    issuer: str
    client_id: str
    client_secret: str
    token_file: Path

    @classmethod
    def from_env(cls, name: str) -> "Settings":
        return cls(
            issuer=os.environ.get("OIDC_ISSUER", "http://127.0.0.1:8080"),
            client_id=os.environ.get("OIDC_CLIENT_ID", "sandbox-recipient"),
            client_secret=os.environ.get("OIDC_CLIENT_SECRET", "sandbox-recipient-secret-for-local-use"),
            token_file=Path(os.environ.get("TOKEN_FILE") or Path(__file__).with_name(f"tokens-{name}.json")),
        )


def discover(issuer: str) -> dict:
    """The server's endpoints. Its name must be the one we asked for, or these are another server's (OpenID Discovery, section 4.3)."""
    answer = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=TIMEOUT)
    answer.raise_for_status()
    if (found := answer.json())["issuer"] != issuer:
        raise ValueError(f"asked {issuer} and was answered by {found['issuer']}")
    return found


def open_browser(url: str) -> None:
    """Stands in for the customer's browser, and shares no cookies with the API calls.

    A real app redirects the customer's browser to `url` (or, on a desktop, calls `webbrowser.open`). While it grades a client the
    sandbox shows no pages, so whatever follows redirects arrives at our callback.
    """
    requests.get(url, timeout=TIMEOUT)


class Callback:
    """Receives the authorization responses, on a loopback port of its own (RFC 8252, section 7.3)."""

    def __init__(self) -> None:
        self._responses: queue.Queue[dict[str, str]] = queue.Queue()
        responses = self._responses

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                found = url.path == "/callback"
                if found:
                    responses.put(dict(parse_qsl(url.query)))
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(b"You can close this window.\n" if found else b"")

            def log_message(self, *args: object) -> None:
                """Nothing: the path holds the code."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.redirect_uri = f"http://127.0.0.1:{server.server_port}/callback"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        """Drops what arrived late: it belongs to an earlier request."""
        while not self._responses.empty():
            self._responses.get_nowait()

    def wait(self, seconds: float, stop: threading.Event) -> dict[str, str] | None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not stop.is_set():
            try:
                return self._responses.get(timeout=0.2)
            except queue.Empty:
                pass
        return None


@dataclass
class Tokens:
    """What must outlive the process. Every change is on disk before anybody acts on it."""

    path: Path
    issuer: str
    refresh_token: str | None = None
    id_token: str | None = None  # None: not usable, refresh first
    refresh_at: float = 0
    subject: str | None = None
    pending_key: str | None = None  # Idempotency-Key of a refresh that has no answer yet

    @classmethod
    def load(cls, path: Path, issuer: str) -> "Tokens":
        try:
            stored = json.loads(path.read_text())
        except FileNotFoundError:
            stored = {}
        # A refresh token is shown to the server that gave it and to no other.
        return cls(path, **(stored if stored.get("issuer") == issuer else {"issuer": issuer}))

    def due(self) -> bool:
        return self.id_token is None or self.pending_key is not None or time.time() >= self.refresh_at

    def save(self, **changes: str | float | None) -> None:
        """A new file takes the old one's place in one step, so a crash leaves one of the two, whole. mkstemp makes it 0600."""
        for name, value in changes.items():
            setattr(self, name, value)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
        with os.fdopen(handle, "w") as file:
            json.dump({name: value for name, value in asdict(self).items() if name != "path"}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def clear(self) -> None:
        self.save(refresh_token=None, id_token=None, refresh_at=0, subject=None, pending_key=None)


class Backoff:
    """How long to wait: twice as long each time, until something worked."""

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most, self._next = first, most, first

    def next(self) -> float:
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait

    def reset(self) -> None:
        self._next = self._first


def retry_after(answer: requests.Response) -> float | None:
    """The seconds that the server asks us to wait, given as a number or as a date (RFC 9110, section 10.2.3).

    A little is added by chance, so that not all who were sent away come back in the same moment.
    """
    value = answer.headers.get("Retry-After", "")
    try:
        seconds = float(value) if value.isdigit() else email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except ValueError:
        return None
    return max(seconds, 0) + random.uniform(0.2, 1)
