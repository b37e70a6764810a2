"""Drawing from a generator's own function, as the tests of all generators do."""

import random

from data.generators.grammar import load_grammar
from data.generators.made import Family, Made


def families_of(family: Family, seed: int, count: int) -> list[list[Made]]:
    """`count` families of one generator, the same for the same seed."""
    grammar, rng = load_grammar(), random.Random(seed)
    return [family(grammar, rng) for _ in range(count)]
