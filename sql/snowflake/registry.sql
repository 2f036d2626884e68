-- The registry: every environment of this database. The toolkit puts the registry's schema before every name.
create table if not exists environments (
    schema_name varchar primary key,
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

-- Environments that `schema gc` found to be needed no more: noted by one pass, dropped by a later one.
create table if not exists condemned (
    schema_name varchar not null,
    reason varchar not null,
    noted_at timestamp_ntz not null
);

-- The further schemas of environments, as `issue_42_raw` of `issue_42`; unused if an environment is a database.
create table if not exists schemas (
    schema_name varchar primary key,
    environment varchar not null,
    created_at timestamp_ntz not null
);
