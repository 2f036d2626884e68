{{ monitoring_storage() }}
