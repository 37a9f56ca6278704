"""What an account has of budgets and backups."""

from __future__ import annotations

from local_aws.resources.calls import call
from local_aws.resources.table import Name, Put, Row
from local_aws.resources.tagging import Tagging

_BUDGET_ARN = "join('', ['arn:aws:budgets::', account, ':budget/', id])"

ROWS = (
    Row(
        type_name="AWS::Budgets::Budget",
        service="budgets",
        name=Name("BudgetName", 100),
        make=call("create_budget", AccountId="account", Budget="merge({BudgetName: BudgetName}, Budget)"),
        id="Budget.BudgetName || BudgetName",
        attributes={"Id": "id"},
        change=call("update_budget", AccountId="account", NewBudget="merge({BudgetName: id}, Budget)"),
        tags=Tagging(
            call("tag_resource", ResourceARN=_BUDGET_ARN),
            "ResourceTags",
            call("untag_resource", ResourceARN=_BUDGET_ARN),
            "ResourceTagKeys",
            property="ResourceTags",
        ),
        remove=call("delete_budget", AccountId="account", BudgetName="id"),
    ),
    Row(
        type_name="AWS::Backup::BackupVault",
        service="backup",
        make=call("create_backup_vault"),
        id="BackupVaultName",
        attributes={"BackupVaultArn": "BackupVaultArn", "BackupVaultName": "id"},
        steps=(
            Put(
                call("put_backup_vault_access_policy", BackupVaultName="id", Policy="AccessPolicy"),
                unset=call("delete_backup_vault_access_policy", BackupVaultName="id"),
            ),
            Put(
                call(
                    "put_backup_vault_notifications",
                    BackupVaultName="id",
                    SNSTopicArn="Notifications.SNSTopicArn",
                    BackupVaultEvents="Notifications.BackupVaultEvents",
                ),
                unset=call("delete_backup_vault_notifications", BackupVaultName="id"),
            ),
            Put(
                call(
                    "put_backup_vault_lock_configuration",
                    BackupVaultName="id",
                    MinRetentionDays="LockConfiguration.MinRetentionDays",
                    MaxRetentionDays="LockConfiguration.MaxRetentionDays",
                    ChangeableForDays="LockConfiguration.ChangeableForDays",
                ),
                unset=call("delete_backup_vault_lock_configuration", BackupVaultName="id"),
            ),
        ),
        tags=Tagging(
            call("tag_resource", ResourceArn="BackupVaultArn"),
            "Tags",
            call("untag_resource", ResourceArn="BackupVaultArn"),
            "TagKeyList",
            property="BackupVaultTags",
        ),
        remove=call("delete_backup_vault", BackupVaultName="id"),
    ),
)
