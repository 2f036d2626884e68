#!/usr/bin/env python3
"""Writes labelled snippets for `score.py`: credentials and look-alikes in the syntax of many kinds of files.

    bench/secrets/material.py OUT.jsonl [--half 0|1|2] [--seed N]

Every value is drawn when this runs, so that neither this file nor the repository holds one. Each row has `text`, `path`,
`label` (`secret` or `clean`) and `source` (the kind of value). Syntaxes and kinds of values are split in three parts:
tune on 0, report 1 and 2. Part 2 follows the documentation of data tools: their own files, commands and tokens.
"""
import argparse, base64, hashlib, json, random, string, uuid

WORDS = """amber anchor apple arrow autumn badger bamboo banjo barley basil beacon berry birch bishop blossom border bottle bramble
breeze bridge bronze bucket butter cabin cactus candle canyon carbon castle cedar cherry circle citrus clover cobalt comet
copper coral cotton cradle crystal dagger dahlia desert dragon eagle ember engine falcon feather fender ferry forest fossil
galaxy garden ginger glacier granite harbor hazel helmet heron hollow honey island ivory jacket jasmine jungle kettle ladder
lagoon lantern lemon lilac linen lobster magnet maple marble meadow melon mirror monsoon mountain nectar needle nickel oasis
ocean olive orbit orchid otter oyster paddle panther pebble pepper pepperoni pigeon pillow planet plume pocket pollen poppy
prairie puzzle quartz rabbit raven ribbon river rocket saddle saffron salmon sandal scarlet shadow silver sparrow spruce
summer sunset thistle thunder tiger timber tulip tunnel turtle umbrella valley velvet violet walnut willow window winter
wizard yellow zephyr zigzag""".split()
NAMES = "marta jonas petra lukas helen oscar nadia felix clara bruno irene simon".split()
SIGNS = "!@#$%&*?"


def word(r): return r.choice(WORDS)


# Values, by kind. Each takes the random source; half 1 is not looked at while tuning.
def season_year(r): return r.choice(["Winter", "Summer", "Spring", "Autumn"]) + str(r.randint(1990, 2031)) + r.choice(SIGNS)
def word_digits(r): return word(r).capitalize() + str(r.randint(10, 99999))
def word_sign_digits_word(r): return word(r).capitalize() + r.choice(SIGNS) + str(r.randint(100, 99999)) + r.choice(SIGNS) + word(r)
def leet(r): return word(r).replace("o", "0").replace("e", "3").replace("a", "4").capitalize() + r.choice(SIGNS) + str(r.randint(10, 99))
def name_year(r): return r.choice(NAMES) + str(r.randint(1955, 2009))
def two_words_digits(r): return word(r).capitalize() + word(r).capitalize() + str(r.randint(1, 999))
def digits_words(r): return str(r.randint(10, 999)) + word(r) + r.choice("-_.") + word(r)
def lower_sign(r): return word(r) + word(r) + r.choice(SIGNS) + str(r.randint(1, 99))
def phrase_dash(r): return "-".join(r.sample(WORDS, r.randint(4, 6)))
def phrase_space(r): return " ".join(r.sample(WORDS, r.randint(4, 6)))
def phrase_title(r): return "-".join(w.capitalize() for w in r.sample(WORDS, 4)) + str(r.randint(1, 99))
def phrase_dot(r): return ".".join(r.sample(WORDS, 5))
def drawn(r, n=None): return "".join(r.choice(string.ascii_letters + string.digits) for _ in range(n or r.randint(16, 32)))
def drawn_short(r): return drawn(r, 12)
def hexed(r): return "".join(r.choice("0123456789abcdef") for _ in range(r.choice([32, 40, 64])))
def b64(r): return base64.b64encode(r.randbytes(r.choice([24, 32, 48]))).decode()
def keyboard(r):
    signs = "!#%()*+,-./:;<=>?@[]^_{|}~"
    while True:
        value = "".join(r.choice(string.ascii_letters + string.digits + signs) for _ in range(r.randint(14, 26)))
        if sum(c in signs for c in value) >= 3 and not any(x in value for x in ("{{", "${", "://", "%(", "<%", "#{", "{%")) and value[0] not in "$<{%&*!|>@`[#?-,:=":
            return value


def city_leet(r): return r.choice(["N3wY0rk", "L0nd0n", "B3rl1n", "M4drid", "0sl0wint3r", "K1ngst0n"]) + r.choice(SIGNS) + str(r.randint(10, 999))
def color_number_animal(r): return r.choice(["Blue", "Green", "Amber", "Scarlet", "Violet"]) + str(r.randint(2, 99)) + r.choice(["Falcon", "Badger", "Heron", "Otter", "Raven"]) + r.choice(SIGNS + " ").strip()
def word_date(r): return word(r) + f"{r.randint(1, 28):02}{r.randint(1, 12):02}{r.randint(1970, 2020)}" + r.choice(["", "!"])
def initials(r): return "".join(w[0] for w in r.sample(WORDS, 6)).capitalize() + str(r.randint(100, 9999)) + r.choice(SIGNS)
def phrase_under(r): return "_".join(r.sample(WORDS, 5))
def phrase_number(r): return "-".join(r.sample(WORDS, 3)) + "-" + str(r.randint(10, 9999))
def url43(r): return base64.urlsafe_b64encode(r.randbytes(32)).decode().rstrip("=")
def lower40(r): return "".join(r.choice(string.ascii_lowercase + string.digits) for _ in range(r.choice([24, 32, 40])))
def quoted_signs(r): return "".join(r.choice(string.ascii_letters + string.digits + "!#%*+-=?@^_~.") for _ in range(20))


PEOPLE = [[season_year, word_sign_digits_word, name_year, two_words_digits], [word_digits, leet, digits_words, lower_sign], [city_leet, color_number_animal, word_date, initials]]
PHRASES = [[phrase_dash, phrase_title], [phrase_dot, phrase_space], [phrase_under, phrase_number]]
RANDOM = [[drawn, hexed], [b64, drawn_short], [url43, lower40]]
SIGNED = [[keyboard], [keyboard], [quoted_signs]]

# Syntaxes of configuration and code: a path, and a text with § for the value.
CONFIG = [
    [("profiles.yml", "shop:\n  outputs:\n    prod:\n      type: snowflake\n      user: svc_dbt\n      password: '§'\n"),
     ("app.properties", "spring.datasource.username=shop\nspring.datasource.password=§\n"),
     ("conf.json", '{"db": {"user": "shop", "password": "§", "port": 5432}}\n'),
     (".env", "DB_USER=shop\nDB_PASSWORD='§'\n"),
     ("docker-compose.yml", "services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: \"§\"\n"),
     ("main.tf", 'resource "snowflake_user" "etl" {\n  name     = "ETL"\n  password = "§"\n}\n'),
     ("settings.xml", "<server>\n  <id>internal</id>\n  <username>deploy</username>\n  <password>§</password>\n</server>\n"),
     ("anchors.yml", "base: &base\n  user: shop\n  password: &pw '§'\nprod:\n  <<: *base\n"),
     ("spark-defaults.conf", "spark.master yarn\nspark.ssl.keyPassword  §\nspark.eventLog.enabled true\n"),
     ("users.csv", "login,email,password\nmarta,marta@shop.io,§\n")],
    [("secrets.toml", '[connections.prod]\nuser = "svc"\npassword = "§"\n'),
     ("config.ini", "[database]\nuser = shop\npasswd = §\n"),
     ("values.yaml", "postgresql:\n  auth:\n    username: shop\n    adminPassword: \"§\"\n"),
     ("Dockerfile", "FROM python:3.12\nENV REDSHIFT_PASSWORD=\"§\"\n"),
     ("tagged.yml", "warehouse:\n  user: shop\n  password: !!str \"§\"\n"),
     ("connection.json", '[{"conn_id": "dwh", "conn_type": "postgres", "login": "shop", "password": "§"}]\n'),
     ("hive-site.xml", "<property>\n  <name>javax.jdo.option.ConnectionPassword</name>\n  <value>§</value>\n</property>\n"),
     ("terraform.tfvars", 'db_username = "shop"\ndb_password = "§"\n'),
     ("people.tsv", "user\tpwd\trole\nshop\t§\tadmin\n"),
     ("block.yml", "env:\n  - name: WAREHOUSE_PASSWORD\n    value: \"§\"\n")],
    [("connections.toml", '[prod]\naccount = "acme"\nuser = "etl"\nauthenticator = "snowflake"\npassword = \'§\'\n'),
     ("meltano.yml", "plugins:\n  extractors:\n  - name: tap-postgres\n    config:\n      host: db1\n      user: loader\n      password: '§'\n"),
     ("config.yaml", "gateways:\n  warehouse:\n    connection:\n      type: redshift\n      user: loader\n      password: \"§\"\n"),
     ("odbc.ini", "[dwh]\nDriver = PostgreSQL\nServername = db1\nUID = loader\nPWD = §\n"),
     ("client.properties", 'sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="shop" password="§";\n'),
     ("connector.json", '{"name": "sink", "config": {"connection.user": "shop", "connection.password": "§", "tasks.max": "1"}}\n'),
     (".netrc", "machine registry.acme.io\n  login deploy\n  password §\n"),
     (".Renviron", "DWH_USER=shop\nDWH_PASSWORD='§'\n"),
     ("inventory.ini", "[db]\ndb1 ansible_user=deploy ansible_password='§'\n"),
     ("application.conf", 'slick.db {\n  user = "shop"\n  password = "§"\n  numThreads = 10\n}\n'),
     ("deploy.yml", "jobs:\n  load:\n    env:\n      SNOWFLAKE_USER: svc\n      SNOWFLAKE_PASSWORD: '§'\n"),
     ("accounts.csv", "\"name\",\"user name\",\"password\"\n\"dwh\",\"shop\",\"§\"\n")],
]
CODE = [
    [("load.py", 'conn = snowflake.connector.connect(user="svc", password="§", account="acme")\n'),
     ("db.js", "const pool = new Pool({ user: 'shop', password: '§', host: 'db1' });\n"),
     ("Db.java", 'Connection c = DriverManager.getConnection(url, props);\nprops.setProperty("password", "§");\n'),
     ("Load.scala", 'val options = Map("sfURL" -> url, "sfUser" -> "svc", "sfPassword" -> "§")\n'),
     ("main.go", 'cfg := mysql.Config{User: "shop", Passwd: "§", Net: "tcp"}\n'),
     ("job.rb", 'client = Mysql2::Client.new(username: "shop", password: "§")\n'),
     ("README.md", "Log in with:\n\n```bash\nexport SNOWSQL_PWD='§'\n```\n"),
     ("run.sh", "PGPASSWORD='§' psql -h db1 -U shop -c 'select 1'\n"),
     ("copy.sh", "sshpass -p '§' scp dump.sql deploy@host1:/data\n"),
     ("notebook.ipynb", '{"cells": [{"cell_type": "code", "source": ["db_password = \\"§\\"\\n"]}]}\n')],
    [("etl.py", "engine = create_engine(url)\nDB_PASSWORD = '§'\n"),
     ("client.ts", 'export const config = {\n  username: "shop",\n  password: "§",\n};\n'),
     ("Client.cs", 'var credentials = new NetworkCredential("svc", "x") { Password = "§" };\n'),
     ("db.php", "<?php\n$db_password = '§';\n"),
     ("Main.kt", 'val password: String = "§"\n'),
     ("store.go", 'os.Setenv("REDSHIFT_PASSWORD", "§")\n'),
     ("Spark.scala", 'df.write.format("jdbc").option("user", "svc").option("password", "§").save()\n'),
     ("deploy.sh", "snowsql -a acme -u svc --password \"§\" -f load.sql\n"),
     ("setup.sql", "create user etl password = '§' default_role = loader;\n"),
     ("guide.md", "Connect to the warehouse:\n\n    password = \"§\"\n")],
    [("dag.py", 'conn = Connection(conn_id="dwh", conn_type="postgres", login="shop", password="§", port=5432)\n'),
     ("pipeline.py", 'config = {\n    "user": "shop",\n    "password": "§",\n}\n'),
     ("load.R", 'con <- dbConnect(RPostgres::Postgres(), user = "shop", password = "§")\n'),
     ("Job.java", 'Properties p = new Properties();\np.put("password", "§");\n'),
     ("Job.cs", 'builder.Password = "§";\n'),
     ("load.go", 'config := sf.Config{\n\tUser: "shop",\n\tPassword: "§",\n}\n'),
     ("Main.scala", 'val props = new Properties()\nprops.setProperty("password", "§")\n'),
     ("db.rb", "ActiveRecord::Base.establish_connection(adapter: 'postgresql', username: 'shop', password: '§')\n"),
     ("load.sas", "libname dwh postgres server=db1 user=shop password='§' database=shop;\n"),
     ("users.sql", "alter user loader set password = '§' must_change_password = false;\n"),
     ("load.sh", "export MYSQL_PWD='§'\nmysqldump -h db1 -u shop shop > dump.sql\n"),
     ("explore.ipynb", '{"cells": [{"cell_type": "code", "source": ["%env DB_PASSWORD=§\\n"]}]}\n'),
     ("setup.ps1", "$password = '§'\n"),
     ("pair.kt", 'val settings = mapOf("user" to "shop", "password" to "§")\n')],
]

# Look-alikes: a path and a text, with §h md5, §H sha256, §u uuid, §b base64 of 24 bytes, §w a word.
NOISE = [
    [("model.sql", "select * from dim_customer where customer_key = '§h'\n"),
     ("unit.yml", "      rows:\n        - {order_item_key: §h, n: 1}\n"),
     ("chart.yaml", "  annotations:\n    checksum/secret: §H\n"),
     ("page.html", '<div class="g-recaptcha" data-sitekey="6L§d40"></div>\n'),
     ("go.sum", "github.com/shop/lib v0.5.11 h1:§b43=\n"),
     ("package-lock.json", '"node_modules/token-lib": {\n  "integrity": "sha512-§b86==",\n  "key": "x"\n}\n'),
     ("load.py", 'password = os.environ["DB_PASSWORD"]\ntoken = get_token("§w-token")\n'),
     ("profiles.yml", "password: \"{{ env_var('DBT_PASSWORD') }}\"\n"),
     ("deploy.yml", "        env:\n          PASSWORD: ${{ secrets.DB_PASSWORD }}\n          SECRET_NAME: prod/db/password\n"),
     ("k8s.yaml", "  valueFrom:\n    secretKeyRef:\n      name: shop-db-credentials\n      key: postgres-password\n"),
     ("README.md", "Set `password` to your password, for example `password: changeme`.\n"),
     ("events.json", '{"idempotency_key": "§u", "request_token": "§u", "partition_key": "§h"}\n'),
     ("form.tsx", '<input type="password" name="password" placeholder="Enter your password" autoComplete="new-password" />\n'),
     ("messages.json", '{"password.reset": "Reset your password", "password_error": "The password must have 8 characters"}\n'),
     ("airflow.py", 'hook = PostgresHook(postgres_conn_id="dwh_password_store_v2")\n')],
    [("seed.csv", "order_key,amount\n§h,12\n§h,13\n"),
     ("test.sql", "where account_sk = '§h' and region_key = '§h' and session_key = '§u'\n"),
     ("pod.yaml", "  image: registry.io/shop@sha256:§H\n  secretName: shop-tls-2024\n"),
     ("app.js", "grecaptcha.execute('6L§d40', {action: 'submit'});\n"),
     ("uv.lock", '    { url = "https://files.io/token-1.0.whl", hash = "sha256:§H" },\n'),
     ("feed.yaml", "uri: https://storage.googleapis.com/v1/b/shop-keys/o/feed%2Fdt=2025-06-02%2F§b43.jsonl\n"),
     ("main.tf", 'resource "google_secret_manager_secret" "tfer--api-key-us-west2-473674835135-yuzmmdyk" {\n}\npassword = var.db_password\n'),
     ("Auth.java", 'String password = request.getParameter("password");\nprivate static final String TOKEN_KEY = "auth.token.header";\n'),
     ("settings.py", 'PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]\nPASSWORD_RESET_TIMEOUT = 259200\n'),
     ("vars.yml", "db_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\npassword: !secret db_password\n"),
     ("docs.md", "postgres://user:password@localhost:5432/shop and mysql://root:root@127.0.0.1/db\n"),
     ("span.json", '{"trace_id": "§h", "span_key": "§u", "next_token": "§b43", "page_token": "§b43"}\n'),
     ("login.html", '<label for="password">Password</label><a href="/forgot-password?from=login">Forgot?</a>\n'),
     ("i18n.yml", "en:\n  passwords:\n    reset_password: Choose a new password\n    token_expired: The token has expired\n"),
     ("vectors.txt", "Key = §H\nInput = §H\nCiphertext = §H\nTag = §h\n")],
    [("manifest.json", '{"unique_id": "test.shop.unique_token_id.§m", "checksum": {"name": "sha256", "checksum": "§H"}, "alias": "key_§h"}\n'),
     ("dashboard.lookml", "- name: sales\n  element_key: §h\n  api_slug: §w\n"),
     ("snapshots.csv", "dbt_scd_id,user_key,access_level\n§h,§h,admin\n"),
     ("export.csv", "token_id,auth_method,key_hash\n§u,password,§H\n"),
     ("hmac.py", 'assert hmac.new(b"key", b"message", "sha256").hexdigest() == "§H"\nKEY_ID = "§u"\n'),
     ("drawing.drawio", '<mxCell id="§t20-key-4" parent="§t20-12" value="token service" />\n'),
     ("icon.svg", '<svg id="§t20"><use xlink:href="#secret-§h"/></svg>\n'),
     ("Chart.lock", "dependencies:\n- name: vault\n  digest: sha256:§H\n"),
     ("renv.lock", '{"httr": {"Package": "httr", "Version": "1.4", "Hash": "§h"}, "keyring": {"Hash": "§h"}}\n'),
     ("events.sql", "select * from events where idempotency_key = '§u' and request_token_id = '§h'\n"),
     ("stripe.json", '{"customer": "cus_§t14", "payment_intent": "pi_§t24", "price_key": "price_§t24"}\n'),
     ("run.yaml", "airflow:\n  run_id: manual__2025-06-02T10:00:00+00:00\n  auth_backend: airflow.api.auth.backend.basic_auth\n  secret_backend: vault\n"),
     ("keys.tf", 'resource "aws_kms_key" "main" {}\noutput "key_arn" { value = "arn:aws:kms:eu-west-1:123456789012:key/§u" }\n'),
     ("policy.md", "Set `DBT_PASSWORD` and `SNOWFLAKE_TOKEN`; a password needs 12 characters, e.g. `<your-password>`.\n"),
     ("auth.ts", 'const { token, password } = req.body;\nif (password !== user.password) throw new AuthError("token-expired-v2");\n'),
     ("test_auth.py", 'def test_login():\n    client.login(username="user", password="password123")\n'),
     ("dvc.lock", "stages:\n  train:\n    deps:\n    - path: data/tokens.csv\n      md5: §h\n"),
     ("superset.yaml", "database_uuid: §u\nslice_key: §u\npassword_mask: XXXXXXXXXX\n")],
]


def filled(text, r):
    import re
    def one(m):
        kind = m.group(1)
        if kind == "h": return hashlib.md5(r.randbytes(8)).hexdigest()
        if kind == "H": return hashlib.sha256(r.randbytes(8)).hexdigest()
        if kind == "u": return str(uuid.UUID(int=r.getrandbits(128), version=4))
        if kind == "w": return word(r)
        if kind == "m": return "".join(r.choice("0123456789abcdef") for _ in range(10))
        if kind.startswith("t"): return "".join(r.choice(string.ascii_letters + string.digits) for _ in range(int(kind[1:])))
        if kind == "d40": return "".join(r.choice(string.ascii_letters + string.digits) for _ in range(38))
        if kind == "b43": return base64.urlsafe_b64encode(r.randbytes(32)).decode().rstrip("=").replace("_", "a").replace("-", "b")
        return base64.b64encode(r.randbytes(64)).decode().rstrip("=")
    return re.sub("§(d40|b43|b86|t14|t20|t24|b|h|H|m|u|w)", one, text)


def fits(path, text, value):
    """Whether a person would write this value into that syntax as it is."""
    quoted = text[text.index("§") - 1] in "'\""
    if path.endswith((".xml", ".html")) and set("<>&") & set(value): return False
    if text[text.index("§") - 1] == "'" and "'" in value: return False
    if path.endswith((".sh", "Dockerfile", ".md")) and text[text.index("§") - 1] == '"' and set('$`"\\!') & set(value): return False
    if not quoted and (" " in value or set(",;#\t<>&'\"|\\{}") & set(value)): return False
    return '"' not in value and "\\" not in value and not (path.endswith((".scala", ".kt", ".php")) and "$" in value)


def rows(half, r, each):
    kinds = [("people", PEOPLE), ("passphrase", PHRASES), ("random", RANDOM), ("signs", SIGNED)]
    for place, syntaxes in (("config", CONFIG), ("code", CODE)):
        for path, text in syntaxes[half]:
            for kind, makers in kinds:
                for maker in makers[half]:
                    for _ in range(each):
                        value = next((v for v in (maker(r) for _ in range(200)) if fits(path, text, v)), None)
                        if value:
                            yield {"path": path, "text": text.replace("§", value), "label": "secret", "source": f"{place} {kind}", "rule": path}
    for path, text in NOISE[half]:
        for _ in range(each * 4):
            yield {"path": path, "text": filled(text, r), "label": "clean", "source": "look-alike", "rule": path}


def write(about, part, each, rows, parts=range(3)):
    """Write `rows(part, random, each)` as the command line says; `part` names its first option, `each` explains the last."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument(f"--{part}", dest="part", type=int, choices=parts, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=3, help=each)
    args = parser.parse_args()
    with open(args.out, "w", encoding="utf-8") as out:
        for row in rows(args.part, random.Random(args.seed * 2 + args.part), args.each):
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    write(__doc__, "half", "values of every kind for each syntax", rows)
