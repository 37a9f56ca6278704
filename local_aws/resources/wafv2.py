"""WAF: web access lists and what they stand before."""

from __future__ import annotations

from local_aws.resources.calls import Task, call
from local_aws.resources.table import Name, Row, do
from local_aws.resources.tagging import Tagging

_CHANGEABLE = (
    "AssociationConfig",
    "CaptchaConfig",
    "ChallengeConfig",
    "CustomResponseBodies",
    "DataProtectionConfig",
    "DefaultAction",
    "Description",
    "OnSourceDDoSProtectionConfig",
    "Rules",
    "TokenDomains",
    "VisibilityConfig",
)
_KNOWN_AS = {"Name": "Name", "Scope": "Scope", "Id": "Id"}


def _lock(task: Task) -> str:
    return str(task.perform(call("get_web_acl", **_KNOWN_AS))["LockToken"])


def _change(task: Task) -> None:
    """WAF takes the whole list, with proof that one has seen its present state."""
    whole = {name: task.new[name] for name in _CHANGEABLE if name in task.new}
    task.perform(call("update_web_acl", **_KNOWN_AS), LockToken=_lock(task), Rules=whole.pop("Rules", []), **whole)


def _remove(task: Task) -> None:
    task.perform(call("delete_web_acl", **_KNOWN_AS), LockToken=_lock(task))


ROWS = (
    Row(
        type_name="AWS::WAFv2::WebACL",
        service="wafv2",
        name=Name("Name", 128),
        make=call("create_web_acl"),
        id="join('|', [Summary.Name, Summary.Id, Scope])",
        attributes={
            "Arn": "Summary.ARN || Arn",
            "Id": "Summary.Id || Id",
            "Name": "Summary.Name || Name",
            "Capacity": "Capacity || `0`",
            "LabelNamespace": "join(':', ['awswaf', account, 'webacl', Summary.Name || Name, ''])",
        },
        changes=(do(_change, *_CHANGEABLE),),
        tags=Tagging(
            call("tag_resource", ResourceARN="Arn"), "Tags", call("untag_resource", ResourceARN="Arn"), "TagKeys"
        ),
        before_remove=_remove,
    ),
    Row(
        type_name="AWS::WAFv2::WebACLAssociation",
        service="wafv2",
        make=call("associate_web_acl"),
        id="join('|', [WebACLArn, ResourceArn])",
        remove=call("disassociate_web_acl", ResourceArn="ResourceArn"),
    ),
)
