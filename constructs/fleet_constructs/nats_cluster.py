"""The machines of the NATS cluster: three slots, each with a name, an address and a disk that outlive its machine."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53 as route53
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.acknowledgements import managed_policy, wildcard
from fleet_constructs.arns import arn
from fleet_constructs.certificate_access import read_certificates
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.nats_bucket import machine_statements
from fleet_constructs.nats_logs import write_statement
from fleet_constructs.nats_scripts import boot
from fleet_constructs.retention import Retention
from nats_platform.commander import ENVIRONMENT_TAG, SLOT_TAG

PROVISIONER = "provisioner"
ROOT_VOLUME_GIB = 8
RECORD_TTL_SECONDS = 60
SESSION_MANAGER_POLICY = "AmazonSSMManagedInstanceCore"


class NatsCluster(Construct):
    """Three slots spread over the zones.

    A slot's machine is an Auto Scaling group of one, so that a dead one is replaced; name, address and disk stay.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        environment: Environment,
        network: FleetNetwork,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._network = network
        self._retention = retention
        self._zone = route53.PrivateHostedZone(self, "Zone", zone_name=names.NATS_DOMAIN, vpc=network.vpc)
        self.machines: list[autoscaling.AutoScalingGroup] = []
        self.template_versions: list[str] = []
        self.key = kms.Key(
            self,
            "Key",
            description=f"Disks, bucket and logs of NATS {environment.name}",
            alias=f"alias/{names.PLATFORM}-{environment.name}-nats",
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        subnets = network.vpc.select_subnets(subnet_group_name="private").subnets
        for index, node in enumerate(names.NATS_NODES):
            self._slot(node, subnets[index % len(subnets)])

    def _slot(self, node: str, subnet: ec2.ISubnet) -> None:
        slot = Construct(self, pascal_case(node))
        address = ec2.CfnNetworkInterface(
            slot,
            "Address",
            subnet_id=subnet.subnet_id,
            description=f"Address of {node}",
            group_set=[self._network.security_groups.nats_node.security_group_id],
            tags=[cdk.CfnTag(key=SLOT_TAG, value=node)],
        )
        route53.ARecord(
            slot,
            "Record",
            zone=self._zone,
            record_name=node,
            target=route53.RecordTarget.from_ip_addresses(address.attr_primary_private_ip_address),
            ttl=cdk.Duration.seconds(RECORD_TTL_SECONDS),
        )
        nats = self._environment.nats
        disk = ec2.Volume(
            slot,
            "Data",
            availability_zone=subnet.availability_zone,
            size=cdk.Size.gibibytes(nats.volume_gib),
            volume_type=ec2.EbsDeviceVolumeType.GP3,
            iops=nats.volume_iops,
            throughput=nats.volume_throughput_mib,
            encrypted=True,
            encryption_key=self.key,
            removal_policy=self._retention.removal_policy,
        )
        cdk.Tags.of(disk).add(SLOT_TAG, node)
        cdk.Validations.of(disk).acknowledge(
            cdk.Acknowledgment(
                id="CloudFormation-Validate::W3010",
                reason="a disk lives in one zone; the environment's file says in which",
            )
        )
        role = self._role(slot, node, address, disk)
        template = ec2.LaunchTemplate(
            slot,
            "Template",
            instance_type=ec2.InstanceType(nats.instance_type),
            machine_image=ec2.MachineImage.generic_linux({self._environment.region: nats.ami_id}),
            role=role,
            security_group=self._network.security_groups.nats_node,
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            detailed_monitoring=True,
            user_data=self._take_slot(node, address, disk),
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        ROOT_VOLUME_GIB, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3
                    ),
                )
            ],
        )
        # On the machine itself: who delivers to the nodes finds them by these, and may deliver to nothing else.
        cdk.Tags.of(template).add(SLOT_TAG, node)
        cdk.Tags.of(template).add(ENVIRONMENT_TAG, self._environment.name)
        group = autoscaling.AutoScalingGroup(
            slot,
            "Machine",
            vpc=self._network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=[subnet]),
            launch_template=template,
            min_capacity=1,
            max_capacity=1,
        )
        for tag, value in ((SLOT_TAG, node), (ENVIRONMENT_TAG, self._environment.name)):
            cdk.Tags.of(group).add(tag, value)
        self.machines.append(group)
        self.template_versions.append(template.latest_version_number)
        cdk.Validations.of(slot).acknowledge(
            cdk.Acknowledgment(id="AwsSolutions-AS3", reason="a replaced machine is told of by the node's own alarm")
        )

    def _take_slot(self, node: str, address: ec2.CfnNetworkInterface, disk: ec2.Volume) -> ec2.UserData:
        user_data = ec2.UserData.for_linux()
        user_data.add_commands(*boot(self._environment, node, address_id=address.ref, disk_id=disk.volume_id))
        return user_data

    def _role(self, slot: Construct, node: str, address: ec2.CfnNetworkInterface, disk: ec2.Volume) -> iam.Role:
        """Make the role of a machine: its slot's address and disk, its own certificates and configuration, backups, logs."""
        instances = arn("ec2", self._environment, "instance/*")
        own_slot = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    sid="TakeAddressAndDisk",
                    actions=["ec2:AttachNetworkInterface", "ec2:AttachVolume"],
                    resources=[
                        arn("ec2", self._environment, f"network-interface/{address.ref}"),
                        arn("ec2", self._environment, f"volume/{disk.volume_id}"),
                    ],
                ),
                # Its Auto Scaling group tags each machine from its start on; without this, a machine could give its disk away.
                iam.PolicyStatement(
                    sid="ToMachinesOfThisSlot",
                    actions=["ec2:AttachNetworkInterface", "ec2:AttachVolume"],
                    resources=[instances],
                    conditions={
                        "StringEquals": {
                            f"ec2:ResourceTag/{SLOT_TAG}": node,
                            f"ec2:ResourceTag/{ENVIRONMENT_TAG}": self._environment.name,
                        }
                    },
                ),
                # An encrypted disk is attached by a grant that EC2 gets of its key.
                iam.PolicyStatement(
                    sid="OpenDisk",
                    actions=["kms:CreateGrant"],
                    resources=[self.key.key_arn],
                    conditions={
                        "Bool": {"kms:GrantIsForAWSResource": "true"},
                        "StringEquals": {"kms:ViaService": f"ec2.{self._environment.region}.amazonaws.com"},
                    },
                ),
                # AWS's own policy for Session Manager lets a machine read every parameter of the account.
                iam.PolicyStatement(
                    sid="ReadNoParameters",
                    effect=iam.Effect.DENY,
                    actions=["ssm:GetParameter", "ssm:GetParameters"],
                    resources=["*"],
                ),
                iam.PolicyStatement(
                    sid="FindThem", actions=["ec2:DescribeNetworkInterfaces", "ec2:DescribeVolumes"], resources=["*"]
                ),
            ]
        )
        # Each node makes streams and backups, under an identity that may do nothing else.
        certificates = read_certificates(
            self._environment, *names.node_certificate_prefixes(node), names.certificate_prefix(PROVISIONER)
        )
        bucket = machine_statements(self._environment, node, self.key.key_arn)
        logs = write_statement(self._environment)
        role = iam.Role(
            slot,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description=f"Machine of {node}",
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(SESSION_MANAGER_POLICY)],
            inline_policies={
                "OwnSlot": own_slot,
                "ReadCertificates": certificates.policy,
                "Work": iam.PolicyDocument(statements=[*bucket, logs]),
            },
        )
        cdk.Validations.of(role).acknowledge(
            managed_policy(SESSION_MANAGER_POLICY, "what Session Manager needs is AWS's to say and to keep up to date"),
            wildcard("*", "what describes addresses and disks knows no resource"),
            wildcard(instances, "which machine takes the slot its tags say, in the policy's condition"),
            *certificates.acknowledgements,
            *(
                wildcard(
                    resource, "versions, checksums and times in the names of objects and streams are not known before"
                )
                for statement in (*bucket, logs)
                for resource in statement.resources
                if resource.endswith("*")
            ),
        )
        return role
