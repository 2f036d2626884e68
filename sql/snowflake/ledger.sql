-- The ledger: what was built in this schema, from what, when, and how it went.
-- The toolkit puts the environment's schema before every name. Times are UTC.

-- The ownership mark. One row; without it nothing here is ever dropped.
create table if not exists ledger_environment (
    schema_name varchar not null,
    kind varchar not null,
    base varchar,
    issue_number bigint,
    object_name varchar,
    created_at timestamp_ntz not null,
    created_by varchar,
    toolkit_version varchar not null,
    ledger_version bigint,
    project varchar, -- the dbt project that it belongs to
    repository varchar,
    repository_id varchar,
    project_folder varchar
);

-- One row per run of `elt`, complete: it is written at the end of the run, however the run ended.
create table if not exists ledger_runs (
    run_id varchar primary key,
    schema_name varchar not null,
    started_at timestamp_ntz not null,
    finished_at timestamp_ntz,
    status varchar not null,
    seconds double,
    dbt_seconds double,
    dbt_started boolean not null,
    up_to_date boolean not null,
    fingerprint varchar,
    selection varchar,
    full_refresh boolean not null,
    git_commit varchar,
    git_branch varchar,
    git_dirty boolean,
    triggered_by varchar,
    run_url varchar,
    dbt_version varchar,
    toolkit_version varchar not null,
    message varchar
);

-- One row per dbt node of a run, in dbt's terms. ROWS is a reserved word, so it is quoted.
create table if not exists ledger_nodes (
    run_id varchar not null,
    node_id varchar not null,
    name varchar not null,
    kind varchar not null,
    layer varchar,
    materialized varchar,
    status varchar not null,
    started_at timestamp_ntz,
    seconds double,
    "ROWS" bigint,
    failures bigint,
    message varchar,
    path varchar
);

-- The query log, with the column names of Snowflake's QUERY_HISTORY: one row per executed node.
create table if not exists ledger_queries (
    query_id varchar not null,
    run_id varchar not null,
    node_id varchar not null,
    query_type varchar not null,
    database_name varchar,
    schema_name varchar,
    user_name varchar,
    start_time timestamp_ntz,
    end_time timestamp_ntz,
    total_elapsed_time bigint, -- milliseconds, as Snowflake counts them
    execution_status varchar not null,
    error_message varchar,
    rows_produced bigint,
    query_tag varchar
);

-- The relations in the schema at the end of a run. Null is unknown, never zero.
create table if not exists ledger_relations (
    run_id varchar not null,
    relation_name varchar not null,
    relation_type varchar not null,
    layer varchar,
    row_count bigint,
    bytes bigint,
    measured_at timestamp_ntz not null,
    column_types varchar -- JSON: [name, type] of each column
);
