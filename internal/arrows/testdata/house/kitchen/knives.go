package kitchen

var knives = []string{"paring", "bread"}
