"""What a trained model of any paper is: a generator z -> x and the prior of its codes."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.display import Facts, Plottable
from latentry.holding import Condition, as_condition, evaluated, made, weights_like
from latentry.interfaces import Prior
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
    prior_is: Literal["given", "own", "assumed"] = field(default="given", kw_only=True)
    """Whether the prior was given or trained with, is one that the generator brought along, or N(0, I) for want of one."""

    @property
    def fingerprint(self) -> str:
        """Hash of the generator's weights."""
        return fingerprint(self.generator.state_dict())

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code as the third-party generator takes it; `(d,)` for one of latentry."""
        return tuple(getattr(self.generator, "code_shape", (self.prior.latent_dim,)))

    @checked()
    def shaped(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *c"]:
        """Codes in the shape that the third-party generator takes, `(n, *code_shape)`; `flatten(1)` brings them back.

        Example:
            >>> import latentry as lt
            >>> generator = lt.as_generator(torch.nn.ConvTranspose2d(8, 1, 4))
            >>> GenerativeModel(generator, lt.priors.Normal(8)).shaped(torch.zeros(2, 8)).shape
            torch.Size([2, 8, 1, 1])

        Raises:
            ValueError: The codes have another length than those of the prior.
        """
        self._check(z)
        return z.reshape(len(z), *self.code_shape)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that codes know of; empty where they know of none."""
        return ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are placed in the codes; empty where none are."""
        return ()

    @checked()
    def decode(
        self, z: Float[Tensor, "n d"], condition: Condition | None = None, *, batch_size: int = 500
    ) -> Float[Tensor, "n *s"]:
        """Data of codes, in eval mode and without a gradient.

        Args:
            z: Codes, of any floating type and on any device: they go where the generator's weights are.
            condition: What a conditional generator takes along with codes, one row for each.
            batch_size: Codes that pass the generator at once.

        Raises:
            ValueError: The codes have another length than those of the prior, or the condition is missing, not wanted or has
                another number of rows.
        """
        self._check(z)
        condition = as_condition(condition, len(z))
        with evaluated(self.generator) as (generator,), torch.no_grad():
            return made(generator, z.to(weights_like(self.generator, z)), condition, size=batch_size)

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
            f"Generative model: {getattr(self.generator, 'name', type(self.generator).__name__)} of codes of "
            f"{' x '.join(map(str, self.code_shape))} elements",
            (("parameters", f"{parameters:,}"), ("prior", self._prior_in_words()), *trained, ("weights", self.fingerprint)),
            "`generator` is the module and `prior` the distribution of its codes.",
        )

    def _prior_in_words(self) -> str:
        if self.prior_is == "assumed":
            return "N(0, I), assumed; fit one to codes with lt.fit_prior"
        return f"{self.prior!r}, its own" if self.prior_is == "own" else repr(self.prior)

    def _draw(self, figure: Any) -> None:
        """Samples."""
        from latentry.display.drawing import draw_samples

        draw_samples(figure, self.decode(self.prior.sample(_DRAWN, rng=torch.Generator().manual_seed(0))))
