"""Create, update and delete, with everything that can go wrong on the way, over fake handlers."""

from __future__ import annotations

import threading

import pytest

from local_aws.errors import RequestRefusedError, TemplateError, UnsupportedTypeError
from tests.unit.local_aws.fakes import ACCOUNT, REGION, Engine, parameter, statuses, template

TWO = template({"Top": parameter({"Fn::Sub": "above ${Base}"}), "Base": parameter("b")})


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def test_resources_are_made_after_what_they_refer_to(engine: Engine) -> None:
    stack = engine.deploy("s", TWO)

    assert stack.status == "CREATE_COMPLETE"
    assert [name for _, name in engine.handler.calls] == ["Base-1", "Top-2"]
    assert engine.handler.inventory["Top-2"]["Value"] == "above Base-1"


def test_resources_are_removed_before_what_they_refer_to(engine: Engine) -> None:
    engine.deploy("s", TWO)
    engine.handler.calls.clear()

    stack = engine.delete("s")

    assert engine.handler.calls == [("delete", "Top-2"), ("delete", "Base-1")]
    assert stack.status == "DELETE_COMPLETE"
    assert engine.world.find(REGION, "s") is None
    assert engine.world.find(REGION, stack.id) is stack


def test_every_step_gives_an_event_in_order_of_time(engine: Engine) -> None:
    stack = engine.deploy("s", TWO)

    assert statuses(stack, "Top") == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert statuses(stack, "s") == ["REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    milliseconds = [int(event.timestamp.timestamp() * 1000) for event in stack.events]
    assert milliseconds == sorted(set(milliseconds)), "the CDK CLI sorts events by the millisecond"


def test_an_update_touches_only_what_differs(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1"), "B": parameter("2")}))
    engine.handler.calls.clear()

    stack = engine.deploy("s", template({"A": parameter("1"), "B": parameter("3")}))

    assert engine.handler.calls == [("update", "B-2")]
    assert statuses(stack, "s")[-2:] == ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]


def test_a_number_and_its_text_are_the_same(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter(80)}))
    stack = engine.requests.stack(REGION, "s")

    change_set = engine.requests.create_change_set(
        stack, "c", "UPDATE", engine.request(template({"A": parameter("80")}))
    )

    assert change_set.status == "FAILED"
    assert str(change_set.reason).startswith("The submitted information didn't contain changes.")


def test_a_create_only_property_replaces_and_those_that_refer_follow(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1", Name="old"), "B": parameter(ref("A"))}))

    stack = engine.deploy("s", template({"A": parameter("1", Name="new"), "B": parameter(ref("A"))}))

    assert stack.status == "UPDATE_COMPLETE"
    assert engine.handler.names() == {"new", "B-2"}
    assert engine.handler.inventory["B-2"]["Value"] == "new"
    assert engine.handler.calls[-3:] == [("create", "new"), ("update", "B-2"), ("delete", "old")]


def test_replacement_is_passed_on_to_create_only_references(engine: Engine) -> None:
    def version(name: str) -> dict[str, object]:
        return template({"A": parameter("1", Name=name), "B": parameter("2", Name={"Fn::Sub": "on-${A}"})})

    engine.deploy("s", version("old"))

    engine.deploy("s", version("new"))

    assert engine.handler.names() == {"new", "on-new"}


def test_a_custom_name_blocks_a_replacement(engine: Engine) -> None:
    def topic(*, fifo: bool) -> dict[str, object]:
        return template(
            {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {
                        "AssumeRolePolicyDocument": {},
                        "Path": "/a/" if fifo else "/b/",
                        "RoleName": "Role-1",
                    },
                }
            }
        )

    engine.deploy("s", topic(fifo=False), capabilities=("CAPABILITY_NAMED_IAM",))

    stack = engine.deploy("s", topic(fifo=True), capabilities=("CAPABILITY_NAMED_IAM",))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    reasons = [event.reason for event in stack.events if event.status == "UPDATE_FAILED"]
    assert reasons == [
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename Role-1 and update the stack again."
    ]


def test_an_update_may_turn_out_to_be_a_replacement(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1"), "B": parameter(ref("A"))}))

    engine.deploy("s", template({"A": parameter("moves"), "B": parameter(ref("A"))}))

    assert engine.handler.names() == {"A-1-moved", "B-2"}
    assert engine.handler.inventory["B-2"]["Value"] == "A-1-moved"


def test_resources_are_added_and_removed(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1"), "B": parameter("2")}))

    engine.deploy("s", template({"A": parameter("1"), "C": parameter("3")}))

    assert engine.handler.names() == {"A-1", "C-3"}


def test_the_stacks_tags_reach_every_resource_that_takes_tags(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}), tags={"team": "red"})
    assert engine.handler.inventory["A-1"]["stack tags"] == {"team": "red"}

    stack = engine.deploy("s", template({"A": parameter("1")}), tags={"team": "blue"})

    assert stack.status == "UPDATE_COMPLETE"
    assert engine.handler.inventory["A-1"]["stack tags"] == {"team": "blue"}


def test_tags_that_are_not_mentioned_stay(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}), tags={"team": "red"})

    engine.deploy("s", template({"A": parameter("2")}))

    assert engine.handler.inventory["A-1"]["stack tags"] == {"team": "red"}


def test_a_change_of_metadata_alone_is_recorded_and_touches_nothing(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1", Metadata={"note": "old"})}))
    engine.handler.calls.clear()

    stack = engine.deploy("s", template({"A": parameter("1", Metadata={"note": "new"})}))

    assert engine.handler.calls == []
    assert stack.resources["A"].metadata == {"note": "new"}


# -- failures


def test_a_failed_create_leaves_nothing_and_can_be_tried_again(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1"), "B": parameter("cannot be created", DependsOn="A")}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert engine.handler.names() == set()
    assert stack.resources == {}
    failure = next(event for event in stack.events if event.status == "CREATE_FAILED")
    assert (failure.logical_id, failure.reason) == ("B", "this value cannot be created")

    with pytest.raises(RequestRefusedError, match="ROLLBACK_COMPLETE state and can not be updated"):
        engine.deploy("s", template({"A": parameter("1")}))
    engine.delete("s")
    assert engine.deploy("s", template({"A": parameter("1")})).status == "CREATE_COMPLETE"


def test_a_failed_create_may_delete_its_stack(engine: Engine) -> None:
    stack = engine.deploy(
        "s", template({"A": parameter("1"), "B": parameter("cannot be created")}), on_failure="DELETE"
    )

    assert stack.status == "DELETE_COMPLETE"


def test_a_failed_update_is_rolled_back_to_the_same_inventory(engine: Engine) -> None:
    before = template({"Kept": parameter("1"), "Named": parameter("1", Name="old"), "Gone": parameter("1")})
    engine.deploy("s", before, tags={"team": "red"})
    inventory = {name: dict(properties) for name, properties in engine.handler.inventory.items()}

    after = template(
        {
            "Kept": parameter("2"),
            "Named": parameter("1", Name="new"),
            "Added": parameter("1"),
            "Broken": parameter("cannot be created", DependsOn=["Kept", "Named", "Added"]),
        }
    )
    stack = engine.deploy("s", after, tags={"team": "blue"})

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.handler.inventory == inventory
    assert set(stack.resources) == {"Kept", "Named", "Gone"}
    assert stack.settings is not None
    assert stack.settings.tags == {"team": "red"}
    assert engine.deploy("s", template({"Kept": parameter("3")})).status == "UPDATE_COMPLETE"
    assert engine.handler.names() == {"Kept-1"}


def test_the_way_back_begins_with_the_resource_that_failed(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))

    stack = engine.deploy("s", template({"A": parameter("cannot be updated")}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.handler.inventory["A-1"]["Value"] == "1", "and not half-way"
    assert stack.resources["A"].status == "UPDATE_COMPLETE"


def test_without_roll_back_a_failed_create_stays_and_goes_on(engine: Engine) -> None:
    stack = engine.deploy(
        "s", template({"A": parameter("1"), "B": parameter("cannot be created", DependsOn="A")}), disable_rollback=True
    )
    assert stack.status == "CREATE_FAILED"
    assert stack.resources["B"].status == "CREATE_FAILED"
    assert engine.handler.names() == {"A-1"}

    fixed = template({"A": parameter("1"), "B": parameter("2", DependsOn="A")})
    with pytest.raises(RequestRefusedError, match="non-terminal"):
        engine.deploy("s", fixed)
    stack.change_sets.clear()
    stack = engine.deploy("s", fixed, disable_rollback=True)

    assert stack.status == "UPDATE_COMPLETE"
    assert {name.partition("-")[0] for name in engine.handler.names()} == {"A", "B"}


def test_a_stack_that_failed_without_roll_back_can_be_rolled_back_later(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))
    stack = engine.deploy(
        "s", template({"A": parameter("2"), "B": parameter("cannot be created", DependsOn="A")}), disable_rollback=True
    )
    assert (stack.status, engine.handler.inventory["A-1"]["Value"]) == ("UPDATE_FAILED", "2")

    engine.operations.roll_back(stack)
    engine.ended(stack)

    assert (stack.status, engine.handler.inventory["A-1"]["Value"]) == ("UPDATE_ROLLBACK_COMPLETE", "1")
    assert set(stack.resources) == {"A"}


def test_a_roll_back_that_fails_can_be_continued(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))
    engine.handler.undeletable = {"New-2"}
    stack = engine.deploy(
        "s",
        template(
            {"A": parameter("2"), "New": parameter("1"), "X": parameter("cannot be created", DependsOn=["A", "New"])}
        ),
    )
    assert stack.status == "UPDATE_ROLLBACK_FAILED"
    assert "New" in str(stack.reason)

    engine.handler.undeletable = set()
    engine.operations.roll_back(stack)
    engine.ended(stack)

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.handler.names() == {"A-1"}


def test_several_tries_without_roll_back_are_taken_back_together(engine: Engine) -> None:
    first = template({"A": parameter("1")})
    engine.deploy("s", first, tags={"try": "0"})
    for number in ("2", "3"):
        broken = template({"A": parameter(number), "B": parameter("cannot be created", DependsOn="A")})
        stack = engine.deploy("s", broken, tags={"try": number}, disable_rollback=True)
    engine.handler.calls.clear()

    def refuse(_name: str) -> None:
        raise ValueError("not now")

    engine.handler.before_update = refuse
    engine.operations.roll_back(stack)
    engine.ended(stack)
    assert stack.status == "UPDATE_ROLLBACK_FAILED"
    assert engine.handler.calls == [("update", "A-1")], "what builds on a step that could not be undone is left alone"

    engine.handler.before_update = lambda _name: None
    engine.operations.roll_back(stack)
    engine.ended(stack)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.handler.inventory["A-1"]["Value"] == "1"
    assert stack.settings is not None
    assert stack.settings.tags == {"try": "0"}


def test_a_failed_delete_keeps_what_is_below_and_can_be_tried_again(engine: Engine) -> None:
    engine.deploy("s", TWO)
    engine.handler.undeletable = {"Top-2"}
    stack = engine.delete("s")
    assert stack.status == "DELETE_FAILED"
    assert engine.handler.names() == {"Base-1", "Top-2"}

    engine.handler.undeletable = set()
    assert engine.delete("s").status == "DELETE_COMPLETE"
    assert engine.handler.names() == set()


def test_a_resource_that_will_not_go_may_be_given_up(engine: Engine) -> None:
    engine.deploy("s", TWO)
    engine.handler.undeletable = {"Top-2"}
    engine.delete("s")

    stack = engine.delete("s", retain=frozenset({"Top"}))

    assert stack.status == "DELETE_COMPLETE"
    assert engine.handler.names() == {"Top-2"}


def test_a_step_without_end_ends(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))
    release = threading.Event()
    engine.handler.before_update = lambda _name: release.wait(20)
    engine.world.step_seconds = 0.05

    stack = engine.deploy("s", template({"A": parameter("2")}), disable_rollback=True)
    release.set()

    assert stack.status == "UPDATE_FAILED"
    assert stack.resources["A"].reason == "Resource timed out: no answer after 0 seconds"


# -- policies


@pytest.mark.parametrize(("policy", "remains"), [("Delete", False), ("Retain", True), ("RetainExceptOnCreate", True)])
def test_deletion_policy_at_delete(engine: Engine, policy: str, *, remains: bool) -> None:
    engine.deploy("s", template({"A": parameter("1", DeletionPolicy=policy)}))

    stack = engine.delete("s")

    assert bool(engine.handler.inventory) is remains
    assert stack.status == "DELETE_COMPLETE"
    assert statuses(stack, "A")[-1] == ("DELETE_SKIPPED" if remains else "DELETE_COMPLETE")


@pytest.mark.parametrize(("policy", "remains"), [("Delete", False), ("Retain", True), ("RetainExceptOnCreate", False)])
def test_deletion_policy_when_a_create_is_rolled_back(engine: Engine, policy: str, *, remains: bool) -> None:
    engine.deploy(
        "s", template({"A": parameter("1", DeletionPolicy=policy), "B": parameter("cannot be created", DependsOn="A")})
    )

    assert bool(engine.handler.inventory) is remains


@pytest.mark.parametrize(("policy", "remains"), [("Delete", False), ("Retain", True)])
def test_update_replace_policy(engine: Engine, policy: str, *, remains: bool) -> None:
    engine.deploy("s", template({"A": parameter("1", Name="old", UpdateReplacePolicy=policy)}))

    engine.deploy("s", template({"A": parameter("1", Name="new", UpdateReplacePolicy=policy)}))

    assert ("old" in engine.handler.inventory) is remains


def test_termination_protection(engine: Engine) -> None:
    stack = engine.deploy("s", TWO)
    stack.termination_protection = True

    with pytest.raises(RequestRefusedError, match="TerminationProtection is enabled"):
        engine.delete("s")


# -- outputs and exports


def exporter(value: object = "1", **more: object) -> dict[str, object]:
    return template({"A": parameter(value, **more)}, Outputs={"Id": {"Value": ref("A"), "Export": {"Name": "shared"}}})


IMPORTER = template({"B": parameter({"Fn::ImportValue": "shared"})})


def test_outputs_are_settled_at_the_end(engine: Engine) -> None:
    stack = engine.deploy("s", exporter())

    assert {key: (output.value, output.export) for key, output in stack.outputs.items()} == {"Id": ("A-1", "shared")}


def test_an_import_takes_the_exported_value(engine: Engine) -> None:
    engine.deploy("producer", exporter())

    engine.deploy("consumer", IMPORTER)

    assert engine.handler.inventory["B-2"]["Value"] == "A-1"
    assert engine.world.importers(REGION, "shared") == ["consumer"]


def test_an_import_of_nothing_is_refused(engine: Engine) -> None:
    with pytest.raises(TemplateError, match="No export named shared found"):
        engine.deploy("consumer", IMPORTER)


def test_an_export_in_use_cannot_be_dropped(engine: Engine) -> None:
    engine.deploy("producer", exporter())
    engine.deploy("consumer", IMPORTER)

    stack = engine.deploy("producer", template({"A": parameter("1")}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert any(
        "Export shared cannot be deleted as it is in use by consumer" in str(event.reason) for event in stack.events
    )
    assert "shared" in engine.world.exports(REGION)


def test_an_export_in_use_cannot_be_changed(engine: Engine) -> None:
    engine.deploy("producer", exporter(Name="old"))
    engine.deploy("consumer", IMPORTER)

    stack = engine.deploy("producer", exporter(Name="new"))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert any(
        "Export shared cannot be updated as it is in use by consumer" in str(event.reason) for event in stack.events
    )
    assert engine.handler.names() == {"old", "B-2"}


def test_a_stack_whose_export_is_in_use_cannot_be_deleted_at_all(engine: Engine) -> None:
    stack = engine.deploy("producer", exporter())
    engine.deploy("consumer", IMPORTER)

    with pytest.raises(RequestRefusedError, match="Cannot delete export shared as it is in use by consumer"):
        engine.delete("producer")

    assert stack.status == "CREATE_COMPLETE"
    engine.delete("consumer")
    assert engine.delete("producer").status == "DELETE_COMPLETE"


def test_an_import_counts_from_the_moment_it_is_read(engine: Engine) -> None:
    engine.deploy("producer", exporter())
    engine.deploy("consumer", template({"B": parameter("1")}))
    reading, release = threading.Event(), threading.Event()

    def hold(_name: str) -> None:
        reading.set()
        release.wait(20)

    engine.handler.before_update = hold
    consumer = engine.requests.stack(REGION, "consumer")
    engine.requests.update_stack(consumer, engine.request(IMPORTER), on_failure="ROLLBACK")
    assert reading.wait(20)
    engine.handler.before_update = lambda _name: None

    producer = engine.deploy("producer", template({"A": parameter("1")}))
    release.set()

    assert producer.status == "UPDATE_ROLLBACK_COMPLETE"
    assert engine.ended(consumer).status == "UPDATE_COMPLETE"


def test_an_export_has_one_owner(engine: Engine) -> None:
    engine.deploy("one", exporter())

    stack = engine.deploy("two", exporter())

    assert stack.status == "ROLLBACK_COMPLETE"
    assert any(
        "Export with name shared is already exported by stack one" in str(event.reason) for event in stack.events
    )


# -- what is refused before anything is made


def test_a_type_that_is_not_carried_is_named(engine: Engine) -> None:
    with pytest.raises(UnsupportedTypeError, match="AWS::SQS::Queue is not carried"):
        engine.deploy("s", template({"Q": {"Type": "AWS::SQS::Queue"}}))


def test_all_faults_of_all_properties_are_told_at_once(engine: Engine) -> None:
    faulty = template(
        {
            "A": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Colour": "red"}},
            "T": {"Type": "AWS::SNS::Topic", "Properties": {"Shape": 1}},
        }
    )

    with pytest.raises(TemplateError) as refusal:
        engine.deploy("s", faulty)

    assert "A (AWS::SSM::Parameter): Encountered unsupported property Colour" in str(refusal.value)
    assert "A (AWS::SSM::Parameter): Property Value is required" in str(refusal.value)
    assert "T (AWS::SNS::Topic): Encountered unsupported property Shape" in str(refusal.value)
    assert engine.world.find(REGION, "s") is None


def test_a_resource_keeps_its_type(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))

    with pytest.raises(TemplateError, match="Update of resource type is not permitted"):
        engine.deploy("s", template({"A": {"Type": "AWS::SNS::Topic"}}))


def test_identities_need_a_capability(engine: Engine) -> None:
    role = template({"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}})

    with pytest.raises(RequestRefusedError, match=r"Requires capabilities : \[CAPABILITY_IAM\]") as refusal:
        engine.deploy("s", role)

    assert refusal.value.code == "InsufficientCapabilitiesException"


def test_a_busy_stack_refuses_a_second_operation(engine: Engine) -> None:
    stack = engine.deploy("s", template({"A": parameter("1")}))
    stack.status = "UPDATE_IN_PROGRESS"

    with pytest.raises(RequestRefusedError, match="UPDATE_IN_PROGRESS state and can not be updated"):
        engine.deploy("s", template({"A": parameter("2")}))
    with pytest.raises(RequestRefusedError, match="UPDATE_IN_PROGRESS state and can not be deleted"):
        engine.delete("s")


def test_direct_create_and_update(engine: Engine) -> None:
    options = {"on_failure": "ROLLBACK"}
    stack = engine.requests.create_stack(
        ACCOUNT, REGION, "s", engine.request(template({"A": parameter("1")})), protect=False, **options
    )
    assert engine.ended(stack).status == "CREATE_COMPLETE"

    engine.requests.update_stack(stack, engine.request(template({"A": parameter("2")})), **options)
    assert engine.ended(stack).status == "UPDATE_COMPLETE"

    with pytest.raises(RequestRefusedError, match=r"^No updates are to be performed\.$"):
        engine.requests.update_stack(stack, engine.request(template({"A": parameter("2")})), **options)
    with pytest.raises(RequestRefusedError, match="already exists"):
        engine.requests.create_stack(
            ACCOUNT, REGION, "s", engine.request(template({"A": parameter("1")})), protect=False, **options
        )


def test_the_status_is_set_before_the_answer(engine: Engine) -> None:
    engine.deploy("s", template({"A": parameter("1")}))
    release = threading.Event()
    engine.handler.before_update = lambda _name: release.wait(20)
    stack = engine.requests.stack(REGION, "s")

    engine.requests.update_stack(stack, engine.request(template({"A": parameter("2")})), on_failure="ROLLBACK")
    status = stack.status
    release.set()

    assert status == "UPDATE_IN_PROGRESS"
    assert engine.ended(stack).status == "UPDATE_COMPLETE"
