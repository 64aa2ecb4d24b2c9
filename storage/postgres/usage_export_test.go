package postgres

// UsageQueries are the texts of usage's questions and of its retention, with how
// many arguments each has.
func UsageQueries() map[string]int {
	u := rendered("", defaultPrefix).usage
	all := map[string]int{
		u.ofCredentials: 2, u.ofLineages: 2, u.lastUsed: 1,
		u.pruneSeries: 3, u.pruneEndpoints: 3, u.pruneRefusals: 3,
	}
	for who := range whom {
		all[u.seriesOf[who]], all[u.endpointsOf[who]], all[u.refusalsOf[who]], all[u.addressesOf[who]] = 7, 7, 7, 4
	}
	return all
}
