{{ monitoring_test_results() }}
