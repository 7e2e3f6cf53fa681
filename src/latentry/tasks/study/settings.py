"""What `latentry study` can be told; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.settings import CommonSettings

__all__ = ["StudySettings"]


@dataclass(frozen=True, kw_only=True)
class StudySettings(CommonSettings):
    """The main job: recover real and generated digits four ways, judge the codes, and show it all on one page."""

    out: str = "study"
    """Folder for index.html and results.json."""
    generator: str = "digits-generator"
    """A shipped generator by name, or the folder of an own one."""
    data: str = "digits"
    """Data set whose held-out split gives the real images."""
    count: int = 24
    """How many real images, and how many of the generator's own."""
    restarts: int = 4
    """Starts drawn from the prior for each image."""
    steps: int = 150
    """Iterations of each by gradient descent."""
    damped_steps: int = 30
    """Iterations of each by Levenberg-Marquardt."""
