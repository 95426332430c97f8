"""Fashion-MNIST in Keras: search, retrain, evaluate, predict, explore, compare."""
