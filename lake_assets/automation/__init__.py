"""What runs the graph without a person: the job, the schedules and the sensors."""
