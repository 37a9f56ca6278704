"""What a server takes up only when it starts: found in the configurations as they are rendered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nats_platform.configuration import render
from nats_platform.node.at_start import KEYS, differing, settings_at_start
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest
from tests.unit.functions.test_nats_configuration import a_request


def text(request: ClusterRequest) -> str:
    return render(request, wanted_users(request), "nats-1")


def test_every_one_of_them_is_in_a_rendered_configuration() -> None:
    assert tuple(sorted(settings_at_start(text(a_request())))) == tuple(sorted(KEYS))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (a_request("orders", "payments"), []),
        (a_request(max_connections=7, max_payload_bytes=2**19), []),
        (a_request(sync_always=False), ["sync_interval"]),
        (a_request(store_bytes=2**29), ["max_file_store"]),
        (replace(a_request(), nodes=tuple(replace(node, zone="a") for node in a_request().nodes)), ["unique_tag"]),
    ],
    ids=["services", "limits", "flushing", "store", "zones"],
)
def test_it_differs_where_a_running_server_would_refuse_and_nowhere_else(
    changed: ClusterRequest, found: list[str]
) -> None:
    assert differing(text(a_request()), text(changed)) == found
