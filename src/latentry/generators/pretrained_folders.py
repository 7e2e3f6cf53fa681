"""Folders of `diffusers` and `transformers`, local or from the cache of the Hugging Face hub (`hf:`).

Of a diffusers autoencoder the decoder is taken, at the scale on which diffusion models work: :math:`x = D(z / s + m)` with
the `scaling_factor` s and the `shift_factor` m of its configuration (Rombach et al. 2022, section 4.3.2), so that codes of
pictures have about variance one. Nothing is downloaded unless the user allows it, weights are safetensors, and no code of a
repository is run.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentry.generators.found import Found, first_line
from latentry.storage import read_json

__all__ = ["from_folder", "from_hub"]


class _Decoder(nn.Module):
    """The decoder of an autoencoder, for codes on the scale of diffusion models."""

    def __init__(self, autoencoder: Any) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.scale: Tensor
        self.shift: Tensor
        config = autoencoder.config
        factor, shift = _numbers(config, "scaling_factor", 1.0), _numbers(config, "shift_factor", 0.0)
        self.register_buffer("scale", _numbers(config, "latents_std", 1.0) / factor)
        self.register_buffer("shift", _numbers(config, "latents_mean", shift))

    def forward(self, z: Tensor) -> Tensor:
        """Data of codes `(n, c, h, w)`."""
        x: Tensor = self.autoencoder.decode(z * self.scale + self.shift).sample
        return x


def from_hub(source: str, download: bool) -> Found:
    """The generator in a repository of the hub, `hf:owner/name` or `hf:owner/name/subfolder`.

    Args:
        source: Which.
        download: Whether it may be fetched; otherwise it has to be in the cache.

    Raises:
        ValueError: A package is missing, the repository is not there, or holds no generator that is known.
    """
    parts = source.removeprefix("hf:").strip("/").split("/")
    if len(parts) < 2 or not all(parts):
        raise ValueError(
            f"expected hf:owner/name or hf:owner/name/subfolder, got {source!r}; write the name of a repository"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(
            f"expected the package huggingface_hub for {source}, found none; pip install 'latentry[diffusers]'"
        ) from None
    below = "/".join(parts[2:])
    try:
        folder = snapshot_download(
            "/".join(parts[:2]),
            local_files_only=not download,
            allow_patterns=[
                f"{below}/*.json" if below else "*.json",
                f"{below}/*.safetensors" if below else "*.safetensors",
            ],
        )
    except Exception as error:  # of the network, of the cache, of the name
        way_out = (
            "check its name" if download else "nothing is downloaded by default: allow it with download=True (--download)"
        )
        raise ValueError(
            f"expected {source} in the cache of the Hugging Face hub, got {first_line(error)}; {way_out}"
        ) from None
    return replace(from_folder(Path(folder) / below), parts=(source,))


def from_folder(folder: Path) -> Found:
    """The generator in a folder of diffusers or transformers.

    Raises:
        ValueError: A package is missing, or the folder holds none that is known.
    """
    if not (folder / "config.json").is_file():
        inner = [name for name in ("vae", "vqvae", "decoder") if (folder / name / "config.json").is_file()]
        way_out = f"name {folder / inner[0]}" if inner else "name a file of it, or the folder of a saved model"
        raise ValueError(f"expected a generator in {folder}, got a folder without config.json; {way_out}")
    config = read_json(folder / "config.json")
    config = config if isinstance(config, dict) else {}
    if "_class_name" in config:
        module, shape = _of_diffusers(folder, str(config["_class_name"]), config)
    elif "model_type" in config:
        module, shape = _of_transformers(folder), None
    else:
        raise ValueError(
            f"expected a model of latentry, diffusers or transformers in {folder}, got a config.json that names none; name "
            "a file of it, such as file.py:Class@weights.safetensors"
        )
    files = (folder / "config.json", *sorted(folder.glob("*.safetensors")))
    return Found(module, tuple(path.resolve() for path in files), code_shape=shape, parts=(folder.resolve(),))


def _of_diffusers(folder: Path, name: str, config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...] | None]:
    try:
        import diffusers
    except ImportError:
        raise ValueError(
            f"expected the package diffusers for {folder}, found none; pip install 'latentry[diffusers]'"
        ) from None
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module) and hasattr(kind, "decode")):
        raise ValueError(
            f"expected an autoencoder of diffusers in {folder}, got {name}, which has no decode(z); name the folder of the "
            "autoencoder, mostly called vae"
        )
    model = _read(kind, folder)
    return _Decoder(model), _latent_shape(config)


def _latent_shape(config: dict[str, Any]) -> tuple[int, ...] | None:
    """Channels, height and width of codes of pictures of the size of training; None where it is unknown."""
    channels, size, blocks = (config.get(name) for name in ("latent_channels", "sample_size", "block_out_channels"))
    if not isinstance(channels, int) or not isinstance(size, int) or not isinstance(blocks, list):
        return None
    side = size // 2 ** (len(blocks) - 1)
    return channels, side, side


def _of_transformers(folder: Path) -> nn.Module:
    try:
        import transformers
    except ImportError:
        raise ValueError(
            f"expected the package transformers for {folder}, found none; pip install 'latentry[diffusers]'"
        ) from None
    model = _read(transformers.AutoModel, folder)
    decoder = getattr(model, "decoder", None)
    return decoder if isinstance(decoder, nn.Module) and hasattr(model, "encoder") else model


def _read(kind: Any, folder: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = kind.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
    except Exception as error:  # of the packages
        raise ValueError(
            f"expected a whole model in {folder}, got {first_line(error)}; save it again with safetensors"
        ) from None
    return model.to(torch.float32).eval()


def _numbers(config: Any, name: str, otherwise: float | Tensor) -> Tensor:
    """A number of the configuration, or one for each channel `(c, 1, 1)`."""
    value = getattr(config, name, None)
    numbers = torch.as_tensor(otherwise if value is None else value, dtype=torch.float32)
    return numbers[:, None, None] if numbers.ndim == 1 else numbers
