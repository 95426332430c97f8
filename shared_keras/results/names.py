"""The names of the files of searches and runs that others read."""

SETTINGS = "settings.json"  # what decides a search or a run
ENVIRONMENT = "environment.json"  # what it ran on
HISTORY = "history.csv"  # each epoch of a run or a trial
METRICS = "metrics.json"  # what a run reached
SUMMARY = "summary.json"  # what a run of several seeds reached
TRIALS = "trials.csv"  # the trials of a search
CONFIRMED = "confirm.csv"  # those that were retrained with other seeds
BEST = "best.json"  # the winner of a search
EVALUATION = "evaluation.json"  # the scores of a model on the test images
IMPORTANCE = "importance.csv"  # how much the score depends on each hyperparameter
REPORT = "report.html"  # the page that shows a search, a run or a comparison
DATA = "data.js"  # what the page shows
PREDICTIONS = "predictions.npz"  # what a run predicts of each test image
