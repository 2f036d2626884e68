#!/usr/bin/env python3
"""Write a dbt project of N models that builds on DuckDB: a third each of views on a seed, joins and aggregates.

    python3 bench/engines/generate.py N FOLDER

Every model has a YAML file with a description and two tests of its key. Only the standard library is used.
"""

import pathlib
import sys

count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
third = max(count // 3, 1)


def write(path, text):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


write("dbt_project.yml", "name: generated\nversion: '1.0'\nprofile: generated\n"
      "models: {generated: {staging: {+materialized: view}, joins: {+materialized: table}, marts: {+materialized: table}}}\n")
write("profiles.yml", "generated:\n  target: local\n  outputs:\n    local:\n      type: duckdb\n"
      "      path: \"{{ env_var('BENCH_FILE') }}\"\n      schema: main\n      threads: 4\n")
write("seeds/raw.csv", "id,kind,amount\n" + "".join(f"{i},{'abc'[i % 3]},{i * 7 % 100}\n" for i in range(1, 201)))
write("macros/scaled.sql", "{% macro scaled(column, by) %}({{ column }} * {{ by }}){% endmacro %}\n")
for i in range(count):
    layer, at = ("staging", "joins", "marts")[min(i // third, 2)], i % third
    if layer == "staging":
        sql = f"select id, kind, {{{{ scaled('amount', {at + 1}) }}}} as amount from {{{{ ref('raw') }}}}\n"
    elif layer == "joins":
        sql = (f"with a as (select * from {{{{ ref('m{at}') }}}}),\nb as (select * from {{{{ ref('m{(at + 1) % third}') }}}})\n"
               "select a.id, a.kind, a.amount + b.amount as amount from a inner join b on a.id = b.id\n")
    else:
        sql = (f"select id, max(kind) as kind, {{% for f in ['sum', 'min', 'max'] %}}{{{{ f }}}}(amount) as amount_{{{{ f }}}}, {{% endfor %}}"
               f"count(*) as rows_{at} from {{{{ ref('m{third + at}') }}}} group by id\n")
    write(f"models/{layer}/m{i}.sql", sql)
    write(f"models/{layer}/m{i}.yml", f"models:\n  - name: m{i}\n    description: Grain, one row an id.\n    columns:\n"
          "      - name: id\n        description: The key.\n        data_tests: [unique, not_null]\n")
