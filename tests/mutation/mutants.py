"""Mutants of one source file: cosmic-ray's operators, and a few for what can go wrong with tensors and calls."""

import ast
import random
from dataclasses import dataclass

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.tree import NodeOrLeaf

# Where an operator is no computation: `def f(*, x)`, `def f(x, /)` and `from module import *`.
NO_COMPUTATION = {"parameters", "param", "lambdef", "import_from", "arglist", "subscriptlist"}


@dataclass(frozen=True)
class Mutant:
    """
    One change of a source file.

    Args:
        operator (`str`): Name of the mutation operator.
        occurrence (`int`): Number of the place among all that the operator can change.
        line (`int`): Line of the change, from 1.
    """

    operator: str
    occurrence: int
    line: int

    def apply(self, source: str) -> str | None:
        """The changed source; `None` if it is the same program or no Python."""
        mutated = mutate_code(source, operator_called(self.operator), self.occurrence)
        try:
            return None if mutated is None or same_program(source, mutated) else mutated
        except SyntaxError:
            return None


def same_program(source: str, mutated: str) -> bool:
    """Whether two sources differ in layout only."""
    return ast.dump(ast.parse(source)) == ast.dump(ast.parse(mutated))


class DropMethodCall(Operator):
    """`x.detach()` becomes `x`: a method call without arguments is left out."""

    def mutation_positions(self, node):
        parts = node.children if node.type == "atom_expr" else []
        return [(parts[index].start_pos, parts[index + 1].end_pos) for index in self._calls(node)]

    def mutate(self, node, index):
        first = self._calls(node)[index]
        del node.children[first : first + 2]
        return node

    @staticmethod
    def _calls(node) -> list[int]:
        if node.type != "atom_expr":
            return []
        code = [child.get_code() for child in node.children]
        return [index for index in range(1, len(code) - 1) if code[index][0] == "." and code[index + 1] == "()"]

    @classmethod
    def examples(cls):
        return (Example("y = x.detach()", "y = x"),)


class DropKeywordArgument(Operator):
    """`f(x, generator=g)` becomes `f(x)`: an argument that is passed by name is left out."""

    def mutation_positions(self, node):
        return [(node.children[index].start_pos, node.children[index].end_pos) for index in self._arguments(node)]

    def mutate(self, node, index):
        place = self._arguments(node)[index]
        if node.type == "trailer":
            del node.children[place]
        elif place > 0:
            del node.children[place - 1 : place + 1]  # with the comma before it
        else:
            del node.children[:2]  # with the comma after it
        return node

    @staticmethod
    def _arguments(node) -> list[int]:
        if node.type not in ("arglist", "trailer"):
            return []
        return [index for index, child in enumerate(node.children) if is_named_argument(child)]

    @classmethod
    def examples(cls):
        return (Example("f(x, generator=g)", "f(x)"), Example("f(generator=g)", "f()"))


class DropStatement(Operator):
    """A call whose value is not used, `x += y`, `del x` or `raise` becomes `pass`."""

    def mutation_positions(self, node):
        if node.type == "simple_stmt" and self._can_go(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        statement = node.children[0]
        node.children[0] = parso.python.tree.Keyword("pass", statement.start_pos, statement.get_first_leaf().prefix)
        return node

    @staticmethod
    def _can_go(statement: NodeOrLeaf) -> bool:
        if statement.type == "expr_stmt":
            return statement.children[1].type == "operator" and statement.children[1].value != "="
        is_call = statement.type == "atom_expr" and statement.get_last_leaf() == ")"
        return is_call or statement.type in ("raise_stmt", "del_stmt")

    @classmethod
    def examples(cls):
        return (Example("x += 1\n", "pass\n"), Example("f(x)\n", "pass\n"))


class SwapRepetition(Operator):
    """`repeat` and `repeat_interleave`, which give the same values in another order, change places."""

    OTHER = {"repeat": "repeat_interleave", "repeat_interleave": "repeat"}

    def mutation_positions(self, node):
        if node.type == "name" and node.value in self.OTHER:
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        node.value = self.OTHER[node.value]
        return node

    @classmethod
    def examples(cls):
        return (Example("x.repeat(2)", "x.repeat_interleave(2)"),)


def is_named_argument(node: NodeOrLeaf) -> bool:
    """Whether a node is an argument `name=value` of a call, other than `strict` of `zip`.

    `strict=True` only says that two lengths agree, which they do unless something else is wrong.
    """
    return node.type == "argument" and node.children[1] == "=" and node.children[0].value != "strict"


OWN_OPERATORS = {kind.__name__: kind for kind in (DropMethodCall, DropKeywordArgument, DropStatement, SwapRepetition)}


def operator_called(name: str) -> Operator:
    """The mutation operator with this name: one of [`OWN_OPERATORS`], else one of cosmic-ray's."""
    return (OWN_OPERATORS.get(name) or get_operator(f"core/{name}"))()


def mutants_of(source: str, operators: list[str]) -> list[Mutant]:
    """All mutants of a source, without those of type annotations and of blocks for type checkers."""
    nodes = list(ast_nodes(get_ast(source)))
    mutants = []
    for name in operators:
        operator = operator_called(name)
        places = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(places):
            if not only_for_type_checkers(node) and not is_punctuation(node) and not is_strictness(node):
                mutants.append(Mutant(name, occurrence, start[0]))
    return mutants


def is_punctuation(node: NodeOrLeaf) -> bool:
    """Whether a node is an operator's sign that computes nothing."""
    return node.type == "operator" and node.parent.type in NO_COMPUTATION


def is_strictness(node: NodeOrLeaf) -> bool:
    """Whether a node is the `True` of `zip(..., strict=True)`."""
    argument = node.parent
    if argument is None or argument.type != "argument" or argument.children[1] != "=":
        return False
    return argument.children[0].value == "strict"


def only_for_type_checkers(node: NodeOrLeaf) -> bool:
    """Whether a node stands in an annotation or in `if TYPE_CHECKING:`."""
    child, parent = node, node.parent
    while parent is not None:
        if parent.type == "tfpdef" and child is not parent.children[0]:
            return True
        if parent.type == "annassign" and child is parent.children[1]:
            return True
        if parent.type == "funcdef" and child is parent.annotation:
            return True
        if parent.type == "if_stmt" and parent.children[1].get_code().strip() == "TYPE_CHECKING":
            return True
        child, parent = parent, parent.parent
    return False


def sampled(mutants: list[Mutant], size: int | None, seed: int) -> list[Mutant]:
    """A fixed sample in the order of lines; all of them if `size` is `None` or larger than their number."""
    if size is not None and size < len(mutants):
        mutants = random.Random(seed).sample(mutants, size)
    return sorted(mutants, key=lambda mutant: (mutant.line, mutant.operator, mutant.occurrence))


def changed_lines(source: str, mutated: str) -> tuple[str, str]:
    """The lines that differ, joined, before and after."""
    before, after = source.splitlines(), mutated.splitlines()
    while before and after and before[0] == after[0]:
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    return " ".join(line.strip() for line in before), " ".join(line.strip() for line in after)
