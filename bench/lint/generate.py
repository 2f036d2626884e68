#!/usr/bin/env python3
"""Write a dbt project of N models to measure linters on: the same bytes for the same N.

    python3 bench/lint/generate.py --models 300 --out /tmp/project

The project resembles real ones: staging models that rename, intermediate models with joins and
Jinja loops, marts with windows, one incremental model in ten, a YAML file for each model, and macros with
dispatch, `return` and defaults. Only the standard library is used.
"""

import argparse
import pathlib
import sys

STAGING = """\
with source as (

    select * from {{{{ source('shop', '{table}') }}}}

),

renamed as (

    select
        id as {name}_id,
        customer_id,
        lower(status) as status,
{columns}
        {{{{ cents_to_dollars('amount_cents') }}}} as amount,
        cast(created_at as timestamp) as created_at
    from source
    where not is_deleted

)

select * from renamed
"""

INTERMEDIATE = """\
{{%- set methods = ['card', 'coupon', 'bank_transfer', 'gift_card'] -%}}

with left_side as (

    select * from {{{{ ref('{left}') }}}}

),

right_side as (

    select * from {{{{ ref('{right}') }}}}

),

joined as (

    select
        left_side.{left_id}_id,
        left_side.customer_id,
        left_side.created_at,
        {{% for method in methods -%}}
            sum(case when right_side.status = '{{{{ method }}}}' then right_side.amount else 0 end)
                as {{{{ method }}}}_amount,
        {{% endfor -%}}
        sum(left_side.amount) as amount
    from left_side
    left join right_side
        on left_side.customer_id = right_side.customer_id
    group by
        left_side.{left_id}_id,
        left_side.customer_id,
        left_side.created_at

)

select * from joined
"""

MART = """\
{{{{
    config(
        materialized='{materialized}',
        unique_key='customer_id'
    )
}}}}

with orders as (

    select * from {{{{ ref('{upstream}') }}}}
{incremental}
),

ranked as (

    select
        customer_id,
        created_at,
        amount,
        row_number() over (partition by customer_id order by created_at desc) as recency,
        sum(amount) over (
            partition by customer_id
            order by created_at
            rows between {{{{ (var('window_days') | int) - 1 }}}} preceding and current row
        ) as window_amount
    from orders

),

final as (

    select
        customer_id,
        {{{{ dbt.date_trunc('month', 'created_at') }}}} as created_month,
        {{{{ ratio('amount', 'window_amount') }}}} as window_share,
        case
            when amount > 1000 then 'large'
            when amount > 100 then 'medium'
            else 'small'
        end as size_class,
        amount
    from ranked
    where recency = 1

)

select * from final
"""

INCREMENTAL = """
    {% if is_incremental() %}
        where created_at > (select max(this_run.created_at) from {{ this }} as this_run)
    {% endif %}
"""

MACROS = {
    "cents_to_dollars": """\
{% macro cents_to_dollars(column_name) -%}
    {{ return(adapter.dispatch('cents_to_dollars', 'shop')(column_name)) }}
{%- endmacro %}

{% macro default__cents_to_dollars(column_name) -%}
    ({{ column_name }} / 100)::numeric(16, 2)
{%- endmacro %}
""",
    "ratio": """\
{# The quotient, or null where there is nothing to divide by. #}
{% macro ratio(numerator, denominator, scale=4) -%}
    cast(({{ numerator }}) / nullif({{ denominator }}, 0) as numeric(18, {{ scale }}))
{%- endmacro %}
""",
}

FILLER_MACRO = """\
{{% macro helper_{number}(relation, columns=[]) -%}}
    {{%- set found = [] -%}}
    {{%- for column in columns -%}}
        {{%- do found.append(relation ~ '.' ~ column) -%}}
    {{%- endfor -%}}
    {{{{ return(found) }}}}
{{%- endmacro %}}
"""

PROJECT = """\
name: shop
version: "1.0.0"
config-version: 2
profile: shop
model-paths: [models]
macro-paths: [macros]
vars:
  window_days: 28
models:
  shop:
    staging:
      +materialized: view
    marts:
      +materialized: table
"""

PROFILES = """\
shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: ":memory:"
"""

SQLFLUFF = """\
[sqlfluff]
dialect = snowflake
templater = jinja
max_line_length = 120

[sqlfluff:templater:jinja]
load_macros_from_path = macros

[sqlfluff:templater:jinja:context]
window_days = 28
"""

YAMLLINT = """\
extends: default
rules:
  document-start: disable
  line-length: {max: 120}
"""


def properties(name, columns):
    lines = [
        "models:",
        f"  - name: {name}",
        f"    description: One row a {name.split('_')[-1]}; written for measuring.",
        "    columns:",
    ]
    for position, column in enumerate(columns):
        lines += [f"      - name: {column}", f"        description: What {column} is of {name}."]
        if position == 0:
            lines += ["        data_tests:", "          - unique", "          - not_null"]
    return "\n".join(lines) + "\n"


def model(number, names):
    """The folder, name, SQL and columns of the model of that number; `names` are those before it."""
    kind = number % 3
    if kind == 0 or len(names["staging"]) < 2:
        name = f"stg_shop__table_{number}"
        columns = [f"attribute_{number}_{index}" for index in range(6)]
        listed = "\n".join(f"        coalesce(raw_{c}, 'unknown') as {c}," for c in columns)
        sql = STAGING.format(table=f"table_{number}", name=f"table_{number}", columns=listed)
        return "staging", name, sql, [f"table_{number}_id", "customer_id", *columns, "amount", "created_at"]
    if kind == 1 or not names["intermediate"]:
        left, right = names["staging"][-1], names["staging"][-2]
        left_id = left.removeprefix("stg_shop__")
        sql = INTERMEDIATE.format(left=left, right=right, left_id=left_id)
        return "intermediate", f"int_joined_{number}", sql, [f"{left_id}_id", "customer_id", "amount"]
    is_incremental = number % 10 == 5
    sql = MART.format(
        upstream=names["intermediate"][-1],
        materialized="incremental" if is_incremental else "table",
        incremental=INCREMENTAL if is_incremental else "",
    )
    return "marts", f"customers_{number}", sql, ["customer_id", "created_month", "window_share", "amount"]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def generate(out, models):
    write(out / "dbt_project.yml", PROJECT)
    write(out / "profiles.yml", PROFILES)
    write(out / ".sqlfluff", SQLFLUFF)
    write(out / ".yamllint.yml", YAMLLINT)
    for name, text in MACROS.items():
        write(out / "macros" / f"{name}.sql", text)
    for number in range(models // 10):
        write(out / "macros" / "helpers" / f"helper_{number}.sql", FILLER_MACRO.format(number=number))
    names = {"staging": [], "intermediate": [], "marts": []}
    tables = []
    for number in range(models):
        folder, name, sql, columns = model(number, names)
        names[folder].append(name)
        if folder == "staging":
            tables.append(f"table_{number}")
        write(out / "models" / folder / f"{name}.sql", sql)
        write(out / "models" / folder / f"{name}.yml", properties(name, columns))
    listed = "\n".join(f"      - name: {table}\n        description: A table of the shop." for table in tables)
    write(out / "models" / "staging" / "__sources.yml", f"sources:\n  - name: shop\n    tables:\n{listed}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=300, help="how many models (default: 300)")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a folder that is not there yet")
    arguments = parser.parse_args()
    if arguments.out.exists():
        sys.exit(f"{arguments.out} exists already; give a folder that does not")
    generate(arguments.out, arguments.models)


if __name__ == "__main__":
    main()
