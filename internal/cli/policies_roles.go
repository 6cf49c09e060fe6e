package cli

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/rbac"
)

// byRoles answers what a subject may do by the roles and bindings of files or of a
// snapshot. It knows RBAC alone: neither the authorizer for nodes nor webhooks.
type byRoles struct {
	access *rbac.Access
	// whole says that roles and bindings that were not read do not exist.
	whole bool
}

func rolesOf(w *model.World) authorizer.UnconditionalAuthorizer {
	return &byRoles{rbac.AccessOf(w), w.Complete}
}

func (b *byRoles) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	who := rbac.Identity{User: a.GetUser().GetName(), Groups: a.GetUser().GetGroups()}
	r := rbac.Request{Verb: a.GetVerb(), URL: a.GetPath()}
	if a.IsResourceRequest() {
		r = rbac.Request{Verb: a.GetVerb(), Group: a.GetAPIGroup(), Resource: a.GetResource(), Subresource: a.GetSubresource(), Namespace: a.GetNamespace(), Name: a.GetName()}
	}
	grant, allowed, unknown := b.access.Can(who, r)
	switch {
	case allowed:
		return authorizer.DecisionAllow, chain(grant), nil
	case unknown != "":
		return authorizer.DecisionNoOpinion, "", errors.New(unknown)
	case !b.whole:
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("no role that was read lets it %s (--complete: there are no others)", r)
	}
	return authorizer.DecisionNoOpinion, "", nil
}

var _ authorizer.UnconditionalAuthorizer = &byRoles{}
