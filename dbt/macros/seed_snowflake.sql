{#
    Seeds of any size, loaded by Snowflake itself: dbt's own way sends every row as text in INSERT statements, which
    takes minutes for a million rows, and a cast that rounds 3.7 to 4 in an integer column says nothing.

    - The folder is DBT_SEED_DIR when that is set, else the seed's own. The file goes to a temporary stage, and from
      there as text into a temporary table, its header among the rows.
    - The header must name exactly the columns of `column_types`, in any order, and each value must be of its column's
      type with nothing lost. Anything else stops the seed, naming the file, the column and the value.
    - Empty is null. The table is replaced in one statement, so a failed seed leaves the former table as it was; hooks,
      grants and persisted docs work as in dbt's own materialization.
    - A seed without `column_types` goes dbt's own way.

    The same rules as in seed_duckdb.sql.
#}
{% materialization seed, adapter='snowflake' %}

    {%- set types = config.get('column_types') or {} -%}
    {%- if not types -%}
        {%- if env_var('DBT_SEED_DIR', '') -%}
            {{ exceptions.raise_compiler_error(
                "seed " ~ model.name ~ ": DBT_SEED_DIR needs the seed's column_types on Snowflake, give them in its YAML"
            ) }}
        {%- endif -%}
        {{ return(dbt.materialization_seed_snowflake()) }}
    {%- endif -%}

    {%- set old_relation = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set grant_config = config.get('grants') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if old_relation is not none and old_relation.is_view -%}
        {{ exceptions.raise_compiler_error("seed " ~ model.name ~ ": " ~ old_relation ~ " is a view, drop it first") }}
    {%- endif -%}

    {%- set path = logistics.seed_file_snowflake(model) -%}
    {%- set text_relation = logistics.seed_text_snowflake(target_relation, path, types | length) -%}
    {%- set places = logistics.seed_header_snowflake(model, text_relation, path, types) -%}
    {%- do logistics.seed_check_snowflake(model, text_relation, path, types, places) -%}

    {%- set create_sql -%}
        create or replace {{ 'transient ' if config.get('transient', true) }}table {{ target_relation }} as
        select
            {#- In the file's order: column_types has the order of the YAML on dbt v1 and that of the alphabet on v2. #}
            {%- for place in range(types | length) %}
            {%- set comma = ',' if not loop.last else '' %}
            {%- for column in types if places[column] == 'c' ~ place %}
            {#- All values have passed the check; the header has not, and it may be cast before it is filtered out. #}
            try_cast({{ places[column] }} as {{ logistics.seed_type_snowflake(types[column]) }}) as {{ column }}{{ comma }}
            {%- endfor %}
            {%- endfor %}
        from {{ text_relation }}
        where not ({{ logistics.seed_is_header_snowflake(places) }})
    {%- endset -%}
    {%- do run_query(create_sql) -%}
    {%- do run_query('drop table if exists ' ~ text_relation) -%}

    {#- dbt reports the rows of a seed from 'main', and needs some table to show for `dbt seed --show`. -#}
    {%- set rows = run_query('select count(*) from ' ~ target_relation).columns[0].values()[0] -%}
    {%- set preview = run_query('select * from ' ~ target_relation ~ ' limit 10') -%}
    {%- do store_result('agate_table', response='OK', agate_table=preview) -%}
    {%- call noop_statement('main', 'CREATE ' ~ rows, 'CREATE', rows) -%}
        {{ create_sql }}
    {%- endcall -%}

    {%- do apply_grants(target_relation, grant_config, should_revoke=should_revoke(old_relation, True)) -%}
    {%- do persist_docs(target_relation, model) -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}

{% endmaterialization %}


{# The file of a seed, as PUT wants it: with slashes and in quotes. #}
{% macro seed_file_snowflake(model) -%}
    {%- set folder = env_var('DBT_SEED_DIR', '') -%}
    {%- if folder -%}
        {{ return((folder.rstrip('/') ~ '/' ~ model.name ~ '.csv') | replace('\\', '/')) }}
    {%- endif -%}
    {{ return((model.root_path ~ '/' ~ model.original_file_path) | replace('\\', '/')) }}
{%- endmacro %}


{# A temporary table with the file's lines, split into as many columns of text as there should be. #}
{% macro seed_text_snowflake(target_relation, path, width) -%}
    {%- set text_relation = target_relation.incorporate(path={'identifier': target_relation.identifier ~ '__dbt_text'}) -%}
    {%- set stage = target_relation.incorporate(path={'identifier': target_relation.identifier ~ '__dbt_stage'}) -%}
    {%- set columns = [] -%}
    {%- for place in range(width) -%}
        {%- do columns.append('c' ~ place ~ ' varchar') -%}
    {%- endfor -%}
    {%- do run_query('create or replace temporary stage ' ~ stage) -%}
    {%- do run_query("put 'file://" ~ dbt.escape_single_quotes(path) ~ "' @" ~ stage ~ " overwrite = true") -%}
    {%- do run_query('create or replace temporary table ' ~ text_relation ~ ' (' ~ columns | join(', ') ~ ')') -%}
    {%- do run_query(
        "copy into " ~ text_relation ~ " from @" ~ stage ~ " file_format = (type = csv field_delimiter = '"
        ~ config.get('delimiter', ',') ~ "' field_optionally_enclosed_by = '\"' escape_unenclosed_field = none "
        ~ "empty_field_as_null = true null_if = ('')) on_error = abort_statement"
    ) -%}
    {{ return(text_relation) }}
{%- endmacro %}


{# Which column of text holds which column of the seed: what the header says. #}
{% macro seed_header_snowflake(model, text_relation, path, types) -%}
    {%- set names = [] -%}
    {%- for name in types -%}
        {%- do names.append(dbt.string_literal(name | lower)) -%}
    {%- endfor -%}
    {#- The header is the one row that holds nothing but names of columns. -#}
    {%- set all_names = [] -%}
    {%- for place in range(types | length) -%}
        {%- do all_names.append('lower(trim(c' ~ place ~ ')) in (' ~ names | join(', ') ~ ')') -%}
    {%- endfor -%}
    {%- set header = run_query('select * from ' ~ text_relation ~ ' where ' ~ all_names | join(' and ')) -%}
    {%- set places = {} -%}
    {%- if header.rows | length == 1 -%}
        {%- for name in header.rows[0].values() -%}
            {%- do places.update({name.strip() | lower: 'c' ~ loop.index0}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if places | length != types | length -%}
        {{ exceptions.raise_compiler_error(
            "seed " ~ model.name ~ ": the header of " ~ path ~ " is not the columns of column_types: "
            ~ types.keys() | join(', ')
        ) }}
    {%- endif -%}
    {%- set found = {} -%}
    {%- for name in types -%}
        {%- do found.update({name: places[name | lower]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro seed_is_header_snowflake(places) -%}
    {%- set conditions = [] -%}
    {%- for column, place in places.items() -%}
        {%- do conditions.append("equal_null(lower(trim(" ~ place ~ ")), " ~ dbt.string_literal(column | lower) ~ ")") -%}
    {%- endfor -%}
    {{ return(conditions | join(' and ')) }}
{%- endmacro %}


{# Stops at the first value that its type does not hold exactly. #}
{% macro seed_check_snowflake(model, text_relation, path, types, places) -%}
    {%- set checks = [] -%}
    {%- for column, type in types.items() if type | lower | trim not in ('varchar', 'text', 'string') -%}
        {%- set place = places[column] -%}
        {%- set form = logistics.seed_number_form(type | lower | trim) -%}
        {%- set fits = 'try_cast(' ~ place ~ ' as ' ~ logistics.seed_type_snowflake(type) ~ ') is not null' -%}
        {%- if form -%}
            {%- set fits = 'regexp_like(' ~ place ~ ", '" ~ form ~ "') and " ~ fits -%}
        {%- endif -%}
        {%- do checks.append(
            "select '" ~ column ~ "' as column_name, '" ~ type ~ "' as column_type, " ~ place ~ " as value from "
            ~ text_relation ~ " where " ~ place ~ " is not null and not (" ~ fits ~ ") and not ("
            ~ logistics.seed_is_header_snowflake(places) ~ ")"
        ) -%}
    {%- endfor -%}
    {%- if checks -%}
        {%- set wrong = run_query(checks | join(' union all ') ~ ' limit 1') -%}
        {%- if wrong.rows | length -%}
            {%- set column, type, value = wrong.rows[0].values() -%}
            {{ exceptions.raise_compiler_error(
                "seed " ~ model.name ~ ": " ~ path ~ ", column " ~ column ~ ": '" ~ value ~ "' is not " ~ type
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# What `timestamp` means is a setting of the account; seeds mean the one without a time zone. #}
{% macro seed_type_snowflake(type) -%}
    {{ return('timestamp_ntz' if type | lower | trim == 'timestamp' else type) }}
{%- endmacro %}
