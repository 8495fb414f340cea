"""What a model's lists are like, judged on people it has never met: `warmstart report`."""
