"""What becomes of data when its resource leaves the stack."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk


@dataclass(frozen=True, slots=True)
class Retention:
    """Whether data may be destroyed with its resource; environment and context must both have said so."""

    destroy: bool

    @property
    def removal_policy(self) -> cdk.RemovalPolicy:
        """The policy of a stateful resource.

        A retained one still goes when its very creation is rolled back; otherwise its name would stand in the next try's way.
        """
        return cdk.RemovalPolicy.DESTROY if self.destroy else cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
