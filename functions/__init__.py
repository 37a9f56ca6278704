"""The handlers of the Lambda functions: thin, on `tls` and `nats_platform`."""
