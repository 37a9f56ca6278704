"""Read a request from a YAML or JSON file; a fault is told with the line and column that it stands at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tls.errors import InputError, RequestError
from tls.request import CertificateRequest
from tls.request_faults import Fault, faults_of


def read_request(path: Path) -> CertificateRequest:
    """Read and check the request in a file.

    Raises:
        InputError: The file cannot be read, or is no YAML.
        RequestError: It has faults; the error tells all of them, in the order of the file.
    """
    plain = read_plain(path)
    if faults := faults_of(plain):
        placed = sorted(((_position(plain, fault), fault) for fault in faults), key=lambda entry: entry[0])
        findings = [f"{path}:{line}:{column}: {fault}" for (line, column), fault in placed]
        raise RequestError(f"{path} has faults", findings)
    return CertificateRequest.from_plain(plain, where=str(path))


def read_plain(path: Path) -> Any:
    """Read a YAML or JSON file, which keeps its positions.

    Raises:
        InputError: The file cannot be read, or is no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}") from error
    # JSON is YAML but for tabs between its values; within its strings there are none.
    text = text.replace("\t", " ") if path.suffix == ".json" else text
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(f"{place}: {error.problem or 'is no YAML'}") from error
    except (YAMLError, ValueError) as error:
        raise InputError(f"{path} is no YAML") from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unknown") if isinstance(error, OSError) else "it is not UTF-8"


def _position(plain: Any, fault: Fault) -> tuple[int, int]:
    """Return line and column of the value at fault, or of the nearest one around it that is there."""
    place = (0, 0)
    here = plain
    for part in fault.path:
        if isinstance(here, Mapping) and part in here:
            place = here.lc.value(part)  # type: ignore[attr-defined]
        elif isinstance(here, Mapping) and not isinstance(part, int):
            break
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            place = here.lc.item(part)  # type: ignore[attr-defined]
        else:
            break
        here = here[part]
    return place[0] + 1, place[1] + 1
