"""Worker processes, and jobs for them; nothing here knows what a trial is."""
