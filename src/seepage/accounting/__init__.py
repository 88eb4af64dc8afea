"""What a mechanism gives away: epsilon records, and bounds on any attack's success."""
