"""Load on a fleet: a worker that asks at a rate that does not give way, and what becomes of its measurements.

`python -m load_test` is the worker, a process on this machine or a task in AWS; `fleet loadtest` starts it. The modules of the
measurements (`histogram`, `measurements`, `plan`) stand on nothing but Python, so that the command may read what workers wrote.
"""
