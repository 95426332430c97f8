"""Systems side by side: recipes, two runs, a model and its port, a Ray Tune folder."""
