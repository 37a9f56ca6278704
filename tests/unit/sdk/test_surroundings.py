"""Settings, contract, certificates, logs, metrics, and the registration of handlers."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from proto.generated.gaming.game.v1.quest_pb2 import AcceptQuestRequest, GetQuestReply, GetQuestRequest
from sdk import (
    CertificateError,
    CircuitState,
    ConfigurationError,
    Context,
    Contract,
    DirectoryCertificates,
    Metrics,
    NATSClient,
    NotFoundError,
    Service,
    Settings,
    Transition,
)
from sdk.logs import ErrorLog, JsonFormatter

ENDPOINT = {
    "request": "gaming.game.v1.GetQuestRequest",
    "reply": "gaming.game.v1.GetQuestReply",
    "timeout_seconds": 2,
    "idempotent": True,
}
VARIABLES = {
    "SERVICE_NAME": "quest-nats",
    "NATS_SERVERS": "tls://nats-1:4222,tls://nats-2:4222",
    "SERVICE_CONTRACT": json.dumps({"serves": {"quest.get": ENDPOINT}, "buckets": {"quests": {}}}),
    "CERTIFICATES_DIRECTORY": "/certificates",
    "NATS_OUTAGE_TOLERANCE_SECONDS": "90",
    "HEALTH_PORT": "8181",
}


class TestSettings:
    def test_they_are_what_the_container_is_told(self) -> None:
        settings = Settings.from_environment(VARIABLES)
        assert (settings.service, settings.inbox_prefix) == ("quest-nats", "_INBOX.quest-nats")
        assert settings.servers == ("tls://nats-1:4222", "tls://nats-2:4222")
        assert (settings.health_port, settings.nats_outage_tolerance_seconds) == (8181, 90)
        endpoint = settings.contract.serves["quest.get"]
        assert (endpoint.timeout_seconds, endpoint.idempotent) == (2.0, True)
        assert endpoint.request_type() is GetQuestRequest

    def test_everything_that_is_missing_is_told_at_once(self) -> None:
        with pytest.raises(ConfigurationError) as refused:
            Settings.from_environment({"HEALTH_PORT": "many", "SERVICE_CONTRACT": "{"})
        told = str(refused.value)
        for fault in (
            "NATS_SERVERS is not set",
            "SERVICE_NAME is not set",
            "HEALTH_PORT is 'many'",
            "SERVICE_CONTRACT is not the JSON of a contract",
            "neither CERTIFICATES_BUCKET",
        ):
            assert fault in told

    @pytest.mark.parametrize(
        "text", ["[]", "null", '{"serves": {"a": {}}}', '{"serves": 1}', '{"publishes": {"a": {}}}']
    )
    def test_what_is_no_contract_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="is not the JSON of a contract"):
            Contract.from_json(text)

    def test_an_unknown_message_is_told_with_its_subject(self) -> None:
        contract = Contract.from_json(
            json.dumps({"serves": {"quest.get": {**ENDPOINT, "reply": "gaming.game.v1.GetQuestRepl"}}})
        )
        with pytest.raises(ConfigurationError, match=r"quest\.get: .* did you mean gaming\.game\.v1\.GetQuestReply"):
            contract.serves["quest.get"].reply_type()

    async def test_what_the_contract_does_not_have_is_told_with_what_it_has(self) -> None:
        client = NATSClient(Settings.from_environment(VARIABLES))
        assert client.bucket("quests").name == "quests"
        with pytest.raises(ConfigurationError, match="the contract of quest-nats has no bucket quest; it has: quests"):
            client.bucket("quest")
        with pytest.raises(ConfigurationError, match="has no consumer worker; it has: none"):
            client.consumer("worker")


class TestHandlers:
    def service(self) -> Service:
        return Service(Settings.from_environment(VARIABLES))

    async def test_a_subject_without_a_handler_keeps_a_service_from_starting(self) -> None:
        with pytest.raises(ConfigurationError, match=r"quest\.get is served by the contract and has no handler"):
            await self.service().serve()

    async def test_a_handler_that_the_contract_does_not_have_does_so_too(self) -> None:
        service = self.service()

        @service.handle("quest.get")
        async def get(request: GetQuestRequest, context: Context) -> GetQuestReply:
            raise NotImplementedError

        @service.handle("quest.got")
        async def got(request: GetQuestRequest, context: Context) -> GetQuestReply:
            raise NotImplementedError

        with pytest.raises(ConfigurationError, match=r"quest\.got has a handler and is not in the contract"):
            await service.serve()

    async def test_a_handler_of_other_types_does_so_too(self) -> None:
        service = self.service()

        @service.handle("quest.get")
        async def get(request: AcceptQuestRequest, context: Context) -> GetQuestReply:
            raise NotImplementedError

        with pytest.raises(ConfigurationError, match=r"the handler's request is gaming\.game\.v1\.AcceptQuestRequest"):
            await service.serve()

    def test_a_handler_without_message_types_is_refused(self) -> None:
        async def get(request: dict[str, Any], context: Context) -> GetQuestReply:
            raise NotImplementedError

        with pytest.raises(
            ConfigurationError, match=r"quest\.get: the first parameter of .*get is annotated with dict"
        ):
            self.service().handle("quest.get")(get)  # type: ignore[type-var]

    def test_a_second_handler_is_refused(self) -> None:
        service = self.service()

        @service.handle("quest.get")
        async def get(request: GetQuestRequest, context: Context) -> GetQuestReply:
            raise NotImplementedError

        with pytest.raises(ConfigurationError, match=r"quest\.get has a handler already"):
            service.handle("quest.get")(get)

    def test_a_process_that_is_told_too_little_ends_with_2_and_words(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SERVICE_NAME", raising=False)
        with pytest.raises(SystemExit) as ended:
            Service().run()
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith("error: the environment of this process is not complete:")


class TestCertificates:
    def test_a_key_that_is_no_key_is_told(self, tmp_path: Path) -> None:
        for name in ("chain.pem", "key.pem", "server-ca.pem"):
            (tmp_path / name).write_text("nonsense")
        with pytest.raises(CertificateError, match=r"server-ca\.pem cannot be read"):
            DirectoryCertificates(tmp_path).fetch().context()

    def test_a_folder_that_is_not_there_is_told_with_what_it_should_hold(self, tmp_path: Path) -> None:
        with pytest.raises(CertificateError, match=r"key\.pem and server-ca\.pem"):
            DirectoryCertificates(tmp_path / "no").fetch()

    def test_the_key_is_in_no_representation(self, tmp_path: Path) -> None:
        for name in ("chain.pem", "key.pem", "server-ca.pem"):
            (tmp_path / name).write_text(f"content of {name}")
        assert "content of key.pem" not in repr(DirectoryCertificates(tmp_path).fetch())


class TestLogs:
    def record(self, **extra: object) -> logging.LogRecord:
        record = logging.makeLogRecord({"name": "sdk", "levelname": "INFO", "msg": "hello %s", "args": ("you",)})
        vars(record).update(extra)
        return record

    def test_a_record_is_one_line_of_json(self) -> None:
        line = JsonFormatter(service="quest-nats", environment="test").format(
            self.record(subject="quest.get", odd=object())
        )
        told = json.loads(line)
        assert "\n" not in line
        assert (told["text"], told["level"], told["subject"]) == ("hello you", "INFO", "quest.get")
        assert (told["service_name"], told["environment"]) == ("quest-nats", "test")

    def test_errors_in_masses_are_counted_and_none_is_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        now = 0.0
        log = ErrorLog(each_second=10, clock=lambda: now)

        async def storm() -> None:
            for _ in range(500):
                log(NotFoundError("no", endpoint="quest.get"))
            log(NotFoundError("no", endpoint="other"))
            log.flush()

        asyncio.run(storm())
        of_the_storm = [vars(record) for record in caplog.records if vars(record)["endpoint"] == "quest.get"]
        assert len(of_the_storm) == 11
        assert sum(record.get("repeated", 1) for record in of_the_storm) == 500
        assert len(caplog.records) == 12


class TestMetrics:
    def test_a_line_is_in_the_embedded_metric_format(self) -> None:
        lines: list[str] = []
        metrics = Metrics(service="quest-nats", environment="test", write=lines.append, now=lambda: 1000.0)
        for milliseconds in (1.0, 1.01, 250.0):
            metrics.answered(milliseconds / 1000, failed=milliseconds > 100)
        metrics.call_failed(NotFoundError("no"))
        metrics.circuit_changed(Transition("a", CircuitState.CLOSED, CircuitState.OPEN, "", None))
        metrics.circuit_changed(Transition("a", CircuitState.OPEN, CircuitState.HALF_OPEN, "", None))
        metrics.reconnected()
        metrics.flush()
        (line,) = map(json.loads, lines)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["Environment", "Service"]]
        assert (line["Environment"], line["Service"], line["_aws"]["Timestamp"]) == ("test", "quest-nats", 1_000_000)
        assert len(directive["Metrics"]) == 6
        assert (line["Requests"], line["RequestErrors"], line["CallErrors"]) == (3, 1, 1)
        assert (line["CircuitsOpened"], line["Reconnects"]) == (1, 1)
        values, counts = line["RequestLatency"]["Values"], line["RequestLatency"]["Counts"]
        assert counts == [2, 1]
        assert values[0] == pytest.approx(1.0, rel=0.05)
        assert values[1] == pytest.approx(250, rel=0.05)

    def test_a_line_begins_anew_and_stays_within_the_format(self) -> None:
        lines: list[str] = []
        metrics = Metrics(service="quest-nats", environment="test", write=lines.append)
        for number in range(20_000):
            metrics.answered(number / 1000, failed=False)
        metrics.flush()
        metrics.flush()
        first, second = map(json.loads, lines)
        assert len(first["RequestLatency"]["Values"]) <= 100
        assert second["Requests"] == 0
        assert "RequestLatency" not in second
