"""The embedded AWS of the local environment: its process, and the inputs that an account would hold."""
