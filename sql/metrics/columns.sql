-- The columns of the relations in an environment, in their order.
select
    lower(table_name) as relation_name,
    column_name,
    data_type
from {{ information_schema }}.columns
where lower(table_schema) = {{ schema }}
order by relation_name, ordinal_position
