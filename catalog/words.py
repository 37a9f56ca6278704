"""The model's patterns, told as a person would tell them."""

from __future__ import annotations

from catalog.environment import DAILY_WINDOW, WEEKLY_WINDOW

_DASHED = "lower-case words, joined by hyphens"

PATTERN_WORDS: dict[str, str] = {
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$": f"{_DASHED} and beginning with a letter, such as 'ai-router-nats'",
    r"^[A-Z][A-Z0-9_]*$": "capital letters, digits and underscores, beginning with a letter, such as 'LOG_LEVEL'",
    r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$": (
        "two or more lower-case words, joined by dots, such as 'game.state.get'; no wildcards"
    ),
    r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*\.(>|[a-z][a-z0-9_-]*)$": (
        "two or more lower-case words, joined by dots, of which the last may be '>', such as 'events.quest.>'"
    ),
    r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$": "capital letters and digits, joined by hyphens, such as 'EVENTS'",
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.[A-Z][A-Za-z0-9]*$": (
        "the full name of a protobuf message, such as 'gaming.game.v1.GetStateRequest'"
    ),
    r"^[a-z][a-z0-9-]*$": "lower-case letters, digits and hyphens, such as 'game-master'",
    r"^[A-Za-z0-9 _.:/=+@-]+$": "letters, digits, spaces and _ . : / = + @ -",
    r"^[A-Za-z0-9 _.:/=+@-]*$": "letters, digits, spaces and _ . : / = + @ -",
    r"^[a-z0-9]+([._/-][a-z0-9]+)*$": (
        "the name of a repository of ours: lower-case letters and digits, parted by one of . _ / -"
    ),
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$": "an image tag: up to 128 letters, digits and _ . -, such as '1.4.2'",
    r"^sha256:[0-9a-f]{64}$": "'sha256:' and 64 hexadecimal digits in lower case",
    r"^[A-Za-z0-9/_+=.@-]+$": "the name of a secret: letters, digits and / _ + = . @ -",
    r"^[A-Za-z0-9_.-]+$": "letters, digits and _ . -",
    r"^/[A-Za-z0-9/_.-]*$": "a path that begins with '/', of letters, digits and / _ . -",
    r"^(/([a-z0-9_.-]+|\{[a-z][a-z0-9_]*\}))+$": (
        "a path such as '/v1/players/{player_id}': '/' and lower-case words, or fields of the request in braces"
    ),
    r"^[a-z0-9]+([/-][a-z0-9]+)*$": f"{_DASHED} or '/', such as 'alerts/email'",
    r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$": "an address range such as '10.40.0.0/16'",
    r"^[a-z0-9]+\.[a-z0-9]+$": "a type of EC2 machine, such as 't4g.small'",
    r"^ami-[0-9a-f]{8,17}$": "the id of a machine image, such as 'ami-0a1b2c3d4e5f60718'",
    r"^[0-9]+\.[0-9]+$": "a version such as '8.1' (in quotes, or YAML reads a number)",
    r"^cache\.[a-z0-9]+\.[a-z0-9]+$": "a type of cache machine, such as 'cache.t4g.small'",
    DAILY_WINDOW: "two times of day (UTC), such as '02:00-03:00'",
    WEEKLY_WINDOW: "two days and times (UTC), such as 'sun:04:00-sun:05:00'",
    r"^[a-z][a-z0-9]{0,7}$": "up to 8 lower-case letters and digits, beginning with a letter",
    r"^[0-9]{12}$": "the 12 digits of an AWS account (in quotes, or YAML reads a number)",
    r"^[a-z]{2}(-[a-z]+)+-[0-9]$": "a region of AWS, such as 'us-east-1'",
}
