"""From a request to the back end that answers it, over a socket or inside this process."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from flask import Flask, Response, request
from moto.core.request import Request
from moto.core.utils import convert_to_flask_response
from moto.moto_server.werkzeug_app import BackendRequest, DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException

_MOST_LOOKS = 5
_LINKS = ("ConfirmSubscription", "Unsubscribe")
_COLONS = 3  # of an ARN that has a region
log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]


class Application(Protocol):
    """A WSGI application."""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, with a memory: moto reads its own directory for every request, which was half of the server's time.

    Args:
        own: our services in the place of moto's, which are not even imported: each a view for all of its requests.
    """

    def __init__(self, own: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(_backend_application)
        self.app_instances.update({service: _own_application(view) for service, view in own.items()})
        self._backends: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """Return the name of the back end for a host."""
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        return self._backends[host]

    def infer_service_region_host(self, environ: dict[str, Any], path: str) -> str | None:
        """Return the host that a request without one is for: the links in SNS's messages are followed without a signature."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if "HTTP_AUTHORIZATION" not in environ and (
            path.startswith("/SimpleNotificationService-") or query.get("Action", [""])[0] in _LINKS
        ):
            arn = query.get("TopicArn", query.get("SubscriptionArn", ["arn:aws:sns:us-east-1"]))[0]
            return f"sns.{arn.split(':')[3]}.amazonaws.com" if arn.count(":") >= _COLONS else None
        host: str | None = super().infer_service_region_host(environ, path)
        return host


def _own_application(view: Callable[..., Any]) -> Flask:
    application = Flask(__name__)
    application.request_class = BackendRequest
    application.add_url_rule("/", "dispatch", convert_to_flask_response(view), methods=["GET", "POST"])
    application.register_error_handler(Exception, _broken)
    return application


def _backend_application(service: Any) -> Flask:
    application: Flask = create_backend_app(service)
    application.register_error_handler(Exception, _broken)
    application.dispatch_request = _looking_again(application.dispatch_request)  # type: ignore[method-assign]  # moto makes it
    return application


def _looking_again(dispatch: Callable[[], Any]) -> Callable[[], Any]:
    """Look once more where somebody changed what was being looked through.

    moto locks nothing, and stacks that are deployed side by side look and change at once: now and then one of them would fail. Only
    what changes nothing is done again.
    """

    def looking_again() -> Any:
        for _ in range(_MOST_LOOKS - 1):
            try:
                return dispatch()
            except RuntimeError as error:
                if "during iteration" not in str(error) or not _only_looks():
                    raise
        return dispatch()

    return looking_again


def _only_looks() -> bool:
    """Tell whether the request changes nothing, by the name of its operation; where it has none, by its method."""
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.values.get("Action", "")
    return operation.startswith(("Describe", "Get", "List")) if operation else request.method in {"GET", "HEAD"}


def _broken(error: Exception) -> Response | HTTPException:
    """Answer for a back end that broke, in a form that every SDK can read; moto would send a page of HTML."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, NotImplementedError):
        status, code, message = 501, "NotImplemented", str(error) or "the back end does not carry this operation"
    else:
        log.error("%s %s broke", request.method, request.path, exc_info=error)
        status, code, message = 500, "InternalFailure", f"the back end broke: {error!r}"
    if "json" in (request.content_type or ""):
        body, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
    else:
        body, kind = (
            f"<ErrorResponse><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></ErrorResponse>",
            "text/xml",
        )
    return Response(body, status, {"x-amzn-ErrorType": code}, content_type=kind)


class _Body(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, **_options: Any) -> Iterator[bytes]:
        """Give all of it at once."""
        yield self.read()


class InProcess:
    """A botocore hook that answers requests by calling the application, without a socket and a thread for each."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, request: AWSPreparedRequest, **_event: Any) -> AWSResponse:
        """Answer one request of a client."""
        url = str(request.url)
        incoming = Request.from_primitives(str(request.method), url, request.headers, request.body)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], Any]:
            started[:] = [int(status.split(" ", 1)[0]), dict(headers)]
            return lambda _data: None

        body = b"".join(self._application(incoming.environ, start_response))
        status, headers = started
        return AWSResponse(url, status, headers, _Body(body))
