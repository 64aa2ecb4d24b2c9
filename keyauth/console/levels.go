package console

import "github.com/strikeplate/strikeplate"

// level is an access level in words for the person who chooses it.
type level struct {
	Access                           strikeplate.Access
	Title, Reaches, BestFor, Caution string
}

// levels are those to choose from, narrowest first; none where the service sets
// the level.
func (s *Console) levels() []level {
	if s.c.Terms.Access != "" {
		return nil
	}
	data := s.c.Product.Data
	return []level{
		{
			Access: strikeplate.UserLimited, Title: "User – limited access",
			Reaches: "Only one user's non-private " + data + ". Private " + data + " are always excluded.",
			BestFor: "Tools that work for one person and must never receive anything private.",
		},
		{
			Access: strikeplate.UserFull, Title: "User – full access",
			Reaches: "Everything that one user can see, including their private " + data + ".",
			BestFor: "Integrations that need to act as a specific person.",
		},
		{
			Access: strikeplate.OrganisationLimited, Title: "Organisation – limited access",
			Reaches: "All non-private " + data + " across the organisation. Private " + data + " are excluded.",
			BestFor: "Reporting or analytics tools that should only use what is shared.",
		},
		{
			Access: strikeplate.OrganisationFull, Title: "Organisation – full access",
			Reaches: "All " + data + " that the organisation's licences and settings allow, including private ones.",
			BestFor: "Central integrations that need the widest view your policy permits.",
			Caution: "The highest privilege. If you are unsure, start with Organisation – limited access.",
		},
	}
}

// levelTitle names any level.
func (s *Console) levelTitle(a strikeplate.Access) string {
	switch a {
	case strikeplate.UserLimited:
		return "User – limited"
	case strikeplate.UserFull:
		return "User – full"
	case strikeplate.OrganisationLimited:
		return "Organisation – limited"
	case strikeplate.OrganisationFull:
		return "Organisation – full"
	case strikeplate.Legacy:
		return "Organisation – all (legacy)"
	default:
		return string(a)
	}
}
