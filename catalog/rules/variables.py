"""Environment variables and tags: none of the platform's own, and none twice."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from catalog import names
from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.environment import Environment
from catalog.faults import KeyPath, listed, shown

# AWS allows 50 on a resource; the platform and the environment put theirs beside a service's.
MAX_SERVICE_TAGS = 30
MAX_ENVIRONMENT_TAGS = 10


def check(draft: Draft[Catalog]) -> None:
    """Note faults of variables and tags."""
    for service in draft.model.services.values():
        path = ("services", service.name)
        for section in ("environment", "secrets"):
            for variable in getattr(service, section):
                _check_variable(draft, (*path, section, variable), variable)
        for variable in sorted(service.environment.keys() & service.secrets.keys()):
            told = "is set in `environment` too; a variable has one value"
            draft.report_key((*path, "secrets", variable), told)
        check_tags(draft, (*path, "tags"), service.tags, MAX_SERVICE_TAGS)


def _check_variable(draft: Draft[Catalog], path: KeyPath, variable: str) -> None:
    for reserved in names.PLATFORM_VARIABLES:
        if fnmatchcase(variable, reserved):
            what = "variables that begin with 'AWS_'" if reserved.endswith("*") else "this variable"
            draft.report_key(path, f"the platform sets {what} itself; take another name")


def check_tags(draft: Draft[Catalog] | Draft[Environment], path: KeyPath, tags: Mapping[str, str], most: int) -> None:
    """Note faults of tags, which IAM tells apart without regard to capitals."""
    if len(tags) > most:
        draft.report(path, f"{len(tags)} tags are given; at most {most} are allowed")
    first: dict[str, str] = {}
    for tag in tags:
        other = first.setdefault(tag.lower(), tag)
        if tag.lower().startswith("aws:"):
            draft.report_key((*path, tag), "tags that begin with 'aws:' belong to AWS; take another name")
        elif tag.lower() in names.PLATFORM_TAGS:
            told = f"the platform sets this tag itself, like {listed(names.PLATFORM_TAGS, 'and')}; take another name"
            draft.report_key((*path, tag), told)
        elif other != tag:
            draft.report_key(
                (*path, tag), f"differs from {shown(other)} in its capitals alone, which IAM takes for the same"
            )
