package vap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// asked passes questions of the authorizer library on, and keeps why one could not be
// answered: the library takes that for a refusal.
type asked struct {
	authorizer authorizer.UnconditionalAuthorizer // nil where there is none
	requester  user.Info                          // nil where it is not known

	mu      sync.Mutex
	unknown string
}

func (a *asked) Authorize(ctx context.Context, question authorizer.Attributes) (authorizer.Decision, string, error) {
	who := question.GetUser()
	switch {
	case who == nil || a.requester == nil && who.GetName() == "":
		return a.miss("it asks what whoever makes the request may do, and that is not known")
	case a.authorizer == nil:
		return a.miss(fmt.Sprintf("it asks what %s may do, and only a cluster can say", who.GetName()))
	}
	decision, reason, err := a.authorizer.Authorize(ctx, question)
	if err != nil {
		return a.miss(fmt.Sprintf("it asks what %s may do, and got no answer: %v", who.GetName(), err))
	}
	return decision, reason, nil
}

func (a *asked) miss(why string) (authorizer.Decision, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unknown = why
	return authorizer.DecisionNoOpinion, "", errors.New(why)
}

var _ authorizer.UnconditionalAuthorizer = &asked{}
