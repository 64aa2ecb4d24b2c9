package leak

// ParseReports reads a body, and returns how many tokens it reports.
func ParseReports(body []byte) (int, error) {
	reports, err := parseReports(body)
	return len(reports), err
}

// The bounds that tests go to.
const (
	MaxReports = maxReports
	MaxPending = maxPending
	MaxBody    = maxBody
)
