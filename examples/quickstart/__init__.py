"""A small workflow engine on engine-store: it analyses text files and survives `kill -9`."""
