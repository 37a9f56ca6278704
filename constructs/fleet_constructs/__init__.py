"""The constructs of the fleet, one a module. Import as `fleet_constructs.…`; `constructs` is PyPI's package."""
