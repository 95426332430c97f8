"""What happens in a trial: a model is built, trained, judged and saved."""
