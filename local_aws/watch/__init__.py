"""What CloudWatch and SNS do by themselves: measure, judge alarms, and deliver what they tell."""
