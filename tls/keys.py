"""Private keys: which kinds there are, and how they are made, written and read."""

from __future__ import annotations

from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tls.errors import DamageError, PassphraseError
from tls.secret import Passphrase, Secret

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class KeyType(StrEnum):
    """The kinds of keys that certificates are issued for."""

    P256 = "p256"
    P384 = "p384"
    ED25519 = "ed25519"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"


_RSA_BITS = {KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}
_RSA_PUBLIC_EXPONENT = 65537


def generate(key_type: KeyType) -> PrivateKey:
    """Make a private key."""
    match key_type:
        case KeyType.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.RSA3072 | KeyType.RSA4096:
            return rsa.generate_private_key(_RSA_PUBLIC_EXPONENT, _RSA_BITS[key_type])


def type_of(key: object) -> KeyType | None:
    """Return the kind of a private or public key; None for a kind that is never issued."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return {"secp256r1": KeyType.P256, "secp384r1": KeyType.P384}.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return KeyType.ED25519
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return {bits: kind for kind, bits in _RSA_BITS.items()}.get(key.key_size)
    return None


def signature_hash(signer: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that a key signs with; None for Ed25519, which brings its own."""
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return None
    return hashes.SHA384() if type_of(signer) is KeyType.P384 else hashes.SHA256()


def to_pem(key: PrivateKey, passphrase: Passphrase | None = None) -> Secret:
    """Return a key as PKCS #8, encrypted where a passphrase is given."""
    encryption: KeySerializationEncryption = (
        NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.reveal())
    )
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def from_pem(pem: Secret, passphrase: Passphrase | None = None, *, name: str) -> PrivateKey:
    """Read a key.

    Args:
        pem: The key as `to_pem` wrote it.
        passphrase: What it is encrypted with, if it is.
        name: What the errors call it.

    Raises:
        PassphraseError: It is encrypted with another passphrase.
        DamageError: It is no key, or of a kind that is never issued.
    """
    password = None if passphrase is None else passphrase.reveal()
    try:
        key = load_pem_private_key(pem.reveal(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own message may quote what it read, and it cannot tell a wrong passphrase from a damaged key.
        if passphrase is not None:
            raise PassphraseError(f"{name} cannot be opened: the passphrase is not its own, or it is damaged") from None
        raise DamageError(f"{name} is no private key that can be read") from None
    if not isinstance(key, PrivateKey):
        raise DamageError(f"{name} is a key of a kind that is never issued")
    return key
