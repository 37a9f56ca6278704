"""Inputs that belong to an account, such as addresses and certificates: kept in SSM, read anew at each deployment."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from catalog import names


def pascal_case(name: str) -> str:
    """Return a construct id such as `AlertsEmail` for a name such as `alerts/email`."""
    return "".join(word.capitalize() for part in name.split("/") for word in part.split("-"))


def account_input(scope: Construct, environment: str, parameter: str) -> str:
    """Return the value of an SSM parameter, as a parameter of the stack that CloudFormation resolves.

    A stack that asks twice gets one parameter.
    """
    stack = cdk.Stack.of(scope)
    construct_id = f"{pascal_case(parameter)}Input"
    existing = stack.node.try_find_child(construct_id)
    if isinstance(existing, cdk.CfnParameter):
        return existing.value_as_string
    return cdk.CfnParameter(
        stack,
        construct_id,
        type="AWS::SSM::Parameter::Value<String>",
        default=names.parameter(environment, parameter),
        description=f"SSM parameter with the {parameter.replace('/', ' ')} of this account",
    ).value_as_string
