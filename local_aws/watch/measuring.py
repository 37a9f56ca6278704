"""Where the samples of a region are: with moto's back end of CloudWatch, so that they are saved and reset with it."""

from __future__ import annotations

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from local_aws.watch.samples import Metric, Sample, Samples


def samples_of(backend: CloudWatchBackend) -> Samples:
    """Return the samples of a back end."""
    samples: Samples = backend.__dict__.setdefault("samples", Samples())
    return samples


def measure(account: str, region: str, metric: Metric, sample: Sample) -> None:
    """Keep what was measured in a region."""
    samples_of(cloudwatch_backends[account][region]).add(metric, sample)
