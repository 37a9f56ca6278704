"""One service of the catalog: every key that an entry may have, with what it means.

The field descriptions are the reference of the catalog: the JSON Schema and `fleet catalog show` are made of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from catalog.model import Model
from catalog.nats_contract import EventSubject, NatsContract, SubjectName

Architecture = Literal["arm64", "x86_64"]
HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=30)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=128)]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
# What ECS, IAM and CloudWatch all take in a tag; the rules refuse what AWS and the platform keep for themselves.
TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _.:/=+@-]+$", max_length=128)]
TagValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 _.:/=+@-]*$", max_length=256)]


class Image(Model):
    """Where a service's container image comes from."""

    repository: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$", max_length=200)] | None = (
        None
    )
    """Repository of ours in this environment; the service's own where the key is missing."""
    tag: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] | None = None
    """Tag of the image; tags are immutable. Give a tag or a digest."""
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Digest of the image. Give a tag or a digest."""


class Autoscaling(Model):
    """How the number of tasks follows the load; with it, a deployment leaves the number alone."""

    min: Annotated[int, Field(ge=2, le=100)] = 2
    """Fewest tasks, 2 or more: the task-count alarm watches for fewer."""
    max: Annotated[int, Field(ge=2, le=100)]
    """Most tasks."""
    target_cpu_percent: Annotated[int, Field(ge=10, le=90)] = 60
    """Average CPU utilisation that the number of tasks is steered to."""


class Secret(Model):
    """A value from Secrets Manager that the container gets as an environment variable."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]+$", max_length=256)] | None = None
    """Name of a secret that exists already; where the key is missing, the service's stack makes one with a random value."""
    field: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] | None = None
    """Key inside a JSON secret; the whole value where the key is missing."""


class HealthCheck(Model):
    """How ECS asks the container whether it is well, on port 8080."""

    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9/_.-]*$", max_length=128)] = "/health"
    """Path that is asked."""
    interval_seconds: Annotated[int, Field(ge=5, le=300)] = 30
    """Time between two checks."""
    timeout_seconds: Annotated[int, Field(ge=2, le=60)] = 5
    """Time after which a check counts as failed; less than the interval."""
    retries: Annotated[int, Field(ge=1, le=10)] = 3
    """Failed checks in a row after which the task is replaced."""
    start_period_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    """Time after the start in which failures do not count."""
    nats_outage_tolerance_seconds: Annotated[int, Field(ge=60, le=3600)] = 180
    """How long NATS may be out of reach before the service calls itself unhealthy; longer than a roll of one NATS node."""


class UtilisationAlarm(Model):
    """When a utilisation counts as too high."""

    max_percent: Annotated[int, Field(ge=1, le=100)] = 80
    """The alarm goes off above this average utilisation."""
    period_seconds: Literal[60, 120, 300, 600, 900, 3600] = 60
    """Length of one datapoint."""
    evaluation_periods: Annotated[int, Field(ge=1, le=60)] = 5
    """How many datapoints are looked at."""
    datapoints_to_alarm: Annotated[int, Field(ge=1, le=60)] = 3
    """How many of them must be too high; not more than are looked at."""


class TaskCountAlarm(Model):
    """When too few tasks run. The period is one minute: the free metric that stands in for the count allows no other."""

    min_running: Annotated[int, Field(ge=1, le=100)] = 2
    """The alarm goes off below this number of running tasks."""
    evaluation_periods: Annotated[int, Field(ge=1, le=60)] = 3
    """How many minutes are looked at."""
    datapoints_to_alarm: Annotated[int, Field(ge=1, le=60)] = 3
    """In how many of them too few tasks ran; not more than are looked at."""


class Alarms(Model):
    """The three alarms of a service."""

    cpu: UtilisationAlarm = UtilisationAlarm()
    """CPU utilisation too high."""
    memory: UtilisationAlarm = UtilisationAlarm()
    """Memory utilisation too high."""
    tasks: TaskCountAlarm = TaskCountAlarm()
    """Too few running tasks."""


class Route(Model):
    """An HTTP route of the gateway: to one of the service's subjects, or a stream of its events as they come."""

    method: HttpMethod
    """HTTP method."""
    path: Annotated[str, StringConstraints(pattern=r"^(/([a-z0-9_.-]+|\{[a-z][a-z0-9_]*\}))+$", max_length=200)]
    """Path; `{name}` stands for a field of the request message."""
    subject: SubjectName | None = None
    """Subject, served by this entry, that answers."""
    events: EventSubject | None = None
    """In place of a subject: events, told by this entry, that the caller hears as Server-Sent Events."""
    allow: Annotated[list[Role], Field(min_length=1)]
    """Roles of a caller that may use the route; `anonymous` lets everyone."""


class Service(Model):
    """One service: an entry of the catalog with the defaults filled in."""

    name: ServiceName
    """The entry's key: ECS service, certificate, NATS user and beginning of the alarms' names."""
    group: GroupName
    """Group that the service belongs to."""
    stack: Annotated[int, Field(ge=1, le=99)] = 1
    """Which of the group's stacks holds the service; a stack has room for 40. Changing it creates the service anew."""
    enabled: bool = True
    """Whether the service is deployed. A disabled one keeps its entry and its image repository and nothing else."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """Why the service is disabled; required then."""
    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What the service does, in one line; it stands in the alarms that wake somebody up."""
    owner: Annotated[TagValue, StringConstraints(min_length=1, max_length=64)]
    """Team that is called when an alarm goes off."""
    image: Image
    """Container image."""
    command: Annotated[list[str], Field(min_length=1)] | None = None
    """Command of the container, in exec form; the image's own where the key is missing."""
    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16384] = 256
    """CPU units of a task; 1024 are one vCPU."""
    memory: Annotated[int, Field(ge=512, le=122880)] = 512
    """Memory of a task in MiB; Fargate offers certain values for each `cpu`."""
    architecture: Architecture = "arm64"
    """Processor of the task; arm64 is a fifth cheaper."""
    replicas: Annotated[int, Field(ge=2, le=100)] = 2
    """Number of tasks, where no autoscaling steers it."""
    spot_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share of the tasks on Spot capacity, in environments that allow Spot."""
    autoscaling: Autoscaling | None = None
    """How the number of tasks follows the load; fixed where the key is missing."""
    environment: dict[VariableName, str] = {}
    """Environment variables of the container; nothing secret."""
    secrets: dict[VariableName, Secret] = {}
    """Environment variables whose values come from Secrets Manager."""
    health_check: HealthCheck = HealthCheck()
    """How ECS finds a sick task."""
    alarms: Alarms = Alarms()
    """Thresholds and periods of the three alarms."""
    nats: NatsContract = NatsContract()
    """Subjects that the service answers, asks, tells and hears, and what JetStream keeps for it."""
    cache: bool = False
    """Whether the service uses the cache: it gets a user, a secret and the way there."""
    routes: list[Route] = []
    """HTTP routes by which the gateway lets callers in to the service's subjects."""
    tags: dict[TagKey, TagValue] = {}
    """Tags of the service's resources, besides those that every resource has."""

    @property
    def min_tasks(self) -> int:
        """The number of tasks that a healthy service never falls below."""
        return self.autoscaling.min if self.autoscaling else self.replicas
