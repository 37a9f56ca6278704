"""What watches while the server serves: the watchman, and the post that tells what he has seen."""

from __future__ import annotations

from collections.abc import Callable

from local_aws.gate import Gate
from local_aws.resources.moto_repairs import sns
from local_aws.watch.envelope import Letter
from local_aws.watch.evaluation import MINUTE_SECONDS, scaled
from local_aws.watch.post import Post
from local_aws.watch.watchman import Watchman

_PAUSE_SECONDS = 20  # SNS's own, between two tries


class Watch:
    """One for a server.

    Args:
        endpoint: the server's address.
        gate: held while something changes.
        minute_seconds: how long a minute takes, or that nobody measures.
        touch: told that something changed which is worth saving.
    """

    def __init__(
        self, endpoint: str, gate: Gate, minute_seconds: Callable[[], float | None], touch: Callable[[], None]
    ) -> None:
        self._gate = gate
        self._post = Post(endpoint, self._counted, lambda: scaled(_PAUSE_SECONDS, minute_seconds() or MINUTE_SECONDS))
        self._watchman = Watchman(gate, minute_seconds, touch)

    def start(self) -> None:
        """Begin to deliver and to judge."""
        Post.current = self._post
        self._post.start()
        self._watchman.start()

    def stop(self) -> None:
        """End both."""
        self._watchman.stop()
        Post.current = None
        self._post.stop()

    def _counted(self, letter: Letter, why_not: str | None) -> None:
        with self._gate.request():
            sns.count_delivery(letter, arrived=why_not is None)
