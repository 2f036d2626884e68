"""Passwords and passphrases as people make them, with words, languages and habits other than those of `material.py`."""
WORDS = """kaffee schmetterling fahrrad blumen sonne berlin hamburg kuchen regen winterberg croissant fromage jardin amour soleil
tortuga playa corazon guitarra bambino gelato vespa roma pizza mamma koala kangaroo hockey soccer chelsea liverpool juventus matrix
batman pikachu gandalf frodo hermione spock metallica nirvana drummer honda toyota harley sunshine princess butterfly flower
chocolate cookie banana coffee whisky lakritz zebra moskito krokodil papaya mandarine""".split()
NAMES = "anna pierre giulia sofia miguel hanna tobias chloe luca ingrid pavel aisha kenji".split()
MONTHS = "Januar Maerz Juli Oktober Enero Agosto Juin Aout".split()
SIGNS = "!@*?+"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def leet(text): return text.translate(str.maketrans("oaeis", "04315"))


def manager(r):
    """Three groups of six, one capital, one digit, as a well-known operating system suggests."""
    groups = ["".join(r.choice("bcdfghjkmnpqrstvwxyz" if at % 2 == 0 else "aeiouy") for at in range(6)) for _ in range(3)]
    text = list("-".join(groups))
    for made in (str.upper, lambda _: str(r.randint(0, 9))):
        at = r.choice([at for at, sign in enumerate(text) if sign.islower()])
        text[at] = made(text[at])
    return "".join(text)


PASSWORDS = [
    lambda r: r.choice(WORDS).capitalize() + str(r.randint(1950, 2029)) + r.choice(SIGNS),
    lambda r: r.choice(WORDS) + str(r.randint(10, 9999)),
    lambda r: r.choice(WORDS).capitalize() + "_" + str(r.randint(100, 9999)),
    lambda r: r.choice(WORDS).capitalize() + "+" + r.choice(WORDS).capitalize() + str(r.randint(2, 99)),
    lambda r: leet(r.choice(WORDS)).capitalize() + r.choice(SIGNS) + str(r.randint(2, 99)),
    lambda r: r.choice(WORDS) + "." + r.choice(WORDS) + str(r.randint(10, 99)),
    lambda r: str(r.randint(10, 99)) + r.choice(WORDS).capitalize() + r.choice(SIGNS) * 2,
    lambda r: r.choice(NAMES).capitalize() + "@" + r.choice(WORDS).capitalize() + str(r.randint(1960, 2020)),
    lambda r: r.choice(WORDS).capitalize() + "-" + r.choice(WORDS).capitalize() + "-" + str(r.randint(10, 999)),
    lambda r: r.choice(MONTHS) + str(r.randint(2015, 2029)) + r.choice(SIGNS) + r.choice(WORDS),
    lambda r: r.choice(WORDS).upper() + r.choice(SIGNS) + str(r.randint(1950, 2020)),
    lambda r: "".join(r.choice(LETTERS + LETTERS.upper()) for _ in range(5)) + str(r.randint(1, 9)) + r.choice(SIGNS) + "".join(r.choice(LETTERS) for _ in range(4)),
    lambda r: r.choice(NAMES) + "." + r.choice(WORDS) + "." + str(r.randint(1955, 2020)),
    manager,
]


def password(r): return r.choice(PASSWORDS)(r)


def phrase(r):
    words = r.sample(WORDS, r.randint(4, 6))
    return r.choice([
        lambda: "-".join(words), lambda: " ".join(words), lambda: ".".join(words[:5]), lambda: "_".join(words[:5]),
        lambda: "-".join(w.capitalize() for w in words), lambda: " ".join(words[:4]) + " " + str(r.randint(2, 99)),
    ])()
