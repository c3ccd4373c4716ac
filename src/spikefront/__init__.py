"""Find, for a data set and an energy budget, the spiking-network codings on the accuracy/energy Pareto front."""
