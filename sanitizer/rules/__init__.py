"""What is wrong with rows, files and datasets: declarative rules, named checks, and the engine that runs them."""
