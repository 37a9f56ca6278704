"""What no name of a message can say: a module a `.proto` file, with `ANSWERS` by the type of the request."""
