"""The machines of the NATS cluster, on this one: what EC2 says that there is to be runs, and Systems Manager's commands run on it."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psutil

from catalog import names
from fleet.errors import InputError
from fleet.local.plane.machine import Machine, NoMachineError, UserData
from fleet.local.plane.places import HOST, Places
from fleet.local.plane.plane import Plane
from fleet.local.plane.routes import Routes
from nats_platform.commander import SLOT_TAG

if TYPE_CHECKING:
    from fleet.account import Account

_log = logging.getLogger(__name__)
_DELIVERY_LOOK_SECONDS = 0.1
_HEALTH_SECONDS = 1.0


class Machines:
    """Follows EC2: an instance with a slot has a machine here, and one that is terminated has none."""

    def __init__(self, places: Places, plane: Plane, routes: Routes) -> None:
        self._places = places
        self._plane = plane
        self._routes = routes
        self.machines: dict[str, Machine] = {}

    async def follow(self) -> None:
        """Look once what EC2 has, and bring the machines to it.

        Raises:
            BotoCoreError: The local AWS does not answer.
            ClientError: It answers with an error.
        """
        account = await self._plane.account()
        if account is None:
            return
        wanted = await asyncio.to_thread(_instances, account)
        for node, machine in [*self.machines.items()]:
            if wanted.get(node) != machine.instance:
                del self.machines[node]
                await machine.end()
        for node, instance in wanted.items():
            if node in self._places.nodes and node not in self.machines:
                try:
                    await self._add(account, node, instance)
                except NoMachineError as error:
                    _log.warning("%s (%s) is no machine that can run here: %s", node, instance, error)

    async def end(self) -> None:
        """End all of them; their disks stay."""
        machines, self.machines = [*self.machines.values()], {}
        await asyncio.gather(*(machine.end() for machine in machines))

    async def run_command(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command of Systems Manager: `instance`, `script`, `timeout_seconds` and `delivery_seconds`."""
        end = asyncio.get_running_loop().time() + float(asked["delivery_seconds"])
        while (machine := self._of(str(asked["instance"]))) is None:
            if asyncio.get_running_loop().time() > end:
                return {"status": "DeliveryTimedOut", "code": -1, "output": "", "errors": ""}
            await asyncio.sleep(_DELIVERY_LOOK_SECONDS)
        ended = await machine.run(str(asked["script"]), at_most_seconds=float(asked["timeout_seconds"]))
        return {"status": ended.status, "code": ended.code, "output": ended.output, "errors": ended.errors}

    async def systemctl(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a machine asks of its systemd: `node` and `words`."""
        code, said = await self._running(str(asked["node"])).units.systemctl([str(word) for word in asked["words"]])
        return {"code": code, "said": said}

    def signal(self, node: str, number: int) -> None:
        """Send a node's server a signal.

        Raises:
            InputError: No server of that node runs.
        """
        server = self._running(node).units.server
        if server is None or server.has_exited:
            raise InputError(f"the server of {node} does not run just now")
        server.signal(number)

    def online(self) -> dict[str, str]:
        """Return the instances that Systems Manager reaches, each with its node."""
        return {machine.instance: node for node, machine in self.machines.items()}

    async def rows(self) -> list[dict[str, Any]]:
        """Return what there is to tell of each node."""
        return [await self._row(node) for node in self._places.nodes]

    async def _row(self, node: str) -> dict[str, Any]:
        machine = self.machines.get(node)
        server = machine.units.server if machine else None
        row = {
            "kind": "node",
            "name": node,
            "port": self._places.nodes[node].client,
            "pid": server.pid if server else None,
            "memory_bytes": server.memory_bytes() if server else 0,
            "restarts": machine.units.restarts if machine else 0,
            "log": str(self._places.root(node) / "var/log/nats-server.log"),
        }
        if machine is None:
            return {**row, "health": "absent", "detail": "no instance of EC2 has this slot"}
        if server is None:
            return {**row, "health": "down", "detail": machine.detail}
        if _is_paused(server.pid):
            return {**row, "health": "paused", "detail": "its server is stopped"}
        wrong = await asyncio.to_thread(self._wrong, node)
        cut = "cut off from the others" if node in self._routes.cut_off else ""
        return {**row, "health": "unhealthy" if wrong else "healthy", "detail": wrong or cut or machine.detail}

    def _wrong(self, node: str) -> str:
        """Return what a server says that is wrong with it; nothing where all is well."""
        url = f"http://{HOST}:{self._places.nodes[node].monitor}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=_HEALTH_SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return str(json.loads(error.read() or b"{}").get("error", error))
        except (OSError, ValueError) as error:
            return str(error)

    def _of(self, instance: str) -> Machine | None:
        return next((machine for machine in self.machines.values() if machine.instance == instance), None)

    def _running(self, node: str) -> Machine:
        machine = self.machines.get(node)
        if machine is None:
            raise InputError(f"no machine of {node} runs; there are: {', '.join(sorted(self.machines)) or 'none'}")
        return machine

    async def _add(self, account: Account, node: str, instance: str) -> None:
        user_data = UserData.read(await asyncio.to_thread(_user_data, account, instance))
        if not await asyncio.to_thread(self._see_to_place, account, node, user_data):
            return  # until the local AWS knows of this plane; it is looked at again with the next look
        await asyncio.to_thread(self._remove_disks, account)
        machine = Machine(node, instance, user_data, self._places, self._plane)
        self.machines[node] = machine
        machine.start()

    def _see_to_place(self, account: Account, node: str, user_data: UserData) -> bool:
        """Have the configuration be for where the node stands here, where it was rendered for another place; tell whether it is."""
        if self._is_placed(account, node, user_data):
            return True
        _log.info("%s is configured for another place: its configuration is rendered anew", node)
        function = names.nats_function(user_data.variables["ENVIRONMENT"])
        account.functions.invoke(FunctionName=function, Payload=json.dumps({"task": "place"}).encode())
        return self._is_placed(account, node, user_data)

    def _is_placed(self, account: Account, node: str, user_data: UserData) -> bool:
        bucket, s3 = user_data.variables["BUCKET"], account.s3
        try:
            current = json.loads(s3.get_object(Bucket=bucket, Key="current.json")["Body"].read())
            key = current["configuration"][node]["key"]
            text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except (s3.exceptions.ClientError, KeyError):
            return True  # there is none yet: the boot says so, and tries again
        place = self._places.place(node)
        where = [f"{place.address}:{place.client_port}", place.pid_file, *map("tls://{}".format, place.routes.values())]
        return all(f'"{each}"' in text for each in where)

    def _remove_disks(self, account: Account) -> None:
        """Remove the disks whose volume is no more."""
        here = {path.name: path for path in (self._places.folder / "disks").glob("vol-*")}
        if not here:
            return
        volumes = account.ec2.get_paginator("describe_volumes").paginate()
        there = {volume["VolumeId"] for page in volumes for volume in page["Volumes"]}
        for name in here.keys() - there:
            shutil.rmtree(here[name], ignore_errors=True)


def _instances(account: Account) -> dict[str, str]:
    """Return the running instances that have a slot, by it."""
    filters: Any = [
        {"Name": "tag-key", "Values": [SLOT_TAG]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    return {
        tag["Value"]: str(instance["InstanceId"])
        for page in account.ec2.get_paginator("describe_instances").paginate(Filters=filters)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance["Tags"]
        if tag["Key"] == SLOT_TAG
    }


def _user_data(account: Account, instance: str) -> str:
    told = account.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return str(told["UserData"].get("Value", ""))


def _is_paused(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
