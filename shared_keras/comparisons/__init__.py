"""Systems beside each other: recipes, two runs, a Ray Tune folder and its port."""
