#!/bin/bash
# Gives a machine its slot: the address and the disk that outlive it. Runs at the first boot; a second run changes nothing.
#
# Takes NODE, REGION, ADDRESS_ID and DISK_ID from the environment. Every wait has an end: a machine that cannot get its slot
# stops here, and its server, which needs the disk, never starts.
set -euo pipefail

METADATA="${METADATA:-http://169.254.169.254/latest}"
# What EC2 wants to hear when it attaches a disk; the machine itself names disks in the order in which it finds them.
ATTACH_AS=/dev/sdf
# By the volume and not by a file system's UUID, which a disk made from a snapshot shares with the one that it was made of.
DEVICE="${DEVICE:-/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${DISK_ID/-/}}"
MOUNT_POINT="${MOUNT_POINT:-/var/lib/nats}"
FSTAB="${FSTAB:-/etc/fstab}"
ATTEMPTS="${ATTEMPTS:-60}"
PAUSE_SECONDS="${PAUSE_SECONDS:-5}"

say() { echo "slot $NODE: $*" >&2; }

retry() { # WHAT COMMAND…: until it succeeds, for five minutes by default
  local what=$1 attempt
  shift
  for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    if "$@"; then return 0; fi
    sleep "$PAUSE_SECONDS"
  done
  say "gave up: $what did not come after $ATTEMPTS attempts"
  return 1
}

take_name() { # by itself it says nothing: nobody listens there at first
  local token
  token=$(curl -fsS --max-time 5 -X PUT "$METADATA/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 300') || return 1
  INSTANCE_ID=$(curl -fsS --max-time 5 "$METADATA/meta-data/instance-id" -H "X-aws-ec2-metadata-token: $token") || return 1
  [[ "$INSTANCE_ID" == i-* ]]
}

# The machine before this one may still hold address or disk for a moment: attaching is tried again until it lets go.
address_is_here() {
  [[ "$(aws ec2 describe-network-interfaces --region "$REGION" --network-interface-ids "$ADDRESS_ID" \
    --query 'NetworkInterfaces[0].Attachment.InstanceId' --output text)" == "$INSTANCE_ID" ]]
}
take_address() {
  address_is_here || aws ec2 attach-network-interface --region "$REGION" --network-interface-id "$ADDRESS_ID" \
    --instance-id "$INSTANCE_ID" --device-index 1 >/dev/null
}
disk_is_here() {
  [[ "$(aws ec2 describe-volumes --region "$REGION" --volume-ids "$DISK_ID" \
    --query "Volumes[0].Attachments[?State=='attached'].InstanceId | [0]" --output text)" == "$INSTANCE_ID" ]]
}
take_disk() {
  disk_is_here || aws ec2 attach-volume --region "$REGION" --volume-id "$DISK_ID" --instance-id "$INSTANCE_ID" --device "$ATTACH_AS" >/dev/null
}

INSTANCE_ID=
retry "the name of this machine at $METADATA" take_name
retry "address $ADDRESS_ID" take_address
retry "disk $DISK_ID" take_disk
retry "disk $DISK_ID at $DEVICE" test -e "$DEVICE"

# Only a disk without any signature is blank; whatever else blkid says, data may be on it.
signature=0
blkid -p "$DEVICE" >/dev/null || signature=$?
if ((signature == 2)); then
  say "formats the blank disk"
  mkfs.xfs -q "$DEVICE"
elif ((signature != 0)); then
  say "cannot tell what is on $DEVICE (blkid answered $signature): leaves it alone"
  exit 1
fi
mkdir -p "$MOUNT_POINT"
grep -qs " $MOUNT_POINT " "$FSTAB" || echo "$DEVICE $MOUNT_POINT xfs defaults,nofail,noatime 0 2" >>"$FSTAB"
mountpoint -q "$MOUNT_POINT" || mount "$MOUNT_POINT"
xfs_growfs "$MOUNT_POINT" >/dev/null # a disk that was made larger; changes nothing where it was not
say "has its address and its disk"
