{{ monitoring_freshness_volume() }}
