"""What a trained model of any paper is: a generator z -> x and the prior of its codes."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.display import Facts, Plottable
from latentry.holding import evaluated, weights_like
from latentry.interfaces import Prior
from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import checked
from latentry.storage import fingerprint

__all__ = ["GenerativeModel"]

_DRAWN = 30
Model = TypeVar("Model", bound="GenerativeModel")


@dataclass(frozen=True, repr=False)
class GenerativeModel(Plottable):
    """A trained generator with the prior of its codes: a `LatentModel`.

    Models with an encoder (`LabelSplit`, `SemanticModel`) are such models too, and add `encode`.

    Example:
        >>> import latentry as lt
        >>> model = lt.load_model("digits-generator")
        >>> x = model.decode(model.prior.sample(2))
        >>> x.shape
        torch.Size([2, 1, 28, 28])
    """

    generator: nn.Module
    """Codes `(n, d)` to data `(n, *data_shape)`."""
    prior: Prior
    """Distribution of the codes."""
    card: dict[str, Any] = field(default_factory=dict, kw_only=True)
    """Its model card: settings, data fingerprint, seed, metrics, versions; empty where nothing is known."""

    @property
    def fingerprint(self) -> str:
        """Hash of the generator's weights."""
        return fingerprint(self.generator.state_dict())

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that codes know of; empty where they know of none."""
        return ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are placed in the codes; empty where none are."""
        return ()

    @checked()
    def decode(self, z: Float[Tensor, "n d"], batch_size: int = 500) -> Float[Tensor, "n *s"]:
        """Data of codes, in eval mode and without a gradient.

        Args:
            z: Codes, of any floating type and on any device: they go where the generator's weights are.
            batch_size: Codes that pass the generator at once.

        Raises:
            ValueError: The codes have another length than those of the prior.
        """
        self._check(z)
        with evaluated(self.generator) as (generator,), torch.no_grad():
            return in_batches(generator, z.to(weights_like(self.generator, z)), size=batch_size)

    def to(self: Model, device: torch.device | str) -> Model:
        """This model, with its networks and its prior moved to a device."""
        for part in vars(self).values():
            if isinstance(part, nn.Module):
                part.to(device)
        return self

    def _check(self, z: Float[Tensor, "n d"]) -> None:
        if z.shape[1] != self.prior.latent_dim:
            raise ValueError(f"expected codes of shape (n, {self.prior.latent_dim}), got {tuple(z.shape)}")

    def _facts(self) -> Facts:
        parameters = sum(parameter.numel() for parameter in self.generator.parameters())
        data = self.card.get("data") or {}
        trained = ((f"trained on {data['items']:,} items of", str(data["name"])),) if {"name", "items"} <= {*data} else ()
        return Facts(
            f"Generative model: {type(self.generator).__name__} of codes of {self.prior.latent_dim} elements",
            (("parameters", f"{parameters:,}"), ("prior", repr(self.prior)), *trained, ("weights", self.fingerprint)),
            "`generator` is the module and `prior` the distribution of its codes.",
        )

    def _draw(self, figure: Any) -> None:
        """Samples."""
        from latentry.display.drawing import draw_samples

        draw_samples(figure, self.decode(self.prior.sample(_DRAWN, rng=torch.Generator().manual_seed(0))))
