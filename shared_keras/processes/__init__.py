"""Worker processes, and the jobs that they run; nothing here knows what a trial is."""
