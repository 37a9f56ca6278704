"""The price book: whole, of use to its last row, and honest about its age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from catalog import CatalogError
from catalog.cost import Usage
from fleet.cost.prices import MOST_AGE, load_prices, stale
from tests.unit.fleet.cost.templates import BOOK, Body, alarm, body, cache, machines, report, service, task

SUBNETS = ["a", "b"]


def everything() -> dict[str, Body]:
    """Return a template that has something of each kind."""
    return {
        "Cluster": body("AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enhanced"}]),
        "Task": task(EphemeralStorage={"SizeInGiB": 30}),
        "Service": service(),
        "Disk": body("AWS::EC2::Volume", Size=9, VolumeType="gp3", Iops=4000, Throughput=200, AvailabilityZone="a"),
        "OtherDisk": body("AWS::EC2::Volume", Size=9, VolumeType="gp3", AvailabilityZone="b"),
        "Snapshots": cache(SnapshotRetentionLimit=3),
        "Endpoint": body("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=SUBNETS),
        "Address": body("AWS::EC2::EIP"),
        "Balancer": body("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=SUBNETS),
        "Zone": body("AWS::Route53::HostedZone"),
        "Alarm": alarm(),
        "Fast": alarm(Namespace="AWS/ECS", MetricName="M", Period=10),
        "Dashboard": body("AWS::CloudWatch::Dashboard", DashboardBody='{"widgets": []}'),
        "Logs": body("AWS::Logs::LogGroup", RetentionInDays=30),
        "Key": body("AWS::KMS::Key"),
        "Secret": body("AWS::SecretsManager::Secret"),
        "Bucket": body("AWS::S3::Bucket"),
        "Repository": body("AWS::ECR::Repository"),
        "Function": body("AWS::Lambda::Function", Architectures=["arm64"]),
    }


def each_kind() -> Iterator[dict[str, Body]]:
    """Yield templates with everything that has no place beside the rest, and with every size that has a price."""
    yield everything()
    yield {"Task": task(architecture="X86_64"), "Service": service(), "Function": body("AWS::Lambda::Function")}
    yield {"Logs": body("AWS::Logs::LogGroup", LogGroupClass="INFREQUENT_ACCESS"), "Nat": body("AWS::EC2::NatGateway")}
    yield machines("t4g.nano", 1, Monitoring={"Enabled": True})
    for key in BOOK:
        family, _, size = key.partition(".")
        if family == "ec2":
            yield machines(size)
        elif family == "cache" and key != "cache.snapshot":
            engine, _, node = size.partition(".")
            yield {"Cache": cache(f"cache.{node}", engine)}


def test_every_price_that_is_asked_for_is_there_and_every_price_that_is_there_is_asked_for() -> None:
    reports = [report(bodies, usage=Usage()) for bodies in each_kind()]

    assert [gap for found in reports for gap in found.gaps] == []
    assert {key for found in reports for key in found.prices} == set(BOOK)


def test_every_price_has_a_source_in_words_and_a_day_that_has_been() -> None:
    assert all(price.source and price.region == "us-east-1" for price in BOOK.values())
    assert max(price.as_of for price in BOOK.values()) <= date(2026, 11, 26)


def test_valkey_is_a_fifth_less_than_redis_and_marked_as_unchecked() -> None:
    for key, price in BOOK.items():
        if key.startswith("cache.valkey."):
            assert price.usd == pytest.approx(0.8 * BOOK[key.replace("valkey", "redis")].usd)
            assert price.confidence == "unchecked"
    assert report({"A": cache(engine="valkey")}).lines[0].doubt == "unchecked price"
    assert report({"A": cache(engine="redis")}).lines[0].doubt == ""


@pytest.mark.parametrize(("days", "is_stale"), [(0, False), (180, False), (181, True)])
def test_a_price_is_stale_after_180_days(days: int, *, is_stale: bool) -> None:
    price = BOOK["ec2.m7g.medium"]
    assert timedelta(days=180) == MOST_AGE
    assert stale({price.key: price}, price.as_of + timedelta(days=days)) == ([price] if is_stale else [])


def test_only_prices_that_the_report_stands_on_are_told_as_stale() -> None:
    assert [price.key for price in report({"A": body("AWS::KMS::Key")}).stale] == ["key"]


def book(tmp_path: Path, rows: str, region: str = "eu-west-1") -> Path:
    file = tmp_path / "prices.yaml"
    file.write_text(f"region: {region}\nsources:\n  invoice: ours\nprices:\n{rows}", encoding="utf-8")
    return file


def test_a_book_of_ones_own_takes_the_place_of_ours_price_by_price(tmp_path: Path) -> None:
    own = load_prices(
        book(tmp_path, "  key: { usd: 2, unit: key-month, source: invoice, as_of: 2026-11-01, confidence: checked }\n")
    )

    found = report({"A": body("AWS::KMS::Key"), "B": body("AWS::SecretsManager::Secret")}, book=BOOK.replaced_by(own))

    assert found.base_usd == pytest.approx(2.40)
    assert [price.key for price in found.foreign] == ["key"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{ usd: 2, unit: u, source: bill, as_of: 2026-11-01, confidence: checked }", "prices.yaml:5:35: prices.key.source: 'bill' is no key of `sources`"),
        ("{ usd: 0, unit: u, source: invoice, as_of: 2026-11-01, confidence: checked }", "prices.yaml:5:15: prices.key.usd: "),
        ("{ usd: 2, unit: u, source: invoice, as_of: today, confidence: checked }", "prices.yaml:5:51: prices.key.as_of: 'today' is no day"),
        ("{ usd: 2, unit: u, source: invoice, as_of: 2026-11-01, confidence: sure }", "prices.key.confidence: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_book_is_told_with_its_place(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_prices(book(tmp_path, f"  key: {row}\n"))

    assert told in str(caught.value)
