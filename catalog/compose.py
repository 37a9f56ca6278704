"""From a text to a tree of nodes, by the events of libyaml.

Composed by hand and without recursion: a hostile file costs a fault and no more memory than its own size. Explicit tags
are refused, so nothing of a file is ever executed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from catalog.faults import START, CatalogError, Fault, KeyPath, Position, fault_at, shown
from catalog.nodes import Node
from catalog.scalars import resolved
from catalog.source import Source

MAX_DEPTH = 30
MAX_NODES_BY_ALIAS = 20_000
MAX_NODES = 300_000

# What libyaml says, and what somebody who edits the file has done.
_IN_OTHER_WORDS = {
    "mapping values are not allowed in this context": (
        "a ':' stands where none may: put the text in quotes, or check the indentation"
    ),
    "did not find expected key": "this line is indented otherwise than its neighbours",
    "did not find expected '-' indicator": "this line is indented otherwise than its neighbours",
    "could not find expected ':'": "the ':' after a key is missing",
    "found unexpected end of stream": "a quote is never closed",
    "found character that cannot start any token": "text that begins so must stand in quotes",
}
_ESCAPED_CONTROL = frozenset(map(chr, [*range(9), *range(11, 32), 127]))


def composed(source: Source) -> tuple[Node, list[Fault]]:
    """Return a text's tree, and the faults that do not keep it from being a tree.

    Raises:
        CatalogError: The text is not YAML, or not the part of it that a catalog may use.
    """
    composer = _Composer(source)
    try:
        root = composer.run()
    except yaml.YAMLError as error:
        composer.faults.append(_broken(source, error))
        raise CatalogError(composer.faults) from None
    except _StopError:
        raise CatalogError(composer.faults) from None
    return root, composer.faults


class _StopError(Exception):
    """Nothing after this fault could be understood."""


@dataclass(slots=True, eq=False)
class _Frame:
    """A mapping or list that is not closed yet."""

    start: Position
    path: KeyPath
    anchor: str | None
    members: Any
    size: int = 1
    keys: dict[str, Position] = field(default_factory=dict)
    key: str | None = None
    """Key whose value comes next; none where a key comes next."""
    is_key: bool = False
    """Whether this collection stands where a key belongs."""
    drops_value: bool = False
    """Whether the value that comes next has no usable key."""


class _Composer:
    def __init__(self, source: Source) -> None:
        self.file = source.file
        self._source = source
        self.faults: list[Fault] = []
        self._parser = yaml.CSafeLoader(source.text)  # type: ignore[no-untyped-call]
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._nodes = 0
        self._nodes_by_alias = 0
        self._root: Node | None = None

    def run(self) -> Node:
        while not isinstance(event := self._parser.get_event(), yaml.StreamEndEvent):
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._open(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent() if self._root is not None:
                    self._fault(_start(event), (), "a second document begins here; a file holds one")
                    raise _StopError
        if self._root is None:
            self._fault(START, (), "is empty")
            raise _StopError
        return self._root

    def _scalar(self, event: Any) -> None:
        # Where nothing follows `---`, the mark is below the last line.
        position = _inside(self._source, event.start_mark)
        self._refuse_tag(event)
        text: str = event.value
        if event.style == '"' and not _ESCAPED_CONTROL.isdisjoint(text):
            self._fault(position, self._next_path(), "holds a control character, which no value may")
        value = text if event.style and event.tag is None else resolved(text)
        if self._expects_key():
            self._take_key(value, position)
            return
        self._count(position)
        node = Node(value, position, event.end_mark.index, self._next_path())
        self._remember(event.anchor, node, 1)
        self._attach(node, 1)

    def _open(self, event: Any) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._fault(_start(event), (), f"is nested deeper than {MAX_DEPTH} levels")
            raise _StopError
        self._refuse_tag(event)
        self._count(_start(event))
        members: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        frame = _Frame(_start(event), self._next_path(), event.anchor, members, is_key=self._expects_key())
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(frame)

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        node = Node(frame.members, frame.start, event.end_mark.index, frame.path, frame.keys)
        self._remember(frame.anchor, node, frame.size)
        if frame.is_key:
            self._take_key(node.value, frame.start)
        else:
            self._attach(node, frame.size)

    def _alias(self, event: Any) -> None:
        position = _start(event)
        if event.anchor not in self._anchors:
            self._fault(position, self._next_path(), f"there is no anchor &{event.anchor} above")
            raise _StopError
        target = self._anchors[event.anchor]
        if target is None:
            self._fault(position, self._next_path(), f"the alias *{event.anchor} stands inside its own anchor")
            raise _StopError
        node, size = target
        self._nodes_by_alias += size
        if self._nodes_by_alias > MAX_NODES_BY_ALIAS:
            self._fault(position, self._next_path(), f"aliases repeat more than {MAX_NODES_BY_ALIAS:,} values")
            raise _StopError
        if self._expects_key():
            self._take_key(node.value, position)
        else:
            self._attach(node, size)

    def _count(self, position: Position) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fault(position, (), f"a file holds at most {MAX_NODES:,} values, and here begins one more")
            raise _StopError

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)

    def _expects_key(self) -> bool:
        if not self._stack:
            return False
        top = self._stack[-1]
        return isinstance(top.members, dict) and top.key is None and not top.drops_value

    def _next_path(self) -> KeyPath:
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.members, list):
            return (*top.path, len(top.members))
        return top.path if top.key is None else (*top.path, top.key)

    def _take_key(self, key: object, position: Position) -> None:
        top = self._stack[-1]
        if not isinstance(key, str):
            top.drops_value = True
            hint = " (write it in quotes)" if isinstance(key, int | float) or key is None else ""
            self._fault(position, top.path, f"{shown(key)} cannot be a key; a key is text{hint}")
        elif key in top.members:
            top.drops_value = True
            self._fault(position, (*top.path, key), _given_twice(top.path, key, top.keys[key].line))
        else:
            top.key = key
            top.keys[key] = position

    def _attach(self, node: Node, size: int) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        top.size += size
        if isinstance(top.members, list):
            top.members.append(node)
        elif top.drops_value:
            top.drops_value = False
        else:
            top.members[top.key] = node
            top.key = None

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            self._fault(_start(event), self._next_path(), f"the tag {shown(event.tag)} has no place here; leave it out")

    def _fault(self, position: Position, path: KeyPath, message: str) -> None:
        self.faults.append(fault_at(self.file, position, path, message))


def _given_twice(path: KeyPath, key: str, first_line: int) -> str:
    what = "the service" if path == ("services",) else "the group" if path == ("groups",) else "the key"
    return f"{what} {shown(key)} is given twice; the first stands in line {first_line}"


def _start(event: Any) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1, mark.index)


def _broken(source: Source, error: Any) -> Fault:
    """Put libyaml's complaint in the words and at the place that help most."""
    mark, context_mark = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem, context = getattr(error, "problem", "it cannot be read"), getattr(error, "context", None)
    if context_mark is not None and (mark is None or "end of stream" in problem or mark.line >= source.lines):
        # What was never closed is found where it begins, not at the end of the file.
        mark, context_mark = context_mark, None
    position = _inside(source, mark)
    if source.text[position.offset : position.offset + 1] == "\t":
        return fault_at(
            source.file, position, (), "broken YAML: a tab stands where only spaces may; indent with spaces"
        )
    began = context_mark.line + 1 if context_mark is not None else position.line
    where = f" (line {began})" if began < position.line else ""
    told = _IN_OTHER_WORDS.get(problem, problem)
    return fault_at(source.file, position, (), f"broken YAML: {f'{told}, {context}{where}' if context else told}")


def _inside(source: Source, mark: Any) -> Position:
    """Return a parser's mark as a position; one below the last line moves to that line's end."""
    if mark is None:
        return START
    if mark.line < source.lines:
        return Position(mark.line + 1, mark.column + 1, mark.index)
    text = source.text.rstrip("\r\n")
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"), len(text))
