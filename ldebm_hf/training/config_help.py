"""Help texts for the settings of the model, read from the docstring of its configuration."""

import inspect
import re

ARGUMENT = re.compile(r"(\w+) \(.+?\): (.+)", re.DOTALL)
END_OF_SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z])")


def argument_groups(documented: type) -> list[dict[str, str]]:
    """The descriptions of the arguments of a class, by name, in the groups that blank lines separate.

    Args:
        documented (`type`): A class whose docstring has a section `Args:` in the style of transformers.
    """
    _, _, section = inspect.getdoc(documented).partition("Args:\n")
    groups = []
    for block in section.split("\n\n"):
        arguments = re.split(r"\n(?=    \w)", "\n" + block)
        found = [ARGUMENT.match(" ".join(argument.split())) for argument in arguments]
        groups.append({match[1]: match[2] for match in found if match})
    return groups


def summary(text: str) -> str:
    """The first sentence of a description and the one that says the default, if any, without the marks of code."""
    first, *others = END_OF_SENTENCE.split(text)
    defaults = [sentence for sentence in others if sentence.startswith("Default:")]
    return " ".join([first, *defaults]).replace("`", "")
