"""The embedded AWS: moto's server with a CloudFormation engine of ours over its back ends."""
