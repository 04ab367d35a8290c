"""The daemon's door for the command line: JSON over HTTP on a unix socket, read only."""
