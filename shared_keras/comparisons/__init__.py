"""Systems side by side: recipes, two runs, a Ray Tune folder and its port."""
