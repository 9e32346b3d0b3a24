package kyc.authz_test

import data.kyc.authz
import rego.v1

asked(roles, action) := {"action": action, "roles": roles, "same_tenant": true}

no(reason) := {"allow": false, "reason": reason}

yes := {"allow": true, "reason": null}

test_a_submitter_submits if {
	authz.decision == yes with input as asked(["submitter"], "application.submit")
}

test_a_submitter_does_not_review if {
	authz.decision == no("role_missing") with input as asked(["submitter"], "application.review")
}

test_a_reader_does_not_see_files if {
	authz.decision == no("role_missing") with input as asked(["reader"], "file.read")
}

test_only_a_reviewer_opens_document_contents if {
	openers := {role |
		some role, _ in data.kyc.roles
		authz.allow with input as asked([role], "file.download")
	}
	openers == {"reviewer"}
}

test_an_auditor_changes_nothing if {
	changing := {
		"application.submit",
		"application.amend",
		"application.review",
		"file.upload",
		"screening.decide",
	}
	done := {action |
		some action in changing
		authz.allow with input as asked(["auditor"], action)
	}
	count(done) == 0
}

test_whoever_reviews_documents_does_not_decide_hits if {
	authz.decision == no("role_missing") with input as asked(["reviewer"], "screening.decide")
	authz.decision == no("role_missing") with input as asked(["compliance"], "application.review")
}

test_who_submits_learns_of_no_hit if {
	authz.decision == no("role_missing") with input as asked(["submitter", "reader"], "screening.read")
}

test_a_subscriber_learns_what_happened_and_nothing_else if {
	done := {action |
		some action in data.kyc.actions
		authz.allow with input as asked(["subscriber"], action)
	}
	done == {"event.read"}
}

test_two_roles_add_up if {
	authz.decision == yes with input as asked(["reader", "reviewer"], "application.review")
}

test_no_role_may_do_nothing if {
	authz.decision == no("role_missing") with input as asked([], "application.read")
}

test_an_unknown_role_may_do_nothing if {
	authz.decision == no("role_missing") with input as asked(["root"], "application.read")
}

test_an_unknown_action_is_denied_to_every_role if {
	roles := [role | some role, _ in data.kyc.roles]
	authz.decision == no("unknown_action") with input as asked(roles, "application.destroy")
}

test_granting_an_unknown_action_by_mistake_gives_nothing if {
	question := asked(["reader"], "application.destroy")
	authz.decision == no("unknown_action") with input as question with data.kyc.roles as {"reader": [question.action]}
}

test_another_tenant_is_denied_to_every_role if {
	roles := [role | some role, _ in data.kyc.roles]
	question := {"action": "application.read", "roles": roles, "same_tenant": false}
	authz.decision == no("cross_tenant") with input as question
}

test_a_tenant_that_was_not_compared_is_another_tenant if {
	authz.decision == no("cross_tenant") with input as {"action": "application.read", "roles": ["reviewer"]}
}

test_only_true_means_the_same_tenant if {
	question := {"action": "application.read", "roles": ["reviewer"], "same_tenant": "yes"}
	authz.decision == no("cross_tenant") with input as question
}

test_nothing_is_denied if {
	authz.decision == no("cross_tenant") with input as {}
}

test_every_granted_action_exists if {
	misspelt := {action |
		some granted in data.kyc.roles
		some action in granted
		not action in data.kyc.actions
	}
	count(misspelt) == 0
}

test_somebody_may_do_every_action if {
	idle := {action |
		some action in data.kyc.actions
		every _, granted in data.kyc.roles {
			not action in granted
		}
	}
	count(idle) == 0
}
