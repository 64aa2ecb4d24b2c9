package policies.documents_test

import data.policies.documents
import data.strikeplate.resource

principal := {
	"kind": "key", "environment": "live", "access": "user-full", "credential": "key_1", "lineage": "key_1",
	"client_id": "", "organisation": "acme", "subject": "bob", "plan": "team", "expires": "", "scopes": [],
	"settings": {},
}

document := {
	"organisation": "acme", "environment": "live", "owner": "ada", "state": "published",
	"confidential": false, "readers": ["eve", "bob"],
}

request(about_principal, about_document) := {
	"principal": object.union(principal, about_principal), "kind": "documents",
	"resource": object.union(document, about_document), "client": {"address": ""},
}

allowed(p, d) := object.keys(rules) if rules := documents.allow with input as request(p, d)

denied(p, d) := object.keys(rules) if rules := documents.deny with input as request(p, d)

test_writers if {
	allowed({}, {"owner": "bob", "state": "draft", "readers": []}) == {"own"}
	allowed({}, {"owner": null, "readers": []}) == set()
}

test_readers if {
	allowed({}, {}) == {"reader"}
	allowed({}, {"state": "draft"}) == set()
	allowed({}, {"state": null}) == set()
	allowed({"subject": "mallory"}, {}) == set()
}

test_organisation_wide if {
	every level in ["org-limited", "org-full", "legacy"] {
		allowed({"access": level, "subject": ""}, {}) == {"published"}
		allowed({"access": level}, {"owner": "bob"}) == {"published"}
		allowed({"access": level, "subject": ""}, {"state": "draft"}) == set()
	}
}

test_limited_levels_see_nothing_confidential if {
	every unclear in [true, null] {
		allowed({"access": "user-limited"}, {"owner": "bob", "confidential": unclear}) == set()
		allowed({"access": "org-limited"}, {"confidential": unclear}) == set()
		allowed({"access": "org-full"}, {"confidential": unclear}) == {"published"}
		allowed({"access": "legacy"}, {"confidential": unclear}) == {"published"}
		allowed({"access": "user-full"}, {"owner": "bob", "confidential": unclear}) == {"own", "reader"}
	}
	allowed({"access": "user-limited"}, {"owner": "bob"}) == {"own", "reader"}
}

test_free_plans_see_no_drafts if {
	denied({"plan": "free"}, {"state": "draft"}) == {"draft"}
	denied({"plan": "free"}, {"state": null}) == {"draft"}
	denied({"plan": "free"}, {}) == set()
	denied({}, {"state": "draft"}) == set()
}

# The walls hold for a resource of your own, without a line of yours.
test_the_walls if {
	"tenant" in object.keys(resource.deny) with input as request({}, {"organisation": "globex"})
	"environment" in object.keys(resource.deny) with input as request({}, {"environment": "test"})
}
