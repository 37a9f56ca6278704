"""The images, as far as they can be shown without an engine: their own commands, on their own files, as their own user."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from catalog import load_catalog
from catalog.contract import gateway_routes
from tests.images import IMAGES, ROOT, USER, Dockerfile, Image, built, can_seal, ignored
from tests.ports import free_ports
from tests.reference_fleet import GATEWAY, WAIT_SECONDS, Fleet, fleet

pytestmark = pytest.mark.integration

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
SERVICE = "settings-nats"
IDLE_MIB = 60
needs_a_root_of_its_own = pytest.mark.skipif(not can_seal(), reason="only root can give a process a root of its own")


@pytest.fixture(scope="module", params=DOCKERFILES, ids=lambda path: path.parent.name)
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    with built(request.param) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet"), fleet_bucket, CATALOG) as made:
        yield made


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
class TestDockerfile:
    def test_hadolint_has_nothing_to_say(self, path: Path) -> None:
        told = subprocess.run(["hadolint", str(path)], capture_output=True, text=True, check=False, timeout=60)
        assert (told.returncode, told.stdout) == (0, "")

    def test_has_no_base_of_its_own(self, path: Path) -> None:
        dockerfile = Dockerfile.read(path)
        assert dockerfile.all("ARG") == ["BASE_IMAGE"]
        assert [rest.split()[0] for rest in dockerfile.all("FROM")] == ["${BASE_IMAGE}", "${BASE_IMAGE}"]

    def test_runs_as_the_user_of_the_task_and_ends_as_ecs_ends_it(self, path: Path) -> None:
        dockerfile = Dockerfile.read(path)
        assert dockerfile.all("USER") == [f"{USER}:{USER}"]
        assert dockerfile.all("STOPSIGNAL") == ["SIGTERM"]
        assert dockerfile.all("VOLUME") == ['["/tmp"]']

    def test_installs_by_hash_and_nothing_that_it_would_have_to_build(self, path: Path) -> None:
        (command,) = (json.loads(rest) for rest in Dockerfile.read(path).all("RUN") if "pip" in rest)
        assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(command)


@pytest.mark.parametrize("name", ["README.md", ".git", "tests/images.py", ".env", "key.pem", "service_catalog.yaml"])
def test_what_no_image_holds_reaches_no_build(name: str) -> None:
    assert ignored(name)


def test_every_file_has_bytecode_that_is_taken_as_it_is(image: Image) -> None:
    for source in (image.root / "app").rglob("*.py"):
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00", source  # by content, and unchecked


@needs_a_root_of_its_own
def test_the_process_is_nobody_in_particular_and_can_write_nowhere_but_in_tmp(image: Image) -> None:
    tried = (
        "import os, pathlib\n"
        "print(os.getuid(), os.getgid(), os.getgroups(), os.path.exists('/bin/sh'))\n"
        "pathlib.Path('/tmp/one').write_text('1')\n"
        "for place in ('/app/one', '/one'):\n"
        "    try: pathlib.Path(place).write_text('1')\n"
        "    except OSError as error: print(place, type(error).__name__)\n"
    )
    ended = image.run(["python", "-c", tried])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == f"{USER} {USER} [] False"
    assert [line.split()[0] for line in ended.stdout.splitlines()[1:]] == ["/app/one", "/one"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_entry_point_serves_health_tells_it_and_it_ends_by_a_signal(
    image: Image, nats: Fleet, tmp_path: Path
) -> None:
    is_gateway = image.dockerfile.path.parent.name == GATEWAY
    name = GATEWAY if is_gateway else SERVICE
    health_port, http_port = free_ports(2)
    image.put(nats.certificates(name), "/certificates")
    variables = {
        **nats.variables(name),
        "CERTIFICATES_DIRECTORY": "/certificates" if image.is_sealed else str(image.root / "certificates"),
        "HEALTH_PORT": str(health_port),
    }
    if is_gateway:
        variables |= {
            "GATEWAY_ROUTES": gateway_routes(CATALOG),
            "GATEWAY_PORT": str(http_port),
            "GATEWAY_LEAVE_SECONDS": "0",
        }
    check = [word.replace(":8080/", f":{health_port}/") for word in image.dockerfile.command("HEALTHCHECK")]
    with (tmp_path / "log").open("w") as log:
        child = image.popen(image.dockerfile.command("ENTRYPOINT"), variables, stdout=log, stderr=log)
        try:
            told = _until_healthy(image, check, child)
            resident_mib = psutil.Process(child.pid).memory_info().rss / 2**20
            if is_gateway:
                await nats.run(["time-manager-nats"])
                async with httpx.AsyncClient() as caller:
                    answer = await caller.get(f"http://127.0.0.1:{http_port}/v1/world/time")
                assert answer.json()["scale"] == 12
            else:
                setting = (await nats.ask("settings.get", name="session.region.first")).setting
                assert setting.value.string_value == "harbour"
            child.send_signal(signal.SIGTERM)
            assert child.wait(WAIT_SECONDS) == 0, (tmp_path / "log").read_text()
        finally:
            child.kill()
            child.wait()
    assert '"pass"' in told
    assert resident_mib < IDLE_MIB
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert image.run(check).returncode == 1


def test_an_environment_that_says_nothing_is_told_at_once(image: Image) -> None:
    ended = image.run(image.dockerfile.command("ENTRYPOINT"))
    assert ended.returncode == 2
    assert "SERVICE_NAME is not set" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_reference_runtimes_image_holds_the_worker_of_load_tests_and_no_other_does(image: Image) -> None:
    """Told nothing, it says what it lacks, which is after all its imports."""
    ended = image.run(["python", "-m", "load_test"])
    holds = image.dockerfile.command("ENTRYPOINT")[-1] == "reference_service"
    assert (ended.returncode == 2, "NATS_SERVERS is not set" in ended.stderr) == (holds, holds)


def _until_healthy(image: Image, check: list[str], child: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        assert child.poll() is None
        ended = image.run(check)
        if ended.returncode == 0:
            return ended.stdout
    raise AssertionError(f"it never was healthy: {ended.stdout}{ended.stderr}")
