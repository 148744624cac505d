"""From targets and scores to thresholds, scores, intervals and confusions."""
