"""The words that generated prompts are made of: first names, nouns and ordered sequences.

The names and nouns are common ones, which most tokenizers know as one token; none of them is also
a number, a month or a weekday. What a given tokenizer makes of them is measured, never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: First names, at least 60.
FIRST_NAMES: tuple[str, ...] = tuple(
    """
    Adam Alan Alex Alice Amy Andrew Anna Anthony Ben Bob Brian Carl Charles Chris Daniel David Diana
    Edward Elizabeth Emily Emma Eric Frank Fred Gary George Greg Harry Henry Howard Ian Jack Jacob James
    Jason Jeff Jennifer Jessica Jim Joe John Jonathan Joseph Julia Karen Kate Kevin Kim Larry Laura Lee
    Lewis Linda Louis Lucy Maria Mary Matt Matthew Michael Mike Nick Oliver Patrick Paul Peter Philip Rachel
    Richard Robert Roger Ryan Sam Samuel Sarah Scott Simon Stephen Steve Susan Thomas Tim Tom Tony Walter
    William
    """.split()
)

#: Concrete nouns, capitalised as they stand at the head of an item, at least 60.
NOUNS: tuple[str, ...] = tuple(
    """
    Apple Arm Bag Ball Bank Bar Bell Bird Block Boat Book Box Bridge Car Card Cat Chain Church Clock Coin
    Cup Desk Dog Door Egg Engine Farm Fire Fish Flag Flower Gate Glass Gold Hand Hat Hill Horse House Ice
    Iron Island Key Lake Lamp Leaf Light Lion Map Milk Moon Mountain Oil Paper Phone Plant Queen Ring
    River Road Rock Rose Salt Ship Shop Snow Star Stone Sun Table Tower Train Tree Truck Van Wall Watch
    Water Wheel Window Wolf Wood
    """.split()
)

#: Places and things of the indirect-object sentences: each fits "the ..." and "a ...".
PLACES: tuple[str, ...] = tuple(
    """
    school store park station library hospital market museum beach garden house farm church hotel bar
    """.split()
)
OBJECTS: tuple[str, ...] = tuple(
    """
    book ball ring key ticket letter drink card phone camera bag map coin watch cup picture gift bottle
    """.split()
)

#: What may last from one year to another: each fits "The ... lasted from the year".
LASTING: tuple[str, ...] = tuple(
    """
    war battle siege reign famine drought feud truce campaign revolt rebellion uprising strike crisis trial
    voyage expedition journey tour festival fair exhibition marriage partnership alliance treaty contract
    friendship rivalry dispute debate conflict struggle invasion occupation blockade exile empire dynasty
    kingdom republic regime government ministry term career apprenticeship project program experiment study
    survey excavation construction restoration migration crusade mission negotiation investigation inquiry
    boom recession depression shortage epidemic outbreak winter tradition custom fashion policy reform
    movement revolution research service trade search lease patrol vigil boycott embargo
    """.split()
)

#: Ordered sequences by name; each member's successor is the next one, the last has none.
SEQUENCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "numerals": tuple(str(number) for number in range(1, 13)),
        "number_words": tuple("one two three four five six seven eight nine ten eleven twelve".split()),
        "months": tuple(
            "January February March April May June July August September October November December".split()
        ),
        "weekdays": tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
        "letters": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        "ordinals": tuple("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()),
    }
)
