"""The server: moto's, on loopback, with our CloudFormation in the place of moto's own."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from collections.abc import Iterable
from typing import Any

# Both are read when moto is imported: without the managed policies no role could attach one, and no call is authorised here.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
os.environ.pop("INITIAL_NO_AUTH_ACTION_COUNT", None)

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from local_aws import data_plane
from local_aws.clients import ServerClients
from local_aws.dispatch import Application, Dispatcher, InProcess, StartResponse
from local_aws.errors import StateError
from local_aws.gate import Gate
from local_aws.keeper import Keeper
from local_aws.model import now
from local_aws.operations import Operations
from local_aws.requests import Requests
from local_aws.resources import moto_repairs
from local_aws.resources.registry import handler_for
from local_aws.rollouts import settling
from local_aws.schemas import schema_for
from local_aws.state import StateDirectory
from local_aws.watch.watch import Watch
from local_aws.wire import CloudFormationApi
from local_aws.world import World

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
REGION = "us-east-1"
_READING = ("Describe", "Get", "List", "Head", "BatchGet", "AssumeRole", "Simulate", "Validate")
# What comes all the time: a save for each would keep the disk busy, and the next one takes it along.
_PASSING = ("PutMetricData", "PutLogEvents")
_PATH = re.compile(r"/service/\w+/operation/(\w+)")  # in the protocol that boto3 speaks with CloudWatch
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")


class _Handler(MotoRequestHandler):
    """Logs requests for those who debug, and for nobody else."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        log.debug("%s %s %s", self.requestline, code, size)


class Gated:
    """Holds the gate while a request is answered, and tells the keeper of requests that may have changed something."""

    def __init__(self, application: Application, gate: Gate, keeper: Keeper) -> None:
        self._application = application
        self._gate = gate
        self._keeper = keeper

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO") == data_plane.PATH:
            # It comes every second and changes nothing that is kept; what does touches the keeper itself.
            with self._gate.request():
                return data_plane.application(environ, start_response)
        by_link = "Action=" in environ.get("QUERY_STRING", "")
        reads = environ.get("REQUEST_METHOD") in {"GET", "HEAD", "OPTIONS"} and not by_link
        passes = reads or _operation(environ).startswith(_READING + _PASSING)
        if "/cloudformation/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            # Our own API holds the gate itself, since it lets some callers wait for a stack.
            answer = self._application(environ, start_response)
        else:
            with self._gate.request():
                answer = self._application(environ, start_response)
        if not passes:
            self._keeper.touch()
        return answer


def _operation(environ: dict[str, Any]) -> str:
    """Return the name of the operation, where the request's head or form tells it; the form is put back to be read again."""
    target: str = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if path := _PATH.fullmatch(environ.get("PATH_INFO", "")):
        target = path.group(1)
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if target or not length or not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return target
    form: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(form)
    found = _ACTION.search(form)
    return found.group(1).decode() if found else ""


class LocalAws:
    """One server over one state directory.

    Args:
        directory: locked already.
        port: 0 takes the port of the last run if that is free, or else any that is.
    """

    def __init__(self, directory: StateDirectory, port: int = 0) -> None:
        moto_repairs.apply()
        self._directory = directory
        loaded = directory.load()
        self._server = _listen(port, loaded.port)
        self.port = int(self._server.server_port)
        self.endpoint = f"http://{HOST}:{self.port}"
        gate = Gate()
        stacks = loaded.stacks
        self._keeper = Keeper(gate, lambda: directory.save(stacks, self.port))
        data_plane.on_change[:] = [self._keeper.touch]
        application = Gated(Dispatcher({"cloudformation": CloudFormationApi.dispatch}), gate, self._keeper)
        clients = ServerClients(self.endpoint, InProcess(application))
        world = World(handler_for, clients, gate, self._keeper.commit, settling=settling, stacks=stacks)
        self._operations = Operations(world)
        self._watch = Watch(self.endpoint, gate, data_plane.minute_seconds, self._keeper.touch)
        CloudFormationApi.engine = Requests(self._operations)
        self._server.app = application

    def serve(self) -> None:
        """Answer requests until `stop` is called from another thread."""
        self._keeper.start()
        self._watch.start()
        self._directory.publish(
            {
                "endpoint": self.endpoint,
                "region": REGION,
                "account": DEFAULT_ACCOUNT_ID,
                "pid": os.getpid(),
                "started": now().isoformat(timespec="seconds"),
            }
        )
        # The first deployment would wait most of a second for the schemas.
        threading.Thread(target=schema_for, args=("AWS::SSM::Parameter", REGION), name="schemas", daemon=True).start()
        self._operations.resume()
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._watch.stop()
            self._keeper.stop()
            self._directory.retract()

    def stop(self) -> None:
        """End `serve`; the state is saved on the way out."""
        self._server.shutdown()


def _listen(wanted: int, last: int | None) -> Any:
    for port in dict.fromkeys([wanted] if wanted else [last or 0, 0]):
        try:
            # The application comes later: its clients need the port.
            return make_server(HOST, port, _no_application, threaded=True, request_handler=_Handler)
        except (OSError, SystemExit) as error:
            if port in {wanted, 0}:
                raise StateError(f"port {port} of {HOST} cannot be taken: {error}") from error
    raise AssertionError("port 0 was tried")


def _no_application(_environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [])
    return []
