#!/bin/bash
# Fetches the agent that the bucket's current.json names, proves its checksum and runs it: COMMAND [REQUEST].
#
# What this machine is stands in AGENT_ENV, which its user data has written. Every wait has an end. Runs at the first boot and
# with each command of Systems Manager; an agent that is here already is not fetched again.
set -euo pipefail

AGENT_ENV="${AGENT_ENV:-/etc/nats/agent.env}"
AGENTS="${AGENTS:-/opt/nats/agent}"
ATTEMPTS="${ATTEMPTS:-24}"
PAUSE_SECONDS="${PAUSE_SECONDS:-5}"

retry() { # WHAT COMMAND…: until it succeeds, for two minutes by default
  local what=$1 attempt
  shift
  for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    if "$@" </dev/null; then return 0; fi
    sleep "$PAUSE_SECONDS"
  done
  echo "FAILED: gave up: $what did not come after $ATTEMPTS attempts" >&2
  return 1
}

retry "$AGENT_ENV, which the first boot writes," test -r "$AGENT_ENV"
set -a
# shellcheck source=/dev/null
. "$AGENT_ENV"
AWS_DEFAULT_REGION="$REGION"
PATH="/usr/local/bin:$PATH"
set +a

mkdir -p "$AGENTS"
work=$(mktemp -d "$AGENTS/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
retry "s3://$BUCKET/current.json" aws s3 cp --only-show-errors "s3://$BUCKET/current.json" "$work/current.json"
read -r bucket key sha256 < <(python3 -c '
import json, sys
agent = json.load(open(sys.argv[1]))["agent"]
print(agent["bucket"], agent["key"], agent["sha256"])' "$work/current.json")

is_whole() { [[ "$(sha256sum "$1" 2>/dev/null)" == "$sha256 "* ]]; }
fetch_agent() { aws s3 cp --only-show-errors "s3://$bucket/$key" "$work/agent.pyz" && is_whole "$work/agent.pyz"; }

agent="$AGENTS/$sha256.pyz"
if ! is_whole "$agent"; then
  retry "the agent $sha256" fetch_agent
  mv "$work/agent.pyz" "$agent"
fi
ln -s "$agent" "$work/current.pyz"
mv -T "$work/current.pyz" "$AGENTS/current.pyz"
rm -rf "$work"
trap - EXIT
exec python3 "$agent" "$@" </dev/null
