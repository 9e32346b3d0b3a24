# Who may do what. The service asks for `data.kyc.authz.decision` and takes anything but a clear yes for a no.
#
# The input is {"action": "application.read", "roles": ["reviewer"], "same_tenant": true} and nothing more, so that one
# decision holds for every request that looks the same. Which role may do which action is in data.json.
package kyc.authz

import rego.v1

default allow := false

# Nobody acts outside the tenant of their token, whatever their role.
allow if {
	input.same_tenant == true
	known_action
	granted
}

known_action if {
	input.action in data.kyc.actions
}

granted if {
	some role in input.roles
	input.action in data.kyc.roles[role]
}

# Why not, in the order in which it is worth saying.
reason := "cross_tenant" if {
	not input.same_tenant == true
} else := "unknown_action" if {
	not known_action
} else := "role_missing" if {
	not granted
}

decision := {"allow": true, "reason": null} if {
	allow
} else := {"allow": false, "reason": reason} if {
	not allow
}
