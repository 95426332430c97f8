"""From image files of any kind to images like those of the dataset."""
