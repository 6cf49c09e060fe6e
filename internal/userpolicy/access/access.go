// Package access asks an API server what a subject may do.
package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clientv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// ByReview is an authorizer whose answers are SubjectAccessReviews of the API server, each
// asked once. The error of an answer says why there is none.
func ByReview(config *rest.Config) authorizer.UnconditionalAuthorizer {
	client, err := clientv1.NewForConfig(config)
	return &reviews{client: client, err: err, answers: map[string]answer{}}
}

type reviews struct {
	client clientv1.AuthorizationV1Interface
	err    error

	mu      sync.Mutex
	answers map[string]answer
}

type answer struct {
	decision authorizer.Decision
	reason   string
}

func (r *reviews) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if r.err != nil {
		return authorizer.DecisionNoOpinion, "", r.err
	}
	spec, err := question(a)
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	key := spec.String()
	r.mu.Lock()
	known, ok := r.answers[key]
	r.mu.Unlock()
	if ok {
		return known.decision, known.reason, nil
	}
	review, err := r.client.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("the API server was asked for a SubjectAccessReview: %w", err)
	}
	known = answer{authorizer.DecisionNoOpinion, review.Status.Reason}
	switch {
	case review.Status.Denied:
		known.decision = authorizer.DecisionDeny
	case review.Status.Allowed:
		known.decision = authorizer.DecisionAllow
	case review.Status.EvaluationError != "":
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("the API server could not tell: %s", review.Status.EvaluationError)
	}
	r.mu.Lock()
	r.answers[key] = known
	r.mu.Unlock()
	return known.decision, known.reason, nil
}

// question is what a policy asks, as a review asks it.
func question(a authorizer.Attributes) (authorizationv1.SubjectAccessReviewSpec, error) {
	who := a.GetUser()
	spec := authorizationv1.SubjectAccessReviewSpec{User: who.GetName(), UID: who.GetUID(), Groups: slices.Clone(who.GetGroups()), Extra: map[string]authorizationv1.ExtraValue{}}
	for k, v := range who.GetExtra() {
		spec.Extra[k] = v
	}
	if !a.IsResourceRequest() {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: a.GetPath(), Verb: a.GetVerb()}
		return spec, nil
	}
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Namespace: a.GetNamespace(), Verb: a.GetVerb(), Group: a.GetAPIGroup(),
		Version: a.GetAPIVersion(), Resource: a.GetResource(), Subresource: a.GetSubresource(), Name: a.GetName()}
	fields, err := a.GetFieldSelector()
	if err != nil {
		return spec, fmt.Errorf("a field selector is wrong: %w", err)
	}
	if len(fields) > 0 {
		var parts []string
		for _, f := range fields {
			parts = append(parts, f.Field+string(f.Operator)+f.Value)
		}
		spec.ResourceAttributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{RawSelector: strings.Join(parts, ",")}
	}
	labels, err := a.GetLabelSelector()
	if err != nil {
		return spec, fmt.Errorf("a label selector is wrong: %w", err)
	}
	if len(labels) > 0 {
		var parts []string
		for _, l := range labels {
			parts = append(parts, l.String())
		}
		spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{RawSelector: strings.Join(parts, ",")}
	}
	return spec, nil
}

var _ authorizer.UnconditionalAuthorizer = &reviews{}
