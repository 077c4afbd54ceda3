"""Weights of the respiration rate's views, written by `python -m host_tools.validate.resp_fit --write`."""

WEIGHTS_Q5 = (
    (8, 2, -4),
    (12, 3, -1),
    (9, 3, 0),
    (-2, 2, 0),
    (1, 3, -1),
    (6, 3, -3),
    (3, 2, -1),
)
