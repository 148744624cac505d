"""A group on one server: people sign in at a real OpenID provider on this machine, and only those named may launch."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import STILL

SECOND = 1000
FORM = "launcher?data=synthetic&synthetic_documents=600&synthetic_labels=12&models=tfidf"
PEOPLE = {
    "ann": {"email": "Ann@x.org", "name": "Ann", "email_verified": True},
    "bob": {"email": "bob@x.org", "name": "Bob"},
    "eve": {"email": "ann@x.org", "name": "Eve", "email_verified": False},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Address of an OpenID provider (code flow, PKCE, RS256) whose page asks which of `PEOPLE` one is."""
    jwk, jwt = pytest.importorskip("joserfc.jwk"), pytest.importorskip("joserfc.jwt")
    pytest.importorskip("authlib")
    key = jwk.RSAKey.generate_key(2048, {"kid": "one"}, private=True)
    asked: dict[str, dict[str, str]] = {}

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            match urlsplit(self.path).path:
                case "/.well-known/openid-configuration":
                    ends = {f"{end}_endpoint": f"{address}/{end}" for end in ("authorization", "token")}
                    self.say({"issuer": address, "jwks_uri": f"{address}/keys", **ends, **CAN})
                case "/keys":
                    self.say({"keys": [key.as_dict(private=False)]})
                case "/authorization" if "who" not in query:
                    self.say(" ".join(f'<a href="{self.path}&who={who}">{who}</a>' for who in PEOPLE).encode())
                case "/authorization":
                    code = f"code-{len(asked)}"
                    asked[code] = query
                    self.send_response(302)
                    answer = urlencode({"code": code, "state": query["state"]})
                    self.send_header("Location", f"{query['redirect_uri']}?{answer}")
                    self.end_headers()

        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            query = asked.pop(sent["code"][0])
            digest = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
            now = int(time.time())
            who = {"iss": address, "aud": query["client_id"], "sub": query["who"], "nonce": query["nonce"]}
            claims = {**who, "iat": now, "exp": now + 600, **PEOPLE[query["who"]]}
            token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
            self.say({"access_token": "none", "token_type": "Bearer", "expires_in": 600, "id_token": token})

        def say(self, answer: dict[str, Any] | bytes) -> None:
            page = isinstance(answer, bytes)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if page else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield address
        server.shutdown()


CAN = {
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "code_challenge_methods_supported": ["S256"],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of `address`, empty at first."""
    return tmp_path_factory.mktemp("group")


@pytest.fixture(scope="module")
def address(cache: Path, provider: str, serve: Callable[..., Any]) -> Iterator[str]:
    """A server where people sign in and ann may launch."""
    secrets = cache / "home" / ".streamlit" / "secrets.toml"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(
        f"""[auth]
redirect_uri = "http://127.0.0.1:{{port}}/oauth2callback"
cookie_secret = "a secret of this test alone"
client_id = "tailscope"
client_secret = "another"
server_metadata_url = "{provider}/.well-known/openid-configuration"
""",
        "utf-8",
    )
    people = {"HOME": str(cache / "home"), "TAILSCOPE_LAUNCHERS": "ann@x.org, *@y.org"}
    with serve(cache, TAILSCOPE_WORKER="tests.helpers.stub_worker", **people) as found:
        yield found


def sign_in(page: Page, address: str, who: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name=who, exact=True).click()
    expect(page.get_by_text(str(PEOPLE[who]["name"]), exact=True)).to_be_visible()


def holds_no_action(page: Page, address: str) -> None:
    page.goto(f"{address}/{FORM}")
    expect(page.get_by_text("This dashboard is read-only")).to_be_visible()
    expect(page.get_by_role("button", name="Launch")).to_have_count(0)


def test_only_those_named_may_launch_and_the_run_bears_their_name(
    browser: Browser, page: Page, address: str, cache: Path, ready: Callable[..., None]
) -> None:
    holds_no_action(page, address)
    for who in ("bob", "eve"):
        sign_in(page, address, who)
        holds_no_action(page, address)
        with page.expect_event("load"):  # the page offers to log in before its cookie is gone
            page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()

    sign_in(page, address, "ann")
    page.goto(f"{address}/{FORM}")
    ready(page, "Launch 1 run", role="button", ticks=True)
    page.get_by_role("button", name="Launch 1 run", exact=True).click()
    for _ in range(100):
        if said := list(cache.glob("runs/[!.]*/status.json")):
            break
        page.wait_for_timeout(200)
    assert json.loads(said[0].read_text("utf-8"))["user"] == "Ann@x.org"

    stranger = browser.new_context(**STILL).new_page()
    holds_no_action(stranger, address)
    expect(stranger.get_by_text("finished", exact=True).filter(visible=True)).not_to_have_count(0)
    stranger.context.close()
