package policies_test

// A set is a resource's rules as somebody may write them, in shapes of many
// kinds: what one database or one evaluator understands differently shows in some.
type set struct {
	name, resource string
	files          []string
}

var sets = []set{
	{"bundled", "meetings", nil},
	{"helpers under not", "meetings", []string{"lib.rego", `package policies.lib
released(owner) if owner == input.principal.subject
released(owner) if owner in input.resource.watchers
bare if not released(input.resource.owner)
nobody if { input.resource.owner == null; not input.resource.archived }
settled if not open
open if input.resource.kind in {"draft", "Draft", "draft "}
open if { input.resource.private; input.resource.level > 2 }`, "a.rego", `package policies.meetings
import data.policies.lib
allow["released"] := "r" if not lib.bare
allow["settled"] := "r" if { lib.settled; not lib.nobody }
allow["not-in"] := "r" if { not input.resource.owner in {"u1", "U1", "ß"}; input.principal.access == "org-limited" }
deny["bare"] := "d" if { not lib.released(input.resource.creator); input.resource.size >= 3; not lib.settled }`}},
	{"one of many", "meetings", []string{"a.rego", `package policies.meetings
allow["team"] := "r" if { some u in input.principal.settings.team; u == input.resource.owner }
allow["team-in"] := "r" if input.resource.creator in input.principal.settings.team
allow["attends"] := "r" if { some p in input.resource.participants; p == input.principal.subject }
allow["attended"] := "r" if { some p in input.resource.participants; p in input.principal.settings.team }
allow["creator"] := "r" if input.resource.creator in input.resource.watchers
allow["either"] := "r" if input.principal.subject in [input.resource.owner, input.resource.creator, input.resource.title]
allow["few"] := "r" if input.resource.owner in {u | some u in input.principal.settings.team; u != "u1"}
deny["all"] := "d" if { input.resource.archived; every u in input.principal.settings.team { u != input.resource.owner } }`}},
	{"columns", "meetings", []string{"a.rego", `package policies.meetings
allow["same"] := "r" if input.resource.owner == input.resource.creator
allow["sorted"] := "r" if input.resource.title < input.resource.kind
allow["mixed"] := "r" if { input.resource.level <= input.resource.size; input.resource.owner != input.resource.creator }
allow["after"] := "r" if input.resource.creator > input.resource.owner
allow["least"] := "r" if { input.resource.owner >= input.resource.title; input.resource.archived }
allow["bools"] := "r" if { input.resource.private < input.resource.archived; not input.resource.owner == input.resource.title }
deny["equal"] := "d" if { not input.resource.owner <= input.resource.creator; input.resource.level == input.resource.size }`}},
	{"integers", "meetings", []string{"a.rego", `package policies.meetings
allow["level"] := "r" if input.resource.level >= input.principal.settings.min
allow["below"] := "r" if { input.resource.level < input.principal.settings.max; input.resource.size != 3 }
allow["sizes"] := "r" if input.resource.size in input.principal.settings.sizes
allow["none"] := "r" if { not input.resource.level > -5; input.principal.access != "org-full" }
allow["between"] := "r" if { input.resource.size > 1.5; input.resource.size <= 2.000; input.resource.level < 1e30 }
deny["odd"] := "d" if { input.resource.size in {1, 3, 9007199254740993}; not input.resource.level in {null, 1, 2} }
deny["exact"] := "d" if input.resource.level == input.principal.settings.max`}},
	{"order of text", "meetings", []string{"a.rego", `package policies.meetings
allow["first"] := "r" if input.resource.title < "m"
allow["from"] := "r" if { input.resource.owner >= input.principal.settings.from; input.resource.owner < "u2" }
allow["own"] := "r" if { input.resource.kind <= input.principal.subject; input.resource.title > "A" }
allow["wide"] := "r" if { not input.resource.creator > "\uffff"; input.resource.title >= "é" }
deny["any"] := "d" if { input.resource.kind > input.principal.settings.min; input.resource.archived == true }`}},
	{"denials", "meetings", []string{"a.rego", `package policies.meetings
allow["all"] := "r" if true
deny["blocked"] := "d" if { some w in input.resource.watchers; w in input.principal.settings.blocked }
deny["unwatched"] := "d" if { not input.principal.subject in input.resource.watchers; input.resource.private != false; input.resource.level != null }
deny["service"] := "d" if { input.principal.subject in {"u2", "U2", ""}; input.resource.archived }
deny["title"] := "d" if input.resource.title in input.principal.settings.blocked
deny["plan"] := "d" if { input.principal.plan != input.resource.kind; input.resource.size == 10 }`}},
	{"masks", "meetings", []string{"a.rego", `package policies.meetings
mask["private"] := ["title", "participants"] if input.resource.private != false
mask["watched"] := ["level"] if { input.resource.private; input.principal.subject in input.resource.watchers }
mask["far"] := ["title", "owner"] if { input.resource.owner != input.principal.subject; input.principal.access in {"user-full", "org-full"} }
deny["archived"] := "d" if input.resource.archived`}},
	{"inherited", "transcripts", []string{"a.rego", `package policies.transcripts
deny["level"] := "d" if not input.resource.level < 3
deny["kind"] := "d" if { input.resource.kind == input.kind; true }`, "b.rego", `package policies.meetings
allow["watched"] := "r" if input.principal.subject in input.resource.watchers`}},
	{"null", "meetings", []string{"a.rego", `package policies.meetings
allow["null"] := "r" if input.resource.owner == null
allow["is"] := "r" if { is_null(input.resource.creator); not is_null(input.resource.level) }
allow["truthy"] := "r" if { input.resource.private; input.resource.level }
allow["text"] := "r" if { is_string(input.resource.owner); input.resource.level == null; input.resource.owner > 5 }
allow["below"] := "r" if { null < input.resource.owner; input.resource.creator <= null }
allow["setting"] := "r" if input.resource.owner == input.principal.settings.any
allow["order"] := "r" if { input.resource.level > input.principal.settings.any; input.resource.owner <= input.principal.settings.any }
deny["not"] := "d" if { not input.resource.private; input.resource.title < null }
deny["unless"] := "d" if { not input.resource.creator != input.principal.settings.any; input.resource.archived != true }`}},
	{"looked up", "meetings", []string{"a.rego", `package policies.meetings
allow["role"] := "r" if input.principal.settings.roles[input.resource.owner] == "admin"
allow["pairs"] := "r" if { some who, role in input.principal.settings.roles; role != "admin"; who == input.resource.creator }
allow["data"] := "r" if input.principal.subject in data.policies.teams[input.resource.kind]
allow["attending"] := "r" if { some p in input.resource.participants; input.principal.settings.roles[p] == "admin" }
deny["not-role"] := "d" if { not has_role; input.resource.size < 2 }
has_role if input.principal.settings.roles[input.resource.owner]`,
		"policies/teams/data.json", `{"draft": ["u1", "ß", "u2"], "Draft": ["U1"], "é": []}`}},
	{"known", "meetings", []string{"lib.rego", `package policies.lib
default rank := 1
rank := 3 if input.principal.access == "org-full"
rank := 2 if { input.principal.access in {"org-limited", "legacy"}; input.principal.subject != "" }
place := "draft" if input.principal.plan == "pro" else := "ß" if input.principal.subject == "u1" else := "é"
service if startswith(input.principal.subject, "u")`, "a.rego", `package policies.meetings
import data.policies.lib
allow["rank"] := "r" if lib.rank >= input.resource.level
allow["lower"] := "r" if input.resource.owner == lower(input.principal.subject)
allow["place"] := "r" if input.resource.kind != lib.place
allow["scoped"] := "r" if { "meetings:read" in input.principal.scopes; input.resource.title == concat("", ["u", "1"]) }
allow["service"] := "r" if { lib.service; input.resource.creator == input.principal.client_id }
allow["local"] := "r" if { r := input.resource; o := r.owner; o == input.principal.lineage }
deny["unknown"] := "d" if { not lib.service; input.resource.size > 2; not input.principal.settings.any }`}},
}
