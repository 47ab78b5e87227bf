"""What bench.engine is made of: what a step should cost, one measurement, what follows from many, and their picture."""
