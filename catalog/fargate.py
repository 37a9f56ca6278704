"""The CPU and memory pairs that Fargate offers.

Source: Amazon ECS developer guide, "Task definition parameters for Fargate: task size".
"""

from __future__ import annotations

MEMORY_MIB_BY_CPU_UNITS: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}


def is_legal_size(cpu_units: int, memory_mib: int) -> bool:
    """Tell whether Fargate runs a task of this size."""
    return memory_mib in MEMORY_MIB_BY_CPU_UNITS.get(cpu_units, ())


def capped_size(cpu_units: int, memory_mib: int, *, max_cpu_units: int, max_memory_mib: int) -> tuple[int, int]:
    """Return the legal size nearest below the caps, for an environment that runs everything smaller.

    Memory gives way to what the capped CPU size allows: the smallest legal memory where even that is above the cap.
    """
    cpu = min(cpu_units, max_cpu_units)
    legal = MEMORY_MIB_BY_CPU_UNITS[cpu]
    wanted = min(memory_mib, max_memory_mib)
    fitting = [memory for memory in legal if memory <= wanted]
    return cpu, fitting[-1] if fitting else legal[0]
