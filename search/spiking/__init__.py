"""The second kind of job: integers of a spiking network, simulated instead of trained."""
