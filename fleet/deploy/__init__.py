"""From the catalog to a deployed environment, by the CDK CLI."""
