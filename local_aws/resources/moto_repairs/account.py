"""Budgets and Backup: the operations that moto 5.2.5 lacks.

A budget can be made there, but neither changed nor tagged; a vault has neither a policy nor notifications.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.backup import urls as backup_urls
from moto.backup.models import BackupBackend, Vault
from moto.backup.responses import BackupResponse
from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget, BudgetsBackend
from moto.budgets.responses import BudgetsResponse
from moto.core.exceptions import ServiceException
from moto.utilities.tagging_service import TaggingService

from local_aws.resources.moto_repairs.patching import add, around


class VaultPartNotFoundError(ServiceException):
    """A vault has no policy, or no notifications."""

    code = "ResourceNotFoundException"


def update_budget(self: BudgetsResponse) -> str:
    """UpdateBudget."""
    told = self._get_param("NewBudget")
    budgets = self.backend.budgets[self._get_param("AccountId")]
    if told["BudgetName"] not in budgets:
        raise NotFoundException(f"Unable to update budget: {told['BudgetName']} - the budget doesn't exist.")
    changed = Budget(told, [])
    changed.notifications = budgets[told["BudgetName"]].notifications
    budgets[told["BudgetName"]] = changed
    return "{}"


def budget_tag_resource(self: BudgetsResponse) -> str:
    """TagResource."""
    self.backend.tagger.tag_resource(self._get_param("ResourceARN"), self._get_param("ResourceTags"))  # type: ignore[attr-defined]
    return "{}"


def budget_untag_resource(self: BudgetsResponse) -> str:
    """UntagResource."""
    self.backend.tagger.untag_resource_using_names(self._get_param("ResourceARN"), self._get_param("ResourceTagKeys"))  # type: ignore[attr-defined]
    return "{}"


def budget_list_tags_for_resource(self: BudgetsResponse) -> str:
    """ListTagsForResource."""
    tagger: TaggingService = self.backend.tagger  # type: ignore[attr-defined]
    return json.dumps({"ResourceTags": tagger.list_tags_for_resource(self._get_param("ResourceARN"))["Tags"]})


def _vault(response: BackupResponse) -> Vault:
    return response.backup_backend.describe_backup_vault(unquote(response.path.split("/")[-2]))


def _part(response: BackupResponse, attribute: str) -> str:
    vault = _vault(response)
    told = getattr(vault, attribute, None)
    if told is None:
        raise VaultPartNotFoundError(f"{vault.backup_vault_name} has none")
    return json.dumps({"BackupVaultName": vault.backup_vault_name, "BackupVaultArn": vault.backup_vault_arn, **told})


def put_backup_vault_access_policy(self: BackupResponse) -> str:
    """PutBackupVaultAccessPolicy."""
    _vault(self).access_policy = {"Policy": json.loads(self.body)["Policy"]}  # type: ignore[attr-defined]
    return "{}"


def get_backup_vault_access_policy(self: BackupResponse) -> str:
    """GetBackupVaultAccessPolicy."""
    return _part(self, "access_policy")


def delete_backup_vault_access_policy(self: BackupResponse) -> str:
    """DeleteBackupVaultAccessPolicy."""
    _vault(self).access_policy = None  # type: ignore[attr-defined]
    return "{}"


def put_backup_vault_notifications(self: BackupResponse) -> str:
    """PutBackupVaultNotifications."""
    told = json.loads(self.body)
    _vault(self).notifications = {"SNSTopicArn": told["SNSTopicArn"], "BackupVaultEvents": told["BackupVaultEvents"]}  # type: ignore[attr-defined]
    return "{}"


def get_backup_vault_notifications(self: BackupResponse) -> str:
    """GetBackupVaultNotifications."""
    return _part(self, "notifications")


def delete_backup_vault_notifications(self: BackupResponse) -> str:
    """DeleteBackupVaultNotifications."""
    _vault(self).notifications = None  # type: ignore[attr-defined]
    return "{}"


def apply() -> None:
    """Add the operations."""
    add(BudgetsResponse, update_budget)
    for operation in (budget_tag_resource, budget_untag_resource, budget_list_tags_for_resource):
        setattr(BudgetsResponse, operation.__name__.removeprefix("budget_"), operation)
    add(
        BackupResponse,
        put_backup_vault_access_policy,
        get_backup_vault_access_policy,
        delete_backup_vault_access_policy,
        put_backup_vault_notifications,
        get_backup_vault_notifications,
        delete_backup_vault_notifications,
    )
    for part in ("access-policy", "notification-configuration"):
        backup_urls.url_paths[f"{{0}}/backup-vaults/(?P<name>[^/]+)/{part}$"] = BackupResponse.dispatch

    @around(BudgetsBackend, "__init__")
    def with_tags(original: Callable[..., None], backend: BudgetsBackend, *arguments: Any, **named: Any) -> None:
        original(backend, *arguments, **named)
        backend.tagger = TaggingService()  # type: ignore[attr-defined]

    @around(BackupBackend, "delete_backup_vault")
    def delete_backup_vault(original: Callable[..., None], backend: BackupBackend, name: str) -> None:
        vault = backend.vaults.get(name)
        original(backend, name)
        if vault:
            backend.tagger.delete_all_tags_for_resource(vault.backup_vault_arn)
