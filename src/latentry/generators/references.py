"""Third-party generators in the folder of a saved model: by reference, with the hash of every file that they depend on.

The weights stay where they are. Paths below the folder are kept relative to it, so that both can be moved together.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from latentry.generators.adapted import AdaptedGenerator
from latentry.generators.opening import open_generator
from latentry.storage import fingerprint

__all__ = ["record", "resolved"]


def record(generator: AdaptedGenerator, folder: Path) -> dict[str, Any]:
    """Where a generator comes from and how it is called, as JSON.

    Raises:
        ValueError: It was made in Python, so that no file could give it back, or its source gives other weights now.
    """
    origin = generator.origin
    if origin is None:
        raise ValueError(
            "expected a generator from a file, which its name finds again, got one that was made in Python; save it with "
            "torch.export.save, or write a function that makes it into a file, and take lt.load_generator('file.py:name')"
        )
    content = {
        "source": [{"path": _below(part, folder)} if isinstance(part, Path) else part for part in origin.parts],
        "hashes": [list(pair) for pair in origin.hashes],
        "code_shape": list(generator.code_shape),
        "output": generator.output,
        "output_range": None if generator.output_range is None else list(generator.output_range),
        "runs_code": origin.runs_code,
        "weights": fingerprint(generator.state_dict()),
    }
    with torch.random.fork_rng([]):
        torch.rand(())  # a factory that draws its weights draws others
        resolved(content, folder, run_code=True)  # it was run before, by the same name
    return content


def resolved(content: Mapping[str, Any], folder: Path, run_code: bool) -> tuple[AdaptedGenerator, Any]:
    """The generator that `record` described, and its own prior.

    Args:
        content: What `record` gave.
        folder: Where it was written.
        run_code: Whether Python that the record names may be run.

    Raises:
        ValueError: It names Python that may not be run, its source is gone, or has changed.
        KeyError, TypeError: The record is none.
    """
    parts = [folder.resolve() / part["path"] if isinstance(part, Mapping) else str(part) for part in content["source"]]
    source = "".join(map(str, parts))
    if not run_code and (content["runs_code"] or not _is_file_alone(parts)):
        raise ValueError(
            f"expected a generator that is loaded without running code, got a reference to {source} in {folder}, which runs "
            f"it; if you trust it, take lt.load_model({str(folder)!r}, run_code=True), or name {source} itself as the "
            "generator"
        )
    output_range = content["output_range"]
    generator, prior = open_generator(
        source,
        code_shape=content["code_shape"],
        output=content["output"],
        output_range=None if output_range is None else tuple(output_range),
        trial=False,  # it was tried when it was first loaded, perhaps with a condition; below it is seen to be the same
    )
    assert generator.origin is not None, "what is opened has an origin"
    now, then = dict(generator.origin.hashes), {str(name): str(digest) for name, digest in content["hashes"]}
    if changed := [name for name in {**then, **now} if now.get(name) != then.get(name)]:
        raise ValueError(
            f"expected {source} as it was when {folder} was saved, got one in which {', '.join(changed)} changed; bring the "
            f"file back, or load {source} with lt.load_generator and save it again"
        )
    if fingerprint(generator.state_dict()) != content["weights"]:
        raise ValueError(
            f"expected {source} to give the generator that is saved, got one with other weights: they changed after it was "
            "loaded, or are drawn anew each time; save them as .safetensors and load file.py:Class@file.safetensors"
        )
    return generator, prior


def _is_file_alone(parts: list[Any]) -> bool:
    """Whether a source is one path, or a name of the hub, neither of which runs Python of the user's."""
    return len(parts) == 1 and ((isinstance(parts[0], Path) and parts[0].suffix != ".py") or str(parts[0]).startswith("hf:"))


def _below(path: Path, folder: Path) -> str:
    folder = folder.resolve()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
