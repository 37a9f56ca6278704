"""Key material and passphrases, kept out of every log, error and representation."""

from __future__ import annotations

import hmac

from tls.errors import PassphraseError

SHORTEST_PASSPHRASE = 16


class Secret:
    """Bytes that show themselves only to who asks for them by `reveal`."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._data, other._data)

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class Passphrase(Secret):
    """What the keys of the authority are encrypted with.

    PKCS #8 as OpenSSL writes it stretches a passphrase by 2,048 rounds of PBKDF2 only, so its strength must lie in its length.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        if len(text) < SHORTEST_PASSPHRASE:
            raise PassphraseError(
                f"the passphrase of the authority has {len(text)} characters; at least {SHORTEST_PASSPHRASE} are needed"
            )
        super().__init__(text.encode())
