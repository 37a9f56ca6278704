"""Who may do what: as much as the contract says, and not a subject more."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from catalog import load_environment
from catalog.cluster import cluster_request
from catalog.contract import service_contract
from nats_platform.permissions import User, merged, service_user, wanted_users
from nats_platform.request import ClusterRequest
from tests.synthesis import small_catalog, whole_catalog

SMALL = ClusterRequest.from_plain(cluster_request(small_catalog(), load_environment("prod")))
WHOLE = ClusterRequest.from_plain(cluster_request(whole_catalog(), load_environment("prod")))

_SUBJECTS = st.lists(st.sampled_from(["a.b", "a.c", "d.>", "e.f"]), unique=True).map(sorted).map(tuple)
_USERS = st.lists(
    st.builds(
        User,
        identity=st.sampled_from(["one", "two", "three"]),
        account=st.just("APP"),
        publish=_SUBJECTS,
        subscribe=_SUBJECTS,
        reply_seconds=st.integers(0, 60),
    ),
    unique_by=lambda user: user.identity,
)


def user(name: str, request: ClusterRequest = SMALL) -> User:
    return next(user for user in wanted_users(request) if user.identity.startswith(f"{name}."))


def test_a_service_answers_in_the_queue_group_and_only_there() -> None:
    heard = user("world-state-nats").subscribe
    assert "world.state.get q" in heard
    assert "world.state.get" not in heard


def test_a_service_hears_its_own_inbox_and_no_other() -> None:
    inboxes = [subject for subject in user("world-state-nats").subscribe if subject.startswith("_INBOX")]
    assert inboxes == ["_INBOX.world-state-nats.>"]


def test_a_service_may_answer_by_name_those_who_may_ask_it_and_nobody_else() -> None:
    """A reload forgets what a message allowed to be answered."""
    for name, contract in WHOLE.services.items():
        serves = contract.get("serves", {})
        asking = {other for other, theirs in WHOLE.services.items() if set(theirs.get("calls", ())) & set(serves)}
        asking |= {"loadtest"} if any(subject["idempotent"] for subject in serves.values()) else set()
        answered = {subject for subject in user(name, WHOLE).publish if subject.startswith("_INBOX")}
        assert answered == {f"_INBOX.{each}.>" for each in asking}
    assert "_INBOX.http-nats-gateway.>" in user("state-manager-nats").publish


def test_a_service_asks_what_it_calls_and_tells_its_events() -> None:
    assert "world.state.get" in user("state-manager-nats").publish
    assert "state.get" not in user("state-manager-nats").publish
    assert "events.world.>" in user("world-state-nats").publish


def test_a_service_hears_the_events_that_it_subscribes_to() -> None:
    assert "events.world.storm" in user("story-teller-nats").subscribe


def test_the_gateway_asks_and_hears_what_its_routes_lead_to() -> None:
    gateway = user("http-nats-gateway")
    assert gateway.publish == ("state.get",)
    assert "events.world.>" in gateway.subscribe


def test_a_bucket_is_read_and_written_by_its_service_alone() -> None:
    with_bucket = [each.identity for each in wanted_users(SMALL) if "$KV.player-state.>" in each.publish]
    assert with_bucket == [SMALL.identity("state-manager-nats")]
    assert "$JS.API.DIRECT.GET.KV_player-state.>" in user("state-manager-nats").publish


def test_a_consumer_is_read_and_acknowledged_and_nothing_else_of_its_stream() -> None:
    assert [subject for subject in user("story-teller-nats").publish if subject.startswith("$JS")] == [
        "$JS.ACK.WORLD.story-progress.>",
        "$JS.API.CONSUMER.INFO.WORLD.story-progress",
        "$JS.API.CONSUMER.MSG.NEXT.WORLD.story-progress",
        "$JS.API.INFO",
    ]


def test_no_service_may_create_or_change_anything_in_jetstream() -> None:
    verbs = (".CREATE.", ".UPDATE.", ".DELETE.", ".PURGE.", ".RESTORE.", ".SNAPSHOT.", "$JS.API.>", "$JS.>")
    services = [user(name, WHOLE) for name in WHOLE.services]
    allowed = [subject for each in services for subject in each.publish]
    assert [subject for subject in allowed if any(verb in f"{subject}." for verb in verbs)] == []


def test_no_user_may_do_everything() -> None:
    assert [each.identity for each in wanted_users(WHOLE) if ">" in (*each.publish, *each.subscribe)] == []


def test_only_the_operator_and_metrics_are_in_the_system_account() -> None:
    system = {each.identity.partition(".")[0] for each in wanted_users(WHOLE) if each.account == "SYS"}
    assert system == {"operator", "metrics"}


def test_the_load_test_asks_nothing_that_may_not_be_asked_twice() -> None:
    loadtest = user("loadtest", WHOLE)
    assert "payment.get" in loadtest.publish
    assert not {"payment.create", "payment.refund"} & set(loadtest.publish)


def test_a_disabled_service_has_no_user() -> None:
    assert [each for each in wanted_users(SMALL) if each.identity.startswith("language-system-nats")] == []


def test_replies_may_come_until_after_the_longest_timeout() -> None:
    assert user("state-manager-nats").reply_seconds > 3


def test_what_a_container_is_told_gives_the_permissions_of_the_request() -> None:
    catalog = whole_catalog()
    for service in catalog.enabled:
        told = json.loads(service_contract(catalog, service))
        assert service_user(WHOLE, service.name, told) == user(service.name, WHOLE)


def test_a_user_survives_being_written_down() -> None:
    for each in wanted_users(WHOLE):
        assert User.from_plain(json.loads(json.dumps(each.to_plain()))) == each


@given(_USERS, _USERS)
def test_merged_users_may_what_either_may_and_nothing_else(one: list[User], other: list[User]) -> None:
    found = {each.identity: each for each in merged(one, other)}
    assert found.keys() == {each.identity for each in (*one, *other)}
    for identity, each in found.items():
        sources = [source for source in (*one, *other) if source.identity == identity]
        assert set(each.publish) == {subject for source in sources for subject in source.publish}
        assert set(each.subscribe) == {subject for source in sources for subject in source.subscribe}
        assert each.reply_seconds == max(source.reply_seconds for source in sources)


@given(_USERS, _USERS)
def test_merging_again_changes_nothing(one: list[User], other: list[User]) -> None:
    once = merged(one, other)
    assert merged(once, other) == once
