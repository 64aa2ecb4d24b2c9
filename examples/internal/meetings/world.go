package meetings

// Organisation is a customer of the example products.
type Organisation struct {
	// Name is what scripts call it; ID is what the products do.
	Name, ID, Title string
	Plan            string
	Lapsed          bool
}

// User is a person in an organisation.
type User struct {
	Name, ID, Organisation string
	FullName, Role         string
	Active                 bool
}

// Organisations has one for each plan and state.
var Organisations = []Organisation{
	{Name: "main", ID: "org_acme", Title: "Acme", Plan: "team"},
	{Name: "free", ID: "org_brook", Title: "Brook", Plan: "free"},
	{Name: "pro", ID: "org_cedar", Title: "Cedar", Plan: "pro"},
	{Name: "enterprise", ID: "org_delta", Title: "Delta", Plan: "enterprise"},
	{Name: "lapsed", ID: "org_elm", Title: "Elm", Plan: "team", Lapsed: true},
	{Name: "other", ID: "org_fjord", Title: "Fjord", Plan: "team"},
}

// Users are twelve people. Most of the stories happen at Acme.
var Users = []User{
	{Name: "admin", ID: "usr_ada", Organisation: "org_acme", FullName: "Ada Quist", Role: "admin", Active: true},
	{Name: "second_admin", ID: "usr_eli", Organisation: "org_acme", FullName: "Eli Marsh", Role: "admin", Active: true},
	{Name: "member", ID: "usr_bo", Organisation: "org_acme", FullName: "Bo Lindqvist", Role: "member", Active: true},
	{Name: "colleague", ID: "usr_cy", Organisation: "org_acme", FullName: "Cy Abara", Role: "member", Active: true},
	{Name: "deactivated", ID: "usr_dee", Organisation: "org_acme", FullName: "Dee Okafor", Role: "member"},
	{Name: "free_admin", ID: "usr_fin", Organisation: "org_brook", FullName: "Fin Walsh", Role: "admin", Active: true},
	{Name: "pro_admin", ID: "usr_gus", Organisation: "org_cedar", FullName: "Gus Moreau", Role: "admin", Active: true},
	{Name: "enterprise_admin", ID: "usr_hal", Organisation: "org_delta", FullName: "Hal Sato", Role: "admin", Active: true},
	{Name: "enterprise_member", ID: "usr_ivy", Organisation: "org_delta", FullName: "Ivy Novak", Role: "member", Active: true},
	{Name: "lapsed_admin", ID: "usr_jo", Organisation: "org_elm", FullName: "Jo Brandt", Role: "admin", Active: true},
	{Name: "other_admin", ID: "usr_kit", Organisation: "org_fjord", FullName: "Kit Solberg", Role: "admin", Active: true},
	{Name: "other_member", ID: "usr_lou", Organisation: "org_fjord", FullName: "Lou Haddad", Role: "member", Active: true},
}

// OrganisationNamed returns the organisation that scripts call so. It panics if
// there is none, since names stand in the source.
func OrganisationNamed(name string) Organisation {
	for _, o := range Organisations {
		if o.Name == name {
			return o
		}
	}
	panic("meetings: no organisation is named " + name)
}

// UserNamed is OrganisationNamed for users.
func UserNamed(name string) User {
	for _, u := range Users {
		if u.Name == name {
			return u
		}
	}
	panic("meetings: no user is named " + name)
}

// MembersOf are the users of an organisation.
func MembersOf(organisation string) []User {
	var members []User
	for _, u := range Users {
		if u.Organisation == organisation {
			members = append(members, u)
		}
	}
	return members
}
