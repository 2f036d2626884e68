#!/usr/bin/env python3
"""Times scanners on texts that are full of their keywords, and on one small file.

    bench/secrets/dense.py [--xtask target/debug/xtask] [--gitleaks BIN] [--kingfisher BIN] [--rounds N]

The texts are written to a temporary folder: 200,000 lines of calls with passwords from elsewhere, the same number of calls
named `connect`, `auth` and `login`, 100,000 lines of prose with such words, 200,000 lines that each hold a password, a
`manifest.json` of dbt of 10 MB, 100,000 heads of private keys, and a file of one line. The tools alternate in each round;
the figures are medians of processor time (user and system) and of elapsed time.
"""
import argparse, json, os, random, resource, statistics, string, subprocess, tempfile, time


def texts(r):
    drawn = lambda n: "".join(r.choice(string.ascii_letters + string.digits) for _ in range(n))
    hexed = lambda n: "".join(r.choice("0123456789abcdef") for _ in range(n))
    yield "calls.py", "".join(f"password = get_password('harbor_{n}', key=token_{n})\n" for n in range(200_000))
    yield "stems.py", "".join(f"db_{n} = connect_database(auth_user_{n}, basic_login(credential_{n}), login('harbor_{n}'))\n" for n in range(200_000))
    yield "words.md", "".join(f"The author connects the database {n} and the user logs in with basic authentication; login and credentials of account {n} are in the database.\n" for n in range(100_000))
    yield "passwords.env", "".join(f"DB_{n}_PASSWORD={drawn(16)}\n" for n in range(200_000))
    nodes = {}
    while len(nodes) < 2900:
        name = f"model.shop.customer_token_{len(nodes)}"
        nodes[name] = {"unique_id": name, "checksum": {"name": "sha256", "checksum": hexed(64)}, "compiled_code": "select customer_key, md5(order_key) as order_token, password_hash\n" * 20,
                       "columns": {f"{c}_key": {"name": f"{c}_key", "description": "the surrogate key that joins to the dimension", "meta": {}} for c in ("customer", "order", "session", "auth", "secret_santa")},
                       "fqn": ["shop", "marts", "keys", name], "config": {"access": "protected", "token": None, "tags": ["pii", "auth"]}}
    yield "manifest.json", json.dumps({"nodes": nodes})
    yield "heads.txt", ("-----BEGIN RSA PRIV" + "ATE KEY-----\n") * 100_000
    yield "one.py", "a = 1\n"


def timed(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xtask", default="target/debug/xtask")
    parser.add_argument("--gitleaks")
    parser.add_argument("--kingfisher")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    tools = {"xtask": lambda path: [os.path.abspath(args.xtask), "-q", "secrets", path]}
    if args.kingfisher:
        tools["kingfisher"] = lambda path: [args.kingfisher, "scan", path, "--no-validate", "--no-update-check"]
    if args.gitleaks:
        tools["gitleaks"] = lambda path: [args.gitleaks, "dir", path]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts(random.Random(1)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            figures = {tool: [] for tool in tools}
            for _ in range(args.rounds):
                for tool, command in tools.items():
                    figures[tool].append(timed(command(path)))
            print(f"{name:14} {len(text) / 1e6:5.1f} MB", *(f"  {tool} {statistics.median(c for c, _ in f):.3f} s of processor, {statistics.median(e for _, e in f):.3f} s" for tool, f in figures.items()))


main()
