from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.certificates import PASSPHRASE, Clock, MemoryStore, a_request, an_issuer
from tls import (
    AuthorityError,
    DamageError,
    InputError,
    Passphrase,
    PassphraseError,
    Secret,
    bring_about,
    export_root_key,
    remove_root_key,
    restore_root_key,
)
from tls.keys import from_pem


def passphrase() -> Passphrase:
    return Passphrase(PASSPHRASE)


def other_passphrase() -> Passphrase:
    return Passphrase("another passphrase")


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, Clock()), a_request())
    return store


def root_keys(store: MemoryStore) -> list[str]:
    return [key for key in store.keys("ca/private/") if key.endswith("/root.pem")]


def test_the_root_key_goes_offline_and_comes_back(store: MemoryStore, tmp_path: Path) -> None:
    file = tmp_path / "root.enc"
    before = store.current()
    export_root_key(store, passphrase, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert remove_root_key(store, passphrase, file)
    assert root_keys(store) == []
    assert not remove_root_key(store, passphrase, file)
    assert not bring_about(an_issuer(store, Clock()), a_request()).changed  # leaves need no root
    assert len(bring_about(an_issuer(store, Clock()), a_request(), forced=["client/orders/"]).issued) == 1
    assert restore_root_key(store, passphrase, file)
    assert not restore_root_key(store, passphrase, file)
    assert store.current()[root_keys(store)[0]] == before[root_keys(store)[0]]


def test_the_root_key_is_not_removed_without_a_file_that_opens(store: MemoryStore, tmp_path: Path) -> None:
    file = tmp_path / "root.enc"
    with pytest.raises(InputError, match="cannot be read"):
        remove_root_key(store, passphrase, file)
    export_root_key(store, passphrase, file)
    with pytest.raises(PassphraseError):
        remove_root_key(store, other_passphrase, file)
    another = MemoryStore()
    bring_about(an_issuer(another, Clock()), a_request())
    with pytest.raises(AuthorityError, match="is not the key of CN=test root CA"):
        remove_root_key(another, passphrase, file)
    assert root_keys(store)
    assert root_keys(another)
    with pytest.raises(AuthorityError, match="is not the key of"):
        restore_root_key(another, passphrase, file)


def test_an_export_overwrites_nothing_and_needs_the_key(store: MemoryStore, tmp_path: Path) -> None:
    file = tmp_path / "root.enc"
    with pytest.raises(PassphraseError):
        export_root_key(store, other_passphrase, file)
    assert not file.exists()
    export_root_key(store, passphrase, file)
    with pytest.raises(InputError, match="cannot be written: File exists"):
        export_root_key(store, passphrase, file)
    remove_root_key(store, passphrase, file)
    with pytest.raises(AuthorityError, match="is offline"):
        export_root_key(store, passphrase, tmp_path / "again.enc")


def test_a_short_passphrase_is_refused_without_being_shown() -> None:
    with pytest.raises(PassphraseError, match="has 7 characters; at least 16") as error:
        Passphrase("hunter2")
    assert "hunter2" not in str(error.value)


def test_a_secret_never_shows_itself() -> None:
    import pickle  # noqa: PLC0415

    secret = Secret(b"sesame")
    assert repr(secret) == str(secret) == "Secret(hidden)"
    assert f"{secret}" == "Secret(hidden)"
    assert secret == Secret(b"sesame")
    assert secret != Secret(b"other")
    assert secret != b"sesame"
    assert len({secret, Secret(b"sesame")}) == 1
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nc2VzYW1l\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_damage_and_is_not_quoted(data: bytes) -> None:
    with pytest.raises(DamageError, match=r"key\.pem is no private key") as error:
        from_pem(Secret(data), name="key.pem")
    assert "c2VzYW1l" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_a_key_of_another_kind_is_damage() -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    pem = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(DamageError, match="of a kind that is never issued"):
        from_pem(Secret(pem), name="key.pem")
