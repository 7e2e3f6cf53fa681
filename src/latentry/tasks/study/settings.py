"""Settings of `latentry study`; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.settings import GeneratorSettings

__all__ = ["StudySettings"]


@dataclass(frozen=True, kw_only=True)
class StudySettings(GeneratorSettings):
    """Recover real and generated digits four ways, compare the codes with the prior, and show the results on one page."""

    out: str = "study"
    """Folder for index.html and results.json."""
    data: str = "digits"
    """Data set whose held-out split gives the real images."""
    count: int = 24
    """How many real images, and how many of the generator's own."""
    restarts: int = 4
    """How many starts are drawn from the prior for each image."""
    steps: int = 150
    """Iterations of gradient descent from each start."""
    damped_steps: int = 30
    """Iterations of Levenberg-Marquardt from each start."""
