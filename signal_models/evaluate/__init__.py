"""Accuracy on recorded hearts: `python -m signal_models.evaluate ecg`. A part is a module here with `main(argv)`."""
