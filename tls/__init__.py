"""The certificate authority of a fleet: issue, store, renew, roll over and prove.

It stands alone: what is asked for comes in as plain data (`CertificateRequest.from_plain`), nodes are reached through the
protocols `Delivery` and `Observer`, and `python -m tls` is the same by hand.
"""

from tls.audit import audit
from tls.authority_record import BUNDLES, AuthorityRecord, Phase
from tls.authority_store import PassphraseSource, read_record, require_record
from tls.delivery import Delivered, Delivery, NoNodes, Release
from tls.directory_store import DirectoryStore
from tls.errors import (
    AuthorityError,
    ClockError,
    ConflictError,
    DamageError,
    GateError,
    InputError,
    PassphraseError,
    RequestError,
    StoreError,
    TlsError,
    VerificationError,
)
from tls.keys import KeyType
from tls.mirror import Mirrored, mirror
from tls.observations import Consumer, Observations, Observer, Served, observations_from_plain
from tls.pairs import pointers
from tls.pointer import FileReference, Pointer
from tls.profiles import Lifetimes, Profile
from tls.report import IssuedLeaf, Report
from tls.request import CertificateRequest, Leaf, Node, leaf_prefix
from tls.retirement import Retirement, retire
from tls.rollover import advance, begin, go_back
from tls.root_key import export_root_key, remove_root_key, restore_root_key
from tls.s3_store import S3Store
from tls.secret import Passphrase, Secret
from tls.sources import Sources
from tls.status import CertificateStatus, ExpiryMetric, Status, take_status
from tls.steps import Issuer, bring_about
from tls.store import Store, Stored, Write

__all__ = [
    "BUNDLES",
    "AuthorityError",
    "AuthorityRecord",
    "CertificateRequest",
    "CertificateStatus",
    "ClockError",
    "ConflictError",
    "Consumer",
    "DamageError",
    "Delivered",
    "Delivery",
    "DirectoryStore",
    "ExpiryMetric",
    "FileReference",
    "GateError",
    "InputError",
    "IssuedLeaf",
    "Issuer",
    "KeyType",
    "Leaf",
    "Lifetimes",
    "Mirrored",
    "NoNodes",
    "Node",
    "Observations",
    "Observer",
    "Passphrase",
    "PassphraseError",
    "PassphraseSource",
    "Phase",
    "Pointer",
    "Profile",
    "Release",
    "Report",
    "RequestError",
    "Retirement",
    "S3Store",
    "Secret",
    "Served",
    "Sources",
    "Status",
    "Store",
    "StoreError",
    "Stored",
    "TlsError",
    "VerificationError",
    "Write",
    "advance",
    "audit",
    "begin",
    "bring_about",
    "export_root_key",
    "go_back",
    "leaf_prefix",
    "mirror",
    "observations_from_plain",
    "pointers",
    "read_record",
    "remove_root_key",
    "require_record",
    "restore_root_key",
    "retire",
    "take_status",
]
