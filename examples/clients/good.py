"""A client that keeps a customer's accounts in sync, and survives what networks and banks do to it.

Workers read the accounts again and again. Whatever touches the tokens happens under one lock: a refresh token is good once, so two
refreshes at a time are one too many. Run it with --help for its one option; settings come from the environment (see bank.py).
"""

import argparse
import logging
import secrets
import signal
import sys
import threading
import time
import uuid

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Auth, OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from bank import TIMEOUT, Backoff, Callback, Settings, Tokens, discover, open_browser, retry_after

WORKERS, PACE = 3, 1.0  # together they start one read a second; only slow ones overlap
CONSENT_WITHIN = 10  # seconds; real customers read and type, and get some minutes
CLOCK_LEEWAY = 5
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]  # never "none", never HS256 with a public key as its secret
GRANT_GONE = {"invalid_grant", "invalid_request"}  # by RFC 6749, and as the network says it

log = logging.getLogger("client")


class NoConsent(Exception):
    """There is no grant, or none any more: the customer has to be asked."""


class TurnOver(Exception):
    """This turn of a worker ends here, without harm."""


class Client:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server = discover(settings.issuer)
        self.keys = self.fetch_keys()
        self.callback = Callback()
        self.oauth = OAuth2Session(
            settings.client_id,
            settings.client_secret,
            token_endpoint_auth_method="client_secret_basic",
            redirect_uri=self.callback.redirect_uri,
            code_challenge_method="S256",
            default_timeout=TIMEOUT,
        )
        for step in ("access_token_response", "refresh_token_response"):
            self.oauth.register_compliance_hook(step, raise_if_unavailable)
        self.tokens = Tokens.load(settings.token_file, settings.issuer)
        self.proven = self.tokens.id_token  # the ID token that has worked
        self.lock = threading.Condition()
        self.stop = threading.Event()
        self.quiet_until = 0.0
        self.trouble, self.denied, self.consent = Backoff(0.25, 60), Backoff(12, 300), Backoff(2, 60)

    # --- reading the accounts ---

    def work(self) -> None:
        """One worker: reads whenever it is its turn."""
        with requests.Session() as http:
            while not self.stop.is_set():
                try:
                    self.read(http)
                except TurnOver:
                    pass
                except (requests.RequestException, ValueError) as error:
                    log.warning("no good answer from the accounts: %s", type(error).__name__)
                    self.quiet_for(self.trouble.next())

    def read(self, http: requests.Session) -> None:
        with self.lock:
            self.take_turn()
            id_token = self.id_token()
            if id_token != self.proven:
                # One worker tries a new token while the others wait: if it is refused too, one refusal is enough.
                return self.judge(id_token, self.get_accounts(http, id_token))
        self.judge(id_token, self.get_accounts(http, id_token))

    def get_accounts(self, http: requests.Session, id_token: str) -> requests.Response:
        bearer = OAuth2Auth({"access_token": id_token, "token_type": "Bearer"})
        return http.get(f"{self.settings.issuer}/accounts", auth=bearer, timeout=TIMEOUT)

    def judge(self, id_token: str, answer: requests.Response) -> None:
        with self.lock:
            if answer.status_code == 401:
                self.unauthorized(id_token)
            elif not answer.ok:
                seconds = self.asked_to_wait(answer)
                log.warning("accounts answered %d; quiet for %.1f s", answer.status_code, seconds)
                self.quiet_for(seconds)
            else:
                if id_token != self.proven:
                    log.info("reading %d accounts", len(answer.json()["accounts"]))
                    self.proven = id_token
                for backoff in (self.trouble, self.denied, self.consent):
                    backoff.reset()

    def unauthorized(self, id_token: str) -> None:
        """A token that worked and works no longer is refreshed, once. If the new one is refused too, more of them will not help."""
        if id_token != self.tokens.id_token:
            return  # another worker has seen to it
        self.tokens.save(id_token=None)
        if id_token == self.proven:
            log.info("the ID token is refused; refreshing it")
        else:
            seconds = self.denied.next()
            log.warning("a new ID token is refused too; quiet for %d s", seconds)
            self.quiet_for(seconds)

    # --- tokens; all of this under the lock ---

    def id_token(self) -> str:
        """An ID token to read with; where there is none, the turn ends, and the next one comes when it may."""
        try:
            if self.tokens.refresh_token is None:
                self.authorize()
            elif self.tokens.due():
                self.refresh()
            return self.tokens.id_token
        except NoConsent as reason:
            log.warning("no consent: %s", reason)
            self.tokens.clear()
        except (OAuthError, JoseError, requests.RequestException, ValueError) as error:  # never log URLs: they can hold codes
            log.error("no token: %s", error.error if isinstance(error, (OAuthError, JoseError)) else type(error).__name__)
        seconds = (self.trouble if self.tokens.refresh_token else self.consent).next()
        log.info("quiet for %.2f s", seconds)
        self.quiet_for(seconds)
        raise TurnOver

    def authorize(self) -> None:
        """Asks the customer for consent. The code is exchanged once: if that answer is lost, only a new authorization helps."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        log.info("asking for consent")
        self.callback.forget()
        open_browser(self.authorization_url(state, nonce, verifier))
        response = self.callback.wait(CONSENT_WITHIN, self.stop)
        if response is None:
            raise NoConsent("the customer did not come back")
        self.check_state(response, state)
        self.check_issuer(response)
        if "code" not in response:
            raise NoConsent(response.get("error", "a response without a code"))
        answer = self.oauth.fetch_token(
            self.server["token_endpoint"], grant_type="authorization_code", code=response["code"], code_verifier=verifier
        )
        self.accept(answer, nonce)

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        url, _ = self.oauth.create_authorization_url(
            self.server["authorization_endpoint"], scope="openid offline_access", state=state, nonce=nonce, code_verifier=verifier
        )
        return url

    def check_state(self, response: dict[str, str], state: str) -> None:
        """Another state: the response is to a request that was not ours, made to tie our session to a stranger's account."""
        if response.get("state") != state:
            raise NoConsent("the response's state is not ours")

    def check_issuer(self, response: dict[str, str]) -> None:
        """Another issuer: the code is another server's, and exchanging it here would hand it to the wrong one (RFC 9207)."""
        if response.get("iss") != self.settings.issuer:
            raise NoConsent("the response is another server's")

    def refresh(self) -> None:
        """Refreshes until there is an answer. The key is stored first, so even after a crash the same request is repeated."""
        if self.tokens.pending_key is None:
            self.tokens.save(pending_key=str(uuid.uuid4()))
        key = self.tokens.pending_key
        while True:
            try:
                answer = self.send_refresh(key)
                break
            except OAuthError as refusal:
                if refusal.error in GRANT_GONE:
                    raise NoConsent("the refresh was refused") from refusal
                raise  # our credentials or our scope, say: nothing that the customer could mend
            except requests.HTTPError as error:
                seconds = self.asked_to_wait(error.response)
                log.warning("token endpoint answered %d; the same again in %.1f s", error.response.status_code, seconds)
            except (requests.RequestException, ValueError) as error:
                seconds = self.trouble.next()
                log.warning("answer of the refresh lost (%s); the same again in %.2f s", type(error).__name__, seconds)
            self.wait(seconds)
        # Before all else, even before the ID token is verified: the old refresh token is spent.
        self.tokens.save(refresh_token=answer["refresh_token"], pending_key=None, id_token=None)
        self.accept(answer)

    def send_refresh(self, key: str) -> dict:
        headers = {"Accept": "application/json", "Idempotency-Key": key}
        return self.oauth.refresh_token(self.server["token_endpoint"], self.tokens.refresh_token, headers=headers)

    def accept(self, answer: dict, nonce: str | None = None) -> None:
        """Takes what an answer brought once its ID token has been verified; of a failed authorization nothing is kept."""
        claims = self.verify(answer, nonce)
        if self.tokens.subject not in (None, claims["sub"]):
            raise InvalidClaimError("sub")  # a refresh never changes whose accounts these are
        margin = min(60, (claims["exp"] - claims["iat"]) / 10)
        self.tokens.save(
            refresh_token=answer["refresh_token"], id_token=answer["id_token"], subject=claims["sub"], refresh_at=claims["exp"] - margin
        )
        log.info("new tokens")

    def verify(self, answer: dict, nonce: str | None) -> CodeIDToken:
        """Checks the ID token as OpenID Connect Core, sections 3.1.3.7 and 12.2, has it."""
        try:
            token = jwt.decode(answer["id_token"], self.keys, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            log.info("the ID token is signed with a key we don't know")
            self.keys = self.fetch_keys()
            token = jwt.decode(answer["id_token"], self.keys, algorithms=ALGORITHMS)
        expected = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": self.settings.client_id},
        }
        params = {"client_id": self.settings.client_id, "nonce": nonce, "access_token": answer.get("access_token")}
        claims = CodeIDToken(token.claims, token.header, expected, params)
        claims.validate(leeway=CLOCK_LEEWAY)
        return claims

    def fetch_keys(self) -> KeySet:
        answer = requests.get(self.server["jwks_uri"], timeout=TIMEOUT)
        answer.raise_for_status()
        return KeySet.import_key_set(answer.json())

    # --- waiting, and the end ---

    def asked_to_wait(self, answer: requests.Response) -> float:
        seconds = retry_after(answer)
        return self.trouble.next() if seconds is None else seconds

    def take_turn(self) -> None:
        """Waits, and lets go of the lock meanwhile: what another worker has just been told may make the wait longer."""
        while not self.stop.is_set() and (left := self.quiet_until - time.monotonic()) > 0:
            self.lock.wait(left)
        self.quiet_for(PACE)
        self.wait(0)

    def quiet_for(self, seconds: float) -> None:
        """No turn begins until then. A later end stays as it is."""
        self.quiet_until = max(self.quiet_until, time.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        if self.stop.wait(max(seconds, 0)):
            raise TurnOver

    def revoke(self) -> None:
        """The customer leaves us: the whole grant ends, whichever token of it is named."""
        if self.tokens.refresh_token:
            token = self.tokens.refresh_token
            self.oauth.revoke_token(self.server["revocation_endpoint"], token, "refresh_token").raise_for_status()
            self.tokens.clear()
            log.info("revoked")

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop.set())
        workers = [threading.Thread(target=self.work) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        self.stop.wait()
        with self.lock:
            self.lock.notify_all()
        for worker in workers:
            worker.join()


def raise_if_unavailable(answer: requests.Response) -> requests.Response:
    """Authlib takes any JSON with an `error` for a refusal; 429 and 5xx speak of the server's state and not of our grant."""
    if answer.status_code == 429 or answer.status_code >= 500:
        answer.raise_for_status()
    return answer


def main(kind: type[Client], name: str) -> None:
    parser = argparse.ArgumentParser(description="Keeps accounts in sync until it is stopped.")
    parser.add_argument("--revoke-at-end", action="store_true", help="end the customer's grant when stopped")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {name}: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        client = kind(Settings.from_env(name))
        client.run()
        if options.revoke_at_end:
            client.revoke()
    except (requests.RequestException, ValueError) as error:  # from discovery, key set or revocation: no secrets in these URLs
        raise SystemExit(f"{name}: {error}") from None


if __name__ == "__main__":
    main(Client, "good")
