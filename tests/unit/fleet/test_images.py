from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from catalog import Catalog, load_catalog
from catalog.service import Image
from fleet import project
from fleet.account import Account
from fleet.errors import InputError
from fleet.images.check import OCI_INDEX, OCI_MANIFEST, check_images
from fleet.images.push import push_images
from fleet.images.required import RequiredImage, repositories, required_images
from tests.unit.fleet.quiet import Quiet
from tests.unit.fleet.right_account import ACCOUNT, WithoutTasks, catalog

REPOSITORY = "gaming-system-test/reference-service"


def image(*architectures: Any, tag: str | None = "1.0.0", digest: str | None = None) -> RequiredImage:
    return RequiredImage(REPOSITORY, tag, digest, frozenset(architectures or ("arm64",)), ("a-nats",))


@pytest.fixture
def account(session: boto3.Session) -> Account:
    session.client("ecr").create_repository(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    return WithoutTasks(session, ACCOUNT)


def missing(account: Account, wanted: RequiredImage) -> str | None:
    return check_images(account, [wanted])[0].missing


class TestRequired:
    def test_only_enabled_services_need_images_but_every_entry_has_a_repository(self) -> None:
        assert [one.reference for one in required_images(catalog(), "test")] == [
            "gaming-system-test/state-manager-nats:1.0.0",
            "gaming-system-test/http-nats-gateway:1.0.0",
        ]
        assert repositories(catalog(), "test") == [
            "gaming-system-test/reference-service",
            "gaming-system-test/state-manager-nats",
            "gaming-system-test/quest-system-nats",
            "gaming-system-test/http-nats-gateway",
        ]

    def test_an_image_that_several_services_run_is_needed_once_for_all_their_processors(self) -> None:
        entries = dict(catalog().services)
        shared = Image(repository="reference-service", tag="2")
        for name, architecture in (("state-manager-nats", "arm64"), ("http-nats-gateway", "x86_64")):
            entries[name] = entries[name].model_copy(update={"image": shared, "architecture": architecture})
        (only,) = required_images(Catalog(groups=catalog().groups, services=entries), "test")
        assert only.reference == "gaming-system-test/reference-service:2"
        assert only.architectures == {"arm64", "x86_64"}
        assert only.services == ("state-manager-nats", "http-nats-gateway")
        assert only.source == "reference-service"

    def test_what_the_fleet_runs_is_built_here(self) -> None:
        sources = {
            image.source for image in required_images(load_catalog(project.ROOT / "service_catalog.yaml"), "prod")
        }
        assert sources == {path.parent.name for path in project.IMAGES.glob("*/Dockerfile")}


class TestCheck:
    def test_tells_a_missing_repository_tag_and_digest_apart(self, account: Account) -> None:
        elsewhere = RequiredImage("gaming-system-test/none", "1", None, frozenset({"arm64"}), ("a-nats",))
        assert missing(account, elsewhere) == "no such repository"
        assert missing(account, image()) == "no such tag"
        assert missing(account, image(tag=None, digest=f"sha256:{'0' * 64}")) == "no such digest"

    def test_wants_every_processor(self, account: Account) -> None:
        push_images(account, [image("arm64")], Quiet())
        assert missing(account, image("arm64")) is None
        assert missing(account, image("arm64", "x86_64")) == "not for amd64, only for arm64"

    def test_finds_an_image_by_its_digest(self, account: Account) -> None:
        push_images(account, [image("x86_64")], Quiet())
        digest = account.ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1.0.0"}])
        assert missing(account, image("x86_64", tag=None, digest=digest["imageDetails"][0]["imageDigest"])) is None

    def test_reads_the_configuration_of_a_single_image(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
        (tmp_path / "config.json").write_bytes(config)
        descriptor = {"mediaType": "x", "digest": f"sha256:{hashlib.sha256(config).hexdigest()}", "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": []}
        account.ecr.put_image(
            repositoryName=REPOSITORY,
            imageManifest=json.dumps(manifest),
            imageManifestMediaType=OCI_MANIFEST,
            imageTag="1.0.0",
        )
        answer = {"downloadUrl": (tmp_path / "config.json").as_uri()}
        monkeypatch.setattr(account.ecr, "get_download_url_for_layer", lambda **_: answer)
        assert missing(account, image("x86_64")) is None
        assert missing(account, image("arm64")) == "not for arm64, only for amd64"


class TestRecord:
    def test_makes_well_formed_records_and_calls_them_so(self, account: Account) -> None:
        progress = Quiet()
        push_images(account, [image("arm64", "x86_64")], progress)
        assert progress.steps["record 1 image(s) in the local AWS"].outcomes == [
            "records and no images: nothing in the local AWS pulls them"
        ]
        found = account.ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1.0.0"}])["images"][0]
        index = json.loads(found["imageManifest"])
        assert index["mediaType"] == OCI_INDEX
        assert [one["platform"] for one in index["manifests"]] == [
            {"architecture": "amd64", "os": "linux"},
            {"architecture": "arm64", "os": "linux"},
        ]
        for entry in index["manifests"]:
            child = account.ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": entry["digest"]}])
            text = child["images"][0]["imageManifest"]
            assert hashlib.sha256(text.encode()).hexdigest() == entry["digest"].removeprefix("sha256:")
            assert len(text) == entry["size"]

    def test_a_digest_is_not_made_up(self, account: Account) -> None:
        with pytest.raises(InputError, match="pinned by its digest"):
            push_images(account, [image(tag=None, digest=f"sha256:{'0' * 64}")], Quiet())


class TestBuild:
    @pytest.fixture
    def in_aws(self, session: boto3.Session) -> Account:
        return Account(session, ACCOUNT)

    @pytest.fixture
    def sources(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(project, "ROOT", tmp_path)
        monkeypatch.setattr(project, "IMAGES", tmp_path / "images")
        return tmp_path / "images"

    def test_tells_all_that_stands_in_the_way_at_once(
        self, in_aws: Account, sources: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del sources
        monkeypatch.setattr("shutil.which", lambda _name: None)
        with pytest.raises(InputError) as caught:
            push_images(in_aws, [image(), image(tag=None, digest=f"sha256:{'0' * 64}")], Quiet())
        assert "has no images/reference-service/Dockerfile" in str(caught.value)
        assert "whoever owns a-nats pushes it" in str(caught.value)
        assert "pinned by its digest" in str(caught.value)
        assert "docker is not installed" in str(caught.value)

    def test_builds_with_docker_for_the_processor_and_pushes_to_the_registry(
        self, in_aws: Account, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (sources / "reference-service").mkdir(parents=True)
        (sources / "reference-service" / "Dockerfile").touch()
        base = f"python:3.13-slim-bookworm@sha256:{'0' * 64}"
        (sources / "base-image").write_text(f"{base}\n")
        calls = tmp_path / "calls"
        docker = tmp_path / "docker"
        docker.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ "$1" != login ] || cat > {tmp_path}/password\n')
        docker.chmod(0o755)
        monkeypatch.setattr("shutil.which", lambda _name: str(docker))
        monkeypatch.setattr(project, "log", lambda name: tmp_path / name)
        push_images(in_aws, [image("arm64")], Quiet())
        registry = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
        assert calls.read_text().splitlines()[2:] == [
            f"login --username AWS --password-stdin {registry}",
            (
                f"buildx build --platform linux/arm64 --push --tag {registry}/{REPOSITORY}:1.0.0 "
                f"--build-arg BASE_IMAGE={base} --file {sources}/reference-service/Dockerfile {tmp_path}"
            ),
        ]
        assert (tmp_path / "password").read_text()

    @pytest.mark.parametrize(
        ("written", "told"),
        [
            (None, "images/base-image is missing"),
            (
                "python:3.13-slim-bookworm",
                "images/base-image has 'python:3.13-slim-bookworm', which is no image pinned",
            ),
        ],
    )
    def test_a_base_that_is_not_pinned_is_told_with_the_command_that_pins_it(
        self, in_aws: Account, sources: Path, monkeypatch: pytest.MonkeyPatch, written: str | None, told: str
    ) -> None:
        (sources / "reference-service").mkdir(parents=True)
        (sources / "reference-service" / "Dockerfile").touch()
        if written is not None:
            (sources / "base-image").write_text(written)
        monkeypatch.setattr("shutil.which", lambda _name: None)
        with pytest.raises(InputError) as caught:
            push_images(in_aws, [image()], Quiet())
        assert told in str(caught.value)
        assert "docker buildx imagetools inspect python:3.13-slim-bookworm --format '{{.Manifest.Digest}}'" in str(
            caught.value
        )

    def test_an_image_in_aws_is_never_a_mere_record(self, in_aws: Account, sources: Path) -> None:
        del sources
        in_aws.ecr.create_repository(repositoryName=REPOSITORY)
        with pytest.raises(InputError):
            push_images(in_aws, [image()], Quiet())
        assert check_images(in_aws, [image()])[0].missing == "no such tag"
