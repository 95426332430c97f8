"""From files to arrays of images and labels."""
