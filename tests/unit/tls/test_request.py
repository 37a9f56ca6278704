from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.certificates import a_request, plain_request
from tls import CertificateRequest, InputError, KeyType, Lifetimes, Profile, RequestError
from tls.request_file import read_request

LABEL_63 = "a" * 63
LABEL_64 = "a" * 64


def faults(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(RequestError) as error:
        a_request(**changes)
    return error.value.findings


def test_every_identity_gets_its_leaves_servers_first() -> None:
    request = a_request(nodes=[{"name": "nats-1"}, {"name": "nats-2", "server_names": ["x.nats.acme.internal"]}])
    assert [(leaf.prefix, leaf.dns_names) for leaf in request.leaves] == [
        ("server/nats-1/", ("nats-1.nats.acme.internal",)),
        ("server/nats-2/", ("x.nats.acme.internal",)),
        ("route/nats-1/", ("nats-1.nats.acme.internal",)),
        ("route/nats-2/", ("nats-2.nats.acme.internal",)),
        ("client/orders/", ("orders.svc.acme.internal",)),
        ("client/payments/", ("payments.svc.acme.internal",)),
        ("client/operator/", ("operator.svc.acme.internal",)),
    ]


def test_plain_data_comes_back_as_it_went() -> None:
    request = a_request(key_type="ed25519", lifetimes={"leaf_days": 7})
    assert CertificateRequest.from_plain(request.to_plain()) == request
    assert request.key_type is KeyType.ED25519
    assert request.lifetimes == Lifetimes(leaf_days=7, issuing_days=730, root_days=3650)
    assert request.domains(Profile.ROUTE) == ("nats.acme.internal",)


def test_a_shared_name_is_every_nodes_and_may_lie_outside_of_the_domain() -> None:
    request = a_request(nodes=[{"name": "a"}, {"name": "b"}], shared_node_names=["localhost", "nats.acme.internal"])
    assert [leaf.dns_names for leaf in request.leaves[:4]] == [
        ("a.nats.acme.internal", "localhost", "nats.acme.internal"),
        ("b.nats.acme.internal", "localhost", "nats.acme.internal"),
    ] * 2
    assert request.domains(Profile.SERVER) == ("nats.acme.internal", "localhost")
    assert request.domains(Profile.CLIENT) == ("svc.acme.internal",)
    assert CertificateRequest.from_plain(request.to_plain()) == request


def test_the_longest_label_is_taken_and_a_longer_one_refused() -> None:
    assert a_request(services=[LABEL_63]).leaves[2].dns_names == (f"{LABEL_63}.svc.acme.internal",)
    assert faults(services=[LABEL_64]) == (
        f"services[0]: '{LABEL_64}' has 64 characters; at most 63 fit in a DNS label",
    )


def test_an_identity_that_is_too_long_as_a_whole_is_refused() -> None:
    domain = ".".join([LABEL_63] * 3)
    (fault,) = faults(client_domain=domain, services=[LABEL_63], identities=[])
    assert "has 255 characters; at most 253 fit in a DNS name" in fault


@pytest.mark.parametrize(
    "name",
    ["", "../etc", "a/b", "a b", "Orders", "-a", "a-", "a.b", "a_b", "*", "ordérs", "\u043erders", "a\n", "a\x00", "\uff41", "\u202ea", "☃"],
)  # fmt: skip
def test_hostile_names_are_refused(name: str) -> None:
    assert len(faults(services=[name])) == 1
    assert len(faults(identities=[name])) == 1
    assert len(faults(nodes=[{"name": name}])) == 1


def test_a_hostile_name_is_shown_in_ascii_on_one_line() -> None:
    (fault,) = faults(services=["a\n\u202eb"])
    assert fault.isascii()
    assert "\n" not in fault


@pytest.mark.parametrize(
    "name", ["10.0.0.1", "*.nats.acme.internal", "nats-1.nats.acme.internal.", "evil.internal", ""]
)
def test_hostile_names_of_nodes_are_refused(name: str) -> None:
    assert faults(nodes=[{"name": "nats-1", "server_names": [name]}])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"services": ["a", "a"]}, "services[1]: 'a' is already the name of a client, at services[0]"),
        ({"services": ["operator"]}, "identities[0]: 'operator' is already the name of a client, at services[0]"),
        ({"nodes": [{"name": "n"}, {"name": "n"}]}, "nodes[1].name: 'n' is already the name of a node, at nodes[0].name"),
        (
            {"nodes": [{"name": "n"}, {"name": "m", "server_names": ["n.nats.acme.internal"]}]},
            "nodes[1].server_names[0]: 'n.nats.acme.internal' is already the name of a node, at nodes[0].server_names[0]",
        ),
        (
            {"nodes": [{"name": "n", "server_names": ["orders.svc.acme.internal"]}]},
            "nodes[0].server_names[0]: 'orders.svc.acme.internal' is a client's identity: who holds this key would be that client",
        ),
        (
            {"node_domain": "nats.svc.acme.internal"},
            "node_domain: 'nats.svc.acme.internal' and the client domain 'svc.acme.internal' hold one another: a node's name could be a client's",
        ),
        (
            {"shared_node_names": ["orders.svc.acme.internal"]},
            "shared_node_names[0]: 'orders.svc.acme.internal' is within the client domain: it could be a client's identity",
        ),
        (
            {"shared_node_names": ["nats-1.nats.acme.internal"]},
            "nodes[0].server_names[0]: 'nats-1.nats.acme.internal' is already the name of a node, at shared_node_names[0]",
        ),
        ({"shared_node_names": ["a", "a"]}, "shared_node_names[1]: 'a' is already the name of a node, at shared_node_names[0]"),
        ({"shared_node_names": ["A"]}, "shared_node_names[0]: 'A' has the label 'A', which may have only"),
        ({"services": []}, "services: is empty: that would take the certificates of all services away"),
        ({"nodes": []}, "nodes: is empty: that would take the certificates of all nodes away"),
        ({"services": "orders"}, "services: is no list but 'orders'"),
        ({"services": [1]}, "services[0]: 1 is no text"),
        ({"nodes": ["n"]}, "nodes[0]: is no mapping but 'n'"),
        ({"nodes": 3}, "nodes: is no list but 3"),
        ({"nodes": [{}]}, "nodes[0].name: is missing"),
        ({"nodes": [{"name": "n", "server_names": []}]}, "nodes[0].server_names: has 0 names; a certificate has 1 to 16"),
        ({"environment": 7}, "environment: 7 is no text"),
        ({"environment": "thirteenchars"}, "environment: 'thirteenchars' has 13 characters; at most 12 fit"),
        ({"organization": LABEL_64}, f"organization: '{LABEL_64}' has 64 characters; at most 63 fit"),
        ({"organization": "Ünïcode"}, "organization: '\\xdcn\\xefcode' may have only a-z, 0-9"),
        ({"client_domain": "a..b"}, "client_domain: 'a..b' has the label '', which is empty"),
        ({"key_type": "rsa-2048"}, "is none of p256, p384, ed25519, rsa-3072, rsa-4096; did you mean 'rsa-"),
        ({"key_type": []}, "key_type: [] is none of"),
        ({"servces": []}, "did you mean 'services'?"),
        ({"lifetimes": 30}, "lifetimes: is no mapping but 30"),
        ({"lifetimes": {"leaf_days": 399}}, "lifetimes.leaf_days: 399 is no whole number of days from 1 to 398"),
        ({"lifetimes": {"leaf_days": True}}, "lifetimes.leaf_days: True is no whole number"),
        ({"lifetimes": {"leaf_days": 90, "issuing_days": 60}}, "lifetimes.leaf_days: 90 is longer than issuing_days, 60"),
    ],
)  # fmt: skip
def test_a_fault_is_told(changes: dict[str, Any], expected: str) -> None:
    assert any(expected in fault for fault in faults(**changes)), faults(**changes)


def test_all_faults_are_told_at_once() -> None:
    found = faults(services=["a", "a", "B"], key_type="dsa", environment="", lifetimes={"leaf_days": 0})
    assert [fault.partition(":")[0] for fault in found] == [
        "environment", "services[2]", "key_type", "lifetimes.leaf_days", "services[1]",
    ]  # fmt: skip


@pytest.mark.parametrize("plain", [None, [], "x", 3])
def test_what_is_no_mapping_is_refused(plain: object) -> None:
    with pytest.raises(RequestError, match="is no mapping"):
        CertificateRequest.from_plain(plain)


def test_an_empty_request_is_refused_with_all_that_is_missing() -> None:
    with pytest.raises(RequestError) as error:
        CertificateRequest.from_plain({})
    assert len(error.value.findings) == 6


def test_a_fault_in_a_file_is_told_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text(
        "environment: test\norganization: acme\nclient_domain: svc.acme.internal\nnode_domain: nats.acme.internal\n"
        "nodes:\n  - name: nats-1\n  - nam: nats-2\nservices: [orders, Payments]\n",
        encoding="utf-8",
    )
    with pytest.raises(RequestError) as error:
        read_request(file)
    assert [finding.removeprefix(str(file)) for finding in error.value.findings] == [
        ":7:5: nodes[1].name: is missing",
        ":7:10: nodes[1].nam: is no key of a request; there are name, server_names, route_names; did you mean 'name'?",
        ":8:20: services[1]: 'Payments' may have only a-z, 0-9 and, inside, -",
    ]


def test_json_with_tabs_is_read(tmp_path: Path) -> None:
    import json  # noqa: PLC0415

    file = tmp_path / "request.json"
    file.write_text(json.dumps(plain_request(), indent="\t"), encoding="utf-8")
    assert read_request(file) == a_request()


@pytest.mark.parametrize("text", [b"a: [", b"a: 1\na: 2\n", b"\xff\xfe\x00", b"\x00"])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "request.yaml"
    file.write_bytes(text)
    with pytest.raises(InputError):
        read_request(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_request(tmp_path / "none.yaml")
