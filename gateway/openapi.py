"""The OpenAPI document: made of the routes, the contract and the messages, so that it cannot differ from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.problems import CONTENT_TYPE, KINDS
from gateway.routes import Route, Routes
from gateway.schemas import Schema, Schemas
from sdk import Endpoint

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_BEARER, _API_KEY = "bearer", "apiKey"
# Of each route, whatever it does.
_ALWAYS = (400, 406, 429, 500, 503)
_OF_A_SERVICE = (404, 409, 422, 501, 502, 504)
_HEADERS = {
    "X-Request-Id": {
        "description": "Names the request in the logs: the caller's own, or one that was made.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer"}},
}


def document(routes: Routes, *, version: str, owner_fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the document.

    Args:
        routes: What there is.
        version: Of the gateway.
        owner_fields: Role to the field of requests that names the caller itself, and may be left out by it.
    """
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes.all, key=lambda each: (each.path, each.method)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, owner_fields or {})
    schemas.components["Problem"] = _problem()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gaming system",
            "version": version,
            "description": "JSON is protobuf's JSON mapping: names in camelCase, 64-bit numbers as text, times by RFC 3339. "
            "Unknown fields are refused.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({_tag(route) for route in routes.all})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {str(status): _refusal(status) for status in sorted({kind.status for kind in KINDS.values()})},
            "securitySchemes": {
                _BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A JWT, or an access token of `/v1/auth/tokens`.",
                },
                _API_KEY: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Api-Key",
                    "description": "The key of a program.",
                },
            },
        },
    }


def _operation(route: Route, schemas: Schemas, owner_fields: Mapping[str, str]) -> dict[str, Any]:
    roles = sorted(route.allow)
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "security": [] if route.is_open else [{_BEARER: roles}, {_API_KEY: roles}],
    }
    statuses = {*_ALWAYS, 401, 403}  # of an open route's service, too: a password may be wrong
    if route.endpoint is not None:
        may_leave_out = {owner_fields[role] for role in roles if role in owner_fields}
        statuses |= {*_OF_A_SERVICE, 413}
        operation |= _of_endpoint(route, route.endpoint, schemas, may_leave_out)
        if route.method in _BODY_METHODS:
            statuses |= {408, 415}
        content: Schema = {"application/json": {"schema": schemas.reference(_descriptor(route.endpoint.reply_type()))}}
        told = schemas.components[_name_of(content)].get("description", "")
    else:
        assert route.events is not None  # noqa: S101  # a route has one of both
        event = schemas.reference(_descriptor(route.events.message_type()))
        operation |= {
            "summary": "Hear events as they come.",
            "description": f"Server-Sent Events; the data of each is one {_short(event['$ref'])} as JSON. `Last-Event-ID` gives "
            "again what came since, as far as it is remembered; an event `gap` says that some may have been missed. The stream ends "
            "with an event `end` (connect again) or `slow` (the caller takes events slower than they come).",
            "parameters": [
                {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "The last event that was heard.",
                    "schema": {"type": "string"},
                }
            ],
            "x-event": event,
        }
        content, told = {"text/event-stream": {"schema": {"type": "string"}}}, "The stream."
    operation["responses"] = {
        "200": {"description": told or "The answer.", "headers": _headers("X-Request-Id"), "content": content},
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)},
    }
    return operation


def _of_endpoint(route: Route, endpoint: Endpoint, schemas: Schemas, may_leave_out: set[str]) -> dict[str, Any]:
    """Return what an operation takes: fields in the path, and the others in the body or in the query."""
    request = _descriptor(endpoint.request_type())
    parts: dict[str, Any] = {}
    if text := schemas.message(request).get("description"):
        parts["summary"] = text
    parameters = [
        _parameter(schemas, request.fields_by_name[name], "path", is_required=True) for name in route.parameters
    ]
    rest = [field for field in request.fields if field.name not in route.parameters]
    required = [f for f in rest if schemas.is_required(f) and f.name not in may_leave_out and not f.is_repeated]
    if route.method in _BODY_METHODS:
        body = schemas.message(request, without=route.parameters)
        body.pop("description", None)
        if required:
            body["required"] = [field.json_name for field in required]
        parts["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": body}}}
    else:
        parameters += [_parameter(schemas, field, "query", is_required=field in required) for field in rest]
    if parameters:
        parts["parameters"] = parameters
    return parts


def _parameter(schemas: Schemas, field: FieldDescriptor, place: str, *, is_required: bool) -> dict[str, Any]:
    schema = schemas.field(field)
    description = schema.pop("description", "")
    if place == "path":
        schema["minLength"] = 1
    name = field.name if place == "path" else field.json_name
    parameter = {"name": name, "in": place, "required": is_required, "schema": schema}
    return {**parameter, "description": description} if description else parameter


def _refusal(status: int) -> dict[str, Any]:
    titles = [kind.title for kind in KINDS.values() if kind.status == status]
    retries = ("Retry-After",) if status in {429, 503} else ()
    return {
        "description": " Or: ".join(titles),
        "headers": _headers("X-Request-Id", *retries),
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: _HEADERS[name] for name in names}


def _problem() -> Schema:
    field = {"type": "object", "properties": {"field": {"type": "string"}, "description": {"type": "string"}}}
    return {
        "type": "object",
        "description": "Why a request was not answered as asked, by RFC 9457.",
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "enum": [f"/docs#problem-{name}" for name in KINDS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "description": "Fields that are at fault, by their paths.", "items": field},
            "requestId": {"type": "string", "description": "To be given to whoever is asked for help."},
            "traceId": {"type": "string"},
        },
        "required": ["type", "title", "status", "requestId", "traceId"],
    }


def _operation_id(route: Route) -> str:
    if route.endpoint is not None:
        return route.endpoint.subject.replace(".", "_").replace("-", "_")
    return f"hear{route.path.replace('/', '_')}"


def _tag(route: Route) -> str:
    """Return the part of a path that says what it is about: of `/v1/world/regions` it is `world`."""
    parts = [part for part in route.path.split("/") if part and "{" not in part]
    return parts[1] if len(parts) > 1 else parts[0]


def _descriptor(kind: Any) -> Descriptor:
    return cast("Descriptor", kind.DESCRIPTOR)


def _short(reference: str) -> str:
    return reference.rpartition("/")[2].rpartition(".")[2]


def _name_of(content: Schema) -> str:
    reference: str = content["application/json"]["schema"]["$ref"]
    return reference.rpartition("/")[2]
