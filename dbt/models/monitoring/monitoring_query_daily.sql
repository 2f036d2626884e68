{{ monitoring_query_daily() }}
