//! A realistic project, with macros that override dbt's and call packages that are not installed: all files
//! render, and all references resolve.

use super::{document, git, write};

const FILES: &[(&str, &str)] = &[
    (
        "dbt_project.yml",
        "---\nname: jaffles\nversion: \"1.0.0\"\nprofile: jaffles\nmodel-paths: [models]\nmacro-paths: [macros]\n\
         snapshot-paths: [snapshots]\nanalysis-paths: [analyses]\ntest-paths: [tests]\nseed-paths: [seeds]\n\
         vars:\n  payment_methods: [card, coupon]\n  start_date: \"2024-01-01\"\n",
    ),
    (
        "packages.yml",
        "---\npackages:\n  - package: dbt-labs/dbt_utils\n    version: [\">=1.1.0\", \"<2.0.0\"]\n",
    ),
    (
        "macros/generate_schema_name.sql",
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n    {%- if custom_schema_name is none -%}\n\
         {{ target.schema }}\n    {%- else -%}\n        {{ target.schema }}_{{ custom_schema_name | trim }}\n    \
         {%- endif -%}\n{%- endmacro %}\n",
    ),
    (
        "macros/cents_to_dollars.sql",
        "{% macro cents_to_dollars(column_name, scale=2) -%}\n    \
         {{ return(adapter.dispatch('cents_to_dollars', 'jaffles')(column_name, scale)) }}\n{%- endmacro %}\n\n\
         {% macro default__cents_to_dollars(column_name, scale) -%}\n    \
         round({{ column_name }} / 100.0, {{ scale }})\n{%- endmacro %}\n\n\
         {% macro bigquery__cents_to_dollars(column_name, scale) -%}\n    \
         round(cast({{ column_name }} / 100 as numeric), {{ scale }})\n{%- endmacro %}\n",
    ),
    (
        "macros/pivot.sql",
        "{% macro payment_columns(methods) -%}\n    {%- set parts = [] -%}\n    {%- for method in methods -%}\n        \
         {%- do parts.append(\"sum(case when method = '\" ~ method ~ \"' then amount else 0 end) as \" ~ method) -%}\n    \
         {%- endfor -%}\n    {{ parts | join(',\\n        ') }}\n{%- endmacro %}\n",
    ),
    (
        "macros/not_negative.sql",
        "{% test not_negative(model, column_name) %}\n    select {{ column_name }}\n    from {{ model }}\n    \
         where {{ column_name }} < 0\n{% endtest %}\n",
    ),
    (
        "macros/audit.sql",
        "{% macro latest_load() %}\n    {% if execute %}\n        \
         {% set rows = run_query('select max(loaded_at) from ' ~ ref('stg_orders')) %}\n        \
         {{ return(rows.columns[0].values()[0]) }}\n    {% endif %}\n    {{ return('1970-01-01') }}\n{% endmacro %}\n",
    ),
    (
        "models/staging/stg_orders.sql",
        "with source as (\n    select * from {{ source('shop', 'orders') }}\n),\n\nrenamed as (\n    select\n        \
         {{ dbt_utils.generate_surrogate_key(['id', 'store_id']) }} as order_key,\n        id as order_id,\n        \
         store_id,\n        {{ cents_to_dollars('order_total') }} as order_total,\n        \
         {{ dbt.date_trunc('day', 'ordered_at') }} as ordered_on,\n        loaded_at\n    from source\n    \
         where ordered_at >= '{{ var(\"start_date\") }}'\n)\n\nselect * from renamed\n",
    ),
    (
        "models/staging/stg_payments.sql",
        "select\n    order_id,\n    method,\n    {{ cents_to_dollars('amount_cents', scale=4) }} as amount\n\
         from {{ source('shop', 'payments') }}\n{{ limit_in_development() if target.name == 'dev' and false }}\n",
    ),
    (
        "models/marts/orders.sql",
        "{{ config(materialized='incremental', unique_key='order_id', on_schema_change='append_new_columns') }}\n\n\
         with orders as (\n    select * from {{ ref('stg_orders') }}\n    {% if is_incremental() %}\n    \
         where loaded_at > (select max(loaded_at) from {{ this }})\n    {% endif %}\n),\n\npayments as (\n    \
         select\n        order_id,\n        {{ payment_columns(var('payment_methods')) }}\n    \
         from {{ ref('stg_payments') }}\n    group by order_id\n)\n\nselect\n    orders.order_id,\n    \
         {% for method in var('payment_methods') -%}\n    payments.{{ method }} as {{ method }}_amount,\n    \
         {% endfor -%}\n    orders.loaded_at\nfrom orders\nleft join payments on orders.order_id = payments.order_id\n",
    ),
    (
        "models/marts/days.sql",
        "with days as (\n    {{ dbt_utils.date_spine(datepart=\"day\", start_date=\"cast('2024-01-01' as date)\", \
         end_date=dbt.dateadd('year', 1, 'current_date')) }}\n)\n\nselect date_day from days\n",
    ),
    (
        "models/marts/all_orders.sql",
        "{{ dbt_utils.union_relations(relations=[ref('orders'), ref('stg_orders')]) }}\n",
    ),
    (
        "models/shop.yml",
        "---\nsources:\n  - name: shop\n    tables:\n      - name: orders\n      - name: payments\n\nmodels:\n  \
         - name: orders\n    description: One row an order.\n    columns:\n      - name: order_id\n        \
         data_tests:\n          - unique\n          - not_null\n          - not_negative\n          \
         - dbt_utils.accepted_range:\n              min_value: 0\n\nexposures:\n  - name: board\n    type: dashboard\n    \
         owner: {name: sales, email: sales@example.org}\n    depends_on:\n      - ref('orders')\n      - ref('days')\n      \
         - ref('all_orders')\n\ngroups:\n  - name: sales\n    owner: {name: sales}\n\nsemantic_models:\n  - name: orders\n    \
         model: ref('orders')\n    defaults: {agg_time_dimension: loaded_at}\n    entities:\n      - name: order\n        \
         type: primary\n        expr: order_id\n    dimensions:\n      - name: loaded_at\n        type: time\n        \
         type_params: {time_granularity: day}\n    measures:\n      - name: order_count\n        agg: count\n        \
         expr: order_id\n\nmetrics:\n  - name: orders\n    label: Orders\n    type: simple\n    \
         type_params: {measure: order_count}\n",
    ),
    ("seeds/stores.csv", "store_id,name\n1,Brooklyn\n"),
    (
        "snapshots/orders_snapshot.sql",
        "{% snapshot orders_snapshot %}\n\n{{ config(target_schema='snapshots', unique_key='order_id', strategy='check', \
         check_cols='all') }}\n\nselect\n    order_id,\n    order_total\nfrom {{ ref('stg_orders') }}\n\n{% endsnapshot %}\n",
    ),
    (
        "analyses/stores.sql",
        "select name\nfrom {{ ref('stores') }}\nwhere opened_on > '{{ latest_load() }}'\n",
    ),
    (
        "tests/orders_are_paid.sql",
        "select order_id\nfrom {{ ref('orders') }}\nwhere loaded_at is null\n    or order_id is null\n",
    ),
];

#[test]
fn a_shop_project_with_its_own_macros_renders_completely() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    git(at, &["init", "-q"]);
    for (name, text) in FILES {
        write(at, name, text);
    }
    let (_, document) = document(at, &[]);
    let unreadable: Vec<_> = document["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| {
            let rule = finding["rule"].as_str().expect("a rule");
            ["sql-template", "sql-parse", "yaml-syntax", "unresolved-ref", "unknown-node", "cyclic-ref"]
                .contains(&rule)
        })
        .collect();
    assert!(unreadable.is_empty(), "{unreadable:#?}");
    assert_eq!(document["summary"]["skipped_unreadable"], 0);

    // The check is real: a macro with a mistake and an unresolved ref are found.
    write(at, "models/marts/wrong.sql", "select {{ cents_to_dollars( }}\n");
    write(at, "models/marts/lost.sql", "select order_id\nfrom {{ ref('stg_customers') }}\n");
    let found = super::findings(at, &[]).1;
    assert!(found.contains("sql-template models/marts/wrong.sql:1"), "{found:?}");
    assert!(found.contains("unresolved-ref models/marts/lost.sql:2"), "{found:?}");
}
