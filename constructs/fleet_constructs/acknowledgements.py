"""Findings of cdk-nag that are accepted, each with its reason.

cdk-nag 3 takes an acknowledgement of a wildcard only by the wildcard's full name, as it writes it in its report.
"""

from __future__ import annotations

import aws_cdk as cdk

from fleet_constructs.arns import account, partition


def wildcard(resource: str, reason: str) -> cdk.Acknowledgment:
    """Accept a resource with a wildcard in a policy.

    Args:
        resource: the resource as the policy has it.
        reason: why nothing narrower can stand there.
    """
    return _finding(f"AwsSolutions-IAM5[Resource::{resource}]", reason)


def managed_policy(policy_name: str, reason: str) -> cdk.Acknowledgment:
    """Accept one of AWS's own policies on a role."""
    return _finding(f"AwsSolutions-IAM4[Policy::arn:{partition()}:iam::aws:policy/{policy_name}]", reason)


def _finding(name: str, reason: str) -> cdk.Acknowledgment:
    written = name.replace(partition(), "<AWS::Partition>").replace(account(), "<AWS::AccountId>")
    return cdk.Acknowledgment(id=written, reason=reason)
