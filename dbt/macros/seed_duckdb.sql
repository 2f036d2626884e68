{#
    Seeds of any size, read by DuckDB itself: dbt's own way parses the file in Python first, which takes minutes for
    a million rows, and then loads it with casts that round 3.7 to 4 in an integer column without a word.

    - The folder is DBT_SEED_DIR when that is set, else the seed's own.
    - `column_types` given: the file's header must name exactly these columns, in any order, and each value must be
      of its column's type with nothing lost. Anything else stops the seed, naming file, line and column.
    - No `column_types`: DuckDB infers the types from the whole file, as dbt would. A row with too few or too many
      fields, and a number that its type would round, stop the seed too.
    - Every value is read as text. Empty is null. The table is replaced in one transaction, so a failed seed leaves
      the former table as it was; hooks, grants and persisted docs work as in dbt's own materialization.
#}
{% materialization seed, adapter='duckdb' %}

    {%- set old_relation = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set grant_config = config.get('grants') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if old_relation is not none and old_relation.is_view -%}
        {{ exceptions.raise_compiler_error("seed " ~ model.name ~ ": " ~ old_relation ~ " is a view, drop it first") }}
    {%- endif -%}

    {%- set create_sql -%}
        create or replace table {{ target_relation }} as
        {{ logistics.seed_select(model, logistics.seed_path(model)) }}
    {%- endset -%}
    {%- do run_query(create_sql) -%}

    {#- dbt reports the rows of a seed from 'main', and needs some table to show for `dbt seed --show`. -#}
    {%- set rows = run_query('select count(*) from ' ~ target_relation).columns[0].values()[0] -%}
    {%- set preview = run_query('select * from ' ~ target_relation ~ ' limit 10') -%}
    {%- do store_result('agate_table', response='OK', agate_table=preview) -%}
    {%- call noop_statement('main', 'CREATE ' ~ rows, 'CREATE', rows) -%}
        {{ create_sql }}
    {%- endcall -%}

    {%- do apply_grants(target_relation, grant_config, should_revoke=should_revoke(old_relation, True)) -%}
    {%- do persist_docs(target_relation, model) -%}
    {%- do create_indexes(target_relation) -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}

{% endmaterialization %}


{# The file of a seed; an error that names it if it does not exist. #}
{% macro seed_path(model) -%}
    {%- set folder = env_var('DBT_SEED_DIR', '') -%}
    {%- if folder -%}
        {%- set path = folder.rstrip('/') ~ '/' ~ model.name ~ '.csv' -%}
    {%- else -%}
        {%- set path = adapter.get_seed_file_path(model) -%}
    {%- endif -%}
    {%- set file = dbt.string_literal(dbt.escape_single_quotes(path)) -%}
    {%- set found = run_query('select count(*) from glob(' ~ file ~ ')') -%}
    {%- if found.columns[0].values()[0] == 0 -%}
        {{ exceptions.raise_compiler_error(
            "seed " ~ model.name ~ ": there is no file " ~ path
            ~ (" (DBT_SEED_DIR is set: unset it, or write the seeds there)" if folder else "")
        ) }}
    {%- endif -%}
    {{ return(path) }}
{%- endmacro %}


{# The select that yields the typed rows of a CSV file. #}
{% macro seed_select(model, path) -%}
    {%- set file = dbt.string_literal(dbt.escape_single_quotes(path)) -%}
    {%- set delimiter = config.get('delimiter', ',') -%}
    {%- set dialect -%}
        header = true, strict_mode = true, nullstr = '', delim = '{{ delimiter }}', quote = '"', escape = '"'
    {%- endset -%}
    {%- set types = config.get('column_types', {}) -%}

    {%- set columns = logistics.seed_header(model, path, file, delimiter) -%}
    {%- set texts = [] -%}
    {%- for column in columns -%}
        {%- do texts.append("'" ~ dbt.escape_single_quotes(column) ~ "': 'varchar'") -%}
    {%- endfor -%}
    {#- Every record as text: one with too few or too many fields is an error that names its line. -#}
    {%- set records = "read_csv(" ~ file ~ ", auto_detect = false, " ~ dialect ~ ", columns = {" ~ texts | join(', ') ~ "})" -%}
    {%- if not types -%}
        {%- do logistics.seed_check_inferred(model, path, file, dialect, records) -%}
        {{ return("select * from read_csv(" ~ file ~ ", " ~ dialect ~ ", sample_size = -1)") }}
    {%- endif -%}

    {%- set missing = types.keys() | reject('in', columns) | list -%}
    {%- set unknown = columns | reject('in', types.keys()) | list -%}
    {%- if missing or unknown or columns | unique | list | length != columns | length -%}
        {{ exceptions.raise_compiler_error(
            "seed " ~ model.name ~ ": the header of " ~ path ~ " is not the columns of column_types"
            ~ ("; missing: " ~ missing | join(', ') if missing else "")
            ~ ("; not expected: " ~ unknown | join(', ') if unknown else "")
            ~ ("; repeated: a column name" if not missing and not unknown else "")
        ) }}
    {%- endif -%}

    {%- set values = [] -%}
    {#- In the file's order: column_types has the order of the YAML on dbt v1 and that of the alphabet on v2. -#}
    {%- for column in columns -%}
        {%- do values.append(logistics.seed_value(column, types[column], path)) -%}
    {%- endfor -%}
    {#- `line` counts records: exact as long as no quoted value holds a line break. -#}
    select
        {{ values | join(',\n        ') }}
    from (
        select
            *,
            1 + row_number() over () as _line
        from {{ records }}
    )
{%- endmacro %}


{#
    A file without `column_types` whose inferred types would not hold it: an error that names line and column. DuckDB
    gives a column of numbers that no BIGINT holds, or that have a point, the type DOUBLE, which keeps 15 digits.
#}
{% macro seed_check_inferred(model, path, file, dialect, records) -%}
    {%- set count = run_query('select count(*) from ' ~ records).columns[0].values()[0] -%}
    {%- set inferred = run_query('describe select * from read_csv(' ~ file ~ ', ' ~ dialect ~ ', sample_size = -1)') -%}
    {%- set checks = [] -%}
    {%- for column in inferred.rows if column[1] | upper == 'DOUBLE' -%}
        {%- set name = adapter.quote(column[0]) -%}
        {%- do checks.append(
            "select _line, " ~ dbt.string_literal(dbt.escape_single_quotes(column[0])) ~ " as _column, " ~ name ~ " as _value "
            ~ "from records where length(regexp_replace(regexp_replace(" ~ name ~ ", '[eE].*$', ''), '^[-+]?[0.]*|[.]|[^0-9.]', '', 'g')) > 15"
        ) -%}
    {%- endfor -%}
    {%- if checks -%}
        {%- set found = run_query(
            "with records as (select *, 1 + row_number() over () as _line from " ~ records ~ ") "
            ~ "select * from (" ~ checks | join(' union all ') ~ ") order by _line limit 1"
        ) -%}
        {%- for row in found.rows -%}
            {{ exceptions.raise_compiler_error(
                "seed " ~ model.name ~ ": " ~ path ~ ", line " ~ row[0] ~ ", column " ~ row[1] ~ ": " ~ row[2]
                ~ " has more digits than a double keeps; give the column a type in column_types"
            ) }}
        {%- endfor -%}
    {%- endif -%}
    {%- set loaded = run_query('select count(*) from read_csv(' ~ file ~ ', ' ~ dialect ~ ', sample_size = -1)').columns[0].values()[0] -%}
    {%- if loaded != count -%}
        {{ exceptions.raise_compiler_error(
            "seed " ~ model.name ~ ": " ~ path ~ " has " ~ count ~ " rows, of which DuckDB would load " ~ loaded
            ~ "; give the seed column_types"
        ) }}
    {%- endif -%}
{%- endmacro %}


{# The names in the header line: read apart, because read_csv skips the header if it is given the columns. #}
{% macro seed_header(model, path, file, delimiter) -%}
    {%- set header = run_query(
        "select line from read_csv(" ~ file ~ ", auto_detect = false, header = false, columns = {'line': 'varchar'}, "
        ~ "delim = '\x01', quote = '', escape = '') limit 1"
    ) -%}
    {%- if header.rows | length == 0 -%}
        {{ exceptions.raise_compiler_error("seed " ~ model.name ~ ": " ~ path ~ " is empty, not even a header") }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for name in (header.columns[0].values()[0] | string).split(delimiter) -%}
        {%- do columns.append(name.strip().strip('"')) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{#
    One text column as its declared type. A number must be written as one that the type holds exactly, because a
    cast would round it; for the other types it is enough that the cast succeeds.
#}
{% macro seed_value(column, type, path) -%}
    {%- set name = adapter.quote(column) -%}
    {%- set kind = type | lower | trim -%}
    {%- if kind in ('varchar', 'text', 'string') -%}
        {{ return(name) }}
    {%- endif -%}
    {%- set form = logistics.seed_number_form(kind) -%}
    {%- set place = dbt.escape_single_quotes(path) ~ ", line ' || _line || ', column " ~ column -%}
    case
        when {{ name }} is null then null
        when {% if form %}regexp_matches({{ name }}, '^{{ form }}$') and {% endif -%}
            try_cast({{ name }} as {{ type }}) is not null then try_cast({{ name }} as {{ type }})
        else error('{{ place }}: ''' || {{ name }} || ''' is not {{ type }}')
    end as {{ name }}
{%- endmacro %}


{# How a number is written that a column of this type holds exactly, as a regular expression; none for other types. #}
{% macro seed_number_form(kind) -%}
    {%- if kind in ('tinyint', 'smallint', 'integer', 'int', 'bigint', 'hugeint') -%}
        {{ return('[-+]?[0-9]+') }}
    {%- elif kind.startswith('numeric') or kind.startswith('decimal') -%}
        {%- set scale = kind.split(',')[1].strip(' )') if ',' in kind else ('0' if '(' in kind else '3') -%}
        {{ return('[-+]?[0-9]+([.][0-9]{0,' ~ scale ~ '}0*)?') }}
    {%- endif -%}
{%- endmacro %}
