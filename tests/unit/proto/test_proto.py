"""The messages: there for every subject, explained, fit for JSON and for the gateway's paths, and generated from what is committed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from catalog import Service, load_catalog
from catalog.nats_contract import Subject
from catalog.service import Route
from proto import generate
from proto.generated.gaming.errors.v1.error_pb2 import (
    ERROR_CODE_INVALID_ARGUMENT,
    ERROR_CODE_RETRY_EXHAUSTED,
    Error,
    FieldViolation,
    ValidationFailure,
)
from proto.generated.gaming.game.v1.state_pb2 import GetStateRequest
from proto.messages import UnknownMessageError, message_class, message_names

ROOT = Path(__file__).parents[3]
CATALOG = load_catalog(ROOT / "service_catalog.yaml")
# Of all entries: the messages of a disabled service are there too.
ROUTES = [route for service in CATALOG.services.values() for route in service.routes if route.subject]
SUBJECTS = {name: subject for service in CATALOG.services.values() for name, subject in service.nats.serves.items()}


def route_id(route: Route) -> str:
    return f"{route.method} {route.path}"


def request_fields(route: Route) -> dict[str, Any]:
    return dict(message_class(SUBJECTS[str(route.subject)].request).DESCRIPTOR.fields_by_name)


class TestGeneratedCode:
    def test_is_what_the_messages_give(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert generate.main(["--check"]) == 0, capsys.readouterr().err

    def test_is_the_same_twice(self) -> None:
        assert generate.generated_code(generate.SOURCES) == generate.generated_code(generate.SOURCES)

    def test_drift_is_told_with_the_command_to_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(generate.SOURCES, tmp_path, dirs_exist_ok=True)
        monkeypatch.setattr(generate, "SOURCES", tmp_path)
        monkeypatch.setattr(generate, "GENERATED", tmp_path / "generated")
        proto = tmp_path / "gaming/game/v1/state.proto"
        proto.write_text(proto.read_text("utf-8").replace("bool deleted", "bool removed"), "utf-8")
        (tmp_path / "generated/gaming/game/v1/forgotten_pb2.py").touch()

        assert generate.main(["--check"]) == 1

        assert capsys.readouterr().err.splitlines() == [
            "proto/generated/gaming/game/v1/forgotten_pb2.py is out of date",
            "proto/generated/gaming/game/v1/state_pb2.py is out of date",
            "proto/generated/gaming/game/v1/state_pb2.pyi is out of date",
            "run `python -m proto.generate` and commit what it writes",
        ]
        assert generate.main([]) == 0
        assert generate.main(["--check"]) == 0

    def test_a_broken_message_is_told_with_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "broken.proto").write_text('syntax = "proto3";\nmessage A { strin b = 1; }\n', "utf-8")
        monkeypatch.setattr(generate, "SOURCES", tmp_path)

        assert generate.main(["--check"]) == 2

        assert 'broken.proto:2:13: "strin" is not defined.' in capsys.readouterr().err

    def test_loads_nothing_of_ours_but_itself(self) -> None:
        code = "import sys, proto.messages; proto.messages.message_names(); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        ours = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"fleet_constructs"}
        assert {name.partition(".")[0] for name in done.stdout.split()} & ours == {"proto"}


class TestMessageNames:
    def test_a_name_leads_to_the_generated_class(self) -> None:
        assert message_class("gaming.game.v1.GetStateRequest") is GetStateRequest

    def test_an_unknown_name_comes_with_the_nearest_one(self) -> None:
        with pytest.raises(UnknownMessageError, match=r"did you mean gaming\.game\.v1\.GetStateRequest\?") as caught:
            message_class("gaming.game.v1.GetStatRequest")
        assert caught.value.name == "gaming.game.v1.GetStatRequest"

    @pytest.mark.parametrize("name", ["", "Thing", "os.path.Thing", "gaming.game.v1", "..Thing"])
    def test_a_name_that_is_none_is_refused(self, name: str) -> None:
        with pytest.raises(UnknownMessageError):
            message_class(name)


class TestContract:
    @pytest.mark.parametrize(("name", "subject"), SUBJECTS.items())
    def test_both_messages_of_a_subject_exist(self, name: str, subject: Subject) -> None:
        assert message_class(subject.request).DESCRIPTOR.full_name == subject.request, name
        assert message_class(subject.reply).DESCRIPTOR.full_name == subject.reply, name

    @pytest.mark.parametrize("service", CATALOG.services.values(), ids=lambda service: service.name)
    def test_a_group_has_its_messages_in_one_package(self, service: Service) -> None:
        package = f"gaming.{service.group.replace('-', '_')}.v1"
        named = {name for subject in service.nats.serves.values() for name in (subject.request, subject.reply)}
        assert {name.rpartition(".")[0] for name in named} <= {package}

    def test_request_and_reply_are_a_pair(self) -> None:
        for name, subject in SUBJECTS.items():
            assert subject.request.endswith("Request"), name
            assert subject.reply == f"{subject.request.removesuffix('Request')}Reply", name

    def test_no_message_belongs_to_no_subject(self) -> None:
        named = set(chain.from_iterable((s.request, s.reply) for s in SUBJECTS.values()))
        assert {name for name in message_names() if name.endswith(("Request", "Reply"))} == named


class TestRoutes:
    @pytest.mark.parametrize("route", ROUTES, ids=route_id)
    def test_every_path_parameter_is_a_string_of_the_request(self, route: Route) -> None:
        fields = request_fields(route)
        for parameter in re.findall(r"\{(\w+)\}", route.path):
            assert parameter in fields, f"the request of {route.subject} has no field {parameter}"
            assert fields[parameter].type == FieldDescriptor.TYPE_STRING
            assert not fields[parameter].is_repeated

    @pytest.mark.parametrize("route", [r for r in ROUTES if r.method in {"GET", "DELETE"}], ids=route_id)
    def test_a_request_without_a_body_fits_in_path_and_query(self, route: Route) -> None:
        nested = [
            field.name
            for field in request_fields(route).values()
            if field.message_type is not None and field.message_type.full_name != "google.protobuf.Timestamp"
        ]
        assert nested == []

    @pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"], ids=route_id)
    def test_what_is_read_by_get_is_idempotent(self, route: Route) -> None:
        assert SUBJECTS[str(route.subject)].idempotent


def value_of(field: Any) -> object:
    """Return a value that is not the field's default."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return b"\x00\xff" if field.type == FieldDescriptor.TYPE_BYTES else "Grüße, “you”\n"
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            return field.enum_type.values[-1].number
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return 0.5
        case FieldDescriptor.CPPTYPE_INT64:
            return 2**53 + 1  # more than a number of JSON holds: protobuf writes it as a string
        case _:
            return 7


def filled(name: str, depth: int = 3) -> Message:
    """Return a message with a value in every field, down to a depth."""
    known: dict[str, Message] = {
        "google.protobuf.Timestamp": Timestamp(seconds=1_800_000_000, nanos=500_000_000),
        "google.protobuf.Duration": Duration(seconds=90),
        "google.protobuf.Value": Value(string_value="on"),
        "google.protobuf.Struct": Struct(),
        "google.protobuf.Any": AnyMessage(),
    }
    if isinstance(message := known.get(name), Message):
        if isinstance(message, Struct):
            message.update({"deep": {"list": [1, None, "x"], "yes": True}})
        elif isinstance(message, AnyMessage):
            message.Pack(ValidationFailure(violations=[FieldViolation(field="a.b[0]", description="is missing")]))
        return message
    result = message_class(name)()
    for field in result.DESCRIPTOR.fields:
        part = field.message_type
        if part is not None and part.GetOptions().map_entry:
            getattr(result, field.name)["one"] = 1
        elif part is None or depth:
            value: Any = value_of(field) if part is None else filled(part.full_name, depth - 1)
            if field.is_repeated:
                getattr(result, field.name).extend([value, value])
            elif part is None:
                setattr(result, field.name, value)
            else:
                getattr(result, field.name).CopyFrom(value)
    return result


@pytest.mark.parametrize("name", message_names())
def test_a_message_comes_back_from_json_and_bytes(name: str) -> None:
    message = filled(name)
    for text in (
        json_format.MessageToJson(message),
        json_format.MessageToJson(message, preserving_proto_field_name=True, use_integers_for_enums=True),
    ):
        assert json_format.Parse(text, type(message)()) == message
    assert type(message).FromString(message.SerializeToString()) == message


def test_an_error_carries_the_error_that_caused_it() -> None:
    violation = FieldViolation(field="player_id", description="is empty; 1 to 64 characters")
    cause = Error(code=ERROR_CODE_INVALID_ARGUMENT, service="state-manager-nats", endpoint="state.get")
    cause.details.add().Pack(ValidationFailure(violations=[violation]))
    error = Error(code=ERROR_CODE_RETRY_EXHAUSTED, service="quest-system-nats", endpoint="quest.accept", cause=cause)

    told = json_format.MessageToDict(json_format.Parse(json_format.MessageToJson(error), Error()))

    assert told["code"] == "ERROR_CODE_RETRY_EXHAUSTED"
    assert told["cause"]["details"][0]["violations"] == [
        {"field": "player_id", "description": "is empty; 1 to 64 characters"}
    ]


def upper_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """Return the parsed `.proto` files with their comments."""
    target = tmp_path_factory.mktemp("descriptors") / "all.pb"
    protos = sorted(str(path) for path in (ROOT / "proto/gaming").rglob("*.proto"))
    arguments = [f"--proto_path={ROOT / 'proto'}", "--include_source_info", f"--descriptor_set_out={target}", *protos]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True, cwd=ROOT)
    return list(FileDescriptorSet.FromString(target.read_bytes()).file)


class TestStyle:
    def test_every_enum_begins_with_unspecified_and_its_values_with_its_name(
        self, sources: list[FileDescriptorProto]
    ) -> None:
        for enum in chain.from_iterable(file.enum_type for file in sources):
            prefix = upper_snake(enum.name)
            assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value), enum.name

    def test_a_package_is_a_folder_and_carries_a_version(self, sources: list[FileDescriptorProto]) -> None:
        for file in sources:
            assert file.package == str(Path(file.name).parent).replace("/", ".")
            assert file.package.endswith(".v1")
            assert file.syntax == "proto3"

    def test_fields_are_lower_snake_case(self) -> None:
        for name in message_names():
            for field in message_class(name).DESCRIPTOR.fields:
                assert re.fullmatch(r"[a-z]+(_[a-z]+)*", field.name), field.full_name

    def test_everything_is_explained(self, sources: list[FileDescriptorProto]) -> None:
        # Paths of descriptor.proto: message 4, its fields 2; enum 5, its values 2; package 2.
        for file in sources:
            explained = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments}
            wanted: set[tuple[int, ...]] = {(2,)}
            for number, message in enumerate(file.message_type):
                wanted |= {(4, number)} | {(4, number, 2, field) for field in range(len(message.field))}
            for number, enum in enumerate(file.enum_type):
                wanted |= {(5, number)} | {(5, number, 2, value) for value in range(len(enum.value))}
            assert wanted <= explained, file.name
