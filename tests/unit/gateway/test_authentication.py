"""Who calls: what holds lets in, and nothing else does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from gateway.api_keys import ApiKeys
from gateway.authentication import REFUSED_SECONDS, Authenticator, JwtVerifier, Principal, RememberingVerifier
from gateway.jwks import REFRESH_SECONDS, STALE_SECONDS, UNKNOWN_KEY_SECONDS, KeySet, KeysUnavailableError
from gateway.problems import Problem
from sdk import ConfigurationError

ISSUER, AUDIENCE = "https://login.example.com", "gaming-system"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public(algorithm: str, key_id: str | None = None) -> dict[str, Any]:
    kind = {
        "RS256": jwt.algorithms.RSAAlgorithm,
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
    }
    entry: dict[str, Any] = kind[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True)  # type: ignore[attr-defined]
    return {**entry, "kid": key_id or algorithm, "use": "sig"}


def key_set(*entries: dict[str, Any]) -> str:
    return json.dumps({"keys": list(entries or map(public, KEYS))})


def token(algorithm: str = "ES256", *, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "p-1", "iat": now, "exp": now + 60, "roles": ["player"]} | changes
    given = {name: value for name, value in claims.items() if value is not None}
    told = {"kid": algorithm} | (header or {})
    return jwt.encode(
        given,
        key or KEYS[algorithm],
        algorithm,
        headers={name: each for name, each in told.items() if each is not None},
    )


def verifier(keys: str | None = None, **changes: str) -> JwtVerifier:
    return JwtVerifier(KeySet(keys or key_set()), issuer=ISSUER, audience=AUDIENCE, **changes)


class TestJwt:
    @pytest.mark.parametrize("algorithm", KEYS)
    async def test_of_the_issuer_holds(self, algorithm: str) -> None:
        principal = await verifier().verify(token(algorithm))
        assert principal is not None
        assert (principal.id, principal.roles) == ("p-1", frozenset({"player"}))
        assert 0 < principal.seconds <= 60

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://other.example.com"},
            {"aud": "another-system"},
            {"exp": int(time.time()) - 3600},
            {"nbf": int(time.time()) + 3600},
            {"iat": int(time.time()) + 3600},
            {"exp": None},
            {"iss": None},
            {"aud": None},
            {"sub": None},
            {"sub": "two words"},
            {"sub": "line\nbreak"},
        ],
    )
    async def test_with_a_wrong_claim_does_not_hold(self, changes: dict[str, Any]) -> None:
        assert await verifier().verify(token(**changes)) is None

    @pytest.mark.parametrize(
        "header",
        [
            {"kid": "unknown"},
            {"kid": None},
            {"crit": ["exp"]},
            {"typ": "secevent+jwt"},
            {"b64": False, "crit": ["b64"]},
        ],
    )
    async def test_with_a_wrong_header_does_not_hold(self, header: dict[str, Any]) -> None:
        assert await verifier().verify(token(header=header)) is None

    async def test_of_another_key_does_not_hold(self) -> None:
        assert await verifier().verify(token(key=ec.generate_private_key(ec.SECP256R1()))) is None

    async def test_that_was_changed_does_not_hold(self) -> None:
        head, _, signature = token().split(".")
        claims = base64.urlsafe_b64encode(b'{"sub":"admin"}').rstrip(b"=").decode()
        assert await verifier().verify(f"{head}.{claims}.{signature}") is None

    @pytest.mark.parametrize("algorithm", ["HS256", "none", "ES256", "PS256"])
    async def test_whose_algorithm_is_not_its_keys_does_not_hold(self, algorithm: str) -> None:
        """The oldest trick: the public key, which everyone has, as the secret of HS256."""
        pem = (
            KEYS["RS256"]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        parts = [
            {"alg": algorithm, "typ": "JWT", "kid": "RS256"},
            jwt.decode(token(), options={"verify_signature": False}),
        ]
        signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        mac = hmac.digest(pem, signed.encode(), "sha256") if algorithm != "none" else b""
        forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
        assert await verifier().verify(forged) is None

    async def test_makes_nobody_the_verifier_or_everyone(self) -> None:
        principal = await verifier().verify(token(roles=["player", "verifier", "anonymous"]))
        assert principal is not None
        assert principal.roles == {"player"}

    async def test_may_write_its_end_as_text(self) -> None:
        assert await verifier().verify(token(exp=str(2**40))) is not None

    async def test_may_have_its_roles_deep_inside_or_as_words(self) -> None:
        deep = await verifier(roles_claim="realm.roles").verify(
            token(realm={"roles": ["admin", 3, "No Role", "anonymous"]})
        )
        words = await verifier(roles_claim="scope").verify(token(scope="player operator"))
        none = await verifier(roles_claim="realm.roles").verify(token(realm="x"))
        found = [each.roles for each in (deep, words, none) if each is not None]
        assert found == [frozenset({"admin"}), frozenset({"player", "operator"}), frozenset()]


class Clock:
    now = 50_000.0

    def __call__(self) -> float:
        return self.now


class TestKeySet:
    async def test_new_keys_are_found_when_a_token_names_one_but_not_more_often_than_that(self, tmp_path: Path) -> None:
        clock, path = Clock(), tmp_path / "keys.json"
        path.write_text(key_set(public("ES256", "old")))
        keys = KeySet(str(path), clock)
        assert await keys.get("old") is not None
        path.write_text(key_set(public("ES256", "old"), public("EdDSA", "new")))
        assert await keys.get("new") is None  # they were read just now
        clock.now += UNKNOWN_KEY_SECONDS
        assert await keys.get("new") is not None

    async def test_a_key_that_was_withdrawn_holds_no_longer(self, tmp_path: Path) -> None:
        clock, path = Clock(), tmp_path / "keys.json"
        path.write_text(key_set(public("ES256", "old"), public("EdDSA", "other")))
        keys = KeySet(str(path), clock)
        await keys.get("old")
        path.write_text(key_set(public("EdDSA", "other")))
        clock.now += REFRESH_SECONDS
        async with asyncio.timeout(10):
            while await keys.get("old") is not None:  # noqa: ASYNC110  # it does not wait for the reading that it begins
                await asyncio.sleep(0)

    async def test_the_last_keys_hold_while_they_cannot_be_read_again_but_not_for_ever(self, tmp_path: Path) -> None:
        clock, path = Clock(), tmp_path / "keys.json"
        path.write_text(key_set())
        keys = KeySet(str(path), clock)
        await keys.get("ES256")
        path.write_text("garbage")
        clock.now += REFRESH_SECONDS
        assert await keys.get("ES256") is not None
        clock.now += STALE_SECONDS
        with pytest.raises(KeysUnavailableError):
            await keys.get("ES256")

    async def test_one_reading_is_under_way_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, keys_come, readings = Clock(), threading.Event(), list[int]()

        def fetch(_: KeySet) -> bytes:
            readings.append(1)
            keys_come.wait(10)
            return key_set().encode()

        monkeypatch.setattr(KeySet, "_fetch", fetch)
        keys = KeySet("/keys", clock)
        asking = []
        for _ in range(5):
            asking.append(asyncio.create_task(keys.get("ES256")))
            await asyncio.sleep(0)
            clock.now += UNKNOWN_KEY_SECONDS
        keys_come.set()
        assert None not in await asyncio.gather(*asking)
        assert readings == [1]

    async def test_keys_that_cannot_be_read_are_a_503_and_no_401(self, tmp_path: Path) -> None:
        checks = JwtVerifier(KeySet(str(tmp_path / "none")), issuer=ISSUER, audience=AUDIENCE)
        with pytest.raises(Problem) as caught:
            await checks.verify(token())
        assert caught.value.status == 503

    @pytest.mark.parametrize(
        "text", ["http://login.example.com/keys", "keys.json", "{}", '{"keys": []}', '{"keys": [3]}', "{"]
    )
    def test_what_is_no_key_set_is_refused_at_the_start(self, text: str) -> None:
        with pytest.raises(ConfigurationError):
            KeySet(text)

    async def test_secrets_and_keys_for_other_uses_are_left_out(self) -> None:
        secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"secret").decode(), "kid": "secret"}
        encrypting = {**public("RS256", "encrypting"), "use": "enc"}
        wrong = {**public("RS256", "wrong"), "alg": "PS256"}
        keys = KeySet(key_set(secret, encrypting, wrong, public("ES256")))
        assert [await keys.get(name) for name in ("secret", "encrypting", "wrong")] == [None] * 3
        assert await keys.get("ES256") is not None


class TestKeysByHttps:
    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        """An https server that this process trusts; it has keys, and an address that leads away from them."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = tmp_path / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/nonsense":
                    self.wfile.write(b"nonsense\r\n\r\n")
                    return
                self.send_response(302 if self.path == "/away" else 200)
                self.send_header("Location", "/keys")
                self.end_headers()
                self.wfile.write(key_set().encode())

            def log_message(self, *_: object) -> None: ...

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            made.socket = context.wrap_socket(made.socket, server_side=True)
            thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            yield made.server_port
            made.shutdown()
            thread.join()

    async def test_they_are_fetched(self, server: int) -> None:
        assert await KeySet(f"https://localhost:{server}/keys").get("ES256") is not None

    async def test_nobody_leads_the_gateway_elsewhere(self, server: int) -> None:
        with pytest.raises(KeysUnavailableError):
            await KeySet(f"https://localhost:{server}/away").get("ES256")

    async def test_an_answer_that_is_no_http_is_no_fault_of_the_gateway(self, server: int) -> None:
        with pytest.raises(KeysUnavailableError):
            await KeySet(f"https://localhost:{server}/nonsense").get("ES256")

    async def test_a_server_of_another_name_is_not_believed(self, server: int) -> None:
        with pytest.raises(KeysUnavailableError):
            await KeySet(f"https://127.0.0.1:{server}/keys").get("ES256")


class Asked:
    """Says whose a token is, and notes that it was asked."""

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal
        self.tokens: list[str] = []
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def verify(self, token: str) -> Principal | None:
        self.tokens.append(token)
        await self.let_go.wait()
        return self.principal


class TestMemory:
    async def test_of_many_who_come_at_once_one_asks(self) -> None:
        inner = Asked(Principal("p-1", frozenset({"player"})))
        inner.let_go.clear()
        remembers = RememberingVerifier(inner, 5.0)
        asking = [asyncio.create_task(remembers.verify("t")) for _ in range(10)]
        await asyncio.sleep(0)
        asking[0].cancel()  # who asked first goes away; the others still get their answer
        inner.let_go.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert [each.id for each in found[1:] if isinstance(each, Principal)] == ["p-1"] * 9
        assert inner.tokens == ["t"]

    async def test_is_short(self) -> None:
        clock, inner = Clock(), Asked(None)
        remembers = RememberingVerifier(inner, 5.0, clock)
        for _ in range(3):
            assert await remembers.verify("t") is None
        clock.now += 5.0
        await remembers.verify("t")
        assert inner.tokens == ["t", "t"]

    async def test_of_what_does_not_hold_is_short_whatever_is_remembered(self) -> None:
        clock, inner = Clock(), Asked(None)
        remembers = RememberingVerifier(inner, 60.0, clock)
        await remembers.verify("t")
        inner.principal = Principal("p-1", frozenset())  # its key was read meanwhile
        clock.now += REFUSED_SECONDS
        assert await remembers.verify("t") is not None

    async def test_never_outlives_the_token(self) -> None:
        clock, inner = Clock(), Asked(Principal("p-1", frozenset(), seconds=2.0))
        remembers = RememberingVerifier(inner, 60.0, clock)
        await remembers.verify("t")
        clock.now += 1.5
        again = await remembers.verify("t")
        assert again is not None
        assert again.seconds == pytest.approx(0.5)
        clock.now += 0.5
        await remembers.verify("t")
        assert inner.tokens == ["t", "t"]


KEY = "a-long-random-key"
API_KEYS = ApiKeys.from_json(
    json.dumps([{"id": "tools", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "roles": ["operator"]}])
)


class TestAuthenticator:
    async def test_a_key_lets_its_roles_in(self) -> None:
        made = Authenticator(api_keys=API_KEYS, jwt_verifier=None, token_verifier=None)
        principal = await made.authenticate({b"x-api-key": KEY.encode()})
        assert (principal.id, principal.roles) == ("tools", frozenset({"operator"}))

    async def test_a_jwt_is_a_matter_of_the_keys_alone_where_there_are_keys(self) -> None:
        asked = Asked(Principal("p-2", frozenset({"admin"})))
        made = Authenticator(api_keys=ApiKeys(), jwt_verifier=verifier(), token_verifier=asked)
        with pytest.raises(Problem):
            await made.authenticate({b"authorization": f"Bearer {token(iss='x')}".encode()})
        assert (await made.authenticate({b"authorization": f"Bearer {token()}".encode()})).id == "p-1"
        assert (await made.authenticate({b"authorization": f"BEARER {token()}".encode()})).id == "p-1"
        assert (await made.authenticate({b"authorization": b"bearer opaque"})).id == "p-2"
        assert asked.tokens == ["opaque"]

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {b"x-api-key": b"another"},
            {b"x-api-key": b""},
            {b"x-api-key": KEY.encode() + b", " + KEY.encode()},
            {b"x-api-key": KEY.encode(), b"authorization": b"Bearer opaque"},
            {b"authorization": b"Bearer"},
            {b"authorization": b"Bearer a b"},
            {b"authorization": b"Bearer a, Bearer b"},
            {b"authorization": b"Basic YTpi"},
            {b"authorization": b"Bearer " + b"a" * 9000},
            {b"authorization": b"Bearer \xff"},
        ],
    )
    async def test_all_else_is_a_401(self, headers: dict[bytes, bytes]) -> None:
        made = Authenticator(api_keys=API_KEYS, jwt_verifier=verifier(), token_verifier=Asked(None))
        with pytest.raises(Problem) as caught:
            await made.authenticate(headers)
        assert caught.value.status == 401
        assert dict(caught.value.headers)[b"www-authenticate"].startswith(b"Bearer realm=")

    @pytest.mark.parametrize("shown", [b"Bearer opaque", b"Bearer " + token().encode()])
    async def test_what_is_not_set_up_lets_nobody_in(self, shown: bytes) -> None:
        made = Authenticator(api_keys=ApiKeys(), jwt_verifier=None, token_verifier=None)
        with pytest.raises(Problem) as caught:
            await made.authenticate({b"authorization": shown})
        assert caught.value.status == 401

    async def test_the_verifier_is_known_by_its_own_key_alone(self) -> None:
        key = "the-key-of-the-verifier-0123"
        made = Authenticator(api_keys=API_KEYS, jwt_verifier=None, token_verifier=None, verifier_key=key)
        assert made.is_verifier({b"x-api-key": key.encode()})
        assert not made.is_verifier({b"x-api-key": KEY.encode()})
        assert not made.is_verifier({b"x-api-key": key.encode(), b"authorization": b"Bearer opaque"})
        assert not made.is_verifier({})

    async def test_without_a_key_nobody_is_the_verifier(self) -> None:
        made = Authenticator(api_keys=ApiKeys(), jwt_verifier=None, token_verifier=None)
        assert not made.is_verifier({b"x-api-key": b""})

    async def test_a_token_that_is_over_does_not_hold(self) -> None:
        asked = Asked(Principal("p-1", frozenset({"player"}), seconds=0.0))
        made = Authenticator(api_keys=ApiKeys(), jwt_verifier=None, token_verifier=asked)
        with pytest.raises(Problem):
            await made.authenticate({b"authorization": b"Bearer opaque"})


class TestApiKeys:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[3]",
            '[{"id": "a", "sha256": "the-key-itself", "roles": ["x"]}]',
            '[{"id": "a", "sha256": 3, "roles": []}]',
            json.dumps([{"id": "a\r\nPrincipal-Roles: admin", "sha256": "0" * 64, "roles": ["x"]}]),
            json.dumps([{"id": "", "sha256": "0" * 64, "roles": ["x"]}]),
        ],
    )
    def test_what_is_no_list_of_hashed_keys_is_refused_without_a_word_of_it(self, text: str) -> None:
        with pytest.raises(ValueError, match="it is a list such as") as caught:
            ApiKeys.from_json(text)
        assert "the-key-itself" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_two_keys_of_one_name_are_refused(self) -> None:
        entry = {"id": "a", "sha256": "0" * 64, "roles": ["x"]}
        with pytest.raises(ValueError, match="the same id"):
            ApiKeys.from_json(json.dumps([entry, entry]))
