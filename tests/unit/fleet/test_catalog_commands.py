"""`fleet catalog`: what goes to which stream, in which format, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from catalog import load_catalog
from fleet.cli.app import app

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases"
SMALL = (CASES / "good" / "small.yaml").read_text(encoding="utf-8")
BAD = "cpu_size.yaml:15:10: services.quest-nats.cpu: 300 is not allowed; allowed: 256, 512, 1024, 2048, 4096, 8192 or 16384; did you mean 256?"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["catalog", *map(str, arguments)])


def loaded(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(name="file")
def catalog_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "service_catalog.yaml"
    file.write_text(SMALL, encoding="utf-8")
    return file


@pytest.fixture(name="bad")
def folder_of_bad_catalogs(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(CASES / "bad")
    return Path("cpu_size.yaml")


class TestCheck:
    def test_product_is_good(self, ran_from_readme: Callable[[str], None]) -> None:
        result = run("check")
        ran_from_readme("fleet catalog check")

        assert result.exit_code == 0
        assert result.stdout.endswith("23 services, 22 of them enabled, 4 environments: good\n")
        assert not result.stderr

    def test_faults_are_the_result_and_end_with_2(self, bad: Path) -> None:
        result = run("check", bad)

        assert result.exit_code == 2
        assert result.stdout == f"{BAD}\ncpu_size.yaml: 1 error\n"

    def test_json(self, bad: Path) -> None:
        result = run("check", bad, "--format", "json")

        assert result.exit_code == 2
        report = loaded(result)
        (fault,) = report.pop("faults")
        assert report == {
            "catalog": "cpu_size.yaml",
            "good": False,
            "errors": 1,
            "warnings": 0,
            "services": None,
            "environments": 0,
        }
        assert (fault["file"], fault["line"], fault["column"]) == ("cpu_size.yaml", 15, 10)
        assert (fault["key"], fault["severity"]) == ("services.quest-nats.cpu", "error")

    def test_json_of_what_is_good(self, file: Path) -> None:
        report = loaded(run("check", file, "--format", "json"))

        assert report["good"]
        assert report["services"] == {"enabled": 2, "disabled": 1}

    def test_github(self, bad: Path) -> None:
        result = run("check", bad, "--format", "github")

        assert result.exit_code == 2
        assert result.stdout.startswith(
            "::error file=cpu_size.yaml,line=15,col=10,title=services.quest-nats.cpu::300 is not"
        )
        assert result.stderr == "cpu_size.yaml: 1 error\n"

    def test_github_keeps_to_one_line_and_escapes(self, file: Path) -> None:
        file.write_text(SMALL.replace("cpu: 512", '"50%,\\n:": 1'), encoding="utf-8")

        (line,) = run("check", file, "--format", "github").stdout.splitlines()

        assert "title=services.state-manager-nats.50%25%2C%0A%3A::unknown key '50%25,\\n:'; allowed" in line

    def test_warnings_do_not_fail(self, file: Path) -> None:
        file.write_text(
            SMALL.replace("    cpu: 512", "    enabled: false\n    reason: later\n    cpu: 512"), encoding="utf-8"
        )

        result = run("check", file)

        assert result.exit_code == 0
        assert (
            ":48:14: warning: services.http-nats-gateway.nats.calls[0]: " in result.stdout
            or ": warning: " in result.stdout
        )
        assert result.stdout.endswith("3 services, 1 of them enabled: 1 warning\n")
        assert "::warning file=" in run("check", file, "--format", "github").stdout

    def test_environments_beside_the_catalog_are_checked(self, file: Path) -> None:
        folder = file.parent / "environments"
        folder.mkdir()
        (folder / "zones.yaml").write_bytes((CASES / "bad_environments" / "zones.yaml").read_bytes())

        result = run("check", "service_catalog.yaml")

        assert result.exit_code == 2
        assert result.stdout.startswith("environments/zones.yaml:4:34: availability_zones[1]: 'us-west-2b' is no zone")

    @pytest.mark.parametrize(
        "content", [b"", b"\0", b"\xff\xfe", b"a: [", b"[" * 5000, b"a: &a [*a]", b"!!python/name:os.system x"]
    )
    def test_hostile_file_is_told_without_a_traceback(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)

        result = run("check", file)

        assert result.exit_code == 2
        assert isinstance(result.exception, SystemExit)
        assert file.name in result.stdout

    def test_missing_file(self, tmp_path: Path) -> None:
        result = run("check", tmp_path / "nowhere.yaml")

        assert result.exit_code == 2
        assert "there is no such file" in result.stdout

    def test_thousands_of_faults_are_told_in_short(self, file: Path) -> None:
        entries = "".join(f"  s{number:04}-nats: {{group: game}}\n" for number in range(1200))
        file.write_text(f"groups: {{game: {{description: d}}}}\nservices:\n{entries}", encoding="utf-8")

        result = run("check", file)

        assert len(result.stdout.splitlines()) == 1001
        assert result.stderr == "and 2601 more\n"  # the stack is too full besides
        assert len(loaded(run("check", file, "--format", "json"))["faults"]) == 3601

    def test_unknown_format_is_a_fault_of_usage(self) -> None:
        result = run("check", "--format", "xml")

        assert result.exit_code == 2
        assert "xml" in result.stderr


class TestList:
    def test_services_stand_by_group(self, file: Path) -> None:
        result = run("list", "--catalog", file)

        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "GROUP    SERVICE             REPLICAS  CPU  MEMORY  ENABLED",
            "game     state-manager-nats         2  512    1024  yes",
            "         quest-system-nats          0  256     512  no: waits for its messages",
            "gateway  http-nats-gateway     2 to 6  256     512  yes",
        ]
        assert result.stderr == "2 of 3 services enabled, 4 tasks\n"

    def test_product_has_44_tasks(self) -> None:
        assert run("list").stderr == "22 of 23 services enabled, 44 tasks\n"

    def test_json(self, file: Path) -> None:
        services = loaded(run("list", "--catalog", file, "--format", "json"))

        assert [service["name"] for service in services] == [
            "state-manager-nats",
            "quest-system-nats",
            "http-nats-gateway",
        ]
        assert services[1]["replicas"] == 0
        assert services[1]["reason"] == "waits for its messages"
        assert (services[2]["replicas"], services[2]["max_replicas"]) == (2, 6)

    def test_bad_catalog_is_told_on_stderr(self, bad: Path) -> None:
        result = run("list", "--catalog", bad)

        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{BAD}\n")

    def test_catalog_without_services(self) -> None:
        assert run("list", "--catalog", CASES / "good" / "no_services.yaml").exit_code == 0


class TestShow:
    def test_every_key_says_where_it_is_from(self, file: Path) -> None:
        lines = run("show", "state-manager-nats", "--catalog", file).stdout.splitlines()

        cells = {line.split()[0]: line for line in lines[3:]}
        assert "  512" in cells["cpu"]
        assert "entry, line 22" in cells["cpu"]
        assert "defaults, line 15" in cells["health_check.interval_seconds"]
        assert "built in" in cells["replicas"]
        assert "CPU units of a task" in cells["cpu"]

    def test_json(self, file: Path) -> None:
        shown = loaded(run("show", "state-manager-nats", "--catalog", file, "--format", "json"))

        assert shown["service"]["memory"] == 1024
        assert {"key": "stack", "value": 1, "origin": "entry", "line": 20}.items() <= shown["keys"][1].items()

    def test_unknown_service(self, file: Path) -> None:
        result = run("show", "state-manager", "--catalog", file)

        assert result.exit_code == 2
        assert result.stderr == (
            "error: service_catalog.yaml has no service 'state-manager'; did you mean 'state-manager-nats'?\n"
        )


class TestEdits:
    def test_added_service_is_told_with_its_stack(self, file: Path) -> None:
        result = run(
            "add", "loot-nats", "--group", "game", "--description", "Drops loot.", "--owner", "us", "--catalog", file
        )

        assert result.exit_code == 0
        assert "added loot-nats to group game, stack 1" in result.stdout
        assert load_catalog(file).services["loot-nats"].owner == "us"

    def test_service_is_switched_off_and_on(self, file: Path) -> None:
        assert "quest-system-nats is now enabled" in run("enable", "quest-system-nats", "--catalog", file).stdout
        assert "is enabled already" in run("enable", "quest-system-nats", "--catalog", file).stdout
        off = run("disable", "quest-system-nats", "--reason", "waits for its messages", "--catalog", file)
        assert "is now disabled: waits for its messages" in off.stdout
        assert load_catalog(file) == load_catalog(CASES / "good" / "small.yaml")

    def test_who_calls_a_disabled_service_is_told(self, file: Path) -> None:
        result = run("disable", "state-manager-nats", "--reason", "later", "--catalog", file)

        assert result.exit_code == 0
        assert "warning: services.http-nats-gateway.nats.calls[0]" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ("add", "loot-nats", "--group", "gaem"),
            ("add", "state", "--group", "game"),
            ("add", "Loot", "--group", "game"),
            ("enable", "quest"),
            ("disable", "state-manager-nats", "--reason", ""),
        ],
    )
    def test_refused_edit_says_that_nothing_was_written(self, file: Path, arguments: tuple[str, ...]) -> None:
        result = run(*arguments, "--catalog", file)

        assert result.exit_code == 2
        assert not result.stdout
        assert result.stderr.endswith("error: nothing was written: service_catalog.yaml is as it was\n")
        assert file.read_text(encoding="utf-8") == SMALL

    @pytest.mark.parametrize(
        "arguments", [("add", "loot-nats"), ("disable", "state-manager-nats"), ("show",), ("wipe",)]
    )
    def test_what_is_left_out_is_a_fault_of_usage(self, arguments: tuple[str, ...]) -> None:
        result = run(*arguments)

        assert result.exit_code == 2
        assert "Usage: " in result.stderr


class TestCommandLine:
    @pytest.mark.parametrize("command", ["check", "list", "show", "add", "enable", "disable"])
    def test_help_explains(self, command: str) -> None:
        result = run(command, "--help")

        assert result.exit_code == 0
        assert f"catalog {command} [OPTIONS]" in result.stdout

    def test_every_command_is_listed_without_being_loaded(self) -> None:
        result = CliRunner().invoke(app, ["--help"])

        assert result.exit_code == 0
        assert "Check, read and edit the service catalog." in result.stdout

    def test_unknown_command_is_suggested(self) -> None:
        result = CliRunner().invoke(app, ["catalgo"])

        assert result.exit_code == 2
        assert "there is no command 'catalgo'; did you mean 'catalog'?" in result.stderr

    def test_version(self) -> None:
        assert CliRunner().invoke(app, ["--version"]).exit_code == 0

    def test_nothing_heavy_is_imported(self) -> None:
        code = (
            "import sys\nfrom fleet.cli.app import main\nsys.argv = ['fleet', 'catalog', 'check']\n"
            "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
            "heavy = {'aws_cdk', 'boto3', 'botocore', 'cryptography', 'google', 'moto', 'nats', 'psutil', 'rich', 'ruamel'}\n"
            "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
        )

        ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

        assert (ended.returncode, ended.stderr) == (0, "")

    def test_colour_only_where_somebody_sees_it(self, file: Path) -> None:
        command = [
            sys.executable,
            "-c",
            "from fleet.cli.app import main; main()",
            "catalog",
            "list",
            "--catalog",
            str(file),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}

        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)

        assert "\x1b" not in ended.stdout + ended.stderr
