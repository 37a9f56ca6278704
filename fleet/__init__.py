"""The operator's command: logic in plain modules, printing at the edge in `fleet.cli`."""
