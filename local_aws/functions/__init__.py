"""Lambda functions, run by their own handler from their own asset, against this server."""
