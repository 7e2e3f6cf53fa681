"""The names at the top of `latentry`; each is imported when it is first used."""

from . import data as data
from . import directions as directions
from . import encoders as encoders
from . import generators as generators
from . import measurements as measurements
from . import metrics as metrics
from . import operators as operators
from . import priors as priors
from . import regularizers as regularizers
from . import results as results
from . import settings as settings
from . import solvers as solvers
from . import testing as testing
from .data.sources import load_dataset as load_dataset
from .evaluation.codes import goodness_of_fit as goodness_of_fit
from .evaluation.paths import evaluate_paths as evaluate_paths
from .evaluation.prior_fitting import fit_prior as fit_prior
from .evaluation.samples import evaluate_samples as evaluate_samples
from .generators.adapted import as_generator as as_generator
from .interfaces import LatentModel as LatentModel
from .latent.encoding import fit_encoder as fit_encoder
from .latent.inverse import fit_inverse as fit_inverse
from .latent.recovery import recover_codes as recover_codes
from .latent.spectral import quasi_eigenvectors as quasi_eigenvectors
from .models.classifier import Classifier as Classifier
from .models.classifier import fit_classifier as fit_classifier
from .models.conditional import fit_conditional as fit_conditional
from .models.gan import fit_gan as fit_gan
from .models.generative import GenerativeModel as GenerativeModel
from .models.label_split import LabelSplit as LabelSplit
from .models.label_split_fitting import fit_label_split as fit_label_split
from .models.loading import load_generator as load_generator
from .models.saving import load_model as load_model
from .models.saving import save_model as save_model
from .models.semantic import SemanticModel as SemanticModel
from .models.semantic_fitting import fit_semantic as fit_semantic
from .priors.interpolation import interpolate as interpolate

__version__: str
