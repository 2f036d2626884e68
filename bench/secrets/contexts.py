#!/usr/bin/env python3
"""Writes labelled snippets for `score.py` from the documentation of providers and tools, one file for each kind of place.

    bench/secrets/contexts.py OUT.jsonl [--part 0|1|2|3|4|5|6] [--seed N] [--each N]

In `contexts/`, `providers.txt` has the tokens of providers, which are put into settings, code and commands; `found.txt` has
snippets with one credential, `clean.txt` snippets without one. Values are drawn when this runs: `§{r32}` and the like name
their alphabet and length, so no file here holds a credential. Each line or snippet belongs to part 0 or 1, drawn by its text;
the files called `…-2.txt` to `…-6.txt` are parts 2 to 6. Look at the failures of one part only, and report all, so that their difference
shows what was fitted to the examples.
"""
import base64, functools, json, os, re, string, subprocess, zlib
import material, natural

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "contexts")
LETTERS = string.ascii_letters
ALPHABETS = {"r": LETTERS + string.digits, "h": "0123456789abcdef", "H": "0123456789ABCDEF", "U": string.ascii_uppercase + string.digits, "l": string.ascii_lowercase + string.digits,
             "m": string.ascii_lowercase, "d": string.digits, "D": "123456789", "x": LETTERS, "s": LETTERS + string.digits + "-_", "k": LETTERS + string.digits + "+/",
             "a": string.ascii_uppercase + "234567", "g": "023456789ACDEFGHJKLMNPQRSTUVWXYZ"}
PEOPLE = [maker for part in material.PEOPLE for maker in part]
PHRASES = [maker for part in material.PHRASES for maker in part]

# Places of a token of a provider: a path, and a text with NAME and VALUE; `camel` is the name in code.
PLACES = [
    (".env", "NAME=VALUE\n"), ("deploy.sh", "export NAME=\"VALUE\"\n"), ("ci.yml", "env:\n  NAME: VALUE\n"), ("values.yaml", "secrets:\n  camel: \"VALUE\"\n"),
    ("config.py", "NAME = \"VALUE\"\n"), ("config.js", "const camel = 'VALUE';\n"), ("config.json", "{\"camel\": \"VALUE\"}\n"), ("Config.java", "private static final String NAME = \"VALUE\";\n"),
    ("main.go", "camel := \"VALUE\"\n"), ("config.toml", "lower = \"VALUE\"\n"), ("docker-compose.yml", "    environment:\n      - NAME=VALUE\n"), ("Dockerfile", "FROM debian\nENV NAME=VALUE\n"),
    ("app.properties", "dotted=VALUE\n"), ("main.tf", "  lower = \"VALUE\"\n"), ("notes.md", "The key of the account: `NAME=VALUE`\n"), ("app.log", "2026-01-02 10:00:00 INFO loaded NAME=VALUE\n"),
    ("setup.ps1", "$env:NAME = \"VALUE\"\n"), ("config.php", "'lower' => 'VALUE',\n"), ("Config.cs", "public string Pascal = \"VALUE\";\n"), ("load.ipynb", '{"cells": [{"cell_type": "code", "source": ["os.environ[\\"NAME\\"] = \\"VALUE\\"\\n"]}]}\n'),
    ("config.rb", "lower: 'VALUE'\n"), ("config.ts", "export const config = { camel: 'VALUE' };\n"), ("config.ini", "[service]\nlower = VALUE\n"), ("main.rs", "const NAME: &str = \"VALUE\";\n"),
]


def crc62(text):
    """The six last signs of tokens of GitHub and npm: their CRC-32 in base 62."""
    number, digits = zlib.crc32(text.encode()), string.digits + string.ascii_uppercase + string.ascii_lowercase
    out = ""
    while number:
        number, rest = divmod(number, 62)
        out = digits[rest] + out
    return out.rjust(6, "0")


@functools.cache
def key(kind, number):
    """A private key, made by openssl."""
    command = {"rsa": ["genrsa", "2048"], "ed": ["genpkey", "-algorithm", "ed25519"], "ec": ["ecparam", "-name", "prime256v1", "-genkey", "-noout"]}[kind]
    return subprocess.run(["openssl", *command], capture_output=True, text=True, check=True).stdout.strip()


def value(kind, r):
    draw = lambda signs, n: "".join(r.choice(signs) for _ in range(n))
    if kind.startswith("e:"): return base64.b64encode(value(kind[2:], r).encode()).decode()
    if kind == "people":
        while True:
            made = r.choice(PEOPLE)(r)
            if not set(" $&#%") & set(made): return made
    if kind == "p3": return natural.password(r)
    if kind == "ph3": return natural.phrase(r)
    if kind == "dockerauth": return json.dumps({"auths": {"registry.parcelo.eu": {"auth": value("basic", r)}}})
    if kind == "phrase": return r.choice(PHRASES)(r)
    if kind == "phrase4": return " ".join(r.sample(material.WORDS, 4))
    if kind == "signs": return draw(LETTERS + string.digits + "!#%*+=?@^_~.()", 20)
    if kind == "u": return f"{draw('0123456789abcdef', 8)}-{draw('0123456789abcdef', 4)}-4{draw('0123456789abcdef', 3)}-{draw('89ab', 1)}{draw('0123456789abcdef', 3)}-{draw('0123456789abcdef', 12)}"
    if kind in ("ghp", "gho"):
        body = draw(ALPHABETS["r"], 30)
        return f"{kind}_{body}{crc62(body)}"
    if kind == "npm":
        body = draw(ALPHABETS["r"], 30)
        return f"npm_{body}{crc62(body)}"
    if kind == "jwt":
        part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")
        return f'{part({"alg": "RS256", "typ": "JWT"})}.{part({"sub": material.word(r), "iss": "acme", "iat": r.randint(1700000000, 1760000000)})}.{draw(ALPHABETS["s"], 342)}'
    if kind == "basic": return base64.b64encode(f"svc:{draw(ALPHABETS['r'], 18)}".encode()).decode()
    if kind == "f32": return base64.urlsafe_b64encode(r.randbytes(32)).decode()
    if kind == "sas": return base64.b64encode(r.randbytes(32)).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    if kind in ("pem", "pem1", "der", "ec", "body"):
        text = key("ec" if kind == "ec" else r.choice(["rsa", "ed"]) if kind in ("pem", "body") else "rsa", r.randint(0, 5))
        if kind == "pem1": return text.replace("\n", "\\n") + "\\n"
        if kind == "body": return text.splitlines()[1]
        return "".join(text.splitlines()[1:-1]) if kind == "der" else text
    letter, length = kind[0], int(kind[1:])
    if letter == "b": return base64.b64encode(r.randbytes(length)).decode()
    if letter == "z": return base64.urlsafe_b64encode(r.randbytes(length)).decode().rstrip("=")
    return draw(ALPHABETS[letter], length)


def filled(text, r): return re.sub(r"§\{([^}]+)\}", lambda m: value(m[1], r), text.replace("<>", ""))


def blocks(name):
    for block in re.split(r"^§§ ", open(os.path.join(HERE, name), encoding="utf-8").read(), flags=re.M)[1:]:
        path, text = block.split("\n", 1)
        yield path.strip(), text


def rows(part, r, each):
    later = f"-{part}" if part > 1 else ""
    mine = lambda text: part > 1 or zlib.crc32(text.encode()) % 2 == part
    for line in open(os.path.join(HERE, f"providers{later}.txt"), encoding="utf-8"):
        if line.startswith("#") or not mine(line):
            continue
        provider, names, forms = (field.strip() for field in line.split("|", 2))
        for path, place in r.sample(PLACES, each):
            text = ""
            for name, form in zip(names.split(" & "), forms.split(" & ")):
                words = name.lower().split("_")
                pascal = "".join(w.capitalize() for w in words)
                forms_of_name = {"NAME": name, "camel": words[0] + pascal[len(words[0]):], "Pascal": pascal, "lower": "_".join(words), "dotted": ".".join(words), "VALUE": filled(form, r)}
                text += re.sub("NAME|camel|Pascal|lower|dotted|VALUE", lambda m: forms_of_name[m[0]], place)
            yield {"path": path, "text": text, "label": "secret", "source": "provider", "rule": provider}
    for name, label in ((f"found{later}.txt", "secret"), (f"clean{later}.txt", "clean")):
        for path, text in blocks(name):
            if mine(text):
                for _ in range(each):
                    yield {"path": os.path.basename(path), "text": filled(text, r), "label": label, "source": name, "rule": path}


if __name__ == "__main__":
    material.write(__doc__, "part", "values for each line", rows, range(7))
