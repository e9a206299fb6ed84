"""The command line and the wiring: the only place that builds objects, reads the environment and starts loops."""
