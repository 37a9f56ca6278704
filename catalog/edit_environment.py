"""Edit an environment's text: pin another machine image, and change no other byte."""

from __future__ import annotations

from pathlib import Path

from catalog.compose import composed
from catalog.faults import CatalogError, fault_at
from catalog.load import check_environment
from catalog.nodes import plain
from catalog.source import Source, read_source
from catalog.text import TextFile

IMAGE = ("nats", "ami_id")


def pin_machine_image(file: Path, image_id: str) -> bool:
    """Pin the machine image of the NATS nodes; tell whether that changed the file.

    Raises:
        CatalogError: The file is not valid, or cannot be changed without changing something else; it stays untouched.
    """
    if faults := [fault for fault in check_environment(file).faults if fault.severity == "error"]:
        raise CatalogError(faults)
    source = read_source(file)
    root = composed(source)[0]
    node = root.get(*IMAGE)
    if node is None or node.path != IMAGE:
        raise CatalogError(
            [fault_at(file, None, IMAGE, "stands in an anchor that others share; edit the file by hand")]
        )
    if node.value == image_id:
        return False
    text = TextFile(source)
    text.replace_value(node, image_id)
    before = plain(root)
    wanted = {**before, "nats": {**before["nats"], "ami_id": image_id}}
    if plain(composed(Source(file, text.result()))[0]) != wanted:
        raise CatalogError(
            [fault_at(file, None, IMAGE, "cannot be changed without changing something else; edit the file by hand")]
        )
    text.write(text.result())
    return True
