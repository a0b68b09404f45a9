"""The `ferry` command: a thin skin over the services, beside the processes that it starts."""
