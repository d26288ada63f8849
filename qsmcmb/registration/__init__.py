"""Registration of two sessions of one head: rigid, by SimpleITK."""

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ("REGISTRATION",)

REGISTRATION = Description(
    name="Mattes mutual information",
    sentence="Sessions were registered rigidly to the space in their middle by Mattes mutual information.",
    references=(refs.MATTES_2003,),
)
