{{ config(severity='error' if suspicious_data_policy() == 'stop' else 'warn') }}
-- Every finding is shown with its reason, and what is done about it. It is a warning unless the policy is that
-- suspicious data stops gold.
select * from {{ ref('suspicious_data') }}
order by source, reason, date_day, row_key
