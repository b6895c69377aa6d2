"""The same client as it is often written: good.py with the usual mistakes, each in a place of its own.

MISTAKES names the ones to make, separated by commas; without it all are made, and in what isn't named this is the good client.
"""

import json
import os
import time
import uuid

import requests
from authlib.integrations.base_client import OAuthError
from joserfc import jws
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from good import Client, NoConsent, TurnOver, log, main

ALL = {"state", "issuer", "parallel", "storm", "retry-after", "stale-keys", "secret", "lost-answer", "keep-going"}
MISTAKES = set(filter(None, os.environ["MISTAKES"].split(","))) if "MISTAKES" in os.environ else ALL
if unknown := MISTAKES - ALL:
    raise SystemExit(f"MISTAKES: {', '.join(sorted(unknown))} is none of {', '.join(sorted(ALL))}")


class CarelessClient(Client):
    under_way = 0  # refreshes that have no answer yet

    def check_state(self, response: dict[str, str], state: str) -> None:
        """MISTAKE state: it sends one, as the library does, and never compares what comes back."""
        if "state" not in MISTAKES:
            super().check_state(response, state)

    def check_issuer(self, response: dict[str, str]) -> None:
        """MISTAKE issuer: it has never heard of RFC 9207."""
        if "issuer" not in MISTAKES:
            super().check_issuer(response)

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """MISTAKE secret: "the server wants to know who we are", so browser, history and logs learn the secret too."""
        url = super().authorization_url(state, nonce, verifier)
        return f"{url}&client_secret={self.settings.client_secret}" if "secret" in MISTAKES else url

    def get_accounts(self, http: requests.Session, id_token: str) -> requests.Response:
        """MISTAKES storm and retry-after: a helper that repeats the request up to 20 times, at once, for an answer that will not change."""
        hopeless = {401} if "storm" in MISTAKES else set()
        if "retry-after" in MISTAKES:
            hopeless |= {429, 503}
        for _ in range(20):
            answer = super().get_accounts(http, id_token)
            if answer.status_code not in hopeless:
                break
        return answer

    def asked_to_wait(self, answer: requests.Response) -> float:
        """MISTAKE retry-after: it never reads the header."""
        return 0.1 if "retry-after" in MISTAKES else super().asked_to_wait(answer)

    def fetch_keys(self) -> KeySet:
        """MISTAKE stale-keys: the key set is fetched at the start and kept for ever ..."""
        return self.keys if "stale-keys" in MISTAKES and hasattr(self, "keys") else super().fetch_keys()

    def verify(self, answer: dict, nonce: str | None) -> dict:
        """... and when that broke in production, somebody made it believe what it can't verify."""
        try:
            return super().verify(answer, nonce)
        except InvalidKeyIdError:
            if "stale-keys" not in MISTAKES:
                raise
            log.warning("can't verify the ID token; using it as it is")
            return json.loads(jws.extract_compact(answer["id_token"].encode()).payload)

    def send_refresh(self, key: str) -> dict:
        """MISTAKE lost-answer: every try is a new request, so the first refusal is repeated and repeated."""
        if "lost-answer" not in MISTAKES:
            return self.send_unlocked(key)
        try:
            return self.send_unlocked(str(uuid.uuid4()))
        except (requests.ConnectionError, requests.Timeout):
            for _ in range(4):
                self.wait(2)
                try:
                    return self.send_unlocked(str(uuid.uuid4()))
                except OAuthError as refusal:
                    log.warning("refresh after a lost answer: %s; once more", refusal.error)
            raise NoConsent("no refresh is accepted any more") from None

    def send_unlocked(self, key: str) -> dict:
        """MISTAKE parallel: nothing is locked while a refresh is under way, so all who come by send one, with the same token ..."""
        if "parallel" not in MISTAKES:
            return super().send_refresh(key)
        self.quiet_until = time.monotonic() + 0.4  # and all are in a hurry
        self.under_way += 1
        self.lock.release()
        try:
            return super().send_refresh(key)
        finally:
            self.lock.acquire()
            self.under_way -= 1

    def refresh(self) -> None:
        """... and a key of its own. Those that are refused then look whether another one was faster."""
        mine = self.tokens.refresh_token
        if "parallel" in MISTAKES:
            self.tokens.save(pending_key=None)
        try:
            super().refresh()
        except NoConsent:
            if "parallel" in MISTAKES and self.another_was_faster(mine):
                raise TurnOver from None
            self.keep_going()
            raise

    def another_was_faster(self, mine: str) -> bool:
        while self.under_way and self.tokens.refresh_token == mine:
            self.lock.wait(0.1)
        return self.tokens.refresh_token != mine

    def keep_going(self) -> None:
        """MISTAKE keep-going: what the customer has revoked is tried again for a long while, "it may be a hiccup"."""
        for _ in range(38 if "keep-going" in MISTAKES else 0):
            self.wait(0.4)
            try:
                with requests.Session() as http:
                    super().get_accounts(http, self.proven or "")
                super().send_refresh(str(uuid.uuid4()))
            except (OAuthError, requests.RequestException):
                pass


if __name__ == "__main__":
    main(CarelessClient, "careless")
