"""Loading a package on the runtime that fits, and running it."""
