"""The lab: what the theory promises, repeated on floods with our own network.

Every experiment is a module with a function ``run(ground, effort) → Outcome``: a question, what
was measured over several seeds, and a verdict by a rule that was written down before. The
networks are small and the trainings short, so that an experiment can be repeated; what is claimed
is the direction of an effect, not the figure of the shipped model.
"""

from __future__ import annotations

NAMES = {
    "epistemic-aleatoric": "does the epistemic part, and only it, grow with less data and afar?",
    "passes": "how many passes, which noise, and do they beat one pass with the mean weights?",
    "trust-the-uncertainty": "is a spread that is known found again?",
    "shift": "does uncertainty rise before accuracy falls?",
    "active-learning": "do labels chosen by mutual information save labels?",
    "multitask": "do learned weights of cloud and water beat fixed ones?",
    "prior": "does the weight decay that the prior prescribes calibrate?",
    "single-pass": "can one pass say what twenty say?",
}

MODULES = {name: name.replace("-", "_") for name in NAMES}
