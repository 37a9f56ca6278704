"""What stands on a local machine for AWS's command line and for systemd's: the standard library alone, and quick to start."""
