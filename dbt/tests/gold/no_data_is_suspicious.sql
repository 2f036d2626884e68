{{ config(severity='error' if var('suspicious_data_stops') else 'warn') }}
-- Every finding is shown with its reason. It is a warning unless policy says that suspicious data stops gold.
select * from {{ ref('suspicious_data') }}
order by source, reason, date_day, row_key
