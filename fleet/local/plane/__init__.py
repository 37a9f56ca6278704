"""The local data plane: processes for what is deployed in the local AWS, as ECS, EC2 and SSM would have it."""
